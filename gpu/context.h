/* The resident context and its slots. C++, internal to the gpu library. */
#ifndef BEAM_GPU_CONTEXT_H
#define BEAM_GPU_CONTEXT_H

#include "batch.h"
#include "beam/gpu.h"
#include "kernels.h"

enum { BEAM_GPU_BUCKETS_MAX = 24, BEAM_GPU_VARIANTS = 4, BEAM_GPU_SHAPES_MAX = 6 };

/* A batch's work for one bucket, ready to launch. Its copies are set to the bytes used, in coarse
 * steps, so that few launches change them. */
struct beam_gpu_graph {
    cudaGraph_t graph; /* owns the nodes */
    cudaGraphExec_t run;
    cudaGraphNode_t copy_in, copy_out;
    size_t in_bytes, out_bytes;
};

/* What one batch in flight needs. */
struct beam_gpu_slot {
    cudaStream_t stream;
    cudaEvent_t begin, end;
    unsigned char *in_host, *out_host; /* pinned */
    unsigned char *in, *out, *slow;
    beam_gpu_batch_memory memory;
    beam_gpu_graph graph[BEAM_GPU_SHAPES_MAX][BEAM_GPU_VARIANTS][BEAM_GPU_BUCKETS_MAX];
    int count; /* requests in flight, 0: free */
    int model;
    unsigned long long clusters_seen; /* of uploads.made */
};

/* Constants of clusters on their way: cells of pinned memory used in turn, in two halves. A half is
 * written again when its copies are done. */
struct beam_gpu_uploads {
    cudaStream_t stream;
    cudaEvent_t half_done[2], made_done;
    unsigned char *cells;            /* pinned */
    int half;                        /* cells of a half */
    int next;                        /* cell */
    unsigned long long made, marked; /* copies begun; of them before made_done */
};

struct beam_gpu {
    int device;
    beam_gpu_options options;
    cudaDeviceProp properties;
    int optin;
    bool broken; /* an error of the device: of no use any more */
    /* model: two sets, the one in use */
    int layers, width, model;
    float *weights;
    float *weights_host; /* pinned, one set */
    size_t weights_floats;
    beam_model_info mlp_info;
    float *mlp_theta; /* until prepare */
    beam_gpu_mlp *mlp;
    /* problems */
    bool prepared;
    beam_gpu_batches batches;
    /* How batches are spread: the first shape is for all sizes, those after it have ever less
     * memory and ever more problems at once, for batches whose problems are all small enough. */
    beam_gpu_launch shape[BEAM_GPU_SHAPES_MAX];
    int shapes;
    int buckets;
    unsigned char *clusters;
    beam_gpu_uploads uploads;
    beam_gpu_slot slots[BEAM_GPU_SLOTS_MAX];
    float last_ms;
};

/* Says which call failed; after an error of the device the object is broken. */
beam_gpu_code beam_gpu_cuda_fail(beam_gpu *g, beam_gpu_error *err, const char *call,
                                 cudaError_t error);

/* Returns from the caller where a CUDA call fails. */
#define BEAM_CUDA(g, err, call)                                                                    \
    do {                                                                                           \
        const cudaError_t error_ = (call);                                                         \
        if (error_ != cudaSuccess) {                                                               \
            return beam_gpu_cuda_fail((g), (err), #call, error_);                                  \
        }                                                                                          \
    } while (0)

template <typename T> cudaError_t beam_gpu_take(T **out, size_t bytes)
{
    void *memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes > 0 ? bytes : 1);
    *out = static_cast<T *>(memory);
    return error;
}
template <typename T> cudaError_t beam_gpu_take_pinned(T **out, size_t bytes)
{
    void *memory = nullptr;
    const cudaError_t error = cudaMallocHost(&memory, bytes > 0 ? bytes : 1);
    *out = static_cast<T *>(memory);
    return error;
}

/* Slots (slot.cu). */
beam_gpu_code beam_gpu_slot_prepare(beam_gpu *g, int index, beam_gpu_error *err);
beam_gpu_code beam_gpu_slot_start(beam_gpu *g, beam_gpu_slot *s, const beam_gpu_batch_size *size,
                                  beam_gpu_error *err);
void beam_gpu_slot_free(beam_gpu_slot *s);

/* Uploads of clusters (slot.cu). */
beam_gpu_code beam_gpu_uploads_prepare(beam_gpu *g, beam_gpu_error *err);
/* Memory for the next cluster's constants, free to be written. */
beam_gpu_code beam_gpu_uploads_cell(beam_gpu *g, unsigned char **cell, beam_gpu_error *err);
/* Starts the copy of that memory. */
beam_gpu_code beam_gpu_uploads_start(beam_gpu *g, int cluster, size_t bytes, beam_gpu_error *err);
void beam_gpu_uploads_free(beam_gpu_uploads *u);

#endif
