/* Preference, scaled losses, merit (MATH 5), and the words for enumerations. */
#include <math.h>

#include "beam/quality.h"
#include "beam/solver.h"

#define HALF_PI 1.57079632679489661923
#define PREFERENCE_LEAST 1e-3 /* keeps the merit finite at the two ends */
#define AUGMENTATION 1e-3     /* prefers the dominating one of two designs with equal maximum */

beam_preference beam_preference_from_tradeoff(double tradeoff)
{
    return (beam_preference){sin(HALF_PI * tradeoff), cos(HALF_PI * tradeoff)};
}

/* NAN when the vector points nowhere: a component negative or not a number, or both zero. cos(pi/2)
 * is not exactly zero, and values that arrive in single precision may miss it on either side: -1e-6
 * is still taken as zero. */
double beam_tradeoff_from_preference(beam_preference preference)
{
    const double size = hypot(preference.u1, preference.u2);
    if (!(size > 0) || !isfinite(size)) {
        return NAN;
    }
    const double u1 = preference.u1 / size, u2 = preference.u2 / size;
    if (u1 < -1e-6 || u2 < -1e-6) {
        return NAN;
    }
    return atan2(fmax(u1, 0), fmax(u2, 0)) / HALF_PI;
}

double beam_loss_rate(const beam_ideal *ideal, double wsr_worst_case_bps_hz)
{
    if (ideal->wsr_ideal_bps_hz == 0) {
        return 0; /* nobody to serve */
    }
    return (ideal->wsr_ideal_bps_hz - wsr_worst_case_bps_hz) / (0.5 * ideal->wsr_ideal_bps_hz);
}

double beam_loss_sensing(const beam_ideal *ideal, bool crlb_valid, double crlb_m2)
{
    if (ideal->crlb_min_m2 == 0) {
        return 0; /* no design can locate a target: nothing to lose */
    }
    if (!crlb_valid) {
        return INFINITY;
    }
    return log(crlb_m2 / ideal->crlb_min_m2) / log(4.0);
}

double beam_merit(const beam_ideal *ideal, beam_preference preference, double f1, double f2)
{
    (void)ideal;
    const double m1 = f1 / fmax(preference.u1, PREFERENCE_LEAST);
    const double m2 = f2 / fmax(preference.u2, PREFERENCE_LEAST);
    /* Not fmax, which would drop a NaN; the sum carries it. */
    return (m1 > m2 ? m1 : m2) + AUGMENTATION * (f1 + f2);
}

const char *beam_target_state_text(beam_target_state state)
{
    switch (state) {
    case BEAM_TARGET_OK:
        return "target is identifiable";
    case BEAM_TARGET_UNIDENTIFIABLE_GEOMETRY:
        return "target is not identifiable because no waveform can locate it from these stations: "
               "angles alone need two or more antennas and two or more lines of sight";
    case BEAM_TARGET_UNIDENTIFIABLE_DESIGN:
        return "target is not identifiable because the design does not illuminate it well enough";
    }
    return "unknown target state";
}

const char *beam_status_text(beam_status status)
{
    switch (status) {
    case BEAM_STATUS_CONVERGED:
        return "converged";
    case BEAM_STATUS_ITERATION_LIMIT:
        return "iteration limit";
    case BEAM_STATUS_TIME_LIMIT:
        return "time limit";
    case BEAM_STATUS_NUMERIC:
        return "numeric";
    }
    return "unknown status";
}

const char *beam_method_text(beam_method method)
{
    switch (method) {
    case BEAM_METHOD_BOBLRBF:
        return "boblrbf";
    case BEAM_METHOD_WARM:
        return "warm";
    case BEAM_METHOD_CLASSICAL:
        return "classical";
    case BEAM_METHOD_PAPER:
        return "paper";
    case BEAM_METHOD_NETWORK:
        return "network";
    }
    return "unknown method";
}
