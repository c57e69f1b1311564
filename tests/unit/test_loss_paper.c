/* Loss (27) as printed and the errors' own loss: gradients against differences, and what the parts
 * mean. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "model/row.h"
#include "network/loss_paper.h"
#include "solver/solver_internal.h"

typedef struct fixture {
    beam_solver *solver;
    beam_problem *p;
    void *memory;
    beam_net_loss_paper paper;
    beam_net_loss loss;
    int point, errors;         /* doubles */
    double *x, *delta;         /* (gamma, delta), one after the other */
    double *x_bar, *delta_bar; /* likewise */
    double *direction, *moved; /* likewise */
    beam_net_loss_options options;
} fixture;

static size_t carve(fixture *f, const beam_dims *dims, int steps, void *memory)
{
    beam_arena arena = {memory, 0};
    beam_net_loss_carve(&f->loss, &arena, dims);
    beam_net_loss_paper_carve(&f->paper, &arena, dims, f->p->r, steps);
    return arena.used;
}

/* Random entries where a row has any. */
static void fill_rows(test_random *random, const beam_problem *p, int rows, double scale,
                      double *to)
{
    for (int i = 0; i < rows; i++) {
        for (int d = 0; d < p->D; d++) {
            to[i * p->stride + d] += scale * test_random_normal(random);
            to[i * p->stride + p->Dp + d] += scale * test_random_normal(random);
        }
    }
}

/* Errors inside their balls. */
static void draw_errors(test_random *random, const beam_problem *p, double *delta)
{
    fill_rows(random, p, p->L * p->U, 1.0, delta);
    for (int i = 0; i < p->L * p->U; i++) {
        double *row = delta + i * p->stride;
        const double length = sqrt(beam_row_norm2(p->stride, row));
        beam_row_scale(p->stride, 0.8 * p->eps[i] / length, row);
    }
}

static void set_up(fixture *f, uint64_t seed, const beam_dims *dims, double radius, int steps)
{
    test_random random = test_random_new(seed);
    beam_scene *scene = test_random_scene(&random, dims, radius);
    beam_error err;
    for (int u = 0; u < dims->users; u++) {
        scene->user_station[u] = u % dims->stations;
    }
    beam_solver *s = f->solver = test_solver_new(dims);
    test_must(beam_solver_load(s, scene, &err), &err, "load");
    test_must(beam_solver_prepare(s, &err), &err, "prepare");
    test_must(beam_solver_compute_sensing_end(s, &err), &err, "sensing end");
    test_scene_free(scene);
    s->ideal.wsr_ideal_bps_hz = 6.0;
    f->p = &s->problem;
    f->memory = test_memory(carve(f, dims, steps, NULL));
    (void)carve(f, dims, steps, f->memory);
    f->point = f->p->rows * f->p->stride;
    f->errors = f->p->L * f->p->U * f->p->stride;
    const size_t n = (size_t)(f->point + f->errors);
    f->x = test_memory(4 * n * sizeof *f->x);
    f->x_bar = f->x + n;
    f->direction = f->x_bar + n;
    f->moved = f->direction + n;
    f->delta = f->x + f->point;
    f->delta_bar = f->x_bar + f->point;
    beam_classical_compose(f->p, s->unit, 0.5, f->x);
    fill_rows(&random, f->p, f->p->rows, 0.05, f->x);
    draw_errors(&random, f->p, f->delta);
    fill_rows(&random, f->p, f->p->rows, 1.0, f->direction);
    draw_errors(&random, f->p, f->direction + f->point);
    f->options = beam_net_loss_options_default();
    f->options.clip = 1e9;
    f->options.power_penalty = 3.0;
    const beam_preference u = beam_preference_from_tradeoff(0.4);
    beam_net_loss_paper_load(&f->paper, f->p, &s->ideal, u);
    beam_net_loss_load(&f->loss, f->p, &s->ideal, u);
}

static void tear_down(fixture *f)
{
    test_solver_free(f->solver);
    free(f->memory);
    free(f->x);
}

static double value_at(fixture *f, double t)
{
    double *ignored = test_memory((size_t)(f->point + f->errors) * sizeof *ignored);
    for (int i = 0; i < f->point + f->errors; i++) {
        f->moved[i] = f->x[i] + t * f->direction[i];
    }
    const beam_net_loss_result r = beam_net_loss_paper_value(
        &f->paper, &f->options, f->moved, f->moved + f->point, ignored, ignored + f->point);
    assert_false(r.dark || r.clipped);
    free(ignored);
    return r.loss;
}

static beam_net_loss_result value(fixture *f)
{
    return beam_net_loss_paper_value(&f->paper, &f->options, f->x, f->delta, f->x_bar,
                                     f->delta_bar);
}

static const beam_dims paper = {.stations = 3, .antennas = 5, .users = 3, .targets = 2};

/* The plane stays while the pair moves. */
static void test_gradient(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k++) {
        fixture f = {.solver = NULL};
        set_up(&f, 10 + (uint64_t)k, &paper, k == 0 ? 0.0 : 0.05 * k, k % 2 ? 1 : 20);
        (void)beam_net_loss_paper_cut(&f.paper, f.x, f.delta);
        assert_int_equal(f.paper.cuts.count, k > 0);
        assert_false(value(&f).dark);
        const double h = 1e-6, slope = (value_at(&f, h) - value_at(&f, -h)) / (2 * h);
        const double exact = beam_row_inner(f.point + f.errors, f.x_bar, f.direction);
        const double size = sqrt(beam_row_norm2(f.point, f.x_bar)) + 1e-3;
        if (!(fabs(slope - exact) < 1e-6 * size)) {
            fail_msg("case %d: gradient %.9g, differences %.9g, size %g", k, exact, slope, size);
        }
        tear_down(&f);
    }
}

/* sigma max(0, g - eps_g)^2 at the pair that the plane was taken at; no plane where the errors are
 * those of the lower level. */
static void test_plane(void **state)
{
    (void)state;
    fixture f = {.solver = NULL};
    set_up(&f, 20, &paper, 0.1, 20);
    const double without = value(&f).loss;
    const double gap = beam_net_loss_paper_cut(&f.paper, f.x, f.delta);
    assert_true(gap > 0.1);
    const double over = gap - 1e-3;
    assert_true(fabs(value(&f).loss - without - 3.0 * over * over) < 1e-9 * over * over);
    const double *phi = beam_paper_lower_map(&f.paper.lower, &f.paper.rate, &f.paper.space, f.x);
    for (int i = 0; i < f.errors; i++) {
        f.delta[i] = phi[i] * f.paper.space.unit[i / f.p->stride];
    }
    assert_true(beam_net_loss_paper_cut(&f.paper, f.x, f.delta) < 1e-20);
    assert_int_equal(f.paper.cuts.count, 0);
    tear_down(&f);
}

/* The rate is the one at the errors, the bound the exact one, in units of the ideal values. */
static void test_value(void **state)
{
    (void)state;
    fixture f = {.solver = NULL};
    set_up(&f, 30, &paper, 0.1, 1);
    const beam_problem *p = f.p;
    double wsr = 0.0;
    for (int u = 0; u < p->U; u++) {
        double signal = 0.0, noise = 1.0;
        for (int i = 0, l = 0; i < p->rows; i++) {
            l += i == p->first[l + 1];
            double channel[2 * BEAM_MAX_ANTENNAS], re, im;
            for (int d = 0; d < p->stride; d++) {
                const int at = (l * p->U + u) * p->stride + d;
                channel[d] = p->h[at] + f.delta[at];
            }
            beam_row_dot(p->Dp, channel, f.x + i * p->stride, &re, &im);
            *(i == p->row_of[u] ? &signal : &noise) += re * re + im * im;
        }
        wsr += p->weight[u] * log2(1 + signal / noise);
    }
    memcpy(f.solver->candidate.x, f.x, (size_t)f.point * sizeof *f.x);
    assert_true(beam_solver_measure(f.solver, &f.solver->candidate));
    const beam_preference u = beam_preference_from_tradeoff(0.4);
    const double least = f.solver->ideal.crlb_min_m2;
    const double expected =
        (-u.u2 * wsr * 2 / 6.0 + u.u1 * f.solver->candidate.crlb / least) / (u.u1 + u.u2);
    const double got = value(&f).loss;
    if (!(fabs(got - expected) < 1e-9 * fabs(expected))) {
        fail_msg("%.12g, expected %.12g", got, expected);
    }
    tear_down(&f);
}

static void test_clip(void **state)
{
    (void)state;
    fixture f = {.solver = NULL};
    set_up(&f, 40, &paper, 0.1, 1);
    f.options.clip = 1e-3;
    assert_true(value(&f).clipped);
    double norm2 = beam_row_norm2(f.point, f.x_bar);
    for (int i = 0; i < f.p->L * f.p->U; i++) {
        norm2 +=
            f.p->eps[i] * f.p->eps[i] * beam_row_norm2(f.p->stride, f.delta_bar + i * f.p->stride);
    }
    assert_true(fabs(sqrt(norm2) - 1e-3) < 1e-12);
    memset(f.x, 0, (size_t)f.point * sizeof *f.x); /* locates nothing */
    const beam_net_loss_result dark = value(&f);
    assert_true(dark.dark && dark.loss == BEAM_NET_LOSS_DARK);
    assert_true(beam_row_norm2(f.point + f.errors, f.x_bar) == 0.0);
    tear_down(&f);
}

/* Zero at the worst errors, otherwise their squared distance, with its gradient. */
static void test_errors(void **state)
{
    (void)state;
    fixture f = {.solver = NULL};
    set_up(&f, 50, &paper, 0.1, 1);
    const beam_problem *p = f.p;
    const double weight = 0.3,
                 sum = beam_net_loss_errors(&f.loss, f.x, f.delta, weight, f.delta_bar);
    double distance = 0.0;
    int uncertain = 0;
    double *worst = test_memory((size_t)f.errors * sizeof *worst);
    for (int i = 0; i < p->L * p->U; i++) {
        double *row = worst + i * p->stride, between[2 * BEAM_MAX_ANTENNAS];
        beam_robust_channel(&f.loss.robust, i / p->U, i % p->U, row);
        beam_row_add(p->stride, -1.0, p->h + i * p->stride, row);
        assert_true(sqrt(beam_row_norm2(p->stride, row)) <= p->eps[i] * (1 + 1e-9));
        memcpy(between, row, (size_t)p->stride * sizeof *row);
        beam_row_add(p->stride, -1.0, f.delta + i * p->stride, between);
        if (p->eps[i] > 0.0) {
            uncertain++;
            distance += beam_row_norm2(p->stride, between) / (p->eps[i] * p->eps[i]);
        }
    }
    assert_true(uncertain > 0);
    assert_true(fabs(sum - weight * distance / uncertain) < 1e-9 * sum && sum > 0.1);
    const double slope = beam_row_inner(f.errors, f.delta_bar, f.direction + f.point), h = 1e-5;
    double side[2];
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < f.errors; i++) {
            f.moved[i] = f.delta[i] + (k ? -h : h) * f.direction[f.point + i];
        }
        side[k] = beam_net_loss_errors(&f.loss, f.x, f.moved, weight, f.delta_bar);
    }
    assert_true(fabs((side[0] - side[1]) / (2 * h) - slope) < 1e-7 * (1 + fabs(slope)));
    assert_true(beam_net_loss_errors(&f.loss, f.x, worst, weight, f.delta_bar) < 1e-20);
    free(worst);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradient),
                                       cmocka_unit_test(test_plane), cmocka_unit_test(test_value),
                                       cmocka_unit_test(test_clip), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
