/* What the demo shows while it runs. */
#ifndef BEAMDEMO_TABLE_H
#define BEAMDEMO_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "beamc/beamc.h"
#include "demo/scenario.h"

enum { DEMO_SAMPLES = 1 << 16 };

typedef enum demo_stage {
    STAGE_QUEUE,
    STAGE_WAIT,
    STAGE_SOLVE,
    STAGE_SEND,
    STAGE_DAEMON,
    STAGE_ROUND_TRIP,
    STAGES
} demo_stage;

/* Latencies in microseconds; the newest DEMO_SAMPLES are kept. */
typedef struct demo_latency {
    float *sample[STAGES]; /* [DEMO_SAMPLES] */
    float *sorted;         /* scratch */
    size_t count;
} demo_latency;

bool demo_latency_create(demo_latency *self);
void demo_latency_destroy(demo_latency *self);
void demo_latency_add(demo_latency *self, const beamc_latency *latency);
/* share in (0, 1]; 0 without samples */
double demo_latency_percentile(demo_latency *self, demo_stage stage, double share);

typedef struct demo_counts {
    unsigned long sent, answered, superseded, refused, warm, below_floor;
    double worst_claim; /* largest relative difference between claims and recomputed numbers */
} demo_counts;

/* The live table. redraw: move the cursor back over the last one. Returns its lines. */
int demo_table_print(const demo_scenario *scenario, const beamc_solution *solution,
                     const demo_counts *counts, demo_latency *latency, int redraw_lines);
/* One line, for output that is no terminal. */
void demo_table_line(const demo_scenario *scenario, const beamc_solution *solution,
                     const demo_counts *counts, demo_latency *latency, bool heading);

#endif
