/* A proxy between clients and daemon that stores what passes. Every client gets a connection of its
 * own to the daemon, so that the daemon sees as many peers as there are. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "load/commands.h"
#include "load/trace.h"

enum { TURN = 64 };

typedef struct recorder {
    load_context *context;
    load_socket *front;
    char daemon[LOAD_ENDPOINT_BYTES];
    load_identity identity[LOAD_TRACE_PEERS];
    load_socket *back[LOAD_TRACE_PEERS];
    unsigned peers;
    load_trace_writer *trace;
    uint64_t requests, answers, refused;
} recorder;

/* The client of an identity, a new one if need be; -1: there is no room or no connection. */
static int find_peer(recorder *self, const load_identity *from, load_error *err)
{
    for (unsigned k = 0; k < self->peers; k++) {
        if (self->identity[k].size == from->size &&
            memcmp(self->identity[k].bytes, from->bytes, from->size) == 0) {
            return (int)k;
        }
    }
    if (self->peers == LOAD_TRACE_PEERS) {
        return load_fail(err, "more than %d clients", LOAD_TRACE_PEERS);
    }
    self->back[self->peers] = load_socket_dealer(self->context, self->daemon, err);
    if (!self->back[self->peers]) {
        return -1;
    }
    self->identity[self->peers] = *from;
    return (int)self->peers++;
}

/* Waits for room: a proxy must not lose what the trace says was sent. */
static int pass_on(load_socket *socket, const load_identity *to, const void *frame, size_t bytes,
                   load_error *err)
{
    int sent;
    while ((sent = load_socket_send(socket, to, frame, bytes)) == 0 && !load_stop_asked()) {
        poll(NULL, 0, 1);
    }
    return sent < 0 ? load_fail(err, "cannot pass a message on") : 0;
}

/* Returns how many frames moved, -1 on failure. */
static int take_requests(recorder *self, load_error *err)
{
    int moved = 0;
    for (; moved < TURN; moved++) {
        load_identity from;
        const unsigned char *frame;
        size_t bytes;
        const int got = load_socket_receive(self->front, &from, &frame, &bytes);
        if (got != 1) {
            return got < 0 ? load_fail(err, "the listening socket failed") : moved;
        }
        const int peer = find_peer(self, &from, err);
        if (peer < 0) {
            return -1;
        }
        if (load_trace_write(self->trace, load_now_ns(), (unsigned)peer, LOAD_DIRECTION_TO_DAEMON,
                             frame, bytes, err) < 0 ||
            pass_on(self->back[peer], NULL, frame, bytes, err) < 0) {
            return -1;
        }
        self->requests++;
    }
    return moved;
}

static int take_answers(recorder *self, unsigned peer, load_error *err)
{
    int moved = 0;
    for (; moved < TURN; moved++) {
        const unsigned char *frame;
        size_t bytes;
        const int got = load_socket_receive(self->back[peer], NULL, &frame, &bytes);
        if (got != 1) {
            return got < 0 ? load_fail(err, "the connection to the daemon failed") : moved;
        }
        if (load_trace_write(self->trace, load_now_ns(), peer, LOAD_DIRECTION_TO_CLIENT, frame,
                             bytes, err) < 0 ||
            pass_on(self->front, &self->identity[peer], frame, bytes, err) < 0) {
            return -1;
        }
        self->answers++;
    }
    return moved;
}

static int serve(recorder *self, double seconds, load_error *err)
{
    const uint64_t end = seconds > 0 ? load_now_ns() + (uint64_t)(seconds * 1e9) : UINT64_MAX;
    while (!load_stop_asked() && load_now_ns() < end) {
        int fds[1 + LOAD_TRACE_PEERS], moved = take_requests(self, err);
        fds[0] = load_socket_fd(self->front);
        for (unsigned k = 0; k < self->peers && moved >= 0; k++) {
            const int more = take_answers(self, k, err);
            moved = more < 0 ? -1 : moved + more;
            fds[1 + k] = load_socket_fd(self->back[k]);
        }
        if (moved < 0) {
            return -1;
        }
        if (moved == 0) {
            load_wait(fds, 1 + (int)self->peers, end);
        }
    }
    return 0;
}

static void say(const recorder *self, const load_options *o)
{
    if (o->json) {
        json_t *out = json_pack("{s:s,s:I,s:I,s:i}", "file", o->rest[0], "requests",
                                (json_int_t)self->requests, "answers", (json_int_t)self->answers,
                                "clients", (int)self->peers);
        json_dumpf(out, stdout, JSON_INDENT(2));
        printf("\n");
        json_decref(out);
        return;
    }
    printf("%s: %" PRIu64 " requests and %" PRIu64 " answers of %u clients\n", o->rest[0],
           self->requests, self->answers, self->peers);
}

int load_command_record(const load_options *o)
{
    recorder self;
    load_error err, end_err;
    memset(&self, 0, sizeof self);
    int status = load_command_endpoint(o->to, o->runtime_dir, BEAM_ENDPOINT_CSI, self.daemon, &err);
    self.context = status == 0 ? load_context_create(&err) : NULL;
    if (self.context &&
        load_context_set_keys(self.context, o->server_key, o->secret_key, &err) < 0) {
        load_context_destroy(&self.context);
    }
    self.front = self.context ? load_socket_router(self.context, o->listen, NULL, &err) : NULL;
    self.trace = self.front ? load_trace_create(o->rest[0], &err) : NULL;
    if (!self.trace) {
        status = -1;
    } else {
        fprintf(stderr, "beamload: recording from %s to %s\n", o->listen, self.daemon);
        status = serve(&self, o->seconds, &err);
        if (load_trace_finish(&self.trace, &end_err) < 0) {
            err = status == 0 ? end_err : err;
            status = -1;
        }
        if (status == 0) {
            say(&self, o);
        }
    }
    for (unsigned k = 0; k < self.peers; k++) {
        load_socket_destroy(&self.back[k]);
    }
    load_socket_destroy(&self.front);
    load_context_destroy(&self.context);
    return status == 0 ? LOAD_EXIT_OK : load_command_fail(&err);
}
