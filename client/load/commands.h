/* The commands. Each returns an exit status and has said on standard error why it is not 0. */
#ifndef BEAMLOAD_COMMANDS_H
#define BEAMLOAD_COMMANDS_H

#include "endpoints.h"
#include "load/link.h"
#include "load/options.h"

int load_command_run(const load_options *options);
int load_command_ping(const load_options *options);
int load_command_overhead(const load_options *options);
int load_command_capacity(const load_options *options);
int load_command_record(const load_options *options);
int load_command_replay(const load_options *options);
int load_command_preference(const load_options *options);
int load_command_restart(const load_options *options);

/* "beamload: SENTENCE" on standard error; LOAD_EXIT_BROKEN. */
int load_command_fail(const load_error *err);
/* The endpoint that was given, else that of the runtime directory. out: LOAD_ENDPOINT_BYTES. */
int load_command_endpoint(const char *given, const char *runtime_dir, beam_endpoint which,
                          char *out, load_error *err);

#endif
