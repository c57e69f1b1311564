/* One problem on its way in: scaling, the subspace of MATH 4 in float32 (a basis too large is
 * harmless; exact numbers come from the full space), and robust regularised zero-forcing in float64
 * on it. */
#ifndef BEAM_GPU_LOAD_CUH
#define BEAM_GPU_LOAD_CUH

#include "plan.cuh"

/* What is left of a normalised column beside the others counts as their rounding below. */
#define BEAM_GPU_DEPENDENT 2e-6f
/* Radii below count as exact knowledge (engine: least_radius; the smallest normal float). */
#define BEAM_GPU_LEAST_RADIUS 1e-36

BEAM_HD void beam_gpu_load_radii(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *order = BEAM_CLUSTER(p, int, order);
    const double *scale = BEAM_CLUSTER(p, double, scale);
    const double *radius = (const double *)(const void *)(p->request + p->plan->request.radius);
    double *to = BEAM_WORK(p, double, radius);
    BEAM_EACH(t, k, s->L * s->U)
    {
        const double eps = radius[k / s->U * s->U + order[k % s->U]] * scale[k];
        to[k] = eps < BEAM_GPU_LEAST_RADIUS ? 0 : eps;
    }
}

/* Entry n of vector q of station l at the antennas: channels, a and D a at norm 1 or about, sensing
 * rows. */
BEAM_HD beam_c32 beam_gpu_full_vector(const beam_gpu_problem *p, int l, int q, int n)
{
    const beam_gpu_sizes *s = &p->plan->s;
    beam_c32 out;
    if (q < s->U) {
        const float scale = (float)BEAM_CLUSTER(p, double, scale)[l * s->U + q];
        out = beam_gpu_channel(p, l, q)[n];
        out.re *= scale;
        out.im *= scale;
    } else {
        const int fixed = 2 * s->J + s->r;
        out = BEAM_CLUSTER(p, beam_c32, fixed)[(l * fixed + q - s->U) * s->N + n];
    }
    return out;
}

/* Row c of every station's basis over its length; zero when it is not longer than `least`. */
BEAM_HD void beam_gpu_normalise(const beam_team *t, const beam_gpu_problem *p, int c, float least)
{
    const beam_gpu_sizes *s = &p->plan->s;
    BEAM_EACH(t, l, s->L)
    {
        beam_c32 *row = BEAM_WORK(p, beam_c32, basis) + (l * s->D + c) * s->N;
        float norm2 = 0;
        for (int n = 0; n < s->N; n++) {
            norm2 += row[n].re * row[n].re + row[n].im * row[n].im;
        }
        const float norm = sqrtf(norm2), one = norm > least ? 1 / norm : 0;
        for (int n = 0; n < s->N; n++) {
            row[n].re *= one;
            row[n].im *= one;
        }
    }
    beam_team_sync(t);
}

/* Takes the rows before c out of row c, all stations at once. */
BEAM_HD void beam_gpu_orthogonalise(const beam_team *t, const beam_gpu_problem *p, int c)
{
    const beam_gpu_sizes *s = &p->plan->s;
    beam_c32 *basis = BEAM_WORK(p, beam_c32, basis), *share = BEAM_WORK(p, beam_c32, share);
    BEAM_EACH(t, k, s->L * c)
    {
        const int l = k / c, i = k % c;
        const beam_c32 *b = basis + (l * s->D + i) * s->N, *v = basis + (l * s->D + c) * s->N;
        beam_c32 sum = {0, 0};
        for (int n = 0; n < s->N; n++) {
            sum.re += b[n].re * v[n].re + b[n].im * v[n].im;
            sum.im += b[n].re * v[n].im - b[n].im * v[n].re;
        }
        share[l * s->D + i] = sum;
    }
    beam_team_sync(t);
    BEAM_EACH(t, k, s->L * s->N)
    {
        const int l = k / s->N, n = k % s->N;
        beam_c32 *v = basis + (l * s->D + c) * s->N + n;
        for (int i = 0; i < c; i++) {
            const beam_c32 b = basis[(l * s->D + i) * s->N + n], x = share[l * s->D + i];
            v->re -= b.re * x.re - b.im * x.im;
            v->im -= b.re * x.im + b.im * x.re;
        }
    }
    beam_team_sync(t);
}

/* Columns in the engine's order, a, D a of the targets, then channels; classical Gram-Schmidt three
 * times on columns of length 1. A dependent column leaves a zero row. */
BEAM_HD void beam_gpu_basis(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    beam_c32 *basis = BEAM_WORK(p, beam_c32, basis);
    for (int c = 0; c < s->D; c++) {
        const int q = c < 2 * s->J ? s->U + c : c - 2 * s->J;
        BEAM_EACH(t, k, s->L * s->N)
        {
            const int l = k / s->N, n = k % s->N;
            basis[(l * s->D + c) * s->N + n] = beam_gpu_full_vector(p, l, q, n);
        }
        beam_team_sync(t);
        beam_gpu_normalise(t, p, c, 0);
        for (int pass = 0; pass < 3; pass++) {
            beam_gpu_orthogonalise(t, p, c);
            beam_gpu_normalise(t, p, c, pass == 0 ? BEAM_GPU_DEPENDENT : 0.5f);
        }
    }
}

/* Coordinates of entry d of a full-space vector given entry by entry. */
BEAM_HD void beam_gpu_vectors(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const beam_c32 *basis = BEAM_WORK(p, beam_c32, basis);
    beam_c32 *to = BEAM_WORK(p, beam_c32, vectors);
    BEAM_EACH(t, k, s->L * s->Q * s->D)
    {
        const int d = k % s->D, q = k / s->D % s->Q, l = k / s->D / s->Q;
        beam_c32 sum = {0, 0};
        if (s->D == s->N) {
            sum = beam_gpu_full_vector(p, l, q, d);
        }
        for (int n = 0; s->D < s->N && n < s->N; n++) {
            const beam_c32 b = basis[(l * s->D + d) * s->N + n],
                           x = beam_gpu_full_vector(p, l, q, n);
            sum.re += b.re * x.re + b.im * x.im;
            sum.im += b.re * x.im - b.im * x.re;
        }
        to[k] = sum;
    }
    beam_team_sync(t);
}

/* Everything of a problem in the subspace. */
BEAM_HD void beam_gpu_reduce(const beam_team *t, const beam_gpu_problem *p)
{
    beam_gpu_load_radii(t, p);
    if (p->plan->s.D < p->plan->s.N) {
        beam_gpu_basis(t, p);
    }
    beam_gpu_vectors(t, p);
}

/* --- Robust regularised zero-forcing (engine/solver/classical.c) --------------------------------
 */

/* Gram matrices of the weighted channels of the stations whose `bad` is set, with their ridge. */
BEAM_HD void beam_gpu_rzf_gram(const beam_team *t, const beam_gpu_problem *p, double boost)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *K = BEAM_CLUSTER(p, int, K), *bad = BEAM_WORK(p, int, bad);
    const double *radius = BEAM_WORK(p, double, radius),
                 *weight = BEAM_CLUSTER(p, double, rzf_weight);
    const beam_c32 *vectors = BEAM_WORK(p, beam_c32, vectors);
    beam_c64 *gram = BEAM_WORK(p, beam_c64, gram);
    BEAM_EACH(t, k, s->L * s->U * s->U)
    {
        const int l = k / (s->U * s->U), i = k / s->U % s->U, j = k % s->U;
        const beam_c32 *a = vectors + (l * s->Q + i) * s->D, *b = vectors + (l * s->Q + j) * s->D;
        beam_c64 sum = {0, 0};
        if (!bad[l] || j > i) {
            continue;
        }
        for (int d = 0; d < s->D; d++) {
            const double ar = (double)a[d].re, ai = (double)a[d].im, br = (double)b[d].re,
                         bi = (double)b[d].im;
            sum.re += ar * br + ai * bi;
            sum.im += ar * bi - ai * br;
        }
        const double w = sqrt(weight[i] * weight[j]);
        sum.re *= w;
        sum.im *= w;
        if (i == j) {
            double ridge = K[l];
            for (int u = 0; u < s->U; u++) {
                const double eps = radius[l * s->U + u];
                ridge += weight[u] * eps * eps / s->D;
            }
            sum.re = sum.re > 0 ? sum.re + ridge * boost : 1;
            sum.im = 0;
        }
        gram[k] = sum;
    }
    beam_team_sync(t);
}

/* Lower Cholesky factors in place, all stations at once; a pivot that is not positive leaves `bad`
 * set. */
BEAM_HD void beam_gpu_rzf_factor(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int U = s->U;
    int *bad = BEAM_WORK(p, int, bad);
    beam_c64 *gram = BEAM_WORK(p, beam_c64, gram);
    for (int c = 0; c < U; c++) {
        BEAM_EACH(t, k, s->L * (U - c)) /* row c first: its own pivot */
        {
            const int l = k / (U - c), i = c + k % (U - c);
            beam_c64 *a = gram + l * U * U, sum = a[i * U + c];
            for (int q = 0; bad[l] && q < c; q++) {
                const beam_c64 x = a[i * U + q], y = a[c * U + q];
                sum.re -= x.re * y.re + x.im * y.im;
                sum.im -= x.im * y.re - x.re * y.im;
            }
            if (bad[l]) {
                a[i * U + c] = sum;
            }
        }
        beam_team_sync(t);
        BEAM_EACH(t, k, s->L * (U - c - 1))
        {
            const int l = k / (U - c - 1), i = c + 1 + k % (U - c - 1);
            beam_c64 *a = gram + l * U * U;
            if (bad[l]) { /* the pivot itself is replaced by its root below */
                const double one = 1 / sqrt(a[c * U + c].re);
                a[i * U + c].re *= one;
                a[i * U + c].im *= one;
            }
        }
        beam_team_sync(t);
        BEAM_EACH(t, l, s->L)
        {
            beam_c64 *pivot = gram + (l * U + c) * U + c;
            if (bad[l]) {
                bad[l] = pivot->re > 0 && bad[l] == 1 ? 1 : 2;
                pivot->re = pivot->re > 0 ? sqrt(pivot->re) : 1;
                pivot->im = 0;
            }
        }
        beam_team_sync(t);
    }
    BEAM_EACH(t, l, s->L)
    {
        bad[l] = bad[l] == 2;
    }
}

/* The inverse's column of every user at its own station, times the channels. */
BEAM_HD void beam_gpu_rzf_beams(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int U = s->U, *own = BEAM_CLUSTER(p, int, own);
    const double *weight = BEAM_CLUSTER(p, double, rzf_weight);
    const beam_c32 *vectors = BEAM_WORK(p, beam_c32, vectors);
    beam_c32 *unit = BEAM_WORK(p, beam_c32, unit);
    beam_c64 *column = BEAM_WORK(p, beam_c64, column);
    BEAM_EACH(t, u, U)
    {
        const beam_c64 *a = BEAM_WORK(p, beam_c64, gram) + own[u] * U * U;
        beam_c64 *y = column + u * U;
        for (int i = 0; i < U; i++) {
            beam_c64 sum = {(double)(i == u), 0};
            for (int q = u; q < i; q++) {
                const beam_c64 x = a[i * U + q];
                sum.re -= x.re * y[q].re - x.im * y[q].im;
                sum.im -= x.re * y[q].im + x.im * y[q].re;
            }
            y[i].re = sum.re / a[i * U + i].re;
            y[i].im = sum.im / a[i * U + i].re;
        }
        for (int i = U - 1; i >= 0; i--) {
            beam_c64 sum = y[i];
            for (int q = i + 1; q < U; q++) {
                const beam_c64 x = a[q * U + i];
                sum.re -= x.re * y[q].re + x.im * y[q].im;
                sum.im -= x.re * y[q].im - x.im * y[q].re;
            }
            y[i].re = sum.re / a[i * U + i].re;
            y[i].im = sum.im / a[i * U + i].re;
        }
        for (int i = 0; i < U; i++) {
            const double w = sqrt(weight[i]);
            y[i].re *= w;
            y[i].im *= w;
        }
    }
    beam_team_sync(t);
    BEAM_EACH(t, k, U * s->D)
    {
        const int u = k / s->D, d = k % s->D;
        const beam_c32 *h = vectors + own[u] * s->Q * s->D + d;
        beam_c64 sum = {0, 0};
        for (int i = 0; i < U; i++) {
            const beam_c64 c = column[u * U + i];
            const double hr = (double)h[i * s->D].re, hi = (double)h[i * s->D].im;
            sum.re += c.re * hr - c.im * hi;
            sum.im += c.re * hi + c.im * hr;
        }
        unit[k].re = (float)sum.re;
        unit[k].im = (float)sum.im;
    }
    beam_team_sync(t);
}

BEAM_HD double beam_gpu_unit_norm2(const beam_gpu_problem *p, int u)
{
    const int D = p->plan->s.D;
    const beam_c32 *v = BEAM_WORK(p, beam_c32, unit) + u * D;
    double sum = 0;
    for (int d = 0; d < D; d++) {
        sum += (double)v[d].re * (double)v[d].re + (double)v[d].im * (double)v[d].im;
    }
    return sum;
}

/* work.unit: RZF beams, equal powers, together 1 per station with users that are heard. */
BEAM_HD void beam_gpu_rzf(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *own = BEAM_CLUSTER(p, int, own), *first = BEAM_CLUSTER(p, int, user_first);
    beam_c32 *unit = BEAM_WORK(p, beam_c32, unit);
    double *norm2 = BEAM_WORK(p, double, column), boost = 1;
    int *bad = BEAM_WORK(p, int, bad), again = s->U > 0;
    BEAM_EACH(t, l, s->L)
    {
        bad[l] = 1;
    }
    beam_team_sync(t);
    while (again) { /* a ridge that drowns in the rounding of strong dependent channels grows */
        beam_gpu_rzf_gram(t, p, boost);
        beam_gpu_rzf_factor(t, p);
        beam_team_sync(t);
        int left = 0;
        for (int l = 0; l < s->L; l++) {
            left += bad[l];
        }
        again = left > 0 && boost < 1e30;
        boost *= 10;
    }
    if (s->U == 0) {
        return;
    }
    beam_gpu_rzf_beams(t, p);
    BEAM_EACH(t, u, s->U)
    {
        norm2[u] = beam_gpu_unit_norm2(p, u);
    }
    beam_team_sync(t);
    BEAM_EACH(t, k, s->U * s->D)
    {
        const int u = k / s->D, l = own[u];
        int used = 0;
        for (int i = first[l]; i < first[l + 1]; i++) {
            used += norm2[i] > 0;
        }
        const float fit = norm2[u] > 0 ? (float)(1 / sqrt(norm2[u] * used)) : 0;
        unit[k].re *= fit;
        unit[k].im *= fit;
    }
    beam_team_sync(t);
}

#endif
