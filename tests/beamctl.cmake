# What beamctl draws and diagnoses; its completion against its own option table.
if(TARGET beamctl)
  beam_add_test(test_beamctl_doctor SOURCES unit/test_beamctl_doctor.c LIBS beamctl_parts LABELS unit)
  set(COMPLETED_PROGRAMS $<TARGET_FILE:beamctl>)
  foreach(program IN ITEMS beamd beamlab beamload)
    if(TARGET ${program})
      list(APPEND COMPLETED_PROGRAMS $<TARGET_FILE:${program}>)
    endif()
  endforeach()
  add_test(NAME beamctl_completion
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/system/beamctl_completion.sh
                   ${CMAKE_SOURCE_DIR}/client/completion/beamctl.bash ${COMPLETED_PROGRAMS})
  set_tests_properties(beamctl_completion PROPERTIES TIMEOUT 120 LABELS system)
endif()
