# What the daemon measures and says of itself: durations, counters, clocks, the log.
if(BEAM_DAEMON AND TARGET beamdcore)
  foreach(test IN ITEMS test_histogram test_clock_offset test_log test_metrics test_telemetry)
    beam_add_test(${test} SOURCES unit/${test}.c LIBS beamdcore LABELS unit)
  endforeach()
  target_compile_definitions(test_metrics PRIVATE BEAM_DOCS="${CMAKE_SOURCE_DIR}/docs")

  # Prometheus' own checker. scripts/install-deps leaves it out: its package is 96 MB and starts a server.
  add_test(NAME metrics_promtool
           COMMAND bash -o pipefail -c "command -v promtool >/dev/null || { echo 'no promtool here: apt-get install \
--no-install-recommends prometheus'; exit 77; }; '$<TARGET_FILE:test_metrics>' --page | promtool check metrics")
  set_tests_properties(metrics_promtool PROPERTIES TIMEOUT 60 LABELS unit SKIP_RETURN_CODE 77)
endif()
