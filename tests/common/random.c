#include "common/random.h"

#include <math.h>

#define PI 3.14159265358979323846

test_random test_random_new(uint64_t seed)
{
    return (test_random){seed * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x1234567)};
}

/* splitmix64 */
uint64_t test_random_bits(test_random *random)
{
    uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double test_random_uniform(test_random *random)
{
    return (double)(test_random_bits(random) >> 11) * 0x1p-53;
}

double test_random_between(test_random *random, double low, double high)
{
    return low + (high - low) * test_random_uniform(random);
}

int test_random_int(test_random *random, int low, int high)
{
    return low + (int)(test_random_bits(random) % (uint64_t)(high - low + 1));
}

double test_random_normal(test_random *random)
{
    const double r = sqrt(-2 * log(1 - test_random_uniform(random)));
    return r * cos(2 * PI * test_random_uniform(random));
}

beam_complex test_random_complex(test_random *random)
{
    const double re = test_random_normal(random), im = test_random_normal(random);
    return (beam_complex){re * sqrt(0.5), im * sqrt(0.5)};
}

beam_dims test_random_dims(test_random *random, bool locatable)
{
    const int least = locatable ? 2 : 1;
    return (beam_dims){
        .stations = test_random_int(random, least, 4),
        .antennas = test_random_int(random, least, 8),
        .users = test_random_int(random, 0, 7),
        .targets = test_random_int(random, 1, 4),
    };
}

static void random_stations(test_random *random, beam_scene *s)
{
    const int L = s->dims.stations;
    for (int l = 0; l < L; l++) {
        /* A jittered ring: no two stations and the origin on one line when there are two or more.
         */
        const double angle = 2 * PI * (l + 0.3 * test_random_uniform(random)) / (L + 0.5);
        const double distance = test_random_between(random, 60, 100);
        s->station_position_m[2 * l] = distance * cos(angle);
        s->station_position_m[2 * l + 1] = distance * sin(angle);
        s->station_axis_rad[l] = angle + PI / 2 + test_random_between(random, -0.8, 0.8);
        s->station_power_w[l] = test_random_between(random, 3, 30);
        s->station_echo_noise_w[l] = 1e-12 * test_random_between(random, 0.5, 3);
    }
}

static void random_users(test_random *random, beam_scene *s, double eps_rel)
{
    const int L = s->dims.stations, N = s->dims.antennas;
    for (int u = 0; u < s->dims.users; u++) {
        const int own = test_random_int(random, 0, L - 1);
        s->user_station[u] = own;
        s->user_weight[u] = test_random_between(random, 0.3, 2);
        s->user_noise_w[u] = 1e-11 * test_random_between(random, 0.3, 3);
        for (int l = 0; l < L; l++) {
            const double d = l == own ? test_random_between(random, 20, 60)
                                      : test_random_between(random, 60, 160);
            const double gain = 1e-4 * pow(d, -3.5);
            beam_complex *channel = test_channel(s, l, u);
            for (int n = 0; n < N; n++) {
                const beam_complex z = test_random_complex(random);
                channel[n] = (beam_complex){sqrt(gain) * z.re, sqrt(gain) * z.im};
            }
            const bool exact = test_random_int(random, 0, 7) == 0;
            *test_radius(s, l, u) = exact ? 0 : eps_rel * sqrt(gain * N);
        }
    }
}

static void random_targets(test_random *random, beam_scene *s)
{
    const int L = s->dims.stations, J = s->dims.targets;
    const double wavelength = 299792458.0 / 3.5e9;
    for (int j = 0; j < J; j++) {
        /* One per sector: never closer than a metre. */
        const double angle = 2 * PI * (j + 0.5 * test_random_uniform(random)) / J;
        const double distance = test_random_between(random, 3, 15);
        s->target_position_m[2 * j] = distance * cos(angle);
        s->target_position_m[2 * j + 1] = distance * sin(angle);
        for (int l = 0; l < L; l++) {
            for (int m = 0; m < L; m++) {
                double range = 1;
                for (int k = 0; k < 2; k++) {
                    const int i = k ? m : l;
                    range *=
                        hypot(s->station_position_m[2 * i] - s->target_position_m[2 * j],
                              s->station_position_m[2 * i + 1] - s->target_position_m[2 * j + 1]);
                }
                const double size = wavelength / sqrt(pow(4 * PI, 3)) / range;
                const double phase = 2 * PI * test_random_uniform(random);
                *test_reflection(s, l, j, m) = (beam_complex){size * cos(phase), size * sin(phase)};
            }
        }
    }
}

beam_scene *test_random_scene(test_random *random, const beam_dims *dims, double eps_rel)
{
    beam_error err = {0};
    beam_scene *scene = test_scene_new(dims);
    random_stations(random, scene);
    random_users(random, scene, eps_rel);
    random_targets(random, scene);
    test_must(beam_scene_validate(scene, &err), &err, "random scene");
    return scene;
}

static void random_row(test_random *random, beam_complex *row, int n, double size)
{
    for (int i = 0; i < n; i++) {
        const beam_complex z = test_random_complex(random);
        row[i] = (beam_complex){size * z.re, size * z.im};
    }
}

beam_design *test_random_design(test_random *random, const beam_scene *scene, int columns)
{
    const int L = scene->dims.stations, N = scene->dims.antennas;
    beam_design *design = test_design_new(&scene->dims, columns);
    for (int u = 0; u < scene->dims.users; u++) {
        random_row(random, test_beam(design, u), N, test_random_between(random, 0.5, 3));
    }
    double budget[BEAM_MAX_STATIONS];
    for (int l = 0; l < L; l++) {
        design->sensing_count[l] = design->sensing_max;
        for (int k = 0; k < design->sensing_max; k++) {
            random_row(random, test_sensing(design, l, k), N, test_random_between(random, 0.5, 2));
        }
        budget[l] = scene->station_power_w[l] * test_random_between(random, 0.3, 1);
    }
    beam_design_fit_budget(design, scene->user_station, budget, 1 - 1e-11);
    return design;
}

/* row -= its projection on `onto` (unit length), twice for orthogonality to rounding */
static void reject(beam_complex *row, const beam_complex *onto, int n)
{
    double re = 0, im = 0;
    for (int i = 0; i < n; i++) {
        re += onto[i].re * row[i].re + onto[i].im * row[i].im;
        im += onto[i].re * row[i].im - onto[i].im * row[i].re;
    }
    for (int i = 0; i < n; i++) {
        row[i].re -= re * onto[i].re - im * onto[i].im;
        row[i].im -= re * onto[i].im + im * onto[i].re;
    }
}

/* Scales to unit length; false when nothing of it is left. */
static bool normalise(beam_complex *row, int n, double least)
{
    double norm2 = 0;
    for (int i = 0; i < n; i++) {
        norm2 += row[i].re * row[i].re + row[i].im * row[i].im;
    }
    if (!(norm2 > least * least)) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        row[i].re /= sqrt(norm2);
        row[i].im /= sqrt(norm2);
    }
    return true;
}

static void zero_forcing_beam(const beam_scene *scene, int user, beam_complex *beam)
{
    const int N = scene->dims.antennas, own = scene->user_station[user];
    beam_complex basis[BEAM_MAX_USERS + 1][BEAM_MAX_ANTENNAS];
    int have = 0;
    for (int k = 0; k <= scene->dims.users; k++) { /* the others first, then the user's own */
        const int u = k == scene->dims.users ? user : k;
        if (k == user) {
            continue;
        }
        for (int n = 0; n < N; n++) {
            basis[have][n] = test_channel(scene, own, u)[n];
        }
        bool left = normalise(basis[have], N, 0);
        for (int pass = 0; pass < 2 && left; pass++) {
            for (int i = 0; i < have; i++) {
                reject(basis[have], basis[i], N);
            }
            left = normalise(basis[have], N, 1e-8);
        }
        for (int n = 0; n < N && u == user; n++) {
            beam[n] = left ? basis[have][n] : (beam_complex){0, 0};
        }
        have += left ? 1 : 0;
    }
}

beam_design *test_zero_forcing_design(const beam_scene *scene)
{
    const int L = scene->dims.stations, N = scene->dims.antennas;
    beam_design *design = test_design_new(&scene->dims, N);
    for (int u = 0; u < scene->dims.users; u++) {
        zero_forcing_beam(scene, u, test_beam(design, u));
    }
    for (int l = 0; l < L; l++) {
        int users = 0;
        const double half = 0.499 * scene->station_power_w[l];
        for (int u = 0; u < scene->dims.users; u++) {
            users += scene->user_station[u] == l ? 1 : 0;
        }
        for (int u = 0; u < scene->dims.users; u++) {
            for (int n = 0; n < N && scene->user_station[u] == l; n++) {
                test_beam(design, u)[n].re *= sqrt(half / users);
                test_beam(design, u)[n].im *= sqrt(half / users);
            }
        }
        design->sensing_count[l] = N;
        for (int k = 0; k < N; k++) {
            test_sensing(design, l, k)[k].re = sqrt(half / N);
        }
    }
    return design;
}

void test_random_channels(test_random *random, const beam_scene *scene, beam_complex *channels)
{
    const int L = scene->dims.stations, U = scene->dims.users, N = scene->dims.antennas;
    for (int l = 0; l < L; l++) {
        for (int u = 0; u < U; u++) {
            beam_complex *row = channels + ((size_t)l * (size_t)U + (size_t)u) * (size_t)N;
            double norm2 = 0;
            random_row(random, row, N, 1);
            for (int n = 0; n < N; n++) {
                norm2 += row[n].re * row[n].re + row[n].im * row[n].im;
            }
            const bool sphere = test_random_int(random, 0, 1) == 0;
            const double share =
                sphere ? 1 : pow(test_random_uniform(random), 1.0 / (2 * (double)N));
            const double size = share * *test_radius(scene, l, u) / sqrt(norm2);
            const beam_complex *estimate = test_channel(scene, l, u);
            for (int n = 0; n < N; n++) {
                row[n] = (beam_complex){estimate[n].re + size * row[n].re,
                                        estimate[n].im + size * row[n].im};
            }
        }
    }
}
