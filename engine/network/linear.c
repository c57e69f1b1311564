#include "network/linear.h"

/* Tiles of 2 x 2 sums in registers: every vector that is loaded serves two sums, and the eight
 * chains of additions hide their latency. The counts are constants where tiles are called. */
#define INLINE static inline __attribute__((always_inline))

/* out[a stride + k] (+)= c_k^H w_a, a < A, k < B. */
INLINE void project_tile(int A, int B, int stride, int D, const beam_lc *w, const beam_lc *c,
                         bool add, beam_lc *out)
{
    beam_lc sum[2][2] = {{{{0}, {0}}}};
    for (int d = 0; d < D; d++) {
#pragma GCC unroll 2
        for (int a = 0; a < A; a++) {
            const beam_lc x = w[a * D + d];
#pragma GCC unroll 2
            for (int k = 0; k < B; k++) {
                beam_lc_add_conj_mul(&sum[a][k], c[k * D + d], x);
            }
        }
    }
#pragma GCC unroll 2
    for (int a = 0; a < A; a++) {
#pragma GCC unroll 2
        for (int k = 0; k < B; k++) {
            if (add) {
                sum[a][k].re += out[a * stride + k].re;
                sum[a][k].im += out[a * stride + k].im;
            }
            out[a * stride + k] = sum[a][k];
        }
    }
}

INLINE void project_rows(int A, int q, int stride, int D, const beam_lc *w, const beam_lc *c,
                         bool add, beam_lc *out)
{
    int k = 0;
    for (; k + 2 <= q; k += 2) {
        project_tile(A, 2, stride, D, w, c + k * D, add, out + k);
    }
    if (k < q) {
        project_tile(A, 1, stride, D, w, c + k * D, add, out + k);
    }
}

INLINE void project(int n, int q, int stride, int D, const beam_lc *w, const beam_lc *c, bool add,
                    beam_lc *out)
{
    int i = 0;
    for (; i + 2 <= n; i += 2) {
        project_rows(2, q, stride, D, w + i * D, c, add, out + i * stride);
    }
    if (i < n) {
        project_rows(1, q, stride, D, w + i * D, c, add, out + i * stride);
    }
}

void NET(project)(int n, int q, int stride, int D, const beam_lc *w, const beam_lc *c, beam_lc *out)
{
    project(n, q, stride, D, w, c, false, out);
}

void NET(project_add)(int n, int q, int stride, int D, const beam_lc *w, const beam_lc *c,
                      beam_lc *out)
{
    project(n, q, stride, D, w, c, true, out);
}

void NET(gram)(int n, int stride, int D, const beam_lc *w, beam_lc *out)
{
    for (int i = 0; i < n; i += 2) {
        const int count = i + 1 < n ? i + 2 : n; /* up to the diagonal */
        if (i + 1 < n) {
            project_rows(2, count, stride, D, w + i * D, w, false, out + i * stride);
        } else {
            project_rows(1, count, stride, D, w + i * D, w, false, out + i * stride);
        }
        for (int a = i; a < count; a++) {
            for (int k = 0; k < i; k++) {
                const beam_lc z = out[a * stride + k];
                out[k * stride + a] = (beam_lc){z.re, -z.im};
            }
        }
    }
}

/* Entries d < B of g_a (+)= sum_k e[a stride + k] c_k, a < A. */
INLINE void combine_tile(int A, int B, int q, int stride, int D, const beam_lc *e, const beam_lc *c,
                         bool add, beam_lc *g)
{
    beam_lc sum[2][2];
#pragma GCC unroll 2
    for (int a = 0; a < A; a++) {
#pragma GCC unroll 2
        for (int d = 0; d < B; d++) {
            sum[a][d] = add ? g[a * D + d] : (beam_lc){{0}, {0}};
        }
    }
    for (int k = 0; k < q; k++) {
#pragma GCC unroll 2
        for (int a = 0; a < A; a++) {
            const beam_lc x = e[a * stride + k];
#pragma GCC unroll 2
            for (int d = 0; d < B; d++) {
                beam_lc_add_mul(&sum[a][d], x, c[k * D + d]);
            }
        }
    }
#pragma GCC unroll 2
    for (int a = 0; a < A; a++) {
#pragma GCC unroll 2
        for (int d = 0; d < B; d++) {
            g[a * D + d] = sum[a][d];
        }
    }
}

INLINE void combine_rows(int A, int q, int stride, int D, const beam_lc *e, const beam_lc *c,
                         bool add, beam_lc *g)
{
    int d = 0;
    for (; d + 2 <= D; d += 2) {
        combine_tile(A, 2, q, stride, D, e, c + d, add, g + d);
    }
    if (d < D) {
        combine_tile(A, 1, q, stride, D, e, c + d, add, g + d);
    }
}

INLINE void combine(int n, int q, int stride, int D, const beam_lc *e, const beam_lc *c, bool add,
                    beam_lc *g)
{
    int i = 0;
    for (; i + 2 <= n; i += 2) {
        combine_rows(2, q, stride, D, e + i * stride, c, add, g + i * D);
    }
    if (i < n) {
        combine_rows(1, q, stride, D, e + i * stride, c, add, g + i * D);
    }
}

void NET(combine)(int n, int q, int stride, int D, const beam_lc *e, const beam_lc *c, beam_lc *g)
{
    combine(n, q, stride, D, e, c, true, g);
}

void NET(combine_set)(int n, int q, int stride, int D, const beam_lc *e, const beam_lc *c,
                      beam_lc *g)
{
    combine(n, q, stride, D, e, c, false, g);
}

/* Entries d < B of g_k += sum_i conj(e[i stride + k]) w_i, k < A. */
INLINE void adjoint_tile(int A, int B, int n, int stride, int D, const beam_lc *e, const beam_lc *w,
                         beam_lc *g)
{
    beam_lc sum[2][2];
#pragma GCC unroll 2
    for (int k = 0; k < A; k++) {
#pragma GCC unroll 2
        for (int d = 0; d < B; d++) {
            sum[k][d] = g[k * D + d];
        }
    }
    for (int i = 0; i < n; i++) {
#pragma GCC unroll 2
        for (int k = 0; k < A; k++) {
            const beam_lc x = e[i * stride + k];
#pragma GCC unroll 2
            for (int d = 0; d < B; d++) {
                beam_lc_add_conj_mul(&sum[k][d], x, w[i * D + d]);
            }
        }
    }
#pragma GCC unroll 2
    for (int k = 0; k < A; k++) {
#pragma GCC unroll 2
        for (int d = 0; d < B; d++) {
            g[k * D + d] = sum[k][d];
        }
    }
}

INLINE void adjoint_rows(int A, int n, int stride, int D, const beam_lc *e, const beam_lc *w,
                         beam_lc *g)
{
    int d = 0;
    for (; d + 2 <= D; d += 2) {
        adjoint_tile(A, 2, n, stride, D, e, w + d, g + d);
    }
    if (d < D) {
        adjoint_tile(A, 1, n, stride, D, e, w + d, g + d);
    }
}

void NET(combine_adjoint)(int n, int q, int stride, int D, const beam_lc *e, const beam_lc *w,
                          beam_lc *g)
{
    int k = 0;
    for (; k + 2 <= q; k += 2) {
        adjoint_rows(2, n, stride, D, e + k, w, g + k * D);
    }
    if (k < q) {
        adjoint_rows(1, n, stride, D, e + k, w, g + k * D);
    }
}

void NET(cholesky)(int D, beam_lane least, beam_lc *a)
{
    for (int j = 0; j < D; j++) {
        beam_lane pivot = a[j * D + j].re;
        for (int t = 0; t < j; t++) {
            const beam_lc x = a[j * D + t];
            pivot -= x.re * x.re;
            pivot -= x.im * x.im;
        }
        const beam_lane inverse = 1 / beam_lane_sqrt(beam_lane_max(pivot, least));
        a[j * D + j] = (beam_lc){inverse, {0}};
        for (int i = j + 1; i < D; i++) {
            beam_lc sum = a[i * D + j];
            for (int t = 0; t < j; t++) { /* l_it conj(l_jt) */
                beam_lc_sub_conj_mul(&sum, a[j * D + t], a[i * D + t]);
            }
            a[i * D + j] = beam_lc_scale(inverse, sum);
        }
    }
}

/* A rows at a time: they share the entries of the factor. */
INLINE void solve_rows(int A, int D, const beam_lc *l, beam_lc *x)
{
    for (int i = 0; i < D; i++) {
        beam_lc sum[4];
#pragma GCC unroll 4
        for (int a = 0; a < A; a++) {
            sum[a] = x[a * D + i];
        }
        for (int t = 0; t < i; t++) {
            const beam_lc f = l[i * D + t];
#pragma GCC unroll 4
            for (int a = 0; a < A; a++) {
                beam_lc_sub_mul(&sum[a], f, x[a * D + t]);
            }
        }
#pragma GCC unroll 4
        for (int a = 0; a < A; a++) {
            x[a * D + i] = beam_lc_scale(l[i * D + i].re, sum[a]);
        }
    }
    for (int i = D - 1; i >= 0; i--) {
        beam_lc sum[4];
#pragma GCC unroll 4
        for (int a = 0; a < A; a++) {
            sum[a] = x[a * D + i];
        }
        for (int t = i + 1; t < D; t++) {
            const beam_lc f = l[t * D + i];
#pragma GCC unroll 4
            for (int a = 0; a < A; a++) {
                beam_lc_sub_conj_mul(&sum[a], f, x[a * D + t]);
            }
        }
#pragma GCC unroll 4
        for (int a = 0; a < A; a++) {
            x[a * D + i] = beam_lc_scale(l[i * D + i].re, sum[a]);
        }
    }
}

void NET(cholesky_solve)(int D, const beam_lc *factor, int n, beam_lc *x)
{
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        solve_rows(4, D, factor, x + i * D);
    }
    for (; i + 2 <= n; i += 2) {
        solve_rows(2, D, factor, x + i * D);
    }
    if (i < n) {
        solve_rows(1, D, factor, x + i * D);
    }
}
