#include "lab/network_timing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/evaluate_families.h"
#include "lab/owned.h"
#include "lab/progress.h"
#include "lab/random.h"
#include "lab/runner_network.h"
#include "lab/statistics.h"

enum { TRADEOFFS = 65 }; /* met in an order without a trend */

const char *lab_stage_text(beam_stage stage)
{
    static const char *const texts[BEAM_STAGE_COUNT] = {
        "prepare", "fill", "layers", "exact check", "warm", "classical", "refine", "export"};
    return texts[stage];
}

typedef struct place {
    lab_scene *scene;
    lab_solver solver;
    lab_design out, before;
    beam_result result;
    beam_inference_detail detail;
} place;

typedef struct timing_job {
    const lab_model *model;
    int batch, round;
    place *places;
    beam_network_request *requests;
    lab_inference inference;
    int64_t last_ns;
    double stage_ns[BEAM_STAGE_COUNT];
} timing_job;

static beam_code place_open(place *p, int family, uint64_t seed, int index, beam_error *err)
{
    p->scene = lab_evaluate_scene(family, seed, index, err);
    if (!p->scene) {
        return err->code;
    }
    const beam_dims *dims = &p->scene->scene.dims;
    const int columns = beam_design_sensing_max(dims);
    beam_ideal ideal;
    double ignored;
    beam_code code = lab_solver_create(&p->solver, &p->scene->scene, err);
    code = code ? code : lab_run_ideal(&p->scene->scene, &ideal, &ignored, err);
    code = code ? code : beam_solver_set_ideal(p->solver.solver, &ideal, err);
    code = code ? code : lab_design_init(&p->out, dims, columns, err);
    return code ? code : lab_design_init(&p->before, dims, columns, err);
}

static void place_close(place *p)
{
    lab_design_clear(&p->out);
    lab_design_clear(&p->before);
    lab_solver_clear(&p->solver);
    lab_scene_destroy(&p->scene);
}

static void raise(int *most, int value)
{
    *most = value > *most ? value : *most;
}

static beam_code job_open(timing_job *job, int family, uint64_t seed, beam_error *err)
{
    beam_dims most = {1, 1, 0, 1};
    beam_code code = BEAM_OK;
    job->places = calloc((size_t)job->batch, sizeof *job->places);
    job->requests = calloc((size_t)job->batch, sizeof *job->requests);
    if (!job->places || !job->requests) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    for (int i = 0; !code && i < job->batch; i++) {
        place *p = &job->places[i];
        code = place_open(p, family, seed, i, err);
        if (!code) {
            const beam_dims *d = &p->scene->scene.dims;
            raise(&most.stations, d->stations);
            raise(&most.antennas, d->antennas);
            raise(&most.users, d->users);
            raise(&most.targets, d->targets);
            job->requests[i] = (beam_network_request){.solver = p->solver.solver,
                                                      .out = &p->out.design,
                                                      .result = &p->result,
                                                      .detail = &p->detail};
        }
    }
    return code ? code
                : lab_inference_create(&job->inference, job->model->model, &most, job->batch, err);
}

static void job_close(timing_job *job)
{
    for (int i = 0; job->places && i < job->batch; i++) {
        place_close(&job->places[i]);
    }
    free(job->places);
    free(job->requests);
    lab_inference_clear(&job->inference);
}

/* New CSI: every estimate moves by a tenth of its error radius. */
static void move_channels(beam_scene *s, lab_random *random)
{
    const size_t L = (size_t)s->dims.stations, U = (size_t)s->dims.users,
                 N = (size_t)s->dims.antennas;
    for (size_t i = 0; i < L * U; i++) {
        const double size = 0.1 * s->error_radius[i] / sqrt(2.0 * (double)N);
        for (size_t n = 0; n < N; n++) {
            const beam_complex g = lab_random_gaussian(random);
            s->channel[i * N + n].re += size * g.re;
            s->channel[i * N + n].im += size * g.im;
        }
    }
}

static void mark(void *arg, beam_stage stage)
{
    timing_job *job = arg;
    const int64_t now = lab_clock_ns();
    job->stage_ns[stage] += (double)(now - job->last_ns);
    job->last_ns = now;
}

static beam_code load_all(timing_job *job, beam_error *err)
{
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < job->batch; i++) {
        code = beam_solver_load(job->places[i].solver.solver, &job->places[i].scene->scene, err);
    }
    return code;
}

/* One round: new channels, then load and run; times in ns. */
static beam_code round_of(timing_job *job, lab_random *random, bool warm, double *load, double *all,
                          beam_error *err)
{
    beam_code code = BEAM_OK;
    for (int i = 0; !code && i < job->batch; i++) {
        place *p = &job->places[i];
        job->requests[i].tradeoff = ((i * 29 + job->round * 13) % TRADEOFFS) / (TRADEOFFS - 1.0);
        move_channels(&p->scene->scene, random);
        if (warm) {
            code = beam_design_copy(&p->before.design, &p->out.design, err);
            job->requests[i].warm = &p->before.design;
        }
    }
    job->round++;
    const int64_t start = lab_clock_ns();
    code = code ? code : load_all(job, err);
    const int64_t loaded = lab_clock_ns();
    job->last_ns = loaded;
    code = code ? code
                : beam_inference_run(job->inference.inference, job->model->model, job->batch,
                                     job->requests, err);
    *load = (double)(loaded - start);
    *all = (double)(lab_clock_ns() - start);
    return code;
}

static beam_code run_rounds(timing_job *job, lab_network_timing *self, uint64_t seed,
                            beam_error *err)
{
    lab_random random = lab_random_seed(seed);
    double load, all, load_sum = 0;
    int searched = 0;
    beam_code code = round_of(job, &random, false, &load, &all, err); /* warms caches and starts */
    for (int k = 0; !code && k < self->rounds; k++) {
        code = round_of(job, &random, self->warm, &load, &all, err);
        self->total_us[k] = all * 1e-3 / job->batch;
    }
    beam_inference_set_mark(job->inference.inference, mark, job);
    for (int k = 0; !code && k < self->rounds; k++) {
        code = round_of(job, &random, self->warm, &load, &all, err);
        load_sum += load;
        for (int i = 0; i < job->batch; i++) {
            searched += job->places[i].detail.classical_measured;
        }
    }
    const double answers = (double)self->rounds * job->batch;
    self->load_us = load_sum * 1e-3 / answers;
    self->measured_classical = searched / answers;
    for (int i = 0; i < BEAM_STAGE_COUNT; i++) {
        self->stage_us[i] = job->stage_ns[i] * 1e-3 / answers;
    }
    lab_sort(self->total_us, self->rounds);
    return code;
}

beam_code lab_network_time(lab_network_timing *self, const lab_model *model, int family,
                           uint64_t seed, int batch, int rounds, bool warm, beam_error *err)
{
    timing_job job = {.model = model, .batch = batch};
    *self = (lab_network_timing){.batch = batch, .warm = warm, .rounds = rounds};
    self->total_us = calloc((size_t)rounds, sizeof *self->total_us);
    beam_code code = self->total_us ? job_open(&job, family, seed, err)
                                    : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    code = code ? code : run_rounds(&job, self, seed, err);
    job_close(&job);
    if (code) {
        lab_network_timing_clear(self);
    }
    return code;
}

void lab_network_timing_clear(lab_network_timing *self)
{
    free(self->total_us);
    self->total_us = NULL;
}
