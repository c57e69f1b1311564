/* Beside the answers: least-CRLB rows of new targets, best rates, fronts; and the network's rooms.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/untrained.h"
#include "unit/batch_bench.h"

/* New targets in a cluster whose least-CRLB problem takes long: answers go on with the old rows
 * until the refresh brings the new ones. */
static void test_rows_of_new_targets(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("wide_n64");
    beam_wire_error err;
    beamd_cluster *c = case_ready(scene, 3, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_CHECK, NULL);
    case_snapshot(c, c->task[0], 0, 3, 0);
    bench_add(b, c->task[0]);
    bench_run(b);
    assert_true(c->task[0]->has_sensing_rows_out && c->task[0]->sensing_ns > 0);
    assert_false(answer_at(c->task[0], 0, 0)->ideal_stale);
    beamd_cluster_take_ideal(c, c->task[0], 1);
    beamd_cluster_take(c, c->task[0], c->last);
    assert_true(c->has_sensing_rows && c->crlb_min_m2 > 0);
    /* the second task has them from the cluster */
    case_snapshot(c, c->spare, 0, 3, 0);
    assert_false(c->spare->need_sensing_end);
    assert_non_null(c->spare->sensing_rows);
    /* targets move */
    scene->target_position_m[0] += 0.25;
    assert_int_equal(case_targets(c, scene, 2, &err), 0);
    c->sensing_ns = 0;
    case_snapshot(c, c->task[0], 0, 3, 0);
    assert_true(c->task[0]->need_sensing_end && !c->task[0]->sensing_rows); /* fast: computed */
    assert_false(beamd_cluster_wants_sensing(c));
    c->sensing_ns = BEAMD_SENSING_SLOW_NS + 1;
    assert_true(beamd_cluster_wants_sensing(c));
    case_snapshot(c, c->task[0], 0, 3, 0);
    assert_true(c->task[0]->sensing_rows && c->task[0]->sensing_rows_moved);
    bench_clear(b);
    bench_add(b, c->task[0]);
    bench_run(b);
    const beamd_answer *a = answer_at(c->task[0], 1, 0);
    assert_true(a->present && a->ideal_stale);
    assert_false(c->task[0]->has_sensing_rows_out);
    const double provisional = a->ideal.crlb_min_m2;
    const double before = c->crlb_min_m2;
    beamd_cluster_take_ideal(c, c->task[0], 2);
    assert_true(c->crlb_min_m2 == before); /* a provisional value is not kept */
    /* the background */
    atomic_bool abandon = false;
    beamd_cluster_snapshot_refresh(c, 1, true, 0);
    c->refresh->abandon = &abandon;
    c->refresh->stop_at_ns = UINT64_MAX / 2;
    beamd_refresh_run(&c->refresh->job);
    assert_int_equal(c->refresh->code, BEAM_OK);
    beamd_cluster_take_refresh(c, 3);
    assert_false(beamd_cluster_wants_sensing(c));
    assert_true(c->crlb_min_m2 <= provisional * (1 + 1e-9) && c->crlb_min_m2 != before);
    assert_true(c->band[1].wsr_ideal_bps_hz > 0);
    case_snapshot(c, c->task[0], 0, 3, 0);
    assert_true(!c->task[0]->need_sensing_end && c->task[0]->sensing_rows &&
                !c->task[0]->sensing_rows_moved);
    bench_clear(b);
    bench_add(b, c->task[0]);
    bench_run(b);
    assert_task_good(c->task[0]);
    /* a refresh of targets that have moved again is of no use */
    beamd_cluster_snapshot_refresh(c, 0, true, 0);
    beamd_refresh_run(&c->refresh->job);
    scene->target_position_m[0] += 0.25;
    assert_int_equal(case_targets(c, scene, 3, &err), 0);
    const double kept = c->crlb_min_m2;
    beamd_cluster_take_refresh(c, 4);
    assert_true(c->crlb_min_m2 == kept && c->sensing_generation != c->target_generation);
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

/* A rate that was cut or estimated is made good in the background, at once. */
static void test_refresh_of_a_rate(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamd_cluster *c = case_ready(scene, 2, NULL);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_CHECK, NULL);
    case_snapshot(c, c->task[0], 0, 2, 0);
    bench_add(b, c->task[0]);
    bench_run(b);
    assert_true(c->task[0]->rate_end_cut[1]);
    beamd_cluster_take_ideal(c, c->task[0], 10);
    assert_true(c->band[1].has_ideal && c->band[1].ideal_at_ns == 0 &&
                c->band[1].ideal_generation == 0);
    const double rough = c->band[1].wsr_ideal_bps_hz;
    atomic_bool abandon = false;
    beamd_cluster_snapshot_refresh(c, 1, false, 0);
    c->refresh->abandon = &abandon;
    c->refresh->stop_at_ns = UINT64_MAX / 2;
    beamd_refresh_run(&c->refresh->job);
    beamd_cluster_take_refresh(c, 20);
    assert_int_equal(c->refresh->code, BEAM_OK);
    assert_true(c->band[1].wsr_ideal_bps_hz >= rough && c->band[1].ideal_at_ns == 20 &&
                c->band[1].ideal_generation == c->band[1].generation);
    case_snapshot(c, c->task[0], 0, 2, 0);
    assert_true(answer_at(c->task[0], 0, 0)->ideal_stale);
    assert_false(answer_at(c->task[0], 1, 0)->ideal_stale);
    bench_free(b);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

static void test_front(void **state)
{
    (void)state;
    enum { POINTS = 5 };
    beam_scene *scene = test_golden_scene("paper_eps010");
    beam_wire_error err;
    beamd_cluster *c = case_cluster(scene, 2, NULL);
    assert_null(beamd_front_create(c, 1, POINTS, (size_t)1 << 28, 0, &err));
    assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_NOT_READY);
    beamd_cluster_destroy(&c);
    c = case_ready(scene, 2, NULL);
    assert_null(beamd_front_create(c, 1, POINTS, 1000, 0, &err));
    assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_LIMIT);
    assert_null(beamd_front_create(c, 2, POINTS, (size_t)1 << 28, 0, &err));
    assert_string_equal(err.field, "subband");
    assert_null(beamd_front_create(c, 1, 1, (size_t)1 << 28, 0, &err));
    assert_string_equal(err.field, "points");
    beamd_front_job *job = beamd_front_create(c, 1, POINTS, (size_t)1 << 28, 0, &err);
    assert_non_null(job);
    atomic_bool abandon = false;
    job->abandon = &abandon;
    job->stop_at_ns = UINT64_MAX / 2;
    beamd_front_run(&job->job);
    assert_int_equal(job->code, BEAM_OK);
    assert_int_equal(job->csi_sequence, 1);
    for (int k = 0; k < POINTS; k++) {
        assert_true(k == 0 || job->tradeoff[k] > job->tradeoff[k - 1]);
        assert_true(job->result[k].wsr_worst_case_bps_hz <=
                    job->ideal.wsr_ideal_bps_hz * (1 + 1e-6));
    }
    assert_true(job->result[0].wsr_worst_case_bps_hz >
                job->result[POINTS - 1].wsr_worst_case_bps_hz);
    beamd_front_destroy(&job);
    assert_null(job);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

static void test_rooms(void **state)
{
    (void)state;
    beam_model *model = test_model_new(3, 8, TEST_WEIGHTS_FRESH, 8);
    bench *b = bench_new(BEAMD__BACKEND__BACKEND_NETWORK, model);
    const beam_model_info *info = b->held.info;
    beam_dims dims = {2, 4, 2, 1};
    const size_t plenty = (size_t)1 << 30;
    for (int k = 0; k < BEAMD_ROOMS; k++) {
        dims.antennas = 4 + 4 * k;
        dims.users = 8 - k; /* none holds another */
        assert_true(beamd_batch_make_room(b->batch, info, &dims, plenty));
    }
    const size_t bytes = beamd_batch_room_bytes(b->batch);
    const beam_dims small = {1, 4, 1, 1}, fifth = {4, 4, 1, 1}, huge = {16, 256, 128, 16};
    assert_true(beamd_batch_make_room(b->batch, info, &small, 0)); /* is there */
    assert_true(beamd_batch_room_bytes(b->batch) == bytes);
    assert_false(beamd_batch_make_room(b->batch, info, &huge, bytes + 1));
    assert_true(beamd_batch_room_bytes(b->batch) == bytes);
    beamd_batch_choose_room(b->batch, &fifth);
    assert_null(b->batch->inference);
    beamd_batch_choose_room(b->batch, &small); /* the first is used: the second one is oldest */
    assert_true(beamd_batch_make_room(b->batch, info, &fifth, plenty));
    beamd_batch_choose_room(b->batch, &fifth);
    assert_non_null(b->batch->inference);
    for (int k = 0; k < BEAMD_ROOMS; k++) { /* all the others are held as before */
        dims.antennas = 4 + 4 * k;
        dims.users = 8 - k;
        beamd_batch_choose_room(b->batch, &dims);
        assert_non_null(b->batch->inference);
    }
    /* a larger model: the same call again */
    beam_model *larger = test_model_new(5, 32, TEST_WEIGHTS_FRESH, 9);
    assert_true(beamd_batch_make_room(b->batch, beam_model_info_of(larger), &fifth, plenty));
    assert_true(beamd_batch_room_bytes(b->batch) > bytes);
    beamd_batch_free_rooms(b->batch);
    assert_int_equal(beamd_batch_room_bytes(b->batch), 0);
    bench_free(b);
    test_model_free(larger);
    test_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_new_targets),
        cmocka_unit_test(test_refresh_of_a_rate),
        cmocka_unit_test(test_front),
        cmocka_unit_test(test_rooms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
