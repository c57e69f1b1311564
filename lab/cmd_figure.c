/* beamlab figure 3, figure 4: rate against bound over the error radius and over the power; figure
 * 5: convergence against time (MATH 7). */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/arguments.h"
#include "lab/commands.h"
#include "lab/figure.h"
#include "lab/figure5.h"
#include "lab/output.h"
#include "lab/parallel.h"
#include "lab/progress.h"

static int make_folder(const char *folder)
{
    struct stat status;
    if (mkdir(folder, 0777) == 0) {
        return LAB_EXIT_OK;
    }
    /* before hours of computing, not after */
    if (errno != EEXIST || stat(folder, &status) != 0) {
        return lab_complain("--out-dir: %s: %s", folder, strerror(errno));
    }
    if (!S_ISDIR(status.st_mode) || access(folder, W_OK | X_OK) != 0) {
        return lab_complain("--out-dir: %s: %s", folder,
                            S_ISDIR(status.st_mode) ? strerror(errno) : "is no folder");
    }
    return LAB_EXIT_OK;
}

/* --- Figure 5 --------------------------------------------------------------------------------- */

typedef struct figure5_words {
    const char *folder, *model, *mlp, *lines;
    int seed, clock;
    lab_numbers tradeoffs;
} figure5_words;

static int parse_figure5(int argc, char **argv, lab_figure5_options *o, figure5_words *w)
{
    const lab_option options[] = {
        {"out-dir", LAB_OPTION_TEXT, &w->folder, 0, 0, NULL,
         "folder for figure5.{csv,dat,gp,png,svg}"},
        {"model", LAB_OPTION_TEXT, &w->model, 0, 0, NULL,
         "equivariant network, default: the one built in"},
        {"mlp", LAB_OPTION_TEXT, &w->mlp, 0, 0, NULL,
         "the paper's network; without it that curve is missing"},
        {"scenes", LAB_OPTION_INTEGER, &o->scenes, 1, 1000, NULL,
         "random scenes of the paper's size, default 20"},
        {"seed", LAB_OPTION_INTEGER, &w->seed, 0, 2147483647, NULL, "of the scenes, default 1"},
        {"eps", LAB_OPTION_NUMBER, &o->error_relative, 0, 1, NULL,
         "relative error radius of all scenes; default: drawn, 0.05 to 0.2"},
        {"tradeoff", LAB_OPTION_NUMBERS, &w->tradeoffs, 0, 1, NULL,
         "of one scene alone, default 0.25 0.5 0.75"},
        {"preferences", LAB_OPTION_INTEGER, &o->preferences, 1, 1000, NULL,
         "per scene of the batch, evenly spaced, default 33"},
        {"repeats", LAB_OPTION_INTEGER, &o->repeats, 1, 1000, NULL,
         "of every timed run, of which the shortest counts, default 5"},
        {"paper-iterations", LAB_OPTION_INTEGER, &o->paper_iterations, 1, 1000000, NULL,
         "of method paper at most, default 1600"},
        {"golden", LAB_OPTION_TEXT, &o->golden, 0, 0, NULL,
         "folder of the oracle's scenes (tests/golden): those of the paper's size come first"},
        {"lines", LAB_OPTION_TEXT, &w->lines, 0, 0, NULL,
         "file for the times as JSON, one object a line; then nothing is drawn"},
        {"clock", LAB_OPTION_CHOICE, &w->clock, 0, 0, "wall|cpu",
         "default wall; cpu where others use the machine too"},
    };
    const lab_command_line line = {.usage = "figure 5 [--mlp FILE] [--out-dir DIR] [options]",
                                   .about = "Convergence of the paper's algorithm, the default "
                                            "solver and the networks against time, on one core.",
                                   .options = options,
                                   .option_count = sizeof options / sizeof options[0],
                                   .least_words = 1,
                                   .most_words = 1};
    const char *which;
    int words;
    return lab_arguments_parse(&line, argc, argv, &which, &words);
}

static beam_code write_lines(const lab_figure5 *figure, const char *path, beam_error *err)
{
    lab_output output;
    const beam_code code = lab_output_open(&output, path, err);
    if (code) {
        return code;
    }
    lab_figure5_write_lines(figure, output.file);
    return lab_output_commit(&output, err);
}

/* Computes, prints and writes. */
static int draw_figure5(const lab_figure5_options *o, const char *folder, const char *lines)
{
    beam_error err;
    lab_figure5 *figure = lab_figure5_compute(o, &err);
    if (!figure) {
        const int rc =
            lab_complain("figure 5: %s%s%s", err.field, err.field[0] ? ": " : "", err.text);
        return err.code == BEAM_E_INVALID ? rc : LAB_EXIT_FAILED;
    }
    int rc = LAB_EXIT_OK;
    lab_figure5_report(figure);
    if (lines) {
        rc = write_lines(figure, lines, &err) ? lab_complain_file(lines, &err) : LAB_EXIT_OK;
    } else if (lab_figure5_write(figure, folder, &err)) {
        rc = lab_complain_file(folder, &err);
    } else {
        printf("written: %s/figure5.csv, .dat, .gp, .png, .svg\n", folder);
    }
    lab_figure5_destroy(&figure);
    return rc;
}

static int figure5(int argc, char **argv)
{
    lab_figure5_options o = lab_figure5_options_default();
    figure5_words w = {.folder = ".", .seed = 1};
    char command[1024];
    beam_error err;
    int rc = parse_figure5(argc, argv, &o, &w);
    rc = rc ? rc : make_folder(w.folder);
    if (rc) {
        free(w.tradeoffs.values);
        return rc;
    }
    lab_arguments_join("figure", argc, argv, command, sizeof command);
    o.command = command;
    o.seed = (uint64_t)w.seed;
    o.cpu_clock = w.clock == 1;
    if (w.tradeoffs.count > 0) {
        o.tradeoffs = w.tradeoffs.values;
        o.tradeoff_count = w.tradeoffs.count;
    }
    lab_model *network = lab_model_default(w.model, &err);
    if (!network) {
        rc = lab_complain_file(w.model ? w.model : "built-in model", &err);
    }
    lab_model *mlp = !rc && w.mlp ? lab_model_read(w.mlp, &err) : NULL;
    if (!rc && w.mlp && !mlp) {
        rc = lab_complain_file(w.mlp, &err);
    }
    if (!rc) {
        o.network = network;
        o.mlp = mlp;
        if (!mlp) {
            fputs("beamlab: figure 5: no --mlp FILE is given: the paper's network is missing\n",
                  stderr);
        }
        lab_stay_on_this_core();
        if (o.cpu_clock) {
            lab_clock_use_cpu();
        }
        rc = draw_figure5(&o, w.folder, w.lines);
    }
    lab_model_destroy(&network);
    lab_model_destroy(&mlp);
    free(w.tradeoffs.values);
    return rc;
}

/* --- Figures 3 and 4 -------------------------------------------------------------------------- */

int lab_command_figure(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "5") == 0) {
        return figure5(argc, argv); /* other options */
    }
    lab_figure_options o = lab_figure_options_default();
    int seed = 1;
    const char *folder = ".";
    const lab_option options[] = {
        {"out-dir", LAB_OPTION_TEXT, &folder, 0, 0, NULL, "folder for figureN.{dat,gp,png,svg}"},
        {"scenes", LAB_OPTION_INTEGER, &o.scenes, 1, 10000, NULL, "random scenes, default 20"},
        {"points", LAB_OPTION_INTEGER, &o.points, 2, 1000, NULL, "per front, default 33"},
        {"paper-scenes", LAB_OPTION_INTEGER, &o.paper_scenes, 0, 10000, NULL,
         "scenes also solved by method paper, default 20"},
        {"paper-points", LAB_OPTION_INTEGER, &o.paper_points, 2, 1000, NULL,
         "K of method paper, default 16"},
        {"threads", LAB_OPTION_INTEGER, &o.threads, 1, 256, NULL, "default 1"},
        {"seed", LAB_OPTION_INTEGER, &seed, 0, 2147483647, NULL, "of the first scene, default 1"},
    };
    const lab_command_line line = {.usage = "figure 3|4 [--out-dir DIR] [options]",
                                   .about = "Computes and draws a figure of the paper; exit status "
                                            "1 if its trends do not hold. For figure 5 see "
                                            "beamlab figure 5 --help.",
                                   .options = options,
                                   .option_count = sizeof options / sizeof options[0],
                                   .least_words = 1,
                                   .most_words = 1};
    const char *which;
    int words;
    int rc = lab_arguments_parse(&line, argc, argv, &which, &words);
    if (!rc && strcmp(which, "3") != 0 && strcmp(which, "4") != 0) {
        rc = lab_complain("figure: must be 3, 4 or, as the first word, 5; is \"%s\"", which);
    }
    if (!rc) {
        rc = make_folder(folder);
    }
    if (rc) {
        return rc;
    }
    o.figure = which[0] - '0';
    o.first_seed = (uint64_t)seed;
    o.paper_scenes = o.paper_scenes < o.scenes ? o.paper_scenes : o.scenes;
    beam_error err;
    lab_figure *figure = lab_figure_compute(&o, &err);
    if (!figure) {
        lab_complain("figure %d: %s", o.figure, err.text);
        return LAB_EXIT_FAILED;
    }
    const bool trends = lab_figure_report(figure);
    if (lab_figure_write(figure, folder, &err)) {
        rc = lab_complain_file(folder, &err);
    } else {
        printf("written: %s/figure%d.dat, .gp, .png, .svg\n", folder, o.figure);
        rc = trends ? LAB_EXIT_OK : LAB_EXIT_FAILED;
    }
    lab_figure_destroy(&figure);
    return rc;
}
