/* Limited-memory BFGS with a weak-Wolfe line search: the quasi-Newton method of the default mode
 * (internal). Arrays have n doubles, n a multiple of 4. No allocation, no clock: the caller's
 * function may ask to stop. */
#ifndef BEAM_LBFGS_H
#define BEAM_LBFGS_H

#include <stdbool.h>

#include "model/arena.h"

enum { BEAM_LBFGS_MEMORY = 24 };

/* Value at y and gradient into g; a non-finite value means "outside": the line search steps back.
 */
typedef double beam_lbfgs_function(void *arg, const double *y, double *g);

/* d <- M^-1 d for a fixed positive definite M, in place. */
typedef void beam_lbfgs_precondition(void *arg, double *d);

typedef struct beam_lbfgs {
    int n, pairs, newest;
    double *s, *t; /* [BEAM_LBFGS_MEMORY][n] steps and gradient changes */
    double rho[BEAM_LBFGS_MEMORY];
    double *g, *trial, *gtrial, *d;
    int iterations, evaluations;           /* totals, reset by the caller */
    beam_lbfgs_precondition *precondition; /* shape of the first inverse Hessian; NULL: the unit
                                              matrix. Set by the caller before every minimisation
                                              or left NULL */
    void *precondition_arg;
    bool (*stop)(void *arg);
    void *stop_arg;
} beam_lbfgs;

typedef enum beam_lbfgs_end {
    BEAM_LBFGS_CONVERGED = 0, /* relative decrease under the tolerance, or no descent left */
    BEAM_LBFGS_LIMIT = 1,
    BEAM_LBFGS_STOPPED = 2,
    BEAM_LBFGS_NUMERIC = 3 /* the start itself has no finite value */
} beam_lbfgs_end;

void beam_lbfgs_carve(beam_lbfgs *o, beam_arena *arena, int n);
/* Forget the curvature pairs. */
void beam_lbfgs_reset(beam_lbfgs *o, int n);
/* Minimises from y (in and out). Pairs of earlier calls with the same n are used. tolerance:
 * decrease per iteration, relative to max(1, |value|), averaged over the last iterations. */
beam_lbfgs_end beam_lbfgs_minimise(beam_lbfgs *o, double *y, beam_lbfgs_function *f, void *arg,
                                   int max_iterations, double tolerance, double *value);

#endif
