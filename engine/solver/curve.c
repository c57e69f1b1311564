#include "solver/curve.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

/* Where the errors of the cuts are chosen, and with how many steps: the bounds are sharp there. The
 * first does for most preferences. */
static const double cut_share[BEAM_CURVE_CUTS] = {0.6, 0.35, 0.95};
static const int cut_steps[BEAM_CURVE_CUTS] = {1, 2, 2};
static const int cuts_of_level[BEAM_CURVE_LEVELS] = {1, BEAM_CURVE_CUTS};

/* a^H R a under this (of N, budgets 1) counts as nearly dark: it may cross the guard of the
 * resolved model, where S jumps, between two nodes. */
static const double nearly_dark = 1e-9;

/* What rounding may cost either bound. */
static const double rate_slack = 1e-11, crlb_slack = 1e-10;

static size_t grams(const beam_dims *d)
{
    return 4u * (size_t)d->stations * (size_t)d->targets * (size_t)d->targets;
}

void beam_curve_carve(beam_curve *c, beam_arena *arena, const beam_dims *max)
{
    const size_t n = grams(max), rows = (size_t)(max->users + max->stations * 2 * max->targets);
    memset(c, 0, sizeof *c);
    for (int k = 0; k < BEAM_CURVE_CUTS; k++) {
        beam_rate_cut_carve(&c->cut[k], arena, max->users);
    }
    c->proj = BEAM_TAKE(arena, beam_complex, rows * 2u * (size_t)max->targets);
    c->sum = BEAM_TAKE(arena, beam_complex, n);
    c->beams = BEAM_TAKE(arena, beam_complex, n);
    c->sensing = BEAM_TAKE(arena, beam_complex, n);
    c->T = BEAM_TAKE(arena, beam_complex, n);
}

/* Gram matrices of the beams and of the sensing rows of a station. */
static void split_grams(beam_curve *c, const beam_problem *p, const double *unit)
{
    const int n = 2 * p->J;
    for (int l = 0; l < p->L; l++) {
        const double *tx = p->tx + (size_t)(l * n) * (size_t)p->stride;
        memset(c->beams + l * n * n, 0, (size_t)(n * n) * sizeof *c->beams);
        memset(c->sensing + l * n * n, 0, (size_t)(n * n) * sizeof *c->sensing);
        for (int i = p->first[l]; i < p->first[l + 1]; i++) {
            beam_complex *S = (i - p->first[l] < p->K[l] ? c->beams : c->sensing) + l * n * n;
            beam_complex *z = c->proj;
            for (int q = 0; q < n; q++) {
                beam_row_dot(p->Dp, tx + (size_t)q * (size_t)p->stride,
                             unit + (size_t)i * (size_t)p->stride, &z[q].re, &z[q].im);
            }
            for (int a = 0; a < n; a++) {
                for (int b = 0; b < n; b++) {
                    S[a * n + b].re += z[a].re * z[b].re + z[a].im * z[b].im;
                    S[a * n + b].im += z[a].im * z[b].re - z[a].re * z[b].im;
                }
            }
        }
    }
}

static void find_dark(beam_curve *c, const beam_problem *p)
{
    const int n = 2 * p->J;
    const double least = nearly_dark * p->N;
    c->dark[0] = c->dark[1] = c->never = false;
    for (int l = 0; l < p->L; l++) {
        for (int j = 0; j < p->J; j++) {
            const int at = l * n * n + 2 * j * (n + 1);
            const bool sensing = c->sensing[at].re > least, beams = c->beams[at].re > least;
            c->dark[0] = c->dark[0] || !sensing;
            c->dark[1] = c->dark[1] || !beams;
            c->never = c->never || (!sensing && !beams);
        }
    }
}

beam_curve_node beam_curve_at(beam_curve *c, beam_problem *p, int level, double share)
{
    beam_curve_node node = {.share = share};
    for (int u = 0; u < p->U; u++) {
        double sinr = INFINITY;
        for (int k = 0; k < cuts_of_level[level]; k++) {
            sinr = fmin(sinr, beam_rate_cut_sinr(&c->cut[k], u, share, 1.0 - share));
        }
        const double rate = log1p(sinr) * M_LOG2E * (1.0 + rate_slack);
        node.wsr += p->weight[u] * rate;
        node.shortfall += fmax(0.0, p->min_rate[u] - rate);
    }
    if (p->crlb.counted == 0) {
        return node;
    }
    const int n = 4 * p->L * p->J * p->J;
    for (int i = 0; i < n; i++) {
        c->sum[i].re = share * c->beams[i].re + (1.0 - share) * c->sensing[i].re;
        c->sum[i].im = share * c->beams[i].im + (1.0 - share) * c->sensing[i].im;
    }
    node.crlb = beam_crlb_value(&p->crlb, c->sum, c->T, NULL);
    for (int i = 0; i < n; i++) { /* tr G dR = -<T, dS> */
        node.slope -= c->T[i].re * (c->beams[i].re - c->sensing[i].re) +
                      c->T[i].im * (c->beams[i].im - c->sensing[i].im);
    }
    /* the coupled models lose too many digits for a tangent to be a bound */
    if (!isfinite(node.crlb) || c->never || p->crlb.model != BEAM_SENSING_RESOLVED ||
        (share <= 0.0 && c->dark[0]) || (share >= 1.0 && c->dark[1])) {
        node.slope = NAN;
    }
    node.crlb *= 1.0 - crlb_slack;
    return node;
}

void beam_curve_reset(beam_curve *c)
{
    c->levels = 0;
}

static void make_level(beam_curve *c, beam_problem *p, const double *unit, int level)
{
    for (int k = level > 0 ? cuts_of_level[level - 1] : 0; k < cuts_of_level[level] && p->U > 0;
         k++) {
        beam_rate_cut_make(&c->cut[k], p, unit, cut_share[k], 1.0 - cut_share[k], cut_steps[k]);
    }
    if (level == 0 && p->crlb.counted > 0) {
        split_grams(c, p, unit);
        find_dark(c, p);
    }
    for (int i = 0; i < BEAM_CURVE_NODES; i++) { /* denser towards the ends */
        const double angle = M_PI_2 * i / (BEAM_CURVE_NODES - 1);
        const double share = i == BEAM_CURVE_NODES - 1 ? 1.0 : sin(angle) * sin(angle);
        c->node[level][i] = beam_curve_at(c, p, level, share);
    }
}

const beam_curve_node *beam_curve_level(beam_curve *c, beam_problem *p, const double *unit,
                                        int level)
{
    for (; c->levels <= level; c->levels++) {
        make_level(c, p, unit, c->levels);
    }
    return c->node[level];
}

/* With tangents at both ends the least value of their maximum: at an end when they do not fall
 * towards each other, else where they meet. */
double beam_curve_least(const beam_curve_node *a, const beam_curve_node *b)
{
    const double width = b->share - a->share;
    if (a->slope >= 0.0) {
        return a->crlb;
    }
    if (b->slope <= 0.0) {
        return b->crlb;
    }
    if (!isnan(a->slope) && !isnan(b->slope)) {
        const double t = (b->crlb - a->crlb - b->slope * width) / (a->slope - b->slope);
        return a->crlb + a->slope * fmin(fmax(t, 0.0), width);
    }
    const double far = !isnan(a->slope)   ? a->crlb + a->slope * width
                       : !isnan(b->slope) ? b->crlb - b->slope * width
                                          : 0.0;
    return fmax(far, 0.0);
}
