#include "common/owned.h"

#include <string.h>

beam_solver *test_solver_new(const beam_dims *dims)
{
    beam_error err = {0};
    beam_solver *solver = NULL;
    const size_t size = beam_solver_memsize(dims);
    void *memory = test_memory(size);
    memset(memory, 0xa5, size);
    test_must(beam_solver_init(&solver, dims, memory, size, &err), &err, "solver");
    test_object_keep(solver, memory);
    return solver;
}

void test_solver_free(beam_solver *solver)
{
    test_object_free(solver);
}
