/* Where the variables of mode paper lie, and the power constraint p_l on them. */
#include <math.h>

#include "model/row.h"
#include "solver/paper_internal.h"

void beam_paper_space_carve(beam_paper_space *s, beam_arena *arena, const beam_problem *p,
                            unsigned repairs)
{
    const int N = p->N, stride = 2 * beam_pad4(N);
    s->p = p;
    s->psd = (repairs & BEAM_REPAIR_PSD) != 0;
    s->sensing = s->psd ? p->r : N;
    s->cols_max = p->U + s->sensing; /* an upper bound until the scene says who serves whom */
    s->gamma = (p->U + p->L * s->sensing) * stride;
    s->delta = p->L * p->U * stride;
    s->n = s->gamma + s->delta;
    s->unit = BEAM_TAKE(arena, double, p->L * p->U);
    s->radius = BEAM_TAKE(arena, double, p->L * p->U);
}

void beam_paper_space_load(beam_paper_space *s, unsigned repairs)
{
    const beam_problem *p = s->p;
    int row = 0;
    for (int l = 0; l < p->L; l++) {
        s->first[l] = row;
        row += p->K[l] + s->sensing;
    }
    s->first[p->L] = row;
    for (int i = 0; i < p->L * p->U; i++) {
        const bool units = (repairs & BEAM_REPAIR_UNITS) != 0;
        s->unit[i] = p->eps[i] > 0.0 ? (units ? p->eps[i] : 1.0) : 0.0;
        s->radius[i] = units && p->eps[i] > 0.0 ? 1.0 : p->eps[i];
    }
}

/* Rows of station l whose power is their squared norm: all of them, or the beams alone. */
static int square_rows(const beam_paper_space *s, int l)
{
    return s->psd ? s->first[l + 1] - s->first[l] : s->p->K[l];
}

double beam_paper_power(const beam_paper_space *s, const double *gamma, int l)
{
    const double *rows = gamma + (ptrdiff_t)s->first[l] * s->p->stride;
    double power = beam_row_norm2(square_rows(s, l) * s->p->stride, rows);
    if (!s->psd) {
        const double *q = rows + (ptrdiff_t)s->p->K[l] * s->p->stride;
        for (int i = 0; i < s->p->D; i++) {
            power += q[(ptrdiff_t)i * s->p->stride + i];
        }
    }
    return power;
}

void beam_paper_power_add(const beam_paper_space *s, const double *gamma, int l, double scale,
                          double *to)
{
    const ptrdiff_t at = (ptrdiff_t)s->first[l] * s->p->stride;
    beam_row_add(square_rows(s, l) * s->p->stride, 2.0 * scale, gamma + at, to + at);
    if (!s->psd) {
        double *q = to + at + (ptrdiff_t)s->p->K[l] * s->p->stride;
        for (int i = 0; i < s->p->D; i++) {
            q[(ptrdiff_t)i * s->p->stride + i] += scale;
        }
    }
}

double beam_paper_power_dot(const beam_paper_space *s, const double *gamma, int l,
                            const double *vector)
{
    const ptrdiff_t at = (ptrdiff_t)s->first[l] * s->p->stride;
    double sum = 2.0 * beam_row_inner(square_rows(s, l) * s->p->stride, gamma + at, vector + at);
    if (!s->psd) {
        const double *q = vector + at + (ptrdiff_t)s->p->K[l] * s->p->stride;
        for (int i = 0; i < s->p->D; i++) {
            sum += q[(ptrdiff_t)i * s->p->stride + i];
        }
    }
    return sum;
}

double beam_paper_power_norm2(const beam_paper_space *s, const double *gamma, int l)
{
    const double *rows = gamma + (ptrdiff_t)s->first[l] * s->p->stride;
    const double beams = 4.0 * beam_row_norm2(square_rows(s, l) * s->p->stride, rows);
    return s->psd ? beams : beams + s->p->D;
}

void beam_paper_scale_power(const beam_paper_space *s, double *gamma, int l, double power)
{
    double *rows = gamma + (ptrdiff_t)s->first[l] * s->p->stride;
    beam_row_scale(square_rows(s, l) * s->p->stride, 1.0 / sqrt(power), rows);
    if (!s->psd) {
        beam_row_scale(s->sensing * s->p->stride, 1.0 / power,
                       rows + (ptrdiff_t)s->p->K[l] * s->p->stride);
    }
}
