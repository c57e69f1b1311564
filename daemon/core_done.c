/* What threads bring back: answers into their clusters, measured times, and the health of the
 * backends. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

enum { SLOW_FACTOR = 8 };

void beamd_core_note_health(beamd_core *self, Beamd__Backend backend, beamd_health before)
{
    const beamd_health now = self->backend[backend].health;
    if (now != before) {
        self->metrics.backend_transitions[backend][now]++;
        self->metrics.backend_retries[backend] += now == BEAMD_HEALTH_PROBING;
    }
}

static void count_answer(beamd_core *self, const beamd_cluster *c, const beamd_answer *a)
{
    self->metrics.fallbacks[a->fallback]++;
    if (a->below_classical) {
        self->metrics.below_classical++;
        BEAMD_LOG(BEAMD_LOG_ERR, "event=below_classical cluster=%s subband=%d sequence=%llu", c->id,
                  a->subband, (unsigned long long)a->csi_sequence);
    }
    if (a->code != BEAM_OK) {
        self->metrics.failed_jobs++;
        BEAMD_LOG(BEAMD_LOG_WARNING,
                  "event=solve_failed cluster=%s subband=%d sequence=%llu field=\"%s\" why=\"%s\"",
                  c->id, a->subband, (unsigned long long)a->csi_sequence, a->error.field,
                  a->error.text);
    }
}

/* A problem without an answer is no reason to hold beams that it may have spoilt. */
static void note_failure(beamd_cluster *c, const beamd_answer *a)
{
    const int preferences = c->named_count > 0 ? c->named_count : 1;
    for (int p = 0; p < preferences; p++) {
        const char *name = c->named_count > 0 ? c->named[p].name : "";
        if (strcmp(name, a->preference_name) == 0) {
            beamd_bands_add(&c->failed, a->subband);
            c->failure = a->error;
            c->last[beamd_problem_index(a->subband, p)]->present = false;
        }
    }
}

static void note_failures(beamd_cluster *c, const beamd_task *task)
{
    for (int i = 0; i < task->subbands; i++) {
        for (int p = 0; p < task->preferences; p++) {
            const beamd_answer *a = task->answer[beamd_problem_index(i, p)];
            if (a->code != BEAM_OK) {
                note_failure(c, a);
            }
        }
    }
}

/* Of all batches of the request: the first start, the last ends. */
static void stamp(beamd_cluster *c, const beamd_batch *batch)
{
    c->start_ns = c->start_ns == 0 || batch->start_ns < c->start_ns ? batch->start_ns : c->start_ns;
    c->end_ns = batch->end_ns > c->end_ns ? batch->end_ns : c->end_ns;
    c->checked_ns = batch->checked_ns > c->checked_ns ? batch->checked_ns : c->checked_ns;
}

static bool has_newer(const beamd_cluster *c, const beamd_answer *a)
{
    for (int q = 0; q < c->preferences_room; q++) {
        const beamd_answer *last = c->last[beamd_problem_index(a->subband, q)];
        if (last->present && last->csi_sequence > a->csi_sequence &&
            strcmp(last->preference_name, a->preference_name) == 0) {
            return true;
        }
    }
    return false;
}

/* A task of an earlier request must not put its answers in place of newer ones. */
static void drop_overtaken(const beamd_cluster *c, const beamd_task *task)
{
    for (int i = 0; i < task->subbands; i++) {
        const bool done = c->active.present && beamd_bands_has(&c->done, task->subband[i]);
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer *a = task->answer[beamd_problem_index(i, p)];
            a->present = a->present && !done && !has_newer(c, a);
        }
    }
}

/* Answers of one task: into `last`, or `check` for the spare one. */
static void take_task(beamd_core *self, beamd_cluster *c, beamd_task *task,
                      const beamd_batch *batch)
{
    const bool in_time = c->active.present && task->ticket == c->ticket;
    if (in_time) {
        stamp(c, batch);
    }
    for (int i = 0; i < task->subbands; i++) {
        for (int p = 0; p < task->preferences; p++) {
            count_answer(self, c, task->answer[beamd_problem_index(i, p)]);
        }
    }
    if (task == c->spare) {
        for (int i = 0; in_time && i < task->subbands; i++) {
            beamd_bands_add(&c->checked, task->subband[i]);
            for (int p = 0; p < c->preferences_room; p++) { /* of an earlier request */
                c->check[beamd_problem_index(task->subband[i], p)]->present = false;
            }
        }
        if (in_time) {
            beamd_cluster_take(c, task, c->check);
        }
        return;
    }
    beamd_cluster_take_ideal(c, task, self->now_ns);
    if (in_time) {
        note_failures(c, task);
    } else {
        drop_overtaken(c, task);
    }
    beamd_cluster_take(c, task, c->last);
    c->changed++;
    for (int i = 0; in_time && i < task->subbands; i++) {
        beamd_bands_add(&c->done, task->subband[i]);
    }
}

bool beamd_core_all_done(const beamd_cluster *c)
{
    return memcmp(&c->done, &c->active.bands, sizeof c->done) == 0;
}

static void end_task(beamd_core *self, beamd_task *task, const beamd_batch *batch)
{
    beamd_cluster *c = task->cluster;
    if (!c) { /* another took its place */
        beamd_task_destroy(&task);
        return;
    }
    c->under_way--;
    if (c->gone) {
        task->ticket = 0;
        beamd_core_forget(self, c);
        return;
    }
    take_task(self, c, task, batch);
    task->ticket = 0;
    c->changed += task != c->spare;
    if (c->active.present && beamd_core_all_done(c)) {
        beamd_core_finish(self, c);
    }
}

static void learn(beamd_core *self, const beamd_batch *batch)
{
    if (batch->problems == 0 || batch->end_ns < batch->start_ns) {
        return;
    }
    const double each_ns = (double)(batch->checked_ns - batch->start_ns) / (double)batch->problems;
    beamd_backend_health *backend = &self->backend[batch->backend];
    backend->service_ns += backend->service_ns > 0 ? (each_ns - backend->service_ns) / 16 : each_ns;
    for (unsigned k = 0; k < batch->tasks; k++) {
        const beamd_task *task = batch->task[k];
        bool usual = task->cluster != NULL && !task->need_sensing_end;
        for (int i = 0; i < task->subbands; i++) {
            usual = usual && !task->need_rate_end[i];
        }
        if (usual) {
            const bool whole = batch->effort == BEAMD_EFFORT_GPU;
            beamd_core_measured(task->cluster, (beamd_effort)batch->effort,
                                whole ? each_ns * (double)batch->problems : each_ns);
        }
    }
}

void beamd_core_end_health(beamd_core *self, beamd_batch *batch, bool lost)
{
    const beamd_config *config = self->config;
    const beamd_health_rule rule = {.failures = (unsigned)config->backend_failures,
                                    .wait_ns = (uint64_t)config->backend_retry_ms * 1000000u,
                                    .wait_max_ns =
                                        (uint64_t)config->backend_retry_max_ms * 1000000u};
    beamd_backend_health *backend = &self->backend[batch->backend];
    /* slow: many times its own measure, and back after the deadline. The check has no substitute.
     * The times of a lost batch are still its thread's. */
    const double busy_ns = lost ? 0 : (double)beamd_core_less(batch->checked_ns, batch->start_ns);
    const bool slow = !lost && batch->backend != BEAMD__BACKEND__BACKEND_CHECK &&
                      batch->expected_ns > 0 && busy_ns > SLOW_FACTOR * batch->expected_ns &&
                      self->now_ns > batch->deadline_ns;
    const beamd_health before = backend->health;
    self->metrics.batch_failures[batch->backend] += lost || (slow && !batch->failed);
    const bool changed =
        beamd_health_end(backend, self->now_ns, batch->probe, lost || slow || batch->failed, &rule);
    beamd_core_note_health(self, batch->backend, before);
    if (changed) {
        BEAMD_LOG(backend->health == BEAMD_HEALTH_GOOD ? BEAMD_LOG_NOTICE : BEAMD_LOG_WARNING,
                  "event=backend backend=%d health=%s failures=%llu why=%s", (int)batch->backend,
                  beamd_health_text(backend->health), (unsigned long long)backend->failures,
                  lost            ? "hung"
                  : batch->failed ? "failed"
                  : slow          ? "slow"
                                  : "recovered");
    }
}

void beamd_core_batch_back(beamd_core *self, const beamd_batch *batch)
{
    for (unsigned k = 0; k < self->away_count; k++) {
        if (self->away[k] == batch) {
            self->away[k] = self->away[--self->away_count];
            return;
        }
    }
    assert(!"a batch came back that was not away");
}

void beamd_core_batch_done(beamd_core *self, beamd_batch *batch)
{
    const bool lost = beamd_core_is_lost(batch);
    beamd_model_release(&batch->model);
    beamd_core_batch_back(self, batch);
    self->jobs[batch->crew]--;
    if (!lost) {
        beamd_metrics_count_batch(&self->metrics, batch->backend, batch->problems,
                                  batch->checked_ns - batch->start_ns, batch->failed);
        learn(self, batch);
        beamd_core_end_health(self, batch, false);
    }
    for (unsigned k = 0; k < batch->tasks; k++) {
        end_task(self, batch->task[k], batch);
    }
    batch->tasks = 0;
    self->lost_count -= lost;
    if (batch->gpu) { /* also a lost one: there is one for every slot */
        beamd_core_gpu_idle(self, batch);
    } else if (lost) { /* a new one took its place */
        beamd_batch_free_rooms(batch);
        free(batch);
    } else if (batch == self->rescue_batch) {
        self->rescue_away = false;
    } else {
        self->idle[self->idle_count++] = batch;
        if (batch->room_model != self->model_takes) {
            beamd_core_lay_rooms(self, batch);
        }
    }
}
