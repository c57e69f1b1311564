/* What a replay has sent and still waits for. Sequences alone do not name a request: they are of a
 * client, a cluster and a kind, and begin again with a new registration. */
#ifndef BEAMLOAD_REPLAY_H
#define BEAMLOAD_REPLAY_H

#include "load/fleet.h"
#include "load/trace.h"

typedef struct load_pending {
    load_slot slot;
    char cluster[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    uint64_t sequence;
    unsigned peer, kind;
} load_pending;

typedef struct load_book {
    load_pending *entries; /* open addressing; sequence of use, never removed */
    size_t mask, used;
    uint64_t open;
} load_book;

/* Room for `requests`. -1 without memory. */
int load_book_create(load_book *self, uint64_t requests);
void load_book_destroy(load_book *self);

/* Requests that are answered alike share a kind. */
unsigned load_book_kind(unsigned request_type);
load_pending *load_book_add(load_book *self, unsigned peer, unsigned kind, const char *cluster,
                            uint64_t sequence);
/* Closes the oldest open request of these; NULL: there is none. */
load_pending *load_book_close(load_book *self, unsigned peer, unsigned kind, const char *cluster,
                              uint64_t sequence);

/* Writes the sender's time into a recorded request that carries one. */
void load_book_patch_time(unsigned char *frame, size_t bytes, uint64_t sender_time_ns);

#endif
