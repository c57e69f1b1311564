#include "zsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

struct beamd_zmq {
    void *context;
};

struct beamd_zsock {
    void *socket;
    beamd_watch *watch;
    const long long *per_turn;
    beamd_message_callback *callback;
    void *arg;
};

beamd_zmq *beamd_zmq_create(void)
{
    beamd_zmq *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->context = zmq_ctx_new();
    if (!self->context) {
        free(self);
        return NULL;
    }
    /* Without it every socket made later lingers for ever, whatever it was told. */
    zmq_ctx_set(self->context, ZMQ_BLOCKY, 0);
    return self;
}

void beamd_zmq_destroy(beamd_zmq **self)
{
    if (*self) {
        while (zmq_ctx_term((*self)->context) < 0 && errno == EINTR) {
        }
        free(*self);
        *self = NULL;
    }
}

static bool socket_ready(void *arg)
{
    beamd_zsock *self = arg;
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(self->socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN);
}

/* One whole message, or false when there is none. */
static bool receive_one(beamd_zsock *self)
{
    zmq_msg_t part[BEAMD_FRAMES_MAX];
    beamd_message message = {.count = 0};
    unsigned kept = 0;
    bool more = true;
    while (more) {
        zmq_msg_t extra;
        zmq_msg_t *into = kept < BEAMD_FRAMES_MAX ? &part[kept] : &extra;
        zmq_msg_init(into);
        if (zmq_msg_recv(into, self->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(into);
            break;
        }
        more = zmq_msg_more(into);
        message.count++;
        if (into == &extra) {
            zmq_msg_close(&extra);
        } else {
            message.frame[kept].data = zmq_msg_data(into);
            message.frame[kept].bytes = zmq_msg_size(into);
            kept++;
        }
    }
    if (kept > 0) {
        self->callback(self->arg, &message);
    }
    for (unsigned i = 0; i < kept; i++) {
        zmq_msg_close(&part[i]);
    }
    return kept > 0;
}

static void socket_dispatch(void *arg)
{
    beamd_zsock *self = arg;
    for (long long n = 0; n < *self->per_turn && receive_one(self); n++) {
    }
}

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_common(void *socket, const beamd_zsock_options *options)
{
    return set_int(socket, ZMQ_SNDHWM, options->queue_messages) &&
           set_int(socket, ZMQ_RCVHWM, options->queue_messages) &&
           set_int(socket, ZMQ_LINGER, options->linger_ms) && set_int(socket, ZMQ_IPV6, 1) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &options->message_bytes,
                          sizeof options->message_bytes) == 0;
}

static beamd_zsock *socket_create(beamd_zmq *zmq, beamd_loop *loop, int type, int option,
                                  const beamd_zsock_options *options, char *text, size_t size)
{
    const char *what = "out of memory";
    beamd_zsock *self = calloc(1, sizeof *self);
    if (!self) {
        goto failed;
    }
    self->per_turn = options->per_turn;
    self->callback = options->callback;
    self->arg = options->arg;
    what = "cannot be made";
    self->socket = zmq_socket(zmq->context, type);
    if (!self->socket || !set_common(self->socket, options) || !set_int(self->socket, option, 1)) {
        goto failed;
    }
    what = "cannot be bound";
    int fd;
    size_t fd_size = sizeof fd;
    if (zmq_bind(self->socket, options->endpoint) < 0 ||
        zmq_getsockopt(self->socket, ZMQ_FD, &fd, &fd_size) < 0) {
        goto failed;
    }
    self->watch = beamd_watch_source(loop, fd, socket_ready, socket_dispatch, self);
    if (self->watch) {
        return self;
    }
    errno = ENOMEM;
failed:
    snprintf(text, size, "%s: socket %s: %s", options->endpoint, what, zmq_strerror(errno));
    beamd_zsock_destroy(&self);
    return NULL;
}

beamd_zsock *beamd_zsock_router(beamd_zmq *zmq, beamd_loop *loop,
                                const beamd_zsock_options *options, char *text, size_t size)
{
    return socket_create(zmq, loop, ZMQ_ROUTER, ZMQ_ROUTER_MANDATORY, options, text, size);
}

beamd_zsock *beamd_zsock_xpub(beamd_zmq *zmq, beamd_loop *loop, const beamd_zsock_options *options,
                              char *text, size_t size)
{
    return socket_create(zmq, loop, ZMQ_XPUB, ZMQ_XPUB_VERBOSE, options, text, size);
}

void beamd_zsock_destroy(beamd_zsock **self)
{
    if (!*self) {
        return;
    }
    beamd_watch_destroy(&(*self)->watch);
    if ((*self)->socket) {
        zmq_close((*self)->socket);
    }
    free(*self);
    *self = NULL;
}

bool beamd_zsock_send(beamd_zsock *self, const beamd_frame *frames, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0);
        int sent;
        do {
            sent = zmq_send(self->socket, frames[i].data, frames[i].bytes, flags);
        } while (sent < 0 && errno == EINTR);
        if (sent < 0) {
            return false; /* only the first part can fail: the rest follows it */
        }
    }
    return true;
}
