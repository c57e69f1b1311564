/* The timed runs of figure 5. Inside the clock, for everybody: reading the channels (load), the
 * solve, and the exact numbers of the answer. Outside: memory, the ideal values, the least-CRLB
 * beams (of geometry and budgets), and the judge, who measures every answer once more. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/figure5_internal.h"

/* Repetitions end early when they have taken so long; two are made in any case. */
static const double alone_patience_us = 1e5, batch_patience_us = 3e6;

static const int REFINEMENTS[] = {0, 1, 2, 5, 10, 20, 50, 100, 200};
enum { REFINEMENT_COUNT = sizeof REFINEMENTS / sizeof REFINEMENTS[0], MOST_DOUBLINGS = 32 };

/* 1, 2, 4, ... and `most`. */
static int doublings(int most, int *to)
{
    int count = 0;
    for (long n = 1; n < most && count < MOST_DOUBLINGS - 1; n *= 2) {
        to[count++] = (int)n;
    }
    to[count++] = most;
    return count;
}

static int layers_of(const lab_model *model)
{
    return beam_model_info_of(model->model)->layers;
}

static bool is_device(lab_contender c)
{
    return c == LAB_CONTENDER_DEVICE || c == LAB_CONTENDER_DEVICE_REFINED;
}

beam_code lab_figure5_budgets(const lab_figure5 *self, lab_setting setting, lab_contender contender,
                              int **budgets, int *count, beam_error *err)
{
    const lab_figure5_options *o = &self->options;
    const int layers = contender == LAB_CONTENDER_NETWORK || contender == LAB_CONTENDER_DEVICE
                           ? layers_of(o->network)
                       : contender == LAB_CONTENDER_MLP && o->mlp ? layers_of(o->mlp)
                                                                  : 0;
    *count = 0;
    if (is_device(contender) &&
        (!o->device || (contender == LAB_CONTENDER_DEVICE_REFINED && !o->device->refines))) {
        return BEAM_OK;
    }
    if ((contender == LAB_CONTENDER_MLP && !o->mlp) ||
        (contender == LAB_CONTENDER_CHAIN && setting == LAB_ALONE)) {
        return BEAM_OK;
    }
    *budgets = calloc((size_t)layers + REFINEMENT_COUNT + MOST_DOUBLINGS, sizeof **budgets);
    if (!*budgets) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    switch (contender) {
    case LAB_CONTENDER_PAPER:
    case LAB_CONTENDER_PAPER_RZF:
        *count = doublings(o->paper_iterations, *budgets);
        break;
    case LAB_CONTENDER_REFINED:
    case LAB_CONTENDER_DEVICE_REFINED:
        memcpy(*budgets, REFINEMENTS, sizeof REFINEMENTS);
        *count = REFINEMENT_COUNT;
        break;
    case LAB_CONTENDER_MLP:
    case LAB_CONTENDER_NETWORK:
    case LAB_CONTENDER_DEVICE:
        for (; *count < layers; (*count)++) {
            (*budgets)[*count] = *count + 1;
        }
        break;
    default: /* the last one is the solver as it is shipped */
        *count = doublings(beam_solver_options_default().max_iterations, *budgets);
    }
    return BEAM_OK;
}

/* --- One run, from the channels to the answer ------------------------------------------------- */

typedef struct run {
    lab_figure5 *figure;
    lab_figure5_set *set;
    lab_contender contender;
    int first, count; /* cases */
    int budget;
} run;

static lab_figure5_place *place_of(const run *r, int index)
{
    return &r->figure->places[index / r->set->points];
}

static bool is_paper(lab_contender c)
{
    return c == LAB_CONTENDER_PAPER || c == LAB_CONTENDER_PAPER_RZF;
}

static bool is_network(lab_contender c)
{
    return c == LAB_CONTENDER_MLP || c == LAB_CONTENDER_NETWORK || c == LAB_CONTENDER_REFINED;
}

/* Asked once after every iterate, the start first. */
bool lab_figure5_paper_expired(void *arg)
{
    lab_figure5 *self = arg;
    return self->paper_left-- <= 0;
}

static beam_code load(const run *r, int index, beam_error *err)
{
    lab_figure5_place *place = place_of(r, index);
    const beam_scene *scene = &place->scene->scene;
    beam_code code = BEAM_OK;
    if (is_paper(r->contender)) {
        code = beam_paper_load(r->figure->paper.paper, scene, &place->ideal, err);
    }
    return code || r->contender == LAB_CONTENDER_PAPER
               ? code
               : beam_solver_load(place->solver.solver, scene, err);
}

static beam_code solve_paper(const run *r, int index, beam_error *err)
{
    lab_figure5 *self = r->figure;
    lab_figure5_place *place = place_of(r, index);
    const double tradeoff = r->set->tradeoffs[index % r->set->points];
    const bool classical = r->contender == LAB_CONTENDER_PAPER_RZF;
    beam_design *out = &r->set->out[index].design;
    beam_result *result = &r->set->results[index];
    beam_paper_status status;
    beam_quality quality;
    beam_code code = BEAM_OK;
    if (classical) {
        code =
            beam_solver_classical(place->solver.solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                  tradeoff, &self->spare.design, result, err);
    }
    self->paper_left = r->budget;
    code = code ? code
                : beam_paper_solve(
                      self->paper.paper, (int)lround(tradeoff * (LAB_FIGURE5_CONES - 1)),
                      self->options.seed + (unsigned)index, classical ? &self->spare.design : NULL,
                      out, result, &status, NULL, NULL, err);
    code = code ? code : beam_evaluator_run(place->evaluator.evaluator, out, &quality, err);
    r->set->ended[index] =
        !code && status != BEAM_PAPER_TIME_LIMIT && status != BEAM_PAPER_ITERATION_LIMIT;
    return code;
}

static beam_code solve_iterations(const run *r, int index, beam_error *err)
{
    lab_figure5_set *set = r->set;
    const int k = index % set->points;
    const beam_design *warm =
        r->contender == LAB_CONTENDER_CHAIN && k > 0 ? &set->out[index - 1].design : NULL;
    const beam_code code =
        beam_solver_solve(place_of(r, index)->solver.solver, set->tradeoffs[k], warm,
                          &set->out[index].design, &set->results[index], err);
    set->ended[index] = !code && set->results[index].status != BEAM_STATUS_ITERATION_LIMIT;
    return code;
}

static beam_code solve_network(const run *r, beam_error *err)
{
    const lab_figure5 *self = r->figure;
    const bool mlp = r->contender == LAB_CONTENDER_MLP;
    const lab_model *model = mlp ? self->options.mlp : self->options.network;
    const beam_code code = beam_inference_run(self->inference[mlp ? 1 : 0].inference, model->model,
                                              r->count, r->set->requests + r->first, err);
    for (int i = r->first; i < r->first + r->count; i++) {
        r->set->ended[i] = r->contender == LAB_CONTENDER_REFINED && r->budget > 0 &&
                           r->set->results[i].status != BEAM_STATUS_ITERATION_LIMIT;
    }
    return code;
}

static beam_code solve_device(const run *r, beam_error *err)
{
    const lab_figure5_device *device = r->figure->options.device;
    for (int i = r->first; i < r->first + r->count; i++) {
        r->set->ended[i] = false;
    }
    return device->run(device->self, r->count, r->set->asked + r->first, err);
}

/* What is in the clock. */
static beam_code perform(const run *r, beam_error *err)
{
    beam_code code = BEAM_OK;
    if (is_device(r->contender)) {
        return solve_device(r, err);
    }
    for (int i = r->first; !code && i < r->first + r->count; i++) {
        if (i == r->first || i % r->set->points == 0) {
            code = load(r, i, err);
        }
        if (!code && !is_network(r->contender)) {
            code = (is_paper(r->contender) ? solve_paper : solve_iterations)(r, i, err);
        }
    }
    return code || !is_network(r->contender) ? code : solve_network(r, err);
}

/* --- Repetitions and budgets ------------------------------------------------------------------ */

static void prepare(const run *r)
{
    const bool refined =
        r->contender == LAB_CONTENDER_REFINED || r->contender == LAB_CONTENDER_DEVICE_REFINED;
    for (int i = r->first; i < r->first + r->count; i++) {
        lab_figure5_place *place = place_of(r, i);
        beam_solver_options options = beam_solver_options_default();
        if (!is_network(r->contender)) {
            options.max_iterations = r->budget;
            options.explore_every = 0; /* it counts over the repetitions, which must be alike */
        }
        beam_solver_set_options(place->solver.solver, &options);
        r->set->requests[i] =
            (beam_network_request){.solver = place->solver.solver,
                                   .tradeoff = r->set->tradeoffs[i % r->set->points],
                                   .layers = refined ? 0 : r->budget,
                                   .refine = refined ? r->budget : 0,
                                   .out = &r->set->out[i].design,
                                   .result = &r->set->results[i]};
        r->set->asked[i] = (lab_figure5_request){.scene = i / r->set->points,
                                                 .tradeoff = r->set->tradeoffs[i % r->set->points],
                                                 .layers = refined ? 0 : r->budget,
                                                 .refine = refined ? r->budget : 0,
                                                 .out = &r->set->out[i].design};
    }
}

/* Time per solution: the shortest of the repetitions, which all give the same answer. */
static beam_code time_run(const run *r, double *us, beam_error *err)
{
    const double patience = r->count > 1 ? batch_patience_us : alone_patience_us;
    double spent = 0, least = INFINITY;
    beam_code code = BEAM_OK;
    prepare(r);
    for (int i = 0; !code && i < r->figure->options.repeats && (i < 2 || spent < patience); i++) {
        const int64_t start = lab_clock_ns();
        code = perform(r, err);
        const double took = (double)(lab_clock_ns() - start) * 1e-3;
        least = fmin(least, took);
        spent += took;
    }
    *us = least / r->count;
    return code;
}

static lab_sample *sample_at(const run *r, int index, int b)
{
    const lab_series *series = &r->set->series[r->contender];
    return &series->samples[index * series->count + b];
}

/* Algorithm 1 returns its best iterate (repair exact-report); here the best of those measured. */
static beam_code take_samples(const run *r, int b, double us, beam_error *err)
{
    beam_code code = BEAM_OK;
    for (int i = r->first; !code && i < r->first + r->count; i++) {
        lab_sample *sample = sample_at(r, i, b);
        sample->us = us;
        code = lab_figure5_judge(place_of(r, i), r->set->tradeoffs[i % r->set->points],
                                 &r->set->out[i].design, &sample->quality, err);
        if (!code && sample->quality.merit < r->set->reference[i].merit) {
            r->set->reference[i] = sample->quality;
        }
        if (is_paper(r->contender) && b > 0 &&
            !(sample->quality.merit < sample_at(r, i, b - 1)->quality.merit)) {
            sample->quality = sample_at(r, i, b - 1)->quality;
        }
    }
    return code;
}

static bool all_ended(const run *r)
{
    bool all = true;
    for (int i = r->first; i < r->first + r->count; i++) {
        all = all && r->set->ended[i];
    }
    return all;
}

/* Growing budgets for the cases of `r`; once more would change nothing the last one stands. */
static beam_code run_budgets(run *r, beam_error *err)
{
    const lab_series *series = &r->set->series[r->contender];
    bool done = false;
    beam_code code = BEAM_OK;
    for (int b = 0; !code && b < series->count; b++) {
        if (done) {
            for (int i = r->first; i < r->first + r->count; i++) {
                *sample_at(r, i, b) = *sample_at(r, i, b - 1);
            }
        } else {
            double us;
            r->budget = series->budgets[b];
            code = time_run(r, &us, err);
            code = code ? code : take_samples(r, b, us, err);
            done = all_ended(r);
        }
        lab_progress_step(&r->figure->progress);
    }
    for (int i = r->first; !code && i < r->first + r->count; i++) {
        code = lab_figure5_improve(r->figure, r->set, i, &r->set->out[i].design, err);
    }
    return code;
}

beam_code lab_figure5_run(lab_figure5 *self, lab_setting setting, lab_contender contender,
                          beam_error *err)
{
    lab_figure5_set *set = &self->sets[setting];
    const int size = setting == LAB_BATCH ? set->cases : 1;
    beam_code code = BEAM_OK;
    for (int i = 0; !code && set->series[contender].count > 0 && i < set->cases; i += size) {
        run r = {.figure = self, .set = set, .contender = contender, .first = i, .count = size};
        code = run_budgets(&r, err);
    }
    return code;
}
