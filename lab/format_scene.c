/* beamd-scene/1 */
#include "lab/format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/json_read.h"
#include "lab/output.h"

static const char *const MODEL_NAMES[] = {"resolved", "coherent", "band"};

static beam_code read_positions(const lab_node *node, double *out, beam_error *err)
{
    lab_node position;
    beam_code code = lab_node_get(node, "position_m", &position, err);
    size_t size = 0;
    if (!code) {
        code = lab_node_array(&position, -1, &size, err);
    }
    if (!code && size == 3) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, position.path,
                         "has three coordinates; only the plane is supported");
    }
    return code ? code : lab_node_numbers(&position, 2, out, err);
}

/* Sizes first, so that memory can be laid out before values are read. */
static beam_code read_dims(const lab_node *root, beam_dims *dims, beam_error *err)
{
    static const char *const keys[] = {"stations", "users", "targets"};
    size_t sizes[3] = {0};
    const long limits[] = {BEAM_MAX_STATIONS, BEAM_MAX_USERS, BEAM_MAX_TARGETS};
    for (int i = 0; i < 3; i++) {
        lab_node node;
        beam_code code = lab_node_get(root, keys[i], &node, err);
        if (!code) {
            code = lab_node_array(&node, -1, &sizes[i], err);
        }
        if (code) {
            return code;
        }
        if (sizes[i] > (size_t)limits[i]) {
            return beam_fail(err, BEAM_E_LIMIT, keys[i], "has %zu elements, the limit is %ld",
                             sizes[i], limits[i]);
        }
        if (sizes[i] == 0 && i != 1) {
            return beam_fail(err, BEAM_E_INVALID, keys[i], "must not be empty");
        }
    }
    lab_node stations;
    beam_code code = lab_node_get(root, "stations", &stations, err);
    long antennas = 0;
    for (size_t l = 0; !code && l < sizes[0]; l++) {
        const lab_node station = lab_node_at(&stations, l);
        lab_node node;
        long n = 0;
        code = lab_node_get(&station, "antennas", &node, err);
        if (!code) {
            code = lab_node_integer(&node, 1, BEAM_MAX_ANTENNAS, &n, err);
        }
        if (!code && l > 0 && n != antennas) {
            return beam_fail(err, BEAM_E_UNSUPPORTED, node.path,
                             "is %ld, but stations[0] has %ld; unequal arrays are not supported", n,
                             antennas);
        }
        antennas = n;
    }
    *dims = (beam_dims){.stations = (int)sizes[0],
                        .antennas = (int)antennas,
                        .users = (int)sizes[1],
                        .targets = (int)sizes[2]};
    return code;
}

static beam_code read_stations(const lab_node *root, beam_scene *s, beam_error *err)
{
    lab_node array;
    beam_code code = lab_node_get(root, "stations", &array, err);
    for (int l = 0; !code && l < s->dims.stations; l++) {
        const lab_node node = lab_node_at(&array, (size_t)l);
        code = read_positions(&node, s->station_position_m + 2 * l, err);
        if (!code) {
            code = lab_get_number(&node, "axis_rad", &s->station_axis_rad[l], err);
        }
        if (!code) {
            code = lab_get_number(&node, "power_w", &s->station_power_w[l], err);
        }
        if (!code) {
            code = lab_get_number(&node, "echo_noise_w", &s->station_echo_noise_w[l], err);
        }
    }
    return code;
}

/* A channel whose "re" holds arrays is one of a user with several antennas: refused by name. */
static beam_code check_single_antenna(const lab_node *channel, beam_error *err)
{
    lab_node re;
    if (lab_node_find(channel, "re", &re, err) == BEAM_OK && json_is_array(re.value) &&
        json_is_array(json_array_get(re.value, 0))) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, channel->path,
                         "is a matrix; users with more than one antenna are not supported");
    }
    return BEAM_OK;
}

static beam_code read_user(const lab_node *node, beam_scene *s, int u, beam_error *err)
{
    const int L = s->dims.stations, U = s->dims.users, N = s->dims.antennas;
    lab_node child;
    long station = 0;
    beam_code code = lab_node_get(node, "station", &child, err);
    if (!code) {
        code = lab_node_integer(&child, 0, L - 1, &station, err);
    }
    s->user_station[u] = (int)station;
    if (!code) {
        code = lab_get_number(node, "weight", &s->user_weight[u], err);
    }
    if (!code) {
        code = lab_get_number(node, "noise_w", &s->user_noise_w[u], err);
    }
    if (!code) {
        code = lab_node_find(node, "min_rate_bps_hz", &child, err);
    }
    if (!code && child.value) {
        code = lab_node_number(&child, &s->user_min_rate_bps_hz[u], err);
    }
    double radii[BEAM_MAX_STATIONS];
    if (!code) {
        code = lab_get_numbers(node, "error_radius", L, radii, err);
    }
    if (!code) {
        code = lab_node_get(node, "channels", &child, err);
    }
    if (!code) {
        code = lab_node_array(&child, L, NULL, err);
    }
    for (int l = 0; !code && l < L; l++) {
        const lab_node channel = lab_node_at(&child, (size_t)l);
        s->error_radius[l * U + u] = radii[l];
        code = check_single_antenna(&channel, err);
        if (!code) {
            code = lab_node_complex_vector(
                &channel, N, s->channel + ((size_t)l * (size_t)U + (size_t)u) * (size_t)N, err);
        }
    }
    return code;
}

static beam_code read_users(const lab_node *root, beam_scene *s, beam_error *err)
{
    lab_node array;
    beam_code code = lab_node_get(root, "users", &array, err);
    for (int u = 0; !code && u < s->dims.users; u++) {
        const lab_node node = lab_node_at(&array, (size_t)u);
        code = read_user(&node, s, u, err);
    }
    return code;
}

static beam_code read_targets(const lab_node *root, beam_scene *s, beam_error *err)
{
    const int L = s->dims.stations, J = s->dims.targets;
    beam_complex reflection[BEAM_MAX_STATIONS * BEAM_MAX_STATIONS];
    lab_node array;
    beam_code code = lab_node_get(root, "targets", &array, err);
    for (int j = 0; !code && j < J; j++) {
        const lab_node node = lab_node_at(&array, (size_t)j);
        lab_node child;
        code = read_positions(&node, s->target_position_m + 2 * j, err);
        if (!code) {
            code = lab_node_get(&node, "reflection", &child, err);
        }
        if (!code) {
            code = lab_node_complex_matrix(&child, L, L, reflection, err);
        }
        for (int l = 0; !code && l < L; l++) {
            memcpy(s->reflection + (l * J + j) * L, reflection + l * L,
                   (size_t)L * sizeof *reflection);
        }
    }
    return code;
}

/* "array" and "user_antennas" may name what is not built; their only admissible values are the
 * defaults. */
static beam_code read_kinds(const lab_node *root, beam_scene *s, beam_error *err)
{
    lab_node node;
    char text[64];
    beam_code code = lab_node_find(root, "array", &node, err);
    if (!code && node.value) {
        code = lab_node_text(&node, text, sizeof text, err);
        if (!code && strcmp(text, "uniform_linear") != 0) {
            return beam_fail(err, BEAM_E_UNSUPPORTED, "array",
                             "is \"%.40s\"; only \"uniform_linear\" is supported", text);
        }
    }
    if (!code) {
        code = lab_node_find(root, "user_antennas", &node, err);
    }
    if (!code && node.value) {
        long antennas = 1;
        code = lab_node_integer(&node, 1, 1 << 20, &antennas, err);
        s->user_antennas = (int)antennas;
    }
    if (!code) {
        code = lab_node_find(root, "sensing_model", &node, err);
    }
    if (code || !node.value) {
        return code;
    }
    code = lab_node_text(&node, text, sizeof text, err);
    for (int i = 0; !code && i < 3; i++) {
        if (strcmp(text, MODEL_NAMES[i]) == 0) {
            s->sensing = (beam_sensing_model)i;
            return BEAM_OK;
        }
    }
    return code ? code
                : beam_fail(err, BEAM_E_UNSUPPORTED, "sensing_model",
                            "is \"%.40s\"; must be resolved, coherent or band", text);
}

static beam_code read_header(const lab_node *root, lab_scene *self, beam_error *err)
{
    beam_scene *s = &self->scene;
    lab_node node;
    beam_code code = read_kinds(root, s, err);
    if (!code) {
        code = lab_node_find(root, "name", &node, err);
    }
    if (!code && node.value) {
        code = lab_node_text(&node, self->name, sizeof self->name, err);
    }
    if (!code) {
        code = lab_get_number(root, "carrier_hz", &self->carrier_hz, err);
    }
    if (!code) {
        code = lab_get_number(root, "snapshots", &s->snapshots, err);
    }
    if (!code && s->sensing == BEAM_SENSING_BAND) {
        code = lab_get_number(root, "bandwidth_hz", &s->bandwidth_hz, err);
    }
    return code;
}

static beam_code read_tradeoffs(const lab_node *root, lab_scene *self, beam_error *err)
{
    lab_node node;
    size_t count = 0;
    beam_code code = lab_node_find(root, "tradeoffs", &node, err);
    if (code || !node.value) {
        return code;
    }
    code = lab_node_array(&node, -1, &count, err);
    if (code || count == 0) {
        return code;
    }
    if (count > LAB_MAX_ENTRIES) {
        return beam_fail(err, BEAM_E_LIMIT, "tradeoffs", "has more than %d elements",
                         LAB_MAX_ENTRIES);
    }
    self->tradeoffs = calloc(count, sizeof *self->tradeoffs);
    if (!self->tradeoffs) {
        return beam_fail(err, BEAM_E_LIMIT, "tradeoffs", "out of memory");
    }
    code = lab_node_numbers(&node, (long)count, self->tradeoffs, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (self->tradeoffs[i] < 0 || self->tradeoffs[i] > 1) {
            const lab_node element = lab_node_at(&node, i);
            return beam_fail(err, BEAM_E_INVALID, element.path, "must be from 0 to 1, is %.12g",
                             self->tradeoffs[i]);
        }
    }
    self->tradeoff_count = (int)count;
    return code;
}

static lab_scene *scene_from_json(const json_t *json, beam_error *err)
{
    const lab_node root = lab_node_root(json);
    beam_dims dims;
    if (lab_node_format(&root, "beamd-scene/1", err) || read_dims(&root, &dims, err)) {
        return NULL;
    }
    lab_scene *self = lab_scene_create(&dims, err);
    if (!self) {
        return NULL;
    }
    beam_scene *s = &self->scene;
    if (read_header(&root, self, err) || read_stations(&root, s, err) ||
        read_users(&root, s, err) || read_targets(&root, s, err) ||
        read_tradeoffs(&root, self, err) || beam_scene_validate(s, err)) {
        lab_scene_destroy(&self);
    }
    return self;
}

lab_scene *lab_scene_read(const char *path, beam_error *err)
{
    json_t *json = lab_json_load(path, err);
    lab_scene *self = json ? scene_from_json(json, err) : NULL;
    json_decref(json);
    return self;
}

lab_scene *lab_scene_parse(const char *text, size_t size, beam_error *err)
{
    json_t *json = lab_json_parse(text, size, err);
    lab_scene *self = json ? scene_from_json(json, err) : NULL;
    json_decref(json);
    return self;
}

/* Writing. By hand rather than through a tree: the order of members is that of the format's
 * description and a 128-user, 256-antenna scene is half a million numbers. */
static void put_numbers(FILE *f, const double *first, size_t count, size_t stride)
{
    fputc('[', f);
    for (size_t i = 0; i < count; i++) {
        fprintf(f, "%s%.10g", i ? "," : "", first[i * stride]);
    }
    fputc(']', f);
}

static void put_user(FILE *f, const beam_scene *s, int u)
{
    const size_t L = (size_t)s->dims.stations, U = (size_t)s->dims.users;
    const size_t N = (size_t)s->dims.antennas;
    fprintf(f, "{\"station\":%d,\"weight\":%.10g,\"noise_w\":%.10g,", s->user_station[u],
            s->user_weight[u], s->user_noise_w[u]);
    if (s->user_min_rate_bps_hz[u] > 0) {
        fprintf(f, "\"min_rate_bps_hz\":%.10g,", s->user_min_rate_bps_hz[u]);
    }
    fputs("\"channels\":[", f);
    for (size_t l = 0; l < L; l++) {
        const beam_complex *h = s->channel + (l * U + (size_t)u) * N;
        fputs(l ? ",{\"re\":" : "{\"re\":", f);
        put_numbers(f, &h->re, N, 2);
        fputs(",\"im\":", f);
        put_numbers(f, &h->im, N, 2);
        fputc('}', f);
    }
    fputs("],\"error_radius\":", f);
    put_numbers(f, s->error_radius + u, L, U);
    fputc('}', f);
}

static void put_target(FILE *f, const beam_scene *s, int j)
{
    const size_t L = (size_t)s->dims.stations, J = (size_t)s->dims.targets;
    fputs("{\"position_m\":", f);
    put_numbers(f, s->target_position_m + 2 * j, 2, 1);
    fputs(",\"reflection\":{", f);
    for (int part = 0; part < 2; part++) {
        fputs(part ? ",\"im\":[" : "\"re\":[", f);
        for (size_t l = 0; l < L; l++) {
            const beam_complex *row = s->reflection + (l * J + (size_t)j) * L;
            fputs(l ? "," : "", f);
            put_numbers(f, part ? &row->im : &row->re, L, 2);
        }
        fputc(']', f);
    }
    fputs("}}", f);
}

static void put_scene(FILE *f, const lab_scene *self)
{
    const beam_scene *s = &self->scene;
    fputs("{\"format\":\"beamd-scene/1\",\"name\":", f);
    lab_put_text(f, self->name);
    fprintf(f, ",\"carrier_hz\":%.10g,\"snapshots\":%.10g,\"sensing_model\":\"%s\"",
            self->carrier_hz, s->snapshots, MODEL_NAMES[s->sensing]);
    if (s->sensing == BEAM_SENSING_BAND) {
        fprintf(f, ",\"bandwidth_hz\":%.10g", s->bandwidth_hz);
    }
    fputs(",\"stations\":[", f);
    for (int l = 0; l < s->dims.stations; l++) {
        fputs(l ? ",{\"position_m\":" : "{\"position_m\":", f);
        put_numbers(f, s->station_position_m + 2 * l, 2, 1);
        fprintf(f, ",\"axis_rad\":%.10g,\"antennas\":%d,\"power_w\":%.10g,\"echo_noise_w\":%.10g}",
                s->station_axis_rad[l], s->dims.antennas, s->station_power_w[l],
                s->station_echo_noise_w[l]);
    }
    fputs("],\"users\":[", f);
    for (int u = 0; u < s->dims.users; u++) {
        fputs(u ? "," : "", f);
        put_user(f, s, u);
    }
    fputs("],\"targets\":[", f);
    for (int j = 0; j < s->dims.targets; j++) {
        fputs(j ? "," : "", f);
        put_target(f, s, j);
    }
    fputs("],\"tradeoffs\":", f);
    put_numbers(f, self->tradeoffs, (size_t)self->tradeoff_count, 1);
    fputs("}\n", f);
}

beam_code lab_scene_write(const lab_scene *self, const char *path, beam_error *err)
{
    lab_output output;
    const beam_code code = lab_output_open(&output, path, err);
    if (code) {
        return code;
    }
    put_scene(output.file, self);
    return lab_output_commit(&output, err);
}
