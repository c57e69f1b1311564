#include "solver/lbfgs.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

static const double armijo = 1e-4, wolfe = 0.9;
static const int max_trials = 25;

void beam_lbfgs_carve(beam_lbfgs *o, beam_arena *arena, int n)
{
    const size_t size = (size_t)n;
    memset(o, 0, sizeof *o);
    o->s = BEAM_TAKE(arena, double, BEAM_LBFGS_MEMORY *size);
    o->t = BEAM_TAKE(arena, double, BEAM_LBFGS_MEMORY *size);
    o->g = BEAM_TAKE(arena, double, size);
    o->trial = BEAM_TAKE(arena, double, size);
    o->gtrial = BEAM_TAKE(arena, double, size);
    o->d = BEAM_TAKE(arena, double, size);
}

void beam_lbfgs_reset(beam_lbfgs *o, int n)
{
    o->n = n;
    o->pairs = 0;
    o->newest = -1;
}

/* d <- H_0 d: M^-1 scaled to the curvature of the newest pair, s^T t / t^T M^-1 t. */
static void first_matrix(beam_lbfgs *o)
{
    const int n = o->n;
    const double *t = o->t + (o->pairs > 0 ? (size_t)o->newest * (size_t)n : 0);
    if (!o->precondition) {
        if (o->pairs > 0) {
            beam_row_scale(n, 1.0 / (o->rho[o->newest] * beam_row_norm2(n, t)), o->d);
        }
        return;
    }
    o->precondition(o->precondition_arg, o->d);
    if (o->pairs > 0) {
        memcpy(o->trial, t, (size_t)n * sizeof *t); /* free between two line searches */
        o->precondition(o->precondition_arg, o->trial);
        beam_row_scale(n, 1.0 / (o->rho[o->newest] * beam_row_inner(n, t, o->trial)), o->d);
    }
}

/* d = -H g by the two-loop recursion. */
static void direction(beam_lbfgs *o)
{
    const int n = o->n;
    double alpha[BEAM_LBFGS_MEMORY];
    for (int i = 0; i < n; i += 4) {
        beam_v4_store(o->d + i, -beam_v4_load(o->g + i));
    }
    for (int k = 0; k < o->pairs; k++) {
        const int at = (o->newest - k + BEAM_LBFGS_MEMORY) % BEAM_LBFGS_MEMORY;
        alpha[at] = o->rho[at] * beam_row_inner(n, o->s + (size_t)at * (size_t)n, o->d);
        beam_row_add(n, -alpha[at], o->t + (size_t)at * (size_t)n, o->d);
    }
    first_matrix(o);
    for (int k = o->pairs - 1; k >= 0; k--) {
        const int at = (o->newest - k + BEAM_LBFGS_MEMORY) % BEAM_LBFGS_MEMORY;
        const double beta = o->rho[at] * beam_row_inner(n, o->t + (size_t)at * (size_t)n, o->d);
        beam_row_add(n, alpha[at] - beta, o->s + (size_t)at * (size_t)n, o->d);
    }
}

/* Keeps s = trial - y, t = gtrial - g when the curvature is safely positive. */
static void remember(beam_lbfgs *o, const double *y)
{
    const int n = o->n, at = (o->newest + 1) % BEAM_LBFGS_MEMORY;
    double *s = o->s + (size_t)at * (size_t)n, *t = o->t + (size_t)at * (size_t)n;
    for (int i = 0; i < n; i += 4) {
        beam_v4_store(s + i, beam_v4_load(o->trial + i) - beam_v4_load(y + i));
        beam_v4_store(t + i, beam_v4_load(o->gtrial + i) - beam_v4_load(o->g + i));
    }
    const double st = beam_row_inner(n, s, t), tt = beam_row_norm2(n, t);
    if (!(st > 1e-10 * tt * 1e-6) || !(st > 0.0)) {
        return;
    }
    o->rho[at] = 1.0 / st;
    o->newest = at;
    o->pairs = o->pairs < BEAM_LBFGS_MEMORY ? o->pairs + 1 : BEAM_LBFGS_MEMORY;
}

/* Step along d that satisfies Armijo and the weak Wolfe condition; bisection with quadratic
 * interpolation. Returns the new value in *value, 0 if no step was found. */
static int line_search(beam_lbfgs *o, const double *y, beam_lbfgs_function *f, void *arg,
                       double first, double *value)
{
    const int n = o->n;
    const double slope = beam_row_inner(n, o->g, o->d), f0 = *value;
    double low = 0.0, high = INFINITY, step = first, flow = f0, slow = slope;
    if (!(slope < 0.0)) {
        return 0;
    }
    for (int k = 0; k < max_trials; k++) {
        memcpy(o->trial, y, (size_t)n * sizeof *y);
        beam_row_add(n, step, o->d, o->trial);
        const double v = f(arg, o->trial, o->gtrial);
        o->evaluations++;
        const double s = isfinite(v) ? beam_row_inner(n, o->gtrial, o->d) : 0.0;
        if (!isfinite(v) || !isfinite(s) || v > f0 + armijo * step * slope) {
            high = step;
            double next = 0.5 * (low + high);
            if (isfinite(v)) { /* minimiser of the parabola through flow, its slope and v */
                const double w = step - low, q = v - flow - slow * w;
                const double t = q > 0.0 ? low - 0.5 * slow * w * w / q : next;
                next = t > low + 0.1 * w && t < low + 0.7 * w
                           ? t
                           : (t <= low + 0.1 * w ? low + 0.1 * w : next);
            } else {
                next = low + 0.2 * (step - low);
            }
            step = next;
        } else if (s < wolfe * slope) {
            low = step;
            flow = v;
            slow = s;
            step = isinf(high) ? 2.5 * step : 0.5 * (low + high);
        } else {
            *value = v;
            return 1;
        }
        if (step < 1e-16 || (isfinite(high) && high - low < 1e-12 * high)) {
            break;
        }
    }
    if (low > 0.0) { /* descent without curvature: still the best point seen */
        memcpy(o->trial, y, (size_t)n * sizeof *y);
        beam_row_add(n, low, o->d, o->trial);
        *value = f(arg, o->trial, o->gtrial);
        o->evaluations++;
        return isfinite(*value);
    }
    return 0;
}

beam_lbfgs_end beam_lbfgs_minimise(beam_lbfgs *o, double *y, beam_lbfgs_function *f, void *arg,
                                   int max_iterations, double tolerance, double *value)
{
    const size_t bytes = (size_t)o->n * sizeof *y;
    double v = f(arg, y, o->g), decrease = INFINITY;
    o->evaluations++;
    *value = v;
    if (!isfinite(v)) {
        return BEAM_LBFGS_NUMERIC;
    }
    for (int it = 0; it < max_iterations; it++) {
        if (o->stop && o->stop(o->stop_arg)) {
            return BEAM_LBFGS_STOPPED;
        }
        direction(o);
        /* without a preconditioner and pairs d is the gradient */
        const double before = v, size = sqrt(beam_row_norm2(o->n, o->d));
        const double first = o->pairs > 0 ? 1.0 : 0.1 / (size > 1e-300 ? size : 1.0);
        if (!line_search(o, y, f, arg, first, &v)) {
            if (o->pairs == 0) {
                *value = before;
                return BEAM_LBFGS_CONVERGED;
            }
            beam_lbfgs_reset(o, o->n); /* stale curvature: once more along the gradient */
            v = before;
            continue;
        }
        remember(o, y);
        memcpy(y, o->trial, bytes);
        memcpy(o->g, o->gtrial, bytes);
        o->iterations++;
        *value = v;
        const double scale = fabs(v) > 1.0 ? fabs(v) : 1.0;
        decrease =
            isinf(decrease) ? (before - v) / scale : 0.7 * decrease + 0.3 * (before - v) / scale;
        if (it >= 2 && decrease < tolerance) {
            return BEAM_LBFGS_CONVERGED;
        }
    }
    return BEAM_LBFGS_LIMIT;
}
