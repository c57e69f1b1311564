/* The daemon without its sockets, threads and clock: step(core, now, event) -> actions. Events are
 * messages, subscriptions, finished jobs and the passing of time; actions go out through a struct
 * of functions, and the time at which the core wants to be called again is returned.
 * Single-threaded. The real loop (service*.c) drives it, and so does a simulator with its own clock
 * (tests/sim). */
#ifndef BEAMD_CORE_H
#define BEAMD_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster.h"
#include "config.h"
#include "gpu_batch.h"
#include "gpu_link.h"
#include "metrics.h"
#include "roles.h"

typedef enum beamd_channel { BEAMD_CHANNEL_CSI = 0, BEAMD_CHANNEL_CONTROL = 1 } beamd_channel;

typedef struct beamd_peer {
    const void *identity; /* of the ROUTER */
    size_t identity_bytes;
    unsigned roles;
    const char *user; /* for the audit line: the name of its key, "local" */
} beamd_peer;

/* Threads by their work. */
typedef enum beamd_crew {
    BEAMD_CREW_SOLVE = 0,
    BEAMD_CREW_RESCUE = 1,     /* one thread: checks what another one does not bring back in time */
    BEAMD_CREW_BACKGROUND = 2, /* best rates, fronts */
    BEAMD_CREW_READ = 3,       /* files */
    BEAMD_CREW_GPU = 4,        /* before and after a GPU's worker */
    BEAMD_CREWS = 5
} beamd_crew;

typedef enum beamd_event_kind {
    BEAMD_EVENT_MESSAGE = 0,    /* from a peer of a ROUTER */
    BEAMD_EVENT_SUBSCRIBED = 1, /* to a prefix of the beams' topics */
    BEAMD_EVENT_DONE = 2,       /* a job came back */
    BEAMD_EVENT_TIME = 3,       /* the time that a step returned has come; harmless at any other */
    BEAMD_EVENT_DRAIN = 4,      /* updates are refused from now on; what was accepted is answered */
    BEAMD_EVENT_ABANDON = 5,    /* gives up: waiting requests are refused, jobs told to end; the
                                   second time, what those have not answered is refused too */
    BEAMD_EVENT_CONFIG = 6,     /* the configuration was read again: so is the model's file */
    BEAMD_EVENT_GPU = 7         /* a batch that a GPU's worker had is answered or lost */
} beamd_event_kind;

typedef struct beamd_event {
    beamd_event_kind kind;
    /* MESSAGE */
    beamd_channel channel;
    beamd_peer peer;
    const void *frame; /* MESSAGE; SUBSCRIBED: the prefix */
    size_t bytes;
    unsigned frames; /* how many followed the identity; other than 1 is refused */
    /* DONE, GPU */
    beamd_job *job;
    /* GPU */
    beamd_gpu_fate fate;
    beamd_gpu_loss loss;
} beamd_event;

/* What the GPUs' workers are to be ready for. */
typedef struct beamd_gpu_sizes {
    unsigned rooms;
    beam_dims room[BEAMG_ROOMS_MAX]; /* antennas and stations exactly, users and targets at most */
    const beamd_model *model;        /* NULL: none; valid during the call */
} beamd_gpu_sizes;

/* What the core asks of the world. */
typedef struct beamd_actions {
    void *arg;
    uint64_t (*clock_ns)(void *arg); /* for the stages within one step */
    /* False: the peer is gone or its queue full. */
    bool (*reply)(void *arg, beamd_channel channel, const void *identity, size_t identity_bytes,
                  const unsigned char *frame, size_t bytes);
    bool (*publish)(void *arg, const void *topic, size_t topic_bytes, const unsigned char *frame,
                    size_t bytes);
    unsigned (*free_threads)(void *arg, beamd_crew crew);
    bool (*submit)(void *arg, beamd_crew crew, beamd_job *job); /* after free_threads said yes */
    /* The thread that runs this job is lost; another takes its place. False: there is none. */
    bool (*replace_thread)(void *arg, beamd_crew crew, const beamd_job *job);
    /* Of the configuration, the log and the loop, which are outside the core. config: fills in a
     * reply that stays valid until the next call; -1 with *err. */
    int (*config)(void *arg, bool reload, bool check_only, Beamd__ConfigReply *reply,
                  beam_wire_error *err);
    int (*log_level)(void *arg, const char *level, beam_wire_error *err);
    void (*drain)(void *arg);
    /* GPUs, all of them NULL where there are none. gpu_free: devices that could take a batch of
     * these sizes now. gpu_claim: a slot of the one with least to do. gpu_submit: false, the worker
     * is gone and the slot with it; else BEAMD_EVENT_GPU follows, exactly once, LOST by lost_at_ns
     * at the latest. gpu_release: a slot that was claimed and not submitted, or answered. */
    unsigned (*gpu_free)(void *arg, const beam_dims *dims);
    bool (*gpu_claim)(void *arg, const beam_dims *dims, beamd_gpu_slot *claim);
    bool (*gpu_submit)(void *arg, beamd_batch *batch, uint64_t lost_at_ns);
    void (*gpu_release)(void *arg, const beamd_gpu_slot *claim, bool distrust);
    void (*gpu_sizes)(void *arg, const beamd_gpu_sizes *sizes);
    unsigned gpu_slots; /* of all devices: batches that are made at the start */
} beamd_actions;

typedef struct beamd_core beamd_core;

/* config: must outlive the core; reloadable keys may change between steps. threads: of
 * BEAMD_CREW_SOLVE. NULL without memory. */
beamd_core *beamd_core_create(const beamd_config *config, const beamd_actions *actions,
                              uint64_t now_ns);
/* With no job under way. */
void beamd_core_destroy(beamd_core **self);

/* Handles one event. Returns when BEAMD_EVENT_TIME is wanted next, on the same clock; UINT64_MAX:
 * not at all. */
uint64_t beamd_core_step(beamd_core *self, uint64_t now_ns, const beamd_event *event);

beamd_metrics *beamd_core_metrics(beamd_core *self);
/* At the start: takes the hold over. NULL: none. */
void beamd_core_set_model(beamd_core *self, beamd_model *model);

/* At most `most` clusters as a status shows them, by id; valid until the next step. */
Beamd__ClusterStatus **beamd_core_cluster_status(beamd_core *self, uint64_t now_ns, size_t most,
                                                 size_t *count);
/* Nothing accepted is without an answer. */
bool beamd_core_idle(const beamd_core *self);
unsigned beamd_core_clusters(const beamd_core *self);
unsigned beamd_core_jobs(const beamd_core *self); /* under way, of all crews */
/* Clusters with work that no thread has yet. */
unsigned beamd_core_waiting(const beamd_core *self);
void beamd_core_gauges(const beamd_core *self, uint64_t now_ns, beamd_gauges *gauges);
/* At most `most` clusters in the order of their ids; returns how many were written. */
size_t beamd_core_cluster_gauges(const beamd_core *self, uint64_t now_ns, beamd_cluster_gauge *out,
                                 size_t most);
/* The i-th cluster in the order of their ids, for the state on disk; NULL beyond the last. */
beamd_cluster *beamd_core_cluster_at(beamd_core *self, unsigned i);
/* At the start: a cluster from the state on disk. Takes it over; false: its id is there already. */
bool beamd_core_restore(beamd_core *self, beamd_cluster *cluster);

#endif
