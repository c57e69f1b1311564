# The worker side: rows shared by solvers; clusters, tasks and batches without the core.
beam_add_test(test_sensing_exchange SOURCES property/test_sensing_exchange.c LABELS property TIMEOUT 300)
if(TARGET beamdwork)
  beam_add_test(test_cluster SOURCES unit/test_cluster.c unit/batch_case.c LIBS beamdwork LABELS unit)
  beam_add_test(test_cluster_tasks SOURCES unit/test_cluster_tasks.c unit/batch_case.c LIBS beamdwork LABELS unit)
  beam_add_test(test_refresh SOURCES unit/test_refresh.c unit/batch_bench.c unit/batch_case.c common/untrained.c
                LIBS beamdwork LABELS unit)
  beam_add_test(test_batch SOURCES unit/test_batch.c unit/batch_bench.c unit/batch_case.c common/untrained.c
                common/model.c LIBS beamdwork LABELS unit TIMEOUT 300)
  # Its own batch.c, which acts upon faults whatever the daemon is built with.
  beam_add_test(test_faults SOURCES unit/test_faults.c unit/batch_bench.c unit/batch_case.c common/untrained.c
                ${CMAKE_SOURCE_DIR}/daemon/batch.c LIBS beamdwork LABELS unit TIMEOUT 300)
  target_compile_definitions(test_faults PRIVATE $<$<NOT:$<BOOL:${BEAM_FAULTS}>>:BEAMD_FAULTS>)
endif()
