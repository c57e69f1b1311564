/* Scenes: layout in one block, copying, and the validation that everything else relies on.
 *
 * The bounds below are far outside anything physical. They exist so that no product formed from an
 * accepted scene can overflow: the largest are the fourth power of a scaled channel, (1e20 * 1e15 /
 * 1e-15)^4 = 1e200, and the squared information of one target, (2T/sigma_r^2 * |alpha|^2 P * N V *
 * X0 * |g|^2)^2 < 1e270. */
#include "beam/scene.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "model/arena.h"

#define POWER_MAX 1e30      /* watt: powers and noises lie in [1 / POWER_MAX, POWER_MAX] */
#define CHANNEL_MAX 1e20    /* channel coefficients and error radii */
#define REFLECTION_MAX 1e10 /* reflection coefficients */
#define POSITION_MAX 1e9    /* metre */
#define AXIS_MAX 1e6        /* radian: beyond it the direction has lost its digits */
#define WEIGHT_MAX 1e12
#define RATE_MAX 1e6 /* bit/s/Hz */
#define SNAPSHOTS_MAX 1e18
#define BANDWIDTH_MAX 1e15 /* hertz */
#define COINCIDENT 1e-6    /* metre: closer positions count as one */

typedef struct scene_layout {
    double *station_position, *station_axis, *station_power, *station_noise;
    int *user_station;
    double *user_weight, *user_noise, *user_min_rate;
    beam_complex *channel;
    double *radius, *target_position;
    beam_complex *reflection;
} scene_layout;

beam_code beam_dims_check(const beam_dims *dims, beam_error *err)
{
    if (!dims) {
        return beam_fail(err, BEAM_E_INVALID, "dims", "no sizes given");
    }
    const struct {
        const char *name;
        int value, least, most;
    } sizes[] = {
        {"stations", dims->stations, 1, BEAM_MAX_STATIONS},
        {"antennas", dims->antennas, 1, BEAM_MAX_ANTENNAS},
        {"users", dims->users, 0, BEAM_MAX_USERS},
        {"targets", dims->targets, 1, BEAM_MAX_TARGETS},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].value < sizes[i].least) {
            return beam_fail(err, BEAM_E_INVALID, sizes[i].name,
                             "number of %s is %d, must be at least %d", sizes[i].name,
                             sizes[i].value, sizes[i].least);
        }
        if (sizes[i].value > sizes[i].most) {
            return beam_fail(err, BEAM_E_LIMIT, sizes[i].name,
                             "number of %s is %d, the limit is %d", sizes[i].name, sizes[i].value,
                             sizes[i].most);
        }
    }
    return BEAM_OK;
}

static scene_layout scene_carve(beam_arena *arena, const beam_dims *dims)
{
    const size_t L = (size_t)dims->stations, N = (size_t)dims->antennas;
    const size_t U = (size_t)dims->users, J = (size_t)dims->targets;
    scene_layout at;
    at.station_position = BEAM_TAKE(arena, double, L * 2);
    at.station_axis = BEAM_TAKE(arena, double, L);
    at.station_power = BEAM_TAKE(arena, double, L);
    at.station_noise = BEAM_TAKE(arena, double, L);
    at.user_station = BEAM_TAKE(arena, int, U);
    at.user_weight = BEAM_TAKE(arena, double, U);
    at.user_noise = BEAM_TAKE(arena, double, U);
    at.user_min_rate = BEAM_TAKE(arena, double, U);
    at.channel = BEAM_TAKE(arena, beam_complex, L * U * N);
    at.radius = BEAM_TAKE(arena, double, L *U);
    at.target_position = BEAM_TAKE(arena, double, J * 2);
    at.reflection = BEAM_TAKE(arena, beam_complex, L * J * L);
    return at;
}

size_t beam_scene_memsize(const beam_dims *dims)
{
    if (beam_dims_check(dims, NULL) != BEAM_OK) {
        return 0;
    }
    beam_arena arena = {NULL, 0};
    (void)scene_carve(&arena, dims);
    return arena.used;
}

beam_code beam_scene_init(beam_scene *scene, const beam_dims *dims, void *memory, size_t size,
                          beam_error *err)
{
    const beam_code code = beam_dims_check(dims, err);
    if (code != BEAM_OK) {
        return code;
    }
    const size_t need = beam_scene_memsize(dims);
    if (!scene || !memory) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "no memory given for the scene");
    }
    if ((uintptr_t)memory % 64u != 0) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "memory is not aligned to 64 bytes");
    }
    if (size < need) {
        return beam_fail(err, BEAM_E_LIMIT, "memory", "%zu bytes given, a scene needs %zu", size,
                         need);
    }
    memset(memory, 0, need);
    beam_arena arena = {memory, 0};
    const scene_layout at = scene_carve(&arena, dims);
    *scene = (beam_scene){
        .dims = *dims,
        .array = BEAM_ARRAY_UNIFORM_LINEAR,
        .user_antennas = 1,
        .sensing = BEAM_SENSING_RESOLVED,
        .snapshots = 256,
        .station_position_m = at.station_position,
        .station_axis_rad = at.station_axis,
        .station_power_w = at.station_power,
        .station_echo_noise_w = at.station_noise,
        .user_station = at.user_station,
        .user_weight = at.user_weight,
        .user_noise_w = at.user_noise,
        .user_min_rate_bps_hz = at.user_min_rate,
        .channel = at.channel,
        .error_radius = at.radius,
        .target_position_m = at.target_position,
        .reflection = at.reflection,
    };
    for (int u = 0; u < dims->users; u++) {
        scene->user_weight[u] = 1.0;
    }
    return BEAM_OK;
}

/* memcpy that accepts absent arrays of no elements. */
static void copy_array(void *to, const void *from, size_t count, size_t size)
{
    if (count > 0) {
        memcpy(to, from, count * size);
    }
}

static bool arrays_present(const beam_scene *s)
{
    const bool stations = s->station_position_m && s->station_axis_rad && s->station_power_w &&
                          s->station_echo_noise_w;
    const bool users = s->user_station && s->user_weight && s->user_noise_w &&
                       s->user_min_rate_bps_hz && s->channel && s->error_radius;
    return stations && (users || s->dims.users == 0) && s->target_position_m && s->reflection;
}

beam_code beam_scene_copy(beam_scene *to, const beam_scene *from, beam_error *err)
{
    if (!to || !from || !arrays_present(to) || !arrays_present(from)) {
        return beam_fail(err, BEAM_E_INVALID, "scene", "a scene without arrays cannot be copied");
    }
    const beam_dims *a = &to->dims, *b = &from->dims;
    if (a->stations != b->stations || a->antennas != b->antennas || a->users != b->users ||
        a->targets != b->targets) {
        return beam_fail(err, BEAM_E_INVALID, "dims", "scenes of different sizes cannot be copied");
    }
    const size_t L = (size_t)a->stations, N = (size_t)a->antennas;
    const size_t U = (size_t)a->users, J = (size_t)a->targets;
    to->array = from->array;
    to->user_antennas = from->user_antennas;
    to->sensing = from->sensing;
    to->bandwidth_hz = from->bandwidth_hz;
    to->snapshots = from->snapshots;
    to->skip_unidentifiable = from->skip_unidentifiable;
    copy_array(to->station_position_m, from->station_position_m, L * 2, sizeof(double));
    copy_array(to->station_axis_rad, from->station_axis_rad, L, sizeof(double));
    copy_array(to->station_power_w, from->station_power_w, L, sizeof(double));
    copy_array(to->station_echo_noise_w, from->station_echo_noise_w, L, sizeof(double));
    copy_array(to->user_station, from->user_station, U, sizeof(int));
    copy_array(to->user_weight, from->user_weight, U, sizeof(double));
    copy_array(to->user_noise_w, from->user_noise_w, U, sizeof(double));
    copy_array(to->user_min_rate_bps_hz, from->user_min_rate_bps_hz, U, sizeof(double));
    copy_array(to->channel, from->channel, L * U * N, sizeof(beam_complex));
    copy_array(to->error_radius, from->error_radius, L * U, sizeof(double));
    copy_array(to->target_position_m, from->target_position_m, J * 2, sizeof(double));
    copy_array(to->reflection, from->reflection, L * J * L, sizeof(beam_complex));
    return BEAM_OK;
}

/* The name of a field, built only when it is at fault. */
typedef struct field_name {
    char text[96];
} field_name;

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static field_name
field_of(const char *format, ...)
{
    field_name name;
    va_list args;
    va_start(args, format);
    if (vsnprintf(name.text, sizeof name.text, format, args) < 0) {
        name.text[0] = '\0';
    }
    va_end(args);
    return name;
}

/* Is the value a finite number in [least, most]? Written so that a NaN is not. */
static bool within(double value, double least, double most)
{
    return value >= least && value <= most;
}

static beam_code fail_range(beam_error *err, field_name name, double value, double least,
                            double most)
{
    if (!isfinite(value)) {
        return beam_fail(err, BEAM_E_INVALID, name.text, "%s is not finite", name.text);
    }
    return beam_fail(err, BEAM_E_INVALID, name.text, "%s is %g, must be between %g and %g",
                     name.text, value, least, most);
}

static beam_code fail_complex(beam_error *err, field_name name, beam_complex value, double most)
{
    const bool re_bad = !within(value.re, -most, most);
    return fail_range(err, name, re_bad ? value.re : value.im, -most, most);
}

static beam_code validate_header(const beam_scene *s, beam_error *err)
{
    if (s->array != BEAM_ARRAY_UNIFORM_LINEAR) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, "array",
                         "only uniform linear arrays with half-wavelength spacing are supported");
    }
    if (s->user_antennas != 1) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, "user_antennas",
                         "users with %d antennas are not supported, only single-antenna users are",
                         s->user_antennas);
    }
    switch (s->sensing) {
    case BEAM_SENSING_RESOLVED:
    case BEAM_SENSING_COHERENT:
        break;
    case BEAM_SENSING_BAND:
        if (!(s->bandwidth_hz > 0) || s->bandwidth_hz > BANDWIDTH_MAX) {
            return beam_fail(
                err, BEAM_E_INVALID, "bandwidth_hz",
                "bandwidth_hz is %g, the band model needs a bandwidth above 0 and up to %g",
                s->bandwidth_hz, BANDWIDTH_MAX);
        }
        break;
    default:
        return beam_fail(err, BEAM_E_INVALID, "sensing_model", "sensing model %d is not known",
                         (int)s->sensing);
    }
    if (!(s->snapshots > 0) || s->snapshots > SNAPSHOTS_MAX) {
        return beam_fail(err, BEAM_E_INVALID, "snapshots",
                         "snapshots is %g, must be above 0 and up to %g", s->snapshots,
                         SNAPSHOTS_MAX);
    }
    return BEAM_OK;
}

static beam_code validate_position(const double *position, const char *kind, int index,
                                   beam_error *err)
{
    for (int i = 0; i < 2; i++) {
        if (!within(position[i], -POSITION_MAX, POSITION_MAX)) {
            return fail_range(err, field_of("%s[%d].position_m", kind, index), position[i],
                              -POSITION_MAX, POSITION_MAX);
        }
    }
    return BEAM_OK;
}

static bool coincide(const double *a, const double *b)
{
    return hypot(a[0] - b[0], a[1] - b[1]) <= COINCIDENT;
}

static beam_code validate_stations(const beam_scene *s, beam_error *err)
{
    for (int l = 0; l < s->dims.stations; l++) {
        const double *position = s->station_position_m + 2 * l;
        const beam_code code = validate_position(position, "stations", l, err);
        if (code != BEAM_OK) {
            return code;
        }
        for (int m = 0; m < l; m++) {
            if (coincide(position, s->station_position_m + 2 * m)) {
                return beam_fail(err, BEAM_E_INVALID, field_of("stations[%d].position_m", l).text,
                                 "station %d stands where station %d does", l, m);
            }
        }
        if (!within(s->station_axis_rad[l], -AXIS_MAX, AXIS_MAX)) {
            return fail_range(err, field_of("stations[%d].axis_rad", l), s->station_axis_rad[l],
                              -AXIS_MAX, AXIS_MAX);
        }
        if (!within(s->station_power_w[l], 1 / POWER_MAX, POWER_MAX)) {
            return fail_range(err, field_of("stations[%d].power_w", l), s->station_power_w[l],
                              1 / POWER_MAX, POWER_MAX);
        }
        if (!within(s->station_echo_noise_w[l], 1 / POWER_MAX, POWER_MAX)) {
            return fail_range(err, field_of("stations[%d].echo_noise_w", l),
                              s->station_echo_noise_w[l], 1 / POWER_MAX, POWER_MAX);
        }
    }
    return BEAM_OK;
}

static beam_code validate_links(const beam_scene *s, int u, beam_error *err)
{
    const int N = s->dims.antennas, U = s->dims.users;
    for (int l = 0; l < s->dims.stations; l++) {
        const beam_complex *channel = s->channel + ((size_t)l * (size_t)U + (size_t)u) * (size_t)N;
        for (int n = 0; n < N; n++) {
            if (!within(channel[n].re, -CHANNEL_MAX, CHANNEL_MAX) ||
                !within(channel[n].im, -CHANNEL_MAX, CHANNEL_MAX)) {
                return fail_complex(err, field_of("users[%d].channels[%d][%d]", u, l, n),
                                    channel[n], CHANNEL_MAX);
            }
        }
        const double radius = s->error_radius[l * U + u];
        if (!within(radius, 0, CHANNEL_MAX)) {
            return fail_range(err, field_of("users[%d].error_radius[%d]", u, l), radius, 0,
                              CHANNEL_MAX);
        }
    }
    return BEAM_OK;
}

static beam_code validate_users(const beam_scene *s, beam_error *err)
{
    for (int u = 0; u < s->dims.users; u++) {
        if (s->user_station[u] < 0 || s->user_station[u] >= s->dims.stations) {
            return beam_fail(err, BEAM_E_INVALID, field_of("users[%d].station", u).text,
                             "user %d is served by station %d, stations are 0 to %d", u,
                             s->user_station[u], s->dims.stations - 1);
        }
        if (!within(s->user_weight[u], 0, WEIGHT_MAX)) {
            return fail_range(err, field_of("users[%d].weight", u), s->user_weight[u], 0,
                              WEIGHT_MAX);
        }
        if (!within(s->user_noise_w[u], 1 / POWER_MAX, POWER_MAX)) {
            return fail_range(err, field_of("users[%d].noise_w", u), s->user_noise_w[u],
                              1 / POWER_MAX, POWER_MAX);
        }
        if (!within(s->user_min_rate_bps_hz[u], 0, RATE_MAX)) {
            return fail_range(err, field_of("users[%d].min_rate_bps_hz", u),
                              s->user_min_rate_bps_hz[u], 0, RATE_MAX);
        }
        const beam_code code = validate_links(s, u, err);
        if (code != BEAM_OK) {
            return code;
        }
    }
    return BEAM_OK;
}

static beam_code validate_target_position(const beam_scene *s, int j, beam_error *err)
{
    const double *position = s->target_position_m + 2 * j;
    const beam_code code = validate_position(position, "targets", j, err);
    if (code != BEAM_OK) {
        return code;
    }
    for (int l = 0; l < s->dims.stations; l++) {
        if (coincide(position, s->station_position_m + 2 * l)) {
            return beam_fail(err, BEAM_E_INVALID, field_of("targets[%d].position_m", j).text,
                             "target %d stands on station %d", j, l);
        }
    }
    for (int i = 0; i < j; i++) {
        if (coincide(position, s->target_position_m + 2 * i)) {
            return beam_fail(err, BEAM_E_INVALID, field_of("targets[%d].position_m", j).text,
                             "target %d stands where target %d does", j, i);
        }
    }
    return BEAM_OK;
}

static beam_code validate_targets(const beam_scene *s, beam_error *err)
{
    const int L = s->dims.stations, J = s->dims.targets;
    for (int j = 0; j < J; j++) {
        const beam_code code = validate_target_position(s, j, err);
        if (code != BEAM_OK) {
            return code;
        }
        for (int l = 0; l < L; l++) {
            for (int m = 0; m < L; m++) {
                const beam_complex a = s->reflection[(l * J + j) * L + m];
                if (!within(a.re, -REFLECTION_MAX, REFLECTION_MAX) ||
                    !within(a.im, -REFLECTION_MAX, REFLECTION_MAX)) {
                    return fail_complex(err, field_of("targets[%d].reflection[%d][%d]", j, l, m), a,
                                        REFLECTION_MAX);
                }
            }
        }
    }
    return BEAM_OK;
}

beam_code beam_scene_validate(const beam_scene *scene, beam_error *err)
{
    if (!scene) {
        return beam_fail(err, BEAM_E_INVALID, "scene", "no scene given");
    }
    beam_code code = beam_dims_check(&scene->dims, err);
    if (code != BEAM_OK) {
        return code;
    }
    if (!arrays_present(scene)) {
        return beam_fail(err, BEAM_E_INVALID, "scene", "an array of the scene is missing");
    }
    code = validate_header(scene, err);
    if (code == BEAM_OK) {
        code = validate_stations(scene, err);
    }
    if (code == BEAM_OK) {
        code = validate_users(scene, err);
    }
    if (code == BEAM_OK) {
        code = validate_targets(scene, err);
    }
    return code;
}
