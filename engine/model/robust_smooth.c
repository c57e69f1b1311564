/* The smoothed dual of MATH 2: h h^H replaced by h h^H + mu^2 I in the dual of every trust-region
 * problem, so that the worst case has a gradient everywhere and quasi-Newton methods pass the nulls
 * on which robust optima sit. */
#include <math.h>
#include <string.h>

#include "model/robust.h"
#include "model/row.h"

static const double spectrum_tolerance = 1e-11;
static const double ratio_tolerance = 1e-11;     /* relative, on the SINR */
static const double multiplier_tolerance = 1e-9; /* relative, on the constraint norm */
static const int max_rounds = 80;

static double cross_smooth(beam_robust *rb, int l, int u, double mu2)
{
    const beam_spectrum *s = &rb->spectrum[l];
    const size_t at = beam_robust_at(rb, l, u);
    const double *g = beam_robust_g(rb, l, u), eps = rb->p->eps[at];
    double *y = beam_robust_y(rb, l, u), w[BEAM_RANK_MAX], d[BEAM_RANK_MAX], value = 0.0;
    const int q = s->rank, qp = s->qp;
    const double warm = rb->warm ? rb->shift_cross[at] : 0.0;
    memset(y, 0, 2u * (size_t)qp * sizeof *y);
    rb->shift_cross[at] = 0.0;
    if (q == 0 || !(eps > 0.0)) {
        for (int i = 0; i < q; i++) {
            value += s->rho[i] * (g[i] * g[i] + g[qp + i] * g[qp + i]);
        }
        return value;
    }
    for (int i = 0; i < q; i++) {
        w[i] = s->rho[i] * s->rho[i] * (g[i] * g[i] + g[qp + i] * g[qp + i] + mu2);
        d[i] = s->rho[0] - s->rho[i];
    }
    const double shift = beam_secular_root(q, w, d, eps, warm);
    const double lambda = shift + s->rho[0];
    rb->shift_cross[at] = shift;
    value = lambda * eps * eps;
    for (int i = 0; i < q; i++) {
        const double inv = 1.0 / (d[i] + shift), f = -s->rho[i] * inv;
        const double c = g[i] * g[i] + g[qp + i] * g[qp + i] + mu2;
        y[i] = f * g[i];
        y[qp + i] = f * g[qp + i];
        value += lambda * inv * s->rho[i] * c;
    }
    return value;
}

/* Pieces of psi(A) = -lambda eps^2 + lambda tr(E C), C = g g^H + mu^2 I, E = A (A + lambda)^-1. */
typedef struct dual_point {
    double psi, norm2,
        slope; /* norm2 = tr(E^2 C) = eps^2 at the maximum; slope = -d norm2 / d lambda / 2 */
} dual_point;

static void dual_evaluate(const beam_own_system *o, const double *g, double eps, double mu2,
                          double *y, dual_point *d)
{
    double tr[3], re, im;
    beam_own_system_apply(o, g, y);
    beam_own_system_traces(o, tr);
    beam_row_dot(o->qp, g, y, &re, &im);
    d->norm2 = beam_row_norm2(2 * o->qp, y) + mu2 * tr[1];
    d->slope = beam_own_system_inverse_form(o, y) + mu2 * (tr[1] - tr[2]) / o->lambda;
    d->psi = o->lambda * (re + mu2 * tr[0] - eps * eps);
}

/* tr M Q' = x^H Q' x + mu^2 tr(F^2 Q'), F = 1 - E, Q' = diag(rho) - z z^H, x = g - y. */
static double dual_den(const beam_own_system *o, const double *rho, const double *z,
                       const double *g, const double *y, double mu2)
{
    const int qp = o->qp;
    double Ez[2 * BEAM_RANK_MAX], re = 0.0, im = 0.0;
    beam_v4 sum = {0}, trace = {0}, zf = {0}, ar = {0}, ai = {0};
    const double kk = o->k * o->k * o->zz0, low = o->k11 * o->k11 * o->uu + kk;
    beam_own_system_apply(o, z, Ez);
    for (int i = 0; i < qp; i += 4) {
        const beam_v4 r = beam_v4_load(rho + i);
        const beam_v4 xr = beam_v4_load(g + i) - beam_v4_load(y + i);
        const beam_v4 xi = beam_v4_load(g + qp + i) - beam_v4_load(y + qp + i);
        const beam_v4 zr = beam_v4_load(z + i), zi = beam_v4_load(z + qp + i);
        const beam_v4 ur = beam_v4_load(o->u + i), ui = beam_v4_load(o->u + qp + i);
        const beam_v4 f = 1.0 - beam_v4_load(o->e + i), uu = ur * ur + ui * ui;
        const beam_v4 fr = zr - beam_v4_load(Ez + i), fi = zi - beam_v4_load(Ez + qp + i);
        beam_v4 ff = f * f - 2.0 * o->k11 * f * uu + low * uu;
        if (i == 0) {
            ff[0] = (1.0 - o->e0) * (1.0 - o->e0) + kk * o->uu;
        }
        sum += r * (xr * xr + xi * xi);
        trace += r * ff;
        zf += fr * fr + fi * fi;
        ar += zr * xr + zi * xi;
        ai += zr * xi - zi * xr;
    }
    re = beam_v4_sum(ar);
    im = beam_v4_sum(ai);
    return fmax(beam_v4_sum(sum) - re * re - im * im, 0.0) +
           mu2 * fmax(beam_v4_sum(trace) - beam_v4_sum(zf), 0.0);
}

static double own_nominal(beam_robust *rb, int u)
{
    const beam_problem *p = rb->p;
    const int l = p->own[u];
    const beam_spectrum *s = &rb->spectrum[l];
    const double *g = beam_robust_g(rb, l, u);
    double own = 0.0, signal = 0.0;
    for (int c = 0; c < s->rows; c++) {
        double re, im;
        beam_row_dot(s->qp, g, s->coord + (size_t)c * 2u * (size_t)s->qp, &re, &im);
        *(c == p->row_of[u] - p->first[l] ? &signal : &own) += re * re + im * im;
    }
    rb->signal[u] = signal;
    rb->den[u] = own + rb->interference[u];
    return signal / rb->den[u];
}

/* A multiplier inside the domain lambda > -a_0: from the least eigenvalue, at least the root's
 * lower bound. */
static double domain_multiplier(const beam_spectrum *s, const double *z, double eta, double mu2,
                                double eps)
{
    double gap = 0.0;
    const double theta = beam_own_least(s->rank, s->rho, z, s->qp, eta, &gap);
    const double minus_a0 = s->rank > 1 ? eta * s->rho[1] + gap : eta * s->rho[0] - theta;
    return minus_a0 > 0.0 ? minus_a0 * (1.0 + sqrt(mu2) / eps) : 1e-12 * s->rho[0];
}

/* Root of psi(eta) = eta I: Newton on eta and, interleaved, Newton on 1/norm for the multiplier.
 * Returns 0 on failure. */
static int own_smooth(beam_robust *rb, int u, double mu2)
{
    const beam_problem *p = rb->p;
    const int l = p->own[u];
    const beam_spectrum *s = &rb->spectrum[l];
    const double *g = beam_robust_g(rb, l, u), eps = p->eps[beam_robust_at(rb, l, u)];
    const double *z = s->coord + (size_t)(p->row_of[u] - p->first[l]) * 2u * (size_t)s->qp;
    double *y = beam_robust_y(rb, l, u);
    struct beam_smooth_user *state = &rb->smooth[u];
    const double I = rb->interference[u], warm = rb->warm ? rb->eta_warm[u] : 0.0;
    state->active = 0;
    rb->eta_warm[u] = 0.0; /* without a solution here nothing older is a start for the next */
    memset(y, 0, 2u * (size_t)s->qp * sizeof *y);
    rb->sinr[u] = own_nominal(rb, u);
    if (!(eps > 0.0) || s->rank == 0) {
        return 1;
    }
    /* zero is reached when |v^H h|^2/|v|^2 + mu^2 <= eps^2 */
    const double vv = beam_row_norm2(2 * s->qp, z);
    if (!(rb->signal[u] > (eps * eps - mu2) * vv * (1.0 + 1e-12)) ||
        !(rb->signal[u] + mu2 * vv > 0.0)) {
        rb->sinr[u] = 0.0;
        return 1;
    }
    double eta = warm > 0.0 ? warm : rb->sinr[u] + 1e-12;
    double lambda = warm > 0.0 ? rb->lambda_own[u] : 0.0;
    dual_point d;
    for (int round = 0; round < max_rounds; round++) {
        if (!beam_own_system_set(&state->system, s->rank, s->qp, s->rho, z, eta, lambda)) {
            lambda = domain_multiplier(s, z, eta, mu2, eps);
            for (int k = 0; k < 60 && !beam_own_system_set(&state->system, s->rank, s->qp, s->rho,
                                                           z, eta, lambda);
                 k++) {
                lambda *= 1.0 + 1e-12 * (double)(1ull << (k < 40 ? k : 40));
            }
        }
        dual_evaluate(&state->system, g, eps, mu2, y, &d);
        const double norm = sqrt(d.norm2), off = d.norm2 - eps * eps;
        rb->den[u] = dual_den(&state->system, s->rho, z, g, y, mu2) + I;
        /* the maximum over lambda to second order */
        const double psi = d.psi + 0.25 * off * off / d.slope;
        const double step = (psi - eta * I) / rb->den[u];
        const double lambda_step = (norm - eps) * d.norm2 / (eps * d.slope);
        if (!isfinite(step) || !isfinite(lambda_step)) {
            return 0;
        }
        if (fabs(step) <= ratio_tolerance * eta && fabs(norm - eps) <= multiplier_tolerance * eps) {
            break;
        }
        const double last = lambda;
        lambda = lambda + lambda_step > 0.0 ? lambda + lambda_step : 0.0;
        if (fabs(norm - eps) <=
            0.3 * eps) { /* the ratio is only worth a step near the right multiplier */
            eta = eta + step > 0.05 * eta ? eta + step : 0.05 * eta;
        }
        if (!(lambda > 0.0)) {
            lambda = 0.1 * last;
        }
    }
    rb->sinr[u] = eta;
    rb->eta_warm[u] = eta;
    rb->lambda_own[u] = lambda;
    state->active = 1;
    return 1;
}

double beam_robust_smooth(beam_robust *rb, const double *x, double m)
{
    const beam_problem *p = rb->p;
    double wsr = 0.0;
    int fine = 1;
    beam_robust_spectra(rb, x, rb->warm, spectrum_tolerance);
    rb->mu = m;
    for (int u = 0; u < p->U; u++) {
        rb->interference[u] = 1.0;
        for (int l = 0; l < p->L; l++) {
            const size_t at = beam_robust_at(rb, l, u);
            const double mu = m * p->eps[at];
            rb->cross[at] = l == p->own[u] ? 0.0 : cross_smooth(rb, l, u, mu * mu / (double)p->D);
            rb->interference[u] += rb->cross[at];
        }
        const double mu = m * p->eps[beam_robust_at(rb, p->own[u], u)];
        fine = fine && own_smooth(rb, u, mu * mu / (double)p->D);
        rb->rate[u] = log1p(rb->sinr[u]) * M_LOG2E;
        wsr += p->weight[u] * rb->rate[u];
    }
    rb->warm = fine;
    return fine ? wsr : NAN;
}

/* Adds k * x x^H w for every row w of station l: the part in the range through coordinates, the
 * estimate itself directly. */
static void add_channel(beam_robust *rb, int l, int u, double k_own, double k_other, double *grad)
{
    const beam_problem *p = rb->p;
    const beam_spectrum *s = &rb->spectrum[l];
    const size_t row = 2u * (size_t)s->qp;
    const double *g = beam_robust_g(rb, l, u), *y = beam_robust_y(rb, l, u);
    const double *h = p->h + beam_robust_at(rb, l, u) * (size_t)p->stride;
    double x[2 * BEAM_RANK_MAX];
    for (size_t i = 0; i < row; i += 4) {
        beam_v4_store(x + i, beam_v4_load(g + i) - beam_v4_load(y + i));
    }
    for (int c = 0; c < s->rows; c++) {
        const int i = p->first[l] + c;
        const double k = i == p->row_of[u] ? k_own : k_other;
        double re, im;
        beam_row_dot(s->qp, x, s->coord + (size_t)c * row, &re, &im);
        beam_row_axpy(p->Dp, k * re, k * im, h, grad + (size_t)i * (size_t)p->stride);
        beam_row_axpy(s->qp, -k * re, -k * im, y, rb->grad_coord + (size_t)c * row);
    }
}

/* k mu^2 lambda^2 (A + lambda)^-2 w = k mu^2 (1 - E)^2 w for every row w of the own station, in
 * coordinates. */
static void add_own_smoothing(beam_robust *rb, int l, int u, double k_own, double k_other)
{
    const beam_problem *p = rb->p;
    const beam_spectrum *s = &rb->spectrum[l];
    const beam_own_system *o = &rb->smooth[u].system;
    const int n = 2 * s->qp;
    double f[2 * BEAM_RANK_MAX], t[2 * BEAM_RANK_MAX];
    for (int c = 0; c < s->rows; c++) {
        const double *w = s->coord + (size_t)c * (size_t)n;
        double *to = rb->grad_coord + (size_t)c * (size_t)n;
        const double k = p->first[l] + c == p->row_of[u] ? k_own : k_other;
        beam_own_system_apply(o, w, t);
        for (int i = 0; i < n; i += 4) {
            beam_v4_store(f + i, beam_v4_load(w + i) - beam_v4_load(t + i));
        }
        beam_own_system_apply(o, f, t);
        beam_row_add(n, k, f, to);
        beam_row_add(n, -k, t, to);
    }
}

/* d eta = [tr M d(v v^H) - eta tr M dQ' - eta dI] / (tr M Q' + I), M = x x^H + mu^2 (1-E)^2 (MATH
 * 2). */
void beam_robust_smooth_gradient(beam_robust *rb, const double *x, const double *c, double *g)
{
    const beam_problem *p = rb->p;
    (void)x;
    for (int l = 0; l < p->L; l++) {
        const beam_spectrum *s = &rb->spectrum[l];
        const size_t row = 2u * (size_t)s->qp;
        double diagonal[BEAM_RANK_MAX] = {0.0};
        memset(rb->grad_coord, 0, (size_t)s->rows * row * sizeof(double));
        for (int u = 0; u < p->U; u++) {
            const size_t at = beam_robust_at(rb, l, u);
            const double mu = rb->mu * p->eps[at], mu2 = mu * mu / (double)p->D;
            const double k = 2.0 * c[u] * M_LOG2E / ((1.0 + rb->sinr[u]) * rb->den[u]),
                         ke = -k * rb->sinr[u];
            if (!(rb->sinr[u] > 0.0)) {
                continue;
            }
            if (l == p->own[u]) {
                add_channel(rb, l, u, k, ke, g);
                if (rb->smooth[u].active) {
                    add_own_smoothing(rb, l, u, k * mu2, ke * mu2);
                }
                continue;
            }
            add_channel(rb, l, u, ke, ke, g);
            if (p->eps[at] > 0.0) {
                const double shift = rb->shift_cross[at], lambda = shift + s->rho[0];
                for (int i = 0; i < s->rank; i++) {
                    const double f = lambda / (s->rho[0] - s->rho[i] + shift);
                    diagonal[i] += ke * mu2 * f * f;
                }
            }
        }
        for (int i = 0; i < s->rows; i++) {
            double *t = rb->grad_coord + (size_t)i * row;
            const double *w = s->coord + (size_t)i * row;
            for (int j = 0; j < s->rank; j++) {
                t[j] += diagonal[j] * w[j];
                t[s->qp + j] += diagonal[j] * w[s->qp + j];
            }
            beam_spectrum_lift(s, t, g + (size_t)(p->first[l] + i) * (size_t)p->stride);
        }
    }
}
