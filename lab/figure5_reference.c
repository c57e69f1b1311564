/* The best merit known for every case of figure 5, and the judge of every answer. */
#include <math.h>
#include <stdlib.h>

#include "lab/figure5_internal.h"

/* Run to convergence: the decrease at which a stage ends is a hundredth of the default. */
static const double strict_tolerance = 1e-7;
static const double power_excess_most = 1e-9;
enum { STRICT_ITERATIONS = 20000, FRONT = 129, FRONT_STARTS = 3 };

beam_code lab_figure5_judge(lab_figure5_place *place, double tradeoff, const beam_design *design,
                            lab_quality_point *quality, beam_error *err)
{
    beam_quality q;
    const beam_code code = beam_evaluator_run(place->evaluator.evaluator, design, &q, err);
    if (code) {
        return code;
    }
    if (q.power_excess > power_excess_most) {
        return beam_fail(err, BEAM_E_NUMERIC, NULL, "a design exceeds its budget by %.3g",
                         q.power_excess);
    }
    const beam_ideal *ideal = &place->ideal;
    quality->wsr_bps_hz = q.wsr_worst_case_bps_hz;
    quality->crlb_m2 = q.crlb_valid ? q.crlb_m2 : INFINITY;
    quality->merit = beam_merit(ideal, beam_preference_from_tradeoff(tradeoff),
                                beam_loss_rate(ideal, q.wsr_worst_case_bps_hz),
                                beam_loss_sensing(ideal, q.crlb_valid, q.crlb_m2));
    return isnan(quality->merit) ? beam_fail(err, BEAM_E_NUMERIC, NULL, "a merit is not a number")
                                 : BEAM_OK;
}

/* One strict solve, warm from `start` or cold (NULL). */
static beam_code strict_solve(lab_figure5 *self, lab_figure5_set *set, int index,
                              const beam_design *start, beam_error *err)
{
    lab_figure5_place *place = &self->places[index / set->points];
    const double tradeoff = set->tradeoffs[index % set->points];
    beam_result result;
    lab_quality_point quality;
    beam_code code =
        beam_solver_solve(place->strict.solver, tradeoff, start, &self->spare.design, &result, err);
    code = code ? code : lab_figure5_judge(place, tradeoff, &self->spare.design, &quality, err);
    if (!code && quality.merit < set->reference[index].merit) {
        set->reference[index] = quality;
    }
    return code;
}

beam_code lab_figure5_improve(lab_figure5 *self, lab_figure5_set *set, int index,
                              const beam_design *design, beam_error *err)
{
    return strict_solve(self, set, index, design, err);
}

typedef struct front {
    lab_design own[FRONT];
    beam_design views[FRONT];
    double tradeoffs[FRONT];
    beam_result results[FRONT];
} front;

/* The best of the oracle's front at this preference. */
static void read_golden(const lab_figure5_place *place, beam_preference u,
                        lab_quality_point *reference)
{
    for (int k = 0; k < place->golden->count; k++) {
        const double wsr = place->golden->front[k][0], crlb = place->golden->front[k][1];
        const double merit = beam_merit(&place->ideal, u, beam_loss_rate(&place->ideal, wsr),
                                        beam_loss_sensing(&place->ideal, true, crlb));
        if (merit < reference->merit) {
            *reference = (lab_quality_point){merit, wsr, crlb};
        }
    }
}

/* Cold, and from the designs of the front that are best at this preference. */
static beam_code solve_case(lab_figure5 *self, lab_figure5_set *set, int index, const front *f,
                            beam_error *err)
{
    const lab_figure5_place *place = &self->places[index / set->points];
    const beam_preference u = beam_preference_from_tradeoff(set->tradeoffs[index % set->points]);
    bool used[FRONT] = {false};
    if (place->golden) {
        read_golden(place, u, &set->reference[index]);
    }
    beam_code code = strict_solve(self, set, index, NULL, err);
    for (int n = 0; !code && n < FRONT_STARTS; n++) {
        int best = -1;
        double least = INFINITY;
        for (int k = 0; k < FRONT; k++) {
            const double m = beam_merit(&place->ideal, u, f->results[k].f1, f->results[k].f2);
            if (!used[k] && m < least) {
                least = m;
                best = k;
            }
        }
        if (best >= 0) {
            used[best] = true;
            code = strict_solve(self, set, index, &f->views[best], err);
        }
    }
    return code;
}

static beam_code solve_front(lab_figure5_place *place, front *f, beam_error *err)
{
    const beam_dims *dims = &place->scene->scene.dims;
    beam_solver_options strict = beam_solver_options_default();
    strict.max_iterations = STRICT_ITERATIONS;
    strict.tolerance = strict_tolerance;
    beam_solver_set_options(place->strict.solver, &strict);
    beam_code code = BEAM_OK;
    for (int k = 0; !code && k < FRONT; k++) {
        code = lab_design_init(&f->own[k], dims, beam_design_sensing_max(dims), err);
        f->views[k] = f->own[k].design;
    }
    code = code ? code
                : beam_solver_front(place->strict.solver, FRONT, false, f->tradeoffs, f->views,
                                    f->results, NULL, NULL, err);
    place->ideal = beam_solver_ideal(place->strict.solver);
    if (!code && place->golden) { /* the oracle's ends, and its front is a reference too */
        place->ideal = (beam_ideal){place->golden->wsr_ideal_bps_hz, place->golden->crlb_min_m2};
        code = beam_solver_set_ideal(place->strict.solver, &place->ideal, err);
    }
    /* the least-CRLB rows belong to geometry and budgets: every timed run finds them made */
    code = code ? code : beam_solver_compute_sensing_end(place->solver.solver, err);
    return code ? code : beam_solver_set_ideal(place->solver.solver, &place->ideal, err);
}

beam_code lab_figure5_solve_reference(lab_figure5 *self, int scene, beam_error *err)
{
    front *f = calloc(1, sizeof *f);
    if (!f) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    beam_code code = solve_front(&self->places[scene], f, err);
    for (int s = 0; !code && s < LAB_SETTINGS; s++) {
        lab_figure5_set *set = &self->sets[s];
        for (int k = 0; !code && k < set->points; k++) {
            code = solve_case(self, set, scene * set->points + k, f, err);
        }
    }
    for (int k = 0; k < FRONT; k++) {
        lab_design_clear(&f->own[k]);
    }
    free(f);
    return code;
}
