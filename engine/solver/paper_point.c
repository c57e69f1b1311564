/* Losses F = (F_1, F_2) of mode paper at a point, their gradients, and conversions between x and
 * the problem's rows. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/paper_internal.h"

static bool has(const beam_paper *self, beam_repair repair)
{
    return (self->options.repairs & (unsigned)repair) != 0;
}

static void fill_loss(const beam_paper *self, beam_paper_loss *loss)
{
    if (has(self, BEAM_REPAIR_UNITS)) {
        loss->f[0] = self->counts[0] ? beam_loss_rate(&self->ideal, loss->wsr) : 0.0;
        loss->f[1] = self->counts[1]
                         ? beam_loss_sensing(&self->ideal, isfinite(loss->crlb), loss->crlb)
                         : 0.0;
        loss->q[0] = loss->f[0]; /* the ideal point is the origin */
        loss->q[1] = loss->f[1];
    } else {
        loss->f[0] = self->counts[0] ? -loss->wsr : 0.0;
        loss->f[1] = self->counts[1] ? loss->crlb : 0.0;
        loss->q[0] = self->counts[0] ? self->ideal.wsr_ideal_bps_hz - loss->wsr : 0.0;
        loss->q[1] = self->counts[1] ? loss->crlb - self->ideal.crlb_min_m2 : 0.0;
    }
}

beam_paper_loss beam_paper_loss_at(beam_paper *self, const double *x)
{
    beam_paper_loss loss;
    loss.wsr = beam_paper_rate_value(&self->rate, &self->space, x, x + self->space.gamma);
    loss.crlb = beam_paper_sensing_value(&self->sensing, &self->problem, &self->space, x, NULL);
    fill_loss(self, &loss);
    return loss;
}

beam_paper_loss beam_paper_gradients(beam_paper *self)
{
    const beam_paper_space *s = &self->space;
    beam_paper_loss loss;
    loss.wsr = beam_paper_rate_value(&self->rate, s, self->x, self->x + s->gamma);
    beam_paper_rate_gradient(&self->rate, s, self->x, self->gradient[0],
                             self->gradient[0] + s->gamma);
    loss.crlb =
        beam_paper_sensing_value(&self->sensing, &self->problem, s, self->x, self->gradient[1]);
    fill_loss(self, &loss);
    const bool units = has(self, BEAM_REPAIR_UNITS);
    const double rate = units ? -2.0 / self->ideal.wsr_ideal_bps_hz : -1.0;
    const double sensing = units ? 1.0 / (loss.crlb * log(4.0)) : 1.0;
    beam_row_scale(s->n, self->counts[0] ? rate : 0.0, self->gradient[0]);
    beam_row_scale(s->gamma, self->counts[1] && isfinite(loss.crlb) ? sensing : 0.0,
                   self->gradient[1]);
    return loss;
}

static beam_complex *matrix_row(beam_complex *m, int n, int i)
{
    return m + (ptrdiff_t)i * n;
}

/* hermitian <- Q_l (row-major entries), from columns. */
static void load_matrix(const beam_paper *self, const double *q, beam_complex *m)
{
    const beam_problem *p = &self->problem;
    for (int j = 0; j < p->D; j++) {
        for (int i = 0; i < p->D; i++) {
            const double *column = q + (ptrdiff_t)j * p->stride;
            matrix_row(m, p->D, i)[j] = (beam_complex){column[i], column[p->Dp + i]};
        }
    }
}

bool beam_paper_indefinite(beam_paper *self, const double *gamma)
{
    const beam_paper_space *s = &self->space;
    const int n = self->problem.D;
    if (s->psd) {
        return false;
    }
    for (int l = 0; l < self->problem.L; l++) {
        beam_complex *m = (beam_complex *)self->hermitian;
        load_matrix(
            self, gamma + (ptrdiff_t)(s->first[l] + self->problem.K[l]) * self->problem.stride, m);
        double trace = 0.0;
        for (int i = 0; i < n; i++) {
            trace += fabs(m[(ptrdiff_t)i * n + i].re);
        }
        /* Cholesky of Q + 1e-9 tr Q I fails exactly when an eigenvalue is below -1e-9 tr Q. */
        for (int j = 0; j < n; j++) {
            beam_complex *cj = matrix_row(m, n, j);
            double pivot = cj[j].re + 1e-9 * trace;
            for (int k = 0; k < j; k++) {
                pivot -= cj[k].re * cj[k].re + cj[k].im * cj[k].im;
            }
            if (!(pivot >= 0.0)) {
                return true;
            }
            pivot = sqrt(fmax(pivot, 1e-300));
            for (int i = j + 1; i < n; i++) {
                beam_complex *ci = matrix_row(m, n, i);
                double re = ci[j].re, im = ci[j].im;
                for (int k = 0; k < j; k++) { /* minus c_ik conj(c_jk) */
                    re -= ci[k].re * cj[k].re + ci[k].im * cj[k].im;
                    im -= ci[k].im * cj[k].re - ci[k].re * cj[k].im;
                }
                ci[j] = (beam_complex){re / pivot, im / pivot};
            }
        }
    }
    return false;
}

/* The Hermitian matrix times a row vector: y = M t. */
static void matrix_times(const beam_problem *p, const beam_complex *m, const double *t, double *y)
{
    memset(y, 0, (size_t)p->stride * sizeof *y);
    for (int i = 0; i < p->D; i++) {
        for (int j = 0; j < p->D; j++) {
            const beam_complex e = m[(ptrdiff_t)i * p->D + j];
            y[i] += e.re * t[j] - e.im * t[p->Dp + j];
            y[p->Dp + i] += e.re * t[p->Dp + j] + e.im * t[j];
        }
    }
}

/* Orthonormal basis of span{a_l(p_j), D a_l(p_j)}; returns its dimension, at most r. */
static int sensing_basis(const beam_problem *p, int l, double *basis)
{
    int count = 0;
    for (int a = 0; a < 2 * p->J && count < p->r; a++) {
        double *w = basis + (ptrdiff_t)count * p->stride;
        memcpy(w, p->tx + ((ptrdiff_t)l * 2 * p->J + a) * p->stride, (size_t)p->stride * sizeof *w);
        const double before = sqrt(beam_row_norm2(p->stride, w));
        for (int pass = 0; pass < 2; pass++) {
            for (int i = 0; i < count; i++) {
                double re, im;
                const double *b = basis + (ptrdiff_t)i * p->stride;
                beam_row_dot(p->Dp, b, w, &re, &im);
                beam_row_axpy(p->Dp, -re, -im, b, w);
            }
        }
        const double rest = sqrt(beam_row_norm2(p->stride, w));
        if (rest > 1e-12 * before) {
            beam_row_scale(p->stride, 1.0 / rest, w);
            count++;
        }
    }
    return count;
}

/* B = Q W (W^H Q W)^{-1/2}, W an orthonormal basis of the directions that sense: B B^H <= Q with
 * the same sensing Gram matrix, so power and interference do not rise, and r columns suffice. */
static void columns_that_sense(beam_paper *self, int l, const beam_complex *m, double *b)
{
    const beam_problem *p = &self->problem;
    beam_complex gram[4 * BEAM_MAX_TARGETS * BEAM_MAX_TARGETS],
        V[4 * BEAM_MAX_TARGETS * BEAM_MAX_TARGETS];
    double *w = self->scratch,
           *image = self->step; /* r rows each: r <= N, and gamma holds N rows or more */
    const int n = sensing_basis(p, l, w);
    for (int a = 0; a < n; a++) {
        matrix_times(p, m, w + (ptrdiff_t)a * p->stride, image + (ptrdiff_t)a * p->stride);
    }
    for (int a = 0; a < n; a++) {
        for (int c = 0; c < n; c++) {
            beam_complex *e = &gram[a * n + c];
            beam_row_dot(p->Dp, w + (ptrdiff_t)a * p->stride, image + (ptrdiff_t)c * p->stride,
                         &e->re, &e->im);
        }
    }
    beam_paper_eigen(n, gram, V);
    double largest = 0.0;
    for (int a = 0; a < n; a++) {
        largest = fmax(largest, gram[a * n + a].re);
    }
    for (int k = 0; k < p->r; k++, b += p->stride) { /* column k of Q W V diag(mu^{-1/2}) */
        const double mu = k < n ? gram[k * n + k].re : 0.0;
        memset(b, 0, (size_t)p->stride * sizeof *b);
        for (int a = 0; a < n && mu > 1e-12 * largest; a++) {
            beam_row_axpy(p->Dp, V[a * n + k].re / sqrt(mu), V[a * n + k].im / sqrt(mu),
                          image + (ptrdiff_t)a * p->stride, b);
        }
    }
}

/* m <- V diag(lambda+) V^H when some eigenvalue is negative. */
static void project_cone(const beam_problem *p, beam_complex *m, const beam_complex *V,
                         const double *value)
{
    const int n = p->D;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double re = 0.0, im = 0.0;
            for (int k = 0; k < n; k++) {
                const beam_complex a = V[(ptrdiff_t)i * n + k], b = V[(ptrdiff_t)j * n + k];
                const double c = fmax(value[k], 0.0);
                re += c * (a.re * b.re + a.im * b.im);
                im += c * (a.im * b.re - a.re * b.im);
            }
            m[(ptrdiff_t)i * n + j] = (beam_complex){re, im};
        }
    }
}

void beam_paper_to_rows(beam_paper *self, const double *gamma, double *rows)
{
    const beam_problem *p = &self->problem;
    const beam_paper_space *s = &self->space;
    if (s->psd) {
        memcpy(rows, gamma, (size_t)s->gamma * sizeof *rows);
        return;
    }
    const bool indefinite = beam_paper_indefinite(self, gamma);
    beam_complex *m = (beam_complex *)self->hermitian, *V = (beam_complex *)self->vectors;
    for (int l = 0; l < p->L; l++) {
        const double *from = gamma + (ptrdiff_t)s->first[l] * p->stride;
        const ptrdiff_t beams = (ptrdiff_t)p->K[l] * p->stride;
        double *to = rows + (ptrdiff_t)p->first[l] * p->stride;
        memcpy(to, from, (size_t)beams * sizeof *to);
        load_matrix(self, from + beams, m);
        if (indefinite) {
            double value[BEAM_MAX_ANTENNAS];
            beam_paper_eigen(p->D, m, V);
            for (int k = 0; k < p->D; k++) {
                value[k] = m[(ptrdiff_t)k * p->D + k].re;
            }
            project_cone(p, m, V, value);
        }
        columns_that_sense(self, l, m, to + beams);
    }
}

/* Raw Q: a start on the boundary of the cone would leave it at the first step, so 1 % of the
 * sensing power is spread over all directions. */
void beam_paper_from_rows(beam_paper *self, const double *rows, double *gamma)
{
    const beam_problem *p = &self->problem;
    const beam_paper_space *s = &self->space;
    if (s->psd) {
        memcpy(gamma, rows, (size_t)s->gamma * sizeof *rows);
        return;
    }
    const double spread = 0.01;
    memset(gamma, 0, (size_t)s->gamma * sizeof *gamma);
    for (int l = 0; l < p->L; l++) {
        const double *from = rows + (ptrdiff_t)p->first[l] * p->stride;
        double *to = gamma + (ptrdiff_t)s->first[l] * p->stride;
        const ptrdiff_t beams = (ptrdiff_t)p->K[l] * p->stride;
        memcpy(to, from, (size_t)beams * sizeof *to);
        const double power = beam_row_norm2(p->r * p->stride, from + beams);
        for (int j = 0; j < p->D; j++) {
            double *column = to + beams + (ptrdiff_t)j * p->stride;
            for (int k = 0; k < p->r; k++) { /* column j of b b^H: conj(b_j) b */
                const double *b = from + beams + (ptrdiff_t)k * p->stride;
                beam_row_axpy(p->Dp, (1.0 - spread) * b[j], -(1.0 - spread) * b[p->Dp + j], b,
                              column);
            }
            column[j] += spread * power / p->D;
        }
    }
}
