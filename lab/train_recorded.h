/* Recorded scene files as training data, for the channels of one site. Scenes of one shape are
 * grouped by eight, the last group of a shape filled up with its first scenes. The second frame of
 * a sample is the channel after a Gauss-Markov step, h' = rho h + sqrt(1 - rho^2) |h|_rms w. */
#ifndef LAB_TRAIN_RECORDED_H
#define LAB_TRAIN_RECORDED_H

#include <stdbool.h>

#include "lab/format.h"
#include "lab/random.h"

typedef struct lab_recorded lab_recorded;

/* Every *.json of the folder, in the order of their names; with `held_out` every eighth is set
 * aside. NULL on error: nothing there, or a scene that cannot be used (err->field: the file). */
lab_recorded *lab_recorded_read(const char *folder, bool held_out, beam_error *err);
void lab_recorded_destroy(lab_recorded **self);
int lab_recorded_groups(const lab_recorded *self);
beam_dims lab_recorded_most(const lab_recorded *self);
/* Two frames for a lane of a group; the caller destroys both. */
beam_code lab_recorded_frames(const lab_recorded *self, int group, int lane, lab_random *random,
                              lab_scene *frames[2], beam_error *err);
int lab_recorded_held_out(const lab_recorded *self);
lab_scene *lab_recorded_held_out_scene(const lab_recorded *self, int index, beam_error *err);

#endif
