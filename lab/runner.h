/* Solving one scene by a method: for given trade-offs, or as a front. What comes back is ready to
 * be written: designs inside the budget and rounded to the digits of the file, numbers those of the
 * evaluator for exactly these digits. */
#ifndef LAB_RUNNER_H
#define LAB_RUNNER_H

#include <stdbool.h>

#include "beam/beam.h"
#include "lab/format.h"

typedef struct lab_run_options {
    beam_method method; /* BOBLRBF, CLASSICAL, PAPER or NETWORK */
    int threads;
    int refine; /* quasi-Newton iterations added per point by the default solver, 0: none */
    const char *model_path;        /* of the network; NULL: the model built in */
    const struct lab_model *model; /* already read: model_path is not looked at; NULL: read it */
    int max_iterations;            /* of the default solver; 0: its default */
    double time_limit_us;          /* per point of the default solver and of paper; 0: none */
    beam_classical classical;
    beam_sensing_design sensing;
    beam_paper_options paper; /* preferences: K of solve; front sets it to its points */
    unsigned long long seed;  /* of the paper's random starts */
    const beam_ideal *ideal;  /* NULL: computed */
    bool progress;            /* on stderr */
} lab_run_options;
lab_run_options lab_run_options_default(void);

/* Users whose worst-case rate is under their minimum. */
typedef struct lab_floor {
    int count;
    double shortfall_bps_hz;
    bool under[BEAM_MAX_USERS];
} lab_floor;

typedef struct lab_run {
    lab_solution *solution;
    beam_result *results;            /* [solution->count] */
    beam_paper_status *paper_status; /* [solution->count]; of the paper method */
    lab_floor *floors;               /* [solution->count] */
    beam_ideal ideal;
    double ideal_us; /* time of both ideal values; part of solve_us for a front of the default
                        method, which computes them */
    double total_us; /* wall time of everything after loading */
} lab_run;

/* One entry per trade-off, in order. Results do not depend on the number of threads. */
beam_code lab_run_solve(lab_run *self, const lab_scene *scene, const lab_run_options *options,
                        int count, const double *tradeoffs, beam_error *err);
/* Exactly `points` entries, from the communication end to the sensing end. solve_us is the share of
 * one point. */
beam_code lab_run_front(lab_run *self, const lab_scene *scene, const lab_run_options *options,
                        int points, beam_error *err);
void lab_run_clear(lab_run *self);

/* Both normalising values by the default solver. */
beam_code lab_run_ideal(const beam_scene *scene, beam_ideal *ideal, double *us, beam_error *err);

#endif
