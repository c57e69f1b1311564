/* beamgpu: a resident CUDA context that answers batches of requests: CSI in, checked beams out, one
 * transfer each way. A library of its own (libbeam and the daemon link no CUDA). One thread at a
 * time per object. Nothing here prints or ends the program.
 *
 * Life: create -> load_model -> prepare (sizes; allocates, captures graphs) -> set_cluster for
 * every cluster -> { submit -> collect }*. After prepare nothing is allocated or captured. */
#ifndef BEAM_GPU_H
#define BEAM_GPU_H

#include <stddef.h>

#include "beam/design.h"
#include "beam/quality.h"
#include "beam/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum beam_gpu_code {
    BEAM_GPU_OK = 0,
    BEAM_GPU_E_INVALID = 1,   /* an argument, or the order of the calls */
    BEAM_GPU_E_NO_DEVICE = 2, /* no driver, no device, or one that is too old */
    BEAM_GPU_E_LIMIT = 3,     /* sizes beyond what was prepared or what the device can hold */
    BEAM_GPU_E_MEMORY = 4,    /* host or device memory */
    BEAM_GPU_E_DEVICE = 5,    /* a CUDA error: the object is of no use any more, destroy it */
    BEAM_GPU_E_BUSY = 6       /* collect first (submit), or not done in time (collect) */
} beam_gpu_code;

typedef struct beam_gpu_error {
    beam_gpu_code code;
    char text[256]; /* one sentence, no newline; names the CUDA call and error where one failed */
} beam_gpu_error;

typedef struct beam_gpu_options {
    int clusters_max; /* clusters whose constants are kept on the device, >= 1 */
    int slots;        /* batches in flight, 1..BEAM_GPU_SLOTS_MAX */
    int spin;         /* collect waits busily: a core for less latency */
} beam_gpu_options;
enum { BEAM_GPU_SLOTS_MAX = 4 };

/* Which beams an answer holds. */
typedef enum beam_gpu_choice {
    BEAM_GPU_CHOICE_NONE = -1, /* no candidate with a finite rate */
    BEAM_GPU_CHOICE_NETWORK = 0,
    BEAM_GPU_CHOICE_WARM = 1,
    BEAM_GPU_CHOICE_CLASSICAL = 2
} beam_gpu_choice;

typedef struct beam_gpu_request {
    int cluster;             /* of set_cluster: geometry, budgets, users' stations and weights */
    const beam_scene *scene; /* channels and error radii; its other members are not read */
    beam_ideal ideal;
    double tradeoff;         /* [0, 1] */
    const beam_design *warm; /* or NULL */
    int layers;     /* to run: cold the first, warm the last so many; 0: all when cold, half
                       of them when warm */
    int candidates; /* bits 1 << beam_gpu_choice of what is to be considered; 0: all. Warm
                       alone: the exact numbers of given beams */
} beam_gpu_request;

/* Exact numbers (float64, full antenna space) of the beams sent, which are float32. */
typedef struct beam_gpu_answer {
    beam_gpu_choice choice;
    double wsr_worst_case_bps_hz, shortfall_bps_hz;
    double crlb_m2; /* INFINITY: a target that counts is not identifiable */
    double merit;   /* with the cost of missed minimum rates; INFINITY: of no use */
    double network_merit, warm_merit, classical_merit; /* INFINITY: none */
    double classical_share, search_merit; /* power of the classical beams; its merit in float32 */
    beam_design *out;                     /* set by the caller of collect: sizes of the scene */
} beam_gpu_answer;

typedef struct beam_gpu beam_gpu;

/* Devices that this build can use; 0 and a sentence when there is none. */
int beam_gpu_devices(beam_gpu_error *err);

beam_gpu_code beam_gpu_create(beam_gpu **out, int device, const beam_gpu_options *options,
                              beam_gpu_error *err);
void beam_gpu_destroy(beam_gpu *self); /* NULL is fine */

/* Takes the weights of an equivariant model: `theta` as beam_model_write takes them. Again later
 * with the same layers and width: the next submit uses the new ones, batches in flight the old. */
beam_gpu_code beam_gpu_load_model(beam_gpu *self, int layers, int width, const float *theta,
                                  beam_gpu_error *err);

/* For problems of exactly these sizes, at most users_per_station users at one (0: all at one), and
 * batches of up to max_batch: buffers, and a graph per bucket (1, 2, 4, ... max_batch). Once. */
beam_gpu_code beam_gpu_prepare(beam_gpu *self, const beam_dims *dims, int users_per_station,
                               int max_batch, beam_gpu_error *err);

/* Constants of cluster `index`; sensing: its least-CRLB rows at full power (beams ignored). Waits
 * for batches in flight. */
beam_gpu_code beam_gpu_set_cluster(beam_gpu *self, int index, const beam_scene *scene,
                                   const beam_design *sensing, beam_gpu_error *err);

/* Copies the requests to pinned memory and starts them; *slot names the batch. */
beam_gpu_code beam_gpu_submit(beam_gpu *self, int count, const beam_gpu_request *requests,
                              int *slot, beam_gpu_error *err);
/* The answers of a batch, count of submit. wait 0: BEAM_GPU_E_BUSY when not done. */
beam_gpu_code beam_gpu_collect(beam_gpu *self, int slot, int wait, beam_gpu_answer *answers,
                               beam_gpu_error *err);

/* What prepare made. */
typedef struct beam_gpu_info {
    char device[256];
    int multiprocessors, clock_khz, compute_major, compute_minor;
    int shared_bytes, slow_bytes;    /* per problem */
    int problems_per_multiprocessor; /* at once */
    int lanes;                       /* of the team of one problem */
    int request_bytes, answer_bytes, cluster_bytes;
    double last_batch_ms; /* device time of the last batch collected */
} beam_gpu_info;
beam_gpu_code beam_gpu_info_of(const beam_gpu *self, beam_gpu_info *info, beam_gpu_error *err);

#ifdef __cplusplus
}
#endif
#endif
