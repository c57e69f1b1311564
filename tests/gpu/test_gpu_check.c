/* Reduction, robust zero-forcing, worst-case rates, CRLB and merit of the device functions, run on
 * the CPU, against the float64 engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/golden.h"
#include "device/device.cuh"
#include "gpu/case.h"

enum { EVERYTHING_FAST = 1 << 30, PER_KIND = 120, EMULATED = 4 };

/* Stated in docs/gpu.md. The engine takes S of MATH 3 as a difference and loses digits where a
 * station's covariance is near rank one, the device sums squares: hence a bound of its own for the
 * CRLB. */
static const double certificate_bound = 1e-9, crlb_bound = 1e-8, rate_bound = 1e-4,
                    product_bound = 2e-6, zero_forcing_bound = 2e-5;

typedef struct worst {
    double certificate, crlb64, rate32, crlb32, product, zero_forcing;
} worst;
static worst seen;

static double largest(double a, double b)
{
    return a > b || isnan(a) ? a : b;
}

/* |a - b| over |b|, or over `unit` where that is larger. */
static double apart(double a, double b, double unit)
{
    if (a == b) {
        return 0;
    }
    return fabs(a - b) / fmax(fabs(b), unit);
}

/* --- Reduction and zero-forcing ----------------------------------------------------------------
 */

static void work_reduce(const beam_team *t, void *arg)
{
    test_gpu_case *c = arg;
    beam_gpu_reduce(t, &c->problem);
    beam_gpu_rzf(t, &c->problem);
}

/* a^H b of row vectors in the engine's coordinates. */
static beam_complex engine_dot(const beam_problem *p, const double *a, const double *b)
{
    beam_complex z = {0, 0};
    for (int d = 0; d < p->D; d++) {
        z.re += a[d] * b[d] + a[p->Dp + d] * b[p->Dp + d];
        z.im += a[d] * b[p->Dp + d] - a[p->Dp + d] * b[d];
    }
    return z;
}
static double engine_norm(const beam_problem *p, const double *a)
{
    return sqrt(engine_dot(p, a, a).re);
}

/* Vector q of a station in the engine's coordinates, with the device's scaling; the caller's row.
 */
static void engine_vector(const test_gpu_case *c, int l, int q, double *row)
{
    const beam_problem *p = &c->solver->problem;
    const double V = p->crlb.V > 0 ? p->crlb.V : 1;
    const double *from;
    double scale = 1;
    if (q < p->U) {
        from = p->h + (size_t)((l * p->U + q) * p->stride);
    } else if (q < p->U + 2 * p->J) {
        const int k = q - p->U;
        from = p->tx + (size_t)((l * 2 * p->J + k) * p->stride);
        scale = 1 / sqrt(k % 2 ? p->N * V : p->N);
    } else {
        const int row_at = p->first[l] + p->K[l] + q - p->U - 2 * p->J;
        from = c->solver->sensing + (size_t)(row_at * p->stride);
    }
    for (int i = 0; i < p->stride; i++) {
        row[i] = scale * from[i];
    }
}

/* Inner products do not depend on the basis. */
static void compare_products(const test_gpu_case *c)
{
    const beam_gpu_sizes *s = &c->plan.s;
    const beam_problem *p = &c->solver->problem;
    const beam_c32 *v = BEAM_WORK(&c->problem, beam_c32, vectors);
    double a[2 * BEAM_MAX_ANTENNAS], b[2 * BEAM_MAX_ANTENNAS];
    for (int l = 0; l < s->L; l++) {
        for (int i = 0; i < s->Q; i++) {
            for (int k = 0; k <= i; k++) {
                engine_vector(c, l, i, a);
                engine_vector(c, l, k, b);
                const beam_complex want = engine_dot(p, a, b);
                const beam_c32 got =
                    beam_gpu32_dot(s->D, v + (l * s->Q + i) * s->D, v + (l * s->Q + k) * s->D);
                /* sensing rows of no power are rounding noise of the least-CRLB problem */
                const double size = fmax(engine_norm(p, a) * engine_norm(p, b), 1e-3);
                const double gap = hypot(got.re - want.re, got.im - want.im);
                seen.product = largest(gap / size, seen.product);
            }
        }
    }
}

static void compare_zero_forcing(const test_gpu_case *c)
{
    const beam_gpu_sizes *s = &c->plan.s;
    const beam_problem *p = &c->solver->problem;
    const beam_c32 *v = BEAM_WORK(&c->problem, beam_c32, vectors),
                   *unit = BEAM_WORK(&c->problem, beam_c32, unit);
    for (int u = 0; u < s->U; u++) {
        const int l = p->own[u];
        const double *beam = c->solver->unit + (size_t)(p->row_of[u] * p->stride);
        for (int k = 0; k < s->U; k++) {
            const double *h = p->h + (size_t)((l * p->U + k) * p->stride);
            const beam_complex want = engine_dot(p, h, beam);
            const beam_c32 got = beam_gpu32_dot(s->D, v + (l * s->Q + k) * s->D, unit + u * s->D);
            const double size = engine_norm(p, h) * engine_norm(p, beam),
                         gap = hypot(got.re - want.re, got.im - want.im);
            seen.zero_forcing = largest(size > 0 ? gap / size : gap, seen.zero_forcing);
        }
    }
}

static void reduction(void **state)
{
    (void)state;
    for (int kind = 0; kind < TEST_GPU_KINDS; kind++) {
        for (int i = 0; i < PER_KIND; i++) {
            test_random random = test_random_new((uint64_t)(1000 * kind + i));
            test_gpu_case *c =
                test_gpu_case_new(test_gpu_scene(&random, kind), NULL, NULL, EVERYTHING_FAST);
            test_gpu_case_request(c, 0.5, NULL, 0, 0);
            if (i < EMULATED) {
                test_team_run(32, (test_lane_order)(i % 3), work_reduce, c);
            } else {
                test_team_single(work_reduce, c);
            }
            compare_products(c);
            compare_zero_forcing(c);
            test_gpu_case_free(c);
        }
    }
    print_message("products within %.1e, zero-forcing within %.1e\n", seen.product,
                  seen.zero_forcing);
    assert_true(seen.product <= product_bound);
    assert_true(seen.zero_forcing <= zero_forcing_bound);
}

/* --- Exact numbers -----------------------------------------------------------------------------
 */

static beam_gpu_numbers answer64, answer32;

static void work_certify(const beam_team *t, void *arg)
{
    test_gpu_case *c = arg;
    const beam_gpu_numbers v = beam_gpu_certify(t, &c->problem);
    if (t->lane == 0) {
        answer64 = v;
    }
}

/* The same rows in the subspace, in float32. */
static void work_search(const beam_team *t, void *arg)
{
    test_gpu_case *c = arg;
    beam_gpu_warm_start(t, &c->problem);
    const beam_gpu_sizes *s = &c->plan.s;
    BEAM_EACH(t, i, s->rows * s->D)
    {
        BEAM_WORK(&c->problem, beam_c32, vector)[i] = BEAM_WORK(&c->problem, beam_c32, w)[i];
    }
    beam_team_sync(t);
    const beam_gpu_numbers v = beam_gpu_search_numbers(t, &c->problem);
    if (t->lane == 0) {
        answer32 = v;
    }
}

static void run(int lanes, test_lane_order order, test_team_work *work, void *arg)
{
    if (lanes == 1) {
        test_team_single(work, arg);
    } else {
        test_team_run(lanes, order, work, arg);
    }
}

/* A design's numbers, both precisions, against the evaluator. */
static void compare_design(test_gpu_case *c, const beam_design *design, int lanes,
                           test_lane_order order)
{
    const beam_problem *p = &c->solver->problem;
    beam_error err = {0};
    beam_quality want;
    test_gpu_case_candidate(c, design);
    beam_design *sent = test_gpu_case_design(c);
    test_must(beam_evaluator_run(c->evaluator, sent, &want, &err), &err, "evaluator");
    run(lanes, order, work_certify, c);
    double rate[BEAM_MAX_USERS];
    for (int u = 0; u < p->U; u++) {
        rate[u] = BEAM_WORK(&c->problem, double, rate)[u];
        seen.certificate = largest(
            apart(rate[u], want.user_rate_worst_case_bps_hz[p->order[u]], 1e-3), seen.certificate);
    }
    seen.certificate =
        largest(apart(answer64.wsr, want.wsr_worst_case_bps_hz, 1e-3), seen.certificate);
    if (want.crlb_valid) {
        seen.crlb64 = largest(apart(answer64.crlb, want.crlb_m2, 0), seen.crlb64);
    } else {
        assert_true(isinf(answer64.crlb) || answer64.crlb == 0);
    }
    run(lanes, order, work_search, c);
    for (int u = 0; u < p->U; u++) { /* of a bit/s/Hz where the rate is less */
        seen.rate32 =
            largest(apart(BEAM_WORK(&c->problem, double, rate)[u], rate[u], 1), seen.rate32);
    }
    if (want.crlb_valid) {
        seen.crlb32 = largest(apart(answer32.crlb, want.crlb_m2, 0), seen.crlb32);
    }
    test_design_free(sent);
}

static void compare_scene(test_random *random, beam_scene *scene, int lanes, test_lane_order order)
{
    test_gpu_case *c = test_gpu_case_new(scene, NULL, NULL, EVERYTHING_FAST);
    test_gpu_case_request(c, 0.5, NULL, 0, 0);
    run(lanes, order, work_reduce, c);
    beam_design *random_design = test_random_design(random, c->scene, c->plan.s.r);
    beam_design *composed = test_design_new(&c->scene->dims, -1);
    beam_classical_compose(&c->solver->problem, c->solver->unit, test_random_uniform(random),
                           c->solver->spare.x);
    beam_problem_export(&c->solver->problem, c->solver->spare.x, composed);
    beam_design *forced = test_zero_forcing_design(c->scene);
    for (int l = 0; l < c->scene->dims.stations; l++) { /* as many columns as the plan has */
        forced->sensing_count[l] =
            forced->sensing_count[l] < c->plan.s.r ? forced->sensing_count[l] : c->plan.s.r;
    }
    compare_design(c, composed, lanes, order);
    if (c->plan.s.D == c->plan.s.N) { /* others leave the subspace */
        compare_design(c, random_design, lanes, order);
        compare_design(c, forced, lanes, order);
    }
    test_design_free(random_design);
    test_design_free(composed);
    test_design_free(forced);
    test_gpu_case_free(c);
}

static void exact_numbers(void **state)
{
    (void)state;
    for (int kind = 0; kind < TEST_GPU_KINDS; kind++) {
        for (int i = 0; i < PER_KIND; i++) {
            test_random random = test_random_new((uint64_t)(1000 * kind + i));
            beam_scene *scene = test_gpu_scene(&random, kind);
            compare_scene(&random, scene, i < EMULATED ? 32 : 1, (test_lane_order)(i % 3));
        }
        print_message("kind %d: certificate %.1e, crlb %.1e; float32 %.1e, crlb %.1e\n", kind,
                      seen.certificate, seen.crlb64, seen.rate32, seen.crlb32);
    }
    assert_true(seen.certificate <= certificate_bound);
    assert_true(seen.crlb64 <= crlb_bound);
    assert_true(seen.rate32 <= rate_bound);
    assert_true(seen.crlb32 <= rate_bound);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduction),
        cmocka_unit_test(exact_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
