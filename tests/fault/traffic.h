/* Controllers of several clusters against a beamd child, with an account of every request: each
 * is answered exactly once, late answers say so, and every answer is recomputed from its beams and
 * held against the classical design, which is computed here. What contradicts a promise ends the
 * test. */
#ifndef TEST_TRAFFIC_H
#define TEST_TRAFFIC_H

#include "common/sanitized.h"
#include "system/daemon.h"

enum { TRAFFIC_CLUSTERS_MAX = 16, TRAFFIC_SERVICES = 4, TRAFFIC_BACKENDS = 5, TRAFFIC_CODES = 16 };

typedef struct traffic_options {
    unsigned clusters;
    double rate_hz; /* of each cluster; open loop: sent whatever comes back */
    unsigned deadline_us;
    unsigned check_every; /* recompute one in so many answers; 0: none */
    int answer_ms;        /* longest wait for an answer that is still no broken promise */
} traffic_options;

/* Since the last traffic_clear. */
typedef struct traffic_count {
    uint64_t sent, answered, checked;
    uint64_t service[TRAFFIC_SERVICES], backend[TRAFFIC_BACKENDS];
    uint64_t refused[TRAFFIC_CODES]; /* beamc_refusal */
    uint64_t late, cold;
    double round_trip_most_ms;
    char first_refusal[256]; /* of those that are not SUPERSEDED */
} traffic_count;

typedef struct traffic traffic;

/* Registers the clusters (two sizes in turn) and their targets. */
traffic *traffic_new(test_daemon *daemon, const traffic_options *options);
/* Another connection to a daemon that was started again; nothing is registered. */
void traffic_reconnect(traffic *self);
void traffic_free(traffic *self);
void traffic_clear(traffic *self);
const traffic_count *traffic_counted(const traffic *self);

void traffic_set_rate(traffic *self, double rate_hz);
/* Sends what is due and takes answers for this long. */
void traffic_run(traffic *self, double seconds);
/* As many answers as this, one request of each cluster open at a time: as fast as they come. */
void traffic_race(traffic *self, uint64_t answers);
/* Takes answers until nothing is open; ends the test when something stays open for answer_ms. */
void traffic_settle(traffic *self);
/* Until the first answer with beams, at most `seconds`; false: none came. *warm: it was. */
bool traffic_first(traffic *self, double seconds, bool *warm);

/* A preference of one cluster, and that the answer to the next CSI of it has it. */
void traffic_prefer(traffic *self, unsigned cluster, double tradeoff);
/* The second half of that. */
void traffic_expect_preference(traffic *self, unsigned cluster, double tradeoff);

/* After traffic_settle: no refusals but of superseded updates and of these codes (bits of
 * beamc_refusal). */
void traffic_expect_refusals(const traffic *self, unsigned allowed);

double test_now_s(void);
/* VmRSS of the child. */
double test_daemon_resident_kib(const test_daemon *daemon);

#endif
