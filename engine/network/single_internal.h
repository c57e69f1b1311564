/* Inside of a single problem's layers. Arrays are of lanes = stations; "splat" means the same in
 * all lanes. User u is (own[u], row[u]); arrays [K] hold in lane l what belongs to user (l, j). */
#ifndef BEAM_NET_SINGLE_INTERNAL_H
#define BEAM_NET_SINGLE_INTERNAL_H

#include "network/block_internal.h"
#include "network/single.h"

#ifdef BEAM_NET_F64
typedef long long beam_lane_bits
    __attribute__((vector_size(BEAM_LANES * sizeof(long long)), may_alias));
#else
typedef beam_lane_int beam_lane_bits;
#endif

/* Lane by lane: a where the mask is set, b elsewhere. */
static inline beam_lane beam_lane_select(beam_lane_bits mask, beam_lane a, beam_lane b)
{
    return (beam_lane)((mask & (beam_lane_bits)a) | (~mask & (beam_lane_bits)b));
}
static inline beam_lane beam_lane_only(beam_lane_bits mask, beam_lane a)
{
    return (beam_lane)(mask & (beam_lane_bits)a);
}
static inline beam_lane beam_lane_without(beam_lane_bits mask, beam_lane a)
{
    return (beam_lane)(~mask & (beam_lane_bits)a);
}
/* The sum of all lanes, in every lane. */
static inline beam_lane beam_lane_total(beam_lane x)
{
    x += __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3);
    x += __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5);
    x += __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
    return x;
}

enum {
    BEAM_NET_STATION_INPUTS = BEAM_NET_STATION_FEATURES + BEAM_NET_GLOBAL_FEATURES,
    BEAM_NET_ROW_INPUTS = BEAM_NET_FEATURES - BEAM_NET_STATION_INPUTS
};

/* Places, in vectors, of a layer's parameters in the transposed array: [inputs][V] of
 * V = width/BEAM_LANES rounded up, the outputs of w3 and b3 in one vector. */
typedef struct beam_net_columns {
    int V;
    size_t scalars, w1, station1, b1, w2, station2, all2, b2, w3, b3, count;
} beam_net_columns;

/* Of the users of one row index. */
typedef struct beam_net_single_user {
    beam_lane nominal, signal, noise, rate, gain, curvature;
    beam_lane cross; /* interference of other cells */
    beam_lane other, own, frobenius2;
} beam_net_single_user;

struct NET(single) {
    beam_net_arch arch;
    beam_net_shape shape;
    int K, n, rows; /* most users of a station; padded rows of a station; real rows of all */
    int own[BEAM_MAX_USERS], row[BEAM_MAX_USERS];
    beam_lane_bits *mask; /* [U] the own station's lane */
    /* the scene */
    beam_lc *h;                       /* [U][D] */
    beam_lc *h_own;                   /* [K][D] */
    beam_lc *vectors;                 /* [2J + r][D]: a and D a of the targets, least-CRLB rows */
    beam_lane *eps2, *h2;             /* [U] */
    beam_lane *eps2_own, *h2_own;     /* [K] */
    beam_lane *beta;                  /* [K] */
    beam_net_symmetric *P0, *P2;      /* [J] */
    beam_lane *counted;               /* [J] splat */
    beam_lane has_rate, w1, w2;       /* splat */
    int *row_at, *row_to, *row_share; /* [rows] place of a row's lane in x, place i, station */
    int *hidden_at, *no_row;          /* [rows] place of a row in hidden 1; 0 */
    int station_at[BEAM_LANES];       /* l */
    /* the point */
    beam_lc *w; /* [n][D] */
    /* one layer */
    beam_lane scalar[BEAM_NET_SCALARS];
    beam_lc *yc;     /* [U][n] conj(h^H w) */
    beam_lc *G;      /* [n][n] */
    beam_lc *y;      /* [n][2J + r] */
    beam_lane power; /* of the stations */
    beam_lc *z, *e;  /* [U][n] conj(z), conj(e) of the pairs with other cells, then of all */
    beam_lc *scaled; /* [U][n] conj(gamma v), then times s */
    beam_lc *y_own;  /* [K][n] the same of the own pairs */
    beam_lc *z_own, *e_own, *scaled_own;
    beam_net_single_user *user;  /* [K] */
    beam_lane *iso;              /* [U] isotropic weight over -curvature */
    beam_lane *iso_own;          /* [n] isotropic weight of the own pair */
    beam_lc *f;                  /* [n][n] */
    beam_lc *B;                  /* [J][n] */
    beam_net_symmetric *inverse; /* [J] splat */
    beam_net_echo *echo;         /* [J] */
    beam_lane loss;              /* f2, splat */
    beam_lc *sensing_out;        /* [n][2J] */
    beam_lane f1, balance, k1, k2;
    beam_lane *omega;   /* [U] splat */
    beam_lc *direction; /* [DIRECTIONS][n][D] */
    beam_lc *gradient;  /* [n][D] */
    beam_lc *factor;    /* [D][D] */
    beam_lane multiplier;
    beam_lane norm[BEAM_NET_NORMALISED + 1], unit[BEAM_NET_NORMALISED + 1];
    beam_lane *x;                                 /* [ROW_INPUTS][n] */
    beam_lane x_station[BEAM_NET_STATION_INPUTS]; /* */
    beam_lane *hidden1, *hidden2;                 /* [rows][V] lanes = outputs */
    beam_lane *pool, *term;                       /* [L + 1][V], the last of all rows */
    beam_lane *answer;                            /* [rows] */
    beam_lane *out;                               /* [COEFFICIENTS][n] */
};

static inline beam_lc *NET(single_direction)(const NET(single) * s, int which)
{
    return s->direction + (size_t)which * (size_t)(s->n * s->shape.D);
}

beam_net_columns NET(single_layout)(int width);

/* Rates and what their gradient is made of: e (coefficients conj of the channels), f of the rows.
 * Takes yc and G. */
void NET(single_rate)(NET(single) * s);
/* f2 and sensing_out from y. */
void NET(single_sensing)(NET(single) * s);
void NET(single_features)(NET(single) * s);
void NET(single_perceptron)(NET(single) * s, const beam_lane *layer);
/* One layer: w and the momentum to the next. */
void NET(single_layer)(NET(single) * s, const beam_lane *layer);

/* Features that do not change from layer to layer. */
void NET(single_constant_features)(NET(single) * s, const beam_problem *p);

#endif
