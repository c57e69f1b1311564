# The layers again in double: gradients are compared with finite differences there.
set(BEAM_NET_SOURCES block column dense equivariant equivariant_backward features initialise linear mlp mlp_backward perceptron rate sensing single single_features
    single_layer single_perceptron single_rate)
list(TRANSFORM BEAM_NET_SOURCES PREPEND ${CMAKE_SOURCE_DIR}/engine/network/)
list(TRANSFORM BEAM_NET_SOURCES APPEND .c)
add_library(beamnet64 STATIC ${BEAM_NET_SOURCES})
target_compile_definitions(beamnet64 PRIVATE BEAM_NET_F64)
target_include_directories(beamnet64 PRIVATE ${CMAKE_SOURCE_DIR}/engine)
target_link_libraries(beamnet64 PUBLIC beam)

beam_add_test(test_network_gradient SOURCES unit/test_network_gradient.c LIBS beamnet64 LABELS unit)
target_compile_definitions(test_network_gradient PRIVATE BEAM_NET_F64)
beam_add_test(test_network_mlp SOURCES unit/test_network_mlp.c LIBS beamnet64 LABELS unit)
target_compile_definitions(test_network_mlp PRIVATE BEAM_NET_F64)
beam_add_test(test_network_single SOURCES unit/test_network_single.c LABELS unit)
beam_add_test(test_network_single64 SOURCES unit/test_network_single.c LIBS beamnet64 LABELS unit)
target_compile_definitions(test_network_single64 PRIVATE BEAM_NET_F64)
beam_add_test(test_loss_paper SOURCES unit/test_loss_paper.c LABELS unit)
