/* Times of one core: evaluation, a cold preference, a moving track, fronts, sizes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/bench.h"
#include "lab/generate.h"
#include "lab/owned.h"
#include "lab/progress.h"
#include "lab/runner.h"
#include "lab/statistics.h"
#include "lab/track.h"

static double us_since(int64_t start_ns)
{
    return (double)(lab_clock_ns() - start_ns) * 1e-3;
}

static beam_code out_of_memory(beam_error *err)
{
    return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
}

static lab_scene *paper_scene(const lab_bench *self, int index, beam_error *err)
{
    lab_generate_options options = lab_generate_options_default();
    options.seed = self->first_seed + (uint64_t)index;
    return lab_generate_scene(&options, err);
}

/* ---- exact worst case, CRLB and both gradients ---- */

enum { EVALUATE_REPEATS = 200, EVALUATE_TRADEOFFS = 5 };

typedef struct lab_evaluate_times {
    double *run, *gradients, *all;
    int count;
} lab_evaluate_times;

static beam_code time_evaluations(const lab_scene *scene, lab_evaluator *evaluator,
                                  const beam_design *design, lab_evaluate_times *times,
                                  beam_error *err)
{
    const beam_dims *dims = &scene->scene.dims;
    lab_design rate, bound = {.memory = NULL};
    beam_quality quality;
    beam_code code = lab_design_init(&rate, dims, design->sensing_max, err);
    if (!code) {
        code = lab_design_init(&bound, dims, design->sensing_max, err);
    }
    for (int i = 0; !code && i < EVALUATE_REPEATS; i++) {
        const int64_t start = lab_clock_ns();
        code = beam_evaluator_run(evaluator->evaluator, design, &quality, err);
        const double run = us_since(start);
        const int64_t middle = lab_clock_ns();
        if (!code) {
            code = beam_evaluator_gradient(evaluator->evaluator, design, &rate.design,
                                           &bound.design, err);
        }
        times->run[times->count] = run;
        times->gradients[times->count] = us_since(middle);
        times->all[times->count++] = us_since(start);
    }
    lab_design_clear(&rate);
    lab_design_clear(&bound);
    return code;
}

static beam_code evaluate_scene(const lab_scene *scene, lab_evaluate_times *times, beam_error *err)
{
    static const double tradeoffs[EVALUATE_TRADEOFFS] = {0.1, 0.3, 0.5, 0.7, 0.9};
    const lab_run_options options = lab_run_options_default();
    lab_run run;
    beam_code code = lab_run_solve(&run, scene, &options, EVALUATE_TRADEOFFS, tradeoffs, err);
    if (code) {
        return code;
    }
    lab_evaluator evaluator;
    code = lab_evaluator_create(&evaluator, &scene->scene,
                                beam_design_sensing_max(&scene->scene.dims), err);
    for (int k = 0; !code && k < EVALUATE_TRADEOFFS; k++) {
        code =
            time_evaluations(scene, &evaluator, &run.solution->entries[k].beams.design, times, err);
    }
    lab_evaluator_clear(&evaluator);
    lab_run_clear(&run);
    return code;
}

beam_code lab_bench_evaluate(lab_bench *self, beam_error *err)
{
    const size_t count = (size_t)self->scenes * EVALUATE_TRADEOFFS * EVALUATE_REPEATS;
    double *memory = malloc(3 * count * sizeof *memory);
    if (!memory) {
        return out_of_memory(err);
    }
    lab_evaluate_times times = {memory, memory + count, memory + 2 * count, 0};
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < self->scenes; i++) {
        lab_scene *scene = paper_scene(self, i, err);
        code = scene ? evaluate_scene(scene, &times, err) : err->code;
        lab_scene_destroy(&scene);
    }
    if (!code) {
        lab_bench_title(self, "evaluate", "one design, paper's size, eps_rel 0.1, solved designs");
        code = lab_bench_add(self, "evaluate", "exact worst case + CRLB", "us", times.run,
                             times.count, NAN, err);
    }
    if (!code) {
        code = lab_bench_add(self, "evaluate", "both gradients", "us", times.gradients, times.count,
                             NAN, err);
    }
    if (!code) {
        code = lab_bench_add(self, "evaluate", "exact worst case + CRLB + both gradients", "us",
                             times.all, times.count, 50, err);
    }
    free(memory);
    return code;
}

/* ---- one preference, against the solver run to convergence ---- */

typedef struct lab_gap {
    lab_solver solver; /* runs to convergence */
    lab_design design;
} lab_gap;

static beam_code gap_create(lab_gap *gap, const beam_scene *scene, beam_error *err)
{
    *gap = (lab_gap){.design = {.memory = NULL}};
    beam_code code = lab_solver_create(&gap->solver, scene, err);
    if (!code) {
        beam_solver_options options = beam_solver_options_default();
        options.max_iterations = 20000;
        options.tolerance = 1e-12;
        beam_solver_set_options(gap->solver.solver, &options);
        code =
            lab_design_init(&gap->design, &scene->dims, beam_design_sensing_max(&scene->dims), err);
    }
    return code;
}

static void gap_clear(lab_gap *gap)
{
    lab_solver_clear(&gap->solver);
    lab_design_clear(&gap->design);
}

/* Merit of `design` above the best of two runs to convergence: cold, and from the design itself. */
static beam_code gap_measure(lab_gap *gap, const beam_scene *scene, const beam_ideal *ideal,
                             double tradeoff, const beam_design *design, double merit, double *out,
                             beam_error *err)
{
    beam_result cold, warm;
    beam_code code = beam_solver_load(gap->solver.solver, scene, err);
    if (!code) {
        code = beam_solver_set_ideal(gap->solver.solver, ideal, err);
    }
    if (!code) {
        code =
            beam_solver_solve(gap->solver.solver, tradeoff, NULL, &gap->design.design, &cold, err);
    }
    if (!code) {
        code = beam_solver_solve(gap->solver.solver, tradeoff, design, &gap->design.design, &warm,
                                 err);
    }
    if (!code) {
        *out = merit - fmin(cold.merit, warm.merit);
    }
    return code;
}

static const double COLD_TRADEOFFS[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
enum { COLD_COUNT = sizeof COLD_TRADEOFFS / sizeof COLD_TRADEOFFS[0] };

typedef struct lab_solve_times {
    double *total, *gap; /* load + solve; merit above convergence */
    int count;
} lab_solve_times;

static beam_code solve_scene(const lab_scene *scene, lab_solve_times *times, beam_error *err)
{
    const beam_scene *s = &scene->scene;
    lab_solver solver;
    lab_gap gap = {.design = {.memory = NULL}};
    lab_design design = {.memory = NULL};
    beam_ideal ideal;
    double us;
    beam_code code = lab_solver_create(&solver, s, err);
    if (!code) {
        code = lab_run_ideal(s, &ideal, &us, err);
    }
    if (!code) {
        code = gap_create(&gap, s, err);
    }
    if (!code) {
        code = lab_design_init(&design, &s->dims, beam_design_sensing_max(&s->dims), err);
    }
    for (int k = 0; !code && k < COLD_COUNT; k++) {
        beam_result result;
        const int64_t start = lab_clock_ns();
        code = beam_solver_load(solver.solver, s, err);
        if (!code) {
            code = beam_solver_set_ideal(solver.solver, &ideal, err);
        }
        if (!code) {
            code = beam_solver_solve(solver.solver, COLD_TRADEOFFS[k], NULL, &design.design,
                                     &result, err);
        }
        times->total[times->count] = us_since(start);
        if (!code) {
            code = gap_measure(&gap, s, &ideal, COLD_TRADEOFFS[k], &design.design, result.merit,
                               &times->gap[times->count], err);
        }
        times->count++;
    }
    lab_design_clear(&design);
    gap_clear(&gap);
    lab_solver_clear(&solver);
    return code;
}

static beam_code report_gap(lab_bench *self, const char *section, double *gap, int count,
                            beam_error *err)
{
    int within = 0;
    for (int i = 0; i < count; i++) {
        within += gap[i] <= 0.02;
    }
    beam_code code = lab_bench_add(self, section, "merit above the solver run to convergence", "1",
                                   gap, count, 0.02, err);
    if (!code) {
        code = lab_bench_value(self, section, "within 0.02 of it", "%",
                               100.0 * within / (count ? count : 1), NAN, err);
    }
    return code;
}

beam_code lab_bench_solve(lab_bench *self, beam_error *err)
{
    const size_t count = (size_t)self->scenes * COLD_COUNT;
    double *memory = malloc(2 * count * sizeof *memory);
    if (!memory) {
        return out_of_memory(err);
    }
    lab_solve_times times = {memory, memory + count, 0};
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < self->scenes; i++) {
        lab_scene *scene = paper_scene(self, i, err);
        code = scene ? solve_scene(scene, &times, err) : err->code;
        lab_scene_destroy(&scene);
    }
    if (!code) {
        lab_bench_title(self, "solve", "one preference, cold, new CSI, paper's size, eps_rel 0.1");
        code =
            lab_bench_add(self, "solve", "load + solve", "us", times.total, times.count, 5000, err);
    }
    if (!code) {
        code = report_gap(self, "solve", times.gap, times.count, err);
    }
    free(memory);
    return code;
}

/* ---- moving users and targets, warm-started every millisecond ---- */

enum { TRACK_GAP_EVERY = 10, TRACK_IDEAL_EVERY = 100 };

typedef struct lab_track_state {
    lab_track *track;
    lab_scene *scene;
    lab_solver solver;
    lab_gap gap;
    lab_design now, before;
    beam_ideal ideal;
} lab_track_state;

static beam_code track_open(lab_track_state *t, const lab_bench *self, int index, beam_error *err)
{
    lab_generate_options options = lab_generate_options_default();
    options.seed = self->first_seed + (uint64_t)index;
    *t = (lab_track_state){.track = lab_track_create(&options, 1.5, 10, err)};
    t->scene = t->track ? lab_track_scene(t->track, err) : NULL;
    if (!t->scene) {
        return err->code;
    }
    const beam_dims *dims = &t->scene->scene.dims;
    const int columns = beam_design_sensing_max(dims);
    beam_code code = lab_solver_create(&t->solver, &t->scene->scene, err);
    if (!code) {
        code = gap_create(&t->gap, &t->scene->scene, err);
    }
    if (!code) {
        code = lab_design_init(&t->now, dims, columns, err);
    }
    if (!code) {
        code = lab_design_init(&t->before, dims, columns, err);
    }
    return code;
}

static void track_close(lab_track_state *t)
{
    lab_design_clear(&t->now);
    lab_design_clear(&t->before);
    gap_clear(&t->gap);
    lab_solver_clear(&t->solver);
    lab_scene_destroy(&t->scene);
    lab_track_destroy(&t->track);
}

/* The ideal values are refreshed off the hot path, as in the daemon. */
static beam_code track_frame(lab_track_state *t, int frame, double tradeoff, lab_solve_times *times,
                             int *gaps, beam_error *err)
{
    const beam_scene *s = &t->scene->scene;
    beam_code code = BEAM_OK;
    double ignored;
    lab_track_at(t->track, 1e-3 * frame, &t->scene->scene);
    if (frame % TRACK_IDEAL_EVERY == 0) {
        code = lab_run_ideal(s, &t->ideal, &ignored, err);
    }
    beam_result result;
    const int64_t start = lab_clock_ns();
    if (!code) {
        code = beam_solver_load(t->solver.solver, s, err);
    }
    if (!code) {
        code = beam_solver_set_ideal(t->solver.solver, &t->ideal, err);
    }
    if (!code) {
        code = beam_solver_solve(t->solver.solver, tradeoff, frame > 0 ? &t->before.design : NULL,
                                 &t->now.design, &result, err);
    }
    const double us = us_since(start);
    if (!code && frame > 0) {
        times->total[times->count++] = us;
        if (frame % TRACK_GAP_EVERY == 0) {
            code = gap_measure(&t->gap, s, &t->ideal, tradeoff, &t->now.design, result.merit,
                               &times->gap[(*gaps)++], err);
        }
    }
    return code ? code : beam_design_copy(&t->before.design, &t->now.design, err);
}

beam_code lab_bench_track(lab_bench *self, beam_error *err)
{
    static const double tradeoffs[] = {0.25, 0.5, 0.75};
    const size_t count = 3 * (size_t)self->frames;
    double *memory = malloc(2 * count * sizeof *memory);
    if (!memory) {
        return out_of_memory(err);
    }
    lab_solve_times times = {memory, memory + count, 0};
    int gaps = 0;
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < 3; i++) {
        lab_track_state track;
        code = track_open(&track, self, i, err);
        for (int frame = 0; !code && frame < self->frames; frame++) {
            code = track_frame(&track, frame, tradeoffs[i], &times, &gaps, err);
        }
        track_close(&track);
    }
    if (!code) {
        lab_bench_title(self, "track",
                        "warm-started every 1 ms, users 1.5 m/s, targets 10 m/s, eps_rel 0.1");
        code = lab_bench_add(self, "track", "load + solve, warm", "us", times.total, times.count,
                             1000, err);
    }
    if (!code) {
        code = report_gap(self, "track", times.gap, gaps, err);
    }
    free(memory);
    return code;
}

/* ---- fronts ---- */

static beam_code front_time(const lab_generate_options *options, int points, double *us,
                            beam_error *err)
{
    const lab_run_options run_options = lab_run_options_default();
    lab_scene *scene = lab_generate_scene(options, err);
    if (!scene) {
        return err->code;
    }
    lab_run run;
    const beam_code code = lab_run_front(&run, scene, &run_options, points, err);
    if (!code) {
        *us = run.total_us;
        lab_run_clear(&run);
    }
    lab_scene_destroy(&scene);
    return code;
}

static beam_code front_times(lab_bench *self, lab_generate_options options, int scenes,
                             const char *section, const char *name, double target, double *median,
                             beam_error *err)
{
    double *ms = malloc((size_t)scenes * sizeof *ms);
    if (!ms) {
        return out_of_memory(err);
    }
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < scenes; i++) {
        options.seed = self->first_seed + (uint64_t)i;
        code = front_time(&options, self->points, &ms[i], err);
        ms[i] *= 1e-3;
    }
    if (!code) {
        code = lab_bench_add(self, section, name, "ms", ms, scenes, target, err);
        *median = lab_quantile(ms, scenes, 0.5);
    }
    free(ms);
    return code;
}

beam_code lab_bench_front(lab_bench *self, beam_error *err)
{
    double median;
    char name[96];
    lab_generate_options options = lab_generate_options_default();
    lab_bench_title(self, "front", "ends and ideal values included, paper's size");
    snprintf(name, sizeof name, "%d points, eps_rel 0.1", self->points);
    beam_code code = front_times(self, options, self->scenes, "front", name,
                                 self->points == 33 ? 165 : NAN, &median, err);
    if (!code) {
        options.error_relative = 0;
        snprintf(name, sizeof name, "%d points, eps_rel 0", self->points);
        code = front_times(self, options, self->scenes, "front", name, NAN, &median, err);
    }
    return code;
}

beam_code lab_bench_sizes(lab_bench *self, beam_error *err)
{
    static const struct {
        int antennas, users;
    } sizes[] = {{5, 1}, {8, 2}, {16, 4}, {64, 4}, {16, 8}, {64, 8}};
    enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0] };
    double median[SIZE_COUNT];
    const int scenes = self->scenes < 5 ? self->scenes : 5;
    beam_code code = BEAM_OK;
    lab_bench_title(self, "sizes", "front, three stations, two targets, eps_rel 0.1");
    for (int i = 0; !code && i < SIZE_COUNT; i++) {
        char name[96];
        lab_generate_options options = lab_generate_options_default();
        options.antennas = sizes[i].antennas;
        for (int l = 0; l < options.stations; l++) {
            options.users[l] = sizes[i].users;
        }
        snprintf(name, sizeof name, "%d points, N = %d, %d users", self->points, sizes[i].antennas,
                 3 * sizes[i].users);
        const double target = sizes[i].antennas == 64 && sizes[i].users == 4 ? 60000 : NAN;
        code = front_times(self, options, scenes, "sizes", name, target, &median[i], err);
    }
    if (!code) {
        code = lab_bench_value(self, "sizes", "N = 64 over N = 16, 12 users", "ratio",
                               median[3] / median[2], 2, err);
    }
    return code;
}
