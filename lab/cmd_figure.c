/* beamlab figure 3, figure 4: rate against bound over the error radius and over the power (MATH 7).
 */
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

int lab_command_figure(int argc, char **argv)
{
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
                                            "1 if its trends do not hold.",
                                   .options = options,
                                   .option_count = sizeof options / sizeof options[0],
                                   .least_words = 1,
                                   .most_words = 1};
    const char *which;
    int words;
    int rc = lab_arguments_parse(&line, argc, argv, &which, &words);
    if (!rc && strcmp(which, "3") != 0 && strcmp(which, "4") != 0) {
        rc = lab_complain("figure: must be 3 or 4, is \"%s\"", which);
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
