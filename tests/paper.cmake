# Mode paper: the direction's solver, the parts of Algorithm 1, the algorithm, its edges.
beam_add_test(test_min_norm SOURCES unit/test_min_norm.c LABELS unit)
beam_add_test(test_paper_parts SOURCES unit/test_paper_parts.c unit/paper_fixture.c LABELS unit)
beam_add_test(test_paper_edges SOURCES unit/test_paper_edges.c unit/paper_fixture.c LABELS unit)
beam_add_test(test_paper SOURCES unit/test_paper.c unit/paper_fixture.c LABELS unit)
