/* The paper's network on whole batches: a team per problem fills its column and takes the steps
 * between, cuBLAS does the dense layers. Everything is on the stream of the batch and nothing is
 * allocated after create, so that a graph can hold it.
 *
 * Products are float32 (CUBLAS_DEFAULT_MATH never rounds to TF32). The activation of the model is
 * none of cublasLt's epilogues, and its bias alone would save nothing: the kernel that follows
 * reads every number once anyway. */
#include <cstring>
#include <new>

#include "cublas.h"
#include "device/device.cuh"
#include "device/mlp.cuh"
#include "kernels.h"
#include "launch.h"
#include "mlp_plan.h"
#include "plan.h"

namespace
{

/* Problems that go through the layers together: their columns stay in the cache between products
 * (13 MB at the paper's size and width 128), and memory does not grow with the batch. */
constexpr int columns_most = 4096;
/* What cuBLAS asks for on compute capability 9.0, more than on any other. */
constexpr size_t workspace_bytes = 32u << 20;
constexpr int column_teams = 4; /* warps of a block that have a column each */

struct layer_memory {
    float *x, *wide, *hidden; /* [columns] of inputs; of hidden or outputs; of hidden */
    void *workspace;
    beam_c32 *beams; /* [most][rows N] */
};

/* Which of the columns before `end` of a chunk that begins at problem `first` is this warp's. */
struct column_of {
    beam_team team;
    int column;
    bool used;
};

__device__ column_of this_column(const beam_gpu_batch_memory &memory, int first, int columns)
{
    const int left = beam_gpu_batch_head_of(&memory)->count - first;
    const int warp = static_cast<int>(threadIdx.x) / BEAM_TEAM_WARP;
    column_of c;
    c.team = {static_cast<int>(threadIdx.x) % BEAM_TEAM_WARP, BEAM_TEAM_WARP, nullptr};
    c.column = static_cast<int>(blockIdx.x) * column_teams + warp;
    c.used = c.column < columns && c.column < left;
    return c;
}

__device__ const beam_gpu_request_head *request_of(const beam_gpu_batch_memory &memory, int i)
{
    const unsigned char *at = memory.in + beam_gpu_batch_entry_of(&memory, i)->request;
    return reinterpret_cast<const beam_gpu_request_head *>(at);
}

template <typename T> __host__ __device__ T *column(T *base, int stride, int i)
{
    return base + static_cast<size_t>(stride) * static_cast<size_t>(i);
}

/* Columns before their first layer; teams and memory as the kernel of the answers has them. */
template <int LANES, int TEAMS>
__global__ void __launch_bounds__(LANES *TEAMS)
    begin(const __grid_constant__ beam_gpu_batch_memory memory,
          const __grid_constant__ beam_gpu_mlp_plan m, int fast_bytes, int first, int columns,
          float *x)
{
    __shared__ double slot[BEAM_TEAM_MAX / BEAM_TEAM_WARP];
    __shared__ beam_gpu_plan plans[TEAMS];
    const int team = static_cast<int>(threadIdx.x) / LANES;
    const int at = static_cast<int>(blockIdx.x) * TEAMS + team;
    const int apart = static_cast<int>(gridDim.x) * TEAMS;
    const int left = beam_gpu_batch_head_of(&memory)->count - first;
    const beam_team t = {static_cast<int>(threadIdx.x) % LANES, LANES, slot};
    beam_gpu_near_plan near = {&plans[team], 0};
    beam_gpu_problem p;
    p.fast = beam_gpu_dynamic_shared() + team * fast_bytes;
    p.slow = memory.slow + static_cast<size_t>(at) * memory.slow_apart;
    for (int i = at; i < columns && i < left; i += apart) {
        beam_gpu_batch_problem(&t, &memory, first + i, &near, &p);
        if (beam_gpu_mlp_serves(&p, &m)) {
            beam_gpu_mlp_begin(&t, &p, &m, column(x, m.inputs, i));
        }
        beam_team_sync(&t);
    }
}

using begin_kernel = void (*)(beam_gpu_batch_memory, beam_gpu_mlp_plan, int, int, int, float *);

begin_kernel begin_of(const beam_gpu_launch &launch)
{
    if (launch.lanes != BEAM_TEAM_WARP) {
        return begin<128, 1>;
    }
    return launch.teams == 1 ? begin<BEAM_TEAM_WARP, 1> : begin<BEAM_TEAM_WARP, 4>;
}

__global__ void __launch_bounds__(column_teams *BEAM_TEAM_WARP)
    hidden(const __grid_constant__ beam_gpu_batch_memory memory,
           const __grid_constant__ beam_gpu_mlp_plan m, int first, int columns, const float *bias,
           float *h)
{
    const column_of c = this_column(memory, first, columns);
    if (c.used) {
        beam_gpu_mlp_hidden(&c.team, &m, bias, column(h, m.hidden, c.column));
    }
}

__global__ void __launch_bounds__(column_teams *BEAM_TEAM_WARP)
    step(const __grid_constant__ beam_gpu_batch_memory memory,
         const __grid_constant__ beam_gpu_mlp_plan m, int first, int columns, int y,
         const float *weights, const float *out, float *x)
{
    const column_of c = this_column(memory, first, columns);
    if (c.used) {
        beam_gpu_mlp_step(&c.team, request_of(memory, first + c.column), &m, y, weights,
                          column(out, m.outputs, c.column), column(x, m.inputs, c.column));
    }
}

__global__ void __launch_bounds__(column_teams *BEAM_TEAM_WARP)
    end(const __grid_constant__ beam_gpu_batch_memory memory,
        const __grid_constant__ beam_gpu_mlp_plan m, int first, int columns, const float *x,
        beam_c32 *beams)
{
    __shared__ beam_gpu_plan plans[column_teams];
    const column_of c = this_column(memory, first, columns);
    beam_gpu_near_plan near = {&plans[threadIdx.x / BEAM_TEAM_WARP], 0};
    beam_gpu_problem p = {};
    if (!c.used) {
        return;
    }
    beam_c32 *to = column(beams, (m.U + m.L * m.r) * m.N, first + c.column);
    beam_gpu_batch_problem(&c.team, &memory, first + c.column, &near, &p);
    if (beam_gpu_mlp_serves(&p, &m)) {
        beam_gpu_mlp_beams(&c.team, &p, &m, column(x, m.inputs, c.column), to);
    } else {
        beam_gpu_mlp_no_beams(&c.team, &m, to);
    }
}

} // namespace

struct beam_gpu_mlp {
    beam_gpu_mlp_plan plan;
    int most, columns, slots;
    beam_gpu_cublas blas;
    cublasHandle_t handle;
    float *weights;      /* two sets */
    float *weights_host; /* pinned, one set */
    layer_memory *slot;  /* [slots] */
    char trouble[512];
};

namespace
{

size_t set_floats(const beam_gpu_mlp *g)
{
    return static_cast<size_t>(g->plan.layer) * static_cast<size_t>(g->plan.layers);
}
size_t beams_apart(const beam_gpu_mlp *g)
{
    return static_cast<size_t>((g->plan.U + g->plan.L * g->plan.r) * g->plan.N);
}

#define BEAM_GPU_TRY(call)                                                                         \
    do {                                                                                           \
        const cudaError_t error_ = (call);                                                         \
        if (error_ != cudaSuccess) {                                                               \
            return error_;                                                                         \
        }                                                                                          \
    } while (0)

cudaError_t blas_result(beam_gpu_mlp *g, const char *call, cublasStatus_t status)
{
    if (status == CUBLAS_STATUS_SUCCESS) {
        return cudaSuccess;
    }
    (void)std::snprintf(g->trouble, sizeof g->trouble, "%s: %s", call,
                        g->blas.status_string(status));
    return cudaErrorUnknown;
}

template <typename T> cudaError_t take(T **out, size_t count)
{
    void *memory = nullptr;
    const size_t bytes = (count > 0 ? count : 1) * sizeof(T);
    BEAM_GPU_TRY(cudaMalloc(&memory, bytes));
    *out = static_cast<T *>(memory);
    return cudaMemset(memory, 0, bytes);
}

cudaError_t take_slot(beam_gpu_mlp *g, layer_memory *s)
{
    const beam_gpu_mlp_plan &m = g->plan;
    const size_t columns = static_cast<size_t>(g->columns);
    const int wide = m.hidden > m.outputs ? m.hidden : m.outputs;
    unsigned char *workspace = nullptr;
    BEAM_GPU_TRY(take(&s->x, columns * static_cast<size_t>(m.inputs)));
    BEAM_GPU_TRY(take(&s->wide, columns * static_cast<size_t>(wide)));
    BEAM_GPU_TRY(take(&s->hidden, columns * static_cast<size_t>(m.hidden)));
    BEAM_GPU_TRY(take(&s->beams, static_cast<size_t>(g->most) * beams_apart(g)));
    BEAM_GPU_TRY(take(&workspace, workspace_bytes));
    s->workspace = workspace;
    return cudaSuccess;
}

/* The handle works on this stream with memory of the slot: set_stream takes the memory away. */
cudaError_t use(beam_gpu_mlp *g, const layer_memory &s, cudaStream_t stream)
{
    BEAM_GPU_TRY(blas_result(g, "cublasSetStream", g->blas.set_stream(g->handle, stream)));
    return blas_result(g, "cublasSetWorkspace",
                       g->blas.set_workspace(g->handle, s.workspace, workspace_bytes));
}

/* y = W x of every column; W [outputs][inputs], as cuBLAS sees it its transpose. */
cudaError_t product(beam_gpu_mlp *g, int outputs, int inputs, int columns, const float *weight,
                    const float *x, float *y)
{
    const float one = 1, zero = 0;
    return blas_result(g, "cublasSgemm",
                       g->blas.sgemm(g->handle, CUBLAS_OP_T, CUBLAS_OP_N, outputs, columns, inputs,
                                     &one, weight, inputs, x, inputs, &zero, y, outputs));
}

/* One layer of one chunk. */
cudaError_t run_layer(beam_gpu_mlp *g, const layer_memory &s, const float *weights, int y,
                      const beam_gpu_batch_memory &memory, int first, int columns,
                      cudaStream_t stream)
{
    const beam_gpu_mlp_plan &m = g->plan;
    const int blocks = (columns + column_teams - 1) / column_teams,
              threads = column_teams * BEAM_TEAM_WARP;
    BEAM_GPU_TRY(product(g, m.hidden, m.inputs, columns, weights + m.w1, s.x, s.wide));
    BEAM_GPU_TRY(beam_gpu_start(hidden, blocks, threads, 0, stream, memory, m, first, columns,
                                weights + m.b1, s.wide));
    BEAM_GPU_TRY(product(g, m.hidden, m.hidden, columns, weights + m.w2, s.wide, s.hidden));
    BEAM_GPU_TRY(beam_gpu_start(hidden, blocks, threads, 0, stream, memory, m, first, columns,
                                weights + m.b2, s.hidden));
    BEAM_GPU_TRY(product(g, m.outputs, m.hidden, columns, weights + m.w3, s.hidden, s.wide));
    return beam_gpu_start(step, blocks, threads, 0, stream, memory, m, first, columns, y, weights,
                          s.wide, s.x);
}

cudaError_t run_chunk(beam_gpu_mlp *g, const layer_memory &s, int set,
                      const beam_gpu_launch &launch, const beam_gpu_batch_memory &memory, int first,
                      int columns, cudaStream_t stream)
{
    const int needed = (columns + launch.teams - 1) / launch.teams,
              blocks = needed < launch.blocks_max ? needed : launch.blocks_max;
    const float *weights = g->weights + static_cast<size_t>(set) * set_floats(g);
    BEAM_GPU_TRY(beam_gpu_start(begin_of(launch), blocks, launch.lanes * launch.teams,
                                launch.shared_bytes, stream, memory, g->plan, launch.fast_bytes,
                                first, columns, s.x));
    for (int y = 0; y < g->plan.layers; y++) {
        BEAM_GPU_TRY(
            run_layer(g, s, column(weights, g->plan.layer, y), y, memory, first, columns, stream));
    }
    return beam_gpu_start(end, (columns + column_teams - 1) / column_teams,
                          column_teams * BEAM_TEAM_WARP, 0, stream, memory, g->plan, first, columns,
                          s.x, s.beams);
}

/* Every product of `columns` columns once: cuBLAS chooses and loads its kernels now, not while a
 * graph is captured. */
cudaError_t rehearse(beam_gpu_mlp *g, const layer_memory &s, int columns)
{
    const beam_gpu_mlp_plan &m = g->plan;
    BEAM_GPU_TRY(product(g, m.hidden, m.inputs, columns, g->weights + m.w1, s.x, s.wide));
    BEAM_GPU_TRY(product(g, m.hidden, m.hidden, columns, g->weights + m.w2, s.wide, s.hidden));
    return product(g, m.outputs, m.hidden, columns, g->weights + m.w3, s.hidden, s.wide);
}

cudaError_t rehearse_all(beam_gpu_mlp *g, cudaStream_t stream)
{
    BEAM_GPU_TRY(use(g, g->slot[0], stream));
    for (int columns = 1; columns < g->columns; columns *= 2) {
        BEAM_GPU_TRY(rehearse(g, g->slot[0], columns));
    }
    BEAM_GPU_TRY(rehearse(g, g->slot[0], g->columns));
    if (g->most % g->columns != 0) { /* the last chunk of the largest batch */
        BEAM_GPU_TRY(rehearse(g, g->slot[0], g->most % g->columns));
    }
    return cudaStreamSynchronize(stream);
}

template <typename Kernel> cudaError_t load(Kernel *kernel)
{
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, kernel);
}

cudaError_t load_kernels()
{
    BEAM_GPU_TRY(load(begin<128, 1>));
    BEAM_GPU_TRY(load(begin<BEAM_TEAM_WARP, 1>));
    BEAM_GPU_TRY(load(begin<BEAM_TEAM_WARP, 4>));
    BEAM_GPU_TRY(load(hidden));
    BEAM_GPU_TRY(load(step));
    return load(end);
}

cudaError_t set_up(beam_gpu_mlp *g)
{
    if (!beam_gpu_cublas_open(&g->blas, g->trouble, sizeof g->trouble)) {
        return cudaErrorUnknown;
    }
    void *pinned = nullptr;
    BEAM_GPU_TRY(blas_result(g, "cublasCreate", g->blas.create(&g->handle)));
    BEAM_GPU_TRY(
        blas_result(g, "cublasSetMathMode", g->blas.set_math_mode(g->handle, CUBLAS_DEFAULT_MATH)));
    BEAM_GPU_TRY(take(&g->weights, 2 * set_floats(g)));
    BEAM_GPU_TRY(cudaMallocHost(&pinned, set_floats(g) * sizeof(float)));
    g->weights_host = static_cast<float *>(pinned);
    for (int i = 0; i < g->slots; i++) {
        BEAM_GPU_TRY(take_slot(g, &g->slot[i]));
    }
    BEAM_GPU_TRY(load_kernels());
    BEAM_GPU_TRY(cudaDeviceSynchronize()); /* the zeros are there before another stream works */
    cudaStream_t stream = nullptr;
    BEAM_GPU_TRY(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const cudaError_t error = rehearse_all(g, stream);
    (void)cudaStreamDestroy(stream);
    return error;
}

/* Problems of the model's own size have as many sensing rows as it was trained with. */
beam_code check_rows(const beam_gpu_mlp_plan &m, beam_error *err)
{
    const beam_dims dims = {m.L, m.N, m.U, m.J};
    beam_gpu_plan problem;
    const beam_code code = beam_gpu_plan_make(&problem, &dims, m.U / m.L, 0, 0, 0, err);
    return code ? code : beam_gpu_mlp_plan_check(&m, &problem.s, err);
}

} // namespace

cudaError_t beam_gpu_mlp_create(beam_gpu_mlp **out, const beam_model_info *info, int most,
                                int slots)
{
    beam_error err = {};
    *out = nullptr;
    beam_gpu_mlp *g = new (std::nothrow) beam_gpu_mlp();
    if (!g) {
        return cudaErrorMemoryAllocation;
    }
    *out = g;
    if (most < 1 || slots < 1 || beam_gpu_mlp_plan_make(&g->plan, info, &err) ||
        check_rows(g->plan, &err)) {
        (void)std::snprintf(g->trouble, sizeof g->trouble, "model: %s: %s", err.field, err.text);
        return cudaErrorInvalidValue;
    }
    g->most = most;
    g->columns = most < columns_most ? most : columns_most;
    g->slots = slots;
    g->slot = new (std::nothrow) layer_memory[static_cast<size_t>(slots)]();
    return g->slot ? set_up(g) : cudaErrorMemoryAllocation;
}

void beam_gpu_mlp_destroy(beam_gpu_mlp *mlp)
{
    if (!mlp) {
        return;
    }
    for (int i = 0; mlp->slot && i < mlp->slots; i++) {
        (void)cudaFree(mlp->slot[i].x);
        (void)cudaFree(mlp->slot[i].wide);
        (void)cudaFree(mlp->slot[i].hidden);
        (void)cudaFree(mlp->slot[i].beams);
        (void)cudaFree(mlp->slot[i].workspace);
    }
    if (mlp->handle) {
        (void)mlp->blas.destroy(mlp->handle);
    }
    (void)cudaFree(mlp->weights);
    (void)cudaFreeHost(mlp->weights_host);
    delete[] mlp->slot;
    delete mlp;
}

const char *beam_gpu_mlp_trouble(const beam_gpu_mlp *mlp)
{
    return mlp->trouble;
}

cudaError_t beam_gpu_mlp_weights(beam_gpu_mlp *mlp, int set, const float *theta)
{
    beam_gpu_mlp_pack(&mlp->plan, theta, mlp->weights_host);
    return cudaMemcpy(mlp->weights + static_cast<size_t>(set) * set_floats(mlp), mlp->weights_host,
                      set_floats(mlp) * sizeof(float), cudaMemcpyHostToDevice);
}

const beam_c32 *beam_gpu_mlp_beams(const beam_gpu_mlp *mlp, int slot, size_t *apart)
{
    *apart = beams_apart(mlp);
    return mlp->slot[slot].beams;
}

cudaError_t beam_gpu_launch_mlp(beam_gpu_mlp *mlp, int slot, int set, const beam_gpu_launch *launch,
                                const beam_gpu_batch_memory *memory, int most, cudaStream_t stream)
{
    const layer_memory &s = mlp->slot[slot];
    BEAM_GPU_TRY(beam_gpu_allow_shared(begin_of(*launch), launch->shared_bytes));
    BEAM_GPU_TRY(use(mlp, s, stream));
    for (int first = 0; first < most; first += mlp->columns) {
        const int left = most - first, columns = left < mlp->columns ? left : mlp->columns;
        BEAM_GPU_TRY(run_chunk(mlp, s, set, *launch, *memory, first, columns, stream));
    }
    return cudaSuccess;
}
