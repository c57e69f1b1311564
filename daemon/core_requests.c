/* One handler per request. Each answers exactly once, now or when the solve it caused ends. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

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

static void ack(beamd_core *self, const beamd_call *call)
{
    Beamd__Ack message = BEAMD__ACK__INIT;
    message.sender_time_ns = call->sender_time_ns;
    message.request_type = call->header.type;
    beamd_core_reply(self, call, BEAM_WIRE_ACK, &message.base);
}

static void refuse(beamd_core *self, const beamd_call *call, Beamd__ErrorCode code,
                   const char *field, const char *text)
{
    beam_wire_error err;
    beam_wire_fail(&err, code, field, "%s", text);
    beamd_core_refuse(self, call, &err);
}

static beamd_cluster *find_or_refuse(beamd_core *self, const beamd_call *call)
{
    beamd_cluster *cluster = beamd_core_find(self, call->header.cluster);
    if (!cluster) {
        refuse(self, call, BEAMD__ERROR_CODE__ERROR_UNKNOWN_CLUSTER, "cluster",
               "no such cluster is registered");
    }
    return cluster;
}

static void handle_register(beamd_core *self, const beamd_call *call,
                            const Beamd__RegisterCluster *message)
{
    beamd_cluster *old = beamd_core_find(self, call->header.cluster);
    if (!beam_wire_cluster_valid(call->header.cluster)) {
        refuse(self, call, BEAMD__ERROR_CODE__ERROR_INVALID, "cluster",
               "a registration needs a cluster id");
        return;
    }
    if (!old && self->count >= (unsigned)self->config->clusters_max) {
        refuse(self, call, BEAMD__ERROR_CODE__ERROR_LIMIT, "cluster",
               "the daemon's number of clusters is reached");
        return;
    }
    const beamd_cluster_limits limits = beamd_core_limits(self, old ? old->bytes : 0);
    beam_wire_error err;
    /* the layers' memory is taken where they will be asked */
    const bool network = strcmp(self->config->solve_method, "network") == 0;
    beamd_cluster *cluster = beamd_cluster_create(call->header.cluster, message,
                                                  network ? self->model : NULL, &limits, &err);
    if (!cluster) {
        beamd_core_refuse(self, call, &err);
        return;
    }
    if (message->preference) {
        cluster->has_preference = true;
        cluster->tradeoff = beamd_tradeoff_of(message->preference);
    } else if (old) {
        cluster->has_preference = old->has_preference;
        cluster->tradeoff = old->tradeoff;
    }
    if (old) {
        beamd_core_remove(self, old, "the cluster was registered anew");
    }
    beamd_core_insert(self, cluster);
    BEAMD_LOG(BEAMD_LOG_NOTICE,
              "event=registered cluster=%s stations=%d antennas=%d users_max=%d targets=%d kib=%zu",
              cluster->id, cluster->max.stations, cluster->max.antennas, cluster->max.users,
              cluster->max.targets, cluster->bytes >> 10);
    ack(self, call);
}

static void handle_unregister(beamd_core *self, const beamd_call *call)
{
    beamd_cluster *cluster = find_or_refuse(self, call);
    if (cluster) {
        BEAMD_LOG(BEAMD_LOG_NOTICE, "event=unregistered cluster=%s", cluster->id);
        beamd_core_remove(self, cluster, "the cluster was removed");
        ack(self, call);
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

static uint64_t deadline_of(const beamd_core *self, const beamd_call *call)
{
    const uint64_t most_us = (uint64_t)self->config->deadline_max_ms * 1000u;
    uint64_t us = call->deadline_us ? call->deadline_us : (uint64_t)self->config->deadline_us;
    us = us > most_us ? most_us : us;
    return call->now_ns + us * 1000u;
}

static void queue_request(beamd_core *self, const beamd_call *call, beamd_cluster *cluster)
{
    beamd_request request = {.present = true,
                             .identity_bytes = call->identity_bytes,
                             .type = call->header.type,
                             .sequence = call->header.sequence,
                             .sender_time_ns = call->sender_time_ns,
                             .received_ns = call->now_ns,
                             .queued_ns = self->io.clock_ns(self->io.arg),
                             .deadline_ns = deadline_of(self, call)};
    memcpy(request.identity, call->identity, call->identity_bytes);
    beamd_core_enqueue(self, cluster, &request);
    beamd_core_dispatch(self, call->now_ns);
}

/* CsiUpdate, UsersJoin and UsersLeave share one sequence and one answer. */
static void handle_csi(beamd_core *self, const beamd_call *call, const ProtobufCMessage *message)
{
    beamd_cluster *c = find_or_refuse(self, call);
    if (!c) {
        return;
    }
    beam_wire_error err;
    int taken = -1;
    if (sequence_grows(c->csi_received > 0, c->csi_sequence, call->header.sequence, &err)) {
        if (call->header.type == BEAM_WIRE_CSI_UPDATE) {
            taken = beamd_cluster_set_csi(c, (const Beamd__CsiUpdate *)message, &err);
        } else if (call->header.type == BEAM_WIRE_USERS_JOIN) {
            taken = beamd_cluster_join(c, (const Beamd__UsersJoin *)message, &err);
        } else {
            taken = beamd_cluster_leave(c, (const Beamd__UsersLeave *)message, &err);
        }
    }
    if (taken < 0) {
        c->refused++;
        beamd_core_refuse(self, call, &err);
        return;
    }
    c->csi_sequence = call->header.sequence;
    c->csi_received++;
    if (!c->has_targets) {
        refuse(self, call, BEAMD__ERROR_CODE__ERROR_NOT_READY, "targets",
               "kept; targets are still missing");
        return;
    }
    queue_request(self, call, c);
}

static void handle_targets(beamd_core *self, const beamd_call *call,
                           const Beamd__TargetUpdate *message)
{
    beamd_cluster *c = find_or_refuse(self, call);
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
    ack(self, call);
    beamd_core_make_due(self, c, call->now_ns);
    beamd_core_dispatch(self, call->now_ns);
}

static void reply_preference(beamd_core *self, const beamd_call *call, const beamd_cluster *cluster)
{
    Beamd__PreferenceReply message = BEAMD__PREFERENCE_REPLY__INIT;
    Beamd__Preference preference = BEAMD__PREFERENCE__INIT;
    const beam_preference u = beam_preference_from_tradeoff(beamd_core_tradeoff(self, cluster));
    preference.u1 = u.u1;
    preference.u2 = u.u2;
    message.preference = &preference;
    message.sender_time_ns = call->sender_time_ns;
    beamd_core_reply(self, call, BEAM_WIRE_PREFERENCE_REPLY, &message.base);
}

/* Without a cluster in the header: the default, which clusters without a preference of their own
 * follow. */
static void handle_preference(beamd_core *self, const beamd_call *call,
                              const Beamd__PreferenceSet *message)
{
    beamd_cluster *cluster = NULL;
    if (call->header.cluster[0] && !(cluster = find_or_refuse(self, call))) {
        return;
    }
    if (!message) {
        reply_preference(self, call, cluster);
        return;
    }
    const double tradeoff = message->preference ? beamd_tradeoff_of(message->preference) : NAN;
    if (isnan(tradeoff)) {
        refuse(self, call, BEAMD__ERROR_CODE__ERROR_INVALID, "preference",
               "u1 and u2 must be finite, not negative and not both 0");
        return;
    }
    if (cluster) {
        cluster->has_preference = true;
        cluster->tradeoff = tradeoff;
        beamd_core_make_due(self, cluster, call->now_ns);
    } else {
        self->has_default_tradeoff = true;
        self->default_tradeoff = tradeoff;
        for (unsigned i = 0; i < self->count; i++) {
            if (!self->clusters[i]->has_preference) {
                beamd_core_make_due(self, self->clusters[i], call->now_ns);
            }
        }
    }
    BEAMD_LOG(BEAMD_LOG_NOTICE, "event=preference cluster=%s tradeoff=%.6f",
              cluster ? cluster->id : "", tradeoff);
    reply_preference(self, call, cluster);
    beamd_core_dispatch(self, call->now_ns);
}

static bool channel_takes(beamd_channel channel, unsigned type)
{
    switch ((beam_wire_type)type) {
    case BEAM_WIRE_REGISTER_CLUSTER:
    case BEAM_WIRE_CSI_UPDATE:
    case BEAM_WIRE_TARGET_UPDATE:
    case BEAM_WIRE_USERS_JOIN:
    case BEAM_WIRE_USERS_LEAVE:
        return channel == BEAMD_CHANNEL_CSI;
    case BEAM_WIRE_PREFERENCE_SET:
    case BEAM_WIRE_STATUS_REQUEST:
    case BEAM_WIRE_CLUSTER_LIST_REQUEST:
    case BEAM_WIRE_MODEL_GET:
    case BEAM_WIRE_MODEL_RELOAD:
        return channel == BEAMD_CHANNEL_CONTROL;
    case BEAM_WIRE_UNREGISTER_CLUSTER:
    case BEAM_WIRE_PREFERENCE_GET:
        return true;
    default:
        return false;
    }
}

static bool changes_state(unsigned type)
{
    return type <= BEAM_WIRE_USERS_LEAVE || type == BEAM_WIRE_MODEL_RELOAD;
}

void beamd_core_handle(beamd_core *self, beamd_call *call, const ProtobufCMessage *message)
{
    const unsigned type = call->header.type;
    if (!channel_takes(call->channel, type)) {
        beam_wire_error err;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_TYPE, "type",
                       "%s is not accepted on the %s socket", beam_wire_type_name(type),
                       call->channel == BEAMD_CHANNEL_CSI ? "csi" : "control");
        beamd_core_refuse(self, call, &err);
        return;
    }
    const Beamd__UnregisterCluster *common = (const Beamd__UnregisterCluster *)message;
    call->deadline_us = common->deadline_us;
    call->sender_time_ns = common->sender_time_ns;
    if (self->draining && changes_state(type)) {
        refuse(self, call, BEAMD__ERROR_CODE__ERROR_DRAINING, NULL, "the daemon is stopping");
        return;
    }
    switch ((beam_wire_type)type) {
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
    case BEAM_WIRE_PREFERENCE_SET:
        handle_preference(self, call, (const Beamd__PreferenceSet *)message);
        break;
    case BEAM_WIRE_PREFERENCE_GET:
        handle_preference(self, call, NULL);
        break;
    case BEAM_WIRE_STATUS_REQUEST:
    case BEAM_WIRE_CLUSTER_LIST_REQUEST:
        beamd_core_status(self, call);
        break;
    case BEAM_WIRE_MODEL_GET:
        beamd_core_model_get(self, call);
        break;
    case BEAM_WIRE_MODEL_RELOAD:
        beamd_core_model_reload(self, call, (const Beamd__ModelReload *)message);
        break;
    default: /* a type that channel_takes knows and nobody handles */
        refuse(self, call, BEAMD__ERROR_CODE__ERROR_TYPE, "type",
               "no request of this type is handled");
        break;
    }
}
