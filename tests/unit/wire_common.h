/* Golden messages and small helpers of the tests of the wire. */
#ifndef BEAM_TEST_WIRE_COMMON_H
#define BEAM_TEST_WIRE_COMMON_H

#include "wire.h"

enum { ARENA_BYTES = 2 << 20, GOLDENS = 36 };

typedef struct wire_golden {
    const char *file;
    unsigned type;
    size_t struct_bytes;
} wire_golden;
extern const wire_golden GOLDEN[GOLDENS];

typedef struct golden {
    unsigned char *bytes; /* to be freed */
    size_t size;
} golden;
golden golden_read(const char *name);

beam_wire_arena *arena_new(size_t size);
void arena_free(beam_wire_arena *arena);

/* A copy of exactly `size` bytes, so that the sanitizer sees a read beyond the end. */
unsigned char *exact_copy(const unsigned char *bytes, size_t size);

void assert_refused(const unsigned char *frame, size_t size, Beamd__ErrorCode code,
                    const char *field);

#endif
