/* Durations on a logarithmic scale with linear steps: 8 steps per factor of two from 1 us to 67 s,
 * so that a percentile is known within 12.5 %. Fixed size, no allocation. */
#ifndef BEAMD_HISTOGRAM_H
#define BEAMD_HISTOGRAM_H

#include <stdint.h>

enum {
    BEAMD_HISTOGRAM_OCTAVES = 26,
    BEAMD_HISTOGRAM_STEPS = 8,
    BEAMD_HISTOGRAM_BINS = BEAMD_HISTOGRAM_OCTAVES * BEAMD_HISTOGRAM_STEPS + 2
};

typedef struct beamd_histogram {
    uint64_t count, sum_ns;
    /* [0]: under 1 us; the last: beyond the scale */
    uint64_t bin[BEAMD_HISTOGRAM_BINS];
} beamd_histogram;

void beamd_histogram_add(beamd_histogram *self, uint64_t duration_ns);

/* Upper end of the bin that holds the share `part` (0..1) of the samples, microseconds; 0 when
 * empty. */
double beamd_histogram_quantile_us(const beamd_histogram *self, double part);

/* Samples of less than 2^octave microseconds, exactly. */
uint64_t beamd_histogram_below(const beamd_histogram *self, int octave);

#endif
