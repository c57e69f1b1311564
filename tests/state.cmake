# What survives a restart.
if(TARGET beamdstate)
  beam_add_test(test_state_file SOURCES unit/test_state_file.c LIBS beamdstate LABELS unit)
  beam_add_test(test_state_store SOURCES unit/test_state_store.c unit/state_case.c LIBS beamdstate LABELS unit)
  beam_add_test(test_state SOURCES unit/test_state.c unit/state_case.c LIBS beamdstate LABELS unit)
  beam_add_test(test_state_kept SOURCES unit/test_state_kept.c unit/state_case.c LIBS beamdstate LABELS unit)

  # The record's reader, replayed over seeds that are made of the present revision. With clang it is a fuzzer too:
  #   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Idaemon -Iproto -I$BUILD/proto -Iengine/include
  #     -Iengine tests/fuzz/fuzz_state.c daemon/state_file*.c $BUILD/proto/libbeamproto.a $BUILD/engine/libbeam.a
  #     -lprotobuf-c -lz -lm -o fuzz_state
  add_executable(state_seeds fuzz/state_seeds.c)
  target_link_libraries(state_seeds PRIVATE beamdstate)
  add_test(NAME state_seeds COMMAND state_seeds ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(state_seeds PROPERTIES LABELS "fuzz" FIXTURES_SETUP state_seeds)
  add_executable(replay_state fuzz/replay.c fuzz/fuzz_state.c)
  target_link_libraries(replay_state PRIVATE beamdstate)
  add_test(NAME replay_state COMMAND replay_state ${CMAKE_CURRENT_BINARY_DIR}/state_seed_cluster.state
                                     ${CMAKE_CURRENT_BINARY_DIR}/state_seed_daemon.state)
  set_tests_properties(replay_state PROPERTIES LABELS "fuzz" TIMEOUT 120 FIXTURES_REQUIRED state_seeds)
endif()
