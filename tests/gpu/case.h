/* One problem as the device gets it, in host memory, beside the engine's objects for the same
 * scene. Channels are rounded to float32 first: both sides see the same numbers. */
#ifndef TEST_GPU_CASE_H
#define TEST_GPU_CASE_H

#include "beam/network.h"
#include "common/random.h"
#include "gpu/team32.h"
#include "plan.h"
#include "solver/solver_internal.h"

typedef struct test_gpu_case {
    beam_scene *scene;
    beam_solver *solver; /* loaded, prepared, ideal values set */
    beam_evaluator *evaluator;
    beam_ideal ideal;
    beam_gpu_plan plan;
    beam_gpu_problem problem;
    unsigned char *memory;
    float *weights;
} test_gpu_case;

/* Takes the scene. ideal: NULL for values about right. fast_limit: bytes of the workspace in fast
 * memory. model: NULL for none. */
test_gpu_case *test_gpu_case_new(beam_scene *scene, const beam_ideal *ideal,
                                 const beam_model *model, int fast_limit);
void test_gpu_case_free(test_gpu_case *c);

/* Packs the request; poisons workspace and answer. */
void test_gpu_case_request(test_gpu_case *c, double tradeoff, const beam_design *warm, int from,
                           int to);

/* A design into work.candidate, rounded to float32, and back as it was rounded. */
void test_gpu_case_candidate(test_gpu_case *c, const beam_design *design);
beam_design *test_gpu_case_design(const test_gpu_case *c); /* of work.candidate, in scene order */

/* A random scene of many kinds of sizes: degenerate ones too (no users, no radius, one antenna,
 * silent channels, all users at one station). */
beam_scene *test_gpu_scene(test_random *random, int kind);
enum { TEST_GPU_KINDS = 10 };

#endif
