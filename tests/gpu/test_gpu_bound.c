/* The device's bound on the classical designs, on the CPU: no design of any share is better than
 * it, and answers are those of the whole search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.cuh"
#include "gpu/case.h"
#include "gpu/shipped_model.h"
#include "network/check.h"
#include "network/model.h"

enum { EVERYTHING_FAST = 1 << 30, PER_KIND = 150, SHARES = 97 };

_Static_assert(sizeof(beam_gpu_node) == BEAM_GPU_BOUND_NODE_BYTES,
               "gpu/plan.c has room for the nodes");

/* --- The bound ---------------------------------------------------------------------------------
 */

/* Merits of the classical designs of many shares, as they would be sent. */
typedef struct curve {
    test_gpu_case *c;
    double share[SHARES], merit[SHARES], wsr[SHARES], crlb[SHARES];
    double target;
    beam_gpu_alive alive;
} curve;

static void work_curve(const beam_team *t, void *arg)
{
    curve *v = arg;
    const beam_gpu_problem *p = &v->c->problem;
    beam_gpu_reduce(t, p);
    beam_gpu_rzf(t, p);
    for (int k = 0; k < SHARES; k++) {
        v->share[k] = beam_gpu_share_of((double)k / (SHARES - 1));
        beam_gpu_compose(t, p, v->share[k], BEAM_WORK(p, beam_c32, w));
        beam_gpu_candidate_of_rows(t, p, BEAM_WORK(p, beam_c32, w));
        const beam_gpu_numbers found = beam_gpu_certify(t, p);
        v->merit[k] = found.merit;
        v->wsr[k] = found.wsr;
        v->crlb[k] = found.crlb;
    }
}

static void work_bound(const beam_team *t, void *arg)
{
    curve *v = arg;
    v->alive = beam_gpu_alive_shares(t, &v->c->problem, v->target);
}

/* Whatever the target: a share that reaches it is alive, and what is not is not below the bound. */
static void check_target(curve *v, double target, int *excluded)
{
    v->target = target;
    test_team_single(work_bound, v);
    for (int k = 0; k < SHARES; k++) {
        const int alive = v->share[k] >= v->alive.low && v->share[k] <= v->alive.high;
        assert_true(alive || v->merit[k] >= target);
        assert_true(alive || v->merit[k] >= v->alive.bound);
        *excluded += !alive;
    }
    assert_true(v->alive.low <= v->alive.high || v->alive.bound >= target);
}

/* Of every node: its rate above, its line below the exact numbers; rates rise between nodes. The
 * cuts are still there. Adds how far both are off, relative. */
static void check_nodes(const curve *v, double *rate_off, double *crlb_off, int *lines)
{
    for (int k = 0; k < SHARES; k += 4) {
        const beam_gpu_node node = beam_gpu_node_at(&v->c->problem, v->share[k]);
        assert_true(node.wsr >= v->wsr[k]);
        *rate_off += v->wsr[k] > 0 ? node.wsr / v->wsr[k] - 1 : 0;
        for (int i = 0; i < SHARES && node.crlb > 0; i++) {
            assert_true(node.crlb + node.slope * (v->share[i] - v->share[k]) <= v->crlb[i]);
        }
        if (node.crlb > 0 && isfinite(v->crlb[k])) {
            const double to = k > 0 ? v->share[k - 1] : v->share[1], gap = to - v->share[k];
            const double slope = ((k > 0 ? v->crlb[k - 1] : v->crlb[1]) - v->crlb[k]) / gap;
            *crlb_off += 1 - node.crlb / v->crlb[k];
            *lines += isfinite(slope) &&
                      fabs(slope - node.slope) <= 0.3 * (fabs(slope) + 1e-3 * v->crlb[k]);
        }
    }
}

static void no_share_is_better(void **state)
{
    (void)state;
    int scenes = 0, shares = 0, excluded = 0, sharp = 0, useful = 0, lines = 0;
    double rate_off = 0, crlb_off = 0;
    for (int kind = 0; kind < TEST_GPU_KINDS; kind++) {
        for (int i = 0; i < PER_KIND; i++) {
            test_random random = test_random_new((uint64_t)(31000 * kind + i));
            curve v = {.c = test_gpu_case_new(test_gpu_scene(&random, kind), NULL, NULL,
                                              i % 4 == 3 ? 4096 : EVERYTHING_FAST)};
            double best = INFINITY;
            test_gpu_case_request(v.c, test_random_uniform(&random), NULL, 0, 0);
            test_team_single(work_curve, &v);
            for (int k = 0; k < SHARES; k++) {
                best = fmin(best, v.merit[k]);
            }
            if (isfinite(best)) {
                const double size = 1 + fabs(best);
                int none = 0;
                check_target(&v, best + 1e-7 * size, &excluded);
                check_target(&v, best + 0.1 * size, &excluded);
                check_target(&v, best - 1e-4 * size, &none);
                check_target(&v, best - 0.05 * size, &none);
                check_nodes(&v, &rate_off, &crlb_off, &lines);
                sharp += v.alive.low > v.alive.high;
                useful++;
                shares += 2 * SHARES;
            }
            scenes++;
            test_gpu_case_free(v.c);
        }
    }
    print_message("%d scenes, %d with a design; %d of %d shares excluded at targets that are "
                  "reached, all shares of %d scenes at one 5%% below\n",
                  scenes, useful, excluded, shares, sharp);
    const int nodes = useful * ((SHARES + 3) / 4);
    print_message(
        "%d nodes: rates %.1e above, CRLBs %.1e below on average; %d slopes about right\n", nodes,
        rate_off / nodes, crlb_off / nodes, lines);
    assert_true(10 * lines > 5 * nodes);
    assert_true(useful > 1000 && 4 * sharp > useful); /* a bound that excludes nothing is none */
}

/* --- Answers -----------------------------------------------------------------------------------
 */

static void work_answer(const beam_team *t, void *arg)
{
    test_gpu_case *c = arg;
    beam_gpu_answer_problem(t, &c->problem);
}

static beam_gpu_answer_head run(test_gpu_case *c, const beam_model *model, double tradeoff,
                                const beam_design *warm, int bits, int lanes)
{
    test_gpu_case_request(c, tradeoff, warm, 0, model->info.layers);
    ((beam_gpu_request_head *)(void *)(c->memory + c->plan.cluster.bytes))->candidates = bits;
    if (lanes > 1) {
        test_team_run(lanes, TEST_LANES_SHUFFLED, work_answer, c);
    } else {
        test_team_single(work_answer, c);
    }
    return *(const beam_gpu_answer_head *)(const void *)c->problem.answer;
}

typedef struct tally {
    int answers, skipped, chosen, evaluations, better, engine_skips;
} tally;

/* The same answer with and without the bound, except where the shorter search finds better. */
static void compare(test_gpu_case *c, const beam_gpu_answer_head *all,
                    const beam_gpu_answer_head *v, tally *sum)
{
    const double target = fmin(v->candidate_merit[0], v->candidate_merit[1]);
    sum->answers++;
    sum->chosen += v->chosen == BEAM_GPU_CLASSICAL;
    sum->skipped += v->classical_is_bound;
    sum->evaluations += v->classical_evaluations;
    assert_int_equal(all->classical_is_bound, 0);
    assert_int_equal(all->classical_evaluations, BEAM_GPU_SPLIT_EVALUATIONS);
    assert_true(v->merit <= all->merit);
    sum->better += v->merit < all->merit;
    if (v->classical_is_bound) {
        assert_true(v->candidate_merit[BEAM_GPU_CLASSICAL] >= target);
        assert_true(v->candidate_merit[BEAM_GPU_CLASSICAL] <=
                    all->candidate_merit[BEAM_GPU_CLASSICAL]);
        assert_int_equal(v->classical_evaluations, 0);
        assert_int_not_equal(v->chosen, BEAM_GPU_CLASSICAL);
        assert_int_equal(v->chosen, all->chosen);
    }
    if (isfinite(target)) {
        const beam_gpu_request_head *head = beam_gpu_head(&c->problem);
        const beam_preference u = {.u1 = head->u1, .u2 = head->u2};
        sum->engine_skips += beam_check_classical_bound(c->solver, u, target) >= target;
    }
}

static void report(const char *what, const tally *t)
{
    print_message("%s: %d answers, %d without a search (the engine's bound: %d), %.2f of 12 "
                  "evaluations each, classical chosen %d times; better than the whole search %d\n",
                  what, t->answers, t->skipped, t->engine_skips,
                  (double)t->evaluations / t->answers, t->chosen, t->better);
}

static void answers_are_the_same(void **state)
{
    const beam_model *model = *state;
    tally total = {0};
    for (int kind = 0; kind < TEST_GPU_KINDS; kind++) {
        tally sum = {0};
        char what[32];
        for (int i = 0; i < PER_KIND; i++) {
            test_random random = test_random_new((uint64_t)(17000 * kind + i));
            test_gpu_case *c =
                test_gpu_case_new(test_gpu_scene(&random, kind), NULL, model, EVERYTHING_FAST);
            const double tradeoff = test_random_uniform(&random);
            const int lanes = i == 0 ? 32 : i == 1 ? 64 : 1;
            beam_design *warm =
                i % 3 == 0 ? test_random_design(&random, c->scene, c->plan.s.r) : NULL;
            const beam_gpu_answer_head all =
                run(c, model, tradeoff, warm, 7 | BEAM_GPU_SEARCH_ALL, lanes);
            const beam_gpu_answer_head v = run(c, model, tradeoff, warm, 7, lanes);
            compare(c, &all, &v, &sum);
            if (warm) {
                test_design_free(warm);
            }
            test_gpu_case_free(c);
        }
        (void)snprintf(what, sizeof what, "kind %d", kind);
        report(what, &sum);
        total.answers += sum.answers;
        total.skipped += sum.skipped;
        total.engine_skips += sum.engine_skips;
        total.chosen += sum.chosen;
        total.evaluations += sum.evaluations;
        total.better += sum.better;
    }
    report("all", &total);
    assert_true(2 * total.skipped > total.answers);
    assert_true(10 * total.skipped >= 9 * total.engine_skips);
}

int main(void)
{
    void *memory = NULL;
    beam_model *model = test_shipped_model(&memory);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_share_is_better),
        cmocka_unit_test_prestate(answers_are_the_same, model),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(memory);
    return failed;
}
