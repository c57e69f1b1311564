/* Whatever the bytes are: the decoder ends, stays inside them, and a message that it accepts is
 * packed and accepted again. With clang: -fsanitize=fuzzer,address on this file; elsewhere replay.c
 * drives it. */
#include <math.h>
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

/* Any numbers fit any element type, and toward zero none grows. */
static void encode_again(const Beamd__ComplexArray *array, const double *values, size_t count)
{
    Beamd__ComplexArray again = *array;
    const size_t bytes = beam_wire_complex_bytes(array->element, (int)array->bits, count);
    double *decoded = malloc((2 * count + 1) * sizeof *decoded);
    again.data.data = malloc(bytes + 1);
    must(decoded && again.data.data);
    must(beam_wire_array_encode(&again, array->element, (int)array->bits,
                                BEAM_WIRE_ROUND_TOWARD_ZERO, values, bytes) == 0);
    must(beam_wire_array_decode(&again, "a", array->shape, array->n_shape, decoded, NULL) == 0);
    for (size_t k = 0; k < 2 * count; k++) {
        must(fabs(decoded[k]) <= fabs(values[k]));
    }
    free(again.data.data);
    free(decoded);
}

/* An array as the daemon and the client read it, into room for just what its shape says. What is
 * accepted is finite, and is encoded again. */
static void read_array(const Beamd__ComplexArray *array)
{
    beam_wire_error err = {0};
    size_t count = 1;
    if (!array || beam_wire_array_check(array, "a", array->shape, array->n_shape, &err) < 0) {
        must(!array || err.text[0] != 0);
        return;
    }
    for (size_t k = 0; k < array->n_shape; k++) {
        count *= array->shape[k];
    }
    must(count <= BEAM_WIRE_MAX_MESSAGE_BYTES &&
         array->data.len == beam_wire_complex_bytes(array->element, (int)array->bits, count));
    double *values = malloc((2 * count + 1) * sizeof *values);
    must(values != NULL);
    if (beam_wire_array_decode(array, "a", array->shape, array->n_shape, values, &err) == 0) {
        for (size_t k = 0; k < 2 * count; k++) {
            must(isfinite(values[k]));
        }
        encode_again(array, values, count);
    }
    free(values);
}

static void read_arrays(unsigned type, const ProtobufCMessage *message)
{
    if (type == BEAM_WIRE_CSI_UPDATE) {
        const Beamd__CsiUpdate *csi = (const Beamd__CsiUpdate *)message;
        for (size_t k = 0; k < csi->n_subbands; k++) {
            read_array(csi->subbands[k]->channels);
        }
    } else if (type == BEAM_WIRE_SOLUTION) {
        const Beamd__Solution *solution = (const Beamd__Solution *)message;
        read_array(solution->beams);
        read_array(solution->sensing);
    } else if (type == BEAM_WIRE_SOLUTION_SET) {
        const Beamd__SolutionSet *set = (const Beamd__SolutionSet *)message;
        for (size_t k = 0; k < set->n_solutions; k++) {
            read_array(set->solutions[k]->beams);
            read_array(set->solutions[k]->sensing);
        }
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
    read_arrays(header.type, message);
    check_round_trip(&header, message, &arena);
    return 0;
}
