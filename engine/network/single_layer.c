/* One layer of the equivariant network (equivariant.c) on one problem, lanes = stations. */
#include <string.h>

#include "network/linear.h"
#include "network/single_internal.h"

static void products(NET(single) * s)
{
    const int D = s->shape.D, n = s->n, Q = 2 * s->shape.J + s->shape.r;
    NET(project)(s->shape.U, n, n, D, s->h, s->w, s->yc);
    NET(project)(n, Q, Q, D, s->w, s->vectors, s->y);
    NET(gram)(n, n, D, s->w, s->G);
    s->power = (beam_lane){0};
    for (int i = 0; i < n; i++) {
        s->power += s->G[i * n + i].re;
    }
}

static void balance(NET(single) * s)
{
    beam_lane rate = {0};
    for (int j = 0; j < s->K; j++) {
        rate += s->beta[j] * s->user[j].rate;
    }
    s->f1 = 2 * s->has_rate - beam_lane_total(rate);
    const beam_lane difference = s->w1 * s->f1 - s->w2 * s->loss;
    s->balance = 1 / (1 + beam_lane_exp(-difference / s->scalar[BEAM_NET_TEMPERATURE]));
    s->k1 = s->balance * s->w1;
    s->k2 = (1 - s->balance) * s->w2;
}

static void gradients(NET(single) * s)
{
    const int D = s->shape.D, U = s->shape.U, J = s->shape.J, r = s->shape.r, n = s->n;
    beam_lc *rate = NET(single_direction)(s, BEAM_NET_RATE),
            *sensing = NET(single_direction)(s, BEAM_NET_SENSING);
    NET(combine_set)(n, n, n, D, s->f, s->w, rate);
    NET(combine_adjoint)(U, n, n, D, s->e, s->h, rate);
    NET(combine_set)(n, 2 * J, 2 * J, D, s->sensing_out, s->vectors, sensing);
    NET(combine_set)
    (n, r, 2 * J + r, D, s->y + 2 * J, s->vectors + 2 * J * D,
     NET(single_direction)(s, BEAM_NET_LEAST));
    beam_lane inner = {0};
    for (int i = 0; i < n * D; i++) {
        s->gradient[i] = beam_lc_scale(s->k1, rate[i]);
        beam_lc_add_scaled(&s->gradient[i], s->k2, sensing[i]);
        beam_lc_add_inner(&inner, s->w[i], s->gradient[i]);
    }
    s->multiplier = inner;
}

static void preconditioner(NET(single) * s)
{
    const int D = s->shape.D, U = s->shape.U;
    beam_lane spread = {0}, mean = {0};
    for (int u = 0; u < U; u++) {
        s->omega[u] = s->k1 * s->user[s->row[u]].curvature[s->own[u]];
        spread += s->omega[u] * s->eps2[u];
        mean += s->omega[u] * (s->h2[u] / (beam_net_real)D + s->eps2[u]);
    }
    NET(curvature)(U, D, s->omega, s->h, s->factor);
    const beam_lane ridge =
        spread + s->scalar[BEAM_NET_RIDGE_TRACE] * mean +
        s->scalar[BEAM_NET_RIDGE_POWER] *
            beam_lane_sqrt(s->multiplier * s->multiplier + (beam_net_real)1e-8) +
        (beam_net_real)1e-6;
    for (int i = 0; i < D; i++) {
        s->factor[i * D + i].re += ridge;
    }
    NET(cholesky)(D, ridge / 2, s->factor);
}

static void solve_directions(NET(single) * s)
{
    const int D = s->shape.D, n = s->n, K = s->K;
    beam_lc *solved = NET(single_direction)(s, BEAM_NET_RATE_SOLVED),
            *channel = NET(single_direction)(s, BEAM_NET_CHANNEL_SOLVED);
    memcpy(solved, NET(single_direction)(s, BEAM_NET_RATE), (size_t)(2 * n * D) * sizeof *solved);
    for (int j = 0; j < K; j++) {
        const beam_lc y = s->y_own[j * n + j]; /* conjugated */
        const beam_lane one = 1 / beam_lane_sqrt(beam_lc_norm2(y) + (beam_net_real)1e-6);
        const beam_lc turn = {one * y.re, -one * y.im};
        for (int d = 0; d < D; d++) {
            beam_lc z = {{0}, {0}};
            beam_lc_add_mul(&z, turn, s->h_own[j * D + d]);
            channel[j * D + d] = z;
        }
    }
    memset(channel + K * D, 0, (size_t)((n - K) * D) * sizeof *channel);
    /* the three follow each other */
    NET(cholesky_solve)(D, s->factor, 2 * n + K, solved);
}

/* The next rows before scaling; returns their power. */
static beam_lane step(NET(single) * s, beam_lc *next)
{
    const int D = s->shape.D, n = s->n, apart = n * D;
    beam_lane power = {0};
    for (int i = 0; i < n; i++) {
        const beam_lane self = 1 + s->out[BEAM_NET_SELF * n + i];
        beam_lane c[BEAM_NET_DIRECTIONS];
#pragma GCC unroll 8
        for (int k = 0; k < BEAM_NET_DIRECTIONS; k++) {
            c[k] = s->out[k * n + i];
            if (k < BEAM_NET_NORMALISED) {
                c[k] *= s->unit[k];
            }
        }
        for (int d = i * D; d < (i + 1) * D; d++) {
            beam_lc sum = beam_lc_scale(self, s->w[d]);
#pragma GCC unroll 8
            for (int k = 0; k < BEAM_NET_DIRECTIONS; k++) {
                beam_lc_add_scaled(&sum, c[k], s->direction[k * apart + d]);
            }
            next[d] = sum;
            beam_lc_add_norm2(&power, sum);
        }
    }
    return power;
}

static void update(NET(single) * s)
{
    const int count = s->n * s->shape.D;
    beam_lc *next = s->gradient, *momentum = NET(single_direction)(s, BEAM_NET_MOMENTUM);
    const beam_lane power = step(s, next);
    const beam_lane scale = 1 / beam_lane_sqrt(beam_lane_max(power, beam_lane_all(1)));
    for (int i = 0; i < count; i++) {
        const beam_lc w = beam_lc_scale(scale, next[i]);
        momentum[i] = (beam_lc){w.re - s->w[i].re, w.im - s->w[i].im};
        s->w[i] = w;
    }
}

_Static_assert(BEAM_NET_SENSING_SOLVED == BEAM_NET_RATE_SOLVED + 1 &&
                   BEAM_NET_CHANNEL_SOLVED == BEAM_NET_RATE_SOLVED + 2 &&
                   BEAM_NET_SENSING == BEAM_NET_RATE + 1,
               "copied and solved in one go");

void NET(single_layer)(NET(single) * s, const beam_lane *layer)
{
    for (int k = 0; k < BEAM_NET_SCALARS; k++) {
        s->scalar[k] = beam_lane_all(layer[0][k]);
    }
    products(s);
    NET(single_rate)(s);
    NET(single_sensing)(s);
    balance(s);
    gradients(s);
    preconditioner(s);
    solve_directions(s);
    NET(single_features)(s);
    NET(single_perceptron)(s, layer);
    update(s);
}
