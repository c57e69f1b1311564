/* Training data: scenes prepared for the network, eight of one shape at a time. Group i is a
 * function of the settings and i alone; it is prepared when it is first asked for and kept.
 *
 * A sample has two frames, the scene and the same scene a short time later, so that warm starts can
 * be trained: the answer to the first is the start of the second. */
#ifndef LAB_TRAIN_SCENES_H
#define LAB_TRAIN_SCENES_H

#include <stdint.h>

#include "lab/format.h"
#include "model/problem.h"
#include "network/block.h"

enum { LAB_FAMILY_MAX = 8, LAB_FAMILIES_TEXT = 512, LAB_FOLDER_TEXT = 1024 };

/* A prepared scene: what a solver holds after beam_solver_prepare, without the basis. */
typedef struct lab_frame {
    beam_problem problem; /* resolved sensing only; basis NULL */
    double *unit;         /* RZF beams and least-CRLB rows, power 1 each per station */
    beam_ideal ideal;     /* rate of the first frame, CRLB of this one */
    void *memory;
} lab_frame;

typedef struct lab_sample {
    lab_frame frames[2];
    /* [L][D] rows: row i of station l holds t with (x of frame 1)_i = conj(t)^T (x of frame 0);
     * NULL: both frames have the antennas' coordinates */
    double *turn;
} lab_sample;

typedef struct lab_group {
    beam_net_shape shape;
    lab_sample samples[BEAM_LANES];
} lab_group;

/* A point of frame 0 in the coordinates of frame 1. */
void lab_sample_turn(const lab_sample *sample, const double *from, double *to);

typedef struct lab_scenes_options {
    uint64_t seed;
    int groups; /* at most; of recorded scenes there are as many as the files give */
    /* generated, e.g. "paper:60,sizes:40": families and their shares. paper: three stations of
     * five antennas, one user each, two targets. sizes: anything from two stations to seven, 2 to
     * 64 antennas, 0 to 4 users per station, one to four targets */
    const char *families;
    const char *folder; /* recorded: the *.json scene files there, instead of generated ones; or
                           NULL */
    bool held_out;      /* of the recorded scenes every eighth is for the held-out set */
} lab_scenes_options;

typedef struct lab_scenes lab_scenes;

/* NULL on error: a family that is not known, a folder without admissible scenes. */
lab_scenes *lab_scenes_create(const lab_scenes_options *options, beam_error *err);
void lab_scenes_destroy(lab_scenes **self);
int lab_scenes_groups(const lab_scenes *self);
/* Sizes that no group exceeds. */
beam_dims lab_scenes_most(const lab_scenes *self);
/* Any thread; NULL on error. The group is the pool's, its problems' scratch aside read only. */
lab_group *lab_scenes_group(lab_scenes *self, int index, beam_error *err);

/* For the held-out set: scene `index` of a family by itself, first frame only. The seeds of
 * training and of held-out scenes never meet. */
int lab_scenes_families(const lab_scenes *self);
const char *lab_scenes_family_name(const lab_scenes *self, int family);
/* Number of held-out scenes that a family can give (recorded: those set aside). */
int lab_scenes_held_out(const lab_scenes *self, int family);
/* A scene as an operator might have it; the caller destroys it. */
lab_scene *lab_scenes_held_out_scene(const lab_scenes *self, int family, int index,
                                     beam_error *err);

/* Copies what the solver has prepared (ideal values included). */
struct beam_solver;
beam_code lab_frame_copy(lab_frame *frame, const struct beam_solver *solver, beam_error *err);
void lab_frame_clear(lab_frame *frame);

#endif
