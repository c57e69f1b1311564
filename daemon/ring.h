/* A bounded ring of pointers, one producer thread and one consumer thread, no lock. Indices only
 * grow; the release store of one side pairs with the acquire load of the other. */
#ifndef BEAMD_RING_H
#define BEAMD_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { BEAMD_RING_SLOTS = 8 };

typedef struct beamd_ring {
    alignas(64) atomic_uint head; /* next to take: written by the consumer */
    alignas(64) atomic_uint tail; /* next to fill: written by the producer */
    void *slot[BEAMD_RING_SLOTS];
} beamd_ring;

static inline bool beamd_ring_push(beamd_ring *ring, void *item)
{
    const unsigned tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - atomic_load_explicit(&ring->head, memory_order_acquire) >= BEAMD_RING_SLOTS) {
        return false;
    }
    ring->slot[tail % BEAMD_RING_SLOTS] = item;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

/* For the consumer: whether there is something to take. */
static inline bool beamd_ring_filled(beamd_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed) !=
           atomic_load_explicit(&ring->tail, memory_order_acquire);
}

static inline void *beamd_ring_pop(beamd_ring *ring)
{
    if (!beamd_ring_filled(ring)) {
        return NULL;
    }
    const unsigned head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    void *item = ring->slot[head % BEAMD_RING_SLOTS];
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return item;
}

#endif
