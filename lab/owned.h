/* Engine objects with their memory. After a failed create the object is clear; clears accept zeroed
 * objects. */
#ifndef LAB_OWNED_H
#define LAB_OWNED_H

#include "beam/beam.h"

typedef struct lab_solver {
    beam_solver *solver;
    void *memory;
} lab_solver;
/* Initialised and loaded. */
beam_code lab_solver_create(lab_solver *self, const beam_scene *scene, beam_error *err);
void lab_solver_clear(lab_solver *self);

typedef struct lab_evaluator {
    beam_evaluator *evaluator;
    void *memory;
} lab_evaluator;
beam_code lab_evaluator_create(lab_evaluator *self, const beam_scene *scene, int sensing_max,
                               beam_error *err);
void lab_evaluator_clear(lab_evaluator *self);

typedef struct lab_paper {
    beam_paper *paper;
    void *memory;
} lab_paper;
beam_code lab_paper_create(lab_paper *self, const beam_scene *scene,
                           const beam_paper_options *options, const beam_ideal *ideal,
                           beam_error *err);
void lab_paper_clear(lab_paper *self);

#endif
