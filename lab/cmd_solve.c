/* beamlab solve, beamlab front */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/commands.h"
#include "lab/method_options.h"
#include "lab/runner.h"

/* Minima that a design misses. */
static void print_floor(const lab_run *run, int k)
{
    const lab_floor *floor = &run->floors[k];
    if (floor->count == 0) {
        return;
    }
    printf("%8s under their minimum rate:", "");
    for (int u = 0; u < BEAM_MAX_USERS; u++) {
        if (floor->under[u]) {
            printf(" user %d", u);
        }
    }
    printf("; %.6g bit/s/Hz short in all\n", floor->shortfall_bps_hz);
}

static void print_run(const lab_run *run, const lab_run_options *options)
{
    printf("ideal: WSR %.6f bit/s/Hz, CRLB %.6g m^2\n", run->ideal.wsr_ideal_bps_hz,
           run->ideal.crlb_min_m2);
    printf("%8s %12s %12s %14s %10s %10s %12s  %s\n", "tradeoff", "nominal", "worst case",
           "CRLB m^2", "merit", "us", "method", "status");
    for (int k = 0; k < run->solution->count; k++) {
        const lab_entry *e = &run->solution->entries[k];
        const bool valid = isfinite(e->crlb_m2);
        const double f1 = beam_loss_rate(&run->ideal, e->wsr_worst_case_bps_hz);
        const double f2 = beam_loss_sensing(&run->ideal, valid, valid ? e->crlb_m2 : 0);
        const double merit =
            beam_merit(&run->ideal, beam_preference_from_tradeoff(e->tradeoff), f1, f2);
        const char *status = options->method == BEAM_METHOD_PAPER && options->refine == 0
                                 ? beam_paper_status_text(run->paper_status[k])
                                 : beam_status_text(run->results[k].status);
        printf("%8.5f %12.6f %12.6f ", e->tradeoff, e->wsr_nominal_bps_hz,
               e->wsr_worst_case_bps_hz);
        if (valid) {
            printf("%14.6e ", e->crlb_m2);
        } else {
            printf("%14s ", "not located");
        }
        printf("%10.5f %10.1f %12s  %s\n", merit, e->solve_us, e->method, status);
        print_floor(run, k);
    }
    printf("%d designs in %.3f ms\n", run->solution->count, run->total_us * 1e-3);
}

/* Scene and input errors are the user's (2), failures of the numerics ours (1). */
static int run_failed(const char *path, const beam_error *err)
{
    lab_complain_file(path, err);
    return err->code == BEAM_E_NUMERIC ? LAB_EXIT_FAILED : LAB_EXIT_USAGE;
}

static int deliver(const lab_run *run, const lab_scene *scene, const lab_run_options *options,
                   const char *out)
{
    beam_error err;
    if (out && lab_solution_write(run->solution, &scene->scene, out, &err)) {
        return lab_complain_file(out, &err);
    }
    if (!out || strcmp(out, "-") != 0) {
        print_run(run, options);
    }
    return LAB_EXIT_OK;
}

/* The arguments, the method and the scene that they name; *path is the scene's. */
static int open_scene(const lab_command_line *line, int argc, char **argv,
                      lab_method_choice *choice, lab_run_options *run_options, const char **path,
                      lab_scene **scene)
{
    int words;
    beam_error err;
    const int rc = lab_arguments_parse(line, argc, argv, path, &words);
    if (rc) {
        return rc;
    }
    const int refused = lab_method_resolve(choice, run_options);
    if (refused) {
        return refused;
    }
    *scene = lab_scene_read(*path, &err);
    return *scene ? 0 : lab_complain_file(*path, &err);
}

int lab_command_solve(int argc, char **argv)
{
    lab_method_choice choice = lab_method_choice_default();
    lab_numbers tradeoffs = {NULL, 0};
    const char *out = NULL;
    lab_option options[LAB_METHOD_OPTION_COUNT + 2] = {
        {"out", LAB_OPTION_TEXT, &out, 0, 0, NULL, "solution file to write; - for standard output"},
        {"tradeoff", LAB_OPTION_NUMBERS, &tradeoffs, 0, 1, NULL,
         "0 rate only ... 1 sensing only; default: the scene's, or 0.5"},
    };
    lab_method_options(options + 2, &choice);
    const lab_command_line line = {
        .usage = "solve SCENE.json [--method M] [--tradeoff T ...] [--threads N] [--out FILE]",
        .about = "One design per trade-off, in order.",
        .options = options,
        .option_count = LAB_METHOD_OPTION_COUNT + 2,
        .least_words = 1,
        .most_words = 1};
    lab_run_options run_options;
    beam_error err;
    lab_scene *scene = NULL;
    const char *path = NULL;
    int rc = open_scene(&line, argc, argv, &choice, &run_options, &path, &scene);
    if (!rc) {
        const double middle = 0.5;
        const bool given = tradeoffs.count > 0, listed = scene->tradeoff_count > 0;
        const int count = given ? tradeoffs.count : listed ? scene->tradeoff_count : 1;
        const double *values = given ? tradeoffs.values : listed ? scene->tradeoffs : &middle;
        lab_run run;
        if (lab_run_solve(&run, scene, &run_options, count, values, &err)) {
            rc = run_failed(path, &err);
        } else {
            rc = deliver(&run, scene, &run_options, out);
            lab_run_clear(&run);
        }
    }
    lab_scene_destroy(&scene);
    free(tradeoffs.values);
    return rc;
}

int lab_command_front(int argc, char **argv)
{
    lab_method_choice choice = lab_method_choice_default();
    int points = 33;
    const char *out = NULL;
    lab_option options[LAB_METHOD_OPTION_COUNT + 2] = {
        {"out", LAB_OPTION_TEXT, &out, 0, 0, NULL, "solution file to write; - for standard output"},
        {"points", LAB_OPTION_INTEGER, &points, 1, 10000, NULL, "entries, default 33"},
    };
    lab_method_options(options + 2, &choice);
    const lab_command_line line = {
        .usage = "front SCENE.json [--points K] [--method M] [--refine STEPS] [--out FILE]",
        .about = "Exactly K designs from the communication end to the sensing end.",
        .options = options,
        .option_count = LAB_METHOD_OPTION_COUNT + 2,
        .least_words = 1,
        .most_words = 1};
    lab_run_options run_options;
    beam_error err;
    lab_scene *scene = NULL;
    const char *path = NULL;
    int rc = open_scene(&line, argc, argv, &choice, &run_options, &path, &scene);
    if (!rc) {
        lab_run run;
        if (lab_run_front(&run, scene, &run_options, points, &err)) {
            rc = run_failed(path, &err);
        } else {
            rc = deliver(&run, scene, &run_options, out);
            lab_run_clear(&run);
        }
    }
    lab_scene_destroy(&scene);
    return rc;
}
