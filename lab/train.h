/* Training of the network (MATH 6): batches of prepared scenes, the unrolled layers forward and
 * back, Adam. A state after n steps is a function of the settings alone, whatever the threads and
 * however often it was stopped and resumed: every random number is drawn from (seed, step, block),
 * and sums are taken in one order. */
#ifndef LAB_TRAIN_H
#define LAB_TRAIN_H

#include <stdint.h>

#include "lab/train_scenes.h"
#include "network/adam.h"
#include "network/arch.h"
#include "network/loss.h"

enum { LAB_TRAIN_PATH = 1024 };

/* Everything that the result depends on. Plain data: checkpoints hold it as it is. */
typedef struct lab_train_settings {
    beam_net_arch arch;
    uint64_t seed;      /* of the first weights and of the batches */
    uint64_t data_seed; /* of the scenes */
    int64_t steps;      /* of the schedule */
    int32_t batch;      /* blocks of BEAM_LANES samples per step */
    int32_t groups;     /* of BEAM_LANES generated scenes in the pool */
    double rate, last_rate;
    int64_t warm_up;
    double warm;          /* share of the blocks that start from the answer to an earlier frame */
    double early;         /* weight of the loss at a layer before the last */
    double average;       /* decay of the mean of the weights */
    double ideal_spread;  /* WSR_ideal is multiplied by 1 +- this */
    double power_penalty; /* loss penalty: sigma at the end; it grows linearly from 1 % of it */
    beam_net_loss_options loss;
    beam_adam_options adam;
    char families[LAB_FAMILIES_TEXT];
    char folder[LAB_FOLDER_TEXT]; /* of recorded scenes; empty: generated ones */
    char from[LAB_TRAIN_PATH];    /* model that the weights came from; empty: fresh ones */
} lab_train_settings;
/* Every byte of it is set, also between the fields. */
lab_train_settings lab_train_settings_default(void);

/* What changes from step to step. Arrays of `parameters` reals. */
typedef struct lab_train_state {
    size_t parameters;
    int64_t step, samples;
    double seconds; /* spent; for people only */
    beam_net_real *theta, *m, *v, *mean;
    void *memory;
} lab_train_state;
beam_code lab_train_state_create(lab_train_state *state, const beam_net_arch *arch,
                                 beam_error *err);
void lab_train_state_clear(lab_train_state *state);

/* Of one step. */
typedef struct lab_train_report {
    double loss; /* mean over the samples at their last layer */
    double f1, f2;
    double gradient; /* its norm, before it was shortened; not finite: the step was left out */
    int exact, dark, clipped; /* samples, as in beam_net_loss_result */
    int lost;                 /* blocks whose gradient was not finite: left out */
    int samples;
} lab_train_report;

typedef struct lab_train lab_train;

/* `state`: borrowed, moves with every step. The pool of scenes is the caller's as well. */
lab_train *lab_train_create(const lab_train_settings *settings, lab_scenes *scenes,
                            lab_train_state *state, int threads, beam_error *err);
void lab_train_destroy(lab_train **self);
/* Fresh weights from the seed. */
void lab_train_initialise(const lab_train_settings *settings, lab_train_state *state);
beam_code lab_train_step(lab_train *self, lab_train_report *report, beam_error *err);

#endif
