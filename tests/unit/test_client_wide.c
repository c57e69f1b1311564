/* libbeamclient with several subbands, named preferences and few bits. */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client_fake.h"

static void a_registration_carries_subbands_names_and_element(void **state)
{
    fake *f = *state;
    static const beamc_station stations[2] = {{.power_w = 1, .echo_noise_w = 1e-12},
                                              {.x_m = 9, .power_w = 1, .echo_noise_w = 1e-12}};
    static const beamc_named_preference preferences[2] = {{"balanced", 0.5}, {"locate-2.b", 1.0}};
    beamc_cluster cluster = {.id = "c1",
                             .stations = stations,
                             .station_count = 2,
                             .antennas = 3,
                             .max_users = 2,
                             .targets = 1,
                             .snapshots = 256,
                             .carrier_hz = 3.5e9,
                             .preferences = preferences,
                             .preference_count = 2,
                             .subbands = 100,
                             .error_growth_per_s = 0.75,
                             .element = BEAMC_ELEMENT_BFP};
    beamc_error err;
    assert_int_equal(beamc_register(f->client, &cluster, 20, &err), BEAMC_E_TIMEOUT);
    fake_take(f, f->csi, BEAM_WIRE_REGISTER_CLUSTER);
    const Beamd__RegisterCluster *m = (const Beamd__RegisterCluster *)f->message;
    assert_int_equal(m->subbands, 100);
    assert_true(m->error_growth_per_s == 0.75);
    assert_int_equal(m->beam_element, BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP);
    assert_int_equal(m->beam_bits, 9);
    assert_null(m->preference);
    assert_int_equal(m->n_preferences, 2);
    assert_string_equal(m->preferences[1]->name, "locate-2.b");
    assert_true(m->preferences[1]->preference->u1 == 1 && m->preferences[1]->preference->u2 == 0);
    cluster.bits = 14;
    cluster.has_tradeoff = true;
    cluster.preference_count = 0;
    fake_ack(f, f->header.sequence + 1);
    assert_int_equal(beamc_register(f->client, &cluster, FAKE_PATIENCE_MS, &err), BEAMC_OK);
    fake_take(f, f->csi, BEAM_WIRE_REGISTER_CLUSTER);
    m = (const Beamd__RegisterCluster *)f->message;
    assert_int_equal(m->beam_bits, 14);
    assert_int_equal(m->n_preferences, 0);
    assert_true(m->preference->u1 == 0 && m->preference->u2 == 1);
}

/* Channels of three subbands, of sizes a thousand times apart. */
static void fill(double *channels, double *radius)
{
    for (int k = 0; k < 3 * 24; k++) {
        channels[k] = sin(1.3 * k + 0.2) * pow(10.0, -(k % 4));
    }
    for (int k = 0; k < 3 * 4; k++) {
        radius[k] = 0.001 * (k % 4);
    }
}

/* The ball of what was estimated lies within that of what arrives. */
static void assert_radius_covers(const Beamd__Subband *band, const double *channels,
                                 const double *radius, bool exact)
{
    const uint32_t shape[3] = {2, 2, 3};
    double arrived[24];
    assert_int_equal(beam_wire_array_decode(band->channels, "channels", shape, 3, arrived, NULL),
                     0);
    for (int link = 0; link < 4; link++) {
        double distance = 0;
        for (int n = 6 * link; n < 6 * link + 6; n++) {
            distance = hypot(distance, arrived[n] - channels[n]);
        }
        assert_true(exact ? band->error_radius[link] == radius[link]
                          : distance > 0 && band->error_radius[link] >= radius[link] + distance);
        assert_true(band->error_radius[link] <= radius[link] + distance * (1 + 1e-9));
    }
}

static void channels_of_many_subbands_arrive_within_their_radii(void **state)
{
    fake *f = *state;
    static const uint32_t index[3] = {7, 0, 274};
    double channels[3 * 24], radius[3 * 4];
    beamc_error err;
    fill(channels, radius);
    beamc_csi csi = fake_example_csi();
    csi.channels = channels;
    csi.error_radius = radius;
    csi.subband_count = 3;
    csi.csi_age_us = 1500;
    for (int element = BEAMC_ELEMENT_DEFAULT; element <= BEAMC_ELEMENT_BFP; element++) {
        csi.element = (beamc_element)element;
        csi.subband_index = element % 2 ? index : NULL;
        csi.bits = element == BEAMC_ELEMENT_BFP ? 12 : 0;
        assert_int_equal(element % 2 ? beamc_send_csi(f->client, &csi, NULL, &err)
                                     : beamc_send_join(f->client, &csi, NULL, &err),
                         BEAMC_OK);
        fake_take(f, f->csi, element % 2 ? BEAM_WIRE_CSI_UPDATE : BEAM_WIRE_USERS_JOIN);
        const Beamd__CsiUpdate *m = (const Beamd__CsiUpdate *)f->message;
        const Beamd__UsersJoin *join = (const Beamd__UsersJoin *)f->message;
        assert_int_equal(element % 2 ? m->n_subbands : join->n_subbands, 3);
        assert_int_equal(element % 2 ? m->csi_age_us : join->csi_age_us, 1500);
        for (uint32_t b = 0; b < 3; b++) {
            const Beamd__Subband *band = element % 2 ? m->subbands[b] : join->subbands[b];
            assert_int_equal(band->index, element % 2 ? index[b] : b);
            assert_radius_covers(band, channels + 24 * b, radius + 4 * b,
                                 element < BEAMC_ELEMENT_INT16);
        }
    }
}

/* The golden solution_late and those of solution_set have the same content. */
static void assert_wide_solution(const beamc_solution *s)
{
    assert_int_equal(s->user_count, 2);
    assert_int_equal(s->station_count, 3);
    assert_int_equal(s->antennas, 5);
    assert_true(s->beams[0] == -32767.0 * ldexp(floor(ldexp(300.0 / 32767.0, 30)), -30));
    assert_true(s->sensing[0] > -300.0 && s->sensing[0] < -299.9);
    assert_true(s->csi_sequence == 41 && s->target_sequence == 17);
    assert_int_equal(s->backend, BEAMC_BACKEND_CHECK);
    assert_true(s->csi_age_us == 2750 && s->csi_stale && s->ideal_stale && s->late);
    assert_true(s->error_growth == 1.5);
    const beamc_latency *l = &s->latency;
    assert_true(l->received_monotonic_ns == 1000000000000000u && l->solve_ns == 812345);
    assert_true(l->solve_to_sent_ns == 15000 && l->solve_to_checked_ns == 11000);
    assert_true(l->has_sender_estimate && l->sender_offset_estimate_ns == -123456789012);
    assert_true(l->transit_estimate_ns == 54321);
    assert_true(s->valid_until_monotonic_ns == 1000000010000000u);
}

static void a_degraded_answer_says_so(void **state)
{
    fake *f = *state;
    unsigned char frame[FAKE_BYTES];
    beamc_answer answer;
    beamc_error err;
    const uint64_t sequence = fake_send_example(f);
    const size_t size =
        fake_golden_frame(frame, "solution_late", BEAM_WIRE_SOLUTION, "c1", sequence);
    fake_send_bytes(f, f->csi, frame, size);
    assert_int_equal(beamc_await(f->client, sequence, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.solution_count, 1);
    assert_ptr_equal(answer.solution, answer.solutions);
    assert_wide_solution(answer.solution);
    assert_int_equal(answer.solution->service, BEAMC_SERVICE_CHECKED);
    assert_int_equal(answer.service, BEAMC_SERVICE_CHECKED);
    assert_true(answer.late && answer.solution->subband == 7);
    assert_string_equal(answer.solution->preference_name, "balanced");
    assert_true(answer.solution->latency.round_trip_ns > 0);
}

static void an_answer_of_many_has_the_instants_of_all(void **state)
{
    fake *f = *state;
    unsigned char frame[FAKE_BYTES];
    beamc_answer answer;
    beamc_error err;
    const uint64_t sequence = fake_send_example(f);
    const size_t size =
        fake_golden_frame(frame, "solution_set", BEAM_WIRE_SOLUTION_SET, "c1", sequence);
    fake_send_bytes(f, f->csi, frame, size);
    assert_int_equal(beamc_await(f->client, sequence, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_SOLUTION);
    assert_true(answer.sequence == sequence && answer.late);
    assert_int_equal(answer.service, BEAMC_SERVICE_HELD);
    assert_int_equal(answer.solution_count, 4);
    for (size_t k = 0; k < 4; k++) {
        const beamc_solution *s = &answer.solutions[k];
        assert_wide_solution(s);
        assert_true(s->repeat);
        assert_int_equal(s->subband, k < 2 ? 0 : 274);
        assert_int_equal(s->service, k < 2 ? BEAMC_SERVICE_REDUCED : BEAMC_SERVICE_HELD);
        assert_string_equal(s->preference_name, k % 2 ? "locate-2.b" : "balanced");
        assert_true(s->latency.round_trip_ns == answer.solution->latency.round_trip_ns &&
                    s->latency.round_trip_ns > 0);
    }
}

/* `count` times the same solution, as the frame of a SolutionSet, to be freed. */
static unsigned char *pack_set(Beamd__Solution *one, size_t count, uint64_t sequence, size_t *bytes)
{
    Beamd__Solution **list = malloc(count * sizeof *list);
    for (size_t k = 0; k < count; k++) {
        list[k] = one;
    }
    Beamd__SolutionSet set = BEAMD__SOLUTION_SET__INIT;
    set.solutions = list;
    set.n_solutions = count;
    const size_t capacity = beam_wire_frame_bytes(&set.base);
    unsigned char *frame = malloc(capacity);
    assert_int_equal(beam_wire_pack(BEAM_WIRE_SOLUTION_SET, "c1", sequence, &set.base, frame,
                                    capacity, bytes, NULL),
                     0);
    free(list);
    return frame;
}

/* In BFP of 8 bits, the fewest bytes for the most numbers. `shape` outlives the array. */
static void put_cosines(Beamd__ComplexArray *array, uint32_t *shape)
{
    size_t numbers = 1;
    for (size_t k = 0; k < array->n_shape; k++) {
        numbers *= shape[k];
    }
    double *values = malloc(2 * numbers * sizeof *values);
    for (size_t k = 0; k < 2 * numbers; k++) {
        values[k] = cos(0.7 * (double)k);
    }
    const Beamd__ElementType bfp = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP;
    const size_t bytes = beam_wire_complex_bytes(bfp, 8, numbers);
    array->shape = shape;
    array->data.data = malloc(bytes);
    assert_int_equal(
        beam_wire_array_encode(array, bfp, 8, BEAM_WIRE_ROUND_TOWARD_ZERO, values, bytes), 0);
    free(values);
}

/* The golden solution with other sizes: stations, sensing beams of each, antennas, users. */
static unsigned char *large_set(fake *f, size_t count, const uint32_t size[4], size_t *bytes)
{
    unsigned char frame[FAKE_BYTES];
    beam_wire_header header;
    ProtobufCMessage *message;
    const size_t n = fake_golden_frame(frame, "solution_late", BEAM_WIRE_SOLUTION, "c1", 1);
    beam_wire_arena_reset(&f->arena);
    assert_int_equal(beam_wire_unpack(&header, &message, &f->arena, frame, n, NULL), 0);
    Beamd__Solution *one = (Beamd__Solution *)message;
    uint32_t beam_shape[2] = {size[3], size[2]}, sensing_shape[3] = {size[0], size[1], size[2]};
    Beamd__UserAnswer *users[BEAM_WIRE_MAX_USERS];
    Beamd__StationAnswer *stations[BEAM_WIRE_MAX_STATIONS];
    for (uint32_t k = 0; k < size[3]; k++) {
        users[k] = one->users[0];
        users[k]->station = 0;
    }
    for (uint32_t k = 0; k < size[0]; k++) {
        stations[k] = one->stations[0];
        stations[k]->sensing_columns = size[1];
    }
    one->users = users;
    one->n_users = size[3];
    one->stations = stations;
    one->n_stations = size[0];
    put_cosines(one->beams, beam_shape);
    put_cosines(one->sensing, sensing_shape);
    unsigned char *set = pack_set(one, count, 1, bytes);
    free(one->beams->data.data);
    free(one->sensing->data.data);
    return set;
}

static void answers_as_large_as_may_be_are_read(void **state)
{
    fake *f = *state;
    /* stations, sensing beams of each, antennas, users */
    static const uint32_t sizes[3][4] = {{3, 4, 5, 6}, {1, 1, 1, 1}, {4, 8, 64, 32}};
    static const size_t counts[3] = {1100, 1100, 850};
    for (int k = 0; k < 3; k++) {
        size_t bytes;
        beamc_answer answer;
        beamc_error err;
        fake_send_example(f);
        unsigned char *frame = large_set(f, counts[k], sizes[k], &bytes);
        assert_true(k < 2 || bytes > 8u << 20);
        fake_send_bytes(f, f->csi, frame, bytes);
        assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
        assert_int_equal(answer.solution_count, counts[k]);
        const beamc_solution *last = &answer.solutions[counts[k] - 1];
        assert_int_equal(last->user_count, sizes[k][3]);
        assert_int_equal(last->antennas, sizes[k][2]);
        assert_true(fabs(last->beams[0] - 1) < 0.02 && fabs(last->sensing[1] - cos(0.7)) < 0.02);
        free(frame);
    }
}

static void bad_sets_are_errors_and_the_client_lives_on(void **state)
{
    fake *f = *state;
    unsigned char frame[FAKE_BYTES];
    beamc_answer answer;
    beamc_error err;
    const uint64_t sequence = fake_send_example(f);
    Beamd__SolutionSet empty = BEAMD__SOLUTION_SET__INIT;
    fake_answer(f, f->csi, BEAM_WIRE_SOLUTION_SET, "c1", sequence, &empty.base);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_E_PROTOCOL);
    /* the scale of the third solution's beams */
    const size_t size =
        fake_golden_frame(frame, "solution_set", BEAM_WIRE_SOLUTION_SET, "c1", sequence);
    beam_wire_header header;
    ProtobufCMessage *message;
    beam_wire_arena_reset(&f->arena);
    assert_int_equal(beam_wire_unpack(&header, &message, &f->arena, frame, size, NULL), 0);
    ((Beamd__SolutionSet *)message)->solutions[2]->beams->scale = 0;
    fake_answer(f, f->csi, BEAM_WIRE_SOLUTION_SET, "c1", sequence, message);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_E_PROTOCOL);
    assert_string_equal(err.field, "solutions[2].beams.scale");
    assert_null(answer.solutions);
    /* over a hundred times as large when laid out */
    Beamd__UserAnswer user = BEAMD__USER_ANSWER__INIT, *users[BEAM_WIRE_MAX_USERS];
    Beamd__Solution hollow = BEAMD__SOLUTION__INIT;
    for (int k = 0; k < BEAM_WIRE_MAX_USERS; k++) {
        users[k] = &user;
    }
    hollow.users = users;
    hollow.n_users = BEAM_WIRE_MAX_USERS;
    size_t bytes;
    unsigned char *large = pack_set(&hollow, 1100, sequence, &bytes);
    fake_send_bytes(f, f->csi, large, bytes);
    free(large);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_E_PROTOCOL);
    assert_non_null(strstr(err.text, "more memory than is set aside"));
    /* what belongs on another socket */
    Beamd__Telemetry telemetry = BEAMD__TELEMETRY__INIT;
    fake_answer(f, f->csi, BEAM_WIRE_TELEMETRY, "", 1, &telemetry.base);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_E_PROTOCOL);
    fake_ack(f, sequence);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_ACK);
}

static void assert_csi_wrong(fake *f, const beamc_csi *csi)
{
    beamc_error err;
    assert_int_equal(beamc_send_csi(f->client, csi, NULL, &err), BEAMC_E_ARGUMENT);
    assert_true(err.text[0] != 0);
}

static void wrong_csi_is_refused_before_it_is_sent(void **state)
{
    fake *f = *state;
    static const uint32_t twice[2] = {4, 4}, beyond[2] = {0, 275};
    double channels[3 * 24], radius[3 * 4];
    fill(channels, radius);
    beamc_csi good = fake_example_csi();
    good.channels = channels;
    good.error_radius = radius;
    good.subband_count = 2;
    beamc_csi csi = good;
    csi.subband_count = 276;
    assert_csi_wrong(f, &csi);
    csi = good;
    csi.subband_index = twice;
    assert_csi_wrong(f, &csi);
    csi.subband_index = beyond;
    assert_csi_wrong(f, &csi);
    csi = good;
    csi.element = (beamc_element)5;
    assert_csi_wrong(f, &csi);
    csi.element = BEAMC_ELEMENT_BFP;
    csi.bits = 7;
    assert_csi_wrong(f, &csi);
    csi.bits = 17;
    assert_csi_wrong(f, &csi);
    csi.bits = UINT_MAX;
    assert_csi_wrong(f, &csi);
    csi.bits = 0;
    channels[30] = NAN;
    assert_csi_wrong(f, &csi);
    csi.element = BEAMC_ELEMENT_INT16;
    assert_csi_wrong(f, &csi);
    /* 275 subbands of the largest cluster: over 9 MiB before the second one */
    csi = good;
    csi.station_count = 16;
    csi.antennas = 256;
    csi.subband_count = 3;
    double *large = calloc((size_t)3 * 16 * 128 * 256 * 2, sizeof *large);
    beamc_user users[128] = {{0}};
    csi.user_count = 128;
    csi.users = users;
    csi.channels = large;
    csi.error_radius = large;
    assert_csi_wrong(f, &csi);
    free(large);
}

static void wrong_clusters_are_refused_before_they_are_sent(void **state)
{
    fake *f = *state;
    beamc_error err;
    static const beamc_named_preference names[5] = {
        {"a", 0.5}, {"two words", 0.5}, {"c", 1.5}, {NULL, 0.5}, {"e", NAN}};
    for (size_t k = 1; k < 5; k++) {
        const beamc_cluster cluster = {.id = "c1", .preferences = &names[k], .preference_count = 1};
        assert_int_equal(beamc_register(f->client, &cluster, 10, &err), BEAMC_E_ARGUMENT);
    }
    static const beamc_named_preference twice[2] = {{"a", 0.5}, {"a", 0.6}};
    const beamc_cluster wrong[] = {
        {.id = "c1", .preferences = twice, .preference_count = 2},
        {.id = "c1", .preferences = names, .preference_count = 5},
        {.id = "c1", .preference_count = 1},
        {.id = "c1", .subbands = 276},
        {.id = "c1", .element = (beamc_element)9},
        {.id = "c1", .element = BEAMC_ELEMENT_BFP, .bits = 20},
    };
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        assert_int_equal(beamc_register(f->client, &wrong[k], 10, &err), BEAMC_E_ARGUMENT);
    }
}

static void every_value_of_the_wire_has_its_words(void **state)
{
    (void)state;
    for (int k = 0; k <= BEAMC_SERVICE_HELD; k++) {
        assert_null(strstr(beamc_service_text((beamc_service)k), "unknown"));
    }
    for (int k = 0; k <= BEAMC_BACKEND_GPU; k++) {
        assert_null(strstr(beamc_backend_text((beamc_backend)k), "unknown"));
    }
    for (int k = 0; k <= BEAMC_ELEMENT_BFP; k++) {
        assert_null(strstr(beamc_element_text((beamc_element)k), "unknown"));
    }
    assert_string_equal(beamc_service_text((beamc_service)4), "unknown service");
    assert_string_equal(beamc_backend_text((beamc_backend)5), "unknown backend");
    assert_string_equal(beamc_element_text((beamc_element)5), "unknown element");
    assert_true((int)BEAMC_SERVICE_HELD == (int)BEAMD__SERVICE__SERVICE_HELD);
    assert_true((int)BEAMC_SERVICE_CHECKED == (int)BEAMD__SERVICE__SERVICE_CHECKED);
    assert_true((int)BEAMC_BACKEND_CHECK == (int)BEAMD__BACKEND__BACKEND_CHECK);
    assert_true((int)BEAMC_BACKEND_GPU == (int)BEAMD__BACKEND__BACKEND_GPU);
    assert_true((int)BEAMC_ELEMENT_INT16 == (int)BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16);
    assert_true((int)BEAMC_ELEMENT_BFP == (int)BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DAEMON(a_registration_carries_subbands_names_and_element),
        WITH_DAEMON(channels_of_many_subbands_arrive_within_their_radii),
        WITH_DAEMON(a_degraded_answer_says_so),
        WITH_DAEMON(an_answer_of_many_has_the_instants_of_all),
        WITH_DAEMON(answers_as_large_as_may_be_are_read),
        WITH_DAEMON(bad_sets_are_errors_and_the_client_lives_on),
        WITH_DAEMON(wrong_csi_is_refused_before_it_is_sent),
        WITH_DAEMON(wrong_clusters_are_refused_before_they_are_sent),
        cmocka_unit_test(every_value_of_the_wire_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
