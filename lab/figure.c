#include "lab/figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/front.h"
#include "lab/generate.h"
#include "lab/gnuplot.h"
#include "lab/output.h"
#include "lab/parallel.h"
#include "lab/progress.h"
#include "lab/runner.h"
#include "lab/statistics.h"

enum { VALUES = 4, METHODS = 3, LEVELS = 24 };
enum { DEFAULT = 0, CLASSICAL = 1, PAPER = 2 };

static const char *const METHOD_NAMES[METHODS] = {"boblrbf", "classical", "paper"};
static const double HIGHEST_RATIO = 8;

/* What a figure varies. */
typedef struct lab_figure_kind {
    int number;
    const char *label; /* of the progress */
    bool power;        /* the values are powers in dBm, else relative error radii */
    double values[VALUES];
    const char *varied;                 /* in sentences */
    const char *column;                 /* in the table */
    const char *key;                    /* in the data */
    const char *before, *after, *title; /* around a value, and above, in the picture */
    int rate_sign;                      /* +1: the rate must rise with the value, -1: fall */
    const char *bound_trend;
} lab_figure_kind;

static const lab_figure_kind KINDS[] = {
    {3,
     "figure 3",
     false,
     {0, 0.05, 0.1, 0.2},
     "error radius",
     "eps_rel",
     "eps_rel",
     "{/Symbol e}_{rel} = ",
     "",
     "Error radius at 40 dBm",
     -1,
     "does not depend on the error radius"},
    {4,
     "figure 4",
     true,
     {30, 35, 40, 45},
     "power",
     "dBm",
     "power_dbm",
     "",
     " dBm",
     "Power at {/Symbol e}_{rel} = 0.1",
     1,
     "falls with the power in every scene"},
};

static const lab_figure_kind *kind_of(int figure)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (KINDS[i].number == figure) {
            return &KINDS[i];
        }
    }
    return NULL;
}

struct lab_figure {
    lab_figure_options options;
    const lab_figure_kind *kind;
    double *rate;     /* [VALUES][METHODS][LEVELS][scenes], bit/s/Hz */
    double *crlb_min; /* [VALUES][scenes], m^2 */
    lab_progress progress;
};

/* CRLB/CRLB_min, finer near 1 where the curves are steep: 1.02 ... 8. */
static double level_ratio(int level)
{
    return pow(HIGHEST_RATIO, pow((level + 1.0) / LEVELS, 1.5));
}

static double *rates(const lab_figure *self, int value, int method, int level)
{
    return self->rate +
           (size_t)((value * METHODS + method) * LEVELS + level) * (size_t)self->options.scenes;
}

static int scenes_of(const lab_figure *self, int method)
{
    return method == PAPER ? self->options.paper_scenes : self->options.scenes;
}

lab_figure_options lab_figure_options_default(void)
{
    return (lab_figure_options){.figure = 3,
                                .scenes = 20,
                                .points = 33,
                                .paper_scenes = 20,
                                .paper_points = 16,
                                .threads = 1,
                                .first_seed = 1};
}

/* Appends the exact numbers of a run (the runner's are those of the evaluator). */
static int collect(const lab_run *run, lab_front_point *points, int count)
{
    for (int k = 0; k < run->solution->count; k++) {
        const lab_entry *e = &run->solution->entries[k];
        points[count++] =
            (lab_front_point){e->wsr_worst_case_bps_hz, isnan(e->crlb_m2) ? INFINITY : e->crlb_m2};
    }
    return count;
}

/* A front of the default solver spends its points where they gain hypervolume (f1 < 1); the lowest
 * levels lie beyond, towards the sensing end, where the other methods' evenly spaced trade-offs
 * have points. */
static const double END_TRADEOFFS[] = {0.97, 0.98, 0.985, 0.99, 0.9925, 0.995, 1};
enum { END_COUNT = sizeof END_TRADEOFFS / sizeof END_TRADEOFFS[0] };

static beam_code run_method(lab_figure *self, const lab_scene *scene, int value, int method,
                            int index, beam_ideal *ideal, beam_error *err)
{
    static const beam_method methods[METHODS] = {BEAM_METHOD_BOBLRBF, BEAM_METHOD_CLASSICAL,
                                                 BEAM_METHOD_PAPER};
    lab_run_options options = lab_run_options_default();
    options.method = methods[method];
    options.ideal = method == DEFAULT ? NULL : ideal;
    options.seed = self->options.first_seed + (uint64_t)index;
    const int most = method == PAPER ? self->options.paper_points : self->options.points;
    lab_front_point *points = calloc((size_t)(most + END_COUNT), sizeof *points);
    if (!points) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    int count = 0;
    lab_run run;
    beam_code code = lab_run_front(&run, scene, &options, most, err);
    if (!code) {
        *ideal = run.ideal;
        count = collect(&run, points, count);
        lab_run_clear(&run);
    }
    if (!code && method == DEFAULT) {
        options.ideal = ideal;
        code = lab_run_solve(&run, scene, &options, END_COUNT, END_TRADEOFFS, err);
        if (!code) {
            count = collect(&run, points, count);
            lab_run_clear(&run);
        }
    }
    if (!code) {
        count = lab_front_prune(points, count);
        for (int level = 0; level < LEVELS; level++) {
            rates(self, value, method, level)[index] =
                lab_front_rate_at(points, count, ideal->crlb_min_m2 * level_ratio(level));
        }
    }
    free(points);
    return code;
}

/* One scene at one value, all methods: they share the ideal values. */
static beam_code run_task(void *arg, int worker, int task, beam_error *err)
{
    (void)worker;
    lab_figure *self = arg;
    const int value = task % VALUES, index = task / VALUES;
    lab_generate_options generate = lab_generate_options_default();
    generate.seed = self->options.first_seed + (uint64_t)index;
    *(self->kind->power ? &generate.power_dbm : &generate.error_relative) =
        self->kind->values[value]; /* the other one stays at its default: 40 dBm, 0.1 */
    lab_scene *scene = lab_generate_scene(&generate, err);
    if (!scene) {
        return err->code;
    }
    beam_code code = BEAM_OK;
    beam_ideal ideal;
    for (int method = 0; !code && method < METHODS; method++) {
        if (index < scenes_of(self, method)) {
            code = run_method(self, scene, value, method, index, &ideal, err);
        }
    }
    self->crlb_min[value * self->options.scenes + index] = code ? NAN : ideal.crlb_min_m2;
    lab_scene_destroy(&scene);
    lab_progress_step(&self->progress);
    return code;
}

lab_figure *lab_figure_compute(const lab_figure_options *options, beam_error *err)
{
    const lab_figure_kind *kind = kind_of(options->figure);
    if (!kind) {
        beam_fail(err, BEAM_E_INVALID, "figure", "%d is not drawn here", options->figure);
        return NULL;
    }
    lab_figure *self = calloc(1, sizeof *self);
    const size_t scenes = (size_t)options->scenes;
    if (self) {
        self->options = *options;
        self->kind = kind;
        self->rate = calloc(VALUES * METHODS * LEVELS * scenes, sizeof(double));
        self->crlb_min = calloc(VALUES * scenes, sizeof(double));
    }
    if (!self || !self->rate || !self->crlb_min) {
        lab_figure_destroy(&self);
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        return NULL;
    }
    lab_progress_start(&self->progress, kind->label, VALUES * options->scenes);
    const beam_code code =
        lab_parallel_run(options->threads, VALUES * options->scenes, run_task, self, err);
    lab_progress_end(&self->progress);
    if (code) {
        lab_figure_destroy(&self);
    }
    return self;
}

void lab_figure_destroy(lab_figure **self)
{
    if (*self) {
        free((*self)->rate);
        free((*self)->crlb_min);
        free(*self);
        *self = NULL;
    }
}

typedef struct lab_spread {
    double mean, first, median, third;
    int offered; /* scenes where the method has a design at the level */
} lab_spread;

static lab_spread spread_at(const lab_figure *self, int value, int method, int level)
{
    const int count = scenes_of(self, method);
    double *copy = malloc(((size_t)count + 1) * sizeof *copy);
    lab_spread out = {NAN, NAN, NAN, NAN, 0};
    if (!copy || count == 0) {
        free(copy);
        return out;
    }
    memcpy(copy, rates(self, value, method, level), (size_t)count * sizeof *copy);
    lab_sort(copy, count);
    for (int i = 0; i < count; i++) {
        out.offered += copy[i] > 0;
    }
    out.mean = lab_mean(copy, count);
    out.first = lab_quantile(copy, count, 0.25);
    out.median = lab_quantile(copy, count, 0.5);
    out.third = lab_quantile(copy, count, 0.75);
    free(copy);
    return out;
}

/* Geometric mean: levels are ratios. */
static double crlb_min_of(const lab_figure *self, int value)
{
    double sum = 0;
    for (int i = 0; i < self->options.scenes; i++) {
        sum += log(self->crlb_min[value * self->options.scenes + i]);
    }
    return exp(sum / self->options.scenes);
}

static double parameter(const lab_figure *self, int value)
{
    return self->kind->values[value];
}

/* sign +1: mean rate must rise with the value at every level; -1: fall. Counts level pairs that do,
 * and scene pairs. */
static bool check_rate_trend(const lab_figure *self, int method, int sign)
{
    int held = 0, total = 0, scene_held = 0, scene_total = 0;
    const int count = scenes_of(self, method);
    for (int value = 1; value < VALUES; value++) {
        for (int level = 0; level < LEVELS; level++) {
            const double *now = rates(self, value, method, level);
            const double *before = rates(self, value - 1, method, level);
            total++;
            held += sign * (lab_mean(now, count) - lab_mean(before, count)) > 0;
            for (int i = 0; i < count; i++) {
                scene_total++;
                scene_held += sign * (now[i] - before[i]) > 0;
            }
        }
    }
    printf("  %-10s mean rate %s with the %s: %d of %d steps; scene by scene %.1f %% of %d\n",
           METHOD_NAMES[method], sign > 0 ? "rises" : "falls", self->kind->varied, held, total,
           100.0 * scene_held / (scene_total ? scene_total : 1), scene_total);
    return held == total;
}

/* CRLB_min: constant over the radius, falling with the power, for every scene. */
static bool check_bound_trend(const lab_figure *self)
{
    const int scenes = self->options.scenes;
    bool holds = true;
    for (int i = 0; i < scenes; i++) {
        for (int value = 1; value < VALUES; value++) {
            const double ratio =
                self->crlb_min[value * scenes + i] / self->crlb_min[(value - 1) * scenes + i];
            holds &= self->kind->power ? ratio < 1 : fabs(ratio - 1) < 1e-6;
        }
    }
    printf("  CRLB_min %s: %s\n", self->kind->bound_trend, holds ? "yes" : "NO");
    return holds;
}

bool lab_figure_report(const lab_figure *self)
{
    static const int shown[] = {1, 6, 11, 16, 20};
    printf("figure %d: %d scenes, fronts of %d points (paper: %d scenes, %d points); mean "
           "worst-case WSR, bit/s/Hz\n",
           self->options.figure, self->options.scenes, self->options.points,
           self->options.paper_scenes, self->options.paper_points);
    printf("%10s %10s %10s |", self->kind->column, "CRLB_min", "method");
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        printf(" at %5.3fx", level_ratio(shown[i]));
    }
    puts("");
    for (int value = 0; value < VALUES; value++) {
        for (int method = 0; method < METHODS; method++) {
            if (scenes_of(self, method) == 0) {
                continue;
            }
            printf("%10g %10.4g %10s |", parameter(self, value), crlb_min_of(self, value),
                   METHOD_NAMES[method]);
            for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
                printf(" %9.3f", spread_at(self, value, method, shown[i]).mean);
            }
            puts("");
        }
    }
    puts("trends:");
    const int sign = self->kind->rate_sign;
    bool holds = check_bound_trend(self);
    for (int method = 0; method < METHODS; method++) {
        if (scenes_of(self, method) > 0) {
            const bool one = check_rate_trend(self, method, sign);
            holds &= one || method != DEFAULT;
        }
    }
    printf("  %s\n", holds ? "hold for the default solver" : "DO NOT HOLD for the default solver");
    return holds;
}

static void put_data(FILE *f, const lab_figure *self)
{
    fprintf(f,
            "# figure %d: worst-case weighted sum rate (bit/s/Hz) at fixed CRLB/CRLB_min\n"
            "# %d scenes from seed %llu, fronts of %d points, interpolated in log CRLB; a scene\n"
            "# where a method has no design at a level counts as 0 (offered: scenes that have)\n",
            self->options.figure, self->options.scenes,
            (unsigned long long)self->options.first_seed, self->options.points);
    for (int method = 0; method < METHODS; method++) {
        for (int value = 0; value < VALUES; value++) {
            fprintf(f,
                    "# method %s, %s %g, %d scenes\n"
                    "# ratio crlb_m2 mean quartile1 median quartile3 offered\n",
                    METHOD_NAMES[method], self->kind->key, parameter(self, value),
                    scenes_of(self, method));
            for (int level = 0; level < LEVELS; level++) {
                const lab_spread s = spread_at(self, value, method, level);
                fprintf(f, "%.6g %.6g %.6g %.6g %.6g %.6g %d\n", level_ratio(level),
                        level_ratio(level) * crlb_min_of(self, value), s.mean, s.first, s.median,
                        s.third, s.offered);
            }
            fputs("\n\n", f);
        }
    }
}

/* Blocks of figureN.dat: method * VALUES + value. Colour is the value, line the method. */
static void put_script(FILE *f, const lab_figure *self)
{
    static const char *const colors[VALUES] = {"#0072B2", "#009E73", "#E69F00", "#D55E00"};
    static const char *const lines[METHODS] = {"lt 1 lw 2.5", "lt 1 lw 1.5 dt '.'",
                                               "lt 1 lw 1.5 dt '-'"};
    const lab_figure_kind *kind = self->kind;
    const double low = fmin(crlb_min_of(self, 0), crlb_min_of(self, VALUES - 1));
    const double high = HIGHEST_RATIO * crlb_min_of(self, 0);
    const char *terminals[] = {"pngcairo", "svg"}, *endings[] = {"png", "svg"};
    for (int i = 0; i < 2; i++) {
        fprintf(f, "set terminal %s size 1000,650 enhanced font 'sans,12' background rgb 'white'\n",
                terminals[i]);
        fprintf(f, "set output 'figure%d.%s'\n", self->options.figure, endings[i]);
        lab_gnuplot_look(f);
        lab_gnuplot_log_axis(f, 'x', low, high);
        fprintf(f,
                "set xlabel 'CRLB of both target positions, m^2'\n"
                "set ylabel 'worst-case sum rate, bit/s/Hz'\nset yrange [0:*]\n"
                "set key outside right top\n"
                "set title '%s; mean of %d scenes, bands: quartiles'\n"
                "plot ",
                kind->title, self->options.scenes);
        for (int value = 0; value < VALUES; value++) {
            fprintf(f,
                    "%s'figure%d.dat' index %d using 2:4:6 with filledcurves fc rgb '%s' "
                    "fs transparent solid 0.12 notitle",
                    value ? ", " : "", self->options.figure, DEFAULT * VALUES + value,
                    colors[value]);
        }
        for (int method = 0; method < METHODS; method++) {
            for (int value = 0; scenes_of(self, method) > 0 && value < VALUES; value++) {
                fprintf(f,
                        ", 'figure%d.dat' index %d using 2:3 with lines %s lc rgb '%s' "
                        "title '%s, %s%g%s'",
                        self->options.figure, method * VALUES + value, lines[method], colors[value],
                        METHOD_NAMES[method], kind->before, parameter(self, value), kind->after);
            }
        }
        fputs("\n", f);
    }
}

static beam_code write_text(const lab_figure *self, const char *folder, const char *ending,
                            void (*put)(FILE *, const lab_figure *), beam_error *err)
{
    char path[4096];
    lab_output output;
    if (snprintf(path, sizeof path, "%s/figure%d.%s", folder, self->options.figure, ending) >=
        (int)sizeof path) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "path is too long");
    }
    const beam_code code = lab_output_open(&output, path, err);
    if (code) {
        return code;
    }
    put(output.file, self);
    return lab_output_commit(&output, err);
}

beam_code lab_figure_write(const lab_figure *self, const char *folder, beam_error *err)
{
    beam_code code = write_text(self, folder, "dat", put_data, err);
    if (!code) {
        code = write_text(self, folder, "gp", put_script, err);
    }
    if (code) {
        return code;
    }
    FILE *script = tmpfile();
    if (!script) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "no temporary file can be made");
    }
    put_script(script, self);
    code = lab_gnuplot_run(script, folder, err);
    fclose(script);
    return code;
}
