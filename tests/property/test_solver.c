/* Promises of the solver: never worse than the classical design or the warm start, inside every
 * budget, finite, honest about time limits and minimum rates. Every claim is recomputed by the
 * evaluator from the returned design. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/golden.h"
#include "common/random.h"

typedef struct fixture {
    beam_scene *scene;
    beam_solver *solver;
    beam_evaluator *evaluator;
    beam_quality *quality;
    beam_design *out;
    beam_result result;
    const char *label;
} fixture;

static fixture fixture_of(beam_scene *scene, const char *label)
{
    beam_error err = {0};
    fixture f = {.scene = scene, .label = label};
    f.solver = test_solver_new(&scene->dims);
    f.evaluator =
        test_evaluator_new(&scene->dims, scene->dims.antennas < 32 ? scene->dims.antennas : 32);
    f.quality = test_memory(sizeof *f.quality);
    f.out = test_design_new(&scene->dims, -1);
    test_must(beam_solver_load(f.solver, scene, &err), &err, label);
    test_must(beam_evaluator_load(f.evaluator, scene, &err), &err, label);
    test_must(beam_solver_compute_sensing_end(f.solver, &err), &err, label);
    test_must(beam_solver_compute_rate_end(f.solver, &err), &err, label);
    return f;
}

static fixture fixture_new(uint64_t seed, const beam_dims *dims)
{
    static char label[32];
    test_random random = test_random_new(seed);
    const beam_dims drawn = test_random_dims(&random, true);
    (void)snprintf(label, sizeof label, "seed %llu", (unsigned long long)seed);
    return fixture_of(
        test_random_scene(&random, dims ? dims : &drawn, test_random_between(&random, 0.02, 0.3)),
        label);
}

static void fixture_free(fixture *f)
{
    test_solver_free(f->solver);
    test_evaluator_free(f->evaluator);
    free(f->quality);
    test_design_free(f->out);
    test_scene_free(f->scene);
}

static void not_above(const fixture *f, const char *what, double a, double b, double slack)
{
    if (!(a <= b + slack * (1 + fabs(b)))) {
        fail_msg("%s: %s: %.12g is above %.12g", f->label, what, a, b);
    }
}

/* The merit of a design at a trade-off, recomputed. */
static double merit_of(fixture *f, const beam_design *design, double tradeoff)
{
    beam_error err = {0};
    const beam_ideal ideal = beam_solver_ideal(f->solver);
    test_must(beam_evaluator_run(f->evaluator, design, f->quality, &err), &err, f->label);
    return beam_merit(&ideal, beam_preference_from_tradeoff(tradeoff),
                      beam_loss_rate(&ideal, f->quality->wsr_worst_case_bps_hz),
                      beam_loss_sensing(&ideal, f->quality->crlb_valid, f->quality->crlb_m2));
}

/* Recomputes every claim of f->result about f->out. */
static void check_claims(fixture *f, double tradeoff)
{
    const beam_result *r = &f->result;
    const double merit = merit_of(f, f->out, tradeoff); /* refuses what is not finite */
    const beam_ideal ideal = beam_solver_ideal(f->solver);
    not_above(f, "power excess", f->quality->power_excess, 0, 1e-9);
    not_above(f, "claimed rate", fabs(r->wsr_worst_case_bps_hz - f->quality->wsr_worst_case_bps_hz),
              0, 1e-9 * (1 + f->quality->wsr_worst_case_bps_hz));
    assert_int_equal(r->crlb_valid, f->quality->crlb_valid);
    not_above(f, "claimed CRLB", fabs(r->crlb_m2 - f->quality->crlb_m2), 0,
              1e-8 * f->quality->crlb_m2);
    if (isfinite(merit)) {
        not_above(f, "claimed merit", fabs(r->merit - merit), 0, 1e-6 * (1 + fabs(merit)));
        not_above(f, "f1", fabs(r->f1 - beam_loss_rate(&ideal, r->wsr_worst_case_bps_hz)), 0, 1e-9);
    }
    not_above(f, "merit against the classical", r->merit, r->classical_merit, 1e-9);
    assert_true(r->iterations >= 0 && r->evaluations >= 0);
}

static void solve(fixture *f, double tradeoff, const beam_design *warm)
{
    beam_error err = {0};
    memset(&f->result, 0x5a, sizeof f->result);
    test_must(beam_solver_solve(f->solver, tradeoff, warm, f->out, &f->result, &err), &err,
              f->label);
    check_claims(f, tradeoff);
}

static const double tradeoffs[] = {0, 0.1, 0.5, 0.9, 1};
enum { TRADEOFFS = 5, SEEDS = 16 };

static void test_never_worse_than_classical_or_warm_start(void **state)
{
    (void)state;
    beam_error err = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        fixture f = fixture_new(seed, NULL);
        test_random random = test_random_new(seed + 50);
        beam_design *classical = test_design_new(&f.scene->dims, -1);
        for (int i = 0; i < TRADEOFFS; i++) {
            beam_result result;
            beam_design *given = test_random_design(&random, f.scene, -1);
            solve(&f, tradeoffs[i], NULL);
            assert_false(f.result.warm);
            const double cold = f.result.merit;
            test_must(beam_solver_classical(f.solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                            tradeoffs[i], classical, &result, &err),
                      &err, f.label);
            assert_int_equal(result.method, BEAM_METHOD_CLASSICAL);
            not_above(&f, "cold against RZF", cold, merit_of(&f, classical, tradeoffs[i]), 1e-9);
            beam_design *answer = test_design_clone(f.out);
            solve(&f, tradeoffs[i], given);
            assert_true(f.result.warm);
            not_above(&f, "warm against given", f.result.merit, merit_of(&f, given, tradeoffs[i]),
                      1e-9);
            solve(&f, tradeoffs[i], answer);
            not_above(&f, "warm against the last answer", f.result.merit,
                      merit_of(&f, answer, tradeoffs[i]), 1e-9);
            test_design_free(answer);
            test_design_free(given);
        }
        test_design_free(classical);
        fixture_free(&f);
    }
}

/* A warm start over its budget, of another shape, or useless must not spoil the answer. */
static void test_odd_warm_starts(void **state)
{
    (void)state;
    beam_error err = {0};
    const beam_dims dims = {3, 4, 4, 2}, fewer = {3, 4, 3, 2};
    fixture f = fixture_new(3, &dims);
    test_random random = test_random_new(1);
    beam_design *loud = test_random_design(&random, f.scene, -1);
    beam_design *silent = test_design_new(&dims, 0), *wrong = test_design_new(&fewer, -1);
    beam_design *wide = test_random_design(&random, f.scene, 4);
    test_design_step(loud, loud, 99, loud);
    solve(&f, 0.5, loud);
    solve(&f, 0.5, silent);
    solve(&f, 0.5, wide);
    assert_int_equal(beam_solver_solve(f.solver, 0.5, wrong, f.out, &f.result, &err),
                     BEAM_E_INVALID);
    loud->beams[3].re = NAN;
    const beam_code code = beam_solver_solve(f.solver, 0.5, loud, f.out, &f.result, &err);
    assert_true(code == BEAM_E_INVALID || code == BEAM_OK); /* refused or left out, never spread */
    if (code == BEAM_OK) {
        check_claims(&f, 0.5);
    }
    test_design_free(loud);
    test_design_free(silent);
    test_design_free(wrong);
    test_design_free(wide);
    fixture_free(&f);
}

typedef struct countdown {
    int left, asked;
} countdown;

static bool countdown_expired(void *arg)
{
    countdown *c = arg;
    c->asked++;
    return c->left-- <= 0;
}

static void test_a_time_limit_returns_the_best_feasible_iterate(void **state)
{
    (void)state;
    const beam_dims dims = {3, 5, 5, 2};
    fixture f = fixture_new(5, &dims);
    double last = INFINITY;
    solve(&f, 0.4, NULL);
    const double unlimited = f.result.merit;
    assert_int_not_equal(f.result.status, BEAM_STATUS_TIME_LIMIT);
    static const int limits[] = {0, 1, 3, 10, 30, 100, 1000000};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        countdown c = {limits[i], 0};
        beam_solver_options options = beam_solver_options_default();
        options.expired = countdown_expired;
        options.expired_arg = &c;
        beam_solver_set_options(f.solver, &options);
        solve(&f, 0.4, NULL); /* claims, budget and classical bound included */
        const bool limited = c.asked > limits[i];
        assert_int_equal(f.result.status == BEAM_STATUS_TIME_LIMIT, limited);
        assert_true(c.asked <= limits[i] + 2); /* stops soon after it was told */
        last = f.result.merit;
    }
    not_above(&f, "merit with plenty of time", fabs(last - unlimited), 0, 1e-12);
    fixture_free(&f);
}

static void test_an_iteration_limit_is_kept(void **state)
{
    (void)state;
    const beam_dims dims = {3, 5, 5, 2};
    fixture f = fixture_new(6, &dims);
    static const int limits[] = {1, 5, 20};
    for (int i = 0; i < 3; i++) {
        beam_solver_options options = beam_solver_options_default();
        options.max_iterations = limits[i];
        beam_solver_set_options(f.solver, &options);
        solve(&f, 0.3, NULL);
        assert_true(f.result.iterations <= limits[i]);
    }
    fixture_free(&f);
}

static void test_solving_twice_gives_the_same_bits(void **state)
{
    (void)state;
    const beam_dims dims = {3, 5, 4, 2};
    fixture f = fixture_new(7, &dims), g = fixture_new(7, &dims);
    solve(&f, 0.7, NULL); /* another point first: no history may remain in a cold solve */
    solve(&f, 0.3, NULL);
    solve(&g, 0.3, NULL);
    assert_memory_equal(f.out->beams, g.out->beams, 4 * 5 * sizeof(beam_complex));
    for (int l = 0; l < 3; l++) {
        assert_int_equal(f.out->sensing_count[l], g.out->sensing_count[l]);
        assert_memory_equal(test_sensing(f.out, l, 0), test_sensing(g.out, l, 0),
                            (size_t)f.out->sensing_count[l] * 5 * sizeof(beam_complex));
    }
    assert_true(f.result.merit == g.result.merit);
    fixture_free(&f);
    fixture_free(&g);
}

static void test_fewer_users_than_the_solver_was_made_for(void **state)
{
    (void)state;
    beam_error err = {0};
    const beam_dims most = {3, 5, 7, 2}, few = {3, 5, 2, 2};
    test_random random = test_random_new(8);
    beam_scene *scene = test_random_scene(&random, &few, 0.1);
    fixture f = fixture_of(scene, "exact size");
    solve(&f, 0.5, NULL);
    const double merit = f.result.merit;
    test_solver_free(f.solver);
    f.solver = test_solver_new(&most);
    f.label = "larger solver";
    test_must(beam_solver_load(f.solver, scene, &err), &err, "load");
    test_must(beam_solver_compute_sensing_end(f.solver, &err), &err, "sensing end");
    test_must(beam_solver_compute_rate_end(f.solver, &err), &err, "rate end");
    solve(&f, 0.5, NULL);
    not_above(&f, "merit", fabs(f.result.merit - merit), 0, 1e-9);
    fixture_free(&f);
}

static void test_no_users(void **state)
{
    (void)state;
    const beam_dims dims = {3, 4, 0, 2};
    fixture f = fixture_new(9, &dims);
    const beam_ideal ideal = beam_solver_ideal(f.solver);
    assert_true(ideal.wsr_ideal_bps_hz == 0 && ideal.crlb_min_m2 > 0);
    for (int i = 0; i < TRADEOFFS; i++) {
        solve(&f, tradeoffs[i], NULL);
        assert_true(f.result.f1 == 0);
        not_above(&f, "CRLB", f.result.crlb_m2, ideal.crlb_min_m2, 1e-3);
    }
    fixture_free(&f);
}

/* One station: nothing can locate the targets by angles; the rate is served. */
static void test_targets_that_cannot_be_located(void **state)
{
    (void)state;
    const beam_dims dims = {1, 4, 3, 1};
    fixture f = fixture_new(10, &dims);
    const beam_ideal ideal = beam_solver_ideal(f.solver);
    assert_true(ideal.crlb_min_m2 == 0 && ideal.wsr_ideal_bps_hz > 0);
    solve(&f, 0.2, NULL);
    assert_false(f.result.crlb_valid);
    assert_true(f.result.f2 == 0);
    not_above(&f, "f1 without anything to sense", f.result.f1, 0.02, 0);
    fixture_free(&f);
}

static void test_the_ends_bound_every_design(void **state)
{
    (void)state;
    for (uint64_t seed = 20; seed < 20 + SEEDS; seed++) {
        fixture f = fixture_new(seed, NULL);
        const beam_ideal ideal = beam_solver_ideal(f.solver);
        test_random random = test_random_new(seed);
        for (int i = 0; i < 20; i++) {
            beam_design *design = i % 2 ? test_random_design(&random, f.scene, -1)
                                        : test_zero_forcing_design(f.scene);
            merit_of(&f, design, 0.5);
            if (f.quality->crlb_valid) {
                assert_true(f.quality->crlb_m2 >= ideal.crlb_min_m2 * (1 - 1e-9));
            }
            assert_true(f.quality->wsr_worst_case_bps_hz <= ideal.wsr_ideal_bps_hz * (1 + 1e-9));
            test_design_free(design);
        }
        solve(&f, 1, NULL); /* the sensing end reaches its ideal, the rate end its own */
        not_above(&f, "CRLB at the sensing end", f.result.crlb_m2, ideal.crlb_min_m2 * 1.005, 0);
        solve(&f, 0,
              NULL); /* one start against several: up to 5 % of the rate by another local optimum */
        not_above(&f, "f1 at the rate end", f.result.f1, 0.1, 0);
        fixture_free(&f);
    }
}

/* The sensing end is a convex problem: the reference's value is the global one, to the precision of
 * its solver (an iterative one: up to 5e-6 above the value found here with a proven gap). */
static void test_ends_of_the_golden_scenes(void **state)
{
    (void)state;
    for (int i = 0; i < TEST_GOLDEN_SCENES; i++) {
        fixture f = fixture_of(test_golden_scene(test_golden_names[i]), test_golden_names[i]);
        const beam_ideal ideal = beam_solver_ideal(f.solver);
        const beam_ideal reference = test_golden_ideal(test_golden_names[i]);
        not_above(&f, "crlb_min", ideal.crlb_min_m2 / reference.crlb_min_m2, 1, 1e-8);
        not_above(&f, "crlb_min of the reference", reference.crlb_min_m2 / ideal.crlb_min_m2, 1,
                  1e-5);
        /* local solutions: ours may be better, and not much worse */
        not_above(&f, "wsr_ideal", reference.wsr_ideal_bps_hz * 0.999, ideal.wsr_ideal_bps_hz, 0);
        fixture_free(&f);
    }
}

/* Floors that the classical design meets are met at every trade-off; impossible ones are reported
 * by the evaluator with their shortfall, and the answer stays finite and inside the budget. */
static void test_minimum_rates(void **state)
{
    (void)state;
    beam_error err = {0};
    const beam_dims dims = {3, 6, 3, 2};
    for (uint64_t seed = 40; seed < 46; seed++) {
        fixture f = fixture_new(seed, &dims);
        beam_result result;
        for (int u = 0; u < 3; u++) {
            f.scene->user_station[u] = u;
        }
        test_must(beam_solver_load(f.solver, f.scene, &err), &err, f.label);
        test_must(beam_evaluator_load(f.evaluator, f.scene, &err), &err, f.label);
        test_must(beam_solver_compute_rate_end(f.solver, &err), &err, f.label);
        test_must(beam_solver_classical(f.solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB, 0.2,
                                        f.out, &result, &err),
                  &err, f.label);
        merit_of(&f, f.out, 0.2);
        for (int u = 0; u < 3; u++) {
            f.scene->user_min_rate_bps_hz[u] = 0.9 * f.quality->user_rate_worst_case_bps_hz[u];
        }
        test_must(beam_solver_load(f.solver, f.scene, &err), &err, f.label);
        test_must(beam_evaluator_load(f.evaluator, f.scene, &err), &err, f.label);
        for (int i = 0; i < TRADEOFFS; i++) {
            test_must(beam_solver_solve(f.solver, tradeoffs[i], NULL, f.out, &f.result, &err), &err,
                      f.label);
            merit_of(&f, f.out, tradeoffs[i]);
            not_above(&f, "power excess", f.quality->power_excess, 0, 1e-9);
            if (f.quality->users_below_floor != 0 && f.quality->shortfall_bps_hz > 0.01) {
                fail_msg("%s, trade-off %g: %d users below a feasible floor, short by %.6g",
                         f.label, tradeoffs[i], f.quality->users_below_floor,
                         f.quality->shortfall_bps_hz);
            }
        }
        f.scene->user_min_rate_bps_hz[1] = 100;
        test_must(beam_solver_load(f.solver, f.scene, &err), &err, f.label);
        test_must(beam_evaluator_load(f.evaluator, f.scene, &err), &err, f.label);
        test_must(beam_solver_solve(f.solver, 0.5, NULL, f.out, &f.result, &err), &err, f.label);
        merit_of(&f, f.out, 0.5);
        assert_true(f.quality->users_below_floor >= 1);
        assert_true(f.quality->shortfall_bps_hz > 50);
        not_above(&f, "power excess", f.quality->power_excess, 0, 1e-9);
        fixture_free(&f);
    }
}

static void test_every_classical_design_is_feasible(void **state)
{
    (void)state;
    beam_error err = {0};
    for (uint64_t seed = 60; seed < 60 + SEEDS; seed++) {
        fixture f = fixture_new(seed, NULL);
        for (int kind = BEAM_CLASSICAL_MRT; kind <= BEAM_CLASSICAL_WMMSE; kind++) {
            for (int sensing = 0; sensing < 2; sensing++) {
                test_must(beam_solver_classical(f.solver, (beam_classical)kind,
                                                (beam_sensing_design)sensing, 0.5, f.out, &f.result,
                                                &err),
                          &err, f.label);
                assert_int_equal(f.result.method, BEAM_METHOD_CLASSICAL);
                const double merit = merit_of(&f, f.out, 0.5);
                not_above(&f, "power excess", f.quality->power_excess, 0, 1e-9);
                if (isfinite(merit)) {
                    not_above(&f, "claimed merit", fabs(f.result.merit - merit), 0,
                              1e-6 * (1 + fabs(merit)));
                }
            }
        }
        fixture_free(&f);
    }
}

static void count_progress(void *arg, int done, int total)
{
    int *last = arg;
    assert_true(done >= *last && done <= total);
    *last = done;
}

static void test_a_front_is_ordered_feasible_and_spans_both_ends(void **state)
{
    (void)state;
    enum { POINTS = 9 };
    beam_error err = {0};
    for (uint64_t seed = 80; seed < 84; seed++) {
        const beam_dims dims = {3, 5, 4, 2};
        fixture f = fixture_new(seed, &dims);
        double taus[POINTS];
        beam_result results[POINTS];
        beam_design designs[POINTS], *owned[POINTS];
        int progress = 0;
        for (int k = 0; k < POINTS; k++) {
            owned[k] = test_design_new(&dims, -1);
            designs[k] = *owned[k];
        }
        test_must(beam_solver_front(f.solver, POINTS, false, taus, designs, results, count_progress,
                                    &progress, &err),
                  &err, f.label);
        assert_true(progress > 0);
        const beam_ideal ideal = beam_solver_ideal(f.solver);
        int dominated = 0;
        for (int k = 0; k < POINTS; k++) {
            test_must(beam_design_copy(f.out, &designs[k], &err), &err, f.label);
            f.result = results[k];
            check_claims(&f, taus[k]);
            assert_true(taus[k] >= 0 && taus[k] <= 1 && (k == 0 || taus[k] >= taus[k - 1]));
            for (int i = 0; i < POINTS; i++) {
                dominated += i != k && results[i].f1 < results[k].f1 - 1e-6 &&
                             results[i].f2 < results[k].f2 - 1e-6;
            }
        }
        assert_true(dominated <= 1);
        not_above(&f, "f1 at the first", results[0].f1, 0.01, 0);
        not_above(&f, "f2 at the last", results[POINTS - 1].f2, 0.01, 0);
        assert_true(results[0].f2 > results[POINTS - 1].f2);
        assert_true(ideal.wsr_ideal_bps_hz > 0 && ideal.crlb_min_m2 > 0);
        for (int k = 0; k < POINTS; k++) {
            test_design_free(owned[k]);
        }
        fixture_free(&f);
    }
}

static void test_calls_that_are_refused(void **state)
{
    (void)state;
    beam_error err = {0};
    const beam_dims dims = {3, 4, 3, 1}, other = {2, 4, 3, 1}, more = {3, 4, 4, 1};
    test_random random = test_random_new(12);
    beam_scene *scene = test_random_scene(&random, &dims, 0.1);
    beam_scene *wrong = test_random_scene(&random, &other, 0.1);
    beam_scene *large = test_random_scene(&random, &more, 0.1);
    beam_solver *solver = test_solver_new(&dims);
    beam_design *out = test_design_new(&dims, -1), *narrow = test_design_new(&dims, 0);
    beam_design *foreign = test_design_new(&more, -1);
    beam_result result;
    assert_int_equal(beam_solver_solve(solver, 0.5, NULL, out, &result, &err), BEAM_E_INVALID);
    assert_int_equal(beam_solver_compute_sensing_end(solver, &err), BEAM_E_INVALID);
    assert_int_equal(beam_solver_compute_rate_end(solver, &err), BEAM_E_INVALID);
    assert_int_not_equal(beam_solver_load(solver, wrong, &err), BEAM_OK);
    assert_int_not_equal(beam_solver_load(solver, large, &err), BEAM_OK);
    test_must(beam_solver_load(solver, scene, &err), &err, "load");
    assert_int_equal(beam_solver_solve(solver, 0.5, NULL, out, &result, &err), BEAM_E_INVALID);
    const beam_ideal bad[] = {{NAN, 1}, {1, NAN}, {-1, 1}, {1, -1}, {INFINITY, 1}, {1, INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(beam_solver_set_ideal(solver, &bad[i], &err), BEAM_E_INVALID);
    }
    const beam_ideal ideal = {10, 0.1};
    test_must(beam_solver_set_ideal(solver, &ideal, &err), &err, "ideal");
    static const double outside[] = {-0.001, 1.001, NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(beam_solver_solve(solver, outside[i], NULL, out, &result, &err),
                         BEAM_E_INVALID);
    }
    assert_int_equal(beam_solver_solve(solver, 0.5, NULL, narrow, &result, &err), BEAM_E_LIMIT);
    assert_int_equal(beam_solver_solve(solver, 0.5, NULL, foreign, &result, &err), BEAM_E_INVALID);
    scene->user_weight[0] = -1; /* a refused scene leaves the last one loaded */
    assert_int_equal(beam_solver_load(solver, scene, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "users[0].weight");
    test_must(beam_solver_solve(solver, 0.5, NULL, out, &result, &err), &err, "solve");
    test_solver_free(solver);
    test_design_free(out);
    test_design_free(narrow);
    test_design_free(foreign);
    test_scene_free(scene);
    test_scene_free(wrong);
    test_scene_free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_worse_than_classical_or_warm_start),
        cmocka_unit_test(test_odd_warm_starts),
        cmocka_unit_test(test_a_time_limit_returns_the_best_feasible_iterate),
        cmocka_unit_test(test_an_iteration_limit_is_kept),
        cmocka_unit_test(test_solving_twice_gives_the_same_bits),
        cmocka_unit_test(test_fewer_users_than_the_solver_was_made_for),
        cmocka_unit_test(test_no_users),
        cmocka_unit_test(test_targets_that_cannot_be_located),
        cmocka_unit_test(test_the_ends_bound_every_design),
        cmocka_unit_test(test_ends_of_the_golden_scenes),
        cmocka_unit_test(test_minimum_rates),
        cmocka_unit_test(test_every_classical_design_is_feasible),
        cmocka_unit_test(test_a_front_is_ordered_feasible_and_spans_both_ends),
        cmocka_unit_test(test_calls_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
