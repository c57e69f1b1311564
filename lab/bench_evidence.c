/* What the methods reach: golden scenes, mode paper's repairs, and designs under the worst
 * admissible error. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/bench.h"
#include "lab/front.h"
#include "lab/generate.h"
#include "lab/hypervolume.h"
#include "lab/progress.h"
#include "lab/runner.h"
#include "lab/statistics.h"

/* ---- hypervolume and time on scenes with a reference ---- */

static beam_code measure_front(const lab_scene *scene, const lab_reference *reference,
                               const lab_run_options *options, int points, double *ratio,
                               double *ms, beam_error *err)
{
    lab_run run;
    beam_code code = lab_run_front(&run, scene, options, points, err);
    if (code) {
        return code;
    }
    *ms = run.total_us * 1e-3;
    double(*pairs)[2] = calloc((size_t)points, sizeof *pairs);
    lab_hypervolume hv = {.ratio_same_count = NAN};
    if (!pairs) {
        code = beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    } else {
        for (int k = 0; k < points; k++) {
            const lab_entry *e = &run.solution->entries[k];
            pairs[k][0] = e->wsr_worst_case_bps_hz;
            pairs[k][1] = isnan(e->crlb_m2) ? INFINITY : e->crlb_m2;
        }
        code =
            lab_hypervolume_compute((const double(*)[2])pairs, points, reference, points, &hv, err);
    }
    *ratio = hv.ratio_same_count;
    free(pairs);
    lab_run_clear(&run);
    return code;
}

typedef beam_code lab_golden_visit(lab_bench *self, const char *name, const lab_scene *scene,
                                   const lab_reference *reference, beam_error *err);

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_reference(const struct dirent *entry)
{
    const char *at = strstr(entry->d_name, ".reference.json");
    return at && strcmp(at, ".reference.json") == 0;
}

static beam_code visit_one(lab_bench *self, const char *file, lab_golden_visit *visit,
                           beam_error *err)
{
    char name[128], path[4096];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(file, "."), file);
    snprintf(path, sizeof path, "%s/%s.json", self->golden, name);
    lab_scene *scene = lab_scene_read(path, err);
    snprintf(path, sizeof path, "%s/%s", self->golden, file);
    lab_reference *reference = scene ? lab_reference_read(path, err) : NULL;
    const beam_code code = reference ? visit(self, name, scene, reference, err) : err->code;
    lab_reference_destroy(&reference);
    lab_scene_destroy(&scene);
    return code;
}

static beam_code visit_golden(lab_bench *self, lab_golden_visit *visit, beam_error *err)
{
    struct dirent **entries;
    const int count = scandir(self->golden, &entries, is_reference, by_name);
    if (count <= 0) {
        return beam_fail(err, BEAM_E_INVALID, "golden", "%s holds no NAME.reference.json",
                         self->golden);
    }
    beam_code code = BEAM_OK;
    for (int i = 0; i < count; i++) {
        if (!code) {
            code = visit_one(self, entries[i]->d_name, visit, err);
        }
        free(entries[i]);
    }
    free(entries);
    return code;
}

typedef struct lab_front_measure {
    double median_ms;
    double ratio; /* hypervolume over that of as many reference points */
} lab_front_measure;

/* Measures, records and prints one line. `base`: times are also shown as multiples of its. */
static beam_code add_front(lab_bench *self, const char *section, const char *what,
                           const lab_scene *scene, const lab_reference *reference,
                           const lab_run_options *options, const lab_front_measure *base,
                           lab_front_measure *out, beam_error *err)
{
    enum { REPEATS = 5 };
    double ms[REPEATS];
    char name[96];
    int repeats = 0;
    const bool quiet = self->quiet;
    beam_code code = BEAM_OK;
    do { /* the shorter ones again, for the spread */
        code =
            measure_front(scene, reference, options, self->points, &out->ratio, &ms[repeats], err);
        repeats++;
    } while (!code && repeats < REPEATS && ms[0] < 1000);
    self->quiet = true;
    if (!code) {
        snprintf(name, sizeof name, "%s: front of %d points", what, self->points);
        code = lab_bench_add(self, section, name, "ms", ms, repeats, NAN, err);
    }
    const bool promised = options->method == BEAM_METHOD_BOBLRBF && self->points == 33;
    if (!code) {
        snprintf(name, sizeof name, "%s: hypervolume ratio_same_count", what);
        code = lab_bench_least(self, section, name, "1", out->ratio, promised ? 0.985 : NAN, err);
    }
    self->quiet = quiet;
    out->median_ms = lab_quantile(ms, repeats, 0.5);
    if (!code && !quiet) {
        printf("  %-30s %10.1f %10.1f %10.1f %9.2f %9.4f%s\n", what, out->median_ms,
               lab_quantile(ms, repeats, 0.1), lab_quantile(ms, repeats, 0.9),
               out->median_ms / (base ? base->median_ms : out->median_ms), out->ratio,
               !promised             ? ""
               : out->ratio >= 0.985 ? "  at least 0.985: met"
                                     : "  at least 0.985: MISSED");
        fflush(stdout);
    }
    return code;
}

static void print_head(const lab_bench *self, const char *title, const char *base)
{
    if (!self->quiet) {
        printf("\n%s; %d points, ends and ideal values included\n  %-30s %10s %10s %10s %9s %9s\n",
               title, self->points, "", "median ms", "p10", "p90", base, "hv ratio");
    }
}

static beam_code golden_scene(lab_bench *self, const char *name, const lab_scene *scene,
                              const lab_reference *reference, beam_error *err)
{
    static const beam_method methods[] = {BEAM_METHOD_BOBLRBF, BEAM_METHOD_PAPER,
                                          BEAM_METHOD_CLASSICAL};
    lab_front_measure measures[3];
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < 3; i++) {
        char what[96];
        lab_run_options options = lab_run_options_default();
        options.method = methods[i];
        snprintf(what, sizeof what, "%.60s %s", name, beam_method_text(methods[i]));
        code = add_front(self, "golden", what, scene, reference, &options, &measures[0],
                         &measures[i], err);
    }
    return code;
}

beam_code lab_bench_golden(lab_bench *self, beam_error *err)
{
    if (!self->golden) {
        return BEAM_OK;
    }
    print_head(self, "golden: fronts of scenes with a reference", "/ boblrbf");
    return visit_golden(self, golden_scene, err);
}

static beam_code repairs_scene(lab_bench *self, const char *name, const lab_scene *scene,
                               const lab_reference *reference, beam_error *err)
{
    if (strcmp(name, "paper_eps010") != 0) {
        return BEAM_OK;
    }
    lab_run_options options = lab_run_options_default();
    lab_front_measure base, measure;
    beam_code code =
        add_front(self, "repairs", "boblrbf", scene, reference, &options, NULL, &base, err);
    options.method = BEAM_METHOD_PAPER;
    if (!code) {
        code = add_front(self, "repairs", "paper, all repairs", scene, reference, &options, &base,
                         &measure, err);
    }
    options.paper.repairs = 0;
    if (!code) {
        code = add_front(self, "repairs", "paper, no repairs", scene, reference, &options, &base,
                         &measure, err);
    }
    for (unsigned bit = 1; !code && bit < BEAM_REPAIR_ALL; bit <<= 1) {
        char what[64];
        options.paper.repairs = BEAM_REPAIR_ALL & ~bit;
        snprintf(what, sizeof what, "paper, all but %s", beam_repair_name((beam_repair)bit));
        code = add_front(self, "repairs", what, scene, reference, &options, &base, &measure, err);
    }
    return code;
}

beam_code lab_bench_repairs(lab_bench *self, beam_error *err)
{
    if (!self->golden) {
        return BEAM_OK;
    }
    print_head(self, "repairs: mode paper on paper_eps010, repairs on and off", "/ boblrbf");
    return visit_golden(self, repairs_scene, err);
}

/* ---- nominal designs under the worst admissible error ---- */

static const struct lab_load {
    const char *name;
    int antennas, users; /* per station, three stations */
    double error_relative;
} LOADS[] = {
    {"paper's size, exact channels", 5, 1, 0},  {"paper's size", 5, 1, 0.1},
    {"overload, 6 users on N = 4", 4, 2, 0.1},  {"overload, 12 users on N = 4", 4, 4, 0.1},
    {"overload, 12 users on N = 4", 4, 4, 0.2},
};
enum { LOAD_COUNT = sizeof LOADS / sizeof LOADS[0] };

static const struct lab_contender {
    const char *name;
    beam_method method;
    beam_classical classical;
} CONTENDERS[] = {
    {"boblrbf", BEAM_METHOD_BOBLRBF, BEAM_CLASSICAL_RZF},
    {"paper", BEAM_METHOD_PAPER, BEAM_CLASSICAL_RZF},
    {"rzf", BEAM_METHOD_CLASSICAL, BEAM_CLASSICAL_RZF},
    {"wmmse", BEAM_METHOD_CLASSICAL, BEAM_CLASSICAL_WMMSE},
    {"zf", BEAM_METHOD_CLASSICAL, BEAM_CLASSICAL_ZF},
    {"mrt", BEAM_METHOD_CLASSICAL, BEAM_CLASSICAL_MRT},
};
enum { CONTENDER_COUNT = sizeof CONTENDERS / sizeof CONTENDERS[0], QUANTITIES = 4 };
enum { EVIDENCE_POINTS = 17 };

/* [0] and [1]: nominal and worst-case rate of the design with the highest worst-case rate; [2] and
 * [3]: worst-case rate at 1.5 and 1.1 times the least CRLB. */
static beam_code contend(const lab_scene *scene, const struct lab_contender *who, beam_ideal *ideal,
                         double *out, beam_error *err)
{
    lab_run_options options = lab_run_options_default();
    options.method = who->method;
    options.classical = who->classical;
    options.ideal = who->method == BEAM_METHOD_BOBLRBF ? NULL : ideal;
    lab_run run;
    beam_code code = lab_run_front(&run, scene, &options, EVIDENCE_POINTS, err);
    if (code) {
        return code;
    }
    lab_front_point points[EVIDENCE_POINTS];
    out[0] = out[1] = 0;
    for (int k = 0; k < EVIDENCE_POINTS; k++) {
        const lab_entry *e = &run.solution->entries[k];
        points[k] =
            (lab_front_point){e->wsr_worst_case_bps_hz, isnan(e->crlb_m2) ? INFINITY : e->crlb_m2};
        if (e->wsr_worst_case_bps_hz > out[1]) {
            out[0] = e->wsr_nominal_bps_hz;
            out[1] = e->wsr_worst_case_bps_hz;
        }
    }
    *ideal = run.ideal;
    const int kept = lab_front_prune(points, EVIDENCE_POINTS);
    out[2] = lab_front_rate_at(points, kept, 1.5 * ideal->crlb_min_m2);
    out[3] = lab_front_rate_at(points, kept, 1.1 * ideal->crlb_min_m2);
    lab_run_clear(&run);
    return code;
}

static beam_code record_load(lab_bench *self, const struct lab_load *load,
                             double mean[CONTENDER_COUNT][QUANTITIES], beam_error *err)
{
    static const char *const what[QUANTITIES] = {"nominal rate", "worst-case rate",
                                                 "worst-case rate at 1.5 CRLB_min",
                                                 "worst-case rate at 1.1 CRLB_min"};
    const bool quiet = self->quiet;
    if (!quiet) {
        printf("  %s, eps_rel %g\n    %-9s %22s %22s %22s %22s\n", load->name, load->error_relative,
               "", "nominal at rate end", "worst case, rate end", "at 1.5 CRLB_min",
               "at 1.1 CRLB_min");
    }
    beam_code code = BEAM_OK;
    for (int c = 0; c < CONTENDER_COUNT; c++) {
        if (!quiet) {
            printf("    %-9s", CONTENDERS[c].name);
        }
        for (int q = 0; q < QUANTITIES; q++) {
            char name[96];
            if (!quiet) {
                printf(" %12.3f (%5.1f %%)", mean[c][q], 100 * mean[c][q] / mean[0][q]);
            }
            snprintf(name, sizeof name, "%s, eps %g, %s: %s", load->name, load->error_relative,
                     CONTENDERS[c].name, what[q]);
            self->quiet = true;
            code = code ? code
                        : lab_bench_value(self, "evidence", name, "bit/s/Hz", mean[c][q], NAN, err);
            self->quiet = quiet;
        }
        if (!quiet) {
            puts("");
        }
    }
    fflush(stdout);
    return code;
}

static beam_code evidence_load(lab_bench *self, const struct lab_load *load, lab_progress *progress,
                               beam_error *err)
{
    double mean[CONTENDER_COUNT][QUANTITIES] = {{0}};
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < self->scenes; i++) {
        lab_generate_options options = lab_generate_options_default();
        options.seed = self->first_seed + (uint64_t)i;
        options.antennas = load->antennas;
        options.error_relative = load->error_relative;
        for (int l = 0; l < options.stations; l++) {
            options.users[l] = load->users;
        }
        lab_scene *scene = lab_generate_scene(&options, err);
        beam_ideal ideal;
        code = scene ? BEAM_OK : err->code;
        for (int c = 0; !code && c < CONTENDER_COUNT; c++) {
            double out[QUANTITIES];
            code = contend(scene, &CONTENDERS[c], &ideal, out, err);
            for (int q = 0; !code && q < QUANTITIES; q++) {
                mean[c][q] += out[q] / self->scenes;
            }
        }
        lab_scene_destroy(&scene);
        lab_progress_step(progress);
    }
    lab_progress_end(progress);
    return code ? code : record_load(self, load, mean, err);
}

beam_code lab_bench_evidence(lab_bench *self, beam_error *err)
{
    if (!self->quiet) {
        printf("\nevidence: mean of %d scenes, bit/s/Hz (share of boblrbf); every method with its "
               "best split of power\nbetween beams and least-CRLB sensing; %d trade-offs each\n",
               self->scenes, EVIDENCE_POINTS);
    }
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < LOAD_COUNT; i++) {
        lab_progress progress;
        lab_progress_start(&progress, "evidence", self->scenes);
        code = evidence_load(self, &LOADS[i], &progress, err);
    }
    return code;
}
