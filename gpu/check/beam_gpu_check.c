/* beam_gpu_check: every operation of the device against the float64 engine, then timings; one line
 * of JSON per size. Exit status: 0 agreed, 1 not, 2 a call failed, 77 no device (a skip in ctest).
 *
 *   beam_gpu_check [--cases N] [--bench] [--device D] [--size NAME] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "beam/gpu.h"
#include "beam/network.h"
#include "common/random.h"
#include "network/model.h"
#include "solver/solver_internal.h"

enum { SKIPPED = 77, FAILED = 2, DISAGREED = 1, SCENES = 64, REPEATS = 15 };

/* Stated in docs/gpu.md. */
static const double certificate_bound = 1e-9, crlb_bound = 1e-8, search_bound = 1e-3,
                    classical_bound = 1e-3, network_bound = 1e-2;

typedef struct options {
    int cases, device;
    bool bench;
    const char *size; /* NULL: all */
} options;

/* One size: scenes whose radius, geometry and preference vary. */
typedef struct size_case {
    const char *name;
    beam_dims dims;
    int batches[5]; /* to time; 0 ends */
} size_case;

static const size_case sizes[] = {
    {"paper", {3, 5, 3, 2}, {1, 64, 1024, 16384}},
    {"overload", {2, 4, 6, 1}, {1024}},
    {"wide16", {4, 16, 8, 3}, {137}},
    {"wide64", {3, 64, 24, 4}, {137}},
};

/* A size's engine and device objects. */
typedef struct bench {
    const size_case *size;
    beam_gpu *gpu;
    const beam_model *model;
    beam_scene *scene[SCENES];
    beam_solver *solver[SCENES];
    beam_evaluator *evaluator[SCENES];
    beam_ideal ideal[SCENES];
    int scenes, batch;
} bench;

typedef struct found {
    int answers, wrong;
    double certificate, crlb, search, classical, network_mean;
    int network_apart;
} found;

static void give_up(const char *what, const beam_gpu_error *err)
{
    fprintf(stderr, "beam_gpu_check: %s: %s\n", what, err->text);
    exit(err->code == BEAM_GPU_E_NO_DEVICE ? SKIPPED : FAILED);
}

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void round_channels(beam_scene *s)
{
    const int n = s->dims.stations * s->dims.users * s->dims.antennas;
    for (int i = 0; i < n; i++) { /* through memory: see tests/gpu/case.c */
        volatile float re = (float)s->channel[i].re, im = (float)s->channel[i].im;
        s->channel[i].re = (double)re;
        s->channel[i].im = (double)im;
    }
}

/* The scene of cluster k, its engine objects, and its constants on the device. */
static void add_scene(bench *b, int k)
{
    static const double radii[] = {0, 0.05, 0.1, 0.2};
    beam_error err = {0};
    beam_gpu_error gpu_err = {0};
    test_random random = test_random_new((uint64_t)(31 * k + 7));
    beam_scene *scene = test_random_scene(&random, &b->size->dims, radii[k % 4]);
    round_channels(scene);
    beam_solver *s = test_solver_new(&scene->dims);
    beam_design *sensing = test_design_new(&scene->dims, -1);
    test_must(beam_solver_load(s, scene, &err), &err, "load");
    test_must(beam_solver_compute_sensing_end(s, &err), &err, "sensing end");
    test_must(beam_solver_prepare(s, &err), &err, "prepare");
    beam_classical_compose(&s->problem, s->unit, 1.0, s->candidate.x);
    (void)beam_solver_measure(s, &s->candidate);
    b->ideal[k] = (beam_ideal){1.5 * s->candidate.wsr, s->ideal.crlb_min_m2};
    test_must(beam_solver_set_ideal(s, &b->ideal[k], &err), &err, "ideal");
    beam_problem_export(&s->problem, s->sensing, sensing);
    if (beam_gpu_set_cluster(b->gpu, k, scene, sensing, &gpu_err)) {
        give_up("set_cluster", &gpu_err);
    }
    b->evaluator[k] = test_evaluator_new(&scene->dims, beam_design_sensing_max(&scene->dims));
    test_must(beam_evaluator_load(b->evaluator[k], scene, &err), &err, "evaluator");
    b->scene[k] = scene;
    b->solver[k] = s;
    test_design_free(sensing);
}

static double tradeoff_of(int i)
{
    return (i * 37 % 101) / 100.0;
}

static void run_batch(bench *b, int count, const beam_gpu_request *requests,
                      beam_gpu_answer *answers)
{
    beam_gpu_error err = {0};
    int slot = 0;
    if (beam_gpu_submit(b->gpu, count, requests, &slot, &err) ||
        beam_gpu_collect(b->gpu, slot, 1, answers, &err)) {
        give_up("batch", &err);
    }
}

/* One answer against the engine. */
static void check_answer(bench *b, int i, const beam_gpu_answer *a, beam_inference *inference,
                         beam_design *scratch, found *f)
{
    const int k = i % b->scenes;
    beam_error err = {0};
    beam_quality q;
    beam_result result, classical;
    beam_inference_detail detail = {.network_merit = INFINITY};
    beam_network_request r = {.solver = b->solver[k],
                              .tradeoff = tradeoff_of(i),
                              .out = scratch,
                              .result = &result,
                              .detail = &detail};
    f->answers++;
    if (a->choice == BEAM_GPU_CHOICE_NONE ||
        beam_evaluator_run(b->evaluator[k], a->out, &q, &err)) {
        f->wrong++;
        return;
    }
    test_must(beam_inference_run(inference, b->model, 1, &r, &err), &err, "inference");
    test_must(beam_solver_classical(b->solver[k], BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                    r.tradeoff, scratch, &classical, &err),
              &err, "classical");
    const double rate = fabs(a->wsr_worst_case_bps_hz - q.wsr_worst_case_bps_hz) /
                        fmax(q.wsr_worst_case_bps_hz, 1e-3);
    const double crlb = q.crlb_valid ? fabs(a->crlb_m2 / q.crlb_m2 - 1) : 0;
    const double search =
        fabs(a->search_merit - a->classical_merit) / (1 + fabs(a->classical_merit));
    const double worse = (a->classical_merit - classical.merit) / (1 + fabs(classical.merit));
    const double network =
        (a->network_merit - detail.network_merit) / (1 + fabs(detail.network_merit));
    f->certificate = fmax(f->certificate, rate);
    f->crlb = fmax(f->crlb, crlb);
    f->search = fmax(f->search, search);
    f->classical = fmax(f->classical, worse);
    f->network_mean += network;
    f->network_apart += !(fabs(network) <= network_bound);
    f->wrong += !(rate <= certificate_bound) || !(crlb <= crlb_bound) || !(q.power_excess <= 0) ||
                !(search <= search_bound) || !(worse <= classical_bound) ||
                !(a->merit <= a->classical_merit);
}

static bool verify(bench *b, int cases)
{
    found f = {0};
    const size_t count = (size_t)cases;
    beam_gpu_request *requests = test_memory(count * sizeof *requests);
    beam_gpu_answer *answers = test_memory(count * sizeof *answers);
    beam_design *scratch = test_design_new(&b->size->dims, -1);
    beam_inference *inference = NULL;
    beam_error err = {0};
    const beam_model_info *info = beam_model_info_of(b->model);
    const size_t bytes = beam_inference_memsize(info, &b->size->dims, 1);
    test_must(
        beam_inference_init(&inference, info, &b->size->dims, 1, test_memory(bytes), bytes, &err),
        &err, "inference");
    for (int i = 0; i < cases; i++) {
        const int k = i % b->scenes;
        requests[i] = (beam_gpu_request){
            .cluster = k, .scene = b->scene[k], .ideal = b->ideal[k], .tradeoff = tradeoff_of(i)};
        answers[i] = (beam_gpu_answer){.out = test_design_new(&b->size->dims, -1)};
    }
    for (int i = 0; i < cases; i += b->batch) {
        const int n = cases - i < b->batch ? cases - i : b->batch;
        run_batch(b, n, requests + i, answers + i);
    }
    for (int i = 0; i < cases; i++) {
        check_answer(b, i, &answers[i], inference, scratch, &f);
        test_design_free(answers[i].out);
    }
    const bool agreed = f.wrong == 0 && 100 * f.network_apart <= 5 * f.answers &&
                        fabs(f.network_mean / f.answers) <= network_bound;
    printf("{\"size\":\"%s\",\"operation\":\"answer\",\"answers\":%d,\"wrong\":%d,"
           "\"certificate\":%.2e,\"crlb\":%.2e,\"search_float32\":%.2e,\"classical_worse\":%.2e,"
           "\"network_mean_gap\":%.2e,\"network_beyond_1pct\":%d,\"agreed\":%s}\n",
           b->size->name, f.answers, f.wrong, f.certificate, f.crlb, f.search, f.classical,
           f.network_mean / f.answers, f.network_apart, agreed ? "true" : "false");
    test_design_free(scratch);
    free(answers);
    free(requests);
    return agreed;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void time_batch(bench *b, int count)
{
    double device_ms[REPEATS], wall_ms[REPEATS];
    beam_gpu_info info;
    beam_gpu_error err = {0};
    beam_gpu_request *requests = test_memory((size_t)count * sizeof *requests);
    beam_gpu_answer *answers = test_memory((size_t)count * sizeof *answers);
    memset(answers, 0, (size_t)count * sizeof *answers);
    for (int i = 0; i < count; i++) {
        const int k = i % b->scenes;
        requests[i] = (beam_gpu_request){
            .cluster = k, .scene = b->scene[k], .ideal = b->ideal[k], .tradeoff = tradeoff_of(i)};
    }
    run_batch(b, count, requests, answers);
    for (int i = 0; i < REPEATS; i++) {
        const double start = now_s();
        run_batch(b, count, requests, answers);
        wall_ms[i] = 1e3 * (now_s() - start);
        if (beam_gpu_info_of(b->gpu, &info, &err)) {
            give_up("info", &err);
        }
        device_ms[i] = info.last_batch_ms;
    }
    qsort(device_ms, REPEATS, sizeof *device_ms, ascending);
    qsort(wall_ms, REPEATS, sizeof *wall_ms, ascending);
    printf("{\"size\":\"%s\",\"operation\":\"time\",\"batch\":%d,\"device_ms\":%.4f,"
           "\"device_ms_max\":%.4f,\"end_to_end_ms\":%.4f,\"answers_per_s\":%.4g}\n",
           b->size->name, count, device_ms[REPEATS / 2], device_ms[REPEATS - 1],
           wall_ms[REPEATS / 2], 1e3 * count / device_ms[REPEATS / 2]);
    free(answers);
    free(requests);
}

static bool run_size(const size_case *size, const beam_model *model, const options *o)
{
    beam_gpu_error err = {0};
    beam_gpu_info info;
    bench b = {.size = size, .model = model, .batch = 1024, .scenes = SCENES};
    const beam_gpu_options gpu_options = {.clusters_max = SCENES, .slots = 1, .spin = 1};
    for (int i = 0; o->bench && i < 5 && size->batches[i] > 0; i++) {
        b.batch = size->batches[i] > b.batch ? size->batches[i] : b.batch;
    }
    if (beam_gpu_create(&b.gpu, o->device, &gpu_options, &err) ||
        beam_gpu_load_model(b.gpu, model->info.layers, model->info.width, model->theta, &err) ||
        beam_gpu_prepare(b.gpu, &size->dims, 0, b.batch, &err) ||
        beam_gpu_info_of(b.gpu, &info, &err)) {
        give_up(size->name, &err);
    }
    printf("{\"size\":\"%s\",\"device\":\"%s\",\"multiprocessors\":%d,\"clock_khz\":%d,"
           "\"shared_bytes\":%d,\"slow_bytes\":%d,\"problems_per_multiprocessor\":%d,\"lanes\":%d,"
           "\"request_bytes\":%d,\"answer_bytes\":%d}\n",
           size->name, info.device, info.multiprocessors, info.clock_khz, info.shared_bytes,
           info.slow_bytes, info.problems_per_multiprocessor, info.lanes, info.request_bytes,
           info.answer_bytes);
    for (int k = 0; k < b.scenes; k++) {
        add_scene(&b, k);
    }
    const bool agreed = o->cases == 0 || verify(&b, o->cases);
    for (int i = 0; o->bench && i < 5 && size->batches[i] > 0; i++) {
        time_batch(&b, size->batches[i]);
    }
    for (int k = 0; k < b.scenes; k++) {
        test_scene_free(b.scene[k]);
        test_solver_free(b.solver[k]);
        test_evaluator_free(b.evaluator[k]);
    }
    beam_gpu_destroy(b.gpu);
    return agreed;
}

static const beam_model *shipped_model(void)
{
    size_t size = 0;
    beam_error err = {0};
    beam_model_info info;
    beam_model *model = NULL;
    const void *bytes = beam_model_embedded(&size);
    if (!bytes) {
        fprintf(stderr, "beam_gpu_check: built without a model\n");
        exit(FAILED);
    }
    test_must(beam_model_inspect(bytes, size, &info, &err), &err, "inspect");
    const size_t need = beam_model_memsize(&info);
    test_must(beam_model_load(&model, bytes, size, test_memory(need), need, &err), &err, "model");
    return model;
}

static options read_options(int argc, char **argv)
{
    options o = {.cases = 1000};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0) {
            o.bench = true;
        } else if (strcmp(argv[i], "--cases") == 0 && i + 1 < argc) {
            o.cases = (int)strtol(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--size") == 0 && i + 1 < argc) {
            o.size = argv[++i];
        } else if (strcmp(argv[i], "--device") == 0 && i + 1 < argc) {
            o.device = (int)strtol(argv[++i], NULL, 10);
        } else {
            fprintf(stderr,
                    "usage: beam_gpu_check [--cases N] [--bench] [--device D] [--size NAME]\n");
            exit(FAILED);
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    const options o = read_options(argc, argv);
    beam_gpu_error err = {0};
    if (beam_gpu_devices(&err) == 0) {
        printf("skipped: %s\n", err.text);
        return SKIPPED;
    }
    if (o.cases == 0 && !o.bench) { /* only whether there is a device */
        return 0;
    }
    const beam_model *model = shipped_model();
    bool agreed = true;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (!o.size || strcmp(o.size, sizes[i].name) == 0) {
            agreed = run_size(&sizes[i], model, &o) && agreed;
        }
        (void)fflush(stdout);
    }
    return agreed ? 0 : DISAGREED;
}
