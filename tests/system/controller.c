/* The controller's half of the system tests: scenes into messages, solutions back into designs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "system/daemon.h"

enum { ANSWER_MS = 60000 };

static void must(beamc_code code, const beamc_error *err, const char *what)
{
    if (code != BEAMC_OK) {
        fail_msg("%s: %s (%s, field \"%s\"): %s", what, beamc_code_text(code),
                 beamc_refusal_text(err->refusal), err->field, err->text);
    }
}

beamc_client *test_client(const test_daemon *self)
{
    beamc_options options = beamc_options_default();
    beamc_client *client = NULL;
    beamc_error err;
    options.runtime_dir = self->dir;
    options.send_timeout_ms = 5000;
    must(beamc_connect(&client, &options, &err), &err, "connect");
    return client;
}

void test_register(beamc_client *client, const char *id, const beam_scene *scene, double tradeoff)
{
    beamc_station stations[BEAM_MAX_STATIONS];
    for (int l = 0; l < scene->dims.stations; l++) {
        stations[l] = (beamc_station){.x_m = scene->station_position_m[2 * l],
                                      .y_m = scene->station_position_m[2 * l + 1],
                                      .axis_rad = scene->station_axis_rad[l],
                                      .power_w = scene->station_power_w[l],
                                      .echo_noise_w = scene->station_echo_noise_w[l]};
    }
    const beamc_cluster cluster = {.id = id,
                                   .stations = stations,
                                   .station_count = (size_t)scene->dims.stations,
                                   .antennas = (unsigned)scene->dims.antennas,
                                   .max_users = (unsigned)scene->dims.users + 2,
                                   .targets = (unsigned)scene->dims.targets,
                                   .sensing = (beamc_sensing)((int)scene->sensing + 1),
                                   .bandwidth_hz = scene->bandwidth_hz,
                                   .snapshots = scene->snapshots,
                                   .carrier_hz = 3.5e9,
                                   .has_tradeoff = tradeoff >= 0,
                                   .tradeoff = tradeoff,
                                   .element = BEAMC_ELEMENT_FLOAT64};
    beamc_error err;
    must(beamc_register(client, &cluster, ANSWER_MS, &err), &err, "register");
}

void test_send_targets(beamc_client *client, const char *id, const beam_scene *scene)
{
    beamc_target targets[BEAM_MAX_TARGETS];
    for (int j = 0; j < scene->dims.targets; j++) {
        targets[j] = (beamc_target){.x_m = scene->target_position_m[2 * j],
                                    .y_m = scene->target_position_m[2 * j + 1]};
    }
    const beamc_targets message = {.cluster = id,
                                   .targets = targets,
                                   .target_count = (size_t)scene->dims.targets,
                                   .station_count = (size_t)scene->dims.stations,
                                   .reflection = &scene->reflection[0].re,
                                   .measured_time_ns = 12345};
    uint64_t sequence;
    beamc_error err;
    beamc_answer answer;
    must(beamc_send_targets(client, &message, &sequence, &err), &err, "targets");
    must(beamc_await(client, sequence, ANSWER_MS, &answer, &err), &err, "acknowledgement");
    assert_int_equal(answer.kind, BEAMC_ANSWER_ACK);
}

unsigned long long test_send_csi(beamc_client *client, const char *id, const beam_scene *scene,
                                 unsigned deadline_us)
{
    beamc_user users[BEAM_MAX_USERS];
    for (int u = 0; u < scene->dims.users; u++) {
        users[u] = (beamc_user){.id = 100 + (uint64_t)u,
                                .station = (unsigned)scene->user_station[u],
                                .weight = scene->user_weight[u],
                                .noise_w = scene->user_noise_w[u],
                                .min_rate_bps_hz = scene->user_min_rate_bps_hz[u]};
    }
    const beamc_csi csi = {.cluster = id,
                           .station_count = (size_t)scene->dims.stations,
                           .antennas = (size_t)scene->dims.antennas,
                           .users = users,
                           .user_count = (size_t)scene->dims.users,
                           .channels = &scene->channel[0].re,
                           .error_radius = scene->error_radius,
                           .deadline_us = deadline_us,
                           .element = BEAMC_ELEMENT_FLOAT64};
    uint64_t sequence;
    beamc_error err;
    must(beamc_send_csi(client, &csi, &sequence, &err), &err, "CSI");
    return sequence;
}

void test_set_up(beamc_client *client, const char *id, const beam_scene *scene, double tradeoff)
{
    test_register(client, id, scene, tradeoff);
    test_send_targets(client, id, scene);
}

const beamc_solution *test_solve(beamc_client *client, const char *id, const beam_scene *scene)
{
    beamc_error err;
    static beamc_answer answer;
    const uint64_t sequence = test_send_csi(client, id, scene, 5000000);
    must(beamc_await(client, sequence, ANSWER_MS, &answer, &err), &err, "solution");
    assert_int_equal(answer.kind, BEAMC_ANSWER_SOLUTION);
    assert_int_equal(answer.solution->csi_sequence, sequence);
    return answer.solution;
}

static void near(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * fabs(want) + 1e-12)) {
        fail_msg("%s: %.15g sent, %.15g recomputed", what, got, want);
    }
}

/* The design as it was sent. */
static beam_design *design_of(const beam_scene *scene, const beamc_solution *s)
{
    const size_t N = (size_t)scene->dims.antennas;
    assert_int_equal(s->user_count, scene->dims.users);
    assert_int_equal(s->station_count, scene->dims.stations);
    assert_int_equal(s->antennas, N);
    beam_design *design = test_design_new(&scene->dims, (int)s->sensing_max);
    if (s->user_count > 0) {
        memcpy(design->beams, s->beams, s->user_count * N * sizeof(beam_complex));
    }
    for (int l = 0; l < scene->dims.stations; l++) {
        design->sensing_count[l] = (int)s->sensing_max;
    }
    if (s->sensing_max > 0) {
        memcpy(design->sensing, s->sensing,
               s->station_count * s->sensing_max * N * sizeof(beam_complex));
    }
    return design;
}

/* The least CRLB depends on geometry and budgets only: whatever was sent before, it is this, unless
 * there was no time for it after the targets moved, and the answer says so. */
static void check_least_crlb(const beam_scene *scene, const beamc_solution *s)
{
    beam_error err;
    beam_solver *solver = test_solver_new(&scene->dims);
    test_must(beam_solver_load(solver, scene, &err), &err, "load");
    test_must(beam_solver_compute_sensing_end(solver, &err), &err, "least CRLB");
    const double least = beam_solver_ideal(solver).crlb_min_m2;
    if (!(fabs(s->crlb_min_m2 - least) <= 1e-6 * least) && !s->ideal_stale) {
        fail_msg("least CRLB: %.15g sent, %.15g recomputed", s->crlb_min_m2, least);
    }
    test_solver_free(solver);
}

void test_check_solution(const beam_scene *scene, const beamc_solution *s)
{
    beam_error err;
    beam_quality *q = test_memory(sizeof *q);
    beam_design *design = design_of(scene, s);
    beam_evaluator *evaluator = test_evaluator_new(&scene->dims, design->sensing_max);
    test_must(beam_evaluator_load(evaluator, scene, &err), &err, "load");
    test_must(beam_evaluator_run(evaluator, design, q, &err), &err, "run");
    near("nominal WSR", s->wsr_nominal_bps_hz, q->wsr_nominal_bps_hz);
    near("worst-case WSR", s->wsr_worst_case_bps_hz, q->wsr_worst_case_bps_hz);
    assert_int_equal(s->crlb_valid, q->crlb_valid);
    near("CRLB", s->crlb_m2, q->crlb_m2);
    assert_true(q->power_excess <= 1e-9);
    for (int l = 0; l < scene->dims.stations; l++) {
        near("power", s->stations[l].power_w, q->station_power_w[l]);
        near("slack", s->stations[l].power_slack_w + q->station_power_w[l],
             scene->station_power_w[l]);
        near("peak", s->stations[l].peak_antenna_power_w, q->station_peak_antenna_w[l]);
    }
    double sensing_and_beams_w = 0, power_w = 0;
    for (int u = 0; u < scene->dims.users; u++) {
        near("rate", s->users[u].rate_worst_case_bps_hz, q->user_rate_worst_case_bps_hz[u]);
        near("SINR", s->users[u].sinr_worst_case, q->user_sinr_worst_case[u]);
        assert_int_equal(s->users[u].id, 100 + u);
        assert_int_equal(s->users[u].below_floor,
                         q->user_rate_worst_case_bps_hz[u] < scene->user_min_rate_bps_hz[u]);
        sensing_and_beams_w += s->users[u].beam_power_w;
    }
    for (int l = 0; l < scene->dims.stations; l++) {
        sensing_and_beams_w += s->stations[l].sensing_power_w;
        power_w += q->station_power_w[l];
    }
    near("sum of the powers", sensing_and_beams_w, power_w);
    for (int j = 0; j < scene->dims.targets; j++) {
        near("rms", s->targets[j].rms_bound_m, q->target_rms_m[j]);
        near("echo SNR", s->targets[j].echo_snr_db, q->target_echo_snr_db[j]);
        assert_int_equal(s->targets[j].low_echo_snr, q->target_echo_snr_db[j] < 10);
    }
    check_least_crlb(scene, s);
    const beam_ideal ideal = {s->wsr_ideal_bps_hz, s->crlb_min_m2};
    const beam_preference preference = {s->preference.u1, s->preference.u2};
    near("merit", s->merit,
         beam_merit(&ideal, preference, beam_loss_rate(&ideal, q->wsr_worst_case_bps_hz),
                    beam_loss_sensing(&ideal, q->crlb_valid, q->crlb_m2)));
    assert_int_equal(s->users_below_floor, q->users_below_floor);
    near("shortfall", s->shortfall_bps_hz, q->shortfall_bps_hz);
    bool floors = false;
    for (int u = 0; u < scene->dims.users; u++) {
        floors |= scene->user_min_rate_bps_hz[u] > 0;
    }
    if (!floors) { /* with them the classical design may fall shorter and still have less merit */
        assert_true(s->merit <= s->classical_merit + 1e-9 * (1 + fabs(s->classical_merit)));
    }
    test_evaluator_free(evaluator);
    test_design_free(design);
    free(q);
}
