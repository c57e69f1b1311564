/* Answers -> plain structs. Sizes are taken from the message and checked against each other before
 * use. */
#include "client.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void beamc_decode_refusal(const Beamd__Error *refusal, beamc_error *out)
{
    *out = (beamc_error){.code = BEAMC_E_REFUSED,
                         .refusal = (beamc_refusal)refusal->code,
                         .sequence = refusal->request_sequence};
    snprintf(out->field, sizeof out->field, "%s", refusal->field);
    snprintf(out->text, sizeof out->text, "%s", refusal->text);
}

beamc_preference beamc_decode_preference(const Beamd__Preference *preference)
{
    return preference ? beamc_preference_from_vector(preference->u1, preference->u2)
                      : beamc_preference_from_tradeoff(0.0);
}

static beamc_code missing_memory(beamc_error *err)
{
    return beamc_fail(err, BEAMC_E_PROTOCOL,
                      "the answer needs more memory than is set aside for one");
}

static beamc_code decode_users(beamc_client *client, const Beamd__Solution *m, beamc_solution *s,
                               beamc_error *err)
{
    beamc_user_answer *users = BEAMC_TAKE(&client->in, beamc_user_answer, m->n_users);
    if (!users) {
        return missing_memory(err);
    }
    for (size_t k = 0; k < m->n_users; k++) {
        const Beamd__UserAnswer *u = m->users[k];
        users[k] = (beamc_user_answer){
            .id = u->user_id,
            .station = u->station,
            .beam_power_w = u->beam_power_w,
            .rate_nominal_bps_hz = u->rate_nominal_bps_hz,
            .rate_worst_case_bps_hz = u->rate_worst_case_bps_hz,
            .sinr_worst_case = u->sinr_worst_case,
            .min_rate_bps_hz = u->min_rate_bps_hz,
            .below_floor = u->below_floor != 0,
        };
        if (u->station >= m->n_stations) {
            return beamc_fail(err, BEAMC_E_PROTOCOL, "users[%zu].station is beyond the stations",
                              k);
        }
    }
    s->users = users;
    s->user_count = m->n_users;
    return BEAMC_OK;
}

static beamc_code decode_stations_and_targets(beamc_client *client, const Beamd__Solution *m,
                                              beamc_solution *s, beamc_error *err)
{
    beamc_station_answer *stations = BEAMC_TAKE(&client->in, beamc_station_answer, m->n_stations);
    beamc_target_answer *targets = BEAMC_TAKE(&client->in, beamc_target_answer, m->n_targets);
    if (!stations || !targets) {
        return missing_memory(err);
    }
    for (size_t k = 0; k < m->n_stations; k++) {
        const Beamd__StationAnswer *t = m->stations[k];
        stations[k] = (beamc_station_answer){t->power_w, t->sensing_power_w, t->power_slack_w,
                                             t->peak_antenna_power_w, t->sensing_columns};
    }
    for (size_t k = 0; k < m->n_targets; k++) {
        const Beamd__TargetAnswer *t = m->targets[k];
        targets[k] = (beamc_target_answer){(beamc_target_state)t->state, t->rms_bound_m,
                                           t->echo_snr_db, t->low_echo_snr != 0};
    }
    s->stations = stations;
    s->station_count = m->n_stations;
    s->targets = targets;
    s->target_count = m->n_targets;
    return BEAMC_OK;
}

/* Shape from the message, held against what the other fields say; then the values. */
static beamc_code decode_array(beamc_client *client, const Beamd__ComplexArray *array,
                               const char *field, const uint32_t *shape, size_t dims,
                               const double **out, beamc_error *err)
{
    beam_wire_error wire;
    if (beam_wire_array_check(array, field, shape, dims, &wire) < 0) {
        return beamc_fail_wire(err, BEAMC_E_PROTOCOL, &wire);
    }
    size_t count = 1;
    for (size_t k = 0; k < dims; k++) {
        count *= shape[k];
    }
    double *values = BEAMC_TAKE(&client->in, double, 2 * count);
    if (!values) {
        return missing_memory(err);
    }
    if (beam_wire_array_decode(array, field, shape, dims, values, &wire) < 0) {
        return beamc_fail_wire(err, BEAMC_E_PROTOCOL, &wire);
    }
    *out = values;
    return BEAMC_OK;
}

static beamc_code decode_beams(beamc_client *client, const Beamd__Solution *m, beamc_solution *s,
                               beamc_error *err)
{
    const uint32_t antennas = m->sensing && m->sensing->n_shape == 3 ? m->sensing->shape[2] : 0;
    const uint32_t columns = m->sensing && m->sensing->n_shape == 3 ? m->sensing->shape[1] : 0;
    if (antennas > BEAM_WIRE_MAX_ANTENNAS || columns > BEAM_WIRE_MAX_ANTENNAS) {
        return beamc_fail(err, BEAMC_E_PROTOCOL, "sensing.shape is beyond the limits");
    }
    for (size_t k = 0; k < s->station_count; k++) {
        if (s->stations[k].sensing_columns > columns) {
            return beamc_fail(err, BEAMC_E_PROTOCOL,
                              "stations[%zu].sensing_columns is beyond the array", k);
        }
    }
    const uint32_t beam_shape[2] = {(uint32_t)s->user_count, antennas};
    const uint32_t sensing_shape[3] = {(uint32_t)s->station_count, columns, antennas};
    s->antennas = antennas;
    s->sensing_max = columns;
    const beamc_code code = decode_array(client, m->beams, "beams", beam_shape, 2, &s->beams, err);
    return code ? code
                : decode_array(client, m->sensing, "sensing", sensing_shape, 3, &s->sensing, err);
}

static beamc_code check_finite(const Beamd__Solution *m, beamc_error *err)
{
    const double values[] = {m->wsr_nominal_bps_hz, m->wsr_worst_case_bps_hz, m->crlb_m2,
                             m->wsr_ideal_bps_hz, m->crlb_min_m2};
    for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
        if (!isfinite(values[k])) {
            return beamc_fail(err, BEAMC_E_PROTOCOL, "the quality of the answer is not finite");
        }
    }
    return BEAMC_OK;
}

static beamc_latency decode_latency(const Beamd__Latency *m)
{
    return (beamc_latency){.received_monotonic_ns = m->received_monotonic_ns,
                           .received_to_queued_ns = m->received_to_queued_ns,
                           .queued_to_solve_ns = m->queued_to_solve_ns,
                           .solve_ns = m->solve_ns,
                           .solve_to_sent_ns = m->solve_to_sent_ns,
                           .solve_to_checked_ns = m->solve_to_checked_ns,
                           .has_sender_estimate = m->has_sender_estimate != 0,
                           .sender_offset_estimate_ns = m->sender_offset_estimate_ns,
                           .transit_estimate_ns = m->transit_estimate_ns};
}

static uint64_t round_trip_ns(bool direct, uint64_t sender_time_ns)
{
    return direct && sender_time_ns ? beamc_now_ns() - sender_time_ns : 0;
}

static beamc_code decode_solution(beamc_client *client, const Beamd__Solution *m, beamc_solution *s,
                                  beamc_error *err)
{
    *s = (beamc_solution){
        .csi_sequence = m->csi_sequence,
        .target_sequence = m->target_sequence,
        .target_time_ns = m->target_time_ns,
        .repeat = m->repeat != 0,
        .wsr_nominal_bps_hz = m->wsr_nominal_bps_hz,
        .wsr_worst_case_bps_hz = m->wsr_worst_case_bps_hz,
        .crlb_valid = m->crlb_valid != 0,
        .crlb_m2 = m->crlb_m2,
        .wsr_ideal_bps_hz = m->wsr_ideal_bps_hz,
        .crlb_min_m2 = m->crlb_min_m2,
        .merit = m->merit,
        .classical_merit = m->classical_merit,
        .users_below_floor = m->users_below_floor,
        .shortfall_bps_hz = m->shortfall_bps_hz,
        .preference = beamc_decode_preference(m->preference),
        .method = (beamc_method)m->method,
        .status = (beamc_solve_status)m->status,
        .warm = m->warm != 0,
        .iterations = m->iterations,
        .valid_until_monotonic_ns = m->valid_until_monotonic_ns,
        .service = (beamc_service)m->service,
        .backend = (beamc_backend)m->backend,
        .late = m->late != 0,
        .subband = m->subband,
        .preference_name = m->preference_name,
        .csi_age_us = m->csi_age_us,
        .csi_stale = m->csi_stale != 0,
        .error_growth = m->error_growth > 0 ? m->error_growth : 1.0,
        .ideal_stale = m->ideal_stale != 0,
    };
    if (m->latency) {
        s->latency = decode_latency(m->latency);
    }
    beamc_code code = check_finite(m, err);
    if (!code) {
        code = decode_users(client, m, s, err);
    }
    if (!code) {
        code = decode_stations_and_targets(client, m, s, err);
    }
    return code ? code : decode_beams(client, m, s, err);
}

static beamc_code decode_one(beamc_client *client, const Beamd__Solution *m, bool direct,
                             beamc_answer *answer, beamc_error *err)
{
    beamc_solution *s = BEAMC_TAKE(&client->in, beamc_solution, 1);
    if (!s) {
        return missing_memory(err);
    }
    const beamc_code code = decode_solution(client, m, s, err);
    if (code) {
        return code;
    }
    s->latency.round_trip_ns = round_trip_ns(direct, m->sender_time_ns);
    answer->solutions = answer->solution = s;
    answer->solution_count = 1;
    answer->service = s->service;
    answer->late = s->late;
    return BEAMC_OK;
}

/* What the set says for all of them. A solution keeps sequences of its own: one that was held is of
 * earlier CSI than was asked for. */
static void inherit(const Beamd__SolutionSet *set, const beamc_latency *latency, beamc_solution *s)
{
    s->latency = *latency;
    s->valid_until_monotonic_ns = set->valid_until_monotonic_ns;
    s->repeat = set->repeat != 0;
    s->late = s->late || set->late;
    if (s->csi_sequence == 0) {
        s->csi_sequence = set->csi_sequence;
    }
    if (s->target_sequence == 0) {
        s->target_sequence = set->target_sequence;
        s->target_time_ns = set->target_time_ns;
    }
}

/* Says which solution of a set the error is of. */
static beamc_code in_solution(size_t k, beamc_code code, beamc_error *err)
{
    if (err) {
        beamc_error inner = *err;
        beamc_fail(err, code, "solutions[%zu]: %.400s", k, inner.text);
        if (inner.field[0]) {
            snprintf(err->field, sizeof err->field, "solutions[%zu].%.60s", k, inner.field);
        }
    }
    return code;
}

static beamc_code decode_set(beamc_client *client, const Beamd__SolutionSet *m, bool direct,
                             beamc_answer *answer, beamc_error *err)
{
    if (m->n_solutions == 0) {
        return beamc_fail(err, BEAMC_E_PROTOCOL, "the answer holds no solution");
    }
    beamc_solution *all = BEAMC_TAKE(&client->in, beamc_solution, m->n_solutions);
    if (!all) {
        return missing_memory(err);
    }
    beamc_latency latency = m->latency ? decode_latency(m->latency) : (beamc_latency){0};
    latency.round_trip_ns = round_trip_ns(direct, m->sender_time_ns);
    for (size_t k = 0; k < m->n_solutions; k++) {
        const beamc_code code = decode_solution(client, m->solutions[k], &all[k], err);
        if (code) {
            return in_solution(k, code, err);
        }
        inherit(m, &latency, &all[k]);
    }
    answer->solutions = answer->solution = all;
    answer->solution_count = m->n_solutions;
    answer->service = (beamc_service)m->service;
    answer->late = m->late != 0;
    return BEAMC_OK;
}

/* The sockets carry different answers: what comes through another is no answer. */
static beamc_code decode_message(beamc_client *client, unsigned type, const ProtobufCMessage *m,
                                 beamc_socket from, beamc_answer *answer, beamc_error *err)
{
    const bool direct = from == BEAMC_SOCKET_CSI;
    if (from == BEAMC_SOCKET_TELEMETRY && type == BEAM_WIRE_TELEMETRY) {
        answer->kind = BEAMC_ANSWER_TELEMETRY;
        return beamc_decode_telemetry(client, (const Beamd__Telemetry *)m, &answer->telemetry, err);
    }
    if (from != BEAMC_SOCKET_TELEMETRY &&
        (type == BEAM_WIRE_SOLUTION || type == BEAM_WIRE_SOLUTION_SET)) {
        answer->kind = direct ? BEAMC_ANSWER_SOLUTION : BEAMC_ANSWER_PUBLISHED;
        return type == BEAM_WIRE_SOLUTION
                   ? decode_one(client, (const Beamd__Solution *)m, direct, answer, err)
                   : decode_set(client, (const Beamd__SolutionSet *)m, direct, answer, err);
    }
    if (direct && type == BEAM_WIRE_ACK) {
        answer->kind = BEAMC_ANSWER_ACK;
        return BEAMC_OK;
    }
    if (direct && type == BEAM_WIRE_ERROR) {
        answer->kind = BEAMC_ANSWER_REFUSED;
        beamc_decode_refusal((const Beamd__Error *)m, &answer->refused);
        return BEAMC_OK;
    }
    return beamc_fail(err, BEAMC_E_PROTOCOL, "a %s is not an answer on this socket",
                      beam_wire_type_name(type));
}

beamc_code beamc_decode_answer(beamc_client *client, const unsigned char *frame, size_t bytes,
                               beamc_socket from, beamc_answer *answer, beamc_error *err)
{
    beam_wire_header header;
    beam_wire_error wire;
    ProtobufCMessage *message;
    *answer = (beamc_answer){0};
    beamc_code code = beamc_make_room(client, bytes, err);
    if (code) {
        return code;
    }
    if (beam_wire_unpack(&header, &message, &client->in, frame, bytes, &wire) < 0) {
        return beamc_fail_wire(err, BEAMC_E_PROTOCOL, &wire);
    }
    code = decode_message(client, header.type, message, from, answer, err);
    if (code) {
        *answer = (beamc_answer){0};
        return code;
    }
    memcpy(answer->cluster, header.cluster, sizeof answer->cluster);
    answer->sequence = header.sequence;
    return BEAMC_OK;
}
