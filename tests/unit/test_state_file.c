/* The record: what is written is read, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "state_file.h"

enum { USERS = 3, STATIONS = 2, ANTENNAS = 4, COLUMNS = 2, ROOM = 8192, TARGETS = 1 };

typedef struct sample {
    _Alignas(64) unsigned char bytes[ROOM];
    size_t size;
} sample;

static const unsigned char registration[] = "a registration, any bytes", targets[] = "targets!";
static const uint64_t user_id[USERS] = {7, UINT64_MAX, 3};
static const int user_station[USERS] = {0, 1, 1};

/* Laid out over static memory; every number another one. */
static beam_design *design(int users)
{
    static _Alignas(64) unsigned char memory[ROOM];
    static beam_design out;
    const beam_dims dims = {
        .stations = STATIONS, .antennas = ANTENNAS, .users = users, .targets = TARGETS};
    assert_int_equal(beam_design_init(&out, &dims, COLUMNS, memory, sizeof memory, NULL), BEAM_OK);
    for (int k = 0; k < users * ANTENNAS; k++) {
        out.beams[k] = (beam_complex){0.25 + k, -1.0 / (k + 1)};
    }
    out.sensing_count[0] = 1;
    out.sensing_count[1] = 2;
    for (int l = 0; l < STATIONS; l++) {
        for (int k = 0; k < out.sensing_count[l] * ANTENNAS; k++) {
            out.sensing[l * COLUMNS * ANTENNAS + k] = (beam_complex){1e-3 * k, l - 0.5};
        }
    }
    return &out;
}

static void write_parts(beamd_record_writer *w, void *out, size_t capacity)
{
    const beamd_record_header header = {
        .kind = BEAMD_RECORD_CLUSTER, .serial = 42, .unix_ns = 1700000000000000000u};
    const beamd_record_cluster facts = {.id = "cell-1.a",
                                        .has_csi_sequence = true,
                                        .csi_sequence = 99,
                                        .has_preference = true,
                                        .tradeoff = 0.375,
                                        .has_crlb_min = true,
                                        .crlb_min_m2 = 1e-3};
    const beamd_record_named named[2] = {{"balanced", 0.5}, {"locate", 1}};
    const beamd_record_ideal ideal[2] = {{0, 11.5}, {274, 0}};
    const double rows[3] = {2, 4, -0.75};
    beamd_record_design a = {.band = 0, .name = "balanced", .tradeoff = 0.5, .csi_sequence = 98};
    beamd_record_design b = {.band = 274, .name = "", .tradeoff = 1, .target_sequence = 5};
    beamd_record_begin(w, out, capacity, &header);
    beamd_record_put_cluster(w, &facts);
    beamd_record_put_registration(w, registration, sizeof registration);
    beamd_record_put_targets(w, targets, sizeof targets);
    beamd_record_put_rows(w, rows, 3);
    beamd_record_put_named(w, &named[0]);
    beamd_record_put_named(w, &named[1]);
    beamd_record_put_ideal(w, &ideal[0]);
    beamd_record_put_ideal(w, &ideal[1]);
    beamd_record_put_design(w, &a, user_id, user_station, design(USERS));
    beamd_record_put_design(w, &b, user_id, user_station, design(1));
}

static void make(sample *s)
{
    beamd_record_writer w;
    memset(s, 0xa5, sizeof *s); /* what is not written shows */
    write_parts(&w, s->bytes, sizeof s->bytes);
    s->size = beamd_record_end(&w);
    assert_true(s->size > 0 && s->size % 8 == 0);
    beamd_record_seal(s->bytes, s->size);
}

static void assert_taken(const beamd_record_design *read, int users)
{
    static _Alignas(64) unsigned char memory[ROOM];
    beam_design out;
    uint64_t id[USERS];
    int station[USERS];
    const beam_dims dims = {
        .stations = STATIONS, .antennas = ANTENNAS, .users = users, .targets = TARGETS};
    const int wide = COLUMNS + 3; /* room may be larger than what is there */
    assert_int_equal(beam_design_init(&out, &dims, wide, memory, sizeof memory, NULL), BEAM_OK);
    memset(out.sensing, 0xff, sizeof(beam_complex) * (size_t)(STATIONS * wide * ANTENNAS));
    assert_true(beamd_record_design_take(read, id, station, &out));
    const beam_design *want = design(users);
    assert_memory_equal(id, user_id, (size_t)users * sizeof *id);
    assert_memory_equal(station, user_station, (size_t)users * sizeof *station);
    assert_memory_equal(out.beams, want->beams, (size_t)(users * ANTENNAS) * sizeof *out.beams);
    for (int l = 0; l < STATIONS; l++) {
        const int count = want->sensing_count[l] * ANTENNAS;
        assert_int_equal(out.sensing_count[l], want->sensing_count[l]);
        assert_memory_equal(out.sensing + l * wide * ANTENNAS,
                            want->sensing + l * COLUMNS * ANTENNAS,
                            (size_t)count * sizeof *out.sensing);
        for (int k = count; k < wide * ANTENNAS; k++) {
            assert_true(out.sensing[l * wide * ANTENNAS + k].re == 0);
        }
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    sample s;
    beamd_record_view v;
    make(&s);
    assert_null(beamd_record_read(&v, s.bytes, sizeof s.bytes)); /* more may follow it */
    assert_int_equal(v.bytes, s.size);
    assert_int_equal(v.header.kind, BEAMD_RECORD_CLUSTER);
    assert_int_equal(v.header.serial, 42);
    assert_int_equal(v.header.unix_ns, 1700000000000000000u);
    assert_string_equal(v.cluster.id, "cell-1.a");
    assert_true(v.cluster.has_csi_sequence && v.cluster.csi_sequence == 99);
    assert_true(v.cluster.has_preference && v.cluster.tradeoff == 0.375);
    assert_true(v.cluster.has_crlb_min && v.cluster.crlb_min_m2 == 1e-3);
    assert_int_equal(v.registration_bytes, sizeof registration);
    assert_memory_equal(v.registration, registration, sizeof registration);
    assert_int_equal(v.targets_bytes, sizeof targets);
    assert_memory_equal(v.targets, targets, sizeof targets);
    double rows[3];
    assert_int_equal(v.rows_count, 3);
    assert_true(beamd_record_rows_take(&v, rows));
    assert_true(rows[0] == 2 && rows[1] == 4 && rows[2] == -0.75);
    assert_int_equal(v.named_count, 2);
    assert_string_equal(v.named[1].name, "locate");
    assert_true(v.named[1].tradeoff == 1);
    beamd_record_ideal ideal;
    size_t at = v.ideals_at;
    assert_true(beamd_record_next_ideal(&v, &at, &ideal));
    assert_true(ideal.band == 0 && ideal.wsr_bps_hz == 11.5);
    assert_true(beamd_record_next_ideal(&v, &at, &ideal));
    assert_true(ideal.band == 274 && ideal.wsr_bps_hz == 0);
    assert_false(beamd_record_next_ideal(&v, &at, &ideal));
    beamd_record_design d;
    at = v.designs_at;
    assert_true(beamd_record_next_design(&v, &at, &d));
    assert_int_equal(d.csi_sequence, 98);
    assert_string_equal(d.name, "balanced");
    assert_taken(&d, USERS);
    assert_true(beamd_record_next_design(&v, &at, &d));
    assert_true(d.band == 274 && d.target_sequence == 5 && d.users == 1);
    assert_taken(&d, 1);
    assert_false(beamd_record_next_design(&v, &at, &d));
}

/* The file of another machine and another day: the layout is a promise. */
static void the_layout_is_fixed(void **state)
{
    (void)state;
    sample s;
    make(&s);
    assert_memory_equal(s.bytes, "BEAMSTAT", 8);
    static const unsigned char after[] = {1, 0, 0, 0, 1, 0, 0, 0};
    assert_memory_equal(s.bytes + 8, after, sizeof after);
    assert_int_equal(s.bytes[24], 42);
    assert_int_equal(s.bytes[40], 10); /* sections */
    static const unsigned char head[] = {1, 0, 0, 0, 0, 0, 0, 0, 96, 0, 0, 0, 0, 0, 0, 0};
    assert_memory_equal(s.bytes + 48, head, sizeof head);
    assert_string_equal((const char *)s.bytes + 64, "cell-1.a");
    static const unsigned char tradeoff[] = {0, 0, 0, 0, 0, 0, 0xd8, 0x3f}; /* 0.375 */
    assert_memory_equal(s.bytes + 64 + 80, tradeoff, sizeof tradeoff);
}

static void a_record_cut_anywhere_is_refused(void **state)
{
    (void)state;
    sample s;
    beamd_record_view v;
    make(&s);
    for (size_t size = 0; size < s.size; size++) {
        unsigned char *copy = malloc(size ? size : 1); /* a sanitizer sees what is behind it */
        assert_non_null(copy);
        memcpy(copy, s.bytes, size);
        assert_string_equal(beamd_record_read(&v, copy, size), "truncated");
        free(copy);
    }
}

static void any_flipped_bit_is_seen(void **state)
{
    (void)state;
    sample s;
    beamd_record_view v;
    make(&s);
    for (size_t bit = 0; bit < 8 * s.size; bit++) {
        s.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        const char *why = beamd_record_read(&v, s.bytes, s.size);
        assert_non_null(why);
        if (bit / 8 >= 48) {
            assert_string_equal(why, "checksum");
        }
        s.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_null(beamd_record_read(&v, s.bytes, s.size));
}

/* Every byte in turn takes telling values under a good checksum: what is read stays inside, and a
 * design that is taken has finite numbers and admissible stations. */
static void a_good_checksum_over_nonsense_does_no_harm(void **state)
{
    (void)state;
    static const unsigned char telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    static _Alignas(64) unsigned char memory[1 << 16];
    sample s;
    make(&s);
    unsigned accepted = 0, refused = 0;
    for (size_t k = 0; k < 5 * s.size; k++) {
        const unsigned char before = s.bytes[k / 5];
        beamd_record_view v;
        s.bytes[k / 5] = telling[k % 5];
        beamd_record_seal(s.bytes, s.size);
        if (beamd_record_read(&v, s.bytes, s.size)) {
            refused++;
        } else {
            beamd_record_design d;
            for (size_t at = v.designs_at; beamd_record_next_design(&v, &at, &d);) {
                uint64_t id[BEAM_MAX_USERS];
                int station[BEAM_MAX_USERS];
                beam_design out;
                const beam_dims dims = {.stations = (int)d.stations,
                                        .antennas = (int)d.antennas,
                                        .users = (int)d.users,
                                        .targets = TARGETS};
                if (beam_design_init(&out, &dims, COLUMNS, memory, sizeof memory, NULL) ==
                        BEAM_OK &&
                    beamd_record_design_take(&d, id, station, &out)) {
                    assert_true(d.users == 0 || station[0] < (int)d.stations);
                    assert_true(isfinite(out.beams[0].re));
                }
            }
            accepted++;
        }
        s.bytes[k / 5] = before;
    }
    assert_true(accepted > 100 && refused > 100); /* both ways were walked */
}

static void store(unsigned char *at, uint64_t value, int bytes)
{
    for (int k = 0; k < bytes; k++) {
        at[k] = (unsigned char)(value >> (8 * k));
    }
}

/* Writes `value` at `at`, seals, reads and puts the old bytes back. */
static const char *read_with(sample *s, size_t at, uint64_t value, int bytes)
{
    beamd_record_view v;
    unsigned char before[8];
    memcpy(before, s->bytes + at, (size_t)bytes);
    store(s->bytes + at, value, bytes);
    beamd_record_seal(s->bytes, s->size);
    const char *why = beamd_record_read(&v, s->bytes, s->size);
    memcpy(s->bytes + at, before, (size_t)bytes);
    beamd_record_seal(s->bytes, s->size);
    return why;
}

static void each_reason_has_its_word(void **state)
{
    (void)state;
    sample s;
    make(&s);
    assert_string_equal(read_with(&s, 0, 'b', 1), "magic");
    assert_string_equal(read_with(&s, 8, 2, 4), "version");
    assert_string_equal(read_with(&s, 12, 3, 4), "content"); /* kind */
    assert_string_equal(read_with(&s, 12, 2, 4), "content"); /* a cluster's sections, not of it */
    assert_string_equal(read_with(&s, 40, 9, 4), "content"); /* number of sections */
    assert_string_equal(read_with(&s, 48, 2, 4), "content"); /* section of another kind */
    assert_string_equal(read_with(&s, 48, 9, 4), "content"); /* unknown section */
    assert_string_equal(read_with(&s, 52, 1, 4), "content");
    assert_string_equal(read_with(&s, 56, UINT64_MAX, 8), "content"); /* beyond all memory */
    assert_string_equal(read_with(&s, 56, UINT64_MAX - 7, 8), "content");
    assert_string_equal(read_with(&s, 56, 97, 8), "content");
    assert_string_equal(read_with(&s, 64, '/', 1), "content"); /* no id */
    assert_string_equal(read_with(&s, 64, 0, 1), "content");
    assert_string_equal(read_with(&s, 64 + 63, 'x', 1), "content"); /* behind the end of the id */
    assert_string_equal(read_with(&s, 64 + 64, 15, 8), "content");  /* flag that is none */
    assert_string_equal(read_with(&s, 64 + 80, 0x4000000000000000u, 8), "content"); /* 2 */
    assert_string_equal(read_with(&s, 64 + 80, 0x7ff8000000000000u, 8), "content"); /* NaN */
    assert_string_equal(read_with(&s, 64 + 88, 0x7ff0000000000000u, 8), "content"); /* infinite */
    /* nothing was left behind */
    beamd_record_view v;
    assert_null(beamd_record_read(&v, s.bytes, s.size));
    store(s.bytes + 16, 40, 8); /* less than its header */
    assert_string_equal(beamd_record_read(&v, s.bytes, s.size), "size");
    store(s.bytes + 16, s.size - 4, 8);
    assert_string_equal(beamd_record_read(&v, s.bytes, s.size), "size");
}

static void sections_come_in_order_and_the_needed_ones_once(void **state)
{
    (void)state;
    static _Alignas(64) unsigned char bytes[ROOM];
    const beamd_record_header header = {.kind = BEAMD_RECORD_CLUSTER};
    const beamd_record_cluster facts = {.id = "c"};
    beamd_record_view v;
    for (int wrong = 0; wrong < 5; wrong++) {
        beamd_record_writer w;
        beamd_record_begin(&w, bytes, sizeof bytes, &header);
        if (wrong != 1) {
            beamd_record_put_cluster(&w, &facts);
        }
        if (wrong == 2) {
            beamd_record_put_cluster(&w, &facts);
        }
        if (wrong == 4) {
            beamd_record_put_targets(&w, targets, sizeof targets);
        }
        if (wrong != 3) {
            beamd_record_put_registration(&w, registration, sizeof registration);
        }
        const size_t size = beamd_record_end(&w);
        beamd_record_seal(bytes, size);
        const char *why = beamd_record_read(&v, bytes, size);
        if (wrong == 0) {
            assert_null(why);
        } else {
            assert_string_equal(why, "content");
        }
    }
}

static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    sample s;
    beamd_record_writer w;
    make(&s);
    for (size_t capacity = 0; capacity < s.size; capacity += 8) {
        unsigned char *out = malloc(capacity ? capacity : 1);
        assert_non_null(out);
        write_parts(&w, out, capacity);
        assert_int_equal(beamd_record_end(&w), 0);
        free(out);
    }
    write_parts(&w, s.bytes, s.size);
    assert_int_equal(beamd_record_end(&w), s.size);
}

static void the_bound_of_a_record_holds(void **state)
{
    (void)state;
    static _Alignas(64) unsigned char bytes[1 << 17];
    const beam_dims max = {
        .stations = STATIONS, .antennas = ANTENNAS, .users = USERS, .targets = TARGETS};
    enum { BANDS = 5, PREFERENCES = 4 };
    const size_t most = beamd_record_bytes_max(&max, COLUMNS, sizeof registration, sizeof targets,
                                               3, BANDS, PREFERENCES);
    assert_true(most < sizeof bytes);
    const beamd_record_header header = {.kind = BEAMD_RECORD_CLUSTER};
    const beamd_record_cluster facts = {.id = "c"};
    const double rows[3] = {0};
    beamd_record_writer w;
    beamd_record_begin(&w, bytes, most, &header);
    beamd_record_put_cluster(&w, &facts);
    beamd_record_put_registration(&w, registration, sizeof registration);
    beamd_record_put_targets(&w, targets, sizeof targets);
    beamd_record_put_rows(&w, rows, 3);
    for (int p = 0; p < PREFERENCES; p++) {
        const beamd_record_named named = {"n", 0};
        beamd_record_put_named(&w, &named);
    }
    for (uint32_t b = 0; b < BANDS; b++) {
        const beamd_record_ideal ideal = {b, 1};
        beamd_record_put_ideal(&w, &ideal);
    }
    beam_design *full = design(USERS);
    full->sensing_count[0] = COLUMNS;
    for (uint32_t k = 0; k < BANDS * PREFERENCES; k++) {
        const beamd_record_design facts_of = {.band = k / PREFERENCES};
        beamd_record_put_design(&w, &facts_of, user_id, user_station, full);
    }
    assert_true(beamd_record_end(&w) > 0);
    assert_int_equal(w.used, most); /* not a byte too many either */
}

static void a_design_with_bad_numbers_is_not_taken(void **state)
{
    (void)state;
    static _Alignas(64) unsigned char memory[ROOM];
    sample s;
    beamd_record_view v;
    beamd_record_design d;
    beam_design out;
    uint64_t id[USERS];
    int station[USERS];
    const beam_dims dims = {
        .stations = STATIONS, .antennas = ANTENNAS, .users = USERS, .targets = TARGETS};
    for (int wrong = 0; wrong < 4; wrong++) {
        make(&s);
        assert_null(beamd_record_read(&v, s.bytes, s.size));
        size_t at = v.designs_at;
        assert_true(beamd_record_next_design(&v, &at, &d));
        const int columns = wrong == 3 ? 1 : COLUMNS;
        unsigned char *arrays = s.bytes + (d.arrays - s.bytes);
        if (wrong == 1) { /* a station that is none */
            store(arrays + 8 * USERS, STATIONS, 4);
        } else if (wrong == 2) {
            store(s.bytes + at - 8, 0x7ff0000000000000u, 8);
        }
        assert_int_equal(beam_design_init(&out, &dims, columns, memory, sizeof memory, NULL),
                         BEAM_OK);
        assert_int_equal(beamd_record_design_take(&d, id, station, &out), wrong == 0);
    }
}

static void the_daemons_own_record(void **state)
{
    (void)state;
    static _Alignas(64) unsigned char bytes[256];
    const beamd_record_header header = {.kind = BEAMD_RECORD_DAEMON, .serial = 3};
    const beamd_record_daemon facts = {.has_tradeoff = true, .tradeoff = 0.8};
    beamd_record_writer w;
    beamd_record_view v;
    beamd_record_begin(&w, bytes, sizeof bytes, &header);
    beamd_record_put_daemon(&w, &facts);
    const size_t size = beamd_record_end(&w);
    beamd_record_seal(bytes, size);
    assert_null(beamd_record_read(&v, bytes, size));
    assert_true(v.daemon.has_tradeoff && v.daemon.tradeoff == 0.8);
    for (size_t cut = 0; cut < size; cut++) {
        assert_non_null(beamd_record_read(&v, bytes, cut));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_layout_is_fixed),
        cmocka_unit_test(a_record_cut_anywhere_is_refused),
        cmocka_unit_test(any_flipped_bit_is_seen),
        cmocka_unit_test(a_good_checksum_over_nonsense_does_no_harm),
        cmocka_unit_test(each_reason_has_its_word),
        cmocka_unit_test(sections_come_in_order_and_the_needed_ones_once),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(the_bound_of_a_record_holds),
        cmocka_unit_test(a_design_with_bad_numbers_is_not_taken),
        cmocka_unit_test(the_daemons_own_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
