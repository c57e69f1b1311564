/* Threads that take jobs. Each takes them from its own ring and gives them back through another; an
 * eventfd wakes the thread, one more wakes the loop. A thread has at most one job, so that what
 * waits stays in the core, where a newer update can replace it.
 *
 * A thread that does not come back can be given up (beamd_pool_replace): another one takes its
 * place, and the lost one gives its job back and ends when it returns after all. Every function is
 * for one thread, the loop's. */
#ifndef BEAMD_POOL_H
#define BEAMD_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BEAMD_POOL_THREADS_MAX = 64,
    BEAMD_POOL_LOST_MAX = 8,     /* lost threads of one pool at a time */
    BEAMD_POOL_DESTROY_MS = 2000 /* that beamd_pool_destroy waits */
};

typedef struct beamd_job {
    void (*run)(struct beamd_job *job); /* on a thread of the pool */
    unsigned worker;                    /* which one, 0 .. threads-1: its place, also when lost */
    bool lost; /* set when it is reaped: its thread had been replaced meanwhile */
} beamd_job;

typedef struct beamd_pool beamd_pool;

typedef struct beamd_pool_options {
    const char *name;   /* of the threads in top and ps, 10 bytes; "-0", "-1", ... follow */
    unsigned threads;   /* 1 .. BEAMD_POOL_THREADS_MAX */
    int niceness;       /* 0..19; without meaning under SCHED_FIFO */
    int priority;       /* SCHED_FIFO 1..99; 0: the ordinary scheduler */
    const int *cpus;    /* one each in turn; copied */
    unsigned cpu_count; /* 0: wherever the thread that calls beamd_pool_create may run */
    bool cpus_shared;   /* instead of one each, every thread may use all of them */
    /* A thread without work looks for it this long before it sleeps. Read at every submit, so that
     * a reload takes effect; NULL: it sleeps at once. */
    const long long *spin_us;
    size_t stack_bytes;    /* 0: the system's default */
    size_t prefault_bytes; /* of the stack, touched before the first job; at most half of it */
} beamd_pool_options;

/* NULL: `why` (of `size` bytes) says what was refused; nothing is left out silently. */
beamd_pool *beamd_pool_create(const beamd_pool_options *options, char *why, size_t size);

/* Ends and awaits the threads, lost ones too, for at most limit_ms. A job that was submitted is
 * run, and what is finished can still be reaped. Returns the number of threads that are still busy:
 * with any, the jobs and what they work on must not be freed. May be called again. */
unsigned beamd_pool_join(beamd_pool *self, unsigned limit_ms);
/* Joins first, for at most BEAMD_POOL_DESTROY_MS. While a thread is still busy the pool's memory is
 * left to it: the process should end then (_exit), as only the job itself can end it. */
void beamd_pool_destroy(beamd_pool **self);

unsigned beamd_pool_workers(const beamd_pool *self);
/* Threads that have a job; lost ones do not count. */
unsigned beamd_pool_busy(const beamd_pool *self);
/* Threads that were given up and have not ended yet. */
unsigned beamd_pool_lost(const beamd_pool *self);
/* Threads given up since the start. */
uint64_t beamd_pool_replaced(const beamd_pool *self);
/* Readable when jobs are done. */
int beamd_pool_fd(const beamd_pool *self);
/* False when every thread is busy. */
bool beamd_pool_submit(beamd_pool *self, beamd_job *job);
/* Clears the descriptor. Afterwards reap until there is nothing: the descriptor tells of a finished
 * job once. */
void beamd_pool_acknowledge(beamd_pool *self);
/* The next finished job, NULL when there is none. */
beamd_job *beamd_pool_reap(beamd_pool *self);

/* Gives the thread up that runs this job: it gets the least of the scheduler's favour
 * (SCHED_IDLE), and a new one of the pool's options takes its place. Its job still comes back
 * through beamd_pool_reap when it returns, with `lost` set. A job that is finished already is left
 * to the next reap, which frees its thread: true, and nothing is replaced. False: the job is not
 * under way here, its thread is lost already, BEAMD_POOL_LOST_MAX are lost, or no thread can be
 * made; nothing has changed then. */
bool beamd_pool_replace(beamd_pool *self, const beamd_job *job);

/* False when a thread has been busy with one job for longer than stall_ns. Lost ones do not count:
 * they have been dealt with. */
bool beamd_pool_alive(const beamd_pool *self, uint64_t now_ns, uint64_t stall_ns);

#endif
