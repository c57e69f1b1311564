/* What beamctl asks of a running daemon beyond its status: fronts, named preferences,
 * configuration, live numbers, the end. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/golden.h"
#include "common/random.h"
#include "system/beamctl_child.h"
#include "system/daemon.h"

static test_daemon daemon_;
static beamc_client *client;
static beam_scene *scene;

static int set_up(void **state)
{
    (void)state;
    static const char *const settings[] = {"resolve_after_ms = 0", "deadline_us = 10000000", NULL};
    test_daemon_start_configured(&daemon_, "telemetry_ms = 50\n", settings, 0);
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
    return 0; /* the last test ends the daemon */
}

static const json_t *at(const json_t *object, const char *key, size_t index)
{
    const json_t *entry = json_array_get(json_object_get(object, key), index);
    assert_non_null(entry);
    return entry;
}

static void a_front_is_that_of_the_latest_csi(void **state)
{
    (void)state;
    enum { POINTS = 9 };
    const beamc_solution *solution = test_solve(client, "north", scene);
    const uint64_t sequence = solution->csi_sequence;
    const double wsr = solution->wsr_worst_case_bps_hz, crlb_m2 = solution->crlb_m2;
    const double ideal = solution->wsr_ideal_bps_hz;
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "front", "north", "--points", "9", NULL));
    assert_int_equal(ctl_whole(o, "csi_sequence"), sequence);
    assert_int_equal(json_array_size(json_object_get(o, "points")), POINTS);
    assert_true(ctl_real(o, "wsr_ideal_bps_hz") >= ideal * (1 - 1e-9)); /* it is only raised */
    for (size_t k = 0; k < POINTS; k++) {
        assert_true(ctl_real(at(o, "points", k), "wsr_worst_case_bps_hz") > 0);
        assert_true(k == 0 || ctl_real(at(o, "points", k), "tradeoff") >
                                  ctl_real(at(o, "points", k - 1), "tradeoff"));
    }
    const json_t *first = at(o, "points", 0), *last = at(o, "points", POINTS - 1);
    assert_true(ctl_real(first, "wsr_worst_case_bps_hz") > ctl_real(last, "wsr_worst_case_bps_hz"));
    assert_true(ctl_real(first, "crlb_m2") > ctl_real(last, "crlb_m2"));
    const json_t *present = at(o, "present", 0);
    assert_int_equal(ctl_whole(present, "csi_sequence"), sequence);
    assert_true(fabs(ctl_real(present, "wsr_worst_case_bps_hz") - wsr) < 1e-9 * wsr);
    assert_true(fabs(ctl_real(present, "rms_m") - sqrt(crlb_m2)) < 1e-9 * sqrt(crlb_m2));
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "front", "north", "--points", "3", NULL), 0,
               "  O now: tau 0.250", "");
    ctl_expect(ctl_run(daemon_.dir, "front", "south", NULL), 1, "", "refused (unknown cluster)");
    ctl_expect(ctl_run(daemon_.dir, "front", "north", "--subband", "1", NULL), 1, "", "subband");
}

/* The answer to the next CSI has them. */
static void named_preferences_are_answered_for(void **state)
{
    (void)state;
    ctl_expect(ctl_run(daemon_.dir, "preference", "set", "north", "0.2", "--name", "talk", NULL), 0,
               "north talk: tau 0.200", "");
    ctl_expect(ctl_run(daemon_.dir, "preference", "set", "north", "0.9", "--name", "locate", NULL),
               0, "north locate: tau 0.900", "");
    test_solve(client, "north", scene);
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "front", "north", "--points", "2", NULL));
    assert_int_equal(json_array_size(json_object_get(o, "present")), 2);
    const json_t *talk = at(o, "present", 0), *locate = at(o, "present", 1);
    assert_string_equal(ctl_word(talk, "name"), "talk");
    assert_string_equal(ctl_word(locate, "name"), "locate");
    assert_true(ctl_real(talk, "wsr_worst_case_bps_hz") >
                ctl_real(locate, "wsr_worst_case_bps_hz"));
    assert_true(ctl_real(talk, "crlb_m2") > ctl_real(locate, "crlb_m2"));
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "preference", "remove", "north", "--name", "talk", NULL), 0, "",
               "");
    ctl_expect(ctl_run(daemon_.dir, "preference", "remove", "north", "--name", "talk", NULL), 1, "",
               "refused");
    ctl_expect(ctl_run(daemon_.dir, "preference", "remove", "north", "--name", "locate", NULL), 0,
               "north: tau 0.250", "");
}

static void the_configuration_is_the_daemons(void **state)
{
    (void)state;
    ctl_expect(ctl_run(daemon_.dir, "config", "get", "telemetry_ms", NULL), 0,
               "= 50 ms   (default 1000)", "");
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "config", NULL));
    assert_true(json_array_size(json_object_get(o, "keys")) > 40);
    json_decref(o);
    o = ctl_object(ctl_run(daemon_.dir, "--json", "config", "check", NULL));
    assert_int_equal(json_array_size(json_object_get(o, "changed")), 0);
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "log-level", "debug", NULL), 0, "log level debug", "");
    ctl_expect(ctl_run(daemon_.dir, "config", "get", "log_level", NULL), 0, "= debug", "");
    ctl_expect(ctl_run(daemon_.dir, "config", "check", NULL), 0, "log_level = info   (now debug)",
               ""); /* a reload takes it back */
    ctl_expect(ctl_run(daemon_.dir, "log-level", "info", NULL), 0, "log level info", "");
}

/* Tried without being done, done, and refused as a whole. */
static void the_file_is_read_again(void **state)
{
    (void)state;
    test_daemon_configure(&daemon_, "telemetry_ms = 40\nqueue_messages = 999\n");
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "config", "check", NULL));
    assert_false(json_is_true(json_object_get(o, "applied")));
    assert_int_equal(json_array_size(json_object_get(o, "changed")), 2);
    for (size_t k = 0; k < 2; k++) {
        const json_t *key = at(o, "changed", k);
        const bool telemetry = strcmp(ctl_word(key, "key"), "telemetry_ms") == 0;
        assert_string_equal(ctl_word(key, "value"), telemetry ? "40" : "999");
        assert_string_equal(ctl_word(key, "before"), telemetry ? "50" : "1000");
        assert_int_equal(json_is_true(json_object_get(key, "needs_restart")), !telemetry);
    }
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "config", "get", "telemetry_ms", NULL), 0, "= 50 ms", "");
    ctl_expect(ctl_run(daemon_.dir, "config", "reload", NULL), 0, "telemetry_ms = 40 ms", "");
    ctl_expect(ctl_run(daemon_.dir, "config", "get", "telemetry_ms", NULL), 0, "= 40 ms", "");
    test_daemon_configure(&daemon_, "telemetry_ms = 30\nworkers = many\n");
    ctl_expect(ctl_run(daemon_.dir, "config", "check", NULL), 1, "", "workers");
    ctl_expect(ctl_run(daemon_.dir, "config", "reload", NULL), 1, "", "workers");
    ctl_expect(ctl_run(daemon_.dir, "config", "get", "telemetry_ms", NULL), 0, "= 40 ms", "");
}

static void top_counts_what_is_answered(void **state)
{
    (void)state;
    for (int k = 0; k < 10; k++) {
        test_solve(client, "north", scene);
    }
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "--once", "top", NULL));
    assert_true(ctl_whole(o, "csi_received") >= 10 && ctl_whole(o, "solutions") >= 10);
    assert_true(ctl_real(json_object_get(o, "rates"), "elapsed_s") > 0);
    assert_true(json_array_size(json_object_get(o, "stages")) >= 5);
    const json_t *cluster = at(o, "clusters", 0);
    assert_string_equal(ctl_word(cluster, "cluster"), "north");
    assert_true(ctl_whole(cluster, "solutions") >= 10);
    uint64_t problems = 0;
    for (size_t k = 0; k < json_array_size(json_object_get(o, "backends")); k++) {
        const json_t *backend = at(o, "backends", k);
        assert_string_equal(ctl_word(backend, "health"), "good");
        problems += (uint64_t)ctl_whole(backend, "problems");
    }
    assert_true(problems >= 10);
    json_decref(o);
}

static void drain_ends_the_daemon(void **state)
{
    (void)state;
    ctl_expect(ctl_run(daemon_.dir, "drain", NULL), 0, "draining", "");
    assert_int_equal(test_daemon_wait(&daemon_, 20000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_front_is_that_of_the_latest_csi),
        cmocka_unit_test(named_preferences_are_answered_for),
        cmocka_unit_test(the_configuration_is_the_daemons),
        cmocka_unit_test(the_file_is_read_again),
        cmocka_unit_test(top_counts_what_is_answered),
        cmocka_unit_test(drain_ends_the_daemon),
    };
    return cmocka_run_group_tests_name("beamctl, live", tests, set_up, tear_down);
}
