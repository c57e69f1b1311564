/* One cluster: its latest CSI and targets, the memory of its solver, its last answer, and who waits
 * for the next one. All memory is taken at registration. */
#ifndef BEAMD_CLUSTER_H
#define BEAMD_CLUSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "beam/beam.h"
#include "histogram.h"
#include "model.h"
#include "pool.h"
#include "wire.h"

enum { BEAMD_IDENTITY_BYTES = 255 /* of a ZeroMQ peer */ };

/* A scene of as many users as there are now, in memory for as many as there may be. */
typedef struct beamd_view {
    beam_scene scene;
    uint64_t *user_id; /* [max_users] */
    void *memory;
    size_t size;
} beamd_view;

/* Likewise a design. */
typedef struct beamd_held_design {
    beam_design design;
    void *memory;
    size_t size;
} beamd_held_design;

/* Who waits for an answer. identity_bytes 0: nobody in particular, the answer is published only. */
typedef struct beamd_request {
    bool present;
    unsigned char identity[BEAMD_IDENTITY_BYTES];
    size_t identity_bytes;
    uint16_t type;
    uint64_t sequence;
    uint64_t sender_time_ns;
    uint64_t received_ns;
    uint64_t queued_ns;
    uint64_t deadline_ns;
} beamd_request;

typedef struct beamd_cluster beamd_cluster;

/* Why the iterative solver answered although the network is configured. */
typedef enum beamd_fallback {
    BEAMD_FALLBACK_NONE = 0,
    BEAMD_FALLBACK_NO_MODEL = 1,  /* none is loaded */
    BEAMD_FALLBACK_SENSING = 2,   /* a coupled sensing model */
    BEAMD_FALLBACK_MIN_RATES = 3, /* a user has a minimum rate */
    BEAMD_FALLBACK_SIZE = 4,      /* an mlp of another size */
    BEAMD_FALLBACK_MEMORY = 5,  /* no room for the layers of the model loaded since registration */
    BEAMD_FALLBACK_NUMERIC = 6, /* no finite answer of the network */
    BEAMD_FALLBACKS = 7
} beamd_fallback;

/* One solution. While it is under way it belongs to the solver thread, else to the loop. */
typedef struct beamd_solve_job {
    beamd_job job; /* first */
    beamd_cluster *cluster;
    const atomic_bool *abandon; /* set when the daemon ends: stop as soon as possible */
    /* in */
    beamd_view view;
    beamd_request request;
    uint64_t csi_sequence, target_sequence, target_time_ns;
    uint64_t users_generation, csi_generation;
    double tradeoff;
    int iterations;
    double tolerance;
    beamd_model *model; /* held while the job is under way; NULL: none */
    bool use_network;   /* configured */
    int refine;
    uint64_t stop_at_ns; /* of the solver, on the daemon's clock */
    bool need_sensing_end, need_rate_end;
    bool warm_given;
    beamd_held_design warm;
    Beamd__ElementType element;
    beam_ideal ideal; /* in and out */
    /* out */
    beamd_held_design out; /* as sent: rounded to the element type */
    beam_code code;
    beam_error error;
    beam_result result;
    beamd_fallback fallback;
    beam_quality quality; /* of `out`, exact */
    double merit;         /* of `out` */
    bool rate_end_cut;    /* time ran out while the best rate was computed */
    bool below_classical; /* the solver's answer was worse than the classical one: our bug */
    int sensing_columns;  /* most of any station */
    unsigned char *beam_bytes, *sensing_bytes;
    size_t beam_size, sensing_size;
    uint64_t start_ns, end_ns;
    /* memory that survives */
    beam_solver *solver;
    beam_inference *inference; /* NULL: no room for that of `model` */
    beam_evaluator *evaluator;
    void *evaluator_memory;
    size_t evaluator_size;
    int evaluator_users; /* that it is laid out for, -1: none */
} beamd_solve_job;

/* The best rate of a cluster, computed again beside the hot path. */
typedef struct beamd_refresh_job {
    beamd_job job; /* first */
    beamd_cluster *cluster;
    const atomic_bool *abandon;
    beamd_view view;
    uint64_t users_generation;
    uint64_t stop_at_ns;
    int iterations;
    double tolerance;
    beam_ideal ideal; /* in and out */
    beam_code code;
    beam_error error;
    uint64_t start_ns, end_ns;
    beam_solver *solver;
} beamd_refresh_job;

struct beamd_cluster {
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    beam_dims max; /* users: the most there may be */
    int sensing_max;
    double carrier_hz;
    Beamd__ElementType element;
    size_t bytes; /* of the block and the network's memory */
    void *block;
    void *network; /* of job.inference; larger only after a reload */
    size_t network_bytes;

    beamd_view live, next; /* next: under construction, swapped in when valid */
    beam_complex *decoded; /* [L][max users][N] */
    bool has_csi, has_targets;
    uint64_t csi_sequence, target_sequence, target_time_ns;
    uint64_t users_generation; /* grows when the set of users or a weight changes */
    uint64_t csi_generation;   /* grows with every CSI */

    bool has_preference;
    double tradeoff;

    beamd_request pending;
    int ready_at; /* index in the core's ready list, -1: not there */
    bool solving, refreshing;
    bool gone;               /* unregistered while a job was under way: freed when that ends */
    uint64_t resolve_due_ns; /* 0: nothing to solve without a request */

    bool has_ideal, sensing_stale;
    bool without_room; /* for the layers of the model: said once */
    beam_ideal ideal;
    uint64_t ideal_at_ns, ideal_users_generation, ideal_csi_generation;

    beamd_solve_job job;
    beamd_refresh_job refresh;
    beamd_held_design last; /* the last answer, start of the next */
    uint64_t *last_user_id;
    bool has_last;

    unsigned char *frame; /* the last Solution as published; room for `repeat` */
    size_t frame_bytes, frame_capacity;
    /* of the last answer, for status and metrics */
    double last_wsr_worst_case_bps_hz, last_crlb_m2;
    bool last_crlb_valid;
    beam_method last_method;
    uint64_t last_sent_ns;

    uint64_t csi_received, solutions, superseded, refused, deadlines_missed;
    beamd_histogram latency;
};

/* What a registration may ask for. */
typedef struct beamd_cluster_limits {
    int users_max;
    size_t bytes_max;  /* of one cluster */
    size_t bytes_left; /* of all */
} beamd_cluster_limits;

/* model: in use, NULL: none. NULL: *err names the field. */
beamd_cluster *beamd_cluster_create(const char *id, const Beamd__RegisterCluster *message,
                                    const beamd_model *model, const beamd_cluster_limits *limits,
                                    beam_wire_error *err);
void beamd_cluster_destroy(beamd_cluster **self);
/* With no job under way: makes room for the layers of `model` (NULL: none), if there is not enough.
 * -1: not within the limits; job.inference is then NULL. */
int beamd_cluster_make_room(beamd_cluster *self, const beamd_model *model,
                            const beamd_cluster_limits *limits, beam_wire_error *err);

/* Lays the view's scene out for these sizes, zeroed. */
int beamd_view_lay(beamd_view *view, const beam_dims *dims, beam_wire_error *err);

/* Each either takes everything over or changes nothing and names the field: 0 or -1. */
int beamd_cluster_set_csi(beamd_cluster *self, const Beamd__CsiUpdate *message,
                          beam_wire_error *err);
int beamd_cluster_join(beamd_cluster *self, const Beamd__UsersJoin *message, beam_wire_error *err);
int beamd_cluster_leave(beamd_cluster *self, const Beamd__UsersLeave *message,
                        beam_wire_error *err);
int beamd_cluster_set_targets(beamd_cluster *self, const Beamd__TargetUpdate *message,
                              beam_wire_error *err);

/* Copies the present state into the job, with the last answer as the start where every user had a
 * beam in it. Cannot fail: sizes were fixed at registration. */
void beamd_cluster_snapshot(beamd_cluster *self);
void beamd_cluster_snapshot_refresh(beamd_cluster *self);

/* Makes the job's design the last one. */
void beamd_cluster_keep(beamd_cluster *self);

/* The engine's error as one of the wire. */
int beamd_engine_error(beam_wire_error *err, const beam_error *from);

/* Engine preference of a message: trade-off in [0,1], or NaN. */
double beamd_tradeoff_of(const Beamd__Preference *preference);

/* On a solver thread. */
void beamd_solve_run(beamd_job *job);
void beamd_refresh_run(beamd_job *job);

#endif
