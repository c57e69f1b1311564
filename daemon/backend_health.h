/* Whether a backend is asked: after some failures in a row it is left alone for a while, then tried
 * with one batch; each further failure doubles the while. */
#ifndef BEAMD_BACKEND_HEALTH_H
#define BEAMD_BACKEND_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

typedef enum beamd_health {
    BEAMD_HEALTH_GOOD = 0,
    BEAMD_HEALTH_FAILING = 1, /* left alone until retry_at_ns */
    BEAMD_HEALTH_PROBING = 2  /* one batch is under way to find out */
} beamd_health;

typedef struct beamd_backend_health {
    beamd_health health;
    unsigned failures_in_row;
    uint64_t retry_at_ns, wait_ns;
    uint64_t probe; /* number of the last one */
    uint64_t batches, problems, failures, transitions;
    double service_ns; /* of one problem, mean */
} beamd_backend_health;

typedef struct beamd_health_rule {
    unsigned failures;
    uint64_t wait_ns, wait_max_ns;
} beamd_health_rule;

const char *beamd_health_text(beamd_health health); /* "good", "failing", "probing" */
bool beamd_health_usable(const beamd_backend_health *self, uint64_t now_ns);
/* A batch is given to it. Returns its number as a probe, 0: it is none. */
uint64_t beamd_health_begin(beamd_backend_health *self, uint64_t now_ns);
/* A batch ended, which was given as `probe`. True: the state changed, which is worth a line in the
 * log. While a probe is under way only its own end changes it. */
bool beamd_health_end(beamd_backend_health *self, uint64_t now_ns, uint64_t probe, bool failed,
                      const beamd_health_rule *rule);

#endif
