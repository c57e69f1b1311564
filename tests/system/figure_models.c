/* Writes untrained models of both kinds for the paper's size: enough to run figure 5.
 *
 *     figure_models DIRECTORY */
#include <stdio.h>

#include "common/model.h"
#include "network/block.h"
#include "network/model.h"

#include <stdlib.h>

static int save(const char *folder, const char *name, beam_model_info *info)
{
    const beam_net_arch arch = beam_model_arch(info);
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.beamnet", folder, name);
    snprintf(info->name, sizeof info->name, "%s", name);
    info->parameters = beam_net_parameters(&arch);
    test_model_file file = {.size = beam_model_write_size(info),
                            .weights = calloc(info->parameters + 1, sizeof(float))};
    file.bytes = malloc(file.size + 1);
    if (!file.bytes || !file.weights) {
        return 1;
    }
    NET(block_initialise)(&arch, 1, file.weights);
    beam_error err;
    if (beam_model_write(info, file.weights, file.bytes, file.size, &err)) {
        fprintf(stderr, "%s: %s\n", path, err.text);
        return 1;
    }
    test_model_save(&file, path);
    test_model_file_free(&file);
    return 0;
}

int main(int argc, char **argv)
{
    beam_model_info equivariant = {.kind = BEAM_MODEL_EQUIVARIANT, .layers = 3, .width = 4},
                    mlp = {.kind = BEAM_MODEL_MLP,
                           .layers = 2,
                           .width = 4,
                           .stations = 3,
                           .antennas = 5,
                           .users = 3,
                           .targets = 2,
                           .sensing_rows = 3};
    if (argc != 2) {
        fprintf(stderr, "usage: figure_models DIRECTORY\n");
        return 2;
    }
    return save(argv[1], "figure_equivariant", &equivariant) || save(argv[1], "figure_mlp", &mlp);
}
