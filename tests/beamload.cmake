# The load generator: its parts, its judgement of a peer that errs, and itself against a real daemon.
if(TARGET beamload_parts)
  beam_add_test(test_beamload SOURCES unit/test_beamload.c LIBS beamload_parts LABELS unit)
endif()
