/* The direction problem's solver: least-norm point of a hull from its Gram matrix, against brute
 * force over all faces, by its optimality conditions, and on every kind of degenerate hull. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "solver/min_norm.h"

enum { DIM_MAX = 60 };

static void gram_of(int n, int dim, double row[][DIM_MAX], double *gram)
{
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < dim; k++) {
                sum += row[i][k] * row[j][k];
            }
            gram[i * n + j] = sum;
        }
    }
}

/* Solves the m x m system in place by Gaussian elimination with pivoting; 0 when singular. */
static int solve(int m, double a[][16], double *b)
{
    for (int i = 0; i < m; i++) {
        int pivot = i;
        for (int k = i + 1; k < m; k++) {
            pivot = fabs(a[k][i]) > fabs(a[pivot][i]) ? k : pivot;
        }
        if (fabs(a[pivot][i]) < 1e-9) {
            return 0;
        }
        for (int k = 0; k < m; k++) {
            const double t = a[i][k];
            a[i][k] = a[pivot][k];
            a[pivot][k] = t;
        }
        const double t = b[i];
        b[i] = b[pivot];
        b[pivot] = t;
        for (int k = 0; k < m; k++) {
            if (k != i) {
                const double f = a[k][i] / a[i][i];
                for (int c = 0; c < m; c++) {
                    a[k][c] -= f * a[i][c];
                }
                b[k] -= f * b[i];
            }
        }
    }
    for (int i = 0; i < m; i++) {
        b[i] /= a[i][i];
    }
    return 1;
}

/* Least norm over all faces: the affine minimiser of every subset whose weights are not negative.
 */
static double brute_force(int n, const double *gram)
{
    double best = INFINITY;
    for (int set = 1; set < 1 << n; set++) {
        int in[16], m = 0;
        for (int i = 0; i < n; i++) {
            if (set >> i & 1) {
                in[m++] = i;
            }
        }
        double a[16][16] = {{0}}, b[16] = {0};
        for (int i = 0; i < m; i++) { /* [G e; e^T 0] (w, t) = (0, 1) */
            for (int j = 0; j < m; j++) {
                a[i][j] = gram[in[i] * n + in[j]];
            }
            a[i][m] = a[m][i] = 1;
        }
        b[m] = 1;
        if (!solve(m + 1, a, b)) {
            continue;
        }
        double norm2 = 0, least = INFINITY;
        for (int i = 0; i < m; i++) {
            least = fmin(least, b[i]);
            for (int j = 0; j < m; j++) {
                norm2 += b[i] * b[j] * gram[in[i] * n + in[j]];
            }
        }
        best = least >= -1e-12 ? fmin(best, norm2) : best;
    }
    return best;
}

/* lambda in the simplex, and no row improves it: (G lambda)_i >= lambda^T G lambda up to rounding
 * of the terms. */
static void check_optimal(int n, const double *gram, double tolerance)
{
    double lambda[BEAM_MIN_NORM_MAX], sum = 0, norm2 = 0, product[BEAM_MIN_NORM_MAX],
                                      terms[BEAM_MIN_NORM_MAX];
    beam_min_norm_result result;
    assert_int_equal(beam_min_norm(n, gram, lambda, &result), 0);
    for (int i = 0; i < n; i++) {
        assert_true(lambda[i] >= 0);
        sum += lambda[i];
        product[i] = terms[i] = 0;
        for (int j = 0; j < n; j++) {
            product[i] += gram[i * n + j] * lambda[j];
            terms[i] += fabs(gram[i * n + j] * lambda[j]);
        }
    }
    assert_true(fabs(sum - 1) < 1e-12);
    for (int i = 0; i < n; i++) {
        norm2 += lambda[i] * product[i];
    }
    for (int i = 0; i < n; i++) {
        assert_true(product[i] >= norm2 - tolerance * (terms[i] + fabs(norm2)));
    }
    assert_true(fabs(result.norm2 - fmax(norm2, 0)) <=
                1e-12 * (1e-300 + terms[0] + fabs(norm2)) + 1e-300);
}

static void equals_brute_force_over_all_faces(void **state)
{
    (void)state;
    test_random random = test_random_new(11);
    for (int trial = 0; trial < 400; trial++) {
        const int n = test_random_int(&random, 1, 7), dim = test_random_int(&random, 1, 9);
        static double row[16][DIM_MAX];
        double gram[16 * 16], lambda[16];
        const double away = test_random_between(&random, 0, 2);
        for (int i = 0; i < n; i++) {
            for (int k = 0; k < dim; k++) {
                row[i][k] = test_random_normal(&random) + (k == 0 ? away : 0);
            }
        }
        gram_of(n, dim, row, gram);
        beam_min_norm_result result;
        assert_int_equal(beam_min_norm(n, gram, lambda, &result), 0);
        const double expected = brute_force(n, gram);
        assert_true(fabs(result.norm2 - expected) <= 1e-9 * (1 + expected));
        assert_true(result.gap <= 1e-12 * (1 + expected));
        check_optimal(n, gram, 1e-11);
    }
}

static void meets_its_optimality_conditions_with_many_rows(void **state)
{
    (void)state;
    test_random random = test_random_new(12);
    for (int trial = 0; trial < 60; trial++) {
        static double row[BEAM_MIN_NORM_MAX][DIM_MAX];
        static double gram[BEAM_MIN_NORM_MAX * BEAM_MIN_NORM_MAX];
        const int n = test_random_int(&random, 8, BEAM_MIN_NORM_MAX),
                  dim = test_random_int(&random, 2, DIM_MAX);
        const double away = test_random_between(&random, 0, 3);
        for (int i = 0; i < n; i++) {
            for (int k = 0; k < dim; k++) {
                row[i][k] = test_random_normal(&random) + (k == 0 ? away : 0);
            }
        }
        gram_of(n, dim, row, gram);
        check_optimal(n, gram, 1e-11);
    }
}

static void survives_rows_of_very_different_length(void **state)
{
    (void)state;
    test_random random = test_random_new(13);
    for (int trial = 0; trial < 100; trial++) {
        static double row[BEAM_MIN_NORM_MAX][DIM_MAX];
        static double gram[BEAM_MIN_NORM_MAX * BEAM_MIN_NORM_MAX];
        const int n = test_random_int(&random, 2, 8), dim = 40;
        for (int i = 0; i < n; i++) {
            const double size = pow(10, test_random_between(&random, -3, 9));
            for (int k = 0; k < dim; k++) {
                row[i][k] = size * test_random_normal(&random);
            }
        }
        gram_of(n, dim, row, gram);
        check_optimal(n, gram, 1e-9);
    }
    /* objective, objective, a plane a billion times longer that opposes both: seen on a golden
     * scene */
    double gram[9] = {0.92, 0.1, -1e8, 0.1, 0.75, -1e8, -1e8, -1e8, 2.5e18};
    check_optimal(3, gram, 1e-9);
    double lambda[3];
    beam_min_norm_result result;
    assert_int_equal(beam_min_norm(3, gram, lambda, &result), 0);
    assert_true(lambda[2] > 0 && lambda[2] < 1e-9);
    for (int i = 0; i < 3; i++) { /* -d descends along every row */
        assert_true(gram[3 * i] * lambda[0] + gram[3 * i + 1] * lambda[1] +
                        gram[3 * i + 2] * lambda[2] >
                    0);
    }
}

static void degenerate_hulls(void **state)
{
    (void)state;
    double lambda[4];
    beam_min_norm_result result;
    const double zero[4] = {0, 0, 0, 0};
    assert_int_equal(beam_min_norm(2, zero, lambda, &result), 0);
    assert_true(result.norm2 == 0 && fabs(lambda[0] + lambda[1] - 1) < 1e-15);

    const double one[1] = {4};
    assert_int_equal(beam_min_norm(1, one, lambda, &result), 0);
    assert_true(result.norm2 == 4 && lambda[0] == 1);

    const double opposite[4] = {1, -2, -2, 4}; /* g and -2g: the origin is in the hull */
    assert_int_equal(beam_min_norm(2, opposite, lambda, &result), 0);
    assert_true(result.norm2 < 1e-15);
    assert_true(fabs(lambda[0] - 2. / 3) < 1e-12);

    const double twice[9] = {1, 1, 0, 1, 1, 0, 0, 0, 1}; /* a repeated row */
    assert_int_equal(beam_min_norm(3, twice, lambda, &result), 0);
    assert_true(fabs(result.norm2 - 0.5) < 1e-14);
    assert_true(fabs(lambda[2] - 0.5) < 1e-14);

    const double parallel[4] = {1, 3, 3, 9}; /* g and 3g: the shorter one */
    assert_int_equal(beam_min_norm(2, parallel, lambda, &result), 0);
    assert_true(result.norm2 == 1 && lambda[0] == 1);

    const double with_zero[9] = {1, 0.5, 0, 0.5, 1, 0, 0, 0, 0};
    assert_int_equal(beam_min_norm(3, with_zero, lambda, &result), 0);
    assert_true(result.norm2 == 0 && lambda[2] == 1);

    /* four corners of a square around the origin: affinely dependent */
    const double square[16] = {2, 0, -2, 0, 0, 2, 0, -2, -2, 0, 2, 0, 0, -2, 0, 2};
    assert_int_equal(beam_min_norm(4, square, lambda, &result), 0);
    assert_true(result.norm2 < 1e-14);
}

static void refuses_what_it_cannot_take(void **state)
{
    (void)state;
    static double gram[(BEAM_MIN_NORM_MAX + 1) * (BEAM_MIN_NORM_MAX + 1)];
    double lambda[BEAM_MIN_NORM_MAX + 1];
    beam_min_norm_result result;
    lambda[0] = 7;
    assert_int_equal(beam_min_norm(0, gram, lambda, &result), -1);
    assert_int_equal(beam_min_norm(BEAM_MIN_NORM_MAX + 1, gram, lambda, &result), -1);
    gram[1] = NAN;
    assert_int_equal(beam_min_norm(2, gram, lambda, &result), -1);
    gram[1] = INFINITY;
    assert_int_equal(beam_min_norm(2, gram, lambda, &result), -1);
    assert_true(lambda[0] == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_brute_force_over_all_faces),
        cmocka_unit_test(meets_its_optimality_conditions_with_many_rows),
        cmocka_unit_test(survives_rows_of_very_different_length),
        cmocka_unit_test(degenerate_hulls),
        cmocka_unit_test(refuses_what_it_cannot_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
