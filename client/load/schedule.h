/* When each cluster sends, fixed in advance by seed and rate and by nothing that the daemon does:
 * the load is open-loop. */
#ifndef BEAMLOAD_SCHEDULE_H
#define BEAMLOAD_SCHEDULE_H

#include "load/options.h"

typedef struct load_due {
    uint64_t at_ns;
    int first, count; /* clusters that send then */
    bool targets;     /* target updates, else CSI */
    double period_ns;
    bool poisson;
} load_due;

typedef struct load_schedule {
    load_due *heap; /* the earliest first */
    int count;
    uint64_t random;
} load_schedule;

typedef struct load_traffic {
    double rate_hz, target_rate_hz; /* of each cluster */
    load_arrivals arrivals;
    int burst;
    uint64_t seed;
} load_traffic;

/* -1 without memory. */
int load_schedule_create(load_schedule *self, const load_traffic *traffic, int clusters,
                         uint64_t start_ns);
void load_schedule_destroy(load_schedule *self);
/* What is due next. */
const load_due *load_schedule_next(const load_schedule *self);
/* Draws when the same source is due again. */
void load_schedule_advance(load_schedule *self);

#endif
