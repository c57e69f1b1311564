/* Whatever the bytes are: the reader of models ends, stays inside them, and a model that it accepts
 * is written again to the same bytes. Every input is read as it is, and once more with its length
 * and checksum put right, or nothing behind the checksum would ever be reached. */
#include <stdlib.h>
#include <string.h>

#include "common/model.h"
#include "network/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds)
{
    if (!holds) {
        abort(); /* what a fuzzer reports */
    }
}

static void read_model(const uint8_t *data, size_t size)
{
    beam_model_info info;
    beam_error err = {0};
    memset(&info, 0, sizeof info);
    if (beam_model_inspect(data, size, &info, &err)) {
        must(err.code != BEAM_OK && err.text[0] && err.field[0] && info.parameters == 0);
        return;
    }
    const size_t need = beam_model_memsize(&info);
    void *memory = aligned_alloc(64, (need + 63) & ~(size_t)63);
    uint8_t *again = malloc(size);
    beam_model *model = NULL;
    must(memory && again && need > 0 && beam_model_write_size(&info) == size);
    must(beam_model_load(&model, data, size, memory, need, &err) == BEAM_OK);
    info = *beam_model_info_of(model);
    must(beam_model_write(&info, model->theta, again, size, &err) == BEAM_OK);
    must(memcmp(again, data, size) == 0);
    free(again);
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_model(data, size);
    if (size >= 56) {
        uint8_t *copy = malloc(size);
        must(copy != NULL);
        memcpy(copy, data, size);
        test_model_sign(copy, size);
        read_model(copy, size);
        free(copy);
    }
    return 0;
}
