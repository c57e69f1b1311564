# beam_gpu_check: the library against the engine, and times. With the device's library where nvcc
# is, and with its emulation on the CPU wherever that is built.
set(check_sources
    ${CMAKE_SOURCE_DIR}/gpu/check/agreement.c ${CMAKE_SOURCE_DIR}/gpu/check/beam_gpu_check.c
    ${CMAKE_SOURCE_DIR}/gpu/check/bench.c ${CMAKE_SOURCE_DIR}/gpu/check/sizes.c ${CMAKE_SOURCE_DIR}/gpu/check/work.c)
find_package(Threads REQUIRED)

function(beam_gpu_check_program name library)
  add_executable(${name} ${check_sources})
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/gpu ${CMAKE_SOURCE_DIR}/gpu/include
                                             ${CMAKE_SOURCE_DIR}/engine ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${library} beamtest beammodel Threads::Threads)
endfunction()

if(TARGET beamgpupack AND EXISTS ${CMAKE_SOURCE_DIR}/gpu/emulate/emulate.c)
  add_library(beamgpuemulated STATIC ${CMAKE_SOURCE_DIR}/gpu/emulate/emulate.c)
  target_compile_definitions(beamgpuemulated PRIVATE _GNU_SOURCE)
  target_include_directories(beamgpuemulated PRIVATE ${CMAKE_SOURCE_DIR}/engine)
  target_link_libraries(beamgpuemulated PUBLIC beamgpupack Threads::Threads)
  beam_gpu_check_program(beam_gpu_check_emulated beamgpuemulated)
endif()

if(TARGET beamgpu)
  beam_gpu_check_program(beam_gpu_check beamgpu)
  add_test(NAME gpu_check COMMAND beam_gpu_check)
  set_tests_properties(gpu_check PROPERTIES TIMEOUT 600 LABELS gpu SKIP_RETURN_CODE 77)
endif()
