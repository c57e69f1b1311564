/* The Telemetry message: counts since the start, distributions of the time since the message
 * before. All memory is taken at creation; no clock is read. Published on the telemetry socket with
 * the topic BEAM_WIRE_TELEMETRY_TOPIC by the loop's thread, which owns the metrics that are read
 * here. */
#ifndef BEAMD_TELEMETRY_H
#define BEAMD_TELEMETRY_H

#include <stddef.h>
#include <stdint.h>

#include "metrics.h"
#include "wire.h"

typedef struct beamd_telemetry beamd_telemetry;

/* What one message is made of. All of it is the caller's and is only read. */
typedef struct beamd_telemetry_facts {
    uint64_t now_ns;  /* daemon's clock, not before that of the last message */
    uint64_t unix_ns; /* CLOCK_REALTIME */
    const beamd_metrics *metrics;
    const beamd_gauges *gauges;
    Beamd__ClusterStatus **clusters; /* by id; those beyond clusters_max are left out */
    size_t cluster_count;
} beamd_telemetry_facts;

/* clusters_max: the most that a message shows, metrics_clusters. now_ns: the first interval begins.
 * About 2 MB and 1 KiB for each cluster. NULL without memory. */
beamd_telemetry *beamd_telemetry_create(size_t clusters_max, uint64_t now_ns);
void beamd_telemetry_destroy(beamd_telemetry **self);

/* The next message; every call ends an interval and begins the next. It lies in `self` until the
 * next call and points into the facts. */
const Beamd__Telemetry *beamd_telemetry_fill(beamd_telemetry *self,
                                             const beamd_telemetry_facts *facts);

/* fill, and the frame that goes out: header (with the message's sequence) and payload. It lies in
 * `self` until the next call. 0, or -1 with *err: the frame would be larger than the wire allows.
 */
int beamd_telemetry_pack(beamd_telemetry *self, const beamd_telemetry_facts *facts,
                         const unsigned char **frame, size_t *bytes, beam_wire_error *err);

#endif
