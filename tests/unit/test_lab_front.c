/* Choosing the points of a front: against every possible choice where there are few. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "lab/front.h"
#include "lab/hypervolume.h"

enum { MOST = 12 };

static double area(const double (*losses)[2], const int *chosen, int points)
{
    lab_point scaled[MOST];
    for (int k = 0; k < points; k++) {
        scaled[k] = (lab_point){losses[chosen[k]][0], losses[chosen[k]][1]};
    }
    return lab_points_area(scaled, lab_points_prune(scaled, points, -10));
}

/* The best area of `points` of `count` with both ends (first and last index here). */
static double best_area(const double (*losses)[2], int count, int points)
{
    double best = 0;
    for (unsigned set = 0; set < 1u << count; set++) {
        int chosen[MOST], n = 0;
        for (int i = 0; i < count; i++) {
            if (set >> i & 1u) {
                chosen[n++] = i;
            }
        }
        if (n == points && (set & 1u) && (set >> (count - 1) & 1u)) {
            best = fmax(best, area(losses, chosen, points));
        }
    }
    return best;
}

static void check_choice(const double *tradeoffs, const int *chosen, int count, int points)
{
    assert_true(tradeoffs[chosen[0]] == tradeoffs[0]);
    assert_true(tradeoffs[chosen[points - 1]] == tradeoffs[count - 1]);
    for (int k = 0; k < points; k++) {
        assert_in_range(chosen[k], 0, count - 1);
        assert_true(k == 0 || tradeoffs[chosen[k]] >= tradeoffs[chosen[k - 1]]);
        for (int i = 0; i < k; i++) {
            assert_int_not_equal(chosen[k], chosen[i]);
        }
    }
}

static void test_choice_is_nearly_the_best(void **state)
{
    (void)state;
    beam_error err;
    double sum = 0, sum_best = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        test_random random = test_random_new(seed);
        double losses[MOST][2], tradeoffs[MOST];
        const int count = test_random_int(&random, 2, MOST);
        const int points = test_random_int(&random, 2, count);
        int chosen[MOST];
        for (int i = 0; i < count; i++) { /* a noisy front; some dominated, some outside the box */
            tradeoffs[i] = count > 1 ? (double)i / (count - 1) : 0;
            const double u = tradeoffs[i] + 0.3 * test_random_uniform(&random);
            losses[i][0] = 0.9 * u * u;
            losses[i][1] = 1.1 * (1 - u) * (1 - u) + 0.2 * test_random_uniform(&random);
        }
        assert_int_equal(
            lab_front_choose((const double(*)[2])losses, tradeoffs, count, points, chosen, &err),
            BEAM_OK);
        check_choice(tradeoffs, chosen, count, points);
        const double got = area((const double(*)[2])losses, chosen, points),
                     best = best_area((const double(*)[2])losses, count, points);
        assert_true(got <= best + 1e-12);
        assert_true(got >= 0.8 * best);
        sum += got;
        sum_best += best;
    }
    assert_true(sum > 0.98 * sum_best);
}

/* Nothing good, nothing finite, all the same: still as many as asked for. */
static void test_choice_of_what_there_is(void **state)
{
    (void)state;
    beam_error err;
    const double tradeoffs[5] = {0, 0.25, 0.5, 0.75, 1};
    const double same[5][2] = {{0.5, 0.5}, {0.5, 0.5}, {0.5, 0.5}, {0.5, 0.5}, {0.5, 0.5}};
    const double wild[5][2] = {{INFINITY, 0.5}, {0.5, INFINITY}, {2, 2}, {NAN, 0.1}, {0.9, NAN}};
    int chosen[5];
    for (int points = 2; points <= 5; points++) {
        assert_int_equal(lab_front_choose(same, tradeoffs, 5, points, chosen, &err), BEAM_OK);
        check_choice(tradeoffs, chosen, 5, points);
        assert_int_equal(lab_front_choose(wild, tradeoffs, 5, points, chosen, &err), BEAM_OK);
        check_choice(tradeoffs, chosen, 5, points);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice_is_nearly_the_best),
        cmocka_unit_test(test_choice_of_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
