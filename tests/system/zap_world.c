#include "system/zap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

enum { STEP_MS = 2 };

static void answer(zap_world *self, beamd_zsock *socket, const beamd_message *message)
{
    (void)self;
    char text[BEAMD_USER_BYTES + 16];
    const int n = snprintf(text, sizeof text, "%s %u", message->user, message->roles);
    const beamd_frame frames[] = {message->frame[0], {text, (size_t)n}};
    beamd_zsock_send(socket, frames, 2);
}

static void csi_message(void *arg, const beamd_message *message)
{
    zap_world *self = arg;
    answer(self, self->csi, message);
}

static void control_message(void *arg, const beamd_message *message)
{
    zap_world *self = arg;
    answer(self, self->control, message);
}

static void beams_message(void *arg, const beamd_message *message)
{
    zap_world *self = arg;
    const unsigned char *what = message->frame[0].data;
    self->subscriptions += message->frame[0].bytes > 0 && what[0] == 1; /* 0: one ends */
    snprintf(self->subscriber, sizeof self->subscriber, "%s", message->user);
    self->subscriber_roles = message->roles;
}

static beamd_zsock *open_socket(zap_world *self, const char *domain, bool ipc,
                                beamd_message_callback *callback)
{
    char endpoint[128], why[512];
    snprintf(endpoint, sizeof endpoint, ipc ? "ipc://%s/%s.sock" : "tcp://127.0.0.1:*", self->dir,
             domain);
    const beamd_zsock_options options = {.endpoint = endpoint,
                                         .domain = domain,
                                         .queue_messages = 100,
                                         .message_bytes = 256, /* fewer than a handshake takes */
                                         .linger_ms = 0,
                                         .per_turn = &self->per_turn,
                                         .callback = callback,
                                         .arg = self};
    beamd_zsock *socket = (strcmp(domain, "beams") == 0 ? beamd_zsock_xpub : beamd_zsock_router)(
        self->zmq, self->loop, &options, why, sizeof why);
    if (!socket) {
        fail_msg("%s", why);
    }
    return socket;
}

void zap_world_start(zap_world *self, const char *curve_dir, bool ipc, long long connections_max)
{
    char why[512] = "";
    memset(self, 0, sizeof *self);
    self->per_turn = 64;
    snprintf(self->dir, sizeof self->dir, "/tmp/beamd-zap-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    self->loop = beamd_loop_create();
    assert_non_null(self->loop);
    const beamd_zap_options zap = {
        .curve_dir = curve_dir, .connections_max = connections_max, .descriptors_kept = 64};
    self->zap = beamd_zap_create(&zap, why, sizeof why);
    if (!self->zap) {
        fail_msg("%s", why);
    }
    const beamd_zmq_options zmq = {.loop = self->loop, .zap = self->zap, .io_cpu = -1};
    self->zmq = beamd_zmq_create(&zmq, why, sizeof why);
    if (!self->zmq) {
        fail_msg("%s", why);
    }
    self->csi = open_socket(self, "csi", ipc, csi_message);
    self->control = open_socket(self, "control", ipc, control_message);
    self->beams = open_socket(self, "beams", ipc, beams_message);
    self->clients = zmq_ctx_new();
    assert_non_null(self->clients);
    zmq_ctx_set(self->clients, ZMQ_BLOCKY, 0);
}

void zap_world_stop(zap_world *self)
{
    zmq_ctx_term(self->clients);
    beamd_zsock_destroy(&self->beams);
    beamd_zsock_destroy(&self->control);
    beamd_zsock_destroy(&self->csi);
    beamd_zmq_destroy(&self->zmq);
    beamd_zap_destroy(&self->zap);
    beamd_loop_destroy(&self->loop);
    assert_int_equal(rmdir(self->dir), 0); /* so no socket file was left */
}

static void end_turn(void *arg)
{
    beamd_loop_break(arg);
}

void zap_world_turn(zap_world *self, unsigned ms)
{
    beamd_watch *timer = beamd_watch_timer(self->loop, ms, 0, end_turn, self->loop);
    assert_non_null(timer);
    beamd_loop_run(self->loop);
    beamd_watch_destroy(&timer);
}

void zap_client_connect(zap_world *self, zap_client *client, int type, const beamd_zsock *to,
                        const test_pair *keys, const char *server_key)
{
    static unsigned made;
    char name[64];
    const int zero = 0, reconnect_ms = 20;
    memset(client, 0, sizeof *client);
    client->socket = zmq_socket(self->clients, type);
    assert_non_null(client->socket);
    zmq_setsockopt(client->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(client->socket, ZMQ_RECONNECT_IVL, &reconnect_ms, sizeof reconnect_ms);
    if (keys) {
        assert_int_equal(zmq_setsockopt(client->socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, 41),
                         0);
        assert_int_equal(zmq_setsockopt(client->socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, 41),
                         0);
        assert_int_equal(zmq_setsockopt(client->socket, ZMQ_CURVE_SERVERKEY, server_key, 41), 0);
    }
    if (type == ZMQ_SUB) {
        zmq_setsockopt(client->socket, ZMQ_SUBSCRIBE, "", 0);
    }
    snprintf(name, sizeof name, "inproc://client.monitor.%u", made++);
    assert_int_equal(zmq_socket_monitor(client->socket, name,
                                        ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                            ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                            ZMQ_EVENT_HANDSHAKE_FAILED_AUTH),
                     0);
    client->monitor = zmq_socket(self->clients, ZMQ_PAIR);
    zmq_setsockopt(client->monitor, ZMQ_LINGER, &zero, sizeof zero);
    assert_int_equal(zmq_connect(client->monitor, name), 0);
    assert_int_equal(zmq_connect(client->socket, beamd_zsock_endpoint(to)), 0);
}

void zap_client_close(zap_client *client)
{
    zmq_socket_monitor(client->socket, NULL, 0);
    zmq_close(client->monitor);
    zmq_close(client->socket);
    memset(client, 0, sizeof *client);
}

void zap_client_look(zap_client *client)
{
    unsigned char event[6];
    char address[256];
    while (zmq_recv(client->monitor, event, sizeof event, ZMQ_DONTWAIT) == sizeof event) {
        uint16_t what;
        uint32_t value;
        memcpy(&what, event, sizeof what);
        memcpy(&value, event + sizeof what, sizeof value);
        client->failed = what;
        client->reason = value;
        zmq_recv(client->monitor, address, sizeof address, ZMQ_DONTWAIT);
    }
}

const char *zap_client_ask(zap_world *self, zap_client *client, unsigned ms)
{
    static char text[256];
    if (zmq_send(client->socket, "who", 3, ZMQ_DONTWAIT) < 0) {
        return NULL;
    }
    for (unsigned spent = 0; spent < ms; spent += STEP_MS) {
        zap_world_turn(self, STEP_MS);
        const int n = zmq_recv(client->socket, text, sizeof text - 1, ZMQ_DONTWAIT);
        if (n >= 0) {
            text[n] = 0;
            return text;
        }
    }
    return NULL;
}

bool zap_client_fails(zap_world *self, zap_client *client, unsigned ms)
{
    for (unsigned spent = 0; spent < ms && !client->failed; spent += STEP_MS) {
        zap_world_turn(self, STEP_MS);
        zap_client_look(client);
    }
    return client->failed != 0;
}
