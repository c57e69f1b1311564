/* The smoothed objective of MATH 5 and its gradient in the variables of the steps: rows y and one
 * slack t per station, x_l = y_l/sqrt(|y_l|^2 + t_l^2), so that every y is inside every budget and
 * full power is at t = 0 (engine/solver/objective.c). For either precision; sums over problems' few
 * numbers in float64. */

/* --- Vectors of variables ----------------------------------------------------------------------
 */

BEAM_HD double BG(inner)(const beam_team *t, int n, const BEAM_REAL *a, const BEAM_REAL *b)
{
    BEAM_REAL sum = 0;
    BEAM_EACH(t, i, n)
    {
        sum += a[i] * b[i];
    }
    return beam_team_sum(t, (double)sum);
}

/* Sum of row_sum over the rows of station l. */
BEAM_HD BEAM_REAL BG(station_sum)(const beam_gpu_refiner *r, int l)
{
    const int *first = BEAM_CLUSTER(&r->search, int, first);
    const BEAM_REAL *row_sum = BEAM_REFINE(r, BEAM_REAL, row_sum);
    BEAM_REAL sum = 0;
    for (int i = first[l]; i < first[l + 1]; i++) {
        sum += row_sum[i];
    }
    return sum;
}

/* x and work.vector of y; place = 1/sqrt(|y_l|^2 + t_l^2). */
BEAM_HD void BG(decode)(const beam_team *t, const beam_gpu_refiner *r, const BEAM_REAL *y)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int dim = r->plan->dim;
    const BEAM_REAL *slack = y + 2 * s->rows * dim;
    BEAM_REAL *place = BEAM_REFINE(r, BEAM_REAL, place);
    BEAM_EACH(t, i, s->rows)
    {
        BEAM_REAL sum = 0;
        for (int d = 0; d < 2 * dim; d++) {
            sum += y[2 * i * dim + d] * y[2 * i * dim + d];
        }
        BEAM_REFINE(r, BEAM_REAL, row_sum)[i] = sum;
    }
    beam_team_sync(t);
    BEAM_EACH(t, l, s->L)
    {
        place[l] = 1 / BEAM_SQRT(BG(station_sum)(r, l) + slack[l] * slack[l]);
    }
    beam_team_sync(t);
    BEAM_EACH(t, k, s->rows * dim)
    {
        const BEAM_REAL one = place[beam_gpu_row_station(p, beam_gpu_over(k, r->plan->by_dim))];
        const BEAM_CPLX x = {one * y[2 * k], one * y[2 * k + 1]};
        BEAM_REFINE(r, BEAM_CPLX, x)[k] = BEAM_WORK(p, BEAM_CPLX, vector)[k] = x;
    }
    beam_team_sync(t);
}

/* d/dy of a gradient in x, in place: s (g - x <x,g>), and -t s^2 <x,g> for the slack. */
BEAM_HD void BG(pull_back)(const beam_team *t, const beam_gpu_refiner *r, const BEAM_REAL *y,
                           BEAM_REAL *g)
{
    const beam_gpu_sizes *s = &r->search.plan->s;
    const int dim = r->plan->dim;
    const BEAM_REAL *place = BEAM_REFINE(r, BEAM_REAL, place),
                    *x = (const BEAM_REAL *)BEAM_REFINE(r, BEAM_CPLX, x);
    const int slack = 2 * s->rows * dim;
    BEAM_EACH(t, i, s->rows)
    {
        BEAM_REAL sum = 0;
        for (int d = 2 * i * dim; d < 2 * (i + 1) * dim; d++) {
            sum += x[d] * g[d];
        }
        BEAM_REFINE(r, BEAM_REAL, row_sum)[i] = sum;
    }
    beam_team_sync(t);
    BEAM_EACH(t, l, s->L)
    {
        g[slack + l] = -place[l] * place[l] * y[slack + l] * BG(station_sum)(r, l);
    }
    BEAM_EACH(t, k, s->rows * dim)
    {
        const int l = beam_gpu_row_station(&r->search, beam_gpu_over(k, r->plan->by_dim));
        const BEAM_REAL inner = BG(station_sum)(r, l);
        g[2 * k] = place[l] * (g[2 * k] - inner * x[2 * k]);
        g[2 * k + 1] = place[l] * (g[2 * k + 1] - inner * x[2 * k + 1]);
    }
    beam_team_sync(t);
}

/* --- Sensing (MATH 3) --------------------------------------------------------------------------
 */

/* X0, S and c of a pair. S = min over c of |D a - c a|^2_R + delta |c|^2 (MATH 3 has delta 0, c =
 * X1/X0): where a station sends next to nothing towards a target, S turns on distances of the size
 * of sqrt(X0), which float32 does not resolve without it. */
BEAM_HD void BG(refine_echo)(const beam_gpu_refiner *r, int l, int j)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), q2 = 2 * s->J;
    const BEAM_REAL least = BEAM_GPU_BITS == 64 ? (BEAM_REAL)(1e-12 * s->N) : (BEAM_REAL)1e-12;
    const BEAM_CPLX *proj = BEAM_WORK(p, BEAM_CPLX, projection) + 2 * j;
    BEAM_REAL *echo = BEAM_REFINE(r, BEAM_REAL, echo) + 4 * (l * s->J + j), x0 = 0, sum;
    BEAM_CPLX x1 = {0, 0};
    for (int i = first[l]; i < first[l + 1]; i++) {
        x0 += BG(norm2)(proj[i * q2]);
        BG(add_conj_mul)(&x1, proj[i * q2 + 1], proj[i * q2]);
    }
    const int lit = x0 > least;
    const BEAM_CPLX c = BG(scale)(lit ? 1 / (x0 + BEAM_REFINE_ECHO) : 0, x1);
    sum = BEAM_REFINE_ECHO * BG(norm2)(c);
    for (int i = first[l]; lit && i < first[l + 1]; i++) {
        BEAM_CPLX b = proj[i * q2 + 1];
        BG(add_conj_mul)(&b, c, BG(scale)(-1, proj[i * q2]));
        sum += BG(norm2)(b);
    }
    echo[0] = x0;
    echo[1] = sum;
    echo[2] = c.re;
    echo[3] = c.im;
}

/* What J counts in X0 and S: vectors of the float32 subspace have about norm 1. */
BEAM_HD double BG(echo_scale)(const beam_gpu_sizes *s, int which)
{
    const double V = ((double)s->N * s->N - 1) / 12;
    return BEAM_GPU_BITS == 64 ? 1 : which == 0 ? s->N : s->N * (V > 0 ? V : 1);
}

/* J^-2 of target j and tr J^-1, INFINITY where it cannot be located. */
BEAM_HD void BG(refine_information)(const beam_gpu_refiner *r, int j)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    double *to = BEAM_REFINE(r, double, information) + 4 * j, xx = 0, xy = 0, yy = 0;
    const int located = BEAM_CLUSTER(p, int, geometry)[j], skip = *BEAM_CLUSTER(p, int, skip);
    for (int l = 0; l < s->L; l++) {
        const double *P0 = BEAM_CLUSTER(p, double, P0) + 3 * (l * s->J + j);
        const double *P2 = BEAM_CLUSTER(p, double, P2) + 3 * (l * s->J + j);
        const BEAM_REAL *echo = BEAM_REFINE(r, BEAM_REAL, echo) + 4 * (l * s->J + j);
        const double w0 = BG(echo_scale)(s, 0) * (double)echo[0],
                     w2 = BG(echo_scale)(s, 1) * (double)echo[1];
        xx += w0 * P0[0] + w2 * P2[0];
        xy += w0 * P0[1] + w2 * P2[1];
        yy += w0 * P0[2] + w2 * P2[2];
    }
    const double trace = xx + yy, det = xx * yy - xy * xy;
    to[0] = to[1] = to[2] = 0;
    to[3] = located || !skip ? (double)INFINITY : 0;
    if (located && trace > 0 && det > 1e-14 * trace * trace) {
        to[0] = (yy * yy + xy * xy) / (det * det);
        to[1] = -xy * trace / (det * det);
        to[2] = (xx * xx + xy * xy) / (det * det);
        to[3] = trace / det;
    }
}

/* CRLB of work.vector (kept). */
BEAM_HD double BG(refine_crlb)(const beam_team *t, const beam_gpu_refiner *r)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    double sum = 0;
    BG(project_targets)(t, p);
    beam_team_sync(t);
    BEAM_EACH(t, k, s->L * s->J)
    {
        const int l = beam_gpu_over(k, s->by_J);
        BG(refine_echo)(r, l, k - l * s->J);
    }
    beam_team_sync(t);
    BEAM_EACH(t, j, s->J)
    {
        BG(refine_information)(r, j);
    }
    beam_team_sync(t);
    for (int j = 0; j < s->J; j++) {
        sum += BEAM_REFINE(r, double, information)[4 * j + 3];
    }
    return sum;
}

/* work.projection <- coefficients of a, D a in the gradient of dcrlb CRLB: 2 dcrlb G_l w. */
BEAM_HD void BG(refine_sensing_pulls)(const beam_team *t, const beam_gpu_refiner *r, double dcrlb)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    BEAM_EACH(t, k, s->rows * s->J)
    {
        const int row = beam_gpu_over(k, s->by_J), j = k - row * s->J,
                  at = beam_gpu_row_station(p, row) * s->J + j;
        const double *P0 = BEAM_CLUSTER(p, double, P0) + 3 * at,
                     *P2 = BEAM_CLUSTER(p, double, P2) + 3 * at,
                     *J2 = BEAM_REFINE(r, double, information) + 4 * j;
        const double scale = -2 * dcrlb;
        const BEAM_REAL w0 = (BEAM_REAL)(scale * BG(echo_scale)(s, 0) *
                                         (J2[0] * P0[0] + 2 * J2[1] * P0[1] + J2[2] * P0[2])),
                        w2 = (BEAM_REAL)(scale * BG(echo_scale)(s, 1) *
                                         (J2[0] * P2[0] + 2 * J2[1] * P2[1] + J2[2] * P2[2]));
        const BEAM_REAL *echo = BEAM_REFINE(r, BEAM_REAL, echo) + 4 * at;
        BEAM_CPLX *out = BEAM_WORK(p, BEAM_CPLX, projection) + row * 2 * s->J + 2 * j;
        const BEAM_CPLX c = {echo[2], echo[3]}, y = out[0];
        BEAM_CPLX b = out[1];
        BG(add_conj_mul)(&b, c, BG(scale)(-1, y));
        b = BG(scale)(echo[1] > 0 ? w2 : 0, b);
        out[0] = BG(scale)(w0, y);
        BG(add_mul)(&out[0], BG(scale)(-1, c), b);
        out[1] = b;
    }
}

/* --- The objective -----------------------------------------------------------------------------
 */

/* Smooth maximum of a1, a2; its derivatives. */
BEAM_HD double BG(smooth_max)(const beam_gpu_objective *f, double *d1, double *d2)
{
    const double T = f->temperature, top = f->a1 > f->a2 ? f->a1 : f->a2;
    const double e1 = f->p1 * exp((f->a1 - top) / T), e2 = f->p2 * exp((f->a2 - top) / T);
    *d1 = e1 / (e1 + e2);
    *d2 = e2 / (e1 + e2);
    return top + T * log(e1 + e2);
}

/* Augmented Lagrangian of rate_u >= min_u in units of f1, and the gradient's coefficient of every
 * user, dwsr the derivative with respect to the weighted sum. */
BEAM_HD double BG(refine_users)(const beam_team *t, const beam_gpu_refiner *r,
                                beam_gpu_objective *f, double dwsr)
{
    const beam_gpu_problem *p = &r->search;
    const int U = p->plan->s.U;
    const double *weight = BEAM_CLUSTER(p, double, weight),
                 *least = BEAM_CLUSTER(p, double, min_rate),
                 *multiplier = BEAM_REFINE(r, double, multiplier), sigma = f->penalty;
    const BEAM_REAL *rate = BEAM_REFINE_USER(r, RATE), *eta = BEAM_REFINE_USER(r, ETA),
                    *den = BEAM_REFINE_USER(r, DEN);
    double value = 0;
    f->missed = 0;
    for (int u = 0; u < U; u++) { /* every lane the value, one the coefficient */
        double c = dwsr * weight[u];
        if (sigma > 0 && least[u] > 0) {
            const double miss = least[u] - (double)rate[u];
            const double pull = multiplier[u] + sigma * f->rate_scale * miss;
            f->missed = miss > f->missed ? miss : f->missed;
            value += ((pull > 0 ? pull * pull : 0) - multiplier[u] * multiplier[u]) / (2 * sigma);
            c -= pull > 0 ? f->rate_scale * pull : 0;
        }
        if ((u & (t->lanes - 1)) == t->lane) { /* a power of two */
            BEAM_REFINE_USER(r, PULL)
            [u] = (BEAM_REAL)(2 * c * 1.4426950408889634074 /
                              ((1 + (double)eta[u]) * (double)den[u]));
        }
    }
    beam_team_sync(t);
    return value;
}

/* Gradient in x of everything, from the pulls: channels, eigenvectors and directions. */
BEAM_HD void BG(refine_gradient)(const beam_team *t, const beam_gpu_refiner *r,
                                 const beam_gpu_objective *f, BEAM_REAL *g)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *rank = BEAM_WORK(p, int, rank);
    const int n_max = s->n_max, dim = r->plan->dim;
    BEAM_CPLX *turned = BEAM_REFINE(r, BEAM_CPLX, turned), *to = (BEAM_CPLX *)g;
    BEAM_EACH(t, k, s->rows * n_max)
    {
        const int row = beam_gpu_over(k, s->by_n_max), i = k - row * n_max,
                  l = beam_gpu_row_station(p, row);
        if (i < rank[l]) {
            const BEAM_REAL rho = BEAM_WORK(p, BEAM_REAL, rho)[l * n_max + i];
            turned[k] = BG(scale)(1 / BEAM_SQRT(rho), BG(smooth_turned)(r, f, row, i));
        }
    }
    beam_team_sync(t);
    BEAM_EACH(t, k, s->rows * dim)
    {
        const int row = beam_gpu_over(k, r->plan->by_dim), d = k - row * dim,
                  l = beam_gpu_row_station(p, row), c = row - first[l];
        const BEAM_CPLX *pull = BEAM_REFINE(r, BEAM_CPLX, pull) + l * s->U * n_max + c,
                        *sensing = BEAM_WORK(p, BEAM_CPLX, projection) + row * 2 * s->J;
        const BEAM_CPLX *vector = BEAM_WORK(p, BEAM_CPLX, vector) + first[l] * dim + d;
        BEAM_CPLX sum = {0, 0};
        for (int u = 0; u < s->U; u++) {
            BEAM_REAL scale;
            const beam_c32 h = BG(measured_channel)(p, l, u, &scale)[d];
            const BEAM_CPLX x = {scale * (BEAM_REAL)h.re, scale * (BEAM_REAL)h.im};
            BG(add_mul)(&sum, pull[u * n_max], x);
        }
        for (int i = 0; i < rank[l]; i++) {
            BG(add_mul)(&sum, turned[row * n_max + i], vector[i * dim]);
        }
        for (int q = 0; q < 2 * s->J; q++) {
            BG(add_mul)(&sum, sensing[q], BG(measured_direction)(p, l, q)[d]);
        }
        to[k] = sum;
    }
    beam_team_sync(t);
}

/* Value at y and gradient into g; NAN: outside. The same in every lane. */
BEAM_HD_APART double BG(refine_value)(const beam_team *t, const beam_gpu_refiner *r,
                                      beam_gpu_objective *f, const BEAM_REAL *y, BEAM_REAL *g)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const beam_gpu_request_head *head = beam_gpu_head(p);
    const double ln4 = 1.3862943611198906188;
    const int rated = s->U > 0 && head->wsr_ideal_bps_hz > 0, sensed = head->crlb_min_m2 > 0;
    double d1, d2, value;
    BG(decode)(t, r, y);
    f->crlb = BG(refine_crlb)(t, r);
    f->wsr = BG(smooth_rates)(t, r, f);
    f->warm = f->wsr == f->wsr;
    const double f1 = rated ? 2 - f->rate_scale * f->wsr : 0,
                 f2 = sensed ? log(f->crlb / head->crlb_min_m2) / ln4 : 0;
    if (!(f1 - f1 == 0 && f2 - f2 == 0)) { /* not finite */
        return (double)NAN;
    }
    f->a1 = f->w1 * f1;
    f->a2 = f->w2 * f2;
    value = BG(smooth_max)(f, &d1, &d2) + f->tie * (f1 + f2);
    value += BG(refine_users)(t, r, f, rated ? -f->rate_scale * (f->w1 * d1 + f->tie) : 0);
    BG(smooth_pulls)(t, r, f);
    BG(smooth_spread)(t, r, f);
    BG(refine_sensing_pulls)(t, r, sensed ? (f->w2 * d2 + f->tie) / (f->crlb * ln4) : 0);
    beam_team_sync(t);
    BG(refine_gradient)(t, r, f, g);
    BG(pull_back)(t, r, y, g);
    return value;
}

/* After a stage: multipliers at the last point evaluated. */
BEAM_HD void BG(refine_update)(const beam_team *t, const beam_gpu_refiner *r, beam_gpu_objective *f)
{
    const beam_gpu_problem *p = &r->search;
    const double *least = BEAM_CLUSTER(p, double, min_rate);
    double *multiplier = BEAM_REFINE(r, double, multiplier), d1, d2;
    (void)BG(smooth_max)(f, &d1, &d2);
    d1 = d1 > 1e-6 ? d1 : 1e-6;
    d2 = d2 > 1e-6 ? d2 : 1e-6;
    f->p1 = d1 / (d1 + d2);
    f->p2 = 1 - f->p1;
    BEAM_EACH(t, u, p->plan->s.U)
    {
        const double miss = f->rate_scale * (least[u] - (double)BEAM_REFINE_USER(r, RATE)[u]);
        const double next = multiplier[u] + f->penalty * miss;
        multiplier[u] = f->penalty > 0 && least[u] > 0 && next > 0 ? next : 0;
    }
    beam_team_sync(t);
}
