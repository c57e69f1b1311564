/* Launching what a batch needs. Host, C++. */
#ifndef BEAM_GPU_KERNELS_H
#define BEAM_GPU_KERNELS_H

#include <cuda_runtime.h>

#include "device/plan.cuh"

/* How the problems of a plan are spread over a device. */
struct beam_gpu_launch {
    int lanes;        /* of a team: 32, or the block */
    int teams;        /* per block */
    int shared_bytes; /* dynamic, per block */
    int blocks_per_multiprocessor, multiprocessors;
    int blocks_max; /* resident at once: teams of them own the slow memory */
};

/* Device memory of one slot. */
struct beam_gpu_batch_memory {
    const unsigned char *clusters;
    const float *weights;          /* two sets */
    size_t weights_apart;          /* floats */
    const unsigned char *requests; /* after the head */
    const beam_gpu_batch_head *head;
    unsigned char *answers, *slow;
};

/* Bytes of shared memory that a problem may have: plan_make's fast_limit. */
int beam_gpu_fast_limit(int shared_optin_bytes);
/* Decides teams and blocks, and raises the kernel's limit of shared memory. */
cudaError_t beam_gpu_launch_plan(const beam_gpu_plan *plan, int device, beam_gpu_launch *launch);
/* At most `most` problems; how many there are the head says on the device. */
cudaError_t beam_gpu_launch_answers(const beam_gpu_plan *plan, const beam_gpu_launch *launch,
                                    const beam_gpu_batch_memory *memory, int most,
                                    cudaStream_t stream);

#endif
