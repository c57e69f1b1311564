/* beamgpu: a resident CUDA context that answers batches of requests: CSI in, checked beams out, one
 * transfer each way. A library of its own (libbeam and the daemon link no CUDA). One thread at a
 * time per object. Nothing here prints or ends the program.
 *
 * Life: create -> load_model or load_mlp -> prepare (largest sizes; allocates, captures graphs) ->
 * { set_cluster as clusters come and change | submit -> collect }*. After prepare nothing is
 * allocated or captured, on the host or on the device.
 *
 * A cluster, an index of 0..clusters_max-1, is what many requests share: geometry, budgets, users'
 * stations and weights. Problems of one batch may be of different clusters and sizes. */
#ifndef BEAM_GPU_H
#define BEAM_GPU_H

#include <stddef.h>

#include "beam/design.h"
#include "beam/network.h"
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
    BEAM_GPU_E_BUSY = 6 /* all slots in flight (submit), in use by a batch in flight (set_cluster),
                           not done (collect) */
} beam_gpu_code;

typedef struct beam_gpu_error {
    beam_gpu_code code;
    char text[256]; /* one sentence, no newline; names the CUDA call and error where one failed */
} beam_gpu_error;

/* How the network's perceptron is multiplied. The last two need sm_80 and a model of width 32, and
 * are the plain one elsewhere. */
typedef enum beam_gpu_precision {
    BEAM_GPU_PLAIN = 0,  /* float32 */
    BEAM_GPU_HALVES = 1, /* tensor cores, halves: 11 bits */
    BEAM_GPU_SPLIT = 2   /* tensor cores, float32 from three products of halves */
} beam_gpu_precision;

typedef struct beam_gpu_options {
    int clusters_max; /* whose constants are kept on the device, 1..BEAM_GPU_CLUSTERS_MAX */
    int slots;        /* batches in flight, 1..BEAM_GPU_SLOTS_MAX */
    int spin;         /* collect waits busily: a core for less latency */
    int done_fd; /* <= 0: none. An eventfd, non-blocking, the caller's: 1 is added to it by a thread
                    of the driver when a batch is done, so that poll or read may sleep until then;
                    then collect(wait 0) has its answers. After an error of the device nothing is
                    added: sleep with a limit, then collect says so. Must stay open until destroy */
    beam_gpu_precision perceptron;
} beam_gpu_options;
enum { BEAM_GPU_CLUSTERS_MAX = 65536, BEAM_GPU_SLOTS_MAX = 4 };

/* Which beams an answer holds. */
typedef enum beam_gpu_choice {
    BEAM_GPU_CHOICE_NONE = -1, /* no candidate with a finite rate */
    BEAM_GPU_CHOICE_NETWORK = 0,
    BEAM_GPU_CHOICE_WARM = 1,
    BEAM_GPU_CHOICE_CLASSICAL = 2
} beam_gpu_choice;

typedef struct beam_gpu_request {
    int cluster;             /* of set_cluster: geometry, budgets, users' stations and weights */
    const beam_scene *scene; /* sizes of the cluster, channels and error radii; its other members
                                are not read */
    beam_ideal ideal;
    double tradeoff;         /* [0, 1] */
    const beam_design *warm; /* or NULL */
    int layers;     /* to run: cold the first, warm the last so many; 0: all when cold, half
                       of them when warm */
    int candidates; /* bits 1 << beam_gpu_choice of what is to be considered; 0: all. Warm
                       alone: the exact numbers of given beams. With BEAM_GPU_SEARCH_CLASSICAL
                       the classical share is searched even where a bound rules it out */
    int refine;     /* iterations of BOBLRBF from the best candidate, certified again and kept where
                       they are better; 0: none, at most BEAM_GPU_REFINE_MAX */
} beam_gpu_request;
enum { BEAM_GPU_REFINE_MAX = 1000, BEAM_GPU_SEARCH_CLASSICAL = 8 };

/* Exact numbers (float64, full antenna space) of the beams sent, which are float32. */
typedef struct beam_gpu_answer {
    beam_gpu_choice choice;
    double wsr_worst_case_bps_hz, shortfall_bps_hz;
    double crlb_m2; /* INFINITY: a target that counts is not identifiable */
    double merit;   /* with the cost of missed minimum rates; INFINITY: of no use */
    double network_merit, warm_merit, classical_merit; /* INFINITY: none */
    double classical_share, search_merit; /* power of the classical beams; its merit in float32 */
    int classical_is_bound; /* classical_merit is a lower bound of it, which rules it out: no share
                               was searched */
    int classical_evaluations; /* of the search, at most 12 */
    int refined, evaluations;  /* iterations done; evaluations of the objective in them. The beams
                                  are the refined ones where merit is below all three above */
    beam_design *out;          /* set by the caller of collect: sizes of the scene */
} beam_gpu_answer;

typedef struct beam_gpu beam_gpu;

/* Devices that this build can use; 0 and a sentence when there is none. */
int beam_gpu_devices(beam_gpu_error *err);

beam_gpu_code beam_gpu_create(beam_gpu **out, int device, const beam_gpu_options *options,
                              beam_gpu_error *err);
void beam_gpu_destroy(beam_gpu *self); /* NULL is fine */

/* Takes the weights of an equivariant model: `theta` as beam_model_write takes them. Again later
 * with the same layers and width: the next submit uses the new ones, batches in flight the old.
 * Waits for batches of the model before the last one. */
beam_gpu_code beam_gpu_load_model(beam_gpu *self, int layers, int width, const float *theta,
                                  beam_gpu_error *err);

/* Instead of load_model: an mlp (info->kind), `theta` as above. prepare then takes the model's size
 * only, users U/L at every station, and so does set_cluster. Again later with the same sizes, as
 * load_model. BEAM_GPU_E_INVALID where the library was built without cuBLAS. */
beam_gpu_code beam_gpu_load_mlp(beam_gpu *self, const beam_model_info *info, const float *theta,
                                beam_gpu_error *err);

/* For problems of dims_max's stations and antennas with at most its users and targets, at most
 * users_per_station users at one (0: all may be at one), in batches of up to max_batch of them in
 * any mixture: buffers, and a graph per bucket (1, 2, 4, ... max_batch). Once. */
beam_gpu_code beam_gpu_prepare(beam_gpu *self, const beam_dims *dims_max, int users_per_station,
                               int max_batch, beam_gpu_error *err);

/* Constants of cluster `index`; sensing: its least-CRLB rows at full power (beams ignored). Does
 * not wait for batches: both are copied before it returns, and every later submit sees them.
 * BEAM_GPU_E_BUSY where a batch in flight uses the index, BEAM_GPU_E_LIMIT for sizes beyond
 * prepare's; after an error other than of the device the index is as before. */
beam_gpu_code beam_gpu_set_cluster(beam_gpu *self, int index, const beam_scene *scene,
                                   const beam_design *sensing, beam_gpu_error *err);
/* Requests in flight that use the index; 0 for an index out of range. */
int beam_gpu_cluster_busy(const beam_gpu *self, int index);

/* Copies the requests to pinned memory and starts them; *slot names the batch. Slots run beside
 * each other; they may end in any order. */
beam_gpu_code beam_gpu_submit(beam_gpu *self, int count, const beam_gpu_request *requests,
                              int *slot, beam_gpu_error *err);
/* The answers of a batch, count of submit, in its order. wait 0: BEAM_GPU_E_BUSY when not done, and
 * the answers are untouched. The slot and its clusters are free again afterwards. Each out: NULL,
 * or a design of the sizes of its scene with sensing_max of beam_design_sensing_max; written where
 * choice is not NONE. */
beam_gpu_code beam_gpu_collect(beam_gpu *self, int slot, int wait, beam_gpu_answer *answers,
                               beam_gpu_error *err);

/* What prepare made. */
typedef struct beam_gpu_info {
    char device[256];
    int multiprocessors, clock_khz, compute_major, compute_minor;
    int shared_bytes, slow_bytes;                   /* per problem, of the largest sizes */
    int problems_per_multiprocessor;                /* at once */
    int lanes;                                      /* of the team of one problem */
    int request_bytes, answer_bytes, cluster_bytes; /* of the largest sizes */
    double last_batch_ms;                           /* device time of the last batch collected */
} beam_gpu_info;
beam_gpu_code beam_gpu_info_of(const beam_gpu *self, beam_gpu_info *info, beam_gpu_error *err);

#ifdef __cplusplus
}
#endif
#endif
