/* Durations on a logarithmic scale: what is exact is exact, what is rounded is within its promise,
 * and adding, copying and subtracting say the same as the samples themselves. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "histogram.h"

enum { SAMPLES = 200000 };

static beamd_histogram_fine fine, fine_a, fine_b, fine_c;
static beamd_histogram coarse, coarse_a, coarse_b, coarse_c;
static uint64_t sample[SAMPLES];

static uint64_t state_;

static uint64_t draw(void) /* splitmix64 */
{
    uint64_t z = state_ += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Every magnitude from 1 ns to the end of the scale alike. */
static uint64_t draw_duration(void)
{
    return (draw() >> (28 + draw() % 36)) % (UINT64_C(1000) << BEAMD_HISTOGRAM_OCTAVES);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int empty_all(void **state)
{
    (void)state;
    memset(&fine, 0, sizeof fine);
    memset(&fine_a, 0, sizeof fine_a);
    memset(&fine_b, 0, sizeof fine_b);
    memset(&fine_c, 0, sizeof fine_c);
    memset(&coarse, 0, sizeof coarse);
    memset(&coarse_a, 0, sizeof coarse_a);
    memset(&coarse_b, 0, sizeof coarse_b);
    memset(&coarse_c, 0, sizeof coarse_c);
    state_ = 20260401;
    return 0;
}

static void an_empty_one_says_zero(void **state)
{
    (void)state;
    assert_true(beamd_histogram_quantile_us(&fine, 0.5) == 0);
    assert_true(beamd_histogram_quantile_us(&coarse, 1) == 0);
    assert_int_equal(beamd_histogram_below(&fine, 26), 0);
    beamd_histogram_merge(&fine, &fine_a);
    beamd_histogram_difference(&fine_c, &fine, &fine_a);
    assert_memory_equal(&fine, &fine_a, sizeof fine);
    assert_memory_equal(&fine_c, &fine_a, sizeof fine);
}

static void one_sample_is_every_quantile(void **state)
{
    (void)state;
    /* also the ends of the rows, of the scale and of the type */
    static const uint64_t values[] = {
        0,    1,    999,   1000,  1001,        1023,        1024,        1999,      2000,
        2001, 4095, 64000, 64001, 67108863999, 67108864000, 67108864001, UINT64_MAX};
    for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
        empty_all(NULL);
        beamd_histogram_add(&fine, values[k]);
        beamd_histogram_add(&coarse, values[k]);
        for (double part = 0; part <= 1; part += 0.25) {
            assert_true(beamd_histogram_quantile_us(&fine, part) == 1e-3 * (double)values[k]);
            assert_true(beamd_histogram_quantile_us(&coarse, part) == 1e-3 * (double)values[k]);
        }
        assert_int_equal(fine.head.min_ns, values[k]);
        assert_int_equal(coarse.head.max_ns, values[k]);
        assert_int_equal(fine.head.sum_ns, values[k]);
    }
}

/* Both sizes against the sorted samples, at every percent and far out. */
static void quantiles_keep_their_promise(void **state)
{
    (void)state;
    for (size_t k = 0; k < SAMPLES; k++) {
        sample[k] = draw_duration();
        beamd_histogram_add(&fine, sample[k]);
        beamd_histogram_add(&coarse, sample[k]);
    }
    qsort(sample, SAMPLES, sizeof sample[0], compare);
    double worst_fine = 0, worst_coarse = 0;
    for (int k = 0; k <= 1004; k++) {
        const double part = k <= 1000 ? k / 1000.0 : 1 - pow(10, -(k - 997));
        const double exact = part * SAMPLES;
        size_t rank = (size_t)exact;
        rank += (double)rank < exact;
        rank = rank < 1 ? 1 : rank;
        const double want = 1e-3 * (double)sample[rank - 1];
        const double got = beamd_histogram_quantile_us(&fine, part);
        const double rough = beamd_histogram_quantile_us(&coarse, part);
        assert_true(got >= want && rough >= want);
        if (want < 2) {
            assert_true(got == want); /* to the nanosecond */
        }
        if (want >= 1) {
            worst_fine = fmax(worst_fine, got / want - 1);
            worst_coarse = fmax(worst_coarse, rough / want - 1);
        }
    }
    print_message("largest error: %.3g, %.3g\n", worst_fine, worst_coarse);
    assert_true(worst_fine < 1e-3 && worst_coarse <= 1.0 / 64);
    assert_true(worst_fine > 1e-5 && worst_coarse > 1e-3); /* the draw did test the rounding */
    assert_true(beamd_histogram_quantile_us(&fine, 1) == 1e-3 * (double)sample[SAMPLES - 1]);
}

/* Every step of the fine size: first and last nanosecond of it, none lost, none twice. */
static void every_step_is_within_a_thousandth(void **state)
{
    (void)state;
    uint64_t ns = 0;
    unsigned steps = 0;
    while (ns < (UINT64_C(1000) << BEAMD_HISTOGRAM_OCTAVES)) {
        memset(&fine_a.head, 0, sizeof fine_a.head);
        beamd_histogram_add(&fine_a, ns);
        fine_a.head.max_ns = UINT64_MAX; /* not the sample but the end of its step */
        const double last_us = beamd_histogram_quantile_us(&fine_a, 1);
        const uint64_t last = (uint64_t)llround(last_us * 1e3);
        assert_true(last >= ns && (double)(last - ns) < 1e-3 * (double)ns + 1e-9);
        const uint64_t back = last;
        beamd_histogram_add(&fine_a, back); /* in the same step, the next nanosecond is not */
        unsigned held = 0;
        for (size_t b = 0; b < sizeof fine_a.bin / sizeof fine_a.bin[0] && held == 0; b++) {
            held = fine_a.bin[b] > 0 ? (unsigned)fine_a.bin[b] : 0;
            fine_a.bin[b] = 0;
        }
        assert_int_equal(held, 2);
        ns = last + 1;
        steps++;
        if (ns > 100000) { /* the rows repeat: take the first and the last steps of each */
            const uint64_t row = UINT64_C(1000) << (63 - __builtin_clzll(ns / 1000));
            const uint64_t jump = row + row / 1024 * 1020;
            if (ns > row + row / 256 && ns < jump) {
                ns = jump;
                memset(&fine_a, 0, sizeof fine_a);
                beamd_histogram_add(&fine_a, ns);
                fine_a.head.max_ns = UINT64_MAX;
                ns = (uint64_t)llround(1e3 * beamd_histogram_quantile_us(&fine_a, 1)) + 1;
                memset(&fine_a, 0, sizeof fine_a);
            }
        }
    }
    assert_true(steps > 7000);
}

static void counts_below_the_bounds_are_exact(void **state)
{
    (void)state;
    uint64_t below[27] = {0};
    for (size_t k = 0; k < SAMPLES; k++) {
        uint64_t ns = draw_duration();
        if (k % 4 == 0) { /* at a bound, 1 ns below, 1 ns above */
            ns = (UINT64_C(1000) << draw() % 27) - 1 + draw() % 3;
        }
        beamd_histogram_add(&fine, ns);
        beamd_histogram_add(&coarse, ns);
        for (int octave = 0; octave <= 26; octave++) {
            below[octave] += ns < UINT64_C(1000) << octave;
        }
    }
    for (int octave = 0; octave <= 26; octave++) {
        assert_int_equal(beamd_histogram_below(&fine, octave), below[octave]);
        assert_int_equal(beamd_histogram_below(&coarse, octave), below[octave]);
    }
    assert_true(below[26] < SAMPLES); /* some were beyond the scale */
    assert_int_equal(fine.head.count, SAMPLES);
}

static void merged_ones_are_as_if_counted_together(void **state)
{
    (void)state;
    for (size_t k = 0; k < SAMPLES; k++) {
        const uint64_t ns = draw() % 64 == 0 ? draw() : draw_duration();
        beamd_histogram_add(&fine, ns);
        beamd_histogram_add(&coarse, ns);
        if (k % 3 == 0) {
            beamd_histogram_add(&fine_a, ns);
            beamd_histogram_add(&coarse_a, ns);
        } else {
            beamd_histogram_add(&fine_b, ns);
            beamd_histogram_add(&coarse_b, ns);
        }
    }
    beamd_histogram_merge(&fine_c, &fine_a); /* into an empty one */
    assert_memory_equal(&fine_c, &fine_a, sizeof fine_c);
    beamd_histogram_merge(&fine_c, &fine_b);
    beamd_histogram_merge(&coarse_a, &coarse_b);
    assert_memory_equal(&fine_c, &fine, sizeof fine);
    assert_memory_equal(&coarse_a, &coarse, sizeof coarse);
}

/* Intervals as telemetry takes them: the difference holds the samples of the interval, no matter
 * what it held before. */
static void a_difference_is_the_interval(void **state)
{
    (void)state;
    for (int interval = 0; interval < 20; interval++) {
        beamd_histogram_fine *only = &fine_b;
        memset(only, 0, sizeof *only);
        const size_t samples = interval % 5 == 3 ? 0 : 1 + draw() % 3000;
        const unsigned shift = interval % 2 ? 34 : 44; /* other rows than last time */
        for (size_t k = 0; k < samples; k++) {
            const uint64_t ns =
                interval == 11 && k == 0 ? UINT64_C(90000000000) : draw() >> (shift + draw() % 6);
            beamd_histogram_add(&fine, ns);
            beamd_histogram_add(only, ns);
        }
        beamd_histogram_difference(&fine_c, &fine, &fine_a);
        assert_memory_equal(fine_c.bin, only->bin, sizeof fine_c.bin);
        assert_memory_equal(fine_c.head.row, only->head.row, sizeof fine_c.head.row);
        assert_int_equal(fine_c.head.count, samples);
        assert_int_equal(fine_c.head.sum_ns, only->head.sum_ns);
        assert_true(fine_c.head.max_ns >= only->head.max_ns);
        assert_true((double)fine_c.head.max_ns <= 1.001 * (double)only->head.max_ns);
        assert_true(fine_c.head.min_ns <= only->head.min_ns);
        assert_true((double)fine_c.head.min_ns >= 0.999 * (double)only->head.min_ns);
        for (int k = 1; k <= 10 && samples > 0; k++) {
            const double want = beamd_histogram_quantile_us(only, k / 10.0);
            const double got = beamd_histogram_quantile_us(&fine_c, k / 10.0);
            assert_true(got >= want && got <= want * 1.001);
        }
        beamd_histogram_copy(&fine_a, &fine);
        assert_memory_equal(&fine_a, &fine, sizeof fine);
    }
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* Said, and held only against a number that no machine misses unless the code is another. */
static void adding_is_cheap(void **state)
{
    (void)state;
    for (size_t k = 0; k < SAMPLES; k++) {
        sample[k] = 100000 + draw() % 5000000; /* 0.1 to 5 ms, as answers take */
    }
    double best = INFINITY;
    for (int round = 0; round < 10; round++) {
        const double begin = now_ns();
        for (size_t k = 0; k < SAMPLES; k++) {
            beamd_histogram_add(&fine, sample[k]);
        }
        best = fmin(best, (now_ns() - begin) / SAMPLES);
    }
    const double begin = now_ns();
    beamd_histogram_difference(&fine_c, &fine, &fine_a);
    const double p99 = beamd_histogram_quantile_us(&fine_c, 0.99);
    beamd_histogram_copy(&fine_a, &fine);
    print_message("one sample: %.1f ns; an interval: %.1f us; p99 %.0f us\n", best,
                  1e-3 * (now_ns() - begin), p99);
    assert_true(best < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_one_says_zero, empty_all),
        cmocka_unit_test_setup(one_sample_is_every_quantile, empty_all),
        cmocka_unit_test_setup(quantiles_keep_their_promise, empty_all),
        cmocka_unit_test_setup(every_step_is_within_a_thousandth, empty_all),
        cmocka_unit_test_setup(counts_below_the_bounds_are_exact, empty_all),
        cmocka_unit_test_setup(merged_ones_are_as_if_counted_together, empty_all),
        cmocka_unit_test_setup(a_difference_is_the_interval, empty_all),
        cmocka_unit_test_setup(adding_is_cheap, empty_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
