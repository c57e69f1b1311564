/* The paper's network (26), on a block:
 *     (gamma, delta)^{y+1} = (gamma, delta)^y + eta^y W^y(gamma^y, delta^y; scene, preference),
 * delta^0 = 0, W^y a plain perceptron of two hidden layers on the stacked real vector, eta^y a
 * learned positive scalar; after every layer each station is scaled into its budget and each error
 * into its ball. One size only (beam_net_arch), antenna coordinates: a perceptron cannot know the
 * basis of a scene's subspace.
 *
 * gamma: the rows of all stations. delta: an error per (station, user), here in units of its
 * radius. All inputs are of order 1:
 *     rows times sqrt(D rows of a station); errors and unit channels times sqrt(D);
 *     ln(1 + |h|^2) and eps/sqrt(eps^2 + |h|^2) of every link; a and D a of every link to a target
 *     at unit antenna amplitude; asinh of P0 and P2 in units of the least CRLB; targets that count;
 *     weights over their mean; ln WSR_ideal; the preference. Internal to libbeam. */
#ifndef BEAM_NET_MLP_H
#define BEAM_NET_MLP_H

#include "model/arena.h"
#include "network/block.h"
#include "network/complex_lane.h"

/* Entries of the stacked vector: states first, then what is constant over the layers. */
typedef struct beam_net_mlp_inputs {
    int rows, errors, states; /* W^y gives a step for each of the first `states` entries */
    int channel, norm, radius, steering, information, counted, weight, ideal, preference, count;
} beam_net_mlp_inputs;
beam_net_mlp_inputs beam_net_mlp_input_layout(const beam_net_arch *arch);

/* Places of a layer's parameters in its part of theta; count 0: sizes that no mlp can have. */
typedef struct beam_net_mlp_layout {
    size_t eta, w1, b1, w2, b2, w3, b3, count; /* eta: its logarithm */
} beam_net_mlp_layout;
beam_net_mlp_layout beam_net_mlp_layer_layout(const beam_net_arch *arch);

typedef struct beam_net_mlp {
    beam_net_mlp_inputs at;
    beam_lane *input;             /* [at.count] */
    beam_lc *delta;               /* [layers+1][L U][D] in units of the radius */
    beam_lane *eps;               /* [L U] */
    beam_lane *hidden1, *hidden2; /* [kept][width] */
    beam_lane *out;               /* [kept][at.states] */
    beam_lane *power, *length2;   /* [kept][L], [kept][L U] before scaling */
    int kept;                     /* layers whose quantities are kept: all for training, or 1 */
    beam_lane penalty;            /* sigma of block_penalty */
    beam_lc *delta_bar;           /* as delta */
    beam_lane *hidden1_bar, *hidden2_bar, *out_bar, *input_bar; /* of one layer */
    beam_net_real *turned;                                      /* scratch of column_adjoint */
} beam_net_mlp;

/* The scales of rows and errors as inputs and outputs of W^y. */
static inline beam_net_real NET(mlp_row_scale)(const beam_net_arch *a)
{
    return NET_SQRT((beam_net_real)((a->users / a->stations + a->sensing_rows) * a->antennas));
}
static inline beam_net_real NET(mlp_error_scale)(const beam_net_arch *a)
{
    return NET_SQRT((beam_net_real)a->antennas);
}
/* Writes the state after `layer` layers into the input. */
void NET(mlp_state_inputs)(NET(block) * b, int layer);

/* The calls of block.h for this kind. */
void NET(mlp_carve)(NET(block) * b, beam_arena *arena);
void NET(mlp_scene)(NET(block) * b, int lane, const beam_problem *p, const beam_ideal *ideal);
void NET(mlp_preference)(NET(block) * b, int lane, double ratio); /* w1/w2 */
void NET(mlp_clear)(NET(block) * b);
void NET(mlp_fill)(NET(block) * b, int used);
void NET(mlp_forward)(NET(block) * b, const beam_net_real *theta, int from, int to);
void NET(mlp_backward)(NET(block) * b, const beam_net_real *theta, int from, int to,
                       beam_net_real *theta_bar);

#endif
