/* Closed-form bounds of the worst case (MATH 2): cheap and differentiable, for features and
 * surrogates. Never reported. */
#include <math.h>
#include <string.h>

#include "model/robust.h"
#include "model/row.h"

/* h^H R h over the rows of station l except `skip` (-1: none). */
static double nominal_power(const beam_robust *rb, int l, int u, int skip, const double *x)
{
    const beam_problem *p = rb->p;
    const double *h = p->h + beam_robust_at(rb, l, u) * (size_t)p->stride;
    double sum = 0.0;
    for (int i = p->first[l]; i < p->first[l + 1]; i++) {
        double re, im;
        beam_row_dot(p->Dp, h, x + (size_t)i * (size_t)p->stride, &re, &im);
        sum += i == skip ? 0.0 : re * re + im * im;
    }
    return sum;
}

/* lambda_max(R_l) bounds that of Q' = R_c - v v^H from above, so one decomposition serves the own
 * cell too. */
static double top(const beam_robust *rb, int l)
{
    return rb->spectrum[l].rank > 0 ? rb->spectrum[l].rho[0] : 0.0;
}

double beam_robust_bound(beam_robust *rb, const double *x)
{
    const beam_problem *p = rb->p;
    double wsr = 0.0;
    beam_robust_spectra(rb, x, 0, 1e-12);
    rb->warm = 0;
    for (int u = 0; u < p->U; u++) {
        const int c = p->own[u];
        const double *v = x + (size_t)p->row_of[u] * (size_t)p->stride;
        double re, im, I = 1.0;
        for (int l = 0; l < p->L; l++) {
            const size_t at = beam_robust_at(rb, l, u);
            const double root = sqrt(nominal_power(rb, l, u, l == c ? p->row_of[u] : -1, x)) +
                                p->eps[at] * sqrt(top(rb, l));
            rb->cross[at] = root * root;
            I += root * root;
        }
        beam_row_dot(p->Dp, p->h + beam_robust_at(rb, c, u) * (size_t)p->stride, v, &re, &im);
        const double amplitude = fmax(hypot(re, im) - p->eps[beam_robust_at(rb, c, u)] *
                                                          sqrt(beam_row_norm2(p->stride, v)),
                                      0.0);
        rb->signal[u] = amplitude * amplitude;
        rb->interference[u] = I;
        rb->sinr[u] = rb->signal[u] / I;
        rb->rate[u] = log1p(rb->sinr[u]) * M_LOG2E;
        wsr += p->weight[u] * rb->rate[u];
    }
    return wsr;
}

/* d sqrt(h^H R h) = Re(...)/sqrt, d sqrt(lmax) along the top eigenvector (unique top assumed). */
static void interference_gradient(const beam_robust *rb, int l, int u, int skip, double k,
                                  const double *x, double *g)
{
    const beam_problem *p = rb->p;
    const size_t at = beam_robust_at(rb, l, u);
    const double *h = p->h + at * (size_t)p->stride, *e = rb->spectrum[l].vector;
    const double root = sqrt(rb->cross[at]), power = nominal_power(rb, l, u, skip, x);
    const double kh = power > 0.0 ? 2.0 * k * root / sqrt(power) : 0.0;
    const double ke = top(rb, l) > 0.0 ? 2.0 * k * root * p->eps[at] / sqrt(top(rb, l)) : 0.0;
    for (int i = p->first[l]; i < p->first[l + 1]; i++) {
        const double *w = x + (size_t)i * (size_t)p->stride;
        double *to = g + (size_t)i * (size_t)p->stride, re, im;
        if (i != skip) {
            beam_row_dot(p->Dp, h, w, &re, &im);
            beam_row_axpy(p->Dp, kh * re, kh * im, h, to);
        }
        beam_row_dot(p->Dp, e, w, &re, &im);
        beam_row_axpy(p->Dp, ke * re, ke * im, e, to);
    }
}

void beam_robust_bound_gradient(beam_robust *rb, const double *x, const double *c, double *g)
{
    const beam_problem *p = rb->p;
    for (int u = 0; u < p->U; u++) {
        const int own = p->own[u];
        const size_t at = beam_robust_at(rb, own, u);
        const double *h = p->h + at * (size_t)p->stride;
        const double *v = x + (size_t)p->row_of[u] * (size_t)p->stride;
        double *to = g + (size_t)p->row_of[u] * (size_t)p->stride, re, im;
        const double k = c[u] * M_LOG2E / (1.0 + rb->sinr[u]); /* d rate / d sinr */
        if (!(rb->signal[u] > 0.0)) {
            continue;
        }
        const double norm = sqrt(beam_row_norm2(p->stride, v)), amplitude = sqrt(rb->signal[u]);
        const double ks = 2.0 * k * amplitude / rb->interference[u];
        beam_row_dot(p->Dp, h, v, &re, &im);
        const double size = hypot(re, im);
        beam_row_axpy(p->Dp, ks * re / size, ks * im / size, h, to);
        beam_row_add(p->stride, -ks * p->eps[at] / norm, v, to);
        const double ki = -k * rb->sinr[u] / rb->interference[u];
        for (int l = 0; l < p->L; l++) {
            interference_gradient(rb, l, u, l == own ? p->row_of[u] : -1, ki, x, g);
        }
    }
}
