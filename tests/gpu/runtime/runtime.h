/* The runtime of the tests (cuda_runtime.h) as tests see it. C and C++. */
#ifndef TEST_GPU_RUNTIME_CONTROL_H
#define TEST_GPU_RUNTIME_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct test_runtime_state {
    int devices;         /* that there are */
    size_t memory_bytes; /* that can be had together, on host and device */
    int allocations;     /* calls so far, of memory, streams, events and graphs */
    int objects;         /* alive */
    size_t copied_bytes; /* to the device so far, by graphs */
    int copies_changed;  /* of graphs */
    int kernels;         /* that did work */
    int refinements;     /* of them */
    int mlp_set;         /* weights that the last network's kernel used; -1: none */
    int shared_bytes;    /* of the device for a block */
    unsigned fast_seen;  /* bits: 1 << kilobytes of fast memory that teams were given, up to 31 */
    bool mlp_fails;      /* its create says that there is no cuBLAS */
    long lost_after;     /* works until the device is lost; < 0: never */
    bool stuck;          /* nothing is done any more */
    char misuse[160];    /* what was called wrongly; empty: nothing */
} test_runtime_state;
extern test_runtime_state test_runtime;

/* Begins anew, with streams in an order of this seed. */
void test_runtime_reset(unsigned seed);
/* Some work of streams; false: there is none left. */
bool test_runtime_step(void);

#ifdef __cplusplus
}
#endif
#endif
