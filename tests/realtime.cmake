# Threads, the loop's deadlines, real time, and what is allocated on the way from CSI to beams.
if(TARGET beamdcore)
  foreach(test IN ITEMS test_pool test_loop)
    beam_add_test(${test} SOURCES unit/${test}.c LIBS beamdcore LABELS unit TIMEOUT 300)
  endforeach()
endif()
