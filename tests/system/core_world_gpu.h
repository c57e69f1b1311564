/* A GPU's worker in the core's simulated world: core_world.h. */
#ifndef TEST_CORE_WORLD_GPU_H
#define TEST_CORE_WORLD_GPU_H

#include "core_internal.h"
#include "system/core_world.h"

enum { DEADLINE_MS = 30000 /* of the world's configuration */ };

/* As world_new, with a worker of so many slots, a thread for it, the model that is built in, and
 * batches as large as they may be. */
world *world_new_gpu(unsigned threads, unsigned slots);
/* Runs and returns the oldest job before or after a worker. */
void finish_gpu(world *w);
/* The worker answers the batch with the beams that it was given to start from. */
void answer_batch(world *w, beamd_batch *batch);
/* The event alone: the answer's memory is as it is. */
void end_batch(world *w, beamd_batch *batch, beamd_gpu_fate fate, beamd_gpu_loss loss);
void lose(world *w, beamd_batch *batch, beamd_gpu_loss loss);

uint64_t ms(uint64_t n); /* nanoseconds */
beamd_cluster *cluster_of(world *w, const char *id);
beamd_backend_health *gpu_health(world *w);
/* Measured times that do not hang on this machine; gpu_ns 0: not measured yet. */
void set_times(beamd_cluster *c, double gpu_ns);
/* Registered, and CSI 1 answered: by the CPU, which finds the best rate of every subband and the
 * beams to start from. Forgets what went out. */
void warm_cluster(world *w, const char *id, const beam_scene *scene, unsigned bands);
/* One solver thread, and cluster "c" of one subband. */
world *warm_world(unsigned slots, const beam_scene *scene);
/* Packs the oldest batch and hands it to the worker. */
beamd_batch *fly(world *w);
/* The answer to CSI `sequence`, which has gone out to this peer in time. */
const sent *answered(const world *w, char peer, uint64_t sequence);
void no_slot_is_held(const world *w);
/* Of the world and its scene. */
void end(world *w, beam_scene *scene);

#endif
