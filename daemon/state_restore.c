/* From a record to a cluster: through the functions that take messages, so that what comes from the
 * disk is believed no more than what comes over the wire. */
#include <math.h>
#include <string.h>

#include "state_internal.h"

static int fail(beam_wire_error *err, const char *field, const char *text)
{
    return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, "%s", text);
}

/* The message of a frame of this type for this cluster; NULL: *err. */
static const ProtobufCMessage *open_frame(const unsigned char *frame, size_t bytes, unsigned type,
                                          const char *id, beam_wire_arena *arena,
                                          beam_wire_header *header, beam_wire_error *err)
{
    ProtobufCMessage *message = NULL;
    beam_wire_arena_reset(arena);
    if (beam_wire_unpack(header, &message, arena, frame, bytes, err) < 0) {
        return NULL;
    }
    if (header->type != type || strcmp(header->cluster, id) != 0) {
        fail(err, "type", "the frame is of another type or cluster");
        return NULL;
    }
    return message;
}

static int set_targets(beamd_cluster *c, const beamd_record_view *view, beam_wire_arena *arena,
                       beam_wire_error *err)
{
    beam_wire_header header;
    const Beamd__TargetUpdate *message = (const Beamd__TargetUpdate *)open_frame(
        view->targets, view->targets_bytes, BEAM_WIRE_TARGET_UPDATE, c->id, arena, &header, err);
    if (!message || beamd_cluster_set_targets(c, message, err) < 0) {
        return -1;
    }
    c->target_sequence = header.sequence;
    c->target_time_ns = message->measured_time_ns;
    beamd_state_note_targets(c, view->targets, view->targets_bytes);
    return 0;
}

static bool still_named(const beamd_record_view *view, const char *name)
{
    for (unsigned k = 0; k < view->named_count; k++) {
        if (strcmp(view->named[k].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* As they were, over those of the registration. */
static int set_preferences(beamd_cluster *c, const beamd_record_view *view,
                           const beamd_cluster_limits *limits, beam_wire_error *err)
{
    c->has_preference = view->cluster.has_preference;
    c->tradeoff = view->cluster.tradeoff;
    for (int p = c->named_count - 1; p >= 0; p--) {
        char name[sizeof c->named[p].name];
        memcpy(name, c->named[p].name, sizeof name);
        if (!still_named(view, name) && beamd_cluster_remove_preference(c, name, err) < 0) {
            return -1;
        }
    }
    for (unsigned k = 0; k < view->named_count; k++) {
        if (beamd_cluster_name_preference(c, view->named[k].name, view->named[k].tradeoff, limits,
                                          err) < 0) {
            return -1;
        }
    }
    return 0;
}

static bool small_count(double value)
{
    return value >= 0 && value <= BEAM_MAX_ANTENNAS && value == floor(value);
}

/* The best rates are of users that are not known any more: a start for the first answer, computed
 * again with it. The least CRLB is that of the targets as restored. */
static void set_ideals(beamd_cluster *c, const beamd_record_view *view)
{
    beamd_record_ideal ideal;
    for (size_t at = view->ideals_at; beamd_record_next_ideal(view, &at, &ideal);) {
        if (ideal.band < (uint32_t)c->subbands) {
            c->band[ideal.band].has_ideal = true;
            c->band[ideal.band].wsr_ideal_bps_hz = ideal.wsr_bps_hz;
        }
    }
    if (!c->has_targets || !view->cluster.has_crlb_min) {
        return;
    }
    c->crlb_min_m2 = view->cluster.crlb_min_m2;
    const size_t count = beam_solver_sensing_bytes(&c->max) / sizeof(double);
    /* the first two say how many rows there are and how wide they are: the engine trusts them */
    if (view->rows && view->rows_count == count && count > 2 &&
        beamd_record_rows_take(view, c->sensing_rows) && small_count(c->sensing_rows[0]) &&
        small_count(c->sensing_rows[1])) {
        c->has_sensing_rows = true;
        c->sensing_generation = c->target_generation;
    }
}

static int preference_of(const beamd_cluster *c, const char *name)
{
    if (c->named_count == 0) {
        return name[0] ? -1 : 0;
    }
    for (int p = 0; p < c->named_count; p++) {
        if (strcmp(c->named[p].name, name) == 0) {
            return p;
        }
    }
    return -1;
}

static bool within_power(const beamd_cluster *c, const beam_design *design, const int *user_station)
{
    for (int l = 0; l < c->max.stations; l++) {
        const double budget_w = c->live.scene.station_power_w[l];
        if (!(beam_design_power_w(design, user_station, l) <= budget_w * (1 + 1e-9))) {
            return false;
        }
    }
    return true;
}

/* Into the answer that the next solve of the problem starts from. */
static bool set_design(beamd_cluster *c, const beamd_record_design *d)
{
    const int p = preference_of(c, d->name);
    if (p < 0 || d->band >= (uint32_t)c->subbands || d->users < 1 ||
        d->users > (uint32_t)c->max.users || d->stations != (uint32_t)c->max.stations ||
        d->antennas != (uint32_t)c->max.antennas) {
        return false;
    }
    beamd_answer *a = c->last[beamd_problem_index((int)d->band, p)];
    beam_dims dims = c->max;
    dims.users = (int)d->users;
    if (!a || a->present ||
        beam_design_init(&a->out.design, &dims, c->sensing_max, a->out.memory, a->out.size, NULL) !=
            BEAM_OK ||
        !beamd_record_design_take(d, a->user_id, a->user_station, &a->out.design) ||
        !within_power(c, &a->out.design, a->user_station)) {
        return false;
    }
    a->present = true;
    a->code = BEAM_OK;
    a->subband = (int)d->band;
    memcpy(a->preference_name, d->name, sizeof a->preference_name);
    a->tradeoff = d->tradeoff;
    a->csi_sequence = d->csi_sequence;
    a->target_sequence = d->target_sequence;
    a->stations = dims.stations;
    a->antennas = dims.antennas;
    a->users = dims.users;
    a->targets = dims.targets;
    a->band_generation = 0; /* beamd_answer_of_this_life */
    return true;
}

beamd_cluster *beamd_state_restore(const beamd_record_view *view,
                                   const beamd_cluster_limits *limits, beam_wire_arena *arena,
                                   beamd_state_counters *counters, const char **why, bool *limit,
                                   beam_wire_error *err)
{
    beam_wire_header header;
    const char *id = view->cluster.id;
    *limit = false;
    *why = "registration";
    const Beamd__RegisterCluster *message = (const Beamd__RegisterCluster *)open_frame(
        view->registration, view->registration_bytes, BEAM_WIRE_REGISTER_CLUSTER, id, arena,
        &header, err);
    beamd_cluster *c = message ? beamd_cluster_create(id, message, limits, err) : NULL;
    if (!c) {
        *limit = message && err->code == BEAMD__ERROR_CODE__ERROR_LIMIT;
        return NULL;
    }
    beamd_state_note_registration(c, view->registration, view->registration_bytes);
    bool good = true;
    if (view->targets && set_targets(c, view, arena, err) < 0) {
        *why = "targets";
        good = false;
    } else if (set_preferences(c, view, limits, err) < 0) {
        *why = "preferences";
        *limit = err->code == BEAMD__ERROR_CODE__ERROR_LIMIT;
        good = false;
    }
    if (!good) {
        beamd_cluster_destroy(&c);
        return NULL;
    }
    c->csi_lost = view->cluster.has_csi_sequence;
    c->csi_sequence = view->cluster.csi_sequence;
    set_ideals(c, view);
    beamd_record_design design;
    for (size_t at = view->designs_at; beamd_record_next_design(view, &at, &design);) {
        if (set_design(c, &design)) {
            counters->designs++;
        } else {
            counters->designs_refused++;
        }
    }
    return c;
}
