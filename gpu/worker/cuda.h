/* Inside of the backend over libbeamgpu: backend_cuda.c (setups, batches), cuda_room.c (one size on
 * the device), cuda_cluster.c (what clusters share, kept there by content). */
#ifndef BEAMG_CUDA_H
#define BEAMG_CUDA_H

#include "beam/gpu.h"
#include "worker/backend.h"

enum {
    BEAMG_CLUSTERS_MOST = 1024,      /* kept per room ... */
    BEAMG_CLUSTER_BYTES = 64 << 20,  /* ... in about so much memory of the device, */
    BEAMG_CLUSTERS_LEAST = 8,        /* but so many at any size */
    BEAMG_PARTS = BEAM_GPU_SLOTS_MAX /* of batches, on the device at once, per room */
};

/* --- Clusters ---------------------------------------------------------------------------------
 */

/* What of a frame is no array. */
typedef struct beamg_frame_head {
    beamg_dims dims;
    int32_t sensing, skip, moved, reserved;
    double bandwidth_hz, snapshots;
    uint64_t frame_bytes, rows_bytes;
} beamg_frame_head;

typedef struct beamg_cluster {
    uint64_t hash, used; /* used: when; 0: empty */
    uint64_t part;       /* the last part that asked for it */
    beamg_frame_head head;
} beamg_cluster;

/* The constants of frames on the device, found by their content: a frame that was seen before costs
 * a comparison, another one takes the place of the one that was not used for longest. */
typedef struct beamg_clusters {
    beam_gpu *gpu;
    int most;
    beamg_cluster *entry;   /* [most] */
    unsigned char *content; /* [most][content_bytes] */
    size_t content_bytes;
    uint64_t clock;
    uint64_t found, loaded; /* counts */
    /* rows of a frame as a design */
    beam_dims room, dims; /* the solver's sizes now */
    void *solver_memory;
    size_t solver_bytes;
    beam_solver *solver;
    void *design_memory;
    size_t design_bytes;
} beamg_clusters;

/* How many a room of these sizes keeps. */
int beamg_clusters_count(const beam_dims *room);
/* 0; -1: no memory. */
int beamg_clusters_init(beamg_clusters *self, beam_gpu *gpu, const beam_dims *room, int most);
void beamg_clusters_free(beamg_clusters *self);

enum { BEAMG_CLUSTER_NONE = -1, BEAMG_CLUSTER_REFUSED = -2, BEAMG_CLUSTER_BROKEN = -3 };
/* The index of the cluster of scene `scene`, for part number `part`. NONE: all are in use, for now;
 * REFUSED: *code says what its problems are to be answered with; BROKEN: *err. */
int beamg_cluster_of(beamg_clusters *self, const beamg_request *request, uint32_t scene,
                     uint64_t part, beam_code *code, beam_gpu_error *err);

/* --- Rooms ------------------------------------------------------------------------------------
 */

/* Problems of one batch that are on the device together. */
typedef struct beamg_part {
    beamg_job *job; /* NULL: none */
    int count;
    uint64_t number;   /* rises with every one that is tried */
    uint32_t *problem; /* [problems] indices in the batch */
} beamg_part;

/* One size: an object of the library with all that its batches need. */
typedef struct beamg_cuda_room {
    beamg_room of;
    beam_dims dims;
    bool exact; /* an mlp's: sizes are these, not at most these */
    int layers;
    beam_gpu *gpu;
    beamg_clusters clusters;
    uint64_t parts; /* tried */
    uint64_t aimed; /* part that out and answer are of */
    beamg_part part[BEAMG_PARTS];
    /* of one submit or collect, [of.problems] */
    beam_gpu_request *request;
    beam_scene *scene;
    beam_design *warm, *out;
    beam_gpu_answer *answer;
    int (*count)[BEAM_MAX_STATIONS];
} beamg_cuda_room;

/* An object with the model's weights and all it needs, warmed up. 0; else a BEAMG_EXIT code.
 * `self` is then free. */
int beamg_cuda_room_make(beamg_cuda_room *self, const beamg_room *of, int device, int done_fd,
                         const beam_model *model, char *why, size_t size);
void beamg_cuda_room_free(beamg_cuda_room *self);
/* Weights of another model of the same shape, for parts submitted from now on. */
beam_gpu_code beamg_cuda_room_model(beamg_cuda_room *self, const beam_model *model,
                                    beam_gpu_error *err);
/* Is scene `scene` of a size for this room? */
bool beamg_cuda_room_fits(const beamg_cuda_room *self, const beamg_request *request,
                          uint32_t scene);

/* Starts a part of the problems of `job` from *next on whose entry in `room` is `index`; *next: the
 * first that was not seen. BEAM_GPU_E_BUSY: no place now, collect first. Others: of the device. */
beam_gpu_code beamg_cuda_room_start(beamg_cuda_room *self, beamg_job *job, const uint8_t *room,
                                    uint8_t index, uint32_t *next, beam_gpu_error *err);
/* Answers the problems of a part that is done. BEAM_GPU_E_BUSY: none is; wait: until the oldest is.
 * Others: of the device. *job: whose it was. */
beam_gpu_code beamg_cuda_room_finish(beamg_cuda_room *self, bool wait, beamg_job **job,
                                     beam_gpu_error *err);

/* A BEAMG_EXIT code of an error of the library. */
int beamg_cuda_exit(beam_gpu_code code);

#endif
