/* What the network is trained to make small: a scalar of the point that it reaches, with its
 * gradient (MATH 6). Rates are those of the smoothed dual (MATH 2), so that the gradient exists on
 * the nulls where robust optima sit. Internal to libbeam.
 *
 * Tchebycheff, the form that trains well, with a_i = w_i f_i, w ~ 1/max(u, 1e-3), sum 1:
 *     T log(exp(a_1/T) + exp(a_2/T)) + tie (f1 + f2).
 * Penalty, the form of (27): lambda_1 (-WSR) + lambda_2 CRLB + sigma sum_l max(0, p_l - P_l)^2,
 * with lambda = (w_1 2/WSR_ideal, w_2/CRLB_min), since in bit/s/Hz and m^2 no weight suits two
 * scenes. Its last sum over the constraints of the errors is empty: the worst case is exact here,
 * there is no delta outside of its ball. A network that scales every station into its budget never
 * meets the power term either. (A network that has errors of its own is trained for all of (27):
 * network/loss_paper.h.) */
#ifndef BEAM_NET_LOSS_H
#define BEAM_NET_LOSS_H

#include "beam/quality.h"
#include "model/arena.h"
#include "model/problem.h"
#include "model/robust.h"

typedef enum beam_net_loss_kind {
    BEAM_NET_LOSS_TCHEBYCHEFF = 0,
    BEAM_NET_LOSS_PENALTY = 1
} beam_net_loss_kind;

typedef struct beam_net_loss_options {
    beam_net_loss_kind kind;
    double temperature;   /* T > 0 */
    double tie;           /* >= 0 */
    double smoothing;     /* m of the smoothed dual, > 0 */
    double clip;          /* longest gradient of one sample */
    double power_penalty; /* sigma >= 0, scaled budgets (P_l = 1) */
    /* network/loss_paper.h, for a network with errors of its own */
    double errors;   /* Tchebycheff: weight of their distance to the worst ones */
    int lower_steps; /* penalty: K_GD of the lower level */
} beam_net_loss_options;
beam_net_loss_options beam_net_loss_options_default(void);

typedef struct beam_net_loss_result {
    double loss, f1, f2;
    bool exact; /* the smoothed dual failed: exact worst case and Danskin gradient instead */
    bool dark;  /* no finite CRLB, or a point that is not finite: BEAM_NET_LOSS_DARK, no gradient */
    bool clipped;
} beam_net_loss_result;

/* f2 and loss of a point that does not locate a target that the best design locates. */
#define BEAM_NET_LOSS_DARK 20.0

typedef struct beam_net_loss {
    beam_net_loss_options options; /* may be changed between calls */
    beam_problem *p;
    beam_ideal ideal;
    double w1, w2;
    beam_robust robust;
    beam_complex *proj, *gram, *T;
} beam_net_loss;

/* For problems of up to these sizes; a NULL-base arena only counts. */
void beam_net_loss_carve(beam_net_loss *self, beam_arena *arena, const beam_dims *max);
/* A loaded problem (borrowed; only its scratch for coupled sensing models is written). */
void beam_net_loss_load(beam_net_loss *self, beam_problem *p, const beam_ideal *ideal,
                        beam_preference u);
/* x, x_bar: points; x_bar receives the gradient. */
beam_net_loss_result beam_net_loss_value(beam_net_loss *self, const double *x, double *x_bar);

#endif
