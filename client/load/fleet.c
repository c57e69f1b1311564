#include "load/fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/encode.h"

/* TARGET_FRAMES: prepared target updates; FRAMES_BYTES_MAX: memory for frames in all. */
enum { TARGET_FRAMES = 32, RING_MIN = 64, RING_MAX = 1 << 16 };
static const size_t FRAMES_BYTES_MAX = (size_t)4 << 30;

static void put_le64(unsigned char *out, uint64_t value)
{
    for (int k = 0; k < 8; k++) {
        out[k] = (unsigned char)(value >> (8 * k));
    }
}

void load_frame_patch(load_frame *frame, uint64_t sequence, uint64_t sender_time_ns)
{
    put_le64(frame->bytes + 8, sequence);
    put_le64(frame->bytes + frame->time_at, sender_time_ns);
}

static size_t pool_index(int count, uint64_t sequence)
{
    const uint64_t last = (uint64_t)count - 1;
    const uint64_t at = (sequence - 1) % (2 * last);
    return (size_t)(at <= last ? at : 2 * last - at);
}

const load_frame *load_pool_frame(const load_pool *pool, uint64_t sequence)
{
    return &pool->frames[pool_index(pool->count, sequence)];
}

const load_frame *load_pool_patch(load_pool *pool, uint64_t sequence, uint64_t sender_time_ns)
{
    load_frame *frame = &pool->frames[pool_index(pool->count, sequence)];
    load_frame_patch(frame, sequence, sender_time_ns);
    return frame;
}

load_slot *load_ring_next(load_ring *ring, bool *lost)
{
    load_slot *slot = &ring->slots[++ring->sequence & ring->mask];
    *lost = slot->open;
    *slot = (load_slot){.sequence = ring->sequence, .open = true};
    return slot;
}

load_slot *load_ring_find(load_ring *ring, uint64_t sequence)
{
    load_slot *slot = &ring->slots[sequence & ring->mask];
    return sequence != 0 && slot->sequence == sequence ? slot : NULL;
}

/* Room for all that can be open at a rate: what is sent while answers are waited for. */
static bool ring_create(load_ring *ring, double rate_hz, double wait_s)
{
    size_t size = RING_MIN;
    while (size < RING_MAX && (double)size < 2 * rate_hz * wait_s) {
        size *= 2;
    }
    ring->slots = calloc(size, sizeof *ring->slots);
    ring->mask = size - 1;
    return ring->slots != NULL;
}

static size_t pool_bytes(const load_pool *pool)
{
    size_t sum = 0;
    for (int k = 0; k < pool->count; k++) {
        sum += pool->frames[k].size;
    }
    return sum;
}

static int fill_pools(load_cluster *c, load_encoder *encoder, const load_world *world,
                      const load_options *o, load_error *err)
{
    const double target_step_s = o->target_rate_hz > 0 ? 1 / o->target_rate_hz : 0.1;
    c->csi.frames = calloc((size_t)o->pool_frames, sizeof *c->csi.frames);
    c->targets.frames = calloc(TARGET_FRAMES, sizeof *c->targets.frames);
    if (!c->csi.frames || !c->targets.frames) {
        return load_fail(err, "no memory for frames");
    }
    for (; c->csi.count < o->pool_frames; c->csi.count++) {
        if (load_encode_csi(encoder, world, c->id, c->csi.count * o->step_s,
                            &c->csi.frames[c->csi.count], err) < 0) {
            return -1;
        }
    }
    for (; c->targets.count < TARGET_FRAMES; c->targets.count++) {
        if (load_encode_targets(encoder, world, c->id, c->targets.count * target_step_s,
                                &c->targets.frames[c->targets.count], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int cluster_create(load_cluster *c, const load_options *o, uint64_t seed, load_error *err)
{
    load_world *world = load_world_create(o, c->shape, seed);
    load_encoder *encoder = load_encoder_create(o, c->shape);
    /* capacity raises the rate up to its limit */
    const double rate =
        o->command == LOAD_CAPACITY ? o->max_rate_hz / (double)o->clusters : o->rate_hz;
    int status = -1;
    if (!world || !encoder || !ring_create(&c->csi_ring, rate, o->wait_s) ||
        !ring_create(&c->target_ring, o->target_rate_hz, o->wait_s)) {
        load_fail(err, "no memory for a cluster");
    } else if (load_encode_register(encoder, world, c->id, &c->registration, err) == 0 &&
               load_encode_unregister(encoder, c->id, &c->unregistration, err) == 0) {
        status = fill_pools(c, encoder, world, o, err);
    }
    load_encoder_destroy(&encoder);
    load_world_destroy(&world);
    return status;
}

/* The size that is furthest behind its share. */
static int next_shape(const load_options *o, const int *given, int total)
{
    double sum = 0, worst = -1;
    int best = 0;
    for (int k = 0; k < o->shape_count; k++) {
        sum += o->shapes[k].share;
    }
    for (int k = 0; k < o->shape_count; k++) {
        const double behind = o->shapes[k].share / sum * (total + 1) - given[k];
        if (behind > worst) {
            worst = behind;
            best = k;
        }
    }
    return best;
}

load_fleet *load_fleet_create(const load_options *o, load_error *err)
{
    int given[LOAD_SHAPES_MAX] = {0};
    uint64_t seeds = (uint64_t)o->seed;
    load_fleet *self = calloc(1, sizeof *self);
    if (self) {
        self->clusters = calloc((size_t)o->clusters, sizeof *self->clusters);
    }
    if (!self || !self->clusters) {
        load_fail(err, "no memory for %lld clusters", o->clusters);
        free(self);
        return NULL;
    }
    self->prefix_bytes = strlen(o->prefix);
    for (; self->count < o->clusters; self->count++) {
        load_cluster *c = &self->clusters[self->count];
        const int shape = next_shape(o, given, self->count);
        given[shape]++;
        c->shape = &o->shapes[shape];
        snprintf(c->id, sizeof c->id, "%s-%d", o->prefix, self->count);
        if (cluster_create(c, o, load_random_bits(&seeds), err) < 0) {
            self->count++;
            load_fleet_destroy(&self);
            return NULL;
        }
        self->bytes += pool_bytes(&c->csi) + pool_bytes(&c->targets);
        self->request_bytes += c->csi.frames[0].size;
        if (self->bytes > FRAMES_BYTES_MAX) {
            load_fail(err,
                      "the frames of %lld clusters take more than %zu MiB: fewer clusters or "
                      "a smaller --pool",
                      o->clusters, FRAMES_BYTES_MAX >> 20);
            self->count++;
            load_fleet_destroy(&self);
            return NULL;
        }
    }
    return self;
}

static void pool_destroy(load_pool *pool)
{
    for (int k = 0; k < pool->count; k++) {
        free(pool->frames[k].bytes);
    }
    free(pool->frames);
}

void load_fleet_destroy(load_fleet **self)
{
    if (!*self) {
        return;
    }
    for (int k = 0; k < (*self)->count; k++) {
        load_cluster *c = &(*self)->clusters[k];
        free(c->registration.bytes);
        free(c->unregistration.bytes);
        pool_destroy(&c->csi);
        pool_destroy(&c->targets);
        free(c->csi_ring.slots);
        free(c->target_ring.slots);
    }
    free((*self)->clusters);
    free(*self);
    *self = NULL;
}

load_cluster *load_fleet_find(load_fleet *self, const char *id)
{
    /* PREFIX-NUMBER, as load_fleet_create wrote it */
    if (strlen(id) <= self->prefix_bytes + 1) {
        return NULL;
    }
    const char *digits = id + self->prefix_bytes + 1;
    char *end;
    const unsigned long index = strtoul(digits, &end, 10);
    if (*end != 0 || index >= (unsigned long)self->count ||
        strcmp(self->clusters[index].id, id) != 0) {
        return NULL;
    }
    return &self->clusters[index];
}
