# The wire and the client library. Needs proto/ and client/.
if(BEAM_DAEMON)
  pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
  foreach(test IN ITEMS test_wire test_wire_limits test_wire_arrays test_wire_large)
    beam_add_test(${test} SOURCES unit/${test}.c unit/wire_common.c LIBS beamproto LABELS unit TIMEOUT 300)
  endforeach()
  foreach(test IN ITEMS test_client test_client_wide test_client_operators test_client_connection)
    beam_add_test(${test} SOURCES unit/${test}.c unit/client_fake.c LIBS beamclient_static beamproto PkgConfig::ZMQ
                  LABELS unit)
  endforeach()
  if(NOT BEAM_SANITIZE) # the sanitizers export symbols of their own
    add_test(NAME test_client_symbols
             COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/unit/client_symbols.sh $<TARGET_FILE:beamclient_shared>
                     ${CMAKE_SOURCE_DIR}/client/beamc.map ${CMAKE_SOURCE_DIR}/client/include/beamc/beamc.h)
    set_tests_properties(test_client_symbols PROPERTIES LABELS "unit")
  endif()
endif()
# The golden messages are those of the independent encoder, where Google's protobuf is installed.
find_program(BEAM_PROTOC protoc)
execute_process(COMMAND ${BEAM_PYTHON} -c "import google.protobuf" RESULT_VARIABLE NO_PYTHON_PROTOBUF OUTPUT_QUIET
                ERROR_QUIET)
if(BEAM_PROTOC AND NO_PYTHON_PROTOBUF EQUAL 0)
  add_test(NAME test_wire_golden_bytes COMMAND ${BEAM_PYTHON} -B golden/wire/make_golden.py --check
           WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set_tests_properties(test_wire_golden_bytes PROPERTIES LABELS "golden")
endif()

# The fuzz target of the decoder, replayed over the golden messages. With clang it is a fuzzer too:
#   clang -g -O1 -fsanitize=fuzzer,address,undefined -Iproto -I$BUILD/proto -Iengine/include tests/fuzz/fuzz_wire.c \
#     proto/wire*.c $BUILD/proto/beamd.pb-c.c -lprotobuf-c -lm -o fuzz_wire && ./fuzz_wire CORPUS_DIRECTORY
if(BEAM_DAEMON)
  add_executable(replay_wire fuzz/replay.c fuzz/fuzz_wire.c)
  target_link_libraries(replay_wire PRIVATE beamproto)
  file(GLOB BEAM_WIRE_CORPUS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/golden/wire/*.bin)
  add_test(NAME replay_wire COMMAND replay_wire ${BEAM_WIRE_CORPUS})
  set_tests_properties(replay_wire PROPERTIES LABELS "fuzz" TIMEOUT 120)
endif()

# The examples against a running daemon; the one in Python where its libraries are.
if(TARGET beamd)
  set(BEAM_EXAMPLES $<TARGET_FILE:send_csi>)
  execute_process(COMMAND /usr/bin/python3 -c "import google.protobuf, zmq" RESULT_VARIABLE NO_PYTHON_ZMQ OUTPUT_QUIET
                  ERROR_QUIET)
  if(BEAM_PROTOC AND NO_PYTHON_ZMQ EQUAL 0)
    list(APPEND BEAM_EXAMPLES ${CMAKE_SOURCE_DIR}/client/examples/send_csi.py)
  endif()
  add_test(NAME client_examples COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/system/examples.sh $<TARGET_FILE:beamd>
                                        ${BEAM_EXAMPLES})
  set_tests_properties(client_examples PROPERTIES LABELS "system" TIMEOUT 120)
endif()
