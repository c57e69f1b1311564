/* A design: one beam per user and sensing columns per station, in square-root watts at the
 * antennas. R_l = sum of v v^H over the users of l + B_l B_l^H (MATH 1). */
#ifndef BEAM_DESIGN_H
#define BEAM_DESIGN_H

#include "beam/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct beam_design {
    beam_dims dims;
    int sensing_max;    /* sensing columns allocated per station */
    int *sensing_count; /* [L] columns in use, 0..sensing_max */
    beam_complex
        *beams; /* [U][N] beam of user u, transmitted by its own station; order of the scene */
    beam_complex *sensing; /* [L][sensing_max][N]; row k is column k of B_l */
} beam_design;

/* Columns that always suffice: min(N, 2J) (MATH 1). Solvers write exactly this many or fewer. */
int beam_design_sensing_max(const beam_dims *dims);

size_t beam_design_memsize(const beam_dims *dims, int sensing_max);

/* Lays a zeroed design over `memory` (caller-owned, 64-byte aligned, beam_design_memsize bytes). */
beam_code beam_design_init(beam_design *design, const beam_dims *dims, int sensing_max,
                           void *memory, size_t size, beam_error *err);

/* Copies; fails when dims differ or the target has too few sensing columns. */
beam_code beam_design_copy(beam_design *to, const beam_design *from, beam_error *err);

/* Transmit power of station l in watt. user_station: [U] of the scene. */
double beam_design_power_w(const beam_design *design, const int *user_station, int station);

/* Scales every station whose power exceeds `inside` * power_w[l] down to it (inside <= 1, e.g. 1 -
 * 1e-11, so that rounding when printing cannot leave the budget). */
void beam_design_fit_budget(beam_design *design, const int *user_station, const double *power_w,
                            double inside);

#ifdef __cplusplus
}
#endif
#endif
