/* Generated scenes keep the conventions of MATH 7; the hypervolume is that of FORMATS section 3. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lab/generate.h"
#include "lab/hypervolume.h"
#include "lab/random.h"
#include "lab/track.h"

static lab_scene *generate(const lab_generate_options *options)
{
    beam_error err;
    lab_scene *scene = lab_generate_scene(options, &err);
    if (!scene) {
        fail_msg("%s: %s", err.field, err.text);
    }
    return scene;
}

static void default_is_the_scenario_of_the_paper(void **state)
{
    (void)state;
    lab_generate_options options = lab_generate_options_default();
    lab_scene *scene = generate(&options);
    const beam_scene *s = &scene->scene;
    assert_int_equal(s->dims.stations, 3);
    assert_int_equal(s->dims.antennas, 5);
    assert_int_equal(s->dims.users, 3);
    assert_int_equal(s->dims.targets, 2);
    assert_true(s->station_power_w[0] == 10 && s->snapshots == 256);
    assert_true(s->target_position_m[0] == 2 && s->target_position_m[3] == 1);
    for (int l = 0; l < 3; l++) {
        const double *p = s->station_position_m + 2 * l;
        assert_true(fabs(hypot(p[0], p[1]) - 80) < 1e-6);
        /* broadside looks at the origin: the axis is orthogonal to the position */
        assert_true(fabs(cos(s->station_axis_rad[l]) * p[0] + sin(s->station_axis_rad[l]) * p[1]) <
                    1e-6);
    }
    /* |alpha| = sqrt(lambda^2/(4 pi)^3)/(d_l d_m) */
    const double d = hypot(80 - 2, 5), lambda = 299792458.0 / 3.5e9;
    const beam_complex a = s->reflection[(1 * 2 + 0) * 3 + 1];
    assert_true(fabs(hypot(a.re, a.im) * d * d / (lambda / pow(4 * M_PI, 1.5)) - 1) < 1e-8);
    lab_scene_destroy(&scene);
}

static void same_seed_same_draw_whatever_error_and_power(void **state)
{
    (void)state;
    lab_generate_options options = lab_generate_options_default();
    options.seed = 7;
    lab_scene *a = generate(&options);
    options.error_relative = 0.2;
    options.power_dbm = 45;
    lab_scene *b = generate(&options);
    assert_memory_equal(a->scene.channel, b->scene.channel, 45 * sizeof(beam_complex));
    for (int i = 0; i < 9; i++) {
        assert_true(fabs(b->scene.error_radius[i] / a->scene.error_radius[i] - 2) < 1e-8);
    }
    options.seed = 8;
    lab_scene *c = generate(&options);
    assert_true(memcmp(a->scene.channel, c->scene.channel, 45 * sizeof(beam_complex)) != 0);
    lab_scene_destroy(&a);
    lab_scene_destroy(&b);
    lab_scene_destroy(&c);
}

static void sizes_weights_and_targets_vary(void **state)
{
    (void)state;
    lab_generate_options options = lab_generate_options_default();
    options.stations = 4;
    options.antennas = 8;
    options.targets = 16;
    options.random_targets = options.random_weights = true;
    options.users[0] = 3;
    options.users[1] = 0;
    options.users[2] = 2;
    options.users[3] = 4;
    options.sensing = BEAM_SENSING_BAND;
    options.bandwidth_hz = 2e7;
    lab_scene *scene = generate(&options);
    const beam_scene *s = &scene->scene;
    assert_int_equal(s->dims.users, 9);
    int count[4] = {0};
    bool by_station = true;
    for (int u = 0; u < 9; u++) {
        count[s->user_station[u]]++;
        by_station &= u == 0 || s->user_station[u] >= s->user_station[u - 1];
        assert_true(s->user_weight[u] >= 0.5 && s->user_weight[u] <= 2);
    }
    assert_false(by_station);
    assert_true(count[0] == 3 && count[1] == 0 && count[2] == 2 && count[3] == 4);
    for (int i = 0; i < 16; i++) {
        assert_true(hypot(s->target_position_m[2 * i], s->target_position_m[2 * i + 1]) <= 15);
        for (int j = 0; j < i; j++) {
            assert_true(hypot(s->target_position_m[2 * i] - s->target_position_m[2 * j],
                              s->target_position_m[2 * i + 1] - s->target_position_m[2 * j + 1]) >
                        1.99);
        }
    }
    lab_scene_destroy(&scene);
}

static void refuses_options_by_name(void **state)
{
    (void)state;
    beam_error err;
    lab_generate_options options = lab_generate_options_default();
    options.error_relative = -0.1;
    assert_null(lab_generate_scene(&options, &err));
    assert_string_equal(err.field, "eps");
    options = lab_generate_options_default();
    options.power_dbm = NAN;
    assert_null(lab_generate_scene(&options, &err));
    assert_string_equal(err.field, "power-dbm");
    options = lab_generate_options_default();
    options.stations = BEAM_MAX_STATIONS + 1;
    assert_null(lab_generate_scene(&options, &err));
    assert_string_equal(err.field, "stations");
    options = lab_generate_options_default();
    options.users[1] = BEAM_MAX_USERS;
    assert_null(lab_generate_scene(&options, &err));
    assert_string_equal(err.field, "users");
    options = lab_generate_options_default();
    options.sensing = BEAM_SENSING_BAND;
    assert_null(lab_generate_scene(&options, &err));
    assert_string_equal(err.field, "bandwidth");
}

/* Mean 0, variance 1 per part, uncorrelated: within five standard errors. */
static void gaussian_has_its_moments(void **state)
{
    (void)state;
    lab_random random = lab_random_seed(1);
    const int count = 200000;
    double sum = 0, square = 0, cross = 0, fourth = 0;
    for (int i = 0; i < count; i++) {
        const beam_complex z = lab_random_gaussian(&random);
        sum += z.re + z.im;
        square += z.re * z.re + z.im * z.im;
        cross += z.re * z.im;
        fourth += pow(z.re, 4) + pow(z.im, 4);
    }
    assert_true(fabs(sum / (2 * count)) < 5 / sqrt(2 * count));
    assert_true(fabs(square / (2 * count) - 1) < 5 * sqrt(2.0 / (2 * count)));
    assert_true(fabs(cross / count) < 5 / sqrt(count));
    assert_true(fabs(fourth / (2 * count) - 3) < 5 * sqrt(96.0 / (2 * count)));
}

/* Areas worked out by hand: wsr_ideal 10, crlb_min 1; (10,4) -> f (0,1), (7.5,2) -> (0.5,0.5),
 * (9,2^0.5) -> (0.2,0.25). */
static void hypervolume_of_hand_made_points(void **state)
{
    (void)state;
    beam_error err;
    double front[3][2] = {{10, 4 / 1.0001}, {7.5, 2}, {5.0001, 1}};
    lab_reference reference = {
        .wsr_ideal_bps_hz = 10, .crlb_min_m2 = 1, .count = 3, .front = front};
    lab_hypervolume hv;
    const double one[2][2] = {{9, sqrt(2)}, {9, INFINITY}};
    assert_int_equal(lab_hypervolume_compute(one, 2, &reference, 1, &hv, &err), BEAM_OK);
    assert_true(fabs(hv.hv - 0.8 * 0.75) < 1e-12);
    /* the reference: strips of f2, each as wide as the best point above it */
    const double e = log(1.0001) / log(4), g = 0.0001 / 5;
    const double whole = e + 0.5 * (0.5 - e) + g * 0.5;
    assert_true(fabs(hv.hv_reference - whole) < 1e-9);
    assert_true(fabs(hv.hv_reference_same_count - 0.25) < 1e-12); /* the middle one alone */
    assert_true(fabs(hv.ratio_same_count - 0.6 / 0.25) < 1e-9);
    /* beating the ideal earns up to the clip */
    const double better[1][2] = {{20, 0.01}};
    assert_int_equal(lab_hypervolume_compute(better, 1, &reference, 1, &hv, &err), BEAM_OK);
    assert_true(fabs(hv.hv - 1.05 * 1.05) < 1e-12 && fabs(hv.hv_box - 1) < 1e-12);
    assert_true(hv.min_f1 < 0 && hv.min_f2 < 0);
    assert_int_equal(lab_hypervolume_compute(better, 0, &reference, 1, &hv, &err), BEAM_OK);
    assert_true(hv.hv == 0 && isnan(hv.min_f1));
}

/* The dynamic programme against all subsets. */
static void best_subset_is_the_best_of_all_subsets(void **state)
{
    (void)state;
    lab_random random = lab_random_seed(3);
    for (int trial = 0; trial < 20; trial++) {
        lab_point points[10];
        for (int i = 0; i < 10; i++) {
            points[i] = (lab_point){lab_random_uniform(&random), lab_random_uniform(&random)};
        }
        const int n = lab_points_prune(points, 10, LAB_HYPERVOLUME_LOW);
        for (int k = 1; k <= n; k++) {
            double best = 0;
            for (unsigned mask = 1; mask < 1u << n; mask++) {
                lab_point chosen[10];
                int count = 0;
                for (int i = 0; i < n; i++) {
                    if (mask >> i & 1) {
                        chosen[count++] = points[i];
                    }
                }
                if (count <= k) {
                    best = fmax(best, lab_points_area(chosen, count));
                }
            }
            assert_true(fabs(lab_points_best_subset(points, n, k) - best) < 1e-12);
        }
    }
}

/* Frames of a track are valid scenes that move as little as Doppler says, and do not depend on the
 * order they are asked for. */
static void a_track_moves_smoothly(void **state)
{
    (void)state;
    beam_error err;
    lab_generate_options options = lab_generate_options_default();
    options.users[0] = 2;
    lab_track *track = lab_track_create(&options, 1.5, 10, &err);
    lab_scene *now = track ? lab_track_scene(track, &err) : NULL;
    lab_scene *next = track ? lab_track_scene(track, &err) : NULL;
    assert_non_null(now);
    assert_non_null(next);
    const size_t count = 3 * 4 * 5;
    for (int frame = 0; frame < 50; frame++) {
        lab_track_at(track, 1e-3 * frame, &now->scene);
        lab_track_at(track, 1e-3 * (frame + 1), &next->scene);
        assert_int_equal(beam_scene_validate(&now->scene, &err), BEAM_OK);
        double size = 0, change = 0;
        for (size_t i = 0; i < count; i++) {
            const beam_complex a = now->scene.channel[i], b = next->scene.channel[i];
            size += a.re * a.re + a.im * a.im;
            change += pow(b.re - a.re, 2) + pow(b.im - a.im, 2);
        }
        /* |dh| <= k v dt |h| with k v dt = 0.11, up to the spread of twelve waves */
        assert_true(change > 0 && sqrt(change / size) < 0.25);
        const double *p = now->scene.target_position_m, *q = next->scene.target_position_m;
        assert_true(fabs(hypot(p[0] - q[0], p[1] - q[1]) - 0.01) < 1e-4);
    }
    lab_track_at(track, 1e-3, &next->scene);
    lab_track_at(track, 0.7, &now->scene);
    lab_track_at(track, 1e-3, &now->scene);
    assert_memory_equal(now->scene.channel, next->scene.channel, count * sizeof(beam_complex));
    lab_scene_destroy(&now);
    lab_scene_destroy(&next);
    lab_track_destroy(&track);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_is_the_scenario_of_the_paper),
        cmocka_unit_test(same_seed_same_draw_whatever_error_and_power),
        cmocka_unit_test(sizes_weights_and_targets_vary),
        cmocka_unit_test(refuses_options_by_name),
        cmocka_unit_test(gaussian_has_its_moments),
        cmocka_unit_test(hypervolume_of_hand_made_points),
        cmocka_unit_test(best_subset_is_the_best_of_all_subsets),
        cmocka_unit_test(a_track_moves_smoothly),
    };
    return cmocka_run_group_tests_name("lab_scenes", tests, NULL, NULL);
}
