/* Two bare echoes beside each other: one with one thread, one with the daemon's two. */
#ifndef BEAMLOAD_PINGS_H
#define BEAMLOAD_PINGS_H

#include "load/echo.h"
#include "load/options.h"

enum { LOAD_PINGS = 2, LOAD_PING_DIRECT = 0, LOAD_PING_WORKER = 1 };

typedef struct load_pings {
    load_context *context; /* its own: the daemon's keys are not for it */
    load_echo *echo[LOAD_PINGS];
    load_socket *socket[LOAD_PINGS];
} load_pings;

extern const char *const LOAD_PING_NAMES[LOAD_PINGS];

/* Forks: before any ZeroMQ context is there. */
int load_pings_start(load_pings *self, const load_options *options, load_error *err);
int load_pings_connect(load_pings *self, load_error *err);
int load_pings_set_bytes(load_pings *self, size_t answer_bytes, load_error *err);
/* After load_pings_start, whatever it returned. */
void load_pings_close(load_pings *self);

#endif
