/* Status of the daemon and of its clusters, on the wire and in the metrics. */
#include <math.h>
#include <string.h>

#include "core_internal.h"
#include "state.h"

/* More clusters than a status may hold would be a list that no client can read. */
_Static_assert((int)BEAM_WIRE_MAX_CLUSTERS >= (int)BEAMD_CLUSTERS_MAX,
               "the limits of daemon and wire differ");

static double age_s(const beamd_cluster *c, uint64_t now_ns)
{
    return now_ns > c->last_sent_ns ? 1e-9 * (double)(now_ns - c->last_sent_ns) : 0;
}

/* The worst of the last answer's subbands and preferences. */
typedef struct worst {
    bool solved, crlb_valid;
    double wsr_bps_hz, wsr_ideal_bps_hz, crlb_m2, crlb_min_m2, power_slack_w, shortfall_bps_hz;
    unsigned users_below_floor;
    uint64_t csi_age_ns;
    beam_method method;
} worst;

static void take_worse(worst *w, const beamd_answer *a)
{
    const beam_quality *q = &a->quality;
    if (!w->solved || q->wsr_worst_case_bps_hz < w->wsr_bps_hz) {
        w->wsr_bps_hz = q->wsr_worst_case_bps_hz;
        w->wsr_ideal_bps_hz = a->ideal.wsr_ideal_bps_hz;
        w->method = a->result.method;
    }
    if (!w->solved || !q->crlb_valid || (w->crlb_valid && q->crlb_m2 > w->crlb_m2)) {
        w->crlb_valid = q->crlb_valid;
        w->crlb_m2 = q->crlb_m2;
        w->crlb_min_m2 = a->ideal.crlb_min_m2;
    }
    for (int l = 0; l < a->stations; l++) {
        const double slack_w = a->station_power_w[l] - q->station_power_w[l];
        w->power_slack_w =
            (!w->solved && l == 0) || slack_w < w->power_slack_w ? slack_w : w->power_slack_w;
    }
    w->shortfall_bps_hz = fmax(w->shortfall_bps_hz, q->shortfall_bps_hz);
    if ((unsigned)q->users_below_floor > w->users_below_floor) {
        w->users_below_floor = (unsigned)q->users_below_floor;
    }
    w->csi_age_ns = a->csi_age_ns > w->csi_age_ns ? a->csi_age_ns : w->csi_age_ns;
    w->solved = true;
}

static worst worst_of(const beamd_cluster *c)
{
    worst w = {0};
    const int preferences = c->named_count > 0 ? c->named_count : 1;
    for (int b = 0; b < c->subbands; b++) {
        for (int p = 0; p < preferences; p++) {
            const beamd_answer *a = c->last[beamd_problem_index(b, p)];
            if (a && a->present && beamd_answer_of_this_life(a)) {
                take_worse(&w, a);
            }
        }
    }
    return w;
}

static void put_named(const beamd_cluster *c, beamd_status_preferences *room,
                      Beamd__ClusterStatus *s)
{
    s->preferences = room->at;
    for (int p = 0; p < c->named_count; p++) {
        const beam_preference u = beam_preference_from_tradeoff(c->named[p].tradeoff);
        beamd__preference__init(&room->u[p]);
        beamd__named_preference__init(&room->named[p]);
        room->u[p].u1 = u.u1;
        room->u[p].u2 = u.u2;
        room->named[p].name = beamd_core_text(c->named[p].name);
        room->named[p].preference = &room->u[p];
        room->at[s->n_preferences++] = &room->named[p];
    }
}

static void fill_cluster(const beamd_core *self, beamd_cluster *c, uint64_t now_ns,
                         Beamd__ClusterStatus *s, beamd_status_preferences *room)
{
    beamd__cluster_status__init(s);
    beamd__preference__init(&room->unnamed);
    const beam_preference u = beam_preference_from_tradeoff(beamd_core_tradeoff(self, c));
    room->unnamed.u1 = u.u1;
    room->unnamed.u2 = u.u2;
    put_named(c, room, s);
    s->cluster = c->id;
    s->stations = (uint32_t)c->max.stations;
    s->antennas = (uint32_t)c->max.antennas;
    s->users = (uint32_t)c->live.scene.dims.users;
    s->max_users = (uint32_t)c->max.users;
    s->targets = (uint32_t)c->max.targets;
    s->subbands = (uint32_t)c->subbands;
    s->preference = &room->unnamed;
    s->csi_sequence = c->csi_sequence;
    s->target_sequence = c->target_sequence;
    s->csi_received = c->csi_received;
    s->solutions = c->solutions;
    s->superseded = c->superseded;
    s->refused = c->refused;
    s->deadlines_missed = c->deadlines_missed;
    s->reduced = c->by_service[BEAMD__SERVICE__SERVICE_REDUCED];
    s->checked = c->by_service[BEAMD__SERVICE__SERVICE_CHECKED];
    s->held = c->by_service[BEAMD__SERVICE__SERVICE_HELD];
    s->latency_p50_us = beamd_histogram_quantile_us(&c->latency, 0.5);
    s->latency_p99_us = beamd_histogram_quantile_us(&c->latency, 0.99);
    const worst w = worst_of(c);
    if (c->solutions > 0 && w.solved) {
        s->solved = true;
        s->wsr_worst_case_bps_hz = w.wsr_bps_hz;
        s->crlb_valid = w.crlb_valid;
        s->crlb_m2 = w.crlb_m2;
        s->method = (Beamd__Method)w.method;
        s->age_s = age_s(c, now_ns);
    }
}

static size_t fill_some(beamd_core *self, uint64_t now_ns, size_t most)
{
    unsigned i = 0;
    for (; i < self->count && i < most; i++) {
        fill_cluster(self, self->clusters[i], now_ns, &self->status[i], &self->status_room[i]);
        self->status_at[i] = &self->status[i];
    }
    return i;
}

static size_t fill_all(beamd_core *self, uint64_t now_ns)
{
    return fill_some(self, now_ns, self->count);
}

Beamd__ClusterStatus **beamd_core_cluster_status(beamd_core *self, uint64_t now_ns, size_t most,
                                                 size_t *count)
{
    *count = fill_some(self, now_ns, most);
    return self->status_at;
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
        fill_cluster(self, c, call->now_ns, &self->status[0], &self->status_room[0]);
        self->status_at[0] = &self->status[0];
        reply.n_clusters = 1;
    }
    beamd_core_reply(self, call, BEAM_WIRE_STATUS_REPLY, &reply.base);
}

static void fill_backends(const beamd_core *self, beamd_gauges *gauges)
{
    for (unsigned k = BEAMD__BACKEND__BACKEND_NETWORK; k <= BEAMD__BACKEND__BACKEND_GPU; k++) {
        const beamd_backend_health *b = &self->backend[k];
        gauges->backend[k] = (beamd_backend_gauge){
            .present = k == BEAMD__BACKEND__BACKEND_GPU       ? self->act.gpu_free != NULL
                       : k == BEAMD__BACKEND__BACKEND_NETWORK ? beamd_core_uses_network(self)
                                                              : true,
            .health = (unsigned)b->health,
            .service_s = 1e-9 * b->service_ns,
            .retry_s = b->health == BEAMD_HEALTH_FAILING && b->retry_at_ns > self->now_ns
                           ? 1e-9 * (double)(b->retry_at_ns - self->now_ns)
                           : 0};
    }
}

void beamd_core_gauges(const beamd_core *self, uint64_t now_ns, beamd_gauges *gauges)
{
    gauges->uptime_s = 1e-9 * (double)(now_ns - self->started_ns);
    gauges->clusters = self->count;
    gauges->clusters_max = (unsigned)self->config->clusters_max;
    gauges->ready = beamd_core_waiting(self);
    gauges->solving = 0;
    for (unsigned k = 0; k < self->away_count; k++) {
        const beamd_batch *batch = self->away[k];
        gauges->solving += batch->crew == BEAMD_CREW_SOLVE &&
                           !atomic_load_explicit(&batch->lost, memory_order_relaxed);
    }
    gauges->lost = self->lost_count;
    gauges->refreshing = self->jobs[BEAMD_CREW_BACKGROUND];
    gauges->workers = (unsigned)self->config->workers;
    gauges->cluster_bytes = self->bytes;
    gauges->draining = self->draining;
    fill_backends(self, gauges);
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
        const worst w = worst_of(c);
        out[n] = (beamd_cluster_gauge){.cluster = c->id,
                                       .solved = c->solutions > 0 && w.solved,
                                       .crlb_valid = w.crlb_valid,
                                       .tradeoff = beamd_core_tradeoff(self, c),
                                       .wsr_worst_case_bps_hz = w.wsr_bps_hz,
                                       .wsr_ideal_bps_hz = w.wsr_ideal_bps_hz,
                                       .crlb_m2 = w.crlb_m2,
                                       .crlb_min_m2 = w.crlb_min_m2,
                                       .age_s = age_s(c, now_ns),
                                       .power_slack_w = w.power_slack_w,
                                       .shortfall_bps_hz = w.shortfall_bps_hz,
                                       .users = (unsigned)c->live.scene.dims.users,
                                       .users_below_floor = w.users_below_floor,
                                       .subbands = (unsigned)c->subbands,
                                       .csi_age_s = 1e-9 * (double)w.csi_age_ns,
                                       .solutions = c->solutions,
                                       .superseded = c->superseded,
                                       .deadlines_missed = c->deadlines_missed};
        for (int k = 0; k < BEAMD_SERVICES; k++) {
            out[n].by_service[k] = c->by_service[k];
        }
    }
    return n;
}
