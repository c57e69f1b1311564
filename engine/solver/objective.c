#include "solver/objective.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

static const double least_preference = 1e-3;
static const double least_slack2 = 0.01; /* a start at full power keeps some slack to move */

int beam_objective_size(const beam_problem *p)
{
    return p->rows * p->stride + beam_pad4(p->L);
}

void beam_objective_carve(beam_objective *o, beam_arena *arena, const beam_dims *max, int D,
                          int sensing_max)
{
    const size_t rows = (size_t)(max->users + max->stations * sensing_max),
                 n = 2u * (size_t)max->targets;
    const size_t stride = 2u * (size_t)beam_pad4(D);
    memset(o, 0, sizeof *o);
    o->x = BEAM_TAKE(arena, double, rows *stride);
    o->gx = BEAM_TAKE(arena, double, rows *stride);
    o->proj = BEAM_TAKE(arena, beam_complex, rows * n);
    o->gram = BEAM_TAKE(arena, beam_complex, (size_t)max->stations * n * n);
    o->T = BEAM_TAKE(arena, beam_complex, (size_t)max->stations * n * n);
}

void beam_objective_set_preference(beam_objective *o, beam_preference u)
{
    const double u1 = fmax(u.u1, least_preference), u2 = fmax(u.u2, least_preference);
    o->w1 = u2 / (u1 + u2);
    o->w2 = u1 / (u1 + u2);
    o->tie = 1e-3 * u1 * u2 / (u1 + u2);
}

void beam_objective_encode(const beam_objective *o, const double *x, double *y)
{
    const beam_problem *p = o->p;
    double *slack = y + (size_t)p->rows * (size_t)p->stride;
    memcpy(y, x, (size_t)(p->rows * p->stride) * sizeof *x);
    memset(slack, 0, (size_t)beam_pad4(p->L) * sizeof *x);
    for (int l = 0; l < p->L; l++) {
        const double power = beam_problem_power(p, x, l);
        slack[l] = sqrt(fmax(1.0 - power, least_slack2));
    }
}

static double place(const beam_problem *p, const double *y, int l)
{
    const double t = y[(size_t)p->rows * (size_t)p->stride + (size_t)l];
    return 1.0 / sqrt(beam_problem_power(p, y, l) + t * t);
}

void beam_objective_decode(const beam_objective *o, const double *y, double *x)
{
    const beam_problem *p = o->p;
    for (int l = 0; l < p->L; l++) {
        const size_t at = (size_t)p->first[l] * (size_t)p->stride;
        const int n = (p->first[l + 1] - p->first[l]) * p->stride;
        memset(x + at, 0, (size_t)n * sizeof *x);
        beam_row_add(n, place(p, y, l), y + at, x + at);
    }
}

/* d/dy of x = y/sqrt(|y|^2+t^2): s (g - x <x,g>), and -s t s <x,g> for the slack (t s =
 * sqrt(1-|x|^2)). */
static void pull_back(const beam_objective *o, const double *y, const double *gx, double *g)
{
    const beam_problem *p = o->p;
    const size_t slack = (size_t)p->rows * (size_t)p->stride;
    memset(g + slack, 0, (size_t)beam_pad4(p->L) * sizeof *g);
    for (int l = 0; l < p->L; l++) {
        const size_t at = (size_t)p->first[l] * (size_t)p->stride;
        const int n = (p->first[l + 1] - p->first[l]) * p->stride;
        const double s = place(p, y, l), inner = beam_row_inner(n, o->x + at, gx + at);
        for (int i = 0; i < n; i += 4) {
            beam_v4_store(g + at + i,
                          s * (beam_v4_load(gx + at + i) - inner * beam_v4_load(o->x + at + i)));
        }
        g[slack + (size_t)l] = -s * s * y[slack + (size_t)l] * inner;
    }
}

/* Smooth maximum of a_1, a_2; writes its derivatives. */
static double smooth_max(const beam_objective *o, double *d1, double *d2)
{
    const double T = o->temperature, top = fmax(o->a1, o->a2);
    const double e1 = o->p1 * exp((o->a1 - top) / T), e2 = o->p2 * exp((o->a2 - top) / T);
    *d1 = e1 / (e1 + e2);
    *d2 = e2 / (e1 + e2);
    return top + T * log(e1 + e2);
}

/* Augmented Lagrangian of rate_u >= min_u in units of f1; adds the derivative with respect to each
 * rate. */
static double floors(const beam_objective *o, double scale, double *c)
{
    double value = 0.0;
    for (int u = 0; u < o->p->U && o->floor_penalty > 0.0; u++) {
        if (!(o->p->min_rate[u] > 0.0)) {
            continue;
        }
        const double miss = scale * (o->p->min_rate[u] - o->rb->rate[u]);
        const double pull = o->floor_multiplier[u] + o->floor_penalty * miss;
        if (pull > 0.0) {
            value += (pull * pull - o->floor_multiplier[u] * o->floor_multiplier[u]) /
                     (2.0 * o->floor_penalty);
            c[u] -= scale * pull;
        } else {
            value -= o->floor_multiplier[u] * o->floor_multiplier[u] / (2.0 * o->floor_penalty);
        }
    }
    return value;
}

static double rate_scale(const beam_objective *o)
{
    return o->ideal.wsr_ideal_bps_hz > 0.0 ? 2.0 / o->ideal.wsr_ideal_bps_hz : 0.1;
}

double beam_objective_value(void *objective, const double *y, double *g)
{
    beam_objective *o = objective;
    beam_problem *p = o->p;
    double c[BEAM_MAX_USERS], value, dwsr, dcrlb = 0.0;
    const double scale = rate_scale(o);
    beam_objective_decode(o, y, o->x);
    memset(o->gx, 0, (size_t)(p->rows * p->stride) * sizeof *o->gx);
    o->wsr = p->U > 0 ? beam_robust_smooth(o->rb, o->x, o->smoothing) : 0.0;
    o->crlb = 0.0;
    if (!isfinite(o->wsr)) {
        return NAN;
    }
    if (o->goal == BEAM_GOAL_RATE) {
        value = -scale * o->wsr;
        dwsr = -scale;
    } else {
        const int sensing = o->ideal.crlb_min_m2 > 0.0 && p->crlb.counted > 0;
        double d1, d2;
        if (sensing) {
            beam_problem_sensing_gram(p, o->x, o->proj, o->gram);
            o->crlb = beam_crlb_value(&p->crlb, o->gram, o->T, NULL);
            if (!isfinite(o->crlb)) {
                return NAN;
            }
        }
        o->f1 = p->U > 0 && o->ideal.wsr_ideal_bps_hz > 0.0 ? 2.0 - scale * o->wsr : 0.0;
        o->f2 = sensing ? log(o->crlb / o->ideal.crlb_min_m2) / log(4.0) : 0.0;
        o->a1 = o->w1 * o->f1;
        o->a2 = o->w2 * o->f2;
        value = smooth_max(o, &d1, &d2) + o->tie * (o->f1 + o->f2);
        dwsr = p->U > 0 && o->ideal.wsr_ideal_bps_hz > 0.0 ? -scale * (o->w1 * d1 + o->tie) : 0.0;
        dcrlb = sensing ? (o->w2 * d2 + o->tie) / (o->crlb * log(4.0)) : 0.0;
    }
    for (int u = 0; u < p->U; u++) {
        c[u] = dwsr * p->weight[u];
    }
    value += floors(o, scale, c);
    if (p->U > 0) {
        beam_robust_smooth_gradient(o->rb, o->x, c, o->gx);
    }
    if (dcrlb != 0.0) {
        beam_problem_sensing_pull(p, o->proj, o->T, dcrlb, o->gx);
    }
    pull_back(o, y, o->gx, g);
    return value;
}

void beam_objective_update(beam_objective *o)
{
    if (o->goal == BEAM_GOAL_TCHEBYCHEFF) {
        double d1, d2;
        (void)smooth_max(o, &d1, &d2);
        o->p1 = fmax(d1, 1e-6);
        o->p2 = fmax(d2, 1e-6);
        o->p1 /= o->p1 + o->p2;
        o->p2 = 1.0 - o->p1;
    }
    for (int u = 0; u < o->p->U && o->floor_penalty > 0.0; u++) {
        const double miss = rate_scale(o) * (o->p->min_rate[u] - o->rb->rate[u]);
        o->floor_multiplier[u] = o->p->min_rate[u] > 0.0
                                     ? fmax(0.0, o->floor_multiplier[u] + o->floor_penalty * miss)
                                     : 0.0;
    }
}
