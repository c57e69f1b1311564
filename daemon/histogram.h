/* Durations on a logarithmic scale with linear steps, as HdrHistogram has them: one row of steps
 * under 1 us, then one for every factor of two up to 2^26 us (67.1 s), each of 2^bits steps. Two
 * sizes share one code:
 *
 *   beamd_histogram_fine   10 bits  a value is known within 1/1024: three digits; under 2 us to the
 *                                   nanosecond                                             217 KiB
 *   beamd_histogram         6 bits  within 1/64; every cluster has one                     13.8 KiB
 *
 * Fixed size, empty when zeroed, no allocation; one thread writes. Counts, the sum, the least and
 * the greatest value and the counts below 2^k microseconds are exact in both. Each function takes
 * either size; where it takes several histograms they are of the same one. */
#ifndef BEAMD_HISTOGRAM_H
#define BEAMD_HISTOGRAM_H

#include <stdint.h>

enum {
    BEAMD_HISTOGRAM_OCTAVES = 26, /* factors of two from 1 us */
    BEAMD_HISTOGRAM_ROWS = BEAMD_HISTOGRAM_OCTAVES + 1,
    BEAMD_HISTOGRAM_FINE_BITS = 10,
    BEAMD_HISTOGRAM_BITS = 6
};

typedef struct beamd_histogram_head {
    uint64_t count, sum_ns;  /* the sum wraps after 584 years of durations */
    uint64_t min_ns, max_ns; /* 0 when empty */
    /* [0]: under 1 us; [k]: at least 2^(k-1) us and under 2^k us; the last: beyond the scale */
    uint64_t row[BEAMD_HISTOGRAM_ROWS + 1];
} beamd_histogram_head;

typedef struct beamd_histogram {
    beamd_histogram_head head;
    uint64_t bin[BEAMD_HISTOGRAM_ROWS << BEAMD_HISTOGRAM_BITS];
} beamd_histogram;

typedef struct beamd_histogram_fine {
    beamd_histogram_head head;
    uint64_t bin[BEAMD_HISTOGRAM_ROWS << BEAMD_HISTOGRAM_FINE_BITS];
} beamd_histogram_fine;

/* void (self, uint64_t duration_ns). A few nanoseconds, no division. */
#define beamd_histogram_add(self, duration_ns)                                                     \
    BEAMD_HISTOGRAM_CALL(beamd_histogram_add, self)((self), (duration_ns))

/* double (const self, double part): the largest duration of the step that holds the share `part`
 * (0..1) of the samples, but no more than the greatest sample; microseconds; 0 when empty. Beyond
 * the scale it is the greatest sample. */
#define beamd_histogram_quantile_us(self, part)                                                    \
    BEAMD_HISTOGRAM_CALL(beamd_histogram_quantile_us, self)((self), (part))

/* uint64_t (const self, int octave): samples of less than 2^octave us (0 .. 26), exactly. */
#define beamd_histogram_below(self, octave) beamd_histogram_head_below(&(self)->head, (octave))

/* void (self, const from): adds all samples of `from`. */
#define beamd_histogram_merge(self, from)                                                          \
    BEAMD_HISTOGRAM_CALL(beamd_histogram_merge, self)((self), (from))

/* void (self, const from): `self` becomes a copy. It must be an earlier copy of `from`, or empty:
 * only rows with other counts are touched. */
#define beamd_histogram_copy(self, from)                                                           \
    BEAMD_HISTOGRAM_CALL(beamd_histogram_copy, self)((self), (from))

/* void (self, const now, const before): the samples of `now` that `before`, an earlier copy of it,
 * has not. Their least and greatest value are those of their steps (within 1/1024 or 1/64). What
 * `self` held is gone. */
#define beamd_histogram_difference(self, now, before)                                              \
    BEAMD_HISTOGRAM_CALL(beamd_histogram_difference, self)((self), (now), (before))

/* --- the functions by size --- */

#define BEAMD_HISTOGRAM_CALL(name, self)                                                           \
    _Generic((self), beamd_histogram *                                                             \
             : name##_coarse, const beamd_histogram *                                              \
             : name##_coarse, beamd_histogram_fine *                                               \
             : name##_fine, const beamd_histogram_fine *                                           \
             : name##_fine)

#define BEAMD_HISTOGRAM_DECLARE(type, size)                                                        \
    void beamd_histogram_add_##size(type *self, uint64_t duration_ns);                             \
    double beamd_histogram_quantile_us_##size(const type *self, double part);                      \
    void beamd_histogram_merge_##size(type *self, const type *from);                               \
    void beamd_histogram_copy_##size(type *self, const type *from);                                \
    void beamd_histogram_difference_##size(type *self, const type *now, const type *before);

BEAMD_HISTOGRAM_DECLARE(beamd_histogram, coarse)
BEAMD_HISTOGRAM_DECLARE(beamd_histogram_fine, fine)

uint64_t beamd_histogram_head_below(const beamd_histogram_head *head, int octave);

#endif
