/* Registration of a cluster, its memory, and the snapshots that solver threads work on. */
#include "cluster.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of carve(): with a NULL base the same calls only count, so that the size and the layout
 * agree. */
typedef struct arena {
    unsigned char *base;
    size_t used;
} arena;

static void *take(arena *a, size_t bytes)
{
    const size_t at = (a->used + 63u) & ~(size_t)63u;
    a->used = at + bytes;
    return a->base ? a->base + at : NULL;
}

int beamd_engine_error(beam_wire_error *err, const beam_error *from)
{
    Beamd__ErrorCode code = BEAMD__ERROR_CODE__ERROR_NUMERIC;
    switch (from->code) {
    case BEAM_E_INVALID:
        code = BEAMD__ERROR_CODE__ERROR_INVALID;
        break;
    case BEAM_E_UNSUPPORTED:
        code = BEAMD__ERROR_CODE__ERROR_UNSUPPORTED;
        break;
    case BEAM_E_LIMIT:
        code = BEAMD__ERROR_CODE__ERROR_LIMIT;
        break;
    case BEAM_E_NUMERIC:
    case BEAM_OK:
        break;
    }
    return beam_wire_fail(err, code, from->field, "%s", from->text);
}

double beamd_tradeoff_of(const Beamd__Preference *preference)
{
    if (preference->u1 < 0 || preference->u2 < 0) {
        return NAN;
    }
    return beam_tradeoff_from_preference((beam_preference){preference->u1, preference->u2});
}

static void carve_view(beamd_view *view, arena *a, const beam_dims *max)
{
    view->size = beam_scene_memsize(max);
    view->memory = take(a, view->size);
    view->user_id = take(a, (size_t)max->users * sizeof(uint64_t));
}

static void carve_design(beamd_held_design *held, arena *a, const beam_dims *max, int sensing_max)
{
    held->size = beam_design_memsize(max, sensing_max);
    held->memory = take(a, held->size);
}

/* Upper bound of a Solution: every number of the schema at its longest, plus the arrays. */
static size_t solution_bytes(const beam_dims *max, int sensing_max)
{
    const size_t rows = (size_t)max->users + (size_t)max->stations * (size_t)sensing_max;
    return BEAM_WIRE_HEADER_BYTES + 1024 + rows * (size_t)max->antennas * 16u +
           (size_t)max->users * 80u + (size_t)max->stations * 64u + (size_t)max->targets * 40u;
}

typedef struct solver_blocks {
    void *solver, *refresh;
    size_t size;
} solver_blocks;

static solver_blocks carve(beamd_cluster *c, arena *a)
{
    const beam_dims *max = &c->max;
    const size_t users = (size_t)max->users, antennas = (size_t)max->antennas;
    const size_t stations = (size_t)max->stations;
    carve_view(&c->live, a, max);
    carve_view(&c->next, a, max);
    carve_view(&c->job.view, a, max);
    carve_view(&c->refresh.view, a, max);
    c->decoded = take(a, stations * users * antennas * sizeof(beam_complex));
    carve_design(&c->job.warm, a, max, c->sensing_max);
    carve_design(&c->job.out, a, max, c->sensing_max);
    carve_design(&c->last, a, max, c->sensing_max);
    c->last_user_id = take(a, users * sizeof(uint64_t));
    c->job.beam_bytes = take(a, users * antennas * 16u);
    c->job.sensing_bytes = take(a, stations * (size_t)c->sensing_max * antennas * 16u);
    c->frame_capacity = solution_bytes(max, c->sensing_max);
    c->frame = take(a, c->frame_capacity);
    c->job.evaluator_size = beam_evaluator_memsize(max, c->sensing_max);
    c->job.evaluator_memory = take(a, c->job.evaluator_size);
    solver_blocks blocks = {.size = beam_solver_memsize(max)};
    blocks.solver = take(a, blocks.size);
    blocks.refresh = take(a, blocks.size);
    return blocks;
}

int beamd_view_lay(beamd_view *view, const beam_dims *dims, beam_wire_error *err)
{
    beam_error error;
    return beam_scene_init(&view->scene, dims, view->memory, view->size, &error) == BEAM_OK
               ? 0
               : beamd_engine_error(err, &error);
}

/* Until the first TargetUpdate the scene holds places where nothing is, so that stations and users
 * can be validated; no job is made from it before. */
static void park_targets(beam_scene *scene)
{
    double far_m = 0;
    for (int l = 0; l < 2 * scene->dims.stations; l++) {
        far_m = fmax(far_m, fabs(scene->station_position_m[l]));
    }
    for (int j = 0; j < scene->dims.targets; j++) {
        /* inside the engine's bound on positions for every admissible station */
        scene->target_position_m[2 * j] = far_m < 5e8 ? far_m + 10.0 * (j + 1) : 10.0 * (j + 1);
        scene->target_position_m[2 * j + 1] = far_m < 5e8 ? 0 : 12345.678;
    }
}

static int check_registration(const Beamd__RegisterCluster *m, const beamd_cluster_limits *limits,
                              beam_wire_error *err)
{
    if (m->array != BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR) {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(&beamd__array_kind__descriptor, (int)m->array);
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, "array",
                              "%s is not built, only ARRAY_UNIFORM_LINEAR is",
                              value ? value->name : "this value");
    }
    if (m->user_antennas != 1) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, "user_antennas",
                              "is %u, only users with one antenna are built", m->user_antennas);
    }
    if (m->n_stations == 0) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "stations", "there is none");
    }
    for (size_t l = 1; l < m->n_stations; l++) {
        if (m->stations[l]->antennas != m->stations[0]->antennas) {
            char field[64];
            snprintf(field, sizeof field, "stations[%zu].antennas", l);
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, field,
                                  "is %u, station 0 has %u: all must be equal",
                                  m->stations[l]->antennas, m->stations[0]->antennas);
        }
    }
    if (m->max_users > (uint32_t)limits->users_max) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "max_users",
                              "is %u, this daemon takes at most %d", m->max_users,
                              limits->users_max);
    }
    if (m->sensing < BEAMD__SENSING_MODEL__SENSING_RESOLVED ||
        m->sensing > BEAMD__SENSING_MODEL__SENSING_BAND) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "sensing",
                              "sensing model %d is not known", (int)m->sensing);
    }
    if (!isfinite(m->carrier_hz) || m->carrier_hz < 0 || m->carrier_hz > 1e15) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "carrier_hz",
                              "must be between 0 and 1e15");
    }
    if (m->preference && isnan(beamd_tradeoff_of(m->preference))) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "preference",
                              "u1 and u2 must be finite, not negative and not both 0");
    }
    return 0;
}

/* uint32 of a message as an int that no limit admits when it is too large. */
static int clip(uint32_t value)
{
    return value > 1000000 ? 1000000 : (int)value;
}

static int fill_stations(beamd_cluster *c, const Beamd__RegisterCluster *m, beam_wire_error *err)
{
    beam_dims dims = c->max;
    dims.users = 0;
    if (beamd_view_lay(&c->live, &dims, err) < 0) {
        return -1;
    }
    beam_scene *s = &c->live.scene;
    s->snapshots = m->snapshots;
    s->bandwidth_hz = m->bandwidth_hz;
    s->skip_unidentifiable = m->skip_unidentifiable;
    s->sensing = m->sensing == BEAMD__SENSING_MODEL__SENSING_BAND       ? BEAM_SENSING_BAND
                 : m->sensing == BEAMD__SENSING_MODEL__SENSING_COHERENT ? BEAM_SENSING_COHERENT
                                                                        : BEAM_SENSING_RESOLVED;
    for (size_t l = 0; l < m->n_stations; l++) {
        s->station_position_m[2 * l] = m->stations[l]->x_m;
        s->station_position_m[2 * l + 1] = m->stations[l]->y_m;
        s->station_axis_rad[l] = m->stations[l]->axis_rad;
        s->station_power_w[l] = m->stations[l]->power_w;
        s->station_echo_noise_w[l] = m->stations[l]->echo_noise_w;
    }
    park_targets(s);
    beam_error error;
    return beam_scene_validate(s, &error) == BEAM_OK ? 0 : beamd_engine_error(err, &error);
}

static int init_solvers(beamd_cluster *c, const solver_blocks *blocks, beam_wire_error *err)
{
    beam_error error;
    if (beam_solver_init(&c->job.solver, &c->max, blocks->solver, blocks->size, &error) !=
            BEAM_OK ||
        beam_solver_init(&c->refresh.solver, &c->max, blocks->refresh, blocks->size, &error) !=
            BEAM_OK) {
        return beamd_engine_error(err, &error);
    }
    return 0;
}

static int allocate(beamd_cluster *c, const beamd_cluster_limits *limits, solver_blocks *blocks,
                    beam_wire_error *err)
{
    arena count = {NULL, 0};
    carve(c, &count);
    c->bytes = (count.used + 63u) & ~(size_t)63u;
    const size_t most =
        limits->bytes_max < limits->bytes_left ? limits->bytes_max : limits->bytes_left;
    if (c->bytes > most) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "stations",
                              "a cluster of these sizes needs %zu MiB, %zu MiB are allowed",
                              (c->bytes >> 20) + 1, most >> 20);
    }
    c->block = aligned_alloc(64, c->bytes);
    if (!c->block) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "stations",
                              "out of memory for a cluster of these sizes");
    }
    memset(c->block, 0, c->bytes); /* touched now, not at the first CSI */
    arena real = {c->block, 0};
    *blocks = carve(c, &real);
    return 0;
}

int beamd_cluster_make_room(beamd_cluster *self, const beamd_model *model,
                            const beamd_cluster_limits *limits, beam_wire_error *err)
{
    if (!model || self->live.scene.sensing != BEAM_SENSING_RESOLVED) {
        return 0; /* the network is not asked */
    }
    const size_t need = beam_inference_memsize(model->info, &self->max, 1);
    if (need > 0 && self->job.inference && need <= self->network_bytes) {
        return 0; /* inference lays itself out for another model by itself */
    }
    const size_t rest = self->bytes - self->network_bytes; /* the old memory goes first */
    const size_t room = limits->bytes_max > rest ? limits->bytes_max - rest : 0;
    const size_t left = limits->bytes_left + self->network_bytes;
    free(self->network);
    self->network = NULL;
    self->network_bytes = 0;
    self->bytes = rest;
    self->job.inference = NULL;
    if (need == 0 || need > room || need > left) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "stations",
                              "the network of a cluster of these sizes needs %zu MiB, %zu MiB are "
                              "allowed",
                              (need >> 20) + 1, (room < left ? room : left) >> 20);
    }
    self->network = aligned_alloc(64, (need + 63u) & ~(size_t)63u);
    beam_error error;
    if (!self->network) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "stations",
                              "out of memory for the network of a cluster of these sizes");
    }
    self->network_bytes = need;
    self->bytes += need;
    if (beam_inference_init(&self->job.inference, model->info, &self->max, 1, self->network, need,
                            &error) != BEAM_OK) {
        self->job.inference = NULL;
        return beamd_engine_error(err, &error);
    }
    return 0;
}

beamd_cluster *beamd_cluster_create(const char *id, const Beamd__RegisterCluster *message,
                                    const beamd_model *model, const beamd_cluster_limits *limits,
                                    beam_wire_error *err)
{
    if (check_registration(message, limits, err) < 0) {
        return NULL;
    }
    const beam_dims max = {.stations = clip((uint32_t)message->n_stations),
                           .antennas = clip(message->stations[0]->antennas),
                           .users = clip(message->max_users),
                           .targets = clip(message->targets)};
    beam_error error;
    if (beam_dims_check(&max, &error) != BEAM_OK) {
        beamd_engine_error(err, &error);
        return NULL;
    }
    beamd_cluster *c = calloc(1, sizeof *c);
    if (!c) {
        beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, NULL, "out of memory");
        return NULL;
    }
    memcpy(c->id, id, strlen(id) + 1);
    c->max = max;
    c->sensing_max = beam_design_sensing_max(&max);
    c->carrier_hz = message->carrier_hz;
    c->element = message->beam_element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64
                     ? BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64
                     : BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
    c->ready_at = -1;
    c->sensing_stale = true;
    c->job.cluster = c;
    c->job.job.run = beamd_solve_run;
    c->job.evaluator_users = -1;
    c->refresh.cluster = c;
    c->refresh.job.run = beamd_refresh_run;
    solver_blocks blocks;
    beamd_cluster_limits left = *limits;
    bool good = allocate(c, limits, &blocks, err) == 0 && fill_stations(c, message, err) == 0 &&
                init_solvers(c, &blocks, err) == 0;
    if (good && model) { /* without room for its layers the solver serves the cluster */
        beam_wire_error no_room;
        left.bytes_left -= c->bytes; /* allocate saw to it that they fit */
        (void)beamd_cluster_make_room(c, model, &left, &no_room);
    }
    if (!good) {
        beamd_cluster_destroy(&c);
    }
    return c;
}

void beamd_cluster_destroy(beamd_cluster **self)
{
    if (*self) {
        free((*self)->network);
        free((*self)->block);
        free(*self);
        *self = NULL;
    }
}

/* Sizes fit by construction; were one to fail, the job's own checks would report it. */
static void copy_view(beamd_view *to, const beamd_view *from)
{
    beam_scene_init(&to->scene, &from->scene.dims, to->memory, to->size, NULL);
    beam_scene_copy(&to->scene, &from->scene, NULL);
    memcpy(to->user_id, from->user_id, (size_t)from->scene.dims.users * sizeof(uint64_t));
}

static void lay_design(beamd_held_design *held, const beam_dims *dims, int sensing_max)
{
    beam_design_init(&held->design, dims, sensing_max, held->memory, held->size, NULL);
}

/* The last beams by user. A user without one would start at zero, where its rate has no slope: then
 * the start is cold. */
static bool map_last(beamd_cluster *self)
{
    const beamd_view *view = &self->job.view;
    beam_design *warm = &self->job.warm.design;
    const beam_design *last = &self->last.design;
    const size_t row = (size_t)self->max.antennas;
    for (int u = 0; u < view->scene.dims.users; u++) {
        int found = -1;
        for (int v = 0; v < last->dims.users && found < 0; v++) {
            found = self->last_user_id[v] == view->user_id[u] ? v : -1;
        }
        if (found < 0) {
            return false;
        }
        memcpy(warm->beams + (size_t)u * row, last->beams + (size_t)found * row,
               row * sizeof(beam_complex));
    }
    const size_t stations = (size_t)self->max.stations;
    memcpy(warm->sensing_count, last->sensing_count, stations * sizeof(int));
    memcpy(warm->sensing, last->sensing,
           stations * (size_t)self->sensing_max * row * sizeof(beam_complex));
    return true;
}

void beamd_cluster_snapshot(beamd_cluster *self)
{
    beamd_solve_job *job = &self->job;
    copy_view(&job->view, &self->live);
    lay_design(&job->warm, &job->view.scene.dims, self->sensing_max);
    lay_design(&job->out, &job->view.scene.dims, self->sensing_max);
    job->warm_given = self->has_last && map_last(self);
    job->csi_sequence = self->csi_sequence;
    job->target_sequence = self->target_sequence;
    job->target_time_ns = self->target_time_ns;
    job->users_generation = self->users_generation;
    job->csi_generation = self->csi_generation;
    job->element = self->element;
    job->ideal = self->ideal;
    job->need_sensing_end = self->sensing_stale;
    job->need_rate_end = !self->has_ideal || self->ideal_users_generation != self->users_generation;
}

void beamd_cluster_snapshot_refresh(beamd_cluster *self)
{
    copy_view(&self->refresh.view, &self->live);
    self->refresh.users_generation = self->users_generation;
    self->refresh.ideal = self->ideal;
}

void beamd_cluster_keep(beamd_cluster *self)
{
    const beamd_held_design old = self->last;
    self->last = self->job.out;
    self->job.out = old;
    memcpy(self->last_user_id, self->job.view.user_id,
           (size_t)self->job.view.scene.dims.users * sizeof(uint64_t));
    self->has_last = true;
}
