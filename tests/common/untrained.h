/* Models for tests: no training behind them, or none that could help. */
#ifndef TEST_UNTRAINED_H
#define TEST_UNTRAINED_H

#include <stdint.h>

#include "beam/network.h"

typedef enum test_weights {
    TEST_WEIGHTS_FRESH = 0,  /* as training starts */
    TEST_WEIGHTS_RANDOM = 1, /* Gaussian, of any use or none */
    TEST_WEIGHTS_LOUD = 2,   /* so large that numbers overflow on the way */
    TEST_WEIGHTS_NAN = 3     /* what no model file may hold */
} test_weights;

/* Free with test_model_free. */
beam_model *test_model_new(int layers, int width, test_weights weights, uint64_t seed);
void test_model_free(beam_model *model);

/* For scenes of up to these sizes; free with test_object_free (common/owned.h). */
beam_inference *test_inference_new(const beam_model *model, const beam_dims *dims, int batch);

#endif
