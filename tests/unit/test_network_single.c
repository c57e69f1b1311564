/* One problem with its stations in the lanes gives the points of the block path, for random shapes
 * and weights. Compiled twice: in float, and in double, where hardly any rounding is left to hide
 * behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "network/single.h"
#include "solver/solver_internal.h"

#ifdef BEAM_NET_F64
static const double tolerance = 1e-10, unit = 1e-16;
#else
static const double tolerance = 1e-4, unit = 6e-8;
#endif
/* Each layer rounds some hundred times where the start rounds once; 35 was seen. */
static const double amplified = 100;
static int exceptions, comparisons; /* ill-conditioned: beyond the tolerance as roundings are */

enum { LAYERS = 4 };

typedef struct network {
    beam_net_arch arch;
    beam_net_real *theta, *columns;
} network;

static network network_new(test_random *random, int width)
{
    network net = {.arch = {.kind = BEAM_NET_EQUIVARIANT, .layers = LAYERS, .width = width}};
    const size_t count = beam_net_parameters(&net.arch);
    net.theta = test_memory(count * sizeof *net.theta);
    net.columns = test_memory(NET(single_columns)(&net.arch) * sizeof *net.columns);
    NET(block_initialise)(&net.arch, 7, net.theta);
    for (size_t i = 0; i < count; i++) { /* everything takes part */
        net.theta[i] += (beam_net_real)(0.1 * test_random_normal(random));
    }
    NET(single_transpose)(&net.arch, net.theta, net.columns);
    return net;
}

static void network_free(network *net)
{
    free(net->theta);
    free(net->columns);
}

/* A prepared scene; stations random, so some have no users. */
static beam_solver *solver_new(test_random *random, const beam_dims *dims, double radius,
                               beam_ideal *ideal)
{
    beam_error err = {0};
    beam_scene *scene = test_random_scene(random, dims, radius);
    beam_solver *s = test_solver_new(dims);
    if (dims->stations == 1) {
        scene->skip_unidentifiable = true;
    }
    test_must(beam_solver_load(s, scene, &err), &err, "load");
    test_must(beam_solver_prepare(s, &err), &err, "prepare");
    test_must(beam_solver_compute_sensing_end(s, &err), &err, "sensing end");
    ideal->wsr_ideal_bps_hz = dims->users > 0 ? 3 + 5 * test_random_uniform(random) : 0;
    ideal->crlb_min_m2 = s->ideal.crlb_min_m2;
    test_scene_free(scene);
    return s;
}

/* |a - b| over |b| */
static double distance(size_t n, const double *a, const double *b)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return sqrt(difference / norm);
}

typedef struct runner {
    NET(single) * single;
    NET(block) * block;
} runner;

/* How far both ways are apart after the layers from..to-1, and how far the block's other lanes,
 * whose starts differ by roundings only, are from its first: no way can promise more. */
typedef struct gap {
    double apart, rounding;
} gap;

static gap compare(const runner *run, const network *net, const beam_solver *s, int from, int to)
{
    const size_t n = (size_t)(s->problem.rows * s->problem.stride);
    double *x = test_memory(n * sizeof *x), *y = test_memory(n * sizeof *y);
    gap g = {.rounding = 0};
    NET(block_forward)(run->block, net->theta, from, to);
    NET(block_point)(run->block, 0, x);
    for (int lane = 1; lane < BEAM_LANES; lane++) {
        NET(block_point)(run->block, lane, y);
        g.rounding = fmax(g.rounding, distance(n, y, x));
    }
    NET(single_start)(run->single, s->spare.x);
    NET(single_forward)(run->single, net->columns, from, to);
    NET(single_point)(run->single, y);
    g.apart = distance(n, y, x);
    free(x);
    free(y);
    return g;
}

static void load(test_random *random, const runner *run, beam_solver *s, const beam_ideal *ideal,
                 double tradeoff)
{
    const int n = s->problem.rows * s->problem.stride;
    double *x = test_memory((size_t)n * sizeof *x);
    const beam_preference u = beam_preference_from_tradeoff(tradeoff);
    const beam_net_shape shape = beam_net_shape_of(&s->problem);
    NET(block_begin)(run->block, &shape);
    NET(block_scene)(run->block, 0, &s->problem, s->sensing, ideal);
    NET(single_scene)(run->single, &s->problem, s->sensing, ideal);
    NET(block_preference)(run->block, 0, u);
    NET(single_preference)(run->single, u);
    beam_classical_compose(&s->problem, s->unit, beam_net_start_share(tradeoff), s->spare.x);
    NET(block_start)(run->block, 0, s->spare.x);
    NET(block_fill)(run->block, 1);
    for (int lane = 1; lane < BEAM_LANES; lane++) {
        for (int i = 0; i < n; i++) {
            x[i] = s->spare.x[i] * (1 + unit * (2 * test_random_uniform(random) - 1));
        }
        NET(block_start)(run->block, lane, x);
    }
    free(x);
}

static void check(test_random *random, const runner *run, const network *net, const beam_dims *dims,
                  uint64_t seed)
{
    static const double radii[] = {0, 0.05, 0.1, 0.3};
    beam_ideal ideal;
    beam_solver *s = solver_new(random, dims, radii[test_random_int(random, 0, 3)], &ideal);
    const double draw = test_random_uniform(random);
    load(random, run, s, &ideal, draw < 0.1 ? 0 : draw > 0.9 ? 1 : draw);
    assert_true(NET(single_serves)(&net->arch, &s->problem));
    const int first = test_random_int(random, 0, LAYERS - 1);
    for (int to = 1; to <= LAYERS + 1; to++) { /* the last: some layers from the end */
        const gap g =
            to <= LAYERS ? compare(run, net, s, 0, to) : compare(run, net, s, first, LAYERS);
        const double allowed = fmax(tolerance, amplified * g.rounding);
        if (!(g.apart <= allowed)) {
            fail_msg("seed %llu: L %d N %d U %d J %d, %d layers: apart by %g, roundings by %g",
                     (unsigned long long)seed, dims->stations, dims->antennas, dims->users,
                     dims->targets, to, g.apart, g.rounding);
        }
        exceptions += g.apart > tolerance;
        comparisons++;
    }
    test_solver_free(s);
}

/* One pair of objects for all shapes: nothing may be left of the last one. */
static void check_all(int width, uint64_t seed, int scenes)
{
    const beam_dims largest = {.stations = 8, .antennas = 8, .users = 10, .targets = 4};
    test_random random = test_random_new(seed);
    network net = network_new(&random, width);
    const size_t single_size = NET(single_memsize)(&net.arch, &largest),
                 block_size = NET(block_memsize)(&net.arch, &largest, false);
    void *single = test_memory(single_size), *block = test_memory(block_size);
    memset(single, 0xa5, single_size); /* init must not rely on what was there */
    memset(block, 0xa5, block_size);
    const runner run = {NET(single_init)(&net.arch, &largest, single),
                        NET(block_init)(&net.arch, &largest, false, block)};
    for (int i = 0; i < scenes; i++) {
        const beam_dims dims = {.stations = test_random_int(&random, 1, 8),
                                .antennas = test_random_int(&random, 2, 8),
                                .users = test_random_int(&random, 0, 10),
                                .targets = test_random_int(&random, 1, 4)};
        check(&random, &run, &net, &dims, seed + (uint64_t)i);
    }
    free(single);
    free(block);
    network_free(&net);
}

static void test_points_of_the_block(void **state)
{
    (void)state;
    check_all(32, 100, 150);
}

static void test_other_widths(void **state)
{
    (void)state;
    check_all(7, 1000, 60); /* less than a vector */
    check_all(21, 2000, 60);
    check_all(64, 3000, 40);
}

static void test_named_shapes(void **state)
{
    (void)state;
    const beam_dims shapes[] = {
        {.stations = 3, .antennas = 5, .users = 3, .targets = 2},  /* the paper's */
        {.stations = 3, .antennas = 4, .users = 0, .targets = 2},  /* no users */
        {.stations = 2, .antennas = 2, .users = 8, .targets = 1},  /* overload */
        {.stations = 8, .antennas = 4, .users = 2, .targets = 3},  /* stations without users */
        {.stations = 1, .antennas = 4, .users = 3, .targets = 1},  /* no position to be had */
        {.stations = 8, .antennas = 16, .users = 16, .targets = 4} /* all lanes */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        test_random random = test_random_new(50 + i);
        network net = network_new(&random, 32);
        void *single = test_memory(NET(single_memsize)(&net.arch, &shapes[i])),
             *block = test_memory(NET(block_memsize)(&net.arch, &shapes[i], false));
        const runner run = {NET(single_init)(&net.arch, &shapes[i], single),
                            NET(block_init)(&net.arch, &shapes[i], false, block)};
        for (int k = 0; k < 4; k++) {
            check(&random, &run, &net, &shapes[i], 50 + i);
        }
        free(single);
        free(block);
        network_free(&net);
    }
}

/* Same bits whatever ran before. */
static void test_nothing_is_left_of_the_last_scene(void **state)
{
    (void)state;
    const beam_dims dims = {.stations = 3, .antennas = 5, .users = 3, .targets = 2},
                    other = {.stations = 7, .antennas = 8, .users = 9, .targets = 4};
    test_random random = test_random_new(11);
    network net = network_new(&random, 32);
    void *memory = test_memory(NET(single_memsize)(&net.arch, &other));
    NET(single) *single = NET(single_init)(&net.arch, &other, memory);
    beam_ideal ideal[2];
    beam_solver *s[2] = {solver_new(&random, &dims, 0.1, &ideal[0]),
                         solver_new(&random, &other, 0.1, &ideal[1])};
    const size_t n = (size_t)(s[0]->problem.rows * s[0]->problem.stride);
    double *x[3];
    for (int i = 0; i < 3; i++) { /* the first again after the other */
        beam_solver *now = s[i % 2];
        x[i] = test_memory((size_t)(now->problem.rows * now->problem.stride) * sizeof(double));
        beam_classical_compose(&now->problem, now->unit, 0.5, now->spare.x);
        NET(single_scene)(single, &now->problem, now->sensing, &ideal[i % 2]);
        NET(single_preference)(single, beam_preference_from_tradeoff(0.5));
        NET(single_start)(single, now->spare.x);
        NET(single_forward)(single, net.columns, 0, LAYERS);
        NET(single_point)(single, x[i]);
    }
    assert_memory_equal(x[0], x[2], n * sizeof(double));
    for (int i = 0; i < 3; i++) {
        free(x[i]);
    }
    test_solver_free(s[0]);
    test_solver_free(s[1]);
    free(memory);
    network_free(&net);
}

static void test_what_is_not_served(void **state)
{
    (void)state;
    const beam_dims nine = {.stations = 9, .antennas = 2, .users = 2, .targets = 1};
    test_random random = test_random_new(1);
    beam_ideal ideal;
    beam_solver *s = solver_new(&random, &nine, 0.1, &ideal);
    const beam_net_arch any = {.kind = BEAM_NET_EQUIVARIANT, .layers = 1, .width = 8},
                        mlp = {.kind = BEAM_NET_MLP, .layers = 1, .width = 8};
    assert_false(NET(single_serves)(&any, &s->problem));
    s->problem.L = 8;
    assert_true(NET(single_serves)(&any, &s->problem));
    assert_false(NET(single_serves)(&mlp, &s->problem));
    s->problem.L = 9;
    assert_int_equal(NET(single_memsize)(&mlp, &nine), 0);
    assert_int_equal(NET(single_columns)(&mlp), 0);
    test_solver_free(s);
}

static void test_hardly_any_was_an_exception(void **state)
{
    (void)state;
    print_message("%d of %d comparisons beyond %g\n", exceptions, comparisons, tolerance);
    assert_true(comparisons > 1000);
    assert_true(exceptions * 100 <= comparisons);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_of_the_block),
        cmocka_unit_test(test_other_widths),
        cmocka_unit_test(test_named_shapes),
        cmocka_unit_test(test_nothing_is_left_of_the_last_scene),
        cmocka_unit_test(test_what_is_not_served),
        cmocka_unit_test(test_hardly_any_was_an_exception),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
