/* A network on a block: BEAM_LANES problems of one shape (L, U, J, D, users per station, sensing
 * rows) side by side. Internal to libbeam; equivariant.c and mlp.h say what a layer is. A block of
 * an mlp takes problems that beam_net_serves only.
 *
 * Life: carve -> { begin (shape) -> scene, preference, start per lane -> fill -> forward -> point
 * }* and for training adjoint -> backward afterwards. Points are those of beam_problem (rows of
 * p->stride doubles, budgets 1). Lanes are independent; results do not depend on what the others
 * hold. `theta`: beam_net_parameters(arch) reals. */
#ifndef BEAM_NET_BLOCK_H
#define BEAM_NET_BLOCK_H

#include <stdbool.h>

#include "beam/quality.h"
#include "model/arena.h"
#include "model/problem.h"
#include "network/arch.h"

typedef struct beam_net_shape {
    int L, U, J, D, r;
    int K[BEAM_MAX_STATIONS];
} beam_net_shape;

beam_net_shape beam_net_shape_of(const beam_problem *p);
bool beam_net_shape_equal(const beam_net_shape *a, const beam_net_shape *b);
/* May a network of this architecture be given this problem? An mlp has one size, any other network
 * none. */
bool beam_net_serves(const beam_net_arch *arch, const beam_problem *p);

typedef struct NET(block) NET(block);

/* Memory for shapes of up to these sizes; training: keep what backward needs. */
size_t NET(block_memsize)(const beam_net_arch *arch, const beam_dims *max, bool training);
NET(block) *
    NET(block_init)(const beam_net_arch *arch, const beam_dims *max, bool training, void *memory);

/* Takes the shape; all lanes are empty. */
void NET(block_begin)(NET(block) * b, const beam_net_shape *shape);
/* Channels, radii, weights and sensing constants of a loaded, reduced problem; `sensing`: its
 * least-CRLB rows (a point: the sensing rows, beams ignored). Only the resolved sensing model has a
 * meaning here: for others its constants are taken. */
void NET(block_scene)(NET(block) * b, int lane, const beam_problem *p, const double *sensing,
                      const beam_ideal *ideal);
void NET(block_preference)(NET(block) * b, int lane, beam_preference u);
/* The point that the first layer to run starts from; inside the budgets. */
void NET(block_start)(NET(block) * b, int lane, const double *x);
/* Copies lane 0 into lanes used..BEAM_LANES-1. */
void NET(block_fill)(NET(block) * b, int used);

/* Layers from..to-1. The point after the last one is that of NET(block_point). */
void NET(block_forward)(NET(block) * b, const beam_net_real *theta, int from, int to);
void NET(block_point)(const NET(block) * b, int lane, double *x);

/* Training: the point after `layer` layers (0: the start), kept from the last forward. */
void NET(block_state)(const NET(block) * b, int lane, int layer, double *x);
/* Adds dLoss/dx (a point) at the state after `layer` layers; cleared by NET(block_start) of lane 0
 * and used up by backward. */
void NET(block_adjoint)(NET(block) * b, int lane, int layer, const double *x_bar);
/* theta_bar += dLoss/dtheta, summed over the lanes, of the last forward (same range). */
void NET(block_backward)(NET(block) * b, const beam_net_real *theta, int from, int to,
                         beam_net_real *theta_bar);

/* mlp only. The errors delta^layer of (26) of the last forward, [L][U] rows as p->h has them, and
 * for training the adjoint towards them, which adds as block_adjoint does. */
void NET(block_delta)(const NET(block) * b, int lane, int layer, double *delta);
void NET(block_delta_adjoint)(NET(block) * b, int lane, int layer, const double *delta_bar);
/* mlp, training: the penalty of (27) on the last layer's answer as it is before it is scaled into
 * its bounds, sigma (sum_l max(0, p_l - 1)^2 + sum_i max(0, |Delta_i|^2/eps_i^2 - 1)^2). Returned,
 * and added to what backward differentiates; forgotten by NET(block_start) of lane 0. */
double NET(block_penalty)(NET(block) * b, int lane, double sigma);

/* Parameters of a fresh network: every layer takes small steps, an equivariant one along its
 * preconditioned directions. */
void NET(block_initialise)(const beam_net_arch *arch, unsigned long long seed,
                           beam_net_real *theta);

#endif
