/* beamlab model */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "lab/arguments.h"
#include "lab/commands.h"
#include "lab/model_file.h"

static void put_text(const char *name, const char *text)
{
    printf("%-12s %s\n", name, text[0] ? text : "not recorded");
}

static void put_architecture(const beam_model_info *info)
{
    printf("%-12s %s\n", "kind", beam_model_kind_text(info->kind));
    printf("%-12s %d\n", "layers", info->layers);
    printf("%-12s %d\n", "width", info->width);
    printf("%-12s %zu\n", "parameters", info->parameters);
    if (info->kind == BEAM_MODEL_MLP) {
        printf("%-12s %d stations, %d antennas, %d users, %d targets, %d sensing rows; no other\n",
               "size", info->stations, info->antennas, info->users, info->targets,
               info->sensing_rows);
    } else {
        printf("%-12s any\n", "size");
    }
}

static void put_training(const beam_model_info *info)
{
    char date[32] = "";
    const time_t created = (time_t)info->created_unix_s;
    struct tm utc;
    if (info->created_unix_s != 0 && gmtime_r(&created, &utc)) {
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &utc);
    }
    put_text("created", date);
    put_text("creator", info->creator);
    put_text("command", info->command);
    put_text("data", info->families);
    printf("%-12s %llu\n", "seed", (unsigned long long)info->data_seed);
    printf("%-12s %llu\n", "steps", (unsigned long long)info->steps);
    printf("%-12s %llu\n", "samples", (unsigned long long)info->samples);
    if (info->held_out_scenes == 0) {
        put_text("held out", "");
    } else {
        printf("%-12s %llu scenes: loss %.6g, hypervolume ratio median %.4f, 5th percentile %.4f\n",
               "held out", (unsigned long long)info->held_out_scenes, info->held_out_loss,
               info->held_out_ratio_median, info->held_out_ratio_p5);
    }
}

int lab_command_model(int argc, char **argv)
{
    const lab_command_line line = {
        .usage = "model [FILE]",
        .about = "Checks a model file, checksum and weights included, and shows what is inside; "
                 "without a file the model built into this program.",
        .most_words = 1};
    const char *path = NULL;
    int words = 0;
    const int rc = lab_arguments_parse(&line, argc, argv, &path, &words);
    if (rc) {
        return rc;
    }
    beam_error err;
    lab_model *model = lab_model_default(words ? path : NULL, &err);
    if (!model) {
        return lab_complain_file(words ? path : "built-in model", &err);
    }
    const beam_model_info *info = beam_model_info_of(model->model);
    put_text("name", info->name);
    put_text("source", model->source);
    put_architecture(info);
    put_training(info);
    put_text("sha256", info->checksum);
    lab_model_destroy(&model);
    return LAB_EXIT_OK;
}
