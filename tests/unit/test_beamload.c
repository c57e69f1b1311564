/* The parts of beamload that need no peer: percentiles, schedules, frames, command lines, traces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "load/fleet.h"
#include "load/histogram.h"
#include "load/replay.h"
#include "load/schedule.h"
#include "load/trace.h"

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Within 0.1 % of the sorted sample of that rank, never under it. */
static void percentiles_are_those_of_the_sorted_samples(void **state)
{
    enum { SAMPLES = 20000 };
    static const double parts[] = {0, 0.001, 0.5, 0.9, 0.99, 0.999, 1};
    uint64_t *sample = calloc(SAMPLES, sizeof *sample), random = 7;
    load_histogram *h = calloc(2, sizeof *h);
    (void)state;
    for (int k = 0; k < SAMPLES; k++) {
        sample[k] = load_random_bits(&random) >> (24 + load_random_bits(&random) % 40);
        load_histogram_add(&h[k % 2], sample[k]);
    }
    load_histogram_merge(&h[0], &h[1]);
    qsort(sample, SAMPLES, sizeof *sample, by_value);
    assert_int_equal(h->count, SAMPLES);
    assert_int_equal(h->max_ns, sample[SAMPLES - 1]);
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        const double rank = parts[p] * SAMPLES;
        const int at = rank < 1 ? 0 : (int)(rank + 0.999999) - 1;
        const double exact = (double)sample[at] / 1e3;
        const double got = load_histogram_quantile_us(h, parts[p]);
        assert_true(got >= exact);
        assert_true(got <= exact * 1.001 + 0.001);
    }
    free(sample);
    free(h);
}

static void an_empty_histogram_has_no_percentile(void **state)
{
    load_histogram *h = calloc(1, sizeof *h);
    (void)state;
    assert_true(load_histogram_quantile_us(h, 0.5) == 0);
    load_histogram_add(h, UINT64_MAX); /* beyond the scale: the maximum is still exact */
    assert_true(load_histogram_quantile_us(h, 0.5) == (double)UINT64_MAX / 1e3);
    free(h);
}

static uint64_t count_until(const load_traffic *traffic, int clusters, uint64_t until_ns,
                            uint64_t *digest, int *together)
{
    load_schedule s;
    uint64_t count = 0, last = 0;
    assert_int_equal(load_schedule_create(&s, traffic, clusters, 0), 0);
    *digest = 0;
    *together = 0;
    for (const load_due *due; (due = load_schedule_next(&s))->at_ns < until_ns;
         load_schedule_advance(&s)) {
        assert_true(due->at_ns >= last);
        assert_true(due->first >= 0 && due->first + due->count <= clusters);
        last = due->at_ns;
        count += (uint64_t)due->count;
        *digest = (*digest ^ due->at_ns ^ (uint64_t)due->first) * UINT64_C(0x100000001b3);
        *together = due->count > *together ? due->count : *together;
    }
    load_schedule_destroy(&s);
    return count;
}

/* The rate is kept by every process of arrivals, and a seed gives the same instants again. */
static void schedules_keep_the_rate_and_repeat(void **state)
{
    const uint64_t until = UINT64_C(20) * 1000000000u;
    (void)state;
    for (int kind = LOAD_ARRIVALS_PERIODIC; kind <= LOAD_ARRIVALS_BURST; kind++) {
        load_traffic traffic = {
            .rate_hz = 100, .arrivals = (load_arrivals)kind, .burst = 5, .seed = 3};
        uint64_t first, second, other;
        int together;
        const uint64_t count = count_until(&traffic, 12, until, &first, &together);
        const double expected = 20.0 * 100 * 12;
        assert_true((double)count > 0.93 * expected && (double)count < 1.07 * expected);
        assert_int_equal(together, kind == LOAD_ARRIVALS_BURST ? 5 : 1);
        count_until(&traffic, 12, until, &second, &together);
        assert_true(first == second);
        traffic.seed = 4;
        count_until(&traffic, 12, until, &other, &together);
        assert_true(first != other);
    }
}

static void target_updates_are_scheduled_beside(void **state)
{
    const load_traffic traffic = {.rate_hz = 10, .target_rate_hz = 5, .seed = 1};
    load_schedule s;
    int targets = 0, csi = 0;
    (void)state;
    assert_int_equal(load_schedule_create(&s, &traffic, 2, 0), 0);
    while (load_schedule_next(&s)->at_ns < UINT64_C(10000000000)) {
        targets += load_schedule_next(&s)->targets;
        csi += !load_schedule_next(&s)->targets;
        load_schedule_advance(&s);
    }
    load_schedule_destroy(&s);
    assert_int_equal(targets, 100);
    assert_int_equal(csi, 200);
}

static int parse(load_options *options, char *text, load_error *err)
{
    static char *argv[64]; /* options.rest points into it */
    static char program[] = "beamload";
    int argc = 0;
    argv[argc++] = program;
    for (char *word = strtok(text, " "); word && argc < 63; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    return load_options_parse(options, argc, argv, err);
}

static void wrong_command_lines_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "a command is needed"},
        {"fly", "no such command"},
        {"run --unknown 3", "no such option"},
        {"run --rate", "needs a value"},
        {"run --rate x", "not a number"},
        {"run --rate nan", "not a number"},
        {"run --rate inf", "not a number"},
        {"run --rate 1e400", "not a number"},
        {"run --rate 0", "must be from"},
        {"run --rate 3x", "not a number"},
        {"run --clusters 1.5", "not a whole number"},
        {"run --clusters 99999", "must be from"},
        {"run --clusters -1", "must be from"},
        {"run --stations 17", "must be from"},
        {"run --deadline 5", "not a duration"},
        {"run --deadline 5lightyears", "not a duration"},
        {"run --deadline 1us", "must be from"},
        {"run --duration -3s", "must be from"},
        {"run --arrivals sometimes", "not one of periodic|poisson|burst"},
        {"run --preferences 0.1,", "trade-offs from 0 to 1"},
        {"run --preferences 0.1,0.2,0.3,0.4,0.5", "more than 4"},
        {"run --preferences 2", "trade-offs from 0 to 1"},
        {"run --mix 3x5x3", "not LxNxUxJ"},
        {"run --mix 3x5x3x2x1x1", "not LxNxUxJ"},
        {"run --mix 3x5x3x99", "at most 16x256x128x16x275"},
        {"run --mix 3x5x3x2:0", "not LxNxUxJ"},
        {"run --mix 3x5x3x2,", "sizes are"},
        {"run --prefix a/b", "letters, digits"},
        {"run --rate 3 --total-rate 4", "exclude each other"},
        {"run --json=yes", "takes no value"},
        {"run file", "what is this argument"},
        {"capacity --rate 5", "does not belong"},
        {"replay", "exactly one FILE"},
        {"replay a b", "exactly one FILE"},
        {"record a", "--listen"},
        {"restart", "needs -- and"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        load_options options;
        load_error err = {""};
        char line[128];
        snprintf(line, sizeof line, "beamload %s", cases[k].line);
        char *words = strchr(line, ' ');
        *words++ = 0;
        if (parse(&options, words, &err) != -1 || !strstr(err.text, cases[k].says)) {
            fail_msg("beamload %s: \"%s\", expected \"%s\"", cases[k].line, err.text,
                     cases[k].says);
        }
    }
}

static void right_command_lines_are_taken(void **state)
{
    load_options o;
    load_error err;
    char run[] = "run --rate=250 --deadline 500us --mix 3x5x3x2:3,4x64x12x3x8 --clusters 4 "
                 "--preferences 0,0.5,1 --speed 36 --json";
    char replay[] = "replay --speed 2.5 file.trace --json";
    char record[] = "record file.trace --listen ipc://x";
    (void)state;
    assert_int_equal(parse(&o, run, &err), 0);
    assert_true(o.rate_hz == 250 && o.deadline_s == 500e-6 && o.json && o.speed_m_s == 10);
    assert_int_equal(o.shape_count, 2);
    assert_int_equal(o.shapes[1].antennas, 64);
    assert_int_equal(o.shapes[1].subbands, 8);
    assert_int_equal(o.preference_count, 3);
    assert_int_equal(parse(&o, replay, &err), 0);
    assert_true(o.replay_speed == 2.5 && o.json && strcmp(o.rest[0], "file.trace") == 0);
    assert_int_equal(parse(&o, record, &err), 0);
    assert_string_equal(o.rest[0], "file.trace");
    assert_string_equal(o.listen, "ipc://x");
}

static load_fleet *small_fleet(load_options *o, const char *mix)
{
    static char line[128];
    load_error err;
    snprintf(line, sizeof line, "run --clusters 5 --pool 4 --mix %s", mix);
    assert_int_equal(parse(o, line, &err), 0);
    load_fleet *fleet = load_fleet_create(o, &err);
    assert_non_null(fleet);
    return fleet;
}

/* Every frame passes the wire's own checks, patched, and neighbours in time resemble each other. */
static void frames_are_valid_and_correlated(void **state)
{
    load_options o;
    load_fleet *fleet = small_fleet(&o, "3x5x3x2:0.6,2x4x2x1x3:0.4");
    void *memory = malloc(beam_wire_arena_bytes(1 << 20));
    beam_wire_arena arena;
    int sizes[2] = {0, 0};
    (void)state;
    beam_wire_arena_init(&arena, memory, beam_wire_arena_bytes(1 << 20));
    for (int k = 0; k < fleet->count; k++) {
        load_cluster *c = &fleet->clusters[k];
        sizes[c->shape == &o.shapes[1]]++;
        assert_ptr_equal(load_fleet_find(fleet, c->id), c);
        for (uint64_t sequence = 1; sequence < 20; sequence++) {
            const load_frame *f = load_pool_patch(&c->csi, sequence, 1000 + sequence);
            beam_wire_header header;
            beam_wire_error err;
            ProtobufCMessage *message;
            beam_wire_arena_reset(&arena);
            assert_int_equal(beam_wire_unpack(&header, &message, &arena, f->bytes, f->size, &err),
                             0);
            const Beamd__CsiUpdate *m = (const Beamd__CsiUpdate *)message;
            assert_int_equal(header.sequence, sequence);
            assert_int_equal(m->sender_time_ns, 1000 + sequence);
            assert_int_equal(m->deadline_us, 20000);
            assert_int_equal(m->n_subbands, (size_t)c->shape->subbands);
        }
        /* forwards, backwards: 0 1 2 3 2 1 0 1 ... */
        assert_ptr_equal(load_pool_frame(&c->csi, 1), load_pool_frame(&c->csi, 7));
        assert_ptr_equal(load_pool_frame(&c->csi, 3), load_pool_frame(&c->csi, 5));
        assert_ptr_not_equal(load_pool_frame(&c->csi, 1), load_pool_frame(&c->csi, 2));
    }
    assert_int_equal(sizes[0], 3);
    assert_int_equal(sizes[1], 2);
    assert_null(load_fleet_find(fleet, "load-5"));
    assert_null(load_fleet_find(fleet, "load-"));
    assert_null(load_fleet_find(fleet, "load-01"));
    assert_null(load_fleet_find(fleet, "other-1"));
    free(memory);
    load_fleet_destroy(&fleet);
}

/* Jakes: E[h(t) conj h(t + d)] is J0(2 pi f_D d) of the power; the mean over links and antennas. */
static void fading_follows_the_doppler(void **state)
{
    enum { N = 256, L = 3, U = 12 };
    load_options o;
    load_error err;
    char line[] = "run --speed 36 --carrier 3.5e9";
    const load_shape shape = {L, N, U, 1, 1, 1};
    double *a = calloc(2 * L * U * N, sizeof *a), *b = calloc(2 * L * U * N, sizeof *b);
    double radius[L * U];
    (void)state;
    assert_int_equal(parse(&o, line, &err), 0);
    const double doppler_hz = 10 * 3.5e9 / 299792458.0; /* 117 Hz */
    static const struct {
        double turns, expected; /* J0(2 pi turns) */
    } points[] = {{0, 1}, {0.1, 0.9037}, {0.25, 0.4720}, {0.3827, 0}};
    for (size_t p = 0; p < sizeof points / sizeof points[0]; p++) {
        double product = 0, power = 0;
        for (uint64_t seed = 0; seed < 8; seed++) {
            load_world *world = load_world_create(&o, &shape, seed);
            assert_non_null(world);
            load_world_channels(world, 0, 0, a, radius);
            load_world_channels(world, points[p].turns / doppler_hz, 0, b, radius);
            for (int k = 0; k < 2 * L * U * N; k++) {
                const double weight = 1 / (radius[k / (2 * N)] * radius[k / (2 * N)]);
                product += a[k] * b[k] * weight;
                power += a[k] * a[k] * weight;
            }
            load_world_destroy(&world);
        }
        assert_true(product / power > points[p].expected - 0.08);
        assert_true(product / power < points[p].expected + 0.08);
    }
    free(a);
    free(b);
}

static void a_ring_finds_what_is_open_and_tells_what_it_loses(void **state)
{
    load_slot slots[4] = {{0}};
    load_ring ring = {.slots = slots, .mask = 3};
    bool lost;
    (void)state;
    assert_null(load_ring_find(&ring, 0));
    assert_null(load_ring_find(&ring, 1));
    for (uint64_t k = 1; k <= 4; k++) {
        load_ring_next(&ring, &lost);
        assert_false(lost);
    }
    assert_int_equal(load_ring_find(&ring, 2)->sequence, 2);
    load_ring_find(&ring, 1)->open = false;
    load_ring_next(&ring, &lost); /* 5 takes the place of 1, which was answered */
    assert_false(lost);
    assert_null(load_ring_find(&ring, 1));
    load_ring_next(&ring, &lost); /* 6 takes that of 2, which was not */
    assert_true(lost);
}

static void write_trace(const char *path)
{
    load_error err;
    load_trace_writer *w = load_trace_create(path, &err);
    const uint64_t now = load_now_ns();
    assert_non_null(w);
    assert_null(load_trace_create(path, &err)); /* never over a file that is there */
    assert_int_equal(load_trace_write(w, now + 10, 0, LOAD_DIRECTION_TO_DAEMON, "abc", 3, &err), 0);
    assert_int_equal(load_trace_write(w, now + 20, 1, LOAD_DIRECTION_TO_CLIENT, "", 0, &err), 0);
    assert_int_equal(load_trace_write(w, now + 30, 1, LOAD_DIRECTION_TO_DAEMON, "defgh", 5, &err),
                     0);
    assert_int_equal(load_trace_finish(&w, &err), 0);
}

/* Records read before the end or the first fault. *faulty: something was refused with a reason. */
static int read_trace(const char *path, bool *faulty, bool *whole)
{
    load_trace t;
    load_record r;
    load_error err = {""};
    int count = 0, got = -1;
    *whole = false;
    if (load_trace_open(&t, path, &err) == 0) {
        while ((got = load_trace_read(&t, &r, &err)) == 1) {
            count++;
        }
        *whole = t.whole;
        load_trace_close(&t);
    }
    *faulty = got < 0;
    assert_true(!*faulty || err.text[0]);
    return count;
}

static void put_file(const char *path, const unsigned char *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* No byte of a trace can change, and none be cut off, without being noticed. */
static void every_damage_to_a_trace_is_noticed(void **state)
{
    char path[] = "/tmp/beamload-test-XXXXXX";
    unsigned char bytes[512];
    bool faulty, whole;
    (void)state;
    assert_non_null(mkdtemp(path));
    char file[64];
    snprintf(file, sizeof file, "%s/trace", path);
    write_trace(file);
    FILE *f = fopen(file, "rb");
    assert_non_null(f);
    const size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_int_equal(size, 64 + 4 * 24 + 8);
    assert_int_equal(read_trace(file, &faulty, &whole), 3);
    assert_true(!faulty && whole);
    for (size_t k = 0; k < size; k++) {
        bytes[k] ^= 0x41;
        put_file(file, bytes, size);
        bytes[k] ^= 0x41;
        read_trace(file, &faulty, &whole);
        /* a longer frame than the file has looks like one that was cut off */
        assert_true(faulty || !whole);
    }
    for (size_t k = 0; k < size; k++) {
        put_file(file, bytes, k);
        read_trace(file, &faulty, &whole);
        assert_true(faulty || !whole);
    }
    bytes[size] = 0;
    put_file(file, bytes, size + 1);
    read_trace(file, &faulty, &whole);
    assert_true(faulty);
    unlink(file);
    rmdir(path);
}

static void a_replay_matches_answers_of_every_kind(void **state)
{
    load_book book;
    (void)state;
    assert_int_equal(load_book_create(&book, 10), 0);
    load_book_add(&book, 0, load_book_kind(BEAM_WIRE_CSI_UPDATE), "a", 1);
    load_book_add(&book, 1, load_book_kind(BEAM_WIRE_CSI_UPDATE), "a", 1);
    load_book_add(&book, 0, load_book_kind(BEAM_WIRE_TARGET_UPDATE), "a", 1);
    load_book_add(&book, 0, load_book_kind(BEAM_WIRE_USERS_JOIN), "b", 2);
    load_pending *again = load_book_add(&book, 0, load_book_kind(BEAM_WIRE_CSI_UPDATE), "a", 1);
    assert_int_equal(book.open, 5);
    assert_null(load_book_close(&book, 0, load_book_kind(BEAM_WIRE_SOLUTION), "a", 2));
    assert_null(load_book_close(&book, 2, load_book_kind(BEAM_WIRE_SOLUTION), "a", 1));
    assert_non_null(load_book_close(&book, 0, load_book_kind(BEAM_WIRE_SOLUTION_SET), "b", 2));
    assert_non_null(load_book_close(&book, 0, load_book_kind(BEAM_WIRE_SOLUTION), "a", 1));
    assert_ptr_equal(load_book_close(&book, 0, load_book_kind(BEAM_WIRE_SOLUTION), "a", 1), again);
    assert_null(load_book_close(&book, 0, load_book_kind(BEAM_WIRE_SOLUTION), "a", 1));
    assert_non_null(load_book_close(&book, 0, BEAM_WIRE_TARGET_UPDATE, "a", 1));
    assert_int_equal(book.open, 1);
    load_book_destroy(&book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_those_of_the_sorted_samples),
        cmocka_unit_test(an_empty_histogram_has_no_percentile),
        cmocka_unit_test(schedules_keep_the_rate_and_repeat),
        cmocka_unit_test(target_updates_are_scheduled_beside),
        cmocka_unit_test(wrong_command_lines_are_refused_with_the_reason),
        cmocka_unit_test(right_command_lines_are_taken),
        cmocka_unit_test(frames_are_valid_and_correlated),
        cmocka_unit_test(fading_follows_the_doppler),
        cmocka_unit_test(a_ring_finds_what_is_open_and_tells_what_it_loses),
        cmocka_unit_test(every_damage_to_a_trace_is_noticed),
        cmocka_unit_test(a_replay_matches_answers_of_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
