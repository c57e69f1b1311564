/* Batches for the threads: what is solved next, with which effort, together with what; rescues; and
 * threads that do not come back. What they bring is core_done.c's. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

static beamd_task *free_task(const beamd_cluster *c)
{
    for (int k = 0; k < c->tasks; k++) {
        if (c->task[k] && c->task[k]->ticket == 0) {
            return c->task[k];
        }
    }
    return NULL;
}

/* Moves up to `most` subbands from the cluster's open ones into the task. */
static int take_bands(beamd_cluster *c, beamd_task *task, int most)
{
    task->subbands = 0;
    for (int b = 0; b < c->subbands && task->subbands < most; b++) {
        if (beamd_bands_has(&c->open, b)) {
            beamd_bands_remove(&c->open, b);
            task->subband[task->subbands++] = b;
        }
    }
    return task->subbands;
}

static bool has_open(const beamd_cluster *c)
{
    return !beamd_bands_empty(&c->open);
}

/* Threads that may work on one cluster side by side. */
static int side_by_side(const beamd_core *self, const beamd_cluster *c)
{
    return (long long)c->tasks < self->config->workers ? c->tasks : (int)self->config->workers;
}

/* Iterations take what time they are given: each round of tasks that the open subbands still need
 * gets an even part of it. */
static uint64_t stop_of_round_ns(const beamd_core *self, const beamd_cluster *c,
                                 const beamd_task *task)
{
    const uint64_t stop_ns = beamd_core_stop_at_ns(self, c);
    const int at_once = task->slots * side_by_side(self, c);
    const int rounds = 1 + (beamd_bands_count(&c->open) + at_once - 1) / at_once;
    return self->now_ns + beamd_core_less(stop_ns, self->now_ns) / (uint64_t)rounds;
}

static void fill_task(beamd_core *self, beamd_cluster *c, beamd_task *task, beamd_batch *batch)
{
    const beamd_config *config = self->config;
    const beamd_effort effort = (beamd_effort)batch->effort;
    const bool refines = config->refine_iterations > 0;
    task->ticket = c->ticket;
    task->cluster = c;
    task->iterations = (int)config->solver_iterations;
    task->tolerance = config->solver_tolerance;
    task->refine = effort == BEAMD_EFFORT_FULL || effort == BEAMD_EFFORT_GPU
                       ? (int)config->refine_iterations
                       : 0;
    task->reduced = effort == BEAMD_EFFORT_NETWORK && refines;
    task->excluded = beamd_core_excluded(self, c);
    task->stop_at_ns = stop_of_round_ns(self, c, task);
    task->now_ns = self->now_ns;
    beamd_cluster_snapshot(c, task, self->now_ns, beamd_core_default_tradeoff(self));
    c->under_way++;
    batch->task[batch->tasks++] = task;
    const int problems = task->subbands * task->preferences;
    batch->problems += (unsigned)problems;
    batch->expected_ns += beamd_core_expect_ns(c, effort, problems);
    if (batch->deadline_ns < c->active.deadline_ns) {
        batch->deadline_ns = c->active.deadline_ns;
    }
}

static void begin_batch(beamd_core *self, beamd_batch *batch, beamd_crew crew, beamd_effort effort)
{
    batch->crew = (int)crew;
    batch->job.run = crew == BEAMD_CREW_GPU ? beamd_gpu_pack_run : beamd_batch_run;
    batch->abandon = &self->abandon;
    atomic_store_explicit(&batch->lost, false, memory_order_relaxed);
    batch->effort = (int)effort;
    batch->backend = beamd_core_backend_of(effort);
    batch->tasks = 0;
    batch->problems = 0;
    batch->expected_ns = 0;
    batch->deadline_ns = 0;
    batch->failed = false;
    memcpy(batch->faults.of, self->faults.of, sizeof batch->faults.of); /* its draws run on */
}

static int problems_of(const beamd_cluster *c, int bands)
{
    return bands * (c->named_count > 0 ? c->named_count : 1);
}

/* Subbands of the next task of this cluster. */
static int next_bands(const beamd_cluster *c, const beamd_task *task)
{
    int bands = 0;
    for (int b = 0; b < c->subbands && bands < task->slots; b++) {
        bands += beamd_bands_has(&c->open, b);
    }
    return bands;
}

/* What the cluster waits with, in nanoseconds of one thread at full effort. */
static double waiting_ns(const beamd_core *self, const beamd_cluster *c)
{
    const beamd_effort usual =
        beamd_core_uses_network(self) ? BEAMD_EFFORT_FULL : BEAMD_EFFORT_SOLVER;
    return beamd_core_expect_ns(c, usual, problems_of(c, beamd_bands_count(&c->open)));
}

static double backlog_ns(const beamd_core *self)
{
    double sum_ns = 0;
    for (unsigned k = 0; k < self->open_count; k++) {
        sum_ns += waiting_ns(self, self->open[k]);
    }
    return sum_ns;
}

/* The others wait with more than the threads can do in half of its time, or it has itself more than
 * they can do in three quarters: then refinement is left out. */
static bool under_pressure(const beamd_core *self, const beamd_cluster *c, double backlog,
                           uint64_t left_ns)
{
    const double own_ns = waiting_ns(self, c);
    const double time_ns = (double)left_ns * (double)self->config->workers;
    return backlog - own_ns > 0.5 * time_ns || own_ns > 0.75 * time_ns;
}

static bool same_sizes(const beam_dims *a, const beam_dims *b)
{
    return a->stations == b->stations && a->antennas == b->antennas && a->users == b->users &&
           a->targets == b->targets;
}

/* Until then others are awaited for its batch: no longer than half of its time, and never into what
 * the solving needs. */
static uint64_t begin_at_ns(const beamd_core *self, const beamd_cluster *c)
{
    const uint64_t stop_ns = beamd_core_stop_at_ns(self, c);
    const double need_ns = 2 * beamd_core_expect_ns(c, BEAMD_EFFORT_FULL, 1);
    const uint64_t half_ns = stop_ns - beamd_core_less(stop_ns, c->active.received_ns) / 2;
    const uint64_t latest_ns =
        need_ns < (double)stop_ns ? beamd_core_less(stop_ns, (uint64_t)need_ns) : 0;
    const uint64_t most_ns = half_ns < latest_ns ? half_ns : latest_ns;
    return c->wait_until_ns < most_ns ? c->wait_until_ns : most_ns;
}

/* Whether a thread may begin with it now: a task is free, and nobody more is awaited. */
static bool can_begin(const beamd_core *self, const beamd_cluster *c)
{
    return has_open(c) && free_task(c) &&
           (self->now_ns >= c->wait_until_ns || self->now_ns >= begin_at_ns(self, c));
}

/* most: problems of the batch; what a single subband needs is taken in any case from a thread. */
static void add_to_batch(beamd_core *self, beamd_batch *batch, beamd_cluster *c, unsigned most)
{
    beamd_task *task = free_task(c);
    const int preferences = c->named_count > 0 ? c->named_count : 1;
    const unsigned limit = batch->crew == BEAMD_CREW_GPU ? most : BEAMD_BATCH_PROBLEMS;
    const int room = ((int)limit - (int)batch->problems) / preferences;
    if (take_bands(c, task, task->slots < room ? task->slots : room) > 0) {
        fill_task(self, c, task, batch);
    }
}

static beamd_effort choose(const beamd_core *self, const beamd_cluster *c, beamd_crew crew,
                           uint64_t left_ns, bool pressed)
{
    if (crew == BEAMD_CREW_GPU) {
        return beamd_core_gpu_fits(self, c, left_ns) ? BEAMD_EFFORT_GPU : BEAMD_EFFORT_NONE;
    }
    const beamd_effort effort = beamd_core_choose(self, c, left_ns, pressed);
    return effort == BEAMD_EFFORT_NONE && !beamd_core_has_answer(c)
               ? BEAMD_EFFORT_CHECK /* late, and better than nothing */
               : effort;
}

/* What is left for one problem, if all that are open get the same; a GPU has them side by side. */
static uint64_t time_of_each_ns(const beamd_core *self, const beamd_cluster *c, beamd_crew crew,
                                uint64_t left_ns)
{
    if (crew == BEAMD_CREW_GPU) {
        return left_ns;
    }
    const int problems = problems_of(c, beamd_bands_count(&c->open));
    const int threads = side_by_side(self, c);
    return problems > threads ? left_ns * (uint64_t)threads / (uint64_t)problems : left_ns;
}

/* What a thread does next. */
typedef struct pick {
    beamd_cluster *first; /* NULL: nothing */
    beamd_effort effort;
    uint64_t left_ns;
    bool pressed;
} pick;

/* Others of the same sizes and effort, the most urgent first, as long as the most urgent of all is
 * in time and the other free threads (or devices) have their share. */
static void add_companions(beamd_core *self, beamd_batch *batch, const pick *picked,
                           unsigned batch_max, unsigned free_threads)
{
    const beamd_cluster *first = picked->first;
    const beamd_effort effort = picked->effort;
    unsigned waiting = 0;
    for (unsigned k = 0; k < self->open_count; k++) {
        waiting += has_open(self->open[k]);
    }
    unsigned share = (waiting + free_threads) / (free_threads ? free_threads : 1);
    double expected_ns = beamd_core_expect_ns(first, effort, (double)batch->problems);
    /* with a thousand clusters every look counts: what costs most is asked last */
    for (unsigned k = 0; k < self->open_count && share > 0 && batch->tasks < BEAMD_BATCH_TASKS &&
                         batch->problems < batch_max;
         k++) {
        beamd_cluster *c = self->open[k];
        if (c == first || !has_open(c) || !same_sizes(&c->max, &first->max) || !free_task(c)) {
            continue;
        }
        const int problems = problems_of(c, next_bands(c, free_task(c)));
        const double more_ns = beamd_core_expect_ns(c, effort, problems);
        if (batch->problems + (unsigned)problems > batch_max ||
            expected_ns + more_ns > (double)picked->left_ns) {
            continue;
        }
        const uint64_t own_ns = beamd_core_less(beamd_core_stop_at_ns(self, c), self->now_ns);
        if (beamd_core_excluded(self, c) != batch->task[0]->excluded ||
            choose(self, c, (beamd_crew)batch->crew,
                   time_of_each_ns(self, c, (beamd_crew)batch->crew, own_ns),
                   picked->pressed) != effort) {
            continue;
        }
        add_to_batch(self, batch, c, batch_max);
        expected_ns += more_ns;
        share--;
    }
}

/* The network's memory of this thread; it has it but for the first batch after a reload. */
static void find_room(beamd_core *self, beamd_batch *batch, beamd_cluster *c)
{
    const size_t most = (size_t)self->config->cluster_memory_mib << 20;
    beamd_batch_choose_room(batch, &c->max);
    if (!batch->inference && self->model &&
        beamd_batch_make_room(batch, self->model->info, &c->max, most)) {
        beamd_batch_choose_room(batch, &c->max);
    }
    if (!batch->inference && self->model && !c->without_room) {
        BEAMD_LOG(BEAMD_LOG_WARNING,
                  "event=network_without_room cluster=%s why=\"its layers need more than "
                  "cluster_memory_mib\"",
                  c->id);
        c->without_room = true;
    }
}

void beamd_core_reopen(beamd_core *self, beamd_batch *batch)
{
    for (unsigned k = 0; k < batch->tasks; k++) {
        beamd_task *task = batch->task[k];
        beamd_cluster *c = task->cluster;
        if (!c) { /* another took its place */
            beamd_task_destroy(&task);
            continue;
        }
        const bool wanted = c->active.present && c->ticket == task->ticket;
        for (int i = 0; wanted && i < task->subbands; i++) {
            if (!beamd_bands_has(&c->done, task->subband[i])) {
                beamd_bands_add(&c->open, task->subband[i]);
            }
        }
        task->ticket = 0;
        c->under_way--;
        beamd_core_forget(self, c);
    }
    batch->tasks = 0;
}

/* Hands the batch to a thread. False: none takes it, and its work is open again. */
static bool submit_batch(beamd_core *self, beamd_batch *batch)
{
    batch->model = beamd_model_hold(self->model);
    if (!self->act.submit(self->act.arg, (beamd_crew)batch->crew, &batch->job)) {
        beamd_core_reopen(self, batch);
        beamd_model_release(&batch->model);
        return false;
    }
    const beamd_health before = self->backend[batch->backend].health;
    batch->probe = beamd_health_begin(&self->backend[batch->backend], self->now_ns);
    beamd_core_note_health(self, batch->backend, before);
    self->backend[batch->backend].problems += batch->problems;
    self->away[self->away_count++] = batch;
    self->jobs[batch->crew]++;
    return true;
}

/* Once a request: a step may look many times. */
static void note_choice(const beamd_core *self, beamd_cluster *c, beamd_effort effort)
{
    if (effort != BEAMD_EFFORT_FULL && c->relaxed_for != c->ticket) {
        beamd_core_relax(self, c);
        c->relaxed_for = c->ticket;
    }
}

enum { SLOWER_MOST = 8 };

/* A GPU that takes much longer than the threads would (one that others use too, say), or than there
 * is time for a request, is left out; by and by it is tried again. */
static bool worth_it(const beamd_core *self, beamd_cluster *c, double backlog)
{
    const double gpu_ns = beamd_core_expect_ns(c, BEAMD_EFFORT_GPU, 1);
    const double full_ns = beamd_core_expect_ns(c, BEAMD_EFFORT_FULL, 1);
    const double alone_ns = beamd_core_expect_ns(c, BEAMD_EFFORT_NETWORK, 1);
    const double own_ns = problems_of(c, beamd_bands_count(&c->open)) *
                          (full_ns > alone_ns ? full_ns : alone_ns) / side_by_side(self, c);
    const double all_ns = backlog / (double)self->config->workers;
    const uint64_t whole_ns =
        beamd_core_less(beamd_core_stop_at_ns(self, c), c->active.received_ns);
    const bool worth = gpu_ns <= (double)whole_ns &&
                       (gpu_ns <= SLOWER_MOST * own_ns || gpu_ns <= SLOWER_MOST * all_ns);
    if (!worth && c->gpu_relaxed_for != c->ticket) {
        beamd_core_relax_gpu(c);
        c->gpu_relaxed_for = c->ticket;
    }
    return worth;
}

/* The most urgent cluster that a thread can begin with now and has time for. */
static pick most_urgent(beamd_core *self, beamd_crew crew)
{
    const double backlog = backlog_ns(self);
    for (unsigned k = 0; k < self->open_count; k++) {
        pick p = {.first = self->open[k]};
        if (!can_begin(self, p.first)) {
            continue;
        }
        p.left_ns = beamd_core_less(beamd_core_stop_at_ns(self, p.first), self->now_ns);
        p.pressed = under_pressure(self, p.first, backlog, p.left_ns);
        p.effort =
            choose(self, p.first, crew, time_of_each_ns(self, p.first, crew, p.left_ns), p.pressed);
        if (crew == BEAMD_CREW_SOLVE) {
            note_choice(self, p.first, p.effort);
        } else if (!worth_it(self, p.first, backlog)) {
            p.effort = BEAMD_EFFORT_NONE;
        }
        if (p.effort != BEAMD_EFFORT_NONE) {
            return p;
        } /* else too late for it: what it has is sent at its last moment */
    }
    return (pick){.first = NULL};
}

/* To GPUs goes what they can do, as much at a time as a slot holds; a cluster of many subbands with
 * all its tasks. False: nothing more. */
static bool dispatch_gpu(beamd_core *self)
{
    const pick picked = most_urgent(self, BEAMD_CREW_GPU);
    if (!picked.first) {
        return false;
    }
    beamd_cluster *first = picked.first;
    const unsigned devices = self->act.gpu_free(self->act.arg, &first->max);
    beamd_batch *batch = devices > 0 ? beamd_core_gpu_take(self, &first->max) : NULL;
    if (!batch) {
        return false;
    }
    const beamd_gpu_slot *claim = &batch->gpu->claim;
    const unsigned holds = beamd_gpu_batch_most(&first->max, first->sensing_max,
                                                claim->request_bytes, claim->answer_bytes);
    const unsigned most =
        holds < self->config->gpu_batch_max ? holds : (unsigned)self->config->gpu_batch_max;
    begin_batch(self, batch, BEAMD_CREW_GPU, BEAMD_EFFORT_GPU);
    unsigned before;
    do {
        before = batch->tasks;
        if (has_open(first) && free_task(first)) {
            add_to_batch(self, batch, first, most);
        }
    } while (batch->tasks > before && batch->tasks < BEAMD_BATCH_TASKS);
    if (batch->tasks > 0) {
        add_companions(self, batch, &picked, most, devices);
    }
    const bool fits = batch->tasks > 0;
    if (!fits) { /* not even one subband: the CPU's, and no reason to keep others waiting */
        first->gpu_lost_for = first->ticket;
    }
    if (!fits || !submit_batch(self, batch)) {
        beamd_core_gpu_put(self, batch);
        return !fits;
    }
    return true;
}

void beamd_core_dispatch(beamd_core *self)
{
    if (self->act.gpu_free) {
        beamd_core_gpu_dispatch(self);
        while (self->open_count > 0 && self->act.free_threads(self->act.arg, BEAMD_CREW_GPU) > 0 &&
               dispatch_gpu(self)) {
        }
    }
    unsigned threads = self->act.free_threads(self->act.arg, BEAMD_CREW_SOLVE);
    while (self->open_count > 0 && threads > 0 && self->idle_count > 0) {
        const pick picked = most_urgent(self, BEAMD_CREW_SOLVE);
        if (!picked.first) {
            return;
        }
        beamd_batch *batch = self->idle[--self->idle_count];
        begin_batch(self, batch, BEAMD_CREW_SOLVE, picked.effort);
        if (batch->backend == BEAMD__BACKEND__BACKEND_NETWORK) {
            find_room(self, batch, picked.first);
            if (!batch->inference) {
                self->idle[self->idle_count++] = batch;
                continue; /* without_room is set: the next look chooses the solver */
            }
        }
        const unsigned most = (unsigned)self->config->batch_max;
        add_to_batch(self, batch, picked.first, most);
        add_companions(self, batch, &picked, most, threads);
        if (!submit_batch(self, batch)) {
            self->idle[self->idle_count++] = batch;
            return;
        }
        threads--;
    }
}

/* --- Rescue: what a thread does not bring back in time is checked by another -------------------
 */

static bool wants_rescue(const beamd_core *self, const beamd_cluster *c)
{
    return !c->hedged && c->spare && c->spare->ticket == 0 && !beamd_core_all_done(c) &&
           self->now_ns >= beamd_core_stop_at_ns(self, c);
}

static void rescue(beamd_core *self, beamd_cluster *c)
{
    beamd_batch *batch = self->rescue_batch;
    beamd_task *task = c->spare;
    begin_batch(self, batch, BEAMD_CREW_RESCUE, BEAMD_EFFORT_CHECK);
    task->subbands = 0;
    for (int b = 0; b < c->subbands && task->subbands < task->slots; b++) {
        if (beamd_bands_has(&c->active.bands, b) && !beamd_bands_has(&c->done, b) &&
            !beamd_bands_has(&c->checked, b)) {
            task->subband[task->subbands++] = b;
        }
    }
    if (task->subbands == 0) {
        c->hedged = true;
        return;
    }
    const beamd_bands open = c->open; /* a refusal must not open what others have under way */
    fill_task(self, c, task, batch);
    if (!submit_batch(self, batch)) {
        c->open = open;
        return;
    }
    self->rescue_away = true;
    self->metrics.rescues_started++;
    /* narrowband: one try; wideband: the next slots when these are back */
    c->hedged = c->subbands <= task->slots;
}

static void rescue_time(beamd_core *self)
{
    for (unsigned k = 0; k < self->open_count && !self->rescue_away; k++) {
        if (wants_rescue(self, self->open[k])) {
            rescue(self, self->open[k]);
        }
    }
}

/* --- Threads that do not come back -------------------------------------------------------------
 */

static uint64_t lost_at_ns(const beamd_core *self, const beamd_batch *batch)
{
    if (batch->gpu && batch->gpu->phase != BEAMD_GPU_PACKING &&
        batch->gpu->phase != BEAMD_GPU_TAKING) {
        return UINT64_MAX; /* no thread has it */
    }
    return batch->deadline_ns + (uint64_t)self->config->hang_ms * 1000000u;
}

static void give_up_tasks(beamd_core *self, beamd_batch *batch)
{
    for (unsigned k = 0; k < batch->tasks; k++) {
        beamd_task *task = batch->task[k];
        beamd_cluster *c = task->cluster;
        if (!c || c->gone) {
            continue; /* freed when the thread comes back */
        }
        beam_wire_error err;
        const size_t before = c->bytes;
        if (c->active.present && c->ticket == task->ticket) { /* again, by another */
            for (int i = 0; i < task->subbands; i++) {
                beamd_bands_add(&c->open, task->subband[i]);
            }
        }
        if (beamd_cluster_replace_task(c, task, &err) < 0) {
            BEAMD_LOG(BEAMD_LOG_ERR, "event=task_not_replaced cluster=%s why=\"%s\"", c->id,
                      err.text);
            continue; /* still under way: the cluster must outlive it */
        }
        c->under_way--;
        self->bytes = self->bytes - before + c->bytes;
    }
}

beamd_batch *beamd_core_new_batch(void)
{
    beamd_batch *batch = aligned_alloc(64, (sizeof *batch + 63u) & ~(size_t)63u);
    if (batch) {
        memset(batch, 0, sizeof *batch);
        atomic_init(&batch->lost, false);
    }
    return batch;
}

static void give_up(beamd_core *self, beamd_batch *batch)
{
    const bool full = self->lost_count >= BEAMD_LOST_MAX;
    beamd_batch *fresh = full || batch->gpu ? NULL : beamd_core_new_batch();
    if (full || (!fresh && !batch->gpu) ||
        !self->act.replace_thread(self->act.arg, (beamd_crew)batch->crew, &batch->job)) {
        free(fresh);
        batch->deadline_ns = self->now_ns; /* looked at again after another hang_ms */
        BEAMD_LOG(BEAMD_LOG_ERR, "event=thread_lost replaced=0 lost=%u", self->lost_count);
        return;
    }
    if (batch == self->rescue_batch) {
        self->rescue_batch = fresh;
        self->rescue_away = false;
    } else if (fresh) { /* those for GPUs are made when they are needed */
        self->idle[self->idle_count++] = fresh;
    }
    atomic_store_explicit(&batch->lost, true, memory_order_relaxed);
    self->lost_count++;
    self->metrics.threads_lost++;
    self->metrics.threads_replaced++;
    BEAMD_LOG(BEAMD_LOG_ERR, "event=thread_lost replaced=1 lost=%u tasks=%u", self->lost_count,
              batch->tasks);
    beamd_core_end_health(self, batch, true);
    give_up_tasks(self, batch);
}

void beamd_core_schedule_time(beamd_core *self)
{
    for (unsigned k = 0; k < self->away_count; k++) {
        if (!beamd_core_is_lost(self->away[k]) && self->now_ns >= lost_at_ns(self, self->away[k])) {
            give_up(self, self->away[k]);
        }
    }
    rescue_time(self);
}

uint64_t beamd_core_schedule_next_ns(const beamd_core *self)
{
    uint64_t next_ns = UINT64_MAX;
    for (unsigned k = 0; k < self->away_count; k++) {
        if (!beamd_core_is_lost(self->away[k])) {
            const uint64_t at_ns = lost_at_ns(self, self->away[k]);
            next_ns = at_ns < next_ns ? at_ns : next_ns;
        }
    }
    for (unsigned k = 0; k < self->open_count; k++) {
        const beamd_cluster *c = self->open[k];
        const uint64_t stop_ns = beamd_core_stop_at_ns(self, c);
        if (!c->hedged && !self->rescue_away && stop_ns > self->now_ns) {
            next_ns = stop_ns < next_ns ? stop_ns : next_ns;
        }
        if (c->wait_until_ns > self->now_ns && has_open(c)) {
            const uint64_t begin_ns = begin_at_ns(self, c);
            next_ns = begin_ns > self->now_ns && begin_ns < next_ns ? begin_ns : next_ns;
        }
    }
    return next_ns;
}

/* For all clusters anew: the layers of another model may need more. */
void beamd_core_lay_rooms(beamd_core *self, beamd_batch *batch)
{
    const size_t most = (size_t)self->config->cluster_memory_mib << 20;
    for (unsigned i = 0; self->model && i < self->count; i++) {
        (void)beamd_batch_make_room(batch, self->model->info, &self->clusters[i]->max, most);
    }
    batch->room_model = self->model_takes;
}

void beamd_core_make_rooms(beamd_core *self, const beam_dims *dims)
{
    const size_t most = (size_t)self->config->cluster_memory_mib << 20;
    for (unsigned k = 0; self->model && k < self->idle_count; k++) {
        (void)beamd_batch_make_room(self->idle[k], self->model->info, dims, most);
    }
}
