/* Every golden number, full space and reduced coordinates: values within 1e-9 relative, gradients
 * within 1e-6 of their norm where they exist. All eight scenes, all designs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/golden.h"
#include "common/reduced.h"

static const double value_tolerance = 1e-9, gradient_tolerance = 1e-6;

/* `scale`: what the number is a part of; nothing is asked below 1e-12 of it (a zero-forced term is
 * rounding). */
static void within(const char *scene, const char *design, const char *what, int index, double got,
                   double expected, double scale, double tolerance)
{
    const double error = fabs(got - expected);
    if (!(error <= tolerance * fabs(expected) + 1e-12 * scale)) {
        fail_msg("%s %s: %s[%d] is %.15g, golden %.12g, off by %.2g", scene, design, what, index,
                 got, expected, error / fabs(expected));
    }
}

static void same(const char *scene, const char *design, const char *what, int index, double got,
                 double expected, double scale)
{
    within(scene, design, what, index, got, expected, scale, value_tolerance);
}

static void small(const char *scene, const char *design, const char *what, double error,
                  double tolerance)
{
    if (!(error <= tolerance)) {
        fail_msg("%s %s: %s is off by %.3g of its norm", scene, design, what, error);
    }
}

static double relative_difference(const beam_design *got, const beam_design *expected)
{
    beam_design *difference = test_design_clone(got);
    test_design_step(difference, got, -1, expected);
    const double error = test_design_norm(difference) / test_design_norm(expected);
    test_design_free(difference);
    return error;
}

static void check_quality(const char *name, const beam_scene *scene, const test_golden_design *g,
                          const beam_quality *q)
{
    same(name, g->name, "wsr_nominal", 0, q->wsr_nominal_bps_hz, g->wsr_nominal, 0);
    same(name, g->name, "wsr_worst_case", 0, q->wsr_worst_case_bps_hz, g->wsr_worst_case, 0);
    assert_true(q->crlb_valid);
    same(name, g->name, "crlb", 0, q->crlb_m2, g->crlb, 0);
    double rms2 = 0;
    for (int j = 0; j < scene->dims.targets; j++) {
        assert_int_equal(q->target_state[j], BEAM_TARGET_OK);
        rms2 += q->target_rms_m[j] * q->target_rms_m[j];
    }
    same(name, g->name, "sum of rms^2", 0, rms2, g->crlb, 0);
    for (int u = 0; u < scene->dims.users; u++) {
        double den = scene->user_noise_w[u] + g->own_cell_w[u], sum = 0;
        same(name, g->name, "sinr_nominal", u, q->user_sinr_nominal[u], g->sinr_nominal[u], 1e-3);
        same(name, g->name, "sinr_worst_case", u, q->user_sinr_worst_case[u], g->sinr_worst_case[u],
             1e-3);
        same(name, g->name, "rate", u, q->user_rate_worst_case_bps_hz[u],
             log2(1 + g->sinr_worst_case[u]), 1e-3);
        for (int l = 0; l < scene->dims.stations; l++) {
            den += g->cross_w[u][l];
        }
        for (int l = 0; l < scene->dims.stations; l++) {
            same(name, g->name, "cross", u, q->user_cross_w[u][l], g->cross_w[u][l], den);
            sum += q->user_cross_w[u][l];
        }
        /* At a kink the split between signal and own cell is not unique; their ratio is. Elsewhere
         * the ratio is stationary, the split is not: the oracle ends Dinkelbach's rounds at 1e-13
         * of the ratio, which leaves its split good to about the root of that (up to 2e-8 against
         * the same iteration carried on). */
        if (g->grad_wsr_unique) {
            within(name, g->name, "signal", u, q->user_signal_w[u], g->signal_w[u], den, 1e-7);
            within(name, g->name, "own_cell", u, q->user_own_cell_w[u], g->own_cell_w[u], 1e4 * den,
                   1e-7);
        }
        same(name, g->name, "signal/(noise+own+cross)", u,
             q->user_signal_w[u] / (scene->user_noise_w[u] + q->user_own_cell_w[u] + sum),
             g->sinr_worst_case[u], 1e-3);
    }
    for (int l = 0; l < scene->dims.stations; l++) {
        same(name, g->name, "power", l, q->station_power_w[l], g->power_w[l], 0);
    }
}

static void test_full_space(void **state)
{
    const char *name = *state;
    beam_error err = {0};
    beam_scene *scene = test_golden_scene(name);
    test_golden_design golden[TEST_GOLDEN_DESIGNS_MAX];
    beam_quality *quality = test_memory(sizeof *quality);
    const int count = test_golden_values(name, scene, golden);
    assert_int_equal(count, 4);
    for (int i = 0; i < count; i++) {
        const test_golden_design *g = &golden[i];
        beam_evaluator *evaluator = test_evaluator_new(&scene->dims, g->design->sensing_max);
        test_must(beam_evaluator_load(evaluator, scene, &err), &err, name);
        test_must(beam_evaluator_run(evaluator, g->design, quality, &err), &err, g->name);
        check_quality(name, scene, g, quality);
        beam_design *wsr = test_design_new(&scene->dims, g->design->sensing_max);
        beam_design *crlb = test_design_new(&scene->dims, g->design->sensing_max);
        test_must(beam_evaluator_gradient(evaluator, g->design, wsr, crlb, &err), &err, g->name);
        small(name, g->name, "gradient of the CRLB", relative_difference(crlb, g->grad_crlb),
              gradient_tolerance);
        if (g->grad_wsr_unique) {
            small(name, g->name, "gradient of the rate", relative_difference(wsr, g->grad_wsr),
                  gradient_tolerance);
        }
        assert_true(isfinite(test_design_norm(wsr))); /* at kinks: some finite element */
        test_design_free(wsr);
        test_design_free(crlb);
        test_evaluator_free(evaluator);
    }
    for (int i = 0; i < count; i++) {
        test_golden_design_free(&golden[i]);
    }
    free(quality);
    test_scene_free(scene);
}

/* In reduced coordinates a design outside the subspace loses power, never rate; one inside keeps
 * every number. */
static void check_reduced(const char *name, const beam_scene *scene, const test_golden_design *g,
                          bool reduce)
{
    test_reduced *t = test_reduced_new(scene, g->design->sensing_max, reduce);
    const double lost = test_reduced_lost(t, scene, g->design);
    const test_reduced_numbers r = test_reduced_run(t, scene, g->design);
    assert_true(reduce || lost < 1e-7);
    same(name, g->name, "reduced wsr_nominal", 0, r.wsr_nominal, g->wsr_nominal, 0);
    same(name, g->name, "reduced crlb", 0, r.crlb, g->crlb, 0);
    for (int u = 0; u < scene->dims.users; u++) {
        same(name, g->name, "reduced sinr_nominal", u, r.sinr_nominal[u], g->sinr_nominal[u], 1e-3);
        assert_true(r.sinr_worst_case[u] >= g->sinr_worst_case[u] * (1 - value_tolerance) - 1e-15);
    }
    for (int l = 0; l < scene->dims.stations; l++) {
        assert_true(r.power_w[l] <= g->power_w[l] * (1 + value_tolerance));
    }
    if (lost < 1e-7) { /* sqrt of the rounding of a difference of powers */
        same(name, g->name, "reduced wsr_worst_case", 0, r.wsr_worst_case, g->wsr_worst_case, 0);
        for (int u = 0; u < scene->dims.users; u++) {
            same(name, g->name, "reduced sinr_worst_case", u, r.sinr_worst_case[u],
                 g->sinr_worst_case[u], 1e-3);
        }
        small(name, g->name, "reduced gradient of the CRLB",
              test_reduced_gradient_error(t, t->grad_crlb, g->grad_crlb), gradient_tolerance);
        if (g->grad_wsr_unique) {
            small(name, g->name, "reduced gradient of the rate",
                  test_reduced_gradient_error(t, t->grad_wsr, g->grad_wsr), gradient_tolerance);
        }
    }
    test_reduced_free(t);
}

static void test_internal_coordinates(void **state)
{
    const char *name = *state;
    beam_scene *scene = test_golden_scene(name);
    test_golden_design golden[TEST_GOLDEN_DESIGNS_MAX];
    const int count = test_golden_values(name, scene, golden);
    for (int i = 0; i < count; i++) {
        check_reduced(name, scene, &golden[i], true);
        check_reduced(name, scene, &golden[i], false);
        test_golden_design_free(&golden[i]);
    }
    test_scene_free(scene);
}

/* The reference designs, about 17 per scene, along the whole front. */
static void test_reference_designs(void **state)
{
    const char *name = *state;
    beam_error err = {0};
    beam_scene *scene = test_golden_scene(name);
    test_golden_design golden[TEST_GOLDEN_DESIGNS_MAX];
    beam_quality *quality = test_memory(sizeof *quality);
    const int count = test_golden_solutions(name, scene, golden);
    assert_true(count >= 10);
    for (int i = 0; i < count; i++) {
        const test_golden_design *g = &golden[i];
        beam_evaluator *evaluator = test_evaluator_new(&scene->dims, g->design->sensing_max);
        test_must(beam_evaluator_load(evaluator, scene, &err), &err, name);
        test_must(beam_evaluator_run(evaluator, g->design, quality, &err), &err, g->name);
        same(name, g->name, "wsr_nominal", 0, quality->wsr_nominal_bps_hz, g->wsr_nominal, 0.1);
        same(name, g->name, "wsr_worst_case", 0, quality->wsr_worst_case_bps_hz, g->wsr_worst_case,
             0.1);
        same(name, g->name, "crlb", 0, quality->crlb_m2, g->crlb, 0);
        assert_true(quality->power_excess <= 1e-9);
        test_evaluator_free(evaluator);
        test_golden_design_free(&golden[i]);
    }
    free(quality);
    test_scene_free(scene);
}

static void check_model(const char *name, beam_scene *scene, const test_golden_design *g,
                        beam_evaluator *evaluator, beam_sensing_model model, double bandwidth,
                        double expected)
{
    beam_error err = {0};
    beam_quality *quality = test_memory(sizeof *quality);
    scene->sensing = model;
    scene->bandwidth_hz = bandwidth;
    test_must(beam_evaluator_load(evaluator, scene, &err), &err, name);
    test_must(beam_evaluator_run(evaluator, g->design, quality, &err), &err, g->name);
    assert_true(quality->crlb_valid);
    same(name, g->name, model == BEAM_SENSING_BAND ? "crlb band, MHz" : "crlb coherent",
         (int)(bandwidth / 1e6), quality->crlb_m2, expected, 0);
    free(quality);
}

/* One evaluator with the scene of another model loaded over the last, as a daemon does. */
static void test_sensing_models(void **state)
{
    const char *name = *state;
    beam_scene *scene = test_golden_scene(name);
    test_golden_design golden[TEST_GOLDEN_DESIGNS_MAX];
    const int count = test_golden_values(name, scene, golden);
    for (int i = 0; i < count; i++) {
        const test_golden_design *g = &golden[i];
        test_golden_models m = {0};
        beam_evaluator *evaluator = test_evaluator_new(&scene->dims, g->design->sensing_max);
        if (test_golden_model_values(name, g->name, &m)) {
            check_model(name, scene, g, evaluator, BEAM_SENSING_COHERENT, 0, m.coherent);
            check_model(name, scene, g, evaluator, BEAM_SENSING_BAND, 5e6, m.band_5mhz);
            check_model(name, scene, g, evaluator, BEAM_SENSING_BAND, 20e6, m.band_20mhz);
            check_model(name, scene, g, evaluator, BEAM_SENSING_BAND, 200e6, m.band_200mhz);
        } else {
            assert_true(g->has_coherent && g->has_band);
            check_model(name, scene, g, evaluator, BEAM_SENSING_COHERENT, 0, g->crlb_coherent);
            check_model(name, scene, g, evaluator, BEAM_SENSING_BAND, 20e6, g->crlb_band_20mhz);
        }
        check_model(name, scene, g, evaluator, BEAM_SENSING_RESOLVED, 0, g->crlb);
        test_evaluator_free(evaluator);
        test_golden_design_free(&golden[i]);
    }
    test_scene_free(scene);
}

int main(void)
{
    enum { KINDS = 4 };
    static const struct {
        const char *name;
        CMUnitTestFunction function;
        int scenes; /* the first so many of test_golden_names */
    } kinds[KINDS] = {
        {"full_space", test_full_space, 8},
        {"internal_coordinates", test_internal_coordinates, 8},
        {"reference_designs", test_reference_designs, 6}, /* the two largest files are not kept */
        {"sensing_models", test_sensing_models, 8},
    };
    static char names[KINDS * TEST_GOLDEN_SCENES][64];
    struct CMUnitTest tests[KINDS * TEST_GOLDEN_SCENES];
    size_t count = 0;
    for (int k = 0; k < KINDS; k++) {
        for (int i = 0; i < kinds[k].scenes; i++, count++) {
            (void)snprintf(names[count], sizeof names[count], "%s %s", kinds[k].name,
                           test_golden_names[i]);
            tests[count] = (struct CMUnitTest){.name = names[count],
                                               .test_func = kinds[k].function,
                                               .initial_state = (void *)test_golden_names[i]};
        }
    }
    return _cmocka_run_group_tests("golden", tests, count, NULL, NULL);
}
