/* A mode-paper object on a random scene, opened up: tests look at its parts. */
#ifndef TEST_PAPER_FIXTURE_H
#define TEST_PAPER_FIXTURE_H

#include "common/random.h"
#include "solver/paper_internal.h"

typedef struct paper_fixture {
    beam_scene *scene;
    beam_ideal ideal;
    beam_paper_options options;
    beam_paper *paper;
    void *memory;
} paper_fixture;

/* Takes the scene. Ideal values are made up from a random design: half the CRLB and twice the rate
 * of it. */
paper_fixture paper_fixture_of(beam_scene *scene, const beam_paper_options *options);
/* Random sizes with users and two or more stations. */
paper_fixture paper_fixture_random(test_random *random, const beam_paper_options *options,
                                   double eps_rel);
void paper_fixture_free(paper_fixture *f);

/* Default options with these repairs and K_GD. */
beam_paper_options paper_fixture_options(unsigned repairs, int lower_steps);

/* count normal numbers, times scale; padding of rows stays zero and raw Q stays Hermitian. */
void paper_fixture_direction(const paper_fixture *f, test_random *random, double scale, double *x);

/* A scene of L stations on a ring, N antennas, one target, users one by one at the stations, all
 * radii 0. */
beam_scene *paper_fixture_plain_scene(int stations, int antennas, int users);

/* ---- whole runs ---- */

enum { PAPER_TRACE_MAX = 2048 };

typedef struct paper_trace {
    beam_paper *paper;
    int count;
    beam_paper_iterate at[PAPER_TRACE_MAX];
    double cone[PAPER_TRACE_MAX];  /* largest r_j */
    double power[PAPER_TRACE_MAX]; /* largest share of a budget */
    double phi[PAPER_TRACE_MAX], norm2[PAPER_TRACE_MAX];
    double loss[PAPER_TRACE_MAX][2];
    double steepest_cone[PAPER_TRACE_MAX]; /* largest slope along d of an active cone function */
} paper_trace;

typedef struct paper_outcome {
    beam_result result;
    beam_paper_status status;
    beam_design *design;
    beam_quality quality; /* exact, recomputed */
} paper_outcome;

paper_trace *paper_fixture_trace(void);
/* A golden scene with its ideal values. */
paper_fixture paper_fixture_golden(const char *name, const beam_paper_options *options);
/* Solves subproblem k; trace may be NULL. The design is inside its budget, checked. */
paper_outcome paper_fixture_run(paper_fixture *f, int k, const beam_design *start, paper_trace *t);
void paper_fixture_finish(paper_fixture *f, paper_outcome *o);

#endif
