/* The worker's path to a device without one: batches through the backend over libbeamgpu, with the
 * library emulated on the CPU (gpu/emulate). Compiled with the emulation's names. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/model.h"
#include "common/random.h"
#include "emulate/emulate.h"
#include "worker/cuda.h"

enum { PROBLEMS_MAX = 2048, REQUEST_BYTES = 16 << 20, ANSWER_BYTES = 16 << 20, MODELS = 4 };
/* Of a design that is sent: docs/gpu.md. */
static const double certificate_bound = 1e-9, crlb_bound = 1e-8, merit_bound = 1e-2,
                    classical_bound = 1e-3;

/* A scene whose channels float32 can hold, its ideal values and an engine for it. */
typedef struct known {
    beam_scene *scene;
    beam_solver *solver;
    beam_evaluator *evaluator;
    beam_ideal ideal;
} known;

typedef struct batch {
    beamg_job job;
    unsigned char *request, *answer;
    beamg_writer writer;
    beamg_place place[PROBLEMS_MAX];
    uint64_t bytes;
    bool back;
} batch;

typedef struct world {
    test_model_file file[MODELS];
    char path[MODELS][64];
    void *backend;
    beamg_setup setup;
    char device[BEAMG_TEXT_BYTES], why[BEAMG_TEXT_BYTES];
} world;

/* --- Scenes --- */

static void round_channels(beam_scene *s)
{
    const int n = s->dims.stations * s->dims.users * s->dims.antennas;
    for (int i = 0; i < n; i++) { /* through memory: see tests/gpu/case.c */
        volatile float re = (float)s->channel[i].re, im = (float)s->channel[i].im;
        s->channel[i].re = (double)re;
        s->channel[i].im = (double)im;
    }
}

static known know_scene(beam_scene *scene)
{
    beam_error err;
    known k = {.scene = scene};
    const beam_dims dims = scene->dims;
    round_channels(k.scene);
    k.solver = test_solver_new(&dims);
    test_must(beam_solver_load(k.solver, k.scene, &err), &err, "load");
    test_must(beam_solver_compute_sensing_end(k.solver, &err), &err, "sensing end");
    test_must(beam_solver_compute_rate_end(k.solver, &err), &err, "rate end");
    k.ideal = beam_solver_ideal(k.solver);
    k.evaluator = test_evaluator_new(&dims, beam_design_sensing_max(&dims));
    test_must(beam_evaluator_load(k.evaluator, k.scene, &err), &err, "evaluator");
    return k;
}

static known know(test_random *random, beam_dims dims, double radius)
{
    return know_scene(test_random_scene(random, &dims, radius));
}

static void forget(known *k)
{
    test_scene_free(k->scene);
    test_solver_free(k->solver);
    test_evaluator_free(k->evaluator);
}

/* --- Worlds --- */

static beamg_room room(int stations, int antennas, int users, int targets, unsigned problems)
{
    return (beamg_room){.dims = {stations, antennas, users, targets}, .problems = problems};
}

static void use_model(world *w, int model)
{
    snprintf(w->setup.model_file, sizeof w->setup.model_file, "%s", w->path[model]);
    w->setup.generation++;
}

static int set_up(world *w)
{
    return beamg_backend_setup(&beamg_backend_cuda, w->backend, &w->setup, w->why, sizeof w->why);
}

/* Models 0 and 1 of one shape, 2 of another, 3 an mlp. */
static world *new_world(unsigned rooms, const beamg_room *room)
{
    world *w = test_memory(sizeof *w);
    memset(w, 0, sizeof *w);
    w->file[0] = test_model_make_fresh(4, 12, "first", 1);
    w->file[1] = test_model_make_fresh(4, 12, "second", 2);
    w->file[2] = test_model_make_fresh(3, 8, "other", 3);
    w->file[3] = test_model_make(1, 4);
    for (int i = 0; i < MODELS; i++) {
        snprintf(w->path[i], sizeof w->path[i], "/tmp/test_gpu_worker.%d.%d.beamnet", (int)getpid(),
                 i);
        test_model_save(&w->file[i], w->path[i]);
    }
    w->setup.rooms = rooms;
    memcpy(w->setup.room, room, rooms * sizeof *room);
    use_model(w, 0);
    if (beamg_backend_cuda.open(&w->backend, &w->setup, w->device, w->why, sizeof w->why) != 0 ||
        set_up(w) != 0) {
        fail_msg("%s", w->why);
    }
    return w;
}

static void free_world(world *w)
{
    beamg_backend_cuda.close(w->backend);
    for (int i = 0; i < MODELS; i++) {
        unlink(w->path[i]);
        test_model_file_free(&w->file[i]);
    }
    free(w);
}

/* --- Batches --- */

static batch *new_batch(unsigned slot, unsigned scenes, unsigned problems)
{
    beam_error err;
    batch *b = test_memory(sizeof *b);
    memset(b, 0, sizeof *b);
    b->request = test_memory(REQUEST_BYTES);
    b->answer = test_memory(ANSWER_BYTES);
    b->job.slot = slot;
    test_must(beamg_write_begin(&b->writer, b->request, REQUEST_BYTES, ANSWER_BYTES, scenes, scenes,
                                problems, &err),
              &err, "begin");
    return b;
}

static void free_batch(batch *b)
{
    free(b->request);
    free(b->answer);
    free(b);
}

/* A frame and a scene of its own. */
static uint32_t add_scene(batch *b, const beam_scene *scene, const beam_ideal *ideal,
                          const double *rows, bool moved)
{
    beam_error err;
    test_must(beamg_write_frame(&b->writer, scene, 0, rows, moved, &err), &err, "frame");
    test_must(beamg_write_scene(&b->writer, b->writer.frames - 1, scene, ideal, &err), &err,
              "scene");
    return b->writer.scenes - 1;
}

static void ask(batch *b, uint32_t scene, double tradeoff, const beam_design *warm, int layers,
                int refine)
{
    beam_error err;
    test_must(beamg_write_problem(&b->writer, scene, tradeoff, warm, layers, refine,
                                  &b->place[b->writer.problems], &err),
              &err, "problem");
}

static void submit(world *w, batch *b)
{
    beam_error err;
    if (b->bytes == 0) {
        b->bytes = beamg_write_end(&b->writer, 0);
        assert_true(b->bytes > 0);
    }
    memset(b->answer, 0x5a, ANSWER_BYTES / 16);
    const unsigned slot = b->job.slot;
    b->job = (beamg_job){.slot = slot};
    b->back = false;
    test_must(beamg_request_open(&b->job.request, b->request, b->bytes, ANSWER_BYTES, &err), &err,
              "open");
    beamg_answer_begin(&b->job.answer, &b->job.request, b->answer);
    beamg_backend_cuda.submit(w->backend, &b->job);
}

/* Jobs are the first member. */
static batch *collect(world *w)
{
    const struct timespec moment = {.tv_nsec = 100000};
    for (int i = 0; i < 300000; i++) {
        beamg_job *job = beamg_backend_cuda.collect(w->backend);
        if (job) {
            batch *b = (batch *)(void *)job;
            assert_false(b->back); /* once */
            b->back = true;
            beamg_answer_end(&job->answer, 7, 1, 1, 2);
            return b;
        }
        nanosleep(&moment, NULL);
    }
    fail_msg("no batch comes back");
    return NULL;
}

static beamg_status run(world *w, batch *b)
{
    submit(w, b);
    assert_ptr_equal(collect(w), b);
    return b->job.status;
}

/* Code of the answer; beams into `out`, which may be NULL. */
static beam_code answer_of(const batch *b, uint32_t problem, beam_design *out, beam_result *result,
                           double *network_merit)
{
    beam_error err;
    beam_design *own = out ? NULL : test_design_new(&b->place[problem].dims, -1);
    const beam_code code = beamg_answer_take(b->answer, problem, &b->place[problem],
                                             out ? out : own, result, network_merit, &err);
    if (own) {
        test_design_free(own);
    }
    return code;
}

/* --- Against the engine --- */

typedef struct agreement {
    unsigned answers, apart, network_apart, by_network;
    double sum, certificate, crlb, classical;
} agreement;

static void compare_numbers(const known *k, const beam_design *design, const beam_result *r,
                            double tradeoff, agreement *a)
{
    beam_error err;
    beam_quality q;
    beam_result classical;
    beam_design *scratch = test_design_new(&k->scene->dims, -1);
    test_must(beam_evaluator_run(k->evaluator, design, &q, &err), &err, "evaluator");
    const double rate = fabs(r->wsr_worst_case_bps_hz - q.wsr_worst_case_bps_hz) /
                        fmax(q.wsr_worst_case_bps_hz, 1e-3);
    assert_true(rate <= certificate_bound);
    assert_true(q.power_excess <= 0);
    assert_int_equal(r->crlb_valid, q.crlb_valid);
    const double crlb = q.crlb_valid ? fabs(r->crlb_m2 / q.crlb_m2 - 1) : 0;
    assert_true(crlb <= crlb_bound);
    test_must(beam_solver_classical(k->solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                    tradeoff, scratch, &classical, &err),
              &err, "classical");
    const double worse = (r->merit - classical.merit) / (1 + fabs(classical.merit));
    assert_true(worse <= classical_bound);
    a->certificate = fmax(a->certificate, rate);
    a->crlb = fmax(a->crlb, crlb);
    a->classical = fmax(a->classical, worse);
    test_design_free(scratch);
}

static void *load_model(const test_model_file *file, beam_model **model)
{
    beam_error err;
    const size_t bytes = beam_model_memsize(&file->info);
    void *memory = test_memory(bytes);
    test_must(beam_model_load(model, file->bytes, file->size, memory, bytes, &err), &err, "model");
    return memory;
}

/* One answer: its exact numbers are those of its beams, and its merit about that which the engine's
 * network finds. */
static void compare(const known *k, const beam_model *model, double tradeoff,
                    const beam_design *warm, const batch *b, uint32_t problem, agreement *a)
{
    beam_error err;
    beam_result r, engine;
    double network_merit;
    beam_inference *inference;
    const size_t bytes = beam_inference_memsize(beam_model_info_of(model), &k->scene->dims, 1);
    void *memory = test_memory(bytes);
    beam_design *design = test_design_new(&k->scene->dims, -1),
                *own = test_design_new(&k->scene->dims, -1);
    assert_int_equal(answer_of(b, problem, design, &r, &network_merit), BEAM_OK);
    compare_numbers(k, design, &r, tradeoff, a);
    beam_inference_detail detail;
    const beam_network_request request = {.solver = k->solver,
                                          .tradeoff = tradeoff,
                                          .warm = warm,
                                          .out = own,
                                          .result = &engine,
                                          .detail = &detail};
    test_must(beam_inference_init(&inference, beam_model_info_of(model), &k->scene->dims, 1, memory,
                                  bytes, &err),
              &err, "inference");
    test_must(beam_inference_run(inference, model, 1, &request, &err), &err, "run");
    const double apart = (r.merit - engine.merit) / (1 + fabs(engine.merit));
    a->answers++;
    a->sum += apart;
    a->apart += !(fabs(apart) <= merit_bound);
    const double network =
        (network_merit - detail.network_merit) / (1 + fabs(detail.network_merit));
    a->network_apart += !(fabs(network) <= merit_bound);
    a->by_network += r.method == BEAM_METHOD_NETWORK;
    free(memory);
    test_design_free(design);
    test_design_free(own);
}

static void assert_agreement(const agreement *a)
{
    print_message("%u answers (%u the network's): merit %.2g mean, %u beyond 1 %%; network's merit "
                  "%u beyond 1 %%; certificate %.2g, CRLB %.2g, over classical %.2g\n",
                  a->answers, a->by_network, a->sum / a->answers, a->apart, a->network_apart,
                  a->certificate, a->crlb, a->classical);
    assert_true(a->sum / a->answers <= merit_bound);
    assert_true(20 * a->apart <= a->answers);
    assert_true(20 * a->network_apart <= a->answers);
}

/* Sizes of two rooms, mixed in every batch: fewer users and targets than the room has. */
static void test_the_engines_answers(void **state)
{
    (void)state;
    enum { SCENES = 24, ROUNDS = 4 };
    static const beam_dims dims[] = {{3, 5, 3, 2},  {2, 16, 6, 3}, {3, 5, 1, 1},
                                     {2, 16, 2, 2}, {3, 5, 0, 2},  {2, 16, 5, 1}};
    const beamg_room rooms[] = {room(3, 5, 3, 2, 7), room(2, 16, 6, 3, 64)};
    world *w = new_world(2, rooms);
    test_random random = test_random_new(5);
    agreement a = {0};
    beam_model *model;
    void *memory = load_model(&w->file[0], &model);
    for (int round = 0; round < ROUNDS; round++) {
        known k[SCENES];
        beam_design *warm[SCENES];
        batch *b = new_batch((unsigned)round, SCENES, 2 * SCENES);
        for (int i = 0; i < SCENES; i++) {
            k[i] = know(&random, dims[i % 6], i % 3 == 0 ? 0 : 0.1);
            warm[i] = test_random_design(&random, k[i].scene, 1);
            const uint32_t scene = add_scene(b, k[i].scene, &k[i].ideal, NULL, false);
            ask(b, scene, 0.3, NULL, 0, 0);
            ask(b, scene, 0.8, warm[i], 0, 0);
        }
        assert_int_equal(run(w, b), BEAMG_OK);
        for (int i = 0; i < SCENES; i++) {
            compare(&k[i], model, 0.3, NULL, b, (uint32_t)(2 * i), &a);
            compare(&k[i], model, 0.8, warm[i], b, (uint32_t)(2 * i + 1), &a);
            forget(&k[i]);
            test_design_free(warm[i]);
        }
        free_batch(b);
    }
    assert_agreement(&a);
    assert_true(a.by_network > 0);
    free(memory);
    free_world(w);
}

/* --- Clusters --- */

static void exchange_rows(const known *k, double **rows)
{
    *rows = test_memory(beam_solver_sensing_bytes(&k->scene->dims));
    memset(*rows, 0, beam_solver_sensing_bytes(&k->scene->dims));
    assert_true(beam_solver_export_sensing(k->solver, *rows));
}

static uint64_t bits_of(const batch *b, uint32_t problem)
{
    beam_result r;
    double network_merit;
    beam_design *design = test_design_new(&b->place[problem].dims, -1);
    assert_int_equal(answer_of(b, problem, design, &r, &network_merit), BEAM_OK);
    uint64_t bits, sum = 0;
    const size_t n = (size_t)design->dims.users * (size_t)design->dims.antennas;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, &design->beams[i].re, sizeof bits);
        sum = sum * 31 + bits;
    }
    memcpy(&bits, &r.merit, sizeof bits);
    sum = sum * 31 + bits;
    memcpy(&bits, &network_merit, sizeof bits); /* of every model, whoever wins */
    test_design_free(design);
    return sum * 31 + bits;
}

/* Rows that are given, moved or not, serve as well as those that are computed. */
static void test_rows(void **state)
{
    (void)state;
    const beamg_room rooms[] = {room(3, 5, 3, 2, 8)};
    world *w = new_world(1, rooms);
    test_random random = test_random_new(6);
    known k = know(&random, (beam_dims){3, 5, 3, 2}, 0.1);
    double *rows;
    exchange_rows(&k, &rows);
    beam_result r[3];
    for (int i = 0; i < 3; i++) {
        double network_merit;
        batch *b = new_batch(0, 1, 1);
        ask(b, add_scene(b, k.scene, &k.ideal, i > 0 ? rows : NULL, i > 1), 0.9, NULL, 0, 0);
        assert_int_equal(run(w, b), BEAMG_OK);
        assert_int_equal(answer_of(b, 0, NULL, &r[i], &network_merit), BEAM_OK);
        free_batch(b);
    }
    assert_true(fabs(r[1].merit - r[0].merit) <= 1e-6 * (1 + fabs(r[0].merit)));
    assert_true(fabs(r[2].merit - r[0].merit) <= 1e-6 * (1 + fabs(r[0].merit)));
    free(rows);
    forget(&k);
    free_world(w);
}

/* The cache itself, of four places. */
static void test_cluster_places(void **state)
{
    (void)state;
    enum { FRAMES = 6, PLACES = 4 };
    const beam_dims dims = {2, 4, 2, 2};
    const beam_gpu_options options = {.clusters_max = PLACES, .slots = 2};
    beam_gpu *gpu;
    beam_gpu_error err;
    beamg_clusters c;
    test_model_file file = test_model_make_fresh(2, 6, "cache", 9);
    assert_int_equal(beam_gpu_create(&gpu, 0, &options, &err), BEAM_GPU_OK);
    assert_int_equal(beam_gpu_load_model(gpu, 2, 6, file.weights, &err), BEAM_GPU_OK);
    assert_int_equal(beam_gpu_prepare(gpu, &dims, 0, 8, &err), BEAM_GPU_OK);
    assert_int_equal(beamg_clusters_init(&c, gpu, &dims, PLACES), 0);
    test_random random = test_random_new(7);
    batch *b = new_batch(0, FRAMES, FRAMES);
    const beam_ideal ideal = {1, 1};
    for (int i = 0; i < FRAMES; i++) {
        beam_scene *scene = test_random_scene(&random, &dims, 0.1);
        ask(b, add_scene(b, scene, &ideal, NULL, false), 0.5, NULL, 0, 0);
        test_scene_free(scene);
    }
    beam_error wrong;
    const uint64_t bytes = beamg_write_end(&b->writer, 0);
    test_must(beamg_request_open(&b->job.request, b->request, bytes, ANSWER_BYTES, &wrong), &wrong,
              "open");
    /* frame, part, and whether it is there already; -1: no place */
    static const int asked[][3] = {{0, 1, 0}, {1, 1, 0}, {2, 2, 0},  {3, 2, 0}, {0, 3, 1},
                                   {4, 4, 0}, {0, 4, 1}, {1, 5, 0},  {3, 6, 1}, {2, 6, 0},
                                   {4, 6, 0}, {1, 6, 1}, {5, 6, -1}, {5, 7, 0}};
    int place[FRAMES] = {0};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        beam_code code;
        const uint64_t found = c.found, loaded = c.loaded;
        const int at = beamg_cluster_of(&c, &b->job.request, (uint32_t)asked[i][0],
                                        (uint64_t)asked[i][1], &code, &err);
        assert_int_equal(c.found - found, asked[i][2] == 1);
        assert_int_equal(c.loaded - loaded, asked[i][2] == 0);
        assert_true(asked[i][2] < 0 ? at == BEAMG_CLUSTER_NONE : at >= 0 && at < PLACES);
        assert_true(asked[i][2] != 1 || at == place[asked[i][0]]);
        place[asked[i][0]] = at;
    }
    beamg_clusters_free(&c);
    beam_gpu_destroy(gpu);
    free_batch(b);
    test_model_file_free(&file);
}

/* One batch with more clusters than the device keeps, twice, and the same answers from it alone. */
static void test_many_clusters(void **state)
{
    (void)state;
    enum { FRAMES = BEAMG_CLUSTERS_MOST + 100 };
    const beamg_room rooms[] = {room(2, 4, 2, 1, PROBLEMS_MAX)};
    world *w = new_world(1, rooms);
    test_random random = test_random_new(8);
    const beam_dims dims = {2, 4, 2, 1};
    batch *b = new_batch(0, FRAMES, FRAMES), *single = NULL;
    const beam_ideal ideal = {3, 1e-3};
    uint64_t *first = test_memory(FRAMES * sizeof *first);
    for (int i = 0; i < FRAMES; i++) {
        beam_scene *scene = test_random_scene(&random, &dims, 0.1);
        ask(b, add_scene(b, scene, &ideal, NULL, false), 0.5, NULL, 0, 0);
        if (i == 17) {
            single = new_batch(1, 1, 1);
            ask(single, add_scene(single, scene, &ideal, NULL, false), 0.5, NULL, 0, 0);
        }
        test_scene_free(scene);
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(run(w, b), BEAMG_OK);
        for (uint32_t i = 0; i < FRAMES; i++) {
            const uint64_t bits = bits_of(b, i);
            assert_true(round == 0 || bits == first[i]);
            first[i] = bits;
        }
    }
    assert_int_equal(run(w, single), BEAMG_OK);
    assert_true(bits_of(single, 0) == first[17]);
    free(first);
    free_batch(b);
    free_batch(single);
    free_world(w);
}

/* --- Several batches, other models, other rooms --- */

static batch *batch_of(unsigned slot, const known *k, int scenes, int problems)
{
    batch *b = new_batch(slot, (unsigned)scenes, (unsigned)(scenes * problems));
    for (int i = 0; i < scenes; i++) {
        const uint32_t scene = add_scene(b, k[i].scene, &k[i].ideal, NULL, false);
        for (int p = 0; p < problems; p++) {
            ask(b, scene, 0.1 + 0.1 * p, NULL, 0, 0);
        }
    }
    return b;
}

/* More batches than the device has slots; all wait, none is lost, none comes back twice. */
static void test_in_flight(void **state)
{
    (void)state;
    enum { BATCHES = 12 };
    const beamg_room rooms[] = {room(2, 4, 3, 2, 5), room(3, 5, 3, 2, 5)};
    world *w = new_world(2, rooms);
    test_random random = test_random_new(9);
    known k[2] = {know(&random, (beam_dims){2, 4, 3, 2}, 0.1),
                  know(&random, (beam_dims){3, 5, 3, 2}, 0.1)};
    batch *b[BATCHES], *alone = batch_of(15, k, 2, 6);
    assert_int_equal(run(w, alone), BEAMG_OK);
    beam_gpu_emulate_hold(true);
    for (unsigned i = 0; i < BATCHES; i++) {
        b[i] = batch_of(i, k, 2, 6); /* two parts in every room */
        submit(w, b[i]);
    }
    assert_null(beamg_backend_cuda.collect(w->backend));
    beam_gpu_emulate_hold(false);
    for (unsigned i = 0; i < BATCHES; i++) {
        const batch *back = collect(w);
        assert_int_equal(back->job.status, BEAMG_OK);
        for (uint32_t p = 0; p < 12; p++) {
            assert_true(bits_of(back, p) == bits_of(alone, p));
        }
    }
    assert_null(beamg_backend_cuda.collect(w->backend));
    for (unsigned i = 0; i < BATCHES; i++) {
        assert_true(b[i]->back);
        free_batch(b[i]);
    }
    free_batch(alone);
    forget(&k[0]);
    forget(&k[1]);
    free_world(w);
}

/* Batches of before an exchange are answered with the old weights, those after it with the new. */
static void test_another_model(void **state)
{
    (void)state;
    enum { BATCHES = 6 };
    const beamg_room rooms[] = {room(3, 5, 3, 2, 16)};
    world *w = new_world(1, rooms);
    test_random random = test_random_new(10);
    known k = know(&random, (beam_dims){3, 5, 3, 2}, 0.1);
    batch *b[BATCHES], *reference = batch_of(15, &k, 1, 6);
    uint64_t bits[3][6];
    for (int model = 0; model < 3; model++) { /* 2: of another shape, so all is built anew */
        if (model > 0) {
            void *next;
            use_model(w, model);
            for (unsigned i = 0; i < BATCHES; i++) {
                b[i] = batch_of(i, &k, 1, 6);
                submit(w, b[i]); /* more than there are slots */
            }
            assert_int_equal(
                beamg_backend_cuda.prepare(w->backend, &w->setup, &next, w->why, sizeof w->why), 0);
            assert_int_equal(beamg_backend_cuda.adopt(w->backend, next, w->why, sizeof w->why), 0);
        }
        assert_int_equal(model == 0 ? (int)run(w, reference) : 0, BEAMG_OK);
        for (unsigned i = 0; model > 0 && i < BATCHES; i++) {
            const batch *back = collect(w);
            assert_int_equal(back->job.status, BEAMG_OK);
            for (uint32_t p = 0; p < 6; p++) {
                assert_true(bits_of(back, p) == bits[model - 1][p]);
            }
        }
        for (unsigned i = 0; model > 0 && i < BATCHES; i++) {
            free_batch(b[i]);
        }
        if (model > 0) {
            assert_int_equal(run(w, reference), BEAMG_OK);
        }
        unsigned other = 0;
        for (uint32_t p = 0; p < 6; p++) {
            bits[model][p] = bits_of(reference, p);
            other += model > 0 && bits[model][p] != bits[model - 1][p];
        }
        assert_true(model == 0 || other > 0);
    }
    free_batch(reference);
    forget(&k);
    free_world(w);
}

/* What cannot be set up changes nothing. */
static void test_refused_setups(void **state)
{
    (void)state;
    const beamg_room rooms[] = {room(3, 5, 3, 2, 16)};
    world *w = new_world(1, rooms);
    test_random random = test_random_new(11);
    known k = know(&random, (beam_dims){3, 5, 3, 2}, 0.1);
    batch *b = batch_of(0, &k, 1, 6);
    assert_int_equal(run(w, b), BEAMG_OK);
    const uint64_t bits = bits_of(b, 3);
    const beamg_setup good = w->setup;

    snprintf(w->setup.model_checksum, sizeof w->setup.model_checksum, "%s",
             w->file[1].info.checksum);
    assert_int_equal(set_up(w), BEAMG_EXIT_CONFIG);
    assert_non_null(strstr(w->why, "not the model"));
    w->setup = good;
    snprintf(w->setup.model_file, sizeof w->setup.model_file, "/nowhere/model");
    assert_int_equal(set_up(w), BEAMG_EXIT_CONFIG);
    w->setup = good;
    w->setup.room[0].dims.users = BEAM_MAX_USERS + 1;
    assert_int_equal(set_up(w), BEAMG_EXIT_CONFIG);
    assert_non_null(strstr(w->why, "no such room"));
    w->setup = good;
    w->setup.room[w->setup.rooms++] = room(3, 5, 3, 2, 0);
    assert_int_equal(set_up(w), BEAMG_EXIT_CONFIG);
    w->setup = good;
    w->setup.room[0].problems = 32;
    beam_gpu_emulate_memory(1 << 16);
    assert_int_equal(set_up(w), BEAMG_EXIT_CONFIG);
    assert_non_null(strstr(w->why, "out of memory"));
    beam_gpu_emulate_memory(SIZE_MAX);
    assert_int_equal(run(w, b), BEAMG_OK);
    assert_true(bits_of(b, 3) == bits);
    assert_int_equal(set_up(w), 0); /* with the memory there is */
    assert_int_equal(run(w, b), BEAMG_OK);
    assert_true(bits_of(b, 3) == bits);

    w->setup.room[0] = room(2, 4, 3, 2, 8);
    assert_int_equal(set_up(w), 0);
    assert_int_equal(run(w, b), BEAMG_UNPREPARED);
    assert_non_null(strstr(b->job.why, "no room for 3 stations, 5 antennas"));
    free_batch(b);
    forget(&k);
    free_world(w);
}

/* --- What is not answered --- */

static beam_code code_of(const batch *b, uint32_t problem)
{
    beam_result r;
    double network_merit;
    return answer_of(b, problem, NULL, &r, &network_merit);
}

/* A problem that cannot be computed has a code of its own; the others have their beams. */
static void test_refused_problems(void **state)
{
    (void)state;
    beamg_room rooms[] = {room(3, 5, 3, 2, 16)};
    rooms[0].users_per_station = 2;
    world *w = new_world(1, rooms);
    test_random random = test_random_new(12);
    known k = know(&random, (beam_dims){3, 5, 3, 2}, 0.1),
          larger = know(&random, (beam_dims){3, 5, 4, 2}, 0.1);
    batch *b = new_batch(0, 6, 9);
    beam_design *warm = test_random_design(&random, k.scene, 5); /* more columns than are used */
    for (int u = 0; u < 3; u++) {
        k.scene->user_station[u] = u % 2;
    }
    const uint32_t good = add_scene(b, k.scene, &k.ideal, NULL, false);
    ask(b, good, 0.5, NULL, 0, 0);
    ask(b, good, 0.5, NULL, 5, 0); /* the model has four layers */
    ask(b, good, 0.5, NULL, 4, 0);
    ask(b, good, 0.5, warm, 0, 0);
    test_design_free(warm);
    ask(b, add_scene(b, larger.scene, &larger.ideal, NULL, false), 0.5, NULL, 0, 0);
    k.scene->sensing = BEAM_SENSING_COHERENT;
    ask(b, add_scene(b, k.scene, &k.ideal, NULL, false), 0.5, NULL, 0, 0);
    k.scene->sensing = BEAM_SENSING_RESOLVED;
    memset(k.scene->user_station, 0, 3 * sizeof(int)); /* three at one station */
    ask(b, add_scene(b, k.scene, &k.ideal, NULL, false), 0.5, NULL, 0, 0);
    k.scene->user_station[1] = k.scene->user_station[2] = 1;
    k.scene->station_power_w[0] = -1; /* the engine refuses such a scene */
    ask(b, add_scene(b, k.scene, &k.ideal, NULL, false), 0.5, NULL, 0, 0);
    k.scene->station_power_w[0] = 1;
    k.scene->channel[0].re = NAN;
    ask(b, add_scene(b, k.scene, &k.ideal, NULL, false), 0.5, NULL, 0, 0);
    assert_int_equal(run(w, b), BEAMG_OK);
    assert_int_equal(code_of(b, 0), BEAM_OK);
    assert_int_equal(code_of(b, 1), BEAM_E_UNSUPPORTED);
    assert_int_equal(code_of(b, 2), BEAM_OK);
    assert_true(bits_of(b, 0) == bits_of(b, 2));
    assert_int_equal(code_of(b, 3), BEAM_E_UNSUPPORTED);
    assert_int_equal(code_of(b, 4), BEAM_E_LIMIT);
    assert_int_equal(code_of(b, 5), BEAM_E_UNSUPPORTED);
    assert_int_equal(code_of(b, 6), BEAM_E_LIMIT);
    for (uint32_t p = 7; p < 9; p++) {
        const beam_code code = code_of(b, p);
        assert_true(code == BEAM_E_UNSUPPORTED || code == BEAM_E_NUMERIC);
    }
    free_batch(b);
    forget(&k);
    forget(&larger);
    free_world(w);
}

/* Steps of the solver from the best candidate: better beams whose numbers are exact as well, as
 * full service. */
static void test_refine(void **state)
{
    (void)state;
    enum { SCENES = 6 };
    const beamg_room rooms[] = {room(3, 5, 3, 2, 16)};
    world *w = new_world(1, rooms);
    test_random random = test_random_new(13);
    known k[SCENES];
    batch *b = new_batch(0, SCENES, 2 * SCENES);
    for (int i = 0; i < SCENES; i++) {
        k[i] = know(&random, (beam_dims){3, 5, 3, 2}, 0.1);
        const uint32_t scene = add_scene(b, k[i].scene, &k[i].ideal, NULL, false);
        ask(b, scene, 0.5, NULL, 0, 0);
        ask(b, scene, 0.5, NULL, 0, 20);
    }
    assert_int_equal(run(w, b), BEAMG_OK);
    agreement a = {0};
    for (uint32_t i = 0; i < SCENES; i++) {
        beam_result plain, refined;
        double network_merit;
        beam_design *design = test_design_new(&k[i].scene->dims, -1);
        assert_int_equal(answer_of(b, 2 * i, NULL, &plain, &network_merit), BEAM_OK);
        assert_int_equal(answer_of(b, 2 * i + 1, design, &refined, &network_merit), BEAM_OK);
        assert_int_equal(plain.iterations, 0);
        assert_int_equal(refined.status, BEAM_STATUS_CONVERGED);
        assert_true(refined.iterations > 0 && refined.iterations <= 20);
        assert_true(refined.merit < plain.merit);
        assert_true(refined.method == BEAM_METHOD_BOBLRBF || refined.method == BEAM_METHOD_NETWORK);
        compare_numbers(&k[i], design, &refined, 0.5, &a);
        test_design_free(design);
        forget(&k[i]);
    }
    free_batch(b);
    free_world(w);
}

/* --- Devices --- */

static void test_absent(void **state)
{
    (void)state;
    beamg_setup setup = {.rooms = 0};
    char device[BEAMG_TEXT_BYTES], text[BEAMG_TEXT_BYTES];
    void *backend = NULL;
    assert_int_equal(beamg_backend_cuda.probe(text, sizeof text), 0);
    assert_string_equal(text, "1 device: 0: the device functions on the CPU (sm_90)");
    setup.device = 3;
    assert_int_equal(beamg_backend_cuda.open(&backend, &setup, device, text, sizeof text),
                     BEAMG_EXIT_ABSENT);
    assert_string_equal(text, "no CUDA device 3: there is 1");
    beam_gpu_emulate_devices(0);
    assert_int_equal(beamg_backend_cuda.open(&backend, &setup, device, text, sizeof text),
                     BEAMG_EXIT_ABSENT);
    assert_string_equal(text, "no CUDA device: no CUDA-capable device is detected");
    assert_int_equal(beamg_backend_cuda.probe(text, sizeof text), BEAMG_EXIT_ABSENT);
    beam_gpu_emulate_devices(1);
    assert_null(backend);
}

/* Everything in flight comes back broken, with the library's sentence. */
static void test_lost_device(void **state)
{
    (void)state;
    enum { BATCHES = 7 };
    const beamg_room rooms[] = {room(3, 5, 3, 2, 2)};
    world *w = new_world(1, rooms);
    test_random random = test_random_new(14);
    known k = know(&random, (beam_dims){3, 5, 3, 2}, 0.1);
    batch *b[BATCHES];
    beam_gpu_emulate_hold(true);
    for (unsigned i = 0; i < BATCHES; i++) {
        b[i] = batch_of(i, &k, 1, 6);
        if (i == BATCHES - 1) {
            beam_gpu_emulate_break();
        }
        submit(w, b[i]);
    }
    beam_gpu_emulate_hold(false);
    for (unsigned i = 0; i < BATCHES; i++) {
        const batch *back = collect(w);
        assert_int_equal(back->job.status, BEAMG_BROKEN);
        assert_non_null(strstr(back->job.why, "cudaErrorIllegalAddress"));
    }
    submit(w, b[0]);
    assert_int_equal(collect(w)->job.status, BEAMG_BROKEN);
    beam_gpu_emulate_mend();
    for (unsigned i = 0; i < BATCHES; i++) {
        assert_true(b[i]->back);
        free_batch(b[i]);
    }
    forget(&k);
    free_world(w);
}

/* The paper's network: of its size only, beside rooms that are not; exchanged for the other kind
 * and back. */
static void test_mlp(void **state)
{
    (void)state;
    enum { SCENES = 12 };
    const beamg_room rooms[] = {room(2, 16, 6, 3, 16)};
    world *w = new_world(1, rooms);
    const beam_model_info *info = &w->file[3].info;
    const beam_dims dims = {info->stations, info->antennas, info->users, info->targets};
    beam_model *model;
    void *memory = load_model(&w->file[3], &model);
    w->setup.room[w->setup.rooms++] =
        room(dims.stations, dims.antennas, dims.users, dims.targets, SCENES);
    use_model(w, 3);
    if (set_up(w) != 0) {
        fail_msg("%s", w->why);
    }
    test_random random = test_random_new(15);
    known k[SCENES], other = know(&random, (beam_dims){2, 16, 2, 2}, 0.1);
    batch *b = new_batch(0, SCENES + 1, SCENES + 1);
    for (int i = 0; i < SCENES; i++) {
        k[i] = know(&random, dims, 0.1);
        for (int u = 0; u < dims.users; u++) { /* as many at every station */
            k[i].scene->user_station[u] = u % dims.stations;
        }
        test_solver_free(k[i].solver);
        test_evaluator_free(k[i].evaluator);
        k[i] = know_scene(k[i].scene);
        ask(b, add_scene(b, k[i].scene, &k[i].ideal, NULL, false), 0.4, NULL, 0, 0);
    }
    ask(b, add_scene(b, other.scene, &other.ideal, NULL, false), 0.4, NULL, 0, 0);
    assert_int_equal(run(w, b), BEAMG_OK);
    agreement a = {0};
    for (uint32_t i = 0; i < SCENES; i++) {
        compare(&k[i], model, 0.4, NULL, b, i, &a);
    }
    assert_agreement(&a);
    assert_int_equal(code_of(b, SCENES), BEAM_E_LIMIT);
    use_model(w, 0);
    assert_int_equal(set_up(w), 0);
    assert_int_equal(run(w, b), BEAMG_OK);
    assert_int_equal(code_of(b, 0), BEAM_OK);
    assert_int_equal(code_of(b, SCENES), BEAM_OK);
    free_batch(b);
    for (int i = 0; i < SCENES; i++) {
        forget(&k[i]);
    }
    forget(&other);
    free(memory);
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_engines_answers),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cluster_places),
        cmocka_unit_test(test_many_clusters),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_another_model),
        cmocka_unit_test(test_refused_setups),
        cmocka_unit_test(test_refused_problems),
        cmocka_unit_test(test_refine),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_lost_device),
        cmocka_unit_test(test_mlp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
