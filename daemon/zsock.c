#include "zsock.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

/* Draft in the header, settled in the library: without a handler nobody is let in. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif
#ifndef ZMQ_MSG_PROPERTY_USER_ID
#define ZMQ_MSG_PROPERTY_USER_ID "User-Id"
#endif

enum {
    ZAP_PER_TURN = 64,
    ZAP_FRAMES = 8, /* version, request, domain, address, identity, mechanism, credentials... */
    MONITOR_MS = 1000,
    HANDSHAKE_MS = 5000,
    /* ZMQ_MAXMSGSIZE holds for CURVE's commands as well, of which the longest has 257 bytes and the
     * peer's identity and type. */
    HANDSHAKE_BYTES = 1024,
    ENDPOINT_BYTES = 256,
    SUBSCRIPTIONS_QUEUED = 64,
    MONITOR_EVENTS = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED |
                     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
};

struct beamd_zmq {
    void *context;
    beamd_loop *loop;
    beamd_zap *zap;
    void *asked; /* REP, where libzmq asks about every connection */
    beamd_watch *asked_watch, *again, *monitor_timer;
    beamd_zsock *sockets; /* a list */
    unsigned monitors_made;
};

struct beamd_zsock {
    beamd_zmq *zmq;
    beamd_zsock *next;
    void *socket, *monitor;
    beamd_watch *watch;
    char domain[16];
    bool registered, subscriptions;
    char endpoint[ENDPOINT_BYTES]; /* as bound */
    dev_t file_device;
    ino_t file_inode; /* of the ipc socket; 0: none */
    const long long *per_turn;
    beamd_message_callback *callback;
    void *arg;
};

bool beamd_curve_decode(unsigned char key[32], const char *text)
{
    return strlen(text) == 40 && zmq_z85_decode(key, text) != NULL;
}

bool beamd_curve_public(char public_key[41], const char *secret_key)
{
    return zmq_curve_public(public_key, secret_key) == 0;
}

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

/* --- Monitors: read before every answer about a connection, and once a second, rather than at
 * every turn of the loop, where each would cost a microsecond. --- */

static bool monitor_event(beamd_zsock *self)
{
    unsigned char event[6];
    char address[ENDPOINT_BYTES];
    if (!self->monitor ||
        zmq_recv(self->monitor, event, sizeof event, ZMQ_DONTWAIT) != sizeof event) {
        return false;
    }
    zmq_recv(self->monitor, address, sizeof address, ZMQ_DONTWAIT);
    uint16_t what;
    uint32_t value;
    memcpy(&what, event, sizeof what);
    memcpy(&value, event + sizeof what, sizeof value);
    beamd_zap_monitor(self->zmq->zap, self->domain,
                      what == ZMQ_EVENT_ACCEPTED                    ? BEAMD_ZAP_ACCEPTED
                      : what == ZMQ_EVENT_DISCONNECTED              ? BEAMD_ZAP_DISCONNECTED
                      : what == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ? BEAMD_ZAP_FAILED_PROTOCOL
                                                                    : BEAMD_ZAP_FAILED,
                      value);
    return true;
}

static void read_monitors(void *arg)
{
    const beamd_zmq *self = arg;
    for (beamd_zsock *s = self->sockets; s; s = s->next) {
        while (monitor_event(s)) {
        }
    }
}

/* Without a limit on our side: at one, libzmq's I/O thread would wait for us. */
static bool monitor_start(beamd_zsock *self)
{
    char name[48];
    snprintf(name, sizeof name, "inproc://beamd.monitor.%u", self->zmq->monitors_made++);
    if (zmq_socket_monitor(self->socket, name, MONITOR_EVENTS) < 0) {
        return false;
    }
    self->monitor = zmq_socket(self->zmq->context, ZMQ_PAIR);
    return self->monitor && set_int(self->monitor, ZMQ_LINGER, 0) &&
           set_int(self->monitor, ZMQ_RCVHWM, 0) && zmq_connect(self->monitor, name) == 0;
}

/* --- The questions of libzmq about connections --- */

static bool ask_receive(void *socket, zmq_msg_t part[ZAP_FRAMES], unsigned *count)
{
    *count = 0;
    for (bool more = true; more;) {
        zmq_msg_t extra;
        zmq_msg_t *into = *count < ZAP_FRAMES ? &part[*count] : &extra;
        zmq_msg_init(into);
        if (zmq_msg_recv(into, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(into);
            break;
        }
        more = zmq_msg_more(into);
        if (into == &extra) {
            zmq_msg_close(into);
        } else {
            (*count)++;
        }
    }
    return *count > 0;
}

static beamd_zap_text text_of(zmq_msg_t *part, unsigned count, unsigned k)
{
    return k < count ? (beamd_zap_text){zmq_msg_data(&part[k]), zmq_msg_size(&part[k])}
                     : (beamd_zap_text){"", 0};
}

static bool ask_one(beamd_zmq *self)
{
    zmq_msg_t part[ZAP_FRAMES];
    unsigned count;
    if (!ask_receive(self->asked, part, &count)) {
        return false;
    }
    read_monitors(self);
    const beamd_zap_request request = {.version = text_of(part, count, 0),
                                       .domain = text_of(part, count, 2),
                                       .address = text_of(part, count, 3),
                                       .mechanism = text_of(part, count, 5),
                                       .credentials = text_of(part, count, 6)};
    const beamd_zap_text id = text_of(part, count, 1);
    beamd_zap_reply reply;
    beamd_zap_decide(self->zap, &request, &reply);
    const beamd_frame answer[] = {{"1.0", 3},
                                  {id.data, id.bytes},
                                  {reply.status, 3},
                                  {reply.text, strlen(reply.text)},
                                  {reply.user, strlen(reply.user)},
                                  {"", 0}};
    const unsigned frames = sizeof answer / sizeof answer[0];
    for (unsigned k = 0; k < frames; k++) {
        zmq_send(self->asked, answer[k].data, answer[k].bytes,
                 ZMQ_DONTWAIT | (k + 1 < frames ? ZMQ_SNDMORE : 0));
    }
    for (unsigned k = 0; k < count; k++) {
        zmq_msg_close(&part[k]);
    }
    return true;
}

static void ask_some(void *arg)
{
    beamd_zmq *self = arg;
    beamd_watch_destroy(&self->again);
    for (int n = 0; n < ZAP_PER_TURN; n++) {
        if (!ask_one(self)) {
            return;
        }
    }
    self->again = beamd_watch_timer(self->loop, 0, 0, ask_some, self);
}

/* An ordinary io watch does here: the socket is used nowhere else and always read until it is
 * empty, so its descriptor tells of everything that comes later. */
static void asked_event(void *arg, int events)
{
    (void)events;
    ask_some(arg);
}

static bool ask_start(beamd_zmq *self)
{
    int fd;
    size_t fd_size = sizeof fd;
    self->asked = zmq_socket(self->context, ZMQ_REP);
    if (!self->asked || !set_int(self->asked, ZMQ_LINGER, 0) ||
        zmq_bind(self->asked, "inproc://zeromq.zap.01") < 0 ||
        zmq_getsockopt(self->asked, ZMQ_FD, &fd, &fd_size) < 0) {
        return false;
    }
    self->asked_watch = beamd_watch_io(self->loop, fd, BEAMD_READ, asked_event, self);
    self->monitor_timer =
        beamd_watch_timer(self->loop, MONITOR_MS, MONITOR_MS, read_monitors, self);
    return self->asked_watch && self->monitor_timer;
}

/* --- Context --- */

typedef struct probe {
    const beamd_zmq_options *options;
    const char *what;
    int error;
} probe;

static void *try_privileges(void *arg)
{
    probe *p = arg;
    if (p->options->realtime_priority > 0) {
        const struct sched_param param = {.sched_priority = p->options->realtime_priority};
        p->what = "realtime_priority: SCHED_FIFO is refused (LimitRTPRIO, ulimit -r)";
        p->error = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
    }
    if (!p->error && p->options->io_cpu >= 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        p->what = "io_cpu: not a core of this machine that we may use";
        p->error = EINVAL;
        if (p->options->io_cpu < CPU_SETSIZE) {
            CPU_SET((size_t)p->options->io_cpu, &cpus);
            p->error = pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
        }
    }
    return NULL;
}

static bool probe_privileges(const beamd_zmq_options *options, char *text, size_t size)
{
    probe p = {.options = options, .what = "no thread for a trial"};
    pthread_t thread;
    if (options->realtime_priority <= 0 && options->io_cpu < 0) {
        return true;
    }
    const int refused = pthread_create(&thread, NULL, try_privileges, &p);
    if (refused) {
        p.error = refused; /* else the thread's own, which may have ended already */
    } else {
        pthread_join(thread, NULL);
    }
    if (p.error) {
        snprintf(text, size, "%s: %s", p.what, strerror(p.error));
    }
    return p.error == 0;
}

beamd_zmq *beamd_zmq_create(const beamd_zmq_options *options, char *text, size_t size)
{
    if (!probe_privileges(options, text, size)) {
        return NULL;
    }
    beamd_zmq *self = calloc(1, sizeof *self);
    if (!self || !(self->context = zmq_ctx_new())) {
        snprintf(text, size, "no ZeroMQ context: %s", strerror(errno));
        free(self);
        return NULL;
    }
    self->loop = options->loop;
    self->zap = options->zap;
    /* Without it every socket made later lingers for ever, whatever it was told. */
    zmq_ctx_set(self->context, ZMQ_BLOCKY, 0);
    if (options->io_cpu >= 0) {
        zmq_ctx_set(self->context, ZMQ_THREAD_AFFINITY_CPU_ADD, options->io_cpu);
    }
    if (options->realtime_priority > 0) {
        zmq_ctx_set(self->context, ZMQ_THREAD_SCHED_POLICY, SCHED_FIFO);
        zmq_ctx_set(self->context, ZMQ_THREAD_PRIORITY, options->realtime_priority);
    }
    if (!ask_start(self)) {
        snprintf(text, size, "no socket for ZeroMQ's questions: %s", zmq_strerror(errno));
        beamd_zmq_destroy(&self);
    }
    return self;
}

void beamd_zmq_destroy(beamd_zmq **zmq)
{
    beamd_zmq *self = *zmq;
    if (!self) {
        return;
    }
    beamd_watch_destroy(&self->again);
    beamd_watch_destroy(&self->monitor_timer);
    beamd_watch_destroy(&self->asked_watch);
    if (self->asked) {
        zmq_close(self->asked);
    }
    while (zmq_ctx_term(self->context) < 0 && errno == EINTR) {
    }
    free(self);
    *zmq = NULL;
}

/* --- Messages --- */

static bool socket_ready(void *arg)
{
    beamd_zsock *self = arg;
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(self->socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN);
}

/* Who sent it. The text lives as long as the connection or the message, whichever is longer. False:
 * a subscription that is refused. */
static bool identify(beamd_zsock *self, zmq_msg_t *part, beamd_message *message)
{
    const char *user = zmq_msg_gets(part, ZMQ_MSG_PROPERTY_USER_ID);
    message->user = user ? user : "";
    message->roles = beamd_zap_roles(self->zmq->zap, user);
    const unsigned char *data = message->frame[0].data;
    return !self->subscriptions || message->count != 1 || message->frame[0].bytes < 1 ||
           data[0] != 1 ||
           beamd_zap_subscribed(self->zmq->zap, self->domain, zmq_msg_get(part, ZMQ_SRCFD),
                                message->user, message->frame[0].bytes - 1);
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
    /* the last part: the identity in front was made here and says nothing */
    if (kept > 0 && identify(self, &part[kept - 1], &message)) {
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

bool beamd_zsock_waiting(beamd_zsock *self)
{
    return socket_ready(self);
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

/* --- Sockets --- */

static bool set_common(void *socket, int type, const beamd_zsock_options *options)
{
    const int64_t bytes =
        options->message_bytes > HANDSHAKE_BYTES ? options->message_bytes : HANDSHAKE_BYTES;
    /* libzmq takes a whole queue of subscriptions before the first of them can be refused */
    const int incoming = type == ZMQ_XPUB && options->queue_messages > SUBSCRIPTIONS_QUEUED
                             ? SUBSCRIPTIONS_QUEUED
                             : options->queue_messages;
    return set_int(socket, ZMQ_SNDHWM, options->queue_messages) &&
           set_int(socket, ZMQ_RCVHWM, incoming) &&
           set_int(socket, ZMQ_LINGER, options->linger_ms) && set_int(socket, ZMQ_IPV6, 1) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &bytes, sizeof bytes) == 0;
}

/* Who may connect. A host that vanished must not hold its connection for ever, nor may one that
 * says nothing. */
static bool set_security(beamd_zsock *self, const beamd_zsock_options *options)
{
    const bool ipc = strncmp(options->endpoint, "ipc://", 6) == 0;
    const char *secret = ipc ? NULL : beamd_zap_server_secret(self->zmq->zap);
    if (!set_int(self->socket, ZMQ_ZAP_ENFORCE_DOMAIN, 1) ||
        zmq_setsockopt(self->socket, ZMQ_ZAP_DOMAIN, options->domain, strlen(options->domain)) <
            0 ||
        !set_int(self->socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS)) {
        return false;
    }
    if (!ipc && !(set_int(self->socket, ZMQ_TCP_KEEPALIVE, 1) &&
                  set_int(self->socket, ZMQ_TCP_KEEPALIVE_IDLE, 30) &&
                  set_int(self->socket, ZMQ_TCP_KEEPALIVE_INTVL, 10) &&
                  set_int(self->socket, ZMQ_TCP_KEEPALIVE_CNT, 3))) {
        return false;
    }
    if (secret && !(set_int(self->socket, ZMQ_CURVE_SERVER, 1) &&
                    zmq_setsockopt(self->socket, ZMQ_CURVE_SECRETKEY, secret, 41) == 0)) {
        return false;
    }
    self->registered = beamd_zap_open(self->zmq->zap, options->domain, ipc, secret != NULL);
    errno = EINVAL;
    return self->registered;
}

/* The second look at what config_resolve.c has looked at: here at the address that was bound. */
static bool address_allowed(const beamd_zsock *self)
{
    return strncmp(self->endpoint, "tcp://", 6) != 0 || beamd_zap_server_secret(self->zmq->zap) ||
           strncmp(self->endpoint, "tcp://127.", 10) == 0 ||
           strncmp(self->endpoint, "tcp://[::ffff:127.", 18) == 0 ||
           strncmp(self->endpoint, "tcp://[::1]:", 12) == 0;
}

static bool bind_endpoint(beamd_zsock *self, const char *endpoint)
{
    size_t bytes = sizeof self->endpoint;
    struct stat st;
    if (zmq_bind(self->socket, endpoint) < 0 ||
        zmq_getsockopt(self->socket, ZMQ_LAST_ENDPOINT, self->endpoint, &bytes) < 0) {
        return false;
    }
    if (strncmp(endpoint, "ipc://", 6) == 0 && lstat(endpoint + 6, &st) == 0) {
        self->file_device = st.st_dev;
        self->file_inode = st.st_ino;
    }
    return true;
}

static beamd_zsock *socket_create(beamd_zmq *zmq, beamd_loop *loop, int type, int option,
                                  const beamd_zsock_options *options, char *text, size_t size)
{
    const char *what = "out of memory";
    beamd_zsock *self = calloc(1, sizeof *self);
    if (!self) {
        goto failed;
    }
    self->zmq = zmq;
    self->per_turn = options->per_turn;
    self->callback = options->callback;
    self->arg = options->arg;
    self->subscriptions = type == ZMQ_XPUB;
    snprintf(self->domain, sizeof self->domain, "%s", options->domain);
    self->next = zmq->sockets;
    zmq->sockets = self;
    what = "cannot be made";
    self->socket = zmq_socket(zmq->context, type);
    if (!self->socket || !set_common(self->socket, type, options) ||
        !set_int(self->socket, option, 1) || !set_security(self, options) || !monitor_start(self)) {
        goto failed;
    }
    what = "cannot be bound";
    if (!bind_endpoint(self, options->endpoint)) {
        goto failed;
    }
    what = "refused: tcp beyond loopback needs keys (curve_dir)";
    errno = EACCES;
    int fd;
    size_t fd_size = sizeof fd;
    if (!address_allowed(self) || zmq_getsockopt(self->socket, ZMQ_FD, &fd, &fd_size) < 0) {
        goto failed;
    }
    self->watch = beamd_watch_source(loop, fd, socket_ready, socket_dispatch, self);
    if (self->watch) {
        return self;
    }
    what = "out of memory";
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

const char *beamd_zsock_endpoint(const beamd_zsock *self)
{
    return self->endpoint;
}

/* libzmq leaves the file behind. */
static void remove_file(const beamd_zsock *self)
{
    const char *path = self->endpoint + strlen("ipc://");
    struct stat st;
    if (self->file_inode && lstat(path, &st) == 0 && st.st_ino == self->file_inode &&
        st.st_dev == self->file_device) {
        unlink(path);
    }
}

void beamd_zsock_destroy(beamd_zsock **socket)
{
    beamd_zsock *self = *socket;
    if (!self) {
        return;
    }
    for (beamd_zsock **at = &self->zmq->sockets; *at; at = &(*at)->next) {
        if (*at == self) {
            *at = self->next;
            break;
        }
    }
    beamd_watch_destroy(&self->watch);
    if (self->socket) {
        remove_file(self);
        zmq_socket_monitor(self->socket, NULL, 0);
        zmq_close(self->socket);
    }
    if (self->monitor) {
        zmq_close(self->monitor);
    }
    if (self->registered) {
        beamd_zap_close(self->zmq->zap, self->domain);
    }
    free(self);
    *socket = NULL;
}
