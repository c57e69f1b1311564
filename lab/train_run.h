/* A training from its start or its checkpoint to its end: steps, held-out numbers, checkpoints, the
 * curve, and what people see meanwhile (stderr). */
#ifndef LAB_TRAIN_RUN_H
#define LAB_TRAIN_RUN_H

#include "lab/train.h"
#include "lab/train_heldout.h"

typedef struct lab_train_run_options {
    const char *checkpoint; /* file, or NULL */
    int checkpoint_seconds;
    double minutes;    /* stop then, after a checkpoint; 0: never */
    const char *curve; /* CSV file, or NULL */
    int evaluate;      /* steps between held-out numbers */
    int held_out;      /* scenes of the first family, half as many of each other one; 0: none */
    int threads;
} lab_train_run_options;

typedef struct lab_train_outcome {
    bool finished; /* false: stopped early by time or a signal */
    int held_out_scenes;
    int families;
    lab_heldout_score scores[LAB_FAMILY_MAX]; /* of the mean weights at the last evaluation */
} lab_train_outcome;

/* `state` moves. A checkpoint is written at the end as well. */
beam_code lab_train_run(const lab_train_settings *settings, lab_train_state *state,
                        const lab_train_run_options *options, lab_train_outcome *outcome,
                        beam_error *err);

#endif
