/* Upper bounds of worst-case rates: the rate at any admissible errors is one, and a few steps of a
 * greedy adversary find errors that are nearly the worst at a fraction of the exact lower level's
 * cost. What cannot win even at such a bound needs no exact value. Internal to libbeam.
 *
 * A cut fixes one admissible channel per station and user. For a point whose beam rows are scaled
 * by sqrt(s) and whose sensing rows by sqrt(t), the SINR of user u there is
 *     s signal_u / (s beams_u + t sensing_u + 1)  >=  its worst case. */
#ifndef BEAM_RATE_CUT_H
#define BEAM_RATE_CUT_H

#include "model/arena.h"
#include "model/problem.h"

typedef struct beam_rate_cut {
    double *signal;  /* [U] |x^H v_u|^2 */
    double *beams;   /* [U] power of all other users' beams, own cell and others */
    double *sensing; /* [U] power of all sensing rows */
} beam_rate_cut;

/* A NULL-base arena only counts. */
void beam_rate_cut_carve(beam_rate_cut *cut, beam_arena *arena, int users);

/* Errors that are bad for `x` with its beam rows scaled by sqrt(beams) and its sensing rows by
 * sqrt(sensing); the cut is written for x itself. steps: of the adversary per channel, 1 or more.
 */
void beam_rate_cut_make(beam_rate_cut *cut, const beam_problem *p, const double *x, double beams,
                        double sensing, int steps);

static inline double beam_rate_cut_sinr(const beam_rate_cut *cut, int user, double beams,
                                        double sensing)
{
    return beams * cut->signal[user] /
           (beams * cut->beams[user] + sensing * cut->sensing[user] + 1.0);
}

#endif
