/* The core in a simulated world, against it: requests that cross each other, preferences that
 * change while a thread works on them, threads that come back in the wrong order. One answer per
 * request, and marked as what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core_internal.h"
#include "system/core_world.h"

enum { BANDS = 16 };

static uint64_t us(uint64_t n)
{
    return n * 1000u;
}

static void register_wide(world *w, const char *cluster, const beam_scene *scene, uint32_t bands)
{
    deliver_wide_registration(w, cluster, scene, bands);
    deliver_targets(w, cluster, scene, 1);
    w->count = 0;
}

static void name_preference(world *w, const char *cluster, const char *name, double u1, double u2)
{
    static uint64_t sequence = 1000;
    Beamd__PreferenceSet set = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference u = BEAMD__PREFERENCE__INIT;
    set.name = (char *)(uintptr_t)name;
    u.u1 = u1;
    u.u2 = u2;
    set.preference = &u;
    set.remove = u1 == 0 && u2 == 0;
    if (set.remove) {
        set.preference = NULL;
    }
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, cluster, sequence++, &set.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_PREFERENCE_REPLY);
}

/* A world whose answers come from the network that is built in; without one there is nothing to
 * test. */
static world *network_world(unsigned threads)
{
    if (!beamd_model_built_in()) {
        skip();
    }
    world *w = world_new(threads);
    beam_error err;
    beamd_model *model = beamd_model_read("", &err);
    assert_non_null(model);
    beamd_core_set_model(w->core, model);
    return w;
}

/* Answers to this peer's request; the last one in *found. */
static unsigned answers_to(const world *w, char peer, uint64_t sequence, const sent **found)
{
    unsigned count = 0;
    for (unsigned k = 0; k < w->count; k++) {
        const sent *s = &w->log[k];
        if (!s->published && s->peer == peer && s->sequence == sequence) {
            *found = s;
            count++;
        }
    }
    return count;
}

/* Four updates of other subbands wait behind one that no thread has begun; then that one is
 * replaced. */
static void a_full_queue_stays_in_its_bounds(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    register_wide(w, "busy", scene, 1);
    register_wide(w, "wide", scene, 6);
    deliver_wide_csi(w, 'a', "wide", scene, 1, 0, 0, 6);
    finish_one(w);
    w->count = 0;
    deliver_wide_csi(w, 'b', "busy", scene, 1, 0, 0, 1);
    assert_int_equal(w->jobs, 1); /* the only thread */
    for (uint32_t b = 0; b < 5; b++) {
        deliver_wide_csi(w, 'a', "wide", scene, 2 + b, 0, b, 1);
    }
    assert_int_equal(w->count, 0);
    deliver_wide_csi(w, 'a', "wide", scene, 7, 0, 0, 1);
    while (w->jobs > 0) {
        finish_one(w);
    }
    assert_true(beamd_core_idle(w->core));
    const sent *s = NULL;
    for (uint64_t sequence = 2; sequence <= 7; sequence++) {
        assert_int_equal(answers_to(w, 'a', sequence, &s), 1);
        assert_int_equal(s->type, sequence == 2 ? BEAM_WIRE_ERROR : BEAM_WIRE_SOLUTION_SET);
    }
    assert_int_equal(answers_to(w, 'b', 1, &s), 1);
    world_free(w);
    test_scene_free(scene);
}

/* One bad measurement of the network is forgotten, though what is done instead is in time. */
static void a_slow_network_is_tried_again(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = network_world(1);
    register_wide(w, "c", scene, 1);
    deliver_wide_csi(w, 'a', "c", scene, 1, 0, 0, 1);
    finish_one(w);
    beamd_cluster *c = beamd_core_cluster_at(w->core, 0);
    beamd_core_measured(c, BEAMD_EFFORT_NETWORK, 500e9);
    w->count = 0;
    uint64_t sequence = 2;
    for (; sequence < 200; sequence++) {
        w->count = 0;
        deliver_wide_csi(w, 'a', "c", scene, sequence, 0, 0, 1);
        finish_one(w);
        if (w->log[0].service == BEAMD__SERVICE__SERVICE_FULL) {
            break;
        }
        assert_int_equal(w->log[0].service, BEAMD__SERVICE__SERVICE_CHECKED);
    }
    assert_true(sequence > 2 && sequence < 200);
    world_free(w);
    test_scene_free(scene);
}

/* Requests that are too late say nothing about how long things take. */
static void looking_again_changes_no_measurement(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(2);
    register_wide(w, "c", scene, 1);
    deliver_wide_csi(w, 'a', "c", scene, 1, 0, 0, 1);
    finish_one(w);
    beamd_cluster *c = beamd_core_cluster_at(w->core, 0);
    beamd_core_measured(c, BEAMD_EFFORT_NETWORK, 300e3);
    beamd_core_measured(c, BEAMD_EFFORT_CHECK, 200e3);
    const double before_ns = beamd_core_expect_ns(c, BEAMD_EFFORT_CHECK, 1);
    deliver_wide_csi(w, 'a', "c", scene, 2, 400, 0, 1); /* less than the margin */
    for (int k = 0; k < 100; k++) {
        step(w, BEAMD_EVENT_TIME); /* as for messages of others */
    }
    assert_true(beamd_core_expect_ns(c, BEAMD_EFFORT_CHECK, 1) > 0.9 * before_ns);
    world_free(w);
    test_scene_free(scene);
}

/* Who has little time takes none of the effort from who has much. */
static void a_late_cluster_does_not_spoil_its_batch(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = network_world(1);
    static const char *const ids[] = {"first", "late", "rich"};
    w->config.batch_max = 8;
    for (int k = 0; k < 3; k++) {
        register_wide(w, ids[k], scene, 1);
        deliver_wide_csi(w, 'a', ids[k], scene, 1, 0, 0, 1);
        finish_one(w);
        beamd_cluster *c = beamd_core_find(w->core, ids[k]);
        beamd_core_measured(c, BEAMD_EFFORT_NETWORK, 5e6);
        beamd_core_measured(c, BEAMD_EFFORT_CHECK, 1e3);
    }
    deliver_wide_csi(w, 'a', "first", scene, 2, 0, 0, 1);
    deliver_wide_csi(w, 'l', "late", scene, 2, 3000, 0, 1);
    deliver_wide_csi(w, 'r', "rich", scene, 2, 0, 0, 1);
    w->count = 0;
    while (w->jobs > 0) {
        finish_one(w);
    }
    const sent *s = NULL;
    assert_int_equal(answers_to(w, 'l', 2, &s), 1);
    assert_int_equal(s->service, BEAMD__SERVICE__SERVICE_CHECKED);
    assert_int_equal(answers_to(w, 'r', 2, &s), 1);
    assert_int_equal(s->service, BEAMD__SERVICE__SERVICE_FULL);
    world_free(w);
    test_scene_free(scene);
}

/* A preference that comes while a thread works: the answer is of the request's CSI, or says that it
 * is not. */
static void a_preference_in_between_marks_nothing_wrong(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    register_wide(w, "c", scene, 1);
    deliver_wide_csi(w, 'a', "c", scene, 1, 0, 0, 1);
    finish_one(w);
    deliver_wide_csi(w, 'a', "c", scene, 2, 0, 0, 1);
    assert_int_equal(w->jobs, 1);
    name_preference(w, "c", "locate", 1, 1);
    w->count = 0;
    while (w->jobs > 0) {
        finish_one(w);
    }
    const sent *s = NULL;
    assert_int_equal(answers_to(w, 'a', 2, &s), 1);
    assert_int_equal(s->type, BEAM_WIRE_SOLUTION_SET);
    assert_int_equal(s->service, BEAMD__SERVICE__SERVICE_FULL);
    assert_int_equal(s->solutions, 1);
    assert_string_equal(s->preference_name, "locate");
    assert_int_equal(s->solution_csi_sequence, 2);
    world_free(w);
    test_scene_free(scene);
}

static void a_first_answer_survives_a_preference_in_between(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    register_wide(w, "c", scene, 1);
    name_preference(w, "c", "balanced", 1, 1);
    deliver_wide_csi(w, 'a', "c", scene, 1, 0, 0, 1);
    name_preference(w, "c", "locate", 1, 2);
    name_preference(w, "c", "balanced", 0, 0);
    w->count = 0;
    while (w->jobs > 0) {
        finish_one(w);
    }
    const sent *s = NULL;
    assert_int_equal(answers_to(w, 'a', 1, &s), 1);
    assert_int_equal(s->type, BEAM_WIRE_SOLUTION_SET);
    assert_int_equal(s->solutions, 1);
    assert_string_equal(s->preference_name, "locate");
    world_free(w);
    test_scene_free(scene);
}

/* A slow thread brings beams of an earlier request while a later one of the same subbands is
 * answered in parts. */
static void what_comes_too_late_replaces_nothing_newer(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(2);
    register_wide(w, "c", scene, BANDS);
    deliver_wide_csi(w, 'a', "c", scene, 1, 0, 0, BANDS);
    while (w->jobs > 0) {
        finish_one(w);
    }
    deliver_wide_csi(w, 'a', "c", scene, 2, 20000, 0, BANDS / 2);
    assert_int_equal(w->jobs, 1);
    beamd_job *slow = w->under_way[0];
    slow->run(slow); /* but its thread sleeps before it says so */
    w->now_ns += us(20000);
    step(w, BEAMD_EVENT_TIME);
    const sent *s = NULL;
    assert_int_equal(answers_to(w, 'a', 2, &s), 1);
    if (w->rescue) {
        finish_at(w, &w->rescue);
    }
    deliver_wide_csi(w, 'a', "c", scene, 3, 0, 0, BANDS);
    assert_int_equal(w->jobs, 2);
    w->under_way[0] = w->under_way[1];
    w->jobs = 1;
    finish_one(w); /* subbands 0 to 7, of CSI 3; its free thread takes the others */
    give_back(w, slow);
    w->count = w->jobs > 0 ? 0 : w->count;
    while (w->jobs > 0) {
        finish_one(w);
    }
    assert_int_equal(answers_to(w, 'a', 3, &s), 1);
    assert_int_equal(s->solutions, BANDS);
    assert_int_equal(s->solution_csi_sequence, 3); /* of its first subband */
    world_free(w);
    test_scene_free(scene);
}

/* Nobody is known, and nobody leaves. */
static void leaving_nobody_is_answered_at_once(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    Beamd__UsersLeave m = BEAMD__USERS_LEAVE__INIT;
    register_wide(w, "c", scene, 1);
    deliver(w, 'a', BEAM_WIRE_USERS_LEAVE, "c", 1, &m.base);
    const sent *s = NULL;
    assert_int_equal(answers_to(w, 'a', 1, &s), 1);
    assert_int_equal(s->code, BEAMD__ERROR_CODE__ERROR_NOT_READY);
    assert_true(beamd_core_idle(w->core));
    world_free(w);
    test_scene_free(scene);
}

/* The daemon ends and a thread does not: who waits for it is told. */
static void a_hung_thread_at_the_end_leaves_nobody_waiting(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    register_wide(w, "c", scene, 1);
    deliver_wide_csi(w, 'a', "c", scene, 1, 0, 0, 1);
    step(w, BEAMD_EVENT_DRAIN);
    step(w, BEAMD_EVENT_ABANDON);
    assert_int_equal(w->count, 0); /* its thread may still come back in time */
    step(w, BEAMD_EVENT_ABANDON);
    const sent *s = NULL;
    assert_int_equal(answers_to(w, 'a', 1, &s), 1);
    assert_int_equal(s->code, BEAMD__ERROR_CODE__ERROR_DRAINING);
    finish_one(w);
    assert_int_equal(answers_to(w, 'a', 1, &s), 1);
    world_free(w);
    test_scene_free(scene);
}

/* What all clusters take together stays within memory_mib, also when preferences are added. */
static void preferences_stay_within_the_memory(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    w->config.memory_mib = 8;
    char id[16], name[16];
    unsigned clusters = 0;
    for (; clusters < 64; clusters++) {
        beamd_gauges g = {0};
        beamd_core_gauges(w->core, w->now_ns, &g);
        if (g.cluster_bytes > (size_t)7 << 20) {
            break;
        }
        snprintf(id, sizeof id, "c%u", clusters);
        register_wide(w, id, scene, 1);
    }
    for (unsigned k = 0; k < clusters; k++) {
        snprintf(id, sizeof id, "c%u", k);
        for (int p = 0; p < BEAM_WIRE_MAX_PREFERENCES; p++) {
            Beamd__PreferenceSet set = BEAMD__PREFERENCE_SET__INIT;
            Beamd__Preference u = BEAMD__PREFERENCE__INIT;
            snprintf(name, sizeof name, "p%d", p);
            set.name = name;
            u.u1 = u.u2 = 1;
            set.preference = &u;
            w->count = 0;
            deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, id, 1, &set.base);
        }
    }
    beamd_gauges g = {0};
    beamd_core_gauges(w->core, w->now_ns, &g);
    assert_true(g.cluster_bytes <= (size_t)8 << 20);
    world_free(w);
    test_scene_free(scene);
}

/* Waiting for company never takes the time that the solving needs. */
static void a_batch_waits_no_longer_than_its_deadline_allows(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    w->config.batch_max = 8;
    w->config.batch_wait_us = 10000;
    register_wide(w, "c", scene, 1);
    deliver_wide_csi(w, 'a', "c", scene, 1, 4000, 0, 1);
    const uint64_t end_ns = w->now_ns + us(4000);
    while (w->jobs == 0 && w->now_ns < end_ns) {
        w->now_ns = w->wake_ns > w->now_ns ? w->wake_ns : w->now_ns + 1;
        step(w, BEAMD_EVENT_TIME);
    }
    assert_int_equal(w->jobs, 1);
    assert_true(w->now_ns <= end_ns - us(1500));
    world_free(w);
    test_scene_free(scene);
}

/* A wide answer takes long to send, so that its last moment is before that of a narrow one with an
 * earlier deadline. */
static void a_wide_answer_is_held_in_time(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(2);
    static const char *const ids[] = {"narrow", "wide"};
    for (int k = 0; k < 2; k++) {
        register_wide(w, ids[k], scene, 1);
        deliver_wide_csi(w, 'a', ids[k], scene, 1, 0, 0, 1);
        finish_one(w);
    }
    beamd_core_find(w->core, "wide")->answer_ns = 2e6;
    beamd_core_find(w->core, "narrow")->answer_ns = 0; /* whatever it took to pack it here */
    w->now_ns += us(40000);                            /* housekeeping sees it */
    step(w, BEAMD_EVENT_TIME);
    deliver_wide_csi(w, 'n', "narrow", scene, 2, 20000, 0, 1);
    deliver_wide_csi(w, 'w', "wide", scene, 2, 20100, 0, 1);
    const uint64_t until_ns = w->now_ns + us(17000);
    w->count = 0;
    while (w->wake_ns <= until_ns) {
        assert_true(w->wake_ns > w->now_ns);
        w->now_ns = w->wake_ns;
        step(w, BEAMD_EVENT_TIME);
    }
    const sent *s = NULL;
    assert_int_equal(answers_to(w, 'w', 2, &s), 1);
    assert_int_equal(s->service, BEAMD__SERVICE__SERVICE_HELD);
    assert_int_equal(answers_to(w, 'n', 2, &s), 0);
    world_free(w);
    test_scene_free(scene);
}

/* An answer in parts is no answer: with nothing to hold for the others it is worth waiting for. */
static void a_first_wide_answer_is_whole(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    register_wide(w, "c", scene, BANDS);
    deliver_wide_csi(w, 'a', "c", scene, 1, 20000, 0, BANDS);
    assert_int_equal(w->jobs, 1);
    finish_one(w); /* half of them */
    assert_int_equal(w->jobs, 1);
    w->now_ns += us(20100);
    step(w, BEAMD_EVENT_TIME);
    const sent *s = NULL;
    assert_int_equal(answers_to(w, 'a', 1, &s), 0);
    finish_one(w);
    assert_int_equal(answers_to(w, 'a', 1, &s), 1);
    assert_true(s->late);
    assert_int_equal(s->solutions, BANDS);
    world_free(w);
    test_scene_free(scene);
}

/* Beams that are held are as old as their CSI, not as the request. */
static void held_beams_grow_old(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    w->config.csi_age_limit_ms = 100;
    w->config.valid_ms = 200;
    register_wide(w, "c", scene, 1);
    deliver_wide_csi(w, 'a', "c", scene, 1, 0, 0, 1);
    const uint64_t first_ns = w->now_ns;
    finish_one(w);
    const sent *s = NULL;
    assert_int_equal(answers_to(w, 'a', 1, &s), 1);
    assert_false(s->stale);
    assert_true(s->valid_until_ns == first_ns + us(100000));
    w->now_ns += us(150000);
    deliver_wide_csi(w, 'a', "c", scene, 2, 20000, 0, 1);
    w->now_ns += us(20000);
    step(w, BEAMD_EVENT_TIME); /* its thread is not back */
    assert_int_equal(answers_to(w, 'a', 2, &s), 1);
    assert_int_equal(s->service, BEAMD__SERVICE__SERVICE_HELD);
    assert_true(s->stale);
    assert_true(s->valid_until_ns == first_ns + us(100000));
    world_free(w);
    test_scene_free(scene);
}

/* The rescue thread may be lost too: it is none of those that solve. */
static void a_lost_rescue_thread_is_counted_apart(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    register_wide(w, "c", scene, 1);
    deliver_wide_csi(w, 'a', "c", scene, 1, 0, 0, 1);
    finish_one(w);
    deliver_wide_csi(w, 'a', "c", scene, 2, 20000, 0, 1);
    while (!w->rescue) {
        w->now_ns += us(100);
        step(w, BEAMD_EVENT_TIME);
    }
    finish_one(w);
    w->now_ns += us(20000) + (uint64_t)w->config.hang_ms * 1000000u;
    step(w, BEAMD_EVENT_TIME);
    assert_int_equal(w->lost_count, 1);
    beamd_gauges g = {0};
    beamd_core_gauges(w->core, w->now_ns, &g);
    assert_int_equal(g.solving, 0);
    assert_int_equal(g.lost, 1);
    world_free(w);
    test_scene_free(scene);
}

/* Who took a cluster away by the operators' socket is in the log. */
static void an_operator_who_removes_a_cluster_is_named(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    Beamd__UnregisterCluster m = BEAMD__UNREGISTER_CLUSTER__INIT;
    register_wide(w, "c", scene, 1);
    register_wide(w, "d", scene, 1);
    deliver(w, 'r', BEAM_WIRE_UNREGISTER_CLUSTER, "c", 2, &m.base);
    assert_int_equal(beamd_core_metrics(w->core)->audited, 0);
    unsigned char frame[256];
    size_t bytes = 0;
    beam_wire_error err;
    assert_int_equal(beam_wire_pack(BEAM_WIRE_UNREGISTER_CLUSTER, "d", 3, &m.base, frame,
                                    sizeof frame, &bytes, &err),
                     0);
    const beamd_event event = {
        .kind = BEAMD_EVENT_MESSAGE,
        .channel = BEAMD_CHANNEL_CONTROL,
        .peer = {.identity = "o", .identity_bytes = 1, .roles = BEAMD_ROLE_OPERATOR, .user = "eve"},
        .frame = frame,
        .bytes = bytes,
        .frames = 1};
    beamd_core_step(w->core, w->now_ns, &event);
    assert_int_equal(last(w)->type, BEAM_WIRE_ACK);
    assert_int_equal(beamd_core_metrics(w->core)->audited, 1);
    world_free(w);
    test_scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_stays_in_its_bounds),
        cmocka_unit_test(a_slow_network_is_tried_again),
        cmocka_unit_test(looking_again_changes_no_measurement),
        cmocka_unit_test(a_late_cluster_does_not_spoil_its_batch),
        cmocka_unit_test(a_preference_in_between_marks_nothing_wrong),
        cmocka_unit_test(a_first_answer_survives_a_preference_in_between),
        cmocka_unit_test(what_comes_too_late_replaces_nothing_newer),
        cmocka_unit_test(leaving_nobody_is_answered_at_once),
        cmocka_unit_test(a_hung_thread_at_the_end_leaves_nobody_waiting),
        cmocka_unit_test(preferences_stay_within_the_memory),
        cmocka_unit_test(a_batch_waits_no_longer_than_its_deadline_allows),
        cmocka_unit_test(a_wide_answer_is_held_in_time),
        cmocka_unit_test(a_first_wide_answer_is_whole),
        cmocka_unit_test(held_beams_grow_old),
        cmocka_unit_test(a_lost_rescue_thread_is_counted_apart),
        cmocka_unit_test(an_operator_who_removes_a_cluster_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
