# The load generator: its parts, its judgement of a peer that errs, and itself against a real daemon.
if(TARGET beamload_parts)
  foreach(test IN ITEMS test_beamload test_beamload_peer)
    beam_add_test(${test} SOURCES unit/${test}.c LIBS beamload_parts LABELS unit)
  endforeach()
endif()
if(TARGET beamload AND TARGET beamd)
  set(BEAM_LOAD_TESTS daemon)
  if(NOT BEAM_SANITIZE) # a sanitizer keeps what is freed
    list(APPEND BEAM_LOAD_TESTS memory)
  endif()
  foreach(test IN LISTS BEAM_LOAD_TESTS)
    add_test(NAME test_beamload_${test} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/system/test_beamload_${test}.sh
                                                $<TARGET_FILE:beamd> $<TARGET_FILE:beamload>)
    set_tests_properties(test_beamload_${test} PROPERTIES LABELS "system" TIMEOUT 300)
  endforeach()
endif()
