#include "network/loss_paper.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

static const unsigned repairs = BEAM_REPAIR_PSD | BEAM_REPAIR_UNITS | BEAM_REPAIR_BALL;
static const double least_preference = 1e-3;
static const double diverged = 9.0; /* |delta - phi|^2 per link; inside the balls at most 4 */
static const double slack_per_link = 1e-3; /* eps_g, in units of squared radii (MATH 5) */

void beam_net_loss_paper_carve(beam_net_loss_paper *self, beam_arena *arena, const beam_dims *dims,
                               int sensing_rows, int steps)
{
    const beam_problem sizes = {.L = dims->stations,
                                .N = dims->antennas,
                                .U = dims->users,
                                .J = dims->targets,
                                .r = sensing_rows};
    memset(self, 0, sizeof *self);
    beam_paper_space_carve(&self->space, arena, &sizes, repairs);
    beam_paper_rate_carve(&self->rate, arena, &self->space);
    beam_paper_sensing_carve(&self->sensing, arena, &self->space);
    beam_paper_lower_carve(&self->lower, arena, &self->space, steps);
    beam_paper_cuts_carve(&self->cuts, arena, 1, self->space.n);
    self->x = BEAM_TAKE(arena, double, self->space.n);
    self->gradient = BEAM_TAKE(arena, double, self->space.n);
    self->cut = BEAM_TAKE(arena, double, self->space.n);
    self->lower.ball = self->lower.normalised = true;
    self->space.p = NULL; /* until a problem is loaded */
}

void beam_net_loss_paper_load(beam_net_loss_paper *self, beam_problem *p, const beam_ideal *ideal,
                              beam_preference u)
{
    const double u1 = fmax(u.u1, least_preference), u2 = fmax(u.u2, least_preference);
    self->p = p;
    self->ideal = *ideal;
    self->w1 = u2 / (u1 + u2);
    self->w2 = u1 / (u1 + u2);
    self->space.p = p;
    beam_paper_space_load(&self->space, repairs);
    self->cuts.count = 0;
    self->uncertain = 0;
    for (int i = 0; i < p->L * p->U; i++) {
        self->uncertain += self->space.radius[i] > 0.0;
    }
    self->slack = slack_per_link * self->uncertain;
}

/* (gamma, delta) of the paper's variables. */
static void set_pair(beam_net_loss_paper *self, const double *x, const double *delta)
{
    const beam_paper_space *s = &self->space;
    const int stride = self->p->stride;
    memcpy(self->x, x, (size_t)s->gamma * sizeof *x);
    memset(self->x + s->gamma, 0, (size_t)s->delta * sizeof *x);
    for (int i = 0; i < self->p->L * self->p->U; i++) {
        if (s->unit[i] > 0.0) {
            beam_row_add(stride, 1.0 / s->unit[i], delta + (ptrdiff_t)i * stride,
                         self->x + s->gamma + (ptrdiff_t)i * stride);
        }
    }
}

double beam_net_loss_paper_cut(beam_net_loss_paper *self, const double *x, const double *delta)
{
    const beam_paper_space *s = &self->space;
    self->cuts.count = 0;
    if (self->p->U == 0) {
        return 0.0;
    }
    set_pair(self, x, delta);
    beam_paper_lower_linearise(&self->lower, &self->rate, s, self->x);
    const double gap = beam_paper_lower_gap(&self->lower, &self->rate, s, self->x, self->cut);
    if (!(gap <= diverged * self->uncertain) || !isfinite(beam_row_norm2(s->n, self->cut))) {
        return INFINITY;
    }
    if (gap > self->slack) {
        beam_paper_cuts_add(&self->cuts, self->x, gap, self->cut, self->slack);
    }
    return self->uncertain > 0 ? gap / self->uncertain : 0.0;
}

/* The value at self->x, its gradient to self->gradient. */
static beam_net_loss_result evaluate(beam_net_loss_paper *self, double sigma)
{
    const beam_paper_space *s = &self->space;
    const double ideal = self->ideal.wsr_ideal_bps_hz, least = self->ideal.crlb_min_m2;
    const double lambda1 = ideal > 0.0 ? self->w1 * 2.0 / ideal : 0.0;
    const double lambda2 = least > 0.0 ? self->w2 / least : 0.0;
    double *g = self->gradient, wsr = 0.0, crlb = 0.0;
    beam_net_loss_result r = {0};
    memset(g, 0, (size_t)s->n * sizeof *g);
    if (self->p->crlb.counted > 0 && least > 0.0) {
        crlb = beam_paper_sensing_value(&self->sensing, self->p, s, self->x, g);
        beam_row_scale(s->gamma, lambda2, g);
    }
    if (self->p->U > 0) {
        double *rate = self->cut; /* free once the plane is taken */
        wsr = beam_paper_rate_value(&self->rate, s, self->x, self->x + s->gamma);
        beam_paper_rate_gradient(&self->rate, s, self->x, rate, rate + s->gamma);
        beam_row_add(s->n, -lambda1, rate, g);
    }
    r.loss = lambda2 * crlb - lambda1 * wsr;
    r.f1 = beam_loss_rate(&self->ideal, wsr);
    r.f2 = beam_loss_sensing(&self->ideal, isfinite(crlb), crlb);
    for (int i = 0; i < self->cuts.count; i++) {
        const double mean = 1.0 / self->uncertain;
        const double over = fmax(mean * beam_paper_cut_value(&self->cuts, i, self->x), 0.0);
        r.loss += sigma * over * over;
        beam_row_add(s->n, 2.0 * sigma * over * mean, self->cuts.normal + (ptrdiff_t)i * s->n, g);
    }
    r.dark = !isfinite(r.loss) || !isfinite(beam_row_norm2(s->n, g));
    return r;
}

beam_net_loss_result beam_net_loss_paper_value(beam_net_loss_paper *self,
                                               const beam_net_loss_options *options,
                                               const double *x, const double *delta, double *x_bar,
                                               double *delta_bar)
{
    const beam_paper_space *s = &self->space;
    const int stride = self->p->stride;
    set_pair(self, x, delta);
    beam_net_loss_result r = evaluate(self, options->power_penalty);
    if (r.dark) {
        r = (beam_net_loss_result){
            .loss = BEAM_NET_LOSS_DARK, .f1 = 2.0, .f2 = BEAM_NET_LOSS_DARK, .dark = true};
        memset(self->gradient, 0, (size_t)s->n * sizeof *self->gradient);
    }
    const double norm = sqrt(beam_row_norm2(s->n, self->gradient));
    if (norm > options->clip) {
        beam_row_scale(s->n, options->clip / norm, self->gradient);
        r.clipped = true;
    }
    memcpy(x_bar, self->gradient, (size_t)s->gamma * sizeof *x_bar);
    memset(delta_bar, 0, (size_t)s->delta * sizeof *delta_bar);
    for (int i = 0; i < self->p->L * self->p->U; i++) {
        if (s->unit[i] > 0.0) {
            const ptrdiff_t at = (ptrdiff_t)i * stride;
            beam_row_add(stride, 1.0 / s->unit[i], self->gradient + s->gamma + at, delta_bar + at);
        }
    }
    return r;
}

double beam_net_loss_errors(beam_net_loss *self, const double *x, const double *delta,
                            double weight, double *delta_bar)
{
    const beam_problem *p = self->p;
    const int links = p->L * p->U, n = links * p->stride;
    double sum = 0.0;
    int uncertain = 0;
    memset(delta_bar, 0, (size_t)n * sizeof *delta_bar);
    if (p->U == 0 || !isfinite(beam_robust_exact(&self->robust, x))) {
        return 0.0;
    }
    for (int i = 0; i < links; i++) {
        uncertain += p->eps[i] > 0.0;
    }
    for (int i = 0; i < links; i++) {
        const ptrdiff_t at = (ptrdiff_t)i * p->stride;
        double *bar = delta_bar + at;
        if (p->eps[i] > 0.0) { /* delta - (worst channel - estimate) */
            const double scale = weight / (uncertain * p->eps[i] * p->eps[i]);
            beam_robust_channel(&self->robust, i / p->U, i % p->U, bar);
            beam_row_scale(p->stride, -1.0, bar);
            beam_row_add(p->stride, 1.0, p->h + at, bar);
            beam_row_add(p->stride, 1.0, delta + at, bar);
            sum += scale * beam_row_norm2(p->stride, bar);
            beam_row_scale(p->stride, 2.0 * scale, bar);
        }
    }
    if (!isfinite(sum)) {
        memset(delta_bar, 0, (size_t)n * sizeof *delta_bar);
        return 0.0;
    }
    return sum;
}
