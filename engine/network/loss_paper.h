/* What a network with channel errors of its own (the mlp, network/mlp.h) is trained for beside or
 * instead of network/loss.h. Both work on the last layer's (gamma, delta). Internal to libbeam.
 *
 * (27) as printed, with the rate at the network's own errors:
 *     -lambda_1 WSR(gamma, delta) + lambda_2 CRLB(gamma) + sigma max(0, plane(gamma, delta))^2,
 * lambda = (w_1 2/WSR_ideal, w_2/CRLB_min) as in network/loss.h. The other two sums of (27), over
 * the budgets and the balls, are NET(block_penalty): they concern what the layer gives before it is
 * scaled into its bounds. `plane` is the cutting plane (20) of g(gamma, delta) = |delta -
 * phi(gamma)|^2 <= eps_g at the pair that beam_net_loss_paper_cut was given, phi the K_GD steps of
 * (16) from delta' = 0, linearised at that gamma, errors in units of their radii, the mean over the
 * links of nonzero radius. Without it delta would turn to where it helps the rate. One plane at a
 * time: those of an earlier pair belong to another linearisation point (repair fresh-cuts of
 * Algorithm 1, MATH 5).
 *
 * In the Tchebycheff form the rate is that of the worst case itself; there delta^Y is led towards
 * the errors that attain it, by beam_net_loss_errors, so that it means what the paper says. */
#ifndef BEAM_NET_LOSS_PAPER_H
#define BEAM_NET_LOSS_PAPER_H

#include "network/loss.h"
#include "solver/paper_internal.h"

enum { BEAM_NET_LOWER_STEPS_MAX = 64 };

typedef struct beam_net_loss_paper {
    beam_problem *p;
    beam_ideal ideal;
    double w1, w2;
    int uncertain; /* links of nonzero radius */
    double slack;  /* eps_g times their number */
    beam_paper_space space;
    beam_paper_rate rate;
    beam_paper_sensing sensing;
    beam_paper_lower lower;
    beam_paper_cuts cuts;       /* at most one */
    double *x, *gradient, *cut; /* (gamma, delta), delta in units of the radii */
} beam_net_loss_paper;

/* For problems of exactly these sizes, of `sensing_rows` per station, with antennas <= users + 2
 * targets; steps: K_GD, 1..BEAM_NET_LOWER_STEPS_MAX. A NULL-base arena only counts. */
void beam_net_loss_paper_carve(beam_net_loss_paper *self, beam_arena *arena, const beam_dims *dims,
                               int sensing_rows, int steps);
/* A loaded problem (borrowed); no plane. */
void beam_net_loss_paper_load(beam_net_loss_paper *self, beam_problem *p, const beam_ideal *ideal,
                              beam_preference u);
/* The plane of this pair takes the place of the last; none where g <= eps_g. Returns g; INFINITY
 * and no plane where the K_GD steps of fixed size diverged, phi being far outside of the balls. x:
 * a point; delta: [L][U] rows as p->h. */
double beam_net_loss_paper_cut(beam_net_loss_paper *self, const double *x, const double *delta);
/* Of the options clip and power_penalty (sigma) count. x_bar, delta_bar receive the gradient. */
beam_net_loss_result beam_net_loss_paper_value(beam_net_loss_paper *self,
                                               const beam_net_loss_options *options,
                                               const double *x, const double *delta, double *x_bar,
                                               double *delta_bar);

/* weight times the mean over links of nonzero radius of |delta - worst|^2/eps^2, the worst errors
 * of x (held). delta_bar receives the gradient. After beam_net_loss_load; its robust state moves.
 */
double beam_net_loss_errors(beam_net_loss *self, const double *x, const double *delta,
                            double weight, double *delta_bar);

#endif
