/* Mode paper as an algorithm: Lemma 1, the rate of Theorem 2, each repair switch, outcomes,
 * degenerate scenes, refusals. Claims are recomputed with the evaluator or from the iterates. */
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

enum { TRACE_MAX = 2048 };

typedef struct trace {
    beam_paper *paper;
    int count;
    beam_paper_iterate at[TRACE_MAX];
    double cone[TRACE_MAX];  /* largest r_j */
    double power[TRACE_MAX]; /* largest share of a budget */
    double phi[TRACE_MAX], norm2[TRACE_MAX];
    double loss[TRACE_MAX][2];
    double steepest_cone[TRACE_MAX]; /* largest slope along d of an active cone function */
} trace;

/* Is some cone function from low to high a row of the direction problem? */
static bool has_row(const beam_paper *p, int low, int high)
{
    const beam_preference u = beam_paper_preference(p->k, p->options.preferences);
    for (int j = low; j <= high; j++) {
        const beam_preference v = beam_paper_preference(j, p->options.preferences);
        for (int i = 0; i < p->direction.rows && j != p->k; i++) {
            if (p->direction.row[i][0] == v.u1 - u.u1 && p->direction.row[i][1] == v.u2 - u.u2) {
                return true;
            }
        }
    }
    return false;
}

static void record(void *arg, const beam_paper_iterate *iterate)
{
    trace *t = arg;
    beam_paper *p = t->paper;
    const int i = t->count;
    assert_true(i < TRACE_MAX);
    assert_int_equal(iterate->iteration, i);
    t->at[i] = *iterate;
    t->phi[i] = p->direction.phi;
    t->norm2[i] = p->direction.norm2;
    const beam_paper_loss loss = beam_paper_loss_at(p, p->x);
    int first, last;
    t->cone[i] = beam_paper_cone(p->k, p->options.preferences, loss.q, 0, &first, &last);
    if (t->cone[i] > 1e-6 && p->counts[0] && p->counts[1]) {
        /* the extreme ones; with feasible-step those almost active may lie beyond them */
        assert_true(has_row(p, 0, first) && has_row(p, last, p->options.preferences - 1));
    }
    t->steepest_cone[i] = -INFINITY; /* over all active cone functions, of which two are rows */
    for (int j = 0; j < p->options.preferences && p->counts[0] && p->counts[1]; j++) {
        const beam_preference u = beam_paper_preference(p->k, p->options.preferences);
        const beam_preference v = beam_paper_preference(j, p->options.preferences);
        if (j != p->k && (v.u1 - u.u1) * loss.q[0] + (v.u2 - u.u2) * loss.q[1] >= 0) {
            const double slope =
                (v.u1 - u.u1) * p->direction.slope[0] + (v.u2 - u.u2) * p->direction.slope[1];
            t->steepest_cone[i] =
                fmax(t->steepest_cone[i], slope / hypot(v.u1 - u.u1, v.u2 - u.u2));
        }
    }
    t->loss[i][0] = loss.f[0];
    t->loss[i][1] = loss.f[1];
    t->power[i] = 0;
    for (int l = 0; l < p->problem.L; l++) {
        t->power[i] = fmax(t->power[i], beam_paper_power(&p->space, p->x, l));
    }
    t->count++;
}

typedef struct outcome {
    beam_result result;
    beam_paper_status status;
    beam_design *design;
    beam_quality quality; /* exact, recomputed */
} outcome;

static outcome run(paper_fixture *f, int k, const beam_design *start, trace *t)
{
    outcome o = {.design = test_design_new(&f->scene->dims, -1)};
    beam_error err;
    if (t) {
        *t = (trace){.paper = f->paper};
    }
    test_must(beam_paper_solve(f->paper, k, 5, start, o.design, &o.result, &o.status,
                               t ? record : NULL, t, &err),
              &err, "solve");
    beam_evaluator *evaluator = test_evaluator_new(&f->scene->dims, o.design->sensing_max);
    test_must(beam_evaluator_load(evaluator, f->scene, &err), &err, "load");
    test_must(beam_evaluator_run(evaluator, o.design, &o.quality, &err), &err, "run");
    test_evaluator_free(evaluator);
    assert_true(o.quality.power_excess <= 1e-9);
    return o;
}

static paper_fixture golden(const char *name, const beam_paper_options *options)
{
    beam_error err;
    paper_fixture f = paper_fixture_of(test_golden_scene(name), options);
    f.ideal = test_golden_ideal(name);
    test_must(beam_paper_load(f.paper, f.scene, &f.ideal, &err), &err, "load");
    return f;
}

static void finish(paper_fixture *f, outcome *o)
{
    test_design_free(o->design);
    paper_fixture_free(f);
}

static trace *new_trace(void)
{
    return test_memory(sizeof(trace));
}

/* ---- Lemma 1, Theorem 2 ---- */

/* phi <= -|d|^2/2 at every iterate of every kind of run, and every row descends by it. */
static void direction_descends_as_lemma_1_says(void **state)
{
    (void)state;
    const unsigned kinds[] = {BEAM_REPAIR_ALL, 0, BEAM_REPAIR_PSD,
                              BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS};
    trace *t = new_trace();
    for (int kind = 0; kind < 4; kind++) {
        for (int k = 0; k < 16; k += 5) {
            beam_paper_options options = paper_fixture_options(kinds[kind], 20);
            options.max_iterations = 60;
            paper_fixture f = golden("paper_eps010", &options);
            outcome o = run(&f, k, NULL, t);
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
            finish(&f, &o);
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
    trace *t = new_trace();
    const unsigned kinds[] = {BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_PHASE0,
                              BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS | BEAM_REPAIR_BUDGET};
    for (int kind = 0; kind < 2; kind++) {
        for (int k = 1; k < 16; k += 4) {
            beam_paper_options options = paper_fixture_options(kinds[kind], 20);
            options.max_iterations = 1500;
            paper_fixture f = golden("paper_eps000", &options);
            outcome o = run(&f, k, NULL, t);
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
            finish(&f, &o);
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
    outcome o = run(&f, 3, NULL, NULL);
    const double least = test_golden_ideal("paper_eps010").crlb_min_m2;
    assert_true(o.quality.crlb_m2 >= least * (1 - 1e-6));
    assert_true(o.quality.crlb_m2 <= least * (1 + 1e-5));
    assert_true(o.result.wsr_worst_case_bps_hz == 0 && o.result.f1 == 0);
    test_scene_free(full);
    finish(&f, &o);
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

static outcome run_golden(const char *name, unsigned repairs, int k, int iterations, trace *t,
                          paper_fixture *f)
{
    beam_paper_options options = paper_fixture_options(repairs, 20);
    options.max_iterations = iterations;
    *f = golden(name, &options);
    return run(f, k, NULL, t);
}

static void psd_keeps_the_covariance_a_covariance(void **state)
{
    (void)state;
    trace *t = new_trace();
    paper_fixture f;
    outcome o =
        run_golden("paper_eps010", BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_PSD, 8, 400, t, &f);
    assert_int_equal(o.status, BEAM_PAPER_INDEFINITE);
    assert_true(t->at[t->count - 1].indefinite && !t->at[0].indefinite);
    finish(&f, &o);
    o = run_golden("paper_eps010", BEAM_REPAIR_ALL, 8, 400, t, &f);
    assert_int_not_equal(o.status, BEAM_PAPER_INDEFINITE);
    for (int i = 0; i < t->count; i++) {
        assert_false(t->at[i].indefinite);
    }
    finish(&f, &o);
    free(t);
}

static void units_scale_the_losses_and_the_errors(void **state)
{
    (void)state;
    paper_fixture with, without;
    outcome a = run_golden("paper_eps010", BEAM_REPAIR_ALL, 8, 0, NULL, &with);
    outcome b = run_golden("paper_eps010", BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_UNITS, 8, 0,
                           NULL, &without);
    const beam_paper_loss scaled = beam_paper_loss_at(with.paper, with.paper->x);
    const beam_paper_loss raw = beam_paper_loss_at(without.paper, without.paper->x);
    assert_true(scaled.wsr == raw.wsr && scaled.crlb == raw.crlb);
    assert_true(raw.f[0] == -raw.wsr && raw.f[1] == raw.crlb);
    assert_true(scaled.f[0] == beam_loss_rate(&with.ideal, scaled.wsr));
    assert_true(scaled.f[1] == beam_loss_sensing(&with.ideal, true, scaled.crlb));
    assert_true(raw.q[0] == with.ideal.wsr_ideal_bps_hz - raw.wsr);
    assert_true(with.paper->space.radius[0] == 1);
    assert_true(without.paper->space.radius[0] == without.paper->problem.eps[0]);
    finish(&with, &a);
    finish(&without, &b);
}

/* phase0 first enters the cone, whatever it costs the objectives; without it (24) only ever reaches
 * points that dominate the start. */
static void phase0_enters_the_cone_first(void **state)
{
    (void)state;
    trace *t = new_trace();
    int sacrificed = 0;
    for (int k = 0; k < 16; k += 3) {
        paper_fixture f;
        outcome o = run_golden("paper_eps000", BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_PHASE0, k,
                               100, t, &f);
        for (int i = 1; i < t->count; i++) {
            assert_true(t->loss[i][0] <= t->loss[i - 1][0] && t->loss[i][1] <= t->loss[i - 1][1]);
        }
        finish(&f, &o);
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
        finish(&f, &o);
    }
    assert_true(sacrificed > 0);
    free(t);
}

static void budget_is_held_by_scaling(void **state)
{
    (void)state;
    trace *t = new_trace();
    paper_fixture f;
    const unsigned without = BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS;
    double most = 0;
    for (int k = 0; k < 16; k += 5) {
        outcome o = run_golden("paper_eps010", without, k, 60, t, &f);
        for (int i = 0; i < t->count; i++) {
            most = fmax(most, t->power[i]);
        }
        finish(&f, &o);
        o = run_golden("paper_eps010", without | BEAM_REPAIR_BUDGET, k, 60, t, &f);
        for (int i = 0; i < t->count; i++) {
            assert_true(t->power[i] <= 1 + 1e-12);
        }
        finish(&f, &o);
    }
    assert_true(most > 1.01); /* as printed, the row only acts once the budget is broken */
    free(t);
}

static void fresh_cuts_leave_when_the_linearisation_point_moves(void **state)
{
    (void)state;
    trace *t = new_trace();
    for (int fresh = 0; fresh < 2; fresh++) {
        int most = 0;
        for (int k = 0; k < 16; k += 3) {
            paper_fixture f;
            const unsigned repairs =
                BEAM_REPAIR_ALL & ~(fresh ? 0u : (unsigned)BEAM_REPAIR_FRESH_CUTS);
            outcome o = run_golden("paper_eps010", repairs, k, 150, t, &f);
            for (int i = 0; i < t->count; i++) {
                most = t->at[i].cuts > most ? t->at[i].cuts : most;
                assert_true(i >= 10 || t->at[i].cuts == 0); /* the first after k_pre iterations */
            }
            finish(&f, &o);
        }
        assert_true(fresh ? most == 1 : (most > 1 && most <= 8));
    }
    free(t);
}

static void feasible_step_holds_the_constraints(void **state)
{
    (void)state;
    trace *t = new_trace();
    double worst[2] = {0, 0};
    for (int held = 0; held < 2; held++) {
        for (int k = 0; k < 16; k += 3) {
            paper_fixture f;
            const unsigned repairs = BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS |
                                     (held ? (unsigned)BEAM_REPAIR_FEASIBLE_STEP : 0u);
            outcome o = run_golden("paper_eps010", repairs, k, 60, t, &f);
            for (int i = 1; i < t->count; i++) {
                const double cone = fmax(t->cone[i], 0) - fmax(t->cone[i - 1], 0);
                const double power = fmax(t->power[i], 1) - fmax(t->power[i - 1], 1);
                worst[held] = fmax(worst[held], fmax(cone, power));
            }
            finish(&f, &o);
        }
    }
    assert_true(worst[0] > 1e-3);
    assert_true(worst[1] <= 1e-11);
    free(t);
}

static void exact_report_reports_and_chooses_by_the_worst_case(void **state)
{
    (void)state;
    trace *t = new_trace();
    paper_fixture f;
    outcome o = run_golden("paper_eps010", BEAM_REPAIR_ALL, 4, 80, t, &f);
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
    finish(&f, &o);
    /* off: the last iterate, with the rate that the algorithm sees, which its errors help */
    o = run_golden("paper_eps010", BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_EXACT_REPORT, 4, 80, t,
                   &f);
    const beam_paper_iterate *last = &t->at[t->count - 1];
    assert_true(o.result.wsr_worst_case_bps_hz == last->wsr_at_delta_bps_hz);
    assert_true(fabs(last->wsr_worst_case_bps_hz - o.quality.wsr_worst_case_bps_hz) <= 1e-9);
    assert_true(o.result.wsr_worst_case_bps_hz > o.quality.wsr_worst_case_bps_hz * 1.05);
    finish(&f, &o);
    free(t);
}

/* ---- outcomes and degenerate scenes ---- */

static bool always(void *arg)
{
    ++*(int *)arg;
    return true;
}

static void time_limit_returns_the_best_so_far(void **state)
{
    (void)state;
    int asked = 0;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.expired = always;
    options.expired_arg = &asked;
    paper_fixture f = golden("paper_eps010", &options);
    outcome o = run(&f, 4, NULL, NULL);
    assert_int_equal(o.status, BEAM_PAPER_TIME_LIMIT);
    assert_int_equal(o.result.status, BEAM_STATUS_TIME_LIMIT);
    assert_int_equal(o.result.iterations, 0);
    assert_int_equal(asked, 1);
    assert_true(o.quality.crlb_valid && o.quality.wsr_worst_case_bps_hz > 0);
    finish(&f, &o);
}

static void start_is_used_and_never_worsened(void **state)
{
    (void)state;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.max_iterations = 0;
    paper_fixture f = golden("paper_eps010", &options);
    beam_design *start = test_zero_forcing_design(f.scene);
    outcome first = run(&f, 4, start, NULL);
    assert_int_equal(first.status, BEAM_PAPER_ITERATION_LIMIT);
    beam_evaluator *evaluator = test_evaluator_new(&f.scene->dims, start->sensing_max);
    beam_error err;
    beam_quality quality;
    test_must(beam_evaluator_load(evaluator, f.scene, &err), &err, "load");
    test_must(beam_evaluator_run(evaluator, start, &quality, &err), &err, "run");
    /* four of the five isotropic columns fit: the beams are kept, so the CRLB can only have risen
     */
    assert_true(first.quality.wsr_nominal_bps_hz >= quality.wsr_nominal_bps_hz * (1 - 1e-9));
    test_evaluator_free(evaluator);
    paper_fixture_free(&f);

    options.max_iterations = 50;
    f = golden("paper_eps010", &options);
    outcome later = run(&f, 4, start, NULL);
    assert_true(later.result.warm && later.result.merit < first.result.merit);
    test_design_free(start);
    test_design_free(first.design);
    finish(&f, &later);
}

static void dark_start_is_lit(void **state)
{
    (void)state;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.max_iterations = 20;
    paper_fixture f = golden("paper_eps010", &options);
    beam_design *start = test_design_new(&f.scene->dims, -1); /* silence */
    outcome o = run(&f, 8, start, NULL);
    assert_true(o.quality.crlb_valid && isfinite(o.result.merit));
    test_design_free(start);
    finish(&f, &o);
}

static void same_input_gives_the_same_bits(void **state)
{
    (void)state;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.max_iterations = 40;
    paper_fixture f = golden("paper_eps010", &options);
    outcome a = run(&f, 4, NULL, NULL), between = run(&f, 9, NULL, NULL),
            b = run(&f, 4, NULL, NULL);
    assert_memory_equal(a.design->beams, b.design->beams, 15 * sizeof(beam_complex));
    assert_true(a.result.merit == b.result.merit && a.result.merit != between.result.merit);
    test_design_free(a.design);
    test_design_free(between.design);
    finish(&f, &b);
}

static void degenerate(int stations, int antennas, int users, unsigned repairs, double radius,
                       beam_sensing_model model)
{
    beam_scene *scene = paper_fixture_plain_scene(stations, antennas, users);
    scene->sensing = model;
    scene->bandwidth_hz = 2e7;
    for (int i = 0; i < stations * users; i++) {
        scene->error_radius[i] = i % 2 ? 0 : radius; /* exactly known links among the others */
    }
    for (int steps = 1; steps <= 20; steps += 19) {
        beam_paper_options options = paper_fixture_options(repairs, steps);
        options.max_iterations = 45;
        options.preferences = 3;
        paper_fixture f = paper_fixture_of(test_scene_clone(scene), &options);
        trace *t = new_trace();
        for (int k = 0; k < 3; k++) {
            outcome o = run(&f, k, NULL, t);
            assert_int_not_equal(o.status, BEAM_PAPER_NUMERIC);
            assert_true(isfinite(o.result.wsr_worst_case_bps_hz) && isfinite(o.result.f1));
            assert_true(users > 0 || o.result.wsr_worst_case_bps_hz == 0);
            for (int i = 0; i < t->count; i++) {
                assert_true(isfinite(t->at[i].wsr_at_delta_bps_hz) &&
                            isfinite(t->at[i].direction_norm));
                assert_true(radius > 0 || (t->at[i].lower_gap == 0 && t->at[i].cuts == 0));
            }
            test_design_free(o.design);
        }
        free(t);
        paper_fixture_free(&f);
    }
    test_scene_free(scene);
}

static const unsigned degenerate_kinds[] = {BEAM_REPAIR_ALL, 0, BEAM_REPAIR_PSD,
                                            BEAM_REPAIR_ALL & ~(unsigned)BEAM_REPAIR_BALL};

static void degenerate_radius_zero(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(3, 4, 3, degenerate_kinds[i], 0, BEAM_SENSING_RESOLVED);
    }
}

static void degenerate_some_radii_zero(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(3, 4, 3, degenerate_kinds[i], 2e-6, BEAM_SENSING_COHERENT);
    }
}

static void degenerate_zero_users(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(3, 4, 0, degenerate_kinds[i], 0, BEAM_SENSING_RESOLVED);
    }
}

static void degenerate_one_user(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(2, 3, 1, degenerate_kinds[i], 2e-6, BEAM_SENSING_RESOLVED);
    }
}

static void degenerate_one_station(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(1, 4, 2, degenerate_kinds[i], 2e-6,
                   BEAM_SENSING_RESOLVED); /* angles cannot locate */
        degenerate(1, 4, 2, degenerate_kinds[i], 2e-6, BEAM_SENSING_BAND); /* delays can */
        degenerate(1, 4, 0, degenerate_kinds[i], 0,
                   BEAM_SENSING_RESOLVED); /* nothing to do at all */
    }
}

static void degenerate_one_antenna(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        degenerate(3, 1, 2, degenerate_kinds[i], 2e-6, BEAM_SENSING_RESOLVED);
    }
}

static void degenerate_overload(void **state)
{
    (void)state;
    degenerate(2, 2, 7, BEAM_REPAIR_ALL, 2e-6, BEAM_SENSING_RESOLVED);
    degenerate(2, 2, 7, 0, 2e-6, BEAM_SENSING_RESOLVED);
}

static void one_preference_has_no_cone(void **state)
{
    (void)state;
    beam_paper_options options = paper_fixture_options(BEAM_REPAIR_ALL, 20);
    options.preferences = 1;
    options.max_iterations = 30;
    paper_fixture f = golden("paper_eps010", &options);
    trace *t = new_trace();
    outcome o = run(&f, 0, NULL, t);
    for (int i = 0; i < t->count; i++) {
        assert_true(t->cone[i] == -INFINITY);
        assert_true(i == 0 || t->loss[i][0] <= t->loss[i - 1][0]);
    }
    free(t);
    finish(&f, &o);
}

/* ---- refusals ---- */

static void refuses_options_out_of_range_by_name(void **state)
{
    (void)state;
    const beam_dims dims = {.stations = 2, .antennas = 3, .users = 2, .targets = 1};
    beam_paper_options good = beam_paper_options_default();
    const size_t size = beam_paper_memsize(&dims, &good);
    assert_true(size > 0);
    void *memory = test_memory(size);
    beam_paper *paper;
    beam_error err;
#define REFUSED(name, member, value)                                                               \
    do {                                                                                           \
        beam_paper_options bad = good;                                                             \
        bad.member = value;                                                                        \
        assert_int_equal(beam_paper_memsize(&dims, &bad), 0);                                      \
        assert_int_equal(beam_paper_init(&paper, &dims, &bad, memory, size, &err),                 \
                         BEAM_E_INVALID);                                                          \
        assert_string_equal(err.field, name);                                                      \
    } while (0)
    REFUSED("repairs", repairs, 1u << 8);
    REFUSED("preferences", preferences, 0);
    REFUSED("lower_steps", lower_steps, 0);
    REFUSED("cut_period", cut_period, 0);
    REFUSED("max_cuts", max_cuts, BEAM_PAPER_MAX_CUTS + 1);
    REFUSED("max_iterations", max_iterations, -1);
    REFUSED("armijo", armijo, 1.0);
    REFUSED("tolerance", tolerance, NAN);
    REFUSED("cut_slack", cut_slack, -1.0);
#undef REFUSED
    assert_int_equal(beam_paper_init(&paper, &dims, &good, memory, size - 1, &err), BEAM_E_LIMIT);
    assert_string_equal(err.field, "memory");
    assert_int_equal(beam_paper_init(&paper, &dims, &good, (char *)memory + 8, size, &err),
                     BEAM_E_INVALID);
    free(memory);
}

static void refuses_wrong_calls(void **state)
{
    (void)state;
    const beam_paper_options options = beam_paper_options_default();
    beam_error err;
    beam_scene *scene = paper_fixture_plain_scene(2, 3, 2),
               *other = paper_fixture_plain_scene(2, 3, 1);
    const size_t size = beam_paper_memsize(&scene->dims, &options);
    void *memory = test_memory(size);
    beam_paper *paper;
    beam_design *out = test_design_new(&scene->dims, -1),
                *narrow = test_design_new(&scene->dims, 0);
    beam_result result;
    beam_paper_status status;
    test_must(beam_paper_init(&paper, &scene->dims, &options, memory, size, &err), &err, "init");
    assert_int_equal(beam_paper_solve(paper, 0, 1, NULL, out, &result, &status, NULL, NULL, &err),
                     BEAM_E_INVALID);
    assert_string_equal(err.field, "scene");
    beam_ideal ideal = {20, 0.1};
    assert_int_equal(beam_paper_load(paper, other, &ideal, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "dims");
    ideal.crlb_min_m2 = NAN;
    assert_int_equal(beam_paper_load(paper, scene, &ideal, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "ideal");
    ideal.crlb_min_m2 = 0.1;
    test_must(beam_paper_load(paper, scene, &ideal, &err), &err, "load");
    assert_int_equal(beam_paper_solve(paper, 16, 1, NULL, out, &result, &status, NULL, NULL, &err),
                     BEAM_E_INVALID);
    assert_string_equal(err.field, "k");
    assert_int_equal(
        beam_paper_solve(paper, 0, 1, NULL, narrow, &result, &status, NULL, NULL, &err),
        BEAM_E_INVALID);
    assert_string_equal(err.field, "out");
    test_beam(out, 0)->re = NAN;
    assert_int_equal(beam_paper_solve(paper, 0, 1, out, narrow, &result, &status, NULL, NULL, &err),
                     BEAM_E_INVALID);
    beam_design *fine = test_design_new(&scene->dims, -1);
    assert_int_equal(beam_paper_solve(paper, 0, 1, out, fine, &result, &status, NULL, NULL, &err),
                     BEAM_E_INVALID);
    assert_string_equal(err.field, "start");
    test_design_free(fine);
    test_design_free(out);
    test_design_free(narrow);
    test_scene_free(scene);
    test_scene_free(other);
    free(memory);
}

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (int i = BEAM_PAPER_CRITICAL; i <= BEAM_PAPER_NUMERIC; i++) {
        assert_string_not_equal(beam_paper_status_text((beam_paper_status)i), "unknown status");
    }
    assert_string_equal(beam_paper_status_text((beam_paper_status)77), "unknown status");
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
        cmocka_unit_test(time_limit_returns_the_best_so_far),
        cmocka_unit_test(start_is_used_and_never_worsened),
        cmocka_unit_test(dark_start_is_lit),
        cmocka_unit_test(same_input_gives_the_same_bits),
        cmocka_unit_test(degenerate_radius_zero),
        cmocka_unit_test(degenerate_some_radii_zero),
        cmocka_unit_test(degenerate_zero_users),
        cmocka_unit_test(degenerate_one_user),
        cmocka_unit_test(degenerate_one_station),
        cmocka_unit_test(degenerate_one_antenna),
        cmocka_unit_test(degenerate_overload),
        cmocka_unit_test(one_preference_has_no_cone),
        cmocka_unit_test(refuses_options_out_of_range_by_name),
        cmocka_unit_test(refuses_wrong_calls),
        cmocka_unit_test(every_status_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
