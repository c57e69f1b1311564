/* The layout of a record, shared by its writer and its reader (docs/state.md). */
#ifndef BEAMD_STATE_LAYOUT_H
#define BEAMD_STATE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

/* Header: offsets. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_KIND = 12,
    AT_BYTES = 16,
    AT_SERIAL = 24,
    AT_UNIX_NS = 32,
    AT_SECTIONS = 40,
    AT_CHECKSUM = 44, /* CRC-32 of all bytes before and behind it */
    MAGIC_BYTES = 8
};

#define BEAMD_RECORD_MAGIC "BEAMSTAT"

/* A section: type, 0, bytes of its body; the body, zero bytes up to a multiple of 8. In a record
 * the types never fall. */
enum {
    SECTION_CLUSTER = 1,
    SECTION_DAEMON = 2,
    SECTION_REGISTRATION = 3,
    SECTION_TARGETS = 4,
    SECTION_ROWS = 5,
    SECTION_NAMED = 6,
    SECTION_IDEAL = 7,
    SECTION_DESIGN = 8,
    SECTION_HEAD_BYTES = 16,
    CLUSTER_BYTES = 64 + 8 + 8 + 8 + 8,
    DAEMON_BYTES = 16,
    NAMED_BYTES = 40,
    IDEAL_BYTES = 16,
    DESIGN_BYTES = 80, /* before the arrays */
    HAS_CSI_SEQUENCE = 1,
    HAS_PREFERENCE = 2,
    HAS_CRLB_MIN = 4,
    HAS_TRADEOFF = 1
};

static inline size_t padded(size_t bytes)
{
    return (bytes + 7u) & ~(size_t)7u;
}

static inline void store_u32(unsigned char *at, uint32_t value)
{
    for (int k = 0; k < 4; k++) {
        at[k] = (unsigned char)(value >> (8 * k));
    }
}

static inline void store_u64(unsigned char *at, uint64_t value)
{
    for (int k = 0; k < 8; k++) {
        at[k] = (unsigned char)(value >> (8 * k));
    }
}

static inline void store_f64(unsigned char *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    store_u64(at, bits);
}

static inline uint32_t load_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t load_u64(const unsigned char *at)
{
    return (uint64_t)load_u32(at) | (uint64_t)load_u32(at + 4) << 32;
}

static inline double load_f64(const unsigned char *at)
{
    const uint64_t bits = load_u64(at);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* 8-byte numbers, to or from the record: a copy where the machine is little-endian. */
static inline void copy_words(void *to, const void *from, size_t count)
{
    memcpy(to, from, count * 8u);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    unsigned char *at = to;
    for (size_t k = 0; k < count; k++, at += 8) {
        const uint64_t swapped = load_u64(at);
        memcpy(at, &swapped, sizeof swapped);
    }
#endif
}

static inline uint32_t checksum(const unsigned char *record, size_t bytes)
{
    uLong sum = crc32_z(0, record, AT_CHECKSUM);
    sum = crc32_z(sum, record + AT_CHECKSUM + 4, bytes - AT_CHECKSUM - 4);
    return (uint32_t)sum;
}

#endif
