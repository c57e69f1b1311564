/* beamlab: the engine without the daemon. */
#include <stdio.h>
#include <string.h>

#include "lab/arguments.h"
#include "lab/commands.h"

static const struct lab_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} COMMANDS[] = {
    {"solve", lab_command_solve, "designs of a scene at given trade-offs"},
    {"front", lab_command_front, "a whole front of designs, from rate only to sensing only"},
    {"scene", lab_command_scene, "make a scene file: the paper's scenario, or other sizes"},
    {"evaluate", lab_command_evaluate, "recompute every number of a solution file"},
    {"figure", lab_command_figure,
     "figures 3 to 5 of the paper: rate against bound, convergence against time"},
    {"train", lab_command_train, "weights of the network, from generated or recorded scenes"},
    {"bench", lab_command_bench, "times, and designs under the worst admissible error"},
    {"model", lab_command_model, "what is in a model file, or in the model built in"},
    {"plot", lab_command_plot, "picture of the fronts in solution files"},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

static int print_help(void)
{
    puts("usage: beamlab COMMAND [words and options]; beamlab COMMAND --help tells more");
    for (int i = 0; i < COMMAND_COUNT; i++) {
        printf("  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].about);
    }
    return LAB_EXIT_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return lab_complain("no command; see beamlab --help");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        return print_help();
    }
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], COMMANDS[i].name) == 0) {
            int rc = COMMANDS[i].run(argc - 2, argv + 2);
            if (rc == LAB_EXIT_HELP) {
                rc = LAB_EXIT_OK;
            }
            /* a full disk or closed pipe must not look like success */
            if (fflush(stdout) != 0 && rc == LAB_EXIT_OK) {
                rc = LAB_EXIT_FAILED;
            }
            return rc;
        }
    }
    return lab_complain("unknown command \"%s\"; see beamlab --help", argv[1]);
}
