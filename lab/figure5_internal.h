/* What the files of figure 5 share. A *case* is a scene at a trade-off; a contender is run on it
 * with growing budgets (iterations, layers), each run from the beginning and timed on its own, so
 * that nothing but the work itself is in the clock. */
#ifndef LAB_FIGURE5_INTERNAL_H
#define LAB_FIGURE5_INTERNAL_H

#include "lab/figure5.h"
#include "lab/owned.h"
#include "lab/progress.h"
#include "lab/runner_network.h"

typedef enum lab_contender {
    LAB_CONTENDER_PAPER = 0, /* Algorithm 1 from random beams, as printed, repaired */
    LAB_CONTENDER_PAPER_RZF, /* the same from the classical design */
    LAB_CONTENDER_SOLVER,    /* the default solver, cold */
    LAB_CONTENDER_CHAIN,     /* batch only: warm-started from the preference before */
    LAB_CONTENDER_MLP,
    LAB_CONTENDER_NETWORK, /* equivariant */
    LAB_CONTENDER_REFINED, /* equivariant, then quasi-Newton steps */
    LAB_CONTENDER_DEVICE,  /* equivariant, on the device of the options */
    LAB_CONTENDER_DEVICE_REFINED,
    LAB_CONTENDERS
} lab_contender;

/* One case at a time, and all preferences of all scenes together. */
typedef enum lab_setting { LAB_ALONE = 0, LAB_BATCH = 1, LAB_SETTINGS = 2 } lab_setting;

/* Exact numbers of a design, recomputed at the antennas. */
typedef struct lab_quality_point {
    double merit, wsr_bps_hz, crlb_m2; /* crlb_m2: INFINITY where not identifiable */
} lab_quality_point;

typedef struct lab_sample {
    double us; /* per solution */
    lab_quality_point quality;
} lab_sample;

typedef struct lab_series {
    int count; /* of budgets; 0: this contender was not run */
    int *budgets;
    lab_sample *samples; /* [cases][count] */
} lab_series;

typedef struct lab_figure5_set {
    int points, cases; /* trade-offs per scene; scenes * points */
    double *tradeoffs; /* [points] */
    lab_quality_point *reference;
    lab_series series[LAB_CONTENDERS];
    /* of the run at hand, [cases] */
    lab_design *out;
    beam_result *results;
    beam_network_request *requests;
    lab_figure5_request *asked; /* of the device */
    bool *ended;                /* more budget would change nothing */
} lab_figure5_set;

typedef struct lab_figure5_place {
    lab_scene *scene;
    double error_relative;
    beam_ideal ideal;
    lab_solver solver; /* timed */
    lab_solver strict; /* run to convergence, for the reference */
    lab_evaluator evaluator;
    lab_reference *golden; /* NULL: a random scene */
} lab_figure5_place;

struct lab_figure5 {
    lab_figure5_options options;
    int golden;                /* scenes before the random ones; options.scenes counts both */
    lab_figure5_place *places; /* [scenes] */
    lab_figure5_set sets[LAB_SETTINGS];
    lab_paper paper;            /* any of the scenes: they have one size */
    long paper_left;            /* iterations before it is told to stop */
    lab_inference inference[2]; /* of the equivariant network, of the mlp */
    lab_design spare;
    double *scratch; /* [cases of the larger set], for quartiles */
    lab_progress progress;
};

/* K of mode paper: a trade-off is solved as the nearest of so many evenly spaced subproblems. */
enum { LAB_FIGURE5_CONES = 33 };

/* A merit may exceed the reference's by `percent` of this. */
double lab_figure5_scale(const lab_quality_point *reference);

const char *lab_contender_name(lab_contender contender);   /* one word */
const char *lab_contender_title(lab_contender contender);  /* in the picture */
const char *lab_contender_budget(lab_contender contender); /* "iterations", "layers", "steps" */

/* --- figure5_reference.c --- */

/* Exact numbers of a design at a trade-off. BEAM_E_NUMERIC: outside the budgets. */
beam_code lab_figure5_judge(lab_figure5_place *place, double tradeoff, const beam_design *design,
                            lab_quality_point *quality, beam_error *err);
/* Ideal values of the scene and the best that many starts of the default solver run to convergence
 * find for its cases. */
beam_code lab_figure5_solve_reference(lab_figure5 *self, int scene, beam_error *err);
/* The reference of a case becomes what a strict solve from `design` finds, if that is better. */
beam_code lab_figure5_improve(lab_figure5 *self, lab_figure5_set *set, int index,
                              const beam_design *design, beam_error *err);

/* --- figure5_run.c --- */

/* The budgets of a contender (malloc) and how many; *count = 0: not run in this setting. */
beam_code lab_figure5_budgets(const lab_figure5 *self, lab_setting setting, lab_contender contender,
                              int **budgets, int *count, beam_error *err);
/* All budgets of a contender on all cases of a setting. */
beam_code lab_figure5_run(lab_figure5 *self, lab_setting setting, lab_contender contender,
                          beam_error *err);
bool lab_figure5_paper_expired(void *self);

#endif
