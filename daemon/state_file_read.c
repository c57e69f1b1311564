/* Reads records: every size is checked before anything is looked at behind it. */
#include <math.h>
#include <string.h>

#include "state_file.h"
#include "state_layout.h"

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
    if (memcmp(data, BEAMD_RECORD_MAGIC, MAGIC_BYTES) != 0) {
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
