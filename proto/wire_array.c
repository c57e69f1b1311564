/* Complex numbers as bytes, and the RCS. */
#include "wire.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double LIGHT_M_S = 299792458.0;

size_t beam_wire_element_bytes(Beamd__ElementType element)
{
    switch (element) {
    case BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32:
        return 8;
    case BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64:
        return 16;
    default:
        return 0;
    }
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
    if (each == 0 || count > capacity / each) {
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

static int array_fail(beam_wire_error *err, Beamd__ErrorCode code, const char *field,
                      const char *part, const char *sentence)
{
    char path[sizeof err->field];
    snprintf(path, sizeof path, "%s%s", field, part);
    return beam_wire_fail(err, code, path, "%s", sentence);
}

int beam_wire_array_check(const Beamd__ComplexArray *array, const char *field,
                          const uint32_t *shape, size_t dims, beam_wire_error *err)
{
    if (!array) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, "", "the array is missing");
    }
    const size_t each = beam_wire_element_bytes(array->element);
    if (each == 0) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, field, ".element",
                          "the element type is neither complex float32 nor complex float64");
    }
    if (array->order != BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST) {
        return array_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, field, ".order",
                          "the order is not ORDER_LAST_FASTEST");
    }
    char path[sizeof err->field];
    if (array->n_shape != dims) {
        snprintf(path, sizeof path, "%s.shape", field);
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, path,
                              "%zu sizes are given, %zu are expected", array->n_shape, dims);
    }
    size_t count = 1;
    for (size_t k = 0; k < dims; k++) {
        if (array->shape[k] != shape[k]) {
            snprintf(path, sizeof path, "%s.shape[%zu]", field, k);
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, path,
                                  "is %" PRIu32 ", %" PRIu32 " is expected", array->shape[k],
                                  shape[k]);
        }
        count *= shape[k];
    }
    if (array->data.len != count * each) {
        snprintf(path, sizeof path, "%s.data", field);
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, path,
                              "%zu bytes are given, %zu elements of %zu bytes are expected",
                              array->data.len, count, each);
    }
    return 0;
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
    if (beam_wire_array_check(array, field, shape, dims, err) < 0) {
        return -1;
    }
    const bool wide = array->element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
    const size_t numbers = array->data.len / (wide ? 8 : 4);
    for (size_t k = 0; k < numbers; k++) {
        const double value =
            wide ? get_f64(array->data.data + 8 * k) : get_f32(array->data.data + 4 * k);
        if (!isfinite(value)) {
            char index[64] = "";
            index_text(index, sizeof index, shape, dims, k / 2);
            return array_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, index,
                              "the value is not finite");
        }
        complex_values[k] = value;
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
