#include "network/mlp.h"

#include <math.h>
#include <string.h>

#include "model/row.h"
#include "network/block_internal.h"
#include "network/column.h"
#include "network/dense.h"

/* --- Memory ----------------------------------------------------------------------------------- */

static int links(const NET(block) * b)
{
    return b->arch.stations * b->arch.users;
}

static void carve_adjoints(NET(block) * b, beam_arena *arena, int states)
{
    beam_net_mlp *m = &b->mlp;
    const int D = b->arch.antennas, W = b->arch.width, widest = m->at.count > W ? m->at.count : W;
    b->state_bar = BEAM_TAKE(arena, beam_lc, states * b->rows * D);
    m->delta_bar = BEAM_TAKE(arena, beam_lc, states * links(b) * D);
    m->hidden1_bar = BEAM_TAKE(arena, beam_lane, W);
    m->hidden2_bar = BEAM_TAKE(arena, beam_lane, W);
    m->out_bar = BEAM_TAKE(arena, beam_lane, m->at.states);
    m->input_bar = BEAM_TAKE(arena, beam_lane, m->at.states);
    m->turned = BEAM_TAKE(arena, beam_net_real, BEAM_LANES * widest);
}

void NET(mlp_carve)(NET(block) * b, beam_arena *arena)
{
    const beam_net_arch *a = &b->arch;
    beam_net_mlp *m = &b->mlp;
    const int states = a->layers + 1;
    m->at = beam_net_mlp_input_layout(a);
    m->kept = b->training ? a->layers : 1;
    b->rows = a->users + a->stations * a->sensing_rows;
    b->start = BEAM_TAKE(arena, beam_lc, b->rows * a->antennas);
    b->state = BEAM_TAKE(arena, beam_lc, states * b->rows * a->antennas);
    m->delta = BEAM_TAKE(arena, beam_lc, states * links(b) * a->antennas);
    m->input = BEAM_TAKE(arena, beam_lane, m->at.count);
    m->eps = BEAM_TAKE(arena, beam_lane, links(b));
    m->hidden1 = BEAM_TAKE(arena, beam_lane, m->kept * a->width);
    m->hidden2 = BEAM_TAKE(arena, beam_lane, m->kept * a->width);
    m->out = BEAM_TAKE(arena, beam_lane, m->kept * m->at.states);
    m->power = BEAM_TAKE(arena, beam_lane, m->kept * a->stations);
    m->length2 = BEAM_TAKE(arena, beam_lane, m->kept * links(b));
    if (b->training) {
        carve_adjoints(b, arena, states);
    }
}

/* --- The scene -------------------------------------------------------------------------------- */

static void put(NET(block) * b, int lane, int at, double value)
{
    b->mlp.input[at][lane] = (beam_net_real)value;
}

/* A row of the problem times `scale`: D real parts, D imaginary parts. */
static void put_row(NET(block) * b, int lane, int at, double scale, const double *row)
{
    const int D = b->shape.D, Dp = beam_pad4(D);
    for (int d = 0; d < D; d++) {
        put(b, lane, at + d, scale * row[d]);
        put(b, lane, at + D + d, scale * row[Dp + d]);
    }
}

static void put_links(NET(block) * b, int lane, const beam_problem *p)
{
    beam_net_mlp *m = &b->mlp;
    const int D = b->shape.D;
    for (int i = 0; i < links(b); i++) {
        const double h2 = p->hnorm2[i], eps = p->eps[i];
        const double *h = p->h + (size_t)i * (size_t)p->stride;
        put_row(b, lane, m->at.channel + 2 * D * i, h2 > 0 ? sqrt(D / h2) : 0, h);
        put(b, lane, m->at.norm + i, (log1p(h2) - 4) / 3);
        put(b, lane, m->at.radius + i, eps > 0 ? 4 * eps / sqrt(eps * eps + h2) : 0);
        m->eps[i][lane] = (beam_net_real)eps;
    }
}

static void put_targets(NET(block) * b, int lane, const beam_problem *p, const beam_ideal *ideal)
{
    const beam_crlb *c = &p->crlb;
    const beam_net_mlp_inputs *at = &b->mlp.at;
    const int L = b->shape.L, J = b->shape.J, D = b->shape.D;
    const double V = c->V > 0 ? c->V : 1;
    const double unit[2] = {ideal->crlb_min_m2 * c->N, ideal->crlb_min_m2 * c->N * V};
    for (int i = 0; i < L * J; i++) {
        const double *tx = p->tx + (size_t)(2 * i) * (size_t)p->stride;
        put_row(b, lane, at->steering + 4 * D * i, 1, tx);
        put_row(b, lane, at->steering + 4 * D * i + 2 * D, 1 / sqrt(V), tx + p->stride);
        for (int k = 0; k < 2; k++) {
            const double *P = (k == 0 ? c->P0 : c->P2) + 4 * i;
            put(b, lane, at->information + 6 * i + 3 * k, asinh(unit[k] * P[0]));
            put(b, lane, at->information + 6 * i + 3 * k + 1, asinh(unit[k] * P[1]));
            put(b, lane, at->information + 6 * i + 3 * k + 2, asinh(unit[k] * P[3]));
        }
    }
    for (int j = 0; j < J; j++) {
        const bool counts = ideal->crlb_min_m2 > 0 && c->geometry[j] == BEAM_TARGET_OK;
        put(b, lane, at->counted + j, counts);
    }
}

void NET(mlp_scene)(NET(block) * b, int lane, const beam_problem *p, const beam_ideal *ideal)
{
    const beam_net_mlp_inputs *at = &b->mlp.at;
    const int U = b->shape.U;
    const double wsr = ideal->wsr_ideal_bps_hz;
    double total = 0;
    put_links(b, lane, p);
    put_targets(b, lane, p, ideal);
    for (int u = 0; u < U; u++) {
        total += p->weight[u];
    }
    for (int u = 0; u < U; u++) {
        put(b, lane, at->weight + u, total > 0 ? p->weight[u] * U / total - 1 : 0);
    }
    put(b, lane, at->ideal, wsr > 0 ? log(wsr) - 2.5 : 0);
}

void NET(mlp_preference)(NET(block) * b, int lane, double ratio)
{
    put(b, lane, b->mlp.at.preference, (ratio - 1) / (ratio + 1));
    put(b, lane, b->mlp.at.preference + 1, log(ratio) / 4);
}

/* The adjoints of the errors, when those of the rows are cleared. */
void NET(mlp_clear)(NET(block) * b)
{
    const int errors = links(b) * b->shape.D;
    memset(b->mlp.delta_bar, 0, (size_t)((b->arch.layers + 1) * errors) * sizeof *b->mlp.delta_bar);
    b->mlp.penalty = (beam_lane){0};
}

void NET(mlp_fill)(NET(block) * b, int used)
{
    beam_net_mlp *m = &b->mlp;
    for (int lane = used; lane < BEAM_LANES; lane++) {
        for (int i = m->at.states; i < m->at.count; i++) {
            m->input[i][lane] = m->input[i][0];
        }
        for (int i = 0; i < links(b); i++) {
            m->eps[i][lane] = m->eps[i][0];
        }
    }
}

/* --- Layers ----------------------------------------------------------------------------------- */

void NET(mlp_state_inputs)(NET(block) * b, int layer)
{
    beam_net_mlp *m = &b->mlp;
    const int rows = b->rows * b->shape.D, errors = links(b) * b->shape.D;
    const beam_lc *w = NET(block_at)(b->state, b, layer), *d = m->delta + layer * errors;
    for (int i = 0; i < rows; i++) {
        m->input[m->at.rows + 2 * i] = NET(mlp_row_scale)(&b->arch) * w[i].re;
        m->input[m->at.rows + 2 * i + 1] = NET(mlp_row_scale)(&b->arch) * w[i].im;
    }
    for (int i = 0; i < errors; i++) {
        m->input[m->at.errors + 2 * i] = NET(mlp_error_scale)(&b->arch) * d[i].re;
        m->input[m->at.errors + 2 * i + 1] = NET(mlp_error_scale)(&b->arch) * d[i].im;
    }
}

/* to = from + step out, out being pairs. */
static void take_step(int count, const beam_lc *from, beam_lane step, const beam_lane *out,
                      beam_lc *to)
{
    for (int i = 0; i < count; i++) {
        to[i].re = from[i].re + step * out[2 * i];
        to[i].im = from[i].im + step * out[2 * i + 1];
    }
}

/* Into the unit ball; returns the squared length before. */
static beam_lane scale_into(int count, beam_lc *x)
{
    beam_lane length2 = {0};
    for (int i = 0; i < count; i++) {
        length2 += beam_lc_norm2(x[i]);
    }
    const beam_lane scale = 1 / beam_lane_sqrt(beam_lane_max(length2, beam_lane_all(1)));
    for (int i = 0; i < count; i++) {
        x[i] = beam_lc_scale(scale, x[i]);
    }
    return length2;
}

static void update(NET(block) * b, int layer, int kept, beam_lane eta)
{
    beam_net_mlp *m = &b->mlp;
    const int D = b->shape.D, errors = links(b) * D;
    const beam_lane *out = m->out + kept * m->at.states;
    beam_lc *next = NET(block_at)(b->state, b, layer + 1), *delta = m->delta + (layer + 1) * errors;
    take_step(b->rows * D, NET(block_at)(b->state, b, layer), eta / NET(mlp_row_scale)(&b->arch),
              out + m->at.rows, next);
    take_step(errors, delta - errors, eta / NET(mlp_error_scale)(&b->arch), out + m->at.errors,
              delta);
    for (int l = 0; l < b->shape.L; l++) {
        m->power[kept * b->shape.L + l] = scale_into(b->n[l] * D, next + b->first[l] * D);
    }
    for (int i = 0; i < links(b); i++) {
        m->length2[kept * links(b) + i] = scale_into(D, delta + i * D);
    }
}

void NET(mlp_forward)(NET(block) * b, const beam_net_real *theta, int from, int to)
{
    beam_net_mlp *m = &b->mlp;
    const beam_net_mlp_layout p = beam_net_mlp_layer_layout(&b->arch);
    const int W = b->arch.width, I = m->at.count, errors = links(b) * b->shape.D;
    memset(m->delta + from * errors, 0, (size_t)errors * sizeof *m->delta);
    for (int y = from; y < to; y++) {
        const beam_net_real *layer = theta + (size_t)y * p.count;
        const int kept = b->training ? y : 0;
        beam_lane *h1 = m->hidden1 + kept * W, *h2 = m->hidden2 + kept * W;
        NET(mlp_state_inputs)(b, y);
        NET(column)(W, I, layer + p.w1, layer + p.b1, m->input, h1);
        NET(ramp)(W, h1);
        NET(column)(W, W, layer + p.w2, layer + p.b2, h1, h2);
        NET(ramp)(W, h2);
        NET(column)
        (m->at.states, W, layer + p.w3, layer + p.b3, h2, m->out + kept * m->at.states);
        update(b, y, kept, beam_lane_exp(beam_lane_all(layer[p.eta])));
    }
}

/* --- The errors ------------------------------------------------------------------------------- */

void NET(block_delta)(const NET(block) * b, int lane, int layer, double *delta)
{
    const beam_net_mlp *m = &b->mlp;
    const int D = b->shape.D, Dp = beam_pad4(D);
    memset(delta, 0, (size_t)(links(b) * 2 * Dp) * sizeof *delta);
    for (int i = 0; i < links(b); i++) {
        const beam_lc *from = m->delta + (layer * links(b) + i) * D;
        const double eps = (double)m->eps[i][lane];
        for (int d = 0; d < D; d++) {
            delta[i * 2 * Dp + d] = eps * (double)from[d].re[lane];
            delta[i * 2 * Dp + Dp + d] = eps * (double)from[d].im[lane];
        }
    }
}

void NET(block_delta_adjoint)(NET(block) * b, int lane, int layer, const double *delta_bar)
{
    beam_net_mlp *m = &b->mlp;
    const int D = b->shape.D, Dp = beam_pad4(D);
    for (int i = 0; i < links(b); i++) {
        beam_lc *to = m->delta_bar + (layer * links(b) + i) * D;
        const double eps = (double)m->eps[i][lane];
        for (int d = 0; d < D; d++) {
            to[d].re[lane] += (beam_net_real)(eps * delta_bar[i * 2 * Dp + d]);
            to[d].im[lane] += (beam_net_real)(eps * delta_bar[i * 2 * Dp + Dp + d]);
        }
    }
}

static double square_excess(beam_lane x, int lane)
{
    const double over = fmax((double)x[lane] - 1, 0);
    return over * over;
}

double NET(block_penalty)(NET(block) * b, int lane, double sigma)
{
    beam_net_mlp *m = &b->mlp;
    const int kept = b->to - 1, L = b->shape.L;
    double sum = 0;
    for (int l = 0; l < L; l++) {
        sum += square_excess(m->power[kept * L + l], lane);
    }
    for (int i = 0; i < links(b); i++) {
        sum += square_excess(m->length2[kept * links(b) + i], lane);
    }
    m->penalty[lane] = (beam_net_real)sigma;
    return sigma * sum;
}
