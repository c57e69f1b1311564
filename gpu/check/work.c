/* Scenes, the engine's objects and the device's for one size. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check/check.h"
#include "network/model.h"
#include "solver/solver_internal.h"

enum { THREADS_MOST = 256 };

void check_give_up(const char *what, const beam_gpu_error *err)
{
    fprintf(stderr, "beam_gpu_check: %s: %s\n", what, err->text);
    exit(err->code == BEAM_GPU_E_NO_DEVICE ? CHECK_SKIPPED : CHECK_FAILED);
}

double check_now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double check_quantile(double *values, int count, double q)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    const int at = (int)ceil(q * count) - 1;
    return count > 0 ? values[at > 0 ? at : 0] : NAN;
}

/* --- Threads ---------------------------------------------------------------------------------- */

typedef struct crew {
    check_job *work;
    void *arg;
    int count;
    atomic_int next;
} crew;

typedef struct member {
    crew *crew;
    int index;
    pthread_t thread;
} member;

static void *member_main(void *arg)
{
    const member *m = arg;
    for (int i; (i = atomic_fetch_add(&m->crew->next, 1)) < m->crew->count;) {
        m->crew->work(m->crew->arg, m->index, i);
    }
    return NULL;
}

void check_parallel(int threads, int count, check_job *work, void *arg)
{
    crew c = {.work = work, .arg = arg, .count = count};
    member members[THREADS_MOST];
    const int started = threads < THREADS_MOST ? threads : THREADS_MOST;
    for (int i = 0; i < started; i++) {
        members[i] = (member){.crew = &c, .index = i};
        if (pthread_create(&members[i].thread, NULL, member_main, &members[i])) {
            fprintf(stderr, "beam_gpu_check: no thread could be started\n");
            exit(CHECK_FAILED);
        }
    }
    for (int i = 0; i < started; i++) {
        (void)pthread_join(members[i].thread, NULL);
    }
}

/* --- Scenes ----------------------------------------------------------------------------------- */

/* Through memory: see tests/gpu/case.c. */
static void round_channels(beam_scene *s)
{
    const int n = s->dims.stations * s->dims.users * s->dims.antennas;
    for (int i = 0; i < n; i++) {
        volatile float re = (float)s->channel[i].re, im = (float)s->channel[i].im;
        s->channel[i].re = (double)re;
        s->channel[i].im = (double)im;
    }
}

static void make_hostile(test_random *random, beam_scene *s, int kind)
{
    for (int u = 0; u < s->dims.users; u++) {
        if (kind == 1) {
            s->user_min_rate_bps_hz[u] = 3 * test_random_uniform(random);
        }
        for (int l = 0; kind == 2 && l < s->dims.stations; l++) {
            if (test_random_int(random, 0, 2) == 0) {
                memset(test_channel(s, l, u), 0,
                       (size_t)s->dims.antennas * sizeof *test_channel(s, l, u));
            }
        }
    }
}

static beam_scene *make_scene(const check_size *size, int k)
{
    static const double radii[] = {0.1, 0.05, 0.2, 0};
    test_random random = test_random_new((uint64_t)(31 * k + 7));
    beam_dims dims = size->dims;
    if (size->mixed) {
        dims.users = test_random_int(&random, 0, dims.users);
        dims.targets = test_random_int(&random, 1, dims.targets);
    }
    beam_scene *s = test_random_scene(&random, &dims, radii[size->hostile ? k % 4 : k % 3]);
    s->skip_unidentifiable =
        size->dims.stations == 1 || size->dims.antennas == 1 || s->skip_unidentifiable;
    for (int u = 0; size->users_per_station > 0 && u < dims.users; u++) {
        s->user_station[u] = u / size->users_per_station;
    }
    if (size->hostile) {
        make_hostile(&random, s, k % 5);
    }
    round_channels(s);
    return s;
}

/* About right: the classical end's rate and half as much again. */
static beam_ideal guess_ideal(beam_solver *s)
{
    beam_ideal ideal = {.crlb_min_m2 = s->ideal.crlb_min_m2};
    if (s->problem.U > 0) {
        beam_classical_compose(&s->problem, s->unit, 1.0, s->candidate.x);
        (void)beam_solver_measure(s, &s->candidate);
        ideal.wsr_ideal_bps_hz = 1.5 * s->candidate.wsr;
    }
    return ideal;
}

/* tests/common keeps a list of its objects: one thread at a time. */
static void open_scene(check_work *self, int k)
{
    check_scene *c = &self->scene[k];
    c->scene = make_scene(self->size, k);
    const beam_dims *dims = &c->scene->dims;
    c->solver = test_solver_new(dims);
    c->evaluator = test_evaluator_new(dims, beam_design_sensing_max(dims));
    c->sensing = test_design_new(dims, -1);
}

static void prepare_scene(void *arg, int thread, int k)
{
    const check_work *self = arg;
    check_scene *c = &self->scene[k];
    beam_error err = {0};
    (void)thread;
    test_must(beam_evaluator_load(c->evaluator, c->scene, &err), &err, "evaluator");
    test_must(beam_solver_load(c->solver, c->scene, &err), &err, "load");
    test_must(beam_solver_compute_sensing_end(c->solver, &err), &err, "sensing end");
    test_must(beam_solver_prepare(c->solver, &err), &err, "prepare");
    c->ideal = guess_ideal(c->solver);
    test_must(beam_solver_set_ideal(c->solver, &c->ideal, &err), &err, "ideal");
    beam_problem_export(&c->solver->problem, c->solver->sensing, c->sensing);
}

/* --- Engine and device ------------------------------------------------------------------------ */

const beam_model *check_model(void)
{
    size_t size = 0;
    beam_error err = {0};
    beam_model_info info;
    beam_model *model = NULL;
    const void *bytes = beam_model_embedded(&size);
    if (!bytes) {
        fprintf(stderr, "beam_gpu_check: built without a model\n");
        exit(CHECK_FAILED);
    }
    test_must(beam_model_inspect(bytes, size, &info, &err), &err, "inspect");
    const size_t need = beam_model_memsize(&info);
    test_must(beam_model_load(&model, bytes, size, test_memory(need), need, &err), &err, "model");
    return model;
}

static void open_thread(check_work *self, check_thread *t)
{
    beam_error err = {0};
    const beam_dims *dims = &self->size->dims;
    const beam_model_info *info = beam_model_info_of(self->model);
    const size_t bytes = beam_inference_memsize(info, dims, CHECK_CPU_BATCH);
    void *memory = test_memory(bytes);
    test_must(beam_inference_init(&t->inference, info, dims, CHECK_CPU_BATCH, memory, bytes, &err),
              &err, "inference");
    test_object_keep(t->inference, memory);
}

static beam_gpu_code load_model(beam_gpu *gpu, const beam_model *model, beam_gpu_error *err)
{
    const beam_model_info *info = &model->info;
    return info->kind == BEAM_MODEL_MLP
               ? beam_gpu_load_mlp(gpu, info, model->theta, err)
               : beam_gpu_load_model(gpu, info->layers, info->width, model->theta, err);
}

static void open_device(check_work *self, int slots)
{
    beam_gpu_error err = {0};
    beam_gpu_info info;
    const check_size *size = self->size;
    const beam_model *model = self->model;
    const beam_gpu_options options = {.clusters_max = self->scenes,
                                      .slots = slots,
                                      .spin = 1,
                                      .perceptron = self->options->perceptron};
    if (beam_gpu_create(&self->gpu, self->options->device, &options, &err) ||
        load_model(self->gpu, model, &err) ||
        beam_gpu_prepare(self->gpu, &size->dims, size->users_per_station, self->batch, &err) ||
        beam_gpu_info_of(self->gpu, &info, &err)) {
        check_give_up(size->name, &err);
    }
    for (int k = 0; k < self->scenes; k++) {
        const check_scene *c = &self->scene[k];
        if (beam_gpu_set_cluster(self->gpu, k, c->scene, c->sensing, &err)) {
            check_give_up("set_cluster", &err);
        }
    }
    printf("{\"stage\":\"prepared\",\"size\":\"%s\",\"perceptron\":\"%s\",\"device\":\"%s\","
           "\"multiprocessors\":%d,"
           "\"shared_bytes\":%d,\"slow_bytes\":%d,\"problems_per_multiprocessor\":%d,"
           "\"lanes\":%d,\"request_bytes\":%d,\"answer_bytes\":%d,\"operations_float32\":%g,"
           "\"operations_float64\":%g}\n",
           size->name, self->options->perceptron_name, info.device, info.multiprocessors,
           info.shared_bytes, info.slow_bytes, info.problems_per_multiprocessor, info.lanes,
           info.request_bytes, info.answer_bytes, size->operations_float32,
           size->operations_float64);
}

check_work *check_work_new(const check_size *size, const check_options *options,
                           const beam_model *model, int batch, int slots)
{
    check_work *self = test_memory(sizeof *self);
    *self = (check_work){.size = size,
                         .options = options,
                         .model = model,
                         .batch = batch,
                         .scenes = options->scenes,
                         .threads = options->threads};
    self->scene = test_memory((size_t)self->scenes * sizeof *self->scene);
    self->thread = test_memory((size_t)self->threads * sizeof *self->thread);
    for (int k = 0; k < self->scenes; k++) {
        open_scene(self, k);
    }
    check_parallel(self->threads, self->scenes, prepare_scene, self);
    for (int i = 0; i < self->threads; i++) {
        open_thread(self, &self->thread[i]);
    }
    open_device(self, slots);
    return self;
}

void check_work_free(check_work *self)
{
    for (int k = 0; k < self->scenes; k++) {
        test_scene_free(self->scene[k].scene);
        test_solver_free(self->scene[k].solver);
        test_evaluator_free(self->scene[k].evaluator);
        test_design_free(self->scene[k].sensing);
    }
    for (int i = 0; i < self->threads; i++) {
        test_object_free(self->thread[i].inference);
    }
    beam_gpu_destroy(self->gpu);
    free(self->scene);
    free(self->thread);
    free(self);
}

double check_tradeoff(int i)
{
    const int turn = i % 8;
    return turn == 3 ? 0 : turn == 7 ? 1 : (i * 37 % 101) / 100.0;
}

void check_run(check_work *self, int count, const beam_gpu_request *requests,
               beam_gpu_answer *answers)
{
    beam_gpu_error err = {0};
    int slot = 0;
    if (beam_gpu_submit(self->gpu, count, requests, &slot, &err) ||
        beam_gpu_collect(self->gpu, slot, 1, answers, &err)) {
        check_give_up("batch", &err);
    }
}
