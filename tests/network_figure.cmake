# Figure 5, tiny: every number of its table follows from what its file says.
if(TARGET beamlab)
  add_executable(figure_models system/figure_models.c common/model.c)
  target_include_directories(figure_models PRIVATE ${CMAKE_SOURCE_DIR}/engine)
  target_link_libraries(figure_models PRIVATE beamtest)
  add_test(NAME figure_models COMMAND figure_models ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(figure_models PROPERTIES LABELS "system" TIMEOUT 20 FIXTURES_SETUP figure_models)
  add_test(NAME figure5_contract COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/system/figure5_contract.sh $<TARGET_FILE:beamlab>
                                         ${CMAKE_CURRENT_BINARY_DIR}/figure_equivariant.beamnet
                                         ${CMAKE_CURRENT_BINARY_DIR}/figure_mlp.beamnet
                                         ${CMAKE_CURRENT_SOURCE_DIR}/golden)
  set_tests_properties(figure5_contract PROPERTIES LABELS "system" TIMEOUT 400 FIXTURES_REQUIRED figure_models)
endif()
