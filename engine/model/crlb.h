/* Cramer-Rao bound on the target positions (MATH 3) as a function of the 2J x 2J Gram matrices
 * S_l = [a, Da]^H R_l [a, Da], a over the targets: order a(p_0), D a(p_0), a(p_1), ... All three
 * models depend on R_l only through them, and their gradient is G_l = -[a, Da] T_l [a, Da]^H.
 * Internal to libbeam. */
#ifndef BEAM_CRLB_H
#define BEAM_CRLB_H

#include "beam/quality.h"
#include "beam/scene.h"
#include "model/arena.h"

typedef struct beam_crlb {
    int L, J, N;
    beam_sensing_model model;
    double bandwidth_hz;
    double V;                 /* (N^2-1)/12 */
    double *kappa;            /* [L] 2T/sigma_r^2 of receiver m */
    double *g;                /* [L][J][2] gradient of omega, rad/m */
    double *tau_s;            /* [L][J] one-way delay, s */
    double *q;                /* [L][J][2] gradient of the one-way delay, s/m */
    double *P0, *P2;          /* [L][J][4] row-major 2x2 (MATH 3), transmit power 1 */
    double *snr_gain;         /* [L][J] echo SNR per unit of a^H R a: sum_m kappa_m/2 |alpha|^2 N */
    double *x0_guard;         /* [L] 1e-12 * N (scaled budget 1): below it the target is not lit */
    beam_complex *reflection; /* [L][J][L], scaled by sqrt(P_l) */
    beam_complex *rx; /* [L][2J][2J] receive-side Gram [a,Da]^H [a,Da] in the full antenna space */
    beam_target_state geometry[BEAM_MAX_TARGETS]; /* what no waveform can locate */
    bool skip_unidentifiable;
    int counted;   /* targets in the sum */
    void *scratch; /* for coherent and band */
    size_t scratch_size;
} beam_crlb;

void beam_crlb_carve(beam_crlb *c, beam_arena *arena, int L, int J);
/* Constants from a validated scene. */
void beam_crlb_load(beam_crlb *c, const beam_scene *scene);

/* gram: [L][2J][2J] (row p column q: t_p^H R t_q) -> sum over counted targets of tr J_j^-1,
 * INFINITY when one of them is not identifiable. T: [L][2J][2J] Hermitian or NULL. target_crlb: [J]
 * per-target bound or NULL (INFINITY where not identifiable, also for skipped ones). Not
 * thread-safe on one object (scratch). */
double beam_crlb_value(beam_crlb *c, const beam_complex *gram, beam_complex *T,
                       double *target_crlb);

/* The coupled models, same contract; called by beam_crlb_value. */
double beam_crlb_coupled_value(beam_crlb *c, const beam_complex *gram, beam_complex *T,
                               double *target_crlb);
size_t beam_crlb_coupled_scratch(int L, int J);

#endif
