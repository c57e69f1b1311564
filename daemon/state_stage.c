/* From a cluster to a record: on the loop, a bounded piece a turn. */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "state_internal.h"

/* Numbers registrations, so that one cluster is never taken for another of its name or place. */
static uint64_t next_incarnation(void)
{
    static uint64_t last;
    return ++last;
}

static void keep(beamd_kept *kept, const void *frame, size_t bytes)
{
    kept->bytes = 0;
    if (bytes > BEAMD_RECORD_FRAME_BYTES) {
        return; /* fields that this version does not know */
    }
    if (bytes > kept->capacity) {
        free(kept->frame);
        kept->frame = malloc(bytes);
        kept->capacity = kept->frame ? bytes : 0;
    }
    if (kept->frame) {
        memcpy(kept->frame, frame, bytes);
        kept->bytes = bytes;
    }
}

void beamd_state_note_registration(beamd_cluster *cluster, const void *frame, size_t bytes)
{
    /* every number of a Target at its longest, and double precision */
    const size_t links = (size_t)cluster->max.stations * (size_t)cluster->max.stations;
    const size_t targets =
        BEAM_WIRE_HEADER_BYTES + 128 + (size_t)cluster->max.targets * (32u + 16u * links);
    cluster->incarnation = next_incarnation();
    keep(&cluster->registered, frame, bytes);
    cluster->aimed.bytes = 0;
    if (!cluster->aimed.frame) {
        cluster->aimed.frame = malloc(targets);
        cluster->aimed.capacity = cluster->aimed.frame ? targets : 0;
    }
    cluster->changed++;
}

void beamd_state_note_targets(beamd_cluster *cluster, const void *frame, size_t bytes)
{
    keep(&cluster->aimed, frame, bytes);
    cluster->changed++;
}

static void put_facts(beamd_record_writer *writer, const beamd_cluster *c)
{
    beamd_record_cluster facts = {.has_csi_sequence = c->csi_received > 0 || c->csi_lost,
                                  .csi_sequence = c->csi_sequence,
                                  .has_preference = c->has_preference,
                                  .tradeoff = c->has_preference ? c->tradeoff : 0,
                                  .has_crlb_min = c->has_targets &&
                                                  c->sensing_generation == c->target_generation &&
                                                  c->target_generation > 0,
                                  .crlb_min_m2 = c->crlb_min_m2};
    memcpy(facts.id, c->id, sizeof facts.id);
    beamd_record_put_cluster(writer, &facts);
    beamd_record_put_registration(writer, c->registered.frame, c->registered.bytes);
    if (c->has_targets) {
        beamd_record_put_targets(writer, c->aimed.frame, c->aimed.bytes);
    }
    if (facts.has_crlb_min && c->has_sensing_rows) {
        beamd_record_put_rows(writer, c->sensing_rows,
                              beam_solver_sensing_bytes(&c->max) / sizeof(double));
    }
    for (int p = 0; p < c->named_count; p++) {
        beamd_record_named named = {.tradeoff = c->named[p].tradeoff};
        memcpy(named.name, c->named[p].name, sizeof named.name);
        beamd_record_put_named(writer, &named);
    }
    for (int b = 0; b < c->subbands; b++) {
        if (c->band[b].has_ideal) {
            const beamd_record_ideal ideal = {.band = (uint32_t)b,
                                              .wsr_bps_hz = c->band[b].wsr_ideal_bps_hz};
            beamd_record_put_ideal(writer, &ideal);
        }
    }
}

static size_t room_for(const beamd_state *self, const beamd_cluster *c)
{
    const size_t rows = beam_solver_sensing_bytes(&c->max) / sizeof(double);
    const size_t most =
        beamd_record_bytes_max(&c->max, c->sensing_max, c->registered.bytes, c->aimed.bytes, rows,
                               c->subbands, c->named_count > 0 ? c->named_count : 1);
    return most < self->bytes_max ? most : self->bytes_max;
}

static bool cannot_save(beamd_state *self, const beamd_cluster *c, state_entry *entry,
                        const char *why)
{
    if (!entry->too_large) {
        entry->too_large = true;
        self->counters.unsaved++;
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=state_unsaved cluster=%s why=\"%s\"", c->id, why);
    }
    return false;
}

bool beamd_state_stage_begin(beamd_state *self, beamd_cluster *c, state_entry *entry,
                             uint64_t now_ns, uint64_t every_ns)
{
    entry->due_ns = now_ns + every_ns;
    if (c->registered.bytes == 0 || (c->has_targets && c->aimed.bytes == 0)) {
        return cannot_save(self, c, entry,
                           "its messages are longer than this version understands, or memory is "
                           "short");
    }
    const size_t room = room_for(self, c);
    if (!beamd_state_buffer_grow(&self->buffer, room)) {
        return cannot_save(self, c, entry, "out of memory");
    }
    entry->too_large = false;
    state_stage *stage = &self->stage;
    *stage = (state_stage){
        .active = true, .incarnation = c->incarnation, .changed = c->changed, .bytes_max = room};
    memcpy(stage->id, c->id, sizeof stage->id);
    const beamd_record_header header = {
        .kind = BEAMD_RECORD_CLUSTER, .serial = ++self->serial, .unix_ns = beamd_state_unix_ns()};
    beamd_record_begin(&stage->writer, self->buffer.bytes, room, &header);
    put_facts(&stage->writer, c);
    if (stage->writer.full) {
        stage->active = false;
        return cannot_save(self, c, entry, "larger than the limit of a record");
    }
    return true;
}

/* False: it does not fit. */
static bool put_answer(beamd_record_writer *writer, const beamd_answer *a)
{
    beamd_record_design facts = {.band = (uint32_t)a->subband,
                                 .tradeoff = a->tradeoff,
                                 .csi_sequence = a->csi_sequence,
                                 .target_sequence = a->target_sequence};
    memcpy(facts.name, a->preference_name, sizeof facts.name);
    beamd_record_writer before = *writer;
    beamd_record_put_design(writer, &facts, a->user_id, a->user_station, &a->out.design);
    if (writer->full) {
        *writer = before;
        return false;
    }
    return true;
}

void beamd_state_stage_more(beamd_state *self)
{
    state_stage *stage = &self->stage;
    const beamd_cluster *c = self->world.find(self->world.arg, stage->id);
    if (!c || c->incarnation != stage->incarnation) {
        stage->active = false; /* what it was is of no use any more */
        return;
    }
    const int problems = c->subbands * BEAM_WIRE_MAX_PREFERENCES;
    const int wanted = c->named_count > 0 ? c->named_count : 1;
    const size_t begin = stage->writer.used;
    while (stage->next < problems && stage->writer.used - begin < BEAMD_STATE_TURN_BYTES) {
        const int k = stage->next++;
        const beamd_answer *a = c->last[k];
        if (k % BEAM_WIRE_MAX_PREFERENCES < wanted && a && a->present && a->users > 0) {
            self->counters.designs_left += !put_answer(&stage->writer, a);
        }
    }
    if (stage->next >= problems) {
        stage->bytes = beamd_record_end(&stage->writer);
        stage->ready = true;
    }
}
