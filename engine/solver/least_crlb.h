/* The sensing end: minimise the CRLB over R_l >= 0, tr R_l <= 1 (scaled budgets), with a proof of
 * how close it came.
 *
 * The CRLB is convex in (R_1..R_L), homogeneous of degree -1, and sees R_l only on the span of a, D
 * a over the targets (MATH 3 and 4). So R_l = B_l B_l^H with a full square factor on that span has
 * no spurious minima, and for P_l = -G_l CRLB(R') >= CRLB(R)^2 / sum_l lambda_max(P_l)   for every
 * admissible R' (convexity, sum_l <P_l, R_l> = CRLB(R), and the best common scale of the tangent
 * point).
 *
 * The special problem of dark targets: an optimum may send D a and no a, where S = b^H R b jumps as
 * a^H R a -> 0: the minimum is then approached, not attained, and steps stall against the jump. So
 * R_l = (1 - mix) B_l B_l^H + mix I/d is searched instead with mix falling from 0.1: its curvature
 * is bounded, it is admissible itself, and the certificate covers what the mixture costs. Internal
 * to libbeam. */
#ifndef BEAM_LEAST_CRLB_H
#define BEAM_LEAST_CRLB_H

#include <stdbool.h>

#include "model/arena.h"
#include "model/problem.h"
#include "model/spectrum.h"

typedef enum beam_least_status {
    BEAM_LEAST_PROVEN = 0, /* the gap is at or under the tolerance */
    BEAM_LEAST_STALLED =
        1, /* iteration limit, or rounding ended it: `gap` says how far it is proven */
    BEAM_LEAST_NOT_LOCATED =
        2, /* some target that counts cannot be located: isotropic rows, value INFINITY */
    BEAM_LEAST_NUMERIC = 3 /* a NaN was met: isotropic rows, value NaN */
} beam_least_status;

typedef struct beam_least_result {
    beam_least_status status;
    double value; /* CRLB in m^2 of the rows written; 0 when no target counts */
    double gap;   /* value <= (1 + gap) * minimum, proven */
    int iterations, evaluations;
} beam_least_result;

enum { BEAM_LEAST_MEMORY = 16 };

typedef struct beam_least_crlb {
    int dimension[BEAM_MAX_STATIONS]; /* of the span of station l */
    beam_problem sub; /* the same stations in span coordinates, no users: sizes and tx only */
    double *span; /* [L][2J] rows of the problem: orthonormal basis, zero rows beyond dimension */
    double *z, *y, *grad, *z_next, *grad_next, *direction; /* [L][2J] rows of span coordinates */
    double *steps, *changes;                               /* [BEAM_LEAST_MEMORY] such arrays */
    double *metric_vector; /* [L][2J] rows: eigenvectors of R_l when the metric was taken */
    double *metric;        /* [L][2J] its eigenvalues over the largest */
    double *scratch;       /* [L][2J] rows */
    bool preconditioned;   /* the metric is in use */
    beam_complex *proj, *gram, *T;
    beam_complex *isotropic; /* [L][2J][2J] Gram matrix of I/d */
    double mix;
    double *matrix; /* [4J] rows */
    beam_spectrum spectrum;
} beam_least_crlb;

/* D: largest dimension of the problem's rows. A NULL-base arena only counts. */
void beam_least_crlb_carve(beam_least_crlb *s, beam_arena *arena, int L, int J, int D);

/* Writes the sensing rows of x (all p->r per station, power 1 per station, strongest first, zero
 * beyond the rank); the beams in x are not touched. tolerance: relative gap to prove. warm: start
 * from the sensing rows in x. With fewer than min(D, 2J) rows the strongest are kept and value and
 * gap are those of what was kept. */
beam_least_result beam_least_crlb_solve(beam_least_crlb *s, beam_problem *p, double tolerance,
                                        int max_iterations, bool warm, double *x);

#endif
