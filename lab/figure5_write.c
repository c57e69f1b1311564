/* Figure 5 as files: every sample, medians for the picture, the picture. */
#include <math.h>
#include <stdio.h>

#include "lab/figure5_internal.h"
#include "lab/gnuplot.h"
#include "lab/output.h"
#include "lab/statistics.h"

static const char *const SETTING_NAMES[LAB_SETTINGS] = {"alone", "batch"};
static const double least_gap = 0.1, most_gap = 1000; /* percent, of the axis */

/* --- figure5.csv ------------------------------------------------------------------------------ */

static void put_case(FILE *f, const lab_figure5 *self, lab_setting setting, lab_contender c,
                     int index)
{
    const lab_figure5_set *set = &self->sets[setting];
    const lab_series *series = &set->series[c];
    const lab_figure5_place *place = &self->places[index / set->points];
    const lab_quality_point *r = &set->reference[index];
    for (int b = 0; b < series->count; b++) {
        const lab_sample *s = &series->samples[index * series->count + b];
        fprintf(f, "%s,%d,%.6g,%.6g,%s,%d,%.4f,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g\n",
                SETTING_NAMES[setting], index / set->points, place->error_relative,
                set->tradeoffs[index % set->points], lab_contender_name(c), series->budgets[b],
                s->us, s->quality.merit, s->quality.wsr_bps_hz, s->quality.crlb_m2, r->merit,
                r->wsr_bps_hz, r->crlb_m2, place->ideal.wsr_ideal_bps_hz, place->ideal.crlb_min_m2);
    }
}

static void put_csv(FILE *f, const lab_figure5 *self)
{
    fputs("setting,scene,eps_rel,tradeoff,method,budget,us_per_solution,merit,wsr_bps_hz,crlb_m2,"
          "reference_merit,reference_wsr_bps_hz,reference_crlb_m2,wsr_ideal_bps_hz,crlb_min_m2\n",
          f);
    for (int s = 0; s < LAB_SETTINGS; s++) {
        for (int c = 0; c < LAB_CONTENDERS; c++) {
            for (int i = 0; self->sets[s].series[c].count > 0 && i < self->sets[s].cases; i++) {
                put_case(f, self, (lab_setting)s, (lab_contender)c, i);
            }
        }
    }
}

/* --- figure5.dat ------------------------------------------------------------------------------ */

typedef double quantity(const lab_sample *s, const lab_quality_point *reference);

static double time_of(const lab_sample *s, const lab_quality_point *reference)
{
    (void)reference;
    return s->us;
}
static double gap_of(const lab_sample *s, const lab_quality_point *reference)
{
    return fmax(100 * (s->quality.merit - reference->merit) / lab_figure5_scale(reference),
                least_gap);
}
static double rate_of(const lab_sample *s, const lab_quality_point *reference)
{
    return 100 * s->quality.wsr_bps_hz / reference->wsr_bps_hz;
}
static double crlb_of(const lab_sample *s, const lab_quality_point *reference)
{
    return s->quality.crlb_m2 / reference->crlb_m2;
}

/* Quartile 1, median and quartile 3 over the cases at one budget; `scratch`: [cases]. Designs that
 * locate no target count as INFINITY, which gnuplot leaves out. */
static void put_spread(FILE *f, const lab_figure5_set *set, lab_contender c, int b, quantity *of,
                       double *scratch)
{
    const lab_series *series = &set->series[c];
    for (int i = 0; i < set->cases; i++) {
        const double v = of(&series->samples[i * series->count + b], &set->reference[i]);
        scratch[i] = isnan(v) ? INFINITY : v;
    }
    lab_sort(scratch, set->cases);
    for (int q = 1; q <= 3; q++) {
        const double v = scratch[(q * (set->cases - 1) + 2) / 4];
        fprintf(f, isfinite(v) ? " %.6g" : " nan", v);
    }
}

static void put_data(FILE *f, const lab_figure5 *self)
{
    static quantity *const quantities[] = {time_of, gap_of, rate_of, crlb_of};
    fprintf(f,
            "# figure 5: %s\n# %d scenes from seed %llu; per budget over the cases: quartile 1, "
            "median, quartile 3 of\n"
            "# us per solution, merit above the reference's (%%, at least %g), WSR over the "
            "reference's (%%), CRLB over the reference's\n",
            self->options.command, self->options.scenes, (unsigned long long)self->options.seed,
            least_gap);
    for (int s = 0; s < LAB_SETTINGS; s++) {
        const lab_figure5_set *set = &self->sets[s];
        for (int c = 0; c < LAB_CONTENDERS; c++) {
            const lab_series *series = &set->series[c];
            if (series->count == 0) {
                continue;
            }
            fprintf(f, "# %s, %s, %d cases; first column: %s\n", SETTING_NAMES[s],
                    lab_contender_name((lab_contender)c), set->cases,
                    lab_contender_budget((lab_contender)c));
            for (int b = 0; b < series->count; b++) {
                fprintf(f, "%d", series->budgets[b]);
                for (size_t k = 0; k < sizeof quantities / sizeof *quantities; k++) {
                    put_spread(f, set, (lab_contender)c, b, quantities[k], self->scratch);
                }
                fputs("\n", f);
            }
            fputs("\n\n", f);
        }
    }
}

/* --- figure5.gp ------------------------------------------------------------------------------- */

typedef struct panel {
    lab_setting setting;
    const char *title, *label;
    int column; /* of the median; the quartiles are its neighbours */
    bool log;
    double low, high;
} panel;

static const panel PANELS[] = {
    {LAB_ALONE, "One scene alone: merit", "above the reference, %", 6, true, least_gap, most_gap},
    {LAB_BATCH, "Batch: merit", "above the reference, %", 6, true, least_gap, most_gap},
    {LAB_ALONE, "One scene alone: worst-case rate", "of the reference, %", 9, false, 0, 130},
    {LAB_ALONE, "One scene alone: CRLB", "over the reference", 12, true, 0.5, 20},
};
enum { PANEL_COUNT = sizeof PANELS / sizeof PANELS[0] };

static const char *const COLORS[LAB_CONTENDERS] = {"#999999", "#CC79A7", "#D55E00",
                                                   "#E69F00", "#56B4E9", "#0072B2",
                                                   "#009E73", "#000000", "#666600"};

static void widen(const lab_figure5_set *set, double *low, double *high)
{
    for (int c = 0; c < LAB_CONTENDERS; c++) {
        for (int i = 0; i < set->cases * set->series[c].count; i++) {
            *low = fmin(*low, set->series[c].samples[i].us);
            *high = fmax(*high, set->series[c].samples[i].us);
        }
    }
}

/* Block of figure5.dat. */
static int block_of(const lab_figure5 *self, lab_setting setting, int contender)
{
    int block = 0;
    for (int s = 0; s <= (int)setting; s++) {
        for (int c = 0; c < (s == (int)setting ? contender : LAB_CONTENDERS); c++) {
            block += self->sets[s].series[c].count > 0;
        }
    }
    return block;
}

/* The one legend names the contenders of all panels. */
static void put_absent(FILE *f, const lab_figure5 *self, const panel *p, int c, int band)
{
    if (!p->log && !band && self->sets[LAB_BATCH].series[c].count > 0) {
        fprintf(f, ", \\\n  NaN with linespoints pt 7 ps 0.4 lw 2 lc rgb '%s' title '%s'",
                COLORS[c], lab_contender_title((lab_contender)c));
    }
}

static void put_panel(FILE *f, const lab_figure5 *self, const panel *p, double low, double high)
{
    const lab_figure5_set *set = &self->sets[p->setting];
    bool first = true;
    fputs("unset logscale y\nset ytics autofreq\nset format y '%g'\n", f);
    lab_gnuplot_log_axis(f, 'x', low, high);
    if (p->log) {
        lab_gnuplot_log_axis(f, 'y', p->low, p->high);
    } else {
        fprintf(f, "set yrange [%g:%g]\n", p->low, p->high);
    }
    fprintf(f, "set title '%s'\nset xlabel '{/Symbol m}s per solution'\nset ylabel '%s'\nplot ",
            p->title, p->label);
    for (int band = 1; band >= 0; band--) {
        for (int c = 0; c < LAB_CONTENDERS; c++) {
            const int block = block_of(self, p->setting, c);
            if (set->series[c].count == 0) {
                put_absent(f, self, p, c, band);
                continue;
            }
            fprintf(f, "%s'figure5.dat' index %d using 3:", first ? "" : ", \\\n  ", block);
            if (band) {
                fprintf(f, "%d:%d with filledcurves fc rgb '%s' fs transparent solid 0.12 notitle",
                        p->column - 1, p->column + 1, COLORS[c]);
            } else {
                fprintf(f, "%d with linespoints pt 7 ps 0.4 lw 2 lc rgb '%s' title '%s'", p->column,
                        COLORS[c], lab_contender_title((lab_contender)c));
            }
            first = false;
        }
    }
    fputs("\n", f);
}

static void put_script(FILE *f, const lab_figure5 *self)
{
    static const char *const terminals[] = {"pngcairo", "svg"}, *const endings[] = {"png", "svg"};
    double low = INFINITY, high = 0;
    widen(&self->sets[LAB_ALONE], &low, &high);
    widen(&self->sets[LAB_BATCH], &low, &high);
    for (int i = 0; i < 2; i++) {
        fprintf(f, "set terminal %s size 1200,900 enhanced font 'sans,12' background rgb 'white'\n",
                terminals[i]);
        fprintf(f, "set output 'figure5.%s'\n", endings[i]);
        lab_gnuplot_look(f);
        fprintf(f,
                "set multiplot layout 2,2 margins 0.07,0.98,0.08,0.9 spacing 0.08,0.14 title "
                "'Convergence on one core; %d scenes, lines: medians, bands: quartiles'\n",
                self->options.scenes);
        for (int p = 0; p < PANEL_COUNT; p++) {
            fputs(PANELS[p].log ? "unset key\n" : "set key right bottom samplen 2\n", f);
            put_panel(f, self, &PANELS[p], 0.8 * low, 1.25 * high);
        }
        fputs("unset multiplot\nset output\n", f);
    }
}

/* --- Writing ---------------------------------------------------------------------------------- */

static beam_code write_text(const lab_figure5 *self, const char *folder, const char *ending,
                            void (*put)(FILE *, const lab_figure5 *), beam_error *err)
{
    char path[4096];
    lab_output output;
    if (snprintf(path, sizeof path, "%s/figure5.%s", folder, ending) >= (int)sizeof path) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "path is too long");
    }
    const beam_code code = lab_output_open(&output, path, err);
    if (code) {
        return code;
    }
    put(output.file, self);
    return lab_output_commit(&output, err);
}

beam_code lab_figure5_write(const lab_figure5 *self, const char *folder, beam_error *err)
{
    beam_code code = write_text(self, folder, "csv", put_csv, err);
    code = code ? code : write_text(self, folder, "dat", put_data, err);
    code = code ? code : write_text(self, folder, "gp", put_script, err);
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
