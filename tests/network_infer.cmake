# Inference and its check; the points of the network's fronts.
beam_add_test(test_network_guarantee SOURCES property/test_network_guarantee.c common/network_case.c common/untrained.c
              LIBS beammodel LABELS property TIMEOUT 600)
beam_add_test(test_network_check SOURCES property/test_network_check.c common/network_case.c LABELS property)
if(TARGET beamtrain)
  beam_add_test(test_lab_front SOURCES unit/test_lab_front.c ${CMAKE_SOURCE_DIR}/lab/front.c LIBS beamtrain LABELS unit)
endif()
