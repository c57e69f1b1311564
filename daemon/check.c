/* What leaves is what was measured: the beams are rounded first, as they will be received, then
 * evaluated, and then held to the classical promise. */
#include <math.h>
#include <string.h>

#include "work.h"

/* Powers stay inside the budget by this factor before they are rounded toward zero. */
#define BUDGET_INSIDE (1 - 1e-12)
/* Rounding to float32 moves a merit by about 1e-6 at high SINR; beyond this the guard has failed.
 */
#define MERIT_SLACK 1e-4

beam_code beamd_check_load(beamd_task *task, int slot, beam_error *err)
{
    const beam_scene *scene = &task->slot[slot].view.scene;
    if (task->evaluator_users != scene->dims.users) {
        task->evaluator_users = -1;
        const beam_code code =
            beam_evaluator_init(&task->evaluator, &scene->dims, task->scratch_columns,
                                task->evaluator_memory, task->evaluator_size, err);
        if (code != BEAM_OK) {
            return code;
        }
        task->evaluator_users = scene->dims.users;
    }
    return beam_evaluator_load(task->evaluator, scene, err);
}

/* Encodes rows toward zero and reads them back, as the receiver will. False: a value is not finite.
 */
static bool round_rows(Beamd__ComplexArray *array, const beamd_format *format, beam_complex *rows,
                       unsigned char *out, size_t capacity)
{
    array->data = (ProtobufCBinaryData){0, out};
    return beam_wire_array_encode(array, format->element, format->bits, BEAM_WIRE_ROUND_TOWARD_ZERO,
                                  &rows[0].re, capacity) == 0 &&
           beam_wire_array_decode(array, "beams", array->shape, array->n_shape, &rows[0].re,
                                  NULL) == 0;
}

/* Of the element types whose rounding costs more than the slack: there an answer that falls behind
 * the classical one is no fault. */
static bool is_coarse(const beamd_format *format)
{
    return format->element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16 ||
           format->element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP;
}

static bool encode_beams(const beamd_task *task, beamd_answer *answer)
{
    beam_design *d = &answer->out.design;
    beamd__complex_array__init(&answer->beams);
    answer->beams_shape[0] = (uint32_t)d->dims.users;
    answer->beams_shape[1] = (uint32_t)d->dims.antennas;
    answer->beams.n_shape = 2;
    answer->beams.shape = answer->beams_shape;
    return round_rows(&answer->beams, &task->format, d->beams, answer->beam_bytes,
                      answer->beam_capacity);
}

/* As many columns as the station that uses most. */
static bool encode_sensing(const beamd_task *task, beamd_answer *answer)
{
    beam_design *d = &answer->out.design;
    const size_t row = (size_t)d->dims.antennas;
    int columns = 0;
    for (int l = 0; l < d->dims.stations; l++) {
        columns = d->sensing_count[l] > columns ? d->sensing_count[l] : columns;
    }
    const size_t block = (size_t)columns * row, stride = (size_t)d->sensing_max * row;
    for (int l = 0; l < d->dims.stations; l++) {
        const size_t used = (size_t)d->sensing_count[l] * row;
        beam_complex *to = task->compact + (size_t)l * block;
        memcpy(to, d->sensing + (size_t)l * stride, used * sizeof *to);
        memset(to + used, 0, (block - used) * sizeof *to);
    }
    beamd__complex_array__init(&answer->sensing);
    answer->sensing_shape[0] = (uint32_t)d->dims.stations;
    answer->sensing_shape[1] = (uint32_t)columns;
    answer->sensing_shape[2] = (uint32_t)d->dims.antennas;
    answer->sensing.n_shape = 3;
    answer->sensing.shape = answer->sensing_shape;
    const bool finite = round_rows(&answer->sensing, &task->format, task->compact,
                                   answer->sensing_bytes, answer->sensing_capacity);
    for (int l = 0; l < d->dims.stations; l++) {
        memcpy(d->sensing + (size_t)l * stride, task->compact + (size_t)l * block,
               block * sizeof *d->sensing);
    }
    return finite;
}

/* Rounds, and gives the exact numbers of what is sent. */
static beam_code evaluate(beamd_task *task, int slot, beamd_answer *answer)
{
    const beam_scene *scene = &task->slot[slot].view.scene;
    beam_design_fit_budget(&answer->out.design, scene->user_station, scene->station_power_w,
                           BUDGET_INSIDE);
    if (!encode_beams(task, answer) || !encode_sensing(task, answer)) {
        return beam_fail(&answer->error, BEAM_E_NUMERIC, NULL, "a beam is not finite");
    }
    const beam_code code =
        beam_evaluator_run(task->evaluator, &answer->out.design, &answer->quality, &answer->error);
    if (code != BEAM_OK) {
        return code;
    }
    const beam_quality *q = &answer->quality;
    const double f1 = beam_loss_rate(&answer->ideal, q->wsr_worst_case_bps_hz);
    const double f2 = beam_loss_sensing(&answer->ideal, q->crlb_valid, q->crlb_m2);
    answer->merit =
        beam_merit(&answer->ideal, beam_preference_from_tradeoff(answer->tradeoff), f1, f2);
    if (!isfinite(q->wsr_worst_case_bps_hz) || !isfinite(q->crlb_m2) || isnan(answer->merit)) {
        return beam_fail(&answer->error, BEAM_E_NUMERIC, NULL,
                         "the beams have no finite rate or bound");
    }
    return BEAM_OK;
}

/* "No answer is worse than the classical one" is the promise of solver and network; here it is held
 * even if that fails. With minimum rates a larger merit is right when the classical design falls
 * shorter of them. */
static beam_code hold_promise(beamd_task *task, int slot, beamd_answer *answer)
{
    const double classical = answer->result.classical_merit;
    if (!(answer->merit > classical + MERIT_SLACK * (1 + fabs(classical)))) {
        return BEAM_OK;
    }
    const double merit = answer->merit, shortfall = answer->quality.shortfall_bps_hz;
    beam_design *kept = &task->scratch.design, *out = &answer->out.design;
    beamd_design_lay(&task->scratch, &out->dims, out->sensing_max);
    beam_result result;
    beam_code code = beam_design_copy(kept, out, &answer->error);
    if (code == BEAM_OK) {
        beamd_batch_load_slot(task, slot, 0); /* what a GPU answered was not loaded here yet */
        code = task->slot[slot].code;
    }
    if (code == BEAM_OK) {
        code = beam_solver_classical(task->slot[slot].solver, BEAM_CLASSICAL_RZF,
                                     BEAM_SENSING_LEAST_CRLB, answer->tradeoff, out, &result,
                                     &answer->error);
    }
    if (code == BEAM_OK) {
        code = evaluate(task, slot, answer);
    }
    if (code == BEAM_OK && answer->quality.shortfall_bps_hz <= shortfall * (1 + 1e-9) &&
        answer->merit < merit) {
        answer->below_classical = !is_coarse(&task->format);
        answer->result.method = BEAM_METHOD_CLASSICAL;
        answer->result.classical_merit = answer->merit;
        answer->result.classical_is_bound = false;
        return BEAM_OK;
    }
    if (code == BEAM_OK) {
        answer->result.classical_merit = fmax(classical, answer->merit);
        answer->result.classical_is_bound = false;
    }
    answer->error = (beam_error){.code = BEAM_OK}; /* the classical one is no answer: ours is */
    code = beam_design_copy(out, kept, &answer->error);
    return code == BEAM_OK ? evaluate(task, slot, answer) : code;
}

void beamd_check_classical(beamd_task *task, int slot, beamd_answer *answer)
{
    beamd_design_lay(&task->scratch, &answer->out.design.dims, answer->out.design.sensing_max);
    beam_result result;
    beamd_batch_load_slot(task, slot, 0);
    if (task->slot[slot].code == BEAM_OK &&
        beam_solver_classical(task->slot[slot].solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                              answer->tradeoff, &task->scratch.design, &result, NULL) == BEAM_OK) {
        answer->result.classical_merit = result.merit;
        answer->result.classical_is_bound = false;
    }
}

void beamd_check_run(beamd_task *task, int slot, beamd_answer *answer)
{
    answer->below_classical = false;
    answer->code = evaluate(task, slot, answer);
    if (answer->code == BEAM_OK) {
        answer->code = hold_promise(task, slot, answer);
    }
    answer->present = answer->code == BEAM_OK;
}
