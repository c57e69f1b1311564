#define _GNU_SOURCE
#include "load/echo.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire.h"

enum { RING = 64, START_MS = 5000, TURN = 64, SPIN_MS = 100 };

/* "Answers are this long from now on", and the same back. */
static const unsigned char SET_MAGIC[4] = {'E', 'C', 'H', 'O'};
enum { SET_BYTES = 12 };

struct load_echo {
    pid_t pid;
    char directory[64];
    char endpoint[LOAD_ENDPOINT_BYTES];
};

typedef struct entry {
    load_identity from;
    unsigned char request[BEAM_WIRE_HEADER_BYTES];
    unsigned char *answer;
    size_t bytes;
} entry;

/* One producer, one consumer; the consumer sleeps on `wake`. */
typedef struct ring {
    entry entries[RING];
    _Alignas(64) atomic_uint head;
    _Alignas(64) atomic_uint tail;
    int wake;
} ring;

typedef struct echo_server {
    load_echo_options options;
    load_socket *socket;
    unsigned char *answer; /* template of the direct form */
    size_t bytes;          /* of answers to CSI */
    ring out, back;
} echo_server;

static void fill_answer(const unsigned char *request, unsigned char *answer, size_t bytes)
{
    const unsigned type = (unsigned)request[6] | (unsigned)request[7] << 8;
    const unsigned reply = type == BEAM_WIRE_TARGET_UPDATE ? BEAM_WIRE_ACK : BEAM_WIRE_SOLUTION;
    const size_t payload = bytes - BEAM_WIRE_HEADER_BYTES;
    memcpy(answer, request, BEAM_WIRE_HEADER_BYTES);
    answer[6] = (unsigned char)reply;
    answer[7] = 0;
    for (int k = 0; k < 4; k++) {
        answer[16 + k] = (unsigned char)(payload >> (8 * k));
    }
}

static void wake(const ring *r)
{
    const uint64_t one = 1;
    if (write(r->wake, &one, sizeof one) < 0) {
        _exit(1); /* an eventfd of ours never fails */
    }
}

/* Room for the next entry, NULL when the ring is full. */
static entry *ring_room(ring *r)
{
    const unsigned head = atomic_load_explicit(&r->head, memory_order_relaxed);
    const unsigned tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    return head - tail < RING ? &r->entries[head % RING] : NULL;
}

static void ring_put(ring *r)
{
    atomic_fetch_add_explicit(&r->head, 1, memory_order_release);
    wake(r);
}

static entry *ring_first(ring *r)
{
    const unsigned tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    return atomic_load_explicit(&r->head, memory_order_acquire) != tail ? &r->entries[tail % RING]
                                                                        : NULL;
}

static void ring_drop(ring *r)
{
    atomic_fetch_add_explicit(&r->tail, 1, memory_order_release);
}

static void *work(void *arg)
{
    echo_server *self = arg;
    uint64_t idle_since = load_now_ns(), drained;
    for (;;) {
        entry *in = ring_first(&self->out);
        if (in) {
            entry *out = ring_room(&self->back);
            if (!out) {
                continue; /* the other side is emptying it */
            }
            out->from = in->from;
            out->bytes = in->bytes;
            fill_answer(in->request, out->answer, in->bytes);
            ring_drop(&self->out);
            ring_put(&self->back);
            idle_since = load_now_ns();
        } else if (!self->options.spin ||
                   load_now_ns() - idle_since > SPIN_MS * UINT64_C(1000000)) {
            if (read(self->out.wake, &drained, sizeof drained) < 0 && errno != EINTR) {
                _exit(1);
            }
        }
    }
    return NULL;
}

/* Sends and ignores a peer that is gone; an answer for which there is no room waits. */
static void send_answer(echo_server *self, const load_identity *to, const void *bytes, size_t size)
{
    while (load_socket_send(self->socket, to, bytes, size) == 0) {
        poll(NULL, 0, 1);
    }
}

static void allocate(echo_server *self, size_t bytes)
{
    self->bytes = bytes;
    free(self->answer);
    self->answer = calloc(1, bytes);
    for (int k = 0; k < RING; k++) {
        free(self->back.entries[k].answer);
        self->back.entries[k].answer = calloc(1, bytes);
        if (!self->back.entries[k].answer) {
            _exit(1);
        }
    }
    if (!self->answer) {
        _exit(1);
    }
}

static size_t answer_bytes(const echo_server *self, const unsigned char *frame)
{
    enum { ACK_PAYLOAD = 11 };
    return frame[6] == BEAM_WIRE_TARGET_UPDATE ? BEAM_WIRE_HEADER_BYTES + ACK_PAYLOAD : self->bytes;
}

/* False: the ring has no room; the frame is not lost, since it is asked again before reading. */
static void handle(echo_server *self, const load_identity *from, const unsigned char *frame,
                   size_t bytes)
{
    if (bytes == SET_BYTES && memcmp(frame, SET_MAGIC, sizeof SET_MAGIC) == 0) {
        uint64_t size;
        memcpy(&size, frame + sizeof SET_MAGIC, sizeof size);
        if (size >= BEAM_WIRE_HEADER_BYTES + 64 && size <= BEAM_WIRE_MAX_MESSAGE_BYTES) {
            allocate(self, size); /* nothing is under way: the one client waits for this answer */
        }
        send_answer(self, from, frame, bytes);
        return;
    }
    if (bytes < BEAM_WIRE_HEADER_BYTES) {
        return;
    }
    if (!self->options.worker) {
        const size_t size = answer_bytes(self, frame);
        fill_answer(frame, self->answer, size);
        send_answer(self, from, self->answer, size);
        return;
    }
    entry *in = ring_room(&self->out);
    in->from = *from;
    in->bytes = answer_bytes(self, frame);
    memcpy(in->request, frame, BEAM_WIRE_HEADER_BYTES);
    ring_put(&self->out);
}

static void serve(echo_server *self)
{
    const int fds[2] = {load_socket_fd(self->socket), self->back.wake};
    for (;;) {
        bool idle = true;
        for (int k = 0; k < TURN && ring_room(&self->out); k++) {
            load_identity from;
            const unsigned char *frame;
            size_t bytes;
            if (load_socket_receive(self->socket, &from, &frame, &bytes) != 1) {
                break;
            }
            handle(self, &from, frame, bytes);
            idle = false;
        }
        for (entry *out; (out = ring_first(&self->back)) != NULL; ring_drop(&self->back)) {
            send_answer(self, &out->from, out->answer, out->bytes);
            idle = false;
        }
        if (idle) {
            uint64_t drained;
            load_wait(fds, 2, UINT64_MAX);
            if (read(self->back.wake, &drained, sizeof drained) < 0 && errno != EAGAIN) {
                _exit(1);
            }
        }
    }
}

/* The child; never returns. */
static void child(const load_echo_options *options, const char *endpoint, int tell, pid_t parent)
{
    static echo_server self; /* zeroed; the process has one */
    char bound[LOAD_ENDPOINT_BYTES] = "";
    load_error err;
    pthread_t thread;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(0);
    }
    signal(SIGINT, SIG_IGN); /* the parent ends it */
    self.options = *options;
    self.out.wake = eventfd(0, EFD_CLOEXEC);
    self.back.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    allocate(&self, 4096);
    load_context *context = load_context_create(&err);
    self.socket = context ? load_socket_router(context, endpoint, bound, &err) : NULL;
    if (!self.socket || self.out.wake < 0 || self.back.wake < 0 ||
        (options->worker && pthread_create(&thread, NULL, work, &self) != 0)) {
        snprintf(bound, sizeof bound, "!%.200s", self.socket ? "cannot start a thread" : err.text);
    }
    if (write(tell, bound, sizeof bound) != sizeof bound || bound[0] == '!') {
        _exit(1);
    }
    close(tell);
    serve(&self);
}

static int await_child(load_echo *self, int fd, load_error *err)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, START_MS) <= 0 ||
        read(fd, self->endpoint, sizeof self->endpoint) != sizeof self->endpoint) {
        return load_fail(err, "the ping's process did not start");
    }
    return self->endpoint[0] == '!' ? load_fail(err, "ping: %s", self->endpoint + 1) : 0;
}

load_echo *load_echo_start(const load_echo_options *options, load_error *err)
{
    int fds[2];
    char endpoint[128] = "tcp://127.0.0.1:*";
    load_echo *self = calloc(1, sizeof *self);
    if (!self) {
        load_fail(err, "no memory for a ping");
        return NULL;
    }
    snprintf(self->directory, sizeof self->directory, "/tmp/beamload-XXXXXX");
    if (!mkdtemp(self->directory) || pipe(fds) < 0) {
        load_fail(err, "cannot start a ping: %s", strerror(errno));
        free(self);
        return NULL;
    }
    if (!options->tcp) {
        snprintf(endpoint, sizeof endpoint, "ipc://%s/ping.sock", self->directory);
    }
    const pid_t parent = getpid();
    self->pid = fork();
    if (self->pid == 0) {
        close(fds[0]);
        child(options, endpoint, fds[1], parent);
    }
    close(fds[1]);
    const int status = self->pid < 0 ? load_fail(err, "cannot fork: %s", strerror(errno))
                                     : await_child(self, fds[0], err);
    close(fds[0]);
    if (status < 0) {
        load_echo_stop(&self);
    }
    return self;
}

void load_echo_stop(load_echo **self_p)
{
    load_echo *self = *self_p;
    char path[96];
    if (!self) {
        return;
    }
    if (self->pid > 0) {
        kill(self->pid, SIGKILL);
        while (waitpid(self->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    snprintf(path, sizeof path, "%s/ping.sock", self->directory);
    unlink(path);
    rmdir(self->directory);
    free(self);
    *self_p = NULL;
}

const char *load_echo_endpoint(const load_echo *self)
{
    return self->endpoint;
}

int load_echo_set_bytes(load_socket *socket, size_t bytes, load_error *err)
{
    unsigned char frame[SET_BYTES];
    const uint64_t size = bytes > BEAM_WIRE_HEADER_BYTES + 64 ? bytes : BEAM_WIRE_HEADER_BYTES + 64;
    const uint64_t until = load_now_ns() + START_MS * UINT64_C(1000000);
    memcpy(frame, SET_MAGIC, sizeof SET_MAGIC);
    memcpy(frame + sizeof SET_MAGIC, &size, sizeof size);
    if (load_socket_send(socket, NULL, frame, sizeof frame) != 1) {
        return load_fail(err, "cannot send to the ping");
    }
    while (load_now_ns() < until) {
        const unsigned char *answer;
        size_t got;
        if (load_socket_receive(socket, NULL, &answer, &got) == 1) {
            if (got == sizeof frame && memcmp(answer, frame, sizeof frame) == 0) {
                return 0;
            }
            continue;
        }
        const int fd = load_socket_fd(socket);
        load_wait(&fd, 1, until);
    }
    return load_fail(err, "the ping does not answer");
}
