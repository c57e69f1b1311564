/* Estimates, for every sender, how its clock differs from the daemon's, from nothing but the times
 * that it wrote into its requests. With one clock at each end the way here cannot be measured: of
 * received - sent only the least is known to hold little besides the difference of the clocks. So
 *
 *   offset   the least of received - sent lately, at the rate at which the two clocks drift apart
 *   transit  how much longer than the fastest one this request took; never negative
 *
 * and both are estimates: the fastest way itself is part of the offset. A clock that is set (a
 * step) begins afresh. Nothing is known of a sender before its eighth request.
 *
 * The table is of fixed size; when it is full, the sender silent for longest is forgotten. No
 * allocation after creation, no clock is read. */
#ifndef BEAMD_CLOCK_OFFSET_H
#define BEAMD_CLOCK_OFFSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct beamd_clock_offset beamd_clock_offset;

enum {
    BEAMD_CLOCK_SAMPLES_MIN = 8, /* before anything is said */
    BEAMD_CLOCK_DRIFT_PPM = 500, /* the most that two clocks drift apart; more is a step */
    BEAMD_CLOCK_STEP_MS = 100,   /* a smaller step is taken for a change of the way */
    BEAMD_CLOCK_WINDOW_MS = 5000 /* of a minimum; two of them count */
};

typedef struct beamd_clock_estimate {
    bool known; /* false: the other three are 0 */
    int64_t
        offset_ns; /* estimate: daemon's clock less the sender's; modulo 2^64 as the clocks are */
    uint64_t transit_ns; /* estimate: beyond the fastest way seen lately */
    double drift;        /* estimate: nanoseconds by which offset_ns grows in one */
} beamd_clock_estimate;

typedef struct beamd_clock_counts {
    unsigned peers;
    uint64_t steps;     /* clocks that were set */
    uint64_t forgotten; /* senders that made way for others */
} beamd_clock_counts;

/* peers: senders at a time, at least 1. seed: any number that senders do not know. NULL without
 * memory. */
beamd_clock_offset *beamd_clock_offset_create(unsigned peers, uint64_t seed);
void beamd_clock_offset_destroy(beamd_clock_offset **self);

/* One request. identity: what tells senders apart, at most 255 bytes, longer ones are never known.
 * received_ns: on the daemon's clock. sender_time_ns: on any clock; 0: the sender has none. */
beamd_clock_estimate beamd_clock_offset_take(beamd_clock_offset *self, const void *identity,
                                             size_t identity_bytes, uint64_t received_ns,
                                             uint64_t sender_time_ns);
beamd_clock_counts beamd_clock_offset_counts(const beamd_clock_offset *self);

#endif
