/* Faults on purpose: what the setting may say, and that every answer survives them. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "common/untrained.h"
#include "unit/batch_bench.h"

enum { NETWORK = 0, SOLVER = 1, CHECK = 2 };

static void test_what_the_setting_may_say(void **state)
{
    (void)state;
    char why[128];
    beamd_faults f;
    assert_true(beamd_faults_parse("", &f, why, sizeof why));
    for (int b = 0; b < BEAMD_FAULT_BACKENDS; b++) {
        for (int k = 0; k < BEAMD_FAULT_KINDS; k++) {
            assert_true(f.of[b][k].probability == 0);
        }
    }
    assert_true(beamd_faults_parse(
        "network=hang:200ms@0.01,network=fail@0.1,solver=nan,check=slow:1.5us,solver=hang", &f, why,
        sizeof why));
    assert_true(f.of[NETWORK][BEAMD_FAULT_HANG].probability == 0.01);
    assert_int_equal(f.of[NETWORK][BEAMD_FAULT_HANG].duration_ns, 200000000);
    assert_true(f.of[NETWORK][BEAMD_FAULT_FAIL].probability == 0.1);
    assert_true(f.of[SOLVER][BEAMD_FAULT_NAN].probability == 1);
    assert_int_equal(f.of[CHECK][BEAMD_FAULT_SLOW].duration_ns, 1500);
    assert_true(f.of[SOLVER][BEAMD_FAULT_HANG].duration_ns == UINT64_MAX);
    assert_true(f.of[CHECK][BEAMD_FAULT_FAIL].probability == 0);
    static const struct {
        const char *text, *names;
    } wrong[] = {
        {"gpu=fail", "'gpu'"},
        {"network", "'network'"},
        {"network=", "''"},
        {"network=explode", "'explode'"},
        {"network=fail:3ms", "fail has no duration"},
        {"network=nan:3ms", "nan has no duration"},
        {"solver=slow", "slow needs"},
        {"solver=slow:", "''"},
        {"solver=slow:5", "'5'"},
        {"solver=slow:5min", "'5min'"},
        {"solver=slow:-5ms", "'-5ms'"},
        {"solver=slow:1e3ms", "'1e3ms'"},
        {"solver=slow:0x5ms", "'0x5ms'"},
        {"solver=slow:2.2.2ms", "'2.2.2ms'"},
        {"solver=hang:3601s", "longer"},
        {"check=fail@1.5", "'1.5'"},
        {"check=fail@-1", "'-1'"},
        {"check=fail@", "''"},
        {"check=fail@nan", "'nan'"},
        {"check=fail@0.5x", "'x'"},
        {"check=fail,", "comma"},
        {",", "''"},
        {"check=fail,check=fail@0.5", "twice"},
        {"check=fail solver=fail", "'fail solver'"},
    };
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        beamd_faults kept = f;
        why[0] = 0;
        if (beamd_faults_parse(wrong[k].text, &f, why, sizeof why)) {
            fail_msg("%s is taken", wrong[k].text);
        }
        if (!strstr(why, wrong[k].names)) {
            fail_msg("%s: \"%s\" does not name %s", wrong[k].text, why, wrong[k].names);
        }
        assert_memory_equal(&kept, &f, sizeof f);
    }
}

static void set(bench *b, const char *text)
{
    char why[128];
    if (!beamd_faults_parse(text, &b->batch->faults, why, sizeof why)) {
        fail_msg("%s", why);
    }
}

typedef struct outcome {
    const char *faults;
    Beamd__Backend asked, answers;
    Beamd__Service service;
    unsigned failures;
} outcome;

static void test_answers_survive(void **state)
{
    (void)state;
    enum { BANDS = 3 };
    const Beamd__Backend network = BEAMD__BACKEND__BACKEND_NETWORK,
                         solver = BEAMD__BACKEND__BACKEND_SOLVER,
                         check = BEAMD__BACKEND__BACKEND_CHECK;
    const Beamd__Service full = BEAMD__SERVICE__SERVICE_FULL,
                         checked = BEAMD__SERVICE__SERVICE_CHECKED;
    const outcome outcomes[] = {{"", network, network, full, 0},
                                {"network=fail", network, solver, full, BANDS},
                                {"network=nan", network, solver, full, BANDS},
                                {"network=fail,solver=fail", network, check, checked, BANDS},
                                {"network=nan,solver=nan", network, check, checked, 2 * BANDS},
                                {"network=fail", solver, solver, full, 0},
                                {"solver=fail", solver, check, checked, BANDS},
                                {"solver=nan", solver, check, checked, BANDS},
                                {"solver=nan,network=fail", check, check, checked, 0}};
    beam_scene *scene = test_golden_scene("paper_eps010");
    beam_model *model = test_model_new(3, 8, TEST_WEIGHTS_FRESH, 1);
    for (size_t k = 0; k < sizeof outcomes / sizeof outcomes[0]; k++) {
        const outcome *o = &outcomes[k];
        beamd_cluster *c = case_ready(scene, BANDS, NULL);
        bench *b = bench_new(o->asked, model);
        bench_room(b, &c->max);
        set(b, o->faults);
        case_snapshot(c, c->task[0], 0, BANDS, 0);
        c->task[0]->iterations = 20;
        bench_add(b, c->task[0]);
        bench_run(b);
        assert_task_good(c->task[0]);
        assert_int_equal(b->batch->failures, o->failures);
        assert_int_equal(b->batch->failed, o->failures > 0);
        for (int i = 0; i < BANDS; i++) {
            assert_int_equal(answer_at(c->task[0], i, 0)->backend, o->answers);
            assert_int_equal(answer_at(c->task[0], i, 0)->service, o->service);
        }
        bench_free(b);
        beamd_cluster_destroy(&c);
    }
    test_model_free(model);
    test_scene_free(scene);
}

/* When nothing is left there is no answer, with a reason; the beams of before stay. */
static void test_nothing_left(void **state)
{
    (void)state;
    static const char *const faults[] = {"solver=fail,check=fail", "solver=nan,check=nan",
                                         "solver=nan,check=fail", "solver=fail,check=nan"};
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamd_cluster *c = case_ready(scene, 2, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_SOLVER, NULL);
    bench_add(b, c->task[0]);
    case_snapshot(c, c->task[0], 0, 2, 0);
    bench_run(b);
    beamd_cluster_take(c, c->task[0], c->last);
    const beamd_answer *before = c->last[beamd_problem_index(1, 0)];
    for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++) {
        set(b, faults[k]);
        case_snapshot(c, c->task[0], 0, 2, 0);
        bench_run(b);
        for (int i = 0; i < 2; i++) {
            const beamd_answer *a = answer_at(c->task[0], i, 0);
            assert_false(a->present);
            assert_int_equal(a->code, BEAM_E_NUMERIC);
            assert_true(a->error.text[0] != 0);
        }
        beamd_cluster_take(c, c->task[0], c->last);
        assert_ptr_equal(c->last[beamd_problem_index(1, 0)], before);
        assert_true(before->present);
    }
    set(b, "");
    case_snapshot(c, c->task[0], 0, 2, 0);
    bench_run(b);
    assert_task_good(c->task[0]);
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

/* Nobody stands in for the check; its failures count all the same. */
static void test_the_check_is_counted(void **state)
{
    (void)state;
    static const char *const faults[] = {"check=fail", "check=nan"};
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamd_cluster *c = case_ready(scene, 3, NULL);
    for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++) {
        for (int spare = 0; spare < 2; spare++) {
            beamd_task *task = spare ? c->spare : c->task[0];
            const int bands = spare ? task->slots : 3;
            bench *b = bench_new(BEAMD__BACKEND__BACKEND_CHECK, NULL);
            set(b, faults[k]);
            case_snapshot(c, task, 0, bands, 0);
            bench_add(b, task);
            bench_run(b);
            assert_true(b->batch->failed);
            assert_int_equal(b->batch->failures, bands);
            bench_free(b);
        }
    }
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

static void test_some_of_them(void **state)
{
    (void)state;
    enum { BANDS = 8, ROUNDS = 25 };
    beam_scene *scene = test_golden_scene("paper_eps010");
    beam_model *model = test_model_new(1, 4, TEST_WEIGHTS_FRESH, 1);
    beamd_cluster *c = case_ready(scene, BANDS, NULL);
    unsigned failures[2] = {0, 0};
    for (int again = 0; again < 2; again++) {
        bench *b = bench_new(BEAMD__BACKEND__BACKEND_NETWORK, model);
        bench_room(b, &c->max);
        set(b, "network=fail@0.25,solver=fail");
        bench_add(b, c->task[0]);
        for (int round = 0; round < ROUNDS; round++) {
            case_snapshot(c, c->task[0], 0, BANDS, 0);
            bench_run(b);
            failures[again] += b->batch->failures;
            for (int i = 0; i < BANDS; i++) {
                assert_true(answer_at(c->task[0], i, 0)->present);
            }
            beamd_cluster_take_ideal(c, c->task[0], 1);
        }
        bench_free(b);
    }
    assert_true(failures[0] > 25 && failures[0] < 80); /* of 200, 50 are expected */
    assert_int_equal(failures[0], failures[1]);        /* the same every time */
    beamd_cluster_destroy(&c);
    test_model_free(model);
    test_scene_free(scene);
}

static void test_slow(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamd_cluster *c = case_ready(scene, 3, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_CHECK, NULL);
    set(b, "check=slow:20ms");
    case_snapshot(c, c->task[0], 0, 3, 0);
    bench_add(b, c->task[0]);
    bench_run(b);
    assert_true(b->batch->end_ns - b->batch->start_ns >= 60000000);
    assert_task_good(c->task[0]);
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

static void *run_thread(void *arg)
{
    bench_run(arg);
    return NULL;
}

/* A thread that hangs loses its task; the cluster has another one and may even go before the thread
 * is back. */
static void test_hang(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beam_wire_error err;
    beamd_cluster *c = case_ready(scene, 2, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_SOLVER, NULL);
    set(b, "solver=hang");
    beamd_task *lost = c->task[0];
    case_snapshot(c, lost, 0, 2, 0);
    bench_add(b, lost);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_thread, b), 0);
    /* the check, on another thread */
    bench *rescue = bench_new(BEAMD__BACKEND__BACKEND_CHECK, NULL);
    case_snapshot(c, c->spare, 0, 2, 0);
    bench_add(rescue, c->spare);
    bench_run(rescue);
    assert_task_good(c->spare);
    beamd_cluster_take(c, c->spare, c->check);
    assert_true(c->check[beamd_problem_index(1, 0)]->present);
    assert_int_equal(beamd_cluster_replace_task(c, lost, &err), 0);
    bench *next = bench_new(BEAMD__BACKEND__BACKEND_SOLVER, NULL);
    case_snapshot(c, c->task[0], 0, 2, 0);
    bench_add(next, c->task[0]);
    bench_run(next);
    assert_task_good(c->task[0]);
    beamd_cluster_destroy(&c);
    atomic_store(&b->batch->lost, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 2; i++) { /* it has come back with something, which nobody wants */
        assert_true(answer_at(lost, i, 0)->present);
        assert_int_equal(answer_at(lost, i, 0)->result.iterations, 0);
    }
    beamd_task_destroy(&lost);
    bench_free(b);
    bench_free(rescue);
    bench_free(next);
    test_scene_free(scene);
}

/* The end of the daemon ends a hang as well. */
static void test_hang_until_the_end(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamd_cluster *c = case_ready(scene, 1, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_SOLVER, NULL);
    set(b, "solver=hang:3600s");
    case_snapshot(c, c->task[0], 0, 1, 0);
    bench_add(b, c->task[0]);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_thread, b), 0);
    atomic_store(&b->abandon, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_task_good(c->task[0]);
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_setting_may_say),
        cmocka_unit_test(test_answers_survive),
        cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_the_check_is_counted),
        cmocka_unit_test(test_some_of_them),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_hang),
        cmocka_unit_test(test_hang_until_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
