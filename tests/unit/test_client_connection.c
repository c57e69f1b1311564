/* What happens to requests and answers when the connection to the daemon ends. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <zmq.h>

#include "client_fake.h"

enum { SHORT_MS = 300, QUEUE = 100 };

static void set(void *socket, int option, int value)
{
    assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof value), 0);
}

static void bind_csi(fake *f, int queue_messages)
{
    char endpoint[128];
    f->csi = zmq_socket(f->context, ZMQ_ROUTER);
    set(f->csi, ZMQ_LINGER, 0);
    set(f->csi, ZMQ_RCVTIMEO, FAKE_PATIENCE_MS);
    set(f->csi, ZMQ_RCVHWM, queue_messages);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/csi.sock", f->dir);
    while (zmq_bind(f->csi, endpoint) != 0) { /* the old one is closed in the background */
        assert_int_equal(zmq_errno(), EADDRINUSE);
        poll(NULL, 0, 1);
    }
}

/* A daemon that stops: its last answers, then the end of the connection, before the client looks.
 */
static void answers_outlive_their_connection(void **state)
{
    fake *f = *state;
    beamc_answer answer;
    beamc_error err;
    const uint64_t first = fake_send_example(f), second = fake_send_example(f);
    assert_int_equal(beamc_await(f->client, first, 0, &answer, &err), BEAMC_E_TIMEOUT);
    set(f->csi, ZMQ_LINGER, FAKE_PATIENCE_MS);
    fake_ack(f, first);
    fake_refuse(f, f->csi, second, BEAMD__ERROR_CODE__ERROR_DRAINING);
    zmq_close(f->csi);
    poll(NULL, 0, SHORT_MS);
    assert_int_equal(beamc_await(f->client, second, SHORT_MS, &answer, &err), BEAMC_E_REFUSED);
    assert_int_equal(err.refusal, BEAMC_REFUSAL_DRAINING);
    assert_int_equal(beamc_await(f->client, first, SHORT_MS, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_ACK);
    assert_int_equal(beamc_await(f->client, first, 0, &answer, &err), BEAMC_E_TIMEOUT);
    bind_csi(f, QUEUE);
    fake_ack(f, fake_send_example(f));
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
}

/* Answers that nobody has read when the next request opens another connection. */
static void answers_outlive_the_next_request(void **state)
{
    fake *f = *state;
    beamc_answer answer;
    beamc_error err;
    const uint64_t first = fake_send_example(f);
    assert_int_equal(beamc_await(f->client, first, 0, &answer, &err), BEAMC_E_TIMEOUT);
    set(f->csi, ZMQ_LINGER, FAKE_PATIENCE_MS);
    fake_ack(f, first);
    zmq_close(f->csi);
    poll(NULL, 0, SHORT_MS);
    bind_csi(f, QUEUE);
    const uint64_t second = fake_send_example(f);
    fake_ack(f, second);
    assert_true(beamc_fd(f->client) >= 0);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_true(answer.sequence == first);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_true(answer.sequence == second);
}

/* Requests that wait for a daemon that does not read are not for the one that follows it, not even
 * when the client sleeps through the change. */
static void requests_end_with_their_connection(void **state)
{
    fake *f = *state;
    beamc_error err;
    beamc_client *client;
    const beamc_csi csi = fake_example_csi();
    zmq_close(f->csi);
    bind_csi(f, 1);
    beamc_options options = beamc_options_default();
    options.runtime_dir = f->dir;
    options.send_timeout_ms = SHORT_MS;
    assert_int_equal(beamc_connect(&client, &options, &err), BEAMC_OK);
    beamc_code code;
    do {
        code = beamc_send_csi(client, &csi, NULL, &err);
    } while (code == BEAMC_OK);
    assert_int_equal(code, BEAMC_E_TIMEOUT); /* every queue between us is full */
    zmq_close(f->csi);
    bind_csi(f, QUEUE);
    poll(NULL, 0, SHORT_MS);
    uint64_t sequence;
    assert_int_equal(beamc_send_csi(client, &csi, &sequence, &err), BEAMC_OK);
    fake_take(f, f->csi, BEAM_WIRE_CSI_UPDATE);
    assert_true(f->header.sequence == sequence);
    beamc_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_DAEMON(answers_outlive_their_connection),
                                       WITH_DAEMON(answers_outlive_the_next_request),
                                       WITH_DAEMON(requests_end_with_their_connection)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
