/* The models that solver threads answer with. A model is read whole, checked, and never changed
 * afterwards, so that any number of threads may use it. Who holds it is counted by the loop's
 * thread alone: a job takes a hold when it starts and gives it back when it returns, a reload swaps
 * the core's own hold in between. So nothing is locked, and a solve ends with the model it began
 * with. */
#ifndef BEAMD_MODEL_H
#define BEAMD_MODEL_H

#include <stdbool.h>

#include "beam/network.h"
#include "config.h"
#include "pool.h"

typedef struct beamd_model {
    beam_model *model;
    const beam_model_info *info;
    char file[BEAMD_MODEL_FILE_BYTES]; /* empty: built in */
    unsigned holds;                    /* loop's thread only */
    void *memory;
} beamd_model;

/* Reads and checks `file`, or the model built in where it is empty. Held once. NULL: *err names the
 * field and the reason; field "model_file" where there is no model to be read. Any thread. */
beamd_model *beamd_model_read(const char *file, beam_error *err);
/* Whether `file` is there, may be read and begins as a model does: what the loop itself can ask of
 * it. False: *err, as above. */
bool beamd_model_probe(const char *file, beam_error *err);
bool beamd_model_built_in(void);
/* Loop's thread. The last release frees. */
beamd_model *beamd_model_hold(beamd_model *self);
void beamd_model_release(beamd_model **self);

/* A reading beside the loop: files can be large, and on disks that do not answer. */
typedef struct beamd_model_job {
    beamd_job job; /* first */
    char file[BEAMD_MODEL_FILE_BYTES];
    beamd_model *model; /* out; NULL: `error` says why */
    beam_error error;
} beamd_model_job;

/* On the reading thread. */
void beamd_model_run(beamd_job *job);

#endif
