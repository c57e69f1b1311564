/* The reduction to the subspace (MATH 4): Gram-Schmidt in the kernel of the answers beside the
 * batched factorisations of cuBLAS and cuSOLVER, measured on random problems. */
#ifndef BEAM_GPU_REDUCE_BENCH_H
#define BEAM_GPU_REDUCE_BENCH_H

#include "beam/gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One way: median device time of all problems; its basis, max |Q^H Q - I| over the matrices. */
typedef struct beam_gpu_reduction_time {
    double ms; /* negative: not measured */
    double error;
} beam_gpu_reduction_time;

/* Not counted for the libraries: that columns and vectors would have to be written to device memory
 * before, and the answers' kernel would have to read the results. */
typedef struct beam_gpu_reductions {
    int matrices, antennas, columns, vectors; /* stations times problems; N, D, Q of one */
    beam_gpu_reduction_time fused;            /* beam_gpu_reduce: basis and coordinates */
    beam_gpu_reduction_time cholesky; /* Gram, Cholesky factor, solve, all twice; coordinates */
    beam_gpu_reduction_time qr;       /* Householder; basis by a solve with R; coordinates */
    char text[320];                   /* why the libraries were not measured, or empty */
} beam_gpu_reductions;

/* `problems` problems of these sizes, antennas > users + 2 targets. Takes the device as it is, and
 * gives all memory back. Libraries that are missing are no error: out->text. */
beam_gpu_code beam_gpu_bench_reduction(int device, const beam_dims *dims, int problems,
                                       beam_gpu_reductions *out, beam_gpu_error *err);

#ifdef __cplusplus
}
#endif
#endif
