/* What threads do of a batch that a GPU's worker answers: everything before and after. No lock, no
 * allocation, no log. */
#include "clock.h"
#include "gpu_batch.h"
#include "work.h"

static beamd_answer *answer_of(const beamd_task *task, int slot, int preference)
{
    return task->answer[slot * BEAM_WIRE_MAX_PREFERENCES + preference];
}

/* --- Packing --- */

/* New targets: their least CRLB, the same for all subbands. What fails stays unasked and is the
 * solver's afterwards. */
static void find_sensing_end(beamd_task *task)
{
    beamd_batch_load_slot(task, 0, 0);
    if (task->slot[0].code != BEAM_OK) {
        return;
    }
    const double crlb_min_m2 = beam_solver_ideal(task->slot[0].solver).crlb_min_m2;
    for (int i = 0; i < task->subbands; i++) {
        task->ideal[i].crlb_min_m2 = crlb_min_m2;
    }
    if (task->has_sensing_rows_out) { /* else those of the earlier geometry are used */
        task->sensing_rows = task->rows;
        task->sensing_rows_moved = false;
    }
    task->need_sensing_end = false;
}

void beamd_gpu_pack_run(beamd_job *job)
{
    beamd_batch *self = (beamd_batch *)job;
    beamd_gpu_flight *flight = self->gpu;
    beamd_batch_begin(self);
    for (unsigned t = 0; t < self->tasks; t++) {
        beamd_task *task = self->task[t];
        task->batch = self;
        task->limit_ns = task->stop_at_ns;
        for (int i = 0; i < task->subbands; i++) {
            task->slot[i].loaded = false;
            task->slot[i].code = BEAM_OK;
        }
        if (task->need_sensing_end && task->subbands > 0) {
            find_sensing_end(task);
        }
    }
    flight->error = (beam_error){.code = BEAM_OK};
    flight->code = beamd_gpu_batch_pack(self, &flight->places, flight->claim.request,
                                        flight->claim.request_bytes, flight->claim.answer_bytes,
                                        &flight->bytes, &flight->error);
    self->end_ns = self->checked_ns = beamd_clock_ns();
}

/* --- Taking --- */

static void prepare_answers(beamd_task *task)
{
    for (int i = 0; i < task->subbands; i++) {
        task->ideal_found[i] = task->ideal[i];
        task->ideal_known[i] = true;
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer *answer = answer_of(task, i, p);
            answer->code = task->slot[i].code;
            answer->error = task->slot[i].error;
            answer->ideal = task->ideal[i];
            answer->present = false;
            answer->backend = BEAMD__BACKEND__BACKEND_NONE;
            answer->fallback = BEAMD_FALLBACK_NUMERIC;
            answer->below_classical = false;
        }
    }
}

/* The solver needs the scene of what the worker has not answered. */
static void load_unanswered(beamd_batch *self, beamd_task *task)
{
    for (int i = 0; i < task->subbands; i++) {
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer *answer = answer_of(task, i, p);
            if (answer->backend != BEAMD__BACKEND__BACKEND_NONE || answer->code != BEAM_OK) {
                continue;
            }
            beamd_batch_count_failure(self);
            beamd_batch_load_slot(task, i, task->stop_at_ns);
            answer->code = task->slot[i].code;
            answer->error = task->slot[i].error;
        }
    }
}

/* Which one is another at every batch. */
static void audit(beamd_batch *self)
{
    const beamd_gpu_places *places = &self->gpu->places;
    for (unsigned k = 0; k < places->problems; k++) {
        const unsigned at = (unsigned)((self->batches + k) % places->problems);
        beamd_task *task = self->task[places->asked[at].task];
        beamd_answer *answer =
            answer_of(task, places->asked[at].slot, places->asked[at].preference);
        if (answer->backend == BEAMD__BACKEND__BACKEND_GPU) {
            beamd_check_classical(task, places->asked[at].slot, answer);
            return;
        }
    }
}

static bool fell_behind(const beamd_task *task)
{
    for (int i = 0; i < task->subbands; i++) {
        for (int p = 0; p < task->preferences; p++) {
            const beamd_answer *answer = answer_of(task, i, p);
            if (answer->below_classical && answer->backend == BEAMD__BACKEND__BACKEND_GPU) {
                return true;
            }
        }
    }
    return false;
}

void beamd_gpu_take_run(beamd_job *job)
{
    beamd_batch *self = (beamd_batch *)job;
    beamd_gpu_flight *flight = self->gpu;
    self->batches++;
    for (unsigned t = 0; t < self->tasks; t++) {
        prepare_answers(self->task[t]);
    }
    (void)beamd_gpu_batch_unpack(self, &flight->places, flight->claim.answer, flight->ticket,
                                 &flight->code);
    flight->distrusted = flight->code == BEAM_E_INVALID;
    for (unsigned t = 0; t < self->tasks; t++) {
        load_unanswered(self, self->task[t]);
        beamd_batch_solve_task(self, t);
    }
    audit(self);
    self->end_ns = beamd_clock_ns();
    for (unsigned t = 0; t < self->tasks; t++) {
        beamd_batch_check_task(self, t);
        if (fell_behind(self->task[t])) {
            beamd_batch_count_failure(self);
            flight->distrusted = true;
        }
    }
    self->checked_ns = beamd_clock_ns();
}
