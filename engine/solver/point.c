/* Exact numbers of a point, and which of two points is better. */
#include <math.h>
#include <string.h>

#include "solver/solver_internal.h"

bool beam_solver_measure(beam_solver *s, beam_point *point)
{
    beam_problem *p = &s->problem;
    point->wsr = p->U > 0 ? beam_robust_exact(&s->robust, point->x) : 0.0;
    point->crlb = 0.0;
    point->shortfall = 0.0;
    for (int u = 0; u < p->U; u++) {
        point->shortfall += fmax(0.0, p->min_rate[u] - s->robust.rate[u]);
    }
    if (p->crlb.counted > 0) {
        beam_problem_sensing_gram(p, point->x, s->objective.proj, s->objective.gram);
        point->crlb = beam_crlb_value(&p->crlb, s->objective.gram, NULL, NULL);
    }
    return isfinite(point->wsr) && !isnan(point->crlb);
}

/* Minimum rates come first: at the ends a merit counts a loss up to a thousandfold, so a shortfall
 * must count more. */
double beam_solver_floor_cost(const beam_solver *s, double shortfall)
{
    return shortfall > 0.0 && s->ideal.wsr_ideal_bps_hz > 0.0
               ? 1e6 * shortfall / s->ideal.wsr_ideal_bps_hz
               : 0.0;
}

double beam_solver_point_merit(const beam_solver *s, beam_preference u, const beam_point *p)
{
    const double f1 = beam_loss_rate(&s->ideal, p->wsr),
                 f2 = beam_loss_sensing(&s->ideal, isfinite(p->crlb), p->crlb);
    return beam_merit(&s->ideal, u, f1, f2) + beam_solver_floor_cost(s, p->shortfall);
}

void beam_solver_copy_point(const beam_solver *s, beam_point *to, const beam_point *from)
{
    double *x = to->x;
    *to = *from;
    to->x = x;
    memcpy(x, from->x, beam_solver_point_bytes(s));
}

void beam_solver_fill_result(const beam_solver *s, beam_preference u, const beam_point *p,
                             beam_result *result)
{
    result->wsr_worst_case_bps_hz = p->wsr;
    result->crlb_valid = isfinite(p->crlb) && s->problem.crlb.counted > 0;
    result->crlb_m2 = result->crlb_valid ? p->crlb : 0.0;
    result->f1 = beam_loss_rate(&s->ideal, p->wsr);
    result->f2 = beam_loss_sensing(&s->ideal, isfinite(p->crlb), p->crlb);
    result->merit = beam_merit(&s->ideal, u, result->f1, result->f2);
}
