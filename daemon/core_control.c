/* What operators ask and change: preferences, configuration, log level, draining. Changes leave an
 * audit line with who and what. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

/* The last writer wins; each change says who it was. */
void beamd_core_audit(beamd_core *self, const beamd_call *call, const char *format, ...)
{
    self->metrics.audited++;
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    beamd_log_audit(call->peer.user ? call->peer.user : "local",
                    beam_wire_type_name(call->header.type), call->header.cluster, "%s", what);
}

static void put_preference(double tradeoff, Beamd__Preference *preference)
{
    const beam_preference u = beam_preference_from_tradeoff(tradeoff);
    beamd__preference__init(preference);
    preference->u1 = u.u1;
    preference->u2 = u.u2;
}

static void reply_preference(beamd_core *self, const beamd_call *call, const beamd_cluster *cluster)
{
    Beamd__PreferenceReply message = BEAMD__PREFERENCE_REPLY__INIT;
    Beamd__Preference preference, each[BEAM_WIRE_MAX_PREFERENCES];
    Beamd__NamedPreference named[BEAM_WIRE_MAX_PREFERENCES], *at[BEAM_WIRE_MAX_PREFERENCES];
    put_preference(beamd_core_tradeoff(self, cluster), &preference);
    message.preference = &preference;
    message.sender_time_ns = call->sender_time_ns;
    message.named = at;
    for (int p = 0; cluster && p < cluster->named_count; p++) {
        beamd__named_preference__init(&named[p]);
        put_preference(cluster->named[p].tradeoff, &each[p]);
        named[p].name = beamd_core_text(cluster->named[p].name);
        named[p].preference = &each[p];
        at[message.n_named++] = &named[p];
    }
    beamd_core_reply(self, call, BEAM_WIRE_PREFERENCE_REPLY, &message.base);
}

/* By name, of one cluster. */
static int change_named(beamd_core *self, const beamd_call *call, beamd_cluster *cluster,
                        const Beamd__PreferenceSet *message, double tradeoff, beam_wire_error *err)
{
    if (!cluster) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "name",
                              "named preferences belong to a cluster");
    }
    const size_t before = cluster->bytes;
    const int names = cluster->named_count;
    const beamd_cluster_limits limits = beamd_core_limits(self, cluster->bytes);
    const int changed =
        message->remove
            ? beamd_cluster_remove_preference(cluster, message->name, err)
            : beamd_cluster_name_preference(cluster, message->name, tradeoff, &limits, err);
    self->bytes = self->bytes - before + cluster->bytes;
    if (names != cluster->named_count) {
        beamd_core_restart(self, cluster);
    }
    if (changed == 0 && message->remove) {
        beamd_core_audit(self, call, "%s removed", message->name);
    } else if (changed == 0) {
        beamd_core_audit(self, call, "%s tradeoff %.6f", message->name, tradeoff);
    }
    return changed;
}

static void change_default(beamd_core *self, double tradeoff)
{
    self->has_default_tradeoff = true;
    self->default_tradeoff = tradeoff;
    for (unsigned i = 0; i < self->count; i++) {
        if (!self->clusters[i]->has_preference && self->clusters[i]->named_count == 0) {
            beamd_core_make_due(self, self->clusters[i], self->now_ns);
        }
    }
}

static int change_unnamed(beamd_core *self, const beamd_call *call, beamd_cluster *cluster,
                          const Beamd__PreferenceSet *message, double tradeoff,
                          beam_wire_error *err)
{
    if (message->remove && !cluster) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "remove",
                              "the default cannot be removed");
    }
    if (!cluster) {
        beamd_core_audit(self, call, "tradeoff %.6f, was %.6f", tradeoff,
                         beamd_core_default_tradeoff(self));
        change_default(self, tradeoff);
    } else if (message->remove) {
        beamd_core_audit(self, call, "follows the default, was %.6f",
                         beamd_core_tradeoff(self, cluster));
        cluster->has_preference = false;
    } else {
        beamd_core_audit(self, call, "tradeoff %.6f, was %.6f", tradeoff,
                         beamd_core_tradeoff(self, cluster));
        cluster->has_preference = true;
        cluster->tradeoff = tradeoff;
    }
    return 0;
}

/* Without a cluster in the header: the default, which clusters without a preference of their own
 * follow. */
static void handle_preference_set(beamd_core *self, const beamd_call *call,
                                  const Beamd__PreferenceSet *message)
{
    beamd_cluster *cluster = NULL;
    if (call->header.cluster[0] && !(cluster = beamd_core_find_or_refuse(self, call))) {
        return;
    }
    const double tradeoff = message->preference ? beamd_tradeoff_of(message->preference) : NAN;
    beam_wire_error err;
    int changed = 0;
    if (isnan(tradeoff) && !message->remove) {
        changed = beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_INVALID, "preference",
                                 "u1 and u2 must be finite, not negative and not both 0");
    } else if (message->remove && message->preference) {
        changed = beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_INVALID, "preference",
                                 "must be absent where one is removed");
    } else if (message->name[0]) {
        changed = change_named(self, call, cluster, message, tradeoff, &err);
    } else {
        changed = change_unnamed(self, call, cluster, message, tradeoff, &err);
    }
    if (changed < 0) {
        beamd_core_refuse(self, call, &err);
        return;
    }
    if (cluster) {
        cluster->changed++;
        beamd_core_make_due(self, cluster, call->now_ns);
    }
    reply_preference(self, call, cluster);
}

static void handle_preference_get(beamd_core *self, const beamd_call *call)
{
    beamd_cluster *cluster = NULL;
    if (!call->header.cluster[0] || (cluster = beamd_core_find_or_refuse(self, call)) != NULL) {
        reply_preference(self, call, cluster);
    }
}

static void handle_config(beamd_core *self, const beamd_call *call, bool reload, bool check_only)
{
    Beamd__ConfigReply reply = BEAMD__CONFIG_REPLY__INIT;
    beam_wire_error err;
    if (reload && !check_only) {
        beamd_core_audit(self, call, "reload of the configuration");
    }
    if (self->act.config(self->act.arg, reload, check_only, &reply, &err) < 0) {
        beamd_core_refuse(self, call, &err);
        return;
    }
    reply.sender_time_ns = call->sender_time_ns;
    beamd_core_reply(self, call, BEAM_WIRE_CONFIG_REPLY, &reply.base);
}

static void handle_log_level(beamd_core *self, const beamd_call *call,
                             const Beamd__LogLevelSet *message)
{
    beam_wire_error err;
    if (self->act.log_level(self->act.arg, message->level, &err) < 0) {
        beamd_core_refuse(self, call, &err);
        return;
    }
    beamd_core_audit(self, call, "level %s", message->level);
    beamd_core_ack(self, call);
}

void beamd_core_control(beamd_core *self, const beamd_call *call, const ProtobufCMessage *message)
{
    switch ((beam_wire_type)call->header.type) {
    case BEAM_WIRE_PREFERENCE_SET:
        handle_preference_set(self, call, (const Beamd__PreferenceSet *)message);
        break;
    case BEAM_WIRE_PREFERENCE_GET:
        handle_preference_get(self, call);
        break;
    case BEAM_WIRE_STATUS_REQUEST:
    case BEAM_WIRE_CLUSTER_LIST_REQUEST:
        beamd_core_status(self, call);
        break;
    case BEAM_WIRE_MODEL_GET:
        beamd_core_model_get(self, call);
        break;
    case BEAM_WIRE_MODEL_RELOAD:
        beamd_core_audit(self, call, "model file %s", ((const Beamd__ModelReload *)message)->file);
        beamd_core_model_reload(self, call, (const Beamd__ModelReload *)message);
        break;
    case BEAM_WIRE_FRONT_REQUEST:
        beamd_core_front(self, call, (const Beamd__FrontRequest *)message);
        break;
    case BEAM_WIRE_CONFIG_GET:
        handle_config(self, call, false, false);
        break;
    case BEAM_WIRE_CONFIG_RELOAD:
        handle_config(self, call, true, ((const Beamd__ConfigReload *)message)->check_only != 0);
        break;
    case BEAM_WIRE_LOG_LEVEL_SET:
        handle_log_level(self, call, (const Beamd__LogLevelSet *)message);
        break;
    case BEAM_WIRE_DRAIN:
        beamd_core_audit(self, call, "drain");
        beamd_core_ack(self, call);
        self->act.drain(self->act.arg);
        break;
    default: /* a type that the rules know and nobody handles */
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_TYPE, "type",
                               "no request of this type is handled");
        break;
    }
}
