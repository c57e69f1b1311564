/* What operators ask: preferences, status, clusters, the model, fronts, the configuration. */
#include "client.h"

#include <string.h>

/* protobuf-c's structs hold texts that it does not change. */
static char *packed_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

static beamc_code no_room(beamc_error *err)
{
    return beamc_fail(err, BEAMC_E_PROTOCOL,
                      "the answer needs more memory than is set aside for one");
}

/* cluster may be NULL: the daemon's default. */
static beamc_code check_scope(const beamc_client *client, const char *cluster, beamc_error *err)
{
    return client && (!cluster || beam_wire_cluster_valid(cluster))
               ? BEAMC_OK
               : beamc_fail(err, BEAMC_E_ARGUMENT,
                            "a client and a cluster id of 1 to 63 letters, digits, '.', '_' or '-' "
                            "are needed");
}

static beamc_code check_named(const beamc_client *client, const char *cluster, const char *name,
                              beamc_error *err)
{
    if (!cluster) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "a named preference is of a cluster");
    }
    const beamc_code code = check_scope(client, cluster, err);
    if (!code && !beam_wire_preference_name_valid(name)) {
        return beamc_fail(err, BEAMC_E_ARGUMENT,
                          "the name of a preference is 1 to 31 letters, digits, '.', '_' or '-'");
    }
    return code;
}

static beamc_code check_tradeoff(double tradeoff, beamc_error *err)
{
    return tradeoff >= 0 && tradeoff <= 1
               ? BEAMC_OK
               : beamc_fail(err, BEAMC_E_ARGUMENT, "the trade-off is between 0 and 1");
}

/* Sends a request about preferences; preferences may be NULL. */
static beamc_code ask_preferences(beamc_client *client, unsigned type, const char *cluster,
                                  const ProtobufCMessage *message, int timeout_ms,
                                  beamc_preferences *preferences, beamc_error *err)
{
    const ProtobufCMessage *reply;
    const beamc_code code = beamc_control(client, type, cluster, message, timeout_ms,
                                          BEAM_WIRE_PREFERENCE_REPLY, &reply, err);
    if (code || !preferences) {
        return code;
    }
    const Beamd__PreferenceReply *r = (const Beamd__PreferenceReply *)reply;
    *preferences = (beamc_preferences){.unnamed = beamc_decode_preference(r->preference),
                                       .named_count = r->n_named};
    return beamc_decode_named(client, r->named, r->n_named, &preferences->named, err);
}

beamc_code beamc_preferences_get(beamc_client *client, const char *cluster, int timeout_ms,
                                 beamc_preferences *preferences, beamc_error *err)
{
    beamc_code code = check_scope(client, cluster, err);
    if (!code && !preferences) {
        code = beamc_fail(err, BEAMC_E_ARGUMENT, "there is nowhere to put the preference");
    }
    if (code) {
        return code;
    }
    Beamd__PreferenceGet m = BEAMD__PREFERENCE_GET__INIT;
    m.sender_time_ns = beamc_now_ns();
    return ask_preferences(client, BEAM_WIRE_PREFERENCE_GET, cluster, &m.base, timeout_ms,
                           preferences, err);
}

beamc_code beamc_preference_get(beamc_client *client, const char *cluster, int timeout_ms,
                                beamc_preference *preference, beamc_error *err)
{
    beamc_preferences all;
    const beamc_code code =
        beamc_preferences_get(client, cluster, timeout_ms, preference ? &all : NULL, err);
    if (!code) {
        *preference = all.unnamed;
    }
    return code;
}

/* name NULL: the unnamed one. */
static beamc_code set_preference(beamc_client *client, const char *cluster, const char *name,
                                 double tradeoff, int timeout_ms, beamc_preferences *preferences,
                                 beamc_error *err)
{
    const beamc_preference wanted = beamc_preference_from_tradeoff(tradeoff);
    Beamd__PreferenceSet m = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference vector = BEAMD__PREFERENCE__INIT;
    vector.u1 = wanted.u1;
    vector.u2 = wanted.u2;
    m.preference = &vector;
    if (name) {
        m.name = packed_text(name);
    }
    m.sender_time_ns = beamc_now_ns();
    return ask_preferences(client, BEAM_WIRE_PREFERENCE_SET, cluster, &m.base, timeout_ms,
                           preferences, err);
}

beamc_code beamc_preference_set(beamc_client *client, const char *cluster, double tradeoff,
                                int timeout_ms, beamc_preference *preference, beamc_error *err)
{
    beamc_code code = check_scope(client, cluster, err);
    if (!code) {
        code = check_tradeoff(tradeoff, err);
    }
    if (code) {
        return code;
    }
    beamc_preferences all;
    code = set_preference(client, cluster, NULL, tradeoff, timeout_ms, &all, err);
    if (!code && preference) {
        *preference = all.unnamed;
    }
    return code;
}

beamc_code beamc_preference_set_named(beamc_client *client, const char *cluster, const char *name,
                                      double tradeoff, int timeout_ms,
                                      beamc_preferences *preferences, beamc_error *err)
{
    beamc_code code = check_named(client, cluster, name, err);
    if (!code) {
        code = check_tradeoff(tradeoff, err);
    }
    return code ? code
                : set_preference(client, cluster, name, tradeoff, timeout_ms, preferences, err);
}

beamc_code beamc_preference_remove(beamc_client *client, const char *cluster, const char *name,
                                   int timeout_ms, beamc_preferences *preferences, beamc_error *err)
{
    const beamc_code code = check_named(client, cluster, name, err);
    if (code) {
        return code;
    }
    Beamd__PreferenceSet m = BEAMD__PREFERENCE_SET__INIT;
    m.name = packed_text(name);
    m.remove = 1;
    m.sender_time_ns = beamc_now_ns();
    return ask_preferences(client, BEAM_WIRE_PREFERENCE_SET, cluster, &m.base, timeout_ms,
                           preferences, err);
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
    strncpy(status->version, s->version, sizeof status->version - 1);
    status->method = (beamc_method)s->method;
    status->model_name = s->model_name; /* in the arena, as the clusters */
    status->model_sha256 = s->model_sha256;
    status->cluster_count = s->n_clusters;
    return beamc_decode_clusters(client, s->clusters, s->n_clusters, &status->clusters, err);
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
    *status =
        (beamc_status){.model_name = "", .model_sha256 = "", .cluster_count = list->n_clusters};
    return beamc_decode_clusters(client, list->clusters, list->n_clusters, &status->clusters, err);
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
        m.file = packed_text(file);
    }
    return ask_model(client, BEAM_WIRE_MODEL_RELOAD, &m.base, timeout_ms, state, err);
}

/* What the daemon may take for an answer that is waited for so long; 0: as it likes. */
static uint32_t within_us(int timeout_ms)
{
    if (timeout_ms <= 0) {
        return 0;
    }
    const uint64_t us = (uint64_t)timeout_ms * 875u; /* seven eighths, the rest is for the way */
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

beamc_code beamc_front_get(beamc_client *client, const char *cluster, unsigned points,
                           unsigned subband, int timeout_ms, beamc_front *front, beamc_error *err)
{
    if (!client || !front || !cluster || !beam_wire_cluster_valid(cluster)) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client, front or cluster id is not admissible");
    }
    if (points == 1 || points > BEAM_WIRE_MAX_FRONT_POINTS || subband >= BEAM_WIRE_MAX_SUBBANDS) {
        return beamc_fail(err, BEAMC_E_ARGUMENT,
                          "a front has 2 to %d points, a cluster %d subbands",
                          (int)BEAM_WIRE_MAX_FRONT_POINTS, (int)BEAM_WIRE_MAX_SUBBANDS);
    }
    Beamd__FrontRequest m = BEAMD__FRONT_REQUEST__INIT;
    m.deadline_us = within_us(timeout_ms);
    m.points = points;
    m.subband = subband;
    m.sender_time_ns = beamc_now_ns();
    const ProtobufCMessage *reply;
    const beamc_code code = beamc_control(client, BEAM_WIRE_FRONT_REQUEST, cluster, &m.base,
                                          timeout_ms, BEAM_WIRE_FRONT_REPLY, &reply, err);
    if (code) {
        return code;
    }
    const Beamd__FrontReply *r = (const Beamd__FrontReply *)reply;
    beamc_front_point *list = BEAMC_TAKE(&client->in, beamc_front_point, r->n_points);
    if (!list) {
        return no_room(err);
    }
    for (size_t k = 0; k < r->n_points; k++) {
        const Beamd__FrontPoint *p = r->points[k];
        list[k] = (beamc_front_point){.tradeoff = p->tradeoff,
                                      .wsr_worst_case_bps_hz = p->wsr_worst_case_bps_hz,
                                      .crlb_valid = p->crlb_valid != 0,
                                      .crlb_m2 = p->crlb_m2,
                                      .f1 = p->f1,
                                      .f2 = p->f2};
    }
    *front = (beamc_front){.csi_sequence = r->csi_sequence,
                           .target_sequence = r->target_sequence,
                           .subband = r->subband,
                           .wsr_ideal_bps_hz = r->wsr_ideal_bps_hz,
                           .crlb_min_m2 = r->crlb_min_m2,
                           .points = list,
                           .point_count = r->n_points,
                           .solve_ns = r->solve_ns};
    return BEAMC_OK;
}

static const beamc_config_key *decode_keys(beamc_client *client, Beamd__ConfigKey *const *list,
                                           size_t count)
{
    beamc_config_key *keys = BEAMC_TAKE(&client->in, beamc_config_key, count);
    for (size_t k = 0; keys && k < count; k++) {
        keys[k] = (beamc_config_key){.name = list[k]->name,
                                     .value = list[k]->value,
                                     .fallback = list[k]->fallback,
                                     .reloadable = list[k]->reloadable != 0,
                                     .unit = list[k]->unit};
    }
    return keys;
}

static beamc_code ask_config(beamc_client *client, unsigned type, const ProtobufCMessage *message,
                             int timeout_ms, beamc_config *config, beamc_error *err)
{
    const ProtobufCMessage *reply;
    const beamc_code code =
        beamc_control(client, type, NULL, message, timeout_ms, BEAM_WIRE_CONFIG_REPLY, &reply, err);
    if (code || !config) {
        return code;
    }
    const Beamd__ConfigReply *r = (const Beamd__ConfigReply *)reply;
    *config = (beamc_config){.file = r->file,
                             .keys = decode_keys(client, r->keys, r->n_keys),
                             .key_count = r->n_keys,
                             .changed = decode_keys(client, r->changed, r->n_changed),
                             .changed_count = r->n_changed,
                             .need_restart = (const char *const *)r->need_restart,
                             .need_restart_count = r->n_need_restart};
    return config->keys && config->changed ? BEAMC_OK : no_room(err);
}

beamc_code beamc_config_get(beamc_client *client, int timeout_ms, beamc_config *config,
                            beamc_error *err)
{
    if (!client || !config) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client and config must not be NULL");
    }
    Beamd__ConfigGet m = BEAMD__CONFIG_GET__INIT;
    m.sender_time_ns = beamc_now_ns();
    return ask_config(client, BEAM_WIRE_CONFIG_GET, &m.base, timeout_ms, config, err);
}

beamc_code beamc_config_reload(beamc_client *client, bool check_only, int timeout_ms,
                               beamc_config *config, beamc_error *err)
{
    if (!client) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client must not be NULL");
    }
    Beamd__ConfigReload m = BEAMD__CONFIG_RELOAD__INIT;
    m.check_only = check_only;
    m.sender_time_ns = beamc_now_ns();
    return ask_config(client, BEAM_WIRE_CONFIG_RELOAD, &m.base, timeout_ms, config, err);
}

beamc_code beamc_log_level_set(beamc_client *client, const char *level, int timeout_ms,
                               beamc_error *err)
{
    if (!client || !level || !level[0] || strlen(level) > BEAM_WIRE_MAX_STRING_BYTES) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "a client and the name of a level are needed");
    }
    Beamd__LogLevelSet m = BEAMD__LOG_LEVEL_SET__INIT;
    m.level = packed_text(level);
    m.sender_time_ns = beamc_now_ns();
    const ProtobufCMessage *reply;
    return beamc_control(client, BEAM_WIRE_LOG_LEVEL_SET, NULL, &m.base, timeout_ms, BEAM_WIRE_ACK,
                         &reply, err);
}

beamc_code beamc_drain(beamc_client *client, int timeout_ms, beamc_error *err)
{
    if (!client) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client must not be NULL");
    }
    Beamd__Drain m = BEAMD__DRAIN__INIT;
    m.sender_time_ns = beamc_now_ns();
    const ProtobufCMessage *reply;
    return beamc_control(client, BEAM_WIRE_DRAIN, NULL, &m.base, timeout_ms, BEAM_WIRE_ACK, &reply,
                         err);
}
