/* Evaluators and solvers with their memory; apart from owned.c so that programs that use neither
 * link without them. */
#include "common/owned.h"

#include <stdlib.h>
#include <string.h>

/* Evaluators and solvers lie at the start of the block they were given? Not promised: the block is
 * kept beside. */
typedef struct owned_object {
    void *object, *memory;
    struct owned_object *next;
} owned_object;
static owned_object *objects;

static void object_keep(void *object, void *memory)
{
    owned_object *entry = test_memory(sizeof *entry);
    *entry = (owned_object){object, memory, objects};
    objects = entry;
}

static void object_free(void *object)
{
    for (owned_object **at = &objects; *at; at = &(*at)->next) {
        if ((*at)->object == object) {
            owned_object *entry = *at;
            *at = entry->next;
            free(entry->memory);
            free(entry);
            return;
        }
    }
}

beam_evaluator *test_evaluator_new(const beam_dims *dims, int sensing_max)
{
    beam_error err = {0};
    beam_evaluator *evaluator = NULL;
    const size_t size = beam_evaluator_memsize(dims, sensing_max);
    void *memory = test_memory(size);
    memset(memory, 0xa5, size); /* nothing may rely on zeroed memory */
    test_must(beam_evaluator_init(&evaluator, dims, sensing_max, memory, size, &err), &err,
              "evaluator");
    object_keep(evaluator, memory);
    return evaluator;
}

beam_solver *test_solver_new(const beam_dims *dims)
{
    beam_error err = {0};
    beam_solver *solver = NULL;
    const size_t size = beam_solver_memsize(dims);
    void *memory = test_memory(size);
    memset(memory, 0xa5, size);
    test_must(beam_solver_init(&solver, dims, memory, size, &err), &err, "solver");
    object_keep(solver, memory);
    return solver;
}

void test_evaluator_free(beam_evaluator *evaluator)
{
    object_free(evaluator);
}

void test_solver_free(beam_solver *solver)
{
    object_free(solver);
}
