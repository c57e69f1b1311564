/* What batch.c does about faults on purpose. Nothing in a build without BEAMD_FAULTS. */
#ifndef BEAMD_FAULT_ACT_H
#define BEAMD_FAULT_ACT_H

#include "task.h"

#ifdef BEAMD_FAULTS

#include <math.h>
#include <time.h>

#include "clock.h"

static inline const beamd_fault *fault_drawn(beamd_batch *batch, Beamd__Backend backend,
                                             beamd_fault_kind kind)
{
    const beamd_fault *fault = &batch->faults.of[backend - BEAMD__BACKEND__BACKEND_NETWORK][kind];
    if (!(fault->probability > 0)) {
        return NULL;
    }
    uint64_t z = ++batch->faults.draws * UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53 < fault->probability ? fault : NULL;
}

/* In small steps, so that the thread comes back once nobody waits. */
static inline void fault_sleep(const beamd_batch *batch, uint64_t duration_ns)
{
    const struct timespec step = {.tv_nsec = 200000};
    const uint64_t begin_ns = beamd_clock_ns();
    while (beamd_clock_ns() - begin_ns < duration_ns &&
           !atomic_load_explicit(&batch->lost, memory_order_relaxed) &&
           !atomic_load_explicit(batch->abandon, memory_order_relaxed)) {
        (void)nanosleep(&step, NULL);
    }
}

/* Once a batch. */
static inline void fault_begin(beamd_batch *batch)
{
    const beamd_fault *hang = fault_drawn(batch, batch->backend, BEAMD_FAULT_HANG);
    if (hang) {
        fault_sleep(batch, hang->duration_ns);
    }
}

/* Before a problem; true: it is to fail. */
static inline bool fault_problem(beamd_batch *batch, Beamd__Backend backend)
{
    const beamd_fault *slow = fault_drawn(batch, backend, BEAMD_FAULT_SLOW);
    if (slow) {
        fault_sleep(batch, slow->duration_ns);
    }
    return fault_drawn(batch, backend, BEAMD_FAULT_FAIL) != NULL;
}

/* After it. */
static inline bool fault_nan(beamd_batch *batch, Beamd__Backend backend)
{
    return fault_drawn(batch, backend, BEAMD_FAULT_NAN) != NULL;
}

/* The first number of the design: of a beam, or where there is none of a sensing column. */
static inline void fault_spoil(beam_design *design)
{
    if (design->dims.users > 0) {
        design->beams[0].re = NAN;
    } else {
        design->sensing[0].re = NAN;
    }
}

#else

static inline void fault_begin(const beamd_batch *batch)
{
    (void)batch;
}

static inline bool fault_problem(const beamd_batch *batch, Beamd__Backend backend)
{
    (void)batch;
    (void)backend;
    return false;
}

static inline bool fault_nan(const beamd_batch *batch, Beamd__Backend backend)
{
    (void)batch;
    (void)backend;
    return false;
}

static inline void fault_spoil(const beam_design *design)
{
    (void)design;
}

#endif
#endif
