/* The sensing models that couple the targets of a link: "coherent" (all targets in one delay cell)
 * and "band" (a flat band, angles and delays together), MATH 3.
 *
 * Parameters of a target: position x, y and Re, Im of its reflection on the link. The derivative of
 * the link's response with respect to one of them is a combination of three products of a receive
 * with a transmit direction, e_0 = a a^H,  e_1 = (D a) a^H,  e_2 = a (D a)^H: position x: C = alpha
 * (0, i g^r_x, -i g^t_x),  N = (-alpha q_x, 0, 0);   Re: (1, 0, 0);   Im: (i, 0, 0). Between
 * targets j (row) and k the products meet in K[u][v] = tr(e_v(k) R e_u(j)^H) = rx[p_u][p_v]
 * S[q_v][q_u], so that F_ab = kappa Re( c C_a^H K C_b + c' (C_a^H K N_b - N_a^H K C_b) - c'' N_a^H
 * K N_b ). */
#include "model/crlb.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* The pseudo-inverse drops eigenvalues at or under this share of the largest; the total information
 * counts as singular at the same share. */
static const double cut = 1e-13;
/* Cholesky serves where every pivot of the unit-diagonal matrix exceeds this: far above the cut. */
static const double safe_pivot = 1e-6;

enum { PARAMS = 4, PRODUCTS = 3 };
/* receive (p) and transmit (q) direction of product e_u: 0 for a, 1 for D a */
static const int product_rx[PRODUCTS] = {0, 1, 0}, product_tx[PRODUCTS] = {0, 0, 1};

/* carved from c->scratch */
struct beam_coupled {
    int n;         /* 2J */
    bool spectral; /* the last factor is E diag(w) E^T, not Cholesky */
    double *
        F; /* [4J][4J] information of one link: positions 0..2J-1, then Re, Im of target 0, 1, .. */
    double *Z;       /* [L*L][2J][2J] F_aa^+ F_ap of every link */
    double *J;       /* [2J][2J] total information on the positions */
    double *A, *E;   /* [2J][2J] work of the eigenvalue problems */
    double *w, *sg;  /* [2J] */
    double *P;       /* [2J][2J] J^-1, or its extension to skipped targets */
    double *Y;       /* [4J][2J] */
    double *YY;      /* [4J][4J] */
    beam_complex *C; /* [J][PARAMS][PRODUCTS] */
    beam_complex *N; /* [J][2] coefficient of e_0, positions only */
};

static struct beam_coupled coupled_carve(beam_arena *arena, int L, int J)
{
    const size_t n = (size_t)(2 * J), nn = n * n;
    struct beam_coupled s = {.n = 2 * J};
    s.F = BEAM_TAKE(arena, double, 4 * nn);
    s.Z = BEAM_TAKE(arena, double, (size_t)(L * L) * nn);
    s.J = BEAM_TAKE(arena, double, nn);
    s.A = BEAM_TAKE(arena, double, nn);
    s.E = BEAM_TAKE(arena, double, nn);
    s.w = BEAM_TAKE(arena, double, n);
    s.sg = BEAM_TAKE(arena, double, n);
    s.P = BEAM_TAKE(arena, double, nn);
    s.Y = BEAM_TAKE(arena, double, 2 * nn);
    s.YY = BEAM_TAKE(arena, double, 4 * nn);
    s.C = BEAM_TAKE(arena, beam_complex, PARAMS * PRODUCTS * J);
    s.N = BEAM_TAKE(arena, beam_complex, 2 * J);
    return s;
}

size_t beam_crlb_coupled_scratch(int L, int J)
{
    beam_arena arena = {0};
    (void)coupled_carve(&arena, L, J);
    return arena.used + 64;
}

static inline beam_complex mul(beam_complex x, beam_complex y)
{
    return (beam_complex){x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

/* conj(x) y */
static inline beam_complex cmul(beam_complex x, beam_complex y)
{
    return (beam_complex){x.re * y.re + x.im * y.im, x.re * y.im - x.im * y.re};
}

static inline void add(beam_complex *to, double scale, beam_complex x)
{
    to->re += scale * x.re;
    to->im += scale * x.im;
}

/* Cyclic Jacobi: A (n x n symmetric, destroyed) = E diag(w) E^T. */
static void jacobi(int n, double *A, double *w, double *E)
{
    for (int i = 0; i < n * n; i++) {
        E[i] = i % (n + 1) == 0;
    }
    for (int sweep = 0; sweep < 40; sweep++) {
        double off = 0, diagonal = 0;
        for (int i = 0; i < n; i++) {
            diagonal += A[i * n + i] * A[i * n + i];
            for (int k = i + 1; k < n; k++) {
                off += A[i * n + k] * A[i * n + k];
            }
        }
        if (!(off > 1e-36 * diagonal)) {
            break;
        }
        for (int p = 0; p < n; p++) {
            for (int q = p + 1; q < n; q++) {
                const double apq = A[p * n + q];
                if (fabs(apq) <= DBL_MIN) {
                    continue;
                }
                const double theta = (A[q * n + q] - A[p * n + p]) / (2 * apq);
                const double t = copysign(1 / (fabs(theta) + hypot(theta, 1)), theta);
                const double c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < n; k++) {
                    const double x = A[k * n + p], y = A[k * n + q];
                    A[k * n + p] = c * x - s * y;
                    A[k * n + q] = s * x + c * y;
                }
                for (int k = 0; k < n; k++) {
                    const double x = A[p * n + k], y = A[q * n + k];
                    A[p * n + k] = c * x - s * y;
                    A[q * n + k] = s * x + c * y;
                    const double u = E[k * n + p], v = E[k * n + q];
                    E[k * n + p] = c * u - s * v;
                    E[k * n + q] = s * u + c * v;
                }
            }
        }
    }
    for (int i = 0; i < n; i++) {
        w[i] = A[i * n + i];
    }
}

/* Lower Cholesky factor in place; false when a pivot is not safely positive. A has unit diagonal.
 */
static bool cholesky(int n, double *A)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k <= i; k++) {
            double sum = A[i * n + k];
            for (int t = 0; t < k; t++) {
                sum -= A[i * n + t] * A[k * n + t];
            }
            if (k < i) {
                A[i * n + k] = sum / A[k * n + k];
            } else if (sum > safe_pivot) {
                A[i * n + i] = sqrt(sum);
            } else {
                return false;
            }
        }
    }
    return true;
}

/* Prepares x -> A^+ x for the symmetric positive semidefinite A (n x n, row stride lda) scaled to a
 * unit diagonal. Returns the rank kept; s->w[i] = 0 marks the dropped eigenvectors (columns of
 * s->E) when it is below n. */
static int factor(struct beam_coupled *s, int n, const double *A, int lda)
{
    for (int i = 0; i < n; i++) {
        s->sg[i] = 1 / sqrt(fmax(A[i * lda + i], 1e-300));
    }
    for (s->spectral = false;; s->spectral = true) {
        for (int i = 0; i < n; i++) {
            for (int k = 0; k < n; k++) {
                s->A[i * n + k] = A[i * lda + k] * s->sg[i] * s->sg[k];
            }
        }
        if (s->spectral) {
            break;
        }
        if (cholesky(n, s->A)) {
            return n;
        }
    }
    jacobi(n, s->A, s->w, s->E);
    double largest = 0;
    for (int i = 0; i < n; i++) {
        largest = fmax(largest, s->w[i]);
    }
    int rank = 0;
    for (int i = 0; i < n; i++) {
        const bool keep = s->w[i] > cut * largest;
        s->w[i] = keep ? 1 / s->w[i] : 0;
        rank += keep;
    }
    return rank;
}

/* x <- A^+ y with the last factor; x and y may have strides and must not overlap. */
static void solve(const struct beam_coupled *s, int n, const double *y, int ldy, double *x, int ldx)
{
    double v[2 * BEAM_MAX_TARGETS] = {0}, u[2 * BEAM_MAX_TARGETS];
    for (int i = 0; i < n; i++) {
        u[i] = s->sg[i] * y[i * ldy];
    }
    if (s->spectral) {
        for (int i = 0; i < n; i++) {
            double dot = 0;
            for (int t = 0; t < n; t++) {
                dot += s->E[t * n + i] * u[t];
            }
            for (int t = 0; t < n; t++) {
                v[t] += s->w[i] * dot * s->E[t * n + i];
            }
        }
    } else {
        for (int i = 0; i < n; i++) {
            for (int t = 0; t < i; t++) {
                u[i] -= s->A[i * n + t] * u[t];
            }
            u[i] /= s->A[i * n + i];
        }
        for (int i = n - 1; i >= 0; i--) {
            v[i] = u[i];
            for (int t = i + 1; t < n; t++) {
                v[i] -= s->A[t * n + i] * v[t];
            }
            v[i] /= s->A[i * n + i];
        }
    }
    for (int i = 0; i < n; i++) {
        x[i * ldx] = s->sg[i] * v[i];
    }
}

/* C and N of every target on the link from l to m. */
static void link_products(const beam_crlb *c, struct beam_coupled *s, int l, int m)
{
    memset(s->C, 0, (size_t)(PARAMS * PRODUCTS * c->J) * sizeof *s->C);
    for (int j = 0; j < c->J; j++) {
        const int tx = l * c->J + j, rx = m * c->J + j;
        const beam_complex alpha = c->reflection[tx * c->L + m];
        beam_complex(*C)[PRODUCTS] = (beam_complex(*)[PRODUCTS])(s->C + j * PARAMS * PRODUCTS);
        for (int x = 0; x < 2; x++) {
            const double gr = c->g[2 * rx + x], gt = c->g[2 * tx + x];
            const double q = c->q[2 * tx + x] + c->q[2 * rx + x];
            C[x][1] = (beam_complex){-alpha.im * gr, alpha.re * gr};
            C[x][2] = (beam_complex){alpha.im * gt, -alpha.re * gt};
            s->N[2 * j + x] = (beam_complex){-alpha.re * q, -alpha.im * q};
        }
        C[2][0] = (beam_complex){1, 0};
        C[3][0] = (beam_complex){0, 1};
    }
}

/* c(u) = sinc(B u) and its first two derivatives at u = tau_j - tau_k; 1, 0, 0 for coherent
 * targets. */
struct beam_echo_overlap {
    double c0, c1, c2;
};

static struct beam_echo_overlap echo_overlap(const beam_crlb *c, int l, int m, int j, int k)
{
    struct beam_echo_overlap o = {1, 0, 0};
    if (c->model == BEAM_SENSING_BAND) {
        const int J = c->J;
        const double tj = c->tau_s[l * J + j] + c->tau_s[m * J + j];
        const double tk = c->tau_s[l * J + k] + c->tau_s[m * J + k];
        const double w = pi * c->bandwidth_hz, x = w * (tj - tk);
        if (fabs(x) < 1e-3) {
            o.c0 = 1 - x * x / 6 * (1 - x * x / 20);
            o.c1 = -x / 3 * (1 - x * x / 10) * w;
            o.c2 = (-1.0 / 3 + x * x / 10) * w * w;
        } else {
            const double sinc = sin(x) / x, slope = (cos(x) - sinc) / x;
            o.c0 = sinc;
            o.c1 = slope * w;
            o.c2 = (-sinc - 2 * slope / x) * w * w;
        }
    }
    return o;
}

static inline int param_index(const beam_crlb *c, int target, int a)
{
    return a < 2 ? 2 * target + a : 2 * (c->J + target) + a - 2;
}

/* F of targets j and k on the link from l to m: both triangles of the symmetric matrix. */
static void pair_information(const beam_crlb *c, struct beam_coupled *s, const beam_complex *gram,
                             int l, int m, int j, int k)
{
    const int n = s->n, n4 = 2 * n;
    const beam_complex *rx = c->rx + (size_t)m * (size_t)(n * n);
    const struct beam_echo_overlap o = echo_overlap(c, l, m, j, k);
    beam_complex K[PRODUCTS][PRODUCTS];
    for (int u = 0; u < PRODUCTS; u++) {
        for (int v = 0; v < PRODUCTS; v++) {
            K[u][v] = mul(rx[(2 * j + product_rx[u]) * n + 2 * k + product_rx[v]],
                          gram[(2 * k + product_tx[v]) * n + 2 * j + product_tx[u]]);
        }
    }
    for (int b = 0; b < PARAMS; b++) {
        const beam_complex *Cb = s->C + (k * PARAMS + b) * PRODUCTS;
        const beam_complex Nb = b < 2 ? s->N[2 * k + b] : (beam_complex){0, 0};
        /* F_ab = Re( C_a^H X + conj(N_a) y ) */
        beam_complex X[PRODUCTS], y = {0, 0};
        for (int u = 0; u < PRODUCTS; u++) {
            beam_complex KC = {0, 0};
            for (int v = 0; v < PRODUCTS; v++) {
                add(&KC, 1, mul(K[u][v], Cb[v]));
            }
            X[u] = (beam_complex){o.c0 * KC.re, o.c0 * KC.im};
            const beam_complex KN = mul(K[u][0], Nb);
            add(&X[u], o.c1, KN);
            if (u == 0) {
                add(&y, -o.c1, KC);
                add(&y, -o.c2, KN);
            }
        }
        const int ib = param_index(c, k, b);
        for (int a = 0; a < PARAMS; a++) {
            const beam_complex *Ca = s->C + (j * PARAMS + a) * PRODUCTS;
            double f = a < 2 ? cmul(s->N[2 * j + a], y).re : 0;
            for (int u = 0; u < PRODUCTS; u++) {
                f += cmul(Ca[u], X[u]).re;
            }
            const int ia = param_index(c, j, a);
            s->F[ia * n4 + ib] = s->F[ib * n4 + ia] = c->kappa[m] * f;
        }
    }
}

/* T of targets j and k gains kappa sum_ab (Y Y^T)_ab dF_ab/dS: the adjoint of pair_information. */
static void pair_gradient(const beam_crlb *c, const struct beam_coupled *s, beam_complex *T, int l,
                          int m, int j, int k)
{
    const int n = s->n, n4 = 2 * n;
    const beam_complex *rx = c->rx + (size_t)m * (size_t)(n * n);
    const struct beam_echo_overlap o = echo_overlap(c, l, m, j, k);
    beam_complex K[PRODUCTS][PRODUCTS] = {{{0, 0}}};
    for (int a = 0; a < PARAMS; a++) {
        const double *weight = s->YY + param_index(c, j, a) * n4;
        const beam_complex *Ca = s->C + (j * PARAMS + a) * PRODUCTS;
        beam_complex Cw[PRODUCTS] = {{0, 0}}, Nw = {0, 0};
        for (int b = 0; b < PARAMS; b++) {
            const double w = weight[param_index(c, k, b)];
            for (int v = 0; v < PRODUCTS; v++) {
                add(&Cw[v], w, s->C[(k * PARAMS + b) * PRODUCTS + v]);
            }
            if (b < 2) {
                add(&Nw, w, s->N[2 * k + b]);
            }
        }
        for (int u = 0; u < PRODUCTS; u++) {
            for (int v = 0; v < PRODUCTS; v++) {
                add(&K[u][v], o.c0, cmul(Ca[u], Cw[v]));
            }
            add(&K[u][0], o.c1, cmul(Ca[u], Nw));
        }
        if (a < 2) {
            const beam_complex Na = s->N[2 * j + a];
            for (int v = 0; v < PRODUCTS; v++) {
                add(&K[0][v], -o.c1, cmul(Na, Cw[v]));
            }
            add(&K[0][0], -o.c2, cmul(Na, Nw));
        }
    }
    for (int u = 0; u < PRODUCTS; u++) {
        for (int v = 0; v < PRODUCTS; v++) {
            const beam_complex t =
                mul(K[u][v], rx[(2 * j + product_rx[u]) * n + 2 * k + product_rx[v]]);
            const int row = 2 * j + product_tx[u], column = 2 * k + product_tx[v];
            add(&T[row * n + column], c->kappa[m], t);
            if (j != k) {
                add(&T[column * n + row], c->kappa[m], (beam_complex){t.re, -t.im});
            }
        }
    }
}

/* J += F_pp - F_pa Z with Z = F_aa^+ F_ap kept for the gradient. */
static void add_link(const beam_crlb *c, struct beam_coupled *s, const beam_complex *gram, int l,
                     int m)
{
    const int n = s->n, n4 = 2 * n;
    double *Z = s->Z + (size_t)(l * c->L + m) * (size_t)(n * n);
    link_products(c, s, l, m);
    for (int j = 0; j < c->J; j++) {
        for (int k = j; k < c->J; k++) {
            pair_information(c, s, gram, l, m, j, k);
        }
    }
    const double *Faa = s->F + n * n4 + n, *Fap = s->F + n * n4;
    factor(s, n, Faa, n4);
    for (int k = 0; k < n; k++) {
        solve(s, n, Fap + k, n4, Z + k, n);
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) {
            double f = s->F[i * n4 + k];
            for (int a = 0; a < n; a++) {
                f -= Fap[a * n4 + i] * Z[a * n + k];
            }
            s->J[i * n + k] += f;
        }
    }
}

/* YY = Y Y^T for Y = [P; -Z P], P = columns of J^-1 of the targets that count (n x columns, stride
 * n). */
static void link_weights(struct beam_coupled *s, const double *Z, int columns)
{
    const int n = s->n;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < columns; k++) {
            double y = 0;
            for (int t = 0; t < n; t++) {
                y -= Z[i * n + t] * s->P[t * n + k];
            }
            s->Y[i * n + k] = s->P[i * n + k];
            s->Y[(n + i) * n + k] = y;
        }
    }
    for (int a = 0; a < 2 * n; a++) {
        for (int b = 0; b <= a; b++) {
            double sum = 0;
            for (int k = 0; k < columns; k++) {
                sum += s->Y[a * n + k] * s->Y[b * n + k];
            }
            s->YY[a * 2 * n + b] = s->YY[b * 2 * n + a] = sum;
        }
    }
}

static void link_gradients(const beam_crlb *c, struct beam_coupled *s, int columns, beam_complex *T)
{
    const int n = s->n;
    for (int l = 0; l < c->L; l++) {
        for (int m = 0; m < c->L; m++) {
            link_products(c, s, l, m);
            link_weights(s, s->Z + (size_t)(l * c->L + m) * (size_t)(n * n), columns);
            for (int j = 0; j < c->J; j++) {
                for (int k = j; k < c->J; k++) {
                    pair_gradient(c, s, T + (size_t)l * (size_t)(n * n), l, m, j, k);
                }
            }
        }
    }
}

/* A target is located when no dropped eigenvector of the information moves it: its part of the
 * pseudo-inverse is then the bound whatever cannot be said about the others. */
static bool target_located(const beam_crlb *c, const struct beam_coupled *s, int rank, int j)
{
    const int n = s->n;
    if (c->geometry[j] != BEAM_TARGET_OK) {
        return false;
    }
    for (int i = 0; rank < n && i < n; i++) {
        if (s->w[i] == 0 && hypot(s->E[2 * j * n + i], s->E[(2 * j + 1) * n + i]) > 1e-6) {
            return false;
        }
    }
    return true;
}

double beam_crlb_coupled_value(beam_crlb *c, const beam_complex *gram, beam_complex *T,
                               double *target_crlb)
{
    beam_arena arena = {.base = c->scratch};
    struct beam_coupled s = coupled_carve(&arena, c->L, c->J);
    const int n = s.n;
    const size_t square = (size_t)(n * n);
    memset(s.J, 0, square * sizeof *s.J);
    for (int l = 0; l < c->L; l++) {
        for (int m = 0; m < c->L; m++) {
            add_link(c, &s, gram + (size_t)l * square, l, m);
        }
    }
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += s.J[i * n + i];
    }
    if (!isfinite(sum)) {
        return NAN; /* not "not identifiable": the caller must see it */
    }
    const int rank = factor(&s, n, s.J, n);
    sum = 0;
    int columns = 0;
    for (int j = 0; j < c->J; j++) {
        const bool counts = c->geometry[j] == BEAM_TARGET_OK || !c->skip_unidentifiable;
        double bound = INFINITY;
        if (target_located(c, &s, rank, j)) {
            bound = 0;
            for (int i = 2 * j; i < 2 * j + 2; i++) {
                double unit[2 * BEAM_MAX_TARGETS] = {0}, inverse[2 * BEAM_MAX_TARGETS];
                unit[i] = 1;
                solve(&s, n, unit, 1, inverse, 1);
                for (int t = 0; t < n; t++) {
                    s.P[t * n + columns] = inverse[t];
                }
                bound += inverse[i];
                columns++;
            }
        }
        sum += counts ? bound : 0;
        if (target_crlb) {
            target_crlb[j] = bound;
        }
    }
    if (T) {
        memset(T, 0, (size_t)c->L * square * sizeof *T);
        if (isfinite(sum)) {
            link_gradients(c, &s, columns, T);
        }
    }
    return sum;
}
