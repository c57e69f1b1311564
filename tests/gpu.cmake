# The device functions on the CPU: a team of one lane, and 32 emulated ones.
if(TARGET beamgpupack)
  add_library(beamgputest STATIC gpu/case.c gpu/team32.c)
  target_include_directories(beamgputest PUBLIC ${CMAKE_SOURCE_DIR}/tests ${CMAKE_SOURCE_DIR}/engine)
  target_link_libraries(beamgputest PUBLIC beamgpupack beamtest)
  beam_add_test(test_gpu_check SOURCES gpu/test_gpu_check.c LIBS beamgputest LABELS property gpu TIMEOUT 300)
endif()
