#include "transport.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <zmq.h>

#include "endpoints.h"

struct beamc_transport {
    void *context;
    void *socket[BEAMC_SOCKETS];
    char endpoint[BEAMC_SOCKETS][BEAM_ENDPOINT_BYTES];
    zmq_msg_t out, in;
    bool out_open, in_open;
    int send_timeout_ms, linger_ms, high_water;
    int64_t max_message_bytes;
    int epoll_fd;
};

beamc_code beamc_fail(beamc_error *err, beamc_code code, const char *format, ...)
{
    if (err) {
        *err = (beamc_error){.code = code};
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

static beamc_code endpoint_copy(beamc_transport *self, beamc_socket which, const char *given,
                                const char *dir, beamc_error *err)
{
    static const beam_endpoint names[BEAMC_SOCKETS] = {
        BEAM_ENDPOINT_CSI, BEAM_ENDPOINT_BEAMS, BEAM_ENDPOINT_CONTROL, BEAM_ENDPOINT_TELEMETRY};
    char *out = self->endpoint[which];
    if (!given) {
        if (beam_endpoint_default(out, BEAM_ENDPOINT_BYTES, dir, names[which]) < 0) {
            return beamc_fail(
                err, BEAMC_E_ARGUMENT,
                "the runtime directory is too long for a Unix socket (107 bytes), or it is in "
                "/tmp and belongs to another user");
        }
        return BEAMC_OK;
    }
    if (strlen(given) >= BEAM_ENDPOINT_BYTES) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "an endpoint is over %d bytes",
                          BEAM_ENDPOINT_BYTES - 1);
    }
    memcpy(out, given, strlen(given) + 1);
    return BEAMC_OK;
}

beamc_code beamc_transport_create(beamc_transport **out, const beamc_options *o, beamc_error *err)
{
    *out = NULL;
    beamc_transport *self = calloc(1, sizeof *self);
    if (!self) {
        return beamc_fail(err, BEAMC_E_MEMORY, "no memory for a connection");
    }
    self->epoll_fd = -1;
    self->send_timeout_ms = o->send_timeout_ms;
    self->linger_ms = o->linger_ms;
    self->high_water = o->high_water;
    self->max_message_bytes = (int64_t)o->max_message_bytes;
    beamc_code code = endpoint_copy(self, BEAMC_SOCKET_CSI, o->csi_endpoint, o->runtime_dir, err);
    if (!code) {
        code = endpoint_copy(self, BEAMC_SOCKET_BEAMS, o->beams_endpoint, o->runtime_dir, err);
    }
    if (!code) {
        code = endpoint_copy(self, BEAMC_SOCKET_CONTROL, o->control_endpoint, o->runtime_dir, err);
    }
    if (!code) {
        code =
            endpoint_copy(self, BEAMC_SOCKET_TELEMETRY, o->telemetry_endpoint, o->runtime_dir, err);
    }
    if (!code) {
        self->context = zmq_ctx_new();
        self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (!self->context || self->epoll_fd < 0) {
            code = beamc_fail(err, BEAMC_E_TRANSPORT, "cannot start ZeroMQ: %s", strerror(errno));
        }
    }
    if (code) {
        beamc_transport_destroy(&self);
        return code;
    }
    zmq_ctx_set(self->context, ZMQ_BLOCKY, 0); /* a close must not wait for a silent peer */
    *out = self;
    return BEAMC_OK;
}

void beamc_transport_destroy(beamc_transport **self_p)
{
    beamc_transport *self = self_p ? *self_p : NULL;
    if (!self) {
        return;
    }
    if (self->in_open) {
        zmq_msg_close(&self->in);
    }
    if (self->out_open) {
        zmq_msg_close(&self->out);
    }
    if (self->epoll_fd >= 0) {
        close(self->epoll_fd);
    }
    for (int k = 0; k < BEAMC_SOCKETS; k++) {
        if (self->socket[k]) {
            zmq_close(self->socket[k]);
        }
    }
    if (self->context) {
        zmq_ctx_term(self->context);
    }
    free(self);
    *self_p = NULL;
}

static bool subscribes(beamc_socket which)
{
    return which == BEAMC_SOCKET_BEAMS || which == BEAMC_SOCKET_TELEMETRY;
}

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int set_options(const beamc_transport *self, beamc_socket which, void *socket)
{
    int r = 0;
    r |= set_int(socket, ZMQ_LINGER, self->linger_ms);
    r |= set_int(socket, ZMQ_SNDTIMEO, self->send_timeout_ms);
    r |= set_int(socket, ZMQ_SNDHWM, self->high_water);
    r |= set_int(socket, ZMQ_RCVHWM, self->high_water);
    /* Without it a DEALER queues for a peer that is away and replays stale requests when it comes
     * back. A SUB must not have it: its subscriptions would leave only with the next receive. */
    if (!subscribes(which)) {
        r |= set_int(socket, ZMQ_IMMEDIATE, 1);
    }
    r |= set_int(socket, ZMQ_RECONNECT_IVL, 20);
    r |= set_int(socket, ZMQ_RECONNECT_IVL_MAX, 1000);
    r |= zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &self->max_message_bytes,
                        sizeof self->max_message_bytes);
    return r;
}

/* The ZeroMQ descriptor of a socket joins the epoll set, so that one descriptor stands for both. */
static int watch(const beamc_transport *self, void *socket)
{
    int fd = -1;
    size_t size = sizeof fd;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) < 0) {
        return -1;
    }
    struct epoll_event event = {.events = EPOLLIN};
    event.data.fd = fd;
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

beamc_code beamc_transport_open(beamc_transport *self, beamc_socket which, beamc_error *err)
{
    if (self->socket[which]) {
        return BEAMC_OK;
    }
    void *socket = zmq_socket(self->context, subscribes(which) ? ZMQ_SUB : ZMQ_DEALER);
    if (!socket) {
        return beamc_fail(err, BEAMC_E_TRANSPORT, "cannot open a socket: %s",
                          zmq_strerror(zmq_errno()));
    }
    if (set_options(self, which, socket) < 0 || zmq_connect(socket, self->endpoint[which]) < 0 ||
        (which != BEAMC_SOCKET_CONTROL && watch(self, socket) < 0)) {
        const int reason = zmq_errno();
        zmq_close(socket);
        return beamc_fail(err, BEAMC_E_TRANSPORT, "cannot connect to %s: %s", self->endpoint[which],
                          zmq_strerror(reason));
    }
    self->socket[which] = socket;
    return BEAMC_OK;
}

unsigned char *beamc_transport_message(beamc_transport *self, size_t bytes)
{
    if (self->out_open) {
        zmq_msg_close(&self->out);
        self->out_open = false;
    }
    if (zmq_msg_init_size(&self->out, bytes) < 0) {
        return NULL;
    }
    self->out_open = true;
    return zmq_msg_data(&self->out);
}

beamc_code beamc_transport_send(beamc_transport *self, beamc_socket which, beamc_error *err)
{
    const beamc_code code = beamc_transport_open(self, which, err);
    if (code) {
        return code;
    }
    int r;
    do {
        r = zmq_msg_send(&self->out, self->socket[which], 0);
    } while (r < 0 && zmq_errno() == EINTR);
    if (r >= 0) {
        return BEAMC_OK;
    }
    if (zmq_errno() == EAGAIN) {
        return beamc_fail(err, BEAMC_E_TIMEOUT, "nobody takes messages at %s (waited %d ms)",
                          self->endpoint[which], self->send_timeout_ms);
    }
    return beamc_fail(err, BEAMC_E_TRANSPORT, "cannot send to %s: %s", self->endpoint[which],
                      zmq_strerror(zmq_errno()));
}

beamc_code beamc_transport_receive(beamc_transport *self, beamc_socket which,
                                   const unsigned char **frame, size_t *bytes, beamc_error *err)
{
    const int expected = subscribes(which) ? 2 : 1;
    int frames = 0, more = 1;
    if (!self->socket[which]) {
        return beamc_fail(err, BEAMC_E_TIMEOUT, "the socket is not open");
    }
    while (more) {
        if (self->in_open) {
            zmq_msg_close(&self->in);
        }
        zmq_msg_init(&self->in);
        self->in_open = true;
        if (zmq_msg_recv(&self->in, self->socket[which], ZMQ_DONTWAIT) < 0) {
            if (zmq_errno() == EINTR) {
                continue;
            }
            if (zmq_errno() == EAGAIN) {
                return beamc_fail(err, BEAMC_E_TIMEOUT, "no message is waiting");
            }
            return beamc_fail(err, BEAMC_E_TRANSPORT, "cannot receive from %s: %s",
                              self->endpoint[which], zmq_strerror(zmq_errno()));
        }
        frames++;
        more = zmq_msg_more(&self->in);
    }
    if (frames != expected) {
        return beamc_fail(err, BEAMC_E_PROTOCOL, "%s sent a message of %d frames instead of %d",
                          self->endpoint[which], frames, expected);
    }
    *frame = zmq_msg_data(&self->in);
    *bytes = zmq_msg_size(&self->in);
    return BEAMC_OK;
}

beamc_code beamc_transport_wait(beamc_transport *self, unsigned mask, int timeout_ms,
                                beamc_error *err)
{
    zmq_pollitem_t items[BEAMC_SOCKETS];
    int count = 0;
    for (int k = 0; k < BEAMC_SOCKETS; k++) {
        if ((mask & (1u << k)) && self->socket[k]) {
            items[count++] = (zmq_pollitem_t){.socket = self->socket[k], .events = ZMQ_POLLIN};
        }
    }
    if (count == 0) {
        return beamc_fail(err, BEAMC_E_ARGUMENT,
                          "nothing was sent or subscribed to, so nothing can arrive");
    }
    const int r = zmq_poll(items, count, timeout_ms);
    if (r > 0) {
        return BEAMC_OK;
    }
    if (r == 0) {
        return beamc_fail(err, BEAMC_E_TIMEOUT, "no answer came in time");
    }
    if (zmq_errno() == EINTR) { /* the caller may want to stop */
        return beamc_fail(err, BEAMC_E_TIMEOUT, "a signal interrupted the wait");
    }
    return beamc_fail(err, BEAMC_E_TRANSPORT, "cannot wait: %s", zmq_strerror(zmq_errno()));
}

beamc_code beamc_transport_subscribe(beamc_transport *self, beamc_socket which,
                                     const unsigned char *topic, size_t bytes, bool on,
                                     beamc_error *err)
{
    const beamc_code code = beamc_transport_open(self, which, err);
    if (code) {
        return code;
    }
    if (zmq_setsockopt(self->socket[which], on ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, topic, bytes) <
        0) {
        return beamc_fail(err, BEAMC_E_TRANSPORT, "cannot change a subscription: %s",
                          zmq_strerror(zmq_errno()));
    }
    return BEAMC_OK;
}

int beamc_transport_fd(const beamc_transport *self)
{
    const bool open = self->socket[BEAMC_SOCKET_CSI] || self->socket[BEAMC_SOCKET_BEAMS] ||
                      self->socket[BEAMC_SOCKET_TELEMETRY];
    return open ? self->epoll_fd : -1;
}
