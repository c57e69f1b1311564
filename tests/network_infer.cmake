# Inference and its check.
beam_add_test(test_network_guarantee SOURCES property/test_network_guarantee.c common/untrained.c LIBS beammodel
              LABELS property TIMEOUT 600)
