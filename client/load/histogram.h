/* Durations, log-linear: exact to the nanosecond up to 2 us, then 1024 linear steps per factor of
 * two, so that a percentile is known within 0.1 % up to 18 minutes. Mergeable. */
#ifndef BEAMLOAD_HISTOGRAM_H
#define BEAMLOAD_HISTOGRAM_H

#include <stdint.h>

enum {
    LOAD_HISTOGRAM_STEP_BITS = 10,
    LOAD_HISTOGRAM_TOP_BIT = 40, /* 2^40 ns; longer ones count in the last bin */
    LOAD_HISTOGRAM_BINS = (LOAD_HISTOGRAM_TOP_BIT - LOAD_HISTOGRAM_STEP_BITS + 1)
                          << LOAD_HISTOGRAM_STEP_BITS
};

typedef struct load_histogram {
    uint64_t count, max_ns, sum_ns;
    uint32_t bin[LOAD_HISTOGRAM_BINS];
} load_histogram;

void load_histogram_clear(load_histogram *self);
void load_histogram_add(load_histogram *self, uint64_t duration_ns);
void load_histogram_merge(load_histogram *self, const load_histogram *other);
/* Upper end of the bin that holds the share `part` (0..1), microseconds, never above the maximum;
 * 0 when empty. */
double load_histogram_quantile_us(const load_histogram *self, double part);

#endif
