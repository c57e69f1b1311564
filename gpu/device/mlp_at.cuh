/* Where everything of the paper's network lies: made on the host (gpu/mlp_plan.c), passed to
 * kernels by value. */
#ifndef BEAM_GPU_MLP_AT_CUH
#define BEAM_GPU_MLP_AT_CUH

#include "plan.cuh"

/* Columns begin at multiples of 16 bytes: what is between is zero, in the weights too. */
enum { BEAM_GPU_MLP_PAD = 4 };

/* A problem is one column of reals: the states, (row, antenna) and (link, antenna) pairs times
 * their scales, then what is constant over the layers (engine: beam_net_mlp_inputs). Links are
 * (station, user), users sorted by station. */
typedef struct beam_gpu_mlp_plan {
    int L, N, U, J, r; /* the one size */
    int layers, width;
    int rows, errors, states;
    int channel, norm, radius, steering, information, counted, weight, ideal, preference, count;
    float row_scale, error_scale; /* of the states */
    int inputs, hidden, outputs;  /* count, width and states, padded: reals of a column */
    /* a layer's weights, floats; matrices are [hidden or outputs][inputs or hidden] */
    int eta, w1, b1, w2, b2, w3, b3;
    int layer; /* floats of a layer */
} beam_gpu_mlp_plan;

#endif
