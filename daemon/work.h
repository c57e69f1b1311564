/* What clusters, tasks and jobs are laid out with, and the exact check of an answer. Inside of the
 * worker side: cluster*.c, task.c, batch.c, check.c, refresh.c. */
#ifndef BEAMD_WORK_H
#define BEAMD_WORK_H

#include "cluster.h"

/* Rows of a carve: with a NULL base the same calls only count, so that the size and the layout
 * agree. */
typedef struct beamd_arena {
    unsigned char *base;
    size_t used;
} beamd_arena;

static inline void *beamd_arena_take(beamd_arena *a, size_t bytes)
{
    const size_t at = (a->used + 63u) & ~(size_t)63u;
    a->used = at + bytes;
    return a->base ? a->base + at : NULL;
}
static inline size_t beamd_arena_size(const beamd_arena *a)
{
    return (a->used + 63u) & ~(size_t)63u;
}
/* 64-byte aligned, zeroed, so that it is touched now and not at the first CSI. NULL: none. */
void *beamd_block_create(size_t bytes);

void beamd_view_carve(beamd_view *view, beamd_arena *a, const beam_dims *max);
int beamd_view_lay(beamd_view *view, const beam_dims *dims, beam_wire_error *err);
/* Everything but channels and radii; `to` is laid for as many users. */
void beamd_view_copy_frame(beamd_view *to, const beamd_view *from);
/* Lays `to` anew and copies `live` with the channels of subband `band`, radii enlarged by their age
 * at now_ns. Returns the largest ratio of a radius to what it was, see beamd_answer.error_growth.
 */
double beamd_view_copy_band(const beamd_cluster *cluster, beamd_view *to, int band,
                            uint64_t now_ns);

void beamd_design_carve(beamd_held_design *held, beamd_arena *a, const beam_dims *max,
                        int sensing_max);
void beamd_design_lay(beamd_held_design *held, const beam_dims *dims, int sensing_max);

/* Takes the answers of preference `preference` of every slot that it has not got yet. -1: no
 * memory; what was taken stays. */
int beamd_task_take_answers(beamd_task *self, const beamd_cluster *cluster, int preference);

/* The design in answer->out as it will leave: inside the budgets, rounded toward zero to the task's
 * element type and written into answer->beams and answer->sensing; then its exact numbers. The
 * evaluator of the task holds the scene of `slot` (beamd_check_load), its solver too. An answer
 * that is worse than the classical design becomes that one. answer->code says whether it can be
 * sent. */
beam_code beamd_check_load(beamd_task *task, int slot, beam_error *err);
void beamd_check_run(beamd_task *task, int slot, beamd_answer *answer);

/* Parts of a batch's run, for those whose problems are solved elsewhere (gpu_job.c). */
void beamd_batch_begin(beamd_batch *self);
/* Counts what the backend should have answered and did not. */
void beamd_batch_count_failure(beamd_batch *self);
/* The solver of a slot with its scene, ideal values and sensing rows, unless it has them: computes
 * the least CRLB and the best rate where the task needs them. slot->code and slot->error say how it
 * went. share_ns: until then, for the best rate. */
void beamd_batch_load_slot(beamd_task *task, int slot, uint64_t share_ns);
/* Answers by the solver what has no beams and no error yet, task t of the batch. */
void beamd_batch_solve_task(beamd_batch *self, unsigned t);
/* Rounds and measures what task t has. */
void beamd_batch_check_task(beamd_batch *self, unsigned t);
/* The answer's classical merit as found here, whatever its backend said. */
void beamd_check_classical(beamd_task *task, int slot, beamd_answer *answer);

#endif
