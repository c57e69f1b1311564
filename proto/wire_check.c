/* The walk over a payload that comes before unpacking. protobuf-c itself would lay out whatever the
 * bytes ask for. */
#include "wire.h"

#include <stdio.h>
#include <string.h>

/* Field numbers of one message seen so far fit one word; messages of the schema have fewer than 64
 * fields. */
typedef struct walk {
    const struct walk *parent;
    const char *field; /* name in the parent, NULL at the top */
    long index;        /* in the parent's repeated field, -1 if singular */
} walk;

typedef struct cursor {
    const unsigned char *at, *end;
} cursor;

static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    const char *field;
    uint32_t max;
} WIRE_COUNTS[] = {
    {&beamd__complex_array__descriptor, "shape", 4},
    {&beamd__register_cluster__descriptor, "stations", BEAM_WIRE_MAX_STATIONS},
    {&beamd__subband__descriptor, "error_radius", BEAM_WIRE_MAX_STATIONS *BEAM_WIRE_MAX_USERS},
    {&beamd__csi_update__descriptor, "users", BEAM_WIRE_MAX_USERS},
    {&beamd__csi_update__descriptor, "subbands", BEAM_WIRE_MAX_SUBBANDS},
    {&beamd__users_join__descriptor, "users", BEAM_WIRE_MAX_USERS},
    {&beamd__users_join__descriptor, "subbands", BEAM_WIRE_MAX_SUBBANDS},
    {&beamd__users_leave__descriptor, "user_ids", BEAM_WIRE_MAX_USERS},
    {&beamd__target_update__descriptor, "targets", BEAM_WIRE_MAX_TARGETS},
    {&beamd__solution__descriptor, "users", BEAM_WIRE_MAX_USERS},
    {&beamd__solution__descriptor, "stations", BEAM_WIRE_MAX_STATIONS},
    {&beamd__solution__descriptor, "targets", BEAM_WIRE_MAX_TARGETS},
    {&beamd__status_reply__descriptor, "clusters", BEAM_WIRE_MAX_CLUSTERS},
    {&beamd__cluster_list_reply__descriptor, "clusters", BEAM_WIRE_MAX_CLUSTERS},
    {&beamd__register_cluster__descriptor, "preferences", BEAM_WIRE_MAX_PREFERENCES},
    {&beamd__preference_reply__descriptor, "named", BEAM_WIRE_MAX_PREFERENCES},
    {&beamd__cluster_status__descriptor, "preferences", BEAM_WIRE_MAX_PREFERENCES},
    {&beamd__solution_set__descriptor, "solutions",
     BEAM_WIRE_MAX_SUBBANDS *BEAM_WIRE_MAX_PREFERENCES},
    {&beamd__front_reply__descriptor, "points", BEAM_WIRE_MAX_FRONT_POINTS},
    {&beamd__config_reply__descriptor, "keys", BEAM_WIRE_MAX_CONFIG_KEYS},
    {&beamd__config_reply__descriptor, "changed", BEAM_WIRE_MAX_CONFIG_KEYS},
    {&beamd__config_reply__descriptor, "need_restart", BEAM_WIRE_MAX_CONFIG_KEYS},
    {&beamd__telemetry__descriptor, "stages", BEAM_WIRE_MAX_STAGES},
    {&beamd__telemetry__descriptor, "backends", BEAM_WIRE_MAX_BACKENDS},
    {&beamd__telemetry__descriptor, "clusters", BEAM_WIRE_MAX_CLUSTERS},
};

/* A repeated field without an entry is a fault of this table: it then holds nothing, and the golden
 * test says so. */
static uint32_t count_limit(const ProtobufCMessageDescriptor *descriptor, const char *field)
{
    for (size_t k = 0; k < sizeof WIRE_COUNTS / sizeof WIRE_COUNTS[0]; k++) {
        if (WIRE_COUNTS[k].descriptor == descriptor && strcmp(WIRE_COUNTS[k].field, field) == 0) {
            return WIRE_COUNTS[k].max;
        }
    }
    return 0;
}

/* "users[3].noise_w" from the outside in. */
static void path_append(char *out, size_t size, const walk *w, const char *field)
{
    if (w && w->field) {
        path_append(out, size, w->parent, NULL);
        const size_t n = strlen(out);
        if (w->index >= 0) {
            snprintf(out + n, size - n, "%s%s[%ld]", n ? "." : "", w->field, w->index);
        } else {
            snprintf(out + n, size - n, "%s%s", n ? "." : "", w->field);
        }
    }
    if (field) {
        const size_t n = strlen(out);
        snprintf(out + n, size - n, "%s%s", n ? "." : "", field);
    }
}

static int refuse(beam_wire_error *err, Beamd__ErrorCode code, const walk *w, const char *field,
                  const char *sentence)
{
    char path[sizeof err->field] = "";
    path_append(path, sizeof path, w, field);
    return beam_wire_fail(err, code, path[0] ? path : "payload", "%s", sentence);
}

static int cut_short(beam_wire_error *err, const walk *w, const char *field)
{
    return refuse(err, BEAMD__ERROR_CODE__ERROR_MALFORMED, w, field,
                  "the message is cut short here");
}

static int too_many(beam_wire_error *err, const walk *w, const char *field, size_t count,
                    uint32_t limit)
{
    char path[sizeof err->field] = "";
    path_append(path, sizeof path, w, field);
    return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, path,
                          "%zu or more entries are over the limit of %u", count, (unsigned)limit);
}

static bool read_varint(cursor *c, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 70 && c->at < c->end; shift += 7) {
        const unsigned char byte = *c->at++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return true;
        }
    }
    return false;
}

static int expected_wire_type(const ProtobufCFieldDescriptor *f)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        return 2; /* messages, or packed numbers */
    }
    switch (f->type) {
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return 1;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return 2;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return 5;
    default:
        return 0;
    }
}

static bool skip(cursor *c, unsigned wire_type)
{
    uint64_t value;
    size_t bytes;
    switch (wire_type) {
    case 0:
        return read_varint(c, &value);
    case 1:
        bytes = 8;
        break;
    case 2:
        if (!read_varint(c, &value) || value > (uint64_t)(c->end - c->at)) {
            return false;
        }
        bytes = (size_t)value;
        break;
    case 5:
        bytes = 4;
        break;
    default:
        return false; /* groups are not part of this protocol */
    }
    if (bytes > (size_t)(c->end - c->at)) {
        return false;
    }
    c->at += bytes;
    return true;
}

static int check_string(const cursor *c, const walk *w, const char *field, beam_wire_error *err)
{
    if (c->end - c->at > BEAM_WIRE_MAX_STRING_BYTES) {
        return refuse(err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, w, field,
                      "the text is over 511 bytes");
    }
    for (const unsigned char *p = c->at; p < c->end; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            return refuse(err, BEAMD__ERROR_CODE__ERROR_INVALID, w, field,
                          "the text holds a control character");
        }
    }
    return 0;
}

static int check_packed(cursor c, const ProtobufCMessageDescriptor *descriptor,
                        const ProtobufCFieldDescriptor *f, const walk *w, beam_wire_error *err)
{
    const size_t bytes = (size_t)(c.end - c.at);
    const uint32_t limit = count_limit(descriptor, f->name);
    size_t count = 0;
    if (f->type == PROTOBUF_C_TYPE_DOUBLE) {
        count = bytes / 8;
        if (bytes % 8) {
            return cut_short(err, w, f->name);
        }
        return count > limit ? too_many(err, w, f->name, count, limit) : 0;
    }
    while (c.at < c.end) {
        uint64_t value;
        if (!read_varint(&c, &value)) {
            return cut_short(err, w, f->name);
        }
        if (f->type == PROTOBUF_C_TYPE_UINT32 && value > UINT32_MAX) {
            return refuse(err, BEAMD__ERROR_CODE__ERROR_INVALID, w, f->name,
                          "a number does not fit 32 bits");
        }
        if (++count > limit) {
            return too_many(err, w, f->name, count, limit);
        }
    }
    return 0;
}

static int check_message(const ProtobufCMessageDescriptor *descriptor, cursor c, const walk *w,
                         int *unknown, beam_wire_error *err);

/* Repeated messages and texts have one field on the wire each, repeated numbers are packed into
 * one.
 */
static bool one_field_each(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED &&
           (f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING);
}

/* A field with a length in front: text, bytes, packed numbers or a message. */
static int check_delimited(cursor *c, const ProtobufCMessageDescriptor *descriptor,
                           const ProtobufCFieldDescriptor *f, uint32_t *count, const walk *w,
                           int *unknown, beam_wire_error *err)
{
    uint64_t length;
    if (!read_varint(c, &length) || length > (uint64_t)(c->end - c->at)) {
        return cut_short(err, w, f->name);
    }
    const cursor inner = {c->at, c->at + length};
    c->at = inner.end;
    if (f->label == PROTOBUF_C_LABEL_REPEATED && !one_field_each(f)) {
        ++*count;
        return check_packed(inner, descriptor, f, w, err);
    }
    const uint32_t limit = one_field_each(f) ? count_limit(descriptor, f->name) : 1;
    if (*count >= limit) {
        return too_many(err, w, f->name, (size_t)*count + 1, limit);
    }
    const walk next = {
        .parent = w, .field = f->name, .index = one_field_each(f) ? (long)*count : -1};
    ++*count;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        return check_message(f->descriptor, inner, &next, unknown, err);
    }
    return f->type == PROTOBUF_C_TYPE_STRING ? check_string(&inner, &next, NULL, err) : 0;
}

static int check_field(cursor *c, const ProtobufCMessageDescriptor *descriptor,
                       const ProtobufCFieldDescriptor *f, unsigned wire_type, uint32_t *count,
                       const walk *w, int *unknown, beam_wire_error *err)
{
    if ((int)wire_type != expected_wire_type(f)) {
        return refuse(err, BEAMD__ERROR_CODE__ERROR_MALFORMED, w, f->name,
                      "the field is encoded as another type");
    }
    if (*count > 0 && !one_field_each(f)) {
        return refuse(err, BEAMD__ERROR_CODE__ERROR_MALFORMED, w, f->name,
                      "the field appears twice");
    }
    if (wire_type == 2) {
        return check_delimited(c, descriptor, f, count, w, unknown, err);
    }
    ++*count;
    uint64_t value = 0;
    const cursor before = *c;
    if (!skip(c, wire_type)) {
        return cut_short(err, w, f->name);
    }
    if (f->type == PROTOBUF_C_TYPE_UINT32) {
        cursor again = before;
        if (!read_varint(&again, &value) || value > UINT32_MAX) {
            return refuse(err, BEAMD__ERROR_CODE__ERROR_INVALID, w, f->name,
                          "the number does not fit 32 bits");
        }
    }
    return 0;
}

static int check_message(const ProtobufCMessageDescriptor *descriptor, cursor c, const walk *w,
                         int *unknown, beam_wire_error *err)
{
    uint32_t counts[64] = {0};
    while (c.at < c.end) {
        uint64_t tag;
        if (!read_varint(&c, &tag) || tag > UINT32_MAX || tag >> 3 == 0) {
            return refuse(err, BEAMD__ERROR_CODE__ERROR_MALFORMED, w, NULL,
                          "a field number cannot be read");
        }
        const unsigned wire_type = (unsigned)(tag & 7);
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        if (f) {
            const size_t k = (size_t)(f - descriptor->fields);
            if (k >= sizeof counts / sizeof counts[0]) {
                return refuse(err, BEAMD__ERROR_CODE__ERROR_LIMIT, w, f->name,
                              "the schema has more fields than this check can follow");
            }
            if (check_field(&c, descriptor, f, wire_type, &counts[k], w, unknown, err) < 0) {
                return -1;
            }
            continue;
        }
        if (++*unknown > BEAM_WIRE_MAX_UNKNOWN_FIELDS) {
            return refuse(err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, w, NULL,
                          "there are over 32 fields that this version does not know");
        }
        if (!skip(&c, wire_type)) {
            return cut_short(err, w, NULL);
        }
    }
    return 0;
}

int beam_wire_check(const ProtobufCMessageDescriptor *descriptor, const unsigned char *payload,
                    size_t bytes, beam_wire_error *err)
{
    static const walk top = {.index = -1};
    const cursor c = {payload, payload + bytes};
    int unknown = 0;
    return check_message(descriptor, c, &top, &unknown, err);
}
