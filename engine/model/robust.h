/* The worst case of a point x (MATH 2): exact with Danskin gradients, smoothed with gradients, and
 * the closed-form bounds. All three share the spectra of the stations. Scaled coordinates of
 * beam_problem; rates in bit/s/Hz. Internal. */
#ifndef BEAM_ROBUST_H
#define BEAM_ROBUST_H

#include "model/problem.h"
#include "model/spectrum.h"
#include "model/trust_region.h"

/* Own-cell state of one user at the solution of the smoothed dual. */
struct beam_smooth_user {
    beam_own_system system;
    int active; /* 0: the worst case is zero signal, no gradient */
};

typedef struct beam_robust {
    const beam_problem *p;
    beam_spectrum *spectrum; /* [L] */
    int qp_max;
    /* per (l, u): coordinates of the estimate and of the correction y = g - x; worst channel = h -
     * U y */
    double *g, *y; /* [L][U] rows of 2*qp_max (used length 2*qp of the station) */
    double *cross; /* [L][U] worst-case interference power of station l at user u; 0 for the own */
    double *shift_cross;             /* [L][U] warm starts of the secular roots, smoothed dual */
    double *lambda_own;              /* [U] warm start of the own-cell multiplier, smoothed dual */
    double *eta_warm;                /* [U] */
    double *grad_coord;              /* [cols_max] rows of 2*qp_max */
    struct beam_smooth_user *smooth; /* [U] own-cell systems of the last smoothed evaluation */
    double mu;                       /* smoothing of the last smoothed evaluation */
    int warm;                        /* warm starts are valid */
    double sinr[BEAM_MAX_USERS];
    double rate[BEAM_MAX_USERS]; /* log2(1+sinr) */
    double signal[BEAM_MAX_USERS], own[BEAM_MAX_USERS],
        interference[BEAM_MAX_USERS]; /* interference: 1 + sum cross */
    double den[BEAM_MAX_USERS];       /* tr M Q' + I of the smoothed dual */
} beam_robust;

void beam_robust_carve(beam_robust *rb, beam_arena *arena, const beam_dims *max, int D_max,
                       int sensing_max);
/* After beam_problem_load: forget warm starts. */
void beam_robust_reset(beam_robust *rb, const beam_problem *p);

/* Exact worst case: fills sinr, rate, signal, own, cross and the worst channels. Returns the
 * weighted sum rate. */
double beam_robust_exact(beam_robust *rb, const double *x);
/* After beam_robust_exact of the same x: g += d/dx sum_u c_u rate_u. */
void beam_robust_exact_gradient(beam_robust *rb, const double *x, const double *c, double *g);
/* Worst channel of (l, u) after beam_robust_exact, a row of p->stride. */
void beam_robust_channel(const beam_robust *rb, int l, int u, double *row);
/* Nominal SINRs at the estimates. */
void beam_robust_nominal(const beam_robust *rb, const double *x, double *sinr);

/* Smoothed dual with mu^2 = (m eps)^2/D: fills sinr, rate. m > 0. Returns the weighted sum rate,
 * NAN on failure. */
double beam_robust_smooth(beam_robust *rb, const double *x, double m);
void beam_robust_smooth_gradient(beam_robust *rb, const double *x, const double *c, double *g);

/* Closed-form lower bound of every rate: signal (|h^H v| - eps|v|)_+^2, interference (sqrt(h^H R h)
 * + eps sqrt(lmax))^2. */
double beam_robust_bound(beam_robust *rb, const double *x);
void beam_robust_bound_gradient(beam_robust *rb, const double *x, const double *c, double *g);

/* Shared inside: spectra and coordinates of every estimate; warm: reuse the last rotations. */
void beam_robust_spectra(beam_robust *rb, const double *x, int warm, double tolerance);

static inline size_t beam_robust_at(const beam_robust *rb, int l, int u)
{
    return (size_t)l * (size_t)rb->p->U + (size_t)u;
}
static inline double *beam_robust_g(const beam_robust *rb, int l, int u)
{
    return rb->g + beam_robust_at(rb, l, u) * 2u * (size_t)rb->qp_max;
}
static inline double *beam_robust_y(const beam_robust *rb, int l, int u)
{
    return rb->y + beam_robust_at(rb, l, u) * 2u * (size_t)rb->qp_max;
}

#endif
