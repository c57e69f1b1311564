/* One layer of the equivariant network (MATH 6):
 *     w_i <- w_i (1 + c_self) + sum_d c_d direction_d,i, then stations over their budget are scaled
 * down to it. The directions come from the mathematics (block_internal.h), the coefficients of row
 * i from a perceptron that all rows share, on invariants (features.c). Nothing depends on the order
 * of users, targets or stations, on the basis of a station's space or on the phase of a row. */
#include <string.h>

#include "network/block_internal.h"
#include "network/linear.h"

static void scalars(NET(block) * b, const beam_net_real *theta)
{
    for (int k = 0; k < BEAM_NET_SCALARS; k++) {
        b->scalar[k] = beam_lane_exp(beam_lane_all(theta[k]));
    }
    memcpy(b->rate.level, b->scalar, sizeof b->rate.level);
}

/* Products of the rows with the station's vectors and with each other. */
static void products(NET(block) * b, const beam_lc *w)
{
    const int D = b->shape.D;
    for (int l = 0; l < b->shape.L; l++) {
        const beam_lc *rows = w + b->first[l] * D;
        NET(project)
        (b->n[l], b->Q, b->Q, D, rows, b->vectors + l * b->Q * D, b->y + l * b->n_max * b->Q);
        NET(gram)(b->n[l], b->n_max, D, rows, b->G + l * b->n_max * b->n_max);
        beam_lane power = {0};
        for (int i = 0; i < b->n[l]; i++) {
            power += b->G[(l * b->n_max + i) * b->n_max + i].re;
        }
        b->power[l] = power;
    }
}

/* f1, and the weights k1, k2 of the two losses in the gradient of the smooth Tchebycheff
 * objective. */
static void balance(NET(block) * b)
{
    b->f1 = 2 * b->has_rate;
    for (int u = 0; u < b->shape.U; u++) {
        b->f1 -= b->beta[u] * b->rate.user[u].rate;
    }
    const beam_lane difference = b->w1 * b->f1 - b->w2 * b->sensing.loss;
    b->balance = 1 / (1 + beam_lane_exp(-difference / b->scalar[BEAM_NET_TEMPERATURE]));
    b->k1 = b->balance * b->w1;
    b->k2 = (1 - b->balance) * b->w2;
}

static void gradients(NET(block) * b, const beam_lc *w)
{
    const int D = b->shape.D, U = b->shape.U, J = b->shape.J, r = b->shape.r, Q = b->Q,
              n_max = b->n_max;
    for (int l = 0; l < b->shape.L; l++) {
        const int at = b->first[l] * D, n = b->n[l];
        const beam_lc *vectors = b->vectors + l * Q * D;
        NET(combine_set)
        (n, U, U, D, b->rate.e_out + l * n_max * U, vectors,
         NET(direction_of)(b, BEAM_NET_RATE) + at);
        NET(combine)
        (n, n, n_max, D, b->rate.f_out + l * n_max * n_max, w + at,
         NET(direction_of)(b, BEAM_NET_RATE) + at);
        NET(combine_set)
        (n, 2 * J, 2 * J, D, b->sensing.e_out + l * n_max * 2 * J, vectors + U * D,
         NET(direction_of)(b, BEAM_NET_SENSING) + at);
        NET(combine_set)
        (n, r, Q, D, b->y + l * n_max * Q + U + 2 * J, vectors + (U + 2 * J) * D,
         NET(direction_of)(b, BEAM_NET_LEAST) + at);
    }
    const beam_lc *rate = NET(direction_of)(b, BEAM_NET_RATE),
                  *sensing = NET(direction_of)(b, BEAM_NET_SENSING);
    for (int l = 0; l < b->shape.L; l++) {
        beam_lane inner = {0};
        for (int i = b->first[l] * D; i < b->first[l + 1] * D; i++) {
            b->gradient[i] = beam_lc_scale(b->k1, rate[i]);
            beam_lc_add_scaled(&b->gradient[i], b->k2, sensing[i]);
            beam_lc_add_inner(&inner, w[i], b->gradient[i]);
        }
        b->multiplier[l] = inner;
    }
}

void NET(curvature)(int U, int D, const beam_lane *omega, const beam_lc *h, beam_lc *M)
{
    beam_lc scaled[BEAM_MAX_USERS];
    for (int i = 0; i < D; i++) {
        for (int u = 0; u < U; u++) {
            scaled[u] = beam_lc_scale(omega[u], h[u * D + i]);
        }
        for (int k = 0; k <= i; k++) {
            beam_lc sum = {{0}, {0}};
            for (int u = 0; u < U; u++) {
                beam_lc_add_conj_mul(&sum, h[u * D + k], scaled[u]);
            }
            M[i * D + k] = sum;
        }
    }
}

/* M_l = sum_u k1 b_u (h h^H + eps^2 I) + mu I: the curvature of the rates (weighted MMSE) and a
 * ridge mu of a share of its mean eigenvalue and of the multiplier of the power budget, which at an
 * optimum is <W, gradient>. */
static void preconditioner(NET(block) * b)
{
    const int D = b->shape.D, U = b->shape.U;
    for (int u = 0; u < U; u++) {
        b->omega[u] = b->k1 * b->rate.user[u].curvature;
    }
    for (int l = 0; l < b->shape.L; l++) {
        beam_lc *M = b->factor + l * D * D;
        beam_lane spread = {0}, mean = {0};
        for (int u = 0; u < U; u++) {
            const int pair = l * U + u;
            spread += b->omega[u] * b->eps2[pair];
            mean += b->omega[u] * (b->h2[pair] / (beam_net_real)D + b->eps2[pair]);
        }
        NET(curvature)(U, D, b->omega, b->vectors + l * b->Q * D, M);
        b->mean_eigenvalue[l] = mean;
        b->ridge[l] =
            spread + b->scalar[BEAM_NET_RIDGE_TRACE] * mean +
            b->scalar[BEAM_NET_RIDGE_POWER] *
                beam_lane_sqrt(b->multiplier[l] * b->multiplier[l] + (beam_net_real)1e-8) +
            (beam_net_real)1e-6;
        for (int i = 0; i < D; i++) {
            M[i * D + i].re += b->ridge[l];
        }
        NET(cholesky)(D, b->ridge[l] / 2, M);
    }
}

/* y over its length: the phase of the beam in its channel. */
static beam_lc phase(beam_lc y)
{
    return beam_lc_scale(1 / beam_lane_sqrt(beam_lc_norm2(y) + (beam_net_real)1e-6), y);
}

static void solve_directions(NET(block) * b)
{
    const int D = b->shape.D;
    memcpy(NET(direction_of)(b, BEAM_NET_RATE_SOLVED), NET(direction_of)(b, BEAM_NET_RATE),
           (size_t)(2 * b->rows * D) * sizeof *b->direction);
    beam_lc *channel = NET(direction_of)(b, BEAM_NET_CHANNEL_SOLVED);
    memset(channel, 0, (size_t)(b->rows * D) * sizeof *channel);
    for (int u = 0; u < b->shape.U; u++) {
        const int l = b->own[u], i = b->row[u];
        const beam_lc *h = b->vectors + (l * b->Q + u) * D;
        const beam_lc turn = phase(b->y[(l * b->n_max + i) * b->Q + u]);
        for (int d = 0; d < D; d++) {
            beam_lc_add_mul(&channel[(b->first[l] + i) * D + d], turn, h[d]);
        }
    }
    for (int l = 0; l < b->shape.L; l++) {
        const beam_lc *factor = b->factor + l * D * D;
        const int at = b->first[l] * D;
        NET(cholesky_solve)(D, factor, b->n[l], NET(direction_of)(b, BEAM_NET_RATE_SOLVED) + at);
        NET(cholesky_solve)(D, factor, b->n[l], NET(direction_of)(b, BEAM_NET_SENSING_SOLVED) + at);
        NET(cholesky_solve)(D, factor, b->shape.K[l], channel + at);
    }
}

static void momentum(NET(block) * b, int layer)
{
    const int count = b->rows * b->shape.D;
    beam_lc *step = NET(direction_of)(b, BEAM_NET_MOMENTUM);
    const beam_lc *w = NET(block_at)(b->state, b, layer);
    if (layer == b->from) {
        memset(step, 0, (size_t)count * sizeof *step);
        return;
    }
    const beam_lc *before = NET(block_at)(b->state, b, layer - 1);
    for (int i = 0; i < count; i++) {
        step[i] = (beam_lc){w[i].re - before[i].re, w[i].im - before[i].im};
    }
}

void NET(layer_coefficients)(NET(block) * b, const beam_net_real *theta, int layer)
{
    const beam_lc *w = NET(block_at)(b->state, b, layer);
    scalars(b, theta);
    products(b, w);
    NET(rate_forward)(&b->rate);
    NET(sensing_forward)(&b->sensing);
    balance(b);
    gradients(b, w);
    preconditioner(b);
    solve_directions(b);
    momentum(b, layer);
    NET(features)(b, w);
    NET(perceptron)(b, theta);
}

/* A row of the next state before scaling; returns its power. */
static beam_lane step_row(const NET(block) * b, int l, int i, const beam_lc *w, beam_lc *next)
{
    const int D = b->shape.D, apart = b->rows * D;
    const beam_lc *direction = b->direction + i * D;
    const beam_lane self = 1 + b->out[BEAM_NET_SELF * b->rows + i];
    beam_lane c[BEAM_NET_DIRECTIONS], power = {0};
    for (int k = 0; k < BEAM_NET_DIRECTIONS; k++) {
        c[k] = b->out[k * b->rows + i];
        if (k < BEAM_NET_NORMALISED) {
            c[k] *= b->unit[k * b->shape.L + l];
        }
    }
    for (int d = 0; d < D; d++) {
        beam_lc sum = beam_lc_scale(self, w[d]);
        for (int k = 0; k < BEAM_NET_DIRECTIONS; k++) {
            beam_lc_add_scaled(&sum, c[k], direction[k * apart + d]);
        }
        next[d] = sum;
        beam_lc_add_norm2(&power, sum);
    }
    return power;
}

void NET(layer_update)(NET(block) * b, int layer)
{
    const int D = b->shape.D;
    const beam_lc *w = NET(block_at)(b->state, b, layer);
    beam_lc *next = NET(block_at)(b->state, b, layer + 1);
    for (int l = 0; l < b->shape.L; l++) {
        beam_lane power = {0};
        for (int i = b->first[l]; i < b->first[l + 1]; i++) {
            power += step_row(b, l, i, w + i * D, next + i * D);
        }
        b->power_next[l] = power;
        const beam_lane scale = 1 / beam_lane_sqrt(beam_lane_max(power, beam_lane_all(1)));
        for (int i = b->first[l] * D; i < b->first[l + 1] * D; i++) {
            next[i] = beam_lc_scale(scale, next[i]);
        }
    }
}
