/* What a message changes in a cluster. Everything is built beside the present state, validated by
 * the engine, and then swapped in: a message that is refused changes nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cluster.h"

static void copy_stations_and_targets(beam_scene *to, const beam_scene *from)
{
    const size_t L = (size_t)from->dims.stations, J = (size_t)from->dims.targets;
    to->array = from->array;
    to->user_antennas = from->user_antennas;
    to->sensing = from->sensing;
    to->bandwidth_hz = from->bandwidth_hz;
    to->snapshots = from->snapshots;
    to->skip_unidentifiable = from->skip_unidentifiable;
    memcpy(to->station_position_m, from->station_position_m, L * 2 * sizeof(double));
    memcpy(to->station_axis_rad, from->station_axis_rad, L * sizeof(double));
    memcpy(to->station_power_w, from->station_power_w, L * sizeof(double));
    memcpy(to->station_echo_noise_w, from->station_echo_noise_w, L * sizeof(double));
    memcpy(to->target_position_m, from->target_position_m, J * 2 * sizeof(double));
    memcpy(to->reflection, from->reflection, L * J * L * sizeof(beam_complex));
}

static void copy_user(beamd_view *to, int at, const beamd_view *from, int index)
{
    beam_scene *a = &to->scene;
    const beam_scene *b = &from->scene;
    const size_t N = (size_t)a->dims.antennas;
    to->user_id[at] = from->user_id[index];
    a->user_station[at] = b->user_station[index];
    a->user_weight[at] = b->user_weight[index];
    a->user_noise_w[at] = b->user_noise_w[index];
    a->user_min_rate_bps_hz[at] = b->user_min_rate_bps_hz[index];
    for (int l = 0; l < a->dims.stations; l++) {
        const size_t x = (size_t)l * (size_t)a->dims.users + (size_t)at;
        const size_t y = (size_t)l * (size_t)b->dims.users + (size_t)index;
        memcpy(a->channel + x * N, b->channel + y * N, N * sizeof(beam_complex));
        a->error_radius[x] = b->error_radius[y];
    }
}

/* `next` with `users` users and everything else as it is now. */
static int begin_next(beamd_cluster *self, size_t users, beam_wire_error *err)
{
    if (users > (size_t)self->max.users) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "users",
                              "%zu users, the cluster was registered for at most %d", users,
                              self->max.users);
    }
    beam_dims dims = self->max;
    dims.users = (int)users;
    if (beamd_view_lay(&self->next, &dims, err) < 0) {
        return -1;
    }
    copy_stations_and_targets(&self->next.scene, &self->live.scene);
    return 0;
}

static int commit_next(beamd_cluster *self, beam_wire_error *err)
{
    beam_error error;
    if (beam_scene_validate(&self->next.scene, &error) != BEAM_OK) {
        return beamd_engine_error(err, &error);
    }
    const beamd_view old = self->live;
    self->live = self->next;
    self->next = old;
    return 0;
}

static bool same_users(const beamd_view *a, const beamd_view *b)
{
    const int users = a->scene.dims.users;
    if (users != b->scene.dims.users) {
        return false;
    }
    for (int u = 0; u < users; u++) {
        if (a->user_id[u] != b->user_id[u] ||
            a->scene.user_station[u] != b->scene.user_station[u] ||
            a->scene.user_weight[u] != b->scene.user_weight[u]) {
            return false;
        }
    }
    return true;
}

static int commit_csi(beamd_cluster *self, beam_wire_error *err)
{
    if (commit_next(self, err) < 0) {
        return -1;
    }
    if (!self->has_csi || !same_users(&self->live, &self->next)) {
        self->users_generation++;
    }
    self->csi_generation++;
    self->has_csi = true;
    return 0;
}

/* Users from index `first` of `next` on, from a message. Ids are compared with all before them. */
static int put_users(beamd_view *next, int first, Beamd__User *const *users, size_t count,
                     beam_wire_error *err)
{
    char field[64];
    for (size_t i = 0; i < count; i++) {
        const Beamd__User *user = users[i];
        const int at = first + (int)i;
        for (int other = 0; other < at; other++) {
            if (next->user_id[other] == user->user_id) {
                snprintf(field, sizeof field, "users[%zu].user_id", i);
                return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field,
                                      "user %llu is in the cluster twice",
                                      (unsigned long long)user->user_id);
            }
        }
        if (user->station >= (uint32_t)next->scene.dims.stations) {
            snprintf(field, sizeof field, "users[%zu].station", i);
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field,
                                  "is %u, stations are 0 to %d", user->station,
                                  next->scene.dims.stations - 1);
        }
        next->user_id[at] = user->user_id;
        next->scene.user_station[at] = (int)user->station;
        next->scene.user_weight[at] = user->weight;
        next->scene.user_noise_w[at] = user->noise_w;
        next->scene.user_min_rate_bps_hz[at] = user->min_rate_bps_hz;
    }
    return 0;
}

/* Channels and radii of users `first`.. of `next`: message order [station][user of the
 * message][antenna]. */
static int put_channels(beamd_cluster *self, int first, size_t count, size_t bands,
                        Beamd__Subband *const *band, beam_wire_error *err)
{
    if (count == 0 && bands == 0) {
        return 0;
    }
    if (bands != 1) {
        return beam_wire_fail(
            err, bands ? BEAMD__ERROR_CODE__ERROR_UNSUPPORTED : BEAMD__ERROR_CODE__ERROR_INVALID,
            "subbands", "%zu subbands, exactly one is accepted", bands);
    }
    beam_scene *next = &self->next.scene;
    const size_t L = (size_t)next->dims.stations, N = (size_t)next->dims.antennas;
    const uint32_t shape[3] = {(uint32_t)L, (uint32_t)count, (uint32_t)N};
    if (beam_wire_array_decode(band[0]->channels, "subbands[0].channels", shape, 3,
                               &self->decoded[0].re, err) < 0) {
        return -1;
    }
    if (band[0]->n_error_radius != L * count) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "subbands[0].error_radius",
                              "%zu radii, %zu stations x %zu users are expected",
                              band[0]->n_error_radius, L, count);
    }
    for (size_t l = 0; l < L; l++) {
        for (size_t i = 0; i < count; i++) {
            const size_t to = l * (size_t)next->dims.users + (size_t)first + i;
            memcpy(next->channel + to * N, self->decoded + (l * count + i) * N,
                   N * sizeof(beam_complex));
            next->error_radius[to] = band[0]->error_radius[l * count + i];
        }
    }
    return 0;
}

int beamd_cluster_set_csi(beamd_cluster *self, const Beamd__CsiUpdate *message,
                          beam_wire_error *err)
{
    if (begin_next(self, message->n_users, err) < 0 ||
        put_users(&self->next, 0, message->users, message->n_users, err) < 0 ||
        put_channels(self, 0, message->n_users, message->n_subbands, message->subbands, err) < 0) {
        return -1;
    }
    return commit_csi(self, err);
}

int beamd_cluster_join(beamd_cluster *self, const Beamd__UsersJoin *message, beam_wire_error *err)
{
    const int before = self->live.scene.dims.users;
    if (begin_next(self, (size_t)before + message->n_users, err) < 0) {
        return -1;
    }
    for (int u = 0; u < before; u++) {
        copy_user(&self->next, u, &self->live, u);
    }
    if (put_users(&self->next, before, message->users, message->n_users, err) < 0 ||
        put_channels(self, before, message->n_users, message->n_subbands, message->subbands, err) <
            0) {
        return -1;
    }
    return commit_csi(self, err);
}

static int find_user(const beamd_view *view, uint64_t id)
{
    for (int u = 0; u < view->scene.dims.users; u++) {
        if (view->user_id[u] == id) {
            return u;
        }
    }
    return -1;
}

int beamd_cluster_leave(beamd_cluster *self, const Beamd__UsersLeave *message, beam_wire_error *err)
{
    bool leaves[BEAM_MAX_USERS] = {false};
    const int before = self->live.scene.dims.users;
    char field[64];
    for (size_t i = 0; i < message->n_user_ids; i++) {
        const int u = find_user(&self->live, message->user_ids[i]);
        if (u < 0 || leaves[u]) {
            snprintf(field, sizeof field, "user_ids[%zu]", i);
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, "user %llu is %s",
                                  (unsigned long long)message->user_ids[i],
                                  u < 0 ? "not in the cluster" : "named twice");
        }
        leaves[u] = true;
    }
    if (begin_next(self, (size_t)before - message->n_user_ids, err) < 0) {
        return -1;
    }
    for (int u = 0, at = 0; u < before; u++) {
        if (!leaves[u]) {
            copy_user(&self->next, at++, &self->live, u);
        }
    }
    return commit_csi(self, err);
}

static int reflect(beamd_cluster *self, int j, const Beamd__Target *target, beam_wire_error *err)
{
    beam_scene *next = &self->next.scene;
    const int L = next->dims.stations, J = next->dims.targets;
    double distance_m[BEAM_MAX_STATIONS];
    char field[64];
    if (!(target->rcs_m2 > 0) || !isfinite(target->rcs_m2)) {
        snprintf(field, sizeof field, "targets[%d].rcs_m2", j);
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field,
                              "must be finite and above 0 where no reflection is given");
    }
    if (!(self->carrier_hz > 0)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "reflection",
                              "missing, and the cluster was registered without a carrier to "
                              "compute it from the radar cross-section");
    }
    for (int l = 0; l < L; l++) {
        distance_m[l] = hypot(target->x_m - next->station_position_m[2 * l],
                              target->y_m - next->station_position_m[2 * l + 1]);
        if (!(distance_m[l] > 0) || !isfinite(distance_m[l])) {
            snprintf(field, sizeof field, "targets[%d].x_m", j);
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field,
                                  "the target is not at a finite distance above 0 of station %d",
                                  l);
        }
    }
    for (int l = 0; l < L; l++) {
        for (int m = 0; m < L; m++) {
            beam_complex *alpha = &next->reflection[(l * J + j) * L + m];
            beam_wire_reflection(self->carrier_hz, target->rcs_m2, distance_m[l], distance_m[m],
                                 &alpha->re, &alpha->im);
        }
    }
    return 0;
}

int beamd_cluster_set_targets(beamd_cluster *self, const Beamd__TargetUpdate *message,
                              beam_wire_error *err)
{
    const int J = self->max.targets, users = self->live.scene.dims.users;
    if (message->n_targets != (size_t)J) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "targets",
                              "%zu targets, the cluster was registered with %d", message->n_targets,
                              J);
    }
    if (begin_next(self, (size_t)users, err) < 0) {
        return -1;
    }
    for (int u = 0; u < users; u++) {
        copy_user(&self->next, u, &self->live, u);
    }
    beam_scene *next = &self->next.scene;
    for (int j = 0; j < J; j++) {
        next->target_position_m[2 * j] = message->targets[j]->x_m;
        next->target_position_m[2 * j + 1] = message->targets[j]->y_m;
        if (!message->reflection && reflect(self, j, message->targets[j], err) < 0) {
            return -1;
        }
    }
    const uint32_t L = (uint32_t)self->max.stations;
    const uint32_t shape[3] = {L, (uint32_t)J, L};
    if (message->reflection && beam_wire_array_decode(message->reflection, "reflection", shape, 3,
                                                      &next->reflection[0].re, err) < 0) {
        return -1;
    }
    if (commit_next(self, err) < 0) {
        return -1;
    }
    self->has_targets = true;
    self->sensing_stale = true;
    return 0;
}
