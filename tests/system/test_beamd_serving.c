/* What a controller is promised: every number recomputable from the beams, latest wins, the last
 * answer for new subscribers, clusters that do not disturb each other. */
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/golden.h"
#include "common/sanitized.h"
#include "system/daemon.h"

static test_daemon daemon_;

static int set_up(void **state)
{
    (void)state;
    test_daemon_start(&daemon_, NULL, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return test_daemon_stop(&daemon_) == 0 ? 0 : -1;
}

/* A small change of every channel, so that the next solve is another problem. */
static void wobble(beam_scene *scene, int step)
{
    const size_t n =
        (size_t)scene->dims.stations * (size_t)scene->dims.users * (size_t)scene->dims.antennas;
    for (size_t k = 0; k < n; k++) {
        scene->channel[k].re *= 1 + 0.01 * sin((double)k + step);
        scene->channel[k].im *= 1 + 0.01 * cos(2.0 * (double)k + step);
    }
}

static void every_number_is_recomputable(void **state)
{
    (void)state;
    static const char *const names[] = {"paper_eps010", "uneven_n6", "multi_n8"};
    static const double tradeoffs[] = {0, 0.35, 0.8, 1};
    for (int k = 0; k < 3; k++) {
        beam_scene *scene = test_golden_scene(names[k]);
        for (int t = 0; t < 4; t++) {
            beamc_client *client = test_client(&daemon_);
            test_set_up(client, names[k], scene, tradeoffs[t]);
            const beamc_solution *s = test_solve(client, names[k], scene);
            assert_false(s->warm);
            assert_true(fabs(s->preference.tradeoff - tradeoffs[t]) < 1e-9);
            test_check_solution(scene, s);
            beamc_close(&client);
        }
        test_scene_free(scene);
    }
}

static void a_stream_is_warm_started_and_exact(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&daemon_);
    test_set_up(client, "stream", scene, 0.5);
    for (int k = 0; k < 20; k++) {
        const beamc_solution *s = test_solve(client, "stream", scene);
        assert_int_equal(s->warm, k > 0);
        assert_int_equal(s->target_time_ns, 12345);
        assert_true(s->latency.solve_ns > 0);
        assert_true(s->valid_until_monotonic_ns > s->latency.received_monotonic_ns);
        test_check_solution(scene, s);
        wobble(scene, k);
    }
    beamc_close(&client);
    test_scene_free(scene);
}

/* float32 beams stay inside the budgets, and their numbers are those of the rounded beams. */
static void rounded_beams_are_evaluated_as_sent(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("uneven_n6");
    beamc_client *client = test_client(&daemon_);
    beamc_station stations[BEAM_MAX_STATIONS];
    for (int l = 0; l < scene->dims.stations; l++) {
        stations[l] = (beamc_station){
            scene->station_position_m[2 * l], scene->station_position_m[2 * l + 1],
            scene->station_axis_rad[l], scene->station_power_w[l], scene->station_echo_noise_w[l]};
    }
    const beamc_cluster cluster = {.id = "float32",
                                   .stations = stations,
                                   .station_count = (size_t)scene->dims.stations,
                                   .antennas = (unsigned)scene->dims.antennas,
                                   .max_users = (unsigned)scene->dims.users,
                                   .targets = (unsigned)scene->dims.targets,
                                   .snapshots = scene->snapshots};
    beamc_error err;
    assert_int_equal(beamc_register(client, &cluster, 5000, &err), BEAMC_OK);
    test_send_targets(client, "float32", scene);
    const beamc_solution *s = test_solve(client, "float32", scene);
    for (size_t k = 0; k < 2 * s->user_count * s->antennas; k++) {
        assert_true((double)(float)s->beams[k] == s->beams[k]);
    }
    test_check_solution(scene, s);
    beamc_close(&client);
    test_scene_free(scene);
}

/* Many updates at once: every one is answered exactly once, the last with a solution. */
static void the_latest_update_wins_and_each_is_answered_once(void **state)
{
    (void)state;
    enum { UPDATES = 40 };
    beam_scene *scene = test_golden_scene("multi_n8");
    beamc_client *client = test_client(&daemon_);
    test_set_up(client, "burst", scene, 0.5);
    uint64_t sequence[UPDATES];
    int answers[UPDATES] = {0}, solved = 0, superseded = 0;
    for (int k = 0; k < UPDATES; k++) {
        sequence[k] = test_send_csi(client, "burst", scene, 5000000);
        wobble(scene, k);
    }
    bool last_solved = false;
    for (int k = 0; k < UPDATES; k++) {
        beamc_answer answer;
        beamc_error err;
        assert_int_equal(beamc_receive(client, 60000, &answer, &err), BEAMC_OK);
        int at = 0;
        while (at < UPDATES && sequence[at] != answer.sequence) {
            at++;
        }
        assert_true(at < UPDATES);
        assert_int_equal(answers[at]++, 0);
        if (answer.kind == BEAMC_ANSWER_SOLUTION) {
            solved++;
            assert_int_equal(answer.solution->csi_sequence, answer.sequence);
            last_solved |= at == UPDATES - 1;
        } else {
            assert_int_equal(answer.kind, BEAMC_ANSWER_REFUSED);
            assert_int_equal(answer.refused.refusal, BEAMC_REFUSAL_SUPERSEDED);
            superseded++;
        }
    }
    assert_true(last_solved);
    assert_int_equal(solved + superseded, UPDATES);
    assert_true(superseded > 0); /* the burst arrives faster than it is solved */
    char *metrics = test_daemon_metrics(&daemon_);
    assert_true(test_metric(metrics, "beamd_cluster_superseded_total{cluster=\"burst\"}") ==
                superseded);
    free(metrics);
    beamc_close(&client);
    test_scene_free(scene);
}

static void a_deadline_too_short_still_gets_a_late_answer(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("multi_n8");
    beamc_client *client = test_client(&daemon_);
    test_set_up(client, "hurry", scene, 0.5);
    beamc_answer answer;
    beamc_error err;
    const uint64_t sequence = test_send_csi(client, "hurry", scene, 1);
    assert_int_equal(beamc_await(client, sequence, 60000, &answer, &err), BEAMC_OK);
    /* of the check or, where its thread had to wait longer than that, of the network as it is */
    assert_true(answer.solution->service == BEAMC_SERVICE_CHECKED ||
                answer.solution->service == BEAMC_SERVICE_REDUCED);
    assert_true(answer.solution->late);
    test_check_solution(scene, answer.solution);
    beamc_close(&client);
    test_scene_free(scene);
}

static void csi_before_targets_is_kept_and_answered_to_subscribers(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&daemon_);
    beamc_answer answer;
    beamc_error err;
    test_register(client, "early", scene, 0.5);
    assert_int_equal(beamc_subscribe(client, "early", &err), BEAMC_OK);
    const uint64_t sequence = test_send_csi(client, "early", scene, 0);
    assert_int_equal(beamc_await(client, sequence, 10000, &answer, &err), BEAMC_E_REFUSED);
    assert_int_equal(err.refusal, BEAMC_REFUSAL_NOT_READY);
    assert_string_equal(err.field, "targets");
    test_send_targets(client, "early", scene);
    do {
        assert_int_equal(beamc_receive(client, 10000, &answer, &err), BEAMC_OK);
    } while (answer.kind != BEAMC_ANSWER_PUBLISHED);
    assert_int_equal(answer.solution->csi_sequence, sequence);
    test_check_solution(scene, answer.solution);
    beamc_close(&client);
    test_scene_free(scene);
}

/* Subscribes and waits for the last solution, sent again. Where the subscription overtakes the
 * first publication, that one arrives before it. */
static void subscribe(beamc_client *client, const char *id, beamc_answer *answer)
{
    beamc_error err;
    assert_int_equal(beamc_subscribe(client, id, &err), BEAMC_OK);
    do {
        assert_int_equal(beamc_receive(client, 10000, answer, &err), BEAMC_OK);
        assert_int_equal(answer->kind, BEAMC_ANSWER_PUBLISHED);
    } while (!answer->solution->repeat);
}

static void the_last_value_reaches_a_new_subscriber(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&daemon_);
    test_set_up(client, "c1", scene, 0.5);
    test_set_up(client, "c10", scene, 0.5); /* its id begins with the other's */
    const beamc_solution *s = test_solve(client, "c10", scene);
    s = test_solve(client, "c1", scene);
    const uint64_t sequence = s->csi_sequence;
    const double wsr = s->wsr_worst_case_bps_hz;
    beamc_client *late = test_client(&daemon_);
    beamc_answer answer;
    beamc_error err;
    subscribe(late, "c1", &answer);
    assert_string_equal(answer.cluster, "c1");
    assert_int_equal(answer.solution->csi_sequence, sequence);
    assert_true(answer.solution->wsr_worst_case_bps_hz == wsr);
    test_check_solution(scene, answer.solution);
    assert_int_equal(beamc_receive(late, 200, &answer, &err), BEAMC_E_TIMEOUT);
    beamc_close(&late);
    beamc_close(&client);
    test_scene_free(scene);
}

static void a_preference_takes_effect(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&daemon_);
    beamc_preference preference;
    beamc_answer answer;
    beamc_error err;
    test_set_up(client, "taste", scene, 0.2);
    const beamc_solution *s = test_solve(client, "taste", scene);
    const double wsr = s->wsr_worst_case_bps_hz, crlb = s->crlb_m2;
    subscribe(client, "taste", &answer);
    assert_int_equal(beamc_preference_set(client, "taste", 0.9, 10000, &preference, &err),
                     BEAMC_OK);
    assert_true(fabs(preference.tradeoff - 0.9) < 1e-9);
    /* without new CSI the daemon solves again and publishes */
    assert_int_equal(beamc_receive(client, 10000, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_PUBLISHED);
    assert_true(fabs(answer.solution->preference.tradeoff - 0.9) < 1e-9);
    assert_true(answer.solution->wsr_worst_case_bps_hz < wsr);
    assert_true(answer.solution->crlb_m2 < crlb);
    test_check_solution(scene, answer.solution);
    assert_int_equal(beamc_preference_get(client, "taste", 10000, &preference, &err), BEAMC_OK);
    assert_true(fabs(preference.tradeoff - 0.9) < 1e-9);
    /* registering anew without one keeps it */
    test_set_up(client, "taste", scene, -1);
    s = test_solve(client, "taste", scene);
    assert_true(fabs(s->preference.tradeoff - 0.9) < 1e-9);
    beamc_close(&client);
    test_scene_free(scene);
}

static void moved_targets_are_solved_without_new_csi(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&daemon_);
    beamc_answer answer;
    beamc_error err;
    test_set_up(client, "radar", scene, 0.7);
    const uint64_t first_targets = test_solve(client, "radar", scene)->target_sequence;
    subscribe(client, "radar", &answer);
    scene->target_position_m[0] += 3;
    test_send_targets(client, "radar", scene);
    assert_int_equal(beamc_receive(client, 10000, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_PUBLISHED);
    assert_true(answer.solution->target_sequence > first_targets);
    assert_false(answer.solution->repeat);
    test_check_solution(scene, answer.solution);
    beamc_close(&client);
    test_scene_free(scene);
}

/* One user of `from` as a message of its own. */
static uint64_t send_join(beamc_client *client, const char *id, const beam_scene *from, int u)
{
    const size_t L = (size_t)from->dims.stations, N = (size_t)from->dims.antennas;
    const size_t U = (size_t)from->dims.users;
    const beamc_user user = {100 + (uint64_t)u, (unsigned)from->user_station[u],
                             from->user_weight[u], from->user_noise_w[u], 0};
    beam_complex *channels = test_memory(L * N * sizeof *channels);
    double radius[BEAM_MAX_STATIONS];
    for (size_t l = 0; l < L; l++) {
        memcpy(channels + l * N, from->channel + (l * U + (size_t)u) * N, N * sizeof *channels);
        radius[l] = from->error_radius[l * U + (size_t)u];
    }
    const beamc_csi csi = {.cluster = id,
                           .station_count = L,
                           .antennas = N,
                           .users = &user,
                           .user_count = 1,
                           .channels = &channels[0].re,
                           .error_radius = radius,
                           .deadline_us = 5000000,
                           .element = BEAMC_ELEMENT_FLOAT64};
    uint64_t sequence;
    beamc_error err;
    assert_int_equal(beamc_send_join(client, &csi, &sequence, &err), BEAMC_OK);
    free(channels);
    return sequence;
}

/* The scene without its last user. */
static beam_scene *without_last(const beam_scene *scene)
{
    beam_dims dims = scene->dims;
    dims.users--;
    beam_scene *less = test_scene_new(&dims);
    const size_t L = (size_t)dims.stations, N = (size_t)dims.antennas, U = (size_t)dims.users;
    const size_t J = (size_t)dims.targets;
    less->snapshots = scene->snapshots;
    less->sensing = scene->sensing;
    memcpy(less->station_position_m, scene->station_position_m, 2 * L * sizeof(double));
    memcpy(less->station_axis_rad, scene->station_axis_rad, L * sizeof(double));
    memcpy(less->station_power_w, scene->station_power_w, L * sizeof(double));
    memcpy(less->station_echo_noise_w, scene->station_echo_noise_w, L * sizeof(double));
    memcpy(less->target_position_m, scene->target_position_m, 2 * J * sizeof(double));
    memcpy(less->reflection, scene->reflection, L * J * L * sizeof(beam_complex));
    memcpy(less->user_station, scene->user_station, U * sizeof(int));
    memcpy(less->user_weight, scene->user_weight, U * sizeof(double));
    memcpy(less->user_noise_w, scene->user_noise_w, U * sizeof(double));
    for (size_t l = 0; l < L; l++) {
        memcpy(less->channel + l * U * N, scene->channel + l * (U + 1) * N,
               U * N * sizeof(beam_complex));
        memcpy(less->error_radius + l * U, scene->error_radius + l * (U + 1), U * sizeof(double));
    }
    return less;
}

static void users_join_and_leave(void **state)
{
    (void)state;
    beam_scene *all = test_golden_scene("uneven_n6");
    beam_scene *less = without_last(all);
    const int last = all->dims.users - 1;
    beamc_client *client = test_client(&daemon_);
    beamc_answer answer;
    beamc_error err;
    test_set_up(client, "crowd", less, 0.4);
    test_check_solution(less, test_solve(client, "crowd", less));
    uint64_t sequence = send_join(client, "crowd", all, last);
    assert_int_equal(beamc_await(client, sequence, 60000, &answer, &err), BEAMC_OK);
    assert_false(answer.solution->warm); /* the newcomer has no beam to start from */
    test_check_solution(all, answer.solution);
    sequence = send_join(client, "crowd", all, last);
    assert_int_equal(beamc_await(client, sequence, 60000, &answer, &err), BEAMC_E_REFUSED);
    assert_string_equal(err.field, "users[0].user_id");
    const uint64_t leaver = 100 + (uint64_t)last;
    assert_int_equal(beamc_send_leave(client, "crowd", &leaver, 1, 5000000, &sequence, &err),
                     BEAMC_OK);
    assert_int_equal(beamc_await(client, sequence, 60000, &answer, &err), BEAMC_OK);
    assert_true(answer.solution->warm);
    test_check_solution(less, answer.solution);
    assert_int_equal(beamc_send_leave(client, "crowd", &leaver, 1, 5000000, &sequence, &err),
                     BEAMC_OK);
    assert_int_equal(beamc_await(client, sequence, 60000, &answer, &err), BEAMC_E_REFUSED);
    assert_string_equal(err.field, "user_ids[0]");
    beamc_close(&client);
    test_scene_free(all);
    test_scene_free(less);
}

static void two_clusters_are_served_at_once(void **state)
{
    (void)state;
    beam_scene *a = test_golden_scene("paper_eps010"), *b = test_golden_scene("uneven_n6");
    beamc_client *one = test_client(&daemon_), *two = test_client(&daemon_);
    test_set_up(one, "left", a, 0.3);
    test_set_up(two, "right", b, 0.7);
    for (int k = 0; k < 5; k++) {
        beamc_answer answer;
        beamc_error err;
        const uint64_t x = test_send_csi(one, "left", a, 5000000);
        const uint64_t y = test_send_csi(two, "right", b, 5000000);
        assert_int_equal(beamc_await(two, y, 60000, &answer, &err), BEAMC_OK);
        test_check_solution(b, answer.solution);
        assert_int_equal(beamc_await(one, x, 60000, &answer, &err), BEAMC_OK);
        test_check_solution(a, answer.solution);
        wobble(a, k);
        wobble(b, k);
    }
    beamc_close(&one);
    beamc_close(&two);
    test_scene_free(a);
    test_scene_free(b);
}

/* More clusters than threads, all updates in flight at once. */
static void many_clusters_share_the_threads(void **state)
{
    (void)state;
    enum { CLUSTERS = 12, ROUNDS = 4 };
    static const char *const settings[] = {"workers = 3", NULL};
    test_daemon d;
    test_daemon_start(&d, settings, 0);
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&d);
    char id[CLUSTERS][16];
    uint64_t sequence[CLUSTERS];
    for (int c = 0; c < CLUSTERS; c++) {
        snprintf(id[c], sizeof id[c], "many-%d", c);
        test_set_up(client, id[c], scene, c / (CLUSTERS - 1.0));
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int c = 0; c < CLUSTERS; c++) {
            sequence[c] = test_send_csi(client, id[c], scene, 10000000);
        }
        for (int c = 0; c < CLUSTERS; c++) {
            beamc_answer answer;
            beamc_error err;
            assert_int_equal(beamc_await(client, sequence[c], 60000, &answer, &err), BEAMC_OK);
            assert_string_equal(answer.cluster, id[c]);
            assert_true(fabs(answer.solution->preference.tradeoff - c / (CLUSTERS - 1.0)) < 1e-9);
            test_check_solution(scene, answer.solution);
        }
        wobble(scene, round);
    }
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

static void users_under_a_floor_are_listed(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&daemon_);
    test_set_up(client, "floor", scene, 0.6);
    const beamc_solution *s = test_solve(client, "floor", scene);
    int weakest = 0;
    for (int u = 0; u < scene->dims.users; u++) {
        if (s->users[u].rate_worst_case_bps_hz < s->users[weakest].rate_worst_case_bps_hz) {
            weakest = u;
        }
    }
    const double rate = s->users[weakest].rate_worst_case_bps_hz;
    scene->user_min_rate_bps_hz[weakest] = rate + 0.3; /* within reach */
    s = test_solve(client, "floor", scene);
    test_check_solution(scene, s);
    assert_true(s->users[weakest].rate_worst_case_bps_hz > rate + 0.25);
    scene->user_min_rate_bps_hz[weakest] = 1000; /* out of reach */
    s = test_solve(client, "floor", scene);
    test_check_solution(scene, s);
    assert_int_equal(s->users_below_floor, 1);
    assert_true(s->users[weakest].below_floor);
    assert_true(s->shortfall_bps_hz > 900);
    beamc_close(&client);
    test_scene_free(scene);
}

/* Nobody to serve: all power senses. The first user then starts cold. */
static void a_cluster_without_users_senses(void **state)
{
    (void)state;
    beam_scene *all = test_golden_scene("paper_eps010"), *none = test_scene_clone(all);
    while (none->dims.users > 0) {
        beam_scene *less = without_last(none);
        test_scene_free(none);
        none = less;
    }
    beamc_client *client = test_client(&daemon_);
    test_register(client, "empty", all, 0.5);
    test_send_targets(client, "empty", all);
    const beamc_solution *s = test_solve(client, "empty", none);
    assert_int_equal(s->user_count, 0);
    assert_true(s->wsr_worst_case_bps_hz == 0 && s->wsr_ideal_bps_hz == 0);
    assert_true(fabs(s->crlb_m2 / s->crlb_min_m2 - 1) < 1e-3);
    test_check_solution(none, s);
    s = test_solve(client, "empty", all);
    assert_false(s->warm);
    test_check_solution(all, s);
    s = test_solve(client, "empty", none);
    test_check_solution(none, s);
    beamc_close(&client);
    test_scene_free(all);
    test_scene_free(none);
}

/* A controller that vanishes with a request under way; its successor goes on with the same cluster.
 */
static void a_controller_may_vanish_and_come_back(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    for (int k = 0; k < 5; k++) {
        beamc_client *client = test_client(&daemon_);
        test_set_up(client, "phoenix", scene, 0.5);
        test_solve(client, "phoenix", scene);
        test_send_csi(client, "phoenix", scene, 5000000);
        beamc_close(&client);
    }
    beamc_client *client = test_client(&daemon_);
    test_check_solution(scene, test_solve(client, "phoenix", scene)); /* still registered */
    beamc_error err;
    assert_int_equal(beamc_unregister(client, "phoenix", 10000, &err), BEAMC_OK);
    assert_int_equal(beamc_unregister(client, "phoenix", 10000, &err), BEAMC_E_REFUSED);
    assert_int_equal(err.refusal, BEAMC_REFUSAL_UNKNOWN_CLUSTER);
    beamc_close(&client);
    test_scene_free(scene);
}

static void the_best_rate_is_refreshed_in_the_background(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&daemon_);
    test_set_up(client, "ideal", scene, 0.5);
    const double before = test_solve(client, "ideal", scene)->wsr_ideal_bps_hz;
    const size_t n =
        (size_t)scene->dims.stations * (size_t)scene->dims.users * (size_t)scene->dims.antennas;
    for (size_t k = 0; k < n; k++) { /* everybody moves away: half of the amplitude */
        scene->channel[k].re *= 0.5;
        scene->channel[k].im *= 0.5;
    }
    double after = before;
    for (int k = 0; k < 100 && after >= before * (1 - 1e-6); k++) {
        const beamc_solution *s = test_solve(client, "ideal", scene);
        test_check_solution(scene, s);
        after = s->wsr_ideal_bps_hz;
        poll(NULL, 0, 100);
    }
    assert_true(after < before * (1 - 1e-3) || TEST_SLOWED); /* a thread of niceness 15 does it */
    beamc_close(&client);
    test_scene_free(scene);
}

static void nothing_was_ever_below_classical(void **state)
{
    (void)state;
    char *metrics = test_daemon_metrics(&daemon_);
    assert_true(test_metric(metrics, "beamd_solutions_total{method=\"boblrbf\"}") > 0);
    assert_true(test_metric(metrics, "beamd_below_classical_total") == 0);
    assert_true(test_metric(metrics, "beamd_failed_jobs_total") == 0);
    assert_true(test_metric(metrics, "beamd_refreshes_failed_total") == 0);
    free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_recomputable),
        cmocka_unit_test(a_stream_is_warm_started_and_exact),
        cmocka_unit_test(rounded_beams_are_evaluated_as_sent),
        cmocka_unit_test(the_latest_update_wins_and_each_is_answered_once),
        cmocka_unit_test(a_deadline_too_short_still_gets_a_late_answer),
        cmocka_unit_test(csi_before_targets_is_kept_and_answered_to_subscribers),
        cmocka_unit_test(the_last_value_reaches_a_new_subscriber),
        cmocka_unit_test(a_preference_takes_effect),
        cmocka_unit_test(moved_targets_are_solved_without_new_csi),
        cmocka_unit_test(users_join_and_leave),
        cmocka_unit_test(two_clusters_are_served_at_once),
        cmocka_unit_test(many_clusters_share_the_threads),
        cmocka_unit_test(users_under_a_floor_are_listed),
        cmocka_unit_test(a_cluster_without_users_senses),
        cmocka_unit_test(a_controller_may_vanish_and_come_back),
        cmocka_unit_test(the_best_rate_is_refreshed_in_the_background),
        cmocka_unit_test(nothing_was_ever_below_classical),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
