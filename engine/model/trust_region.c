#include "model/trust_region.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

/* Eigenvalues at the top of R_l that differ by less than this share of it are taken as one: the
 * same error as that of the worst-case terms themselves. */
static const double tie = 1e-10;

double beam_secular_root(int n, const double *w, const double *d, double eps, double s0)
{
    double s = s0;
    if (!(s > 0.0)) {
        s = 0.0;
        for (int i = 0; i < n; i++) {
            const double t = sqrt(w[i]) / eps - d[i];
            s = t > s ? t : s;
        }
    }
    if (!(s > 0.0)) {
        s = 1e-300;
    }
    for (int it = 0; it < 100; it++) {
        double n2 = 0.0, slope = 0.0;
        for (int i = 0; i < n; i++) {
            const double inv = 1.0 / (d[i] + s), t = w[i] * inv * inv;
            n2 += t;
            slope += t * inv;
        }
        const double norm = sqrt(n2);
        if (s <= 1e-300 && !(norm > eps)) {
            return 0.0;
        }
        const double step = (norm - eps) * n2 / (eps * slope);
        double next = s + step;
        if (!(next > 0.0)) {
            next = it < 2 ? 1e-3 * s : 1e-300;
        }
        const double moved = fabs(next - s);
        s = next;
        if (moved <= 1e-15 * s) {
            break;
        }
    }
    return s;
}

/* Everything of E from the diagonal w_i = b_i + lambda (i >= 1; w_0 may have any sign) and the
 * Schur complement. */
static int own_fill(beam_own_system *o, int n, int qp, const double *rho, const double *z,
                    double eta, double lambda, const double *w, double w0, double schur_known)
{
    const double omega = 1.0 + eta;
    beam_v4 sum = {0}, uu = {0};
    o->n = n;
    o->qp = qp;
    o->lambda = lambda;
    o->z0r = z[0];
    o->z0i = z[qp];
    o->zz0 = z[0] * z[0] + z[qp] * z[qp];
    for (int i = 0; i < qp; i += 4) {
        const beam_v4 wi = beam_v4_load(w + i), zr = beam_v4_load(z + i),
                      zi = beam_v4_load(z + qp + i);
        beam_v4 inv = 1.0 / wi;
        beam_v4 ur = zr * inv, ui = zi * inv, e = -eta * beam_v4_load(rho + i) * inv;
        if (i == 0) {
            ur[0] = 0.0;
            ui[0] = 0.0;
            e[0] = 0.0;
            inv[0] = 0.0;
        }
        beam_v4_store(o->u + i, ur);
        beam_v4_store(o->u + qp + i, ui);
        beam_v4_store(o->e + i, e);
        beam_v4_store(o->inv + i, inv);
        sum += ur * zr + ui * zi;
        uu += ur * ur + ui * ui;
    }
    const double kappa = omega / (1.0 + omega * beam_v4_sum(sum));
    o->kappa = kappa;
    const double direct = w0 + kappa * o->zz0;
    o->schur = schur_known > 0.0 ? schur_known : direct;
    if (!(o->schur > 0.0) || !(kappa > 0.0)) {
        return 0;
    }
    const double tau = 1.0 / o->schur;
    o->uu = beam_v4_sum(uu);
    o->e0 = (schur_known > 0.0 && lambda > 4.0 * schur_known ? schur_known - lambda
                                                             : -eta * rho[0] + kappa * o->zz0) *
            tau;
    o->k = lambda * kappa * tau;
    o->k11 = lambda * kappa * w0 * tau;
    return 1;
}

int beam_own_system_set(beam_own_system *o, int n, int qp, const double *rho, const double *z,
                        double eta, double lambda)
{
    double w[BEAM_RANK_MAX];
    if (!(lambda > 0.0) || (n > 1 && !(lambda - eta * rho[1] > 0.0))) {
        return 0;
    }
    for (int i = 0; i < qp; i += 4) {
        beam_v4_store(w + i, lambda - eta * beam_v4_load(rho + i));
    }
    const double w0 = w[0];
    w[0] = 1.0;
    return own_fill(o, n, qp, rho, z, eta, lambda, w, w0, 0.0);
}

static void range_dot(const beam_own_system *o, const double *g, double *re, double *im)
{
    beam_row_dot(o->qp, o->u, g, re, im); /* u_0 = 0 */
}

void beam_own_system_apply(const beam_own_system *o, const double *g, double *y)
{
    const int qp = o->qp;
    double gr, gi;
    range_dot(o, g, &gr, &gi);
    const double g0r = g[0], g0i = g[qp];
    /* coefficient of u: k11 (u^H g) + k conj(z0) g_0 */
    const double cr = o->k11 * gr + o->k * (o->z0r * g0r + o->z0i * g0i);
    const double ci = o->k11 * gi + o->k * (o->z0r * g0i - o->z0i * g0r);
    for (int i = 0; i < qp; i += 4) {
        const beam_v4 e = beam_v4_load(o->e + i), ur = beam_v4_load(o->u + i),
                      ui = beam_v4_load(o->u + qp + i);
        beam_v4_store(y + i, e * beam_v4_load(g + i) + cr * ur - ci * ui);
        beam_v4_store(y + qp + i, e * beam_v4_load(g + qp + i) + cr * ui + ci * ur);
    }
    y[0] = o->e0 * g0r + o->k * (o->z0r * gr - o->z0i * gi);
    y[qp] = o->e0 * g0i + o->k * (o->z0r * gi + o->z0i * gr);
}

double beam_own_system_inverse_form(const beam_own_system *o, const double *y)
{
    const int qp = o->qp;
    double gr, gi;
    beam_v4 sum = {0};
    range_dot(o, y, &gr, &gi);
    for (int i = 0; i < qp; i += 4) {
        const beam_v4 yr = beam_v4_load(y + i), yi = beam_v4_load(y + qp + i);
        sum += beam_v4_load(o->inv + i) * (yr * yr + yi * yi);
    }
    /* (A + lambda)^-1 = diag(0, T') + t t^H / schur, t = (1, -kappa conj(z_0) u), T' = diag(1/w) -
     * kappa u u^H */
    const double tr = y[0] - o->kappa * (o->z0r * gr - o->z0i * gi);
    const double ti = y[qp] - o->kappa * (o->z0r * gi + o->z0i * gr);
    return beam_v4_sum(sum) - o->kappa * (gr * gr + gi * gi) + (tr * tr + ti * ti) / o->schur;
}

void beam_own_system_traces(const beam_own_system *o, double t[3])
{
    beam_v4 e1 = {0}, e2 = {0}, e3 = {0}, s1 = {0}, s2 = {0};
    for (int i = 0; i < o->qp; i += 4) {
        const beam_v4 e = beam_v4_load(o->e + i), ur = beam_v4_load(o->u + i),
                      ui = beam_v4_load(o->u + o->qp + i);
        const beam_v4 uu = ur * ur + ui * ui, ee = e * e;
        e1 += e;
        e2 += ee;
        e3 += ee * e;
        s1 += e * uu;
        s2 += ee * uu;
    }
    const double a = beam_v4_sum(s1), b = beam_v4_sum(s2), uu = o->uu, k11 = o->k11;
    const double kk = o->k * o->k * o->zz0; /* |E_i0|^2 = kk |u_i|^2 */
    const double um = a + k11 * uu * uu;    /* u^H M u, M = diag(e) + k11 u u^H */
    t[0] = o->e0 + beam_v4_sum(e1) + k11 * uu;
    t[1] = o->e0 * o->e0 + 2.0 * kk * uu + beam_v4_sum(e2) + 2.0 * k11 * a + k11 * k11 * uu * uu;
    t[2] = o->e0 * o->e0 * o->e0 + 3.0 * kk * (o->e0 * uu + um) + beam_v4_sum(e3) + 3.0 * k11 * b +
           3.0 * k11 * k11 * uu * a + k11 * k11 * k11 * uu * uu * uu;
}

static inline double abs2(const double *z, int qp, int i)
{
    return z[i] * z[i] + z[qp + i] * z[qp + i];
}

/* theta solves theta (1 + omega sum' |z_i|^2/(delta_i - theta)) = omega |z_0|^2 on [0, delta_1):
 * the left side is convex and increasing. Each step fits A + B/(delta_1 - theta) to the sum, which
 * keeps its pole. */
double beam_own_least(int n, const double *rho, const double *z, int qp, double eta, double *gap1)
{
    const double omega = 1.0 + eta, top = omega * abs2(z, qp, 0);
    if (n == 1) {
        *gap1 = INFINITY;
        return top;
    }
    const double delta1 = eta * (rho[0] - rho[1]);
    if (!(delta1 > 1e-15 * eta * rho[0]) || !(top > 0.0)) {
        *gap1 = delta1 > 0.0 ? delta1 : 0.0;
        return 0.0;
    }
    double total = top;
    for (int i = 1; i < n; i++) {
        total += omega * abs2(z, qp, i);
    }
    double gap = delta1;
    for (int it = 0; it < 60; it++) {
        double sum = 0.0, slope = 0.0;
        for (int i = 1; i < n; i++) {
            const double delta = eta * (rho[0] - rho[i]);
            const double inv = 1.0 / (eta * (rho[1] - rho[i]) + gap),
                         t = omega * abs2(z, qp, i) * delta * inv;
            sum += t;
            slope += t * inv;
        }
        const double B = slope * gap * gap, A = sum - slope * gap;
        const double h = total - A - delta1;
        const double root = sqrt(h * h + 4.0 * B);
        const double next = h > 0.0 ? 2.0 * B / (h + root) : 0.5 * (root - h);
        if (!(next > 1e-280)) { /* z_i = 0 at the second pole: the least eigenvalue is b_1 itself */
            *gap1 = 0.0;
            return delta1;
        }
        const double moved = fabs(next - gap);
        gap = next < delta1 ? next : delta1;
        if (moved <= 1e-15 * gap) {
            break;
        }
    }
    double sigma = 0.0;
    for (int i = 1; i < n; i++) {
        sigma += abs2(z, qp, i) / (eta * (rho[1] - rho[i]) + gap);
    }
    *gap1 = gap;
    return top / (1.0 + omega * sigma);
}

/* A has one entry: a = omega |z|^2 - eta rho. */
static void minimise_scalar(int qp, double a, const double *g, double eps, double *x)
{
    const double norm = hypot(g[0], g[qp]);
    memset(x, 0, 2u * (size_t)qp * sizeof *x);
    if (a >= 0.0) {
        const double keep = norm > eps ? 1.0 - eps / norm : 0.0;
        x[0] = keep * g[0];
        x[qp] = keep * g[qp];
    } else if (norm > 0.0) {
        const double grow = 1.0 + eps / norm;
        x[0] = grow * g[0];
        x[qp] = grow * g[qp];
    } else {
        x[0] = eps;
    }
}

/* A unit vector of the bottom eigenspace. Rows i >= 1 of (A - a_0) y = 0 with y_0 = 1. */
static void bottom_vector(int n, int qp, const double *z, double omega, double theta,
                          const double *w_bottom, double *v)
{
    memset(v, 0, 2u * (size_t)qp * sizeof *v);
    if (theta > 0.0 &&
        !(w_bottom[1] > 0.0)) { /* deflated: the second coordinate is an eigenvector */
        v[1] = 1.0;
        return;
    }
    v[0] = 1.0;
    if (theta <= 0.0 &&
        !(w_bottom[1] > 0.0)) { /* tie: any vector of the first two orthogonal to z */
        const double s = abs2(z, qp, 0) + abs2(z, qp, 1);
        if (s > 0.0) {
            const double f = 1.0 / sqrt(s);
            v[0] = f * z[1];
            v[qp] = -f * z[qp + 1];
            v[1] = -f * z[0];
            v[qp + 1] = f * z[qp];
        }
        return;
    }
    double sigma = 0.0, norm2 = 1.0;
    for (int i = 1; i < n; i++) {
        sigma += abs2(z, qp, i) / w_bottom[i];
    }
    const double c = omega / (1.0 + omega * sigma);
    for (int i = 1; i < n; i++) { /* y_i = -c conj(z_0) z_i / w_i */
        const double f = -c / w_bottom[i];
        v[i] = f * (z[0] * z[i] + z[qp] * z[qp + i]);
        v[qp + i] = f * (z[0] * z[qp + i] - z[qp] * z[i]);
        norm2 += v[i] * v[i] + v[qp + i] * v[qp + i];
    }
    beam_row_scale(2 * qp, 1.0 / sqrt(norm2), v);
}

typedef struct shift_problem {
    int n, qp;
    const double *rho, *z;
    double eta, theta, gap1;
    double minus_a0; /* -a_0 = eta rho_1 + gap1 > 0: a sum, where theta - eta rho_0 would cancel */
    double w_bottom[BEAM_RANK_MAX]; /* b_i - a_0, i >= 1 */
    double zz[BEAM_RANK_MAX];
    double sigma_bottom; /* sum' |z_i|^2 / w_bottom_i */
    double schur_bottom; /* Schur complement at s = 0: 0 unless the least eigenvalue is deflated */
} shift_problem;

/* The system at lambda = s - a_0. The Schur complement as a sum of positive terms: no cancellation
 * however small s. */
static int shift_system(beam_own_system *o, const shift_problem *t, double s)
{
    double w[BEAM_RANK_MAX];
    const double omega = 1.0 + t->eta, lambda = s + t->minus_a0;
    double sigma = 0.0, cross = 0.0, schur;
    for (int i = 0; i < t->qp; i++) {
        w[i] = 1.0;
    }
    for (int i = 1; i < t->n; i++) {
        w[i] = t->w_bottom[i] + s;
        sigma += t->zz[i] / w[i];
        cross += t->w_bottom[i] > 0.0 ? t->zz[i] / (t->w_bottom[i] * w[i]) : 0.0;
    }
    if (t->theta <= 0.0) {
        schur = s + omega * t->zz[0] / (1.0 + omega * sigma);
    } else {
        schur = t->schur_bottom +
                s * (1.0 + omega * omega * t->zz[0] * cross /
                               ((1.0 + omega * sigma) * (1.0 + omega * t->sigma_bottom)));
    }
    return own_fill(o, t->n, t->qp, t->rho, t->z, t->eta, lambda, w, s - t->theta, schur);
}

static void shift_prepare(shift_problem *t, int n, int qp, const double *rho, const double *z,
                          double eta)
{
    t->n = n;
    t->qp = qp;
    t->rho = rho;
    t->z = z;
    t->eta = eta;
    t->theta = beam_own_least(n, rho, z, qp, eta, &t->gap1);
    t->minus_a0 = eta * rho[1] + t->gap1;
    t->sigma_bottom = 0.0;
    for (int i = 0; i < n; i++) {
        const double w =
            eta * (rho[1] - rho[i]) + t->gap1; /* one rounding: 0 at i = 1 whatever is contracted */
        t->zz[i] = abs2(z, qp, i);
        t->w_bottom[i] = w > 0.0 ? w : 0.0;
        if (i > 0 && t->w_bottom[i] > 0.0) {
            t->sigma_bottom += t->zz[i] / t->w_bottom[i];
        }
    }
    const double rest = (1.0 + eta) * t->zz[0] / (1.0 + (1.0 + eta) * t->sigma_bottom) - t->theta;
    t->schur_bottom = t->theta > 0.0 && !(t->gap1 > 0.0) && rest > 0.0 ? rest : 0.0;
}

/* x = g - y + t v with |y - t v| = eps: the hard case, padded along the bottom eigenvector. */
static void pad(int qp, const double *g, const double *y, const double *v, double eps, double *x)
{
    double re, im;
    beam_row_dot(qp, v, g, &re, &im);
    const double size = hypot(re, im), rest = eps * eps - beam_row_norm2(2 * qp, y);
    const double t = rest > 0.0 ? sqrt(rest) : 0.0;
    memcpy(x, g, 2u * (size_t)qp * sizeof *x);
    beam_row_add(2 * qp, -1.0, y, x);
    if (size > 0.0) {
        beam_row_axpy(qp, t * re / size, t * im / size, v, x);
    } else {
        beam_row_axpy(qp, t, 0.0, v, x);
    }
}

/* Two or more coordinates; where the first ones are tied z is zero in all of them but the first. */
static void minimise_range(int n, int qp, const double *rho, const double *z, const double *g,
                           double eps, double eta, double *warm_shift, double *x)
{
    shift_problem t;
    beam_own_system o;
    double v[2 * BEAM_RANK_MAX], y[2 * BEAM_RANK_MAX], re, im;
    shift_prepare(&t, n, qp, rho, z, eta);
    bottom_vector(n, qp, z, 1.0 + eta, t.theta, t.w_bottom, v);
    memset(y, 0, 2u * (size_t)qp * sizeof *y);
    beam_row_dot(qp, v, g, &re, &im);
    const double tiny = 1e-100 + 1e-60 * t.minus_a0; /* cubes of 1/tiny must stay finite */
    const double least = fmax(t.minus_a0 * hypot(re, im) / eps,
                              tiny); /* |v^H A g| / eps bounds the root from below */
    double s = warm_shift && *warm_shift > least ? *warm_shift : least;
    for (int it = 0; it < 100; it++) {
        if (!shift_system(&o, &t, s)) {
            break;
        }
        beam_own_system_apply(&o, g, y);
        const double n2 = beam_row_norm2(2 * qp, y), norm = sqrt(n2);
        if (s <= tiny && norm <= eps) {
            pad(qp, g, y, v, eps, x);
            return;
        }
        const double slope = beam_own_system_inverse_form(&o, y);
        double next = s + (norm - eps) * n2 / (eps * slope);
        next = next > least ? next : least;
        const double last = s;
        s = next;
        /* monotone from the second step on: what no longer rises is rounding */
        if (it > 0 ? !(s > last * (1.0 + 1e-14)) : fabs(s - last) <= 1e-14 * s) {
            break;
        }
    }
    if (warm_shift) {
        *warm_shift = s;
    }
    const double norm = sqrt(beam_row_norm2(2 * qp, y));
    memcpy(x, g, 2u * (size_t)qp * sizeof *x);
    beam_row_add(2 * qp, norm > 0.0 ? -eps / norm : 0.0, y, x);
}

/* The first m coordinates of x reflected so that those of z end up in coordinate 0: Householder,
 * its own inverse. w: m complex numbers as 2*qp, |w|^2 = norm2. */
static void reflect(int m, int qp, const double *w, double norm2, double *x)
{
    double re = 0.0, im = 0.0;
    for (int i = 0; i < m; i++) {
        re += w[i] * x[i] + w[qp + i] * x[qp + i];
        im += w[i] * x[qp + i] - w[qp + i] * x[i];
    }
    re *= 2.0 / norm2;
    im *= 2.0 / norm2;
    for (int i = 0; i < m; i++) {
        x[i] -= re * w[i] - im * w[qp + i];
        x[qp + i] -= re * w[qp + i] + im * w[i];
    }
}

/* The first m eigenvalues are one: any basis of their space will do, and in the one that holds z in
 * a single vector nothing cancels. In another, (A + lambda)^-1 of two tied coordinates is a
 * difference of numbers like 1/s, and near the hard case s -> 0 nothing is left of it. */
static void minimise_tied(int m, int n, int qp, const double *rho, const double *z, const double *g,
                          double eps, double eta, double *warm_shift, double *x)
{
    double r[BEAM_RANK_MAX], w[2 * BEAM_RANK_MAX], zt[2 * BEAM_RANK_MAX], gt[2 * BEAM_RANK_MAX];
    const size_t bytes = (size_t)qp * sizeof *r;
    double norm2 = 0.0;
    memcpy(r, rho, bytes);
    memcpy(zt, z, 2u * bytes);
    memcpy(gt, g, 2u * bytes);
    for (int i = 0; i < m; i++) {
        r[i] = rho[0];
        w[i] = z[i];
        w[qp + i] = z[qp + i];
        norm2 += abs2(z, qp, i);
    }
    const double length = sqrt(norm2), first = hypot(z[0], z[qp]);
    if (length > 0.0) { /* w = z + phase(z_0) |z| e_0, |w|^2 = 2 |z| (|z| + |z_0|) */
        w[0] += first > 0.0 ? length * z[0] / first : length;
        w[qp] += first > 0.0 ? length * z[qp] / first : 0.0;
        norm2 = 2.0 * length * (length + first);
        reflect(m, qp, w, norm2, zt);
        reflect(m, qp, w, norm2, gt);
        for (int i = 1; i < m; i++) {
            zt[i] = zt[qp + i] = 0.0;
        }
    }
    minimise_range(n, qp, r, zt, gt, eps, eta, warm_shift, x);
    if (length > 0.0) {
        reflect(m, qp, w, norm2, x);
    }
}

void beam_own_minimise(int n, int qp, const double *rho, const double *z, const double *g,
                       double eps, double eta, double *warm_shift, double *x)
{
    int tied = 1;
    if (n == 1) {
        minimise_scalar(qp, (1.0 + eta) * abs2(z, qp, 0) - eta * rho[0], g, eps, x);
        return;
    }
    while (tied < n && rho[0] - rho[tied] <= tie * rho[0]) {
        tied++;
    }
    if (tied > 1) {
        minimise_tied(tied, n, qp, rho, z, g, eps, eta, warm_shift, x);
    } else {
        minimise_range(n, qp, rho, z, g, eps, eta, warm_shift, x);
    }
}
