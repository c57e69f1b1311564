/* Fleet, connection and result of a command that loads one peer. */
#ifndef BEAMLOAD_SESSION_H
#define BEAMLOAD_SESSION_H

#include "load/run.h"
#include "load/verify.h"

typedef struct load_session {
    const load_options *options;
    load_context *context;
    load_socket *daemon; /* NULL: no daemon is asked */
    load_fleet *fleet;
    load_samples samples;
    load_verdict verdict;
    bool registered;
} load_session;

/* Encodes the fleet, connects and registers it when `with_daemon`. Whatever happens, close. */
int load_session_open(load_session *self, const load_options *options, bool with_daemon,
                      load_error *err);
/* A run against the daemon with samples. */
int load_session_run(load_session *self, const load_spec *spec, load_result *result,
                     load_error *err);
/* Recomputes what was kept. -1: it could not or it was wrong. */
int load_session_verify(load_session *self, load_error *err);
void load_session_close(load_session *self);

#endif
