/* Counters of the daemon and their Prometheus text (docs/metrics.md). All written by the loop's
 * thread alone. Every label takes its values from a fixed list or is a cluster's id, of at most
 * metrics_clusters clusters. */
#ifndef BEAMD_METRICS_H
#define BEAMD_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpu_link.h"
#include "histogram.h"

enum {
    BEAMD_REQUEST_TYPES = 18,   /* beam_wire_type of requests; 0: unknown */
    BEAMD_ERROR_CODES = 16,     /* Beamd__ErrorCode */
    BEAMD_METHODS = 5,          /* Beamd__Method */
    BEAMD_SOLVE_STATUSES = 4,   /* Beamd__SolveStatus */
    BEAMD_FALLBACK_REASONS = 8, /* beamd_fallback */
    BEAMD_BACKEND_KINDS = 5,    /* Beamd__Backend */
    BEAMD_SERVICE_KINDS = 4,    /* Beamd__Service */
    BEAMD_HEALTHS = 3,          /* beamd_health: good, failing, probing */
    BEAMD_BATCH_SIZES = 9,      /* 1, 2, 3-4, 5-8, ... 129-256 problems */
    BEAMD_SIZE_CLASSES = 8      /* beamd_size_class */
};

/* Every stage ends where the next one begins; TOTAL is all of them. */
typedef enum beamd_stage {
    BEAMD_STAGE_DECODE = 0, /* received to queued */
    BEAMD_STAGE_QUEUE = 1,  /* queued to solve start */
    BEAMD_STAGE_SOLVE = 2,  /* solve start to solve end */
    BEAMD_STAGE_CHECK = 3,  /* solve end to the last exact number known */
    BEAMD_STAGE_SEND = 4,   /* that to sent */
    BEAMD_STAGE_TOTAL = 5,  /* received to sent */
    BEAMD_STAGES = 6
} beamd_stage;

/* Events of any kind since the start; what it counts is in metrics.c beside its name. About 6 MB:
 * never on a stack. */
typedef struct beamd_metrics {
    /* messages in and out */
    uint64_t requests[BEAMD_REQUEST_TYPES];
    uint64_t errors[BEAMD_ERROR_CODES]; /* answered with this code: rejected by reason */
    uint64_t superseded;
    uint64_t frames_refused; /* messages of a wrong number of frames */
    uint64_t published, repeats;
    uint64_t replies_dropped, publications_dropped;

    /* answers to CSI, or published without a request: beamd_metrics_count_answer */
    uint64_t answers[BEAMD_SERVICE_KINDS], late[BEAMD_SERVICE_KINDS];
    uint64_t deadlines_missed; /* the sum of late[] */
    uint64_t unsolicited;      /* caused by targets or a preference */
    uint64_t stale_csi;        /* from CSI older than the limit, and marked so */

    /* problems: one subband for one preference. Of each that was sent: */
    uint64_t solutions[BEAMD_METHODS];
    uint64_t solve_status[BEAMD_SOLVE_STATUSES];
    uint64_t warm, cold;
    uint64_t fallbacks[BEAMD_FALLBACK_REASONS];       /* 0: by what is configured */
    uint64_t replaced_by_warm, replaced_by_classical; /* the backend's own answer lost the check */
    uint64_t below_classical;
    uint64_t shed; /* no thread had time for it: HELD, or CHECKED without trying more */

    /* batches: beamd_metrics_count_batch */
    uint64_t batches[BEAMD_BACKEND_KINDS], problems[BEAMD_BACKEND_KINDS];
    uint64_t batch_failures[BEAMD_BACKEND_KINDS];
    uint64_t backend_busy_ns[BEAMD_BACKEND_KINDS]; /* solve start to last exact number */
    uint64_t batch_sizes[BEAMD_BATCH_SIZES];
    uint64_t failed_jobs;
    /* transitions to this health, and batches given to a failing backend to find out */
    uint64_t backend_transitions[BEAMD_BACKEND_KINDS][BEAMD_HEALTHS];
    uint64_t backend_retries[BEAMD_BACKEND_KINDS];
    /* checks by the rescue thread because a solver thread was late, and those that were sent */
    uint64_t rescues_started, rescues_used;
    uint64_t threads_lost, threads_replaced;
    uint64_t faults; /* injected, in a build for tests */
    /* GPUs: batches that fitted no slot; problems given to the CPU after a worker had them; batches
     * whose answers were garbage or worse than the classical ones */
    uint64_t gpu_not_packed, gpu_lost_problems, gpu_distrusted;

    /* beside the hot path */
    uint64_t refreshes, refreshes_failed;
    uint64_t fronts, fronts_failed;
    uint64_t model_loads, model_refusals;
    uint64_t config_reloads, config_refusals;
    uint64_t audited; /* changes by an operator: preference, model, configuration, level, drain */
    uint64_t denied;  /* requests beyond the role of their peer */

    /* connections to the csi, control, beams and telemetry sockets */
    uint64_t connections_accepted;
    uint64_t connections_refused;       /* over connections_max */
    uint64_t connections_unauthorized;  /* CURVE: no key, or an unknown one */
    uint64_t connections_no_descriptor; /* descriptors ran out */
    uint64_t connections_revoked;       /* cut: a reload took their role away */
    uint64_t connections_oversubscribed;
    uint64_t handshakes_failed;
    uint64_t clock_steps, clock_peers_forgotten; /* beamd_clock_offset */

    /* state on disk */
    uint64_t state_written, state_write_failures;
    uint64_t state_restored; /* clusters, at the start */
    uint64_t state_damaged;  /* snapshots set aside */

    uint64_t telemetry_sent, telemetry_dropped;
    uint64_t http_requests, http_refused;

    /* durations */
    beamd_histogram_fine stage[BEAMD_STAGES];
    beamd_histogram_fine transit_estimate; /* of requests whose sender has a clock */
    /* received to sent */
    beamd_histogram_fine total_by_class[BEAMD_SIZE_CLASSES];
    beamd_histogram_fine total_by_backend[BEAMD_BACKEND_KINDS];
    beamd_histogram_fine total_by_service[BEAMD_SERVICE_KINDS];
    beamd_histogram_fine total_late; /* of those sent after their deadline */
} beamd_metrics;

/* An answer that was sent to a request. */
typedef struct beamd_counted_answer {
    uint64_t stage_ns[BEAMD_STAGE_TOTAL]; /* DECODE .. SEND; TOTAL is their sum */
    unsigned size_class;                  /* beamd_size_class */
    unsigned backend;                     /* Beamd__Backend, of the least service in it */
    unsigned service;                     /* Beamd__Service, the least in it */
    bool late;
    bool has_transit;
    uint64_t transit_estimate_ns;
} beamd_counted_answer;

/* Complex numbers in one CSI update of all subbands, stations x antennas x users x subbands, in
 * classes of a factor of 4: 0 up to 64, 1 up to 256, 2 up to 1024 ... 6 up to 262144, 7 beyond.
 * With the numbers of the registration (most users) a cluster keeps its class. */
unsigned beamd_size_class(unsigned stations, unsigned antennas, unsigned users, unsigned subbands);

/* Once for each answer sent to a CSI request: answers, late, deadlines_missed, all durations. */
void beamd_metrics_count_answer(beamd_metrics *self, const beamd_counted_answer *answer);
/* An answer without a request has no durations: answers and unsolicited only. */
void beamd_metrics_count_unsolicited(beamd_metrics *self, unsigned service);
/* Once for each batch that came back: batches, problems, sizes, failures, busy time. */
void beamd_metrics_count_batch(beamd_metrics *self, unsigned backend, unsigned problems,
                               uint64_t busy_ns, bool failed);

/* What is read at the time of asking. */
typedef struct beamd_backend_gauge {
    bool present;     /* configured, and built in; others are left out */
    unsigned health;  /* beamd_health */
    double service_s; /* measured mean time of one problem, 0: not known yet */
    double retry_s;   /* until it is tried again, 0 where it is good */
} beamd_backend_gauge;

enum { BEAMD_GPU_GAUGES_MAX = 16 };

/* One GPU and its worker: docs/gpu-worker.md. */
typedef struct beamd_gpu_gauge {
    unsigned device, in_flight;
    double start_s, respawn_s; /* of the last start; from the last loss to ready again; 0: none */
    double retry_s;            /* until the next start, 0: none is due */
    beamd_gpu_state state;
    beamd_gpu_counts counts;
} beamd_gpu_gauge;

typedef struct beamd_gauges {
    double uptime_s;
    unsigned clusters, clusters_max, ready, solving, refreshing, workers;
    size_t cluster_bytes;
    bool draining;
    uint64_t log_suppressed;
    const char *model_name, *model_kind, *model_sha256; /* NULL: none is loaded */
    beamd_backend_gauge backend[BEAMD_BACKEND_KINDS];
    unsigned connections, connections_max;
    unsigned lost;      /* threads given up that have not come back */
    double state_age_s; /* since the last snapshot was written, negative: none yet */
    size_t state_bytes; /* of the last snapshot, 0: none yet */
    bool zmq_counted;   /* built with the counting allocator; the two are left out otherwise */
    uint64_t zmq_allocations, zmq_allocated_bytes;
    beamd_gpu_gauge gpu[BEAMD_GPU_GAUGES_MAX];
    unsigned gpus;
} beamd_gauges;

/* One cluster. Where the last answer has several subbands or preferences, the worst of them: least
 * rate, greatest bound, least slack, most users below their floor. */
typedef struct beamd_cluster_gauge {
    const char *cluster;
    bool solved, crlb_valid;
    double tradeoff, wsr_worst_case_bps_hz, wsr_ideal_bps_hz, crlb_m2, crlb_min_m2, age_s;
    double power_slack_w; /* budget less power, of the station that has least */
    double shortfall_bps_hz;
    unsigned users, users_below_floor;
    unsigned subbands;
    double csi_age_s; /* of the oldest channels in the last answer, when it was solved */
    uint64_t solutions, superseded, deadlines_missed;
    uint64_t by_service[BEAMD_SERVICE_KINDS];
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
