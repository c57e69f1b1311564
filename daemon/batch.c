/* The work of a solver thread: tasks of one or several clusters, no lock, no allocation, no log.
 * What one backend cannot answer the next simpler one does, within the same batch: network, solver,
 * check. */
#include <math.h>

#include "clock.h"
#include "fault_act.h"
#include "work.h"

static bool ended(const beamd_batch *self)
{
    return atomic_load_explicit(self->abandon, memory_order_relaxed) ||
           atomic_load_explicit(&self->lost, memory_order_relaxed);
}

static bool task_expired(void *arg)
{
    const beamd_task *task = arg;
    return ended(task->batch) || beamd_clock_ns() >= task->limit_ns;
}

static bool network_expired(void *arg)
{
    const beamd_task *task = arg;
    const uint64_t now_ns = beamd_clock_ns();
    return ended(task->batch) || now_ns >= task->stop_at_ns || now_ns >= task->batch->limit_ns;
}

static bool always_expired(void *arg)
{
    (void)arg;
    return true;
}

static void set_options(beamd_task *task, int slot, bool (*expired)(void *arg))
{
    beam_solver_options options = beam_solver_options_default();
    options.max_iterations = task->iterations > 0 ? task->iterations : options.max_iterations;
    options.tolerance = task->tolerance > 0 ? task->tolerance : options.tolerance;
    options.expired = expired;
    options.expired_arg = task;
    beam_solver_set_options(task->slot[slot].solver, &options);
}

static beamd_answer *answer_of(const beamd_task *task, int slot, int preference)
{
    return task->answer[slot * BEAM_WIRE_MAX_PREFERENCES + preference];
}

static unsigned problems_of(const beamd_task *task)
{
    return (unsigned)(task->subbands * task->preferences);
}

/* An even share, for each of `left` problems of task `t` and all after it, of the time until the
 * deadlines that are ahead of them: nobody takes the time of those behind. A solver takes a while
 * to end after its limit: as long as it took in this batch before. */
static uint64_t share_until(const beamd_batch *self, unsigned t, unsigned left)
{
    const uint64_t now_ns = beamd_clock_ns();
    uint64_t share_ns = UINT64_MAX;
    for (unsigned k = t; k < self->tasks; k++) {
        left += k > t ? problems_of(self->task[k]) : 0;
        const uint64_t stop_ns = self->task[k]->stop_at_ns;
        const uint64_t each_ns = stop_ns > now_ns ? (stop_ns - now_ns) / (left > 0 ? left : 1) : 0;
        share_ns = each_ns < share_ns ? each_ns : share_ns;
    }
    share_ns = share_ns > self->overrun_ns ? share_ns - self->overrun_ns : 0;
    return now_ns + (share_ns < UINT64_MAX - now_ns ? share_ns : 0);
}

static void note_overrun(beamd_batch *self, uint64_t limit_ns)
{
    const uint64_t now_ns = beamd_clock_ns();
    const uint64_t overrun_ns = now_ns > limit_ns ? now_ns - limit_ns : 0;
    self->overrun_ns = (self->overrun_ns + overrun_ns) / 2;
}

void beamd_batch_count_failure(beamd_batch *self)
{
    self->failed = true;
    self->failures++;
}

static beamd_fallback fallback_of(beam_code code)
{
    return code == BEAM_E_UNSUPPORTED ? BEAMD_FALLBACK_SIZE
           : code == BEAM_E_LIMIT     ? BEAMD_FALLBACK_MEMORY
                                      : BEAMD_FALLBACK_NUMERIC;
}

/* --- Preparing --- */

/* The rows of the least CRLB are the same for all subbands: the first that computes them gives them
 * on. */
static beam_code prepare_sensing(beamd_task *task, int slot, beam_error *err)
{
    beam_solver *solver = task->slot[slot].solver;
    const bool known =
        (task->has_sensing_rows_out && beam_solver_import_sensing(solver, task->rows, false)) ||
        (task->sensing_rows &&
         beam_solver_import_sensing(solver, task->sensing_rows, task->sensing_rows_moved));
    if (!task->need_sensing_end) {
        return BEAM_OK;
    }
    const uint64_t begin_ns = beamd_clock_ns();
    const beam_code code = beam_solver_compute_sensing_end(solver, err);
    if (code == BEAM_OK && !task->has_sensing_rows_out && !task->sensing_rows_moved) {
        task->has_sensing_rows_out = beam_solver_export_sensing(solver, task->rows);
        task->sensing_ns = known ? 0 : beamd_clock_ns() - begin_ns;
    }
    return code;
}

/* The network's best rate takes the time of four answers, the solver's that of several and at most
 * half of the share: an answer with a rough zero point is worth more than none. The background job
 * makes it a good one soon. */
static beam_code prepare_rate(beamd_task *task, int slot, bool network, uint64_t share_ns,
                              beam_error *err)
{
    beamd_batch *batch = task->batch;
    beam_solver *solver = task->slot[slot].solver;
    if (network) {
        beamd_design_lay(&task->scratch, &task->slot[slot].view.scene.dims, task->scratch_columns);
        const beam_code code = beam_inference_compute_ideal(batch->inference, batch->model->model,
                                                            solver, &task->scratch.design, err);
        if (code == BEAM_OK) {
            task->rate_end_cut[slot] = true;
            return BEAM_OK;
        }
    }
    const uint64_t now_ns = beamd_clock_ns();
    task->limit_ns = share_ns > now_ns ? now_ns + (share_ns - now_ns) / 2 : now_ns;
    const beam_code code = beam_solver_compute_rate_end(solver, err);
    task->rate_end_cut[slot] =
        batch->backend == BEAMD__BACKEND__BACKEND_CHECK || task_expired(task);
    return code;
}

static beam_code load_slot(beamd_task *task, int slot, bool network, uint64_t share_ns,
                           beam_error *err)
{
    beamd_slot *s = &task->slot[slot];
    s->loaded = false;
    const bool check = task->batch->backend == BEAMD__BACKEND__BACKEND_CHECK;
    set_options(task, slot, check ? always_expired : task_expired);
    beam_code code = beam_solver_load(s->solver, &s->view.scene, err);
    if (code == BEAM_OK && !(task->need_sensing_end && task->need_rate_end[slot])) {
        code = beam_solver_set_ideal(s->solver, &task->ideal[slot], err);
    }
    if (code == BEAM_OK) {
        code = prepare_sensing(task, slot, err);
    }
    if (code == BEAM_OK && task->need_rate_end[slot]) {
        code = prepare_rate(task, slot, network, share_ns, err);
    }
    s->loaded = code == BEAM_OK;
    return code;
}

void beamd_batch_load_slot(beamd_task *task, int slot, uint64_t share_ns)
{
    beamd_slot *s = &task->slot[slot];
    if (!s->loaded) {
        s->error = (beam_error){.code = BEAM_OK};
        s->code = load_slot(task, slot, false, share_ns, &s->error);
    }
}

/* Why the network is not asked, as far as it is known before. */
static beamd_fallback excluded_of(const beamd_task *task)
{
    const beamd_batch *batch = task->batch;
    if (task->excluded != BEAMD_FALLBACK_NONE ||
        batch->backend != BEAMD__BACKEND__BACKEND_NETWORK) {
        return task->excluded;
    }
    return !batch->model       ? BEAMD_FALLBACK_NO_MODEL
           : !batch->inference ? BEAMD_FALLBACK_MEMORY
                               : BEAMD_FALLBACK_NONE;
}

static void prepare_slot(beamd_task *task, int slot, bool network, uint64_t share_ns)
{
    beamd_slot *s = &task->slot[slot];
    s->error = (beam_error){.code = BEAM_OK};
    s->code = load_slot(task, slot, network, share_ns, &s->error);
    if (s->code == BEAM_OK) {
        task->ideal_found[slot] = beam_solver_ideal(s->solver);
        task->ideal_known[slot] = true;
    }
    for (int p = 0; p < task->preferences; p++) {
        beamd_answer *answer = answer_of(task, slot, p);
        answer->code = s->code;
        answer->error = s->error;
        answer->ideal = task->ideal_found[slot];
        answer->present = false;
        answer->backend = BEAMD__BACKEND__BACKEND_NONE;
        answer->fallback = excluded_of(task);
        answer->below_classical = false;
    }
}

/* --- Answers --- */

static const beam_design *warm_of(const beamd_task *task, int slot, int preference)
{
    const beamd_slot *s = &task->slot[slot];
    return s->warm_given[preference] ? &s->warm[preference].design : NULL;
}

/* Something was left out for want of time. */
static Beamd__Service service_of(const beamd_task *task, const beamd_answer *answer)
{
    return task->reduced || answer->result.status == BEAM_STATUS_TIME_LIMIT
               ? BEAMD__SERVICE__SERVICE_REDUCED
               : BEAMD__SERVICE__SERVICE_FULL;
}

static void answer_by_check(beamd_task *task, int slot, int preference)
{
    beamd_answer *answer = answer_of(task, slot, preference);
    const Beamd__Backend check = BEAMD__BACKEND__BACKEND_CHECK;
    answer->error = (beam_error){.code = BEAM_OK};
    answer->code = fault_problem(task->batch, check)
                       ? beam_fail(&answer->error, BEAM_E_NUMERIC, NULL, "made to fail")
                       : beam_solver_recheck(task->slot[slot].solver, answer->tradeoff,
                                             warm_of(task, slot, preference), &answer->out.design,
                                             &answer->result, &answer->error);
    if (fault_nan(task->batch, check)) {
        fault_spoil(&answer->out.design);
    }
    answer->backend = check;
    answer->service = BEAMD__SERVICE__SERVICE_CHECKED;
}

/* What the check was asked for and does not answer although the scene is good. */
static void note_check(beamd_batch *batch, const beamd_slot *slot, const beamd_answer *answer)
{
    if (batch->backend == BEAMD__BACKEND__BACKEND_CHECK && slot->code == BEAM_OK &&
        answer->code != BEAM_OK) {
        beamd_batch_count_failure(batch);
    }
}

static void answer_by_solver(beamd_task *task, int slot, int preference)
{
    beamd_batch *batch = task->batch;
    beamd_answer *answer = answer_of(task, slot, preference);
    answer->error = (beam_error){.code = BEAM_OK};
    set_options(task, slot, task_expired);
    const Beamd__Backend solver = BEAMD__BACKEND__BACKEND_SOLVER;
    answer->code = fault_problem(batch, solver)
                       ? beam_fail(&answer->error, BEAM_E_NUMERIC, NULL, "made to fail")
                       : beam_solver_solve(task->slot[slot].solver, answer->tradeoff,
                                           warm_of(task, slot, preference), &answer->out.design,
                                           &answer->result, &answer->error);
    if (fault_nan(batch, solver)) {
        fault_spoil(&answer->out.design);
    }
    answer->backend = solver;
    answer->service = service_of(task, answer);
    if (answer->code != BEAM_OK) {
        if (batch->backend == BEAMD__BACKEND__BACKEND_SOLVER) {
            beamd_batch_count_failure(batch);
        }
        answer_by_check(task, slot, preference);
    }
}

/* --- The network --- */

static bool may_ask(const beamd_batch *self, const beamd_task *task)
{
    return self->backend == BEAMD__BACKEND__BACKEND_NETWORK && self->model && self->inference &&
           task->excluded == BEAMD_FALLBACK_NONE && !task->one_solver;
}

static void share_refinement(beamd_batch *self)
{
    uint64_t stop_ns = UINT64_MAX;
    const uint64_t now_ns = beamd_clock_ns();
    for (unsigned t = 0; t < self->tasks; t++) {
        const uint64_t at_ns = self->task[t]->stop_at_ns;
        stop_ns = may_ask(self, self->task[t]) && at_ns < stop_ns ? at_ns : stop_ns;
    }
    const unsigned left = self->requests > self->served ? self->requests - self->served : 1;
    self->limit_ns = stop_ns > now_ns ? now_ns + (stop_ns - now_ns) / left : now_ns;
}

/* After each request: the time that is left for refinements is shared by those that follow. */
static void network_mark(void *arg, beam_stage finished)
{
    beamd_batch *self = arg;
    if (finished == BEAM_STAGE_EXPORT) {
        self->served++;
        share_refinement(self);
    }
}

static void add_requests(beamd_batch *self, unsigned t)
{
    beamd_task *task = self->task[t];
    for (int i = 0; i < task->subbands; i++) {
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer *answer = answer_of(task, i, p);
            if (task->slot[i].code != BEAM_OK) {
                continue;
            }
            if (self->requests == BEAMD_BATCH_PROBLEMS) {
                answer->fallback = BEAMD_FALLBACK_MEMORY;
                continue;
            }
            const unsigned at = self->requests++;
            set_options(task, i, network_expired);
            self->asked[at].task = (unsigned char)t;
            self->asked[at].slot = (unsigned char)i;
            self->asked[at].preference = (unsigned char)p;
            self->request[at] = (beam_network_request){.solver = task->slot[i].solver,
                                                       .tradeoff = answer->tradeoff,
                                                       .warm = warm_of(task, i, p),
                                                       .refine = task->refine,
                                                       .out = &answer->out.design,
                                                       .result = &answer->result,
                                                       .detail = &self->detail[at]};
        }
    }
}

/* Answers request `at`, or leaves it to the solver. code: of the call that held it. */
static void take_network(beamd_batch *self, unsigned at, beam_code code)
{
    beamd_task *task = self->task[self->asked[at].task];
    beamd_answer *answer = answer_of(task, self->asked[at].slot, self->asked[at].preference);
    const bool served = code == BEAM_OK || code == BEAM_E_NUMERIC;
    if (fault_problem(self, BEAMD__BACKEND__BACKEND_NETWORK) ||
        fault_nan(self, BEAMD__BACKEND__BACKEND_NETWORK)) {
        self->detail[at].network_merit = NAN;
    }
    if (!served || !isfinite(self->detail[at].network_merit)) {
        answer->fallback = fallback_of(served ? BEAM_E_NUMERIC : code);
        if (answer->fallback == BEAMD_FALLBACK_NUMERIC) {
            beamd_batch_count_failure(self);
        }
        return;
    }
    /* refined or not, it is the network's; result.iterations tells the difference */
    if (self->detail[at].chosen == BEAM_METHOD_NETWORK &&
        answer->result.method == BEAM_METHOD_BOBLRBF) {
        answer->result.method = BEAM_METHOD_NETWORK;
    }
    answer->code = BEAM_OK;
    answer->backend = BEAMD__BACKEND__BACKEND_NETWORK;
    answer->service = service_of(task, answer);
}

/* All of them at once. A call that refuses one serves none: then one after the other. */
static void run_network(beamd_batch *self)
{
    beam_error error;
    share_refinement(self);
    beam_inference_set_mark(self->inference, network_mark, self);
    const beam_code all = beam_inference_run(self->inference, self->model->model,
                                             (int)self->requests, self->request, &error);
    const bool served = all == BEAM_OK || all == BEAM_E_NUMERIC;
    for (unsigned at = 0; at < self->requests; at++) {
        beam_code code = all;
        if (!served) {
            self->detail[at].network_merit = INFINITY;
            code = beam_inference_run(self->inference, self->model->model, 1, &self->request[at],
                                      &error);
        }
        take_network(self, at, code);
    }
    beam_inference_set_mark(self->inference, NULL, NULL);
}

/* --- The batch --- */

/* Spare tasks: subband after subband with the one solver. */
static void run_spare(beamd_batch *self, unsigned t)
{
    beamd_task *task = self->task[t];
    for (int i = 0; i < task->subbands; i++) {
        prepare_slot(task, i, false, 0);
        beamd_slot *s = &task->slot[i];
        if (s->code == BEAM_OK) {
            s->code = beamd_check_load(task, i, &s->error);
        }
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer *answer = answer_of(task, i, p);
            answer->code = s->code;
            answer->error = s->error;
            if (s->code == BEAM_OK) {
                answer_by_check(task, i, p);
            }
            if (answer->code == BEAM_OK) {
                beamd_check_run(task, i, answer);
            }
            note_check(self, s, answer);
        }
    }
}

static void prepare_task(beamd_batch *self, unsigned t, unsigned *left)
{
    beamd_task *task = self->task[t];
    const bool network = may_ask(self, task);
    for (int i = 0; i < task->subbands; i++) {
        prepare_slot(task, i, network, share_until(self, t, *left));
        *left -= (unsigned)task->preferences;
    }
}

/* What the network has not answered. */
void beamd_batch_solve_task(beamd_batch *self, unsigned t)
{
    beamd_task *task = self->task[t];
    unsigned left = problems_of(task);
    for (int i = 0; i < task->subbands; i++) {
        for (int p = 0; p < task->preferences; p++, left--) {
            const beamd_answer *answer = answer_of(task, i, p);
            if (answer->code != BEAM_OK || answer->backend != BEAMD__BACKEND__BACKEND_NONE) {
                continue;
            }
            if (self->backend == BEAMD__BACKEND__BACKEND_CHECK) {
                answer_by_check(task, i, p);
                continue;
            }
            task->limit_ns = share_until(self, t, left);
            self->by_solver += self->backend == BEAMD__BACKEND__BACKEND_NETWORK;
            answer_by_solver(task, i, p);
            note_overrun(self, task->limit_ns);
        }
    }
}

/* Exact numbers; an answer that has none is replaced by the check's. */
void beamd_batch_check_task(beamd_batch *self, unsigned t)
{
    beamd_task *task = self->task[t];
    for (int i = 0; i < task->subbands; i++) {
        beamd_slot *s = &task->slot[i];
        if (s->code == BEAM_OK) {
            s->code = beamd_check_load(task, i, &s->error);
        }
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer *answer = answer_of(task, i, p);
            if (s->code != BEAM_OK) {
                answer->code = s->code;
                answer->error = s->error;
            }
            if (answer->code != BEAM_OK) {
                note_check(self, s, answer);
                continue;
            }
            beamd_check_run(task, i, answer);
            note_check(self, s, answer);
            if (answer->code != BEAM_OK && answer->backend != BEAMD__BACKEND__BACKEND_CHECK) {
                beamd_batch_count_failure(self);
                answer_by_check(task, i, p);
                if (answer->code == BEAM_OK) {
                    beamd_check_run(task, i, answer);
                }
            }
        }
    }
}

static void run_tasks(beamd_batch *self)
{
    for (unsigned t = 0; t < self->tasks; t++) {
        unsigned left = problems_of(self->task[t]);
        self->task[t]->batch = self;
        if (self->task[t]->one_solver) {
            run_spare(self, t);
        } else {
            prepare_task(self, t, &left);
            if (may_ask(self, self->task[t])) {
                add_requests(self, t);
            }
        }
    }
    if (self->requests > 0) {
        run_network(self);
    }
    for (unsigned t = 0; t < self->tasks; t++) {
        if (!self->task[t]->one_solver) {
            beamd_batch_solve_task(self, t);
        }
    }
    self->end_ns = beamd_clock_ns();
    for (unsigned t = 0; t < self->tasks; t++) {
        if (!self->task[t]->one_solver) {
            beamd_batch_check_task(self, t);
        }
    }
}

void beamd_batch_begin(beamd_batch *self)
{
    self->start_ns = beamd_clock_ns();
    self->failed = false;
    self->failures = self->by_solver = 0;
    self->requests = self->served = 0;
    self->overrun_ns = 0;
}

void beamd_batch_run(beamd_job *job)
{
    beamd_batch *self = (beamd_batch *)job;
    beamd_batch_begin(self);
    fault_begin(self);
    run_tasks(self);
    self->checked_ns = beamd_clock_ns();
}
