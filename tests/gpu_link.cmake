# The worker process of a GPU, without one: the memory shared with it, its life, every way to lose it.
find_package(Threads REQUIRED)
if(TARGET beamdgpu)
  beam_add_test(test_gpu_ring SOURCES unit/test_gpu_ring.c LIBS beamring Threads::Threads LABELS unit)
  target_compile_definitions(test_gpu_ring PRIVATE _GNU_SOURCE)
  beam_add_test(test_gpu_batch SOURCES unit/test_gpu_batch.c unit/batch_bench.c unit/batch_case.c common/untrained.c
                common/model.c ${CMAKE_SOURCE_DIR}/gpu/worker/backend_host.c LIBS beamdgpu beamgworker LABELS unit)
  target_compile_definitions(test_gpu_batch PRIVATE _GNU_SOURCE)
  if(TARGET beamgemulated)
    # the path to a device, with the GPU library emulated
    beam_add_test(test_gpu_worker SOURCES unit/test_gpu_worker.c common/model.c LIBS beamgemulated LABELS unit gpu)
    target_compile_options(test_gpu_worker PRIVATE -include ${CMAKE_SOURCE_DIR}/gpu/emulate/rename.h)
  endif()
  if(TARGET beamd-gpu-test)
    beam_add_test(test_gpu_link SOURCES fault/test_gpu_link.c fault/gpu_link_case.c common/model.c
                  LIBS beamdgpu beamgemulated LABELS fault TIMEOUT 300)
    target_compile_definitions(test_gpu_link PRIVATE BEAM_GPU_WORKER="$<TARGET_FILE:beamd-gpu-test>"
                                                     BEAM_GPU_PROGRAM="$<TARGET_FILE:beamd-gpu>")
    add_dependencies(test_gpu_link beamd-gpu-test beamd-gpu)
  endif()
endif()
