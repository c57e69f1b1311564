#include "emulate/emulate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "batch.h"
#include "beam/gpu.h"
#include "device/device.cuh"
#include "device/refine.cuh"
#include "emulate/mlp.h"

/* What the shared memory of an sm_90 leaves to a team. */
enum { FAST_LIMIT = 225 << 10, MODEL_SETS = 2 };

typedef enum slot_state { SLOT_FREE = 0, SLOT_STARTED = 1, SLOT_DONE = 2 } slot_state;

typedef struct slot {
    unsigned char *in, *out;
    slot_state state;
    uint64_t number; /* of submits: the thread takes them in this order */
    int count, model;
    double ms;
} slot;

struct beam_gpu {
    beam_gpu_options options;
    int layers, width, model;
    float *weights; /* MODEL_SETS */
    size_t weights_floats;
    beam_gpu_emulated_mlp *mlp; /* or NULL */
    bool prepared;
    beam_gpu_batches batches;
    unsigned char *clusters, *staged, *fast, *slow;
    slot slots[BEAM_GPU_SLOTS_MAX];
    uint64_t submits;
    double last_ms;
    /* the thread that computes */
    pthread_t thread;
    bool running, stop;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

/* --- Knobs of the tests ------------------------------------------------------------------------
 */

static _Atomic int devices = 1;
static _Atomic bool lost, held;
static _Atomic size_t memory_most = SIZE_MAX;

void beam_gpu_emulate_devices(int count)
{
    atomic_store(&devices, count);
}

void beam_gpu_emulate_break(void)
{
    atomic_store(&lost, true);
}

void beam_gpu_emulate_mend(void)
{
    atomic_store(&lost, false);
}

void beam_gpu_emulate_hold(bool hold)
{
    atomic_store(&held, hold);
}

void beam_gpu_emulate_memory(size_t bytes)
{
    atomic_store(&memory_most, bytes);
}

static beam_gpu_code check_device(const char *call, beam_gpu_error *err)
{
    if (atomic_load(&lost)) {
        return beam_gpu_fail(err, BEAM_GPU_E_DEVICE,
                             "%s: an illegal memory access was encountered "
                             "(cudaErrorIllegalAddress)",
                             call);
    }
    return BEAM_GPU_OK;
}

/* --- The thread -------------------------------------------------------------------------------
 */

static void compute(beam_gpu *g, slot *s)
{
    beam_gpu_batch_memory memory = {
        .clusters = g->clusters,
        .cluster_apart = g->batches.cluster_bytes,
        .weights = g->weights,
        .weights_apart = g->weights_floats,
        .in = s->in,
        .out = s->out,
        .slow = g->slow,
        .slow_apart = g->batches.slow_bytes,
    };
    const beam_team team = {.lane = 0, .lanes = 1};
    beam_gpu_plan plan;
    beam_gpu_near_plan near = {&plan, 0};
    beam_gpu_problem p = {.fast = g->fast, .slow = g->slow};
    if (g->mlp) {
        beam_gpu_emulated_mlp_run(g->mlp, s->model, &memory, g->fast);
    }
    for (int i = 0; i < s->count; i++) {
        beam_gpu_batch_problem(&team, &memory, i, &near, &p);
        beam_gpu_answer_problem(&team, &p);
    }
    if (beam_gpu_batch_head_of(&memory)->refine > 0) {
        beam_gpu_refine_plan steps;
        beam_gpu_refine_batch(&team, &memory, 0, 1, &plan, &steps, g->fast, g->batches.fast_bytes,
                              g->slow);
    }
}

static slot *next_started(beam_gpu *g)
{
    slot *next = NULL;
    for (int i = 0; i < g->options.slots; i++) {
        slot *s = &g->slots[i];
        if (s->state == SLOT_STARTED && (!next || s->number < next->number)) {
            next = s;
        }
    }
    return next;
}

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void wait_while_held(void)
{
    const struct timespec moment = {.tv_nsec = 200000};
    while (atomic_load(&held)) {
        nanosleep(&moment, NULL);
    }
}

static void *work(void *arg)
{
    beam_gpu *g = arg;
    pthread_mutex_lock(&g->mutex);
    while (!g->stop) {
        slot *s = next_started(g);
        if (!s) {
            pthread_cond_wait(&g->changed, &g->mutex);
            continue;
        }
        pthread_mutex_unlock(&g->mutex);
        const double start_ms = now_ms();
        compute(g, s);
        wait_while_held();
        pthread_mutex_lock(&g->mutex);
        s->ms = now_ms() - start_ms;
        s->state = SLOT_DONE;
        pthread_cond_broadcast(&g->changed);
        if (g->options.done_fd > 0 && !atomic_load(&lost)) {
            (void)eventfd_write(g->options.done_fd, 1);
        }
    }
    pthread_mutex_unlock(&g->mutex);
    return NULL;
}

/* --- Life --------------------------------------------------------------------------------------
 */

int beam_gpu_devices(beam_gpu_error *err)
{
    const int count = atomic_load(&devices);
    if (count == 0) {
        (void)beam_gpu_fail(err, BEAM_GPU_E_NO_DEVICE,
                            "no CUDA device: no CUDA-capable device is detected");
    }
    return count;
}

beam_gpu_code beam_gpu_create(beam_gpu **out, int device, const beam_gpu_options *options,
                              beam_gpu_error *err)
{
    *out = NULL;
    const int count = beam_gpu_devices(err);
    if (count == 0) {
        return BEAM_GPU_E_NO_DEVICE;
    }
    if (device < 0 || device >= count || options->clusters_max < 1 || options->slots < 1 ||
        options->slots > BEAM_GPU_SLOTS_MAX || options->clusters_max > BEAM_GPU_CLUSTERS_MAX) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "device %d of %d, %d clusters, %d slots",
                             device, count, options->clusters_max, options->slots);
    }
    if (check_device("cudaInitDevice", err)) {
        return BEAM_GPU_E_DEVICE;
    }
    beam_gpu *g = calloc(1, sizeof *g);
    if (!g) {
        return beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "no host memory");
    }
    g->options = *options;
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->changed, NULL);
    *out = g;
    return BEAM_GPU_OK;
}

void beam_gpu_destroy(beam_gpu *self)
{
    if (!self) {
        return;
    }
    if (self->running) {
        pthread_mutex_lock(&self->mutex);
        self->stop = true;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->mutex);
        (void)pthread_join(self->thread, NULL);
    }
    for (int i = 0; i < BEAM_GPU_SLOTS_MAX; i++) {
        free(self->slots[i].in);
        free(self->slots[i].out);
    }
    beam_gpu_batches_free(&self->batches);
    free(self->weights);
    beam_gpu_emulated_mlp_free(self->mlp);
    free(self->clusters);
    free(self->staged);
    free(self->fast);
    free(self->slow);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

/* Until no batch of this set of weights is under way. */
static void wait_for_model(beam_gpu *g, int model)
{
    pthread_mutex_lock(&g->mutex);
    for (int i = 0; i < g->options.slots;) {
        if (g->slots[i].state == SLOT_STARTED && g->slots[i].model == model) {
            pthread_cond_wait(&g->changed, &g->mutex);
        } else {
            i++;
        }
    }
    pthread_mutex_unlock(&g->mutex);
}

beam_gpu_code beam_gpu_load_model(beam_gpu *self, int layers, int width, const float *theta,
                                  beam_gpu_error *err)
{
    beam_gpu_plan plan;
    beam_error inner = {0};
    const beam_dims one = {1, 1, 0, 1};
    if (self->mlp || layers < 1 || width < 1 ||
        (self->weights && (layers != self->layers || width != self->width))) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                             "model: %d layers of width %d; %d of %d are loaded", layers, width,
                             self->layers, self->width);
    }
    if (beam_gpu_plan_make(&plan, &one, 0, layers, width, 0, &inner)) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT, "model: %s", inner.text);
    }
    if (check_device("cudaMemcpy", err)) {
        return BEAM_GPU_E_DEVICE;
    }
    if (!self->weights) {
        self->layers = layers;
        self->width = width;
        self->weights_floats = (size_t)plan.layer.count * (size_t)layers;
        self->weights = calloc(MODEL_SETS * self->weights_floats, sizeof *self->weights);
        if (!self->weights) {
            return beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "no host memory");
        }
    }
    const int next = 1 - self->model;
    wait_for_model(self, next);
    beam_gpu_pack_weights(&plan, theta, self->weights + (size_t)next * self->weights_floats);
    self->model = next;
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_load_mlp(beam_gpu *self, const beam_model_info *info, const float *theta,
                                beam_gpu_error *err)
{
    if (self->weights || info->kind != BEAM_MODEL_MLP ||
        (self->mlp && !beam_gpu_emulated_mlp_same(self->mlp, info))) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                             "model: not an mlp, or not the kind and sizes that are loaded");
    }
    if (check_device("cudaMemcpy", err)) {
        return BEAM_GPU_E_DEVICE;
    }
    const int next = self->mlp ? 1 - self->model : self->model;
    if (!self->mlp) {
        beam_gpu_error inner = {0};
        self->mlp = beam_gpu_emulated_mlp_new(info, &inner);
        if (!self->mlp) {
            return beam_gpu_fail(err, inner.code, "%s", inner.text);
        }
        self->layers = info->layers;
    } else {
        wait_for_model(self, next);
    }
    beam_gpu_emulated_mlp_weights(self->mlp, next, theta);
    self->model = next;
    return BEAM_GPU_OK;
}

static void *block(size_t bytes)
{
    return aligned_alloc(64, (bytes + 64u) & ~(size_t)63u);
}

static bool take_memory(beam_gpu *g, int max_batch)
{
    const beam_gpu_batches *b = &g->batches;
    const size_t clusters = b->cluster_bytes * (size_t)g->options.clusters_max,
                 in = beam_gpu_batches_in_bytes(b, max_batch),
                 out = beam_gpu_batches_out_bytes(b, max_batch);
    if (clusters + (in + out) * (size_t)g->options.slots > atomic_load(&memory_most)) {
        return false;
    }
    g->clusters = block(clusters);
    g->staged = block(b->cluster_bytes);
    g->fast = block((size_t)b->fast_bytes);
    g->slow = block(b->slow_bytes);
    bool taken = g->clusters && g->staged && g->fast && g->slow;
    for (int i = 0; i < g->options.slots; i++) {
        g->slots[i].in = block(in);
        g->slots[i].out = block(out);
        taken = taken && g->slots[i].in && g->slots[i].out;
    }
    return taken;
}

beam_gpu_code beam_gpu_prepare(beam_gpu *self, const beam_dims *dims_max, int users_per_station,
                               int max_batch, beam_gpu_error *err)
{
    if (self->prepared || !(self->weights || self->mlp) || max_batch < 1 || max_batch > 1 << 23) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                             "prepare: once, after a model, for 1..%d requests", 1 << 23);
    }
    beam_gpu_code code =
        beam_gpu_batches_init(&self->batches, dims_max, users_per_station, self->layers,
                              self->width, self->options.clusters_max, max_batch, FAST_LIMIT, err);
    if (!code && self->mlp) {
        code = beam_gpu_emulated_mlp_prepare(self->mlp, dims_max, max_batch, err);
    }
    if (code) {
        return code;
    }
    if (!take_memory(self, max_batch)) {
        return beam_gpu_fail(err, BEAM_GPU_E_MEMORY,
                             "cudaMalloc: out of memory "
                             "(cudaErrorMemoryAllocation)");
    }
    self->running = pthread_create(&self->thread, NULL, work, self) == 0;
    if (!self->running) {
        return beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "no thread");
    }
    self->prepared = true;
    return check_device("cudaGraphLaunch", err);
}

/* --- Work --------------------------------------------------------------------------------------
 */

beam_gpu_code beam_gpu_set_cluster(beam_gpu *self, int index, const beam_scene *scene,
                                   const beam_design *sensing, beam_gpu_error *err)
{
    size_t bytes = 0;
    beam_gpu_cluster_note note;
    if (!self->prepared) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "set_cluster: not prepared");
    }
    if (check_device("cudaMemcpyAsync", err)) {
        return BEAM_GPU_E_DEVICE;
    }
    const beam_gpu_code code = beam_gpu_batches_pack_cluster(&self->batches, index, scene, sensing,
                                                             self->staged, &bytes, &note, err);
    if (code) {
        return code;
    }
    if (self->mlp && !beam_gpu_emulated_mlp_serves(self->mlp, &note)) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT, "cluster %d: not of the model's size", index);
    }
    memcpy(self->clusters + (size_t)index * self->batches.cluster_bytes, self->staged, bytes);
    beam_gpu_batches_know(&self->batches, index, &note);
    return BEAM_GPU_OK;
}

int beam_gpu_cluster_busy(const beam_gpu *self, int index)
{
    return self->prepared && index >= 0 && index < self->options.clusters_max
               ? self->batches.cluster[index].busy
               : 0;
}

beam_gpu_code beam_gpu_submit(beam_gpu *self, int count, const beam_gpu_request *requests,
                              int *slot_out, beam_gpu_error *err)
{
    if (!self->prepared) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "submit: not prepared");
    }
    int at = 0;
    pthread_mutex_lock(&self->mutex);
    while (at < self->options.slots && self->slots[at].state != SLOT_FREE) {
        at++;
    }
    pthread_mutex_unlock(&self->mutex);
    if (at == self->options.slots) {
        return beam_gpu_fail(err, BEAM_GPU_E_BUSY, "%d batches are in flight", self->options.slots);
    }
    const beam_gpu_code code = beam_gpu_batches_check(&self->batches, count, requests, err);
    if (code || check_device("cudaGraphLaunch", err)) {
        return code ? code : BEAM_GPU_E_DEVICE;
    }
    slot *s = &self->slots[at];
    (void)beam_gpu_batches_pack(&self->batches, count, self->model, requests, s->in);
    pthread_mutex_lock(&self->mutex);
    s->count = count;
    s->model = self->model;
    s->number = ++self->submits;
    s->state = SLOT_STARTED;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    *slot_out = at;
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_collect(beam_gpu *self, int at, int wait, beam_gpu_answer *answers,
                               beam_gpu_error *err)
{
    slot *s = at >= 0 && at < self->options.slots ? &self->slots[at] : NULL;
    pthread_mutex_lock(&self->mutex);
    while (wait && s && s->state == SLOT_STARTED) {
        pthread_cond_wait(&self->changed, &self->mutex);
    }
    const slot_state state = s ? s->state : SLOT_FREE;
    pthread_mutex_unlock(&self->mutex);
    if (state == SLOT_FREE) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "slot %d: no batch in flight", at);
    }
    if (check_device("cudaEventQuery", err)) {
        return BEAM_GPU_E_DEVICE;
    }
    if (state == SLOT_STARTED) {
        return beam_gpu_fail(err, BEAM_GPU_E_BUSY, "slot %d: not done", at);
    }
    beam_gpu_batches_unpack(s->in, s->out, answers);
    beam_gpu_batches_end(&self->batches, s->in);
    pthread_mutex_lock(&self->mutex);
    self->last_ms = s->ms;
    s->state = SLOT_FREE;
    pthread_mutex_unlock(&self->mutex);
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_info_of(const beam_gpu *self, beam_gpu_info *info, beam_gpu_error *err)
{
    const beam_gpu_batches *b = &self->batches;
    *info = (beam_gpu_info){.multiprocessors = 1,
                            .compute_major = 9,
                            .compute_minor = 0,
                            .shared_bytes = b->largest.work.fast_bytes,
                            .slow_bytes = (int)b->slow_bytes,
                            .problems_per_multiprocessor = 1,
                            .lanes = 1,
                            .request_bytes = b->largest.request.bytes,
                            .answer_bytes = b->largest.answer.bytes,
                            .cluster_bytes = (int)b->cluster_bytes,
                            .last_batch_ms = self->last_ms};
    (void)snprintf(info->device, sizeof info->device, "the device functions on the CPU");
    return check_device("cudaDeviceGetAttribute", err);
}
