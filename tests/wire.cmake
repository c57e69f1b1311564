# The wire and the client library. Needs proto/ and client/.
if(BEAM_DAEMON)
  foreach(test IN ITEMS test_wire test_wire_limits)
    beam_add_test(${test} SOURCES unit/${test}.c unit/wire_common.c LIBS beamproto LABELS unit TIMEOUT 300)
  endforeach()
endif()
