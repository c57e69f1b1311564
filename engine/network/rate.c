#include "network/rate.h"

#include <string.h>

#include "network/linear.h"

/* Keeps roots and quotients away from 0; noise is 1 in these units. */
static const beam_net_real tiny = (beam_net_real)1e-12;

void NET(rate_carve)(beam_net_rate *r, beam_arena *arena, int L, int U, int n_max, bool training)
{
    const int pairs = L * U, rows = L * n_max;
    r->z = BEAM_TAKE(arena, beam_lc, pairs * BEAM_NET_ROUNDS * n_max);
    r->e = BEAM_TAKE(arena, beam_lc, pairs * BEAM_NET_ROUNDS * n_max);
    r->scaled = BEAM_TAKE(arena, beam_lc, pairs * n_max);
    r->isotropic = BEAM_TAKE(arena, beam_lane, n_max);
    r->pair = BEAM_TAKE(arena, beam_net_pair, pairs);
    r->user = BEAM_TAKE(arena, beam_net_user, U);
    r->frobenius2 = BEAM_TAKE(arena, beam_lane, L);
    r->e_out = BEAM_TAKE(arena, beam_lc, rows * U);
    r->f_out = BEAM_TAKE(arena, beam_lc, rows * n_max);
    if (training) {
        r->e_bar = BEAM_TAKE(arena, beam_lc, rows * U);
        r->f_bar = BEAM_TAKE(arena, beam_lc, rows * n_max);
        r->user_bar = BEAM_TAKE(arena, beam_net_user, U);
        r->frobenius2_bar = BEAM_TAKE(arena, beam_lane, L);
        r->z_bar = BEAM_TAKE(arena, beam_lc, n_max);
        r->x_bar = BEAM_TAKE(arena, beam_lc, rows);
        r->v_bar = BEAM_TAKE(arena, beam_lc, rows);
        r->pair_bar = BEAM_TAKE(arena, beam_net_pair_bar, L);
    }
}

/* Everything of one (station, user) pair in one place. */
typedef struct pair_view {
    int n, k; /* rows; row of the user's own beam, or -1 */
    size_t at;
    const beam_lc *G;
    const beam_lc *y; /* of row i at y[i stride] */
    int n_max, stride;
    beam_lc *z, *e, *scaled;
    beam_net_pair *pair;
    beam_lane eps2;
} pair_view;

static inline pair_view view(const beam_net_rate *r, int l, int u)
{
    const size_t n_max = (size_t)r->n_max, at = (size_t)l * (size_t)r->shape->U + (size_t)u;
    return (pair_view){.n = r->n[l],
                       .k = r->own[u] == l ? r->row[u] : -1,
                       .at = at,
                       .G = r->G + (size_t)l * n_max * n_max,
                       .y = r->y + (size_t)l * n_max * (size_t)r->stride + u,
                       .n_max = r->n_max,
                       .stride = r->stride,
                       .z = r->z + at * BEAM_NET_ROUNDS * n_max,
                       .e = r->e + at * BEAM_NET_ROUNDS * n_max,
                       .scaled = r->scaled + at * n_max,
                       .pair = r->pair + at,
                       .eps2 = r->eps2[at]};
}

static inline beam_lane gamma_of(const pair_view *v, int i)
{
    return i == v->k ? -v->pair->own : v->pair->other;
}

/* What the errors of a round are made of: y, or e of the round before. */
static inline beam_lc source(const pair_view *v, int round, int k)
{
    return round == 0 ? v->y[k * v->stride] : v->e[(round - 1) * v->n_max + k];
}

static inline const beam_lc *last_e(const pair_view *v)
{
    return v->e + (BEAM_NET_ROUNDS - 1) * v->n_max;
}

/* z_i = sum_k gamma_k v_k G_ik for A rows; A is a constant where this is called. */
static inline __attribute__((always_inline)) void
error_rows(int A, int n, int n_max, const beam_lc *G, const beam_lc *scaled, beam_lc *z)
{
    beam_lc sum[4] = {{{0}, {0}}};
    for (int k = 0; k < n; k++) {
        const beam_lc x = scaled[k];
#pragma GCC unroll 4
        for (int a = 0; a < A; a++) {
            beam_lc_add_mul(&sum[a], x, G[a * n_max + k]);
        }
    }
#pragma GCC unroll 4
    for (int a = 0; a < A; a++) {
        z[a] = sum[a];
    }
}

/* z of a round; returns |Delta/s|^2. Leaves gamma_k v_k in `scaled`. */
static beam_lane errors(const pair_view *v, int round)
{
    const int n = v->n, n_max = v->n_max;
    beam_lc *z = v->z + round * n_max;
    beam_lane t = {0};
    for (int k = 0; k < n; k++) {
        v->scaled[k] = beam_lc_scale(gamma_of(v, k), source(v, round, k));
    }
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        error_rows(4, n, n_max, v->G + i * n_max, v->scaled, z + i);
    }
    for (; i + 2 <= n; i += 2) {
        error_rows(2, n, n_max, v->G + i * n_max, v->scaled, z + i);
    }
    if (i < n) {
        error_rows(1, n, n_max, v->G + i * n_max, v->scaled, z + i);
    }
    for (int k = 0; k < n; k++) {
        beam_lc_add_inner(&t, z[k], v->scaled[k]);
    }
    return t;
}

/* All rounds, lengths smoothed by `smooth`; returns sum |e_i|^2 without the own beam. Leaves
 * conj(s gamma_k v_k) of the last round, the coefficients of Delta, in `scaled`. */
static beam_lane find_errors(const pair_view *v, beam_lane smooth)
{
    const int n = v->n, last = BEAM_NET_ROUNDS - 1;
    beam_lane sum = {0};
    for (int round = 0; round < BEAM_NET_ROUNDS; round++) {
        const beam_lane t = errors(v, round) + smooth, s = beam_lane_sqrt(v->eps2 / t);
        const beam_lc *z = v->z + round * v->n_max;
        beam_lc *e = v->e + round * v->n_max;
        v->pair->t_smooth[round] = t;
        v->pair->s[round] = s;
        for (int i = 0; i < n; i++) {
            beam_lc x = v->y[i * v->stride];
            beam_lc_add_scaled(&x, s, z[i]);
            e[i] = x;
        }
    }
    const beam_lane s = v->pair->s[last];
    for (int k = 0; k < n; k++) {
        v->scaled[k] = (beam_lc){s * v->scaled[k].re, -s * v->scaled[k].im};
        if (k != v->k) {
            beam_lc_add_norm2(&sum, last_e(v)[k]);
        }
    }
    return sum;
}

static void cross_forward(beam_net_rate *r, int l, int u)
{
    const pair_view v = view(r, l, u);
    v.pair->own = beam_lane_all(0);
    v.pair->other = beam_lane_all(1);
    const beam_lane iso = r->level[BEAM_NET_CROSS] * v.eps2 * r->frobenius2[l];
    const beam_lane sum = find_errors(&v, iso + tiny);
    v.pair->isotropic = iso / v.pair->t_smooth[BEAM_NET_ROUNDS - 1];
    r->user[u].cross += sum + r->level[BEAM_NET_CROSS_ISOTROPIC] * v.pair->isotropic * v.eps2 *
                                  beam_lane_sqrt(r->frobenius2[l] + tiny);
}

static void own_forward(beam_net_rate *r, int u)
{
    const pair_view v = view(r, r->own[u], u);
    beam_net_user *user = r->user + u;
    const beam_lane p = v.G[v.k * v.n_max + v.k].re;
    beam_lane own_cell = {0}, frobenius2 = {0};
    user->nominal = beam_lc_norm2(v.y[v.k * v.stride]);
    for (int i = 0; i < v.n; i++) {
        own_cell += i == v.k ? (beam_lane){0} : beam_lc_norm2(v.y[i * v.stride]);
        for (int k = 0; k < v.n && i != v.k; k++) {
            frobenius2 += k == v.k ? (beam_lane){0} : beam_lc_norm2(v.G[i * v.n_max + k]);
        }
    }
    user->nominal_noise = 1 + user->cross + own_cell;
    v.pair->own = user->nominal_noise / (user->nominal + user->nominal_noise);
    v.pair->other = 1 - v.pair->own;
    v.pair->frobenius2 = frobenius2;
    const beam_lane level = r->level[BEAM_NET_OWN], own = v.pair->own * p;
    const beam_lane others =
        find_errors(&v, tiny + v.eps2 * ((1 + level) * own * own +
                                         level * v.pair->other * v.pair->other * frobenius2));
    user->signal = beam_lc_norm2(last_e(&v)[v.k]);
    user->noise = 1 + user->cross + others +
                  r->level[BEAM_NET_OWN_ISOTROPIC] * v.eps2 * beam_lane_sqrt(frobenius2 + tiny);
    user->rate = beam_lane_log(1 + user->signal / user->noise);
    user->gain = r->beta[u] / (user->noise + user->signal);
    user->curvature = user->gain * user->signal / user->noise;
}

/* Coefficient of the isotropic part: its gradient is this times R w. */
static beam_lane isotropic_weight(const beam_net_rate *r, const pair_view *v, int l, int u)
{
    const beam_lane frobenius2 = v->k < 0 ? r->frobenius2[l] : v->pair->frobenius2;
    beam_lane level = r->level[BEAM_NET_OWN_ISOTROPIC];
    if (v->k < 0) {
        level = r->level[BEAM_NET_CROSS_ISOTROPIC] * v->pair->isotropic;
    }
    return -r->user[u].curvature * level * v->eps2 / beam_lane_sqrt(frobenius2 + tiny);
}

/* Coefficients of the gradient at a station: e_out of the channels, f_out of the rows that make up
 * the errors. The isotropic parts add to f_out a multiple of G, for the own user without the row
 * and the column of its beam. */
static void station_gradient(beam_net_rate *r, int l)
{
    const int U = r->shape->U, n = r->n[l], n_max = r->n_max;
    const beam_lc *G = r->G + (size_t)l * (size_t)(n_max * n_max);
    beam_lc *out = r->e_out + (size_t)l * (size_t)(n_max * U);
    beam_lc *f = r->f_out + (size_t)l * (size_t)(n_max * n_max);
    beam_lane cross = {0};
    for (int i = 0; i < n; i++) {
        r->isotropic[i] = (beam_lane){0};
    }
    for (int u = 0; u < U; u++) {
        const pair_view v = view(r, l, u);
        const beam_lane weight = isotropic_weight(r, &v, l, u), curvature = -r->user[u].curvature;
        const beam_lc *e = last_e(&v);
        for (int i = 0; i < n; i++) {
            out[i * U + u] = beam_lc_scale(curvature, e[i]);
        }
        if (v.k < 0) {
            cross += weight;
        } else {
            out[v.k * U + u] = beam_lc_scale(r->user[u].gain, e[v.k]);
            r->isotropic[v.k] = weight;
        }
    }
    NET(combine_set)(n, U, U, n_max, out, r->scaled + (size_t)l * (size_t)(U * n_max), f);
    beam_lane own = {0};
    for (int i = 0; i < n; i++) {
        own += r->isotropic[i];
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) {
            beam_lane weight = cross + own - r->isotropic[i];
            if (i != k) {
                weight -= r->isotropic[k];
            }
            beam_lc_add_scaled(&f[i * n_max + k], weight, G[i * n_max + k]);
        }
    }
}

void NET(rate_forward)(beam_net_rate *r)
{
    const int L = r->shape->L, U = r->shape->U, n_max = r->n_max;
    for (int l = 0; l < L; l++) {
        beam_lane sum = {0};
        for (int i = 0; i < r->n[l]; i++) { /* G is Hermitian */
            const beam_lc *row = r->G + (l * n_max + i) * n_max;
            beam_lane below = {0};
            for (int k = 0; k < i; k++) {
                beam_lc_add_norm2(&below, row[k]);
            }
            sum += row[i].re * row[i].re + 2 * below;
        }
        r->frobenius2[l] = sum;
    }
    for (int u = 0; u < U; u++) {
        r->user[u].cross = (beam_lane){0};
        for (int l = 0; l < L; l++) {
            if (l != r->own[u]) {
                cross_forward(r, l, u);
            }
        }
    }
    for (int u = 0; u < U; u++) {
        own_forward(r, u);
    }
    for (int l = 0; l < L; l++) {
        station_gradient(r, l);
    }
}

/* Adjoint of isotropic_weight: `weight_bar` is that of the coefficient. */
static void isotropic_adjoint(beam_net_rate *r, const pair_view *v, int l, int u,
                              beam_lane weight_bar, beam_net_pair_bar *bar)
{
    const bool cross = v->k < 0;
    const beam_lane f2 = (cross ? r->frobenius2[l] : v->pair->frobenius2) + tiny;
    const beam_lane root = beam_lane_sqrt(f2), phi = cross ? v->pair->isotropic : beam_lane_all(1);
    const int which = cross ? BEAM_NET_CROSS_ISOTROPIC : BEAM_NET_OWN_ISOTROPIC;
    const beam_lane base = -v->eps2 / root * weight_bar, b = r->user[u].curvature;
    r->user_bar[u].curvature += base * r->level[which] * phi;
    r->level_bar[which] += base * b * phi;
    if (cross) {
        bar->isotropic += base * b * r->level[which];
    }
    bar->frobenius2 += -base * b * r->level[which] * phi / (2 * f2);
}

static void gamma_adjoint(const pair_view *v, int k, beam_lane gamma_bar, beam_net_pair_bar *bar)
{
    if (k == v->k) {
        bar->own -= gamma_bar;
    } else {
        bar->other += gamma_bar;
    }
}

/* Adjoint of pair_gradient; leaves that of the last e in `x_bar` and of its source in `v_bar`, and
 * adds to `bar`. */
static void pair_gradient_adjoint(beam_net_rate *r, int l, int u, const pair_view *v,
                                  beam_lc *x_bar, beam_lc *v_bar, beam_net_pair_bar *bar)
{
    const int U = r->shape->U, n_max = r->n_max, last = BEAM_NET_ROUNDS - 1;
    const beam_lc *out_bar = r->e_bar + (size_t)l * (size_t)(n_max * U) + u;
    const beam_lc *f_bar = r->f_bar + (size_t)l * (size_t)(n_max * n_max);
    beam_lc *G_bar = r->G_bar + (size_t)l * (size_t)(n_max * n_max);
    const beam_lane iso = isotropic_weight(r, v, l, u), s = v->pair->s[last];
    beam_lane weight_bar = {0};
    memset(v_bar, 0, (size_t)v->n * sizeof *v_bar);
    for (int i = 0; i < v->n; i++) {
        const beam_lane coefficient = i == v->k ? r->user[u].gain : -r->user[u].curvature;
        const beam_lc E = beam_lc_scale(coefficient, last_e(v)[i]);
        beam_lc E_bar = out_bar[i * U];
        for (int k = 0; k < v->n; k++) {
            const beam_lc F = f_bar[i * n_max + k], from = source(v, last, k);
            const beam_lane gamma = gamma_of(v, k);
            beam_lc_add_mul(&E_bar, beam_lc_scale(s * gamma, F), from);
            beam_lc product = {{0}, {0}}; /* conj(v) E */
            beam_lc_add_conj_mul(&product, from, E);
            const beam_lane inner = beam_lc_inner(F, product);
            bar->s += gamma * inner;
            gamma_adjoint(v, k, s * inner, bar);
            beam_lc_add_conj_mul(&v_bar[k], F, beam_lc_scale(s * gamma, E));
            if (i != v->k && k != v->k) {
                weight_bar += beam_lc_inner(F, v->G[i * n_max + k]);
                beam_lc_add_scaled(&G_bar[i * n_max + k], iso, F);
            }
        }
        const beam_lane c_bar = beam_lc_inner(E_bar, last_e(v)[i]);
        if (i == v->k) {
            r->user_bar[u].gain += c_bar;
        } else {
            r->user_bar[u].curvature -= c_bar;
        }
        x_bar[i] = beam_lc_scale(coefficient, E_bar);
    }
    isotropic_adjoint(r, v, l, u, weight_bar, bar);
}

/* Adjoint of errors(): r->z_bar and t_bar in; adds to v_bar, G_bar and `bar`. */
static void errors_adjoint(beam_net_rate *r, int l, const pair_view *v, int round, beam_lane t_bar,
                           beam_lc *v_bar, beam_net_pair_bar *bar)
{
    beam_lc *G_bar = r->G_bar + (size_t)l * (size_t)(r->n_max * r->n_max);
    const beam_lc *z = v->z + round * v->n_max;
    for (int i = 0; i < v->n; i++) {
        const beam_lane gamma = gamma_of(v, i);
        const beam_lc from = source(v, round, i);
        gamma_adjoint(v, i, t_bar * beam_lc_inner(z[i], from), bar);
        beam_lc_add_scaled(&r->z_bar[i], t_bar * gamma, from);
        beam_lc_add_scaled(&v_bar[i], t_bar * gamma, z[i]);
    }
    for (int k = 0; k < v->n; k++) {
        const beam_lane gamma = gamma_of(v, k);
        const beam_lc from = source(v, round, k), scaled = beam_lc_scale(gamma, from);
        beam_lc sum = {{0}, {0}}; /* adjoint of gamma_k v_k */
        for (int i = 0; i < v->n; i++) {
            beam_lc_add_conj_mul(&sum, v->G[i * v->n_max + k], r->z_bar[i]);
            beam_lc_add_conj_mul(&G_bar[i * v->n_max + k], scaled, r->z_bar[i]);
        }
        gamma_adjoint(v, k, beam_lc_inner(sum, from), bar);
        beam_lc_add_scaled(&v_bar[k], gamma, sum);
    }
}

/* Adjoint of find_errors, last round first. In: that of the last e (x_bar), of its source (v_bar),
 * of its s (bar->s) and t_smooth (t_bar). Both arrays are used up. */
static void find_errors_adjoint(beam_net_rate *r, int l, int u, const pair_view *v, beam_lane t_bar,
                                beam_lc *x_bar, beam_lc *v_bar, beam_net_pair_bar *bar)
{
    beam_lc *y_bar = r->y_bar + (size_t)l * (size_t)(r->n_max * r->stride) + u;
    for (int round = BEAM_NET_ROUNDS - 1; round >= 0; round--) {
        const beam_lane s = v->pair->s[round];
        for (int i = 0; i < v->n; i++) {
            beam_lc_add_scaled(&y_bar[i * v->stride], beam_lane_all(1), x_bar[i]);
            bar->s += beam_lc_inner(x_bar[i], v->z[round * v->n_max + i]);
            r->z_bar[i] = beam_lc_scale(s, x_bar[i]);
        }
        t_bar -= bar->s * s / (2 * v->pair->t_smooth[round]);
        bar->smooth += t_bar;
        errors_adjoint(r, l, v, round, t_bar, v_bar, bar);
        memcpy(x_bar, v_bar, (size_t)v->n * sizeof *x_bar);
        memset(v_bar, 0, (size_t)v->n * sizeof *v_bar);
        t_bar = bar->s = beam_lane_all(0);
    }
    for (int i = 0; i < v->n; i++) {
        beam_lc_add_scaled(&y_bar[i * v->stride], beam_lane_all(1), x_bar[i]);
    }
}

static void own_backward(beam_net_rate *r, int u)
{
    const int l = r->own[u];
    const pair_view v = view(r, l, u);
    const beam_net_user *user = r->user + u;
    beam_net_user *bar_u = r->user_bar + u;
    beam_lc *y_bar = r->y_bar + (size_t)l * (size_t)(r->n_max * r->stride) + u;
    beam_lc *G_bar = r->G_bar + (size_t)l * (size_t)(r->n_max * r->n_max);
    beam_lc *x_bar = r->x_bar + l * r->n_max;
    beam_net_pair_bar bar = r->pair_bar[l];
    /* a = beta/(Den+N), b = a N/Den, rate = ln(1 + N/Den) */
    const beam_lane N = user->signal, Den = user->noise, sum = 1 / (N + Den);
    const beam_lane gain_bar = bar_u->gain + bar_u->curvature * N / Den;
    bar_u->signal +=
        -gain_bar * user->gain * sum + bar_u->curvature * user->gain / Den + bar_u->rate * sum;
    bar_u->noise += -gain_bar * user->gain * sum - bar_u->curvature * user->curvature / Den -
                    bar_u->rate * N / Den * sum;
    const beam_lane root = beam_lane_sqrt(v.pair->frobenius2 + tiny);
    r->level_bar[BEAM_NET_OWN_ISOTROPIC] += bar_u->noise * v.eps2 * root;
    bar.frobenius2 += bar_u->noise * r->level[BEAM_NET_OWN_ISOTROPIC] * v.eps2 / (2 * root);
    for (int i = 0; i < v.n; i++) {
        beam_lc_add_scaled(&x_bar[i], 2 * (i == v.k ? bar_u->signal : bar_u->noise), last_e(&v)[i]);
    }
    find_errors_adjoint(r, l, u, &v, beam_lane_all(0), x_bar, r->v_bar + l * r->n_max, &bar);
    const beam_lane level = r->level[BEAM_NET_OWN], p = v.G[v.k * v.n_max + v.k].re;
    const beam_lane t_eps2 = bar.smooth * v.eps2, own = v.pair->own, other = v.pair->other;
    r->level_bar[BEAM_NET_OWN] += t_eps2 * (own * own * p * p + other * other * v.pair->frobenius2);
    bar.own += 2 * t_eps2 * (1 + level) * own * p * p;
    G_bar[v.k * v.n_max + v.k].re += 2 * t_eps2 * (1 + level) * own * own * p;
    bar.other += 2 * t_eps2 * level * other * v.pair->frobenius2;
    bar.frobenius2 += t_eps2 * level * other * other;
    /* own = Q/(S+Q), other = 1 - own, Q = 1 + cross + own cell, S = |y_k|^2 */
    const beam_lane share = user->nominal + user->nominal_noise, share2 = share * share;
    const beam_lane split = bar.own - bar.other;
    const beam_lane noise_bar = split * user->nominal / share2;
    const beam_lane nominal_bar = bar_u->nominal - split * user->nominal_noise / share2;
    for (int i = 0; i < v.n; i++) {
        const beam_lc y = v.y[i * v.stride];
        beam_lc_add_scaled(&y_bar[i * v.stride], 2 * (i == v.k ? nominal_bar : noise_bar), y);
        for (int k = 0; k < v.n && i != v.k; k++) {
            if (k != v.k) {
                beam_lc_add_scaled(&G_bar[i * v.n_max + k], 2 * bar.frobenius2,
                                   v.G[i * v.n_max + k]);
            }
        }
    }
    bar_u->cross = noise_bar + bar_u->noise;
}

static void cross_backward(beam_net_rate *r, int l, int u)
{
    const pair_view v = view(r, l, u);
    const beam_lane cross_bar = r->user_bar[u].cross, eps2 = v.eps2;
    const beam_lane root = beam_lane_sqrt(r->frobenius2[l] + tiny);
    const beam_lane level = r->level[BEAM_NET_CROSS];
    const beam_lane level_iso = r->level[BEAM_NET_CROSS_ISOTROPIC];
    beam_lc *x_bar = r->x_bar + l * r->n_max;
    beam_net_pair_bar bar = r->pair_bar[l];
    r->level_bar[BEAM_NET_CROSS_ISOTROPIC] += cross_bar * v.pair->isotropic * eps2 * root;
    bar.isotropic += cross_bar * level_iso * eps2 * root;
    bar.frobenius2 += cross_bar * level_iso * v.pair->isotropic * eps2 / (2 * root);
    for (int i = 0; i < v.n; i++) {
        beam_lc_add_scaled(&x_bar[i], 2 * cross_bar, last_e(&v)[i]);
    }
    /* phi = iso/t', t' = t + iso */
    const beam_lane t_last = v.pair->t_smooth[BEAM_NET_ROUNDS - 1];
    find_errors_adjoint(r, l, u, &v, -bar.isotropic * v.pair->isotropic / t_last, x_bar,
                        r->v_bar + l * r->n_max, &bar);
    const beam_lane iso_bar = bar.isotropic / t_last + bar.smooth;
    r->level_bar[BEAM_NET_CROSS] += iso_bar * eps2 * r->frobenius2[l];
    r->frobenius2_bar[l] += bar.frobenius2 + iso_bar * level * eps2;
}

/* The gradients of all pairs of a user feed the adjoints of its a and b, these the own pair's
 * scalars, and those the interference of the other pairs: three passes. */
void NET(rate_backward)(beam_net_rate *r)
{
    const int L = r->shape->L, U = r->shape->U, n_max = r->n_max;
    memset(r->frobenius2_bar, 0, (size_t)L * sizeof *r->frobenius2_bar);
    for (int u = 0; u < U; u++) {
        memset(r->pair_bar, 0, (size_t)L * sizeof *r->pair_bar);
        for (int l = 0; l < L; l++) {
            const pair_view v = view(r, l, u);
            pair_gradient_adjoint(r, l, u, &v, r->x_bar + l * n_max, r->v_bar + l * n_max,
                                  r->pair_bar + l);
        }
        own_backward(r, u);
        for (int l = 0; l < L; l++) {
            if (l != r->own[u]) {
                cross_backward(r, l, u);
            }
        }
    }
    for (int l = 0; l < L; l++) {
        for (int i = 0; i < r->n[l]; i++) {
            for (int k = 0; k < r->n[l]; k++) {
                const int at = (l * n_max + i) * n_max + k;
                beam_lc_add_scaled(&r->G_bar[at], 2 * r->frobenius2_bar[l], r->G[at]);
            }
        }
    }
}
