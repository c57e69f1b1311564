#include "lab/runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/owned.h"
#include "lab/parallel.h"
#include "lab/progress.h"
#include "lab/runner_network.h"

lab_run_options lab_run_options_default(void)
{
    return (lab_run_options){.method = BEAM_METHOD_BOBLRBF,
                             .threads = 1,
                             .classical = BEAM_CLASSICAL_RZF,
                             .sensing = BEAM_SENSING_LEAST_CRLB,
                             .paper = beam_paper_options_default(),
                             .seed = 1};
}

/* What one thread owns. Everything is created before the clock starts. */
typedef struct lab_worker {
    lab_solver solver;
    lab_paper paper;
    int64_t deadline_ns; /* of the point being solved; 0: none */
} lab_worker;

typedef struct lab_job {
    const lab_scene *scene;
    const lab_run_options *options;
    lab_run *run;
    lab_worker *workers;
    int worker_count;
    lab_progress progress;
} lab_job;

static bool worker_expired(void *arg)
{
    const lab_worker *worker = arg;
    return worker->deadline_ns != 0 && lab_clock_ns() >= worker->deadline_ns;
}

static void worker_arm(lab_worker *worker, const lab_run_options *options)
{
    worker->deadline_ns =
        options->time_limit_us > 0 ? lab_clock_ns() + (int64_t)(options->time_limit_us * 1e3) : 0;
}

beam_code lab_run_ideal(const beam_scene *scene, beam_ideal *ideal, double *us, beam_error *err)
{
    lab_solver solver;
    beam_code code = lab_solver_create(&solver, scene, err);
    const int64_t start = lab_clock_ns();
    if (!code) {
        code = beam_solver_compute_sensing_end(solver.solver, err);
    }
    if (!code) {
        code = beam_solver_compute_rate_end(solver.solver, err);
    }
    if (!code) {
        *ideal = beam_solver_ideal(solver.solver);
        *us = (double)(lab_clock_ns() - start) * 1e-3;
    }
    lab_solver_clear(&solver);
    return code;
}

static beam_code worker_create(lab_worker *worker, const lab_job *job, beam_error *err)
{
    const lab_run_options *o = job->options;
    *worker = (lab_worker){.deadline_ns = 0};
    beam_code code = BEAM_OK;
    if (o->method == BEAM_METHOD_PAPER) {
        beam_paper_options paper = o->paper;
        paper.expired = worker_expired;
        paper.expired_arg = worker;
        code = lab_paper_create(&worker->paper, &job->scene->scene, &paper, &job->run->ideal, err);
    }
    if (!code && (o->method != BEAM_METHOD_PAPER || o->refine > 0)) {
        code = lab_solver_create(&worker->solver, &job->scene->scene, err);
        if (!code) {
            /* the least-CRLB beams belong to geometry and budgets: not part of a point's time */
            code = beam_solver_compute_sensing_end(worker->solver.solver, err);
        }
        if (!code) {
            code = beam_solver_set_ideal(worker->solver.solver, &job->run->ideal, err);
        }
    }
    return code;
}

static void job_clear(lab_job *job)
{
    for (int i = 0; job->workers && i < job->worker_count; i++) {
        lab_solver_clear(&job->workers[i].solver);
        lab_paper_clear(&job->workers[i].paper);
    }
    free(job->workers);
    job->workers = NULL;
}

/* Every thread has its own solver with the same ideal values and the same history (none), so that
 * results do not depend on who solves what. */
static beam_code job_create_workers(lab_job *job, int tasks, beam_error *err)
{
    int count = job->options->threads < tasks ? job->options->threads : tasks;
    count = count > 0 ? count : 1;
    job->workers = calloc((size_t)count, sizeof *job->workers);
    if (!job->workers) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    job->worker_count = count;
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < count; i++) {
        code = worker_create(&job->workers[i], job, err);
    }
    return code;
}

static void set_solver_options(lab_worker *worker, int max_iterations)
{
    beam_solver_options options = beam_solver_options_default();
    if (max_iterations > 0) {
        options.max_iterations = max_iterations;
    }
    options.expired = worker_expired;
    options.expired_arg = worker;
    beam_solver_set_options(worker->solver.solver, &options);
}

static void set_method(lab_entry *entry, beam_method method)
{
    snprintf(entry->method, sizeof entry->method, "%s", beam_method_text(method));
}

static beam_code solve_entry(const lab_job *job, lab_worker *worker, int k, beam_error *err)
{
    const lab_run_options *o = job->options;
    lab_entry *entry = &job->run->solution->entries[k];
    beam_design *design = &entry->beams.design;
    beam_result *result = &job->run->results[k];
    if (o->method == BEAM_METHOD_PAPER) {
        /* the subproblem whose cone (12) holds the preference: the nearest of K evenly spaced */
        const int K = o->paper.preferences;
        const int nearest = K > 1 ? (int)lround(entry->tradeoff * (K - 1)) : 0;
        return beam_paper_solve(worker->paper.paper, nearest, o->seed, NULL, design, result,
                                &job->run->paper_status[k], NULL, NULL, err);
    }
    if (o->method == BEAM_METHOD_CLASSICAL) {
        return beam_solver_classical(worker->solver.solver, o->classical, o->sensing,
                                     entry->tradeoff, design, result, err);
    }
    set_solver_options(worker, o->max_iterations);
    return beam_solver_solve(worker->solver.solver, entry->tradeoff, NULL, design, result, err);
}

static beam_code refine_entry(const lab_job *job, lab_worker *worker, int k, beam_error *err)
{
    lab_entry *entry = &job->run->solution->entries[k];
    lab_design warm;
    beam_code code =
        lab_design_init(&warm, &job->scene->scene.dims, entry->beams.design.sensing_max, err);
    if (!code) {
        code = beam_design_copy(&warm.design, &entry->beams.design, err);
    }
    if (!code) {
        set_solver_options(worker, job->options->refine);
        code = beam_solver_solve(worker->solver.solver, entry->tradeoff, &warm.design,
                                 &entry->beams.design, &job->run->results[k], err);
    }
    lab_design_clear(&warm);
    return code;
}

/* solve_us is NAN when the design is still to be made, otherwise the front has made it. */
static beam_code run_task(void *arg, int worker_index, int k, beam_error *err)
{
    lab_job *job = arg;
    lab_worker *worker = &job->workers[worker_index];
    lab_entry *entry = &job->run->solution->entries[k];
    const bool made = isfinite(entry->solve_us);
    beam_code code = BEAM_OK;
    const int64_t start = lab_clock_ns();
    worker_arm(worker, job->options);
    if (!made) {
        code = solve_entry(job, worker, k, err);
        set_method(entry, job->run->results[k].method);
    }
    /* the method named stays the one that made the point, unless the refinement replaced it */
    if (!code && job->options->refine > 0) {
        worker_arm(worker, job->options);
        code = refine_entry(job, worker, k, err);
        if (!code && job->run->results[k].method != BEAM_METHOD_WARM) {
            set_method(entry, job->run->results[k].method);
        }
    }
    const double us = (double)(lab_clock_ns() - start) * 1e-3;
    entry->solve_us = made ? entry->solve_us + us : us;
    if (job->options->progress) {
        lab_progress_step(&job->progress);
    }
    return code;
}

/* The numbers of a design as it will be printed. */
static beam_code evaluate_entry(lab_run *run, const lab_scene *scene, lab_evaluator *evaluator,
                                int k, beam_error *err)
{
    lab_entry *entry = &run->solution->entries[k];
    lab_floor *floor = &run->floors[k];
    beam_quality quality;
    lab_design_settle(&entry->beams.design, &scene->scene);
    const beam_code code =
        beam_evaluator_run(evaluator->evaluator, &entry->beams.design, &quality, err);
    if (code) {
        return code;
    }
    if (!isfinite(quality.wsr_nominal_bps_hz) || !isfinite(quality.wsr_worst_case_bps_hz) ||
        (quality.crlb_valid && !isfinite(quality.crlb_m2)) || quality.power_excess > 1e-12) {
        return beam_fail(err, BEAM_E_NUMERIC, NULL,
                         "entry %d is not finite or exceeds its budget by %.3g", k,
                         quality.power_excess);
    }
    entry->wsr_nominal_bps_hz = quality.wsr_nominal_bps_hz;
    entry->wsr_worst_case_bps_hz = quality.wsr_worst_case_bps_hz;
    entry->crlb_m2 = quality.crlb_valid ? quality.crlb_m2 : NAN;
    floor->count = quality.users_below_floor;
    floor->shortfall_bps_hz = quality.shortfall_bps_hz;
    for (int u = 0; u < scene->scene.dims.users; u++) {
        floor->under[u] =
            quality.user_rate_worst_case_bps_hz[u] < scene->scene.user_min_rate_bps_hz[u];
    }
    return BEAM_OK;
}

static beam_code evaluate_all(lab_run *run, const lab_scene *scene, beam_error *err)
{
    lab_evaluator evaluator;
    beam_code code = lab_evaluator_create(&evaluator, &scene->scene,
                                          beam_design_sensing_max(&scene->scene.dims), err);
    for (int k = 0; !code && k < run->solution->count; k++) {
        code = evaluate_entry(run, scene, &evaluator, k, err);
    }
    lab_evaluator_clear(&evaluator);
    return code;
}

static beam_code run_create(lab_run *self, const lab_scene *scene, int count, beam_error *err)
{
    *self = (lab_run){.solution = lab_solution_create(
                          scene, count, beam_design_sensing_max(&scene->scene.dims), err)};
    if (!self->solution) {
        return BEAM_E_LIMIT;
    }
    self->results = calloc((size_t)count + 1, sizeof *self->results);
    self->paper_status = calloc((size_t)count + 1, sizeof *self->paper_status);
    self->floors = calloc((size_t)count + 1, sizeof *self->floors);
    if (!self->results || !self->paper_status || !self->floors) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    return BEAM_OK;
}

void lab_run_clear(lab_run *self)
{
    lab_solution_destroy(&self->solution);
    free(self->results);
    free(self->paper_status);
    free(self->floors);
    *self = (lab_run){.solution = NULL};
}

/* Runs every entry of the job, then evaluates. */
static beam_code finish(lab_job *job, const char *label, beam_error *err)
{
    const int count = job->run->solution->count;
    beam_code code = BEAM_OK;
    if (job->options->refine > 0 || !isfinite(job->run->solution->entries[0].solve_us)) {
        code = job_create_workers(job, count, err);
        const int64_t start = lab_clock_ns();
        if (job->options->progress) {
            lab_progress_start(&job->progress, label, count);
        }
        if (!code) {
            code = lab_parallel_run(job->worker_count, count, run_task, job, err);
        }
        if (job->options->progress) {
            lab_progress_end(&job->progress);
        }
        job->run->total_us += (double)(lab_clock_ns() - start) * 1e-3;
        job_clear(job);
    }
    return code ? code : evaluate_all(job->run, job->scene, err);
}

static beam_code prepare_ideal(lab_run *run, const lab_scene *scene, const lab_run_options *options,
                               beam_error *err)
{
    if (options->ideal) {
        run->ideal = *options->ideal;
        return BEAM_OK;
    }
    const beam_code code = lab_run_ideal(&scene->scene, &run->ideal, &run->ideal_us, err);
    run->total_us += run->ideal_us;
    return code;
}

static beam_code network_run(lab_run *self, const lab_scene *scene, const lab_run_options *options,
                             bool front, beam_error *err)
{
    const beam_code code = lab_network_run(self, scene, options, front, err);
    return code ? code : evaluate_all(self, scene, err);
}

static beam_code end_run(lab_run *self, beam_code code)
{
    if (code) {
        lab_run_clear(self);
    }
    return code;
}

beam_code lab_run_solve(lab_run *self, const lab_scene *scene, const lab_run_options *options,
                        int count, const double *tradeoffs, beam_error *err)
{
    beam_code code = run_create(self, scene, count, err);
    for (int k = 0; !code && k < count; k++) {
        self->solution->entries[k].tradeoff = tradeoffs[k];
    }
    if (options->method == BEAM_METHOD_NETWORK) {
        code = code ? code : network_run(self, scene, options, false, err);
        return end_run(self, code);
    }
    if (!code) {
        code = prepare_ideal(self, scene, options, err);
    }
    if (!code) {
        lab_job job = {.scene = scene, .options = options, .run = self};
        code = finish(&job, "solve", err);
    }
    return end_run(self, code);
}

typedef struct lab_front_watch {
    lab_job *job;
    lab_worker *worker;
} lab_front_watch;

/* A point is done: show it, and the next one has the whole time limit. */
static void front_progress(void *arg, int done, int total)
{
    const lab_front_watch *watch = arg;
    (void)total;
    worker_arm(watch->worker, watch->job->options);
    if (watch->job->options->progress) {
        lab_progress_set(&watch->job->progress, done);
    }
}

/* The default method makes its own front: chained starts and well-placed trade-offs, ideal values
 * included. */
static beam_code chained_front(lab_job *job, beam_error *err)
{
    lab_run *run = job->run;
    const int points = run->solution->count;
    double *tradeoffs = calloc((size_t)points, sizeof *tradeoffs);
    beam_design *designs = calloc((size_t)points, sizeof *designs);
    lab_worker worker = {.deadline_ns = 0};
    lab_front_watch watch = {job, &worker};
    beam_code code = tradeoffs && designs
                         ? lab_solver_create(&worker.solver, &job->scene->scene, err)
                         : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    if (!code) {
        set_solver_options(&worker, job->options->max_iterations);
        for (int k = 0; k < points; k++) {
            designs[k] = run->solution->entries[k].beams.design;
        }
        if (job->options->progress) {
            lab_progress_start(&job->progress, "front", points);
        }
        const int64_t start = lab_clock_ns();
        if (job->options->ideal) {
            code = beam_solver_set_ideal(worker.solver.solver, job->options->ideal, err);
        }
        if (!code) {
            code = beam_solver_front(worker.solver.solver, points, job->options->ideal != NULL,
                                     tradeoffs, designs, run->results, front_progress, &watch, err);
        }
        run->total_us += (double)(lab_clock_ns() - start) * 1e-3;
        run->ideal = beam_solver_ideal(worker.solver.solver);
        if (job->options->progress) {
            lab_progress_end(&job->progress);
        }
        for (int k = 0; !code && k < points; k++) {
            lab_entry *entry = &run->solution->entries[k];
            entry->tradeoff = tradeoffs[k];
            entry->solve_us = run->total_us / points;
            set_method(entry, run->results[k].method);
        }
    }
    lab_solver_clear(&worker.solver);
    free(tradeoffs);
    free(designs);
    return code;
}

beam_code lab_run_front(lab_run *self, const lab_scene *scene, const lab_run_options *options,
                        int points, beam_error *err)
{
    if (points == 1 && options->method == BEAM_METHOD_BOBLRBF) {
        const double middle = 0.5;
        return lab_run_solve(self, scene, options, 1, &middle, err);
    }
    lab_run_options front_options = *options;
    front_options.paper.preferences = points;
    lab_job job = {.scene = scene, .options = &front_options, .run = self};
    beam_code code = run_create(self, scene, points, err);
    if (options->method == BEAM_METHOD_NETWORK) {
        code = code ? code : network_run(self, scene, options, true, err);
        return end_run(self, code);
    }
    if (!code && options->method == BEAM_METHOD_BOBLRBF) {
        code = chained_front(&job, err);
    } else if (!code) {
        code = prepare_ideal(self, scene, options, err);
        for (int k = 0; k < points; k++) {
            self->solution->entries[k].tradeoff = points > 1 ? (double)k / (points - 1) : 0.5;
        }
    }
    if (!code) {
        code = finish(&job, "front", err);
    }
    return end_run(self, code);
}
