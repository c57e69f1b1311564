/* Designs: layout, copying, power, budget; preference, losses and merit (MATH 5). */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"

static const beam_dims dims = {.stations = 3, .antennas = 4, .users = 5, .targets = 3};
static const int station_of[5] = {2, 0, 2, 0, 2}; /* station 1 serves nobody, users interleaved */

static void near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * (fabs(a) + fabs(b)) / 2)) {
        fail_msg("%.17g and %.17g differ", a, b);
    }
}

static beam_design *filled(int columns)
{
    test_random random = test_random_new(3);
    beam_design *d = test_design_new(&dims, columns);
    for (int i = 0; i < dims.users * dims.antennas; i++) {
        d->beams[i] = test_random_complex(&random);
    }
    for (int l = 0; l < dims.stations; l++) {
        d->sensing_count[l] = l < columns ? l : columns; /* 0, 1, 2 */
        for (int k = 0; k < d->sensing_count[l] * dims.antennas; k++) {
            test_sensing(d, l, 0)[k] = test_random_complex(&random);
        }
    }
    return d;
}

static void test_layout(void **state)
{
    (void)state;
    beam_error err = {0};
    beam_design design;
    const beam_dims narrow = {1, 3, 0, 2}, bad = {0, 1, 1, 1};
    assert_int_equal(beam_design_sensing_max(&dims), 4);   /* min(4, 6) */
    assert_int_equal(beam_design_sensing_max(&narrow), 3); /* min(3, 4) */
    assert_int_equal(beam_design_memsize(&bad, 1), 0);
    assert_int_equal(beam_design_memsize(&dims, -1), 0);
    assert_int_equal(beam_design_memsize(&dims, BEAM_MAX_ANTENNAS + 1), 0);
    const size_t size = beam_design_memsize(&dims, 2);
    unsigned char *memory = test_memory(size + 64);
    memset(memory, 0xff, size + 64);
    assert_int_equal(beam_design_init(&design, &bad, 1, memory, size, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "stations");
    assert_int_equal(beam_design_init(&design, &dims, -1, memory, size, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "sensing_max");
    assert_int_equal(beam_design_init(&design, &dims, 2, memory, size - 1, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "memory");
    assert_int_equal(beam_design_init(&design, &dims, 2, memory + 4, size, &err), BEAM_E_INVALID);
    assert_int_equal(beam_design_init(&design, &dims, 2, NULL, size, &err), BEAM_E_INVALID);
    assert_int_equal(beam_design_init(&design, &dims, 2, memory, size, &err), BEAM_OK);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(memory[size + (size_t)i], 0xff);
    }
    for (int i = 0; i < 3 * 2 * 4; i++) {
        assert_true(design.sensing[i].re == 0 && design.sensing[i].im == 0);
    }
    free(memory);
    beam_design *none = test_design_new(&dims, 0); /* no sensing columns at all */
    for (int l = 0; l < 3; l++) {
        assert_true(beam_design_power_w(none, station_of, l) == 0);
    }
    test_design_free(none);
}

static void test_power_counts_own_beams_and_columns_in_use(void **state)
{
    (void)state;
    beam_design *d = filled(3);
    for (int l = 0; l < dims.stations; l++) {
        double sum = 0;
        for (int u = 0; u < dims.users; u++) {
            for (int n = 0; n < dims.antennas && station_of[u] == l; n++) {
                sum += pow(test_beam(d, u)[n].re, 2) + pow(test_beam(d, u)[n].im, 2);
            }
        }
        for (int i = 0; i < d->sensing_count[l] * dims.antennas; i++) {
            sum += pow(test_sensing(d, l, 0)[i].re, 2) + pow(test_sensing(d, l, 0)[i].im, 2);
        }
        test_sensing(d, l, 2)[1].re = 100; /* a column not in use does not count */
        near(beam_design_power_w(d, station_of, l), sum, 1e-14);
    }
    test_design_free(d);
}

static void test_budget_is_met_without_touching_stations_inside(void **state)
{
    (void)state;
    beam_design *d = filled(3);
    double budget[3];
    for (int l = 0; l < 3; l++) {
        budget[l] = beam_design_power_w(d, station_of, l) * (l == 0 ? 0.25 : 2.0);
    }
    beam_design *before = test_design_clone(d);
    beam_design_fit_budget(d, station_of, budget, 1 - 1e-11);
    near(beam_design_power_w(d, station_of, 0), budget[0] * (1 - 1e-11), 1e-14);
    assert_true(beam_design_power_w(d, station_of, 0) <= budget[0]);
    near(test_beam(d, 1)[2].re, 0.5 * test_beam(before, 1)[2].re, 1e-10);
    assert_memory_equal(test_beam(d, 0), test_beam(before, 0), 4 * sizeof(beam_complex));
    assert_memory_equal(test_sensing(d, 2, 0), test_sensing(before, 2, 0),
                        2 * 4 * sizeof(beam_complex));
    test_design_free(d);
    test_design_free(before);
}

static void test_budget_is_met_from_rows_whose_squares_overflow(void **state)
{
    (void)state;
    beam_design *d = filled(3);
    const double budget[3] = {10, 10, 10};
    for (int i = 0; i < 4; i++) {
        test_beam(d, 0)[i].re = DBL_MAX / 2;
        test_beam(d, 2)[i].im = -DBL_MAX;
    }
    assert_true(isinf(beam_design_power_w(d, station_of, 2)));
    beam_design_fit_budget(d, station_of, budget, 1);
    near(beam_design_power_w(d, station_of, 2), 10, 1e-12);
    near(test_beam(d, 2)[1].im, -2 * test_beam(d, 0)[1].re, 1e-12);
    test_design_free(d);
}

static void test_copy(void **state)
{
    (void)state;
    beam_error err = {0};
    beam_design *from = filled(4), *to = test_design_new(&dims, 2);
    const beam_dims other = {3, 4, 4, 3};
    beam_design *wrong = test_design_new(&other, 2);
    memset(to->sensing, 0x11, 3 * 2 * 4 * sizeof(beam_complex));
    assert_int_equal(beam_design_copy(to, from, &err), BEAM_OK); /* 0, 1, 2 columns in use */
    assert_memory_equal(to->beams, from->beams, 5 * 4 * sizeof(beam_complex));
    for (int l = 0; l < 3; l++) {
        assert_int_equal(to->sensing_count[l], from->sensing_count[l]);
        near(beam_design_power_w(to, station_of, l), beam_design_power_w(from, station_of, l),
             1e-15);
        for (int i = to->sensing_count[l] * 4; i < 2 * 4; i++) {
            assert_true(test_sensing(to, l, 0)[i].re == 0); /* the rest is zero */
        }
    }
    from->sensing_count[1] = 3;
    assert_int_equal(beam_design_copy(to, from, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "sensing_count");
    from->sensing_count[1] = -1;
    assert_int_equal(beam_design_copy(to, from, &err), BEAM_E_INVALID);
    from->sensing_count[1] = 1;
    assert_int_equal(beam_design_copy(wrong, from, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "dims");
    test_design_free(from);
    test_design_free(to);
    test_design_free(wrong);
}

static void test_preference(void **state)
{
    (void)state;
    const beam_preference rate = beam_preference_from_tradeoff(0);
    const beam_preference sensing = beam_preference_from_tradeoff(1);
    assert_true(rate.u1 == 0 && rate.u2 == 1);
    assert_true(sensing.u1 == 1 && fabs(sensing.u2) < 1e-15);
    for (int i = 0; i <= 100; i++) {
        const double tau = i / 100.0;
        beam_preference u = beam_preference_from_tradeoff(tau);
        assert_true(fabs(hypot(u.u1, u.u2) - 1) < 1e-15);
        assert_true(fabs(beam_tradeoff_from_preference(u) - tau) < 1e-14);
        u = (beam_preference){7 * u.u1, 7 * u.u2}; /* only the direction counts */
        assert_true(fabs(beam_tradeoff_from_preference(u) - tau) < 1e-14);
    }
    const beam_preference nowhere[] = {
        {0, 0}, {-1, 1}, {1, -1}, {NAN, 1}, {1, NAN}, {INFINITY, 1}, {0, INFINITY},
    };
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        assert_true(isnan(beam_tradeoff_from_preference(nowhere[i])));
    }
    assert_true(beam_tradeoff_from_preference((beam_preference){1, -1e-8}) == 1);
}

static void test_losses(void **state)
{
    (void)state;
    const beam_ideal ideal = {20, 0.01};
    assert_true(beam_loss_rate(&ideal, 20) == 0);
    near(beam_loss_rate(&ideal, 10), 1, 1e-15);
    near(beam_loss_rate(&ideal, 21), -0.1, 1e-13);
    assert_true(beam_loss_sensing(&ideal, true, 0.01) == 0);
    near(beam_loss_sensing(&ideal, true, 0.04), 1, 1e-14);
    near(beam_loss_sensing(&ideal, true, 0.16), 2, 1e-14);
    assert_true(isinf(beam_loss_sensing(&ideal, false, 0)));
    const beam_ideal nobody = {0, 0.01}, nothing = {20, 0};
    assert_true(beam_loss_rate(&nobody, 0) == 0);
    assert_true(beam_loss_sensing(&nothing, false, 0) == 0);
}

static void test_merit(void **state)
{
    (void)state;
    const beam_ideal ideal = {20, 0.01};
    const beam_preference middle = beam_preference_from_tradeoff(0.5);
    near(beam_merit(&ideal, middle, 0.3, 0.2), 0.3 / sqrt(0.5) + 1e-3 * 0.5, 1e-14);
    near(beam_merit(&ideal, middle, 0.2, 0.3), 0.3 / sqrt(0.5) + 1e-3 * 0.5, 1e-14);
    /* At an end the other loss counts a thousandth of the ray's. */
    const beam_preference rate = beam_preference_from_tradeoff(0);
    near(beam_merit(&ideal, rate, 0.01, 3), 10 + 1e-3 * 3.01, 1e-14);
    near(beam_merit(&ideal, rate, 0, 3), 3 + 3e-3, 1e-14);
    /* Improving either loss improves the merit, also where the maximum does not see it. */
    assert_true(beam_merit(&ideal, middle, 0.3, 0.1) < beam_merit(&ideal, middle, 0.3, 0.2));
    assert_true(beam_merit(&ideal, middle, 0.2, 0.3) < beam_merit(&ideal, middle, 0.25, 0.3));
    assert_true(isinf(beam_merit(&ideal, middle, 0.3, INFINITY)));
    assert_true(isnan(beam_merit(&ideal, middle, NAN, 0.2))); /* never dropped by a maximum */
    assert_true(isnan(beam_merit(&ideal, middle, 0.2, NAN)));
}

static void test_words(void **state)
{
    (void)state;
    assert_string_equal(beam_method_text(BEAM_METHOD_BOBLRBF), "boblrbf");
    assert_string_equal(beam_method_text(BEAM_METHOD_CLASSICAL), "classical");
    assert_string_equal(beam_status_text(BEAM_STATUS_TIME_LIMIT), "time limit");
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(beam_target_state_text((beam_target_state)i),
                                    beam_target_state_text((beam_target_state)k));
        }
    }
    assert_non_null(beam_method_text((beam_method)99));
    assert_non_null(beam_status_text((beam_status)99));
    assert_non_null(beam_target_state_text((beam_target_state)99));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_power_counts_own_beams_and_columns_in_use),
        cmocka_unit_test(test_budget_is_met_without_touching_stations_inside),
        cmocka_unit_test(test_budget_is_met_from_rows_whose_squares_overflow),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_preference),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_merit),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
