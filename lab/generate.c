#include "lab/generate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab/random.h"

static const double PATH_LOSS_1M = 1e-4, PATH_LOSS_EXPONENT = 3.5;
static const double USER_NOISE_W = 1e-11, ECHO_NOISE_W = 1e-12, RCS_M2 = 1.0;
static const double SNAPSHOTS = 256;
static const double RING_M = 80;

double lab_path_loss(double distance_m)
{
    return PATH_LOSS_1M * pow(fmax(distance_m, 1), -PATH_LOSS_EXPONENT);
}

double lab_reflection_size(double transmitter_m, double receiver_m)
{
    const double wavelength = LAB_LIGHT_M_PER_S / LAB_CARRIER_HZ;
    return wavelength * sqrt(RCS_M2 / pow(4 * M_PI, 3)) / (transmitter_m * receiver_m);
}

lab_generate_options lab_generate_options_default(void)
{
    lab_generate_options o = {.name = "paper",
                              .stations = 3,
                              .antennas = 5,
                              .targets = 2,
                              .error_relative = 0.1,
                              .power_dbm = 40};
    for (int l = 0; l < BEAM_MAX_STATIONS; l++) {
        o.users[l] = 1;
    }
    return o;
}

static beam_code check_options(const lab_generate_options *o, beam_dims *dims, beam_error *err)
{
    *dims = (beam_dims){
        .stations = o->stations, .antennas = o->antennas, .users = 0, .targets = o->targets};
    const beam_code code = beam_dims_check(dims, err);
    if (code) {
        return code;
    }
    for (int l = 0; l < o->stations; l++) {
        if (o->users[l] < 0 || o->users[l] > BEAM_MAX_USERS) {
            return beam_fail(err, BEAM_E_LIMIT, "users", "must be 0 to %d per station",
                             BEAM_MAX_USERS);
        }
        dims->users += o->users[l];
    }
    if (!isfinite(o->error_relative) || o->error_relative < 0) {
        return beam_fail(err, BEAM_E_INVALID, "eps", "must be finite and not negative");
    }
    if (!isfinite(o->power_dbm) || fabs(o->power_dbm) > 200) {
        return beam_fail(err, BEAM_E_INVALID, "power-dbm", "must be from -200 to 200");
    }
    if (o->sensing == BEAM_SENSING_BAND && !(o->bandwidth_hz > 0 && isfinite(o->bandwidth_hz))) {
        return beam_fail(err, BEAM_E_INVALID, "bandwidth", "must be positive for the band model");
    }
    return beam_dims_check(dims, err);
}

static void place_stations(beam_scene *s, double power_dbm)
{
    const int L = s->dims.stations;
    const double paper[3][2] = {{-40, 40 * sqrt(3)}, {80, 0}, {-40, -40 * sqrt(3)}};
    for (int l = 0; l < L; l++) {
        const double angle = 2 * M_PI * l / L;
        double *p = s->station_position_m + 2 * l;
        p[0] = L == 3 ? paper[l][0] : RING_M * cos(angle);
        p[1] = L == 3 ? paper[l][1] : RING_M * sin(angle);
        s->station_axis_rad[l] = atan2(p[0], -p[1]); /* (-y, x): broadside looks at the origin */
        s->station_power_w[l] = pow(10, power_dbm / 10 - 3);
        s->station_echo_noise_w[l] = ECHO_NOISE_W;
    }
}

/* Scene index of the k-th user drawn: stations in turn, or shuffled (Fisher-Yates). */
static void order_users(lab_random *random, int *order, int users, bool shuffle)
{
    for (int k = 0; k < users; k++) {
        order[k] = k;
    }
    for (int k = users - 1; shuffle && k > 0; k--) {
        const int other = (int)(lab_random_uniform(random) * (k + 1));
        const int swap = order[k];
        order[k] = order[other];
        order[other] = swap;
    }
}

static void place_user(beam_scene *s, lab_random *random, int c, int u, double error_relative)
{
    const int L = s->dims.stations, U = s->dims.users, N = s->dims.antennas;
    const double radius = 20 + 40 * lab_random_uniform(random);
    const double angle = 2 * M_PI * lab_random_uniform(random);
    const double x = s->station_position_m[2 * c] + radius * cos(angle);
    const double y = s->station_position_m[2 * c + 1] + radius * sin(angle);
    s->user_station[u] = c;
    s->user_noise_w[u] = USER_NOISE_W;
    for (int l = 0; l < L; l++) {
        const double d =
            hypot(x - s->station_position_m[2 * l], y - s->station_position_m[2 * l + 1]);
        const double loss = lab_path_loss(d);
        beam_complex *h = s->channel + ((size_t)l * (size_t)U + (size_t)u) * (size_t)N;
        for (int n = 0; n < N; n++) {
            const beam_complex g = lab_random_gaussian(random);
            h[n] = (beam_complex){sqrt(loss / 2) * g.re, sqrt(loss / 2) * g.im};
        }
        s->error_radius[l * U + u] = error_relative * sqrt(loss * N);
    }
}

static bool targets_apart(const double *position, int count)
{
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++) {
            if (hypot(position[2 * i] - position[2 * j],
                      position[2 * i + 1] - position[2 * j + 1]) <= 2) {
                return false;
            }
        }
    }
    return true;
}

/* Uniform in a disk of 15 m, at least 2 m apart (16 targets fit: rejection ends). */
static void place_targets(beam_scene *s, lab_random *random, bool random_targets)
{
    const int J = s->dims.targets;
    if (!random_targets && J == 2) {
        memcpy(s->target_position_m, (const double[]){2, 5, -5, 1}, 4 * sizeof(double));
        return;
    }
    do {
        for (int j = 0; j < J; j++) {
            const double radius = 15 * sqrt(lab_random_uniform(random));
            const double angle = 2 * M_PI * lab_random_uniform(random);
            s->target_position_m[2 * j] = radius * cos(angle);
            s->target_position_m[2 * j + 1] = radius * sin(angle);
        }
    } while (!targets_apart(s->target_position_m, J));
}

static void draw_reflections(beam_scene *s, lab_random *random)
{
    const int L = s->dims.stations, J = s->dims.targets;
    for (int j = 0; j < J; j++) {
        double distance[BEAM_MAX_STATIONS];
        for (int l = 0; l < L; l++) {
            distance[l] = hypot(s->target_position_m[2 * j] - s->station_position_m[2 * l],
                                s->target_position_m[2 * j + 1] - s->station_position_m[2 * l + 1]);
        }
        for (int l = 0; l < L; l++) {
            for (int m = 0; m < L; m++) {
                const double size = lab_reflection_size(distance[l], distance[m]);
                const double phase = 2 * M_PI * lab_random_uniform(random);
                s->reflection[(l * J + j) * L + m] =
                    (beam_complex){size * cos(phase), size * sin(phase)};
            }
        }
    }
}

static void fill_scene(beam_scene *s, const lab_generate_options *o)
{
    /* One stream each, so that more users or random weights leave the other draws alone. */
    lab_random random = lab_random_seed(o->seed);
    lab_random user_stream = lab_random_seed(lab_random_bits(&random));
    lab_random target_stream = lab_random_seed(lab_random_bits(&random));
    lab_random weight_stream = lab_random_seed(lab_random_bits(&random));
    s->snapshots = SNAPSHOTS;
    s->sensing = o->sensing;
    s->bandwidth_hz = o->sensing == BEAM_SENSING_BAND ? o->bandwidth_hz : 0;
    place_stations(s, o->power_dbm);
    int order[BEAM_MAX_USERS];
    order_users(&weight_stream, order, s->dims.users, o->random_weights);
    for (int c = 0, k = 0; c < s->dims.stations; c++) {
        for (int i = 0; i < o->users[c]; i++, k++) {
            place_user(s, &user_stream, c, order[k], o->error_relative);
            const double draw = 0.5 + 1.5 * lab_random_uniform(&weight_stream);
            s->user_weight[order[k]] = o->random_weights ? round(100 * draw) / 100 : 1;
        }
    }
    place_targets(s, &target_stream, o->random_targets);
    draw_reflections(s, &target_stream);
}

lab_scene *lab_generate_scene(const lab_generate_options *options, beam_error *err)
{
    static const double tradeoffs[] = {0,   0.05, 0.1, 0.2, 0.3,  0.4, 0.5,
                                       0.6, 0.7,  0.8, 0.9, 0.95, 1};
    beam_dims dims;
    if (check_options(options, &dims, err)) {
        return NULL;
    }
    lab_scene *self = lab_scene_create(&dims, err);
    if (!self) {
        return NULL;
    }
    snprintf(self->name, sizeof self->name, "%s", options->name ? options->name : "");
    self->carrier_hz = LAB_CARRIER_HZ;
    fill_scene(&self->scene, options);
    if (lab_scene_set_tradeoffs(self, (int)(sizeof tradeoffs / sizeof *tradeoffs), tradeoffs,
                                err)) {
        lab_scene_destroy(&self);
        return NULL;
    }
    lab_scene_round(self);
    if (beam_scene_validate(&self->scene, err)) {
        lab_scene_destroy(&self);
    }
    return self;
}
