/* Figure 5 of the paper: convergence against wall time of the paper's algorithm, the default solver
 * and the networks, all in one run on one core (MATH 7). */
#ifndef LAB_FIGURE5_H
#define LAB_FIGURE5_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lab/model_file.h"

/* One answer asked of a device. */
typedef struct lab_figure5_request {
    int scene; /* of open */
    double tradeoff;
    int layers, refine; /* 0: all layers; iterations after the check */
    beam_design *out;   /* sizes of the scene */
} lab_figure5_request;

/* Somebody else who answers, a GPU: the caller's. */
typedef struct lab_figure5_device {
    void *self;
    bool refines; /* false: never asked to */
    /* Once, outside the clock: what belongs to geometry and budgets, and room for `most` requests
     * at a time. sensing: least-CRLB rows as designs (their beams are ignored). */
    beam_code (*open)(void *self, int scenes, const beam_scene *const *scene,
                      const beam_ideal *ideal, const beam_design *const *sensing, int most,
                      beam_error *err);
    /* In the clock: from the channels to checked beams in host memory. */
    beam_code (*run)(void *self, int count, const lab_figure5_request *requests, beam_error *err);
} lab_figure5_device;

typedef struct lab_figure5_options {
    int scenes;         /* random ones */
    const char *golden; /* folder: the oracle's scenes of the paper's size before them; or NULL */
    uint64_t seed;
    double error_relative;            /* of every scene; NAN: drawn, 0.05 to 0.2 */
    int tradeoff_count;               /* of one scene alone */
    const double *tradeoffs;          /* [tradeoff_count] in [0,1] */
    int preferences;                  /* of the batch: 0 ... 1, evenly spaced, for every scene */
    int repeats;                      /* of every timed run, of which the shortest counts */
    int paper_iterations;             /* at most */
    const lab_model *network;         /* equivariant */
    const lab_model *mlp;             /* NULL: left out */
    const lab_figure5_device *device; /* of the same network; NULL: left out */
    bool cpu_clock;                   /* what lab_clock_ns counts, for the captions */
    const char *command;              /* for the files */
} lab_figure5_options;
lab_figure5_options lab_figure5_options_default(void);

typedef struct lab_figure5 lab_figure5;

/* NULL on error; shows progress. Errors: BEAM_E_INVALID with the option at fault ("model", "mlp")
 * before anything is computed, else those of the engine. The models must outlive the object. */
lab_figure5 *lab_figure5_compute(const lab_figure5_options *options, beam_error *err);
void lab_figure5_destroy(lab_figure5 **self);

/* Times and their ratios on stdout. */
void lab_figure5_report(const lab_figure5 *self);

/* One JSON object a line: how long each contender takes to each quality, medians and tails. */
void lab_figure5_write_lines(const lab_figure5 *self, FILE *file);

/* figure5.csv (every sample), figure5.dat (medians), figure5.gp and, by gnuplot, figure5.png and
 * figure5.svg. */
beam_code lab_figure5_write(const lab_figure5 *self, const char *folder, beam_error *err);

#endif
