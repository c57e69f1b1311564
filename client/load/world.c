#include "load/world.h"

#include <math.h>
#include <stdlib.h>

enum { WAVES = 12 };

const double LOAD_POWER_W = 10.0; /* 40 dBm */
const double LOAD_USER_NOISE_W = 1e-11, LOAD_ECHO_NOISE_W = 1e-12, LOAD_RCS_M2 = 1.0;

static const double PI = 3.14159265358979323846, LIGHT_M_S = 299792458.0;
static const double RING_M = 80, NEAREST_M = 20, FARTHEST_M = 60, TARGET_CIRCLE_M = 0.5;

typedef struct mover {
    double x_m, y_m, radius_m, angle, rate_rad_s;
} mover;

struct load_world {
    load_shape shape;
    double error_relative, subband_hz;
    mover *users, *targets;
    double *doppler_rad_s; /* [L][U][WAVES] */
    double *delay_s;       /* [L][U][WAVES] */
    double *phase;         /* [L][U][N][WAVES] */
};

/* rho (d0/d)^nu with rho = -40 dB, nu = 3.5, d0 = 1 m */
static double path_loss(double d_m)
{
    return 1e-4 * pow(fmax(d_m, 1), -3.5);
}

static double angle_draw(uint64_t *random)
{
    return 2 * PI * load_random_uniform(random);
}

load_site load_world_station(const load_world *self, int station)
{
    /* The paper's three stations; any other number stands evenly on the same ring. */
    const int L = self->shape.stations;
    const double angle = 2 * PI * station / L + (L == 3 ? 2 * PI / 3 : 0);
    const double x = RING_M * cos(angle), y = RING_M * sin(angle);
    return (load_site){x, y, atan2(x, -y)}; /* (-y, x): broadside looks at the origin */
}

int load_world_user_station(const load_world *self, int user)
{
    return user % self->shape.stations;
}

static void place(const mover *m, double time_s, double *x, double *y)
{
    const double angle = m->angle + m->rate_rad_s * time_s;
    *x = m->x_m + m->radius_m * cos(angle);
    *y = m->y_m + m->radius_m * sin(angle);
}

static void draw_users(load_world *self, const load_options *o, uint64_t *random)
{
    const int waves = self->shape.stations * self->shape.users * WAVES;
    const double wave_number = 2 * PI * o->carrier_hz / LIGHT_M_S;
    for (int u = 0; u < self->shape.users; u++) {
        const load_site site = load_world_station(self, load_world_user_station(self, u));
        const double radius = NEAREST_M + (FARTHEST_M - NEAREST_M) * load_random_uniform(random);
        self->users[u] =
            (mover){site.x_m, site.y_m, radius, angle_draw(random), o->speed_m_s / radius};
    }
    for (int i = 0; i < waves; i++) {
        self->doppler_rad_s[i] = wave_number * o->speed_m_s * cos(angle_draw(random));
        self->delay_s[i] = -o->delay_spread_s * log(load_random_uniform(random));
    }
    for (int i = 0; i < waves * self->shape.antennas; i++) {
        self->phase[i] = angle_draw(random);
    }
}

/* In a disk of 15 m, 2.5 m apart at least, so that circles of half a metre never meet. */
static void draw_targets(load_world *self, const load_options *o, uint64_t *random)
{
    for (int j = 0; j < self->shape.targets; j++) {
        mover *m = &self->targets[j];
        bool apart = false;
        while (!apart) {
            const double r = 15 * sqrt(load_random_uniform(random)), angle = angle_draw(random);
            *m = (mover){r * cos(angle), r * sin(angle), TARGET_CIRCLE_M, angle_draw(random),
                         o->target_speed_m_s / TARGET_CIRCLE_M};
            apart = true;
            for (int i = 0; i < j; i++) {
                apart = apart &&
                        hypot(m->x_m - self->targets[i].x_m, m->y_m - self->targets[i].y_m) > 2.5;
            }
        }
    }
}

load_world *load_world_create(const load_options *options, const load_shape *shape, uint64_t seed)
{
    const size_t links = (size_t)shape->stations * (size_t)shape->users;
    load_world *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->shape = *shape;
    self->error_relative = options->error_relative;
    self->subband_hz = options->subband_hz;
    self->users = calloc((size_t)shape->users, sizeof *self->users);
    self->targets = calloc((size_t)shape->targets, sizeof *self->targets);
    self->doppler_rad_s = calloc(links * WAVES, sizeof(double));
    self->delay_s = calloc(links * WAVES, sizeof(double));
    self->phase = calloc(links * WAVES * (size_t)shape->antennas, sizeof(double));
    if (!self->users || !self->targets || !self->doppler_rad_s || !self->delay_s || !self->phase) {
        load_world_destroy(&self);
        return NULL;
    }
    uint64_t random = seed;
    draw_users(self, options, &random);
    draw_targets(self, options, &random);
    return self;
}

void load_world_destroy(load_world **self)
{
    if (*self) {
        free((*self)->users);
        free((*self)->targets);
        free((*self)->doppler_rad_s);
        free((*self)->delay_s);
        free((*self)->phase);
        free(*self);
        *self = NULL;
    }
}

void load_world_channels(const load_world *self, double time_s, int subband, double *channels,
                         double *radius)
{
    const int L = self->shape.stations, U = self->shape.users, N = self->shape.antennas;
    const double frequency = 2 * PI * self->subband_hz * subband;
    for (int l = 0; l < L; l++) {
        const load_site site = load_world_station(self, l);
        for (int u = 0; u < U; u++) {
            const size_t link = (size_t)l * (size_t)U + (size_t)u;
            double turn[WAVES], x, y;
            place(&self->users[u], time_s, &x, &y);
            const double loss = path_loss(hypot(x - site.x_m, y - site.y_m));
            radius[link] = self->error_relative * sqrt(loss * N);
            for (int k = 0; k < WAVES; k++) {
                turn[k] = self->doppler_rad_s[link * WAVES + (size_t)k] * time_s -
                          frequency * self->delay_s[link * WAVES + (size_t)k];
            }
            for (int n = 0; n < N; n++) {
                const size_t at = link * (size_t)N + (size_t)n;
                const double *phase = self->phase + at * WAVES;
                double re = 0, im = 0;
                for (int k = 0; k < WAVES; k++) {
                    re += cos(turn[k] + phase[k]);
                    im += sin(turn[k] + phase[k]);
                }
                channels[2 * at] = sqrt(loss / WAVES) * re;
                channels[2 * at + 1] = sqrt(loss / WAVES) * im;
            }
        }
    }
}

void load_world_targets(const load_world *self, double time_s, double *positions)
{
    for (int j = 0; j < self->shape.targets; j++) {
        place(&self->targets[j], time_s, &positions[2 * j], &positions[2 * j + 1]);
    }
}
