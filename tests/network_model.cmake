# The model file: format, damage, the model in the build; the fuzz target of its reader. With clang it is a fuzzer too:
#   clang -g -O1 -fsanitize=fuzzer,address,undefined -Iengine/include -Iengine -Itests tests/fuzz/fuzz_model.c \
#     tests/common/model.c tests/common/random.c tests/common/owned.c engine/*/*.c -lm -o fuzz_model && ./fuzz_model CORPUS
beam_add_test(test_model SOURCES unit/test_model.c common/model.c LIBS beammodel LABELS unit)

add_executable(model_seeds fuzz/model_seeds.c common/model.c)
target_include_directories(model_seeds PRIVATE ${CMAKE_SOURCE_DIR}/engine)
target_link_libraries(model_seeds PRIVATE beamtest)
add_test(NAME model_seeds COMMAND model_seeds ${CMAKE_CURRENT_BINARY_DIR})
set_tests_properties(model_seeds PROPERTIES LABELS "fuzz" TIMEOUT 20 FIXTURES_SETUP model_seeds)
add_executable(replay_model fuzz/replay.c fuzz/fuzz_model.c common/model.c)
target_include_directories(replay_model PRIVATE ${CMAKE_SOURCE_DIR}/engine)
target_link_libraries(replay_model PRIVATE beamtest)
add_test(NAME replay_model COMMAND replay_model ${CMAKE_CURRENT_BINARY_DIR}/model_seed_equivariant.beamnet
                                   ${CMAKE_CURRENT_BINARY_DIR}/model_seed_mlp.beamnet)
set_tests_properties(replay_model PROPERTIES LABELS "fuzz" TIMEOUT 120 FIXTURES_REQUIRED model_seeds)
if(TARGET beamlab)
  add_test(NAME model_contract COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/system/model_contract.sh $<TARGET_FILE:beamlab>
                                       ${CMAKE_CURRENT_BINARY_DIR}/model_seed_equivariant.beamnet)
  set_tests_properties(model_contract PROPERTIES LABELS "system" TIMEOUT 60 FIXTURES_REQUIRED model_seeds)
endif()
