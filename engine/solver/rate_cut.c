#include "solver/rate_cut.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

void beam_rate_cut_carve(beam_rate_cut *cut, beam_arena *arena, int users)
{
    cut->signal = BEAM_TAKE(arena, double, users);
    cut->beams = BEAM_TAKE(arena, double, users);
    cut->sensing = BEAM_TAKE(arena, double, users);
}

/* The rows of a station and what their covariance is scaled by. */
typedef struct station_rows {
    const double *first;
    int rows, beams, dp, stride;
    double scale[2]; /* of beam rows, of sensing rows */
} station_rows;

static station_rows rows_of(const beam_problem *p, const double *x, int l, const double scale[2])
{
    return (station_rows){.first = x + (size_t)p->first[l] * (size_t)p->stride,
                          .rows = p->first[l + 1] - p->first[l],
                          .beams = p->K[l],
                          .dp = p->Dp,
                          .stride = p->stride,
                          .scale = {scale[0], scale[1]}};
}

/* y = R h */
static void apply(const station_rows *s, const double *h, double *y)
{
    memset(y, 0, (size_t)s->stride * sizeof *y);
    for (int i = 0; i < s->rows; i++) {
        const double *w = s->first + (size_t)i * (size_t)s->stride;
        const double scale = s->scale[i >= s->beams];
        double re, im;
        beam_row_dot(s->dp, w, h, &re, &im);
        beam_row_axpy(s->dp, scale * re, scale * im, w, y);
    }
}

/* Powers of beam and sensing rows at channel h, unscaled; `mine` (or -1) counts apart. */
static void powers(const station_rows *s, const double *h, int mine, double *signal, double *beams,
                   double *sensing)
{
    for (int i = 0; i < s->rows; i++) {
        double re, im;
        beam_row_dot(s->dp, s->first + (size_t)i * (size_t)s->stride, h, &re, &im);
        *(i == mine ? signal : i < s->beams ? beams : sensing) += re * re + im * im;
    }
}

/* x = h + size d / |d|; false when d has no direction. */
static bool move(int stride, const double *h, const double *d, double size, double *x)
{
    const double norm2 = beam_row_norm2(stride, d);
    if (!(norm2 > 1e-280) || !(norm2 < 1e280)) {
        return false;
    }
    memcpy(x, h, (size_t)stride * sizeof *x);
    beam_row_add(stride, size / sqrt(norm2), d, x);
    return true;
}

/* A channel of the ball around h at which x^H R x is large: x <- h + eps R x/|R x| never lowers a
 * convex function (the tangent's maximum). */
static void cross_channel(const station_rows *s, const double *h, double eps, int steps, double *x)
{
    double y[2 * BEAM_MAX_ANTENNAS + 8];
    memcpy(x, h, (size_t)s->stride * sizeof *x);
    for (int k = 0; eps > 0.0 && k < steps; k++) {
        apply(s, x, y);
        if (!move(s->stride, h, y, eps, x)) {
            break; /* the estimate sits on a null of R: it is admissible itself */
        }
    }
}

/* A channel of the ball at which the own ratio |x^H v|^2 / (x^H Q' x + I) is small: first the error
 * that takes most from the signal, then steps along the gradient of Dinkelbach's function as long
 * as they lower the ratio. Everything scaled. */
static void own_channel(const station_rows *s, int mine, const double *h, double eps, double rest,
                        int steps, double *x)
{
    const double *v = s->first + (size_t)mine * (size_t)s->stride;
    const double vv = beam_row_norm2(s->stride, v);
    double d[2 * BEAM_MAX_ANTENNAS + 8], trial[2 * BEAM_MAX_ANTENNAS + 8], re, im;
    memcpy(x, h, (size_t)s->stride * sizeof *x);
    beam_row_dot(s->dp, v, h, &re, &im);
    const double size = hypot(re, im);
    if (!(eps > 0.0) || !(vv > 0.0) || !(size > 0.0)) {
        return;
    }
    const double take = fmin(eps * sqrt(vv), size) / (vv * size);
    beam_row_axpy(s->dp, -take * re, -take * im, v, x);
    double best = INFINITY;
    memcpy(trial, x, (size_t)s->stride * sizeof *x);
    for (int k = 0; k < steps; k++) {
        double signal = 0.0, beams = 0.0, sensing = 0.0;
        powers(s, trial, mine, &signal, &beams, &sensing);
        const double ratio =
            s->scale[0] * signal / (s->scale[0] * beams + s->scale[1] * sensing + rest);
        if (!(ratio < best)) {
            break;
        }
        best = ratio;
        memcpy(x, trial, (size_t)s->stride * sizeof *x);
        /* -(1 + eta) v v^H x + eta R x */
        apply(s, x, d);
        beam_row_scale(s->stride, ratio, d);
        beam_row_dot(s->dp, v, x, &re, &im);
        const double c = -(1.0 + ratio) * s->scale[0];
        beam_row_axpy(s->dp, c * re, c * im, v, d);
        if (k + 1 == steps || !move(s->stride, h, d, eps, trial)) {
            break;
        }
    }
}

void beam_rate_cut_make(beam_rate_cut *cut, const beam_problem *p, const double *x, double beams,
                        double sensing, int steps)
{
    const double scale[2] = {beams, sensing};
    double channel[2 * BEAM_MAX_ANTENNAS + 8];
    for (int u = 0; u < p->U; u++) {
        const int own = p->own[u];
        double ignored = 0.0, other_beams = 0.0, other_sensing = 0.0, signal = 0.0;
        for (int l = 0; l < p->L; l++) {
            const size_t at = (size_t)l * (size_t)p->U + (size_t)u;
            if (l == own) {
                continue;
            }
            const station_rows s = rows_of(p, x, l, scale);
            cross_channel(&s, p->h + at * (size_t)p->stride, p->eps[at], steps, channel);
            powers(&s, channel, -1, &ignored, &other_beams, &other_sensing);
        }
        const size_t at = (size_t)own * (size_t)p->U + (size_t)u;
        const int mine = p->row_of[u] - p->first[own];
        const station_rows s = rows_of(p, x, own, scale);
        own_channel(&s, mine, p->h + at * (size_t)p->stride, p->eps[at],
                    beams * other_beams + sensing * other_sensing + 1.0, steps, channel);
        powers(&s, channel, mine, &signal, &other_beams, &other_sensing);
        cut->signal[u] = signal;
        cut->beams[u] = other_beams;
        cut->sensing[u] = other_sensing;
    }
}
