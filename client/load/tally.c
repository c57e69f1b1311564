#include "load/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int load_tally_create(load_tally *self, load_fleet *fleet, const load_spec *spec,
                      load_result *result)
{
    const size_t size = beam_wire_arena_bytes(BEAM_WIRE_MAX_MESSAGE_BYTES);
    *self = (load_tally){.fleet = fleet, .spec = spec, .result = result};
    self->memory = aligned_alloc(64, (size + 63u) & ~(size_t)63u);
    if (!self->memory) {
        return -1;
    }
    beam_wire_arena_init(&self->arena, self->memory, size);
    return 0;
}

void load_tally_destroy(load_tally *self)
{
    free(self->memory);
    self->memory = NULL;
}

/* Closes the request of this sequence; NULL: it was not open. */
static load_slot *close_slot(load_tally *self, load_ring *ring, uint64_t sequence)
{
    load_slot *slot = load_ring_find(ring, sequence);
    if (!slot) {
        self->result->unexpected++;
        return NULL;
    }
    if (!slot->open) {
        self->result->duplicates++;
        return NULL;
    }
    slot->open = false;
    self->open--;
    return slot;
}

static void count_method(load_result *r, const Beamd__Solution *s)
{
    r->solutions++;
    r->warm += s->warm != 0;
    if ((unsigned)s->method < LOAD_METHODS) {
        r->method[s->method]++;
    }
    if ((unsigned)s->backend < LOAD_BACKENDS) {
        r->backend[s->backend]++;
    }
}

static void time_stages(load_result *r, uint64_t deadline_ns, const load_slot *slot,
                        const Beamd__Latency *l, bool late, uint64_t now_ns)
{
    load_histogram *stage = r->stage;
    const uint64_t total =
        l->received_to_queued_ns + l->queued_to_solve_ns + l->solve_ns + l->solve_to_sent_ns;
    const uint64_t whole = now_ns - slot->sent_ns, all = now_ns - slot->intended_ns;
    load_histogram_add(&stage[LOAD_STAGE_TRANSPORT], whole > total ? whole - total : 0);
    load_histogram_add(&stage[LOAD_STAGE_DECODE], l->received_to_queued_ns);
    load_histogram_add(&stage[LOAD_STAGE_QUEUE], l->queued_to_solve_ns);
    load_histogram_add(&stage[LOAD_STAGE_SOLVE], l->solve_ns);
    load_histogram_add(&stage[LOAD_STAGE_CHECK], l->solve_to_checked_ns);
    load_histogram_add(&stage[LOAD_STAGE_SEND], l->solve_to_sent_ns);
    load_histogram_add(&stage[LOAD_STAGE_DAEMON], total);
    load_histogram_add(&stage[LOAD_STAGE_OVERHEAD], all > l->solve_ns ? all - l->solve_ns : 0);
    r->unmarked_late += !late && total > deadline_ns;
}

static void count_answer(load_result *r, uint64_t deadline_ns, const load_slot *slot,
                         unsigned service, bool late, size_t bytes, uint64_t now_ns)
{
    const uint64_t all = now_ns - slot->intended_ns;
    const unsigned at = service < LOAD_SERVICES ? service : LOAD_SERVICES - 1;
    r->answers++;
    r->service[at]++;
    r->on_time[at] += all <= deadline_ns;
    r->marked_late += late;
    r->bytes_in += bytes;
    load_histogram_add(&r->stage[LOAD_STAGE_END_TO_END], all);
    load_histogram_add(&r->stage[LOAD_STAGE_GENERATOR], slot->sent_ns - slot->intended_ns);
    load_histogram_add(&r->stage[LOAD_STAGE_ROUND_TRIP], now_ns - slot->sent_ns);
}

static void take_error(load_tally *self, load_cluster *cluster, uint64_t sequence,
                       const Beamd__Error *e)
{
    load_result *r = self->result;
    const bool targets = e->request_type == BEAM_WIRE_TARGET_UPDATE;
    const load_slot *slot =
        close_slot(self, targets ? &cluster->target_ring : &cluster->csi_ring, sequence);
    if (e->code != BEAMD__ERROR_CODE__ERROR_SUPERSEDED && !r->first_error[0]) {
        snprintf(r->first_error, sizeof r->first_error, "%.90s%s%.150s", e->field,
                 e->field[0] ? ": " : "", e->text);
    }
    r->target_errors += targets;
    if (slot && slot->measured && !targets) {
        r->errors[(unsigned)e->code < LOAD_CODES ? e->code : 0]++;
    }
}

void load_tally_beams(load_result *r, uint64_t deadline_ns, const load_slot *slot,
                      const beam_wire_header *header, const ProtobufCMessage *message, size_t bytes,
                      uint64_t now_ns)
{
    const Beamd__Solution *one = (const Beamd__Solution *)message;
    const Beamd__SolutionSet *set = (const Beamd__SolutionSet *)message;
    const bool many = header->type == BEAM_WIRE_SOLUTION_SET;
    const bool late = many ? set->late : one->late;
    const Beamd__Latency *latency = many ? set->latency : one->latency;
    count_answer(r, deadline_ns, slot, (unsigned)(many ? set->service : one->service), late, bytes,
                 now_ns);
    if (latency) {
        time_stages(r, deadline_ns, slot, latency, late, now_ns);
    }
    for (size_t k = 0; many && k < set->n_solutions; k++) {
        count_method(r, set->solutions[k]);
    }
    if (!many) {
        count_method(r, one);
    }
}

static void take_beams(load_tally *self, load_cluster *cluster, const beam_wire_header *header,
                       const ProtobufCMessage *message, const unsigned char *frame, size_t bytes,
                       uint64_t now_ns)
{
    const load_slot *slot = close_slot(self, &cluster->csi_ring, header->sequence);
    if (!slot || !slot->measured) {
        return;
    }
    load_tally_beams(self->result, self->spec->deadline_ns, slot, header, message, bytes, now_ns);
    if (self->spec->samples) {
        load_samples_offer(self->spec->samples, cluster, frame, bytes);
    }
}

static void take_echo(load_tally *self, load_cluster *cluster, const beam_wire_header *header,
                      size_t bytes, uint64_t now_ns)
{
    const bool targets = header->type == BEAM_WIRE_ACK;
    const load_slot *slot =
        close_slot(self, targets ? &cluster->target_ring : &cluster->csi_ring, header->sequence);
    if (slot && slot->measured && !targets) {
        count_answer(self->result, self->spec->deadline_ns, slot, 0, false, bytes, now_ns);
    }
}

void load_tally_answer(load_tally *self, const unsigned char *frame, size_t bytes, uint64_t now_ns)
{
    beam_wire_header header;
    beam_wire_error wire;
    ProtobufCMessage *message = NULL;
    beam_wire_arena_reset(&self->arena);
    const int status = self->spec->echo
                           ? beam_wire_header_decode(&header, frame, bytes, &wire)
                           : beam_wire_unpack(&header, &message, &self->arena, frame, bytes, &wire);
    if (status < 0) {
        self->result->unreadable++;
        if (!self->result->first_error[0]) {
            snprintf(self->result->first_error, sizeof self->result->first_error, "%.90s: %.150s",
                     wire.field, wire.text);
        }
        return;
    }
    load_cluster *cluster = load_fleet_find(self->fleet, header.cluster);
    if (!cluster) {
        self->result->unexpected++;
    } else if (self->spec->echo) {
        take_echo(self, cluster, &header, bytes, now_ns);
    } else if (header.type == BEAM_WIRE_ERROR) {
        take_error(self, cluster, header.sequence, (const Beamd__Error *)message);
    } else if (header.type == BEAM_WIRE_ACK) {
        close_slot(self, &cluster->target_ring, header.sequence);
    } else if (header.type == BEAM_WIRE_SOLUTION || header.type == BEAM_WIRE_SOLUTION_SET) {
        take_beams(self, cluster, &header, message, frame, bytes, now_ns);
    } else {
        self->result->unexpected++;
    }
}
