/* Estimates of senders' clocks, against simulated senders whose clocks and ways are known: drift
 * both ways, clocks that are set both ways, crowded ways, reordering, and senders that lie. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock_offset.h"

enum { FASTEST_NS = 50000 }; /* way that every request takes at least */

#define SECOND UINT64_C(1000000000)

static uint64_t state_;

static uint64_t draw(void) /* splitmix64 */
{
    uint64_t z = state_ += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static double draw_exponential(double mean)
{
    return -mean * log((double)((draw() >> 11) + 1) * 0x1p-53);
}

/* A sender and its way here, on the daemon's time. */
typedef struct sender {
    const char *name;
    double drift;      /* its clock gains so much per nanosecond */
    double jitter_ns;  /* mean of what the way takes beyond FASTEST_NS */
    uint64_t every_ns; /* between requests */
    uint64_t crowd_ns; /* more on the way at present */
    double set_ns;     /* by how much its clock was set so far */
    uint64_t sent_ns;  /* of the next request, daemon's clock */
} sender;

typedef struct heard {
    beamd_clock_estimate estimate;
    uint64_t beyond_ns; /* true way less FASTEST_NS */
    double offset_ns;   /* true: daemon's clock less sender's, plus FASTEST_NS */
    uint64_t received_ns;
} heard;

static const uint64_t EPOCH_NS = UINT64_C(1774000000) * 1000000000; /* the senders' clocks */

static double clock_at(const sender *s, uint64_t ns)
{
    return (double)ns * (1 + s->drift) + s->set_ns; /* since EPOCH_NS */
}

static heard send_one(beamd_clock_offset *table, sender *s)
{
    heard h;
    h.beyond_ns = (uint64_t)draw_exponential(s->jitter_ns) + s->crowd_ns;
    h.received_ns = s->sent_ns + FASTEST_NS + h.beyond_ns;
    const double at = clock_at(s, s->sent_ns);
    const uint64_t wrote = EPOCH_NS + (uint64_t)(int64_t)at;
    h.offset_ns = (double)s->sent_ns - at + FASTEST_NS; /* and - EPOCH_NS */
    h.estimate = beamd_clock_offset_take(table, s->name, strlen(s->name), h.received_ns, wrote);
    s->sent_ns += s->every_ns;
    return h;
}

/* Drives one sender for so long and returns the largest error of the transit estimate, which must
 * be known throughout and agree with the offset. */
static double drive(beamd_clock_offset *table, sender *s, double seconds)
{
    double worst_ns = 0;
    const uint64_t end_ns = s->sent_ns + (uint64_t)(seconds * 1e9);
    while (s->sent_ns < end_ns) {
        const heard h = send_one(table, s);
        assert_true(h.estimate.known);
        worst_ns = fmax(worst_ns, fabs((double)h.estimate.transit_ns - (double)h.beyond_ns));
        const double offset_ns = (double)(int64_t)((uint64_t)h.estimate.offset_ns + EPOCH_NS);
        assert_true(fabs(offset_ns - h.offset_ns) < worst_ns + 1000);
    }
    return worst_ns;
}

static void warm_up(beamd_clock_offset *table, sender *s, double seconds)
{
    const uint64_t end_ns = s->sent_ns + (uint64_t)(seconds * 1e9);
    while (s->sent_ns < end_ns) {
        send_one(table, s);
    }
}

static int set_up(void **state)
{
    state_ = 7;
    *state = beamd_clock_offset_create(4, 12345);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    beamd_clock_offset *table = *state;
    beamd_clock_offset_destroy(&table);
    assert_null(table);
    beamd_clock_offset_destroy(&table);
    return 0;
}

static void nothing_is_said_without_a_clock_or_too_soon(void **state)
{
    beamd_clock_offset *table = *state;
    beamd_clock_estimate e = beamd_clock_offset_take(table, "a", 1, 1000, 0);
    assert_false(e.known);
    assert_int_equal(beamd_clock_offset_counts(table).peers, 0);
    static const char long_name[256];
    assert_false(beamd_clock_offset_take(table, long_name, 256, 1000, 1).known);
    assert_false(beamd_clock_offset_take(table, long_name, 0, 1000, 1).known);
    assert_int_equal(beamd_clock_offset_counts(table).peers, 0);
    for (uint64_t k = 1; k <= 20; k++) {
        e = beamd_clock_offset_take(table, long_name, 255, SECOND + k * 1000, k * 1000);
        assert_int_equal(e.known, k >= BEAMD_CLOCK_SAMPLES_MIN);
        assert_int_equal(e.transit_ns, 0);
        assert_int_equal(e.offset_ns, e.known ? (int64_t)SECOND : 0);
    }
}

/* 0, 100 and -100 ppm, requests at 1 kHz and at 20 Hz: after the first windows the estimate is as
 * good as the ways allow, for two minutes. */
static void drift_is_followed(void **state)
{
    (void)state;
    static const double drifts[] = {0, 100e-6, -100e-6, 20e-6};
    static const struct {
        uint64_t every_ns;
        double most_ns;
    } rates[] = {{1000000, 10e3}, {50000000, 60e3}};
    for (int d = 0; d < 4; d++) {
        for (int r = 0; r < 2; r++) {
            beamd_clock_offset *table = beamd_clock_offset_create(1, 1);
            sender s = {.name = "s",
                        .drift = drifts[d],
                        .jitter_ns = 30e3,
                        .every_ns = rates[r].every_ns,
                        .sent_ns = SECOND};
            warm_up(table, &s, 20);
            const double worst_ns = drive(table, &s, 120);
            print_message("drift %+.0f ppm, every %.0f ms: worst error %.1f us\n", 1e6 * drifts[d],
                          1e-6 * (double)rates[r].every_ns, 1e-3 * worst_ns);
            assert_true(worst_ns < rates[r].most_ns);
            assert_int_equal(beamd_clock_offset_counts(table).steps, 0);
            beamd_clock_offset_destroy(&table);
        }
    }
}

/* Before drift is known the error is at most what the clocks drift in two short windows. */
static void the_first_seconds_are_bounded_by_the_drift(void **state)
{
    beamd_clock_offset *table = *state;
    sender s = {
        .name = "s", .drift = -100e-6, .jitter_ns = 20e3, .every_ns = 1000000, .sent_ns = SECOND};
    warm_up(table, &s, 0.1);
    const double worst_ns = drive(table, &s, 10);
    print_message("first seconds: worst error %.1f us\n", 1e-3 * worst_ns);
    assert_true(worst_ns < 100e-6 * 2.2e9);
}

static void a_clock_set_forward_is_seen_at_once(void **state)
{
    beamd_clock_offset *table = *state;
    sender s = {
        .name = "s", .drift = 50e-6, .jitter_ns = 30e3, .every_ns = 1000000, .sent_ns = SECOND};
    warm_up(table, &s, 20);
    for (int k = 1; k <= 3; k++) {
        s.set_ns += k == 1 ? 0.2e9 : 3600e9;
        for (int i = 1; i < BEAMD_CLOCK_SAMPLES_MIN; i++) {
            assert_false(send_one(table, &s).estimate.known);
            assert_int_equal(beamd_clock_offset_counts(table).steps, k);
        }
        warm_up(table, &s, 0.1); /* until a fast one came */
        assert_true(drive(table, &s, 30) < 20e3);
        assert_int_equal(beamd_clock_offset_counts(table).steps, k);
    }
}

static void a_clock_set_back_is_seen_after_a_while(void **state)
{
    beamd_clock_offset *table = *state;
    sender s = {
        .name = "s", .drift = -50e-6, .jitter_ns = 30e3, .every_ns = 1000000, .sent_ns = SECOND};
    warm_up(table, &s, 20);
    s.set_ns -= 0.3e9; /* not certain: a way may take so long */
    unsigned late = 0;
    while (beamd_clock_offset_counts(table).steps == 0) {
        late += send_one(table, &s).estimate.transit_ns > SECOND / 4;
        assert_true(late < 1100);
    }
    assert_true(late > 900);
    assert_true(drive(table, &s, 30) < 20e3);
    s.set_ns -= 3600e9; /* certain */
    assert_false(send_one(table, &s).estimate.known);
    assert_int_equal(beamd_clock_offset_counts(table).steps, 2);
    warm_up(table, &s, 0.1);
    assert_true(drive(table, &s, 30) < 20e3);
    assert_int_equal(beamd_clock_offset_counts(table).steps, 2);
}

/* A step too small to tell from a slower way is forgotten with its windows, and spoils no drift. */
static void a_slower_way_becomes_the_fastest(void **state)
{
    beamd_clock_offset *table = *state;
    sender s = {.name = "s", .jitter_ns = 30e3, .every_ns = 1000000, .sent_ns = SECOND};
    warm_up(table, &s, 20);
    s.crowd_ns = 20000000;
    assert_true(drive(table, &s, 4) < 20e3); /* late by what it is late */
    warm_up(table, &s, 8);
    for (int k = 0; k < 10000; k++) {
        const heard h = send_one(table, &s);
        assert_true(h.estimate.known && h.estimate.transit_ns < 1000000);
        assert_true(fabs(h.estimate.drift) < 20e-6);
    }
    s.crowd_ns = 0; /* and back: at once */
    warm_up(table, &s, 0.1);
    assert_true(drive(table, &s, 1) < 20e3);
    assert_int_equal(beamd_clock_offset_counts(table).steps, 0);
}

/* Crowded for half a second by more than a step is no step; it is late. */
static void a_stall_is_no_step(void **state)
{
    beamd_clock_offset *table = *state;
    sender s = {
        .name = "s", .drift = 10e-6, .jitter_ns = 30e3, .every_ns = 1000000, .sent_ns = SECOND};
    warm_up(table, &s, 20);
    for (int k = 0; k < 10; k++) {
        s.crowd_ns = 400000000;
        assert_true(drive(table, &s, 0.5) < 20e3);
        s.crowd_ns = 0;
        assert_true(drive(table, &s, 1) < 20e3);
    }
    assert_int_equal(beamd_clock_offset_counts(table).steps, 0);
}

/* Requests that overtake one another, and equal times of receipt: nothing but their own lateness.
 */
static void reordering_does_no_harm(void **state)
{
    beamd_clock_offset *table = *state;
    uint64_t worst_ns = 0;
    for (uint64_t batch = 0; batch < 5000; batch++) {
        const uint64_t received_ns = SECOND + (batch + 1) * 8000000;
        for (uint64_t k = 0; k < 8; k++) { /* eight of 1 kHz at once, in a drawn order */
            const uint64_t place = (k * 5 + batch) % 8;
            const uint64_t waited_ns = place * 1000000;
            const beamd_clock_estimate e = beamd_clock_offset_take(
                table, "s", 1, received_ns, received_ns - waited_ns + 77 * SECOND);
            if (batch >= 1) {
                assert_true(e.known);
                const uint64_t error_ns =
                    e.transit_ns > waited_ns ? e.transit_ns - waited_ns : waited_ns - e.transit_ns;
                worst_ns = error_ns > worst_ns ? error_ns : worst_ns;
            }
        }
    }
    print_message("reordered: worst error %.1f us\n", 1e-3 * (double)worst_ns);
    assert_true(worst_ns < 100000);
    assert_int_equal(beamd_clock_offset_counts(table).steps, 0);
}

static void a_full_table_forgets_the_most_silent(void **state)
{
    beamd_clock_offset *table = *state; /* of 4 */
    char name[2] = "a";
    uint64_t now_ns = SECOND;
    for (int round = 0; round < 10; round++) {
        for (name[0] = 'a'; name[0] <= 'd'; name[0]++) {
            now_ns += 1000;
            beamd_clock_offset_take(table, name, 1, now_ns, now_ns);
        }
    }
    assert_int_equal(beamd_clock_offset_counts(table).peers, 4);
    assert_true(beamd_clock_offset_take(table, "a", 1, now_ns, now_ns).known);
    assert_false(beamd_clock_offset_take(table, "e", 1, now_ns, now_ns).known); /* for b */
    assert_int_equal(beamd_clock_offset_counts(table).forgotten, 1);
    assert_true(beamd_clock_offset_take(table, "a", 1, now_ns, now_ns).known);
    assert_true(beamd_clock_offset_take(table, "c", 1, now_ns, now_ns).known);
    assert_true(beamd_clock_offset_take(table, "d", 1, now_ns, now_ns).known);
    assert_false(beamd_clock_offset_take(table, "b", 1, now_ns, now_ns).known); /* for e */
    assert_int_equal(beamd_clock_offset_counts(table).forgotten, 2);
    for (uint32_t k = 0; k < 100000; k++) { /* a flood of names */
        now_ns++;
        beamd_clock_offset_take(table, &k, sizeof k, now_ns, now_ns);
    }
    assert_int_equal(beamd_clock_offset_counts(table).peers, 4);
    assert_int_equal(beamd_clock_offset_counts(table).forgotten, 100002);
}

static void a_long_silence_is_a_new_start(void **state)
{
    beamd_clock_offset *table = *state;
    sender s = {
        .name = "s", .drift = 100e-6, .jitter_ns = 30e3, .every_ns = 1000000, .sent_ns = SECOND};
    warm_up(table, &s, 20);
    s.sent_ns += 600 * SECOND;
    assert_false(send_one(table, &s).estimate.known);
    warm_up(table, &s, 0.1);
    assert_true(drive(table, &s, 30) < 20e3); /* its drift was not forgotten */
    s.sent_ns += 9 * SECOND;
    const heard h = send_one(table, &s);
    assert_true(h.estimate.known && h.estimate.transit_ns < h.beyond_ns + 50000);
    assert_int_equal(beamd_clock_offset_counts(table).steps, 0);
}

/* Any number may stand in the field: never a negative transit, nothing undefined. */
static void lies_do_no_harm_to_others(void **state)
{
    beamd_clock_offset *table = *state;
    sender s = {.name = "honest",
                .drift = 100e-6,
                .jitter_ns = 30e3,
                .every_ns = 1000000,
                .sent_ns = SECOND};
    static const uint64_t extremes[] = {1, UINT64_MAX, UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1};
    warm_up(table, &s, 20);
    for (int k = 0; k < 100000; k++) {
        const uint64_t lie = k % 3 ? draw() : extremes[draw() % 4];
        const beamd_clock_estimate e = beamd_clock_offset_take(table, "liar", 4, s.sent_ns, lie);
        assert_true(e.transit_ns <= 10 * SECOND);
        assert_true(fabs(e.drift) <= 500e-6);
        const heard h = send_one(table, &s);
        assert_true(h.estimate.known);
        assert_true(fabs((double)h.estimate.transit_ns - (double)h.beyond_ns) < 20e3);
    }
}

int main(void)
{
#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_TABLE(nothing_is_said_without_a_clock_or_too_soon),
        cmocka_unit_test_setup(drift_is_followed, NULL),
        WITH_TABLE(the_first_seconds_are_bounded_by_the_drift),
        WITH_TABLE(a_clock_set_forward_is_seen_at_once),
        WITH_TABLE(a_clock_set_back_is_seen_after_a_while),
        WITH_TABLE(a_slower_way_becomes_the_fastest),
        WITH_TABLE(a_stall_is_no_step),
        WITH_TABLE(reordering_does_no_harm),
        WITH_TABLE(a_full_table_forgets_the_most_silent),
        WITH_TABLE(a_long_silence_is_a_new_start),
        WITH_TABLE(lies_do_no_harm_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
