/* The differentiable forms of the worst case (smoothed dual, closed-form bounds) and the objective
 * that the default solver descends: values against the exact worst case, gradients against central
 * differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "common/reduced.h"
#include "model/row.h"
#include "solver/objective.h"

enum { SCENES = 40 };

typedef struct fixture {
    beam_scene *scene;
    beam_design *design;
    test_reduced *r;
    test_random random;
    double weights[BEAM_MAX_USERS]; /* random, positive: d / d rate_u */
} fixture;

static fixture open_fixture(uint64_t seed)
{
    fixture f = {.random = test_random_new(seed)};
    beam_dims dims = test_random_dims(&f.random, true);
    dims.users = dims.users > 0 ? dims.users : 1;
    f.scene = test_random_scene(&f.random, &dims, 0.1);
    f.design = test_random_design(&f.random, f.scene, -1);
    f.r = test_reduced_new(f.scene, beam_design_sensing_max(&dims), true);
    (void)test_reduced_run(f.r, f.scene, f.design);
    for (int u = 0; u < dims.users; u++) {
        f.weights[u] = test_random_between(&f.random, 0.2, 2.0);
    }
    return f;
}

static void close_fixture(fixture *f)
{
    test_reduced_free(f->r);
    test_design_free(f->design);
    test_scene_free(f->scene);
}

/* Value and gradient of one form at a point; g may be NULL. */
typedef double form(fixture *f, const double *x, double *g, double m);

static double weighted(const fixture *f)
{
    double sum = 0.0;
    for (int u = 0; u < f->scene->dims.users; u++) {
        sum += f->weights[u] * f->r->robust.rate[u];
    }
    return sum;
}

static double smooth_form(fixture *f, const double *x, double *g, double m)
{
    f->r->robust.warm = 0;
    assert_true(isfinite(beam_robust_smooth(&f->r->robust, x, m)));
    if (g) {
        beam_robust_smooth_gradient(&f->r->robust, x, f->weights, g);
    }
    return weighted(f);
}

static double bound_form(fixture *f, const double *x, double *g, double m)
{
    (void)m;
    (void)beam_robust_bound(&f->r->robust, x);
    if (g) {
        beam_robust_bound_gradient(&f->r->robust, x, f->weights, g);
    }
    return weighted(f);
}

/* A direction in the coordinates in use, the padding zero. */
static void draw_direction(fixture *f, double *d)
{
    const beam_problem *p = &f->r->problem;
    memset(d, 0, (size_t)f->r->point * sizeof *d);
    for (int i = 0; i < p->rows; i++) {
        for (int k = 0; k < p->D; k++) {
            d[i * p->stride + k] = test_random_normal(&f->random);
            d[i * p->stride + p->Dp + k] = test_random_normal(&f->random);
        }
    }
}

static void check_gradient(fixture *f, form *value, double m, uint64_t seed)
{
    const int n = f->r->problem.rows * f->r->problem.stride;
    const size_t bytes = (size_t)f->r->point * sizeof(double);
    double *g = test_memory(bytes), *d = test_memory(bytes), *x = test_memory(bytes);
    memset(g, 0, bytes);
    draw_direction(f, d);
    (void)value(f, f->r->x, g, m);
    const double norm = sqrt(beam_row_norm2(n, d)), slope = beam_row_inner(n, g, d) / norm;
    const double size = sqrt(beam_row_norm2(n, g));
    double error = INFINITY;
    for (double h = 1e-4; h > 1e-7 && error > 1e-6;
         h *= 0.1) { /* curvature above, rounding below */
        memcpy(x, f->r->x, bytes);
        beam_row_add(n, h / norm, d, x);
        const double up = value(f, x, NULL, m);
        memcpy(x, f->r->x, bytes);
        beam_row_add(n, -h / norm, d, x);
        error = fmin(error, fabs((up - value(f, x, NULL, m)) / (2.0 * h) - slope) / (size + 1e-12));
    }
    if (!(error <= 1e-6)) {
        fail_msg("seed %llu, m %g: gradient off by %g of its norm", (unsigned long long)seed, m,
                 error);
    }
    free(g);
    free(d);
    free(x);
}

static void test_the_smoothed_gradient_is_that_of_its_value(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SCENES; seed++) {
        fixture f = open_fixture(seed);
        for (double m = 2.0; m > 0.02; m *= 0.3) {
            check_gradient(&f, smooth_form, m, seed);
        }
        close_fixture(&f);
    }
}

static void test_the_bound_gradient_is_that_of_its_value(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SCENES; seed++) {
        fixture f = open_fixture(seed);
        check_gradient(&f, bound_form, 0.0, seed);
        close_fixture(&f);
    }
}

static void test_the_smoothed_rates_tend_to_the_exact_ones(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SCENES; seed++) {
        fixture f = open_fixture(seed);
        const int U = f.scene->dims.users;
        double exact[BEAM_MAX_USERS];
        (void)beam_robust_exact(&f.r->robust, f.r->x);
        memcpy(exact, f.r->robust.rate, sizeof exact);
        (void)smooth_form(&f, f.r->x, NULL, 1e-3);
        for (int u = 0; u < U; u++) {
            assert_true(fabs(f.r->robust.rate[u] - exact[u]) <= 1e-4 * (1.0 + exact[u]));
        }
        close_fixture(&f);
    }
}

static void test_smoothed_interference_is_never_below_the_exact(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SCENES; seed++) {
        fixture f = open_fixture(seed);
        const int links = f.scene->dims.users * f.scene->dims.stations;
        double *exact = test_memory((size_t)links * sizeof *exact);
        (void)beam_robust_exact(&f.r->robust, f.r->x);
        memcpy(exact, f.r->robust.cross, (size_t)links * sizeof *exact);
        (void)smooth_form(&f, f.r->x, NULL, 0.5);
        for (int k = 0; k < links; k++) {
            assert_true(f.r->robust.cross[k] >= exact[k] * (1.0 - 1e-9));
        }
        free(exact);
        close_fixture(&f);
    }
}

static void test_the_bound_never_promises_more_than_the_exact_rate(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SCENES; seed++) {
        fixture f = open_fixture(seed);
        double exact[BEAM_MAX_USERS];
        (void)beam_robust_exact(&f.r->robust, f.r->x);
        memcpy(exact, f.r->robust.rate, sizeof exact);
        (void)bound_form(&f, f.r->x, NULL, 0.0);
        for (int u = 0; u < f.scene->dims.users; u++) {
            assert_true(f.r->robust.rate[u] <= exact[u] * (1.0 + 1e-9) + 1e-12);
        }
        close_fixture(&f);
    }
}

/* Tchebycheff, minimum rates and the retraction together, slacks included. */
static void test_the_objective_gradient_is_that_of_its_value(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SCENES; seed++) {
        fixture f = open_fixture(seed);
        beam_problem *p = &f.r->problem;
        beam_objective o;
        beam_arena arena = {NULL, 0};
        beam_objective_carve(&o, &arena, &f.scene->dims, p->D, p->r);
        void *memory = test_memory(arena.used);
        arena = (beam_arena){memory, 0};
        beam_objective_carve(&o, &arena, &f.scene->dims, p->D, p->r);
        o.p = p;
        o.rb = &f.r->robust;
        o.goal = BEAM_GOAL_TCHEBYCHEFF;
        o.ideal = (beam_ideal){10.0, 1e-3};
        o.smoothing = 0.3;
        o.temperature = 0.5; /* both losses count */
        o.p1 = 0.3;
        o.p2 = 0.7;
        o.floor_penalty = 3.0;
        beam_objective_set_preference(&o, beam_preference_from_tradeoff(0.4));
        for (int u = 0; u < p->U; u++) {
            p->min_rate[u] = 2.0 * (double)(u % 2); /* missed by some, absent for others */
        }
        const int n = beam_objective_size(p), point = p->rows * p->stride;
        const size_t bytes = (size_t)n * sizeof(double);
        double *y = test_memory(bytes), *z = test_memory(bytes), *d = test_memory(bytes),
               *g = test_memory(bytes), *ignored = test_memory(bytes);
        memset(d, 0, bytes);
        draw_direction(&f, f.r->scratch);
        memcpy(d, f.r->scratch, (size_t)point * sizeof *d);
        for (int l = 0; l < p->L; l++) {
            d[point + l] = test_random_normal(&f.random);
        }
        beam_objective_encode(&o, f.r->x, y);
        beam_row_scale(n, 1.7, y); /* the same point, but the retraction's factor is not 1 */
        const double here = beam_objective_value(&o, y, g);
        assert_true(isfinite(here));
        const double norm = sqrt(beam_row_norm2(n, d)), slope = beam_row_inner(n, g, d) / norm;
        double error = INFINITY;
        for (double h = 1e-4; h > 1e-7 && error > 1e-6; h *= 0.1) {
            memcpy(z, y, bytes);
            beam_row_add(n, h / norm, d, z);
            const double up = beam_objective_value(&o, z, ignored);
            memcpy(z, y, bytes);
            beam_row_add(n, -h / norm, d, z);
            const double down = beam_objective_value(&o, z, ignored);
            error = fmin(error, fabs((up - down) / (2.0 * h) - slope) /
                                    (sqrt(beam_row_norm2(n, g)) + 1e-12));
        }
        if (!(error <= 1e-6)) {
            fail_msg("seed %llu: gradient off by %g of its norm", (unsigned long long)seed, error);
        }
        free(y);
        free(z);
        free(d);
        free(g);
        free(ignored);
        free(memory);
        close_fixture(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_smoothed_gradient_is_that_of_its_value),
        cmocka_unit_test(test_the_bound_gradient_is_that_of_its_value),
        cmocka_unit_test(test_the_smoothed_rates_tend_to_the_exact_ones),
        cmocka_unit_test(test_smoothed_interference_is_never_below_the_exact),
        cmocka_unit_test(test_the_bound_never_promises_more_than_the_exact_rate),
        cmocka_unit_test(test_the_objective_gradient_is_that_of_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
