/* As much of CUDA's runtime as gpu/mlp.cu uses, on the host and at once: kernels run thread after
 * thread, which is right where teams have one lane (BEAM_TEAM_LANES 1) and blocks' teams share
 * nothing. Fresh memory is poisoned, so that what is read before it is written shows. C++. */
#ifndef TEST_GPU_CUDA_RUNTIME_H
#define TEST_GPU_CUDA_RUNTIME_H

#include <cstddef>
#include <cstdlib>
#include <cstring>

#define __global__ static
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(threads)
#define __grid_constant__

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorUnknown = 999
} cudaError_t;
typedef struct test_cuda_stream *cudaStream_t;
typedef struct cudaFuncAttributes {
    int unused;
} cudaFuncAttributes;
enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
enum { cudaStreamNonBlocking = 1 };

struct test_cuda_index {
    unsigned x;
};
extern test_cuda_index threadIdx, blockIdx, gridDim;
extern unsigned char test_cuda_shared[1 << 20];
extern int test_cuda_shared_bytes; /* that kernels may ask for: cudaFuncSetAttribute */
extern int test_cuda_kernels;      /* started */

template <typename... Parameters, typename... Arguments>
cudaError_t beam_gpu_start(void (*kernel)(Parameters...), int blocks, int threads, int shared_bytes,
                           cudaStream_t, const Arguments &...arguments)
{
    if (blocks < 1 || threads < 1 || threads > 1024 || shared_bytes > test_cuda_shared_bytes) {
        return cudaErrorInvalidValue;
    }
    test_cuda_kernels++;
    gridDim.x = static_cast<unsigned>(blocks);
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++) {
        std::memset(test_cuda_shared, 0xff, static_cast<size_t>(shared_bytes));
        for (threadIdx.x = 0; threadIdx.x < static_cast<unsigned>(threads); threadIdx.x++) {
            kernel(arguments...);
        }
    }
    return cudaSuccess;
}

inline unsigned char *beam_gpu_dynamic_shared()
{
    return test_cuda_shared;
}

inline cudaError_t cudaMalloc(void **out, size_t bytes)
{
    *out = std::malloc(bytes);
    if (!*out) {
        return cudaErrorMemoryAllocation;
    }
    std::memset(*out, 0xff, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return cudaMalloc(out, bytes);
}
inline cudaError_t cudaFree(void *at)
{
    std::free(at);
    return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void *at)
{
    return cudaFree(at);
}
inline cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    std::memset(to, value, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, int)
{
    std::memcpy(to, from, bytes);
    return cudaSuccess;
}
template <typename Kernel> cudaError_t beam_gpu_allow_shared(Kernel *, int shared_bytes)
{
    test_cuda_shared_bytes = shared_bytes;
    return cudaSuccess;
}
template <typename Kernel> cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, Kernel *)
{
    return cudaSuccess;
}
inline cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize()
{
    return cudaSuccess;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, int)
{
    *out = nullptr;
    return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t)
{
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return cudaSuccess;
}

#endif
