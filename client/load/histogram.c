#include "load/histogram.h"

#include <math.h>
#include <string.h>

enum { STEPS = 1 << LOAD_HISTOGRAM_STEP_BITS };

void load_histogram_clear(load_histogram *self)
{
    memset(self, 0, sizeof *self);
}

static int bin_of(uint64_t ns)
{
    if (ns < 2 * STEPS) {
        return (int)ns;
    }
    const int top = 63 - __builtin_clzll(ns);
    if (top >= LOAD_HISTOGRAM_TOP_BIT) {
        return LOAD_HISTOGRAM_BINS - 1;
    }
    const int shift = top - LOAD_HISTOGRAM_STEP_BITS;
    return shift * STEPS + (int)(ns >> shift);
}

/* The largest duration that falls into a bin. */
static uint64_t bin_end_ns(int bin)
{
    if (bin < 2 * STEPS) {
        return (uint64_t)bin;
    }
    const int shift = bin / STEPS - 1;
    const uint64_t step = (uint64_t)(bin - shift * STEPS);
    return ((step + 1) << shift) - 1;
}

void load_histogram_add(load_histogram *self, uint64_t duration_ns)
{
    self->count++;
    self->sum_ns += duration_ns;
    if (duration_ns > self->max_ns) {
        self->max_ns = duration_ns;
    }
    self->bin[bin_of(duration_ns)]++;
}

void load_histogram_merge(load_histogram *self, const load_histogram *other)
{
    self->count += other->count;
    self->sum_ns += other->sum_ns;
    if (other->max_ns > self->max_ns) {
        self->max_ns = other->max_ns;
    }
    for (int b = 0; b < LOAD_HISTOGRAM_BINS; b++) {
        self->bin[b] += other->bin[b];
    }
}

double load_histogram_quantile_us(const load_histogram *self, double part)
{
    if (self->count == 0) {
        return 0;
    }
    /* The rank that is wanted, counted from 1; rounding must not ask for one that is not there. */
    const double rank = fmin(fmax(ceil(part * (double)self->count), 1), (double)self->count);
    uint64_t seen = 0;
    for (int b = 0; b < LOAD_HISTOGRAM_BINS - 1; b++) {
        seen += self->bin[b];
        if ((double)seen >= rank) {
            const uint64_t end = bin_end_ns(b);
            return (double)(end < self->max_ns ? end : self->max_ns) / 1e3;
        }
    }
    return (double)self->max_ns / 1e3;
}
