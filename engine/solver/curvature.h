/* The curvature of the rate as a preconditioner. In the beams of station l the weighted sum rate
 * bends like the weighted mean square error (MATH 6): by
 *     A_l = sum_u alpha_u S_u/(Den_u (S_u + Den_u)) (h h^H + eps^2/D I) + mu_l I,
 * the same matrix for every row of the station, and its eigenvalues spread over decades: that, not
 * the kinks, is what slows a quasi-Newton method in its first iterations. Internal to libbeam. */
#ifndef BEAM_CURVATURE_H
#define BEAM_CURVATURE_H

#include "model/arena.h"
#include "model/robust.h"

typedef struct beam_curvature {
    const beam_problem *p;
    beam_complex *factor;            /* [L][D][D] lower Cholesky factor of A_l */
    beam_complex *column;            /* [D] */
    double slack[BEAM_MAX_STATIONS]; /* for the slack variables: the mean eigenvalue */
} beam_curvature;

/* L, D: largest sizes. A NULL-base arena only counts. */
void beam_curvature_carve(beam_curvature *c, beam_arena *arena, int L, int D);

/* From the last smoothed evaluation of rb. False: the rate has no curvature here (nobody is
 * served), do without. */
bool beam_curvature_make(beam_curvature *c, const beam_robust *rb);

/* d <- A^-1 d for rows and slacks laid out as the variables of beam_objective.
 * beam_lbfgs_precondition. */
void beam_curvature_apply(void *curvature, double *d);

#endif
