/* Checkpoints: everything from which a training goes on to the bit. For the machine that wrote
 * them: numbers lie in the file as in memory, and a file of another layout is refused. (Models for
 * others: lab/model_file.h.)
 *
 * Layout: 8 bytes magic "BEAMCKPT", u32 version, u32 bytes of the settings, u64 parameters, the
 * settings, i64 step, i64 samples, f64 seconds, then theta, m, v and the mean, float32 each, then
 * the SHA-256 of all that precedes. */
#ifndef LAB_TRAIN_CHECKPOINT_H
#define LAB_TRAIN_CHECKPOINT_H

#include "lab/train.h"

enum { LAB_CHECKPOINT_VERSION = 1 };

/* Beside `path`, then renamed: a reader never sees half a checkpoint. */
beam_code lab_checkpoint_write(const char *path, const lab_train_settings *settings,
                               const lab_train_state *state, beam_error *err);
/* Creates the state (to be cleared by the caller). BEAM_E_INVALID: not a checkpoint, cut or
 * damaged; BEAM_E_UNSUPPORTED: of another version or layout. */
beam_code lab_checkpoint_read(const char *path, lab_train_settings *settings,
                              lab_train_state *state, beam_error *err);

#endif
