# beam_gpu_check: the library against the engine, and times. With the device's library where nvcc
# is, and with its emulation on the CPU wherever that is built.
set(check_sources
    ${CMAKE_SOURCE_DIR}/gpu/check/agreement.c ${CMAKE_SOURCE_DIR}/gpu/check/beam_gpu_check.c
    ${CMAKE_SOURCE_DIR}/gpu/check/bench.c ${CMAKE_SOURCE_DIR}/gpu/check/mlp.c
    ${CMAKE_SOURCE_DIR}/gpu/check/reduction.c ${CMAKE_SOURCE_DIR}/gpu/check/sizes.c ${CMAKE_SOURCE_DIR}/gpu/check/work.c)
find_package(Threads REQUIRED)

function(beam_gpu_check_program name library)
  add_executable(${name} ${check_sources})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/gpu ${CMAKE_SOURCE_DIR}/gpu/include
                                             ${CMAKE_SOURCE_DIR}/engine ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${library} beamtest beammodel Threads::Threads)
endfunction()

# Wall time to merit with the network on the device beside everybody on the CPU.
function(beam_gpu_figure_program name library)
  add_executable(${name} ${CMAKE_SOURCE_DIR}/gpu/check/beam_gpu_figure5.c)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/gpu/include ${CMAKE_SOURCE_DIR}/engine)
  target_link_libraries(${name} PRIVATE ${library} beamfigure)
endfunction()

if(TARGET beamgpupack AND EXISTS ${CMAKE_SOURCE_DIR}/gpu/emulate/emulate.c)
  add_library(beamgpuemulated STATIC ${CMAKE_SOURCE_DIR}/gpu/emulate/emulate.c ${CMAKE_SOURCE_DIR}/gpu/emulate/mlp.c)
  target_compile_definitions(beamgpuemulated PRIVATE _GNU_SOURCE)
  target_include_directories(beamgpuemulated PRIVATE ${CMAKE_SOURCE_DIR}/engine)
  target_link_libraries(beamgpuemulated PUBLIC beamgpupack Threads::Threads)
  beam_gpu_check_program(beam_gpu_check_emulated beamgpuemulated)
  if(TARGET beamfigure)
    beam_gpu_figure_program(beam_gpu_figure5_emulated beamgpuemulated)
  endif()
endif()

if(TARGET beamgpu)
  beam_gpu_check_program(beam_gpu_check beamgpu)
  if(TARGET beamfigure)
    beam_gpu_figure_program(beam_gpu_figure5 beamgpu)
  endif()
  # ceilings of the device, a program of its own
  set(ceilings ${CMAKE_CURRENT_BINARY_DIR}/beam_gpu_ceilings)
  set(codes "")
  foreach(architecture ${BEAM_CUDA_ARCHITECTURES})
    list(APPEND codes -gencode=arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  # reductions by the libraries beside the kernel's, which need their headers
  if(BEAM_CUBLAS_HEADERS AND EXISTS ${BEAM_CUBLAS_HEADERS}/cusolverDn.h)
    set(reduction ${CMAKE_CURRENT_BINARY_DIR}/reduce_bench.o)
    add_custom_command(
      OUTPUT ${reduction}
      COMMAND ${BEAM_NVCC_FOUND} -std=c++17 -O3 ${codes} -Werror all-warnings -Xcompiler=-fPIC,-Wall,-Wextra,-Werror
              -I${CMAKE_SOURCE_DIR}/gpu -I${CMAKE_SOURCE_DIR}/gpu/include -I${CMAKE_SOURCE_DIR}/engine/include
              -I${BEAM_CUBLAS_HEADERS} -c ${CMAKE_SOURCE_DIR}/gpu/check/reduce_bench.cu -o ${reduction}
      DEPENDS ${CMAKE_SOURCE_DIR}/gpu/check/reduce_bench.cu ${CMAKE_SOURCE_DIR}/gpu/check/reduce_bench.h
              ${CMAKE_SOURCE_DIR}/gpu/cublas.h
      COMMENT "nvcc reduce_bench.cu" VERBATIM)
    target_sources(beam_gpu_check PRIVATE ${reduction})
    target_compile_definitions(beam_gpu_check PRIVATE CHECK_REDUCTION)
  endif()
  add_custom_command(
    OUTPUT ${ceilings}
    COMMAND ${BEAM_NVCC_FOUND} -std=c++17 -O3 ${codes} -Werror all-warnings -Xcompiler=-Wall,-Wextra,-Werror
            -cudart static ${CMAKE_SOURCE_DIR}/gpu/check/ceilings.cu -o ${ceilings}
    DEPENDS ${CMAKE_SOURCE_DIR}/gpu/check/ceilings.cu
    COMMENT "nvcc ceilings.cu" VERBATIM)
  add_custom_target(gpu_ceilings ALL DEPENDS ${ceilings})
  add_test(NAME gpu_check COMMAND beam_gpu_check)
  set_tests_properties(gpu_check PROPERTIES TIMEOUT 600 LABELS gpu SKIP_RETURN_CODE 77)
endif()

# The script for a machine with a device, all of it but CUDA.
if(TARGET beam_gpu_check_emulated AND TARGET beam_gpu_figure5_emulated AND TARGET beamd-gpu-test AND TARGET beamload)
  add_test(NAME gpu_check_emulated
           COMMAND ${CMAKE_SOURCE_DIR}/scripts/gpu-check --emulated --build ${CMAKE_BINARY_DIR} --cases 20 --seconds 0.1)
  set_tests_properties(gpu_check_emulated PROPERTIES TIMEOUT 480 LABELS "system;slow"
                       ENVIRONMENT OUT=${CMAKE_CURRENT_BINARY_DIR}/gpu-check)
endif()
