/* The core in a simulated world: who is solved, answered, refused, and when. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "system/core_world.h"

static void the_newest_waits_and_the_replaced_is_told(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0); /* starts */
    deliver_csi(w, 'b', "c", scene, 2, 0); /* waits */
    assert_int_equal(w->count, 0);
    deliver_csi(w, 'c', "c", scene, 3, 0); /* replaces 2 */
    assert_int_equal(w->count, 1);
    assert_true(last(w)->peer == 'b' && last(w)->sequence == 2);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
    finish_one(w); /* 1: to a and to the subscribers; 3 starts */
    assert_int_equal(w->count, 3);
    assert_true(w->log[1].peer == 'a' && w->log[1].sequence == 1 && !w->log[1].published);
    assert_true(w->log[2].published && w->log[2].csi_sequence == 1);
    assert_int_equal(w->jobs, 1);
    finish_one(w);
    assert_true(w->log[3].peer == 'c' && w->log[3].csi_sequence == 3);
    assert_int_equal(w->count, 5);
    assert_true(beamd_core_idle(w->core));
    deliver_csi(w, 'd', "c", scene, 3, 0); /* not above the last */
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_STALE);
    world_free(w);
    test_scene_free(scene);
}

static void the_earliest_deadline_goes_first(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    static const char *const ids[] = {"first", "late", "soon", "middle"};
    static const uint32_t deadline_us[] = {50000000, 40000000, 10000000, 20000000};
    for (int k = 0; k < 4; k++) {
        ready_cluster(w, ids[k], scene);
    }
    for (int k = 0; k < 4; k++) {
        deliver_csi(w, 'x', ids[k], scene, 1, deadline_us[k]);
    }
    assert_int_equal(beamd_core_waiting(w->core), 3);
    static const char *const order[] = {"first", "soon", "middle", "late"};
    for (int k = 0; k < 4; k++) {
        w->count = 0;
        finish_one(w);
        assert_string_equal(w->log[0].cluster, order[k]);
    }
    world_free(w);
    test_scene_free(scene);
}

static void one_job_per_cluster_and_thread(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(2);
    ready_cluster(w, "a", scene);
    ready_cluster(w, "b", scene);
    deliver_csi(w, 'x', "a", scene, 1, 0);
    deliver_csi(w, 'x', "a", scene, 2, 0);
    assert_int_equal(w->jobs, 1); /* a second thread is free, but a's job is under way */
    deliver_csi(w, 'x', "b", scene, 1, 0);
    assert_int_equal(w->jobs, 2);
    finish_one(w);
    assert_int_equal(w->jobs, 2);
    world_free(w);
    test_scene_free(scene);
}

/* Targets or a preference without CSI: solved after resolve_after_ms, for the subscribers only. */
static void a_change_without_csi_is_solved_when_due(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    finish_one(w);
    deliver_targets(w, "c", scene, 2);
    w->count = 0;
    step(w, BEAMD_EVENT_TIME);
    assert_int_equal(w->jobs, 0);
    w->now_ns += (uint64_t)w->config.resolve_after_ms * 1000000u;
    step(w, BEAMD_EVENT_TIME);
    assert_int_equal(w->jobs, 1);
    finish_one(w);
    assert_int_equal(w->count, 1);
    assert_true(w->log[0].published);
    deliver_targets(w, "c", scene, 3);
    deliver_csi(w, 'a', "c", scene, 2, 0); /* follows in time: nothing more is due */
    finish_one(w);
    w->now_ns += 10000000000u;
    w->refresh = (beamd_job *)w; /* the background is busy */
    step(w, BEAMD_EVENT_TIME);
    w->refresh = NULL;
    assert_int_equal(w->jobs, 0);
    world_free(w);
    test_scene_free(scene);
}

static void the_default_preference_moves_those_without_their_own(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    Beamd__PreferenceSet m = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference u = BEAMD__PREFERENCE__INIT;
    m.preference = &u;
    ready_cluster(w, "own", scene);
    ready_cluster(w, "default", scene);
    u.u1 = 3; /* any length */
    u.u2 = 3 * tan(0.25 * 3.14159265358979323846 / 2);
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, "own", 2, &m.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_PREFERENCE_REPLY);
    u.u1 = 0;
    u.u2 = 2;
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, "", 3, &m.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_PREFERENCE_REPLY);
    deliver_csi(w, 'a', "own", scene, 1, 0);
    finish_one(w);
    assert_true(fabs(last(w)->tradeoff - 0.75) < 1e-9);
    deliver_csi(w, 'a', "default", scene, 1, 0);
    finish_one(w);
    assert_true(fabs(last(w)->tradeoff - 0) < 1e-9);
    world_free(w);
    test_scene_free(scene);
}

static void a_cluster_may_go_while_its_job_is_under_way(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    deliver_csi(w, 'b', "c", scene, 2, 0);
    deliver_registration(w, "c", scene); /* anew: sequences too */
    assert_true(w->log[0].peer == 'a' && w->log[1].peer == 'b');
    assert_int_equal(w->log[0].code, BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
    assert_int_equal(w->log[1].code, BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
    deliver_targets(w, "c", scene, 1);
    deliver_csi(w, 'd', "c", scene, 1, 0);
    w->count = 0;
    finish_one(w); /* the old one's: answered already, nothing published */
    assert_int_equal(w->count, 0);
    finish_one(w);
    assert_true(w->log[0].peer == 'd' && w->log[0].type == BEAM_WIRE_SOLUTION);
    Beamd__UnregisterCluster m = BEAMD__UNREGISTER_CLUSTER__INIT;
    deliver_csi(w, 'd', "c", scene, 2, 0);
    deliver(w, 'd', BEAM_WIRE_UNREGISTER_CLUSTER, "c", 9, &m.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_ACK);
    assert_int_equal(beamd_core_clusters(w->core), 0);
    beamd_gauges g;
    finish_one(w);
    beamd_core_gauges(w->core, w->now_ns, &g);
    assert_int_equal(g.cluster_bytes, 0); /* given back */
    world_free(w);
    test_scene_free(scene);
}

static void a_vanished_peer_costs_only_its_answer(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    w->peer_gone = true;
    finish_one(w);
    assert_int_equal(w->count, 1); /* published all the same */
    assert_true(w->log[0].published);
    assert_int_equal(beamd_core_metrics(w->core)->replies_dropped, 1);
    w->peer_gone = false;
    deliver_csi(w, 'b', "c", scene, 2, 0);
    finish_one(w);
    assert_true(w->log[1].peer == 'b');
    world_free(w);
    test_scene_free(scene);
}

static void a_subscription_repeats_what_matches(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    static const char *const ids[] = {"c1", "c10", "d"};
    for (int k = 0; k < 3; k++) {
        ready_cluster(w, ids[k], scene);
        if (k < 2) { /* d has no answer yet */
            deliver_csi(w, 'a', ids[k], scene, 5, 0);
            finish_one(w);
        }
    }
    w->count = 0;
    subscribe(w, "c1", 3); /* with the zero byte */
    assert_int_equal(w->count, 1);
    assert_true(w->log[0].repeat && w->log[0].csi_sequence == 5 && w->log[0].sequence == 5);
    assert_string_equal(w->log[0].cluster, "c1");
    subscribe(w, "c1", 3); /* c1 was repeated just now: once for all who came meanwhile */
    subscribe(w, "c1", 3);
    assert_int_equal(w->count, 1);
    pass(w, 20000000);
    assert_int_equal(w->count, 2);
    w->count = 1;
    pass(w, 20000000);
    subscribe(w, "c1", 2);
    assert_int_equal(w->count, 3);
    pass(w, 20000000);
    subscribe(w, "", 0);
    assert_int_equal(w->count, 5);
    subscribe(w, "d", 2);
    subscribe(w, "no-such-cluster-with-a-name-as-long-as-a-name-may-be-and-more-x", 64);
    assert_int_equal(w->count, 5);
    world_free(w);
    test_scene_free(scene);
}

static void draining_answers_what_was_accepted(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    deliver_csi(w, 'b', "c", scene, 2, 0);
    step(w, BEAMD_EVENT_DRAIN);
    assert_false(beamd_core_idle(w->core));
    deliver_csi(w, 'c', "c", scene, 3, 0);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_DRAINING);
    finish_one(w);
    assert_false(beamd_core_idle(w->core));
    finish_one(w);
    assert_true(w->log[3].peer == 'b' && w->log[3].type == BEAM_WIRE_SOLUTION);
    assert_true(beamd_core_idle(w->core));
    world_free(w);
    test_scene_free(scene);
}

static void the_best_rate_is_refreshed_by_age(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    const uint64_t age_ns = (uint64_t)w->config.ideal_refresh_ms * 1000000u;
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    finish_one(w);
    w->now_ns += age_ns;
    step(w, BEAMD_EVENT_TIME);
    assert_null(w->refresh); /* no newer CSI: nothing to gain */
    deliver_csi(w, 'a', "c", scene, 2, 0);
    finish_one(w);
    pass(w, 20000000);
    assert_non_null(w->refresh);
    beamd_job *job = w->refresh;
    job->run(job);
    w->refresh = NULL;
    give_back(w, job);
    assert_int_equal(beamd_core_metrics(w->core)->refreshes, 1);
    assert_int_equal(beamd_core_metrics(w->core)->refreshes_failed, 0);
    pass(w, age_ns);
    assert_null(w->refresh);
    world_free(w);
    test_scene_free(scene);
}

/* CSI that came while the job computed the best rate is newer than that rate. */
static void csi_during_the_first_solve_makes_the_best_rate_old(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    deliver_csi(w, 'a', "c", scene, 2, 0); /* the first is under way */
    finish_one(w);
    finish_one(w);
    w->now_ns += (uint64_t)w->config.ideal_refresh_ms * 1000000u;
    step(w, BEAMD_EVENT_TIME);
    assert_non_null(w->refresh);
    world_free(w);
    test_scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_waits_and_the_replaced_is_told),
        cmocka_unit_test(the_earliest_deadline_goes_first),
        cmocka_unit_test(one_job_per_cluster_and_thread),
        cmocka_unit_test(a_change_without_csi_is_solved_when_due),
        cmocka_unit_test(the_default_preference_moves_those_without_their_own),
        cmocka_unit_test(a_cluster_may_go_while_its_job_is_under_way),
        cmocka_unit_test(a_vanished_peer_costs_only_its_answer),
        cmocka_unit_test(a_subscription_repeats_what_matches),
        cmocka_unit_test(draining_answers_what_was_accepted),
        cmocka_unit_test(the_best_rate_is_refreshed_by_age),
        cmocka_unit_test(csi_during_the_first_solve_makes_the_best_rate_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
