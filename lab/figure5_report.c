/* Figure 5 as numbers: times to a quality, and their ratios. */
#include <math.h>
#include <stdio.h>

#include "lab/bench.h"
#include "lab/figure5_internal.h"
#include "lab/statistics.h"

/* A quality that is waited for: a merit within `percent` of the reference's or, without one (NAN),
 * that at which mode paper ends in the same case. */
typedef struct level {
    const char *text;
    double percent;
} level;
static const level LEVELS[] = {
    {"within 5 % of the reference merit", 5},
    {"within 1 % of the reference merit", 1},
    {"as good as mode paper ever gets", NAN},
};
enum { LEVEL_COUNT = sizeof LEVELS / sizeof LEVELS[0] };

/* Of values of which some are INFINITY (never): nearest rank, no arithmetic between them. */
static double rank(const double *sorted, int count, double q)
{
    const int at = (int)ceil(q * count) - 1;
    return count > 0 ? sorted[at > 0 ? at : 0] : NAN;
}

static const lab_sample *sample_at(const lab_figure5_set *set, int contender, int index, int b)
{
    const lab_series *series = &set->series[contender];
    return &series->samples[index * series->count + b];
}

static const lab_sample *last_sample(const lab_figure5_set *set, int contender, int index)
{
    return sample_at(set, contender, index, set->series[contender].count - 1);
}

/* Rounding of the evaluator between two routes to the same design. */
static const double merit_rounding = 1e-9;

static double bound_of(const lab_figure5_set *set, const level *l, int index)
{
    if (isnan(l->percent)) {
        return last_sample(set, LAB_CONTENDER_PAPER, index)->quality.merit + merit_rounding;
    }
    const lab_quality_point *reference = &set->reference[index];
    return reference->merit + 0.01 * l->percent * lab_figure5_scale(reference);
}

/* Time per solution of the least budget that is good enough; INFINITY: none is. */
static double time_to(const lab_figure5_set *set, const level *l, int contender, int index)
{
    const double bound = bound_of(set, l, index);
    for (int b = 0; b < set->series[contender].count; b++) {
        const lab_sample *s = sample_at(set, contender, index, b);
        if (s->quality.merit <= bound) {
            return s->us;
        }
    }
    return INFINITY;
}

typedef struct spread {
    int reached;
    double first, median, third;
} spread;

static spread spread_of(double *values, int count)
{
    spread s = {.reached = 0};
    for (int i = 0; i < count; i++) {
        s.reached += isfinite(values[i]);
    }
    lab_sort(values, count);
    s.first = rank(values, count, 0.25);
    s.median = rank(values, count, 0.5);
    s.third = rank(values, count, 0.75);
    return s;
}

static const char *shown(double value, char *to, size_t size)
{
    if (isfinite(value)) {
        snprintf(to, size, value < 1000 ? "%.4g" : "%.0f", value);
    } else {
        snprintf(to, size, "never");
    }
    return to;
}

/* How many times as long as the fastest complete answer it takes, case by case. */
static int paired(const lab_figure5_set *set, const level *l, int contender, double *scratch)
{
    int count = 0;
    for (int i = 0; i < set->cases; i++) {
        const double own = time_to(set, l, contender, i);
        const double base = time_to(set, l, LAB_CONTENDER_REFINED, i);
        if (isfinite(own) && isfinite(base)) {
            scratch[count++] = own / base;
        }
    }
    lab_sort(scratch, count);
    return count;
}

static void put_times(const lab_figure5_set *set, const level *l, double *scratch, double *median)
{
    printf("  %-36s %10s %10s %10s   %s\n", l->text, "median us", "quartile", "quartile",
           "over refined, case by case");
    for (int c = 0; c < LAB_CONTENDERS; c++) {
        median[c] = NAN;
        if (set->series[c].count == 0) {
            continue;
        }
        for (int i = 0; i < set->cases; i++) {
            scratch[i] = time_to(set, l, c, i);
        }
        const spread s = spread_of(scratch, set->cases);
        char a[32], b[32], d[32], reached[32];
        median[c] = s.median;
        snprintf(reached, sizeof reached, "%d of %d", s.reached, set->cases);
        printf("    %-12s %21s %10s %10s %10s", lab_contender_name((lab_contender)c), reached,
               shown(s.median, a, sizeof a), shown(s.first, b, sizeof b),
               shown(s.third, d, sizeof d));
        const int pairs = paired(set, l, c, scratch);
        if (pairs > 0) {
            printf("   %8.3g (%d)", rank(scratch, pairs, 0.5), pairs);
        }
        puts("");
    }
}

/* Row over column. */
static void put_ratios(const lab_figure5_set *set, const double *median)
{
    printf("    %-19s", "row over column");
    for (int c = 0; c < LAB_CONTENDERS; c++) {
        if (set->series[c].count > 0) {
            printf(" %11s", lab_contender_name((lab_contender)c));
        }
    }
    puts("");
    for (int row = 0; row < LAB_CONTENDERS; row++) {
        if (set->series[row].count == 0) {
            continue;
        }
        printf("    %-19s", lab_contender_name((lab_contender)row));
        for (int c = 0; c < LAB_CONTENDERS; c++) {
            char text[32] = "-";
            if (isfinite(median[row]) && isfinite(median[c])) {
                snprintf(text, sizeof text, "%.3g", median[row] / median[c]);
            } else if (isfinite(median[c])) {
                snprintf(text, sizeof text, "never");
            }
            if (set->series[c].count > 0) {
                printf(" %11s", text);
            }
        }
        puts("");
    }
}

/* Where every contender ends. */
static void put_ends(const lab_figure5_set *set, double *scratch)
{
    printf("  %-36s %10s %10s %10s   %s\n", "merit at the largest budget", "% above", "quartile",
           "quartile", "median us; budget");
    for (int c = 0; c < LAB_CONTENDERS; c++) {
        const lab_series *series = &set->series[c];
        if (series->count == 0) {
            continue;
        }
        for (int i = 0; i < set->cases; i++) {
            const lab_quality_point *reference = &set->reference[i];
            scratch[i] = 100 * (last_sample(set, c, i)->quality.merit - reference->merit) /
                         lab_figure5_scale(reference);
        }
        const spread gap = spread_of(scratch, set->cases);
        for (int i = 0; i < set->cases; i++) {
            scratch[i] = last_sample(set, c, i)->us;
        }
        char a[32], b[32], d[32], us[32];
        printf("    %-34s %10s %10s %10s   %s; %d %s\n", lab_contender_name((lab_contender)c),
               shown(gap.median, a, sizeof a), shown(gap.first, b, sizeof b),
               shown(gap.third, d, sizeof d),
               shown(spread_of(scratch, set->cases).median, us, sizeof us),
               series->budgets[series->count - 1], lab_contender_budget((lab_contender)c));
    }
}

static void put_set(const lab_figure5 *self, lab_setting setting, double *scratch)
{
    const lab_figure5_set *set = &self->sets[setting];
    if (setting == LAB_ALONE) {
        printf("\none scene alone: %d scenes, trade-offs", self->options.scenes);
        for (int k = 0; k < set->points; k++) {
            printf(" %g", set->tradeoffs[k]);
        }
        puts("");
    } else {
        printf("\nbatch: %d scenes, %d preferences each, together; time per solution\n",
               self->options.scenes, set->points);
    }
    put_ends(set, scratch);
    for (int i = 0; i < LEVEL_COUNT; i++) {
        double median[LAB_CONTENDERS];
        put_times(set, &LEVELS[i], scratch, median);
        put_ratios(set, median);
    }
}

static void put_model(const lab_model *model, const char *option)
{
    if (!model) {
        printf("%s: NOT GIVEN, this network is missing from the figure (--%s FILE)\n", option,
               option);
        return;
    }
    const beam_model_info *info = beam_model_info_of(model->model);
    printf("%s: model %s (%s), %d layers, width %d, %zu parameters, SHA-256 %.16s...\n", option,
           info->name, model->source, info->layers, info->width, info->parameters, info->checksum);
}

static void put_head(const lab_figure5 *self, double *scratch)
{
    const lab_figure5_options *o = &self->options;
    const lab_figure5_set *alone = &self->sets[LAB_ALONE];
    char machine[256];
    lab_bench_machine(machine, sizeof machine);
    printf("%s\n%s, %s time\n", o->command, machine, o->cpu_clock ? "processor" : "wall");
    put_model(o->network, "model");
    put_model(o->mlp, "mlp");
    if (self->golden > 0) {
        printf(
            "%d golden scenes first, with the oracle's ends; their reference includes its front\n",
            self->golden);
    }
    if (isnan(o->error_relative)) {
        printf("%d scenes of the paper's size, eps_rel 0.05 to 0.2, seed %llu\n",
               o->scenes - self->golden, (unsigned long long)o->seed);
    } else {
        printf("%d scenes of the paper's size, eps_rel %g, seed %llu\n", o->scenes - self->golden,
               o->error_relative, (unsigned long long)o->seed);
    }
    for (int i = 0; i < alone->cases; i++) {
        scratch[i] = alone->reference[i].merit;
    }
    const spread merit = spread_of(scratch, alone->cases);
    printf("in the clock: reading the channels, the solve, the exact numbers of the answer; the "
           "shortest of %d runs per budget\n"
           "reference merit: the best known, median %.3g (quartiles %.3g, %.3g); within p %%: at "
           "most p/100 max(it, %g) above it\n",
           o->repeats, merit.median, merit.first, merit.third,
           lab_figure5_scale(&(lab_quality_point){0, 0, 0}));
}

static void put_number(FILE *f, const char *name, double value)
{
    fprintf(f, isfinite(value) ? ",\"%s\":%.6g" : ",\"%s\":null", name, value);
}

static void put_line(const lab_figure5 *self, FILE *f, lab_setting setting, const level *l, int c)
{
    const lab_figure5_set *set = &self->sets[setting];
    double *us = self->scratch;
    int reached = 0;
    for (int i = 0; i < set->cases; i++) {
        us[i] = time_to(set, l, c, i);
        reached += isfinite(us[i]);
    }
    lab_sort(us, set->cases);
    fprintf(
        f,
        "{\"stage\":\"merit\",\"setting\":\"%s\",\"method\":\"%s\",\"goal\":\"%s\",\"cases\":%d,"
        "\"reached\":%d",
        setting == LAB_ALONE ? "alone" : "batch", lab_contender_name((lab_contender)c), l->text,
        set->cases, reached);
    put_number(f, "median_us", rank(us, set->cases, 0.5));
    put_number(f, "p90_us", rank(us, set->cases, 0.9));
    put_number(f, "p99_us", rank(us, set->cases, 0.99));
    put_number(f, "median_us_of_reached", rank(us, reached, 0.5));
    fputs("}\n", f);
}

void lab_figure5_write_lines(const lab_figure5 *self, FILE *file)
{
    for (int s = 0; s < LAB_SETTINGS; s++) {
        for (int i = 0; i < LEVEL_COUNT; i++) {
            for (int c = 0; c < LAB_CONTENDERS; c++) {
                if (self->sets[s].series[c].count > 0) {
                    put_line(self, file, (lab_setting)s, &LEVELS[i], c);
                }
            }
        }
    }
}

void lab_figure5_report(const lab_figure5 *self)
{
    put_head(self, self->scratch);
    for (int s = 0; s < LAB_SETTINGS; s++) {
        put_set(self, (lab_setting)s, self->scratch);
    }
}
