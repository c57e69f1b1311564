/* Inside of a block, shared by block.c and the layers of both kinds. */
#ifndef BEAM_NET_BLOCK_INTERNAL_H
#define BEAM_NET_BLOCK_INTERNAL_H

#include "network/block.h"
#include "network/complex_lane.h"
#include "network/mlp.h"
#include "network/rate.h"
#include "network/sensing.h"

/* Directions of a layer, per row. The first BEAM_NET_NORMALISED are divided by their norm over the
 * station. */
enum {
    BEAM_NET_RATE,           /* gradient of the robust rate, in units of -f1 */
    BEAM_NET_SENSING,        /* of -f2 */
    BEAM_NET_RATE_SOLVED,    /* both times M^-1 */
    BEAM_NET_SENSING_SOLVED, /* */
    BEAM_NET_CHANNEL_SOLVED, /* M^-1 h of the own user, in the phase of its beam; beams only */
    BEAM_NET_NORMALISED,
    BEAM_NET_LEAST = BEAM_NET_NORMALISED, /* R w, R the least-CRLB covariance */
    BEAM_NET_MOMENTUM,                    /* the last step */
    BEAM_NET_DIRECTIONS,
    BEAM_NET_SELF = BEAM_NET_DIRECTIONS, /* the row itself */
    BEAM_NET_COEFFICIENTS
};

/* Inputs of the perceptron of a row. */
enum {
    BEAM_NET_ROW_FEATURES = 9,
    BEAM_NET_DIRECTION_FEATURES = 3 * BEAM_NET_DIRECTIONS,
    BEAM_NET_STATION_FEATURES = 4 + BEAM_NET_NORMALISED,
    BEAM_NET_GLOBAL_FEATURES = 8,
    BEAM_NET_FEATURES = BEAM_NET_ROW_FEATURES + BEAM_NET_DIRECTION_FEATURES +
                        BEAM_NET_STATION_FEATURES + BEAM_NET_GLOBAL_FEATURES
};

/* Scalars of a layer, logarithms of positive numbers: the smoothing levels of rate.h, then these.
 */
enum {
    BEAM_NET_RIDGE_TRACE = BEAM_NET_LEVELS, /* of M: share of its mean eigenvalue */
    BEAM_NET_RIDGE_POWER,                   /* of M: share of the power multiplier */
    BEAM_NET_TEMPERATURE,                   /* of the Tchebycheff balance */
    BEAM_NET_SCALARS
};

/* Places of a layer's parameters in its part of theta. */
typedef struct beam_net_layout {
    size_t scalars, w1, b1, w2, station2, all2, b2, w3, b3, count;
} beam_net_layout;
beam_net_layout beam_net_layer_layout(int width);

struct NET(block) {
    beam_net_arch arch;
    bool training;
    beam_net_shape shape;
    int used;           /* lanes; the others are copies of the first */
    int Q, rows, n_max; /* Q = U + 2J + r vectors per station */
    int n[BEAM_MAX_STATIONS], first[BEAM_MAX_STATIONS + 1];
    int own[BEAM_MAX_USERS], row[BEAM_MAX_USERS]; /* station of a user, its row there */
    /* the scenes */
    beam_lc *vectors;           /* [L][Q][D]: channels, a and D a of the targets, least-CRLB rows */
    beam_lane *eps2, *h2;       /* [L][U] */
    beam_lane *beta, *share;    /* [U] weight in units of f1; weight over the mean weight */
    beam_lane *log_h2, *radius; /* [U] features: of the own channel */
    beam_net_symmetric *P0, *P2; /* [L][J] */
    beam_lane *counted;          /* [J] */
    beam_lane has_rate, w1, w2;
    /* states: after every layer */
    beam_lc *start; /* [rows][D] */
    beam_lc *state; /* [layers+1][rows][D] */
    int from, to;   /* layers of the last forward */
    /* one layer */
    beam_lc *y, *G; /* [L][n_max][Q], [L][n_max][n_max] */
    beam_net_rate rate;
    beam_net_sensing sensing;
    beam_lc *direction;            /* [DIRECTIONS][rows][D] */
    beam_lc *gradient;             /* [rows][D]: k1 rate + k2 sensing */
    beam_lc *factor;               /* [L][D][D] of M */
    beam_lane *omega;              /* [U] k1 b */
    beam_lane *ridge, *multiplier; /* [L] M = sum omega h h^H + ridge I; <W, gradient> */
    beam_lane *mean_eigenvalue;    /* [L] */
    beam_lane *norm;               /* [NORMALISED + 1][L], the last of `gradient` */
    beam_lane *unit;               /* 1/norm */
    beam_lane *power;              /* [L] of the state */
    beam_lane *power_next;         /* [L] before scaling */
    beam_lane f1, balance, k1, k2;
    beam_lane scalar[BEAM_NET_SCALARS];
    beam_lane *x, *x_station;           /* features: [of a row][rows], [shared][L] */
    beam_lane *hidden1, *hidden2, *out; /* [width][rows], .., [COEFFICIENTS][rows] */
    beam_lane *pool_station, *pool_all; /* [width][L], [width] */
    beam_lane *term_station, *term_all; /* [width][L], [width] */
    /* adjoints */
    beam_lc *state_bar; /* [layers+1][rows][D] */
    beam_lc *y_bar, *G_bar, *direction_bar, *gradient_bar;
    beam_lc *projection, *projection_bar; /* [n_max][U] */
    beam_lane *x_bar, *x_station_bar, *hidden1_bar, *hidden2_bar, *out_bar, *norm_bar, *omega_bar,
        *ridge_bar;
    beam_lane *mean_eigenvalue_bar, *multiplier_bar, *power_bar, *pool_station_bar, *pool_all_bar;
    beam_lane balance_bar, k1_bar, k2_bar, f1_bar;
    beam_lane scalar_bar[BEAM_NET_SCALARS];
    /* all of the above but shape, rows, n, first, start, state, state_bar and the preference is of
     * the equivariant kind; this is the other's */
    beam_net_mlp mlp;
};

static inline beam_lc *NET(block_at)(beam_lc *states, const NET(block) * b, int layer)
{
    return states + (size_t)layer * (size_t)(b->rows * b->shape.D);
}
static inline beam_lc *NET(direction_of)(const NET(block) * b, int which)
{
    return b->direction + (size_t)which * (size_t)(b->rows * b->shape.D);
}

/* Fills x and the norms from the layer's quantities; the adjoint adds to theirs. */
void NET(features)(NET(block) * b, const beam_lc *w);
void NET(features_adjoint)(NET(block) * b, const beam_lc *w, beam_lc *w_bar);
/* x -> out and back. */
void NET(perceptron)(NET(block) * b, const beam_net_real *theta);
void NET(perceptron_adjoint)(NET(block) * b, const beam_net_real *theta, beam_net_real *theta_bar);

/* Lower triangle of M = sum_u omega_u h_u h_u^H, h [U][D]. */
void NET(curvature)(int U, int D, const beam_lane *omega, const beam_lc *h, beam_lc *M);

/* Everything of a layer but the update: up to the coefficients in `out`. */
void NET(layer_coefficients)(NET(block) * b, const beam_net_real *theta, int layer);
/* The point after it. */
void NET(layer_update)(NET(block) * b, int layer);

#endif
