/* Where everything of a refinement lies (device/refine_plan.cuh). Host only; internal to the gpu
 * library. */
#ifndef BEAM_GPU_PLAN_REFINE_H
#define BEAM_GPU_PLAN_REFINE_H

#include "device/refine_plan.cuh"

#ifdef __cplusplus
extern "C" {
#endif

/* For problems of the sizes of `base`, with `pairs` past steps (at most BEAM_GPU_REFINE_PAIRS_MAX):
 * the steps in float32 in the subspace (bits 32), or in float64 in the space of the antennas (64).
 * fast_limit: bytes of fast memory. */
void beam_gpu_refine_plan_make(beam_gpu_refine_plan *plan, const beam_gpu_plan *base, int bits,
                               int pairs, int fast_limit);

/* Slow memory of a team of beam_gpu_launch_refine that is enough for problems of the sizes of
 * `base` whatever fast memory it has. */
size_t beam_gpu_refine_slow_bytes(const beam_gpu_plan *base);

#ifdef __cplusplus
}
#endif
#endif
