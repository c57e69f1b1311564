#include "load/stream.h"

#include <stdlib.h>

enum { TURN = 32 };

int load_stream_create(load_stream *self, const load_traffic *traffic)
{
    const size_t size = beam_wire_arena_bytes(BEAM_WIRE_MAX_MESSAGE_BYTES);
    self->memory = aligned_alloc(64, (size + 63u) & ~(size_t)63u);
    if (!self->memory ||
        load_schedule_create(&self->schedule, traffic, self->fleet->count, load_now_ns()) < 0) {
        return -1;
    }
    beam_wire_arena_init(&self->arena, self->memory, size);
    return 0;
}

void load_stream_destroy(load_stream *self)
{
    load_schedule_destroy(&self->schedule);
    free(self->memory);
    self->memory = NULL;
}

/* 1: sent; 0: no room; -1. */
static int send_one(load_stream *self, const load_due *due)
{
    load_cluster *c = &self->fleet->clusters[due->first];
    load_ring *ring = due->targets ? &c->target_ring : &c->csi_ring;
    const uint64_t now = load_now_ns();
    const load_frame *frame =
        load_pool_patch(due->targets ? &c->targets : &c->csi, ring->sequence + 1, now);
    const int sent = load_socket_send(self->csi, NULL, frame->bytes, frame->size);
    if (sent == 1) {
        bool lost;
        load_slot *slot = load_ring_next(ring, &lost);
        slot->intended_ns = due->at_ns;
        slot->sent_ns = now;
        self->sent++;
    }
    return sent;
}

static void hand_on(load_stream *self, const unsigned char *frame, size_t bytes, uint64_t now_ns)
{
    beam_wire_header header;
    beam_wire_error wire;
    ProtobufCMessage *message;
    load_slot *slot = NULL;
    beam_wire_arena_reset(&self->arena);
    if (beam_wire_unpack(&header, &message, &self->arena, frame, bytes, &wire) < 0) {
        return;
    }
    load_cluster *c = load_fleet_find(self->fleet, header.cluster);
    const bool csi = header.type == BEAM_WIRE_SOLUTION || header.type == BEAM_WIRE_SOLUTION_SET ||
                     (header.type == BEAM_WIRE_ERROR &&
                      ((const Beamd__Error *)message)->request_type == BEAM_WIRE_CSI_UPDATE);
    if (c && csi) {
        slot = load_ring_find(&c->csi_ring, header.sequence);
        slot = slot && slot->open ? slot : NULL;
    }
    if (slot) {
        slot->open = false;
        self->answered++;
    }
    self->callback(self->arg, slot, &header, message, now_ns);
}

static int receive_some(load_stream *self, load_socket *socket)
{
    int moved = 0;
    while (socket && moved < TURN && !self->stop) {
        const unsigned char *frame;
        size_t bytes;
        const int got = load_socket_receive(socket, NULL, &frame, &bytes);
        if (got != 1) {
            return got < 0 ? -1 : moved;
        }
        hand_on(self, frame, bytes, load_now_ns());
        moved++;
    }
    return moved;
}

int load_stream_until(load_stream *self, uint64_t until_ns, bool sending, load_error *err)
{
    int fds[2], count = 0;
    fds[count++] = load_socket_fd(self->csi);
    if (self->control) {
        fds[count++] = load_socket_fd(self->control);
    }
    self->stop = false;
    while (!self->stop && !load_stop_asked()) {
        const uint64_t now = load_now_ns();
        const load_due *due = load_schedule_next(&self->schedule);
        int sent = 1;
        if (now >= until_ns) {
            return 0;
        }
        while (sending && sent == 1 && due->at_ns <= now) {
            sent = send_one(self, due);
            if (sent == 1) {
                load_schedule_advance(&self->schedule);
                due = load_schedule_next(&self->schedule);
            }
        }
        const int moved = receive_some(self, self->csi), more = receive_some(self, self->control);
        if (sent < 0 || moved < 0 || more < 0) {
            return load_fail(err, "the connection to the daemon failed");
        }
        if (moved + more == 0) {
            const uint64_t next = sent == 0 ? now + 100000 : due->at_ns;
            load_wait(fds, count, sending && next < until_ns ? next : until_ns);
        }
    }
    return 0;
}
