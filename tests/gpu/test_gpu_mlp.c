/* The paper's network as the device has it, on the CPU, against the engine's in float64: columns,
 * layers with the matrix products in plain loops, and the beams by their exact numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.cuh"
#include "device/mlp.cuh"
#include "gpu/case.h"
#include "mlp_plan.h"
#include "network/block_internal.h"
#include "network/model.h"

enum { EVERYTHING_FAST = 1 << 30, SCENES = 1200, EMULATED = 30 };

/* Stated in docs/gpu.md. Entries that are constant over the layers are of order 1; states after the
 * layers by their length. */
static const double feature_bound = 1e-6, state_bound = 1e-4, rate_bound = 1e-3;

typedef struct fixture {
    test_gpu_case *c;
    beam_model_info info;
    beam_gpu_mlp_plan plan;
    float *theta, *weights;             /* [parameters], packed */
    float *x, *hidden1, *hidden2, *out; /* the columns of one problem */
    beam_c32 *beams;                    /* as the answer's */
    double tradeoff;
    beam_design *warm; /* or NULL */
    int from, to;
} fixture;

static beam_net_arch arch_of(const beam_model_info *info)
{
    return beam_model_arch(info);
}

/* --- Scenes and models -------------------------------------------------------------------------
 */

/* As many users at every station, no more antennas than an mlp can have. */
static beam_dims random_sizes(test_random *random, int i)
{
    beam_dims d = {.stations = 3, .antennas = 5, .users = 3, .targets = 2}; /* the paper's */
    if (i % 4 != 0) {
        d.stations = test_random_int(random, 1, 4);
        d.users = d.stations * test_random_int(random, i % 40 != 1, 3);
        d.targets = test_random_int(random, 1, 3);
        const int most = d.users + 2 * d.targets;
        d.antennas = test_random_int(random, 1, most < 8 ? most : 8);
    }
    return d;
}

static void shuffle_stations(test_random *random, beam_scene *s)
{
    for (int u = 0; u < s->dims.users; u++) {
        s->user_station[u] = u % s->dims.stations;
    }
    for (int u = s->dims.users - 1; u > 0; u--) {
        const int k = test_random_int(random, 0, u), kept = s->user_station[u];
        s->user_station[u] = s->user_station[k];
        s->user_station[k] = kept;
    }
}

static beam_scene *random_scene(test_random *random, int i)
{
    static const double radii[] = {0, 0.05, 0.1, 0.3};
    const beam_dims d = random_sizes(random, i);
    beam_scene *s = test_random_scene(random, &d, radii[i / 4 % 4]);
    shuffle_stations(random, s);
    s->skip_unidentifiable = d.stations == 1 || d.antennas == 1 || s->skip_unidentifiable;
    for (int u = 0; u < d.users && i % 10 == 3; u++) { /* some are not heard */
        for (int n = 0; n < d.antennas; n++) {
            test_channel(s, u % d.stations, u)[n] = (beam_complex){0, 0};
        }
    }
    return s;
}

static beam_model_info info_for(const beam_dims *d, int sensing_rows, int layers, int width)
{
    beam_model_info info = {.kind = BEAM_MODEL_MLP,
                            .layers = layers,
                            .width = width,
                            .stations = d->stations,
                            .antennas = d->antennas,
                            .users = d->users,
                            .targets = d->targets,
                            .sensing_rows = sensing_rows};
    const beam_net_arch arch = arch_of(&info);
    info.parameters = beam_net_parameters(&arch);
    return info;
}

/* Weights that take long steps: bounds are met. */
static float *random_weights(test_random *random, const beam_model_info *info)
{
    const beam_net_arch arch = arch_of(info);
    const beam_net_mlp_layout at = beam_net_mlp_layer_layout(&arch);
    const size_t count = info->parameters;
    double *fresh = test_memory(count * sizeof *fresh);
    float *theta = test_memory(count * sizeof *theta);
    NET(block_initialise)(&arch, test_random_bits(random), fresh);
    for (size_t i = 0; i < count; i++) {
        const size_t in_layer = i % at.count;
        const double spread = in_layer >= at.w3 ? 0.1 : 0.02;
        theta[i] = (float)(fresh[i] + spread * test_random_normal(random));
        if (in_layer == at.eta) {
            theta[i] = (float)test_random_between(random, -3, 1);
        }
    }
    free(fresh);
    return theta;
}

static fixture set_up(int i)
{
    test_random random = test_random_new((uint64_t)(7919 * i + 5));
    beam_error err = {0};
    fixture f = {.c = test_gpu_case_new(random_scene(&random, i), NULL, NULL,
                                        i % 5 == 4 ? 4096 : EVERYTHING_FAST)};
    const int layers = test_random_int(&random, 1, 4), width = test_random_int(&random, 1, 33);
    f.info = info_for(&f.c->scene->dims, f.c->plan.s.r, layers, width);
    test_must(beam_gpu_mlp_plan_make(&f.plan, &f.info, &err), &err, "mlp plan");
    f.theta = random_weights(&random, &f.info);
    f.weights = test_memory((size_t)(f.plan.layer * layers) * sizeof *f.weights);
    beam_gpu_mlp_pack(&f.plan, f.theta, f.weights);
    f.x = test_memory((size_t)f.plan.inputs * sizeof *f.x);
    f.hidden1 = test_memory((size_t)f.plan.hidden * sizeof *f.x);
    f.hidden2 = test_memory((size_t)f.plan.hidden * sizeof *f.x);
    f.out = test_memory((size_t)f.plan.outputs * sizeof *f.x);
    f.beams = test_memory((size_t)(f.c->plan.s.rows * f.plan.N) * sizeof *f.beams);
    f.tradeoff = i % 50 == 0 ? 0 : i % 50 == 1 ? 1 : test_random_uniform(&random);
    f.to = layers;
    if (i % 4 == 3) {
        f.warm = test_random_design(&random, f.c->scene, f.c->plan.s.r);
        f.from = test_random_int(&random, 0, layers - 1);
    } else if (i % 4 == 2) {
        f.to = test_random_int(&random, 1, layers);
    }
    return f;
}

static void tear_down(fixture *f)
{
    test_design_free(f->warm);
    test_gpu_case_free(f->c);
    free(f->theta);
    free(f->weights);
    free(f->x);
    free(f->hidden1);
    free(f->hidden2);
    free(f->out);
    free(f->beams);
}

/* --- The device's side -------------------------------------------------------------------------
 */

/* What cuBLAS does: y = W x, W [outputs][inputs], of one column. */
static void product(const beam_team *t, int outputs, int inputs, const float *weight,
                    const float *x, float *y)
{
    beam_team_sync(t);
    BEAM_EACH(t, o, outputs)
    {
        float sum = 0;
        for (int k = 0; k < inputs; k++) {
            sum += weight[(size_t)o * (size_t)inputs + (size_t)k] * x[k];
        }
        y[o] = sum;
    }
    beam_team_sync(t);
}

static void work_begin(const beam_team *t, void *arg)
{
    const fixture *f = arg;
    assert_true(beam_gpu_mlp_serves(&f->c->problem, &f->plan));
    beam_gpu_mlp_begin(t, &f->c->problem, &f->plan, f->x);
}

static void work_layers(const beam_team *t, void *arg)
{
    const fixture *f = arg;
    const beam_gpu_mlp_plan *m = &f->plan;
    const beam_gpu_request_head *head = beam_gpu_head(&f->c->problem);
    for (int y = 0; y < m->layers; y++) {
        const float *w = f->weights + (size_t)(y * m->layer);
        product(t, m->hidden, m->inputs, w + m->w1, f->x, f->hidden1);
        beam_gpu_mlp_hidden(t, m, w + m->b1, f->hidden1);
        product(t, m->hidden, m->hidden, w + m->w2, f->hidden1, f->hidden2);
        beam_gpu_mlp_hidden(t, m, w + m->b2, f->hidden2);
        product(t, m->outputs, m->hidden, w + m->w3, f->hidden2, f->out);
        beam_gpu_mlp_step(t, head, m, y, w, f->out, f->x);
    }
    beam_team_sync(t);
    beam_gpu_mlp_beams(t, &f->c->problem, m, f->x, f->beams);
}

static beam_gpu_numbers certificate;

static void work_certify(const beam_team *t, void *arg)
{
    const fixture *f = arg;
    assert_true(beam_gpu_given_candidate(t, &f->c->problem, f->beams));
    const beam_gpu_numbers v = beam_gpu_certify(t, &f->c->problem);
    if (t->lane == 0) {
        certificate = v;
    }
}

static void run(int lanes, test_lane_order order, test_team_work *work, fixture *f)
{
    if (lanes == 1) {
        test_team_single(work, f);
    } else {
        test_team_run(lanes, order, work, f);
    }
}

static void run_device(fixture *f, int lanes, test_lane_order order, float *begun)
{
    test_gpu_case_request(f->c, f->tradeoff, f->warm, f->from, f->to);
    memset(f->x, 0xff, (size_t)f->plan.inputs * sizeof *f->x);
    memset(f->out, 0xff, (size_t)f->plan.outputs * sizeof *f->out);
    run(lanes, order, work_begin, f);
    if (begun) {
        memcpy(begun, f->x, (size_t)f->plan.inputs * sizeof *f->x);
    }
    run(lanes, order, work_layers, f);
}

/* --- The engine's side -------------------------------------------------------------------------
 */

/* A block with the problem in lane 0; the caller frees it and *theta. */
static NET(block) * engine_block(const fixture *f, double **theta)
{
    beam_solver *s = f->c->solver;
    const beam_net_arch arch = arch_of(&f->info);
    const beam_net_shape shape = beam_net_shape_of(&s->problem);
    double *x = test_memory(beam_solver_point_bytes(s));
    NET(block) *b =
        NET(block_init)(&arch, &f->c->scene->dims, false,
                        test_memory(NET(block_memsize)(&arch, &f->c->scene->dims, false)));
    assert_true(beam_net_serves(&arch, &s->problem));
    *theta = test_memory(f->info.parameters * sizeof **theta);
    for (size_t i = 0; i < f->info.parameters; i++) {
        (*theta)[i] = (double)f->theta[i];
    }
    NET(block_begin)(b, &shape);
    NET(block_scene)(b, 0, &s->problem, s->sensing, &f->c->ideal);
    NET(block_preference)(b, 0, beam_preference_from_tradeoff(f->tradeoff));
    if (f->warm) {
        assert_true(beam_solver_import_warm(s, f->warm, x));
    } else {
        beam_classical_compose(&s->problem, s->unit, beam_net_start_share(f->tradeoff), x);
    }
    NET(block_start)(b, 0, x);
    NET(block_fill)(b, 1);
    free(x);
    return b;
}

typedef struct found {
    int cases, scaled, clipped, merits;
    double feature, state, rate;
} found;

static double largest(double a, double b)
{
    return a > b || isnan(a) ? a : b;
}

/* The column before the first layer, entry by entry. */
static void compare_column(const fixture *f, const NET(block) * b, const float *begun, found *sum)
{
    double gap = 0, size = 0;
    for (int k = 0; k < f->plan.states; k++) {
        const double want = (double)b->mlp.input[k][0];
        gap += ((double)begun[k] - want) * ((double)begun[k] - want);
        size += want * want;
    }
    sum->state = largest(size > 0 ? sqrt(gap / size) : sqrt(gap), sum->state);
    for (int k = f->plan.states; k < f->plan.count; k++) {
        const double want = (double)b->mlp.input[k][0];
        sum->feature = largest(fabs((double)begun[k] - want) / (1 + fabs(want)), sum->feature);
    }
    for (int k = f->plan.count; k < f->plan.inputs; k++) {
        assert_true(begun[k] == 0);
    }
}

/* Rows and errors after the layers. */
static void compare_states(const fixture *f, NET(block) * b, found *sum)
{
    const beam_net_arch arch = arch_of(&f->info);
    NET(mlp_state_inputs)(b, f->to);
    double gap = 0, size = 0;
    for (int k = 0; k < f->plan.states; k++) {
        const double want = (double)b->mlp.input[k][0];
        gap += ((double)f->x[k] - want) * ((double)f->x[k] - want);
        size += want * want;
    }
    sum->state = largest(size > 0 ? sqrt(gap / size) : sqrt(gap), sum->state);
    for (int l = 0; l < arch.stations; l++) {
        sum->scaled += (double)b->mlp.power[l][0] > 1;
    }
    for (int i = 0; i < arch.stations * arch.users; i++) {
        sum->clipped += (double)b->mlp.length2[i][0] > 1;
    }
}

/* The candidate's exact numbers against those of the engine's beams. */
static void compare_numbers(fixture *f, const NET(block) * b, found *sum)
{
    beam_solver *s = f->c->solver;
    NET(block_point)(b, 0, s->candidate.x);
    (void)beam_solver_measure(s, &s->candidate);
    test_team_single(work_certify, f);
    sum->rate =
        largest(fabs(certificate.wsr - s->candidate.wsr) / (1 + s->candidate.wsr), sum->rate);
    if (isfinite(s->candidate.crlb) && isfinite(certificate.crlb) && s->candidate.crlb > 0 &&
        s->candidate.crlb < 1e6 * f->c->ideal.crlb_min_m2) {
        sum->rate = largest(fabs(log(certificate.crlb / s->candidate.crlb)), sum->rate);
        sum->merits++;
    }
}

static void compare(int i, found *sum)
{
    fixture f = set_up(i);
    double *theta = NULL;
    float *begun = test_memory((size_t)f.plan.inputs * sizeof *begun);
    NET(block) *b = engine_block(&f, &theta);
    run_device(&f, i < EMULATED ? (i % 2 ? 64 : 32) : 1, (test_lane_order)(i % 3), begun);
    NET(block_forward)(b, theta, f.from, f.from + 1); /* leaves the first layer's inputs */
    compare_column(&f, b, begun, sum);
    NET(block_forward)(b, theta, f.from, f.to);
    compare_states(&f, b, sum);
    compare_numbers(&f, b, sum);
    sum->cases++;
    free(begun);
    free(theta);
    free(b);
    tear_down(&f);
}

static void against_the_engine(void **state)
{
    (void)state;
    found sum = {0};
    for (int i = 0; i < SCENES; i++) {
        compare(i, &sum);
    }
    print_message("%d scenes: features within %.1e, states within %.1e, exact numbers within %.1e "
                  "(%d with a CRLB); %d stations and %d errors scaled into their bounds\n",
                  sum.cases, sum.feature, sum.state, sum.rate, sum.merits, sum.scaled, sum.clipped);
    assert_true(sum.feature <= feature_bound);
    assert_true(sum.state <= state_bound);
    assert_true(sum.rate <= rate_bound);
    assert_true(sum.scaled >= SCENES / 10 && sum.clipped >= SCENES / 10 && sum.merits > SCENES / 2);
}

/* Lanes in any order give the same bits. */
static void lane_orders(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++) {
        fixture f = set_up(i);
        float *first = test_memory((size_t)f.plan.inputs * sizeof *first);
        for (int order = TEST_LANES_UP; order <= TEST_LANES_SHUFFLED; order++) {
            run_device(&f, 32, (test_lane_order)order, NULL);
            if (order == TEST_LANES_UP) {
                memcpy(first, f.x, (size_t)f.plan.inputs * sizeof *first);
            }
            assert_memory_equal(first, f.x, (size_t)f.plan.inputs * sizeof *first);
        }
        free(first);
        tear_down(&f);
    }
}

/* --- Sizes that do not fit ---------------------------------------------------------------------
 */

static void refusals(void **state)
{
    (void)state;
    const beam_dims d = {.stations = 3, .antennas = 5, .users = 3, .targets = 2};
    beam_error err = {0};
    beam_gpu_plan problem;
    beam_gpu_mlp_plan plan;
    test_must(beam_gpu_plan_make(&problem, &d, 1, 0, 0, EVERYTHING_FAST, &err), &err, "plan");
    beam_model_info info = info_for(&d, problem.s.r, 2, 8);
    test_must(beam_gpu_mlp_plan_make(&plan, &info, &err), &err, "mlp plan");
    assert_int_equal(beam_gpu_mlp_plan_check(&plan, &problem.s, &err), BEAM_OK);

    beam_model_info other = info;
    other.parameters++;
    assert_int_equal(beam_gpu_mlp_plan_make(&plan, &other, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "parameters");
    other = info;
    other.kind = BEAM_MODEL_EQUIVARIANT;
    assert_int_equal(beam_gpu_mlp_plan_make(&plan, &other, &err), BEAM_E_UNSUPPORTED);
    other = info;
    other.antennas = d.users + 2 * d.targets + 1;
    assert_int_equal(beam_gpu_mlp_plan_make(&plan, &other, &err), BEAM_E_LIMIT);

    beam_dims larger = d;
    larger.antennas++;
    test_must(beam_gpu_plan_make(&problem, &larger, 1, 0, 0, EVERYTHING_FAST, &err), &err, "plan");
    assert_int_equal(beam_gpu_mlp_plan_check(&plan, &problem.s, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "dims");
    test_must(beam_gpu_plan_make(&problem, &d, 2, 0, 0, EVERYTHING_FAST, &err), &err, "plan");
    assert_int_equal(beam_gpu_mlp_plan_check(&plan, &problem.s, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "users_per_station");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_the_engine),
        cmocka_unit_test(lane_orders),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
