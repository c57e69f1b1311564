/* The scalarised smoothed objective of the default mode and its gradient in the solver's variables
 * (internal).
 *
 * Variables y: the rows of a point and one slack per station; x = y_l / sqrt(|y_l|^2 + t_l^2) per
 * station, so that every y is inside every budget and full power is at t = 0, a finite point (MATH
 * 1).
 *
 * Objective (MATH 5): smooth Tchebycheff of a_1 = w_1 f1, a_2 = w_2 f2 with weights w ~ 1/u,
 *     T log( p_1 exp(a_1/T) + p_2 exp(a_2/T) ) + rho (f1 + f2),
 * p the multipliers of the exponential method (at its fixed point the minimiser sits exactly on the
 * ray for any T), plus augmented-Lagrangian terms of the minimum rates. */
#ifndef BEAM_OBJECTIVE_H
#define BEAM_OBJECTIVE_H

#include "model/problem.h"
#include "model/robust.h"

typedef enum beam_goal { BEAM_GOAL_RATE = 0, BEAM_GOAL_TCHEBYCHEFF = 1 } beam_goal;

typedef struct beam_objective {
    beam_problem *p;
    beam_robust *rb;
    beam_goal goal;
    beam_ideal ideal;
    double w1, w2, tie;   /* weights of f1, f2, and rho of the sum */
    double smoothing;     /* m of the smoothed dual */
    double temperature;   /* T */
    double p1, p2;        /* multipliers, sum 1 */
    double floor_penalty; /* sigma of the minimum rates; 0: none */
    double floor_multiplier[BEAM_MAX_USERS];
    double *x, *gx; /* [rows] */
    beam_complex *proj, *gram, *T;
    /* of the last evaluation */
    double wsr, crlb, a1, a2, f1, f2;
} beam_objective;

int beam_objective_size(const beam_problem *p); /* doubles in y, a multiple of 4 */
void beam_objective_carve(beam_objective *o, beam_arena *arena, const beam_dims *max, int D,
                          int sensing_max);
/* Weights of a preference: w ~ 1/max(u, 1e-3), sum 1. */
void beam_objective_set_preference(beam_objective *o, beam_preference u);
/* y of a point inside the budgets. */
void beam_objective_encode(const beam_objective *o, const double *x, double *y);
/* x of y. */
void beam_objective_decode(const beam_objective *o, const double *y, double *x);
/* beam_lbfgs_function. NAN where the worst case or the CRLB has no finite value. */
double beam_objective_value(void *objective, const double *y, double *g);
/* After a minimisation: multiplier updates at the last evaluated point. */
void beam_objective_update(beam_objective *o);

#endif
