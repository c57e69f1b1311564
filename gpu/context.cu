/* The resident context: models, sizes, clusters, batches. */
#include "context.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "plan.h"

namespace
{

/* What an mlp says of itself beside the error: what failed in cuBLAS, or why it takes no such
 * model. */
const char *trouble_of(const beam_gpu *g)
{
#ifdef BEAM_GPU_MLP
    return g->mlp ? beam_gpu_mlp_trouble(g->mlp) : "";
#else
    (void)g;
    return "";
#endif
}

} // namespace

beam_gpu_code beam_gpu_cuda_fail(beam_gpu *g, beam_gpu_error *err, const char *call,
                                 cudaError_t error)
{
    const char *trouble = trouble_of(g);
    (void)cudaGetLastError();
    if (trouble[0] && (error == cudaErrorUnknown || error == cudaErrorInvalidValue)) {
        g->broken = g->broken || g->prepared;
        return beam_gpu_fail(err, g->prepared ? BEAM_GPU_E_DEVICE : BEAM_GPU_E_INVALID, "mlp: %s",
                             trouble);
    }
    const beam_gpu_code code = error == cudaErrorMemoryAllocation ? BEAM_GPU_E_MEMORY
                               : error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver
                                   ? BEAM_GPU_E_NO_DEVICE
                                   : BEAM_GPU_E_DEVICE;
    g->broken = g->broken || code == BEAM_GPU_E_DEVICE;
    return beam_gpu_fail(err, code, "%s: %s (%s)", call, cudaGetErrorString(error),
                         cudaGetErrorName(error));
}

int beam_gpu_devices(beam_gpu_error *err)
{
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        (void)beam_gpu_fail(err, BEAM_GPU_E_NO_DEVICE, "no CUDA device: %s",
                            cudaGetErrorString(error));
        (void)cudaGetLastError();
        return 0;
    }
    if (count == 0) {
        (void)beam_gpu_fail(err, BEAM_GPU_E_NO_DEVICE, "no CUDA device");
    }
    return count;
}

namespace
{

beam_gpu_code open_device(beam_gpu *g, beam_gpu_error *err)
{
    const unsigned wait = g->options.spin ? cudaDeviceScheduleSpin : cudaDeviceScheduleBlockingSync;
    BEAM_CUDA(g, err, cudaInitDevice(g->device, wait, cudaInitDeviceFlagsAreValid));
    BEAM_CUDA(g, err, cudaSetDevice(g->device));
    BEAM_CUDA(g, err, cudaGetDeviceProperties(&g->properties, g->device));
    BEAM_CUDA(
        g, err,
        cudaDeviceGetAttribute(&g->optin, cudaDevAttrMaxSharedMemoryPerBlockOptin, g->device));
    return BEAM_GPU_OK;
}

/* At the start of a call: this thread's device, if the object is of any use. */
beam_gpu_code enter(beam_gpu *g, beam_gpu_error *err)
{
    if (g->broken) {
        return beam_gpu_fail(err, BEAM_GPU_E_DEVICE,
                             "an earlier call found an error of the device");
    }
    BEAM_CUDA(g, err, cudaSetDevice(g->device));
    return BEAM_GPU_OK;
}

} // namespace

beam_gpu_code beam_gpu_create(beam_gpu **out, int device, const beam_gpu_options *options,
                              beam_gpu_error *err)
{
    *out = nullptr;
    const int count = beam_gpu_devices(err);
    if (count == 0) {
        return BEAM_GPU_E_NO_DEVICE;
    }
    if (device < 0 || device >= count || options->clusters_max < 1 ||
        options->clusters_max > BEAM_GPU_CLUSTERS_MAX || options->slots < 1 ||
        options->slots > BEAM_GPU_SLOTS_MAX || options->perceptron < BEAM_GPU_PLAIN ||
        options->perceptron > BEAM_GPU_SPLIT) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                             "device %d of %d, %d clusters, %d slots, perceptron %d", device, count,
                             options->clusters_max, options->slots,
                             static_cast<int>(options->perceptron));
    }
    beam_gpu *g = new (std::nothrow) beam_gpu();
    if (!g) {
        return beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "no host memory");
    }
    g->device = device;
    g->options = *options;
    const beam_gpu_code code = open_device(g, err);
    if (code) {
        beam_gpu_destroy(g);
        return code;
    }
    *out = g;
    return BEAM_GPU_OK;
}

void beam_gpu_destroy(beam_gpu *self)
{
    if (!self) {
        return;
    }
    (void)cudaSetDevice(self->device);
    for (beam_gpu_slot &s : self->slots) {
        if (s.stream && !self->broken) {
            (void)cudaStreamSynchronize(s.stream);
        }
    }
    if (self->uploads.stream && !self->broken) {
        (void)cudaStreamSynchronize(self->uploads.stream);
    }
    for (beam_gpu_slot &s : self->slots) {
        beam_gpu_slot_free(&s);
    }
    beam_gpu_uploads_free(&self->uploads);
#ifdef BEAM_GPU_MLP
    beam_gpu_mlp_destroy(self->mlp);
#endif
    (void)cudaFree(self->weights);
    (void)cudaFreeHost(self->weights_host);
    (void)cudaFree(self->clusters);
    beam_gpu_batches_free(&self->batches);
    std::free(self->mlp_theta);
    delete self;
}

/* --- Models ------------------------------------------------------------------------------------
 */

namespace
{

/* Batches of the model before the last one use the set that is to be written. */
beam_gpu_code free_other_set(beam_gpu *g, beam_gpu_error *err)
{
    for (beam_gpu_slot &s : g->slots) {
        if (s.count > 0 && s.model == 1 - g->model) {
            BEAM_CUDA(g, err, cudaStreamSynchronize(s.stream));
        }
    }
    return BEAM_GPU_OK;
}

} // namespace

beam_gpu_code beam_gpu_load_model(beam_gpu *self, int layers, int width, const float *theta,
                                  beam_gpu_error *err)
{
    beam_gpu_plan plan;
    beam_error inner = {};
    const beam_dims one = {1, 1, 0, 1};
    beam_gpu_code code = enter(self, err);
    if (code) {
        return code;
    }
    if (self->mlp_theta || self->mlp || layers < 1 || width < 1 ||
        (self->weights && (layers != self->layers || width != self->width))) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                             "model: %d layers of width %d; %d of %d are loaded", layers, width,
                             self->layers, self->width);
    }
    if (beam_gpu_plan_make(&plan, &one, 0, layers, width, 0, &inner)) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT, "model: %s", inner.text);
    }
    if (!self->weights) {
        self->layers = layers;
        self->width = width;
        self->weights_floats = static_cast<size_t>(plan.layer.count) * static_cast<size_t>(layers);
        BEAM_CUDA(self, err,
                  beam_gpu_take_pinned(&self->weights_host, self->weights_floats * sizeof(float)));
        BEAM_CUDA(self, err,
                  beam_gpu_take(&self->weights, 2 * self->weights_floats * sizeof(float)));
    }
    code = free_other_set(self, err);
    if (code) {
        return code;
    }
    const int next = 1 - self->model;
    beam_gpu_pack_weights(&plan, theta, self->weights_host);
    BEAM_CUDA(self, err,
              cudaMemcpy(self->weights + static_cast<size_t>(next) * self->weights_floats,
                         self->weights_host, self->weights_floats * sizeof(float),
                         cudaMemcpyHostToDevice));
    self->model = next;
    return BEAM_GPU_OK;
}

#ifdef BEAM_GPU_MLP

namespace
{

bool same_mlp(const beam_model_info *a, const beam_model_info *b)
{
    return a->layers == b->layers && a->width == b->width && a->stations == b->stations &&
           a->antennas == b->antennas && a->users == b->users && a->targets == b->targets &&
           a->sensing_rows == b->sensing_rows && a->parameters == b->parameters;
}

beam_gpu_code make_mlp(beam_gpu *g, beam_gpu_error *err)
{
    BEAM_CUDA(g, err,
              beam_gpu_mlp_create(&g->mlp, &g->mlp_info, g->batches.max_batch, g->options.slots));
    BEAM_CUDA(g, err, beam_gpu_mlp_weights(g->mlp, g->model, g->mlp_theta));
    std::free(g->mlp_theta);
    g->mlp_theta = nullptr;
    return BEAM_GPU_OK;
}

} // namespace

beam_gpu_code beam_gpu_load_mlp(beam_gpu *self, const beam_model_info *info, const float *theta,
                                beam_gpu_error *err)
{
    beam_gpu_code code = enter(self, err);
    if (code) {
        return code;
    }
    const bool first = !self->mlp && !self->mlp_theta;
    if (self->weights || info->kind != BEAM_MODEL_MLP ||
        (!first && !same_mlp(info, &self->mlp_info))) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                             "model: not an mlp, or not the kind and sizes that are loaded");
    }
    if (self->mlp) {
        const int next = 1 - self->model;
        code = free_other_set(self, err);
        if (code) {
            return code;
        }
        BEAM_CUDA(self, err, beam_gpu_mlp_weights(self->mlp, next, theta));
        self->model = next;
        return BEAM_GPU_OK;
    }
    const size_t bytes = info->parameters * sizeof(float);
    if (first) {
        self->mlp_theta = static_cast<float *>(std::malloc(bytes));
    }
    if (!self->mlp_theta) {
        return beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "no host memory");
    }
    std::memcpy(self->mlp_theta, theta, bytes);
    self->mlp_info = *info;
    self->layers = info->layers;
    self->width = 0;
    return BEAM_GPU_OK;
}

#else

beam_gpu_code beam_gpu_load_mlp(beam_gpu *self, const beam_model_info *info, const float *theta,
                                beam_gpu_error *err)
{
    (void)self;
    (void)info;
    (void)theta;
    return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                         "this library was built without cuBLAS: no mlp models");
}

#endif

/* --- Sizes -------------------------------------------------------------------------------------
 */

namespace
{

/* An mlp has one size, with as many users at every station. */
bool serves(const beam_gpu *g, int users, int targets, int users_per_station)
{
    const beam_model_info *m = &g->mlp_info;
    const bool mlp = g->mlp || g->mlp_theta;
    return !mlp ||
           (users == m->users && targets == m->targets && users_per_station * m->stations == users);
}

/* Shapes by the problems that a multiprocessor can hold at once. An mlp has one size. */
beam_gpu_code choose_shapes(beam_gpu *g, beam_gpu_error *err)
{
    const int at_once[] = {2, 3, 4, 8, 12}, own = static_cast<int>(sizeof(beam_gpu_plan)) + 1088;
    g->shape[0].slow = g->batches.slow;
    BEAM_CUDA(g, err, beam_gpu_launch_plan(g->batches.fast_bytes, g->device, &g->shape[0]));
    g->shapes = 1;
    for (const int problems : at_once) {
        const int bytes = (g->optin / problems - own) / 16 * 16;
        if (g->mlp_theta || bytes <= 0 || bytes >= g->shape[g->shapes - 1].fast_bytes) {
            continue;
        }
        BEAM_CUDA(g, err, beam_gpu_launch_plan(bytes, g->device, &g->shape[g->shapes]));
        g->shapes++;
    }
#ifdef BEAM_GPU_REFINE
    BEAM_CUDA(g, err, beam_gpu_refine_prepare(&g->shape[0]));
#endif
    return BEAM_GPU_OK;
}

beam_gpu_code prepare_sizes(beam_gpu *g, const beam_dims *most, int users_per_station,
                            int max_batch, beam_gpu_error *err)
{
    const beam_model_info *m = &g->mlp_info;
    if (g->mlp_theta && (most->stations != m->stations || most->antennas != m->antennas ||
                         most->users != m->users || most->targets != m->targets)) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT,
                             "the model is for %d stations of %d antennas, %d users, %d targets",
                             m->stations, m->antennas, m->users, m->targets);
    }
    beam_gpu_code code = beam_gpu_batches_init(&g->batches, most, users_per_station, g->layers,
                                               g->width, g->options.clusters_max, max_batch,
                                               beam_gpu_fast_limit(g->optin), err);
    if (code) {
        return code;
    }
    g->batches.perceptron = g->options.perceptron;
    code = choose_shapes(g, err);
    code = code ? code : beam_gpu_uploads_prepare(g, err);
    if (code) {
        return code;
    }
    const size_t clusters = g->batches.cluster_bytes * static_cast<size_t>(g->options.clusters_max);
    BEAM_CUDA(g, err, beam_gpu_take(&g->clusters, clusters));
    BEAM_CUDA(g, err, cudaMemsetAsync(g->clusters, 0, clusters, g->uploads.stream));
    return BEAM_GPU_OK;
}

} // namespace

beam_gpu_code beam_gpu_prepare(beam_gpu *self, const beam_dims *dims_max, int users_per_station,
                               int max_batch, beam_gpu_error *err)
{
    const int batch_most = 1 << (BEAM_GPU_BUCKETS_MAX - 1);
    beam_gpu_code code = enter(self, err);
    if (code) {
        return code;
    }
    if (self->batches.max_batch > 0 || !(self->weights || self->mlp_theta) || max_batch < 1 ||
        max_batch > batch_most || users_per_station < 0) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                             "prepare: once, after a model, for 1..%d requests", batch_most);
    }
    code = prepare_sizes(self, dims_max, users_per_station, max_batch, err);
#ifdef BEAM_GPU_MLP
    if (!code && self->mlp_theta) {
        code = make_mlp(self, err);
    }
#endif
    while ((1 << self->buckets) < max_batch) {
        self->buckets++;
    }
    self->buckets++;
    for (int i = 0; !code && i < self->options.slots; i++) {
        code = beam_gpu_slot_prepare(self, i, err);
    }
    if (!code) {
        BEAM_CUDA(self, err, cudaDeviceSynchronize());
        self->prepared = true;
    }
    return code;
}

/* --- Clusters and batches ----------------------------------------------------------------------
 */

beam_gpu_code beam_gpu_set_cluster(beam_gpu *self, int index, const beam_scene *scene,
                                   const beam_design *sensing, beam_gpu_error *err)
{
    beam_gpu_cluster_note note;
    unsigned char *cell = nullptr;
    size_t bytes = 0;
    beam_gpu_code code = enter(self, err);
    if (!code && !self->prepared) {
        code = beam_gpu_fail(err, BEAM_GPU_E_INVALID, "set_cluster: prepare first");
    }
    code = code ? code : beam_gpu_uploads_cell(self, &cell, err);
    code = code ? code
                : beam_gpu_batches_pack_cluster(&self->batches, index, scene, sensing, cell, &bytes,
                                                &note, err);
    if (!code && !serves(self, note.users, note.targets, note.users_per_station)) {
        code = beam_gpu_fail(err, BEAM_GPU_E_LIMIT,
                             "%d users, %d targets, %d users at one station: not the model's size",
                             note.users, note.targets, note.users_per_station);
    }
    code = code ? code : beam_gpu_uploads_start(self, index, bytes, err);
    if (!code) {
        beam_gpu_batches_know(&self->batches, index, &note);
    }
    return code;
}

int beam_gpu_cluster_busy(const beam_gpu *self, int index)
{
    return self->prepared && index >= 0 && index < self->options.clusters_max
               ? self->batches.cluster[index].busy
               : 0;
}

beam_gpu_code beam_gpu_submit(beam_gpu *self, int count, const beam_gpu_request *requests,
                              int *slot, beam_gpu_error *err)
{
    int at = 0;
    beam_gpu_code code = enter(self, err);
    if (!code && !self->prepared) {
        code = beam_gpu_fail(err, BEAM_GPU_E_INVALID, "submit: prepare first");
    }
    while (!code && at < self->options.slots && self->slots[at].count > 0) {
        at++;
    }
    if (!code && at == self->options.slots) {
        code = beam_gpu_fail(err, BEAM_GPU_E_BUSY, "%d batches are in flight", at);
    }
    code = code ? code : beam_gpu_batches_check(&self->batches, count, requests, err);
#ifndef BEAM_GPU_REFINE
    for (int i = 0; !code && i < count; i++) {
        if (requests[i].refine > 0) {
            code = beam_gpu_fail(err, BEAM_GPU_E_INVALID, "requests[%d].refine: not built", i);
        }
    }
#endif
    if (code) {
        return code;
    }
    beam_gpu_slot *s = &self->slots[at];
    const beam_gpu_batch_size size =
        beam_gpu_batches_pack(&self->batches, count, self->model, requests, s->in_host);
    code = beam_gpu_slot_start(self, s, &size, err);
    *slot = code ? *slot : at;
    return code;
}

beam_gpu_code beam_gpu_collect(beam_gpu *self, int slot, int wait, beam_gpu_answer *answers,
                               beam_gpu_error *err)
{
    const beam_gpu_code code = enter(self, err);
    if (code) {
        return code;
    }
    if (slot < 0 || slot >= self->options.slots || self->slots[slot].count == 0) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "slot %d: no batch in flight", slot);
    }
    beam_gpu_slot *s = &self->slots[slot];
    if (wait) {
        BEAM_CUDA(self, err, cudaEventSynchronize(s->end));
    } else if (cudaEventQuery(s->end) == cudaErrorNotReady) {
        (void)cudaGetLastError();
        return beam_gpu_fail(err, BEAM_GPU_E_BUSY, "slot %d: not done", slot);
    }
    BEAM_CUDA(self, err, cudaEventQuery(s->end));
    BEAM_CUDA(self, err, cudaEventElapsedTime(&self->last_ms, s->begin, s->end));
    beam_gpu_batches_unpack(s->in_host, s->out_host, answers);
    beam_gpu_batches_end(&self->batches, s->in_host);
    s->count = 0;
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_info_of(const beam_gpu *self, beam_gpu_info *info, beam_gpu_error *err)
{
    int clock_khz = 0;
    std::memset(info, 0, sizeof *info);
    const cudaError_t error =
        cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, self->device);
    if (error != cudaSuccess) {
        return beam_gpu_fail(err, BEAM_GPU_E_DEVICE, "cudaDeviceGetAttribute: %s (%s)",
                             cudaGetErrorString(error), cudaGetErrorName(error));
    }
    (void)snprintf(info->device, sizeof info->device, "%s", self->properties.name);
    info->multiprocessors = self->properties.multiProcessorCount;
    info->clock_khz = clock_khz;
    info->compute_major = self->properties.major;
    info->compute_minor = self->properties.minor;
    info->shared_bytes = self->batches.fast_bytes;
    info->slow_bytes = static_cast<int>(self->batches.slow_bytes);
    info->problems_per_multiprocessor =
        self->shape[0].blocks_per_multiprocessor * self->shape[0].teams;
    info->lanes = self->shape[0].lanes;
    info->request_bytes = self->batches.largest.request.bytes;
    info->answer_bytes = self->batches.largest.answer.bytes;
    info->cluster_bytes = self->batches.largest.cluster.bytes;
    info->last_batch_ms = static_cast<double>(self->last_ms);
    return BEAM_GPU_OK;
}
