/* beamlab evaluate: nothing in a solution file is believed; and of a model, what it is worth. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/arguments.h"
#include "lab/commands.h"
#include "lab/evaluate_families.h"
#include "lab/evaluate_model.h"
#include "lab/format.h"
#include "lab/hypervolume.h"
#include "lab/owned.h"

typedef struct lab_check {
    double rtol, btol;
    bool verbose;
    int wrong;
    double over_budget;
    int accepted;        /* entries within the budget */
    double (*points)[2]; /* [entries] of those */
} lab_check;

/* Relative difference of a claim; 0 when nothing is claimed. */
static double claim_error(double claimed, double value)
{
    if (isnan(claimed) || claimed == value) {
        return 0;
    }
    return isnan(value) ? INFINITY : fabs(claimed - value) / fmax(fabs(value), 1e-9);
}

static void print_pair(double claimed, double value)
{
    if (isnan(claimed)) {
        printf(" %12s", "-");
    } else {
        printf(" %12.6g", claimed);
    }
    if (isnan(value)) {
        printf(" %12s |", "not located");
    } else {
        printf(" %12.6g |", value);
    }
}

static void print_users(const beam_quality *q, const beam_scene *scene)
{
    for (int u = 0; u < scene->dims.users; u++) {
        printf("       user %d: SINR nominal %.6g, worst case %.6g, rate %.6g%s\n", u,
               q->user_sinr_nominal[u], q->user_sinr_worst_case[u],
               q->user_rate_worst_case_bps_hz[u],
               q->user_rate_worst_case_bps_hz[u] < scene->user_min_rate_bps_hz[u]
                   ? " (under its minimum)"
                   : "");
    }
    for (int j = 0; j < scene->dims.targets; j++) {
        if (q->target_state[j] == BEAM_TARGET_OK) {
            printf("       target %d: rms bound %.6g m, echo SNR %.2f dB%s\n", j,
                   q->target_rms_m[j], q->target_echo_snr_db[j],
                   q->target_echo_snr_db[j] < 10 ? " (the bound is optimistic)" : "");
        } else {
            printf("       target %d: %s\n", j, beam_target_state_text(q->target_state[j]));
        }
    }
}

static void check_entry(lab_check *check, const lab_entry *e, const beam_quality *q,
                        const beam_scene *scene)
{
    const double crlb = q->crlb_valid ? q->crlb_m2 : NAN;
    double worst = claim_error(e->wsr_nominal_bps_hz, q->wsr_nominal_bps_hz);
    worst = fmax(worst, claim_error(e->wsr_worst_case_bps_hz, q->wsr_worst_case_bps_hz));
    worst = fmax(worst, claim_error(e->crlb_m2, crlb));
    double share = 0;
    for (int l = 0; l < scene->dims.stations; l++) {
        share = fmax(share, q->station_power_w[l] / scene->station_power_w[l]);
    }
    const bool ok = worst <= check->rtol && q->power_excess <= check->btol;
    check->wrong += !ok;
    check->over_budget = fmax(check->over_budget, q->power_excess);
    if (q->power_excess <= check->btol) {
        check->points[check->accepted][0] = q->wsr_worst_case_bps_hz;
        check->points[check->accepted++][1] = q->crlb_valid ? q->crlb_m2 : INFINITY;
    }
    if (isnan(e->tradeoff)) {
        printf("%6s %10s |", "-", e->method);
    } else {
        printf("%6.3f %10s |", e->tradeoff, e->method);
    }
    print_pair(e->wsr_nominal_bps_hz, q->wsr_nominal_bps_hz);
    print_pair(e->wsr_worst_case_bps_hz, q->wsr_worst_case_bps_hz);
    print_pair(e->crlb_m2, crlb);
    printf(" %12.9f | %.1e %s\n", share, worst, ok ? "ok" : "WRONG");
    if (check->verbose) {
        print_users(q, scene);
    }
}

static void print_head(const lab_scene *scene)
{
    const beam_dims *d = &scene->scene.dims;
    printf("scene %s: L=%d N=%d users=%d J=%d\n", scene->name, d->stations, d->antennas, d->users,
           d->targets);
    printf("%6s %10s | %25s | %25s | %25s | %12s | worst rel. error\n", "tau", "method",
           "WSR nominal, bit/s/Hz", "WSR worst case, bit/s/Hz", "CRLB, m^2", "power/budget");
    printf("%6s %10s |", "", "");
    for (int i = 0; i < 3; i++) {
        printf(" %12s %12s |", "reported", "recomputed");
    }
    puts("");
}

static beam_code check_all(lab_check *check, const lab_scene *scene, const lab_solution *solution,
                           beam_error *err)
{
    int most = 1;
    for (int k = 0; k < solution->count; k++) {
        const int columns = solution->entries[k].beams.design.sensing_max;
        most = columns > most ? columns : most;
    }
    lab_evaluator evaluator;
    beam_code code = lab_evaluator_create(&evaluator, &scene->scene, most, err);
    for (int k = 0; !code && k < solution->count; k++) {
        beam_quality quality;
        code = beam_evaluator_run(evaluator.evaluator, &solution->entries[k].beams.design, &quality,
                                  err);
        if (!code) {
            check_entry(check, &solution->entries[k], &quality, &scene->scene);
        }
    }
    lab_evaluator_clear(&evaluator);
    return code;
}

static int print_hypervolume(const lab_check *check, const char *path,
                             const lab_reference *reference, int entries, int count)
{
    beam_error err;
    lab_hypervolume hv;
    if (lab_hypervolume_compute((const double(*)[2])check->points, check->accepted, reference,
                                count > entries ? count : entries, &hv, &err)) {
        return lab_complain_file(path, &err);
    }
    printf("points %d\nover_budget %.3g\nhv %.8g\nhv_reference %.8g\nratio %.8g\n"
           "hv_reference_same_count %.8g\nratio_same_count %.8g\nhv_box %.8g\n",
           check->accepted, check->over_budget, hv.hv, hv.hv_reference, hv.ratio,
           hv.hv_reference_same_count, hv.ratio_same_count, hv.hv_box);
    if (check->accepted > 0) {
        printf("min_f1 %.5g\nmin_f2 %.5g\n", hv.min_f1, hv.min_f2);
    }
    return LAB_EXIT_OK;
}

static int evaluate_solution(lab_check *check, const lab_scene *scene, const lab_solution *solution,
                             const char *path)
{
    beam_error err;
    print_head(scene);
    if (check_all(check, scene, solution, &err)) {
        return lab_complain_file(path, &err);
    }
    if (check->wrong > 0) {
        printf("%d entries disagree (rtol %g) or exceed the budget (by more than %g)\n",
               check->wrong, check->rtol, check->btol);
        return LAB_EXIT_FAILED;
    }
    puts("all reported values agree");
    return LAB_EXIT_OK;
}

/* Reads all files before it prints anything. reference may be NULL. */
static int evaluate_files(lab_check *check, const char *const *path, const char *reference,
                          int count)
{
    beam_error err;
    lab_scene *scene = lab_scene_read(path[0], &err);
    if (!scene) {
        return lab_complain_file(path[0], &err);
    }
    int rc = LAB_EXIT_OK;
    lab_reference *front = NULL;
    lab_solution *solution = lab_solution_read(path[1], &scene->scene, &err);
    if (!solution) {
        rc = lab_complain_file(path[1], &err);
    } else if (reference && !(front = lab_reference_read(reference, &err))) {
        rc = lab_complain_file(reference, &err);
    } else if (!(check->points = calloc((size_t)solution->count + 1, sizeof *check->points))) {
        rc = lab_complain("out of memory");
    } else {
        rc = evaluate_solution(check, scene, solution, path[1]);
        if (front && rc != LAB_EXIT_USAGE) {
            const int hv = print_hypervolume(check, reference, front, solution->count, count);
            rc = hv ? hv : rc;
        }
    }
    free(check->points);
    lab_reference_destroy(&front);
    lab_solution_destroy(&solution);
    lab_scene_destroy(&scene);
    return rc;
}

static int evaluate_model(const char *path, const char *family, bool track,
                          lab_evaluate_options *options)
{
    beam_error err;
    options->family = family && strcmp(family, "all") != 0 ? lab_evaluate_family_find(family) : -1;
    if (options->family < 0 && family && strcmp(family, "all") != 0) {
        return lab_complain("--family: \"%s\" is none of paper, n8, n16, n64, users, overload, "
                            "stations, targets, spread, sizes, all",
                            family);
    }
    if (track && options->json) {
        return lab_complain("--track: prints a table only");
    }
    if (!family) {
        options->family = lab_evaluate_family_find("paper");
    }
    lab_model *model = lab_model_default(path[0] ? path : NULL, &err);
    if (!model) {
        return lab_complain_file(path[0] ? path : "built-in model", &err);
    }
    const beam_code code =
        track ? lab_evaluate_track(model, options, &err) : lab_evaluate_model(model, options, &err);
    lab_model_destroy(&model);
    if (code) {
        lab_complain("evaluate: %s%s%s", err.field, err.field[0] ? ": " : "", err.text);
        return LAB_EXIT_FAILED;
    }
    return LAB_EXIT_OK;
}

int lab_command_evaluate(int argc, char **argv)
{
    lab_check check = {.rtol = 1e-6, .btol = 1e-9};
    lab_evaluate_options o = {
        .scenes = 100, .points = 33, .reference_points = 129, .threads = 1, .frames = 200};
    const char *reference = NULL, *model = NULL, *family = NULL;
    int count = 33, seed = 1;
    bool track = false, no_times = false;
    const lab_option options[] = {
        {"rtol", LAB_OPTION_NUMBER, &check.rtol, 0, 1, NULL,
         "accepted relative difference, default 1e-6"},
        {"btol", LAB_OPTION_NUMBER, &check.btol, 0, 1, NULL,
         "accepted excess over the budget, default 1e-9"},
        {"verbose", LAB_OPTION_FLAG, &check.verbose, 0, 0, NULL,
         "users and targets of every entry"},
        {"reference", LAB_OPTION_TEXT, &reference, 0, 0, NULL,
         "reference front for the hypervolume"},
        {"count", LAB_OPTION_INTEGER, &count, 1, 100000, NULL,
         "entries that were asked for, default 33"},
        {"model", LAB_OPTION_MAYBE, &model, 0, 0, NULL,
         "judge a model on fresh scenes; without a file the one built in"},
        {"scenes", LAB_OPTION_INTEGER, &o.scenes, 1, 100000, NULL,
         "of --model, per family, or tracks, default 100"},
        {"seed", LAB_OPTION_INTEGER, &seed, 0, 2147483647, NULL, "of --model, default 1"},
        {"family", LAB_OPTION_TEXT, &family, 0, 0, NULL,
         "of --model: paper (default), n8, n16, n64, users, overload, stations, targets, spread, "
         "sizes, all"},
        {"points", LAB_OPTION_INTEGER, &o.points, 2, 10000, NULL,
         "of --model: per front, default 33"},
        {"reference-points", LAB_OPTION_INTEGER, &o.reference_points, 2, 10000, NULL,
         "of --model: of the reference fronts, default 129"},
        {"refine", LAB_OPTION_INTEGER, &o.refine, 0, 1e6, NULL,
         "of --model: also with at most so many quasi-Newton iterations per point"},
        {"threads", LAB_OPTION_INTEGER, &o.threads, 1, 256, NULL, "of --model, default 1"},
        {"no-times", LAB_OPTION_FLAG, &no_times, 0, 0, NULL, "of --model: hypervolumes only"},
        {"track", LAB_OPTION_FLAG, &track, 0, 0, NULL,
         "of --model: warm starts on moving scenes against the layers run"},
        {"frames", LAB_OPTION_INTEGER, &o.frames, 20, LAB_TRACK_FRAMES_MOST, NULL,
         "of --track, default 200"},
        {"json", LAB_OPTION_FLAG, &o.json, 0, 0, NULL, "of --model: one JSON object"},
    };
    const lab_command_line line = {
        .usage = "evaluate SCENE.json SOLUTION.json [--reference REF.json] | evaluate --model "
                 "[FILE] [--scenes N]",
        .about = "Recomputes every number of a solution file; exit status 1 if one is wrong. With "
                 "--model: how good a model is on scenes that it has never seen.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .most_words = 2};
    const char *path[2];
    int words;
    const int rc = lab_arguments_parse(&line, argc, argv, path, &words);
    if (rc) {
        return rc;
    }
    if (words != (model ? 0 : 2)) {
        return lab_complain("usage: beamlab %s", line.usage);
    }
    o.seed = (uint64_t)seed;
    o.timing = !no_times;
    return model ? evaluate_model(model, family, track, &o)
                 : evaluate_files(&check, path, reference, count);
}
