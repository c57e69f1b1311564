# The lab: file formats, generator, hypervolume, and the contract of the program.
if(TARGET beamformat)
  beam_add_test(test_format SOURCES unit/test_format.c LIBS beamformat LABELS unit)
  beam_add_test(test_lab_scenes SOURCES unit/test_lab_scenes.c LIBS beamformat LABELS unit)
endif()
if(TARGET beamlab)
  add_test(NAME lab_contract COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/system/lab_contract.sh
           $<TARGET_FILE:beamlab> ${CMAKE_CURRENT_SOURCE_DIR}/golden)
  set_tests_properties(lab_contract PROPERTIES LABELS "system" TIMEOUT 300)
endif()
