#include "histogram.h"

#include <stddef.h>
#include <string.h>

/* One code for both sizes: `bits` is a constant wherever this is inlined. A duration is measured in
 * 1/1024 us, so that 1 us and every 2^k us begin a row of steps; no nanosecond shares such a unit
 * with another, so nothing is lost by it. */
typedef struct bins {
    beamd_histogram_head *head;
    uint64_t *bin;
    unsigned bits;
} bins;

typedef struct const_bins {
    const beamd_histogram_head *head;
    const uint64_t *bin;
    unsigned bits;
} const_bins;

enum { UNIT_BITS = 10 };

#define SCALE_END_NS (UINT64_C(1000) << BEAMD_HISTOGRAM_OCTAVES)

static inline __attribute__((always_inline)) void add(bins h, uint64_t duration_ns)
{
    beamd_histogram_head *const head = h.head;
    head->min_ns = head->count == 0 || duration_ns < head->min_ns ? duration_ns : head->min_ns;
    head->max_ns = duration_ns > head->max_ns ? duration_ns : head->max_ns;
    head->count++;
    head->sum_ns += duration_ns;
    if (duration_ns >= SCALE_END_NS) {
        head->row[BEAMD_HISTOGRAM_ROWS]++;
        return;
    }
    /* x 1024/1000; the compiler makes a multiplication of the constant divisor */
    const uint64_t units = duration_ns * 128 / 125;
    const unsigned row = units >> UNIT_BITS ? 54u - (unsigned)__builtin_clzll(units) : 0;
    const unsigned shift = UNIT_BITS - h.bits + (row > 1 ? row - 1 : 0);
    const size_t step = (size_t)(units >> shift) & ((1u << h.bits) - 1);
    head->row[row]++;
    h.bin[((size_t)row << h.bits) + step]++;
}

/* The least duration whose units are at least `units`. */
static uint64_t from_units(uint64_t units)
{
    return (units * 125 + 127) / 128;
}

/* First duration of a step; that of the next one less 1 ns is its last. */
static uint64_t step_begin_ns(unsigned bits, unsigned row, size_t step)
{
    const unsigned shift = UNIT_BITS - bits + (row > 1 ? row - 1 : 0);
    const uint64_t first = row > 0 ? UINT64_C(1) << (UNIT_BITS + row - 1) : 0;
    return from_units(first + ((uint64_t)step << shift));
}

static double quantile_us(const_bins h, double part)
{
    const uint64_t count = h.head->count;
    if (count == 0) {
        return 0;
    }
    /* the sample of this rank, 1 .. count */
    const double exact = part * (double)count;
    uint64_t rank = exact > 0 ? (uint64_t)exact : 0;
    rank += (double)rank < exact;
    rank = rank < 1 ? 1 : rank > count ? count : rank;
    uint64_t seen = 0;
    for (unsigned row = 0; row < BEAMD_HISTOGRAM_ROWS; row++) {
        if (seen + h.head->row[row] < rank) {
            seen += h.head->row[row];
            continue;
        }
        const uint64_t *const bin = h.bin + ((size_t)row << h.bits);
        size_t step = 0;
        for (seen += bin[0]; seen < rank; seen += bin[step]) {
            step++;
        }
        const uint64_t last_ns = step_begin_ns(h.bits, row, step + 1) - 1;
        return 1e-3 * (double)(last_ns < h.head->max_ns ? last_ns : h.head->max_ns);
    }
    return 1e-3 * (double)h.head->max_ns;
}

static void merge(bins h, const_bins from)
{
    beamd_histogram_head *const to = h.head;
    if (from.head->count == 0) {
        return;
    }
    if (to->count == 0 || from.head->min_ns < to->min_ns) {
        to->min_ns = from.head->min_ns;
    }
    if (from.head->max_ns > to->max_ns) {
        to->max_ns = from.head->max_ns;
    }
    to->count += from.head->count;
    to->sum_ns += from.head->sum_ns;
    for (unsigned row = 0; row <= BEAMD_HISTOGRAM_ROWS; row++) {
        if (from.head->row[row] == 0) {
            continue;
        }
        to->row[row] += from.head->row[row];
        const size_t at = (size_t)row << h.bits;
        for (size_t step = 0; row < BEAMD_HISTOGRAM_ROWS && step >> h.bits == 0; step++) {
            h.bin[at + step] += from.bin[at + step];
        }
    }
}

static void copy(bins h, const_bins from)
{
    for (unsigned row = 0; row < BEAMD_HISTOGRAM_ROWS; row++) {
        if (from.head->row[row] != h.head->row[row]) {
            const size_t at = (size_t)row << h.bits;
            memcpy(h.bin + at, from.bin + at, sizeof(uint64_t) << h.bits);
        }
    }
    *h.head = *from.head;
}

/* The ends of what the steps of one row hold. */
static void take_ends(bins h, unsigned row)
{
    const uint64_t *const bin = h.bin + ((size_t)row << h.bits);
    size_t first = 0, last = ((size_t)1 << h.bits) - 1;
    while (bin[first] == 0) {
        first++;
    }
    while (bin[last] == 0) {
        last--;
    }
    if (h.head->count == 0) {
        h.head->min_ns = step_begin_ns(h.bits, row, first);
    }
    h.head->max_ns = step_begin_ns(h.bits, row, last + 1) - 1;
    h.head->count += h.head->row[row];
}

static void difference(bins h, const_bins now, const_bins before)
{
    beamd_histogram_head *const out = h.head;
    out->count = out->min_ns = out->max_ns = 0;
    for (unsigned row = 0; row < BEAMD_HISTOGRAM_ROWS; row++) {
        const size_t at = (size_t)row << h.bits;
        const uint64_t grown = now.head->row[row] - before.head->row[row];
        if (grown == 0 && out->row[row] != 0) {
            memset(h.bin + at, 0, sizeof(uint64_t) << h.bits);
        }
        out->row[row] = grown;
        if (grown == 0) {
            continue;
        }
        for (size_t step = 0; step >> h.bits == 0; step++) {
            h.bin[at + step] = now.bin[at + step] - before.bin[at + step];
        }
        take_ends(h, row);
    }
    const uint64_t beyond =
        now.head->row[BEAMD_HISTOGRAM_ROWS] - before.head->row[BEAMD_HISTOGRAM_ROWS];
    out->row[BEAMD_HISTOGRAM_ROWS] = beyond;
    if (beyond > 0) {
        out->min_ns = out->count == 0 ? SCALE_END_NS : out->min_ns;
        out->max_ns = now.head->max_ns; /* of all, the only one that is known */
        out->count += beyond;
    }
    /* no further out than any sample ever was */
    out->max_ns = out->max_ns < now.head->max_ns ? out->max_ns : now.head->max_ns;
    out->min_ns = out->count > 0 && out->min_ns < now.head->min_ns ? now.head->min_ns : out->min_ns;
    out->sum_ns = now.head->sum_ns - before.head->sum_ns;
}

#define DEFINE(type, size, bits)                                                                   \
    static inline bins bins_##size(type *h)                                                        \
    {                                                                                              \
        return (bins){&h->head, h->bin, (bits)};                                                   \
    }                                                                                              \
    static inline const_bins const_bins_##size(const type *h)                                      \
    {                                                                                              \
        return (const_bins){&h->head, h->bin, (bits)};                                             \
    }                                                                                              \
    void beamd_histogram_add_##size(type *self, uint64_t duration_ns)                              \
    {                                                                                              \
        add(bins_##size(self), duration_ns);                                                       \
    }                                                                                              \
    double beamd_histogram_quantile_us_##size(const type *self, double part)                       \
    {                                                                                              \
        return quantile_us(const_bins_##size(self), part);                                         \
    }                                                                                              \
    void beamd_histogram_merge_##size(type *self, const type *from)                                \
    {                                                                                              \
        merge(bins_##size(self), const_bins_##size(from));                                         \
    }                                                                                              \
    void beamd_histogram_copy_##size(type *self, const type *from)                                 \
    {                                                                                              \
        copy(bins_##size(self), const_bins_##size(from));                                          \
    }                                                                                              \
    void beamd_histogram_difference_##size(type *self, const type *now, const type *before)        \
    {                                                                                              \
        difference(bins_##size(self), const_bins_##size(now), const_bins_##size(before));          \
    }

DEFINE(beamd_histogram, coarse, BEAMD_HISTOGRAM_BITS)
DEFINE(beamd_histogram_fine, fine, BEAMD_HISTOGRAM_FINE_BITS)

uint64_t beamd_histogram_head_below(const beamd_histogram_head *head, int octave)
{
    uint64_t seen = 0;
    for (int row = 0; row <= octave && row < BEAMD_HISTOGRAM_ROWS; row++) {
        seen += head->row[row];
    }
    return seen;
}
