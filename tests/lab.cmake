# The lab's file formats, generator and hypervolume.
if(TARGET beamformat)
  beam_add_test(test_format SOURCES unit/test_format.c LIBS beamformat LABELS unit)
  beam_add_test(test_lab_scenes SOURCES unit/test_lab_scenes.c LIBS beamformat LABELS unit)
endif()
