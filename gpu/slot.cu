/* Slots, their graphs (one per bucket of batch sizes and kind of work), and uploads of clusters. */
#include <cstring>
#include <new>
#include <unistd.h>

#include "context.h"

namespace
{

constexpr size_t copy_steps = 8, copy_step_least = 4096, upload_bytes_most = 8 << 20;

/* Which of a slot's graphs: with or without refinement, and of an mlp with which set of weights
 * (the layers of the equivariant network find theirs through the head). */
int variant_of(const beam_gpu *g, bool refine, int model)
{
    return (refine ? 1 : 0) + (g->mlp ? 2 * model : 0);
}
int variants_of(const beam_gpu *g)
{
    return g->mlp ? 4 : 2;
}

int bucket_of(int count)
{
    int bucket = 0;
    while ((1 << bucket) < count) {
        bucket++;
    }
    return bucket;
}

int most_of(const beam_gpu *g, int bucket)
{
    return (1 << bucket) < g->batches.max_batch ? 1 << bucket : g->batches.max_batch;
}

/* Bytes to copy where `used` of at most `most` are: few different numbers. */
size_t copied(size_t used, size_t most)
{
    const size_t share = (most + copy_steps - 1) / copy_steps,
                 step = share > copy_step_least ? share : copy_step_least,
                 bytes = (used + step - 1) / step * step;
    return bytes < most ? bytes : most;
}

/* The smallest shape that is enough. */
int shape_of(const beam_gpu *g, int fast_bytes)
{
    int shape = g->shapes - 1;
    while (shape > 0 && g->shape[shape].fast_bytes < fast_bytes) {
        shape--;
    }
    return shape;
}

/* Refinement needs slow memory, which there is for the teams of the first shape. */
cudaError_t launch_kernels(beam_gpu *g, int index, int shape, int variant, int most)
{
    beam_gpu_slot *s = &g->slots[index];
    cudaError_t error = cudaSuccess;
#ifdef BEAM_GPU_MLP
    if (g->mlp) {
        error = beam_gpu_launch_mlp(g->mlp, index, variant / 2, &g->shape[0], &s->memory, most,
                                    s->stream);
    }
#endif
    if (error == cudaSuccess) {
        error = beam_gpu_launch_answers(&g->shape[shape], &s->memory, most, s->stream);
    }
#ifdef BEAM_GPU_REFINE
    if (error == cudaSuccess && variant % 2 == 1) {
        error = beam_gpu_launch_refine(&g->shape[0], &s->memory, most, s->stream);
    }
#endif
    (void)variant;
    return error;
}

/* The two copies of a captured batch, by the memory they are for. */
cudaError_t find_copies(const beam_gpu_slot *s, beam_gpu_graph *graph)
{
    size_t count = 0;
    cudaError_t error = cudaGraphGetNodes(graph->graph, nullptr, &count);
    cudaGraphNode_t *nodes = new (std::nothrow) cudaGraphNode_t[count];
    if (error == cudaSuccess) {
        error = nodes ? cudaGraphGetNodes(graph->graph, nodes, &count) : cudaErrorMemoryAllocation;
    }
    for (size_t i = 0; error == cudaSuccess && i < count; i++) {
        cudaGraphNodeType type;
        cudaMemcpy3DParms p = {};
        error = cudaGraphNodeGetType(nodes[i], &type);
        if (error != cudaSuccess || type != cudaGraphNodeTypeMemcpy) {
            continue;
        }
        error = cudaGraphMemcpyNodeGetParams(nodes[i], &p);
        graph->copy_in = p.srcPtr.ptr == s->in_host ? nodes[i] : graph->copy_in;
        graph->copy_out = p.dstPtr.ptr == s->out_host ? nodes[i] : graph->copy_out;
    }
    delete[] nodes;
    if (error == cudaSuccess && (!graph->copy_in || !graph->copy_out)) {
        error = cudaErrorInvalidValue;
    }
    return error;
}

beam_gpu_code capture(beam_gpu *g, int index, int shape, int variant, int bucket,
                      beam_gpu_error *err)
{
    beam_gpu_slot *s = &g->slots[index];
    beam_gpu_graph *graph = &s->graph[shape][variant][bucket];
    const int most = most_of(g, bucket);
    graph->in_bytes = beam_gpu_batches_in_bytes(&g->batches, most);
    graph->out_bytes = beam_gpu_batches_out_bytes(&g->batches, most);
    BEAM_CUDA(g, err, cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal));
    const cudaError_t in =
        cudaMemcpyAsync(s->in, s->in_host, graph->in_bytes, cudaMemcpyHostToDevice, s->stream);
    const cudaError_t run = launch_kernels(g, index, shape, variant, most);
    const cudaError_t out =
        cudaMemcpyAsync(s->out_host, s->out, graph->out_bytes, cudaMemcpyDeviceToHost, s->stream);
    const cudaError_t end = cudaStreamEndCapture(s->stream, &graph->graph);
    for (const cudaError_t error : {in, run, out, end}) {
        if (error != cudaSuccess) {
            return beam_gpu_cuda_fail(g, err, "capture of a batch", error);
        }
    }
    BEAM_CUDA(g, err, find_copies(s, graph));
    BEAM_CUDA(g, err, cudaGraphInstantiate(&graph->run, graph->graph, 0));
    BEAM_CUDA(g, err, cudaGraphUpload(graph->run, s->stream));
    return BEAM_GPU_OK;
}

beam_gpu_code allocate(beam_gpu *g, int index, beam_gpu_error *err)
{
    beam_gpu_slot *s = &g->slots[index];
    const beam_gpu_batches *b = &g->batches;
    const size_t in = beam_gpu_batches_in_bytes(b, b->max_batch),
                 out = beam_gpu_batches_out_bytes(b, b->max_batch),
                 teams = static_cast<size_t>(g->shape[0].blocks_max) *
                         static_cast<size_t>(g->shape[0].teams);
    const unsigned flags = g->options.spin ? cudaEventDefault : cudaEventBlockingSync;
    BEAM_CUDA(g, err, cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking));
    BEAM_CUDA(g, err, cudaEventCreate(&s->begin));
    BEAM_CUDA(g, err, cudaEventCreateWithFlags(&s->end, flags));
    BEAM_CUDA(g, err, beam_gpu_take_pinned(&s->in_host, in));
    BEAM_CUDA(g, err, beam_gpu_take_pinned(&s->out_host, out));
    BEAM_CUDA(g, err, beam_gpu_take(&s->in, in));
    BEAM_CUDA(g, err, beam_gpu_take(&s->out, out));
    BEAM_CUDA(g, err, beam_gpu_take(&s->slow, teams * b->slow_bytes));
    /* copies are rounded up: what is copied has values */
    BEAM_CUDA(g, err, cudaMemsetAsync(s->out, 0, out, s->stream));
    std::memset(s->in_host, 0, in);
    s->memory.clusters = g->clusters;
    s->memory.cluster_apart = b->cluster_bytes;
    s->memory.weights = g->weights;
    s->memory.weights_apart = g->weights_floats;
    s->memory.in = s->in;
    s->memory.out = s->out;
    s->memory.slow = s->slow;
    s->memory.slow_apart = b->slow_bytes;
#ifdef BEAM_GPU_MLP
    if (g->mlp) {
        s->memory.network_beams = beam_gpu_mlp_beams(g->mlp, index, &s->memory.network_apart);
    }
#endif
    return BEAM_GPU_OK;
}

/* The copies of a graph take so many bytes from now on. */
cudaError_t fit_copies(const beam_gpu_slot *s, beam_gpu_graph *graph, size_t in, size_t out)
{
    cudaError_t error = cudaSuccess;
    if (in != graph->in_bytes) {
        error = cudaGraphExecMemcpyNodeSetParams1D(graph->run, graph->copy_in, s->in, s->in_host,
                                                   in, cudaMemcpyHostToDevice);
        graph->in_bytes = in;
    }
    if (error == cudaSuccess && out != graph->out_bytes) {
        error = cudaGraphExecMemcpyNodeSetParams1D(graph->run, graph->copy_out, s->out_host, s->out,
                                                   out, cudaMemcpyDeviceToHost);
        graph->out_bytes = out;
    }
    return error;
}

/* A thread of the driver, which may not call CUDA. A full or closed descriptor is the caller's. */
void CUDART_CB say_done(void *fd)
{
    const unsigned long long one = 1;
    const ssize_t written =
        write(static_cast<int>(reinterpret_cast<intptr_t>(fd)), &one, sizeof one);
    (void)written;
}

/* The stream's next work sees all clusters that were set. */
cudaError_t wait_for_uploads(beam_gpu *g, beam_gpu_slot *s)
{
    beam_gpu_uploads *u = &g->uploads;
    cudaError_t error = cudaSuccess;
    if (u->marked != u->made) {
        error = cudaEventRecord(u->made_done, u->stream);
        u->marked = u->made;
    }
    if (error == cudaSuccess && s->clusters_seen != u->made) {
        error = cudaStreamWaitEvent(s->stream, u->made_done, 0);
        s->clusters_seen = u->made;
    }
    return error;
}

} // namespace

/* Every graph is run once, with no requests: nothing is loaded later. */
beam_gpu_code beam_gpu_slot_prepare(beam_gpu *g, int index, beam_gpu_error *err)
{
    beam_gpu_slot *s = &g->slots[index];
    beam_gpu_code code = allocate(g, index, err);
    for (int shape = 0; shape < g->shapes; shape++) {
        for (int variant = 0; variant < variants_of(g); variant++) {
            for (int bucket = 0; !code && bucket < g->buckets; bucket++) {
                code = capture(g, index, shape, variant, bucket, err);
                if (!code) {
                    BEAM_CUDA(g, err,
                              cudaGraphLaunch(s->graph[shape][variant][bucket].run, s->stream));
                }
            }
        }
    }
    if (!code) {
        BEAM_CUDA(g, err, cudaStreamSynchronize(s->stream));
    }
    return code;
}

beam_gpu_code beam_gpu_slot_start(beam_gpu *g, beam_gpu_slot *s, const beam_gpu_batch_size *size,
                                  beam_gpu_error *err)
{
    const int bucket = bucket_of(size->count), most = most_of(g, bucket);
    const int shape = shape_of(g, size->fast_bytes),
              variant = variant_of(g, size->refine > 0, g->model);
    beam_gpu_graph *graph = &s->graph[shape][variant][bucket];
    const size_t in = copied(size->in_bytes, beam_gpu_batches_in_bytes(&g->batches, most)),
                 out = copied(size->out_bytes, beam_gpu_batches_out_bytes(&g->batches, most));
    BEAM_CUDA(g, err, fit_copies(s, graph, in, out));
    BEAM_CUDA(g, err, wait_for_uploads(g, s));
    BEAM_CUDA(g, err, cudaEventRecord(s->begin, s->stream));
    BEAM_CUDA(g, err, cudaGraphLaunch(graph->run, s->stream));
    BEAM_CUDA(g, err, cudaEventRecord(s->end, s->stream));
    if (g->options.done_fd > 0) { /* after the event, so that who wakes finds it done */
        void *fd = reinterpret_cast<void *>(static_cast<intptr_t>(g->options.done_fd));
        BEAM_CUDA(g, err, cudaLaunchHostFunc(s->stream, say_done, fd));
    }
    s->count = size->count;
    s->model = g->model;
    return BEAM_GPU_OK;
}

static void free_graph(beam_gpu_graph *graph)
{
    if (graph->run) {
        (void)cudaGraphExecDestroy(graph->run);
    }
    if (graph->graph) {
        (void)cudaGraphDestroy(graph->graph);
    }
}

void beam_gpu_slot_free(beam_gpu_slot *s)
{
    for (auto &shape : s->graph) {
        for (auto &variant : shape) {
            for (beam_gpu_graph &graph : variant) {
                free_graph(&graph);
            }
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
    *s = {};
}

/* --- Uploads of clusters -----------------------------------------------------------------------
 */

beam_gpu_code beam_gpu_uploads_prepare(beam_gpu *g, beam_gpu_error *err)
{
    beam_gpu_uploads *u = &g->uploads;
    const size_t cell = g->batches.cluster_bytes,
                 cells = upload_bytes_most / cell < static_cast<size_t>(g->options.clusters_max)
                             ? upload_bytes_most / cell
                             : static_cast<size_t>(g->options.clusters_max);
    u->half = cells > 2 ? static_cast<int>(cells / 2) : 1;
    BEAM_CUDA(g, err, cudaStreamCreateWithFlags(&u->stream, cudaStreamNonBlocking));
    for (cudaEvent_t *event : {&u->half_done[0], &u->half_done[1], &u->made_done}) {
        BEAM_CUDA(g, err,
                  cudaEventCreateWithFlags(event, cudaEventDisableTiming | cudaEventBlockingSync));
        BEAM_CUDA(g, err, cudaEventRecord(*event, u->stream));
    }
    BEAM_CUDA(g, err, beam_gpu_take_pinned(&u->cells, 2 * cell * static_cast<size_t>(u->half)));
    BEAM_CUDA(g, err, cudaStreamSynchronize(u->stream));
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_uploads_cell(beam_gpu *g, unsigned char **cell, beam_gpu_error *err)
{
    beam_gpu_uploads *u = &g->uploads;
    if (u->next % u->half == 0) { /* its copies of the turn before */
        BEAM_CUDA(g, err, cudaEventSynchronize(u->half_done[u->next / u->half]));
    }
    *cell = u->cells + static_cast<size_t>(u->next) * g->batches.cluster_bytes;
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_uploads_start(beam_gpu *g, int cluster, size_t bytes, beam_gpu_error *err)
{
    beam_gpu_uploads *u = &g->uploads;
    const size_t apart = g->batches.cluster_bytes;
    BEAM_CUDA(g, err,
              cudaMemcpyAsync(g->clusters + static_cast<size_t>(cluster) * apart,
                              u->cells + static_cast<size_t>(u->next) * apart, bytes,
                              cudaMemcpyHostToDevice, u->stream));
    u->made++;
    u->next = (u->next + 1) % (2 * u->half);
    if (u->next % u->half == 0) {
        BEAM_CUDA(g, err, cudaEventRecord(u->half_done[u->next == 0 ? 1 : 0], u->stream));
    }
    return BEAM_GPU_OK;
}

void beam_gpu_uploads_free(beam_gpu_uploads *u)
{
    for (cudaEvent_t event : {u->half_done[0], u->half_done[1], u->made_done}) {
        if (event) {
            (void)cudaEventDestroy(event);
        }
    }
    if (u->stream) {
        (void)cudaStreamDestroy(u->stream);
    }
    (void)cudaFreeHost(u->cells);
    *u = {};
}
