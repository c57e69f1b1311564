#include "lab/model_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/output.h"

static lab_model *load(const void *bytes, size_t size, const char *source, beam_error *err)
{
    beam_model_info info;
    if (beam_model_inspect(bytes, size, &info, err)) {
        return NULL;
    }
    const size_t need = beam_model_memsize(&info);
    lab_model *self = calloc(1, sizeof *self);
    void *memory = aligned_alloc(64, (need + 63) & ~(size_t)63);
    if (!self || !memory) {
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    } else if (!beam_model_load(&self->model, bytes, size, memory, need, err)) {
        self->memory = memory;
        snprintf(self->source, sizeof self->source, "%s", source);
        return self;
    }
    free(memory);
    free(self);
    return NULL;
}

/* The whole file; NULL: *err says why. */
static unsigned char *read_all(const char *path, size_t *size, beam_error *err)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status) != 0) {
        beam_fail(err, BEAM_E_INVALID, NULL, "cannot be read: %s", strerror(errno));
        if (file) {
            fclose(file);
        }
        return NULL;
    }
    /* one byte more than allowed: the reader then says that it is too large */
    const size_t capacity = (size_t)BEAM_MODEL_MAX_BYTES + 1;
    unsigned char *bytes = NULL;
    if (!S_ISREG(status.st_mode)) {
        beam_fail(err, BEAM_E_INVALID, NULL, "is no regular file");
    } else if (!(bytes = malloc(capacity))) {
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    } else {
        *size = fread(bytes, 1, capacity, file);
        if (ferror(file)) {
            beam_fail(err, BEAM_E_INVALID, NULL, "cannot be read: %s", strerror(errno));
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(file);
    return bytes;
}

lab_model *lab_model_read(const char *path, beam_error *err)
{
    size_t size = 0;
    unsigned char *bytes = read_all(path, &size, err);
    lab_model *self = bytes ? load(bytes, size, path, err) : NULL;
    free(bytes);
    return self;
}

lab_model *lab_model_default(const char *path, beam_error *err)
{
    if (path) {
        return lab_model_read(path, err);
    }
    size_t size;
    const void *bytes = beam_model_embedded(&size);
    if (!bytes) {
        beam_fail(err, BEAM_E_UNSUPPORTED, "model",
                  "no model is built into this program: a model file is needed");
        return NULL;
    }
    return load(bytes, size, "built in", err);
}

void lab_model_destroy(lab_model **self)
{
    if (*self) {
        free((*self)->memory);
        free(*self);
        *self = NULL;
    }
}

beam_code lab_model_write(const char *path, beam_model_info *info, const float *weights,
                          beam_error *err)
{
    const size_t size = beam_model_write_size(info);
    unsigned char *bytes = malloc(size ? size : 1);
    if (!bytes) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    lab_output output;
    beam_code code = beam_model_write(info, weights, bytes, size, err);
    if (!code) {
        code = lab_output_open(&output, path, err);
    }
    if (!code) {
        if (fwrite(bytes, 1, size, output.file) != size) {
            code = beam_fail(err, BEAM_E_INVALID, NULL, "cannot be written: %s", strerror(errno));
            lab_output_abandon(&output);
        } else {
            code = lab_output_commit(&output, err);
        }
    }
    free(bytes);
    return code;
}
