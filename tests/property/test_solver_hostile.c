/* Scenes and calls that pass validation and mean no good: each case once broke a promise of the
 * solver, or is next to one that did. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"

static beam_scene *scene_of(uint64_t seed, int L, int N, int U, int J)
{
    test_random random = test_random_new(seed);
    const beam_dims dims = {.stations = L, .antennas = N, .users = U, .targets = J};
    return test_random_scene(&random, &dims, 0.1);
}

static beam_solver *solver_of(const beam_scene *scene, const beam_dims *most)
{
    beam_error err = {0};
    beam_solver *solver = test_solver_new(most);
    test_must(beam_solver_load(solver, scene, &err), &err, "load");
    test_must(beam_solver_compute_sensing_end(solver, &err), &err, "sensing end");
    test_must(beam_solver_compute_rate_end(solver, &err), &err, "rate end");
    return solver;
}

/* Refuses a result that is not finite, not inside the budget or not what the evaluator finds. */
static void check(const beam_scene *scene, const beam_design *design, const beam_result *r)
{
    beam_error err = {0};
    beam_quality *q = test_memory(sizeof *q);
    beam_evaluator *evaluator = test_evaluator_new(&scene->dims, design->sensing_max);
    test_must(beam_evaluator_load(evaluator, scene, &err), &err, "load");
    test_must(beam_evaluator_run(evaluator, design, q, &err), &err, "run");
    assert_true(q->power_excess <= 1e-9);
    assert_true(isfinite(r->merit) && isfinite(r->f1) && isfinite(r->f2));
    assert_true(r->merit <= r->classical_merit + 1e-9 * (1 + fabs(r->classical_merit)));
    assert_true(fabs(q->wsr_worst_case_bps_hz - r->wsr_worst_case_bps_hz) <=
                1e-6 * (1 + q->wsr_worst_case_bps_hz));
    assert_int_equal(q->crlb_valid, r->crlb_valid);
    test_evaluator_free(evaluator);
    free(q);
}

static void mix(beam_complex *x, beam_complex *y, int n, double angle)
{
    const double c = cos(angle), s = sin(angle);
    for (int i = 0; i < n; i++) {
        const beam_complex a = x[i], b = y[i];
        x[i] = (beam_complex){c * a.re - s * b.re, c * a.im - s * b.im};
        y[i] = (beam_complex){s * a.re + c * b.re, s * a.im + c * b.im};
    }
}

/* The same Q_l in more columns than the solver uses: the warm start is that design, not a part. */
static void test_a_warm_start_keeps_all_its_sensing_columns(void **state)
{
    (void)state;
    beam_error err = {0};
    beam_scene *s = scene_of(1, 3, 8, 2, 4);
    beam_solver *solver = solver_of(s, &s->dims);
    beam_design *out = test_design_new(&s->dims, -1), *warm = test_design_new(&s->dims, -1);
    beam_result first, second;
    test_must(beam_solver_solve(solver, 0.6, NULL, out, &first, &err), &err, "solve");
    const int r = out->sensing_count[0];
    assert_true(r < out->sensing_max);
    test_must(beam_design_copy(warm, out, &err), &err, "copy");
    for (int l = 0; l < 3; l++) {
        warm->sensing_count[l] = warm->sensing_max;
        for (int k = 0; k < warm->sensing_max; k++) { /* a unitary that spreads every column */
            for (int m = 0; m < k; m++) {
                mix(test_sensing(warm, l, m), test_sensing(warm, l, k), 8, 1 + m + 2 * k);
            }
        }
    }
    beam_solver_options options = beam_solver_options_default();
    options.max_iterations = 0; /* the better of classical and warm */
    beam_solver_set_options(solver, &options);
    test_must(beam_solver_solve(solver, 0.6, warm, out, &second, &err), &err, "warm solve");
    assert_true(second.warm);
    assert_true(fabs(second.merit - first.merit) <= 1e-9);
    test_design_free(out);
    test_design_free(warm);
    test_solver_free(solver);
    test_scene_free(s);
}

/* Three users on one channel so strong that the noise drowns in the rounding of the Gram matrix,
 * and one on another: regularised zero-forcing still knows that the fourth can be spared. */
static void test_equal_strong_channels(void **state)
{
    (void)state;
    beam_error err = {0};
    beam_scene *s = scene_of(2, 2, 4, 4, 1);
    for (int l = 0; l < 2; l++) {
        for (int u = 0; u < 4; u++) {
            if (u < 3) {
                memcpy(test_channel(s, l, u), test_channel(s, l, 0), 4 * sizeof(beam_complex));
            }
            *test_radius(s, l, u) = 0;
            s->user_noise_w[u] = 1e-28 * (1 + u);
        }
    }
    beam_solver *solver = solver_of(s, &s->dims);
    beam_design *out = test_design_new(&s->dims, -1);
    double rate[BEAM_CLASSICAL_WMMSE + 1];
    beam_result r;
    for (int kind = BEAM_CLASSICAL_MRT; kind <= BEAM_CLASSICAL_WMMSE; kind++) {
        test_must(beam_solver_classical(solver, (beam_classical)kind, BEAM_SENSING_LEAST_CRLB, 0.1,
                                        out, &r, &err),
                  &err, "classical");
        check(s, out, &r);
        rate[kind] = r.wsr_worst_case_bps_hz;
    }
    assert_true(rate[BEAM_CLASSICAL_ZF] > 1.2 * rate[BEAM_CLASSICAL_MRT]);
    assert_true(rate[BEAM_CLASSICAL_RZF] > 1.2 * rate[BEAM_CLASSICAL_MRT]);
    test_must(beam_solver_solve(solver, 0.1, NULL, out, &r, &err), &err, "solve");
    check(s, out, &r);
    test_design_free(out);
    test_solver_free(solver);
    test_scene_free(s);
}

/* One antenna at a signal-to-noise ratio of 190 dB: the smoothed dual has no digits left, the exact
 * worst case has. The communication end is then about the best of the starts. */
static void test_a_scene_beyond_the_smoothed_dual(void **state)
{
    (void)state;
    beam_error err = {0};
    for (uint64_t seed = 0; seed < 5; seed++) {
        beam_scene *s = scene_of(seed, 2, 1, 3, 1);
        for (int u = 0; u < 3; u++) {
            s->user_noise_w[u] = u == 2 ? 1e-11 : 1e-28;
        }
        beam_solver *solver = solver_of(s, &s->dims);
        beam_design *out = test_design_new(&s->dims, -1);
        beam_result r;
        double alone = 0; /* the best of one user with all others silent */
        for (int u = 0; u < 3; u++) {
            const int l = s->user_station[u];
            const beam_complex h = test_channel(s, l, u)[0];
            const double x = fmax(hypot(h.re, h.im) - *test_radius(s, l, u), 0);
            const double snr = x * x * s->station_power_w[l] / s->user_noise_w[u];
            alone = fmax(alone, s->user_weight[u] * log2(1 + snr));
        }
        assert_true(beam_solver_ideal(solver).wsr_ideal_bps_hz > 0.7 * alone);
        test_must(beam_solver_solve(solver, 0.3, NULL, out, &r, &err), &err, "solve");
        assert_true(isfinite(r.merit) && r.merit <= r.classical_merit + 1e-9);
        test_design_free(out);
        test_solver_free(solver);
        test_scene_free(s);
    }
}

/* More users than antennas can serve: the communication end knows that one loud user may be worth
 * more than several that drown each other. */
static void test_overload_is_not_below_one_user_alone(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 110; seed++) {
        beam_scene *s = scene_of(seed, 1, 1, 6, 1);
        double alone = 0;
        for (int u = 0; u < 6; u++) {
            const beam_complex h = test_channel(s, 0, u)[0];
            const double x = fmax(hypot(h.re, h.im) - *test_radius(s, 0, u), 0);
            const double snr = x * x * s->station_power_w[0] / s->user_noise_w[u];
            alone = fmax(alone, s->user_weight[u] * log2(1 + snr));
        }
        beam_solver *solver = solver_of(s, &s->dims);
        assert_true(beam_solver_ideal(solver).wsr_ideal_bps_hz >= 0.999 * alone);
        test_solver_free(solver);
        test_scene_free(s);
    }
}

/* A front without users on a solver that has seen others: bit for bit that of a new solver. */
static void test_a_front_without_users_has_no_history(void **state)
{
    (void)state;
    enum { POINTS = 4 };
    beam_error err = {0};
    beam_scene *before = scene_of(3, 3, 4, 5, 2), *s = scene_of(4, 3, 4, 0, 2);
    beam_solver *used = solver_of(before, &before->dims), *fresh = solver_of(s, &before->dims);
    beam_design designs[2][POINTS], *owned[2][POINTS];
    double tradeoffs[2][POINTS];
    beam_result results[2][POINTS];
    for (int i = 0; i < 2 * POINTS; i++) {
        owned[i / POINTS][i % POINTS] = test_design_new(&s->dims, -1);
        designs[i / POINTS][i % POINTS] = *owned[i / POINTS][i % POINTS];
    }
    test_must(beam_solver_load(used, s, &err), &err, "load");
    test_must(beam_solver_front(used, POINTS, false, tradeoffs[0], designs[0], results[0], NULL,
                                NULL, &err),
              &err, "front");
    test_must(beam_solver_front(fresh, POINTS, false, tradeoffs[1], designs[1], results[1], NULL,
                                NULL, &err),
              &err, "front");
    for (int k = 0; k < POINTS; k++) {
        check(s, &designs[0][k], &results[0][k]);
        assert_true(tradeoffs[0][k] == tradeoffs[1][k]);
        assert_true(results[0][k].crlb_m2 == results[1][k].crlb_m2);
        assert_int_equal(results[0][k].evaluations, results[1][k].evaluations);
        for (int l = 0; l < 3; l++) {
            assert_memory_equal(test_sensing(&designs[0][k], l, 0),
                                test_sensing(&designs[1][k], l, 0), 4 * 4 * sizeof(beam_complex));
        }
    }
    for (int i = 0; i < 2 * POINTS; i++) {
        test_design_free(owned[i / POINTS][i % POINTS]);
    }
    test_solver_free(used);
    test_solver_free(fresh);
    test_scene_free(before);
    test_scene_free(s);
}

/* Sizes, trade-offs and counts are checked by every call that writes a design. */
static void test_every_call_checks_its_designs(void **state)
{
    (void)state;
    beam_error err = {0};
    beam_scene *s = scene_of(5, 3, 4, 3, 2);
    const beam_dims fewer = {3, 4, 2, 2};
    beam_solver *solver = solver_of(s, &s->dims);
    beam_design *out = test_design_new(&s->dims, -1), *narrow = test_design_new(&s->dims, 1);
    beam_design *wrong = test_design_new(&fewer, -1), *warm = test_design_new(&s->dims, 9);
    beam_result r[2];
    double tradeoffs[2];
#define CLASSICAL(t, to)                                                                           \
    beam_solver_classical(solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB, (t), (to), r, &err)
    assert_int_equal(CLASSICAL(0.5, wrong), BEAM_E_INVALID);
    assert_int_equal(CLASSICAL(0.5, narrow), BEAM_E_LIMIT);
    assert_int_equal(CLASSICAL(NAN, out), BEAM_E_INVALID);
    assert_int_equal(CLASSICAL(1.5, out), BEAM_E_INVALID);
    assert_int_equal(CLASSICAL(0.5, out), BEAM_OK);
    const beam_design pair[2] = {*out, *narrow}, other[2] = {*out, *wrong};
    beam_design designs[2];
    memcpy(designs, pair, sizeof designs);
    assert_int_equal(beam_solver_front(solver, 2, false, tradeoffs, designs, r, NULL, NULL, &err),
                     BEAM_E_LIMIT);
    memcpy(designs, other, sizeof designs);
    assert_int_equal(beam_solver_front(solver, 2, false, tradeoffs, designs, r, NULL, NULL, &err),
                     BEAM_E_INVALID);
    static const int counts[] = {-1, 5, 10, 1 << 30};
    for (int i = 0; i < 4; i++) {
        warm->sensing_count[1] = counts[i];
        assert_int_equal(beam_solver_solve(solver, 0.5, warm, out, r, &err), BEAM_E_LIMIT);
    }
    warm->sensing_count[1] = 4;
    assert_int_equal(beam_solver_solve(solver, 0.5, warm, out, r, &err), BEAM_OK);
    test_design_free(out);
    test_design_free(narrow);
    test_design_free(wrong);
    test_design_free(warm);
    test_solver_free(solver);
    test_scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_warm_start_keeps_all_its_sensing_columns),
        cmocka_unit_test(test_equal_strong_channels),
        cmocka_unit_test(test_a_scene_beyond_the_smoothed_dual),
        cmocka_unit_test(test_overload_is_not_below_one_user_alone),
        cmocka_unit_test(test_a_front_without_users_has_no_history),
        cmocka_unit_test(test_every_call_checks_its_designs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
