/* beamload: open-loop load for beamd, and what can be measured with it (docs/beamload.md). */
#include <stdio.h>
#include <string.h>

#include "load/commands.h"

int main(int argc, char **argv)
{
    static const struct {
        unsigned command;
        int (*call)(const load_options *options);
    } calls[] = {
        {LOAD_RUN, load_command_run},
        {LOAD_PING, load_command_ping},
        {LOAD_OVERHEAD, load_command_overhead},
        {LOAD_CAPACITY, load_command_capacity},
        {LOAD_RECORD, load_command_record},
        {LOAD_REPLAY, load_command_replay},
        {LOAD_PREFERENCE, load_command_preference},
        {LOAD_RESTART, load_command_restart},
    };
    load_options options;
    load_error err;
    const int parsed = load_options_parse(&options, argc, argv, &err);
    if (parsed != 0) {
        if (parsed < 0) {
            fprintf(stderr, "beamload: %s\n", err.text);
        }
        return parsed < 0 ? LOAD_EXIT_USAGE : LOAD_EXIT_OK;
    }
    load_catch_signals();
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t k = 0; k < sizeof calls / sizeof calls[0]; k++) {
        if (calls[k].command == options.command) {
            return calls[k].call(&options);
        }
    }
    return LOAD_EXIT_USAGE;
}
