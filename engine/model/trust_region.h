/* The two trust-region problems of MATH 2 in the eigenbasis of R_l (internal to libbeam).
 *
 * Cross:  max_{|x-g|<=eps} x^H R x,  R = diag(rho).
 * Own:    min_{|x-g|<=eps} x^H A x,  A = z z^H - eta Q', Q' = diag(rho) - z z^H, i.e. A = diag(b) +
 * omega z z^H with b = -eta rho, omega = 1 + eta: a rank-one change, so every quantity of (A +
 * lambda)^-1 costs O(q). */
#ifndef BEAM_TRUST_REGION_H
#define BEAM_TRUST_REGION_H

enum { BEAM_RANK_MAX = 160 }; /* most rows of one station: BEAM_MAX_USERS + 2 BEAM_MAX_TARGETS */

/* Root s >= 0 of sum_i w_i/(d_i+s)^2 = eps^2 by Newton on 1/norm (monotone from the left; the first
 * step from anywhere lands there). w_i = a_i^2 c_i >= 0, d_i >= 0, n entries. s0 <= 0: cold start.
 * Returns 0 when the norm at s = 0+ is below eps (hard case: the caller pads along the bottom
 * eigenvector). */
double beam_secular_root(int n, const double *w, const double *d, double eps, double s0);

/* One evaluation of the own-cell system at (eta, lambda): E = A (A+lambda)^-1 acts through diag(e)
 * and two vectors. */
typedef struct beam_own_system {
    int n, qp;                   /* rank, padded length */
    double lambda, schur;        /* schur > 0 and w_1 > 0 <=> A + lambda > 0 */
    double e0, k, k11;           /* E = [[e0, k z0 u^H], [k conj(z0) u, diag(e) + k11 u u^H]] */
    double zz0, uu;              /* |z_0|^2, |u|^2 */
    double kappa;                /* omega / (1 + omega sum' |z_i|^2/w_i) */
    double inv[BEAM_RANK_MAX];   /* [qp] 1/w_i, entry 0 is 0 */
    double e[BEAM_RANK_MAX];     /* [qp], entry 0 unused (0) */
    double u[2 * BEAM_RANK_MAX]; /* z_i / w_i, entry 0 is 0 */
    double z0r, z0i;
} beam_own_system;

/* Returns 0 when A + lambda is not positive definite (or not a number). */
int beam_own_system_set(beam_own_system *o, int n, int qp, const double *rho, const double *z,
                        double eta, double lambda);
/* y = E g; rows of 2*qp. */
void beam_own_system_apply(const beam_own_system *o, const double *g, double *y);
/* y^H (A + lambda)^-1 y, without the cancellation of y^H (1 - E) y / lambda where lambda is small
 * beside A. */
double beam_own_system_inverse_form(const beam_own_system *o, const double *y);
/* tr E, tr E^2, tr E^3 over the range */
void beam_own_system_traces(const beam_own_system *o, double t[3]);

/* theta >= 0 of the least eigenvalue a_0 = -eta rho_0 + theta of A, and gap1 = eta (rho_0 - rho_1)
 * - theta, both accurate relative to themselves. n >= 1. */
double beam_own_least(int n, const double *rho, const double *z, int qp, double eta, double *gap1);

/* Global minimiser of x^H A x over the ball, exact (shift form). x: 2*qp. warm_shift in/out. */
void beam_own_minimise(int n, int qp, const double *rho, const double *z, const double *g,
                       double eps, double eta, double *warm_shift, double *x);

#endif
