/* A simulated world for the core: time, peers and threads are the test's. No socket, no thread, no
 * waiting. */
#ifndef TEST_CORE_WORLD_H
#define TEST_CORE_WORLD_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/golden.h"
#include "core.h"

enum { FRAME_BYTES = 1 << 16, LOG_MAX = 256, WIDE_BANDS = 32, L = 3, N = 5, U = 3, J = 2 };

/* What went out. */
typedef struct sent {
    bool published;
    char peer; /* first byte of the identity */
    unsigned type;
    uint64_t sequence, csi_sequence;
    char cluster[64];
    Beamd__ErrorCode code;
    bool repeat;
    double tradeoff;
    Beamd__Service service;
    Beamd__Backend backend;
    bool late;
    bool stale;                     /* its CSI */
    uint64_t valid_until_ns;        /* of one without a set */
    size_t solutions;               /* of a set */
    char preference_name[32];       /* of its first one */
    uint64_t solution_csi_sequence; /* likewise */
} sent;

enum { WORLD_SLOTS = 4 };

/* Devices of a test, all in one: slots with memory, and what the core did with them. */
typedef struct world_gpu {
    unsigned slots;    /* that a worker has; 0: it is not ready */
    size_t slot_bytes; /* of a request, of an answer */
    bool gone;         /* at the next submit */
    bool claimed[WORLD_SLOTS];
    void *request[WORLD_SLOTS], *answer[WORLD_SLOTS];
    beamd_batch *flying[WORLD_SLOTS]; /* submitted, oldest first */
    unsigned flights;
    uint64_t lost_at_ns, ticket; /* of the last submit */
    unsigned claims, submits, releases, distrusted, told;
    beamd_gpu_sizes sizes;
} world_gpu;

typedef struct world {
    beamd_config config;
    beamd_core *core;
    uint64_t now_ns;
    unsigned threads;
    beamd_job *under_way[8];
    unsigned jobs;
    beamd_job *rescue, *refresh, *reading;
    beamd_job *gpu_job[8]; /* oldest first */
    unsigned gpu_jobs, gpu_threads;
    world_gpu gpu;
    bool readers_busy;  /* with files of others */
    beamd_job *lost[8]; /* of threads that were replaced */
    unsigned lost_count;
    uint64_t wake_ns; /* when the core wants to be called again */
    unsigned roles;   /* of every peer */
    bool drain_asked;
    sent log[LOG_MAX];
    unsigned count;
    bool peer_gone;
    alignas(16) unsigned char arena_memory[FRAME_BYTES * 8];
    beam_wire_arena arena;
} world;

/* threads: how many jobs may be under way. Batches of one problem, unless config says otherwise. */
world *world_new(unsigned threads);
/* Likewise with what a GPU asks of the world: `gpu`, of which nothing else counts. */
world *world_make(unsigned threads, const beamd_actions *gpu);
/* Ends what is under way first; what a worker has is left to the core's end. */
void world_free(world *w);
/* Runs and returns the oldest job. */
void finish_one(world *w);
/* One event without more to it. */
void step(world *w, beamd_event_kind kind);
/* Time goes on. */
void pass(world *w, uint64_t ns);
void subscribe(world *w, const char *prefix, size_t bytes);
/* A job whose work is done. */
void give_back(world *w, beamd_job *job);
/* Runs and returns the job there. */
void finish_at(world *w, beamd_job **at);
/* Likewise the reading of a model. */
void finish_reading(world *w);
/* What went out last. */
const sent *last(const world *w);
/* From the peer of this name, on the socket that takes the type. */
void deliver(world *w, char peer, unsigned type, const char *cluster, uint64_t sequence,
             const ProtobufCMessage *message);
void deliver_registration(world *w, const char *cluster, const beam_scene *scene);
void deliver_targets(world *w, const char *cluster, const beam_scene *scene, uint64_t sequence);
void deliver_csi(world *w, char peer, const char *cluster, const beam_scene *scene,
                 uint64_t sequence, uint32_t deadline_us);
/* Likewise with this many subbands, and CSI of the subbands first .. first + count - 1, at most
 * WIDE_BANDS of them. */
void deliver_wide_registration(world *w, const char *cluster, const beam_scene *scene,
                               uint32_t bands);
void deliver_wide_csi(world *w, char peer, const char *cluster, const beam_scene *scene,
                      uint64_t sequence, uint32_t deadline_us, uint32_t first, uint32_t count);
/* Registered, with targets; forgets what went out. */
void ready_cluster(world *w, const char *cluster, const beam_scene *scene);

#endif
