#include "demo/scenario.h"

#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
static const double LIGHT_M_S = 299792458.0;
/* Users stay between these distances of their station. */
static const double NEAREST_M = 20.0, FARTHEST_M = 60.0;

/* splitmix64: every seed is a good one. */
static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* in (0, 1) */
static double random_uniform(uint64_t *state)
{
    return ((double)(random_bits(state) >> 11) + 0.5) * 0x1p-53;
}

/* CN(0,1): variance 1/2 in each part */
static void random_complex_normal(uint64_t *state, double out[2])
{
    const double radius = sqrt(-log(random_uniform(state)));
    const double angle = 2.0 * PI * random_uniform(state);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

/* rho (d0/d)^nu with rho = -40 dB, nu = 3.5, d0 = 1 m */
static double path_loss(double d_m)
{
    return 1e-4 * pow(d_m, -3.5);
}

void demo_scenario_init(demo_scenario *self, const demo_options *options)
{
    const double positions[DEMO_L][2] = {
        {-40.0, 40.0 * sqrt(3.0)}, {80.0, 0.0}, {-40.0, -40.0 * sqrt(3.0)}};
    memset(self, 0, sizeof *self);
    self->options = *options;
    self->power_w = 10.0; /* 40 dBm */
    self->noise_w = 1e-11;
    self->echo_noise_w = 1e-12;
    self->snapshots = 256.0;
    self->carrier_hz = 3.5e9;
    self->rcs_m2 = 1.0;
    self->step_s = 1.0 / options->rate_hz;
    self->random = options->seed;
    const double doppler_hz = options->speed_m_s * self->carrier_hz / LIGHT_M_S;
    self->correlation = j0(2.0 * PI * doppler_hz * self->step_s);
    for (int l = 0; l < DEMO_L; l++) {
        self->station_m[l][0] = positions[l][0];
        self->station_m[l][1] = positions[l][1];
        self->axis_rad[l] =
            atan2(positions[l][0], -positions[l][1]); /* (-y, x): broadside to the origin */
    }
    for (int u = 0; u < DEMO_U; u++) {
        const double angle = 2.0 * PI * random_uniform(&self->random);
        const double radius = NEAREST_M + (FARTHEST_M - NEAREST_M) * random_uniform(&self->random);
        self->users[u] = (demo_user){self->station_m[u][0] + radius * cos(angle),
                                     self->station_m[u][1] + radius * sin(angle),
                                     2.0 * PI * random_uniform(&self->random)};
        for (int l = 0; l < DEMO_L; l++) {
            for (int n = 0; n < DEMO_N; n++) {
                random_complex_normal(&self->random, self->fading[l][u][n]);
            }
        }
    }
}

static void user_drive(demo_scenario *self, int u)
{
    demo_user *user = &self->users[u];
    const double dx = user->x_m - self->station_m[u][0], dy = user->y_m - self->station_m[u][1];
    const double d = hypot(dx, dy);
    double outwards[2] = {0, 0};
    random_complex_normal(&self->random, outwards);
    user->heading_rad += 0.3 * sqrt(self->step_s) * outwards[0];
    const double radial = cos(user->heading_rad) * dx + sin(user->heading_rad) * dy;
    if ((d > FARTHEST_M && radial > 0) || (d < NEAREST_M && radial < 0)) {
        /* mirror the heading at the circle: the radial part changes its sign */
        user->heading_rad = 2.0 * (atan2(dy, dx) + PI / 2.0) - user->heading_rad;
    }
    user->x_m += self->options.speed_m_s * self->step_s * cos(user->heading_rad);
    user->y_m += self->options.speed_m_s * self->step_s * sin(user->heading_rad);
}

void demo_scenario_step(demo_scenario *self)
{
    const double keep = self->correlation, fresh = sqrt(1.0 - keep * keep);
    self->time_s += self->step_s;
    for (int u = 0; u < DEMO_U; u++) {
        user_drive(self, u);
        for (int l = 0; l < DEMO_L; l++) {
            for (int n = 0; n < DEMO_N; n++) {
                double w[2];
                random_complex_normal(&self->random, w);
                double *g = self->fading[l][u][n];
                g[0] = keep * g[0] + fresh * w[0];
                g[1] = keep * g[1] + fresh * w[1];
            }
        }
    }
}

void demo_scenario_snapshot(const demo_scenario *self, demo_snapshot *out)
{
    static const double start[DEMO_J][2] = {{2.0, 5.0}, {-5.0, 1.0}};
    for (int j = 0; j < DEMO_J;
         j++) { /* a walk of 1.2 m/s on a circle of 2 m through the paper's position */
        const double angle = 0.6 * self->time_s + j;
        out->target_m[j][0] = start[j][0] + 2.0 * (cos(angle) - cos((double)j));
        out->target_m[j][1] = start[j][1] + 2.0 * (sin(angle) - sin((double)j));
    }
    for (int l = 0; l < DEMO_L; l++) {
        for (int u = 0; u < DEMO_U; u++) {
            const double d = hypot(self->users[u].x_m - self->station_m[l][0],
                                   self->users[u].y_m - self->station_m[l][1]);
            const double beta = path_loss(d);
            out->error_radius[l][u] = self->options.error_relative * sqrt(beta * DEMO_N);
            for (int n = 0; n < DEMO_N; n++) {
                out->channels[l][u][n][0] = sqrt(beta) * self->fading[l][u][n][0];
                out->channels[l][u][n][1] = sqrt(beta) * self->fading[l][u][n][1];
            }
        }
    }
}

double demo_reflection(const demo_scenario *self, const double *target_m, int tx, int rx)
{
    const double lambda = LIGHT_M_S / self->carrier_hz;
    const double d_tx =
        hypot(target_m[0] - self->station_m[tx][0], target_m[1] - self->station_m[tx][1]);
    const double d_rx =
        hypot(target_m[0] - self->station_m[rx][0], target_m[1] - self->station_m[rx][1]);
    return sqrt(lambda * lambda * self->rcs_m2 / pow(4.0 * PI, 3.0)) / (d_tx * d_rx);
}
