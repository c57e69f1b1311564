#include "wire_fixed.h"

#include <float.h>
#include <math.h>

enum {
    BLOCK_NUMBERS = 2 * BEAM_WIRE_BFP_BLOCK, /* real, imaginary */
    EXPONENT_MAX = 15,
    INT16_MOST = 32767
};

static int32_t mantissa_most(int bits)
{
    return (INT32_C(1) << (bits - 1)) - 1;
}

/* NaN where one is not finite. */
static double largest(const double *components, size_t numbers)
{
    double most = 0.0;
    for (size_t k = 0; k < numbers; k++) {
        const double size = fabs(components[k]);
        if (!isfinite(size)) {
            return NAN;
        }
        most = size > most ? size : most;
    }
    return most;
}

/* 24 significant bits, so that a mantissa times the scale is exact in double precision: every
 * receiver gets the same numbers, and encoding what was decoded gives the same bytes. Downwards:
 * the largest component is then just beyond the largest mantissa, and is cut to it. */
double beam_wire_fixed_scale(Beamd__ElementType element, int bits, const double *components,
                             size_t numbers)
{
    const double most = largest(components, numbers);
    if (!(most > 0.0)) {
        return most == 0.0 ? 1.0 : NAN;
    }
    const double range = element == BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16
                             ? INT16_MOST
                             : ldexp(mantissa_most(bits), EXPONENT_MAX);
    int exponent;
    const double fraction = frexp(most / range, &exponent);
    const double scale = ldexp(floor(ldexp(fraction, 24)), exponent - 24);
    return scale > DBL_MIN ? scale : DBL_MIN; /* never one that a flush to zero would lose */
}

/* `step` has 24 significant bits: the product with a mantissa is exact. */
static int32_t quantise(double value, double step, int32_t most, beam_wire_rounding rounding)
{
    const double size = fabs(value), quotient = size / step;
    const double whole =
        rounding == BEAM_WIRE_ROUND_TOWARD_ZERO ? floor(quotient) : floor(quotient + 0.5);
    int32_t mantissa = whole < most ? (int32_t)whole : most;
    if (rounding == BEAM_WIRE_ROUND_TOWARD_ZERO && mantissa * step > size) {
        mantissa--; /* the division was rounded up to a whole number */
    }
    return value < 0 ? -mantissa : mantissa;
}

void beam_wire_int16_encode(double scale, beam_wire_rounding rounding, const double *components,
                            size_t numbers, unsigned char *out)
{
    for (size_t k = 0; k < numbers; k++) {
        const uint32_t v = (uint32_t)quantise(components[k], scale, INT16_MOST, rounding);
        out[2 * k] = (unsigned char)v;
        out[2 * k + 1] = (unsigned char)(v >> 8);
    }
}

void beam_wire_int16_decode(double scale, const unsigned char *in, double *components,
                            size_t numbers)
{
    for (size_t k = 0; k < numbers; k++) {
        const int32_t v = in[2 * k] | in[2 * k + 1] << 8;
        components[k] = (v < 0x8000 ? v : v - 0x10000) * scale;
    }
}

/* One block: the exponent's byte, then 24 mantissas, the most significant bit first. 24 of them are
 * 3 * bits whole bytes. */
static void block_encode(double scale, int bits, beam_wire_rounding rounding,
                         const double *components, size_t numbers, unsigned char *out)
{
    const int32_t most = mantissa_most(bits);
    const double size = largest(components, numbers);
    const double beyond = most + (rounding == BEAM_WIRE_ROUND_TOWARD_ZERO ? 1.0 : 0.5);
    unsigned exponent = 0;
    double step = scale;
    while (exponent < EXPONENT_MAX && size >= step * beyond) {
        exponent++;
        step *= 2.0;
    }
    *out++ = (unsigned char)exponent;
    uint32_t held = 0;
    int held_bits = 0;
    for (size_t k = 0; k < BLOCK_NUMBERS; k++) {
        const int32_t v = k < numbers ? quantise(components[k], step, most, rounding) : 0;
        held = held << bits | ((uint32_t)v & ((UINT32_C(1) << bits) - 1));
        for (held_bits += bits; held_bits >= 8; held_bits -= 8) {
            *out++ = (unsigned char)(held >> (held_bits - 8));
        }
    }
}

void beam_wire_bfp_encode(double scale, int bits, beam_wire_rounding rounding,
                          const double *components, size_t numbers, unsigned char *out)
{
    for (size_t k = 0; k < numbers; k += BLOCK_NUMBERS) {
        const size_t left = numbers - k;
        block_encode(scale, bits, rounding, components + k,
                     left < BLOCK_NUMBERS ? left : BLOCK_NUMBERS, out);
        out += 1 + 3 * bits;
    }
}

/* False: something follows the last number. */
static bool block_decode(double scale, int bits, const unsigned char *in, double *components,
                         size_t numbers)
{
    const double step = ldexp(scale, in[0]);
    const uint32_t sign = UINT32_C(1) << (bits - 1), mask = (sign << 1) - 1;
    const unsigned char *at = in + 1;
    uint32_t held = 0;
    int held_bits = 0;
    for (size_t k = 0; k < BLOCK_NUMBERS; k++) {
        for (; held_bits < bits; held_bits += 8) {
            held = held << 8 | *at++;
        }
        held_bits -= bits;
        const uint32_t v = held >> held_bits & mask;
        if (k < numbers) {
            components[k] = ((int32_t)(v ^ sign) - (int32_t)sign) * step;
        } else if (v != 0) {
            return false;
        }
    }
    return true;
}

const char *beam_wire_bfp_decode(double scale, int bits, const unsigned char *in,
                                 double *components, size_t numbers)
{
    for (size_t k = 0; k < numbers; k += BLOCK_NUMBERS) {
        const size_t left = numbers - k;
        if (in[0] > EXPONENT_MAX) {
            return "the reserved bits beside a block's exponent are not zero";
        }
        if (!block_decode(scale, bits, in, components + k,
                          left < BLOCK_NUMBERS ? left : BLOCK_NUMBERS)) {
            return "the numbers after the last one, in its block, are not zero";
        }
        in += 1 + 3 * bits;
    }
    return NULL;
}
