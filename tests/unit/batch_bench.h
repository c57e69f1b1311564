/* A batch, its model and its room, run in the thread of the test; and what every answer must keep.
 */
#ifndef TEST_BATCH_BENCH_H
#define TEST_BATCH_BENCH_H

#include "unit/batch_case.h"

typedef struct bench {
    beamd_batch *batch;
    beam_model *model;
    beamd_model held;
    atomic_bool abandon;
} bench;

/* model: NULL, or the caller's. */
bench *bench_new(Beamd__Backend backend, beam_model *model);
void bench_free(bench *b);
/* Makes room for these sizes and chooses it. */
void bench_room(bench *b, const beam_dims *dims);
void bench_add(bench *b, beamd_task *task);
void bench_run(bench *b);
void bench_clear(bench *b);

beamd_answer *answer_at(const beamd_task *task, int slot, int preference);

/* Ends the test unless the answer is there and is what a client would find in its bytes: inside the
 * budgets, of these exact numbers, and not worse than the classical design of a solver of its own.
 */
void assert_good(const beamd_task *task, int slot, int preference);
void assert_task_good(const beamd_task *task);

#endif
