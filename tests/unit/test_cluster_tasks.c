/* What a cluster gives to its tasks and takes from them: answers by name, tasks that are lost. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/batch_case.h"

static beam_scene *paper(void)
{
    return test_golden_scene("paper_eps010");
}

static void mark_answers(beamd_task *task, double merit)
{
    for (int i = 0; i < task->subbands; i++) {
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer *a = task->answer[beamd_problem_index(i, p)];
            a->present = true;
            a->merit = merit + p;
        }
    }
}

/* Preferences come and go while tasks are under way; answers find theirs by name. */
static void test_named_preferences(void **state)
{
    (void)state;
    beam_scene *scene = paper();
    beam_wire_error err;
    beamd_cluster *c = case_ready(scene, 2, NULL);
    beamd_named named[BEAM_WIRE_MAX_PREFERENCES];
    assert_int_equal(beamd_cluster_preferences(c, 0.3, named), 1);
    assert_string_equal(named[0].name, "");
    assert_true(named[0].tradeoff == 0.3);
    assert_int_equal(beamd_cluster_name_preference(c, "no way", 0.5, &case_limits, &err), -1);
    assert_string_equal(err.field, "name");
    assert_int_equal(beamd_cluster_name_preference(c, "a", 0.25, &case_limits, &err), 0);
    const size_t one = c->bytes;
    assert_int_equal(beamd_cluster_name_preference(c, "b", 0.5, &case_limits, &err), 0);
    assert_true(c->bytes > one);
    beamd_cluster_limits tight = case_limits;
    tight.bytes_max = c->bytes;
    assert_int_equal(beamd_cluster_name_preference(c, "c", 0.75, &tight, &err), -1);
    assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_LIMIT);
    assert_int_equal(beamd_cluster_preferences(c, 0.3, named), 2);
    beamd_task *task = c->task[0];
    case_snapshot(c, task, 0, 2, 0);
    assert_int_equal(task->preferences, 2);
    mark_answers(task, 10);
    /* "a" goes and "c" comes while the task is under way */
    assert_int_equal(beamd_cluster_name_preference(c, "c", 0.75, &case_limits, &err), 0);
    assert_int_equal(beamd_cluster_remove_preference(c, "a", &err), 0);
    assert_int_equal(beamd_cluster_remove_preference(c, "a", &err), -1);
    beamd_cluster_take(c, task, c->last);
    for (int b = 0; b < 2; b++) {
        const beamd_answer *first = c->last[beamd_problem_index(b, 0)];
        assert_true(first->present && first->merit == 11);
        assert_string_equal(first->preference_name, "b");
        assert_int_equal(first->subband, b);
        assert_false(c->last[beamd_problem_index(b, 1)]->present);
    }
    /* "b" moves on when another one before it goes; here: stays first while "c" goes */
    assert_int_equal(beamd_cluster_name_preference(c, "d", 0.1, &case_limits, &err), 0);
    assert_int_equal(beamd_cluster_remove_preference(c, "b", &err), 0);
    assert_false(c->last[beamd_problem_index(0, 0)]->present);
    assert_int_equal(beamd_cluster_name_preference(c, "e", 0.1, &case_limits, &err), 0);
    assert_int_equal(beamd_cluster_name_preference(c, "f", 0.1, &case_limits, &err), 0);
    assert_int_equal(beamd_cluster_name_preference(c, "g", 0.1, &case_limits, &err), -1);
    assert_int_equal(beamd_cluster_name_preference(c, "f", 0.2, &case_limits, &err), 0);
    assert_int_equal(beamd_cluster_preferences(c, 0.3, named), 4);
    assert_true(named[3].tradeoff == 0.2);
    case_snapshot(c, task, 0, 2, 0);
    assert_int_equal(task->preferences, 4);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

/* An answer that failed stays with the task; what was there before stays the cluster's. */
static void test_failed_answers_are_not_taken(void **state)
{
    (void)state;
    beam_scene *scene = paper();
    beamd_cluster *c = case_ready(scene, 2, NULL);
    beamd_task *task = c->task[0];
    case_snapshot(c, task, 0, 2, 0);
    mark_answers(task, 1);
    beamd_cluster_take(c, task, c->last);
    case_snapshot(c, task, 0, 2, 0);
    mark_answers(task, 2);
    beamd_answer *failed = task->answer[0];
    failed->present = false;
    failed->code = BEAM_E_NUMERIC;
    beamd_cluster_take(c, task, c->last);
    assert_ptr_equal(task->answer[0], failed);
    assert_true(c->last[beamd_problem_index(0, 0)]->merit == 1);
    assert_true(c->last[beamd_problem_index(1, 0)]->merit == 2);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

static void test_tasks_that_are_lost(void **state)
{
    (void)state;
    beam_scene *scene = paper();
    beam_wire_error err;
    beamd_cluster *c = case_ready(scene, 9, NULL);
    assert_int_equal(c->tasks, 2);
    beamd_task *lost[] = {c->task[1], c->spare};
    for (int k = 0; k < 2; k++) {
        case_snapshot(c, lost[k], 0, 8, 0);
        assert_int_equal(beamd_cluster_replace_task(c, lost[k], &err), 0);
        assert_null(lost[k]->cluster);
        beamd_task *now = k == 0 ? c->task[1] : c->spare;
        assert_ptr_not_equal(now, lost[k]);
        assert_int_equal(now->slots, lost[k]->slots);
        assert_int_equal(now->one_solver, k == 1);
        case_snapshot(c, now, 1, 8, 0);
        assert_ptr_equal(now->cluster, c);
    }
    assert_int_equal(beamd_cluster_replace_task(c, lost[0], &err), -1); /* not one of its own */
    beamd_cluster_destroy(&c); /* before the threads come back */
    for (int k = 0; k < 2; k++) {
        lost[k]->slot[7].view.scene.channel[0].re = 1; /* still theirs */
        beamd_task_destroy(&lost[k]);
        assert_null(lost[k]);
    }
    test_scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_preferences),
        cmocka_unit_test(test_failed_answers_are_not_taken),
        cmocka_unit_test(test_tasks_that_are_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
