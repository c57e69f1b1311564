/* Answers kept during a run, to be recomputed after it: nothing is computed while it measures. */
#ifndef BEAMLOAD_SAMPLES_H
#define BEAMLOAD_SAMPLES_H

#include "load/fleet.h"

typedef struct load_sample {
    unsigned char *frame;
    size_t bytes;
    const load_cluster *cluster;
} load_sample;

typedef struct load_samples {
    double share;
    uint64_t random;
    load_sample *kept;
    size_t count, capacity, bytes;
    uint64_t left_out; /* drawn, but beyond the memory set aside */
} load_samples;

/* share 0: keeps none. -1 without memory. */
int load_samples_create(load_samples *self, double share, uint64_t seed);
void load_samples_destroy(load_samples *self);
/* Draws whether this answer is kept, and copies it. */
void load_samples_offer(load_samples *self, const load_cluster *cluster, const unsigned char *frame,
                        size_t bytes);

#endif
