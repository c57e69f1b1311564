# gpu/mlp.cu itself on the CPU, compiled for the host with a runtime and a cuBLAS of the tests' own (tests/gpu/cuda). The project
# is C; this needs a C++ compiler as nvcc does.
find_program(BEAM_HOST_CXX NAMES c++ g++)
if(TARGET beamgputest AND BEAM_HOST_CXX)
  set(mlp_host_includes -I${CMAKE_CURRENT_SOURCE_DIR}/gpu/cuda -I${CMAKE_CURRENT_SOURCE_DIR}/gpu -I${CMAKE_SOURCE_DIR}/gpu
                        -I${CMAKE_SOURCE_DIR}/gpu/include -I${CMAKE_SOURCE_DIR}/engine/include)
  set(mlp_host_sanitize "")
  if(BEAM_SANITIZE)
    set(mlp_host_sanitize -fsanitize=${BEAM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  endif()
  file(GLOB mlp_host_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/gpu/*.h ${CMAKE_SOURCE_DIR}/gpu/device/*.cuh
       ${CMAKE_CURRENT_SOURCE_DIR}/gpu/*.h ${CMAKE_CURRENT_SOURCE_DIR}/gpu/cuda/*.h)
  set(mlp_host_objects "")
  foreach(source ${CMAKE_SOURCE_DIR}/gpu/mlp.cu ${CMAKE_CURRENT_SOURCE_DIR}/gpu/mlp_host.cpp)
    get_filename_component(unit ${source} NAME)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/host_${unit}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${BEAM_HOST_CXX} -std=c++17 -O2 -g -fPIC -Wall -Wextra -Wshadow -Wconversion -Werror -DBEAM_TEAM_LANES=1
              ${mlp_host_sanitize} ${mlp_host_includes} -x c++ -c ${source} -o ${object}
      DEPENDS ${source} ${mlp_host_headers}
      COMMENT "c++ ${unit} for the host" VERBATIM)
    list(APPEND mlp_host_objects ${object})
  endforeach()
  # opened at run time by this name, as the real one is by its own
  add_library(test_cublas SHARED gpu/cuda/cublas.c)
  set_target_properties(test_cublas PROPERTIES OUTPUT_NAME cublas SOVERSION 0)
  target_include_directories(test_cublas PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/gpu/cuda)
  beam_add_test(test_gpu_mlp_batch SOURCES gpu/test_gpu_mlp_batch.c ${mlp_host_objects}
                LIBS beamgputest test_cublas stdc++ ${CMAKE_DL_LIBS} LABELS property gpu)
endif()
