/* Writes the seeds of fuzz_model: model files of the present revision, which a file in the tree
 * would not stay.
 *
 *     model_seeds DIRECTORY */
#include <stdio.h>

#include "common/model.h"

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: model_seeds DIRECTORY\n");
        return 2;
    }
    for (int k = 0; k < 2; k++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/model_seed_%s.beamnet", argv[1], k ? "mlp" : "equivariant");
        test_model_file file = test_model_make(k, 9);
        FILE *out = fopen(path, "wb");
        const size_t written = out ? fwrite(file.bytes, 1, file.size, out) : 0;
        const int failed = !out || written != file.size || fclose(out) != 0;
        test_model_file_free(&file);
        if (failed) {
            fprintf(stderr, "%s: cannot be written\n", path);
            return 1;
        }
    }
    return 0;
}
