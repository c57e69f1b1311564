#include "network/sensing.h"

#include <string.h>

/* Under these a target counts as not lit: of X0 (a has norm 1 here), and of the information matrix
 * in units of the least CRLB, where 1 is what the best design reaches. */
static const beam_net_real least_x0 = (beam_net_real)1e-7, least_information = (beam_net_real)1e-6;
static const beam_net_real ln4 = (beam_net_real)1.3862943611198906;

void NET(sensing_carve)(beam_net_sensing *s, beam_arena *arena, int L, int J, int n_max,
                        bool training)
{
    const int echoes = L * J, rows = L * n_max;
    s->B = BEAM_TAKE(arena, beam_lc, rows * J);
    s->echo = BEAM_TAKE(arena, beam_net_echo, echoes);
    s->inverse = BEAM_TAKE(arena, beam_net_symmetric, J);
    s->e_out = BEAM_TAKE(arena, beam_lc, rows * 2 * J);
    if (training) {
        s->e_bar = BEAM_TAKE(arena, beam_lc, rows * 2 * J);
        s->information_bar = BEAM_TAKE(arena, beam_net_symmetric, J);
        s->weight_bar = BEAM_TAKE(arena, beam_lane, echoes * 2);
    }
}

static inline beam_lane inner(beam_net_symmetric a, beam_net_symmetric b)
{
    return a.xx * b.xx + 2 * a.xy * b.xy + a.yy * b.yy;
}
static inline beam_net_symmetric square(beam_net_symmetric k)
{
    return (beam_net_symmetric){k.xx * k.xx + k.xy * k.xy, k.xy * (k.xx + k.yy),
                                k.yy * k.yy + k.xy * k.xy};
}
static inline void add_scaled(beam_net_symmetric *to, beam_lane s, beam_net_symmetric a)
{
    to->xx += s * a.xx;
    to->xy += s * a.xy;
    to->yy += s * a.yy;
}

static const beam_lc *echo_rows(const beam_net_sensing *s, int l, int j)
{
    return s->y + (l * s->n_max) * s->stride + s->first + 2 * j;
}

static void echo_forward(beam_net_sensing *s, int l, int j, beam_net_symmetric *information)
{
    const int J = s->shape->J, n = s->n[l];
    const beam_lc *y = echo_rows(s, l, j);
    beam_net_echo *echo = s->echo + l * J + j;
    beam_lc *B = s->B + l * s->n_max * J + j;
    beam_lc x1 = {{0}, {0}};
    beam_lane x0 = beam_lane_all(least_x0), sum = {0};
    for (int i = 0; i < n; i++) {
        const beam_lc A = y[i * s->stride], D = y[i * s->stride + 1];
        x0 += beam_lc_norm2(A);
        beam_lc_add_conj_mul(&x1, D, A);
    }
    echo->x0 = x0;
    echo->c = beam_lc_scale(1 / x0, x1);
    for (int i = 0; i < n; i++) {
        beam_lc b = y[i * s->stride + 1];
        beam_lc_sub_conj_mul(&b, echo->c, y[i * s->stride]);
        B[i * J] = b;
        sum += beam_lc_norm2(b);
    }
    echo->s = sum;
    add_scaled(information, x0, s->P0[l * J + j]);
    add_scaled(information, sum, s->P2[l * J + j]);
}

static void echo_gradient(beam_net_sensing *s, int l, int j, beam_net_symmetric inverse2)
{
    const int J = s->shape->J, n = s->n[l];
    const beam_lc *y = echo_rows(s, l, j), *B = s->B + l * s->n_max * J + j;
    beam_net_echo *echo = s->echo + l * J + j;
    beam_lc *out = s->e_out + l * s->n_max * 2 * J + 2 * j;
    const beam_lane scale = s->scale * s->counted[j];
    echo->weight0 = scale * inner(inverse2, s->P0[l * J + j]);
    echo->weight2 = scale * inner(inverse2, s->P2[l * J + j]);
    for (int i = 0; i < n; i++) {
        const beam_lc b = beam_lc_scale(echo->weight2, B[i * J]);
        beam_lc a = beam_lc_scale(echo->weight0, y[i * s->stride]);
        beam_lc_sub_mul(&a, echo->c, b);
        out[i * 2 * J] = a;
        out[i * 2 * J + 1] = b;
    }
}

void NET(sensing_forward)(beam_net_sensing *s)
{
    const int L = s->shape->L, J = s->shape->J;
    beam_lane crlb = {0}, any = {0};
    for (int j = 0; j < J; j++) {
        const beam_lane off = beam_lane_all(least_information) + (1 - s->counted[j]);
        beam_net_symmetric m = {off, {0}, off};
        for (int l = 0; l < L; l++) {
            echo_forward(s, l, j, &m);
        }
        const beam_lane det = m.xx * m.yy - m.xy * m.xy;
        /* rounding of nearly parallel views must not turn the sign */
        const beam_lane over = 1 / beam_lane_max(det, least_information * (m.xx + m.yy) / 4);
        s->inverse[j] = (beam_net_symmetric){m.yy * over, -m.xy * over, m.xx * over};
        crlb += s->counted[j] * (s->inverse[j].xx + s->inverse[j].yy);
        any = beam_lane_max(any, s->counted[j]);
    }
    s->crlb = crlb + (1 - any);
    s->loss = beam_lane_log(s->crlb) / ln4;
    s->scale = 1 / (s->crlb * ln4);
    for (int j = 0; j < J; j++) {
        const beam_net_symmetric inverse2 = square(s->inverse[j]);
        for (int l = 0; l < L; l++) {
            echo_gradient(s, l, j, inverse2);
        }
    }
}

/* Adjoint of the weights of the gradient, from that of its coefficients. */
static void weights_adjoint(const beam_net_sensing *s, int l, int j, beam_lane *weight_bar)
{
    const int J = s->shape->J, n = s->n[l];
    const beam_lc *y = echo_rows(s, l, j), *B = s->B + l * s->n_max * J + j;
    const beam_lc *e_bar = s->e_bar + l * s->n_max * 2 * J + 2 * j;
    beam_lane w0 = {0}, w2 = {0};
    for (int i = 0; i < n; i++) {
        beam_lc cB = {{0}, {0}};
        beam_lc_add_mul(&cB, s->echo[l * J + j].c, B[i * J]);
        w0 += beam_lc_inner(e_bar[i * 2 * J], y[i * s->stride]);
        w2 += beam_lc_inner(e_bar[i * 2 * J + 1], B[i * J]) - beam_lc_inner(e_bar[i * 2 * J], cB);
    }
    weight_bar[0] = w0;
    weight_bar[1] = w2;
}

/* Adjoint of J_j: of ln CRLB, of the scale 1/CRLB and of J^-2 in the weights. */
static beam_net_symmetric information_adjoint(const beam_net_sensing *s, int j, beam_lane crlb_bar)
{
    const int L = s->shape->L, J = s->shape->J;
    const beam_net_symmetric K = s->inverse[j];
    beam_net_symmetric M = {{0}, {0}, {0}}, T;
    for (int l = 0; l < L; l++) {
        const beam_lane scale = s->scale * s->counted[j];
        add_scaled(&M, scale * s->weight_bar[(l * J + j) * 2], s->P0[l * J + j]);
        add_scaled(&M, scale * s->weight_bar[(l * J + j) * 2 + 1], s->P2[l * J + j]);
    }
    /* K_bar = M K + K M + crlb_bar I, symmetric */
    T.xx = 2 * (M.xx * K.xx + M.xy * K.xy) + crlb_bar * s->counted[j];
    T.yy = 2 * (M.yy * K.yy + M.xy * K.xy) + crlb_bar * s->counted[j];
    T.xy = M.xx * K.xy + M.xy * K.yy + K.xx * M.xy + K.xy * M.yy;
    /* J_bar = -K K_bar K */
    const beam_lane ax = K.xx * T.xx + K.xy * T.xy, ay = K.xx * T.xy + K.xy * T.yy;
    const beam_lane bx = K.xy * T.xx + K.yy * T.xy, by = K.xy * T.xy + K.yy * T.yy;
    return (beam_net_symmetric){-(ax * K.xx + ay * K.xy), -(ax * K.xy + ay * K.yy),
                                -(bx * K.xy + by * K.yy)};
}

static void echo_backward(beam_net_sensing *s, int l, int j)
{
    const int J = s->shape->J, n = s->n[l], at = l * J + j;
    const beam_lc *y = echo_rows(s, l, j), *B = s->B + l * s->n_max * J + j;
    const beam_lc *e_bar = s->e_bar + l * s->n_max * 2 * J + 2 * j;
    beam_lc *y_bar = s->y_bar + (l * s->n_max) * s->stride + s->first + 2 * j;
    const beam_net_echo *echo = s->echo + at;
    const beam_lane s_bar = inner(s->information_bar[j], s->P2[at]);
    beam_lane x0_bar = inner(s->information_bar[j], s->P0[at]);
    beam_lc c_bar = {{0}, {0}};
    for (int i = 0; i < n; i++) {
        const beam_lc A = y[i * s->stride], a_bar = e_bar[i * 2 * J];
        const beam_lc weighted = beam_lc_scale(echo->weight2, a_bar);
        beam_lc b_bar = beam_lc_scale(echo->weight2, e_bar[i * 2 * J + 1]);
        beam_lc_sub_conj_mul(&b_bar, echo->c, weighted);
        beam_lc_sub_conj_mul(&c_bar, B[i * J], weighted);
        beam_lc_add_scaled(&b_bar, 2 * s_bar, B[i * J]);
        /* B = D - conj(c) A */
        beam_lc_add_scaled(&y_bar[i * s->stride + 1], beam_lane_all(1), b_bar);
        beam_lc_add_scaled(&y_bar[i * s->stride], echo->weight0, a_bar);
        beam_lc_sub_mul(&y_bar[i * s->stride], echo->c, b_bar);
        beam_lc_sub_conj_mul(&c_bar, b_bar, A);
    }
    const beam_lc x1_bar = beam_lc_scale(1 / echo->x0, c_bar);
    x0_bar -= beam_lc_inner(x1_bar, echo->c);
    for (int i = 0; i < n; i++) { /* x1 = sum A conj(D), x0 = sum |A|^2 */
        const beam_lc A = y[i * s->stride], D = y[i * s->stride + 1];
        beam_lc_add_mul(&y_bar[i * s->stride], x1_bar, D);
        beam_lc_add_scaled(&y_bar[i * s->stride], 2 * x0_bar, A);
        beam_lc_add_conj_mul(&y_bar[i * s->stride + 1], x1_bar, A);
    }
}

void NET(sensing_backward)(beam_net_sensing *s)
{
    const int L = s->shape->L, J = s->shape->J;
    beam_lane scale_bar = {0};
    for (int l = 0; l < L; l++) {
        for (int j = 0; j < J; j++) {
            beam_lane *bar = s->weight_bar + (l * J + j) * 2;
            weights_adjoint(s, l, j, bar);
            /* weight = scale * <J^-2, P> */
            scale_bar +=
                (bar[0] * s->echo[l * J + j].weight0 + bar[1] * s->echo[l * J + j].weight2);
        }
    }
    /* scale_bar so far is scale times its adjoint; scale = 1/(crlb ln 4) */
    const beam_lane crlb_bar = s->loss_bar * s->scale - scale_bar / s->crlb;
    for (int j = 0; j < J; j++) {
        s->information_bar[j] = information_adjoint(s, j, crlb_bar);
    }
    for (int l = 0; l < L; l++) {
        for (int j = 0; j < J; j++) {
            echo_backward(s, l, j);
        }
    }
}
