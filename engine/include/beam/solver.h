/* BOBLRBF, default mode: robust beamformers at a preference, warm or cold, and whole fronts (MATH
 * 5).
 *
 * Life of a solver: memsize -> init -> { load (new CSI) -> solve | front }*. Nothing allocates
 * after init, nothing reads a clock: a time limit is a callback that the caller supplies. One
 * solver is used by one thread at a time. */
#ifndef BEAM_SOLVER_H
#define BEAM_SOLVER_H

#include "beam/design.h"
#include "beam/quality.h"
#include "beam/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct beam_solver beam_solver;

typedef enum beam_status {
    BEAM_STATUS_CONVERGED = 0,
    BEAM_STATUS_ITERATION_LIMIT = 1, /* best feasible iterate returned */
    BEAM_STATUS_TIME_LIMIT = 2,      /* best feasible iterate returned */
    BEAM_STATUS_NUMERIC =
        3 /* a non-finite value ended a descent; the best finite one is returned */
} beam_status;
const char *beam_status_text(beam_status status);

typedef enum beam_method {
    BEAM_METHOD_BOBLRBF = 0, /* the iterative solver, default mode */
    BEAM_METHOD_WARM =
        1, /* the given beams, re-evaluated on the new CSI, were the best candidate */
    BEAM_METHOD_CLASSICAL =
        2, /* robust regularised zero-forcing + least-CRLB sensing was the best candidate */
    BEAM_METHOD_PAPER = 3,
    BEAM_METHOD_NETWORK = 4
} beam_method;
const char *beam_method_text(beam_method method);

typedef struct beam_solver_options {
    int max_iterations; /* quasi-Newton iterations per solve, all stages together */
    int explore_every;  /* every so many warm solves another start is tried after the warm one; 0:
                           never */
    double tolerance;   /* relative decrease of the scalarised objective at which a stage ends */
    bool (*expired)(void *arg); /* asked about every 20-200 us of work; NULL: no time limit */
    void *expired_arg;
} beam_solver_options;

beam_solver_options beam_solver_options_default(void);

typedef struct beam_result {
    beam_status status;
    beam_method method; /* which candidate won */
    bool warm;          /* a warm start was given and used */
    int iterations;
    int evaluations; /* smoothed objective evaluations */
    double merit;    /* by MATH 5 with the ideal values in use */
    double f1, f2;
    double wsr_worst_case_bps_hz; /* exact */
    bool crlb_valid;
    double crlb_m2;
    double classical_merit;  /* of the classical candidate, same ideal values */
    bool classical_is_bound; /* classical_merit is a proven lower bound of it, which rules it out */
} beam_result;

/* Memory for scenes of up to these sizes (users may be fewer; the others are exact). */
size_t beam_solver_memsize(const beam_dims *dims);
beam_code beam_solver_init(beam_solver **out, const beam_dims *dims, void *memory, size_t size,
                           beam_error *err);
void beam_solver_set_options(beam_solver *self, const beam_solver_options *options);

/* Validates the scene, reduces it to the subspace of MATH 4 (exact) and prepares the constants.
 * Keeps the ideal values of the last scene until they are set or computed again: see below. On
 * error the last scene stays loaded. */
beam_code beam_solver_load(beam_solver *self, const beam_scene *scene, beam_error *err);

/* The two normalising values. compute_sensing_end solves the convex least-CRLB problem to 1e-9
 * (1e-7 for the coupled models; geometry and budgets only); compute_rate_end runs the tau = 0 solve
 * from several starts. Or set known ones. solve() and front() need them. The least-CRLB problem of
 * a new geometry is solved to the end whatever the time limit says: under a millisecond at the
 * paper's size, seconds for 16 stations or targets in a coupled model. */
beam_code beam_solver_compute_sensing_end(beam_solver *self, beam_error *err);
beam_code beam_solver_compute_rate_end(beam_solver *self, beam_error *err);
beam_code beam_solver_set_ideal(beam_solver *self, const beam_ideal *ideal, beam_error *err);
beam_ideal beam_solver_ideal(const beam_solver *self);

/* The least-CRLB rows for another solver of the same stations, antennas and targets, whatever its
 * users: with them it has not to solve that problem itself. `buffer`: beam_solver_sensing_bytes of
 * the solver's sizes, 8-byte aligned, the caller's. Export: false where none are known of the
 * loaded scene (compute_sensing_end makes them; imported ones of another geometry are not given
 * on). Import, after load: true when the rows are of the geometry of the loaded scene, or are known
 * here already. With even_if_moved also rows of other places of targets or stations, as they are in
 * the coordinates of the directions to them, scaled to the whole power: admissible, but not the
 * least CRLB. These hold until the next load. False changes nothing, except that a solver that had
 * moved rows may have none. */
size_t beam_solver_sensing_bytes(const beam_dims *dims);
bool beam_solver_export_sensing(const beam_solver *self, double *buffer);
bool beam_solver_import_sensing(beam_solver *self, const double *buffer, bool even_if_moved);

/* One design at a trade-off. warm: beams to start from, or NULL (cold start). `out` must have the
 * sizes of the scene and at least beam_design_sensing_max columns; it is inside every budget. The
 * returned design is the best, by the merit of MATH 5 with exact values, of the solver's, the warm
 * one (re-evaluated on this CSI, scaled into the budgets; of more sensing columns than `out` needs
 * the strongest directions) and the classical one. Errors: BEAM_E_INVALID (trade-off outside [0,1],
 * nothing loaded, no ideal values, sizes), BEAM_E_LIMIT (sensing columns). */
beam_code beam_solver_solve(beam_solver *self, double tradeoff, const beam_design *warm,
                            beam_design *out, beam_result *result, beam_error *err);

/* As beam_solver_solve without a descent: the better of the warm beams, re-evaluated on this scene
 * and scaled into the budgets, and the classical design (which a proven bound may rule out:
 * result->classical_is_bound). warm may be NULL. Errors as beam_solver_solve. */
beam_code beam_solver_recheck(beam_solver *self, double tradeoff, const beam_design *warm,
                              beam_design *out, beam_result *result, beam_error *err);

/* A front of `points` designs, from the communication end (first) to the sensing end (last), placed
 * so that they cover the hypervolume well; computes both ideal values first unless keep_ideal. For
 * each point k: tradeoffs[k], designs[k], results[k] (arrays of the caller). progress may be NULL;
 * it is called with done/total. */
typedef void beam_progress(void *arg, int done, int total);
beam_code beam_solver_front(beam_solver *self, int points, bool keep_ideal, double *tradeoffs,
                            beam_design *designs, beam_result *results, beam_progress *progress,
                            void *progress_arg, beam_error *err);

/* Trade-offs of `points` (2 or more) designs that cover the hypervolume below a front known by
 * `count` points (f1, f2): K staircase points lose least area when every step has the same df1 df2,
 * so they are spaced by the integral of sqrt(|df1 df2|). losses: sorted and pruned in place. The
 * first is 0, the last 1, evenly spaced where nothing is known. */
void beam_front_place(int count, double (*losses)[2], int points, double *tradeoffs);

/* Classical designs (MATH 5, baselines, starts and fallbacks). */
typedef enum beam_classical {
    BEAM_CLASSICAL_MRT = 0,
    BEAM_CLASSICAL_ZF =
        1, /* zero-forcing inside the cooperating cluster; regularised when overloaded */
    BEAM_CLASSICAL_RZF =
        2, /* robust regularised zero-forcing = SLNR with error radii in the leakage */
    BEAM_CLASSICAL_WMMSE =
        3, /* weighted MMSE iterations on the nominal channels, from RZF (monotone) */
} beam_classical;
typedef enum beam_sensing_design {
    BEAM_SENSING_ISOTROPIC = 0,
    BEAM_SENSING_LEAST_CRLB = 1
} beam_sensing_design;

/* Communication beams of `kind` with the share of each station's power that maximises the merit at
 * `tradeoff`, the rest spent on sensing beams of `sensing`. result->method is
 * BEAM_METHOD_CLASSICAL. Needs ideal values. */
beam_code beam_solver_classical(beam_solver *self, beam_classical kind, beam_sensing_design sensing,
                                double tradeoff, beam_design *out, beam_result *result,
                                beam_error *err);

#ifdef __cplusplus
}
#endif
#endif
