/* The kernel of the solver steps, after the answers of a batch: a team per request that asks for
 * them, on the teams, blocks and slow memory of the answers' kernel. What its plan takes near, it
 * takes from the team's fast memory. */
#include "kernels.h"
#include "launch.h"

#include "device/device.cuh"
#include "device/refine.cuh"

namespace
{

/* As kernels.cu has them. */
constexpr int block_lanes = 128, teams_most = 4;
constexpr int plan_bytes = (static_cast<int>(sizeof(beam_gpu_refine_plan)) + 15) / 16 * 16;

template <int LANES, int TEAMS>
__global__ void __launch_bounds__(LANES *TEAMS)
    steps(const __grid_constant__ beam_gpu_batch_memory memory, int fast_bytes)
{
    extern __shared__ __align__(16) unsigned char shared[];
    __shared__ double slot[BEAM_TEAM_MAX / BEAM_TEAM_WARP];
    __shared__ beam_gpu_plan plans[TEAMS];
    __shared__ beam_gpu_refine_plan refine_plans[TEAMS];
    const int team = static_cast<int>(threadIdx.x) / LANES;
    const int first = static_cast<int>(blockIdx.x) * TEAMS + team;
    const int apart = static_cast<int>(gridDim.x) * TEAMS;
    const beam_team t = {static_cast<int>(threadIdx.x) % LANES, LANES, slot};
    beam_gpu_refine_batch(&t, &memory, first, apart, &plans[team], &refine_plans[team],
                          shared + team * fast_bytes, fast_bytes,
                          memory.slow + static_cast<size_t>(first) * memory.slow_apart);
}

using kernel = void (*)(beam_gpu_batch_memory, int);

kernel kernel_of(const beam_gpu_launch &launch)
{
    if (launch.lanes == block_lanes) {
        return steps<block_lanes, 1>;
    }
    return launch.teams == teams_most ? steps<BEAM_TEAM_WARP, teams_most>
                                      : steps<BEAM_TEAM_WARP, 1>;
}

/* What is left of a team's fast memory. */
int fast_bytes_of(const beam_gpu_launch &launch)
{
    return launch.fast_bytes > plan_bytes ? launch.fast_bytes - plan_bytes : 0;
}

} // namespace

cudaError_t beam_gpu_refine_prepare(const beam_gpu_launch *launch)
{
    return beam_gpu_allow_shared(kernel_of(*launch), launch->teams * fast_bytes_of(*launch));
}

cudaError_t beam_gpu_launch_refine(const beam_gpu_launch *launch,
                                   const beam_gpu_batch_memory *memory, int most,
                                   cudaStream_t stream)
{
    const int needed = (most + launch->teams - 1) / launch->teams;
    const int blocks = needed < launch->blocks_max ? needed : launch->blocks_max;
    const int fast_bytes = fast_bytes_of(*launch);
    kernel_of(*launch)<<<static_cast<unsigned>(blocks),
                         static_cast<unsigned>(launch->lanes * launch->teams),
                         static_cast<size_t>(launch->teams * fast_bytes), stream>>>(*memory,
                                                                                    fast_bytes);
    return cudaGetLastError();
}
