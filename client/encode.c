/* Plain structs of a controller -> requests. */
#include "client.h"

#include <math.h>
#include <string.h>

/* Room in the outgoing arena; one failure ends the request. */
#define OUT(client, type, count) BEAMC_TAKE(&(client)->out, type, count)

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

/* The element type on the wire, UNSPECIFIED for none; *bits of a mantissa. */
static Beamd__ElementType wire_element(beamc_element element, unsigned given, int *bits)
{
    *bits = 0;
    switch (element) {
    case BEAMC_ELEMENT_DEFAULT:
    case BEAMC_ELEMENT_FLOAT32:
        return BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
    case BEAMC_ELEMENT_FLOAT64:
        return BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
    case BEAMC_ELEMENT_INT16:
        return BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16;
    case BEAMC_ELEMENT_BFP:
        *bits = given > BEAM_WIRE_BFP_BITS_MAX ? -1
                : given > 0                    ? (int)given
                                               : BEAM_WIRE_BFP_BITS_DEFAULT;
        return BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP;
    }
    return BEAMD__ELEMENT_TYPE__ELEMENT_UNSPECIFIED;
}

static beamc_code check_element(beamc_element element, unsigned given, beamc_error *err)
{
    int bits;
    const Beamd__ElementType wire = wire_element(element, given, &bits);
    return require(beam_wire_complex_bytes(wire, bits, 1) > 0,
                   "the element type is none, or the bits of a mantissa are not 8 to 16", err);
}

static beamc_code check_named(const beamc_cluster *c, beamc_error *err)
{
    if (c->preference_count > BEAM_WIRE_MAX_PREFERENCES ||
        (c->preference_count > 0 && !c->preferences)) {
        return require(false, "a cluster has at most 4 named preferences", err);
    }
    for (size_t k = 0; k < c->preference_count; k++) {
        const beamc_named_preference *p = &c->preferences[k];
        if (!beam_wire_preference_name_valid(p->name) || !(p->tradeoff >= 0 && p->tradeoff <= 1)) {
            return beamc_fail(err, BEAMC_E_ARGUMENT,
                              "preferences[%zu]: a name is 1 to 31 letters, digits, '.', '_' or "
                              "'-', a trade-off is between 0 and 1",
                              k);
        }
        for (size_t i = 0; i < k; i++) {
            if (strcmp(c->preferences[i].name, p->name) == 0) {
                return beamc_fail(err, BEAMC_E_ARGUMENT, "preferences[%zu]: \"%s\" is there twice",
                                  k, p->name);
            }
        }
    }
    return BEAMC_OK;
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
    if (!code) {
        code = require(c->subbands <= BEAM_WIRE_MAX_SUBBANDS, "a cluster has at most 275 subbands",
                       err);
    }
    if (!code) {
        code = check_element(c->element, c->bits, err);
    }
    return code ? code : check_named(c, err);
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

static void put_tradeoff(Beamd__Preference *vector, double tradeoff)
{
    const beamc_preference p = beamc_preference_from_tradeoff(tradeoff);
    beamd__preference__init(vector);
    vector->u1 = p.u1;
    vector->u2 = p.u2;
}

static beamc_code encode_preferences(beamc_client *client, const beamc_cluster *c,
                                     Beamd__RegisterCluster *m, beamc_error *err)
{
    const size_t count = c->preference_count;
    Beamd__Preference *vectors = OUT(client, Beamd__Preference, count + 1);
    Beamd__NamedPreference *named = OUT(client, Beamd__NamedPreference, count);
    m->preferences = OUT(client, Beamd__NamedPreference *, count);
    if (!vectors || !named || !m->preferences) {
        return no_room(err);
    }
    if (c->has_tradeoff) {
        put_tradeoff(&vectors[count], c->tradeoff);
        m->preference = &vectors[count];
    }
    for (size_t k = 0; k < count; k++) {
        put_tradeoff(&vectors[k], c->preferences[k].tradeoff);
        beamd__named_preference__init(&named[k]);
        named[k].name = (char *)(uintptr_t)c->preferences[k].name; /* packed, not changed */
        named[k].preference = &vectors[k];
        m->preferences[k] = &named[k];
    }
    m->n_preferences = count;
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
    code = encode_stations(client, cluster, &m, err);
    if (!code) {
        code = encode_preferences(client, cluster, &m, err);
    }
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
    m.subbands = cluster->subbands;
    m.error_growth_per_s = cluster->error_growth_per_s;
    int bits;
    m.beam_element = wire_element(cluster->element, cluster->bits, &bits);
    m.beam_bits = (uint32_t)bits;
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
static beamc_code encode_array(beamc_client *client, const double *values, const size_t shape[3],
                               Beamd__ElementType element, int bits, Beamd__ComplexArray **out,
                               beamc_error *err)
{
    const size_t count = shape[0] * shape[1] * shape[2];
    const size_t bytes = beam_wire_complex_bytes(element, bits, count);
    Beamd__ComplexArray *array = OUT(client, Beamd__ComplexArray, 1);
    uint32_t *sizes = OUT(client, uint32_t, 3);
    unsigned char *data = OUT(client, unsigned char, bytes);
    if (!array || !sizes || !data) {
        return no_room(err);
    }
    beamd__complex_array__init(array);
    for (int k = 0; k < 3; k++) {
        sizes[k] = (uint32_t)shape[k];
    }
    array->n_shape = 3;
    array->shape = sizes;
    array->data.data = data;
    *out = array;
    return require(
        beam_wire_array_encode(array, element, bits, BEAM_WIRE_ROUND_NEAREST, values, bytes) == 0,
        "a number is not finite", err);
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

/* What arrives is the channel as rounded: the radius grows by the distance, so that it holds for
 * that one too. */
static beamc_code widen_radii(beamc_client *client, const Beamd__ComplexArray *array,
                              const double *channels, double *radius, size_t links, size_t antennas,
                              beamc_error *err)
{
    /* Scratch where answers are decoded: the last one was valid until this call. */
    const beamc_code code = beamc_make_room(client, links * antennas * 2 * sizeof(double), err);
    double *rounded = code ? NULL : BEAMC_TAKE(&client->in, double, 2 * links * antennas);
    if (!rounded) {
        return code ? code : no_room(err);
    }
    beam_wire_error wire;
    if (beam_wire_array_decode(array, "channels", array->shape, 3, rounded, &wire) < 0) {
        return beamc_fail_wire(err, BEAMC_E_ARGUMENT, &wire);
    }
    for (size_t k = 0; k < links; k++) {
        double sum = 0.0;
        for (size_t n = 2 * antennas * k; n < 2 * antennas * (k + 1); n++) {
            sum += (rounded[n] - channels[n]) * (rounded[n] - channels[n]);
        }
        radius[k] += sqrt(sum) * (1.0 + 1e-12); /* the sum itself is rounded */
    }
    return BEAMC_OK;
}

static beamc_code encode_subband(beamc_client *client, const beamc_csi *csi, size_t b,
                                 Beamd__Subband *band, beamc_error *err)
{
    const size_t shape[3] = {csi->station_count, csi->user_count, csi->antennas};
    const size_t links = shape[0] * shape[1];
    const double *channels = links > 0 ? csi->channels + 2 * b * links * csi->antennas : NULL;
    int bits;
    const Beamd__ElementType element = wire_element(csi->element, csi->bits, &bits);
    double *radius = OUT(client, double, links);
    if (!radius) {
        return no_room(err);
    }
    beamd__subband__init(band);
    const beamc_code code =
        encode_array(client, channels, shape, element, bits, &band->channels, err);
    if (code) {
        return code;
    }
    if (links > 0) {
        memcpy(radius, csi->error_radius + b * links, links * sizeof *radius);
    }
    band->index = csi->subband_index ? csi->subband_index[b] : (uint32_t)b;
    band->n_error_radius = links;
    band->error_radius = radius;
    return element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32 ||
                   element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64
               ? BEAMC_OK
               : widen_radii(client, band->channels, channels, radius, links, csi->antennas, err);
}

static size_t subband_count(const beamc_csi *csi)
{
    return csi->subband_count > 0 ? csi->subband_count : 1;
}

static beamc_code encode_subbands(beamc_client *client, const beamc_csi *csi, Beamd__Subband ***out,
                                  beamc_error *err)
{
    const size_t count = subband_count(csi);
    Beamd__Subband *bands = OUT(client, Beamd__Subband, count);
    Beamd__Subband **list = OUT(client, Beamd__Subband *, count);
    if (!bands || !list) {
        return no_room(err);
    }
    for (size_t b = 0; b < count; b++) {
        const beamc_code code = encode_subband(client, csi, b, &bands[b], err);
        if (code) {
            return code;
        }
        list[b] = &bands[b];
    }
    *out = list;
    return BEAMC_OK;
}

static beamc_code check_subbands(const beamc_csi *csi, beamc_error *err)
{
    bool seen[BEAM_WIRE_MAX_SUBBANDS] = {false};
    if (csi->subband_count > BEAM_WIRE_MAX_SUBBANDS) {
        return require(false, "at most 275 subbands", err);
    }
    for (size_t b = 0; csi->subband_index && b < subband_count(csi); b++) {
        const uint32_t index = csi->subband_index[b];
        if (index >= BEAM_WIRE_MAX_SUBBANDS || seen[index]) {
            return beamc_fail(err, BEAMC_E_ARGUMENT,
                              "subband_index[%zu] is beyond 274, or there twice", b);
        }
        seen[index] = true;
    }
    return BEAMC_OK;
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
    if (!code) {
        code = check_element(csi->element, csi->bits, err);
    }
    return code ? code : check_subbands(csi, err);
}

beamc_code beamc_send_csi(beamc_client *client, const beamc_csi *csi, uint64_t *sequence,
                          beamc_error *err)
{
    beamc_code code = check_csi(client, csi, err);
    if (code) {
        return code;
    }
    beam_wire_arena_reset(&client->out);
    Beamd__CsiUpdate m = BEAMD__CSI_UPDATE__INIT;
    m.users = encode_users(client, csi);
    if (!m.users) {
        return no_room(err);
    }
    code = encode_subbands(client, csi, &m.subbands, err);
    if (code) {
        return code;
    }
    m.deadline_us = csi->deadline_us;
    m.csi_age_us = csi->csi_age_us;
    m.n_users = csi->user_count;
    m.n_subbands = subband_count(csi);
    m.sender_time_ns = beamc_now_ns();
    return beamc_send_message(client, BEAMC_SOCKET_CSI, BEAM_WIRE_CSI_UPDATE, csi->cluster, &m.base,
                              sequence, err);
}

beamc_code beamc_send_join(beamc_client *client, const beamc_csi *csi, uint64_t *sequence,
                           beamc_error *err)
{
    beamc_code code = check_csi(client, csi, err);
    if (code) {
        return code;
    }
    beam_wire_arena_reset(&client->out);
    Beamd__UsersJoin m = BEAMD__USERS_JOIN__INIT;
    m.users = encode_users(client, csi);
    if (!m.users) {
        return no_room(err);
    }
    code = encode_subbands(client, csi, &m.subbands, err);
    if (code) {
        return code;
    }
    m.deadline_us = csi->deadline_us;
    m.csi_age_us = csi->csi_age_us;
    m.n_users = csi->user_count;
    m.n_subbands = subband_count(csi);
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
    beamc_code code = require(
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
        code = encode_array(client, t->reflection, shape,
                            BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64, 0, &m.reflection, err);
        if (code) {
            return code;
        }
    }
    m.measured_time_ns = t->measured_time_ns;
    m.deadline_us = t->deadline_us;
    m.sender_time_ns = beamc_now_ns();
    return beamc_send_message(client, BEAMC_SOCKET_CSI, BEAM_WIRE_TARGET_UPDATE, t->cluster,
                              &m.base, sequence, err);
}
