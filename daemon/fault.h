/* Faults on purpose, for tests: any backend can be made to fail, to hang, to be slow, or to return
 * NaN. The setting `fault` is a list, e.g.
 *
 *   network=hang:200ms@0.01,network=fail@0.1,solver=nan,check=slow:5ms
 *
 *   BACKEND=KIND[:DURATION][@PROBABILITY]    backend: network, solver, check; probability: 1
 *   fail     an error in place of an answer, per problem
 *   nan      beams that are not finite, per problem
 *   slow     takes DURATION (us, ms, s) longer, per problem
 *   hang     does not come back for DURATION, or without one until nobody waits, per batch
 *
 * Parsed everywhere; acted upon in a build with BEAMD_FAULTS only. */
#ifndef BEAMD_FAULT_H
#define BEAMD_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BEAMD_FAULT_BACKENDS = 3 }; /* in the order of Beamd__Backend, from BACKEND_NETWORK on */

typedef enum beamd_fault_kind {
    BEAMD_FAULT_FAIL = 0,
    BEAMD_FAULT_NAN = 1,
    BEAMD_FAULT_SLOW = 2,
    BEAMD_FAULT_HANG = 3,
    BEAMD_FAULT_KINDS = 4
} beamd_fault_kind;

typedef struct beamd_fault {
    double probability;   /* 0: never */
    uint64_t duration_ns; /* UINT64_MAX: without end */
} beamd_fault;

typedef struct beamd_faults {
    beamd_fault of[BEAMD_FAULT_BACKENDS][BEAMD_FAULT_KINDS];
    uint64_t draws; /* counts what was drawn: the same every time in the same order */
} beamd_faults;

/* Text of at most 127 bytes; an empty one is no fault. False: `why` names what is wrong. */
bool beamd_faults_parse(const char *text, beamd_faults *out, char *why, size_t size);

#endif
