/* One cluster: its latest CSI (per subband) and targets, its preferences, its last answers, and who
 * waits for the next one. All memory is taken at registration. */
#ifndef BEAMD_CLUSTER_H
#define BEAMD_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "beam/beam.h"
#include "histogram.h"
#include "model.h"
#include "task.h"
#include "wire.h"

enum {
    BEAMD_IDENTITY_BYTES = 255, /* of a ZeroMQ peer */
    BEAMD_PENDING_MAX = 4,      /* requests of one cluster that wait, for different subbands */
    BEAMD_TASKS_MAX = 8         /* of one request, on as many threads */
};

/* Which subbands: bit b of word b / 64. */
typedef struct beamd_bands {
    uint64_t word[(BEAM_WIRE_MAX_SUBBANDS + 63) / 64];
} beamd_bands;

static inline void beamd_bands_add(beamd_bands *set, int b)
{
    set->word[b / 64] |= UINT64_C(1) << (b % 64);
}
static inline void beamd_bands_remove(beamd_bands *set, int b)
{
    set->word[b / 64] &= ~(UINT64_C(1) << (b % 64));
}
static inline bool beamd_bands_has(const beamd_bands *set, int b)
{
    return set->word[b / 64] >> (b % 64) & 1;
}

static inline bool beamd_bands_empty(const beamd_bands *set)
{
    uint64_t any = 0;
    for (size_t k = 0; k < sizeof set->word / sizeof set->word[0]; k++) {
        any |= set->word[k];
    }
    return any == 0;
}
static inline int beamd_bands_count(const beamd_bands *set)
{
    int count = 0;
    for (size_t k = 0; k < sizeof set->word / sizeof set->word[0]; k++) {
        count += __builtin_popcountll(set->word[k]);
    }
    return count;
}
/* All of a is in b. */
static inline bool beamd_bands_within(const beamd_bands *a, const beamd_bands *b)
{
    uint64_t outside = 0;
    for (size_t k = 0; k < sizeof a->word / sizeof a->word[0]; k++) {
        outside |= a->word[k] & ~b->word[k];
    }
    return outside == 0;
}

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
    bool has_sender_estimate;
    int64_t sender_offset_ns; /* estimate: daemon's clock less the sender's */
    uint64_t transit_ns;      /* estimate: beyond the fastest one seen */
    beamd_bands bands;        /* that the answer is to have */
} beamd_request;

/* The latest channels of one subband, of the present users. */
typedef struct beamd_band {
    bool present;
    beam_complex *channel; /* [L][U][N] */
    double *error_radius;  /* [L][U], when it was estimated */
    uint64_t csi_sequence; /* of the message that gave it its present state, users included */
    uint64_t measured_ns;  /* receipt less the age that the sender gave, daemon's clock; of the
                              oldest channel after a join */
    uint64_t generation;   /* grows with every CSI of this subband */
    /* the best rate known for it */
    bool has_ideal;
    double wsr_ideal_bps_hz;
    uint64_t ideal_at_ns, ideal_users_generation, ideal_generation;
} beamd_band;

/* How much is done for a problem. */
typedef enum beamd_effort {
    BEAMD_EFFORT_FULL = 0,    /* network and refinement */
    BEAMD_EFFORT_NETWORK = 1, /* network alone */
    BEAMD_EFFORT_SOLVER = 2,
    BEAMD_EFFORT_CHECK = 3,
    BEAMD_EFFORT_GPU = 4,  /* network and refinement on a GPU; its time is that of a whole batch */
    BEAMD_EFFORT_NONE = 5, /* there is no time for anything */
    BEAMD_EFFORTS = 5
} beamd_effort;

/* Exponentially weighted. */
typedef struct beamd_service_time {
    double mean_ns, deviation_ns; /* 0: not measured yet */
} beamd_service_time;

/* A preference by name; the unnamed one has an empty name. */
typedef struct beamd_named {
    char name[BEAM_WIRE_MAX_PREFERENCE_NAME_BYTES + 1];
    double tradeoff;
} beamd_named;

/* A frame kept as it was received. */
typedef struct beamd_kept {
    unsigned char *frame; /* NULL: none */
    size_t bytes, capacity;
} beamd_kept;

struct beamd_cluster {
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    beam_dims max; /* users: the most there may be */
    int subbands;
    int sensing_max;
    double carrier_hz;
    double error_growth_per_s;
    beamd_format format; /* of the beams in answers */
    size_t bytes;        /* of everything that belongs to it, tasks included */
    void *block;

    /* what is known */
    beamd_view live, next;  /* users, stations, targets; `next` under construction, swapped in when
                               valid. Their scenes' channels are those of subband 0 */
    beamd_band *band;       /* [subbands] */
    beamd_band *fresh;      /* [subbands], of the message being decoded: swapped in when valid */
    beam_complex *decoded;  /* [L][U][N], channels of users that join */
    double *decoded_radius; /* [L][U] */
    bool has_csi, has_targets;
    uint64_t csi_sequence, target_sequence, target_time_ns;
    uint64_t users_generation;   /* grows when the set of users or a weight changes */
    uint64_t target_generation;  /* grows with every target update */
    double crlb_min_m2;          /* of ... */
    uint64_t sensing_generation; /* ... this target_generation, 0: not known yet */
    double *sensing_rows; /* the least-CRLB rows of that geometry, for solvers that have not got
                             them (beam_solver_export_sensing) */
    bool has_sensing_rows;
    uint64_t sensing_ns; /* that computing them took last, 0: not measured */
    beamd_refresh_job *refresh;

    bool has_preference; /* else the default's trade-off */
    double tradeoff;
    beamd_named named[BEAM_WIRE_MAX_PREFERENCES];
    int named_count;      /* 0: the unnamed one alone */
    int preferences_room; /* that there is memory for */

    /* who waits: core_schedule.c */
    beamd_request pending[BEAMD_PENDING_MAX]; /* oldest first */
    int pending_count;
    beamd_request active; /* being solved */
    beamd_bands open;     /* of active: not yet given to a thread */
    beamd_bands done;     /* of active: solved */
    beamd_bands checked;  /* of active: an answer of the spare task is there */
    beamd_bands failed;   /* of active: done, and without an answer: `failure` says why */
    beam_error failure;
    uint64_t start_ns, end_ns, checked_ns; /* of active: first start, last ends; 0: none */
    uint64_t ticket;                       /* of active; tasks of an earlier one are too late */
    uint64_t relaxed_for;                  /* ticket for which measured times were relaxed */
    uint64_t gpu_relaxed_for;              /* likewise a GPU's */
    uint64_t gpu_lost_for; /* ticket for which a GPU's batch was lost: the CPU's from there on */
    int open_at;           /* index in the core's list of clusters with work, -1: not there */
    int under_way;         /* tasks of any ticket, the spare one included */
    bool refreshing;
    bool gone;               /* unregistered while jobs were under way: freed when they end */
    uint64_t resolve_due_ns; /* 0: nothing to solve without a request */

    beamd_task *task[BEAMD_TASKS_MAX];
    int tasks;
    beamd_task *spare; /* for the check when a thread does not come back in time */

    beamd_answer **last;  /* [subbands x BEAM_WIRE_MAX_PREFERENCES]: as sent, starts of the next */
    beamd_answer **check; /* likewise, of the spare task, for the active request */

    unsigned char *frame; /* the last answer as published; room for `repeat` */
    size_t frame_bytes, frame_capacity;
    uint64_t repeat_at_ns; /* last published again for a new subscriber */
    bool repeat_due;
    bool without_room;     /* for the layers of the model: said once */
    bool without_gpu_room; /* likewise, among the sizes that GPUs are ready for */

    beamd_service_time service[BEAMD_EFFORTS]; /* of one problem, measured */
    double answer_ns;       /* that packing and sending an answer takes, weighted like service */
    bool hedged;            /* the spare task has been sent for `active` */
    uint64_t wait_until_ns; /* of active: for others to share its batch */

    uint64_t csi_received, solutions, superseded, refused, deadlines_missed;
    uint64_t by_service[BEAMD_SERVICES];
    uint64_t last_sent_ns;
    beamd_histogram latency;
    /* for the state that survives a restart: state.h */
    uint64_t changed, saved; /* counts changes; what the state on disk has */
    beamd_kept registered;   /* RegisterCluster; freed with the cluster */
    beamd_kept aimed;        /* likewise the last TargetUpdate */
    uint64_t incarnation;    /* another one for every registration */
    bool csi_lost; /* CSI came before the restart and no CsiUpdate since: its users are not known */
};

/* What a registration may ask for. */
typedef struct beamd_cluster_limits {
    int users_max;
    int threads;       /* tasks of one request */
    int tasks_most;    /* with a GPU more of them, as far as half of bytes_max goes; 0: `threads` */
    size_t bytes_max;  /* of one cluster */
    size_t bytes_left; /* of all, what the cluster in question has included */
} beamd_cluster_limits;

/* NULL: *err names the field. A cluster without targets yet, users and CSI. */
beamd_cluster *beamd_cluster_create(const char *id, const Beamd__RegisterCluster *message,
                                    const beamd_cluster_limits *limits, beam_wire_error *err);
/* With no task of its own and no refresh under way. */
void beamd_cluster_destroy(beamd_cluster **self);

/* Each either takes everything over or changes nothing and names the field: 0 or -1. now_ns: of
 * receipt. sequence: the caller has seen to it that it grows. *bands (may be NULL): the subbands
 * that are to be answered for: those in the message; all when users came, went or have another
 * weight, station or minimum rate. New noise alone holds for all subbands without a new answer. */
int beamd_cluster_set_csi(beamd_cluster *self, uint64_t now_ns, uint64_t sequence,
                          const Beamd__CsiUpdate *message, beamd_bands *bands,
                          beam_wire_error *err);
int beamd_cluster_join(beamd_cluster *self, uint64_t now_ns, uint64_t sequence,
                       const Beamd__UsersJoin *message, beamd_bands *bands, beam_wire_error *err);
int beamd_cluster_leave(beamd_cluster *self, uint64_t sequence, const Beamd__UsersLeave *message,
                        beamd_bands *bands, beam_wire_error *err);
int beamd_cluster_set_targets(beamd_cluster *self, const Beamd__TargetUpdate *message,
                              beam_wire_error *err);

/* Names and trade-offs that an answer has now, in order; `fallback` is the default's trade-off.
 * Returns how many, at least 1. */
int beamd_cluster_preferences(const beamd_cluster *self, double fallback,
                              beamd_named out[BEAM_WIRE_MAX_PREFERENCES]);
/* A name of 1 to 31 letters, digits, '.', '_', '-'. */
bool beamd_preference_name_valid(const char *name);
/* Trade-off in [0,1], or NaN. */
double beamd_tradeoff_of(const Beamd__Preference *preference);

/* Adds or changes a named preference: takes the memory for its answers. For the loop's thread,
 * tasks may be under way. Validates the name. The trade-off is in [0,1]. */
int beamd_cluster_name_preference(beamd_cluster *self, const char *name, double tradeoff,
                                  const beamd_cluster_limits *limits, beam_wire_error *err);
int beamd_cluster_remove_preference(beamd_cluster *self, const char *name, beam_wire_error *err);

/* Index of a problem in `last` and `check`. Preference p is the p-th of
 * beamd_cluster_preferences(), also after preferences were added or removed. */
static inline int beamd_problem_index(int band, int preference)
{
    return band * BEAM_WIRE_MAX_PREFERENCES + preference;
}

/* Beyond this the least-CRLB rows of new targets are computed beside the answers. */
#define BEAMD_SENSING_SLOW_NS UINT64_C(500000)
/* The rows known are of earlier targets and solved with all the same: a refresh with `sensing_only`
 * is wanted. Where computing them is fast, the next answer does it. */
static inline bool beamd_cluster_wants_sensing(const beamd_cluster *self)
{
    return self->has_sensing_rows && self->sensing_ns > BEAMD_SENSING_SLOW_NS &&
           self->sensing_generation != self->target_generation;
}

/* Copies the present state of task->subband[0 .. subbands) and of the preferences into the task,
 * with the last answers as starts where every user had a beam in them. Radii are enlarged by the
 * age at now_ns. Cannot fail: sizes were fixed at registration. */
void beamd_cluster_snapshot(beamd_cluster *self, beamd_task *task, uint64_t now_ns,
                            double default_tradeoff);
/* A task that came back: its answers of band i, preference p become those of `into` (last or
 * check), the task gets the old ones: pointers are exchanged. Only answers that are `present` go
 * over, those that failed (answer->code) stay in the task; preferences are matched by name, and one
 * that was removed meanwhile gets lost, and so does an answer to an earlier request than the one
 * there. Answers of other users or CSI than now are taken as well: they say whose they are. */
void beamd_cluster_take(beamd_cluster *self, beamd_task *task, beamd_answer **into);
/* The normalising values as the task left them, where they still fit; rates are raised to any
 * answer that beats them. Before beamd_cluster_take. */
void beamd_cluster_take_ideal(beamd_cluster *self, const beamd_task *task, uint64_t now_ns);
/* self->refresh for subband `band`: its best rate, or with sensing_only the least-CRLB rows of the
 * present targets. The caller sets stop_at_ns, iterations, tolerance and abandon. Not while
 * self->refreshing. */
void beamd_cluster_snapshot_refresh(beamd_cluster *self, int band, bool sensing_only,
                                    uint64_t now_ns);
/* What self->refresh found, where it still fits; whether it failed is in its `code`. */
void beamd_cluster_take_refresh(beamd_cluster *self, uint64_t now_ns);

/* In place of a task that will not come back: new memory of the same size, lost->cluster becomes
 * NULL and `lost` is the caller's, to be freed with beamd_task_destroy when its thread is back.
 * -1: there is no memory, or it is none of its own; nothing has changed, and the lost one can be
 * used again once its thread is back. */
int beamd_cluster_replace_task(beamd_cluster *self, beamd_task *lost, beam_wire_error *err);

/* The engine's error as one of the wire. */
int beamd_engine_error(beam_wire_error *err, const beam_error *from);

#endif
