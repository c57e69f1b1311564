#include "model/spectrum.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

static const int max_sweeps = 60;
static const double rank_cut = 1e-28; /* of the largest eigenvalue: 1e-14 of the amplitude */
static const double negligible_cut =
    1e-32; /* rows below are rounding noise: not rotated any more */

void beam_spectrum_carve(beam_spectrum *s, beam_arena *arena, int rows_max, int dp_max)
{
    const size_t rows = (size_t)rows_max, qp = (size_t)beam_pad4(rows_max);
    memset(s, 0, sizeof *s);
    s->rho = BEAM_TAKE(arena, double, qp);
    s->vector = BEAM_TAKE(arena, double, rows * 2u * (size_t)dp_max);
    s->coord = BEAM_TAKE(arena, double, rows * 2u * qp);
    s->turn = BEAM_TAKE(arena, double, rows * 2u * qp);
}

/* (x, y) <- (c x - s conj(e) y, s e x + c y), e = er + i ei of unit modulus */
static inline void rotate(int dp, double c, double s, double er, double ei, double *x, double *y)
{
    const double sr = s * er, si = s * ei;
    for (int k = 0; k < dp; k += 4) {
        const beam_v4 xr = beam_v4_load(x + k), xi = beam_v4_load(x + dp + k);
        const beam_v4 yr = beam_v4_load(y + k), yi = beam_v4_load(y + dp + k);
        beam_v4_store(x + k, c * xr - (sr * yr + si * yi));
        beam_v4_store(x + dp + k, c * xi - (sr * yi - si * yr));
        beam_v4_store(y + k, c * yr + (sr * xr - si * xi));
        beam_v4_store(y + dp + k, c * yi + (sr * xi + si * xr));
    }
}

static void swap_rows(int n, double *x, double *y)
{
    for (int k = 0; k < n; k++) {
        const double t = x[k];
        x[k] = y[k];
        y[k] = t;
    }
}

/* One sweep over all pairs; returns the number of rotations and exchanges: rows that changed places
 * have not met all others, so only a sweep without either is the last. norm: squared norms of the
 * rows. */
static int sweep(beam_spectrum *s, double *norm, double tolerance)
{
    const int n = 2 * s->dp, m = 2 * s->qp;
    int changes = 0;
    double top = 0.0;
    for (int i = 0; i < s->rows; i++) {
        norm[i] = beam_row_norm2(n, s->vector + (size_t)i * (size_t)n);
        top = norm[i] > top ? norm[i] : top;
    }
    for (int i = 0; i < s->rows - 1; i++) {
        for (int j = i + 1; j < s->rows; j++) {
            double *x = s->vector + (size_t)i * (size_t)n, *y = s->vector + (size_t)j * (size_t)n;
            double *tx = s->turn + (size_t)i * (size_t)m, *ty = s->turn + (size_t)j * (size_t)m;
            double re, im;
            if (norm[j] > norm[i]) { /* larger first: faster, and the result is sorted */
                swap_rows(n, x, y);
                swap_rows(m, tx, ty);
                const double t = norm[i];
                norm[i] = norm[j];
                norm[j] = t;
                changes++;
            }
            if (norm[j] <= negligible_cut * top) {
                continue;
            }
            beam_row_dot(s->dp, x, y, &re, &im);
            const double g2 = re * re + im * im;
            if (!(g2 > tolerance * tolerance * norm[i] * norm[j])) {
                continue;
            }
            const double g = sqrt(g2);
            const double zeta = (norm[j] - norm[i]) / (2.0 * g);
            const double t = zeta > 0.0 ? 1.0 / (zeta + sqrt(1.0 + zeta * zeta))
                                        : -1.0 / (-zeta + sqrt(1.0 + zeta * zeta));
            const double c = 1.0 / sqrt(1.0 + t * t);
            rotate(s->dp, c, c * t, re / g, im / g, x, y);
            rotate(s->qp, c, c * t, re / g, im / g, tx, ty);
            norm[i] -= t * g;
            norm[j] += t * g;
            changes++;
        }
    }
    return changes;
}

static void start(beam_spectrum *s, const double *x, int warm)
{
    const int n = 2 * s->dp, m = 2 * s->qp;
    if (!warm) {
        memcpy(s->vector, x, (size_t)(s->rows * n) * sizeof *x);
        memset(s->turn, 0, (size_t)(s->rows * m) * sizeof *x);
        for (int i = 0; i < s->rows; i++) {
            s->turn[(size_t)i * (size_t)m + (size_t)i] = 1.0;
        }
        return;
    }
    /* turn row i holds column i of J: vector_i = sum_c J[c][i] x_c */
    memset(s->vector, 0, (size_t)(s->rows * n) * sizeof *x);
    for (int i = 0; i < s->rows; i++) {
        const double *t = s->turn + (size_t)i * (size_t)m;
        for (int c = 0; c < s->rows; c++) {
            beam_row_axpy(s->dp, t[c], t[s->qp + c], x + (size_t)c * (size_t)n,
                          s->vector + (size_t)i * (size_t)n);
        }
    }
}

/* After convergence: eigenvalues, unit vectors, coordinates u_i^H w_c = sigma_i conj(J[c][i]). */
static void finish(beam_spectrum *s)
{
    const int n = 2 * s->dp, m = 2 * s->qp;
    s->rank = 0;
    memset(s->rho, 0, (size_t)s->qp * sizeof *s->rho);
    memset(s->coord, 0, (size_t)(s->rows * m) * sizeof *s->coord);
    for (int i = 0; i < s->rows; i++) {
        double *v = s->vector + (size_t)i * (size_t)n;
        const double rho = beam_row_norm2(n, v);
        if (!(rho > rank_cut * s->rho[0]) || !(rho > 0.0)) {
            break;
        }
        const double sigma = sqrt(rho);
        const double *t = s->turn + (size_t)i * (size_t)m;
        s->rho[i] = rho;
        beam_row_scale(n, 1.0 / sigma, v);
        for (int c = 0; c < s->rows; c++) {
            s->coord[(size_t)c * (size_t)m + (size_t)i] = sigma * t[c];
            s->coord[(size_t)c * (size_t)m + (size_t)(s->qp + i)] = -sigma * t[s->qp + c];
        }
        s->rank++;
    }
}

void beam_spectrum_compute(beam_spectrum *s, int rows, int dp, const double *x, int warm,
                           double tolerance)
{
    double norm[256];
    const int known = s->rows == rows && s->dp == dp;
    s->rows = rows;
    s->dp = dp;
    s->qp = beam_pad4(rows);
    start(s, x, warm && known);
    for (int k = 0; k < max_sweeps && sweep(s, norm, tolerance) > 0; k++) {
    }
    finish(s);
}

void beam_spectrum_coordinates(const beam_spectrum *s, const double *h, double *g)
{
    memset(g, 0, 2u * (size_t)s->qp * sizeof *g);
    for (int i = 0; i < s->rank; i++) {
        beam_row_dot(s->dp, s->vector + (size_t)i * 2u * (size_t)s->dp, h, g + i, g + s->qp + i);
    }
}

void beam_spectrum_lift(const beam_spectrum *s, const double *c, double *y)
{
    for (int i = 0; i < s->rank; i++) {
        beam_row_axpy(s->dp, c[i], c[s->qp + i], s->vector + (size_t)i * 2u * (size_t)s->dp, y);
    }
}
