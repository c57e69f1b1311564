/* The paper's network (engine/network/mlp.h) as the device has it: where everything of a problem
 * and of a layer's weights lies, and packing of the weights. Host only; internal to the gpu
 * library. */
#ifndef BEAM_GPU_MLP_PLAN_H
#define BEAM_GPU_MLP_PLAN_H

#include "beam/error.h"
#include "beam/network.h"
#include "device/mlp_at.cuh"

#ifdef __cplusplus
extern "C" {
#endif

/* For a model of kind BEAM_MODEL_MLP. Errors, with err->field: BEAM_E_UNSUPPORTED for another kind,
 * BEAM_E_LIMIT for sizes outside the limits, BEAM_E_INVALID where info->parameters is not what they
 * need. */
beam_code beam_gpu_mlp_plan_make(beam_gpu_mlp_plan *plan, const beam_model_info *info,
                                 beam_error *err);

/* BEAM_E_LIMIT, with a sentence, unless problems of these sizes are those that the model is made
 * for (users spread evenly over the stations included: K_max). */
beam_code beam_gpu_mlp_plan_check(const beam_gpu_mlp_plan *plan, const beam_gpu_sizes *s,
                                  beam_error *err);

/* plan->count floats per layer at `to`; theta: as beam_model_write takes it. */
void beam_gpu_mlp_pack(const beam_gpu_mlp_plan *plan, const float *theta, float *to);

#ifdef __cplusplus
}
#endif
#endif
