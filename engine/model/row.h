/* Complex rows: dp real parts, then dp imaginary parts, dp a multiple of 4 and the padding zero.
 * Four lanes at a time through the compiler's vector types, so that sums need no -ffast-math; a
 * float32 version differs in the type only. */
#ifndef BEAM_ROW_H
#define BEAM_ROW_H

#include <stddef.h>
#include <string.h>

typedef double beam_v4 __attribute__((vector_size(32), aligned(8), may_alias));

static inline beam_v4 beam_v4_load(const double *p)
{
    return *(const beam_v4 *)p;
}
static inline void beam_v4_store(double *p, beam_v4 v)
{
    *(beam_v4 *)p = v;
}
static inline double beam_v4_sum(beam_v4 v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}
static inline int beam_pad4(int n)
{
    return (n + 3) & ~3;
}

/* conj(x)^T y -> re, im */
static inline void beam_row_dot(int dp, const double *x, const double *y, double *re, double *im)
{
    beam_v4 r = {0}, i = {0};
    for (int k = 0; k < dp; k += 4) {
        const beam_v4 xr = beam_v4_load(x + k), xi = beam_v4_load(x + dp + k);
        const beam_v4 yr = beam_v4_load(y + k), yi = beam_v4_load(y + dp + k);
        r += xr * yr + xi * yi;
        i += xr * yi - xi * yr;
    }
    *re = beam_v4_sum(r);
    *im = beam_v4_sum(i);
}

/* |x|^2; n = 2*dp doubles */
static inline double beam_row_norm2(int n, const double *x)
{
    beam_v4 a = {0}, b = {0};
    int k = 0;
    for (; k + 8 <= n; k += 8) {
        const beam_v4 v = beam_v4_load(x + k), w = beam_v4_load(x + k + 4);
        a += v * v;
        b += w * w;
    }
    for (; k < n; k += 4) {
        const beam_v4 v = beam_v4_load(x + k);
        a += v * v;
    }
    return beam_v4_sum(a + b);
}

/* real inner product of two arrays of n doubles, n a multiple of 4; four sums, since one would wait
 * for itself */
static inline double beam_row_inner(int n, const double *x, const double *y)
{
    beam_v4 a = {0}, b = {0}, c = {0}, d = {0};
    int k = 0;
    for (; k + 16 <= n; k += 16) {
        a += beam_v4_load(x + k) * beam_v4_load(y + k);
        b += beam_v4_load(x + k + 4) * beam_v4_load(y + k + 4);
        c += beam_v4_load(x + k + 8) * beam_v4_load(y + k + 8);
        d += beam_v4_load(x + k + 12) * beam_v4_load(y + k + 12);
    }
    for (; k < n; k += 4) {
        a += beam_v4_load(x + k) * beam_v4_load(y + k);
    }
    return beam_v4_sum((a + b) + (c + d));
}

/* y += (cr + i ci) x */
static inline void beam_row_axpy(int dp, double cr, double ci, const double *x, double *y)
{
    for (int k = 0; k < dp; k += 4) {
        const beam_v4 xr = beam_v4_load(x + k), xi = beam_v4_load(x + dp + k);
        beam_v4_store(y + k, beam_v4_load(y + k) + cr * xr - ci * xi);
        beam_v4_store(y + dp + k, beam_v4_load(y + dp + k) + cr * xi + ci * xr);
    }
}

/* y += c x over n doubles, n a multiple of 4 */
static inline void beam_row_add(int n, double c, const double *x, double *y)
{
    for (int k = 0; k < n; k += 4) {
        beam_v4_store(y + k, beam_v4_load(y + k) + c * beam_v4_load(x + k));
    }
}

static inline void beam_row_scale(int n, double c, double *x)
{
    for (int k = 0; k < n; k += 4) {
        beam_v4_store(x + k, c * beam_v4_load(x + k));
    }
}

#endif
