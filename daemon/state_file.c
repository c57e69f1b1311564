#include "state_file.h"

#include <math.h>
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

static const char magic[MAGIC_BYTES + 1] = "BEAMSTAT";

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

static size_t padded(size_t bytes)
{
    return (bytes + 7u) & ~(size_t)7u;
}

/* --- numbers --- */

static void store_u32(unsigned char *at, uint32_t value)
{
    for (int k = 0; k < 4; k++) {
        at[k] = (unsigned char)(value >> (8 * k));
    }
}

static void store_u64(unsigned char *at, uint64_t value)
{
    for (int k = 0; k < 8; k++) {
        at[k] = (unsigned char)(value >> (8 * k));
    }
}

static void store_f64(unsigned char *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    store_u64(at, bits);
}

static uint32_t load_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t load_u64(const unsigned char *at)
{
    return (uint64_t)load_u32(at) | (uint64_t)load_u32(at + 4) << 32;
}

static double load_f64(const unsigned char *at)
{
    const uint64_t bits = load_u64(at);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* 8-byte numbers, to or from the record: a copy where the machine is little-endian. */
static void copy_words(void *to, const void *from, size_t count)
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

/* --- writing --- */

void beamd_record_begin(beamd_record_writer *self, void *out, size_t capacity,
                        const beamd_record_header *header)
{
    *self = (beamd_record_writer){.out = out, .capacity = capacity};
    self->full = capacity < BEAMD_RECORD_HEADER_BYTES;
    if (!self->full) {
        memset(out, 0, BEAMD_RECORD_HEADER_BYTES);
        memcpy(self->out + AT_MAGIC, magic, MAGIC_BYTES);
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

static uint32_t checksum(const unsigned char *record, size_t bytes)
{
    uLong sum = crc32_z(0, record, AT_CHECKSUM);
    sum = crc32_z(sum, record + AT_CHECKSUM + 4, bytes - AT_CHECKSUM - 4);
    return (uint32_t)sum;
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

/* --- reading --- */

/* A text that ends inside its field, with nothing behind its end. */
static bool load_text(char *out, const unsigned char *at, size_t size)
{
    const size_t length = strnlen((const char *)at, size);
    if (length == size) {
        return false;
    }
    for (size_t k = length; k < size; k++) {
        if (at[k]) {
            return false;
        }
    }
    memcpy(out, at, size);
    return true;
}

static bool read_cluster(beamd_record_cluster *out, const unsigned char *at, size_t bytes)
{
    if (bytes != CLUSTER_BYTES || !load_text(out->id, at, sizeof out->id) ||
        !beam_wire_cluster_valid(out->id)) {
        return false;
    }
    const uint64_t has = load_u64(at + 64);
    out->has_csi_sequence = has & HAS_CSI_SEQUENCE;
    out->has_preference = has & HAS_PREFERENCE;
    out->has_crlb_min = has & HAS_CRLB_MIN;
    out->csi_sequence = load_u64(at + 72);
    out->tradeoff = load_f64(at + 80);
    out->crlb_min_m2 = load_f64(at + 88);
    return has < 8 && (!out->has_preference || (out->tradeoff >= 0 && out->tradeoff <= 1)) &&
           (!out->has_crlb_min || (out->crlb_min_m2 >= 0 && isfinite(out->crlb_min_m2)));
}

static bool read_daemon(beamd_record_daemon *out, const unsigned char *at, size_t bytes)
{
    if (bytes != DAEMON_BYTES) {
        return false;
    }
    const uint64_t has = load_u64(at);
    out->has_tradeoff = has & HAS_TRADEOFF;
    out->tradeoff = load_f64(at + 8);
    return has < 2 && (!out->has_tradeoff || (out->tradeoff >= 0 && out->tradeoff <= 1));
}

static bool read_named(beamd_record_view *view, const unsigned char *at, size_t bytes)
{
    if (bytes != NAMED_BYTES || view->named_count >= BEAM_WIRE_MAX_PREFERENCES) {
        return false;
    }
    beamd_record_named *out = &view->named[view->named_count++];
    out->tradeoff = load_f64(at + 32);
    return load_text(out->name, at, sizeof out->name) && out->name[0] && out->tradeoff >= 0 &&
           out->tradeoff <= 1;
}

static void load_ideal(beamd_record_ideal *out, const unsigned char *at)
{
    out->band = load_u64(at) < BEAM_WIRE_MAX_SUBBANDS ? (uint32_t)load_u64(at)
                                                      : (uint32_t)BEAM_WIRE_MAX_SUBBANDS;
    out->wsr_bps_hz = load_f64(at + 8);
}

static bool ideal_good(const unsigned char *at, size_t bytes)
{
    beamd_record_ideal ideal;
    if (bytes != IDEAL_BYTES) {
        return false;
    }
    load_ideal(&ideal, at);
    return ideal.band < BEAM_WIRE_MAX_SUBBANDS && isfinite(ideal.wsr_bps_hz) &&
           ideal.wsr_bps_hz >= 0;
}

static bool load_design(beamd_record_design *out, const unsigned char *at)
{
    out->band = load_u32(at);
    out->tradeoff = load_f64(at + 40);
    out->csi_sequence = load_u64(at + 48);
    out->target_sequence = load_u64(at + 56);
    out->users = load_u32(at + 64);
    out->stations = load_u32(at + 68);
    out->antennas = load_u32(at + 72);
    out->columns = load_u32(at + 76);
    out->arrays = at + DESIGN_BYTES;
    return load_u32(at + 4) == 0 && load_text(out->name, at + 8, sizeof out->name);
}

static bool design_good(const unsigned char *at, size_t bytes)
{
    beamd_record_design d;
    if (bytes < DESIGN_BYTES || !load_design(&d, at)) {
        return false;
    }
    /* bounded before anything is multiplied */
    if (d.band >= BEAM_WIRE_MAX_SUBBANDS || d.users > BEAM_MAX_USERS || d.stations < 1 ||
        d.stations > BEAM_MAX_STATIONS || d.antennas < 1 || d.antennas > BEAM_MAX_ANTENNAS ||
        d.columns > (uint32_t)BEAM_MAX_ANTENNAS * d.stations ||
        !(d.tradeoff >= 0 && d.tradeoff <= 1) ||
        bytes != beamd_record_design_bytes(d.users, d.stations, d.antennas, d.columns)) {
        return false;
    }
    const unsigned char *count = d.arrays + 8u * (size_t)d.users + padded(4u * (size_t)d.users);
    uint64_t columns = 0;
    for (uint32_t l = 0; l < d.stations; l++) {
        columns += load_u32(count + 4u * l);
    }
    return columns == d.columns;
}

static bool read_frame(const unsigned char **frame, size_t *frame_bytes, const unsigned char *at,
                       size_t bytes)
{
    if (*frame || bytes > BEAMD_RECORD_FRAME_BYTES) {
        return false;
    }
    *frame = at;
    *frame_bytes = bytes;
    return true;
}

static bool read_rows(beamd_record_view *view, const unsigned char *at, size_t bytes)
{
    if (view->rows || bytes % 8 != 0 || bytes / 8 > BEAMD_RECORD_ROWS_MAX) {
        return false;
    }
    view->rows = at;
    view->rows_count = bytes / 8;
    return true;
}

static bool read_section(beamd_record_view *view, uint32_t type, const unsigned char *at,
                         size_t bytes)
{
    const size_t offset = (size_t)(at - view->data) - SECTION_HEAD_BYTES;
    const bool cluster = view->header.kind == BEAMD_RECORD_CLUSTER;
    switch (type) {
    case SECTION_CLUSTER:
        return cluster && !view->cluster.id[0] && read_cluster(&view->cluster, at, bytes);
    case SECTION_DAEMON:
        return !cluster && read_daemon(&view->daemon, at, bytes);
    case SECTION_REGISTRATION:
        return cluster && read_frame(&view->registration, &view->registration_bytes, at, bytes);
    case SECTION_TARGETS:
        return cluster && read_frame(&view->targets, &view->targets_bytes, at, bytes);
    case SECTION_ROWS:
        return cluster && read_rows(view, at, bytes);
    case SECTION_NAMED:
        return cluster && read_named(view, at, bytes);
    case SECTION_IDEAL:
        view->ideals_at = view->ideals++ == 0 ? offset : view->ideals_at;
        return cluster && ideal_good(at, bytes);
    case SECTION_DESIGN:
        view->designs_at = view->designs++ == 0 ? offset : view->designs_at;
        return cluster && design_good(at, bytes);
    default:
        return false;
    }
}

/* Offset behind the section at `at`, and its type and body; 0 when it does not lie in the record.
 */
static size_t enter_section(const unsigned char *data, size_t size, size_t at, uint32_t *type,
                            size_t *bytes)
{
    if (size - at < SECTION_HEAD_BYTES || load_u32(data + at + 4) != 0) {
        return 0;
    }
    const uint64_t stated = load_u64(data + at + 8);
    const size_t room = size - at - SECTION_HEAD_BYTES;
    if (stated > room || padded((size_t)stated) > room) {
        return 0;
    }
    *type = load_u32(data + at);
    *bytes = (size_t)stated;
    return at + SECTION_HEAD_BYTES + padded(*bytes);
}

uint64_t beamd_record_stated_bytes(const void *header)
{
    return load_u64((const unsigned char *)header + AT_BYTES);
}

static const char *check_header(beamd_record_view *view, const unsigned char *data, size_t size)
{
    if (size < BEAMD_RECORD_HEADER_BYTES) {
        return "truncated";
    }
    if (memcmp(data, magic, MAGIC_BYTES) != 0) {
        return "magic";
    }
    if (load_u32(data + AT_VERSION) != BEAMD_RECORD_VERSION) {
        return "version";
    }
    const uint64_t stated = load_u64(data + AT_BYTES);
    if (stated > size) {
        return "truncated";
    }
    if (stated < BEAMD_RECORD_HEADER_BYTES || stated % 8 != 0) {
        return "size";
    }
    view->bytes = (size_t)stated;
    if (load_u32(data + AT_CHECKSUM) != checksum(data, view->bytes)) {
        return "checksum";
    }
    view->header.kind = (beamd_record_kind)load_u32(data + AT_KIND);
    view->header.serial = load_u64(data + AT_SERIAL);
    view->header.unix_ns = load_u64(data + AT_UNIX_NS);
    return NULL;
}

const char *beamd_record_read(beamd_record_view *view, const void *data, size_t size)
{
    memset(view, 0, sizeof *view);
    view->data = data;
    const char *why = check_header(view, data, size);
    if (why) {
        return why;
    }
    if (view->header.kind != BEAMD_RECORD_CLUSTER && view->header.kind != BEAMD_RECORD_DAEMON) {
        return "content";
    }
    size_t at = BEAMD_RECORD_HEADER_BYTES;
    uint32_t before = 0, sections = 0;
    while (at < view->bytes) {
        uint32_t type;
        size_t bytes;
        const size_t next = enter_section(data, view->bytes, at, &type, &bytes);
        if (next == 0 || type < before ||
            !read_section(view, type, view->data + at + SECTION_HEAD_BYTES, bytes)) {
            return "content";
        }
        before = type;
        sections++;
        at = next;
    }
    const bool whole =
        view->header.kind == BEAMD_RECORD_DAEMON || (view->cluster.id[0] && view->registration);
    return sections == load_u32(view->data + AT_SECTIONS) && whole ? NULL : "content";
}

static const unsigned char *next_section(const beamd_record_view *view, size_t *at, uint32_t wanted)
{
    uint32_t type;
    size_t bytes;
    if (*at == 0 || *at >= view->bytes) {
        return NULL;
    }
    const size_t next = enter_section(view->data, view->bytes, *at, &type, &bytes);
    if (next == 0 || type != wanted) {
        return NULL;
    }
    const unsigned char *body = view->data + *at + SECTION_HEAD_BYTES;
    *at = next;
    return body;
}

bool beamd_record_rows_take(const beamd_record_view *view, double *rows)
{
    bool finite = true;
    copy_words(rows, view->rows, view->rows_count);
    for (size_t k = 0; k < view->rows_count; k++) {
        finite = finite && isfinite(rows[k]);
    }
    return finite;
}

bool beamd_record_next_ideal(const beamd_record_view *view, size_t *at, beamd_record_ideal *out)
{
    const unsigned char *body = next_section(view, at, SECTION_IDEAL);
    if (body) {
        load_ideal(out, body);
    }
    return body != NULL;
}

bool beamd_record_next_design(const beamd_record_view *view, size_t *at, beamd_record_design *out)
{
    const unsigned char *body = next_section(view, at, SECTION_DESIGN);
    return body && load_design(out, body);
}

static bool all_finite(const beam_complex *values, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        if (!isfinite(values[k].re) || !isfinite(values[k].im)) {
            return false;
        }
    }
    return true;
}

bool beamd_record_design_take(const beamd_record_design *facts, uint64_t *user_id,
                              int *user_station, beam_design *design)
{
    const size_t users = facts->users, antennas = facts->antennas;
    const unsigned char *at = facts->arrays;
    copy_words(user_id, at, users);
    at += 8u * users;
    for (size_t u = 0; u < users; u++) {
        const uint32_t station = load_u32(at + 4u * u);
        if (station >= facts->stations) {
            return false;
        }
        user_station[u] = (int)station;
    }
    at += padded(4u * users);
    const unsigned char *counts = at;
    at += padded(4u * (size_t)facts->stations);
    copy_words(design->beams, at, 2u * users * antennas);
    at += 16u * users * antennas;
    bool finite = all_finite(design->beams, users * antennas);
    for (uint32_t l = 0; l < facts->stations; l++) {
        const uint32_t count = load_u32(counts + 4u * l);
        if (count > (uint32_t)design->sensing_max) {
            return false;
        }
        beam_complex *rows = design->sensing + l * (size_t)design->sensing_max * antennas;
        copy_words(rows, at, 2u * count * antennas);
        at += 16u * (size_t)count * antennas;
        memset(rows + count * antennas, 0,
               ((size_t)design->sensing_max - count) * antennas * sizeof *rows);
        design->sensing_count[l] = (int)count;
        finite = finite && all_finite(rows, (size_t)count * antennas);
    }
    return finite;
}
