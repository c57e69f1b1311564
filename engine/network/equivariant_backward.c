/* The adjoint of a layer (equivariant.c), in the reverse order of its steps. The layer's quantities
 * are computed again from the state kept by forward. */
#include <string.h>

#include "network/block_internal.h"
#include "network/linear.h"

static void clear(NET(block) * b)
{
    const size_t L = (size_t)b->shape.L, U = (size_t)b->shape.U, D = (size_t)b->shape.D;
    const size_t rows = (size_t)b->rows, n = (size_t)b->n_max, stations = L * sizeof(beam_lane);
    memset(b->y_bar, 0, L * n * (size_t)b->Q * sizeof *b->y_bar);
    memset(b->G_bar, 0, L * n * n * sizeof *b->G_bar);
    memset(b->direction_bar, 0, BEAM_NET_DIRECTIONS * rows * D * sizeof *b->direction_bar);
    memset(b->gradient_bar, 0, rows * D * sizeof *b->gradient_bar);
    memset(b->norm_bar, 0, (BEAM_NET_NORMALISED + 1) * stations);
    memset(b->omega_bar, 0, U * sizeof(beam_lane));
    memset(b->ridge_bar, 0, stations);
    memset(b->mean_eigenvalue_bar, 0, stations);
    memset(b->multiplier_bar, 0, stations);
    memset(b->power_bar, 0, stations);
    memset(b->rate.user_bar, 0, U * sizeof *b->rate.user_bar);
    memset(b->rate.level_bar, 0, sizeof b->rate.level_bar);
    memset(b->scalar_bar, 0, sizeof b->scalar_bar);
    b->balance_bar = b->k1_bar = b->k2_bar = b->f1_bar = b->sensing.loss_bar = (beam_lane){0};
}

static void add_scaled(int count, beam_lane s, const beam_lc *a, beam_lc *to)
{
    for (int d = 0; d < count; d++) {
        beam_lc_add_scaled(&to[d], s, a[d]);
    }
}

static beam_lane inner(int count, const beam_lc *a, const beam_lc *c)
{
    beam_lane sum = {0};
    for (int d = 0; d < count; d++) {
        beam_lc_add_inner(&sum, a[d], c[d]);
    }
    return sum;
}

/* From the adjoint of the next state, through the scaling into the budget, to `next_bar` in place:
 * that of the sum of directions. */
static void scaling_adjoint(const NET(block) * b, int layer, beam_lc *next_bar)
{
    const int D = b->shape.D;
    const beam_lc *next = NET(block_at)(b->state, b, layer + 1);
    for (int l = 0; l < b->shape.L; l++) {
        const int at = b->first[l] * D, count = b->n[l] * D;
        const beam_lane power = b->power_next[l],
                        scale = 1 / beam_lane_sqrt(beam_lane_max(power, beam_lane_all(1)));
        beam_lane radial = inner(count, next_bar + at, next + at);
        for (int lane = 0; lane < BEAM_LANES; lane++) {
            radial[lane] = power[lane] > 1 ? radial[lane] : 0;
        }
        for (int i = at; i < at + count; i++) {
            beam_lc_add_scaled(&next_bar[i], -radial, next[i]);
            next_bar[i] = beam_lc_scale(scale, next_bar[i]);
        }
    }
}

static void update_adjoint(NET(block) * b, int layer, beam_lc *w_bar)
{
    const int L = b->shape.L, D = b->shape.D;
    const beam_lc *w = NET(block_at)(b->state, b, layer);
    beam_lc *next_bar = NET(block_at)(b->state_bar, b, layer + 1);
    scaling_adjoint(b, layer, next_bar);
    for (int l = 0; l < L; l++) {
        for (int i = b->first[l]; i < b->first[l + 1]; i++) {
            const beam_lc *bar = next_bar + i * D;
            add_scaled(D, 1 + b->out[BEAM_NET_SELF * b->rows + i], bar, w_bar + i * D);
            b->out_bar[BEAM_NET_SELF * b->rows + i] = inner(D, bar, w + i * D);
            for (int k = 0; k < BEAM_NET_DIRECTIONS; k++) {
                const beam_lc *direction = NET(direction_of)(b, k) + i * D;
                const beam_lane c = b->out[k * b->rows + i], along = inner(D, bar, direction);
                beam_lane unit = beam_lane_all(1);
                if (k < BEAM_NET_NORMALISED) {
                    unit = b->unit[k * L + l];
                    b->norm_bar[k * L + l] -= c * along * unit * unit;
                }
                b->out_bar[k * b->rows + i] = along * unit;
                add_scaled(D, c * unit, bar, b->direction_bar + (direction - b->direction));
            }
        }
    }
}

static void norms_adjoint(NET(block) * b)
{
    const int L = b->shape.L, D = b->shape.D;
    for (int l = 0; l < L; l++) {
        const int at = b->first[l] * D, count = b->n[l] * D;
        for (int k = 0; k < BEAM_NET_NORMALISED; k++) {
            const beam_lc *d = NET(direction_of)(b, k) + at;
            add_scaled(count, b->norm_bar[k * L + l] * b->unit[k * L + l], d,
                       b->direction_bar + (d - b->direction));
        }
        const int last = BEAM_NET_NORMALISED * L + l;
        add_scaled(count, b->norm_bar[last] * b->unit[last], b->gradient + at,
                   b->gradient_bar + at);
    }
}

static void momentum_adjoint(NET(block) * b, int layer, beam_lc *w_bar)
{
    const int count = b->rows * b->shape.D;
    const beam_lc *bar = b->direction_bar + BEAM_NET_MOMENTUM * count;
    if (layer > b->from) {
        add_scaled(count, beam_lane_all(1), bar, w_bar);
        add_scaled(count, beam_lane_all(-1), bar, NET(block_at)(b->state_bar, b, layer - 1));
    }
}

/* X = M^-1 B for one set of rows: the adjoint of B is that of X solved again, in place; that of M
 * is -sum_i b_bar_i x_i^H, of which only h^H M_bar h and the trace are needed. */
static void solve_adjoint(NET(block) * b, int l, int n, const beam_lc *solved, beam_lc *bar)
{
    const int D = b->shape.D, U = b->shape.U;
    const beam_lc *vectors = b->vectors + l * b->Q * D;
    NET(cholesky_solve)(D, b->factor + l * D * D, n, bar);
    NET(project)(n, U, U, D, solved, vectors, b->projection);
    NET(project)(n, U, U, D, bar, vectors, b->projection_bar);
    for (int i = 0; i < n; i++) {
        for (int u = 0; u < U; u++) {
            b->omega_bar[u] -=
                beam_lc_inner(b->projection[i * U + u], b->projection_bar[i * U + u]);
        }
    }
    b->ridge_bar[l] -= inner(n * D, solved, bar);
}

static void solve_directions_adjoint(NET(block) * b)
{
    const int D = b->shape.D, count = b->rows * D;
    beam_lc *bar = b->direction_bar;
    for (int l = 0; l < b->shape.L; l++) {
        const int at = b->first[l] * D;
        for (int k = BEAM_NET_RATE_SOLVED; k <= BEAM_NET_CHANNEL_SOLVED; k++) {
            const int n = k == BEAM_NET_CHANNEL_SOLVED ? b->shape.K[l] : b->n[l];
            solve_adjoint(b, l, n, NET(direction_of)(b, k) + at, bar + k * count + at);
        }
    }
    add_scaled(2 * count, beam_lane_all(1), bar + BEAM_NET_RATE_SOLVED * count,
               bar + BEAM_NET_RATE * count);
    for (int u = 0; u < b->shape.U; u++) { /* turn = y/sqrt(|y|^2 + 1e-6), times h */
        const int l = b->own[u], i = b->row[u], at = (l * b->n_max + i) * b->Q + u;
        const beam_lc *h = b->vectors + (l * b->Q + u) * D;
        const beam_lc *x = bar + BEAM_NET_CHANNEL_SOLVED * count + (b->first[l] + i) * D;
        beam_lc turn_bar = {{0}, {0}};
        for (int d = 0; d < D; d++) {
            beam_lc_add_conj_mul(&turn_bar, h[d], x[d]);
        }
        const beam_lane length2 = beam_lc_norm2(b->y[at]) + (beam_net_real)1e-6;
        const beam_lane over = 1 / beam_lane_sqrt(length2);
        beam_lc_add_scaled(&b->y_bar[at], over, turn_bar);
        beam_lc_add_scaled(&b->y_bar[at], -beam_lc_inner(turn_bar, b->y[at]) * over / length2,
                           b->y[at]);
    }
}

static void preconditioner_adjoint(NET(block) * b)
{
    const int D = b->shape.D, U = b->shape.U;
    const beam_lane trace = b->scalar[BEAM_NET_RIDGE_TRACE];
    const beam_lane power = b->scalar[BEAM_NET_RIDGE_POWER];
    for (int l = 0; l < b->shape.L; l++) {
        const beam_lane bar = b->ridge_bar[l], inner_w = b->multiplier[l];
        const beam_lane size = beam_lane_sqrt(inner_w * inner_w + (beam_net_real)1e-8);
        b->scalar_bar[BEAM_NET_RIDGE_TRACE] += bar * trace * b->mean_eigenvalue[l];
        b->scalar_bar[BEAM_NET_RIDGE_POWER] += bar * power * size;
        b->multiplier_bar[l] += bar * power * inner_w / size;
        for (int u = 0; u < U; u++) {
            const int pair = l * U + u;
            b->omega_bar[u] +=
                bar * (b->eps2[pair] + trace * (b->h2[pair] / (beam_net_real)D + b->eps2[pair]));
        }
    }
    for (int u = 0; u < U; u++) {
        b->k1_bar += b->omega_bar[u] * b->rate.user[u].curvature;
        b->rate.user_bar[u].curvature += b->omega_bar[u] * b->k1;
    }
}

static void gradients_adjoint(NET(block) * b, const beam_lc *w, beam_lc *w_bar)
{
    const int D = b->shape.D, U = b->shape.U, J = b->shape.J, r = b->shape.r, Q = b->Q,
              n_max = b->n_max, count = b->rows * D;
    const beam_lc *rate = NET(direction_of)(b, BEAM_NET_RATE),
                  *sensing = NET(direction_of)(b, BEAM_NET_SENSING);
    beam_lc *rate_bar = b->direction_bar + BEAM_NET_RATE * count,
            *sensing_bar = b->direction_bar + BEAM_NET_SENSING * count,
            *least_bar = b->direction_bar + BEAM_NET_LEAST * count;
    for (int l = 0; l < b->shape.L; l++) {
        const int at = b->first[l] * D, n = b->n[l];
        const beam_lc *vectors = b->vectors + l * Q * D;
        add_scaled(n * D, b->multiplier_bar[l], b->gradient + at, w_bar + at);
        add_scaled(n * D, b->multiplier_bar[l], w + at, b->gradient_bar + at);
        const beam_lc *bar = b->gradient_bar + at;
        b->k1_bar += inner(n * D, bar, rate + at);
        b->k2_bar += inner(n * D, bar, sensing + at);
        add_scaled(n * D, b->k1, bar, rate_bar + at);
        add_scaled(n * D, b->k2, bar, sensing_bar + at);
        NET(project)(n, U, U, D, rate_bar + at, vectors, b->rate.e_bar + l * n_max * U);
        NET(project)(n, n, n_max, D, rate_bar + at, w + at, b->rate.f_bar + l * n_max * n_max);
        NET(combine_adjoint)
        (n, n, n_max, D, b->rate.f_out + l * n_max * n_max, rate_bar + at, w_bar + at);
        NET(project)
        (n, 2 * J, 2 * J, D, sensing_bar + at, vectors + U * D,
         b->sensing.e_bar + l * n_max * 2 * J);
        NET(project_add)
        (n, r, Q, D, least_bar + at, vectors + (U + 2 * J) * D,
         b->y_bar + l * n_max * Q + U + 2 * J);
    }
}

static void balance_adjoint(NET(block) * b)
{
    const beam_lane loss = b->sensing.loss;
    const beam_lane difference = b->w1 * b->f1 - b->w2 * loss;
    const beam_lane bar = (b->balance_bar + b->k1_bar * b->w1 - b->k2_bar * b->w2) * b->balance *
                          (1 - b->balance) / b->scalar[BEAM_NET_TEMPERATURE];
    b->scalar_bar[BEAM_NET_TEMPERATURE] -= bar * difference; /* of its logarithm */
    b->f1_bar += bar * b->w1;
    b->sensing.loss_bar -= bar * b->w2;
    for (int u = 0; u < b->shape.U; u++) {
        b->rate.user_bar[u].rate -= b->f1_bar * b->beta[u];
    }
}

static void products_adjoint(NET(block) * b, const beam_lc *w, beam_lc *w_bar)
{
    const int D = b->shape.D, n_max = b->n_max;
    for (int l = 0; l < b->shape.L; l++) {
        const int at = b->first[l] * D, n = b->n[l];
        beam_lc *G_bar = b->G_bar + l * n_max * n_max;
        for (int i = 0; i < n; i++) {
            G_bar[i * n_max + i].re += b->power_bar[l];
        }
        NET(combine)
        (n, b->Q, b->Q, D, b->y_bar + l * n_max * b->Q, b->vectors + l * b->Q * D, w_bar + at);
        /* G_ik = w_k^H w_i */
        NET(combine)(n, n, n_max, D, G_bar, w + at, w_bar + at);
        NET(combine_adjoint)(n, n, n_max, D, G_bar, w + at, w_bar + at);
    }
}

static void layer_backward(NET(block) * b, const beam_net_real *theta, int layer,
                           beam_net_real *theta_bar)
{
    const beam_lc *w = NET(block_at)(b->state, b, layer);
    beam_lc *w_bar = NET(block_at)(b->state_bar, b, layer);
    NET(layer_coefficients)(b, theta, layer);
    NET(layer_update)(b, layer);
    clear(b);
    update_adjoint(b, layer, w_bar);
    NET(perceptron_adjoint)(b, theta, theta_bar);
    NET(features_adjoint)(b, w, w_bar);
    norms_adjoint(b);
    momentum_adjoint(b, layer, w_bar);
    solve_directions_adjoint(b);
    preconditioner_adjoint(b);
    gradients_adjoint(b, w, w_bar);
    balance_adjoint(b);
    NET(sensing_backward)(&b->sensing);
    NET(rate_backward)(&b->rate);
    products_adjoint(b, w, w_bar);
    for (int k = 0; k < BEAM_NET_LEVELS; k++) { /* the parameters are logarithms */
        b->scalar_bar[k] += b->rate.level_bar[k] * b->rate.level[k];
    }
    for (int k = 0; k < BEAM_NET_SCALARS; k++) {
        theta_bar[k] += beam_lane_sum(b->scalar_bar[k]);
    }
}

void NET(block_backward)(NET(block) * b, const beam_net_real *theta, int from, int to,
                         beam_net_real *theta_bar)
{
    const size_t per_layer = beam_net_layer_layout(b->arch.width).count;
    if (b->arch.kind == BEAM_NET_MLP) {
        NET(mlp_backward)(b, theta, from, to, theta_bar);
        return;
    }
    for (int y = to - 1; y >= from; y--) {
        layer_backward(b, theta + (size_t)y * per_layer, y, theta_bar + (size_t)y * per_layer);
    }
}
