#include "reduce_bench.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <vector>

#include <cusolverDn.h>

#include "../cublas.h"
#include "../device/device.cuh"
#include "../kernels.h"
#include "../plan.h"

namespace
{

constexpr int lanes = 128, repeats = 21;
constexpr size_t workspace_bytes = 32u << 20;

/* What else of cuBLAS is used. */
struct batched_library {
    decltype(&cublasCgemmStridedBatched) cgemm_strided;
    decltype(&cublasCgeqrfBatched) cgeqrf;
    decltype(&cublasCtrsmBatched) ctrsm;
};

bool open_batched(void *library, batched_library *b, char *text, size_t size)
{
    return beam_gpu_symbol(library, "cublasCgemmStridedBatched", &b->cgemm_strided, text, size) &&
           beam_gpu_symbol(library, "cublasCgeqrfBatched", &b->cgeqrf, text, size) &&
           beam_gpu_symbol(library, "cublasCtrsmBatched", &b->ctrsm, text, size);
}

/* The part of cuSOLVER that is used. */
struct solver_library {
    void *library;
    decltype(&cusolverDnCreate) create;
    decltype(&cusolverDnDestroy) destroy;
    decltype(&cusolverDnSetStream) set_stream;
    decltype(&cusolverDnCpotrfBatched) cpotrf_batched;
};

bool open_solver(solver_library *s, char *text, size_t size)
{
    *s = solver_library();
    s->library = dlopen("libcusolver.so." BEAM_GPU_TEXT(CUSOLVER_VER_MAJOR), RTLD_NOW | RTLD_LOCAL);
    if (!s->library) {
        (void)std::snprintf(text, size, "cuSOLVER: %s", dlerror());
        return false;
    }
    return beam_gpu_symbol(s->library, "cusolverDnCreate", &s->create, text, size) &&
           beam_gpu_symbol(s->library, "cusolverDnDestroy", &s->destroy, text, size) &&
           beam_gpu_symbol(s->library, "cusolverDnSetStream", &s->set_stream, text, size) &&
           beam_gpu_symbol(s->library, "cusolverDnCpotrfBatched", &s->cpotrf_batched, text, size);
}

/* Device memory of the measurement; [M] matrices of N antennas. */
struct memory {
    unsigned char *cluster, *requests, *slow;
    beam_c32 *columns, *vectors; /* [M][D][N], [M][Q][N]: what is to be reduced */
    beam_c32 *basis;             /* [M][D][N] */
    beam_c32 *factored;          /* [M][D][N] Householder's */
    beam_c32 *gram;              /* [M][D][D] */
    beam_c32 *coordinates;       /* [M][Q][D] */
    beam_c32 *tau;               /* [M][D] */
    beam_c32 **basis_of, **gram_of, **factored_of, **tau_of; /* [M] */
    int *failed;                                             /* [M] */
    void *workspace;
};

struct bench {
    beam_gpu_plan plan;
    int problems, M, N, D, Q;
    memory m;
    cudaStream_t stream;
    cudaEvent_t begin, end;
    beam_gpu_cublas blas;
    batched_library batched;
    cublasHandle_t handle;
    solver_library solver;
    cusolverDnHandle_t solver_handle;
    beam_gpu_error *err;
};

beam_gpu_code fail(beam_gpu_error *err, beam_gpu_code code, const char *call, const char *why)
{
    if (err) {
        err->code = code;
        (void)std::snprintf(err->text, sizeof err->text, "%.80s: %.160s", call, why);
    }
    return code;
}

#define BENCH_CUDA(b, call)                                                                        \
    do {                                                                                           \
        const cudaError_t error_ = (call);                                                         \
        if (error_ != cudaSuccess) {                                                               \
            return fail((b)->err, BEAM_GPU_E_DEVICE, #call, cudaGetErrorString(error_));           \
        }                                                                                          \
    } while (0)
#define BENCH_BLAS(b, call)                                                                        \
    do {                                                                                           \
        const cublasStatus_t status_ = (call);                                                     \
        if (status_ != CUBLAS_STATUS_SUCCESS) {                                                    \
            return fail((b)->err, BEAM_GPU_E_DEVICE, #call, (b)->blas.status_string(status_));     \
        }                                                                                          \
    } while (0)
#define BENCH_SOLVER(b, call)                                                                      \
    do {                                                                                           \
        if ((call) != CUSOLVER_STATUS_SUCCESS) {                                                   \
            return fail((b)->err, BEAM_GPU_E_DEVICE, #call, "not CUSOLVER_STATUS_SUCCESS");        \
        }                                                                                          \
    } while (0)
#define BENCH_TRY(call)                                                                            \
    do {                                                                                           \
        const beam_gpu_code code_ = (call);                                                        \
        if (code_ != BEAM_GPU_OK) {                                                                \
            return code_;                                                                          \
        }                                                                                          \
    } while (0)

/* As the kernel of the answers begins. */
__global__ void __launch_bounds__(lanes)
    reduce(const __grid_constant__ beam_gpu_plan plan, const unsigned char *cluster,
           const unsigned char *requests, unsigned char *slow, int problems, beam_c32 *basis)
{
    extern __shared__ __align__(16) unsigned char shared[];
    __shared__ double slot[BEAM_TEAM_MAX / BEAM_TEAM_WARP];
    const beam_team t = {static_cast<int>(threadIdx.x), lanes, slot};
    const int block = static_cast<int>(blockIdx.x), count = plan.s.L * plan.s.D * plan.s.N;
    beam_gpu_problem p = {};
    p.plan = &plan;
    p.cluster = cluster;
    p.fast = shared;
    p.slow = slow + static_cast<size_t>(block) * static_cast<size_t>(plan.work.slow_bytes);
    for (int i = block; i < problems; i += static_cast<int>(gridDim.x)) {
        p.request = requests + static_cast<size_t>(i) * static_cast<size_t>(plan.request.bytes);
        beam_gpu_reduce(&t, &p);
        BEAM_EACH(&t, k, basis ? count : 0)
        {
            basis[static_cast<size_t>(i) * static_cast<size_t>(count) + static_cast<size_t>(k)] =
                BEAM_WORK(&p, beam_c32, basis)[k];
        }
        beam_team_sync(&t);
    }
}

template <typename T> cudaError_t take(T **out, size_t count)
{
    void *at = nullptr;
    const cudaError_t error = cudaMalloc(&at, count * sizeof(T));
    *out = static_cast<T *>(at);
    return error != cudaSuccess ? error : cudaMemset(at, 0, count * sizeof(T));
}

size_t product(int a, int b, int c)
{
    return static_cast<size_t>(a) * static_cast<size_t>(b) * static_cast<size_t>(c);
}

beam_gpu_code take_memory(bench *b, int blocks)
{
    memory *m = &b->m;
    const size_t M = static_cast<size_t>(b->M);
    unsigned char *workspace = nullptr;
    BENCH_CUDA(b, take(&m->cluster, static_cast<size_t>(b->plan.cluster.bytes)));
    BENCH_CUDA(b, take(&m->requests, product(b->problems, b->plan.request.bytes, 1)));
    BENCH_CUDA(b, take(&m->slow, product(blocks, b->plan.work.slow_bytes + 16, 1)));
    BENCH_CUDA(b, take(&m->columns, product(b->M, b->D, b->N)));
    BENCH_CUDA(b, take(&m->vectors, product(b->M, b->Q, b->N)));
    BENCH_CUDA(b, take(&m->basis, product(b->M, b->D, b->N)));
    BENCH_CUDA(b, take(&m->factored, product(b->M, b->D, b->N)));
    BENCH_CUDA(b, take(&m->gram, product(b->M, b->D, b->D)));
    BENCH_CUDA(b, take(&m->coordinates, product(b->M, b->Q, b->D)));
    BENCH_CUDA(b, take(&m->tau, product(b->M, b->D, 1)));
    BENCH_CUDA(b, take(&m->basis_of, M));
    BENCH_CUDA(b, take(&m->gram_of, M));
    BENCH_CUDA(b, take(&m->factored_of, M));
    BENCH_CUDA(b, take(&m->tau_of, M));
    BENCH_CUDA(b, take(&m->failed, M));
    BENCH_CUDA(b, take(&workspace, workspace_bytes));
    m->workspace = workspace;
    return BEAM_GPU_OK;
}

void release(bench *b)
{
    memory *m = &b->m;
    if (b->handle) {
        (void)b->blas.destroy(b->handle);
    }
    if (b->solver_handle) {
        (void)b->solver.destroy(b->solver_handle);
    }
    for (void *at : {static_cast<void *>(m->cluster), static_cast<void *>(m->requests),
                     static_cast<void *>(m->slow), static_cast<void *>(m->columns),
                     static_cast<void *>(m->vectors), static_cast<void *>(m->basis),
                     static_cast<void *>(m->factored), static_cast<void *>(m->gram),
                     static_cast<void *>(m->coordinates), static_cast<void *>(m->tau),
                     static_cast<void *>(m->basis_of), static_cast<void *>(m->gram_of),
                     static_cast<void *>(m->factored_of), static_cast<void *>(m->tau_of),
                     static_cast<void *>(m->failed), m->workspace}) {
        (void)cudaFree(at);
    }
    if (b->begin) {
        (void)cudaEventDestroy(b->begin);
    }
    if (b->end) {
        (void)cudaEventDestroy(b->end);
    }
    if (b->stream) {
        (void)cudaStreamDestroy(b->stream);
    }
}

/* --- Random problems ---------------------------------------------------------------------------
 */

/* Uniform in (-1, 1), the same in every run. */
float draw(unsigned long long *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<float>(static_cast<double>(*state >> 11) * 0x1p-52 - 1);
}

template <typename T> cudaError_t send(T *to, const std::vector<T> &from)
{
    return cudaMemcpy(to, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice);
}

/* Vector q (channels, a and D a, sensing rows) of station l of a problem. */
const beam_c32 *vector_of(const beam_gpu_plan &plan, const unsigned char *cluster,
                          const unsigned char *request, int l, int q)
{
    const beam_gpu_sizes &s = plan.s;
    const beam_c32 *channel = reinterpret_cast<const beam_c32 *>(request + plan.request.channel);
    const beam_c32 *fixed = reinterpret_cast<const beam_c32 *>(cluster + plan.cluster.fixed);
    return q < s.U ? channel + (l * s.U + q) * s.N : fixed + (l * (2 * s.J + s.r) + q - s.U) * s.N;
}

/* What the kernel reads of a cluster and of requests, and the same as matrices. */
beam_gpu_code make_problems(bench *b)
{
    const beam_gpu_plan &plan = b->plan;
    const beam_gpu_sizes &s = plan.s;
    const size_t N = static_cast<size_t>(s.N), bytes = static_cast<size_t>(plan.request.bytes);
    std::vector<unsigned char> cluster(static_cast<size_t>(plan.cluster.bytes)),
        requests(bytes * static_cast<size_t>(b->problems));
    std::vector<beam_c32> columns(product(b->M, b->D, b->N)), vectors(product(b->M, b->Q, b->N));
    unsigned long long state = 1;
    int *order = reinterpret_cast<int *>(cluster.data() + plan.cluster.order);
    double *scale = reinterpret_cast<double *>(cluster.data() + plan.cluster.scale);
    beam_c32 *fixed = reinterpret_cast<beam_c32 *>(cluster.data() + plan.cluster.fixed);
    for (int u = 0; u < s.U; u++) {
        order[u] = u;
    }
    std::fill_n(scale, s.L * s.U, 1.0);
    for (int i = 0; i < s.L * (2 * s.J + s.r) * s.N; i++) {
        fixed[i] = {draw(&state), draw(&state)};
    }
    for (int i = 0; i < b->M; i++) {
        unsigned char *request = requests.data() + bytes * static_cast<size_t>(i / s.L);
        beam_c32 *channel = reinterpret_cast<beam_c32 *>(request + plan.request.channel);
        for (int k = i % s.L * s.U * s.N; k < (i % s.L + 1) * s.U * s.N; k++) {
            channel[k] = {draw(&state), draw(&state)};
        }
        for (int q = 0; q < s.Q; q++) {
            const beam_c32 *from = vector_of(plan, cluster.data(), request, i % s.L, q);
            std::copy_n(from, N, vectors.data() + product(i * s.Q + q, s.N, 1));
        }
        for (int c = 0; c < s.D; c++) { /* as beam_gpu_basis takes them */
            const int q = c < 2 * s.J ? s.U + c : c - 2 * s.J;
            const beam_c32 *from = vector_of(plan, cluster.data(), request, i % s.L, q);
            std::copy_n(from, N, columns.data() + product(i * s.D + c, s.N, 1));
        }
    }
    BENCH_CUDA(b, send(b->m.cluster, cluster));
    BENCH_CUDA(b, send(b->m.requests, requests));
    BENCH_CUDA(b, send(b->m.columns, columns));
    BENCH_CUDA(b, send(b->m.vectors, vectors));
    return BEAM_GPU_OK;
}

beam_gpu_code point_at(bench *b, beam_c32 **to, beam_c32 *base, size_t apart)
{
    std::vector<beam_c32 *> at(static_cast<size_t>(b->M));
    for (size_t i = 0; i < at.size(); i++) {
        at[i] = base + i * apart;
    }
    BENCH_CUDA(b, send(to, at));
    return BEAM_GPU_OK;
}

/* --- The ways ----------------------------------------------------------------------------------
 */

using way = beam_gpu_code (*)(bench *b);

beam_gpu_code run_fused(bench *b, beam_c32 *basis)
{
    int blocks = b->problems;
    reduce<<<static_cast<unsigned>(blocks), lanes, static_cast<size_t>(b->plan.work.fast_bytes),
             b->stream>>>(b->plan, b->m.cluster, b->m.requests, b->m.slow, b->problems, basis);
    BENCH_CUDA(b, cudaGetLastError());
    return BEAM_GPU_OK;
}
beam_gpu_code fused(bench *b)
{
    return run_fused(b, nullptr);
}

const cuComplex one = {1, 0}, zero = {0, 0};

cuComplex *as_blas(beam_c32 *x)
{
    return reinterpret_cast<cuComplex *>(x);
}
cuComplex **as_blas(beam_c32 **x)
{
    return reinterpret_cast<cuComplex **>(x);
}

/* to = A^H B of every matrix, A [D columns][N], B [columns][N]. */
beam_gpu_code inner_products(bench *b, beam_c32 *A, beam_c32 *B, int columns, beam_c32 *to)
{
    BENCH_BLAS(b, b->batched.cgemm_strided(
                      b->handle, CUBLAS_OP_C, CUBLAS_OP_N, b->D, columns, b->N, &one, as_blas(A),
                      b->N, static_cast<long long>(product(b->D, b->N, 1)), as_blas(B), b->N,
                      static_cast<long long>(product(columns, b->N, 1)), &zero, as_blas(to), b->D,
                      static_cast<long long>(product(columns, b->D, 1)), b->M));
    return BEAM_GPU_OK;
}

/* basis <- basis R^-1, R the upper triangles of matrices with leading dimension `stride`. */
beam_gpu_code solve(bench *b, beam_c32 **triangle, int stride)
{
    BENCH_BLAS(b, b->batched.ctrsm(b->handle, CUBLAS_SIDE_RIGHT, CUBLAS_FILL_MODE_UPPER,
                                   CUBLAS_OP_N, CUBLAS_DIAG_NON_UNIT, b->N, b->D, &one,
                                   as_blas(triangle), stride, as_blas(b->m.basis_of), b->N, b->M));
    return BEAM_GPU_OK;
}

/* Twice, because the factor of a Gram matrix knows the columns to half of the digits only. */
beam_gpu_code cholesky(bench *b)
{
    for (int pass = 0; pass < 2; pass++) {
        BENCH_TRY(inner_products(b, b->m.basis, b->m.basis, b->D, b->m.gram));
        BENCH_SOLVER(b, b->solver.cpotrf_batched(b->solver_handle, CUBLAS_FILL_MODE_UPPER, b->D,
                                                 as_blas(b->m.gram_of), b->D, b->m.failed, b->M));
        BENCH_TRY(solve(b, b->m.gram_of, b->D));
    }
    return inner_products(b, b->m.basis, b->m.vectors, b->Q, b->m.coordinates);
}

beam_gpu_code householder(bench *b)
{
    int info = 0;
    BENCH_BLAS(b, b->batched.cgeqrf(b->handle, b->N, b->D, as_blas(b->m.factored_of), b->N,
                                    as_blas(b->m.tau_of), &info, b->M));
    BENCH_TRY(solve(b, b->m.factored_of, b->N));
    return inner_products(b, b->m.basis, b->m.vectors, b->Q, b->m.coordinates);
}

/* --- Measuring ---------------------------------------------------------------------------------
 */

beam_gpu_code restore(bench *b)
{
    const size_t bytes = product(b->M, b->D, b->N) * sizeof(beam_c32);
    for (beam_c32 *to : {b->m.basis, b->m.factored}) {
        BENCH_CUDA(b,
                   cudaMemcpyAsync(to, b->m.columns, bytes, cudaMemcpyDeviceToDevice, b->stream));
    }
    return BEAM_GPU_OK;
}

/* max |Q^H Q - I| of what lies in the basis. */
beam_gpu_code orthogonality(bench *b, double *error)
{
    const size_t N = static_cast<size_t>(b->N), D = static_cast<size_t>(b->D);
    std::vector<beam_c32> q(product(b->M, b->D, b->N));
    BENCH_CUDA(b, cudaStreamSynchronize(b->stream));
    BENCH_CUDA(b, cudaMemcpy(q.data(), b->m.basis, q.size() * sizeof q[0], cudaMemcpyDeviceToHost));
    *error = 0;
    for (size_t i = 0; i < q.size() / (N * D); i++) {
        for (size_t j = 0; j < D * D; j++) {
            const beam_c32 *x = q.data() + (i * D + j / D) * N, *y = q.data() + (i * D + j % D) * N;
            double re = j / D == j % D ? -1 : 0, im = 0;
            for (size_t n = 0; n < N; n++) {
                const double xr = static_cast<double>(x[n].re), xi = static_cast<double>(x[n].im),
                             yr = static_cast<double>(y[n].re), yi = static_cast<double>(y[n].im);
                re += xr * yr + xi * yi;
                im += xr * yi - xi * yr;
            }
            const double apart = std::hypot(re, im);
            *error = apart <= *error ? *error : apart; /* NaN stays */
        }
    }
    return BEAM_GPU_OK;
}

beam_gpu_code measure(bench *b, way run, beam_gpu_reduction_time *out)
{
    std::vector<float> ms(repeats);
    for (int i = -1; i < repeats; i++) { /* the first loads kernels */
        float *to = &ms[static_cast<size_t>(i < 0 ? 0 : i)];
        BENCH_TRY(restore(b));
        BENCH_CUDA(b, cudaEventRecord(b->begin, b->stream));
        BENCH_TRY(run(b));
        BENCH_CUDA(b, cudaEventRecord(b->end, b->stream));
        BENCH_CUDA(b, cudaEventSynchronize(b->end));
        BENCH_CUDA(b, cudaEventElapsedTime(to, b->begin, b->end));
    }
    std::sort(ms.begin(), ms.end());
    out->ms = static_cast<double>(ms[repeats / 2]);
    if (run == fused) { /* its basis stays inside */
        BENCH_TRY(run_fused(b, b->m.basis));
    }
    return orthogonality(b, &out->error);
}

bool open_libraries(bench *b, char *text, size_t size)
{
    if (!beam_gpu_cublas_open(&b->blas, text, size) ||
        !open_batched(b->blas.library, &b->batched, text, size) ||
        !open_solver(&b->solver, text, size)) {
        return false;
    }
    const bool made = b->blas.create(&b->handle) == CUBLAS_STATUS_SUCCESS &&
                      b->solver.create(&b->solver_handle) == CUSOLVER_STATUS_SUCCESS;
    if (!made) {
        (void)std::snprintf(text, size, "cublasCreate or cusolverDnCreate failed");
    }
    return made;
}

beam_gpu_code measure_libraries(bench *b, beam_gpu_reductions *out)
{
    const size_t matrix = product(b->D, b->N, 1);
    if (!open_libraries(b, out->text, sizeof out->text)) {
        return BEAM_GPU_OK;
    }
    BENCH_BLAS(b, b->blas.set_stream(b->handle, b->stream));
    BENCH_BLAS(b, b->blas.set_workspace(b->handle, b->m.workspace, workspace_bytes));
    BENCH_SOLVER(b, b->solver.set_stream(b->solver_handle, b->stream));
    BENCH_TRY(point_at(b, b->m.basis_of, b->m.basis, matrix));
    BENCH_TRY(point_at(b, b->m.factored_of, b->m.factored, matrix));
    BENCH_TRY(point_at(b, b->m.gram_of, b->m.gram, product(b->D, b->D, 1)));
    BENCH_TRY(point_at(b, b->m.tau_of, b->m.tau, product(b->D, 1, 1)));
    BENCH_TRY(measure(b, cholesky, &out->cholesky));
    return measure(b, householder, &out->qr);
}

beam_gpu_code measure_all(bench *b, int device, beam_gpu_reductions *out)
{
    BENCH_CUDA(b, cudaSetDevice(device));
    BENCH_CUDA(b, cudaFuncSetAttribute(reduce, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                       b->plan.work.fast_bytes));
    BENCH_CUDA(b, cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking));
    BENCH_CUDA(b, cudaEventCreate(&b->begin));
    BENCH_CUDA(b, cudaEventCreate(&b->end));
    BENCH_TRY(take_memory(b, b->problems));
    BENCH_TRY(make_problems(b));
    BENCH_CUDA(b, cudaDeviceSynchronize());
    BENCH_TRY(measure(b, fused, &out->fused));
    return measure_libraries(b, out);
}

} // namespace

beam_gpu_code beam_gpu_bench_reduction(int device, const beam_dims *dims, int problems,
                                       beam_gpu_reductions *out, beam_gpu_error *err)
{
    bench b = {};
    beam_error inner = {};
    int optin = 0;
    *out = beam_gpu_reductions();
    out->fused.ms = out->cholesky.ms = out->qr.ms = -1;
    b.err = err;
    if (cudaDeviceGetAttribute(&optin, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) !=
        cudaSuccess) {
        (void)cudaGetLastError();
        return fail(err, BEAM_GPU_E_NO_DEVICE, "reduction", "no CUDA device");
    }
    if (problems < 1 ||
        beam_gpu_plan_make(&b.plan, dims, 0, 0, 0, beam_gpu_fast_limit(optin), &inner)) {
        return fail(err, BEAM_GPU_E_INVALID, "reduction", inner.text);
    }
    b.problems = problems;
    b.M = problems * b.plan.s.L;
    b.N = b.plan.s.N;
    b.D = b.plan.s.D;
    b.Q = b.plan.s.Q;
    if (b.D == b.N) {
        return fail(err, BEAM_GPU_E_INVALID, "reduction", "as many columns as antennas");
    }
    out->matrices = b.M;
    out->antennas = b.N;
    out->columns = b.D;
    out->vectors = b.Q;
    const beam_gpu_code code = measure_all(&b, device, out);
    release(&b);
    return code;
}
