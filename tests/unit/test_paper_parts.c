/* The parts of mode paper: rate with gradient and Hessian products, CRLB, lower level and its
 * derivative, cutting planes, cone rows, raw sensing covariances. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/row.h"
#include "unit/paper_fixture.h"

static double *vector(const beam_paper_space *s)
{
    return test_memory((size_t)s->n * sizeof(double));
}

static double inner(int n, const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static void step(int n, double *to, const double *x, double t, const double *d)
{
    for (int i = 0; i < n; i++) {
        to[i] = x[i] + t * d[i];
    }
}

static void start_somewhere(paper_fixture *f, test_random *random, double *x)
{
    double *d = vector(&f->paper->space);
    beam_paper_start(f->paper, test_random_bits(random), NULL);
    memcpy(x, f->paper->x, (size_t)f->paper->space.n * sizeof *x);
    paper_fixture_direction(f, random, 0.1, d);
    memcpy(x + f->paper->space.gamma, d + f->paper->space.gamma,
           (size_t)f->paper->space.delta * sizeof *x);
    free(d);
}

static double rate_at(paper_fixture *f, const double *x)
{
    const beam_paper_space *s = &f->paper->space;
    return beam_paper_rate_value(&f->paper->rate, s, x, x + s->gamma);
}

/* ---- rate and CRLB ---- */

static void rate_and_crlb_are_those_of_the_evaluator(void **state)
{
    (void)state;
    test_random random = test_random_new(21);
    for (int trial = 0; trial < 40; trial++) {
        const unsigned psd = trial % 2 ? BEAM_REPAIR_PSD : 0;
        const beam_paper_options options = paper_fixture_options(psd, 1);
        paper_fixture f = paper_fixture_random(&random, &options, 0.1);
        const beam_dims *dims = &f.scene->dims;
        const beam_problem *p = &f.paper->problem;
        const beam_paper_space *s = &f.paper->space;
        double *x = vector(s);
        start_somewhere(&f, &random, x);
        beam_error err;
        beam_design *design = test_design_new(dims, -1);
        beam_paper_to_rows(f.paper, x, f.paper->rows);
        beam_problem_export(p, f.paper->rows, design);
        beam_complex *h =
            test_memory((size_t)(dims->stations * dims->users * dims->antennas) * sizeof *h);
        for (int l = 0; l < p->L; l++) {
            for (int k = 0; k < p->U; k++) {
                const int link = l * p->U + k, u = p->order[k];
                for (int n = 0; n < p->N; n++) {
                    const double scale = s->unit[link] * p->sigma[k] / p->sqrt_power[l];
                    const double *d = x + s->gamma + link * p->stride;
                    const beam_complex e = test_channel(f.scene, l, u)[n];
                    h[(l * p->U + u) * p->N + n] =
                        (beam_complex){e.re + scale * d[n], e.im + scale * d[p->Dp + n]};
                }
            }
        }
        beam_evaluator *evaluator = test_evaluator_new(dims, design->sensing_max);
        test_must(beam_evaluator_load(evaluator, f.scene, &err), &err, "load");
        double wsr;
        beam_quality quality;
        test_must(beam_evaluator_at_channels(evaluator, design, h, NULL, &wsr, &err), &err, "rate");
        test_must(beam_evaluator_run(evaluator, design, &quality, &err), &err, "run");
        const double crlb =
            beam_paper_sensing_value(&f.paper->sensing, &f.paper->problem, s, x, NULL);
        if (psd) {
            assert_true(fabs(rate_at(&f, x) - wsr) <= 1e-9 * wsr);
        } else { /* writing drops what does not sense: interference falls, never rises */
            assert_true(rate_at(&f, x) <= wsr * (1 + 1e-9));
        }
        assert_true(quality.crlb_valid);
        assert_true(fabs(crlb - quality.crlb_m2) <= 1e-8 * crlb);
        free(h);
        free(x);
        test_design_free(design);
        test_evaluator_free(evaluator);
        paper_fixture_free(&f);
    }
}

static void gradients_are_central_differences(void **state)
{
    (void)state;
    test_random random = test_random_new(22);
    for (int trial = 0; trial < 40; trial++) {
        const unsigned repairs =
            (trial % 2 ? BEAM_REPAIR_PSD : 0) | (trial % 3 ? BEAM_REPAIR_UNITS : 0);
        const beam_paper_options options = paper_fixture_options(repairs, 1);
        paper_fixture f = paper_fixture_random(&random, &options, 0.1);
        const beam_paper_space *s = &f.paper->space;
        double *x = vector(s), *d = vector(s), *g = vector(s), *y = vector(s);
        start_somewhere(&f, &random, x);
        paper_fixture_direction(&f, &random, 1e-2, d);
        rate_at(&f, x);
        beam_paper_rate_gradient(&f.paper->rate, s, x, g, g + s->gamma);
        const double h = 1e-4;
        step(s->n, y, x, h, d);
        double up = rate_at(&f, y);
        step(s->n, y, x, -h, d);
        double down = rate_at(&f, y);
        const double scale = sqrt(inner(s->n, g, g) * inner(s->n, d, d));
        assert_true(fabs((up - down) / (2 * h) - inner(s->n, g, d)) <= 1e-6 * scale);

        beam_paper_sensing_value(&f.paper->sensing, &f.paper->problem, s, x, g);
        step(s->gamma, y, x, h, d);
        up = beam_paper_sensing_value(&f.paper->sensing, &f.paper->problem, s, y, NULL);
        step(s->gamma, y, x, -h, d);
        down = beam_paper_sensing_value(&f.paper->sensing, &f.paper->problem, s, y, NULL);
        const double size = sqrt(inner(s->gamma, g, g) * inner(s->gamma, d, d));
        assert_true(fabs((up - down) / (2 * h) - inner(s->gamma, g, d)) <= 1e-6 * size);
        free(x), free(d), free(g), free(y);
        paper_fixture_free(&f);
    }
}

static void hessian_products_are_differences_of_gradients_and_symmetric(void **state)
{
    (void)state;
    test_random random = test_random_new(23);
    for (int trial = 0; trial < 40; trial++) {
        const beam_paper_options options =
            paper_fixture_options(trial % 2 ? BEAM_REPAIR_ALL : 0, 1);
        paper_fixture f = paper_fixture_random(&random, &options, 0.1);
        const beam_paper_space *s = &f.paper->space;
        beam_paper_rate *r = &f.paper->rate;
        double *x = vector(s), *d = vector(s), *e = vector(s), *y = vector(s);
        double *hd = vector(s), *he = vector(s), *up = vector(s), *down = vector(s);
        start_somewhere(&f, &random, x);
        paper_fixture_direction(&f, &random, 1e-2, d);
        paper_fixture_direction(&f, &random, 1e-2, e);
        rate_at(&f, x);
        beam_paper_rate_hessian(r, s, x, d, d + s->gamma, hd, hd + s->gamma);
        beam_paper_rate_hessian(r, s, x, e, e + s->gamma, he, he + s->gamma);
        const double scale = sqrt(inner(s->n, hd, hd) * inner(s->n, e, e));
        assert_true(fabs(inner(s->n, hd, e) - inner(s->n, he, d)) <= 1e-11 * scale);
        /* NULL directions are zero */
        beam_paper_rate_hessian(r, s, x, NULL, d + s->gamma, he, he + s->gamma);
        beam_paper_rate_hessian(r, s, x, d, NULL, y, y + s->gamma);
        for (int i = 0; i < s->n; i++) {
            assert_true(fabs(he[i] + y[i] - hd[i]) <= 1e-12 * (fabs(he[i]) + fabs(y[i])) + 1e-14);
        }
        const double h = 1e-4;
        step(s->n, y, x, h, d);
        rate_at(&f, y);
        beam_paper_rate_gradient(r, s, y, up, up + s->gamma);
        step(s->n, y, x, -h, d);
        rate_at(&f, y);
        beam_paper_rate_gradient(r, s, y, down, down + s->gamma);
        double error = 0;
        for (int i = 0; i < s->n; i++) {
            error += pow((up[i] - down[i]) / (2 * h) - hd[i], 2);
        }
        assert_true(sqrt(error) <= 1e-5 * sqrt(inner(s->n, hd, hd)));
        free(x), free(d), free(e), free(y), free(hd), free(he), free(up), free(down);
        paper_fixture_free(&f);
    }
}

/* ---- lower level ---- */

static double gap_at(paper_fixture *f, const double *x, double *gradient)
{
    return beam_paper_lower_gap(&f->paper->lower, &f->paper->rate, &f->paper->space, x, gradient);
}

/* At gamma_bar, for both ball forms, raw and factored Q, one step and many, with the full reverse
 * sweep. */
static void gap_gradient_is_the_central_difference(void **state)
{
    (void)state;
    const int steps[] = {1, 2, 5, 20};
    test_random random = test_random_new(24);
    for (int trial = 0; trial < 48; trial++) {
        const unsigned repairs = (trial & 1 ? BEAM_REPAIR_PSD : 0) |
                                 (trial & 2 ? BEAM_REPAIR_UNITS : 0) |
                                 (trial & 4 ? BEAM_REPAIR_BALL : 0);
        const beam_paper_options options = paper_fixture_options(repairs, steps[trial / 8 % 4]);
        paper_fixture f = paper_fixture_random(&random, &options, 0.05);
        const beam_paper_space *s = &f.paper->space;
        double *x = vector(s), *d = vector(s), *g = vector(s), *y = vector(s);
        start_somewhere(&f, &random, x);
        paper_fixture_direction(&f, &random, 1e-2, d);
        beam_paper_lower_linearise(&f.paper->lower, &f.paper->rate, s, x);
        gap_at(&f, x, g);
        double best = INFINITY;
        for (double h = 1e-2; h > 1e-6;
             h *= 0.1) { /* the map bends where a multiplier switches: several steps */
            step(s->n, y, x, h, d);
            const double up = gap_at(&f, y, NULL);
            step(s->n, y, x, -h, d);
            const double down = gap_at(&f, y, NULL);
            best = fmin(best, fabs((up - down) / (2 * h) - inner(s->n, g, d)));
        }
        assert_true(best <= 1e-5 * sqrt(inner(s->n, g, g) * inner(s->n, d, d)));
        free(x), free(d), free(g), free(y);
        paper_fixture_free(&f);
    }
}

/* The formula of MATH 5 for K_GD = 1: a = 2 eta grad_gamma[w^T grad_delta WSR(gamma, 0)], w = delta
 * - phi. */
static void one_step_gradient_is_one_hessian_product(void **state)
{
    (void)state;
    test_random random = test_random_new(25);
    const beam_paper_options options = paper_fixture_options(BEAM_REPAIR_PSD | BEAM_REPAIR_BALL, 1);
    paper_fixture f = paper_fixture_random(&random, &options, 0.1);
    const beam_paper_space *s = &f.paper->space;
    double *x = vector(s), *g = vector(s), *w = vector(s), *a = vector(s);
    start_somewhere(&f, &random, x);
    beam_paper_lower_linearise(&f.paper->lower, &f.paper->rate, s, x);
    gap_at(&f, x, g);
    const double *phi = beam_paper_lower_map(&f.paper->lower, &f.paper->rate, s, x);
    for (int i = 0; i < s->delta; i++) {
        w[i] = x[s->gamma + i] - phi[i];
        assert_true(fabs(g[s->gamma + i] - 2 * w[i]) <= 1e-14 * (1 + fabs(w[i])));
    }
    beam_paper_rate_value(&f.paper->rate, s, x, NULL);
    beam_paper_rate_hessian(&f.paper->rate, s, x, NULL, w, a, NULL);
    double eta = 0;
    for (int i = 0; i < s->p->L * s->p->U; i++) { /* one step size for every link that matters */
        eta = fmax(eta, f.paper->lower.rate[i]);
    }
    assert_true(eta > 0);
    for (int i = 0; i < s->gamma; i++) {
        assert_true(fabs(g[i] - 2 * eta * a[i]) <= 1e-9 * fabs(2 * eta * a[i]) + 1e-12);
    }
    free(x), free(g), free(w), free(a);
    paper_fixture_free(&f);
}

static double convexity_defect(paper_fixture *f, test_random *random, double *scale)
{
    const beam_paper_space *s = &f->paper->space;
    double *x = vector(s), *y = vector(s), *z = vector(s), *d = vector(s);
    start_somewhere(f, random, z);
    paper_fixture_direction(f, random, 0.3, d);
    step(s->n, x, z, 1, d);
    paper_fixture_direction(f, random, 0.3, d);
    step(s->n, y, z, 1, d);
    beam_paper_lower_linearise(&f->paper->lower, &f->paper->rate, s, z);
    const double t = test_random_between(random, 0.1, 0.9), gx = gap_at(f, x, NULL),
                 gy = gap_at(f, y, NULL);
    for (int i = 0; i < s->n; i++) {
        z[i] = (1 - t) * x[i] + t * y[i];
    }
    *scale = gx + gy;
    const double defect = gap_at(f, z, NULL) - (1 - t) * gx - t * gy;
    free(x), free(y), free(z), free(d);
    return defect;
}

/* Theorem 1, and that it needs K_GD = 1: with more steps some chord bends the wrong way. */
static void gap_is_convex_for_one_step_and_fixed_linearisation_point_only(void **state)
{
    (void)state;
    test_random random = test_random_new(26);
    int broken = 0;
    for (int trial = 0; trial < 300; trial++) {
        const unsigned repairs = (trial & 1 ? BEAM_REPAIR_PSD : 0) |
                                 (trial & 2 ? BEAM_REPAIR_UNITS : 0) |
                                 (trial & 4 ? BEAM_REPAIR_BALL : 0);
        const beam_paper_options options = paper_fixture_options(repairs, trial % 3 == 2 ? 4 : 1);
        paper_fixture f = paper_fixture_random(&random, &options, 0.2);
        double scale;
        const double defect = convexity_defect(&f, &random, &scale);
        if (options.lower_steps == 1) {
            assert_true(defect <= 1e-10 * scale);
        } else {
            broken += defect > 1e-3 * scale;
        }
        paper_fixture_free(&f);
    }
    assert_true(broken > 0);
}

static void cuts_support_the_gap_for_one_step(void **state)
{
    (void)state;
    test_random random = test_random_new(27);
    for (int trial = 0; trial < 40; trial++) {
        const unsigned repairs = (trial & 1 ? BEAM_REPAIR_PSD : 0) |
                                 (trial & 2 ? BEAM_REPAIR_UNITS : 0) |
                                 (trial & 4 ? BEAM_REPAIR_BALL : 0);
        const beam_paper_options options = paper_fixture_options(repairs, 1);
        paper_fixture f = paper_fixture_random(&random, &options, 0.1);
        const beam_paper_space *s = &f.paper->space;
        beam_paper_cuts *cuts = &f.paper->cuts;
        double *x = vector(s), *d = vector(s), *g = vector(s), *y = vector(s);
        start_somewhere(&f, &random, x);
        beam_paper_lower_linearise(&f.paper->lower, &f.paper->rate, s, x);
        paper_fixture_direction(&f, &random, 0.2, d);
        step(s->n, x, x, 1, d); /* the plane touches away from gamma_bar too */
        const double gap = gap_at(&f, x, g), slack = 0.01 * gap;
        cuts->count = 0;
        beam_paper_cuts_add(cuts, x, gap, g, slack);
        assert_true(fabs(beam_paper_cut_value(cuts, 0, x) - (gap - slack)) <= 1e-9 * gap);
        for (int i = 0; i < 20; i++) {
            paper_fixture_direction(&f, &random, pow(10, test_random_between(&random, -3, 1)), d);
            step(s->n, y, x, 1, d);
            const double value = gap_at(&f, y, NULL);
            assert_true(beam_paper_cut_value(cuts, 0, y) <= value - slack + 1e-9 * (gap + value));
        }
        free(x), free(d), free(g), free(y);
        paper_fixture_free(&f);
    }
}

static void cuts_are_dropped_by_the_rule_and_never_exceed_their_room(void **state)
{
    (void)state;
    beam_paper_cuts cuts;
    double normal[3 * 4], offset[3];
    cuts = (beam_paper_cuts){.max = 3, .n = 4, .normal = normal, .offset = offset};
    const double x[4] = {1, 0, 0, 0}, up[4] = {1, 0, 0, 0}, down[4] = {-1, 0, 0, 0},
                 origin[4] = {0};
    beam_paper_cuts_add(&cuts, x, 0.5, up, 0.1);     /* x0 - 0.6 */
    beam_paper_cuts_add(&cuts, x, 0.25, down, 0.05); /* -x0 + 1.2 */
    beam_paper_cuts_add(&cuts, x, 0.5, up, 0.5);     /* x0 - 1: zero at x, positive never below */
    assert_int_equal(cuts.count, 3);
    assert_true(fabs(beam_paper_cut_value(&cuts, 0, x) - 0.4) < 1e-15);
    beam_paper_cuts_add(&cuts, x, 2, up, 0); /* no room: the oldest leaves */
    assert_int_equal(cuts.count, 3);
    assert_true(fabs(beam_paper_cut_value(&cuts, 0, x) - 0.2) < 1e-15);
    beam_paper_cuts_drop(&cuts, x); /* all hold with value >= 0 */
    assert_int_equal(cuts.count, 3);
    beam_paper_cuts_drop(&cuts, origin); /* 1.2, -1, 1: the second leaves */
    assert_int_equal(cuts.count, 2);
    assert_true(fabs(beam_paper_cut_value(&cuts, 1, origin) - 1) < 1e-15);
}

static double found_share(paper_fixture *f, const beam_design *design)
{
    const beam_paper_space *s = &f->paper->space;
    beam_error err;
    beam_quality quality;
    beam_evaluator *evaluator = test_evaluator_new(&f->scene->dims, design->sensing_max);
    test_must(beam_evaluator_load(evaluator, f->scene, &err), &err, "load");
    test_must(beam_evaluator_run(evaluator, design, &quality, &err), &err, "run");
    beam_paper_start(f->paper, 1, design);
    double *x = f->paper->x;
    beam_paper_lower_linearise(&f->paper->lower, &f->paper->rate, s, x);
    const double *phi = beam_paper_lower_map(&f->paper->lower, &f->paper->rate, s, x);
    memcpy(x + s->gamma, phi, (size_t)s->delta * sizeof *x);
    for (int i = 0; i < s->p->L * s->p->U; i++) { /* into the ball */
        double *d = x + s->gamma + i * s->p->stride;
        const double norm = sqrt(inner(s->p->stride, d, d));
        for (int k = 0; k < s->p->stride && norm > s->radius[i]; k++) {
            d[k] *= s->radius[i] / norm;
        }
    }
    test_evaluator_free(evaluator);
    return (quality.wsr_nominal_bps_hz - rate_at(f, x)) /
           (quality.wsr_nominal_bps_hz - quality.wsr_worst_case_bps_hz);
}

/* What a gradient lower level finds of the true loss (MATH 2): most of it with 20 steps, less with
 * one; the slack form less than the ball form. Never more than everything. */
static void lower_level_finds_most_of_the_worst_case(void **state)
{
    (void)state;
    const struct {
        unsigned repairs;
        int steps;
    } kinds[] = {{BEAM_REPAIR_ALL, 20},
                 {BEAM_REPAIR_ALL, 1},
                 {BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_BALL, 20}};
    double mean[3] = {0};
    for (int kind = 0; kind < 3; kind++) {
        test_random random = test_random_new(28);
        for (int trial = 0; trial < 20; trial++) {
            const beam_paper_options options =
                paper_fixture_options(kinds[kind].repairs, kinds[kind].steps);
            paper_fixture f = paper_fixture_random(&random, &options, 0.1);
            beam_design *design = test_random_design(&random, f.scene, -1);
            const double share = found_share(&f, design);
            assert_true(share <= 1 + 1e-9);
            mean[kind] += share / 20;
            test_design_free(design);
            paper_fixture_free(&f);
        }
    }
    assert_true(mean[0] > 0.97);
    assert_true(mean[1] > 0.6 && mean[1] < mean[0]);
    assert_true(mean[2] > 0.5 && mean[2] < mean[0]);
}

/* ---- cone rows and raw covariances ---- */

static void cone_functions_are_those_of_the_preference_vectors(void **state)
{
    (void)state;
    int first, last;
    const beam_preference u = beam_paper_preference(3, 9);
    const double inside[2] = {2 * u.u1, 2 * u.u2};
    assert_true(beam_paper_cone(3, 9, inside, 0, &first, &last) < 0);
    assert_int_equal(first, -1);
    const beam_preference other = beam_paper_preference(6, 9);
    const double outside[2] = {other.u1, other.u2};
    const double largest = beam_paper_cone(3, 9, outside, 0, &first, &last);
    assert_true(fabs(largest - (1 - (u.u1 * other.u1 + u.u2 * other.u2))) < 1e-14);
    assert_int_equal(first, 4);
    assert_int_equal(last, 8); /* u_8 is as far from u_6 as u_4, u_3 farther */
    assert_true(beam_paper_cone(0, 1, outside, 0, &first, &last) == -INFINITY);
    const beam_preference ends[2] = {beam_paper_preference(0, 16), beam_paper_preference(15, 16)};
    assert_true(ends[0].u1 == 0 && ends[0].u2 == 1 && ends[1].u1 == 1 && fabs(ends[1].u2) < 1e-15);
}

static void writing_a_raw_covariance_keeps_what_senses_and_never_adds(void **state)
{
    (void)state;
    test_random random = test_random_new(29);
    for (int trial = 0; trial < 40; trial++) {
        const beam_paper_options options = paper_fixture_options(0, 1);
        paper_fixture f = paper_fixture_random(&random, &options, 0.1);
        const beam_problem *p = &f.paper->problem;
        const beam_paper_space *s = &f.paper->space;
        double *x = vector(s), *d = vector(s);
        start_somewhere(&f, &random, x);
        assert_false(beam_paper_indefinite(f.paper, x));
        const double crlb =
            beam_paper_sensing_value(&f.paper->sensing, &f.paper->problem, s, x, NULL);
        beam_paper_to_rows(f.paper, x, f.paper->rows);
        for (int l = 0; l < p->L; l++) {
            const int rows = p->first[l + 1] - p->first[l];
            const double written =
                beam_row_norm2(rows * p->stride, f.paper->rows + p->first[l] * p->stride);
            assert_true(written <= beam_paper_power(s, x, l) * (1 + 1e-9));
        }
        beam_paper_from_rows(f.paper, f.paper->rows, d);
        const double back =
            beam_paper_sensing_value(&f.paper->sensing, &f.paper->problem, s, d, NULL);
        /* 1 % is spread isotropically on the way in: the bound changes little, and not at all
         * without that */
        assert_true(fabs(back - crlb) <= 0.05 * crlb);
        /* an indefinite covariance is seen, and its positive part written */
        for (int i = 0; i < p->D; i++) {
            x[(s->first[0] + p->K[0] + i) * p->stride + i] -= 0.5;
        }
        assert_true(beam_paper_indefinite(f.paper, x));
        beam_paper_to_rows(f.paper, x, f.paper->rows);
        const double part = beam_row_norm2((p->first[1] - p->first[0] - p->K[0]) * p->stride,
                                           f.paper->rows + (p->first[0] + p->K[0]) * p->stride);
        assert_true(isfinite(part) && part < 1);
        free(x), free(d);
        paper_fixture_free(&f);
    }
}

static void eigenvalues_rebuild_the_matrix(void **state)
{
    (void)state;
    test_random random = test_random_new(30);
    for (int n = 1; n <= 12; n++) {
        beam_complex A[144], B[144], V[144];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                const beam_complex z = test_random_complex(&random);
                A[i * n + j] = (beam_complex){z.re, i == j ? 0 : z.im};
                A[j * n + i] = (beam_complex){z.re, i == j ? 0 : -z.im};
            }
        }
        memcpy(B, A, sizeof B);
        beam_paper_eigen(n, A, V);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                double re = 0, im = 0, ore = 0, oim = 0;
                for (int k = 0; k < n; k++) {
                    const beam_complex a = V[i * n + k], b = V[j * n + k], c = V[k * n + i],
                                       d = V[k * n + j];
                    re += A[k * n + k].re * (a.re * b.re + a.im * b.im);
                    im += A[k * n + k].re * (a.im * b.re - a.re * b.im);
                    ore += c.re * d.re + c.im * d.im;
                    oim += c.re * d.im - c.im * d.re;
                }
                assert_true(fabs(re - B[i * n + j].re) < 1e-12 &&
                            fabs(im - B[i * n + j].im) < 1e-12);
                assert_true(fabs(ore - (i == j)) < 1e-13 && fabs(oim) < 1e-13);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_and_crlb_are_those_of_the_evaluator),
        cmocka_unit_test(gradients_are_central_differences),
        cmocka_unit_test(hessian_products_are_differences_of_gradients_and_symmetric),
        cmocka_unit_test(gap_gradient_is_the_central_difference),
        cmocka_unit_test(one_step_gradient_is_one_hessian_product),
        cmocka_unit_test(gap_is_convex_for_one_step_and_fixed_linearisation_point_only),
        cmocka_unit_test(cuts_support_the_gap_for_one_step),
        cmocka_unit_test(cuts_are_dropped_by_the_rule_and_never_exceed_their_room),
        cmocka_unit_test(lower_level_finds_most_of_the_worst_case),
        cmocka_unit_test(cone_functions_are_those_of_the_preference_vectors),
        cmocka_unit_test(writing_a_raw_covariance_keeps_what_senses_and_never_adds),
        cmocka_unit_test(eigenvalues_rebuild_the_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
