#include "plan_refine.h"

#include <string.h>

#include "device/refine_place.cuh"

void beam_gpu_refine_plan_make(beam_gpu_refine_plan *plan, const beam_gpu_plan *base, int bits,
                               int pairs, int fast_limit)
{
    memset(plan, 0, sizeof *plan);
    beam_gpu_refine_place(plan, base, bits, pairs, fast_limit);
}

size_t beam_gpu_refine_slow_bytes(const beam_gpu_plan *base)
{
    beam_gpu_refine_plan plan;
    beam_gpu_refine_plan_make(&plan, base, 32, BEAM_GPU_REFINE_PAIRS, 0);
    return (size_t)plan.slow_bytes;
}
