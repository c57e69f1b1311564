#include "lab/figure5.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/figure5_internal.h"
#include "lab/generate.h"
#include "lab/random.h"
#include "solver/solver_internal.h"

static const uint64_t domain = UINT64_C(0x666967757265352e); /* "figure5." */
static const double least_error = 0.05, most_error = 0.2;

/* Scenes in which rate and sensing hardly compete have merits near 0, of which no share is
 * meaningful: 0.05 is 2.5 % of the rate. */
static const double least_scale = 0.05;

double lab_figure5_scale(const lab_quality_point *reference)
{
    return fmax(reference->merit, least_scale);
}

const char *lab_contender_name(lab_contender contender)
{
    static const char *const names[LAB_CONTENDERS] = {"paper",   "paper-rzf", "boblrbf",
                                                      "chained", "mlp",       "equivariant",
                                                      "refined", "gpu",       "gpu-refined"};
    return names[contender];
}

const char *lab_contender_title(lab_contender contender)
{
    static const char *const titles[LAB_CONTENDERS] = {
        "paper",       "paper, from RZF",          "boblrbf",          "boblrbf, chained", "mlp",
        "equivariant", "equivariant + refinement", "equivariant, GPU", "refined, GPU"};
    return titles[contender];
}

const char *lab_contender_budget(lab_contender contender)
{
    static const char *const words[LAB_CONTENDERS] = {"iterations", "iterations", "iterations",
                                                      "iterations", "layers",     "layers",
                                                      "steps",      "layers",     "steps"};
    return words[contender];
}

lab_figure5_options lab_figure5_options_default(void)
{
    static const double tradeoffs[] = {0.25, 0.5, 0.75};
    return (lab_figure5_options){.scenes = 20,
                                 .seed = 1,
                                 .error_relative = NAN,
                                 .tradeoff_count = 3,
                                 .tradeoffs = tradeoffs,
                                 .preferences = 33,
                                 .repeats = 5,
                                 .paper_iterations = 1600,
                                 .command = ""};
}

/* --- Set-up ----------------------------------------------------------------------------------- */

/* The oracle's scenes of the paper's size, with the best that it found. */
static const struct {
    const char *name;
    double error_relative;
} GOLDEN[] = {
    {"paper_eps000", 0}, {"paper_eps005", 0.05}, {"paper_eps010", 0.1}, {"paper_eps020", 0.2}};
enum { GOLDEN_COUNT = sizeof GOLDEN / sizeof GOLDEN[0] };

static beam_code place_read(lab_figure5_place *p, const char *folder, int index, beam_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.json", folder, GOLDEN[index].name);
    p->error_relative = GOLDEN[index].error_relative;
    p->scene = lab_scene_read(path, err);
    snprintf(path, sizeof path, "%s/%s.reference.json", folder, GOLDEN[index].name);
    p->golden = p->scene ? lab_reference_read(path, err) : NULL;
    return p->golden ? BEAM_OK : err->code;
}

static beam_code place_draw(lab_figure5_place *p, const lab_figure5_options *o, int index,
                            beam_error *err)
{
    char name[64];
    lab_random random = lab_random_seed(o->seed ^ domain);
    random = lab_random_seed(lab_random_bits(&random) + (uint64_t)index);
    lab_generate_options g = lab_generate_options_default();
    g.seed = lab_random_bits(&random);
    g.error_relative = isnan(o->error_relative)
                           ? least_error + (most_error - least_error) * lab_random_uniform(&random)
                           : o->error_relative;
    snprintf(name, sizeof name, "figure 5, scene %d", index);
    g.name = name;
    p->error_relative = g.error_relative;
    p->scene = lab_generate_scene(&g, err);
    return p->scene ? BEAM_OK : err->code;
}

static beam_code place_open(lab_figure5 *self, int index, beam_error *err)
{
    const lab_figure5_options *o = &self->options;
    lab_figure5_place *p = &self->places[index];
    beam_code code = index < self->golden ? place_read(p, o->golden, index, err)
                                          : place_draw(p, o, index - self->golden, err);
    if (code) {
        return code;
    }
    const beam_scene *scene = &p->scene->scene;
    code = lab_solver_create(&p->solver, scene, err);
    code = code ? code : lab_solver_create(&p->strict, scene, err);
    return code ? code
                : lab_evaluator_create(&p->evaluator, scene, beam_design_sensing_max(&scene->dims),
                                       err);
}

static beam_code set_open(lab_figure5_set *s, int scenes, int points, const beam_dims *dims,
                          beam_error *err)
{
    s->points = points;
    s->cases = scenes * points;
    const size_t n = (size_t)s->cases;
    s->tradeoffs = calloc((size_t)points, sizeof *s->tradeoffs);
    s->reference = calloc(n, sizeof *s->reference);
    s->out = calloc(n, sizeof *s->out);
    s->results = calloc(n, sizeof *s->results);
    s->requests = calloc(n, sizeof *s->requests);
    s->ended = calloc(n, sizeof *s->ended);
    s->asked = calloc(n, sizeof *s->asked);
    if (!s->asked || !s->tradeoffs || !s->reference || !s->out || !s->results || !s->requests ||
        !s->ended) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < s->cases; i++) {
        code = lab_design_init(&s->out[i], dims, beam_design_sensing_max(dims), err);
        s->reference[i] = (lab_quality_point){INFINITY, NAN, NAN};
    }
    return code;
}

static beam_code check_model(const lab_model *model, beam_model_kind kind, const char *option,
                             const beam_dims *d, beam_error *err)
{
    const beam_model_info *info = beam_model_info_of(model->model);
    if (info->kind != kind) {
        return beam_fail(err, BEAM_E_INVALID, option, "the model is %s, not %s",
                         beam_model_kind_text(info->kind), beam_model_kind_text(kind));
    }
    if (kind == BEAM_MODEL_MLP && (info->stations != d->stations || info->antennas != d->antennas ||
                                   info->users != d->users || info->targets != d->targets)) {
        return beam_fail(err, BEAM_E_INVALID, option,
                         "the model is for %d stations, %d antennas, %d users and %d targets, not "
                         "%d, %d, %d and %d",
                         info->stations, info->antennas, info->users, info->targets, d->stations,
                         d->antennas, d->users, d->targets);
    }
    return BEAM_OK;
}

static beam_code models_open(lab_figure5 *self, const beam_dims *dims, beam_error *err)
{
    const lab_figure5_options *o = &self->options;
    const int most = self->sets[LAB_BATCH].cases > 1 ? self->sets[LAB_BATCH].cases : 1;
    beam_code code = check_model(o->network, BEAM_MODEL_EQUIVARIANT, "model", dims, err);
    code = !code && o->mlp ? check_model(o->mlp, BEAM_MODEL_MLP, "mlp", dims, err) : code;
    code =
        code ? code : lab_inference_create(&self->inference[0], o->network->model, dims, most, err);
    return !code && o->mlp
               ? lab_inference_create(&self->inference[1], o->mlp->model, dims, most, err)
               : code;
}

/* Its answers are measured once, at the end, like everybody's, and not after every iteration: the
 * repair exact-report would cost it half of its time. */
static beam_code paper_open(lab_figure5 *self, beam_error *err)
{
    const beam_ideal any = {1, 1}; /* every timed run loads its own */
    beam_paper_options options = beam_paper_options_default();
    options.repairs = BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_EXACT_REPORT;
    options.preferences = LAB_FIGURE5_CONES;
    options.max_iterations = self->options.paper_iterations;
    options.expired = lab_figure5_paper_expired;
    options.expired_arg = self;
    return lab_paper_create(&self->paper, &self->places[0].scene->scene, &options, &any, err);
}

static beam_code open_all(lab_figure5 *self, beam_error *err)
{
    const lab_figure5_options *o = &self->options;
    beam_code code = BEAM_OK;
    self->places = calloc((size_t)o->scenes, sizeof *self->places);
    if (!self->places) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    for (int i = 0; !code && i < o->scenes; i++) {
        code = place_open(self, i, err);
    }
    if (code) {
        return code;
    }
    const beam_dims *dims = &self->places[0].scene->scene.dims;
    lab_figure5_set *alone = &self->sets[LAB_ALONE], *batch = &self->sets[LAB_BATCH];
    code = set_open(alone, o->scenes, o->tradeoff_count, dims, err);
    code = code ? code : set_open(batch, o->scenes, o->preferences, dims, err);
    for (int k = 0; !code && k < alone->points; k++) {
        alone->tradeoffs[k] = o->tradeoffs[k];
    }
    for (int k = 0; !code && k < batch->points; k++) {
        batch->tradeoffs[k] = batch->points > 1 ? (double)k / (batch->points - 1) : 0.5;
    }
    const int most = alone->cases > batch->cases ? alone->cases : batch->cases;
    self->scratch = calloc((size_t)most, sizeof *self->scratch);
    if (!code && !self->scratch) {
        code = beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    code = code ? code : models_open(self, dims, err);
    code = code ? code : paper_open(self, err);
    return code ? code : lab_design_init(&self->spare, dims, beam_design_sensing_max(dims), err);
}

static beam_code series_open(lab_figure5 *self, lab_setting setting, lab_contender contender,
                             beam_error *err)
{
    lab_figure5_set *set = &self->sets[setting];
    lab_series *series = &set->series[contender];
    const beam_code code =
        lab_figure5_budgets(self, setting, contender, &series->budgets, &series->count, err);
    if (code || series->count == 0) {
        return code;
    }
    series->samples = calloc((size_t)set->cases * (size_t)series->count, sizeof *series->samples);
    return series->samples ? BEAM_OK : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
}

/* What the device keeps of every scene, once the ideal values are known. */
static beam_code device_open(lab_figure5 *self, beam_error *err)
{
    const int scenes = self->options.scenes;
    const lab_figure5_device *device = self->options.device;
    const int alone = self->sets[LAB_ALONE].cases, batch = self->sets[LAB_BATCH].cases;
    const beam_scene **scene = calloc((size_t)scenes, sizeof *scene);
    const beam_design **sensing = calloc((size_t)scenes, sizeof *sensing);
    beam_ideal *ideal = calloc((size_t)scenes, sizeof *ideal);
    lab_design *rows = calloc((size_t)scenes, sizeof *rows);
    beam_code code = scene && sensing && ideal && rows
                         ? BEAM_OK
                         : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    for (int i = 0; !code && i < scenes; i++) {
        const lab_figure5_place *p = &self->places[i];
        const beam_solver *solver = p->solver.solver;
        scene[i] = &p->scene->scene;
        ideal[i] = p->ideal;
        code = lab_design_init(&rows[i], &scene[i]->dims, beam_design_sensing_max(&scene[i]->dims),
                               err);
        if (!code) {
            beam_problem_export(&solver->problem, solver->sensing, &rows[i].design);
            sensing[i] = &rows[i].design;
        }
    }
    code = code ? code
                : device->open(device->self, scenes, scene, ideal, sensing,
                               alone > batch ? alone : batch, err);
    for (int i = 0; rows && i < scenes; i++) {
        lab_design_clear(&rows[i]);
    }
    free(rows);
    free(scene);
    free(sensing);
    free(ideal);
    return code;
}

/* --- All of it -------------------------------------------------------------------------------- */

static int steps_of(const lab_figure5 *self)
{
    int steps = self->options.scenes;
    for (int s = 0; s < LAB_SETTINGS; s++) {
        const lab_figure5_set *set = &self->sets[s];
        for (int c = 0; c < LAB_CONTENDERS; c++) {
            steps += set->series[c].count * (s == LAB_BATCH ? 1 : set->cases);
        }
    }
    return steps;
}

static beam_code compute(lab_figure5 *self, beam_error *err)
{
    beam_code code = open_all(self, err);
    for (int i = 0; !code && i < LAB_SETTINGS * LAB_CONTENDERS; i++) {
        code = series_open(self, (lab_setting)(i / LAB_CONTENDERS),
                           (lab_contender)(i % LAB_CONTENDERS), err);
    }
    if (code) {
        return code;
    }
    lab_progress_start(&self->progress, "figure 5", steps_of(self));
    for (int i = 0; !code && i < self->options.scenes; i++) {
        code = lab_figure5_solve_reference(self, i, err);
        lab_progress_step(&self->progress);
    }
    code = !code && self->options.device ? device_open(self, err) : code;
    for (int i = 0; !code && i < LAB_SETTINGS * LAB_CONTENDERS; i++) {
        code = lab_figure5_run(self, (lab_setting)(i / LAB_CONTENDERS),
                               (lab_contender)(i % LAB_CONTENDERS), err);
    }
    lab_progress_end(&self->progress);
    return code;
}

lab_figure5 *lab_figure5_compute(const lab_figure5_options *options, beam_error *err)
{
    lab_figure5 *self = calloc(1, sizeof *self);
    if (!self) {
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        return NULL;
    }
    self->options = *options;
    self->golden = options->golden ? GOLDEN_COUNT : 0;
    self->options.scenes += self->golden;
    if (compute(self, err)) {
        lab_figure5_destroy(&self);
    }
    return self;
}

static void set_close(lab_figure5_set *s)
{
    for (int i = 0; s->out && i < s->cases; i++) {
        lab_design_clear(&s->out[i]);
    }
    for (int c = 0; c < LAB_CONTENDERS; c++) {
        free(s->series[c].budgets);
        free(s->series[c].samples);
    }
    free(s->tradeoffs);
    free(s->reference);
    free(s->out);
    free(s->results);
    free(s->requests);
    free(s->asked);
    free(s->ended);
}

void lab_figure5_destroy(lab_figure5 **self)
{
    lab_figure5 *f = *self;
    if (!f) {
        return;
    }
    for (int s = 0; s < LAB_SETTINGS; s++) {
        set_close(&f->sets[s]);
    }
    for (int i = 0; f->places && i < f->options.scenes; i++) {
        lab_scene_destroy(&f->places[i].scene);
        lab_reference_destroy(&f->places[i].golden);
        lab_solver_clear(&f->places[i].solver);
        lab_solver_clear(&f->places[i].strict);
        lab_evaluator_clear(&f->places[i].evaluator);
    }
    free(f->places);
    lab_paper_clear(&f->paper);
    lab_inference_clear(&f->inference[0]);
    lab_inference_clear(&f->inference[1]);
    lab_design_clear(&f->spare);
    free(f->scratch);
    free(f);
    *self = NULL;
}
