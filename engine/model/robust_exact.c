#include <math.h>
#include <string.h>

#include "model/robust.h"
#include "model/row.h"
#include "model/trust_region.h"

static const double dinkelbach_tolerance = 1e-14, small_fall = 1e-10, same_ratio = 1e-12;
enum { REACH_STEPS = 3 };

void beam_robust_carve(beam_robust *rb, beam_arena *arena, const beam_dims *max, int D_max,
                       int sensing_max)
{
    const size_t L = (size_t)max->stations, U = (size_t)max->users;
    const int rows_max = max->users + sensing_max;
    memset(rb, 0, sizeof *rb);
    rb->qp_max = beam_pad4(rows_max);
    const size_t row = 2u * (size_t)rb->qp_max;
    rb->spectrum = BEAM_TAKE(arena, beam_spectrum, L);
    beam_spectrum ignored;
    for (size_t l = 0; l < L; l++) {
        beam_spectrum_carve(rb->spectrum ? &rb->spectrum[l] : &ignored, arena, rows_max,
                            beam_pad4(D_max));
    }
    rb->g = BEAM_TAKE(arena, double, L *U *row);
    rb->y = BEAM_TAKE(arena, double, L *U *row);
    rb->cross = BEAM_TAKE(arena, double, L *U);
    rb->shift_cross = BEAM_TAKE(arena, double, L *U);
    rb->lambda_own = BEAM_TAKE(arena, double, U);
    rb->eta_warm = BEAM_TAKE(arena, double, U);
    rb->grad_coord = BEAM_TAKE(arena, double, (size_t)rows_max *row);
    rb->smooth = BEAM_TAKE(arena, struct beam_smooth_user, U);
}

void beam_robust_reset(beam_robust *rb, const beam_problem *p)
{
    rb->p = p;
    rb->warm = 0;
    for (int l = 0; l < p->L; l++) {
        rb->spectrum[l].rows = 0;
    }
    memset(rb->shift_cross, 0, (size_t)(p->L * p->U) * sizeof *rb->shift_cross);
}

void beam_robust_spectra(beam_robust *rb, const double *x, int warm, double tolerance)
{
    const beam_problem *p = rb->p;
    for (int l = 0; l < p->L; l++) {
        const int rows = p->first[l + 1] - p->first[l];
        beam_spectrum *s = &rb->spectrum[l];
        beam_spectrum_compute(s, rows, p->Dp, x + (size_t)p->first[l] * (size_t)p->stride, warm,
                              tolerance);
        for (int u = 0; u < p->U; u++) {
            beam_spectrum_coordinates(s, p->h + beam_robust_at(rb, l, u) * (size_t)p->stride,
                                      beam_robust_g(rb, l, u));
        }
    }
}

/* max over the ball of x^H R_l x (MATH 2). Fills the correction y = g - x. */
static double cross_exact(beam_robust *rb, int l, int u)
{
    const beam_spectrum *s = &rb->spectrum[l];
    const double *g = beam_robust_g(rb, l, u), eps = rb->p->eps[beam_robust_at(rb, l, u)];
    double *y = beam_robust_y(rb, l, u), w[BEAM_RANK_MAX], d[BEAM_RANK_MAX], value = 0.0;
    const int q = s->rank, qp = s->qp;
    memset(y, 0, 2u * (size_t)qp * sizeof *y);
    if (q == 0) {
        return 0.0;
    }
    if (!(eps > 0.0)) {
        for (int i = 0; i < q; i++) {
            value += s->rho[i] * (g[i] * g[i] + g[qp + i] * g[qp + i]);
        }
        return value;
    }
    for (int i = 0; i < q; i++) {
        w[i] = s->rho[i] * s->rho[i] * (g[i] * g[i] + g[qp + i] * g[qp + i]);
        d[i] = s->rho[0] - s->rho[i];
    }
    const double shift = beam_secular_root(q, w, d, eps, 0.0);
    double used = 0.0;
    for (int i = 0; i < q; i++) { /* x_i = lambda g_i/(d_i + s), so y_i = -rho_i g_i/(d_i + s) */
        const double f = d[i] + shift > 0.0 ? -s->rho[i] / (d[i] + shift) : 0.0;
        y[i] = f * g[i];
        y[qp + i] = f * g[qp + i];
        used += y[i] * y[i] + y[qp + i] * y[qp + i];
    }
    if (shift > 0.0) {
        beam_row_scale(2 * qp, eps / sqrt(used), y);
    } else { /* hard case: pad along the top eigenvector */
        const double t = sqrt(fmax(eps * eps - used, 0.0)), size = hypot(g[0], g[qp]);
        y[0] -= size > 0.0 ? t * g[0] / size : t;
        y[qp] -= size > 0.0 ? t * g[qp] / size : 0.0;
    }
    for (int i = 0; i < q; i++) {
        const double xr = g[i] - y[i], xi = g[qp + i] - y[qp + i];
        value += s->rho[i] * (xr * xr + xi * xi);
    }
    return value;
}

/* |x^H v|^2 and the power of the station's other rows at x, all in range coordinates: no
 * cancellation. */
static void own_terms(const beam_robust *rb, int u, const double *x, double *signal, double *own)
{
    const beam_problem *p = rb->p;
    const int l = p->own[u], mine = p->row_of[u] - p->first[l];
    const beam_spectrum *s = &rb->spectrum[l];
    *own = 0.0;
    *signal = 0.0;
    for (int c = 0; c < s->rows; c++) {
        double re, im;
        beam_row_dot(s->qp, x, s->coord + (size_t)c * 2u * (size_t)s->qp, &re, &im);
        *(c == mine ? signal : own) += re * re + im * im;
    }
}

/* A ratio that errors of the ball reach, near the worst at a fraction of a trust-region problem's
 * cost: first the error that takes most from the signal, then x <- g - eps A x/|A x| with
 * A = (1+eta) z z^H - eta R, the gradient of Dinkelbach's function, as long as the ratio falls. */
static double reached_ratio(const beam_robust *rb, int u, const double *g, const double *z,
                            double eps, double vv, double nominal)
{
    const beam_spectrum *s = &rb->spectrum[rb->p->own[u]];
    const int qp = s->qp;
    double x[2 * BEAM_RANK_MAX], signal, own, re, im, best = nominal;
    beam_row_dot(qp, z, g, &re, &im);
    const double take = eps / sqrt((re * re + im * im) * vv);
    memcpy(x, g, 2u * (size_t)qp * sizeof *x);
    beam_row_axpy(qp, -take * re, -take * im, z, x);
    for (int k = 0; k < REACH_STEPS; k++) {
        own_terms(rb, u, x, &signal, &own);
        const double ratio = signal / (own + rb->interference[u]);
        if (!(ratio < best)) {
            break;
        }
        best = ratio;
        beam_row_dot(qp, z, x, &re, &im);
        for (int i = 0; i < qp; i += 4) {
            const beam_v4 pull = -ratio * beam_v4_load(s->rho + i);
            beam_v4_store(x + i, pull * beam_v4_load(x + i));
            beam_v4_store(x + qp + i, pull * beam_v4_load(x + qp + i));
        }
        beam_row_axpy(qp, (1.0 + ratio) * re, (1.0 + ratio) * im, z, x);
        const double norm2 = beam_row_norm2(2 * qp, x);
        if (!(norm2 > 0.0)) {
            break;
        }
        beam_row_scale(2 * qp, -eps / sqrt(norm2), x);
        beam_row_add(2 * qp, 1.0, g, x);
    }
    return best;
}

/* Dinkelbach downwards from a ratio that is reached; every step a global trust-region problem. */
static void own_exact(beam_robust *rb, int u)
{
    const beam_problem *p = rb->p;
    const int l = p->own[u];
    const beam_spectrum *s = &rb->spectrum[l];
    const double *g = beam_robust_g(rb, l, u), eps = p->eps[beam_robust_at(rb, l, u)];
    const double *z = s->coord + (size_t)(p->row_of[u] - p->first[l]) * 2u * (size_t)s->qp;
    double *y = beam_robust_y(rb, l, u), x[2 * BEAM_RANK_MAX], shift = 0.0;
    const double I = rb->interference[u];
    const size_t bytes = 2u * (size_t)s->qp * sizeof *x;
    own_terms(rb, u, g, &rb->signal[u], &rb->own[u]);
    double eta = rb->signal[u] / (rb->own[u] + I), last = 0.0;
    memset(y, 0, bytes);
    /* the ball reaches the plane x^H v = 0: exactly zero, at its point next to the estimate.
     * Dinkelbach would creep towards it and lose digits on the way. */
    const double vv = beam_row_norm2(2 * s->qp, z);
    if (eps > 0.0 && rb->signal[u] <= eps * eps * vv) {
        if (vv > 0.0) {
            double re, im, own;
            beam_row_dot(s->qp, z, g, &re, &im);
            beam_row_axpy(s->qp, re / vv, im / vv, z, y);
            memcpy(x, g, bytes);
            beam_row_add(2 * s->qp, -1.0, y, x);
            own_terms(rb, u, x, &own, &rb->own[u]);
        }
        rb->signal[u] = 0.0;
        rb->sinr[u] = 0.0;
        return;
    }
    if (s->rank > 1 && eps > 0.0) {
        eta = reached_ratio(rb, u, g, z, eps, vv, eta);
    }
    for (int round = 0; round < 60 && s->rank > 0 && eps > 0.0 && eta > 0.0; round++) {
        double signal, own;
        beam_own_minimise(s->rank, s->qp, s->rho, z, g, eps, eta, &shift, x);
        own_terms(rb, u, x, &signal, &own);
        const double next = signal / (own + I);
        if (next <=
            eta * (1.0 +
                   same_ratio)) { /* of equal ratios the later one is nearer the worst channel */
            rb->signal[u] = signal;
            rb->own[u] = own;
            memcpy(y, g, bytes);
            beam_row_add(2 * s->qp, -1.0, x, y);
        }
        const double fall = 1.0 - next / eta;
        eta = next < eta ? next : eta;
        /* superlinear: from two falls the next is foreseen, and most often needs no round to see
         * that it is none; the worst channel is as near as the last fall was small */
        if (!(fall > dinkelbach_tolerance) ||
            (fall < small_fall && fall * fall * fall < dinkelbach_tolerance * last * last)) {
            break;
        }
        last = fall;
    }
    rb->sinr[u] = eta;
}

double beam_robust_exact(beam_robust *rb, const double *x)
{
    const beam_problem *p = rb->p;
    double wsr = 0.0;
    beam_robust_spectra(rb, x, 0, 1e-15);
    rb->warm = 0;
    for (int u = 0; u < p->U; u++) {
        rb->interference[u] = 1.0;
        for (int l = 0; l < p->L; l++) {
            const size_t at = beam_robust_at(rb, l, u);
            rb->cross[at] = l == p->own[u] ? 0.0 : cross_exact(rb, l, u);
            rb->interference[u] += rb->cross[at];
        }
        own_exact(rb, u);
        rb->rate[u] = log1p(rb->sinr[u]) * M_LOG2E;
        wsr += p->weight[u] * rb->rate[u];
    }
    return wsr;
}

void beam_robust_channel(const beam_robust *rb, int l, int u, double *row)
{
    const beam_problem *p = rb->p;
    const beam_spectrum *s = &rb->spectrum[l];
    double minus[2 * BEAM_RANK_MAX];
    const double *y = beam_robust_y(rb, l, u);
    memcpy(row, p->h + beam_robust_at(rb, l, u) * (size_t)p->stride,
           (size_t)p->stride * sizeof *row);
    for (int i = 0; i < 2 * s->qp; i++) {
        minus[i] = -y[i];
    }
    beam_spectrum_lift(s, minus, row);
}

/* Danskin (MATH 2): own beam 2 c/ln2 x x^H v/(S+Den); every other row -2 c/ln2 S/(Den(S+Den)) x x^H
 * w. */
void beam_robust_exact_gradient(beam_robust *rb, const double *x, const double *c, double *g)
{
    const beam_problem *p = rb->p;
    double row[2 * BEAM_MAX_ANTENNAS];
    for (int u = 0; u < p->U; u++) {
        const double signal = rb->signal[u], den = rb->own[u] + rb->interference[u];
        const double k1 = 2.0 * c[u] * M_LOG2E / (signal + den), k2 = -k1 * signal / den;
        for (int l = 0; l < p->L; l++) {
            beam_robust_channel(rb, l, u, row);
            for (int i = p->first[l]; i < p->first[l + 1]; i++) {
                const size_t at = (size_t)i * (size_t)p->stride;
                const double k = i == p->row_of[u] ? k1 : k2;
                double re, im;
                beam_row_dot(p->Dp, row, x + at, &re, &im);
                beam_row_axpy(p->Dp, k * re, k * im, row, g + at);
            }
        }
    }
}

void beam_robust_nominal(const beam_robust *rb, const double *x, double *sinr)
{
    const beam_problem *p = rb->p;
    for (int u = 0; u < p->U; u++) {
        double signal = 0.0, den = 1.0;
        for (int l = 0; l < p->L; l++) {
            const double *h = p->h + beam_robust_at(rb, l, u) * (size_t)p->stride;
            for (int i = p->first[l]; i < p->first[l + 1]; i++) {
                double re, im;
                beam_row_dot(p->Dp, h, x + (size_t)i * (size_t)p->stride, &re, &im);
                *(i == p->row_of[u] ? &signal : &den) += re * re + im * im;
            }
        }
        sinr[u] = signal / den;
    }
}
