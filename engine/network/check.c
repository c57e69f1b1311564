#include "network/check.h"

#include <math.h>
#include <string.h>

/* Nodes that one preference may add to the curve before the search itself is cheaper. */
enum { BOUND_NODES = 24, BOUND_DEPTH = 12, CUT_STEPS = 3 };

/* What the rounding of exact values may cost a bound. */
static const double merit_slack = 1e-10;

void beam_check_carve(beam_check *c, beam_arena *arena, int users)
{
    memset(c, 0, sizeof *c);
    beam_rate_cut_carve(&c->cut, arena, users);
}

static void mark(const beam_check *c, beam_stage stage)
{
    if (c->mark) {
        c->mark(c->mark_arg, stage);
    }
}

/* Merit of bounds on rate, missed minima and CRLB. */
static double merit_of(const beam_solver *s, beam_preference u, double wsr, double shortfall,
                       double crlb)
{
    const beam_point point = {.wsr = wsr, .crlb = crlb, .shortfall = shortfall};
    const double merit = beam_solver_point_merit(s, u, &point);
    return isnan(merit) ? -INFINITY : merit - merit_slack * (1.0 + fabs(merit));
}

typedef struct bound_search {
    beam_solver *s;
    beam_preference u;
    double target;
    int level;    /* of the curve */
    int left;     /* nodes that may still be added */
    double least; /* over the intervals settled so far */
} bound_search;

/* Better than the target as far as the bounds know: no refinement will exclude it. */
static bool hopeless(const bound_search *b, const beam_curve_node *n)
{
    return merit_of(b->s, b->u, n->wsr, n->shortfall, n->crlb) < b->target;
}

/* Settles [a, b]; false when the target cannot be reached. */
static bool settle(bound_search *b, const beam_curve_node *low, const beam_curve_node *high,
                   int depth)
{
    const double bound =
        merit_of(b->s, b->u, high->wsr, high->shortfall, beam_curve_least(low, high));
    if (bound >= b->target) {
        b->least = fmin(b->least, bound);
        return true;
    }
    if (depth == 0 || b->left == 0) {
        b->least = fmin(b->least, bound);
        return false;
    }
    b->left--;
    const beam_curve_node middle =
        beam_curve_at(&b->s->curve, &b->s->problem, b->level, 0.5 * (low->share + high->share));
    if (hopeless(b, &middle)) {
        b->least = fmin(b->least, bound);
        return false;
    }
    return settle(b, low, &middle, depth - 1) && settle(b, &middle, high, depth - 1);
}

static double bound_of_level(beam_solver *s, beam_preference u, double target, int level)
{
    bound_search b = {
        .s = s, .u = u, .target = target, .level = level, .left = BOUND_NODES, .least = INFINITY};
    const beam_curve_node *node = beam_curve_level(&s->curve, &s->problem, s->unit, level);
    for (int i = 0; i < BEAM_CURVE_NODES; i++) {
        if (hopeless(&b, &node[i])) {
            return -INFINITY;
        }
    }
    for (int i = 0; i + 1 < BEAM_CURVE_NODES; i++) {
        if (!settle(&b, &node[i], &node[i + 1], BOUND_DEPTH)) {
            return -INFINITY;
        }
    }
    return b.least;
}

double beam_check_classical_bound(beam_solver *s, beam_preference u, double target)
{
    double bound = -INFINITY;
    for (int level = 0; level < BEAM_CURVE_LEVELS && !(bound >= target); level++) {
        bound = bound_of_level(s, u, target, level);
    }
    return bound;
}

/* Times the least CRLB: beyond it an information matrix is singular to rounding, and whether a
 * target counts as located depends on who computes. Such a candidate wins against nobody. */
static const double barely_located = 1e10;

static double merit_or_infinity(const beam_solver *s, beam_preference u, const beam_point *point)
{
    if (s->ideal.crlb_min_m2 > 0.0 && point->crlb > barely_located * s->ideal.crlb_min_m2) {
        return INFINITY;
    }
    const double merit = beam_solver_point_merit(s, u, point);
    return isnan(merit) ? INFINITY : merit;
}

/* Lower bound of the merit of a point inside the budgets: its CRLB and admissible errors. */
static double point_bound(beam_check *c, beam_solver *s, beam_preference u, const double *x)
{
    beam_problem *p = &s->problem;
    double wsr = 0.0, shortfall = 0.0, crlb = 0.0;
    if (p->U > 0) {
        beam_rate_cut_make(&c->cut, p, x, 1.0, 1.0, CUT_STEPS);
    }
    for (int k = 0; k < p->U; k++) {
        const double rate = log1p(beam_rate_cut_sinr(&c->cut, k, 1.0, 1.0)) * M_LOG2E;
        wsr += p->weight[k] * rate;
        shortfall += fmax(0.0, p->min_rate[k] - rate);
    }
    if (p->crlb.counted > 0) {
        beam_problem_sensing_gram(p, x, s->objective.proj, s->objective.gram);
        crlb = beam_crlb_value(&p->crlb, s->objective.gram, NULL, NULL);
    }
    return merit_of(s, u, wsr, shortfall, crlb);
}

/* The network's point, as it will be published: inside the budgets. INFINITY when it is useless. */
static double measure_network(beam_solver *s, beam_preference u, const double *x)
{
    memcpy(s->answer.x, x, beam_solver_point_bytes(s));
    if (!beam_solver_fit_budgets(s, s->answer.x) || !beam_solver_measure(s, &s->answer)) {
        return INFINITY;
    }
    return merit_or_infinity(s, u, &s->answer);
}

static void consider_warm(beam_check *c, beam_solver *s, beam_preference u, const double *x,
                          double *best, beam_result *result, beam_inference_detail *detail)
{
    if (isfinite(*best) && point_bound(c, s, u, x) >= *best) {
        return;
    }
    memcpy(s->candidate.x, x, beam_solver_point_bytes(s));
    const bool finite = beam_solver_measure(s, &s->candidate);
    const double merit = finite ? merit_or_infinity(s, u, &s->candidate) : INFINITY;
    detail->warm_measured = true;
    detail->warm_merit = merit;
    if (merit < *best) {
        *best = merit;
        result->method = BEAM_METHOD_WARM;
        beam_solver_copy_point(s, &s->answer, &s->candidate);
    }
}

static void consider_classical(beam_solver *s, beam_preference u, double *best, beam_result *result,
                               beam_inference_detail *detail)
{
    if (isfinite(*best)) {
        const double bound = beam_check_classical_bound(s, u, *best);
        if (bound >= *best) {
            result->classical_merit = bound;
            result->classical_is_bound = true;
            return;
        }
    }
    (void)beam_solver_classical_point(s, u, &s->candidate);
    const double merit = merit_or_infinity(s, u, &s->candidate);
    beam_result classical;
    beam_solver_fill_result(s, u, &s->candidate, &classical);
    detail->classical_measured = true;
    result->classical_merit = classical.merit;
    if (merit < *best || (!isfinite(*best) && isfinite(s->candidate.wsr))) {
        *best = merit;
        result->method = BEAM_METHOD_CLASSICAL;
        beam_solver_copy_point(s, &s->answer, &s->candidate);
    }
}

static void refine_answer(beam_solver *s, beam_preference u, int iterations, double *best,
                          beam_result *result)
{
    result->status = beam_solver_refine(s, u, iterations, s->answer.x, &s->candidate, result);
    const double merit = merit_or_infinity(s, u, &s->candidate);
    if (merit < *best) {
        *best = merit;
        result->method = BEAM_METHOD_BOBLRBF;
        beam_solver_copy_point(s, &s->answer, &s->candidate);
    }
}

beam_code beam_check_run(beam_check *c, beam_solver *s, beam_preference u, const double *network,
                         const double *warm, int refine, beam_result *result,
                         beam_inference_detail *detail, beam_error *err)
{
    beam_inference_detail ignored, *d = detail ? detail : &ignored;
    double best = INFINITY;
    memset(result, 0, sizeof *result);
    *d = (beam_inference_detail){.network_merit = INFINITY, .warm_merit = INFINITY};
    result->method = BEAM_METHOD_NETWORK;
    result->warm = warm != NULL;
    if (network) {
        best = measure_network(s, u, network);
        d->network_merit = best;
        d->network_wsr_bps_hz = s->answer.wsr;
        d->network_crlb_m2 = s->answer.crlb;
    }
    mark(c, BEAM_STAGE_CHECK);
    if (warm) {
        consider_warm(c, s, u, warm, &best, result, d);
        mark(c, BEAM_STAGE_WARM);
    }
    consider_classical(s, u, &best, result, d);
    mark(c, BEAM_STAGE_CLASSICAL);
    d->chosen = result->method;
    if (refine > 0) {
        refine_answer(s, u, refine, &best, result);
        mark(c, BEAM_STAGE_REFINE);
    }
    beam_solver_fill_result(s, u, &s->answer, result);
    if (!isfinite(result->wsr_worst_case_bps_hz)) {
        return beam_fail(err, BEAM_E_NUMERIC, "scene", "no design with a finite rate was found");
    }
    return BEAM_OK;
}

beam_code beam_solver_recheck(beam_solver *self, double tradeoff, const beam_design *warm,
                              beam_design *out, beam_result *result, beam_error *err)
{
    memset(result, 0, sizeof *result);
    beam_code code = beam_solver_check_call(self, tradeoff, out, err);
    code = code || !warm ? code : beam_solver_check_warm(self, warm, err);
    code = code ? code : beam_solver_prepare(self, err);
    if (code) {
        return code;
    }
    beam_check check = {.mark = NULL}; /* its cuts bound warm beams against a network's answer */
    const bool usable = warm && beam_solver_import_warm(self, warm, self->spare.x);
    code = beam_check_run(&check, self, beam_preference_from_tradeoff(tradeoff), NULL,
                          usable ? self->spare.x : NULL, 0, result, NULL, err);
    if (!code) {
        beam_problem_export(&self->problem, self->answer.x, out);
    }
    return code;
}
