/* The paper's network: its adjoint against central differences, in double; its bounds; the one size
 * that it serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "network/block_internal.h"
#include "network/column.h"
#include "solver/solver_internal.h"

enum { LAYERS = 3, MIDDLE = 2 };
static const double sigma = 0.7;

typedef struct fixture {
    beam_net_arch arch;
    size_t count;
    double *theta, *theta_bar;
    NET(block) * block;
    int point, errors; /* doubles */
    beam_solver *solver[BEAM_LANES];
    /* the loss: inner products with these */
    double *target[BEAM_LANES], *middle[BEAM_LANES], *delta[BEAM_LANES], *delta_middle[BEAM_LANES];
} fixture;

static double *normals(test_random *random, int n)
{
    double *to = test_memory((size_t)n * sizeof *to);
    for (int i = 0; i < n; i++) {
        to[i] = test_random_normal(random);
    }
    return to;
}

static beam_solver *prepared(test_random *random, const beam_dims *dims, double radius)
{
    beam_scene *scene = test_random_scene(random, dims, radius);
    for (int u = 0; u < dims->users; u++) {
        scene->user_station[u] = u % dims->stations;
    }
    beam_solver *s = test_solver_new(dims);
    beam_error err;
    test_must(beam_solver_load(s, scene, &err), &err, "load");
    test_must(beam_solver_prepare(s, &err), &err, "prepare");
    test_must(beam_solver_compute_sensing_end(s, &err), &err, "sensing end");
    s->ideal.wsr_ideal_bps_hz = 3.0 + 5 * test_random_uniform(random);
    test_scene_free(scene);
    return s;
}

static void load(NET(block) * block, int lane, const beam_solver *s, double tradeoff)
{
    NET(block_scene)(block, lane, &s->problem, s->sensing, &s->ideal);
    NET(block_preference)(block, lane, beam_preference_from_tradeoff(tradeoff));
    beam_classical_compose(&s->problem, s->unit, beam_net_start_share(tradeoff), s->spare.x);
    NET(block_start)(block, lane, s->spare.x);
}

static double tradeoff_of(int lane)
{
    return lane / (double)(BEAM_LANES - 1);
}

static beam_net_arch arch_for(const beam_dims *dims, int sensing_rows, int width)
{
    return (beam_net_arch){.kind = BEAM_NET_MLP,
                           .layers = LAYERS,
                           .width = width,
                           .stations = dims->stations,
                           .antennas = dims->antennas,
                           .users = dims->users,
                           .targets = dims->targets,
                           .sensing_rows = sensing_rows};
}

/* `eta`: long steps meet the bounds. */
static void set_up(fixture *f, uint64_t seed, const beam_dims *dims, int width, double eta)
{
    const double radii[] = {0, 0.05, 0.1, 0.2};
    test_random random = test_random_new(seed);
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        f->solver[lane] = prepared(&random, dims, radii[lane % 4]);
    }
    const beam_problem *first = &f->solver[0]->problem;
    const beam_net_shape shape = beam_net_shape_of(first);
    f->point = first->rows * first->stride;
    f->errors = first->L * first->U * first->stride;
    f->arch = arch_for(dims, first->r, width);
    f->count = beam_net_parameters(&f->arch);
    assert_true(f->count > 0);
    f->theta = test_memory(f->count * sizeof(double));
    f->theta_bar = test_memory(f->count * sizeof(double));
    NET(block_initialise)(&f->arch, 7, f->theta);
    for (size_t i = 0; i < f->count; i++) { /* everything takes part */
        f->theta[i] += 0.1 * test_random_normal(&random);
    }
    for (int y = 0; y < LAYERS; y++) {
        f->theta[(size_t)y * f->count / LAYERS] = log(eta) + 0.1 * y;
    }
    f->block = NET(block_init)(&f->arch, dims, true,
                               test_memory(NET(block_memsize)(&f->arch, dims, true)));
    NET(block_begin)(f->block, &shape);
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        assert_true(beam_net_serves(&f->arch, &f->solver[lane]->problem));
        load(f->block, lane, f->solver[lane], tradeoff_of(lane));
        f->target[lane] = normals(&random, f->point);
        f->middle[lane] = normals(&random, f->point);
        f->delta[lane] = normals(&random, f->errors + 1);
        f->delta_middle[lane] = normals(&random, f->errors + 1);
    }
}

static void tear_down(fixture *f)
{
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        test_solver_free(f->solver[lane]);
        free(f->target[lane]);
        free(f->middle[lane]);
        free(f->delta[lane]);
        free(f->delta_middle[lane]);
    }
    free(f->theta);
    free(f->theta_bar);
    free(f->block);
}

static double inner(int n, const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* *penalty: its part of the penalty. */
static double loss(fixture *f, int from, double *penalty)
{
    double *x = test_memory((size_t)(f->point + f->errors + 1) * sizeof(double)), sum = 0;
    *penalty = 0;
    NET(block_forward)(f->block, f->theta, from, LAYERS);
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        NET(block_point)(f->block, lane, x);
        sum += inner(f->point, f->target[lane], x);
        NET(block_state)(f->block, lane, MIDDLE, x);
        sum += inner(f->point, f->middle[lane], x);
        NET(block_delta)(f->block, lane, LAYERS, x);
        sum += inner(f->errors, f->delta[lane], x);
        NET(block_delta)(f->block, lane, MIDDLE, x);
        sum += inner(f->errors, f->delta_middle[lane], x);
        *penalty += NET(block_penalty)(f->block, lane, sigma);
    }
    free(x);
    return sum + *penalty;
}

static void check(uint64_t seed, const beam_dims *dims, int from)
{
    fixture f = {.theta = NULL};
    double penalty;
    set_up(&f, seed, dims, 5, 4.0);
    (void)loss(&f, from, &penalty);
    assert_true(penalty > 0.01); /* bounds are met */
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        NET(block_adjoint)(f.block, lane, LAYERS, f.target[lane]);
        NET(block_adjoint)(f.block, lane, MIDDLE, f.middle[lane]);
        NET(block_delta_adjoint)(f.block, lane, LAYERS, f.delta[lane]);
        NET(block_delta_adjoint)(f.block, lane, MIDDLE, f.delta_middle[lane]);
    }
    memset(f.theta_bar, 0, f.count * sizeof(double));
    NET(block_backward)(f.block, f.theta, from, LAYERS, f.theta_bar);
    double norm = 0, worst = 0;
    for (size_t i = 0; i < f.count; i++) {
        norm += f.theta_bar[i] * f.theta_bar[i];
    }
    norm = sqrt(norm / (double)f.count);
    assert_true(norm > 1e-3);
    size_t at = 0;
    for (size_t i = 0; i < f.count; i++) {
        const double h = 1e-6, theta = f.theta[i];
        f.theta[i] = theta + h;
        const double up = loss(&f, from, &penalty);
        f.theta[i] = theta - h;
        const double down = loss(&f, from, &penalty);
        f.theta[i] = theta;
        const double error =
            fabs((up - down) / (2 * h) - f.theta_bar[i]) / (fabs(f.theta_bar[i]) + norm);
        if (!(error <= worst)) {
            worst = error;
            at = i;
        }
    }
    if (!(worst < 1e-5)) {
        fail_msg("seed %llu: parameter %zu of %zu off by %g", (unsigned long long)seed, at, f.count,
                 worst);
    }
    tear_down(&f);
}

static const beam_dims paper = {.stations = 3, .antennas = 5, .users = 3, .targets = 2};

static void test_gradient(void **state)
{
    (void)state;
    const beam_dims two_each = {.stations = 2, .antennas = 3, .users = 4, .targets = 1};
    const beam_dims silent = {.stations = 2, .antennas = 2, .users = 0, .targets = 1};
    check(1, &paper, 0);
    check(2, &paper, 1);
    check(3, &two_each, 0);
    check(4, &silent, 0);
}

static void test_bounds(void **state)
{
    (void)state;
    fixture f = {.theta = NULL};
    double penalty;
    int at_the_budget = 0, on_the_sphere = 0, inside = 0;
    set_up(&f, 5, &paper, 16, 4.0);
    (void)loss(&f, 0, &penalty);
    double *x = test_memory((size_t)(f.point + f.errors) * sizeof(double));
    for (int layer = 0; layer <= LAYERS; layer++) {
        for (int lane = 0; lane < BEAM_LANES; lane++) {
            const beam_problem *p = &f.solver[lane]->problem;
            NET(block_state)(f.block, lane, layer, x);
            for (int l = 0; l < p->L; l++) {
                const double power = beam_problem_power(p, x, l);
                assert_true(power <= 1 + 1e-12);
                at_the_budget += layer > 0 && power > 1 - 1e-12;
            }
            NET(block_delta)(f.block, lane, layer, x);
            for (int i = 0; i < p->L * p->U; i++) {
                const double length = sqrt(inner(p->stride, x + i * p->stride, x + i * p->stride));
                assert_true(length <= p->eps[i] * (1 + 1e-12));
                assert_true(layer > 0 || length == 0);
                on_the_sphere += p->eps[i] > 0 && length > p->eps[i] * (1 - 1e-12);
                inside += layer > 0 && p->eps[i] > 0 && length < 0.99 * p->eps[i];
            }
        }
    }
    assert_true(at_the_budget > 0 && on_the_sphere > 0 && inside > 0);
    free(x);
    tear_down(&f);
}

/* A lane does not depend on the others, nor on what a block keeps for training. */
static void test_lanes(void **state)
{
    (void)state;
    fixture f = {.theta = NULL};
    double penalty;
    set_up(&f, 6, &paper, 9, 1.0);
    (void)loss(&f, 0, &penalty);
    void *memory = test_memory(NET(block_memsize)(&f.arch, &paper, false));
    NET(block) *other = NET(block_init)(&f.arch, &paper, false, memory);
    const beam_net_shape shape = beam_net_shape_of(&f.solver[0]->problem);
    NET(block_begin)(other, &shape);
    const int order[] = {6, 3}, used = 2;
    for (int i = 0; i < used; i++) {
        load(other, i, f.solver[order[i]], tradeoff_of(order[i]));
    }
    NET(block_fill)(other, used);
    NET(block_forward)(other, f.theta, 0, LAYERS);
    const size_t n = (size_t)(f.point + f.errors);
    double *x = test_memory(n * sizeof *x), *y = test_memory(n * sizeof *y);
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        const int same = order[lane < used ? lane : 0];
        NET(block_point)(f.block, same, x);
        NET(block_delta)(f.block, same, LAYERS, x + f.point);
        NET(block_point)(other, lane, y);
        NET(block_delta)(other, lane, LAYERS, y + f.point);
        assert_memory_equal(x, y, n * sizeof *x);
    }
    free(x);
    free(y);
    free(memory);
    tear_down(&f);
}

static void test_column(void **state)
{
    (void)state;
    enum { OUTPUTS = 13, INPUTS = 21 };
    test_random random = test_random_new(7);
    double *weight = normals(&random, OUTPUTS * INPUTS), *bias = normals(&random, OUTPUTS);
    beam_lane x[INPUTS], y[OUTPUTS];
    for (int k = 0; k < INPUTS; k++) {
        for (int lane = 0; lane < BEAM_LANES; lane++) {
            x[k][lane] = test_random_normal(&random);
        }
    }
    NET(column)(OUTPUTS, INPUTS, weight, bias, x, y);
    for (int o = 0; o < OUTPUTS; o++) {
        for (int lane = 0; lane < BEAM_LANES; lane++) {
            double sum = bias[o];
            for (int k = 0; k < INPUTS; k++) {
                sum += weight[o * INPUTS + k] * x[k][lane];
            }
            assert_true(fabs(sum - y[o][lane]) < 1e-13);
        }
    }
    free(weight);
    free(bias);
}

/* Sizes that differ in one number each; the first two have the same reduced dimension. */
static void test_one_size_only(void **state)
{
    (void)state;
    const beam_dims own = {.stations = 2, .antennas = 4, .users = 2, .targets = 1};
    const beam_dims others[] = {{2, 5, 2, 1}, {2, 4, 2, 2}, {2, 4, 4, 1}, {1, 4, 2, 1}};
    const beam_net_arch any = {.kind = BEAM_NET_EQUIVARIANT, .layers = 1, .width = 4};
    test_random random = test_random_new(8);
    beam_solver *s = prepared(&random, &own, 0.1);
    const beam_net_arch arch = arch_for(&own, s->problem.r, 4);
    assert_true(beam_net_serves(&arch, &s->problem));
    test_solver_free(s);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        beam_scene *scene = test_random_scene(&random, &others[i], 0.1);
        for (int u = 0; u < others[i].users; u++) {
            scene->user_station[u] = u % others[i].stations;
        }
        beam_error err;
        s = test_solver_new(&others[i]);
        test_must(beam_solver_load(s, scene, &err), &err, "load");
        assert_false(beam_net_serves(&arch, &s->problem));
        assert_true(beam_net_serves(&any, &s->problem));
        test_solver_free(s);
        test_scene_free(scene);
    }
    beam_scene *uneven = test_random_scene(&random, &own, 0.1);
    beam_error err;
    uneven->user_station[0] = uneven->user_station[1] = 1;
    s = test_solver_new(&own);
    test_must(beam_solver_load(s, uneven, &err), &err, "load");
    assert_false(beam_net_serves(&arch, &s->problem));
    test_solver_free(s);
    test_scene_free(uneven);
}

static void test_sizes_that_are_refused(void **state)
{
    (void)state;
    const beam_net_arch good = arch_for(&paper, 3, 8);
    assert_true(beam_net_parameters(&good) > 0);
    beam_net_arch bad = good;
    bad.antennas = 8; /* more than users + 2 targets: the basis turns with the scene */
    assert_int_equal(beam_net_parameters(&bad), 0);
    bad = good;
    bad.users = 4; /* not the same in every station */
    assert_int_equal(beam_net_parameters(&bad), 0);
    bad = good;
    bad.sensing_rows = 5; /* more than 2 per target */
    assert_int_equal(beam_net_parameters(&bad), 0);
    bad = good;
    bad.stations = 0;
    assert_int_equal(beam_net_parameters(&bad), 0);
    bad = good;
    bad.width = BEAM_NET_WIDTH_MAX + 1;
    assert_int_equal(beam_net_parameters(&bad), 0);
    bad = good;
    bad.stations = bad.users = 16;
    bad.targets = 16;
    bad.antennas = 48; /* too large a vector */
    bad.sensing_rows = 32;
    assert_int_equal(beam_net_parameters(&bad), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient),      cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_lanes),         cmocka_unit_test(test_column),
        cmocka_unit_test(test_one_size_only), cmocka_unit_test(test_sizes_that_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
