#include "common/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "network/block.h"
#include "network/model.h"
#include "network/sha256.h"

static void *must(void *memory)
{
    if (!memory) {
        abort();
    }
    return memory;
}

test_model_file test_model_make(int mlp, uint64_t seed)
{
    test_random random = test_random_new(seed);
    test_model_file file = {.info = {.kind = mlp ? BEAM_MODEL_MLP : BEAM_MODEL_EQUIVARIANT,
                                     .layers = 2,
                                     .width = mlp ? 3 : 4,
                                     .stations = mlp ? 2 : 0,
                                     .antennas = mlp ? 2 : 0,
                                     .users = mlp ? 2 : 0,
                                     .targets = mlp ? 1 : 0,
                                     .sensing_rows = mlp ? 2 : 0,
                                     .name = "test \xc3\xa9\xe2\x82\xac",
                                     .creator = "test_model 1",
                                     .families = "paper, random",
                                     .command = "beamlab train --seed 7 --out x.beamnet",
                                     .data_seed = UINT64_C(0xfedcba9876543210),
                                     .steps = 12345,
                                     .samples = UINT64_C(1) << 40,
                                     .created_unix_s = 1700000000,
                                     .held_out_scenes = 100,
                                     .held_out_loss = -0.125,
                                     .held_out_ratio_median = 0.99,
                                     .held_out_ratio_p5 = 0.97}};
    const beam_net_arch arch = beam_model_arch(&file.info);
    file.info.parameters = beam_net_parameters(&arch);
    file.size = beam_model_write_size(&file.info);
    file.weights = must(calloc(file.info.parameters + 1, sizeof(float)));
    file.bytes = must(malloc(file.size + 1));
    for (size_t i = 0; i < file.info.parameters; i++) {
        file.weights[i] = (float)test_random_between(&random, -1, 1);
    }
    if (beam_model_write(&file.info, file.weights, file.bytes, file.size, NULL)) {
        abort();
    }
    return file;
}

test_model_file test_model_make_fresh(int layers, int width, const char *name, uint64_t seed)
{
    test_model_file file = {
        .info = {.kind = BEAM_MODEL_EQUIVARIANT, .layers = layers, .width = width}};
    const beam_net_arch arch = beam_model_arch(&file.info);
    snprintf(file.info.name, sizeof file.info.name, "%s", name);
    file.info.parameters = beam_net_parameters(&arch);
    file.size = beam_model_write_size(&file.info);
    file.weights = must(calloc(file.info.parameters + 1, sizeof(float)));
    file.bytes = must(malloc(file.size + 1));
    NET(block_initialise)(&arch, seed, file.weights);
    if (beam_model_write(&file.info, file.weights, file.bytes, file.size, NULL)) {
        abort();
    }
    return file;
}

void test_model_save(const test_model_file *file, const char *path)
{
    FILE *out = must(fopen(path, "wb"));
    if (fwrite(file->bytes, 1, file->size, out) != file->size || fclose(out) != 0) {
        abort();
    }
}

void test_model_file_free(test_model_file *file)
{
    free(file->bytes);
    free(file->weights);
    *file = (test_model_file){.bytes = NULL};
}

void test_model_sign(unsigned char *bytes, size_t size)
{
    for (int i = 0; i < 8; i++) {
        bytes[16 + i] = (unsigned char)((uint64_t)size >> (8 * i));
    }
    beam_sha256(bytes, size - BEAM_SHA256_BYTES, bytes + size - BEAM_SHA256_BYTES);
}
