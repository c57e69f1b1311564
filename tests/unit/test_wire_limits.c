/* What the wire refuses before unpacking, its arena, the RCS and the default endpoints. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "endpoints.h"
#include "wire_common.h"

/* A payload by hand. */
typedef struct bytes {
    unsigned char frame[BEAM_WIRE_HEADER_BYTES + 70000];
    size_t payload;
} bytes;

static void put(bytes *b, const void *data, size_t size)
{
    assert_true(b->payload + size <= sizeof b->frame - BEAM_WIRE_HEADER_BYTES);
    memcpy(b->frame + BEAM_WIRE_HEADER_BYTES + b->payload, data, size);
    b->payload += size;
}

static void put_varint(bytes *b, uint64_t value)
{
    do {
        const unsigned char byte = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        put(b, &byte, 1);
        value >>= 7;
    } while (value);
}

static void put_tag(bytes *b, unsigned field, unsigned wire_type)
{
    put_varint(b, (uint64_t)field << 3 | wire_type);
}

static void assert_payload_refused(bytes *b, unsigned type, Beamd__ErrorCode code,
                                   const char *field)
{
    const size_t size = BEAM_WIRE_HEADER_BYTES + b->payload;
    assert_int_equal(beam_wire_header_encode(b->frame, type, "c", 1, b->payload, NULL), 0);
    unsigned char *copy = exact_copy(b->frame, size);
    assert_refused(copy, size, code, field);
    free(copy);
    b->payload = 0;
}

static void counts_over_their_limits_are_refused_by_name(void **state)
{
    (void)state;
    bytes *b = calloc(1, sizeof *b);
    for (int k = 0; k <= BEAM_WIRE_MAX_USERS; k++) {
        put_tag(b, 3, 2);
        put_varint(b, 0);
    }
    assert_payload_refused(b, BEAM_WIRE_CSI_UPDATE, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "users");
    for (int k = 0; k <= BEAM_WIRE_MAX_STATIONS; k++) {
        put_tag(b, 5, 2);
        put_varint(b, 0);
    }
    assert_payload_refused(b, BEAM_WIRE_REGISTER_CLUSTER, BEAMD__ERROR_CODE__ERROR_TOO_LARGE,
                           "stations");
    for (int k = 0; k <= BEAM_WIRE_MAX_TARGETS; k++) {
        put_tag(b, 3, 2);
        put_varint(b, 0);
    }
    assert_payload_refused(b, BEAM_WIRE_TARGET_UPDATE, BEAMD__ERROR_CODE__ERROR_TOO_LARGE,
                           "targets");
    for (int k = 0; k <= BEAM_WIRE_MAX_SUBBANDS; k++) {
        put_tag(b, 4, 2);
        put_varint(b, 0);
    }
    assert_payload_refused(b, BEAM_WIRE_CSI_UPDATE, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "subbands");
    put_tag(b, 3, 2);
    put_varint(b, 129);
    for (int k = 0; k < 129; k++) {
        put_varint(b, 5);
    }
    assert_payload_refused(b, BEAM_WIRE_USERS_LEAVE, BEAMD__ERROR_CODE__ERROR_TOO_LARGE,
                           "user_ids");
    put_tag(b, 4, 2); /* reflection.shape of five */
    put_varint(b, 7);
    put(b, "\x1a\x05\x01\x01\x01\x01\x01", 7);
    assert_payload_refused(b, BEAM_WIRE_TARGET_UPDATE, BEAMD__ERROR_CODE__ERROR_TOO_LARGE,
                           "reflection.shape");
    const unsigned radii =
        8 * (BEAM_WIRE_MAX_STATIONS * BEAM_WIRE_MAX_USERS + 1); /* 16392: three bytes */
    put_tag(b, 4, 2);
    put_varint(b, radii + 4);
    put_tag(b, 2, 2);
    put_varint(b, radii);
    unsigned char *zeros = calloc(1, radii);
    put(b, zeros, radii);
    free(zeros);
    assert_payload_refused(b, BEAM_WIRE_USERS_JOIN, BEAMD__ERROR_CODE__ERROR_TOO_LARGE,
                           "subbands[0].error_radius");
    free(b);
}

static void counts_of_many_answers_are_refused_by_name(void **state)
{
    (void)state;
    bytes *b = calloc(1, sizeof *b);
    for (int k = 0; k <= BEAM_WIRE_MAX_PREFERENCES; k++) {
        put_tag(b, 18, 2);
        put_varint(b, 0);
    }
    assert_payload_refused(b, BEAM_WIRE_REGISTER_CLUSTER, BEAMD__ERROR_CODE__ERROR_TOO_LARGE,
                           "preferences");
    for (int k = 0; k <= BEAM_WIRE_MAX_SUBBANDS * BEAM_WIRE_MAX_PREFERENCES; k++) {
        put_tag(b, 8, 2);
        put_varint(b, 0);
    }
    assert_payload_refused(b, BEAM_WIRE_SOLUTION_SET, BEAMD__ERROR_CODE__ERROR_TOO_LARGE,
                           "solutions");
    for (int k = 0; k <= BEAM_WIRE_MAX_FRONT_POINTS; k++) {
        put_tag(b, 7, 2);
        put_varint(b, 0);
    }
    assert_payload_refused(b, BEAM_WIRE_FRONT_REPLY, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "points");
    for (int k = 0; k <= BEAM_WIRE_MAX_CONFIG_KEYS; k++) { /* texts, one field each */
        put_tag(b, 5, 2);
        put_varint(b, 1);
        put(b, "k", 1);
    }
    assert_payload_refused(b, BEAM_WIRE_CONFIG_REPLY, BEAMD__ERROR_CODE__ERROR_TOO_LARGE,
                           "need_restart");
    for (int k = 0; k < 3; k++) {
        put_tag(b, 5, 2);
        put_varint(b, 2);
        put(b, k < 2 ? "ab" : "a\n", 2);
    }
    assert_payload_refused(b, BEAM_WIRE_CONFIG_REPLY, BEAMD__ERROR_CODE__ERROR_INVALID,
                           "need_restart[2]");
    for (int k = 0; k <= BEAM_WIRE_MAX_BACKENDS; k++) {
        put_tag(b, 19, 2);
        put_varint(b, 0);
    }
    assert_payload_refused(b, BEAM_WIRE_TELEMETRY, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "backends");
    free(b);
}

static void lengths_that_lie_are_refused_by_name(void **state)
{
    (void)state;
    bytes *b = calloc(1, sizeof *b);
    put_tag(b, 3, 2);
    put_varint(b, UINT64_MAX);
    assert_payload_refused(b, BEAM_WIRE_CSI_UPDATE, BEAMD__ERROR_CODE__ERROR_MALFORMED, "users");
    put_tag(b, 4, 2);
    put_varint(b, 6);
    put_tag(b, 1, 2); /* subbands[0].channels announces 2^28 bytes */
    put_varint(b, (uint64_t)1 << 28);
    assert_payload_refused(b, BEAM_WIRE_CSI_UPDATE, BEAMD__ERROR_CODE__ERROR_MALFORMED,
                           "subbands[0].channels");
    put_tag(b, 4, 2);
    put_varint(b, 5);
    put_tag(b, 2, 2); /* three bytes are no doubles */
    put_varint(b, 3);
    put(b, "abc", 3);
    assert_payload_refused(b, BEAM_WIRE_CSI_UPDATE, BEAMD__ERROR_CODE__ERROR_MALFORMED,
                           "subbands[0].error_radius");
    put_tag(b, 3, 2);
    put_varint(b, 1);
    put(b, "\xff", 1); /* a varint that does not end */
    assert_payload_refused(b, BEAM_WIRE_USERS_LEAVE, BEAMD__ERROR_CODE__ERROR_MALFORMED,
                           "user_ids");
    put(b, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
    assert_payload_refused(b, BEAM_WIRE_USERS_LEAVE, BEAMD__ERROR_CODE__ERROR_MALFORMED, "payload");
    put_tag(b, 0, 0);
    put_varint(b, 1);
    assert_payload_refused(b, BEAM_WIRE_USERS_LEAVE, BEAMD__ERROR_CODE__ERROR_MALFORMED, "payload");
    free(b);
}

static void fields_of_another_kind_are_refused_by_name(void **state)
{
    (void)state;
    bytes *b = calloc(1, sizeof *b);
    put_tag(b, 1, 0);
    put_varint(b, (uint64_t)UINT32_MAX + 1);
    assert_payload_refused(b, BEAM_WIRE_CSI_UPDATE, BEAMD__ERROR_CODE__ERROR_INVALID,
                           "deadline_us");
    put_tag(b, 1, 5);
    put(b, "1234", 4);
    assert_payload_refused(b, BEAM_WIRE_CSI_UPDATE, BEAMD__ERROR_CODE__ERROR_MALFORMED,
                           "deadline_us");
    for (int k = 0; k < 2; k++) {
        put_tag(b, 1, 0);
        put_varint(b, 7);
    }
    assert_payload_refused(b, BEAM_WIRE_CSI_UPDATE, BEAMD__ERROR_CODE__ERROR_MALFORMED,
                           "deadline_us");
    for (int k = 0; k < 2; k++) { /* merging two messages is not something to ask of a parser */
        put_tag(b, 13, 2);
        put_varint(b, 0);
    }
    assert_payload_refused(b, BEAM_WIRE_REGISTER_CLUSTER, BEAMD__ERROR_CODE__ERROR_MALFORMED,
                           "preference");
    put_tag(b, 3, 0); /* a repeated number unpacked */
    put_varint(b, 7);
    assert_payload_refused(b, BEAM_WIRE_USERS_LEAVE, BEAMD__ERROR_CODE__ERROR_MALFORMED,
                           "user_ids");
    put_tag(b, 500, 3); /* groups */
    put_tag(b, 500, 4);
    assert_payload_refused(b, BEAM_WIRE_USERS_LEAVE, BEAMD__ERROR_CODE__ERROR_MALFORMED, "payload");
    put_tag(b, 3, 2);
    put_varint(b, 3);
    put(b, "a\nb", 3); /* would break a log line or a terminal */
    assert_payload_refused(b, BEAM_WIRE_ERROR, BEAMD__ERROR_CODE__ERROR_INVALID, "field");
    unsigned char text[BEAM_WIRE_MAX_STRING_BYTES + 1];
    memset(text, 'a', sizeof text);
    put_tag(b, 4, 2);
    put_varint(b, sizeof text);
    put(b, text, sizeof text);
    assert_payload_refused(b, BEAM_WIRE_ERROR, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "text");
    free(b);
}

static void unknown_fields_are_skipped_up_to_their_limit(void **state)
{
    (void)state;
    bytes *b = calloc(1, sizeof *b);
    beam_wire_arena *arena = arena_new(ARENA_BYTES);
    for (int k = 0; k < BEAM_WIRE_MAX_UNKNOWN_FIELDS; k++) {
        put_tag(b, 900 + (unsigned)k, 0);
        put_varint(b, 1);
    }
    const size_t some = b->payload;
    assert_int_equal(
        beam_wire_header_encode(b->frame, BEAM_WIRE_PREFERENCE_GET, "c", 1, some, NULL), 0);
    beam_wire_header header;
    ProtobufCMessage *message;
    assert_int_equal(
        beam_wire_unpack(&header, &message, arena, b->frame, BEAM_WIRE_HEADER_BYTES + some, NULL),
        0);
    put_tag(b, 999, 0);
    put_varint(b, 1);
    assert_payload_refused(b, BEAM_WIRE_PREFERENCE_GET, BEAMD__ERROR_CODE__ERROR_TOO_LARGE,
                           "payload");
    arena_free(arena);
    free(b);
}

static void arena_aligns_zeroes_counts_and_refuses(void **state)
{
    (void)state;
    beam_wire_arena *arena = arena_new(1024);
    memset(arena->memory, 0xaa, 1024);
    unsigned char *first = arena->allocator.alloc(arena->allocator.allocator_data, 3);
    unsigned char *second = beam_wire_arena_take(arena, 40);
    assert_true((uintptr_t)first % 16 == 0 && (uintptr_t)second % 16 == 0 && second >= first + 3);
    for (int k = 0; k < 40; k++) {
        assert_int_equal(second[k], 0);
    }
    arena->allocator.free(arena->allocator.allocator_data, second);
    assert_null(beam_wire_arena_take(arena, 1024));
    assert_null(beam_wire_arena_take(arena, SIZE_MAX));
    assert_true(arena->exhausted == 2);
    assert_int_equal(arena->peak, 56);
    beam_wire_arena_reset(arena);
    assert_non_null(beam_wire_arena_take(arena, 1024));
    assert_null(beam_wire_arena_take(arena, 1));
    arena_free(arena);
}

/* Whatever the room, the answer is a message or an error; the sanitizer watches the rest. */
static void unpacking_into_too_small_an_arena_is_an_error(void **state)
{
    (void)state;
    for (int k = 0; k < GOLDENS; k++) {
        const golden g = golden_read(GOLDEN[k].file);
        int refused = 0;
        for (size_t size = 0; size < 8192; size += 16) {
            beam_wire_arena *arena = arena_new(size + 1);
            beam_wire_header header;
            ProtobufCMessage *message;
            beam_wire_error err = {0};
            if (beam_wire_unpack(&header, &message, arena, g.bytes, g.size, &err) < 0) {
                assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_TOO_LARGE);
                refused++;
            }
            arena_free(arena);
        }
        assert_true(refused > 0);
        free(g.bytes);
    }
}

static void assert_close(double ratio, double tolerance)
{
    assert_true(fabs(ratio - 1.0) <= tolerance);
}

static void reflection_follows_the_radar_equation(void **state)
{
    (void)state;
    double re, im, re2, im2;
    beam_wire_reflection(3.5e9, 1.0, 80.0, 75.0, &re, &im);
    const double wavelength = 299792458.0 / 3.5e9, pi = acos(-1.0);
    assert_close(hypot(re, im) / (wavelength / pow(4 * pi, 1.5) / (80.0 * 75.0)), 1e-12);
    beam_wire_reflection(3.5e9, 4.0, 80.0, 75.0 + wavelength, &re2,
                         &im2); /* same phase, twice the root of the RCS */
    assert_close(re2 / (2 * re) * (75.0 + wavelength) / 75.0, 1e-9);
    assert_close(im2 / (2 * im) * (75.0 + wavelength) / 75.0, 1e-9);
}

static void endpoints_follow_the_environment(void **state)
{
    (void)state;
    char out[BEAM_ENDPOINT_BYTES];
    setenv("BEAMD_RUNTIME_DIR", "/somewhere/else", 1);
    assert_int_equal(beam_endpoint_default(out, sizeof out, NULL, BEAM_ENDPOINT_CSI), 0);
    assert_string_equal(out, "ipc:///somewhere/else/csi.sock");
    assert_int_equal(beam_endpoint_path(out, sizeof out, "/given", BEAM_ENDPOINT_METRICS), 0);
    assert_string_equal(out, "/given/metrics.sock");
    assert_int_equal(beam_endpoint_path(out, 10, "/given", BEAM_ENDPOINT_METRICS), -1);
    char deep[120];
    memset(deep, 'd', sizeof deep);
    deep[0] = '/';
    deep[98] = 0; /* 98 + 1 + 8 = 107: the longest path of a Unix socket */
    assert_int_equal(beam_endpoint_path(out, sizeof out, deep, BEAM_ENDPOINT_CSI), 0);
    deep[98] = 'd';
    deep[99] = 0;
    assert_int_equal(beam_endpoint_path(out, sizeof out, deep, BEAM_ENDPOINT_CSI), -1);
    unsetenv("BEAMD_RUNTIME_DIR");
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_int_equal(beam_runtime_dir(out, sizeof out), 0);
    assert_true(strcmp(out, "/run/user/7/beamd") == 0 || strcmp(out, "/run/beamd") == 0);
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(beam_runtime_dir(out, sizeof out), 0);
    assert_true(strncmp(out, "/tmp/beamd-", 11) == 0 || strcmp(out, "/run/beamd") == 0);
}

/* The last resort is in /tmp, where anybody may have made the directory first. */
static void a_directory_of_another_user_is_not_trusted(void **state)
{
    (void)state;
    enum { NOBODY_IN_PARTICULAR = 54321 };
    char out[BEAM_ENDPOINT_BYTES];
    unsetenv("BEAMD_RUNTIME_DIR");
    unsetenv("XDG_RUNTIME_DIR");
    if (geteuid() != 0) {
        skip(); /* only root can be two users */
    }
    rmdir("/tmp/beamd-54321");                            /* of a run that was cut off */
    assert_int_equal(mkdir("/tmp/beamd-54321", 0700), 0); /* root's */
    assert_int_equal(seteuid(NOBODY_IN_PARTICULAR), 0);
    const int foreign = beam_runtime_dir(out, sizeof out);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chown("/tmp/beamd-54321", NOBODY_IN_PARTICULAR, (gid_t)-1), 0);
    assert_int_equal(seteuid(NOBODY_IN_PARTICULAR), 0);
    const int own = beam_runtime_dir(out, sizeof out);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(rmdir("/tmp/beamd-54321"), 0);
    assert_int_equal(foreign, -1);
    assert_int_equal(own, 0);
    assert_string_equal(out, "/tmp/beamd-54321");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_over_their_limits_are_refused_by_name),
        cmocka_unit_test(counts_of_many_answers_are_refused_by_name),
        cmocka_unit_test(lengths_that_lie_are_refused_by_name),
        cmocka_unit_test(fields_of_another_kind_are_refused_by_name),
        cmocka_unit_test(unknown_fields_are_skipped_up_to_their_limit),
        cmocka_unit_test(arena_aligns_zeroes_counts_and_refuses),
        cmocka_unit_test(unpacking_into_too_small_an_arena_is_an_error),
        cmocka_unit_test(reflection_follows_the_radar_equation),
        cmocka_unit_test(endpoints_follow_the_environment),
        cmocka_unit_test(a_directory_of_another_user_is_not_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
