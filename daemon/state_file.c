/* Writes records. */
#include "state_file.h"

#include <string.h>

#include "state_layout.h"

void beamd_record_begin(beamd_record_writer *self, void *out, size_t capacity,
                        const beamd_record_header *header)
{
    *self = (beamd_record_writer){.out = out, .capacity = capacity};
    self->full = capacity < BEAMD_RECORD_HEADER_BYTES;
    if (!self->full) {
        memset(out, 0, BEAMD_RECORD_HEADER_BYTES);
        memcpy(self->out + AT_MAGIC, BEAMD_RECORD_MAGIC, MAGIC_BYTES);
        store_u32(self->out + AT_VERSION, BEAMD_RECORD_VERSION);
        store_u32(self->out + AT_KIND, (uint32_t)header->kind);
        store_u64(self->out + AT_SERIAL, header->serial);
        store_u64(self->out + AT_UNIX_NS, header->unix_ns);
        self->used = BEAMD_RECORD_HEADER_BYTES;
    }
}

/* Where the section's body goes; NULL when it does not fit. */
static unsigned char *add_section(beamd_record_writer *self, uint32_t type, size_t bytes)
{
    if (self->full || bytes > self->capacity ||
        self->capacity - self->used < SECTION_HEAD_BYTES + padded(bytes)) {
        self->full = true;
        return NULL;
    }
    unsigned char *head = self->out + self->used;
    store_u32(head, type);
    store_u32(head + 4, 0);
    store_u64(head + 8, bytes);
    unsigned char *body = head + SECTION_HEAD_BYTES;
    memset(body + bytes, 0, padded(bytes) - bytes);
    self->used += SECTION_HEAD_BYTES + padded(bytes);
    self->sections++;
    return body;
}

static void store_text(unsigned char *at, size_t size, const char *text)
{
    const size_t length = strnlen(text, size - 1);
    memcpy(at, text, length);
    memset(at + length, 0, size - length);
}

void beamd_record_put_cluster(beamd_record_writer *self, const beamd_record_cluster *facts)
{
    unsigned char *at = add_section(self, SECTION_CLUSTER, CLUSTER_BYTES);
    if (at) {
        store_text(at, sizeof facts->id, facts->id);
        store_u64(at + 64, (facts->has_csi_sequence ? HAS_CSI_SEQUENCE : 0u) |
                               (facts->has_preference ? HAS_PREFERENCE : 0u) |
                               (facts->has_crlb_min ? HAS_CRLB_MIN : 0u));
        store_u64(at + 72, facts->csi_sequence);
        store_f64(at + 80, facts->tradeoff);
        store_f64(at + 88, facts->crlb_min_m2);
    }
}

void beamd_record_put_daemon(beamd_record_writer *self, const beamd_record_daemon *facts)
{
    unsigned char *at = add_section(self, SECTION_DAEMON, DAEMON_BYTES);
    if (at) {
        store_u64(at, facts->has_tradeoff ? HAS_TRADEOFF : 0u);
        store_f64(at + 8, facts->tradeoff);
    }
}

static void put_bytes(beamd_record_writer *self, uint32_t type, const void *bytes, size_t count)
{
    unsigned char *at = add_section(self, type, count);
    if (at) {
        memcpy(at, bytes, count);
    }
}

void beamd_record_put_registration(beamd_record_writer *self, const void *frame, size_t bytes)
{
    put_bytes(self, SECTION_REGISTRATION, frame, bytes);
}

void beamd_record_put_targets(beamd_record_writer *self, const void *frame, size_t bytes)
{
    put_bytes(self, SECTION_TARGETS, frame, bytes);
}

void beamd_record_put_rows(beamd_record_writer *self, const double *rows, size_t count)
{
    unsigned char *at = add_section(self, SECTION_ROWS, 8u * count);
    if (at) {
        copy_words(at, rows, count);
    }
}

void beamd_record_put_named(beamd_record_writer *self, const beamd_record_named *named)
{
    unsigned char *at = add_section(self, SECTION_NAMED, NAMED_BYTES);
    if (at) {
        store_text(at, sizeof named->name, named->name);
        store_f64(at + 32, named->tradeoff);
    }
}

void beamd_record_put_ideal(beamd_record_writer *self, const beamd_record_ideal *ideal)
{
    unsigned char *at = add_section(self, SECTION_IDEAL, IDEAL_BYTES);
    if (at) {
        store_u64(at, ideal->band);
        store_f64(at + 8, ideal->wsr_bps_hz);
    }
}

size_t beamd_record_design_bytes(uint32_t users, uint32_t stations, uint32_t antennas,
                                 uint32_t columns)
{
    return DESIGN_BYTES + 8u * (size_t)users + padded(4u * (size_t)users) +
           padded(4u * (size_t)stations) +
           16u * (size_t)antennas * ((size_t)users + (size_t)columns);
}

void beamd_record_put_design(beamd_record_writer *self, const beamd_record_design *facts,
                             const uint64_t *user_id, const int *user_station,
                             const beam_design *design)
{
    const size_t users = (size_t)design->dims.users, stations = (size_t)design->dims.stations;
    const size_t antennas = (size_t)design->dims.antennas;
    size_t columns = 0;
    for (size_t l = 0; l < stations; l++) {
        columns += (size_t)design->sensing_count[l];
    }
    unsigned char *at =
        add_section(self, SECTION_DESIGN,
                    beamd_record_design_bytes((uint32_t)users, (uint32_t)stations,
                                              (uint32_t)antennas, (uint32_t)columns));
    if (!at) {
        return;
    }
    store_u32(at, facts->band);
    store_u32(at + 4, 0);
    store_text(at + 8, sizeof facts->name, facts->name);
    store_f64(at + 40, facts->tradeoff);
    store_u64(at + 48, facts->csi_sequence);
    store_u64(at + 56, facts->target_sequence);
    store_u32(at + 64, (uint32_t)users);
    store_u32(at + 68, (uint32_t)stations);
    store_u32(at + 72, (uint32_t)antennas);
    store_u32(at + 76, (uint32_t)columns);
    at += DESIGN_BYTES;
    copy_words(at, user_id, users);
    at += 8u * users;
    memset(at, 0, padded(4u * users) + padded(4u * stations));
    for (size_t u = 0; u < users; u++) {
        store_u32(at + 4u * u, (uint32_t)user_station[u]);
    }
    at += padded(4u * users);
    for (size_t l = 0; l < stations; l++) {
        store_u32(at + 4u * l, (uint32_t)design->sensing_count[l]);
    }
    at += padded(4u * stations);
    copy_words(at, design->beams, 2u * users * antennas);
    at += 16u * users * antennas;
    for (size_t l = 0; l < stations; l++) {
        const size_t words = 2u * (size_t)design->sensing_count[l] * antennas;
        copy_words(at, design->sensing + l * (size_t)design->sensing_max * antennas, words);
        at += 8u * words;
    }
}

size_t beamd_record_end(beamd_record_writer *self)
{
    if (self->full) {
        return 0;
    }
    store_u64(self->out + AT_BYTES, self->used);
    store_u32(self->out + AT_SECTIONS, self->sections);
    return self->used;
}

void beamd_record_seal(void *record, size_t bytes)
{
    unsigned char *at = record;
    store_u32(at + AT_CHECKSUM, checksum(at, bytes));
}

size_t beamd_record_bytes_max(const beam_dims *max, int sensing_max, size_t registration_bytes,
                              size_t targets_bytes, size_t rows, int bands, int preferences)
{
    const size_t design =
        SECTION_HEAD_BYTES +
        beamd_record_design_bytes((uint32_t)max->users, (uint32_t)max->stations,
                                  (uint32_t)max->antennas, (uint32_t)(max->stations * sensing_max));
    const size_t frames =
        3u * SECTION_HEAD_BYTES + padded(registration_bytes) + padded(targets_bytes) + 8u * rows;
    return BEAMD_RECORD_HEADER_BYTES + SECTION_HEAD_BYTES + CLUSTER_BYTES + frames +
           BEAM_WIRE_MAX_PREFERENCES * (SECTION_HEAD_BYTES + NAMED_BYTES) +
           (size_t)bands * (SECTION_HEAD_BYTES + IDEAL_BYTES + (size_t)preferences * design);
}
