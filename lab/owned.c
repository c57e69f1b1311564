#include "lab/owned.h"

#include <stdlib.h>

static void *take(size_t size, beam_error *err)
{
    if (size == 0) {
        beam_fail(err, BEAM_E_LIMIT, NULL, "the engine does not accept these sizes");
        return NULL;
    }
    void *memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (!memory) {
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    return memory;
}

beam_code lab_solver_create(lab_solver *self, const beam_scene *scene, beam_error *err)
{
    const size_t size = beam_solver_memsize(&scene->dims);
    *self = (lab_solver){.memory = take(size, err)};
    if (!self->memory) {
        return BEAM_E_LIMIT;
    }
    beam_code code = beam_solver_init(&self->solver, &scene->dims, self->memory, size, err);
    if (!code) {
        code = beam_solver_load(self->solver, scene, err);
    }
    if (code) {
        lab_solver_clear(self);
    }
    return code;
}

void lab_solver_clear(lab_solver *self)
{
    free(self->memory);
    *self = (lab_solver){.memory = NULL};
}

beam_code lab_evaluator_create(lab_evaluator *self, const beam_scene *scene, int sensing_max,
                               beam_error *err)
{
    const size_t size = beam_evaluator_memsize(&scene->dims, sensing_max);
    *self = (lab_evaluator){.memory = take(size, err)};
    if (!self->memory) {
        return BEAM_E_LIMIT;
    }
    beam_code code =
        beam_evaluator_init(&self->evaluator, &scene->dims, sensing_max, self->memory, size, err);
    if (!code) {
        code = beam_evaluator_load(self->evaluator, scene, err);
    }
    if (code) {
        lab_evaluator_clear(self);
    }
    return code;
}

void lab_evaluator_clear(lab_evaluator *self)
{
    free(self->memory);
    *self = (lab_evaluator){.memory = NULL};
}

beam_code lab_paper_create(lab_paper *self, const beam_scene *scene,
                           const beam_paper_options *options, const beam_ideal *ideal,
                           beam_error *err)
{
    const size_t size = beam_paper_memsize(&scene->dims, options);
    *self = (lab_paper){.memory = take(size, err)};
    if (!self->memory) {
        return BEAM_E_LIMIT;
    }
    beam_code code = beam_paper_init(&self->paper, &scene->dims, options, self->memory, size, err);
    if (!code) {
        code = beam_paper_load(self->paper, scene, ideal, err);
    }
    if (code) {
        lab_paper_clear(self);
    }
    return code;
}

void lab_paper_clear(lab_paper *self)
{
    free(self->memory);
    *self = (lab_paper){.memory = NULL};
}
