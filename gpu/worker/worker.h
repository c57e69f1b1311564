/* beamd-gpu: takes batches out of the memory that it shares with beamd, has a backend answer them,
 * several at once, and says how it is. It ends at the first error of the device: beamd starts
 * another. */
#ifndef BEAMG_WORKER_H
#define BEAMG_WORKER_H

#include <pthread.h>
#include <sys/types.h>

#include "worker/backend.h"
#include "ring/ring.h"

typedef struct beamg_options {
    int memory_fd, request_fd, answer_fd; /* the memory; wakes this process; wakes beamd */
    pid_t parent;                         /* 0: whoever it is */
    const char *cpus;                     /* "2,3" or NULL: all that there are */
    long spin_us;                         /* how long an idle worker looks before it sleeps */
    const beamg_backend *backend;
    const char *fault; /* KIND[@N]; NULL: none. The tests' program only */
    bool probe;        /* say what devices there are and end */
} beamg_options;

/* A setup that was asked for while batches are served. */
typedef struct beamg_change {
    beamg_setup setup;
    uint64_t ticket, number;
    uint32_t slot;
} beamg_change;

typedef struct beamg_worker {
    beamg_options options;
    beamg_area area;
    beamg_end request, answer;
    void *backend;
    beamg_setup setup; /* in force */
    pthread_t heart;
    _Atomic int mute; /* no more beats */
    uint64_t batches; /* and setups, that came */
    beamg_job job[BEAMG_SLOTS_MAX];
    /* setups in the order in which they came; the first is being prepared in a thread */
    beamg_change change[BEAMG_SLOTS_MAX];
    unsigned changes;
    pthread_t builder;
    int builder_fd; /* readable: it is done */
    int builder_code;
    void *prepared;
    char builder_why[BEAMG_TEXT_BYTES];
    char why[BEAMG_TEXT_BYTES];
} beamg_worker;

/* Until it is ended: a BEAMG_EXIT code, why in self->why and in the shared memory. */
int beamg_worker_run(beamg_worker *self, const beamg_options *options);

/* --- Faults on purpose (fault.c in the tests' program, empty functions in the installed one) ---
 */

bool beamg_fault_known(const char *text);
/* Before the backend is opened: 0, or the code to end with. */
int beamg_fault_start(beamg_worker *self);
/* Before batch `number` is computed. False: it is lost already and ends with BEAMG_BROKEN. */
bool beamg_fault_batch(beamg_worker *self, uint64_t number);
/* Before the answer to batch or setup `number` is sent. */
void beamg_fault_answer(beamg_worker *self, uint64_t number, beamg_descriptor *answer);

#endif
