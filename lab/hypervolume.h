/* Hypervolume of a set of (worst-case WSR, CRLB) points against a reference front, as FORMATS
 * section 3 defines it: f1 = (ideal - wsr)/(0.5 ideal), f2 = ln(crlb/min)/ln 4, area dominated
 * below (1,1), coordinates clipped below at `low`. */
#ifndef LAB_HYPERVOLUME_H
#define LAB_HYPERVOLUME_H

#include "lab/format.h"

#define LAB_HYPERVOLUME_LOW (-0.05) /* a set that beats the reference earns more than the box */

typedef struct lab_point {
    double f1, f2;
} lab_point;

lab_point lab_point_scaled(double wsr_ideal_bps_hz, double crlb_min_m2, double wsr_bps_hz,
                           double crlb_m2);

/* In place: clips at low, drops points that count nothing (f >= 1, not finite) or are dominated,
 * sorts by f1. Returns how many are left. */
int lab_points_prune(lab_point *points, int count, double low);

/* Area of pruned points. */
double lab_points_area(const lab_point *points, int count);

/* Largest area that k of the pruned points can reach; -1 when out of memory. */
double lab_points_best_subset(const lab_point *points, int count, int k);

typedef struct lab_hypervolume {
    double hv, hv_reference, ratio;
    double hv_reference_same_count, ratio_same_count;
    double hv_box;         /* clipped at 0 */
    double min_f1, min_f2; /* negative: an end beats the reference; NAN without points */
} lab_hypervolume;

/* points: (wsr_worst_case_bps_hz, crlb_m2) of `count` designs, INFINITY where not identifiable.
 * same_count: entries requested. */
beam_code lab_hypervolume_compute(const double (*points)[2], int count,
                                  const lab_reference *reference, int same_count,
                                  lab_hypervolume *out, beam_error *err);

#endif
