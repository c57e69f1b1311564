/* What the counting allocator (count_allocations.c, preloaded into beamd) writes and a test reads:
 * one file, mapped by both. */
#ifndef COUNT_ALLOCATIONS_H
#define COUNT_ALLOCATIONS_H

#include <stdatomic.h>
#include <stdint.h>

/* Names the file. */
#define COUNT_ALLOCATIONS_ENV "BEAM_COUNT_ALLOCATIONS"

enum { COUNT_THREADS = 64, COUNT_CALLERS = 64, COUNT_NAME_BYTES = 64 };

/* Whose call it was, by the object that the return address lies in. */
typedef enum count_owner {
    COUNT_OURS = 0, /* the program and every library but the two below: libc on our behalf, libev */
    COUNT_ZMQ = 1,  /* libzmq, and libstdc++, of which it is the only user */
    COUNT_OWNERS = 2
} count_owner;

typedef struct count_thread {
    atomic_int id; /* of the kernel; 0: free */
    char name[16];
    /* of each owner */
    _Atomic uint64_t allocations[COUNT_OWNERS]; /* malloc, calloc, realloc, aligned ones */
    _Atomic uint64_t frees[COUNT_OWNERS];
    _Atomic uint64_t bytes[COUNT_OWNERS]; /* that were asked for */
} count_thread;

/* A place of our own that allocated. */
typedef struct count_caller {
    _Atomic uint64_t address; /* within the object; 0: free */
    _Atomic uint64_t calls;
    char object[COUNT_NAME_BYTES];
} count_caller;

typedef struct count_page {
    atomic_bool ready;          /* set by the library: it is loaded and knows the objects */
    atomic_bool counting;       /* set and cleared by the test */
    atomic_uint threads_beyond; /* that found no entry: their calls are not counted */
    count_thread thread[COUNT_THREADS];
    count_caller caller[COUNT_CALLERS];
} count_page;

#endif
