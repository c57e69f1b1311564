/* What computes in the worker. A backend is a structure of functions; `cuda` is that of the
 * installed program, `host` (the engine on the CPU) that of the tests. One thread at a time. */
#ifndef BEAMG_BACKEND_H
#define BEAMG_BACKEND_H

#include <stddef.h>

#include "ring/pack.h"

typedef struct beamg_backend {
    const char *name;
    /* Takes the device. 0; else a BEAMG_EXIT code, `why` says why. device: its name, of
     * BEAMG_TEXT_BYTES. */
    int (*open)(void **self, const beamg_setup *setup, char *device, char *why, size_t size);
    /* Model and rooms, at the start and again later: everything that is allocated or captured is so
     * here. On failure what was there before still serves. 0; else a BEAMG_EXIT code. */
    int (*setup)(void *self, const beamg_setup *setup, char *why, size_t size);
    /* Answers every problem (beamg_answer_put), or none. `why` is filled unless BEAMG_OK. */
    beamg_status (*run)(void *self, const beamg_request *request, beamg_answer_out *answer,
                        char *why, size_t size);
    void (*close)(void *self);
} beamg_backend;

extern const beamg_backend beamg_backend_cuda;
extern const beamg_backend beamg_backend_host;

/* Returns `code`. */
__attribute__((format(printf, 4, 5))) int beamg_refuse(int code, char *why, size_t size,
                                                       const char *format, ...);

typedef struct beamg_model {
    beam_model *model;
    void *memory;
} beamg_model;

/* The model of a setup, read and checked; free with beamg_model_free. 0; else BEAMG_EXIT_CONFIG. */
int beamg_model_read(const beamg_setup *setup, beamg_model *out, char *why, size_t size);
void beamg_model_free(beamg_model *model);

#endif
