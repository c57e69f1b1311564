/* What the perceptron sees of a row: invariants of the row, of its directions, of its station and
 * of the whole problem, all of order 1. Sums over users enter as means or ratios, so that they do
 * not drift with their number. */
#include <string.h>

#include "network/block_internal.h"

static const beam_net_real tiny = (beam_net_real)1e-12;
static const beam_net_real part_floor = (beam_net_real)1e-6; /* of a row's part in a direction */

/* x with slope 1 at 0, bounded by +-1, and its slope. */
static inline beam_lane squash(beam_lane x)
{
    return x / beam_lane_sqrt(1 + x * x);
}
static inline beam_lane squash_slope(beam_lane x)
{
    const beam_lane s = 1 + x * x;
    return 1 / (s * beam_lane_sqrt(s));
}

static inline beam_lane *feature(const NET(block) * b, beam_lane *x, int f, int i)
{
    return x + f * b->rows + i;
}

static inline beam_lane all(double value)
{
    return beam_lane_all((beam_net_real)value);
}

/* Position of a row's power in G. */
static inline int diagonal(const NET(block) * b, int l, int i)
{
    return (l * b->n_max + i) * b->n_max + i;
}

static void row_features(NET(block) * b)
{
    const beam_net_real fifth = (beam_net_real)0.2, tenth = (beam_net_real)0.1;
    for (int l = 0, u = 0; l < b->shape.L; l++) {
        for (int i = 0; i < b->n[l]; i++) {
            const int row = b->first[l] + i;
            const beam_lane p = b->G[diagonal(b, l, i)].re;
            const bool beam = i < b->shape.K[l];
            *feature(b, b->x, 0, row) = all(beam ? 0 : 1);
            *feature(b, b->x, 1, row) = fifth * beam_lane_log(p + (beam_net_real)1e-4);
            for (int f = 2; f < BEAM_NET_ROW_FEATURES && !beam; f++) {
                *feature(b, b->x, f, row) = all(0);
            }
            if (!beam) {
                continue;
            }
            const beam_net_user *user = b->rate.user + u;
            *feature(b, b->x, 2, row) = user->rate * fifth;
            *feature(b, b->x, 3, row) = b->share[u] / 2;
            *feature(b, b->x, 4, row) = b->log_h2[u] * tenth;
            *feature(b, b->x, 5, row) = b->radius[u] * 4;
            *feature(b, b->x, 6, row) = user->nominal / (b->h2[l * b->shape.U + u] * p + tiny);
            *feature(b, b->x, 7, row) = beam_lane_log(user->noise) * fifth;
            *feature(b, b->x, 8, row) = user->signal / (user->nominal + (beam_net_real)1e-3);
            u++;
        }
    }
}

static void row_features_adjoint(NET(block) * b)
{
    const beam_net_real fifth = (beam_net_real)0.2;
    for (int l = 0, u = 0; l < b->shape.L; l++) {
        for (int i = 0; i < b->n[l]; i++) {
            const int row = b->first[l] + i;
            const beam_lane p = b->G[diagonal(b, l, i)].re;
            beam_lane *p_bar = &b->G_bar[diagonal(b, l, i)].re;
            *p_bar += *feature(b, b->x_bar, 1, row) * fifth / (p + (beam_net_real)1e-4);
            if (i >= b->shape.K[l]) {
                continue;
            }
            const beam_net_user *user = b->rate.user + u;
            beam_net_user *bar = b->rate.user_bar + u;
            const beam_lane h2 = b->h2[l * b->shape.U + u], room = h2 * p + tiny;
            const beam_lane aligned = *feature(b, b->x_bar, 6, row) / room;
            bar->rate += *feature(b, b->x_bar, 2, row) * fifth;
            bar->nominal += aligned;
            *p_bar -= aligned * user->nominal / room * h2;
            bar->noise += *feature(b, b->x_bar, 7, row) * fifth / user->noise;
            const beam_lane nominal = user->nominal + (beam_net_real)1e-3;
            const beam_lane kept = *feature(b, b->x_bar, 8, row) / nominal;
            bar->signal += kept;
            bar->nominal -= kept * user->signal / nominal;
            u++;
        }
    }
}

static beam_lane inner(int D, const beam_lc *a, const beam_lc *c)
{
    beam_lane sum = {0};
    for (int d = 0; d < D; d++) {
        sum += beam_lc_inner(a[d], c[d]);
    }
    return sum;
}

static void add_scaled(int D, beam_lane s, const beam_lc *a, beam_lc *to)
{
    for (int d = 0; d < D; d++) {
        beam_lc_add_scaled(&to[d], s, a[d]);
    }
}

/* 1/norm of a direction at a station; 1 for those that are not normalised. */
static inline beam_lane unit_of(const NET(block) * b, int k, int l)
{
    return k < BEAM_NET_NORMALISED ? b->unit[k * b->shape.L + l] : all(1);
}

/* Squared length of A directions of a row, `apart` from each other, and their products with the row
 * and with the objective's gradient. A is a constant where this is called. */
static inline __attribute__((always_inline)) void
direction_products(int A, int D, int apart, const beam_lc *d, const beam_lc *w,
                   const beam_lc *gradient, int rows, beam_lane *out)
{
    beam_lane length2[2] = {{0}}, with_w[2] = {{0}}, with_g[2] = {{0}};
    for (int i = 0; i < D; i++) {
        const beam_lc x = w[i], g = gradient[i];
#pragma GCC unroll 2
        for (int a = 0; a < A; a++) {
            const beam_lc y = d[a * apart + i];
            beam_lc_add_norm2(&length2[a], y);
            beam_lc_add_inner(&with_w[a], x, y);
            beam_lc_add_inner(&with_g[a], g, y);
        }
    }
#pragma GCC unroll 2
    for (int a = 0; a < A; a++) {
        out[3 * a * rows] = length2[a];
        out[(3 * a + 1) * rows] = with_w[a];
        out[(3 * a + 2) * rows] = with_g[a];
    }
}

static void row_products(const NET(block) * b, const beam_lc *w)
{
    const int D = b->shape.D, rows = b->rows, apart = rows * D;
    for (int i = 0; i < rows; i++) {
        const beam_lc *d = b->direction + i * D, *g = b->gradient + i * D;
        beam_lane *out = feature(b, b->x, BEAM_NET_ROW_FEATURES, i);
        int k = 0;
        for (; k + 2 <= BEAM_NET_DIRECTIONS; k += 2) {
            direction_products(2, D, apart, d + k * apart, w + i * D, g, rows, out + 3 * k * rows);
        }
        if (k < BEAM_NET_DIRECTIONS) {
            direction_products(1, D, apart, d + k * apart, w + i * D, g, rows, out + 3 * k * rows);
        }
    }
}

/* Of the directions and the gradient over a station, from the products of its rows. */
static void norms(NET(block) * b, int l)
{
    const int L = b->shape.L, D = b->shape.D;
    beam_lane sum[BEAM_NET_NORMALISED + 1];
    for (int k = 0; k < BEAM_NET_NORMALISED; k++) {
        sum[k] = all(tiny);
        for (int i = b->first[l]; i < b->first[l + 1]; i++) {
            sum[k] += *feature(b, b->x, BEAM_NET_ROW_FEATURES + 3 * k, i);
        }
    }
    sum[BEAM_NET_NORMALISED] = all(tiny);
    for (int i = b->first[l] * D; i < b->first[l + 1] * D; i++) {
        beam_lc_add_norm2(&sum[BEAM_NET_NORMALISED], b->gradient[i]);
    }
    for (int k = 0; k <= BEAM_NET_NORMALISED; k++) {
        b->norm[k * L + l] = beam_lane_sqrt(sum[k]);
        b->unit[k * L + l] = 1 / b->norm[k * L + l];
    }
}

/* Length, product with the row, and cosine with the objective's gradient, from the products. */
static void direction_features(NET(block) * b, int l)
{
    const beam_lane unit_g = b->unit[BEAM_NET_NORMALISED * b->shape.L + l];
    for (int k = 0; k < BEAM_NET_DIRECTIONS; k++) {
        const beam_lane unit = unit_of(b, k, l), unit2 = unit * unit, units = unit * unit_g;
        const int f = BEAM_NET_ROW_FEATURES + 3 * k;
        for (int i = b->first[l]; i < b->first[l + 1]; i++) {
            beam_lane *length = feature(b, b->x, f, i);
            *length = beam_lane_sqrt(*length * unit2 + part_floor);
            *feature(b, b->x, f + 1, i) *= unit;
            *feature(b, b->x, f + 2, i) *= units;
        }
    }
}

static void direction_features_adjoint(NET(block) * b, const beam_lc *w, beam_lc *w_bar)
{
    const int D = b->shape.D, L = b->shape.L;
    for (int l = 0; l < L; l++) {
        beam_lane *norm_g_bar = b->norm_bar + BEAM_NET_NORMALISED * L + l;
        const beam_lane unit_g = b->unit[BEAM_NET_NORMALISED * L + l];
        for (int k = 0; k < BEAM_NET_DIRECTIONS; k++) {
            const beam_lane unit = unit_of(b, k, l);
            beam_lane unit_bar = {0};
            for (int i = b->first[l]; i < b->first[l + 1]; i++) {
                const int f = BEAM_NET_ROW_FEATURES + 3 * k, at = i * D;
                const beam_lc *d = NET(direction_of)(b, k) + at;
                beam_lc *d_bar = b->direction_bar + (d - b->direction);
                const beam_lane part = *feature(b, b->x_bar, f, i) / *feature(b, b->x, f, i);
                const beam_lane with_w = *feature(b, b->x_bar, f + 1, i);
                const beam_lane with_g = *feature(b, b->x_bar, f + 2, i);
                add_scaled(D, part * unit * unit, d, d_bar);
                add_scaled(D, with_w * unit, w + at, d_bar);
                add_scaled(D, with_g * unit * unit_g, b->gradient + at, d_bar);
                add_scaled(D, with_w * unit, d, w_bar + at);
                add_scaled(D, with_g * unit * unit_g, d, b->gradient_bar + at);
                const beam_lane cosine = with_g * *feature(b, b->x, f + 2, i);
                unit_bar +=
                    part * inner(D, d, d) * unit + with_w * inner(D, w + at, d) + cosine / unit;
                *norm_g_bar -= cosine * unit_g;
            }
            if (k < BEAM_NET_NORMALISED) {
                b->norm_bar[k * L + l] -= unit_bar * unit * unit;
            }
        }
    }
}

static const beam_net_real norm_scale = (beam_net_real)0.14;

/* Of a station; the same for all of its rows. */
static inline beam_lane *shared(const NET(block) * b, beam_lane *x, int f, int l)
{
    return x + f * b->shape.L + l;
}

static void station_features(NET(block) * b, const beam_lane inner_rate[],
                             const beam_lane inner_sensing[])
{
    const int L = b->shape.L;
    for (int l = 0; l < L; l++) {
        *shared(b, b->x_station, 0, l) = b->power[l];
        *shared(b, b->x_station, 1, l) = squash(inner_rate[l]);
        *shared(b, b->x_station, 2, l) = squash(inner_sensing[l]);
        *shared(b, b->x_station, 3, l) = all(b->n[l] / 8.0);
        for (int k = 0; k < BEAM_NET_NORMALISED; k++) {
            *shared(b, b->x_station, 4 + k, l) = norm_scale * beam_lane_log(b->norm[k * L + l]);
        }
    }
}

static void global_features(NET(block) * b)
{
    beam_lane value[BEAM_NET_GLOBAL_FEATURES];
    value[0] = b->w1;
    value[1] = b->balance;
    value[2] = b->f1 / 2;
    value[3] = squash(b->sensing.loss / 2);
    value[4] = squash(5 * (b->w1 * b->f1 - b->w2 * b->sensing.loss));
    value[5] = all(b->shape.U / 8.0);
    value[6] = all((double)b->shape.U / b->shape.D);
    value[7] = all(b->shape.L / 4.0);
    for (int f = 0; f < BEAM_NET_GLOBAL_FEATURES; f++) {
        for (int l = 0; l < b->shape.L; l++) {
            *shared(b, b->x_station, BEAM_NET_STATION_FEATURES + f, l) = value[f];
        }
    }
}

/* Adjoint of a global feature: the sum over the stations. */
static beam_lane global_bar(const NET(block) * b, int f)
{
    beam_lane sum = {0};
    for (int l = 0; l < b->shape.L; l++) {
        sum += *shared(b, b->x_station_bar, BEAM_NET_STATION_FEATURES + f, l);
    }
    return sum;
}

static void global_features_adjoint(NET(block) * b)
{
    const beam_lane loss = b->sensing.loss, gap = 5 * (b->w1 * b->f1 - b->w2 * loss);
    const beam_lane gap_bar = 5 * squash_slope(gap) * global_bar(b, 4);
    b->balance_bar += global_bar(b, 1);
    b->f1_bar += global_bar(b, 2) / 2 + gap_bar * b->w1;
    b->sensing.loss_bar += global_bar(b, 3) * squash_slope(loss / 2) / 2 - gap_bar * b->w2;
}

void NET(features)(NET(block) * b, const beam_lc *w)
{
    beam_lane inner_w[2][BEAM_MAX_STATIONS] = {{{0}}}; /* of the rate's and sensing's direction */
    row_products(b, w);
    for (int l = 0; l < b->shape.L; l++) {
        for (int k = 0; k < 2; k++) {
            for (int i = b->first[l]; i < b->first[l + 1]; i++) {
                const int f = BEAM_NET_ROW_FEATURES + 3 * (BEAM_NET_RATE + k) + 1;
                inner_w[k][l] += *feature(b, b->x, f, i);
            }
        }
        norms(b, l);
        direction_features(b, l);
    }
    row_features(b);
    station_features(b, inner_w[0], inner_w[1]);
    global_features(b);
}

static void station_features_adjoint(NET(block) * b, const beam_lc *w, beam_lc *w_bar)
{
    const int D = b->shape.D, L = b->shape.L;
    for (int l = 0; l < L; l++) {
        const int at = b->first[l] * D, count = b->n[l] * D;
        b->power_bar[l] += *shared(b, b->x_station_bar, 0, l);
        for (int k = 0; k < 2; k++) {
            const beam_lc *d = NET(direction_of)(b, BEAM_NET_RATE + k) + at;
            const beam_lane slope =
                squash_slope(inner(count, w + at, d)) * *shared(b, b->x_station_bar, 1 + k, l);
            add_scaled(count, slope, d, w_bar + at);
            add_scaled(count, slope, w + at, b->direction_bar + (d - b->direction));
        }
        for (int k = 0; k < BEAM_NET_NORMALISED; k++) {
            b->norm_bar[k * L + l] +=
                norm_scale * *shared(b, b->x_station_bar, 4 + k, l) / b->norm[k * L + l];
        }
    }
}

void NET(features_adjoint)(NET(block) * b, const beam_lc *w, beam_lc *w_bar)
{
    global_features_adjoint(b);
    station_features_adjoint(b, w, w_bar);
    direction_features_adjoint(b, w, w_bar);
    row_features_adjoint(b);
}
