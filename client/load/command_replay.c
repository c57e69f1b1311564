/* Sends what a trace recorded, at its times, whatever comes back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "load/commands.h"
#include "load/replay.h"
#include "load/report.h"
#include "load/tally.h"
#include "load/trace.h"

enum { TURN = 32 };

typedef struct replay {
    const load_options *options;
    load_trace trace;
    load_context *context;
    load_socket *socket[LOAD_TRACE_PEERS];
    unsigned peers;
    load_book book;
    load_result *result;
    beam_wire_arena arena;
    void *memory;
    uint64_t recorded_requests, recorded_answers, recorded_ns;
    uint64_t answered; /* requests of any kind */
    uint64_t refused;  /* of them with an Error */
    uint64_t start_ns, deadline_ns;
} replay;

/* Reads it all once: nothing is sent from a trace that is damaged anywhere. */
static int survey(replay *self, load_error *err)
{
    load_record record;
    int got;
    while ((got = load_trace_read(&self->trace, &record, err)) == 1) {
        const bool request = record.direction == LOAD_DIRECTION_TO_DAEMON;
        self->recorded_requests += request;
        self->recorded_answers += !request;
        self->recorded_ns = record.time_ns;
        self->peers = record.peer + 1 > self->peers ? record.peer + 1 : self->peers;
    }
    if (got < 0) {
        return -1;
    }
    if (!self->trace.whole) {
        fprintf(stderr,
                "beamload: the trace has no end: its recording was cut off after record "
                "%" PRIu64 "\n",
                self->trace.records);
    }
    load_trace_rewind(&self->trace);
    return self->recorded_requests > 0 ? 0 : load_fail(err, "the trace has no request");
}

static int open_all(replay *self, load_error *err)
{
    const size_t size = beam_wire_arena_bytes(BEAM_WIRE_MAX_MESSAGE_BYTES);
    char endpoint[LOAD_ENDPOINT_BYTES];
    const load_options *o = self->options;
    self->memory = aligned_alloc(64, (size + 63u) & ~(size_t)63u);
    if (!self->memory || load_book_create(&self->book, self->recorded_requests) < 0) {
        return load_fail(err, "no memory for %" PRIu64 " requests", self->recorded_requests);
    }
    beam_wire_arena_init(&self->arena, self->memory, size);
    self->context = load_context_create(err);
    if (!self->context ||
        load_context_set_keys(self->context, o->server_key, o->secret_key, err) < 0 ||
        load_command_endpoint(o->endpoint, o->runtime_dir, BEAM_ENDPOINT_CSI, endpoint, err) < 0) {
        return -1;
    }
    for (unsigned k = 0; k < self->peers; k++) {
        self->socket[k] = load_socket_dealer(self->context, endpoint, err);
        if (!self->socket[k]) {
            return -1;
        }
    }
    return 0;
}

/* 1: sent; 0: no room. */
static int send_record(replay *self, const load_record *record, uint64_t intended_ns)
{
    beam_wire_header header;
    beam_wire_error wire;
    const uint64_t now = load_now_ns();
    load_book_patch_time(record->frame, record->bytes, now);
    const int sent =
        load_socket_send(self->socket[record->peer], NULL, record->frame, record->bytes);
    if (sent != 1) {
        return sent;
    }
    /* What cannot be read of a header is zero in it, as in the answer to such a request. */
    beam_wire_header_decode(&header, record->frame, record->bytes, &wire);
    load_pending *p = load_book_add(&self->book, record->peer, load_book_kind(header.type),
                                    header.cluster, header.sequence);
    p->slot.intended_ns = intended_ns;
    p->slot.sent_ns = now > intended_ns ? now : intended_ns;
    self->result->sent++;
    if (p->kind == BEAM_WIRE_CSI_UPDATE) {
        self->result->requests++;
        self->result->bytes_out += record->bytes;
    }
    self->result->target_updates += p->kind == BEAM_WIRE_TARGET_UPDATE;
    return 1;
}

/* The request type that an answer speaks of. */
static unsigned answered_kind(unsigned type, const ProtobufCMessage *message)
{
    if (type == BEAM_WIRE_ACK) {
        return load_book_kind(((const Beamd__Ack *)message)->request_type);
    }
    if (type == BEAM_WIRE_ERROR) {
        return load_book_kind(((const Beamd__Error *)message)->request_type);
    }
    return load_book_kind(type);
}

static void take_answer(replay *self, unsigned peer, const unsigned char *frame, size_t bytes)
{
    const uint64_t now = load_now_ns();
    beam_wire_header header;
    beam_wire_error wire;
    ProtobufCMessage *message;
    load_result *r = self->result;
    beam_wire_arena_reset(&self->arena);
    if (beam_wire_unpack(&header, &message, &self->arena, frame, bytes, &wire) < 0) {
        r->unreadable++;
        return;
    }
    const load_pending *p = load_book_close(&self->book, peer, answered_kind(header.type, message),
                                            header.cluster, header.sequence);
    if (!p) {
        r->unexpected++;
        return;
    }
    self->answered++;
    self->refused += header.type == BEAM_WIRE_ERROR;
    if (header.type == BEAM_WIRE_SOLUTION || header.type == BEAM_WIRE_SOLUTION_SET) {
        load_tally_beams(r, self->deadline_ns, &p->slot, &header, message, bytes, now);
    } else if (header.type == BEAM_WIRE_ERROR && p->kind == BEAM_WIRE_CSI_UPDATE) {
        const unsigned code = (unsigned)((const Beamd__Error *)message)->code;
        r->errors[code < LOAD_CODES ? code : 0]++;
    }
}

static int receive_all(replay *self)
{
    int moved = 0;
    for (unsigned k = 0; k < self->peers; k++) {
        for (int turn = 0; turn < TURN; turn++) {
            const unsigned char *frame;
            size_t bytes;
            const int got = load_socket_receive(self->socket[k], NULL, &frame, &bytes);
            if (got < 0) {
                return -1;
            }
            if (got == 0) {
                break;
            }
            take_answer(self, k, frame, bytes);
            moved++;
        }
    }
    return moved;
}

/* The next request of the trace; false: there is none. */
static bool next_request(replay *self, load_record *record)
{
    load_error err; /* survey() has read it all */
    while (load_trace_read(&self->trace, record, &err) == 1) {
        if (record->direction == LOAD_DIRECTION_TO_DAEMON) {
            return true;
        }
    }
    return false;
}

static int play(replay *self, load_error *err)
{
    const double speed = self->options->replay_speed;
    load_record record;
    int fds[LOAD_TRACE_PEERS];
    bool more = next_request(self, &record);
    const uint64_t first_ns = record.time_ns;
    uint64_t give_up = 0;
    for (unsigned k = 0; k < self->peers; k++) {
        fds[k] = load_socket_fd(self->socket[k]);
    }
    self->start_ns = load_now_ns();
    for (;;) {
        uint64_t due = UINT64_MAX, now = load_now_ns();
        while (more) {
            due = self->start_ns + (uint64_t)((double)(record.time_ns - first_ns) / speed);
            const int sent = due <= now ? send_record(self, &record, due) : 0;
            if (sent < 0) {
                return load_fail(err, "the connection to the daemon failed");
            }
            if (sent == 0) {
                self->result->send_waited += due <= now;
                due = due <= now ? now + 100000 : due;
                break;
            }
            more = next_request(self, &record);
        }
        if (!more && give_up == 0) {
            give_up = now + (uint64_t)(self->options->wait_s * 1e9);
            self->result->seconds = (double)(now - self->start_ns) / 1e9;
        }
        const int moved = receive_all(self);
        if (moved < 0) {
            return load_fail(err, "the connection to the daemon failed");
        }
        if ((!more && (self->book.open == 0 || now >= give_up)) || load_stop_asked()) {
            return 0;
        }
        if (moved == 0) {
            load_wait(fds, (int)self->peers, more ? due : give_up);
        }
    }
}

static int report(replay *self)
{
    const load_options *o = self->options;
    load_error err = {""};
    load_result *r = self->result;
    r->unanswered = self->book.open;
    const bool ok = load_result_whole(r, &err);
    if (o->json) {
        json_t *out = json_pack("{s:s,s:I,s:I,s:f,s:b,s:f,s:I,s:I}", "file", o->rest[0],
                                "recorded_requests", (json_int_t)self->recorded_requests,
                                "recorded_answers", (json_int_t)self->recorded_answers,
                                "recorded_seconds", (double)self->recorded_ns / 1e9, "whole",
                                self->trace.whole, "speed", o->replay_speed, "answered",
                                (json_int_t)self->answered, "refused", (json_int_t)self->refused);
        json_object_set_new(out, "result", load_report_result_json(r, o));
        load_report_print_json(out, ok, &err);
        return ok ? LOAD_EXIT_OK : load_command_fail(&err);
    }
    printf("%s: %" PRIu64 " requests and %" PRIu64 " answers of %u clients in %.1f s, replayed %g "
           "times as fast\n%" PRIu64 " requests of all kinds sent, %" PRIu64 " answered, %" PRIu64
           " of them refused; CSI:\n",
           o->rest[0], self->recorded_requests, self->recorded_answers, self->peers,
           (double)self->recorded_ns / 1e9, o->replay_speed, r->sent, self->answered,
           self->refused);
    load_report_result(r, o, false);
    return ok ? LOAD_EXIT_OK : load_command_fail(&err);
}

int load_command_replay(const load_options *o)
{
    replay self;
    load_error err;
    int status = LOAD_EXIT_BROKEN;
    memset(&self, 0, sizeof self);
    self.options = o;
    self.deadline_ns = (uint64_t)(o->deadline_s * 1e9 + 0.5);
    self.result = load_result_create(&err);
    if (self.result && load_trace_open(&self.trace, o->rest[0], &err) == 0 &&
        survey(&self, &err) == 0 && open_all(&self, &err) == 0 && play(&self, &err) == 0) {
        status = report(&self);
    } else {
        load_command_fail(&err);
    }
    for (unsigned k = 0; k < self.peers; k++) {
        load_socket_destroy(&self.socket[k]);
    }
    load_context_destroy(&self.context);
    load_trace_close(&self.trace);
    load_book_destroy(&self.book);
    free(self.memory);
    free(self.result);
    return status;
}
