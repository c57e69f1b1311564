/* The daemon without its sockets, threads and clock: messages and finished jobs go in, replies,
 * publications and jobs come out through a struct of functions. Single-threaded; every entry point
 * takes the time. */
#ifndef BEAMD_CORE_H
#define BEAMD_CORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster.h"
#include "config.h"
#include "metrics.h"

typedef enum beamd_channel { BEAMD_CHANNEL_CSI = 0, BEAMD_CHANNEL_CONTROL = 1 } beamd_channel;

/* What the core asks of the world. */
typedef struct beamd_core_io {
    void *arg;
    uint64_t (*clock_ns)(void *arg); /* for the stages within one entry */
    /* False: the peer is gone or its queue full. */
    bool (*reply)(void *arg, beamd_channel channel, const void *identity, size_t identity_bytes,
                  const unsigned char *frame, size_t bytes);
    bool (*publish)(void *arg, const void *topic, size_t topic_bytes, const unsigned char *frame,
                    size_t bytes);
    bool (*can_solve)(void *arg);
    bool (*solve)(void *arg, beamd_job *job); /* after can_solve said yes */
    bool (*can_refresh)(void *arg);
    bool (*refresh)(void *arg, beamd_job *job);
    bool (*read_model)(void *arg, beamd_job *job); /* one at a time */
} beamd_core_io;

typedef struct beamd_core beamd_core;

/* config: must outlive the core; reloadable keys may change between entries. NULL without memory.
 */
beamd_core *beamd_core_create(const beamd_config *config, const beamd_core_io *io, uint64_t now_ns);
/* With no job under way. */
void beamd_core_destroy(beamd_core **self);

beamd_metrics *beamd_core_metrics(beamd_core *self);

/* At the start: takes the hold over. NULL: none. */
void beamd_core_set_model(beamd_core *self, beamd_model *model);
/* Reads the configured model again, because its file or the setting may have changed. */
void beamd_core_reread_model(beamd_core *self);

/* One frame from a peer of a ROUTER. frames: how many followed the identity; other than 1 is
 * refused. */
void beamd_core_message(beamd_core *self, uint64_t now_ns, beamd_channel channel,
                        const void *identity, size_t identity_bytes, const void *frame,
                        size_t bytes, unsigned frames);
/* A subscription to `prefix` arrived: the last solutions that match are published again. */
void beamd_core_subscribed(beamd_core *self, const void *prefix, size_t bytes);
/* A job came back. */
void beamd_core_done(beamd_core *self, uint64_t now_ns, beamd_job *job);
/* Now and then (20 ms): solves that targets or a preference made due, refreshes of the best rate.
 */
void beamd_core_tick(beamd_core *self, uint64_t now_ns);

/* From now on updates are refused with ERROR_DRAINING; what was accepted is still answered. */
void beamd_core_drain(beamd_core *self);
/* Nothing accepted is without an answer. */
bool beamd_core_idle(const beamd_core *self);
/* Gives up: waiting requests are answered ERROR_DRAINING, jobs under way are told to end. */
void beamd_core_abandon(beamd_core *self, uint64_t now_ns);

unsigned beamd_core_clusters(const beamd_core *self);
unsigned beamd_core_jobs(const beamd_core *self); /* under way, refreshes included */
/* Clusters waiting for a thread. */
unsigned beamd_core_ready(const beamd_core *self);
void beamd_core_gauges(const beamd_core *self, uint64_t now_ns, beamd_gauges *gauges);
/* At most `most` clusters in the order of their ids; returns how many were written. */
size_t beamd_core_cluster_gauges(const beamd_core *self, uint64_t now_ns, beamd_cluster_gauge *out,
                                 size_t most);

#endif
