/* Starting kernels, and their dynamic shared memory: the only CUDA syntax that a C++ compiler does
 * not take. Tests compile the rest for the host with definitions of their own
 * (tests/gpu/cuda/cuda_runtime.h). */
#ifndef BEAM_GPU_LAUNCH_H
#define BEAM_GPU_LAUNCH_H

#include <cuda_runtime.h>

#ifdef __CUDACC__

template <typename... Parameters, typename... Arguments>
cudaError_t beam_gpu_start(void (*kernel)(Parameters...), int blocks, int threads, int shared_bytes,
                           cudaStream_t stream, const Arguments &...arguments)
{
    kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads),
             static_cast<size_t>(shared_bytes), stream>>>(arguments...);
    return cudaGetLastError();
}

/* Lets the kernel be started with as much dynamic shared memory as the device has for it, at least
 * shared_bytes: the limit belongs to the kernel, which several objects and shapes share. */
template <typename Kernel> cudaError_t beam_gpu_allow_shared(Kernel *kernel, int shared_bytes)
{
    int device = 0, optin = 0;
    cudaFuncAttributes attributes;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess) {
        error = cudaDeviceGetAttribute(&optin, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    }
    if (error == cudaSuccess) {
        error = cudaFuncGetAttributes(&attributes, kernel);
    }
    if (error != cudaSuccess) {
        return error;
    }
    const int most = optin - static_cast<int>(attributes.sharedSizeBytes);
    return shared_bytes > most
               ? cudaErrorInvalidConfiguration
               : cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
}

__device__ inline unsigned char *beam_gpu_dynamic_shared()
{
    extern __shared__ __align__(16) unsigned char beam_gpu_shared_bytes[];
    return beam_gpu_shared_bytes;
}

#endif
#endif
