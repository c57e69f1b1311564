/* What a solver thread works on: a task is a snapshot of some subbands of one cluster, with the
 * memory to solve them and the answers it makes; a batch is tasks of one or several clusters that
 * one thread takes together. While they are under way they belong to the thread, else to the loop.
 */
#ifndef BEAMD_TASK_H
#define BEAMD_TASK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "beam/beam.h"
#include "beam/network.h"
#include "fault.h"
#include "model.h"
#include "pool.h"
#include "wire.h"

typedef struct beamd_cluster beamd_cluster;
typedef struct beamd_batch beamd_batch;
typedef struct beamd_gpu_flight beamd_gpu_flight;

enum {
    BEAMD_SLOTS = 8,            /* subbands of a task that are solved side by side */
    BEAMD_BATCH_TASKS = 64,     /* of one batch */
    BEAMD_BATCH_PROBLEMS = 256, /* of one batch, the most that batch_max may be */
    BEAMD_ROOMS = 4,            /* sizes of clusters that a thread keeps the network's memory for */
    BEAMD_BACKENDS = 5,         /* Beamd__Backend */
    BEAMD_SERVICES = 4          /* Beamd__Service */
};

/* Why the iterative solver answered although the network is configured. */
typedef enum beamd_fallback {
    BEAMD_FALLBACK_NONE = 0,
    BEAMD_FALLBACK_NO_MODEL = 1,  /* none is loaded */
    BEAMD_FALLBACK_SENSING = 2,   /* a coupled sensing model */
    BEAMD_FALLBACK_MIN_RATES = 3, /* a user has a minimum rate */
    BEAMD_FALLBACK_SIZE = 4,      /* an mlp of another size */
    BEAMD_FALLBACK_MEMORY = 5,    /* no room for the layers of the model */
    BEAMD_FALLBACK_NUMERIC = 6,   /* no finite answer of the network */
    BEAMD_FALLBACK_HEALTH = 7,    /* the network was left alone after failures */
    BEAMD_FALLBACKS = 8
} beamd_fallback;

/* Element type of the beams in answers. */
typedef struct beamd_format {
    Beamd__ElementType element;
    int bits; /* of a mantissa, block floating point */
} beamd_format;

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

/* One problem's answer: one subband, one preference. Everything that is said of it, so that it can
 * be sent again when its CSI is gone. One allocation. */
typedef struct beamd_answer {
    bool present; /* there are beams: code is BEAM_OK */
    Beamd__Service service;
    Beamd__Backend backend; /* that produced them */
    beam_code code;         /* BEAM_OK, or why there is none */
    beam_error error;
    uint64_t ticket; /* of the request that it was solved for; 0: before a restart */
    int subband;
    char preference_name[BEAM_WIRE_MAX_PREFERENCE_NAME_BYTES + 1];
    double tradeoff;
    uint64_t csi_sequence, target_sequence, target_time_ns;
    uint64_t users_generation, band_generation, target_generation;
    uint64_t csi_age_ns;      /* when it was solved */
    uint64_t csi_measured_ns; /* daemon's clock */
    double error_growth; /* largest ratio of a radius used to its value when estimated; 1: none, and
                            where all channels were known exactly then (their ratio has no value) */
    bool csi_stale, ideal_stale;
    beamd_held_design out; /* as sent: rounded to the element type */
    beam_quality quality;  /* of `out`, exact */
    beam_result result;
    beam_ideal ideal;
    double merit; /* of `out` */
    beamd_fallback fallback;
    bool below_classical; /* what the backend gave was worse than the classical answer: our bug */
    /* of the scene */
    int stations, antennas, users, targets;
    uint64_t *user_id;            /* [max users] */
    int *user_station;            /* [max users] */
    double *user_min_rate_bps_hz; /* [max users] */
    double station_power_w[BEAM_MAX_STATIONS];
    /* as it goes out */
    Beamd__ComplexArray beams, sensing; /* shapes and data point into this object */
    uint32_t beams_shape[2], sensing_shape[3];
    unsigned char *beam_bytes, *sensing_bytes;
    size_t beam_capacity, sensing_capacity;
} beamd_answer;

size_t beamd_answer_bytes(const beam_dims *max, int sensing_max);
/* The element types that answers may have. */
bool beamd_format_served(Beamd__ElementType element);
/* NULL without memory. */
beamd_answer *beamd_answer_create(const beam_dims *max, int sensing_max);
void beamd_answer_destroy(beamd_answer **self);

/* One subband under way. */
typedef struct beamd_slot {
    beam_solver *solver; /* of all slots of a spare task: its subbands go one after the other */
    void *solver_memory;
    beamd_view view;
    beamd_held_design warm[BEAM_WIRE_MAX_PREFERENCES];
    bool warm_given[BEAM_WIRE_MAX_PREFERENCES];
    bool loaded;    /* the solver holds the view's scene */
    beam_code code; /* of loading it */
    beam_error error;
} beamd_slot;

typedef struct beamd_task {
    beamd_cluster *cluster; /* NULL: it is gone or has another task instead */
    uint64_t ticket;        /* the request that it is for */
    size_t bytes;
    void *block;
    /* in */
    int subband[BEAMD_SLOTS];
    int subbands; /* at most `slots` */
    int slots;
    bool one_solver; /* a spare one */
    uint64_t users_generation, target_generation, band_generation[BEAMD_SLOTS];
    int preferences;
    double tradeoff[BEAM_WIRE_MAX_PREFERENCES];
    uint64_t stop_at_ns;     /* of iterations, on the daemon's clock */
    int iterations;          /* of the solver, 0: its own limit */
    double tolerance;        /* likewise */
    int refine;              /* of the network's answer */
    bool reduced;            /* refine was left out for want of time: service REDUCED */
    beamd_fallback excluded; /* why the network is not asked, NONE: it is or is not configured */
    beam_ideal ideal[BEAMD_SLOTS];
    bool need_sensing_end, need_rate_end[BEAMD_SLOTS];
    const double *sensing_rows; /* the task's own copy, NULL: none */
    bool sensing_rows_moved;    /* they are of an earlier geometry: used all the same */
    beamd_format format;
    uint64_t now_ns;
    /* out: [i * BEAM_WIRE_MAX_PREFERENCES + p] for subband[i] */
    beamd_answer *answer[BEAMD_SLOTS * BEAM_WIRE_MAX_PREFERENCES];
    beam_ideal ideal_found[BEAMD_SLOTS];
    bool ideal_known[BEAMD_SLOTS];  /* ideal_found is there */
    bool rate_end_cut[BEAMD_SLOTS]; /* the best rate is an estimate, or time ran out meanwhile */
    bool has_sensing_rows_out;      /* computed here, exact for target_generation */
    uint64_t sensing_ns;            /* that it took */
    double *rows;                   /* in and out: sensing_rows points here */
    /* memory that survives */
    beamd_slot slot[BEAMD_SLOTS];
    beamd_held_design scratch;
    int scratch_columns;   /* sensing columns of every design here */
    beam_complex *compact; /* [L][columns][N] sensing rows without gaps */
    beam_evaluator *evaluator;
    void *evaluator_memory;
    size_t evaluator_size;
    int evaluator_users; /* that it is laid out for, -1: none */
    beamd_batch *batch;  /* while it is run */
    uint64_t limit_ns;   /* of what is computed now, at most stop_at_ns */
} beamd_task;

/* The network's memory of one thread, for clusters of these sizes. */
typedef struct beamd_room {
    beam_dims dims;
    void *memory; /* NULL: free */
    size_t bytes;
    beam_inference *inference;
    uint64_t used; /* counts batches: the one used longest ago goes first */
} beamd_room;

struct beamd_batch {
    beamd_job job;              /* first */
    const atomic_bool *abandon; /* set when the daemon ends: stop as soon as possible */
    atomic_bool lost;           /* nobody waits for it any more: likewise */
    Beamd__Backend backend;
    beamd_model *model; /* held while under way; NULL: none */
    beamd_task *task[BEAMD_BATCH_TASKS];
    unsigned tasks, problems;
    int effort;            /* beamd_effort */
    int crew;              /* beamd_crew */
    beamd_gpu_flight *gpu; /* of batches for a GPU, else NULL: gpu_batch.h */
    double expected_ns;    /* by measured times; 0: not known */
    uint64_t probe;        /* of the backend's health: its number; 0: none */
    uint64_t deadline_ns;  /* the latest of its requests: long after it the thread is lost */
    beamd_room room[BEAMD_ROOMS];
    beam_inference *inference; /* of the sizes at hand; NULL: no room */
    uint64_t batches;
    uint64_t room_model; /* the core's count of models when the rooms were last laid out for all */
    beam_network_request request[BEAMD_BATCH_PROBLEMS];
    beam_inference_detail detail[BEAMD_BATCH_PROBLEMS];
    /* out */
    uint64_t start_ns, end_ns, checked_ns; /* solve start, solve end, last exact number known */
    bool failed; /* the backend gave an error or no finite answer for a problem it should serve */
    unsigned failures;  /* how many */
    unsigned by_solver; /* problems of a network's batch that the solver answered */
    beamd_faults
        faults; /* acted upon with BEAMD_FAULTS only; `draws` goes on from batch to batch */
    /* inside */
    struct {
        unsigned char task, slot, preference;
    } asked[BEAMD_BATCH_PROBLEMS]; /* of request[i] */
    unsigned requests, served;
    uint64_t limit_ns, overrun_ns;
};

/* Rooms are the loop's, while the batch is not under way. Room for clusters of these sizes, taken
 * at registration and after a reload of the model (the same call again for every size). One that is
 * large enough is kept; beyond BEAMD_ROOMS sizes the one used longest ago grows to hold both.
 * bytes_max: of all rooms of this batch. False: they would need more, or there is no memory;
 * nothing has changed then. */
bool beamd_batch_make_room(beamd_batch *self, const beam_model_info *model, const beam_dims *dims,
                           size_t bytes_max);
/* Points `inference` at the smallest room that holds these sizes (the largest of each in the
 * batch); NULL where there is none. */
void beamd_batch_choose_room(beamd_batch *self, const beam_dims *dims);
size_t beamd_batch_room_bytes(const beamd_batch *self);
void beamd_batch_free_rooms(beamd_batch *self);

/* NULL without memory. one_solver: for BACKEND_CHECK only. Called by the cluster. */
beamd_task *beamd_task_create(beamd_cluster *cluster, int slots, bool one_solver);
size_t beamd_task_bytes(const beamd_cluster *cluster, int slots, bool one_solver);
void beamd_task_destroy(beamd_task **self);

/* On a solver thread: solves every problem of the batch by its backend, then checks each: rounds to
 * the element type, evaluates exactly, and holds "never worse than the classical answer". What the
 * network cannot answer the solver does, and what neither can is the better of warm start and
 * classical beams. */
void beamd_batch_run(beamd_job *job);

/* The best rate of one subband, beside the hot path; and the least-CRLB rows of new targets. */
typedef struct beamd_refresh_job {
    beamd_job job; /* first */
    beamd_cluster *cluster;
    const atomic_bool *abandon;
    beamd_view view;
    int subband;
    bool sensing_only; /* the rows of new targets are wanted, no rate */
    uint64_t users_generation, band_generation, target_generation;
    uint64_t stop_at_ns;
    int iterations;
    double tolerance;
    beam_ideal ideal; /* in and out */
    double *rows;     /* in and out: least-CRLB rows */
    bool has_rows;    /* in: of the present targets; out */
    beam_code code;
    beam_error error;
    uint64_t start_ns, end_ns, sensing_ns;
    beam_solver *solver;
    void *block;
    size_t bytes;
} beamd_refresh_job;

/* NULL without memory. Called by the cluster, which owns it. */
beamd_refresh_job *beamd_refresh_create(beamd_cluster *cluster);
size_t beamd_refresh_bytes(const beamd_cluster *cluster);
void beamd_refresh_destroy(beamd_refresh_job **self);

void beamd_refresh_run(beamd_job *job);

/* A whole front, beside the hot path. Its memory is taken when it is asked for and freed with it.
 */
typedef struct beamd_front_job {
    beamd_job job; /* first */
    const atomic_bool *abandon;
    beamd_cluster *cluster;
    void *block;
    beamd_view view;
    int subband, points;
    uint64_t csi_sequence, target_sequence;
    beam_ideal ideal;
    double *tradeoff;    /* [points] */
    beam_design *design; /* [points] */
    beam_result *result; /* [points] */
    beam_solver *solver;
    uint64_t stop_at_ns, start_ns, end_ns;
    beam_code code;
    beam_error error;
} beamd_front_job;

/* Of the last CSI of `subband`, aged to now_ns. The caller sets stop_at_ns and abandon. NULL: *err
 * names the field (nothing known yet: ERROR_NOT_READY). */
beamd_front_job *beamd_front_create(beamd_cluster *cluster, int subband, int points,
                                    size_t bytes_max, uint64_t now_ns, beam_wire_error *err);
void beamd_front_destroy(beamd_front_job **self);
void beamd_front_run(beamd_job *job);

#endif
