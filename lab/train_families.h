/* What generated training scenes are drawn from. Internal to the trainer's data. */
#ifndef LAB_TRAIN_FAMILIES_H
#define LAB_TRAIN_FAMILIES_H

#include <stdbool.h>

#include "lab/generate.h"
#include "lab/random.h"
#include "lab/track.h"

typedef struct lab_family_shape {
    int stations, antennas, targets;
    int users[BEAM_MAX_STATIONS];
} lab_family_shape;

/* No scene of any family is larger. */
beam_dims lab_family_most(void);

/* Index of a family by its name; -1: none. */
int lab_family_find(const char *name);
const char *lab_family_name(int family);
lab_family_shape lab_family_draw_shape(int family, lab_random *random);

/* Two frames of one scene, a short time apart; the caller destroys both. `plain`: as the paper has
 * it, 40 dBm, weights 1, relative error 0.05-0.2, for held-out scenes (`family` decides the
 * targets). */
beam_code lab_family_draw(const lab_family_shape *shape, bool plain, lab_random *random,
                          lab_scene *frames[2], beam_error *err);

#endif
