#include "network/loss.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

static const double least_preference = 1e-3;

beam_net_loss_options beam_net_loss_options_default(void)
{
    return (beam_net_loss_options){.kind = BEAM_NET_LOSS_TCHEBYCHEFF,
                                   .temperature = 0.03,
                                   .tie = 0.003,
                                   .smoothing = 0.03,
                                   .clip = 10.0,
                                   .errors = 0.02,
                                   .lower_steps = 20};
}

void beam_net_loss_carve(beam_net_loss *self, beam_arena *arena, const beam_dims *max)
{
    const int r = beam_design_sensing_max(max), columns = max->users + 2 * max->targets;
    const int D = columns < max->antennas ? columns : max->antennas;
    const size_t n = 2u * (size_t)max->targets, L = (size_t)max->stations;
    memset(self, 0, sizeof *self);
    self->options = beam_net_loss_options_default();
    beam_robust_carve(&self->robust, arena, max, D, r);
    self->proj = BEAM_TAKE(arena, beam_complex, ((size_t)max->users + L * (size_t)r) * n);
    self->gram = BEAM_TAKE(arena, beam_complex, L * n * n);
    self->T = BEAM_TAKE(arena, beam_complex, L * n * n);
}

void beam_net_loss_load(beam_net_loss *self, beam_problem *p, const beam_ideal *ideal,
                        beam_preference u)
{
    const double u1 = fmax(u.u1, least_preference), u2 = fmax(u.u2, least_preference);
    self->p = p;
    self->ideal = *ideal;
    self->w1 = u2 / (u1 + u2);
    self->w2 = u1 / (u1 + u2);
    beam_robust_reset(&self->robust, p);
}

static beam_net_loss_result dark(const beam_net_loss *self, double *x_bar)
{
    memset(x_bar, 0, (size_t)(self->p->rows * self->p->stride) * sizeof *x_bar);
    return (beam_net_loss_result){
        .loss = BEAM_NET_LOSS_DARK, .f1 = 2.0, .f2 = BEAM_NET_LOSS_DARK, .dark = true};
}

/* The loss as a function of WSR and CRLB, with its two derivatives. */
static double combine(const beam_net_loss *self, double wsr, double crlb, double *dwsr,
                      double *dcrlb, beam_net_loss_result *r)
{
    const beam_net_loss_options *o = &self->options;
    const double ideal = self->ideal.wsr_ideal_bps_hz, least = self->ideal.crlb_min_m2;
    const double scale = ideal > 0.0 ? 2.0 / ideal : 0.0;
    *dwsr = *dcrlb = 0.0;
    r->f1 = beam_loss_rate(&self->ideal, wsr);
    r->f2 = beam_loss_sensing(&self->ideal, true, crlb);
    if (o->kind == BEAM_NET_LOSS_PENALTY) {
        const double scale2 = least > 0.0 ? 1.0 / least : 0.0;
        *dwsr = -self->w1 * scale;
        *dcrlb = self->w2 * scale2;
        return *dwsr * wsr + *dcrlb * crlb;
    }
    const double a1 = self->w1 * r->f1, a2 = self->w2 * r->f2, top = fmax(a1, a2);
    const double e1 = exp((a1 - top) / o->temperature), e2 = exp((a2 - top) / o->temperature);
    *dwsr = -scale * (self->w1 * e1 / (e1 + e2) + o->tie);
    if (least > 0.0) {
        *dcrlb = (self->w2 * e2 / (e1 + e2) + o->tie) / (crlb * log(4.0));
    }
    return top + o->temperature * log(e1 + e2) + o->tie * (r->f1 + r->f2);
}

/* sigma sum_l max(0, p_l - 1)^2 and its gradient. */
static double power_penalty(const beam_net_loss *self, const double *x, double *x_bar)
{
    const beam_problem *p = self->p;
    double sum = 0.0;
    for (int l = 0; l < p->L && self->options.power_penalty > 0.0; l++) {
        const double over = beam_problem_power(p, x, l) - 1.0;
        if (over > 0.0) {
            const size_t at = (size_t)p->first[l] * (size_t)p->stride;
            beam_row_add((p->first[l + 1] - p->first[l]) * p->stride,
                         4.0 * self->options.power_penalty * over, x + at, x_bar + at);
            sum += self->options.power_penalty * over * over;
        }
    }
    return sum;
}

static void clip(const beam_net_loss *self, double *x_bar, beam_net_loss_result *r)
{
    const int n = self->p->rows * self->p->stride;
    const double norm = sqrt(beam_row_norm2(n, x_bar));
    if (norm > self->options.clip) {
        beam_row_scale(n, self->options.clip / norm, x_bar);
        r->clipped = true;
    }
}

beam_net_loss_result beam_net_loss_value(beam_net_loss *self, const double *x, double *x_bar)
{
    beam_problem *p = self->p;
    beam_robust *rb = &self->robust;
    const int n = p->rows * p->stride;
    const bool sensing = p->crlb.counted > 0 && self->ideal.crlb_min_m2 > 0.0;
    beam_net_loss_result r = {0};
    double wsr = 0.0, crlb = 0.0, dwsr, dcrlb, c[BEAM_MAX_USERS];
    if (!isfinite(beam_row_norm2(n, x))) {
        return dark(self, x_bar);
    }
    if (sensing) {
        beam_problem_sensing_gram(p, x, self->proj, self->gram);
        crlb = beam_crlb_value(&p->crlb, self->gram, self->T, NULL);
        if (!isfinite(crlb)) {
            return dark(self, x_bar);
        }
    }
    if (p->U > 0) {
        wsr = beam_robust_smooth(rb, x, self->options.smoothing);
        r.exact = !isfinite(wsr);
        wsr = r.exact ? beam_robust_exact(rb, x) : wsr;
    }
    memset(x_bar, 0, (size_t)n * sizeof *x_bar);
    r.loss = combine(self, wsr, crlb, &dwsr, &dcrlb, &r);
    for (int u = 0; u < p->U; u++) {
        c[u] = dwsr * p->weight[u];
    }
    if (p->U > 0) {
        (r.exact ? beam_robust_exact_gradient : beam_robust_smooth_gradient)(rb, x, c, x_bar);
    }
    if (sensing) {
        beam_problem_sensing_pull(p, self->proj, self->T, dcrlb, x_bar);
    }
    r.loss += power_penalty(self, x, x_bar);
    if (!isfinite(r.loss) || !isfinite(beam_row_norm2(n, x_bar))) {
        return dark(self, x_bar);
    }
    clip(self, x_bar, &r);
    return r;
}
