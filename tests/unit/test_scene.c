/* Validation refuses every inadmissible value and names the field; layout and copying keep their
 * promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"

static const beam_dims dims = {.stations = 2, .antennas = 3, .users = 2, .targets = 2};

static beam_scene *good_scene(void)
{
    test_random random = test_random_new(7);
    return test_random_scene(&random, &dims, 0.1);
}

static void refused(const beam_scene *scene, beam_code code, const char *field)
{
    beam_error err = {0};
    const beam_code got = beam_scene_validate(scene, &err);
    if (got != code || strcmp(err.field, field) != 0) {
        fail_msg("expected %d at \"%s\", got %d at \"%s\": %s", (int)code, field, (int)got,
                 err.field, err.text);
    }
    assert_int_equal(err.code, code);
    assert_true(strlen(err.text) > 10);
    assert_null(strchr(err.text, '\n'));
    assert_int_equal(beam_scene_validate(scene, NULL), code); /* err is optional */
}

/* Sets *at to each of the values in turn; all must be refused at `field`. */
static void refused_values(beam_scene *scene, double *at, const double *values, int count,
                           const char *field)
{
    const double keep = *at;
    for (int i = 0; i < count; i++) {
        *at = values[i];
        refused(scene, BEAM_E_INVALID, field);
    }
    *at = keep;
    assert_int_equal(beam_scene_validate(scene, NULL), BEAM_OK);
}

static const double not_any[] = {NAN, -NAN, INFINITY, -INFINITY, 1e200, -1e200};
static const double not_nonnegative[] = {NAN, INFINITY, -INFINITY, 1e200, -1e-30, -1};
static const double not_positive[] = {NAN, INFINITY, -INFINITY, 1e200, -1, -1e-30, 0, 1e-200};
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static void test_every_number_is_checked(void **state)
{
    (void)state;
    beam_scene *s = good_scene();
    assert_int_equal(beam_scene_validate(s, NULL), BEAM_OK);
    refused_values(s, &s->station_position_m[2], not_any, COUNT(not_any), "stations[1].position_m");
    refused_values(s, &s->station_position_m[3], not_any, COUNT(not_any), "stations[1].position_m");
    refused_values(s, &s->station_axis_rad[0], not_any, COUNT(not_any), "stations[0].axis_rad");
    refused_values(s, &s->station_power_w[1], not_positive, COUNT(not_positive),
                   "stations[1].power_w");
    refused_values(s, &s->station_echo_noise_w[1], not_positive, COUNT(not_positive),
                   "stations[1].echo_noise_w");
    refused_values(s, &s->user_weight[1], not_nonnegative, COUNT(not_nonnegative),
                   "users[1].weight");
    refused_values(s, &s->user_noise_w[0], not_positive, COUNT(not_positive), "users[0].noise_w");
    refused_values(s, &s->user_min_rate_bps_hz[1], not_nonnegative, COUNT(not_nonnegative),
                   "users[1].min_rate_bps_hz");
    refused_values(s, &test_channel(s, 1, 0)[2].re, not_any, COUNT(not_any),
                   "users[0].channels[1][2]");
    refused_values(s, &test_channel(s, 0, 1)[0].im, not_any, COUNT(not_any),
                   "users[1].channels[0][0]");
    refused_values(s, test_radius(s, 0, 1), not_nonnegative, COUNT(not_nonnegative),
                   "users[1].error_radius[0]");
    refused_values(s, &s->target_position_m[2], not_any, COUNT(not_any), "targets[1].position_m");
    refused_values(s, &test_reflection(s, 1, 0, 0)->im, not_any, COUNT(not_any),
                   "targets[0].reflection[1][0]");
    refused_values(s, &test_reflection(s, 0, 1, 1)->re, not_any, COUNT(not_any),
                   "targets[1].reflection[0][1]");
    refused_values(s, &s->snapshots, not_positive, COUNT(not_positive) - 1, "snapshots");
    s->sensing = BEAM_SENSING_BAND;
    s->bandwidth_hz = 20e6;
    refused_values(s, &s->bandwidth_hz, not_positive, COUNT(not_positive) - 1, "bandwidth_hz");
    s->sensing = BEAM_SENSING_COHERENT;
    s->bandwidth_hz = NAN; /* ignored outside the band model */
    assert_int_equal(beam_scene_validate(s, NULL), BEAM_OK);
    test_scene_free(s);
}

static void test_admissible_edges_are_accepted(void **state)
{
    (void)state;
    beam_scene *s = good_scene();
    s->user_weight[0] = 0;
    s->user_min_rate_bps_hz[0] = 3;
    *test_radius(s, 0, 0) = 0;
    memset(test_channel(s, 0, 0), 0, 3 * sizeof(beam_complex));
    *test_reflection(s, 0, 0, 0) = (beam_complex){0, 0};
    assert_int_equal(beam_scene_validate(s, NULL), BEAM_OK);
    test_scene_free(s);
}

static void test_kinds_are_refused_by_name(void **state)
{
    (void)state;
    beam_scene *s = good_scene();
    s->array = BEAM_ARRAY_OTHER;
    refused(s, BEAM_E_UNSUPPORTED, "array");
    s->array = BEAM_ARRAY_UNIFORM_LINEAR;
    s->user_antennas = 2;
    refused(s, BEAM_E_UNSUPPORTED, "user_antennas");
    s->user_antennas = 0;
    refused(s, BEAM_E_UNSUPPORTED, "user_antennas");
    s->user_antennas = 1;
    s->sensing = (beam_sensing_model)7;
    refused(s, BEAM_E_INVALID, "sensing_model");
    s->sensing = BEAM_SENSING_RESOLVED;
    s->user_station[1] = 2;
    refused(s, BEAM_E_INVALID, "users[1].station");
    s->user_station[1] = -1;
    refused(s, BEAM_E_INVALID, "users[1].station");
    test_scene_free(s);
}

static void test_coincident_positions_are_refused(void **state)
{
    (void)state;
    beam_scene *s = good_scene();
    double keep[2];
    memcpy(keep, s->station_position_m + 2, sizeof keep);
    s->station_position_m[2] = s->station_position_m[0] + 5e-7;
    s->station_position_m[3] = s->station_position_m[1];
    refused(s, BEAM_E_INVALID, "stations[1].position_m");
    memcpy(s->station_position_m + 2, keep, sizeof keep);

    memcpy(keep, s->target_position_m + 2, sizeof keep);
    memcpy(s->target_position_m + 2, s->station_position_m, sizeof keep);
    refused(s, BEAM_E_INVALID, "targets[1].position_m");
    memcpy(s->target_position_m + 2, s->target_position_m, sizeof keep);
    refused(s, BEAM_E_INVALID, "targets[1].position_m");
    s->target_position_m[2] += 2e-6; /* apart again */
    assert_int_equal(beam_scene_validate(s, NULL), BEAM_OK);
    test_scene_free(s);
}

static void test_sizes_have_limits(void **state)
{
    (void)state;
    static const struct {
        beam_dims dims;
        beam_code code;
        const char *field;
    } cases[] = {
        {{0, 4, 1, 1}, BEAM_E_INVALID, "stations"},
        {{-3, 4, 1, 1}, BEAM_E_INVALID, "stations"},
        {{BEAM_MAX_STATIONS + 1, 4, 1, 1}, BEAM_E_LIMIT, "stations"},
        {{3, 0, 1, 1}, BEAM_E_INVALID, "antennas"},
        {{3, BEAM_MAX_ANTENNAS + 1, 1, 1}, BEAM_E_LIMIT, "antennas"},
        {{3, 4, -1, 1}, BEAM_E_INVALID, "users"},
        {{3, 4, BEAM_MAX_USERS + 1, 1}, BEAM_E_LIMIT, "users"},
        {{3, 4, INT32_MAX, 1}, BEAM_E_LIMIT, "users"},
        {{3, 4, 1, 0}, BEAM_E_INVALID, "targets"},
        {{3, 4, 1, BEAM_MAX_TARGETS + 1}, BEAM_E_LIMIT, "targets"},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        beam_error err = {0};
        beam_scene scene;
        assert_int_equal(beam_dims_check(&cases[i].dims, &err), cases[i].code);
        assert_string_equal(err.field, cases[i].field);
        assert_int_equal(beam_scene_memsize(&cases[i].dims), 0);
        assert_int_equal(beam_scene_init(&scene, &cases[i].dims, &scene, sizeof scene, NULL),
                         cases[i].code);
    }
    const beam_dims most = {BEAM_MAX_STATIONS, BEAM_MAX_ANTENNAS, BEAM_MAX_USERS, BEAM_MAX_TARGETS};
    const beam_dims least = {1, 1, 0, 1};
    assert_int_equal(beam_dims_check(&most, NULL), BEAM_OK);
    assert_int_equal(beam_dims_check(&least, NULL), BEAM_OK);
    assert_true(beam_scene_memsize(&most) > 0 && beam_scene_memsize(&least) > 0);
    beam_scene *s = good_scene();
    s->dims.users = BEAM_MAX_USERS + 1;
    refused(s, BEAM_E_LIMIT, "users");
    s->dims.users = 2;
    s->reflection = NULL;
    refused(s, BEAM_E_INVALID, "scene");
    test_scene_free(s);
}

static void test_memory_is_checked(void **state)
{
    (void)state;
    beam_error err = {0};
    beam_scene scene;
    const size_t size = beam_scene_memsize(&dims);
    unsigned char *memory = test_memory(size + 64);
    assert_int_equal(beam_scene_init(&scene, &dims, memory, size - 1, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "memory");
    assert_int_equal(beam_scene_init(&scene, &dims, memory + 8, size, &err), BEAM_E_INVALID);
    assert_int_equal(beam_scene_init(&scene, &dims, NULL, size, &err), BEAM_E_INVALID);
    memset(memory, 0xff, size + 64);
    assert_int_equal(beam_scene_init(&scene, &dims, memory, size, &err), BEAM_OK);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(memory[size + (size_t)i], 0xff); /* nothing beyond its memory */
    }
    assert_true(scene.user_weight[1] == 1.0 && scene.snapshots == 256 && scene.user_antennas == 1);
    assert_true(scene.channel[dims.stations * dims.users * dims.antennas - 1].im == 0);
    free(memory);
}

static void test_copy_is_deep_and_complete(void **state)
{
    (void)state;
    beam_error err = {0};
    beam_scene *a = good_scene();
    a->sensing = BEAM_SENSING_BAND;
    a->bandwidth_hz = 1e7;
    a->skip_unidentifiable = true;
    a->user_min_rate_bps_hz[1] = 2;
    beam_scene *b = test_scene_clone(a);
    assert_memory_equal(b->channel, a->channel, 2 * 2 * 3 * sizeof(beam_complex));
    assert_memory_equal(b->reflection, a->reflection, 2 * 2 * 2 * sizeof(beam_complex));
    assert_memory_equal(b->error_radius, a->error_radius, 4 * sizeof(double));
    assert_memory_equal(b->station_position_m, a->station_position_m, 4 * sizeof(double));
    assert_memory_equal(b->station_axis_rad, a->station_axis_rad, 2 * sizeof(double));
    assert_memory_equal(b->station_power_w, a->station_power_w, 2 * sizeof(double));
    assert_memory_equal(b->station_echo_noise_w, a->station_echo_noise_w, 2 * sizeof(double));
    assert_memory_equal(b->user_station, a->user_station, 2 * sizeof(int));
    assert_memory_equal(b->user_weight, a->user_weight, 2 * sizeof(double));
    assert_memory_equal(b->user_noise_w, a->user_noise_w, 2 * sizeof(double));
    assert_memory_equal(b->user_min_rate_bps_hz, a->user_min_rate_bps_hz, 2 * sizeof(double));
    assert_memory_equal(b->target_position_m, a->target_position_m, 4 * sizeof(double));
    assert_true(b->sensing == BEAM_SENSING_BAND && b->bandwidth_hz == 1e7);
    assert_true(b->skip_unidentifiable && b->snapshots == a->snapshots);
    assert_ptr_not_equal(b->channel, a->channel);
    const beam_dims other = {2, 3, 1, 2};
    beam_scene *c = test_scene_new(&other);
    assert_int_equal(beam_scene_copy(c, a, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "dims");
    test_scene_free(a);
    test_scene_free(b);
    test_scene_free(c);
}

static void test_long_errors_are_cut_not_overrun(void **state)
{
    (void)state;
    char text[1000];
    beam_error err;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(beam_fail(&err, BEAM_E_NUMERIC, text, "%s", text), BEAM_E_NUMERIC);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(beam_fail(&err, BEAM_E_LIMIT, NULL, "%d", 5), BEAM_E_LIMIT);
    assert_string_equal(err.field, "");
    assert_string_equal(err.text, "5");
    assert_int_equal(beam_fail(NULL, BEAM_E_LIMIT, "f", "t"), BEAM_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_number_is_checked),
        cmocka_unit_test(test_admissible_edges_are_accepted),
        cmocka_unit_test(test_kinds_are_refused_by_name),
        cmocka_unit_test(test_coincident_positions_are_refused),
        cmocka_unit_test(test_sizes_have_limits),
        cmocka_unit_test(test_memory_is_checked),
        cmocka_unit_test(test_copy_is_deep_and_complete),
        cmocka_unit_test(test_long_errors_are_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
