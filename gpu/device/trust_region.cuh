/* The trust-region problems of MATH 2 in the eigenbasis of R_l, of one lane: engine/model/
 * trust_region.c without vectors and without arrays that are not needed. For either precision.
 *
 * Cross: max_{|x-g|<=eps} x^H diag(rho) x. Own: min_{|x-g|<=eps} x^H A x with A = z z^H - eta Q',
 * Q' = diag(rho) - z z^H, a rank-one change of -eta diag(rho). rho falls. */

/* The shift s >= 0 of the cross problem: sum_i (rho_i |g_i|/(d_i+s))^2 = eps^2, d_i = rho_0 -
 * rho_i, by Newton on 1/norm. 0: the hard case. */
BEAM_HD BEAM_REAL BG(cross_shift)(int n, const BEAM_REAL *rho, const BEAM_CPLX *g, BEAM_REAL eps)
{
    const BEAM_REAL least = BEAM_LEAST_SHIFT;
    BEAM_REAL s = 0;
    for (int i = 0; i < n; i++) {
        const BEAM_REAL t = rho[i] * BEAM_SQRT(BG(norm2)(g[i])) / eps - (rho[0] - rho[i]);
        s = t > s ? t : s;
    }
    s = s > least ? s : least;
    for (int round = 0; round < 100; round++) {
        BEAM_REAL n2 = 0, slope = 0;
        for (int i = 0; i < n; i++) {
            const BEAM_REAL inv = 1 / (rho[0] - rho[i] + s), a = rho[i] * inv;
            const BEAM_REAL t = a * a * BG(norm2)(g[i]);
            n2 += t;
            slope += t * inv;
        }
        const BEAM_REAL norm = BEAM_SQRT(n2);
        if (s <= least && !(norm > eps)) {
            return 0;
        }
        BEAM_REAL next = s + (norm - eps) * n2 / (eps * slope);
        if (!(next > least)) {
            next = round < 2 && s > 1000 * least ? s / 1000 : least;
        }
        const BEAM_REAL moved = BEAM_FABS(next - s);
        s = next;
        if (moved <= BEAM_ROUNDING * s) {
            break;
        }
    }
    return s;
}

/* Its value. n >= 1, eps > 0. */
BEAM_HD BEAM_REAL BG(cross_value)(int n, const BEAM_REAL *rho, const BEAM_CPLX *g, BEAM_REAL eps)
{
    const BEAM_REAL s = BG(cross_shift)(n, rho, g, eps);
    BEAM_REAL used = 0, value = 0;
    for (int i = 0; i < n; i++) {
        const BEAM_REAL d = rho[0] - rho[i] + s, f = d > 0 ? rho[i] / d : 0;
        used += f * f * BG(norm2)(g[i]);
    }
    if (s > 0) { /* x = g + fit rho g/(d+s) */
        const BEAM_REAL fit = eps / BEAM_SQRT(used);
        for (int i = 0; i < n; i++) {
            const BEAM_REAL x = 1 + fit * rho[i] / (rho[0] - rho[i] + s);
            value += rho[i] * x * x * BG(norm2)(g[i]);
        }
        return value;
    }
    const BEAM_REAL rest = eps * eps - used, pad = rest > 0 ? BEAM_SQRT(rest) : 0;
    for (int i = 0; i < n; i++) {
        const BEAM_REAL d = rho[0] - rho[i], x = 1 + (d > 0 ? rho[i] / d : 0);
        BEAM_REAL length = x * BEAM_SQRT(BG(norm2)(g[i]));
        length += i == 0 ? pad : 0;
        value += rho[i] * length * length;
    }
    return value;
}

/* theta >= 0 of the least eigenvalue a_0 = theta - eta rho_0 of A, and *gap1 = eta (rho_0 - rho_1)
 * - theta, both accurate relative to themselves (engine: beam_own_least). n >= 2. */
BEAM_HD BEAM_REAL BG(own_least)(int n, const BEAM_REAL *rho, const BEAM_CPLX *z, BEAM_REAL eta,
                                BEAM_REAL *gap1)
{
    const BEAM_REAL omega = 1 + eta, top = omega * BG(norm2)(z[0]),
                    delta1 = eta * (rho[0] - rho[1]);
    if (!(delta1 > BEAM_ROUNDING * eta * rho[0]) || !(top > 0)) {
        *gap1 = delta1 > 0 ? delta1 : 0;
        return 0;
    }
    BEAM_REAL total = top, gap = delta1, sigma = 0;
    for (int i = 1; i < n; i++) {
        total += omega * BG(norm2)(z[i]);
    }
    for (int round = 0; round < 60; round++) {
        BEAM_REAL sum = 0, slope = 0;
        for (int i = 1; i < n; i++) {
            const BEAM_REAL inv = 1 / (eta * (rho[1] - rho[i]) + gap);
            const BEAM_REAL t = omega * BG(norm2)(z[i]) * (eta * (rho[0] - rho[i])) * inv;
            sum += t;
            slope += t * inv;
        }
        const BEAM_REAL B = slope * gap * gap, A = sum - slope * gap, h = total - A - delta1;
        const BEAM_REAL root = BEAM_SQRT(h * h + 4 * B);
        const BEAM_REAL next = h > 0 ? 2 * B / (h + root) : (root - h) / 2;
        if (!(next > BEAM_LEAST_GAP)) {
            *gap1 = 0;
            return delta1;
        }
        const BEAM_REAL moved = BEAM_FABS(next - gap);
        gap = next < delta1 ? next : delta1;
        if (moved <= BEAM_ROUNDING * gap) {
            break;
        }
    }
    for (int i = 1; i < n; i++) {
        sigma += BG(norm2)(z[i]) / (eta * (rho[1] - rho[i]) + gap);
    }
    *gap1 = gap;
    return top / (1 + omega * sigma);
}

/* A_0, the gaps and what a solve needs of them. */
typedef struct BG(own_problem) {
    int n;
    const BEAM_REAL *rho;
    const BEAM_CPLX *z;
    BEAM_REAL eta, theta, gap1, minus_a0, sigma_bottom, schur_bottom;
} BG(own_problem);

BEAM_HD BEAM_REAL BG(own_bottom)(const BG(own_problem) * t, int i)
{
    const BEAM_REAL w = t->eta * (t->rho[1] - t->rho[i]) + t->gap1;
    return w > 0 ? w : 0;
}

BEAM_HD void BG(own_prepare)(BG(own_problem) * t, int n, const BEAM_REAL *rho, const BEAM_CPLX *z,
                             BEAM_REAL eta)
{
    t->n = n;
    t->rho = rho;
    t->z = z;
    t->eta = eta;
    t->theta = BG(own_least)(n, rho, z, eta, &t->gap1);
    t->minus_a0 = eta * rho[1] + t->gap1;
    t->sigma_bottom = 0;
    for (int i = 1; i < n; i++) {
        const BEAM_REAL w = BG(own_bottom)(t, i);
        t->sigma_bottom += w > 0 ? BG(norm2)(z[i]) / w : 0;
    }
    const BEAM_REAL omega = 1 + eta;
    const BEAM_REAL rest = omega * BG(norm2)(z[0]) / (1 + omega * t->sigma_bottom) - t->theta;
    t->schur_bottom = t->theta > 0 && !(t->gap1 > 0) && rest > 0 ? rest : 0;
}

/* A unit vector of the bottom eigenspace. */
BEAM_HD void BG(own_bottom_vector)(const BG(own_problem) * t, BEAM_CPLX *v)
{
    const int n = t->n;
    const BEAM_CPLX *z = t->z;
    const BEAM_CPLX zero = {0, 0}, one = {1, 0};
    for (int i = 0; i < n; i++) {
        v[i] = zero;
    }
    if (t->theta > 0 && !(BG(own_bottom)(t, 1) > 0)) { /* deflated: the second coordinate */
        v[1] = one;
        return;
    }
    v[0] = one;
    if (t->theta <= 0 && !(BG(own_bottom)(t, 1) > 0)) { /* tie: orthogonal to z */
        const BEAM_REAL s = BG(norm2)(z[0]) + BG(norm2)(z[1]);
        if (s > 0) {
            const BEAM_REAL f = 1 / BEAM_SQRT(s);
            v[0].re = f * z[1].re;
            v[0].im = -f * z[1].im;
            v[1].re = -f * z[0].re;
            v[1].im = f * z[0].im;
        }
        return;
    }
    const BEAM_REAL omega = 1 + t->eta, c = omega / (1 + omega * t->sigma_bottom);
    for (int i = 1; i < n; i++) { /* y_i = -c conj(z_0) z_i / w_i */
        const BEAM_REAL f = -c / BG(own_bottom)(t, i);
        BG(add_conj_mul)(&v[i], z[0], z[i]);
        v[i] = BG(scale)(f, v[i]);
    }
    const BEAM_REAL fit = 1 / BEAM_SQRT(BG(row_norm2)(n, v));
    for (int i = 0; i < n; i++) {
        v[i] = BG(scale)(fit, v[i]);
    }
}

/* y = E g, E = A (A+lambda)^-1 at lambda = s - a_0, its squared norm, and y^H (A+lambda)^-1 y. The
 * Schur complement is a sum of positive terms: no cancellation however small s. 0: not positive
 * definite or not a number. */
BEAM_HD int BG(own_system)(const BG(own_problem) * t, BEAM_REAL s, const BEAM_CPLX *g, BEAM_CPLX *y,
                           BEAM_REAL *norm2, BEAM_REAL *slope)
{
    const int n = t->n;
    const BEAM_CPLX *z = t->z;
    const BEAM_REAL omega = 1 + t->eta, lambda = s + t->minus_a0, zz0 = BG(norm2)(z[0]);
    BEAM_REAL sigma = 0, cross = 0;
    BEAM_CPLX gu = {0, 0}; /* u^H g, u_i = z_i / w_i */
    for (int i = 1; i < n; i++) {
        const BEAM_REAL bottom = BG(own_bottom)(t, i), inv = 1 / (bottom + s);
        const BEAM_REAL zz = BG(norm2)(z[i]);
        sigma += zz * inv;
        cross += bottom > 0 ? zz / bottom * inv : 0;
        BG(add_conj_mul)(&gu, BG(scale)(inv, z[i]), g[i]);
    }
    const BEAM_REAL kappa = omega / (1 + omega * sigma);
    const BEAM_REAL schur =
        t->theta <= 0
            ? s + kappa * zz0
            : t->schur_bottom + s * (1 + omega * omega * zz0 * cross /
                                             ((1 + omega * sigma) * (1 + omega * t->sigma_bottom)));
    if (!(schur > 0) || !(kappa > 0)) {
        return 0;
    }
    const BEAM_REAL tau = 1 / schur, w0 = s - t->theta, k = lambda * kappa * tau;
    const BEAM_REAL e0 =
        (lambda > 4 * schur ? schur - lambda : kappa * zz0 - t->eta * t->rho[0]) * tau;
    BEAM_CPLX c = BG(scale)(k * w0, gu), yu = {0, 0}, turned = {0, 0};
    BG(add_conj_mul)(&turned, z[0], g[0]);
    BG(add_scaled)(&c, k, turned);
    BEAM_REAL sum = 0, n2 = 0;
    for (int i = 1; i < n; i++) {
        const BEAM_REAL inv = 1 / (BG(own_bottom)(t, i) + s);
        const BEAM_CPLX u = BG(scale)(inv, z[i]);
        BEAM_CPLX out = BG(scale)(-t->eta * t->rho[i] * inv, g[i]);
        BG(add_mul)(&out, c, u);
        y[i] = out;
        BG(add_conj_mul)(&yu, u, out);
        n2 += BG(norm2)(out);
        sum += inv * BG(norm2)(out);
    }
    y[0] = BG(scale)(e0, g[0]);
    BG(add_mul)(&y[0], BG(scale)(k, z[0]), gu);
    BEAM_CPLX first = y[0];
    BG(add_mul)(&first, BG(scale)(-kappa, z[0]), yu);
    *norm2 = n2 + BG(norm2)(y[0]);
    *slope = sum - kappa * BG(norm2)(yu) + BG(norm2)(first) * tau;
    return 1;
}

/* Two or more coordinates; where the first ones are tied z is zero in all of them but the first.
 * x, y, v: n each; *warm: shift of the last solve, 0: none. */
BEAM_HD void BG(own_range)(int n, const BEAM_REAL *rho, const BEAM_CPLX *z, const BEAM_CPLX *g,
                           BEAM_REAL eps, BEAM_REAL eta, BEAM_REAL *warm, BEAM_CPLX *x,
                           BEAM_CPLX *y, BEAM_CPLX *v)
{
    BG(own_problem) t;
    BG(own_prepare)(&t, n, rho, z, eta);
    BG(own_bottom_vector)(&t, v);
    const BEAM_CPLX along = BG(dot)(n, v, g), zero = {0, 0};
    const BEAM_REAL size = BEAM_SQRT(BG(norm2)(along));
    const BEAM_REAL tiny = BEAM_LEAST_SHIFT + BEAM_LEAST_SHIFT_SHARE * t.minus_a0;
    const BEAM_REAL bound = t.minus_a0 * size / eps, least = bound > tiny ? bound : tiny;
    BEAM_REAL s = *warm > least ? *warm : least, n2 = 0, slope = 0;
    for (int i = 0; i < n; i++) {
        y[i] = zero;
    }
    for (int round = 0; round < 100; round++) {
        if (!BG(own_system)(&t, s, g, y, &n2, &slope)) {
            break;
        }
        const BEAM_REAL norm = BEAM_SQRT(n2);
        if (s <= tiny && norm <= eps) { /* hard case: x = g - y padded along v */
            const BEAM_REAL rest = eps * eps - n2, pad = rest > 0 ? BEAM_SQRT(rest) : 0;
            const BEAM_CPLX one = {1, 0};
            const BEAM_CPLX turn = size > 0 ? BG(scale)(1 / size, along) : one;
            for (int i = 0; i < n; i++) {
                x[i].re = g[i].re - y[i].re;
                x[i].im = g[i].im - y[i].im;
                BG(add_mul)(&x[i], BG(scale)(pad, turn), v[i]);
            }
            return;
        }
        BEAM_REAL next = s + (norm - eps) * n2 / (eps * slope);
        next = next > least ? next : least;
        const BEAM_REAL last = s;
        s = next;
        if (round > 0 ? !(s > last * (1 + 10 * BEAM_ROUNDING))
                      : BEAM_FABS(s - last) <= 10 * BEAM_ROUNDING * s) {
            break;
        }
    }
    *warm = s;
    const BEAM_REAL norm = BEAM_SQRT(BG(row_norm2)(n, y)), fit = norm > 0 ? -eps / norm : 0;
    for (int i = 0; i < n; i++) {
        x[i] = g[i];
        BG(add_scaled)(&x[i], fit, y[i]);
    }
}

/* The first m coordinates of x reflected (Householder, its own inverse). */
BEAM_HD void BG(reflect)(int m, const BEAM_CPLX *w, BEAM_REAL norm2, BEAM_CPLX *x)
{
    const BEAM_CPLX c = BG(scale)(-2 / norm2, BG(dot)(m, w, x));
    for (int i = 0; i < m; i++) {
        BG(add_mul)(&x[i], c, w[i]);
    }
}

/* Scratch of the own problem of one user: arrays of n. */
typedef struct BG(own_scratch) {
    BEAM_CPLX *z, *x, *y, *v, *zt, *gt, *w;
    BEAM_REAL *rho;
} BG(own_scratch);
/* Bytes of it. */
BEAM_HD int BG(own_scratch_bytes)(int n)
{
    return n * (7 * (int)sizeof(BEAM_CPLX) + (int)sizeof(BEAM_REAL));
}
BEAM_HD BG(own_scratch) BG(own_scratch_at)(void *memory, int n)
{
    BG(own_scratch) s;
    s.z = (BEAM_CPLX *)memory;
    s.x = s.z + n;
    s.y = s.x + n;
    s.v = s.y + n;
    s.zt = s.v + n;
    s.gt = s.zt + n;
    s.w = s.gt + n;
    s.rho = (BEAM_REAL *)(s.w + n);
    return s;
}

/* The first m eigenvalues are one: in the basis of their space that holds z in a single vector
 * nothing cancels (engine: minimise_tied). Leaves the problem in that basis in s->rho, zt and gt;
 * returns the squared length of the reflection s->w, 0: none. */
BEAM_HD BEAM_REAL BG(own_untie)(int m, int n, const BEAM_REAL *rho, const BEAM_CPLX *z,
                                const BEAM_CPLX *g, const BG(own_scratch) * s)
{
    BEAM_REAL norm2 = 0;
    const BEAM_CPLX zero = {0, 0}, one = {1, 0};
    for (int i = 0; i < n; i++) {
        s->rho[i] = i < m ? rho[0] : rho[i];
        s->zt[i] = s->w[i] = z[i];
        s->gt[i] = g[i];
        norm2 += i < m ? BG(norm2)(z[i]) : 0;
    }
    const BEAM_REAL length = BEAM_SQRT(norm2), first = BEAM_SQRT(BG(norm2)(z[0]));
    if (!(length > 0)) {
        return 0;
    }
    /* w = z + phase(z_0) |z| e_0 */
    BG(add_scaled)(&s->w[0], length, first > 0 ? BG(scale)(1 / first, z[0]) : one);
    norm2 = 2 * length * (length + first);
    BG(reflect)(m, s->w, norm2, s->zt);
    BG(reflect)(m, s->w, norm2, s->gt);
    for (int i = 1; i < m; i++) {
        s->zt[i] = zero;
    }
    return norm2;
}

/* Global minimiser s->x of x^H A x over the ball. n >= 1. */
BEAM_HD void BG(own_minimise)(int n, const BEAM_REAL *rho, const BEAM_CPLX *z, const BEAM_CPLX *g,
                              BEAM_REAL eps, BEAM_REAL eta, BEAM_REAL *warm,
                              const BG(own_scratch) * s)
{
    if (n == 1) {
        const BEAM_REAL a = (1 + eta) * BG(norm2)(z[0]) - eta * rho[0];
        const BEAM_REAL norm = BEAM_SQRT(BG(norm2)(g[0]));
        const BEAM_CPLX edge = {eps, 0};
        if (a >= 0) {
            s->x[0] = BG(scale)(norm > eps ? 1 - eps / norm : 0, g[0]);
        } else {
            s->x[0] = norm > 0 ? BG(scale)(1 + eps / norm, g[0]) : edge;
        }
        return;
    }
    int tied = 1;
    while (tied < n && rho[0] - rho[tied] <= BEAM_TIE * rho[0]) {
        tied++;
    }
    const BEAM_REAL turned = tied > 1 ? BG(own_untie)(tied, n, rho, z, g, s) : 0;
    BG(own_range)
    (n, tied > 1 ? s->rho : rho, tied > 1 ? s->zt : z, tied > 1 ? s->gt : g, eps, eta, warm, s->x,
     s->y, s->v);
    if (turned > 0) {
        BG(reflect)(tied, s->w, turned, s->x);
    }
}
