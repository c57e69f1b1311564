/* Batches for GPUs: packed by a thread, answered by the worker (gpu_link.h), taken back by a
 * thread. Whatever happens to the worker, the request goes on: a batch that is lost is open again
 * at once, and the CPU has the time that was kept for it. */
#include <stdlib.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

/* Of the time that the CPU would need, for what its threads do meanwhile. */
static const double reserve = 1.5;
/* A batch is waited for at least this many times as long as batches are measured to take, and no
 * longer than that many times, or LEAST_WAIT_NS: then something is wrong, and the CPU has all the
 * time that is left instead of the last of it. */
static const double patience = 3, doubt = 10;
#define LEAST_WAIT_NS UINT64_C(2000000)

/* --- Whether --- */

/* The worker has no part in finding best rates: the CPU makes them first. */
static bool knows_rates(const beamd_cluster *c)
{
    for (int b = 0; b < c->subbands; b++) {
        const beamd_band *band = &c->band[b];
        if (beamd_bands_has(&c->open, b) &&
            (!band->has_ideal || band->ideal_users_generation != c->users_generation)) {
            return false;
        }
    }
    return true;
}

/* An mlp is of one size. */
static bool is_size_of(const beam_model_info *info, const beam_dims *dims)
{
    return info->kind != BEAM_MODEL_MLP ||
           (info->stations == dims->stations && info->antennas == dims->antennas &&
            info->users == dims->users && info->targets == dims->targets);
}

static bool made_for(const beamd_core *self, const beamd_cluster *c)
{
    const beam_scene *scene = &c->live.scene;
    bool floors = false;
    for (int u = 0; u < scene->dims.users; u++) {
        floors = floors || scene->user_min_rate_bps_hz[u] > 0;
    }
    return self->model && beamd_core_uses_network(self) &&
           scene->sensing == BEAM_SENSING_RESOLVED && !floors &&
           is_size_of(self->model->info, &scene->dims);
}

/* Of one problem by the network on the CPU; 0: not measured yet. */
static double on_cpu_ns(const beamd_cluster *c)
{
    const double alone_ns = beamd_core_expect_ns(c, BEAMD_EFFORT_NETWORK, 1);
    return alone_ns > 0 ? alone_ns : beamd_core_expect_ns(c, BEAMD_EFFORT_FULL, 1);
}

/* Only what the CPU has been seen to do in time if the worker fails. */
bool beamd_core_gpu_fits(const beamd_core *self, const beamd_cluster *c, uint64_t left_ns)
{
    return left_ns > 0 && on_cpu_ns(c) > 0 && c->gpu_lost_for != c->ticket &&
           !c->without_gpu_room && made_for(self, c) && knows_rates(c) &&
           beamd_core_expect_ns(c, BEAMD_EFFORT_GPU, 1) <= (double)left_ns &&
           beamd_health_usable(&self->backend[BEAMD__BACKEND__BACKEND_GPU], self->now_ns);
}

/* --- Batches --- */

/* One for every slot: a batch whose thread hangs keeps its slot as well, so that is enough. */
bool beamd_core_gpu_begin(beamd_core *self)
{
    const unsigned slots = self->act.gpu_slots;
    while (self->gpu_idle_count < slots && self->gpu_idle_count < BEAMD_GPU_BATCHES_MAX) {
        beamd_batch *batch = beamd_core_new_batch();
        if (!batch) {
            return false;
        }
        self->gpu_idle[self->gpu_idle_count++] = batch;
        batch->gpu = calloc(1, sizeof *batch->gpu);
        if (!batch->gpu) {
            return false;
        }
    }
    return true;
}

beamd_batch *beamd_core_gpu_take(beamd_core *self, const beam_dims *dims)
{
    if (self->gpu_idle_count == 0) {
        return NULL;
    }
    beamd_batch *batch = self->gpu_idle[self->gpu_idle_count - 1];
    if (!self->act.gpu_claim(self->act.arg, dims, &batch->gpu->claim)) {
        return NULL;
    }
    self->gpu_idle_count--;
    batch->gpu->phase = BEAMD_GPU_PACKING;
    batch->gpu->distrusted = false;
    return batch;
}

void beamd_core_gpu_idle(beamd_core *self, beamd_batch *batch)
{
    batch->gpu->phase = BEAMD_GPU_IDLE;
    batch->tasks = 0;
    self->gpu_idle[self->gpu_idle_count++] = batch;
}

static void release(beamd_core *self, const beamd_batch *batch)
{
    self->act.gpu_release(self->act.arg, &batch->gpu->claim, batch->gpu->distrusted);
}

void beamd_core_gpu_put(beamd_core *self, beamd_batch *batch)
{
    release(self, batch);
    beamd_core_gpu_idle(self, batch);
}

/* Back without answers, its slot given back already: the CPU's from here on. A batch that was to
 * find out about the backend has not. */
static void give_to_cpu(beamd_core *self, beamd_batch *batch, bool failed)
{
    if (failed || batch->probe > 0) {
        beamd_core_end_health(self, batch, true);
    }
    beamd_model_release(&batch->model);
    beamd_core_batch_back(self, batch);
    self->jobs[BEAMD_CREW_GPU]--;
    for (unsigned k = 0; k < batch->tasks; k++) {
        beamd_cluster *c = batch->task[k]->cluster;
        if (c && c->ticket == batch->task[k]->ticket) {
            c->gpu_lost_for = c->ticket;
        }
    }
    beamd_core_reopen(self, batch);
    beamd_core_gpu_idle(self, batch);
}

/* --- The way --- */

/* Its cluster may be gone, or a newer request active. */
static bool wanted(const beamd_task *task)
{
    const beamd_cluster *c = task->cluster;
    return c && !c->gone && c->active.present && c->ticket == task->ticket;
}

/* The last moment at which the CPU still makes every deadline of the batch: with the network where
 * that leaves the worker enough time (half of it as long as that is not known), else with the
 * check. */
static uint64_t lost_at_ns(const beamd_core *self, const beamd_batch *batch)
{
    uint64_t full_ns = UINT64_MAX, least_ns = UINT64_MAX;
    double expected_ns = 0, network_ns = 0, check_ns = 0;
    for (unsigned k = 0; k < batch->tasks; k++) {
        const beamd_task *task = batch->task[k];
        const beamd_cluster *c = task->cluster;
        if (!wanted(task)) {
            continue;
        }
        const double problems = task->subbands * task->preferences;
        const double gpu_ns = beamd_core_expect_ns(c, BEAMD_EFFORT_GPU, 1);
        expected_ns = gpu_ns > expected_ns ? gpu_ns : expected_ns;
        network_ns += problems * on_cpu_ns(c);
        check_ns += beamd_core_expect_ns(c, BEAMD_EFFORT_CHECK, problems);
        const uint64_t stop_ns = beamd_core_stop_at_ns(self, c);
        const double share = reserve / (double)self->config->workers;
        const uint64_t network_at = beamd_core_less(stop_ns, (uint64_t)(share * network_ns));
        const uint64_t check_at = beamd_core_less(stop_ns, (uint64_t)(share * check_ns));
        full_ns = network_at < full_ns ? network_at : full_ns;
        least_ns = check_at < least_ns ? check_at : least_ns;
    }
    const uint64_t patient_ns =
        self->now_ns + (expected_ns > 0 ? (uint64_t)(patience * expected_ns)
                                        : beamd_core_less(least_ns, self->now_ns) / 2);
    uint64_t at_ns = full_ns > patient_ns ? full_ns : patient_ns;
    at_ns = at_ns < least_ns ? at_ns : least_ns;
    if (expected_ns > 0) {
        const uint64_t doubtful_ns = (uint64_t)(doubt * expected_ns);
        const uint64_t wait_ns = doubtful_ns > LEAST_WAIT_NS ? doubtful_ns : LEAST_WAIT_NS;
        at_ns = at_ns < self->now_ns + wait_ns ? at_ns : self->now_ns + wait_ns;
    }
    return at_ns;
}

static bool any_wanted(const beamd_batch *batch)
{
    bool any = false;
    for (unsigned k = 0; k < batch->tasks; k++) {
        any = any || wanted(batch->task[k]);
    }
    return any;
}

void beamd_core_gpu_packed(beamd_core *self, beamd_batch *batch)
{
    beamd_gpu_flight *flight = batch->gpu;
    if (beamd_core_is_lost(batch)) {
        release(self, batch);
        beamd_core_batch_done(self, batch);
        return;
    }
    if (flight->code != BEAM_OK) {
        self->metrics.gpu_not_packed++;
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=gpu_not_packed tasks=%u field=\"%s\" why=\"%s\"",
                  batch->tasks, flight->error.field, flight->error.text);
    }
    const uint64_t lost_ns = lost_at_ns(self, batch);
    if (flight->bytes == 0 || !any_wanted(batch) || lost_ns <= self->now_ns) {
        release(self, batch); /* without time the worker could not but fail */
        give_to_cpu(self, batch, false);
        return;
    }
    flight->phase = BEAMD_GPU_FLYING;
    if (!self->act.gpu_submit(self->act.arg, batch, lost_ns)) {
        give_to_cpu(self, batch, false);
    }
}

void beamd_core_gpu_dispatch(beamd_core *self)
{
    while (self->gpu_waiting_count > 0 &&
           self->act.free_threads(self->act.arg, BEAMD_CREW_GPU) > 0) {
        beamd_batch *batch = self->gpu_waiting[0];
        batch->job.run = beamd_gpu_take_run;
        if (!self->act.submit(self->act.arg, BEAMD_CREW_GPU, &batch->job)) {
            return;
        }
        batch->gpu->phase = BEAMD_GPU_TAKING;
        self->gpu_waiting_count--;
        memmove(self->gpu_waiting, self->gpu_waiting + 1,
                self->gpu_waiting_count * sizeof self->gpu_waiting[0]);
    }
}

/* What says nothing of the batches themselves: the link sees to the worker, and as long as it is
 * not ready nothing is given to it. */
static bool of_worker(beamd_gpu_loss loss)
{
    return loss != BEAMD_GPU_LOSS_DEADLINE && loss != BEAMD_GPU_LOSS_REFUSED;
}

void beamd_core_gpu_event(beamd_core *self, const beamd_event *event)
{
    beamd_batch *batch = (beamd_batch *)event->job;
    if (event->fate == BEAMD_GPU_ANSWERED) {
        batch->gpu->phase = BEAMD_GPU_WAITING;
        self->gpu_waiting[self->gpu_waiting_count++] = batch;
        return;
    }
    self->metrics.gpu_lost_problems += batch->problems;
    give_to_cpu(self, batch, !of_worker(event->loss));
}

void beamd_core_gpu_taken(beamd_core *self, beamd_batch *batch)
{
    if (batch->gpu->distrusted) {
        self->metrics.gpu_distrusted++;
        BEAMD_LOG(BEAMD_LOG_ERR, "event=gpu_distrusted why=\"%s\"",
                  batch->gpu->code == BEAM_E_INVALID ? "no answer of its batch"
                                                     : "worse than the classical answer");
    }
    release(self, batch);
    beamd_core_batch_done(self, batch);
}

/* --- Sizes --- */

static bool same_antennas(const beam_dims *a, const beam_dims *b)
{
    return a->stations == b->stations && a->antennas == b->antennas;
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static bool needed(const beamd_core *self, const beam_dims *room)
{
    for (unsigned i = 0; i < self->count; i++) {
        if (same_antennas(&self->clusters[i]->max, room)) {
            return true;
        }
    }
    return false;
}

/* A room for these sizes: one of the same antennas grows; a new one takes the place of one that no
 * cluster needs. NULL: none is left. */
static beam_dims *room_for(const beamd_core *self, beamd_gpu_sizes *sizes, const beam_dims *dims)
{
    for (unsigned r = 0; r < sizes->rooms; r++) {
        if (same_antennas(&sizes->room[r], dims)) {
            return &sizes->room[r];
        }
    }
    for (unsigned r = 0; sizes->rooms == BEAMG_ROOMS_MAX && r < sizes->rooms; r++) {
        if (!needed(self, &sizes->room[r])) {
            sizes->room[r] = *dims;
            return &sizes->room[r];
        }
    }
    if (sizes->rooms == BEAMG_ROOMS_MAX) {
        return NULL;
    }
    sizes->room[sizes->rooms] = *dims;
    return &sizes->room[sizes->rooms++];
}

/* Of all clusters; those that no cluster has any more stay until their place is needed. */
static void collect_rooms(beamd_core *self, beamd_gpu_sizes *sizes)
{
    for (unsigned i = 0; i < self->count; i++) {
        beamd_cluster *c = self->clusters[i];
        if (c->live.scene.sensing != BEAM_SENSING_RESOLVED) {
            continue;
        }
        beam_dims *room = room_for(self, sizes, &c->max);
        if (room) {
            room->users = larger(room->users, c->max.users);
            room->targets = larger(room->targets, c->max.targets);
        } else if (!c->without_gpu_room) {
            BEAMD_LOG(BEAMD_LOG_WARNING,
                      "event=gpu_without_room cluster=%s why=\"clusters have more than %d "
                      "different numbers of stations and antennas\"",
                      c->id, (int)BEAMG_ROOMS_MAX);
        }
        c->without_gpu_room = room == NULL;
    }
}

void beamd_core_gpu_prepare(beamd_core *self)
{
    if (!self->act.gpu_sizes) {
        return;
    }
    collect_rooms(self, &self->gpu_rooms);
    beamd_gpu_sizes sizes = self->gpu_rooms;
    const beam_model_info *info = self->model ? self->model->info : NULL;
    if (info && info->kind == BEAM_MODEL_MLP) {
        sizes = (beamd_gpu_sizes){
            .rooms = 1, .room = {{info->stations, info->antennas, info->users, info->targets}}};
    }
    const bool same = sizes.rooms == self->gpu_sizes.rooms &&
                      memcmp(sizes.room, self->gpu_sizes.room, sizeof sizes.room) == 0;
    if (same && self->gpu_model_takes == self->model_takes) {
        return;
    }
    self->gpu_sizes = sizes;
    self->gpu_model_takes = self->model_takes;
    sizes.model = self->model;
    self->act.gpu_sizes(self->act.arg, &sizes);
}

/* --- The end --- */

void beamd_core_gpu_end(beamd_core *self)
{
    for (unsigned k = self->away_count; k-- > 0;) {
        beamd_batch *batch = self->away[k];
        if (batch->gpu &&
            (batch->gpu->phase == BEAMD_GPU_FLYING || batch->gpu->phase == BEAMD_GPU_WAITING)) {
            give_to_cpu(self, batch, false);
        }
    }
    for (unsigned k = 0; k < self->gpu_idle_count; k++) {
        free(self->gpu_idle[k]->gpu);
        free(self->gpu_idle[k]);
    }
    self->gpu_idle_count = 0;
}
