/* Beside the answers, one at a time: best rates, least-CRLB rows of new targets, whole fronts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

enum { FRONT_POINTS = 33 };

static bool background_free(const beamd_core *self)
{
    return self->act.free_threads(self->act.arg, BEAMD_CREW_BACKGROUND) > 0;
}

/* The subband whose best rate is oldest, among those with newer CSI. -1: none is due. */
static int oldest_band(const beamd_cluster *c, uint64_t now_ns, uint64_t age_ns)
{
    int oldest = -1;
    for (int b = 0; b < c->subbands; b++) {
        const beamd_band *band = &c->band[b];
        if (band->has_ideal && band->ideal_generation != band->generation &&
            now_ns - band->ideal_at_ns >= age_ns &&
            (oldest < 0 || band->ideal_at_ns < c->band[oldest].ideal_at_ns)) {
            oldest = b;
        }
    }
    return oldest;
}

static bool start_refresh(beamd_core *self, beamd_cluster *c, int band, bool sensing_only)
{
    beamd_refresh_job *job = c->refresh;
    beamd_cluster_snapshot_refresh(c, band, sensing_only, self->now_ns);
    job->abandon = &self->abandon;
    job->iterations = (int)self->config->solver_iterations;
    job->tolerance = self->config->solver_tolerance;
    job->stop_at_ns = self->now_ns + (uint64_t)self->config->stall_ms * 500000u;
    if (!self->act.submit(self->act.arg, BEAMD_CREW_BACKGROUND, &job->job)) {
        self->metrics.refreshes_failed++;
        return false;
    }
    c->refreshing = true;
    self->jobs[BEAMD_CREW_BACKGROUND]++;
    return true;
}

static void start_front(beamd_core *self)
{
    if (!self->front_waits || !background_free(self)) {
        return;
    }
    self->front->stop_at_ns = self->now_ns + (uint64_t)self->config->stall_ms * 500000u;
    if (self->act.submit(self->act.arg, BEAMD_CREW_BACKGROUND, &self->front->job)) {
        self->front_waits = false;
        self->jobs[BEAMD_CREW_BACKGROUND]++;
    }
}

/* New targets first, then the oldest best rate. */
void beamd_core_background(beamd_core *self)
{
    const uint64_t age_ns = (uint64_t)self->config->ideal_refresh_ms * 1000000u;
    beamd_cluster *oldest = NULL;
    int band = -1;
    start_front(self);
    if (self->draining || !background_free(self)) {
        return;
    }
    for (unsigned i = 0; i < self->count; i++) {
        beamd_cluster *c = self->clusters[i];
        if (c->refreshing || !c->has_targets) {
            continue;
        }
        if (beamd_cluster_wants_sensing(c)) {
            (void)start_refresh(self, c, 0, true);
            return;
        }
        const int b = oldest_band(c, self->now_ns, age_ns);
        if (b >= 0 && (!oldest || c->band[b].ideal_at_ns < oldest->band[band].ideal_at_ns)) {
            oldest = c;
            band = b;
        }
    }
    if (oldest) {
        (void)start_refresh(self, oldest, band, false);
    }
}

void beamd_core_refresh_done(beamd_core *self, beamd_refresh_job *job)
{
    beamd_cluster *c = job->cluster;
    self->jobs[BEAMD_CREW_BACKGROUND]--;
    c->refreshing = false;
    if (c->gone) {
        beamd_core_forget(self, c);
        return;
    }
    self->metrics.refreshes++;
    if (job->code != BEAM_OK) {
        self->metrics.refreshes_failed++;
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=refresh_failed cluster=%s why=\"%s\"", c->id,
                  job->error.text);
    }
    beamd_cluster_take_refresh(c, self->now_ns);
    c->changed++;
}

/* --- A whole front on demand --------------------------------------------------------------------
 */

void beamd_core_front(beamd_core *self, const beamd_call *call, const Beamd__FrontRequest *message)
{
    beamd_cluster *c = beamd_core_find_or_refuse(self, call);
    beam_wire_error err;
    if (!c) {
        return;
    }
    const uint32_t points = message->points ? message->points : FRONT_POINTS;
    if (points < 2 || points > BEAM_WIRE_MAX_FRONT_POINTS) {
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_INVALID, "points",
                               "must be 2 to 65, or 0 for 33");
        return;
    }
    if (message->subband >= (uint32_t)c->subbands) {
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_INVALID, "subband",
                               "is not one of the cluster's");
        return;
    }
    if (self->front) {
        beamd_core_refuse_with(self, call, BEAMD__ERROR_CODE__ERROR_BUSY, NULL,
                               "another front is being computed");
        return;
    }
    const beamd_cluster_limits limits = beamd_core_limits(self, 0);
    self->front = beamd_front_create(c, (int)message->subband, (int)points, limits.bytes_left,
                                     self->now_ns, &err);
    if (!self->front) {
        beamd_core_refuse(self, call, &err);
        return;
    }
    self->front_for = beamd_core_request(self, call);
    memcpy(self->front_cluster, c->id, sizeof self->front_cluster);
    self->front->abandon = &self->abandon;
    self->front_waits = true; /* behind a best rate that is being computed */
    start_front(self);
}

void beamd_core_front_refuse(beamd_core *self, const beam_wire_error *err)
{
    if (self->front_waits) {
        self->front_waits = false;
        beamd_core_refuse_on(self, BEAMD_CHANNEL_CONTROL, self->front_cluster, &self->front_for,
                             err);
        beamd_front_destroy(&self->front);
    }
}

static void reply_front(beamd_core *self, const beamd_front_job *job)
{
    Beamd__FrontReply reply = BEAMD__FRONT_REPLY__INIT;
    Beamd__FrontPoint point[BEAM_WIRE_MAX_FRONT_POINTS], *at[BEAM_WIRE_MAX_FRONT_POINTS];
    for (int k = 0; k < job->points; k++) {
        const beam_result *r = &job->result[k];
        beamd__front_point__init(&point[k]);
        point[k].tradeoff = job->tradeoff[k];
        point[k].wsr_worst_case_bps_hz = r->wsr_worst_case_bps_hz;
        point[k].crlb_valid = r->crlb_valid;
        point[k].crlb_m2 = r->crlb_m2;
        point[k].f1 = r->f1;
        point[k].f2 = r->f2;
        at[k] = &point[k];
    }
    reply.sender_time_ns = self->front_for.sender_time_ns;
    reply.csi_sequence = job->csi_sequence;
    reply.target_sequence = job->target_sequence;
    reply.subband = (uint32_t)job->subband;
    reply.wsr_ideal_bps_hz = job->ideal.wsr_ideal_bps_hz;
    reply.crlb_min_m2 = job->ideal.crlb_min_m2;
    reply.n_points = (size_t)job->points;
    reply.points = at;
    reply.solve_ns = job->end_ns - job->start_ns;
    beamd_core_send(self, BEAMD_CHANNEL_CONTROL, self->front_for.identity,
                    self->front_for.identity_bytes, BEAM_WIRE_FRONT_REPLY, self->front_cluster,
                    self->front_for.sequence, &reply.base);
}

void beamd_core_front_done(beamd_core *self)
{
    self->jobs[BEAMD_CREW_BACKGROUND]--;
    self->metrics.fronts += self->front->code == BEAM_OK;
    self->metrics.fronts_failed += self->front->code != BEAM_OK;
    if (self->front->code == BEAM_OK) {
        reply_front(self, self->front);
    } else {
        beam_wire_error err;
        beamd_engine_error(&err, &self->front->error);
        beamd_core_refuse_on(self, BEAMD_CHANNEL_CONTROL, self->front_cluster, &self->front_for,
                             &err);
    }
    beamd_front_destroy(&self->front);
}
