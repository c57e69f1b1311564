/* beamctl top: one frame from one telemetry message and what was remembered of an earlier one. */
#ifndef BEAMCTL_TOP_H
#define BEAMCTL_TOP_H

#include <stdio.h>

#include "beamctl_json.h"

enum { TOP_CLUSTERS_MAX = 1024, TOP_BACKENDS_MAX = 8 };

typedef enum top_sort {
    TOP_SORT_ID,
    TOP_SORT_RATE,    /* answers a second, most first */
    TOP_SORT_LATENCY, /* p99, longest first */
    TOP_SORT_MISSED,  /* deadlines, most first */
    TOP_SORT_WSR,     /* worst-case rate, least first */
    TOP_SORT_RMS,     /* position bound, largest first, those without one before them */
    TOP_SORT_AGE,     /* of the last answer, oldest first */
    TOP_SORTS
} top_sort;

/* "id", "rate", "latency", "missed", "wsr", "rms", "age". */
const char *top_sort_text(top_sort sort);
bool top_sort_parse(const char *text, top_sort *out);
/* The key that chooses it in the live screen: i r l m w b a. TOP_SORTS: none has it. */
top_sort top_sort_of_key(char key);

typedef struct top_counts {
    uint64_t csi_received, solutions, reduced, checked, held, late, superseded, errors;
} top_counts;

typedef struct top_memory {
    bool filled;
    uint64_t monotonic_ns, sequence;
    top_counts counts;
    struct {
        char id[64];
        uint64_t solutions;
    } clusters[TOP_CLUSTERS_MAX]; /* by id */
    size_t cluster_count;
    struct {
        beamc_backend backend;
        uint64_t problems;
    } backends[TOP_BACKENDS_MAX];
    size_t backend_count;
} top_memory;

void top_remember(top_memory *self, const beamc_telemetry *telemetry);
/* Seconds between the two; 0 where there is nothing to compare: none remembered, or another life of
 * the daemon. */
double top_elapsed_s(const top_memory *self, const beamc_telemetry *telemetry);
/* Answers a second of a cluster since then; NAN where it was not there. */
double top_cluster_rate(const top_memory *self, const beamc_telemetry *telemetry, size_t cluster);

/* rows 0: all clusters. Lines end with '\n' and may be longer than the terminal. */
void top_draw(FILE *out, const beamc_telemetry *telemetry, const top_memory *before, top_sort sort,
              int rows);
json_t *top_json(const beamc_telemetry *telemetry, const top_memory *before, top_sort sort);

#endif
