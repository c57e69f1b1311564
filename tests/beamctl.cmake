# What beamctl draws and diagnoses; its completion against its own option table.
if(TARGET beamctl)
  beam_add_test(test_beamctl_doctor SOURCES unit/test_beamctl_doctor.c LIBS beamctl_parts LABELS unit)
  beam_add_test(test_beamctl_draw SOURCES unit/test_beamctl_draw.c LIBS beamctl_parts LABELS unit)
  target_compile_definitions(test_beamctl_draw PRIVATE BEAM_PYTHON="${BEAM_PYTHON}")
  # Against a daemon of the test's own.
  beam_add_test(test_beamctl_fake SOURCES system/test_beamctl_fake.c system/fake_daemon.c system/beamctl_child.c
                LIBS beamproto PkgConfig::ZMQ PkgConfig::JANSSON pthread util LABELS system)
  target_compile_definitions(test_beamctl_fake PRIVATE BEAMCTL_BINARY="$<TARGET_FILE:beamctl>"
                                                       BEAMCTL_DOC="${CMAKE_SOURCE_DIR}/docs/beamctl.md")
  add_dependencies(test_beamctl_fake beamctl)
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
