#include "lab/runner_network.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/front.h"
#include "lab/owned.h"
#include "lab/parallel.h"
#include "lab/progress.h"

/* Requests per task: those of one block. Of a front: points of a scan, scans from other starts,
 * answers placed per point asked for, and rounds in which these go on from each other's; the best
 * of all are kept. */
enum { CHUNK = 8, SCAN = 33, MOST_STARTS = 14, SPARE = 2, EXCHANGES = 10 };

/* From how many places along the front an answer is taken in every round: a front that changes
 * its users somewhere is followed across the change from both sides. */
static const int exchange_from[EXCHANGES] = {0, -8, 8, -3, 3, -16, 16, -5, 5, 0};

/* Users whose classical beams are turned down to start from. */
typedef struct net_silence {
    bool user[BEAM_MAX_USERS];
} net_silence;

beam_code lab_inference_create(lab_inference *self, const beam_model *model, const beam_dims *dims,
                               int max_batch, beam_error *err)
{
    const beam_model_info *info = beam_model_info_of(model);
    const size_t size = beam_inference_memsize(info, dims, max_batch);
    *self = (lab_inference){.memory = NULL};
    if (size == 0) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "the model does not accept these sizes");
    }
    self->memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (!self->memory) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    const beam_code code =
        beam_inference_init(&self->inference, info, dims, max_batch, self->memory, size, err);
    if (code) {
        lab_inference_clear(self);
    }
    return code;
}

void lab_inference_clear(lab_inference *self)
{
    free(self->memory);
    *self = (lab_inference){.memory = NULL};
}

typedef struct net_worker {
    lab_solver solver;
    lab_inference inference;
    lab_design starts[CHUNK]; /* made when first needed */
    int64_t deadline_ns;
} net_worker;

typedef struct net_job {
    lab_run *run;
    const lab_scene *scene;
    const lab_run_options *options;
    const lab_model *model;
    net_worker *workers;
    int worker_count, count;
    double *tradeoffs;    /* [count] of the pass */
    lab_design *designs;  /* [count] */
    beam_result *results; /* [count] */
    double *us;           /* [count] */
    lab_progress progress;
} net_job;

static bool expired(void *arg)
{
    const net_worker *worker = arg;
    return worker->deadline_ns != 0 && lab_clock_ns() >= worker->deadline_ns;
}

static beam_code worker_create(net_worker *worker, const net_job *job, beam_error *err)
{
    const beam_scene *scene = &job->scene->scene;
    beam_solver_options options = beam_solver_options_default();
    options.expired = expired;
    options.expired_arg = worker;
    beam_code code = lab_solver_create(&worker->solver, scene, err);
    if (!code) {
        beam_solver_set_options(worker->solver.solver, &options);
        code =
            lab_inference_create(&worker->inference, job->model->model, &scene->dims, CHUNK, err);
    }
    /* the least-CRLB beams belong to geometry and budgets: not part of a point's time */
    return code ? code : beam_solver_compute_sensing_end(worker->solver.solver, err);
}

static beam_code workers_create(net_job *job, beam_error *err)
{
    job->workers = calloc((size_t)job->options->threads, sizeof *job->workers);
    if (!job->workers) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    beam_code code = BEAM_OK;
    for (; !code && job->worker_count < job->options->threads; job->worker_count++) {
        code = worker_create(&job->workers[job->worker_count], job, err);
    }
    return code;
}

static void pass_clear(net_job *job)
{
    for (int k = 0; job->designs && k < job->count; k++) {
        lab_design_clear(&job->designs[k]);
    }
    free(job->tradeoffs);
    free(job->designs);
    free(job->results);
    free(job->us);
    job->tradeoffs = job->us = NULL;
    job->designs = NULL;
    job->results = NULL;
    job->count = 0;
}

static void job_clear(net_job *job)
{
    pass_clear(job);
    for (int i = 0; job->workers && i < job->worker_count; i++) {
        for (int k = 0; k < CHUNK; k++) {
            lab_design_clear(&job->workers[i].starts[k]);
        }
        lab_solver_clear(&job->workers[i].solver);
        lab_inference_clear(&job->workers[i].inference);
    }
    free(job->workers);
}

/* Room for a pass of `count` more points after those there are. */
static beam_code pass_extend(net_job *job, int count, beam_error *err)
{
    const size_t all = (size_t)(job->count + count);
    double *tradeoffs = realloc(job->tradeoffs, all * sizeof *tradeoffs);
    job->tradeoffs = tradeoffs ? tradeoffs : job->tradeoffs;
    double *us = realloc(job->us, all * sizeof *us);
    job->us = us ? us : job->us;
    lab_design *designs = realloc(job->designs, all * sizeof *designs);
    job->designs = designs ? designs : job->designs;
    beam_result *results = realloc(job->results, all * sizeof *results);
    job->results = results ? results : job->results;
    if (!tradeoffs || !us || !designs || !results) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    const beam_dims *dims = &job->scene->scene.dims;
    for (int k = 0; k < count; k++) {
        const beam_code code =
            lab_design_init(&designs[job->count], dims, beam_design_sensing_max(dims), err);
        if (code) {
            return code;
        }
        job->count++;
    }
    return BEAM_OK;
}

typedef struct net_pass {
    net_job *job;
    int first;
    const int *warm; /* [count - first] answer to go on from; NULL: from the classical beams */
    const net_silence *silent; /* NULL: nobody */
} net_pass;

/* Classical beams with some users nearly silent. Which users deserve a beam is a choice with many
 * local optima; a start without some finds the fronts of those who serve the others. */
static beam_code silent_start(const net_pass *pass, net_worker *worker, int slot, double tradeoff,
                              const beam_design **start, beam_error *err)
{
    static const double quiet = 0.05, least_share = 0.05;
    const beam_dims *dims = &pass->job->scene->scene.dims;
    lab_design *design = &worker->starts[slot];
    beam_result ignored;
    beam_code code = BEAM_OK;
    if (!design->design.beams) {
        code = lab_design_init(design, dims, beam_design_sensing_max(dims), err);
    }
    code = code ? code
                : beam_solver_classical(worker->solver.solver, BEAM_CLASSICAL_RZF,
                                        BEAM_SENSING_LEAST_CRLB,
                                        fmin(fmax(tradeoff, least_share), 1 - least_share),
                                        &design->design, &ignored, err);
    for (int u = 0; !code && u < dims->users; u++) {
        beam_complex *w = design->design.beams + (size_t)u * (size_t)dims->antennas;
        for (int n = 0; pass->silent->user[u] && n < dims->antennas; n++) {
            w[n] = (beam_complex){quiet * w[n].re, quiet * w[n].im};
        }
    }
    *start = &design->design;
    return code;
}

static beam_code make_request(const net_pass *pass, net_worker *worker, int k, int slot,
                              beam_network_request *request, beam_error *err)
{
    net_job *job = pass->job;
    *request = (beam_network_request){.solver = worker->solver.solver,
                                      .tradeoff = job->tradeoffs[k],
                                      .refine = job->options->refine,
                                      .out = &job->designs[k].design,
                                      .result = &job->results[k]};
    if (pass->warm) { /* what it starts from was refined */
        request->warm = &job->designs[pass->warm[k - pass->first]].design;
        request->refine = 0;
    }
    if (!pass->silent) {
        return BEAM_OK;
    }
    request->layers = beam_model_info_of(job->model->model)->layers;
    return silent_start(pass, worker, slot, job->tradeoffs[k], &request->warm, err);
}

static beam_code run_chunk(void *arg, int worker_index, int task, beam_error *err)
{
    const net_pass *pass = arg;
    net_job *job = pass->job;
    net_worker *worker = &job->workers[worker_index];
    const lab_run_options *o = job->options;
    const int from = pass->first + task * CHUNK;
    const int n = job->count - from < CHUNK ? job->count - from : CHUNK;
    beam_network_request requests[CHUNK];
    const int64_t start = lab_clock_ns();
    for (int i = 0; i < n; i++) {
        const beam_code code = make_request(pass, worker, from + i, i, &requests[i], err);
        if (code) {
            return code;
        }
    }
    worker->deadline_ns = o->time_limit_us > 0 ? start + (int64_t)(n * o->time_limit_us * 1e3) : 0;
    const beam_code code =
        beam_inference_run(worker->inference.inference, job->model->model, n, requests, err);
    for (int i = 0; i < n; i++) {
        job->us[from + i] = (double)(lab_clock_ns() - start) * 1e-3 / n;
        if (o->progress) {
            lab_progress_step(&job->progress);
        }
    }
    return code;
}

/* Designs at the trade-offs from pass->first on. */
static beam_code run_pass(const net_pass *pass, beam_error *err)
{
    net_job *job = pass->job;
    net_pass arg = *pass;
    const int tasks = (job->count - pass->first + CHUNK - 1) / CHUNK;
    if (job->options->progress) {
        lab_progress_start(&job->progress, "network", job->count - pass->first);
    }
    const beam_code code = lab_parallel_run(job->worker_count, tasks, run_chunk, &arg, err);
    if (job->options->progress) {
        lab_progress_end(&job->progress);
    }
    return code;
}

static beam_code share_ideal(net_job *job, beam_error *err)
{
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < job->worker_count; i++) {
        code = beam_solver_set_ideal(job->workers[i].solver.solver, &job->run->ideal, err);
    }
    return code;
}

static beam_code set_ideal(net_job *job, beam_error *err)
{
    net_worker *first = &job->workers[0];
    beam_code code = BEAM_OK;
    if (job->options->ideal) {
        job->run->ideal = *job->options->ideal;
    } else {
        code = pass_extend(job, 1, err);
        code =
            code ? code
                 : beam_inference_compute_ideal(first->inference.inference, job->model->model,
                                                first->solver.solver, &job->designs[0].design, err);
        job->run->ideal = beam_solver_ideal(first->solver.solver);
        pass_clear(job);
    }
    return code ? code : share_ideal(job, err);
}

static void take_losses(const net_job *job, double (*losses)[2])
{
    for (int k = 0; k < job->count; k++) {
        losses[k][0] = job->results[k].f1;
        losses[k][1] = job->results[k].f2;
    }
}

/* The answer, for whatever trade-off, that is best at this one. */
static int best_at(const net_job *job, double tradeoff)
{
    const beam_preference u = beam_preference_from_tradeoff(tradeoff);
    double least = INFINITY;
    int best = 0;
    for (int k = 0; k < job->count; k++) {
        const beam_result *r = &job->results[k];
        const double merit = beam_merit(&job->run->ideal, u, r->f1, r->f2);
        if (merit < least) {
            least = merit;
            best = k;
        }
    }
    return best;
}

/* Evenly spaced trade-offs behind the answers there are. */
static beam_code scan(net_job *job, const net_silence *silent, beam_error *err)
{
    const net_pass pass = {.job = job, .first = job->count, .silent = silent};
    beam_code code = pass_extend(job, SCAN, err);
    for (int k = 0; !code && k < SCAN; k++) {
        job->tradeoffs[pass.first + k] = (double)k / (SCAN - 1);
    }
    return code ? code : run_pass(&pass, err);
}

/* Own channel over noise. */
static double own_gain(const beam_scene *s, int u)
{
    const size_t N = (size_t)s->dims.antennas, l = (size_t)s->user_station[u];
    const beam_complex *h = s->channel + (l * (size_t)s->dims.users + (size_t)u) * N;
    double sum = 0;
    for (size_t n = 0; n < N; n++) {
        sum += h[n].re * h[n].re + h[n].im * h[n].im;
    }
    return sum / s->user_noise_w[u];
}

/* All but the strongest user of every station. */
static void silence_all_but_best(const beam_scene *s, net_silence *out)
{
    for (int u = 0; u < s->dims.users; u++) {
        out->user[u] = false;
        for (int other = 0; other < s->dims.users; other++) {
            out->user[u] |= other != u && s->user_station[other] == s->user_station[u] &&
                            own_gain(s, other) > own_gain(s, u);
        }
    }
}

/* Whom to silence in further starts: every choice of three or fewer users; of more, one at a time,
 * the weakest first, and all but the strongest of every station. Returns how many choices. */
static int choose_silences(const beam_scene *s, net_silence *choices)
{
    const int U = s->dims.users;
    int count = 0, done[MOST_STARTS];
    memset(choices, 0, MOST_STARTS * sizeof *choices);
    if (U <= 3) {
        for (int mask = 1; mask < (1 << U) - 1; mask++, count++) {
            for (int u = 0; u < U; u++) {
                choices[count].user[u] = (mask >> u) & 1;
            }
        }
        return count;
    }
    while (count < U && count < MOST_STARTS - 1) {
        int weakest = -1;
        for (int u = 0; u < U; u++) {
            bool taken = false;
            for (int k = 0; k < count; k++) {
                taken |= done[k] == u;
            }
            if (!taken && (weakest < 0 || own_gain(s, u) < own_gain(s, weakest))) {
                weakest = u;
            }
        }
        done[count] = weakest;
        choices[count++].user[weakest] = true;
    }
    silence_all_but_best(s, &choices[count]);
    return count + 1;
}

/* A scan shows the front, along which twice as many points as asked for are then placed; scans with
 * some users nearly silent look for others. */
static beam_code scan_front(net_job *job, const net_silence *silences, int count, int points,
                            beam_error *err)
{
    double losses[SCAN][2];
    beam_code code = scan(job, NULL, err);
    for (int k = 0; !code && k < count; k++) {
        code = scan(job, &silences[k], err);
    }
    for (int k = 0; !code && k < SCAN; k++) {
        const beam_result *r = &job->results[best_at(job, job->tradeoffs[k])];
        losses[k][0] = r->f1;
        losses[k][1] = r->f2;
    }
    const net_pass placed = {.job = job, .first = job->count};
    code = code ? code : pass_extend(job, SPARE * points, err);
    if (!code) {
        beam_front_place(SCAN, losses, SPARE * points, job->tradeoffs + placed.first);
    }
    return code ? code : run_pass(&placed, err);
}

/* The best rate of the answers from `first` on. */
static double best_rate(const net_job *job, int first)
{
    double best = 0;
    for (int k = first; k < job->count; k++) {
        best = fmax(best, job->results[k].wsr_worst_case_bps_hz);
    }
    return best;
}

/* The communication end from all starts, then once more from the best of them, with ideal values
 * somewhat over what is known; WSR_ideal becomes the best rate found. */
static beam_code raise_ideal(net_job *job, const net_silence *silences, int count, beam_error *err)
{
    static const double above_best[] = {1.1, 1.03};
    const double known = job->run->ideal.wsr_ideal_bps_hz;
    int from = 0;
    job->run->ideal.wsr_ideal_bps_hz = above_best[0] * known;
    beam_code code = share_ideal(job, err);
    for (int k = 0; !code && k <= count; k++) {
        const net_pass start = {
            .job = job, .first = job->count, .silent = k < count ? &silences[k] : NULL};
        code = pass_extend(job, 1, err);
        if (!code) {
            job->tradeoffs[start.first] = 0;
            code = run_pass(&start, err);
        }
    }
    if (!code) {
        const double found = fmax(known, best_rate(job, 0));
        for (int k = 0; k < job->count; k++) {
            from = job->results[k].wsr_worst_case_bps_hz == best_rate(job, 0) ? k : from;
        }
        const net_pass again = {.job = job, .first = job->count, .warm = &from};
        job->run->ideal.wsr_ideal_bps_hz = above_best[1] * found;
        code = share_ideal(job, err);
        code = code ? code : pass_extend(job, 1, err);
        if (!code) {
            job->tradeoffs[again.first] = 0;
            code = run_pass(&again, err);
        }
    }
    job->run->ideal.wsr_ideal_bps_hz = fmax(known, best_rate(job, 0));
    pass_clear(job);
    return code ? code : share_ideal(job, err);
}

/* Every placed point once more, through the last layers, from the answer that is best at the
 * trade-off `offset` places along. */
static beam_code exchange(net_job *job, int points, int offset, beam_error *err)
{
    const int had = job->count, placed = SPARE * points;
    int *warm = calloc((size_t)placed, sizeof *warm);
    if (!warm) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    for (int k = 0; k < placed; k++) {
        const int from = k + offset < 0 ? 0 : k + offset < placed ? k + offset : placed - 1;
        warm[k] = best_at(job, job->tradeoffs[had - placed + from]);
    }
    const net_pass pass = {.job = job, .first = had, .warm = warm};
    beam_code code = pass_extend(job, placed, err);
    for (int k = 0; !code && k < placed; k++) {
        job->tradeoffs[had + k] = job->tradeoffs[had - placed + k];
    }
    code = code ? code : run_pass(&pass, err);
    free(warm);
    return code;
}

static beam_code find_front(net_job *job, int points, beam_error *err)
{
    net_silence silences[MOST_STARTS];
    const int count = choose_silences(&job->scene->scene, silences);
    beam_code code = BEAM_OK;
    if (!job->options->ideal && job->run->ideal.wsr_ideal_bps_hz > 0) {
        code = raise_ideal(job, silences, count, err);
    }
    code = code ? code : scan_front(job, silences, count, points, err);
    for (int k = 0; !code && k < EXCHANGES; k++) {
        code = exchange(job, points, exchange_from[k], err);
    }
    return code;
}

static beam_code write_entry(net_job *job, int k, int from, double us, beam_error *err)
{
    lab_entry *entry = &job->run->solution->entries[k];
    entry->tradeoff = job->tradeoffs[from];
    entry->solve_us = us;
    job->run->results[k] = job->results[from];
    snprintf(entry->method, sizeof entry->method, "%s",
             beam_method_text(job->results[from].method));
    return beam_design_copy(&entry->beams.design, &job->designs[from].design, err);
}

/* The answers that cover the hypervolume best; of equal trade-offs the first. */
static beam_code write_front(net_job *job, int points, double us, beam_error *err)
{
    const size_t n = (size_t)job->count;
    double(*losses)[2] = calloc(n, sizeof *losses);
    int *chosen = calloc(n, sizeof *chosen);
    beam_code code =
        losses && chosen ? BEAM_OK : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    if (!code) {
        take_losses(job, losses);
        code = lab_front_choose((const double(*)[2])losses, job->tradeoffs, job->count, points,
                                chosen, err);
    }
    for (int k = 0; !code && k < points; k++) {
        code = write_entry(job, k, chosen[k], us, err);
    }
    free(losses);
    free(chosen);
    return code;
}

/* One design per trade-off of the run, or one in the middle. */
static beam_code solve_entries(net_job *job, int points, bool front, beam_error *err)
{
    beam_code code = pass_extend(job, points, err);
    for (int k = 0; !code && k < points; k++) {
        job->tradeoffs[k] = front ? 0.5 : job->run->solution->entries[k].tradeoff;
    }
    const net_pass pass = {.job = job, .first = 0};
    code = code ? code : run_pass(&pass, err);
    for (int k = 0; !code && k < points; k++) {
        code = write_entry(job, k, k, job->us[k], err);
    }
    return code;
}

beam_code lab_network_run(lab_run *run, const lab_scene *scene, const lab_run_options *options,
                          bool front, beam_error *err)
{
    const int points = run->solution->count;
    const bool scanned = front && points > 1;
    lab_model *read = options->model ? NULL : lab_model_default(options->model_path, err);
    net_job job = {.run = run,
                   .scene = scene,
                   .options = options,
                   .model = options->model ? options->model : read};
    beam_code code = job.model ? workers_create(&job, err) : err->code;
    const int64_t start = lab_clock_ns();
    code = code ? code : set_ideal(&job, err);
    run->ideal_us = (double)(lab_clock_ns() - start) * 1e-3;
    if (!code) {
        code = scanned ? find_front(&job, points, err) : solve_entries(&job, points, front, err);
    }
    const double total_us = (double)(lab_clock_ns() - start) * 1e-3;
    run->total_us += total_us;
    if (!code && scanned) { /* like every chained front: the share of one point */
        code = write_front(&job, points, total_us / points, err);
    }
    job_clear(&job);
    lab_model_destroy(&read);
    return code;
}
