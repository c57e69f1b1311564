/* Complex numbers as bytes: what is sent, what is refused, and that no component grows where power
 * is at stake. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire_common.h"

static void complex_arrays_round_as_promised(void **state)
{
    (void)state;
    double in[512], out[512];
    for (int k = 0; k < 512; k++) {
        in[k] = sin(1.7 * k) * pow(10.0, k % 13 - 9);
    }
    unsigned char data[512 * 8];
    const uint32_t shape[2] = {16, 16};
    uint32_t sizes[2] = {16, 16};
    Beamd__ComplexArray a = BEAMD__COMPLEX_ARRAY__INIT;
    a.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    a.n_shape = 2;
    a.shape = sizes;
    a.data.data = data;
    for (int mode = 0; mode < 3; mode++) {
        a.element = mode == 2 ? BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64
                              : BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
        const beam_wire_rounding rounding =
            mode == 1 ? BEAM_WIRE_ROUND_TOWARD_ZERO : BEAM_WIRE_ROUND_NEAREST;
        a.data.len = beam_wire_complex_encode(a.element, rounding, in, 256, data, sizeof data);
        assert_int_equal(a.data.len, mode == 2 ? 4096 : 2048);
        assert_int_equal(beam_wire_array_decode(&a, "beams", shape, 2, out, NULL), 0);
        int grown = 0;
        for (int k = 0; k < 512; k++) {
            const double bound = mode == 2 ? 0.0 : ldexp(fabs(in[k]), mode == 1 ? -23 : -24);
            assert_true(fabs(out[k] - in[k]) <= bound);
            grown += fabs(out[k]) > fabs(in[k]);
        }
        assert_true(mode == 0 ? grown > 100 : grown == 0);
    }
    assert_int_equal(
        beam_wire_complex_encode(a.element, BEAM_WIRE_ROUND_NEAREST, in, 256, data, 4095), 0);
    assert_int_equal(
        beam_wire_complex_encode((Beamd__ElementType)9, BEAM_WIRE_ROUND_NEAREST, in, 1, data, 4096),
        0);
}

static void wrong_arrays_are_refused_by_name(void **state)
{
    (void)state;
    double values[12] = {0};
    values[7] = NAN;
    unsigned char data[96];
    const uint32_t shape[3] = {1, 2, 3};
    uint32_t sizes[3] = {1, 2, 3};
    Beamd__ComplexArray a = BEAMD__COMPLEX_ARRAY__INIT;
    beam_wire_error err;
    double out[12];
    assert_int_equal(beam_wire_array_decode(NULL, "h", shape, 3, out, &err), -1);
    assert_string_equal(err.field, "h");
    assert_int_equal(beam_wire_array_decode(&a, "h", shape, 3, out, &err), -1);
    assert_string_equal(err.field, "h.element");
    assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED);
    a.element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
    assert_int_equal(beam_wire_array_decode(&a, "h", shape, 3, out, &err), -1);
    assert_string_equal(err.field, "h.order");
    a.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    assert_int_equal(beam_wire_array_decode(&a, "h", shape, 3, out, &err), -1);
    assert_string_equal(err.field, "h.shape");
    a.n_shape = 3;
    a.shape = sizes;
    sizes[1] = 4;
    assert_int_equal(beam_wire_array_decode(&a, "h", shape, 3, out, &err), -1);
    assert_string_equal(err.field, "h.shape[1]");
    sizes[1] = 2;
    a.data.data = data;
    a.data.len =
        beam_wire_complex_encode(a.element, BEAM_WIRE_ROUND_NEAREST, values, 6, data, sizeof data) -
        1;
    assert_int_equal(beam_wire_array_decode(&a, "h", shape, 3, out, &err), -1);
    assert_string_equal(err.field, "h.data");
    a.data.len++;
    assert_int_equal(beam_wire_array_decode(&a, "h", shape, 3, out, &err), -1);
    assert_string_equal(err.field, "h[0][1][0]"); /* number 7 is the imaginary part of element 3 */
}

enum { NUMBERS = 80, FIXED_KINDS = 10 }; /* int16, then BFP of 8 to 16 bits */

static Beamd__ElementType fixed_kind(int kind, int *bits)
{
    *bits = kind == 0 ? 0 : 7 + kind;
    return kind == 0 ? BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16
                     : BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP;
}

/* An array of one dimension over the caller's bytes. */
static Beamd__ComplexArray array_of(unsigned char *data, uint32_t *count)
{
    Beamd__ComplexArray a = BEAMD__COMPLEX_ARRAY__INIT;
    a.n_shape = 1;
    a.shape = count;
    a.data.data = data;
    return a;
}

/* As few_bits of make_golden.py. */
static void few_bits(double *values, int numbers)
{
    for (int k = 0; k < numbers; k++) {
        values[k] = ldexp(7 * k * k % 601 - 300, -(k % 11));
    }
}

/* The bytes of the independent encoder are those of this one. */
static void assert_same_encoding(const Beamd__ComplexArray *theirs, beam_wire_rounding rounding)
{
    double values[120], decoded[120];
    unsigned char data[512];
    size_t count = 1;
    for (size_t k = 0; k < theirs->n_shape; k++) {
        count *= theirs->shape[k];
    }
    assert_true(count <= 60);
    few_bits(values, 2 * (int)count);
    Beamd__ComplexArray ours = BEAMD__COMPLEX_ARRAY__INIT;
    ours.n_shape = theirs->n_shape;
    ours.shape = theirs->shape;
    ours.data.data = data;
    assert_int_equal(beam_wire_array_encode(&ours, theirs->element, (int)theirs->bits, rounding,
                                            values, sizeof data),
                     0);
    assert_true(ours.scale == theirs->scale && ours.block == theirs->block);
    assert_int_equal(ours.data.len, theirs->data.len);
    assert_memory_equal(ours.data.data, theirs->data.data, theirs->data.len);
    assert_int_equal(
        beam_wire_array_decode(theirs, "a", theirs->shape, theirs->n_shape, decoded, NULL), 0);
    double most = 0;
    for (size_t k = 0; k < 2 * count; k++) {
        most = fmax(most, fabs(decoded[k] - values[k]));
    }
    assert_true(most > 0 && most < 300.0 / 100.0);
}

static void fixed_point_is_that_of_an_independent_encoder(void **state)
{
    (void)state;
    beam_wire_arena *arena = arena_new(ARENA_BYTES);
    beam_wire_header header;
    ProtobufCMessage *message;
    golden g = golden_read("csi_wideband");
    assert_int_equal(beam_wire_unpack(&header, &message, arena, g.bytes, g.size, NULL), 0);
    const Beamd__CsiUpdate *csi = (const Beamd__CsiUpdate *)message;
    assert_int_equal(csi->n_subbands, 3);
    assert_int_equal(csi->subbands[0]->channels->element,
                     BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16);
    assert_int_equal(csi->subbands[1]->channels->bits, 9);
    assert_int_equal(csi->subbands[2]->channels->bits, 16);
    for (int k = 0; k < 3; k++) {
        assert_same_encoding(csi->subbands[k]->channels, BEAM_WIRE_ROUND_NEAREST);
    }
    free(g.bytes);
    g = golden_read("solution_late");
    assert_int_equal(beam_wire_unpack(&header, &message, arena, g.bytes, g.size, NULL), 0);
    const Beamd__Solution *solution = (const Beamd__Solution *)message;
    assert_same_encoding(solution->beams, BEAM_WIRE_ROUND_TOWARD_ZERO);
    assert_same_encoding(solution->sensing, BEAM_WIRE_ROUND_TOWARD_ZERO);
    free(g.bytes);
    arena_free(arena);
}

/* The largest component that shares an exponent with number k. */
static double largest_beside(const double *values, int numbers, int k, bool blocks)
{
    const int first = blocks ? k / 24 * 24 : 0, end = blocks ? first + 24 : numbers;
    double most = 0;
    for (int i = first; i < end && i < numbers; i++) {
        most = fmax(most, fabs(values[i]));
    }
    return most;
}

static void check_rounding(const double *in, uint32_t count, int kind, beam_wire_rounding rounding)
{
    int bits;
    const Beamd__ElementType element = fixed_kind(kind, &bits);
    unsigned char data[512], again[512];
    double out[NUMBERS];
    Beamd__ComplexArray a = array_of(data, &count);
    const size_t bytes = beam_wire_complex_bytes(element, bits, count);
    assert_int_equal(beam_wire_array_encode(&a, element, bits, rounding, in, bytes), 0);
    assert_int_equal(a.data.len, bytes);
    assert_int_equal(beam_wire_array_decode(&a, "a", &count, 1, out, NULL), 0);
    const int significant = (kind == 0 ? 16 : bits) - 2;
    for (int k = 0; k < 2 * (int)count; k++) {
        const double beside = largest_beside(in, 2 * (int)count, k, kind > 0);
        const double step = fmax(ldexp(beside, -significant), a.scale);
        if (rounding == BEAM_WIRE_ROUND_TOWARD_ZERO) {
            assert_true(fabs(out[k]) <= fabs(in[k]) && out[k] * in[k] >= 0);
            assert_true(fabs(in[k]) - fabs(out[k]) <= step);
        } else {
            assert_true(fabs(out[k] - in[k]) <= 0.5 * step * (1 + 1e-6));
        }
    }
    /* encoding it again changes nothing */
    Beamd__ComplexArray b = array_of(again, &count);
    assert_int_equal(
        beam_wire_array_encode(&b, element, bits, BEAM_WIRE_ROUND_TOWARD_ZERO, out, sizeof again),
        0);
    assert_true(b.scale == a.scale && b.data.len == bytes);
    assert_memory_equal(again, data, bytes);
    /* the largest uses the whole range */
    const double range = kind == 0 ? 32767 : ldexp((1 << (bits - 1)) - 1, 15);
    assert_true(largest_beside(out, 2 * (int)count, 0, false) == range * a.scale);
}

static void fixed_point_rounds_as_promised(void **state)
{
    (void)state;
    double in[NUMBERS];
    for (int spread = 0; spread < 4; spread++) {
        for (int k = 0; k < NUMBERS; k++) { /* up to 12 orders of magnitude apart */
            in[k] = sin(1.7 * k + 0.3 + spread) * pow(10.0, -(k / 24 * 7 + k) % (4 * spread + 1));
        }
        for (int kind = 0; kind < FIXED_KINDS; kind++) {
            for (uint32_t count = 1; count <= NUMBERS / 2; count++) {
                check_rounding(in, count, kind, BEAM_WIRE_ROUND_NEAREST);
                check_rounding(in, count, kind, BEAM_WIRE_ROUND_TOWARD_ZERO);
            }
        }
    }
}

static void numbers_at_the_edges_survive_fixed_point(void **state)
{
    (void)state;
    static const double sizes[] = {0.0, 4.9e-324, DBL_MIN, 1e-300, 1.0, 1e300, DBL_MAX};
    unsigned char data[64];
    for (int kind = 0; kind < FIXED_KINDS; kind++) {
        int bits;
        const Beamd__ElementType element = fixed_kind(kind, &bits);
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            uint32_t count = 1;
            double in[2] = {sizes[k], -sizes[k]}, out[2];
            Beamd__ComplexArray a = array_of(data, &count);
            assert_int_equal(beam_wire_array_encode(&a, element, bits, BEAM_WIRE_ROUND_TOWARD_ZERO,
                                                    in, sizeof data),
                             0);
            assert_true(isfinite(a.scale) && a.scale >= DBL_MIN);
            assert_int_equal(beam_wire_array_decode(&a, "a", &count, 1, out, NULL), 0);
            assert_true(fabs(out[0]) <= in[0] && out[1] == -out[0]);
            assert_true(in[0] < 1e-299 || out[0] >= in[0] * (1 - 1e-6));
        }
        double scale = 7, bad[2] = {1.0, NAN};
        assert_int_equal(beam_wire_complex_encode_scaled(element, bits, BEAM_WIRE_ROUND_NEAREST,
                                                         bad, 1, data, sizeof data, &scale),
                         0);
        bad[1] = INFINITY;
        assert_int_equal(beam_wire_complex_encode_scaled(element, bits, BEAM_WIRE_ROUND_NEAREST,
                                                         bad, 1, data, sizeof data, &scale),
                         0);
        bad[1] = 0;
        const size_t bytes = beam_wire_complex_bytes(element, bits, 1);
        assert_int_equal(beam_wire_complex_encode_scaled(element, bits, BEAM_WIRE_ROUND_NEAREST,
                                                         bad, 1, data, bytes - 1, &scale),
                         0);
        assert_int_equal(beam_wire_complex_encode_scaled(element, bits, BEAM_WIRE_ROUND_NEAREST,
                                                         bad, 1, data, bytes, &scale),
                         bytes);
        assert_int_equal(beam_wire_complex_encode_scaled(element, bits, BEAM_WIRE_ROUND_NEAREST,
                                                         NULL, 0, data, 0, &scale),
                         0);
    }
    const Beamd__ElementType bfp = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP;
    assert_int_equal(beam_wire_complex_bytes(bfp, 9, 13), 56);
    assert_int_equal(beam_wire_complex_bytes(bfp, 9, 12), 28);
    assert_int_equal(beam_wire_complex_bytes(bfp, 7, 12), 0);
    assert_int_equal(beam_wire_complex_bytes(bfp, 17, 12), 0);
    assert_int_equal(beam_wire_complex_bytes(bfp, 9, SIZE_MAX), 0);
    assert_int_equal(
        beam_wire_complex_bytes(BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64, 0, SIZE_MAX / 8), 0);
    assert_int_equal(beam_wire_complex_bytes(BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16, 0, 5), 20);
}

/* The one in docs/wire.md. */
static void the_documented_block_is_read_as_documented(void **state)
{
    (void)state;
    unsigned char data[28] = {0x03, 0x7f, 0x80, 0x40};
    double out[24];
    uint32_t count = 12;
    Beamd__ComplexArray a = array_of(data, &count);
    a.element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP;
    a.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    a.scale = 0.5;
    a.bits = 9;
    a.block = BEAM_WIRE_BFP_BLOCK;
    a.data.len = sizeof data;
    assert_int_equal(beam_wire_array_decode(&a, "a", &count, 1, out, NULL), 0);
    assert_true(out[0] == 2040 * 0.5 && out[1] == 8 * 0.5 && out[2] == 0);
    data[1] = 0xff; /* the sign of the first mantissa: 255 becomes -1 */
    assert_int_equal(beam_wire_array_decode(&a, "a", &count, 1, out, NULL), 0);
    assert_true(out[0] == -8 * 0.5 && out[1] == 8 * 0.5);
}

static void assert_array_refused(const Beamd__ComplexArray *a, const char *field)
{
    double out[2 * 13];
    const uint32_t shape[1] = {13};
    beam_wire_error err = {0};
    assert_int_equal(beam_wire_array_decode(a, "h", shape, 1, out, &err), -1);
    assert_string_equal(err.field, field);
    assert_true(err.code != BEAMD__ERROR_CODE__ERROR_UNSPECIFIED && err.text[0] != 0);
}

static void wrong_fixed_point_is_refused_by_name(void **state)
{
    (void)state;
    double in[26];
    unsigned char data[256];
    uint32_t count = 13;
    few_bits(in, 26);
    for (int kind = 0; kind < 2; kind++) {
        int bits;
        const Beamd__ElementType element = fixed_kind(2 * kind, &bits);
        Beamd__ComplexArray a = array_of(data, &count);
        assert_int_equal(
            beam_wire_array_encode(&a, element, bits, BEAM_WIRE_ROUND_NEAREST, in, sizeof data), 0);
        const Beamd__ComplexArray good = a;
        static const double scales[] = {0.0, -1.0, INFINITY, NAN};
        for (size_t k = 0; k < 4; k++) {
            a.scale = scales[k];
            assert_array_refused(&a, "h.scale");
        }
        a.scale = good.scale;
        a.bits = kind ? 7 : 9;
        assert_array_refused(&a, "h.bits");
        a.bits = 17;
        assert_array_refused(&a, "h.bits");
        a = good;
        a.block = kind ? 24 : 12;
        assert_array_refused(&a, "h.block");
        a = good;
        a.data.len--;
        assert_array_refused(&a, "h.data");
        a = good;
        a.scale = DBL_MAX;
        assert_array_refused(&a, "h[0]");
        a = good;
        if (kind) {
            data[0] |= 0x20; /* a reserved bit beside the exponent */
            assert_array_refused(&a, "h.data");
            data[0] &= 0x0f;
            data[a.data.len - 1] ^= 1; /* a number after the thirteenth */
            assert_array_refused(&a, "h.data");
        }
        a = good;
        a.element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
        assert_array_refused(&a, "h.scale");
    }
    uint32_t huge[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    Beamd__ComplexArray a = array_of(data, huge);
    beam_wire_error err = {0};
    a.n_shape = 4;
    a.element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
    a.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    assert_int_equal(beam_wire_array_check(&a, "h", huge, 4, &err), -1);
    assert_string_equal(err.field, "h.shape");
    assert_int_equal(beam_wire_array_encode(&a, a.element, 0, BEAM_WIRE_ROUND_NEAREST, in, 256),
                     -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complex_arrays_round_as_promised),
        cmocka_unit_test(wrong_arrays_are_refused_by_name),
        cmocka_unit_test(fixed_point_is_that_of_an_independent_encoder),
        cmocka_unit_test(fixed_point_rounds_as_promised),
        cmocka_unit_test(numbers_at_the_edges_survive_fixed_point),
        cmocka_unit_test(the_documented_block_is_read_as_documented),
        cmocka_unit_test(wrong_fixed_point_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
