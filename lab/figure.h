/* Figures 3 and 4 of the paper: worst-case WSR against CRLB, averaged over random scenes at fixed
 * CRLB/CRLB_min levels, for four error radii (3) or four powers (4), by the default solver, mode
 * paper and the classical designs. */
#ifndef LAB_FIGURE_H
#define LAB_FIGURE_H

#include <stdbool.h>
#include <stdint.h>

#include "beam/error.h"

typedef struct lab_figure_options {
    int figure; /* 3 or 4 */
    int scenes, points;
    int paper_scenes, paper_points; /* of mode paper, which is slow: fewer scenes and points */
    int threads;
    uint64_t first_seed;
} lab_figure_options;
lab_figure_options lab_figure_options_default(void);

typedef struct lab_figure lab_figure;

/* NULL on error; shows progress. */
lab_figure *lab_figure_compute(const lab_figure_options *options, beam_error *err);
void lab_figure_destroy(lab_figure **self);

/* Prints levels and trends on stdout; true if the trends that must hold do hold for the default
 * solver. */
bool lab_figure_report(const lab_figure *self);

/* figureN.dat, figureN.gp and, by gnuplot, figureN.png and figureN.svg. */
beam_code lab_figure_write(const lab_figure *self, const char *folder, beam_error *err);

#endif
