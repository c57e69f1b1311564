/* A write to an address that is none: the error that stays with a context, for checks on a device
 * of how it is lost. In the tests' program only. */
#include <cuda_runtime.h>

namespace
{

__global__ void write_to(unsigned long long address)
{
    *reinterpret_cast<volatile int *>(address) = 1;
}

} // namespace

/* Returns before it has struck. 0, or a CUDA error of the launch. */
extern "C" int beamg_fault_illegal(int device);
int beamg_fault_illegal(int device)
{
    const cudaError_t set = cudaSetDevice(device);
    if (set != cudaSuccess) {
        return static_cast<int>(set);
    }
    write_to<<<1, 1>>>(0x10);
    return static_cast<int>(cudaGetLastError());
}
