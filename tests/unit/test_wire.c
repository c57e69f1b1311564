/* The wire holds what docs/wire.md promises: exact bytes, and an error, never a crash, for
 * everything else. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire_common.h"

/* Examples of these have no cluster in the header. */
static bool of_the_daemon(unsigned type)
{
    static const unsigned types[] = {BEAM_WIRE_CLUSTER_LIST_REQUEST,
                                     BEAM_WIRE_CLUSTER_LIST_REPLY,
                                     BEAM_WIRE_MODEL_GET,
                                     BEAM_WIRE_MODEL_RELOAD,
                                     BEAM_WIRE_MODEL_REPLY,
                                     BEAM_WIRE_CONFIG_GET,
                                     BEAM_WIRE_CONFIG_RELOAD,
                                     BEAM_WIRE_CONFIG_REPLY,
                                     BEAM_WIRE_LOG_LEVEL_SET,
                                     BEAM_WIRE_DRAIN,
                                     BEAM_WIRE_TELEMETRY};
    for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
        if (types[k] == type) {
            return true;
        }
    }
    return false;
}

static void every_golden_message_survives_decoding_and_encoding_to_the_byte(void **state)
{
    (void)state;
    beam_wire_arena *arena = arena_new(ARENA_BYTES);
    for (int k = 0; k < GOLDENS; k++) {
        const golden g = golden_read(GOLDEN[k].file);
        beam_wire_header header;
        ProtobufCMessage *message;
        beam_wire_error err;
        beam_wire_arena_reset(arena);
        assert_int_equal(beam_wire_unpack(&header, &message, arena, g.bytes, g.size, &err), 0);
        assert_int_equal(header.type, GOLDEN[k].type);
        assert_true(header.sequence == 42 + ((uint64_t)k << 32));
        assert_string_equal(header.cluster, of_the_daemon(header.type) ? "" : "north-7");
        assert_int_equal(message->descriptor->sizeof_message, GOLDEN[k].struct_bytes);
        assert_int_equal(message->n_unknown_fields, 0);

        unsigned char out[65536];
        size_t bytes;
        assert_int_equal(beam_wire_pack(header.type, header.cluster, header.sequence, message, out,
                                        sizeof out, &bytes, &err),
                         0);
        assert_int_equal(bytes, g.size);
        assert_int_equal(beam_wire_frame_bytes(message), g.size);
        assert_memory_equal(out, g.bytes, g.size);
        /* and not one byte less of room */
        assert_int_equal(beam_wire_pack(header.type, header.cluster, header.sequence, message, out,
                                        g.size - 1, &bytes, &err),
                         -1);
        free(g.bytes);
    }
    arena_free(arena);
}

static void values_of_the_golden_csi_are_read_as_written(void **state)
{
    (void)state;
    beam_wire_arena *arena = arena_new(ARENA_BYTES);
    const golden g = golden_read("csi_update");
    beam_wire_header header;
    ProtobufCMessage *message;
    beam_wire_error err;
    assert_int_equal(beam_wire_unpack(&header, &message, arena, g.bytes, g.size, &err), 0);
    const Beamd__CsiUpdate *m = (const Beamd__CsiUpdate *)message;
    assert_int_equal(m->deadline_us, 5000);
    assert_true(m->sender_time_ns == 0x0102030405060708u);
    assert_int_equal(m->n_users, 2);
    assert_true(m->users[1]->user_id == 1001 && m->users[1]->station == 2 &&
                m->users[1]->weight == 2.5);
    assert_int_equal(m->n_subbands, 1);
    assert_int_equal(m->subbands[0]->n_error_radius, 6);
    assert_true(m->subbands[0]->error_radius[5] == 0.01 * 6);
    const uint32_t shape[3] = {3, 2, 5};
    double values[60];
    assert_int_equal(
        beam_wire_array_decode(m->subbands[0]->channels, "channels", shape, 3, values, &err), 0);
    for (int k = 0; k < 60; k++) {
        assert_true(values[k] == 0.5 + 0.25 * k);
    }
    free(g.bytes);
    arena_free(arena);
}

static void every_truncation_of_every_message_is_refused(void **state)
{
    (void)state;
    beam_wire_arena *arena = arena_new(ARENA_BYTES);
    for (int k = 0; k < GOLDENS; k++) {
        const golden g = golden_read(GOLDEN[k].file);
        for (size_t size = 0; size < g.size; size++) {
            unsigned char *cut = exact_copy(g.bytes, size);
            beam_wire_header header;
            ProtobufCMessage *message;
            beam_wire_error err = {0};
            beam_wire_arena_reset(arena);
            assert_int_equal(beam_wire_unpack(&header, &message, arena, cut, size, &err), -1);
            assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_MALFORMED);
            assert_true(err.field[0] && err.text[0]);
            free(cut);
        }
        free(g.bytes);
    }
    arena_free(arena);
}

/* The cut is hidden from the header: what is left must be refused, or be a message that encodes
 * again. */
static void truncation_with_a_matching_length_never_crashes(void **state)
{
    (void)state;
    beam_wire_arena *arena = arena_new(ARENA_BYTES);
    size_t refused = 0, taken = 0;
    for (int k = 0; k < GOLDENS; k++) {
        const golden g = golden_read(GOLDEN[k].file);
        for (size_t size = BEAM_WIRE_HEADER_BYTES; size < g.size; size++) {
            unsigned char *cut = exact_copy(g.bytes, size);
            const size_t payload = size - BEAM_WIRE_HEADER_BYTES;
            cut[16] = (unsigned char)payload;
            cut[17] = (unsigned char)(payload >> 8);
            cut[18] = cut[19] = 0;
            beam_wire_header header;
            ProtobufCMessage *message;
            beam_wire_error err = {0};
            beam_wire_arena_reset(arena);
            if (beam_wire_unpack(&header, &message, arena, cut, size, &err) < 0) {
                assert_true(err.text[0] != 0);
                refused++;
            } else {
                assert_true(beam_wire_frame_bytes(message) <= size);
                taken++;
            }
            free(cut);
        }
        free(g.bytes);
    }
    assert_true(refused > 10 * taken && taken > 0);
    arena_free(arena);
}

static void every_flipped_bit_is_refused_or_decodes(void **state)
{
    (void)state;
    beam_wire_arena *arena = arena_new(ARENA_BYTES);
    for (int k = 0; k < GOLDENS; k++) {
        const golden g = golden_read(GOLDEN[k].file);
        for (size_t bit = 0; bit < 8 * g.size; bit++) {
            unsigned char *bad = exact_copy(g.bytes, g.size);
            bad[bit / 8] = (unsigned char)(bad[bit / 8] ^ (1u << bit % 8));
            beam_wire_header header;
            ProtobufCMessage *message;
            beam_wire_error err = {0};
            beam_wire_arena_reset(arena);
            if (beam_wire_unpack(&header, &message, arena, bad, g.size, &err) < 0) {
                assert_true(err.text[0] != 0);
            } else {
                assert_non_null(message);
            }
            /* magic, version and the lengths are all checked */
            if (bit < 48 || (bit >= 128 && bit < 192)) {
                assert_null(message);
            }
            free(bad);
        }
        free(g.bytes);
    }
    arena_free(arena);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    beam_wire_arena *arena = arena_new(ARENA_BYTES);
    uint64_t seed = 88172645463325252u;
    int long_ones = 0, taken = 0;
    for (int round = 0; round < 20000; round++) {
        unsigned char frame[BEAM_WIRE_HEADER_BYTES + 200];
        const unsigned type = GOLDEN[round % GOLDENS].type;
        const size_t payload = (size_t)(round / GOLDENS) % 200;
        assert_int_equal(beam_wire_header_encode(frame, type, "c", 1, payload, NULL), 0);
        for (size_t k = 0; k < payload; k++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            frame[BEAM_WIRE_HEADER_BYTES + k] = (unsigned char)(seed >> 32);
        }
        unsigned char *copy = exact_copy(frame, BEAM_WIRE_HEADER_BYTES + payload);
        beam_wire_header header;
        ProtobufCMessage *message;
        beam_wire_error err = {0};
        beam_wire_arena_reset(arena);
        const int r = beam_wire_unpack(&header, &message, arena, copy,
                                       BEAM_WIRE_HEADER_BYTES + payload, &err);
        long_ones += payload >= 40;
        taken += payload >= 40 && r == 0;
        assert_true(r == 0 || err.text[0]);
        free(copy);
    }
    /* One unknown field may swallow the rest; 40 random bytes are hardly ever fields in a row
     * otherwise. */
    assert_true(taken < long_ones / 100);
    arena_free(arena);
}

static void header_says_which_field_is_wrong(void **state)
{
    (void)state;
    unsigned char frame[BEAM_WIRE_HEADER_BYTES];
    beam_wire_error err;
    assert_int_equal(beam_wire_header_encode(frame, BEAM_WIRE_PREFERENCE_GET, "c1", 7, 0, &err), 0);
    const unsigned char good[BEAM_WIRE_HEADER_BYTES] =
        "BEAM\1\0\10\0\7\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0c1";
    assert_memory_equal(frame, good, sizeof good);

    frame[0] = 'b';
    assert_refused(frame, sizeof frame, BEAMD__ERROR_CODE__ERROR_MALFORMED, "header.magic");
    memcpy(frame, good, sizeof good);
    frame[4] = 2;
    assert_refused(frame, sizeof frame, BEAMD__ERROR_CODE__ERROR_VERSION, "header.version");
    memcpy(frame, good, sizeof good);
    frame[6] = 200;
    assert_refused(frame, sizeof frame, BEAMD__ERROR_CODE__ERROR_TYPE, "header.type");
    memcpy(frame, good, sizeof good);
    frame[16] = 1;
    assert_refused(frame, sizeof frame, BEAMD__ERROR_CODE__ERROR_MALFORMED, "header.payload_bytes");
    memcpy(frame, good, sizeof good);
    frame[20] = 64;
    assert_refused(frame, sizeof frame, BEAMD__ERROR_CODE__ERROR_INVALID, "header.cluster_bytes");
    memcpy(frame, good, sizeof good);
    frame[26] = 'x';
    assert_refused(frame, sizeof frame, BEAMD__ERROR_CODE__ERROR_MALFORMED, "header.cluster");
    memcpy(frame, good, sizeof good);
    frame[24] = '/';
    assert_refused(frame, sizeof frame, BEAMD__ERROR_CODE__ERROR_INVALID, "header.cluster");
    memcpy(frame, good, sizeof good);
    frame[25] = 0; /* inside the id */
    assert_refused(frame, sizeof frame, BEAMD__ERROR_CODE__ERROR_INVALID, "header.cluster");
}

static void what_could_be_read_of_a_bad_request_is_kept_for_the_error(void **state)
{
    (void)state;
    unsigned char frame[BEAM_WIRE_HEADER_BYTES + 3] = {0};
    beam_wire_header header;
    beam_wire_error err;
    assert_int_equal(beam_wire_header_encode(frame, BEAM_WIRE_CSI_UPDATE, "c1", 99, 4, &err), 0);
    assert_int_equal(beam_wire_header_decode(&header, frame, sizeof frame, &err), -1);
    assert_int_equal(header.type, BEAM_WIRE_CSI_UPDATE);
    assert_true(header.sequence == 99);
    assert_string_equal(header.cluster, "c1");
}

static void cluster_ids_and_topics_have_one_spelling(void **state)
{
    (void)state;
    char longest[65];
    memset(longest, 'a', sizeof longest);
    longest[63] = 0;
    assert_true(beam_wire_cluster_valid(longest));
    longest[63] = 'a';
    longest[64] = 0;
    assert_false(beam_wire_cluster_valid(longest));
    assert_false(beam_wire_cluster_valid(""));
    assert_false(beam_wire_cluster_valid(NULL));
    assert_false(beam_wire_cluster_valid("a b"));
    assert_false(beam_wire_cluster_valid("n\xc3\xb6rd"));
    assert_true(beam_wire_cluster_valid("North-7_b.2"));

    unsigned char topic[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    assert_int_equal(beam_wire_topic("c1", topic), 3);
    assert_memory_equal(topic, "c1\0", 3);
    unsigned char other[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    assert_int_equal(beam_wire_topic("c10", other), 4);
    assert_true(memcmp(topic, other, 3) != 0); /* a subscription is a prefix */
    assert_int_equal(beam_wire_topic("c/1", topic), 0);

    unsigned char frame[BEAM_WIRE_HEADER_BYTES];
    beam_wire_error err;
    assert_int_equal(beam_wire_header_encode(frame, BEAM_WIRE_ACK, longest, 1, 0, &err), -1);
    assert_string_equal(err.field, "header.cluster");
    assert_int_equal(
        beam_wire_header_encode(frame, BEAM_WIRE_ACK, "c", 1, BEAM_WIRE_MAX_MESSAGE_BYTES, &err),
        -1);
    assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_TOO_LARGE);
    assert_int_equal(beam_wire_header_encode(frame, 18, "c", 1, 0, &err), -1);
    assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_TYPE);
}

static void requests_and_answers_have_names(void **state)
{
    (void)state;
    int requests = 0, names = 0;
    for (unsigned type = 0; type < 256; type++) {
        names += strcmp(beam_wire_type_name(type), "unknown") != 0;
        requests += beam_wire_is_request(type);
    }
    bool shown[256] = {false};
    int with_example = 0;
    for (int k = 0; k < GOLDENS; k++) {
        with_example += !shown[GOLDEN[k].type];
        shown[GOLDEN[k].type] = true;
    }
    assert_int_equal(names, 28);
    assert_int_equal(with_example, names);
    assert_int_equal(requests, 17);
    assert_string_equal(beam_wire_type_name(BEAM_WIRE_USERS_JOIN), "UsersJoin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_message_survives_decoding_and_encoding_to_the_byte),
        cmocka_unit_test(values_of_the_golden_csi_are_read_as_written),
        cmocka_unit_test(every_truncation_of_every_message_is_refused),
        cmocka_unit_test(truncation_with_a_matching_length_never_crashes),
        cmocka_unit_test(every_flipped_bit_is_refused_or_decodes),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(header_says_which_field_is_wrong),
        cmocka_unit_test(what_could_be_read_of_a_bad_request_is_kept_for_the_error),
        cmocka_unit_test(cluster_ids_and_topics_have_one_spelling),
        cmocka_unit_test(requests_and_answers_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
