# Training of the network: loss, Adam, scenes, checkpoints, reproducibility.
if(TARGET beamtrain)
  beam_add_test(test_train SOURCES unit/test_train.c LIBS beamtrain LABELS unit TIMEOUT 600)
endif()
