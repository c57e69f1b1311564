/* What a message changes in a cluster. Everything is built beside the present state, validated by
 * the engine, and then swapped in: a message that is refused changes nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "work.h"

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
    to->user_id[at] = from->user_id[index];
    to->scene.user_station[at] = from->scene.user_station[index];
    to->scene.user_weight[at] = from->scene.user_weight[index];
    to->scene.user_noise_w[at] = from->scene.user_noise_w[index];
    to->scene.user_min_rate_bps_hz[at] = from->scene.user_min_rate_bps_hz[index];
}

void beamd_view_copy_frame(beamd_view *to, const beamd_view *from)
{
    copy_stations_and_targets(&to->scene, &from->scene);
    for (int u = 0; u < from->scene.dims.users; u++) {
        copy_user(to, u, from, u);
    }
}

/* Channels and radii of one user; the arrays are laid out for `users` of them. */
typedef struct links {
    beam_complex *channel;
    double *error_radius;
    int users;
} links;

static void copy_links(const beam_dims *dims, const links *to, int at, const links *from, int index)
{
    const size_t N = (size_t)dims->antennas;
    for (int l = 0; l < dims->stations; l++) {
        const size_t x = (size_t)l * (size_t)to->users + (size_t)at;
        const size_t y = (size_t)l * (size_t)from->users + (size_t)index;
        memcpy(to->channel + x * N, from->channel + y * N, N * sizeof(beam_complex));
        to->error_radius[x] = from->error_radius[y];
    }
}

static links links_of(const beamd_band *band, int users)
{
    return (links){band->channel, band->error_radius, users};
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

/* The scene sees the channels of one subband at a time. */
static void point_at(beamd_view *view, const beamd_band *band)
{
    view->scene.channel = band->channel;
    view->scene.error_radius = band->error_radius;
}

/* The engine's word on `next` with the channels of `band`, number `index` of the message. */
static int validate(beamd_cluster *self, const beamd_band *band, size_t index, beam_wire_error *err)
{
    beam_error error;
    point_at(&self->next, band);
    if (beam_scene_validate(&self->next.scene, &error) == BEAM_OK) {
        return 0;
    }
    if (self->subbands > 1 && strchr(error.field, '.')) {
        const char *member = strchr(error.field, '.') + 1;
        if (strncmp(member, "channel", 7) == 0 || strncmp(member, "error_radius", 12) == 0) {
            char field[sizeof error.field];
            (void)snprintf(field, sizeof field, "subbands[%zu].%.40s", index, error.field);
            memcpy(error.field, field, sizeof field);
        }
    }
    return beamd_engine_error(err, &error);
}

static void swap_views(beamd_cluster *self)
{
    const beamd_view old = self->live;
    self->live = self->next;
    self->next = old;
    point_at(&self->live, &self->band[0]);
}

static bool same_ids(const beamd_view *a, const beamd_view *b)
{
    const int users = a->scene.dims.users;
    return users == b->scene.dims.users &&
           memcmp(a->user_id, b->user_id, (size_t)users * sizeof *a->user_id) == 0;
}

static bool same_users(const beamd_view *a, const beamd_view *b)
{
    const size_t users = (size_t)a->scene.dims.users;
    return same_ids(a, b) &&
           memcmp(a->scene.user_station, b->scene.user_station, users * sizeof(int)) == 0 &&
           memcmp(a->scene.user_weight, b->scene.user_weight, users * sizeof(double)) == 0;
}

static bool same_minima(const beamd_view *a, const beamd_view *b)
{
    const size_t users = (size_t)a->scene.dims.users;
    return memcmp(a->scene.user_min_rate_bps_hz, b->scene.user_min_rate_bps_hz,
                  users * sizeof(double)) == 0;
}

/* What a valid message brings. */
typedef struct csi_arrival {
    uint64_t sequence, measured_ns;
    beamd_bands given; /* subbands whose channels are in `fresh` */
    bool aged;         /* some of these channels are as old as before */
} csi_arrival;

/* Takes `next` and the given subbands over. Nothing can fail from here on. */
static void commit(beamd_cluster *self, const csi_arrival *arrival, beamd_bands *bands)
{
    const bool first = !self->has_csi, same = !first && same_users(&self->live, &self->next);
    const bool all = !same || !same_minima(&self->live, &self->next);
    beamd_bands changed = {{0}};
    self->users_generation += !same;
    for (int b = 0; b < self->subbands; b++) {
        beamd_band *band = &self->band[b], *fresh = &self->fresh[b];
        if (beamd_bands_has(&arrival->given, b)) {
            beam_complex *channel = band->channel;
            double *radius = band->error_radius;
            band->channel = fresh->channel;
            band->error_radius = fresh->error_radius;
            fresh->channel = channel;
            fresh->error_radius = radius;
            band->measured_ns = arrival->aged && band->measured_ns < arrival->measured_ns
                                    ? band->measured_ns
                                    : arrival->measured_ns;
            band->generation++;
            band->present = true;
        }
        if (all || beamd_bands_has(&arrival->given, b)) {
            band->csi_sequence = arrival->sequence;
            beamd_bands_add(&changed, b);
        }
    }
    swap_views(self);
    self->has_csi = true;
    self->csi_sequence = arrival->sequence;
    self->changed++;
    if (bands) {
        *bands = changed;
    }
}

static uint64_t measured_at(uint64_t now_ns, uint32_t age_us)
{
    const uint64_t age_ns = (uint64_t)age_us * 1000u;
    return age_ns < now_ns ? now_ns - age_ns : 0;
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

static int refuse_band(size_t index, const char *member, const char *why, unsigned value,
                       beam_wire_error *err)
{
    char field[64];
    snprintf(field, sizeof field, "subbands[%zu].%s", index, member);
    return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, "subband %u %s", value,
                          why);
}

/* Which subbands are in the message: each once; all of them where `all`. */
static int list_bands(const beamd_cluster *self, Beamd__Subband *const *band, size_t count,
                      bool all, beamd_bands *given, beam_wire_error *err)
{
    const beamd_bands none = {{0}};
    *given = none;
    for (size_t i = 0; i < count; i++) {
        if (band[i]->index >= (uint32_t)self->subbands) {
            return refuse_band(i, "index", "is beyond those of the registration", band[i]->index,
                               err);
        }
        if (beamd_bands_has(given, (int)band[i]->index)) {
            return refuse_band(i, "index", "is there twice", band[i]->index, err);
        }
        beamd_bands_add(given, (int)band[i]->index);
    }
    if (all && count != (size_t)self->subbands) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "subbands",
                              "%zu subbands, new users need all %d", count, self->subbands);
    }
    return 0;
}

/* Channels [station][user of the message][antenna] and radii of message band `index`. */
static int decode_band(const beamd_cluster *self, const Beamd__Subband *band, size_t index,
                       size_t users, const links *to, beam_wire_error *err)
{
    char field[64];
    const size_t L = (size_t)self->max.stations;
    const uint32_t shape[3] = {(uint32_t)L, (uint32_t)users, (uint32_t)self->max.antennas};
    snprintf(field, sizeof field, "subbands[%zu].channels", index);
    if (beam_wire_array_decode(band->channels, field, shape, 3, &to->channel[0].re, err) < 0) {
        return -1;
    }
    if (band->n_error_radius != L * users) {
        snprintf(field, sizeof field, "subbands[%zu].error_radius", index);
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field,
                              "%zu radii, %zu stations x %zu users are expected",
                              band->n_error_radius, L, users);
    }
    for (size_t k = 0; k < L * users; k++) {
        to->error_radius[k] = band->error_radius[k];
    }
    return 0;
}

static void add_all(const beamd_cluster *self, beamd_bands *bands)
{
    for (int b = 0; b < self->subbands; b++) {
        beamd_bands_add(bands, b);
    }
}

int beamd_cluster_set_csi(beamd_cluster *self, uint64_t now_ns, uint64_t sequence,
                          const Beamd__CsiUpdate *message, beamd_bands *bands, beam_wire_error *err)
{
    const size_t users = message->n_users, count = message->n_subbands;
    if (begin_next(self, users, err) < 0 ||
        put_users(&self->next, 0, message->users, users, err) < 0) {
        return -1;
    }
    csi_arrival arrival = {.sequence = sequence,
                           .measured_ns = measured_at(now_ns, message->csi_age_us)};
    const bool all = users > 0 && !(self->has_csi && same_ids(&self->live, &self->next));
    if (list_bands(self, message->subbands, count, all, &arrival.given, err) < 0) {
        return -1;
    }
    if (users > 0 && count == 0) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "subbands", "there is none");
    }
    for (size_t i = 0; i < count; i++) {
        const beamd_band *fresh = &self->fresh[message->subbands[i]->index];
        const links to = links_of(fresh, (int)users);
        if (decode_band(self, message->subbands[i], i, users, &to, err) < 0 ||
            validate(self, fresh, i, err) < 0) {
            return -1;
        }
    }
    if (users == 0) { /* nobody has no channels in any subband */
        add_all(self, &arrival.given);
        if (validate(self, &self->fresh[0], 0, err) < 0) {
            return -1;
        }
    }
    commit(self, &arrival, bands);
    return 0;
}

/* Subband b of everybody who was there, then of those who join, from message band `from`. */
static int join_band(beamd_cluster *self, const Beamd__Subband *from, size_t index, size_t users,
                     beam_wire_error *err)
{
    const int before = self->live.scene.dims.users, after = self->next.scene.dims.users;
    const int b = (int)from->index;
    const links decoded = {self->decoded, self->decoded_radius, (int)users};
    if (decode_band(self, from, index, users, &decoded, err) < 0) {
        return -1;
    }
    const links to = links_of(&self->fresh[b], after), old = links_of(&self->band[b], before);
    for (int u = 0; u < after; u++) {
        if (u < before) {
            copy_links(&self->max, &to, u, &old, u);
        } else {
            copy_links(&self->max, &to, u, &decoded, u - before);
        }
    }
    return validate(self, &self->fresh[b], index, err);
}

int beamd_cluster_join(beamd_cluster *self, uint64_t now_ns, uint64_t sequence,
                       const Beamd__UsersJoin *message, beamd_bands *bands, beam_wire_error *err)
{
    const int before = self->live.scene.dims.users;
    const size_t users = message->n_users, count = message->n_subbands;
    if (begin_next(self, (size_t)before + users, err) < 0) {
        return -1;
    }
    for (int u = 0; u < before; u++) {
        copy_user(&self->next, u, &self->live, u);
    }
    csi_arrival arrival = {.sequence = sequence,
                           .measured_ns = measured_at(now_ns, message->csi_age_us),
                           .aged = before > 0};
    if (put_users(&self->next, before, message->users, users, err) < 0 ||
        list_bands(self, message->subbands, count, users > 0, &arrival.given, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (join_band(self, message->subbands[i], i, users, err) < 0) {
            return -1;
        }
    }
    if (users == 0) { /* nobody new: everything stays as it is, under a new sequence */
        const beamd_bands none = {{0}};
        arrival.given = none;
        if (before == 0) {
            add_all(self, &arrival.given);
        }
    }
    commit(self, &arrival, bands);
    if (users == 0 && bands) {
        add_all(self, bands);
    }
    return 0;
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

int beamd_cluster_leave(beamd_cluster *self, uint64_t sequence, const Beamd__UsersLeave *message,
                        beamd_bands *bands, beam_wire_error *err)
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
    if (!self->has_csi) { /* nobody left */
        const beamd_bands none = {{0}};
        self->csi_sequence = sequence;
        if (bands) {
            *bands = none;
        }
        return 0;
    }
    const int after = before - (int)message->n_user_ids;
    if (begin_next(self, (size_t)after, err) < 0) {
        return -1;
    }
    for (int u = 0, at = 0; u < before; u++) {
        if (!leaves[u]) {
            copy_user(&self->next, at++, &self->live, u);
        }
    }
    csi_arrival arrival = {.sequence = sequence, .aged = true};
    for (int b = 0; b < self->subbands; b++) {
        const links to = links_of(&self->fresh[b], after), old = links_of(&self->band[b], before);
        for (int u = 0, at = 0; u < before; u++) {
            if (!leaves[u]) {
                copy_links(&self->max, &to, at++, &old, u);
            }
        }
    }
    add_all(self, &arrival.given);
    if (validate(self, &self->fresh[0], 0, err) < 0) {
        return -1;
    }
    arrival.measured_ns = UINT64_MAX; /* as old as before */
    commit(self, &arrival, bands);
    return 0;
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
    if (validate(self, &self->band[0], 0, err) < 0) {
        return -1;
    }
    swap_views(self);
    self->has_targets = true;
    self->target_time_ns = message->measured_time_ns;
    self->target_generation++;
    self->changed++;
    return 0;
}
