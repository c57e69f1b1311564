# gpu/context.cu and gpu/slot.cu themselves on the CPU, compiled for the host on a runtime of the tests' own (tests/gpu/runtime).
# The project is C; this needs a C++ compiler as nvcc does.
find_program(BEAM_HOST_CXX NAMES c++ g++)
if(TARGET beamgputest AND BEAM_HOST_CXX)
  set(context_flags -std=c++17 -O2 -g -fPIC -Wall -Wextra -Wshadow -Wconversion -Werror -DBEAM_GPU_MLP -DBEAM_GPU_REFINE)
  if(BEAM_SANITIZE)
    list(APPEND context_flags -fsanitize=${BEAM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  endif()
  file(GLOB context_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/gpu/*.h ${CMAKE_SOURCE_DIR}/gpu/device/*.cuh
       ${CMAKE_SOURCE_DIR}/gpu/include/beam/*.h ${CMAKE_CURRENT_SOURCE_DIR}/gpu/runtime/*.h)
  set(context_objects "")
  foreach(source ${CMAKE_SOURCE_DIR}/gpu/context.cu ${CMAKE_SOURCE_DIR}/gpu/slot.cu
                 ${CMAKE_CURRENT_SOURCE_DIR}/gpu/context_host.cpp ${CMAKE_CURRENT_SOURCE_DIR}/gpu/runtime/runtime.cpp)
    get_filename_component(unit ${source} NAME)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/context_${unit}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${BEAM_HOST_CXX} ${context_flags} -I${CMAKE_CURRENT_SOURCE_DIR}/gpu/runtime -I${CMAKE_CURRENT_SOURCE_DIR}/gpu
              -I${CMAKE_SOURCE_DIR}/gpu -I${CMAKE_SOURCE_DIR}/gpu/include -I${CMAKE_SOURCE_DIR}/engine/include
              -x c++ -c ${source} -o ${object}
      DEPENDS ${source} ${context_headers}
      COMMENT "c++ ${unit} for the host" VERBATIM)
    list(APPEND context_objects ${object})
  endforeach()
  beam_add_test(test_gpu_context SOURCES gpu/test_gpu_context.c ${context_objects} LIBS beamgputest stdc++ LABELS property gpu)
endif()
