/* Least-CRLB rows that one solver gives to another: the other's answers are those that it would
 * have found itself; rows of other places are admissible, and no answer is worse than the classical
 * design made of them. And the re-check: never worse than warm start and classical design. */
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

static double *buffer_new(const beam_dims *dims)
{
    const size_t bytes = beam_solver_sensing_bytes(dims);
    assert_true(bytes > 0);
    double *buffer = test_memory(bytes);
    memset(buffer, 0xff, bytes); /* NaN where nothing is written */
    return buffer;
}

static void load(beam_solver *solver, const beam_scene *scene)
{
    beam_error err = {.code = BEAM_OK};
    test_must(beam_solver_load(solver, scene, &err), &err, "load");
}

static beam_ideal compute(beam_solver *solver)
{
    beam_error err = {.code = BEAM_OK};
    test_must(beam_solver_compute_sensing_end(solver, &err), &err, "sensing end");
    test_must(beam_solver_compute_rate_end(solver, &err), &err, "rate end");
    return beam_solver_ideal(solver);
}

static beam_result solve(beam_solver *solver, const beam_scene *scene, beam_design *out)
{
    beam_error err = {.code = BEAM_OK};
    beam_result result;
    beam_solver_options options = beam_solver_options_default();
    options.max_iterations = 30;
    beam_solver_set_options(solver, &options);
    test_must(beam_solver_solve(solver, 0.5, NULL, out, &result, &err), &err, "solve");
    (void)scene;
    return result;
}

static bool same_design(const beam_design *a, const beam_design *b)
{
    const size_t N = (size_t)a->dims.antennas, U = (size_t)a->dims.users,
                 L = (size_t)a->dims.stations;
    return memcmp(a->beams, b->beams, U * N * sizeof *a->beams) == 0 &&
           memcmp(a->sensing, b->sensing, L * (size_t)a->sensing_max * N * sizeof *a->sensing) ==
               0 &&
           memcmp(a->sensing_count, b->sensing_count, L * sizeof *a->sensing_count) == 0;
}

static beam_scene *scene_of(test_random *random, uint64_t seed, bool coupled)
{
    const beam_dims dims = test_random_dims(random, true);
    beam_scene *scene = test_random_scene(random, &dims, 0.1);
    if (coupled) {
        scene->sensing = seed % 2 ? BEAM_SENSING_COHERENT : BEAM_SENSING_BAND;
        scene->bandwidth_hz = 20e6;
        scene->skip_unidentifiable = true;
    }
    return scene;
}

static void test_import_is_the_same_as_computing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        test_random random = test_random_new(seed);
        beam_scene *scene = scene_of(&random, seed, seed % 5 == 0);
        beam_solver *a = test_solver_new(&scene->dims), *b = test_solver_new(&scene->dims);
        double *rows = buffer_new(&scene->dims);
        beam_design *x = test_design_new(&scene->dims, -1), *y = test_design_new(&scene->dims, -1);
        load(a, scene);
        assert_false(beam_solver_export_sensing(a, rows));
        const beam_ideal ideal = compute(a);
        assert_true(beam_solver_export_sensing(a, rows));
        load(b, scene);
        assert_true(beam_solver_import_sensing(b, rows, false));
        const beam_ideal found = compute(b);
        if (memcmp(&ideal, &found, sizeof ideal) != 0) {
            fail_msg(
                "scene %llu (model %d, L %d N %d U %d J %d): ideal %.17g %.17g and %.17g %.17g",
                (unsigned long long)seed, (int)scene->sensing, scene->dims.stations,
                scene->dims.antennas, scene->dims.users, scene->dims.targets,
                ideal.wsr_ideal_bps_hz, ideal.crlb_min_m2, found.wsr_ideal_bps_hz,
                found.crlb_min_m2);
        }
        const beam_result p = solve(a, scene, x), q = solve(b, scene, y);
        if (p.merit != q.merit || !same_design(x, y)) {
            fail_msg("scene %llu: merits %.17g and %.17g", (unsigned long long)seed, p.merit,
                     q.merit);
        }
        test_design_free(x);
        test_design_free(y);
        free(rows);
        test_solver_free(a);
        test_solver_free(b);
        test_scene_free(scene);
    }
}

/* A scene of fewer users, the first ones: the targets are the same. */
static beam_scene *fewer_users(const beam_scene *scene, int users)
{
    beam_dims dims = scene->dims;
    dims.users = users;
    beam_scene *to = test_scene_new(&dims);
    const size_t L = (size_t)dims.stations, J = (size_t)dims.targets, N = (size_t)dims.antennas;
    to->sensing = scene->sensing;
    to->snapshots = scene->snapshots;
    to->skip_unidentifiable = scene->skip_unidentifiable;
    memcpy(to->station_position_m, scene->station_position_m, L * 2 * sizeof(double));
    memcpy(to->station_axis_rad, scene->station_axis_rad, L * sizeof(double));
    memcpy(to->station_power_w, scene->station_power_w, L * sizeof(double));
    memcpy(to->station_echo_noise_w, scene->station_echo_noise_w, L * sizeof(double));
    memcpy(to->target_position_m, scene->target_position_m, J * 2 * sizeof(double));
    memcpy(to->reflection, scene->reflection, L * J * L * sizeof(beam_complex));
    for (int u = 0; u < users; u++) {
        to->user_station[u] = scene->user_station[u];
        to->user_noise_w[u] = scene->user_noise_w[u];
        to->user_weight[u] = scene->user_weight[u];
        for (int l = 0; l < dims.stations; l++) {
            memcpy(test_channel(to, l, u), test_channel(scene, l, u), N * sizeof(beam_complex));
            *test_radius(to, l, u) = *test_radius(scene, l, u);
        }
    }
    return to;
}

/* Users come and go without another least-CRLB problem, as long as coordinates and rows allow. */
static void test_import_with_other_users(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("wide_n64");
    beam_solver *a = test_solver_new(&scene->dims), *b = test_solver_new(&scene->dims);
    double *rows = buffer_new(&scene->dims);
    load(a, scene);
    const beam_ideal ideal = compute(a);
    assert_true(beam_solver_export_sensing(a, rows));
    int same = 0;
    for (int users = scene->dims.users; users >= 0; users--) {
        beam_scene *part = fewer_users(scene, users);
        load(b, part);
        if (beam_solver_import_sensing(b, rows, false)) {
            beam_error err = {.code = BEAM_OK};
            test_must(beam_solver_compute_sensing_end(b, &err), &err, "sensing end");
            const double crlb = beam_solver_ideal(b).crlb_min_m2;
            assert_true(fabs(crlb - ideal.crlb_min_m2) <= 1e-7 * ideal.crlb_min_m2);
            same++;
        }
        test_scene_free(part);
    }
    assert_true(same >= 2);
    free(rows);
    test_solver_free(a);
    test_solver_free(b);
    test_scene_free(scene);
}

static void check_budgets(const beam_scene *scene, const beam_design *design)
{
    for (int l = 0; l < scene->dims.stations; l++) {
        assert_true(beam_design_power_w(design, scene->user_station, l) <=
                    scene->station_power_w[l]);
    }
}

/* The targets have moved: the rows are still admissible, the answers hold to the classical design
 * made of the same rows, and after the next load they are gone. */
static void test_moved_rows(void **state)
{
    (void)state;
    int taken = 0;
    for (uint64_t seed = 1000; seed < 1060; seed++) {
        test_random random = test_random_new(seed);
        beam_scene *scene = scene_of(&random, seed, seed % 7 == 0);
        beam_solver *a = test_solver_new(&scene->dims), *b = test_solver_new(&scene->dims);
        double *rows = buffer_new(&scene->dims);
        beam_design *x = test_design_new(&scene->dims, -1), *y = test_design_new(&scene->dims, -1);
        beam_error err = {.code = BEAM_OK};
        load(a, scene);
        const double before = compute(a).crlb_min_m2;
        assert_true(beam_solver_export_sensing(a, rows));
        for (int j = 0; j < scene->dims.targets; j++) {
            scene->target_position_m[2 * j] += 0.5;
        }
        load(a, scene);
        const beam_ideal least = compute(a);
        load(b, scene);
        assert_false(beam_solver_import_sensing(b, rows, false));
        if (beam_solver_import_sensing(b, rows, true)) {
            const beam_ideal moved = compute(b);
            assert_true(moved.crlb_min_m2 == 0 ||
                        moved.crlb_min_m2 >= least.crlb_min_m2 * (1 - 1e-6));
            const beam_result p = solve(b, scene, x);
            beam_result classical;
            test_must(beam_solver_classical(b, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB, 0.5, y,
                                            &classical, &err),
                      &err, "classical");
            assert_true(p.merit <= classical.merit + 1e-9 * (1 + fabs(classical.merit)));
            check_budgets(scene, x);
            check_budgets(scene, y);
            assert_false(beam_solver_export_sensing(b, rows)); /* not passed on as exact */
            taken += before != least.crlb_min_m2;
        }
        load(b, scene);
        const beam_ideal again = compute(b);
        assert_true(again.crlb_min_m2 == least.crlb_min_m2);
        test_design_free(x);
        test_design_free(y);
        free(rows);
        test_solver_free(a);
        test_solver_free(b);
        test_scene_free(scene);
    }
    assert_true(taken >= 40);
}

/* What comes from a disk may hold anything. */
static void test_damaged_rows_are_refused(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("four_n16");
    beam_solver *a = test_solver_new(&scene->dims), *b = test_solver_new(&scene->dims);
    double *rows = buffer_new(&scene->dims);
    const size_t count = beam_solver_sensing_bytes(&scene->dims) / sizeof *rows;
    load(a, scene);
    const beam_ideal ideal = compute(a);
    load(b, scene);
    assert_false(beam_solver_import_sensing(b, rows, true)); /* NaN all over */
    assert_true(beam_solver_export_sensing(a, rows));
    const double width = rows[0], kept = rows[1];
    rows[1] = 1e30;
    assert_false(beam_solver_import_sensing(b, rows, true));
    rows[1] = kept;
    rows[0] = 1e30;
    assert_false(beam_solver_import_sensing(b, rows, true));
    rows[0] = width;
    for (size_t k = count; k-- > 0;) { /* the last number that is one of a row */
        if (isfinite(rows[k])) {
            rows[k] = 7;
            break;
        }
    }
    assert_false(beam_solver_import_sensing(b, rows, false));
    assert_true(compute(b).crlb_min_m2 == ideal.crlb_min_m2);
    free(rows);
    test_solver_free(a);
    test_solver_free(b);
    test_scene_free(scene);
}

/* recheck is never worse than its two candidates, and is one of them. */
static void test_recheck(void **state)
{
    (void)state;
    int warm_won = 0, classical_won = 0;
    for (uint64_t seed = 2000; seed < 2080; seed++) {
        test_random random = test_random_new(seed);
        beam_scene *scene = scene_of(&random, seed, seed % 9 == 0);
        beam_solver *a = test_solver_new(&scene->dims);
        beam_design *x = test_design_new(&scene->dims, -1), *y = test_design_new(&scene->dims, -1);
        beam_design *z = test_design_new(&scene->dims, -1);
        beam_error err = {.code = BEAM_OK};
        load(a, scene);
        compute(a);
        if (seed % 2) {
            (void)solve(a, scene, x);
        } else {
            beam_design *bad = test_random_design(&random, scene, -1);
            test_must(beam_design_copy(x, bad, &err), &err, "copy");
            test_design_free(bad);
        }
        beam_result checked, classical;
        test_must(beam_solver_recheck(a, 0.5, x, y, &checked, &err), &err, "recheck");
        test_must(beam_solver_classical(a, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB, 0.5, z,
                                        &classical, &err),
                  &err, "classical");
        assert_true(checked.merit <= classical.merit + 1e-9 * (1 + fabs(classical.merit)));
        assert_true(checked.classical_merit <=
                    classical.merit + 1e-9 * (1 + fabs(classical.merit)));
        assert_true(checked.method == BEAM_METHOD_WARM || checked.method == BEAM_METHOD_CLASSICAL);
        assert_true(checked.warm);
        assert_int_equal(checked.iterations, 0);
        check_budgets(scene, y);
        warm_won += checked.method == BEAM_METHOD_WARM;
        classical_won += checked.method == BEAM_METHOD_CLASSICAL;
        test_must(beam_solver_recheck(a, 0.5, NULL, y, &checked, &err), &err, "recheck");
        assert_int_equal(checked.method, BEAM_METHOD_CLASSICAL);
        assert_false(checked.warm);
        assert_true(checked.merit == classical.merit);
        test_design_free(x);
        test_design_free(y);
        test_design_free(z);
        test_solver_free(a);
        test_scene_free(scene);
    }
    assert_true(warm_won >= 20 && classical_won >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_is_the_same_as_computing),
        cmocka_unit_test(test_import_with_other_users),
        cmocka_unit_test(test_moved_rows),
        cmocka_unit_test(test_damaged_rows_are_refused),
        cmocka_unit_test(test_recheck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
