/* Complex numbers in 16-bit fixed point and in block floating point. Internal to the wire; what the
 * bytes are is in docs/wire.md, "Complex numbers in few bits". */
#ifndef BEAM_WIRE_FIXED_H
#define BEAM_WIRE_FIXED_H

#include "wire.h"

/* The value of one least significant bit, so that the largest of `numbers` components uses the
 * whole range. 1 where all are zero; NaN where one is not finite. */
double beam_wire_fixed_scale(Beamd__ElementType element, int bits, const double *components,
                             size_t numbers);

/* `out` holds beam_wire_complex_bytes. scale: as above. */
void beam_wire_int16_encode(double scale, beam_wire_rounding rounding, const double *components,
                            size_t numbers, unsigned char *out);
void beam_wire_bfp_encode(double scale, int bits, beam_wire_rounding rounding,
                          const double *components, size_t numbers, unsigned char *out);

void beam_wire_int16_decode(double scale, const unsigned char *in, double *components,
                            size_t numbers);
/* NULL, or what is wrong with the bytes. */
const char *beam_wire_bfp_decode(double scale, int bits, const unsigned char *in,
                                 double *components, size_t numbers);

#endif
