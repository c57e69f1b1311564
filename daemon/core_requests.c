/* One handler per request. Each answers exactly once, now or when the solve it caused ends. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"
#include "state.h"

/* Every request begins with these fields (beamd.proto), so that they can be read before the type
 * matters. */
#define BEGINS_ALIKE(type)                                                                         \
    _Static_assert(                                                                                \
        offsetof(type, deadline_us) == offsetof(Beamd__UnregisterCluster, deadline_us) &&          \
            offsetof(type, sender_time_ns) == offsetof(Beamd__UnregisterCluster, sender_time_ns),  \
        #type)
BEGINS_ALIKE(Beamd__RegisterCluster);
BEGINS_ALIKE(Beamd__CsiUpdate);
BEGINS_ALIKE(Beamd__TargetUpdate);
BEGINS_ALIKE(Beamd__UsersJoin);
BEGINS_ALIKE(Beamd__UsersLeave);
BEGINS_ALIKE(Beamd__PreferenceSet);
BEGINS_ALIKE(Beamd__PreferenceGet);
BEGINS_ALIKE(Beamd__StatusRequest);
BEGINS_ALIKE(Beamd__ClusterListRequest);
BEGINS_ALIKE(Beamd__ModelGet);
BEGINS_ALIKE(Beamd__ModelReload);
BEGINS_ALIKE(Beamd__FrontRequest);
BEGINS_ALIKE(Beamd__ConfigGet);
BEGINS_ALIKE(Beamd__ConfigReload);
BEGINS_ALIKE(Beamd__LogLevelSet);
BEGINS_ALIKE(Beamd__Drain);

void beamd_core_ack(beamd_core *self, const beamd_call *call)
{
    Beamd__Ack message = BEAMD__ACK__INIT;
    message.sender_time_ns = call->sender_time_ns;
    message.request_type = call->header.type;
    beamd_core_reply(self, call, BEAM_WIRE_ACK, &message.base);
}

void beamd_core_refuse_with(beamd_core *self, const beamd_call *call, Beamd__ErrorCode code,
                            const char *field, const char *text)
{
    beam_wire_error err;
    beam_wire_fail(&err, code, field, "%s", text);
    beamd_core_refuse(self, call, &err);
}

beamd_cluster *beamd_core_find_or_refuse(beamd_core *self, const beamd_call *call)
{
    beamd_cluster *cluster = beamd_core_find(self, call->header.cluster);
    if (!cluster) {
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_UNKNOWN_CLUSTER, "cluster",
                               "no such cluster is registered");
    }
    return cluster;
}

/* What a cluster that is registered anew keeps of the old one: its preferences, unless the message
 * brings some. */
static void keep_preferences(const Beamd__RegisterCluster *message, const beamd_cluster *old,
                             const beamd_cluster_limits *limits, beamd_cluster *cluster)
{
    if (!old || message->preference || message->n_preferences > 0) {
        return;
    }
    beam_wire_error err;
    cluster->has_preference = old->has_preference;
    cluster->tradeoff = old->tradeoff;
    for (int p = 0; p < old->named_count; p++) {
        if (beamd_cluster_name_preference(cluster, old->named[p].name, old->named[p].tradeoff,
                                          limits, &err) < 0) {
            BEAMD_LOG(BEAMD_LOG_WARNING, "event=preference_lost cluster=%s name=%s why=\"%s\"",
                      cluster->id, old->named[p].name, err.text);
        }
    }
}

bool beamd_core_grow_scratch(beamd_core *self, const beamd_cluster *cluster)
{
    const size_t need = beamd_core_answer_scratch(cluster);
    if (need <= self->scratch_bytes) {
        return true;
    }
    unsigned char *memory = aligned_alloc(64, (need + 63u) & ~(size_t)63u);
    if (!memory) {
        return false;
    }
    free(self->scratch);
    self->scratch = memory;
    self->scratch_bytes = need;
    return true;
}

static void handle_register(beamd_core *self, const beamd_call *call,
                            const Beamd__RegisterCluster *message)
{
    beamd_cluster *old = beamd_core_find(self, call->header.cluster);
    if (!beam_wire_cluster_valid(call->header.cluster)) {
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_INVALID, "cluster",
                               "a registration needs a cluster id");
        return;
    }
    if (!old && self->count >= (unsigned)self->config->clusters_max) {
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_LIMIT, "cluster",
                               "the daemon's number of clusters is reached");
        return;
    }
    const beamd_cluster_limits limits = beamd_core_limits(self, old ? old->bytes : 0);
    beam_wire_error err;
    beamd_cluster *cluster = beamd_cluster_create(call->header.cluster, message, &limits, &err);
    if (!cluster) {
        beamd_core_refuse(self, call, &err);
        return;
    }
    keep_preferences(message, old, &limits, cluster);
    if (old) {
        beamd_core_remove(self, old, "the cluster was registered anew");
    }
    if (!beamd_core_restore(self, cluster)) {
        beamd_cluster_destroy(&cluster);
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_LIMIT, "cluster",
                               "out of memory");
        return;
    }
    beamd_state_note_registration(cluster, call->frame, call->frame_bytes);
    BEAMD_LOG(BEAMD_LOG_NOTICE,
              "event=registered cluster=%s stations=%d antennas=%d users_max=%d targets=%d "
              "subbands=%d kib=%zu",
              cluster->id, cluster->max.stations, cluster->max.antennas, cluster->max.users,
              cluster->max.targets, cluster->subbands, cluster->bytes >> 10);
    beamd_core_ack(self, call);
}

static void handle_unregister(beamd_core *self, const beamd_call *call)
{
    beamd_cluster *cluster = beamd_core_find_or_refuse(self, call);
    if (cluster) {
        BEAMD_LOG(BEAMD_LOG_NOTICE, "event=unregistered cluster=%s", cluster->id);
        if (call->channel == BEAMD_CHANNEL_CONTROL) { /* not by its controller */
            beamd_core_audit(self, call, "cluster removed");
        }
        beamd_core_remove(self, cluster, "the cluster was removed");
        beamd_core_gpu_prepare(self); /* its place among the sizes may be another's */
        beamd_core_ack(self, call);
    }
}

static bool sequence_grows(bool had, uint64_t last, uint64_t sequence, beam_wire_error *err)
{
    if (had && sequence <= last) {
        beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_STALE, "sequence",
                       "is %llu, the last one of its kind was %llu", (unsigned long long)sequence,
                       (unsigned long long)last);
        return false;
    }
    return true;
}

/* Offset of the sender's clock and transit, as estimates, where its time is known. */
static void estimate_sender(beamd_core *self, const beamd_call *call, beamd_request *request)
{
    const beamd_clock_estimate estimate =
        beamd_clock_offset_take(self->offsets, call->peer.identity, call->peer.identity_bytes,
                                call->now_ns, call->sender_time_ns);
    const beamd_clock_counts counts = beamd_clock_offset_counts(self->offsets);
    request->has_sender_estimate = estimate.known;
    request->sender_offset_ns = estimate.offset_ns;
    request->transit_ns = estimate.transit_ns;
    self->metrics.clock_steps = counts.steps;
    self->metrics.clock_peers_forgotten = counts.forgotten;
}

static void queue_request(beamd_core *self, const beamd_call *call, beamd_cluster *cluster,
                          const beamd_bands *bands)
{
    beamd_request request = beamd_core_request(self, call);
    request.bands = *bands;
    estimate_sender(self, call, &request);
    beamd_core_enqueue(self, cluster, &request);
}

/* How old the estimates are may make them useless before they are looked at. */
static bool young_enough(const beamd_core *self, uint32_t age_us, beam_wire_error *err)
{
    const beamd_config *config = self->config;
    const uint64_t limit_us = (uint64_t)config->csi_age_limit_ms * 1000u;
    if (limit_us > 0 && age_us > limit_us && strcmp(config->csi_age_action, "refuse") == 0) {
        beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_STALE, "csi_age_us",
                       "is %u, CSI older than %llu us is not taken", age_us,
                       (unsigned long long)limit_us);
        return false;
    }
    return true;
}

static int take_csi(beamd_core *self, const beamd_call *call, beamd_cluster *c,
                    const ProtobufCMessage *message, beamd_bands *bands, beam_wire_error *err)
{
    const uint64_t sequence = call->header.sequence;
    if (!sequence_grows(c->csi_received > 0 || c->csi_lost, c->csi_sequence, sequence, err)) {
        return -1;
    }
    if (c->csi_lost && call->header.type != BEAM_WIRE_CSI_UPDATE) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_NOT_READY, "users",
                              "the daemon was restarted and does not know who they were: send a "
                              "CsiUpdate");
    }
    if (call->header.type == BEAM_WIRE_CSI_UPDATE) {
        const Beamd__CsiUpdate *update = (const Beamd__CsiUpdate *)message;
        return young_enough(self, update->csi_age_us, err)
                   ? beamd_cluster_set_csi(c, call->now_ns, sequence, update, bands, err)
                   : -1;
    }
    if (call->header.type == BEAM_WIRE_USERS_JOIN) {
        const Beamd__UsersJoin *join = (const Beamd__UsersJoin *)message;
        return young_enough(self, join->csi_age_us, err)
                   ? beamd_cluster_join(c, call->now_ns, sequence, join, bands, err)
                   : -1;
    }
    return beamd_cluster_leave(c, sequence, (const Beamd__UsersLeave *)message, bands, err);
}

/* CsiUpdate, UsersJoin and UsersLeave share one sequence and one answer. */
static void handle_csi(beamd_core *self, const beamd_call *call, const ProtobufCMessage *message)
{
    beamd_cluster *c = beamd_core_find_or_refuse(self, call);
    if (!c) {
        return;
    }
    beam_wire_error err;
    beamd_bands bands = {{0}};
    if (take_csi(self, call, c, message, &bands, &err) < 0) {
        c->refused++;
        beamd_core_refuse(self, call, &err);
        return;
    }
    c->csi_sequence = call->header.sequence;
    c->csi_received++;
    c->csi_lost = false;
    if (!c->has_targets) {
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_NOT_READY, "targets",
                               "kept; targets are still missing");
        return;
    }
    if (!c->has_csi) { /* nobody left before anybody came */
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_NOT_READY, "users",
                               "kept; nobody has come yet");
        return;
    }
    if (beamd_bands_empty(&bands)) { /* users left before any came */
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_NOT_READY, "users",
                               "kept; no channels have come yet");
        return;
    }
    queue_request(self, call, c, &bands);
}

static void handle_targets(beamd_core *self, const beamd_call *call,
                           const Beamd__TargetUpdate *message)
{
    beamd_cluster *c = beamd_core_find_or_refuse(self, call);
    if (!c) {
        return;
    }
    beam_wire_error err;
    if (!sequence_grows(c->has_targets, c->target_sequence, call->header.sequence, &err) ||
        beamd_cluster_set_targets(c, message, &err) < 0) {
        c->refused++;
        beamd_core_refuse(self, call, &err);
        return;
    }
    c->target_sequence = call->header.sequence;
    c->target_time_ns = message->measured_time_ns;
    beamd_state_note_targets(c, call->frame, call->frame_bytes);
    beamd_core_ack(self, call);
    beamd_core_make_due(self, c, call->now_ns);
}

typedef enum place { PLACE_NONE = 0, PLACE_CSI = 1, PLACE_CONTROL = 2, PLACE_BOTH = 3 } place;

/* Where a request is taken, what its sender must be allowed, and whether a daemon that is stopping
 * still takes it. */
static const struct {
    place place;
    unsigned roles; /* one of them */
    bool when_draining;
} rules[] = {
    [BEAM_WIRE_REGISTER_CLUSTER] = {PLACE_CSI, BEAMD_ROLE_CSI, false},
    [BEAM_WIRE_UNREGISTER_CLUSTER] = {PLACE_BOTH, BEAMD_ROLE_CSI | BEAMD_ROLE_OPERATOR, false},
    [BEAM_WIRE_CSI_UPDATE] = {PLACE_CSI, BEAMD_ROLE_CSI, false},
    [BEAM_WIRE_TARGET_UPDATE] = {PLACE_CSI, BEAMD_ROLE_CSI, false},
    [BEAM_WIRE_USERS_JOIN] = {PLACE_CSI, BEAMD_ROLE_CSI, false},
    [BEAM_WIRE_USERS_LEAVE] = {PLACE_CSI, BEAMD_ROLE_CSI, false},
    [BEAM_WIRE_PREFERENCE_SET] = {PLACE_CONTROL, BEAMD_ROLE_OPERATOR, true},
    [BEAM_WIRE_PREFERENCE_GET] = {PLACE_BOTH, BEAMD_ROLE_ALL, true},
    [BEAM_WIRE_STATUS_REQUEST] = {PLACE_CONTROL, BEAMD_ROLE_OBSERVER | BEAMD_ROLE_OPERATOR, true},
    [BEAM_WIRE_CLUSTER_LIST_REQUEST] = {PLACE_CONTROL, BEAMD_ROLE_OBSERVER | BEAMD_ROLE_OPERATOR,
                                        true},
    [BEAM_WIRE_MODEL_GET] = {PLACE_CONTROL, BEAMD_ROLE_OBSERVER | BEAMD_ROLE_OPERATOR, true},
    [BEAM_WIRE_MODEL_RELOAD] = {PLACE_CONTROL, BEAMD_ROLE_OPERATOR, false},
    [BEAM_WIRE_FRONT_REQUEST] = {PLACE_CONTROL, BEAMD_ROLE_OBSERVER | BEAMD_ROLE_OPERATOR, false},
    [BEAM_WIRE_CONFIG_GET] = {PLACE_CONTROL, BEAMD_ROLE_OBSERVER | BEAMD_ROLE_OPERATOR, true},
    [BEAM_WIRE_CONFIG_RELOAD] = {PLACE_CONTROL, BEAMD_ROLE_OPERATOR, true},
    [BEAM_WIRE_LOG_LEVEL_SET] = {PLACE_CONTROL, BEAMD_ROLE_OPERATOR, true},
    [BEAM_WIRE_DRAIN] = {PLACE_CONTROL, BEAMD_ROLE_OPERATOR, true},
};
_Static_assert(sizeof rules / sizeof rules[0] == BEAMD_REQUEST_TYPES, "a request without a rule");

/* False: refused. */
static bool allowed(beamd_core *self, const beamd_call *call)
{
    const unsigned type = call->header.type;
    const unsigned known = sizeof rules / sizeof rules[0];
    const place here = call->channel == BEAMD_CHANNEL_CSI ? PLACE_CSI : PLACE_CONTROL;
    beam_wire_error err;
    if (type >= known || !(rules[type].place & here)) {
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_TYPE, "type",
                       "%s is not accepted on the %s socket", beam_wire_type_name(type),
                       here == PLACE_CSI ? "csi" : "control");
    } else if (!(rules[type].roles & call->peer.roles)) {
        self->metrics.denied++;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_FORBIDDEN, "type",
                       "%s is not allowed to this key", beam_wire_type_name(type));
    } else if (self->draining && !rules[type].when_draining) {
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_DRAINING, NULL, "the daemon is stopping");
    } else {
        return true;
    }
    beamd_core_refuse(self, call, &err);
    return false;
}

void beamd_core_handle(beamd_core *self, beamd_call *call, const ProtobufCMessage *message)
{
    const Beamd__UnregisterCluster *common = (const Beamd__UnregisterCluster *)message;
    if (beam_wire_is_request(call->header.type)) { /* answers begin otherwise */
        call->sender_time_ns = common->sender_time_ns;
        call->deadline_us = common->deadline_us;
    }
    if (!allowed(self, call)) {
        return;
    }
    switch ((beam_wire_type)call->header.type) {
    case BEAM_WIRE_REGISTER_CLUSTER:
        handle_register(self, call, (const Beamd__RegisterCluster *)message);
        break;
    case BEAM_WIRE_UNREGISTER_CLUSTER:
        handle_unregister(self, call);
        break;
    case BEAM_WIRE_CSI_UPDATE:
    case BEAM_WIRE_USERS_JOIN:
    case BEAM_WIRE_USERS_LEAVE:
        handle_csi(self, call, message);
        break;
    case BEAM_WIRE_TARGET_UPDATE:
        handle_targets(self, call, (const Beamd__TargetUpdate *)message);
        break;
    default:
        beamd_core_control(self, call, message);
        break;
    }
}
