# The wire and the client library. Needs proto/ and client/.
if(BEAM_DAEMON)
  pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
  foreach(test IN ITEMS test_wire test_wire_limits)
    beam_add_test(${test} SOURCES unit/${test}.c unit/wire_common.c LIBS beamproto LABELS unit TIMEOUT 300)
  endforeach()
  beam_add_test(test_client SOURCES unit/test_client.c LIBS beamclient_static beamproto PkgConfig::ZMQ LABELS unit)
endif()
