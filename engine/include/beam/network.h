/* BOBLRBF-DNN, the learned solver: the model (weights and where they come from) and its file
 * (MATH 6).
 *
 * The file is little-endian, whatever the machine, and says itself what it is: models/README.md
 * gives every byte. It ends with the SHA-256 of all that precedes, so that damage anywhere is
 * found. The engine reads and writes memory; files are the caller's. */
#ifndef BEAM_NETWORK_H
#define BEAM_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#include "beam/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- The model ------------------------------------------------------------------------------- */

enum {
    BEAM_MODEL_FORMAT = 1,           /* version of the file written; newer ones are refused */
    BEAM_MODEL_MAX_BYTES = 64 << 20, /* of a file */
    BEAM_MODEL_NAME_BYTES = 64,      /* texts with their final zero, in memory and in the file */
    BEAM_MODEL_CREATOR_BYTES = 64,   /* */
    BEAM_MODEL_FAMILIES_BYTES = 512, /* */
    BEAM_MODEL_COMMAND_BYTES = 1024, /* */
    BEAM_MODEL_CHECKSUM_BYTES = 2 * 32 + 1 /* SHA-256 in hexadecimal and a zero */
};

typedef enum beam_model_kind {
    BEAM_MODEL_EQUIVARIANT = 0, /* any number of stations, antennas, users and targets */
    BEAM_MODEL_MLP = 1          /* the paper's: one size only */
} beam_model_kind;
const char *beam_model_kind_text(beam_model_kind kind); /* "equivariant", "mlp" */

/* What a model is and how it was made. Texts are UTF-8 without control characters, ended by a zero
 * inside their array; numbers are finite. */
typedef struct beam_model_info {
    beam_model_kind kind;
    int layers; /* Y of (26) */
    int width;  /* of the hidden layers of every W^y */
    /* mlp: the size it is made for, users spread evenly over the stations; otherwise all 0 */
    int stations, antennas, users, targets, sensing_rows;
    size_t parameters; /* reals (float32); follows from the above */

    char name[BEAM_MODEL_NAME_BYTES];         /* not empty */
    char creator[BEAM_MODEL_CREATOR_BYTES];   /* program and version, e.g. "beamlab 0.1.0" */
    char families[BEAM_MODEL_FAMILIES_BYTES]; /* training data: generated families or recordings */
    char command[BEAM_MODEL_COMMAND_BYTES];   /* training command; may be empty */
    uint64_t data_seed;
    uint64_t steps;         /* optimiser steps */
    uint64_t samples;       /* scenes seen */
    int64_t created_unix_s; /* end of training, seconds since 1970 UTC; 0: not recorded */
    /* measured on scenes never trained on; all 0 when held_out_scenes is 0 */
    uint64_t held_out_scenes;
    double held_out_loss;
    double held_out_ratio_median; /* hypervolume ratio to the converged solver */
    double held_out_ratio_p5;     /* its 5th percentile over the scenes */

    /* SHA-256 of the file without its last 32 bytes, lower case. Set by reading and writing. */
    char checksum[BEAM_MODEL_CHECKSUM_BYTES];
} beam_model_info;

/* A model in memory: read only, so any number of threads may use it. Opaque. */
typedef struct beam_model beam_model;

/* Reads a whole file in memory (`bytes`, any alignment, not modified) and checks all of it,
 * weights and checksum included. Errors: BEAM_E_INVALID (not a model, cut, damaged, a weight that
 * is not finite, a count that does not fit the architecture), BEAM_E_UNSUPPORTED (of a newer
 * format, another kind, element type or revision of the layers), BEAM_E_LIMIT (too large);
 * err->field names the field, e.g. "weights[17]". *info is written on success only. */
beam_code beam_model_inspect(const void *bytes, size_t size, beam_model_info *info,
                             beam_error *err);

/* Memory of a model in bytes, from beam_model_inspect; 0: an architecture outside the limits. */
size_t beam_model_memsize(const beam_model_info *info);
/* beam_model_inspect, then lays the model over `memory` (64-byte aligned, owned by the caller and
 * outliving it). The weights are copied: `bytes` may go. Also BEAM_E_LIMIT: memory is too small,
 * BEAM_E_INVALID: not aligned. */
beam_code beam_model_load(beam_model **out, const void *bytes, size_t size, void *memory,
                          size_t memory_size, beam_error *err);
/* Valid as long as the model. */
const beam_model_info *beam_model_info_of(const beam_model *self);

/* Bytes of the file of such a model; 0: an architecture outside the limits. */
size_t beam_model_write_size(const beam_model_info *info);
/* Writes the file into `bytes` (`size` as above). weights: [info->parameters], finite. Sets
 * info->checksum. Errors: BEAM_E_INVALID with the field, BEAM_E_LIMIT: `bytes` is too small. */
beam_code beam_model_write(beam_model_info *info, const float *weights, void *bytes, size_t size,
                           beam_error *err);

/* The model built into the program, a whole file: constant, for the life of the program. NULL and
 * *size = 0: built without one. In the library beammodel, not in libbeam. */
const void *beam_model_embedded(size_t *size);

#ifdef __cplusplus
}
#endif
#endif
