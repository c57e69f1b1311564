# Days of traffic for the core, without sockets, threads and waiting (docs/simulator.md).
if(TARGET beamd)
  beam_add_test(beamd_sim SOURCES sim/main.c sim/answers.c sim/controller.c sim/frames.c sim/gpu.c sim/heap.c sim/judge.c
                sim/judge_answer.c sim/judge_state.c sim/scenarios_fault.c sim/scenarios_gpu.c sim/scenarios_load.c sim/scenes.c sim/standin.c
                sim/world.c
                LIBS beamdcore LABELS system TIMEOUT 900 ARGS --hours 24)
  add_test(NAME beamd_sim_twice COMMAND beamd_sim --hours 0.5 --twice)
  set_tests_properties(beamd_sim_twice PROPERTIES TIMEOUT 600 LABELS system)
endif()
