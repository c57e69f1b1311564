# Threads, the loop's deadlines, real time, and what is allocated on the way from CSI to beams.
if(TARGET beamdcore)
  foreach(test IN ITEMS test_pool test_loop test_realtime)
    beam_add_test(${test} SOURCES unit/${test}.c LIBS beamdcore LABELS unit TIMEOUT 300)
  endforeach()
endif()
if(TARGET beamd)
  # Every ready profile is good; what a machine lacks for the real-time one is found at the start, not here.
  file(GLOB BEAM_PROFILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/config/profiles/*.conf)
  foreach(profile ${BEAM_PROFILES})
    get_filename_component(name ${profile} NAME_WE)
    add_test(NAME profile_${name} COMMAND beamd --check-config ${profile})
    set_tests_properties(profile_${name} PROPERTIES TIMEOUT 60 LABELS unit PASS_REGULAR_EXPRESSION "${name}.conf: good")
  endforeach()
  add_test(NAME manual COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/unit/manual.sh $<TARGET_FILE:beamd>
                               $<TARGET_FILE_DIR:beamd>/beamd.8)
  set_tests_properties(manual PROPERTIES TIMEOUT 60 LABELS unit)
endif()
