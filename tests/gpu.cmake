# The device functions on the CPU: a team of one lane, and 32 emulated ones.
if(TARGET beamgpupack)
  add_library(beamgputest STATIC gpu/case.c gpu/team32.c common/untrained.c)
  target_include_directories(beamgputest PUBLIC ${CMAKE_SOURCE_DIR}/tests ${CMAKE_SOURCE_DIR}/engine)
  target_link_libraries(beamgputest PUBLIC beamgpupack beamtest)
  beam_add_test(test_gpu_check SOURCES gpu/test_gpu_check.c LIBS beamgputest LABELS property gpu TIMEOUT 300)
  beam_add_test(test_gpu_mixed SOURCES gpu/test_gpu_mixed.c LIBS beamgputest LABELS property gpu TIMEOUT 300)
  # layer by layer against the engine's layers in double
  beam_add_test(test_gpu_network SOURCES gpu/test_gpu_network.c LIBS beamgputest beamnet64 beammodel
                LABELS property gpu TIMEOUT 600)
  target_compile_definitions(test_gpu_network PRIVATE BEAM_NET_F64)
  # the steps in float64 too, for their gradient
  beam_add_test(test_gpu_refine SOURCES gpu/test_gpu_refine.c LIBS beamgputest LABELS property gpu TIMEOUT 300)
  beam_add_test(test_gpu_front SOURCES gpu/test_gpu_front.c LIBS beamgputest beammodel LABELS property gpu TIMEOUT 600)
  beam_add_test(test_gpu_tensor SOURCES gpu/test_gpu_tensor.c LIBS beamgputest beammodel LABELS property gpu TIMEOUT 600)
  beam_add_test(test_gpu_bound SOURCES gpu/test_gpu_bound.c LIBS beamgputest beammodel LABELS property gpu TIMEOUT 300)
  beam_add_test(test_gpu_mlp SOURCES gpu/test_gpu_mlp.c LIBS beamgputest beamnet64 LABELS property gpu TIMEOUT 300)
  target_compile_definitions(test_gpu_mlp PRIVATE BEAM_NET_F64)
endif()

# The library on a device (skipped, with the reason in its output, where there is none) and emulated.
include(${CMAKE_SOURCE_DIR}/gpu/check/check.cmake)
