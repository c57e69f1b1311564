#include "network/adam.h"

static const double pi = 3.14159265358979323846;

beam_adam_options beam_adam_options_default(void)
{
    return (beam_adam_options){.first = 0.9, .second = 0.999, .epsilon = 1e-8, .clip = 1.0};
}

double beam_adam_step(const beam_adam_options *o, size_t n, long step, double rate,
                      const beam_net_real *gradient, beam_net_real *theta, beam_net_real *m,
                      beam_net_real *v)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)gradient[i] * (double)gradient[i];
    }
    const double norm = sqrt(sum);
    if (!isfinite(norm)) {
        return norm;
    }
    const beam_net_real scale =
        (beam_net_real)(o->clip > 0.0 && norm > o->clip ? o->clip / norm : 1.0);
    const beam_net_real b1 = (beam_net_real)o->first, b2 = (beam_net_real)o->second;
    const beam_net_real c1 = (beam_net_real)(1.0 - o->first), c2 = (beam_net_real)(1.0 - o->second);
    /* theta -= rate m' / (sqrt(v') + eps), m' = m/(1 - b1^t), v' = v/(1 - b2^t) */
    const double root = sqrt(1.0 - pow(o->second, (double)step));
    const beam_net_real size = (beam_net_real)(rate * root / (1.0 - pow(o->first, (double)step)));
    const beam_net_real epsilon = (beam_net_real)(o->epsilon * root);
    for (size_t i = 0; i < n; i++) {
        const beam_net_real g = scale * gradient[i];
        m[i] = b1 * m[i] + c1 * g;
        v[i] = b2 * v[i] + c2 * g * g;
        theta[i] -= size * m[i] / (NET_SQRT(v[i]) + epsilon);
    }
    return norm;
}

double beam_adam_rate(double rate, double last, long warm_up, long steps, long step)
{
    if (step < warm_up) {
        return rate * (double)step / (double)warm_up;
    }
    if (step >= steps) {
        return last;
    }
    const double done = (double)(step - warm_up) / (double)(steps - warm_up);
    return last + 0.5 * (rate - last) * (1.0 + cos(pi * done));
}

void beam_adam_average(size_t n, long step, double decay, const beam_net_real *theta,
                       beam_net_real *mean)
{
    const double early = (double)(1 + step) / (double)(10 + step);
    const beam_net_real keep = (beam_net_real)(early < decay ? early : decay);
    for (size_t i = 0; i < n; i++) {
        mean[i] += ((beam_net_real)1 - keep) * (theta[i] - mean[i]);
    }
}
