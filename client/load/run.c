#include "load/run.h"

#include <stdio.h>
#include <string.h>

#include "load/tally.h"

/* Answers read before the schedule is looked at again. */
enum { RECEIVE_TURN = 32, GOODBYE_MS = 300 };
static const uint64_t SECOND_NS = 1000000000u;

typedef struct runner {
    load_fleet *fleet;
    load_socket *socket;
    const load_spec *spec;
    load_tally tally;
    load_schedule schedule;
    load_result *result;
    uint64_t measure_from_ns, end_ns;
    uint64_t first_ns, last_ns; /* intended times measured */
    uint64_t next_sample_ns;    /* of the memory that is watched */
    int due_done;               /* clusters of the due entry that have sent */
    bool sending;
} runner;

load_spec load_spec_from(const load_options *o)
{
    return (load_spec){
        .traffic = {.rate_hz = o->rate_hz,
                    .target_rate_hz = o->target_rate_hz,
                    .arrivals = (load_arrivals)o->arrivals,
                    .burst = (int)o->burst,
                    .seed = (uint64_t)o->seed},
        .seconds = o->seconds,
        .warmup_s = o->warmup_s,
        .wait_s = o->wait_s,
        .count = (uint64_t)o->count,
        .deadline_ns = (uint64_t)(o->deadline_s * 1e9 + 0.5),
        .spin = o->spin_generator,
        .watch_pid = (long)o->watch_pid,
    };
}

/* One cluster's next request. 1: sent; 0: no room, the same one is tried again; -1. */
static int send_one(runner *self, const load_due *due, load_cluster *cluster)
{
    load_ring *ring = due->targets ? &cluster->target_ring : &cluster->csi_ring;
    load_pool *pool = due->targets ? &cluster->targets : &cluster->csi;
    const uint64_t now = load_now_ns();
    const load_frame *frame = load_pool_patch(pool, ring->sequence + 1, now);
    const int sent = load_socket_send(self->socket, NULL, frame->bytes, frame->size);
    if (sent != 1) {
        self->result->send_waited += sent == 0;
        return sent;
    }
    bool lost;
    load_slot *slot = load_ring_next(ring, &lost);
    slot->intended_ns = due->at_ns;
    slot->sent_ns = now > due->at_ns ? now : due->at_ns;
    slot->measured = due->at_ns >= self->measure_from_ns;
    self->tally.open += !lost;
    self->result->unanswered += lost;
    self->result->sent++;
    self->result->target_updates += due->targets;
    if (slot->measured && !due->targets) {
        self->result->requests++;
        self->result->bytes_out += frame->size;
        self->first_ns = self->first_ns ? self->first_ns : due->at_ns;
        self->last_ns = due->at_ns;
    }
    return 1;
}

/* Everything that is due by now. -1: the transport failed. */
static int send_due(runner *self, uint64_t now_ns)
{
    while (self->sending) {
        const load_due *due = load_schedule_next(&self->schedule);
        const bool enough = self->spec->count && self->result->requests >= self->spec->count;
        if (enough || (!self->spec->count && due->at_ns >= self->end_ns) || load_stop_asked()) {
            self->sending = false;
            return 0;
        }
        if (due->at_ns > now_ns) {
            return 0;
        }
        while (self->due_done < due->count) {
            const int sent =
                send_one(self, due, &self->fleet->clusters[due->first + self->due_done]);
            if (sent != 1) {
                return sent;
            }
            self->due_done++;
        }
        self->due_done = 0;
        load_schedule_advance(&self->schedule);
    }
    return 0;
}

/* Up to a turn's worth. 1: there may be more; 0: none is left; -1. */
static int receive_some(runner *self)
{
    for (int k = 0; k < RECEIVE_TURN; k++) {
        const unsigned char *frame;
        size_t bytes;
        const int got = load_socket_receive(self->socket, NULL, &frame, &bytes);
        if (got != 1) {
            return got;
        }
        load_tally_answer(&self->tally, frame, bytes, load_now_ns());
    }
    return 1;
}

static void watch_memory(runner *self, uint64_t now_ns)
{
    load_result *r = self->result;
    if (!self->spec->watch_pid || now_ns < self->next_sample_ns || now_ns < self->measure_from_ns) {
        return;
    }
    const uint64_t kib = load_resident_kib(self->spec->watch_pid);
    self->next_sample_ns = now_ns + SECOND_NS;
    if (kib == 0) {
        return;
    }
    if (!r->resident_first_kib) {
        r->resident_first_kib = r->resident_least_kib = kib;
    }
    r->resident_least_kib = kib < r->resident_least_kib ? kib : r->resident_least_kib;
    r->resident_most_kib = kib > r->resident_most_kib ? kib : r->resident_most_kib;
    r->resident_last_kib = kib;
}

static int turn(runner *self, uint64_t wait_ns)
{
    uint64_t give_up_ns = 0;
    for (;;) {
        const uint64_t now = load_now_ns();
        if (send_due(self, now) < 0) {
            return -1;
        }
        const int more = receive_some(self);
        if (more < 0) {
            return -1;
        }
        watch_memory(self, now);
        if (!self->sending) {
            give_up_ns = give_up_ns ? give_up_ns : now + wait_ns;
            if (self->tally.open == 0 || now >= give_up_ns) {
                return 0;
            }
        }
        if (more == 1 || self->spec->spin) {
            continue;
        }
        /* A due entry that found no room is in the past: look again soon, or when answers come. */
        const uint64_t due = load_schedule_next(&self->schedule)->at_ns;
        const uint64_t until = !self->sending ? give_up_ns : due > now ? due : now + 100000;
        const int fd = load_socket_fd(self->socket);
        load_wait(&fd, 1, until);
    }
}

/* What is still open when waiting ends, so that a later run does not take it for its own. */
static void close_open(load_fleet *fleet)
{
    for (int k = 0; k < fleet->count; k++) {
        load_ring *rings[2] = {&fleet->clusters[k].csi_ring, &fleet->clusters[k].target_ring};
        for (int r = 0; r < 2; r++) {
            for (size_t s = 0; s <= rings[r]->mask; s++) {
                rings[r]->slots[s].open = false;
            }
        }
    }
}

int load_run(load_fleet *fleet, load_socket *socket, const load_spec *spec, load_result *result,
             load_error *err)
{
    runner self = {.fleet = fleet, .socket = socket, .spec = spec, .result = result};
    load_result_clear(result);
    if (load_tally_create(&self.tally, fleet, spec, result) < 0) {
        return load_fail(err, "no memory to read answers");
    }
    const uint64_t start = load_now_ns() + 1000000u;
    if (load_schedule_create(&self.schedule, &spec->traffic, fleet->count, start) < 0) {
        load_tally_destroy(&self.tally);
        return load_fail(err, "no memory for the schedule");
    }
    self.measure_from_ns = start + (uint64_t)(spec->warmup_s * 1e9);
    self.end_ns = self.measure_from_ns + (uint64_t)(spec->seconds * 1e9);
    self.sending = true;
    const int status = turn(&self, (uint64_t)(spec->wait_s * 1e9));
    result->unanswered += self.tally.open;
    result->seconds = (double)(self.last_ns - self.first_ns) / 1e9;
    close_open(fleet);
    load_schedule_destroy(&self.schedule);
    load_tally_destroy(&self.tally);
    return status < 0 ? load_fail(err, "the connection to the daemon failed") : 0;
}

/* Waits for the Ack of the one request that is open. */
static int await_ack(load_socket *socket, const char *cluster, unsigned type, uint64_t until_ns,
                     load_error *err)
{
    enum { ARENA_BYTES = 1 << 16 };
    _Alignas(16) unsigned char memory[ARENA_BYTES];
    for (;;) {
        const unsigned char *frame;
        size_t bytes;
        const int got = load_socket_receive(socket, NULL, &frame, &bytes);
        if (got < 0) {
            return load_fail(err, "the connection to the daemon failed");
        }
        if (got == 0) {
            if (load_now_ns() >= until_ns || load_stop_asked()) {
                return load_fail(err, "no answer to %s of cluster %s: is the daemon there?",
                                 beam_wire_type_name(type), cluster);
            }
            const int fd = load_socket_fd(socket);
            load_wait(&fd, 1, until_ns);
            continue;
        }
        beam_wire_arena arena;
        beam_wire_header header;
        beam_wire_error wire;
        ProtobufCMessage *message;
        beam_wire_arena_init(&arena, memory, sizeof memory);
        if (beam_wire_header_decode(&header, frame, bytes, &wire) < 0 ||
            (header.type != BEAM_WIRE_ACK && header.type != BEAM_WIRE_ERROR) ||
            beam_wire_unpack(&header, &message, &arena, frame, bytes, &wire) < 0) {
            continue; /* the answer to something earlier */
        }
        const Beamd__Error *refusal = (const Beamd__Error *)message;
        if (header.type == BEAM_WIRE_ERROR && refusal->request_type == type) {
            return load_fail(err, "%s of cluster %s was refused: %s%s%s", beam_wire_type_name(type),
                             cluster, refusal->field, refusal->field[0] ? ": " : "", refusal->text);
        }
        if (header.type == BEAM_WIRE_ACK && strcmp(header.cluster, cluster) == 0 &&
            ((const Beamd__Ack *)message)->request_type == type) {
            return 0;
        }
    }
}

int load_run_register(load_fleet *fleet, load_socket *socket, double wait_s, load_error *err)
{
    const uint64_t until = load_now_ns() + (uint64_t)(wait_s * 1e9);
    for (int k = 0; k < fleet->count; k++) {
        load_cluster *c = &fleet->clusters[k];
        c->csi_ring.sequence = 0;
        c->target_ring.sequence = 1;
        load_frame_patch(&c->registration, 1, load_now_ns());
        const load_frame *targets = load_pool_patch(&c->targets, 1, load_now_ns());
        if (load_socket_send(socket, NULL, c->registration.bytes, c->registration.size) != 1 ||
            load_socket_send(socket, NULL, targets->bytes, targets->size) != 1) {
            return load_fail(err, "cannot send to the daemon");
        }
        if (await_ack(socket, c->id, BEAM_WIRE_REGISTER_CLUSTER, until, err) < 0 ||
            await_ack(socket, c->id, BEAM_WIRE_TARGET_UPDATE, until, err) < 0) {
            return -1;
        }
    }
    return 0;
}

void load_run_unregister(load_fleet *fleet, load_socket *socket)
{
    load_error err;
    const uint64_t until = load_now_ns() + GOODBYE_MS * 1000000u;
    for (int k = 0; k < fleet->count; k++) {
        load_cluster *c = &fleet->clusters[k];
        load_frame_patch(&c->unregistration, 1, load_now_ns());
        if (load_socket_send(socket, NULL, c->unregistration.bytes, c->unregistration.size) != 1 ||
            await_ack(socket, c->id, BEAM_WIRE_UNREGISTER_CLUSTER, until, &err) < 0) {
            return;
        }
    }
}
