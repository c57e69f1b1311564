/* Fronts as curves: the rate that a set of designs offers at a given bound. */
#ifndef LAB_FRONT_H
#define LAB_FRONT_H

#include "beam/error.h"
#include "lab/format.h"

typedef struct lab_front_point {
    double wsr_bps_hz, crlb_m2;
} lab_front_point;

/* In place: drops dominated points and those without a finite positive CRLB, sorts by rising CRLB
 * (and rate). Returns how many are left. */
int lab_front_prune(lab_front_point *points, int count);

/* Rate at a bound: linear in log CRLB between neighbouring points, the highest rate above them, 0
 * below (no design offers that bound). */
double lab_front_rate_at(const lab_front_point *points, int count, double crlb_m2);

/* Exact worst-case rate and CRLB of every entry, recomputed; points: [solution->count]; INFINITY
 * where not identifiable. */
beam_code lab_front_evaluate(const lab_solution *solution, const beam_scene *scene,
                             lab_front_point *points, beam_error *err);

/* Of `count` answers (f1, f2 of MATH 5) the `points` that cover the hypervolume below (1,1) best,
 * the first and the last trade-off always among them: the point that adds least is left out again
 * and again. chosen: [count], the first `points` are their indices by rising trade-off. `points`
 * is 2 to `count`. */
beam_code lab_front_choose(const double (*losses)[2], const double *tradeoffs, int count,
                           int points, int *chosen, beam_error *err);

#endif
