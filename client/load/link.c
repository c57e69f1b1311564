#define _GNU_SOURCE
#include "load/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zmq.h>

#include "curve.h"
#include "wire.h"

/* Enough for any burst that a run of clusters makes while the daemon is busy; beyond it a send
 * waits and the wait is part of the latency. */
enum { HIGH_WATER = 100000, LINGER_MS = 0, RECONNECT_MS = 10, WAIT_FDS = 80 };

struct load_context {
    void *zmq;
    beamc_curve curve;
};

struct load_socket {
    void *socket;
    bool router;
    int fd;
    zmq_msg_t message;
    uint64_t dropped;
};

load_context *load_context_create(load_error *err)
{
    load_context *self = calloc(1, sizeof *self);
    if (self) {
        self->zmq = zmq_ctx_new();
    }
    if (!self || !self->zmq) {
        load_fail(err, "cannot start ZeroMQ: %s", zmq_strerror(errno));
        free(self);
        return NULL;
    }
    zmq_ctx_set(self->zmq, ZMQ_BLOCKY, 0);
    return self;
}

void load_context_destroy(load_context **self)
{
    if (*self) {
        while (zmq_ctx_term((*self)->zmq) < 0 && errno == EINTR) {
        }
        beamc_curve_wipe(&(*self)->curve);
        free(*self);
        *self = NULL;
    }
}

int load_context_set_keys(load_context *self, const char *server_key, const char *secret_key,
                          load_error *err)
{
    const beamc_options options = {.curve_server_key = server_key, .curve_secret_key = secret_key};
    beamc_error reason;
    return beamc_curve_load(&self->curve, &options, &reason) == BEAMC_OK
               ? 0
               : load_fail(err, "%.300s", reason.text);
}

/* As in libbeamclient: ipc is guarded by the file's mode and never uses keys. */
static bool set_keys(void *socket, const beamc_curve *curve, const char *endpoint)
{
    if (!curve->on || strncmp(endpoint, "tcp:", 4) != 0) {
        return true;
    }
    return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, curve->server_key, BEAMC_KEY_TEXT) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, curve->public_key, BEAMC_KEY_TEXT) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, curve->secret_key, BEAMC_KEY_TEXT) == 0;
}

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static load_socket *socket_open(load_context *context, int type, const char *endpoint,
                                load_error *err)
{
    const int64_t largest = BEAM_WIRE_MAX_MESSAGE_BYTES;
    size_t fd_size = sizeof(int);
    load_socket *self = calloc(1, sizeof *self);
    if (!self) {
        load_fail(err, "no memory for a socket");
        return NULL;
    }
    self->router = type == ZMQ_ROUTER;
    zmq_msg_init(&self->message);
    self->socket = zmq_socket(context->zmq, type);
    const bool ready =
        self->socket && set_int(self->socket, ZMQ_SNDHWM, HIGH_WATER) &&
        set_int(self->socket, ZMQ_RCVHWM, HIGH_WATER) &&
        set_int(self->socket, ZMQ_LINGER, LINGER_MS) &&
        set_int(self->socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) &&
        zmq_setsockopt(self->socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest) == 0 &&
        (self->router ? set_int(self->socket, ZMQ_ROUTER_MANDATORY, 1)
                      : set_keys(self->socket, &context->curve, endpoint)) &&
        (self->router ? zmq_bind(self->socket, endpoint) : zmq_connect(self->socket, endpoint)) ==
            0 &&
        zmq_getsockopt(self->socket, ZMQ_FD, &self->fd, &fd_size) == 0;
    if (!ready) {
        load_fail(err, "%s: %s", endpoint, zmq_strerror(errno));
        load_socket_destroy(&self);
    }
    return self;
}

load_socket *load_socket_dealer(load_context *context, const char *endpoint, load_error *err)
{
    return socket_open(context, ZMQ_DEALER, endpoint, err);
}

load_socket *load_socket_router(load_context *context, const char *endpoint, char *bound,
                                load_error *err)
{
    load_socket *self = socket_open(context, ZMQ_ROUTER, endpoint, err);
    size_t size = LOAD_ENDPOINT_BYTES;
    if (self && bound && zmq_getsockopt(self->socket, ZMQ_LAST_ENDPOINT, bound, &size) < 0) {
        load_fail(err, "%s: %s", endpoint, zmq_strerror(errno));
        load_socket_destroy(&self);
    }
    return self;
}

void load_socket_destroy(load_socket **self)
{
    if (*self) {
        zmq_msg_close(&(*self)->message);
        if ((*self)->socket) {
            zmq_close((*self)->socket);
        }
        free(*self);
        *self = NULL;
    }
}

static int send_part(void *socket, const void *bytes, size_t size, int flags)
{
    int sent;
    do {
        sent = zmq_send(socket, bytes, size, flags | ZMQ_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

int load_socket_send(load_socket *self, const load_identity *to, const void *frame, size_t bytes)
{
    if (self->router && send_part(self->socket, to->bytes, to->size, ZMQ_SNDMORE) < 0) {
        return errno == EHOSTUNREACH ? 1 : errno == EAGAIN ? 0 : -1;
    }
    if (send_part(self->socket, frame, bytes, 0) < 0) {
        return errno == EAGAIN ? 0 : -1;
    }
    return 1;
}

/* One part into self->message. */
static int receive_part(load_socket *self)
{
    int got;
    do {
        got = zmq_msg_recv(&self->message, self->socket, ZMQ_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    return got >= 0 ? 1 : errno == EAGAIN ? 0 : -1;
}

/* What is left of a message that is not ours. */
static void drop_rest(load_socket *self)
{
    self->dropped++;
    while (zmq_msg_more(&self->message) && receive_part(self) == 1) {
    }
}

int load_socket_receive(load_socket *self, load_identity *from, const unsigned char **frame,
                        size_t *bytes)
{
    for (;;) {
        int got = receive_part(self);
        if (got == 1 && self->router) {
            const size_t size = zmq_msg_size(&self->message);
            if (size > LOAD_IDENTITY_BYTES || !zmq_msg_more(&self->message)) {
                drop_rest(self);
                continue;
            }
            from->size = size;
            memcpy(from->bytes, zmq_msg_data(&self->message), size);
            got = receive_part(self);
        }
        if (got != 1) {
            return got;
        }
        if (!zmq_msg_more(&self->message)) {
            *frame = zmq_msg_data(&self->message);
            *bytes = zmq_msg_size(&self->message);
            return 1;
        }
        drop_rest(self);
    }
}

uint64_t load_socket_dropped(const load_socket *self)
{
    return self->dropped;
}

int load_socket_fd(const load_socket *self)
{
    return self->fd;
}

void load_wait(const int *fds, int count, uint64_t until_ns)
{
    struct pollfd polled[WAIT_FDS];
    struct timespec left = {0, 0};
    const int used = count < WAIT_FDS ? count : WAIT_FDS;
    for (int k = 0; k < used; k++) {
        polled[k] = (struct pollfd){.fd = fds[k], .events = POLLIN};
    }
    const uint64_t now = load_now_ns();
    if (until_ns > now) {
        left.tv_sec = (time_t)((until_ns - now) / 1000000000u);
        left.tv_nsec = (long)((until_ns - now) % 1000000000u);
    }
    ppoll(polled, (nfds_t)used, until_ns == UINT64_MAX ? NULL : &left, NULL);
}
