/* Real time: which core each thread has, SCHED_FIFO, memory that is locked and touched before it is
 * needed. What is configured and not possible ends the start with what to grant; nothing is left
 * out silently. docs/realtime.md. */
#ifndef BEAMD_REALTIME_H
#define BEAMD_REALTIME_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "pool.h"

enum { BEAMD_CPUS_MAX = 1024 };

typedef struct beamd_cpu_list {
    unsigned count;
    int cpu[BEAMD_CPUS_MAX];
} beamd_cpu_list;

/* "2,3,6-9" in this order; an empty text is an empty list. False: *why says what is wrong with the
 * text. Whether the machine has these cores is not asked. */
bool beamd_cpus_parse(const char *text, beamd_cpu_list *out, const char **why);

typedef struct beamd_realtime {
    beamd_cpu_list workers, loop, io; /* as configured; may be empty */
    /* Where everything else runs: what the process may use less the cores above, or all of it where
     * none would be left. */
    beamd_cpu_list others;
    int worker_priority, loop_priority; /* SCHED_FIFO; 0: the ordinary scheduler */
    bool placed;                        /* any core is configured */
    bool locked;                        /* memory */
    bool entered;                       /* the loop's thread has its core and priority */
} beamd_realtime;

/* The first step, before any thread is made: checks the cores, tries the priority and takes it
 * back, locks memory and touches heap and stack. The calling thread, and with it every thread made
 * later that is not told otherwise, is kept off the cores that are given away. False: `why` (of
 * `size` bytes) names the key and what to grant. */
bool beamd_realtime_start(beamd_realtime *self, const beamd_config *config, char *why, size_t size);
/* The last step, when all threads are made: core and priority of the calling thread, the loop's. */
bool beamd_realtime_enter(beamd_realtime *self, char *why, size_t size);
/* The reverse of enter: the ordinary scheduler, for a shutdown that nobody waits for. */
void beamd_realtime_leave(beamd_realtime *self);
void beamd_realtime_stop(beamd_realtime *self);

typedef enum beamd_crew_kind {
    BEAMD_CREW_KIND_SOLVER,    /* worker_cpus one each, realtime_priority */
    BEAMD_CREW_KIND_RESCUE,    /* the same priority, off those cores */
    BEAMD_CREW_KIND_BACKGROUND /* the ordinary scheduler, off those cores */
} beamd_crew_kind;

/* Fills in cpus, cpus_shared, priority and prefault_bytes. *self must outlive the call to
 * beamd_pool_create only. */
void beamd_realtime_place(const beamd_realtime *self, beamd_crew_kind kind,
                          beamd_pool_options *options);

/* For beamd_zmq_options: ZeroMQ's I/O thread. -1 and 0 when nothing is configured. */
int beamd_realtime_io_cpu(const beamd_realtime *self);
int beamd_realtime_io_priority(const beamd_realtime *self);

#endif
