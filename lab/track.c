#include "lab/track.h"

#include <math.h>
#include <stdlib.h>

#include "lab/random.h"

enum { WAVES = 12 };

typedef struct lab_mover {
    double center[2], radius_m, angle, rate_rad_per_s;
} lab_mover;

struct lab_track {
    lab_scene *base;
    double error_relative;
    lab_mover *users, *targets;
    double *doppler_rad_per_s; /* [L][U][WAVES] */
    double *phase;             /* [L][U][N][WAVES] */
    double *echo_phase;        /* [L][J][L] */
};

static void move(const lab_mover *mover, double time_s, double *position)
{
    const double angle = mover->angle + mover->rate_rad_per_s * time_s;
    position[0] = mover->center[0] + mover->radius_m * cos(angle);
    position[1] = mover->center[1] + mover->radius_m * sin(angle);
}

static double angle_draw(lab_random *random)
{
    return 2 * M_PI * lab_random_uniform(random);
}

static void draw_users(lab_track *self, lab_random *random, double speed)
{
    const beam_scene *s = &self->base->scene;
    const size_t L = (size_t)s->dims.stations, U = (size_t)s->dims.users;
    const double wave_number = 2 * M_PI * LAB_CARRIER_HZ / LAB_LIGHT_M_PER_S;
    for (size_t u = 0; u < U; u++) {
        const double *center = s->station_position_m + 2 * s->user_station[u];
        const double radius = 20 + 40 * lab_random_uniform(random);
        self->users[u] = (lab_mover){.center = {center[0], center[1]},
                                     .radius_m = radius,
                                     .angle = angle_draw(random),
                                     .rate_rad_per_s = speed / radius};
    }
    for (size_t i = 0; i < L * U * WAVES; i++) {
        self->doppler_rad_per_s[i] = wave_number * speed * cos(angle_draw(random));
    }
    for (size_t i = 0; i < L * U * (size_t)s->dims.antennas * WAVES; i++) {
        self->phase[i] = angle_draw(random);
    }
}

static void draw_targets(lab_track *self, lab_random *random, double speed)
{
    const beam_scene *s = &self->base->scene;
    const int L = s->dims.stations, J = s->dims.targets;
    const double radius = 0.5; /* targets start 2 m apart at least: they never meet */
    for (int j = 0; j < J; j++) {
        const double angle = angle_draw(random), *start = s->target_position_m + 2 * j;
        self->targets[j] =
            (lab_mover){.center = {start[0] - radius * cos(angle), start[1] - radius * sin(angle)},
                        .radius_m = radius,
                        .angle = angle,
                        .rate_rad_per_s = speed / radius};
    }
    for (int i = 0; i < L * J * L; i++) {
        self->echo_phase[i] = angle_draw(random);
    }
}

lab_track *lab_track_create(const lab_generate_options *options, double user_speed_m_per_s,
                            double target_speed_m_per_s, beam_error *err)
{
    lab_scene *base = lab_generate_scene(options, err);
    if (!base) {
        return NULL;
    }
    const size_t L = (size_t)base->scene.dims.stations, U = (size_t)base->scene.dims.users;
    const size_t N = (size_t)base->scene.dims.antennas, J = (size_t)base->scene.dims.targets;
    lab_track *self = calloc(1, sizeof *self);
    if (!self) {
        lab_scene_destroy(&base);
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        return NULL;
    }
    self->base = base;
    self->error_relative = options->error_relative;
    self->users = calloc(U + 1, sizeof *self->users);
    self->targets = calloc(J, sizeof *self->targets);
    self->doppler_rad_per_s = calloc(L * U * WAVES + 1, sizeof(double));
    self->phase = calloc(L * U * N * WAVES + 1, sizeof(double));
    self->echo_phase = calloc(L * J * L, sizeof(double));
    if (!self->users || !self->targets || !self->doppler_rad_per_s || !self->phase ||
        !self->echo_phase) {
        lab_track_destroy(&self);
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        return NULL;
    }
    lab_random random = lab_random_seed(options->seed ^ 0x747261636bu);
    draw_users(self, &random, user_speed_m_per_s);
    draw_targets(self, &random, target_speed_m_per_s);
    return self;
}

void lab_track_destroy(lab_track **self)
{
    if (*self) {
        lab_scene_destroy(&(*self)->base);
        free((*self)->users);
        free((*self)->targets);
        free((*self)->doppler_rad_per_s);
        free((*self)->phase);
        free((*self)->echo_phase);
        free(*self);
        *self = NULL;
    }
}

lab_scene *lab_track_scene(const lab_track *self, beam_error *err)
{
    lab_scene *scene = lab_scene_create(&self->base->scene.dims, err);
    if (scene && beam_scene_copy(&scene->scene, &self->base->scene, err)) {
        lab_scene_destroy(&scene);
    }
    if (scene) {
        scene->carrier_hz = self->base->carrier_hz;
        lab_track_at(self, 0, &scene->scene);
    }
    return scene;
}

static void fade(const lab_track *self, double time_s, size_t link, double loss, size_t N,
                 beam_complex *h)
{
    const double *doppler = self->doppler_rad_per_s + link * WAVES;
    const double size = sqrt(loss / WAVES);
    for (size_t n = 0; n < N; n++) {
        const double *phase = self->phase + (link * N + n) * WAVES;
        beam_complex sum = {0, 0};
        for (int k = 0; k < WAVES; k++) {
            sum.re += cos(doppler[k] * time_s + phase[k]);
            sum.im += sin(doppler[k] * time_s + phase[k]);
        }
        h[n] = (beam_complex){size * sum.re, size * sum.im};
    }
}

static double distance(const double *a, const double *b)
{
    return hypot(a[0] - b[0], a[1] - b[1]);
}

static void move_targets(const lab_track *self, double time_s, beam_scene *s)
{
    const int L = s->dims.stations, J = s->dims.targets;
    const double wave_number = 2 * M_PI * LAB_CARRIER_HZ / LAB_LIGHT_M_PER_S;
    for (int j = 0; j < J; j++) {
        double *p = s->target_position_m + 2 * j;
        move(&self->targets[j], time_s, p);
        for (int l = 0; l < L; l++) {
            const double there = distance(p, s->station_position_m + 2 * l);
            for (int m = 0; m < L; m++) {
                const double back = distance(p, s->station_position_m + 2 * m);
                const int i = (l * J + j) * L + m;
                const double size = lab_reflection_size(there, back);
                const double phase = self->echo_phase[i] - wave_number * (there + back);
                s->reflection[i] = (beam_complex){size * cos(phase), size * sin(phase)};
            }
        }
    }
}

void lab_track_at(const lab_track *self, double time_s, beam_scene *s)
{
    const size_t L = (size_t)s->dims.stations, U = (size_t)s->dims.users;
    const size_t N = (size_t)s->dims.antennas;
    for (size_t u = 0; u < U; u++) {
        double position[2];
        move(&self->users[u], time_s, position);
        for (size_t l = 0; l < L; l++) {
            const double loss = lab_path_loss(distance(position, s->station_position_m + 2 * l));
            fade(self, time_s, l * U + u, loss, N, s->channel + (l * U + u) * N);
            s->error_radius[l * U + u] = self->error_relative * sqrt(loss * (double)N);
        }
    }
    move_targets(self, time_s, s);
}
