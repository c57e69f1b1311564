/* cuBLAS, loaded when it is first wanted: only models of kind mlp need it, and it is larger than
 * everything else together. It is looked for as the linker does (run path, LD_LIBRARY_PATH, the
 * system's), and stays loaded: it holds state of the CUDA context. Host, C++. */
#ifndef BEAM_GPU_CUBLAS_H
#define BEAM_GPU_CUBLAS_H

#include <cstdio>

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <dlfcn.h>

#define BEAM_GPU_TEXT_OF(x) #x
#define BEAM_GPU_TEXT(x) BEAM_GPU_TEXT_OF(x)
#define BEAM_GPU_CUBLAS_NAME "libcublas.so." BEAM_GPU_TEXT(CUBLAS_VER_MAJOR)

/* cublas_v2.h maps the names to those of the second interface. */
struct beam_gpu_cublas {
    void *library;
    decltype(&cublasCreate) create;
    decltype(&cublasDestroy) destroy;
    decltype(&cublasSetStream) set_stream;
    decltype(&cublasSetWorkspace) set_workspace;
    decltype(&cublasSetMathMode) set_math_mode;
    decltype(&cublasGetStatusString) status_string;
    decltype(&cublasSgemm) sgemm;
};

/* A function of a library into *to; false, and a sentence in text, where there is none. */
template <typename F>
bool beam_gpu_symbol(void *library, const char *name, F *to, char *text, size_t size)
{
    *to = reinterpret_cast<F>(dlsym(library, name));
    if (!*to) {
        (void)std::snprintf(text, size, "%s is not in the library: %s", name, dlerror());
    }
    return *to != nullptr;
}

/* False, and a sentence in text, where the library or a function is missing. */
inline bool beam_gpu_cublas_open(beam_gpu_cublas *c, char *text, size_t size)
{
    *c = beam_gpu_cublas();
    c->library = dlopen(BEAM_GPU_CUBLAS_NAME, RTLD_NOW | RTLD_LOCAL);
    if (!c->library) {
        (void)std::snprintf(text, size, "cuBLAS, which an mlp needs: %s", dlerror());
        return false;
    }
#define BEAM_GPU_TAKE(member, name)                                                                \
    beam_gpu_symbol(c->library, BEAM_GPU_TEXT(name), &c->member, text, size)
    return BEAM_GPU_TAKE(create, cublasCreate) && BEAM_GPU_TAKE(destroy, cublasDestroy) &&
           BEAM_GPU_TAKE(set_stream, cublasSetStream) &&
           BEAM_GPU_TAKE(set_workspace, cublasSetWorkspace) &&
           BEAM_GPU_TAKE(set_math_mode, cublasSetMathMode) &&
           BEAM_GPU_TAKE(status_string, cublasGetStatusString) && BEAM_GPU_TAKE(sgemm, cublasSgemm);
#undef BEAM_GPU_TAKE
}

#endif
