#include "network/single.h"

#include <math.h>
#include <string.h>

#include "model/row.h"
#include "network/single_internal.h"

bool NET(single_serves)(const beam_net_arch *arch, const beam_problem *p)
{
    return arch->kind == BEAM_NET_EQUIVARIANT && p->L <= BEAM_LANES;
}

static void carve_scene(NET(single) * s, beam_arena *arena, int U, int J, int D, int r)
{
    s->mask = BEAM_TAKE(arena, beam_lane_bits, U);
    s->h = BEAM_TAKE(arena, beam_lc, U * D);
    s->h_own = BEAM_TAKE(arena, beam_lc, U * D);
    s->vectors = BEAM_TAKE(arena, beam_lc, (2 * J + r) * D);
    s->eps2 = BEAM_TAKE(arena, beam_lane, U);
    s->h2 = BEAM_TAKE(arena, beam_lane, U);
    s->eps2_own = BEAM_TAKE(arena, beam_lane, U);
    s->h2_own = BEAM_TAKE(arena, beam_lane, U);
    s->beta = BEAM_TAKE(arena, beam_lane, U);
    s->P0 = BEAM_TAKE(arena, beam_net_symmetric, J);
    s->P2 = BEAM_TAKE(arena, beam_net_symmetric, J);
    s->counted = BEAM_TAKE(arena, beam_lane, J);
}

static void carve_layer(NET(single) * s, beam_arena *arena, int U, int J, int D, int r)
{
    const int n = U + r;
    s->w = BEAM_TAKE(arena, beam_lc, n * D);
    s->yc = BEAM_TAKE(arena, beam_lc, U * n);
    s->G = BEAM_TAKE(arena, beam_lc, n * n);
    s->y = BEAM_TAKE(arena, beam_lc, n * (2 * J + r));
    s->z = BEAM_TAKE(arena, beam_lc, U * n);
    s->e = BEAM_TAKE(arena, beam_lc, U * n);
    s->scaled = BEAM_TAKE(arena, beam_lc, U * n);
    s->y_own = BEAM_TAKE(arena, beam_lc, U * n);
    s->z_own = BEAM_TAKE(arena, beam_lc, U * n);
    s->e_own = BEAM_TAKE(arena, beam_lc, U * n);
    s->scaled_own = BEAM_TAKE(arena, beam_lc, U * n);
    s->user = BEAM_TAKE(arena, beam_net_single_user, U);
    s->iso = BEAM_TAKE(arena, beam_lane, U);
    s->iso_own = BEAM_TAKE(arena, beam_lane, n);
    s->f = BEAM_TAKE(arena, beam_lc, n * n);
    s->B = BEAM_TAKE(arena, beam_lc, J * n);
    s->inverse = BEAM_TAKE(arena, beam_net_symmetric, J);
    s->echo = BEAM_TAKE(arena, beam_net_echo, J);
    s->sensing_out = BEAM_TAKE(arena, beam_lc, n * 2 * J);
    s->omega = BEAM_TAKE(arena, beam_lane, U);
    s->direction = BEAM_TAKE(arena, beam_lc, BEAM_NET_DIRECTIONS * n * D);
    s->gradient = BEAM_TAKE(arena, beam_lc, n * D);
    s->factor = BEAM_TAKE(arena, beam_lc, D * D);
}

/* Sizes for the largest shape: every user might be in one station. */
static void carve(NET(single) * s, beam_arena *arena, const beam_net_arch *arch,
                  const beam_dims *max)
{
    const int U = max->users, J = max->targets, r = beam_design_sensing_max(max);
    const int D = max->antennas < U + 2 * J ? max->antennas : U + 2 * J;
    const int stations = max->stations < BEAM_LANES ? max->stations : BEAM_LANES;
    const int rows = U + stations * r, V = NET(single_layout)(arch->width).V;
    s->arch = *arch;
    carve_scene(s, arena, U, J, D, r);
    carve_layer(s, arena, U, J, D, r);
    s->row_at = BEAM_TAKE(arena, int, rows);
    s->row_to = BEAM_TAKE(arena, int, rows);
    s->row_share = BEAM_TAKE(arena, int, rows);
    s->hidden_at = BEAM_TAKE(arena, int, rows);
    s->no_row = BEAM_TAKE(arena, int, rows);
    s->x = BEAM_TAKE(arena, beam_lane, BEAM_NET_ROW_INPUTS * (U + r));
    s->hidden1 = BEAM_TAKE(arena, beam_lane, V * rows);
    s->hidden2 = BEAM_TAKE(arena, beam_lane, V * rows);
    s->pool = BEAM_TAKE(arena, beam_lane, V * (stations + 1));
    s->term = BEAM_TAKE(arena, beam_lane, V * (stations + 1));
    s->answer = BEAM_TAKE(arena, beam_lane, rows);
    s->out = BEAM_TAKE(arena, beam_lane, BEAM_NET_COEFFICIENTS * (U + r));
}

size_t NET(single_memsize)(const beam_net_arch *arch, const beam_dims *max)
{
    NET(single) probe;
    beam_arena arena = {NULL, 0};
    if (arch->kind != BEAM_NET_EQUIVARIANT) {
        return 0;
    }
    (void)BEAM_TAKE(&arena, NET(single), 1);
    carve(&probe, &arena, arch, max);
    return arena.used;
}

NET(single) * NET(single_init)(const beam_net_arch *arch, const beam_dims *max, void *memory)
{
    beam_arena arena = {memory, 0};
    NET(single) *s = BEAM_TAKE(&arena, NET(single), 1);
    memset(memory, 0, NET(single_memsize)(arch, max));
    carve(s, &arena, arch, max);
    return s;
}

/* --- Parameters ------------------------------------------------------------------------------- */

beam_net_columns NET(single_layout)(int width)
{
    const size_t V = (size_t)((width + BEAM_LANES - 1) / BEAM_LANES), W = (size_t)width;
    beam_net_columns at = {.V = (int)V};
    at.w1 = at.scalars + 1;
    at.station1 = at.w1 + BEAM_NET_ROW_INPUTS * V;
    at.b1 = at.station1 + BEAM_NET_STATION_INPUTS * V;
    at.w2 = at.b1 + V;
    at.station2 = at.w2 + W * V;
    at.all2 = at.station2 + W * V;
    at.b2 = at.all2 + W * V;
    at.w3 = at.b2 + V;
    at.b3 = at.w3 + W;
    at.count = at.b3 + 1;
    return at;
}

_Static_assert((int)BEAM_NET_COEFFICIENTS <= (int)BEAM_LANES &&
                   (int)BEAM_NET_SCALARS <= (int)BEAM_LANES,
               "the coefficients of a row and the scalars of a layer fill one vector each");

size_t NET(single_columns)(const beam_net_arch *arch)
{
    if (arch->kind != BEAM_NET_EQUIVARIANT) {
        return 0;
    }
    return (size_t)arch->layers * NET(single_layout)(arch->width).count * BEAM_LANES;
}

/* [outputs][stride] to [inputs][V] vectors, outputs filled up with 0. */
static void transpose(int outputs, int inputs, int stride, const beam_net_real *from, int V,
                      beam_lane *to)
{
    for (int k = 0; k < inputs; k++) {
        for (int o = 0; o < V * BEAM_LANES; o++) {
            to[k * V + o / BEAM_LANES][o % BEAM_LANES] = o < outputs ? from[o * stride + k] : 0;
        }
    }
}

void NET(single_transpose)(const beam_net_arch *arch, const beam_net_real *theta,
                           beam_net_real *columns)
{
    const int W = arch->width, F = BEAM_NET_FEATURES;
    const beam_net_layout p = beam_net_layer_layout(W);
    const beam_net_columns at = NET(single_layout)(W);
    for (int y = 0; y < arch->layers; y++, theta += p.count) {
        beam_lane *to = (beam_lane *)columns + (size_t)y * at.count;
        transpose(BEAM_NET_SCALARS, 1, 1, theta + p.scalars, 1, to + at.scalars);
        to[at.scalars] = beam_lane_exp(to[at.scalars]);
        transpose(W, BEAM_NET_ROW_INPUTS, F, theta + p.w1, at.V, to + at.w1);
        transpose(W, BEAM_NET_STATION_INPUTS, F, theta + p.w1 + BEAM_NET_ROW_INPUTS, at.V,
                  to + at.station1);
        transpose(W, 1, 1, theta + p.b1, at.V, to + at.b1);
        transpose(W, W, W, theta + p.w2, at.V, to + at.w2);
        transpose(W, W, W, theta + p.station2, at.V, to + at.station2);
        transpose(W, W, W, theta + p.all2, at.V, to + at.all2);
        transpose(W, 1, 1, theta + p.b2, at.V, to + at.b2);
        transpose(BEAM_NET_COEFFICIENTS, W, W, theta + p.w3, 1, to + at.w3);
        transpose(BEAM_NET_COEFFICIENTS, 1, 1, theta + p.b3, 1, to + at.b3);
    }
}

/* --- The scene -------------------------------------------------------------------------------- */

static void put_row(int lane, int D, int Dp, double scale, const double *row, beam_lc *to)
{
    for (int d = 0; d < D; d++) {
        to[d].re[lane] = (beam_net_real)(scale * row[d]);
        to[d].im[lane] = (beam_net_real)(scale * row[Dp + d]);
    }
}

static void take_shape(NET(single) * s, const beam_problem *p)
{
    s->shape = beam_net_shape_of(p);
    s->K = 0;
    for (int l = 0, u = 0; l < p->L; l++) {
        s->K = p->K[l] > s->K ? p->K[l] : s->K;
        for (int k = 0; k < p->K[l]; k++, u++) {
            s->own[u] = l;
            s->row[u] = k;
            s->mask[u] = (beam_lane_bits){0};
            s->mask[u][l] = -1;
        }
    }
    s->n = s->K + p->r;
    s->rows = 0;
    for (int l = 0; l < p->L; l++) {
        s->station_at[l] = l;
        for (int i = 0; i < s->n; i++) {
            if (i < p->K[l] || i >= s->K) {
                s->row_at[s->rows] = i * BEAM_LANES + l;
                s->row_to[s->rows] = i;
                s->hidden_at[s->rows] = s->rows * NET(single_layout)(s->arch.width).V * BEAM_LANES;
                s->row_share[s->rows++] = l;
            }
        }
    }
}

/* Nothing may be left of the last scene where this one has no station or user. */
static void clear(NET(single) * s)
{
    const size_t U = (size_t)s->shape.U, J = (size_t)s->shape.J, D = (size_t)s->shape.D,
                 K = (size_t)s->K, r = (size_t)s->shape.r, n = (size_t)s->n;
    memset(s->h, 0, U * D * sizeof *s->h);
    memset(s->h_own, 0, K * D * sizeof *s->h_own);
    memset(s->vectors, 0, (2 * J + r) * D * sizeof *s->vectors);
    memset(s->eps2, 0, U * sizeof *s->eps2);
    memset(s->h2, 0, U * sizeof *s->h2);
    memset(s->eps2_own, 0, K * sizeof *s->eps2_own);
    memset(s->h2_own, 0, K * sizeof *s->h2_own);
    memset(s->beta, 0, K * sizeof *s->beta);
    memset(s->user, 0, K * sizeof *s->user);
    memset(s->P0, 0, J * sizeof *s->P0);
    memset(s->P2, 0, J * sizeof *s->P2);
    memset(s->out, 0, BEAM_NET_COEFFICIENTS * n * sizeof *s->out);
}

static void load_users(NET(single) * s, const beam_problem *p, const beam_ideal *ideal)
{
    const int U = s->shape.U, D = s->shape.D;
    const double unit = ideal->wsr_ideal_bps_hz > 0 ? 1 / (0.5 * ideal->wsr_ideal_bps_hz) : 0;
    s->has_rate = beam_lane_all((beam_net_real)(unit > 0));
    for (int u = 0; u < U; u++) {
        const int own = s->own[u], j = s->row[u];
        for (int l = 0; l < s->shape.L; l++) {
            const size_t at = (size_t)l * (size_t)U + (size_t)u;
            put_row(l, D, p->Dp, 1, p->h + at * (size_t)p->stride, s->h + u * D);
            s->eps2[u][l] = (beam_net_real)(p->eps[at] * p->eps[at]);
            s->h2[u][l] = (beam_net_real)p->hnorm2[at];
        }
        const size_t at = (size_t)own * (size_t)U + (size_t)u;
        put_row(own, D, p->Dp, 1, p->h + at * (size_t)p->stride, s->h_own + j * D);
        s->eps2_own[j][own] = s->eps2[u][own];
        s->h2_own[j][own] = s->h2[u][own];
        s->beta[j][own] = (beam_net_real)(unit * p->weight[u] / log(2));
    }
}

/* Scaled as in a block: a and D a at norm 1 or about, J in units of 1/crlb_min. */
static void load_targets(NET(single) * s, const beam_problem *p, const beam_ideal *ideal)
{
    const beam_crlb *c = &p->crlb;
    const int J = s->shape.J, D = s->shape.D;
    const double a2 = c->N, d2 = c->N * (c->V > 0 ? c->V : 1);
    const double f0 = ideal->crlb_min_m2 * a2, f2 = ideal->crlb_min_m2 * d2;
    for (int j = 0; j < J; j++) {
        const bool any = ideal->crlb_min_m2 > 0 && c->geometry[j] == BEAM_TARGET_OK;
        s->counted[j] = beam_lane_all((beam_net_real)any);
        for (int l = 0; l < s->shape.L; l++) {
            const int at = l * J + j;
            const double *tx = p->tx + (size_t)(2 * at) * (size_t)p->stride;
            const double *P0 = c->P0 + 4 * at, *P2 = c->P2 + 4 * at;
            put_row(l, D, p->Dp, 1 / sqrt(a2), tx, s->vectors + 2 * j * D);
            put_row(l, D, p->Dp, 1 / sqrt(d2), tx + p->stride, s->vectors + (2 * j + 1) * D);
            s->P0[j].xx[l] = (beam_net_real)(f0 * P0[0]);
            s->P0[j].xy[l] = (beam_net_real)(f0 * P0[1]);
            s->P0[j].yy[l] = (beam_net_real)(f0 * P0[3]);
            s->P2[j].xx[l] = (beam_net_real)(f2 * P2[0]);
            s->P2[j].xy[l] = (beam_net_real)(f2 * P2[1]);
            s->P2[j].yy[l] = (beam_net_real)(f2 * P2[3]);
        }
    }
}

void NET(single_scene)(NET(single) * s, const beam_problem *p, const double *sensing,
                       const beam_ideal *ideal)
{
    take_shape(s, p);
    clear(s);
    load_users(s, p, ideal);
    load_targets(s, p, ideal);
    for (int l = 0; l < p->L; l++) {
        for (int i = 0; i < p->r; i++) {
            const size_t row = (size_t)(p->first[l] + p->K[l] + i) * (size_t)p->stride;
            put_row(l, p->D, p->Dp, 1, sensing + row, s->vectors + (2 * p->crlb.J + i) * p->D);
        }
    }
    NET(single_constant_features)(s, p);
}

void NET(single_preference)(NET(single) * s, beam_preference u)
{
    const double w1 = 1 / fmax(u.u1, 1e-3), w2 = 1 / fmax(u.u2, 1e-3);
    s->w1 = beam_lane_all((beam_net_real)(w1 / (w1 + w2)));
    s->w2 = beam_lane_all((beam_net_real)(w2 / (w1 + w2)));
}

void NET(single_start)(NET(single) * s, const double *x)
{
    const int D = s->shape.D, Dp = beam_pad4(D);
    memset(s->w, 0, (size_t)(s->n * D) * sizeof *s->w);
    for (int i = 0; i < s->rows; i++) {
        put_row(s->row_share[i], D, Dp, 1, x + (size_t)(2 * Dp * i), s->w + s->row_to[i] * D);
    }
}

void NET(single_forward)(NET(single) * s, const beam_net_real *columns, int from, int to)
{
    const size_t count = NET(single_layout)(s->arch.width).count;
    memset(NET(single_direction)(s, BEAM_NET_MOMENTUM), 0,
           (size_t)(s->n * s->shape.D) * sizeof *s->direction);
    for (int y = from; y < to; y++) {
        NET(single_layer)(s, (const beam_lane *)columns + (size_t)y * count);
    }
}

void NET(single_point)(const NET(single) * s, double *x)
{
    const int D = s->shape.D, Dp = beam_pad4(D);
    memset(x, 0, (size_t)(s->rows * 2 * Dp) * sizeof *x);
    for (int i = 0; i < s->rows; i++) {
        const beam_lc *row = s->w + s->row_to[i] * D;
        for (int d = 0; d < D; d++) {
            x[i * 2 * Dp + d] = (double)row[d].re[s->row_share[i]];
            x[i * 2 * Dp + Dp + d] = (double)row[d].im[s->row_share[i]];
        }
    }
}
