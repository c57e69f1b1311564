/* How good the bare network is on scenes that it never sees in training: hypervolume of its front
 * against that of the default solver (lab/hypervolume.h), exact numbers, no substitute candidate.
 */
#ifndef LAB_TRAIN_HELDOUT_H
#define LAB_TRAIN_HELDOUT_H

#include "lab/train_scenes.h"

enum { LAB_HELDOUT_POINTS = 33 };

typedef struct lab_heldout_score {
    const char *family;
    int scenes;
    double median, least, p5; /* hypervolume over that of the reference */
    /* mean over scenes and preferences of the excess of the scalarised loss max(w1 f1, w2 f2) over
     * the best point of the reference, w ~ 1/u, sum 1: merit in units of f */
    double gap;
    double loss; /* mean of that scalarised loss itself */
} lab_heldout_score;

typedef struct lab_heldout lab_heldout;

/* Draws the scenes (`first` of the first family, `others` of each other one; at most as many as
 * there are) and solves their fronts, on all threads; tells its progress on stderr. */
lab_heldout *lab_heldout_create(const lab_scenes *scenes, const beam_net_arch *arch, int first,
                                int others, int threads, beam_error *err);
void lab_heldout_destroy(lab_heldout **self);
int lab_heldout_families(const lab_heldout *self);
int lab_heldout_scenes(const lab_heldout *self);
/* scores: [lab_heldout_families], NAN where a family has no scenes. */
beam_code lab_heldout_evaluate(lab_heldout *self, const beam_net_real *theta,
                               lab_heldout_score *scores, beam_error *err);

#endif
