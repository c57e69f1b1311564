/* Mode paper, inside: Algorithm 1 as printed (MATH 5) with each repair a switch. Internal to
 * libbeam.
 *
 * Variables x = (gamma, delta), an array of n doubles in rows of p->stride: first gamma, per
 * station its beams and then either the r columns of B_l (repair psd) or the N columns of a
 * Hermitian Q_l; then delta, one row per link (l, u). The channel error is Delta = unit * delta
 * with unit = 1, or the radius (repair units); unit = 0 where the radius is 0, so that exactly
 * known links are no variables. Full antenna space, scaled problem (budgets 1, noise 1).
 *
 * Symbols: gamma_bar the linearisation point of (15), phi the lower-level map (16), g the gap (17),
 * eta_delta = rate. */
#ifndef BEAM_PAPER_INTERNAL_H
#define BEAM_PAPER_INTERNAL_H

#include "beam/paper.h"
#include "model/arena.h"
#include "model/problem.h"
#include "solver/min_norm.h"

enum {
    BEAM_PAPER_MAX_CUTS = 32,
    BEAM_PAPER_MAX_STEPS = 1000,
    BEAM_PAPER_MAX_PREFERENCES = 4096,
    /* objectives, two cone rows, one per station, cuts */
    BEAM_PAPER_MAX_ROWS = 4 + BEAM_MAX_STATIONS + BEAM_PAPER_MAX_CUTS
};
_Static_assert((int)BEAM_PAPER_MAX_ROWS <= (int)BEAM_MIN_NORM_MAX,
               "the direction problem must fit");

/* Where the variables lie. */
typedef struct beam_paper_space {
    const beam_problem *p;
    bool psd;
    int sensing;                      /* rows of sensing per station: p->r or p->D */
    int first[BEAM_MAX_STATIONS + 1]; /* rows of gamma of station l */
    int cols_max;                     /* largest number of rows of one station */
    int gamma, delta, n;              /* doubles: gamma, delta, both */
    double *unit;                     /* [L][U] */
    double *radius;                   /* [L][U] in units of delta: 0, eps or 1 */
} beam_paper_space;

void beam_paper_space_carve(beam_paper_space *s, beam_arena *arena, const beam_problem *p,
                            unsigned repairs);
void beam_paper_space_load(beam_paper_space *s, unsigned repairs);
/* sum |v|^2 + tr Q of station l (budget 1), its gradient times `scale` added to `to` (rows of
 * gamma), the inner product of that gradient with a vector, and gamma of the station scaled to the
 * power 1. */
double beam_paper_power(const beam_paper_space *s, const double *gamma, int l);
void beam_paper_power_add(const beam_paper_space *s, const double *gamma, int l, double scale,
                          double *to);
double beam_paper_power_dot(const beam_paper_space *s, const double *gamma, int l,
                            const double *vector);
double beam_paper_power_norm2(const beam_paper_space *s, const double *gamma, int l);
void beam_paper_scale_power(const beam_paper_space *s, double *gamma, int l, double power);

/* WSR(gamma, delta) in bit/s/Hz at the iterate's delta, its gradient and Hessian-vector products
 * (paper_rate.c). */
typedef struct beam_paper_rate {
    double *channel, *channel_dot; /* [L][U] rows: h~ + unit delta and its tangent */
    double *product,
        *product_dot; /* [L][U][cols_max] complex h^H w of every row w of the station (not of Q) */
    double *image, *image_dot;      /* [L][U] rows: Q h; NULL with repair psd */
    double *signal, *noise;         /* [U] S_u and I_u (interference + 1) */
    double *signal_dot, *noise_dot; /* [U] */
} beam_paper_rate;

void beam_paper_rate_carve(beam_paper_rate *r, beam_arena *arena, const beam_paper_space *s);
/* NAN when some I_u <= 0, which only an indefinite Q can cause. delta NULL: 0. */
double beam_paper_rate_value(beam_paper_rate *r, const beam_paper_space *s, const double *gamma,
                             const double *delta);
/* At the point of the last value call. Overwrites; either output may be NULL. */
void beam_paper_rate_gradient(beam_paper_rate *r, const beam_paper_space *s, const double *gamma,
                              double *to_gamma, double *to_delta);
/* Hessian times (along_gamma, along_delta), either NULL for zero; outputs as above. */
void beam_paper_rate_hessian(beam_paper_rate *r, const beam_paper_space *s, const double *gamma,
                             const double *along_gamma, const double *along_delta, double *to_gamma,
                             double *to_delta);

/* CRLB(gamma) in m^2 and its gradient (overwritten; NULL for the value alone) (paper_sensing.c). */
typedef struct beam_paper_sensing {
    beam_complex *gram, *weight; /* [L][2J][2J] */
    beam_complex *product;       /* [cols of all stations][2J] t^H w */
} beam_paper_sensing;

void beam_paper_sensing_carve(beam_paper_sensing *c, beam_arena *arena, const beam_paper_space *s);
double beam_paper_sensing_value(beam_paper_sensing *c, beam_problem *p, const beam_paper_space *s,
                                const double *gamma, double *to_gamma);

/* Lower level (15), (16) (paper_lower.c). */
typedef struct beam_paper_lower {
    int steps;          /* K_GD */
    bool ball;          /* |Delta|^2 <= eps^2 instead of |Delta| + zeta^2 = eps */
    bool normalised;    /* a step size per link (repair units) instead of one */
    double *gamma_bar;  /* [gamma] linearisation point */
    double *rate, *rho; /* [L][U] eta_delta and penalty: functions of gamma_bar only */
    double *path;       /* [K_GD + 1][delta] delta'_k */
    double *zeta, *y;   /* [K_GD + 1][L][U] slack and multiplier before step k */
    double *gradient, *image, *adjoint, *pull; /* [delta] scratch */
    double *along;                             /* [gamma] scratch: gamma - gamma_bar */
    double *cross, *step_cross;                /* [gamma] scratch */
    double *link_adjoint;                      /* [2][L][U] scratch: of zeta and y */
} beam_paper_lower;

void beam_paper_lower_carve(beam_paper_lower *w, beam_arena *arena, const beam_paper_space *s,
                            int steps);
/* Moves the linearisation point and sets the step sizes that belong to it. */
void beam_paper_lower_linearise(beam_paper_lower *w, beam_paper_rate *r, const beam_paper_space *s,
                                const double *gamma);
/* phi(gamma): [delta], a pointer into the object, valid until the next call. */
const double *beam_paper_lower_map(beam_paper_lower *w, beam_paper_rate *r,
                                   const beam_paper_space *s, const double *gamma);
/* g(gamma, delta) = |delta - phi(gamma)|^2; gradient [n] or NULL. The gradient is exact for K_GD =
 * 1 at every gamma (phi is affine) and for K_GD > 1 at gamma = gamma_bar, where it is used. */
double beam_paper_lower_gap(beam_paper_lower *w, beam_paper_rate *r, const beam_paper_space *s,
                            const double *x, double *gradient);

/* Cutting planes (18)-(20) (paper_cuts.c): a^T gamma + b^T delta + kappa <= 0. */
typedef struct beam_paper_cuts {
    int count, max, n;
    double *normal; /* [max][n] (a, b) */
    double *offset; /* [max] kappa */
} beam_paper_cuts;

void beam_paper_cuts_carve(beam_paper_cuts *c, beam_arena *arena, int max, int n);
double beam_paper_cut_value(const beam_paper_cuts *c, int cut, const double *x);
/* The drop rule: cuts that hold strictly at x leave. */
void beam_paper_cuts_drop(beam_paper_cuts *c, const double *x);
/* Adds the plane of g at x; the oldest leaves when there is no room. */
void beam_paper_cuts_add(beam_paper_cuts *c, const double *x, double gap, const double *gradient,
                         double slack);

/* Direction (22) in its dual (paper_direction.c). Every row is a combination of base vectors: 0, 1
 * the objectives, 2 + l the power gradient of station l, 2 + L + c the cuts; so is d. */
typedef struct beam_paper_direction {
    int base, rows;
    double gram[BEAM_PAPER_MAX_ROWS][BEAM_PAPER_MAX_ROWS]; /* of the base vectors */
    double row[BEAM_PAPER_MAX_ROWS][BEAM_PAPER_MAX_ROWS];  /* [row][base] as (22) has them */
    bool bound[BEAM_MAX_STATIONS]; /* at the budget, which scaling holds (repair budget): d must not
                                      point outward */
    bool held[BEAM_MAX_STATIONS];  /* of those, where d would: rows are projected on the tangent */
    double combo[BEAM_PAPER_MAX_ROWS]; /* d = sum_b combo_b base_b */
    double slope[BEAM_PAPER_MAX_ROWS]; /* base_b^T d */
    double norm2;                      /* |d|^2 */
    double phi;                        /* largest row^T d: -|d|^2 up to rounding */
} beam_paper_direction;

/* From base, rows, gram, row, bound (stations: how many): held, combo, slope, norm2, phi. -1: not
 * finite. */
int beam_paper_direction_solve(beam_paper_direction *d, int stations);

typedef struct beam_paper_loss {
    double wsr, crlb;
    double f[2]; /* F, as the descent sees it: (f1, f2) with repair units, else (-WSR, CRLB) */
    double q[2]; /* F - e of the cone rows */
} beam_paper_loss;

struct beam_paper {
    beam_dims dims;
    beam_paper_options options;
    beam_problem problem;
    beam_paper_space space;
    beam_paper_rate rate;
    beam_paper_sensing sensing;
    beam_paper_lower lower;
    beam_paper_cuts cuts;
    beam_paper_direction direction;
    beam_evaluator *evaluator;
    beam_design design; /* scratch of the exact report */
    beam_quality quality;
    beam_ideal ideal;
    bool loaded, counts[2];      /* counts: the objective exists in this scene */
    int k;                       /* subproblem */
    double *x, *trial, *step;    /* [n] */
    double *gradient[2];         /* [n], [gamma] of F */
    double *scratch;             /* [n] */
    double *rows, *best;         /* [p->rows] rows: a point of the problem */
    double *hermitian, *vectors; /* raw Q: [D][D] complex scratch */
};

/* The preference vector of subproblem k of K: trade-offs evenly spaced over [0, 1]; K = 1: the
 * middle. */
beam_preference beam_paper_preference(int k, int count);
/* r_j at the losses q; the first and last j != k with r_j >= threshold, or -1; returns the largest
 * r_j (-INFINITY: K = 1). */
double beam_paper_cone(int k, int count, const double *q, double threshold, int *first, int *last);

/* paper_point.c */
beam_paper_loss beam_paper_loss_at(beam_paper *self, const double *x);
/* Losses and both gradients of F. */
beam_paper_loss beam_paper_gradients(beam_paper *self);
/* gamma -> rows of the problem (raw Q: projected on the cone where indefinite, then the columns
 * that matter). */
void beam_paper_to_rows(beam_paper *self, const double *gamma, double *rows);
void beam_paper_from_rows(beam_paper *self, const double *rows, double *gamma);
/* Start inside the budget. start NULL: random. */
void beam_paper_start(beam_paper *self, unsigned long long seed, const beam_design *start);
/* Raw Q: some Q_l has an eigenvalue below -1e-9 of its trace. */
bool beam_paper_indefinite(beam_paper *self, const double *gamma);
/* paper_step.c: the active rows and d; *feasibility turns false when no cone row is violated. -1:
 * not finite. */
int beam_paper_find_direction(beam_paper *self, const beam_paper_loss *loss, bool *feasibility);
/* (23) with the largest admissible step 2^-j, which is returned; 0: none was, x unchanged. */
double beam_paper_take_step(beam_paper *self, const beam_paper_loss *loss, bool feasibility);

/* A = V diag(value) V^H of a Hermitian n x n matrix by Jacobi rotations; A is destroyed,
 * eigenvalues on its diagonal. */
void beam_paper_eigen(int n, beam_complex *A, beam_complex *V);

#endif
