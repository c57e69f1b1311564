# What the daemon measures and says of itself: durations, counters, clocks, the log.
if(BEAM_DAEMON AND TARGET beamdcore)
  foreach(test IN ITEMS test_histogram test_clock_offset test_log)
    beam_add_test(${test} SOURCES unit/${test}.c LIBS beamdcore LABELS unit)
  endforeach()
endif()
