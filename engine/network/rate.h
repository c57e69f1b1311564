/* The robust rates of a block as the network sees them, with the direction of their gradient, and
 * the adjoint of both (Hessian-vector products of the layers' gradient features). Internal.
 *
 * For user u and station l with rows w_i, y_i = h^H w_i, G_ik = w_k^H w_i, the errors
 *     Delta = s sum_k gamma_k w_k conj(v_k),   x = h + Delta,   e_i = x^H w_i = y_i + s z_i,
 * v = y in the first round and the last e in the next,
 * are, for small radii, the worst ones: gamma = 1 towards other cells' users (more interference);
 * for the own user gamma = -Den/(S+Den) for its beam and S/(S+Den) for the other rows (less signal,
 * more interference). s = eps/sqrt(t') with t' = |Delta/s|^2 + smoothing: near the nulls h^H w = 0
 * where robust optima sit, the raw gradient is only a subgradient (MATH 2). What the smoothing
 * takes from Delta there is replaced by isotropic errors, eps^2 |R|_F. The levels are learned per
 * layer. Gradients are Danskin's, x held (MATH 2):
 *     own beam a x e, other rows -b x e,   a = beta/(Den+N), b = a N/Den,
 * returned as coefficients: of channel u in row i (e_out), of row k in row i (f_out). */
#ifndef BEAM_NET_RATE_H
#define BEAM_NET_RATE_H

#include "model/arena.h"
#include "network/block.h"
#include "network/complex_lane.h"

enum { /* smoothing levels, as factors of eps^2 */
       BEAM_NET_CROSS,
       BEAM_NET_CROSS_ISOTROPIC,
       BEAM_NET_OWN,
       BEAM_NET_OWN_ISOTROPIC,
       BEAM_NET_LEVELS
};

/* Rounds in which the errors are found: each takes the products e of the last one for y. */
enum { BEAM_NET_ROUNDS = 2 };

/* One (station, user) pair. */
typedef struct beam_net_pair {
    beam_lane s[BEAM_NET_ROUNDS], t_smooth[BEAM_NET_ROUNDS]; /* s = eps/sqrt(t_smooth) */
    beam_lane isotropic;  /* cross: share phi of the errors that is isotropic */
    beam_lane own, other; /* own pair: gamma is -own for the beam, +other for the other rows */
    beam_lane frobenius2; /* own pair: |R - v v^H|_F^2 */
} beam_net_pair;

typedef struct beam_net_user {
    beam_lane signal, noise, rate;  /* N, Den, ln(1 + N/Den) */
    beam_lane gain, curvature;      /* a, b */
    beam_lane nominal;              /* |h^H v|^2 */
    beam_lane cross, nominal_noise; /* interference of other cells; 1 + cross + own cell at h */
} beam_net_user;

/* Adjoints of one pair's scalars. */
typedef struct beam_net_pair_bar {
    beam_lane s, smooth, own, other, frobenius2, isotropic;
} beam_net_pair_bar;

typedef struct beam_net_rate {
    const beam_net_shape *shape;
    int n_max, stride;            /* most rows of a station; entries per row of y */
    const int *own;               /* [U] station of user u */
    const int *row;               /* [U] its row there */
    const int *n;                 /* [L] rows */
    const beam_lane *eps2, *beta; /* [L][U], [U] */
    beam_lane level[BEAM_NET_LEVELS];
    const beam_lc *y, *G;  /* [L][n_max][stride], [L][n_max][n_max] */
    beam_lc *z, *e;        /* [L][U][rounds][n_max] */
    beam_lc *scaled;       /* [L][U][n_max]: conj(s gamma_k v_k) of the last round */
    beam_lane *isotropic;  /* [n_max] scratch */
    beam_net_pair *pair;   /* [L][U] */
    beam_net_user *user;   /* [U] */
    beam_lane *frobenius2; /* [L] |R_l|_F^2 */
    beam_lc *e_out;        /* [L][n_max][U] */
    beam_lc *f_out;        /* [L][n_max][n_max] */
    /* backward: e_bar, f_bar and user_bar (signal, noise, rate, curvature, nominal) come in, the
     * others are added to */
    beam_lc *e_bar, *f_bar, *y_bar, *G_bar;
    beam_net_user *user_bar;
    beam_lane *frobenius2_bar;
    beam_lane level_bar[BEAM_NET_LEVELS];
    beam_lc *z_bar, *x_bar, *v_bar; /* [n_max], [L][n_max] twice: of z, e and what z is made of */
    beam_net_pair_bar *pair_bar;    /* [L] of one user */
} beam_net_rate;

/* Arrays for shapes of up to these sizes, but for y, G and their adjoints, which the caller owns.
 */
void NET(rate_carve)(beam_net_rate *r, beam_arena *arena, int L, int U, int n_max, bool training);
void NET(rate_forward)(beam_net_rate *r);
void NET(rate_backward)(beam_net_rate *r);

#endif
