#include "histogram.h"

void beamd_histogram_add(beamd_histogram *self, uint64_t duration_ns)
{
    self->count++;
    self->sum_ns += duration_ns;
    const uint64_t us = duration_ns / 1000u;
    if (us == 0) {
        self->bin[0]++;
        return;
    }
    const int octave = 63 - __builtin_clzll(us);
    if (octave >= BEAMD_HISTOGRAM_OCTAVES) {
        self->bin[BEAMD_HISTOGRAM_BINS - 1]++;
        return;
    }
    /* position within the octave from the nanoseconds: 1 us itself is split in 8 as well */
    const uint64_t low_ns = UINT64_C(1000) << octave;
    const uint64_t step = (duration_ns - low_ns) * BEAMD_HISTOGRAM_STEPS / low_ns;
    self->bin[1 + octave * BEAMD_HISTOGRAM_STEPS + (int)step]++;
}

static double bin_end_us(int bin)
{
    if (bin == 0) {
        return 1;
    }
    const int octave = (bin - 1) / BEAMD_HISTOGRAM_STEPS;
    const int step = (bin - 1) % BEAMD_HISTOGRAM_STEPS;
    return (double)(UINT64_C(1) << octave) * (1 + (step + 1) / (double)BEAMD_HISTOGRAM_STEPS);
}

double beamd_histogram_quantile_us(const beamd_histogram *self, double part)
{
    if (self->count == 0) {
        return 0;
    }
    const double want = part * (double)self->count;
    uint64_t seen = 0;
    for (int b = 0; b < BEAMD_HISTOGRAM_BINS - 1; b++) {
        seen += self->bin[b];
        if ((double)seen >= want && seen > 0) {
            return bin_end_us(b);
        }
    }
    return (double)(UINT64_C(1) << BEAMD_HISTOGRAM_OCTAVES); /* "at least" */
}

uint64_t beamd_histogram_below(const beamd_histogram *self, int octave)
{
    uint64_t seen = 0;
    for (int b = 0; b <= octave * BEAMD_HISTOGRAM_STEPS; b++) {
        seen += self->bin[b];
    }
    return seen;
}
