/* Bounds on the classical designs of a scene, once per load, for all preferences.
 *
 * Along the share s of the power that goes to communication, R_l(s) = s R_beams + (1 - s)
 * R_sensing: the CRLB is convex in s (MATH 3), so that tangents lie below it, and the rate at fixed
 * admissible errors (rate_cut.h) is above the worst-case rate and rises with s: with S, A, B the
 * powers of signal, other beams and sensing at those errors, SINR <= s S/(s A + (1-s) B + 1). On
 * [a, b] no classical design is therefore better than f1 of the rate bound at b together with f2 of
 * the least value of the tangents at a and b. Internal to libbeam. */
#ifndef BEAM_CURVE_H
#define BEAM_CURVE_H

#include <stdbool.h>

#include "model/arena.h"
#include "model/problem.h"
#include "solver/rate_cut.h"

enum {
    BEAM_CURVE_NODES = 6,
    BEAM_CURVE_CUTS = 3,
    BEAM_CURVE_LEVELS = 2 /* of sharpness: 0 with the first cut only, 1 with all */
};

typedef struct beam_curve_node {
    double share;
    double wsr;         /* upper bound of the worst-case weighted sum rate, bit/s/Hz */
    double shortfall;   /* lower bound of the missed minimum rates, bit/s/Hz */
    double crlb, slope; /* CRLB and d CRLB / d share; slope NAN where it does not support */
} beam_curve_node;

typedef struct beam_curve {
    beam_rate_cut cut[BEAM_CURVE_CUTS];
    beam_complex *proj, *sum, *beams, *sensing, *T; /* Gram matrices [L][2J][2J] */
    bool dark[2]; /* some station lights some target with sensing rows only (0), beams only (1):
                     there the CRLB jumps at the end of the curve */
    bool never;   /* neither does: no tangent is trusted */
    beam_curve_node node[BEAM_CURVE_LEVELS][BEAM_CURVE_NODES];
    int levels; /* made so far, by beam_curve_level */
} beam_curve;

/* A NULL-base arena only counts. */
void beam_curve_carve(beam_curve *c, beam_arena *arena, const beam_dims *max);

/* A new scene. */
void beam_curve_reset(beam_curve *c);

/* The nodes of a level, made when they are first asked for. unit: beams and sensing rows of power 1
 * per station. The levels below count as made. */
const beam_curve_node *beam_curve_level(beam_curve *c, beam_problem *p, const double *unit,
                                        int level);

/* One more point of a level that has been made. */
beam_curve_node beam_curve_at(beam_curve *c, beam_problem *p, int level, double share);

/* Least CRLB that tangents allow between two nodes (a->share <= b->share). */
double beam_curve_least(const beam_curve_node *a, const beam_curve_node *b);

#endif
