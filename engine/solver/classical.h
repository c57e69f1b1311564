/* Classical communication beams (MATH 5: starts, fallbacks and baselines) and the split of power
 * between them and given sensing rows. Scaled coordinates of beam_problem. Internal to libbeam. */
#ifndef BEAM_CLASSICAL_H
#define BEAM_CLASSICAL_H

#include "beam/solver.h"
#include "model/arena.h"
#include "model/problem.h"
#include "model/spectrum.h"

typedef struct beam_classical_work {
    beam_complex *gram;     /* [U][U] regularised Gram matrix of one station's channels, then its
                               Cholesky factor */
    double *scale;          /* [U] weight of every channel in it */
    beam_complex *solution; /* [U] */
    /* WMMSE */
    beam_complex *gain;     /* [U][U] h_{c_j,k}^H v_j at k U + j */
    beam_complex *receiver; /* [U] */
    double *weight;         /* [U] */
    double *rows;           /* [U] rows: square roots of the terms of A_l */
    double *coord;          /* [U] coordinate vectors of 2*pad4(U) */
    beam_spectrum spectrum;
} beam_classical_work;

/* U, D: largest sizes. A NULL-base arena only counts. */
void beam_classical_carve(beam_classical_work *w, beam_arena *arena, int U, int D);

/* Writes the beam rows of x (sensing rows are not touched); every station with users gets power 1,
 * or less where WMMSE prefers it. MRT    v = h ZF     v orthogonal to the channels of all other
 * users of the cluster; when they do not fit into D dimensions (or depend on each other)
 * regularised by the noise instead RZF    v = C^-1 h, C = sum_u w_u (h_u h_u^H + eps_u^2/D I) + K_l
 * I, w_u = weight over the mean weight: the largest ratio of signal to leakage and noise with
 * errors of random direction (SLNR). Equal powers, as MRT and ZF. WMMSE  beam_classical_wmmse from
 * RZF: 60 iterations or a relative gain below 1e-5 */
void beam_classical_beams(beam_classical_work *w, const beam_problem *p, beam_classical kind,
                          double *x);

/* Weighted MMSE iterations on the estimates, sensing rows counted as interference nowhere, from the
 * beams in x. The nominal weighted sum rate does not fall from one iteration to the next. Returns
 * it in bit/s/Hz, at the result. */
double beam_classical_wmmse(beam_classical_work *w, const beam_problem *p, int max_iterations,
                            double tolerance, double *x);

/* Isotropic sensing rows: unit power per station spread evenly over the span of the transmit
 * directions a, D a (with D <= 2J that is all directions). Beams are not touched. */
void beam_classical_isotropic(const beam_problem *p, double *x);

/* x = beam rows of `unit` times sqrt(share), sensing rows times sqrt(1 - share). x may be `unit`.
 */
void beam_classical_compose(const beam_problem *p, const double *unit, double share, double *x);

/* The share in [0, 1] of the power for communication with the least merit(arg, x) found in
 * `evaluations` calls (at least 5): a coarse grid, then golden sections around its best point, in
 * the angle whose squared sine is the share. A NaN counts as INFINITY. Leaves the composed point in
 * x (not `unit`) and returns its merit. */
double beam_classical_split(const beam_problem *p, const double *unit,
                            double (*merit)(void *arg, const double *x), void *arg, int evaluations,
                            double *x, double *share);

#endif
