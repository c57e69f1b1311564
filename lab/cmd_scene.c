/* beamlab scene */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/arguments.h"
#include "lab/commands.h"
#include "lab/generate.h"

/* The file's name without folder and ".json". */
static void name_from_path(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strstr(base, ".json");
    const size_t length = dot ? (size_t)(dot - base) : strlen(base);
    snprintf(out, size, "%.*s", (int)(length < size ? length : size - 1), base);
}

static int spread_users(const lab_numbers *given, lab_generate_options *o)
{
    if (given->count != 0 && given->count != 1 && given->count != o->stations) {
        return lab_complain("--users: give one number, or one for each of the %d stations",
                            o->stations);
    }
    for (int l = 0; given->count > 0 && l < o->stations; l++) {
        const double users = given->values[given->count == 1 ? 0 : l];
        if (users != (int)users) {
            return lab_complain("--users: must be integers");
        }
        o->users[l] = (int)users;
    }
    return LAB_EXIT_OK;
}

int lab_command_scene(int argc, char **argv)
{
    lab_generate_options o = lab_generate_options_default();
    lab_numbers users = {NULL, 0}, tradeoffs = {NULL, 0};
    int seed = 0, family = 0, weights = 0, model = 0;
    double minimum = 0;
    const char *out = NULL, *given_name = NULL;
    const lab_option options[] = {
        {"out", LAB_OPTION_TEXT, &out, 0, 0, NULL, "scene file to write; - for standard output"},
        {"name", LAB_OPTION_TEXT, &given_name, 0, 0, NULL, "default: from the file's name"},
        {"seed", LAB_OPTION_INTEGER, &seed, 0, 2147483647, NULL, "default 0"},
        {"stations", LAB_OPTION_INTEGER, &o.stations, 1, BEAM_MAX_STATIONS, NULL, "default 3"},
        {"antennas", LAB_OPTION_INTEGER, &o.antennas, 1, BEAM_MAX_ANTENNAS, NULL, "default 5"},
        {"users", LAB_OPTION_NUMBERS, &users, 0, BEAM_MAX_USERS, NULL,
         "per station: one number or one per station, default 1"},
        {"targets", LAB_OPTION_INTEGER, &o.targets, 1, BEAM_MAX_TARGETS, NULL, "default 2"},
        {"eps", LAB_OPTION_NUMBER, &o.error_relative, 0, 1e3, NULL, "relative radius, default 0.1"},
        {"power-dbm", LAB_OPTION_NUMBER, &o.power_dbm, -200, 200, NULL, "default 40"},
        {"family", LAB_OPTION_CHOICE, &family, 0, 0, "paper|random",
         "targets at (2,5), (-5,1) m if two (default), or random"},
        {"weights", LAB_OPTION_CHOICE, &weights, 0, 0, "one|random", "default one"},
        {"model", LAB_OPTION_CHOICE, &model, 0, 0, "resolved|coherent|band", "default resolved"},
        {"bandwidth", LAB_OPTION_NUMBER, &o.bandwidth_hz, 0, 1e15, NULL, "Hz, for model band"},
        {"min-rate", LAB_OPTION_NUMBER, &minimum, 0, 1e6, NULL,
         "least worst-case rate of every user, bit/s/Hz"},
        {"tradeoff", LAB_OPTION_NUMBERS, &tradeoffs, 0, 1, NULL, "stored in the scene"},
    };
    const lab_command_line line = {.usage = "scene --out FILE [options]",
                                   .about = "Makes a scene; the paper's scenario by default.",
                                   .options = options,
                                   .option_count = sizeof options / sizeof options[0]};
    int words;
    char name[LAB_NAME_SIZE];
    beam_error err;
    int rc = lab_arguments_parse(&line, argc, argv, NULL, &words);
    if (!rc && !out) {
        rc = lab_complain("--out: is missing; usage: beamlab %s", line.usage);
    }
    if (!rc) {
        rc = spread_users(&users, &o);
    }
    if (!rc) {
        name_from_path(given_name ? given_name : out, name, sizeof name);
        o.name = name;
        o.seed = (uint64_t)seed;
        /* other than two targets cannot be the paper's: they are placed at random */
        o.random_targets = family == 1;
        o.random_weights = weights == 1;
        o.sensing = (beam_sensing_model)model;
        lab_scene *scene = lab_generate_scene(&o, &err);
        for (int u = 0; scene && u < scene->scene.dims.users; u++) {
            scene->scene.user_min_rate_bps_hz[u] = minimum;
        }
        if (!scene) {
            rc = lab_complain("--%s: %s", err.field, err.text);
        } else if ((tradeoffs.count > 0 &&
                    lab_scene_set_tradeoffs(scene, tradeoffs.count, tradeoffs.values, &err)) ||
                   lab_scene_write(scene, out, &err)) {
            rc = lab_complain_file(out, &err);
        }
        lab_scene_destroy(&scene);
    }
    free(users.values);
    free(tradeoffs.values);
    return rc;
}
