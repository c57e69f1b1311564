/* The numbers of a design through the internal coordinates of the solvers (model/problem.h,
 * model/robust.h), reduced to the subspace of MATH 4 or not: the second way to every number of
 * beam_evaluator. */
#ifndef TEST_REDUCED_H
#define TEST_REDUCED_H

#include "common/owned.h"
#include "model/problem.h"
#include "model/robust.h"

typedef struct test_reduced {
    beam_problem problem;
    beam_robust robust;
    int point;                              /* doubles of a point */
    double *x, *grad_wsr, *grad_crlb, *row; /* points; row: one row */
    double *scratch;                        /* a further point */
    beam_complex *proj, *gram, *pull;
    void *memory;
} test_reduced;

/* Points hold up to `columns` sensing columns per station. Free with test_reduced_free. */
test_reduced *test_reduced_new(const beam_scene *scene, int columns, bool reduce);
void test_reduced_free(test_reduced *reduced);

typedef struct test_reduced_numbers {
    double wsr_nominal, wsr_worst_case;
    double crlb;                         /* INFINITY: not identifiable */
    double sinr_nominal[BEAM_MAX_USERS]; /* order of the scene */
    double sinr_worst_case[BEAM_MAX_USERS];
    double power_w[BEAM_MAX_STATIONS];
} test_reduced_numbers;

/* Projects the design into x and evaluates there; fills grad_wsr and grad_crlb. */
test_reduced_numbers test_reduced_run(test_reduced *reduced, const beam_scene *scene,
                                      const beam_design *design);

/* Relative norm of what the projection took away from the design. */
double test_reduced_lost(test_reduced *reduced, const beam_scene *scene, const beam_design *design);

/* |a - expected| / |expected| for a gradient in these coordinates against one of a design's layout:
 * dx = dw / sqrt(P), so d/dx = sqrt(P) d/dw = P * (d/dw read as if it were a design). */
double test_reduced_gradient_error(test_reduced *reduced, const double *gradient,
                                   const beam_design *expected);

#endif
