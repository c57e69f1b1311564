/* beamctl model, beamctl model reload. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "beamctl.h"
#include "beamctl_json.h"

static json_t *training_json(const beamc_model *m)
{
    return json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o,s:I}", "creator", beamctl_json_text(m->creator), "command",
        beamctl_json_text(m->command), "data", beamctl_json_text(m->families), "seed",
        beamctl_json_count(m->data_seed), "steps", beamctl_json_count(m->steps), "samples",
        beamctl_json_count(m->samples), "created_unix_s", (json_int_t)m->created_unix_s);
}

static json_t *size_json(const beamc_model *m)
{
    if (m->stations == 0) {
        return json_null();
    }
    return json_pack("{s:i,s:i,s:i,s:i,s:i}", "stations", (int)m->stations, "antennas",
                     (int)m->antennas, "users", (int)m->users, "targets", (int)m->targets,
                     "sensing_rows", (int)m->sensing_rows);
}

static json_t *held_out_json(const beamc_model *m)
{
    if (m->held_out_scenes == 0) {
        return json_null();
    }
    return json_pack("{s:o,s:o,s:o,s:o}", "scenes", beamctl_json_count(m->held_out_scenes), "loss",
                     beamctl_json_real(m->held_out_loss), "ratio_median",
                     beamctl_json_real(m->held_out_ratio_median), "ratio_p5",
                     beamctl_json_real(m->held_out_ratio_p5));
}

static void print_json(const beamc_model_state *state)
{
    const beamc_model *m = &state->model;
    json_t *o =
        json_pack("{s:b,s:s,s:o,s:o}", "loaded", (int)state->loaded, "method",
                  beamc_method_text(state->method), "loads", beamctl_json_count(state->loads),
                  "refused", beamctl_json_count(state->refused));
    if (state->loaded) {
        json_object_set_new(
            o, "model",
            json_pack("{s:o,s:o,s:i,s:i,s:o,s:o,s:o,s:o,s:o,s:o}", "name",
                      beamctl_json_text(m->name), "kind", beamctl_json_text(m->kind), "layers",
                      (int)m->layers, "width", (int)m->width, "parameters",
                      beamctl_json_count(m->parameters), "size", size_json(m), "sha256",
                      beamctl_json_text(m->sha256), "source", beamctl_json_text(m->source),
                      "training", training_json(m), "held_out", held_out_json(m)));
    }
    beamctl_json_print(o);
}

static void print_training(const beamc_model *m)
{
    char date[32] = "not recorded";
    const time_t created = (time_t)m->created_unix_s;
    struct tm utc;
    if (m->created_unix_s != 0 && gmtime_r(&created, &utc)) {
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &utc);
    }
    printf("  created       %s, %s\n", date, m->creator[0] ? m->creator : "by an unnamed program");
    printf("  command       %s\n", m->command[0] ? m->command : "not recorded");
    printf("  data          %s, seed %" PRIu64 "\n", m->families[0] ? m->families : "not recorded",
           m->data_seed);
    printf("  training      %" PRIu64 " steps, %" PRIu64 " samples\n", m->steps, m->samples);
    if (m->held_out_scenes > 0) {
        printf("  held out      %" PRIu64 " scenes: loss %.6g, hypervolume ratio median %.4f, 5th "
               "percentile %.4f\n",
               m->held_out_scenes, m->held_out_loss, m->held_out_ratio_median,
               m->held_out_ratio_p5);
    }
}

static void print_words(const beamc_model_state *state)
{
    const beamc_model *m = &state->model;
    if (!state->loaded) {
        printf("no model is loaded: beamd solves by %s\n", beamc_method_text(BEAMC_METHOD_BOBLRBF));
        return;
    }
    printf("model \"%s\", %s, %u layers of width %u, %" PRIu64 " parameters\n", m->name, m->kind,
           m->layers, m->width, m->parameters);
    if (m->stations > 0) {
        printf(
            "  size          %u stations x %u antennas, %u users, %u targets, %u sensing rows; no "
            "other\n",
            m->stations, m->antennas, m->users, m->targets, m->sensing_rows);
    }
    printf("  sha256        %s\n", m->sha256);
    printf("  source        %s\n", m->source[0] ? m->source : "built in");
    print_training(m);
    printf("  in use        beamd solves by %s; %" PRIu64 " models taken, %" PRIu64
           " refused since its start\n",
           beamc_method_text(state->method), state->loads, state->refused);
}

/* The daemon's directory is another: it gets a path that does not depend on it. */
static bool absolute_path(const char *file, char *out, size_t size)
{
    char here[4096];
    const int n = file[0] == '/'                      ? snprintf(out, size, "%s", file)
                  : getcwd(here, sizeof here) != NULL ? snprintf(out, size, "%s/%s", here, file)
                                                      : -1;
    return n > 0 && (size_t)n < size;
}

int beamctl_model(const beamctl_settings *s, int argc, char **argv)
{
    char path[512];
    if (argc > 1 && strcmp(argv[1], "reload") != 0) {
        return beamctl_wrong_usage("model takes nothing, or 'reload [FILE]'");
    }
    if (argc == 3 && !absolute_path(argv[2], path, sizeof path)) {
        return beamctl_wrong_usage("the path of FILE is longer than 511 bytes");
    }
    beamc_client *client;
    beamc_model_state state;
    beamc_error err;
    beamc_code code = beamc_connect(&client, &s->connection, &err);
    if (!code) {
        code = argc == 1 ? beamc_model_get(client, s->timeout_ms, &state, &err)
                         : beamc_model_reload(client, argc == 3 ? path : NULL, s->timeout_ms,
                                              &state, &err);
    }
    if (!code && s->json) {
        print_json(&state);
    } else if (!code) {
        print_words(&state);
    }
    beamc_close(&client);
    return code ? beamctl_fail(&err) : BEAMCTL_DONE;
}
