/* The resident context (gpu/context.cu, gpu/slot.cu) itself, compiled for the host on a runtime of
 * the tests' own whose streams work late and in any order (tests/gpu/runtime). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "beam/gpu.h"
#include "common/random.h"
#include "common/untrained.h"
#include "gpu/runtime/runtime.h"
#include "network/model.h"
#include "plan.h"

enum { SCENES = 12, MODELS = 3, CLUSTERS = 6, SLOTS = 3, BATCH = 11, ROUNDS = 1500 };
enum { LAYERS = 2, WIDTH = 8 };

static const beam_dims most = {.stations = 2, .antennas = 3, .users = 4, .targets = 2};

/* What a scene's answer is with a model: numbers and beams. */
typedef struct reference {
    beam_gpu_answer answer;
    beam_design *out;
} reference;

typedef struct fixture {
    beam_model *model[MODELS];
    beam_scene *scene[SCENES];
    beam_design *sensing[SCENES];
    beam_gpu_request request[SCENES]; /* but the cluster */
    reference want[MODELS][SCENES];
} fixture;

static void must(beam_gpu_code code, const beam_gpu_error *err)
{
    if (code) {
        fail_msg("%d: %s", (int)code, err->text);
    }
}

static beam_gpu *new_gpu(const fixture *f, const beam_gpu_options *options, int max_batch)
{
    beam_gpu *gpu = NULL;
    beam_gpu_error err = {0};
    must(beam_gpu_create(&gpu, 0, options, &err), &err);
    must(beam_gpu_load_model(gpu, LAYERS, WIDTH, f->model[0]->theta, &err), &err);
    must(beam_gpu_prepare(gpu, &most, 0, max_batch, &err), &err);
    return gpu;
}

static void end_gpu(beam_gpu *gpu)
{
    beam_gpu_destroy(gpu);
    assert_string_equal(test_runtime.misuse, "");
    assert_int_equal(test_runtime.objects, 0);
}

/* One scene after the other, each alone. */
static void make_references(fixture *f)
{
    const beam_gpu_options options = {.clusters_max = 1, .slots = 1};
    beam_gpu_error err = {0};
    test_runtime_reset(1);
    beam_gpu *gpu = new_gpu(f, &options, 1);
    for (int i = 0; i < MODELS * SCENES; i++) {
        const int m = i / SCENES, k = i % SCENES;
        int slot = 0;
        reference *r = &f->want[m][k];
        r->out = test_design_new(&f->scene[k]->dims, -1);
        r->answer.out = r->out;
        f->request[k].cluster = 0;
        must(beam_gpu_load_model(gpu, LAYERS, WIDTH, f->model[m]->theta, &err), &err);
        must(beam_gpu_set_cluster(gpu, 0, f->scene[k], f->sensing[k], &err), &err);
        must(beam_gpu_submit(gpu, 1, &f->request[k], &slot, &err), &err);
        must(beam_gpu_collect(gpu, slot, 1, &r->answer, &err), &err);
    }
    end_gpu(gpu);
}

/* The exact numbers are those of the beams: the references mean something. */
static void check_references(const fixture *f)
{
    for (int k = 0; k < SCENES; k++) {
        beam_error err = {0};
        beam_quality q;
        const beam_gpu_answer *a = &f->want[0][k].answer;
        beam_evaluator *evaluator =
            test_evaluator_new(&f->scene[k]->dims, beam_design_sensing_max(&f->scene[k]->dims));
        test_must(beam_evaluator_load(evaluator, f->scene[k], &err), &err, "evaluator");
        test_must(beam_evaluator_run(evaluator, a->out, &q, &err), &err, "evaluator");
        assert_true(fabs(a->wsr_worst_case_bps_hz - q.wsr_worst_case_bps_hz) <=
                    1e-9 * (1e-3 + q.wsr_worst_case_bps_hz));
        test_evaluator_free(evaluator);
    }
}

static int set_up(void **state)
{
    fixture *f = test_memory(sizeof *f);
    memset(f, 0, sizeof *f);
    test_random random = test_random_new(77);
    for (int m = 0; m < MODELS; m++) {
        f->model[m] = test_model_new(LAYERS, WIDTH, TEST_WEIGHTS_RANDOM, (uint64_t)(m + 1));
    }
    for (int k = 0; k < SCENES; k++) {
        beam_dims d = most;
        d.users = k == 0 ? 0 : test_random_int(&random, 1, most.users);
        d.targets = test_random_int(&random, 1, most.targets);
        f->scene[k] = test_random_scene(&random, &d, 0.1);
        f->scene[k]->skip_unidentifiable = true;
        for (int i = 0; i < d.stations * d.users * d.antennas; i++) { /* as the device gets them */
            volatile float re = (float)f->scene[k]->channel[i].re,
                           im = (float)f->scene[k]->channel[i].im;
            f->scene[k]->channel[i] = (beam_complex){(double)re, (double)im};
        }
        f->sensing[k] = test_random_design(&random, f->scene[k], beam_gpu_sensing_rows(&d));
        f->request[k] = (beam_gpu_request){.scene = f->scene[k],
                                           .ideal = {.wsr_ideal_bps_hz = 10, .crlb_min_m2 = 0.01},
                                           .tradeoff = 0.3};
    }
    make_references(f);
    check_references(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (int k = 0; k < SCENES; k++) {
        test_scene_free(f->scene[k]);
        test_design_free(f->sensing[k]);
        for (int m = 0; m < MODELS; m++) {
            test_design_free(f->want[m][k].out);
        }
    }
    for (int m = 0; m < MODELS; m++) {
        test_model_free(f->model[m]);
    }
    free(f);
    return 0;
}

/* --- Many batches in flight --------------------------------------------------------------------
 */

typedef struct flight {
    int count, model, refine;
    int scene[BATCH];
    int cluster[BATCH];
} flight;

typedef struct traffic {
    const fixture *f;
    beam_gpu *gpu;
    test_random random;
    flight flight[SLOTS];
    int scene_of[CLUSTERS]; /* set there; -1: none */
    int model, sets, refused_sets, batches, refused_batches, not_done, swaps;
} traffic;

static int uses(const traffic *t, int cluster)
{
    int used = 0;
    for (int s = 0; s < SLOTS; s++) {
        for (int i = 0; i < t->flight[s].count; i++) {
            used += t->flight[s].cluster[i] == cluster;
        }
    }
    return used;
}

static void set_some_cluster(traffic *t)
{
    beam_gpu_error err = {0};
    const int cluster = test_random_int(&t->random, 0, CLUSTERS - 1),
              k = test_random_int(&t->random, 0, SCENES - 1), busy = uses(t, cluster);
    assert_int_equal(beam_gpu_cluster_busy(t->gpu, cluster), busy);
    const beam_gpu_code code =
        beam_gpu_set_cluster(t->gpu, cluster, t->f->scene[k], t->f->sensing[k], &err);
    if (busy > 0) {
        assert_int_equal(code, BEAM_GPU_E_BUSY);
        t->refused_sets++;
        return;
    }
    must(code, &err);
    t->scene_of[cluster] = k;
    t->sets++;
}

static void submit_some(traffic *t)
{
    beam_gpu_error err = {0};
    beam_gpu_request requests[BATCH];
    flight next = {.model = t->model, .count = test_random_int(&t->random, 1, BATCH)};
    int slot = -1, busy = 0;
    for (int i = 0; i < next.count; i++) {
        const int cluster = test_random_int(&t->random, 0, CLUSTERS - 1);
        if (t->scene_of[cluster] < 0) {
            return;
        }
        next.cluster[i] = cluster;
        next.scene[i] = t->scene_of[cluster];
        requests[i] = t->f->request[next.scene[i]];
        requests[i].cluster = cluster;
        requests[i].refine = test_random_int(&t->random, 0, 9) == 0 ? 5 : 0;
        next.refine += requests[i].refine > 0 ? 1 << i : 0;
    }
    for (int s = 0; s < SLOTS; s++) {
        busy += t->flight[s].count > 0;
    }
    const beam_gpu_code code = beam_gpu_submit(t->gpu, next.count, requests, &slot, &err);
    memset(requests, 0xff, sizeof requests); /* they were copied */
    if (busy == SLOTS) {
        assert_int_equal(code, BEAM_GPU_E_BUSY);
        t->refused_batches++;
        return;
    }
    must(code, &err);
    assert_in_range(slot, 0, SLOTS - 1);
    assert_int_equal(t->flight[slot].count, 0);
    t->flight[slot] = next;
    t->batches++;
}

static void compare_answers(const traffic *t, const flight *f, const beam_gpu_answer *got)
{
    for (int i = 0; i < f->count; i++) {
        const int k = f->scene[i];
        const reference *want = &t->f->want[f->model][k];
        const beam_dims *d = &t->f->scene[k]->dims;
        assert_int_equal(got[i].choice, want->answer.choice);
        assert_true(got[i].merit == want->answer.merit);
        assert_true(got[i].wsr_worst_case_bps_hz == want->answer.wsr_worst_case_bps_hz);
        assert_true(got[i].network_merit == want->answer.network_merit);
        assert_int_equal(got[i].refined, f->refine >> i & 1 ? 5 : 0);
        assert_memory_equal(got[i].out->beams, want->out->beams,
                            (size_t)(d->users * d->antennas) * sizeof *want->out->beams);
    }
}

static void collect_some(traffic *t, int slot, int wait)
{
    beam_gpu_error err = {0};
    beam_gpu_answer got[BATCH];
    flight *f = &t->flight[slot];
    memset(got, 0, sizeof got);
    for (int i = 0; i < f->count; i++) {
        got[i].out = test_design_new(&t->f->scene[f->scene[i]]->dims, -1);
    }
    const beam_gpu_code code = beam_gpu_collect(t->gpu, slot, wait, got, &err);
    if (f->count == 0) {
        assert_int_equal(code, BEAM_GPU_E_INVALID);
        return;
    }
    if (code == BEAM_GPU_E_BUSY && !wait) {
        t->not_done++;
    } else {
        must(code, &err);
        compare_answers(t, f, got);
    }
    for (int i = 0; i < f->count; i++) {
        test_design_free(got[i].out);
    }
    f->count = code ? f->count : 0;
}

static void swap_model(traffic *t)
{
    beam_gpu_error err = {0};
    t->model = test_random_int(&t->random, 0, MODELS - 1);
    must(beam_gpu_load_model(t->gpu, LAYERS, WIDTH, t->f->model[t->model]->theta, &err), &err);
    t->swaps++;
}

/* Clusters change, batches come and are collected, models are swapped, and streams work, all in a
 * random order: every answer is that of its scene and model alone. Nothing is allocated. */
static void many_in_flight(void **state)
{
    const beam_gpu_options options = {.clusters_max = CLUSTERS, .slots = SLOTS};
    for (unsigned seed = 1; seed <= 4; seed++) {
        test_runtime_reset(seed);
        test_runtime.shared_bytes = 64 << 10;
        traffic t = {.f = *state, .random = test_random_new(seed)};
        t.gpu = new_gpu(t.f, &options, BATCH);
        memset(t.scene_of, 0xff, sizeof t.scene_of);
        const int allocations = test_runtime.allocations;
        for (int round = 0; round < ROUNDS; round++) {
            const int what = test_random_int(&t.random, 0, 99);
            if (what < 25) {
                set_some_cluster(&t);
            } else if (what < 45) {
                submit_some(&t);
            } else if (what < 65) {
                collect_some(&t, test_random_int(&t.random, 0, SLOTS - 1), what < 48);
            } else if (what < 70) {
                swap_model(&t);
            } else {
                (void)test_runtime_step();
            }
            assert_string_equal(test_runtime.misuse, "");
        }
        assert_int_equal(test_runtime.allocations, allocations);
        print_message(
            "%d clusters set, %d refused; %d batches, %d refused; %d not done; %d models\n", t.sets,
            t.refused_sets, t.batches, t.refused_batches, t.not_done, t.swaps);
        assert_true(t.sets > 30 && t.refused_sets > 10 && t.batches > 50 &&
                    t.refused_batches > 10 && t.not_done > 10 && t.swaps > 10);
        assert_true(test_runtime.refinements > 10 && test_runtime.copies_changed > 0);
        /* more than one shape was used */
        assert_true((test_runtime.fast_seen & (test_runtime.fast_seen - 1)) != 0);
        end_gpu(t.gpu); /* with batches in flight */
    }
}

/* More clusters at once than the memory of their uploads has room for. */
static void many_clusters(void **state)
{
    enum { MANY = 20000 };
    const fixture *f = *state;
    const beam_gpu_options options = {.clusters_max = MANY, .slots = 1};
    beam_gpu_error err = {0};
    beam_gpu_info info;
    test_runtime_reset(3);
    beam_gpu *gpu = new_gpu(f, &options, BATCH);
    must(beam_gpu_info_of(gpu, &info, &err), &err);
    assert_true(info.cluster_bytes > (8 << 20) / MANY);
    for (int i = 0; i < MANY; i++) {
        const int k = i % SCENES;
        must(beam_gpu_set_cluster(gpu, i, f->scene[k], f->sensing[k], &err), &err);
    }
    for (int i = 0; i < MANY; i += 97) {
        const int k = i % SCENES;
        beam_gpu_request r = f->request[k];
        beam_gpu_answer got = {.out = NULL};
        int slot = 0;
        r.cluster = i;
        must(beam_gpu_submit(gpu, 1, &r, &slot, &err), &err);
        must(beam_gpu_collect(gpu, slot, 1, &got, &err), &err);
        assert_true(got.merit == f->want[0][k].answer.merit);
    }
    end_gpu(gpu);
}

/* A refused cluster leaves what was there. */
static void refused_cluster(void **state)
{
    const fixture *f = *state;
    const beam_gpu_options options = {.clusters_max = 2, .slots = 1};
    beam_gpu_error err = {0};
    beam_gpu_answer got = {.out = NULL};
    const beam_dims large = {most.stations, most.antennas, most.users + 1, most.targets};
    test_random random = test_random_new(2);
    beam_scene *scene = test_random_scene(&random, &large, 0.1);
    beam_design *sensing = test_design_new(&large, -1);
    int slot = 0;
    test_runtime_reset(4);
    beam_gpu *gpu = new_gpu(f, &options, BATCH);
    must(beam_gpu_set_cluster(gpu, 0, f->scene[3], f->sensing[3], &err), &err);
    assert_int_equal(beam_gpu_set_cluster(gpu, 0, scene, sensing, &err), BEAM_GPU_E_LIMIT);
    assert_int_equal(beam_gpu_set_cluster(gpu, 2, f->scene[3], f->sensing[3], &err),
                     BEAM_GPU_E_INVALID);
    assert_int_equal(beam_gpu_cluster_busy(gpu, 2), 0);
    beam_gpu_request r = f->request[3];
    r.cluster = 0;
    must(beam_gpu_submit(gpu, 1, &r, &slot, &err), &err);
    must(beam_gpu_collect(gpu, slot, 1, &got, &err), &err);
    assert_true(got.merit == f->want[0][3].answer.merit);
    r.cluster = 1;
    assert_int_equal(beam_gpu_submit(gpu, 1, &r, &slot, &err), BEAM_GPU_E_INVALID);
    end_gpu(gpu);
    test_scene_free(scene);
    test_design_free(sensing);
}

/* --- Waiting -----------------------------------------------------------------------------------
 */

/* Whoever reads the descriptor finds a batch done at once. */
static void sleeps_until_done(void **state)
{
    const fixture *f = *state;
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const beam_gpu_options options = {.clusters_max = 1, .slots = 2, .done_fd = fd};
    beam_gpu_error err = {0};
    beam_gpu_answer got = {.out = NULL};
    uint64_t times = 0;
    int slot[2] = {0};
    test_runtime_reset(5);
    beam_gpu *gpu = new_gpu(f, &options, 1);
    must(beam_gpu_set_cluster(gpu, 0, f->scene[1], f->sensing[1], &err), &err);
    beam_gpu_request r = f->request[1];
    r.cluster = 0;
    must(beam_gpu_submit(gpu, 1, &r, &slot[0], &err), &err);
    must(beam_gpu_submit(gpu, 1, &r, &slot[1], &err), &err);
    assert_int_equal(read(fd, &times, sizeof times), -1);
    for (int found = 0; found < 2;) {
        assert_true(test_runtime_step());
        if (read(fd, &times, sizeof times) == (ssize_t)sizeof times) {
            int done = 0;
            for (int i = 0; i < 2; i++) {
                if (slot[i] >= 0 && !beam_gpu_collect(gpu, slot[i], 0, &got, &err)) {
                    slot[i] = -1;
                    done++;
                }
            }
            assert_true(done >= 1);
            found += done;
        }
    }
    end_gpu(gpu);
    (void)close(fd);
}

/* --- Copies ------------------------------------------------------------------------------------
 */

/* A small batch of small problems copies less than there is room for, and the same batch again
 * changes no graph. */
static void copies_what_is_used(void **state)
{
    enum { MOST = 512, COUNT = 300 };
    const fixture *f = *state;
    const beam_gpu_options options = {.clusters_max = 1, .slots = 1};
    beam_gpu_error err = {0};
    beam_gpu_info info;
    beam_gpu_request *requests = test_memory(COUNT * sizeof *requests);
    beam_gpu_answer *answers = test_memory(COUNT * sizeof *answers);
    size_t copied = 0;
    int changed = 0;
    memset(answers, 0, COUNT * sizeof *answers);
    test_runtime_reset(6);
    beam_gpu *gpu = new_gpu(f, &options, MOST);
    must(beam_gpu_set_cluster(gpu, 0, f->scene[0], f->sensing[0], &err), &err); /* no users */
    must(beam_gpu_info_of(gpu, &info, &err), &err);
    for (int i = 0; i < COUNT; i++) {
        requests[i] = f->request[0];
        requests[i].cluster = 0;
    }
    for (int round = 0; round < 3; round++) {
        int slot = 0;
        copied = test_runtime.copied_bytes;
        changed = test_runtime.copies_changed;
        must(beam_gpu_submit(gpu, COUNT, requests, &slot, &err), &err);
        must(beam_gpu_collect(gpu, slot, 1, answers, &err), &err);
        assert_true(answers[COUNT - 1].merit == f->want[0][0].answer.merit);
        copied = test_runtime.copied_bytes - copied;
        assert_true((changed == test_runtime.copies_changed) == (round > 0));
    }
    assert_true(copied < (size_t)COUNT * (size_t)info.request_bytes);
    end_gpu(gpu);
    free(answers);
    free(requests);
}

/* --- Errors ------------------------------------------------------------------------------------
 */

/* The device is lost at any moment: an error that names the call, then nothing but that error, and
 * destroy ends. */
static void lost_device(void **state)
{
    const fixture *f = *state;
    const beam_gpu_options options = {.clusters_max = 1, .slots = 2};
    int found = 0;
    for (int after = 0; after < 12; after++) {
        beam_gpu_error err = {0};
        beam_gpu_answer got = {.out = NULL};
        int slot = 0;
        test_runtime_reset((unsigned)after + 1);
        beam_gpu *gpu = new_gpu(f, &options, 1);
        beam_gpu_request r = f->request[1];
        r.cluster = 0;
        test_runtime.lost_after = after;
        beam_gpu_code code = BEAM_GPU_OK;
        for (int i = 0; !code && i < 8; i++) {
            code = beam_gpu_set_cluster(gpu, 0, f->scene[1], f->sensing[1], &err);
            code = code ? code : beam_gpu_submit(gpu, 1, &r, &slot, &err);
            code = code ? code : beam_gpu_collect(gpu, slot, 1, &got, &err);
        }
        if (code) {
            found++;
            assert_int_equal(code, BEAM_GPU_E_DEVICE);
            assert_non_null(strstr(err.text, "cuda"));
            assert_non_null(strstr(err.text, "cudaErrorIllegalAddress"));
            assert_int_equal(beam_gpu_submit(gpu, 1, &r, &slot, &err), BEAM_GPU_E_DEVICE);
            assert_int_equal(beam_gpu_collect(gpu, slot, 1, &got, &err), BEAM_GPU_E_DEVICE);
            assert_int_equal(beam_gpu_set_cluster(gpu, 0, f->scene[1], f->sensing[1], &err),
                             BEAM_GPU_E_DEVICE);
        }
        beam_gpu_destroy(gpu);
        assert_string_equal(test_runtime.misuse, "");
    }
    assert_int_equal(found, 12);
}

/* No device; memory that ends at any point of prepare: a code, and nothing left behind. */
static void nothing_there(void **state)
{
    const fixture *f = *state;
    const beam_gpu_options options = {.clusters_max = 4, .slots = 2};
    beam_gpu_error err = {0};
    beam_gpu *gpu = NULL;
    int refused = 0;
    test_runtime_reset(7);
    test_runtime.devices = 0;
    assert_int_equal(beam_gpu_create(&gpu, 0, &options, &err), BEAM_GPU_E_NO_DEVICE);
    assert_null(gpu);
    for (size_t bytes = 0; bytes < 400000; bytes += 9973) {
        test_runtime_reset(7);
        test_runtime.memory_bytes = bytes;
        must(beam_gpu_create(&gpu, 0, &options, &err), &err);
        beam_gpu_code code = beam_gpu_load_model(gpu, LAYERS, WIDTH, f->model[0]->theta, &err);
        code = code ? code : beam_gpu_prepare(gpu, &most, 0, 4, &err);
        if (code) {
            assert_int_equal(code, BEAM_GPU_E_MEMORY);
            refused++;
        }
        end_gpu(gpu);
    }
    assert_true(refused > 3);
}

/* The order of the calls, and arguments. */
static void refused_calls(void **state)
{
    const fixture *f = *state;
    const beam_gpu_options options = {.clusters_max = 1, .slots = 1};
    const beam_gpu_options none = {.clusters_max = 0, .slots = 1},
                           five = {.clusters_max = 1, .slots = 5};
    beam_gpu_error err = {0};
    beam_gpu *gpu = NULL;
    beam_gpu_request r = f->request[1];
    int slot = 0;
    test_runtime_reset(8);
    assert_int_equal(beam_gpu_create(&gpu, 0, &none, &err), BEAM_GPU_E_INVALID);
    assert_int_equal(beam_gpu_create(&gpu, 0, &five, &err), BEAM_GPU_E_INVALID);
    assert_int_equal(beam_gpu_create(&gpu, 1, &options, &err), BEAM_GPU_E_INVALID);
    must(beam_gpu_create(&gpu, 0, &options, &err), &err);
    assert_int_equal(beam_gpu_prepare(gpu, &most, 0, 4, &err), BEAM_GPU_E_INVALID);
    must(beam_gpu_load_model(gpu, LAYERS, WIDTH, f->model[0]->theta, &err), &err);
    assert_int_equal(beam_gpu_submit(gpu, 1, &r, &slot, &err), BEAM_GPU_E_INVALID);
    assert_int_equal(beam_gpu_set_cluster(gpu, 0, f->scene[1], f->sensing[1], &err),
                     BEAM_GPU_E_INVALID);
    assert_int_equal(beam_gpu_prepare(gpu, &most, 0, 0, &err), BEAM_GPU_E_INVALID);
    must(beam_gpu_prepare(gpu, &most, 0, 4, &err), &err);
    assert_int_equal(beam_gpu_prepare(gpu, &most, 0, 4, &err), BEAM_GPU_E_INVALID);
    assert_int_equal(beam_gpu_load_model(gpu, LAYERS + 1, WIDTH, f->model[0]->theta, &err),
                     BEAM_GPU_E_INVALID);
    end_gpu(gpu);
    beam_gpu_destroy(NULL);
}

/* --- The paper's network -----------------------------------------------------------------------
 */

/* Of one size; every batch runs with the weights that were the last ones when it was started. */
static void mlp_models(void **state)
{
    const beam_dims size = {.stations = 2, .antennas = 3, .users = 4, .targets = 2};
    const beam_model_info info = {.kind = BEAM_MODEL_MLP,
                                  .layers = 2,
                                  .width = 4,
                                  .stations = 2,
                                  .antennas = 3,
                                  .users = 4,
                                  .targets = 2,
                                  .sensing_rows = beam_gpu_sensing_rows(&size),
                                  .parameters = 3};
    const beam_gpu_options options = {.clusters_max = 1, .slots = 2};
    const float theta[3] = {0};
    beam_gpu_error err = {0};
    beam_gpu_answer got = {.out = NULL};
    beam_gpu *gpu = NULL;
    test_random random = test_random_new(12);
    beam_scene *scene = test_random_scene(&random, &size, 0.1);
    beam_design *sensing = test_random_design(&random, scene, info.sensing_rows);
    (void)state;
    test_runtime_reset(9);
    test_runtime.mlp_fails = true;
    must(beam_gpu_create(&gpu, 0, &options, &err), &err);
    must(beam_gpu_load_mlp(gpu, &info, theta, &err), &err);
    assert_int_equal(beam_gpu_prepare(gpu, &size, 0, 4, &err), BEAM_GPU_E_INVALID);
    assert_string_equal(err.text, "mlp: there is no cuBLAS");
    end_gpu(gpu);
    test_runtime.mlp_fails = false;
    must(beam_gpu_create(&gpu, 0, &options, &err), &err);
    must(beam_gpu_load_mlp(gpu, &info, theta, &err), &err);
    assert_int_equal(beam_gpu_load_model(gpu, 1, 1, theta, &err), BEAM_GPU_E_INVALID);
    assert_int_equal(beam_gpu_prepare(gpu, &(beam_dims){2, 3, 3, 2}, 0, 4, &err), BEAM_GPU_E_LIMIT);
    must(beam_gpu_prepare(gpu, &size, 0, 4, &err), &err);
    for (int u = 0; u < 4; u++) {
        scene->user_station[u] = u == 0;
    }
    assert_int_equal(beam_gpu_set_cluster(gpu, 0, scene, sensing, &err), BEAM_GPU_E_LIMIT);
    for (int u = 0; u < 4; u++) {
        scene->user_station[u] = u % 2;
    }
    must(beam_gpu_set_cluster(gpu, 0, scene, sensing, &err), &err);
    const beam_gpu_request r = {
        .scene = scene, .ideal = {.wsr_ideal_bps_hz = 10, .crlb_min_m2 = 0.01}, .tradeoff = 0.3};
    for (int i = 0; i < 3; i++) {
        int slot = 0, other = 0;
        must(beam_gpu_submit(gpu, 1, &r, &slot, &err), &err);
        must(beam_gpu_collect(gpu, slot, 1, &got, &err), &err);
        const int set = test_runtime.mlp_set;
        must(beam_gpu_load_mlp(gpu, &info, theta, &err), &err);
        must(beam_gpu_submit(gpu, 1, &r, &other, &err), &err);
        must(beam_gpu_collect(gpu, other, 1, &got, &err), &err);
        assert_in_range(set, 0, 1);
        assert_int_equal(test_runtime.mlp_set, 1 - set);
    }
    end_gpu(gpu);
    test_scene_free(scene);
    test_design_free(sensing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_in_flight),      cmocka_unit_test(many_clusters),
        cmocka_unit_test(refused_cluster),     cmocka_unit_test(sleeps_until_done),
        cmocka_unit_test(copies_what_is_used), cmocka_unit_test(lost_device),
        cmocka_unit_test(nothing_there),       cmocka_unit_test(refused_calls),
        cmocka_unit_test(mlp_models),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
