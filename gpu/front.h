/* Whole fronts by batches: every preference of every scene is a request, refined to convergence.
 *
 * Life: create -> { requests -> (submit, collect) -> take }* -> points. The first round starts from
 * the candidates of each request, later ones from designs that are known: the neighbour's on the
 * side of the communication end, that on the other side, then in turn its own, so that a good
 * design spreads along its front (engine/solver/front.c does the same one point after the other). A
 * point is never worse after a round than before. Host only, without CUDA; one thread at a time. */
#ifndef BEAM_GPU_FRONT_H
#define BEAM_GPU_FRONT_H

#include "beam/gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct beam_gpu_front_scene {
    int cluster;             /* as set_cluster has it */
    const beam_scene *scene; /* valid until destroy */
    beam_ideal ideal;
} beam_gpu_front_scene;

typedef struct beam_gpu_front_point {
    double tradeoff;
    bool found;     /* there is a design with a finite merit; the members below are then valid */
    bool dominated; /* another point of the scene is no worse in f1, f2 and minimum rates: better in
                       one loss, or an earlier point of the same losses */
    double wsr_worst_case_bps_hz, shortfall_bps_hz;
    double crlb_m2; /* INFINITY: a target that counts is not identifiable */
    double f1, f2;
    double merit;        /* with the cost of missed minimum rates, as beam_gpu_answer has it */
    beam_design *design; /* owned by the front */
} beam_gpu_front_point;

typedef struct beam_gpu_front beam_gpu_front;

/* Trade-offs from 0 to 1, both included, denser towards the ends, where a small turn of the ray
 * moves far along the front. points >= 2. */
void beam_gpu_front_tradeoffs(int points, double *tradeoffs);

/* The same trade-offs for all scenes. Errors: BEAM_GPU_E_INVALID (fewer than one scene or point, a
 * trade-off outside [0, 1]), BEAM_GPU_E_MEMORY. */
beam_gpu_code beam_gpu_front_create(beam_gpu_front **out, int scenes,
                                    const beam_gpu_front_scene *scene, int points,
                                    const double *tradeoffs, beam_gpu_error *err);
void beam_gpu_front_destroy(beam_gpu_front *self); /* NULL is fine */

/* Requests (scenes x points, a scene's one after the other) of the next round with `refine`
 * iterations each, and where their answers' beams go. Split them into batches as you like; collect
 * into the answers given here. */
void beam_gpu_front_requests(beam_gpu_front *self, int refine, beam_gpu_request *requests,
                             beam_gpu_answer *answers);
/* What came back. Every design counts for every trade-off of its scene. */
void beam_gpu_front_take(beam_gpu_front *self, const beam_gpu_answer *answers);

/* The points of a scene, by trade-off as they were given. */
const beam_gpu_front_point *beam_gpu_front_points(const beam_gpu_front *self, int scene);

/* A round's requests in batches of at most `most`, by a function that answers one. */
typedef beam_gpu_code beam_gpu_front_answer(void *arg, int count, const beam_gpu_request *requests,
                                            beam_gpu_answer *answers, beam_gpu_error *err);
/* So many rounds. Errors: those of `answer`; the points stay those of the last whole round. */
beam_gpu_code beam_gpu_front_run(beam_gpu_front *self, int rounds, int refine, int most,
                                 beam_gpu_front_answer *answer, void *arg, beam_gpu_error *err);

#ifdef __cplusplus
}
#endif
#endif
