#include "load/schedule.h"

#include <math.h>
#include <stdlib.h>

static void swap(load_due *a, load_due *b)
{
    const load_due c = *a;
    *a = *b;
    *b = c;
}

static void sink(load_schedule *self, int at)
{
    for (;;) {
        int least = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < self->count; child++) {
            if (self->heap[child].at_ns < self->heap[least].at_ns) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        swap(&self->heap[at], &self->heap[least]);
        at = least;
    }
}

static double gap_ns(load_schedule *self, const load_due *due)
{
    return due->poisson ? -due->period_ns * log(load_random_uniform(&self->random))
                        : due->period_ns;
}

/* The first one falls anywhere in the first period. */
static void add(load_schedule *self, load_due due, uint64_t start_ns)
{
    const double first =
        due.poisson ? gap_ns(self, &due) : due.period_ns * load_random_uniform(&self->random);
    due.at_ns = start_ns + (uint64_t)first;
    self->heap[self->count++] = due;
}

int load_schedule_create(load_schedule *self, const load_traffic *traffic, int clusters,
                         uint64_t start_ns)
{
    const bool burst = traffic->arrivals == LOAD_ARRIVALS_BURST;
    const int each = burst ? traffic->burst : 1;
    *self = (load_schedule){.random = traffic->seed ^ 0x7363686564u};
    self->heap = calloc(2 * (size_t)clusters, sizeof *self->heap);
    if (!self->heap) {
        return -1;
    }
    for (int k = 0; k < clusters; k += each) {
        const load_due csi = {.first = k,
                              .count = k + each <= clusters ? each : clusters - k,
                              .period_ns = 1e9 / traffic->rate_hz,
                              .poisson = traffic->arrivals != LOAD_ARRIVALS_PERIODIC};
        add(self, csi, start_ns);
    }
    for (int k = 0; k < clusters && traffic->target_rate_hz > 0; k++) {
        const load_due targets = {
            .first = k, .count = 1, .targets = true, .period_ns = 1e9 / traffic->target_rate_hz};
        add(self, targets, start_ns);
    }
    for (int k = self->count / 2 - 1; k >= 0; k--) {
        sink(self, k);
    }
    return 0;
}

void load_schedule_destroy(load_schedule *self)
{
    free(self->heap);
    self->heap = NULL;
}

const load_due *load_schedule_next(const load_schedule *self)
{
    return &self->heap[0];
}

void load_schedule_advance(load_schedule *self)
{
    load_due *due = &self->heap[0];
    due->at_ns += (uint64_t)gap_ns(self, due);
    sink(self, 0);
}
