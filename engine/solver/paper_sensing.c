/* CRLB(gamma) and its gradient for both forms of the sensing covariance; the Gram matrices need no
 * factor of Q. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/paper_internal.h"

void beam_paper_sensing_carve(beam_paper_sensing *c, beam_arena *arena, const beam_paper_space *s)
{
    const size_t J2 = 2u * (size_t)s->p->J;
    c->gram = BEAM_TAKE(arena, beam_complex, (size_t)s->p->L * J2 * J2);
    c->weight = BEAM_TAKE(arena, beam_complex, (size_t)s->p->L * J2 * J2);
    c->product = BEAM_TAKE(arena, beam_complex, (size_t)(s->gamma / (2 * beam_pad4(s->p->N))) * J2);
}

static const double *direction_of(const beam_problem *p, int l, int q)
{
    return p->tx + ((ptrdiff_t)l * 2 * p->J + q) * p->stride;
}

static int beam_rows(const beam_paper_space *s, int l)
{
    return s->psd ? s->first[l + 1] - s->first[l] : s->p->K[l];
}

/* S[a][b] += t_a^H w w^H t_b over the rows; raw Q: + t_a^H Q t_b = sum_i (t_a^H q_i) (t_b)_i, q_i
 * column i. */
static void gram_of_station(beam_paper_sensing *c, const beam_paper_space *s, const double *gamma,
                            int l)
{
    const beam_problem *p = s->p;
    const int n = 2 * p->J, beams = beam_rows(s, l);
    beam_complex *S = c->gram + (ptrdiff_t)l * n * n;
    memset(S, 0, (size_t)(n * n) * sizeof *S);
    for (int i = 0; i < s->first[l + 1] - s->first[l]; i++) {
        const double *w = gamma + (ptrdiff_t)(s->first[l] + i) * p->stride;
        beam_complex *z = c->product + (ptrdiff_t)(s->first[l] + i) * n;
        for (int a = 0; a < n; a++) {
            beam_row_dot(p->Dp, direction_of(p, l, a), w, &z[a].re, &z[a].im);
        }
        for (int a = 0; a < n; a++) {
            for (int b = 0; b < n; b++) {
                const double *t = direction_of(p, l, b);
                const int at = i - beams;
                const beam_complex y = i < beams ? (beam_complex){z[b].re, -z[b].im}
                                                 : (beam_complex){t[at], t[p->Dp + at]};
                S[a * n + b].re += z[a].re * y.re - z[a].im * y.im;
                S[a * n + b].im += z[a].re * y.im + z[a].im * y.re;
            }
        }
    }
}

/* dCRLB/dw = 2 G w for rows, dCRLB/dQ = G, G = -sum t_a T[a][b] t_b^H. */
static void gradient_of_station(const beam_paper_sensing *c, const beam_paper_space *s, int l,
                                double *to_gamma)
{
    const beam_problem *p = s->p;
    const int n = 2 * p->J, beams = beam_rows(s, l);
    const beam_complex *T = c->weight + (ptrdiff_t)l * n * n;
    for (int i = 0; i < s->first[l + 1] - s->first[l]; i++) {
        const beam_complex *z = c->product + (ptrdiff_t)(s->first[l] + i) * n;
        double *g = to_gamma + (ptrdiff_t)(s->first[l] + i) * p->stride;
        const double scale = i < beams ? -2.0 : -1.0;
        for (int a = 0; a < n; a++) {
            double re = 0.0, im = 0.0;
            for (int b = 0; b < n; b++) {
                const beam_complex t = T[a * n + b];
                const double *tb = direction_of(p, l, b);
                const int at = i - beams; /* column `at` of t_b^H */
                const beam_complex y = i < beams ? z[b] : (beam_complex){tb[at], -tb[p->Dp + at]};
                re += t.re * y.re - t.im * y.im;
                im += t.re * y.im + t.im * y.re;
            }
            beam_row_axpy(p->Dp, scale * re, scale * im, direction_of(p, l, a), g);
        }
    }
}

double beam_paper_sensing_value(beam_paper_sensing *c, beam_problem *p, const beam_paper_space *s,
                                const double *gamma, double *to_gamma)
{
    for (int l = 0; l < p->L; l++) {
        gram_of_station(c, s, gamma, l);
    }
    const double crlb = beam_crlb_value(&p->crlb, c->gram, to_gamma ? c->weight : NULL, NULL);
    if (to_gamma) {
        memset(to_gamma, 0, (size_t)s->gamma * sizeof *to_gamma);
        for (int l = 0; l < p->L && isfinite(crlb); l++) {
            gradient_of_station(c, s, l, to_gamma);
        }
    }
    return crlb;
}
