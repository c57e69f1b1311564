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

/* Where a batch for a GPU is. */
typedef enum beamd_gpu_phase {
    BEAMD_GPU_IDLE = 0,
    BEAMD_GPU_PACKING = 1, /* on a thread */
    BEAMD_GPU_FLYING = 2,  /* with the worker */
    BEAMD_GPU_WAITING = 3, /* answered; no thread was free */
    BEAMD_GPU_TAKING = 4   /* on a thread: unpacked, rounded, measured */
} beamd_gpu_phase;

/* A slot of a worker, as the core was given it. */
typedef struct beamd_gpu_slot {
    unsigned device, slot;
    void *request;      /* of request_bytes */
    const void *answer; /* of answer_bytes */
    size_t request_bytes, answer_bytes;
} beamd_gpu_slot;

/* What a batch for a GPU has besides. */
struct beamd_gpu_flight {
    beamd_gpu_phase phase;
    beamd_gpu_slot claim;
    uint64_t ticket; /* of the link */
    uint64_t bytes;  /* packed; 0: nothing is to be sent */
    beamd_gpu_places places;
    beam_code code; /* of packing; of unpacking, BEAM_E_INVALID: the worker is not to be trusted */
    beam_error error;
    bool distrusted; /* its answers were garbage, or worse than the classical ones */
};

/* Memory that holds any batch of so many problems of these sizes (each with a scene and warm beams
 * of sensing_max columns), rounded up to what slots are made of. */
void beamd_gpu_batch_bytes(const beam_dims *dims, int sensing_max, unsigned problems,
                           size_t *request, size_t *answer);

/* The most problems that a slot of these sizes holds for certain; at most BEAMD_BATCH_PROBLEMS. */
unsigned beamd_gpu_batch_most(const beam_dims *dims, int sensing_max, size_t request,
                              size_t answer);

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

/* Jobs of a batch with `gpu` set (gpu_job.c), before and after the worker has it. Packing finds the
 * least CRLB of new targets first: it is quick wherever it is asked for on this path. Taking rounds
 * and measures every answer as of any backend, computes the classical answer to one problem of the
 * batch itself (the worker's word for the others), and gives the solver what has no answer. */
void beamd_gpu_pack_run(beamd_job *job);
void beamd_gpu_take_run(beamd_job *job);

#endif
