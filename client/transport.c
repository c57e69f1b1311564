#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <zmq.h>

#include "client.h"
#include "curve.h"
#include "endpoints.h"

enum {
    /* Handshakes broken off in a row after which a daemon with keys is taken to refuse ours. */
    HANGUPS = 3,
    /* Between two attempts to reach the daemon. libzmq's own would come after NEVER_MS. */
    RETRY_MS = 20,
    NEVER_MS = 24 * 3600 * 1000,
    MONITOR_EVENTS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                     ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED
};

/* A frame that was read out of a socket before it was closed. */
typedef struct kept {
    zmq_msg_t frame;
    struct kept *next;
} kept;

/* What the monitor of a socket has said, and of a socket for requests what became of it. */
typedef struct handshake {
    void *monitor;
    unsigned hangups; /* in a row */
    bool up;          /* the daemon is there */
    bool lost;        /* closed: its connection ended */
    kept *first, *last;
    char refused[160]; /* why there is no point in trying on; "": there is */
} handshake;

struct beamc_transport {
    void *context;
    void *socket[BEAMC_SOCKETS];
    handshake handshake[BEAMC_SOCKETS];
    unsigned monitors_made;
    beamc_curve curve;
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
    beamc_code code = beamc_curve_load(&self->curve, o, err);
    if (!code) {
        code = endpoint_copy(self, BEAMC_SOCKET_CSI, o->csi_endpoint, o->runtime_dir, err);
    }
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

bool beamc_transport_is_key(const char *text)
{
    unsigned char raw[32];
    const bool good = text && strlen(text) == BEAMC_KEY_TEXT - 1 && zmq_z85_decode(raw, text);
    explicit_bzero(raw, sizeof raw);
    return good;
}

bool beamc_transport_public_key(char public_key[41], const char *secret_key)
{
    return zmq_curve_public(public_key, secret_key) == 0;
}

bool beamc_transport_new_keys(char public_key[41], char secret_key[41])
{
    return zmq_curve_keypair(public_key, secret_key) == 0;
}

/* Out of the epoll set first: libzmq closes the descriptor later, in a thread of its own. */
static void unwatch(const beamc_transport *self, void *socket)
{
    int fd = -1;
    size_t size = sizeof fd;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0) {
        epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* not there: just as well */
    }
}

static void socket_close(beamc_transport *self, beamc_socket which)
{
    handshake *h = &self->handshake[which];
    h->up = false;
    if (self->socket[which]) {
        unwatch(self, self->socket[which]);
        zmq_socket_monitor(self->socket[which], NULL, 0);
        zmq_close(self->socket[which]);
        self->socket[which] = NULL;
    }
    if (h->monitor) {
        unwatch(self, h->monitor);
        zmq_close(h->monitor);
        h->monitor = NULL;
    }
}

/* The oldest kept frame to *into (initialised; NULL: dropped). False: there is none. */
static bool kept_pop(handshake *h, zmq_msg_t *into)
{
    kept *it = h->first;
    if (!it) {
        return false;
    }
    h->first = it->next;
    if (into) {
        zmq_msg_move(into, &it->frame);
    }
    zmq_msg_close(&it->frame);
    free(it);
    return true;
}

/* False: nothing more has come, or there is no memory for it. */
static bool keep_one(handshake *h, void *socket)
{
    kept *it = malloc(sizeof *it);
    int received = -1;
    if (it) {
        zmq_msg_init(&it->frame);
        do {
            received = zmq_msg_recv(&it->frame, socket, ZMQ_DONTWAIT);
        } while (received < 0 && zmq_errno() == EINTR);
    }
    if (received < 0) {
        free(it);
        return false;
    }
    it->next = NULL;
    *(h->first ? &h->last->next : &h->first) = it;
    h->last = it;
    return true;
}

/* The connection of a socket for requests has ended: answers that came are kept, requests that did
 * not leave are dropped. The next request opens another. */
static void let_go(beamc_transport *self, beamc_socket which)
{
    handshake *h = &self->handshake[which];
    const int zero = 0;
    while (keep_one(h, self->socket[which])) {
    }
    zmq_setsockopt(self->socket[which], ZMQ_LINGER, &zero, sizeof zero);
    socket_close(self, which);
    h->lost = true;
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
    for (int k = 0; k < BEAMC_SOCKETS; k++) {
        socket_close(self, (beamc_socket)k);
        while (kept_pop(&self->handshake[k], NULL)) {
        }
    }
    if (self->epoll_fd >= 0) {
        close(self->epoll_fd);
    }
    if (self->context) {
        zmq_ctx_term(self->context);
    }
    beamc_curve_wipe(&self->curve);
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

/* ipc is guarded by the mode of its file. */
static bool uses_curve(const beamc_transport *self, beamc_socket which)
{
    return self->curve.on && strncmp(self->endpoint[which], "tcp://", 6) == 0;
}

static int set_options(const beamc_transport *self, beamc_socket which, void *socket)
{
    int r = 0;
    r |= set_int(socket, ZMQ_LINGER, self->linger_ms);
    r |= set_int(socket, ZMQ_SNDTIMEO, self->send_timeout_ms);
    r |= set_int(socket, ZMQ_SNDHWM, self->high_water);
    r |= set_int(socket, ZMQ_RCVHWM, self->high_water);
    /* A DEALER that connects again by itself sends the next daemon the requests that did not reach
     * the last one. ZMQ_IMMEDIATE, which prevents that, drops answers that were received and not
     * yet read when the connection ends, as it does right after the last answers of a daemon that
     * stops. So we connect again ourselves: see let_go. */
    r |= set_int(socket, ZMQ_RECONNECT_IVL, subscribes(which) ? RETRY_MS : NEVER_MS);
    r |= set_int(socket, ZMQ_RECONNECT_IVL_MAX, subscribes(which) ? 1000 : 0);
    r |= zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &self->max_message_bytes,
                        sizeof self->max_message_bytes);
    if (uses_curve(self, which)) {
        const beamc_curve *c = &self->curve;
        r |= zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, c->server_key, BEAMC_KEY_TEXT);
        r |= zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, c->public_key, BEAMC_KEY_TEXT);
        r |= zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, c->secret_key, BEAMC_KEY_TEXT);
    }
    return r;
}

/* A handshake that failed. Fills in h->refused when there is no point in trying on. */
static void judge(const beamc_transport *self, beamc_socket which, handshake *h, unsigned event,
                  uint32_t value)
{
    const bool curve = uses_curve(self, which);
    const char *why = NULL;
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
        why = value == 500 ? "has no room for another connection (connections_max)"
              : curve      ? "refuses our key: it does not know it, or not for this socket"
                           : "refuses us";
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) {
        why = value != ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH ? "speaks another protocol"
              : curve ? "uses no keys (CURVE), and we were given some"
                      : "needs keys (CURVE), and we were given none";
    } else if (++h->hangups >= HANGUPS && curve) {
        why = "breaks off the handshake: most likely curve_server_key is not its key";
    }
    if (why) {
        snprintf(h->refused, sizeof h->refused, "%s", why);
    }
}

/* Reads the monitor. BEAMC_E_TRANSPORT and a closed socket when we were refused. */
static beamc_code look(beamc_transport *self, beamc_socket which, beamc_error *err)
{
    handshake *h = &self->handshake[which];
    unsigned char event[6];
    char address[BEAM_ENDPOINT_BYTES];
    bool ended = false;
    while (h->monitor && zmq_recv(h->monitor, event, sizeof event, ZMQ_DONTWAIT) == sizeof event) {
        uint16_t what;
        uint32_t value;
        memcpy(&what, event, sizeof what);
        memcpy(&value, event + sizeof what, sizeof value);
        zmq_recv(h->monitor, address, sizeof address, ZMQ_DONTWAIT);
        if (what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            h->hangups = 0;
            h->up = true;
        } else if (what == ZMQ_EVENT_DISCONNECTED || what == ZMQ_EVENT_CONNECT_RETRIED) {
            ended = !subscribes(which);
        } else if (!h->refused[0]) {
            judge(self, which, h, what, value);
        }
    }
    if (!h->refused[0]) {
        if (ended) {
            let_go(self, which);
        }
        return BEAMC_OK;
    }
    socket_close(self, which);
    beamc_fail(err, BEAMC_E_TRANSPORT, "%s %s", self->endpoint[which], h->refused);
    h->refused[0] = 0; /* said once: the other sockets can be waited for */
    h->hangups = 0;
    return BEAMC_E_TRANSPORT;
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

static int monitor_start(beamc_transport *self, beamc_socket which)
{
    char name[48];
    handshake *h = &self->handshake[which];
    /* a new name each time: libzmq frees the old one late */
    snprintf(name, sizeof name, "inproc://beamc.monitor.%u", self->monitors_made++);
    if (zmq_socket_monitor(self->socket[which], name, MONITOR_EVENTS) < 0) {
        return -1;
    }
    h->monitor = zmq_socket(self->context, ZMQ_PAIR);
    return h->monitor && set_int(h->monitor, ZMQ_LINGER, 0) == 0 &&
                   set_int(h->monitor, ZMQ_RCVHWM, 0) == 0 && zmq_connect(h->monitor, name) == 0
               ? 0
               : -1;
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
    self->socket[which] = socket;
    self->handshake[which].lost = false;
    if (set_options(self, which, socket) < 0 || monitor_start(self, which) < 0 ||
        zmq_connect(socket, self->endpoint[which]) < 0 ||
        (which != BEAMC_SOCKET_CONTROL &&
         (watch(self, socket) < 0 || watch(self, self->handshake[which].monitor) < 0))) {
        const int reason = zmq_errno();
        socket_close(self, which);
        return beamc_fail(err, BEAMC_E_TRANSPORT, "cannot connect to %s: %s", self->endpoint[which],
                          zmq_strerror(reason));
    }
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

/* Until the socket may be written or we are refused. */
static beamc_code wait_for_peer(beamc_transport *self, beamc_socket which, uint64_t start_ns,
                                beamc_error *err)
{
    const uint64_t spent_ms = (beamc_now_ns() - start_ns) / 1000000u;
    const beamc_code code = look(self, which, err);
    if (code) {
        return code;
    }
    if (spent_ms >= (uint64_t)self->send_timeout_ms) {
        return beamc_fail(err, BEAMC_E_TIMEOUT, "nobody takes messages at %s (waited %d ms%s)",
                          self->endpoint[which], self->send_timeout_ms,
                          self->handshake[which].hangups ? ", it breaks off the handshake" : "");
    }
    if (!self->socket[which]) {
        poll(NULL, 0, RETRY_MS);
        return beamc_transport_open(self, which, err);
    }
    zmq_pollitem_t items[] = {{.socket = self->handshake[which].monitor, .events = ZMQ_POLLIN},
                              {.socket = self->socket[which], .events = ZMQ_POLLOUT}};
    zmq_poll(items, self->handshake[which].up ? 2 : 1, self->send_timeout_ms - (int)spent_ms);
    return BEAMC_OK;
}

beamc_code beamc_transport_send(beamc_transport *self, beamc_socket which, beamc_error *err)
{
    const uint64_t start_ns = beamc_now_ns();
    beamc_code code = look(self, which, err);
    if (!code) {
        code = beamc_transport_open(self, which, err);
    }
    while (!code) {
        const bool up = self->handshake[which].up; /* before, libzmq would only queue it */
        if (up && zmq_msg_send(&self->out, self->socket[which], ZMQ_DONTWAIT) >= 0) {
            return BEAMC_OK;
        }
        if (up && zmq_errno() != EAGAIN && zmq_errno() != EINTR) {
            return beamc_fail(err, BEAMC_E_TRANSPORT, "cannot send to %s: %s",
                              self->endpoint[which], zmq_strerror(zmq_errno()));
        }
        code = wait_for_peer(self, which, start_ns, err);
    }
    return code;
}

/* The next frame to self->in; -1: zmq_errno() says why. */
static int next_frame(beamc_transport *self, beamc_socket which)
{
    if (kept_pop(&self->handshake[which], &self->in)) {
        return 0;
    }
    if (!self->socket[which]) {
        errno = EAGAIN;
        return -1;
    }
    return zmq_msg_recv(&self->in, self->socket[which], ZMQ_DONTWAIT);
}

beamc_code beamc_transport_receive(beamc_transport *self, beamc_socket which,
                                   const unsigned char **frame, size_t *bytes, beamc_error *err)
{
    const int expected = subscribes(which) ? 2 : 1;
    int frames = 0, more = 1;
    handshake *h = &self->handshake[which];
    while (more) {
        if (self->in_open) {
            zmq_msg_close(&self->in);
        }
        zmq_msg_init(&self->in);
        self->in_open = true;
        if (next_frame(self, which) < 0) {
            if (zmq_errno() == EINTR) {
                continue;
            }
            if (zmq_errno() == EAGAIN) {
                const beamc_code code = look(self, which, err);
                if (!code && h->first) {
                    continue; /* what was read just now, from a connection that has ended */
                }
                return code ? code : beamc_fail(err, BEAMC_E_TIMEOUT, "no message is waiting");
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

/* The sockets of the mask and their monitors; BEAMC_E_TRANSPORT when one of them was refused.
 * *ready: something was read already. */
static beamc_code wait_items(beamc_transport *self, unsigned mask, zmq_pollitem_t *items,
                             int *count, bool *ready, beamc_error *err)
{
    bool lost = false;
    *count = 0;
    *ready = false;
    for (int k = 0; k < BEAMC_SOCKETS; k++) {
        if (!(mask & (1u << k))) {
            continue;
        }
        const beamc_code code = look(self, (beamc_socket)k, err);
        if (code) {
            return code;
        }
        lost |= self->handshake[k].lost;
        *ready |= self->handshake[k].first != NULL;
        if (self->socket[k]) {
            items[(*count)++] = (zmq_pollitem_t){.socket = self->socket[k], .events = ZMQ_POLLIN};
            items[(*count)++] =
                (zmq_pollitem_t){.socket = self->handshake[k].monitor, .events = ZMQ_POLLIN};
        }
    }
    return *count > 0 || lost
               ? BEAMC_OK
               : beamc_fail(err, BEAMC_E_ARGUMENT,
                            "nothing was sent or subscribed to, so nothing can arrive");
}

beamc_code beamc_transport_wait(beamc_transport *self, unsigned mask, int timeout_ms,
                                beamc_error *err)
{
    zmq_pollitem_t items[2 * BEAMC_SOCKETS];
    const uint64_t start_ns = beamc_now_ns();
    for (int left_ms = timeout_ms;;) {
        int count;
        bool ready;
        const beamc_code code = wait_items(self, mask, items, &count, &ready, err);
        if (code || ready) {
            return code;
        }
        /* without a connection nothing can come: the caller's time passes */
        const int r = count > 0 ? zmq_poll(items, count, left_ms) : poll(NULL, 0, left_ms);
        if (r < 0 && zmq_errno() == EINTR) { /* the caller may want to stop */
            return beamc_fail(err, BEAMC_E_TIMEOUT, "a signal interrupted the wait");
        }
        if (r < 0) {
            return beamc_fail(err, BEAMC_E_TRANSPORT, "cannot wait: %s", zmq_strerror(zmq_errno()));
        }
        for (int k = 0; k < count; k += 2) {
            if (items[k].revents) {
                return BEAMC_OK;
            }
        }
        const uint64_t spent_ms = (beamc_now_ns() - start_ns) / 1000000u;
        if (r == 0 || (timeout_ms >= 0 && spent_ms >= (uint64_t)timeout_ms)) {
            return beamc_fail(err, BEAMC_E_TIMEOUT, "no answer came in time");
        }
        left_ms = timeout_ms < 0 ? -1 : timeout_ms - (int)spent_ms;
    }
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
    const bool open = self->socket[BEAMC_SOCKET_CSI] || self->handshake[BEAMC_SOCKET_CSI].lost ||
                      self->socket[BEAMC_SOCKET_BEAMS] || self->socket[BEAMC_SOCKET_TELEMETRY];
    return open ? self->epoll_fd : -1;
}
