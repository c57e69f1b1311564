/* One descent of the default mode: quasi-Newton over stages of falling smoothing. */
#include <math.h>
#include <string.h>

#include "solver/solver_internal.h"

static const double temperature =
    0.02; /* of the smooth Tchebycheff function; its multipliers do the rest */
enum { FLOOR_ROUNDS = 20 };

bool beam_solver_expired(const beam_solver *s)
{
    return s->options.expired && s->options.expired(s->options.expired_arg);
}

void beam_solver_set_preference(beam_solver *s, beam_preference u)
{
    beam_objective *o = &s->objective;
    o->goal = BEAM_GOAL_TCHEBYCHEFF;
    o->ideal = s->ideal;
    o->temperature = temperature;
    o->p1 = o->p2 = 0.5;
    beam_objective_set_preference(o, u);
}

/* Further rounds on the last stage until every minimum rate is met to 1e-3 bit/s/Hz, the penalty
 * doubled each time. */
static beam_lbfgs_end meet_floors(beam_solver *s, int iterations, double tolerance)
{
    const beam_problem *p = &s->problem;
    beam_lbfgs_end end = BEAM_LBFGS_CONVERGED;
    for (int round = 0; round < FLOOR_ROUNDS && end == BEAM_LBFGS_CONVERGED; round++) {
        double value, worst = 0.0;
        for (int u = 0; u < p->U; u++) {
            worst = fmax(worst, p->min_rate[u] - s->robust.rate[u]);
        }
        if (worst <= 1e-3) {
            break;
        }
        s->objective.floor_penalty *= 2.0;
        end = beam_lbfgs_minimise(&s->lbfgs, s->y, beam_objective_value, &s->objective,
                                  iterations - s->lbfgs.iterations, tolerance, &value);
        beam_objective_update(&s->objective);
    }
    return end;
}

static beam_status status_of(beam_lbfgs_end end)
{
    switch (end) {
    case BEAM_LBFGS_STOPPED:
        return BEAM_STATUS_TIME_LIMIT;
    case BEAM_LBFGS_LIMIT:
        return BEAM_STATUS_ITERATION_LIMIT;
    case BEAM_LBFGS_NUMERIC:
        return BEAM_STATUS_NUMERIC;
    default:
        return BEAM_STATUS_CONVERGED;
    }
}

beam_status beam_solver_descend(beam_solver *s, const double *stages, int count, int iterations,
                                double tolerance, const double *start, beam_point *out,
                                beam_result *result)
{
    beam_objective *o = &s->objective;
    beam_lbfgs *q = &s->lbfgs;
    beam_status status = BEAM_STATUS_CONVERGED;
    beam_objective_encode(o, start, s->y);
    beam_lbfgs_reset(q, beam_objective_size(&s->problem));
    q->precondition = NULL;
    q->stop = s->options.expired;
    q->stop_arg = s->options.expired_arg;
    q->iterations = q->evaluations = 0;
    o->floor_penalty = s->has_floors ? 1e3 : 0.0;
    memset(o->floor_multiplier, 0, sizeof o->floor_multiplier);
    for (int k = 0; k < count; k++) {
        double value;
        s->robust.warm = 0;
        o->smoothing = stages[k];
        const beam_lbfgs_end end = beam_lbfgs_minimise(
            q, s->y, beam_objective_value, o, iterations - q->iterations, tolerance, &value);
        beam_objective_update(o);
        status = status_of(end);
        if (status != BEAM_STATUS_CONVERGED) {
            break;
        }
    }
    if (s->has_floors && status == BEAM_STATUS_CONVERGED) {
        status = status_of(meet_floors(s, iterations, tolerance));
    }
    result->iterations += q->iterations;
    result->evaluations += q->evaluations;
    beam_objective_decode(o, s->y, out->x);
    if (!beam_solver_measure(s, out)) {
        return BEAM_STATUS_NUMERIC;
    }
    return status;
}
