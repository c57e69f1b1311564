#include "lab/train_families.h"

#include <math.h>
#include <string.h>

enum { MOST_STATIONS = 7, MOST_ANTENNAS = 64, MOST_USERS = 16, MOST_TARGETS = 4 };

static const char *const NAMES[] = {"paper", "sizes"};
enum { FAMILY_PAPER, FAMILY_SIZES, FAMILY_COUNT };

beam_dims lab_family_most(void)
{
    return (beam_dims){.stations = MOST_STATIONS,
                       .antennas = MOST_ANTENNAS,
                       .users = MOST_USERS,
                       .targets = MOST_TARGETS};
}

int lab_family_find(const char *name)
{
    for (int i = 0; i < FAMILY_COUNT; i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            return i;
        }
    }
    return -1;
}

const char *lab_family_name(int family)
{
    return NAMES[family];
}

static double between(lab_random *random, double low, double high)
{
    return low + (high - low) * lab_random_uniform(random);
}

static bool chance(lab_random *random, double p)
{
    return lab_random_uniform(random) < p;
}

static int whole(lab_random *random, int low, int high)
{
    return low + (int)(lab_random_uniform(random) * (high - low + 1));
}

static int drawn_by_share(lab_random *random, const double *share, int count)
{
    double left = lab_random_uniform(random);
    for (int i = 0; i < count - 1; i++) {
        left -= share[i];
        if (left < 0) {
            return i;
        }
    }
    return count - 1;
}

/* Large scenes are rarer: they take longer to prepare and to train on. */
static lab_family_shape draw_sizes(lab_random *random)
{
    static const double stations[] = {0.2, 0.35, 0.2, 0.1, 0.08, 0.07};
    static const double targets[] = {0.25, 0.4, 0.2, 0.15};
    lab_family_shape s;
    int users;
    do {
        memset(&s, 0, sizeof s);
        s.stations = 2 + drawn_by_share(random, stations, 6);
        s.targets = 1 + drawn_by_share(random, targets, 4);
        s.antennas = chance(random, 0.12) ? (chance(random, 0.5) ? 32 : MOST_ANTENNAS)
                                          : (int)round(pow(2, between(random, 1, 4)));
        const bool equal = chance(random, 0.6);
        const int each = whole(random, 1, 4);
        users = 0;
        for (int l = 0; l < s.stations; l++) {
            s.users[l] = equal ? each : whole(random, 0, 4);
            users += s.users[l];
        }
    } while (users < 1 || users > MOST_USERS);
    return s;
}

lab_family_shape lab_family_draw_shape(int family, lab_random *random)
{
    if (family == FAMILY_SIZES) {
        return draw_sizes(random);
    }
    return (lab_family_shape){.stations = 3, .antennas = 5, .targets = 2, .users = {1, 1, 1}};
}

/* What a scene has beside its geometry and fading; the same in both frames. */
typedef struct variation {
    double power[BEAM_MAX_STATIONS], echo[BEAM_MAX_STATIONS], turn_rad[BEAM_MAX_STATIONS];
    double noise[BEAM_MAX_USERS], gain[BEAM_MAX_USERS], weight[BEAM_MAX_USERS];
    double radius[BEAM_MAX_STATIONS * BEAM_MAX_USERS];
    double section[BEAM_MAX_TARGETS]; /* amplitude of the echoes */
} variation;

static double decibel(lab_random *random, double range)
{
    return pow(10, between(random, -range, range) / 10);
}

static void vary_users(variation *v, int stations, int users, lab_random *random)
{
    const bool noise = chance(random, 0.4), spread = chance(random, 0.4),
               jitter = chance(random, 0.3), weights = chance(random, 0.4);
    for (int u = 0; u < users; u++) {
        v->noise[u] = noise ? decibel(random, 6) : 1;
        v->gain[u] = spread && chance(random, 0.5) ? decibel(random, 10) : 1;
        v->weight[u] = weights ? between(random, 0.5, 2) : 1;
        for (int l = 0; l < stations; l++) {
            v->radius[l * users + u] = jitter ? between(random, 0, 2) : 1;
        }
    }
    if (users > 1 && chance(random, 0.08)) {
        v->weight[whole(random, 0, users - 1)] = 0;
    }
}

static void draw_variation(variation *v, const beam_dims *d, bool plain, lab_random *random)
{
    const int L = d->stations, U = d->users;
    for (int l = 0; l < L; l++) {
        v->power[l] = v->echo[l] = 1;
        v->turn_rad[l] = 0;
    }
    for (int u = 0; u < U; u++) {
        v->noise[u] = v->gain[u] = v->weight[u] = 1;
    }
    for (int i = 0; i < L * U; i++) {
        v->radius[i] = 1;
    }
    for (int j = 0; j < d->targets; j++) {
        v->section[j] = 1;
    }
    if (plain) {
        return;
    }
    vary_users(v, L, U, random);
    const bool powers = chance(random, 0.25), echoes = chance(random, 0.25),
               turned = chance(random, 0.25), sections = chance(random, 0.25);
    for (int l = 0; l < L; l++) {
        v->power[l] = powers ? decibel(random, 5) : 1;
        v->echo[l] = echoes ? decibel(random, 6) : 1;
        v->turn_rad[l] = turned ? between(random, -0.7, 0.7) : 0;
    }
    for (int j = 0; j < d->targets; j++) {
        v->section[j] = sections ? sqrt(decibel(random, 6)) : 1;
    }
}

static void apply(const variation *v, beam_scene *s)
{
    const int L = s->dims.stations, U = s->dims.users, N = s->dims.antennas, J = s->dims.targets;
    for (int l = 0; l < L; l++) {
        s->station_power_w[l] *= v->power[l];
        s->station_echo_noise_w[l] *= v->echo[l];
        s->station_axis_rad[l] += v->turn_rad[l];
        for (int u = 0; u < U; u++) {
            const double gain = sqrt(v->gain[u]);
            beam_complex *h = s->channel + ((size_t)l * (size_t)U + (size_t)u) * (size_t)N;
            for (int n = 0; n < N; n++) {
                h[n].re *= gain;
                h[n].im *= gain;
            }
            s->error_radius[l * U + u] *= gain * v->radius[l * U + u];
        }
        for (int j = 0; j < J; j++) {
            for (int m = 0; m < L; m++) {
                s->reflection[(l * J + j) * L + m].re *= v->section[j];
                s->reflection[(l * J + j) * L + m].im *= v->section[j];
            }
        }
    }
    for (int u = 0; u < U; u++) {
        s->user_noise_w[u] *= v->noise[u];
        s->user_weight[u] = v->weight[u];
    }
}

beam_code lab_family_draw(const lab_family_shape *shape, bool plain, lab_random *random,
                          lab_scene *frames[2], beam_error *err)
{
    lab_generate_options o = lab_generate_options_default();
    o.stations = shape->stations;
    o.antennas = shape->antennas;
    o.targets = shape->targets;
    memcpy(o.users, shape->users, sizeof o.users);
    o.seed = lab_random_bits(random);
    /* 40 % of the training scenes are as plain as the paper's */
    plain = plain || chance(random, 0.4);
    o.random_targets = chance(random, 0.5) || shape->stations != 3 || shape->targets != 2;
    o.error_relative = plain ? between(random, 0.05, 0.2) : between(random, 0, 0.2);
    if (!plain && chance(random, 0.1)) {
        o.error_relative = 0;
    }
    o.power_dbm = plain ? 40 : between(random, 20, 46);
    const double user_speed = between(random, 0.5, 40), target_speed = between(random, 0, 10);
    const double later_s = 2e-4 * pow(100, lab_random_uniform(random));
    frames[0] = frames[1] = NULL;
    lab_track *track = lab_track_create(&o, user_speed, target_speed, err);
    if (!track) {
        return err->code;
    }
    variation v;
    for (int k = 0; k < 2; k++) {
        frames[k] = lab_track_scene(track, err);
        if (!frames[k]) {
            lab_scene_destroy(&frames[0]);
            lab_track_destroy(&track);
            return err->code;
        }
        if (k == 0) {
            draw_variation(&v, &frames[0]->scene.dims, plain, random);
        }
        lab_track_at(track, k * later_s, &frames[k]->scene);
        apply(&v, &frames[k]->scene);
    }
    lab_track_destroy(&track);
    return BEAM_OK;
}
