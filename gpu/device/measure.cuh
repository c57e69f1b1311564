/* Exact numbers of a point: worst-case rates (MATH 2) and CRLB of the resolved model (MATH 3).
 * In float64 in the full antenna space: the certificate of what is sent. In float32 in the
 * subspace: for searches. The caller puts the rows, scaled to budgets of 1, into work.vector. */

/* Channel of user u at station l and what it is to be multiplied with. */
BEAM_HD const beam_c32 *BG(measured_channel)(const beam_gpu_problem *p, int l, int u,
                                             BEAM_REAL *scale)
{
    const beam_gpu_sizes *s = &p->plan->s;
#if BEAM_GPU_BITS == 64
    *scale = BEAM_CLUSTER(p, double, scale)[l * s->U + u];
    return beam_gpu_channel(p, l, u);
#else
    *scale = 1;
    return BEAM_WORK(p, beam_c32, vectors) + (l * s->Q + u) * s->D;
#endif
}
BEAM_HD int BG(measured_dimension)(const beam_gpu_problem *p)
{
    return BEAM_GPU_BITS == 64 ? p->plan->s.N : p->plan->s.D;
}
/* Row q of a, D a of the targets. In float32 a and D a have about norm 1 (load.cuh). */
BEAM_HD const BEAM_CPLX *BG(measured_direction)(const beam_gpu_problem *p, int l, int q)
{
    const beam_gpu_sizes *s = &p->plan->s;
#if BEAM_GPU_BITS == 64
    return BEAM_CLUSTER(p, beam_c64, tx) + (l * 2 * s->J + q) * s->N;
#else
    return BEAM_WORK(p, beam_c32, vectors) + (l * s->Q + s->U + q) * s->D;
#endif
}

/* --- CRLB --------------------------------------------------------------------------------------
 */

/* proj[row][q] = t_q^H w, from work.vector. */
BEAM_HD void BG(project_targets)(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int q2 = 2 * s->J, dim = BG(measured_dimension)(p);
    const BEAM_CPLX *rows = BEAM_WORK(p, BEAM_CPLX, vector);
    BEAM_CPLX *proj = BEAM_WORK(p, BEAM_CPLX, projection);
    BEAM_EACH(t, i, s->rows * q2)
    {
        const int row = beam_gpu_over(i / 2, s->by_J), q = i - row * q2;
        const int l = beam_gpu_row_station(p, row);
        proj[i] = BG(dot)(dim, BG(measured_direction)(p, l, q), rows + row * dim);
    }
}

/* X0 and S of a pair; S as a sum of squares, so that nothing cancels. */
BEAM_HD void BG(echo)(const beam_gpu_problem *p, int l, int j, BEAM_REAL *X0, BEAM_REAL *S)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first);
    const BEAM_CPLX *proj = BEAM_WORK(p, BEAM_CPLX, projection) + 2 * j;
    const int q2 = 2 * s->J;
    const BEAM_REAL least = BEAM_GPU_BITS == 64 ? (BEAM_REAL)(1e-12 * s->N) : (BEAM_REAL)1e-12;
    BEAM_CPLX x1 = {0, 0};
    *X0 = *S = 0;
    for (int i = first[l]; i < first[l + 1]; i++) {
        *X0 += BG(norm2)(proj[i * q2]);
        BG(add_conj_mul)(&x1, proj[i * q2 + 1], proj[i * q2]);
    }
    if (!(*X0 > least)) {
        return;
    }
    const BEAM_CPLX c = BG(scale)(1 / *X0, x1);
    for (int i = first[l]; i < first[l + 1]; i++) {
        BEAM_CPLX b = proj[i * q2 + 1];
        const BEAM_CPLX a = BG(scale)(-1, proj[i * q2]);
        BG(add_conj_mul)(&b, c, a);
        *S += BG(norm2)(b);
    }
}

/* Sum over the targets that count, the same in every lane; INFINITY: one cannot be located. */
BEAM_HD double BG(crlb)(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *geometry = BEAM_CLUSTER(p, int, geometry);
    const int skip = *BEAM_CLUSTER(p, int, skip);
    const double V = ((double)s->N * s->N - 1) / 12;
    const double f0 = BEAM_GPU_BITS == 64 ? 1 : s->N,
                 f2 = BEAM_GPU_BITS == 64 ? 1 : s->N * (V > 0 ? V : 1);
    double sum = 0;
    BG(project_targets)(t, p);
    beam_team_sync(t);
    BEAM_EACH(t, j, s->J)
    {
        double xx = 0, xy = 0, yy = 0;
        for (int l = 0; geometry[j] && l < s->L; l++) {
            const double *P0 = BEAM_CLUSTER(p, double, P0) + 3 * (l * s->J + j);
            const double *P2 = BEAM_CLUSTER(p, double, P2) + 3 * (l * s->J + j);
            BEAM_REAL X0, S;
            BG(echo)(p, l, j, &X0, &S);
            const double w0 = f0 * (double)X0, w2 = f2 * (double)S;
            xx += w0 * P0[0] + w2 * P2[0];
            xy += w0 * P0[1] + w2 * P2[1];
            yy += w0 * P0[2] + w2 * P2[2];
        }
        const double trace = xx + yy, det = xx * yy - xy * xy;
        if (geometry[j] && trace > 0 && det > 1e-14 * trace * trace) {
            sum += trace / det;
        } else if (geometry[j] || !skip) {
            sum += (double)INFINITY;
        }
    }
    return beam_team_sum(t, sum);
}

/* --- Spectra of R_l ----------------------------------------------------------------------------
 */

/* Pair k of a round of the circle method over m (even) players: every pair meets once in m - 1
 * rounds, and the pairs of a round are disjoint. */
BEAM_HD void BG(pair_of)(int m, int round, int k, int *i, int *j)
{
    int a = round + k, b = round + m - 1 - k; /* modulo m - 1: below twice as much */
    a -= a >= m - 1 ? m - 1 : 0;
    b -= b >= m - 1 ? m - 1 : 0;
    a = k == 0 ? m - 1 : a;
    b = k == 0 ? round : b;
    *i = a < b ? a : b;
    *j = a < b ? b : a;
}

/* (x, y) <- (c x - s conj(e) y, s e x + c y) */
BEAM_HD void BG(rotate)(int n, BEAM_REAL c, BEAM_REAL sr, BEAM_REAL si, BEAM_CPLX *x, BEAM_CPLX *y)
{
    for (int k = 0; k < n; k++) {
        const BEAM_CPLX a = x[k], b = y[k];
        x[k].re = c * a.re - (sr * b.re + si * b.im);
        x[k].im = c * a.im - (sr * b.im - si * b.re);
        y[k].re = c * b.re + (sr * a.re - si * a.im);
        y[k].im = c * b.im + (sr * a.im + si * a.re);
    }
}

/* Rows x (the longer one first) and y made orthogonal; returns whether anything changed. */
BEAM_HD int BG(turn_pair)(int dim, int n, BEAM_REAL top, BEAM_CPLX *x, BEAM_CPLX *y, BEAM_CPLX *tx,
                          BEAM_CPLX *ty)
{
    BEAM_REAL a = BG(row_norm2)(dim, x), b = BG(row_norm2)(dim, y);
    int changed = 0;
    if (b > a) { /* larger first: the result is sorted */
        BG(rotate)(dim, 0, -1, 0, x, y);
        BG(rotate)(n, 0, -1, 0, tx, ty);
        const BEAM_REAL kept = a;
        a = b;
        b = kept;
        changed = 1;
    }
    const BEAM_CPLX d = BG(dot)(dim, x, y);
    const BEAM_REAL g = BEAM_SQRT(BG(norm2)(d));
    if (b <= BEAM_NEGLIGIBLE * top || !(g > BEAM_JACOBI_TOLERANCE * BEAM_SQRT(a) * BEAM_SQRT(b))) {
        return changed;
    }
    const BEAM_REAL zeta = (b - a) / (2 * g), root = BEAM_SQRT(1 + zeta * zeta);
    const BEAM_REAL tangent = zeta > 0 ? 1 / (zeta + root) : -1 / (root - zeta);
    const BEAM_REAL c = 1 / BEAM_SQRT(1 + tangent * tangent), s = c * tangent / g;
    BG(rotate)(dim, c, s * d.re, s * d.im, x, y);
    BG(rotate)(n, c, s * d.re, s * d.im, tx, ty);
    return 1;
}

/* One-sided Jacobi on the rows of all stations at once: afterwards row i of station l is the i-th
 * eigenvector, rho its squared length (0 beyond rank), and turn[c + i n_max] = u_i^H w_c. */
BEAM_HD void BG(spectra)(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first);
    const int n_max = s->n_max, m = n_max + n_max % 2, dim = BG(measured_dimension)(p);
    BEAM_CPLX *rows = BEAM_WORK(p, BEAM_CPLX, vector), *turn = BEAM_WORK(p, BEAM_CPLX, turn);
    BEAM_REAL *rho = BEAM_WORK(p, BEAM_REAL, rho);
    int *rank = BEAM_WORK(p, int, rank);
    const int square = n_max * n_max;
    const unsigned by_pairs = beam_gpu_by(m / 2);
    BEAM_EACH(t, i, s->L * square)
    {
        const int line = beam_gpu_over(i, s->by_n_max);
        const int l = beam_gpu_over(line, s->by_n_max);
        const BEAM_CPLX entry = {(BEAM_REAL)(line - l * n_max == i - line * n_max), 0};
        turn[i] = entry;
    }
    BEAM_EACH(t, l, s->L) /* the power: a scale for what is negligible */
    {
        rho[l * n_max] = BG(row_norm2)((first[l + 1] - first[l]) * dim, rows + first[l] * dim);
    }
    beam_team_sync(t);
    for (int sweep = 0; sweep < 40; sweep++) {
        int changed = 0;
        for (int round = 0; round < m - 1; round++) {
            BEAM_EACH(t, k, s->L * (m / 2))
            {
                const int l = beam_gpu_over(k, by_pairs);
                int i, j;
                BG(pair_of)(m, round, k - l * (m / 2), &i, &j);
                if (j < first[l + 1] - first[l]) {
                    BEAM_CPLX *x = rows + (first[l] + i) * dim, *y = rows + (first[l] + j) * dim;
                    BEAM_CPLX *tx = turn + l * square + i * n_max,
                              *ty = turn + l * square + j * n_max;
                    changed |=
                        BG(turn_pair)(dim, n_max, rho[l * n_max] / (BEAM_REAL)n_max, x, y, tx, ty);
                }
            }
            beam_team_sync(t);
        }
        if (!beam_team_any(t, changed)) {
            break;
        }
    }
    BEAM_EACH(t, l, s->L)
    {
        const int n = first[l + 1] - first[l];
        BEAM_REAL *r = rho + l * n_max;
        rank[l] = 0;
        for (int i = 0; i < n; i++) {
            const BEAM_REAL value = BG(row_norm2)(dim, rows + (first[l] + i) * dim);
            r[i] = value;
            if (value > 0 && value > BEAM_RANK_CUT * r[0]) {
                rank[l] = rank[l] == i ? i + 1 : rank[l];
            }
        }
    }
    beam_team_sync(t);
    BEAM_EACH(t, k, s->L * square) /* w_c = sum_i conj(J[c][i]) vector_i */
    {
        const int line = beam_gpu_over(k, s->by_n_max), l = beam_gpu_over(line, s->by_n_max);
        const int i = line - l * n_max;
        const int used = i < rank[l];
        const BEAM_REAL sigma = used ? BEAM_SQRT(rho[l * n_max + i]) : 0;
        turn[k].re *= sigma;
        turn[k].im *= -sigma;
    }
    beam_team_sync(t);
}

/* g[l][u][i] = u_i^H h */
BEAM_HD void BG(coordinates)(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *rank = BEAM_WORK(p, int, rank);
    const int n_max = s->n_max, dim = BG(measured_dimension)(p);
    const BEAM_CPLX *rows = BEAM_WORK(p, BEAM_CPLX, vector);
    const BEAM_REAL *rho = BEAM_WORK(p, BEAM_REAL, rho);
    BEAM_CPLX *g = BEAM_WORK(p, BEAM_CPLX, g);
    BEAM_EACH(t, k, s->L * s->U * n_max)
    {
        const int link = beam_gpu_over(k, s->by_n_max), l = beam_gpu_over(link, s->by_U);
        const int i = k - link * n_max, u = link - l * s->U;
        BEAM_CPLX sum = {0, 0};
        if (i < rank[l]) {
            BEAM_REAL scale;
            const beam_c32 *h = BG(measured_channel)(p, l, u, &scale);
            const BEAM_CPLX *v = rows + (first[l] + i) * dim;
            for (int d = 0; d < dim; d++) {
                const BEAM_CPLX x = {(BEAM_REAL)h[d].re, (BEAM_REAL)h[d].im};
                BG(add_conj_mul)(&sum, v[d], x);
            }
            sum = BG(scale)(scale / BEAM_SQRT(rho[l * n_max + i]), sum);
        }
        g[k] = sum;
    }
}

/* --- Worst case --------------------------------------------------------------------------------
 */

/* |x^H v|^2 and the power of the station's other rows at x, in range coordinates. */
BEAM_HD void BG(own_terms)(int n, int q, int n_max, int mine, const BEAM_CPLX *turn,
                           const BEAM_CPLX *x, BEAM_REAL *signal, BEAM_REAL *own)
{
    *signal = *own = 0;
    for (int c = 0; c < n; c++) {
        BEAM_CPLX sum = {0, 0};
        for (int i = 0; i < q; i++) {
            BG(add_conj_mul)(&sum, x[i], turn[i * n_max + c]);
        }
        if (c == mine) {
            *signal = BG(norm2)(sum);
        } else {
            *own += BG(norm2)(sum);
        }
    }
}

/* What own_sinr works on: one user at its station. */
typedef struct BG(own_user) {
    int n, q, n_max, mine; /* rows, rank, stride, its row */
    const BEAM_CPLX *turn, *g;
    const BEAM_REAL *rho;
    BEAM_REAL eps, interference;
    BG(own_scratch) s;
} BG(own_user);

BEAM_HD BEAM_REAL BG(ratio_at)(const BG(own_user) * o, const BEAM_CPLX *x)
{
    BEAM_REAL signal, own;
    BG(own_terms)(o->n, o->q, o->n_max, o->mine, o->turn, x, &signal, &own);
    return signal / (own + o->interference);
}

/* A ratio that errors of the ball reach, near the worst (engine: reached_ratio). */
BEAM_HD BEAM_REAL BG(reached_ratio)(const BG(own_user) * o, BEAM_REAL vv, BEAM_REAL nominal)
{
    const int q = o->q;
    BEAM_CPLX *x = o->s.x, along = BG(dot)(q, o->s.z, o->g);
    BEAM_REAL best = nominal, take = o->eps / BEAM_SQRT(BG(norm2)(along) * vv);
    for (int i = 0; i < q; i++) {
        x[i] = o->g[i];
        BG(add_mul)(&x[i], BG(scale)(-take, along), o->s.z[i]);
    }
    for (int k = 0; k < 3; k++) {
        const BEAM_REAL ratio = BG(ratio_at)(o, x);
        if (!(ratio < best)) {
            break;
        }
        best = ratio;
        along = BG(scale)(1 + ratio, BG(dot)(q, o->s.z, x));
        BEAM_REAL norm2 = 0;
        for (int i = 0; i < q; i++) {
            x[i] = BG(scale)(-ratio * o->rho[i], x[i]);
            BG(add_mul)(&x[i], along, o->s.z[i]);
            norm2 += BG(norm2)(x[i]);
        }
        if (!(norm2 > 0)) {
            break;
        }
        const BEAM_REAL step = -o->eps / BEAM_SQRT(norm2);
        for (int i = 0; i < q; i++) {
            BEAM_CPLX at = o->g[i];
            BG(add_scaled)(&at, step, x[i]);
            x[i] = at;
        }
    }
    return best;
}

/* The worst SINR of a user: Dinkelbach downwards from a ratio that is reached; every step a global
 * trust-region problem (engine: own_exact). */
BEAM_HD BEAM_REAL BG(own_sinr)(const BG(own_user) * o)
{
    BEAM_REAL signal, own, vv = 0, shift = 0, last = 0;
    for (int i = 0; i < o->q; i++) {
        o->s.z[i] = o->turn[i * o->n_max + o->mine];
        vv += BG(norm2)(o->s.z[i]);
    }
    BG(own_terms)(o->n, o->q, o->n_max, o->mine, o->turn, o->g, &signal, &own);
    BEAM_REAL eta = signal / (own + o->interference);
    if (!(o->eps > 0) || o->q == 0) {
        return eta;
    }
    if (signal <= o->eps * o->eps * vv) { /* the ball reaches x^H v = 0 */
        return 0;
    }
    if (o->q > 1) {
        eta = BG(reached_ratio)(o, vv, eta);
    }
    for (int round = 0; round < 60 && eta > 0; round++) {
        BG(own_minimise)(o->q, o->rho, o->s.z, o->g, o->eps, eta, &shift, &o->s);
        const BEAM_REAL next = BG(ratio_at)(o, o->s.x), fall = 1 - next / eta;
        eta = next < eta ? next : eta;
        if (!(fall > 10 * BEAM_ROUNDING) ||
            (fall < BEAM_SMALL_FALL && fall * fall * fall < 10 * BEAM_ROUNDING * last * last)) {
            break;
        }
        last = fall;
    }
    return eta;
}

/* Weighted worst-case sum rate of work.vector (destroyed), the same in every lane; *shortfall: of
 * the minimum rates. Fills work.sinr and work.rate (bit/s/Hz). */
BEAM_HD double BG(rates)(const beam_team *t, const beam_gpu_problem *p, double *shortfall)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *own = BEAM_CLUSTER(p, int, own),
              *row = BEAM_CLUSTER(p, int, row);
    const double *radius = BEAM_WORK(p, double, radius), *weight = BEAM_CLUSTER(p, double, weight),
                 *least = BEAM_CLUSTER(p, double, min_rate);
    const int n_max = s->n_max, bytes = (BG(own_scratch_bytes)(n_max) + 15) / 16 * 16;
    const BEAM_CPLX *g = BEAM_WORK(p, BEAM_CPLX, g);
    const BEAM_REAL *rho = BEAM_WORK(p, BEAM_REAL, rho);
    BEAM_REAL *cross = BEAM_WORK(p, BEAM_REAL, cross);
    double *sinr = BEAM_WORK(p, double, sinr), *rate = BEAM_WORK(p, double, rate);
    const int *rank = BEAM_WORK(p, int, rank);
    BG(spectra)(t, p);
    BG(coordinates)(t, p);
    beam_team_sync(t);
    BEAM_EACH(t, k, s->L * s->U)
    {
        const int l = beam_gpu_over(k, s->by_U), u = k - l * s->U;
        const BEAM_REAL eps = (BEAM_REAL)radius[k], *r = rho + l * n_max;
        BEAM_REAL value = 0;
        if (l != own[u] && rank[l] > 0 && eps > 0) {
            value = BG(cross_value)(rank[l], r, g + k * n_max, eps);
        } else if (l != own[u]) {
            for (int i = 0; i < rank[l]; i++) {
                value += r[i] * BG(norm2)(g[k * n_max + i]);
            }
        }
        cross[k] = value;
    }
    beam_team_sync(t);
    BEAM_EACH(t, u, s->U)
    {
        const int l = own[u];
        BG(own_user) o;
        o.n = first[l + 1] - first[l];
        o.q = rank[l];
        o.n_max = n_max;
        o.mine = row[u];
        o.turn = BEAM_WORK(p, BEAM_CPLX, turn) + l * n_max * n_max;
        o.g = g + (l * s->U + u) * n_max;
        o.rho = rho + l * n_max;
        o.eps = (BEAM_REAL)radius[l * s->U + u];
        o.interference = 1;
        for (int m = 0; m < s->L; m++) {
            o.interference += cross[m * s->U + u];
        }
        o.s = BG(own_scratch_at)(BEAM_WORK(p, unsigned char, scratch) + u * bytes, n_max);
        const BEAM_REAL value = BG(own_sinr)(&o);
        sinr[u] = (double)value;
        rate[u] = (double)BEAM_LOG1P(value) * 1.4426950408889634074;
    }
    beam_team_sync(t);
    double wsr = 0;
    *shortfall = 0;
    for (int u = 0; u < s->U; u++) {
        wsr += weight[u] * rate[u];
        *shortfall += rate[u] < least[u] ? least[u] - rate[u] : 0;
    }
    return wsr;
}
