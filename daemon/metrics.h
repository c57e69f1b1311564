/* Counters of the daemon and their Prometheus text. All written by the loop's thread alone. */
#ifndef BEAMD_METRICS_H
#define BEAMD_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

enum {
    BEAMD_REQUEST_TYPES = 13,  /* beam_wire_type of requests; 0: unknown */
    BEAMD_ERROR_CODES = 15,    /* Beamd__ErrorCode */
    BEAMD_METHODS = 5,         /* Beamd__Method */
    BEAMD_SOLVE_STATUSES = 4,  /* Beamd__SolveStatus */
    BEAMD_FALLBACK_REASONS = 7 /* beamd_fallback */
};

typedef enum beamd_stage {
    BEAMD_STAGE_DECODE = 0, /* received to queued */
    BEAMD_STAGE_QUEUE = 1,  /* queued to solve start */
    BEAMD_STAGE_SOLVE = 2,  /* solve start to solve end */
    BEAMD_STAGE_SEND = 3,   /* solve end to sent */
    BEAMD_STAGE_TOTAL = 4,  /* received to sent */
    BEAMD_STAGES = 5
} beamd_stage;

typedef struct beamd_metrics {
    uint64_t requests[BEAMD_REQUEST_TYPES];
    uint64_t errors[BEAMD_ERROR_CODES];
    uint64_t solutions[BEAMD_METHODS];
    uint64_t solve_status[BEAMD_SOLVE_STATUSES];
    uint64_t warm, cold;
    uint64_t superseded, deadlines_missed, unsolicited;
    uint64_t published, repeats;
    uint64_t replies_dropped, publications_dropped;
    uint64_t below_classical, failed_jobs;
    uint64_t refreshes, refreshes_failed;
    uint64_t fallbacks[BEAMD_FALLBACK_REASONS]; /* 0: by what is configured */
    uint64_t model_loads, model_refusals;
    uint64_t frames_refused; /* messages of a wrong number of frames */
    uint64_t http_requests, http_refused;
    beamd_histogram stage[BEAMD_STAGES];
} beamd_metrics;

/* What is read at the time of asking. */
typedef struct beamd_gauges {
    double uptime_s;
    unsigned clusters, clusters_max, ready, solving, refreshing, workers;
    size_t cluster_bytes;
    bool draining;
    uint64_t log_suppressed;
    const char *model_name, *model_kind, *model_sha256; /* NULL: none is loaded */
} beamd_gauges;

typedef struct beamd_cluster_gauge {
    const char *cluster;
    bool solved, crlb_valid;
    double tradeoff, wsr_worst_case_bps_hz, wsr_ideal_bps_hz, crlb_m2, crlb_min_m2, age_s;
    uint64_t solutions, superseded, deadlines_missed;
} beamd_cluster_gauge;

/* A text under construction: beyond `size` only the length goes on. */
typedef struct beamd_text {
    char *out;
    size_t size, used;
} beamd_text;

void beamd_metrics_render(const beamd_metrics *self, const beamd_gauges *gauges, beamd_text *text);
/* All clusters at once: a metric's samples must stand together. */
void beamd_metrics_render_clusters(const beamd_cluster_gauge *clusters, size_t count,
                                   beamd_text *text);

#endif
