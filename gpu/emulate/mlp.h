/* A model of kind mlp for the emulation: the device functions, with the products that cuBLAS takes
 * on a device in plain loops. */
#ifndef BEAM_GPU_EMULATE_MLP_H
#define BEAM_GPU_EMULATE_MLP_H

#include "batch.h"
#include "beam/gpu.h"

typedef struct beam_gpu_emulated_mlp beam_gpu_emulated_mlp;

/* NULL after an error. */
beam_gpu_emulated_mlp *beam_gpu_emulated_mlp_new(const beam_model_info *info, beam_gpu_error *err);
void beam_gpu_emulated_mlp_free(beam_gpu_emulated_mlp *self); /* NULL is fine */
/* Are layers, width and sizes those of this one? */
bool beam_gpu_emulated_mlp_same(const beam_gpu_emulated_mlp *self, const beam_model_info *info);
void beam_gpu_emulated_mlp_weights(beam_gpu_emulated_mlp *self, int set, const float *theta);
/* For batches of up to `most` problems of exactly these sizes. */
beam_gpu_code beam_gpu_emulated_mlp_prepare(beam_gpu_emulated_mlp *self, const beam_dims *dims,
                                            int most, beam_gpu_error *err);
/* May a cluster be served? */
bool beam_gpu_emulated_mlp_serves(const beam_gpu_emulated_mlp *self,
                                  const beam_gpu_cluster_note *note);
/* The beams of a batch: what memory->network_beams and network_apart are to be. */
void beam_gpu_emulated_mlp_run(beam_gpu_emulated_mlp *self, int set, beam_gpu_batch_memory *memory,
                               unsigned char *fast);

#endif
