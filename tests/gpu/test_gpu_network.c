/* The device's network layers on the CPU against the engine's in float64, layer by layer, and whole
 * answers against the engine's inference by their merit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/golden.h"
#include "common/untrained.h"
#include "device/device.cuh"
#include "gpu/case.h"
#include "gpu/shipped_model.h"
#include "network/block_internal.h"
#include "network/model.h"

enum { EVERYTHING_FAST = 1 << 30, PER_KIND = 100, EMULATED = 3 };

_Static_assert((int)BEAM_GPU_MOMENTUM == (int)BEAM_NET_MOMENTUM &&
                   (int)BEAM_GPU_DIRECTIONS == (int)BEAM_NET_DIRECTIONS &&
                   (int)BEAM_GPU_CHANNEL_SOLVED == (int)BEAM_NET_CHANNEL_SOLVED &&
                   (int)BEAM_GPU_LEAST == (int)BEAM_NET_LEAST &&
                   (int)BEAM_GPU_COEFFICIENTS == (int)BEAM_NET_COEFFICIENTS &&
                   (int)BEAM_GPU_ROW_FEATURES == (int)BEAM_NET_ROW_FEATURES &&
                   (int)BEAM_GPU_STATION_FEATURES == (int)BEAM_NET_STATION_FEATURES &&
                   (int)BEAM_GPU_GLOBAL_FEATURES == (int)BEAM_NET_GLOBAL_FEATURES &&
                   (int)BEAM_GPU_TEMPERATURE == (int)BEAM_NET_TEMPERATURE &&
                   (int)BEAM_GPU_SCALARS == (int)BEAM_NET_SCALARS,
               "the layers of the device are those of the engine");

/* Stated in docs/gpu.md: of the point after one layer, for 95 cases in a hundred. In the others
 * float32 leaves more: directions of no length are divided by it. */
static const double layer_bound = 1e-4;

typedef struct layer_run {
    test_gpu_case *c;
    int layers;
} layer_run;

static void work_layers(const beam_team *t, void *arg)
{
    const layer_run *run = arg;
    beam_gpu_reduce(t, &run->c->problem);
    beam_gpu_rzf(t, &run->c->problem);
    beam_gpu_compose(t, &run->c->problem, beam_gpu_head(&run->c->problem)->start_share,
                     BEAM_WORK(&run->c->problem, beam_c32, w));
    beam_gpu_layers(t, &run->c->problem, 0, run->layers);
}

/* The engine's point after `layers` layers; the caller frees. */
static double *engine_point(const test_gpu_case *c, const beam_model *model, double tradeoff,
                            int layers)
{
    const beam_solver *s = c->solver;
    const size_t count = model->info.parameters;
    double *theta = test_memory(count * sizeof *theta);
    double *x = test_memory(beam_solver_point_bytes(s));
    for (size_t i = 0; i < count; i++) {
        theta[i] = model->theta[i];
    }
    void *memory = test_memory(NET(block_memsize)(&model->arch, &c->scene->dims, false));
    NET(block) *b = NET(block_init)(&model->arch, &c->scene->dims, false, memory);
    const beam_net_shape shape = beam_net_shape_of(&s->problem);
    NET(block_begin)(b, &shape);
    NET(block_scene)(b, 0, &s->problem, s->sensing, &c->ideal);
    NET(block_preference)(b, 0, beam_preference_from_tradeoff(tradeoff));
    beam_classical_compose(&s->problem, s->unit, beam_net_start_share(tradeoff), x);
    NET(block_start)(b, 0, x);
    NET(block_fill)(b, 1);
    NET(block_forward)(b, theta, 0, layers);
    NET(block_point)(b, 0, x);
    free(memory);
    free(theta);
    return x;
}

/* |a - b| over |b| of the products of the rows with the channels and target directions at length 1:
 * they need no basis, and bases of nearly dependent columns differ. */
static double distance(const test_gpu_case *c, const double *x)
{
    const beam_gpu_sizes *s = &c->plan.s;
    const beam_problem *p = &c->solver->problem;
    const beam_c32 *w = BEAM_WORK(&c->problem, beam_c32, w),
                   *vectors = BEAM_WORK(&c->problem, beam_c32, vectors);
    double gap = 0, size = 0;
    for (int l = 0; l < s->L; l++) {
        for (int q = 0; q < s->U + 2 * s->J; q++) {
            const beam_c32 *v = vectors + (l * s->Q + q) * s->D;
            const double *e = q < s->U ? p->h + (size_t)((l * s->U + q) * p->stride)
                                       : p->tx + (size_t)((l * 2 * s->J + q - s->U) * p->stride);
            double engine = 0;
            for (int d = 0; d < p->stride; d++) {
                engine += e[d] * e[d];
            }
            const double own = sqrt(beam_gpu32_row_norm2(s->D, v));
            for (int i = p->first[l]; i < p->first[l + 1] && engine > 0; i++) {
                const beam_c32 y = beam_gpu32_dot(s->D, v, w + i * s->D);
                double re = 0, im = 0;
                for (int d = 0; d < p->D; d++) {
                    const double *row = x + (size_t)(i * p->stride);
                    re += e[d] * row[d] + e[p->Dp + d] * row[p->Dp + d];
                    im += e[d] * row[p->Dp + d] - e[p->Dp + d] * row[d];
                }
                re /= sqrt(engine);
                im /= sqrt(engine);
                gap +=
                    (y.re / own - re) * (y.re / own - re) + (y.im / own - im) * (y.im / own - im);
                size += re * re + im * im;
            }
        }
    }
    return size > 0 ? sqrt(gap / size) : 0;
}

static void one_and_all_layers(void **state)
{
    beam_model *models[2] = {*state, test_model_new(2, 16, TEST_WEIGHTS_FRESH, 3)};
    int cases = 0, beyond = 0;
    double worst_one = 0, worst_good = 0;
    for (int kind = 0; kind < TEST_GPU_KINDS; kind++) {
        for (int i = 0; i < PER_KIND; i++) {
            test_random random = test_random_new((uint64_t)(5000 * kind + i));
            const beam_model *model = models[i % 2];
            layer_run run = {.c = test_gpu_case_new(test_gpu_scene(&random, kind), NULL, model,
                                                    i % 4 == 3 ? 4096 : EVERYTHING_FAST),
                             .layers = 1};
            const double tradeoff = test_random_uniform(&random);
            test_gpu_case_request(run.c, tradeoff, NULL, 0, 1);
            if (i < EMULATED) {
                test_team_run(i == 2 ? 64 : 32, (test_lane_order)(i % 3), work_layers, &run);
            } else {
                test_team_single(work_layers, &run);
            }
            double *x = engine_point(run.c, model, tradeoff, 1);
            const double gap = distance(run.c, x);
            cases++;
            beyond += !(gap <= layer_bound);
            worst_one = gap > worst_one || isnan(gap) ? gap : worst_one;
            worst_good = gap <= layer_bound && gap > worst_good ? gap : worst_good;
            free(x);
            test_gpu_case_free(run.c);
        }
    }
    print_message("one layer: worst %.1e, %d of %d beyond %.0e, the others within %.1e\n",
                  worst_one, beyond, cases, layer_bound, worst_good);
    assert_true(100 * beyond <= 5 * cases);
    test_model_free(models[1]);
}

/* --- Whole answers -----------------------------------------------------------------------------
 */

static void work_answer(const beam_team *t, void *arg)
{
    test_gpu_case *c = arg;
    beam_gpu_answer_problem(t, &c->problem);
}

/* What a comparison of answers found. */
typedef struct tally {
    int answers, network_apart, classical_worse;
    double certificate, worst_classical, sum_gap, search;
} tally;

static void check_answer(test_gpu_case *c, const beam_model *model, double tradeoff, tally *sum)
{
    beam_error err = {0};
    beam_quality q;
    beam_result result, classical;
    beam_inference_detail detail = {.network_merit = INFINITY};
    const beam_gpu_answer_head *head = (const void *)c->problem.answer;
    beam_design *out = test_design_new(&c->scene->dims, -1),
                *got = test_design_new(&c->scene->dims, -1);
    beam_inference *inference = test_inference_new(model, &c->scene->dims, 1);
    beam_network_request request = {.solver = c->solver,
                                    .tradeoff = tradeoff,
                                    .out = out,
                                    .result = &result,
                                    .detail = &detail};
    test_must(beam_inference_run(inference, model, 1, &request, &err), &err, "inference");
    test_must(beam_solver_classical(c->solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                    tradeoff, out, &classical, &err),
              &err, "classical");
    beam_gpu_unpack_design(&c->plan, c->problem.answer, got);
    test_must(beam_evaluator_run(c->evaluator, got, &q, &err), &err, "evaluator");
    assert_true(head->chosen >= 0);
    assert_true(q.power_excess <= 0);
    sum->answers++;
    sum->certificate = fmax(sum->certificate, fabs(head->wsr_bps_hz - q.wsr_worst_case_bps_hz) /
                                                  fmax(q.wsr_worst_case_bps_hz, 1e-3));
    if (q.crlb_valid) {
        assert_true(fabs(head->crlb_m2 / q.crlb_m2 - 1) < 1e-8);
    }
    const double worse = (head->merit - head->candidate_merit[BEAM_GPU_CLASSICAL]);
    assert_true(worse <= 0 || isinf(head->merit));
    if (isfinite(classical.merit) && q.shortfall_bps_hz == 0) {
        const double gap = head->candidate_merit[BEAM_GPU_CLASSICAL] - classical.merit;
        sum->worst_classical = fmax(sum->worst_classical, gap / (1 + fabs(classical.merit)));
        sum->classical_worse += gap > 1e-3 * (1 + fabs(classical.merit));
    }
    if (isfinite(head->search_merit)) {
        sum->search =
            fmax(sum->search, fabs(head->search_merit - head->candidate_merit[BEAM_GPU_CLASSICAL]) /
                                  (1 + fabs(head->search_merit)));
    }
    if (isfinite(detail.network_merit)) {
        const double gap = head->candidate_merit[BEAM_GPU_NETWORK] - detail.network_merit;
        sum->sum_gap += fmin(fmax(gap / (1 + fabs(detail.network_merit)), -1), 1);
        sum->network_apart += !(fabs(gap) <= 1e-2 * (1 + fabs(detail.network_merit)));
    }
    test_object_free(inference);
    test_design_free(out);
    test_design_free(got);
}

static void answer_scene(beam_scene *scene, const beam_ideal *ideal, const beam_model *model,
                         double tradeoff, int lanes, tally *sum)
{
    test_gpu_case *c = test_gpu_case_new(scene, ideal, model, EVERYTHING_FAST);
    test_gpu_case_request(c, tradeoff, NULL, 0, model->info.layers);
    if (lanes > 1) {
        test_team_run(lanes, TEST_LANES_SHUFFLED, work_answer, c);
    } else {
        test_team_single(work_answer, c);
    }
    check_answer(c, model, tradeoff, sum);
    test_gpu_case_free(c);
}

static void report(const char *what, const tally *t)
{
    print_message(
        "%s: %d answers; certificate within %.1e, float32 search within %.1e; classical "
        "worse than the engine's by %.1e at most, %d beyond 1e-3; network merit: mean gap "
        "%.1e, %d beyond 1%%\n",
        what, t->answers, t->certificate, t->search, t->worst_classical, t->classical_worse,
        t->sum_gap / t->answers, t->network_apart);
}

static void answers(void **state)
{
    tally sum = {0};
    for (int kind = 0; kind < TEST_GPU_KINDS; kind++) {
        for (int i = 0; i < PER_KIND; i++) {
            test_random random = test_random_new((uint64_t)(9000 * kind + i));
            beam_scene *scene = test_gpu_scene(&random, kind);
            answer_scene(scene, NULL, *state, test_random_uniform(&random),
                         i == 0   ? 32
                         : i == 1 ? 64
                                  : 1,
                         &sum);
        }
    }
    report("random", &sum);
    assert_true(sum.certificate <= 1e-9);
    assert_true(100 * sum.network_apart <= 5 * sum.answers);
    assert_true(fabs(sum.sum_gap / sum.answers) <= 1e-2);
    assert_true(100 * sum.classical_worse <= sum.answers);
}

static void golden_answers(void **state)
{
    tally sum = {0};
    for (int i = 0; i < TEST_GOLDEN_SCENES; i++) {
        const beam_ideal ideal = test_golden_ideal(test_golden_names[i]);
        for (int k = 0; k < 3; k++) {
            answer_scene(test_golden_scene(test_golden_names[i]), &ideal, *state, 0.2 + 0.3 * k, 1,
                         &sum);
        }
    }
    report("golden", &sum);
    assert_true(sum.certificate <= 1e-9);
    assert_true(fabs(sum.sum_gap / sum.answers) <= 1e-2);
}

/* Warm beams: their numbers alone, and as a start. */
static void warm_answers(void **state)
{
    const beam_model *model = *state;
    for (int i = 0; i < 200; i++) {
        test_random random = test_random_new((uint64_t)(77 * i));
        test_gpu_case *c =
            test_gpu_case_new(test_gpu_scene(&random, i % 10), NULL, model, EVERYTHING_FAST);
        beam_design *warm = test_random_design(&random, c->scene, c->plan.s.r);
        const beam_gpu_answer_head *head = (const void *)c->problem.answer;
        beam_error err = {0};
        beam_quality q;
        test_gpu_case_request(c, 0.5, warm, 0, 0);
        ((beam_gpu_request_head *)(void *)(c->memory + c->plan.cluster.bytes))->candidates =
            1 << BEAM_GPU_WARM;
        test_team_single(work_answer, c);
        beam_design *got = test_design_new(&c->scene->dims, -1);
        if (head->chosen == BEAM_GPU_WARM) {
            beam_gpu_unpack_design(&c->plan, c->problem.answer, got);
            test_must(beam_evaluator_run(c->evaluator, got, &q, &err), &err, "evaluator");
            assert_true(fabs(head->wsr_bps_hz - q.wsr_worst_case_bps_hz) <=
                        1e-9 * (1e-3 + q.wsr_worst_case_bps_hz));
        }
        test_gpu_case_request(c, 0.5, warm, model->info.layers / 2, model->info.layers);
        test_team_single(work_answer, c);
        assert_true(head->chosen >= 0);
        for (int k = 0; k < BEAM_GPU_CANDIDATES; k++) {
            assert_true(head->merit <= head->candidate_merit[k]);
        }
        test_design_free(got);
        test_design_free(warm);
        test_gpu_case_free(c);
    }
}

/* Lanes that take turns in another order give the same bits: nothing is read before it is there.
 * And one lane gives the same choice, but for rounding. */
static void lane_orders(void **state)
{
    const beam_model *model = *state;
    for (int kind = 0; kind < TEST_GPU_KINDS; kind++) {
        test_random random = test_random_new((uint64_t)(123 + kind));
        test_gpu_case *c =
            test_gpu_case_new(test_gpu_scene(&random, kind), NULL, model, EVERYTHING_FAST);
        beam_design *warm = test_random_design(&random, c->scene, c->plan.s.r);
        const size_t bytes = (size_t)c->plan.answer.bytes;
        unsigned char *first = test_memory(bytes);
        const beam_gpu_answer_head *head = (const void *)c->problem.answer;
        for (int order = TEST_LANES_UP; order <= TEST_LANES_SHUFFLED; order++) {
            test_gpu_case_request(c, 0.4, warm, 0, model->info.layers);
            test_team_run(32, (test_lane_order)order, work_answer, c);
            if (order == TEST_LANES_UP) {
                memcpy(first, c->problem.answer, bytes);
            }
            assert_memory_equal(first, c->problem.answer, bytes);
        }
        const double merit = head->merit;
        test_gpu_case_request(c, 0.4, warm, 0, model->info.layers);
        test_team_single(work_answer, c);
        assert_true(merit == head->merit || fabs(head->merit - merit) <= 2e-2 * (1 + fabs(merit)));
        free(first);
        test_design_free(warm);
        test_gpu_case_free(c);
    }
}

int main(void)
{
    void *memory = NULL;
    beam_model *model = test_shipped_model(&memory);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(one_and_all_layers, model),
        cmocka_unit_test_prestate(answers, model),
        cmocka_unit_test_prestate(golden_answers, model),
        cmocka_unit_test_prestate(warm_answers, model),
        cmocka_unit_test_prestate(lane_orders, model),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(memory);
    return failed;
}
