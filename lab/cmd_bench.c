/* beamlab bench */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab/arguments.h"
#include "lab/bench.h"
#include "lab/commands.h"
#include "lab/parallel.h"
#include "lab/progress.h"

static const struct lab_section {
    const char *name;
    beam_code (*run)(lab_bench *, beam_error *);
} SECTIONS[] = {
    {"evaluate", lab_bench_evaluate}, {"solve", lab_bench_solve},
    {"track", lab_bench_track},       {"front", lab_bench_front},
    {"sizes", lab_bench_sizes},       {"golden", lab_bench_golden},
    {"repairs", lab_bench_repairs},   {"evidence", lab_bench_evidence},
    {"network", lab_bench_network},
};
enum { SECTION_COUNT = sizeof SECTIONS / sizeof SECTIONS[0] };

/* `list`: comma-separated section names, NULL: all. */
static bool listed(const char *list, const char *name)
{
    const size_t size = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == '\0')) {
            return true;
        }
    }
    return !list;
}

static int check_list(const char *list)
{
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        const size_t size = strcspn(at, ",");
        bool known = false;
        for (int i = 0; i < SECTION_COUNT; i++) {
            known |= strlen(SECTIONS[i].name) == size && memcmp(at, SECTIONS[i].name, size) == 0;
        }
        if (!known) {
            return lab_complain("--only: unknown section \"%.*s\"", (int)size, at);
        }
    }
    return LAB_EXIT_OK;
}

static int run_sections(lab_bench *bench, const char *only)
{
    for (int i = 0; i < SECTION_COUNT; i++) {
        beam_error err = {.code = BEAM_OK};
        if (listed(only, SECTIONS[i].name) && SECTIONS[i].run(bench, &err)) {
            lab_complain("bench %s: %s%s%s", SECTIONS[i].name, err.field, err.field[0] ? ": " : "",
                         err.text);
            return LAB_EXIT_FAILED;
        }
    }
    return LAB_EXIT_OK;
}

int lab_command_bench(int argc, char **argv)
{
    lab_bench bench = {.scenes = 20, .frames = 500, .points = 33};
    int seed = 1, clock = 0;
    const char *only = NULL, *json = NULL;
    const lab_option options[] = {
        {"only", LAB_OPTION_TEXT, &only, 0, 0, NULL,
         "list of evaluate,solve,track,front,sizes,golden,repairs,evidence,network"},
        {"scenes", LAB_OPTION_INTEGER, &bench.scenes, 1, 10000, NULL, "random scenes, default 20"},
        {"frames", LAB_OPTION_INTEGER, &bench.frames, 2, 1000000, NULL,
         "of each of three tracks, default 500"},
        {"points", LAB_OPTION_INTEGER, &bench.points, 2, 10000, NULL, "per front, default 33"},
        {"golden", LAB_OPTION_TEXT, &bench.golden, 0, 0, NULL,
         "folder of scenes with references (tests/golden); without it no golden, repairs"},
        {"model", LAB_OPTION_TEXT, &bench.model, 0, 0, NULL,
         "file for section network, default: the one built in"},
        {"seed", LAB_OPTION_INTEGER, &seed, 0, 2147483647, NULL, "of the first scene, default 1"},
        {"clock", LAB_OPTION_CHOICE, &clock, 0, 0, "wall|cpu",
         "default wall; cpu where others use the machine too"},
        {"json", LAB_OPTION_TEXT, &json, 0, 0, NULL, "also write the rows; - instead of text"},
    };
    const lab_command_line line = {.usage = "bench [options]",
                                   .about = "Times on one core with their spread, and what the "
                                            "methods reach under the worst admissible error.",
                                   .options = options,
                                   .option_count = sizeof options / sizeof options[0]};
    int words;
    int rc = lab_arguments_parse(&line, argc, argv, NULL, &words);
    if (!rc) {
        rc = check_list(only);
    }
    if (!rc && bench.golden && access(bench.golden, R_OK | X_OK) != 0) {
        rc = lab_complain("--golden: %s: %s", bench.golden, strerror(errno));
    }
    if (rc) {
        return rc;
    }
    char command[1024], machine[256];
    bench.first_seed = (uint64_t)seed;
    bench.quiet = json && strcmp(json, "-") == 0;
    lab_arguments_join("bench", argc, argv, command, sizeof command);
    lab_bench_machine(machine, sizeof machine);
    lab_stay_on_this_core();
    if (clock == 1) {
        lab_clock_use_cpu();
    }
    if (!bench.quiet) {
        printf("%s\n%s\n", command, machine);
    }
    rc = run_sections(&bench, only);
    beam_error err;
    if (!rc && json && lab_bench_write(&bench, command, json, &err)) {
        rc = lab_complain_file(json, &err);
    }
    lab_bench_clear(&bench);
    return rc;
}
