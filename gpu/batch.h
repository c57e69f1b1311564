/* What of batches does not depend on who computes them: sizes prepared for, what is known of
 * clusters, checks, and packing of a batch's memory (device/batch.cuh). Host only; internal to the
 * gpu library. */
#ifndef BEAM_GPU_BATCH_H
#define BEAM_GPU_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "beam/gpu.h"
#include "device/batch.cuh"
#include "plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is known of a cluster on the host. */
typedef struct beam_gpu_cluster_note {
    bool known;
    int users, targets, users_per_station;
    int busy; /* requests in flight that use it */
} beam_gpu_cluster_note;

/* Where the plan of a size lies in the batch being packed. */
typedef struct beam_gpu_plan_note {
    uint64_t batch; /* the last one that has it */
    size_t at;
} beam_gpu_plan_note;

typedef struct beam_gpu_batches {
    beam_dims most;
    int users_per_station, layers, width, max_batch, clusters_max;
    int perceptron;        /* a beam_gpu_precision, 0 after init; may change between batches */
    int fast_bytes;        /* of a team, for plans of all sizes */
    size_t slow_bytes;     /* */
    bool slow;             /* has a plan of any size arrays in slow memory? */
    size_t cluster_bytes;  /* of the largest, for all */
    beam_gpu_plan largest; /* */
    beam_gpu_cluster_note *cluster;
    beam_gpu_plan_note *plan; /* by users, targets, users per station */
    uint64_t batch;           /* number of the last one packed, from 1 */
    void *scratch;            /* of pack_cluster */
    size_t scratch_bytes;
} beam_gpu_batches;

/* The sizes of beam_gpu_prepare; fast_limit: what a team's fast memory may have. Allocates; after
 * it nothing here does. Free with beam_gpu_batches_free, after an error too. */
beam_gpu_code beam_gpu_batches_init(beam_gpu_batches *b, const beam_dims *most,
                                    int users_per_station, int layers, int width, int clusters_max,
                                    int max_batch, int fast_limit, beam_gpu_error *err);
void beam_gpu_batches_free(beam_gpu_batches *b);

/* Most bytes of `count` requests and of their answers. */
size_t beam_gpu_batches_in_bytes(const beam_gpu_batches *b, int count);
size_t beam_gpu_batches_out_bytes(const beam_gpu_batches *b, int count);

/* A cluster's constants to `to`, cluster_bytes of 16-byte aligned memory; *bytes of them are used.
 * BEAM_GPU_E_BUSY as set_cluster. *note: what is known of it from when the bytes are where batches
 * read them: beam_gpu_batches_know. */
beam_gpu_code beam_gpu_batches_pack_cluster(beam_gpu_batches *b, int index, const beam_scene *scene,
                                            const beam_design *sensing, void *to, size_t *bytes,
                                            beam_gpu_cluster_note *note, beam_gpu_error *err);
void beam_gpu_batches_know(beam_gpu_batches *b, int index, const beam_gpu_cluster_note *note);

/* May these be a batch? */
beam_gpu_code beam_gpu_batches_check(const beam_gpu_batches *b, int count,
                                     const beam_gpu_request *requests, beam_gpu_error *err);

/* What is used of a batch's memory. */
typedef struct beam_gpu_batch_size {
    int count, refine;
    int fast_bytes; /* fast memory that is enough for a team of it */
    size_t in_bytes, out_bytes;
} beam_gpu_batch_size;
/* Requests that were checked into `in`, 16-byte aligned, of in_bytes(count); their clusters are
 * busy until beam_gpu_batches_end. model: set of weights. */
beam_gpu_batch_size beam_gpu_batches_pack(beam_gpu_batches *b, int count, int model,
                                          const beam_gpu_request *requests, unsigned char *in);
/* Answers of such a batch. */
void beam_gpu_batches_unpack(const unsigned char *in, const unsigned char *out,
                             beam_gpu_answer *answers);
/* It is not in flight any more. */
void beam_gpu_batches_end(beam_gpu_batches *b, const unsigned char *in);

/* Fills *err, which may be NULL; returns the code. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
beam_gpu_code
beam_gpu_fail(beam_gpu_error *err, beam_gpu_code code, const char *format, ...);

#ifdef __cplusplus
}
#endif
#endif
