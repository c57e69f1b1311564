/* Least-CRLB beams with their certificate, classical communication beams, the split of power. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/golden.h"
#include "common/random.h"
#include "model/row.h"
#include "solver/classical.h"
#include "solver/least_crlb.h"

typedef struct fixture {
    beam_problem p;
    beam_least_crlb least;
    beam_classical_work work;
    void *memory;
    double *x, *other;
    beam_complex *proj, *gram, *T;
    size_t size; /* doubles in a point */
} fixture;

static void carve(fixture *f, beam_arena *arena, const beam_dims *dims, bool reduce)
{
    const size_t n = 2u * (size_t)dims->targets, L = (size_t)dims->stations;
    const int r = beam_design_sensing_max(dims);
    const size_t rows = (size_t)dims->users + L * (size_t)r;
    beam_problem_carve(&f->p, arena, dims, r, reduce);
    beam_least_crlb_carve(&f->least, arena, dims->stations, dims->targets, dims->antennas);
    beam_classical_carve(&f->work, arena, dims->users, dims->antennas);
    f->size = rows * 2u * (size_t)beam_pad4(dims->antennas);
    f->x = BEAM_TAKE(arena, double, f->size);
    f->other = BEAM_TAKE(arena, double, f->size);
    f->proj = BEAM_TAKE(arena, beam_complex, rows * n);
    f->gram = BEAM_TAKE(arena, beam_complex, L * n * n);
    f->T = BEAM_TAKE(arena, beam_complex, L * n * n);
}

static fixture fixture_of(const beam_scene *scene, bool reduce)
{
    fixture f;
    beam_arena arena = {0};
    beam_error err = {0};
    memset(&f, 0, sizeof f);
    carve(&f, &arena, &scene->dims, reduce);
    f.memory = test_memory(arena.used);
    memset(f.memory, 0, arena.used);
    arena = (beam_arena){.base = f.memory};
    carve(&f, &arena, &scene->dims, reduce);
    test_must(beam_problem_load(&f.p, scene, reduce, &err), &err, "scene");
    f.size = (size_t)f.p.rows * (size_t)f.p.stride;
    return f;
}

static void fixture_free(fixture *f)
{
    free(f->memory);
}

static void near(const char *what, double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b)))) {
        fail_msg("%s: %.17g and %.17g differ by more than %g", what, a, b, tolerance);
    }
}

static double *row(const fixture *f, double *x, int i)
{
    return x + (size_t)i * (size_t)f->p.stride;
}

static double *beam_of(const fixture *f, double *x, int u)
{
    return row(f, x, f->p.row_of[u]);
}

static const double *channel(const fixture *f, int l, int u)
{
    return f->p.h + (size_t)(l * f->p.U + u) * (size_t)f->p.stride;
}

static double power_gain(const fixture *f, int l, int u, const double *v)
{
    double re, im;
    beam_row_dot(f->p.Dp, channel(f, l, u), v, &re, &im);
    return re * re + im * im;
}

static double crlb_of(fixture *f, const double *x, bool gradient)
{
    beam_problem_sensing_gram(&f->p, x, f->proj, f->gram);
    return beam_crlb_value(&f->p.crlb, f->gram, gradient ? f->T : NULL, NULL);
}

/* Power of the sensing rows of a station. */
static double sensing_power(const fixture *f, double *x, int l)
{
    return beam_row_norm2(f->p.r * f->p.stride, row(f, x, f->p.first[l] + f->p.K[l]));
}

/* lambda_max of P_l = sum t_p T[p][q] t_q^H for the T of the last crlb_of, by the power method in D
 * dimensions. */
static double largest_eigenvalue(fixture *f, int l, test_random *random)
{
    const int n = 2 * f->p.J, stride = f->p.stride, dp = f->p.Dp;
    double v[2 * 256], next[2 * 256], lambda = 0;
    memset(v, 0, sizeof v);
    for (int i = 0; i < f->p.D; i++) {
        v[i] = test_random_normal(random);
        v[dp + i] = test_random_normal(random);
    }
    for (int k = 0; k < 3000; k++) {
        beam_complex z[2 * BEAM_MAX_TARGETS];
        beam_row_scale(stride, 1 / sqrt(beam_row_norm2(stride, v)), v);
        for (int q = 0; q < n; q++) {
            beam_row_dot(dp, f->p.tx + (size_t)((l * n + q) * stride), v, &z[q].re, &z[q].im);
        }
        memset(next, 0, sizeof next);
        for (int p = 0; p < n; p++) {
            beam_complex c = {0, 0};
            for (int q = 0; q < n; q++) {
                const beam_complex t = f->T[(l * n + p) * n + q];
                c.re += t.re * z[q].re - t.im * z[q].im;
                c.im += t.re * z[q].im + t.im * z[q].re;
            }
            beam_row_axpy(dp, c.re, c.im, f->p.tx + (size_t)((l * n + p) * stride), next);
        }
        lambda = sqrt(beam_row_norm2(stride, next));
        memcpy(v, next, sizeof v);
        if (!(lambda > 0)) {
            break;
        }
    }
    return lambda;
}

/* Claims of a result, recomputed from the rows written. */
static void check_least(fixture *f, beam_least_result r, double tolerance, test_random *random)
{
    double sum = 0;
    if (r.status > BEAM_LEAST_STALLED || !(r.gap <= 1.01 * tolerance)) {
        fail_msg("status %d gap %g after %d iterations", (int)r.status, r.gap, r.iterations);
    }
    for (int u = 0; u < f->p.U; u++) { /* beams do not count here: they must be zero in x */
        assert_true(beam_row_norm2(f->p.stride, beam_of(f, f->x, u)) == 0);
    }
    near("value", r.value, crlb_of(f, f->x, true), tolerance > 1e-4 ? 1e-8 : 1e-9);
    for (int l = 0; l < f->p.L; l++) {
        near("power", sensing_power(f, f->x, l), 1, 1e-12);
        sum += largest_eigenvalue(f, l, random);
    }
    if (!(sum / r.value - 1 <= r.gap + 1e-9)) {
        fail_msg("certificate %g, claimed %g", sum / r.value - 1, r.gap);
    }
}

static void test_golden_sensing_ends(void **state)
{
    (void)state;
    test_random random = test_random_new(1);
    for (int i = 0; i < TEST_GOLDEN_SCENES; i++) {
        beam_scene *scene = test_golden_scene(test_golden_names[i]);
        const double reference = test_golden_ideal(test_golden_names[i]).crlb_min_m2;
        fixture f = fixture_of(scene, true);
        beam_least_result r = beam_least_crlb_solve(&f.least, &f.p, 1e-6, 2000, false, f.x);
        check_least(&f, r, 1e-6, &random);
        assert_true(r.value <= reference * (1 + 1e-6));
        assert_true(r.value / (1 + r.gap) <= reference);
        r = beam_least_crlb_solve(&f.least, &f.p, 1e-9, 3000, false, f.x);
        check_least(&f, r, 1e-9, &random);
        assert_true(r.value <= reference * (1 + 1e-8));
        const int cold = r.iterations;
        r = beam_least_crlb_solve(&f.least, &f.p, 1e-9, 3000, true, f.x);
        check_least(&f, r, 1e-9, &random);
        assert_true(r.iterations <= 2 * cold);
        fixture_free(&f);
        test_scene_free(scene);
    }
}

/* Random sizes and models, in N and in D dimensions; random admissible designs are never under the
 * proven bound. */
static void test_random_sensing_ends(void **state)
{
    (void)state;
    int stalled = 0;
    for (uint64_t seed = 1; seed <= 90; seed++) {
        test_random random = test_random_new(seed);
        beam_dims dims = test_random_dims(&random, true);
        dims.antennas = dims.antennas < 2 * dims.targets ? 2 * dims.targets : dims.antennas;
        beam_scene *scene = test_random_scene(&random, &dims, 0.1);
        scene->sensing = (beam_sensing_model)(seed % 3);
        scene->bandwidth_hz = 20e6;
        fixture f = fixture_of(scene, seed % 2);
        const beam_least_result r = beam_least_crlb_solve(&f.least, &f.p, 1e-5, 3000, false, f.x);
        stalled += r.status == BEAM_LEAST_STALLED;
        /* coupled targets that nearly merge leave noise of 1e-10 in the bound */
        check_least(&f, r, scene->sensing == BEAM_SENSING_RESOLVED ? 1e-5 : 1e-3, &random);
        for (int k = 0; k < 30; k++) {
            for (size_t i = 0; i < f.size; i++) {
                f.other[i] = f.x[i] + pow(10, -k / 6.0) * test_random_normal(&random);
            }
            for (int i = 0; i < f.p.rows; i++) { /* padding is zero */
                for (int d = f.p.D; d < f.p.Dp; d++) {
                    row(&f, f.other, i)[d] = row(&f, f.other, i)[f.p.Dp + d] = 0;
                }
            }
            for (int l = 0; l < f.p.L; l++) {
                const int count = (f.p.first[l + 1] - f.p.first[l]) * f.p.stride;
                double *rows = row(&f, f.other, f.p.first[l]);
                beam_row_scale(count, 1 / sqrt(beam_row_norm2(count, rows)), rows);
            }
            const double value = crlb_of(&f, f.other, false);
            if (!(value >= r.value / (1 + r.gap) * (1 - 1e-12))) {
                fail_msg("seed %d: %.12g under the bound of %.12g", (int)seed, value, r.value);
            }
        }
        fixture_free(&f);
        test_scene_free(scene);
    }
    assert_true(stalled <= 3);
}

/* Fewer rows than the span has dimensions: the strongest stay, and the numbers are theirs. */
static void test_fewer_sensing_rows(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("multi_n8");
    fixture f = fixture_of(scene, true);
    const beam_least_result full = beam_least_crlb_solve(&f.least, &f.p, 1e-6, 2000, false, f.x);
    double last = INFINITY;
    for (int r = 2; r <= 4; r++) {
        f.p.r = r;
        for (int l = 0, first = 0; l <= f.p.L; l++) {
            f.p.first[l] = first;
            first += l < f.p.L ? f.p.K[l] + r : 0;
        }
        memset(f.x, 0, f.size * sizeof *f.x);
        const beam_least_result few = beam_least_crlb_solve(&f.least, &f.p, 1e-6, 2000, false, f.x);
        near("value", few.value, crlb_of(&f, f.x, false), 1e-11);
        assert_true(few.value >= full.value / (1 + full.gap) && few.value <= last * (1 + 1e-6));
        assert_true(few.gap <= 1.01e-6 || few.status == BEAM_LEAST_STALLED);
        assert_true(few.value / (1 + few.gap) <= full.value);
        last = few.value;
    }
    fixture_free(&f);
    test_scene_free(scene);
}

static void test_not_located(void **state)
{
    (void)state;
    test_random random = test_random_new(5);
    const beam_dims dims = {.stations = 1, .antennas = 6, .users = 2, .targets = 2};
    beam_scene *scene = test_random_scene(&random, &dims, 0.1);
    for (int skip = 0; skip < 2; skip++) {
        scene->skip_unidentifiable = skip;
        fixture f = fixture_of(scene, true);
        const beam_least_result r = beam_least_crlb_solve(&f.least, &f.p, 1e-6, 500, false, f.x);
        assert_true(skip ? r.value == 0 && r.status == BEAM_LEAST_PROVEN
                         : isinf(r.value) && r.status == BEAM_LEAST_NOT_LOCATED);
        near("power", sensing_power(&f, f.x, 0), 1, 1e-12);
        fixture_free(&f);
    }
    test_scene_free(scene);
}

static void check_powers(const fixture *f, double *x, bool equal)
{
    for (int l = 0; l < f->p.L; l++) {
        double power = 0;
        for (int u = f->p.user_first[l]; u < f->p.user_first[l + 1]; u++) {
            const double one = beam_row_norm2(f->p.stride, beam_of(f, x, u));
            power += one;
            assert_true(isfinite(one));
            if (equal) {
                near("equal power", one, 1.0 / f->p.K[l], 1e-12);
            }
        }
        assert_true(power <= 1 + 1e-12);
    }
}

static double signal_to_leakage(const fixture *f, int u, const double *v, const double *weight)
{
    const int l = f->p.own[u];
    double leakage = f->p.K[l] * beam_row_norm2(f->p.stride, v);
    for (int i = 0; i < f->p.U; i++) {
        const double eps = f->p.eps[l * f->p.U + i];
        leakage += weight[i] * ((i != u) * power_gain(f, l, i, v) +
                                eps * eps / f->p.D * beam_row_norm2(f->p.stride, v));
    }
    return power_gain(f, l, u, v) / leakage;
}

static void test_definitions_of_beams(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        test_random random = test_random_new(seed);
        beam_dims dims = test_random_dims(&random, true);
        dims.users += 1;
        beam_scene *scene = test_random_scene(&random, &dims, 0.1);
        fixture f = fixture_of(scene, seed % 2);
        double mean = 0, weight[BEAM_MAX_USERS];
        for (int u = 0; u < f.p.U; u++) {
            mean += f.p.weight[u] / f.p.U;
        }
        for (int u = 0; u < f.p.U; u++) {
            weight[u] = f.p.weight[u] / mean;
        }
        beam_classical_beams(&f.work, &f.p, BEAM_CLASSICAL_MRT, f.x);
        check_powers(&f, f.x, true);
        for (int u = 0; u < f.p.U; u++) {
            near("Cauchy-Schwarz", power_gain(&f, f.p.own[u], u, beam_of(&f, f.x, u)),
                 f.p.hnorm2[f.p.own[u] * f.p.U + u] / f.p.K[f.p.own[u]], 1e-12);
        }
        beam_classical_beams(&f.work, &f.p, BEAM_CLASSICAL_ZF, f.x);
        check_powers(&f, f.x, true);
        for (int u = 0; f.p.U <= f.p.D && u < f.p.U; u++) {
            for (int i = 0; i < f.p.U; i++) {
                const double leak = power_gain(&f, f.p.own[u], i, beam_of(&f, f.x, u));
                assert_true(i == u || leak <= 1e-18 * f.p.hnorm2[f.p.own[u] * f.p.U + i] ||
                            leak <= 1e-9);
            }
        }
        beam_classical_beams(&f.work, &f.p, BEAM_CLASSICAL_RZF, f.x);
        check_powers(&f, f.x, true);
        for (int u = 0; u < f.p.U; u++) {
            const double *v = beam_of(&f, f.x, u);
            const double best = signal_to_leakage(&f, u, v, weight);
            for (int k = 0; k < 20; k++) {
                double w[64] = {0};
                for (int i = 0; i < f.p.D; i++) {
                    const double step = pow(10, -k / 4.0);
                    w[i] = v[i] + step * test_random_normal(&random);
                    w[f.p.Dp + i] = v[f.p.Dp + i] + step * test_random_normal(&random);
                }
                assert_true(signal_to_leakage(&f, u, w, weight) <= best * (1 + 1e-9));
            }
        }
        fixture_free(&f);
        test_scene_free(scene);
    }
}

static double nominal_rate(const fixture *f, double *x)
{
    double sum = 0;
    for (int k = 0; k < f->p.U; k++) {
        double others = 1, signal = 0;
        for (int j = 0; j < f->p.U; j++) {
            const double g = power_gain(f, f->p.own[j], k, beam_of(f, x, j));
            *(j == k ? &signal : &others) += g;
        }
        sum += f->p.weight[k] * log2(1 + signal / others);
    }
    return sum;
}

static void test_wmmse_is_monotone(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        test_random random = test_random_new(seed);
        beam_dims dims = test_random_dims(&random, true);
        dims.users += 1;
        beam_scene *scene = test_random_scene(&random, &dims, 0.1);
        if (seed % 5 == 0) {
            scene->user_weight[0] = 0;
        }
        fixture f = fixture_of(scene, true);
        beam_classical_beams(&f.work, &f.p, BEAM_CLASSICAL_RZF, f.x);
        const double start = nominal_rate(&f, f.x);
        double rate = start;
        for (int k = 0; k < 40; k++) {
            const double next = beam_classical_wmmse(&f.work, &f.p, 1, 0, f.x);
            near("rate", next, nominal_rate(&f, f.x), 1e-12);
            if (!(next >= rate * (1 - 1e-12))) {
                fail_msg("seed %d, iteration %d: %.15g after %.15g", (int)seed, k, next, rate);
            }
            check_powers(&f, f.x, false);
            rate = next;
        }
        beam_classical_beams(&f.work, &f.p, BEAM_CLASSICAL_WMMSE, f.x);
        assert_true(nominal_rate(&f, f.x) >= start * (1 - 1e-12));
        assert_true(nominal_rate(&f, f.x) >= rate * 0.99); /* it may stop before 40 iterations */
        fixture_free(&f);
        test_scene_free(scene);
    }
}

/* Stations without users, a zero channel, equal channels, no weight at all, no users. */
static void test_degenerate_beams(void **state)
{
    (void)state;
    test_random random = test_random_new(11);
    const beam_dims dims = {.stations = 3, .antennas = 4, .users = 3, .targets = 1};
    beam_scene *scene = test_random_scene(&random, &dims, 0.1);
    for (int u = 0; u < 3; u++) {
        scene->user_station[u] = u ? 2 : 0; /* none at station 1 */
        scene->user_weight[u] = 0;
    }
    memset(test_channel(scene, 0, 0), 0, 4 * sizeof(beam_complex));
    memcpy(test_channel(scene, 2, 2), test_channel(scene, 2, 1), 4 * sizeof(beam_complex));
    for (int kind = BEAM_CLASSICAL_MRT; kind <= BEAM_CLASSICAL_WMMSE; kind++) {
        fixture f = fixture_of(scene, true);
        beam_classical_beams(&f.work, &f.p, (beam_classical)kind, f.x);
        check_powers(&f, f.x, false);
        assert_true(beam_row_norm2(f.p.stride, beam_of(&f, f.x, 0)) == 0);
        fixture_free(&f);
    }
    test_scene_free(scene);
    const beam_dims empty = {.stations = 2, .antennas = 4, .users = 0, .targets = 1};
    scene = test_random_scene(&random, &empty, 0.1);
    fixture f = fixture_of(scene, true);
    for (int kind = BEAM_CLASSICAL_MRT; kind <= BEAM_CLASSICAL_WMMSE; kind++) {
        beam_classical_beams(&f.work, &f.p, (beam_classical)kind, f.x);
    }
    beam_classical_isotropic(&f.p, f.x);
    near("isotropic power", sensing_power(&f, f.x, 1), 1, 1e-12);
    assert_true(isfinite(crlb_of(&f, f.x, false)));
    fixture_free(&f);
    test_scene_free(scene);
}

/* The isotropic rows light every transmit direction alike: their Gram matrix is that of the
 * directions over d. */
static void test_isotropic(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("multi_n8");
    fixture f = fixture_of(scene, true);
    const int n = 2 * f.p.J;
    beam_classical_isotropic(&f.p, f.x);
    (void)crlb_of(&f, f.x, false);
    for (int l = 0; l < f.p.L; l++) {
        near("power", sensing_power(&f, f.x, l), 1, 1e-12);
        for (int q = 0; q < n; q++) {
            near("lit alike", f.gram[(l * n + q) * n + q].re,
                 beam_row_norm2(f.p.stride, f.p.tx + (size_t)((l * n + q) * f.p.stride)) / n, 1e-9);
        }
    }
    fixture_free(&f);
    test_scene_free(scene);
}

struct valley {
    const fixture *f;
    double bottom; /* share with the least merit */
    int calls;
};

static double share_of(const fixture *f, const double *x)
{
    double power = 0;
    for (int u = 0; u < f->p.U; u++) {
        power += beam_row_norm2(f->p.stride, x + f->p.row_of[u] * f->p.stride);
    }
    return power / f->p.L; /* every station of the scene has users */
}

static double valley_merit(void *arg, const double *x)
{
    struct valley *v = arg;
    const double share = share_of(v->f, x);
    v->calls++;
    for (int l = 0; l < v->f->p.L; l++) {
        near("full power", beam_problem_power(&v->f->p, x, l), 1, 1e-12);
    }
    return share > 1 - 1e-12 && v->bottom < 0.5 ? NAN : fabs(share - v->bottom);
}

static void test_split(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    fixture f = fixture_of(scene, true);
    beam_classical_beams(&f.work, &f.p, BEAM_CLASSICAL_RZF, f.x);
    beam_classical_isotropic(&f.p, f.x);
    const double bottoms[] = {0, 1e-4, 0.1, 0.37, 0.5, 0.93, 0.9999, 1};
    for (size_t i = 0; i < sizeof bottoms / sizeof *bottoms; i++) {
        struct valley v = {&f, bottoms[i], 0};
        double share = -1;
        const double best = beam_classical_split(&f.p, f.x, valley_merit, &v, 20, f.other, &share);
        assert_int_equal(v.calls, 20);
        if (!(fabs(share - bottoms[i]) <= 2e-3)) {
            fail_msg("share %g for %g", share, bottoms[i]);
        }
        near("merit is that of the point left", best + 1,
             fabs(share_of(&f, f.other) - bottoms[i]) + 1, 1e-12);
        near("share is that of the point left", share + 1, share_of(&f, f.other) + 1, 1e-12);
    }
    fixture_free(&f);
    test_scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_sensing_ends),
        cmocka_unit_test(test_random_sensing_ends),
        cmocka_unit_test(test_fewer_sensing_rows),
        cmocka_unit_test(test_not_located),
        cmocka_unit_test(test_definitions_of_beams),
        cmocka_unit_test(test_wmmse_is_monotone),
        cmocka_unit_test(test_degenerate_beams),
        cmocka_unit_test(test_isotropic),
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
