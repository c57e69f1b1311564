/* gpu/mlp.cu compiled for the host (tests/gpu/cuda), for tests in C. */
#ifndef TEST_GPU_MLP_HOST_H
#define TEST_GPU_MLP_HOST_H

#include "beam/network.h"
#include "device/batch.cuh"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct test_mlp_host test_mlp_host;

/* NULL, and a sentence in trouble, when it is refused. */
test_mlp_host *test_mlp_host_new(const beam_model_info *info, int most, int slots, char *trouble,
                                 size_t size);
void test_mlp_host_free(test_mlp_host *self);
void test_mlp_host_weights(test_mlp_host *self, int set, const float *theta);
/* One batch as it would be captured for up to `most` requests, with teams of one lane, four to a
 * block, and as few blocks that all take several problems. The beams, [count][*apart]; NULL and a
 * sentence when a call failed. */
const beam_c32 *test_mlp_host_run(test_mlp_host *self, int slot, int set, int fast_bytes,
                                  size_t slow_bytes, const beam_gpu_batch_memory *memory, int most,
                                  size_t *apart, char *trouble, size_t size);

#ifdef __cplusplus
}
#endif
#endif
