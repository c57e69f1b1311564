/* Mode paper: Algorithm 1 of Chen & Yang (AAAI-25) as printed, each repair of MATH 5 a switch.
 * Set-up and the outer loop; one iteration is in paper_step.c. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "model/row.h"
#include "solver/paper_internal.h"

beam_paper_options beam_paper_options_default(void)
{
    return (beam_paper_options){.repairs = BEAM_REPAIR_ALL,
                                .preferences = 16,
                                .lower_steps = 20,
                                .cut_period = 10,
                                .max_cuts = 8,
                                .max_iterations = 400,
                                .armijo = 1e-4,
                                .tolerance = 1e-6,
                                .cut_slack = 1e-3};
}

static beam_code check_int(const char *field, int value, int least, int most, beam_error *err)
{
    if (value < least || value > most) {
        return beam_fail(err, BEAM_E_INVALID, field, "%s is %d, admissible are %d to %d", field,
                         value, least, most);
    }
    return BEAM_OK;
}

static beam_code check_double(const char *field, double value, double above, double below,
                              beam_error *err)
{
    if (!(value >= above && value < below)) {
        return beam_fail(err, BEAM_E_INVALID, field, "%s is %g, admissible are %g up to %g", field,
                         value, above, below);
    }
    return BEAM_OK;
}

static beam_code check_options(const beam_paper_options *o, beam_error *err)
{
    if (o->repairs & ~(unsigned)BEAM_REPAIR_ALL) {
        return beam_fail(err, BEAM_E_INVALID, "repairs", "unknown repair bits 0x%x", o->repairs);
    }
    beam_code code = check_int("preferences", o->preferences, 1, BEAM_PAPER_MAX_PREFERENCES, err);
    code = code ? code : check_int("lower_steps", o->lower_steps, 1, BEAM_PAPER_MAX_STEPS, err);
    code = code ? code : check_int("cut_period", o->cut_period, 1, 1000000, err);
    code = code ? code : check_int("max_cuts", o->max_cuts, 0, BEAM_PAPER_MAX_CUTS, err);
    code = code ? code : check_int("max_iterations", o->max_iterations, 0, 100000000, err);
    code = code ? code : check_double("armijo", o->armijo, 0.0, 1.0, err);
    code = code ? code : check_double("tolerance", o->tolerance, 0.0, INFINITY, err);
    return code ? code : check_double("cut_slack", o->cut_slack, 0.0, INFINITY, err);
}

static beam_paper *carve(beam_arena *arena, const beam_dims *dims, const beam_paper_options *o)
{
    beam_paper local, *self = BEAM_TAKE(arena, beam_paper, 1);
    beam_paper *at = self ? self : &local;
    memset(at, 0, sizeof *at);
    const int columns = beam_design_sensing_max(dims);
    at->dims = *dims;
    at->options = *o;
    beam_problem_carve(&at->problem, arena, dims, columns, false);
    beam_paper_space *s = &at->space;
    beam_paper_space_carve(s, arena, &at->problem, o->repairs);
    beam_paper_rate_carve(&at->rate, arena, s);
    beam_paper_sensing_carve(&at->sensing, arena, s);
    beam_paper_lower_carve(&at->lower, arena, s, o->lower_steps);
    beam_paper_cuts_carve(&at->cuts, arena, o->max_cuts, s->n);
    at->x = BEAM_TAKE(arena, double, s->n);
    at->trial = BEAM_TAKE(arena, double, s->n);
    at->step = BEAM_TAKE(arena, double, s->n);
    at->gradient[0] = BEAM_TAKE(arena, double, s->n);
    at->gradient[1] = BEAM_TAKE(arena, double, s->gamma);
    at->scratch = BEAM_TAKE(arena, double, s->n);
    const size_t rows = (size_t)(dims->users + dims->stations * columns),
                 D = (size_t)dims->antennas;
    at->rows = BEAM_TAKE(arena, double, rows * 2u * (size_t)beam_pad4(dims->antennas));
    at->best = BEAM_TAKE(arena, double, rows * 2u * (size_t)beam_pad4(dims->antennas));
    at->hermitian = s->psd ? NULL : BEAM_TAKE(arena, double, 2 * D * D);
    at->vectors = s->psd ? NULL : BEAM_TAKE(arena, double, 2 * D * D);
    const size_t design_size = beam_design_memsize(dims, columns);
    void *design_memory = BEAM_TAKE(arena, unsigned char, design_size);
    const size_t evaluator_size = beam_evaluator_memsize(dims, columns);
    void *evaluator_memory = BEAM_TAKE(arena, unsigned char, evaluator_size);
    if (self) {
        at->lower.ball = (o->repairs & BEAM_REPAIR_BALL) != 0;
        at->lower.normalised = (o->repairs & BEAM_REPAIR_UNITS) != 0;
        if (beam_design_init(&at->design, dims, columns, design_memory, design_size, NULL) ||
            beam_evaluator_init(&at->evaluator, dims, columns, evaluator_memory, evaluator_size,
                                NULL)) {
            return NULL;
        }
    }
    return self;
}

size_t beam_paper_memsize(const beam_dims *dims, const beam_paper_options *options)
{
    if (!dims || !options || beam_dims_check(dims, NULL) || check_options(options, NULL)) {
        return 0;
    }
    beam_arena arena = {NULL, 0};
    carve(&arena, dims, options);
    return arena.used;
}

beam_code beam_paper_init(beam_paper **out, const beam_dims *dims,
                          const beam_paper_options *options, void *memory, size_t size,
                          beam_error *err)
{
    if (!out || !dims || !options || !memory) {
        return beam_fail(err, BEAM_E_INVALID, "arguments",
                         "out, dims, options and memory must be given");
    }
    beam_code code = beam_dims_check(dims, err);
    code = code ? code : check_options(options, err);
    if (code) {
        return code;
    }
    if ((uintptr_t)memory % 64u != 0) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "memory is not aligned to 64 bytes");
    }
    const size_t need = beam_paper_memsize(dims, options);
    if (size < need) {
        return beam_fail(err, BEAM_E_LIMIT, "memory", "%zu bytes given, %zu needed", size, need);
    }
    memset(memory, 0, need);
    beam_arena arena = {memory, 0};
    *out = carve(&arena, dims, options);
    return *out ? BEAM_OK
                : beam_fail(err, BEAM_E_INVALID, "dims", "the evaluator refuses these sizes");
}

beam_code beam_paper_load(beam_paper *self, const beam_scene *scene, const beam_ideal *ideal,
                          beam_error *err)
{
    if (!self || !scene || !ideal) {
        return beam_fail(err, BEAM_E_INVALID, "arguments", "self, scene and ideal must be given");
    }
    const beam_dims *a = &self->dims, *b = &scene->dims;
    if (a->stations != b->stations || a->antennas != b->antennas || a->users != b->users ||
        a->targets != b->targets) {
        return beam_fail(err, BEAM_E_INVALID, "dims",
                         "the scene has other sizes than this object was made for");
    }
    if (!(ideal->wsr_ideal_bps_hz >= 0.0) || !isfinite(ideal->wsr_ideal_bps_hz) ||
        !(ideal->crlb_min_m2 >= 0.0) || !isfinite(ideal->crlb_min_m2)) {
        return beam_fail(err, BEAM_E_INVALID, "ideal",
                         "the ideal values must be finite and not negative");
    }
    self->loaded = false;
    beam_code code = beam_problem_load(&self->problem, scene, false, err);
    code = code ? code : beam_evaluator_load(self->evaluator, scene, err);
    if (code) {
        return code;
    }
    beam_paper_space_load(&self->space, self->options.repairs);
    self->ideal = *ideal;
    self->counts[0] = scene->dims.users > 0 && ideal->wsr_ideal_bps_hz > 0.0;
    self->counts[1] = ideal->crlb_min_m2 > 0.0;
    self->loaded = true;
    return BEAM_OK;
}

/* The numbers that go into the result: exact, or with repair exact-report off what Algorithm 1
 * itself sees. */
static double fill_result(const beam_paper *self, const beam_paper_loss *loss, int iteration,
                          beam_result *result)
{
    const bool exact = (self->options.repairs & BEAM_REPAIR_EXACT_REPORT) != 0;
    const beam_preference u = beam_paper_preference(self->k, self->options.preferences);
    result->method = BEAM_METHOD_PAPER;
    result->iterations = iteration;
    result->wsr_worst_case_bps_hz = exact ? self->quality.wsr_worst_case_bps_hz : loss->wsr;
    result->crlb_valid = exact ? self->quality.crlb_valid : isfinite(loss->crlb);
    result->crlb_m2 = exact ? self->quality.crlb_m2 : (isfinite(loss->crlb) ? loss->crlb : 0.0);
    result->f1 = beam_loss_rate(&self->ideal, result->wsr_worst_case_bps_hz);
    result->f2 = beam_loss_sensing(&self->ideal, result->crlb_valid, result->crlb_m2);
    result->merit = beam_merit(&self->ideal, u, result->f1, result->f2);
    return result->merit;
}

/* Exact numbers of the iterate, left in self->quality; its rows in self->rows. */
static beam_code evaluate(beam_paper *self, beam_error *err)
{
    beam_paper_to_rows(self, self->x, self->rows);
    beam_problem_export(&self->problem, self->rows, &self->design);
    return beam_evaluator_run(self->evaluator, &self->design, &self->quality, err);
}

static void report_iterate(beam_paper *self, const beam_paper_loss *loss, int iteration,
                           double step, beam_paper_report *report, void *arg)
{
    beam_paper_iterate it = {.iteration = iteration,
                             .wsr_at_delta_bps_hz = loss->wsr,
                             .wsr_worst_case_bps_hz = self->quality.wsr_worst_case_bps_hz,
                             .crlb_m2 = loss->crlb,
                             .direction_norm = sqrt(self->direction.norm2),
                             .step = step,
                             .cuts = self->cuts.count,
                             .indefinite = beam_paper_indefinite(self, self->x)};
    /* The planes are stored, so gamma_bar is free to move between two of them. */
    beam_paper_lower_linearise(&self->lower, &self->rate, &self->space, self->x);
    it.lower_gap = beam_paper_lower_gap(&self->lower, &self->rate, &self->space, self->x, NULL);
    report(arg, &it);
}

static beam_status status_of(beam_paper_status status)
{
    switch (status) {
    case BEAM_PAPER_CRITICAL:
    case BEAM_PAPER_NO_STEP:
        return BEAM_STATUS_CONVERGED;
    case BEAM_PAPER_TIME_LIMIT:
        return BEAM_STATUS_TIME_LIMIT;
    case BEAM_PAPER_NUMERIC:
        return BEAM_STATUS_NUMERIC;
    case BEAM_PAPER_ITERATION_LIMIT:
    case BEAM_PAPER_INDEFINITE:
        break;
    }
    return BEAM_STATUS_ITERATION_LIMIT;
}

static beam_code check_solve(const beam_paper *self, int k, const beam_design *start,
                             const beam_design *out, beam_error *err)
{
    if (!self->loaded) {
        return beam_fail(err, BEAM_E_INVALID, "scene", "no scene is loaded");
    }
    if (k < 0 || k >= self->options.preferences) {
        return beam_fail(err, BEAM_E_INVALID, "k", "subproblem %d of %d", k,
                         self->options.preferences);
    }
    const beam_design *designs[2] = {out, start};
    for (int i = 0; i < 2; i++) {
        const beam_dims *a = &self->dims, *b = designs[i] ? &designs[i]->dims : a;
        if (a->stations != b->stations || a->antennas != b->antennas || a->users != b->users) {
            return beam_fail(err, BEAM_E_INVALID, i ? "start" : "out",
                             "the design has other sizes than the scene");
        }
    }
    if (out->sensing_max < self->problem.r) {
        return beam_fail(err, BEAM_E_INVALID, "out", "%d sensing columns, %d needed",
                         out->sensing_max, self->problem.r);
    }
    return BEAM_OK;
}

static beam_code check_start(const beam_design *start, beam_error *err)
{
    const size_t N = (size_t)start->dims.antennas, U = (size_t)start->dims.users;
    for (size_t i = 0; i < U * N; i++) {
        if (!isfinite(start->beams[i].re) || !isfinite(start->beams[i].im)) {
            return beam_fail(err, BEAM_E_INVALID, "start", "beam of user %zu is not finite", i / N);
        }
    }
    for (int l = 0; l < start->dims.stations; l++) {
        const beam_complex *b = start->sensing + (size_t)l * (size_t)start->sensing_max * N;
        if (start->sensing_count[l] < 0 || start->sensing_count[l] > start->sensing_max) {
            return beam_fail(err, BEAM_E_INVALID, "start",
                             "station %d has %d sensing columns of %d", l, start->sensing_count[l],
                             start->sensing_max);
        }
        for (size_t i = 0; i < (size_t)start->sensing_count[l] * N; i++) {
            if (!isfinite(b[i].re) || !isfinite(b[i].im)) {
                return beam_fail(err, BEAM_E_INVALID, "start",
                                 "a sensing column of station %d is not finite", l);
            }
        }
    }
    return BEAM_OK;
}

typedef struct paper_run {
    beam_paper_report *report;
    void *report_arg;
    double best; /* least merit so far */
    bool feasibility;
    int stuck;
} paper_run;

/* Evaluates the iterate as the options ask for, and keeps it if it is the one to return. */
static beam_code account(beam_paper *self, paper_run *run, const beam_paper_loss *loss,
                         int iteration, double step, beam_result *result, beam_error *err)
{
    const bool exact = (self->options.repairs & BEAM_REPAIR_EXACT_REPORT) != 0;
    if (exact || run->report) {
        const beam_code code = evaluate(self, err);
        if (code) {
            return code;
        }
    }
    if (run->report) {
        report_iterate(self, loss, iteration, step, run->report, run->report_arg);
    }
    beam_result now = *result;
    const double merit = fill_result(self, loss, iteration, &now);
    if (!exact || merit < run->best || iteration == 0) {
        if (!exact && !run->report) {
            beam_paper_to_rows(self, self->x, self->rows);
        }
        memcpy(self->best, self->rows,
               (size_t)(self->problem.rows * self->problem.stride) * sizeof *self->best);
        run->best = merit;
        *result = now;
    }
    result->iterations = iteration;
    return BEAM_OK;
}

/* Every k_pre iterations, after the update: drop rule, gamma_bar moves, a new plane where the gap
 * is too large. */
static void update_cuts(beam_paper *self)
{
    const beam_paper_space *s = &self->space;
    const int links = s->p->L * s->p->U;
    double slack = 0.0;
    for (int i = 0; i < links; i++) {
        slack += self->options.cut_slack * s->radius[i] * s->radius[i];
    }
    if (slack == 0.0 && s->delta == 0) {
        return;
    }
    beam_paper_cuts_drop(&self->cuts, self->x);
    if (self->options.repairs & BEAM_REPAIR_FRESH_CUTS) {
        self->cuts.count = 0;
    }
    beam_paper_lower_linearise(&self->lower, &self->rate, s, self->x);
    const double gap = beam_paper_lower_gap(&self->lower, &self->rate, s, self->x, self->scratch);
    /* The steps (16) may diverge: nothing is learned from such a map. */
    const bool finite = isfinite(gap) && isfinite(beam_row_norm2(s->n, self->scratch));
    if (finite && gap > slack) {
        beam_paper_cuts_add(&self->cuts, self->x, gap, self->scratch, slack);
    }
}

static beam_code iterate(beam_paper *self, paper_run *run, beam_result *result,
                         beam_paper_status *status, beam_error *err)
{
    double step = 0.0;
    for (int t = 0;; t++) {
        const beam_paper_loss loss = beam_paper_gradients(self);
        const bool finite = isfinite(loss.f[0]) && !isnan(loss.f[1]);
        const int failed = finite ? beam_paper_find_direction(self, &loss, &run->feasibility) : -1;
        const bool indefinite = beam_paper_indefinite(self, self->x);
        if (failed) {
            *status = indefinite ? BEAM_PAPER_INDEFINITE : BEAM_PAPER_NUMERIC;
        }
        if (!finite && t > 0) {
            return BEAM_OK; /* the last finite iterate stands */
        }
        const beam_code code = account(self, run, &loss, t, step, result, err);
        if (code || failed) {
            return code;
        }
        if (indefinite) {
            *status = BEAM_PAPER_INDEFINITE;
            return BEAM_OK;
        }
        if (!run->feasibility && sqrt(self->direction.norm2) <= self->options.tolerance) {
            *status = BEAM_PAPER_CRITICAL;
            return BEAM_OK;
        }
        if (t >= self->options.max_iterations) {
            *status = BEAM_PAPER_ITERATION_LIMIT;
            return BEAM_OK;
        }
        if (self->options.expired && self->options.expired(self->options.expired_arg)) {
            *status = BEAM_PAPER_TIME_LIMIT;
            return BEAM_OK;
        }
        step = beam_paper_take_step(self, &loss, run->feasibility);
        if (step == 0.0 && run->feasibility) {
            run->feasibility = false; /* as far as it goes: the objectives from here */
        } else if (step == 0.0) {
            *status = BEAM_PAPER_NO_STEP;
            return BEAM_OK;
        }
        if ((t + 1) % self->options.cut_period == 0) {
            update_cuts(self);
        }
    }
}

beam_code beam_paper_solve(beam_paper *self, int k, unsigned long long seed,
                           const beam_design *start, beam_design *out, beam_result *result,
                           beam_paper_status *status, beam_paper_report *report, void *report_arg,
                           beam_error *err)
{
    if (!self || !out || !result || !status) {
        return beam_fail(err, BEAM_E_INVALID, "arguments",
                         "self, out, result and status must be given");
    }
    beam_code code = check_solve(self, k, start, out, err);
    code = code || !start ? code : check_start(start, err);
    if (code) {
        return code;
    }
    self->k = k;
    self->cuts.count = 0;
    *result = (beam_result){.method = BEAM_METHOD_PAPER, .warm = start != NULL};
    *status = BEAM_PAPER_NUMERIC;
    beam_paper_start(self, seed, start);
    beam_paper_lower_linearise(&self->lower, &self->rate, &self->space, self->x);
    paper_run run = {.report = report,
                     .report_arg = report_arg,
                     .best = INFINITY,
                     .feasibility = (self->options.repairs & BEAM_REPAIR_PHASE0) != 0};
    code = iterate(self, &run, result, status, err);
    if (code) {
        return code;
    }
    beam_problem_export(&self->problem, self->best, out);
    result->status = status_of(*status);
    return BEAM_OK;
}
