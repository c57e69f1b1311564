/* Least-norm point of the convex hull of rows g_1..g_n, given only their inner products: the dual
 * of the common descent direction (22). Wolfe's method: finite, exact up to rounding. Internal to
 * libbeam. */
#ifndef BEAM_MIN_NORM_H
#define BEAM_MIN_NORM_H

enum { BEAM_MIN_NORM_MAX = 64 };

typedef struct beam_min_norm_result {
    double norm2;   /* lambda^T G lambda = |d|^2 */
    double gap;     /* norm2 - min_i (G lambda)_i >= 0: zero at the exact solution */
    int iterations; /* rows that entered the corral */
} beam_min_norm_result;

/* Minimises lambda^T G lambda over the simplex. gram: [n][n], row-major, positive semidefinite up
 * to rounding, not modified. lambda: [n], written. 1 <= n <= BEAM_MIN_NORM_MAX. Returns 0, or -1
 * when n is out of range or an entry is not finite (then lambda is not written). Repeated, parallel
 * and zero rows are admissible. */
int beam_min_norm(int n, const double *gram, double *lambda, beam_min_norm_result *result);

#endif
