/* What backends share: the model of a setup (a file, or the one built in), queues. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/backend.h"

int beamg_refuse(int code, char *why, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return code;
}

static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rbe");
    if (!file) {
        return NULL;
    }
    const size_t most = BEAM_MODEL_MAX_BYTES;
    unsigned char *bytes = malloc(most);
    *size = bytes ? fread(bytes, 1, most, file) : 0;
    const int failed = ferror(file);
    (void)fclose(file);
    if (failed || *size == 0) {
        free(bytes);
        errno = failed ? EIO : ENODATA;
        return NULL;
    }
    return bytes;
}

static int load(const beamg_setup *setup, const void *bytes, size_t length, beamg_model *out,
                char *why, size_t size)
{
    beam_error err;
    beam_model_info info;
    const char *name = setup->model_file[0] ? setup->model_file : "the model built in";
    if (beam_model_inspect(bytes, length, &info, &err) != BEAM_OK) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "%s: %s %s", name, err.field, err.text);
    }
    if (setup->model_checksum[0] &&
        strncmp(setup->model_checksum, info.checksum, sizeof info.checksum) != 0) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size,
                            "%s is not the model of the daemon: it was written anew", name);
    }
    const size_t need = (beam_model_memsize(&info) + 63u) & ~(size_t)63u;
    out->memory = aligned_alloc(64, need);
    if (!out->memory) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "no memory for a model of %zu bytes",
                            need);
    }
    if (beam_model_load(&out->model, bytes, length, out->memory, need, &err) != BEAM_OK) {
        beamg_model_free(out);
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "%s: %s %s", name, err.field, err.text);
    }
    return 0;
}

void beamg_model_free(beamg_model *model)
{
    free(model->memory);
    *model = (beamg_model){NULL, NULL};
}

int beamg_model_read(const beamg_setup *setup, beamg_model *out, char *why, size_t size)
{
    size_t length = 0;
    *out = (beamg_model){NULL, NULL};
    if (!setup->model_file[0]) {
        const void *built_in = beam_model_embedded(&length);
        if (!built_in) {
            return beamg_refuse(BEAMG_EXIT_CONFIG, why, size,
                                "no model is built in and none given");
        }
        return load(setup, built_in, length, out, why, size);
    }
    void *bytes = read_file(setup->model_file, &length);
    if (!bytes) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "%s: %s", setup->model_file,
                            strerror(errno));
    }
    const int code = load(setup, bytes, length, out, why, size);
    free(bytes);
    return code;
}

int beamg_backend_setup(const beamg_backend *backend, void *self, const beamg_setup *setup,
                        char *why, size_t size)
{
    void *next = NULL;
    const int code = backend->prepare(self, setup, &next, why, size);
    return code ? code : backend->adopt(self, next, why, size);
}

void beamg_done_put(beamg_done *self, beamg_job *job)
{
    job->next = NULL;
    *(self->first ? &self->last->next : &self->first) = job;
    self->last = job;
}

beamg_job *beamg_done_take(beamg_done *self)
{
    beamg_job *job = self->first;
    if (job) {
        self->first = job->next;
    }
    return job;
}
