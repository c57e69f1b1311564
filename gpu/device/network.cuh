/* The layers of the equivariant network (docs/network.md) on one problem, in float32:
 * engine/network/equivariant.c for a team. */
#ifndef BEAM_GPU_NETWORK_CUH
#define BEAM_GPU_NETWORK_CUH

#include "features.cuh"
#include "net.cuh"
#include "rates.cuh"

/* --- Directions --------------------------------------------------------------------------------
 */

/* f1 and f2 in balance: weights of their gradients in the smooth Tchebycheff objective. */
BEAM_HD void beam_gpu_balance(beam_gpu_net *net)
{
    const float difference = net->w1 * net->f1 - net->w2 * net->loss;
    float exponent = -difference / net->layer[BEAM_GPU_TEMPERATURE];
    exponent = exponent < 80 ? exponent : 80;
    exponent = exponent > -80 ? exponent : -80;
    net->balance = 1 / (1 + expf(exponent));
    net->k1 = net->balance * net->w1;
    net->k2 = (1 - net->balance) * net->w2;
}

BEAM_HD_PART void beam_gpu_gradients(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const int q2 = 2 * s->J;
    const beam_c32 *w = BEAM_NET_WORK(net, beam_c32, w), *y = BEAM_NET_WORK(net, beam_c32, y),
                   *e = BEAM_NET_WORK(net, beam_c32, e_out), *f = BEAM_NET_WORK(net, beam_c32, f),
                   *out = BEAM_NET_WORK(net, beam_c32, sensing_out);
    beam_c32 *gradient = BEAM_NET_WORK(net, beam_c32, gradient);
    BEAM_EACH(t, at, s->rows * s->D)
    {
        const int row = beam_gpu_over(at, s->by_D), d = at - row * s->D,
                  l = beam_gpu_station_of_row(net, row);
        const beam_c32 *v = beam_gpu_vector(net, l, 0) + d;
        beam_c32 rate = {0, 0}, sensing = {0, 0}, least = {0, 0}, both = {0, 0};
        for (int u = 0; u < s->U; u++) {
            beam_gpu32_add_mul(&rate, e[row * s->U + u], v[u * s->D]);
        }
        for (int k = net->first[l]; k < net->first[l + 1]; k++) {
            beam_gpu32_add_mul(&rate, f[row * s->n_max + k - net->first[l]], w[k * s->D + d]);
        }
        for (int q = 0; q < q2; q++) {
            beam_gpu32_add_mul(&sensing, out[row * q2 + q], v[(s->U + q) * s->D]);
        }
        for (int q = s->U + q2; q < s->Q; q++) {
            beam_gpu32_add_mul(&least, y[row * s->Q + q], v[q * s->D]);
        }
        beam_gpu32_add_scaled(&both, net->k1, rate);
        beam_gpu32_add_scaled(&both, net->k2, sensing);
        gradient[at] = both;
        beam_gpu_direction(net, BEAM_GPU_RATE)[at] = rate;
        beam_gpu_direction(net, BEAM_GPU_SENSING)[at] = sensing;
        beam_gpu_direction(net, BEAM_GPU_RATE_SOLVED)[at] = rate;
        beam_gpu_direction(net, BEAM_GPU_SENSING_SOLVED)[at] = sensing;
        beam_gpu_direction(net, BEAM_GPU_LEAST)[at] = least;
    }
    beam_team_sync(t);
}

/* M_l with its ridge, lower triangle. */
BEAM_HD_PART void beam_gpu_preconditioner(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const beam_c32 *w = BEAM_NET_WORK(net, beam_c32, w),
                   *gradient = BEAM_NET_WORK(net, beam_c32, gradient);
    beam_c32 *factor = BEAM_NET_WORK(net, beam_c32, factor);
    float *omega = beam_gpu_user(net, BEAM_GPU_USER_OMEGA);
    BEAM_EACH(t, u, s->U)
    {
        omega[u] = net->k1 * beam_gpu_user(net, BEAM_GPU_USER_CURVATURE)[u];
    }
    beam_team_sync(t);
    BEAM_EACH(t, l, s->L)
    {
        float spread = 0, mean = 0, inner = 0;
        for (int u = 0; u < s->U; u++) {
            const float eps2 = beam_gpu_eps2(net, l, u),
                        h2 = beam_gpu32_row_norm2(s->D, beam_gpu_vector(net, l, u));
            spread += omega[u] * eps2;
            mean += omega[u] * (h2 / (float)s->D + eps2);
        }
        for (int i = net->first[l] * s->D; i < net->first[l + 1] * s->D; i++) {
            inner += w[i].re * gradient[i].re + w[i].im * gradient[i].im;
        }
        beam_gpu_station(net, BEAM_GPU_STATION_MULTIPLIER)[l] = inner;
        beam_gpu_station(net, BEAM_GPU_STATION_RIDGE)[l] =
            spread + net->layer[BEAM_GPU_RIDGE_TRACE] * mean +
            net->layer[BEAM_GPU_RIDGE_POWER] * beam_gpu_root(inner * inner + 1e-8f) + 1e-6f;
    }
    beam_team_sync(t);
    BEAM_EACH(t, at, s->L * s->D * s->D)
    {
        const int line = beam_gpu_over(at, s->by_D), k = at - line * s->D;
        const int l = beam_gpu_over(line, s->by_D), i = line - l * s->D;
        beam_c32 sum = {0, 0};
        for (int u = 0; k <= i && u < s->U; u++) {
            const beam_c32 *h = beam_gpu_vector(net, l, u);
            beam_gpu32_add_conj_mul(&sum, h[k], beam_gpu32_scale(omega[u], h[i]));
        }
        sum.re += k == i ? beam_gpu_station(net, BEAM_GPU_STATION_RIDGE)[l] : 0;
        factor[at] = sum;
    }
    beam_team_sync(t);
}

/* Lower factors in place, inverses on the diagonal; pivots are at least half the ridge. */
BEAM_HD_PART void beam_gpu_factor(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const int D = s->D;
    beam_c32 *factor = BEAM_NET_WORK(net, beam_c32, factor);
    for (int j = 0; j < D; j++) {
        BEAM_EACH(t, at, s->L * D) /* every lane of a station takes the pivot for itself */
        {
            const int l = beam_gpu_over(at, s->by_D), i = at - l * D;
            beam_c32 *a = factor + l * D * D, sum = a[i * D + j];
            if (i < j) {
                continue;
            }
            for (int q = 0; q < j; q++) {
                beam_gpu32_add_conj_mul(&sum, beam_gpu32_scale(-1, a[j * D + q]), a[i * D + q]);
            }
            a[i * D + j] = sum;
        }
        beam_team_sync(t);
        BEAM_EACH(t, at, s->L * D)
        {
            const int l = beam_gpu_over(at, s->by_D), i = at - l * D;
            beam_c32 *a = factor + l * D * D;
            if (i <= j) {
                continue;
            }
            const float least = beam_gpu_station(net, BEAM_GPU_STATION_RIDGE)[l] / 2,
                        pivot = a[j * D + j].re;
            a[i * D + j] =
                beam_gpu32_scale(beam_gpu_over_root(pivot > least ? pivot : least), a[i * D + j]);
        }
        beam_team_sync(t);
        BEAM_EACH(t, l, s->L)
        {
            beam_c32 *pivot = factor + (l * D + j) * D + j;
            const float least = beam_gpu_station(net, BEAM_GPU_STATION_RIDGE)[l] / 2;
            pivot->re = beam_gpu_over_root(pivot->re > least ? pivot->re : least);
            pivot->im = 0;
        }
        beam_team_sync(t);
    }
}

/* x <- M^-1 x of one row. */
BEAM_HD void beam_gpu_solve(int D, const beam_c32 *a, beam_c32 *x)
{
    for (int i = 0; i < D; i++) {
        beam_c32 sum = x[i];
        for (int q = 0; q < i; q++) {
            beam_gpu32_add_mul(&sum, beam_gpu32_scale(-1, a[i * D + q]), x[q]);
        }
        x[i] = beam_gpu32_scale(a[i * D + i].re, sum);
    }
    for (int i = D - 1; i >= 0; i--) {
        beam_c32 sum = x[i];
        for (int q = i + 1; q < D; q++) {
            beam_gpu32_add_conj_mul(&sum, beam_gpu32_scale(-1, a[q * D + i]), x[q]);
        }
        x[i] = beam_gpu32_scale(a[i * D + i].re, sum);
    }
}

BEAM_HD_PART void beam_gpu_solved_directions(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const int D = s->D;
    const beam_c32 *y = BEAM_NET_WORK(net, beam_c32, y),
                   *factor = BEAM_NET_WORK(net, beam_c32, factor), zero = {0, 0};
    BEAM_EACH(t, at, 3 * s->rows)
    {
        const int part = at >= s->rows ? (at >= 2 * s->rows ? 2 : 1) : 0;
        const int which = BEAM_GPU_RATE_SOLVED + part, row = at - part * s->rows;
        const int l = beam_gpu_station_of_row(net, row), i = row - net->first[l];
        beam_c32 *x = beam_gpu_direction(net, which) + row * D;
        if (which == BEAM_GPU_CHANNEL_SOLVED) {
            const int u = BEAM_CLUSTER(net->p, int, user_first)[l] + i;
            if (u >= BEAM_CLUSTER(net->p, int, user_first)[l + 1]) { /* a sensing row */
                for (int d = 0; d < D; d++) {
                    x[d] = zero;
                }
                continue;
            }
            const beam_c32 own = y[row * s->Q + u];
            const beam_c32 turn =
                beam_gpu32_scale(beam_gpu_over_root(beam_gpu32_norm2(own) + 1e-6f), own);
            for (int d = 0; d < D; d++) {
                x[d] = zero;
                beam_gpu32_add_mul(&x[d], turn, beam_gpu_vector(net, l, u)[d]);
            }
        }
        beam_gpu_solve(D, factor + l * D * D, x);
    }
    beam_team_sync(t);
}

/* --- A layer -----------------------------------------------------------------------------------
 */

/* The next point, inside the budgets; the step is the momentum of the next layer. */
BEAM_HD_PART void beam_gpu_update(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const float *out = BEAM_NET_WORK(net, float, out);
    beam_c32 *w = BEAM_NET_WORK(net, beam_c32, w), *next = BEAM_NET_WORK(net, beam_c32, gradient);
    beam_c32 *momentum = beam_gpu_direction(net, BEAM_GPU_MOMENTUM);
    BEAM_EACH(t, at, s->rows * s->D)
    {
        const int row = beam_gpu_over(at, s->by_D), l = beam_gpu_station_of_row(net, row);
        const float *c = out + row * BEAM_GPU_COEFFICIENTS;
        beam_c32 sum = beam_gpu32_scale(1 + c[BEAM_GPU_DIRECTIONS], w[at]);
        for (int k = 0; k < BEAM_GPU_DIRECTIONS; k++) {
            const float unit =
                k < BEAM_GPU_NORMALISED ? beam_gpu_station(net, BEAM_GPU_STATION_UNIT + k)[l] : 1;
            beam_gpu32_add_scaled(&sum, c[k] * unit, beam_gpu_direction(net, k)[at]);
        }
        next[at] = sum;
    }
    beam_team_sync(t);
    BEAM_EACH(t, l, s->L)
    {
        const int from = net->first[l] * s->D, to = net->first[l + 1] * s->D;
        const float power = beam_gpu32_row_norm2(to - from, next + from);
        beam_gpu_station(net, BEAM_GPU_STATION_POWER)[l] =
            beam_gpu_over_root(power > 1 ? power : 1);
    }
    beam_team_sync(t);
    BEAM_EACH(t, at, s->rows * s->D)
    {
        const int l = beam_gpu_station_of_row(net, beam_gpu_over(at, s->by_D));
        const beam_c32 x =
            beam_gpu32_scale(beam_gpu_station(net, BEAM_GPU_STATION_POWER)[l], next[at]);
        momentum[at].re = x.re - w[at].re;
        momentum[at].im = x.im - w[at].im;
        w[at] = x;
    }
    beam_team_sync(t);
}

BEAM_HD_PART void beam_gpu_layer(const beam_team *t, beam_gpu_net *net)
{
    beam_gpu_products(t, net);
    beam_gpu_net_rates(t, net);
    beam_gpu_net_sensing(t, net);
    beam_gpu_balance(net);
    beam_gpu_gradients(t, net);
    beam_gpu_preconditioner(t, net);
    beam_gpu_factor(t, net);
    beam_gpu_solved_directions(t, net);
    beam_gpu_features(t, net);
    beam_gpu_perceptron(t, net);
    beam_gpu_update(t, net);
}

/* Layers from..to-1 on work.w. */
BEAM_HD_PART void beam_gpu_layers(const beam_team *t, const beam_gpu_problem *p, int from, int to)
{
    beam_gpu_net net = beam_gpu_net_of(p);
    const beam_c32 zero = {0, 0};
    BEAM_EACH(t, at, net.s->rows * net.s->D)
    {
        beam_gpu_direction(&net, BEAM_GPU_MOMENTUM)[at] = zero;
    }
    beam_team_sync(t);
    for (int y = from; y < to; y++) {
        net.layer = p->weights + y * p->plan->layer.count;
        beam_gpu_layer(t, &net);
    }
}

#endif
