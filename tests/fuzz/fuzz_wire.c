/* Whatever the bytes are: the decoder ends, stays inside them, and a message that it accepts is
 * packed and accepted again. With clang: -fsanitize=fuzzer,address on this file; elsewhere replay.c
 * drives it. */
#include <stdlib.h>
#include <string.h>

#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 16 << 20 };

static void must(int holds)
{
    if (!holds) {
        abort(); /* what a fuzzer reports */
    }
}

/* Packing what was unpacked and unpacking that again gives the same bytes. */
static void check_round_trip(const beam_wire_header *header, const ProtobufCMessage *message,
                             beam_wire_arena *arena)
{
    const size_t capacity = beam_wire_frame_bytes(message);
    unsigned char *frame = malloc(capacity), *again = malloc(capacity);
    must(frame && again);
    size_t bytes = 0, bytes_again = 0;
    if (beam_wire_pack(header->type, header->cluster, header->sequence, message, frame, capacity,
                       &bytes, NULL) == 0) {
        beam_wire_header second;
        ProtobufCMessage *copy = NULL;
        must(bytes == capacity);
        must(beam_wire_unpack(&second, &copy, arena, frame, bytes, NULL) == 0);
        must(memcmp(&second.type, &header->type, sizeof second.type) == 0 &&
             second.sequence == header->sequence && strcmp(second.cluster, header->cluster) == 0);
        must(beam_wire_pack(second.type, second.cluster, second.sequence, copy, again, capacity,
                            &bytes_again, NULL) == 0);
        must(bytes_again == bytes && memcmp(frame, again, bytes) == 0);
    }
    free(frame);
    free(again);
}

/* The arrays of a CsiUpdate, as the daemon reads them. */
static void read_channels(const Beamd__CsiUpdate *csi)
{
    for (size_t k = 0; k < csi->n_subbands; k++) {
        const Beamd__ComplexArray *array = csi->subbands[k]->channels;
        if (!array || array->n_shape != 3 || array->data.len > BEAM_WIRE_MAX_MESSAGE_BYTES) {
            continue;
        }
        double *values = malloc(array->data.len * 2 + sizeof *values);
        must(values != NULL);
        (void)beam_wire_array_decode(array, "channels", array->shape, 3, values, NULL);
        free(values);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(64) unsigned char memory[ARENA_BYTES];
    beam_wire_arena arena;
    beam_wire_header header;
    ProtobufCMessage *message = NULL;
    beam_wire_error err = {0};
    beam_wire_arena_init(&arena, memory, sizeof memory);
    if (beam_wire_unpack(&header, &message, &arena, data, size, &err) < 0) {
        must(message == NULL && err.code != BEAMD__ERROR_CODE__ERROR_UNSPECIFIED);
        must(err.text[0] != 0 && memchr(err.field, 0, sizeof err.field) != NULL);
        return 0;
    }
    must(message->descriptor == beam_wire_descriptor(header.type));
    if (header.type == BEAM_WIRE_CSI_UPDATE) {
        read_channels((const Beamd__CsiUpdate *)message);
    }
    check_round_trip(&header, message, &arena);
    return 0;
}
