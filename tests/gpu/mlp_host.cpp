#include "mlp_host.h"

#include <cstdio>

#include "kernels.h"

test_cuda_index threadIdx, blockIdx, gridDim;
unsigned char test_cuda_shared[1 << 20];
int test_cuda_shared_bytes = 48 << 10; // what kernels may have without asking
int test_cuda_kernels;

namespace
{

constexpr int teams = 4, blocks_most = 3;

} // namespace

struct test_mlp_host {
    beam_gpu_mlp *mlp;
};

test_mlp_host *test_mlp_host_new(const beam_model_info *info, int most, int slots, char *trouble,
                                 size_t size)
{
    test_mlp_host *self = new test_mlp_host();
    if (beam_gpu_mlp_create(&self->mlp, info, most, slots) != cudaSuccess) {
        (void)std::snprintf(trouble, size, "%s", beam_gpu_mlp_trouble(self->mlp));
        test_mlp_host_free(self);
        return nullptr;
    }
    return self;
}

void test_mlp_host_free(test_mlp_host *self)
{
    beam_gpu_mlp_destroy(self->mlp);
    delete self;
}

void test_mlp_host_weights(test_mlp_host *self, int set, const float *theta)
{
    (void)beam_gpu_mlp_weights(self->mlp, set, theta);
}

const beam_c32 *test_mlp_host_run(test_mlp_host *self, int slot, int set, int fast_bytes,
                                  size_t slow_bytes, const beam_gpu_batch_memory *memory, int most,
                                  size_t *apart, char *trouble, size_t size)
{
    beam_gpu_launch launch = {};
    beam_gpu_batch_memory with_slow = *memory;
    void *slow = nullptr;
    launch.lanes = 1;
    launch.teams = teams;
    launch.fast_bytes = fast_bytes;
    launch.shared_bytes = teams * fast_bytes;
    launch.blocks_max = blocks_most;
    (void)cudaMalloc(&slow, teams * blocks_most * slow_bytes + 16);
    with_slow.slow = static_cast<unsigned char *>(slow);
    with_slow.slow_apart = slow_bytes;
    const cudaError_t error =
        beam_gpu_launch_mlp(self->mlp, slot, set, &launch, &with_slow, most, nullptr);
    (void)cudaFree(slow);
    if (error != cudaSuccess) {
        (void)std::snprintf(trouble, size, "%s", beam_gpu_mlp_trouble(self->mlp));
        return nullptr;
    }
    return beam_gpu_mlp_beams(self->mlp, slot, apart);
}
