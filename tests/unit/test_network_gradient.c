/* The adjoint of the unrolled network against central differences, in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "network/block.h"
#include "solver/solver_internal.h"

typedef struct fixture {
    beam_net_arch arch;
    size_t count;
    double *theta, *theta_bar;
    NET(block) * block;
    beam_net_shape shape;
    int point;
    double *target[BEAM_LANES], *middle[BEAM_LANES]; /* the loss: inner products with these */
} fixture;

static void fill(test_random *random, int n, double *to)
{
    for (int i = 0; i < n; i++) {
        to[i] = test_random_normal(random);
    }
}

static void load_lane(fixture *f, test_random *random, const beam_dims *dims, int lane)
{
    const double radii[] = {0, 0.05, 0.1, 0.2};
    beam_scene *scene = test_random_scene(random, dims, radii[lane % 4]);
    for (int u = 0; u < dims->users; u++) { /* one shape for all lanes */
        scene->user_station[u] = u % dims->stations;
    }
    beam_solver *s = test_solver_new(dims);
    beam_error err;
    test_must(beam_solver_load(s, scene, &err), &err, "load");
    test_must(beam_solver_prepare(s, &err), &err, "prepare");
    test_must(beam_solver_compute_sensing_end(s, &err), &err, "sensing end");
    const beam_ideal ideal = {.wsr_ideal_bps_hz = 3.0 + 5 * test_random_uniform(random),
                              .crlb_min_m2 = s->ideal.crlb_min_m2};
    if (lane == 0) {
        f->shape = beam_net_shape_of(&s->problem);
        f->point = s->problem.rows * s->problem.stride;
        NET(block_begin)(f->block, &f->shape);
    }
    const beam_net_shape shape = beam_net_shape_of(&s->problem);
    assert_true(beam_net_shape_equal(&shape, &f->shape));
    NET(block_scene)(f->block, lane, &s->problem, s->sensing, &ideal);
    const double tradeoff = lane / (double)(BEAM_LANES - 1);
    NET(block_preference)(f->block, lane, beam_preference_from_tradeoff(tradeoff));
    beam_classical_compose(&s->problem, s->unit, beam_net_start_share(tradeoff), s->spare.x);
    NET(block_start)(f->block, lane, s->spare.x);
    f->target[lane] = test_memory((size_t)f->point * sizeof(double));
    f->middle[lane] = test_memory((size_t)f->point * sizeof(double));
    fill(random, f->point, f->target[lane]);
    fill(random, f->point, f->middle[lane]);
    test_solver_free(s);
    test_scene_free(scene);
}

static void set_up(fixture *f, test_random *random, const beam_dims *dims)
{
    f->arch = (beam_net_arch){.kind = BEAM_NET_EQUIVARIANT, .layers = 3, .width = 7};
    f->count = beam_net_parameters(&f->arch);
    f->theta = test_memory(f->count * sizeof(double));
    f->theta_bar = test_memory(f->count * sizeof(double));
    NET(block_initialise)(&f->arch, 7, f->theta);
    for (size_t i = 0; i < f->count; i++) { /* everything takes part */
        f->theta[i] += 0.1 * test_random_normal(random);
    }
    void *memory = test_memory(NET(block_memsize)(&f->arch, dims, true));
    f->block = NET(block_init)(&f->arch, dims, true, memory);
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        load_lane(f, random, dims, lane);
    }
}

static void tear_down(fixture *f)
{
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        free(f->target[lane]);
        free(f->middle[lane]);
    }
    free(f->theta);
    free(f->theta_bar);
    free(f->block);
}

/* sum over lanes of <target, last point> + <middle, point after two layers> */
static double loss(fixture *f, int from)
{
    double *x = test_memory((size_t)f->point * sizeof(double)), sum = 0;
    NET(block_forward)(f->block, f->theta, from, f->arch.layers);
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        NET(block_point)(f->block, lane, x);
        for (int i = 0; i < f->point; i++) {
            sum += f->target[lane][i] * x[i];
        }
        NET(block_state)(f->block, lane, 2, x);
        for (int i = 0; i < f->point; i++) {
            sum += f->middle[lane][i] * x[i];
        }
    }
    free(x);
    return sum;
}

static void check(uint64_t seed, const beam_dims *dims, int from)
{
    test_random random = test_random_new(seed);
    fixture f = {.theta = NULL};
    set_up(&f, &random, dims);
    (void)loss(&f, from);
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        NET(block_adjoint)(f.block, lane, f.arch.layers, f.target[lane]);
        NET(block_adjoint)(f.block, lane, 2, f.middle[lane]);
    }
    memset(f.theta_bar, 0, f.count * sizeof(double));
    NET(block_backward)(f.block, f.theta, from, f.arch.layers, f.theta_bar);
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
        const double up = loss(&f, from);
        f.theta[i] = theta - h;
        const double down = loss(&f, from);
        f.theta[i] = theta;
        const double error =
            fabs((up - down) / (2 * h) - f.theta_bar[i]) / (fabs(f.theta_bar[i]) + norm);
        if (!(error <= worst)) {
            worst = error;
            at = i;
        }
    }
    if (!(worst < 1e-4)) {
        fail_msg("seed %llu: parameter %zu of %zu off by %g", (unsigned long long)seed, at, f.count,
                 worst);
    }
    tear_down(&f);
}

static void test_paper_size(void **state)
{
    (void)state;
    const beam_dims dims = {.stations = 3, .antennas = 5, .users = 3, .targets = 2};
    check(1, &dims, 0);
    check(2, &dims, 1);
}

static void test_other_sizes(void **state)
{
    (void)state;
    const beam_dims uneven = {.stations = 2, .antennas = 4, .users = 5, .targets = 3};
    check(3, &uneven, 0);
    const beam_dims overload = {.stations = 2, .antennas = 2, .users = 4, .targets = 1};
    check(4, &overload, 0);
    const beam_dims silent = {.stations = 3, .antennas = 4, .users = 0, .targets = 2};
    check(5, &silent, 0);
    const beam_dims one = {.stations = 4, .antennas = 3, .users = 1, .targets = 1};
    check(6, &one, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_paper_size),
                                       cmocka_unit_test(test_other_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
