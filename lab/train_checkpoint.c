#include "lab/train_checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/output.h"
#include "network/loss_paper.h"
#include "network/sha256.h"

static const char MAGIC[8] = {'B', 'E', 'A', 'M', 'C', 'K', 'P', 'T'};

typedef struct checkpoint_head {
    char magic[8];
    uint32_t version, settings_size;
    uint64_t parameters;
} checkpoint_head;

typedef struct checkpoint_progress {
    int64_t step, samples;
    double seconds;
} checkpoint_progress;

static size_t file_size(size_t parameters)
{
    return sizeof(checkpoint_head) + sizeof(lab_train_settings) + sizeof(checkpoint_progress) +
           4 * parameters * sizeof(beam_net_real) + BEAM_SHA256_BYTES;
}

static unsigned char *put(unsigned char *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    return to + size;
}

static const unsigned char *get(const unsigned char *from, void *to, size_t size)
{
    memcpy(to, from, size);
    return from + size;
}

static void pack(unsigned char *bytes, const lab_train_settings *settings,
                 const lab_train_state *state)
{
    const size_t row = state->parameters * sizeof *state->theta;
    checkpoint_head head = {.version = LAB_CHECKPOINT_VERSION,
                            .settings_size = sizeof *settings,
                            .parameters = state->parameters};
    const checkpoint_progress progress = {state->step, state->samples, state->seconds};
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    unsigned char *at = put(bytes, &head, sizeof head);
    at = put(at, settings, sizeof *settings);
    at = put(at, &progress, sizeof progress);
    at = put(at, state->theta, row);
    at = put(at, state->m, row);
    at = put(at, state->v, row);
    at = put(at, state->mean, row);
    beam_sha256(bytes, (size_t)(at - bytes), at);
}

beam_code lab_checkpoint_write(const char *path, const lab_train_settings *settings,
                               const lab_train_state *state, beam_error *err)
{
    const size_t size = file_size(state->parameters);
    unsigned char *bytes = malloc(size);
    if (!bytes) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    pack(bytes, settings, state);
    lab_output out;
    beam_code code = lab_output_open(&out, path, err);
    if (!code && fwrite(bytes, 1, size, out.file) != size) {
        code = beam_fail(err, BEAM_E_INVALID, NULL, "cannot be written: %s", strerror(errno));
        lab_output_abandon(&out);
    } else if (!code) {
        code = lab_output_commit(&out, err);
    }
    free(bytes);
    return code;
}

static beam_code check(const unsigned char *bytes, size_t size, beam_error *err)
{
    checkpoint_head head;
    if (size < file_size(0) || memcmp(bytes, MAGIC, sizeof MAGIC) != 0) {
        return beam_fail(err, BEAM_E_INVALID, "magic", "this is no checkpoint");
    }
    (void)get(bytes, &head, sizeof head);
    if (head.version != LAB_CHECKPOINT_VERSION ||
        head.settings_size != sizeof(lab_train_settings)) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, "version",
                         "a checkpoint of another version of this program");
    }
    if (head.parameters > size || size != file_size(head.parameters)) {
        return beam_fail(err, BEAM_E_INVALID, "size", "%zu bytes do not hold %llu parameters", size,
                         (unsigned long long)head.parameters);
    }
    uint8_t digest[BEAM_SHA256_BYTES];
    beam_sha256(bytes, size - BEAM_SHA256_BYTES, digest);
    if (memcmp(digest, bytes + size - BEAM_SHA256_BYTES, BEAM_SHA256_BYTES) != 0) {
        return beam_fail(err, BEAM_E_INVALID, "checksum",
                         "the checksum does not fit: the file is damaged");
    }
    return BEAM_OK;
}

/* A sum that fits only says that the file is as it was written: whoever writes one may write
 * anything, and what follows is believed from here on. */
static beam_code check_settings(const lab_train_settings *o, beam_error *err)
{
    const bool texts = memchr(o->families, 0, sizeof o->families) &&
                       memchr(o->folder, 0, sizeof o->folder) && memchr(o->from, 0, sizeof o->from);
    const bool sizes = o->batch >= 1 && o->groups >= 1 && o->steps >= 1 &&
                       o->loss.lower_steps >= 1 &&
                       o->loss.lower_steps <= BEAM_NET_LOWER_STEPS_MAX &&
                       (o->arch.kind == BEAM_NET_EQUIVARIANT || o->arch.kind == BEAM_NET_MLP);
    return texts && sizes ? BEAM_OK
                          : beam_fail(err, BEAM_E_INVALID, "settings",
                                      "a text without an end, or a number outside its limits");
}

static beam_code unpack(const unsigned char *bytes, lab_train_settings *settings,
                        lab_train_state *state, beam_error *err)
{
    checkpoint_head head;
    checkpoint_progress progress;
    const unsigned char *at = get(bytes, &head, sizeof head);
    at = get(at, settings, sizeof *settings);
    at = get(at, &progress, sizeof progress);
    beam_code code = check_settings(settings, err);
    code = code ? code : lab_train_state_create(state, &settings->arch, err);
    if (code) {
        return code;
    }
    if (state->parameters != head.parameters) {
        lab_train_state_clear(state);
        return beam_fail(err, BEAM_E_UNSUPPORTED, "parameters",
                         "the architecture had another number of parameters then");
    }
    const size_t row = state->parameters * sizeof *state->theta;
    state->step = progress.step;
    state->samples = progress.samples;
    state->seconds = progress.seconds;
    at = get(at, state->theta, row);
    at = get(at, state->m, row);
    at = get(at, state->v, row);
    (void)get(at, state->mean, row);
    return BEAM_OK;
}

static beam_code read_all(const char *path, unsigned char **bytes, size_t *size, beam_error *err)
{
    FILE *file = fopen(path, "rb");
    long length = -1;
    *bytes = NULL;
    struct stat status;
    if (file && (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode))) {
        fclose(file);
        return beam_fail(err, BEAM_E_INVALID, NULL, "is no regular file");
    }
    if (file && fseek(file, 0, SEEK_END) == 0) {
        length = ftell(file);
    }
    if (length >= 0) {
        *size = (size_t)length;
        *bytes = malloc(*size + 1);
        rewind(file);
    }
    const bool whole = *bytes && fread(*bytes, 1, *size, file) == *size;
    const int cause = errno;
    if (file) {
        fclose(file);
    }
    if (!whole) {
        free(*bytes);
        *bytes = NULL;
        return beam_fail(err, BEAM_E_INVALID, NULL, "cannot be read: %s", strerror(cause));
    }
    return BEAM_OK;
}

beam_code lab_checkpoint_read(const char *path, lab_train_settings *settings,
                              lab_train_state *state, beam_error *err)
{
    unsigned char *bytes;
    size_t size = 0;
    *state = (lab_train_state){.parameters = 0};
    beam_code code = read_all(path, &bytes, &size, err);
    code = code ? code : check(bytes, size, err);
    code = code ? code : unpack(bytes, settings, state, err);
    free(bytes);
    return code;
}
