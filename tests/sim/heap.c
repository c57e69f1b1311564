/* Events by time, those of the same time in the order in which they were pushed. */
#include <stdlib.h>

#include "sim/sim.h"

static bool earlier(const sim_event *a, const sim_event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

void sim_heap_push(sim_heap *heap, sim_event event)
{
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? 2 * heap->capacity : 256;
        heap->event = realloc(heap->event, heap->capacity * sizeof *heap->event);
        if (!heap->event) {
            abort();
        }
    }
    event.order = heap->order++;
    size_t at = heap->count++;
    while (at > 0 && earlier(&event, &heap->event[(at - 1) / 2])) {
        heap->event[at] = heap->event[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->event[at] = event;
}

sim_event sim_heap_pop(sim_heap *heap)
{
    const sim_event first = heap->event[0], last = heap->event[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && earlier(&heap->event[child + 1], &heap->event[child])) {
            child++;
        }
        if (!earlier(&heap->event[child], &last)) {
            break;
        }
        heap->event[at] = heap->event[child];
        at = child;
    }
    heap->event[at] = last;
    return first;
}

void sim_heap_free(sim_heap *heap)
{
    for (size_t k = 0; k < heap->count; k++) {
        if (heap->event[k].parcel) {
            free(heap->event[k].parcel->frame);
            free(heap->event[k].parcel);
        }
    }
    free(heap->event);
    *heap = (sim_heap){0};
}
