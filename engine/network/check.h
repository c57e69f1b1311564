/* The check of MATH 6 "Guarantees": exact numbers of the network's answer, of the warm start on the
 * new CSI and of the classical design; the best by merit is the answer. Candidates that cannot win
 * at a proven bound of their merit get no exact value. Float64 throughout, and nothing here asks
 * how good the network is. Internal to libbeam. */
#ifndef BEAM_NET_CHECK_H
#define BEAM_NET_CHECK_H

#include "beam/network.h"
#include "solver/solver_internal.h"

/* Scratch of the check, one per inference object. */
typedef struct beam_check {
    beam_rate_cut cut; /* of the warm start */
    beam_stage_mark *mark;
    void *mark_arg;
} beam_check;

/* A NULL-base arena only counts. */
void beam_check_carve(beam_check *c, beam_arena *arena, int users);

/* Lower bound of the merit of every classical design (RZF and least-CRLB rows) at u. Refined until
 * it reaches `target` or cannot. The solver is prepared and has ideal values. */
double beam_check_classical_bound(beam_solver *s, beam_preference u, double target);

/* network: a point, or NULL; warm: a point inside the budgets, or NULL. refine: quasi-Newton
 * iterations from the best candidate, 0: none. Leaves the answer in s->answer; *detail is filled
 * when it is not NULL. BEAM_E_NUMERIC: no candidate has a finite rate. */
beam_code beam_check_run(beam_check *c, beam_solver *s, beam_preference u, const double *network,
                         const double *warm, int refine, beam_result *result,
                         beam_inference_detail *detail, beam_error *err);

#endif
