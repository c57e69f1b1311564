/* Clusters by content. The library wants the constants of a cluster under an index; the daemon
 * sends them with every batch. They are compared whole: a hash only says where to look. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solver/solver_internal.h"
#include "worker/cuda.h"

int beamg_clusters_count(const beam_dims *room)
{
    /* transmit directions in float64, fixed rows in float32, about */
    const size_t rows = (size_t)room->stations * (size_t)(2 * room->targets + 2),
                 bytes = 1024 + rows * (size_t)room->antennas * 24;
    const size_t fit = BEAMG_CLUSTER_BYTES / bytes;
    return fit > BEAMG_CLUSTERS_MOST    ? BEAMG_CLUSTERS_MOST
           : fit < BEAMG_CLUSTERS_LEAST ? BEAMG_CLUSTERS_LEAST
                                        : (int)fit;
}

/* The largest content of a frame of at most these sizes. */
static size_t content_most(const beam_dims *d)
{
    const size_t L = (size_t)d->stations, U = (size_t)d->users, J = (size_t)d->targets;
    return (5 * L + 4 * U + 2 * J + 2 * L * J * L) * sizeof(double) + beam_solver_sensing_bytes(d);
}

static void *block(size_t bytes)
{
    return aligned_alloc(64, (bytes + 64u) & ~(size_t)63u);
}

int beamg_clusters_init(beamg_clusters *self, beam_gpu *gpu, const beam_dims *room, int most)
{
    *self = (beamg_clusters){.gpu = gpu, .most = most, .room = *room};
    self->content_bytes = content_most(room);
    self->solver_bytes = beam_solver_memsize(room);
    self->design_bytes = beam_design_memsize(room, beam_design_sensing_max(room));
    self->entry = calloc((size_t)most, sizeof *self->entry);
    self->content = malloc((size_t)most * self->content_bytes);
    self->solver_memory = block(self->solver_bytes);
    self->design_memory = block(self->design_bytes);
    return self->entry && self->content && self->solver_memory && self->design_memory ? 0 : -1;
}

void beamg_clusters_free(beamg_clusters *self)
{
    free(self->entry);
    free(self->content);
    free(self->solver_memory);
    free(self->design_memory);
    *self = (beamg_clusters){.gpu = NULL};
}

/* --- The key --- */

typedef struct frame_key {
    beamg_frame_head head;
    const void *frame, *rows;
    uint64_t hash;
} frame_key;

/* Of whole words; what is left over is not worth a collision: frames are compared anyway. */
static uint64_t mix(uint64_t hash, const void *from, size_t bytes)
{
    const unsigned char *at = from;
    for (size_t i = 0; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at + i, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

static frame_key key_of(const beamg_request *request, uint32_t frame)
{
    const beamg_frame *f = &request->frame[frame];
    bool moved;
    size_t bytes;
    frame_key key = {.frame = beamg_request_frame(request, frame, &bytes),
                     .rows = beamg_request_rows(request, frame, &moved)};
    key.head = (beamg_frame_head){.dims = f->dims,
                                  .sensing = f->sensing,
                                  .skip = f->skip_unidentifiable,
                                  .moved = moved,
                                  .bandwidth_hz = f->bandwidth_hz,
                                  .snapshots = f->snapshots,
                                  .frame_bytes = bytes,
                                  .rows_bytes = key.rows ? f->rows_bytes : 0};
    key.hash = f->key;
    if (key.hash == 0) {
        key.hash = mix(1, &key.head, sizeof key.head);
        key.hash = mix(key.hash, key.frame, bytes);
        key.hash = mix(key.hash, key.rows, key.head.rows_bytes);
    }
    return key;
}

static unsigned char *content_of(const beamg_clusters *self, int index)
{
    return self->content + (size_t)index * self->content_bytes;
}

static bool same(const beamg_clusters *self, int index, const frame_key *key)
{
    const beamg_cluster *e = &self->entry[index];
    const unsigned char *content = content_of(self, index);
    return e->used > 0 && e->hash == key->hash &&
           memcmp(&e->head, &key->head, sizeof e->head) == 0 &&
           memcmp(content, key->frame, key->head.frame_bytes) == 0 &&
           (key->head.rows_bytes == 0 ||
            memcmp(content + key->head.frame_bytes, key->rows, key->head.rows_bytes) == 0);
}

/* The place that was not used for longest, -1: all are in use. */
static int oldest(const beamg_clusters *self, uint64_t part)
{
    int found = -1;
    for (int i = 0; i < self->most; i++) {
        const beamg_cluster *e = &self->entry[i];
        if (e->used == 0) {
            return i;
        }
        if (e->part != part && (found < 0 || e->used < self->entry[found].used) &&
            beam_gpu_cluster_busy(self->gpu, i) == 0) {
            found = i;
        }
    }
    return found;
}

/* --- Least-CRLB rows as a design --- */

static beam_code load_solver(beamg_clusters *self, const beam_scene *scene)
{
    beam_dims dims = scene->dims;
    dims.users = self->room.users; /* fewer are served; the others are exact */
    if (!self->solver || memcmp(&dims, &self->dims, sizeof dims) != 0) {
        self->solver = NULL;
        const beam_code code =
            beam_solver_init(&self->solver, &dims, self->solver_memory, self->solver_bytes, NULL);
        if (code != BEAM_OK) {
            return code;
        }
        self->dims = dims;
    }
    return beam_solver_load(self->solver, scene, NULL);
}

/* Those of the frame; where it has none, or none that fit, they are computed. */
static beam_code sensing_rows(beamg_clusters *self, const beam_scene *scene, const double *rows,
                              bool moved, beam_design *out)
{
    const int columns = beam_design_sensing_max(&scene->dims);
    beam_code code = load_solver(self, scene);
    if (code == BEAM_OK && !(rows && beam_solver_import_sensing(self->solver, rows, moved))) {
        code = beam_solver_compute_sensing_end(self->solver, NULL);
    }
    if (code == BEAM_OK) {
        code = beam_design_init(out, &scene->dims, columns, self->design_memory, self->design_bytes,
                                NULL);
    }
    if (code == BEAM_OK) {
        beam_problem_export(&self->solver->problem, self->solver->sensing, out);
    }
    return code;
}

/* --- Into the device --- */

static int load(beamg_clusters *self, const beamg_request *request, uint32_t scene, int index,
                const frame_key *key, beam_code *code, beam_gpu_error *err)
{
    beam_scene view;
    beam_design sensing;
    beamg_request_scene(request, scene, &view);
    *code = sensing_rows(self, &view, key->rows, key->head.moved != 0, &sensing);
    if (*code != BEAM_OK) {
        return BEAMG_CLUSTER_REFUSED;
    }
    const beam_gpu_code set = beam_gpu_set_cluster(self->gpu, index, &view, &sensing, err);
    if (set == BEAM_GPU_E_BUSY) {
        return BEAMG_CLUSTER_NONE;
    }
    if (set == BEAM_GPU_E_DEVICE) {
        return BEAMG_CLUSTER_BROKEN;
    }
    if (set != BEAM_GPU_OK) {
        *code = set == BEAM_GPU_E_INVALID ? BEAM_E_UNSUPPORTED : BEAM_E_LIMIT;
        return BEAMG_CLUSTER_REFUSED;
    }
    beamg_cluster *e = &self->entry[index];
    unsigned char *content = content_of(self, index);
    e->hash = key->hash;
    e->head = key->head;
    memcpy(content, key->frame, key->head.frame_bytes);
    if (key->head.rows_bytes > 0) {
        memcpy(content + key->head.frame_bytes, key->rows, key->head.rows_bytes);
    }
    self->loaded++;
    return index;
}

int beamg_cluster_of(beamg_clusters *self, const beamg_request *request, uint32_t scene,
                     uint64_t part, beam_code *code, beam_gpu_error *err)
{
    const frame_key key = key_of(request, request->scene[scene].frame);
    *code = BEAM_OK;
    if (key.head.sensing != BEAM_SENSING_RESOLVED ||
        key.head.frame_bytes + key.head.rows_bytes > self->content_bytes) {
        *code = BEAM_E_UNSUPPORTED; /* the network is an objective of the resolved model */
        return BEAMG_CLUSTER_REFUSED;
    }
    int index = 0;
    while (index < self->most && !same(self, index, &key)) {
        index++;
    }
    if (index < self->most) {
        self->found++;
    } else {
        index = oldest(self, part);
        index = index < 0 ? BEAMG_CLUSTER_NONE : load(self, request, scene, index, &key, code, err);
    }
    if (index >= 0) {
        self->entry[index].used = ++self->clock;
        self->entry[index].part = part;
    }
    return index;
}
