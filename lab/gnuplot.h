/* Pictures through gnuplot, started directly (no shell). */
#ifndef LAB_GNUPLOT_H
#define LAB_GNUPLOT_H

#include <stdio.h>

#include "beam/error.h"

/* Feeds `script` (rewound) to gnuplot, run in `folder` (NULL: here). */
beam_code lab_gnuplot_run(FILE *script, const char *folder, beam_error *err);

/* 'text' as a gnuplot string, quotes doubled. */
void lab_gnuplot_quote(FILE *script, const char *text);

/* A logarithmic axis ('x' or 'y') from low to high with labelled steps even when it spans less than
 * a decade. */
void lab_gnuplot_log_axis(FILE *script, char axis, double low, double high);

/* Grid, borders, legend: the look of every picture. */
void lab_gnuplot_look(FILE *script);

#endif
