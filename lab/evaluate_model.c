#include "lab/evaluate_model.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/evaluate_families.h"
#include "lab/evaluate_scene.h"
#include "lab/network_timing.h"
#include "lab/parallel.h"
#include "lab/progress.h"
#include "lab/statistics.h"

typedef struct family_job {
    const lab_model *model;
    const lab_evaluate_options *options;
    int family;
    lab_scene_score *scores; /* [scenes] */
    lab_progress progress;
} family_job;

static beam_code score_scene(void *arg, int worker, int task, beam_error *err)
{
    family_job *job = arg;
    const lab_evaluate_options *o = job->options;
    const lab_score_options score_options = {
        .points = o->points, .refine = o->refine, .reference_points = o->reference_points};
    (void)worker;
    lab_scene *scene = lab_evaluate_scene(job->family, o->seed, task, err);
    beam_code code = scene ? BEAM_OK : err->code;
    code = code ? code
                : lab_scene_evaluate(&job->scores[task], job->model, scene, &score_options, err);
    lab_scene_destroy(&scene);
    lab_progress_step(&job->progress);
    return code;
}

/* --- Numbers of a family ---------------------------------------------------------------------- */

typedef struct summary {
    double least, p5, median;
} summary;

typedef double score_field(const lab_scene_score *score, int k);

static double checked_of(const lab_scene_score *s, int k)
{
    (void)k;
    return s->checked;
}
static double bare_of(const lab_scene_score *s, int k)
{
    (void)k;
    return s->bare;
}
static double refined_of(const lab_scene_score *s, int k)
{
    (void)k;
    return s->refined;
}
static double gap_of(const lab_scene_score *s, int k)
{
    return s->gap[k];
}
static double bare_gap_of(const lab_scene_score *s, int k)
{
    return s->bare_gap[k];
}

static summary summarise(const family_job *job, double *scratch, score_field *field, int k)
{
    const int n = job->options->scenes;
    for (int i = 0; i < n; i++) {
        scratch[i] = field(&job->scores[i], k);
    }
    lab_sort(scratch, n);
    return (summary){scratch[0], lab_quantile(scratch, n, 0.05), lab_quantile(scratch, n, 0.5)};
}

/* Share of the answers at trade-off k that the check took from another candidate. */
static double replaced(const family_job *job, int k, beam_method by)
{
    int count = 0;
    for (int i = 0; i < job->options->scenes; i++) {
        count += job->scores[i].chosen[k] == by;
    }
    return (double)count / job->options->scenes;
}

/* Share of the scenes in which any answer was. */
static double scenes_replaced(const family_job *job)
{
    int count = 0;
    for (int i = 0; i < job->options->scenes; i++) {
        bool any = false;
        for (int k = 0; k < LAB_SCORE_TRADEOFFS; k++) {
            any = any || job->scores[i].chosen[k] != BEAM_METHOD_NETWORK;
        }
        count += any;
    }
    return (double)count / job->options->scenes;
}

/* --- Text and JSON ---------------------------------------------------------------------------- */

static json_t *put_summary(const char *label, summary s, bool json)
{
    if (!json) {
        printf("  %-28s %8.4f %8.4f %8.4f\n", label, s.least, s.p5, s.median);
        return NULL;
    }
    return json_pack("{s:f,s:f,s:f}", "least", s.least, "p5", s.p5, "median", s.median);
}

enum { SHOWN_EVERY = 4 };

static double json_safe(double value)
{
    return isfinite(value) ? value : -1;
}

static void put_tradeoffs(const family_job *job, double *scratch, json_t *to)
{
    json_t *list = json_array();
    if (!job->options->json) {
        printf("  %-9s %10s %14s %14s %14s\n", "trade-off", "replaced", "merit gap p50", "95th pct",
               "bare p50");
    }
    for (int k = 0; k < LAB_SCORE_TRADEOFFS; k++) {
        const double tradeoff = (double)k / (LAB_SCORE_TRADEOFFS - 1);
        const double share = replaced(job, k, BEAM_METHOD_CLASSICAL);
        const double bare = summarise(job, scratch, bare_gap_of, k).median;
        const double gap = summarise(job, scratch, gap_of, k).median;
        const double high = lab_quantile(scratch, job->options->scenes, 0.95);
        if (job->options->json) {
            json_array_append_new(list, json_pack("{s:f,s:f,s:f,s:f,s:f}", "tradeoff", tradeoff,
                                                  "replaced", share, "gap_median", json_safe(gap),
                                                  "gap_p95", json_safe(high), "bare_gap_median",
                                                  json_safe(bare)));
        } else if (k % SHOWN_EVERY == 0) {
            printf("  %-9.4f %9.1f%% %14.4f %14.4f %14.4f\n", tradeoff, 100 * share, gap, high,
                   bare);
        }
    }
    if (job->options->json) {
        json_object_set_new(to, "tradeoffs", list);
    } else {
        json_decref(list);
    }
}

static void put_family(const family_job *job, double *scratch, json_t *families)
{
    const bool json = job->options->json;
    const char *name = lab_evaluate_family_name(job->family);
    json_t *to = json ? json_object() : NULL;
    if (!json) {
        printf("%s: %d scenes, %d points; hypervolume over the reference's best %d points\n", name,
               job->options->scenes, job->options->points, job->options->points);
        printf("  %-28s %8s %8s %8s\n", "", "least", "5th pct", "median");
    }
    json_t *part = put_summary("network and check", summarise(job, scratch, checked_of, 0), json);
    if (json) {
        json_object_set_new(to, "checked", part);
    }
    part = put_summary("network alone", summarise(job, scratch, bare_of, 0), json);
    if (json) {
        json_object_set_new(to, "bare", part);
    }
    if (job->options->refine > 0) {
        char label[64];
        snprintf(label, sizeof label, "with %d refinement steps", job->options->refine);
        part = put_summary(label, summarise(job, scratch, refined_of, 0), json);
        if (json) {
            json_object_set_new(to, "refined", part);
        }
    }
    const double any = scenes_replaced(job);
    if (json) {
        json_object_set_new(to, "scenes_with_replacement", json_real(any));
    } else {
        printf("  scenes in which the check replaced an answer: %.1f%%\n", 100 * any);
    }
    put_tradeoffs(job, scratch, to);
    if (json) {
        json_object_set_new(families, name, to);
    }
}

/* --- Times ------------------------------------------------------------------------------------ */

static void put_time(const lab_network_timing *t, bool json, json_t *list)
{
    const double median = lab_quantile(t->total_us, t->rounds, 0.5);
    const double p90 = lab_quantile(t->total_us, t->rounds, 0.9);
    if (!json) {
        printf("  %4d %-5s %8.1f %8.1f | %6.1f", t->batch, t->warm ? "warm" : "cold", median, p90,
               t->load_us);
        for (int i = 0; i < BEAM_STAGE_COUNT; i++) {
            if (i != BEAM_STAGE_REFINE) {
                printf(" %11.1f", t->stage_us[i]);
            }
        }
        printf(" %7.1f%%\n", 100 * t->measured_classical);
        return;
    }
    json_t *row = json_pack("{s:i,s:b,s:f,s:f,s:f,s:f}", "batch", t->batch, "warm", t->warm,
                            "median_us", median, "p90_us", p90, "load_us", t->load_us,
                            "classical_searched", t->measured_classical);
    for (int i = 0; i < BEAM_STAGE_COUNT; i++) {
        json_object_set_new(row, lab_stage_text((beam_stage)i), json_real(t->stage_us[i]));
    }
    json_array_append_new(list, row);
}

static beam_code put_times(const lab_model *model, const lab_evaluate_options *o, json_t *to,
                           beam_error *err)
{
    static const int batches[] = {1, 8, 64, 256};
    json_t *list = json_array();
    beam_code code = BEAM_OK;
    if (!o->json) {
        printf("us per answer on one core, paper's size, new CSI for each\n  %4s %-5s %8s %8s | "
               "%6s",
               "size", "start", "median", "p90", "load");
        for (int i = 0; i < BEAM_STAGE_COUNT; i++) {
            if (i != BEAM_STAGE_REFINE) {
                printf(" %11s", lab_stage_text((beam_stage)i));
            }
        }
        printf(" %8s\n", "searched");
    }
    for (int i = 0; !code && i < 8; i++) {
        const int batch = batches[i / 2], rounds = 20 + 2000 / batch;
        lab_network_timing timing;
        code = lab_network_time(&timing, model, 0, o->seed, batch, rounds, i % 2 == 1, err);
        if (!code) {
            put_time(&timing, o->json, list);
            lab_network_timing_clear(&timing);
        }
    }
    if (o->json) {
        json_object_set_new(to, "times", list);
    } else {
        json_decref(list);
    }
    return code;
}

/* --- All of it -------------------------------------------------------------------------------- */

static beam_code run_family(const lab_model *model, const lab_evaluate_options *o, int family,
                            json_t *families, beam_error *err)
{
    const size_t n = (size_t)o->scenes;
    family_job job = {
        .model = model, .options = o, .family = family, .scores = calloc(n, sizeof *job.scores)};
    double *scratch = calloc(n, sizeof *scratch);
    beam_code code = BEAM_OK;
    if (!job.scores || !scratch) {
        code = beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    if (!code) {
        lab_progress_start(&job.progress, lab_evaluate_family_name(family), o->scenes);
        code = lab_parallel_run(o->threads, o->scenes, score_scene, &job, err);
        lab_progress_end(&job.progress);
    }
    if (!code) {
        put_family(&job, scratch, families);
    }
    free(job.scores);
    free(scratch);
    return code;
}

static void put_head(const lab_model *model, const lab_evaluate_options *o, json_t *to)
{
    const beam_model_info *info = beam_model_info_of(model->model);
    if (o->json) {
        json_object_set_new(to, "model",
                            json_pack("{s:s,s:s,s:i,s:i,s:I,s:s}", "name", info->name, "kind",
                                      beam_model_kind_text(info->kind), "layers", info->layers,
                                      "width", info->width, "parameters",
                                      (json_int_t)info->parameters, "sha256", info->checksum));
        json_object_set_new(to, "seed", json_integer((json_int_t)o->seed));
        json_object_set_new(to, "scenes", json_integer(o->scenes));
        json_object_set_new(to, "points", json_integer(o->points));
        json_object_set_new(to, "refine", json_integer(o->refine));
        json_object_set_new(to, "reference_points", json_integer(o->reference_points));
        return;
    }
    printf("model %s (%s): %s, %d layers, width %d, %zu parameters; seed %llu\n", info->name,
           model->source, beam_model_kind_text(info->kind), info->layers, info->width,
           info->parameters, (unsigned long long)o->seed);
}

beam_code lab_evaluate_model(const lab_model *model, const lab_evaluate_options *o, beam_error *err)
{
    json_t *all = json_object(), *families = json_object();
    const int first = o->family < 0 ? 0 : o->family;
    const int last = o->family < 0 ? lab_evaluate_family_count() - 1 : o->family;
    beam_code code = BEAM_OK;
    put_head(model, o, all);
    for (int family = first; !code && family <= last; family++) {
        code = run_family(model, o, family, families, err);
    }
    json_object_set_new(all, "families", families);
    if (!code && o->timing) {
        code = put_times(model, o, all, err);
    }
    if (!code && o->json) {
        json_dumpf(all, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(8));
        puts("");
    }
    json_decref(all);
    return code;
}
