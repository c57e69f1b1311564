/* Products of the rows with everything, robust rates and CRLB as the network sees them, and the
 * coefficients of their gradients: engine/network/{rate,sensing}.c for a team. */
#ifndef BEAM_GPU_RATES_CUH
#define BEAM_GPU_RATES_CUH

#include "net.cuh"

/* --- Products ----------------------------------------------------------------------------------
 */

/* y[row][q] = vector_q^H w, G[row][k] = w_k^H w_row, powers. */
BEAM_HD_PART void beam_gpu_products(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const beam_c32 *w = BEAM_NET_WORK(net, beam_c32, w);
    beam_c32 *y = BEAM_NET_WORK(net, beam_c32, y), *G = BEAM_NET_WORK(net, beam_c32, G);
    BEAM_EACH(t, k, s->rows * s->Q)
    {
        const int row = beam_gpu_over(k, s->by_Q), l = beam_gpu_station_of_row(net, row);
        y[k] = beam_gpu32_dot(s->D, beam_gpu_vector(net, l, k - row * s->Q), w + row * s->D);
    }
    BEAM_EACH(t, k, s->rows * s->n_max)
    {
        const int row = beam_gpu_over(k, s->by_n_max), l = beam_gpu_station_of_row(net, row);
        const int other = net->first[l] + k - row * s->n_max;
        if (other < net->first[l + 1]) {
            G[k] = beam_gpu32_dot(s->D, w + other * s->D, w + row * s->D);
        }
    }
    beam_team_sync(t);
    BEAM_EACH(t, l, s->L)
    {
        float power = 0, frobenius2 = 0;
        const int n = net->first[l + 1] - net->first[l];
        for (int i = 0; i < n; i++) {
            const beam_c32 *row = G + (net->first[l] + i) * s->n_max;
            power += row[i].re;
            frobenius2 += beam_gpu32_row_norm2(n, row);
        }
        beam_gpu_station(net, BEAM_GPU_STATION_POWER)[l] = power;
        beam_gpu_station(net, BEAM_GPU_STATION_FROBENIUS2)[l] = frobenius2;
    }
    beam_team_sync(t);
}

/* --- Robust rates (rate.h) ---------------------------------------------------------------------
 */

/* One (station, user) pair. */
typedef struct beam_gpu_pair {
    int n, n_max, Q, k; /* rows; strides; row of the user's own beam, or -1 */
    const beam_c32 *y, *G;
    beam_c32 *e, *scaled;
    float eps2, own, other;
} beam_gpu_pair;

BEAM_HD beam_gpu_pair beam_gpu_pair_at(const beam_gpu_net *net, int l, int u)
{
    const beam_gpu_sizes *s = net->s;
    const int at = (l * s->U + u) * s->n_max;
    beam_gpu_pair v;
    v.n = net->first[l + 1] - net->first[l];
    v.n_max = s->n_max;
    v.Q = s->Q;
    v.k = net->own[u] == l ? net->row[u] : -1;
    v.y = BEAM_NET_WORK(net, beam_c32, y) + net->first[l] * s->Q + u;
    v.G = BEAM_NET_WORK(net, beam_c32, G) + net->first[l] * s->n_max;
    v.e = BEAM_NET_WORK(net, beam_c32, e) + at;
    v.scaled = BEAM_NET_WORK(net, beam_c32, scaled) + at;
    v.eps2 = beam_gpu_eps2(net, l, u);
    v.own = 0;
    v.other = 1;
    return v;
}

/* Two rounds of errors, lengths smoothed; returns sum |e_i|^2 without the own beam, leaves
 * conj(s gamma_k v_k) in `scaled` and the last squared length in *length2. */
BEAM_HD float beam_gpu_errors(const beam_gpu_pair *v, float smooth, float *length2)
{
    float s = 0, sum = 0;
    for (int round = 0; round < 2; round++) {
        float t = smooth;
        for (int k = 0; k < v->n; k++) {
            const beam_c32 from = round == 0 ? v->y[k * v->Q] : v->e[k];
            v->scaled[k] = beam_gpu32_scale(k == v->k ? -v->own : v->other, from);
        }
        for (int i = 0; i < v->n; i++) {
            beam_c32 z = {0, 0};
            for (int k = 0; k < v->n; k++) {
                beam_gpu32_add_mul(&z, v->scaled[k], v->G[i * v->n_max + k]);
            }
            v->e[i] = z;
            t += z.re * v->scaled[i].re + z.im * v->scaled[i].im;
        }
        s = beam_gpu_root(v->eps2 / t);
        for (int i = 0; i < v->n; i++) {
            beam_c32 x = v->y[i * v->Q];
            beam_gpu32_add_scaled(&x, s, v->e[i]);
            v->e[i] = x;
        }
        *length2 = t;
    }
    for (int k = 0; k < v->n; k++) {
        v->scaled[k].re *= s;
        v->scaled[k].im *= -s;
        sum += k == v->k ? 0 : beam_gpu32_norm2(v->e[k]);
    }
    return sum;
}

/* Pairs of other cells: their interference into the second half of pair_weight, the weight of
 * the isotropic part without the curvature into the first. */
BEAM_HD_PART void beam_gpu_cross_rates(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    float *weight = BEAM_NET_WORK(net, float, pair_weight), *cross = weight + s->L * s->U;
    BEAM_EACH(t, k, s->L * s->U)
    {
        const int l = beam_gpu_over(k, s->by_U), u = k - l * s->U;
        const float all2 = beam_gpu_station(net, BEAM_GPU_STATION_FROBENIUS2)[l],
                    root = beam_gpu_root(all2 + BEAM_GPU_TINY);
        float length2;
        const beam_gpu_pair v = beam_gpu_pair_at(net, l, u);
        if (v.k >= 0) {
            cross[k] = 0;
            continue;
        }
        const float iso = net->layer[BEAM_GPU_CROSS] * v.eps2 * all2;
        const float sum = beam_gpu_errors(&v, iso + BEAM_GPU_TINY, &length2);
        const float part = net->layer[BEAM_GPU_CROSS_ISOTROPIC] * (iso / length2) * v.eps2;
        cross[k] = sum + part * root;
        weight[k] = part / root;
    }
    beam_team_sync(t);
}

/* The own pair of a user and all of its numbers. */
BEAM_HD_PART void beam_gpu_own_rate(const beam_gpu_net *net, int u)
{
    const beam_gpu_sizes *s = net->s;
    const int l = net->own[u];
    float *weight = BEAM_NET_WORK(net, float, pair_weight), own_cell = 0, frobenius2 = 0, cross = 0;
    beam_gpu_pair v = beam_gpu_pair_at(net, l, u);
    const float p = v.G[v.k * v.n_max + v.k].re, nominal = beam_gpu32_norm2(v.y[v.k * v.Q]);
    for (int m = 0; m < s->L; m++) {
        cross += weight[(s->L + m) * s->U + u];
    }
    for (int i = 0; i < v.n; i++) {
        for (int k = 0; k < v.n && i != v.k; k++) {
            frobenius2 += k == v.k ? 0 : beam_gpu32_norm2(v.G[i * v.n_max + k]);
        }
        own_cell += i == v.k ? 0 : beam_gpu32_norm2(v.y[i * v.Q]);
    }
    const float before = 1 + cross + own_cell, level = net->layer[BEAM_GPU_OWN];
    v.own = before / (nominal + before);
    v.other = 1 - v.own;
    const float own = v.own * p;
    float length2;
    const float others = beam_gpu_errors(
        &v,
        BEAM_GPU_TINY + v.eps2 * ((1 + level) * own * own + level * v.other * v.other * frobenius2),
        &length2);
    const float iso = net->layer[BEAM_GPU_OWN_ISOTROPIC] * v.eps2,
                root = beam_gpu_root(frobenius2 + BEAM_GPU_TINY);
    const float signal = beam_gpu32_norm2(v.e[v.k]), noise = 1 + cross + others + iso * root;
    const float gain = beam_gpu_beta(net, u) / (noise + signal);
    beam_gpu_user(net, BEAM_GPU_USER_NOMINAL)[u] = nominal;
    beam_gpu_user(net, BEAM_GPU_USER_SIGNAL)[u] = signal;
    beam_gpu_user(net, BEAM_GPU_USER_NOISE)[u] = noise;
    beam_gpu_user(net, BEAM_GPU_USER_RATE)[u] = logf(1 + signal / noise);
    beam_gpu_user(net, BEAM_GPU_USER_GAIN)[u] = gain;
    beam_gpu_user(net, BEAM_GPU_USER_CURVATURE)[u] = gain * signal / noise;
    weight[l * s->U + u] = iso / root;
}

/* Coefficients of the gradient: of channel u in row i (e_out), of row k in row i (f). */
BEAM_HD_PART void beam_gpu_rate_gradient(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const float *weight = BEAM_NET_WORK(net, float, pair_weight),
                *curvature = beam_gpu_user(net, BEAM_GPU_USER_CURVATURE),
                *gain = beam_gpu_user(net, BEAM_GPU_USER_GAIN);
    const beam_c32 *e = BEAM_NET_WORK(net, beam_c32, e),
                   *scaled = BEAM_NET_WORK(net, beam_c32, scaled),
                   *G = BEAM_NET_WORK(net, beam_c32, G);
    beam_c32 *out = BEAM_NET_WORK(net, beam_c32, e_out), *f = BEAM_NET_WORK(net, beam_c32, f);
    BEAM_EACH(t, k, s->rows * s->U)
    {
        const int row = beam_gpu_over(k, s->by_U), u = k - row * s->U,
                  l = beam_gpu_station_of_row(net, row);
        const int i = row - net->first[l], mine = net->own[u] == l && net->row[u] == i;
        out[k] = beam_gpu32_scale(mine ? gain[u] : -curvature[u], e[(l * s->U + u) * s->n_max + i]);
    }
    beam_team_sync(t);
    BEAM_EACH(t, at, s->rows * s->n_max)
    {
        const int row = beam_gpu_over(at, s->by_n_max), k = at - row * s->n_max,
                  l = beam_gpu_station_of_row(net, row);
        const int i = row - net->first[l];
        beam_c32 sum = {0, 0};
        float part = 0;
        if (net->first[l] + k >= net->first[l + 1]) {
            continue;
        }
        for (int u = 0; u < s->U; u++) { /* the own user's part leaves out its row and column */
            const int own = net->own[u] == l, j = net->row[u];
            beam_gpu32_add_mul(&sum, out[row * s->U + u], scaled[(l * s->U + u) * s->n_max + k]);
            part -= own && (j == i || j == k) ? 0 : curvature[u] * weight[l * s->U + u];
        }
        beam_gpu32_add_scaled(&sum, part, G[at]);
        f[at] = sum;
    }
    beam_team_sync(t);
}

BEAM_HD_PART void beam_gpu_net_rates(const beam_team *t, beam_gpu_net *net)
{
    beam_gpu_cross_rates(t, net);
    BEAM_EACH(t, u, net->s->U)
    {
        beam_gpu_own_rate(net, u);
    }
    beam_team_sync(t);
    beam_gpu_rate_gradient(t, net);
    net->f1 = net->unit_rate > 0 ? 2 : 0;
    for (int u = 0; u < net->s->U; u++) {
        net->f1 -= beam_gpu_beta(net, u) * beam_gpu_user(net, BEAM_GPU_USER_RATE)[u];
    }
}

/* --- Sensing (sensing.h) -----------------------------------------------------------------------
 */

/* Information [L][J][4] of a pair: X0 and S (then the two weights), and c. */
BEAM_HD void beam_gpu_echo(const beam_gpu_net *net, int l, int j)
{
    const beam_gpu_sizes *s = net->s;
    const beam_c32 *y = BEAM_NET_WORK(net, beam_c32, y) + s->U + 2 * j;
    beam_c32 *B = BEAM_NET_WORK(net, beam_c32, echo_B) + j, x1 = {0, 0};
    float *echo = BEAM_NET_WORK(net, float, information) + 4 * (l * s->J + j), x0 = 1e-7f, sum = 0;
    for (int i = net->first[l]; i < net->first[l + 1]; i++) {
        x0 += beam_gpu32_norm2(y[i * s->Q]);
        beam_gpu32_add_conj_mul(&x1, y[i * s->Q + 1], y[i * s->Q]);
    }
    const beam_c32 c = beam_gpu32_scale(1 / x0, x1);
    for (int i = net->first[l]; i < net->first[l + 1]; i++) {
        beam_c32 b = y[i * s->Q + 1];
        beam_gpu32_add_conj_mul(&b, c, beam_gpu32_scale(-1, y[i * s->Q]));
        B[i * s->J] = b;
        sum += beam_gpu32_norm2(b);
    }
    echo[0] = x0;
    echo[1] = sum;
    echo[2] = c.re;
    echo[3] = c.im;
}

BEAM_HD void beam_gpu_inverse_information(const beam_gpu_net *net, int j)
{
    const beam_gpu_sizes *s = net->s;
    const double least = beam_gpu_head(net->p)->crlb_min_m2;
    const double V = ((double)s->N * s->N - 1) / 12;
    const double f0 = least * s->N, f2 = least * s->N * (V > 0 ? V : 1);
    const int counted = BEAM_CLUSTER(net->p, int, geometry)[j] && least > 0;
    const float floor = 1e-6f, off = floor + (counted ? 0.0f : 1.0f);
    float *K = BEAM_NET_WORK(net, float, inverse) + 4 * j, xx = off, xy = 0, yy = off;
    for (int l = 0; l < s->L; l++) {
        const double *P0 = BEAM_CLUSTER(net->p, double, P0) + 3 * (l * s->J + j);
        const double *P2 = BEAM_CLUSTER(net->p, double, P2) + 3 * (l * s->J + j);
        const float *echo = BEAM_NET_WORK(net, float, information) + 4 * (l * s->J + j);
        xx += echo[0] * (float)(f0 * P0[0]) + echo[1] * (float)(f2 * P2[0]);
        xy += echo[0] * (float)(f0 * P0[1]) + echo[1] * (float)(f2 * P2[1]);
        yy += echo[0] * (float)(f0 * P0[2]) + echo[1] * (float)(f2 * P2[2]);
    }
    const float det = xx * yy - xy * xy, under = floor * (xx + yy) / 4;
    const float over = 1 / (det > under ? det : under);
    K[0] = yy * over;
    K[1] = -xy * over;
    K[2] = xx * over;
    K[3] = counted ? 1.0f : 0.0f;
}

/* Coefficients of a and D a in the gradient of row i. */
BEAM_HD void beam_gpu_sensing_gradient(const beam_gpu_net *net, int row, int j, float scale)
{
    const beam_gpu_sizes *s = net->s;
    const double least = beam_gpu_head(net->p)->crlb_min_m2;
    const double V = ((double)s->N * s->N - 1) / 12;
    const double f0 = least * s->N, f2 = least * s->N * (V > 0 ? V : 1);
    const int l = beam_gpu_station_of_row(net, row), at = l * s->J + j;
    const float *K = BEAM_NET_WORK(net, float, inverse) + 4 * j,
                *echo = BEAM_NET_WORK(net, float, information) + 4 * at;
    const double *P0 = BEAM_CLUSTER(net->p, double, P0) + 3 * at,
                 *P2 = BEAM_CLUSTER(net->p, double, P2) + 3 * at;
    const float xx = K[0] * K[0] + K[1] * K[1], xy = K[1] * (K[0] + K[2]),
                yy = K[2] * K[2] + K[1] * K[1], factor = scale * K[3];
    const float weight0 = factor * (xx * (float)(f0 * P0[0]) + 2 * xy * (float)(f0 * P0[1]) +
                                    yy * (float)(f0 * P0[2]));
    const float weight2 = factor * (xx * (float)(f2 * P2[0]) + 2 * xy * (float)(f2 * P2[1]) +
                                    yy * (float)(f2 * P2[2]));
    const beam_c32 *y = BEAM_NET_WORK(net, beam_c32, y) + row * s->Q + s->U + 2 * j;
    const beam_c32 *B = BEAM_NET_WORK(net, beam_c32, echo_B) + row * s->J + j;
    beam_c32 *out = BEAM_NET_WORK(net, beam_c32, sensing_out) + (row * s->J + j) * 2;
    const beam_c32 c = {echo[2], echo[3]}, b = beam_gpu32_scale(weight2, B[0]);
    beam_c32 a = beam_gpu32_scale(weight0, y[0]);
    beam_gpu32_add_mul(&a, beam_gpu32_scale(-1, c), b);
    out[0] = a;
    out[1] = b;
}

BEAM_HD_PART void beam_gpu_net_sensing(const beam_team *t, beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const float ln4 = 1.3862943611198906f, *inverse = BEAM_NET_WORK(net, float, inverse);
    BEAM_EACH(t, k, s->L * s->J)
    {
        const int l = beam_gpu_over(k, s->by_J);
        beam_gpu_echo(net, l, k - l * s->J);
    }
    beam_team_sync(t);
    BEAM_EACH(t, j, s->J)
    {
        beam_gpu_inverse_information(net, j);
    }
    beam_team_sync(t);
    float crlb = net->any ? 0 : 1;
    for (int j = 0; j < s->J; j++) {
        crlb += inverse[4 * j + 3] * (inverse[4 * j] + inverse[4 * j + 2]);
    }
    net->loss = logf(crlb) / ln4;
    BEAM_EACH(t, k, s->rows * s->J)
    {
        const int row = beam_gpu_over(k, s->by_J);
        beam_gpu_sensing_gradient(net, row, k - row * s->J, 1 / (crlb * ln4));
    }
    beam_team_sync(t);
}

#endif
