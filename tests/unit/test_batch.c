/* Batches on one thread: every answer is exact, inside the budgets and not worse than the classical
 * design, whoever gave it and in whatever company. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "common/model.h"
#include "common/sanitized.h"
#include "common/untrained.h"
#include "unit/batch_bench.h"

static const Beamd__Backend backends[] = {
    BEAMD__BACKEND__BACKEND_NETWORK, BEAMD__BACKEND__BACKEND_SOLVER, BEAMD__BACKEND__BACKEND_CHECK};

static void test_golden_scenes(void **state)
{
    (void)state;
    const char *names[] = {"middle", "locate", NULL};
    for (int s = 0; s < TEST_GOLDEN_SCENES; s++) {
        beam_scene *scene = test_golden_scene(test_golden_names[s]);
        for (size_t k = 0; k < 3; k++) {
            beam_model *model = test_model_new(3, 8, TEST_WEIGHTS_FRESH, 1);
            bench *b = bench_new(backends[k], model);
            beamd_cluster *c = case_ready(scene, 2, names);
            bench_room(b, &c->max);
            for (int round = 0; round < 2; round++) { /* cold, then warm */
                beamd_task *task = c->task[0];
                case_snapshot(c, task, 0, 2, 0);
                assert_true(task->need_sensing_end == (round == 0));
                assert_true(task->need_rate_end[0] == (round == 0));
                task->iterations = 40;
                task->refine = 2;
                bench_clear(b);
                bench_add(b, task);
                bench_run(b);
                assert_false(b->batch->failed);
                assert_task_good(task);
                for (int i = 0; i < 2; i++) {
                    for (int p = 0; p < 2; p++) {
                        const beamd_answer *a = answer_at(task, i, p);
                        assert_int_equal(a->backend, backends[k]);
                        assert_int_equal(a->service, k == 2 ? BEAMD__SERVICE__SERVICE_CHECKED
                                                            : BEAMD__SERVICE__SERVICE_FULL);
                        assert_int_equal(a->result.warm, round);
                        assert_int_equal(a->fallback, BEAMD_FALLBACK_NONE);
                        assert_string_equal(a->preference_name, names[p]);
                        assert_int_equal(a->csi_sequence, 1);
                    }
                }
                beamd_cluster_take_ideal(c, task, 5);
                beamd_cluster_take(c, task, c->last);
                assert_true(c->band[1].has_ideal && c->crlb_min_m2 > 0 && c->has_sensing_rows);
                assert_true(c->band[0].wsr_ideal_bps_hz >=
                            c->last[0]->quality.wsr_worst_case_bps_hz);
            }
            beamd_cluster_destroy(&c);
            bench_free(b);
            test_model_free(model);
        }
        test_scene_free(scene);
    }
}

/* The spare task has one solver for all of its subbands. */
static void test_spare_task(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("four_n16");
    beamd_cluster *c = case_ready(scene, 5, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_CHECK, NULL);
    case_snapshot(c, c->task[0], 0, 5, 0);
    case_snapshot(c, c->spare, 0, 5, 0);
    bench_add(b, c->task[0]);
    bench_run(b);
    bench_clear(b);
    bench_add(b, c->spare);
    bench_run(b);
    assert_task_good(c->spare);
    for (int i = 0; i < 5; i++) {
        const beamd_answer *x = answer_at(c->task[0], i, 0), *y = answer_at(c->spare, i, 0);
        assert_int_equal(x->beams.data.len, y->beams.data.len);
        assert_memory_equal(x->beams.data.data, y->beams.data.data, x->beams.data.len);
        assert_true(x->merit == y->merit);
        assert_int_equal(y->service, BEAMD__SERVICE__SERVICE_CHECKED);
    }
    assert_true(answer_at(c->spare, 0, 0)->merit != answer_at(c->spare, 4, 0)->merit);
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

/* Clusters of different sizes share a batch: each gets what it would have got alone. */
static void test_company_changes_nothing(void **state)
{
    (void)state;
    enum { CLUSTERS = 5 };
    static const char *const scenes[CLUSTERS] = {"paper_eps010", "uneven_n6", "multi_n8",
                                                 "paper_eps000", "four_n16"};
    const char *names[] = {"a", "b", "c", NULL};
    for (int kind = 0; kind < 2; kind++) {
        beamd_cluster *alone[CLUSTERS], *together[CLUSTERS];
        beam_model *model = test_model_new(3, 8, TEST_WEIGHTS_FRESH, 2);
        bench *b = bench_new(backends[kind], model);
        beam_dims most = {1, 1, 0, 1};
        for (int k = 0; k < CLUSTERS; k++) {
            beam_scene *scene = test_golden_scene(scenes[k]);
            alone[k] = case_ready(scene, 1 + k, names);
            together[k] = case_ready(scene, 1 + k, names);
            const beam_dims *d = &scene->dims;
            most.stations = d->stations > most.stations ? d->stations : most.stations;
            most.antennas = d->antennas > most.antennas ? d->antennas : most.antennas;
            most.users = d->users > most.users ? d->users : most.users;
            most.targets = d->targets > most.targets ? d->targets : most.targets;
            test_scene_free(scene);
        }
        bench_room(b, &most);
        for (int k = 0; k < CLUSTERS; k++) {
            case_snapshot(alone[k], alone[k]->task[0], 0, 1 + k, 0);
            alone[k]->task[0]->iterations = 20;
            bench_clear(b);
            bench_add(b, alone[k]->task[0]);
            bench_run(b);
        }
        bench_clear(b);
        for (int k = 0; k < CLUSTERS; k++) {
            case_snapshot(together[k], together[k]->task[0], 0, 1 + k, 0);
            together[k]->task[0]->iterations = 20;
            bench_add(b, together[k]->task[0]);
        }
        bench_run(b);
        assert_false(b->batch->failed);
        for (int k = 0; k < CLUSTERS; k++) {
            const beamd_task *x = alone[k]->task[0], *y = together[k]->task[0];
            for (int i = 0; i <= k; i++) {
                assert_true(x->ideal_found[i].crlb_min_m2 == y->ideal_found[i].crlb_min_m2);
                for (int p = 0; p < 3; p++) {
                    const beamd_answer *one = answer_at(x, i, p), *all = answer_at(y, i, p);
                    assert_good(y, i, p);
                    assert_int_equal(all->backend, backends[kind]);
                    if (fabs(one->merit - all->merit) > 1e-4 * (1 + fabs(one->merit))) {
                        fail_msg("%s band %d preference %d: %.9g alone, %.9g together", scenes[k],
                                 i, p, one->merit, all->merit);
                    }
                }
            }
            beamd_cluster_destroy(&alone[k]);
            beamd_cluster_destroy(&together[k]);
        }
        bench_free(b);
        test_model_free(model);
    }
}

/* One request of 20 subbands and two preferences on three threads, then again, warm. */
static void test_wideband(void **state)
{
    (void)state;
    enum { BANDS = 20 };
    const char *names[] = {"balanced", "locate", NULL};
    beam_scene *scene = test_golden_scene("paper_eps010");
    beam_model *model = test_model_new(3, 8, TEST_WEIGHTS_FRESH, 3);
    beamd_cluster *c = case_ready(scene, BANDS, names);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_NETWORK, model);
    bench_room(b, &c->max);
    assert_int_equal(c->tasks, 3);
    for (int round = 0; round < 2; round++) {
        for (int t = 0; t < 3; t++) {
            const int count = t < 2 ? 8 : BANDS - 16;
            case_snapshot(c, c->task[t], 8 * t, count, 0);
            bench_clear(b);
            bench_add(b, c->task[t]);
            bench_run(b);
            assert_task_good(c->task[t]);
        }
        for (int t = 0; t < 3; t++) {
            beamd_cluster_take_ideal(c, c->task[t], 7);
            beamd_cluster_take(c, c->task[t], c->last);
        }
        for (int i = 0; i < BANDS; i++) {
            for (int p = 0; p < 2; p++) {
                const beamd_answer *a = c->last[beamd_problem_index(i, p)];
                assert_true(a->present);
                assert_int_equal(a->subband, i);
                assert_string_equal(a->preference_name, names[p]);
                assert_int_equal(a->result.warm, round);
                assert_true(a->ideal.crlb_min_m2 == c->crlb_min_m2);
            }
        }
    }
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_model_free(model);
    test_scene_free(scene);
}

/* A network without a finite answer costs the answers nothing but time. */
static void test_nan_network(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beam_model *model = test_model_new(3, 8, TEST_WEIGHTS_NAN, 4);
    beamd_cluster *c = case_ready(scene, 3, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_NETWORK, model);
    bench_room(b, &c->max);
    case_snapshot(c, c->task[0], 0, 3, 0);
    c->task[0]->iterations = 30;
    bench_add(b, c->task[0]);
    bench_run(b);
    assert_true(b->batch->failed);
    assert_int_equal(b->batch->failures, 3);
    assert_int_equal(b->batch->by_solver, 3);
    assert_task_good(c->task[0]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answer_at(c->task[0], i, 0)->fallback, BEAMD_FALLBACK_NUMERIC);
        assert_int_equal(answer_at(c->task[0], i, 0)->backend, BEAMD__BACKEND__BACKEND_SOLVER);
        assert_true(answer_at(c->task[0], i, 0)->result.iterations > 0);
    }
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_model_free(model);
    test_scene_free(scene);
}

/* What the network is not asked for goes to the solver, which is no failure; the others are served
 * all the same. */
static void test_not_for_the_network(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beam_model *model = test_model_new(3, 8, TEST_WEIGHTS_FRESH, 5);
    beamd_cluster *c = case_ready(scene, 1, NULL), *d = case_ready(scene, 1, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_NETWORK, model);
    bench_room(b, &c->max);
    case_snapshot(c, c->task[0], 0, 1, 0);
    case_snapshot(d, d->task[0], 0, 1, 0);
    c->task[0]->excluded = BEAMD_FALLBACK_MIN_RATES;
    bench_add(b, c->task[0]);
    bench_add(b, d->task[0]);
    bench_run(b);
    assert_false(b->batch->failed);
    assert_int_equal(answer_at(c->task[0], 0, 0)->backend, BEAMD__BACKEND__BACKEND_SOLVER);
    assert_int_equal(answer_at(c->task[0], 0, 0)->fallback, BEAMD_FALLBACK_MIN_RATES);
    assert_int_equal(answer_at(d->task[0], 0, 0)->backend, BEAMD__BACKEND__BACKEND_NETWORK);
    /* a room that is too small for one of them: the other is served by the network */
    beam_scene *large = test_golden_scene("four_n16");
    beamd_cluster *e = case_ready(large, 1, NULL);
    case_snapshot(d, d->task[0], 0, 1, 0);
    case_snapshot(e, e->task[0], 0, 1, 0);
    bench_clear(b);
    bench_add(b, e->task[0]);
    bench_add(b, d->task[0]);
    bench_run(b);
    assert_false(b->batch->failed);
    assert_int_equal(answer_at(e->task[0], 0, 0)->backend, BEAMD__BACKEND__BACKEND_SOLVER);
    assert_int_equal(answer_at(e->task[0], 0, 0)->fallback, BEAMD_FALLBACK_MEMORY);
    assert_int_equal(answer_at(d->task[0], 0, 0)->backend, BEAMD__BACKEND__BACKEND_NETWORK);
    assert_task_good(e->task[0]);
    /* no model, no room */
    for (int k = 0; k < 2; k++) {
        case_snapshot(d, d->task[0], 0, 1, 0);
        b->batch->model = k ? &b->held : NULL;
        b->batch->inference = NULL;
        bench_clear(b);
        bench_add(b, d->task[0]);
        bench_run(b);
        assert_int_equal(answer_at(d->task[0], 0, 0)->fallback,
                         k ? BEAMD_FALLBACK_MEMORY : BEAMD_FALLBACK_NO_MODEL);
        assert_int_equal(answer_at(d->task[0], 0, 0)->backend, BEAMD__BACKEND__BACKEND_SOLVER);
    }
    bench_free(b);
    beamd_cluster_destroy(&c);
    beamd_cluster_destroy(&d);
    beamd_cluster_destroy(&e);
    test_model_free(model);
    test_scene_free(scene);
    test_scene_free(large);
}

/* An mlp serves one size. */
static void test_mlp_of_another_size(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    test_model_file file = test_model_make(1, 6);
    beam_error err = {.code = BEAM_OK};
    beam_model *model = NULL;
    const size_t size = beam_model_memsize(&file.info);
    void *memory = test_memory(size);
    test_must(beam_model_load(&model, file.bytes, file.size, memory, size, &err), &err, "model");
    beamd_cluster *c = case_ready(scene, 2, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_NETWORK, model);
    bench_room(b, &c->max);
    case_snapshot(c, c->task[0], 0, 2, 0);
    bench_add(b, c->task[0]);
    bench_run(b);
    assert_false(b->batch->failed);
    assert_task_good(c->task[0]);
    assert_int_equal(answer_at(c->task[0], 1, 0)->fallback, BEAMD_FALLBACK_SIZE);
    bench_free(b);
    beamd_cluster_destroy(&c);
    free(memory);
    test_model_file_free(&file);
    test_scene_free(scene);
}

/* No time is left: feasible answers all the same, marked. */
static void test_out_of_time(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("multi_n8");
    beam_model *model = test_model_new(3, 8, TEST_WEIGHTS_FRESH, 7);
    beamd_cluster *c = case_ready(scene, 2, NULL);
    for (int k = 0; k < 4; k++) {
        bench *b = bench_new(
            k == 0 ? BEAMD__BACKEND__BACKEND_NETWORK : BEAMD__BACKEND__BACKEND_SOLVER, model);
        bench_room(b, &c->max);
        case_snapshot(c, c->task[0], 0, 2, 0);
        c->task[0]->refine = 5;
        c->task[0]->stop_at_ns = k < 2 ? 1 : UINT64_MAX / 2;
        atomic_store(&b->abandon, k == 2);
        atomic_store(&b->batch->lost, k == 3);
        bench_add(b, c->task[0]);
        bench_run(b);
        assert_task_good(c->task[0]);
        for (int i = 0; i < 2; i++) {
            const beamd_answer *a = answer_at(c->task[0], i, 0);
            assert_int_equal(a->service, BEAMD__SERVICE__SERVICE_REDUCED);
            assert_int_equal(a->result.status, BEAM_STATUS_TIME_LIMIT);
            assert_int_equal(a->result.iterations, 0);
        }
        bench_free(b);
    }
    /* refinement was left out by the core */
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_NETWORK, model);
    bench_room(b, &c->max);
    case_snapshot(c, c->task[0], 0, 2, 0);
    c->task[0]->reduced = true;
    bench_add(b, c->task[0]);
    bench_run(b);
    assert_int_equal(answer_at(c->task[0], 0, 0)->service, BEAMD__SERVICE__SERVICE_REDUCED);
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_model_free(model);
    test_scene_free(scene);
}

/* Nobody takes the time of those behind, although the first alone could use all of it. On a machine
 * that is busy elsewhere some may miss their share. */
static void test_time_is_shared(void **state)
{
    (void)state;
    enum { BANDS = 8 };
    beam_scene *scene = test_golden_scene("four_n16");
    beamd_cluster *c = case_ready(scene, BANDS, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_SOLVER, NULL);
    case_snapshot(c, c->task[0], 0, BANDS, 0);
    c->task[0]->iterations = 1000000;
    c->task[0]->tolerance = 1e-15;
    c->task[0]->stop_at_ns = beamd_clock_ns() + 2000000000;
    bench_add(b, c->task[0]);
    bench_run(b);
    int iterated = 0;
    for (int i = 0; i < BANDS; i++) {
        const beamd_answer *a = answer_at(c->task[0], i, 0);
        assert_int_equal(a->result.status, BEAM_STATUS_TIME_LIMIT);
        iterated += a->result.iterations > 0;
    }
    assert_true(iterated > BANDS / 2 || TEST_SLOWED);
    assert_task_good(c->task[0]);
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

static void test_element_types(void **state)
{
    (void)state;
    static const struct {
        Beamd__ElementType element;
        int bits;
        double bytes; /* of a complex number */
    } types[] = {{BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32, 0, 8},
                 {BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64, 0, 16},
                 {BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16, 0, 4},
                 {BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP, 9, 0},
                 {BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP, 14, 0}};
    double merit[5];
    beam_scene *scene = test_golden_scene("paper_eps010");
    for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
        beam_wire_error err;
        Beamd__RegisterCluster *m = case_registration(scene, 2, NULL);
        m->beam_element = types[k].element;
        m->beam_bits = (uint32_t)types[k].bits;
        beamd_cluster *c = beamd_cluster_create("c", m, &case_limits, &err);
        case_registration_free(m);
        assert_non_null(c);
        assert_int_equal(case_targets(c, scene, 1, &err), 0);
        assert_int_equal(case_send_csi(c, scene, 0, 1, NULL, 2, NULL, &err), 0);
        bench *b = bench_new(BEAMD__BACKEND__BACKEND_SOLVER, NULL);
        case_snapshot(c, c->task[0], 0, 2, 0);
        bench_add(b, c->task[0]);
        bench_run(b);
        assert_task_good(c->task[0]);
        for (int i = 0; i < 2; i++) {
            const beamd_answer *a = answer_at(c->task[0], i, 0);
            assert_int_equal(a->beams.element, types[k].element);
            assert_int_equal(a->sensing.element, types[k].element);
            assert_int_equal(a->beams.bits, types[k].bits);
            merit[k] = a->merit;
            const size_t count = (size_t)a->beams.shape[0] * a->beams.shape[1];
            assert_true(types[k].bytes == 0 ||
                        (double)a->beams.data.len == types[k].bytes * (double)count);
        }
        bench_free(b);
        beamd_cluster_destroy(&c);
    }
    for (int k = 0; k < 5; k++) { /* bits cost something, but not much */
        assert_true(fabs(merit[k] - merit[1]) <= (k == 0 ? 1e-5 : k == 3 ? 0.05 : 5e-3));
    }
    test_scene_free(scene);
}

/* Users in another order, fewer and more of them: who has a beam starts from it. */
static void test_warm_starts_follow_users(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("multi_n8");
    const int U = scene->dims.users, N = scene->dims.antennas;
    beam_wire_error err;
    beamd_cluster *c = case_ready(scene, 1, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_CHECK, NULL);
    case_snapshot(c, c->task[0], 0, 1, 0);
    assert_false(c->task[0]->slot[0].warm_given[0]);
    bench_add(b, c->task[0]);
    bench_run(b);
    beamd_cluster_take(c, c->task[0], c->last);
    case_csi *m = case_csi_new(scene, 0, U, NULL, 1); /* backwards */
    for (int u = 0; u < U / 2; u++) {
        const Beamd__User kept = m->user[u];
        m->user[u] = m->user[U - 1 - u];
        m->user[U - 1 - u] = kept;
    }
    assert_int_equal(beamd_cluster_set_csi(c, 0, 2, &m->message, NULL, &err), 0);
    case_csi_free(m);
    case_snapshot(c, c->task[0], 0, 1, 0);
    assert_true(c->task[0]->slot[0].warm_given[0]);
    const beam_design *warm = &c->task[0]->slot[0].warm[0].design;
    const beam_design *last = &c->last[0]->out.design;
    for (int u = 0; u < U; u++) {
        assert_memory_equal(warm->beams + u * N, last->beams + (U - 1 - u) * N,
                            (size_t)N * sizeof(beam_complex));
    }
    uint64_t gone = 100;
    Beamd__UsersLeave leave = BEAMD__USERS_LEAVE__INIT;
    leave.n_user_ids = 1;
    leave.user_ids = &gone;
    assert_int_equal(beamd_cluster_leave(c, 3, &leave, NULL, &err), 0);
    case_snapshot(c, c->task[0], 0, 1, 0);
    assert_true(c->task[0]->slot[0].warm_given[0]);
    bench_clear(b);
    bench_add(b, c->task[0]);
    bench_run(b);
    assert_task_good(c->task[0]);
    beamd_cluster_take(c, c->task[0], c->last);
    assert_int_equal(c->last[0]->users, U - 1);
    assert_int_equal(case_send_csi(c, scene, 0, 4, NULL, 1, NULL, &err), 0);
    case_snapshot(c, c->task[0], 0, 1, 0);
    assert_false(c->task[0]->slot[0].warm_given[0]); /* the one that is back has no beam */
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

/* Nobody to serve: sensing alone. */
static void test_no_users(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beam_wire_error err;
    beam_model *model = test_model_new(3, 8, TEST_WEIGHTS_FRESH, 10);
    for (size_t k = 0; k < 3; k++) {
        beamd_cluster *c = case_cluster(scene, 2, NULL);
        assert_int_equal(case_targets(c, scene, 1, &err), 0);
        case_csi *m = case_csi_new(scene, 0, 0, NULL, 0);
        assert_int_equal(beamd_cluster_set_csi(c, 0, 1, &m->message, NULL, &err), 0);
        case_csi_free(m);
        bench *b = bench_new(backends[k], model);
        bench_room(b, &c->max);
        case_snapshot(c, c->task[0], 0, 2, 0);
        bench_add(b, c->task[0]);
        bench_run(b);
        assert_task_good(c->task[0]);
        assert_int_equal(answer_at(c->task[0], 1, 0)->beams.data.len, 0);
        bench_free(b);
        beamd_cluster_destroy(&c);
    }
    test_model_free(model);
    test_scene_free(scene);
}

int main(void)
{

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_scenes),
        cmocka_unit_test(test_spare_task),
        cmocka_unit_test(test_company_changes_nothing),
        cmocka_unit_test(test_wideband),
        cmocka_unit_test(test_nan_network),
        cmocka_unit_test(test_not_for_the_network),
        cmocka_unit_test(test_mlp_of_another_size),
        cmocka_unit_test(test_out_of_time),
        cmocka_unit_test(test_time_is_shared),
        cmocka_unit_test(test_element_types),
        cmocka_unit_test(test_warm_starts_follow_users),
        cmocka_unit_test(test_no_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
