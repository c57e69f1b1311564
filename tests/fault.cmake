# A daemon that is made to fail, overloaded, killed.
if(TARGET beamd)
  add_library(beamtest_traffic STATIC fault/traffic.c)
  target_link_libraries(beamtest_traffic PUBLIC beamtest_daemon)
  if(BEAM_FAULTS)
    beam_add_test(test_fault_backends SOURCES fault/test_fault_backends.c LIBS beamtest_traffic LABELS system fault TIMEOUT 300)
  endif()
endif()
