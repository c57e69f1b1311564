/* Scenes, designs and engine objects that own their memory, for tests only. Every call aborts the
 * test on failure. */
#ifndef TEST_OWNED_H
#define TEST_OWNED_H

#include "beam/beam.h"

/* 64-byte aligned, to be freed with free(); exits the test program when there is no memory. */
void *test_memory(size_t size);

beam_scene *test_scene_new(const beam_dims *dims);
beam_scene *test_scene_clone(const beam_scene *scene);
void test_scene_free(beam_scene *scene);

/* sensing_max < 0: beam_design_sensing_max(). */
beam_design *test_design_new(const beam_dims *dims, int sensing_max);
beam_design *test_design_clone(const beam_design *design);
void test_design_free(beam_design *design);

/* An opaque object and the block it lies in; free ends both. */
void test_object_keep(void *object, void *memory);
void test_object_free(void *object);

beam_evaluator *test_evaluator_new(const beam_dims *dims, int sensing_max);
beam_solver *test_solver_new(const beam_dims *dims);
void test_evaluator_free(beam_evaluator *evaluator);
void test_solver_free(beam_solver *solver);

/* Ends the test program with the error's text unless code is BEAM_OK. */
void test_must(beam_code code, const beam_error *err, const char *what);

/* Element access in the index orders of scene.h and design.h. */
static inline beam_complex *test_channel(const beam_scene *s, int l, int u)
{
    return s->channel + ((size_t)l * (size_t)s->dims.users + (size_t)u) * (size_t)s->dims.antennas;
}
static inline double *test_radius(const beam_scene *s, int l, int u)
{
    return s->error_radius + l * s->dims.users + u;
}
static inline beam_complex *test_reflection(const beam_scene *s, int l, int j, int m)
{
    return s->reflection + (l * s->dims.targets + j) * s->dims.stations + m;
}
static inline beam_complex *test_beam(const beam_design *d, int u)
{
    return d->beams + (size_t)u * (size_t)d->dims.antennas;
}
static inline beam_complex *test_sensing(const beam_design *d, int l, int k)
{
    return d->sensing + ((size_t)l * (size_t)d->sensing_max + (size_t)k) * (size_t)d->dims.antennas;
}

/* Real inner product and norm over beams and sensing columns in use, as of one real vector. */
double test_design_inner(const beam_design *a, const beam_design *b);
double test_design_norm(const beam_design *a);
/* to = a + t * b, sensing counts of a. */
void test_design_step(beam_design *to, const beam_design *a, double t, const beam_design *b);

#endif
