/* Which cluster is solved next, and what happens when a job comes back. */
#include <math.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

static void make_ready(beamd_core *self, beamd_cluster *cluster)
{
    if (cluster->ready_at < 0 && !cluster->solving && cluster->pending.present) {
        cluster->ready_at = (int)self->ready_count;
        self->ready[self->ready_count++] = cluster;
    }
}

void beamd_core_unqueue(beamd_core *self, beamd_cluster *cluster)
{
    if (cluster->ready_at >= 0) {
        beamd_cluster *last = self->ready[--self->ready_count];
        self->ready[cluster->ready_at] = last;
        last->ready_at = cluster->ready_at;
        cluster->ready_at = -1;
    }
}

void beamd_core_enqueue(beamd_core *self, beamd_cluster *cluster, const beamd_request *request)
{
    if (cluster->pending.present && cluster->pending.identity_bytes > 0) {
        beam_wire_error err;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_SUPERSEDED, NULL,
                       "sequence %llu replaced this update before it was solved",
                       (unsigned long long)request->sequence);
        beamd_core_refuse_request(self, cluster, &cluster->pending, &err);
        cluster->superseded++;
        self->metrics.superseded++;
    }
    cluster->pending = *request;
    cluster->resolve_due_ns = 0; /* the job will use the latest of everything */
    make_ready(self, cluster);
}

/* Nobody asked: the answer is published under the sequence of the CSI that it uses. */
static void enqueue_unsolicited(beamd_core *self, beamd_cluster *cluster, uint64_t now_ns)
{
    cluster->resolve_due_ns = 0;
    if (cluster->pending.present || !cluster->has_csi || !cluster->has_targets || self->draining) {
        return;
    }
    const beamd_request request = {.present = true,
                                   .sequence = cluster->csi_sequence,
                                   .received_ns = now_ns,
                                   .queued_ns = now_ns,
                                   .deadline_ns =
                                       now_ns + (uint64_t)self->config->deadline_us * 1000u};
    beamd_core_enqueue(self, cluster, &request);
}

void beamd_core_make_due(beamd_core *self, beamd_cluster *cluster, uint64_t now_ns)
{
    if (cluster->pending.present || !cluster->has_csi || !cluster->has_targets) {
        return;
    }
    if (cluster->solutions == 0 && !cluster->solving) {
        enqueue_unsolicited(self, cluster, now_ns); /* the first answer was waiting for this */
    } else if (self->config->resolve_after_ms > 0 && cluster->resolve_due_ns == 0) {
        cluster->resolve_due_ns = now_ns + (uint64_t)self->config->resolve_after_ms * 1000000u;
    }
}

/* After a reload the layers may need more memory than the cluster has for them: the one allocation
 * outside registration, once per cluster and reload. */
static void take_model(beamd_core *self, beamd_cluster *c)
{
    const size_t before = c->bytes;
    const beamd_cluster_limits limits = beamd_core_limits(self, 0);
    beam_wire_error err;
    c->job.model = beamd_model_hold(self->model);
    c->job.use_network = strcmp(self->config->solve_method, "network") == 0;
    c->job.refine = (int)self->config->refine_iterations;
    const bool room =
        !c->job.use_network || beamd_cluster_make_room(c, self->model, &limits, &err) == 0;
    if (!room && !c->without_room) {
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=network_without_room cluster=%s why=\"%s\"", c->id,
                  err.text);
    }
    c->without_room = !room;
    self->bytes = self->bytes - before + c->bytes;
}

static void start_job(beamd_core *self, beamd_cluster *c)
{
    beamd_solve_job *job = &c->job;
    const beamd_config *config = self->config;
    beamd_core_unqueue(self, c);
    beamd_cluster_snapshot(c);
    job->request = c->pending;
    c->pending.present = false;
    c->resolve_due_ns = 0;
    job->abandon = &self->abandon;
    job->tradeoff = beamd_core_tradeoff(self, c);
    job->iterations = (int)config->solver_iterations;
    job->tolerance = config->solver_tolerance;
    take_model(self, c);
    const uint64_t margin_ns = (uint64_t)config->deadline_margin_us * 1000u;
    const uint64_t deadline_ns = job->request.deadline_ns;
    job->stop_at_ns = deadline_ns > margin_ns ? deadline_ns - margin_ns : 0;
    c->sensing_stale = false; /* set again when targets come or the job fails */
    c->solving = true;
    self->jobs_solving++;
    if (!self->io.solve(self->io.arg, &job->job)) {
        /* can_solve said yes: counted, and the request is refused rather than lost */
        self->jobs_solving--;
        beamd_model_release(&job->model);
        c->solving = false;
        c->sensing_stale = true;
        self->metrics.failed_jobs++;
        beam_wire_error err;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_BUSY, NULL, "no solver thread took the job");
        beamd_core_refuse_request(self, c, &job->request, &err);
    }
}

void beamd_core_dispatch(beamd_core *self, uint64_t now_ns)
{
    (void)now_ns;
    while (self->ready_count > 0 && self->io.can_solve(self->io.arg)) {
        beamd_cluster *first = self->ready[0];
        for (unsigned i = 1; i < self->ready_count; i++) {
            if (self->ready[i]->pending.deadline_ns < first->pending.deadline_ns) {
                first = self->ready[i];
            }
        }
        start_job(self, first);
    }
}

static void forget(beamd_core *self, beamd_cluster *c)
{
    if (!c->solving && !c->refreshing) {
        self->bytes -= c->bytes;
        beamd_cluster_destroy(&c);
    }
}

void beamd_core_remove(beamd_core *self, beamd_cluster *c, const char *why)
{
    beamd_core_unqueue(self, c);
    if (c->pending.present) {
        beam_wire_error err;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_SUPERSEDED, NULL, "%s", why);
        beamd_core_refuse_request(self, c, &c->pending, &err);
        c->pending.present = false;
    }
    beamd_core_erase(self, c);
    c->gone = true;
    forget(self, c);
}

static void job_failed(beamd_core *self, beamd_cluster *c)
{
    beamd_solve_job *job = &c->job;
    beam_wire_error err;
    beamd_engine_error(&err, &job->error);
    c->sensing_stale = true;
    c->has_last = false; /* what led here may be in it: start cold next time */
    self->metrics.failed_jobs++;
    BEAMD_LOG(BEAMD_LOG_WARNING,
              "event=solve_failed cluster=%s sequence=%llu field=\"%s\" why=\"%s\"", c->id,
              (unsigned long long)job->csi_sequence, job->error.field, job->error.text);
    beamd_core_refuse_request(self, c, &job->request, &err);
}

/* The two normalising values as the job left them, raised when the answer beats the best rate
 * known. */
static void take_ideal(beamd_cluster *c, uint64_t now_ns)
{
    const beamd_solve_job *job = &c->job;
    if (job->need_sensing_end) {
        c->ideal.crlb_min_m2 = job->ideal.crlb_min_m2;
    }
    if (job->need_rate_end) {
        c->ideal.wsr_ideal_bps_hz = job->ideal.wsr_ideal_bps_hz;
        c->ideal_users_generation = job->users_generation;
        c->ideal_csi_generation = job->csi_generation; /* newer CSI may have come since */
        c->ideal_at_ns = now_ns;
        c->has_ideal = true;
        if (job->rate_end_cut) { /* due at once */
            c->ideal_at_ns = 0;
            c->ideal_csi_generation = 0;
        }
    }
    if (c->ideal_users_generation == job->users_generation &&
        job->quality.wsr_worst_case_bps_hz > c->ideal.wsr_ideal_bps_hz) {
        c->ideal.wsr_ideal_bps_hz = job->quality.wsr_worst_case_bps_hz;
    }
}

static void solve_done(beamd_core *self, uint64_t now_ns, beamd_cluster *c)
{
    beamd_solve_job *job = &c->job;
    self->jobs_solving--;
    beamd_model_release(&job->model);
    c->solving = false;
    if (c->gone) {
        beam_wire_error err;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_SUPERSEDED, NULL,
                       "the cluster was registered anew or removed meanwhile");
        beamd_core_refuse_request(self, c, &job->request, &err);
        forget(self, c);
        return;
    }
    if (job->below_classical) {
        self->metrics.below_classical++;
        BEAMD_LOG(BEAMD_LOG_ERR, "event=below_classical cluster=%s sequence=%llu", c->id,
                  (unsigned long long)job->csi_sequence);
    }
    if (job->code != BEAM_OK) {
        job_failed(self, c);
    } else {
        take_ideal(c, now_ns);
        self->metrics.fallbacks[job->fallback]++;
        beamd_core_answer(self, c);
        beamd_cluster_keep(c);
    }
    make_ready(self, c);
}

static void refresh_done(beamd_core *self, uint64_t now_ns, beamd_cluster *c)
{
    const beamd_refresh_job *job = &c->refresh;
    self->jobs_refreshing--;
    c->refreshing = false;
    if (c->gone) {
        forget(self, c);
        return;
    }
    self->metrics.refreshes++;
    c->ideal_at_ns = now_ns;
    if (job->code != BEAM_OK || !isfinite(job->ideal.wsr_ideal_bps_hz)) {
        self->metrics.refreshes_failed++;
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=refresh_failed cluster=%s why=\"%s\"", c->id,
                  job->error.text);
    } else if (job->users_generation == c->users_generation) {
        c->ideal.wsr_ideal_bps_hz = job->ideal.wsr_ideal_bps_hz;
        c->ideal_users_generation = job->users_generation;
        c->has_ideal = true;
    }
}

void beamd_core_done(beamd_core *self, uint64_t now_ns, beamd_job *job)
{
    if (job->run == beamd_solve_run) {
        solve_done(self, now_ns, ((beamd_solve_job *)job)->cluster);
    } else if (job->run == beamd_refresh_run) {
        refresh_done(self, now_ns, ((beamd_refresh_job *)job)->cluster);
    } else {
        beamd_core_model_done(self);
    }
    beamd_core_dispatch(self, now_ns);
}

/* The oldest best rate among those with newer CSI goes first. */
static void start_refresh(beamd_core *self, uint64_t now_ns)
{
    const uint64_t age_ns = (uint64_t)self->config->ideal_refresh_ms * 1000000u;
    while (!self->draining && self->io.can_refresh(self->io.arg)) {
        beamd_cluster *oldest = NULL;
        for (unsigned i = 0; i < self->count; i++) {
            beamd_cluster *c = self->clusters[i];
            if (!c->refreshing && c->has_ideal && c->ideal_csi_generation != c->csi_generation &&
                now_ns - c->ideal_at_ns >= age_ns &&
                (!oldest || c->ideal_at_ns < oldest->ideal_at_ns)) {
                oldest = c;
            }
        }
        if (!oldest) {
            return;
        }
        beamd_refresh_job *job = &oldest->refresh;
        beamd_cluster_snapshot_refresh(oldest);
        oldest->ideal_csi_generation = oldest->csi_generation;
        job->abandon = &self->abandon;
        job->iterations = (int)self->config->solver_iterations;
        job->tolerance = self->config->solver_tolerance;
        job->stop_at_ns = now_ns + (uint64_t)self->config->stall_ms * 500000u;
        oldest->refreshing = true;
        self->jobs_refreshing++;
        if (!self->io.refresh(self->io.arg, &job->job)) {
            oldest->refreshing = false;
            self->jobs_refreshing--;
            self->metrics.refreshes_failed++;
            return;
        }
    }
}

void beamd_core_tick(beamd_core *self, uint64_t now_ns)
{
    for (unsigned i = 0; i < self->count; i++) {
        beamd_cluster *c = self->clusters[i];
        if (c->resolve_due_ns != 0 && now_ns >= c->resolve_due_ns && !c->solving) {
            enqueue_unsolicited(self, c, now_ns);
        }
    }
    beamd_core_dispatch(self, now_ns);
    start_refresh(self, now_ns);
}
