/* Complex arithmetic on lanes. Adjoints of a real loss f are written z_bar = df/dRe z + i df/dIm z,
 * so that c = a b gives a_bar += c_bar conj(b), and c = a conj(b) gives b_bar += conj(c_bar) a.
 * Products are added one at a time: each is one fused instruction. */
#ifndef BEAM_COMPLEX_LANE_H
#define BEAM_COMPLEX_LANE_H

#include "network/lanes.h"

typedef beam_lane_complex beam_lc;

static inline beam_lc beam_lc_scale(beam_lane s, beam_lc a)
{
    return (beam_lc){s * a.re, s * a.im};
}
static inline beam_lane beam_lc_norm2(beam_lc a)
{
    return a.re * a.re + a.im * a.im;
}
/* Re(conj(a) b) */
static inline beam_lane beam_lc_inner(beam_lc a, beam_lc b)
{
    return a.re * b.re + a.im * b.im;
}
/* sum += |a|^2, sum += Re(conj(a) b) */
static inline void beam_lc_add_norm2(beam_lane *sum, beam_lc a)
{
    *sum += a.re * a.re;
    *sum += a.im * a.im;
}
static inline void beam_lc_add_inner(beam_lane *sum, beam_lc a, beam_lc b)
{
    *sum += a.re * b.re;
    *sum += a.im * b.im;
}
/* c += a b */
static inline void beam_lc_add_mul(beam_lc *c, beam_lc a, beam_lc b)
{
    c->re += a.re * b.re;
    c->im += a.re * b.im;
    c->re -= a.im * b.im;
    c->im += a.im * b.re;
}
/* c += conj(a) b */
static inline void beam_lc_add_conj_mul(beam_lc *c, beam_lc a, beam_lc b)
{
    c->re += a.re * b.re;
    c->im += a.re * b.im;
    c->re += a.im * b.im;
    c->im -= a.im * b.re;
}
/* c -= a b */
static inline void beam_lc_sub_mul(beam_lc *c, beam_lc a, beam_lc b)
{
    c->re -= a.re * b.re;
    c->im -= a.re * b.im;
    c->re += a.im * b.im;
    c->im -= a.im * b.re;
}
/* c -= conj(a) b */
static inline void beam_lc_sub_conj_mul(beam_lc *c, beam_lc a, beam_lc b)
{
    c->re -= a.re * b.re;
    c->im -= a.re * b.im;
    c->re -= a.im * b.im;
    c->im += a.im * b.re;
}
/* c += s a */
static inline void beam_lc_add_scaled(beam_lc *c, beam_lane s, beam_lc a)
{
    c->re += s * a.re;
    c->im += s * a.im;
}

#endif
