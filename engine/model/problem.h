/* The problem in the coordinates that solvers and evaluators work in (internal to libbeam).
 *
 * Scaling: station budgets are 1, user noise is 1. channel h <- h sqrt(P_l)/sigma_u, eps likewise,
 * beams w <- w/sqrt(P_l), reflection <- reflection sqrt(P_l).  Reduction (MATH 4): per station an
 * orthonormal basis of span{h~_{l,u}, a_l(p_j), D a_l(p_j)} with the same radii; D = min(N, U +
 * 2J).  Without reduction D = N, basis NULL. Users are sorted by station here: order[k] is the
 * scene's index of user k.
 *
 * A point x is an array of `rows` rows of `stride` doubles: row = Dp real parts then Dp imaginary
 * parts, Dp = D rounded up to 4, padding zero. Rows of station l: first[l] .. first[l+1]-1, the
 * beams of its users, then its sensing columns. */
#ifndef BEAM_PROBLEM_H
#define BEAM_PROBLEM_H

#include "beam/design.h"
#include "beam/quality.h"
#include "beam/scene.h"
#include "model/arena.h"
#include "model/crlb.h"

typedef struct beam_problem {
    int L, N, U, J;
    int D, Dp, stride; /* stride = 2*Dp */
    int r;             /* sensing rows per station */
    int rows;          /* U + L*r */
    int cols_max;      /* largest number of rows of one station */
    int first[BEAM_MAX_STATIONS + 1];
    int K[BEAM_MAX_STATIONS]; /* users per station */
    int user_first[BEAM_MAX_STATIONS +
                   1];          /* users of station l: user_first[l] .. user_first[l+1]-1 */
    int own[BEAM_MAX_USERS];    /* station of (sorted) user k */
    int row_of[BEAM_MAX_USERS]; /* its row in x */
    int order[BEAM_MAX_USERS];  /* its index in the scene */
    double weight[BEAM_MAX_USERS];
    double min_rate[BEAM_MAX_USERS];
    double sqrt_power[BEAM_MAX_STATIONS]; /* sqrt(P_l), W^1/2 */
    double sigma[BEAM_MAX_USERS];         /* sqrt(noise), W^1/2 */
    double *h;                            /* [L][U] rows of stride doubles: estimates */
    double *hnorm2;                       /* [L][U] |h|^2 */
    double *eps;                          /* [L][U] */
    double *tx;                           /* [L][2J] rows: a_l(p_0), D a_l(p_0), a_l(p_1), ... */
    double *basis;                /* [L][D] rows of 2*Np doubles, orthonormal; NULL: identity */
    double *basis_memory, *spare; /* carved; spare: one full-space row */
    int Np;                       /* N rounded up to 4 */
    beam_crlb crlb;               /* sensing constants */
} beam_problem;

/* Lays out memory for the largest sizes; `reduce` chooses the coordinates. A carve with a NULL-base
 * arena only counts. */
void beam_problem_carve(beam_problem *p, beam_arena *arena, const beam_dims *max, int sensing_max,
                        bool reduce);

/* Reads a validated scene. users may be fewer than the maximum, the other sizes equal. */
beam_code beam_problem_load(beam_problem *p, const beam_scene *scene, bool reduce, beam_error *err);

/* Design (watt, N antennas, scene order) <-> point x. import projects on the basis and takes the
 * first p->r sensing columns of a station; export scales each station into its budget (times 1 -
 * 1e-12) when it is over it. */
void beam_problem_import(const beam_problem *p, const beam_design *design, double *x);
/* The first `count` sensing columns of a station as rows. */
void beam_problem_import_columns(const beam_problem *p, const beam_design *design, int station,
                                 int count, double *rows);
void beam_problem_export(const beam_problem *p, const double *x, beam_design *design);

/* proj[row][q] = t_q^H w for every row w of station l, t over the tx rows of l: [rows][2J]. Then
 * the Gram matrices of the transmit directions, S_l[p][q] = t_p^H R_l t_q = sum_w proj[w][p]
 * conj(proj[w][q]): [L][2J][2J]. */
void beam_problem_sensing_gram(const beam_problem *p, const double *x, beam_complex *proj,
                               beam_complex *gram);
/* g += scale * 2 * G_l w for every row w, G_l = -sum_{pq} t_p T_l[p][q] t_q^H, with proj of the
 * same x. */
void beam_problem_sensing_pull(const beam_problem *p, const beam_complex *proj,
                               const beam_complex *T, double scale, double *g);

/* Squared norm of the rows of station l: its power as a share of the budget. */
double beam_problem_power(const beam_problem *p, const double *x, int station);

#endif
