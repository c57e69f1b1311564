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
#include "beam/solver.h"

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
    BEAM_MODEL_COMMAND_BYTES = 512,  /* */
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

/* --- Inference and the check ------------------------------------------------------------------ */

/* One design asked for. The solver holds the scene (loaded) and its ideal values; its prepared
 * constants are shared by all requests that name it. */
typedef struct beam_network_request {
    beam_solver *solver;
    double tradeoff;         /* [0,1] */
    const beam_design *warm; /* beams to start from, not modified, or NULL (cold start) */
    int layers; /* of the model to run: cold the first, warm the last so many; 0: all when cold,
                   beam_inference_warm_layers() when warm */
    int refine; /* quasi-Newton iterations after the check, at most; 0: none. The solver's time
                   limit (its options) holds for them */
    beam_design *out; /* sizes of the scene, beam_design_sensing_max columns; inside every budget */
    beam_result *result;
    struct beam_inference_detail *detail; /* NULL: not wanted */
} beam_network_request;

/* What the check saw. A merit that was not needed is INFINITY. */
typedef struct beam_inference_detail {
    double network_merit;      /* of the network's own point; INFINITY: not finite */
    double network_wsr_bps_hz; /* exact; only where network_merit is finite */
    double network_crlb_m2;    /* INFINITY when not identifiable */
    double warm_merit;         /* of the warm beams re-evaluated on this scene */
    bool warm_measured;        /* false: none given, or it cannot win at a proven bound */
    bool classical_measured;   /* false: the same of every classical design */
    beam_method chosen;        /* before the refinement */
} beam_inference_detail;

/* For measuring: called after each stage of each block or request; the engine has no clock. */
typedef enum beam_stage {
    BEAM_STAGE_PREPARE = 0,   /* checks of the call, least-CRLB rows, RZF beams */
    BEAM_STAGE_LOAD = 1,      /* scenes and starts into a block */
    BEAM_STAGE_NETWORK = 2,   /* the layers of a block */
    BEAM_STAGE_CHECK = 3,     /* exact numbers of the network's point */
    BEAM_STAGE_WARM = 4,      /* the warm start's candidate */
    BEAM_STAGE_CLASSICAL = 5, /* the classical candidate */
    BEAM_STAGE_REFINE = 6,
    BEAM_STAGE_EXPORT = 7, /* the design at the antennas */
    BEAM_STAGE_COUNT = 8
} beam_stage;
typedef void beam_stage_mark(void *arg, beam_stage finished);

/* Runs a model on batches of requests. Opaque; one thread at a time. */
typedef struct beam_inference beam_inference;

/* Memory for scenes of up to these sizes, batches of up to max_batch requests, and every model of
 * this kind that needs no more memory than `model`'s architecture does; 0: an architecture or sizes
 * outside the limits. */
size_t beam_inference_memsize(const beam_model_info *model, const beam_dims *dims, int max_batch);
beam_code beam_inference_init(beam_inference **out, const beam_model_info *model,
                              const beam_dims *dims, int max_batch, void *memory, size_t size,
                              beam_error *err);

/* mark: NULL for none. */
void beam_inference_set_mark(beam_inference *self, beam_stage_mark *mark, void *arg);

/* Layers that a warm start runs when the request does not say. */
int beam_inference_warm_layers(const beam_model_info *model);

/* For each request the best, by the merit of MATH 5 with exact values in float64, of the network's
 * answer, the warm beams re-evaluated on this scene and the classical design (RZF beams, least-CRLB
 * sensing rows, best split): never worse than beam_solver_classical(RZF, LEAST_CRLB) at the same
 * trade-off and ideal values, whatever the weights are. result->method says which it was, BOBLRBF
 * where the refinement improved on it. result->classical_merit is the classical design's, or, where
 * result->classical_is_bound, a proven lower bound of it that already rules it out.
 *
 * An answer depends on its own request and the model only, up to the float32 rounding of the
 * network's point, which is computed in one of two ways: many requests of one shape side by side,
 * few of them one after the other. Requests given the same way have the same bits in any order and
 * company, and the exact numbers are those of the design sent, either way. Results are written for
 * every request that can be served; a request whose scene gives no candidate with a finite rate
 * gets result->status BEAM_STATUS_NUMERIC, and the call returns BEAM_E_NUMERIC after serving the
 * others. Errors before anything is computed, with err->field "requests[i].member": BEAM_E_INVALID
 * (nothing loaded, no ideal values, trade-off, sizes), BEAM_E_LIMIT (too many requests, sensing
 * columns, a scene or a model beyond what the object was made for). The network is an objective of
 * the resolved sensing model; scenes of other models are checked with their own. */
beam_code beam_inference_run(beam_inference *self, const beam_model *model, int count,
                             const beam_network_request *requests, beam_error *err);

/* Sets the solver's WSR_ideal without any solver step: the best exact worst-case WSR of the network
 * and of the classical design at trade-off 0. CRLB_min is computed
 * (beam_solver_compute_sensing_end). */
beam_code beam_inference_compute_ideal(beam_inference *self, const beam_model *model,
                                       beam_solver *solver, beam_design *scratch, beam_error *err);

#ifdef __cplusplus
}
#endif
#endif
