/* The core in a simulated world: one model follows another. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/model.h"
#include "system/core_world.h"

static void deliver_reload(world *w, char peer, const char *file, uint64_t sequence)
{
    Beamd__ModelReload m = BEAMD__MODEL_RELOAD__INIT;
    m.file = (char *)(uintptr_t)file;
    deliver(w, peer, BEAM_WIRE_MODEL_RELOAD, "", sequence, &m.base);
}

static const char *model_in_use(world *w)
{
    beamd_gauges g = {.model_name = NULL};
    beamd_core_gauges(w->core, w->now_ns, &g);
    return g.model_name ? g.model_name : "";
}

/* The model may change while a solve is under way: that one ends with its own, the next begins with
 * the new one. One file is read at a time. */
static void a_model_is_exchanged_between_solves(void **state)
{
    (void)state;
    char path[] = "/tmp/beamd-core-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    test_model_file first = test_model_make_fresh(2, 8, "first", 1);
    test_model_file second = test_model_make_fresh(5, 40, "second", 2);
    ready_cluster(w, "c", scene);
    test_model_save(&first, path);
    deliver_reload(w, 'o', path, 1);
    deliver_reload(w, 'p', path, 2);
    assert_int_equal(w->count, 1); /* p; o waits */
    assert_true(last(w)->peer == 'p' && last(w)->code == BEAMD__ERROR_CODE__ERROR_BUSY);
    assert_false(beamd_core_idle(w->core));
    finish_reading(w);
    assert_true(last(w)->peer == 'o' && last(w)->type == BEAM_WIRE_MODEL_REPLY);
    assert_string_equal(model_in_use(w), "first");
    deliver_csi(w, 'a', "c", scene, 1, 0); /* starts with the first */
    test_model_save(&second, path);
    deliver_reload(w, 'o', path, 3);
    finish_reading(w);
    assert_string_equal(model_in_use(w), "second");
    finish_one(w);
    assert_int_equal(last(w)->type, BEAM_WIRE_SOLUTION);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    second.bytes[99] ^= 1;
    test_model_save(&second, path);
    deliver_reload(w, 'o', path, 4);
    finish_reading(w);
    assert_true(last(w)->peer == 'o' && last(w)->code == BEAMD__ERROR_CODE__ERROR_INVALID);
    assert_string_equal(model_in_use(w), "second");
    finish_one(w);
    assert_int_equal(last(w)->type, BEAM_WIRE_SOLUTION);
    const beamd_metrics *m = beamd_core_metrics(w->core);
    assert_true(m->model_loads == 2 && m->model_refusals == 1 && m->fallbacks[0] == 2);
    unlink(path);
    test_model_file_free(&first);
    test_model_file_free(&second);
    world_free(w);
    test_scene_free(scene);
}

/* A model that needs more memory than a cluster may have: the solver answers, counted. */
static void a_model_without_room_leaves_the_solver(void **state)
{
    (void)state;
    char path[] = "/tmp/beamd-core-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    test_model_file file = test_model_make_fresh(2, 8, "any", 1);
    test_model_save(&file, path);
    ready_cluster(w, "c", scene);
    w->config.cluster_memory_mib = 0; /* below the least of a file */
    deliver_reload(w, 'o', path, 1);
    finish_reading(w);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    finish_one(w);
    assert_int_equal(last(w)->type, BEAM_WIRE_SOLUTION);
    assert_int_equal(last(w)->backend, BEAMD__BACKEND__BACKEND_SOLVER);
    assert_int_equal(beamd_core_metrics(w->core)->fallbacks[BEAMD_FALLBACK_MEMORY], 1);
    w->config.cluster_memory_mib = 64; /* room again: taken after the next reload */
    step(w, BEAMD_EVENT_CONFIG);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    finish_one(w);
    assert_int_equal(beamd_core_metrics(w->core)->fallbacks[BEAMD_FALLBACK_MEMORY], 1);
    assert_int_equal(last(w)->backend, BEAMD__BACKEND__BACKEND_NETWORK);
    unlink(path);
    test_model_file_free(&file);
    world_free(w);
    test_scene_free(scene);
}

/* Accepted before the drain: answered during it; after it begins: refused. */
static void a_reload_is_answered_while_draining(void **state)
{
    (void)state;
    world *w = world_new(1);
    deliver_reload(w, 'o', "/no/such/file", 1);
    step(w, BEAMD_EVENT_DRAIN);
    deliver_reload(w, 'p', "/no/such/file", 2);
    assert_true(last(w)->peer == 'p' && last(w)->code == BEAMD__ERROR_CODE__ERROR_DRAINING);
    assert_false(beamd_core_idle(w->core));
    finish_reading(w);
    assert_true(last(w)->peer == 'o' && last(w)->code == BEAMD__ERROR_CODE__ERROR_INVALID);
    assert_true(beamd_core_idle(w->core));
    world_free(w);
}

/* A signal during a reading is not lost: the configured file is read after it. */
static void a_signal_waits_for_the_reading_under_way(void **state)
{
    (void)state;
    world *w = world_new(1);
    step(w, BEAMD_EVENT_CONFIG); /* nothing is configured, nothing loaded from a file */
    assert_null(w->reading);
    strcpy(w->config.model_file, "/no/such/file");
    deliver_reload(w, 'o', "/no/other/file", 1);
    step(w, BEAMD_EVENT_CONFIG);
    finish_reading(w);
    assert_non_null(w->reading);
    assert_string_equal(((beamd_model_job *)w->reading)->file, "/no/such/file");
    const unsigned count = w->count;
    finish_reading(w);
    assert_int_equal(w->count, count); /* nobody to answer */
    assert_int_equal(beamd_core_metrics(w->core)->model_refusals, 2);
    assert_null(w->reading);
    world_free(w);
}

/* Nor is one that comes while the state of clusters is written by all threads that read. */
static void a_signal_waits_for_a_thread(void **state)
{
    (void)state;
    world *w = world_new(1);
    strcpy(w->config.model_file, "/no/such/file");
    w->readers_busy = true;
    step(w, BEAMD_EVENT_CONFIG);
    w->now_ns += UINT64_C(1000000000);
    step(w, BEAMD_EVENT_TIME);
    assert_null(w->reading);
    w->readers_busy = false;
    w->now_ns += UINT64_C(1000000000);
    step(w, BEAMD_EVENT_TIME);
    assert_non_null(w->reading);
    assert_string_equal(((beamd_model_job *)w->reading)->file, "/no/such/file");
    finish_reading(w);
    assert_null(w->reading);
    w->now_ns += UINT64_C(1000000000);
    step(w, BEAMD_EVENT_TIME);
    assert_null(w->reading); /* once */
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_exchanged_between_solves),
        cmocka_unit_test(a_model_without_room_leaves_the_solver),
        cmocka_unit_test(a_reload_is_answered_while_draining),
        cmocka_unit_test(a_signal_waits_for_the_reading_under_way),
        cmocka_unit_test(a_signal_waits_for_a_thread),
    };
    return cmocka_run_group_tests_name("the core and its model", tests, NULL, NULL);
}
