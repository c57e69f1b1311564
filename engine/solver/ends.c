/* The two ends of the front, which are also the normalising values, and the classical designs
 * between them. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/solver_internal.h"

static const double cold_stages[] = {1.0, 0.3, 0.1, 0.03, 0.01};
enum { COLD_STAGES = 5, RATE_ITERATIONS = 1000 };

static const double rate_end_share = 0.97; /* of the beams at the start */
static const double silent = 0.05;         /* amplitude of a user that a start leaves out */
enum { DROP_STARTS = 8, DROP_NONE = -1, DROP_ALL_BUT_BEST = -2 };

static const double split_smoothing =
    0.03; /* of the search for the classical power split; the result is exact */
enum { SPLIT_EVALUATIONS = 12 };

/* Proven relative gap of the least CRLB; the coupled models are ill-conditioned and would stall
 * below. */
static const double sensing_tolerance = 1e-9, sensing_tolerance_coupled = 1e-7;
enum { SENSING_ITERATIONS = 2000 };

/* The least-CRLB rows (geometry and budgets) and RZF beams beside them, each of power 1 per
 * station. */
beam_code beam_solver_prepare(beam_solver *s, beam_error *err)
{
    beam_problem *p = &s->problem;
    if (!s->loaded) {
        return beam_fail(err, BEAM_E_INVALID, "scene", "no scene is loaded");
    }
    if (!s->have_sensing_rows) {
        memset(s->sensing, 0, beam_solver_point_bytes(s));
        (void)beam_least_crlb_solve(
            &s->least, p,
            p->crlb.model == BEAM_SENSING_RESOLVED ? sensing_tolerance : sensing_tolerance_coupled,
            SENSING_ITERATIONS, false, s->sensing);
        s->have_sensing_rows = true;
    }
    if (!s->have_classical) {
        memcpy(s->unit, s->sensing, beam_solver_point_bytes(s));
        beam_classical_beams(&s->classical, p, BEAM_CLASSICAL_RZF, s->unit);
        s->have_classical = true;
    }
    return BEAM_OK;
}

beam_code beam_solver_compute_sensing_end(beam_solver *self, beam_error *err)
{
    const beam_code code = beam_solver_prepare(self, err);
    if (code) {
        return code;
    }
    beam_problem *p = &self->problem;
    self->ideal.crlb_min_m2 = 0.0;
    if (p->crlb.counted > 0) {
        beam_problem_sensing_gram(p, self->sensing, self->objective.proj, self->objective.gram);
        const double crlb = beam_crlb_value(&p->crlb, self->objective.gram, NULL, NULL);
        if (isnan(crlb)) {
            return beam_fail(err, BEAM_E_NUMERIC, "targets", "the least CRLB is not a number");
        }
        self->ideal.crlb_min_m2 = isfinite(crlb) ? crlb : 0.0;
    }
    self->have_ideal_sensing = true;
    return BEAM_OK;
}

typedef struct split_context {
    beam_solver *s;
    beam_preference u;
} split_context;

/* Merit at slightly smoothed worst cases: enough to choose the split. */
static double split_merit(void *arg, const double *x)
{
    const split_context *c = arg;
    beam_solver *s = c->s;
    beam_problem *p = &s->problem;
    double crlb = 0.0, shortfall = 0.0;
    const double wsr = p->U > 0 ? beam_robust_smooth(&s->robust, x, split_smoothing) : 0.0;
    for (int u = 0; u < p->U; u++) {
        shortfall += fmax(0.0, p->min_rate[u] - s->robust.rate[u]);
    }
    if (p->crlb.counted > 0) {
        beam_problem_sensing_gram(p, x, s->objective.proj, s->objective.gram);
        crlb = beam_crlb_value(&p->crlb, s->objective.gram, NULL, NULL);
    }
    return beam_merit(&s->ideal, c->u, beam_loss_rate(&s->ideal, wsr),
                      beam_loss_sensing(&s->ideal, isfinite(crlb), crlb)) +
           beam_solver_floor_cost(s, shortfall);
}

static double split_point(beam_solver *s, beam_preference u, const double *unit, beam_point *out)
{
    split_context c = {s, u};
    double share = 0.0;
    s->robust.warm = 0;
    (void)beam_classical_split(&s->problem, unit, split_merit, &c, SPLIT_EVALUATIONS, out->x,
                               &share);
    (void)beam_solver_measure(s, out);
    return share;
}

double beam_solver_classical_point(beam_solver *s, beam_preference u, beam_point *out)
{
    return split_point(s, u, s->unit, out);
}

beam_code beam_solver_classical(beam_solver *self, beam_classical kind, beam_sensing_design sensing,
                                double tradeoff, beam_design *out, beam_result *result,
                                beam_error *err)
{
    const beam_preference u = beam_preference_from_tradeoff(tradeoff);
    memset(result, 0, sizeof *result);
    beam_code code = beam_solver_check_call(self, tradeoff, out, err);
    code = code ? code : beam_solver_prepare(self, err);
    if (code) {
        return code;
    }
    double *unit = self->candidate.x;
    memcpy(unit, self->sensing, beam_solver_point_bytes(self));
    beam_classical_beams(&self->classical, &self->problem, kind, unit);
    if (sensing == BEAM_SENSING_ISOTROPIC) {
        beam_classical_isotropic(&self->problem, unit);
    }
    (void)split_point(self, u, unit, &self->answer);
    beam_solver_fill_result(self, u, &self->answer, result);
    result->method = BEAM_METHOD_CLASSICAL;
    result->classical_merit = result->merit;
    beam_problem_export(&self->problem, self->answer.x, out);
    return BEAM_OK;
}

/* Score at the communication end: the rate, minimum rates first. */
static double rate_score(const beam_point *p)
{
    return p->wsr - 1e3 * p->shortfall;
}

/* The user of a station who would earn most alone at full power, or -1. */
static int best_alone(const beam_problem *p, int l)
{
    int best = -1;
    double most = -1.0;
    for (int u = p->user_first[l]; u < p->user_first[l + 1]; u++) {
        const size_t at = (size_t)l * (size_t)p->U + (size_t)u;
        const double reach = fmax(sqrt(p->hnorm2[at]) - p->eps[at], 0.0);
        const double rate = p->weight[u] * log1p(reach * reach);
        if (rate > most) {
            most = rate;
            best = u;
        }
    }
    return best;
}

static bool left_out(const beam_problem *p, int u, int dropped)
{
    return dropped == DROP_ALL_BUT_BEST ? u != best_alone(p, p->own[u]) : u == dropped;
}

/* Descends from beams of `kind`, the users left out almost silent, and keeps the result when it is
 * better. dropped: a user, DROP_NONE or DROP_ALL_BUT_BEST. */
static void rate_start(beam_solver *s, beam_classical kind, int dropped)
{
    beam_problem *p = &s->problem;
    beam_result ignored = {0};
    double *start = s->spare.x;
    memcpy(start, s->sensing, beam_solver_point_bytes(s));
    beam_classical_beams(&s->classical, p, kind, start);
    for (int u = 0; u < p->U; u++) {
        if (left_out(p, u, dropped)) {
            beam_row_scale(p->stride, silent, start + (size_t)p->row_of[u] * (size_t)p->stride);
        }
    }
    beam_classical_compose(p, start, rate_end_share, start);
    (void)beam_solver_descend(s, cold_stages, COLD_STAGES, RATE_ITERATIONS, s->options.tolerance,
                              start, &s->candidate, &ignored);
    /* whatever ended it: a point with finite numbers counts, the start itself too */
    if (isfinite(s->candidate.wsr) && !isnan(s->candidate.crlb) &&
        (s->rate_end.wsr < 0.0 || rate_score(&s->candidate) > rate_score(&s->rate_end))) {
        beam_solver_copy_point(s, &s->rate_end, &s->candidate);
    }
}

/* The users of least worst-case rate at the point last measured, at most DROP_STARTS. */
static int users_to_drop(const beam_solver *s, int *users)
{
    int count = 0;
    for (int u = 0; u < s->problem.U; u++) {
        int at = count < DROP_STARTS ? count++ : DROP_STARTS;
        while (at > 0 && s->robust.rate[users[at - 1]] > s->robust.rate[u]) {
            if (at < DROP_STARTS) {
                users[at] = users[at - 1];
            }
            at--;
        }
        if (at < DROP_STARTS) {
            users[at] = u;
        }
    }
    return count;
}

beam_code beam_solver_compute_rate_end(beam_solver *self, beam_error *err)
{
    beam_problem *p = &self->problem;
    const beam_code code = beam_solver_prepare(self, err);
    if (code) {
        return code;
    }
    self->rate_end.wsr = -1.0;
    self->objective.goal = BEAM_GOAL_RATE;
    self->objective.ideal.wsr_ideal_bps_hz = 0.0;
    if (p->U > 0) {
        int users[DROP_STARTS];
        rate_start(self, BEAM_CLASSICAL_RZF, DROP_NONE);
        const int count = users_to_drop(self, users);
        if (!beam_solver_expired(self)) {
            rate_start(self, BEAM_CLASSICAL_MRT, DROP_NONE);
        }
        if (p->U > p->N && !beam_solver_expired(self)) { /* too many to serve: one per station */
            rate_start(self, BEAM_CLASSICAL_MRT, DROP_ALL_BUT_BEST);
        }
        for (int k = 0; k < count && p->U > 1 && !beam_solver_expired(self); k++) {
            rate_start(self, BEAM_CLASSICAL_RZF, users[k]);
        }
    }
    if (p->U > 0 && !(self->rate_end.wsr >= 0.0)) {
        return beam_fail(err, BEAM_E_NUMERIC, "users", "no start gave a finite worst-case rate");
    }
    self->ideal.wsr_ideal_bps_hz = p->U > 0 ? self->rate_end.wsr : 0.0;
    self->have_ideal_rate = true;
    self->have_rate_point = p->U > 0;
    return BEAM_OK;
}
