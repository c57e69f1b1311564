/* Whole fronts by rounds of batches (gpu/front.h), answered by the device functions on the CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/golden.h"
#include "device/device.cuh"
#include "device/refine.cuh"
#include "front.h"
#include "gpu/case.h"
#include "gpu/shipped_model.h"
#include "network/model.h"
#include "plan_refine.h"

enum { EVERYTHING_FAST = 1 << 30, POINTS = 9, ROUNDS = 8, ITERATIONS = 100, SCENES_MAX = 4 };

/* Stated in docs/gpu.md: merit against that of the reference's best design at a trade-off between
 * the ends, relative (of 1 at least), of nineteen in twenty and of all; and in an end's own
 * loss. */
static const double merit_bound = 1e-2, worst_merit_bound = 2e-2, end_bound = 5e-4;

/* Scenes that answer: request.cluster is the index. */
typedef struct device {
    test_gpu_case *c[SCENES_MAX];
    int layers, requests, refined;
    int fails_at; /* so many requests; 0: does not */
} device;

static beam_gpu_code answer_batch(void *arg, int count, const beam_gpu_request *requests,
                                  beam_gpu_answer *answers, beam_gpu_error *err)
{
    device *d = arg;
    const beam_team t = {.lane = 0, .lanes = 1, .shared = NULL};
    d->requests += count;
    if (d->fails_at > 0 && d->requests >= d->fails_at) {
        err->code = BEAM_GPU_E_DEVICE;
        return BEAM_GPU_E_DEVICE;
    }
    for (int i = 0; i < count; i++) {
        const beam_gpu_request *q = &requests[i];
        test_gpu_case *c = d->c[q->cluster];
        beam_gpu_refine_plan plan;
        beam_gpu_pack_request(&c->plan, 0, q->scene, &q->ideal, q->tradeoff, q->warm,
                              q->warm ? d->layers / 2 : 0, d->layers,
                              q->candidates ? q->candidates : 7, c->memory + c->plan.cluster.bytes);
        beam_gpu_answer_problem(&t, &c->problem);
        beam_gpu_refine_plan_make(&plan, &c->plan, 32, BEAM_GPU_REFINE_PAIRS, EVERYTHING_FAST);
        unsigned char *memory = test_memory((size_t)plan.fast_bytes + 16);
        beam_gpu_refiner r = {&plan, c->problem, c->problem};
        r.search.fast = r.certify.fast = memory;
        r.search.plan = &plan.search;
        r.certify.plan = &plan.certify;
        beam_gpu_refine_answer(&t, &r, q->refine);
        free(memory);
        const beam_gpu_answer_head *head =
            (const beam_gpu_answer_head *)(const void *)c->problem.answer;
        answers[i].choice = (beam_gpu_choice)head->chosen;
        answers[i].wsr_worst_case_bps_hz = head->wsr_bps_hz;
        answers[i].shortfall_bps_hz = head->shortfall_bps_hz;
        answers[i].crlb_m2 = head->crlb_m2;
        answers[i].merit = head->merit;
        d->refined += head->refined > 0;
        beam_gpu_unpack_design(&c->plan, c->problem.answer, answers[i].out);
    }
    return BEAM_GPU_OK;
}

/* Least merit of the reference's designs. */
static double reference_merit(const char *name, const beam_ideal *ideal, double tradeoff)
{
    char path[512];
    json_error_t error;
    (void)snprintf(path, sizeof path, "%s/%s.reference.json", BEAM_TEST_GOLDEN, name);
    json_t *root = json_load_file(path, 0, &error);
    assert_non_null(root);
    const json_t *front = json_object_get(root, "front");
    double best = INFINITY;
    for (size_t i = 0; i < json_array_size(front); i++) {
        const json_t *point = json_array_get(front, i);
        const double wsr = json_number_value(json_array_get(point, 0)),
                     crlb = json_number_value(json_array_get(point, 1));
        best = fmin(best,
                    beam_merit(ideal, beam_preference_from_tradeoff(tradeoff),
                               beam_loss_rate(ideal, wsr), beam_loss_sensing(ideal, true, crlb)));
    }
    json_decref(root);
    return best;
}

static bool dominates(const beam_gpu_front_point *b, const beam_gpu_front_point *a)
{
    return b->f1 <= a->f1 && b->f2 <= a->f2 && (b->f1 < a->f1 || b->f2 < a->f2);
}

/* Points are what their designs are, and marked as they should be. */
static void check_points(const test_gpu_case *c, const beam_gpu_front_point *p, int points)
{
    for (int i = 0; i < points; i++) {
        beam_quality q;
        beam_error err = {0};
        bool dominated = false;
        assert_true(p[i].found);
        test_must(beam_evaluator_run(c->evaluator, p[i].design, &q, &err), &err, "evaluator");
        assert_true(fabs(q.wsr_worst_case_bps_hz - p[i].wsr_worst_case_bps_hz) <=
                    1e-9 * fmax(q.wsr_worst_case_bps_hz, 1e-3));
        assert_true(fabs((q.crlb_valid ? q.crlb_m2 : 0) - p[i].crlb_m2) <= 1e-8 * p[i].crlb_m2);
        assert_true(q.power_excess <= 0);
        for (int k = 0; k < points; k++) {
            dominated = dominated || dominates(&p[k], &p[i]) ||
                        (k < i && p[k].f1 == p[i].f1 && p[k].f2 == p[i].f2);
        }
        assert_int_equal(dominated, p[i].dominated);
    }
}

/* Rounds on one golden scene; the points' gaps between the ends to gap, from *count on. */
static void golden_scene(const char *name, const beam_model *model, double *gap, int *count)
{
    const beam_ideal ideal = test_golden_ideal(name);
    device d = {.layers = model->info.layers};
    beam_gpu_error err;
    beam_gpu_front *front;
    double tradeoff[POINTS], before[POINTS], worst = -1, ends = -1;
    d.c[0] = test_gpu_case_new(test_golden_scene(name), &ideal, model, EVERYTHING_FAST);
    const beam_gpu_front_scene scene = {0, d.c[0]->scene, ideal};
    beam_gpu_front_tradeoffs(POINTS, tradeoff);
    assert_int_equal(beam_gpu_front_create(&front, 1, &scene, POINTS, tradeoff, &err), 0);
    const beam_gpu_front_point *p = beam_gpu_front_points(front, 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < POINTS; i++) {
            before[i] = p[i].merit;
        }
        assert_int_equal(beam_gpu_front_run(front, 1, ITERATIONS, 7, answer_batch, &d, &err), 0);
        for (int i = 0; i < POINTS; i++) {
            assert_true(p[i].merit <= before[i]);
        }
    }
    assert_int_equal(d.requests, ROUNDS * POINTS);
    assert_true(d.refined > 0);
    check_points(d.c[0], p, POINTS);
    for (int i = 0; i < POINTS; i++) {
        const double want = reference_merit(name, &ideal, tradeoff[i]), off = p[i].merit - want;
        if (i == 0 || i == POINTS - 1) { /* a merit there counts that loss a thousandfold */
            ends = fmax(ends, 1e-3 * off);
        } else {
            gap[*count] = off / fmax(want, 1);
            worst = fmax(worst, gap[(*count)++]);
        }
    }
    print_message("%s: merit at worst %+.1e over the reference's between the ends, %+.1e of their "
                  "loss at the ends\n",
                  name, worst, ends);
    assert_true(ends <= end_bound);
    beam_gpu_front_destroy(front);
    test_gpu_case_free(d.c[0]);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void golden(void **state)
{
    (void)state;
    double gap[TEST_GOLDEN_SCENES * POINTS], mean = 0;
    int count = 0;
    void *memory;
    const beam_model *model = test_shipped_model(&memory);
    for (int k = 0; k < TEST_GOLDEN_SCENES; k++) {
        golden_scene(test_golden_names[k], model, gap, &count);
    }
    qsort(gap, (size_t)count, sizeof *gap, by_size);
    for (int i = 0; i < count; i++) {
        mean += gap[i] / count;
    }
    print_message("%d points: mean %+.1e, median %+.1e, p95 %+.1e, worst %+.1e\n", count, mean,
                  gap[count / 2], gap[count - 1 - count / 20], gap[count - 1]);
    assert_true(mean <= 0);
    assert_true(gap[count - 1 - count / 20] <= merit_bound);
    assert_true(gap[count - 1] <= worst_merit_bound);
    free(memory);
}

/* Scenes of other sizes in one front; however they are cut into batches, the same bits. */
static void many_scenes(void **state)
{
    (void)state;
    enum { FEW = 4 };
    device d = {0};
    beam_gpu_front_scene scene[SCENES_MAX];
    beam_gpu_front *front[2];
    beam_gpu_error err;
    double tradeoff[FEW];
    static const int kinds[SCENES_MAX] = {0, 3, 6, 8};
    beam_gpu_front_tradeoffs(FEW, tradeoff);
    for (int k = 0; k < SCENES_MAX; k++) {
        test_random random = test_random_new((uint64_t)(1000 * kinds[k] + 1));
        d.c[k] = test_gpu_case_new(test_gpu_scene(&random, kinds[k]), NULL, NULL, EVERYTHING_FAST);
        scene[k] = (beam_gpu_front_scene){k, d.c[k]->scene, d.c[k]->ideal};
    }
    for (int way = 0; way < 2; way++) {
        assert_int_equal(beam_gpu_front_create(&front[way], SCENES_MAX, scene, FEW, tradeoff, &err),
                         0);
        assert_int_equal(beam_gpu_front_run(front[way], 3, 10, way ? 1 : 5, answer_batch, &d, &err),
                         0);
    }
    for (int k = 0; k < SCENES_MAX; k++) {
        const beam_gpu_front_point *a = beam_gpu_front_points(front[0], k),
                                   *b = beam_gpu_front_points(front[1], k);
        check_points(d.c[k], a, FEW);
        for (int i = 0; i < FEW; i++) {
            assert_true(a[i].tradeoff == tradeoff[i] && a[i].merit == b[i].merit);
            assert_memory_equal(a[i].design->beams, b[i].design->beams,
                                (size_t)(d.c[k]->plan.s.U * d.c[k]->plan.s.N) *
                                    sizeof(beam_complex));
        }
    }
    /* a batch that fails: its code, and the points as they were */
    const double before = beam_gpu_front_points(front[0], 3)[1].merit;
    d.requests = 0;
    d.fails_at = 2;
    assert_int_equal(beam_gpu_front_run(front[0], 1, 10, 1, answer_batch, &d, &err),
                     BEAM_GPU_E_DEVICE);
    assert_true(beam_gpu_front_points(front[0], 3)[1].merit == before);
    beam_gpu_front_destroy(front[0]);
    beam_gpu_front_destroy(front[1]);
    for (int k = 0; k < SCENES_MAX; k++) {
        test_gpu_case_free(d.c[k]);
    }
}

/* Numbers made up: a design that is better for a neighbour goes there too, and the copy is marked.
 */
static void spread(void **state)
{
    (void)state;
    enum { THREE = 3 };
    beam_gpu_front *front;
    beam_gpu_error err;
    test_random random = test_random_new(1);
    beam_scene *s = test_gpu_scene(&random, 0);
    const beam_gpu_front_scene scene = {7, s, {10, 1}};
    const double tradeoff[THREE] = {0, 0.5, 1}, wsr[THREE] = {10, 6, 0}, crlb[THREE] = {4, 3, 1};
    beam_gpu_request requests[THREE];
    beam_gpu_answer answers[THREE];
    assert_int_equal(beam_gpu_front_create(&front, 1, &scene, THREE, tradeoff, &err), 0);
    const beam_gpu_front_point *p = beam_gpu_front_points(front, 0);
    for (int round = 0; round < 2; round++) {
        beam_gpu_front_requests(front, 12, requests, answers);
        for (int i = 0; i < THREE; i++) {
            assert_true(requests[i].cluster == 7 && requests[i].refine == 12);
            assert_true((requests[i].warm != NULL) == (round > 0));
            answers[i].choice = round == 0 ? BEAM_GPU_CHOICE_CLASSICAL : BEAM_GPU_CHOICE_NONE;
            answers[i].merit = 1;
            answers[i].wsr_worst_case_bps_hz = wsr[i];
            answers[i].crlb_m2 = crlb[i];
            answers[i].out->beams[0].re = i + 1;
        }
        beam_gpu_front_take(front, answers);
        /* at 0.5 f1, f2 are 0, 1 and 0.8, 0.79 and 2, 0 */
        assert_true(p[0].f1 == 0 && p[1].f1 == 0.8 && p[2].f2 == 0);
        assert_true(!p[0].dominated && !p[1].dominated && !p[2].dominated);
        assert_true(p[1].design->beams[0].re == 2);
    }
    beam_gpu_front_requests(front, 12, requests, answers);
    for (int i = 0; i < THREE; i++) { /* the middle's answer is now the best one everywhere */
        answers[i].choice = i == 1 ? BEAM_GPU_CHOICE_WARM : BEAM_GPU_CHOICE_NONE;
        answers[i].merit = 1;
        answers[i].wsr_worst_case_bps_hz = 11;
        answers[i].crlb_m2 = 1;
        answers[i].out->beams[0].re = 5;
    }
    beam_gpu_front_take(front, answers);
    for (int i = 0; i < THREE; i++) {
        assert_true(p[i].design->beams[0].re == 5 && p[i].f2 == 0 && p[i].dominated == (i > 0));
    }
    beam_gpu_front_destroy(front);
    test_scene_free(s);
}

static void refused(void **state)
{
    (void)state;
    beam_gpu_front *front;
    beam_gpu_error err;
    test_random random = test_random_new(1);
    beam_scene *s = test_gpu_scene(&random, 0);
    const beam_gpu_front_scene scene = {0, s, {1, 1}};
    const double outside[] = {0, 1.5}, inside[] = {0, 1};
    assert_int_equal(beam_gpu_front_create(&front, 0, &scene, 2, inside, &err), BEAM_GPU_E_INVALID);
    assert_int_equal(beam_gpu_front_create(&front, 1, &scene, 0, inside, &err), BEAM_GPU_E_INVALID);
    assert_int_equal(beam_gpu_front_create(&front, 1, &scene, 2, outside, &err),
                     BEAM_GPU_E_INVALID);
    assert_null(front);
    assert_int_equal(beam_gpu_front_create(&front, 1, &scene, 2, inside, &err), 0);
    assert_int_equal(beam_gpu_front_run(front, 1, 10, 0, answer_batch, NULL, &err),
                     BEAM_GPU_E_INVALID);
    assert_false(beam_gpu_front_points(front, 0)[0].found);
    beam_gpu_front_destroy(front);
    beam_gpu_front_destroy(NULL);
    test_scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(many_scenes),
        cmocka_unit_test(spread),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
