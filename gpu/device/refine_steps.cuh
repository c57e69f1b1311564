/* Quasi-Newton steps (engine/solver/{lbfgs,curvature,refine}.c): limited-memory BFGS with a
 * weak-Wolfe line search, preconditioned by the curvature of the rate. For either precision. */

/* --- Preconditioner ----------------------------------------------------------------------------
 */

/* Of user u; 0 where its ratio is the rounding of zero: that has no shape. */
BEAM_HD BEAM_REAL BG(metric_weight)(const beam_gpu_refiner *r, int u)
{
    const BEAM_REAL eta = BEAM_REFINE_USER(r, ETA)[u], den = BEAM_REFINE_USER(r, DEN)[u],
                    weight = (BEAM_REAL)BEAM_CLUSTER(&r->search, double, weight)[u];
    return eta > BEAM_REFINE_LEAST_SERVED ? weight * eta / (den * (1 + eta)) : 0;
}

/* A_l = sum_u alpha_u S_u/(Den_u (S_u + Den_u)) (h h^H + eps^2/D I) + mu_l I at the last evaluated
 * point; returns 0 where the rate has no curvature (nobody is served). Ridge: of the mean
 * eigenvalue here, and of that of all stations. */
BEAM_HD int BG(metric_fill)(const beam_team *t, const beam_gpu_refiner *r)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int dim = r->plan->dim;
    const BEAM_REAL *eps = BEAM_REFINE(r, BEAM_REAL, eps), ridge = (BEAM_REAL)0.01;
    BEAM_CPLX *metric = BEAM_REFINE(r, BEAM_CPLX, metric);
    BEAM_REAL *slack = BEAM_REFINE(r, BEAM_REAL, metric_slack), scale = 0;
    BEAM_EACH(t, k, s->L * dim * dim)
    {
        const int line = beam_gpu_over(k, r->plan->by_dim), j = k - line * dim,
                  l = beam_gpu_over(line, r->plan->by_dim), i = line - l * dim;
        BEAM_CPLX sum = {0, 0};
        for (int u = 0; u < s->U; u++) {
            BEAM_REAL one;
            const beam_c32 *h = BG(measured_channel)(p, l, u, &one);
            const BEAM_CPLX a = {one * (BEAM_REAL)h[i].re, one * (BEAM_REAL)h[i].im},
                            b = {one * (BEAM_REAL)h[j].re, one * (BEAM_REAL)h[j].im};
            const BEAM_REAL w = BG(metric_weight)(r, u);
            if (w > 0) {
                BG(add_conj_mul)(&sum, b, BG(scale)(w, a));
                sum.re += i == j ? w * eps[l * s->U + u] * eps[l * s->U + u] / (BEAM_REAL)s->D : 0;
            }
        }
        metric[k] = sum;
    }
    beam_team_sync(t);
    BEAM_EACH(t, l, s->L)
    {
        slack[l] = 0;
        for (int i = 0; i < dim; i++) { /* the mean eigenvalue */
            slack[l] += metric[(l * dim + i) * dim + i].re / (BEAM_REAL)dim;
        }
    }
    beam_team_sync(t);
    for (int l = 0; l < s->L; l++) {
        scale += slack[l] / (BEAM_REAL)s->L;
    }
    if (!(scale > 0 && scale < (BEAM_REAL)INFINITY)) {
        return 0;
    }
    beam_team_sync(t);
    BEAM_EACH(t, l, s->L)
    {
        BEAM_REAL mu = ridge * (slack[l] + scale);
        for (int i = 0; i < dim; i++) {
            metric[(l * dim + i) * dim + i].re += mu;
        }
        for (int u = 0; u < s->U; u++) {
            const BEAM_REAL radius = eps[l * s->U + u];
            mu += BG(metric_weight)(r, u) * radius * radius / (BEAM_REAL)s->D;
        }
        slack[l] += mu;
    }
    beam_team_sync(t);
    return 1;
}

/* Its inverse in place, all stations at once (Gauss-Jordan; the ridge bounds its condition). */
BEAM_HD void BG(metric_invert)(const beam_team *t, const beam_gpu_refiner *r)
{
    const int L = r->search.plan->s.L, dim = r->plan->dim;
    BEAM_CPLX *metric = BEAM_REFINE(r, BEAM_CPLX, metric),
              *column = BEAM_REFINE(r, BEAM_CPLX, column);
    for (int c = 0; c < dim; c++) {
        BEAM_EACH(t, k, L * dim)
        {
            column[k] = metric[k * dim + c];
        }
        beam_team_sync(t);
        BEAM_EACH(t, k,
                  L * dim * dim) /* Hermitian: row c is conj(column c), of -1 sign once done */
        {
            const int line = beam_gpu_over(k, r->plan->by_dim), j = k - line * dim,
                      l = beam_gpu_over(line, r->plan->by_dim), i = line - l * dim;
            const BEAM_CPLX *v = column + l * dim;
            const BEAM_REAL one = 1 / v[c].re, sign = j < c ? -1 : 1;
            BEAM_CPLX row = BG(scale)(sign * one, v[j]);
            row.im = -row.im;
            if (i == c && j == c) {
                metric[k].re = one;
                metric[k].im = 0;
            } else if (i == c) {
                metric[k] = row;
            } else if (j == c) {
                metric[k] = BG(scale)(-one, v[i]);
            } else {
                BG(add_mul)(&metric[k], BG(scale)(-1, v[i]), row);
            }
        }
        beam_team_sync(t);
    }
}

/* Entry i of M^-1 v, v a vector of variables. */
BEAM_HD BEAM_REAL BG(metric_entry)(const beam_gpu_refiner *r, const BEAM_REAL *v, int i)
{
    const int dim = r->plan->dim, slack = 2 * r->search.plan->s.rows * dim;
    if (i >= slack) {
        return v[i] / BEAM_REFINE(r, BEAM_REAL, metric_slack)[i - slack];
    }
    const int row = beam_gpu_over(i / 2, r->plan->by_dim), d = i / 2 - row * dim,
              l = beam_gpu_row_station(&r->search, row);
    const BEAM_CPLX *a = BEAM_REFINE(r, BEAM_CPLX, metric) + (l * dim + d) * dim;
    const BEAM_CPLX *from = (const BEAM_CPLX *)v + row * dim;
    BEAM_REAL sum = 0;
    for (int k = 0; k < dim; k++) {
        sum += i % 2 == 0 ? a[k].re * from[k].re - a[k].im * from[k].im
                          : a[k].re * from[k].im + a[k].im * from[k].re;
    }
    return sum;
}

/* --- Direction ---------------------------------------------------------------------------------
 */

typedef struct BG(newton) {
    int n, most, pairs, newest, preconditioned;
    int iterations, evaluations;
    double rho[BEAM_GPU_REFINE_PAIRS_MAX];   /* 1/(s^T t) */
    double scale[BEAM_GPU_REFINE_PAIRS_MAX]; /* s^T t/(t^T M^-1 t) */
    BEAM_REAL *y, *gradient, *trial, *trial_gradient, *along, *step, *change;
} BG(newton);

BEAM_HD void BG(newton_start)(BG(newton) * q, const beam_gpu_refiner *r)
{
    q->n = r->plan->n;
    q->most = r->plan->pairs;
    q->pairs = q->iterations = q->evaluations = q->preconditioned = 0;
    q->newest = -1;
    q->y = BEAM_REFINE(r, BEAM_REAL, y);
    q->gradient = BEAM_REFINE(r, BEAM_REAL, gradient);
    q->trial = BEAM_REFINE(r, BEAM_REAL, trial);
    q->trial_gradient = BEAM_REFINE(r, BEAM_REAL, trial_gradient);
    q->along = BEAM_REFINE(r, BEAM_REAL, along);
    q->step = BEAM_REFINE(r, BEAM_REAL, step);
    q->change = BEAM_REFINE(r, BEAM_REAL, change);
}

/* along = -H gradient by the two-loop recursion; q->trial is free between two line searches. */
BEAM_HD void BG(direction)(const beam_team *t, const beam_gpu_refiner *r, BG(newton) * q)
{
    const int n = q->n;
    double alpha[BEAM_GPU_REFINE_PAIRS_MAX];
    BEAM_REAL *d = q->along;
    BEAM_EACH(t, i, n)
    {
        d[i] = -q->gradient[i];
    }
    for (int k = 0; k < q->pairs; k++) {
        const int at = (q->newest - k + q->most) % q->most;
        const BEAM_REAL *change = q->change + at * n;
        alpha[at] = q->rho[at] * BG(inner)(t, n, q->step + at * n, d);
        BEAM_EACH(t, i, n)
        {
            d[i] -= (BEAM_REAL)alpha[at] * change[i];
        }
    }
    const BEAM_REAL scale = q->pairs > 0 ? (BEAM_REAL)q->scale[q->newest] : 1;
    beam_team_sync(t);
    BEAM_EACH(t, i, n)
    {
        q->trial[i] = scale * (q->preconditioned ? BG(metric_entry)(r, d, i) : d[i]);
    }
    beam_team_sync(t);
    BEAM_EACH(t, i, n)
    {
        d[i] = q->trial[i];
    }
    for (int k = q->pairs - 1; k >= 0; k--) {
        const int at = (q->newest - k + q->most) % q->most;
        const BEAM_REAL *step = q->step + at * n;
        const double beta = q->rho[at] * BG(inner)(t, n, q->change + at * n, d);
        BEAM_EACH(t, i, n)
        {
            d[i] += (BEAM_REAL)(alpha[at] - beta) * step[i];
        }
    }
}

/* Keeps the pair of the step just found when its curvature is safely positive. */
BEAM_HD void BG(remember)(const beam_team *t, const beam_gpu_refiner *r, BG(newton) * q)
{
    const int n = q->n, at = (q->newest + 1) % q->most;
    BEAM_REAL *step = q->step + at * n, *change = q->change + at * n, part = 0;
    BEAM_EACH(t, i, n)
    {
        step[i] = q->trial[i] - q->y[i];
        change[i] = q->trial_gradient[i] - q->gradient[i];
    }
    const double st = BG(inner)(t, n, step, change), ss = BG(inner)(t, n, step, step),
                 tt = BG(inner)(t, n, change, change);
    if (q->pairs == q->most) { /* its place is overwritten, whatever becomes of it */
        q->pairs--;
    }
    if (!(st > BEAM_REFINE_LEAST_CURVATURE * sqrt(ss) * sqrt(tt)) || !(st > 0)) {
        return;
    }
    BEAM_EACH(t, i, n)
    {
        part += change[i] * (q->preconditioned ? BG(metric_entry)(r, change, i) : change[i]);
    }
    q->rho[at] = 1 / st;
    q->scale[at] = st / beam_team_sum(t, (double)part);
    q->newest = at;
    q->pairs++;
}

/* --- Line search and minimisation --------------------------------------------------------------
 */

/* Value at y + step along; *slope: along it. */
BEAM_HD double BG(value_at)(const beam_team *t, const beam_gpu_refiner *r, beam_gpu_objective *f,
                            BG(newton) * q, double step, double *slope)
{
    BEAM_EACH(t, i, q->n)
    {
        q->trial[i] = q->y[i] + (BEAM_REAL)step * q->along[i];
    }
    beam_team_sync(t);
    const double value = BG(refine_value)(t, r, f, q->trial, q->trial_gradient);
    q->evaluations++;
    *slope = value - value == 0 ? BG(inner)(t, q->n, q->trial_gradient, q->along) : 0;
    return value;
}

/* A shorter step after one that did not fall enough: the minimiser of the parabola through low, its
 * slope and v, kept inside. */
BEAM_HD double BG(shorter)(const beam_gpu_bracket *b, double step, double v)
{
    const double w = step - b->low;
    if (!(v - v == 0)) {
        return b->low + 0.2 * w;
    }
    const double middle = 0.5 * (b->low + step), q = v - b->value - b->slope * w;
    const double t = q > 0 ? b->low - 0.5 * b->slope * w * w / q : middle;
    return t <= b->low + 0.1 * w ? b->low + 0.1 * w : t < b->low + 0.7 * w ? t : middle;
}

/* Step along `along` that satisfies Armijo, to rounding, and the weak Wolfe condition; 0: none. */
BEAM_HD int BG(line_search)(const beam_team *t, const beam_gpu_refiner *r, beam_gpu_objective *f,
                            BG(newton) * q, double first, double *value)
{
    const double f0 = *value, slope = BG(inner)(t, q->n, q->gradient, q->along),
                 noise = BEAM_REFINE_NOISE * (fabs(f0) > 1 ? fabs(f0) : 1);
    beam_gpu_bracket b = {0, (double)INFINITY, f0, slope};
    double step = first;
    if (!(slope < 0)) {
        return 0;
    }
    for (int k = 0; k <= BEAM_GPU_REFINE_TRIALS; k++) {
        double s;
        const double v = BG(value_at)(t, r, f, q, step, &s);
        if (!(v - v == 0) || !(s - s == 0) || v > f0 + 1e-4 * step * slope + noise) {
            if (k == BEAM_GPU_REFINE_TRIALS) {
                return 0;
            }
            b.high = step;
            step = BG(shorter)(&b, step, v);
        } else if (s < 0.9 * slope && k < BEAM_GPU_REFINE_TRIALS) {
            b.low = step;
            b.value = v;
            b.slope = s;
            step = b.high < (double)INFINITY ? 0.5 * (b.low + b.high) : 2.5 * step;
        } else {
            *value = v;
            return 1;
        }
        if (step < 1e-16 || (b.high < (double)INFINITY && b.high - b.low < 1e-12 * b.high) ||
            k == BEAM_GPU_REFINE_TRIALS - 1) {
            if (!(b.low > 0)) {
                return 0;
            }
            step = b.low; /* descent without curvature: still the best point seen */
            k = BEAM_GPU_REFINE_TRIALS - 1;
        }
    }
    return 0;
}

/* From q->y, at most to `most` iterations in all. tolerance: decrease per iteration relative to
 * max(1, |value|), averaged over the last ones. `first`: build the preconditioner from the first
 * evaluation. */
BEAM_HD int BG(minimise)(const beam_team *t, const beam_gpu_refiner *r, beam_gpu_objective *f,
                         BG(newton) * q, int most, double tolerance, int first)
{
    double v = BG(refine_value)(t, r, f, q->y, q->gradient), decrease = (double)INFINITY;
    q->evaluations++;
    if (!(v - v == 0)) {
        return BEAM_GPU_REFINE_NUMERIC;
    }
    if (first && BG(metric_fill)(t, r)) {
        BG(metric_invert)(t, r);
        q->preconditioned = 1;
    }
    for (int k = 0; q->iterations < most; k++) {
        BG(direction)(t, r, q);
        const double before = v, size = sqrt(BG(inner)(t, q->n, q->along, q->along));
        const double start = q->pairs > 0 ? 1 : 0.1 / (size > 1e-300 ? size : 1);
        if (!BG(line_search)(t, r, f, q, start, &v)) {
            if (q->pairs == 0) {
                return BEAM_GPU_REFINE_CONVERGED;
            }
            q->pairs = 0; /* stale curvature: once more along the gradient */
            v = before;
            continue;
        }
        BG(remember)(t, r, q);
        BEAM_EACH(t, i, q->n)
        {
            q->y[i] = q->trial[i];
            q->gradient[i] = q->trial_gradient[i];
        }
        q->iterations++;
        const double fall = (before - v) / (fabs(v) > 1 ? fabs(v) : 1);
        decrease = decrease < (double)INFINITY ? 0.7 * decrease + 0.3 * fall : fall;
        if (k >= 2 && decrease < tolerance) {
            return BEAM_GPU_REFINE_CONVERGED;
        }
    }
    return BEAM_GPU_REFINE_LIMIT;
}
