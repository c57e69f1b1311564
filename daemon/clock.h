/* The daemon's clock: CLOCK_MONOTONIC in nanoseconds. The core never calls it; time is passed in.
 */
#ifndef BEAMD_CLOCK_H
#define BEAMD_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t beamd_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
