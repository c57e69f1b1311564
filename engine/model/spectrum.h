/* Eigen-decomposition of R_l = sum w w^H over the rows of station l, by one-sided Jacobi rotations
 * of the rows themselves: R_l is never formed, small eigenvalues keep their relative accuracy, and
 * the cost is rows^2 * D (not D^3). Only the range matters to every trust-region problem of MATH 2:
 * on its complement R_l is zero. Internal to libbeam. */
#ifndef BEAM_SPECTRUM_H
#define BEAM_SPECTRUM_H

#include "model/arena.h"

typedef struct beam_spectrum {
    int rows;       /* C: beams and sensing rows of the station */
    int rank;       /* q <= min(C, D): eigenvalues above 1e-28 of the largest */
    int dp, qp;     /* padded lengths of a row and of a coordinate vector */
    double *rho;    /* [qp] eigenvalues, falling, zero beyond rank */
    double *vector; /* [C] rows of 2*dp: the first `rank` are the orthonormal eigenvectors */
    double *coord;  /* [C] rows of 2*qp: coordinates u_i^H w_c of every row */
    double *turn;   /* [C] rows of 2*qp: accumulated rotations; the start of the next decomposition
                       when warm */
} beam_spectrum;

void beam_spectrum_carve(beam_spectrum *s, beam_arena *arena, int rows_max, int dp_max);
/* x: C rows of 2*dp doubles. warm: start from the rotations of the last call (same C). tolerance:
 * largest cosine left between two rotated rows. */
void beam_spectrum_compute(beam_spectrum *s, int rows, int dp, const double *x, int warm,
                           double tolerance);
/* Coordinates g_i = u_i^H h: 2*qp doubles, zero beyond rank. */
void beam_spectrum_coordinates(const beam_spectrum *s, const double *h, double *g);
/* y += sum_i c_i u_i, c: 2*qp doubles. */
void beam_spectrum_lift(const beam_spectrum *s, const double *c, double *y);

#endif
