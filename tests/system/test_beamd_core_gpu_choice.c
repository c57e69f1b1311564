/* What the core gives a GPU's worker, how much of it at a time, how long it waits, and which sizes
 * the workers are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core_internal.h"
#include "system/core_world_gpu.h"

/* --- Times --- */

/* One bad measurement does not rule a GPU out for ever, though the CPU gives full answers. */
static void a_gpu_that_was_slow_once_is_asked_again(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    set_times(cluster_of(w, "c"), 1.5 * 1e6 * DEADLINE_MS);
    uint64_t sequence = 2;
    do {
        assert_true(sequence < 200);
        deliver_csi(w, 'a', "c", scene, sequence++, 0);
        if (w->gpu_jobs == 0) {
            finish_one(w);
            beamd_cluster *c = cluster_of(w, "c");
            set_times(c, c->service[BEAMD_EFFORT_GPU].mean_ns);
        }
    } while (w->gpu_jobs == 0);
    end(w, scene);
}

/* A worker whose time is not known has half of what there is, if the CPU's network fits behind. */
static void a_worker_never_measured_is_not_waited_for_to_the_end(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    beamd_cluster *c = cluster_of(w, "c");
    set_times(c, 0);
    deliver_csi(w, 'a', "c", scene, 2, 10000);
    const uint64_t stop_ns = beamd_core_stop_at_ns(w->core, c);
    (void)fly(w);
    assert_true(w->gpu.lost_at_ns + 1500000 <= stop_ns + 1000); /* 1.5 times 1 ms, one thread */
    assert_true(w->gpu.lost_at_ns > w->now_ns + ms(4));
    end(w, scene);
}

/* Ten times as long as usual is too long, however much time there is. */
static void a_worker_in_doubt_is_not_waited_for(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    deliver_csi(w, 'a', "c", scene, 2, 0);
    (void)fly(w);
    assert_true(w->gpu.lost_at_ns <= w->now_ns + ms(100)); /* of 30 s */
    end(w, scene);
}

/* --- Sizes --- */

/* A registration of other sizes; sensing COHERENT: not for the network. */
static void register_sized(world *w, const char *id, unsigned antennas, unsigned users,
                           Beamd__SensingModel sensing)
{
    Beamd__RegisterCluster m = BEAMD__REGISTER_CLUSTER__INIT;
    Beamd__Station station[2], *at[2];
    for (int l = 0; l < 2; l++) {
        beamd__station__init(&station[l]);
        station[l].x_m = 100 * l;
        station[l].antennas = antennas;
        station[l].power_w = 1;
        station[l].echo_noise_w = 1e-12;
        at[l] = &station[l];
    }
    m.array = BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR;
    m.user_antennas = 1;
    m.sensing = sensing;
    m.snapshots = 100;
    m.carrier_hz = 3.5e9;
    m.bandwidth_hz = 20e6;
    m.max_users = users;
    m.targets = 1;
    m.subbands = 1;
    m.n_stations = 2;
    m.stations = at;
    deliver(w, 'r', BEAM_WIRE_REGISTER_CLUSTER, id, 1, &m.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_ACK);
}

static void workers_are_told_the_sizes(void **state)
{
    (void)state;
    const Beamd__SensingModel resolved = BEAMD__SENSING_MODEL__SENSING_RESOLVED;
    world *w = world_new_gpu(1, 1);
    const unsigned told = w->gpu.told;
    register_sized(w, "a", 4, 2, resolved);
    assert_int_equal(w->gpu.told, told + 1);
    assert_int_equal(w->gpu.sizes.rooms, 1);
    register_sized(w, "b", 4, 1, resolved); /* fits already */
    assert_int_equal(w->gpu.told, told + 1);
    register_sized(w, "c", 4, 5, resolved); /* grows */
    assert_int_equal(w->gpu.told, told + 2);
    assert_int_equal(w->gpu.sizes.rooms, 1);
    assert_int_equal(w->gpu.sizes.room[0].users, 5);
    register_sized(w, "d", 6, 2, BEAMD__SENSING_MODEL__SENSING_COHERENT); /* never asked for */
    assert_int_equal(w->gpu.told, told + 2);
    beam_error err;
    beamd_core_set_model(w->core, beamd_model_read("", &err)); /* the same sizes, another model */
    assert_int_equal(w->gpu.told, told + 3);
    beamd_core_set_model(w->core, NULL);
    assert_int_equal(w->gpu.told, told + 4);
    world_free(w);
}

/* The ninth has to wait until a place is free; those that nobody has any more make room. */
static void more_sizes_than_a_worker_can_be_ready_for(void **state)
{
    (void)state;
    const Beamd__SensingModel resolved = BEAMD__SENSING_MODEL__SENSING_RESOLVED;
    world *w = world_new_gpu(1, 1);
    char id[8];
    for (unsigned k = 0; k < BEAMG_ROOMS_MAX + 2; k++) {
        snprintf(id, sizeof id, "s%u", k);
        register_sized(w, id, 2 + k, 2, resolved);
        assert_int_equal(cluster_of(w, id)->without_gpu_room, k >= BEAMG_ROOMS_MAX);
    }
    assert_int_equal(w->gpu.sizes.rooms, BEAMG_ROOMS_MAX);
    const Beamd__UnregisterCluster m = BEAMD__UNREGISTER_CLUSTER__INIT;
    deliver(w, 'r', BEAM_WIRE_UNREGISTER_CLUSTER, "s3", 9, &m.base);
    assert_false(cluster_of(w, "s8")->without_gpu_room);
    assert_true(cluster_of(w, "s9")->without_gpu_room);
    assert_int_equal(w->gpu.sizes.rooms, BEAMG_ROOMS_MAX);
    assert_int_equal(w->gpu.sizes.room[3].antennas, 2 + 8);
    world_free(w);
}

/* Neither a cluster without room nor one whose subband no slot holds keeps others waiting. */
static void the_first_in_the_queue_does_not_block_the_rest(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    for (int with_room = 0; with_room < 2; with_room++) {
        world *w = warm_world(2, scene);
        warm_cluster(w, "d", scene, 1);
        beamd_cluster *c = cluster_of(w, "c");
        if (with_room) { /* two problems where a slot has one */
            const beamd_cluster_limits limits = beamd_core_limits(w->core, c->bytes);
            beam_wire_error err;
            size_t request, answer;
            assert_int_equal(beamd_cluster_name_preference(c, "one", 0.2, &limits, &err), 0);
            assert_int_equal(beamd_cluster_name_preference(c, "two", 0.8, &limits, &err), 0);
            beamd_gpu_batch_bytes(&c->max, c->sensing_max, 1, &request, &answer);
            w->gpu.slot_bytes = request > answer ? request : answer;
        } else {
            c->without_gpu_room = true;
        }
        w->threads = w->gpu_threads = 0;              /* the queue fills */
        deliver_csi(w, 'a', "c", scene, 2, 10000000); /* first by its deadline */
        deliver_csi(w, 'b', "d", scene, 2, 0);
        w->threads = w->gpu_threads = 1;
        step(w, BEAMD_EVENT_TIME);
        assert_int_equal(w->gpu_jobs, 1);
        const beamd_batch *batch = (const beamd_batch *)w->gpu_job[0];
        assert_int_equal(batch->tasks, 1);
        assert_string_equal(batch->task[0]->cluster->id, "d");
        assert_int_equal(w->jobs, 1);
        assert_int_equal(w->gpu.claims - w->gpu.releases, 1);
        world_free(w);
    }
    test_scene_free(scene);
}

/* --- What is the CPU's --- */

static void asked_of_the_cpu(world *w, const beam_scene *scene, uint64_t sequence)
{
    deliver_csi(w, 'a', "c", scene, sequence, 0);
    assert_int_equal(w->gpu_jobs, 0);
    assert_int_equal(w->jobs, 1);
    finish_one(w);
    (void)answered(w, 'a', sequence);
    set_times(cluster_of(w, "c"), 1e6);
}

static void what_a_gpu_is_not_made_for(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = warm_world(1, scene);
    beamd_cluster *c = cluster_of(w, "c");
    beam_error err;
    c->band[0].ideal_users_generation--; /* the best rate of other users */
    asked_of_the_cpu(w, scene, 2);
    c->band[0].has_ideal = false;
    asked_of_the_cpu(w, scene, 3);
    c->ticket = 99; /* as if it were active */
    assert_true(beamd_core_gpu_fits(w->core, c, ms(1000)));
    c->live.scene.sensing = BEAM_SENSING_COHERENT;
    assert_false(beamd_core_gpu_fits(w->core, c, ms(1000)));
    c->live.scene.sensing = BEAM_SENSING_RESOLVED;
    c->live.scene.user_min_rate_bps_hz[1] = 0.1;
    assert_false(beamd_core_gpu_fits(w->core, c, ms(1000)));
    c->live.scene.user_min_rate_bps_hz[1] = 0;
    c->ticket = 0;
    beamd_core_set_model(w->core, NULL);
    asked_of_the_cpu(w, scene, 4);
    beamd_core_set_model(w->core, beamd_model_read("", &err));
    snprintf(w->config.solve_method, sizeof w->config.solve_method, "boblrbf");
    asked_of_the_cpu(w, scene, 5);
    snprintf(w->config.solve_method, sizeof w->config.solve_method, "network");
    w->gpu.slots = 0; /* no worker is ready */
    asked_of_the_cpu(w, scene, 6);
    w->gpu.slots = 1;
    set_times(c, 1e6 * DEADLINE_MS); /* longer than there is time */
    asked_of_the_cpu(w, scene, 7);
    deliver_csi(w, 'a', "c", scene, 8, 0);
    assert_int_equal(w->gpu_jobs, 1);
    assert_int_equal(w->gpu.submits, 0);
    end(w, scene);
}

/* --- Batches --- */

static void clusters_and_subbands_share_a_batch(void **state)
{
    (void)state;
    enum { BANDS = 12 };
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new_gpu(1, 2);
    warm_cluster(w, "w", scene, BANDS);
    warm_cluster(w, "c", scene, 1);
    warm_cluster(w, "d", scene, 1);
    w->gpu_threads = 0;
    w->threads = 0;
    deliver_wide_csi(w, 'a', "w", scene, 2, 10000000, 0, BANDS);
    deliver_csi(w, 'b', "c", scene, 2, 0);
    deliver_csi(w, 'x', "d", scene, 2, 0);
    w->gpu_threads = w->threads = 1;
    step(w, BEAMD_EVENT_TIME);
    beamd_batch *batch = fly(w);
    assert_int_equal(batch->problems, BANDS + 2);
    assert_ptr_equal(batch->task[0]->cluster, batch->task[1]->cluster);
    assert_int_equal(batch->gpu->places.problems, BANDS + 2);
    answer_batch(w, batch);
    finish_gpu(w);
    assert_int_equal(answered(w, 'b', 2)->backend, BEAMD__BACKEND__BACKEND_GPU);
    assert_int_equal(answered(w, 'x', 2)->backend, BEAMD__BACKEND__BACKEND_GPU);
    bool wide = false;
    for (unsigned k = 0; k < w->count; k++) {
        const sent *s = &w->log[k];
        wide = wide || (s->type == BEAM_WIRE_SOLUTION_SET && s->peer == 'a' &&
                        s->solutions == BANDS && s->service == BEAMD__SERVICE__SERVICE_FULL);
    }
    assert_true(wide);
    no_slot_is_held(w);
    end(w, scene);
}

/* As much at a time as a slot holds; the rest as soon as a task of the cluster is free. */
static void a_batch_is_no_larger_than_its_slot(void **state)
{
    (void)state;
    enum { BANDS = 12, HOLDS = 5 };
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new_gpu(1, 2);
    warm_cluster(w, "w", scene, BANDS);
    const beamd_cluster *c = cluster_of(w, "w");
    assert_int_equal(c->tasks, 2);
    size_t request, answer;
    beamd_gpu_batch_bytes(&c->max, c->sensing_max, HOLDS, &request, &answer);
    w->gpu.slot_bytes = request > answer ? request : answer;
    w->gpu_threads = 2;
    deliver_wide_csi(w, 'a', "w", scene, 2, 0, 0, BANDS);
    assert_int_equal(w->gpu_jobs, 2);
    assert_int_equal(w->jobs, 0);
    beamd_batch *first = fly(w), *second = fly(w);
    assert_int_equal(first->problems, HOLDS);
    assert_int_equal(second->problems, HOLDS);
    lose(w, second, BEAMD_GPU_LOSS_DEADLINE); /* its subbands and what is open: the CPU's */
    assert_int_equal(w->jobs, 1);
    assert_int_equal(((beamd_batch *)w->under_way[0])->problems, BANDS - HOLDS);
    answer_batch(w, first);
    finish_gpu(w);
    finish_one(w);
    assert_int_equal(w->jobs + w->gpu_jobs, 0);
    assert_int_equal(last(w)->type, BEAM_WIRE_SOLUTION_SET);
    assert_int_equal(last(w)->solutions, BANDS);
    assert_int_equal(last(w)->service, BEAMD__SERVICE__SERVICE_FULL);
    no_slot_is_held(w);
    end(w, scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_that_was_slow_once_is_asked_again),
        cmocka_unit_test(a_worker_never_measured_is_not_waited_for_to_the_end),
        cmocka_unit_test(a_worker_in_doubt_is_not_waited_for),
        cmocka_unit_test(workers_are_told_the_sizes),
        cmocka_unit_test(more_sizes_than_a_worker_can_be_ready_for),
        cmocka_unit_test(the_first_in_the_queue_does_not_block_the_rest),
        cmocka_unit_test(what_a_gpu_is_not_made_for),
        cmocka_unit_test(clusters_and_subbands_share_a_batch),
        cmocka_unit_test(a_batch_is_no_larger_than_its_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
