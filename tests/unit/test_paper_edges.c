/* Mode paper at its edges: time limit, starts, degenerate scenes, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/paper_fixture.h"

/* ---- outcomes and degenerate scenes ---- */

static bool always(void *arg)
{
    ++*(int *)arg;
    return true;
}

static void time_limit_returns_the_best_so_far(void **state)
{
    (void)state;
    int asked = 0;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.expired = always;
    options.expired_arg = &asked;
    paper_fixture f = paper_fixture_golden("paper_eps010", &options);
    paper_outcome o = paper_fixture_run(&f, 4, NULL, NULL);
    assert_int_equal(o.status, BEAM_PAPER_TIME_LIMIT);
    assert_int_equal(o.result.status, BEAM_STATUS_TIME_LIMIT);
    assert_int_equal(o.result.iterations, 0);
    assert_int_equal(asked, 1);
    assert_true(o.quality.crlb_valid && o.quality.wsr_worst_case_bps_hz > 0);
    paper_fixture_finish(&f, &o);
}

static void start_is_used_and_never_worsened(void **state)
{
    (void)state;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.max_iterations = 0;
    paper_fixture f = paper_fixture_golden("paper_eps010", &options);
    beam_design *start = test_zero_forcing_design(f.scene);
    paper_outcome first = paper_fixture_run(&f, 4, start, NULL);
    assert_int_equal(first.status, BEAM_PAPER_ITERATION_LIMIT);
    beam_evaluator *evaluator = test_evaluator_new(&f.scene->dims, start->sensing_max);
    beam_error err;
    beam_quality quality;
    test_must(beam_evaluator_load(evaluator, f.scene, &err), &err, "load");
    test_must(beam_evaluator_run(evaluator, start, &quality, &err), &err, "run");
    /* four of the five isotropic columns fit: the beams are kept, so the CRLB can only have risen
     */
    assert_true(first.quality.wsr_nominal_bps_hz >= quality.wsr_nominal_bps_hz * (1 - 1e-9));
    test_evaluator_free(evaluator);
    paper_fixture_free(&f);

    options.max_iterations = 50;
    f = paper_fixture_golden("paper_eps010", &options);
    paper_outcome later = paper_fixture_run(&f, 4, start, NULL);
    assert_true(later.result.warm && later.result.merit < first.result.merit);
    test_design_free(start);
    test_design_free(first.design);
    paper_fixture_finish(&f, &later);
}

static void dark_start_is_lit(void **state)
{
    (void)state;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.max_iterations = 20;
    paper_fixture f = paper_fixture_golden("paper_eps010", &options);
    beam_design *start = test_design_new(&f.scene->dims, -1); /* silence */
    paper_outcome o = paper_fixture_run(&f, 8, start, NULL);
    assert_true(o.quality.crlb_valid && isfinite(o.result.merit));
    test_design_free(start);
    paper_fixture_finish(&f, &o);
}

static void same_input_gives_the_same_bits(void **state)
{
    (void)state;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.max_iterations = 40;
    paper_fixture f = paper_fixture_golden("paper_eps010", &options);
    paper_outcome a = paper_fixture_run(&f, 4, NULL, NULL),
                  between = paper_fixture_run(&f, 9, NULL, NULL),
                  b = paper_fixture_run(&f, 4, NULL, NULL);
    assert_memory_equal(a.design->beams, b.design->beams, 15 * sizeof(beam_complex));
    assert_true(a.result.merit == b.result.merit && a.result.merit != between.result.merit);
    test_design_free(a.design);
    test_design_free(between.design);
    paper_fixture_finish(&f, &b);
}

static void degenerate(int stations, int antennas, int users, unsigned repairs, double radius,
                       beam_sensing_model model)
{
    beam_scene *scene = paper_fixture_plain_scene(stations, antennas, users);
    scene->sensing = model;
    scene->bandwidth_hz = 2e7;
    for (int i = 0; i < stations * users; i++) {
        scene->error_radius[i] = i % 2 ? 0 : radius; /* exactly known links among the others */
    }
    for (int steps = 1; steps <= 20; steps += 19) {
        beam_paper_options options = paper_fixture_options(repairs, steps);
        options.max_iterations = 45;
        options.preferences = 3;
        paper_fixture f = paper_fixture_of(test_scene_clone(scene), &options);
        paper_trace *t = paper_fixture_trace();
        for (int k = 0; k < 3; k++) {
            paper_outcome o = paper_fixture_run(&f, k, NULL, t);
            assert_int_not_equal(o.status, BEAM_PAPER_NUMERIC);
            assert_true(isfinite(o.result.wsr_worst_case_bps_hz) && isfinite(o.result.f1));
            assert_true(users > 0 || o.result.wsr_worst_case_bps_hz == 0);
            for (int i = 0; i < t->count; i++) {
                assert_true(isfinite(t->at[i].wsr_at_delta_bps_hz) &&
                            isfinite(t->at[i].direction_norm));
                assert_true(radius > 0 || (t->at[i].lower_gap == 0 && t->at[i].cuts == 0));
            }
            test_design_free(o.design);
        }
        free(t);
        paper_fixture_free(&f);
    }
    test_scene_free(scene);
}

static const unsigned degenerate_kinds[] = {BEAM_REPAIR_ALL, 0, BEAM_REPAIR_PSD,
                                            BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_BALL};

static void degenerate_radius_zero(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(3, 4, 3, degenerate_kinds[i], 0, BEAM_SENSING_RESOLVED);
    }
}

static void degenerate_some_radii_zero(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(3, 4, 3, degenerate_kinds[i], 2e-6, BEAM_SENSING_COHERENT);
    }
}

static void degenerate_zero_users(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(3, 4, 0, degenerate_kinds[i], 0, BEAM_SENSING_RESOLVED);
    }
}

static void degenerate_one_user(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(2, 3, 1, degenerate_kinds[i], 2e-6, BEAM_SENSING_RESOLVED);
    }
}

static void degenerate_one_station(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(1, 4, 2, degenerate_kinds[i], 2e-6,
                   BEAM_SENSING_RESOLVED); /* angles cannot locate */
        degenerate(1, 4, 2, degenerate_kinds[i], 2e-6, BEAM_SENSING_BAND); /* delays can */
        degenerate(1, 4, 0, degenerate_kinds[i], 0,
                   BEAM_SENSING_RESOLVED); /* nothing to do at all */
    }
}

static void degenerate_one_antenna(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(3, 1, 2, degenerate_kinds[i], 2e-6, BEAM_SENSING_RESOLVED);
    }
}

static void degenerate_overload(void **state)
{
    (void)state;
    degenerate(2, 2, 7, BEAM_REPAIR_ALL, 2e-6, BEAM_SENSING_RESOLVED);
    degenerate(2, 2, 7, 0, 2e-6, BEAM_SENSING_RESOLVED);
}

static void one_preference_has_no_cone(void **state)
{
    (void)state;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.preferences = 1;
    options.max_iterations = 30;
    paper_fixture f = paper_fixture_golden("paper_eps010", &options);
    paper_trace *t = paper_fixture_trace();
    paper_outcome o = paper_fixture_run(&f, 0, NULL, t);
    for (int i = 0; i < t->count; i++) {
        assert_true(t->cone[i] == -INFINITY);
        assert_true(i == 0 || t->loss[i][0] <= t->loss[i - 1][0]);
    }
    free(t);
    paper_fixture_finish(&f, &o);
}

/* ---- refusals ---- */

static void refuses_options_out_of_range_by_name(void **state)
{
    (void)state;
    const beam_dims dims = {.stations = 2, .antennas = 3, .users = 2, .targets = 1};
    beam_paper_options good = beam_paper_options_default();
    const size_t size = beam_paper_memsize(&dims, &good);
    assert_true(size > 0);
    void *memory = test_memory(size);
    beam_paper *paper;
    beam_error err;
#define REFUSED(name, member, value)                                                               \
    do {                                                                                           \
        beam_paper_options bad = good;                                                             \
        bad.member = value;                                                                        \
        assert_int_equal(beam_paper_memsize(&dims, &bad), 0);                                      \
        assert_int_equal(beam_paper_init(&paper, &dims, &bad, memory, size, &err),                 \
                         BEAM_E_INVALID);                                                          \
        assert_string_equal(err.field, name);                                                      \
    } while (0)
    REFUSED("repairs", repairs, 1u << 8);
    REFUSED("preferences", preferences, 0);
    REFUSED("lower_steps", lower_steps, 0);
    REFUSED("cut_period", cut_period, 0);
    REFUSED("max_cuts", max_cuts, BEAM_PAPER_MAX_CUTS + 1);
    REFUSED("max_iterations", max_iterations, -1);
    REFUSED("armijo", armijo, 1.0);
    REFUSED("tolerance", tolerance, NAN);
    REFUSED("cut_slack", cut_slack, -1.0);
#undef REFUSED
    assert_int_equal(beam_paper_init(&paper, &dims, &good, memory, size - 1, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "memory");
    assert_int_equal(beam_paper_init(&paper, &dims, &good, (char *)memory + 8, size, &err),
                     BEAM_E_INVALID);
    free(memory);
}

static void refuses_wrong_calls(void **state)
{
    (void)state;
    const beam_paper_options options = beam_paper_options_default();
    beam_error err;
    beam_scene *scene = paper_fixture_plain_scene(2, 3, 2),
               *other = paper_fixture_plain_scene(2, 3, 1);
    const size_t size = beam_paper_memsize(&scene->dims, &options);
    void *memory = test_memory(size);
    beam_paper *paper;
    beam_design *out = test_design_new(&scene->dims, -1),
                *narrow = test_design_new(&scene->dims, 0);
    beam_result result;
    beam_paper_status status;
    test_must(beam_paper_init(&paper, &scene->dims, &options, memory, size, &err), &err, "init");
    assert_int_equal(beam_paper_solve(paper, 0, 1, NULL, out, &result, &status, NULL, NULL, &err),
                     BEAM_E_INVALID);
    assert_string_equal(err.field, "scene");
    beam_ideal ideal = {20, 0.1};
    assert_int_equal(beam_paper_load(paper, other, &ideal, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "dims");
    ideal.crlb_min_m2 = NAN;
    assert_int_equal(beam_paper_load(paper, scene, &ideal, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "ideal");
    ideal.crlb_min_m2 = 0.1;
    test_must(beam_paper_load(paper, scene, &ideal, &err), &err, "load");
    assert_int_equal(beam_paper_solve(paper, 16, 1, NULL, out, &result, &status, NULL, NULL, &err),
                     BEAM_E_INVALID);
    assert_string_equal(err.field, "k");
    assert_int_equal(
        beam_paper_solve(paper, 0, 1, NULL, narrow, &result, &status, NULL, NULL, &err),
        BEAM_E_INVALID);
    assert_string_equal(err.field, "out");
    test_beam(out, 0)->re = NAN;
    assert_int_equal(beam_paper_solve(paper, 0, 1, out, narrow, &result, &status, NULL, NULL, &err),
                     BEAM_E_INVALID);
    beam_design *fine = test_design_new(&scene->dims, -1);
    assert_int_equal(beam_paper_solve(paper, 0, 1, out, fine, &result, &status, NULL, NULL, &err),
                     BEAM_E_INVALID);
    assert_string_equal(err.field, "start");
    test_design_free(fine);
    test_design_free(out);
    test_design_free(narrow);
    test_scene_free(scene);
    test_scene_free(other);
    free(memory);
}

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (int i = BEAM_PAPER_CRITICAL; i <= BEAM_PAPER_NUMERIC; i++) {
        assert_string_not_equal(beam_paper_status_text((beam_paper_status)i), "unknown status");
    }
    assert_string_equal(beam_paper_status_text((beam_paper_status)77), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_limit_returns_the_best_so_far),
        cmocka_unit_test(start_is_used_and_never_worsened),
        cmocka_unit_test(dark_start_is_lit),
        cmocka_unit_test(same_input_gives_the_same_bits),
        cmocka_unit_test(degenerate_radius_zero),
        cmocka_unit_test(degenerate_some_radii_zero),
        cmocka_unit_test(degenerate_zero_users),
        cmocka_unit_test(degenerate_one_user),
        cmocka_unit_test(degenerate_one_station),
        cmocka_unit_test(degenerate_one_antenna),
        cmocka_unit_test(degenerate_overload),
        cmocka_unit_test(one_preference_has_no_cone),
        cmocka_unit_test(refuses_options_out_of_range_by_name),
        cmocka_unit_test(refuses_wrong_calls),
        cmocka_unit_test(every_status_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
