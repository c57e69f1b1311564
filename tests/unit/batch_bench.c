#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/batch_bench.h"

bench *bench_new(Beamd__Backend backend, beam_model *model)
{
    bench *b = test_memory(sizeof *b);
    memset(b, 0, sizeof *b);
    b->batch = test_memory(sizeof *b->batch);
    memset(b->batch, 0, sizeof *b->batch);
    b->batch->job.run = beamd_batch_run;
    b->batch->abandon = &b->abandon;
    b->batch->backend = backend;
    b->model = model;
    b->held.model = model;
    b->held.info = model ? beam_model_info_of(model) : NULL;
    b->batch->model = model ? &b->held : NULL;
    return b;
}

void bench_free(bench *b)
{
    beamd_batch_free_rooms(b->batch);
    free(b->batch);
    free(b);
}

void bench_room(bench *b, const beam_dims *dims)
{
    assert_true(beamd_batch_make_room(b->batch, b->held.info, dims, (size_t)1 << 30));
    beamd_batch_choose_room(b->batch, dims);
    assert_non_null(b->batch->inference);
}

void bench_add(bench *b, beamd_task *task)
{
    b->batch->task[b->batch->tasks++] = task;
    b->batch->problems += (unsigned)(task->subbands * task->preferences);
}

void bench_run(bench *b)
{
    b->batch->job.run(&b->batch->job);
    assert_true(b->batch->start_ns > 0 && b->batch->end_ns >= b->batch->start_ns &&
                b->batch->checked_ns >= b->batch->end_ns);
}

void bench_clear(bench *b)
{
    b->batch->tasks = b->batch->problems = 0;
}

beamd_answer *answer_at(const beamd_task *task, int slot, int preference)
{
    return task->answer[beamd_problem_index(slot, preference)];
}

/* Reads the bytes that would leave into a design of the scene's order. */
static void receive(const beamd_answer *a, const beam_scene *scene, beam_design *design)
{
    beam_wire_error err = {.text = ""};
    const size_t N = (size_t)scene->dims.antennas;
    const size_t columns = a->sensing.shape[1];
    if (beam_wire_array_decode(&a->beams, "beams", a->beams.shape, 2, &design->beams[0].re, &err) <
        0) {
        fail_msg("%s %s", err.field, err.text);
    }
    assert_int_equal(a->beams.shape[0], scene->dims.users);
    assert_int_equal(a->beams.shape[1], N);
    beam_complex *rows = test_memory(((size_t)scene->dims.stations * columns * N + 1) * 16);
    if (beam_wire_array_decode(&a->sensing, "sensing", a->sensing.shape, 3, &rows[0].re, &err) <
        0) {
        fail_msg("%s %s", err.field, err.text);
    }
    assert_int_equal(a->sensing.shape[0], scene->dims.stations);
    for (int l = 0; l < scene->dims.stations; l++) {
        design->sensing_count[l] = (int)columns;
        memcpy(test_sensing(design, l, 0), rows + (size_t)l * columns * N,
               columns * N * sizeof *rows);
    }
    free(rows);
}

/* What a client would find; the classical design of a solver of its own. */
void assert_good(const beamd_task *task, int slot, int preference)
{
    const beamd_answer *a = answer_at(task, slot, preference);
    const beam_scene *scene = &task->slot[slot].view.scene;
    beam_error err = {.code = BEAM_OK};
    if (!a->present || a->code != BEAM_OK) {
        fail_msg("no answer: %s %s", a->error.field, a->error.text);
    }
    beam_design *design = test_design_new(&scene->dims, task->scratch_columns);
    receive(a, scene, design);
    for (int l = 0; l < scene->dims.stations; l++) {
        assert_true(beam_design_power_w(design, scene->user_station, l) <=
                    scene->station_power_w[l]);
    }
    beam_evaluator *evaluator = test_evaluator_new(&scene->dims, task->scratch_columns);
    beam_quality q;
    test_must(beam_evaluator_load(evaluator, scene, &err), &err, "evaluator");
    test_must(beam_evaluator_run(evaluator, design, &q, &err), &err, "evaluator");
    assert_true(fabs(q.wsr_worst_case_bps_hz - a->quality.wsr_worst_case_bps_hz) <=
                1e-9 * (1 + q.wsr_worst_case_bps_hz));
    assert_true(q.crlb_valid == a->quality.crlb_valid);
    assert_true(fabs(q.crlb_m2 - a->quality.crlb_m2) <= 1e-9 * q.crlb_m2);
    const double merit = beam_merit(&a->ideal, beam_preference_from_tradeoff(a->tradeoff),
                                    beam_loss_rate(&a->ideal, q.wsr_worst_case_bps_hz),
                                    beam_loss_sensing(&a->ideal, q.crlb_valid, q.crlb_m2));
    assert_true(fabs(merit - a->merit) <= 1e-9 * (1 + fabs(merit)));
    beam_solver *solver = test_solver_new(&scene->dims);
    beam_result classical;
    test_must(beam_solver_load(solver, scene, &err), &err, "load");
    test_must(beam_solver_set_ideal(solver, &a->ideal, &err), &err, "ideal");
    test_must(beam_solver_classical(solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                    a->tradeoff, design, &classical, &err),
              &err, "classical");
    /* few bits: the classical design loses as well by the rounding, to the merit that is given */
    const bool coarse = task->format.element != BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32 &&
                        task->format.element != BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
    if (!coarse && !(a->merit <= classical.merit + 2e-4 * (1 + fabs(classical.merit)))) {
        fail_msg("merit %.9g, classical %.9g", a->merit, classical.merit);
    }
    assert_false(a->below_classical);
    assert_true(a->merit <= a->result.classical_merit + 2e-4 * (1 + fabs(a->merit)));
    test_solver_free(solver);
    test_evaluator_free(evaluator);
    test_design_free(design);
}

void assert_task_good(const beamd_task *task)
{
    for (int i = 0; i < task->subbands; i++) {
        for (int p = 0; p < task->preferences; p++) {
            assert_good(task, i, p);
        }
    }
}
