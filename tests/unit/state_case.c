#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "state_case.h"

void case_directory_make(char *path, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(path, size, "%s/beamd-state-XXXXXX", base && *base == '/' ? base : "/tmp");
    assert_non_null(mkdtemp(path));
}

void case_directory_remove(const char *path)
{
    DIR *listing = opendir(path);
    const struct dirent *entry;
    while (listing && (entry = readdir(listing))) {
        char inside[512];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        if (lstat(inside, &st) == 0 && S_ISDIR(st.st_mode)) {
            case_directory_remove(inside);
        } else {
            unlink(inside);
        }
    }
    if (listing) {
        closedir(listing);
    }
    rmdir(path);
}

/* --- messages --- */

static char *text(const char *words)
{
    return (char *)(uintptr_t)words; /* protobuf-c's texts are not const */
}

size_t case_registration(const char *id, const case_sizes *sizes, unsigned char *out, size_t size)
{
    static const char *const names[] = {"balanced", "locate", "talk", "fourth"};
    Beamd__RegisterCluster m = BEAMD__REGISTER_CLUSTER__INIT;
    Beamd__Station stations[BEAM_MAX_STATIONS], *station_at[BEAM_MAX_STATIONS];
    Beamd__NamedPreference named[BEAM_WIRE_MAX_PREFERENCES], *named_at[BEAM_WIRE_MAX_PREFERENCES];
    Beamd__Preference preferences[BEAM_WIRE_MAX_PREFERENCES];
    for (int l = 0; l < sizes->stations; l++) {
        stations[l] = (Beamd__Station)BEAMD__STATION__INIT;
        stations[l].x_m = 400.0 * l;
        stations[l].y_m = 30.0 * l * l;
        stations[l].axis_rad = 0.3 * l;
        stations[l].antennas = (uint32_t)sizes->antennas;
        stations[l].power_w = 10;
        stations[l].echo_noise_w = 1e-12;
        station_at[l] = &stations[l];
    }
    for (int p = 0; p < sizes->named; p++) {
        preferences[p] = (Beamd__Preference)BEAMD__PREFERENCE__INIT;
        preferences[p].u1 = p;
        preferences[p].u2 = 1;
        named[p] = (Beamd__NamedPreference)BEAMD__NAMED_PREFERENCE__INIT;
        named[p].name = text(names[p]);
        named[p].preference = &preferences[p];
        named_at[p] = &named[p];
    }
    m.array = BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR;
    m.user_antennas = 1;
    m.n_stations = (size_t)sizes->stations;
    m.stations = station_at;
    m.sensing = BEAMD__SENSING_MODEL__SENSING_RESOLVED;
    m.snapshots = 256;
    m.carrier_hz = 3.5e9;
    m.max_users = (uint32_t)sizes->users;
    m.targets = (uint32_t)sizes->targets;
    m.subbands = (uint32_t)sizes->subbands;
    m.n_preferences = (size_t)sizes->named;
    m.preferences = named_at;
    size_t bytes = 0;
    assert_int_equal(
        beam_wire_pack(BEAM_WIRE_REGISTER_CLUSTER, id, 1, &m.base, out, size, &bytes, NULL), 0);
    return bytes;
}

size_t case_targets(const char *id, const case_sizes *sizes, double shift_m, uint64_t sequence,
                    unsigned char *out, size_t size)
{
    Beamd__TargetUpdate m = BEAMD__TARGET_UPDATE__INIT;
    Beamd__Target targets[BEAM_MAX_TARGETS], *at[BEAM_MAX_TARGETS];
    for (int j = 0; j < sizes->targets; j++) {
        targets[j] = (Beamd__Target)BEAMD__TARGET__INIT;
        targets[j].x_m = 150 + 37.0 * j + shift_m;
        targets[j].y_m = 250 - 21.0 * j;
        targets[j].rcs_m2 = 3;
        at[j] = &targets[j];
    }
    m.n_targets = (size_t)sizes->targets;
    m.targets = at;
    m.measured_time_ns = 4711;
    size_t bytes = 0;
    assert_int_equal(
        beam_wire_pack(BEAM_WIRE_TARGET_UPDATE, id, sequence, &m.base, out, size, &bytes, NULL), 0);
    return bytes;
}

static const ProtobufCMessage *unpack(beam_wire_arena *arena, beam_wire_header *header,
                                      const unsigned char *frame, size_t bytes)
{
    ProtobufCMessage *message = NULL;
    beam_wire_arena_reset(arena);
    assert_int_equal(beam_wire_unpack(header, &message, arena, frame, bytes, NULL), 0);
    return message;
}

beamd_cluster *case_cluster(const char *id, const case_sizes *sizes)
{
    static unsigned char frame[65536];
    const size_t room = beam_wire_arena_bytes(sizeof frame);
    void *memory = aligned_alloc(64, (room + 63u) & ~(size_t)63u);
    assert_non_null(memory);
    beam_wire_arena arena;
    beam_wire_header header;
    beam_wire_error err = {.field = ""};
    beam_wire_arena_init(&arena, memory, room);
    const beamd_cluster_limits limits = {
        .users_max = 128, .threads = 1, .bytes_max = 1u << 30, .bytes_left = 1u << 30};
    size_t bytes = case_registration(id, sizes, frame, sizeof frame);
    beamd_cluster *c = beamd_cluster_create(
        id, (const Beamd__RegisterCluster *)unpack(&arena, &header, frame, bytes), &limits, &err);
    if (!c) {
        print_error("%s: %s\n", err.field, err.text);
    }
    assert_non_null(c);
    beamd_state_note_registration(c, frame, bytes);
    bytes = case_targets(id, sizes, 0, 5, frame, sizeof frame);
    const Beamd__TargetUpdate *targets =
        (const Beamd__TargetUpdate *)unpack(&arena, &header, frame, bytes);
    assert_int_equal(beamd_cluster_set_targets(c, targets, &err), 0);
    c->target_sequence = header.sequence;
    c->target_time_ns = targets->measured_time_ns;
    beamd_state_note_targets(c, frame, bytes);
    free(memory);
    return c;
}

/* --- answers --- */

static double draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)(*state * UINT64_C(2685821657736338717) >> 11) / 9007199254740992.0 - 0.5;
}

static void fill_rows(beam_complex *rows, size_t count, uint64_t *state)
{
    for (size_t k = 0; k < count; k++) {
        rows[k] = (beam_complex){draw(state), draw(state)};
    }
}

static void fill_answer(beamd_cluster *c, int band, int p, uint64_t *state)
{
    beamd_answer *a = c->last[beamd_problem_index(band, p)];
    assert_non_null(a);
    const beam_dims dims = c->max;
    assert_int_equal(
        beam_design_init(&a->out.design, &dims, c->sensing_max, a->out.memory, a->out.size, NULL),
        BEAM_OK);
    beam_design *d = &a->out.design;
    fill_rows(d->beams, (size_t)dims.users * (size_t)dims.antennas, state);
    for (int u = 0; u < dims.users; u++) {
        a->user_id[u] = 1000u + (uint64_t)u * 3u;
        a->user_station[u] = u % dims.stations;
    }
    for (int l = 0; l < dims.stations; l++) {
        d->sensing_count[l] = c->sensing_max > 0 ? 1 + l % c->sensing_max : 0;
        fill_rows(d->sensing + (size_t)(l * c->sensing_max) * (size_t)dims.antennas,
                  (size_t)d->sensing_count[l] * (size_t)dims.antennas, state);
    }
    beam_design_fit_budget(d, a->user_station, c->live.scene.station_power_w, 1 - 1e-11);
    a->present = true;
    a->code = BEAM_OK;
    a->subband = band;
    memcpy(a->preference_name, c->named[p].name, sizeof a->preference_name);
    a->tradeoff = c->named_count > 0 ? c->named[p].tradeoff : 0.5;
    a->csi_sequence = c->csi_sequence;
    a->target_sequence = c->target_sequence;
    a->band_generation = 7;
    a->stations = dims.stations;
    a->antennas = dims.antennas;
    a->users = dims.users;
    a->targets = dims.targets;
}

void case_answer(beamd_cluster *c, unsigned seed)
{
    uint64_t state = 88172645463325252u + (uint64_t)seed * 7919u;
    c->csi_received++;
    c->csi_sequence += 1u + seed;
    c->crlb_min_m2 = 0.25 + seed;
    c->sensing_generation = c->target_generation;
    const size_t rows = beam_solver_sensing_bytes(&c->max) / sizeof(double);
    for (size_t k = 0; k < rows; k++) {
        c->sensing_rows[k] = k < 2 ? 2 : draw(&state);
    }
    c->has_sensing_rows = true;
    const int preferences = c->named_count > 0 ? c->named_count : 1;
    for (int b = 0; b < c->subbands; b++) {
        c->band[b].has_ideal = true;
        c->band[b].wsr_ideal_bps_hz = 10.0 + b + seed;
        for (int p = 0; p < preferences; p++) {
            fill_answer(c, b, p, &state);
        }
    }
    c->changed++;
}

static void assert_same_design(const beamd_answer *a, const beamd_answer *b)
{
    const beam_design *x = &a->out.design, *y = &b->out.design;
    const size_t antennas = (size_t)a->antennas;
    assert_int_equal(a->users, b->users);
    assert_int_equal(a->subband, b->subband);
    assert_string_equal(a->preference_name, b->preference_name);
    assert_memory_equal(&a->tradeoff, &b->tradeoff, sizeof a->tradeoff);
    assert_int_equal(a->csi_sequence, b->csi_sequence);
    assert_int_equal(a->target_sequence, b->target_sequence);
    const size_t users = (size_t)a->users;
    assert_memory_equal(a->user_id, b->user_id, users * sizeof *a->user_id);
    assert_memory_equal(a->user_station, b->user_station, users * sizeof *a->user_station);
    assert_memory_equal(x->beams, y->beams, users * antennas * sizeof *x->beams);
    for (int l = 0; l < a->stations; l++) {
        const size_t at = (size_t)(l * x->sensing_max) * antennas;
        assert_int_equal(x->sensing_count[l], y->sensing_count[l]);
        assert_memory_equal(x->sensing + at, y->sensing + at,
                            (size_t)x->sensing_max * antennas * sizeof *x->sensing);
    }
}

static void assert_same_frame(const beamd_kept *a, const beamd_kept *b)
{
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->frame, b->frame, a->bytes);
}

void case_assert_same(const beamd_cluster *a, const beamd_cluster *b)
{
    assert_string_equal(a->id, b->id);
    assert_memory_equal(&a->max, &b->max, sizeof a->max);
    assert_int_equal(a->subbands, b->subbands);
    assert_same_frame(&a->registered, &b->registered);
    assert_same_frame(&a->aimed, &b->aimed);
    assert_int_equal(a->csi_sequence, b->csi_sequence);
    assert_int_equal(a->target_sequence, b->target_sequence);
    assert_int_equal(a->target_time_ns, b->target_time_ns);
    assert_int_equal(a->has_targets, b->has_targets);
    const size_t J = (size_t)a->max.targets;
    assert_memory_equal(a->live.scene.target_position_m, b->live.scene.target_position_m,
                        2 * J * sizeof(double));
    assert_int_equal(a->has_preference, b->has_preference);
    assert_true(a->tradeoff == b->tradeoff);
    assert_int_equal(a->named_count, b->named_count);
    assert_memory_equal(a->named, b->named, (size_t)a->named_count * sizeof a->named[0]);
    assert_true(a->crlb_min_m2 == b->crlb_min_m2);
    assert_int_equal(a->has_sensing_rows, b->has_sensing_rows);
    if (a->has_sensing_rows) {
        assert_memory_equal(a->sensing_rows, b->sensing_rows, beam_solver_sensing_bytes(&a->max));
    }
    for (int band = 0; band < a->subbands; band++) {
        assert_int_equal(a->band[band].has_ideal, b->band[band].has_ideal);
        assert_true(a->band[band].wsr_ideal_bps_hz == b->band[band].wsr_ideal_bps_hz);
        for (int p = 0; p < a->named_count || p == 0; p++) {
            const int k = beamd_problem_index(band, p);
            assert_int_equal(a->last[k]->present, b->last[k]->present);
            if (a->last[k]->present) {
                assert_same_design(a->last[k], b->last[k]);
            }
        }
    }
}

/* --- the world --- */

static uint64_t world_clock(void *arg)
{
    const case_world *self = arg;
    return self->now_ns ? self->now_ns : beamd_clock_ns();
}

static beamd_cluster *world_at(void *arg, unsigned i)
{
    const case_world *self = arg;
    return i < self->count ? self->clusters[i] : NULL;
}

static beamd_cluster *world_find(void *arg, const char *id)
{
    return case_world_find(arg, id);
}

static bool world_preference(void *arg, double *tradeoff)
{
    const case_world *self = arg;
    *tradeoff = self->preference;
    return self->has_preference;
}

static bool world_submit(void *arg, beamd_job *job)
{
    case_world *self = arg;
    if (self->no_thread) {
        return false;
    }
    assert_null(self->waiting);
    self->waiting = job;
    return true;
}

static void world_limits(void *arg, beamd_cluster_limits *limits)
{
    const case_world *self = arg;
    *limits = self->limits;
}

static bool world_restore(void *arg, beamd_cluster *cluster)
{
    case_world *self = arg;
    if (self->count >= self->most || case_world_find(self, cluster->id)) {
        return false;
    }
    self->clusters[self->count++] = cluster;
    return true;
}

static void world_set_preference(void *arg, double tradeoff)
{
    case_world *self = arg;
    self->has_preference = true;
    self->preference = tradeoff;
}

void case_world_init(case_world *self)
{
    memset(self, 0, sizeof *self);
    self->most = CASE_CLUSTERS;
    self->limits = (beamd_cluster_limits){
        .users_max = 128, .threads = 1, .bytes_max = 1u << 30, .bytes_left = 1u << 30};
    self->notify.fd = -1;
}

void case_world_clear(case_world *self)
{
    while (self->count > 0) {
        beamd_cluster_destroy(&self->clusters[--self->count]);
    }
    beamd_notify_close(&self->notify);
    case_world_init(self);
}

beamd_cluster *case_world_find(case_world *self, const char *id)
{
    for (unsigned k = 0; k < self->count; k++) {
        if (strcmp(self->clusters[k]->id, id) == 0) {
            return self->clusters[k];
        }
    }
    return NULL;
}

void case_world_add(case_world *self, beamd_cluster *cluster)
{
    assert_true(world_restore(self, cluster));
}

void case_world_remove(case_world *self, const char *id)
{
    for (unsigned k = 0; k < self->count; k++) {
        if (strcmp(self->clusters[k]->id, id) == 0) {
            beamd_cluster_destroy(&self->clusters[k]);
            self->clusters[k] = self->clusters[--self->count];
            return;
        }
    }
    fail_msg("no cluster %s", id);
}

beamd_state *case_open(case_world *self, const char *dir)
{
    const beamd_state_world world = {.arg = self,
                                     .clock_ns = world_clock,
                                     .at = world_at,
                                     .find = world_find,
                                     .preference = world_preference,
                                     .submit = world_submit,
                                     .limits = world_limits,
                                     .restore = world_restore,
                                     .set_preference = world_set_preference};
    char why[256] = "";
    beamd_state *state =
        beamd_state_open(dir, CASE_CLUSTERS, 64u << 20, &self->notify, &world, why, sizeof why);
    if (!state) {
        print_error("%s\n", why);
    }
    assert_non_null(state);
    return state;
}

unsigned case_settle(case_world *self, beamd_state *state)
{
    unsigned jobs = 0, idle = 0;
    uint64_t now_ns = world_clock(self);
    while (idle < 64) {
        const bool more = beamd_state_tick(state, now_ns, 1);
        beamd_job *job = self->waiting;
        self->waiting = NULL;
        now_ns += 10;
        idle = more || job ? 0 : idle + 1;
        if (job) {
            job->run(job);
            assert_true(beamd_state_done(state, job, now_ns, 1));
            jobs++;
        }
    }
    return jobs;
}
