/* A team: the lanes that work on one problem together. On the device a warp (32 lanes) or a block
 * of several warps; on the host one lane, or 32 emulated ones in the tests. The headers of this
 * folder are compiled by nvcc and by a C compiler: a subset of both languages.
 *
 * Between two syncs a lane may read what others wrote before the first, and nothing that another
 * lane writes. All lanes of a team call every collective function, in the same order. */
#ifndef BEAM_GPU_TEAM_CUH
#define BEAM_GPU_TEAM_CUH

#include <math.h>
#include <stddef.h>

#ifdef __CUDACC__
#define BEAM_HD static inline __host__ __device__
/* Large and called once: a call would put what it is given into local memory, and hide from the
 * compiler that arrays are in shared memory. */
#define BEAM_HD_PART static __forceinline__ __host__ __device__
#else
#define BEAM_HD static inline
#define BEAM_HD_PART static inline
#endif

/* Lanes of a warp; 1 where tests run kernels on the host, thread after thread. */
#ifndef BEAM_TEAM_LANES
#define BEAM_TEAM_LANES 32
#endif
enum { BEAM_TEAM_WARP = BEAM_TEAM_LANES, BEAM_TEAM_MAX = 256 };

/* Several lanes on the host (tests): who they are and how they wait for each other. */
typedef struct beam_team_host {
    void (*sync)(struct beam_team_host *self);
    double slot[BEAM_TEAM_MAX];
    unsigned word[BEAM_TEAM_MAX][6]; /* operands of tensor.cuh */
} beam_team_host;

typedef struct beam_team {
    int lane, lanes;
    void *shared; /* device, more than a warp: double[BEAM_TEAM_MAX / 32] in shared memory;
                     host, more than one lane: a beam_team_host; otherwise NULL */
} beam_team;

/* i over the indices of this lane. */
#define BEAM_EACH(team, i, n) for (int i = (team)->lane; i < (n); i += (team)->lanes)

BEAM_HD void beam_team_sync(const beam_team *t)
{
#ifdef __CUDA_ARCH__
    if (t->lanes == BEAM_TEAM_WARP) {
        __syncwarp();
    } else {
        __syncthreads();
    }
#else
    if (t->lanes > 1) {
        beam_team_host *host = (beam_team_host *)t->shared;
        host->sync(host);
    }
#ifdef __GNUC__ /* phases lay arrays of other types over each other: nothing moves across a sync */
    __asm__ __volatile__("" ::: "memory");
#endif
#endif
}

/* The sum over the lanes, the same bits in every lane. Ends with everything before it visible. */
BEAM_HD double beam_team_sum(const beam_team *t, double x)
{
#ifdef __CUDA_ARCH__
    beam_team_sync(t);
    for (int apart = BEAM_TEAM_WARP / 2; apart > 0; apart /= 2) {
        x += __shfl_xor_sync(0xffffffffu, x, apart);
    }
    if (t->lanes > BEAM_TEAM_WARP) {
        double *slot = (double *)t->shared;
        if (t->lane % BEAM_TEAM_WARP == 0) {
            slot[t->lane / BEAM_TEAM_WARP] = x;
        }
        __syncthreads();
        x = 0;
        for (int w = 0; w < t->lanes / BEAM_TEAM_WARP; w++) {
            x += slot[w];
        }
        __syncthreads();
    }
    return x;
#else
    if (t->lanes > 1) {
        beam_team_host *host = (beam_team_host *)t->shared;
        double level[BEAM_TEAM_MAX];
        host->slot[t->lane] = x;
        host->sync(host);
        for (int i = 0; i < t->lanes; i++) {
            level[i] = host->slot[i];
        }
        for (int apart = t->lanes / 2; apart > 0; apart /= 2) { /* pairs as the shuffle has them */
            for (int i = 0; i < apart; i++) {
                level[i] += level[i + apart];
            }
        }
        host->sync(host);
        x = level[0];
    }
    return x;
#endif
}

/* Is it true in any lane? */
BEAM_HD int beam_team_any(const beam_team *t, int x)
{
#ifdef __CUDA_ARCH__
    if (t->lanes == BEAM_TEAM_WARP) {
        __syncwarp();
        return __any_sync(0xffffffffu, x);
    }
    return __syncthreads_or(x);
#else
    return beam_team_sum(t, x ? 1.0 : 0.0) > 0.0;
#endif
}

/* --- Complex numbers in both precisions --------------------------------------------------------
 */

typedef struct beam_c32 {
    float re, im;
} beam_c32;
typedef struct beam_c64 {
    double re, im;
} beam_c64;

#endif
