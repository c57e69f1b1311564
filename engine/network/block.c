#include "network/block.h"

#include <math.h>
#include <string.h>

#include "model/row.h"
#include "network/block_internal.h"

#ifndef BEAM_NET_F64
beam_net_shape beam_net_shape_of(const beam_problem *p)
{
    beam_net_shape s = {.L = p->L, .U = p->U, .J = p->crlb.J, .D = p->D, .r = p->r};
    memcpy(s.K, p->K, sizeof s.K[0] * (size_t)p->L);
    return s;
}

bool beam_net_shape_equal(const beam_net_shape *a, const beam_net_shape *b)
{
    return a->L == b->L && a->U == b->U && a->J == b->J && a->D == b->D && a->r == b->r &&
           memcmp(a->K, b->K, sizeof a->K[0] * (size_t)a->L) == 0;
}
#endif

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void carve_scene(NET(block) * b, beam_arena *arena, int L, int U, int J, int Q, int D)
{
    b->vectors = BEAM_TAKE(arena, beam_lc, L * Q * D);
    b->eps2 = BEAM_TAKE(arena, beam_lane, L * U);
    b->h2 = BEAM_TAKE(arena, beam_lane, L * U);
    b->beta = BEAM_TAKE(arena, beam_lane, U);
    b->share = BEAM_TAKE(arena, beam_lane, U);
    b->log_h2 = BEAM_TAKE(arena, beam_lane, U);
    b->radius = BEAM_TAKE(arena, beam_lane, U);
    b->P0 = BEAM_TAKE(arena, beam_net_symmetric, L * J);
    b->P2 = BEAM_TAKE(arena, beam_net_symmetric, L * J);
    b->counted = BEAM_TAKE(arena, beam_lane, J);
}

static void carve_layer(NET(block) * b, beam_arena *arena, int L, int U, int Q, int D)
{
    const int n = b->n_max, rows = b->rows, W = b->arch.width;
    b->start = BEAM_TAKE(arena, beam_lc, rows * D);
    b->state = BEAM_TAKE(arena, beam_lc, (b->arch.layers + 1) * rows * D);
    b->y = BEAM_TAKE(arena, beam_lc, L * n * Q);
    b->G = BEAM_TAKE(arena, beam_lc, L * n * n);
    b->direction = BEAM_TAKE(arena, beam_lc, BEAM_NET_DIRECTIONS * rows * D);
    b->gradient = BEAM_TAKE(arena, beam_lc, rows * D);
    b->factor = BEAM_TAKE(arena, beam_lc, L * D * D);
    b->omega = BEAM_TAKE(arena, beam_lane, U);
    b->ridge = BEAM_TAKE(arena, beam_lane, L);
    b->multiplier = BEAM_TAKE(arena, beam_lane, L);
    b->mean_eigenvalue = BEAM_TAKE(arena, beam_lane, L);
    b->norm = BEAM_TAKE(arena, beam_lane, (BEAM_NET_NORMALISED + 1) * L);
    b->unit = BEAM_TAKE(arena, beam_lane, (BEAM_NET_NORMALISED + 1) * L);
    b->power = BEAM_TAKE(arena, beam_lane, L);
    b->power_next = BEAM_TAKE(arena, beam_lane, L);
    b->x = BEAM_TAKE(arena, beam_lane, BEAM_NET_FEATURES * rows);
    b->x_station = BEAM_TAKE(arena, beam_lane, BEAM_NET_FEATURES * L);
    b->hidden1 = BEAM_TAKE(arena, beam_lane, W * rows);
    b->hidden2 = BEAM_TAKE(arena, beam_lane, W * rows);
    b->out = BEAM_TAKE(arena, beam_lane, BEAM_NET_COEFFICIENTS * rows);
    b->pool_station = BEAM_TAKE(arena, beam_lane, W * L);
    b->pool_all = BEAM_TAKE(arena, beam_lane, W);
    b->term_station = BEAM_TAKE(arena, beam_lane, W * L);
    b->term_all = BEAM_TAKE(arena, beam_lane, W);
}

static void carve_adjoints(NET(block) * b, beam_arena *arena, int L, int U, int Q, int D)
{
    const int n = b->n_max, rows = b->rows, W = b->arch.width;
    b->state_bar = BEAM_TAKE(arena, beam_lc, (b->arch.layers + 1) * rows * D);
    b->y_bar = BEAM_TAKE(arena, beam_lc, L * n * Q);
    b->G_bar = BEAM_TAKE(arena, beam_lc, L * n * n);
    b->direction_bar = BEAM_TAKE(arena, beam_lc, BEAM_NET_DIRECTIONS * rows * D);
    b->gradient_bar = BEAM_TAKE(arena, beam_lc, rows * D);
    b->projection = BEAM_TAKE(arena, beam_lc, n * U);
    b->projection_bar = BEAM_TAKE(arena, beam_lc, n * U);
    b->x_bar = BEAM_TAKE(arena, beam_lane, BEAM_NET_FEATURES * rows);
    b->x_station_bar = BEAM_TAKE(arena, beam_lane, BEAM_NET_FEATURES * L);
    b->hidden1_bar = BEAM_TAKE(arena, beam_lane, W * rows);
    b->hidden2_bar = BEAM_TAKE(arena, beam_lane, W * rows);
    b->out_bar = BEAM_TAKE(arena, beam_lane, BEAM_NET_COEFFICIENTS * rows);
    b->norm_bar = BEAM_TAKE(arena, beam_lane, (BEAM_NET_NORMALISED + 1) * L);
    b->omega_bar = BEAM_TAKE(arena, beam_lane, U);
    b->ridge_bar = BEAM_TAKE(arena, beam_lane, L);
    b->multiplier_bar = BEAM_TAKE(arena, beam_lane, L);
    b->mean_eigenvalue_bar = BEAM_TAKE(arena, beam_lane, L);
    b->power_bar = BEAM_TAKE(arena, beam_lane, L);
    b->pool_station_bar = BEAM_TAKE(arena, beam_lane, W * L);
    b->pool_all_bar = BEAM_TAKE(arena, beam_lane, W);
}

/* Sizes for the largest shape: every user might be in one station. */
static void carve(NET(block) * b, beam_arena *arena, const beam_net_arch *arch,
                  const beam_dims *max, bool training)
{
    const int L = max->stations, U = max->users, J = max->targets;
    const int r = beam_design_sensing_max(max), D = smaller(max->antennas, U + 2 * J);
    const int Q = U + 2 * J + r;
    b->arch = *arch;
    b->training = training;
    if (arch->kind == BEAM_NET_MLP) {
        NET(mlp_carve)(b, arena);
        return;
    }
    b->n_max = U + r;
    b->rows = U + L * r;
    carve_scene(b, arena, L, U, J, Q, D);
    carve_layer(b, arena, L, U, Q, D);
    NET(rate_carve)(&b->rate, arena, L, U, b->n_max, training);
    NET(sensing_carve)(&b->sensing, arena, L, J, b->n_max, training);
    if (training) {
        carve_adjoints(b, arena, L, U, Q, D);
    }
}

size_t NET(block_memsize)(const beam_net_arch *arch, const beam_dims *max, bool training)
{
    NET(block) probe;
    beam_arena arena = {NULL, 0};
    (void)BEAM_TAKE(&arena, NET(block), 1);
    carve(&probe, &arena, arch, max, training);
    return arena.used;
}

NET(block) *
    NET(block_init)(const beam_net_arch *arch, const beam_dims *max, bool training, void *memory)
{
    beam_arena arena = {memory, 0};
    NET(block) *b = BEAM_TAKE(&arena, NET(block), 1);
    memset(memory, 0, NET(block_memsize)(arch, max, training));
    carve(b, &arena, arch, max, training);
    return b;
}

void NET(block_begin)(NET(block) * b, const beam_net_shape *shape)
{
    b->shape = *shape;
    b->used = BEAM_LANES;
    b->Q = shape->U + 2 * shape->J + shape->r;
    b->rows = 0;
    b->n_max = 0;
    for (int l = 0, u = 0; l < shape->L; l++) {
        b->n[l] = shape->K[l] + shape->r;
        b->first[l] = b->rows;
        b->rows += b->n[l];
        b->n_max = b->n[l] > b->n_max ? b->n[l] : b->n_max;
        for (int k = 0; k < shape->K[l]; k++, u++) {
            b->own[u] = l;
            b->row[u] = k;
        }
    }
    b->first[shape->L] = b->rows;
    beam_net_rate *r = &b->rate;
    r->shape = &b->shape;
    r->n_max = b->n_max;
    r->stride = b->Q;
    r->own = b->own;
    r->row = b->row;
    r->n = b->n;
    r->eps2 = b->eps2;
    r->beta = b->beta;
    r->y = b->y;
    r->G = b->G;
    r->y_bar = b->y_bar;
    r->G_bar = b->G_bar;
    beam_net_sensing *s = &b->sensing;
    s->shape = &b->shape;
    s->n_max = b->n_max;
    s->stride = b->Q;
    s->first = shape->U;
    s->n = b->n;
    s->P0 = b->P0;
    s->P2 = b->P2;
    s->counted = b->counted;
    s->y = b->y;
    s->y_bar = b->y_bar;
}

/* One row of the problem, times `scale`, into a lane. */
static void put_row(int lane, int D, int Dp, double scale, const double *row, beam_lc *to)
{
    for (int d = 0; d < D; d++) {
        to[d].re[lane] = (beam_net_real)(scale * row[d]);
        to[d].im[lane] = (beam_net_real)(scale * row[Dp + d]);
    }
}

static void load_users(NET(block) * b, int lane, const beam_problem *p, const beam_ideal *ideal)
{
    const int U = b->shape.U;
    const double unit = ideal->wsr_ideal_bps_hz > 0 ? 1 / (0.5 * ideal->wsr_ideal_bps_hz) : 0;
    double total = 0;
    for (int u = 0; u < U; u++) {
        total += p->weight[u];
    }
    b->has_rate[lane] = (beam_net_real)(unit > 0);
    for (int u = 0; u < U; u++) {
        const size_t at = (size_t)p->own[u] * (size_t)U + (size_t)u;
        b->beta[u][lane] = (beam_net_real)(unit * p->weight[u] / log(2));
        b->share[u][lane] = (beam_net_real)(total > 0 ? p->weight[u] * U / total : 0);
        b->log_h2[u][lane] = (beam_net_real)log1p(p->hnorm2[at]);
        b->radius[u][lane] =
            (beam_net_real)(p->eps[at] / sqrt(p->eps[at] * p->eps[at] + p->hnorm2[at] + 1e-12));
    }
}

/* a and D a at norm 1 or about (their squared norms N and N V go into P0 and P2), J in units of
 * 1/crlb_min, so that everything is of order 1. */
static void load_targets(NET(block) * b, int lane, const beam_problem *p, const beam_ideal *ideal)
{
    const beam_crlb *c = &p->crlb;
    const int L = b->shape.L, U = b->shape.U, J = b->shape.J, D = b->shape.D;
    const double a2 = c->N, d2 = c->N * (c->V > 0 ? c->V : 1);
    const bool any = ideal->crlb_min_m2 > 0;
    for (int j = 0; j < J; j++) {
        b->counted[j][lane] = (beam_net_real)(any && c->geometry[j] == BEAM_TARGET_OK);
    }
    for (int l = 0; l < L; l++) {
        for (int j = 0; j < J; j++) {
            const int at = l * J + j;
            beam_lc *to = b->vectors + (l * b->Q + U + 2 * j) * D;
            const double *tx = p->tx + (size_t)(2 * at) * (size_t)p->stride;
            const double *P0 = c->P0 + 4 * at, *P2 = c->P2 + 4 * at;
            const double f0 = ideal->crlb_min_m2 * a2, f2 = ideal->crlb_min_m2 * d2;
            put_row(lane, D, p->Dp, 1 / sqrt(a2), tx, to);
            put_row(lane, D, p->Dp, 1 / sqrt(d2), tx + p->stride, to + D);
            b->P0[at].xx[lane] = (beam_net_real)(f0 * P0[0]);
            b->P0[at].xy[lane] = (beam_net_real)(f0 * P0[1]);
            b->P0[at].yy[lane] = (beam_net_real)(f0 * P0[3]);
            b->P2[at].xx[lane] = (beam_net_real)(f2 * P2[0]);
            b->P2[at].xy[lane] = (beam_net_real)(f2 * P2[1]);
            b->P2[at].yy[lane] = (beam_net_real)(f2 * P2[3]);
        }
    }
}

void NET(block_scene)(NET(block) * b, int lane, const beam_problem *p, const double *sensing,
                      const beam_ideal *ideal)
{
    const int L = b->shape.L, U = b->shape.U, J = b->shape.J, D = b->shape.D, r = b->shape.r;
    if (b->arch.kind == BEAM_NET_MLP) {
        NET(mlp_scene)(b, lane, p, ideal);
        return;
    }
    for (int l = 0; l < L; l++) {
        beam_lc *to = b->vectors + l * b->Q * D;
        for (int u = 0; u < U; u++) {
            const size_t at = (size_t)l * (size_t)U + (size_t)u;
            put_row(lane, D, p->Dp, 1, p->h + at * (size_t)p->stride, to + u * D);
            b->eps2[at][lane] = (beam_net_real)(p->eps[at] * p->eps[at]);
            b->h2[at][lane] = (beam_net_real)p->hnorm2[at];
        }
        for (int i = 0; i < r; i++) {
            const size_t row = (size_t)(p->first[l] + p->K[l] + i) * (size_t)p->stride;
            put_row(lane, D, p->Dp, 1, sensing + row, to + (U + 2 * J + i) * D);
        }
    }
    load_users(b, lane, p, ideal);
    load_targets(b, lane, p, ideal);
}

void NET(block_preference)(NET(block) * b, int lane, beam_preference u)
{
    const double w1 = 1 / fmax(u.u1, 1e-3), w2 = 1 / fmax(u.u2, 1e-3);
    b->w1[lane] = (beam_net_real)(w1 / (w1 + w2));
    b->w2[lane] = (beam_net_real)(w2 / (w1 + w2));
    if (b->arch.kind == BEAM_NET_MLP) {
        NET(mlp_preference)(b, lane, w1 / w2);
    }
}

void NET(block_start)(NET(block) * b, int lane, const double *x)
{
    const int D = b->shape.D, Dp = beam_pad4(D);
    if (b->training && lane == 0) {
        memset(b->state_bar, 0,
               (size_t)((b->arch.layers + 1) * b->rows * D) * sizeof *b->state_bar);
        if (b->arch.kind == BEAM_NET_MLP) {
            NET(mlp_clear)(b);
        }
    }
    for (int i = 0; i < b->rows; i++) {
        put_row(lane, D, Dp, 1, x + (size_t)(2 * Dp * i), b->start + i * D);
    }
}

static void fill_lanes(beam_lane *values, size_t count, int used)
{
    for (size_t i = 0; i < count; i++) {
        for (int lane = used; lane < BEAM_LANES; lane++) {
            values[i][lane] = values[i][0];
        }
    }
}

void NET(block_fill)(NET(block) * b, int used)
{
    const size_t L = (size_t)b->shape.L, U = (size_t)b->shape.U, J = (size_t)b->shape.J,
                 D = (size_t)b->shape.D;
    b->used = smaller(used, BEAM_LANES);
    if (used >= BEAM_LANES) {
        return;
    }
    fill_lanes((beam_lane *)b->start, 2 * (size_t)b->rows * D, used);
    if (b->arch.kind == BEAM_NET_MLP) {
        NET(mlp_fill)(b, used);
        return;
    }
    fill_lanes((beam_lane *)b->vectors, 2 * L * (size_t)b->Q * D, used);
    fill_lanes(b->eps2, L * U, used);
    fill_lanes(b->h2, L * U, used);
    fill_lanes(b->beta, U, used);
    fill_lanes(b->share, U, used);
    fill_lanes(b->log_h2, U, used);
    fill_lanes(b->radius, U, used);
    fill_lanes((beam_lane *)b->P0, 3 * L * J, used);
    fill_lanes((beam_lane *)b->P2, 3 * L * J, used);
    fill_lanes(b->counted, J, used);
    fill_lanes(&b->has_rate, 1, used);
    fill_lanes(&b->w1, 1, used);
    fill_lanes(&b->w2, 1, used);
}

void NET(block_forward)(NET(block) * b, const beam_net_real *theta, int from, int to)
{
    const size_t per_layer = beam_net_layer_layout(b->arch.width).count;
    memcpy(NET(block_at)(b->state, b, from), b->start,
           (size_t)(b->rows * b->shape.D) * sizeof *b->start);
    b->from = from;
    b->to = to;
    if (b->arch.kind == BEAM_NET_MLP) {
        NET(mlp_forward)(b, theta, from, to);
        return;
    }
    for (int y = from; y < to; y++) {
        NET(layer_coefficients)(b, theta + (size_t)y * per_layer, y);
        NET(layer_update)(b, y);
    }
}

static void get_point(const NET(block) * b, int lane, int layer, double *x)
{
    const int D = b->shape.D, Dp = beam_pad4(D);
    const beam_lc *w = NET(block_at)(b->state, b, layer);
    memset(x, 0, (size_t)(b->rows * 2 * Dp) * sizeof *x);
    for (int i = 0; i < b->rows; i++) {
        for (int d = 0; d < D; d++) {
            x[i * 2 * Dp + d] = (double)w[i * D + d].re[lane];
            x[i * 2 * Dp + Dp + d] = (double)w[i * D + d].im[lane];
        }
    }
}

void NET(block_point)(const NET(block) * b, int lane, double *x)
{
    get_point(b, lane, b->to, x);
}

void NET(block_state)(const NET(block) * b, int lane, int layer, double *x)
{
    get_point(b, lane, layer, x);
}

void NET(block_adjoint)(NET(block) * b, int lane, int layer, const double *x_bar)
{
    const int D = b->shape.D, Dp = beam_pad4(D);
    beam_lc *bar = NET(block_at)(b->state_bar, b, layer);
    for (int i = 0; i < b->rows; i++) {
        for (int d = 0; d < D; d++) {
            bar[i * D + d].re[lane] += (beam_net_real)x_bar[i * 2 * Dp + d];
            bar[i * D + d].im[lane] += (beam_net_real)x_bar[i * 2 * Dp + Dp + d];
        }
    }
}
