/* The kernel: a team per problem, everything of it in shared memory, all stages fused. Teams go on
 * to the next problem until the batch is done. */
#include "kernels.h"
#include "launch.h"

#include "device/device.cuh"
#include "device/answers.cuh"

namespace
{

/* A problem above this many bytes gets a block of its own. */
constexpr int warp_bytes_most = 48 << 10;
constexpr int block_lanes = 128, teams_most = 4;

/* Sixteen warps to a multiprocessor where teams are warps: 128 registers. SLOW: for plans that have
 * arrays in slow memory; without it every access is one of shared memory. */
template <int LANES, int TEAMS, bool SLOW>
__global__ void __launch_bounds__(LANES *TEAMS, SLOW ? 1 : TEAMS == 1 ? 3 : 4)
    answers(const __grid_constant__ beam_gpu_batch_memory memory, int fast_bytes)
{
    extern __shared__ __align__(16) unsigned char shared[];
    __shared__ double slot[BEAM_TEAM_MAX / BEAM_TEAM_WARP];
    __shared__ beam_gpu_plan plans[TEAMS];
    const int team = static_cast<int>(threadIdx.x) / LANES;
    const int first = static_cast<int>(blockIdx.x) * TEAMS + team;
    const int apart = static_cast<int>(gridDim.x) * TEAMS;
    const beam_team t = {static_cast<int>(threadIdx.x) % LANES, LANES, slot};
    beam_gpu_answer_batch(&t, &memory, first, apart, &plans[team], shared + team * fast_bytes,
                          SLOW ? memory.slow + static_cast<size_t>(first) * memory.slow_apart
                               : nullptr);
}

using kernel = void (*)(beam_gpu_batch_memory, int);

kernel kernel_of(const beam_gpu_launch &launch)
{
    if (launch.lanes == block_lanes) {
        return launch.slow ? answers<block_lanes, 1, true> : answers<block_lanes, 1, false>;
    }
    return launch.teams == teams_most ? answers<BEAM_TEAM_WARP, teams_most, false>
                                      : answers<BEAM_TEAM_WARP, 1, false>;
}

} // namespace

int beam_gpu_fast_limit(int shared_optin_bytes)
{
    const int fixed = static_cast<int>(sizeof(beam_gpu_plan)) + 256; /* what kernels declare */
    return (shared_optin_bytes - fixed) / 16 * 16;
}

cudaError_t beam_gpu_launch_plan(int fast_bytes, int device, beam_gpu_launch *launch)
{
    int optin = 0;
    cudaError_t error =
        cudaDeviceGetAttribute(&optin, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (error == cudaSuccess) {
        error = cudaDeviceGetAttribute(&launch->multiprocessors, cudaDevAttrMultiProcessorCount,
                                       device);
    }
    if (error != cudaSuccess) {
        return error;
    }
    const int plan = static_cast<int>(sizeof(beam_gpu_plan));
    launch->fast_bytes = fast_bytes;
    launch->lanes = launch->slow || fast_bytes > warp_bytes_most ? block_lanes : BEAM_TEAM_WARP;
    launch->teams = launch->lanes == BEAM_TEAM_WARP &&
                            teams_most * (fast_bytes + plan) <= beam_gpu_fast_limit(optin)
                        ? teams_most
                        : 1;
    launch->shared_bytes = launch->teams * fast_bytes;
    const kernel k = kernel_of(*launch);
    error = beam_gpu_allow_shared(k, launch->shared_bytes);
    if (error == cudaSuccess) {
        error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(
            &launch->blocks_per_multiprocessor, k, launch->lanes * launch->teams,
            static_cast<size_t>(launch->shared_bytes));
    }
    if (error == cudaSuccess && launch->blocks_per_multiprocessor < 1) {
        error = cudaErrorInvalidConfiguration;
    }
    launch->blocks_max = launch->multiprocessors * launch->blocks_per_multiprocessor;
    return error;
}

cudaError_t beam_gpu_launch_answers(const beam_gpu_launch *launch,
                                    const beam_gpu_batch_memory *memory, int most,
                                    cudaStream_t stream)
{
    const int needed = (most + launch->teams - 1) / launch->teams;
    const int blocks = needed < launch->blocks_max ? needed : launch->blocks_max;
    kernel_of(*launch)<<<static_cast<unsigned>(blocks),
                         static_cast<unsigned>(launch->lanes * launch->teams),
                         static_cast<size_t>(launch->shared_bytes), stream>>>(*memory,
                                                                              launch->fast_bytes);
    return cudaGetLastError();
}
