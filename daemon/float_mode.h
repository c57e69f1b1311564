/* How every thread of the daemon computes: denormals are zero. They cost 100 cycles each, and the
 * loop must judge a message by the numbers that a solver thread will see: what it admitted as
 * 1e-310 would be 0 there. */
#ifndef BEAMD_FLOAT_MODE_H
#define BEAMD_FLOAT_MODE_H

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

/* Of the calling thread; threads made later inherit it. */
static inline void beamd_float_mode_set(void)
{
#if defined(__SSE2__)
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* flush results to zero, read operands as zero */
#endif
}

#endif
