/* Warm starts along 1 kHz tracks: quality against the layers that are run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/evaluate_model.h"
#include "lab/owned.h"
#include "lab/parallel.h"
#include "lab/progress.h"
#include "lab/random.h"
#include "lab/runner_network.h"
#include "lab/statistics.h"
#include "lab/track.h"

enum { GAP_EVERY = 10, TRADEOFFS = 3 }; /* every tenth frame is compared */
static const double tradeoffs[TRADEOFFS] = {0.25, 0.5, 0.75};
/* 30 and 100 km/h at 3.5 GHz: the channel turns by 0.6 and 2 rad per millisecond at most */
static const double speeds_m_per_s[] = {30 / 3.6, 100 / 3.6};
static const double target_speed_m_per_s = 10, frame_s = 1e-3;

typedef struct track_job {
    const lab_model *model;
    const lab_evaluate_options *options;
    double speed;
    int layers; /* of the model */
    int room;   /* compared frames of a track, all trade-offs */
    /* merit above the converged solver's: [tracks][cold 1..Y, warm 1..Y][published, the network's
     * own][room] */
    double *memory;
    int *replaced; /* [tracks][cold 1..Y, warm 1..Y] answers of another candidate */
    lab_progress progress;
} track_job;

typedef struct runner {
    lab_track *track;
    lab_scene *scene;
    lab_solver solver, converged;
    lab_inference inference;
    lab_design before, out;
    double best[TRADEOFFS][LAB_TRACK_FRAMES_MOST / GAP_EVERY]; /* converged merit */
} runner;

static double *samples_of(const track_job *job, int track, int kind, int which)
{
    const size_t kinds = 2u * (size_t)job->layers;
    return job->memory +
           (((size_t)track * kinds + (size_t)kind) * 2u + (size_t)which) * (size_t)job->room;
}

static beam_code runner_open(runner *r, const track_job *job, int index, beam_error *err)
{
    lab_generate_options options = lab_generate_options_default();
    lab_random random = lab_random_seed(job->options->seed ^ UINT64_C(0x6576616c747261));
    random = lab_random_seed(lab_random_bits(&random) + (uint64_t)index);
    options.seed = lab_random_bits(&random);
    options.error_relative = 0.05 + 0.15 * lab_random_uniform(&random);
    r->track = lab_track_create(&options, job->speed, target_speed_m_per_s, err);
    r->scene = r->track ? lab_track_scene(r->track, err) : NULL;
    if (!r->scene) {
        return err->code;
    }
    const beam_dims *dims = &r->scene->scene.dims;
    const int columns = beam_design_sensing_max(dims);
    beam_solver_options converge = beam_solver_options_default();
    converge.max_iterations = 20000;
    converge.tolerance = 1e-7;
    beam_code code = lab_solver_create(&r->solver, &r->scene->scene, err);
    code = code ? code : lab_solver_create(&r->converged, &r->scene->scene, err);
    code = code ? code : lab_inference_create(&r->inference, job->model->model, dims, 1, err);
    code = code ? code : lab_design_init(&r->before, dims, columns, err);
    code = code ? code : lab_design_init(&r->out, dims, columns, err);
    if (!code) {
        beam_solver_set_options(r->converged.solver, &converge);
    }
    return code;
}

static void runner_close(runner *r)
{
    lab_design_clear(&r->before);
    lab_design_clear(&r->out);
    lab_inference_clear(&r->inference);
    lab_solver_clear(&r->solver);
    lab_solver_clear(&r->converged);
    lab_scene_destroy(&r->scene);
    lab_track_destroy(&r->track);
}

/* Frame `frame` loaded, with the ideal values of the track's first frame, as a service that
 * refreshes them now and then has them. */
static beam_code load_frame(runner *r, int frame, const beam_ideal *ideal, lab_solver *solver,
                            beam_error *err)
{
    lab_track_at(r->track, frame * frame_s, &r->scene->scene);
    const beam_code code = beam_solver_load(solver->solver, &r->scene->scene, err);
    return code ? code : beam_solver_set_ideal(solver->solver, ideal, err);
}

/* The solver run to convergence from cold starts and along the track, at the compared frames. */
static beam_code converge(runner *r, const track_job *job, const beam_ideal *ideal, beam_error *err)
{
    beam_code code = BEAM_OK;
    for (int t = 0; !code && t < TRADEOFFS; t++) {
        for (int k = 0; !code && (k + 1) * GAP_EVERY < job->options->frames; k++) {
            beam_result cold, warm = {.merit = INFINITY};
            code = load_frame(r, (k + 1) * GAP_EVERY, ideal, &r->converged, err);
            code = code ? code
                        : beam_solver_solve(r->converged.solver, tradeoffs[t], NULL, &r->out.design,
                                            &cold, err);
            if (!code && k > 0) {
                code = beam_solver_solve(r->converged.solver, tradeoffs[t], &r->before.design,
                                         &r->out.design, &warm, err);
            }
            code = code ? code : beam_design_copy(&r->before.design, &r->out.design, err);
            r->best[t][k] = fmin(cold.merit, warm.merit);
        }
    }
    return code;
}

/* One chain: every frame from the last answer (warm) or from nothing. */
static beam_code follow(runner *r, track_job *job, int index, const beam_ideal *ideal, int layers,
                        bool warm, beam_error *err)
{
    const int kind = (warm ? job->layers : 0) + layers - 1;
    double *gap = samples_of(job, index, kind, 0), *bare = samples_of(job, index, kind, 1);
    const int step = warm ? 1 : GAP_EVERY;
    int count = 0;
    beam_code code = BEAM_OK;
    for (int t = 0; !code && t < TRADEOFFS; t++) {
        for (int frame = 0; !code && frame < job->options->frames; frame += step) {
            beam_result result;
            beam_inference_detail detail;
            const bool started = warm && frame > 0;
            const beam_network_request request = {.solver = r->solver.solver,
                                                  .tradeoff = tradeoffs[t],
                                                  .warm = started ? &r->before.design : NULL,
                                                  .layers = started || !warm ? layers : 0,
                                                  .out = &r->out.design,
                                                  .result = &result,
                                                  .detail = &detail};
            code = load_frame(r, frame, ideal, &r->solver, err);
            code = code ? code
                        : beam_inference_run(r->inference.inference, job->model->model, 1, &request,
                                             err);
            code = code ? code : beam_design_copy(&r->before.design, &r->out.design, err);
            if (!code && frame > 0 && frame % GAP_EVERY == 0) {
                const double best = r->best[t][frame / GAP_EVERY - 1];
                gap[count] = result.merit - best;
                bare[count++] = detail.network_merit - best;
                job->replaced[index * 2 * job->layers + kind] +=
                    detail.chosen != BEAM_METHOD_NETWORK;
            }
        }
    }
    return code;
}

static beam_code run_track(void *arg, int worker, int index, beam_error *err)
{
    track_job *job = arg;
    runner *r = calloc(1, sizeof *r);
    beam_ideal ideal;
    double ignored;
    (void)worker;
    if (!r) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    beam_code code = runner_open(r, job, index, err);
    code = code ? code : lab_run_ideal(&r->scene->scene, &ideal, &ignored, err);
    code = code ? code : converge(r, job, &ideal, err);
    for (int layers = 1; !code && layers <= job->layers; layers++) {
        code = follow(r, job, index, &ideal, layers, false, err);
        code = code ? code : follow(r, job, index, &ideal, layers, true, err);
    }
    runner_close(r);
    free(r);
    lab_progress_step(&job->progress);
    return code;
}

/* All tracks' samples of one kind, sorted. */
static int gather(const track_job *job, int kind, int which, double *to)
{
    int count = 0;
    for (int track = 0; track < job->options->scenes; track++) {
        const double *from = samples_of(job, track, kind, which);
        for (int i = 0; i < job->room; i++) {
            to[count++] = from[i];
        }
    }
    lab_sort(to, count);
    return count;
}

static void put_kind(const track_job *job, int kind, double *scratch)
{
    int replaced = 0;
    for (int track = 0; track < job->options->scenes; track++) {
        replaced += job->replaced[track * 2 * job->layers + kind];
    }
    int n = gather(job, kind, 1, scratch);
    const double bare = lab_quantile(scratch, n, 0.5);
    n = gather(job, kind, 0, scratch);
    printf(" | %9.4f %9.4f %9.4f %7.1f%%", bare, lab_quantile(scratch, n, 0.5),
           lab_quantile(scratch, n, 0.9), 100.0 * replaced / n);
}

static void put_table(const track_job *job, double *scratch)
{
    printf("tracks at %.1f km/h, targets %.0f km/h, %d of %d frames every millisecond; merit above "
           "the solver run to convergence\n%6s | %-40s | cold start\n%6s",
           3.6 * job->speed, 3.6 * target_speed_m_per_s, job->options->scenes, job->options->frames,
           "layers", "warm start from the last answer", "");
    for (int i = 0; i < 2; i++) {
        printf(" | %9s %9s %9s %8s", "bare p50", "p50", "p90", "replaced");
    }
    puts("");
    for (int layers = 1; layers <= job->layers; layers++) {
        printf("%6d", layers);
        put_kind(job, job->layers + layers - 1, scratch);
        put_kind(job, layers - 1, scratch);
        puts("");
    }
}

static beam_code run_speed(const lab_model *model, const lab_evaluate_options *o, double speed,
                           beam_error *err)
{
    const int layers = beam_model_info_of(model->model)->layers;
    track_job job = {.model = model,
                     .options = o,
                     .speed = speed,
                     .layers = layers,
                     .room = TRADEOFFS * ((o->frames - 1) / GAP_EVERY)};
    const size_t kinds = 2u * (size_t)layers * (size_t)o->scenes;
    job.memory = calloc(kinds * 2u * (size_t)job.room + 1, sizeof *job.memory);
    job.replaced = calloc(kinds, sizeof *job.replaced);
    double *scratch = calloc((size_t)o->scenes * (size_t)job.room + 1, sizeof *scratch);
    beam_code code = BEAM_OK;
    if (!job.memory || !job.replaced || !scratch) {
        code = beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    if (!code) {
        lab_progress_start(&job.progress, "tracks", o->scenes);
        code = lab_parallel_run(o->threads, o->scenes, run_track, &job, err);
        lab_progress_end(&job.progress);
    }
    if (!code) {
        put_table(&job, scratch);
    }
    free(job.memory);
    free(job.replaced);
    free(scratch);
    return code;
}

beam_code lab_evaluate_track(const lab_model *model, const lab_evaluate_options *o, beam_error *err)
{
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < 2; i++) {
        code = run_speed(model, o, speeds_m_per_s[i], err);
    }
    return code;
}
