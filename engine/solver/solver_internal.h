/* Inside of beam_solver, shared by solver.c, point.c, descend.c, refine.c, ends.c, solve.c and
 * front.c. */
#ifndef BEAM_SOLVER_INTERNAL_H
#define BEAM_SOLVER_INTERNAL_H

#include "beam/solver.h"
#include "model/problem.h"
#include "model/robust.h"
#include "solver/classical.h"
#include "solver/curvature.h"
#include "solver/curve.h"
#include "solver/lbfgs.h"
#include "solver/least_crlb.h"
#include "solver/objective.h"

enum { BEAM_FRONT_SCAN = 17 }; /* trade-offs of the first pass of a front */

/* A point with its exact numbers. */
typedef struct beam_point {
    double *x;
    double wsr, crlb; /* crlb INFINITY when some counted target is not identifiable */
    double shortfall; /* sum of max(0, minimum - rate) */
} beam_point;

struct beam_solver {
    beam_dims max;
    beam_solver_options options;
    beam_ideal ideal;
    bool loaded, have_ideal_rate, have_ideal_sensing;
    bool have_sensing_rows, have_classical, have_rate_point; /* of the scene now loaded */
    bool sensing_moved;              /* the rows are of another geometry: for this scene only */
    double *geometry, *geometry_new; /* what the sensing rows were solved for; scratch after load */
    beam_problem problem;
    beam_robust robust;
    beam_objective objective;
    beam_lbfgs lbfgs;
    beam_classical_work classical;
    beam_least_crlb least;
    beam_curve curve;         /* bounds on the classical designs */
    beam_curvature curvature; /* of the refinement */
    double *y;
    double *sensing; /* rows: least-CRLB sensing rows, power 1, no beams */
    double *unit;    /* RZF beams of power 1 with those sensing rows */
    beam_point rate_end, candidate, answer, spare;
    beam_point pool[BEAM_FRONT_SCAN]; /* best known along the front; wsr < 0: none */
    bool has_floors;
    int warm_solves, explored; /* since init: when and where a warm solve looks elsewhere */
};

/* Doubles of `geometry`: sensing model, bandwidth, snapshots, skip, D, K[L], then the rest. */
size_t beam_solver_geometry_size(const beam_dims *d);
size_t beam_solver_point_bytes(const beam_solver *s);
/* Exact numbers of p->x; false when not finite. */
bool beam_solver_measure(beam_solver *s, beam_point *p);
/* Merit of MATH 5 plus the floor cost: a point inside the minimum rates always beats one outside.
 */
double beam_solver_point_merit(const beam_solver *s, beam_preference u, const beam_point *p);
/* Cost of missed minimum rates, in units of merit. */
double beam_solver_floor_cost(const beam_solver *s, double shortfall);
void beam_solver_copy_point(const beam_solver *s, beam_point *to, const beam_point *from);
/* Stages of falling smoothing from the point in start->x towards `u` (goal of the objective set by
 * the caller). The result is measured into `out`. */
beam_status beam_solver_descend(beam_solver *s, const double *stages, int count, int iterations,
                                double tolerance, const double *start, beam_point *out,
                                beam_result *result);
/* At most `iterations` from a point that is already good towards u; measured into `out`, which may
 * be worse than the start by the exact merit. */
beam_status beam_solver_refine(beam_solver *s, beam_preference u, int iterations,
                               const double *start, beam_point *out, beam_result *result);
bool beam_solver_expired(const beam_solver *s);
/* Has `design` the sizes of the loaded scene and room for the sensing rows? `field` names it. */
beam_code beam_solver_check_design(const beam_solver *s, const beam_design *design,
                                   const char *field, beam_error *err);
/* Has `warm` the sizes of the loaded scene and admissible numbers of columns? */
beam_code beam_solver_check_warm(const beam_solver *s, const beam_design *warm, beam_error *err);
/* Warm beams in these coordinates, scaled into the budgets; false when they are not finite. */
bool beam_solver_import_warm(beam_solver *s, const beam_design *warm, double *x);
/* Scales every station that is over its budget down to it; false when its power is not finite. */
bool beam_solver_fit_budgets(const beam_solver *s, double *x);
/* Everything a call for one design needs: a scene, ideal values, an admissible trade-off and `out`.
 */
beam_code beam_solver_check_call(const beam_solver *s, double tradeoff, const beam_design *out,
                                 beam_error *err);
/* Sensing rows and the RZF start of the loaded scene, once. */
beam_code beam_solver_prepare(beam_solver *s, beam_error *err);
/* Best classical point (RZF + least-CRLB rows) at a preference into `out`; returns the share of the
 * beams. */
double beam_solver_classical_point(beam_solver *s, beam_preference u, beam_point *out);
/* The share moved off 0 and 1: beams or sensing rows at zero have no gradient. */
double beam_solver_start_share(double share);
void beam_solver_set_preference(beam_solver *s, beam_preference u);
void beam_solver_fill_result(const beam_solver *s, beam_preference u, const beam_point *p,
                             beam_result *result);

#endif
