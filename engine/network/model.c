/* Reading and writing model files. models/README.md is the format in words; FIELDS is the format.
 */
#include "network/model.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "beam/scene.h"
#include "model/arena.h"
#include "network/sha256.h"
#include "network/single.h"

_Static_assert((int)BEAM_MODEL_EQUIVARIANT == (int)BEAM_NET_EQUIVARIANT &&
                   (int)BEAM_MODEL_MLP == (int)BEAM_NET_MLP,
               "a model's kind is an architecture's");
_Static_assert(sizeof(float) == 4 && sizeof(double) == 8 && FLT_MANT_DIG == 24, "IEEE 754");

static const char MAGIC[8] = "BEAMNET"; /* and its zero */

enum {
    /* of every version: a reader can always tell what it cannot read */
    AT_BYTE_ORDER = 8,  /* u32 */
    AT_FORMAT = 12,     /* u32 */
    AT_FILE_BYTES = 16, /* u64 */
    LEAST_BYTES = 24,
    /* of this version */
    AT_HEADER_BYTES = 24, /* u32 */
    AT_ELEMENT = 28,      /* u32 */
    AT_REVISION = 32,     /* u32 */
    AT_KIND = 36,         /* u32 */
    HEADER_BYTES = 1344,
    BYTE_ORDER_MARK = 0x01020304,
    ELEMENT_FLOAT32 = 1,
    INTEGER_MAX = 1 << 20, /* of sizes; the architecture has narrower limits */
};

typedef enum field_type {
    FIELD_INT,
    FIELD_SIZE,
    FIELD_U64,
    FIELD_I64,
    FIELD_F64,
    FIELD_TEXT
} field_type;

typedef struct model_field {
    const char *name;
    field_type type;
    size_t at, bytes; /* in the file */
    size_t member;    /* in beam_model_info */
} model_field;

#define FIELD(member, type, at, bytes)                                                             \
    {                                                                                              \
#member, type, at, bytes, offsetof(beam_model_info, member)                                \
    }
static const model_field FIELDS[] = {
    FIELD(layers, FIELD_INT, 40, 4),
    FIELD(width, FIELD_INT, 44, 4),
    FIELD(stations, FIELD_INT, 48, 4),
    FIELD(antennas, FIELD_INT, 52, 4),
    FIELD(users, FIELD_INT, 56, 4),
    FIELD(targets, FIELD_INT, 60, 4),
    FIELD(sensing_rows, FIELD_INT, 64, 4), /* 68: 4 zeros */
    FIELD(parameters, FIELD_SIZE, 72, 8),
    FIELD(data_seed, FIELD_U64, 80, 8),
    FIELD(steps, FIELD_U64, 88, 8),
    FIELD(samples, FIELD_U64, 96, 8),
    FIELD(held_out_scenes, FIELD_U64, 104, 8),
    FIELD(created_unix_s, FIELD_I64, 112, 8),
    FIELD(held_out_loss, FIELD_F64, 120, 8),
    FIELD(held_out_ratio_median, FIELD_F64, 128, 8),
    FIELD(held_out_ratio_p5, FIELD_F64, 136, 8), /* 144: 48 zeros */
    FIELD(name, FIELD_TEXT, 192, BEAM_MODEL_NAME_BYTES),
    FIELD(creator, FIELD_TEXT, 256, BEAM_MODEL_CREATOR_BYTES),
    FIELD(families, FIELD_TEXT, 320, BEAM_MODEL_FAMILIES_BYTES),
    FIELD(command, FIELD_TEXT, 832, BEAM_MODEL_COMMAND_BYTES),
};
_Static_assert((int)HEADER_BYTES == 832 + (int)BEAM_MODEL_COMMAND_BYTES,
               "the last field ends the head");
enum { FIELD_COUNT = sizeof FIELDS / sizeof FIELDS[0] };
/* What a later version of this format may use; zero in this one. */
static const struct {
    size_t at, bytes;
} RESERVED[] = {{68, 4}, {144, 48}};

const char *beam_model_kind_text(beam_model_kind kind)
{
    return kind == BEAM_MODEL_EQUIVARIANT ? "equivariant"
           : kind == BEAM_MODEL_MLP       ? "mlp"
                                          : "unknown";
}

beam_net_arch beam_model_arch(const beam_model_info *info)
{
    return (beam_net_arch){.kind = (beam_net_kind)info->kind,
                           .layers = info->layers,
                           .width = info->width,
                           .stations = info->stations,
                           .antennas = info->antennas,
                           .users = info->users,
                           .targets = info->targets,
                           .sensing_rows = info->sensing_rows};
}

static uint64_t get(const uint8_t *from, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)from[i] << (8 * i);
    }
    return value;
}
static void put(uint8_t *to, size_t bytes, uint64_t value)
{
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}
static float get_float(const uint8_t *from)
{
    const uint32_t bits = (uint32_t)get(from, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The bytes of the character at `text`: 1..4; 0: not UTF-8 (RFC 3629), or a control character. */
static size_t character_bytes(const uint8_t *text)
{
    const uint8_t c = text[0];
    if (c < 0x80) {
        return c >= 0x20 && c != 0x7f;
    }
    const size_t bytes = c >= 0xc2 && c < 0xe0   ? 2
                         : (c & 0xf0) == 0xe0    ? 3
                         : c >= 0xf0 && c < 0xf5 ? 4
                                                 : 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0; /* the final zero ends here too */
        }
    }
    const uint8_t next = bytes ? text[1] : 0;
    const bool wrong = (c == 0xc2 && next < 0xa0) || (c == 0xe0 && next < 0xa0) ||
                       (c == 0xed && next > 0x9f) || (c == 0xf0 && next < 0x90) ||
                       (c == 0xf4 && next > 0x8f);
    return wrong ? 0 : bytes;
}

static beam_code check_text(const char *name, const char *text, size_t bytes, beam_error *err)
{
    if (!memchr(text, 0, bytes)) {
        return beam_fail(err, BEAM_E_INVALID, name, "is not ended by a zero within %zu bytes",
                         bytes);
    }
    for (const uint8_t *at = (const uint8_t *)text; *at;) {
        const size_t taken = character_bytes(at);
        if (taken == 0) {
            return beam_fail(err, BEAM_E_INVALID, name,
                             "byte %zu is a control character or no UTF-8",
                             (size_t)(at - (const uint8_t *)text));
        }
        at += taken;
    }
    return BEAM_OK;
}

/* What holds for a model in memory as for one in a file. */
static beam_code check_info(const beam_model_info *info, beam_error *err)
{
    if (info->kind != BEAM_MODEL_EQUIVARIANT && info->kind != BEAM_MODEL_MLP) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, "kind",
                         "%d is none that this version knows: 0 equivariant, 1 mlp",
                         (int)info->kind);
    }
    const bool sized =
        info->stations || info->antennas || info->users || info->targets || info->sensing_rows;
    if (info->kind == BEAM_MODEL_EQUIVARIANT && sized) {
        return beam_fail(err, BEAM_E_INVALID, "stations",
                         "sizes are given, but an equivariant model serves any");
    }
    const beam_net_arch arch = beam_model_arch(info);
    const size_t parameters = beam_net_parameters(&arch);
    if (parameters == 0) {
        return beam_fail(err, BEAM_E_LIMIT, "layers",
                         "an architecture outside the limits: %s, %d layers, width %d, sizes %d "
                         "%d %d %d %d",
                         beam_model_kind_text(info->kind), info->layers, info->width,
                         info->stations, info->antennas, info->users, info->targets,
                         info->sensing_rows);
    }
    if (info->parameters != parameters) {
        return beam_fail(err, BEAM_E_INVALID, "parameters", "is %zu, but the architecture has %zu",
                         info->parameters, parameters);
    }
    if (beam_model_write_size(info) == 0) {
        return beam_fail(err, BEAM_E_LIMIT, "parameters", "%zu make a file of over %d bytes",
                         parameters, BEAM_MODEL_MAX_BYTES);
    }
    if (!info->name[0]) {
        return beam_fail(err, BEAM_E_INVALID, "name", "is empty");
    }
    for (int i = 0; i < FIELD_COUNT; i++) {
        const model_field *f = &FIELDS[i];
        const char *member = (const char *)info + f->member;
        double number = 0;
        if (f->type == FIELD_F64) {
            memcpy(&number, member, sizeof number);
        }
        if (!isfinite(number)) {
            return beam_fail(err, BEAM_E_INVALID, f->name, "is not finite");
        }
        if (f->type == FIELD_TEXT && check_text(f->name, member, f->bytes, err)) {
            return BEAM_E_INVALID;
        }
    }
    return BEAM_OK;
}

/* Is it a model of this version, and whole? */
static beam_code check_frame(const uint8_t *file, size_t size, beam_error *err)
{
    if (size > BEAM_MODEL_MAX_BYTES) {
        return beam_fail(err, BEAM_E_LIMIT, "file_bytes",
                         "the file has %zu bytes, over the %d allowed", size, BEAM_MODEL_MAX_BYTES);
    }
    if (size < LEAST_BYTES || memcmp(file, MAGIC, sizeof MAGIC) != 0) {
        return beam_fail(err, BEAM_E_INVALID, "magic",
                         "this is no model file, or cut in its head (%zu bytes)", size);
    }
    const uint32_t order = (uint32_t)get(file + AT_BYTE_ORDER, 4);
    if (order != BYTE_ORDER_MARK) {
        return beam_fail(err, BEAM_E_INVALID, "byte_order",
                         order == 0x04030201 ? "the file is big-endian, models are little-endian"
                                             : "the mark is 0x%08x: the file is damaged",
                         (unsigned)order);
    }
    const uint32_t format = (uint32_t)get(file + AT_FORMAT, 4);
    if (format != BEAM_MODEL_FORMAT) {
        return beam_fail(err, format > BEAM_MODEL_FORMAT ? BEAM_E_UNSUPPORTED : BEAM_E_INVALID,
                         "format",
                         format > BEAM_MODEL_FORMAT
                             ? "the file is of format %u, newer than %d, the newest known here"
                             : "the file is of format %u, which never was; this is %d",
                         (unsigned)format, BEAM_MODEL_FORMAT);
    }
    const uint64_t file_bytes = get(file + AT_FILE_BYTES, 8);
    if (file_bytes != size) {
        return beam_fail(err, BEAM_E_INVALID, "file_bytes",
                         "the file has %zu bytes, its head says %llu: %s", size,
                         (unsigned long long)file_bytes,
                         size < file_bytes ? "it is cut" : "something follows it");
    }
    if (size < HEADER_BYTES + BEAM_SHA256_BYTES) {
        return beam_fail(err, BEAM_E_INVALID, "file_bytes", "%zu are fewer than those of a head",
                         size);
    }
    return BEAM_OK;
}

static void hexadecimal(const uint8_t *digest, char text[BEAM_MODEL_CHECKSUM_BYTES])
{
    for (size_t i = 0; i < BEAM_SHA256_BYTES; i++) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    text[2 * (size_t)BEAM_SHA256_BYTES] = 0;
}

/* Before any other field is believed: what is damaged must be called damaged. */
static beam_code check_checksum(const uint8_t *file, size_t size,
                                char text[BEAM_MODEL_CHECKSUM_BYTES], beam_error *err)
{
    uint8_t digest[BEAM_SHA256_BYTES];
    char stored[BEAM_MODEL_CHECKSUM_BYTES];
    beam_sha256(file, size - BEAM_SHA256_BYTES, digest);
    hexadecimal(digest, text);
    if (memcmp(digest, file + size - BEAM_SHA256_BYTES, sizeof digest) != 0) {
        hexadecimal(file + size - BEAM_SHA256_BYTES, stored);
        return beam_fail(err, BEAM_E_INVALID, "checksum",
                         "the file is damaged: its bytes give %.16s..., it says %.16s...", text,
                         stored);
    }
    return BEAM_OK;
}

static beam_code read_field(const model_field *f, const uint8_t *file, beam_model_info *info,
                            beam_error *err)
{
    char *member = (char *)info + f->member;
    if (f->type == FIELD_TEXT) {
        const uint8_t *end = memchr(file + f->at, 0, f->bytes);
        for (const uint8_t *pad = end; pad && pad < file + f->at + f->bytes; pad++) {
            if (*pad) {
                return beam_fail(err, BEAM_E_INVALID, f->name, "has bytes after its final zero");
            }
        }
        memcpy(member, file + f->at, f->bytes);
        return BEAM_OK;
    }
    const uint64_t value = get(file + f->at, f->bytes);
    if (f->type == FIELD_INT) {
        if (value > INTEGER_MAX) {
            return beam_fail(err, BEAM_E_LIMIT, f->name, "%llu is outside every limit",
                             (unsigned long long)value);
        }
        memcpy(member, &(int){(int)value}, sizeof(int));
    } else if (f->type == FIELD_SIZE) {
        if (value > BEAM_MODEL_MAX_BYTES) {
            return beam_fail(err, BEAM_E_LIMIT, f->name, "%llu make a file of over %d bytes",
                             (unsigned long long)value, BEAM_MODEL_MAX_BYTES);
        }
        memcpy(member, &(size_t){(size_t)value}, sizeof(size_t));
    } else {
        memcpy(member, &value, sizeof value); /* u64, i64 and f64 have the same 8 bytes */
    }
    return BEAM_OK;
}

static beam_code read_header(const uint8_t *file, beam_model_info *info, beam_error *err)
{
    const struct {
        const char *name;
        size_t at;
        uint32_t must;
    } fixed[] = {{"header_bytes", AT_HEADER_BYTES, HEADER_BYTES},
                 {"element_type", AT_ELEMENT, ELEMENT_FLOAT32},
                 {"revision", AT_REVISION, BEAM_MODEL_REVISION}};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const uint32_t value = (uint32_t)get(file + fixed[i].at, 4);
        if (value != fixed[i].must) {
            return beam_fail(err, BEAM_E_UNSUPPORTED, fixed[i].name,
                             "is %u, this version of the program knows %u only", (unsigned)value,
                             (unsigned)fixed[i].must);
        }
    }
    const uint32_t kind = (uint32_t)get(file + AT_KIND, 4);
    info->kind = (beam_model_kind)(kind > INT_MAX ? INT_MAX : (int)kind);
    for (int i = 0; i < FIELD_COUNT; i++) {
        const beam_code code = read_field(&FIELDS[i], file, info, err);
        if (code) {
            return code;
        }
    }
    for (size_t i = 0; i < sizeof RESERVED / sizeof RESERVED[0]; i++) {
        for (size_t k = 0; k < RESERVED[i].bytes; k++) {
            if (file[RESERVED[i].at + k]) {
                return beam_fail(err, BEAM_E_INVALID, "reserved",
                                 "byte %zu of the file is not zero", RESERVED[i].at + k);
            }
        }
    }
    return check_info(info, err);
}

static beam_code check_weight(size_t index, float weight, beam_error *err)
{
    if (!isfinite(weight)) {
        char field[32];
        (void)snprintf(field, sizeof field, "weights[%zu]", index);
        return beam_fail(err, BEAM_E_INVALID, field, "is not finite");
    }
    return BEAM_OK;
}

beam_code beam_model_inspect(const void *bytes, size_t size, beam_model_info *info, beam_error *err)
{
    const uint8_t *file = bytes;
    beam_model_info read;
    memset(&read, 0, sizeof read);
    if (!bytes) {
        return beam_fail(err, BEAM_E_INVALID, "magic", "there is no model");
    }
    beam_code code = check_frame(file, size, err);
    if (!code) {
        code = check_checksum(file, size, read.checksum, err);
    }
    if (!code) {
        code = read_header(file, &read, err);
    }
    if (!code && beam_model_write_size(&read) != size) {
        code = beam_fail(err, BEAM_E_INVALID, "file_bytes", "is %zu, but %zu parameters make %zu",
                         size, read.parameters, beam_model_write_size(&read));
    }
    for (size_t i = 0; !code && i < read.parameters; i++) {
        code = check_weight(i, get_float(file + HEADER_BYTES + 4 * i), err);
    }
    if (!code) {
        *info = read;
    }
    return code;
}

static void carve(beam_arena *arena, const beam_model_info *info, beam_model **self, float **theta,
                  float **columns)
{
    const beam_net_arch arch = beam_model_arch(info);
    *self = BEAM_TAKE(arena, beam_model, 1);
    *theta = BEAM_TAKE(arena, float, info->parameters);
    *columns = BEAM_TAKE(arena, float, NET(single_columns)(&arch));
}

size_t beam_model_memsize(const beam_model_info *info)
{
    beam_arena arena = {NULL, 0};
    beam_model *self;
    float *theta, *columns;
    if (beam_model_write_size(info) == 0) {
        return 0;
    }
    carve(&arena, info, &self, &theta, &columns);
    return arena.used;
}

beam_code beam_model_load(beam_model **out, const void *bytes, size_t size, void *memory,
                          size_t memory_size, beam_error *err)
{
    beam_model_info info;
    const beam_code code = beam_model_inspect(bytes, size, &info, err);
    if (code) {
        return code;
    }
    if (!memory || ((uintptr_t)memory & 63u) != 0) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "must be aligned to 64 bytes");
    }
    if (memory_size < beam_model_memsize(&info)) {
        return beam_fail(err, BEAM_E_LIMIT, "memory", "has %zu bytes, the model needs %zu",
                         memory_size, beam_model_memsize(&info));
    }
    beam_arena arena = {memory, 0};
    beam_model *self;
    float *theta, *columns;
    carve(&arena, &info, &self, &theta, &columns);
    for (size_t i = 0; i < info.parameters; i++) {
        theta[i] = get_float((const uint8_t *)bytes + HEADER_BYTES + 4 * i);
    }
    *self = (beam_model){.info = info, .arch = beam_model_arch(&info), .theta = theta};
    if (self->arch.kind == BEAM_NET_EQUIVARIANT) {
        NET(single_transpose)(&self->arch, theta, columns);
        self->columns = columns;
    }
    *out = self;
    return BEAM_OK;
}

const beam_model_info *beam_model_info_of(const beam_model *self)
{
    return &self->info;
}

size_t beam_model_write_size(const beam_model_info *info)
{
    const beam_net_arch arch = beam_model_arch(info);
    const size_t parameters = beam_net_parameters(&arch);
    const size_t frame = HEADER_BYTES + BEAM_SHA256_BYTES;
    return parameters == 0 || parameters > (BEAM_MODEL_MAX_BYTES - frame) / 4
               ? 0
               : frame + 4 * parameters;
}

static void write_header(const beam_model_info *info, uint8_t *file, size_t bytes)
{
    memset(file, 0, HEADER_BYTES);
    memcpy(file, MAGIC, sizeof MAGIC);
    put(file + AT_BYTE_ORDER, 4, BYTE_ORDER_MARK);
    put(file + AT_FORMAT, 4, BEAM_MODEL_FORMAT);
    put(file + AT_FILE_BYTES, 8, bytes);
    put(file + AT_HEADER_BYTES, 4, HEADER_BYTES);
    put(file + AT_ELEMENT, 4, ELEMENT_FLOAT32);
    put(file + AT_REVISION, 4, BEAM_MODEL_REVISION);
    put(file + AT_KIND, 4, (uint64_t)info->kind);
    for (int i = 0; i < FIELD_COUNT; i++) {
        const model_field *f = &FIELDS[i];
        const char *member = (const char *)info + f->member;
        uint64_t value = 0;
        if (f->type == FIELD_TEXT) {
            memcpy(file + f->at, member, strlen(member)); /* zeros follow */
            continue;
        }
        if (f->type == FIELD_INT) {
            int number;
            memcpy(&number, member, sizeof number);
            value = (uint64_t)number;
        } else if (f->type == FIELD_SIZE) {
            size_t number;
            memcpy(&number, member, sizeof number);
            value = number;
        } else {
            memcpy(&value, member, sizeof value);
        }
        put(file + f->at, f->bytes, value);
    }
}

beam_code beam_model_write(beam_model_info *info, const float *weights, void *bytes, size_t size,
                           beam_error *err)
{
    uint8_t *file = bytes;
    beam_code code = check_info(info, err);
    const size_t need = code ? 0 : beam_model_write_size(info);
    if (!code && size < need) {
        code =
            beam_fail(err, BEAM_E_LIMIT, "size", "has %zu bytes, the file needs %zu", size, need);
    }
    for (size_t i = 0; !code && i < info->parameters; i++) {
        code = check_weight(i, weights[i], err);
    }
    if (code) {
        return code;
    }
    write_header(info, file, need);
    for (size_t i = 0; i < info->parameters; i++) {
        uint32_t bits;
        memcpy(&bits, &weights[i], sizeof bits);
        put(file + HEADER_BYTES + 4 * i, 4, bits);
    }
    uint8_t *digest = file + need - BEAM_SHA256_BYTES;
    beam_sha256(file, need - BEAM_SHA256_BYTES, digest);
    hexadecimal(digest, info->checksum);
    return BEAM_OK;
}
