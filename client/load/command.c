#include "load/commands.h"

#include <stdio.h>

int load_command_fail(const load_error *err)
{
    fprintf(stderr, "beamload: %s\n", err->text);
    return LOAD_EXIT_BROKEN;
}

int load_command_endpoint(const char *given, const char *runtime_dir, beam_endpoint which,
                          char *out, load_error *err)
{
    if (given) {
        const int n = snprintf(out, LOAD_ENDPOINT_BYTES, "%s", given);
        return n < LOAD_ENDPOINT_BYTES ? 0 : load_fail(err, "an endpoint is too long");
    }
    return beam_endpoint_default(out, LOAD_ENDPOINT_BYTES, runtime_dir, which) == 0
               ? 0
               : load_fail(err, "the runtime directory is too long for a Unix socket (107 bytes), "
                                "or it is in /tmp and belongs to another user");
}
