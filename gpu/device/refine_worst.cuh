/* The smoothed dual of MATH 2 (engine/model/robust_smooth.c): h h^H replaced by h h^H + mu^2 I in
 * the dual of every trust-region problem, so that worst-case rates have gradients everywhere. For
 * either precision. The smoothing keeps every multiplier away from the edge of its domain by at
 * least mu/eps, so that lambda itself serves where the exact problem needs the shift. In float32
 * the ratio comes from the powers of the station's other rows at the worst case: tr M A with
 * A = (1 + eta) z z^H - eta R would cancel at high SINR, and is a minimum, so that errors of the
 * worst case count in second order only. */

/* max-term of a station of another cell; *shift: start of the secular root (0: none), then the
 * root; y = g - x. Both in units of rho_0: a station of next to no power keeps its digits. */
BEAM_HD BEAM_REAL BG(smooth_cross)(int q, const BEAM_REAL *rho, const BEAM_CPLX *g, BEAM_REAL eps,
                                   BEAM_REAL mu2, BEAM_REAL *shift, BEAM_CPLX *y)
{
    const BEAM_CPLX zero = {0, 0};
    BEAM_REAL s = *shift, sum = 0;
    for (int i = 0; i < q; i++) {
        y[i] = zero;
    }
    if (q == 0 || !(eps > 0)) {
        *shift = 0;
        for (int i = 0; i < q; i++) {
            sum += rho[i] * BG(norm2)(g[i]);
        }
        return sum;
    }
    const BEAM_REAL one = 1 / rho[0];
    for (int i = 0; i < q && !(*shift > 0); i++) {
        const BEAM_REAL a = one * rho[i];
        const BEAM_REAL t = a * BEAM_SQRT(BG(norm2)(g[i]) + mu2) / eps - (1 - a);
        s = t > s ? t : s;
    }
    for (int round = 0; round < 100; round++) { /* Newton on 1/norm, monotone from the left */
        BEAM_REAL n2 = 0, slope = 0;
        for (int i = 0; i < q; i++) {
            const BEAM_REAL a = one * rho[i], inv = 1 / (1 - a + s), f = a * inv;
            const BEAM_REAL t = f * f * (BG(norm2)(g[i]) + mu2);
            n2 += t;
            slope += t * inv;
        }
        const BEAM_REAL next = s + (BEAM_SQRT(n2) - eps) * n2 / (eps * slope);
        const BEAM_REAL moved = BEAM_FABS(next - s);
        s = next > 0 ? next : s / 1000;
        if (!(moved > BEAM_ROUNDING * s)) {
            break;
        }
    }
    *shift = s;
    for (int i = 0; i < q; i++) {
        const BEAM_REAL f = one * rho[i] / (1 - one * rho[i] + s);
        y[i] = BG(scale)(-f, g[i]);
        sum += f * (BG(norm2)(g[i]) + mu2);
    }
    return rho[0] * (1 + s) * (eps * eps + sum);
}

/* One user at its own station: A = z z^H - eta Q', Q' = diag(rho) - z z^H. */
typedef struct BG(smooth_own) {
    int n, q, n_max, mine; /* rows, rank, stride, its row */
    const BEAM_CPLX *turn, *g;
    const BEAM_REAL *rho;
    BEAM_REAL eps, mu2, interference;
    BEAM_CPLX *y;   /* E g */
    BEAM_REAL *inv; /* 1/(lambda - eta rho_i), entry 0 is 0 */
    BEAM_REAL eta, lambda, schur, kappa, uu, e0, f0, k, k11; /* of E = A (A + lambda)^-1 */
    BEAM_REAL norm2, slope;                                  /* tr E^2 C; half its fall in lambda */
    BEAM_REAL signal, den;                                   /* tr M z z^H, tr M Q' + I */
} BG(smooth_own);

BEAM_HD BEAM_CPLX BG(own_z)(const BG(smooth_own) * o, int i)
{
    return o->turn[i * o->n_max + o->mine];
}

/* The system at (eta, lambda); 0 where A + lambda is not positive definite. */
BEAM_HD int BG(smooth_set)(BG(smooth_own) * o)
{
    const BEAM_REAL omega = 1 + o->eta, zz0 = BG(norm2)(BG(own_z)(o, 0));
    BEAM_REAL sigma = 0;
    if (!(o->lambda > 0) || (o->q > 1 && !(o->lambda - o->eta * o->rho[1] > 0))) {
        return 0;
    }
    o->uu = 0;
    o->inv[0] = 0;
    for (int i = 1; i < o->q; i++) {
        const BEAM_REAL inv = 1 / (o->lambda - o->eta * o->rho[i]), zz = BG(norm2)(BG(own_z)(o, i));
        o->inv[i] = inv;
        sigma += zz * inv;
        o->uu += zz * inv * inv;
    }
    const BEAM_REAL w0 = o->lambda - o->eta * o->rho[0];
    o->kappa = omega / (1 + omega * sigma);
    o->schur = w0 + o->kappa * zz0;
    if (!(o->schur > 0) || !(o->kappa > 0)) {
        return 0;
    }
    const BEAM_REAL tau = 1 / o->schur;
    o->e0 = (o->kappa * zz0 - o->eta * o->rho[0]) * tau;
    o->f0 = o->lambda * tau;
    o->k = o->f0 * o->kappa;
    o->k11 = o->k * w0;
    return 1;
}

/* y = E g, tr E^2 C and its slope, C = g g^H + mu^2 I. */
BEAM_HD void BG(smooth_evaluate)(BG(smooth_own) * o)
{
    const BEAM_CPLX z0 = BG(own_z)(o, 0);
    const BEAM_REAL kk = o->k * o->k * BG(norm2)(z0), k11 = o->k11, uu = o->uu, e0 = o->e0;
    BEAM_REAL e2 = 0, e3 = 0, s1 = 0, s2 = 0, norm2 = 0, sum = 0;
    BEAM_CPLX gu = {0, 0}, yu = {0, 0}, c = {0, 0};
    for (int i = 1; i < o->q; i++) {
        const BEAM_CPLX u = BG(scale)(o->inv[i], BG(own_z)(o, i));
        const BEAM_REAL e = -o->eta * o->rho[i] * o->inv[i], t = e * BG(norm2)(u);
        e2 += e * e;
        e3 += e * e * e;
        s1 += t;
        s2 += e * t;
        BG(add_conj_mul)(&gu, u, o->g[i]);
    }
    BG(add_conj_mul)(&c, BG(scale)(o->k, z0), o->g[0]);
    BG(add_scaled)(&c, k11, gu);
    for (int i = 1; i < o->q; i++) {
        const BEAM_CPLX u = BG(scale)(o->inv[i], BG(own_z)(o, i));
        BEAM_CPLX out = BG(scale)(-o->eta * o->rho[i] * o->inv[i], o->g[i]);
        BG(add_mul)(&out, c, u);
        o->y[i] = out;
        BG(add_conj_mul)(&yu, u, out);
        norm2 += BG(norm2)(out);
        sum += o->inv[i] * BG(norm2)(out);
    }
    o->y[0] = BG(scale)(e0, o->g[0]);
    BG(add_mul)(&o->y[0], BG(scale)(o->k, z0), gu);
    BEAM_CPLX first = o->y[0];
    BG(add_mul)(&first, BG(scale)(-o->kappa, z0), yu);
    const BEAM_REAL um = s1 + k11 * uu * uu;
    const BEAM_REAL tr2 = e0 * e0 + 2 * kk * uu + e2 + 2 * k11 * s1 + k11 * k11 * uu * uu;
    const BEAM_REAL tr3 = e0 * e0 * e0 + 3 * kk * (e0 * uu + um) + e3 + 3 * k11 * s2 +
                          3 * k11 * k11 * uu * s1 + k11 * k11 * k11 * uu * uu * uu;
    const BEAM_REAL rest = tr2 - tr3; /* tr E^2 (1 - E) */
    o->norm2 = norm2 + BG(norm2)(o->y[0]) + o->mu2 * tr2;
    o->slope = sum - o->kappa * BG(norm2)(yu) + BG(norm2)(first) / o->schur +
               o->mu2 * (rest > 0 ? rest : 0) / o->lambda;
}

/* Numbers of F w_c, F = 1 - E, of row c of the station: F w = (p0, f_i w_i - c1 u_i). */
typedef struct BG(smooth_row) {
    BEAM_CPLX c1, p0, s; /* s = u^H f w */
} BG(smooth_row);

BEAM_HD BG(smooth_row) BG(smooth_row_at)(const BG(smooth_own) * o, int c)
{
    const BEAM_CPLX z0 = BG(own_z)(o, 0), w0 = o->turn[c], zero = {0, 0};
    BEAM_CPLX a = {0, 0};
    BG(smooth_row) v;
    v.c1 = v.s = zero;
    for (int i = 1; i < o->q; i++) {
        const BEAM_CPLX u = BG(scale)(o->inv[i], BG(own_z)(o, i)), w = o->turn[i * o->n_max + c];
        BG(add_conj_mul)(&a, u, w);
        BG(add_conj_mul)(&v.s, BG(scale)(o->lambda * o->inv[i], u), w);
    }
    BG(add_conj_mul)(&v.c1, BG(scale)(o->k, z0), w0);
    BG(add_scaled)(&v.c1, o->k11, a);
    v.p0 = BG(scale)(o->f0, w0);
    BG(add_mul)(&v.p0, BG(scale)(-o->k, z0), a);
    return v;
}

/* tr M z z^H and tr M Q' + I, M = x x^H + mu^2 F^2, row by row. */
BEAM_HD void BG(smooth_powers)(BG(smooth_own) * o)
{
    o->signal = 0;
    o->den = o->interference;
    for (int c = 0; c < o->n; c++) {
        const BG(smooth_row) v = BG(smooth_row_at)(o, c);
        const BEAM_CPLX minus = BG(scale)(-1, v.c1);
        BEAM_REAL spread = BG(norm2)(v.p0);
        BEAM_CPLX seen = {0, 0};
        for (int i = 0; i < o->q; i++) {
            const BEAM_CPLX w = o->turn[i * o->n_max + c];
            BEAM_CPLX x = o->g[i];
            BG(add_scaled)(&x, -1, o->y[i]);
            BG(add_conj_mul)(&seen, x, w);
            if (i > 0) {
                BEAM_CPLX p = BG(scale)(o->lambda * o->inv[i], w);
                BG(add_mul)(&p, BG(scale)(o->inv[i], BG(own_z)(o, i)), minus);
                spread += BG(norm2)(p);
            }
        }
        const BEAM_REAL power = BG(norm2)(seen) + o->mu2 * spread;
        if (c == o->mine) {
            o->signal = power;
        } else {
            o->den += power;
        }
    }
}

/* A multiplier inside the domain, from the least eigenvalue; 0 on failure. */
BEAM_HD int BG(smooth_domain)(BG(smooth_own) * o, BEAM_CPLX *z)
{
    BEAM_REAL minus_a0 = o->eta * o->rho[0] - (1 + o->eta) * BG(norm2)(BG(own_z)(o, 0)), gap = 0;
    if (o->q > 1) {
        for (int i = 0; i < o->q; i++) {
            z[i] = BG(own_z)(o, i);
        }
        (void)BG(own_least)(o->q, o->rho, z, o->eta, &gap);
        minus_a0 = o->eta * o->rho[1] + gap;
    }
    o->lambda =
        minus_a0 > 0 ? minus_a0 * (1 + BEAM_SQRT(o->mu2) / o->eps) : BEAM_ROUNDING * o->rho[0];
    BEAM_REAL grow = BEAM_ROUNDING;
    for (int k = 0; k < 60; k++) {
        if (BG(smooth_set)(o)) {
            return 1;
        }
        o->lambda *= 1 + grow;
        grow *= 2;
    }
    return 0;
}

/* Root of psi(eta) = eta I: Newton on eta and, interleaved, Newton on 1/norm for the multiplier,
 * from eta, lambda > 0 or anew from the nominal ratio (eta 0). y serves as scratch before it is
 * written. 0: failed. */
BEAM_HD int BG(smooth_solve)(BG(smooth_own) * o, BEAM_REAL nominal)
{
    BEAM_REAL last = o->lambda;
    if (!(o->eta > 0)) {
        o->eta = nominal + BEAM_LEAST_RATIO;
        o->lambda = 0;
    }
    for (int round = 0; round < BEAM_REFINE_ROUNDS; round++) {
        if (!BG(smooth_set)(o) && !BG(smooth_domain)(o, o->y)) {
            return 0;
        }
        BG(smooth_evaluate)(o);
        const BEAM_REAL norm = BEAM_SQRT(o->norm2), off = o->norm2 - o->eps * o->eps;
        const BEAM_REAL apart = BEAM_FABS(norm - o->eps);
        const BEAM_REAL lambda_step = (norm - o->eps) * o->norm2 / (o->eps * o->slope);
        if (!(BEAM_FABS(lambda_step) < (BEAM_REAL)INFINITY)) {
            return 0;
        }
        if (apart <= (BEAM_REAL)0.3 * o->eps) { /* near the right multiplier: a ratio too */
            BG(smooth_powers)(o);
            const BEAM_REAL lift = o->lambda * off + off * off / (4 * o->slope);
            const BEAM_REAL next = (o->signal + lift) / o->den, moved = BEAM_FABS(next - o->eta);
            if (!(moved < (BEAM_REAL)INFINITY)) {
                return 0;
            }
            if (moved <= BEAM_REFINE_SAME_RATIO * o->eta && apart <= BEAM_REFINE_ON_BALL * o->eps) {
                o->eta = next;
                return 1;
            }
            o->eta = next > o->eta / 20 ? next : o->eta / 20;
        }
        last = o->lambda;
        o->lambda += lambda_step;
        if (!(o->lambda > 0)) {
            o->lambda = last / 10;
        }
    }
    return 1;
}

/* --- All stations and users --------------------------------------------------------------------
 */

#define BEAM_REFINE_USER(r, name)                                                                  \
    (BEAM_REFINE(r, BEAM_REAL, user) + BEAM_GPU_REFINE_##name * (r)->search.plan->s.U)

BEAM_HD BG(smooth_own) BG(smooth_own_at)(const beam_gpu_refiner *r, int u, double smoothing)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first);
    const int l = BEAM_CLUSTER(p, int, own)[u], n_max = s->n_max, at = l * s->U + u;
    BG(smooth_own) o;
    o.n = first[l + 1] - first[l];
    o.q = BEAM_WORK(p, int, rank)[l];
    o.n_max = n_max;
    o.mine = BEAM_CLUSTER(p, int, row)[u];
    o.turn = BEAM_WORK(p, BEAM_CPLX, turn) + l * n_max * n_max;
    o.g = BEAM_WORK(p, BEAM_CPLX, g) + at * n_max;
    o.rho = BEAM_WORK(p, BEAM_REAL, rho) + l * n_max;
    o.y = BEAM_REFINE(r, BEAM_CPLX, correction) + at * n_max;
    o.inv = BEAM_REFINE(r, BEAM_REAL, inverse) + u * n_max;
    o.eps = BEAM_REFINE(r, BEAM_REAL, eps)[at];
    const BEAM_REAL mu = (BEAM_REAL)smoothing * o.eps;
    o.mu2 = mu * mu / (BEAM_REAL)s->D;
    o.interference = 1;
    for (int m = 0; m < s->L; m++) {
        o.interference += BEAM_WORK(p, BEAM_REAL, cross)[m * s->U + u];
    }
    o.eta = BEAM_REFINE_USER(r, ETA)[u];
    o.lambda = BEAM_REFINE_USER(r, LAMBDA)[u];
    o.den = o.interference;
    o.signal = o.schur = o.kappa = o.uu = o.e0 = o.f0 = o.k = o.k11 = o.norm2 = o.slope = 0;
    return o;
}

/* The worst case of user u; returns 0 on failure. */
BEAM_HD int BG(smooth_user)(const beam_gpu_refiner *r, int u, const beam_gpu_objective *f)
{
    BG(smooth_own) o = BG(smooth_own_at)(r, u, f->smoothing);
    const BEAM_CPLX zero = {0, 0};
    BEAM_REAL signal = 0, own = 0, vv = 0, active = 0, eta;
    int fine = 1;
    for (int i = 0; i < o.q; i++) {
        vv += BG(norm2)(BG(own_z)(&o, i));
        o.y[i] = zero;
    }
    BG(own_terms)(o.n, o.q, o.n_max, o.mine, o.turn, o.g, &signal, &own);
    eta = signal / (own + o.interference);
    o.den += own;
    if (o.eps > 0 && o.q > 0) {
        /* zero is reached when |v^H h|^2/|v|^2 + mu^2 <= eps^2 */
        if (signal + o.mu2 * vv > o.eps * o.eps * vv * (1 + BEAM_ROUNDING)) {
            o.eta = f->warm ? o.eta : 0;
            fine = BG(smooth_solve)(&o, eta);
            eta = o.eta;
            active = 1;
        } else {
            eta = 0;
        }
    }
    BEAM_REFINE_USER(r, ETA)[u] = eta;
    BEAM_REFINE_USER(r, LAMBDA)[u] = o.lambda;
    BEAM_REFINE_USER(r, DEN)[u] = o.den;
    BEAM_REFINE_USER(r, K)[u] = o.k;
    BEAM_REFINE_USER(r, K11)[u] = o.k11;
    BEAM_REFINE_USER(r, F0)[u] = o.f0;
    BEAM_REFINE_USER(r, UU)[u] = o.uu;
    BEAM_REFINE_USER(r, ACTIVE)[u] = active;
    BEAM_REFINE_USER(r, RATE)[u] = BEAM_LOG1P(eta) * (BEAM_REAL)1.4426950408889634074;
    return fine && eta >= 0 && o.den < (BEAM_REAL)INFINITY;
}

/* Weighted sum of the smoothed worst-case rates of work.vector (destroyed); NAN on failure. The
 * same in every lane. */
BEAM_HD double BG(smooth_rates)(const beam_team *t, const beam_gpu_refiner *r,
                                const beam_gpu_objective *f)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int *own = BEAM_CLUSTER(p, int, own), *rank = BEAM_WORK(p, int, rank);
    const double *weight = BEAM_CLUSTER(p, double, weight);
    const BEAM_REAL *eps = BEAM_REFINE(r, BEAM_REAL, eps);
    BEAM_REAL *shift = BEAM_REFINE(r, BEAM_REAL, shift);
    int failed = 0;
    BG(spectra)(t, p);
    BG(coordinates)(t, p);
    beam_team_sync(t);
    BEAM_EACH(t, k, s->L * s->U)
    {
        const int l = beam_gpu_over(k, s->by_U), u = k - l * s->U;
        const BEAM_REAL mu = (BEAM_REAL)f->smoothing * eps[k];
        BEAM_REAL value = 0;
        if (l != own[u]) {
            shift[k] = f->warm ? shift[k] : 0;
            value = BG(smooth_cross)(rank[l], BEAM_WORK(p, BEAM_REAL, rho) + l * s->n_max,
                                     BEAM_WORK(p, BEAM_CPLX, g) + k * s->n_max, eps[k],
                                     mu * mu / (BEAM_REAL)s->D, &shift[k],
                                     BEAM_REFINE(r, BEAM_CPLX, correction) + k * s->n_max);
        }
        BEAM_WORK(p, BEAM_REAL, cross)[k] = value;
    }
    beam_team_sync(t);
    BEAM_EACH(t, u, s->U)
    {
        failed |= !BG(smooth_user)(r, u, f);
    }
    if (beam_team_any(t, failed)) {
        return (double)NAN;
    }
    beam_team_sync(t);
    double wsr = 0;
    for (int u = 0; u < s->U; u++) {
        wsr += weight[u] * (double)BEAM_REFINE_USER(r, RATE)[u];
    }
    return wsr;
}

/* --- Gradient ----------------------------------------------------------------------------------
 */

/* mu^2 times the coefficient of user u in row c of its own station. */
BEAM_HD BEAM_REAL BG(smooth_weight)(const beam_gpu_refiner *r, const beam_gpu_objective *f, int u,
                                    int c)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int l = BEAM_CLUSTER(p, int, own)[u];
    const BEAM_REAL mu = (BEAM_REAL)f->smoothing * BEAM_REFINE(r, BEAM_REAL, eps)[l * s->U + u];
    const BEAM_REAL pull = BEAM_REFINE_USER(r, PULL)[u];
    return mu * mu / (BEAM_REAL)s->D *
           (c == BEAM_CLUSTER(p, int, row)[u] ? pull : -pull * BEAM_REFINE_USER(r, ETA)[u]);
}

/* Of (l, u) in the rows of its station: c x^H w, c of the own beam positive, of the others -eta
 * (MATH 2); and of the smoothing term in the rows of the own station. */
BEAM_HD void BG(smooth_pulls)(const beam_team *t, const beam_gpu_refiner *r,
                              const beam_gpu_objective *f)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *own = BEAM_CLUSTER(p, int, own),
              *row = BEAM_CLUSTER(p, int, row), *rank = BEAM_WORK(p, int, rank);
    const int n_max = s->n_max;
    const BEAM_REAL *pull = BEAM_REFINE_USER(r, PULL), *eta = BEAM_REFINE_USER(r, ETA);
    BEAM_EACH(t, k, s->L * s->U * n_max)
    {
        const int at = beam_gpu_over(k, s->by_n_max), c = k - at * n_max;
        const int l = beam_gpu_over(at, s->by_U), u = at - l * s->U;
        const BEAM_CPLX *g = BEAM_WORK(p, BEAM_CPLX, g) + at * n_max,
                        *y = BEAM_REFINE(r, BEAM_CPLX, correction) + at * n_max,
                        *turn = BEAM_WORK(p, BEAM_CPLX, turn) + l * n_max * n_max + c;
        const int mine = l == own[u] && c == row[u];
        BEAM_CPLX sum = {0, 0};
        for (int i = 0; eta[u] > 0 && i < rank[l] && c < first[l + 1] - first[l]; i++) {
            BEAM_CPLX x = g[i];
            BG(add_scaled)(&x, -1, y[i]);
            BG(add_conj_mul)(&sum, x, turn[i * n_max]);
        }
        BEAM_REFINE(r, BEAM_CPLX, pull)[k] = BG(scale)(mine ? pull[u] : -pull[u] * eta[u], sum);
    }
    BEAM_EACH(t, k, s->U * n_max)
    {
        const int u = beam_gpu_over(k, s->by_n_max), c = k - u * n_max, l = own[u];
        BEAM_CPLX *to = BEAM_REFINE(r, BEAM_CPLX, smooth) + 3 * k;
        BG(smooth_own) o = BG(smooth_own_at)(r, u, f->smoothing);
        if (!(BEAM_REFINE_USER(r, ACTIVE)[u] > 0) || c >= first[l + 1] - first[l]) {
            continue;
        }
        o.k = BEAM_REFINE_USER(r, K)[u];
        o.k11 = BEAM_REFINE_USER(r, K11)[u];
        o.f0 = BEAM_REFINE_USER(r, F0)[u];
        o.uu = BEAM_REFINE_USER(r, UU)[u];
        /* F^2 w = (F0 p0 - k z0 b, f_i^2 w_i - (c1 f_i + c2) u_i), b = u^H p, c2 = k conj(z0) p0 +
         * k11 b */
        const BG(smooth_row) v = BG(smooth_row_at)(&o, c);
        const BEAM_REAL scale = BG(smooth_weight)(r, f, u, c);
        const BEAM_CPLX z0 = BG(scale)(o.k, BG(own_z)(&o, 0));
        BEAM_CPLX b = v.s, c2 = {0, 0}, top = BG(scale)(o.f0, v.p0);
        BG(add_scaled)(&b, -o.uu, v.c1);
        BG(add_conj_mul)(&c2, z0, v.p0);
        BG(add_scaled)(&c2, o.k11, b);
        BG(add_mul)(&top, BG(scale)(-1, z0), b);
        to[0] = BG(scale)(scale, v.c1);
        to[1] = BG(scale)(scale, c2);
        to[2] = BG(scale)(scale, top);
    }
}

/* Curvature of the smoothing of the other cells' users along eigenvector i of station l. */
BEAM_HD void BG(smooth_spread)(const beam_team *t, const beam_gpu_refiner *r,
                               const beam_gpu_objective *f)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int *own = BEAM_CLUSTER(p, int, own), *rank = BEAM_WORK(p, int, rank);
    const BEAM_REAL *eps = BEAM_REFINE(r, BEAM_REAL, eps),
                    *shift = BEAM_REFINE(r, BEAM_REAL, shift), *pull = BEAM_REFINE_USER(r, PULL),
                    *eta = BEAM_REFINE_USER(r, ETA);
    BEAM_EACH(t, k, s->L * s->n_max)
    {
        const int l = beam_gpu_over(k, s->by_n_max), i = k - l * s->n_max;
        const BEAM_REAL *rho = BEAM_WORK(p, BEAM_REAL, rho) + l * s->n_max;
        BEAM_REAL sum = 0;
        for (int u = 0; i < rank[l] && u < s->U; u++) {
            const int at = l * s->U + u;
            if (l != own[u] && eps[at] > 0 && eta[u] > 0) {
                const BEAM_REAL mu = (BEAM_REAL)f->smoothing * eps[at];
                const BEAM_REAL part = (1 + shift[at]) / (1 - rho[i] / rho[0] + shift[at]);
                sum -= pull[u] * eta[u] * mu * mu / (BEAM_REAL)s->D * part * part;
            }
        }
        BEAM_REFINE(r, BEAM_REAL, spread)[k] = sum;
    }
}

/* Row `row` of the gradient along eigenvector i, in range coordinates. */
BEAM_HD BEAM_CPLX BG(smooth_turned)(const beam_gpu_refiner *r, const beam_gpu_objective *f, int row,
                                    int i)
{
    const beam_gpu_problem *p = &r->search;
    const beam_gpu_sizes *s = &p->plan->s;
    const int *own = BEAM_CLUSTER(p, int, own);
    const int l = beam_gpu_row_station(p, row), n_max = s->n_max;
    const int c = row - BEAM_CLUSTER(p, int, first)[l];
    const BEAM_CPLX *turn = BEAM_WORK(p, BEAM_CPLX, turn) + l * n_max * n_max + i * n_max;
    BEAM_CPLX sum = BG(scale)(BEAM_REFINE(r, BEAM_REAL, spread)[l * n_max + i], turn[c]);
    for (int u = 0; u < s->U; u++) {
        const int at = (l * s->U + u) * n_max, k = u * n_max;
        BG(add_mul)
        (&sum, BG(scale)(-1, BEAM_REFINE(r, BEAM_CPLX, pull)[at + c]),
         BEAM_REFINE(r, BEAM_CPLX, correction)[at + i]);
        if (own[u] != l || !(BEAM_REFINE_USER(r, ACTIVE)[u] > 0)) {
            continue;
        }
        const BEAM_CPLX *v = BEAM_REFINE(r, BEAM_CPLX, smooth) + 3 * (k + c);
        if (i == 0) {
            BG(add_scaled)(&sum, 1, v[2]);
            continue;
        }
        const BEAM_REAL inv = BEAM_REFINE(r, BEAM_REAL, inverse)[k + i],
                        part = BEAM_REFINE_USER(r, LAMBDA)[u] * inv;
        BEAM_CPLX both = v[1];
        BG(add_scaled)(&both, part, v[0]);
        BG(add_scaled)(&sum, BG(smooth_weight)(r, f, u, c) * part * part, turn[c]);
        BG(add_mul)(&sum, BG(scale)(-inv, turn[BEAM_CLUSTER(p, int, row)[u]]), both);
    }
    return sum;
}
