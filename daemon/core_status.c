/* Status of the daemon and of its clusters, on the wire and in the metrics. */
#include <string.h>

#include "core_internal.h"

/* More clusters than a status may hold would be a list that no client can read. */
_Static_assert((int)BEAM_WIRE_MAX_CLUSTERS >= (int)BEAMD_CLUSTERS_MAX,
               "the limits of daemon and wire differ");

static double age_s(const beamd_cluster *c, uint64_t now_ns)
{
    return now_ns > c->last_sent_ns ? 1e-9 * (double)(now_ns - c->last_sent_ns) : 0;
}

static void fill_cluster(const beamd_core *self, beamd_cluster *c, uint64_t now_ns,
                         Beamd__ClusterStatus *s, Beamd__Preference *preference)
{
    beamd__cluster_status__init(s);
    beamd__preference__init(preference);
    const beam_preference u = beam_preference_from_tradeoff(beamd_core_tradeoff(self, c));
    preference->u1 = u.u1;
    preference->u2 = u.u2;
    s->cluster = c->id;
    s->stations = (uint32_t)c->max.stations;
    s->antennas = (uint32_t)c->max.antennas;
    s->users = (uint32_t)c->live.scene.dims.users;
    s->max_users = (uint32_t)c->max.users;
    s->targets = (uint32_t)c->max.targets;
    s->preference = preference;
    s->csi_sequence = c->csi_sequence;
    s->target_sequence = c->target_sequence;
    s->csi_received = c->csi_received;
    s->solutions = c->solutions;
    s->superseded = c->superseded;
    s->refused = c->refused;
    s->deadlines_missed = c->deadlines_missed;
    s->latency_p50_us = beamd_histogram_quantile_us(&c->latency, 0.5);
    s->latency_p99_us = beamd_histogram_quantile_us(&c->latency, 0.99);
    if (c->solutions > 0) {
        s->solved = true;
        s->wsr_worst_case_bps_hz = c->last_wsr_worst_case_bps_hz;
        s->crlb_valid = c->last_crlb_valid;
        s->crlb_m2 = c->last_crlb_m2;
        s->method = (Beamd__Method)c->last_method;
        s->age_s = age_s(c, now_ns);
    }
}

static size_t fill_all(beamd_core *self, uint64_t now_ns)
{
    for (unsigned i = 0; i < self->count; i++) {
        fill_cluster(self, self->clusters[i], now_ns, &self->status[i],
                     &self->status_preference[i]);
        self->status_at[i] = &self->status[i];
    }
    return self->count;
}

static void reply_list(beamd_core *self, const beamd_call *call)
{
    Beamd__ClusterListReply reply = BEAMD__CLUSTER_LIST_REPLY__INIT;
    reply.sender_time_ns = call->sender_time_ns;
    reply.n_clusters = fill_all(self, call->now_ns);
    reply.clusters = self->status_at;
    beamd_core_reply(self, call, BEAM_WIRE_CLUSTER_LIST_REPLY, &reply.base);
}

void beamd_core_status(beamd_core *self, const beamd_call *call)
{
    if (call->header.type == BEAM_WIRE_CLUSTER_LIST_REQUEST) {
        reply_list(self, call);
        return;
    }
    static char version[] = BEAMD_VERSION;
    Beamd__StatusReply reply = BEAMD__STATUS_REPLY__INIT;
    reply.sender_time_ns = call->sender_time_ns;
    reply.version = version;
    reply.draining = self->draining;
    reply.uptime_s = 1e-9 * (double)(call->now_ns - self->started_ns);
    reply.solver_threads = (uint32_t)self->config->workers;
    reply.max_clusters = (uint32_t)self->config->clusters_max;
    reply.messages_received = self->messages_received;
    reply.solutions_sent = self->solutions_sent;
    reply.errors_sent = self->errors_sent;
    reply.clusters = self->status_at;
    reply.method = beamd_core_method(self);
    if (self->model) {
        reply.model_name = beamd_core_text(self->model->info->name);
        reply.model_sha256 = beamd_core_text(self->model->info->checksum);
    }
    if (call->header.cluster[0] == 0) {
        reply.n_clusters = fill_all(self, call->now_ns);
    } else {
        beamd_cluster *c = beamd_core_find(self, call->header.cluster);
        if (!c) {
            beam_wire_error err;
            beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_UNKNOWN_CLUSTER, "cluster",
                           "no such cluster is registered");
            beamd_core_refuse(self, call, &err);
            return;
        }
        fill_cluster(self, c, call->now_ns, &self->status[0], &self->status_preference[0]);
        self->status_at[0] = &self->status[0];
        reply.n_clusters = 1;
    }
    beamd_core_reply(self, call, BEAM_WIRE_STATUS_REPLY, &reply.base);
}

void beamd_core_gauges(const beamd_core *self, uint64_t now_ns, beamd_gauges *gauges)
{
    gauges->uptime_s = 1e-9 * (double)(now_ns - self->started_ns);
    gauges->clusters = self->count;
    gauges->clusters_max = (unsigned)self->config->clusters_max;
    gauges->ready = self->ready_count;
    gauges->solving = self->jobs_solving;
    gauges->refreshing = self->jobs_refreshing;
    gauges->workers = (unsigned)self->config->workers;
    gauges->cluster_bytes = self->bytes;
    gauges->draining = self->draining;
    if (self->model) {
        gauges->model_name = self->model->info->name;
        gauges->model_kind = beam_model_kind_text(self->model->info->kind);
        gauges->model_sha256 = self->model->info->checksum;
    }
}

size_t beamd_core_cluster_gauges(const beamd_core *self, uint64_t now_ns, beamd_cluster_gauge *out,
                                 size_t most)
{
    size_t n = 0;
    for (; n < self->count && n < most; n++) {
        const beamd_cluster *c = self->clusters[n];
        out[n] = (beamd_cluster_gauge){.cluster = c->id,
                                       .solved = c->solutions > 0,
                                       .crlb_valid = c->last_crlb_valid,
                                       .tradeoff = beamd_core_tradeoff(self, c),
                                       .wsr_worst_case_bps_hz = c->last_wsr_worst_case_bps_hz,
                                       .wsr_ideal_bps_hz = c->ideal.wsr_ideal_bps_hz,
                                       .crlb_m2 = c->last_crlb_m2,
                                       .crlb_min_m2 = c->ideal.crlb_min_m2,
                                       .age_s = age_s(c, now_ns),
                                       .solutions = c->solutions,
                                       .superseded = c->superseded,
                                       .deadlines_missed = c->deadlines_missed};
    }
    return n;
}
