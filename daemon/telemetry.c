#include "telemetry.h"

#include <stdlib.h>

enum {
    DISTRIBUTIONS = BEAMD_STAGES + 1, /* and the transit estimate */
    FIXED_BYTES = 4096,               /* of a frame without clusters; a test holds both to it */
    CLUSTER_BYTES = 1024
};

_Static_assert((int)DISTRIBUTIONS <= (int)BEAM_WIRE_MAX_STAGES &&
                   (int)BEAMD_BACKEND_KINDS <= (int)BEAM_WIRE_MAX_BACKENDS,
               "the lists of a message must fit the wire");

struct beamd_telemetry {
    uint64_t last_ns, sequence;
    size_t clusters_max;
    Beamd__Telemetry message;
    Beamd__Distribution distribution[DISTRIBUTIONS];
    Beamd__Distribution *distribution_at[DISTRIBUTIONS];
    Beamd__BackendStatus backend[BEAMD_BACKEND_KINDS];
    Beamd__BackendStatus *backend_at[BEAMD_BACKEND_KINDS];
    beamd_histogram_fine before[DISTRIBUTIONS]; /* as they were at the last message */
    beamd_histogram_fine interval;              /* of one of them at a time */
    unsigned char *frame;
    size_t frame_capacity;
};

beamd_telemetry *beamd_telemetry_create(size_t clusters_max, uint64_t now_ns)
{
    beamd_telemetry *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->clusters_max = clusters_max;
    self->last_ns = now_ns;
    self->frame_capacity = FIXED_BYTES + clusters_max * CLUSTER_BYTES;
    self->frame = malloc(self->frame_capacity);
    if (!self->frame) {
        beamd_telemetry_destroy(&self);
    }
    return self;
}

void beamd_telemetry_destroy(beamd_telemetry **self)
{
    if (*self) {
        free((*self)->frame);
        free(*self);
        *self = NULL;
    }
}

static void fill_distributions(beamd_telemetry *self, const beamd_metrics *metrics)
{
    /* protobuf-c's texts are not const; packing does not change them */
    static char names[DISTRIBUTIONS][20] = {"decode", "queue", "solve",           "check",
                                            "send",   "total", "transit_estimate"};
    for (size_t d = 0; d < DISTRIBUTIONS; d++) {
        const beamd_histogram_fine *now =
            d < BEAMD_STAGES ? &metrics->stage[d] : &metrics->transit_estimate;
        beamd_histogram_difference(&self->interval, now, &self->before[d]);
        beamd_histogram_copy(&self->before[d], now);
        Beamd__Distribution *out = &self->distribution[d];
        beamd__distribution__init(out);
        out->stage = names[d];
        out->count = self->interval.head.count;
        out->p50_us = beamd_histogram_quantile_us(&self->interval, 0.5);
        out->p99_us = beamd_histogram_quantile_us(&self->interval, 0.99);
        out->p999_us = beamd_histogram_quantile_us(&self->interval, 0.999);
        out->max_us = 1e-3 * (double)self->interval.head.max_ns;
        self->distribution_at[d] = out;
    }
    self->message.stages = self->distribution_at;
    self->message.n_stages = DISTRIBUTIONS;
}

static void fill_backends(beamd_telemetry *self, const beamd_metrics *metrics,
                          const beamd_gauges *gauges)
{
    static char healths[BEAMD_HEALTHS][8] = {"good", "failing", "probing"};
    size_t n = 0;
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        const beamd_backend_gauge *gauge = &gauges->backend[b];
        if (!gauge->present) {
            continue;
        }
        Beamd__BackendStatus *out = &self->backend[n];
        beamd__backend_status__init(out);
        out->backend = (Beamd__Backend)b;
        out->health = healths[gauge->health < BEAMD_HEALTHS ? gauge->health : 0];
        out->batches = metrics->batches[b];
        out->problems = metrics->problems[b];
        out->failures = metrics->batch_failures[b];
        out->service_us = 1e6 * gauge->service_s;
        out->retry_s = gauge->retry_s;
        self->backend_at[n++] = out;
    }
    self->message.backends = self->backend_at;
    self->message.n_backends = n;
}

static uint64_t sum(const uint64_t *values, size_t count)
{
    uint64_t total = 0;
    for (size_t k = 0; k < count; k++) {
        total += values[k];
    }
    return total;
}

const Beamd__Telemetry *beamd_telemetry_fill(beamd_telemetry *self,
                                             const beamd_telemetry_facts *facts)
{
    const beamd_metrics *metrics = facts->metrics;
    const beamd_gauges *gauges = facts->gauges;
    Beamd__Telemetry *m = &self->message;
    beamd__telemetry__init(m);
    m->monotonic_ns = facts->now_ns;
    m->unix_ns = facts->unix_ns;
    m->interval_s =
        facts->now_ns > self->last_ns ? 1e-9 * (double)(facts->now_ns - self->last_ns) : 0;
    self->last_ns = facts->now_ns;
    m->uptime_s = gauges->uptime_s;
    m->sequence = ++self->sequence;
    m->queue_depth = gauges->ready;
    m->solving = gauges->solving;
    m->workers = gauges->workers;
    m->csi_received = metrics->requests[BEAM_WIRE_CSI_UPDATE] +
                      metrics->requests[BEAM_WIRE_USERS_JOIN] +
                      metrics->requests[BEAM_WIRE_USERS_LEAVE];
    m->solutions = sum(metrics->answers, BEAMD_SERVICE_KINDS);
    m->reduced = metrics->answers[BEAMD__SERVICE__SERVICE_REDUCED];
    m->checked = metrics->answers[BEAMD__SERVICE__SERVICE_CHECKED];
    m->held = metrics->answers[BEAMD__SERVICE__SERVICE_HELD];
    m->late = metrics->deadlines_missed;
    m->superseded = metrics->superseded;
    m->errors = sum(metrics->errors, BEAMD_ERROR_CODES);
    m->draining = gauges->draining;
    fill_distributions(self, metrics);
    fill_backends(self, metrics, gauges);
    m->clusters = facts->clusters;
    m->n_clusters =
        facts->cluster_count < self->clusters_max ? facts->cluster_count : self->clusters_max;
    return m;
}

int beamd_telemetry_pack(beamd_telemetry *self, const beamd_telemetry_facts *facts,
                         const unsigned char **frame, size_t *bytes, beam_wire_error *err)
{
    const Beamd__Telemetry *m = beamd_telemetry_fill(self, facts);
    *frame = self->frame;
    return beam_wire_pack(BEAM_WIRE_TELEMETRY, "", m->sequence, &m->base, self->frame,
                          self->frame_capacity, bytes, err);
}
