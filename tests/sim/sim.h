/* Whole days of traffic for the core in seconds: an event heap with its own clock, controllers that
 * send and misbehave, stand-ins for the threads, and a judge of everything that leaves
 * (docs/simulator.md). Not a line of it waits, and the same seed gives the same day. */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/random.h"
#include "core_internal.h"

enum {
    SIM_AGENTS_MAX = 96,
    SIM_BANDS_MAX = 24,
    SIM_NAMES = 5,  /* "" and four that preferences may have */
    SIM_RING = 512, /* sequences of a cluster whose users are remembered */
    SIM_RECORDS_MAX = 2048,
    SIM_JOBS_MAX = 96,
    SIM_FRAME_BYTES = 1 << 18,
    SIM_TRACE = 30,
    SIM_GPUS_MAX = 3,
    SIM_VARIANTS = 3, /* of the channels of one kind of cluster */
    SIM_PHASES = 4,   /* subband b has the channels of phase b % SIM_PHASES */
    SIM_PLACES = 2    /* of the targets */
};
extern const char *const sim_names[SIM_NAMES];

typedef struct sim sim;

/* --- scenes.c: what clusters are like --- */
typedef enum sim_kind {
    SIM_SMALL = 0,
    SIM_PAPER = 1,
    SIM_NAMED = 2,
    SIM_WIDE = 3,
    SIM_WIDE_NAMED = 4,
    SIM_SINGLE = 5,
    SIM_FLOORS = 6,  /* minimum rates: not for the network */
    SIM_COUPLED = 7, /* likewise: a coupled sensing model */
    SIM_AGEING = 8,
    SIM_KINDS = 9
} sim_kind;

typedef struct sim_kind_info {
    const char *name;
    beam_dims dims;
    int subbands, names;
    Beamd__ElementType element;
    double min_rate_bps_hz, growth_per_s;
    beam_sensing_model sensing;
} sim_kind_info;
extern const sim_kind_info sim_kinds[SIM_KINDS];

void sim_scenes_make(void);
void sim_scenes_free(void);
const beam_scene *sim_scene(sim_kind kind, int variant, int band);
/* [place][target][2] */
const double *sim_target_position(sim_kind kind, int place);

/* --- heap.c --- */
typedef enum sim_event_kind {
    SIM_ACT = 0,     /* a controller's turn */
    SIM_DELIVER = 1, /* a frame arrives */
    SIM_JOB = 2,     /* a job comes back */
    SIM_CONTROL = 3, /* the operator's turn */
    SIM_PHASE = 4,   /* stress begins or ends */
    SIM_LOOP = 5,    /* the loop itself is held up */
    SIM_SUBSCRIBE = 6,
    SIM_DRAIN = 7,
    SIM_GPU = 8,     /* a worker's answer, deadline or start is due */
    SIM_GPU_ENDS = 9 /* one of them ends */
} sim_event_kind;

typedef struct sim_parcel {
    unsigned agent, epoch;
    beamd_channel channel;
    uint16_t type;
    uint64_t sequence, sender_ns;
    uint32_t deadline_us; /* 0: the daemon's */
    unsigned mask;        /* users that there are after it */
    beamd_bands bands;    /* given in it */
    bool hostile, unreadable;
    unsigned frames;
    int name; /* PreferenceSet: index of the name, -1: the unnamed one */
    bool removes;
    size_t bytes;
    unsigned char *frame;
} sim_parcel;

typedef struct sim_event {
    uint64_t at_ns, order;
    sim_event_kind kind;
    unsigned index; /* of the agent, the job */
    uint64_t stamp; /* the job's, so that one that was moved is not taken twice */
    sim_parcel *parcel;
} sim_event;

typedef struct sim_heap {
    sim_event *event;
    size_t count, capacity;
    uint64_t order;
} sim_heap;

void sim_heap_push(sim_heap *heap, sim_event event);
sim_event sim_heap_pop(sim_heap *heap);
void sim_heap_free(sim_heap *heap);

/* --- scenarios_*.c --- */
typedef enum sim_arrivals { SIM_POISSON = 0, SIM_PERIODIC = 1, SIM_BURSTS = 2 } sim_arrivals;
typedef enum sim_end { SIM_END_CLEAN = 0, SIM_END_DRAIN = 1, SIM_END_ABANDON = 2 } sim_end;

/* What a scenario must have seen, lest it test nothing. */
enum {
    SEEN_FULL = 1 << 0,
    SEEN_REDUCED = 1 << 1,
    SEEN_CHECKED = 1 << 2,
    SEEN_HELD = 1 << 3,
    SEEN_LATE = 1 << 4,
    SEEN_SUPERSEDED = 1 << 5,
    SEEN_BUSY = 1 << 6,
    SEEN_LOST = 1 << 7,
    SEEN_RESCUE = 1 << 8,
    SEEN_FAILING = 1 << 9,
    SEEN_UNSOLICITED = 1 << 10,
    SEEN_REPEAT = 1 << 11,
    SEEN_STALE = 1 << 12,
    SEEN_SET = 1 << 13,
    SEEN_FRONT = 1 << 14,
    SEEN_MODEL = 1 << 15,
    SEEN_REFRESH = 1 << 16,
    SEEN_NOT_READY = 1 << 17,
    SEEN_DRAINING = 1 << 18,
    SEEN_SOLVER = 1 << 19,
    SEEN_GONE = 1 << 20,
    SEEN_BATCH = 1 << 21,     /* of two clusters or more */
    SEEN_REPLACED = 1 << 22,  /* a backend's design by the classical one */
    SEEN_RECOVERED = 1 << 23, /* a backend became good again */
    SEEN_LIMIT = 1 << 24,
    SEEN_GPU = 1 << 25,          /* beams of a GPU */
    SEEN_GPU_DEADLINE = 1 << 26, /* a batch that was not waited for */
    SEEN_GPU_DEAD = 1 << 27,     /* a worker that ended */
    SEEN_GPU_SAVED = 1 << 28,    /* a request that the CPU answered in time after a loss */
    SEEN_GPU_DISTRUST = 1 << 29,
    SEEN_GPU_WIDE = 1 << 30 /* several tasks of a cluster in one batch */
};
#define SEEN_GPU_ORPHAN (1u << 31) /* a cluster went while a worker had its batch */

typedef struct sim_service { /* of one problem at full effort; others in proportion */
    double full_us, sigma;
    double stall_share, stall_ms; /* of batches; mean of an exponential */
    double hang_share, hang_s;    /* hang_s 0: never back */
} sim_service;

typedef struct sim_spoilt { /* shares of problems */
    double nan, over, worse, users, fails;
    bool network_only; /* the solver and the check are sound */
} sim_spoilt;

typedef struct sim_gpu_plan {
    unsigned devices; /* 0: none */
    double batch_us, each_us, sigma;
    size_t slot_bytes;
    /* shares of batches */
    double slow_share, slow_ms; /* mean of an exponential */
    double hang_share, refused, unpacked, wrong;
    double worse, unanswered; /* of problems */
    double gone;              /* of claims and submits: the worker has just ended */
    double ends_every_s;      /* one of the workers, in the mean; 0: none does by itself */
    double restart_s;         /* mean */
    bool none_in_stress;
    bool
        cpu_in_time; /* what is lost the CPU does in time, if it has a thread and the time for it */
} sim_gpu_plan;

typedef struct sim_churn { /* shares of a controller's turns */
    double join, leave, targets, preference, named, again, away;
    double partial; /* of CSI updates: some subbands only */
    double hostile, deadline, nobody;
} sim_churn;

typedef struct sim_network {
    double repeated, reordered, gone; /* gone: a peer vanishes */
    double delay_ms;                  /* of what is reordered */
} sim_network;

typedef struct sim_clocks {
    double sender_step; /* share of turns: the sender's clock steps by up to 10 s either way */
    double hold_up_per_s, hold_up_ms; /* the loop is held up: its clock jumps */
    double slow_reads;                /* share of clock readings after which 1 ms has passed */
} sim_clocks;

typedef struct sim_control { /* per second */
    double subscribe, status, front, model, config, refuse_model;
    const char *reload[4]; /* texts of configurations, in turn */
} sim_control;

typedef struct sim_scenario {
    const char *name, *what;
    double share; /* of the simulated time, relative to the others */
    unsigned clusters;
    unsigned kinds; /* bit set of sim_kind */
    double rate_hz; /* of one cluster */
    sim_arrivals arrivals;
    uint32_t deadline_us;
    const char *config; /* over the defaults, after "workers = 2" */
    sim_service service;
    sim_gpu_plan gpu;
    sim_spoilt spoilt;
    sim_churn churn;
    sim_network network;
    sim_clocks clocks;
    sim_control control;
    double period_s, stress_s, factor; /* every period the last stress_s at factor times the rate */
    bool faults_in_stress;             /* service faults and spoilt designs then only */
    double recover_s;     /* after stress all answers are full ones, in time; 0: not asked */
    double refuse_submit; /* share of submits that no thread takes */
    sim_end end;
    unsigned must_see;
} sim_scenario;

extern const sim_scenario sim_scenarios_load[], sim_scenarios_fault[], sim_scenarios_gpu[];
extern const unsigned sim_scenarios_load_count, sim_scenarios_fault_count, sim_scenarios_gpu_count;

/* --- controller.c --- */
typedef struct sim_mirror { /* what the daemon must know of a cluster, from its replies alone */
    bool registered, has_targets, any_csi, any_target;
    bool any_users; /* an update that was no leave */
    uint64_t incarnation;
    uint64_t csi_sequence, target_sequence;
    struct {
        uint64_t sequence;
        unsigned mask;
    } ring[SIM_RING];
    uint64_t ring_count;
    bool named[SIM_NAMES];
    /* CSI sequence of the beams that can be held, 0: none */
    uint64_t solved[SIM_BANDS_MAX][SIM_NAMES];
    bool unsure[SIM_BANDS_MAX]; /* the unnamed preference's beams may have made room for a named */
    uint64_t checked_for[SIM_BANDS_MAX], failed_for[SIM_BANDS_MAX]; /* request sequence */
    uint64_t published_hash; /* of the last publication, with repeat unset */
    size_t published_bytes;
    uint64_t replied_hash; /* of a reply that is to be published next, 0: none */
} sim_mirror;

typedef struct sim_agent {
    unsigned index, epoch;
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    sim_kind kind;
    /* what it believes */
    bool registered, has_targets, csi_sent;
    unsigned mask;
    int place, variant;
    bool named[SIM_NAMES];
    uint64_t csi_sequence, target_sequence, control_sequence;
    uint64_t last_sender_ns;
    int64_t sender_offset_ns;
    unsigned burst_left;
    uint64_t turn; /* counts; an event for another one is void */
    bool peer_gone;
    uint64_t gpu_lost_for; /* ticket */
    sim_mirror mirror;
} sim_agent;

void sim_agents_begin(sim *s);
void sim_agent_act(sim *s, unsigned index);
/* The rate has changed: nobody waits for a turn that was planned before. */
void sim_agents_wake(sim *s);
void sim_operator_act(sim *s);
void sim_subscribe_act(sim *s);
/* At the end: everybody goes. */
void sim_agents_leave(sim *s);

/* --- frames.c: each makes a parcel that the caller sends --- */
sim_parcel *sim_frame_register(sim *s, sim_agent *a);
sim_parcel *sim_frame_unregister(sim *s, sim_agent *a);
sim_parcel *sim_frame_targets(sim *s, sim_agent *a);
sim_parcel *sim_frame_csi(sim *s, sim_agent *a, const beamd_bands *bands, unsigned mask);
sim_parcel *sim_frame_join(sim *s, sim_agent *a, unsigned users);
sim_parcel *sim_frame_leave(sim *s, sim_agent *a, unsigned users);
sim_parcel *sim_frame_preference(sim *s, sim_agent *a, int name, bool removes, double tradeoff);
sim_parcel *sim_frame_control(sim *s, sim_agent *a, unsigned type);
sim_parcel *sim_frame_hostile(sim *s, sim_agent *a);
void sim_parcel_free(sim_parcel *parcel);

/* --- answers.c: designs and their real checks --- */
typedef enum sim_flavour {
    SIM_GOOD = 0,
    SIM_NAN = 1,
    SIM_OVER = 2,
    SIM_WORSE = 3,
    SIM_USERS = 4,
    SIM_FAILS = 5 /* nothing answers, not even the check */
} sim_flavour;

void sim_answers_clear(void);
/* Answers slot i, preference p of the task as the effort would, by a design of the pool that the
 * real check has judged. Returns what the backend's own design was worth: false when it failed. */
bool sim_answer_problem(beamd_task *task, int i, int p, beamd_effort effort, sim_flavour flavour);
void sim_answer_ends(beamd_task *task, int i, beamd_effort effort, uint64_t sensing_ns);
void sim_answer_refresh(beamd_refresh_job *job, uint64_t sensing_ns);
uint64_t sim_answer_hash(uint64_t hash, const void *bytes, size_t count);
uint64_t sim_scene_hash(const beam_scene *scene);
void sim_answers_counts(uint64_t *hits, uint64_t *misses);

/* --- standin.c --- */
typedef struct sim_job {
    beamd_job *job; /* NULL: free */
    beamd_crew crew;
    bool lost, never;
    uint64_t begun_ns, done_ns, stamp;
    uint64_t scene_hash; /* of what it was given */
    bool cut[BEAMD_BATCH_TASKS];
} sim_job;

unsigned sim_free_threads(void *arg, beamd_crew crew);
bool sim_submit(void *arg, beamd_crew crew, beamd_job *job);
bool sim_replace_thread(void *arg, beamd_crew crew, const beamd_job *job);
/* The job's work is done, and it is given back. */
void sim_job_finish(sim *s, unsigned index);
void sim_jobs_hurry(sim *s);
unsigned sim_jobs_away(const sim *s);
/* Also those that would never come back. */
void sim_jobs_return_all(sim *s);

/* Of all that a batch is given; the core may not touch it while it is under way. */
uint64_t sim_given_hash(const beamd_batch *batch);

/* --- gpu.c --- */
typedef enum sim_gpu_phase {
    SIM_SLOT_FREE = 0,
    SIM_SLOT_CLAIMED = 1,
    SIM_SLOT_SENT = 2,
    SIM_SLOT_DUE = 3,    /* answered or lost, and the core is to be told */
    SIM_SLOT_LEASED = 4, /* answered: the core has it */
    SIM_SLOT_TAKING = 5
} sim_gpu_phase;

typedef struct sim_gpu_slot {
    sim_gpu_phase phase;
    bool job;   /* a thread works on it */
    bool held;  /* the worker has not answered, waited for or not */
    bool wrong; /* what was taken from it makes no sense */
    beamd_batch *batch;
    uint64_t given, sent_ns, answer_ns, lost_at_ns;
    beamd_gpu_fate fate;
    beamd_gpu_loss loss;
} sim_gpu_slot;

typedef struct sim_gpu {
    bool alive, told;
    uint64_t alive_ns;     /* the next worker */
    beamd_gpu_sizes sizes; /* that it is ready for */
    uint64_t prepared_ns;  /* told: then for those asked for */
    uint64_t idle_ns;      /* what it has is done by then */
    sim_gpu_slot slot[BEAMG_SLOTS_MAX];
} sim_gpu;

void sim_gpu_begin(sim *s, beamd_actions *actions);
void sim_gpu_end(sim *s);
void sim_gpu_turn(sim *s);
void sim_gpu_ends(sim *s);
void sim_gpu_stress(sim *s);
/* Batches that no thread has. */
unsigned sim_gpu_away(const sim *s);
/* A job of crew GPU. */
void sim_gpu_job_begins(sim *s, beamd_batch *batch, uint64_t given);
void sim_gpu_job_ends(sim *s, beamd_batch *batch, uint64_t begun_ns, uint64_t done_ns);
double sim_gpu_job_us(sim *s, const beamd_batch *batch);

/* --- judge*.c --- */
typedef struct sim_record { /* a request under way */
    unsigned agent, epoch;
    beamd_channel channel;
    uint16_t type;
    uint64_t sequence, sender_ns, received_ns, deadline_ns, incarnation;
    beamd_bands bands;
    unsigned mask;
    bool hostile, unreadable, newer; /* newer: another CSI of its cluster was delivered since */
    bool in_time;                    /* a GPU lost it when the CPU had the time for it */
    int name;
    bool removes;
} sim_record;

typedef struct sim_counts {
    uint64_t requests, acks, solutions, errors, publications, unsolicited, repeats, problems;
    uint64_t service[BEAMD_SERVICES], late, code[BEAMD_ERROR_CODES];
    uint64_t steps, wakes, dropped;
    uint64_t gpu_batches, gpu_problems, gpu_saved, gpu_saved_by_check, gpu_late, gpu_gone;
    uint64_t gpu_lost[BEAMD_GPU_LOSSES], gpu_ended[BEAMD_GPU_LOSSES];
} sim_counts;

typedef struct sim_judge {
    sim_record record[SIM_RECORDS_MAX];
    unsigned records;
    sim_counts counts;
    unsigned seen;
    unsigned current_type, current_agent;        /* of the message being delivered */
    beamd_backend_health health[BEAMD_BACKENDS]; /* before the step */
    uint64_t spin_from_ns;
    unsigned spins;
    void *arena_memory;
    beam_wire_arena arena;
    unsigned char copy[SIM_FRAME_BYTES];
    double *numbers; /* room for decoded beams */
} sim_judge;

void sim_judge_begin(sim *s);
void sim_judge_end(sim *s);
void sim_judge_free(sim *s);
/* Around the step that delivers it. */
void sim_judge_delivery(sim *s, const sim_parcel *parcel);
void sim_judge_delivered(sim *s, const sim_parcel *parcel);
void sim_judge_job(sim *s, const beamd_job *job);
void sim_judge_submit(sim *s, const beamd_batch *batch);
void sim_judge_step(sim *s, bool timer, uint64_t before_ns);
bool sim_judge_reply(void *arg, beamd_channel channel, const void *identity, size_t bytes,
                     const unsigned char *frame, size_t frame_bytes);
bool sim_judge_publish(void *arg, const void *topic, size_t topic_bytes, const unsigned char *frame,
                       size_t bytes);
/* What is left at the end. */
/* judge_answer.c */
void sim_judge_answer(sim *s, sim_agent *a, const sim_record *r, unsigned type,
                      const ProtobufCMessage *message);
sim_agent *sim_agent_of(sim *s, const char *cluster);

/* --- world.c --- */
struct sim {
    const sim_scenario *scenario;
    uint64_t seed;
    test_random random;
    beamd_config config;
    beamd_core *core;
    beamd_model *model; /* the one that all others are made of */
    uint64_t start_ns, now_ns, end_ns, wake_ns;
    bool stress, ending, draining, abandoned;
    uint64_t stress_ended_ns; /* 0: never was */
    uint64_t hold_up_max_ns, deadline_max_ns, hang_max_ns;
    sim_heap heap;
    sim_agent agent[SIM_AGENTS_MAX];
    unsigned agents;
    unsigned in_flight; /* frames */
    sim_job job[SIM_JOBS_MAX];
    uint64_t job_stamp;
    unsigned lost;
    sim_gpu gpu[SIM_GPUS_MAX];
    beamd_gpu_sizes gpu_sizes;
    uint64_t gpu_ticket;
    sim_judge judge;
    char trace[SIM_TRACE][160];
    unsigned traced;
    uint64_t hash;
    unsigned reloads;
    bool whole; /* long enough to have seen all that the scenario is for */
    bool verbose;
};

/* Prints where and why, and ends the program. */
__attribute__((noreturn, format(printf, 2, 3))) void sim_fail(sim *s, const char *format, ...);
__attribute__((format(printf, 2, 3))) void sim_note(sim *s, const char *format, ...);
void sim_mix(sim *s, const void *bytes, size_t count);
double sim_uniform(sim *s);
bool sim_chance(sim *s, double share);
double sim_exponential(sim *s, double mean);
void sim_at(sim *s, uint64_t at_ns, sim_event_kind kind, unsigned index);
void sim_send(sim *s, sim_parcel *parcel, uint64_t delay_ns);
uint64_t sim_step(sim *s, const beamd_event *event);
bool sim_faults_now(const sim *s);

typedef struct sim_outcome {
    sim_counts counts;
    unsigned seen;
    uint64_t hash;
    double simulated_s;
} sim_outcome;

sim_outcome sim_run(const sim_scenario *scenario, uint64_t seed, double simulated_s, bool whole,
                    bool verbose);

static inline uint64_t sim_ns(double s)
{
    return (uint64_t)(s * 1e9);
}

#endif
