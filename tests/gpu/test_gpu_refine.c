/* Solver steps of the device functions, run on the CPU: their gradient, and what they reach,
 * against the float64 engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BEAM_GPU_REFINE_BOTH
#include "device/device.cuh"
#include "device/refine.cuh"
#include "gpu/case.h"
#include "plan_refine.h"

enum { EVERYTHING_FAST = 1 << 30, GRADIENT_CASES = 10, REFINE_CASES = 60, EMULATED = 2 };

/* Stated in docs/gpu.md. Gradient: of a float64 instantiation against central differences, over its
 * length; value: against the engine's at the beams before they were rounded to float32, relative
 * (of 1 at least). Merit after as many iterations as the engine's: the difference over the merit at
 * the start (1 at least). */
static const double gradient_bound = 1e-6, value_bound = 1e-5, mean_bound = 5e-3, p95_bound = 1e-2;

/* A problem with the memory of its refinement. */
typedef struct fixture {
    test_gpu_case *c;
    beam_gpu_refine_plan plan;
    beam_gpu_refiner r;
    unsigned char *memory;
    int iterations;
} fixture;

static void fixture_init(fixture *f, test_gpu_case *c, int bits, int fast_limit)
{
    f->c = c;
    beam_gpu_refine_plan_make(&f->plan, &c->plan, bits, BEAM_GPU_REFINE_PAIRS, fast_limit);
    const size_t fast = (size_t)f->plan.fast_bytes, slow = (size_t)f->plan.slow_bytes;
    f->memory = test_memory(fast + slow + 16);
    memset(f->memory, 0xff, fast + slow + 16);
    f->r = (beam_gpu_refiner){&f->plan, c->problem, c->problem};
    f->r.search.fast = f->r.certify.fast = f->memory;
    f->r.search.slow = f->r.certify.slow = f->memory + fast;
    f->r.search.plan = &f->plan.search;
    f->r.certify.plan = &f->plan.certify;
}

static void fixture_free(fixture *f)
{
    free(f->memory);
    test_gpu_case_free(f->c);
}

static void run(int lanes, test_lane_order order, test_team_work *work, void *arg)
{
    if (lanes == 1) {
        test_team_single(work, arg);
    } else {
        test_team_run(lanes, order, work, arg);
    }
}

/* Rows of the engine's point into work.candidate of the answer and of the steps. */
static void put_candidate(fixture *f, const double *x)
{
    test_gpu_case *c = f->c;
    beam_design *d = test_design_new(&c->scene->dims, -1);
    beam_problem_export(&c->solver->problem, x, d);
    test_gpu_case_candidate(c, d);
    test_design_free(d);
    memcpy(BEAM_WORK(&f->r.search, beam_c32, candidate),
           BEAM_WORK(&c->problem, beam_c32, candidate),
           (size_t)(c->plan.s.rows * c->plan.s.N) * sizeof(beam_c32));
}

/* --- Gradient ----------------------------------------------------------------------------------
 */

static const double probed_smoothing = 0.1;

/* Value at y, gradient into g, from a cold start: the same function at every point. */
static double value_of(fixture *f, const double *y, double *g)
{
    const beam_team team = {.lane = 0, .lanes = 1, .shared = NULL};
    beam_gpu_objective o = beam_gpu_objective_of(&f->r.search);
    o.smoothing = probed_smoothing;
    return beam_gpu64_refine_value(&team, &f->r, &o, y, g);
}

/* The engine's value at the same rows and slacks. */
static double engine_value(test_gpu_case *c, const double *x, const double *slack)
{
    beam_solver *s = c->solver;
    beam_objective *o = &s->objective;
    const beam_gpu_request_head *head = beam_gpu_head(&c->problem);
    const beam_preference u = {head->u1, head->u2};
    beam_solver_set_preference(s, u);
    o->temperature = 0.01;
    o->smoothing = probed_smoothing;
    o->floor_penalty = s->has_floors ? 1e3 : 0.0;
    memset(o->floor_multiplier, 0, sizeof o->floor_multiplier);
    beam_objective_encode(o, x, s->y);
    memcpy(s->y + s->problem.rows * s->problem.stride, slack, (size_t)s->problem.L * sizeof *slack);
    s->robust.warm = 0;
    return beam_objective_value(o, s->y, s->lbfgs.g);
}

/* Central differences along a random direction; returns the difference over the gradient's length.
 */
static double probe(fixture *f, test_random *random, const double *y, const double *g)
{
    const int n = f->plan.n;
    const double step = 1e-5;
    double *along = test_memory((size_t)n * sizeof *along),
           *at = test_memory((size_t)n * sizeof *at),
           *unused = BEAM_REFINE(&f->r, double, trial_gradient), v[2], slope = 0, size = 0;
    for (int k = 0; k < n; k++) {
        along[k] = test_random_uniform(random) - 0.5;
        slope += along[k] * g[k];
        size += g[k] * g[k];
    }
    for (int side = 0; side < 2; side++) {
        for (int k = 0; k < n; k++) {
            at[k] = y[k] + (side ? step : -step) * along[k];
        }
        v[side] = value_of(f, at, unused);
    }
    free(along);
    free(at);
    return size > 0 ? fabs((v[1] - v[0]) / (2 * step) - slope) / sqrt(size) : fabs(v[1] - v[0]);
}

/* Off the points where a station sends exactly nothing to a target: S of MATH 3 jumps there. */
static void stir(const beam_problem *p, test_random *random, double *x)
{
    for (int i = 0; i < p->rows; i++) {
        for (int d = 0; d < p->D; d++) {
            x[i * p->stride + d] += 0.05 * (test_random_uniform(random) - 0.5);
            x[i * p->stride + p->Dp + d] += 0.05 * (test_random_uniform(random) - 0.5);
        }
    }
}

static void work_encode(const beam_team *t, void *arg)
{
    fixture *f = arg;
    beam_gpu_load_radii(t, &f->r.search);
    beam_gpu64_refine_encode(t, &f->r);
}

static void gradient(void **state)
{
    (void)state;
    double worst = 0, values = 0;
    int finite = 0;
    for (int k = 0; k < TEST_GPU_KINDS * GRADIENT_CASES; k++) {
        const int kind = k / GRADIENT_CASES;
        test_random random = test_random_new((uint64_t)(1000 * kind + k % GRADIENT_CASES));
        test_gpu_case *c =
            test_gpu_case_new(test_gpu_scene(&random, kind), NULL, NULL, EVERYTHING_FAST);
        const beam_gpu_sizes *s = &c->plan.s;
        double *x = c->solver->spare.x;
        fixture f;
        fixture_init(&f, c, 64, EVERYTHING_FAST);
        test_gpu_case_request(c, 0.1 * (k % GRADIENT_CASES), NULL, 0, 0);
        beam_classical_compose(&c->solver->problem, c->solver->unit, 0.6, x);
        stir(&c->solver->problem, &random, x);
        put_candidate(&f, x);
        test_team_single(work_encode, &f);
        double *y = BEAM_REFINE(&f.r, double, y), *g = BEAM_REFINE(&f.r, double, gradient);
        const double value = value_of(&f, y, g), want = engine_value(c, x, y + 2 * s->rows * s->N);
        assert_true(isfinite(value) == isfinite(want));
        if (isfinite(want)) {
            finite++;
            values = fmax(values, fabs(want - value) / fmax(fabs(want), 1));
            worst = fmax(worst, probe(&f, &random, y, g));
        }
        fixture_free(&f);
    }
    print_message("%d points: gradient within %.1e of differences, value within %.1e of the "
                  "engine's\n",
                  finite, worst, values);
    assert_true(finite >= 9 * GRADIENT_CASES);
    assert_true(worst <= gradient_bound);
    assert_true(values <= value_bound);
}

/* --- Against the engine's refinement ------------------------------------------------------------
 */

/* The candidate, certified, as the answer. */
static void work_answer(const beam_team *t, void *arg)
{
    fixture *f = arg;
    const beam_gpu_problem *p = &f->c->problem;
    beam_gpu_clear_answer(t, p);
    beam_gpu_load_radii(t, p);
    beam_gpu_fit(t, p);
    beam_gpu_consider(t, p, BEAM_GPU_CLASSICAL);
}

static void work_refine(const beam_team *t, void *arg)
{
    fixture *f = arg;
    beam_gpu_refine_answer(t, &f->r, f->iterations);
}

static const beam_gpu_answer_head *answer_of(const fixture *f)
{
    return (const beam_gpu_answer_head *)(const void *)f->c->problem.answer;
}

/* Case i of a kind with the classical design, moved off the ends, as its answer; what the engine
 * makes of it in *wanted (as far as it is better). */
static fixture *start_case(int kind, int i, int fast_limit, int iterations, double *wanted)
{
    test_random random = test_random_new((uint64_t)(1000 * kind + i));
    const double tradeoff = (double)(i % 11) / 10;
    const beam_preference u = beam_preference_from_tradeoff(tradeoff);
    fixture *f = test_memory(sizeof *f);
    fixture_init(f, test_gpu_case_new(test_gpu_scene(&random, kind), NULL, NULL, EVERYTHING_FAST),
                 32, fast_limit);
    f->iterations = iterations;
    test_gpu_case_request(f->c, tradeoff, NULL, 0, 0);
    beam_solver *s = f->c->solver;
    const double share = beam_solver_start_share(beam_solver_classical_point(s, u, &s->answer));
    beam_classical_compose(&s->problem, s->unit, share, s->spare.x);
    put_candidate(f, s->spare.x);
    test_team_single(work_answer, f);
    if (wanted) {
        beam_result result = {0};
        const double before = answer_of(f)->merit;
        (void)beam_solver_refine(s, u, iterations, s->spare.x, &s->candidate, &result);
        *wanted = beam_solver_point_merit(s, u, &s->candidate);
        *wanted = *wanted < before ? *wanted : before;
    }
    return f;
}

/* The numbers in the answer are those of its beams. */
static void check_answer(const fixture *f)
{
    beam_quality q;
    beam_error err = {0};
    beam_design *d = test_design_new(&f->c->scene->dims, -1);
    beam_gpu_unpack_design(&f->c->plan, f->c->problem.answer, d);
    test_must(beam_evaluator_run(f->c->evaluator, d, &q, &err), &err, "evaluator");
    const beam_gpu_answer_head *head = answer_of(f);
    assert_true(fabs(q.wsr_worst_case_bps_hz - head->wsr_bps_hz) <=
                1e-9 * fmax(q.wsr_worst_case_bps_hz, 1e-3));
    assert_true(!q.crlb_valid || fabs(q.crlb_m2 - head->crlb_m2) <= 1e-8 * q.crlb_m2);
    assert_true(q.power_excess <= 0);
    test_design_free(d);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean_of(int n, const double *x)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i] / n;
    }
    return sum;
}

static void against_engine(void **state)
{
    (void)state;
    static const int budgets[] = {3, 10, 30};
    for (int b = 0; b < 3; b++) {
        static double gap[TEST_GPU_KINDS * REFINE_CASES], gain[TEST_GPU_KINDS * REFINE_CASES];
        int n = 0;
        double evaluations = 0;
        for (int k = 0; k < TEST_GPU_KINDS * REFINE_CASES; k++) {
            const int kind = k / REFINE_CASES, i = k % REFINE_CASES;
            double want;
            fixture *f = start_case(kind, i, EVERYTHING_FAST, budgets[b], &want);
            const double before = answer_of(f)->merit;
            if (isfinite(before)) {
                run(i < EMULATED ? 32 << i : 1, (test_lane_order)(k % 3), work_refine, f);
                const double got = answer_of(f)->merit;
                assert_true(got <= before);
                assert_true(answer_of(f)->refined <= budgets[b]);
                assert_true(answer_of(f)->evaluations > answer_of(f)->refined);
                check_answer(f);
                evaluations += answer_of(f)->evaluations;
                gain[n] = (before - got) / fmax(before, 1);
                gap[n++] = (got - want) / fmax(before, 1);
            }
            fixture_free(f);
            free(f);
        }
        qsort(gap, (size_t)n, sizeof *gap, by_size);
        print_message("%d iterations, %d cases: merit falls by %.3f on average; against the "
                      "engine's: mean %.1e, median %.1e, p95 %.1e, best %.1e, worst %.1e; %.1f "
                      "evaluations\n",
                      budgets[b], n, mean_of(n, gain), mean_of(n, gap), gap[n / 2],
                      gap[n - 1 - n / 20], gap[0], gap[n - 1], evaluations / n);
        assert_true(n >= 300);
        assert_true(mean_of(n, gain) > 0.1);
        assert_true(mean_of(n, gap) <= mean_bound);
        assert_true(gap[n - 1 - n / 20] <= p95_bound);
    }
}

/* --- Lanes and memory ----------------------------------------------------------------------------
 */

static void lanes_and_memory(void **state)
{
    (void)state;
    enum { WAYS = 6 };
    static const int lanes[WAYS] = {32, 32, 32, 32, 32, 32};
    static const int fast[WAYS] = {EVERYTHING_FAST, EVERYTHING_FAST, EVERYTHING_FAST, 4096, 600, 0};
    for (int kind = 0; kind < TEST_GPU_KINDS; kind++) {
        unsigned char *first = NULL;
        size_t bytes = 0;
        for (int way = 0; way < WAYS; way++) {
            fixture *f = start_case(kind, 5, fast[way], 10, NULL);
            run(lanes[way], (test_lane_order)(way % 3), work_refine, f);
            assert_true(f->plan.fast_bytes <= fast[way]);
            if (way == 0) {
                bytes = (size_t)f->c->plan.answer.bytes;
                first = test_memory(bytes);
                memcpy(first, f->c->problem.answer, bytes);
            }
            assert_memory_equal(first, f->c->problem.answer, bytes);
            if (fast[way] == 0) {
                assert_true((size_t)f->plan.slow_bytes == beam_gpu_refine_slow_bytes(&f->c->plan));
            }
            fixture_free(f);
            free(f);
        }
        free(first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient),
        cmocka_unit_test(against_engine),
        cmocka_unit_test(lanes_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
