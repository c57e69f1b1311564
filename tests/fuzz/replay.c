/* Runs a fuzz target over a corpus without a fuzzer: every file as it is, cut at every length of
 * its first 4 KiB, and with a fixed number of reproducible changes.
 *
 *     replay FILE... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX_BYTES = 1 << 20, CUTS = 4096, CHANGES = 20000, HEADER_BYTES = 88 };

static uint64_t random_state = 1;

/* xorshift64*: the same inputs on every run */
static uint64_t random_bits(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

/* A copy of exactly `size` bytes, so that a sanitizer sees a read beyond the end. */
static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = calloc(size ? size : 1, 1);
    if (!copy) {
        abort();
    }
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* payload_bytes of the header, so that changes reach the payload's decoder. */
static void fix_length(uint8_t *data, size_t size)
{
    for (size_t k = 0; k < 4 && size >= HEADER_BYTES; k++) {
        data[16 + k] = (uint8_t)((size - HEADER_BYTES) >> (8 * k));
    }
}

static void run_changed(const uint8_t *data, size_t size)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    uint8_t *changed = malloc(size + 8);
    if (!changed) {
        abort();
    }
    for (int round = 0; round < CHANGES; round++) {
        size_t now = size;
        memcpy(changed, data, size);
        for (uint64_t n = 1 + random_bits() % 4; n > 0; n--) {
            const size_t payload = now > HEADER_BYTES && random_bits() % 8 ? HEADER_BYTES : 0;
            const size_t at = payload + (size_t)(random_bits() % (now - payload));
            switch (random_bits() % 4) {
            case 0:
                changed[at] = (uint8_t)random_bits();
                break;
            case 1:
                changed[at] ^= (uint8_t)(1u << random_bits() % 8);
                break;
            case 2:
                changed[at] = telling[random_bits() % sizeof telling];
                break;
            default: /* cut */
                now = at > 1 ? at : now;
            }
        }
        if (random_bits() % 4) {
            fix_length(changed, now);
        }
        run_copy(changed, now);
    }
    free(changed);
}

int main(int argc, char **argv)
{
    static uint8_t data[FILE_MAX_BYTES];
    if (argc < 2) {
        fprintf(stderr, "usage: replay FILE...\n");
        return 2;
    }
    run_copy(data, 0);
    for (int k = 1; k < argc; k++) {
        FILE *file = fopen(argv[k], "rb");
        const size_t size = file ? fread(data, 1, sizeof data, file) : 0;
        if (file) {
            fclose(file);
        }
        if (size == 0 || size == sizeof data) {
            fprintf(stderr, "%s: empty, unreadable or over 1 MiB\n", argv[k]);
            return 1;
        }
        run_copy(data, size);
        for (size_t cut = 0; cut < size && cut < CUTS; cut++) {
            run_copy(data, cut);
        }
        run_changed(data, size);
    }
    printf("%d files replayed\n", argc - 1);
    return 0;
}
