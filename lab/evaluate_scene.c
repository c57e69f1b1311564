#include "lab/evaluate_scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/hypervolume.h"
#include "lab/owned.h"
#include "lab/runner_network.h"

/* Run to convergence: the decrease at which a stage ends is a hundredth of the default. */
static const double reference_tolerance = 1e-7;
enum { REFERENCE_ITERATIONS = 20000 };

/* --- The reference ---------------------------------------------------------------------------- */

typedef struct designs {
    lab_design *own;
    beam_design *views;
    double *tradeoffs;
    beam_result *results;
    int count;
} designs;

static void designs_clear(designs *d)
{
    for (int k = 0; d->own && k < d->count; k++) {
        lab_design_clear(&d->own[k]);
    }
    free(d->own);
    free(d->views);
    free(d->tradeoffs);
    free(d->results);
    *d = (designs){.own = NULL};
}

static beam_code designs_create(designs *d, const beam_dims *dims, int count, beam_error *err)
{
    const size_t n = (size_t)count;
    *d = (designs){.own = calloc(n, sizeof *d->own),
                   .views = calloc(n, sizeof *d->views),
                   .tradeoffs = calloc(n, sizeof *d->tradeoffs),
                   .results = calloc(n, sizeof *d->results),
                   .count = count};
    if (!d->own || !d->views || !d->tradeoffs || !d->results) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    beam_code code = BEAM_OK;
    for (int k = 0; !code && k < count; k++) {
        code = lab_design_init(&d->own[k], dims, beam_design_sensing_max(dims), err);
        d->views[k] = d->own[k].design;
    }
    return code;
}

/* The default solver's front, run to convergence. front: [points]. */
static beam_code solve_reference(lab_reference *reference, const lab_scene *scene, int points,
                                 beam_error *err)
{
    lab_solver solver;
    designs d = {.own = NULL};
    beam_code code = lab_solver_create(&solver, &scene->scene, err);
    code = code ? code : designs_create(&d, &scene->scene.dims, points, err);
    if (!code) {
        beam_solver_options options = beam_solver_options_default();
        options.max_iterations = REFERENCE_ITERATIONS;
        options.tolerance = reference_tolerance;
        beam_solver_set_options(solver.solver, &options);
        code = beam_solver_front(solver.solver, points, false, d.tradeoffs, d.views, d.results,
                                 NULL, NULL, err);
    }
    if (!code) {
        const beam_ideal ideal = beam_solver_ideal(solver.solver);
        reference->wsr_ideal_bps_hz = ideal.wsr_ideal_bps_hz;
        reference->crlb_min_m2 = ideal.crlb_min_m2;
        reference->count = points;
        for (int k = 0; k < points; k++) {
            reference->front[k][0] = d.results[k].wsr_worst_case_bps_hz;
            reference->front[k][1] = d.results[k].crlb_valid ? d.results[k].crlb_m2 : INFINITY;
        }
    }
    designs_clear(&d);
    lab_solver_clear(&solver);
    return code;
}

static double merit_at(const lab_reference *reference, double tradeoff, double wsr, double crlb)
{
    const beam_ideal ideal = {reference->wsr_ideal_bps_hz, reference->crlb_min_m2};
    return beam_merit(&ideal, beam_preference_from_tradeoff(tradeoff), beam_loss_rate(&ideal, wsr),
                      beam_loss_sensing(&ideal, isfinite(crlb), crlb));
}

static double best_merit(const lab_reference *reference, double tradeoff)
{
    double best = INFINITY;
    for (int k = 0; k < reference->count; k++) {
        best = fmin(best,
                    merit_at(reference, tradeoff, reference->front[k][0], reference->front[k][1]));
    }
    return best;
}

/* --- Fronts of the network -------------------------------------------------------------------- */

static beam_code ratio_of(const double (*points)[2], int count, const lab_reference *reference,
                          double *ratio, beam_error *err)
{
    lab_hypervolume hv;
    const beam_code code = lab_hypervolume_compute(points, count, reference, count, &hv, err);
    *ratio = code ? NAN : hv.ratio_same_count;
    return code;
}

/* As the tool does it, numbers recomputed by the evaluator. */
static beam_code front_ratio(const lab_model *model, const lab_scene *scene, int points, int refine,
                             const lab_reference *reference, double *ratio, beam_error *err)
{
    lab_run_options options = lab_run_options_default();
    lab_run run;
    options.method = BEAM_METHOD_NETWORK;
    options.model = model;
    options.refine = refine;
    beam_code code = lab_run_front(&run, scene, &options, points, err);
    if (code) {
        return code;
    }
    double(*numbers)[2] = calloc((size_t)points, sizeof *numbers);
    if (!numbers) {
        code = beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    for (int k = 0; !code && k < points; k++) {
        const lab_entry *e = &run.solution->entries[k];
        numbers[k][0] = e->wsr_worst_case_bps_hz;
        numbers[k][1] = isnan(e->crlb_m2) ? INFINITY : e->crlb_m2;
    }
    code = code ? code : ratio_of((const double(*)[2])numbers, points, reference, ratio, err);
    free(numbers);
    lab_run_clear(&run);
    return code;
}

typedef struct bare_job {
    const lab_model *model;
    const lab_scene *scene;
    lab_solver solver;
    lab_inference inference;
    lab_design out;
} bare_job;

static beam_code bare_open(bare_job *job, const lab_reference *reference, beam_error *err)
{
    const beam_scene *scene = &job->scene->scene;
    const beam_ideal ideal = {reference->wsr_ideal_bps_hz, reference->crlb_min_m2};
    beam_code code = lab_solver_create(&job->solver, scene, err);
    code = code ? code : beam_solver_set_ideal(job->solver.solver, &ideal, err);
    code =
        code ? code
             : lab_design_init(&job->out, &scene->dims, beam_design_sensing_max(&scene->dims), err);
    return code ? code
                : lab_inference_create(&job->inference, job->model->model, &scene->dims, 1, err);
}

static void bare_close(bare_job *job)
{
    lab_solver_clear(&job->solver);
    lab_inference_clear(&job->inference);
    lab_design_clear(&job->out);
}

/* One answer and what the check saw. */
static beam_code ask(bare_job *job, double tradeoff, beam_result *result,
                     beam_inference_detail *detail, beam_error *err)
{
    const beam_network_request request = {.solver = job->solver.solver,
                                          .tradeoff = tradeoff,
                                          .out = &job->out.design,
                                          .result = result,
                                          .detail = detail};
    return beam_inference_run(job->inference.inference, job->model->model, 1, &request, err);
}

static void take_bare(const beam_inference_detail *detail, double *point)
{
    const bool finite = isfinite(detail->network_merit);
    point[0] = finite ? detail->network_wsr_bps_hz : 0;
    point[1] = finite ? detail->network_crlb_m2 : INFINITY;
}

static beam_code score_tradeoffs(bare_job *job, const lab_reference *reference,
                                 lab_scene_score *score, double (*bare)[2], beam_error *err)
{
    beam_code code = BEAM_OK;
    for (int k = 0; !code && k < LAB_SCORE_TRADEOFFS; k++) {
        const double tradeoff = (double)k / (LAB_SCORE_TRADEOFFS - 1);
        const double best = best_merit(reference, tradeoff);
        beam_result result;
        beam_inference_detail detail;
        code = ask(job, tradeoff, &result, &detail, err);
        if (!code) {
            take_bare(&detail, bare[k]);
            score->chosen[k] = detail.chosen;
            score->gap[k] = merit_at(reference, tradeoff, result.wsr_worst_case_bps_hz,
                                     result.crlb_valid ? result.crlb_m2 : INFINITY) -
                            best;
            score->bare_gap[k] = merit_at(reference, tradeoff, bare[k][0], bare[k][1]) - best;
        }
    }
    return code;
}

/* The network alone, at trade-offs placed along its own front. */
static beam_code bare_front(bare_job *job, const lab_reference *reference, double (*scan)[2],
                            int points, double *ratio, beam_error *err)
{
    double losses[LAB_SCORE_TRADEOFFS][2];
    const beam_ideal ideal = {reference->wsr_ideal_bps_hz, reference->crlb_min_m2};
    double *tradeoffs = calloc((size_t)points, sizeof *tradeoffs);
    double(*numbers)[2] = calloc((size_t)points, sizeof *numbers);
    beam_code code =
        tradeoffs && numbers ? BEAM_OK : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    for (int k = 0; !code && k < LAB_SCORE_TRADEOFFS; k++) {
        losses[k][0] = beam_loss_rate(&ideal, scan[k][0]);
        losses[k][1] = beam_loss_sensing(&ideal, isfinite(scan[k][1]), scan[k][1]);
    }
    if (!code) {
        beam_front_place(LAB_SCORE_TRADEOFFS, losses, points, tradeoffs);
    }
    for (int k = 0; !code && k < points; k++) {
        beam_result result;
        beam_inference_detail detail;
        code = ask(job, tradeoffs[k], &result, &detail, err);
        take_bare(&detail, numbers[k]);
    }
    code = code ? code : ratio_of((const double(*)[2])numbers, points, reference, ratio, err);
    free(tradeoffs);
    free(numbers);
    return code;
}

beam_code lab_scene_evaluate(lab_scene_score *score, const lab_model *model, const lab_scene *scene,
                             const lab_score_options *options, beam_error *err)
{
    const int points = options->points;
    double bare[LAB_SCORE_TRADEOFFS][2];
    lab_reference reference = {
        .front = calloc((size_t)options->reference_points, sizeof *reference.front)};
    bare_job job = {.model = model, .scene = scene};
    *score = (lab_scene_score){.refined = NAN};
    beam_code code =
        reference.front ? BEAM_OK : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    code = code ? code : solve_reference(&reference, scene, options->reference_points, err);
    code = code ? code : front_ratio(model, scene, points, 0, &reference, &score->checked, err);
    if (!code && options->refine > 0) {
        code = front_ratio(model, scene, points, options->refine, &reference, &score->refined, err);
    }
    code = code ? code : bare_open(&job, &reference, err);
    code = code ? code : score_tradeoffs(&job, &reference, score, bare, err);
    code = code ? code : bare_front(&job, &reference, bare, points, &score->bare, err);
    bare_close(&job);
    free(reference.front);
    return code;
}
