/* Properties of the exact numbers on random scenes of random sizes. A failure names the seed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/random.h"
#include "common/reduced.h"

typedef struct fixture {
    beam_scene *scene;
    beam_design *design;
    beam_evaluator *evaluator;
    beam_quality *quality;
} fixture;

static beam_quality *evaluate(const beam_scene *scene, const beam_design *design)
{
    beam_error err = {0};
    beam_quality *quality = test_memory(sizeof *quality);
    beam_evaluator *evaluator = test_evaluator_new(&scene->dims, design->sensing_max);
    test_must(beam_evaluator_load(evaluator, scene, &err), &err, "load");
    test_must(beam_evaluator_run(evaluator, design, quality, &err), &err, "run");
    test_evaluator_free(evaluator);
    return quality;
}

/* Even seeds a Gaussian design, odd ones zero-forcing with isotropic sensing. */
static fixture fixture_new(uint64_t seed, const beam_dims *dims, bool only_smooth)
{
    beam_error err = {0};
    test_random random = test_random_new(seed);
    const beam_dims drawn = test_random_dims(&random, true);
    fixture f;
    f.scene =
        test_random_scene(&random, dims ? dims : &drawn, test_random_between(&random, 0.02, 0.4));
    f.design = only_smooth || seed % 2 == 0 ? test_random_design(&random, f.scene, -1)
                                            : test_zero_forcing_design(f.scene);
    f.evaluator = test_evaluator_new(&f.scene->dims, f.design->sensing_max);
    f.quality = test_memory(sizeof *f.quality);
    test_must(beam_evaluator_load(f.evaluator, f.scene, &err), &err, "load");
    test_must(beam_evaluator_run(f.evaluator, f.design, f.quality, &err), &err, "run");
    return f;
}

static void fixture_free(fixture *f)
{
    test_evaluator_free(f->evaluator);
    free(f->quality);
    test_design_free(f->design);
    test_scene_free(f->scene);
}

static void same(uint64_t seed, const char *what, double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b)) + 1e-13)) {
        fail_msg("seed %llu: %s: %.15g and %.15g differ", (unsigned long long)seed, what, a, b);
    }
}

static void not_above(uint64_t seed, const char *what, double a, double b)
{
    if (!(a <= b * (1 + 1e-10) + 1e-14)) {
        fail_msg("seed %llu: %s: %.15g is above %.15g", (unsigned long long)seed, what, a, b);
    }
}

/* Every number of a quality, with users and stations renamed: a's user u is b's user user_of[u]. */
static void same_quality(uint64_t seed, const beam_scene *scene, const beam_quality *a,
                         const beam_quality *b, const int *user_of, const int *station_of,
                         double tolerance)
{
    same(seed, "nominal rate", a->wsr_nominal_bps_hz, b->wsr_nominal_bps_hz, tolerance);
    same(seed, "worst-case rate", a->wsr_worst_case_bps_hz, b->wsr_worst_case_bps_hz, tolerance);
    assert_int_equal(a->crlb_valid, b->crlb_valid);
    same(seed, "CRLB", a->crlb_m2, b->crlb_m2, 10 * tolerance);
    for (int u = 0; u < scene->dims.users; u++) {
        same(seed, "nominal SINR", a->user_sinr_nominal[u], b->user_sinr_nominal[user_of[u]],
             tolerance);
        same(seed, "worst-case SINR", a->user_sinr_worst_case[u],
             b->user_sinr_worst_case[user_of[u]], tolerance);
        for (int l = 0; l < scene->dims.stations; l++) {
            same(seed, "cross", 1e11 * a->user_cross_w[u][l],
                 1e11 * b->user_cross_w[user_of[u]][station_of[l]], tolerance);
        }
    }
    for (int l = 0; l < scene->dims.stations; l++) {
        same(seed, "power", a->station_power_w[l], b->station_power_w[station_of[l]], tolerance);
        same(seed, "peak", a->station_peak_antenna_w[l], b->station_peak_antenna_w[station_of[l]],
             tolerance);
    }
}

/* Central differences, extrapolated, of the two objectives along a direction. */
static void slopes(fixture *f, const beam_design *direction, double step, double out[2])
{
    beam_error err = {0};
    double at[4][2];
    beam_design *moved = test_design_clone(f->design);
    static const double steps[4] = {1, -1, 0.5, -0.5};
    for (int i = 0; i < 4; i++) {
        test_design_step(moved, f->design, steps[i] * step, direction);
        test_must(beam_evaluator_run(f->evaluator, moved, f->quality, &err), &err, "run");
        at[i][0] = f->quality->wsr_worst_case_bps_hz;
        at[i][1] = f->quality->crlb_valid ? f->quality->crlb_m2 : NAN;
    }
    for (int k = 0; k < 2; k++) {
        const double wide = (at[0][k] - at[1][k]) / (2 * step);
        const double narrow = (at[2][k] - at[3][k]) / step;
        out[k] = (4 * narrow - wide) / 3;
    }
    test_design_free(moved);
}

static void test_gradients_are_those_of_central_differences(void **state)
{
    (void)state;
    beam_error err = {0};
    int rates = 0, bounds = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        fixture f = fixture_new(seed, NULL, true);
        f.scene->sensing = (beam_sensing_model)(seed % 3);
        f.scene->bandwidth_hz = 20e6;
        test_must(beam_evaluator_load(f.evaluator, f.scene, &err), &err, "load");
        test_must(beam_evaluator_run(f.evaluator, f.design, f.quality, &err), &err, "run");
        const bool bound = f.quality->crlb_valid;
        beam_design *grad[2], *direction = test_design_clone(f.design);
        for (int k = 0; k < 2; k++) {
            grad[k] = test_design_new(&f.scene->dims, f.design->sensing_max);
        }
        test_must(
            beam_evaluator_gradient(f.evaluator, f.design, grad[0], bound ? grad[1] : NULL, &err),
            &err, "gradient");
        for (int k = 0; k < (bound ? 2 : 1); k++) {
            const double norm = test_design_norm(grad[k]);
            if (norm == 0) {
                assert_true(k == 0 && f.quality->wsr_worst_case_bps_hz == 0);
                continue;
            }
            /* Along the gradient itself (nothing is missing) and along a random direction. */
            for (int way = 0; way < 2; way++) {
                double measured[2];
                test_random random = test_random_new(seed + 1000);
                for (int i = 0; i < f.scene->dims.users * f.scene->dims.antennas; i++) {
                    direction->beams[i] = test_random_complex(&random);
                }
                test_design_step(direction, way ? direction : grad[k], way ? 0 : 1.0 / norm - 1,
                                 grad[k]);
                const double length = test_design_norm(direction);
                const double expected = test_design_inner(grad[k], direction);
                slopes(&f, direction, 1e-4 * test_design_norm(f.design) / length, measured);
                if (!(fabs(measured[k] - expected) <= (2e-6 * norm + 1e-12) * length)) {
                    fail_msg("seed %llu, %s, way %d: slope %.12g, gradient says %.12g",
                             (unsigned long long)seed, k ? "CRLB" : "rate", way, measured[k],
                             expected);
                }
            }
            *(k ? &bounds : &rates) += 1;
        }
        test_design_free(grad[0]);
        test_design_free(grad[1]);
        test_design_free(direction);
        fixture_free(&f);
    }
    assert_true(rates >= 30 && bounds >= 30); /* the test has tested something */
}

static void test_no_random_error_is_worse_than_the_worst_case(void **state)
{
    (void)state;
    beam_error err = {0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        fixture f = fixture_new(seed, NULL, false);
        const beam_dims *d = &f.scene->dims;
        const size_t size = (size_t)d->stations * (size_t)d->users * (size_t)d->antennas;
        beam_complex *channels = test_memory((size + 1) * sizeof *channels);
        test_random random = test_random_new(seed + 500);
        double sinr[BEAM_MAX_USERS], wsr;
        for (int i = 0; i < 200; i++) {
            test_random_channels(&random, f.scene, channels);
            test_must(beam_evaluator_at_channels(f.evaluator, f.design, channels, sinr, &wsr, &err),
                      &err, "at channels");
            not_above(seed, "worst-case rate", f.quality->wsr_worst_case_bps_hz, wsr);
            for (int u = 0; u < d->users; u++) {
                not_above(seed, "worst-case SINR", f.quality->user_sinr_worst_case[u], sinr[u]);
            }
        }
        free(channels);
        fixture_free(&f);
    }
}

static void test_the_worst_case_is_attained_inside_the_balls(void **state)
{
    (void)state;
    beam_error err = {0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        fixture f = fixture_new(seed, NULL, false);
        const beam_dims *d = &f.scene->dims;
        const size_t size = (size_t)d->stations * (size_t)d->users * (size_t)d->antennas;
        beam_complex *channels = test_memory((size + 1) * sizeof *channels);
        double sinr[BEAM_MAX_USERS], wsr;
        test_must(beam_evaluator_worst_channels(f.evaluator, channels, &err), &err, "worst");
        for (int l = 0; l < d->stations; l++) {
            for (int u = 0; u < d->users; u++) {
                const size_t at = ((size_t)l * (size_t)d->users + (size_t)u) * (size_t)d->antennas;
                double norm2 = 0, size2 = 0;
                for (int n = 0; n < d->antennas; n++) {
                    const beam_complex h = test_channel(f.scene, l, u)[n],
                                       x = channels[at + (size_t)n];
                    norm2 += (x.re - h.re) * (x.re - h.re) + (x.im - h.im) * (x.im - h.im);
                    size2 += h.re * h.re + h.im * h.im;
                }
                /* rounding of the channel itself is allowed for */
                not_above(seed, "error", 1e6 * sqrt(norm2),
                          1e6 * (*test_radius(f.scene, l, u) + 1e-13 * sqrt(size2)));
            }
        }
        test_must(beam_evaluator_at_channels(f.evaluator, f.design, channels, sinr, &wsr, &err),
                  &err, "at channels");
        same(seed, "attained rate", wsr, f.quality->wsr_worst_case_bps_hz, 1e-9);
        for (int u = 0; u < d->users; u++) {
            same(seed, "attained SINR", sinr[u], f.quality->user_sinr_worst_case[u], 1e-9);
        }
        free(channels);
        fixture_free(&f);
    }
}

/* An adversary that only knows the definition: projected gradient descent on the SINR over the
 * own-cell error, all other terms at their reported worst. It never gets below the exact value, and
 * its best start comes close to it. */
static double attack(const fixture *f, int user, test_random *random)
{
    const beam_scene *s = f->scene;
    const int N = s->dims.antennas, own = s->user_station[user];
    const double eps = *test_radius(s, own, user);
    const beam_complex *h = test_channel(s, own, user);
    double base = s->user_noise_w[user], best = INFINITY;
    for (int l = 0; l < s->dims.stations; l++) {
        base += f->quality->user_cross_w[user][l];
    }
    for (int start = 0; start < 12; start++) {
        beam_complex e[BEAM_MAX_ANTENNAS];
        double step = 0.5;
        double last = INFINITY;
        for (int n = 0; n < N; n++) {
            const beam_complex z = test_random_complex(random);
            e[n] = (beam_complex){eps * z.re, eps * z.im};
        }
        for (int iteration = 0; iteration < 400; iteration++) {
            double norm2 = 0, signal = 0, den = base, gnorm2 = 0;
            beam_complex gs[BEAM_MAX_ANTENNAS] = {{0, 0}}, gd[BEAM_MAX_ANTENNAS] = {{0, 0}};
            for (int n = 0; n < N; n++) {
                norm2 += e[n].re * e[n].re + e[n].im * e[n].im;
            }
            const double keep = norm2 > eps * eps ? eps / sqrt(norm2) : 1;
            for (int n = 0; n < N; n++) {
                e[n] = (beam_complex){keep * e[n].re, keep * e[n].im};
            }
            for (int row = 0; row < s->dims.users + f->design->sensing_count[own]; row++) {
                const beam_complex *w = row < s->dims.users
                                            ? test_beam(f->design, row)
                                            : test_sensing(f->design, own, row - s->dims.users);
                if (row < s->dims.users && s->user_station[row] != own) {
                    continue;
                }
                double re = 0, im = 0; /* w^H x */
                for (int n = 0; n < N; n++) {
                    const double xr = h[n].re + e[n].re, xi = h[n].im + e[n].im;
                    re += w[n].re * xr + w[n].im * xi;
                    im += w[n].re * xi - w[n].im * xr;
                }
                beam_complex *g = row == user ? gs : gd;
                for (int n = 0; n < N; n++) {
                    g[n].re += w[n].re * re - w[n].im * im;
                    g[n].im += w[n].re * im + w[n].im * re;
                }
                *(row == user ? &signal : &den) += re * re + im * im;
            }
            const double value = signal / den;
            best = value < best ? value : best;
            step *= value < last ? 1.1 : 0.6;
            last = value;
            for (int n = 0; n < N; n++) {
                gs[n].re -= value * gd[n].re;
                gs[n].im -= value * gd[n].im;
                gnorm2 += gs[n].re * gs[n].re + gs[n].im * gs[n].im;
            }
            for (int n = 0; n < N && gnorm2 > 0; n++) {
                e[n].re -= step * eps * gs[n].re / sqrt(gnorm2);
                e[n].im -= step * eps * gs[n].im / sqrt(gnorm2);
            }
        }
    }
    return best;
}

static void test_an_adversary_finds_the_worst_case_and_nothing_below(void **state)
{
    (void)state;
    int attacked = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        fixture f = fixture_new(seed, NULL, false);
        test_random random = test_random_new(seed + 77);
        for (int u = 0; u < f.scene->dims.users; u++) {
            if (*test_radius(f.scene, f.scene->user_station[u], u) == 0) {
                continue;
            }
            const double exact = f.quality->user_sinr_worst_case[u];
            const double found = attack(&f, u, &random);
            not_above(seed, "worst-case SINR", exact, found);
            /* descent is slow where the signal can be nulled: compare as rates there */
            if (!(found <= exact * 1.02 + 1e-3)) {
                fail_msg("seed %llu user %d: reported %.9g, the adversary only found %.9g",
                         (unsigned long long)seed, u, exact, found);
            }
            attacked++;
        }
        fixture_free(&f);
    }
    assert_true(attacked > 50);
}

static void test_larger_radii_never_help(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        fixture f = fixture_new(seed, NULL, false);
        double last[BEAM_MAX_USERS + 1];
        const int links = f.scene->dims.stations * f.scene->dims.users;
        double *radii = test_memory((size_t)(links + 1) * sizeof *radii);
        memcpy(radii, f.scene->error_radius, (size_t)links * sizeof *radii);
        static const double factors[] = {0, 1e-6, 1e-2, 0.5, 1, 1.001, 3, 30};
        for (int i = 0; i < 8; i++) {
            for (int k = 0; k < links; k++) {
                f.scene->error_radius[k] = factors[i] * radii[k];
            }
            beam_quality *q = evaluate(f.scene, f.design);
            for (int u = 0; u < f.scene->dims.users; u++) {
                const double sinr = q->user_sinr_worst_case[u];
                if (i == 0) {
                    same(seed, "SINR at radius 0", sinr, q->user_sinr_nominal[u], 1e-12);
                } else {
                    not_above(seed, "SINR at a larger radius", sinr, last[u]);
                }
                last[u] = sinr;
            }
            same(seed, "CRLB at another radius", q->crlb_m2, f.quality->crlb_m2, 1e-14);
            free(q);
        }
        free(radii);
        fixture_free(&f);
    }
}

/* to's user/station k is from's user_from[k] / station_from[k]. */
static void rename_all(const fixture *f, const int *user_from, const int *station_from,
                       beam_scene *s, beam_design *d)
{
    const beam_scene *o = f->scene;
    const int L = o->dims.stations, U = o->dims.users, J = o->dims.targets;
    const size_t row = (size_t)o->dims.antennas * sizeof(beam_complex);
    int station_to[BEAM_MAX_STATIONS];
    for (int l = 0; l < L; l++) {
        const int from = station_from[l];
        station_to[from] = l;
        memcpy(s->station_position_m + 2 * l, o->station_position_m + 2 * from, 2 * sizeof(double));
        s->station_axis_rad[l] = o->station_axis_rad[from];
        s->station_power_w[l] = o->station_power_w[from];
        s->station_echo_noise_w[l] = o->station_echo_noise_w[from];
        d->sensing_count[l] = f->design->sensing_count[from];
        memcpy(test_sensing(d, l, 0), test_sensing(f->design, from, 0),
               (size_t)f->design->sensing_max * row);
        for (int j = 0; j < J; j++) {
            for (int m = 0; m < L; m++) {
                *test_reflection(s, l, j, m) = *test_reflection(o, from, j, station_from[m]);
            }
        }
        for (int u = 0; u < U; u++) {
            memcpy(test_channel(s, l, u), test_channel(o, from, user_from[u]), row);
            *test_radius(s, l, u) = *test_radius(o, from, user_from[u]);
        }
    }
    for (int u = 0; u < U; u++) {
        s->user_station[u] = station_to[o->user_station[user_from[u]]];
        s->user_weight[u] = o->user_weight[user_from[u]];
        s->user_noise_w[u] = o->user_noise_w[user_from[u]];
        memcpy(test_beam(d, u), test_beam(f->design, user_from[u]), row);
    }
}

static void shuffle(test_random *random, int *order, int n)
{
    for (int i = 0; i < n; i++) {
        order[i] = i;
    }
    for (int i = n - 1; i > 0; i--) {
        const int k = test_random_int(random, 0, i), keep = order[i];
        order[i] = order[k];
        order[k] = keep;
    }
}

static void test_names_of_users_and_stations_do_not_matter(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        fixture f = fixture_new(seed, NULL, false);
        test_random random = test_random_new(seed + 300);
        int users[BEAM_MAX_USERS], stations[BEAM_MAX_STATIONS];
        f.scene->sensing = (beam_sensing_model)(seed % 3);
        f.scene->bandwidth_hz = 20e6;
        beam_scene *s = test_scene_clone(f.scene);
        beam_design *d = test_design_clone(f.design);
        shuffle(&random, users, s->dims.users);
        shuffle(&random, stations, s->dims.stations);
        rename_all(&f, users, stations, s, d);
        beam_quality *a = evaluate(s, d), *b = evaluate(f.scene, f.design);
        /* the coupled models invert a matrix of the targets together and lose some digits */
        same_quality(seed, s, a, b, users, stations, seed % 3 == 0 ? 1e-10 : 1e-8);
        free(a);
        free(b);
        test_scene_free(s);
        test_design_free(d);
        fixture_free(&f);
    }
}

static void test_units_do_not_matter(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        fixture f = fixture_new(seed, NULL, false);
        beam_scene *s = test_scene_clone(f.scene);
        int users[BEAM_MAX_USERS], stations[BEAM_MAX_STATIONS];
        test_random unused = test_random_new(0);
        const double c = 37.5;
        shuffle(&unused, users, 0);
        for (int u = 0; u < s->dims.users; u++) {
            users[u] = u;
            s->user_noise_w[u] *= c * c;
            for (int l = 0; l < s->dims.stations; l++) {
                *test_radius(s, l, u) *= c;
                for (int n = 0; n < s->dims.antennas; n++) {
                    test_channel(s, l, u)[n].re *= c;
                    test_channel(s, l, u)[n].im *= c;
                }
            }
        }
        for (int l = 0; l < s->dims.stations; l++) {
            stations[l] = l;
        }
        beam_quality *a = evaluate(s, f.design);
        for (int u = 0; u < s->dims.users; u++) {
            for (int l = 0; l < s->dims.stations; l++) {
                a->user_cross_w[u][l] /= c * c;
            }
        }
        same_quality(seed, s, a, f.quality, users, stations, 1e-9);
        free(a);
        test_scene_free(s);
        fixture_free(&f);
    }
}

/* N above U + 2J: the subspace of MATH 4 is a proper one. */
static void test_reduction_keeps_every_number_and_never_hurts(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        test_random random = test_random_new(seed + 900);
        const beam_dims dims = {.stations = test_random_int(&random, 2, 4),
                                .antennas = test_random_int(&random, 9, 24),
                                .users = test_random_int(&random, 0, 4),
                                .targets = test_random_int(&random, 1, 2)};
        fixture f = fixture_new(2 * seed, &dims, true);
        const int columns = f.design->sensing_max;
        test_reduced *reduced = test_reduced_new(f.scene, columns, true);
        assert_true(reduced->problem.D == dims.users + 2 * dims.targets);
        const test_reduced_numbers r = test_reduced_run(reduced, f.scene, f.design);
        beam_design *projected = test_design_new(&dims, columns);
        beam_problem_export(&reduced->problem, reduced->x, projected);
        beam_quality *q = evaluate(f.scene, projected);
        same(seed, "nominal rate", q->wsr_nominal_bps_hz, f.quality->wsr_nominal_bps_hz, 1e-10);
        same(seed, "CRLB", q->crlb_m2, f.quality->crlb_m2, 1e-9);
        same(seed, "reduced rate", r.wsr_worst_case, q->wsr_worst_case_bps_hz, 1e-9);
        same(seed, "reduced nominal rate", r.wsr_nominal, q->wsr_nominal_bps_hz, 1e-10);
        same(seed, "reduced CRLB", r.crlb, q->crlb_m2, 1e-9);
        for (int u = 0; u < dims.users; u++) {
            not_above(seed, "worst case before projection", f.quality->user_sinr_worst_case[u],
                      q->user_sinr_worst_case[u]);
            same(seed, "reduced SINR", r.sinr_worst_case[u], q->user_sinr_worst_case[u], 1e-9);
        }
        for (int l = 0; l < dims.stations; l++) {
            not_above(seed, "power", q->station_power_w[l], f.quality->station_power_w[l]);
        }
        assert_true(test_reduced_lost(reduced, f.scene, projected) < 1e-7);
        free(q);
        test_design_free(projected);
        test_reduced_free(reduced);
        fixture_free(&f);
    }
}

static void test_power_is_counted_and_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        fixture f = fixture_new(seed, NULL, false);
        for (int l = 0; l < f.scene->dims.stations; l++) {
            const double power = beam_design_power_w(f.design, f.scene->user_station, l);
            same(seed, "power", f.quality->station_power_w[l], power, 1e-13);
            assert_true(f.quality->station_peak_antenna_w[l] <= power * (1 + 1e-12));
            assert_true(f.quality->station_peak_antenna_w[l] * f.scene->dims.antennas >=
                        power * (1 - 1e-12));
        }
        assert_true(f.quality->power_excess == 0);
        beam_design *loud = test_design_clone(f.design);
        test_design_step(loud, f.design, 2, f.design); /* three times as loud */
        beam_quality *q = evaluate(f.scene, loud);
        double excess = 0;
        for (int l = 0; l < f.scene->dims.stations; l++) {
            excess = fmax(excess, 9 * f.quality->station_power_w[l] / f.scene->station_power_w[l]);
        }
        same(seed, "excess", q->power_excess, fmax(excess - 1, 0), 1e-10);
        free(q);
        beam_design_fit_budget(loud, f.scene->user_station, f.scene->station_power_w, 1 - 1e-11);
        q = evaluate(f.scene, loud);
        assert_true(q->power_excess <= 1e-9);
        free(q);
        test_design_free(loud);
        fixture_free(&f);
    }
}

/* CRLB: homogeneous of degree -1, never raised by more sensing, convex in the covariances. */
static void test_the_bound_is_monotone_convex_and_homogeneous(void **state)
{
    (void)state;
    int compared = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        fixture f = fixture_new(2 * seed, NULL, true);
        const beam_dims *d = &f.scene->dims;
        const int columns = d->users + f.design->sensing_max;
        test_random random = test_random_new(seed + 4000);
        beam_design *other = test_random_design(&random, f.scene, -1);
        beam_design *both = test_design_new(d, 2 * columns), *half = test_design_clone(f.design);
        /* Everything as sensing columns: R_l of `both` is the sum of the two covariances. */
        for (int l = 0; l < d->stations; l++) {
            int k = 0;
            for (int side = 0; side < 2; side++) {
                const beam_design *from = side ? other : f.design;
                for (int row = 0; row < d->users + from->sensing_count[l]; row++) {
                    if (row < d->users && f.scene->user_station[row] != l) {
                        continue;
                    }
                    memcpy(test_sensing(both, l, k++),
                           row < d->users ? test_beam(from, row)
                                          : test_sensing(from, l, row - d->users),
                           (size_t)d->antennas * sizeof(beam_complex));
                }
            }
            both->sensing_count[l] = k;
        }
        test_design_step(half, f.design, sqrt(0.5) - 1, f.design);
        beam_quality *a = f.quality, *b = evaluate(f.scene, other), *sum = evaluate(f.scene, both),
                     *h = evaluate(f.scene, half);
        if (a->crlb_valid && b->crlb_valid) {
            same(seed, "bound at half the power", h->crlb_m2, 2 * a->crlb_m2, 1e-9);
            not_above(seed, "bound of the sum", sum->crlb_m2, fmin(a->crlb_m2, b->crlb_m2));
            not_above(seed, "bound of the mean", 2 * sum->crlb_m2, (a->crlb_m2 + b->crlb_m2) / 2);
            compared++;
        }
        free(b);
        free(sum);
        free(h);
        test_design_free(both);
        test_design_free(half);
        test_design_free(other);
        fixture_free(&f);
    }
    assert_true(compared >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_are_those_of_central_differences),
        cmocka_unit_test(test_no_random_error_is_worse_than_the_worst_case),
        cmocka_unit_test(test_the_worst_case_is_attained_inside_the_balls),
        cmocka_unit_test(test_an_adversary_finds_the_worst_case_and_nothing_below),
        cmocka_unit_test(test_larger_radii_never_help),
        cmocka_unit_test(test_names_of_users_and_stations_do_not_matter),
        cmocka_unit_test(test_units_do_not_matter),
        cmocka_unit_test(test_reduction_keeps_every_number_and_never_hurts),
        cmocka_unit_test(test_power_is_counted_and_kept),
        cmocka_unit_test(test_the_bound_is_monotone_convex_and_homogeneous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
