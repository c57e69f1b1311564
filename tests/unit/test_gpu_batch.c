/* Tasks to a worker and back: the beams are those that the CPU's network gives for the same
 * snapshot, and an answer that makes no sense leaves every problem to the CPU. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/model.h"
#include "common/random.h"
#include "common/untrained.h"
#include "gpu_batch.h"
#include "unit/batch_bench.h"
#include "worker/backend.h"

enum { BANDS = 3, NAMES = 2, PROBLEMS = BANDS * NAMES };
static const char *const names[] = {"middle", "locate", NULL};

typedef struct world {
    beam_scene *scene;
    beamd_cluster *cluster;
    beamd_task *task;
    bench *bench;
    test_model_file file;
    beam_model *model;
    void *model_memory;
    char path[64];
    void *backend;
    unsigned char *request, *answer;
    size_t request_bytes, answer_bytes;
    beamd_gpu_places places;
} world;

static void *start_backend(const world *w)
{
    void *backend;
    char device[BEAMG_TEXT_BYTES], why[256];
    const beam_dims *d = &w->cluster->max;
    beamg_setup setup = {.generation = 1, .rooms = 1};
    setup.room[0].dims = (beamg_dims){d->stations, d->antennas, d->users, d->targets};
    snprintf(setup.model_file, sizeof setup.model_file, "%s", w->path);
    assert_int_equal(beamg_backend_host.open(&backend, &setup, device, why, sizeof why), 0);
    if (beamg_backend_setup(&beamg_backend_host, backend, &setup, why, sizeof why) != 0) {
        fail_msg("%s", why);
    }
    return backend;
}

/* Ideal values and sensing rows are known, and warm beams of all preferences. */
static world *new_world(const char *golden)
{
    world *w = test_memory(sizeof *w);
    memset(w, 0, sizeof *w);
    beam_error err;
    w->file = test_model_make_fresh(3, 8, "fresh", 1);
    snprintf(w->path, sizeof w->path, "/tmp/test_gpu_batch.%d.beamnet", (int)getpid());
    test_model_save(&w->file, w->path);
    const size_t memory = beam_model_memsize(&w->file.info);
    w->model_memory = test_memory(memory);
    test_must(
        beam_model_load(&w->model, w->file.bytes, w->file.size, w->model_memory, memory, &err),
        &err, "model");
    w->scene = test_golden_scene(golden);
    w->cluster = case_ready(w->scene, BANDS, names);
    w->bench = bench_new(BEAMD__BACKEND__BACKEND_NETWORK, w->model);
    bench_room(w->bench, &w->cluster->max);
    w->task = w->cluster->task[0];
    for (int round = 0; round < 2; round++) {
        case_snapshot(w->cluster, w->task, 0, BANDS, 0);
        w->task->refine = 0;
        bench_clear(w->bench);
        bench_add(w->bench, w->task);
        bench_run(w->bench);
        if (round == 0) {
            beamd_cluster_take_ideal(w->cluster, w->task, 5);
            beamd_cluster_take(w->cluster, w->task, w->cluster->last);
        }
    }
    w->backend = start_backend(w);
    beamd_gpu_batch_bytes(&w->cluster->max, w->cluster->sensing_max, PROBLEMS, &w->request_bytes,
                          &w->answer_bytes);
    w->request = test_memory(w->request_bytes);
    w->answer = test_memory(w->answer_bytes);
    return w;
}

static void free_world(world *w)
{
    beamg_backend_host.close(w->backend);
    beamd_cluster_destroy(&w->cluster);
    bench_free(w->bench);
    test_scene_free(w->scene);
    test_model_file_free(&w->file);
    free(w->model_memory);
    free(w->request);
    free(w->answer);
    unlink(w->path);
    free(w);
}

static uint64_t pack(world *w)
{
    beam_error err;
    uint64_t bytes;
    test_must(beamd_gpu_batch_pack(w->bench->batch, &w->places, w->request, w->request_bytes,
                                   w->answer_bytes, &bytes, &err),
              &err, "pack");
    return bytes;
}

static void compute(world *w, uint64_t bytes)
{
    beam_error err;
    beamg_job job = {.number = 1};
    test_must(beamg_request_open(&job.request, w->request, bytes, w->answer_bytes, &err), &err,
              "open");
    beamg_answer_begin(&job.answer, &job.request, w->answer);
    beamg_backend_host.submit(w->backend, &job);
    assert_ptr_equal(beamg_backend_host.collect(w->backend), &job);
    assert_null(beamg_backend_host.collect(w->backend));
    assert_int_equal(job.status, BEAMG_OK);
    beamg_answer_end(&job.answer, 7, 1, 10, 20);
}

static void test_same_beams(void **state)
{
    (void)state;
    static const char *const scenes[] = {"paper_eps010", "multi_n8", "uneven_n6"};
    for (size_t s = 0; s < 3; s++) {
        world *w = new_world(scenes[s]);
        beam_design *cpu[PROBLEMS];
        double merit[PROBLEMS];
        for (int k = 0; k < PROBLEMS; k++) {
            const beamd_answer *a = answer_at(w->task, k / NAMES, k % NAMES);
            assert_int_equal(a->backend, BEAMD__BACKEND__BACKEND_NETWORK);
            cpu[k] = test_design_clone(&a->out.design);
            merit[k] = a->result.merit;
        }
        compute(w, pack(w));
        assert_int_equal(w->places.problems, PROBLEMS);
        beam_code code;
        assert_int_equal(beamd_gpu_batch_unpack(w->bench->batch, &w->places, w->answer, 7, &code),
                         PROBLEMS);
        for (int k = 0; k < PROBLEMS; k++) {
            const beamd_answer *a = answer_at(w->task, k / NAMES, k % NAMES);
            assert_int_equal(a->backend, BEAMD__BACKEND__BACKEND_GPU);
            assert_int_equal(a->service, BEAMD__SERVICE__SERVICE_FULL);
            assert_true(fabs(a->result.merit - merit[k]) <= 1e-4 * (1 + fabs(merit[k])));
            beam_design *difference = test_design_clone(cpu[k]);
            test_design_step(difference, cpu[k], -1, &a->out.design);
            /* the CPU's were rounded to be sent, and computed side by side */
            assert_true(test_design_norm(difference) <= 1e-2 * test_design_norm(cpu[k]));
            test_design_free(difference);
            test_design_free(cpu[k]);
        }
        free_world(w);
    }
}

/* Without ideal values, or where the network may not be asked, nothing goes to the worker. */
static void test_what_is_asked(void **state)
{
    (void)state;
    world *w = new_world("paper_eps010");
    w->task->need_rate_end[1] = true;
    assert_true(pack(w) > 0);
    assert_int_equal(w->places.problems, PROBLEMS - NAMES);
    for (unsigned k = 0; k < w->places.problems; k++) {
        assert_int_not_equal(w->places.asked[k].slot, 1);
    }
    w->task->excluded = BEAMD_FALLBACK_SENSING;
    assert_int_equal(pack(w), 0);
    w->task->excluded = BEAMD_FALLBACK_NONE;
    w->task->need_sensing_end = true;
    assert_int_equal(pack(w), 0);
    w->task->need_sensing_end = w->task->need_rate_end[1] = false;
    uint64_t bytes;
    assert_int_equal(beamd_gpu_batch_pack(w->bench->batch, &w->places, w->request, 2000,
                                          w->answer_bytes, &bytes, NULL),
                     BEAM_E_LIMIT);
    assert_int_equal(bytes, 0);
    free_world(w);
}

static void test_garbage(void **state)
{
    (void)state;
    world *w = new_world("paper_eps010");
    test_random random = test_random_new(3);
    compute(w, pack(w));
    unsigned distrusted = 0;
    for (int i = 0; i < 300; i++) {
        unsigned char *copy = test_memory(w->answer_bytes);
        memcpy(copy, w->answer, w->answer_bytes);
        for (int k = 0; k < 200; k++) {
            copy[test_random_int(&random, 48, (int)w->answer_bytes - 1)] =
                (unsigned char)test_random_bits(&random);
        }
        beam_code code;
        const unsigned taken = beamd_gpu_batch_unpack(w->bench->batch, &w->places, copy, 7, &code);
        unsigned with_beams = 0;
        for (int k = 0; k < PROBLEMS; k++) {
            const beamd_answer *a = answer_at(w->task, k / NAMES, k % NAMES);
            with_beams += a->backend == BEAMD__BACKEND__BACKEND_GPU;
            assert_true(a->backend == BEAMD__BACKEND__BACKEND_GPU ||
                        (a->backend == BEAMD__BACKEND__BACKEND_NONE && a->code == BEAM_OK &&
                         a->fallback == BEAMD_FALLBACK_NUMERIC));
        }
        assert_int_equal(taken, with_beams);
        distrusted += code == BEAM_E_INVALID && taken == 0;
        free(copy);
    }
    assert_true(distrusted > 100);
    beam_code code;
    assert_int_equal(beamd_gpu_batch_unpack(w->bench->batch, &w->places, w->answer, 8, &code), 0);
    assert_int_equal(code, BEAM_E_INVALID); /* of another ticket */
    free_world(w);
}

/* Beams of a hundredth of their power, and a worker that calls the classical answers worse still.
 */
static void weaken(const world *w, const beamd_gpu_places *places)
{
    const size_t head = (sizeof(beamg_answer_head) + BEAMG_ALIGN - 1) / BEAMG_ALIGN * BEAMG_ALIGN;
    beamg_result *result = (beamg_result *)(void *)(w->answer + head);
    for (unsigned k = 0; k < places->problems; k++) {
        const beamg_place *p = &places->place[k];
        double *at = (double *)(void *)(w->answer + p->at);
        const int rows = p->dims.users + p->dims.stations * p->sensing_max;
        for (int i = 0; i < 2 * rows * p->dims.antennas; i++) {
            at[i] *= 0.1;
        }
        result[k].classical_merit = 1e9;
    }
}

/* Of every batch one problem is held against the classical answer computed here: a worker that
 * falls behind it is not believed. */
static void test_audit(void **state)
{
    (void)state;
    for (int weak = 0; weak < 2; weak++) {
        world *w = new_world("paper_eps010");
        beamd_batch *batch = w->bench->batch;
        beamd_gpu_flight *flight = test_memory(sizeof *flight);
        memset(flight, 0, sizeof *flight);
        flight->claim = (beamd_gpu_slot){.request = w->request,
                                         .answer = w->answer,
                                         .request_bytes = w->request_bytes,
                                         .answer_bytes = w->answer_bytes};
        flight->ticket = 7;
        batch->gpu = flight;
        batch->backend = BEAMD__BACKEND__BACKEND_GPU;
        beamd_gpu_pack_run(&batch->job);
        assert_int_equal(flight->code, BEAM_OK);
        compute(w, flight->bytes);
        if (weak) {
            weaken(w, &flight->places);
        }
        beamd_gpu_take_run(&batch->job);
        int behind = 0;
        for (int k = 0; k < PROBLEMS; k++) {
            const beamd_answer *a = answer_at(w->task, k / NAMES, k % NAMES);
            assert_int_equal(a->code, BEAM_OK);
            assert_true(a->present);
            behind += a->below_classical;
            assert_true(!a->below_classical || a->result.method == BEAM_METHOD_CLASSICAL);
        }
        assert_int_equal(behind, weak);
        assert_int_equal(flight->distrusted, weak);
        assert_int_equal(batch->failed, weak);
        batch->gpu = NULL;
        free(flight);
        free_world(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_beams),
        cmocka_unit_test(test_what_is_asked),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_audit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
