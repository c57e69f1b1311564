/* --method network: the model, the check, and no solver step but those of --refine. */
#ifndef LAB_RUNNER_NETWORK_H
#define LAB_RUNNER_NETWORK_H

#include "lab/model_file.h"
#include "lab/runner.h"

/* An inference object and the solver that holds its scene, with their memory. */
typedef struct lab_inference {
    beam_inference *inference;
    void *memory;
} lab_inference;
beam_code lab_inference_create(lab_inference *self, const beam_model *model, const beam_dims *dims,
                               int max_batch, beam_error *err);
void lab_inference_clear(lab_inference *self);

/* Fills the entries of a run that has been created: designs, results, methods, times, ideal
 * values; with `front` the trade-offs too. */
beam_code lab_network_run(lab_run *run, const lab_scene *scene, const lab_run_options *options,
                          bool front, beam_error *err);

#endif
