/* libbeamclient against a daemon of sockets alone: every answer, good or bad, in any order. */
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "client_fake.h"

static void csi_arrives_as_it_was_given(void **state)
{
    fake *f = *state;
    assert_true(fake_send_example(f) == 100);
    const Beamd__CsiUpdate *m = (const Beamd__CsiUpdate *)f->message;
    assert_string_equal(f->header.cluster, "c1");
    assert_int_equal(m->deadline_us, 4000);
    assert_true(m->sender_time_ns != 0);
    assert_int_equal(m->n_users, 2);
    assert_true(m->users[1]->user_id == 1ull << 40 && m->users[1]->min_rate_bps_hz == 0.5);
    const uint32_t shape[3] = {2, 2, 3};
    double values[24];
    assert_int_equal(
        beam_wire_array_decode(m->subbands[0]->channels, "channels", shape, 3, values, NULL), 0);
    assert_memory_equal(values, FAKE_CHANNELS, sizeof FAKE_CHANNELS);
    assert_memory_equal(m->subbands[0]->error_radius, FAKE_RADII, sizeof FAKE_RADII);
    assert_true(fake_send_example(f) == 101);
}

static void a_solution_comes_back_as_plain_numbers(void **state)
{
    fake *f = *state;
    const uint64_t sequence = fake_send_example(f);
    unsigned char frame[FAKE_BYTES];
    const size_t size = fake_golden_frame(frame, "solution", BEAM_WIRE_SOLUTION, "c1", sequence);
    fake_send_bytes(f, f->csi, frame, size);
    beamc_answer answer;
    beamc_error err;
    assert_int_equal(beamc_await(f->client, sequence, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_SOLUTION);
    assert_string_equal(answer.cluster, "c1");
    const beamc_solution *s = answer.solution;
    assert_int_equal(s->user_count, 2);
    assert_int_equal(s->station_count, 3);
    assert_int_equal(s->antennas, 5);
    assert_int_equal(s->sensing_max, 4);
    for (int k = 0; k < 20; k++) {
        assert_true(s->beams[k] == -1.0 + 0.25 * k);
    }
    for (int k = 0; k < 120; k++) {
        assert_true(s->sensing[k] == 0.125 + 0.25 * k);
    }
    assert_true(s->users[1].id == 1001 && s->users[1].below_floor &&
                s->users[1].rate_worst_case_bps_hz == 6.25);
    assert_true(s->stations[1].sensing_columns == 3 && s->stations[0].power_w == 9.5);
    assert_int_equal(s->targets[0].state, BEAMC_TARGET_UNIDENTIFIABLE_DESIGN);
    assert_true(s->latency.solve_ns == 812345 && s->latency.round_trip_ns > 0);
    assert_true(fabs(s->preference.tradeoff - 2 / acos(-1.0) * atan(0.75)) < 1e-12);
    assert_true(s->method == BEAMC_METHOD_CLASSICAL && s->status == BEAMC_SOLVE_TIME_LIMIT &&
                s->warm);
}

static void answers_in_another_order_are_kept_for_receive(void **state)
{
    fake *f = *state;
    unsigned char frame[FAKE_BYTES];
    beamc_answer answer;
    beamc_error err;
    const uint64_t first = fake_send_example(f), second = fake_send_example(f);
    fake_refuse(f, f->csi, first, BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
    const size_t size = fake_golden_frame(frame, "solution", BEAM_WIRE_SOLUTION, "c1", second);
    fake_send_bytes(f, f->csi, frame, size);
    assert_int_equal(beamc_await(f->client, second, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_true(answer.sequence == second);
    assert_int_equal(beamc_receive(f->client, 0, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_REFUSED);
    assert_true(answer.sequence == first);
    assert_int_equal(answer.refused.refusal, BEAMC_REFUSAL_SUPERSEDED);
    assert_int_equal(beamc_receive(f->client, 0, &answer, &err), BEAMC_E_TIMEOUT);
}

static void more_answers_than_can_be_kept_are_counted(void **state)
{
    fake *f = *state;
    beamc_answer answer;
    beamc_error err;
    const uint64_t sequence = fake_send_example(f);
    for (uint64_t k = 0; k < 70; k++) {
        fake_ack(f, 1000 + k);
    }
    fake_ack(f, sequence);
    assert_int_equal(beamc_await(f->client, sequence, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_true(beamc_dropped(f->client) == 6);
    assert_int_equal(beamc_receive(f->client, 0, &answer, &err), BEAMC_OK);
    assert_true(answer.sequence == 1006); /* the oldest were dropped */
}

static void a_refusal_names_field_and_request(void **state)
{
    fake *f = *state;
    beamc_answer answer;
    beamc_error err;
    const uint64_t sequence = fake_send_example(f);
    fake_refuse(f, f->csi, sequence, BEAMD__ERROR_CODE__ERROR_INVALID);
    assert_int_equal(beamc_await(f->client, sequence, FAKE_PATIENCE_MS, &answer, &err),
                     BEAMC_E_REFUSED);
    assert_int_equal(err.code, BEAMC_E_REFUSED);
    assert_int_equal(err.refusal, BEAMC_REFUSAL_INVALID);
    assert_true(err.sequence == sequence);
    assert_string_equal(err.field, "users[1].noise_w");
    assert_string_equal(err.text, "must be above zero");
    /* the daemon could not read the header: sequence 0 */
    const uint64_t next = fake_send_example(f);
    fake_refuse(f, f->csi, 0, BEAMD__ERROR_CODE__ERROR_VERSION);
    assert_int_equal(beamc_await(f->client, next, FAKE_PATIENCE_MS, &answer, &err),
                     BEAMC_E_REFUSED);
    assert_int_equal(err.refusal, BEAMC_REFUSAL_VERSION);
}

static void hostile_answers_are_errors_and_the_client_lives_on(void **state)
{
    fake *f = *state;
    unsigned char frame[FAKE_BYTES];
    beamc_answer answer;
    beamc_error err;
    const uint64_t sequence = fake_send_example(f);
    fake_send_bytes(f, f->csi, "no message of this protocol", 27);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_E_PROTOCOL);
    const size_t size = fake_golden_frame(frame, "solution", BEAM_WIRE_SOLUTION, "c1", sequence);
    for (size_t cut = BEAM_WIRE_HEADER_BYTES; cut < size; cut += 7) { /* with an honest length */
        unsigned char copy[FAKE_BYTES];
        memcpy(copy, frame, size);
        assert_int_equal(beam_wire_header_encode(copy, BEAM_WIRE_SOLUTION, "c1", sequence,
                                                 cut - BEAM_WIRE_HEADER_BYTES, NULL),
                         0);
        fake_send_bytes(f, f->csi, copy, cut);
        const beamc_code code = beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err);
        assert_true(code == BEAMC_OK || code == BEAMC_E_PROTOCOL);
        if (code == BEAMC_OK) { /* the end that is cut holds only numbers that may be absent */
            assert_int_equal(answer.kind, BEAMC_ANSWER_SOLUTION);
        }
    }
    /* a NaN among the beams: the fourth of the float32 values that begin with -1.0 */
    static const unsigned char minus_one[8] = {0, 0, 0x80, 0xbf, 0, 0, 0x40, 0xbf};
    size_t at = 0;
    while (memcmp(frame + at, minus_one, sizeof minus_one) != 0) {
        at++;
        assert_true(at < size - 16);
    }
    memset(frame + at + 12, 0xff, 4);
    fake_send_bytes(f, f->csi, frame, size);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_E_PROTOCOL);
    assert_string_equal(err.field, "beams[0][1]");
    fake_ack(f, sequence);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_ACK);
}

static void nobody_there_is_a_timeout_with_the_endpoint(void **state)
{
    (void)state;
    beamc_options options = beamc_options_default();
    beamc_client *client;
    beamc_error err;
    options.runtime_dir = "/tmp/beamc-test-nobody";
    options.send_timeout_ms = 50;
    assert_int_equal(beamc_connect(&client, &options, &err), BEAMC_OK);
    beamc_status status;
    assert_int_equal(beamc_status_get(client, NULL, 50, &status, &err), BEAMC_E_TIMEOUT);
    assert_non_null(strstr(err.text, "ipc:///tmp/beamc-test-nobody/control.sock"));
    beamc_answer answer;
    assert_int_equal(beamc_receive(client, 0, &answer, &err), BEAMC_E_ARGUMENT);
    beamc_close(&client);
    beamc_close(&client);
    beamc_close(NULL);
}

static void a_late_answer_is_not_taken_for_the_next_one(void **state)
{
    fake *f = *state;
    beamc_error err;
    beamc_preference preference;
    assert_int_equal(beamc_preference_get(f->client, "c1", 20, &preference, &err), BEAMC_E_TIMEOUT);
    fake_take(f, f->control, BEAM_WIRE_PREFERENCE_GET);
    Beamd__PreferenceReply reply = BEAMD__PREFERENCE_REPLY__INIT;
    Beamd__Preference u = BEAMD__PREFERENCE__INIT;
    reply.preference = &u;
    u.u1 = 1.0; /* the answer given up, then the one asked for next */
    fake_answer(f, f->control, BEAM_WIRE_PREFERENCE_REPLY, "c1", f->header.sequence, &reply.base);
    u.u1 = 0.0;
    u.u2 = 1.0;
    fake_answer(f, f->control, BEAM_WIRE_PREFERENCE_REPLY, "c1", f->header.sequence + 1,
                &reply.base);
    assert_int_equal(
        beamc_preference_set(f->client, "c1", 0.0, FAKE_PATIENCE_MS, &preference, &err), BEAMC_OK);
    assert_true(preference.tradeoff == 0.0);
    fake_take(f, f->control, BEAM_WIRE_PREFERENCE_SET);
    const Beamd__PreferenceSet *m = (const Beamd__PreferenceSet *)f->message;
    assert_true(m->preference->u1 == 0.0 && m->preference->u2 == 1.0);
}

static void published_solutions_reach_only_their_subscribers(void **state)
{
    fake *f = *state;
    unsigned char frame[FAKE_BYTES], topic[64];
    beamc_answer answer;
    beamc_error err;
    assert_int_equal(beamc_fd(f->client), -1);
    assert_int_equal(beamc_subscribe(f->client, "c1", &err), BEAMC_OK);
    assert_int_equal(zmq_recv(f->beams, topic, sizeof topic, 0), 4); /* 1, "c1", 0 */
    assert_memory_equal(topic, "\1c1\0", 4);
    const size_t size = fake_golden_frame(frame, "solution", BEAM_WIRE_SOLUTION, "c1", 9);
    zmq_send(f->beams, "c10\0", 4, ZMQ_SNDMORE);
    zmq_send(f->beams, frame, size, 0);
    zmq_send(f->beams, "c1\0", 3, ZMQ_SNDMORE);
    zmq_send(f->beams, frame, size, 0);

    /* by the descriptor, as an event loop would */
    struct pollfd fd = {.fd = beamc_fd(f->client), .events = POLLIN};
    beamc_code code = BEAMC_E_TIMEOUT;
    for (int turn = 0; turn < 50 && code == BEAMC_E_TIMEOUT; turn++) {
        code = beamc_receive(f->client, 0, &answer, &err);
        if (code == BEAMC_E_TIMEOUT) {
            assert_int_equal(poll(&fd, 1, FAKE_PATIENCE_MS), 1);
        }
    }
    assert_int_equal(code, BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_PUBLISHED);
    assert_true(answer.solution->latency.round_trip_ns == 0);
    assert_int_equal(beamc_receive(f->client, 50, &answer, &err), BEAMC_E_TIMEOUT);
}

static void wrong_calls_are_refused_before_they_are_sent(void **state)
{
    fake *f = *state;
    beamc_error err;
    beamc_csi csi = fake_example_csi();
    csi.cluster = "not an id";
    assert_int_equal(beamc_send_csi(f->client, &csi, NULL, &err), BEAMC_E_ARGUMENT);
    csi = fake_example_csi();
    csi.user_count = 129;
    assert_int_equal(beamc_send_csi(f->client, &csi, NULL, &err), BEAMC_E_ARGUMENT);
    csi = fake_example_csi();
    csi.channels = NULL;
    assert_int_equal(beamc_send_join(f->client, &csi, NULL, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_send_csi(NULL, &csi, NULL, NULL), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_preference_set(f->client, "c1", NAN, 10, NULL, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_subscribe(f->client, "", &err), BEAMC_E_ARGUMENT);
    const beamc_cluster cluster = {.id = "c1", .station_count = 17};
    assert_int_equal(beamc_register(f->client, &cluster, 10, &err), BEAMC_E_ARGUMENT);
    beamc_options options = {0};
    beamc_client *client = f->client;
    assert_int_equal(beamc_connect(&client, &options, &err), BEAMC_E_ARGUMENT);
    assert_null(client);
}

static void every_code_has_its_words(void **state)
{
    (void)state;
    for (int k = 0; k <= BEAMC_E_REFUSED; k++) {
        assert_true(strlen(beamc_code_text((beamc_code)k)) > 3);
    }
    assert_string_equal(beamc_refusal_text(BEAMC_REFUSAL_UNKNOWN_CLUSTER), "unknown cluster");
    assert_string_equal(beamc_refusal_text(BEAMC_REFUSAL_DRAINING), "draining");
    assert_string_equal(beamc_refusal_text((beamc_refusal)99), "unknown refusal");
    assert_string_equal(beamc_tradeoff_words(0.0), "communication only");
    assert_string_equal(beamc_tradeoff_words(0.5), "balanced");
    assert_string_equal(beamc_tradeoff_words(1.0), "sensing only");
    const beamc_preference p = beamc_preference_from_tradeoff(1.0 / 3.0);
    assert_true(fabs(p.u1 - 0.5) < 1e-12);
    assert_true(fabs(beamc_preference_from_vector(p.u1, p.u2).tradeoff - 1.0 / 3.0) < 1e-12);
    assert_true((int)BEAMC_REFUSAL_DRAINING == (int)BEAMD__ERROR_CODE__ERROR_DRAINING);
    assert_true((int)BEAMC_REFUSAL_SUPERSEDED == (int)BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DAEMON(csi_arrives_as_it_was_given),
        WITH_DAEMON(a_solution_comes_back_as_plain_numbers),
        WITH_DAEMON(answers_in_another_order_are_kept_for_receive),
        WITH_DAEMON(more_answers_than_can_be_kept_are_counted),
        WITH_DAEMON(a_refusal_names_field_and_request),
        WITH_DAEMON(hostile_answers_are_errors_and_the_client_lives_on),
        cmocka_unit_test(nobody_there_is_a_timeout_with_the_endpoint),
        WITH_DAEMON(a_late_answer_is_not_taken_for_the_next_one),
        WITH_DAEMON(published_solutions_reach_only_their_subscribers),
        WITH_DAEMON(wrong_calls_are_refused_before_they_are_sent),
        cmocka_unit_test(every_code_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
