/* Files of the lab: what is written is what is read, and everything wrong is refused with its JSON
 * path. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lab/format.h"

static const char TINY[] =
    "{\"format\":\"beamd-scene/1\",\"name\":\"tiny\",\"carrier_hz\":3.5e9,\"snapshots\":256,"
    "\"sensing_model\":\"resolved\",\"stations\":["
    "{\"position_m\":[80,0],\"axis_rad\":1.570796327,\"antennas\":2,\"power_w\":10,"
    "\"echo_noise_w\":1e-12},"
    "{\"position_m\":[-80,0],\"axis_rad\":-1.570796327,\"antennas\":2,\"power_w\":10,"
    "\"echo_noise_w\":1e-12}],"
    "\"users\":[{\"station\":1,\"weight\":1,\"noise_w\":1e-11,\"channels\":["
    "{\"re\":[1e-6,2e-6],\"im\":[0,1e-6]},{\"re\":[1e-5,-2e-5],\"im\":[3e-5,0]}],"
    "\"error_radius\":[1e-7,2e-6]}],"
    "\"targets\":[{\"position_m\":[2,5],\"reflection\":{\"re\":[[1e-7,2e-7],[3e-7,4e-7]],"
    "\"im\":[[5e-8,0],[0,0]]}}],\"tradeoffs\":[0,0.5,1]}";

static const char TINY_SOLUTION[] =
    "{\"format\":\"beamd-solution/1\",\"scene\":\"tiny\",\"solutions\":[{\"tradeoff\":0.5,"
    "\"stations\":[{\"beams\":{\"re\":[],\"im\":[]},"
    "\"sensing\":{\"re\":[[1,0],[0,1]],\"im\":[[0,0],[0,0]]}},"
    "{\"beams\":{\"re\":[[1,1]],\"im\":[[0,1]]},\"sensing\":{\"re\":[[0.5,0]],\"im\":[[0,0]]}}],"
    "\"wsr_nominal_bps_hz\":1.0,\"wsr_worst_case_bps_hz\":0.9,\"crlb_m2\":0.1,"
    "\"solve_us\":100.0,\"method\":\"lbfgs\"}]}";

/* `text` with the first `from` replaced by `to`. */
static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    assert_non_null(at);
    const size_t before = (size_t)(at - text), size = strlen(text) + strlen(to) + 1;
    char *out = malloc(size);
    assert_non_null(out);
    snprintf(out, size, "%.*s%s%s", (int)before, text, to, at + strlen(from));
    return out;
}

static lab_scene *tiny(void)
{
    beam_error err;
    lab_scene *scene = lab_scene_parse(TINY, strlen(TINY), &err);
    if (!scene) {
        fail_msg("%s: %s", err.field, err.text);
    }
    return scene;
}

static void reads_the_documented_scene(void **state)
{
    (void)state;
    lab_scene *scene = tiny();
    const beam_scene *s = &scene->scene;
    assert_string_equal(scene->name, "tiny");
    assert_int_equal(s->dims.stations, 2);
    assert_int_equal(s->dims.antennas, 2);
    assert_int_equal(s->dims.users, 1);
    assert_int_equal(s->dims.targets, 1);
    assert_int_equal(s->user_station[0], 1);
    assert_true(s->station_position_m[2] == -80 && s->station_axis_rad[1] == -1.570796327);
    assert_true(s->channel[1].re == 2e-6 && s->channel[1].im == 1e-6);
    assert_true(s->channel[2].im == 3e-5 && s->channel[3].re == -2e-5);
    assert_true(s->error_radius[0] == 1e-7 && s->error_radius[1] == 2e-6);
    /* row: transmitter, column: receiver */
    assert_true(s->reflection[1].re == 2e-7 && s->reflection[2].re == 3e-7);
    assert_true(s->reflection[0].im == 5e-8);
    assert_int_equal(scene->tradeoff_count, 3);
    assert_true(scene->tradeoffs[1] == 0.5);
    lab_scene_destroy(&scene);
    assert_null(scene);
}

/* Every wrong value is refused under its own path. */
static void names_what_is_wrong_in_a_scene(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *field;
    } cases[] = {
        {"beamd-scene/1", "beamd-scene/2", "format"},
        {"\"format\":\"beamd-scene/1\",", "", "format"},
        {"\"snapshots\":256", "\"snapshots\":\"many\"", "snapshots"},
        {"\"snapshots\":256", "\"snapshots\":0", "snapshots"},
        {"\"carrier_hz\":3.5e9,", "", "carrier_hz"},
        {"resolved", "sonar", "sensing_model"},
        {"\"sensing_model\":\"resolved\"", "\"sensing_model\":\"band\"", "bandwidth_hz"},
        {"\"sensing_model\":\"resolved\"", "\"array\":\"planar\"", "array"},
        {"\"sensing_model\":\"resolved\"", "\"user_antennas\":2", "user_antennas"},
        {"[80,0]", "[80,0,10]", "stations[0].position_m"},
        {"[80,0]", "[80]", "stations[0].position_m"},
        {"[80,0]", "[80,null]", "stations[0].position_m[1]"},
        {"\"antennas\":2,", "\"antennas\":3,", "stations[1].antennas"},
        {"\"antennas\":2,", "\"antennas\":2.5,", "stations[0].antennas"},
        {"\"power_w\":10,", "\"power_w\":-10,", "stations[0].power_w"},
        {"\"power_w\":10,", "", "stations[0].power_w"},
        {"\"echo_noise_w\":1e-12", "\"echo_noise_w\":0", "stations[0].echo_noise_w"},
        {"\"station\":1", "\"station\":2", "users[0].station"},
        {"\"station\":1", "\"station\":-1", "users[0].station"},
        {"\"weight\":1,", "\"weight\":-1,", "users[0].weight"},
        {"\"weight\":1,", "\"weight\":true,", "users[0].weight"},
        {"\"noise_w\":1e-11", "\"noise_w\":0", "users[0].noise_w"},
        {"\"noise_w\":1e-11", "\"noise_w\":1e-11,\"min_rate_bps_hz\":-1",
         "users[0].min_rate_bps_hz"},
        {"[1e-6,2e-6]", "[1e-6]", "users[0].channels[0].re"},
        {"[1e-6,2e-6]", "[1e-6,\"x\"]", "users[0].channels[0].re[1]"},
        {"[1e-6,2e-6]", "[[1e-6,2e-6]]", "users[0].channels[0]"},
        {"\"im\":[3e-5,0]", "\"im\":{}", "users[0].channels[1].im"},
        {"\"error_radius\":[1e-7,2e-6]", "\"error_radius\":[1e-7]", "users[0].error_radius"},
        {"\"error_radius\":[1e-7,2e-6]", "\"error_radius\":[1e-7,-2e-6]",
         "users[0].error_radius[1]"},
        {"[[1e-7,2e-7],[3e-7,4e-7]]", "[[1e-7,2e-7]]", "targets[0].reflection.re"},
        {"[[1e-7,2e-7],[3e-7,4e-7]]", "[[1e-7,2e-7],[3e-7]]", "targets[0].reflection.re[1]"},
        {"\"targets\":[{\"position_m\":[2,5]", "\"targets\":[{\"position_m\":[80,0]",
         "targets[0].position_m"},
        {"[0,0.5,1]", "[0,1.5]", "tradeoffs[1]"},
        {"[0,0.5,1]", "0.5", "tradeoffs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = replaced(TINY, cases[i].from, cases[i].to);
        beam_error err = {.code = BEAM_OK};
        lab_scene *scene = lab_scene_parse(text, strlen(text), &err);
        if (scene || strcmp(err.field, cases[i].field) != 0) {
            fail_msg("%s -> %s: expected %s, got \"%s\" %s", cases[i].from, cases[i].to,
                     cases[i].field, err.field, scene ? "accepted" : err.text);
        }
        assert_true(strlen(err.text) > 0 && !strchr(err.text, '\n'));
        free(text);
    }
}

static void refuses_text_that_is_not_json(void **state)
{
    (void)state;
    static const char *const to[] = {"NaN", "Infinity", "1e999", "0.5.5", "\x01", "0.5,"};
    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
        char *text = replaced(TINY, "0.5", to[i]);
        beam_error err = {.code = BEAM_OK};
        assert_null(lab_scene_parse(text, strlen(text), &err));
        assert_memory_equal(err.field, "line ", 5);
        free(text);
    }
    beam_error err;
    assert_null(lab_scene_parse("", 0, &err));
    assert_null(lab_scene_parse("[]", 2, &err));
    assert_null(lab_scene_read("/nonexistent/scene.json", &err));
    assert_string_equal(err.text, "cannot be read: No such file or directory");
    assert_null(lab_scene_read("/", &err));
    assert_string_equal(err.text, "cannot be read: Is a directory");
    /* every prefix of a valid file */
    for (size_t size = 0; size + 1 < sizeof TINY; size++) {
        assert_null(lab_scene_parse(TINY, size, &err));
    }
}

static char *temporary_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/beam_format_%ld.json", (long)getpid());
    return path;
}

static void scene_survives_a_round_trip(void **state)
{
    (void)state;
    char *text = replaced(TINY, "\"weight\":1,", "\"weight\":1.25,\"min_rate_bps_hz\":0.75,");
    beam_error err;
    lab_scene *scene = lab_scene_parse(text, strlen(text), &err);
    assert_non_null(scene);
    free(text);
    scene->scene.sensing = BEAM_SENSING_BAND;
    scene->scene.bandwidth_hz = 2e7;
    scene->scene.channel[0].re = 0.1 + 0.2; /* not a 10-digit number */
    lab_scene_round(scene);
    assert_true(scene->scene.channel[0].re == 0.3);
    snprintf(scene->name, sizeof scene->name, "quote \" and \\ slash");
    assert_int_equal(lab_scene_write(scene, temporary_path(), &err), BEAM_OK);
    lab_scene *back = lab_scene_read(temporary_path(), &err);
    unlink(temporary_path());
    assert_non_null(back);
    const beam_scene *a = &scene->scene, *b = &back->scene;
    assert_string_equal(back->name, scene->name);
    assert_int_equal(b->sensing, BEAM_SENSING_BAND);
    assert_true(b->bandwidth_hz == 2e7 && b->snapshots == a->snapshots);
    assert_true(b->user_min_rate_bps_hz[0] == 0.75 && b->user_weight[0] == 1.25);
    assert_memory_equal(a->channel, b->channel, 4 * sizeof(beam_complex));
    assert_memory_equal(a->error_radius, b->error_radius, 2 * sizeof(double));
    assert_memory_equal(a->reflection, b->reflection, 4 * sizeof(beam_complex));
    assert_memory_equal(a->station_position_m, b->station_position_m, 4 * sizeof(double));
    assert_memory_equal(scene->tradeoffs, back->tradeoffs, 3 * sizeof(double));
    lab_scene_destroy(&scene);
    lab_scene_destroy(&back);
}

static void reads_the_documented_solution(void **state)
{
    (void)state;
    lab_scene *scene = tiny();
    beam_error err;
    lab_solution *solution =
        lab_solution_parse(TINY_SOLUTION, strlen(TINY_SOLUTION), &scene->scene, &err);
    assert_non_null(solution);
    assert_int_equal(solution->count, 1);
    const lab_entry *entry = &solution->entries[0];
    const beam_design *d = &entry->beams.design;
    assert_true(entry->tradeoff == 0.5 && entry->crlb_m2 == 0.1 && entry->solve_us == 100);
    assert_string_equal(entry->method, "lbfgs");
    assert_int_equal(d->sensing_count[0], 2);
    assert_int_equal(d->sensing_count[1], 1);
    assert_true(d->beams[1].re == 1 && d->beams[1].im == 1);
    assert_true(d->sensing[3].re == 1);
    assert_true(d->sensing[(size_t)d->sensing_max * 2].re == 0.5);
    assert_true(fabs(beam_design_power_w(d, scene->scene.user_station, 1) - 3.25) < 1e-12);
    lab_solution_destroy(&solution);
    lab_scene_destroy(&scene);
}

static void names_what_is_wrong_in_a_solution(void **state)
{
    (void)state;
    lab_scene *scene = tiny();
    static const struct {
        const char *from, *to, *field;
    } cases[] = {
        {"beamd-solution/1", "beamd-scene/1", "format"},
        {"\"solutions\":[", "\"solution\":[", "solutions"},
        {"\"re\":[[1,1]],\"im\":[[0,1]]", "\"re\":[],\"im\":[]",
         "solutions[0].stations[1].beams.re"},
        {"[[1,1]]", "[[1,1,1]]", "solutions[0].stations[1].beams.re[0]"},
        {"\"im\":[[0,1]]", "\"im\":[[0,\"i\"]]", "solutions[0].stations[1].beams.im[0][1]"},
        {"\"im\":[[0,0],[0,0]]", "\"im\":[[0,0]]", "solutions[0].stations[0].sensing.im"},
        {"\"re\":[[1,0],[0,1]]", "\"re\":[]", "solutions[0].stations[0].sensing.im"},
        {"\"re\":[[1,0],[0,1]]", "\"re\":[[1,0],[0,1e308]]", "solutions[0].stations[0].sensing"},
        {"\"im\":[[0,1]]", "\"im\":[[-1e21,1]]", "solutions[0].stations[1].beams"},
        {"\"tradeoff\":0.5", "\"tradeoff\":\"half\"", "solutions[0].tradeoff"},
        {"\"crlb_m2\":0.1", "\"crlb_m2\":[]", "solutions[0].crlb_m2"},
        {"\"method\":\"lbfgs\"", "\"method\":7", "solutions[0].method"},
        {"\"stations\":[{\"beams\":{\"re\":[],\"im\":[]},"
         "\"sensing\":{\"re\":[[1,0],[0,1]],\"im\":[[0,0],[0,0]]}},",
         "\"stations\":[", "solutions[0].stations"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = replaced(TINY_SOLUTION, cases[i].from, cases[i].to);
        beam_error err = {.code = BEAM_OK};
        lab_solution *solution = lab_solution_parse(text, strlen(text), &scene->scene, &err);
        if (solution || strcmp(err.field, cases[i].field) != 0) {
            fail_msg("%s -> %s: expected %s, got \"%s\" %s", cases[i].from, cases[i].to,
                     cases[i].field, err.field, solution ? "accepted" : err.text);
        }
        free(text);
    }
    lab_scene_destroy(&scene);
}

/* A number that is not claimed is NAN in memory and absent in the file; the budget holds after
 * printing. */
static void solution_survives_a_round_trip(void **state)
{
    (void)state;
    lab_scene *scene = tiny();
    const beam_scene *s = &scene->scene;
    beam_error err;
    lab_solution *solution = lab_solution_create(scene, 2, 2, &err);
    assert_non_null(solution);
    lab_entry *entry = &solution->entries[0];
    entry->tradeoff = 0;
    entry->wsr_worst_case_bps_hz = 1.0 / 3;
    snprintf(entry->method, sizeof entry->method, "classical");
    for (int k = 0; k < 2; k++) {
        beam_design *d = &solution->entries[k].beams.design;
        d->beams[0] = (beam_complex){10.0 / 3, -1.0 / 7};
        d->sensing[0] = (beam_complex){M_PI, 4};
        d->sensing_count[0] = 1;
        lab_design_settle(d, s);
        assert_true(d->sensing[0].re == lab_round_digits(d->sensing[0].re, 12));
        for (int l = 0; l < 2; l++) {
            assert_true(beam_design_power_w(d, s->user_station, l) <= s->station_power_w[l]);
        }
        assert_true(beam_design_power_w(d, s->user_station, 0) > 10 * (1 - 2e-11));
    }
    assert_int_equal(lab_solution_write(solution, s, temporary_path(), &err), BEAM_OK);
    lab_solution *back = lab_solution_read(temporary_path(), s, &err);
    unlink(temporary_path());
    assert_non_null(back);
    assert_int_equal(back->count, 2);
    assert_true(isnan(back->entries[0].crlb_m2) && isnan(back->entries[1].tradeoff));
    assert_true(back->entries[0].wsr_worst_case_bps_hz == lab_round_digits(1.0 / 3, 12));
    const beam_design *a = &entry->beams.design, *b = &back->entries[0].beams.design;
    assert_memory_equal(a->beams, b->beams, 2 * sizeof(beam_complex));
    assert_memory_equal(a->sensing, b->sensing, 2 * sizeof(beam_complex));
    assert_int_equal(b->sensing_count[0], 1);
    assert_int_equal(b->sensing_count[1], 0);
    lab_solution_destroy(&back);
    lab_solution_destroy(&solution);
    lab_scene_destroy(&scene);
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    lab_scene *scene = tiny();
    beam_error err;
    assert_int_not_equal(lab_scene_write(scene, "/nonexistent/dir/x.json", &err), BEAM_OK);
    assert_true(strlen(err.text) > 0);
    /* a device that is always full: the error of the last flush is seen */
    if (access("/dev/full", W_OK) == 0) {
        assert_int_not_equal(lab_scene_write(scene, "/dev/full", &err), BEAM_OK);
    }
    lab_scene_destroy(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_documented_scene),
        cmocka_unit_test(names_what_is_wrong_in_a_scene),
        cmocka_unit_test(refuses_text_that_is_not_json),
        cmocka_unit_test(scene_survives_a_round_trip),
        cmocka_unit_test(reads_the_documented_solution),
        cmocka_unit_test(names_what_is_wrong_in_a_solution),
        cmocka_unit_test(solution_survives_a_round_trip),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
    };
    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
