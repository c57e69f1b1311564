#include "wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "beam/scene.h"

_Static_assert((int)BEAM_WIRE_MAX_STATIONS == (int)BEAM_MAX_STATIONS,
               "limits of wire and engine differ");
_Static_assert((int)BEAM_WIRE_MAX_ANTENNAS == (int)BEAM_MAX_ANTENNAS,
               "limits of wire and engine differ");
_Static_assert((int)BEAM_WIRE_MAX_USERS == (int)BEAM_MAX_USERS, "limits of wire and engine differ");
_Static_assert((int)BEAM_WIRE_MAX_TARGETS == (int)BEAM_MAX_TARGETS,
               "limits of wire and engine differ");

static const unsigned char WIRE_MAGIC[4] = {'B', 'E', 'A', 'M'};

static const struct {
    unsigned type;
    const ProtobufCMessageDescriptor *descriptor;
} WIRE_TYPES[] = {
    {BEAM_WIRE_REGISTER_CLUSTER, &beamd__register_cluster__descriptor},
    {BEAM_WIRE_UNREGISTER_CLUSTER, &beamd__unregister_cluster__descriptor},
    {BEAM_WIRE_CSI_UPDATE, &beamd__csi_update__descriptor},
    {BEAM_WIRE_TARGET_UPDATE, &beamd__target_update__descriptor},
    {BEAM_WIRE_USERS_JOIN, &beamd__users_join__descriptor},
    {BEAM_WIRE_USERS_LEAVE, &beamd__users_leave__descriptor},
    {BEAM_WIRE_PREFERENCE_SET, &beamd__preference_set__descriptor},
    {BEAM_WIRE_PREFERENCE_GET, &beamd__preference_get__descriptor},
    {BEAM_WIRE_STATUS_REQUEST, &beamd__status_request__descriptor},
    {BEAM_WIRE_CLUSTER_LIST_REQUEST, &beamd__cluster_list_request__descriptor},
    {BEAM_WIRE_MODEL_GET, &beamd__model_get__descriptor},
    {BEAM_WIRE_MODEL_RELOAD, &beamd__model_reload__descriptor},
    {BEAM_WIRE_FRONT_REQUEST, &beamd__front_request__descriptor},
    {BEAM_WIRE_CONFIG_GET, &beamd__config_get__descriptor},
    {BEAM_WIRE_CONFIG_RELOAD, &beamd__config_reload__descriptor},
    {BEAM_WIRE_LOG_LEVEL_SET, &beamd__log_level_set__descriptor},
    {BEAM_WIRE_DRAIN, &beamd__drain__descriptor},
    {BEAM_WIRE_ACK, &beamd__ack__descriptor},
    {BEAM_WIRE_ERROR, &beamd__error__descriptor},
    {BEAM_WIRE_SOLUTION, &beamd__solution__descriptor},
    {BEAM_WIRE_PREFERENCE_REPLY, &beamd__preference_reply__descriptor},
    {BEAM_WIRE_STATUS_REPLY, &beamd__status_reply__descriptor},
    {BEAM_WIRE_CLUSTER_LIST_REPLY, &beamd__cluster_list_reply__descriptor},
    {BEAM_WIRE_MODEL_REPLY, &beamd__model_reply__descriptor},
    {BEAM_WIRE_SOLUTION_SET, &beamd__solution_set__descriptor},
    {BEAM_WIRE_FRONT_REPLY, &beamd__front_reply__descriptor},
    {BEAM_WIRE_CONFIG_REPLY, &beamd__config_reply__descriptor},
    {BEAM_WIRE_TELEMETRY, &beamd__telemetry__descriptor},
};

int beam_wire_fail(beam_wire_error *err, Beamd__ErrorCode code, const char *field,
                   const char *format, ...)
{
    if (err) {
        err->code = code;
        snprintf(err->field, sizeof err->field, "%s", field ? field : "");
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return -1;
}

const ProtobufCMessageDescriptor *beam_wire_descriptor(unsigned type)
{
    for (size_t k = 0; k < sizeof WIRE_TYPES / sizeof WIRE_TYPES[0]; k++) {
        if (WIRE_TYPES[k].type == type) {
            return WIRE_TYPES[k].descriptor;
        }
    }
    return NULL;
}

const char *beam_wire_type_name(unsigned type)
{
    const ProtobufCMessageDescriptor *d = beam_wire_descriptor(type);
    return d ? d->short_name : "unknown";
}

bool beam_wire_is_request(unsigned type)
{
    return type < BEAM_WIRE_ACK && beam_wire_descriptor(type) != NULL;
}

static bool cluster_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static bool cluster_bytes_valid(const unsigned char *id, size_t bytes)
{
    for (size_t k = 0; k < bytes; k++) {
        if (!cluster_byte(id[k])) {
            return false;
        }
    }
    return true;
}

static bool name_valid(const char *name, size_t most)
{
    const size_t n = name ? strnlen(name, most + 1) : 0;
    return n > 0 && n <= most && cluster_bytes_valid((const unsigned char *)name, n);
}

bool beam_wire_cluster_valid(const char *cluster)
{
    return name_valid(cluster, BEAM_WIRE_MAX_CLUSTER_BYTES);
}

bool beam_wire_preference_name_valid(const char *name)
{
    return name_valid(name, BEAM_WIRE_MAX_PREFERENCE_NAME_BYTES);
}

static void put_le(unsigned char *out, uint64_t value, int bytes)
{
    for (int k = 0; k < bytes; k++) {
        out[k] = (unsigned char)(value >> (8 * k));
    }
}

static uint64_t get_le(const unsigned char *in, int bytes)
{
    uint64_t value = 0;
    for (int k = 0; k < bytes; k++) {
        value |= (uint64_t)in[k] << (8 * k);
    }
    return value;
}

int beam_wire_header_encode(unsigned char out[BEAM_WIRE_HEADER_BYTES], unsigned type,
                            const char *cluster, uint64_t sequence, size_t payload_bytes,
                            beam_wire_error *err)
{
    const char *id = cluster ? cluster : "";
    if (*id && !beam_wire_cluster_valid(id)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "header.cluster",
                              "a cluster id is 1 to 63 letters, digits, '.', '_' or '-'");
    }
    if (payload_bytes > BEAM_WIRE_MAX_MESSAGE_BYTES - BEAM_WIRE_HEADER_BYTES) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "header.payload_bytes",
                              "a message of %zu bytes is larger than the limit of %d",
                              payload_bytes, (int)BEAM_WIRE_MAX_MESSAGE_BYTES);
    }
    if (!beam_wire_descriptor(type)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_TYPE, "header.type",
                              "type %u is not known", type);
    }
    const size_t id_bytes = strlen(id);
    memset(out, 0, BEAM_WIRE_HEADER_BYTES);
    memcpy(out, WIRE_MAGIC, sizeof WIRE_MAGIC);
    put_le(out + 4, BEAM_WIRE_VERSION, 2);
    put_le(out + 6, type, 2);
    put_le(out + 8, sequence, 8);
    put_le(out + 16, payload_bytes, 4);
    put_le(out + 20, id_bytes, 4);
    memcpy(out + 24, id, id_bytes);
    return 0;
}

static int header_cluster(beam_wire_header *header, const unsigned char *frame,
                          beam_wire_error *err)
{
    const uint64_t n = get_le(frame + 20, 4);
    if (n > BEAM_WIRE_MAX_CLUSTER_BYTES) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "header.cluster_bytes",
                              "a cluster id of %llu bytes is longer than the limit of %d",
                              (unsigned long long)n, (int)BEAM_WIRE_MAX_CLUSTER_BYTES);
    }
    for (size_t k = (size_t)n; k < BEAM_WIRE_MAX_CLUSTER_BYTES + 1; k++) {
        if (frame[24 + k] != 0) {
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_MALFORMED, "header.cluster",
                                  "byte %zu after the end of the cluster id is not zero", k);
        }
    }
    if (!cluster_bytes_valid(frame + 24, (size_t)n)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "header.cluster",
                              "a cluster id is 1 to 63 letters, digits, '.', '_' or '-'");
    }
    memcpy(header->cluster, frame + 24, (size_t)n);
    return 0;
}

int beam_wire_header_decode(beam_wire_header *header, const unsigned char *frame, size_t bytes,
                            beam_wire_error *err)
{
    memset(header, 0, sizeof *header);
    if (bytes < BEAM_WIRE_HEADER_BYTES) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_MALFORMED, "header",
                              "a message of %zu bytes is shorter than the header of %d", bytes,
                              (int)BEAM_WIRE_HEADER_BYTES);
    }
    if (memcmp(frame, WIRE_MAGIC, sizeof WIRE_MAGIC) != 0) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_MALFORMED, "header.magic",
                              "the message does not begin with \"BEAM\"");
    }
    const unsigned version = (unsigned)get_le(frame + 4, 2);
    if (version != BEAM_WIRE_VERSION) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_VERSION, "header.version",
                              "version %u of the wire is not the one spoken here, %d", version,
                              (int)BEAM_WIRE_VERSION);
    }
    header->type = (uint16_t)get_le(frame + 6, 2);
    header->sequence = get_le(frame + 8, 8);
    header->payload_bytes = (uint32_t)get_le(frame + 16, 4);
    if (header_cluster(header, frame, err) < 0) {
        return -1;
    }
    if (bytes > BEAM_WIRE_MAX_MESSAGE_BYTES) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "header.payload_bytes",
                              "a message of %zu bytes is larger than the limit of %d", bytes,
                              (int)BEAM_WIRE_MAX_MESSAGE_BYTES);
    }
    if (header->payload_bytes != bytes - BEAM_WIRE_HEADER_BYTES) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_MALFORMED, "header.payload_bytes",
                              "the header announces %u bytes of payload, %zu follow it",
                              (unsigned)header->payload_bytes,
                              bytes - (size_t)BEAM_WIRE_HEADER_BYTES);
    }
    if (!beam_wire_descriptor(header->type)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_TYPE, "header.type",
                              "type %u is not known", (unsigned)header->type);
    }
    return 0;
}

static void *arena_alloc(void *data, size_t bytes)
{
    return beam_wire_arena_take(data, bytes);
}

static void arena_free(void *data, void *pointer)
{
    (void)data;
    (void)pointer; /* the reset frees all */
}

void beam_wire_arena_init(beam_wire_arena *arena, void *memory, size_t size)
{
    *arena = (beam_wire_arena){
        .allocator = {.alloc = arena_alloc, .free = arena_free, .allocator_data = arena},
        .memory = memory,
        .size = size,
    };
}

void beam_wire_arena_reset(beam_wire_arena *arena)
{
    arena->used = 0;
}

void *beam_wire_arena_take(beam_wire_arena *arena, size_t bytes)
{
    const size_t at = (arena->used + 15u) & ~(size_t)15u;
    if (at > arena->size || bytes > arena->size - at) {
        arena->exhausted++;
        return NULL;
    }
    arena->used = at + bytes;
    if (arena->used > arena->peak) {
        arena->peak = arena->used;
    }
    void *taken = arena->memory + at;
    memset(taken, 0, bytes);
    return taken;
}

size_t beam_wire_arena_bytes(size_t message_bytes)
{
    return message_bytes + BEAM_WIRE_ARENA_SLACK_BYTES;
}

int beam_wire_unpack(beam_wire_header *header, ProtobufCMessage **message, beam_wire_arena *arena,
                     const unsigned char *frame, size_t bytes, beam_wire_error *err)
{
    *message = NULL;
    if (beam_wire_header_decode(header, frame, bytes, err) < 0) {
        return -1;
    }
    const ProtobufCMessageDescriptor *descriptor = beam_wire_descriptor(header->type);
    const unsigned char *payload = frame + BEAM_WIRE_HEADER_BYTES;
    if (beam_wire_check(descriptor, payload, header->payload_bytes, err) < 0) {
        return -1;
    }
    const uint64_t exhausted = arena->exhausted;
    *message =
        protobuf_c_message_unpack(descriptor, &arena->allocator, header->payload_bytes, payload);
    if (*message) {
        return 0;
    }
    if (arena->exhausted != exhausted) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "payload",
                              "the message needs more memory than is set aside for one");
    }
    return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_MALFORMED, "payload",
                          "the payload is not a valid %s", descriptor->short_name);
}

size_t beam_wire_frame_bytes(const ProtobufCMessage *message)
{
    return BEAM_WIRE_HEADER_BYTES + protobuf_c_message_get_packed_size(message);
}

int beam_wire_pack(unsigned type, const char *cluster, uint64_t sequence,
                   const ProtobufCMessage *message, unsigned char *out, size_t capacity,
                   size_t *bytes, beam_wire_error *err)
{
    *bytes = 0;
    if (message->descriptor != beam_wire_descriptor(type)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_TYPE, "header.type",
                              "type %u is not that of the message, %s", type,
                              message->descriptor->short_name);
    }
    const size_t payload = protobuf_c_message_get_packed_size(message);
    if (capacity < BEAM_WIRE_HEADER_BYTES || payload > capacity - BEAM_WIRE_HEADER_BYTES) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "payload",
                              "the message of %zu bytes does not fit the %zu set aside",
                              payload + BEAM_WIRE_HEADER_BYTES, capacity);
    }
    if (beam_wire_header_encode(out, type, cluster, sequence, payload, err) < 0) {
        return -1;
    }
    protobuf_c_message_pack(message, out + BEAM_WIRE_HEADER_BYTES);
    *bytes = BEAM_WIRE_HEADER_BYTES + payload;
    return 0;
}

size_t beam_wire_topic(const char *cluster, unsigned char out[BEAM_WIRE_MAX_CLUSTER_BYTES + 1])
{
    if (!beam_wire_cluster_valid(cluster)) {
        return 0;
    }
    const size_t n = strlen(cluster) + 1;
    memcpy(out, cluster, n);
    return n;
}
