/* What the check and the refinement stand on: bounds that are bounds, and a preconditioner that
 * inverts what it says. */
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
#include "model/row.h"
#include "network/check.h"

/* What a bound rules out is no better anywhere along the curve. */
static void test_bound_of_the_classical_designs(void **state)
{
    (void)state;
    enum { SHARES = 41 };
    int used = 0;
    for (uint64_t seed = 400000; seed < 400400; seed++) {
        test_network_case c = test_network_case_new(seed);
        beam_solver *s = c.solver;
        for (int i = 0; i <= 4; i++) {
            const beam_preference u = beam_preference_from_tradeoff(0.25 * i);
            double best = INFINITY;
            for (int k = 0; k < SHARES; k++) {
                const double share = pow(sin(M_PI_2 * k / (SHARES - 1)), 2);
                beam_classical_compose(&s->problem, s->unit, share, s->spare.x);
                if (beam_solver_measure(s, &s->spare)) {
                    best = fmin(best, beam_solver_point_merit(s, u, &s->spare));
                }
            }
            for (int k = 1; k <= 6 && isfinite(best); k++) {
                const double target = best - fabs(best) * (k < 6 ? pow(0.2, k) : 0);
                const double bound = beam_check_classical_bound(s, u, target);
                used += bound >= target && k < 6;
                if (!(bound <= best + 1e-9 * (1 + fabs(best)))) {
                    fail_msg("scene %llu, preference %d: bound %.12g, design %.12g",
                             (unsigned long long)seed, i, bound, best);
                }
            }
        }
        test_network_case_free(&c);
    }
    assert_true(used > 1000);
}

/* The rate at the adversary's errors is above the exact worst case, and mostly near it. */
static void test_adversary_is_admissible(void **state)
{
    (void)state;
    double near = 0, far = 0;
    for (uint64_t seed = 500000; seed < 500500; seed++) {
        test_network_case c = test_network_case_new(seed);
        beam_solver *s = c.solver;
        test_random random = test_random_new(seed);
        beam_design *design = test_random_design(&random, c.scene, -1);
        beam_rate_cut cut;
        beam_arena count = {NULL, 0};
        beam_rate_cut_carve(&cut, &count, s->problem.U);
        void *memory = test_memory(count.used);
        beam_arena arena = {memory, 0};
        beam_rate_cut_carve(&cut, &arena, s->problem.U);
        assert_true(beam_solver_import_warm(s, design, s->spare.x));
        const bool measured = beam_solver_measure(s, &s->spare);
        assert_true(measured);
        for (int steps = 1; steps <= 4; steps++) {
            beam_rate_cut_make(&cut, &s->problem, s->spare.x, 1, 1, steps);
            for (int u = 0; u < s->problem.U; u++) {
                const double exact = s->robust.sinr[u], bound = beam_rate_cut_sinr(&cut, u, 1, 1);
                if (!(bound >= exact * (1 - 1e-9))) {
                    fail_msg("scene %llu user %d: bound %.12g, exact %.12g",
                             (unsigned long long)seed, u, bound, exact);
                }
                near += steps == 4 && log1p(bound) <= 1.05 * log1p(exact) + 1e-9;
                far += steps == 4;
            }
        }
        free(memory);
        test_design_free(design);
        test_network_case_free(&c);
    }
    assert_true(near > 0.9 * far);
}

/* What the preconditioner inverts is sum_u w_u (h h^H + eps^2/D I) + mu I. */
static void test_curvature_is_inverted(void **state)
{
    (void)state;
    int made = 0;
    for (uint64_t seed = 900000; seed < 900100; seed++) {
        test_network_case c = test_network_case_new(seed);
        beam_solver *s = c.solver;
        beam_problem *p = &s->problem;
        const size_t n = (size_t)beam_objective_size(p);
        double *x = test_memory(n * sizeof *x), *y = test_memory(n * sizeof *y);
        test_random random = test_random_new(seed);
        beam_classical_compose(p, s->unit, 0.5, s->spare.x);
        s->robust.warm = 0;
        const bool usable = p->U > 0 && isfinite(beam_robust_smooth(&s->robust, s->spare.x, 0.1)) &&
                            beam_curvature_make(&s->curvature, &s->robust);
        made += usable;
        for (int l = 0; usable && l < p->L; l++) {
            double w[BEAM_MAX_USERS], isotropic = 0, mean = 0;
            for (int u = 0; u < p->U; u++) {
                const size_t at = beam_robust_at(&s->robust, l, u);
                const double sinr = s->robust.sinr[u];
                w[u] = p->weight[u] * sinr / (1 + sinr) / s->robust.den[u];
                isotropic += w[u] * p->eps[at] * p->eps[at] / p->D;
                mean += w[u] * p->hnorm2[at] / p->D;
            }
            /* the slack's scale is the mean eigenvalue before the ridge, and the ridge */
            const double diagonal = s->curvature.slack[l] - mean - isotropic;
            assert_true(diagonal >= isotropic * (1 - 1e-9));
            for (size_t i = 0; i < n; i++) {
                x[i] = y[i] = 0;
            }
            double *row = x + (size_t)p->first[l] * (size_t)p->stride,
                   *image = y + (size_t)p->first[l] * (size_t)p->stride;
            for (int i = 0; i < p->D && p->first[l + 1] > p->first[l]; i++) {
                row[i] = test_random_normal(&random);
                row[p->Dp + i] = test_random_normal(&random);
            }
            if (p->first[l + 1] == p->first[l]) {
                continue;
            }
            beam_row_add(p->stride, diagonal, row, image);
            for (int u = 0; u < p->U; u++) {
                const double *h = p->h + beam_robust_at(&s->robust, l, u) * (size_t)p->stride;
                double re, im;
                beam_row_dot(p->Dp, h, row, &re, &im);
                beam_row_axpy(p->Dp, w[u] * re, w[u] * im, h, image);
            }
            beam_curvature_apply(&s->curvature, y);
            for (size_t i = 0; i < n; i++) {
                if (!(fabs(y[i] - x[i]) <= 1e-8)) {
                    fail_msg("scene %llu station %d: %.12g, not %.12g", (unsigned long long)seed, l,
                             y[i], x[i]);
                }
            }
        }
        free(x);
        free(y);
        test_network_case_free(&c);
    }
    assert_true(made > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adversary_is_admissible),
        cmocka_unit_test(test_bound_of_the_classical_designs),
        cmocka_unit_test(test_curvature_is_inverted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
