/* beamctl front: what is drawn, and the two ways of drawing it. */
#ifndef BEAMCTL_FRONT_H
#define BEAMCTL_FRONT_H

#include <stdio.h>

#include "beamc/beamc.h"

enum { FRONT_POINTS_MAX = 65, FRONT_MARKS_MAX = 4 };

/* Of the last answer: where the cluster is now. */
typedef struct front_mark {
    char name[32]; /* of the preference, empty: the unnamed one */
    double tradeoff;
    double wsr_worst_case_bps_hz;
    bool crlb_valid;
    double crlb_m2;
    uint64_t csi_sequence;
} front_mark;

typedef struct front_view {
    char cluster[64];
    uint64_t csi_sequence, target_sequence;
    unsigned subband;
    double wsr_ideal_bps_hz, crlb_min_m2;
    uint64_t solve_ns;
    beamc_front_point points[FRONT_POINTS_MAX];
    size_t point_count;
    front_mark marks[FRONT_MARKS_MAX];
    size_t mark_count;
} front_view;

/* Square root of the CRLB; NAN where a target cannot be located. */
double front_rms_m(bool crlb_valid, double crlb_m2);
/* The character of mark k: 'O' for the unnamed one, '1' and on for named ones. */
char front_mark_sign(const front_view *view, size_t k);

/* Plain characters, at most `columns` wide (at least 40 are used) and `rows` high (at least 8). */
void front_draw(FILE *out, const front_view *view, int columns, int rows);
/* A whole SVG document, readable without colours. */
void front_svg(FILE *out, const front_view *view);

#endif
