#include "solver/classical.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

/* A pivot of the Gram matrix of unit channels under this means that zero-forcing would amplify
 * without bound. */
static const double dependent_pivot = 1e-10;
/* Users of (almost) no weight keep a direction of their own: the regularised inverse needs their
 * channel. */
static const double least_weight = 1e-3;
static const double pi = 3.14159265358979323846;

void beam_classical_carve(beam_classical_work *w, beam_arena *arena, int U, int D)
{
    const size_t users = (size_t)U, row = 2u * (size_t)beam_pad4(D);
    memset(w, 0, sizeof *w);
    w->gram = BEAM_TAKE(arena, beam_complex, users * users);
    w->scale = BEAM_TAKE(arena, double, users);
    w->solution = BEAM_TAKE(arena, beam_complex, users);
    w->gain = BEAM_TAKE(arena, beam_complex, users * users);
    w->receiver = BEAM_TAKE(arena, beam_complex, users);
    w->weight = BEAM_TAKE(arena, double, users);
    w->rows = BEAM_TAKE(arena, double, users *row);
    w->coord = BEAM_TAKE(arena, double, users * 2u * (size_t)beam_pad4(U));
    beam_spectrum_carve(&w->spectrum, arena, U, beam_pad4(D));
}

static inline const double *channel(const beam_problem *p, int l, int u)
{
    return p->h + (size_t)(l * p->U + u) * (size_t)p->stride;
}

static inline double *beam_row(const beam_problem *p, double *x, int u)
{
    return x + (size_t)p->row_of[u] * (size_t)p->stride;
}

/* Equal powers, together 1, for the beams of station l that are not zero. */
static void share_equally(const beam_problem *p, int l, double *x)
{
    int used = 0;
    for (int u = p->user_first[l]; u < p->user_first[l + 1]; u++) {
        used += beam_row_norm2(p->stride, beam_row(p, x, u)) > 0;
    }
    for (int u = p->user_first[l]; u < p->user_first[l + 1]; u++) {
        double *v = beam_row(p, x, u);
        const double norm2 = beam_row_norm2(p->stride, v);
        if (norm2 > 0) {
            beam_row_scale(p->stride, 1 / sqrt(norm2 * used), v);
        }
    }
}

/* Lower Cholesky factor in place of the Hermitian n x n matrix; false when a pivot is at or under
 * `least`. */
static bool cholesky(int n, beam_complex *a, double least)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k <= i; k++) {
            double re = a[i * n + k].re, im = a[i * n + k].im;
            for (int t = 0; t < k; t++) {
                const beam_complex x = a[i * n + t], y = a[k * n + t];
                re -= x.re * y.re + x.im * y.im;
                im -= x.im * y.re - x.re * y.im;
            }
            if (k < i) {
                const double pivot = 1 / a[k * n + k].re;
                a[i * n + k] = (beam_complex){re * pivot, im * pivot};
            } else if (re > least) {
                a[i * n + i] = (beam_complex){sqrt(re), 0};
            } else {
                return false;
            }
        }
    }
    return true;
}

/* y <- column u of the inverse, from the factor. */
static void inverse_column(int n, const beam_complex *a, int u, beam_complex *y)
{
    memset(y, 0, (size_t)n * sizeof *y);
    y[u].re = 1;
    for (int i = u; i < n; i++) {
        for (int t = u; t < i; t++) {
            const beam_complex x = a[i * n + t];
            y[i].re -= x.re * y[t].re - x.im * y[t].im;
            y[i].im -= x.re * y[t].im + x.im * y[t].re;
        }
        y[i].re /= a[i * n + i].re;
        y[i].im /= a[i * n + i].re;
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int t = i + 1; t < n; t++) {
            const beam_complex x = a[t * n + i];
            y[i].re -= x.re * y[t].re + x.im * y[t].im;
            y[i].im -= x.re * y[t].im - x.im * y[t].re;
        }
        y[i].re /= a[i * n + i].re;
        y[i].im /= a[i * n + i].re;
    }
}

/* Factor of H^H H + ridge I for the columns scale_u h_{l,u}; a zero column counts as a unit one of
 * its own. */
static bool factor_gram(beam_classical_work *w, const beam_problem *p, int l, double ridge,
                        double least)
{
    const int U = p->U;
    for (int i = 0; i < U; i++) {
        for (int k = 0; k <= i; k++) {
            beam_complex *g = w->gram + i * U + k;
            const double s = w->scale[i] * w->scale[k];
            beam_row_dot(p->Dp, channel(p, l, i), channel(p, l, k), &g->re, &g->im);
            g->re *= s;
            g->im *= s;
        }
        beam_complex *diagonal = w->gram + i * U + i;
        diagonal->re = diagonal->re > 0 ? diagonal->re + ridge : 1;
        diagonal->im = 0;
    }
    return cholesky(U, w->gram, least);
}

/* The same with a ridge that must do: where dependent channels are so strong that it drowns in
 * their rounding, the least of like size that does not. */
static void factor_regularised(beam_classical_work *w, const beam_problem *p, int l, double ridge)
{
    double trace = 0;
    for (int u = 0; u < p->U; u++) {
        trace += w->scale[u] * w->scale[u] * p->hnorm2[l * p->U + u];
    }
    while (!factor_gram(w, p, l, ridge, 0) && ridge < trace) {
        ridge = fmax(10 * ridge, 1e-16 * trace);
    }
}

/* v_u = H (H^H H + ridge I)^-1 e_u, which is (H H^H + ridge I)^-1 h_u up to its length. */
static void inverse_beams(beam_classical_work *w, const beam_problem *p, int l, double *x)
{
    for (int u = p->user_first[l]; u < p->user_first[l + 1]; u++) {
        double *v = beam_row(p, x, u);
        memset(v, 0, (size_t)p->stride * sizeof *v);
        inverse_column(p->U, w->gram, u, w->solution);
        for (int i = 0; i < p->U; i++) {
            beam_row_axpy(p->Dp, w->scale[i] * w->solution[i].re, w->scale[i] * w->solution[i].im,
                          channel(p, l, i), v);
        }
    }
}

static void zero_forcing(beam_classical_work *w, const beam_problem *p, int l, double *x)
{
    for (int u = 0; u < p->U; u++) {
        const double norm2 = p->hnorm2[l * p->U + u];
        w->scale[u] = norm2 > 0 ? 1 / sqrt(norm2) : 0;
    }
    if (p->U > p->D || !factor_gram(w, p, l, 0, dependent_pivot)) {
        for (int u = 0; u < p->U; u++) {
            w->scale[u] = 1;
        }
        factor_regularised(w, p, l, p->K[l]);
    }
    inverse_beams(w, p, l, x);
}

static void robust_zero_forcing(beam_classical_work *w, const beam_problem *p, int l, double *x)
{
    double mean = 0, ridge = p->K[l];
    for (int u = 0; u < p->U; u++) {
        mean += p->weight[u] / p->U;
    }
    for (int u = 0; u < p->U; u++) {
        const double weight = mean > 0 ? fmax(p->weight[u] / mean, least_weight) : 1;
        const double eps = p->eps[l * p->U + u];
        w->scale[u] = sqrt(weight);
        ridge += weight * eps * eps / p->D;
    }
    factor_regularised(w, p, l, ridge);
    inverse_beams(w, p, l, x);
}

void beam_classical_beams(beam_classical_work *w, const beam_problem *p, beam_classical kind,
                          double *x)
{
    for (int l = 0; l < p->L; l++) {
        if (p->K[l] == 0) {
            continue;
        }
        if (kind == BEAM_CLASSICAL_MRT) {
            for (int u = p->user_first[l]; u < p->user_first[l + 1]; u++) {
                memcpy(beam_row(p, x, u), channel(p, l, u), (size_t)p->stride * sizeof *x);
            }
        } else if (kind == BEAM_CLASSICAL_ZF) {
            zero_forcing(w, p, l, x);
        } else {
            robust_zero_forcing(w, p, l, x);
        }
        share_equally(p, l, x);
    }
    if (kind == BEAM_CLASSICAL_WMMSE) {
        (void)beam_classical_wmmse(w, p, 60, 1e-5, x);
    }
}

/* Gains of all beams, MMSE receivers y_k = h^H v / T (T the power received) and weights a_k / e_k
 * with the error e_k = 1 - |h^H v|^2/T; returns the weighted sum rate, sum a_k log2(1/e_k). */
static double wmmse_receivers(beam_classical_work *w, const beam_problem *p, double *x)
{
    double sum = 0;
    for (int k = 0; k < p->U; k++) {
        double others = 1;
        for (int j = 0; j < p->U; j++) {
            beam_complex *z = w->gain + k * p->U + j;
            beam_row_dot(p->Dp, channel(p, p->own[j], k), beam_row(p, x, j), &z->re, &z->im);
            others += j == k ? 0 : z->re * z->re + z->im * z->im;
        }
        const beam_complex own = w->gain[k * p->U + k];
        const double signal = own.re * own.re + own.im * own.im, total = others + signal;
        w->receiver[k] = (beam_complex){own.re / total, own.im / total};
        w->weight[k] = p->weight[k] * total / others;
        sum += p->weight[k] * log1p(signal / others);
    }
    return sum / log(2.0);
}

/* Power of the beams at multiplier lambda, and half its negative derivative. */
static double wmmse_power(const beam_classical_work *w, const beam_problem *p, int l, double lambda,
                          double *slope)
{
    const beam_spectrum *s = &w->spectrum;
    double power = 0;
    *slope = 0;
    for (int i = 0; i < s->rank; i++) {
        double phi = 0;
        for (int u = p->user_first[l]; u < p->user_first[l + 1]; u++) {
            const double *c = w->coord + (size_t)u * 2u * (size_t)s->qp;
            phi += c[i] * c[i] + c[s->qp + i] * c[s->qp + i];
        }
        const double d = 1 / (s->rho[i] + lambda), term = phi * d * d;
        power += term;
        *slope += term * d;
    }
    return power;
}

/* lambda >= 0 with power 1, or 0 when less is wanted: Newton on 1/sqrt(power), which is concave,
 * from the left. */
static double wmmse_multiplier(const beam_classical_work *w, const beam_problem *p, int l)
{
    double lambda = 0;
    for (int k = 0; k < 100; k++) {
        double slope;
        const double power = wmmse_power(w, p, l, lambda, &slope);
        if (!(power > 1 + 1e-14) || !(slope > 0)) {
            break;
        }
        const double step = (sqrt(power) - 1) * power / slope;
        if (!(step > 1e-16 * lambda)) {
            break;
        }
        lambda += step;
    }
    return lambda;
}

/* v_u = (A_l + lambda I)^-1 a_u w_u y_u h_u with A_l = sum_k a_k w_k |y_k|^2 h_k h_k^H. */
static void wmmse_beams(beam_classical_work *w, const beam_problem *p, int l, double *x)
{
    beam_spectrum *s = &w->spectrum;
    for (int k = 0; k < p->U; k++) {
        double *row = w->rows + (size_t)k * (size_t)p->stride;
        const beam_complex y = w->receiver[k];
        memset(row, 0, (size_t)p->stride * sizeof *row);
        beam_row_add(p->stride, sqrt(w->weight[k] * (y.re * y.re + y.im * y.im)), channel(p, l, k),
                     row);
    }
    beam_spectrum_compute(s, p->U, p->Dp, w->rows, 0, 1e-13);
    for (int u = p->user_first[l]; u < p->user_first[l + 1]; u++) {
        double *c = w->coord + (size_t)u * 2u * (size_t)s->qp;
        const double yr = w->weight[u] * w->receiver[u].re, yi = w->weight[u] * w->receiver[u].im;
        beam_spectrum_coordinates(s, channel(p, l, u), c);
        for (int i = 0; i < s->rank; i++) {
            const double re = c[i], im = c[s->qp + i];
            c[i] = yr * re - yi * im;
            c[s->qp + i] = yr * im + yi * re;
        }
    }
    const double lambda = wmmse_multiplier(w, p, l);
    double power = 0;
    for (int u = p->user_first[l]; u < p->user_first[l + 1]; u++) {
        double *c = w->coord + (size_t)u * 2u * (size_t)s->qp, *v = beam_row(p, x, u);
        for (int i = 0; i < s->rank; i++) {
            c[i] /= s->rho[i] + lambda;
            c[s->qp + i] /= s->rho[i] + lambda;
        }
        memset(v, 0, (size_t)p->stride * sizeof *v);
        beam_spectrum_lift(s, c, v);
        power += beam_row_norm2(p->stride, v);
    }
    for (int u = p->user_first[l]; power > 1 && u < p->user_first[l + 1]; u++) {
        beam_row_scale(p->stride, 1 / sqrt(power), beam_row(p, x, u)); /* rounding of lambda */
    }
}

double beam_classical_wmmse(beam_classical_work *w, const beam_problem *p, int max_iterations,
                            double tolerance, double *x)
{
    double rate = wmmse_receivers(w, p, x);
    for (int k = 0; k < max_iterations; k++) {
        for (int l = 0; l < p->L; l++) {
            if (p->K[l] > 0) {
                wmmse_beams(w, p, l, x);
            }
        }
        const double next = wmmse_receivers(w, p, x);
        const bool settled = next <= rate * (1 + tolerance);
        rate = next;
        if (settled) {
            break;
        }
    }
    return rate;
}

void beam_classical_isotropic(const beam_problem *p, double *x)
{
    const int n = 2 * p->J;
    for (int l = 0; l < p->L; l++) {
        double *rows = x + (size_t)(p->first[l] + p->K[l]) * (size_t)p->stride;
        int have = 0;
        memset(rows, 0, (size_t)(p->r * p->stride) * sizeof *rows);
        for (int q = 0; q < n && have < p->r && have < p->D; q++) {
            const double *t = p->tx + (size_t)(l * n + q) * (size_t)p->stride;
            double *row = rows + (size_t)have * (size_t)p->stride;
            memcpy(row, t, (size_t)p->stride * sizeof *row);
            for (int i = 0; i < 2 * have; i++) {
                const double *b = rows + (size_t)(i % have) * (size_t)p->stride;
                double re, im;
                beam_row_dot(p->Dp, b, row, &re, &im);
                beam_row_axpy(p->Dp, -re, -im, b, row);
            }
            const double rest = sqrt(beam_row_norm2(p->stride, row));
            if (rest > 1e-10 * sqrt(beam_row_norm2(p->stride, t))) {
                beam_row_scale(p->stride, 1 / rest, row);
                have++;
            } else {
                memset(row, 0, (size_t)p->stride * sizeof *row);
            }
        }
        beam_row_scale(p->r * p->stride, 1 / sqrt(have), rows);
    }
}

void beam_classical_compose(const beam_problem *p, const double *unit, double share, double *x)
{
    const double beam = sqrt(share), sensing = sqrt(1 - share);
    for (int l = 0; l < p->L; l++) {
        for (int i = p->first[l]; i < p->first[l + 1]; i++) {
            const double scale = i - p->first[l] < p->K[l] ? beam : sensing;
            for (int k = i * p->stride; k < (i + 1) * p->stride; k++) {
                x[k] = scale * unit[k];
            }
        }
    }
}

struct beam_split {
    const beam_problem *p;
    const double *unit;
    double (*merit)(void *arg, const double *x);
    void *arg;
    double *x;
    double best, angle; /* least merit so far and where */
};

static double split_share(double angle)
{
    return angle >= 1 ? 1 : pow(sin(0.5 * pi * angle), 2);
}

static double split_try(struct beam_split *s, double angle)
{
    beam_classical_compose(s->p, s->unit, split_share(angle), s->x);
    const double m = s->merit(s->arg, s->x), merit = isnan(m) ? INFINITY : m;
    if (merit < s->best) {
        s->best = merit;
        s->angle = angle;
    }
    return merit;
}

double beam_classical_split(const beam_problem *p, const double *unit,
                            double (*merit)(void *arg, const double *x), void *arg, int evaluations,
                            double *x, double *share)
{
    struct beam_split s = {
        .p = p, .unit = unit, .merit = merit, .arg = arg, .x = x, .best = INFINITY};
    for (int k = 0; k <= 4; k++) {
        (void)split_try(&s, 0.25 * k);
    }
    const double golden = 0.5 * (sqrt(5.0) - 1);
    double low = fmax(s.angle - 0.25, 0), high = fmin(s.angle + 0.25, 1);
    double a = high - golden * (high - low), b = low + golden * (high - low);
    int left = evaluations - 5;
    double fa = left-- > 0 ? split_try(&s, a) : INFINITY,
           fb = left-- > 0 ? split_try(&s, b) : INFINITY;
    while (left-- > 0) {
        if (fa <= fb) {
            high = b;
            b = a;
            fb = fa;
            a = high - golden * (high - low);
            fa = split_try(&s, a);
        } else {
            low = a;
            a = b;
            fa = fb;
            b = low + golden * (high - low);
            fb = split_try(&s, b);
        }
    }
    *share = split_share(s.angle);
    beam_classical_compose(p, unit, *share, x);
    return s.best;
}
