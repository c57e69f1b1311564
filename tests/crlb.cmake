# The Cramer-Rao bound, the least-CRLB beams and the classical designs.
beam_add_test(test_crlb SOURCES unit/test_crlb.c LABELS unit)
beam_add_test(test_classical SOURCES unit/test_classical.c LABELS unit)
