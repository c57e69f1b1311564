/* The layers of the equivariant network (docs/network.md) on one problem, in float32: engine/
 * network/{equivariant,rate,sensing,features,perceptron}.c for a team. */
#ifndef BEAM_GPU_NETWORK_CUH
#define BEAM_GPU_NETWORK_CUH

#include "layer.cuh"
#include "plan.cuh"

#define BEAM_GPU_TINY 1e-12f

/* What all lanes know of a problem while its layers run. */
typedef struct beam_gpu_net {
    const beam_gpu_problem *p;
    const beam_gpu_sizes *s;
    const int *first, *own, *row;
    const float *layer; /* weights of this one */
    float unit_rate;    /* 1/(WSR_ideal/2 ln 2), 0 without */
    float w1, w2;       /* of the preference, sum 1 */
    int any;            /* a target counts */
    float f1, loss, balance, k1, k2;
} beam_gpu_net;

#define BEAM_NET_WORK(net, type, name) BEAM_WORK((net)->p, type, name)

BEAM_HD int beam_gpu_station_of_row(const beam_gpu_net *net, int row)
{
    int l = 0;
    while (row >= net->first[l + 1]) {
        l++;
    }
    return l;
}
BEAM_HD float beam_gpu_eps2(const beam_gpu_net *net, int l, int u)
{
    const float eps = (float)BEAM_NET_WORK(net, double, radius)[l * net->s->U + u];
    return eps * eps;
}
BEAM_HD float *beam_gpu_user(const beam_gpu_net *net, int which)
{
    return BEAM_NET_WORK(net, float, user) + which * net->s->U;
}
BEAM_HD float *beam_gpu_station(const beam_gpu_net *net, int which)
{
    return BEAM_NET_WORK(net, float, station) + which * net->s->L;
}
BEAM_HD const beam_c32 *beam_gpu_vector(const beam_gpu_net *net, int l, int q)
{
    return BEAM_NET_WORK(net, beam_c32, vectors) + (l * net->s->Q + q) * net->s->D;
}
BEAM_HD beam_c32 *beam_gpu_direction(const beam_gpu_net *net, int which)
{
    return BEAM_NET_WORK(net, beam_c32, direction) + which * net->s->rows * net->s->D;
}
BEAM_HD float beam_gpu_beta(const beam_gpu_net *net, int u)
{
    return net->unit_rate * (float)BEAM_CLUSTER(net->p, double, weight)[u];
}

BEAM_HD beam_gpu_net beam_gpu_net_of(const beam_gpu_problem *p)
{
    const beam_gpu_request_head *head = beam_gpu_head(p);
    const int *geometry = BEAM_CLUSTER(p, int, geometry);
    const double least = 1e-3, w1 = 1 / (head->u1 > least ? head->u1 : least),
                 w2 = 1 / (head->u2 > least ? head->u2 : least);
    beam_gpu_net net;
    net.p = p;
    net.s = &p->plan->s;
    net.first = BEAM_CLUSTER(p, int, first);
    net.own = BEAM_CLUSTER(p, int, own);
    net.row = BEAM_CLUSTER(p, int, row);
    net.layer = p->weights;
    net.unit_rate = 0;
    if (head->wsr_ideal_bps_hz > 0) {
        net.unit_rate = (float)(1 / (0.5 * head->wsr_ideal_bps_hz * 0.69314718055994530942));
    }
    net.w1 = (float)(w1 / (w1 + w2));
    net.w2 = (float)(w2 / (w1 + w2));
    net.any = 0;
    for (int j = 0; j < net.s->J; j++) {
        net.any |= geometry[j] && head->crlb_min_m2 > 0;
    }
    net.f1 = net.loss = net.balance = net.k1 = net.k2 = 0;
    return net;
}

/* --- Products ----------------------------------------------------------------------------------
 */

/* y[row][q] = vector_q^H w, G[row][k] = w_k^H w_row, powers. */
BEAM_HD void beam_gpu_products(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const beam_c32 *w = BEAM_NET_WORK(net, beam_c32, w);
    beam_c32 *y = BEAM_NET_WORK(net, beam_c32, y), *G = BEAM_NET_WORK(net, beam_c32, G);
    BEAM_EACH(t, k, s->rows * s->Q)
    {
        const int row = k / s->Q, l = beam_gpu_station_of_row(net, row);
        y[k] = beam_gpu32_dot(s->D, beam_gpu_vector(net, l, k % s->Q), w + row * s->D);
    }
    BEAM_EACH(t, k, s->rows * s->n_max)
    {
        const int row = k / s->n_max, l = beam_gpu_station_of_row(net, row);
        const int other = net->first[l] + k % s->n_max;
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
        s = sqrtf(v->eps2 / t);
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

/* Pairs of other cells: interference into `e_out` as [L][U] is not yet needed there; the weight of
 * the isotropic part, without the curvature, into pair_weight. */
BEAM_HD void beam_gpu_cross_rates(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    float *weight = BEAM_NET_WORK(net, float, pair_weight), *cross = weight + s->L * s->U;
    BEAM_EACH(t, k, s->L * s->U)
    {
        const int l = k / s->U, u = k % s->U;
        const float all2 = beam_gpu_station(net, BEAM_GPU_STATION_FROBENIUS2)[l],
                    root = sqrtf(all2 + BEAM_GPU_TINY);
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
BEAM_HD void beam_gpu_own_rate(const beam_gpu_net *net, int u)
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
                root = sqrtf(frobenius2 + BEAM_GPU_TINY);
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
BEAM_HD void beam_gpu_rate_gradient(const beam_team *t, const beam_gpu_net *net)
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
        const int row = k / s->U, u = k % s->U, l = beam_gpu_station_of_row(net, row);
        const int i = row - net->first[l], mine = net->own[u] == l && net->row[u] == i;
        out[k] = beam_gpu32_scale(mine ? gain[u] : -curvature[u], e[(l * s->U + u) * s->n_max + i]);
    }
    beam_team_sync(t);
    BEAM_EACH(t, at, s->rows * s->n_max)
    {
        const int row = at / s->n_max, k = at % s->n_max, l = beam_gpu_station_of_row(net, row);
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

BEAM_HD void beam_gpu_net_rates(const beam_team *t, beam_gpu_net *net)
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

BEAM_HD void beam_gpu_net_sensing(const beam_team *t, beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const float ln4 = 1.3862943611198906f, *inverse = BEAM_NET_WORK(net, float, inverse);
    BEAM_EACH(t, k, s->L * s->J)
    {
        beam_gpu_echo(net, k / s->J, k % s->J);
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
        beam_gpu_sensing_gradient(net, k / s->J, k % s->J, 1 / (crlb * ln4));
    }
    beam_team_sync(t);
}

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

BEAM_HD void beam_gpu_gradients(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const int q2 = 2 * s->J;
    const beam_c32 *w = BEAM_NET_WORK(net, beam_c32, w), *y = BEAM_NET_WORK(net, beam_c32, y),
                   *e = BEAM_NET_WORK(net, beam_c32, e_out), *f = BEAM_NET_WORK(net, beam_c32, f),
                   *out = BEAM_NET_WORK(net, beam_c32, sensing_out);
    beam_c32 *gradient = BEAM_NET_WORK(net, beam_c32, gradient);
    BEAM_EACH(t, at, s->rows * s->D)
    {
        const int row = at / s->D, d = at % s->D, l = beam_gpu_station_of_row(net, row);
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
BEAM_HD void beam_gpu_preconditioner(const beam_team *t, const beam_gpu_net *net)
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
            net->layer[BEAM_GPU_RIDGE_POWER] * sqrtf(inner * inner + 1e-8f) + 1e-6f;
    }
    beam_team_sync(t);
    BEAM_EACH(t, at, s->L * s->D * s->D)
    {
        const int l = at / (s->D * s->D), i = at / s->D % s->D, k = at % s->D;
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
BEAM_HD void beam_gpu_factor(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const int D = s->D;
    beam_c32 *factor = BEAM_NET_WORK(net, beam_c32, factor);
    for (int j = 0; j < D; j++) {
        BEAM_EACH(t, at, s->L * (D - j)) /* every lane of a station takes the pivot for itself */
        {
            const int l = at / (D - j), i = j + at % (D - j);
            beam_c32 *a = factor + l * D * D, sum = a[i * D + j];
            for (int q = 0; q < j; q++) {
                beam_gpu32_add_conj_mul(&sum, beam_gpu32_scale(-1, a[j * D + q]), a[i * D + q]);
            }
            a[i * D + j] = sum;
        }
        beam_team_sync(t);
        BEAM_EACH(t, at, s->L * (D - j - 1))
        {
            const int l = at / (D - j - 1), i = j + 1 + at % (D - j - 1);
            beam_c32 *a = factor + l * D * D;
            const float least = beam_gpu_station(net, BEAM_GPU_STATION_RIDGE)[l] / 2,
                        pivot = a[j * D + j].re;
            a[i * D + j] = beam_gpu32_scale(1 / sqrtf(pivot > least ? pivot : least), a[i * D + j]);
        }
        beam_team_sync(t);
        BEAM_EACH(t, l, s->L)
        {
            beam_c32 *pivot = factor + (l * D + j) * D + j;
            const float least = beam_gpu_station(net, BEAM_GPU_STATION_RIDGE)[l] / 2;
            pivot->re = 1 / sqrtf(pivot->re > least ? pivot->re : least);
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

BEAM_HD void beam_gpu_solved_directions(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const int D = s->D;
    const beam_c32 *y = BEAM_NET_WORK(net, beam_c32, y),
                   *factor = BEAM_NET_WORK(net, beam_c32, factor), zero = {0, 0};
    BEAM_EACH(t, at, 3 * s->rows)
    {
        const int which = BEAM_GPU_RATE_SOLVED + at / s->rows, row = at % s->rows;
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
            const beam_c32 turn = beam_gpu32_scale(1 / sqrtf(beam_gpu32_norm2(own) + 1e-6f), own);
            for (int d = 0; d < D; d++) {
                x[d] = zero;
                beam_gpu32_add_mul(&x[d], turn, beam_gpu_vector(net, l, u)[d]);
            }
        }
        beam_gpu_solve(D, factor + l * D * D, x);
    }
    beam_team_sync(t);
}

/* --- Features (features.c) ---------------------------------------------------------------------
 */

BEAM_HD float beam_gpu_squash(float x)
{
    return x / sqrtf(1 + x * x);
}

/* Squared lengths and products of every direction of every row, into their places in x. */
BEAM_HD void beam_gpu_row_products(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const beam_c32 *w = BEAM_NET_WORK(net, beam_c32, w),
                   *gradient = BEAM_NET_WORK(net, beam_c32, gradient);
    float *x = BEAM_NET_WORK(net, float, x);
    BEAM_EACH(t, at, s->rows * BEAM_GPU_DIRECTIONS)
    {
        const int row = at / BEAM_GPU_DIRECTIONS, k = at % BEAM_GPU_DIRECTIONS;
        const beam_c32 *d = beam_gpu_direction(net, k) + row * s->D;
        float length2 = 0, with_w = 0, with_g = 0;
        for (int i = 0; i < s->D; i++) {
            const beam_c32 a = w[row * s->D + i], g = gradient[row * s->D + i];
            length2 += beam_gpu32_norm2(d[i]);
            with_w += a.re * d[i].re + a.im * d[i].im;
            with_g += g.re * d[i].re + g.im * d[i].im;
        }
        float *out = x + row * BEAM_GPU_ROW_INPUTS + BEAM_GPU_ROW_FEATURES + 3 * k;
        out[0] = length2;
        out[1] = with_w;
        out[2] = with_g;
    }
    beam_team_sync(t);
    BEAM_EACH(t, at, s->L * (BEAM_GPU_NORMALISED + 1))
    {
        const int l = at % s->L, k = at / s->L;
        float sum = BEAM_GPU_TINY, inner = 0;
        for (int row = net->first[l]; row < net->first[l + 1]; row++) {
            const float *in = x + row * BEAM_GPU_ROW_INPUTS + BEAM_GPU_ROW_FEATURES + 3 * k;
            sum +=
                k < BEAM_GPU_NORMALISED ? in[0] : beam_gpu32_row_norm2(s->D, gradient + row * s->D);
            inner += k < 2 ? in[1] : 0;
        }
        beam_gpu_station(net, BEAM_GPU_STATION_UNIT + k)[l] = 1 / sqrtf(sum);
        if (k < 2) {
            beam_gpu_station(net, BEAM_GPU_STATION_INNER + k)[l] = inner;
        }
    }
    beam_team_sync(t);
}

BEAM_HD void beam_gpu_row_features(const beam_gpu_net *net, int row)
{
    const beam_gpu_sizes *s = net->s;
    const int l = beam_gpu_station_of_row(net, row), i = row - net->first[l];
    const int *user = BEAM_CLUSTER(net->p, int, user_first), u = user[l] + i;
    const double *weight = BEAM_CLUSTER(net->p, double, weight);
    float *x = BEAM_NET_WORK(net, float, x) + row * BEAM_GPU_ROW_INPUTS;
    const float p = BEAM_NET_WORK(net, beam_c32, G)[row * s->n_max + i].re;
    x[0] = u < user[l + 1] ? 0 : 1;
    x[1] = 0.2f * logf(p + 1e-4f);
    for (int f = 2; f < BEAM_GPU_ROW_FEATURES; f++) {
        x[f] = 0;
    }
    if (u >= user[l + 1]) {
        return;
    }
    const float h2 = beam_gpu32_row_norm2(s->D, beam_gpu_vector(net, l, u)),
                eps2 = beam_gpu_eps2(net, l, u),
                nominal = beam_gpu_user(net, BEAM_GPU_USER_NOMINAL)[u];
    double total = 0;
    for (int k = 0; k < s->U; k++) {
        total += weight[k];
    }
    x[2] = 0.2f * beam_gpu_user(net, BEAM_GPU_USER_RATE)[u];
    x[3] = total > 0 ? (float)(weight[u] * s->U / total) / 2 : 0;
    x[4] = 0.1f * log1pf(h2);
    x[5] = 4 * sqrtf(eps2 / (eps2 + h2 + 1e-12f));
    x[6] = nominal / (h2 * p + BEAM_GPU_TINY);
    x[7] = 0.2f * logf(beam_gpu_user(net, BEAM_GPU_USER_NOISE)[u]);
    x[8] = beam_gpu_user(net, BEAM_GPU_USER_SIGNAL)[u] / (nominal + 1e-3f);
}

BEAM_HD void beam_gpu_station_features(const beam_gpu_net *net, int l)
{
    const beam_gpu_sizes *s = net->s;
    float *x = BEAM_NET_WORK(net, float, x_station) + l * BEAM_GPU_STATION_INPUTS;
    x[0] = beam_gpu_station(net, BEAM_GPU_STATION_POWER)[l];
    x[1] = beam_gpu_squash(beam_gpu_station(net, BEAM_GPU_STATION_INNER)[l]);
    x[2] = beam_gpu_squash(beam_gpu_station(net, BEAM_GPU_STATION_INNER + 1)[l]);
    x[3] = (float)(net->first[l + 1] - net->first[l]) / 8;
    for (int k = 0; k < BEAM_GPU_NORMALISED; k++) {
        x[4 + k] = -0.14f * logf(beam_gpu_station(net, BEAM_GPU_STATION_UNIT + k)[l]);
    }
    x += BEAM_GPU_STATION_FEATURES;
    x[0] = net->w1;
    x[1] = net->balance;
    x[2] = net->f1 / 2;
    x[3] = beam_gpu_squash(net->loss / 2);
    x[4] = beam_gpu_squash(5 * (net->w1 * net->f1 - net->w2 * net->loss));
    x[5] = (float)s->U / 8;
    x[6] = (float)s->U / (float)s->D;
    x[7] = (float)s->L / 4;
}

BEAM_HD void beam_gpu_features(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    float *x = BEAM_NET_WORK(net, float, x);
    beam_gpu_row_products(t, net);
    BEAM_EACH(t, at, s->rows * BEAM_GPU_DIRECTIONS)
    {
        const int row = at / BEAM_GPU_DIRECTIONS, k = at % BEAM_GPU_DIRECTIONS;
        const int l = beam_gpu_station_of_row(net, row);
        const float unit =
            k < BEAM_GPU_NORMALISED ? beam_gpu_station(net, BEAM_GPU_STATION_UNIT + k)[l] : 1;
        float *out = x + row * BEAM_GPU_ROW_INPUTS + BEAM_GPU_ROW_FEATURES + 3 * k;
        out[0] = sqrtf(out[0] * (unit * unit) + 1e-6f);
        out[1] *= unit;
        out[2] *= unit * beam_gpu_station(net, BEAM_GPU_STATION_UNIT + BEAM_GPU_NORMALISED)[l];
    }
    BEAM_EACH(t, row, s->rows)
    {
        beam_gpu_row_features(net, row);
    }
    BEAM_EACH(t, l, s->L)
    {
        beam_gpu_station_features(net, l);
    }
    beam_team_sync(t);
}

/* --- Perceptron (perceptron.c) -----------------------------------------------------------------
 */

BEAM_HD float beam_gpu_ramp(float x)
{
    return (x + sqrtf(x * x + 1) - 1) / 2;
}

enum { BEAM_GPU_TILE = 4 };

/* y[row][o] = sum_k x[row][k] W[k][o] + term[term_of_row][o], through the ramp: one output a lane,
 * BEAM_GPU_TILE rows at a time, so that a weight is read once for them. */
BEAM_HD void beam_gpu_dense(const beam_team *t, const beam_gpu_net *net, int outputs, int inputs,
                            const float *weight, const float *x, const float *term, float *y)
{
    const int rows = net->s->rows, tiles = (rows + BEAM_GPU_TILE - 1) / BEAM_GPU_TILE;
    BEAM_EACH(t, at, tiles * outputs)
    {
        const int o = at % outputs, begin = at / outputs * BEAM_GPU_TILE;
        float sum[BEAM_GPU_TILE];
        int row[BEAM_GPU_TILE];
        for (int a = 0; a < BEAM_GPU_TILE; a++) { /* the last one again where there are none */
            row[a] = begin + a < rows ? begin + a : rows - 1;
            sum[a] = term[beam_gpu_station_of_row(net, row[a]) * outputs + o];
        }
        for (int k = 0; k < inputs; k++) {
            const float w = weight[k * outputs + o];
            for (int a = 0; a < BEAM_GPU_TILE; a++) {
                sum[a] += w * x[row[a] * inputs + k];
            }
        }
        for (int a = 0; a < BEAM_GPU_TILE; a++) {
            if (begin + a < rows) {
                y[row[a] * outputs + o] = beam_gpu_ramp(sum[a]);
            }
        }
    }
    beam_team_sync(t);
}

/* Means of hidden 1 over the rows of every station, then of all: [L + 1][W]. */
BEAM_HD void beam_gpu_pool(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const int W = s->width;
    const float *h = BEAM_NET_WORK(net, float, hidden1);
    float *pool = BEAM_NET_WORK(net, float, pool);
    BEAM_EACH(t, at, (s->L + 1) * W)
    {
        const int l = at / W, o = at % W;
        const int from = l < s->L ? net->first[l] : 0, to = l < s->L ? net->first[l + 1] : s->rows;
        float sum = 0;
        for (int row = from; row < to; row++) {
            sum += h[row * W + o];
        }
        pool[at] = sum / (float)(to - from);
    }
    beam_team_sync(t);
}

BEAM_HD void beam_gpu_perceptron(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const beam_gpu_layer_at *at = &net->p->plan->layer;
    const float *theta = net->layer, *pool = BEAM_NET_WORK(net, float, pool),
                *station = BEAM_NET_WORK(net, float, x_station);
    const int W = s->width;
    float *term = BEAM_NET_WORK(net, float, term), *h1 = BEAM_NET_WORK(net, float, hidden1),
          *h2 = BEAM_NET_WORK(net, float, hidden2), *out = BEAM_NET_WORK(net, float, out);
    BEAM_EACH(t, i, s->L * W)
    {
        const int l = i / W, o = i % W;
        float sum = theta[at->b1 + o];
        for (int k = 0; k < BEAM_GPU_STATION_INPUTS; k++) {
            sum += theta[at->station1 + k * W + o] * station[l * BEAM_GPU_STATION_INPUTS + k];
        }
        term[i] = sum;
    }
    beam_team_sync(t);
    beam_gpu_dense(t, net, W, BEAM_GPU_ROW_INPUTS, theta + at->w1, BEAM_NET_WORK(net, float, x),
                   term, h1);
    beam_gpu_pool(t, net);
    BEAM_EACH(t, i, s->L * W)
    {
        const int l = i / W, o = i % W;
        float sum = theta[at->b2 + o];
        for (int k = 0; k < W; k++) {
            sum += theta[at->station2 + k * W + o] * pool[l * W + k];
            sum += theta[at->all2 + k * W + o] * pool[s->L * W + k];
        }
        term[i] = sum;
    }
    beam_team_sync(t);
    beam_gpu_dense(t, net, W, W, theta + at->w2, h1, term, h2);
    BEAM_EACH(t, i, s->rows * BEAM_GPU_COEFFICIENTS)
    {
        const int row = i / BEAM_GPU_COEFFICIENTS, o = i % BEAM_GPU_COEFFICIENTS;
        float sum = theta[at->b3 + o];
        for (int k = 0; k < W; k++) {
            sum += theta[at->w3 + k * BEAM_GPU_COEFFICIENTS + o] * h2[row * W + k];
        }
        out[i] = sum;
    }
    beam_team_sync(t);
}

/* --- A layer -----------------------------------------------------------------------------------
 */

/* The next point, inside the budgets; the step is the momentum of the next layer. */
BEAM_HD void beam_gpu_update(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const float *out = BEAM_NET_WORK(net, float, out);
    beam_c32 *w = BEAM_NET_WORK(net, beam_c32, w), *next = BEAM_NET_WORK(net, beam_c32, gradient);
    beam_c32 *momentum = beam_gpu_direction(net, BEAM_GPU_MOMENTUM);
    BEAM_EACH(t, at, s->rows * s->D)
    {
        const int row = at / s->D, l = beam_gpu_station_of_row(net, row);
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
        beam_gpu_station(net, BEAM_GPU_STATION_POWER)[l] = 1 / sqrtf(power > 1 ? power : 1);
    }
    beam_team_sync(t);
    BEAM_EACH(t, at, s->rows * s->D)
    {
        const int l = beam_gpu_station_of_row(net, at / s->D);
        const beam_c32 x =
            beam_gpu32_scale(beam_gpu_station(net, BEAM_GPU_STATION_POWER)[l], next[at]);
        momentum[at].re = x.re - w[at].re;
        momentum[at].im = x.im - w[at].im;
        w[at] = x;
    }
    beam_team_sync(t);
}

BEAM_HD void beam_gpu_layer(const beam_team *t, beam_gpu_net *net)
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
BEAM_HD void beam_gpu_layers(const beam_team *t, const beam_gpu_problem *p, int from, int to)
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
