/* Lanes: BEAM_LANES problems of one shape side by side, one real of each in a vector. All of the
 * network's arithmetic is written on these once and compiled twice: in float for inference and
 * training, in double (BEAM_NET_F64) for the tests that compare gradients with finite differences.
 * NET(name) carries the precision in the symbol. Internal to libbeam. */
#ifndef BEAM_LANES_H
#define BEAM_LANES_H

#include <math.h>

enum { BEAM_LANES = 8 };

#ifdef BEAM_NET_F64
typedef double beam_net_real;
#define NET(name) beam_net64_##name
#define NET_SQRT sqrt
#else
typedef float beam_net_real;
#define NET(name) beam_net_##name
#define NET_SQRT sqrtf
#endif

typedef beam_net_real beam_lane
    __attribute__((vector_size(BEAM_LANES * sizeof(beam_net_real)), may_alias));
typedef struct beam_lane_complex {
    beam_lane re, im;
} beam_lane_complex;

static inline beam_lane beam_lane_all(beam_net_real value)
{
    return value - (beam_lane){0};
}

/* Element by element; the compiler vectorises these loops. */
static inline beam_lane beam_lane_sqrt(beam_lane x)
{
    for (int i = 0; i < BEAM_LANES; i++) {
        x[i] = NET_SQRT(x[i]);
    }
    return x;
}
static inline beam_lane beam_lane_max(beam_lane x, beam_lane y)
{
    for (int i = 0; i < BEAM_LANES; i++) {
        x[i] = x[i] > y[i] ? x[i] : y[i];
    }
    return x;
}
static inline beam_lane beam_lane_min(beam_lane x, beam_lane y)
{
    for (int i = 0; i < BEAM_LANES; i++) {
        x[i] = x[i] < y[i] ? x[i] : y[i];
    }
    return x;
}

#ifdef BEAM_NET_F64
static inline beam_lane beam_lane_log(beam_lane x)
{
    for (int i = 0; i < BEAM_LANES; i++) {
        x[i] = log(x[i]);
    }
    return x;
}
static inline beam_lane beam_lane_exp(beam_lane x)
{
    for (int i = 0; i < BEAM_LANES; i++) {
        x[i] = exp(x[i]);
    }
    return x;
}
#else
typedef int beam_lane_int __attribute__((vector_size(BEAM_LANES * sizeof(int)), may_alias));

/* Natural logarithm of positive normal numbers, 2 ulp: x = 2^e m, m in [sqrt(1/2), sqrt(2)), then
 * the polynomial of Cephes' logf. Anything else gives garbage: callers keep arguments positive. */
static inline beam_lane beam_lane_log(beam_lane x)
{
    beam_lane_int bits = (beam_lane_int)x;
    const beam_lane_int exponent = (bits - 0x3f3504f3) >> 23;
    bits -= exponent << 23;
    const beam_lane f = (beam_lane)bits - 1.0f, e = __builtin_convertvector(exponent, beam_lane);
    const beam_lane z = f * f;
    beam_lane y = 7.0376836292e-2f * f - 1.1514610310e-1f;
    y = y * f + 1.1676998740e-1f;
    y = y * f - 1.2420140846e-1f;
    y = y * f + 1.4249322787e-1f;
    y = y * f - 1.6668057665e-1f;
    y = y * f + 2.0000714765e-1f;
    y = y * f - 2.4999993993e-1f;
    y = y * f + 3.3333331174e-1f;
    y = y * f * z - 2.12194440e-4f * e - 0.5f * z;
    return f + y + 0.693359375f * e;
}
/* exp, 2 ulp, arguments clamped to +-80. */
static inline beam_lane beam_lane_exp(beam_lane x)
{
    x = beam_lane_max(beam_lane_min(x, beam_lane_all(80.0f)), beam_lane_all(-80.0f));
    const beam_lane shifted = x * 1.44269504088896341f + 12582912.0f; /* rounds to an integer */
    const beam_lane n = shifted - 12582912.0f;
    const beam_lane f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    beam_lane y = 1.9875691500e-4f * f + 1.3981999507e-3f;
    y = y * f + 8.3334519073e-3f;
    y = y * f + 4.1665795894e-2f;
    y = y * f + 1.6666665459e-1f;
    y = y * f + 5.0000001201e-1f;
    y = y * f * f + f + 1.0f;
    const beam_lane_int scale = (__builtin_convertvector(n, beam_lane_int) + 127) << 23;
    return y * (beam_lane)scale;
}
#endif
static inline beam_net_real beam_lane_sum(beam_lane x)
{
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

#endif
