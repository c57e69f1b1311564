# A daemon that is made to fail, overloaded, killed.
if(TARGET beamd)
  add_library(beamtest_traffic STATIC fault/traffic.c)
  target_link_libraries(beamtest_traffic PUBLIC beamtest_daemon)
  # 10^5 answers, ten times too many requests: a minute
  beam_add_test(test_endurance SOURCES fault/test_endurance.c LIBS beamtest_traffic LABELS system slow TIMEOUT 900)
  beam_add_test(test_restart SOURCES fault/test_restart.c LIBS beamtest_traffic LABELS system TIMEOUT 300)
  if(BEAM_FAULTS)
    beam_add_test(test_fault_backends SOURCES fault/test_fault_backends.c LIBS beamtest_traffic LABELS system fault TIMEOUT 300)
  endif()
  if(TARGET beamd-gpu-test)
    beam_add_test(test_gpu_faults SOURCES fault/test_gpu_faults.c common/model.c LIBS beamtest_traffic beammodel Threads::Threads
                  LABELS system fault TIMEOUT 300)
    target_compile_definitions(test_gpu_faults PRIVATE BEAM_GPU_WORKER="$<TARGET_FILE:beamd-gpu-test>")
    add_dependencies(test_gpu_faults beamd-gpu-test)
  endif()
endif()
