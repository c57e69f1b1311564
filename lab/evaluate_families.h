/* Fresh scenes for judging a model. The first frame of a training scene comes from lab/track.h;
 * these come from lab_generate_scene, whose draws differ from the tracks' for every seed: no scene
 * of an evaluation can have been trained on, whatever the seeds. */
#ifndef LAB_EVALUATE_FAMILIES_H
#define LAB_EVALUATE_FAMILIES_H

#include "lab/generate.h"

/* paper       the paper's size and targets
 * n8 n16 n64  antennas; one to four users per station
 * users       two to four users per station, five to ten antennas
 * overload    more users than antennas
 * stations    two to seven stations
 * targets     one to four targets at random places
 * spread      the paper's size with 20-46 dBm, errors from none, weights
 * sizes       all of the above but paper, in turn
 * Errors 0.05-0.2 relative and 40 dBm where nothing else is said. */
int lab_evaluate_family_count(void);
const char *lab_evaluate_family_name(int family);
int lab_evaluate_family_find(const char *name); /* -1: unknown */

/* Scene `index` of a family; every target that is drawn can be located. NULL on error. */
lab_scene *lab_evaluate_scene(int family, uint64_t seed, int index, beam_error *err);

#endif
