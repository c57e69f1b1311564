/* A recorded trace: every frame that clients and daemon exchanged, with its time. All numbers are
 * little-endian; checksums are CRC-32 as in zlib (docs/beamload.md).
 *
 *   header, 64 bytes                          record, 24 bytes, then the frame
 *    0  8  magic "BEAMTRAC"                    0  4  checksum of all that follows in the record
 *    8  2  version, 1                          4  4  bytes of the frame
 *   10  2  bytes of this header, 64            8  8  nanoseconds since the start
 *   12  4  checksum, this field as 0          16  2  client, from 0 in order of appearance
 *   16  8  start, nanoseconds since 1970      18  1  direction
 *   24 40  zero                               19  1  zero
 *                                             20  4  number of the record, from 0
 *
 * The last record has direction END and no frame; without it the recording was cut off. */
#ifndef BEAMLOAD_TRACE_H
#define BEAMLOAD_TRACE_H

#include "load/load.h"

enum {
    LOAD_TRACE_VERSION = 1,
    LOAD_TRACE_HEADER_BYTES = 64,
    LOAD_TRACE_RECORD_BYTES = 24,
    LOAD_TRACE_PEERS = 64
};

typedef enum load_direction {
    LOAD_DIRECTION_TO_DAEMON = 0,
    LOAD_DIRECTION_TO_CLIENT = 1,
    LOAD_DIRECTION_END = 2
} load_direction;

typedef struct load_record {
    uint64_t time_ns;
    unsigned peer;
    load_direction direction;
    unsigned char *frame; /* in the reader's private copy of the file: may be written */
    size_t bytes;
} load_record;

typedef struct load_trace_writer load_trace_writer;
/* The file must not exist. NULL: *err says why. */
load_trace_writer *load_trace_create(const char *path, load_error *err);
/* now_ns: CLOCK_MONOTONIC. */
int load_trace_write(load_trace_writer *self, uint64_t now_ns, unsigned peer,
                     load_direction direction, const void *frame, size_t bytes, load_error *err);
/* Writes the end and closes; frees in any case. */
int load_trace_finish(load_trace_writer **self, load_error *err);

typedef struct load_trace {
    unsigned char *map;
    size_t size, at;
    uint64_t start_unix_ns, records;
    bool whole; /* the end was read */
} load_trace;

int load_trace_open(load_trace *self, const char *path, load_error *err);
void load_trace_close(load_trace *self);
void load_trace_rewind(load_trace *self);
/* 1: a record; 0: there is no more (`whole` says whether the end was there); -1: damaged. */
int load_trace_read(load_trace *self, load_record *record, load_error *err);

#endif
