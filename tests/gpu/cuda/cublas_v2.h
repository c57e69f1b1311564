/* As much of cuBLAS as gpu/mlp.cu uses, in plain loops: a library of its own, libcublas.so.0, that
 * is opened as the real one is. C and C++. */
#ifndef TEST_GPU_CUBLAS_H
#define TEST_GPU_CUBLAS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CUBLAS_VER_MAJOR 0

typedef enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_EXECUTION_FAILED = 13
} cublasStatus_t;
typedef enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 } cublasOperation_t;
typedef enum cublasMath_t { CUBLAS_DEFAULT_MATH = 0 } cublasMath_t;
typedef struct cublasContext *cublasHandle_t;
struct test_cuda_stream;

cublasStatus_t cublasCreate(cublasHandle_t *handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasSetStream(cublasHandle_t handle, struct test_cuda_stream *stream);
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
const char *cublasGetStatusString(cublasStatus_t status);
/* C (m x n, column-major) = alpha op(A) op(B) + beta C. Refused, as by the real one, where a
 * leading dimension is too small; and without a workspace set since the stream was, which a
 * captured call must have. */
cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t transa,
                           cublasOperation_t transb, int m, int n, int k, const float *alpha,
                           const float *A, int lda, const float *B, int ldb, const float *beta,
                           float *C, int ldc);

/* For tests: what has been asked for, and what is to fail. */
typedef struct test_cublas_state {
    int handles;      /* alive */
    int products;     /* calls of cublasSgemm */
    int columns_most; /* the most columns of one */
    int fail_create;  /* cublasCreate fails */
    int fail_at;      /* the product with this number (from 1) fails; 0: none */
} test_cublas_state;
extern test_cublas_state test_cublas;

#ifdef __cplusplus
}
#endif
#endif
