/* Plain structs of a controller -> requests. */
#include "client.h"

#include <string.h>

/* Room in the outgoing arena; one failure ends the request. */
#define OUT(client, type, count)                                                                   \
    ((type *)beam_wire_arena_take(&(client)->out, sizeof(type) * (count)))

static beamc_code no_room(beamc_error *err)
{
    return beamc_fail(err, BEAMC_E_ARGUMENT, "the message is larger than the limit of 9 MiB");
}

static beamc_code require(bool held, const char *sentence, beamc_error *err)
{
    return held ? BEAMC_OK : beamc_fail(err, BEAMC_E_ARGUMENT, "%s", sentence);
}

/* Waits for an Ack on the csi socket. */
static beamc_code acknowledged(beamc_client *client, uint64_t sequence, int timeout_ms,
                               beamc_error *err)
{
    beamc_answer answer;
    const beamc_code code = beamc_await(client, sequence, timeout_ms, &answer, err);
    if (code) {
        return code;
    }
    return answer.kind == BEAMC_ANSWER_ACK
               ? BEAMC_OK
               : beamc_fail(err, BEAMC_E_PROTOCOL, "the request was not answered with an Ack");
}

static beamc_code check_cluster(const beamc_client *client, const beamc_cluster *c,
                                beamc_error *err)
{
    beamc_code code = require(client && c && (c->stations || c->station_count == 0),
                              "client, cluster and stations must not be NULL", err);
    if (!code) {
        code = require(beam_wire_cluster_valid(c->id),
                       "a cluster id is 1 to 63 letters, digits, '.', '_' or '-'", err);
    }
    if (!code) {
        code = require(c->station_count <= BEAM_WIRE_MAX_STATIONS,
                       "a cluster has at most 16 stations", err);
    }
    if (!code) {
        code = require(!c->has_tradeoff || (c->tradeoff >= 0 && c->tradeoff <= 1),
                       "the trade-off is between 0 and 1", err);
    }
    return code;
}

static beamc_code encode_stations(beamc_client *client, const beamc_cluster *c,
                                  Beamd__RegisterCluster *m, beamc_error *err)
{
    Beamd__Station *stations = OUT(client, Beamd__Station, c->station_count);
    m->stations = OUT(client, Beamd__Station *, c->station_count);
    if (!stations || !m->stations) {
        return no_room(err);
    }
    for (size_t k = 0; k < c->station_count; k++) {
        const beamc_station *s = &c->stations[k];
        beamd__station__init(&stations[k]);
        stations[k].x_m = s->x_m;
        stations[k].y_m = s->y_m;
        stations[k].axis_rad = s->axis_rad;
        stations[k].antennas = c->antennas;
        stations[k].power_w = s->power_w;
        stations[k].echo_noise_w = s->echo_noise_w;
        m->stations[k] = &stations[k];
    }
    m->n_stations = c->station_count;
    return BEAMC_OK;
}

beamc_code beamc_register(beamc_client *client, const beamc_cluster *cluster, int timeout_ms,
                          beamc_error *err)
{
    beamc_code code = check_cluster(client, cluster, err);
    if (code) {
        return code;
    }
    beam_wire_arena_reset(&client->out);
    Beamd__RegisterCluster m = BEAMD__REGISTER_CLUSTER__INIT;
    Beamd__Preference preference = BEAMD__PREFERENCE__INIT;
    code = encode_stations(client, cluster, &m, err);
    if (code) {
        return code;
    }
    m.sender_time_ns = beamc_now_ns();
    m.array =
        cluster->array ? (Beamd__ArrayKind)cluster->array : BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR;
    m.user_antennas = cluster->user_antennas ? cluster->user_antennas : 1;
    m.sensing = cluster->sensing ? (Beamd__SensingModel)cluster->sensing
                                 : BEAMD__SENSING_MODEL__SENSING_RESOLVED;
    m.bandwidth_hz = cluster->bandwidth_hz;
    m.snapshots = cluster->snapshots;
    m.carrier_hz = cluster->carrier_hz;
    m.max_users = cluster->max_users;
    m.targets = cluster->targets;
    m.skip_unidentifiable = cluster->skip_unidentifiable;
    if (cluster->has_tradeoff) {
        const beamc_preference p = beamc_preference_from_tradeoff(cluster->tradeoff);
        preference.u1 = p.u1;
        preference.u2 = p.u2;
        m.preference = &preference;
    }
    m.beam_element = cluster->beams_float64 ? BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64
                                            : BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
    uint64_t sequence;
    code = beamc_send_message(client, BEAMC_SOCKET_CSI, BEAM_WIRE_REGISTER_CLUSTER, cluster->id,
                              &m.base, &sequence, err);
    return code ? code : acknowledged(client, sequence, timeout_ms, err);
}

beamc_code beamc_unregister(beamc_client *client, const char *cluster, int timeout_ms,
                            beamc_error *err)
{
    beamc_code code = require(client && beam_wire_cluster_valid(cluster),
                              "client or cluster id is not admissible", err);
    if (code) {
        return code;
    }
    Beamd__UnregisterCluster m = BEAMD__UNREGISTER_CLUSTER__INIT;
    m.sender_time_ns = beamc_now_ns();
    uint64_t sequence;
    code = beamc_send_message(client, BEAMC_SOCKET_CSI, BEAM_WIRE_UNREGISTER_CLUSTER, cluster,
                              &m.base, &sequence, err);
    return code ? code : acknowledged(client, sequence, timeout_ms, err);
}

/* Complex values into a ComplexArray in the outgoing arena. shape: 3 sizes. */
static Beamd__ComplexArray *encode_array(beamc_client *client, const double *values,
                                         const size_t shape[3], bool float64)
{
    const Beamd__ElementType element = float64 ? BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64
                                               : BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
    const size_t count = shape[0] * shape[1] * shape[2];
    const size_t bytes = count * beam_wire_element_bytes(element);
    Beamd__ComplexArray *array = OUT(client, Beamd__ComplexArray, 1);
    uint32_t *sizes = OUT(client, uint32_t, 3);
    unsigned char *data = OUT(client, unsigned char, bytes);
    if (!array || !sizes || !data) {
        return NULL;
    }
    beamd__complex_array__init(array);
    for (int k = 0; k < 3; k++) {
        sizes[k] = (uint32_t)shape[k];
    }
    beam_wire_complex_encode(element, BEAM_WIRE_ROUND_NEAREST, values, count, data, bytes);
    array->element = element;
    array->order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    array->n_shape = 3;
    array->shape = sizes;
    array->data.data = data;
    array->data.len = bytes;
    return array;
}

static Beamd__User **encode_users(beamc_client *client, const beamc_csi *csi)
{
    Beamd__User *users = OUT(client, Beamd__User, csi->user_count);
    Beamd__User **list = OUT(client, Beamd__User *, csi->user_count);
    if (!users || !list) {
        return NULL;
    }
    for (size_t k = 0; k < csi->user_count; k++) {
        beamd__user__init(&users[k]);
        users[k].user_id = csi->users[k].id;
        users[k].station = csi->users[k].station;
        users[k].weight = csi->users[k].weight;
        users[k].noise_w = csi->users[k].noise_w;
        users[k].min_rate_bps_hz = csi->users[k].min_rate_bps_hz;
        list[k] = &users[k];
    }
    return list;
}

static Beamd__Subband **encode_subband(beamc_client *client, const beamc_csi *csi)
{
    const size_t shape[3] = {csi->station_count, csi->user_count, csi->antennas};
    Beamd__Subband *band = OUT(client, Beamd__Subband, 1);
    Beamd__Subband **list = OUT(client, Beamd__Subband *, 1);
    double *radius = OUT(client, double, csi->station_count * csi->user_count);
    if (!band || !list || !radius) {
        return NULL;
    }
    beamd__subband__init(band);
    band->channels = encode_array(client, csi->channels, shape, csi->float64);
    if (!band->channels) {
        return NULL;
    }
    if (csi->user_count > 0) {
        memcpy(radius, csi->error_radius, csi->station_count * csi->user_count * sizeof *radius);
    }
    band->n_error_radius = csi->station_count * csi->user_count;
    band->error_radius = radius;
    *list = band;
    return list;
}

static beamc_code check_csi(const beamc_client *client, const beamc_csi *csi, beamc_error *err)
{
    beamc_code code = require(client && csi, "client and csi must not be NULL", err);
    if (!code) {
        code = require(beam_wire_cluster_valid(csi->cluster),
                       "a cluster id is 1 to 63 letters, digits, '.', '_' or '-'", err);
    }
    if (!code) {
        code = require(csi->station_count <= BEAM_WIRE_MAX_STATIONS &&
                           csi->antennas <= BEAM_WIRE_MAX_ANTENNAS &&
                           csi->user_count <= BEAM_WIRE_MAX_USERS,
                       "at most 16 stations, 256 antennas and 128 users", err);
    }
    if (!code) {
        code = require(csi->user_count == 0 || (csi->users && csi->channels && csi->error_radius),
                       "users, channels and error_radius must not be NULL", err);
    }
    return code;
}

beamc_code beamc_send_csi(beamc_client *client, const beamc_csi *csi, uint64_t *sequence,
                          beamc_error *err)
{
    const beamc_code code = check_csi(client, csi, err);
    if (code) {
        return code;
    }
    beam_wire_arena_reset(&client->out);
    Beamd__CsiUpdate m = BEAMD__CSI_UPDATE__INIT;
    m.users = encode_users(client, csi);
    m.subbands = encode_subband(client, csi);
    if (!m.users || !m.subbands) {
        return no_room(err);
    }
    m.deadline_us = csi->deadline_us;
    m.n_users = csi->user_count;
    m.n_subbands = 1;
    m.sender_time_ns = beamc_now_ns();
    return beamc_send_message(client, BEAMC_SOCKET_CSI, BEAM_WIRE_CSI_UPDATE, csi->cluster, &m.base,
                              sequence, err);
}

beamc_code beamc_send_join(beamc_client *client, const beamc_csi *csi, uint64_t *sequence,
                           beamc_error *err)
{
    const beamc_code code = check_csi(client, csi, err);
    if (code) {
        return code;
    }
    beam_wire_arena_reset(&client->out);
    Beamd__UsersJoin m = BEAMD__USERS_JOIN__INIT;
    m.users = encode_users(client, csi);
    m.subbands = encode_subband(client, csi);
    if (!m.users || !m.subbands) {
        return no_room(err);
    }
    m.deadline_us = csi->deadline_us;
    m.n_users = csi->user_count;
    m.n_subbands = 1;
    m.sender_time_ns = beamc_now_ns();
    return beamc_send_message(client, BEAMC_SOCKET_CSI, BEAM_WIRE_USERS_JOIN, csi->cluster, &m.base,
                              sequence, err);
}

beamc_code beamc_send_leave(beamc_client *client, const char *cluster, const uint64_t *user_ids,
                            size_t count, uint32_t deadline_us, uint64_t *sequence,
                            beamc_error *err)
{
    const beamc_code code =
        require(client && beam_wire_cluster_valid(cluster) && (user_ids || count == 0) &&
                    count <= BEAM_WIRE_MAX_USERS,
                "client, cluster id or user ids (at most 128) are not admissible", err);
    if (code) {
        return code;
    }
    beam_wire_arena_reset(&client->out);
    Beamd__UsersLeave m = BEAMD__USERS_LEAVE__INIT;
    m.user_ids = OUT(client, uint64_t, count);
    if (!m.user_ids) {
        return no_room(err);
    }
    if (count > 0) {
        memcpy(m.user_ids, user_ids, count * sizeof *user_ids);
    }
    m.n_user_ids = count;
    m.deadline_us = deadline_us;
    m.sender_time_ns = beamc_now_ns();
    return beamc_send_message(client, BEAMC_SOCKET_CSI, BEAM_WIRE_USERS_LEAVE, cluster, &m.base,
                              sequence, err);
}

beamc_code beamc_send_targets(beamc_client *client, const beamc_targets *t, uint64_t *sequence,
                              beamc_error *err)
{
    const beamc_code code = require(
        client && t && beam_wire_cluster_valid(t->cluster) &&
            (t->targets || t->target_count == 0) && t->target_count <= BEAM_WIRE_MAX_TARGETS &&
            t->station_count <= BEAM_WIRE_MAX_STATIONS,
        "client, cluster id, targets (at most 16) or stations (at most 16) are not admissible",
        err);
    if (code) {
        return code;
    }
    beam_wire_arena_reset(&client->out);
    Beamd__TargetUpdate m = BEAMD__TARGET_UPDATE__INIT;
    Beamd__Target *targets = OUT(client, Beamd__Target, t->target_count);
    m.targets = OUT(client, Beamd__Target *, t->target_count);
    if (!targets || !m.targets) {
        return no_room(err);
    }
    for (size_t k = 0; k < t->target_count; k++) {
        beamd__target__init(&targets[k]);
        targets[k].x_m = t->targets[k].x_m;
        targets[k].y_m = t->targets[k].y_m;
        targets[k].rcs_m2 = t->targets[k].rcs_m2;
        m.targets[k] = &targets[k];
    }
    m.n_targets = t->target_count;
    if (t->reflection) {
        const size_t shape[3] = {t->station_count, t->target_count, t->station_count};
        m.reflection = encode_array(client, t->reflection, shape, true);
        if (!m.reflection) {
            return no_room(err);
        }
    }
    m.measured_time_ns = t->measured_time_ns;
    m.deadline_us = t->deadline_us;
    m.sender_time_ns = beamc_now_ns();
    return beamc_send_message(client, BEAMC_SOCKET_CSI, BEAM_WIRE_TARGET_UPDATE, t->cluster,
                              &m.base, sequence, err);
}
