/* The core with a GPU's worker in a simulated world: the way of a batch there and back, and every
 * way to lose it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_internal.h"
#include "system/core_world_gpu.h"

/* --- There and back --- */

static void a_request_goes_to_the_gpu_and_back(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    set_times(cluster_of(w, "c"), 0);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    assert_int_equal(w->jobs, 0);
    assert_int_equal(w->gpu_jobs, 1);
    beamd_batch *batch = fly(w);
    assert_int_equal(batch->problems, 1);
    assert_int_equal(beamd_core_jobs(w->core), 1);
    answer_batch(w, batch);
    assert_int_equal(w->gpu_jobs, 1);
    finish_gpu(w);
    const sent *s = answered(w, 'a', 2);
    assert_int_equal(s->service, BEAMD__SERVICE__SERVICE_FULL);
    assert_int_equal(s->backend, BEAMD__BACKEND__BACKEND_GPU);
    assert_true(beamd_core_expect_ns(cluster_of(w, "c"), BEAMD_EFFORT_GPU, 1) > 0);
    assert_int_equal(beamd_core_jobs(w->core), 0);
    assert_int_equal(w->gpu.releases, 1);
    assert_int_equal(w->gpu.distrusted, 0);
    no_slot_is_held(w);
    end(w, scene);
}

/* The CPU answers within the same deadline, and the next request is the GPU's again. */
static void what_is_lost_the_cpu_does(void **state)
{
    (void)state;
    static const beamd_gpu_loss losses[] = {
        BEAMD_GPU_LOSS_DEADLINE, BEAMD_GPU_LOSS_UNPREPARED, BEAMD_GPU_LOSS_REFUSED,
        BEAMD_GPU_LOSS_DEVICE,   BEAMD_GPU_LOSS_DEATH,      BEAMD_GPU_LOSS_HANG,
        BEAMD_GPU_LOSS_HEART,    BEAMD_GPU_LOSS_GARBAGE,    BEAMD_GPU_LOSS_STOPPED};
    beam_scene *scene = test_golden_scene("paper_eps010");
    for (unsigned k = 0; k < sizeof losses / sizeof losses[0]; k++) {
        world *w = warm_world(2, scene);
        deliver_csi(w, 'a', "c", scene, 2, 0);
        lose(w, fly(w), losses[k]);
        assert_int_equal(w->gpu_jobs, 0); /* a slot is free, and it is not asked again */
        assert_int_equal(w->jobs, 1);
        finish_one(w);
        const sent *s = answered(w, 'a', 2);
        assert_int_equal(s->backend, BEAMD__BACKEND__BACKEND_NETWORK);
        assert_int_equal(s->service, BEAMD__SERVICE__SERVICE_FULL);
        set_times(cluster_of(w, "c"), 1e6);
        deliver_csi(w, 'a', "c", scene, 3, 0);
        assert_int_equal(w->jobs, 0);
        beamd_batch *batch = fly(w);
        answer_batch(w, batch);
        finish_gpu(w);
        assert_int_equal(answered(w, 'a', 3)->backend, BEAMD__BACKEND__BACKEND_GPU);
        no_slot_is_held(w);
        world_free(w);
    }
    test_scene_free(scene);
}

static void a_worker_that_has_just_gone_costs_nothing(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    w->gpu.gone = true;
    finish_gpu(w);
    assert_int_equal(w->gpu.submits, 0);
    assert_int_equal(w->gpu.releases, 0); /* the slot went with the worker */
    assert_int_equal(w->jobs, 1);
    assert_int_equal(w->gpu_jobs, 0);
    finish_one(w);
    assert_int_equal(answered(w, 'a', 2)->backend, BEAMD__BACKEND__BACKEND_NETWORK);
    assert_int_equal(gpu_health(w)->failures, 0);
    no_slot_is_held(w);
    end(w, scene);
}

static void nothing_to_send_is_no_failure(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    ((beamd_batch *)w->gpu_job[0])->task[0]->excluded = BEAMD_FALLBACK_SENSING;
    finish_gpu(w);
    assert_int_equal(w->gpu.submits, 0);
    assert_int_equal(w->gpu.releases, 1);
    assert_int_equal(w->jobs, 1);
    finish_one(w);
    (void)answered(w, 'a', 2);
    assert_int_equal(gpu_health(w)->failures, 0);
    end(w, scene);
}

/* Too little memory in the slot for what the estimate allowed: likewise. */
static void what_does_not_fit_is_no_failure(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    ((beamd_batch *)w->gpu_job[0])->gpu->claim.request_bytes = 500;
    finish_gpu(w);
    assert_int_equal(w->gpu.submits, 0);
    assert_int_equal(beamd_core_metrics(w->core)->gpu_not_packed, 1);
    assert_int_equal(w->jobs, 1);
    finish_one(w);
    (void)answered(w, 'a', 2);
    assert_int_equal(gpu_health(w)->failures, 0);
    no_slot_is_held(w);
    end(w, scene);
}

/* No time is left to be lost in: the worker is not asked, and has not failed. */
static void a_batch_that_is_packed_too_late_is_the_cpus(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    beamd_cluster *c = cluster_of(w, "c");
    w->now_ns = beamd_core_stop_at_ns(w->core, c) - 1000;
    finish_gpu(w);
    assert_int_equal(w->gpu.submits, 0);
    assert_int_equal(w->gpu.releases, 1);
    assert_int_equal(gpu_health(w)->failures, 0);
    no_slot_is_held(w);
    end(w, scene);
}

/* --- Nobody waits any more --- */

static void a_request_that_ended_meanwhile_is_not_sent(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    pass(w, ms(DEADLINE_MS) - 1000); /* what is held goes out */
    assert_int_equal(w->log[0].service, BEAMD__SERVICE__SERVICE_HELD);
    finish_gpu(w);
    assert_int_equal(w->gpu.submits, 0);
    assert_int_equal(w->gpu.releases, 1);
    assert_int_equal(w->jobs, 0);
    assert_true(beamd_core_idle(w->core));
    end(w, scene);
}

/* The answer of an overtaken request does not take the place of the newer one's. */
static void an_answer_that_comes_too_late_leaves_nothing(void **state)
{
    (void)state;
    enum { BANDS = 12 /* two tasks */ };
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new_gpu(1, 2);
    warm_cluster(w, "c", scene, BANDS);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    beamd_batch *late = fly(w);
    pass(w, ms(DEADLINE_MS) - 1000); /* what is held goes out */
    assert_int_equal(w->log[0].service, BEAMD__SERVICE__SERVICE_HELD);
    set_times(cluster_of(w, "c"), 1e6);
    deliver_csi(w, 'a', "c", scene, 3, 0);
    beamd_batch *next = fly(w);
    answer_batch(w, next);
    finish_gpu(w);
    assert_int_equal(cluster_of(w, "c")->last[0]->csi_sequence, 3);
    const unsigned before = w->count;
    answer_batch(w, late);
    finish_gpu(w);
    assert_int_equal(w->count, before);
    const beamd_answer *kept = cluster_of(w, "c")->last[0];
    assert_int_equal(kept->csi_sequence, 3);
    assert_int_equal(kept->backend, BEAMD__BACKEND__BACKEND_GPU);
    no_slot_is_held(w);
    end(w, scene);
}

/* A preference that comes begins the request anew: what its batch loses nobody waits for. */
static void a_restarted_request_may_ask_again(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(2, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    beamd_batch *old = fly(w);
    beamd_core_restart(w->core, cluster_of(w, "c"));
    lose(w, old, BEAMD_GPU_LOSS_DEADLINE);
    assert_int_equal(w->jobs, 0);
    beamd_batch *again = fly(w);
    answer_batch(w, again);
    finish_gpu(w);
    assert_int_equal(answered(w, 'a', 2)->backend, BEAMD__BACKEND__BACKEND_GPU);
    end(w, scene);
}

static void unregister(world *w)
{
    const Beamd__UnregisterCluster m = BEAMD__UNREGISTER_CLUSTER__INIT;
    deliver(w, 'r', BEAM_WIRE_UNREGISTER_CLUSTER, "c", 9, &m.base);
    assert_int_equal(beamd_core_clusters(w->core), 0);
}

/* Wherever its batch is; its memory goes with the last of them. */
static void a_cluster_may_go_at_any_time(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    for (int phase = 0; phase < 5; phase++) {
        world *w = warm_world(2, scene);
        deliver_csi(w, 'a', "c", scene, 2, 0);
        beamd_batch *batch = phase > 0 ? fly(w) : NULL;
        if (phase == 2) { /* answered, and taken by a thread */
            answer_batch(w, batch);
        }
        unregister(w);
        assert_int_equal(w->log[0].code, BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
        if (phase == 3) {
            lose(w, batch, BEAMD_GPU_LOSS_DEATH);
        } else if (phase == 4) {
            answer_batch(w, batch);
        }
        if (w->gpu_jobs > 0) {
            finish_gpu(w);
        }
        if (phase == 1) {
            lose(w, batch, BEAMD_GPU_LOSS_DEADLINE);
        }
        assert_int_equal(w->gpu.submits, phase > 0);
        assert_int_equal(w->jobs + w->gpu_jobs, 0);
        assert_int_equal(beamd_core_jobs(w->core), 0);
        assert_int_equal(w->core->bytes, 0);
        no_slot_is_held(w);
        world_free(w);
    }
    test_scene_free(scene);
}

/* --- Threads --- */

/* Lost while it packs, or while it takes: the slot is its own until it is back. */
static void a_thread_that_hangs_keeps_its_slot(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    for (int taking = 0; taking < 2; taking++) {
        world *w = warm_world(2, scene);
        deliver_csi(w, 'a', "c", scene, 2, 0);
        if (taking) {
            answer_batch(w, fly(w));
        }
        pass(w, ms(DEADLINE_MS) - 1000);
        pass(w, ms((uint64_t)w->config.hang_ms) + 2000);
        assert_int_equal(w->lost_count, 1);
        assert_int_equal(w->gpu_jobs, 0);
        assert_true(w->gpu.claimed[0]);
        set_times(cluster_of(w, "c"), 1e6);
        deliver_csi(w, 'a', "c", scene, 3, 0); /* with other memory, in another slot */
        beamd_batch *batch = fly(w);
        assert_int_equal(batch->gpu->claim.slot, 1);
        answer_batch(w, batch);
        finish_gpu(w);
        assert_int_equal(answered(w, 'a', 3)->backend, BEAMD__BACKEND__BACKEND_GPU);
        finish_at(w, &w->lost[--w->lost_count]);
        no_slot_is_held(w);
        assert_int_equal(w->core->lost_count, 0);
        assert_int_equal(w->core->jobs[BEAMD_CREW_GPU], 0);
        world_free(w);
    }
    test_scene_free(scene);
}

/* What is answered while no thread is free is taken when one is, the oldest first. */
static void answers_wait_for_a_thread(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(3, scene);
    warm_cluster(w, "d", scene, 1);
    warm_cluster(w, "e", scene, 1);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    beamd_batch *first = fly(w);
    deliver_csi(w, 'b', "d", scene, 2, 0);
    beamd_batch *second = fly(w);
    deliver_csi(w, 'x', "e", scene, 2, 0); /* this one's packing holds the thread */
    assert_int_equal(w->gpu_jobs, 1);
    answer_batch(w, second);
    answer_batch(w, first);
    assert_int_equal(w->gpu_jobs, 1);
    beamd_batch *third = fly(w);
    assert_ptr_equal(w->gpu_job[0], &second->job);
    finish_gpu(w);
    assert_ptr_equal(w->gpu_job[0], &first->job);
    finish_gpu(w);
    answer_batch(w, third);
    finish_gpu(w);
    (void)answered(w, 'a', 2);
    (void)answered(w, 'b', 2);
    (void)answered(w, 'x', 2);
    no_slot_is_held(w);
    end(w, scene);
}

/* --- Health --- */

static void lose_one(world *w, const beam_scene *scene, uint64_t sequence, beamd_gpu_loss loss)
{
    deliver_csi(w, 'a', "c", scene, sequence, 0);
    lose(w, fly(w), loss);
    finish_one(w);
    set_times(cluster_of(w, "c"), 1e6);
}

static void late_answers_leave_the_gpu_alone_for_a_while(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(2, scene);
    uint64_t sequence = 2;
    for (int k = 0; k < w->config.backend_failures; k++) {
        assert_int_equal(gpu_health(w)->health, BEAMD_HEALTH_GOOD);
        lose_one(w, scene, sequence++, BEAMD_GPU_LOSS_DEADLINE);
    }
    assert_int_equal(gpu_health(w)->health, BEAMD_HEALTH_FAILING);
    deliver_csi(w, 'a', "c", scene, sequence, 0);
    assert_int_equal(w->gpu_jobs, 0);
    finish_one(w);
    assert_int_equal(answered(w, 'a', sequence++)->backend, BEAMD__BACKEND__BACKEND_NETWORK);
    pass(w, ms((uint64_t)w->config.backend_retry_ms));
    set_times(cluster_of(w, "c"), 1e6);
    warm_cluster(w, "d", scene, 1);
    deliver_csi(w, 'a', "c", scene, sequence, 0);
    assert_int_equal(gpu_health(w)->health, BEAMD_HEALTH_PROBING);
    beamd_batch *probe = fly(w);
    deliver_csi(w, 'b', "d", scene, 2, 0); /* one batch is to find out */
    assert_int_equal(w->gpu_jobs, 0);
    finish_one(w);
    answer_batch(w, probe);
    finish_gpu(w);
    assert_int_equal(gpu_health(w)->health, BEAMD_HEALTH_GOOD);
    assert_int_equal(answered(w, 'a', sequence)->backend, BEAMD__BACKEND__BACKEND_GPU);
    end(w, scene);
}

/* A probe that is lost, whatever the reason, has found out nothing good. */
static void a_lost_probe_doubles_the_while(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(2, scene);
    uint64_t sequence = 2;
    for (int k = 0; k < w->config.backend_failures; k++) {
        lose_one(w, scene, sequence++, BEAMD_GPU_LOSS_REFUSED);
    }
    const uint64_t wait_ns = gpu_health(w)->wait_ns;
    assert_int_equal(wait_ns, ms((uint64_t)w->config.backend_retry_ms));
    pass(w, wait_ns);
    lose_one(w, scene, sequence++, BEAMD_GPU_LOSS_DEATH);
    assert_int_equal(gpu_health(w)->health, BEAMD_HEALTH_FAILING);
    assert_int_equal(gpu_health(w)->wait_ns, 2 * wait_ns);
    end(w, scene);
}

/* The link sees to a worker that ends, and the next one is asked at once. */
static void a_worker_that_ends_is_no_failure_of_the_backend(void **state)
{
    (void)state;
    static const beamd_gpu_loss losses[] = {BEAMD_GPU_LOSS_DEVICE, BEAMD_GPU_LOSS_DEATH,
                                            BEAMD_GPU_LOSS_HANG, BEAMD_GPU_LOSS_HEART,
                                            BEAMD_GPU_LOSS_GARBAGE};
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(2, scene);
    for (uint64_t k = 0; k < 10; k++) {
        lose_one(w, scene, 2 + k, losses[k % 5]);
    }
    assert_int_equal(gpu_health(w)->health, BEAMD_HEALTH_GOOD);
    assert_int_equal(gpu_health(w)->failures, 0);
    assert_int_equal(w->gpu.submits, 10);
    end(w, scene);
}

/* No answer of its batch: the worker is not trusted, and the request has its answer all the same.
 */
static void a_wrong_answer_ends_the_worker(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    end_batch(w, fly(w), BEAMD_GPU_ANSWERED, BEAMD_GPU_LOSS_DEADLINE);
    finish_gpu(w);
    assert_int_equal(answered(w, 'a', 2)->backend, BEAMD__BACKEND__BACKEND_SOLVER);
    assert_int_equal(w->gpu.distrusted, 1);
    assert_int_equal(gpu_health(w)->failures, 1);
    assert_int_equal(beamd_core_metrics(w->core)->gpu_distrusted, 1);
    set_times(cluster_of(w, "c"), 1e6);
    deliver_csi(w, 'a', "c", scene, 3, 0);
    answer_batch(w, fly(w));
    finish_gpu(w);
    assert_int_equal(w->gpu.distrusted, 1);
    end(w, scene);
}

/* --- Ends --- */

/* Whatever phase its batches are in, the core ends without a leak. */
static void the_core_ends_with_batches_in_every_phase(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    for (int phase = 0; phase < 4; phase++) {
        world *w = warm_world(3, scene);
        warm_cluster(w, "d", scene, 1);
        deliver_csi(w, 'a', "c", scene, 2, 0);
        if (phase > 0) {
            beamd_batch *batch = fly(w);
            w->gpu_threads = phase == 2 ? 0 : 1; /* it waits */
            if (phase > 1) {
                answer_batch(w, batch);
            }
            if (phase == 1) {
                deliver_csi(w, 'b', "d", scene, 2, 0);
                (void)fly(w);
            }
        }
        step(w, BEAMD_EVENT_DRAIN);
        world_free(w);
    }
    test_scene_free(scene);
}

/* A drain answers what was accepted, a GPU's batches included. */
static void a_drain_waits_for_the_worker(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    beamd_batch *batch = fly(w);
    step(w, BEAMD_EVENT_DRAIN);
    deliver_csi(w, 'b', "c", scene, 3, 0);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_DRAINING);
    assert_false(beamd_core_idle(w->core));
    answer_batch(w, batch);
    finish_gpu(w);
    assert_int_equal(answered(w, 'a', 2)->backend, BEAMD__BACKEND__BACKEND_GPU);
    assert_true(beamd_core_idle(w->core));
    end(w, scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_to_the_gpu_and_back),
        cmocka_unit_test(what_is_lost_the_cpu_does),
        cmocka_unit_test(a_worker_that_has_just_gone_costs_nothing),
        cmocka_unit_test(nothing_to_send_is_no_failure),
        cmocka_unit_test(what_does_not_fit_is_no_failure),
        cmocka_unit_test(a_batch_that_is_packed_too_late_is_the_cpus),
        cmocka_unit_test(a_request_that_ended_meanwhile_is_not_sent),
        cmocka_unit_test(an_answer_that_comes_too_late_leaves_nothing),
        cmocka_unit_test(a_restarted_request_may_ask_again),
        cmocka_unit_test(a_cluster_may_go_at_any_time),
        cmocka_unit_test(a_thread_that_hangs_keeps_its_slot),
        cmocka_unit_test(answers_wait_for_a_thread),
        cmocka_unit_test(late_answers_leave_the_gpu_alone_for_a_while),
        cmocka_unit_test(a_lost_probe_doubles_the_while),
        cmocka_unit_test(a_worker_that_ends_is_no_failure_of_the_backend),
        cmocka_unit_test(a_wrong_answer_ends_the_worker),
        cmocka_unit_test(the_core_ends_with_batches_in_every_phase),
        cmocka_unit_test(a_drain_waits_for_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
