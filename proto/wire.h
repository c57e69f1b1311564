/* The wire of beamd: a fixed header, then one protobuf message of beamd.proto (docs/wire.md).
 *
 *   offset bytes  field            all integers little-endian
 *        0     4  magic            "BEAM"
 *        4     2  version          1
 *        6     2  type             beam_wire_type
 *        8     8  sequence         of the request; answers carry the request's
 *       16     4  payload_bytes    exactly the bytes that follow the header
 *       20     4  cluster_bytes    0..63
 *       24    64  cluster          letters, digits, '.', '_', '-'; zero after cluster_bytes
 *       88        payload
 *
 * Nothing here allocates, prints or reads a clock. Unpacking goes through a bump arena after
 * beam_wire_check has walked the bytes against the schema, so that a hostile message is refused
 * before anything is laid out for it. */
#ifndef BEAM_WIRE_H
#define BEAM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "beamd.pb-c.h"

enum {
    BEAM_WIRE_VERSION = 1,
    BEAM_WIRE_HEADER_BYTES = 88,
    BEAM_WIRE_MAX_CLUSTER_BYTES = 63,
    /* The engine's limits (wire.c asserts that they agree) and the daemon's on clusters in one
       status. */
    BEAM_WIRE_MAX_STATIONS = 16,
    BEAM_WIRE_MAX_ANTENNAS = 256,
    BEAM_WIRE_MAX_USERS = 128,
    BEAM_WIRE_MAX_TARGETS = 16,
    BEAM_WIRE_MAX_CLUSTERS = 1024,
    BEAM_WIRE_MAX_SUBBANDS = 275,  /* resource blocks of the widest 5G carrier */
    BEAM_WIRE_MAX_PREFERENCES = 4, /* named ones of a cluster */
    BEAM_WIRE_MAX_PREFERENCE_NAME_BYTES = 31,
    BEAM_WIRE_MAX_FRONT_POINTS = 65,
    /* ELEMENT_COMPLEX_BFP: complex numbers of a block, and the bits of a mantissa. */
    BEAM_WIRE_BFP_BLOCK = 12,
    BEAM_WIRE_BFP_BITS_MIN = 8,
    BEAM_WIRE_BFP_BITS_MAX = 16,
    BEAM_WIRE_BFP_BITS_DEFAULT = 9, /* what bits 0 means in a registration */
    BEAM_WIRE_MAX_CONFIG_KEYS = 128,
    BEAM_WIRE_MAX_STAGES = 16,
    BEAM_WIRE_MAX_BACKENDS = 8,
    BEAM_WIRE_MAX_STRING_BYTES = 511,
    BEAM_WIRE_MAX_UNKNOWN_FIELDS = 32,
    /* 16 x 128 x 256 complex float64 are 8 MiB; one more for everything else. Also ZMQ_MAXMSGSIZE.
     */
    BEAM_WIRE_MAX_MESSAGE_BYTES = 9 << 20,
    /* What structure takes beside the bytes of a message. A full status needs most: protobuf-c
       takes 1.5 KiB of scratch for each of its clusters. Not enough for many solutions in one
       answer. */
    BEAM_WIRE_ARENA_SLACK_BYTES = 4 << 20
};

typedef enum beam_wire_type {
    BEAM_WIRE_NONE = 0,
    BEAM_WIRE_REGISTER_CLUSTER = 1,
    BEAM_WIRE_UNREGISTER_CLUSTER = 2,
    BEAM_WIRE_CSI_UPDATE = 3,
    BEAM_WIRE_TARGET_UPDATE = 4,
    BEAM_WIRE_USERS_JOIN = 5,
    BEAM_WIRE_USERS_LEAVE = 6,
    BEAM_WIRE_PREFERENCE_SET = 7,
    BEAM_WIRE_PREFERENCE_GET = 8,
    BEAM_WIRE_STATUS_REQUEST = 9,
    BEAM_WIRE_CLUSTER_LIST_REQUEST = 10,
    BEAM_WIRE_MODEL_GET = 11,
    BEAM_WIRE_MODEL_RELOAD = 12,
    BEAM_WIRE_FRONT_REQUEST = 13,
    BEAM_WIRE_CONFIG_GET = 14,
    BEAM_WIRE_CONFIG_RELOAD = 15,
    BEAM_WIRE_LOG_LEVEL_SET = 16,
    BEAM_WIRE_DRAIN = 17,
    BEAM_WIRE_ACK = 64,
    BEAM_WIRE_ERROR = 65,
    BEAM_WIRE_SOLUTION = 66,
    BEAM_WIRE_PREFERENCE_REPLY = 67,
    BEAM_WIRE_STATUS_REPLY = 68,
    BEAM_WIRE_CLUSTER_LIST_REPLY = 69,
    BEAM_WIRE_MODEL_REPLY = 70,
    BEAM_WIRE_SOLUTION_SET = 71,
    BEAM_WIRE_FRONT_REPLY = 72,
    BEAM_WIRE_CONFIG_REPLY = 73,
    BEAM_WIRE_TELEMETRY = 74
} beam_wire_type;

/* Why a message was refused: goes into an Error as it is. */
typedef struct beam_wire_error {
    Beamd__ErrorCode code;
    char field[96];
    char text[256];
} beam_wire_error;

#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
/* Fills *err (may be NULL) and returns -1. */
int beam_wire_fail(beam_wire_error *err, Beamd__ErrorCode code, const char *field, const char *format, ...);

typedef struct beam_wire_header {
    uint16_t type; /* beam_wire_type; unknown values are kept for the error message */
    uint64_t sequence;
    uint32_t payload_bytes;
    char cluster[BEAM_WIRE_MAX_CLUSTER_BYTES + 1]; /* zero-terminated, may be empty */
} beam_wire_header;

/* "CsiUpdate" and so on; "unknown" for a type that is none. */
const char *beam_wire_type_name(unsigned type);
/* The schema of a type, NULL for a type that is none. */
const ProtobufCMessageDescriptor *beam_wire_descriptor(unsigned type);
/* Types below 64 are requests. */
bool beam_wire_is_request(unsigned type);

/* 1..63 bytes of letters, digits, '.', '_', '-'. */
bool beam_wire_cluster_valid(const char *cluster);
/* 1..31 of them. */
bool beam_wire_preference_name_valid(const char *name);

/* Writes 88 bytes. 0, or -1 when the cluster id is not admissible (an empty one is) or the payload
 * too large. */
int beam_wire_header_encode(unsigned char out[BEAM_WIRE_HEADER_BYTES], unsigned type,
                            const char *cluster, uint64_t sequence, size_t payload_bytes,
                            beam_wire_error *err);

/* Reads and checks the header of a frame: magic, version, type, cluster id, and that exactly
 * payload_bytes follow. On error the fields that could be read are filled in and the others are
 * zero, so that an Error can name the request. */
int beam_wire_header_decode(beam_wire_header *header, const unsigned char *frame, size_t bytes,
                            beam_wire_error *err);

/* Bump allocation for protobuf-c: free does nothing, reset frees all. `memory` is the caller's, at
 * least 16-byte aligned. */
typedef struct beam_wire_arena {
    ProtobufCAllocator allocator; /* hand this to protobuf-c */
    unsigned char *memory;
    size_t size, used, peak;
    uint64_t exhausted; /* allocations refused since init */
} beam_wire_arena;

void beam_wire_arena_init(beam_wire_arena *arena, void *memory, size_t size);
void beam_wire_arena_reset(beam_wire_arena *arena);
/* 16-byte aligned, zeroed; NULL when it does not fit. */
void *beam_wire_arena_take(beam_wire_arena *arena, size_t bytes);
/* Enough for every request and status of up to `message_bytes`. A SolutionSet takes more: see
 * beamc_make_room in client/client.h. One that does not fit is refused by beam_wire_unpack. */
size_t beam_wire_arena_bytes(size_t message_bytes);

/* Walks the payload against the schema: wire types, counts, lengths, strings, once-only fields.
 * Reads no byte twice and allocates nothing; the depth is that of the schema. */
int beam_wire_check(const ProtobufCMessageDescriptor *descriptor, const unsigned char *payload,
                    size_t bytes, beam_wire_error *err);

/* header_decode + check + unpack. *message lives in the arena until its reset; cast it by
 * header->type. */
int beam_wire_unpack(beam_wire_header *header, ProtobufCMessage **message, beam_wire_arena *arena,
                     const unsigned char *frame, size_t bytes, beam_wire_error *err);

/* Bytes of a whole frame for `message`. */
size_t beam_wire_frame_bytes(const ProtobufCMessage *message);
/* Header and payload into `out`. Returns 0 and *bytes, or -1 (does not fit, id not admissible, too
 * large, the message is not of this type). */
int beam_wire_pack(unsigned type, const char *cluster, uint64_t sequence,
                   const ProtobufCMessage *message, unsigned char *out, size_t capacity,
                   size_t *bytes, beam_wire_error *err);

/* First frame on the beams XPUB socket, and what a subscriber subscribes to: the id followed by a
 * zero byte, so that "c1" does not match "c10". Returns its bytes (at most 64), 0 when the id is
 * not admissible. */
size_t beam_wire_topic(const char *cluster, unsigned char out[BEAM_WIRE_MAX_CLUSTER_BYTES + 1]);

/* First frame on the telemetry XPUB socket: these nine bytes. The header's cluster is empty, its
 * sequence that of the message. */
#define BEAM_WIRE_TELEMETRY_TOPIC "telemetry"

/* --- Complex arrays --- */

/* Bytes per element, 0 for an unknown type and for BFP, which has no bytes per element. */
size_t beam_wire_element_bytes(Beamd__ElementType element);
/* Bytes of `count` complex numbers. bits: of a mantissa of BFP, ignored otherwise. 0 for a type
 * that is none, bits that are not admissible, and more numbers than a message holds. */
size_t beam_wire_complex_bytes(Beamd__ElementType element, int bits, size_t count);

typedef enum beam_wire_rounding {
    BEAM_WIRE_ROUND_NEAREST = 0,
    BEAM_WIRE_ROUND_TOWARD_ZERO =
        1 /* for beams: no component grows, so that no power budget is exceeded */
} beam_wire_rounding;

/* Writes `count` complex numbers (pairs re, im of doubles) to `out`. Returns the bytes written, 0
 * when they do not fit or the type is neither float32 nor float64. */
size_t beam_wire_complex_encode(Beamd__ElementType element, beam_wire_rounding rounding,
                                const double *complex_values, size_t count, unsigned char *out,
                                size_t capacity);

/* As complex_encode, for every type. *scale: of ComplexArray; 0 for the float types. For int16 and
 * BFP it is chosen so that the largest component uses the whole range, and has 24 significant bits,
 * so that decoding is exact and encoding what was decoded gives the same bytes and scale. Also 0,
 * for these two, when a value is not finite or `bits` not admissible. */
size_t beam_wire_complex_encode_scaled(Beamd__ElementType element, int bits,
                                       beam_wire_rounding rounding, const double *complex_values,
                                       size_t count, unsigned char *out, size_t capacity,
                                       double *scale);

/* Encodes values of the shape that `array` has into array->data.data, of `capacity` bytes, and
 * fills in all other fields. -1: as encode_scaled returns 0. */
int beam_wire_array_encode(Beamd__ComplexArray *array, Beamd__ElementType element, int bits,
                           beam_wire_rounding rounding, const double *complex_values,
                           size_t capacity);

/* Checks element, scale, bits, block, order, shape and byte count against `shape` (dims of them)
 * without reading the values. A NULL array is an error ("missing"). `field` is the name for errors.
 */
int beam_wire_array_check(const Beamd__ComplexArray *array, const char *field,
                          const uint32_t *shape, size_t dims, beam_wire_error *err);

/* array_check, then converts to pairs of doubles; a value that is not finite is an error naming its
 * index. */
int beam_wire_array_decode(const Beamd__ComplexArray *array, const char *field,
                           const uint32_t *shape, size_t dims, double *complex_values,
                           beam_wire_error *err);

/* What an RCS means on the wire: reflection of one link at distances d_tx_m, d_rx_m (MATH 7, phase
 * of the path). */
void beam_wire_reflection(double carrier_hz, double rcs_m2, double d_tx_m, double d_rx_m,
                          double *re, double *im);

#endif
