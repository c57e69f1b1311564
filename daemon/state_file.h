/* The record in which one cluster (or the daemon's own settings) survives a restart: a header with
 * version, size and checksum, then sections. docs/state.md has the layout byte by byte.
 *
 * A format of its own and no protobuf message: the loop writes it a few designs per turn straight
 * from the cluster's arrays (a message would need a tree of objects first and all of it at once),
 * and a reader finds arrays of doubles where they lie. What came over the wire is kept as the frame
 * that it was and goes through the wire's own checks again.
 *
 * Nothing here allocates, prints, or touches a file. Little-endian; every section begins at a
 * multiple of 8. */
#ifndef BEAMD_STATE_FILE_H
#define BEAMD_STATE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "beam/design.h"
#include "wire.h"

enum {
    BEAMD_RECORD_VERSION = 1,
    BEAMD_RECORD_HEADER_BYTES = 48,
    /* A registration is below 4 KiB and targets are below 68 KiB, but for fields that this version
     * does not know. */
    BEAMD_RECORD_FRAME_BYTES = 128 << 10,
    BEAMD_RECORD_ROWS_MAX = 1 << 20 /* doubles */
};

typedef enum beamd_record_kind {
    BEAMD_RECORD_CLUSTER = 1,
    BEAMD_RECORD_DAEMON = 2 /* what belongs to no cluster */
} beamd_record_kind;

typedef struct beamd_record_header {
    beamd_record_kind kind;
    uint64_t serial;  /* grows with every record of the daemon: of two the larger is newer */
    uint64_t unix_ns; /* when it was made: for people, the clock may step */
} beamd_record_header;

/* BEAMD_RECORD_CLUSTER */
typedef struct beamd_record_cluster {
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    bool has_csi_sequence; /* CSI was taken since the registration */
    uint64_t csi_sequence;
    bool has_preference;
    double tradeoff;
    bool has_crlb_min; /* of the targets in this record */
    double crlb_min_m2;
} beamd_record_cluster;

/* BEAMD_RECORD_DAEMON */
typedef struct beamd_record_daemon {
    bool has_tradeoff; /* the default was set by a message */
    double tradeoff;
} beamd_record_daemon;

typedef struct beamd_record_named {
    char name[BEAM_WIRE_MAX_PREFERENCE_NAME_BYTES + 1];
    double tradeoff;
} beamd_record_named;

/* The best rate known of one subband. */
typedef struct beamd_record_ideal {
    uint32_t band;
    double wsr_bps_hz;
} beamd_record_ideal;

/* A design without its numbers: a start for the next one. Writing: arrays of the cluster. Reading:
 * take them with beamd_record_design_take. */
typedef struct beamd_record_design {
    uint32_t band;
    char name[BEAM_WIRE_MAX_PREFERENCE_NAME_BYTES + 1];
    double tradeoff;
    uint64_t csi_sequence, target_sequence;
    uint32_t users, stations, antennas;
    uint32_t columns;            /* sensing columns in use, of all stations */
    const unsigned char *arrays; /* reading: in the record */
} beamd_record_design;

/* Writing: begin, the sections in the order below, end; then seal, on another thread if need be. */
typedef struct beamd_record_writer {
    unsigned char *out;
    size_t capacity, used;
    uint32_t sections;
    bool full; /* something did not fit: the record is void */
} beamd_record_writer;

/* out: 8-byte aligned. */
void beamd_record_begin(beamd_record_writer *self, void *out, size_t capacity,
                        const beamd_record_header *header);
void beamd_record_put_cluster(beamd_record_writer *self, const beamd_record_cluster *facts);
void beamd_record_put_daemon(beamd_record_writer *self, const beamd_record_daemon *facts);
/* Whole frames, header included, as they were received. */
void beamd_record_put_registration(beamd_record_writer *self, const void *frame, size_t bytes);
void beamd_record_put_targets(beamd_record_writer *self, const void *frame, size_t bytes);
/* Least-CRLB rows (beam_solver_export_sensing). */
void beamd_record_put_rows(beamd_record_writer *self, const double *rows, size_t count);
void beamd_record_put_named(beamd_record_writer *self, const beamd_record_named *named);
void beamd_record_put_ideal(beamd_record_writer *self, const beamd_record_ideal *ideal);
/* The sizes are those of `design`; facts->users and so on need not be set. */
void beamd_record_put_design(beamd_record_writer *self, const beamd_record_design *facts,
                             const uint64_t *user_id, const int *user_station,
                             const beam_design *design);
/* Bytes of the record, without its checksum yet; 0 when it did not fit. */
size_t beamd_record_end(beamd_record_writer *self);
/* Writes the checksum: reads every byte once. */
void beamd_record_seal(void *record, size_t bytes);

/* Upper bound of a record with these parts. */
size_t beamd_record_bytes_max(const beam_dims *max, int sensing_max, size_t registration_bytes,
                              size_t targets_bytes, size_t rows, int bands, int preferences);
size_t beamd_record_design_bytes(uint32_t users, uint32_t stations, uint32_t antennas,
                                 uint32_t columns);

/* What a header says, unchecked. header: BEAMD_RECORD_HEADER_BYTES. */
uint64_t beamd_record_stated_bytes(const void *header);

/* A record that was checked: pointers into it. */
typedef struct beamd_record_view {
    beamd_record_header header;
    size_t bytes; /* of the record; there may be more behind it */
    beamd_record_cluster cluster;
    beamd_record_daemon daemon;
    const unsigned char *registration, *targets; /* NULL: none */
    size_t registration_bytes, targets_bytes;
    const unsigned char *rows; /* NULL: none */
    size_t rows_count;         /* doubles */
    beamd_record_named named[BEAM_WIRE_MAX_PREFERENCES];
    unsigned named_count;
    unsigned ideals, designs;
    const unsigned char *data;
    size_t ideals_at, designs_at; /* offsets for the two functions below */
} beamd_record_view;

/* Checks everything but the two frames. NULL, or one word saying why not: "truncated", "magic",
 * "version", "size", "checksum", "content". data: 8-byte aligned, `size` bytes. */
const char *beamd_record_read(beamd_record_view *view, const void *data, size_t size);
/* False: a number is not finite. rows: [view->rows_count]. */
bool beamd_record_rows_take(const beamd_record_view *view, double *rows);
/* One after the other, *at first ideals_at or designs_at. False: there is no more. */
bool beamd_record_next_ideal(const beamd_record_view *view, size_t *at, beamd_record_ideal *out);
bool beamd_record_next_design(const beamd_record_view *view, size_t *at, beamd_record_design *out);
/* Copies the arrays of a design that was read into one laid out for its users, stations and
 * antennas; user_id and user_station hold facts->users. False: a station has more columns than the
 * design has room for, a user's station does not exist, or a number is not finite. */
bool beamd_record_design_take(const beamd_record_design *facts, uint64_t *user_id,
                              int *user_station, beam_design *design);

#endif
