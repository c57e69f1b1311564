/* The largest messages, in bytes and in structure, and the arena that beam_wire_arena_bytes makes
 * for them. */
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

/* Every field set, none of the strings short. */
static void fill_status(Beamd__ClusterStatus *one, Beamd__NamedPreference **named)
{
    static Beamd__Preference preference;
    static Beamd__NamedPreference entry;
    static char name[] = "a-name-of-a-cluster-that-takes-all-of-the-sixty-three-bytes-...";
    static char preference_name[] = "a-name-of-thirty-one-characters";
    beamd__preference__init(&preference);
    beamd__named_preference__init(&entry);
    beamd__cluster_status__init(one);
    preference.u1 = preference.u2 = 0.5;
    entry.name = preference_name;
    entry.preference = &preference;
    for (int k = 0; k < BEAM_WIRE_MAX_PREFERENCES; k++) {
        named[k] = &entry;
    }
    one->cluster = name;
    one->preference = &preference;
    one->preferences = named;
    one->n_preferences = BEAM_WIRE_MAX_PREFERENCES;
    one->stations = one->antennas = one->users = one->max_users = one->targets = 1;
    one->csi_sequence = one->target_sequence = one->csi_received = one->solutions = 1;
    one->superseded = one->refused = one->deadlines_missed = 1;
    one->subbands = 275;
    one->reduced = one->checked = one->held = 1;
    one->latency_p50_us = one->latency_p99_us = one->wsr_worst_case_bps_hz = one->crlb_m2 = 1;
    one->age_s = 1;
    one->solved = one->crlb_valid = 1;
    one->method = BEAMD__METHOD__METHOD_NETWORK;
}

/* Packs, unpacks into the arena made for so many bytes, and returns how many were used of it. */
static size_t peak_of(unsigned type, const ProtobufCMessage *message)
{
    const size_t size = beam_wire_frame_bytes(message);
    unsigned char *frame = malloc(size);
    size_t packed;
    assert_int_equal(beam_wire_pack(type, "", 1, message, frame, size, &packed, NULL), 0);
    beam_wire_arena *arena = arena_new(beam_wire_arena_bytes(size));
    beam_wire_header header;
    ProtobufCMessage *copy;
    assert_int_equal(beam_wire_unpack(&header, &copy, arena, frame, size, NULL), 0);
    const size_t peak = arena->peak;
    assert_true(peak < arena->size - arena->size / 4);
    arena_free(arena);
    free(frame);
    return peak;
}

static void a_full_status_fits_the_arena_made_for_it(void **state)
{
    (void)state;
    Beamd__StatusReply reply = BEAMD__STATUS_REPLY__INIT;
    Beamd__Telemetry telemetry = BEAMD__TELEMETRY__INIT;
    Beamd__ClusterStatus *list[BEAM_WIRE_MAX_CLUSTERS], one;
    Beamd__NamedPreference *named[BEAM_WIRE_MAX_PREFERENCES];
    fill_status(&one, named);
    for (int k = 0; k < BEAM_WIRE_MAX_CLUSTERS; k++) {
        list[k] = &one;
    }
    reply.clusters = telemetry.clusters = list;
    reply.n_clusters = telemetry.n_clusters = BEAM_WIRE_MAX_CLUSTERS;
    peak_of(BEAM_WIRE_STATUS_REPLY, &reply.base);
    peak_of(BEAM_WIRE_TELEMETRY, &telemetry.base);
}

/* As many entries as may be, each as short as may be: the most structure for the fewest bytes. */
static void requests_of_the_most_structure_fit_the_arena_made_for_them(void **state)
{
    (void)state;
    Beamd__User user = BEAMD__USER__INIT, *users[BEAM_WIRE_MAX_USERS];
    Beamd__ComplexArray empty = BEAMD__COMPLEX_ARRAY__INIT;
    Beamd__Subband band = BEAMD__SUBBAND__INIT, *bands[BEAM_WIRE_MAX_SUBBANDS];
    band.channels = &empty;
    for (int k = 0; k < BEAM_WIRE_MAX_USERS; k++) {
        users[k] = &user;
    }
    for (int k = 0; k < BEAM_WIRE_MAX_SUBBANDS; k++) {
        bands[k] = &band;
    }
    Beamd__CsiUpdate csi = BEAMD__CSI_UPDATE__INIT;
    csi.users = users;
    csi.n_users = BEAM_WIRE_MAX_USERS;
    csi.subbands = bands;
    csi.n_subbands = BEAM_WIRE_MAX_SUBBANDS;
    assert_true(beam_wire_frame_bytes(&csi.base) < 2048);
    assert_true(peak_of(BEAM_WIRE_CSI_UPDATE, &csi.base) < BEAM_WIRE_ARENA_SLACK_BYTES / 4);
    Beamd__Station station = BEAMD__STATION__INIT, *stations[BEAM_WIRE_MAX_STATIONS];
    Beamd__NamedPreference entry = BEAMD__NAMED_PREFERENCE__INIT;
    Beamd__NamedPreference *named[BEAM_WIRE_MAX_PREFERENCES];
    for (int k = 0; k < BEAM_WIRE_MAX_STATIONS; k++) {
        stations[k] = &station;
        named[k % BEAM_WIRE_MAX_PREFERENCES] = &entry;
    }
    Beamd__RegisterCluster cluster = BEAMD__REGISTER_CLUSTER__INIT;
    cluster.stations = stations;
    cluster.n_stations = BEAM_WIRE_MAX_STATIONS;
    cluster.preferences = named;
    cluster.n_preferences = BEAM_WIRE_MAX_PREFERENCES;
    assert_true(peak_of(BEAM_WIRE_REGISTER_CLUSTER, &cluster.base) <
                BEAM_WIRE_ARENA_SLACK_BYTES / 4);
}

/* Solutions without any content, of as many users as there may be: over a hundred times their bytes
 * when laid out. Into the room for messages of that size they do not go, and are refused. */
static void a_set_of_hollow_solutions_is_refused_clearly(void **state)
{
    (void)state;
    enum { SOLUTIONS = BEAM_WIRE_MAX_SUBBANDS * BEAM_WIRE_MAX_PREFERENCES };
    Beamd__UserAnswer user = BEAMD__USER_ANSWER__INIT, *users[BEAM_WIRE_MAX_USERS];
    Beamd__Solution one = BEAMD__SOLUTION__INIT, *list[SOLUTIONS];
    for (int k = 0; k < BEAM_WIRE_MAX_USERS; k++) {
        users[k] = &user;
    }
    one.users = users;
    one.n_users = BEAM_WIRE_MAX_USERS;
    for (int k = 0; k < SOLUTIONS; k++) {
        list[k] = &one;
    }
    Beamd__SolutionSet set = BEAMD__SOLUTION_SET__INIT;
    set.solutions = list;
    set.n_solutions = SOLUTIONS;
    const size_t size = beam_wire_frame_bytes(&set.base);
    unsigned char *frame = malloc(size);
    size_t packed;
    assert_int_equal(
        beam_wire_pack(BEAM_WIRE_SOLUTION_SET, "c", 1, &set.base, frame, size, &packed, NULL), 0);
    beam_wire_arena *arena = arena_new(beam_wire_arena_bytes(size));
    beam_wire_header header;
    ProtobufCMessage *message;
    beam_wire_error err = {0};
    assert_int_equal(beam_wire_unpack(&header, &message, arena, frame, size, &err), -1);
    assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_TOO_LARGE);
    assert_non_null(strstr(err.text, "more memory than is set aside"));
    arena_free(arena);
    free(frame);
}

static void the_largest_csi_fits_the_arena_made_for_it(void **state)
{
    (void)state;
    /* The largest in bytes: 16 x 128 x 256 complex float64. */
    const size_t values = (size_t)16 * 128 * 256;
    uint32_t shape[3] = {16, 128, 256};
    Beamd__ComplexArray channels = BEAMD__COMPLEX_ARRAY__INIT;
    channels.element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
    channels.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    channels.n_shape = 3;
    channels.shape = shape;
    channels.data.len = values * 16;
    channels.data.data = calloc(values, 16);
    Beamd__Subband band = BEAMD__SUBBAND__INIT, *bands = &band;
    band.channels = &channels;
    band.n_error_radius = 16 * 128;
    band.error_radius = calloc(16 * 128, sizeof(double));
    Beamd__CsiUpdate csi = BEAMD__CSI_UPDATE__INIT;
    csi.subbands = &bands;
    csi.n_subbands = 1;
    const size_t csi_size = beam_wire_frame_bytes(&csi.base);
    assert_true(csi_size < BEAM_WIRE_MAX_MESSAGE_BYTES - 65536);
    peak_of(BEAM_WIRE_CSI_UPDATE, &csi.base);
    free(channels.data.data);
    free(band.error_radius);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_status_fits_the_arena_made_for_it),
        cmocka_unit_test(the_largest_csi_fits_the_arena_made_for_it),
        cmocka_unit_test(requests_of_the_most_structure_fit_the_arena_made_for_them),
        cmocka_unit_test(a_set_of_hollow_solutions_is_refused_clearly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
