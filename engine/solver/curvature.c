#include "solver/curvature.h"

#include <math.h>
#include <string.h>

/* mu_l of the mean eigenvalue here, and of that of all stations: where nobody hears a station, what
 * it sends still has a scale. From 0.001 to 0.03 it hardly matters, above 0.1 it costs. */
static const double ridge = 0.01;

void beam_curvature_carve(beam_curvature *c, beam_arena *arena, int L, int D)
{
    memset(c, 0, sizeof *c);
    c->factor = BEAM_TAKE(arena, beam_complex, (size_t)L * (size_t)D * (size_t)D);
    c->column = BEAM_TAKE(arena, beam_complex, D);
}

static beam_complex *factor_of(const beam_curvature *c, int l)
{
    return c->factor + (size_t)l * (size_t)c->p->D * (size_t)c->p->D;
}

/* Lower triangle of sum_u w_u h h^H of station l; returns sum_u w_u eps^2/D. */
static double add_channels(const beam_robust *rb, int l, beam_complex *a)
{
    const beam_problem *p = rb->p;
    const int D = p->D, Dp = p->Dp;
    double isotropic = 0.0;
    memset(a, 0, (size_t)D * (size_t)D * sizeof *a);
    for (int u = 0; u < p->U; u++) {
        const size_t at = beam_robust_at(rb, l, u);
        const double *h = p->h + at * (size_t)p->stride, sinr = rb->sinr[u];
        const double w = p->weight[u] * sinr / (rb->den[u] * (1.0 + sinr));
        if (!(w > 0.0)) {
            continue;
        }
        isotropic += w * p->eps[at] * p->eps[at] / D;
        for (int i = 0; i < D; i++) {
            for (int k = 0; k <= i; k++) {
                a[i * D + k].re += w * (h[i] * h[k] + h[Dp + i] * h[Dp + k]);
                a[i * D + k].im += w * (h[Dp + i] * h[k] - h[i] * h[Dp + k]);
            }
        }
    }
    return isotropic;
}

static bool cholesky(int D, beam_complex *a)
{
    for (int i = 0; i < D; i++) {
        for (int k = 0; k <= i; k++) {
            double re = a[i * D + k].re, im = a[i * D + k].im;
            for (int t = 0; t < k; t++) {
                const beam_complex x = a[i * D + t], y = a[k * D + t];
                re -= x.re * y.re + x.im * y.im;
                im -= x.im * y.re - x.re * y.im;
            }
            if (k < i) {
                a[i * D + k] = (beam_complex){re / a[k * D + k].re, im / a[k * D + k].re};
            } else if (re > 0.0) {
                a[i * D + i] = (beam_complex){sqrt(re), 0.0};
            } else {
                return false;
            }
        }
    }
    return true;
}

bool beam_curvature_make(beam_curvature *c, const beam_robust *rb)
{
    const beam_problem *p = c->p = rb->p;
    const int D = p->D;
    double isotropic[BEAM_MAX_STATIONS], mean[BEAM_MAX_STATIONS], scale = 0.0;
    for (int l = 0; l < p->L; l++) {
        isotropic[l] = mean[l] = add_channels(rb, l, factor_of(c, l));
        for (int i = 0; i < D; i++) {
            mean[l] += factor_of(c, l)[i * D + i].re / D;
        }
        scale += mean[l] / p->L;
    }
    if (!(scale > 0.0) || !isfinite(scale)) {
        return false;
    }
    for (int l = 0; l < p->L; l++) {
        const double mu = isotropic[l] + ridge * (mean[l] + scale);
        for (int i = 0; i < D; i++) {
            factor_of(c, l)[i * D + i].re += mu;
        }
        if (!cholesky(D, factor_of(c, l))) {
            return false;
        }
        c->slack[l] = mean[l] + mu;
    }
    return true;
}

/* row <- (L L^H)^-1 row */
static void solve(int D, int Dp, const beam_complex *a, beam_complex *z, double *row)
{
    for (int i = 0; i < D; i++) {
        double re = row[i], im = row[Dp + i];
        for (int t = 0; t < i; t++) {
            const beam_complex x = a[i * D + t];
            re -= x.re * z[t].re - x.im * z[t].im;
            im -= x.re * z[t].im + x.im * z[t].re;
        }
        z[i] = (beam_complex){re / a[i * D + i].re, im / a[i * D + i].re};
    }
    for (int i = D - 1; i >= 0; i--) {
        double re = z[i].re, im = z[i].im;
        for (int t = i + 1; t < D; t++) {
            const beam_complex x = a[t * D + i];
            re -= x.re * z[t].re + x.im * z[t].im;
            im -= x.re * z[t].im - x.im * z[t].re;
        }
        z[i] = (beam_complex){re / a[i * D + i].re, im / a[i * D + i].re};
        row[i] = z[i].re;
        row[Dp + i] = z[i].im;
    }
}

void beam_curvature_apply(void *curvature, double *d)
{
    beam_curvature *c = curvature;
    const beam_problem *p = c->p;
    for (int l = 0; l < p->L; l++) {
        for (int i = p->first[l]; i < p->first[l + 1]; i++) {
            solve(p->D, p->Dp, factor_of(c, l), c->column, d + (size_t)i * (size_t)p->stride);
        }
        d[(size_t)p->rows * (size_t)p->stride + (size_t)l] /= c->slack[l];
    }
}
