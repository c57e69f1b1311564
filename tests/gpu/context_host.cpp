/* The kernels that the context launches, on the runtime of the tests: a team of one lane, the
 * blocks one after another. Refinement and the mlp only leave their marks. */
#include <cstring>
#include <vector>

#include "device/device.cuh"
#include "device/answers.cuh"
#include "kernels.h"
#include "runtime/runtime.h"

namespace
{

constexpr int blocks_max = 2, teams = 2;

void answer(const beam_gpu_launch &launch, const beam_gpu_batch_memory &memory, int most)
{
    const int count = beam_gpu_batch_head_of(&memory)->count;
    const int needed = (most + launch.teams - 1) / launch.teams,
              blocks = needed < launch.blocks_max ? needed : launch.blocks_max,
              all = blocks * launch.teams;
    const beam_team t = {0, 1, nullptr};
    beam_gpu_plan plan;
    std::vector<double> fast(static_cast<size_t>(launch.fast_bytes) / sizeof(double) + 1);
    test_runtime.kernels += count > 0;
    if (count > 0) {
        const int kilobytes = launch.fast_bytes >> 10;
        test_runtime.fast_seen |= 1u << (kilobytes < 31 ? kilobytes : 31);
    }
    if (count > most) {
        std::strcpy(test_runtime.misuse, "more problems than the graph is for");
        return;
    }
    for (int first = 0; first < all; first++) {
        std::memset(fast.data(), 0xff, static_cast<size_t>(launch.fast_bytes));
        beam_gpu_answer_batch(&t, &memory, first, all, &plan,
                              reinterpret_cast<unsigned char *>(fast.data()),
                              memory.slow + static_cast<size_t>(first) * memory.slow_apart);
    }
}

void refine(const beam_gpu_batch_memory &memory)
{
    const int count = beam_gpu_batch_head_of(&memory)->count;
    for (int i = 0; i < count; i++) {
        const beam_gpu_batch_entry *entry = beam_gpu_batch_entry_of(&memory, i);
        const void *request = memory.in + entry->request;
        void *answer = memory.out + entry->answer;
        auto *head = static_cast<beam_gpu_answer_head *>(answer);
        head->refined = static_cast<const beam_gpu_request_head *>(request)->refine;
        test_runtime.refinements += head->refined > 0;
    }
}

} // namespace

int beam_gpu_fast_limit(int shared_optin_bytes)
{
    return (shared_optin_bytes - 1024) / 16 * 16;
}

cudaError_t beam_gpu_launch_plan(int fast_bytes, int, beam_gpu_launch *launch)
{
    *launch = {};
    launch->lanes = 1;
    launch->teams = teams;
    launch->fast_bytes = fast_bytes;
    launch->shared_bytes = teams * fast_bytes;
    launch->blocks_per_multiprocessor = 1;
    launch->multiprocessors = launch->blocks_max = blocks_max;
    return cudaSuccess;
}

cudaError_t beam_gpu_launch_answers(const beam_gpu_launch *launch,
                                    const beam_gpu_batch_memory *memory, int most,
                                    cudaStream_t stream)
{
    const beam_gpu_launch l = *launch;
    const beam_gpu_batch_memory m = *memory;
    return test_runtime_kernel(stream, [=] { answer(l, m, most); });
}

cudaError_t beam_gpu_refine_prepare(const beam_gpu_launch *)
{
    return cudaSuccess;
}

cudaError_t beam_gpu_launch_refine(const beam_gpu_launch *, const beam_gpu_batch_memory *memory,
                                   int, cudaStream_t stream)
{
    const beam_gpu_batch_memory m = *memory;
    return test_runtime_kernel(stream, [=] { refine(m); });
}

/* --- A network of the paper's kind whose beams are 0 -------------------------------------------
 */

struct beam_gpu_mlp {
    std::vector<beam_c32 *> beams;
    size_t apart;
    bool weights[2];
};

cudaError_t beam_gpu_mlp_create(beam_gpu_mlp **out, const beam_model_info *info, int most,
                                int slots)
{
    *out = new beam_gpu_mlp();
    if (test_runtime.mlp_fails) {
        return cudaErrorUnknown;
    }
    (*out)->apart =
        static_cast<size_t>((info->users + info->stations * info->sensing_rows) * info->antennas);
    const size_t bytes = static_cast<size_t>(most) * (*out)->apart * sizeof(beam_c32);
    for (int i = 0; i < slots; i++) {
        void *memory = nullptr;
        const cudaError_t error = cudaMalloc(&memory, bytes);
        if (error != cudaSuccess) {
            return error;
        }
        std::memset(memory, 0, bytes);
        (*out)->beams.push_back(static_cast<beam_c32 *>(memory));
    }
    return cudaSuccess;
}

void beam_gpu_mlp_destroy(beam_gpu_mlp *mlp)
{
    for (size_t i = 0; mlp && i < mlp->beams.size(); i++) {
        (void)cudaFree(mlp->beams[i]);
    }
    delete mlp;
}

const char *beam_gpu_mlp_trouble(const beam_gpu_mlp *)
{
    return test_runtime.mlp_fails ? "there is no cuBLAS" : "";
}

cudaError_t beam_gpu_mlp_weights(beam_gpu_mlp *mlp, int set, const float *)
{
    mlp->weights[set] = true;
    return cudaSuccess;
}

const beam_c32 *beam_gpu_mlp_beams(const beam_gpu_mlp *mlp, int slot, size_t *apart)
{
    *apart = mlp->apart;
    return mlp->beams.at(static_cast<size_t>(slot));
}

cudaError_t beam_gpu_launch_mlp(beam_gpu_mlp *mlp, int, int set, const beam_gpu_launch *,
                                const beam_gpu_batch_memory *memory, int, cudaStream_t stream)
{
    const beam_gpu_batch_memory m = *memory;
    return test_runtime_kernel(stream, [=] {
        if (beam_gpu_batch_head_of(&m)->count > 0) {
            test_runtime.mlp_set = mlp->weights[set] ? set : -2;
        }
    });
}
