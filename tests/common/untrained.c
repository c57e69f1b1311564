#include "common/untrained.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "network/block.h"
#include "network/model.h"
#include "network/single.h"

beam_model *test_model_new(int layers, int width, test_weights weights, uint64_t seed)
{
    const beam_net_arch arch = {.kind = BEAM_NET_EQUIVARIANT, .layers = layers, .width = width};
    const size_t count = beam_net_parameters(&arch);
    float *theta = test_memory(count * sizeof *theta);
    beam_model *model = test_memory(sizeof *model);
    test_random random = test_random_new(seed);
    beam_net_block_initialise(&arch, seed, theta);
    for (size_t i = 0; i < count; i++) {
        const double g = test_random_normal(&random);
        if (weights == TEST_WEIGHTS_RANDOM) {
            theta[i] = (float)g;
        } else if (weights == TEST_WEIGHTS_LOUD) {
            theta[i] = (float)(g * pow(10, test_random_between(&random, 0, 30)));
        } else if (weights == TEST_WEIGHTS_NAN && test_random_int(&random, 0, 99) == 0) {
            theta[i] = NAN;
        }
    }
    memset(model, 0, sizeof *model);
    model->info.kind = BEAM_MODEL_EQUIVARIANT;
    model->info.layers = layers;
    model->info.width = width;
    model->info.parameters = count;
    model->arch = beam_model_arch(&model->info);
    model->theta = theta;
    float *columns = test_memory(beam_net_single_columns(&arch) * sizeof *columns);
    beam_net_single_transpose(&arch, theta, columns);
    model->columns = columns;
    return model;
}

void test_model_free(beam_model *model)
{
    if (model) {
        free((void *)(uintptr_t)model->theta);
        free((void *)(uintptr_t)model->columns);
        free(model);
    }
}

beam_inference *test_inference_new(const beam_model *model, const beam_dims *dims, int batch)
{
    beam_error err = {0};
    beam_inference *inference = NULL;
    const size_t size = beam_inference_memsize(beam_model_info_of(model), dims, batch);
    void *memory = test_memory(size);
    memset(memory, 0xa5, size);
    test_must(
        beam_inference_init(&inference, beam_model_info_of(model), dims, batch, memory, size, &err),
        &err, "inference");
    test_object_keep(inference, memory);
    return inference;
}
