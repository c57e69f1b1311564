/* Dense layers over columns of lanes: value (k, c) of a signal is x[k columns + c]. Weights are
 * row-major [outputs][stride], stride >= inputs: a layer may take its inputs in parts. Internal to
 * libbeam. */
#ifndef BEAM_NET_DENSE_H
#define BEAM_NET_DENSE_H

#include <stdbool.h>

#include "network/lanes.h"

/* y = W x; y += W x. */
void NET(dense)(int outputs, int inputs, int stride, int columns, const beam_net_real *weight,
                const beam_lane *x, beam_lane *y);
void NET(dense_add)(int outputs, int inputs, int stride, int columns, const beam_net_real *weight,
                    const beam_lane *x, beam_lane *y);
/* x_bar += W^T y_bar; weight_bar += y_bar x^T, summed over columns and lanes. */
void NET(dense_adjoint)(int outputs, int inputs, int stride, int columns,
                        const beam_net_real *weight, const beam_lane *x, const beam_lane *y_bar,
                        beam_lane *x_bar, beam_net_real *weight_bar);

/* The activation (x + sqrt(x^2 + 1) - 1)/2: a smooth ramp without an exponential, in place. */
void NET(ramp)(int n, beam_lane *x);
/* y_bar <- y_bar times the slope, from the value y: t^2/(t^2 + 1) with t = 2y + 1. */
void NET(ramp_adjoint)(int n, const beam_lane *y, beam_lane *y_bar);

#endif
