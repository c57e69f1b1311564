#include "solver/least_crlb.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

/* A transmit direction whose rest is shorter than this share of it depends on the earlier ones. */
static const double dependent = 1e-12;
/* Share of every span direction mixed into a warm start: a direction that is dark cannot be lit by
 * gradients. */
static const double warm_mix = 1e-3;
/* The mixture starts at mix_start, falls by mix_fall when at most mix_share of the gap is left to
 * better directions, and not below mix_least times the tolerance. */
static const double mix_start = 0.1, mix_warm = 1e-3, mix_fall = 0.1, mix_share = 0.2,
                    mix_least = 1e-3;
/* Iterations between certificates (one eigenvalue problem per station). */
static const int check_period = 3;
/* A mixture that takes this many is stiff: the metric of R_l from here on. A multiple of
 * check_period. */
static const int metric_period = 60;
/* So many long line searches in a row mean that the bound itself is noise at this scale. */
static const int hard_most = 8;
/* Relative rounding of ln CRLB: a step may raise it by this much when the slope shows progress. */
static const double rounding = 1e-13;

void beam_least_crlb_carve(beam_least_crlb *s, beam_arena *arena, int L, int J, int D)
{
    const int n = 2 * J, dp = beam_pad4(n);
    const size_t rows = (size_t)(L * n), all = rows * 2u * (size_t)dp;
    memset(s, 0, sizeof *s);
    s->sub.L = L;
    s->sub.J = J;
    s->sub.D = s->sub.r = n;
    s->sub.Dp = dp;
    s->sub.stride = 2 * dp;
    s->sub.rows = L * n;
    for (int l = 0; l <= L; l++) {
        s->sub.first[l] = l * n;
    }
    s->sub.tx = BEAM_TAKE(arena, double, all);
    s->span = BEAM_TAKE(arena, double, rows * 2u * (size_t)beam_pad4(D));
    s->z = BEAM_TAKE(arena, double, all);
    s->y = BEAM_TAKE(arena, double, all);
    s->grad = BEAM_TAKE(arena, double, all);
    s->z_next = BEAM_TAKE(arena, double, all);
    s->grad_next = BEAM_TAKE(arena, double, all);
    s->direction = BEAM_TAKE(arena, double, all);
    s->steps = BEAM_TAKE(arena, double, BEAM_LEAST_MEMORY *all);
    s->changes = BEAM_TAKE(arena, double, BEAM_LEAST_MEMORY *all);
    s->proj = BEAM_TAKE(arena, beam_complex, rows * (size_t)n);
    s->gram = BEAM_TAKE(arena, beam_complex, rows * (size_t)n);
    s->T = BEAM_TAKE(arena, beam_complex, rows * (size_t)n);
    s->metric_vector = BEAM_TAKE(arena, double, all);
    s->metric = BEAM_TAKE(arena, double, rows);
    s->scratch = BEAM_TAKE(arena, double, all);
    s->isotropic = BEAM_TAKE(arena, beam_complex, rows * (size_t)n);
    s->matrix = BEAM_TAKE(arena, double, 2u * (size_t)n * 2u * (size_t)dp);
    beam_spectrum_carve(&s->spectrum, arena, 2 * n, dp);
}

/* Rows of all stations in span coordinates. */
static inline size_t length(const beam_least_crlb *s)
{
    return (size_t)s->sub.rows * (size_t)s->sub.stride;
}

static inline double *station_rows(const beam_least_crlb *s, double *rows, int l)
{
    return rows + (size_t)s->sub.first[l] * (size_t)s->sub.stride;
}

static inline int station_length(const beam_least_crlb *s)
{
    return s->sub.r * s->sub.stride;
}

/* Orthonormal basis of the transmit directions of a station (Gram-Schmidt, twice) and their
 * coordinates. */
static void build_span(beam_least_crlb *s, const beam_problem *p, int l)
{
    const int n = 2 * p->J, stride = p->stride, dp = s->sub.Dp;
    double *span = s->span + (size_t)(l * n * stride);
    int have = 0;
    for (int q = 0; q < n; q++) {
        const double *t = p->tx + (size_t)((l * n + q) * stride);
        double *row = span + (size_t)(have * stride);
        memcpy(row, t, (size_t)stride * sizeof *row);
        for (int i = 0; i < 2 * have; i++) {
            const double *b = span + (size_t)((i % have) * stride);
            double re, im;
            beam_row_dot(p->Dp, b, row, &re, &im);
            beam_row_axpy(p->Dp, -re, -im, b, row);
        }
        const double rest = sqrt(beam_row_norm2(stride, row));
        if (rest > dependent * sqrt(beam_row_norm2(stride, t)) && have < p->D) {
            beam_row_scale(stride, 1 / rest, row);
            have++;
        }
    }
    memset(span + (size_t)(have * stride), 0, (size_t)((n - have) * stride) * sizeof *span);
    for (int q = 0; q < n; q++) {
        double *c = s->sub.tx + (size_t)(l * n + q) * (size_t)s->sub.stride;
        memset(c, 0, (size_t)s->sub.stride * sizeof *c);
        for (int i = 0; i < have; i++) {
            beam_row_dot(p->Dp, span + (size_t)(i * stride), p->tx + (size_t)((l * n + q) * stride),
                         c + i, c + dp + i);
        }
    }
    s->dimension[l] = have;
    for (int a = 0; a < n; a++) {
        for (int b = 0; b < n; b++) {
            const double *tx = s->sub.tx + (size_t)(l * n) * (size_t)s->sub.stride;
            beam_complex *entry = s->isotropic + (l * n + a) * n + b;
            beam_row_dot(dp, tx + (size_t)(a * s->sub.stride), tx + (size_t)(b * s->sub.stride),
                         &entry->re, &entry->im);
            entry->re /= have;
            entry->im /= have;
        }
    }
}

/* z <- isotropic on the span, or the sensing rows of x with a little of it in every direction. */
static void start(beam_least_crlb *s, const beam_problem *p, bool warm, const double *x)
{
    const int stride = s->sub.stride, dp = s->sub.Dp;
    memset(s->z, 0, length(s) * sizeof *s->z);
    for (int l = 0; l < p->L; l++) {
        double *z = station_rows(s, s->z, l), power = 0;
        const double *span = s->span + (size_t)(l * s->sub.r * p->stride);
        const double *from = x + (size_t)((p->first[l] + p->K[l]) * p->stride);
        const int d = s->dimension[l], used = p->r < d ? p->r : d;
        for (int k = 0; warm && k < used; k++) {
            for (int i = 0; i < d; i++) {
                double *row = z + (size_t)(k * stride);
                beam_row_dot(p->Dp, span + (size_t)(i * p->stride), from + (size_t)(k * p->stride),
                             row + i, row + dp + i);
            }
        }
        power = beam_row_norm2(station_length(s), z);
        const bool usable = isfinite(power) && power > 1e-12;
        if (!usable) {
            memset(z, 0, (size_t)station_length(s) * sizeof *z);
        }
        for (int i = 0; i < d; i++) {
            z[i * stride + i] += usable ? warm_mix * sqrt(power / d) : sqrt(1.0 / d);
        }
    }
}

/* y = z with unit power per station; f = ln CRLB of y y^H mixed with I/d, grad = df/dz; returns the
 * CRLB. */
static double evaluate(beam_least_crlb *s, beam_problem *p, const double *z, double *grad)
{
    const int count = station_length(s);
    double inverse[BEAM_MAX_STATIONS];
    for (int l = 0; l < p->L; l++) {
        const double *from = z + (size_t)(l * count);
        double *to = station_rows(s, s->y, l);
        const double norm2 = beam_row_norm2(count, from);
        inverse[l] = norm2 > 0 ? 1 / sqrt(norm2) : 0;
        for (int i = 0; i < count; i++) {
            to[i] = inverse[l] * from[i];
        }
    }
    beam_problem_sensing_gram(&s->sub, s->y, s->proj, s->gram);
    for (int i = 0; s->mix > 0 && i < s->sub.rows * s->sub.r; i++) {
        s->gram[i].re += s->mix * (s->isotropic[i].re - s->gram[i].re);
        s->gram[i].im += s->mix * (s->isotropic[i].im - s->gram[i].im);
    }
    const double value = beam_crlb_value(&p->crlb, s->gram, s->T, NULL);
    memset(grad, 0, length(s) * sizeof *grad);
    if (isfinite(value) && value > 0) {
        beam_problem_sensing_pull(&s->sub, s->proj, s->T, (1 - s->mix) / value, grad);
        for (int l = 0; l < p->L; l++) {
            double *g = station_rows(s, grad, l);
            const double *y = station_rows(s, s->y, l);
            beam_row_add(count, -beam_row_inner(count, g, y), y, g);
            beam_row_scale(count, inverse[l], g);
        }
    }
    return value;
}

/* The certificate at the last evaluation, relative to the CRLB: `gap` to the minimum, sum_l
 * lambda_max(P_l)/CRLB - 1; `inner` is the part that better z can remove, the rest is the price of
 * the mixture. */
struct beam_certificate {
    double gap, inner;
};

/* P_l = sum_pq t_p T[p][q] t_q^H is positive semidefinite: its singular values are its eigenvalues.
 */
static struct beam_certificate certify(beam_least_crlb *s, double value)
{
    const int n = 2 * s->sub.J, stride = s->sub.stride, dp = s->sub.Dp;
    double sum = 0, isotropic = 0;
    for (int l = 0; l < s->sub.L; l++) {
        const double *tx = s->sub.tx + (size_t)(l * n * stride);
        const beam_complex *T = s->T + (size_t)(l * n * n);
        const int d = s->dimension[l];
        memset(s->matrix, 0, (size_t)(n * stride) * sizeof *s->matrix);
        for (int q = 0; q < n; q++) {
            /* column sum_p t_p T[p][q] times t_q^H: row i of `matrix` is column i of P */
            double column[4 * BEAM_MAX_TARGETS] = {0};
            for (int a = 0; a < n; a++) {
                beam_row_axpy(dp, T[a * n + q].re, T[a * n + q].im, tx + (size_t)(a * stride),
                              column);
            }
            const double *t = tx + (size_t)(q * stride);
            for (int i = 0; i < d; i++) {
                beam_row_axpy(dp, t[i], -t[dp + i], column, s->matrix + (size_t)(i * stride));
            }
        }
        for (int i = 0; i < d; i++) {
            isotropic += s->matrix[i * stride + i] / d;
        }
        beam_spectrum_compute(&s->spectrum, d, dp, s->matrix, 0, 1e-12);
        sum += sqrt(s->spectrum.rho[0]);
    }
    const double gap = fmax(sum / value - 1, 0);
    return (struct beam_certificate){gap, fmax(gap - s->mix * (sum - isotropic) / value, 0)};
}

/* Limited-memory BFGS on z: the objective does not depend on the lengths of the stations' rows, so
 * its gradient is orthogonal to z and the lengths cannot shrink. */
struct beam_descent {
    size_t n;
    double f, value;
    int kept, newest; /* pairs in the ring */
    int trials;       /* of the last line search */
    double rho[BEAM_LEAST_MEMORY];
};

static double inner(const struct beam_descent *d, const double *a, const double *b)
{
    return beam_row_inner((int)d->n, a, b);
}

/* Eigenvectors and eigenvalues of R_l = (1 - mix) y y^H + mix I/d into s->spectrum. */
static void station_spectrum(beam_least_crlb *s, int l, double tolerance)
{
    const int n = s->sub.r, stride = s->sub.stride, d = s->dimension[l];
    memset(s->matrix, 0, (size_t)(2 * station_length(s)) * sizeof *s->matrix);
    beam_row_add(station_length(s), sqrt(1 - s->mix), station_rows(s, s->y, l), s->matrix);
    for (int i = 0; i < d; i++) {
        s->matrix[(n + i) * stride + i] = sqrt(s->mix / d);
    }
    beam_spectrum_compute(&s->spectrum, n + d, s->sub.Dp, s->matrix, 0, tolerance);
}

/* Stiffness grows where R_l is small, as 1/mix: R_l itself, taken now and then, is the metric that
 * evens it out. */
static void take_metric(beam_least_crlb *s)
{
    const int n = s->sub.r;
    for (int l = 0; l < s->sub.L; l++) {
        double *vector = station_rows(s, s->metric_vector, l), *weight = s->metric + l * n;
        station_spectrum(s, l, 1e-10);
        memset(vector, 0, (size_t)station_length(s) * sizeof *vector);
        memset(weight, 0, (size_t)n * sizeof *weight);
        for (int i = 0; i < s->spectrum.rank && i < n; i++) {
            weight[i] = s->spectrum.rho[i] / s->spectrum.rho[0];
            memcpy(vector + (size_t)(i * s->sub.stride),
                   s->spectrum.vector + (size_t)(i * s->sub.stride),
                   (size_t)s->sub.stride * sizeof *vector);
        }
    }
    s->preconditioned = true;
}

/* out <- metric times in; they may be the same array. */
static void apply_metric(const beam_least_crlb *s, const double *in, double *out)
{
    const int n = s->sub.r, stride = s->sub.stride, dp = s->sub.Dp;
    for (int i = 0; i < s->sub.rows; i++) {
        const int l = i / n;
        const double *vector = station_rows(s, s->metric_vector, l);
        double sum[4 * BEAM_MAX_TARGETS] = {0};
        for (int k = 0; k < s->dimension[l]; k++) {
            double re, im;
            beam_row_dot(dp, vector + (size_t)(k * stride), in + (size_t)(i * stride), &re, &im);
            beam_row_axpy(dp, re * s->metric[l * n + k], im * s->metric[l * n + k],
                          vector + (size_t)(k * stride), sum);
        }
        memcpy(out + (size_t)(i * stride), sum, (size_t)stride * sizeof *out);
    }
}

static void quasi_newton_direction(beam_least_crlb *s, const struct beam_descent *d, double *out)
{
    double alpha[BEAM_LEAST_MEMORY];
    memcpy(out, s->grad, d->n * sizeof *out);
    for (int i = 0; i < d->kept; i++) {
        const int k = (d->newest - i + BEAM_LEAST_MEMORY) % BEAM_LEAST_MEMORY;
        alpha[i] = d->rho[k] * inner(d, s->steps + (size_t)k * d->n, out);
        beam_row_add((int)d->n, -alpha[i], s->changes + (size_t)k * d->n, out);
    }
    const double *y = s->changes + (size_t)d->newest * d->n, *scaled = y;
    if (s->preconditioned) {
        apply_metric(s, out, out);
        apply_metric(s, y, s->scratch);
        scaled = s->scratch;
    }
    if (d->kept > 0) {
        beam_row_scale((int)d->n, 1 / (d->rho[d->newest] * inner(d, y, scaled)), out);
    }
    for (int i = d->kept - 1; i >= 0; i--) {
        const int k = (d->newest - i + BEAM_LEAST_MEMORY) % BEAM_LEAST_MEMORY;
        const double beta = d->rho[k] * inner(d, s->changes + (size_t)k * d->n, out);
        beam_row_add((int)d->n, alpha[i] - beta, s->steps + (size_t)k * d->n, out);
    }
    beam_row_scale((int)d->n, -1, out);
}

static void remember(beam_least_crlb *s, struct beam_descent *d)
{
    const int k = (d->newest + 1) % BEAM_LEAST_MEMORY;
    double *step = s->steps + (size_t)k * d->n, *change = s->changes + (size_t)k * d->n;
    for (size_t i = 0; i < d->n; i++) {
        step[i] = s->z_next[i] - s->z[i];
        change[i] = s->grad_next[i] - s->grad[i];
    }
    const double curvature = inner(d, step, change);
    if (curvature > 1e-14 * sqrt(inner(d, step, step) * inner(d, change, change))) {
        d->rho[k] = 1 / curvature;
        d->newest = k;
        d->kept += d->kept < BEAM_LEAST_MEMORY;
    }
}

static void swap(double **a, double **b)
{
    double *t = *a;
    *a = *b;
    *b = t;
}

/* One step along s->direction of slope `slope`; false when no step helps. Where differences of f
 * drown in rounding a smaller slope at the new point decides. */
static bool advance(beam_least_crlb *s, beam_problem *p, struct beam_descent *d, double slope,
                    double t, int *evaluations)
{
    for (int trial = 0; trial < 30; trial++) {
        for (size_t i = 0; i < d->n; i++) {
            s->z_next[i] = s->z[i] + t * s->direction[i];
        }
        const double value = evaluate(s, p, s->z_next, s->grad_next), f = log(value);
        (*evaluations)++;
        d->trials = trial + 1;
        const double slope_next = inner(d, s->grad_next, s->direction);
        if (isfinite(f) &&
            (f <= d->f + 1e-4 * t * slope || (f <= d->f + rounding * fmax(1, fabs(d->f)) &&
                                              fabs(slope_next) < 0.9 * fabs(slope)))) {
            remember(s, d);
            swap(&s->z, &s->z_next);
            swap(&s->grad, &s->grad_next);
            d->f = f;
            d->value = value;
            return true;
        }
        const double parabola = isfinite(f) ? -slope * t / (2 * (f - d->f - slope * t)) : 0.1;
        t *= fmin(fmax(parabola, 0.1), 0.5);
    }
    return false;
}

/* Takes up the point z with the mixture s->mix; false unless the CRLB is finite there. */
static bool settle(beam_least_crlb *s, beam_problem *p, struct beam_descent *d,
                   beam_least_result *out)
{
    out->value = d->value = evaluate(s, p, s->z, s->grad);
    out->evaluations++;
    d->f = log(d->value);
    return isfinite(d->value);
}

/* One quasi-Newton step; false when none helps, not even along the gradient. */
static bool iterate(beam_least_crlb *s, beam_problem *p, struct beam_descent *d,
                    beam_least_result *out)
{
    for (;;) {
        quasi_newton_direction(s, d, s->direction);
        const double slope = inner(d, s->direction, s->grad);
        const double norm = sqrt(inner(d, s->grad, s->grad));
        const double t = d->kept > 0 ? 1 : fmin(1, 0.3 / norm);
        if (slope < 0 && advance(s, p, d, slope, t, &out->evaluations)) {
            out->iterations++;
            return true;
        }
        if (d->kept == 0) {
            return false;
        }
        d->kept = 0;
    }
}

static void descend(beam_least_crlb *s, beam_problem *p, double tolerance, int max_iterations,
                    beam_least_result *out)
{
    struct beam_descent d = {.n = length(s), .newest = BEAM_LEAST_MEMORY - 1};
    if (!settle(s, p, &d, out)) {
        out->status = isnan(d.value) ? BEAM_LEAST_NUMERIC : BEAM_LEAST_NOT_LOCATED;
        return;
    }
    out->status = BEAM_LEAST_STALLED;
    s->preconditioned = false;
    bool moving = true;
    int hard = 0; /* line searches in a row that had to search */
    for (int since = 0;; since++) {
        const bool last = !moving || hard >= hard_most || out->iterations >= max_iterations;
        if (last || since % check_period == 0) {
            const struct beam_certificate c = certify(s, d.value);
            out->gap = c.gap;
            if (c.gap <= tolerance) {
                out->status = BEAM_LEAST_PROVEN;
                break;
            }
            const bool done = c.inner <= mix_share * c.gap;
            if (last && (!done || s->mix <= mix_least * tolerance)) {
                break;
            }
            if (done && s->mix > mix_least * tolerance) {
                s->mix *= mix_fall;
                if (!settle(s, p, &d, out)) { /* too dark to be computed: the last mixture stands */
                    s->mix /= mix_fall;
                    (void)settle(s, p, &d, out);
                    break;
                }
                since = hard = 0;
                if (s->preconditioned) {
                    take_metric(s);
                }
            } else if (since > 0 && since % metric_period == 0) {
                take_metric(s);
                d.kept = 0;
            }
        }
        moving = iterate(s, p, &d, out);
        hard = d.trials > 6 ? hard + 1 : 0;
        if (!moving) { /* the rejected trial has left its T behind */
            (void)settle(s, p, &d, out);
        }
    }
    out->value = d.value;
}

/* Sensing rows of x: the strongest eigenvectors of every R_l, unit power. s->y follows with exactly
 * these rows. */
static void write_rows(beam_least_crlb *s, const beam_problem *p, double *x)
{
    const int stride = s->sub.stride, dp = s->sub.Dp, n = s->sub.r;
    for (int l = 0; l < p->L; l++) {
        const int d = s->dimension[l];
        double *y = station_rows(s, s->y, l),
               *rows = x + (size_t)((p->first[l] + p->K[l]) * p->stride);
        const double *span = s->span + (size_t)(l * n * p->stride);
        station_spectrum(s, l, 1e-14);
        int used = s->spectrum.rank < p->r ? s->spectrum.rank : p->r;
        used = used < n ? used : n;
        double power = 0;
        for (int k = 0; k < used; k++) {
            power += s->spectrum.rho[k];
        }
        memset(rows, 0, (size_t)(p->r * p->stride) * sizeof *rows);
        memset(y, 0, (size_t)station_length(s) * sizeof *y);
        for (int k = 0; k < used; k++) {
            const double *v = s->spectrum.vector + (size_t)(k * stride);
            beam_row_add(stride, sqrt(s->spectrum.rho[k] / power), v, y + (size_t)(k * stride));
            for (int i = 0; i < d; i++) {
                beam_row_axpy(p->Dp, y[k * stride + i], y[k * stride + dp + i],
                              span + (size_t)(i * p->stride), rows + (size_t)(k * p->stride));
            }
        }
    }
}

beam_least_result beam_least_crlb_solve(beam_least_crlb *s, beam_problem *p, double tolerance,
                                        int max_iterations, bool warm, double *x)
{
    beam_least_result out = {.status = BEAM_LEAST_PROVEN, .gap = 0};
    for (int l = 0; l < p->L; l++) {
        build_span(s, p, l);
    }
    start(s, p, warm, x);
    s->mix = warm ? mix_warm : mix_start;
    if (p->crlb.counted > 0) {
        out.gap = INFINITY;
        descend(s, p, tolerance, max_iterations, &out);
        if (warm && out.status != BEAM_LEAST_PROVEN) {
            return beam_least_crlb_solve(s, p, tolerance, max_iterations, false, x);
        }
    }
    if (p->crlb.counted == 0 || !isfinite(out.value)) {
        start(s, p, false, x);
        s->mix = 0;
        (void)evaluate(s, p, s->z, s->grad);
        write_rows(s, p, x);
        return out;
    }
    /* what is written is what is claimed: value and gap of the rows themselves */
    (void)evaluate(s, p, s->z, s->grad);
    write_rows(s, p, x);
    s->mix = 0;
    memcpy(s->z_next, s->y, length(s) * sizeof *s->y);
    out.value = evaluate(s, p, s->z_next, s->grad_next);
    out.gap = isfinite(out.value) ? certify(s, out.value).gap : INFINITY;
    if (out.status == BEAM_LEAST_PROVEN && out.gap > 1.01 * tolerance) {
        out.status = BEAM_LEAST_STALLED;
    }
    return out;
}
