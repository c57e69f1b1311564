/* What the files of the core share. */
#ifndef BEAMD_CORE_INTERNAL_H
#define BEAMD_CORE_INTERNAL_H

#include "backend_health.h"
#include "clock_offset.h"
#include "core.h"

enum {
    BEAMD_SENDERS_MAX = 1024,   /* whose clocks are followed */
    BEAMD_LOST_MAX = 8,         /* threads given up that have not come back */
    BEAMD_GPU_BATCHES_MAX = 64, /* on their way to, at and from GPUs */
    /* threads, the rescuer, lost ones, those for GPUs */
    BEAMD_BATCHES_MAX = 64 + 1 + BEAMD_LOST_MAX + BEAMD_GPU_BATCHES_MAX
};

/* What a ClusterStatus points to. */
typedef struct beamd_status_preferences {
    Beamd__Preference unnamed, u[BEAM_WIRE_MAX_PREFERENCES];
    Beamd__NamedPreference named[BEAM_WIRE_MAX_PREFERENCES], *at[BEAM_WIRE_MAX_PREFERENCES];
} beamd_status_preferences;

struct beamd_core {
    const beamd_config *config;
    beamd_actions act;
    beamd_metrics metrics;
    uint64_t started_ns;
    uint64_t now_ns;          /* of the step under way */
    beamd_cluster **clusters; /* sorted by id */
    unsigned count;
    beamd_cluster **open; /* with a request, sorted by its deadline */
    unsigned open_count;
    beamd_batch *idle[BEAMD_BATCHES_MAX]; /* one for every solver thread that has none */
    unsigned idle_count;
    beamd_batch *away[BEAMD_BATCHES_MAX]; /* under way, the lost ones included */
    unsigned away_count, lost_count;
    beamd_batch *rescue_batch;
    bool rescue_away;
    beamd_batch *gpu_idle[BEAMD_GPU_BATCHES_MAX];
    unsigned gpu_idle_count;
    beamd_batch *gpu_waiting[BEAMD_GPU_BATCHES_MAX]; /* answered, oldest first, for a thread */
    unsigned gpu_waiting_count;
    beamd_gpu_sizes gpu_rooms; /* of all clusters */
    beamd_gpu_sizes gpu_sizes; /* as last told to the workers; its model is not kept */
    uint64_t gpu_model_takes;  /* model_takes then */
    beamd_backend_health backend[BEAMD_BACKENDS];
    beamd_refresh_job *refresh; /* NULL: none under way */
    unsigned jobs[BEAMD_CREWS];
    beamd_front_job *front; /* one at a time */
    bool front_waits;       /* for the background thread */
    beamd_request front_for;
    char front_cluster[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    uint64_t ticket;       /* of the last request activated */
    uint64_t send_most_ns; /* twice the longest answer_ns of a cluster */
    beamd_clock_offset *offsets;
    beamd_faults faults; /* of tests: read from the configuration, checked with it */
    beamd_model *model;  /* NULL: none */
    uint64_t model_takes;
    beamd_model_job reading;
    bool is_reading, reread;   /* reread: the configured one, after that under way */
    beamd_request reading_for; /* identity_bytes 0: a signal asked */
    size_t bytes;              /* of all clusters, those going included */
    double default_tradeoff;
    bool has_default_tradeoff; /* set by a message; else the configuration's */
    bool draining;
    atomic_bool abandon;
    uint64_t housekeeping_ns; /* when it is due next */
    beam_wire_arena arena;
    void *arena_memory;
    unsigned char *out; /* one frame under construction */
    size_t out_capacity;
    unsigned char *scratch; /* an answer's messages while it is packed; grows at registrations */
    size_t scratch_bytes;
    Beamd__ClusterStatus *status; /* [clusters_max] */
    beamd_status_preferences *status_room;
    Beamd__ClusterStatus **status_at;
    uint64_t messages_received, solutions_sent, errors_sent;
};

/* One message being handled. */
typedef struct beamd_call {
    beamd_channel channel;
    beamd_peer peer;
    const void *frame; /* as it came */
    size_t frame_bytes;
    beam_wire_header header;
    uint32_t deadline_us;
    uint64_t sender_time_ns;
    uint64_t now_ns;
} beamd_call;

/* a - b, not below 0. */
static inline uint64_t beamd_core_less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* core.c */
beamd_cluster *beamd_core_find(const beamd_core *self, const char *id);
void beamd_core_insert(beamd_core *self, beamd_cluster *cluster);
void beamd_core_erase(beamd_core *self, const beamd_cluster *cluster);
double beamd_core_default_tradeoff(const beamd_core *self);
/* The unnamed preference of the cluster, or the default's. NULL: the default's. */
double beamd_core_tradeoff(const beamd_core *self, const beamd_cluster *cluster);
/* protobuf-c's texts are not const; packing does not change them. */
char *beamd_core_text(const char *text);

/* core_reply.c */
void beamd_core_send(beamd_core *self, beamd_channel channel, const void *identity,
                     size_t identity_bytes, unsigned type, const char *cluster, uint64_t sequence,
                     const ProtobufCMessage *message);
void beamd_core_reply(beamd_core *self, const beamd_call *call, unsigned type,
                      const ProtobufCMessage *message);
void beamd_core_refuse(beamd_core *self, const beamd_call *call, const beam_wire_error *err);
/* Answers a request that waits in a cluster; nobody: nothing is sent. */
void beamd_core_refuse_request(beamd_core *self, const beamd_cluster *cluster,
                               const beamd_request *request, const beam_wire_error *err);
void beamd_core_refuse_on(beamd_core *self, beamd_channel channel, const char *cluster,
                          const beamd_request *request, const beam_wire_error *err);
/* What is kept of a call whose answer comes later. */
beamd_request beamd_core_request(const beamd_core *self, const beamd_call *call);

/* core_queue.c: who waits, until when, and with what a request ends. */
/* A request for the present state of these subbands: replaces waiting ones that it covers. */
void beamd_core_enqueue(beamd_core *self, beamd_cluster *cluster, const beamd_request *request);
/* Something other than CSI changed: solve again if no CSI follows. */
void beamd_core_make_due(beamd_core *self, beamd_cluster *cluster, uint64_t now_ns);
void beamd_core_remove(beamd_core *self, beamd_cluster *cluster, const char *why);
/* The active request from its beginning: what was done for it was for other preferences. */
void beamd_core_restart(beamd_core *self, beamd_cluster *cluster);
/* Ends the active request with what is there; the next one follows. */
void beamd_core_finish(beamd_core *self, beamd_cluster *cluster);
/* Those that no thread works on. */
void beamd_core_refuse_waiting(beamd_core *self, beamd_cluster *cluster,
                               const beam_wire_error *err);
void beamd_core_refuse_all(beamd_core *self, beamd_cluster *cluster, const beam_wire_error *err);
/* Frees a cluster that is gone when nothing of it is under way any more. */
void beamd_core_forget(beamd_core *self, beamd_cluster *cluster);
/* Requests whose last moment has come. */
void beamd_core_queue_time(beamd_core *self);
/* Solves that nobody asked for. */
void beamd_core_queue_due(beamd_core *self);
uint64_t beamd_core_queue_next_ns(const beamd_core *self);
/* When no more iterations are to begin, when the spare task is sent, when what is there is sent. */
uint64_t beamd_core_stop_at_ns(const beamd_core *self, const beamd_cluster *cluster);
uint64_t beamd_core_hold_at_ns(const beamd_core *self, const beamd_cluster *cluster);

/* core_schedule.c: batches for the threads. */
void beamd_core_dispatch(beamd_core *self);
/* NULL without memory. */
beamd_batch *beamd_core_new_batch(void);
/* Rescues, and threads that are lost. */
void beamd_core_schedule_time(beamd_core *self);
uint64_t beamd_core_schedule_next_ns(const beamd_core *self);
/* Room for the network on the threads that are idle; the others get it with their next batch. */
void beamd_core_make_rooms(beamd_core *self, const beam_dims *dims);
void beamd_core_lay_rooms(beamd_core *self, beamd_batch *batch);

/* Its work is open again: for another thread, or for the CPU. Does not put the batch back. */
void beamd_core_reopen(beamd_core *self, beamd_batch *batch);

/* core_gpu.c: batches for GPUs, from the choice of sizes to what comes back. */
/* Whether this GPU effort is possible for the cluster's request now. */
bool beamd_core_gpu_fits(const beamd_core *self, const beamd_cluster *cluster, uint64_t left_ns);
/* Makes their batches. False without memory. */
bool beamd_core_gpu_begin(beamd_core *self);
/* A batch with a slot of a worker that is ready for these sizes; NULL: none. */
beamd_batch *beamd_core_gpu_take(beamd_core *self, const beam_dims *dims);
/* Its slot is given back already. */
void beamd_core_gpu_idle(beamd_core *self, beamd_batch *batch);
/* One that found no work, or no thread. */
void beamd_core_gpu_put(beamd_core *self, beamd_batch *batch);
/* Answered batches that wait for a thread. */
void beamd_core_gpu_dispatch(beamd_core *self);
void beamd_core_gpu_packed(beamd_core *self, beamd_batch *batch);
void beamd_core_gpu_taken(beamd_core *self, beamd_batch *batch);
void beamd_core_gpu_event(beamd_core *self, const beamd_event *event);
/* Tells the workers the sizes of the clusters and the model, where those have changed. */
void beamd_core_gpu_prepare(beamd_core *self);
/* At the end: what workers still have is given up. */
void beamd_core_gpu_end(beamd_core *self);

/* core_done.c: what threads bring back. */
void beamd_core_batch_done(beamd_core *self, beamd_batch *batch);
/* It is not under way any more. */
void beamd_core_batch_back(beamd_core *self, const beamd_batch *batch);
/* Every subband of the active request is solved. */
bool beamd_core_all_done(const beamd_cluster *cluster);
/* The batch ended, or its thread was given up. */
void beamd_core_end_health(beamd_core *self, beamd_batch *batch, bool lost);
/* Counts a change since `before`. */
void beamd_core_note_health(beamd_core *self, Beamd__Backend backend, beamd_health before);
static inline bool beamd_core_is_lost(const beamd_batch *batch)
{
    return atomic_load_explicit(&batch->lost, memory_order_relaxed);
}

/* core_service.c: which effort a request gets, from measured service times. */
beamd_fallback beamd_core_excluded(const beamd_core *self, const beamd_cluster *cluster);
beamd_effort beamd_core_choose(const beamd_core *self, const beamd_cluster *cluster,
                               uint64_t left_ns, bool pressed);
/* Nanoseconds that `problems` of the cluster take with this effort; 0: not measured yet. */
double beamd_core_expect_ns(const beamd_cluster *cluster, beamd_effort effort, double problems);
void beamd_core_measured(beamd_cluster *cluster, beamd_effort effort, double each_ns);
/* An effort whose own measure rules it out even with all the time of a request comes a little
 * nearer, so that some bad measurements do not rule it out for ever. */
void beamd_core_relax(const beamd_core *self, beamd_cluster *cluster);
void beamd_core_relax_gpu(beamd_cluster *cluster);
Beamd__Backend beamd_core_backend_of(beamd_effort effort);

/* core_background.c: best rates, sensing rows, fronts. */
void beamd_core_background(beamd_core *self);
void beamd_core_refresh_done(beamd_core *self, beamd_refresh_job *job);
void beamd_core_front(beamd_core *self, const beamd_call *call, const Beamd__FrontRequest *message);
void beamd_core_front_done(beamd_core *self);
/* Of one that still waits for the thread. */
void beamd_core_front_refuse(beamd_core *self, const beam_wire_error *err);

/* core_requests.c, core_control.c */
/* False without memory. */
bool beamd_core_grow_scratch(beamd_core *self, const beamd_cluster *cluster);
void beamd_core_handle(beamd_core *self, beamd_call *call, const ProtobufCMessage *message);
void beamd_core_control(beamd_core *self, const beamd_call *call, const ProtobufCMessage *message);
beamd_cluster *beamd_core_find_or_refuse(beamd_core *self, const beamd_call *call);
void beamd_core_refuse_with(beamd_core *self, const beamd_call *call, Beamd__ErrorCode code,
                            const char *field, const char *text);
void beamd_core_ack(beamd_core *self, const beamd_call *call);
__attribute__((format(printf, 3, 4))) void
beamd_core_audit(beamd_core *self, const beamd_call *call, const char *format, ...);

/* core_answer.c */
/* The answer to the active request from `last`, `check` and what is held; false: there is nothing.
 */
bool beamd_core_answer(beamd_core *self, beamd_cluster *cluster);
/* There are beams for all of the active request, if only held ones, but for what has failed. */
bool beamd_core_has_answer(const beamd_cluster *cluster);
/* Bytes of scratch that an answer of this cluster needs. */
size_t beamd_core_answer_scratch(const beamd_cluster *cluster);

/* core_model.c */
void beamd_core_model_get(beamd_core *self, const beamd_call *call);
void beamd_core_model_reload(beamd_core *self, const beamd_call *call,
                             const Beamd__ModelReload *message);
void beamd_core_reread_model(beamd_core *self);
/* Again, where no thread was free or one was reading. */
void beamd_core_reread_due(beamd_core *self);
void beamd_core_model_done(beamd_core *self);
bool beamd_core_uses_network(const beamd_core *self);
/* METHOD_NETWORK or METHOD_BOBLRBF, as configured. */
Beamd__Method beamd_core_method(const beamd_core *self);
/* What a cluster may have, in memory that `counted` bytes of are its own. */
beamd_cluster_limits beamd_core_limits(const beamd_core *self, size_t counted);

/* core_status.c */
void beamd_core_status(beamd_core *self, const beamd_call *call);

#endif
