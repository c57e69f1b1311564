/* Adam (Kingma & Ba, ICLR 2015) over flat arrays, with bias correction and a bound on the norm of
 * the whole gradient. A function of its arguments alone, so that a resumed training is the same to
 * the bit. Internal to libbeam. */
#ifndef BEAM_NET_ADAM_H
#define BEAM_NET_ADAM_H

#include <stddef.h>

#include "network/lanes.h"

typedef struct beam_adam_options {
    double first, second; /* decay of the two moments, in [0, 1) */
    double epsilon;       /* added to the root of the second moment, > 0 */
    double clip;          /* a gradient longer than this is shortened to it; 0: never */
} beam_adam_options;
beam_adam_options beam_adam_options_default(void);

/* One step, the `step`-th (1 is the first), on n parameters: theta, the moments m and v and the
 * gradient. A gradient that is not finite changes nothing. Returns the gradient's norm before it
 * was shortened. */
double beam_adam_step(const beam_adam_options *options, size_t n, long step, double rate,
                      const beam_net_real *gradient, beam_net_real *theta, beam_net_real *m,
                      beam_net_real *v);

/* Linear from 0 to `rate` over `warm_up` steps, then half a cosine down to `last` at `steps`. step
 * counts from 1. */
double beam_adam_rate(double rate, double last, long warm_up, long steps, long step);

/* mean <- decay mean + (1 - decay) theta; while few steps are done (step counts from 1) the decay
 * is at most (1 + step)/(10 + step), so that the start is forgotten soon. */
void beam_adam_average(size_t n, long step, double decay, const beam_net_real *theta,
                       beam_net_real *mean);

#endif
