/* The robust rates (rate.h) and the CRLB (sensing.h) of one problem, lanes = stations. Products
 * with channels are kept conjugated and user by user: the errors of all users are then rows times
 * G, and the gradients adjoints of such a product. */
#include <string.h>

#include "network/linear.h"
#include "network/single_internal.h"

static const beam_net_real tiny = (beam_net_real)1e-12;

/* |R|_F^2 without row and column `but` (-1: all); G is Hermitian. */
static beam_lane frobenius2(int n, const beam_lc *G, int but)
{
    beam_lane sum = {0}, below = {0};
    for (int i = 0; i < n; i++) {
        if (i == but) {
            continue;
        }
        for (int k = 0; k < i; k++) {
            if (k != but) {
                beam_lc_add_norm2(&below, G[i * n + k]);
            }
        }
        sum += G[i * n + i].re * G[i * n + i].re;
    }
    return sum + 2 * below;
}

/* One round for one user: s from z and v, e = y + s z, v <- s v. Returns t. */
static inline beam_lane error_step(int n, beam_lane smooth, beam_lane eps2, const beam_lc *y,
                                   const beam_lc *z, beam_lc *v, beam_lc *e)
{
    beam_lane t = {0};
    for (int i = 0; i < n; i++) {
        beam_lc_add_inner(&t, z[i], v[i]);
    }
    t += smooth;
    const beam_lane s = beam_lane_sqrt(eps2 / t);
    for (int i = 0; i < n; i++) {
        beam_lc x = y[i];
        beam_lc_add_scaled(&x, s, z[i]);
        v[i] = beam_lc_scale(s, v[i]);
        e[i] = x;
    }
    return t;
}

/* All users in all stations as if the user were another cell's; the own lane is not used. */
static void cross_errors(NET(single) * s, beam_lane all2)
{
    const int U = s->shape.U, n = s->n;
    const beam_lane root = beam_lane_sqrt(all2 + tiny), one = 1 / root;
    const beam_lane share = s->scalar[BEAM_NET_CROSS] * all2,
                    level = s->scalar[BEAM_NET_CROSS_ISOTROPIC];
    memcpy(s->scaled, s->yc, (size_t)(U * n) * sizeof *s->scaled);
    for (int round = 0; round < BEAM_NET_ROUNDS; round++) {
        if (round > 0) {
            memcpy(s->scaled, s->e, (size_t)(U * n) * sizeof *s->scaled);
        }
        NET(combine_set)(U, n, n, n, s->scaled, s->G, s->z);
        for (int u = 0; u < U; u++) {
            const beam_lane iso = share * s->eps2[u];
            const beam_lane t = error_step(n, iso + tiny, s->eps2[u], s->yc + u * n, s->z + u * n,
                                           s->scaled + u * n, s->e + u * n);
            s->iso[u] = level * (iso / t) * s->eps2[u];
        }
    }
    for (int u = 0; u < U; u++) {
        beam_lane sum = {0};
        for (int i = 0; i < n; i++) {
            beam_lc_add_norm2(&sum, s->e[u * n + i]);
        }
        sum += s->iso[u] * root;
        s->iso[u] *= one;
        const beam_lane total = beam_lane_total(beam_lane_without(s->mask[u], sum));
        beam_lane *cross = &s->user[s->row[u]].cross;
        *cross = beam_lane_select(s->mask[u], total, *cross);
    }
}

/* conj(y) of the own pairs: lane l of row index j from user (l, j). */
static void own_products(NET(single) * s)
{
    const int n = s->n;
    memset(s->y_own, 0, (size_t)(s->K * n) * sizeof *s->y_own);
    for (int u = 0; u < s->shape.U; u++) {
        const beam_lane_bits mask = s->mask[u];
        beam_lc *to = s->y_own + s->row[u] * n;
        for (int i = 0; i < n; i++) {
            to[i].re = beam_lane_select(mask, s->yc[u * n + i].re, to[i].re);
            to[i].im = beam_lane_select(mask, s->yc[u * n + i].im, to[i].im);
        }
    }
}

/* conj(gamma v) */
static void own_weights(int n, int j, const beam_net_single_user *user, const beam_lc *from,
                        beam_lc *scaled)
{
    for (int i = 0; i < n; i++) {
        scaled[i] = beam_lc_scale(user->other, from[i]);
    }
    scaled[j] = beam_lc_scale(-user->own, from[j]);
}

/* Smoothing of the own pair's errors. */
static beam_lane own_start(NET(single) * s, int j)
{
    const int n = s->n;
    const beam_lc *y = s->y_own + j * n;
    beam_net_single_user *user = s->user + j;
    beam_lane own_cell = {0};
    for (int i = 0; i < n; i++) {
        if (i != j) {
            beam_lc_add_norm2(&own_cell, y[i]);
        }
    }
    user->nominal = beam_lc_norm2(y[j]);
    const beam_lane noise = 1 + user->cross + own_cell;
    user->own = noise / (user->nominal + noise);
    user->other = 1 - user->own;
    user->frobenius2 = frobenius2(n, s->G, j);
    const beam_lane level = s->scalar[BEAM_NET_OWN], own = user->own * s->G[j * n + j].re;
    own_weights(n, j, user, y, s->scaled_own + j * n);
    return tiny + s->eps2_own[j] * ((1 + level) * own * own +
                                    level * user->other * user->other * user->frobenius2);
}

static void own_errors(NET(single) * s)
{
    const int K = s->K, n = s->n;
    beam_lane smooth[BEAM_MAX_USERS];
    for (int j = 0; j < K; j++) {
        smooth[j] = own_start(s, j);
    }
    for (int round = 0; round < BEAM_NET_ROUNDS; round++) {
        for (int j = 0; round > 0 && j < K; j++) {
            own_weights(n, j, s->user + j, s->e_own + j * n, s->scaled_own + j * n);
        }
        NET(combine_set)(K, n, n, n, s->scaled_own, s->G, s->z_own);
        for (int j = 0; j < K; j++) {
            (void)error_step(n, smooth[j], s->eps2_own[j], s->y_own + j * n, s->z_own + j * n,
                             s->scaled_own + j * n, s->e_own + j * n);
        }
    }
    for (int j = 0; j < K; j++) {
        beam_net_single_user *user = s->user + j;
        beam_lane others = {0};
        for (int i = 0; i < n; i++) {
            if (i != j) {
                beam_lc_add_norm2(&others, s->e_own[j * n + i]);
            }
        }
        const beam_lane iso = s->scalar[BEAM_NET_OWN_ISOTROPIC] * s->eps2_own[j],
                        root = beam_lane_sqrt(user->frobenius2 + tiny);
        user->signal = beam_lc_norm2(s->e_own[j * n + j]);
        user->noise = 1 + user->cross + others + iso * root;
        user->rate = beam_lane_log(1 + user->signal / user->noise);
        user->gain = s->beta[j] / (user->noise + user->signal);
        user->curvature = user->gain * user->signal / user->noise;
        s->iso_own[j] = -user->curvature * iso / root;
    }
}

/* Coefficients of the gradient, own pairs put into their lanes: of the channels into e
 * (conjugated), of the rows into f. */
static void coefficients(NET(single) * s)
{
    const int U = s->shape.U, n = s->n, K = s->K;
    beam_lane weight = {0};
    for (int u = 0; u < U; u++) {
        const int j = s->row[u];
        const beam_lane_bits mask = s->mask[u];
        const beam_lane curvature = -beam_lane_all(s->user[j].curvature[s->own[u]]);
        beam_lc *e = s->e + u * n, *scaled = s->scaled + u * n;
        const beam_lc *e_own = s->e_own + j * n, *scaled_own = s->scaled_own + j * n;
        weight += beam_lane_without(mask, curvature * s->iso[u]);
        for (int i = 0; i < n; i++) {
            e[i].re = curvature * beam_lane_select(mask, e_own[i].re, e[i].re);
            e[i].im = curvature * beam_lane_select(mask, e_own[i].im, e[i].im);
            scaled[i].re = beam_lane_select(mask, scaled_own[i].re, scaled[i].re);
            scaled[i].im = beam_lane_select(mask, scaled_own[i].im, scaled[i].im);
        }
        const beam_lc own = beam_lc_scale(s->user[j].gain, e_own[j]);
        e[j].re = beam_lane_select(mask, own.re, e[j].re);
        e[j].im = beam_lane_select(mask, own.im, e[j].im);
    }
    for (int i = 0; i < n; i++) {
        s->iso_own[i] = i < K ? s->iso_own[i] : (beam_lane){0};
        weight += s->iso_own[i];
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) {
            beam_lane part = weight - s->iso_own[i];
            if (i != k) {
                part -= s->iso_own[k];
            }
            s->f[i * n + k] = beam_lc_scale(part, s->G[i * n + k]);
        }
    }
    NET(combine_adjoint)(U, n, n, n, s->e, s->scaled, s->f);
}

void NET(single_rate)(NET(single) * s)
{
    cross_errors(s, frobenius2(s->n, s->G, -1));
    own_products(s);
    own_errors(s);
    coefficients(s);
}

/* --- Sensing ---------------------------------------------------------------------------------- */

/* As in sensing.c. */
static const beam_net_real least_x0 = (beam_net_real)1e-7, least_information = (beam_net_real)1e-6;
static const beam_net_real ln4 = (beam_net_real)1.3862943611198906;

static beam_net_symmetric information(NET(single) * s, int j, int stride)
{
    const int n = s->n;
    const beam_lc *y = s->y + 2 * j;
    const beam_net_symmetric P0 = s->P0[j], P2 = s->P2[j];
    beam_net_echo *echo = s->echo + j;
    beam_lc x1 = {{0}, {0}}, *B = s->B + j * n;
    beam_lane x0 = beam_lane_all(least_x0), sum = {0};
    for (int i = 0; i < n; i++) {
        beam_lc_add_norm2(&x0, y[i * stride]);
        beam_lc_add_conj_mul(&x1, y[i * stride + 1], y[i * stride]);
    }
    echo->c = beam_lc_scale(1 / x0, x1);
    for (int i = 0; i < n; i++) {
        beam_lc b = y[i * stride + 1];
        beam_lc_sub_conj_mul(&b, echo->c, y[i * stride]);
        B[i] = b;
        beam_lc_add_norm2(&sum, b);
    }
    return (beam_net_symmetric){beam_lane_total(x0 * P0.xx + sum * P2.xx),
                                beam_lane_total(x0 * P0.xy + sum * P2.xy),
                                beam_lane_total(x0 * P0.yy + sum * P2.yy)};
}

static inline beam_lane inner(beam_net_symmetric a, beam_net_symmetric b)
{
    return a.xx * b.xx + 2 * a.xy * b.xy + a.yy * b.yy;
}

void NET(single_sensing)(NET(single) * s)
{
    const int J = s->shape.J, n = s->n, stride = 2 * J + s->shape.r;
    beam_lane crlb = {0}, any = {0};
    for (int j = 0; j < J; j++) {
        const beam_lane off = least_information + (1 - s->counted[j]);
        beam_net_symmetric m = information(s, j, stride);
        m.xx += off;
        m.yy += off;
        const beam_lane det = m.xx * m.yy - m.xy * m.xy;
        /* rounding of nearly parallel views must not turn the sign */
        const beam_lane over = 1 / beam_lane_max(det, least_information * (m.xx + m.yy) / 4);
        s->inverse[j] = (beam_net_symmetric){m.yy * over, -m.xy * over, m.xx * over};
        crlb += s->counted[j] * (s->inverse[j].xx + s->inverse[j].yy);
        any = beam_lane_max(any, s->counted[j]);
    }
    crlb += 1 - any;
    s->loss = beam_lane_log(crlb) / ln4;
    const beam_lane scale = 1 / (crlb * ln4);
    for (int j = 0; j < J; j++) {
        const beam_net_symmetric K = s->inverse[j],
                                 K2 = {K.xx * K.xx + K.xy * K.xy, K.xy * (K.xx + K.yy),
                                       K.yy * K.yy + K.xy * K.xy};
        const beam_lane weight = scale * s->counted[j], weight0 = weight * inner(K2, s->P0[j]),
                        weight2 = weight * inner(K2, s->P2[j]);
        const beam_lc c = s->echo[j].c;
        beam_lc *out = s->sensing_out + 2 * j;
        for (int i = 0; i < n; i++) {
            const beam_lc b = beam_lc_scale(weight2, s->B[j * n + i]);
            beam_lc a = beam_lc_scale(weight0, s->y[i * stride + 2 * j]);
            beam_lc_sub_mul(&a, c, b);
            out[i * 2 * J] = a;
            out[i * 2 * J + 1] = b;
        }
    }
}
