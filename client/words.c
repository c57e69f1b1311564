/* Names for people. */
#include "beamc/beamc.h"

#include <math.h>

static const double HALF_PI = 1.57079632679489661923;

const char *beamc_code_text(beamc_code code)
{
    switch (code) {
    case BEAMC_OK:
        return "no error";
    case BEAMC_E_ARGUMENT:
        return "wrong argument";
    case BEAMC_E_MEMORY:
        return "no memory";
    case BEAMC_E_TRANSPORT:
        return "transport failed";
    case BEAMC_E_TIMEOUT:
        return "timed out";
    case BEAMC_E_PROTOCOL:
        return "protocol violated";
    case BEAMC_E_REFUSED:
        return "refused by the daemon";
    }
    return "unknown code";
}

const char *beamc_refusal_text(beamc_refusal refusal)
{
    static const char *const names[] = {
        "none",        "malformed", "version",         "type",  "too large",  "invalid",
        "unsupported", "limit",     "unknown cluster", "stale", "superseded", "not ready",
        "busy",        "numeric",   "draining"};
    const size_t k = (size_t)refusal;
    return k < sizeof names / sizeof names[0] ? names[k] : "unknown refusal";
}

const char *beamc_target_state_text(beamc_target_state state)
{
    switch (state) {
    case BEAMC_TARGET_OK:
        return "located";
    case BEAMC_TARGET_UNIDENTIFIABLE_GEOMETRY:
        return "not identifiable: no waveform can locate it from these stations";
    case BEAMC_TARGET_UNIDENTIFIABLE_DESIGN:
        return "not identifiable: these beams do not light it";
    }
    return "unknown state";
}

const char *beamc_method_text(beamc_method method)
{
    switch (method) {
    case BEAMC_METHOD_BOBLRBF:
        return "boblrbf";
    case BEAMC_METHOD_WARM:
        return "warm start";
    case BEAMC_METHOD_CLASSICAL:
        return "classical";
    case BEAMC_METHOD_PAPER:
        return "paper";
    case BEAMC_METHOD_NETWORK:
        return "network";
    }
    return "unknown method";
}

const char *beamc_solve_status_text(beamc_solve_status status)
{
    switch (status) {
    case BEAMC_SOLVE_CONVERGED:
        return "converged";
    case BEAMC_SOLVE_ITERATION_LIMIT:
        return "iteration limit";
    case BEAMC_SOLVE_TIME_LIMIT:
        return "time limit";
    case BEAMC_SOLVE_NUMERIC:
        return "non-finite value met";
    }
    return "unknown status";
}

const char *beamc_service_text(beamc_service service)
{
    switch (service) {
    case BEAMC_SERVICE_FULL:
        return "full";
    case BEAMC_SERVICE_REDUCED:
        return "reduced";
    case BEAMC_SERVICE_CHECKED:
        return "checked";
    case BEAMC_SERVICE_HELD:
        return "held";
    }
    return "unknown service";
}

const char *beamc_backend_text(beamc_backend backend)
{
    switch (backend) {
    case BEAMC_BACKEND_NONE:
        return "none";
    case BEAMC_BACKEND_NETWORK:
        return "network";
    case BEAMC_BACKEND_SOLVER:
        return "solver";
    case BEAMC_BACKEND_CHECK:
        return "check";
    case BEAMC_BACKEND_GPU:
        return "gpu";
    }
    return "unknown backend";
}

const char *beamc_element_text(beamc_element element)
{
    switch (element) {
    case BEAMC_ELEMENT_DEFAULT:
        return "default";
    case BEAMC_ELEMENT_FLOAT32:
        return "float32";
    case BEAMC_ELEMENT_FLOAT64:
        return "float64";
    case BEAMC_ELEMENT_INT16:
        return "int16";
    case BEAMC_ELEMENT_BFP:
        return "bfp";
    }
    return "unknown element";
}

beamc_preference beamc_preference_from_tradeoff(double tradeoff)
{
    /* The ends exactly: cos(pi/2) in double is not zero. */
    if (tradeoff <= 0) {
        return (beamc_preference){0.0, 1.0, 0.0};
    }
    if (tradeoff >= 1) {
        return (beamc_preference){1.0, 0.0, 1.0};
    }
    return (beamc_preference){sin(HALF_PI * tradeoff), cos(HALF_PI * tradeoff), tradeoff};
}

beamc_preference beamc_preference_from_vector(double u1, double u2)
{
    return (beamc_preference){u1, u2, atan2(u1, u2) / HALF_PI};
}

const char *beamc_tradeoff_words(double tradeoff)
{
    if (tradeoff <= 0.02) {
        return "communication only";
    }
    if (tradeoff < 0.4) {
        return "mostly communication";
    }
    if (tradeoff <= 0.6) {
        return "balanced";
    }
    return tradeoff < 0.98 ? "mostly sensing" : "sensing only";
}
