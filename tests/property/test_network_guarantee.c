/* The guarantee of MATH 6: whatever the network says, no published answer is worse than the
 * classical design or than the warm beams on the new CSI. 10,000 random scenes with every
 * degeneracy that an operator may send, weights from fresh to hostile. Nothing that chose is
 * believed: designs are judged by beam_evaluator, in the antenna space. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/network_case.h"
#include "common/random.h"
#include "common/untrained.h"
#include "network/check.h"

#ifdef __SANITIZE_ADDRESS__
enum { SCENES = 1000 }; /* it is slow, and looks for something else */
#else
enum { SCENES = 10000 };
#endif
enum { LAYERS = 2, WIDTH = 8, BATCH = 64 };

static const beam_dims largest = {.stations = 4, .antennas = 8, .users = 7, .targets = 4};

/* --- Judging ---------------------------------------------------------------------------------- */

/* Merit of the evaluator's numbers; missed minimum rates come first, as everywhere. */
static double judge(test_network_case *c, const beam_design *design, double tradeoff,
                    beam_quality *q)
{
    beam_error err = {0};
    test_must(beam_evaluator_run(c->evaluator, design, q, &err), &err, "evaluation");
    const double missed =
        c->ideal.wsr_ideal_bps_hz > 0 ? 1e6 * q->shortfall_bps_hz / c->ideal.wsr_ideal_bps_hz : 0;
    return missed + beam_merit(&c->ideal, beam_preference_from_tradeoff(tradeoff),
                               beam_loss_rate(&c->ideal, q->wsr_worst_case_bps_hz),
                               beam_loss_sensing(&c->ideal, q->crlb_valid, q->crlb_m2));
}

/* Has the CRLB of this scene any meaning? (Few antennas and many targets in one delay cell: where
 * the least bound is 30 km its digits are rounding.) */
static bool located(const test_network_case *c)
{
    return c->ideal.crlb_min_m2 > 0 && c->ideal.crlb_min_m2 < 1e9;
}

static void not_worse(const test_network_case *c, const char *than, double tradeoff, double merit,
                      double other)
{
    /* two ways to the CRLB, here in the antenna space and there reduced; the coupled models are
     * ill-conditioned, and near the sensing end a thousandfold of it counts */
    const double u2 = fmax(beam_preference_from_tradeoff(tradeoff).u2, 1e-3);
    const double coupled = c->scene->sensing == BEAM_SENSING_RESOLVED ? 0 : 1e-9 / u2;
    if (c->ideal.crlb_min_m2 > 0 && !located(c)) {
        return;
    }
    if (isfinite(other) && !(merit <= other + 1e-9 * (1 + fabs(other)) + coupled)) {
        fail_msg("scene %llu at %g: merit %.12g is worse than the %s's, %.12g",
                 (unsigned long long)c->seed, tradeoff, merit, than, other);
    }
}

static bool finite_design(const beam_design *d)
{
    return isfinite(test_design_norm(d));
}

/* The warm beams as they would be sent: inside the budgets. */
static double judge_warm(test_network_case *c, const beam_design *warm, double tradeoff)
{
    double merit = INFINITY;
    if (finite_design(warm)) {
        beam_quality *q = test_memory(sizeof *q);
        beam_design *sent = test_design_clone(warm);
        beam_design_fit_budget(sent, c->scene->user_station, c->scene->station_power_w, 1);
        merit = judge(c, sent, tradeoff, q);
        test_design_free(sent);
        free(q);
    }
    return merit;
}

static void check_answer(test_network_case *c, const beam_network_request *r)
{
    beam_error err = {0};
    beam_result classical;
    beam_quality *q = test_memory(sizeof *q);
    beam_design *other = test_design_new(&c->scene->dims, -1);
    test_must(beam_solver_classical(c->solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                    r->tradeoff, other, &classical, &err),
              &err, "classical");
    const double reference = judge(c, other, r->tradeoff, q);
    const double merit = judge(c, r->out, r->tradeoff, q);
    assert_true(q->power_excess <= 1e-9);
    not_worse(c, "classical design", r->tradeoff, merit, reference);
    if (r->warm) {
        not_worse(c, "warm start", r->tradeoff, merit, judge_warm(c, r->warm, r->tradeoff));
    }
    if (r->result->classical_is_bound) {
        not_worse(c, "classical bound", r->tradeoff, r->result->classical_merit, reference);
    }
    const double rate = r->result->wsr_worst_case_bps_hz;
    /* a target that is barely located: the information matrix is singular to rounding, and its
     * inverse known to as few digits; to none where the least CRLB itself has none (30 km) */
    const double least = c->ideal.crlb_min_m2;
    const double digits =
        located(c) ? 1e-7 + 1e-14 * (fmax(q->crlb_m2, r->result->crlb_m2) / least) : INFINITY;
    if (!(fabs(rate - q->wsr_worst_case_bps_hz) <= 1e-9 * (1 + rate)) ||
        (r->result->crlb_valid != q->crlb_valid && digits < 1e-3) ||
        (q->crlb_valid && !(fabs(r->result->crlb_m2 - q->crlb_m2) <= digits * q->crlb_m2))) {
        fail_msg("scene %llu: claims %.12g and %.12g, found %.12g and %.12g",
                 (unsigned long long)c->seed, rate, r->result->crlb_m2, q->wsr_worst_case_bps_hz,
                 q->crlb_m2);
    }
    test_design_free(other);
    free(q);
}

/* --- Ten thousand scenes ---------------------------------------------------------------------- */

enum { REQUESTS = 4, WARM_KINDS = 7 };

static beam_design *solved(test_network_case *c, double tradeoff)
{
    beam_error err = {0};
    beam_result result;
    beam_solver_options options = beam_solver_options_default();
    beam_design *out = test_design_new(&c->scene->dims, -1);
    options.max_iterations = 15;
    beam_solver_set_options(c->solver, &options);
    test_must(beam_solver_solve(c->solver, tradeoff, NULL, out, &result, &err), &err, "solve");
    return out;
}

static beam_design *warm_design(test_network_case *c, test_random *random, const beam_design *last)
{
    beam_design *warm;
    switch (test_random_int(random, 0, WARM_KINDS)) {
    case 0:
        return test_random_design(random, c->scene, -1);
    case 1: /* far over every budget */
        warm = test_random_design(random, c->scene, -1);
        test_design_step(warm, warm, pow(10, test_random_between(random, 1, 100)), warm);
        return warm;
    case 2:
        return test_design_new(&c->scene->dims, 0); /* silent */
    case 3:
        warm = test_random_design(random, c->scene, -1);
        *(c->scene->dims.users > 0 ? &warm->beams[0].re : &warm->sensing[0].im) =
            test_random_int(random, 0, 1) ? NAN : INFINITY;
        return warm;
    case 4: /* more columns than the solvers use */
        return test_random_design(random, c->scene, beam_design_sensing_max(&c->scene->dims));
    case 5:
        return test_design_clone(last);
    case 6: /* good, as on a track */
        return solved(c, test_random_uniform(random));
    default:
        return NULL;
    }
}

typedef struct counts {
    int methods[BEAM_METHOD_NETWORK + 1], bounds, answers;
} counts;

/* A share of the ten thousand. */
static void run_scenes(const beam_model *model, uint64_t first, int scenes, counts *n)
{
    beam_error err = {0};
    beam_inference *inference = test_inference_new(model, &largest, BATCH);
    for (uint64_t seed = first; seed < first + (uint64_t)scenes; seed++) {
        test_network_case c = test_network_case_new(seed);
        test_random random = test_random_new(seed ^ 0x77617264u);
        beam_design *last = test_random_design(&random, c.scene, -1);
        beam_network_request r[REQUESTS];
        beam_result results[REQUESTS];
        for (int i = 0; i < REQUESTS; i++) {
            const double draw = test_random_uniform(&random);
            r[i] = (beam_network_request){
                .solver = c.solver,
                .tradeoff = i == 0   ? 0
                            : i == 1 ? 1
                                     : draw,
                .warm = warm_design(&c, &random, last),
                .layers = test_random_int(&random, 0, beam_model_info_of(model)->layers),
                .refine = test_random_int(&random, 0, 19) == 0 ? 3 : 0,
                .out = test_design_new(&c.scene->dims, -1),
                .result = &results[i]};
        }
        const beam_code code = beam_inference_run(inference, model, REQUESTS, r, &err);
        if (code) {
            fail_msg("scene %llu: %s: %s", (unsigned long long)seed, err.field, err.text);
        }
        for (int i = 0; i < REQUESTS; i++) {
            check_answer(&c, &r[i]);
            n->methods[results[i].method]++;
            n->bounds += results[i].classical_is_bound;
            n->answers++;
            test_design_free(r[i].out);
            test_design_free((beam_design *)(uintptr_t)r[i].warm);
        }
        test_design_free(last);
        test_network_case_free(&c);
    }
    test_object_free(inference);
}

static void run_weights(test_weights weights, uint64_t first, int scenes, counts *n)
{
    beam_model *model = test_model_new(LAYERS, WIDTH, weights, first);
    run_scenes(model, first, scenes, n);
    test_model_free(model);
}

static void check_mixture(const counts *all)
{
    const counts n = *all;
    print_message("%d answers: network %d, warm %d, classical %d, refined %d; ruled out by bounds "
                  "%d\n",
                  n.answers, n.methods[BEAM_METHOD_NETWORK], n.methods[BEAM_METHOD_WARM],
                  n.methods[BEAM_METHOD_CLASSICAL], n.methods[BEAM_METHOD_BOBLRBF], n.bounds);
    /* otherwise this would test one candidate only */
    assert_true(n.methods[BEAM_METHOD_NETWORK] > n.answers / 100);
    assert_true(n.methods[BEAM_METHOD_WARM] > n.answers / 100);
    assert_true(n.methods[BEAM_METHOD_CLASSICAL] > n.answers / 100);
    assert_true(n.bounds > n.answers / 100);
}

static void test_never_worse_with_fresh_weights(void **state)
{
    (void)state;
    counts n = {0};
    run_weights(TEST_WEIGHTS_FRESH, 1, SCENES / 4, &n);
    check_mixture(&n);
}

static void test_never_worse_with_the_shipped_weights(void **state)
{
    (void)state;
    size_t size = 0;
    counts n = {0};
    beam_error err = {0};
    beam_model_info info;
    beam_model *model = NULL;
    const void *bytes = beam_model_embedded(&size);
    if (!bytes) {
        print_message("no model is built in\n");
        skip();
    }
    test_must(beam_model_inspect(bytes, size, &info, &err), &err, "built-in model");
    const size_t need = beam_model_memsize(&info);
    void *memory = test_memory(need);
    test_must(beam_model_load(&model, bytes, size, memory, need, &err), &err, "built-in model");
    run_scenes(model, 700000, SCENES / 4, &n);
    check_mixture(&n);
    free(memory);
}

static void test_never_worse_with_random_weights(void **state)
{
    (void)state;
    counts n = {0};
    for (uint64_t part = 0; part < 5; part++) { /* five models */
        run_weights(TEST_WEIGHTS_RANDOM, 100000 + part * 1000, SCENES / 20, &n);
    }
    assert_true(n.methods[BEAM_METHOD_CLASSICAL] > 0);
}

static void test_never_worse_with_hostile_weights(void **state)
{
    (void)state;
    counts loud = {0}, nan = {0};
    run_weights(TEST_WEIGHTS_LOUD, 200000, SCENES / 8, &loud);
    run_weights(TEST_WEIGHTS_NAN, 300000, SCENES / 8, &nan);
    assert_int_equal(nan.methods[BEAM_METHOD_NETWORK], 0); /* NaN everywhere: never an answer */
    assert_true(nan.methods[BEAM_METHOD_CLASSICAL] > 0);
}

/* --- Refinement ------------------------------------------------------------------------------- */

static bool at_once(void *arg)
{
    (*(int *)arg)++;
    return true;
}

/* Never worse than without, within its iterations, much better on the whole, and out of time it
 * returns the answer of the check. */
static void test_refinement(void **state)
{
    (void)state;
    enum { STEPS = 10 };
    beam_error err = {0};
    beam_model *model = test_model_new(LAYERS, WIDTH, TEST_WEIGHTS_FRESH, 5);
    beam_inference *inference = test_inference_new(model, &largest, 3);
    double before = 0, after = 0;
    for (uint64_t seed = 800000; seed < 800300; seed++) {
        test_network_case c = test_network_case_new(seed);
        beam_result results[3];
        beam_network_request r[3];
        int asked = 0;
        for (int i = 0; i < 3; i++) {
            r[i] = (beam_network_request){.solver = c.solver,
                                          .tradeoff = 0.5,
                                          .refine = i == 0 ? 0 : STEPS,
                                          .out = test_design_new(&c.scene->dims, -1),
                                          .result = &results[i]};
        }
        test_must(beam_inference_run(inference, model, 2, r, &err), &err, "refinement");
        check_answer(&c, &r[1]);
        if (!test_has_minima(c.scene)) { /* they come before the merit */
            assert_true(results[1].merit <= results[0].merit || isinf(results[0].merit));
        }
        assert_int_equal(results[0].iterations, 0);
        assert_in_range(results[1].iterations, 0, STEPS);
        beam_solver_options options = beam_solver_options_default();
        options.expired = at_once;
        options.expired_arg = &asked;
        beam_solver_set_options(c.solver, &options);
        test_must(beam_inference_run(inference, model, 1, &r[2], &err), &err, "out of time");
        assert_int_equal(results[2].status, BEAM_STATUS_TIME_LIMIT);
        assert_true(results[2].merit <= results[0].merit || isinf(results[0].merit) ||
                    test_has_minima(c.scene));
        assert_true(asked > 0 && results[2].iterations == 0);
        if (isfinite(results[0].merit) && c.scene->dims.users > 0 && !test_has_minima(c.scene)) {
            before += results[0].merit;
            after += results[1].merit;
        }
        for (int i = 0; i < 3; i++) {
            test_design_free(r[i].out);
        }
        test_network_case_free(&c);
    }
    print_message("mean merit: %d iterations take %.4g to %.4g of what it was\n", STEPS, 1.0,
                  after / before);
    assert_true(after < 0.9 * before);
    test_object_free(inference);
    test_model_free(model);
}

/* --- Batches ---------------------------------------------------------------------------------- */

enum { MIXED = 24, EACH = 2 };

static void run_in_order(beam_inference *inference, const beam_model *model,
                         const beam_network_request *all, const int *order, int count)
{
    beam_error err = {0};
    beam_network_request batch[MIXED * EACH];
    for (int i = 0; i < count; i++) {
        batch[i] = all[order[i]];
    }
    test_must(beam_inference_run(inference, model, count, batch, &err), &err, "batch");
}

static void shuffle(test_random *random, int *order, int count)
{
    for (int i = count - 1; i > 0; i--) {
        const int other = test_random_int(random, 0, i), swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
}

static bool same_design(const beam_design *a, const beam_design *b)
{
    const size_t N = (size_t)a->dims.antennas, U = (size_t)a->dims.users,
                 rows = (size_t)(a->dims.stations * a->sensing_max);
    return memcmp(a->beams, b->beams, U * N * sizeof *a->beams) == 0 &&
           memcmp(a->sensing, b->sensing, rows * N * sizeof *a->sensing) == 0 &&
           memcmp(a->sensing_count, b->sensing_count,
                  (size_t)a->dims.stations * sizeof *a->sensing_count) == 0;
}

/* As good: few alike requests go through the layers another way than many, equal up to float32
 * rounding, and what is sent has exact numbers either way. */
static void as_good(const beam_result *a, const beam_result *b, int request)
{
    const bool same = a->merit == b->merit || (isinf(a->merit) && isinf(b->merit));
    if (!same && !(fabs(a->merit - b->merit) <= 1e-4 * (1 + fabs(a->merit)))) {
        fail_msg("request %d: merit %.9g alone, %.9g in a batch", request, a->merit, b->merit);
    }
    if (!a->classical_is_bound && !b->classical_is_bound) {
        assert_true(a->classical_merit == b->classical_merit);
    }
}

/* As good alone as in a batch of any order and company; the same batch again, the same bits. */
static void test_answers_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    enum { ALL = MIXED * EACH };
    beam_model *model = test_model_new(3, 16, TEST_WEIGHTS_FRESH, 7);
    beam_inference *inference = test_inference_new(model, &largest, BATCH);
    test_random random = test_random_new(9);
    test_network_case cases[MIXED];
    beam_network_request all[ALL];
    beam_result results[ALL], first_results[ALL];
    beam_design *warm[MIXED], *first[ALL];
    int order[ALL], same = 0, answers = 0;
    for (int i = 0; i < ALL; i++) {
        const int k = i / EACH;
        if (i % EACH == 0) { /* half of the scenes share two shapes */
            cases[k] = test_network_case_new(600000 + (uint64_t)(k % 2 ? k : k % 4));
            warm[k] = test_random_design(&random, cases[k].scene, -1);
        }
        memset(&results[i], 0x33, sizeof results[i]);
        all[i] = (beam_network_request){.solver = cases[k].solver,
                                        .tradeoff = test_random_uniform(&random),
                                        .warm = k % 3 == 0 ? warm[k] : NULL,
                                        .refine = i % 7 == 0 ? 4 : 0,
                                        .out = test_design_new(&cases[k].scene->dims, -1),
                                        .result = &results[i]};
        order[i] = i;
    }
    for (int i = 0; i < ALL; i++) { /* alone */
        run_in_order(inference, model, all, &order[i], 1);
        first[i] = test_design_clone(all[i].out);
        first_results[i] = results[i];
    }
    for (int round = 0; round < 4; round++) {
        shuffle(&random, order, ALL);
        run_in_order(inference, model, all, order, round == 3 ? ALL / 2 : ALL);
        const int served = round == 3 ? ALL / 2 : ALL;
        beam_design *once[ALL];
        for (int i = 0; i < served; i++) {
            as_good(&first_results[order[i]], &results[order[i]], order[i]);
            same += same_design(first[order[i]], all[order[i]].out);
            answers++;
            once[i] = test_design_clone(all[order[i]].out);
        }
        run_in_order(inference, model, all, order, served);
        for (int i = 0; i < served; i++) {
            assert_true(same_design(once[i], all[order[i]].out));
            test_design_free(once[i]);
        }
    }
    /* both ways took part */
    print_message("%d of %d answers have the same bits alone and in a batch\n", same, answers);
    assert_true(same > answers / 4 && same < answers);
    for (int i = 0; i < ALL; i++) {
        test_design_free(first[i]);
        test_design_free(all[i].out);
    }
    for (int k = 0; k < MIXED; k++) {
        test_design_free(warm[k]);
        test_network_case_free(&cases[k]);
    }
    test_object_free(inference);
    test_model_free(model);
}

/* --- The call --------------------------------------------------------------------------------- */

static void test_wrong_requests_are_refused_by_name(void **state)
{
    (void)state;
    beam_error err = {0};
    beam_model *model = test_model_new(LAYERS, WIDTH, TEST_WEIGHTS_FRESH, 1);
    beam_model *larger = test_model_new(LAYERS, 4 * WIDTH, TEST_WEIGHTS_FRESH, 1);
    beam_model *smaller = test_model_new(1, WIDTH, TEST_WEIGHTS_FRESH, 1);
    const beam_dims dims = {.stations = 3, .antennas = 4, .users = 4, .targets = 2};
    const beam_dims few = {.stations = 2, .antennas = 4, .users = 2, .targets = 2};
    test_random random = test_random_new(3);
    beam_scene *scene = test_random_scene(&random, &dims, 0.1);
    beam_solver *solver = test_solver_new(&dims);
    beam_inference *inference = test_inference_new(model, &dims, 2);
    beam_inference *narrow = test_inference_new(model, &few, 2);
    beam_design *out = test_design_new(&dims, -1), *flat = test_design_new(&dims, 0);
    beam_design *wrong = test_design_new(&few, -1);
    beam_result result;
    beam_network_request r[2] = {
        {.solver = solver, .tradeoff = 0.5, .out = out, .result = &result},
        {.solver = solver, .tradeoff = 0.5, .out = out, .result = &result}};
    assert_int_equal(beam_inference_run(inference, model, 2, r, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "requests[0].scene");
    test_must(beam_solver_load(solver, scene, &err), &err, "load");
    assert_int_equal(beam_inference_run(inference, model, 2, r, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "requests[0].ideal");
    test_must(beam_inference_compute_ideal(inference, model, solver, out, &err), &err, "ideal");
    assert_true(beam_solver_ideal(solver).wsr_ideal_bps_hz > 0);
    test_must(beam_inference_run(inference, model, 2, r, &err), &err, "run");
    test_must(beam_inference_run(inference, model, 0, NULL, &err), &err, "nothing asked");
    assert_int_equal(beam_inference_run(inference, model, 3, r, &err), BEAM_E_LIMIT);
    r[1].tradeoff = NAN;
    assert_int_equal(beam_inference_run(inference, model, 2, r, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "requests[1].tradeoff");
    r[1].tradeoff = 0.5;
    r[1].out = flat;
    assert_int_equal(beam_inference_run(inference, model, 2, r, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "requests[1].out");
    r[1].out = out;
    r[1].warm = wrong;
    assert_int_equal(beam_inference_run(inference, model, 2, r, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "requests[1].warm.dims");
    r[1].warm = NULL;
    r[1].layers = LAYERS + 1;
    assert_int_equal(beam_inference_run(inference, model, 2, r, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "requests[1].layers");
    r[1].layers = 0;
    assert_int_equal(beam_inference_run(narrow, model, 2, r, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "requests[0].solver");
    assert_int_equal(beam_inference_run(inference, larger, 2, r, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "model");
    test_must(beam_inference_run(inference, smaller, 2, r, &err), &err, "another model");
    test_must(beam_inference_run(inference, model, 2, r, &err), &err, "the first again");
    test_design_free(out);
    test_design_free(flat);
    test_design_free(wrong);
    test_object_free(inference);
    test_object_free(narrow);
    test_solver_free(solver);
    test_scene_free(scene);
    test_model_free(model);
    test_model_free(larger);
    test_model_free(smaller);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_requests_are_refused_by_name),
        cmocka_unit_test(test_refinement),
        cmocka_unit_test(test_answers_do_not_depend_on_the_batch),
        cmocka_unit_test(test_never_worse_with_fresh_weights),
        cmocka_unit_test(test_never_worse_with_the_shipped_weights),
        cmocka_unit_test(test_never_worse_with_random_weights),
        cmocka_unit_test(test_never_worse_with_hostile_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
