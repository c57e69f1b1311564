/* A batch: what every team of a launch does. */
#ifndef BEAM_GPU_ANSWERS_CUH
#define BEAM_GPU_ANSWERS_CUH

#include "batch.cuh"
#include "choice.cuh"

/* Problems first, first + apart, ... of the batch. plan, fast and slow: the team's memory. */
BEAM_HD_PART void beam_gpu_answer_batch(const beam_team *t, const beam_gpu_batch_memory *m,
                                        int first, int apart, beam_gpu_plan *plan,
                                        unsigned char *fast, unsigned char *slow)
{
    const int count = beam_gpu_batch_head_of(m)->count;
    beam_gpu_near_plan near = {plan, 0};
    beam_gpu_problem p;
    p.fast = fast;
    p.slow = slow;
    for (int i = first; i < count; i += apart) {
        beam_gpu_batch_problem(t, m, i, &near, &p);
        beam_gpu_answer_problem(t, &p);
        beam_team_sync(t);
    }
}

#endif
