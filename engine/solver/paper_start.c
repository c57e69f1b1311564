/* Starts of mode paper, and the Hermitian eigenproblem that raw Q needs when it is written. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/paper_internal.h"

static const double start_power = 0.9;   /* of each budget: strictly inside */
static const double repair_power = 0.01; /* share given to sensing columns that a start lacks */

static unsigned long long next_bits(unsigned long long *state)
{
    unsigned long long z = (*state += 0x9e3779b97f4a7c15ull); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static double uniform(unsigned long long *state)
{
    return ((double)(next_bits(state) >> 11) + 0.5) * 0x1p-53;
}

static void random_row(const beam_problem *p, unsigned long long *state, double *row)
{
    memset(row, 0, (size_t)p->stride * sizeof *row);
    for (int i = 0; i < p->D; i++) {
        const double size = sqrt(-2.0 * log(uniform(state)));
        const double angle = 6.283185307179586 * uniform(state);
        row[i] = size * cos(angle);
        row[p->Dp + i] = size * sin(angle);
    }
}

static void scale_to(double *rows, int n, double power)
{
    const double have = beam_row_norm2(n, rows);
    if (have > 0.0) {
        beam_row_scale(n, sqrt(power / have), rows);
    }
}

static void random_rows(beam_paper *self, unsigned long long seed)
{
    const beam_problem *p = &self->problem;
    for (int l = 0; l < p->L; l++) {
        double *rows = self->rows + (ptrdiff_t)p->first[l] * p->stride;
        const int count = p->first[l + 1] - p->first[l];
        for (int i = 0; i < count; i++) {
            random_row(p, &seed, rows + (ptrdiff_t)i * p->stride);
        }
        scale_to(rows, count * p->stride, start_power);
    }
}

/* The given design inside the budget. Where it locates no target at all, descent on the CRLB has no
 * slope to follow: then its empty sensing columns are drawn at random with 1 % of the power. */
static void given_rows(beam_paper *self, unsigned long long seed, const beam_design *start)
{
    const beam_problem *p = &self->problem;
    beam_problem_import(p, start, self->rows);
    beam_paper_from_rows(self, self->rows, self->x);
    const bool dark =
        self->counts[1] && !isfinite(beam_paper_sensing_value(&self->sensing, &self->problem,
                                                              &self->space, self->x, NULL));
    for (int l = 0; l < p->L; l++) {
        double *rows = self->rows + (ptrdiff_t)p->first[l] * p->stride;
        double *sensing = rows + (ptrdiff_t)p->K[l] * p->stride;
        const int n = (p->first[l + 1] - p->first[l]) * p->stride, m = p->r * p->stride;
        const double power = fmin(beam_row_norm2(n, rows), 1.0);
        scale_to(rows, n, power);
        if (dark && beam_row_norm2(m, sensing) == 0.0) {
            beam_row_scale(n, sqrt(1.0 - repair_power), rows);
            for (int i = 0; i < p->r; i++) {
                random_row(p, &seed, sensing + (ptrdiff_t)i * p->stride);
            }
            scale_to(sensing, m, repair_power * fmax(power, repair_power));
        }
    }
}

/* Raw Q, random: a full-rank Wishart matrix with the power that the columns had. */
static void random_raw(beam_paper *self, unsigned long long seed)
{
    const beam_problem *p = &self->problem;
    const beam_paper_space *s = &self->space;
    double *row = self->scratch;
    for (int l = 0; l < p->L; l++) {
        const double *b = self->rows + (ptrdiff_t)(p->first[l] + p->K[l]) * p->stride;
        double *q = self->x + (ptrdiff_t)(s->first[l] + p->K[l]) * p->stride;
        const double power = beam_row_norm2(p->r * p->stride, b);
        double trace = 0.0;
        memset(q, 0, (size_t)p->D * (size_t)p->stride * sizeof *q);
        for (int k = 0; k < 2 * p->D; k++) {
            random_row(p, &seed, row);
            trace += beam_row_norm2(p->stride, row);
            for (int j = 0; j < p->D; j++) {
                beam_row_axpy(p->Dp, row[j], -row[p->Dp + j], row, q + (ptrdiff_t)j * p->stride);
            }
        }
        beam_row_scale(p->D * p->stride, power / trace, q);
    }
}

void beam_paper_start(beam_paper *self, unsigned long long seed, const beam_design *start)
{
    memset(self->x, 0, (size_t)self->space.n * sizeof *self->x);
    if (start) {
        given_rows(self, seed, start);
    } else {
        random_rows(self, seed);
    }
    beam_paper_from_rows(self, self->rows, self->x);
    if (!start && !self->space.psd) {
        random_raw(self, seed + 1);
    }
}

/* Rotation in the (i, j) plane that removes A_ij = |A_ij| e^{i phi}. */
static void rotate(int n, beam_complex *A, beam_complex *V, int i, int j)
{
    const beam_complex a = A[(ptrdiff_t)i * n + j];
    const double size = hypot(a.re, a.im);
    const double theta = 0.5 * (A[(ptrdiff_t)j * n + j].re - A[(ptrdiff_t)i * n + i].re) / size;
    const double t = (theta >= 0.0 ? 1.0 : -1.0) / (fabs(theta) + sqrt(theta * theta + 1.0));
    const double c = 1.0 / sqrt(t * t + 1.0), s = c * t, pr = a.re / size, pi = a.im / size;
    /* columns: (x_i, x_j) <- (c x_i - s conj(e) x_j, s e x_i + c x_j), e = e^{i phi}; rows the
     * conjugate */
    for (int half = 0; half < 3; half++) {
        for (int k = 0; k < n; k++) {
            beam_complex *m = half == 2 ? V : A;
            beam_complex *x = half == 1 ? &m[(ptrdiff_t)i * n + k] : &m[(ptrdiff_t)k * n + i];
            beam_complex *y = half == 1 ? &m[(ptrdiff_t)j * n + k] : &m[(ptrdiff_t)k * n + j];
            const double ei = half == 1 ? -pi : pi;
            const beam_complex u = *x, v = *y;
            *x = (beam_complex){c * u.re - s * (pr * v.re + ei * v.im),
                                c * u.im - s * (pr * v.im - ei * v.re)};
            *y = (beam_complex){s * (pr * u.re - ei * u.im) + c * v.re,
                                s * (pr * u.im + ei * u.re) + c * v.im};
        }
    }
}

void beam_paper_eigen(int n, beam_complex *A, beam_complex *V)
{
    for (int i = 0; i < n * n; i++) {
        V[i] = (beam_complex){i % (n + 1) == 0 ? 1.0 : 0.0, 0.0};
    }
    for (int sweep = 0; sweep < 60; sweep++) {
        double off = 0.0, all = 0.0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                const beam_complex a = A[(ptrdiff_t)i * n + j];
                const double size = a.re * a.re + a.im * a.im;
                all += size;
                off += i == j ? 0.0 : size;
            }
        }
        if (!(off > 1e-30 * all)) {
            return;
        }
        for (int i = 0; i < n; i++) {
            for (int j = i + 1; j < n; j++) {
                const beam_complex a = A[(ptrdiff_t)i * n + j];
                if (a.re * a.re + a.im * a.im > 1e-34 * all) {
                    rotate(n, A, V, i, j);
                }
            }
        }
    }
}
