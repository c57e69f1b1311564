/* The resident context: buffers, one graph per bucket of batch sizes and slot, transfers. */
#include "beam/gpu.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>

#include "kernels.h"
#include "plan.h"

namespace
{

constexpr int buckets_max = 24;

/* What one batch in flight needs. */
struct slot {
    cudaStream_t stream;
    cudaEvent_t begin, end;
    unsigned char *in_host, *out_host; /* pinned */
    unsigned char *in, *out, *slow;
    cudaGraphExec_t graph[buckets_max];
    int count; /* requests in flight, 0: free */
    int model;
};

} // namespace

struct beam_gpu {
    int device;
    beam_gpu_options options;
    cudaDeviceProp properties;
    int optin;
    /* model: two sets, the one in use */
    int layers, width, model;
    float *weights;
    float *weights_host; /* pinned, one set */
    size_t weights_floats;
    /* problems */
    bool prepared;
    beam_gpu_plan plan;
    beam_gpu_launch launch;
    int max_batch, buckets;
    unsigned char *clusters, *cluster_host;
    bool *known; /* [clusters_max] set_cluster has been called */
    slot slots[BEAM_GPU_SLOTS_MAX];
    float last_ms;
};

namespace
{

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
beam_gpu_code
fail(beam_gpu_error *err, beam_gpu_code code, const char *format, ...)
{
    if (err) {
        va_list args;
        err->code = code;
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

beam_gpu_code cuda_fail(beam_gpu_error *err, const char *call, cudaError_t error)
{
    const beam_gpu_code code = error == cudaErrorMemoryAllocation ? BEAM_GPU_E_MEMORY
                               : error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver
                                   ? BEAM_GPU_E_NO_DEVICE
                                   : BEAM_GPU_E_DEVICE;
    (void)cudaGetLastError();
    return fail(err, code, "%s: %s (%s)", call, cudaGetErrorString(error), cudaGetErrorName(error));
}

/* Returns from the caller where a CUDA call fails. */
#define BEAM_CUDA(err, call)                                                                       \
    do {                                                                                           \
        const cudaError_t error_ = (call);                                                         \
        if (error_ != cudaSuccess) {                                                               \
            return cuda_fail((err), #call, error_);                                                \
        }                                                                                          \
    } while (0)

template <typename T> cudaError_t take(T **out, size_t bytes)
{
    void *memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes > 0 ? bytes : 1);
    *out = static_cast<T *>(memory);
    return error;
}
template <typename T> cudaError_t take_pinned(T **out, size_t bytes)
{
    void *memory = nullptr;
    const cudaError_t error = cudaMallocHost(&memory, bytes > 0 ? bytes : 1);
    *out = static_cast<T *>(memory);
    return error;
}

int bucket_of(int count)
{
    int bucket = 0;
    while ((1 << bucket) < count) {
        bucket++;
    }
    return bucket;
}

size_t in_bytes(const beam_gpu *g, int count)
{
    return sizeof(beam_gpu_batch_head) +
           static_cast<size_t>(count) * static_cast<size_t>(g->plan.request.bytes);
}
size_t out_bytes(const beam_gpu *g, int count)
{
    return static_cast<size_t>(count) * static_cast<size_t>(g->plan.answer.bytes);
}

void free_slot(slot *s)
{
    for (cudaGraphExec_t &graph : s->graph) {
        if (graph) {
            (void)cudaGraphExecDestroy(graph);
        }
    }
    (void)cudaFreeHost(s->in_host);
    (void)cudaFreeHost(s->out_host);
    (void)cudaFree(s->in);
    (void)cudaFree(s->out);
    (void)cudaFree(s->slow);
    if (s->begin) {
        (void)cudaEventDestroy(s->begin);
    }
    if (s->end) {
        (void)cudaEventDestroy(s->end);
    }
    if (s->stream) {
        (void)cudaStreamDestroy(s->stream);
    }
}

/* Copy in, kernel, copy out, for up to `most` requests. */
beam_gpu_code capture(beam_gpu *g, slot *s, int bucket, beam_gpu_error *err)
{
    const int most = (1 << bucket) < g->max_batch ? 1 << bucket : g->max_batch;
    beam_gpu_batch_memory memory = {};
    memory.clusters = g->clusters;
    memory.weights = g->weights;
    memory.weights_apart = g->weights_floats;
    memory.head = reinterpret_cast<const beam_gpu_batch_head *>(s->in);
    memory.requests = s->in + sizeof(beam_gpu_batch_head);
    memory.answers = s->out;
    memory.slow = s->slow;
    cudaGraph_t graph = nullptr;
    BEAM_CUDA(err, cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal));
    const cudaError_t in =
        cudaMemcpyAsync(s->in, s->in_host, in_bytes(g, most), cudaMemcpyHostToDevice, s->stream);
    const cudaError_t run = beam_gpu_launch_answers(&g->plan, &g->launch, &memory, most, s->stream);
    const cudaError_t out =
        cudaMemcpyAsync(s->out_host, s->out, out_bytes(g, most), cudaMemcpyDeviceToHost, s->stream);
    const cudaError_t end = cudaStreamEndCapture(s->stream, &graph);
    for (const cudaError_t error : {in, run, out, end}) {
        if (error != cudaSuccess) {
            if (graph) {
                (void)cudaGraphDestroy(graph);
            }
            return cuda_fail(err, "capture of a batch", error);
        }
    }
    const cudaError_t made = cudaGraphInstantiate(&s->graph[bucket], graph, 0);
    (void)cudaGraphDestroy(graph);
    BEAM_CUDA(err, made);
    BEAM_CUDA(err, cudaGraphUpload(s->graph[bucket], s->stream));
    return BEAM_GPU_OK;
}

beam_gpu_code prepare_slot(beam_gpu *g, slot *s, beam_gpu_error *err)
{
    const size_t teams =
        static_cast<size_t>(g->launch.blocks_max) * static_cast<size_t>(g->launch.teams);
    BEAM_CUDA(err, cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking));
    BEAM_CUDA(err, cudaEventCreate(&s->begin));
    BEAM_CUDA(err, cudaEventCreate(&s->end));
    BEAM_CUDA(err, take_pinned(&s->in_host, in_bytes(g, g->max_batch)));
    BEAM_CUDA(err, take_pinned(&s->out_host, out_bytes(g, g->max_batch)));
    BEAM_CUDA(err, take(&s->in, in_bytes(g, g->max_batch)));
    BEAM_CUDA(err, take(&s->out, out_bytes(g, g->max_batch)));
    BEAM_CUDA(err, take(&s->slow, teams * static_cast<size_t>(g->plan.work.slow_bytes)));
    std::memset(s->in_host, 0, in_bytes(g, g->max_batch));
    for (int bucket = 0; bucket < g->buckets; bucket++) {
        const beam_gpu_code code = capture(g, s, bucket, err);
        if (code) {
            return code;
        }
    }
    BEAM_CUDA(err, cudaStreamSynchronize(s->stream));
    return BEAM_GPU_OK;
}

/* Every kernel and copy once, with no requests: nothing is loaded later. */
beam_gpu_code warm_up(beam_gpu *g, slot *s, beam_gpu_error *err)
{
    for (int bucket = 0; bucket < g->buckets; bucket++) {
        BEAM_CUDA(err, cudaGraphLaunch(s->graph[bucket], s->stream));
    }
    BEAM_CUDA(err, cudaStreamSynchronize(s->stream));
    return BEAM_GPU_OK;
}

beam_gpu_code check_request(const beam_gpu *g, const beam_gpu_request *r, int i,
                            beam_gpu_error *err)
{
    const beam_gpu_sizes *s = &g->plan.s;
    const beam_dims *d = &r->scene->dims;
    if (d->stations != s->L || d->antennas != s->N || d->users != s->U || d->targets != s->J) {
        return fail(err, BEAM_GPU_E_LIMIT, "requests[%d].scene: other sizes than were prepared", i);
    }
    if (r->cluster < 0 || r->cluster >= g->options.clusters_max || !g->known[r->cluster]) {
        return fail(err, BEAM_GPU_E_INVALID, "requests[%d].cluster: %d was not set", i, r->cluster);
    }
    if (!(r->tradeoff >= 0 && r->tradeoff <= 1)) {
        return fail(err, BEAM_GPU_E_INVALID, "requests[%d].tradeoff: outside [0, 1]", i);
    }
    if (r->refine != 0) {
        return fail(err, BEAM_GPU_E_INVALID, "requests[%d].refine: not built", i);
    }
    if (r->layers < 0 || r->layers > g->layers || r->candidates < 0 || r->candidates > 7) {
        return fail(err, BEAM_GPU_E_INVALID, "requests[%d]: layers or candidates out of range", i);
    }
    if (r->warm && (r->warm->dims.stations != s->L || r->warm->dims.antennas != s->N ||
                    r->warm->dims.users != s->U)) {
        return fail(err, BEAM_GPU_E_LIMIT, "requests[%d].warm: other sizes than were prepared", i);
    }
    return BEAM_GPU_OK;
}

void pack(const beam_gpu *g, const beam_gpu_request *r, unsigned char *to)
{
    const int Y = g->layers, half = (Y + 1) / 2;
    const int layers = r->layers > 0 ? r->layers : r->warm ? half : Y;
    const int from = r->warm ? Y - layers : 0;
    beam_gpu_pack_request(&g->plan, r->cluster, r->scene, &r->ideal, r->tradeoff, r->warm, from,
                          from + layers, r->candidates > 0 ? r->candidates : 7, to);
}

void unpack(const beam_gpu *g, const unsigned char *from, beam_gpu_answer *to)
{
    beam_gpu_answer_head head;
    std::memcpy(&head, from, sizeof head);
    to->choice = static_cast<beam_gpu_choice>(head.chosen);
    to->wsr_worst_case_bps_hz = head.wsr_bps_hz;
    to->shortfall_bps_hz = head.shortfall_bps_hz;
    to->crlb_m2 = head.crlb_m2;
    to->merit = head.merit;
    to->network_merit = head.candidate_merit[BEAM_GPU_NETWORK];
    to->warm_merit = head.candidate_merit[BEAM_GPU_WARM];
    to->classical_merit = head.candidate_merit[BEAM_GPU_CLASSICAL];
    to->classical_share = head.share;
    to->search_merit = head.search_merit;
    to->refined = to->evaluations = 0;
    if (to->out && head.chosen >= 0) {
        beam_gpu_unpack_design(&g->plan, from, to->out);
    }
}

} // namespace

int beam_gpu_devices(beam_gpu_error *err)
{
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        (void)fail(err, BEAM_GPU_E_NO_DEVICE, "no CUDA device: %s", cudaGetErrorString(error));
        (void)cudaGetLastError();
        return 0;
    }
    if (count == 0) {
        (void)fail(err, BEAM_GPU_E_NO_DEVICE, "no CUDA device");
    }
    return count;
}

namespace
{

beam_gpu_code open_device(beam_gpu *g, beam_gpu_error *err)
{
    const unsigned wait = g->options.spin ? cudaDeviceScheduleSpin : cudaDeviceScheduleBlockingSync;
    BEAM_CUDA(err, cudaInitDevice(g->device, wait, cudaInitDeviceFlagsAreValid));
    BEAM_CUDA(err, cudaSetDevice(g->device));
    BEAM_CUDA(err, cudaGetDeviceProperties(&g->properties, g->device));
    BEAM_CUDA(
        err, cudaDeviceGetAttribute(&g->optin, cudaDevAttrMaxSharedMemoryPerBlockOptin, g->device));
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
    if (device < 0 || device >= count || options->clusters_max < 1 || options->slots < 1 ||
        options->slots > BEAM_GPU_SLOTS_MAX || options->clusters_max > BEAM_GPU_CLUSTERS_MAX) {
        return fail(err, BEAM_GPU_E_INVALID, "device %d of %d, %d clusters, %d slots", device,
                    count, options->clusters_max, options->slots);
    }
    beam_gpu *g = new (std::nothrow) beam_gpu();
    if (!g) {
        return fail(err, BEAM_GPU_E_MEMORY, "no host memory");
    }
    g->device = device;
    g->options = *options;
    g->known = new (std::nothrow) bool[static_cast<size_t>(options->clusters_max)]();
    const beam_gpu_code code =
        g->known ? open_device(g, err) : fail(err, BEAM_GPU_E_MEMORY, "no host memory");
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
    for (slot &s : self->slots) {
        if (s.stream) {
            (void)cudaStreamSynchronize(s.stream);
        }
        free_slot(&s);
    }
    (void)cudaFree(self->weights);
    (void)cudaFreeHost(self->weights_host);
    (void)cudaFree(self->clusters);
    (void)cudaFreeHost(self->cluster_host);
    delete[] self->known;
    delete self;
}

beam_gpu_code beam_gpu_load_model(beam_gpu *self, int layers, int width, const float *theta,
                                  beam_gpu_error *err)
{
    beam_gpu_plan plan;
    beam_error inner = {};
    const beam_dims one = {1, 1, 0, 1};
    if (layers < 1 || width < 1 ||
        (self->weights && (layers != self->layers || width != self->width))) {
        return fail(err, BEAM_GPU_E_INVALID, "model: %d layers of width %d; %d of %d are loaded",
                    layers, width, self->layers, self->width);
    }
    if (beam_gpu_plan_make(&plan, &one, 0, layers, width, 0, &inner)) {
        return fail(err, BEAM_GPU_E_LIMIT, "model: %s", inner.text);
    }
    if (!self->weights) {
        self->layers = layers;
        self->width = width;
        self->weights_floats = static_cast<size_t>(plan.layer.count) * static_cast<size_t>(layers);
        BEAM_CUDA(err, take(&self->weights, 2 * self->weights_floats * sizeof(float)));
        BEAM_CUDA(err, take_pinned(&self->weights_host, self->weights_floats * sizeof(float)));
    }
    const int next = 1 - self->model;
    for (slot &s : self->slots) { /* batches of the model before the last one */
        if (s.count > 0 && s.model == next) {
            BEAM_CUDA(err, cudaStreamSynchronize(s.stream));
        }
    }
    beam_gpu_pack_weights(&plan, theta, self->weights_host);
    BEAM_CUDA(err, cudaMemcpy(self->weights + static_cast<size_t>(next) * self->weights_floats,
                              self->weights_host, self->weights_floats * sizeof(float),
                              cudaMemcpyHostToDevice));
    self->model = next;
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_load_mlp(beam_gpu *self, const beam_model_info *info, const float *theta,
                                beam_gpu_error *err)
{
    (void)self;
    (void)info;
    (void)theta;
    return fail(err, BEAM_GPU_E_INVALID, "this library was built without mlp models");
}

beam_gpu_code beam_gpu_prepare(beam_gpu *self, const beam_dims *dims, int users_per_station,
                               int max_batch, beam_gpu_error *err)
{
    beam_error inner = {};
    if (self->prepared || !self->weights || max_batch < 1 || max_batch > 1 << (buckets_max - 1)) {
        return fail(err, BEAM_GPU_E_INVALID, "prepare: once, after load_model, for 1..%d requests",
                    1 << (buckets_max - 1));
    }
    if (beam_gpu_plan_make(&self->plan, dims, users_per_station, self->layers, self->width,
                           beam_gpu_fast_limit(self->optin), &inner)) {
        return fail(err, BEAM_GPU_E_LIMIT, "%s: %s", inner.field, inner.text);
    }
    BEAM_CUDA(err, beam_gpu_launch_plan(&self->plan, self->device, &self->launch));
    const size_t cluster = static_cast<size_t>(self->plan.cluster.bytes),
                 clusters = cluster * static_cast<size_t>(self->options.clusters_max);
    BEAM_CUDA(err, take(&self->clusters, clusters));
    BEAM_CUDA(err, cudaMemset(self->clusters, 0, clusters));
    BEAM_CUDA(err, take_pinned(&self->cluster_host, cluster));
    self->max_batch = max_batch;
    self->buckets = bucket_of(max_batch) + 1;
    for (int i = 0; i < self->options.slots; i++) {
        beam_gpu_code code = prepare_slot(self, &self->slots[i], err);
        code = code ? code : warm_up(self, &self->slots[i], err);
        if (code) {
            return code;
        }
    }
    self->prepared = true;
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_set_cluster(beam_gpu *self, int index, const beam_scene *scene,
                                   const beam_design *sensing, beam_gpu_error *err)
{
    beam_error inner = {};
    if (!self->prepared || index < 0 || index >= self->options.clusters_max) {
        return fail(err, BEAM_GPU_E_INVALID, "cluster %d of %d, or not prepared", index,
                    self->options.clusters_max);
    }
    if (beam_gpu_pack_cluster(&self->plan, scene, sensing, self->cluster_host, &inner)) {
        return fail(err, BEAM_GPU_E_INVALID, "%s: %s", inner.field, inner.text);
    }
    if (beam_gpu_cluster_busy(self, index) > 0) {
        return fail(err, BEAM_GPU_E_BUSY, "cluster %d: a batch in flight uses it", index);
    }
    const size_t bytes = static_cast<size_t>(self->plan.cluster.bytes);
    BEAM_CUDA(err, cudaMemcpy(self->clusters + static_cast<size_t>(index) * bytes,
                              self->cluster_host, bytes, cudaMemcpyHostToDevice));
    self->known[index] = true;
    return BEAM_GPU_OK;
}

int beam_gpu_cluster_busy(const beam_gpu *self, int index)
{
    int busy = 0;
    for (const slot &s : self->slots) {
        busy += s.count > 0 && index >= 0 && index < self->options.clusters_max;
    }
    return busy;
}

beam_gpu_code beam_gpu_submit(beam_gpu *self, int count, const beam_gpu_request *requests,
                              int *slot_out, beam_gpu_error *err)
{
    if (!self->prepared || count < 1 || count > self->max_batch) {
        return fail(err, BEAM_GPU_E_LIMIT, "%d requests; prepared for 1..%d", count,
                    self->max_batch);
    }
    int at = 0;
    while (at < self->options.slots && self->slots[at].count > 0) {
        at++;
    }
    if (at == self->options.slots) {
        return fail(err, BEAM_GPU_E_BUSY, "%d batches are in flight", self->options.slots);
    }
    for (int i = 0; i < count; i++) {
        const beam_gpu_code code = check_request(self, &requests[i], i, err);
        if (code) {
            return code;
        }
    }
    slot *s = &self->slots[at];
    beam_gpu_batch_head head = {};
    head.count = count;
    head.model = self->model;
    std::memcpy(s->in_host, &head, sizeof head);
    for (int i = 0; i < count; i++) {
        pack(self, &requests[i], s->in_host + in_bytes(self, i));
    }
    BEAM_CUDA(err, cudaEventRecord(s->begin, s->stream));
    BEAM_CUDA(err, cudaGraphLaunch(s->graph[bucket_of(count)], s->stream));
    BEAM_CUDA(err, cudaEventRecord(s->end, s->stream));
    s->count = count;
    s->model = self->model;
    *slot_out = at;
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_collect(beam_gpu *self, int at, int wait, beam_gpu_answer *answers,
                               beam_gpu_error *err)
{
    if (at < 0 || at >= self->options.slots || self->slots[at].count == 0) {
        return fail(err, BEAM_GPU_E_INVALID, "slot %d: no batch in flight", at);
    }
    slot *s = &self->slots[at];
    const cudaError_t state = wait ? cudaEventSynchronize(s->end) : cudaEventQuery(s->end);
    if (state == cudaErrorNotReady) {
        (void)cudaGetLastError();
        return fail(err, BEAM_GPU_E_BUSY, "slot %d: not done", at);
    }
    BEAM_CUDA(err, state);
    BEAM_CUDA(err, cudaEventElapsedTime(&self->last_ms, s->begin, s->end));
    for (int i = 0; i < s->count; i++) {
        unpack(self, s->out_host + out_bytes(self, i), &answers[i]);
    }
    s->count = 0;
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_info_of(const beam_gpu *self, beam_gpu_info *info, beam_gpu_error *err)
{
    int clock_khz = 0;
    std::memset(info, 0, sizeof *info);
    BEAM_CUDA(err, cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, self->device));
    (void)snprintf(info->device, sizeof info->device, "%s", self->properties.name);
    info->multiprocessors = self->properties.multiProcessorCount;
    info->clock_khz = clock_khz;
    info->compute_major = self->properties.major;
    info->compute_minor = self->properties.minor;
    info->shared_bytes = self->plan.work.fast_bytes;
    info->slow_bytes = self->plan.work.slow_bytes;
    info->problems_per_multiprocessor = self->launch.blocks_per_multiprocessor * self->launch.teams;
    info->lanes = self->launch.lanes;
    info->request_bytes = self->plan.request.bytes;
    info->answer_bytes = self->plan.answer.bytes;
    info->cluster_bytes = self->plan.cluster.bytes;
    info->last_batch_ms = static_cast<double>(self->last_ms);
    return BEAM_GPU_OK;
}
