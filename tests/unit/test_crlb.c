/* The Cramer-Rao bound as a function of Gram matrices (engine/model/crlb.h): what can be located,
 * gradients, scaling, limits between the models, targets left out. Golden values are compared in
 * tests/golden. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "model/crlb.h"

static const double pi = 3.14159265358979323846;

typedef struct fixture {
    beam_crlb c;
    void *memory;
    int n;       /* 2J */
    size_t size; /* entries of a Gram array */
    beam_complex *gram, *T;
} fixture;

static fixture fixture_new(const beam_scene *scene)
{
    fixture f = {.n = 2 * scene->dims.targets};
    beam_error err = {0};
    test_must(beam_scene_validate(scene, &err), &err, "scene");
    beam_arena arena = {0};
    beam_crlb_carve(&f.c, &arena, scene->dims.stations, scene->dims.targets);
    f.memory = test_memory(arena.used);
    arena = (beam_arena){.base = f.memory};
    beam_crlb_carve(&f.c, &arena, scene->dims.stations, scene->dims.targets);
    beam_crlb_load(&f.c, scene);
    f.size = (size_t)(scene->dims.stations * f.n * f.n);
    f.gram = test_memory(f.size * sizeof *f.gram);
    f.T = test_memory(f.size * sizeof *f.T);
    memset(f.gram, 0, f.size * sizeof *f.gram);
    return f;
}

static void fixture_free(fixture *f)
{
    free(f->memory);
    free(f->gram);
    free(f->T);
}

/* t[q][n]: a(p_0), D a(p_0), ... of station l, written from the definition. */
static void directions(const beam_scene *s, int l, beam_complex *t)
{
    const int N = s->dims.antennas;
    const double ex = cos(s->station_axis_rad[l]), ey = sin(s->station_axis_rad[l]);
    for (int j = 0; j < s->dims.targets; j++) {
        const double ux = s->target_position_m[2 * j] - s->station_position_m[2 * l];
        const double uy = s->target_position_m[2 * j + 1] - s->station_position_m[2 * l + 1];
        const double omega = pi * (ux * ex + uy * ey) / sqrt(ux * ux + uy * uy);
        for (int n = 0; n < N; n++) {
            const double nu = n - 0.5 * (N - 1);
            const beam_complex a = {cos(nu * omega), sin(nu * omega)};
            t[(2 * j) * N + n] = a;
            t[(2 * j + 1) * N + n] = (beam_complex){nu * a.re, nu * a.im};
        }
    }
}

/* gram += t^H w w^H t of station l. */
static void light(fixture *f, const beam_scene *s, int l, const beam_complex *w)
{
    beam_complex t[2 * 4 * 8], z[8];
    const int N = s->dims.antennas;
    assert_true(N <= 8 && f->n <= 8);
    directions(s, l, t);
    for (int q = 0; q < f->n; q++) {
        z[q] = (beam_complex){0, 0};
        for (int n = 0; n < N; n++) {
            const beam_complex a = t[q * N + n];
            z[q].re += a.re * w[n].re + a.im * w[n].im;
            z[q].im += a.re * w[n].im - a.im * w[n].re;
        }
    }
    for (int p = 0; p < f->n; p++) {
        for (int q = 0; q < f->n; q++) {
            beam_complex *g = f->gram + (l * f->n + p) * f->n + q;
            g->re += z[p].re * z[q].re + z[p].im * z[q].im;
            g->im += z[p].im * z[q].re - z[p].re * z[q].im;
        }
    }
}

/* Gram matrices of `rank` random waveforms per station. */
static void light_randomly(fixture *f, const beam_scene *s, test_random *random, int rank)
{
    memset(f->gram, 0, f->size * sizeof *f->gram);
    for (int l = 0; l < s->dims.stations; l++) {
        for (int k = 0; k < rank; k++) {
            beam_complex w[8];
            for (int n = 0; n < s->dims.antennas; n++) {
                w[n] = test_random_complex(random);
            }
            light(f, s, l, w);
        }
    }
}

/* Isotropic: one waveform per antenna. */
static void light_evenly(fixture *f, const beam_scene *s)
{
    memset(f->gram, 0, f->size * sizeof *f->gram);
    for (int l = 0; l < s->dims.stations; l++) {
        for (int k = 0; k < s->dims.antennas; k++) {
            beam_complex w[8] = {{0, 0}};
            w[k].re = 1;
            light(f, s, l, w);
        }
    }
}

static void near(const char *what, double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b)))) {
        fail_msg("%s: %.17g and %.17g differ by more than %g", what, a, b, tolerance);
    }
}

static beam_scene *located_scene(test_random *random, beam_sensing_model model)
{
    beam_dims dims = test_random_dims(random, true);
    dims.stations = dims.stations < 2 ? 2 : dims.stations;
    dims.antennas = test_random_int(random, 6, 8); /* resolves up to three targets on every link */
    dims.targets = dims.targets > 3 ? 3 : dims.targets;
    beam_scene *scene = test_random_scene(random, &dims, 0.1);
    scene->sensing = model;
    scene->bandwidth_hz = 20e6;
    return scene;
}

/* -Re tr(T dS) is the derivative, for random Hermitian dS of the form of a change of waveforms;
 * tr(T S) = CRLB. */
static void test_gradient(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        test_random random = test_random_new(seed);
        beam_scene *scene = located_scene(&random, (beam_sensing_model)(seed % 3));
        fixture f = fixture_new(scene), other = fixture_new(scene);
        light_randomly(&f, scene, &random, scene->dims.antennas);
        light_randomly(&other, scene, &random, 2);
        const double value = beam_crlb_value(&f.c, f.gram, f.T, NULL);
        assert_true(isfinite(value) && value > 0);
        double slope = 0, identity = 0;
        for (int l = 0; l < scene->dims.stations; l++) {
            for (int p = 0; p < f.n; p++) {
                for (int q = 0; q < f.n; q++) {
                    const int pq = (l * f.n + p) * f.n + q, qp = (l * f.n + q) * f.n + p;
                    slope -= f.T[pq].re * other.gram[qp].re - f.T[pq].im * other.gram[qp].im;
                    identity += f.T[pq].re * f.gram[qp].re - f.T[pq].im * f.gram[qp].im;
                    near("T is Hermitian", f.T[pq].re, f.T[qp].re, 1e-12);
                }
            }
        }
        near("tr(T S)", identity, value, 1e-7);
        /* fourth-order differences; the step keeps S positive */
        const double h = 1e-4;
        double at[5];
        for (int k = -2; k <= 2; k++) {
            for (size_t i = 0; i < f.size; i++) {
                other.T[i].re = f.gram[i].re + h * k * other.gram[i].re;
                other.T[i].im = f.gram[i].im + h * k * other.gram[i].im;
            }
            at[k + 2] = beam_crlb_value(&f.c, other.T, NULL, NULL);
        }
        near("slope", (at[0] - 8 * at[1] + 8 * at[3] - at[4]) / (12 * h), slope, 1e-5);
        for (size_t i = 0; i < f.size; i++) {
            f.gram[i].re *= 2;
            f.gram[i].im *= 2;
        }
        near("homogeneous", beam_crlb_value(&f.c, f.gram, NULL, NULL), value / 2, 1e-8);
        fixture_free(&f);
        fixture_free(&other);
        test_scene_free(scene);
    }
}

/* One target: coherent is resolved. Bandwidth -> 0: band is coherent. Echoes that never overlap and
 * a single target: delays only add information. */
static void test_models_meet(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        test_random random = test_random_new(seed);
        beam_scene *scene = located_scene(&random, BEAM_SENSING_RESOLVED);
        fixture f = fixture_new(scene);
        light_randomly(&f, scene, &random, scene->dims.antennas);
        const double resolved = beam_crlb_value(&f.c, f.gram, NULL, NULL);
        scene->sensing = BEAM_SENSING_COHERENT;
        beam_crlb_load(&f.c, scene);
        const double coherent = beam_crlb_value(&f.c, f.gram, NULL, NULL);
        scene->sensing = BEAM_SENSING_BAND;
        scene->bandwidth_hz = 1;
        beam_crlb_load(&f.c, scene);
        near("no bandwidth", beam_crlb_value(&f.c, f.gram, NULL, NULL), coherent, 1e-7);
        scene->bandwidth_hz = 20e6;
        beam_crlb_load(&f.c, scene);
        const double band = beam_crlb_value(&f.c, f.gram, NULL, NULL);
        if (scene->dims.targets == 1) {
            near("one target", coherent, resolved, 1e-9);
            assert_true(band < resolved);
        } else {
            assert_true(coherent >= resolved * (1 - 1e-9)); /* others' echoes never help */
        }
        fixture_free(&f);
        test_scene_free(scene);
    }
}

/* Stations at (-80, 0) and (80, 0), arrays along y, targets as given. */
static beam_scene *line_scene(int stations, int antennas, int targets, const double *position_m)
{
    const beam_dims dims = {
        .stations = stations, .antennas = antennas, .users = 0, .targets = targets};
    beam_scene *s = test_scene_new(&dims);
    for (int l = 0; l < stations; l++) {
        s->station_position_m[2 * l] = l ? 80 : -80;
        s->station_axis_rad[l] = 0.5 * pi;
        s->station_power_w[l] = 10;
        s->station_echo_noise_w[l] = 1e-12;
    }
    memcpy(s->target_position_m, position_m, (size_t)(2 * targets) * sizeof(double));
    for (int l = 0; l < stations; l++) {
        for (int j = 0; j < targets; j++) {
            for (int m = 0; m < stations; m++) {
                *test_reflection(s, l, j, m) = (beam_complex){1e-7, 2e-8 * (l + 2 * m + j)};
            }
        }
    }
    return s;
}

static double isotropic_value(beam_scene *s, beam_sensing_model model, beam_target_state *first)
{
    s->sensing = model;
    s->bandwidth_hz = 20e6;
    fixture f = fixture_new(s);
    light_evenly(&f, s);
    double each[BEAM_MAX_TARGETS];
    const double value = beam_crlb_value(&f.c, f.gram, f.T, each);
    *first = f.c.geometry[0];
    assert_true((*first == BEAM_TARGET_OK) == (isfinite(each[0]) != 0));
    for (size_t i = 0; i < f.size; i++) {
        assert_true(isfinite(f.T[i].re) && isfinite(f.T[i].im));
    }
    fixture_free(&f);
    return value;
}

static void test_what_geometry_locates(void **state)
{
    (void)state;
    const struct {
        int stations, antennas;
        double x, y;
        bool angles, band;
    } cases[] = {
        {2, 4, 10, 5, true, true},    /* a triangle */
        {2, 4, 10, 0, false, true},   /* on the baseline: one angle, but a delay */
        {2, 4, 200, 0, false, true},  /* and beyond it */
        {1, 4, 10, 5, false, true},   /* one station */
        {2, 1, 10, 5, false, true},   /* one antenna each: two delays */
        {2, 1, 10, 0, false, false},  /* which say the same on the baseline */
        {1, 1, 10, 5, false, false},  /* one delay */
        {1, 4, -80, 9, false, false}, /* on the axis of the only array, where no angle changes */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double position[2] = {cases[i].x, cases[i].y};
        beam_scene *s = line_scene(cases[i].stations, cases[i].antennas, 1, position);
        for (int model = 0; model < 3; model++) {
            const bool located = model == BEAM_SENSING_BAND ? cases[i].band : cases[i].angles;
            beam_target_state geometry;
            const double value = isotropic_value(s, (beam_sensing_model)model, &geometry);
            if (geometry != (located ? BEAM_TARGET_OK : BEAM_TARGET_UNIDENTIFIABLE_GEOMETRY) ||
                (located ? !(value > 0) || isinf(value) : !isinf(value))) {
                fail_msg("case %zu model %d: state %d, CRLB %g", i, model, (int)geometry, value);
            }
        }
        test_scene_free(s);
    }
}

/* A tilted line: rounding must not turn the rank-one information into a number. */
static void test_tilted_baseline(void **state)
{
    (void)state;
    test_random random = test_random_new(7);
    for (int i = 0; i < 200; i++) {
        const double angle = test_random_between(&random, 0, 2 * pi),
                     at = test_random_between(&random, -60, 60);
        const double position[2] = {at * cos(angle), at * sin(angle)};
        beam_scene *s = line_scene(2, 5, 1, position);
        for (int l = 0; l < 2; l++) {
            s->station_position_m[2 * l] = (l ? 80 : -80) * cos(angle);
            s->station_position_m[2 * l + 1] = (l ? 80 : -80) * sin(angle);
            s->station_axis_rad[l] = test_random_between(&random, 0, 2 * pi);
        }
        beam_target_state geometry;
        assert_true(isinf(isotropic_value(s, BEAM_SENSING_RESOLVED, &geometry)));
        assert_true(isinf(isotropic_value(s, BEAM_SENSING_COHERENT, &geometry)));
        test_scene_free(s);
    }
}

static void test_left_out_on_request(void **state)
{
    (void)state;
    const double positions[4] = {10, 0, 4, 9}; /* the first is on the baseline */
    for (int model = 0; model < 2; model++) {
        beam_scene *s = line_scene(2, 6, 2, positions);
        s->sensing = (beam_sensing_model)model;
        fixture f = fixture_new(s);
        light_evenly(&f, s);
        double each[2];
        assert_int_equal(f.c.counted, 2);
        assert_true(isinf(beam_crlb_value(&f.c, f.gram, f.T, each)));
        s->skip_unidentifiable = true;
        beam_crlb_load(&f.c, s);
        assert_int_equal(f.c.counted, 1);
        const double value = beam_crlb_value(&f.c, f.gram, f.T, each);
        assert_true(isfinite(value) && value > 0 && isinf(each[0]));
        near("sum of those that count", value, each[1], 1e-15);
        double identity = 0;
        for (int l = 0; l < 2; l++) {
            for (int k = 0; k < 16; k++) {
                const beam_complex t = f.T[l * 16 + k], g = f.gram[l * 16 + (k % 4) * 4 + k / 4];
                identity += t.re * g.re - t.im * g.im;
            }
        }
        near("tr(T S) of those that count", identity, value, 1e-9);
        /* nobody counts: an empty sum */
        const double line[4] = {10, 0, -20, 0};
        memcpy(s->target_position_m, line, sizeof line);
        beam_crlb_load(&f.c, s);
        light_evenly(&f, s);
        assert_int_equal(f.c.counted, 0);
        assert_true(beam_crlb_value(&f.c, f.gram, f.T, each) == 0 && isinf(each[0]) &&
                    isinf(each[1]));
        fixture_free(&f);
        test_scene_free(s);
    }
}

/* Two stations, each lighting the target with one waveform: S = 0, receive angles remain. A dark
 * station adds nothing, not even through S = 0/0; all dark is no information. */
static void test_rank_one_and_dark(void **state)
{
    (void)state;
    const double position[2] = {10, 5};
    beam_scene *s = line_scene(2, 5, 1, position);
    fixture f = fixture_new(s);
    beam_complex t[10], w[8];
    for (int l = 0; l < 2; l++) {
        directions(s, l, t);
        for (int n = 0; n < 5; n++) {
            w[n] = (beam_complex){t[n].re + 0.3 * t[5 + n].re, t[n].im + 0.3 * t[5 + n].im};
        }
        light(&f, s, l, w);
    }
    const double both = beam_crlb_value(&f.c, f.gram, f.T, NULL);
    assert_true(isfinite(both));
    double by_hand[3] = {0}; /* sum_l X0 P0 */
    for (int l = 0; l < 2; l++) {
        by_hand[0] += f.gram[l * 4].re * f.c.P0[4 * l];
        by_hand[1] += f.gram[l * 4].re * f.c.P0[4 * l + 1];
        by_hand[2] += f.gram[l * 4].re * f.c.P0[4 * l + 3];
    }
    near("S = 0", both,
         (by_hand[0] + by_hand[2]) / (by_hand[0] * by_hand[2] - by_hand[1] * by_hand[1]), 1e-10);
    /* station 1 sends D a alone: a^H R a = 0 */
    directions(s, 1, t);
    memset(f.gram + 4, 0, 4 * sizeof *f.gram);
    light(&f, s, 1, t + 5);
    assert_true(f.gram[4].re <= f.c.x0_guard[1]);
    const double one = beam_crlb_value(&f.c, f.gram, f.T, NULL);
    memset(f.gram + 4, 0, 4 * sizeof *f.gram);
    near("dark", one, beam_crlb_value(&f.c, f.gram, f.T, NULL), 1e-10);
    memset(f.gram, 0, f.size * sizeof *f.gram);
    double each;
    for (int model = 0; model < 3; model++) {
        s->sensing = (beam_sensing_model)model;
        s->bandwidth_hz = 20e6;
        beam_crlb_load(&f.c, s);
        assert_true(isinf(beam_crlb_value(&f.c, f.gram, f.T, &each)) && isinf(each));
        assert_int_equal(f.c.geometry[0], BEAM_TARGET_OK);
        f.gram[0].re = NAN; /* not a bound: it must be seen */
        assert_true(isnan(beam_crlb_value(&f.c, f.gram, f.T, NULL)));
        f.gram[0].re = 0;
    }
    fixture_free(&f);
    test_scene_free(s);
}

/* Echo SNR after integration: sum_m T/sigma_m^2 |alpha|^2 P N a^H R a with R of unit power. */
static void test_echo_snr_gain(void **state)
{
    (void)state;
    const double position[2] = {10, 5};
    beam_scene *s = line_scene(2, 5, 1, position);
    s->station_echo_noise_w[1] = 4e-12;
    s->station_power_w[0] = 3;
    fixture f = fixture_new(s);
    for (int l = 0; l < 2; l++) {
        double by_hand = 0;
        for (int m = 0; m < 2; m++) {
            const beam_complex a = *test_reflection(s, l, 0, m);
            by_hand += s->snapshots / s->station_echo_noise_w[m] * (a.re * a.re + a.im * a.im) * 5 *
                       s->station_power_w[l];
        }
        near("snr gain", f.c.snr_gain[l], by_hand, 1e-14);
    }
    fixture_free(&f);
    test_scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_models_meet),
        cmocka_unit_test(test_what_geometry_locates),
        cmocka_unit_test(test_tilted_baseline),
        cmocka_unit_test(test_left_out_on_request),
        cmocka_unit_test(test_rank_one_and_dark),
        cmocka_unit_test(test_echo_snr_gain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
