/* The perceptron on tensor cores, emulated lane by lane from the instruction's fragments, against
 * the plain one; halves; and what the precision costs answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/untrained.h"
#include "device/device.cuh"
#include "gpu/case.h"
#include "gpu/shipped_model.h"
#include "network/model.h"

enum { EVERYTHING_FAST = 1 << 30, PERCEPTRONS = 1000, ANSWERS = 60 };

/* Every half there and back; floats to the nearest one, ties to even. */
static void halves(void **state)
{
    (void)state;
    for (unsigned half = 0; half < 0x10000u; half++) {
        const float x = beam_gpu_float_of(half);
        const unsigned size = half & 0x7fffu;
        assert_true(size > 0x7c00u || beam_gpu_half_of(x) == half);
        if (size < 0x7bffu) {
            const float next = beam_gpu_float_of(half + 1), middle = 0.5f * (x + next);
            assert_int_equal(beam_gpu_half_of(middle), half + (half & 1u));
            assert_int_equal(beam_gpu_half_of(nextafterf(middle, x)), half);
            assert_int_equal(beam_gpu_half_of(nextafterf(middle, next)), half + 1);
        }
    }
    assert_int_equal(beam_gpu_half_of(65519.0f), 0x7bffu);
    assert_int_equal(beam_gpu_half_of(-65520.0f), 0xfc00u);
    assert_int_equal(beam_gpu_half_of(NAN) & 0x7c00u, 0x7c00u);
}

/* --- The perceptron ------------------------------------------------------------------------------
 */

typedef struct perceptron_run {
    test_gpu_case *c;
    int layer;
} perceptron_run;

static void work_perceptron(const beam_team *t, void *arg)
{
    const perceptron_run *run = arg;
    const beam_gpu_problem *p = &run->c->problem;
    beam_gpu_net net = beam_gpu_net_of(p);
    net.layer = p->weights + run->layer * p->plan->layer.count;
    beam_gpu_perceptron(t, &net);
}

static void fill_inputs(const test_gpu_case *c, test_random *random)
{
    const beam_gpu_sizes *s = &c->plan.s;
    float *x = BEAM_WORK(&c->problem, float, x), *y = BEAM_WORK(&c->problem, float, x_station);
    for (int row = 0; row < s->rows; row++) {
        for (int k = 0; k < BEAM_GPU_ROW_INPUTS; k++) {
            x[row * BEAM_GPU_ROW_STRIDE + k] = (float)test_random_normal(random);
        }
    }
    for (int l = 0; l < s->L; l++) {
        for (int k = 0; k < BEAM_GPU_STATION_STRIDE; k++) {
            y[l * BEAM_GPU_STATION_STRIDE + k] =
                k < BEAM_GPU_STATION_INPUTS ? (float)test_random_normal(random) : 0;
        }
    }
}

/* The farthest row of a from b, over the lengths of the rows of b (of all rows, where shorter). */
static double rows_apart(const beam_gpu_sizes *s, const float *a, const float *b)
{
    double worst = 0, all = 0;
    for (int i = 0; i < s->rows * BEAM_GPU_COEFFICIENTS; i++) {
        all += (double)b[i] * (double)b[i] / s->rows;
    }
    for (int row = 0; row < s->rows; row++) {
        double gap = 0, size = 0;
        for (int o = 0; o < BEAM_GPU_COEFFICIENTS; o++) {
            const double x = (double)a[row * BEAM_GPU_COEFFICIENTS + o],
                         y = (double)b[row * BEAM_GPU_COEFFICIENTS + o];
            gap += (x - y) * (x - y);
            size += y * y;
        }
        worst = fmax(worst, sqrt(gap / fmax(size, all)));
        worst = isnan(gap) ? INFINITY : worst;
    }
    return worst;
}

static void perceptrons(void **state)
{
    const beam_model *shipped = *state;
    double worst[3] = {0};
    for (int i = 0; i < PERCEPTRONS; i++) {
        test_random random = test_random_new((uint64_t)(400 + i));
        beam_model *fresh =
            i % 4 == 1 ? test_model_new(2, BEAM_GPU_TENSOR_WIDTH, TEST_WEIGHTS_FRESH, (uint64_t)i)
                       : NULL;
        const beam_model *model = fresh ? fresh : shipped;
        perceptron_run run = {.c = test_gpu_case_new(test_gpu_scene(&random, i % TEST_GPU_KINDS),
                                                     NULL, model, EVERYTHING_FAST),
                              .layer = i % model->info.layers};
        const size_t bytes = (size_t)(run.c->plan.s.rows * BEAM_GPU_COEFFICIENTS) * sizeof(float);
        float *out = BEAM_WORK(&run.c->problem, float, out), *plain = test_memory(bytes);
        test_gpu_case_request(run.c, 0.5, NULL, 0, 1);
        for (int how = BEAM_GPU_PERCEPTRON_PLAIN; how <= BEAM_GPU_PERCEPTRON_SPLIT; how++) {
            test_random inputs = test_random_new((uint64_t)i);
            run.c->plan.s.perceptron = how;
            memset(out, 0xff, bytes); /* before the inputs, whose memory it may share */
            fill_inputs(run.c, &inputs);
            if (how == BEAM_GPU_PERCEPTRON_PLAIN) {
                test_team_single(work_perceptron, &run);
                memcpy(plain, out, bytes);
                continue;
            }
            test_team_run(i % 5 == 4 ? 64 : 32, (test_lane_order)(i % 3), work_perceptron, &run);
            worst[how] = fmax(worst[how], rows_apart(&run.c->plan.s, out, plain));
        }
        free(plain);
        test_gpu_case_free(run.c);
        if (fresh) {
            test_model_free(fresh);
        }
    }
    print_message("%d perceptrons: halves within %.1e of the rows' lengths, split ones within "
                  "%.1e\n",
                  PERCEPTRONS, worst[BEAM_GPU_PERCEPTRON_HALF], worst[BEAM_GPU_PERCEPTRON_SPLIT]);
    assert_true(worst[BEAM_GPU_PERCEPTRON_SPLIT] <= 2e-6);
    assert_true(worst[BEAM_GPU_PERCEPTRON_HALF] <= 1e-2);
    assert_true(worst[BEAM_GPU_PERCEPTRON_HALF] > 1e-5); /* or it was the plain one */
}

/* --- Answers -------------------------------------------------------------------------------------
 */

static void work_answer(const beam_team *t, void *arg)
{
    test_gpu_case *c = arg;
    beam_gpu_answer_problem(t, &c->problem);
}

static double network_merit(test_gpu_case *c, const beam_model *model, double tradeoff, int how)
{
    const beam_gpu_answer_head *head = (const void *)c->problem.answer;
    test_gpu_case_request(c, tradeoff, NULL, 0, model->info.layers);
    ((beam_gpu_request_head *)(void *)(c->memory + c->plan.cluster.bytes))->candidates =
        1 << BEAM_GPU_NETWORK;
    c->plan.s.perceptron = how;
    test_team_run(32, TEST_LANES_UP, work_answer, c);
    return head->candidate_merit[BEAM_GPU_NETWORK];
}

/* Merits of the network's designs, by the precision of the perceptron. */
static void merits(void **state)
{
    const beam_model *model = *state;
    double sum[3] = {0}, worst[3] = {0};
    int beyond[3] = {0}, cases = 0;
    for (int i = 0; i < ANSWERS; i++) {
        test_random random = test_random_new((uint64_t)(71 * i));
        test_gpu_case *c = test_gpu_case_new(
            test_gpu_scene(&random, i % 2 ? 0 : i % TEST_GPU_KINDS), NULL, model, EVERYTHING_FAST);
        const double tradeoff = test_random_uniform(&random);
        const double plain = network_merit(c, model, tradeoff, BEAM_GPU_PERCEPTRON_PLAIN);
        for (int how = BEAM_GPU_PERCEPTRON_HALF;
             isfinite(plain) && how <= BEAM_GPU_PERCEPTRON_SPLIT; how++) {
            const double gap = (network_merit(c, model, tradeoff, how) - plain) / (1 + fabs(plain));
            sum[how] += gap;
            worst[how] = fmax(worst[how], fabs(gap));
            beyond[how] += !(fabs(gap) <= 1e-2);
        }
        cases += isfinite(plain);
        test_gpu_case_free(c);
    }
    for (int how = BEAM_GPU_PERCEPTRON_HALF; how <= BEAM_GPU_PERCEPTRON_SPLIT; how++) {
        print_message("%s: merits of %d designs %.1e worse than the plain ones on average, at most "
                      "%.1e apart, %d beyond 1%%\n",
                      how == BEAM_GPU_PERCEPTRON_HALF ? "halves" : "split", cases, sum[how] / cases,
                      worst[how], beyond[how]);
        assert_true(fabs(sum[how] / cases) <= 5e-3);
        assert_true(20 * beyond[how] <= cases);
    }
}

int main(void)
{
    void *memory = NULL;
    beam_model *model = test_shipped_model(&memory);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves),
        cmocka_unit_test_prestate(perceptrons, model),
        cmocka_unit_test_prestate(merits, model),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(memory);
    return failed;
}
