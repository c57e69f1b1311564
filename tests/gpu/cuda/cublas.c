#include "cublas_v2.h"

#include <stdlib.h>

struct cublasContext {
    void *workspace;
};

test_cublas_state test_cublas;

cublasStatus_t cublasCreate(cublasHandle_t *handle)
{
    *handle = test_cublas.fail_create ? NULL : calloc(1, sizeof **handle);
    test_cublas.handles += *handle != NULL;
    return *handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle)
{
    test_cublas.handles--;
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, struct test_cuda_stream *stream)
{
    (void)stream;
    handle->workspace = NULL; /* as documented: back to the library's own */
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes)
{
    handle->workspace = bytes > 0 ? workspace : NULL;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode)
{
    (void)handle;
    return mode == CUBLAS_DEFAULT_MATH ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_INITIALIZED    ? "the library was not initialized"
           : status == CUBLAS_STATUS_EXECUTION_FAILED ? "the program failed to execute"
                                                      : "other";
}

/* Entry (row, column) of op(M), M column-major. */
static float entry(const float *M, cublasOperation_t op, int stride, int row, int column)
{
    const int in_column = op == CUBLAS_OP_N ? row : column, of = op == CUBLAS_OP_N ? column : row;
    return M[(size_t)in_column + (size_t)of * (size_t)stride];
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t transa,
                           cublasOperation_t transb, int m, int n, int k, const float *alpha,
                           const float *A, int lda, const float *B, int ldb, const float *beta,
                           float *C, int ldc)
{
    test_cublas.products++;
    if (test_cublas.products == test_cublas.fail_at) {
        return CUBLAS_STATUS_EXECUTION_FAILED;
    }
    if (!handle->workspace || m < 0 || n < 0 || k < 0 || lda < (transa == CUBLAS_OP_N ? m : k) ||
        ldb < (transb == CUBLAS_OP_N ? k : n) || ldc < m) {
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    test_cublas.columns_most = n > test_cublas.columns_most ? n : test_cublas.columns_most;
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < m; i++) {
            float sum = 0;
            for (int q = 0; q < k; q++) {
                sum += entry(A, transa, lda, i, q) * entry(B, transb, ldb, q, j);
            }
            float *to = C + (size_t)i + (size_t)j * (size_t)ldc;
            *to = *alpha * sum + (*beta == 0 ? 0 : *beta * *to);
        }
    }
    return CUBLAS_STATUS_SUCCESS;
}
