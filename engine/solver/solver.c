/* BOBLRBF, default mode (MATH 5): the exact lower level in its smoothed dual, smooth Tchebycheff
 * scalarisation per preference, quasi-Newton with the smoothing annealed, retraction for the
 * budgets; best of that, the warm start and the classical design by exact merit. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/solver_internal.h"

/* Smoothing m of MATH 2 per stage. Cold starts pass the wide stages to leave bad nulls; a warm
 * start is near its optimum. */
static const double cold_stages[] = {1.0, 0.3, 0.1, 0.03, 0.01};
static const double warm_stages[] = {0.1, 0.03, 0.01};
enum { COLD_STAGES = 5, WARM_STAGES = 3 };

static const double temperature = 0.02;
static const double least_share =
    0.02;                          /* of a start: beams or sensing rows at zero have no gradient */
static const double silent = 0.05; /* amplitude of a user that a start leaves out */
enum { DROP_STARTS = 8 };
static const double rate_share = 0.9; /* of the start near the communication end */
static const double split_smoothing =
    0.03; /* of the search for the classical power split; the result is exact */
enum { SPLIT_EVALUATIONS = 12 };
/* Proven relative gap of the least CRLB; the coupled models are ill-conditioned and would stall
 * below. */
static const double sensing_tolerance = 1e-9, sensing_tolerance_coupled = 1e-7;
enum { SENSING_ITERATIONS = 2000, FLOOR_ROUNDS = 20 };

beam_solver_options beam_solver_options_default(void)
{
    const beam_solver_options o = {.max_iterations = 1000,
                                   .explore_every = 8,
                                   .tolerance = 1e-5,
                                   .expired = NULL,
                                   .expired_arg = NULL};
    return o;
}

static int largest_dimension(const beam_dims *d)
{
    const int columns = d->users + 2 * d->targets;
    return columns < d->antennas ? columns : d->antennas;
}

static size_t geometry_size(const beam_dims *d)
{
    const size_t L = (size_t)d->stations, J = (size_t)d->targets;
    return 5 + 6 * L + 2 * J + 2 * L * J * L;
}

static void carve(beam_solver *s, beam_arena *arena, const beam_dims *d)
{
    const int r = beam_design_sensing_max(d), D = largest_dimension(d);
    const size_t rows = (size_t)(d->users + d->stations * r), stride = 2u * (size_t)beam_pad4(D);
    const size_t point = rows * stride, n = point + (size_t)beam_pad4(d->stations);
    beam_problem_carve(&s->problem, arena, d, r, true);
    beam_robust_carve(&s->robust, arena, d, D, r);
    beam_objective_carve(&s->objective, arena, d, D, r);
    beam_lbfgs_carve(&s->lbfgs, arena, (int)n);
    beam_classical_carve(&s->classical, arena, d->users, D);
    beam_least_crlb_carve(&s->least, arena, d->stations, d->targets, D);
    s->y = BEAM_TAKE(arena, double, n);
    s->y_best = BEAM_TAKE(arena, double, n);
    s->geometry = BEAM_TAKE(arena, double, geometry_size(d));
    s->geometry_new = BEAM_TAKE(arena, double, geometry_size(d));
    s->sensing = BEAM_TAKE(arena, double, point);
    s->unit = BEAM_TAKE(arena, double, point);
    s->rate_end.x = BEAM_TAKE(arena, double, point);
    s->candidate.x = BEAM_TAKE(arena, double, point);
    s->answer.x = BEAM_TAKE(arena, double, point);
    s->spare.x = BEAM_TAKE(arena, double, point);
    for (int i = 0; i < BEAM_FRONT_SCAN; i++) {
        s->pool[i].x = BEAM_TAKE(arena, double, point);
    }
}

size_t beam_solver_memsize(const beam_dims *dims)
{
    beam_solver probe;
    beam_arena arena = {NULL, 0};
    if (beam_dims_check(dims, NULL)) {
        return 0;
    }
    (void)BEAM_TAKE(&arena, beam_solver, 1);
    carve(&probe, &arena, dims);
    return arena.used;
}

beam_code beam_solver_init(beam_solver **out, const beam_dims *dims, void *memory, size_t size,
                           beam_error *err)
{
    const beam_code code = beam_dims_check(dims, err);
    if (code) {
        return code;
    }
    if (!memory || size < beam_solver_memsize(dims)) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "%zu bytes given, %zu needed", size,
                         beam_solver_memsize(dims));
    }
    beam_arena arena = {memory, 0};
    beam_solver *s = BEAM_TAKE(&arena, beam_solver, 1);
    memset(memory, 0, size);
    s->max = *dims;
    s->options = beam_solver_options_default();
    carve(s, &arena, dims);
    *out = s;
    return BEAM_OK;
}

void beam_solver_set_options(beam_solver *self, const beam_solver_options *options)
{
    self->options = *options;
}

size_t beam_solver_point_bytes(const beam_solver *s)
{
    return (size_t)s->problem.rows * (size_t)s->problem.stride * sizeof(double);
}

/* Sensing rows per station. Resolved echoes see R_l through 4J real numbers (X0, X1, X2 per
 * target), the rates at their worst-case channels through one number per user: by the rank bound of
 * Barvinok and Pataki some optimal Q_l has rank^2 <= 4J + U + 1. The coupled models see the whole
 * Gram matrix: 2J. */
static int sensing_rows(const beam_scene *scene)
{
    const beam_dims *d = &scene->dims;
    const int most = beam_design_sensing_max(d),
              bound = (int)sqrt((double)(4 * d->targets + d->users + 1));
    return scene->sensing == BEAM_SENSING_RESOLVED && bound < most ? bound : most;
}

static double *append(double *to, const double *from, size_t n)
{
    memcpy(to, from, n * sizeof *to);
    return to + n;
}

/* Everything the least-CRLB rows depend on, and the layout of the rows. */
static void pack_geometry(const beam_problem *p, const beam_scene *scene, double *to)
{
    const size_t L = (size_t)scene->dims.stations, J = (size_t)scene->dims.targets;
    *to++ = (double)scene->sensing;
    *to++ = scene->sensing == BEAM_SENSING_BAND ? scene->bandwidth_hz : 0.0;
    *to++ = scene->snapshots;
    *to++ = scene->skip_unidentifiable ? 1.0 : 0.0;
    *to++ = (double)p->D;
    for (size_t l = 0; l < L; l++) {
        *to++ = (double)p->K[l];
    }
    to = append(to, scene->station_position_m, 2 * L);
    to = append(to, scene->station_axis_rad, L);
    to = append(to, scene->station_power_w, L);
    to = append(to, scene->station_echo_noise_w, L);
    to = append(to, scene->target_position_m, 2 * J);
    (void)append(to, (const double *)scene->reflection, 2 * L * J * L);
}

beam_code beam_solver_load(beam_solver *self, const beam_scene *scene, beam_error *err)
{
    const beam_dims *a = &self->max, *b = &scene->dims;
    if (a->stations != b->stations || a->antennas != b->antennas || a->targets != b->targets ||
        b->users > a->users) {
        return beam_fail(err, BEAM_E_INVALID, "dims",
                         "the scene has other sizes than the solver was made for");
    }
    const int rows = self->problem.r;
    beam_code code = beam_scene_validate(scene, err);
    if (!code) {
        self->problem.r = sensing_rows(scene);
        code = beam_problem_load(&self->problem, scene, true, err);
    }
    if (code) {
        self->problem.r = rows;
        return code;
    }
    beam_robust_reset(&self->robust, &self->problem);
    self->objective.p = &self->problem;
    self->objective.rb = &self->robust;
    self->has_floors = false;
    for (int u = 0; u < b->users; u++) {
        self->has_floors = self->has_floors || scene->user_min_rate_bps_hz[u] > 0.0;
    }
    const size_t bytes = geometry_size(b) * sizeof(double);
    pack_geometry(&self->problem, scene, self->geometry_new);
    if (!self->loaded || memcmp(self->geometry, self->geometry_new, bytes) != 0) {
        memcpy(self->geometry, self->geometry_new, bytes);
        self->have_sensing_rows = false;
    }
    self->loaded = true;
    self->have_classical = self->have_rate_point = false;
    return BEAM_OK;
}

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
static double floor_cost(const beam_solver *s, double shortfall)
{
    return shortfall > 0.0 && s->ideal.wsr_ideal_bps_hz > 0.0
               ? 1e6 * shortfall / s->ideal.wsr_ideal_bps_hz
               : 0.0;
}

double beam_solver_point_merit(const beam_solver *s, beam_preference u, const beam_point *p)
{
    const double f1 = beam_loss_rate(&s->ideal, p->wsr),
                 f2 = beam_loss_sensing(&s->ideal, isfinite(p->crlb), p->crlb);
    return beam_merit(&s->ideal, u, f1, f2) + floor_cost(s, p->shortfall);
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

beam_code beam_solver_set_ideal(beam_solver *self, const beam_ideal *ideal, beam_error *err)
{
    if (!(ideal->wsr_ideal_bps_hz >= 0.0) || !isfinite(ideal->wsr_ideal_bps_hz)) {
        return beam_fail(err, BEAM_E_INVALID, "wsr_ideal_bps_hz",
                         "must be finite and not negative");
    }
    if (!(ideal->crlb_min_m2 >= 0.0) || !isfinite(ideal->crlb_min_m2)) {
        return beam_fail(err, BEAM_E_INVALID, "crlb_min_m2", "must be finite and not negative");
    }
    self->ideal = *ideal;
    self->have_ideal_rate = self->have_ideal_sensing = true;
    return BEAM_OK;
}

beam_ideal beam_solver_ideal(const beam_solver *self)
{
    return self->ideal;
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

static bool expired(const beam_solver *s)
{
    return s->options.expired && s->options.expired(s->options.expired_arg);
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
           floor_cost(s, shortfall);
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
    const beam_code code = beam_solver_prepare(self, err);
    memset(result, 0, sizeof *result);
    if (code) {
        return code;
    }
    if (!self->have_ideal_rate || !self->have_ideal_sensing) {
        return beam_fail(err, BEAM_E_INVALID, "ideal", "compute or set the ideal values first");
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

/* Descends from beams of `kind`, user `dropped` (or -1) almost silent, and keeps the result when it
 * is better. */
static void rate_start(beam_solver *s, beam_classical kind, int dropped)
{
    beam_problem *p = &s->problem;
    beam_result ignored = {0};
    double *start = s->spare.x;
    memcpy(start, s->sensing, beam_solver_point_bytes(s));
    beam_classical_beams(&s->classical, p, kind, start);
    if (dropped >= 0) {
        beam_row_scale(p->stride, silent, start + (size_t)p->row_of[dropped] * (size_t)p->stride);
    }
    beam_classical_compose(p, start, 0.97, start);
    const beam_status status = beam_solver_descend(
        s, cold_stages, COLD_STAGES, 1000, s->options.tolerance, start, &s->candidate, &ignored);
    if (status != BEAM_STATUS_NUMERIC &&
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
        rate_start(self, BEAM_CLASSICAL_RZF, -1);
        const int count = users_to_drop(self, users);
        if (!expired(self)) {
            rate_start(self, BEAM_CLASSICAL_MRT, -1);
        }
        for (int k = 0; k < count && p->U > 1 && !expired(self); k++) {
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

static beam_code check_solve(const beam_solver *s, double tradeoff, const beam_design *warm,
                             const beam_design *out, beam_error *err)
{
    const beam_problem *p = &s->problem;
    if (!s->loaded) {
        return beam_fail(err, BEAM_E_INVALID, "scene", "no scene is loaded");
    }
    if (!s->have_ideal_rate || !s->have_ideal_sensing) {
        return beam_fail(err, BEAM_E_INVALID, "ideal", "compute or set the ideal values first");
    }
    if (!(tradeoff >= 0.0 && tradeoff <= 1.0)) {
        return beam_fail(err, BEAM_E_INVALID, "tradeoff", "%g is not between 0 and 1", tradeoff);
    }
    const beam_design *designs[2] = {out, warm};
    for (int k = 0; k < 2; k++) {
        const beam_design *d = designs[k];
        if (d && (d->dims.stations != p->L || d->dims.antennas != p->N || d->dims.users != p->U)) {
            return beam_fail(err, BEAM_E_INVALID, k ? "warm.dims" : "out.dims",
                             "other sizes than the scene's");
        }
    }
    if (out->sensing_max < p->r) {
        return beam_fail(err, BEAM_E_LIMIT, "out.sensing_max", "%d columns; %d are needed",
                         out->sensing_max, p->r);
    }
    return BEAM_OK;
}

/* Warm beams in these coordinates, scaled into the budgets; false when they are not finite. */
static bool import_warm(beam_solver *s, const beam_design *warm, beam_point *out)
{
    const beam_problem *p = &s->problem;
    beam_problem_import(p, warm, out->x);
    for (int l = 0; l < p->L; l++) {
        const double power = beam_problem_power(p, out->x, l);
        const int n = (p->first[l + 1] - p->first[l]) * p->stride;
        if (!isfinite(power)) {
            return false;
        }
        if (power > 1.0) {
            beam_row_scale(n, 1.0 / sqrt(power), out->x + (size_t)p->first[l] * (size_t)p->stride);
        }
    }
    return beam_solver_measure(s, out);
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
    if (left <= 0 || expired(s)) {
        result->status = left <= 0 ? BEAM_STATUS_ITERATION_LIMIT : BEAM_STATUS_TIME_LIMIT;
        return;
    }
    beam_solver_set_preference(s, u);
    const beam_status status =
        beam_solver_descend(s, warm ? warm_stages : cold_stages, warm ? WARM_STAGES : COLD_STAGES,
                            left, s->options.tolerance, start, &s->candidate, result);
    if (status != BEAM_STATUS_NUMERIC) {
        consider(s, u, &s->candidate, BEAM_METHOD_BOBLRBF, best, result);
    }
    if (result->status == BEAM_STATUS_CONVERGED) {
        result->status = status;
    }
}

enum { CLASSICAL_STARTS = 3 };

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
    beam_code code = check_solve(self, tradeoff, warm, out, err);
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
    result->warm = warm && import_warm(self, warm, &self->spare);
    if (result->warm) {
        consider(self, u, &self->spare, BEAM_METHOD_WARM, &best, result);
    }
    result->status = expired(self) ? BEAM_STATUS_TIME_LIMIT : BEAM_STATUS_CONVERGED;
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
