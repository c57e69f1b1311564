/* An axis: a range that holds all values, and ticks at round numbers. */
#ifndef BEAMCTL_AXIS_H
#define BEAMCTL_AXIS_H

#include <stdbool.h>
#include <stddef.h>

enum { AXIS_TICKS_MAX = 24, AXIS_LABEL_BYTES = 16 };

typedef struct axis {
    double low, high; /* low < high, both finite; with `logarithmic` both above zero */
    bool logarithmic;
    int tick_count;
    double tick[AXIS_TICKS_MAX]; /* within low .. high, ascending */
    char label[AXIS_TICKS_MAX][AXIS_LABEL_BYTES];
} axis;

/* Fits all finite values; without one the range is 0 .. 1. Logarithmic when asked for, all values
 * are above zero and the largest is over ten times the least. About `ticks` ticks (2 to 10). */
void axis_fit(axis *self, const double *values, size_t count, bool may_be_logarithmic, int ticks);
/* 0 at low, 1 at high, linear between in the axis' own scale; not bounded. */
double axis_place(const axis *self, double value);

#endif
