/* Mode paper as an algorithm: Lemma 1, the rate of Theorem 2, each repair switch. Claims are
 * recomputed with the evaluator or from the iterates. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/golden.h"
#include "model/row.h"
#include "unit/paper_fixture.h"

/* ---- Lemma 1, Theorem 2 ---- */

/* phi <= -|d|^2/2 at every iterate of every kind of run, and every row descends by it. */
static void direction_descends_as_lemma_1_says(void **state)
{
    (void)state;
    const unsigned kinds[] = {BEAM_REPAIR_ALL, 0, BEAM_REPAIR_PSD,
                              BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS};
    paper_trace *t = paper_fixture_trace();
    for (int kind = 0; kind < 4; kind++) {
        for (int k = 0; k < 16; k += 5) {
            beam_paper_options options = paper_fixture_options(kinds[kind], 20);
            options.max_iterations = 60;
            paper_fixture f = paper_fixture_golden("paper_eps010", &options);
            paper_outcome o = paper_fixture_run(&f, k, NULL, t);
            for (int i = 0; i < t->count; i++) {
                assert_true(t->phi[i] <= -0.5 * t->norm2[i]);
                assert_true(t->norm2[i] > 0);
                assert_true(t->steepest_cone[i] < 0);
            }
            const beam_paper_direction *d = &f.paper->direction;
            for (int row = 0; row < d->rows; row++) {
                double slope = 0;
                for (int b = 0; b < d->base; b++) {
                    slope += d->row[row][b] * d->slope[b];
                }
                assert_true(slope <= -d->norm2 * (1 - 1e-6) + 1e-9 * sqrt(d->norm2));
            }
            for (int l = 0; l < 3; l++) { /* and no held budget is left */
                assert_true(!d->bound[l] || d->slope[2 + l] <= 1e-9 * sqrt(d->norm2));
            }
            paper_fixture_finish(&f, &o);
        }
    }
    free(t);
}

/* One user, one station, known channel: the whole budget on the matched beam maximises the rate, so
 * d = 0 there, both with the power row of the text and with the budget held by scaling; a little
 * beside it, d is not 0. */
static void direction_vanishes_at_a_critical_point_and_only_there(void **state)
{
    (void)state;
    const unsigned kinds[] = {BEAM_REPAIR_PSD, 0, BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS,
                              BEAM_REPAIR_ALL};
    for (int kind = 0; kind < 4; kind++) {
        beam_paper_options options = paper_fixture_options(kinds[kind], 1);
        options.preferences = 1;
        beam_scene *scene = paper_fixture_plain_scene(1, 4, 1);
        paper_fixture f =
            paper_fixture_of(scene, &options); /* one station: no target can be located */
        assert_true(f.paper->counts[0] && !f.paper->counts[1]);
        const beam_problem *p = &f.paper->problem;
        double *x = f.paper->x;
        memset(x, 0, (size_t)f.paper->space.n * sizeof *x);
        beam_row_add(p->stride, 1 / sqrt(p->hnorm2[0]), p->h, x);
        bool feasibility = false;
        beam_paper_loss loss = beam_paper_gradients(f.paper);
        assert_int_equal(beam_paper_find_direction(f.paper, &loss, &feasibility), 0);
        if (kinds[kind] & BEAM_REPAIR_PSD) {
            assert_true(sqrt(f.paper->direction.norm2) < 1e-7);
        } else { /* a raw covariance promises more rate outside the cone */
            assert_true(sqrt(f.paper->direction.norm2) > 1);
        }
        x[0] += 0.01;
        beam_paper_scale_power(&f.paper->space, x, 0, beam_paper_power(&f.paper->space, x, 0));
        loss = beam_paper_gradients(f.paper);
        assert_int_equal(beam_paper_find_direction(f.paper, &loss, &feasibility), 0);
        assert_true(sqrt(f.paper->direction.norm2) > 1e-4);
        assert_true(f.paper->direction.phi <= -0.5 * f.paper->direction.norm2);
        paper_fixture_free(&f);
    }
}

/* Two objectives that pull in opposite directions: critical; turned a little: not. */
static void opposite_objectives_are_critical(void **state)
{
    (void)state;
    static beam_paper_direction d;
    memset(&d, 0, sizeof d);
    d.base = 3;
    d.rows = 2;
    d.row[0][0] = d.row[1][1] = 1;
    d.gram[0][0] = 4;
    d.gram[0][1] = d.gram[1][0] = -6;
    d.gram[1][1] = 9;
    d.gram[2][2] = 4;
    assert_int_equal(beam_paper_direction_solve(&d, 1), 0);
    assert_true(d.norm2 < 1e-14);
    d.gram[0][1] = d.gram[1][0] = -5.9;
    assert_int_equal(beam_paper_direction_solve(&d, 1), 0);
    assert_true(d.norm2 > 1e-3 && d.phi <= -0.5 * d.norm2);
    /* both gradients along the power gradient, pulling outward at the budget: critical because
     * scaling holds it */
    d.gram[0][1] = d.gram[1][0] = 6;
    d.gram[0][2] = d.gram[2][0] = -4;
    d.gram[1][2] = d.gram[2][1] = -6;
    d.bound[0] = true;
    assert_int_equal(beam_paper_direction_solve(&d, 1), 0);
    assert_true(d.held[0] && d.norm2 < 1e-14);
    d.bound[0] = false; /* inside the budget it is not */
    assert_int_equal(beam_paper_direction_solve(&d, 1), 0);
    assert_true(!d.held[0] && fabs(d.norm2 - 4) < 1e-12);
}

/* Theorem 2 at radius 0 (no lower level): min over t < T of |d| is O(1/sqrt T). Checked twice:
 * against what Armijo's rule implies for the measured decrease, and min |d| sqrt(T) against its
 * value at T = 20. */
static void shortest_direction_falls_like_one_over_root_t(void **state)
{
    (void)state;
    paper_trace *t = paper_fixture_trace();
    const unsigned kinds[] = {BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_PHASE0,
                              BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS | BEAM_REPAIR_BUDGET};
    for (int kind = 0; kind < 2; kind++) {
        for (int k = 1; k < 16; k += 4) {
            beam_paper_options options = paper_fixture_options(kinds[kind], 20);
            options.max_iterations = 1500;
            paper_fixture f = paper_fixture_golden("paper_eps000", &options);
            paper_outcome o = paper_fixture_run(&f, k, NULL, t);
            assert_true(t->count > 100);
            double least = INFINITY, steps = 0, largest = 0;
            for (int i = 0; i + 1 < t->count; i++) {
                least = fmin(least, t->norm2[i]);
                steps += t->at[i + 1].step;
                double decrease = INFINITY;
                for (int c = 0; c < 2; c++) {
                    decrease = fmin(decrease, t->loss[0][c] - t->loss[i + 1][c]);
                }
                assert_true(least * options.armijo * steps <= decrease * (1 + 1e-9) + 1e-12);
                const double scaled = sqrt(least * (i + 1));
                largest = i <= 700 ? fmax(largest, scaled) : largest;
                assert_true(i <= 700 || scaled <= largest);
            }
            paper_fixture_finish(&f, &o);
        }
    }
    free(t);
}

/* Without users only the CRLB counts, which is convex: the descent must end at the least CRLB of
 * the golden reference. */
static void sensing_alone_reaches_the_least_crlb(void **state)
{
    (void)state;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 1);
    options.max_iterations = 3000;
    beam_scene *full = test_golden_scene("paper_eps010");
    const beam_dims dims = {.stations = 3, .antennas = 5, .users = 0, .targets = 2};
    beam_scene *scene = test_scene_new(&dims);
    scene->snapshots = full->snapshots;
    memcpy(scene->station_position_m, full->station_position_m, 6 * sizeof(double));
    memcpy(scene->station_axis_rad, full->station_axis_rad, 3 * sizeof(double));
    memcpy(scene->station_power_w, full->station_power_w, 3 * sizeof(double));
    memcpy(scene->station_echo_noise_w, full->station_echo_noise_w, 3 * sizeof(double));
    memcpy(scene->target_position_m, full->target_position_m, 4 * sizeof(double));
    memcpy(scene->reflection, full->reflection, 18 * sizeof(beam_complex));
    paper_fixture f = paper_fixture_of(scene, &options);
    assert_true(!f.paper->counts[0] && f.paper->counts[1]);
    paper_outcome o = paper_fixture_run(&f, 3, NULL, NULL);
    const double least = test_golden_ideal("paper_eps010").crlb_min_m2;
    assert_true(o.quality.crlb_m2 >= least * (1 - 1e-6));
    assert_true(o.quality.crlb_m2 <= least * (1 + 1e-5));
    assert_true(o.result.wsr_worst_case_bps_hz == 0 && o.result.f1 == 0);
    test_scene_free(full);
    paper_fixture_finish(&f, &o);
}

/* ---- repairs ---- */

static void repairs_are_parsed_and_printed(void **state)
{
    (void)state;
    unsigned bits = 99;
    beam_error err;
    assert_int_equal(beam_repairs_parse("all", &bits, &err), BEAM_OK);
    assert_int_equal(bits, BEAM_REPAIR_ALL);
    assert_int_equal(beam_repairs_parse("none", &bits, &err), BEAM_OK);
    assert_int_equal(bits, 0);
    char list[200] = "";
    for (int bit = 0; bit < 8; bit++) {
        const char *name = beam_repair_name((beam_repair)(1 << bit));
        assert_non_null(name);
        assert_int_equal(beam_repairs_parse(name, &bits, &err), BEAM_OK);
        assert_int_equal(bits, 1 << bit);
        strcat(list, bit ? "," : "");
        strcat(list, name);
    }
    assert_int_equal(beam_repairs_parse(list, &bits, &err), BEAM_OK);
    assert_int_equal(bits, BEAM_REPAIR_ALL);
    assert_null(beam_repair_name((beam_repair)(1 << 8)));
    assert_null(beam_repair_name((beam_repair)3));
    const char *wrong[] = {"", "psd,", ",psd", "psd,all", "PSD", "psd units", "fresh_cuts"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bits = 99;
        assert_int_equal(beam_repairs_parse(wrong[i], &bits, &err), BEAM_E_INVALID);
        assert_string_equal(err.field, "repairs");
        assert_int_equal(bits, 99);
    }
    assert_non_null(
        strstr((beam_repairs_parse("psd,bal,units", &bits, &err), err.text), "\"bal\""));
}

static paper_outcome run_golden(const char *name, unsigned repairs, int k, int iterations,
                                paper_trace *t, paper_fixture *f)
{
    beam_paper_options options = paper_fixture_options(repairs, 20);
    options.max_iterations = iterations;
    *f = paper_fixture_golden(name, &options);
    return paper_fixture_run(f, k, NULL, t);
}

static void psd_keeps_the_covariance_a_covariance(void **state)
{
    (void)state;
    paper_trace *t = paper_fixture_trace();
    paper_fixture f;
    paper_outcome o =
        run_golden("paper_eps010", BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_PSD, 8, 400, t, &f);
    assert_int_equal(o.status, BEAM_PAPER_INDEFINITE);
    assert_true(t->at[t->count - 1].indefinite && !t->at[0].indefinite);
    paper_fixture_finish(&f, &o);
    o = run_golden("paper_eps010", BEAM_REPAIR_ALL, 8, 400, t, &f);
    assert_int_not_equal(o.status, BEAM_PAPER_INDEFINITE);
    for (int i = 0; i < t->count; i++) {
        assert_false(t->at[i].indefinite);
    }
    paper_fixture_finish(&f, &o);
    free(t);
}

static void units_scale_the_losses_and_the_errors(void **state)
{
    (void)state;
    paper_fixture with, without;
    paper_outcome a = run_golden("paper_eps010", BEAM_REPAIR_ALL, 8, 0, NULL, &with);
    paper_outcome b = run_golden("paper_eps010", BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_UNITS, 8,
                                 0, NULL, &without);
    const beam_paper_loss scaled = beam_paper_loss_at(with.paper, with.paper->x);
    const beam_paper_loss raw = beam_paper_loss_at(without.paper, without.paper->x);
    assert_true(scaled.wsr == raw.wsr && scaled.crlb == raw.crlb);
    assert_true(raw.f[0] == -raw.wsr && raw.f[1] == raw.crlb);
    assert_true(scaled.f[0] == beam_loss_rate(&with.ideal, scaled.wsr));
    assert_true(scaled.f[1] == beam_loss_sensing(&with.ideal, true, scaled.crlb));
    assert_true(raw.q[0] == with.ideal.wsr_ideal_bps_hz - raw.wsr);
    assert_true(with.paper->space.radius[0] == 1);
    assert_true(without.paper->space.radius[0] == without.paper->problem.eps[0]);
    paper_fixture_finish(&with, &a);
    paper_fixture_finish(&without, &b);
}

/* phase0 first enters the cone, whatever it costs the objectives; without it (24) only ever reaches
 * points that dominate the start. */
static void phase0_enters_the_cone_first(void **state)
{
    (void)state;
    paper_trace *t = paper_fixture_trace();
    int sacrificed = 0;
    for (int k = 0; k < 16; k += 3) {
        paper_fixture f;
        paper_outcome o = run_golden(
            "paper_eps000", BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_PHASE0, k, 100, t, &f);
        for (int i = 1; i < t->count; i++) {
            assert_true(t->loss[i][0] <= t->loss[i - 1][0] && t->loss[i][1] <= t->loss[i - 1][1]);
        }
        paper_fixture_finish(&f, &o);
        o = run_golden("paper_eps000", BEAM_REPAIR_ALL, k, 100, t, &f);
        int inside = -1;
        for (int i = 1; i < t->count; i++) {
            const bool worse =
                t->loss[i][0] > t->loss[i - 1][0] || t->loss[i][1] > t->loss[i - 1][1];
            if (inside < 0) {
                assert_true(t->cone[i] <= t->cone[i - 1] + 1e-12);
                sacrificed += worse;
                inside = t->cone[i] <= 1e-6 ? i : -1;
            } else {
                assert_false(worse);
                assert_true(t->cone[i] <= 1e-6); /* feasible-step keeps it inside */
            }
        }
        /* the cone of the communication end is the narrowest: entered later, but approached */
        assert_true(k == 0 ? t->cone[t->count - 1] < 0.1 * t->cone[0] : inside > 0);
        paper_fixture_finish(&f, &o);
    }
    assert_true(sacrificed > 0);
    free(t);
}

static void budget_is_held_by_scaling(void **state)
{
    (void)state;
    paper_trace *t = paper_fixture_trace();
    paper_fixture f;
    const unsigned without = BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS;
    double most = 0;
    for (int k = 0; k < 16; k += 5) {
        paper_outcome o = run_golden("paper_eps010", without, k, 60, t, &f);
        for (int i = 0; i < t->count; i++) {
            most = fmax(most, t->power[i]);
        }
        paper_fixture_finish(&f, &o);
        o = run_golden("paper_eps010", without | BEAM_REPAIR_BUDGET, k, 60, t, &f);
        for (int i = 0; i < t->count; i++) {
            assert_true(t->power[i] <= 1 + 1e-12);
        }
        paper_fixture_finish(&f, &o);
    }
    assert_true(most > 1.01); /* as printed, the row only acts once the budget is broken */
    free(t);
}

static void fresh_cuts_leave_when_the_linearisation_point_moves(void **state)
{
    (void)state;
    paper_trace *t = paper_fixture_trace();
    for (int fresh = 0; fresh < 2; fresh++) {
        int most = 0;
        for (int k = 0; k < 16; k += 3) {
            paper_fixture f;
            const unsigned repairs =
                BEAM_REPAIR_ALL & ~(fresh ? 0u : (unsigned)BEAM_REPAIR_FRESH_CUTS);
            paper_outcome o = run_golden("paper_eps010", repairs, k, 150, t, &f);
            for (int i = 0; i < t->count; i++) {
                most = t->at[i].cuts > most ? t->at[i].cuts : most;
                assert_true(i >= 10 || t->at[i].cuts == 0); /* the first after k_pre iterations */
            }
            paper_fixture_finish(&f, &o);
        }
        assert_true(fresh ? most == 1 : (most > 1 && most <= 8));
    }
    free(t);
}

static void feasible_step_holds_the_constraints(void **state)
{
    (void)state;
    paper_trace *t = paper_fixture_trace();
    double worst[2] = {0, 0};
    for (int held = 0; held < 2; held++) {
        for (int k = 0; k < 16; k += 3) {
            paper_fixture f;
            const unsigned repairs = BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS |
                                     (held ? (unsigned)BEAM_REPAIR_FEASIBLE_STEP : 0u);
            paper_outcome o = run_golden("paper_eps010", repairs, k, 60, t, &f);
            for (int i = 1; i < t->count; i++) {
                const double cone = fmax(t->cone[i], 0) - fmax(t->cone[i - 1], 0);
                const double power = fmax(t->power[i], 1) - fmax(t->power[i - 1], 1);
                worst[held] = fmax(worst[held], fmax(cone, power));
            }
            paper_fixture_finish(&f, &o);
        }
    }
    assert_true(worst[0] > 1e-3);
    assert_true(worst[1] <= 1e-11);
    free(t);
}

static void exact_report_reports_and_chooses_by_the_worst_case(void **state)
{
    (void)state;
    paper_trace *t = paper_fixture_trace();
    paper_fixture f;
    paper_outcome o = run_golden("paper_eps010", BEAM_REPAIR_ALL, 4, 80, t, &f);
    assert_true(fabs(o.result.wsr_worst_case_bps_hz - o.quality.wsr_worst_case_bps_hz) <=
                1e-9 * o.quality.wsr_worst_case_bps_hz);
    assert_true(fabs(o.result.crlb_m2 - o.quality.crlb_m2) <= 1e-9 * o.quality.crlb_m2);
    const beam_preference u = beam_paper_preference(4, 16);
    double best = INFINITY;
    for (int i = 0; i < t->count; i++) {
        assert_true(t->at[i].wsr_worst_case_bps_hz <= t->at[i].wsr_at_delta_bps_hz + 1e-9 ||
                    t->at[i].lower_gap < 9);
        const double f1 = beam_loss_rate(&f.ideal, t->at[i].wsr_worst_case_bps_hz);
        const double f2 = beam_loss_sensing(&f.ideal, true, t->at[i].crlb_m2);
        best = fmin(best, beam_merit(&f.ideal, u, f1, f2));
    }
    assert_true(fabs(o.result.merit - best) <= 1e-9);
    paper_fixture_finish(&f, &o);
    /* off: the last iterate, with the rate that the algorithm sees, which its errors help */
    o = run_golden("paper_eps010", BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_EXACT_REPORT, 4, 80, t,
                   &f);
    const beam_paper_iterate *last = &t->at[t->count - 1];
    assert_true(o.result.wsr_worst_case_bps_hz == last->wsr_at_delta_bps_hz);
    assert_true(fabs(last->wsr_worst_case_bps_hz - o.quality.wsr_worst_case_bps_hz) <= 1e-9);
    assert_true(o.result.wsr_worst_case_bps_hz > o.quality.wsr_worst_case_bps_hz * 1.05);
    paper_fixture_finish(&f, &o);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direction_descends_as_lemma_1_says),
        cmocka_unit_test(direction_vanishes_at_a_critical_point_and_only_there),
        cmocka_unit_test(opposite_objectives_are_critical),
        cmocka_unit_test(shortest_direction_falls_like_one_over_root_t),
        cmocka_unit_test(sensing_alone_reaches_the_least_crlb),
        cmocka_unit_test(repairs_are_parsed_and_printed),
        cmocka_unit_test(psd_keeps_the_covariance_a_covariance),
        cmocka_unit_test(units_scale_the_losses_and_the_errors),
        cmocka_unit_test(phase0_enters_the_cone_first),
        cmocka_unit_test(budget_is_held_by_scaling),
        cmocka_unit_test(fresh_cuts_leave_when_the_linearisation_point_moves),
        cmocka_unit_test(feasible_step_holds_the_constraints),
        cmocka_unit_test(exact_report_reports_and_chooses_by_the_worst_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
