/* What computes in the worker. A backend is a structure of functions; `cuda` is that of the
 * installed program, `host` (the engine on the CPU) and `emulated` (the whole CUDA path but kernels
 * and driver, on the CPU) are those of the tests. One thread at a time, but for `prepare`. */
#ifndef BEAMG_BACKEND_H
#define BEAMG_BACKEND_H

#include <stddef.h>

#include "ring/pack.h"

/* A batch on its way. The worker fills in what is above the line; it is the backend's from submit
 * to collect, and so is the memory behind it. */
typedef struct beamg_job {
    beamg_request request;
    beamg_answer_out answer;
    uint64_t ticket, number, start_ns; /* the worker's own */
    uint32_t generation;               /* of the setup in force at the submit */
    uint32_t slot;
    bool busy;
    /* --- The backend's --- */
    beamg_status status; /* of the batch as a whole; BEAMG_OK: every problem is answered */
    char why[BEAMG_TEXT_BYTES];
    struct beamg_job *next;
    uint32_t open;   /* problems without an answer */
    uint32_t served; /* problems that somebody computes or computed */
} beamg_job;

typedef struct beamg_backend {
    const char *name;
    /* One line about the devices there are. 0; else a BEAMG_EXIT code, the line says why. */
    int (*probe)(char *text, size_t size);
    /* Takes the device. 0; else a BEAMG_EXIT code, `why` says why. device: its name, of
     * BEAMG_TEXT_BYTES. */
    int (*open)(void **self, const beamg_setup *setup, char *device, char *why, size_t size);
    /* Model and rooms, at the start and again later: everything that is allocated or captured is so
     * here, beside what serves and without a change to it. Another thread may submit and collect
     * meanwhile; no second prepare, and no adopt. *next goes to adopt. 0; else a BEAMG_EXIT code.
     */
    int (*prepare)(void *self, const beamg_setup *setup, void **next, char *why, size_t size);
    /* From now on batches are computed with what was prepared; those in flight keep what they were
     * submitted to, and are collected all the same. Takes `next` over, whatever it returns: 0, or a
     * BEAMG_EXIT code. */
    int (*adopt)(void *self, void *next, char *why, size_t size);
    /* Takes a batch; every problem of it is answered (beamg_answer_put) before it comes back from
     * collect, or none is and its status says why. As many as there are slots at once. */
    void (*submit)(void *self, beamg_job *job);
    /* The next batch that is done, in the order of completion; NULL: none yet. */
    beamg_job *(*collect)(void *self);
    /* Readable when there may be something to collect; collect empties it. -1: submit computes. */
    int (*done_fd)(const void *self);
    void (*close)(void *self); /* no batch is in flight */
} beamg_backend;

extern const beamg_backend beamg_backend_cuda;
extern const beamg_backend beamg_backend_host;
extern const beamg_backend beamg_backend_emulated;

/* Returns `code`. */
__attribute__((format(printf, 4, 5))) int beamg_refuse(int code, char *why, size_t size,
                                                       const char *format, ...);

/* prepare and adopt in one, while nothing else is in the backend. */
int beamg_backend_setup(const beamg_backend *backend, void *self, const beamg_setup *setup,
                        char *why, size_t size);

/* Batches that are done, first in, first out. */
typedef struct beamg_done {
    beamg_job *first, *last;
} beamg_done;
void beamg_done_put(beamg_done *self, beamg_job *job);
beamg_job *beamg_done_take(beamg_done *self);

typedef struct beamg_model {
    beam_model *model;
    void *memory;
} beamg_model;

/* The model of a setup, read and checked; free with beamg_model_free. 0; else BEAMG_EXIT_CONFIG. */
int beamg_model_read(const beamg_setup *setup, beamg_model *out, char *why, size_t size);
void beamg_model_free(beamg_model *model);

#endif
