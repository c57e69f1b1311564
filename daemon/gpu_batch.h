/* A batch of tasks into the memory of a GPU's worker, and its answers into theirs. In any thread,
 * as long as the batch and the slot are its own; no allocation, no lock, no log. */
#ifndef BEAMD_GPU_BATCH_H
#define BEAMD_GPU_BATCH_H

#include "ring/pack.h"
#include "task.h"

/* Which problems were asked for, and where their answers lie. Of the batch while it is under way.
 */
typedef struct beamd_gpu_places {
    unsigned problems;
    beamg_place place[BEAMD_BATCH_PROBLEMS];
    struct {
        unsigned char task, slot, preference;
    } asked[BEAMD_BATCH_PROBLEMS];
} beamd_gpu_places;

/* Memory that holds any batch of so many problems of these sizes (each with a scene and warm beams
 * of sensing_max columns), rounded up to what slots are made of. */
void beamd_gpu_batch_bytes(const beam_dims *dims, int sensing_max, unsigned problems,
                           size_t *request, size_t *answer);

/* Every problem that the network may be asked for and whose ideal values are known; *bytes of
 * `request` are to be submitted, 0: there is none, nothing failed. BEAM_E_LIMIT: it does not fit.
 */
beam_code beamd_gpu_batch_pack(const beamd_batch *batch, beamd_gpu_places *places, void *request,
                               size_t request_bytes, size_t answer_bytes, uint64_t *bytes,
                               beam_error *err);

/* After the batch's slots are prepared (answers as prepare_slot leaves them): the beams of every
 * problem that has some, to be rounded and measured like any backend's. What has none keeps
 * BACKEND_NONE and a fallback. Returns how many were taken. BEAM_E_INVALID in *code: this is no
 * answer of ours; nothing was taken, and the worker is to be distrusted (beamd_gpu_distrust). */
unsigned beamd_gpu_batch_unpack(beamd_batch *batch, const beamd_gpu_places *places,
                                const void *answer, uint64_t ticket, beam_code *code);

#endif
