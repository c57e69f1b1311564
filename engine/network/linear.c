#include "network/linear.h"

static inline beam_lc dot(int D, const beam_lc *c, const beam_lc *w)
{
    beam_lc sum = {{0}, {0}};
    for (int d = 0; d < D; d++) {
        beam_lc_add_conj_mul(&sum, c[d], w[d]);
    }
    return sum;
}

void NET(project)(int n, int q, int stride, int D, const beam_lc *w, const beam_lc *c, beam_lc *out)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < q; k++) {
            out[i * stride + k] = dot(D, c + k * D, w + i * D);
        }
    }
}

void NET(project_add)(int n, int q, int stride, int D, const beam_lc *w, const beam_lc *c,
                      beam_lc *out)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < q; k++) {
            const beam_lc sum = dot(D, c + k * D, w + i * D);
            out[i * stride + k].re += sum.re;
            out[i * stride + k].im += sum.im;
        }
    }
}

void NET(combine)(int n, int q, int stride, int D, const beam_lc *e, const beam_lc *c, beam_lc *g)
{
    for (int i = 0; i < n; i++) {
        for (int d = 0; d < D; d++) {
            beam_lc sum = g[i * D + d];
            for (int k = 0; k < q; k++) {
                beam_lc_add_mul(&sum, e[i * stride + k], c[k * D + d]);
            }
            g[i * D + d] = sum;
        }
    }
}

void NET(combine_adjoint)(int n, int q, int stride, int D, const beam_lc *e, const beam_lc *w,
                          beam_lc *g)
{
    for (int k = 0; k < q; k++) {
        for (int d = 0; d < D; d++) {
            beam_lc sum = g[k * D + d];
            for (int i = 0; i < n; i++) {
                beam_lc_add_conj_mul(&sum, e[i * stride + k], w[i * D + d]);
            }
            g[k * D + d] = sum;
        }
    }
}

void NET(cholesky)(int D, beam_lane least, beam_lc *a)
{
    for (int j = 0; j < D; j++) {
        beam_lane pivot = a[j * D + j].re;
        for (int t = 0; t < j; t++) {
            pivot -= beam_lc_norm2(a[j * D + t]);
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

static void solve_row(int D, const beam_lc *l, beam_lc *x)
{
    for (int i = 0; i < D; i++) {
        beam_lc sum = x[i];
        for (int t = 0; t < i; t++) {
            beam_lc_sub_mul(&sum, l[i * D + t], x[t]);
        }
        x[i] = beam_lc_scale(l[i * D + i].re, sum);
    }
    for (int i = D - 1; i >= 0; i--) {
        beam_lc sum = x[i];
        for (int t = i + 1; t < D; t++) {
            beam_lc_sub_conj_mul(&sum, l[t * D + i], x[t]);
        }
        x[i] = beam_lc_scale(l[i * D + i].re, sum);
    }
}

void NET(cholesky_solve)(int D, const beam_lc *factor, int n, beam_lc *x)
{
    for (int i = 0; i < n; i++) {
        solve_row(D, factor, x + i * D);
    }
}
