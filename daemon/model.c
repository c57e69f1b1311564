#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static beam_code out_of_memory(beam_error *err)
{
    return beam_fail(err, BEAM_E_LIMIT, "model_file", "out of memory for the model");
}

static beamd_model *load(const void *bytes, size_t size, const char *file, beam_error *err)
{
    beam_model_info info;
    if (beam_model_inspect(bytes, size, &info, err)) {
        return NULL;
    }
    const size_t need = beam_model_memsize(&info);
    beamd_model *self = calloc(1, sizeof *self);
    void *memory = aligned_alloc(64, (need + 63u) & ~(size_t)63u);
    if (!self || !memory) {
        out_of_memory(err);
    } else if (beam_model_load(&self->model, bytes, size, memory, need, err) == BEAM_OK) {
        self->memory = memory;
        self->info = beam_model_info_of(self->model);
        self->holds = 1;
        snprintf(self->file, sizeof self->file, "%s", file);
        return self;
    }
    free(memory);
    free(self);
    return NULL;
}

/* -1: *err. Without O_NONBLOCK a FIFO would hold the thread until somebody writes to it. */
static int open_file(const char *file, beam_error *err)
{
    struct stat st;
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        beam_fail(err, BEAM_E_INVALID, "model_file", "cannot be read: %s", strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        beam_fail(err, BEAM_E_INVALID, "model_file", "is no regular file");
        close(fd);
        return -1;
    }
    return fd;
}

/* The bytes of an open file; one more than allowed where it is too large, so that the model's
 * reader says so. */
static unsigned char *read_all(int fd, size_t *size, beam_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        beam_fail(err, BEAM_E_INVALID, "model_file", "cannot be read: %s", strerror(errno));
        return NULL;
    }
    const size_t most = (size_t)BEAM_MODEL_MAX_BYTES + 1;
    const size_t capacity = (uintmax_t)st.st_size < most ? (size_t)st.st_size + 1 : most;
    unsigned char *bytes = malloc(capacity);
    if (!bytes) {
        out_of_memory(err);
        return NULL;
    }
    ssize_t got = 0;
    *size = 0;
    while (*size < capacity &&
           ((got = read(fd, bytes + *size, capacity - *size)) > 0 || (got < 0 && errno == EINTR))) {
        *size += got > 0 ? (size_t)got : 0;
    }
    if (got < 0) {
        beam_fail(err, BEAM_E_INVALID, "model_file", "cannot be read: %s", strerror(errno));
        free(bytes);
        return NULL;
    }
    return bytes;
}

bool beamd_model_probe(const char *file, beam_error *err)
{
    static const char magic[8] = "BEAMNET"; /* engine/network/model.c */
    char head[sizeof magic];
    const int fd = open_file(file, err);
    if (fd < 0) {
        return false;
    }
    const ssize_t got = read(fd, head, sizeof head);
    close(fd);
    if (got != (ssize_t)sizeof head || memcmp(head, magic, sizeof head) != 0) {
        beam_fail(err, BEAM_E_INVALID, "magic", "this is no model file");
        return false;
    }
    return true;
}

bool beamd_model_built_in(void)
{
    size_t size;
    return beam_model_embedded(&size) != NULL;
}

beamd_model *beamd_model_read(const char *file, beam_error *err)
{
    size_t size = 0;
    if (!file[0]) {
        const void *built_in = beam_model_embedded(&size);
        if (!built_in) {
            beam_fail(err, BEAM_E_UNSUPPORTED, "model_file",
                      "no model is built into this program and no file is given");
            return NULL;
        }
        return load(built_in, size, file, err);
    }
    const int fd = open_file(file, err);
    if (fd < 0) {
        return NULL;
    }
    unsigned char *bytes = read_all(fd, &size, err);
    close(fd);
    beamd_model *self = bytes ? load(bytes, size, file, err) : NULL;
    free(bytes);
    return self;
}

beamd_model *beamd_model_hold(beamd_model *self)
{
    if (self) {
        self->holds++;
    }
    return self;
}

void beamd_model_release(beamd_model **self)
{
    beamd_model *model = *self;
    *self = NULL;
    if (model && --model->holds == 0) {
        free(model->memory);
        free(model);
    }
}

void beamd_model_run(beamd_job *job)
{
    beamd_model_job *self = (beamd_model_job *)job;
    self->error = (beam_error){0};
    self->model = beamd_model_read(self->file, &self->error);
}
