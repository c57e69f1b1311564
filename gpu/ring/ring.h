/* The memory that beamd and beamd-gpu share: a memfd of sealed size with a header, two rings of
 * descriptors (requests there, answers back) and a fixed number of slots, each with memory for one
 * request and its answer. The daemon alone decides which slot is used for what; the worker fills
 * the answer of a slot that it was given and names it.
 *
 * Each side of a ring keeps its own index to itself and only publishes it; what it reads of the
 * other side is one index, taken for what it is only inside the ring's size. So garbage there is
 * seen (BEAMG_RING_BAD), never followed. */
#ifndef BEAMG_RING_H
#define BEAMG_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "ring/message.h"

typedef struct beamg_ring {
    alignas(BEAMG_ALIGN) _Atomic uint64_t head; /* next to take: the consumer's */
    alignas(BEAMG_ALIGN) _Atomic uint64_t tail; /* next to fill: the producer's */
    alignas(BEAMG_ALIGN) beamg_descriptor entry[BEAMG_RING_ENTRIES];
} beamg_ring;

typedef struct beamg_header {
    /* the daemon's */
    uint64_t magic, bytes; /* of the whole */
    uint32_t version, slots;
    uint64_t request_bytes, answer_bytes; /* of a slot */
    uint64_t heartbeat_ns;                /* between two beats */
    beamg_setup setup;
    /* the worker's; texts are there before the state that goes with them */
    alignas(BEAMG_ALIGN) _Atomic uint64_t heartbeat;
    _Atomic uint32_t state;        /* beamg_state */
    char text[BEAMG_TEXT_BYTES];   /* why FAILED or ABSENT */
    char device[BEAMG_TEXT_BYTES]; /* what it computes on */
    /* both */
    beamg_ring request, answer;
} beamg_header;

typedef struct beamg_area {
    int fd; /* memfd, close-on-exec; -1: none */
    beamg_header *header;
    size_t bytes;
    /* private copies: those in the header may have been overwritten */
    unsigned slots;
    size_t request_bytes, answer_bytes;
} beamg_area;

/* Makes, seals and maps it; bytes are rounded up to BEAMG_ALIGN. 0; -1: `why` says what was
 * refused. */
int beamg_area_create(beamg_area *self, unsigned slots, size_t request_bytes, size_t answer_bytes,
                      char *why, size_t size);
/* For the worker: maps what it was given, after a check of version and sizes. Takes the descriptor
 * over on success. */
int beamg_area_open(beamg_area *self, int fd, char *why, size_t size);
void beamg_area_close(beamg_area *self);
/* For the daemon, while no worker lives: as at the beginning, but for what slots hold. */
void beamg_area_reset(beamg_area *self, const beamg_setup *setup, uint64_t heartbeat_ns);
/* slot: below `slots`. */
void *beamg_area_request(const beamg_area *self, unsigned slot);
void *beamg_area_answer(const beamg_area *self, unsigned slot);

/* One side of a ring; of one thread. */
typedef struct beamg_end {
    beamg_ring *ring;
    uint64_t next; /* to fill or to take */
} beamg_end;

typedef enum beamg_ring_code {
    BEAMG_RING_NONE = 0, /* full, empty */
    BEAMG_RING_DONE = 1,
    BEAMG_RING_BAD = 2 /* the other side's index is none */
} beamg_ring_code;

beamg_ring_code beamg_push(beamg_end *self, const beamg_descriptor *descriptor);
beamg_ring_code beamg_pop(beamg_end *self, beamg_descriptor *out);

/* A text of the other side: printable ASCII, ended; everything else becomes '?'. */
void beamg_text_copy(char *to, size_t size, const char *from, size_t from_size);

#endif
