/* Preference, status, the list of clusters and the model. */
#include "client.h"

#include <stdio.h>
#include <string.h>

#define IN(client, type, count)                                                                    \
    ((type *)beam_wire_arena_take(&(client)->in, sizeof(type) * (count)))

static beamc_code check_id(const beamc_client *client, const char *cluster, beamc_error *err)
{
    return client && beam_wire_cluster_valid(cluster)
               ? BEAMC_OK
               : beamc_fail(err, BEAMC_E_ARGUMENT,
                            "a client and a cluster id of 1 to 63 letters, digits, '.', '_' or '-' "
                            "are needed");
}

beamc_code beamc_preference_get(beamc_client *client, const char *cluster, int timeout_ms,
                                beamc_preference *preference, beamc_error *err)
{
    beamc_code code = check_id(client, cluster, err);
    if (!code && !preference) {
        code = beamc_fail(err, BEAMC_E_ARGUMENT, "there is nowhere to put the preference");
    }
    if (code) {
        return code;
    }
    Beamd__PreferenceGet m = BEAMD__PREFERENCE_GET__INIT;
    m.sender_time_ns = beamc_now_ns();
    const ProtobufCMessage *reply;
    code = beamc_control(client, BEAM_WIRE_PREFERENCE_GET, cluster, &m.base, timeout_ms,
                         BEAM_WIRE_PREFERENCE_REPLY, &reply, err);
    if (!code) {
        *preference = beamc_decode_preference(((const Beamd__PreferenceReply *)reply)->preference);
    }
    return code;
}

beamc_code beamc_preference_set(beamc_client *client, const char *cluster, double tradeoff,
                                int timeout_ms, beamc_preference *preference, beamc_error *err)
{
    beamc_code code = check_id(client, cluster, err);
    if (!code && !(tradeoff >= 0 && tradeoff <= 1)) {
        code = beamc_fail(err, BEAMC_E_ARGUMENT, "the trade-off is between 0 and 1");
    }
    if (code) {
        return code;
    }
    const beamc_preference wanted = beamc_preference_from_tradeoff(tradeoff);
    Beamd__PreferenceSet m = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference vector = BEAMD__PREFERENCE__INIT;
    vector.u1 = wanted.u1;
    vector.u2 = wanted.u2;
    m.preference = &vector;
    m.sender_time_ns = beamc_now_ns();
    const ProtobufCMessage *reply;
    code = beamc_control(client, BEAM_WIRE_PREFERENCE_SET, cluster, &m.base, timeout_ms,
                         BEAM_WIRE_PREFERENCE_REPLY, &reply, err);
    if (!code && preference) {
        *preference = beamc_decode_preference(((const Beamd__PreferenceReply *)reply)->preference);
    }
    return code;
}

static void decode_cluster(const Beamd__ClusterStatus *m, beamc_cluster_status *c)
{
    *c = (beamc_cluster_status){
        .stations = m->stations,
        .antennas = m->antennas,
        .users = m->users,
        .max_users = m->max_users,
        .targets = m->targets,
        .preference = beamc_decode_preference(m->preference),
        .csi_sequence = m->csi_sequence,
        .target_sequence = m->target_sequence,
        .csi_received = m->csi_received,
        .solutions = m->solutions,
        .superseded = m->superseded,
        .refused = m->refused,
        .deadlines_missed = m->deadlines_missed,
        .latency_p50_us = m->latency_p50_us,
        .latency_p99_us = m->latency_p99_us,
        .solved = m->solved != 0,
        .wsr_worst_case_bps_hz = m->wsr_worst_case_bps_hz,
        .crlb_valid = m->crlb_valid != 0,
        .crlb_m2 = m->crlb_m2,
        .method = (beamc_method)m->method,
        .age_s = m->age_s,
    };
    snprintf(c->id, sizeof c->id, "%s", m->cluster);
}

static beamc_code decode_clusters(beamc_client *client, Beamd__ClusterStatus *const *list,
                                  size_t count, beamc_status *status, beamc_error *err)
{
    beamc_cluster_status *clusters = IN(client, beamc_cluster_status, count);
    if (!clusters) {
        return beamc_fail(err, BEAMC_E_PROTOCOL,
                          "the answer needs more memory than is set aside for one");
    }
    for (size_t k = 0; k < count; k++) {
        decode_cluster(list[k], &clusters[k]);
    }
    status->clusters = clusters;
    status->cluster_count = count;
    return BEAMC_OK;
}

beamc_code beamc_status_get(beamc_client *client, const char *cluster, int timeout_ms,
                            beamc_status *status, beamc_error *err)
{
    if (!client || !status || (cluster && !beam_wire_cluster_valid(cluster))) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client, status or cluster id is not admissible");
    }
    Beamd__StatusRequest m = BEAMD__STATUS_REQUEST__INIT;
    m.sender_time_ns = beamc_now_ns();
    const ProtobufCMessage *reply;
    const beamc_code code = beamc_control(client, BEAM_WIRE_STATUS_REQUEST, cluster, &m.base,
                                          timeout_ms, BEAM_WIRE_STATUS_REPLY, &reply, err);
    if (code) {
        return code;
    }
    const Beamd__StatusReply *s = (const Beamd__StatusReply *)reply;
    *status = (beamc_status){
        .draining = s->draining != 0,
        .uptime_s = s->uptime_s,
        .solver_threads = s->solver_threads,
        .max_clusters = s->max_clusters,
        .messages_received = s->messages_received,
        .solutions_sent = s->solutions_sent,
        .errors_sent = s->errors_sent,
    };
    snprintf(status->version, sizeof status->version, "%s", s->version);
    status->method = (beamc_method)s->method;
    status->model_name = s->model_name; /* in the arena, as the clusters */
    status->model_sha256 = s->model_sha256;
    return decode_clusters(client, s->clusters, s->n_clusters, status, err);
}

beamc_code beamc_cluster_list(beamc_client *client, int timeout_ms, beamc_status *status,
                              beamc_error *err)
{
    if (!client || !status) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client and status must not be NULL");
    }
    Beamd__ClusterListRequest m = BEAMD__CLUSTER_LIST_REQUEST__INIT;
    m.sender_time_ns = beamc_now_ns();
    const ProtobufCMessage *reply;
    const beamc_code code = beamc_control(client, BEAM_WIRE_CLUSTER_LIST_REQUEST, NULL, &m.base,
                                          timeout_ms, BEAM_WIRE_CLUSTER_LIST_REPLY, &reply, err);
    if (code) {
        return code;
    }
    const Beamd__ClusterListReply *list = (const Beamd__ClusterListReply *)reply;
    *status = (beamc_status){.model_name = "", .model_sha256 = ""};
    return decode_clusters(client, list->clusters, list->n_clusters, status, err);
}

static beamc_model decode_model(const Beamd__Model *m)
{
    return (beamc_model){.name = m->name,
                         .kind = m->kind,
                         .layers = m->layers,
                         .width = m->width,
                         .parameters = m->parameters,
                         .stations = m->stations,
                         .antennas = m->antennas,
                         .users = m->users,
                         .targets = m->targets,
                         .sensing_rows = m->sensing_rows,
                         .sha256 = m->sha256,
                         .source = m->source,
                         .creator = m->creator,
                         .families = m->families,
                         .command = m->command,
                         .data_seed = m->data_seed,
                         .steps = m->steps,
                         .samples = m->samples,
                         .created_unix_s = m->created_unix_s,
                         .held_out_scenes = m->held_out_scenes,
                         .held_out_loss = m->held_out_loss,
                         .held_out_ratio_median = m->held_out_ratio_median,
                         .held_out_ratio_p5 = m->held_out_ratio_p5};
}

static beamc_code ask_model(beamc_client *client, unsigned type, const ProtobufCMessage *message,
                            int timeout_ms, beamc_model_state *state, beamc_error *err)
{
    const ProtobufCMessage *reply;
    const beamc_code code =
        beamc_control(client, type, NULL, message, timeout_ms, BEAM_WIRE_MODEL_REPLY, &reply, err);
    if (!code && state) {
        const Beamd__ModelReply *r = (const Beamd__ModelReply *)reply;
        *state = (beamc_model_state){.loaded = r->model != NULL,
                                     .method = (beamc_method)r->method,
                                     .loads = r->loads,
                                     .refused = r->refused};
        if (r->model) {
            state->model = decode_model(r->model);
        }
    }
    return code;
}

beamc_code beamc_model_get(beamc_client *client, int timeout_ms, beamc_model_state *state,
                           beamc_error *err)
{
    if (!client || !state) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client and state must not be NULL");
    }
    Beamd__ModelGet m = BEAMD__MODEL_GET__INIT;
    m.sender_time_ns = beamc_now_ns();
    return ask_model(client, BEAM_WIRE_MODEL_GET, &m.base, timeout_ms, state, err);
}

beamc_code beamc_model_reload(beamc_client *client, const char *file, int timeout_ms,
                              beamc_model_state *state, beamc_error *err)
{
    if (!client || (file && (file[0] != '/' || strlen(file) > BEAM_WIRE_MAX_STRING_BYTES))) {
        return beamc_fail(err, BEAMC_E_ARGUMENT,
                          "a client and an absolute path of at most %d bytes are needed",
                          BEAM_WIRE_MAX_STRING_BYTES);
    }
    Beamd__ModelReload m = BEAMD__MODEL_RELOAD__INIT;
    m.sender_time_ns = beamc_now_ns();
    if (file) {
        m.file = (char *)(uintptr_t)file; /* packed, not changed */
    }
    return ask_model(client, BEAM_WIRE_MODEL_RELOAD, &m.base, timeout_ms, state, err);
}
