/* The CRLB of a block (resolved model, MATH 3) with the direction of the gradient of
 * -ln(CRLB)/ln 4, and the adjoint of both. Internal.
 *
 * Per station and target, with A_i = a^H w_i and D_i = (D a)^H w_i: X0 = sum |A|^2,
 * c = X1/X0 = sum A conj(D) / X0, B = D - conj(c) A, S = sum |B|^2, J = sum_l X0 P0 + S P2. Summing
 * |B|^2 instead of X2 - |X1|^2/X0 avoids the cancellation that float32 would not survive. */
#ifndef BEAM_NET_SENSING_H
#define BEAM_NET_SENSING_H

#include "model/arena.h"
#include "network/block.h"
#include "network/complex_lane.h"

typedef struct beam_net_symmetric {
    beam_lane xx, xy, yy;
} beam_net_symmetric;

typedef struct beam_net_echo { /* one (station, target) pair */
    beam_lane x0, s;
    beam_lc c;
    beam_lane weight0, weight2; /* of a A and b B in the gradient */
} beam_net_echo;

typedef struct beam_net_sensing {
    const beam_net_shape *shape;
    int n_max, stride, first;            /* entries 2j and 2j+1 after `first` in a row of y: A, D */
    const int *n;                        /* [L] */
    const beam_net_symmetric *P0, *P2;   /* [L][J], times the least CRLB */
    const beam_lane *counted;            /* [J] 1, or 0 for a target left out */
    const beam_lc *y;                    /* [L][n_max][stride] */
    beam_lc *B;                          /* [L][n_max][J] */
    beam_net_echo *echo;                 /* [L][J] */
    beam_net_symmetric *inverse;         /* [J] of J_j */
    beam_lane crlb;                      /* over the least one */
    beam_lane loss;                      /* f2 = ln(crlb)/ln 4; 0 without counted targets */
    beam_lane scale;                     /* 1/(crlb ln 4) */
    beam_lc *e_out;                      /* [L][n_max][2J] coefficients of a and D a in row i */
    beam_lc *e_bar, *y_bar;              /* in; out (+=) */
    beam_lane loss_bar;                  /* in */
    beam_net_symmetric *information_bar; /* [J] scratch */
    beam_lane *weight_bar;               /* [L][J][2] scratch */
} beam_net_sensing;

void NET(sensing_carve)(beam_net_sensing *s, beam_arena *arena, int L, int J, int n_max,
                        bool training);
void NET(sensing_forward)(beam_net_sensing *s);
void NET(sensing_backward)(beam_net_sensing *s);

#endif
