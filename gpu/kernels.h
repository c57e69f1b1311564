/* Launching what a batch needs. Host, C++. */
#ifndef BEAM_GPU_KERNELS_H
#define BEAM_GPU_KERNELS_H

#include <cuda_runtime.h>

#include "beam/network.h"
#include "device/batch.cuh"

/* How problems of up to certain sizes are spread over a device. A team's fast and slow memory is
 * enough for every plan that was made with the limit fast_bytes and lies within them. */
struct beam_gpu_launch {
    int lanes;        /* of a team: 32, or the block */
    int teams;        /* per block */
    int fast_bytes;   /* dynamic shared memory of a team */
    int shared_bytes; /* of a block */
    int blocks_per_multiprocessor, multiprocessors;
    int blocks_max; /* resident at once: teams of them own the slow memory */
    int slow;       /* plans have arrays in slow memory: set before launch_plan */
};

/* Bytes of shared memory that a problem may have: plan_make's fast_limit. */
int beam_gpu_fast_limit(int shared_optin_bytes);
/* Decides teams and blocks for problems of fast_bytes each, and raises the kernel's limit of shared
 * memory. */
cudaError_t beam_gpu_launch_plan(int fast_bytes, int device, beam_gpu_launch *launch);
/* At most `most` problems; how many there are the head says on the device. Nothing is allocated:
 * may be captured. */
cudaError_t beam_gpu_launch_answers(const beam_gpu_launch *launch,
                                    const beam_gpu_batch_memory *memory, int most,
                                    cudaStream_t stream);

/* refine.cu. Once, after launch_plan: its kernel's limit of shared memory. */
cudaError_t beam_gpu_refine_prepare(const beam_gpu_launch *launch);
/* After the answers of a batch, for its requests with refine > 0: from the beams and numbers in the
 * answer to better ones, their numbers, refined and evaluations. Teams, fast and slow memory as
 * launch_answers has them (at most launch->blocks_max blocks). May be captured. */
cudaError_t beam_gpu_launch_refine(const beam_gpu_launch *launch,
                                   const beam_gpu_batch_memory *memory, int most,
                                   cudaStream_t stream);

/* mlp.cu: a model of the paper's kind on the device, two sets of weights, made for one size and
 * batches of up to `most` in `slots` slots. Calls of cuBLAS that fail answer cudaErrorUnknown and
 * leave a sentence in trouble. Only there when BEAM_GPU_MLP is defined. */
struct beam_gpu_mlp;
cudaError_t beam_gpu_mlp_create(beam_gpu_mlp **out, const beam_model_info *info, int most,
                                int slots);
void beam_gpu_mlp_destroy(beam_gpu_mlp *mlp); /* NULL is fine */
const char *beam_gpu_mlp_trouble(const beam_gpu_mlp *mlp);
/* The weights of set 0 or 1, `theta` as beam_model_write takes them; waits until they are there. */
cudaError_t beam_gpu_mlp_weights(beam_gpu_mlp *mlp, int set, const float *theta);
/* What the batches of a slot find: memory.network_beams and network_apart. */
const beam_c32 *beam_gpu_mlp_beams(const beam_gpu_mlp *mlp, int slot, size_t *apart);
/* Before launch_answers: features, layers, beams, with the weights of `set` (captured per set). */
cudaError_t beam_gpu_launch_mlp(beam_gpu_mlp *mlp, int slot, int set, const beam_gpu_launch *launch,
                                const beam_gpu_batch_memory *memory, int most, cudaStream_t stream);

#endif
