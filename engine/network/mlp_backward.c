/* The adjoint of a layer of mlp.c, from what forward kept. */
#include <string.h>

#include "network/block_internal.h"
#include "network/column.h"
#include "network/dense.h"
#include "network/mlp.h"

/* Through the scaling of x into the unit ball and the penalty sigma max(0, length2 - 1)^2 on x
 * before it, in place. x: after scaling. */
static void scaling_adjoint(int count, beam_lane length2, beam_lane sigma, const beam_lc *x,
                            beam_lc *bar)
{
    const beam_lane length = beam_lane_sqrt(beam_lane_max(length2, beam_lane_all(1)));
    beam_lane along = {0};
    for (int i = 0; i < count; i++) {
        along += beam_lc_inner(bar[i], x[i]);
    }
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        along[lane] = length2[lane] > 1 ? along[lane] : 0;
    }
    const beam_lane radial = 4 * sigma * (length * length - 1) * length - along / length;
    for (int i = 0; i < count; i++) {
        bar[i] = beam_lc_scale(1 / length, bar[i]);
        beam_lc_add_scaled(&bar[i], radial, x[i]);
    }
}

/* x_next = x + eta/scale out: next_bar to x_bar and out_bar; returns the adjoint of ln eta. */
static beam_lane step_adjoint(int count, beam_lane step, const beam_lane *out,
                              const beam_lc *next_bar, beam_lc *x_bar, beam_lane *out_bar)
{
    beam_lane sum = {0};
    for (int i = 0; i < count; i++) {
        x_bar[i].re += next_bar[i].re;
        x_bar[i].im += next_bar[i].im;
        out_bar[2 * i] = step * next_bar[i].re;
        out_bar[2 * i + 1] = step * next_bar[i].im;
        sum += out_bar[2 * i] * out[2 * i] + out_bar[2 * i + 1] * out[2 * i + 1];
    }
    return sum;
}

static void inputs_adjoint(int count, beam_net_real scale, const beam_lane *bar, beam_lc *x_bar)
{
    for (int i = 0; i < count; i++) {
        x_bar[i].re += scale * bar[2 * i];
        x_bar[i].im += scale * bar[2 * i + 1];
    }
}

/* Of ln eta; fills out_bar. */
static beam_lane update_adjoint(NET(block) * b, int layer, beam_lane eta)
{
    beam_net_mlp *m = &b->mlp;
    const int L = b->shape.L, D = b->shape.D, links = L * b->shape.U, errors = links * D;
    const beam_lane sigma = layer == b->to - 1 ? m->penalty : beam_lane_all(0);
    const beam_lc *next = NET(block_at)(b->state, b, layer + 1),
                  *delta = m->delta + (layer + 1) * errors;
    beam_lc *next_bar = NET(block_at)(b->state_bar, b, layer + 1),
            *bar = m->delta_bar + (layer + 1) * errors;
    const beam_lane *out = m->out + layer * m->at.states;
    for (int l = 0; l < L; l++) {
        const int at = b->first[l] * D;
        scaling_adjoint(b->n[l] * D, m->power[layer * L + l], sigma, next + at, next_bar + at);
    }
    for (int i = 0; i < links; i++) {
        scaling_adjoint(D, m->length2[layer * links + i], sigma, delta + i * D, bar + i * D);
    }
    return step_adjoint(b->rows * D, eta / NET(mlp_row_scale)(&b->arch), out + m->at.rows, next_bar,
                        NET(block_at)(b->state_bar, b, layer), m->out_bar + m->at.rows) +
           step_adjoint(errors, eta / NET(mlp_error_scale)(&b->arch), out + m->at.errors, bar,
                        bar - errors, m->out_bar + m->at.errors);
}

static void layer_backward(NET(block) * b, const beam_net_real *theta, int layer,
                           beam_net_real *theta_bar)
{
    beam_net_mlp *m = &b->mlp;
    const beam_net_mlp_layout p = beam_net_mlp_layer_layout(&b->arch);
    const int W = b->arch.width, D = b->shape.D, errors = b->shape.L * b->shape.U * D;
    const beam_lane *h1 = m->hidden1 + layer * W, *h2 = m->hidden2 + layer * W;
    const size_t width = (size_t)W * sizeof(beam_lane);
    theta_bar[p.eta] +=
        beam_lane_sum(update_adjoint(b, layer, beam_lane_exp(beam_lane_all(theta[p.eta]))));
    memset(m->hidden1_bar, 0, width);
    memset(m->hidden2_bar, 0, width);
    memset(m->input_bar, 0, (size_t)m->at.states * sizeof *m->input_bar);
    NET(mlp_state_inputs)(b, layer);
    NET(column_adjoint)
    (m->at.states, W, theta + p.w3, h2, m->out_bar, W, m->hidden2_bar, theta_bar + p.w3,
     theta_bar + p.b3, m->turned);
    NET(ramp_adjoint)(W, h2, m->hidden2_bar);
    NET(column_adjoint)
    (W, W, theta + p.w2, h1, m->hidden2_bar, W, m->hidden1_bar, theta_bar + p.w2, theta_bar + p.b2,
     m->turned);
    NET(ramp_adjoint)(W, h1, m->hidden1_bar);
    NET(column_adjoint)
    (W, m->at.count, theta + p.w1, m->input, m->hidden1_bar, m->at.states, m->input_bar,
     theta_bar + p.w1, theta_bar + p.b1, m->turned);
    inputs_adjoint(b->rows * D, NET(mlp_row_scale)(&b->arch), m->input_bar + m->at.rows,
                   NET(block_at)(b->state_bar, b, layer));
    inputs_adjoint(errors, NET(mlp_error_scale)(&b->arch), m->input_bar + m->at.errors,
                   m->delta_bar + layer * errors);
}

void NET(mlp_backward)(NET(block) * b, const beam_net_real *theta, int from, int to,
                       beam_net_real *theta_bar)
{
    const size_t per_layer = beam_net_mlp_layer_layout(&b->arch).count;
    for (int y = to - 1; y >= from; y--) {
        layer_backward(b, theta + (size_t)y * per_layer, y, theta_bar + (size_t)y * per_layer);
    }
}
