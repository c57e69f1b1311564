/* One test per degenerate case, by name, against closed forms where they exist. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"

static void near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b)) + 1e-300)) {
        fail_msg("%.15g and %.15g differ", a, b);
    }
}

/* Evaluates with all gradients and refuses anything that is not finite. */
static beam_quality *evaluate(const beam_scene *scene, const beam_design *design)
{
    beam_error err = {0};
    beam_quality *q = test_memory(sizeof *q);
    beam_evaluator *evaluator = test_evaluator_new(&scene->dims, design->sensing_max);
    test_must(beam_evaluator_load(evaluator, scene, &err), &err, "load");
    test_must(beam_evaluator_run(evaluator, design, q, &err), &err, "run");
    assert_true(isfinite(q->wsr_nominal_bps_hz) && isfinite(q->wsr_worst_case_bps_hz));
    assert_true(isfinite(q->crlb_m2) && isfinite(q->power_excess));
    assert_true(q->crlb_valid ? q->crlb_m2 > 0 : q->crlb_m2 == 0);
    for (int u = 0; u < scene->dims.users; u++) {
        assert_true(isfinite(q->user_sinr_worst_case[u]) && q->user_sinr_worst_case[u] >= 0);
        assert_true(q->user_sinr_worst_case[u] <= q->user_sinr_nominal[u] * (1 + 1e-12));
    }
    for (int j = 0; j < scene->dims.targets; j++) {
        assert_true(isfinite(q->target_rms_m[j]) && isfinite(q->target_echo_snr_db[j]));
    }
    beam_design *wsr = test_design_new(&scene->dims, design->sensing_max);
    beam_design *crlb = test_design_new(&scene->dims, design->sensing_max);
    test_must(beam_evaluator_gradient(evaluator, design, wsr, q->crlb_valid ? crlb : NULL, &err),
              &err, "gradient");
    assert_true(isfinite(test_design_norm(wsr)) && isfinite(test_design_norm(crlb)));
    test_design_free(wsr);
    test_design_free(crlb);
    test_evaluator_free(evaluator);
    return q;
}

static beam_scene *scene_of(uint64_t seed, int L, int N, int U, int J)
{
    test_random random = test_random_new(seed);
    const beam_dims dims = {.stations = L, .antennas = N, .users = U, .targets = J};
    return test_random_scene(&random, &dims, 0.1);
}

static beam_design *design_of(uint64_t seed, const beam_scene *scene, int columns)
{
    test_random random = test_random_new(seed + 10000);
    return test_random_design(&random, scene, columns);
}

static double norm_of(const beam_complex *row, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += row[i].re * row[i].re + row[i].im * row[i].im;
    }
    return sqrt(sum);
}

/* |a^H b| */
static double inner_of(const beam_complex *a, const beam_complex *b, int n)
{
    double re = 0, im = 0;
    for (int i = 0; i < n; i++) {
        re += a[i].re * b[i].re + a[i].im * b[i].im;
        im += a[i].re * b[i].im - a[i].im * b[i].re;
    }
    return hypot(re, im);
}

static void test_zero_users(void **state)
{
    (void)state;
    beam_scene *s = scene_of(1, 3, 4, 0, 2);
    beam_design *d = design_of(1, s, -1);
    beam_quality *q = evaluate(s, d);
    assert_true(q->wsr_nominal_bps_hz == 0 && q->wsr_worst_case_bps_hz == 0);
    assert_true(q->crlb_valid && q->users_below_floor == 0 && q->shortfall_bps_hz == 0);
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

static void test_zero_radius(void **state)
{
    (void)state;
    beam_scene *s = scene_of(2, 3, 4, 5, 2);
    beam_design *d = design_of(2, s, -1);
    memset(s->error_radius, 0, 15 * sizeof(double));
    beam_quality *q = evaluate(s, d);
    for (int u = 0; u < 5; u++) {
        near(q->user_sinr_worst_case[u], q->user_sinr_nominal[u], 1e-12);
    }
    near(q->wsr_worst_case_bps_hz, q->wsr_nominal_bps_hz, 1e-12);
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

/* Radii next to zero, denormal ones too, are exact knowledge to rounding and overflow nothing. */
static void test_vanishing_radii(void **state)
{
    (void)state;
    static const double radii[] = {5e-324, 1e-300, 1e-200, 1e-120, 1e-80,
                                   1e-60,  1e-45,  1e-40,  1e-30};
    for (uint64_t seed = 60; seed < 66; seed++) {
        beam_scene *s = scene_of(seed, 3, 4, 5, 2);
        beam_design *d = design_of(seed, s, -1);
        for (size_t i = 0; i < sizeof radii / sizeof radii[0]; i++) {
            for (int k = 0; k < 15; k++) {
                s->error_radius[k] = radii[i];
            }
            beam_quality *q = evaluate(s, d);
            for (int u = 0; u < 5; u++) {
                near(q->user_sinr_worst_case[u], q->user_sinr_nominal[u], 1e-12);
            }
            free(q);
        }
        test_design_free(d);
        test_scene_free(s);
    }
}

/* A radius beyond the channel reaches zero: the signal can be nulled unless that also nulls the
 * interference less. */
static void test_radius_beyond_the_channel(void **state)
{
    (void)state;
    beam_scene *s = scene_of(3, 2, 4, 2, 1);
    beam_design *d = design_of(3, s, -1);
    for (int u = 0; u < 2; u++) {
        *test_radius(s, s->user_station[u], u) =
            1.01 * norm_of(test_channel(s, s->user_station[u], u), 4);
    }
    beam_quality *q = evaluate(s, d);
    for (int u = 0; u < 2; u++) {
        assert_true(q->user_sinr_worst_case[u] <= 1e-12);
        assert_true(q->user_sinr_nominal[u] > 0);
    }
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

/* N = 1: scalars. Signal and own-cell terms both grow with |x|, and so does their ratio: |x| = (|h|
 * - eps)+. */
static void test_one_antenna(void **state)
{
    (void)state;
    beam_scene *s = scene_of(4, 3, 1, 4, 2);
    beam_design *d = design_of(4, s, -1);
    beam_quality *q = evaluate(s, d);
    for (int u = 0; u < 4; u++) {
        double den = s->user_noise_w[u], signal = 0;
        for (int l = 0; l < 3; l++) {
            const double h = norm_of(test_channel(s, l, u), 1), eps = *test_radius(s, l, u);
            const double power = beam_design_power_w(d, s->user_station, l);
            if (l == s->user_station[u]) {
                const double x2 = pow(fmax(h - eps, 0), 2);
                signal = x2 * pow(norm_of(test_beam(d, u), 1), 2);
                den += x2 * power - signal;
            } else {
                den += pow(h + eps, 2) * power;
            }
        }
        near(q->user_sinr_worst_case[u], signal / den, 1e-11);
    }
    assert_false(q->crlb_valid); /* one antenna has no angle */
    for (int j = 0; j < 2; j++) {
        assert_int_equal(q->target_state[j], BEAM_TARGET_UNIDENTIFIABLE_GEOMETRY);
        assert_true(q->target_rms_m[j] == 0);
    }
    free(q);
    /* delays locate it */
    s->sensing = BEAM_SENSING_BAND;
    s->bandwidth_hz = 100e6;
    q = evaluate(s, d);
    assert_true(q->crlb_valid);
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

static void test_one_station(void **state)
{
    (void)state;
    beam_scene *s = scene_of(5, 1, 5, 2, 1);
    beam_design *d = design_of(5, s, -1);
    beam_quality *q = evaluate(s, d);
    assert_false(q->crlb_valid);
    assert_int_equal(q->target_state[0], BEAM_TARGET_UNIDENTIFIABLE_GEOMETRY);
    assert_true(q->wsr_worst_case_bps_hz > 0); /* the rate is served all the same */
    free(q);
    s->sensing = BEAM_SENSING_COHERENT;
    q = evaluate(s, d);
    assert_false(q->crlb_valid);
    free(q);
    s->sensing = BEAM_SENSING_BAND; /* an angle and a delay */
    s->bandwidth_hz = 50e6;
    q = evaluate(s, d);
    assert_true(q->crlb_valid);
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

static void place(double *at, double x, double y)
{
    at[0] = x;
    at[1] = y;
}

/* Two stations see a target on their baseline along one line: the distance along it is not
 * observable. */
static void test_target_on_the_baseline(void **state)
{
    (void)state;
    beam_scene *s = scene_of(6, 2, 5, 1, 2);
    beam_design *d = design_of(6, s, -1);
    place(s->station_position_m, -50, 0);
    place(s->station_position_m + 2, 70, 0);
    s->station_axis_rad[0] = 1.3;
    s->station_axis_rad[1] = 1.9;
    place(s->target_position_m, 5, 0);
    place(s->target_position_m + 2, 4, 9);
    beam_quality *q = evaluate(s, d);
    assert_false(q->crlb_valid);
    assert_int_equal(q->target_state[0], BEAM_TARGET_UNIDENTIFIABLE_GEOMETRY);
    assert_int_equal(q->target_state[1], BEAM_TARGET_OK);
    free(q);
    s->skip_unidentifiable = true; /* the other target alone */
    q = evaluate(s, d);
    assert_true(q->crlb_valid);
    near(q->crlb_m2, q->target_rms_m[1] * q->target_rms_m[1], 1e-12);
    assert_int_equal(q->target_state[0], BEAM_TARGET_UNIDENTIFIABLE_GEOMETRY);
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

/* Endfire: the station's angle does not change with the position, grad omega = 0. The others locate
 * the target; with only one other it is lost. */
static void test_target_on_the_array_axis(void **state)
{
    (void)state;
    for (int L = 3; L >= 2; L--) {
        beam_scene *s = scene_of(7, L, 5, 1, 1);
        beam_design *d = design_of(7, s, -1);
        const double dx = s->target_position_m[0] - s->station_position_m[0];
        const double dy = s->target_position_m[1] - s->station_position_m[1];
        s->station_axis_rad[0] = atan2(dy, dx);
        beam_quality *q = evaluate(s, d);
        if (L == 3) {
            assert_true(q->crlb_valid && isfinite(q->crlb_m2));
        } else {
            assert_false(q->crlb_valid);
            assert_int_equal(q->target_state[0], BEAM_TARGET_UNIDENTIFIABLE_GEOMETRY);
        }
        free(q);
        test_design_free(d);
        test_scene_free(s);
    }
}

/* One beam per station and no sensing: R_l of rank one. Every term has a closed form: the own cell
 * (|h^H v| - eps |v|)+^2 without own interference, cross (|h^H v| + eps |v|)^2. */
static void test_rank_one_covariance(void **state)
{
    (void)state;
    beam_scene *s = scene_of(8, 3, 4, 3, 2);
    for (int u = 0; u < 3; u++) {
        s->user_station[u] = u;
    }
    beam_design *d = design_of(8, s, 0);
    beam_quality *q = evaluate(s, d);
    for (int u = 0; u < 3; u++) {
        double den = s->user_noise_w[u], signal = 0;
        for (int l = 0; l < 3; l++) {
            const beam_complex *v = test_beam(d, l), *h = test_channel(s, l, u);
            const double along = inner_of(h, v, 4), reach = *test_radius(s, l, u) * norm_of(v, 4);
            if (l == u) {
                signal = pow(fmax(along - reach, 0), 2);
            } else {
                den += pow(along + reach, 2);
                near(q->user_cross_w[u][l], pow(along + reach, 2), 1e-11);
            }
        }
        near(q->user_sinr_worst_case[u], signal / den, 1e-11);
        assert_true(q->user_own_cell_w[u] <= 1e-12 * den);
    }
    assert_true(q->crlb_valid); /* three transmitters: S = 0 each, the receive angles remain */
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

static void test_zero_channel_user(void **state)
{
    (void)state;
    beam_scene *s = scene_of(9, 3, 4, 4, 1);
    beam_design *d = design_of(9, s, -1);
    for (int l = 0; l < 3; l++) {
        memset(test_channel(s, l, 1), 0, 4 * sizeof(beam_complex));
    }
    beam_quality *q = evaluate(s, d);
    assert_true(q->user_sinr_nominal[1] == 0 && q->user_sinr_worst_case[1] == 0);
    for (int l = 0; l < 3;
         l++) { /* cross terms: eps^2 times the largest eigenvalue, at least the mean one */
        if (l != s->user_station[1]) {
            const double eps = *test_radius(s, l, 1);
            const double power = beam_design_power_w(d, s->user_station, l);
            assert_true(q->user_cross_w[1][l] <= eps * eps * power * (1 + 1e-12));
            assert_true(q->user_cross_w[1][l] >= eps * eps * power / 4 * (1 - 1e-12));
        }
    }
    free(q);
    memset(s->error_radius, 0, 12 * sizeof(double));
    q = evaluate(s, d);
    assert_true(q->user_sinr_worst_case[1] == 0);
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

static void test_zero_weight_user(void **state)
{
    (void)state;
    beam_scene *s = scene_of(10, 3, 4, 4, 1);
    beam_design *d = design_of(10, s, -1);
    beam_quality *a = evaluate(s, d);
    const double weight = s->user_weight[2];
    s->user_weight[2] = 0;
    beam_quality *b = evaluate(s, d);
    near(a->user_sinr_worst_case[2], b->user_sinr_worst_case[2], 1e-14);
    near(a->wsr_worst_case_bps_hz - weight * log2(1 + a->user_sinr_worst_case[2]),
         b->wsr_worst_case_bps_hz, 1e-12);
    for (int u = 0; u < 4; u++) {
        s->user_weight[u] = 0; /* nobody counts */
    }
    free(b);
    b = evaluate(s, d);
    assert_true(b->wsr_worst_case_bps_hz == 0 && b->wsr_nominal_bps_hz == 0);
    free(a);
    free(b);
    test_design_free(d);
    test_scene_free(s);
}

/* Two users of one cell on the very same channel with the very same beam: each is the other's
 * interference. */
static void test_coincident_channels(void **state)
{
    (void)state;
    beam_scene *s = scene_of(11, 2, 4, 2, 1);
    s->user_station[0] = s->user_station[1] = 0;
    beam_design *d = design_of(11, s, 0);
    memcpy(test_beam(d, 1), test_beam(d, 0), 4 * sizeof(beam_complex));
    for (int l = 0; l < 2; l++) {
        memcpy(test_channel(s, l, 1), test_channel(s, l, 0), 4 * sizeof(beam_complex));
        *test_radius(s, l, 1) = *test_radius(s, l, 0) = 0.2 * norm_of(test_channel(s, l, 0), 4);
    }
    s->user_noise_w[1] = s->user_noise_w[0];
    beam_quality *q = evaluate(s, d);
    /* No rows at station 1: no cross term. */
    const double along = inner_of(test_channel(s, 0, 0), test_beam(d, 0), 4);
    const double reach = *test_radius(s, 0, 0) * norm_of(test_beam(d, 0), 4);
    const double signal = pow(fmax(along - reach, 0), 2);
    for (int u = 0; u < 2; u++) {
        near(q->user_sinr_worst_case[u], signal / (signal + s->user_noise_w[0]), 1e-11);
    }
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

static void test_zero_beams(void **state)
{
    (void)state;
    beam_scene *s = scene_of(12, 3, 4, 3, 2);
    for (int columns = 0; columns <= 4; columns += 2) {
        beam_design *d = test_design_new(&s->dims, columns);
        for (int l = 0; l < 3; l++) {
            d->sensing_count[l] = columns; /* columns in use, all zero */
        }
        beam_quality *q = evaluate(s, d);
        assert_true(q->wsr_worst_case_bps_hz == 0 && q->wsr_nominal_bps_hz == 0);
        assert_false(q->crlb_valid);
        assert_int_equal(q->target_state[0], BEAM_TARGET_UNIDENTIFIABLE_DESIGN);
        free(q);
        test_design_free(d);
    }
    test_scene_free(s);
}

/* A station that is switched off, and one user's beam alone. */
static void test_silent_station(void **state)
{
    (void)state;
    beam_scene *s = scene_of(13, 3, 4, 5, 2);
    beam_design *d = design_of(13, s, -1);
    memset(test_sensing(d, 1, 0), 0, (size_t)d->sensing_max * 4 * sizeof(beam_complex));
    for (int u = 0; u < 5; u++) {
        if (s->user_station[u] == 1) {
            memset(test_beam(d, u), 0, 4 * sizeof(beam_complex));
        }
    }
    beam_quality *q = evaluate(s, d);
    assert_true(q->station_power_w[1] == 0 && q->crlb_valid);
    for (int u = 0; u < 5; u++) {
        if (s->user_station[u] == 1) {
            assert_true(q->user_sinr_worst_case[u] == 0);
        } else {
            assert_true(q->user_cross_w[u][1] == 0);
        }
    }
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

/* Hard case of the cross term: h without component along the top eigenvector. R = diag(r0, r1), h =
 * (0, k): by hand, x = (sqrt(eps^2 - y^2), k + y), y = r1 k/(r0 - r1) while y <= eps. */
static void test_hard_case_of_a_cross_term(void **state)
{
    (void)state;
    beam_scene *s = scene_of(14, 2, 2, 1, 1);
    beam_design *d = test_design_new(&s->dims, 2);
    const double r0 = 4, r1 = 1, eps = 1e-6;
    s->user_station[0] = 0;
    test_beam(d, 0)[0].re = 1;
    d->sensing_count[1] = 2;
    test_sensing(d, 1, 0)[0].re = sqrt(r0);
    test_sensing(d, 1, 1)[1].im = sqrt(r1);
    *test_radius(s, 1, 0) = eps;
    const double ks[] = {0, 1e-9, 1e-6, 2.9e-6, 3e-6, 3.1e-6, 1e-5};
    for (size_t i = 0; i < sizeof ks / sizeof ks[0]; i++) {
        const double k = ks[i], y = fmin(r1 * k / (r0 - r1), eps);
        const double expected = r0 * (eps * eps - y * y) + r1 * (k + y) * (k + y);
        test_channel(s, 1, 0)[0] = (beam_complex){0, 0};
        test_channel(s, 1, 0)[1] = (beam_complex){0.6 * k, -0.8 * k};
        beam_quality *q = evaluate(s, d);
        near(q->user_cross_w[0][1], expected, 1e-12);
        free(q);
        /* next to the hard case the value is continuous */
        test_channel(s, 1, 0)[0].re = 1e-18;
        q = evaluate(s, d);
        near(q->user_cross_w[0][1], expected, 1e-9);
        free(q);
    }
    test_design_free(d);
    test_scene_free(s);
}

/* Hard case of the own cell: R_l isotropic but for the user's beam, h orthogonal to part of the
 * space, found by a fine grid over the only two directions that matter. v along the first axis,
 * interference q along the second: the adversary trades nulling the signal (radius a) against
 * raising the interference (radius b), a^2 + b^2 = eps^2. */
static void test_hard_case_of_the_own_cell(void **state)
{
    (void)state;
    beam_scene *s = scene_of(15, 1, 3, 1, 1);
    beam_design *d = test_design_new(&s->dims, 1);
    const double noise = s->user_noise_w[0], k = 1e-5;
    s->user_station[0] = 0;
    test_beam(d, 0)[0].re = 1.5;
    d->sensing_count[0] = 1;
    test_sensing(d, 0, 0)[1].re = 2;
    test_channel(s, 0, 0)[0] = (beam_complex){0, k}; /* nothing along the interference */
    test_channel(s, 0, 0)[1] = (beam_complex){0, 0};
    test_channel(s, 0, 0)[2] = (beam_complex){3e-6, 0}; /* nothing is sent there */
    const double radii[] = {1e-8, 1e-6, 3e-6, 9e-6};
    for (size_t i = 0; i < sizeof radii / sizeof radii[0]; i++) {
        const double eps = radii[i];
        double best = INFINITY;
        for (int step = 0; step <= 2000000; step++) {
            const double angle = 1.5707963267948966 * step / 2000000;
            const double a = k - eps * cos(angle), b = eps * sin(angle);
            const double ratio = 2.25 * a * a / (4 * b * b + noise);
            best = ratio < best ? ratio : best;
        }
        *test_radius(s, 0, 0) = eps;
        beam_quality *q = evaluate(s, d);
        near(q->user_sinr_worst_case[0], best, 1e-9);
        assert_true(q->user_sinr_worst_case[0] <= best * (1 + 1e-12));
        free(q);
    }
    test_design_free(d);
    test_scene_free(s);
}

/* All eigenvalues of every R_l equal: isotropic sensing alone, and with one beam per station. */
static void test_isotropic_covariance(void **state)
{
    (void)state;
    beam_scene *s = scene_of(16, 2, 4, 2, 1);
    s->user_station[0] = 0;
    s->user_station[1] = 1;
    beam_design *d = test_design_new(&s->dims, 4);
    for (int l = 0; l < 2; l++) {
        d->sensing_count[l] = 4;
        for (int k = 0; k < 4; k++) {
            test_sensing(d, l, k)[k].re = 0.5;
        }
    }
    for (int beams = 0; beams < 2; beams++) {
        beam_quality *q = evaluate(s, d);
        for (int u = 0; u < 2; u++) {
            const int other = 1 - u;
            const double reach = norm_of(test_channel(s, other, u), 4) + *test_radius(s, other, u);
            if (beams == 0) {
                near(q->user_cross_w[u][other], 0.25 * reach * reach, 1e-12);
                assert_true(q->user_sinr_worst_case[u] == 0);
            } else {
                /* own cell by the same grid idea: v along h, so the error acts along h or across it
                 */
                const double h = norm_of(test_channel(s, u, u), 4), eps = *test_radius(s, u, u);
                const double I = s->user_noise_w[u] + q->user_cross_w[u][other];
                double best = INFINITY;
                for (int step = 0; step <= 1000000; step++) {
                    const double angle = 1.5707963267948966 * step / 1000000;
                    const double a = h - eps * cos(angle), b = eps * sin(angle);
                    best = fmin(best, a * a / (0.25 * (a * a + b * b) + I));
                }
                near(q->user_sinr_worst_case[u], best, 1e-9);
            }
        }
        free(q);
        for (int u = 0; u < 2; u++) { /* unit beam along the own channel, for the second round */
            const double size = norm_of(test_channel(s, u, u), 4);
            for (int n = 0; n < 4; n++) {
                const beam_complex h = test_channel(s, u, u)[n];
                test_beam(d, u)[n] = (beam_complex){h.re / size, h.im / size};
            }
        }
    }
    test_design_free(d);
    test_scene_free(s);
}

/* Zero-forcing among orthogonal users at equal powers: the top eigenvalues of R_l are tied, and the
 * estimate lies along the user's own beam, across all others. Whichever of the tied rows the beam
 * is, the adversary shortens the estimate by a and lights another beam by b, a^2 + b^2 = eps^2. */
static void test_tied_eigenvalues_in_the_hard_case(void **state)
{
    (void)state;
    enum { N = 5, U = 3 };
    static const int axis[U] = {3, 4, 0};
    beam_scene *s = scene_of(17, 1, N, U, 1);
    beam_design *d = test_design_new(&s->dims, 0);
    const double k = 1e-4, power = 10.0 / 3;
    for (int u = 0; u < U; u++) {
        s->user_station[u] = 0;
        memset(test_channel(s, 0, u), 0, N * sizeof(beam_complex));
        test_channel(s, 0, u)[axis[u]] = (beam_complex){0.6 * k, 0.8 * k};
        test_beam(d, u)[axis[u]].re = sqrt(power);
    }
    for (double share = 1e-4; share < 1; share *= 9) {
        const double eps = share * k;
        for (int u = 0; u < U; u++) {
            *test_radius(s, 0, u) = eps;
        }
        beam_quality *q = evaluate(s, d);
        for (int u = 0; u < U; u++) {
            double best = INFINITY;
            for (int step = 0; step <= 1000000; step++) {
                const double angle = 1.5707963267948966 * step / 1000000;
                const double a = k - eps * cos(angle), b = eps * sin(angle);
                best = fmin(best, power * a * a / (power * b * b + s->user_noise_w[u]));
            }
            near(q->user_sinr_worst_case[u], best, 1e-9);
        }
        free(q);
    }
    test_design_free(d);
    test_scene_free(s);
}

/* Two users on one channel with one beam each, powers apart in the last digit only, beside a user
 * across: parallel rows must meet in the decomposition whatever order their powers put them in. By
 * hand: user 1 loses a along its channel to b across it, a^2 + b^2 = eps^2, where the others send.
 */
static void test_parallel_beams_of_almost_equal_power(void **state)
{
    (void)state;
    enum { N = 7, U = 5 };
    static const int axis[U] = {4, 5, 5, 2, 2};
    static const double last_digit[][U] = {
        {0, 0, 1, -1, 1}, {0, 0, 0, 0, 0}, {2, 1, 0, -1, -2}, {-2, -1, 0, 1, 2}, {1, 0, 2, 0, 2}};
    beam_scene *s = scene_of(18, 1, N, U, 1);
    beam_design *d = test_design_new(&s->dims, 0);
    const double k = 1e-4, eps = 0.76855e-4;
    for (int u = 0; u < U; u++) {
        s->user_station[u] = 0;
        memset(test_channel(s, 0, u), 0, N * sizeof(beam_complex));
        test_channel(s, 0, u)[axis[u]].re = k;
        *test_radius(s, 0, u) = eps;
    }
    for (size_t i = 0; i < sizeof last_digit / sizeof last_digit[0]; i++) {
        for (int u = 0; u < U; u++) {
            test_beam(d, u)[axis[u]].re = 2 + 4.5e-16 * last_digit[i][u];
        }
        beam_quality *q = evaluate(s, d);
        double best = INFINITY;
        for (int step = 0; step <= 1000000; step++) {
            const double angle = 1.5707963267948966 * step / 1000000;
            const double a = k - eps * cos(angle), b = eps * sin(angle);
            best = fmin(best, 4 * a * a / (4 * a * a + 8 * b * b + s->user_noise_w[1]));
        }
        near(q->user_sinr_worst_case[1], best, 1e-9);
        free(q);
    }
    test_design_free(d);
    test_scene_free(s);
}

/* A ball that reaches x^H v = 0 means a worst case of exactly zero, not of a small number. */
static void test_a_null_within_reach_is_exactly_zero(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        beam_scene *s = scene_of(seed + 40, 2, 4, 4, 1);
        beam_design *d = design_of(seed + 40, s, -1);
        for (int u = 0; u < 4; u++) {
            const int l = s->user_station[u];
            const double reach =
                inner_of(test_channel(s, l, u), test_beam(d, u), 4) / norm_of(test_beam(d, u), 4);
            *test_radius(s, l, u) = reach * (u < 2 ? 1 + 1e-9 : 0.9);
        }
        beam_quality *q = evaluate(s, d);
        for (int u = 0; u < 4; u++) {
            assert_true(u < 2 ? q->user_sinr_worst_case[u] == 0 && q->user_signal_w[u] == 0
                              : q->user_sinr_worst_case[u] > 0);
        }
        free(q);
        test_design_free(d);
        test_scene_free(s);
    }
}

/* The CRLB has degree -2 in the amplitudes, so <gradient, design> = -2 CRLB: also where the square
 * of an information determinant overflows. */
static void test_the_gradient_survives_extreme_information(void **state)
{
    (void)state;
    beam_error err = {0};
    static const double snapshots[] = {256, 1e18}, noise[] = {1e-12, 1e-30}, size[] = {1, 1e14},
                        power[] = {10, 1e30};
    for (int i = 0; i < 2; i++) {
        beam_scene *s = scene_of(30, 3, 4, 2, 2);
        s->snapshots = snapshots[i];
        for (int l = 0; l < 3; l++) {
            s->station_echo_noise_w[l] = noise[i];
            s->station_power_w[l] = power[i];
        }
        beam_design *d = design_of(30, s, -1), *g = test_design_new(&s->dims, -1);
        test_design_step(d, d, sqrt(power[i]) / 100, d); /* random rows are a few watt */
        for (int k = 0; k < 18; k++) {
            s->reflection[k].re *= size[i];
            s->reflection[k].im *= size[i];
        }
        beam_quality *q = evaluate(s, d);
        beam_evaluator *evaluator = test_evaluator_new(&s->dims, d->sensing_max);
        assert_true(q->crlb_valid);
        test_must(beam_evaluator_load(evaluator, s, &err), &err, "load");
        test_must(beam_evaluator_gradient(evaluator, d, NULL, g, &err), &err, "gradient");
        near(test_design_inner(g, d), -2 * q->crlb_m2, 1e-9);
        test_evaluator_free(evaluator);
        free(q);
        test_design_free(d);
        test_design_free(g);
        test_scene_free(s);
    }
}

/* Minimum rates: who is below, and by how much in all. */
static void test_floors_are_reported(void **state)
{
    (void)state;
    beam_scene *s = scene_of(17, 3, 4, 3, 1);
    beam_design *d = design_of(17, s, -1);
    beam_quality *q = evaluate(s, d);
    const double rate0 = q->user_rate_worst_case_bps_hz[0],
                 rate2 = q->user_rate_worst_case_bps_hz[2];
    assert_int_equal(q->users_below_floor, 0);
    s->user_min_rate_bps_hz[0] = rate0 + 0.5;
    s->user_min_rate_bps_hz[1] = 0.5 * q->user_rate_worst_case_bps_hz[1];
    s->user_min_rate_bps_hz[2] = rate2 + 2;
    free(q);
    q = evaluate(s, d);
    assert_int_equal(q->users_below_floor, 2);
    near(q->shortfall_bps_hz, 2.5, 1e-11);
    free(q);
    test_design_free(d);
    test_scene_free(s);
}

/* Designs the evaluator must refuse with a code, never with a number. */
static void test_designs_that_are_refused(void **state)
{
    (void)state;
    beam_error err = {0};
    beam_scene *s = scene_of(18, 3, 4, 3, 1), *fewer = scene_of(18, 3, 4, 2, 1);
    beam_design *d = design_of(18, s, -1), *wrong = design_of(18, fewer, -1);
    beam_quality *q = test_memory(sizeof *q);
    beam_evaluator *evaluator = test_evaluator_new(&s->dims, d->sensing_max);
    assert_int_not_equal(beam_evaluator_run(evaluator, d, q, &err), BEAM_OK); /* nothing loaded */
    test_must(beam_evaluator_load(evaluator, s, &err), &err, "load");
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        const double keep = test_beam(d, 1)[2].im;
        test_beam(d, 1)[2].im = bad[i];
        assert_int_equal(beam_evaluator_run(evaluator, d, q, &err), BEAM_E_INVALID);
        test_beam(d, 1)[2].im = keep;
        test_sensing(d, 2, 1)[0].re = bad[i];
        assert_int_equal(beam_evaluator_run(evaluator, d, q, &err), BEAM_E_INVALID);
        assert_int_equal(beam_evaluator_gradient(evaluator, d, NULL, NULL, &err), BEAM_E_INVALID);
        test_sensing(d, 2, 1)[0].re = 0.1;
    }
    assert_int_equal(beam_evaluator_run(evaluator, wrong, q, &err), BEAM_E_INVALID);
    d->sensing_count[1] = d->sensing_max + 1;
    assert_int_equal(beam_evaluator_run(evaluator, d, q, &err), BEAM_E_INVALID);
    d->sensing_count[1] = -1;
    assert_int_equal(beam_evaluator_run(evaluator, d, q, &err), BEAM_E_INVALID);
    d->sensing_count[1] = 0;
    assert_int_equal(beam_evaluator_run(evaluator, d, q, &err), BEAM_OK);
    s->user_noise_w[0] = NAN; /* a bad scene leaves the last one loaded */
    assert_int_equal(beam_evaluator_load(evaluator, s, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "users[0].noise_w");
    assert_int_equal(beam_evaluator_run(evaluator, d, q, &err), BEAM_OK);
    test_evaluator_free(evaluator);
    free(q);
    test_design_free(d);
    test_design_free(wrong);
    test_scene_free(s);
    test_scene_free(fewer);
}

/* The largest and smallest accepted values produce numbers or codes, never a NaN. */
static void test_extreme_scales(void **state)
{
    (void)state;
    static const double scales[] = {1e-150, 1e-30, 1e-12, 1e6, 1e15};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        beam_scene *s = scene_of(19, 3, 4, 3, 2);
        beam_design *d = design_of(19, s, -1);
        for (int k = 0; k < 3 * 3 * 4; k++) {
            s->channel[k].re *= scales[i];
            s->channel[k].im *= scales[i];
        }
        for (int k = 0; k < 9; k++) {
            s->error_radius[k] *= scales[i];
        }
        for (int k = 0; k < 3 * 2 * 3; k++) {
            s->reflection[k].re *= scales[i];
            s->reflection[k].im *= scales[i];
        }
        if (beam_scene_validate(s, NULL) == BEAM_OK) {
            beam_error err = {0};
            beam_quality *q = test_memory(sizeof *q);
            beam_evaluator *evaluator = test_evaluator_new(&s->dims, d->sensing_max);
            test_must(beam_evaluator_load(evaluator, s, &err), &err, "load");
            const beam_code code = beam_evaluator_run(evaluator, d, q, &err);
            assert_true(code == BEAM_OK || code == BEAM_E_NUMERIC);
            if (code == BEAM_OK) {
                assert_true(isfinite(q->wsr_worst_case_bps_hz) && isfinite(q->crlb_m2));
                assert_true(q->wsr_worst_case_bps_hz >= 0);
            }
            test_evaluator_free(evaluator);
            free(q);
        } else {
            assert_true(scales[i] > 1e10); /* only the largest is refused */
        }
        test_design_free(d);
        test_scene_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_users),
        cmocka_unit_test(test_zero_radius),
        cmocka_unit_test(test_vanishing_radii),
        cmocka_unit_test(test_radius_beyond_the_channel),
        cmocka_unit_test(test_one_antenna),
        cmocka_unit_test(test_one_station),
        cmocka_unit_test(test_target_on_the_baseline),
        cmocka_unit_test(test_target_on_the_array_axis),
        cmocka_unit_test(test_rank_one_covariance),
        cmocka_unit_test(test_zero_channel_user),
        cmocka_unit_test(test_zero_weight_user),
        cmocka_unit_test(test_coincident_channels),
        cmocka_unit_test(test_zero_beams),
        cmocka_unit_test(test_silent_station),
        cmocka_unit_test(test_hard_case_of_a_cross_term),
        cmocka_unit_test(test_hard_case_of_the_own_cell),
        cmocka_unit_test(test_isotropic_covariance),
        cmocka_unit_test(test_tied_eigenvalues_in_the_hard_case),
        cmocka_unit_test(test_parallel_beams_of_almost_equal_power),
        cmocka_unit_test(test_a_null_within_reach_is_exactly_zero),
        cmocka_unit_test(test_the_gradient_survives_extreme_information),
        cmocka_unit_test(test_floors_are_reported),
        cmocka_unit_test(test_designs_that_are_refused),
        cmocka_unit_test(test_extreme_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
