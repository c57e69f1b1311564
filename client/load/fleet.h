/* The clusters of a run and everything that they send, encoded before the run begins: sending is a
 * patch of two numbers (sequence, sender's time) and one call. */
#ifndef BEAMLOAD_FLEET_H
#define BEAMLOAD_FLEET_H

#include "load/options.h"
#include "load/world.h"
#include "wire.h"

/* A request as it goes out. */
typedef struct load_frame {
    unsigned char *bytes;
    size_t size, time_at; /* where sender_time_ns is */
} load_frame;

typedef struct load_pool {
    load_frame *frames;
    int count;
} load_pool;

/* One open or answered request of a kind; the ring holds the latest. */
typedef struct load_slot {
    uint64_t sequence; /* 0: never used */
    uint64_t intended_ns, sent_ns;
    bool open, measured;
} load_slot;

typedef struct load_ring {
    load_slot *slots;
    size_t mask;
    uint64_t sequence; /* of the last request sent */
} load_ring;

typedef struct load_cluster {
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    const load_shape *shape;
    load_frame registration, unregistration;
    load_pool csi, targets;
    load_ring csi_ring, target_ring;
} load_cluster;

typedef struct load_fleet {
    load_cluster *clusters;
    int count;
    size_t prefix_bytes;
    size_t bytes;           /* of all frames */
    uint64_t request_bytes; /* of one round of CSI: the sum over clusters of one frame each */
} load_fleet;

/* NULL: *err says why. The options must outlive it. */
load_fleet *load_fleet_create(const load_options *options, load_error *err);
void load_fleet_destroy(load_fleet **self);

/* The cluster of an answer, NULL when it is none of these. */
load_cluster *load_fleet_find(load_fleet *self, const char *id);

/* The frame that a sequence (from 1) carries: the pool forwards, then backwards, and so on, so that
 * neighbours are always correlated. */
const load_frame *load_pool_frame(const load_pool *pool, uint64_t sequence);
/* That frame with the two numbers in it; `sender_time_ns` above 0. */
const load_frame *load_pool_patch(load_pool *pool, uint64_t sequence, uint64_t sender_time_ns);
void load_frame_patch(load_frame *frame, uint64_t sequence, uint64_t sender_time_ns);

/* Takes the slot of the next sequence. lost: a request whose slot it was and that is still open. */
load_slot *load_ring_next(load_ring *ring, bool *lost);
/* The slot of an answered sequence, NULL when it is too old or was never sent. */
load_slot *load_ring_find(load_ring *ring, uint64_t sequence);

#endif
