#include "common/owned.h"

#include <string.h>

beam_evaluator *test_evaluator_new(const beam_dims *dims, int sensing_max)
{
    beam_error err = {0};
    beam_evaluator *evaluator = NULL;
    const size_t size = beam_evaluator_memsize(dims, sensing_max);
    void *memory = test_memory(size);
    memset(memory, 0xa5, size); /* nothing may rely on zeroed memory */
    test_must(beam_evaluator_init(&evaluator, dims, sensing_max, memory, size, &err), &err,
              "evaluator");
    test_object_keep(evaluator, memory);
    return evaluator;
}

void test_evaluator_free(beam_evaluator *evaluator)
{
    test_object_free(evaluator);
}
