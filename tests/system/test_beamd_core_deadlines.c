/* The core in a simulated world: what a request gets by its deadline when threads are late, hang or
 * are too few; exactly one answer each, and never late without saying so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend_health.h"
#include "core_internal.h"
#include "system/core_world.h"

enum { DEADLINE_US = 10000 };

static uint64_t us(uint64_t n)
{
    return n * 1000u;
}

/* A cluster that has had a full answer with CSI 1. */
static world *warm_world(unsigned threads, const beam_scene *scene)
{
    world *w = world_new(threads);
    w->config.deadline_us = DEADLINE_US;
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 30000000);
    finish_one(w);
    assert_int_equal(w->log[0].service, BEAMD__SERVICE__SERVICE_FULL);
    w->count = 0;
    return w;
}

/* Lets the core have its timers up to this much later. */
static void run_timers(world *w, uint64_t ns)
{
    const uint64_t until_ns = w->now_ns + ns;
    while (w->wake_ns <= until_ns) {
        w->now_ns = w->wake_ns > w->now_ns ? w->wake_ns : w->now_ns;
        step(w, BEAMD_EVENT_TIME);
        assert_true(w->wake_ns > w->now_ns); /* else the loop would spin */
    }
    w->now_ns = until_ns;
    step(w, BEAMD_EVENT_TIME);
}

static void a_late_thread_is_covered_by_a_check(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    const uint64_t sent_ns = w->now_ns;
    deliver_csi(w, 'a', "c", scene, 2, 0);
    assert_int_equal(w->jobs, 1);
    while (!w->rescue) {
        run_timers(w, us(100));
        assert_true(w->now_ns < sent_ns + us(DEADLINE_US));
    }
    assert_int_equal(w->count, 0); /* the thread may still come back */
    finish_at(w, &w->rescue);
    assert_int_equal(w->count, 0);
    run_timers(w, sent_ns + us(DEADLINE_US) - w->now_ns);
    assert_int_equal(w->count, 2); /* to a, and published */
    assert_true(w->log[0].peer == 'a' && w->log[0].sequence == 2 && w->log[0].csi_sequence == 2);
    assert_int_equal(w->log[0].service, BEAMD__SERVICE__SERVICE_CHECKED);
    assert_int_equal(w->log[0].backend, BEAMD__BACKEND__BACKEND_CHECK);
    assert_false(w->log[0].late);
    finish_one(w); /* too late */
    assert_int_equal(w->count, 2);
    deliver_csi(w, 'a', "c", scene, 3, 30000000);
    finish_one(w);
    assert_int_equal(last(w)->csi_sequence, 3);
    assert_int_equal(last(w)->service, BEAMD__SERVICE__SERVICE_FULL);
    assert_int_equal(beamd_core_metrics(w->core)->rescues_started, 1);
    assert_int_equal(beamd_core_metrics(w->core)->rescues_used, 1);
    world_free(w);
    test_scene_free(scene);
}

static void a_thread_in_time_beats_the_check(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    while (!w->rescue) {
        run_timers(w, us(100));
    }
    finish_at(w, &w->rescue);
    finish_one(w);
    assert_int_equal(w->count, 2);
    assert_int_not_equal(w->log[0].backend, BEAMD__BACKEND__BACKEND_CHECK);
    run_timers(w, us(2 * DEADLINE_US));
    assert_int_equal(w->count, 2);
    assert_int_equal(beamd_core_metrics(w->core)->rescues_used, 0);
    world_free(w);
    test_scene_free(scene);
}

/* Nothing comes back at all: the last beams, under the name of their own CSI. */
static void without_any_thread_the_last_beams_are_held(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    run_timers(w, us(DEADLINE_US));
    assert_int_equal(w->count, 2);
    assert_true(w->log[0].peer == 'a' && w->log[0].sequence == 2 && w->log[0].csi_sequence == 1);
    assert_int_equal(w->log[0].service, BEAMD__SERVICE__SERVICE_HELD);
    assert_int_equal(w->log[0].backend, BEAMD__BACKEND__BACKEND_NONE);
    assert_false(w->log[0].late);
    world_free(w);
    test_scene_free(scene);
}

/* A patient request is under way; an urgent one behind it does not wait for its end. */
static void an_urgent_request_behind_a_patient_one_is_in_time(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'p', "c", scene, 2, 30000000);
    assert_int_equal(w->jobs, 1);
    const uint64_t sent_ns = w->now_ns;
    deliver_csi(w, 'u', "c", scene, 3, DEADLINE_US);
    run_timers(w, us(DEADLINE_US));
    assert_int_equal(w->count, 2);
    assert_true(w->log[0].peer == 'u' && w->log[0].sequence == 3 && w->log[0].csi_sequence == 1);
    assert_int_equal(w->log[0].service, BEAMD__SERVICE__SERVICE_HELD);
    assert_true(!w->log[0].late && w->now_ns <= sent_ns + us(DEADLINE_US));
    finish_one(w);
    assert_true(w->count == 4 && w->log[2].peer == 'p' && w->log[2].csi_sequence == 2);
    assert_true(beamd_core_idle(w->core));
    world_free(w);
    test_scene_free(scene);
}

/* The first answer is worth waiting for, but not for ever. */
static void with_nothing_to_hold_it_is_late_or_said(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, DEADLINE_US);
    run_timers(w, us(2 * DEADLINE_US));
    assert_int_equal(w->count, 0);
    finish_one(w);
    assert_true(w->count == 2 && w->log[0].peer == 'a' && w->log[0].late);
    ready_cluster(w, "d", scene);
    deliver_csi(w, 'a', "d", scene, 1, DEADLINE_US);
    w->count = 0;
    run_timers(w, us(DEADLINE_US) + (uint64_t)w->config.hang_ms * 1000000u);
    assert_int_equal(w->count, 1);
    assert_int_equal(w->log[0].code, BEAMD__ERROR_CODE__ERROR_BUSY);
    world_free(w);
    test_scene_free(scene);
}

/* Too little for anything: late and checked. */
static void a_first_deadline_too_short_is_answered_late(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 1);
    assert_int_equal(w->jobs, 1);
    run_timers(w, us(100));
    finish_one(w);
    assert_true(w->count == 2 && w->log[0].late);
    assert_true(w->log[0].service >= BEAMD__SERVICE__SERVICE_REDUCED);
    world_free(w);
    test_scene_free(scene);
}

static void an_answer_after_its_deadline_says_so(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    w->now_ns += us(2 * DEADLINE_US); /* the loop itself was held up */
    finish_one(w);
    assert_int_equal(w->count, 2);
    assert_true(w->log[0].late);
    assert_int_equal(beamd_core_metrics(w->core)->deadlines_missed, 1);
    world_free(w);
    test_scene_free(scene);
}

/* A thread that hangs is replaced, its cluster served again; when it comes back after all, nothing
 * of it is used, and nothing leaks (under ASan). */
static void a_hung_thread_is_replaced(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    run_timers(w, us(DEADLINE_US));
    assert_int_equal(w->count, 2);
    finish_at(w, &w->rescue);
    run_timers(w, (uint64_t)w->config.hang_ms * 1000000u);
    assert_int_equal(w->lost_count, 1);
    w->count = 0;
    deliver_csi(w, 'a', "c", scene, 3, 30000000);
    assert_int_equal(w->jobs, 1);
    finish_one(w);
    assert_int_equal(w->log[0].csi_sequence, 3);
    assert_int_equal(w->log[0].service, BEAMD__SERVICE__SERVICE_FULL);
    w->count = 0;
    finish_at(w, &w->lost[--w->lost_count]);
    assert_int_equal(w->count, 0);
    const beamd_metrics *m = beamd_core_metrics(w->core);
    assert_true(m->threads_lost == 1 && m->threads_replaced == 1);
    world_free(w);
    test_scene_free(scene);
}

static void a_cluster_may_go_while_its_thread_hangs(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    Beamd__UnregisterCluster m = BEAMD__UNREGISTER_CLUSTER__INIT;
    deliver_csi(w, 'a', "c", scene, 2, 0);
    deliver(w, 'd', BEAM_WIRE_UNREGISTER_CLUSTER, "c", 9, &m.base);
    assert_int_equal(w->log[0].code, BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
    run_timers(w, us(DEADLINE_US) + (uint64_t)w->config.hang_ms * 1000000u);
    assert_int_equal(w->lost_count, 1);
    finish_at(w, &w->lost[--w->lost_count]);
    beamd_gauges g;
    memset(&g, 0, sizeof g);
    beamd_core_gauges(w->core, w->now_ns, &g);
    assert_int_equal(g.cluster_bytes, 0);
    world_free(w);
    test_scene_free(scene);
}

static void waiting_clusters_share_a_batch(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    static const char *const ids[] = {"a", "b", "c", "d", "e"};
    w->config.batch_max = 3;
    for (int k = 0; k < 5; k++) {
        ready_cluster(w, ids[k], scene);
    }
    for (int k = 0; k < 5; k++) {
        deliver_csi(w, 'x', ids[k], scene, 1, 0);
    }
    assert_int_equal(w->jobs, 1);
    static const int answers[] = {1, 3, 1};
    for (int k = 0; k < 3; k++) {
        w->count = 0;
        finish_one(w);
        assert_int_equal(w->count, 2 * answers[k]);
    }
    assert_true(beamd_core_idle(w->core));
    world_free(w);
    test_scene_free(scene);
}

static void a_batch_waits_for_company_when_told_to(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    w->config.batch_max = 8;
    w->config.batch_wait_us = 300;
    ready_cluster(w, "a", scene);
    ready_cluster(w, "b", scene);
    deliver_csi(w, 'x', "a", scene, 1, 0);
    assert_int_equal(w->jobs, 0);
    assert_true(w->wake_ns <= w->now_ns + us(300));
    run_timers(w, us(100));
    deliver_csi(w, 'x', "b", scene, 1, 0);
    assert_int_equal(w->jobs, 0);
    run_timers(w, us(300));
    assert_int_equal(w->jobs, 1);
    w->count = 0;
    finish_one(w);
    assert_true(w->count >= 2);
    while (w->jobs > 0 || !beamd_core_idle(w->core)) {
        run_timers(w, us(300));
        if (w->jobs > 0) {
            finish_one(w);
        }
    }
    assert_int_equal(w->count, 4);
    world_free(w);
    test_scene_free(scene);
}

static void what_has_no_role_is_forbidden(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    Beamd__PreferenceSet set = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference u = BEAMD__PREFERENCE__INIT;
    Beamd__StatusRequest status = BEAMD__STATUS_REQUEST__INIT;
    Beamd__Drain drain = BEAMD__DRAIN__INIT;
    u.u1 = 1;
    set.preference = &u;
    w->roles = BEAMD_ROLE_OBSERVER;
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, "c", 1, &set.base);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_FORBIDDEN);
    deliver(w, 'o', BEAM_WIRE_DRAIN, "", 2, &drain.base);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_FORBIDDEN);
    assert_false(w->drain_asked);
    deliver_csi(w, 'o', "c", scene, 1, 0);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_FORBIDDEN);
    deliver(w, 'o', BEAM_WIRE_STATUS_REQUEST, "", 3, &status.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_STATUS_REPLY);
    w->roles = BEAMD_ROLE_CSI;
    deliver(w, 'o', BEAM_WIRE_STATUS_REQUEST, "", 4, &status.base);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_FORBIDDEN);
    deliver_csi(w, 'o', "c", scene, 1, 0);
    assert_int_equal(w->jobs, 1);
    w->roles = BEAMD_ROLE_OPERATOR;
    deliver(w, 'o', BEAM_WIRE_DRAIN, "", 5, &drain.base);
    assert_true(w->drain_asked);
    assert_int_equal(beamd_core_metrics(w->core)->denied, 4);
    world_free(w);
    test_scene_free(scene);
}

/* Several preferences at once: one answer with one solution each. */
static void named_preferences_are_answered_together(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    Beamd__PreferenceSet set = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference u = BEAMD__PREFERENCE__INIT;
    set.preference = &u;
    u.u1 = u.u2 = 1;
    set.name = (char *)(uintptr_t) "balanced";
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, "c", 1, &set.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_PREFERENCE_REPLY);
    u.u2 = 0.1;
    set.name = (char *)(uintptr_t) "locate";
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, "c", 2, &set.base);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    w->count = 0;
    finish_one(w);
    assert_int_equal(w->log[0].type, BEAM_WIRE_SOLUTION_SET);
    assert_int_equal(w->log[0].solutions, 2);
    set.preference = NULL;
    set.remove = 1;
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, "c", 3, &set.base);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    w->count = 0;
    finish_one(w);
    assert_int_equal(w->log[0].solutions, 1);
    set.name = (char *)(uintptr_t) "no such";
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, "c", 4, &set.base);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_INVALID);
    world_free(w);
    test_scene_free(scene);
}

static void health_goes_and_comes_back(void **state)
{
    (void)state;
    const beamd_health_rule rule = {.failures = 3, .wait_ns = 100, .wait_max_ns = 300};
    beamd_backend_health h = {.health = BEAMD_HEALTH_GOOD};
    uint64_t probe = beamd_health_begin(&h, 10);
    assert_true(probe == 0);
    assert_false(beamd_health_end(&h, 10, probe, true, &rule));
    assert_false(beamd_health_end(&h, 11, probe, true, &rule));
    assert_false(beamd_health_end(&h, 12, probe, false, &rule)); /* in a row only */
    assert_false(beamd_health_end(&h, 13, probe, true, &rule));
    assert_false(beamd_health_end(&h, 14, probe, true, &rule));
    assert_true(beamd_health_end(&h, 15, probe, true, &rule));
    assert_false(beamd_health_usable(&h, 114));
    uint64_t now = 115;
    static const uint64_t waits[] = {200, 300, 300};
    for (int k = 0; k < 3; k++) {
        assert_true(beamd_health_usable(&h, now));
        probe = beamd_health_begin(&h, now);
        assert_int_equal(h.health, BEAMD_HEALTH_PROBING);
        assert_false(beamd_health_usable(&h, now)); /* one batch only */
        /* batches given out before tell nothing of it */
        assert_false(beamd_health_end(&h, now, probe - 1, false, &rule));
        assert_false(beamd_health_end(&h, now, 0, true, &rule));
        assert_int_equal(h.health, BEAMD_HEALTH_PROBING);
        assert_true(beamd_health_end(&h, now, probe, true, &rule));
        assert_false(beamd_health_usable(&h, now + waits[k] - 1));
        now += waits[k];
    }
    probe = beamd_health_begin(&h, now);
    assert_true(beamd_health_end(&h, now, probe, false, &rule));
    assert_true(beamd_health_usable(&h, now) && h.wait_ns == 0 && h.failures == 11);
}

static void measured_times_choose_the_effort(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    beamd_cluster *c = beamd_core_cluster_at(w->core, 0);
    memset(c->service, 0, sizeof c->service);
    for (int k = 0; k < 100; k++) {
        beamd_core_measured(c, BEAMD_EFFORT_NETWORK, 60000);
        beamd_core_measured(c, BEAMD_EFFORT_CHECK, 20000);
    }
    assert_true(beamd_core_expect_ns(c, BEAMD_EFFORT_NETWORK, 2) == 120000);
    w->config.solve_method[0] = 'b'; /* "betwork": the solver alone */
    assert_int_equal(beamd_core_choose(w->core, c, 1000000, false), BEAMD_EFFORT_SOLVER);
    assert_int_equal(beamd_core_choose(w->core, c, 1000000, true), BEAMD_EFFORT_CHECK);
    assert_int_equal(beamd_core_choose(w->core, c, 30000, false), BEAMD_EFFORT_CHECK);
    assert_int_equal(beamd_core_choose(w->core, c, 10000, false), BEAMD_EFFORT_NONE);
    c->active.received_ns = w->now_ns;
    c->active.deadline_ns = w->now_ns + us(100000);
    beamd_core_relax(w->core, c); /* there would be time enough: it stays as it is */
    assert_true(beamd_core_expect_ns(c, BEAMD_EFFORT_CHECK, 1) == 20000);
    c->active.deadline_ns = w->now_ns + us(13); /* 10 us beside the margin */
    for (int k = 0; k < 22; k++) {
        beamd_core_relax(w->core, c);
    }
    assert_int_not_equal(beamd_core_choose(w->core, c, 10000, false), BEAMD_EFFORT_NONE);
    world_free(w);
    test_scene_free(scene);
}

/* Two preferences of one task on two threads: each has half of the time, and by that measure what
 * is ruled out is worn down. */
static void what_one_task_has_to_do_is_worn_down_too(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(2, scene);
    beamd_cluster *c = beamd_core_cluster_at(w->core, 0);
    const beamd_cluster_limits limits = beamd_core_limits(w->core, c->bytes);
    beam_wire_error err;
    assert_int_equal(beamd_cluster_name_preference(c, "one", 0.2, &limits, &err), 0);
    assert_int_equal(beamd_cluster_name_preference(c, "two", 0.8, &limits, &err), 0);
    assert_int_equal(c->tasks, 1);
    memset(c->service, 0, sizeof c->service);
    c->active.received_ns = w->now_ns;
    c->active.deadline_ns = w->now_ns + us(10000);
    memset(&c->active.bands, 0, sizeof c->active.bands);
    beamd_bands_add(&c->active.bands, 0);
    const uint64_t all_ns = beamd_core_stop_at_ns(w->core, c) - w->now_ns;
    c->service[BEAMD_EFFORT_NETWORK].mean_ns = 0.7 * (double)all_ns;
    for (int k = 0; k < 10; k++) {
        beamd_core_relax(w->core, c);
    }
    assert_true(beamd_core_expect_ns(c, BEAMD_EFFORT_NETWORK, 1) <= 0.5 * (double)all_ns);
    world_free(w);
    test_scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_thread_is_covered_by_a_check),
        cmocka_unit_test(a_thread_in_time_beats_the_check),
        cmocka_unit_test(without_any_thread_the_last_beams_are_held),
        cmocka_unit_test(an_urgent_request_behind_a_patient_one_is_in_time),
        cmocka_unit_test(with_nothing_to_hold_it_is_late_or_said),
        cmocka_unit_test(a_first_deadline_too_short_is_answered_late),
        cmocka_unit_test(an_answer_after_its_deadline_says_so),
        cmocka_unit_test(a_hung_thread_is_replaced),
        cmocka_unit_test(a_cluster_may_go_while_its_thread_hangs),
        cmocka_unit_test(waiting_clusters_share_a_batch),
        cmocka_unit_test(a_batch_waits_for_company_when_told_to),
        cmocka_unit_test(what_has_no_role_is_forbidden),
        cmocka_unit_test(named_preferences_are_answered_together),
        cmocka_unit_test(health_goes_and_comes_back),
        cmocka_unit_test(measured_times_choose_the_effort),
        cmocka_unit_test(what_one_task_has_to_do_is_worn_down_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
