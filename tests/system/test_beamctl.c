/* beamctl as an operator uses it: a child process, its standard output, its exit status. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/golden.h"
#include "common/model.h"
#include "common/random.h"
#include "system/beamctl_child.h"
#include "system/daemon.h"

enum { MANY = 300 /* more than a status could once hold */ };

static test_daemon daemon_;
static beamc_client *client;
static beam_scene *scene;

static int set_up(void **state)
{
    (void)state;
    static const char *const settings[] = {"clusters_max = 1024", "resolve_after_ms = 20", NULL};
    test_daemon_start(&daemon_, settings, 0);
    client = test_client(&daemon_);
    scene = test_golden_scene("paper_eps010");
    test_set_up(client, "north", scene, 0.25);
    test_check_solution(scene, test_solve(client, "north", scene));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    beamc_close(&client);
    test_scene_free(scene);
    return test_daemon_stop(&daemon_);
}

static void status_is_that_of_the_daemon(void **state)
{
    (void)state;
    const beamc_solution *solution = test_solve(client, "north", scene);
    const double wsr = solution->wsr_worst_case_bps_hz, crlb_m2 = solution->crlb_m2;
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "status", NULL));
    assert_false(json_is_true(json_object_get(o, "draining")));
    assert_true(ctl_whole(o, "solver_threads") >= 1 && ctl_real(o, "uptime_s") >= 0);
    assert_int_equal(ctl_whole(o, "max_clusters"), 1024);
    assert_true(ctl_whole(o, "solutions_sent") >= 2 && ctl_whole(o, "messages_received") >= 4);
    assert_int_equal(ctl_whole(o, "errors_sent"), 0);
    const json_t *c = json_array_get(json_object_get(o, "clusters"), 0);
    assert_string_equal(ctl_word(c, "cluster"), "north");
    assert_int_equal(ctl_whole(c, "stations"), scene->dims.stations);
    assert_int_equal(ctl_whole(c, "antennas"), scene->dims.antennas);
    assert_int_equal(ctl_whole(c, "users"), scene->dims.users);
    assert_int_equal(ctl_whole(c, "targets"), scene->dims.targets);
    assert_true(fabs(ctl_real(json_object_get(c, "preference"), "tradeoff") - 0.25) < 1e-9);
    assert_true(fabs(ctl_real(c, "wsr_worst_case_bps_hz") - wsr) < 1e-9 * wsr);
    assert_true(fabs(ctl_real(c, "crlb_m2") - crlb_m2) < 1e-9 * crlb_m2);
    assert_true(ctl_real(c, "latency_p50_us") > 0 &&
                ctl_real(c, "latency_p99_us") >= ctl_real(c, "latency_p50_us"));
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "status", NULL), 0, "1 of 1024 clusters\nsolves by ", "");
    ctl_expect(ctl_run(daemon_.dir, "status", NULL), 0, "\ncluster north: ", "");
    ctl_expect(ctl_run(daemon_.dir, "status", "north", NULL), 0, "worst-case WSR", "");
    ctl_expect(ctl_run(daemon_.dir, "status", "south", NULL), 1, "", "refused (unknown cluster)");
    ctl_expect(ctl_run(daemon_.dir, "clusters", NULL), 0, "north ", "");
}

static void a_preference_set_is_got_and_used(void **state)
{
    (void)state;
    json_t *o =
        ctl_object(ctl_run(daemon_.dir, "--json", "preference", "set", "north", "0.75", NULL));
    assert_string_equal(ctl_word(o, "cluster"), "north");
    assert_true(fabs(ctl_real(json_object_get(o, "preference"), "tradeoff") - 0.75) < 1e-9);
    json_decref(o);
    o = ctl_object(ctl_run(daemon_.dir, "--json", "preference", "get", "north", NULL));
    const json_t *p = json_object_get(o, "preference");
    assert_true(fabs(ctl_real(p, "tradeoff") - 0.75) < 1e-9);
    assert_true(fabs(hypot(ctl_real(p, "u1"), ctl_real(p, "u2")) - 1) < 1e-9);
    assert_string_equal(ctl_word(p, "words"), beamc_tradeoff_words(0.75));
    json_decref(o);
    assert_true(fabs(test_solve(client, "north", scene)->preference.tradeoff - 0.75) < 1e-9);
    ctl_expect(ctl_run(daemon_.dir, "preference", "get", "north", NULL), 0, "north: tau 0.750", "");
    ctl_expect(ctl_run(daemon_.dir, "preference", "get", "south", NULL), 1, "",
               "refused (unknown cluster)");
    static const char *const wrong[] = {"1.5", "nan", "half", "", "0.5x"};
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        ctl_expect(ctl_run(daemon_.dir, "preference", "set", "north", wrong[k], NULL), 2, "",
                   "TAU");
    }
    ctl_expect(ctl_run(daemon_.dir, "preference", "set", "north", "--", "-0.1", NULL), 2, "",
               "TAU");
    assert_true(fabs(test_solve(client, "north", scene)->preference.tradeoff - 0.75) < 1e-9);
}

/* What clusters use that were given none. */
static void the_default_preference_is_got_and_set(void **state)
{
    (void)state;
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "preference", "set", "0.3", NULL));
    assert_true(json_is_null(json_object_get(o, "cluster")));
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "preference", "get", NULL), 0,
               "default: tau 0.300, mostly comm", "");
    ctl_expect(ctl_run(daemon_.dir, "preference", "set", "0.5", NULL), 0, "default: tau 0.500, bal",
               "");
}

/* The cluster's targets and preference move without CSI: the daemon publishes by itself. */
static void watch_shows_what_is_published(void **state)
{
    (void)state;
    const beamc_solution *solution = test_solve(client, "north", scene);
    const uint64_t sequence = solution->csi_sequence;
    const double wsr = solution->wsr_worst_case_bps_hz;
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "--count", "1", "watch", "north", NULL));
    assert_string_equal(ctl_word(o, "cluster"), "north");
    assert_true(
        json_is_true(json_object_get(o, "repeat"))); /* the last value, to a new subscriber */
    assert_int_equal(ctl_whole(o, "csi_sequence"), sequence);
    assert_true(fabs(ctl_real(o, "wsr_worst_case_bps_hz") - wsr) < 1e-9 * wsr);
    assert_int_equal(json_array_size(json_object_get(o, "users")), scene->dims.users);
    assert_int_equal(ctl_whole(json_array_get(json_object_get(o, "users"), 1), "user"), 101);
    assert_int_equal(json_array_size(json_object_get(o, "targets")), scene->dims.targets);
    const json_t *latency = json_object_get(o, "latency_ns");
    assert_true(ctl_whole(latency, "solve") > 0 && ctl_whole(latency, "queued_to_solve") >= 0);
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "--count", "1", "watch", "north", NULL), 0, ", repeat\n", "");
}

static void without_a_name_all_clusters_are_watched(void **state)
{
    (void)state;
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "--count", "1", "watch", NULL));
    assert_string_equal(ctl_word(o, "cluster"), "north");
    json_decref(o);
}

/* Which process it is, by the lock that it holds; whether it answers. */
static void the_doctor_finds_the_daemon(void **state)
{
    (void)state;
    ctl_outcome o = ctl_run(daemon_.dir, "--json", "doctor", NULL);
    assert_true(o.status == 0 || o.status == 1 || o.status == 4);
    o.status = 0; /* of this machine, whatever it is */
    json_t *report = ctl_object(o);
    assert_int_equal(ctl_whole(report, "pid"), daemon_.pid);
    const json_t *check = json_array_get(json_object_get(report, "checks"), 0);
    assert_string_equal(ctl_word(check, "check"), "daemon");
    assert_string_equal(ctl_word(check, "verdict"), "ok");
    json_decref(report);
    o = ctl_run("/nonexistent", "--timeout", "100", "doctor", NULL);
    ctl_expect(o, 1, "bad   daemon", "");
}

/* Numbers beyond a signed 64-bit integer are not turned negative. */
static void large_user_ids_are_told_as_they_are(void **state)
{
    (void)state;
    const beam_dims dims = {.stations = 1, .antennas = 2, .users = 1, .targets = 1};
    test_random random = test_random_new(7);
    beam_scene *small = test_random_scene(&random, &dims, 0.05);
    test_register(client, "ids", small, 0);
    test_send_targets(client, "ids", small);
    const beamc_user user = {.id = UINT64_MAX, .weight = 1, .noise_w = small->user_noise_w[0]};
    const beamc_csi csi = {.cluster = "ids",
                           .station_count = 1,
                           .antennas = 2,
                           .users = &user,
                           .user_count = 1,
                           .channels = &small->channel[0].re,
                           .error_radius = small->error_radius};
    uint64_t sequence;
    beamc_answer answer;
    beamc_error err;
    assert_int_equal(beamc_send_csi(client, &csi, &sequence, &err), BEAMC_OK);
    assert_int_equal(beamc_await(client, sequence, 60000, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_SOLUTION);
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "--count", "1", "watch", "ids", NULL));
    assert_string_equal(ctl_word(json_array_get(json_object_get(o, "users"), 0), "user"),
                        "18446744073709551615");
    json_decref(o);
    assert_int_equal(beamc_unregister(client, "ids", 5000, &err), BEAMC_OK);
    test_scene_free(small);
}

/* As many as the daemon may be configured for must fit a list that clients can read. */
static void many_clusters_are_listed(void **state)
{
    (void)state;
    const beam_dims dims = {.stations = 1, .antennas = 2, .users = 1, .targets = 1};
    test_random random = test_random_new(8);
    beam_scene *small = test_random_scene(&random, &dims, 0.05);
    char id[16];
    for (int k = 0; k < MANY; k++) {
        snprintf(id, sizeof id, "many-%03d", k);
        test_register(client, id, small, 0.5);
    }
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "clusters", NULL));
    const json_t *list = json_object_get(o, "clusters");
    assert_int_equal(json_array_size(list), MANY + 1); /* and north, in the order of the ids */
    assert_string_equal(ctl_word(json_array_get(list, MANY - 1), "cluster"), "many-299");
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "status", NULL), 0, "301 of 1024 clusters", "");
    beamc_error err;
    for (int k = 0; k < MANY; k++) {
        snprintf(id, sizeof id, "many-%03d", k);
        assert_int_equal(beamc_unregister(client, id, 5000, &err), BEAMC_OK);
    }
    test_scene_free(small);
}

/* The sizes, the checksum and the training of the model in use; another one from a file; a wrong
 * one not. */
static void the_model_is_shown_and_reloaded(void **state)
{
    (void)state;
    char path[96];
    test_model_file file = test_model_make(0, 1);
    snprintf(path, sizeof path, "%s/beamd.conf", daemon_.dir); /* removed with the daemon */
    test_model_save(&file, path);
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "model", "reload", path, NULL));
    assert_true(json_is_true(json_object_get(o, "loaded")));
    assert_string_equal(ctl_word(o, "method"), "network");
    const json_t *m = json_object_get(o, "model"), *training = json_object_get(m, "training");
    assert_string_equal(ctl_word(m, "name"), file.info.name);
    assert_string_equal(ctl_word(m, "kind"), "equivariant");
    assert_string_equal(ctl_word(m, "sha256"), file.info.checksum);
    assert_string_equal(ctl_word(m, "source"), path);
    assert_int_equal(ctl_whole(m, "parameters"), file.info.parameters);
    assert_int_equal(ctl_whole(m, "layers"), file.info.layers);
    assert_int_equal(ctl_whole(m, "width"), file.info.width);
    assert_true(json_is_null(json_object_get(m, "size")));
    assert_string_equal(ctl_word(training, "command"), file.info.command);
    assert_string_equal(ctl_word(training, "creator"), file.info.creator);
    assert_string_equal(ctl_word(training, "data"), file.info.families);
    assert_string_equal(ctl_word(training, "seed"), "18364758544493064720");
    assert_int_equal(ctl_whole(training, "steps"), file.info.steps);
    assert_int_equal(ctl_whole(training, "samples"), file.info.samples);
    assert_int_equal(ctl_whole(training, "created_unix_s"), file.info.created_unix_s);
    assert_true(fabs(ctl_real(json_object_get(m, "held_out"), "ratio_median") - 0.99) < 1e-12);
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "model", NULL), 0, file.info.checksum, "");
    ctl_expect(ctl_run(daemon_.dir, "model", NULL), 0, "created       2023-11-14 22:13:20 UTC", "");
    ctl_expect(ctl_run(daemon_.dir, "status", NULL), 0, "model \"test ", "");
    file.bytes[file.size - 1] ^= 1;
    test_model_save(&file, path);
    ctl_expect(ctl_run(daemon_.dir, "model", "reload", path, NULL), 1, "",
               "refused (invalid): checksum: the file is damaged");
    ctl_expect(ctl_run(daemon_.dir, "model", "reload", "no-such-file", NULL), 1, "",
               "No such file");
    ctl_expect(ctl_run(daemon_.dir, "model", NULL), 0, file.info.checksum,
               ""); /* the old one stays */
    test_model_file_free(&file);
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    ctl_expect(ctl_run(daemon_.dir, "--help", NULL), 0, "preference set [CLUSTER] TAU", "");
    ctl_expect(ctl_run(daemon_.dir, "--version", NULL), 0, "beamctl ", "");
    ctl_expect(ctl_run(daemon_.dir, NULL), 2, "", "usage: beamctl");
    ctl_expect(ctl_run(daemon_.dir, "reboot", NULL), 2, "", "unknown command");
    ctl_expect(ctl_run(daemon_.dir, "status", "a", "b", NULL), 2, "", "wrong arguments");
    ctl_expect(ctl_run(daemon_.dir, "status", "not an id", NULL), 2, "", "cluster id");
    ctl_expect(ctl_run(daemon_.dir, "preference", "forget", "north", NULL), 2, "",
               "'get [CLUSTER]'");
    ctl_expect(ctl_run(daemon_.dir, "preference", "remove", "north", NULL), 2, "", "needs --name");
    ctl_expect(ctl_run(daemon_.dir, "--name", "n", "preference", "get", NULL), 2, "",
               "needs a CLUSTER");
    ctl_expect(ctl_run(daemon_.dir, "log-level", "loud", NULL), 2, "", "log-level takes");
    ctl_expect(ctl_run(daemon_.dir, "config", "write", NULL), 2, "", "'check' or 'reload'");
    ctl_expect(ctl_run(daemon_.dir, "config", "reload", "now", NULL), 2, "", "'check' or 'reload'");
    ctl_expect(ctl_run(daemon_.dir, "--points", "66", "front", "north", NULL), 2, "",
               "from 2 to 65");
    ctl_expect(ctl_run(daemon_.dir, "--points", "9", "status", NULL), 2, "",
               "--points belongs to front");
    ctl_expect(ctl_run(daemon_.dir, "--json", "--svg", "-", "front", "north", NULL), 2, "",
               "--svg -");
    ctl_expect(ctl_run(daemon_.dir, "--sort", "size", "top", NULL), 2, "", "--sort takes");
    ctl_expect(ctl_run(daemon_.dir, "--interval", "nan", "top", NULL), 2, "", "--interval");
    ctl_expect(ctl_run(daemon_.dir, "--batch", "0", "top", NULL), 2, "", "--batch");
    ctl_expect(ctl_run(daemon_.dir, "--root", "/nonexistent", "doctor", NULL), 2, "",
               "no directory");
    ctl_expect(ctl_run(daemon_.dir, "--curve-secret-key", "0123", "status", NULL), 2, "",
               "takes file:PATH");
    ctl_expect(ctl_run(daemon_.dir, "keygen", "/tmp", NULL), 2, "", "keygen comes first");
    ctl_expect(ctl_run(daemon_.dir, "--curve-secret-key", "file:/nonexistent", "--curve-server-key",
                       "file:/nonexistent", "status", NULL),
               2, "", "/nonexistent");
    ctl_expect(ctl_run(daemon_.dir, "front", "--help", NULL), 0, "--svg FILE", "");
    ctl_expect(ctl_run(daemon_.dir, "model", "load", NULL), 2, "", "'reload [FILE]'");
    ctl_expect(ctl_run(daemon_.dir, "--timeout", "soon", "status", NULL), 2, "", "--timeout");
    ctl_expect(ctl_run(daemon_.dir, "--count", "-1", "watch", "north", NULL), 2, "", "--count");
    ctl_expect(ctl_run(daemon_.dir, "--no-such-option", NULL), 2, "", "");
    ctl_expect(ctl_run("/nonexistent", "--timeout", "100", "status", NULL), 3, "",
               "nobody takes messages");
    ctl_expect(ctl_run("/nonexistent", "--timeout", "100", "--once", "top", NULL), 3, "",
               "nobody takes");
    ctl_expect(ctl_run("/nonexistent", "--timeout", "100", "watch", NULL), 3, "",
               "nobody takes messages");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_is_that_of_the_daemon),
        cmocka_unit_test(a_preference_set_is_got_and_used),
        cmocka_unit_test(the_default_preference_is_got_and_set),
        cmocka_unit_test(watch_shows_what_is_published),
        cmocka_unit_test(without_a_name_all_clusters_are_watched),
        cmocka_unit_test(the_doctor_finds_the_daemon),
        cmocka_unit_test(large_user_ids_are_told_as_they_are),
        cmocka_unit_test(many_clusters_are_listed),
        cmocka_unit_test(the_model_is_shown_and_reloaded),
        cmocka_unit_test(wrong_usage_is_told),
    };
    return cmocka_run_group_tests_name("beamctl", tests, set_up, tear_down);
}
