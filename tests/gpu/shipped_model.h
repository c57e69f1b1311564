/* The model built in, in memory of the caller's (to be freed after its last use). */
#ifndef TEST_GPU_SHIPPED_MODEL_H
#define TEST_GPU_SHIPPED_MODEL_H

#include "beam/network.h"
#include "common/owned.h"

static inline beam_model *test_shipped_model(void **memory)
{
    size_t size = 0;
    beam_error err = {0};
    beam_model_info info;
    beam_model *model = NULL;
    const void *bytes = beam_model_embedded(&size);
    assert_non_null(bytes);
    test_must(beam_model_inspect(bytes, size, &info, &err), &err, "inspect");
    const size_t need = beam_model_memsize(&info);
    *memory = test_memory(need);
    test_must(beam_model_load(&model, bytes, size, *memory, need, &err), &err, "model");
    return model;
}

#endif
