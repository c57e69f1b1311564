/* Complex numbers as bytes, and the RCS. */
#include "wire.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "wire_fixed.h"

static const double LIGHT_M_S = 299792458.0;

size_t beam_wire_element_bytes(Beamd__ElementType element)
{
    switch (element) {
    case BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32:
        return 8;
    case BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64:
        return 16;
    case BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16:
        return 4;
    default:
        return 0;
    }
}

size_t beam_wire_complex_bytes(Beamd__ElementType element, int bits, size_t count)
{
    if (count > BEAM_WIRE_MAX_MESSAGE_BYTES) {
        return 0; /* no element takes less than a byte */
    }
    if (element != BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP) {
        return count * beam_wire_element_bytes(element);
    }
    if (bits < BEAM_WIRE_BFP_BITS_MIN || bits > BEAM_WIRE_BFP_BITS_MAX) {
        return 0;
    }
    const size_t blocks = (count + BEAM_WIRE_BFP_BLOCK - 1) / BEAM_WIRE_BFP_BLOCK;
    return blocks * (1 + 3 * (size_t)bits);
}

/* Shifts rather than memcpy: the wire is little-endian whatever the host is, and compilers fold
 * them. */
static void put_u32(unsigned char *out, uint32_t v)
{
    out[0] = (unsigned char)v;
    out[1] = (unsigned char)(v >> 8);
    out[2] = (unsigned char)(v >> 16);
    out[3] = (unsigned char)(v >> 24);
}

static uint32_t get_u32(const unsigned char *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static void put_f32(unsigned char *out, double value, beam_wire_rounding rounding)
{
    float f = (float)value;
    if (rounding == BEAM_WIRE_ROUND_TOWARD_ZERO && isfinite(value) &&
        fabs((double)f) > fabs(value)) {
        f = nextafterf(f, 0.0f);
    }
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    put_u32(out, bits);
}

static double get_f32(const unsigned char *in)
{
    const uint32_t bits = get_u32(in);
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static void put_f64(unsigned char *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(out, (uint32_t)bits);
    put_u32(out + 4, (uint32_t)(bits >> 32));
}

static double get_f64(const unsigned char *in)
{
    const uint64_t bits = (uint64_t)get_u32(in) | (uint64_t)get_u32(in + 4) << 32;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

size_t beam_wire_complex_encode(Beamd__ElementType element, beam_wire_rounding rounding,
                                const double *complex_values, size_t count, unsigned char *out,
                                size_t capacity)
{
    const size_t each = beam_wire_element_bytes(element);
    if (each < 8 || count > capacity / each) {
        return 0;
    }
    if (element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64) {
        for (size_t k = 0; k < 2 * count; k++) {
            put_f64(out + 8 * k, complex_values[k]);
        }
    } else {
        for (size_t k = 0; k < 2 * count; k++) {
            put_f32(out + 4 * k, complex_values[k], rounding);
        }
    }
    return each * count;
}

static bool is_fixed(Beamd__ElementType element)
{
    return element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16 ||
           element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP;
}

size_t beam_wire_complex_encode_scaled(Beamd__ElementType element, int bits,
                                       beam_wire_rounding rounding, const double *values,
                                       size_t count, unsigned char *out, size_t capacity,
                                       double *scale)
{
    *scale = 0.0;
    if (!is_fixed(element)) {
        return beam_wire_complex_encode(element, rounding, values, count, out, capacity);
    }
    const size_t bytes = beam_wire_complex_bytes(element, bits, count);
    const double step = bytes > 0 ? beam_wire_fixed_scale(element, bits, values, 2 * count) : 1.0;
    if (bytes > capacity || !isfinite(step)) {
        return 0;
    }
    *scale = step;
    if (element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16) {
        beam_wire_int16_encode(step, rounding, values, 2 * count, out);
    } else if (bytes > 0) {
        beam_wire_bfp_encode(step, bits, rounding, values, 2 * count, out);
    }
    return bytes;
}

int beam_wire_array_encode(Beamd__ComplexArray *array, Beamd__ElementType element, int bits,
                           beam_wire_rounding rounding, const double *complex_values,
                           size_t capacity)
{
    const bool blocks = element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP;
    size_t count = 1;
    for (size_t k = 0; k < array->n_shape; k++) {
        if (array->shape[k] && count > BEAM_WIRE_MAX_MESSAGE_BYTES / array->shape[k]) {
            return -1;
        }
        count *= array->shape[k];
    }
    const size_t bytes = beam_wire_complex_encode_scaled(
        element, bits, rounding, complex_values, count, array->data.data, capacity, &array->scale);
    if (bytes == 0 && count > 0) {
        return -1;
    }
    array->element = element;
    array->order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    array->data.len = bytes;
    array->bits = blocks ? (uint32_t)bits : 0;
    array->block = blocks ? BEAM_WIRE_BFP_BLOCK : 0;
    return 0;
}

static int array_fail(beam_wire_error *err, Beamd__ErrorCode code, const char *field,
                      const char *part, const char *sentence)
{
    char path[sizeof err->field];
    snprintf(path, sizeof path, "%s%s", field, part);
    return beam_wire_fail(err, code, path, "%s", sentence);
}

/* Fields that belong to some element types only. */
static int check_encoding(const Beamd__ComplexArray *array, const char *field, beam_wire_error *err)
{
    const bool blocks = array->element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP;
    if (!blocks && beam_wire_element_bytes(array->element) == 0) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, field, ".element",
                          "the element type is none of complex float32, float64, int16 and BFP");
    }
    if (is_fixed(array->element) ? !(isfinite(array->scale) && array->scale > 0)
                                 : array->scale != 0) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, ".scale",
                          is_fixed(array->element) ? "the scale is not a finite number above zero"
                                                   : "this element type has no scale");
    }
    if (blocks ? array->bits < BEAM_WIRE_BFP_BITS_MIN || array->bits > BEAM_WIRE_BFP_BITS_MAX
               : array->bits != 0) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, ".bits",
                          blocks ? "a mantissa has 8 to 16 bits"
                                 : "this element type has no mantissas of its own");
    }
    if (array->block != (blocks ? BEAM_WIRE_BFP_BLOCK : 0)) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, ".block",
                          blocks ? "a block is of 12 complex numbers"
                                 : "this element type has no blocks");
    }
    if (array->order != BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, field, ".order",
                          "the order is not ORDER_LAST_FASTEST");
    }
    return 0;
}

/* Complex numbers in *count. */
static int check_shape(const Beamd__ComplexArray *array, const char *field, const uint32_t *shape,
                       size_t dims, size_t *count, beam_wire_error *err)
{
    char path[sizeof err->field];
    snprintf(path, sizeof path, "%s.shape", field);
    if (array->n_shape != dims) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, path,
                              "%zu sizes are given, %zu are expected", array->n_shape, dims);
    }
    *count = 1;
    for (size_t k = 0; k < dims; k++) {
        if (array->shape[k] != shape[k]) {
            snprintf(path, sizeof path, "%s.shape[%zu]", field, k);
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, path,
                                  "is %" PRIu32 ", %" PRIu32 " is expected", array->shape[k],
                                  shape[k]);
        }
        if (shape[k] && *count > BEAM_WIRE_MAX_MESSAGE_BYTES / shape[k]) {
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, path,
                                  "so many numbers do not fit a message");
        }
        *count *= shape[k];
    }
    return 0;
}

/* array_check, with the number of complex numbers. */
static int check_all(const Beamd__ComplexArray *array, const char *field, const uint32_t *shape,
                     size_t dims, size_t *count, beam_wire_error *err)
{
    if (!array) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, "", "the array is missing");
    }
    if (check_encoding(array, field, err) < 0 ||
        check_shape(array, field, shape, dims, count, err) < 0) {
        return -1;
    }
    const size_t bytes = beam_wire_complex_bytes(array->element, (int)array->bits, *count);
    if (array->data.len != bytes) {
        char path[sizeof err->field];
        snprintf(path, sizeof path, "%s.data", field);
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, path,
                              "%zu bytes are given, %zu complex numbers in %zu bytes are expected",
                              array->data.len, *count, bytes);
    }
    return 0;
}

int beam_wire_array_check(const Beamd__ComplexArray *array, const char *field,
                          const uint32_t *shape, size_t dims, beam_wire_error *err)
{
    size_t count;
    return check_all(array, field, shape, dims, &count, err);
}

/* "[2][0][4]" of element k, so that the sender finds it. */
static void index_text(char *out, size_t size, const uint32_t *shape, size_t dims, size_t k)
{
    size_t below = 1, used = 0;
    for (size_t d = 1; d < dims; d++) {
        below *= shape[d];
    }
    for (size_t d = 0; d < dims && used < size; d++) {
        const int n = snprintf(out + used, size - used, "[%zu]", k / below);
        used += n > 0 ? (size_t)n : 0;
        k %= below;
        below /= d + 1 < dims ? shape[d + 1] : 1;
    }
}

int beam_wire_array_decode(const Beamd__ComplexArray *array, const char *field,
                           const uint32_t *shape, size_t dims, double *complex_values,
                           beam_wire_error *err)
{
    size_t count;
    if (check_all(array, field, shape, dims, &count, err) < 0) {
        return -1;
    }
    const unsigned char *data = array->data.data;
    const size_t numbers = 2 * count;
    const char *wrong = NULL;
    switch (array->element) {
    case BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64:
        for (size_t k = 0; k < numbers; k++) {
            complex_values[k] = get_f64(data + 8 * k);
        }
        break;
    case BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32:
        for (size_t k = 0; k < numbers; k++) {
            complex_values[k] = get_f32(data + 4 * k);
        }
        break;
    case BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16:
        beam_wire_int16_decode(array->scale, data, complex_values, numbers);
        break;
    default:
        wrong = beam_wire_bfp_decode(array->scale, (int)array->bits, data, complex_values, numbers);
        break;
    }
    if (wrong) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, ".data", wrong);
    }
    for (size_t k = 0; k < numbers; k++) {
        if (!isfinite(complex_values[k])) { /* in fixed point: beyond what a double holds */
            char index[64] = "";
            index_text(index, sizeof index, shape, dims, k / 2);
            return array_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, index,
                              "the value is not finite");
        }
    }
    return 0;
}

void beam_wire_reflection(double carrier_hz, double rcs_m2, double d_tx_m, double d_rx_m,
                          double *re, double *im)
{
    const double pi = 3.14159265358979323846;
    const double wavelength_m = LIGHT_M_S / carrier_hz;
    const double four_pi = 4.0 * pi;
    const double size = sqrt(wavelength_m * wavelength_m * rcs_m2 / (four_pi * four_pi * four_pi)) /
                        (d_tx_m * d_rx_m);
    const double phase = -2.0 * pi * fmod((d_tx_m + d_rx_m) / wavelength_m, 1.0);
    *re = size * cos(phase);
    *im = size * sin(phase);
}
