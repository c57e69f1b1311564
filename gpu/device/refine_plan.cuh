/* Where everything of a refinement lies. Two plans of one kind of problems share its memory, one
 * phase after the other: `search` has the arrays of the smoothed worst case in the precision of the
 * steps, `certify` those of the certificate in float64. What both need (radii, basis, vectors, the
 * rows w and the candidate) is in both at the same place. Made by gpu/plan_refine.c, passed to
 * kernels by value. */
#ifndef BEAM_GPU_REFINE_PLAN_CUH
#define BEAM_GPU_REFINE_PLAN_CUH

#include "plan.cuh"

/* A function that is called in several places and would be there as often. */
#ifdef __CUDACC__
#define BEAM_HD_APART static __noinline__ __host__ __device__
#else
#define BEAM_HD_APART static inline
#endif

/* Of the quasi-Newton method's memory: what kernels use, and what can be asked for. */
enum { BEAM_GPU_REFINE_PAIRS = 10, BEAM_GPU_REFINE_PAIRS_MAX = 24 };

/* Numbers of one user at the solution of the smoothed dual, [name][U]. */
enum {
    BEAM_GPU_REFINE_ETA, /* its SINR */
    BEAM_GPU_REFINE_LAMBDA,
    BEAM_GPU_REFINE_DEN, /* tr M Q' + I */
    BEAM_GPU_REFINE_K,   /* E = [[e0, k z0 u^H], [k conj(z0) u, diag(e) + k11 u u^H]] */
    BEAM_GPU_REFINE_K11,
    BEAM_GPU_REFINE_F0, /* 1 - e0 */
    BEAM_GPU_REFINE_UU,
    BEAM_GPU_REFINE_ACTIVE, /* 0: no smoothing term, the channel is known or the signal zero */
    BEAM_GPU_REFINE_RATE,   /* bit/s/Hz */
    BEAM_GPU_REFINE_PULL,   /* of the gradient: 2 c/((1 + eta) den ln 2) */
    BEAM_GPU_REFINE_USER_NUMBERS
};

/* Of search.work's memory; `real` and `complex` are of the precision of the steps, dim the
 * dimension of a row, n = 2 rows dim + L the number of variables. */
typedef struct beam_gpu_refine_at {
    int y, gradient, trial, trial_gradient, along; /* real [n] */
    int step, change;                              /* real [pairs][n] */
    int x;                                         /* complex [rows][dim] */
    int row_sum, place;                            /* real [rows], [L] */
    int eps, shift;                                /* real [L][U] */
    int correction, pull;                          /* complex [L][U][n_max] */
    int turned;                                    /* complex [rows][n_max] */
    int spread;                                    /* real [L][n_max] */
    int user;                                      /* real [USER_NUMBERS][U] */
    int inverse;                                   /* real [U][n_max]: 1/(lambda - eta rho_i) */
    int smooth;                                    /* complex [U][n_max][3] */
    int multiplier;                                /* double [U] of the minimum rates */
    int echo;                                      /* real [L][J][4]: X0, S, X1/X0 */
    int information;                               /* double [J][4]: J^-2, tr J^-1 */
    int metric, metric_slack, column; /* complex [L][dim][dim], real [L], complex [L][dim] */
} beam_gpu_refine_at;

typedef struct beam_gpu_refine_plan {
    beam_gpu_plan search, certify;
    beam_gpu_refine_at at;
    int bits, pairs, dim, n; /* precision of the steps; see above */
    unsigned by_dim;         /* for beam_gpu_over */
    int fast_bytes, slow_bytes;
} beam_gpu_refine_plan;

/* One problem as the functions see it. */
typedef struct beam_gpu_refiner {
    const beam_gpu_refine_plan *plan;
    beam_gpu_problem search, certify;
} beam_gpu_refiner;

#define BEAM_REFINE(r, type, name) ((type *)beam_gpu_work(&(r)->search, (r)->plan->at.name))

/* What the steps minimise, the same in every lane: smooth Tchebycheff function of f1, f2 with
 * multipliers p (MATH 5; engine/solver/objective.h), and an augmented Lagrangian of the minimum
 * rates. */
typedef struct beam_gpu_objective {
    double w1, w2, tie, temperature, smoothing, p1, p2;
    double rate_scale, penalty;       /* f1 per bit/s/Hz; of the minimum rates, 0: none */
    int warm;                         /* the last evaluation's solutions are starts */
    double wsr, crlb, a1, a2, missed; /* of the last evaluation */
} beam_gpu_objective;

#endif
