/* One design at a preference: the best, by exact merit, of what the descents reach, the warm start
 * and the classical design. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/solver_internal.h"

/* Smoothing m of MATH 2 per stage. Cold starts pass the wide stages to leave bad nulls; a warm
 * start is near its optimum. */
static const double cold_stages[] = {1.0, 0.3, 0.1, 0.03, 0.01};
static const double warm_stages[] = {0.1, 0.03, 0.01};
enum { COLD_STAGES = 5, WARM_STAGES = 3, CLASSICAL_STARTS = 3 };

static const double least_share =
    0.02; /* of a start: beams or sensing rows at zero have no gradient */
static const double rate_share = 0.9; /* of the start near the communication end */

static bool same_sizes(const beam_problem *p, const beam_design *d)
{
    return d->dims.stations == p->L && d->dims.antennas == p->N && d->dims.users == p->U;
}

beam_code beam_solver_check_design(const beam_solver *s, const beam_design *design,
                                   const char *field, beam_error *err)
{
    if (!same_sizes(&s->problem, design)) {
        return beam_fail(err, BEAM_E_INVALID, field, "%s: other sizes than the scene's", field);
    }
    if (design->sensing_max < s->problem.r) {
        return beam_fail(err, BEAM_E_LIMIT, field, "%s: %d sensing columns; %d are needed", field,
                         design->sensing_max, s->problem.r);
    }
    return BEAM_OK;
}

beam_code beam_solver_check_call(const beam_solver *s, double tradeoff, const beam_design *out,
                                 beam_error *err)
{
    if (!s->loaded) {
        return beam_fail(err, BEAM_E_INVALID, "scene", "no scene is loaded");
    }
    if (!s->have_ideal_rate || !s->have_ideal_sensing) {
        return beam_fail(err, BEAM_E_INVALID, "ideal", "compute or set the ideal values first");
    }
    if (!(tradeoff >= 0.0 && tradeoff <= 1.0)) {
        return beam_fail(err, BEAM_E_INVALID, "tradeoff", "%g is not between 0 and 1", tradeoff);
    }
    return beam_solver_check_design(s, out, "out", err);
}

beam_code beam_solver_check_warm(const beam_solver *s, const beam_design *warm, beam_error *err)
{
    const int most = beam_design_sensing_max(&s->max);
    if (!same_sizes(&s->problem, warm)) {
        return beam_fail(err, BEAM_E_INVALID, "warm.dims", "other sizes than the scene's");
    }
    for (int l = 0; l < s->problem.L; l++) {
        const int count = warm->sensing_count[l];
        if (count < 0 || count > warm->sensing_max || count > most) {
            return beam_fail(err, BEAM_E_LIMIT, "warm.sensing_count",
                             "station %d: %d sensing columns; at most %d", l, count, most);
        }
    }
    return BEAM_OK;
}

/* A station with more sensing columns than rows here: the strongest eigenvectors of its Q_l. They
 * are all of it where its rank allows, so that nothing is lost but weak remainders. */
static void fold_columns(beam_solver *s, const beam_design *warm, int l, double *rows)
{
    const beam_problem *p = &s->problem;
    beam_spectrum *q = &s->robust.spectrum[l];
    beam_problem_import_columns(p, warm, l, warm->sensing_count[l], s->y);
    beam_spectrum_compute(q, warm->sensing_count[l], p->Dp, s->y, 0, 1e-15);
    memset(rows, 0, (size_t)(p->r * p->stride) * sizeof *rows);
    for (int i = 0; i < p->r && i < q->rank; i++) {
        const size_t at = (size_t)i * (size_t)p->stride;
        beam_row_add(p->stride, sqrt(q->rho[i]), q->vector + at, rows + at);
    }
}

bool beam_solver_fit_budgets(const beam_solver *s, double *x)
{
    const beam_problem *p = &s->problem;
    for (int l = 0; l < p->L; l++) {
        const double power = beam_problem_power(p, x, l);
        const int n = (p->first[l + 1] - p->first[l]) * p->stride;
        if (!isfinite(power)) {
            return false;
        }
        if (power > 1.0) {
            beam_row_scale(n, 1.0 / sqrt(power), x + (size_t)p->first[l] * (size_t)p->stride);
        }
    }
    return true;
}

bool beam_solver_import_warm(beam_solver *s, const beam_design *warm, double *x)
{
    const beam_problem *p = &s->problem;
    beam_problem_import(p, warm, x);
    for (int l = 0; l < p->L; l++) {
        if (warm->sensing_count[l] > p->r) {
            fold_columns(s, warm, l, x + (size_t)(p->first[l] + p->K[l]) * (size_t)p->stride);
        }
    }
    return beam_solver_fit_budgets(s, x);
}

double beam_solver_start_share(double share)
{
    return fmin(fmax(share, least_share), 1.0 - least_share);
}

/* Keeps the candidate when it beats the answer. */
static void consider(beam_solver *s, beam_preference u, const beam_point *point, beam_method method,
                     double *best, beam_result *result)
{
    const double merit = beam_solver_point_merit(s, u, point);
    if (merit < *best) {
        *best = merit;
        result->method = method;
        beam_solver_copy_point(s, &s->answer, point);
    }
}

/* One descent from `start`; start may be any buffer but the candidate's. The iterations of all
 * starts together stay within the option. */
static void descend_from(beam_solver *s, beam_preference u, const double *start, bool warm,
                         double *best, beam_result *result)
{
    const int left = s->options.max_iterations - result->iterations;
    if (result->status == BEAM_STATUS_TIME_LIMIT) {
        return;
    }
    if (left <= 0 || beam_solver_expired(s)) {
        result->status = left <= 0 ? BEAM_STATUS_ITERATION_LIMIT : BEAM_STATUS_TIME_LIMIT;
        return;
    }
    beam_solver_set_preference(s, u);
    const beam_status status =
        beam_solver_descend(s, warm ? warm_stages : cold_stages, warm ? WARM_STAGES : COLD_STAGES,
                            left, s->options.tolerance, start, &s->candidate, result);
    /* whatever ended it: a merit that is not a number is never better */
    consider(s, u, &s->candidate, BEAM_METHOD_BOBLRBF, best, result);
    if (result->status == BEAM_STATUS_CONVERGED) {
        result->status = status;
    }
}

/* Which users deserve a beam is a choice with many local optima, so more than one start is worth
 * its time. */
static void descend_from_classical(beam_solver *s, beam_preference u, int which, double share,
                                   double *best, beam_result *result)
{
    const beam_problem *p = &s->problem;
    const beam_classical kinds[CLASSICAL_STARTS] = {BEAM_CLASSICAL_RZF, BEAM_CLASSICAL_WMMSE,
                                                    p->U > p->N ? BEAM_CLASSICAL_MRT
                                                                : BEAM_CLASSICAL_ZF};
    double *start = s->spare.x;
    memcpy(start, s->unit, beam_solver_point_bytes(s));
    if (kinds[which] != BEAM_CLASSICAL_RZF) {
        beam_classical_beams(&s->classical, p, kinds[which], start);
    }
    beam_classical_compose(
        p, start,
        kinds[which] == BEAM_CLASSICAL_WMMSE ? rate_share : beam_solver_start_share(share), start);
    descend_from(s, u, start, false, best, result);
}

static void solve_cold(beam_solver *s, beam_preference u, double share, double *best,
                       beam_result *result)
{
    const beam_problem *p = &s->problem;
    for (int k = 0; k < (p->U > 0 ? CLASSICAL_STARTS : 1); k++) {
        descend_from_classical(s, u, k, share, best, result);
    }
    if (s->have_rate_point) { /* and from the communication end of this scene */
        double *start = s->spare.x;
        memcpy(start, s->sensing, beam_solver_point_bytes(s));
        for (int k = 0; k < p->U; k++) {
            const size_t at = (size_t)p->row_of[k] * (size_t)p->stride;
            memcpy(start + at, s->rate_end.x + at, (size_t)p->stride * sizeof *start);
        }
        beam_classical_compose(p, start, rate_share, start);
        descend_from(s, u, start, true, best, result);
    }
}

/* From the better of the warm beams and the classical design; a chain of warm starts can stay in a
 * poor local optimum for long, so now and then another classical start follows. */
static void solve_warm(beam_solver *s, beam_preference u, double share, double *best,
                       beam_result *result)
{
    if (result->method == BEAM_METHOD_CLASSICAL) { /* apart from rows at zero */
        beam_classical_compose(&s->problem, s->unit, beam_solver_start_share(share), s->spare.x);
    }
    descend_from(s, u, s->spare.x, true, best, result);
    if (s->options.explore_every > 0 && s->problem.U > 0 &&
        ++s->warm_solves % s->options.explore_every == 0) {
        s->explored = (s->explored + 1) % CLASSICAL_STARTS;
        descend_from_classical(s, u, s->explored, share, best, result);
    }
}

beam_code beam_solver_solve(beam_solver *self, double tradeoff, const beam_design *warm,
                            beam_design *out, beam_result *result, beam_error *err)
{
    memset(result, 0, sizeof *result);
    beam_code code = beam_solver_check_call(self, tradeoff, out, err);
    code = code || !warm ? code : beam_solver_check_warm(self, warm, err);
    code = code ? code : beam_solver_prepare(self, err);
    if (code) {
        return code;
    }
    const beam_preference u = beam_preference_from_tradeoff(tradeoff);
    const double share = beam_solver_classical_point(self, u, &self->answer);
    double best = beam_solver_point_merit(self, u, &self->answer);
    best = isnan(best) ? INFINITY : best;
    result->method = BEAM_METHOD_CLASSICAL;
    beam_solver_fill_result(self, u, &self->answer, result);
    result->classical_merit = result->merit;
    result->warm = warm && beam_solver_import_warm(self, warm, self->spare.x) &&
                   beam_solver_measure(self, &self->spare);
    if (result->warm) {
        consider(self, u, &self->spare, BEAM_METHOD_WARM, &best, result);
    }
    result->status = beam_solver_expired(self) ? BEAM_STATUS_TIME_LIMIT : BEAM_STATUS_CONVERGED;
    if (result->status == BEAM_STATUS_CONVERGED) {
        (result->warm ? solve_warm : solve_cold)(self, u, share, &best, result);
    }
    beam_solver_fill_result(self, u, &self->answer, result);
    beam_problem_export(&self->problem, self->answer.x, out);
    if (!isfinite(result->wsr_worst_case_bps_hz)) {
        return beam_fail(err, BEAM_E_NUMERIC, "scene", "no design with a finite rate was found");
    }
    return BEAM_OK;
}
