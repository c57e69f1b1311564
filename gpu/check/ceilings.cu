// Ceilings of this device and of the way to it, measured: what docs/gpu.md compares times with.
// One line of JSON. Exit status: 0, 2 a CUDA call failed, 77 no device.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <algorithm>

#include <cuda_runtime.h>

namespace
{

enum { FAILED = 2, SKIPPED = 77, REPEATS = 9, CHAINS = 8, STEPS = 4096 };
const size_t copy_bytes = size_t{1} << 30; // many times the second-level cache
const size_t link_bytes = size_t{256} << 20;

void must(cudaError_t code, const char *what)
{
    if (code != cudaSuccess) {
        std::fprintf(stderr, "beam_gpu_ceilings: %s: %s\n", what, cudaGetErrorString(code));
        std::exit(FAILED);
    }
}

// Median device time of `run`, after one that warms up.
template <typename F> double time_ms(cudaStream_t stream, F run)
{
    cudaEvent_t begin, end;
    std::vector<float> ms(REPEATS);
    must(cudaEventCreate(&begin), "event");
    must(cudaEventCreate(&end), "event");
    run();
    for (float &one : ms) {
        must(cudaEventRecord(begin, stream), "record");
        run();
        must(cudaGetLastError(), "launch");
        must(cudaEventRecord(end, stream), "record");
        must(cudaEventSynchronize(end), "synchronize");
        must(cudaEventElapsedTime(&one, begin, end), "elapsed");
    }
    std::sort(ms.begin(), ms.end());
    must(cudaEventDestroy(begin), "event");
    must(cudaEventDestroy(end), "event");
    return static_cast<double>(ms[REPEATS / 2]);
}

__global__ void fill(float4 *to, size_t count)
{
    const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
    for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
         i += step) {
        const float x = static_cast<float>(i % 65521) * 1e-5f;
        to[i] = make_float4(x, 1 - x, x * x, 0.5f * x);
    }
}

__global__ void copy(const float4 *from, float4 *to, size_t count)
{
    const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
    for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
         i += step) {
        to[i] = from[i];
    }
}

// Chains of multiply-adds that do not wait for each other.
template <typename T> __global__ void multiply_add(T *out, T a, T b)
{
    T x[CHAINS];
#pragma unroll
    for (int k = 0; k < CHAINS; k++) {
        x[k] = static_cast<T>(threadIdx.x + k) * static_cast<T>(1e-3);
    }
    for (int i = 0; i < STEPS; i++) {
#pragma unroll
        for (int k = 0; k < CHAINS; k++) {
            x[k] = x[k] * a + b;
        }
    }
    T sum = 0;
#pragma unroll
    for (int k = 0; k < CHAINS; k++) {
        sum += x[k];
    }
    out[static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x] = sum;
}

__global__ void nothing()
{
}

template <typename T> double multiply_add_flops(cudaStream_t stream, int blocks, void *out)
{
    const int threads = 256;
    const double ms = time_ms(stream, [&] {
        multiply_add<T><<<blocks, threads, 0, stream>>>(
            static_cast<T *>(out), static_cast<T>(0.999), static_cast<T>(1e-3));
    });
    return 2.0 * CHAINS * STEPS * blocks * threads / (1e-3 * ms);
}

double link_bytes_per_s(cudaStream_t stream, void *to, const void *from, cudaMemcpyKind kind)
{
    const double ms = time_ms(stream, [&] {
        must(cudaMemcpyAsync(to, from, link_bytes, kind, stream), "copy over the link");
    });
    return static_cast<double>(link_bytes) / (1e-3 * ms);
}

// Of a graph of one empty kernel, replayed: the least that a batch can take.
double graph_us(cudaStream_t stream)
{
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
    nothing<<<1, 32, 0, stream>>>();
    must(cudaStreamEndCapture(stream, &graph), "capture");
    must(cudaGraphInstantiate(&replay, graph, 0), "instantiate");
    const double ms = time_ms(stream, [&] {
        for (int i = 0; i < 100; i++) {
            must(cudaGraphLaunch(replay, stream), "graph");
        }
    });
    must(cudaGraphExecDestroy(replay), "graph");
    must(cudaGraphDestroy(graph), "graph");
    return 10 * ms;
}

} // namespace

int main(int argc, char **argv)
{
    int count = 0, driver = 0, runtime = 0, clock_khz = 0, memory_khz = 0;
    const int device = argc > 1 ? std::atoi(argv[1]) : 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count <= device) {
        std::printf("skipped: no device %d\n", device);
        return SKIPPED;
    }
    cudaDeviceProp p;
    cudaStream_t stream;
    must(cudaSetDevice(device), "device");
    must(cudaGetDeviceProperties(&p, device), "properties");
    must(cudaDriverGetVersion(&driver), "driver");
    must(cudaRuntimeGetVersion(&runtime), "runtime");
    must(cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, device), "clock");
    must(cudaDeviceGetAttribute(&memory_khz, cudaDevAttrMemoryClockRate, device), "clock");
    must(cudaStreamCreate(&stream), "stream");
    float4 *from, *to;
    void *host;
    must(cudaMalloc(&from, copy_bytes), "memory");
    must(cudaMalloc(&to, copy_bytes), "memory");
    must(cudaMallocHost(&host, link_bytes), "pinned memory");
    for (size_t i = 0; i < link_bytes; i++) {
        static_cast<unsigned char *>(host)[i] = static_cast<unsigned char>((i * 2654435761u) >> 13);
    }
    const size_t elements = copy_bytes / sizeof(float4);
    const int blocks = 16 * p.multiProcessorCount;
    fill<<<blocks, 256, 0, stream>>>(from, elements);
    const double copy_ms =
        time_ms(stream, [&] { copy<<<blocks, 256, 0, stream>>>(from, to, elements); });
    const double float32 = multiply_add_flops<float>(stream, blocks, to);
    const double float64 = multiply_add_flops<double>(stream, blocks, to);
    const double up = link_bytes_per_s(stream, to, host, cudaMemcpyHostToDevice);
    const double down = link_bytes_per_s(stream, host, from, cudaMemcpyDeviceToHost);
    std::printf("{\"stage\":\"ceilings\",\"device\":\"%s\",\"capability\":\"%d.%d\","
                "\"multiprocessors\":%d,\"memory_bytes\":%zu,\"l2_bytes\":%d,\"driver_cuda\":%d,"
                "\"runtime_cuda\":%d,\"clock_khz\":%d,\"memory_clock_khz\":%d,"
                "\"copy_bytes_per_s\":%.4g,\"float32_flops\":%.4g,\"float64_flops\":%.4g,"
                "\"to_device_bytes_per_s\":%.4g,\"from_device_bytes_per_s\":%.4g,"
                "\"graph_launch_us\":%.3f}\n",
                p.name, p.major, p.minor, p.multiProcessorCount, p.totalGlobalMem, p.l2CacheSize,
                driver, runtime, clock_khz, memory_khz,
                2.0 * static_cast<double>(copy_bytes) / (1e-3 * copy_ms), float32, float64, up,
                down, graph_us(stream));
    must(cudaFreeHost(host), "pinned memory");
    must(cudaFree(from), "memory");
    must(cudaFree(to), "memory");
    must(cudaStreamDestroy(stream), "stream");
    return 0;
}
