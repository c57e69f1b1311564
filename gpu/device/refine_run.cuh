/* A refinement from the rows at hand: encode, stages of falling smoothing, decode. For either
 * precision: float32 from and to work.w, rows of the subspace; float64 (tests) from and to
 * work.candidate, rows at the antennas. */

BEAM_HD BEAM_CPLX BG(start_entry)(const beam_gpu_refiner *r, int l, int k)
{
#if BEAM_GPU_BITS == 64
    const double one = 1 / BEAM_CLUSTER(&r->search, double, root_power)[l];
    const beam_c32 from = BEAM_WORK(&r->search, beam_c32, candidate)[k];
    const beam_c64 x = {one * (double)from.re, one * (double)from.im};
    return x;
#else
    (void)l;
    return BEAM_WORK(&r->search, beam_c32, w)[k];
#endif
}

/* y of the rows: points near full power begin near full power. Radii in this precision. */
BEAM_HD void BG(refine_encode)(const beam_team *t, const beam_gpu_refiner *r)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int dim = r->plan->dim, slack = 2 * s->rows * dim;
    const double *radius = BEAM_WORK(p, double, radius);
    BEAM_REAL *y = BEAM_REFINE(r, BEAM_REAL, y), *row_sum = BEAM_REFINE(r, BEAM_REAL, row_sum);
    BEAM_EACH(t, row, s->rows)
    {
        const int l = beam_gpu_row_station(p, row);
        row_sum[row] = 0;
        for (int d = 0; d < dim; d++) {
            const BEAM_CPLX x = BG(start_entry)(r, l, row * dim + d);
            y[2 * (row * dim + d)] = x.re;
            y[2 * (row * dim + d) + 1] = x.im;
            row_sum[row] += BG(norm2)(x);
        }
    }
    BEAM_EACH(t, k, s->L * s->U)
    {
        const int l = beam_gpu_over(k, s->by_U);
        BEAM_REAL norm2 = 0, one;
        const beam_c32 *h = BG(measured_channel)(p, l, k - l * s->U, &one);
        for (int d = 0; d < dim; d++) {
            norm2 +=
                (BEAM_REAL)h[d].re * (BEAM_REAL)h[d].re + (BEAM_REAL)h[d].im * (BEAM_REAL)h[d].im;
        }
        const BEAM_REAL eps = (BEAM_REAL)radius[k],
                        least = BEAM_REFINE_EXACT * one * BEAM_SQRT(norm2);
        BEAM_REFINE(r, BEAM_REAL, eps)[k] = eps > least ? eps : 0;
        BEAM_REFINE(r, BEAM_REAL, shift)[k] = 0;
    }
    BEAM_EACH(t, u, s->U)
    {
        BEAM_REFINE(r, double, multiplier)[u] = 0;
        BEAM_REFINE_USER(r, ETA)[u] = BEAM_REFINE_USER(r, LAMBDA)[u] = 0;
    }
    beam_team_sync(t);
    BEAM_EACH(t, l, s->L)
    {
        const BEAM_REAL rest = 1 - BG(station_sum)(r, l), least = (BEAM_REAL)0.01;
        y[slack + l] = rest > least * least ? BEAM_SQRT(rest) : least;
    }
    beam_team_sync(t);
}

/* The rows of the best y into work.w or work.candidate. */
BEAM_HD void BG(refine_decode)(const beam_team *t, const beam_gpu_refiner *r)
{
    const beam_gpu_problem *p = &r->search;
    const int dim = r->plan->dim;
    BG(decode)(t, r, BEAM_REFINE(r, BEAM_REAL, y));
    BEAM_EACH(t, k, p->plan->s.rows * dim)
    {
        const BEAM_CPLX x = BEAM_REFINE(r, BEAM_CPLX, x)[k];
#if BEAM_GPU_BITS == 64
        const int l = beam_gpu_row_station(p, beam_gpu_over(k, r->plan->by_dim));
        const double root = BEAM_CLUSTER(p, double, root_power)[l];
        const beam_c32 to = {(float)(root * x.re), (float)(root * x.im)};
        BEAM_WORK(p, beam_c32, candidate)[k] = to;
#else
        BEAM_WORK(p, beam_c32, w)[k] = x;
#endif
    }
    beam_team_sync(t);
}

/* At most so many iterations; the point found replaces the rows. */
BEAM_HD beam_gpu_refined BG(refine)(const beam_team *t, const beam_gpu_refiner *r, int iterations,
                                    double tolerance)
{
    beam_gpu_objective f = beam_gpu_objective_of(&r->search);
    BG(newton) q;
    BG(refine_encode)(t, r);
    BG(newton_start)(&q, r);
    int end = BEAM_GPU_REFINE_CONVERGED, most = 0;
    const double least = BEAM_REFINE_LEAST_TOLERANCE;
    for (int k = 0; end != BEAM_GPU_REFINE_NUMERIC && q.iterations < iterations; k++) {
        if (!beam_gpu_refine_stage(&f, iterations, k, &most)) {
            break;
        }
        f.warm = 0;
        end = BG(minimise)(t, r, &f, &q, most, tolerance > least ? tolerance : least, k == 0);
        BG(refine_update)(t, r, &f);
    }
    BG(refine_decode)(t, r);
    const beam_gpu_refined out = {q.iterations, q.evaluations, end};
    return out;
}
