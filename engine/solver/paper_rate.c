/* WSR(gamma, delta) with its gradient and Hessian-vector products. With t_i = h^H w_i over the rows
 * of a station, T_u = 1 + sum over stations of h^H R h and I_u = T_u - S_u, WSR = sum alpha (ln T -
 * ln I)/ln 2; so the own beam enters with the coefficient c1 = alpha/(T ln 2), everything else with
 * c2 = alpha (1/T - 1/I)/ln 2. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/paper_internal.h"

static const double ln2 = 0.69314718055994530942;

void beam_paper_rate_carve(beam_paper_rate *r, beam_arena *arena, const beam_paper_space *s)
{
    const size_t links = (size_t)(s->p->L * s->p->U);
    r->channel = BEAM_TAKE(arena, double, s->delta);
    r->channel_dot = BEAM_TAKE(arena, double, s->delta);
    r->product = BEAM_TAKE(arena, double, 2 * links * (size_t)s->cols_max);
    r->product_dot = BEAM_TAKE(arena, double, 2 * links * (size_t)s->cols_max);
    r->image = s->psd ? NULL : BEAM_TAKE(arena, double, s->delta);
    r->image_dot = s->psd ? NULL : BEAM_TAKE(arena, double, s->delta);
    r->signal = BEAM_TAKE(arena, double, s->p->U);
    r->noise = BEAM_TAKE(arena, double, s->p->U);
    r->signal_dot = BEAM_TAKE(arena, double, s->p->U);
    r->noise_dot = BEAM_TAKE(arena, double, s->p->U);
}

/* Rows of station l that enter as w w^H. */
static int beam_rows(const beam_paper_space *s, int l)
{
    return s->psd ? s->first[l + 1] - s->first[l] : s->p->K[l];
}

static const double *raw_q(const beam_paper_space *s, const double *gamma, int l)
{
    return gamma + (ptrdiff_t)(s->first[l] + s->p->K[l]) * s->p->stride;
}

/* y += Q h, row i of Q being its column i. */
static void add_image(const beam_paper_space *s, const double *q, const double *h, double *y)
{
    const int dp = s->p->Dp;
    for (int i = 0; i < s->p->D; i++) {
        beam_row_axpy(dp, h[i], h[dp + i], q + (ptrdiff_t)i * s->p->stride, y);
    }
}

/* Q += c a b^H: column i gains c conj(b_i) a. */
static void add_outer(const beam_paper_space *s, double c, const double *a, const double *b,
                      double *q)
{
    const int dp = s->p->Dp;
    for (int i = 0; i < s->p->D; i++) {
        beam_row_axpy(dp, c * b[i], -c * b[dp + i], a, q + (ptrdiff_t)i * s->p->stride);
    }
}

static double real_dot(const beam_paper_space *s, const double *a, const double *b)
{
    return beam_row_inner(s->p->stride, a, b);
}

double beam_paper_rate_value(beam_paper_rate *r, const beam_paper_space *s, const double *gamma,
                             const double *delta)
{
    const beam_problem *p = s->p;
    double sum = 0.0;
    for (int u = 0; u < p->U; u++) {
        r->signal[u] = 0.0;
        r->noise[u] = 1.0;
        for (int l = 0; l < p->L; l++) {
            const ptrdiff_t link = (ptrdiff_t)l * p->U + u, at = link * p->stride;
            double *h = r->channel + at, *t = r->product + 2 * link * s->cols_max;
            memcpy(h, p->h + at, (size_t)p->stride * sizeof *h);
            if (delta) {
                beam_row_add(p->stride, s->unit[link], delta + at, h);
            }
            const double *rows = gamma + (ptrdiff_t)s->first[l] * p->stride;
            const int own = p->own[u] == l ? u - p->user_first[l] : -1;
            for (int i = 0; i < beam_rows(s, l); i++) {
                beam_row_dot(p->Dp, h, rows + (ptrdiff_t)i * p->stride, &t[2 * i], &t[2 * i + 1]);
                *(i == own ? &r->signal[u] : &r->noise[u]) +=
                    t[2 * i] * t[2 * i] + t[2 * i + 1] * t[2 * i + 1];
            }
            if (!s->psd) {
                memset(r->image + at, 0, (size_t)p->stride * sizeof *h);
                add_image(s, raw_q(s, gamma, l), h, r->image + at);
                r->noise[u] += real_dot(s, h, r->image + at);
            }
        }
        if (!(r->noise[u] > 0.0)) {
            return NAN;
        }
        sum += p->weight[u] * log1p(r->signal[u] / r->noise[u]);
    }
    return sum / ln2;
}

void beam_paper_rate_gradient(beam_paper_rate *r, const beam_paper_space *s, const double *gamma,
                              double *to_gamma, double *to_delta)
{
    const beam_problem *p = s->p;
    if (to_gamma) {
        memset(to_gamma, 0, (size_t)s->gamma * sizeof *to_gamma);
    }
    if (to_delta) {
        memset(to_delta, 0, (size_t)s->delta * sizeof *to_delta);
    }
    for (int u = 0; u < p->U; u++) {
        const double a = p->weight[u] / ln2, T = r->signal[u] + r->noise[u];
        const double c1 = a / T, c2 = -a * r->signal[u] / (T * r->noise[u]);
        for (int l = 0; l < p->L; l++) {
            const ptrdiff_t link = (ptrdiff_t)l * p->U + u, at = link * p->stride;
            const double *h = r->channel + at, *t = r->product + 2 * link * s->cols_max;
            const int own = p->own[u] == l ? u - p->user_first[l] : -1;
            for (int i = 0; i < beam_rows(s, l); i++) {
                const ptrdiff_t row = (ptrdiff_t)(s->first[l] + i) * p->stride;
                const double c = 2.0 * (i == own ? c1 : c2);
                if (to_gamma) {
                    beam_row_axpy(p->Dp, c * t[2 * i], c * t[2 * i + 1], h, to_gamma + row);
                }
                if (to_delta) {
                    const double cu = c * s->unit[link];
                    beam_row_axpy(p->Dp, cu * t[2 * i], -cu * t[2 * i + 1], gamma + row,
                                  to_delta + at);
                }
            }
            if (!s->psd && to_gamma) {
                add_outer(s, c2, h, h, to_gamma + (raw_q(s, gamma, l) - gamma));
            }
            if (!s->psd && to_delta) {
                beam_row_add(p->stride, 2.0 * c2 * s->unit[link], r->image + at, to_delta + at);
            }
        }
    }
}

/* Tangents of channels, products and images along the given directions. */
static void tangent_user(beam_paper_rate *r, const beam_paper_space *s, const double *gamma,
                         const double *along_gamma, const double *along_delta, int u)
{
    const beam_problem *p = s->p;
    r->signal_dot[u] = r->noise_dot[u] = 0.0;
    for (int l = 0; l < p->L; l++) {
        const ptrdiff_t link = (ptrdiff_t)l * p->U + u, at = link * p->stride;
        const double *h = r->channel + at, *t = r->product + 2 * link * s->cols_max;
        double *hd = r->channel_dot + at, *td = r->product_dot + 2 * link * s->cols_max;
        memset(hd, 0, (size_t)p->stride * sizeof *hd);
        if (along_delta) {
            beam_row_add(p->stride, s->unit[link], along_delta + at, hd);
        }
        const int own = p->own[u] == l ? u - p->user_first[l] : -1;
        for (int i = 0; i < beam_rows(s, l); i++) {
            const ptrdiff_t row = (ptrdiff_t)(s->first[l] + i) * p->stride;
            double re = 0.0, im = 0.0;
            if (along_gamma) {
                beam_row_dot(p->Dp, h, along_gamma + row, &re, &im);
            }
            beam_row_dot(p->Dp, hd, gamma + row, &td[2 * i], &td[2 * i + 1]);
            td[2 * i] += re;
            td[2 * i + 1] += im;
            *(i == own ? &r->signal_dot[u] : &r->noise_dot[u]) +=
                2.0 * (t[2 * i] * td[2 * i] + t[2 * i + 1] * td[2 * i + 1]);
        }
        if (!s->psd) {
            double *y = r->image_dot + at; /* Qdot h, then + Q hdot */
            memset(y, 0, (size_t)p->stride * sizeof *y);
            if (along_gamma) {
                add_image(s, raw_q(s, along_gamma, l), h, y);
            }
            r->noise_dot[u] += real_dot(s, h, y) + 2.0 * real_dot(s, hd, r->image + at);
            add_image(s, raw_q(s, gamma, l), hd, y);
        }
    }
}

/* The part of the product that belongs to link (l, u): d/dt of c t h for beams and of c R h for
 * channels. */
static void hessian_link(const beam_paper_rate *r, const beam_paper_space *s, const double *gamma,
                         const double *along_gamma, int l, int u, const double *c, const double *cd,
                         double *to_gamma, double *to_delta)
{
    const beam_problem *p = s->p;
    const ptrdiff_t link = (ptrdiff_t)l * p->U + u, at = link * p->stride;
    const double *h = r->channel + at, *hd = r->channel_dot + at, unit = s->unit[link];
    const double *t = r->product + 2 * link * s->cols_max,
                 *td = r->product_dot + 2 * link * s->cols_max;
    const int own = p->own[u] == l ? u - p->user_first[l] : -1;
    for (int i = 0; i < beam_rows(s, l); i++) {
        const ptrdiff_t row = (ptrdiff_t)(s->first[l] + i) * p->stride;
        const double k = 2.0 * c[i == own], kd = 2.0 * cd[i == own];
        const double re = kd * t[2 * i] + k * td[2 * i], im = kd * t[2 * i + 1] + k * td[2 * i + 1];
        if (to_gamma) {
            beam_row_axpy(p->Dp, re, im, h, to_gamma + row);
            beam_row_axpy(p->Dp, k * t[2 * i], k * t[2 * i + 1], hd, to_gamma + row);
        }
        if (to_delta) {
            beam_row_axpy(p->Dp, unit * re, -unit * im, gamma + row, to_delta + at);
            if (along_gamma) {
                beam_row_axpy(p->Dp, unit * k * t[2 * i], -unit * k * t[2 * i + 1],
                              along_gamma + row, to_delta + at);
            }
        }
    }
    if (!s->psd && to_gamma) {
        double *q = to_gamma + (raw_q(s, gamma, l) - gamma);
        add_outer(s, cd[0], h, h, q);
        add_outer(s, c[0], hd, h, q);
        add_outer(s, c[0], h, hd, q);
    }
    if (!s->psd && to_delta) {
        beam_row_add(p->stride, 2.0 * unit * cd[0], r->image + at, to_delta + at);
        beam_row_add(p->stride, 2.0 * unit * c[0], r->image_dot + at, to_delta + at);
    }
}

void beam_paper_rate_hessian(beam_paper_rate *r, const beam_paper_space *s, const double *gamma,
                             const double *along_gamma, const double *along_delta, double *to_gamma,
                             double *to_delta)
{
    const beam_problem *p = s->p;
    if (to_gamma) {
        memset(to_gamma, 0, (size_t)s->gamma * sizeof *to_gamma);
    }
    if (to_delta) {
        memset(to_delta, 0, (size_t)s->delta * sizeof *to_delta);
    }
    for (int u = 0; u < p->U; u++) {
        tangent_user(r, s, gamma, along_gamma, along_delta, u);
        const double a = p->weight[u] / ln2, S = r->signal[u], I = r->noise[u], T = S + I;
        const double Id = r->noise_dot[u], Td = r->signal_dot[u] + Id;
        const double c[2] = {-a * S / (T * I), a / T};
        const double cd[2] = {a * (Id / (I * I) - Td / (T * T)), -a * Td / (T * T)};
        for (int l = 0; l < p->L; l++) {
            hessian_link(r, s, gamma, along_gamma, l, u, c, cd, to_gamma, to_delta);
        }
    }
}
