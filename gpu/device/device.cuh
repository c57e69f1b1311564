/* Everything that one team does on one problem, for kernels and for the tests on the CPU. */
#ifndef BEAM_GPU_DEVICE_CUH
#define BEAM_GPU_DEVICE_CUH

#include "plan.cuh"

#define BEAM_GPU_BITS 32
#include "real.cuh"
#include "complex.cuh"
#include "trust_region.cuh"
#include "measure.cuh"
#undef BEAM_GPU_BITS

#define BEAM_GPU_BITS 64
#include "real.cuh"
#include "complex.cuh"
#include "trust_region.cuh"
#include "measure.cuh"
#undef BEAM_GPU_BITS

#include "load.cuh"
#include "network.cuh"
#include "choice.cuh"

#endif
