/* Dense layers on one column of lanes, for matrices that are large beside the block: weights are
 * read in order, once forward and twice back. (dense.h is for small matrices and many columns.)
 * Weights are row-major [outputs][inputs]. Internal to libbeam. */
#ifndef BEAM_NET_COLUMN_H
#define BEAM_NET_COLUMN_H

#include "network/lanes.h"

/* y = W x + bias. */
void NET(column)(int outputs, int inputs, const beam_net_real *weight, const beam_net_real *bias,
                 const beam_lane *x, beam_lane *y);
/* weight_bar += y_bar x^T and bias_bar += y_bar, summed over the lanes; the first `wanted` entries
 * of x_bar += W^T y_bar. turned: scratch, BEAM_LANES * inputs reals. */
void NET(column_adjoint)(int outputs, int inputs, const beam_net_real *weight, const beam_lane *x,
                         const beam_lane *y_bar, int wanted, beam_lane *x_bar,
                         beam_net_real *weight_bar, beam_net_real *bias_bar, beam_net_real *turned);

#endif
