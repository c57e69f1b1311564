/* Where everything of a kind of problems lies (device/plan.cuh), and packing of what travels to the
 * device and back. Host only; internal to the gpu library. */
#ifndef BEAM_GPU_PLAN_H
#define BEAM_GPU_PLAN_H

#include "beam/gpu.h"
#include "beam/design.h"
#include "device/plan.cuh"

#ifdef __cplusplus
extern "C" {
#endif

/* For problems of exactly these sizes with at most `users_per_station` users at one (0: all of
 * them); `layers`, `width`: of the model (0: none). Of the workspace the first `fast_limit` bytes
 * go to fast memory. */
beam_code beam_gpu_plan_make(beam_gpu_plan *plan, const beam_dims *dims, int users_per_station,
                             int layers, int width, int fast_limit, beam_error *err);

/* Sensing rows of a station in problems of these sizes. */
int beam_gpu_sensing_rows(const beam_dims *dims);

/* What problems of a cluster share, plan->cluster.bytes at `to`, 16-byte aligned. sensing: the
 * least-CRLB rows as a design (beams ignored), at full power. Errors: those of the scene,
 * BEAM_E_UNSUPPORTED for sensing models other than the resolved one, BEAM_E_LIMIT. */
beam_code beam_gpu_pack_cluster(const beam_gpu_plan *plan, const beam_scene *scene,
                                const beam_design *sensing, void *to, beam_error *err);
/* The same without allocating: scratch of `size` bytes, aligned to 64, beam_gpu_pack_scratch of the
 * scene's sizes or larger ones. */
beam_code beam_gpu_pack_cluster_in(const beam_gpu_plan *plan, const beam_scene *scene,
                                   const beam_design *sensing, void *scratch, size_t size, void *to,
                                   beam_error *err);
size_t beam_gpu_pack_scratch(const beam_dims *dims);

/* One request, plan->request.bytes at `to`. Channels and warm beams are rounded to float32: what is
 * answered is exact for the rounded channels. from..to_layer: layers to run;
 * candidates: bits 1 << BEAM_GPU_NETWORK and so on. */
void beam_gpu_pack_request(const beam_gpu_plan *plan, int cluster, const beam_scene *scene,
                           const beam_ideal *ideal, double tradeoff, const beam_design *warm,
                           int from, int to_layer, int candidates, void *to);

/* Beams of an answer into a design of the scene's sizes. */
void beam_gpu_unpack_design(const beam_gpu_plan *plan, const void *answer, beam_design *out);

/* Weights of an equivariant model (engine/network/arch.h) as the device reads them: floats,
 * plan->layer.count per layer. */
void beam_gpu_pack_weights(const beam_gpu_plan *plan, const float *theta, float *to);

#ifdef __cplusplus
}
#endif
#endif
