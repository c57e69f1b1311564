/* In place of GPUs' workers: slots that are claimed, submitted and given back, answers after a
 * drawn time, and every way to lose them. What gpu_link.h promises the core is kept here, and what
 * the core owes in turn is judged. */
#include <math.h>
#include <string.h>

#include "sim/sim.h"

static const char *const states[] = {"free", "claimed", "sent", "due", "leased", "taking"};

static sim_gpu_slot *slot_of(sim *s, unsigned device, unsigned slot)
{
    if (device >= s->scenario->gpu.devices || slot >= (unsigned)s->config.gpu_slots) {
        sim_fail(s, "a slot %u of device %u, which there is not", slot, device);
    }
    return &s->gpu[device].slot[slot];
}

static void must_be(sim *s, const sim_gpu_slot *slot, sim_gpu_phase phase, const char *what)
{
    if (slot->phase != phase) {
        sim_fail(s, "a slot is to be %s that is %s", what, states[slot->phase]);
    }
}

/* --- Sizes --- */

static bool covers(const beamd_gpu_sizes *sizes, const beam_dims *dims)
{
    for (unsigned r = 0; r < sizes->rooms; r++) {
        const beam_dims *room = &sizes->room[r];
        if (room->stations == dims->stations && room->antennas == dims->antennas &&
            room->users >= dims->users && room->targets >= dims->targets) {
            return true;
        }
    }
    return false;
}

/* Beside its batches, and those of the sizes before. */
void sim_gpu_sizes_set(void *arg, const beamd_gpu_sizes *sizes)
{
    sim *s = arg;
    if (sizes->model != s->core->model || sizes->rooms > BEAMG_ROOMS_MAX) {
        sim_fail(s, "sizes of another model, or too many of them");
    }
    for (unsigned r = 0; r < sizes->rooms; r++) {
        for (unsigned q = 0; q < r; q++) {
            if (sizes->room[r].stations == sizes->room[q].stations &&
                sizes->room[r].antennas == sizes->room[q].antennas) {
                sim_fail(s, "two rooms for the same antennas");
            }
        }
    }
    s->gpu_sizes = *sizes;
    s->gpu_sizes.model = NULL;
    for (unsigned k = 0; k < s->scenario->gpu.devices; k++) {
        s->gpu[k].told = true;
        s->gpu[k].prepared_ns = s->now_ns + sim_ns(1e-3 * sim_exponential(s, 2));
        sim_at(s, s->gpu[k].prepared_ns, SIM_GPU, k);
    }
    sim_note(s, "gpus get %u sizes", sizes->rooms);
}

/* --- Slots --- */

static bool is_free(const sim_gpu_slot *slot)
{
    return slot->phase == SIM_SLOT_FREE && !slot->held;
}

static unsigned room_of(const sim *s, const sim_gpu *g, const beam_dims *dims)
{
    unsigned room = 0;
    for (unsigned i = 0; g->alive && i < (unsigned)s->config.gpu_slots; i++) {
        room += is_free(&g->slot[i]);
    }
    return covers(&g->sizes, dims) ? room : 0;
}

unsigned sim_gpu_free(void *arg, const beam_dims *dims)
{
    const sim *s = arg;
    unsigned count = 0;
    for (unsigned k = 0; k < s->scenario->gpu.devices; k++) {
        count += room_of(s, &s->gpu[k], dims) > 0;
    }
    return count;
}

bool sim_gpu_claim(void *arg, const beam_dims *dims, beamd_gpu_slot *claim)
{
    sim *s = arg;
    unsigned best = 0, most = 0, at = 0;
    for (unsigned k = 0; k < s->scenario->gpu.devices; k++) {
        const unsigned room = room_of(s, &s->gpu[k], dims);
        if (room > most) {
            most = room;
            best = k;
        }
    }
    if (most == 0 || (sim_faults_now(s) && sim_chance(s, s->scenario->gpu.gone))) {
        return false;
    }
    while (!is_free(&s->gpu[best].slot[at])) {
        at++;
    }
    s->gpu[best].slot[at] = (sim_gpu_slot){.phase = SIM_SLOT_CLAIMED};
    *claim = (beamd_gpu_slot){.device = best,
                              .slot = at,
                              .request_bytes = s->scenario->gpu.slot_bytes,
                              .answer_bytes = s->scenario->gpu.slot_bytes};
    return true;
}

/* All that it has is lost; another worker is started. */
static void end_worker(sim *s, unsigned device, beamd_gpu_loss loss)
{
    sim_gpu *g = &s->gpu[device];
    if (!g->alive) {
        return;
    }
    for (unsigned i = 0; i < (unsigned)s->config.gpu_slots; i++) {
        sim_gpu_slot *slot = &g->slot[i];
        slot->held = false;
        if (slot->phase == SIM_SLOT_SENT) {
            slot->phase = SIM_SLOT_DUE;
            slot->fate = BEAMD_GPU_LOST;
            slot->loss = loss;
        }
    }
    g->alive = false;
    g->idle_ns = 0;
    g->alive_ns = s->now_ns + sim_ns(0.02 + sim_exponential(s, s->scenario->gpu.restart_s));
    s->judge.seen |= SEEN_GPU_DEAD;
    s->judge.counts.gpu_ended[loss]++;
    sim_note(s, "gpu %u: %s, another one in %.3f s", device, beamd_gpu_loss_text(loss),
             1e-9 * (double)(g->alive_ns - s->now_ns));
    sim_at(s, s->now_ns, SIM_GPU, device); /* not within the core's step */
    sim_at(s, g->alive_ns, SIM_GPU, device);
}

void sim_gpu_release(void *arg, const beamd_gpu_slot *claim, bool distrust)
{
    sim *s = arg;
    sim_gpu_slot *slot = slot_of(s, claim->device, claim->slot);
    if (slot->job) {
        sim_fail(s, "a slot is released whose thread works on it");
    }
    if (slot->phase != SIM_SLOT_TAKING) {
        must_be(s, slot, SIM_SLOT_CLAIMED, "released");
    }
    if (distrust != (slot->wrong && slot->phase == SIM_SLOT_TAKING)) {
        sim_fail(s, "a worker is %strusted whose answer was %s", distrust ? "dis" : "",
                 slot->wrong ? "wrong" : "right");
    }
    slot->phase = SIM_SLOT_FREE;
    slot->batch = NULL;
    if (distrust) {
        s->judge.seen |= SEEN_GPU_DISTRUST;
        end_worker(s, claim->device, BEAMD_GPU_LOSS_GARBAGE);
    }
}

/* --- Batches --- */

/* What becomes of it, and when. */
static void draw_fate(sim *s, sim_gpu *g, sim_gpu_slot *slot)
{
    const sim_gpu_plan *p = &s->scenario->gpu;
    const bool faults = sim_faults_now(s);
    double us = (p->batch_us + p->each_us * slot->batch->problems) *
                exp(p->sigma * test_random_normal(&s->random));
    if (faults && sim_chance(s, p->slow_share)) {
        us += 1e3 * sim_exponential(s, p->slow_ms);
    }
    const uint64_t begin_ns = g->idle_ns > s->now_ns ? g->idle_ns : s->now_ns;
    slot->answer_ns = begin_ns + (uint64_t)(1e3 * us) + 1000;
    slot->fate = BEAMD_GPU_ANSWERED;
    if (faults && sim_chance(s, p->refused)) {
        slot->fate = BEAMD_GPU_LOST;
        slot->loss = sim_chance(s, 0.5) ? BEAMD_GPU_LOSS_REFUSED : BEAMD_GPU_LOSS_UNPREPARED;
    }
    if (faults && sim_chance(s, p->hang_share)) {
        slot->answer_ns = UINT64_MAX;
    } else {
        g->idle_ns = slot->answer_ns; /* one after the other */
    }
}

/* The CPU's check has its time afterwards. */
static void judge_patience(sim *s, const beamd_batch *batch, uint64_t lost_at_ns)
{
    const uint64_t now_ns = s->core->now_ns;
    if (lost_at_ns <= now_ns) {
        sim_fail(s, "a worker is given no time");
    }
    for (unsigned k = 0; k < batch->tasks; k++) {
        const beamd_cluster *c = batch->task[k]->cluster;
        const bool wanted = !c->gone && c->active.present && c->ticket == batch->task[k]->ticket;
        if (wanted && lost_at_ns > beamd_core_stop_at_ns(s->core, c)) {
            sim_fail(s, "%s: a worker is given %.3f ms, the check is to begin in %.3f ms", c->id,
                     1e-6 * (double)(lost_at_ns - now_ns),
                     1e-6 * ((double)beamd_core_stop_at_ns(s->core, c) - (double)now_ns));
        }
    }
}

bool sim_gpu_submit(void *arg, beamd_batch *batch, uint64_t lost_at_ns)
{
    sim *s = arg;
    const beamd_gpu_slot *claim = &batch->gpu->claim;
    sim_gpu *g = &s->gpu[claim->device];
    sim_gpu_slot *slot = slot_of(s, claim->device, claim->slot);
    must_be(s, slot, SIM_SLOT_CLAIMED, "submitted");
    if (slot->batch != batch || slot->job) {
        sim_fail(s, "another batch than that of the slot, or one that a thread still packs");
    }
    if (batch->gpu->bytes == 0 || batch->gpu->phase != BEAMD_GPU_FLYING) {
        sim_fail(s, "nothing is to be sent");
    }
    judge_patience(s, batch, lost_at_ns);
    if (sim_faults_now(s) && sim_chance(s, s->scenario->gpu.gone)) {
        end_worker(s, claim->device, BEAMD_GPU_LOSS_DEATH);
    }
    if (!g->alive) {
        slot->phase = SIM_SLOT_FREE;
        slot->batch = NULL;
        s->judge.counts.gpu_gone++;
        return false;
    }
    batch->gpu->ticket = ++s->gpu_ticket;
    slot->phase = SIM_SLOT_SENT;
    slot->held = true;
    slot->sent_ns = s->now_ns;
    slot->lost_at_ns = lost_at_ns;
    draw_fate(s, g, slot);
    s->judge.counts.gpu_batches++;
    if (slot->answer_ns != UINT64_MAX) {
        sim_at(s, slot->answer_ns, SIM_GPU, claim->device);
    }
    sim_at(s, lost_at_ns, SIM_GPU, claim->device);
    sim_at(s, s->now_ns + (uint64_t)s->config.gpu_hang_ms * 1000000u, SIM_GPU, claim->device);
    sim_note(s, "gpu %u slot %u: %u problems, answer in %.3f ms, lost in %.3f ms", claim->device,
             claim->slot, batch->problems, 1e-6 * ((double)slot->answer_ns - (double)s->now_ns),
             1e-6 * ((double)lost_at_ns - (double)s->now_ns));
    return true;
}

/* --- Threads of crew GPU --- */

static void no_second_offer(sim *s, const beamd_batch *batch)
{
    for (unsigned k = 0; k < batch->tasks; k++) {
        const beamd_task *task = batch->task[k];
        const sim_agent *a = sim_agent_of(s, task->cluster->id);
        if (a->gpu_lost_for == task->ticket) {
            sim_fail(s, "%s: a GPU is asked again for a request that one has lost", a->id);
        }
        for (unsigned q = 0; q < k; q++) {
            s->judge.seen |= batch->task[q]->cluster == task->cluster ? SEEN_GPU_WIDE : 0;
        }
    }
}

void sim_gpu_job_begins(sim *s, beamd_batch *batch, uint64_t given)
{
    const beamd_gpu_slot *claim = &batch->gpu->claim;
    sim_gpu_slot *slot = slot_of(s, claim->device, claim->slot);
    if (batch->job.run == beamd_gpu_pack_run) {
        must_be(s, slot, SIM_SLOT_CLAIMED, "packed");
        if (slot->batch) {
            sim_fail(s, "two batches for one slot");
        }
        const beamd_cluster *c = batch->task[0]->cluster;
        size_t request, answer;
        beamd_gpu_batch_bytes(&c->max, c->sensing_max, batch->problems, &request, &answer);
        if (request > claim->request_bytes || answer > claim->answer_bytes ||
            batch->problems > (unsigned)s->config.gpu_batch_max) {
            sim_fail(s, "%u problems are more than a slot holds", batch->problems);
        }
        no_second_offer(s, batch);
        slot->batch = batch;
        slot->given = given;
    } else {
        must_be(s, slot, SIM_SLOT_LEASED, "taken");
        if (slot->batch != batch) {
            sim_fail(s, "another batch than that of the slot");
        }
        slot->phase = SIM_SLOT_TAKING;
    }
    slot->job = true;
}

static bool may_ask(const beamd_task *task, int i)
{
    return task->excluded == BEAMD_FALLBACK_NONE && !task->need_sensing_end &&
           !task->need_rate_end[i];
}

/* As gpu_job.c: the least CRLB of new targets, then what may be asked for. */
static void pack(sim *s, beamd_batch *batch)
{
    beamd_gpu_flight *flight = batch->gpu;
    unsigned problems = 0;
    for (unsigned k = 0; k < batch->tasks; k++) {
        beamd_task *task = batch->task[k];
        if (task->need_sensing_end) {
            sim_answer_ends(task, 0, BEAMD_EFFORT_FULL, sim_chance(s, 0.5) ? 3000000 : 100000);
            for (int i = 0; i < task->subbands; i++) {
                task->ideal[i].crlb_min_m2 = task->ideal_found[0].crlb_min_m2;
            }
            task->need_sensing_end = false;
        }
        for (int i = 0; i < task->subbands; i++) {
            if (task->need_rate_end[i]) {
                sim_fail(s, "a GPU is asked for a best rate");
            }
            problems += may_ask(task, i) ? (unsigned)task->preferences : 0;
        }
    }
    const bool faults = sim_faults_now(s);
    flight->code = faults && sim_chance(s, s->scenario->gpu.unpacked) ? BEAM_E_LIMIT : BEAM_OK;
    flight->error = (beam_error){.code = flight->code};
    flight->bytes = flight->code == BEAM_OK ? 1000 * (uint64_t)problems : 0;
}

/* False: the worker gave nothing of use, and the solver has answered. */
static bool take_problem(sim *s, beamd_task *task, int i, int p, bool wrong)
{
    beamd_answer *a = task->answer[beamd_problem_index(i, p)];
    const sim_gpu_plan *plan = &s->scenario->gpu;
    const bool none = wrong || (sim_faults_now(s) && sim_chance(s, plan->unanswered));
    const beamd_effort effort = none ? BEAMD_EFFORT_SOLVER : BEAMD_EFFORT_FULL;
    const bool worse = !none && sim_faults_now(s) && sim_chance(s, plan->worse);
    (void)sim_answer_problem(task, i, p, effort, worse ? SIM_WORSE : SIM_GOOD);
    a->fallback = none ? BEAMD_FALLBACK_NUMERIC : BEAMD_FALLBACK_NONE;
    a->result.warm = task->slot[i].warm_given[p];
    a->service = BEAMD__SERVICE__SERVICE_FULL;
    if (a->result.status == BEAM_STATUS_TIME_LIMIT) {
        a->result.status = BEAM_STATUS_ITERATION_LIMIT;
    }
    if (!none && a->backend == BEAMD__BACKEND__BACKEND_NETWORK) {
        a->backend = BEAMD__BACKEND__BACKEND_GPU;
    }
    return !none;
}

static void take(sim *s, beamd_batch *batch, sim_gpu_slot *slot)
{
    beamd_gpu_flight *flight = batch->gpu;
    const bool wrong = sim_faults_now(s) && sim_chance(s, s->scenario->gpu.wrong);
    flight->code = wrong ? BEAM_E_INVALID : BEAM_OK;
    flight->distrusted = wrong;
    for (unsigned k = 0; k < batch->tasks; k++) {
        beamd_task *task = batch->task[k];
        for (int i = 0; i < task->subbands; i++) {
            task->ideal_found[i] = task->ideal[i];
            task->ideal_known[i] = true;
            for (int p = 0; p < task->preferences; p++) {
                if (!take_problem(s, task, i, p, wrong)) {
                    batch->failed = true;
                    batch->failures++;
                } else if (task->answer[beamd_problem_index(i, p)]->below_classical) {
                    s->judge.seen |= SEEN_REPLACED;
                    batch->failed = true;
                    batch->failures++;
                    flight->distrusted = true;
                }
            }
        }
    }
    slot->wrong = flight->distrusted;
}

void sim_gpu_job_ends(sim *s, beamd_batch *batch, uint64_t begun_ns, uint64_t done_ns)
{
    const beamd_gpu_slot *claim = &batch->gpu->claim;
    sim_gpu_slot *slot = slot_of(s, claim->device, claim->slot);
    if (slot->batch != batch || !slot->job) {
        sim_fail(s, "a thread worked on a slot that is not its own");
    }
    slot->job = false;
    if (batch->job.run == beamd_gpu_pack_run) {
        batch->failed = false;
        batch->failures = batch->by_solver = 0;
        batch->start_ns = begun_ns;
        pack(s, batch);
    } else {
        take(s, batch, slot);
    }
    batch->end_ns = done_ns - (done_ns - begun_ns) / 8;
    batch->checked_ns = done_ns;
}

double sim_gpu_job_us(sim *s, const beamd_batch *batch)
{
    const bool packs = batch->job.run == beamd_gpu_pack_run;
    const double each_us = packs ? 5 : 40;
    return (20 + each_us * batch->problems) * exp(0.2 * test_random_normal(&s->random));
}

/* --- Time --- */

/* The CPU has had its time measured, and a thread for it now: then it is in time. */
static void expect_rescue(sim *s, const beamd_batch *batch)
{
    const sim_service *v = &s->scenario->service;
    double need_ns = 0;
    if (v->stall_share > 0 || v->hang_share > 0 || !s->scenario->gpu.cpu_in_time ||
        sim_free_threads(s, BEAMD_CREW_SOLVE) == 0) {
        return;
    }
    for (unsigned k = 0; k < s->core->open_count; k++) {
        const beamd_cluster *c = s->core->open[k];
        const double problems =
            beamd_bands_count(&c->active.bands) * (double)(c->named_count > 0 ? c->named_count : 1);
        need_ns += problems * beamd_core_expect_ns(c, BEAMD_EFFORT_FULL, 1);
    }
    for (unsigned k = 0; k < batch->tasks; k++) {
        const beamd_cluster *c = batch->task[k]->cluster;
        if (!c || c->gone || !c->active.present || c->ticket != batch->task[k]->ticket ||
            (double)s->now_ns + need_ns > (double)beamd_core_stop_at_ns(s->core, c)) {
            continue;
        }
        for (unsigned r = 0; r < s->judge.records; r++) {
            sim_record *record = &s->judge.record[r];
            const bool same = sim_agent_of(s, c->id)->index == record->agent &&
                              record->sequence == c->active.sequence &&
                              record->received_ns == c->active.received_ns;
            record->in_time = record->in_time || same;
        }
    }
}

static void note_loss(sim *s, const beamd_batch *batch, beamd_gpu_loss loss)
{
    s->judge.counts.gpu_lost[loss]++;
    s->judge.seen |= loss == BEAMD_GPU_LOSS_DEADLINE ? SEEN_GPU_DEADLINE : 0;
    expect_rescue(s, batch);
    for (unsigned k = 0; k < batch->tasks; k++) {
        const beamd_cluster *c = batch->task[k]->cluster;
        if (c && !c->gone) {
            sim_agent_of(s, c->id)->gpu_lost_for = batch->task[k]->ticket;
        }
    }
}

static void deliver(sim *s, sim_gpu_slot *slot)
{
    beamd_batch *batch = slot->batch;
    for (unsigned k = 0; k < batch->tasks; k++) {
        s->judge.seen |= batch->task[k]->cluster->gone ? SEEN_GPU_ORPHAN : 0;
    }
    const beamd_event event = {
        .kind = BEAMD_EVENT_GPU, .job = &batch->job, .fate = slot->fate, .loss = slot->loss};
    if (sim_given_hash(batch) != slot->given) {
        sim_fail(s, "the core changed a task that a worker had");
    }
    sim_note(s, "gpu batch %s",
             slot->fate == BEAMD_GPU_ANSWERED ? "answered" : beamd_gpu_loss_text(slot->loss));
    if (slot->fate == BEAMD_GPU_ANSWERED) {
        slot->phase = SIM_SLOT_LEASED;
    } else {
        slot->phase = SIM_SLOT_FREE;
        slot->batch = NULL;
        note_loss(s, batch, slot->loss);
    }
    (void)sim_step(s, &event);
}

/* What is over by now of one slot. */
static void look(sim *s, unsigned device, sim_gpu_slot *slot)
{
    const uint64_t hang_ns = (uint64_t)s->config.gpu_hang_ms * 1000000u;
    if (!slot->held) {
        return;
    }
    if (s->now_ns >= slot->answer_ns) {
        slot->held = false;
        s->judge.counts.gpu_late += slot->phase != SIM_SLOT_SENT;
        slot->phase = slot->phase == SIM_SLOT_SENT ? SIM_SLOT_DUE : slot->phase;
    } else if (s->now_ns >= slot->sent_ns + hang_ns) {
        end_worker(s, device, BEAMD_GPU_LOSS_HANG);
    } else if (slot->phase == SIM_SLOT_SENT && s->now_ns >= slot->lost_at_ns) {
        slot->phase = SIM_SLOT_DUE; /* the worker has it still */
        slot->fate = BEAMD_GPU_LOST;
        slot->loss = BEAMD_GPU_LOSS_DEADLINE;
    }
}

/* Another worker, or other sizes: the core may ask now for what it could not before. */
static bool grow_up(const sim *s, sim_gpu *g)
{
    const bool none = s->stress && s->scenario->gpu.none_in_stress;
    const bool starts = !g->alive && s->now_ns >= g->alive_ns && !none;
    const bool news = starts || (g->told && s->now_ns >= g->prepared_ns);
    g->alive = g->alive || starts;
    if (news) {
        g->sizes = s->gpu_sizes;
        g->told = false;
    }
    return news;
}

void sim_gpu_turn(sim *s)
{
    const unsigned devices = s->scenario->gpu.devices, slots = (unsigned)s->config.gpu_slots;
    bool changed = false, any = true;
    for (unsigned k = 0; k < devices; k++) {
        sim_gpu *g = &s->gpu[k];
        for (unsigned i = 0; i < slots; i++) {
            look(s, k, &g->slot[i]);
        }
        changed = grow_up(s, g) || changed;
    }
    while (any) { /* a step may bring the next */
        any = false;
        for (unsigned k = 0; k < devices * slots; k++) {
            sim_gpu_slot *slot = &s->gpu[k / slots].slot[k % slots];
            if (slot->phase == SIM_SLOT_DUE) {
                deliver(s, slot);
                any = true;
            }
        }
    }
    if (changed) {
        const beamd_event event = {.kind = BEAMD_EVENT_TIME};
        (void)sim_step(s, &event);
    }
}

/* One of them ends by itself; or all, in the middle of stress. */
void sim_gpu_ends(sim *s)
{
    static const beamd_gpu_loss losses[] = {BEAMD_GPU_LOSS_DEVICE, BEAMD_GPU_LOSS_DEATH,
                                            BEAMD_GPU_LOSS_HEART, BEAMD_GPU_LOSS_GARBAGE};
    const sim_gpu_plan *p = &s->scenario->gpu;
    if (s->ending) {
        return;
    }
    if (p->none_in_stress) {
        for (unsigned k = 0; s->stress && k < p->devices; k++) {
            end_worker(s, k, BEAMD_GPU_LOSS_DEATH);
        }
        return;
    }
    const int device = test_random_int(&s->random, 0, (int)p->devices - 1);
    const int loss = test_random_int(&s->random, 0, 3);
    if (sim_faults_now(s)) {
        end_worker(s, (unsigned)device, losses[loss]);
    }
    sim_at(s, s->now_ns + sim_ns(sim_exponential(s, p->ends_every_s)), SIM_GPU_ENDS, 0);
}

/* All of them in the middle of it, until it is over. */
void sim_gpu_stress(sim *s)
{
    const sim_scenario *c = s->scenario;
    if (c->gpu.none_in_stress && s->stress) {
        sim_at(s, s->now_ns + sim_ns(c->stress_s / 2), SIM_GPU_ENDS, 0);
    }
    for (unsigned k = 0; c->gpu.none_in_stress && !s->stress && k < c->gpu.devices; k++) {
        sim_at(s, s->gpu[k].alive_ns > s->now_ns ? s->gpu[k].alive_ns : s->now_ns, SIM_GPU, k);
    }
}

/* --- Beginning and end --- */

void sim_gpu_begin(sim *s, beamd_actions *actions)
{
    const sim_gpu_plan *p = &s->scenario->gpu;
    if (p->devices == 0) {
        return;
    }
    actions->gpu_free = sim_gpu_free;
    actions->gpu_claim = sim_gpu_claim;
    actions->gpu_submit = sim_gpu_submit;
    actions->gpu_release = sim_gpu_release;
    actions->gpu_sizes = sim_gpu_sizes_set;
    actions->gpu_slots = p->devices * (unsigned)s->config.gpu_slots;
    for (unsigned k = 0; k < p->devices; k++) {
        s->gpu[k].alive_ns = s->now_ns + sim_ns(sim_exponential(s, 0.5));
        sim_at(s, s->gpu[k].alive_ns, SIM_GPU, k);
    }
    if (p->ends_every_s > 0) {
        sim_at(s, s->now_ns + sim_ns(p->ends_every_s), SIM_GPU_ENDS, 0);
    }
}

/* Batches that no thread has. */
unsigned sim_gpu_away(const sim *s)
{
    unsigned away = 0;
    for (unsigned k = 0; k < SIM_GPUS_MAX; k++) {
        for (unsigned i = 0; i < BEAMG_SLOTS_MAX; i++) {
            const sim_gpu_phase phase = s->gpu[k].slot[i].phase;
            away += phase == SIM_SLOT_SENT || phase == SIM_SLOT_DUE || phase == SIM_SLOT_LEASED;
        }
    }
    return away;
}

void sim_gpu_end(sim *s)
{
    for (unsigned k = 0; k < SIM_GPUS_MAX; k++) {
        for (unsigned i = 0; i < BEAMG_SLOTS_MAX; i++) {
            if (s->gpu[k].slot[i].phase != SIM_SLOT_FREE) {
                sim_fail(s, "slot %u of device %u was never given back: %s", i, k,
                         states[s->gpu[k].slot[i].phase]);
            }
        }
    }
}
