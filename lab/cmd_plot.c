/* beamlab plot: one picture of the fronts in solution files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/arguments.h"
#include "lab/commands.h"
#include "lab/front.h"
#include "lab/gnuplot.h"
#include "lab/output.h"

enum { MOST_FILES = 8 };

typedef struct lab_picture {
    const char *out, *title, *reference;
    int width, height;
    double low, high;                 /* CRLB of all points */
    double least_bps_hz, most_bps_hz; /* and rate */
} lab_picture;

/* Terminal from the name's ending; NULL for other endings. */
static const char *terminal_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot && strcmp(dot, ".svg") == 0) {
        return "svg";
    }
    return dot && strcmp(dot, ".png") == 0 ? "pngcairo" : NULL;
}

/* "$front0 << EOD ... EOD": CRLB and rate, sorted so that the curve does not go back. */
static void put_points(FILE *script, lab_picture *picture, int index, const lab_front_point *points,
                       int count)
{
    fprintf(script, "$front%d << EOD\n", index);
    for (int i = 0; i < count; i++) {
        fprintf(script, "%.12g %.12g\n", points[i].crlb_m2, points[i].wsr_bps_hz);
        picture->low = fmin(picture->low, points[i].crlb_m2);
        picture->high = fmax(picture->high, points[i].crlb_m2);
        picture->least_bps_hz = fmin(picture->least_bps_hz, points[i].wsr_bps_hz);
        picture->most_bps_hz = fmax(picture->most_bps_hz, points[i].wsr_bps_hz);
    }
    fputs("EOD\n", script);
}

static int add_solution(FILE *script, lab_picture *picture, int index, const char *path,
                        const lab_scene *scene)
{
    beam_error err;
    lab_solution *solution = lab_solution_read(path, &scene->scene, &err);
    lab_front_point *points = solution ? calloc((size_t)solution->count + 1, sizeof *points) : NULL;
    int rc = LAB_EXIT_OK;
    if (!solution) {
        rc = lab_complain_file(path, &err);
    } else if (!points) {
        rc = lab_complain("out of memory");
    } else if (lab_front_evaluate(solution, &scene->scene, points, &err)) {
        rc = lab_complain_file(path, &err);
    } else {
        const int kept = lab_front_prune(points, solution->count);
        if (kept == 0) {
            rc = lab_complain("%s: solutions: no design with a finite CRLB to plot", path);
        }
        put_points(script, picture, index, points, kept);
    }
    free(points);
    lab_solution_destroy(&solution);
    return rc;
}

static int add_reference(FILE *script, int index, const char *path)
{
    beam_error err;
    lab_reference *reference = lab_reference_read(path, &err);
    if (!reference) {
        return lab_complain_file(path, &err);
    }
    fprintf(script, "$front%d << EOD\n", index);
    for (int i = 0; i < reference->count; i++) {
        fprintf(script, "%.12g %.12g\n", reference->front[i][1], reference->front[i][0]);
    }
    fputs("EOD\n", script);
    lab_reference_destroy(&reference);
    return LAB_EXIT_OK;
}

/* File name without folder and ending: what the legend says. */
static void put_label(FILE *script, const char *path)
{
    char label[128];
    const char *slash = strrchr(path, '/');
    snprintf(label, sizeof label, "%s", slash ? slash + 1 : path);
    char *dot = strstr(label, ".json");
    if (dot) {
        *dot = '\0';
    }
    lab_gnuplot_quote(script, label);
}

static void put_style(FILE *script, const lab_picture *picture, const char *scene, const char *file)
{
    fprintf(script, "set terminal %s size %d,%d enhanced font 'sans,12' background rgb 'white'\n",
            terminal_of(picture->out), picture->width, picture->height);
    fputs("set output ", script);
    lab_gnuplot_quote(script, file);
    fputs("\nset title ", script);
    lab_gnuplot_quote(script, picture->title ? picture->title : scene);
    fputs(" noenhanced\n"
          "set key bottom right noenhanced\n"
          "set xlabel 'CRLB of all target positions, m^2'\n"
          "set ylabel 'worst-case weighted sum rate, bit/s/Hz'\n",
          script);
    lab_gnuplot_look(script);
    lab_gnuplot_log_axis(script, 'x', 0.95 * picture->low, 1.05 * picture->high);
    if (picture->least_bps_hz == picture->most_bps_hz && !picture->reference) {
        fprintf(script, "set yrange [%.12g:%.12g]\n", picture->least_bps_hz - 1,
                picture->most_bps_hz + 1); /* gnuplot warns of an empty range */
    }
}

static int draw(FILE *script, lab_picture *picture, const lab_scene *scene,
                const char *const *paths, int count)
{
    static const char *const colors[MOST_FILES] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                   "#E69F00", "#56B4E9", "#000000", "#F0E442"};
    int rc = LAB_EXIT_OK;
    for (int i = 0; !rc && i < count; i++) {
        rc = add_solution(script, picture, i, paths[i], scene);
    }
    if (!rc && picture->reference) {
        rc = add_reference(script, count, picture->reference);
    }
    if (rc) {
        return rc;
    }
    beam_error err;
    lab_output output;
    if (lab_output_open(&output, picture->out, &err)) {
        return lab_complain_file(picture->out, &err);
    }
    put_style(script, picture, scene->name, output.temporary[0] ? output.temporary : picture->out);
    fputs("plot ", script);
    if (picture->reference) {
        fprintf(script, "$front%d with lines lw 4 lc rgb '#bbbbbb' title 'reference', ", count);
    }
    for (int i = 0; i < count; i++) {
        fprintf(script, "%s$front%d with linespoints pt %d ps 0.6 lw 2 lc rgb '%s' title ",
                i ? ", " : "", i, i % 2 ? 6 : 7, colors[i]);
        put_label(script, paths[i]);
    }
    fputc('\n', script);
    /* gnuplot writes what the output has opened; nothing goes through output.file */
    beam_code code = lab_gnuplot_run(script, NULL, &err);
    if (code) {
        lab_output_abandon(&output);
    } else {
        code = lab_output_commit(&output, &err);
    }
    return code ? lab_complain_file(picture->out, &err) : LAB_EXIT_OK;
}

int lab_command_plot(int argc, char **argv)
{
    lab_picture picture = {.width = 900,
                           .height = 600,
                           .low = INFINITY,
                           .high = 0,
                           .least_bps_hz = INFINITY,
                           .most_bps_hz = -INFINITY};
    const lab_option options[] = {
        {"out", LAB_OPTION_TEXT, &picture.out, 0, 0, NULL, "picture to write: .svg or .png"},
        {"title", LAB_OPTION_TEXT, &picture.title, 0, 0, NULL, "default: the scene's name"},
        {"reference", LAB_OPTION_TEXT, &picture.reference, 0, 0, NULL,
         "reference front, drawn grey"},
        {"width", LAB_OPTION_INTEGER, &picture.width, 100, 10000, NULL, "default 900"},
        {"height", LAB_OPTION_INTEGER, &picture.height, 100, 10000, NULL, "default 600"},
    };
    const lab_command_line line = {
        .usage = "plot SCENE.json SOLUTION.json ... --out front.svg|front.png",
        .about = "Draws rate against bound, both recomputed from the beams.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_words = 2,
        .most_words = MOST_FILES + 1};
    const char *path[MOST_FILES + 1];
    int words;
    beam_error err;
    const int rc = lab_arguments_parse(&line, argc, argv, path, &words);
    if (rc) {
        return rc;
    }
    if (!picture.out || !terminal_of(picture.out)) {
        return lab_complain("--out: must name a file ending in .svg or .png");
    }
    lab_scene *scene = lab_scene_read(path[0], &err);
    if (!scene) {
        return lab_complain_file(path[0], &err);
    }
    FILE *script = tmpfile();
    const int drawn = script ? draw(script, &picture, scene, path + 1, words - 1)
                             : lab_complain("no temporary file can be made");
    if (script) {
        fclose(script);
    }
    lab_scene_destroy(&scene);
    return drawn;
}
