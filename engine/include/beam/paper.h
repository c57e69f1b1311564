/* BOBLRBF as printed: Algorithm 1 of Chen & Yang (AAAI-25) with each repair of MATH 5 a switch. For
 * comparison; it shares no step code with the default mode. K subproblems are independent: the
 * caller runs them on its threads, each with its own beam_paper object. */
#ifndef BEAM_PAPER_H
#define BEAM_PAPER_H

#include "beam/design.h"
#include "beam/quality.h"
#include "beam/scene.h"
#include "beam/solver.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum beam_repair {
    BEAM_REPAIR_PSD = 1 << 0,    /* Q = B B^H; off: raw Q, may turn indefinite */
    BEAM_REPAIR_UNITS = 1 << 1,  /* scaled losses f1, f2 instead of bit/s/Hz and m^2 */
    BEAM_REPAIR_PHASE0 = 1 << 2, /* feasibility phase: descend violated cone rows first */
    BEAM_REPAIR_BUDGET = 1 << 3, /* power held by scaling per station, not only by active rows */
    BEAM_REPAIR_BALL = 1 << 4,   /* |Delta|^2 <= eps^2 instead of the slack form */
    BEAM_REPAIR_FRESH_CUTS = 1 << 5,    /* cuts dropped when their linearisation point moves */
    BEAM_REPAIR_FEASIBLE_STEP = 1 << 6, /* the line search also holds the constraints */
    BEAM_REPAIR_EXACT_REPORT =
        1 << 7, /* report (and choose the returned iterate by) the exact worst case */
    BEAM_REPAIR_ALL = (1 << 8) - 1
} beam_repair;

/* "psd", "units", ...: the name of one bit, NULL if none. */
const char *beam_repair_name(beam_repair repair);
/* "all", "none" or a comma list -> bits; BEAM_E_INVALID names the unknown word. */
beam_code beam_repairs_parse(const char *text, unsigned *repairs, beam_error *err);

typedef struct beam_paper_options {
    unsigned repairs;   /* bits of beam_repair; default all */
    int preferences;    /* K, default 16 */
    int lower_steps;    /* K_GD, default 20 (1 for Theorem 1) */
    int cut_period;     /* k_pre, default 10 */
    int max_cuts;       /* kept at most, default 8 */
    int max_iterations; /* default 400 */
    double armijo;      /* varsigma, default 1e-4 */
    double tolerance;   /* stop when the direction is shorter, default 1e-6 */
    double cut_slack;   /* epsilon_g as a multiple of sum eps^2, default 1e-3 */
    bool (*expired)(void *arg);
    void *expired_arg;
} beam_paper_options;
beam_paper_options beam_paper_options_default(void);

/* One iterate, reported so that convergence can be plotted. */
typedef struct beam_paper_iterate {
    int iteration;
    double wsr_at_delta_bps_hz;   /* the WSR that the algorithm sees, at the iterate's delta */
    double wsr_worst_case_bps_hz; /* exact, at the same beams */
    double crlb_m2;               /* INFINITY if not identifiable */
    double direction_norm;        /* |d| */
    double lower_gap; /* g(gamma, delta) = |delta - phi(gamma)|^2, in the units of the run: radii
                       * with repair units, else noise-normalised channels; not finite where the
                       * steps (16) diverge */
    double step;      /* eta */
    int cuts;
    bool indefinite; /* psd off: some Q_l has a negative eigenvalue */
} beam_paper_iterate;
typedef void beam_paper_report(void *arg, const beam_paper_iterate *iterate);

typedef enum beam_paper_status {
    BEAM_PAPER_CRITICAL = 0, /* |d| <= tolerance: Pareto-critical for the subproblem */
    BEAM_PAPER_ITERATION_LIMIT = 1,
    BEAM_PAPER_NO_STEP = 2,    /* the line search found no admissible step */
    BEAM_PAPER_INDEFINITE = 3, /* Q left the cone (psd off); projected when written */
    BEAM_PAPER_TIME_LIMIT = 4,
    BEAM_PAPER_NUMERIC = 5
} beam_paper_status;
const char *beam_paper_status_text(beam_paper_status status);

typedef struct beam_paper beam_paper;
size_t beam_paper_memsize(const beam_dims *dims, const beam_paper_options *options);
beam_code beam_paper_init(beam_paper **out, const beam_dims *dims,
                          const beam_paper_options *options, void *memory, size_t size,
                          beam_error *err);
beam_code beam_paper_load(beam_paper *self, const beam_scene *scene, const beam_ideal *ideal,
                          beam_error *err);

/* Subproblem k of K, at trade-off k/(K-1) (K = 1: 0.5), from `start` (NULL: random beams inside the
 * budget from `seed`). out: design inside the budget, the best iterate by the exact merit or, with
 * repair exact-report off, the last one; result then carries the rate at the iterate's delta, which
 * Algorithm 1 believes in, not the worst case. A start that locates no target gets 1 % of its power
 * as random sensing columns; with psd off 1 % of the sensing power is spread over all directions,
 * or Q would leave the cone at the first step. The scene must have exactly the sizes given to init.
 * report is called once per iterate, the start included; each call costs an exact evaluation and a
 * lower-level solve. */
beam_code beam_paper_solve(beam_paper *self, int k, unsigned long long seed,
                           const beam_design *start, beam_design *out, beam_result *result,
                           beam_paper_status *status, beam_paper_report *report, void *report_arg,
                           beam_error *err);

#ifdef __cplusplus
}
#endif
#endif
