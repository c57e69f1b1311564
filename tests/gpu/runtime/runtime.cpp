#include "cuda_runtime.h"
#include "runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <vector>

struct test_event {
    long recorded, done; /* times */
};

/* What a stream does next: waits until an event was done so often, or works. */
struct test_work {
    test_event *event;
    long until;
    std::function<void()> work;
};

struct test_node {
    cudaGraphNodeType type;
    unsigned char *to;
    const unsigned char *from;
    size_t bytes;
    cudaMemcpyKind kind;
    std::function<void()> work;
};

struct test_graph {
    std::vector<std::unique_ptr<test_node>> nodes;
};
struct test_graph_exec {
    std::vector<std::pair<const test_node *, test_node>> nodes;
};
struct test_stream {
    std::deque<test_work> queue;
    test_graph *captured;
};

test_runtime_state test_runtime;

namespace
{

struct block {
    size_t bytes;
    bool pinned;
};

std::map<unsigned char *, block> blocks;
std::vector<test_stream *> streams;
size_t taken;
unsigned random_state;
bool lost;

int random_below(size_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return static_cast<int>((random_state >> 8) % n);
}

cudaError_t misuse(const char *what)
{
    if (!test_runtime.misuse[0]) {
        (void)std::snprintf(test_runtime.misuse, sizeof test_runtime.misuse, "%s", what);
    }
    return cudaErrorInvalidValue;
}

cudaError_t state()
{
    return lost ? cudaErrorIllegalAddress : cudaSuccess;
}

bool inside(const void *at, size_t bytes, bool pinned)
{
    unsigned char *first = const_cast<unsigned char *>(static_cast<const unsigned char *>(at));
    auto after = blocks.upper_bound(first);
    if (after == blocks.begin()) {
        return false;
    }
    const auto &found = *--after;
    return found.second.pinned == pinned && first + bytes <= found.first + found.second.bytes;
}

bool can_copy(const void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    const bool down = kind == cudaMemcpyHostToDevice;
    return inside(to, bytes, !down) && inside(from, bytes, down);
}

/* Is there something that the stream can do now? */
bool ready(const test_stream *s)
{
    if (s->queue.empty()) {
        return false;
    }
    const test_work &w = s->queue.front();
    return !w.event || w.event->done >= w.until;
}

cudaError_t push(test_stream *s, std::function<void()> work)
{
    s->queue.push_back({nullptr, 0, std::move(work)});
    return cudaSuccess;
}

template <typename T> T *made(T *object)
{
    test_runtime.allocations++;
    test_runtime.objects++;
    return object;
}
template <typename T> cudaError_t gone(T *object)
{
    test_runtime.objects--;
    delete object;
    return state();
}

cudaError_t take(void **out, size_t bytes, bool pinned)
{
    *out = nullptr;
    test_runtime.allocations++;
    if (lost) {
        return state();
    }
    if (taken + bytes > test_runtime.memory_bytes) {
        return cudaErrorMemoryAllocation;
    }
    unsigned char *memory = static_cast<unsigned char *>(std::malloc(bytes));
    std::memset(memory, 0xff, bytes);
    blocks[memory] = {bytes, pinned};
    taken += bytes;
    test_runtime.objects++;
    *out = memory;
    return cudaSuccess;
}

cudaError_t give_back(void *at, bool pinned)
{
    if (!at) {
        return state();
    }
    const auto found = blocks.find(static_cast<unsigned char *>(at));
    if (found == blocks.end() || found->second.pinned != pinned) {
        return misuse("memory freed that is none, or of another kind");
    }
    for (const test_stream *s : streams) {
        if (!s->queue.empty() && !lost && !test_runtime.stuck) {
            return misuse("memory freed while streams work");
        }
    }
    taken -= found->second.bytes;
    std::free(found->first);
    blocks.erase(found);
    test_runtime.objects--;
    return state();
}

/* Works until `done`, other streams too, in any order. */
template <typename Done> cudaError_t work_until(Done done)
{
    while (!done()) {
        if (lost) {
            return state();
        }
        if (!test_runtime_step() && !lost) {
            return misuse("waits for what never comes");
        }
    }
    return state();
}

} // namespace

void test_runtime_reset(unsigned seed)
{
    test_runtime = {};
    test_runtime.devices = 1;
    test_runtime.memory_bytes = static_cast<size_t>(1) << 32;
    test_runtime.shared_bytes = 232448;
    test_runtime.lost_after = -1;
    test_runtime.mlp_set = -1;
    random_state = seed;
    lost = false;
}

bool test_runtime_step(void)
{
    std::vector<test_stream *> able;
    for (test_stream *s : streams) {
        if (ready(s)) {
            able.push_back(s);
        }
    }
    if (able.empty() || lost || test_runtime.stuck) {
        return false;
    }
    test_stream *s = able[static_cast<size_t>(random_below(able.size()))];
    const test_work now = std::move(s->queue.front());
    s->queue.pop_front();
    if (now.event) {
        return true;
    }
    if (test_runtime.lost_after == 0) {
        lost = true;
        return false;
    }
    test_runtime.lost_after -= test_runtime.lost_after > 0;
    now.work();
    return true;
}

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaErrorIllegalAddress ? "an illegal memory access was encountered"
           : error == cudaErrorNoDevice     ? "no CUDA-capable device is detected"
                                            : "another error";
}
const char *cudaGetErrorName(cudaError_t error)
{
    return error == cudaErrorIllegalAddress ? "cudaErrorIllegalAddress" : "another";
}
cudaError_t cudaGetLastError()
{
    return state();
}
cudaError_t cudaGetDeviceCount(int *count)
{
    *count = test_runtime.devices;
    return test_runtime.devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaInitDevice(int, unsigned, unsigned)
{
    return state();
}
cudaError_t cudaSetDevice(int)
{
    return state();
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    *properties = {"emulated", 3, 9, 0};
    return state();
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int)
{
    *value = attribute == cudaDevAttrClockRate ? 1000 : test_runtime.shared_bytes;
    return state();
}

/* --- Memory ------------------------------------------------------------------------------------
 */

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    return take(out, bytes, false);
}
cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return take(out, bytes, true);
}
cudaError_t cudaFree(void *at)
{
    return give_back(at, false);
}
cudaError_t cudaFreeHost(void *at)
{
    return give_back(at, true);
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    if (!can_copy(to, from, bytes, kind)) {
        return misuse("a copy outside its memory");
    }
    std::memcpy(to, from, bytes);
    return state();
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    if (!can_copy(to, from, bytes, kind)) {
        return misuse("a copy outside its memory");
    }
    if (stream->captured) {
        stream->captured->nodes.emplace_back(
            new test_node{cudaGraphNodeTypeMemcpy, static_cast<unsigned char *>(to),
                          static_cast<const unsigned char *>(from), bytes, kind, nullptr});
        return state();
    }
    push(stream, [=] { std::memcpy(to, from, bytes); });
    return state();
}
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    if (!inside(to, bytes, false)) {
        return misuse("memory set that is not the device's");
    }
    push(stream, [=] { std::memset(to, value, bytes); });
    return state();
}

/* --- Streams and events ------------------------------------------------------------------------
 */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned)
{
    *out = made(new test_stream());
    streams.push_back(*out);
    return state();
}
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    for (size_t i = 0; i < streams.size(); i++) {
        if (streams[i] == stream) {
            streams.erase(streams.begin() + static_cast<long>(i));
            break;
        }
    }
    return gone(stream);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return work_until([=] { return stream->queue.empty(); });
}
cudaError_t cudaDeviceSynchronize()
{
    return work_until([] {
        for (const test_stream *s : streams) {
            if (!s->queue.empty()) {
                return false;
            }
        }
        return true;
    });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    stream->queue.push_back({event, event->recorded, nullptr});
    return state();
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *arg)
{
    push(stream, [=] { function(arg); });
    return state();
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    *out = made(new test_event());
    return state();
}
cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}
cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    return gone(event);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    const long time = ++event->recorded;
    push(stream, [=] { event->done = time; });
    return state();
}
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    const cudaError_t error = state();
    return error != cudaSuccess             ? error
           : event->done == event->recorded ? cudaSuccess
                                            : cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return work_until([=] { return event->done == event->recorded; });
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end)
{
    *ms = 1;
    if (begin->done != begin->recorded || end->done != end->recorded) {
        return misuse("time of an event that is not done");
    }
    return state();
}

/* --- Graphs ------------------------------------------------------------------------------------
 */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    stream->captured = made(new test_graph());
    return state();
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    *graph = stream->captured;
    stream->captured = nullptr;
    return state();
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    *out = made(new test_graph_exec());
    for (const auto &node : graph->nodes) {
        (*out)->nodes.emplace_back(node.get(), *node);
    }
    return state();
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t)
{
    return state();
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream)
{
    for (const auto &item : graph->nodes) { /* as the nodes are now */
        const test_node node = item.second;
        if (node.type == cudaGraphNodeTypeKernel) {
            push(stream, node.work);
            continue;
        }
        push(stream, [=] {
            std::memcpy(node.to, node.from, node.bytes);
            test_runtime.copied_bytes += node.kind == cudaMemcpyHostToDevice ? node.bytes : 0;
        });
    }
    return state();
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    return gone(graph);
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    return gone(graph);
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    for (size_t i = 0; nodes && i < *count; i++) {
        nodes[i] = graph->nodes.at(i).get();
    }
    *count = graph->nodes.size();
    return state();
}
cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType *type)
{
    *type = node->type;
    return state();
}
cudaError_t cudaGraphMemcpyNodeGetParams(cudaGraphNode_t node, cudaMemcpy3DParms *parameters)
{
    parameters->dstPtr.ptr = node->to;
    parameters->srcPtr.ptr = const_cast<unsigned char *>(node->from);
    return state();
}
cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t graph, cudaGraphNode_t node,
                                               void *to, const void *from, size_t bytes,
                                               cudaMemcpyKind kind)
{
    if (!can_copy(to, from, bytes, kind)) {
        return misuse("a graph's copy outside its memory");
    }
    for (auto &item : graph->nodes) {
        if (item.first == node && node->type == cudaGraphNodeTypeMemcpy && node->kind == kind) {
            item.second.to = static_cast<unsigned char *>(to);
            item.second.from = static_cast<const unsigned char *>(from);
            item.second.bytes = bytes;
            test_runtime.copies_changed++;
            return state();
        }
    }
    return misuse("a copy that is not of the graph");
}

cudaError_t test_runtime_kernel(cudaStream_t stream, std::function<void()> work)
{
    if (!stream->captured) {
        return misuse("a kernel outside a graph");
    }
    stream->captured->nodes.emplace_back(new test_node{cudaGraphNodeTypeKernel, nullptr, nullptr, 0,
                                                       cudaMemcpyHostToDevice, std::move(work)});
    return state();
}
