/* Solver threads. Each takes jobs from its own ring and gives them back through another; an eventfd
 * wakes the thread, one more wakes the loop. A thread has at most one job, so that what waits stays
 * in the core, where a newer update can replace it. */
#ifndef BEAMD_POOL_H
#define BEAMD_POOL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct beamd_job {
    void (*run)(struct beamd_job *job); /* on the solver thread */
    unsigned worker;
} beamd_job;

typedef struct beamd_pool beamd_pool;

/* niceness: of the threads, 0..19. NULL when threads or descriptors are refused. */
beamd_pool *beamd_pool_create(unsigned workers, int niceness, const char *name);
/* Ends and awaits the threads: jobs under way must end on their own. What they finished can still
 * be reaped. */
void beamd_pool_join(beamd_pool *self);
/* Joins first. */
void beamd_pool_destroy(beamd_pool **self);

unsigned beamd_pool_workers(const beamd_pool *self);
unsigned beamd_pool_busy(const beamd_pool *self);
/* Readable when jobs are done. */
int beamd_pool_fd(const beamd_pool *self);
/* False when every thread is busy. */
bool beamd_pool_submit(beamd_pool *self, beamd_job *job);
/* Clears the descriptor; call it before reaping. */
void beamd_pool_acknowledge(beamd_pool *self);
/* The next finished job, NULL when there is none. */
beamd_job *beamd_pool_reap(beamd_pool *self);
/* False when a thread has been busy with one job for longer than stall_ns. */
bool beamd_pool_alive(const beamd_pool *self, uint64_t now_ns, uint64_t stall_ns);

#endif
