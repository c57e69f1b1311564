/* The memory between beamd and its GPU's worker: what goes in comes out, and garbage of either side
 * is seen. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/random.h"
#include "ring/pack.h"
#include "ring/ring.h"

static const beamg_setup setup = {.generation = 3, .rooms = 1};

static beamg_area new_area(void)
{
    beamg_area area;
    char why[256];
    assert_int_equal(beamg_area_create(&area, 3, 5000, 3000, why, sizeof why), 0);
    beamg_area_reset(&area, &setup, 1000000);
    return area;
}

static void test_area(void **state)
{
    (void)state;
    beamg_area area = new_area(), other;
    char why[256];
    assert_int_equal(area.request_bytes % BEAMG_ALIGN, 0);
    /* its size is for ever: a worker that cuts it would kill the daemon with SIGBUS */
    assert_int_not_equal(ftruncate(area.fd, 64), 0);
    assert_int_not_equal(ftruncate(area.fd, (off_t)area.bytes * 2), 0);
    assert_int_equal(beamg_area_open(&other, dup(area.fd), why, sizeof why), 0);
    assert_int_equal(other.slots, 3);
    assert_int_equal(other.header->setup.generation, 3);
    memset(beamg_area_request(&area, 2), 0x5a, area.request_bytes);
    memset(beamg_area_answer(&area, 2), 0x11, area.answer_bytes);
    const unsigned char *seen = beamg_area_request(&other, 2);
    assert_true(seen[0] == 0x5a && seen[other.request_bytes - 1] == 0x5a);
    assert_ptr_equal(seen + other.request_bytes, beamg_area_answer(&other, 2));
    assert_ptr_equal((unsigned char *)other.header + other.bytes,
                     (unsigned char *)beamg_area_answer(&other, 2) + other.answer_bytes);
    beamg_area_close(&other);

    area.header->version++;
    assert_int_equal(beamg_area_open(&other, area.fd, why, sizeof why), -1);
    assert_non_null(strstr(why, "version"));
    beamg_area_close(&area);

    assert_int_equal(beamg_area_create(&area, 0, 5000, 3000, why, sizeof why), -1);
    assert_int_equal(beamg_area_create(&area, BEAMG_SLOTS_MAX + 1, 5000, 3000, why, sizeof why),
                     -1);
    assert_int_equal(
        beamg_area_create(&area, 1, (size_t)BEAMG_BYTES_MAX + 1, 3000, why, sizeof why), -1);
    assert_int_equal(beamg_area_open(&other, STDERR_FILENO, why, sizeof why), -1);
    const int plain = memfd_create("plain", MFD_CLOEXEC);
    assert_int_equal(ftruncate(plain, 1 << 20), 0);
    assert_int_equal(beamg_area_open(&other, plain, why, sizeof why), -1); /* not sealed */
    close(plain);
}

/* Any header is refused or is one whose slots lie inside. */
static void test_area_garbage(void **state)
{
    (void)state;
    test_random random = test_random_new(11);
    beamg_area area = new_area(), other;
    char why[256];
    unsigned opened = 0;
    for (int i = 0; i < 3000; i++) {
        beamg_area_reset(&area, &setup, 1000000);
        unsigned char *at = (unsigned char *)area.header;
        const int count = test_random_int(&random, 1, 4);
        for (int k = 0; k < count; k++) {
            at[test_random_int(&random, 0, 47)] = (unsigned char)test_random_bits(&random);
        }
        const int fd = dup(area.fd);
        if (beamg_area_open(&other, fd, why, sizeof why) != 0) {
            close(fd);
            continue;
        }
        opened++;
        assert_true((unsigned char *)beamg_area_answer(&other, other.slots - 1) +
                        other.answer_bytes ==
                    (unsigned char *)other.header + other.bytes);
        beamg_area_close(&other);
    }
    assert_true(opened < 1500); /* most are refused */
    beamg_area_close(&area);
}

/* --- Rings --- */

enum { TURNS = 30000 };

static void *produce(void *arg)
{
    beamg_end end = {.ring = arg};
    for (uint64_t i = 1; i <= TURNS;) {
        const beamg_descriptor d = {.ticket = i, .bytes = ~i, .slot = (uint32_t)i};
        const beamg_ring_code code = beamg_push(&end, &d);
        if (code == BEAMG_RING_BAD) {
            return arg;
        }
        i += code == BEAMG_RING_DONE;
        if (code == BEAMG_RING_NONE) {
            sched_yield();
        }
    }
    return NULL;
}

static void test_ring_order(void **state)
{
    (void)state;
    beamg_area area = new_area();
    beamg_end end = {.ring = &area.header->request};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce, end.ring), 0);
    for (uint64_t i = 1; i <= TURNS;) {
        beamg_descriptor d;
        const beamg_ring_code code = beamg_pop(&end, &d);
        assert_int_not_equal(code, BEAMG_RING_BAD);
        if (code == BEAMG_RING_NONE) {
            sched_yield();
            continue;
        }
        assert_true(d.ticket == i && d.bytes == ~i && d.slot == (uint32_t)i);
        i++;
    }
    void *failed = &area;
    pthread_join(thread, &failed);
    assert_null(failed);
    beamg_area_close(&area);
}

static void test_ring_garbage(void **state)
{
    (void)state;
    beamg_area area = new_area();
    beamg_end end = {.ring = &area.header->request};
    beamg_descriptor d = {.ticket = 1};
    for (unsigned i = 0; i < BEAMG_RING_ENTRIES; i++) {
        assert_int_equal(beamg_push(&end, &d), BEAMG_RING_DONE);
    }
    assert_int_equal(beamg_push(&end, &d), BEAMG_RING_NONE);
    atomic_store(&end.ring->head, 1000); /* taken what was never there */
    assert_int_equal(beamg_push(&end, &d), BEAMG_RING_BAD);
    beamg_end consumer = {.ring = &area.header->answer};
    assert_int_equal(beamg_pop(&consumer, &d), BEAMG_RING_NONE);
    atomic_store(&consumer.ring->tail, BEAMG_RING_ENTRIES + 1);
    assert_int_equal(beamg_pop(&consumer, &d), BEAMG_RING_BAD);
    atomic_store(&consumer.ring->tail, UINT64_MAX);
    assert_int_equal(beamg_pop(&consumer, &d), BEAMG_RING_BAD);
    test_random random = test_random_new(5);
    unsigned bad = 0;
    for (int i = 0; i < 100000; i++) {
        atomic_store(&consumer.ring->tail,
                     test_random_bits(&random) >> test_random_int(&random, 0, 63));
        atomic_store(&consumer.ring->head, test_random_bits(&random));
        const uint64_t before = consumer.next;
        const beamg_ring_code code = beamg_pop(&consumer, &d);
        assert_true(consumer.next == before + (code == BEAMG_RING_DONE));
        bad += code == BEAMG_RING_BAD;
    }
    assert_true(bad > 50000);
    beamg_area_close(&area);
}

static void test_text(void **state)
{
    (void)state;
    char out[8];
    const char raw[4] = {'a', '\n', '\xff', 'b'};
    beamg_text_copy(out, sizeof out, raw, sizeof raw);
    assert_string_equal(out, "a??b");
    beamg_text_copy(out, sizeof out, "0123456789", 10);
    assert_string_equal(out, "0123456");
}

/* --- Batches --- */

enum { SCENES = 3, PROBLEMS = 6, MEMORY = 1 << 20 };

typedef struct batch {
    beam_scene *scene[SCENES];
    beam_design *warm[PROBLEMS];
    double *rows;
    beamg_place place[PROBLEMS];
    unsigned char *request;
    uint64_t bytes;
    size_t answer_bytes;
} batch;

/* Scene 1 shares the frame of scene 0. */
static beam_code fill(batch *b, void *request, size_t bytes, size_t answer_bytes)
{
    static const uint32_t frame_of[SCENES] = {0, 0, 1};
    beamg_writer w;
    beam_error err;
    const beam_ideal ideal = {.wsr_ideal_bps_hz = 7, .crlb_min_m2 = 0.25};
    beam_code code = beamg_write_begin(&w, request, bytes, answer_bytes, 2, SCENES, PROBLEMS, &err);
    code = code ? code : beamg_write_frame(&w, b->scene[0], 99, NULL, false, &err);
    code = code ? code : beamg_write_frame(&w, b->scene[2], 0, b->rows, true, &err);
    for (uint32_t i = 0; code == BEAM_OK && i < SCENES; i++) {
        code = beamg_write_scene(&w, frame_of[i], b->scene[i], &ideal, &err);
    }
    for (uint32_t p = 0; code == BEAM_OK && p < PROBLEMS; p++) {
        code = beamg_write_problem(&w, p / 2, 0.125 * p, b->warm[p], 0, 0, &b->place[p], &err);
    }
    b->bytes = code == BEAM_OK ? beamg_write_end(&w, 1234) : 0;
    b->answer_bytes = w.answer_used;
    return code;
}

static batch new_batch(uint64_t seed)
{
    test_random random = test_random_new(seed);
    batch b = {.request = test_memory(MEMORY)};
    const beam_dims dims = test_random_dims(&random, true), other = test_random_dims(&random, true);
    b.scene[0] = test_random_scene(&random, &dims, 0.1);
    b.scene[1] = test_scene_clone(b.scene[0]);
    b.scene[2] = test_random_scene(&random, &other, 0.1);
    b.rows = test_memory(beam_solver_sensing_bytes(&other));
    memset(b.rows, 0x21, beam_solver_sensing_bytes(&other));
    for (int p = 0; p < PROBLEMS; p += 2) {
        b.warm[p] = test_random_design(&random, b.scene[p / 2], -1);
    }
    assert_int_equal(fill(&b, b.request, MEMORY, MEMORY), BEAM_OK);
    assert_true(b.bytes > 0);
    return b;
}

static void free_batch(batch *b)
{
    for (int i = 0; i < SCENES; i++) {
        test_scene_free(b->scene[i]);
    }
    for (int p = 0; p < PROBLEMS; p += 2) {
        test_design_free(b->warm[p]);
    }
    free(b->rows);
    free(b->request);
}

static void assert_same(const void *a, const void *b, size_t bytes)
{
    if (bytes > 0) {
        assert_memory_equal(a, b, bytes);
    }
}

static void assert_scene(const beam_scene *a, const beam_scene *b)
{
    const size_t L = (size_t)a->dims.stations, U = (size_t)a->dims.users,
                 J = (size_t)a->dims.targets, N = (size_t)a->dims.antennas;
    assert_memory_equal(&a->dims, &b->dims, sizeof a->dims);
    assert_true(a->sensing == b->sensing && a->snapshots == b->snapshots &&
                a->bandwidth_hz == b->bandwidth_hz && a->array == b->array &&
                a->user_antennas == b->user_antennas &&
                a->skip_unidentifiable == b->skip_unidentifiable);
    assert_same(a->station_position_m, b->station_position_m, 16 * L);
    assert_same(a->station_axis_rad, b->station_axis_rad, 8 * L);
    assert_same(a->station_power_w, b->station_power_w, 8 * L);
    assert_same(a->station_echo_noise_w, b->station_echo_noise_w, 8 * L);
    assert_same(a->user_weight, b->user_weight, 8 * U);
    assert_same(a->user_noise_w, b->user_noise_w, 8 * U);
    assert_same(a->user_min_rate_bps_hz, b->user_min_rate_bps_hz, 8 * U);
    assert_same(a->user_station, b->user_station, 4 * U);
    assert_same(a->target_position_m, b->target_position_m, 16 * J);
    assert_same(a->reflection, b->reflection, 16 * L * J * L);
    assert_same(a->channel, b->channel, 16 * L * U * N);
    assert_same(a->error_radius, b->error_radius, 8 * L * U);
}

static void test_requests(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        batch b = new_batch(seed);
        beamg_request r;
        beam_error err;
        test_must(beamg_request_open(&r, b.request, b.bytes, b.answer_bytes, &err), &err, "open");
        for (uint32_t i = 0; i < SCENES; i++) {
            beam_scene view;
            beamg_request_scene(&r, i, &view);
            assert_scene(&view, b.scene[i]);
            assert_true(beamg_request_ideal(&r, i).crlb_min_m2 == 0.25);
        }
        bool moved;
        assert_null(beamg_request_rows(&r, 0, &moved));
        assert_same(beamg_request_rows(&r, 1, &moved), b.rows,
                    beam_solver_sensing_bytes(&b.scene[2]->dims));
        assert_true(moved);
        for (uint32_t p = 0; p < PROBLEMS; p++) {
            beam_design view;
            assert_true(beamg_request_warm(&r, p, &view) == (p % 2 == 0));
            if (p % 2 == 0) {
                const beam_design *w = b.warm[p];
                const size_t N = (size_t)w->dims.antennas, L = (size_t)w->dims.stations;
                assert_same(view.beams, w->beams, (size_t)w->dims.users * N * 16);
                assert_same(view.sensing, w->sensing, L * (size_t)w->sensing_max * N * 16);
                assert_same(view.sensing_count, w->sensing_count, 4 * L);
            }
        }
        free_batch(&b);
    }
}

/* Every size that is too small is refused, and nothing is written behind it (ASan sees that). */
static void test_request_limits(void **state)
{
    (void)state;
    batch b = new_batch(3);
    const uint64_t need = b.bytes, answer_need = b.answer_bytes;
    for (size_t bytes = 0; bytes < need; bytes += bytes < need - 200 ? 97 : 1) {
        unsigned char *small = test_memory(bytes);
        assert_int_equal(fill(&b, small, bytes, MEMORY), BEAM_E_LIMIT);
        free(small);
    }
    for (size_t bytes = 0; bytes < answer_need; bytes += 61) {
        assert_int_equal(fill(&b, b.request, MEMORY, bytes), BEAM_E_LIMIT);
    }
    assert_int_equal(fill(&b, b.request, need, answer_need), BEAM_OK);
    free_batch(&b);
}

static double touch(const double *at, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += at[i];
    }
    return sum;
}

/* A request that is accepted can be read whole. */
static double read_all(const beamg_request *r)
{
    double sum = 0;
    for (uint32_t i = 0; i < r->head.scenes; i++) {
        beam_scene s;
        beamg_request_scene(r, i, &s);
        const size_t L = (size_t)s.dims.stations, U = (size_t)s.dims.users,
                     J = (size_t)s.dims.targets, N = (size_t)s.dims.antennas;
        sum += touch(s.station_position_m, 2 * L) + touch(&s.reflection[0].re, 2 * L * J * L) +
               touch(&s.channel[0].re, 2 * L * U * N) + touch(s.error_radius, L * U);
        for (size_t u = 0; u < U; u++) {
            sum += s.user_station[u];
        }
        bool moved;
        const double *rows = beamg_request_rows(r, r->scene[i].frame, &moved);
        sum += rows ? touch(rows, beam_solver_sensing_bytes(&s.dims) / sizeof *rows) : 0;
    }
    for (uint32_t p = 0; p < r->head.problems; p++) {
        beam_design d;
        if (beamg_request_warm(r, p, &d)) {
            const size_t row = 2 * (size_t)d.dims.antennas;
            sum += touch(&d.beams[0].re, (size_t)d.dims.users * row);
            for (int l = 0; l < d.dims.stations; l++) {
                sum += touch(&d.sensing[0].re, (size_t)d.sensing_count[l] * row);
            }
        }
    }
    return sum;
}

static void test_request_fuzz(void **state)
{
    (void)state;
    test_random random = test_random_new(77);
    batch b = new_batch(9);
    unsigned char *copy = test_memory(b.bytes);
    unsigned accepted = 0;
    const int rounds = 30000;
    for (int i = 0; i < rounds; i++) {
        memcpy(copy, b.request, b.bytes);
        const int count = test_random_int(&random, 1, 3);
        for (int k = 0; k < count; k++) {
            const int at = test_random_int(&random, 0, (int)(b.bytes < 1200 ? b.bytes : 1200) - 1);
            copy[at] = (unsigned char)(test_random_int(&random, 0, 1) ? test_random_bits(&random)
                                                                      : (uint64_t)copy[at] + 1);
        }
        const size_t bytes = test_random_int(&random, 0, 9)
                                 ? b.bytes
                                 : (size_t)test_random_int(&random, 0, (int)b.bytes);
        beamg_request r;
        if (beamg_request_open(&r, copy, bytes, b.answer_bytes, NULL) == BEAM_OK) {
            accepted++;
            volatile double sum = read_all(&r);
            (void)sum;
        }
    }
    assert_true(accepted > 0 && accepted < (unsigned)rounds);
    free(copy);
    free_batch(&b);
}

/* --- Answers --- */

static beam_result a_result(void)
{
    return (beam_result){
        .method = BEAM_METHOD_NETWORK, .merit = 1.5, .crlb_m2 = 2, .iterations = 4};
}

static unsigned char *answer_batch(const batch *b, test_random *random, beam_design **design)
{
    unsigned char *answer = test_memory(b->answer_bytes);
    beamg_request r;
    assert_int_equal(beamg_request_open(&r, b->request, b->bytes, b->answer_bytes, NULL), BEAM_OK);
    beamg_answer_out out;
    beamg_answer_begin(&out, &r, answer);
    const beam_result result = a_result();
    for (uint32_t p = 0; p < PROBLEMS; p++) {
        design[p] = test_random_design(random, b->scene[p / 2], -1);
        beamg_answer_put(&out, p, p == 5 ? BEAM_E_NUMERIC : BEAM_OK, design[p], &result, 0.5);
    }
    beamg_answer_end(&out, 42, 1, 10, 20);
    return answer;
}

static void test_answers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        test_random random = test_random_new(seed);
        batch b = new_batch(seed);
        beam_design *design[PROBLEMS];
        unsigned char *answer = answer_batch(&b, &random, design);
        beamg_answer_head head;
        assert_int_equal(beamg_answer_open(&head, answer, 42, PROBLEMS, NULL), BEAM_OK);
        assert_int_equal(beamg_answer_open(&head, answer, 41, PROBLEMS, NULL), BEAM_E_INVALID);
        assert_int_equal(beamg_answer_open(&head, answer, 42, 1, NULL), BEAM_E_INVALID);
        for (uint32_t p = 0; p < PROBLEMS; p++) {
            beam_design *out = test_design_new(&b.scene[p / 2]->dims, -1);
            beam_result result;
            double merit;
            beam_error err;
            const beam_code code =
                beamg_answer_take(answer, p, &b.place[p], out, &result, &merit, &err);
            assert_int_equal(code, p == 5 ? BEAM_E_NUMERIC : BEAM_OK);
            if (p != 5) {
                assert_true(result.merit == 1.5 && result.iterations == 4 && merit == 0.5);
                beam_design *difference = test_design_clone(out);
                test_design_step(difference, out, -1, design[p]);
                assert_true(test_design_norm(difference) == 0);
                test_design_free(difference);
            }
            test_design_free(out);
            test_design_free(design[p]);
        }
        free(answer);
        free_batch(&b);
    }
}

static void assert_finite(const beam_design *d)
{
    const size_t N = (size_t)d->dims.antennas;
    for (size_t i = 0; i < (size_t)d->dims.users * N; i++) {
        assert_true(isfinite(d->beams[i].re) && isfinite(d->beams[i].im));
    }
    for (int l = 0; l < d->dims.stations; l++) {
        assert_true(d->sensing_count[l] >= 0 && d->sensing_count[l] <= d->sensing_max);
        const beam_complex *row = d->sensing + (size_t)(l * d->sensing_max) * N;
        for (size_t i = 0; i < (size_t)d->sensing_count[l] * N; i++) {
            assert_true(isfinite(row[i].re) && isfinite(row[i].im));
        }
    }
}

/* What is taken is finite and in range, whatever is there; most of it is refused. */
static void test_answer_fuzz(void **state)
{
    (void)state;
    test_random random = test_random_new(123);
    batch b = new_batch(17);
    beam_design *design[PROBLEMS];
    unsigned char *answer = answer_batch(&b, &random, design), *copy = test_memory(b.answer_bytes);
    unsigned refused = 0, taken = 0;
    for (int i = 0; i < 20000; i++) {
        const uint32_t p = (uint32_t)test_random_int(&random, 0, PROBLEMS - 2);
        memcpy(copy, answer, b.answer_bytes);
        const bool all = i % 20 == 0;
        for (size_t k = 0; k < (all ? b.answer_bytes : 6); k++) {
            const size_t at =
                all     ? k
                : k % 2 ? (size_t)test_random_int(&random, 0, (int)b.answer_bytes - 1)
                        : 64 + p * sizeof(beamg_result) + (size_t)test_random_int(&random, 0, 151);
            copy[at] = (unsigned char)test_random_bits(&random);
        }
        beam_design *out = test_design_new(&b.scene[p / 2]->dims, -1);
        beam_result result;
        double merit;
        beam_error err;
        if (beamg_answer_take(copy, p, &b.place[p], out, &result, &merit, &err) == BEAM_OK) {
            taken++;
            assert_finite(out);
            assert_true(isfinite(result.merit) && isfinite(result.crlb_m2));
        } else {
            refused++;
        }
        test_design_free(out);
    }
    assert_true(taken > 100 && refused > 1000);
    for (uint32_t p = 0; p < PROBLEMS; p++) {
        test_design_free(design[p]);
    }
    free(copy);
    free(answer);
    free_batch(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_area),           cmocka_unit_test(test_area_garbage),
        cmocka_unit_test(test_ring_order),     cmocka_unit_test(test_ring_garbage),
        cmocka_unit_test(test_text),           cmocka_unit_test(test_requests),
        cmocka_unit_test(test_request_limits), cmocka_unit_test(test_request_fuzz),
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_answer_fuzz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
