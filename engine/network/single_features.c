/* The perceptron's inputs of one problem, lanes = stations; features.c says what they are. */
#include <math.h>
#include <string.h>

#include "network/single_internal.h"

static const beam_net_real tiny = (beam_net_real)1e-12;
static const beam_net_real part_floor = (beam_net_real)1e-6;
static const beam_net_real norm_scale = (beam_net_real)0.14;

static inline beam_lane squash(beam_lane x)
{
    return x / beam_lane_sqrt(1 + x * x);
}

static inline beam_lane all(double value)
{
    return beam_lane_all((beam_net_real)value);
}

static inline beam_lane *feature(const NET(single) * s, int f, int i)
{
    return s->x + f * s->n + i;
}

void NET(single_constant_features)(NET(single) * s, const beam_problem *p)
{
    const int U = s->shape.U, global = BEAM_NET_STATION_FEATURES;
    const beam_net_real tenth = (beam_net_real)0.1;
    double total = 0;
    memset(s->x, 0, (size_t)(BEAM_NET_ROW_INPUTS * s->n) * sizeof *s->x);
    for (int i = s->K; i < s->n; i++) {
        *feature(s, 0, i) = all(1);
    }
    for (int u = 0; u < U; u++) {
        total += p->weight[u];
    }
    for (int u = 0; u < U; u++) {
        const int l = s->own[u], j = s->row[u];
        const size_t at = (size_t)l * (size_t)U + (size_t)u;
        const double eps = p->eps[at], radius = eps / sqrt(eps * eps + p->hnorm2[at] + 1e-12);
        const double share = total > 0 ? p->weight[u] * U / total : 0;
        (*feature(s, 3, j))[l] = (beam_net_real)share / 2;
        (*feature(s, 4, j))[l] = (beam_net_real)log1p(p->hnorm2[at]) * tenth;
        (*feature(s, 5, j))[l] = (beam_net_real)radius * 4;
    }
    for (int l = 0; l < s->shape.L; l++) {
        s->x_station[3][l] = (beam_net_real)((p->K[l] + p->r) / 8.0);
    }
    s->x_station[global + 5] = all(U / 8.0);
    s->x_station[global + 6] = all((double)U / s->shape.D);
    s->x_station[global + 7] = all(s->shape.L / 4.0);
}

static void row_features(NET(single) * s)
{
    const beam_net_real fifth = (beam_net_real)0.2;
    for (int i = 0; i < s->n; i++) {
        *feature(s, 1, i) = fifth * beam_lane_log(s->G[i * s->n + i].re + (beam_net_real)1e-4);
    }
    for (int j = 0; j < s->K; j++) {
        const beam_net_single_user *user = s->user + j;
        const beam_lane p = s->G[j * s->n + j].re;
        *feature(s, 2, j) = user->rate * fifth;
        *feature(s, 6, j) = user->nominal / (s->h2_own[j] * p + tiny);
        *feature(s, 7, j) = beam_lane_log(user->noise) * fifth;
        *feature(s, 8, j) = user->signal / (user->nominal + (beam_net_real)1e-3);
    }
}

/* Squared length of A directions of a row and their products with the row and the gradient. A is a
 * constant where this is called. */
static inline __attribute__((always_inline)) void
direction_products(int A, int D, int apart, const beam_lc *d, const beam_lc *w,
                   const beam_lc *gradient, int n, beam_lane *out)
{
    beam_lane length2[4] = {{0}}, with_w[4] = {{0}}, with_g[4] = {{0}};
    for (int i = 0; i < D; i++) {
        const beam_lc x = w[i], g = gradient[i];
#pragma GCC unroll 4
        for (int a = 0; a < A; a++) {
            const beam_lc y = d[a * apart + i];
            beam_lc_add_norm2(&length2[a], y);
            beam_lc_add_inner(&with_w[a], x, y);
            beam_lc_add_inner(&with_g[a], g, y);
        }
    }
#pragma GCC unroll 4
    for (int a = 0; a < A; a++) {
        out[3 * a * n] = length2[a];
        out[(3 * a + 1) * n] = with_w[a];
        out[(3 * a + 2) * n] = with_g[a];
    }
}

static void row_products(NET(single) * s)
{
    const int D = s->shape.D, n = s->n, apart = n * D;
    for (int i = 0; i < n; i++) {
        const beam_lc *d = s->direction + i * D, *w = s->w + i * D, *g = s->gradient + i * D;
        beam_lane *out = feature(s, BEAM_NET_ROW_FEATURES, i);
        int k = 0;
        for (; k + 4 <= BEAM_NET_DIRECTIONS; k += 4) {
            direction_products(4, D, apart, d + k * apart, w, g, n, out + 3 * k * n);
        }
        for (; k + 3 <= BEAM_NET_DIRECTIONS; k += 3) {
            direction_products(3, D, apart, d + k * apart, w, g, n, out + 3 * k * n);
        }
        for (; k < BEAM_NET_DIRECTIONS; k++) {
            direction_products(1, D, apart, d + k * apart, w, g, n, out + 3 * k * n);
        }
    }
}

/* Of the directions and of the gradient over a station. */
static void norms(NET(single) * s)
{
    const int n = s->n, D = s->shape.D;
    beam_lane sum[BEAM_NET_NORMALISED + 1];
    for (int k = 0; k < BEAM_NET_NORMALISED; k++) {
        sum[k] = all(tiny);
        for (int i = 0; i < n; i++) {
            sum[k] += *feature(s, BEAM_NET_ROW_FEATURES + 3 * k, i);
        }
    }
    sum[BEAM_NET_NORMALISED] = all(tiny);
    for (int i = 0; i < n * D; i++) {
        beam_lc_add_norm2(&sum[BEAM_NET_NORMALISED], s->gradient[i]);
    }
    for (int k = 0; k <= BEAM_NET_NORMALISED; k++) {
        s->norm[k] = beam_lane_sqrt(sum[k]);
        s->unit[k] = 1 / s->norm[k];
    }
}

/* Length, product with the row, and cosine with the gradient, from the products. */
static void direction_features(NET(single) * s)
{
    for (int k = 0; k < BEAM_NET_DIRECTIONS; k++) {
        const beam_lane unit = k < BEAM_NET_NORMALISED ? s->unit[k] : all(1), unit2 = unit * unit,
                        units = unit * s->unit[BEAM_NET_NORMALISED];
        beam_lane *at = feature(s, BEAM_NET_ROW_FEATURES + 3 * k, 0);
        for (int i = 0; i < s->n; i++) {
            at[i] = beam_lane_sqrt(at[i] * unit2 + part_floor);
            at[s->n + i] *= unit;
            at[2 * s->n + i] *= units;
        }
    }
}

static void station_features(NET(single) * s)
{
    beam_lane *x = s->x_station;
    x[0] = s->power;
    for (int k = 0; k < 2; k++) { /* of the rate's and sensing's direction, before scaling */
        beam_lane sum = {0};
        for (int i = 0; i < s->n; i++) {
            sum += *feature(s, BEAM_NET_ROW_FEATURES + 3 * (BEAM_NET_RATE + k) + 1, i);
        }
        x[1 + k] = squash(sum);
    }
    for (int k = 0; k < BEAM_NET_NORMALISED; k++) {
        x[4 + k] = norm_scale * beam_lane_log(s->norm[k]);
    }
    x += BEAM_NET_STATION_FEATURES;
    x[0] = s->w1;
    x[1] = s->balance;
    x[2] = s->f1 / 2;
    x[3] = squash(s->loss / 2);
    x[4] = squash(5 * (s->w1 * s->f1 - s->w2 * s->loss));
}

void NET(single_features)(NET(single) * s)
{
    row_products(s);
    norms(s);
    station_features(s);
    direction_features(s);
    row_features(s);
}
