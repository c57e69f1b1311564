/* The perceptron (perceptron.c) of one problem. A lane is an output and weights are vectors, so an
 * input is one number of a row, read where the features' lanes have it: nothing is packed. */
#include <string.h>

#include "network/single_internal.h"

/* Signals of A rows: outputs `V` vectors of `apart` per input and row, from inputs x[at[a] + k
 * step]. A and V are constants where this is called. */
typedef struct signal_view {
    const beam_net_real *x;
    const int *at;
    int step, inputs;
    const beam_lane *weight; /* [inputs][apart] */
    int apart;
    const beam_lane *from; /* first values: [from_row[row]][apart] */
    const int *from_row;
    beam_lane *y; /* [rows][apart] */
} signal_view;

static inline beam_lane ramp(beam_lane x)
{
    return (x + beam_lane_sqrt(x * x + 1) - 1) / 2;
}

static inline __attribute__((always_inline)) void tile(int A, int V, bool active,
                                                       const signal_view *s, int row, int v)
{
    const int apart = s->apart, step = s->step, inputs = s->inputs;
    const beam_lane *weight = s->weight + v;
    const beam_net_real *x[6];
    beam_lane sum[6][4];
#pragma GCC unroll 6
    for (int a = 0; a < A; a++) {
        const beam_lane *from = s->from + s->from_row[row + a] * apart + v;
        x[a] = s->x + s->at[row + a];
#pragma GCC unroll 4
        for (int o = 0; o < V; o++) {
            sum[a][o] = from[o];
        }
    }
    for (int k = 0; k < inputs; k++, weight += apart) {
#pragma GCC unroll 6
        for (int a = 0; a < A; a++) {
            const beam_net_real in = x[a][k * step];
#pragma GCC unroll 4
            for (int o = 0; o < V; o++) {
                sum[a][o] += in * weight[o];
            }
        }
    }
#pragma GCC unroll 6
    for (int a = 0; a < A; a++) {
#pragma GCC unroll 4
        for (int o = 0; o < V; o++) {
            s->y[(row + a) * apart + v + o] = active ? ramp(sum[a][o]) : sum[a][o];
        }
    }
}

static inline __attribute__((always_inline)) void outputs4(bool active, const signal_view *s,
                                                           int rows, int v)
{
    int row = 0;
    for (; row + 3 <= rows; row += 3) {
        tile(3, 4, active, s, row, v);
    }
    for (; row < rows; row++) {
        tile(1, 4, active, s, row, v);
    }
}

static inline __attribute__((always_inline)) void outputs1(bool active, const signal_view *s,
                                                           int rows, int v)
{
    int row = 0;
    for (; row + 6 <= rows; row += 6) {
        tile(6, 1, active, s, row, v);
    }
    for (; row + 3 <= rows; row += 3) {
        tile(3, 1, active, s, row, v);
    }
    for (; row < rows; row++) {
        tile(1, 1, active, s, row, v);
    }
}

static void run(bool active, const signal_view *s, int rows)
{
    int v = 0;
    for (; v + 4 <= s->apart; v += 4) {
        if (active) {
            outputs4(true, s, rows, v);
        } else {
            outputs4(false, s, rows, v);
        }
    }
    for (; v < s->apart; v++) {
        if (active) {
            outputs1(true, s, rows, v);
        } else {
            outputs1(false, s, rows, v);
        }
    }
}

/* Means of hidden 1 over the rows of every station and, after these, over all. */
static void pool(NET(single) * s, int V)
{
    const int L = s->shape.L;
    beam_lane *all = s->pool + L * V;
    memset(all, 0, (size_t)V * sizeof *all);
    for (int l = 0, row = 0; l < L; l++) {
        const int n = s->shape.K[l] + s->shape.r;
        const beam_net_real one = 1 / (beam_net_real)n;
        for (int v = 0; v < V; v++) {
            beam_lane sum = {0};
            for (int i = 0; i < n; i++) {
                sum += s->hidden1[(row + i) * V + v];
            }
            all[v] += sum;
            s->pool[l * V + v] = sum * one;
        }
        row += n;
    }
    for (int v = 0; v < V; v++) {
        all[v] *= 1 / (beam_net_real)s->rows;
    }
}

/* Coefficients from rows of outputs to the lanes of the stations; what is not a row keeps 0. */
static void scatter(NET(single) * s)
{
    beam_net_real *to = (beam_net_real *)s->out;
    for (int row = 0; row < s->rows; row++) {
        const beam_net_real *from = (const beam_net_real *)(s->answer + row);
        for (int k = 0; k < BEAM_NET_COEFFICIENTS; k++) {
            to[k * s->n * BEAM_LANES + s->row_at[row]] = from[k];
        }
    }
}

void NET(single_perceptron)(NET(single) * s, const beam_lane *layer)
{
    const beam_net_columns at = NET(single_layout)(s->arch.width);
    const int V = at.V, W = s->arch.width, L = s->shape.L;
    const int zero[BEAM_LANES] = {0};
    signal_view station = {.x = (const beam_net_real *)s->x_station,
                           .at = s->station_at,
                           .step = BEAM_LANES,
                           .inputs = BEAM_NET_STATION_INPUTS,
                           .weight = layer + at.station1,
                           .apart = V,
                           .from = layer + at.b1,
                           .from_row = zero,
                           .y = s->term};
    run(false, &station, L);
    const signal_view first = {.x = (const beam_net_real *)s->x,
                               .at = s->row_at,
                               .step = s->n * BEAM_LANES,
                               .inputs = BEAM_NET_ROW_INPUTS,
                               .weight = layer + at.w1,
                               .apart = V,
                               .from = s->term,
                               .from_row = s->row_share,
                               .y = s->hidden1};
    run(true, &first, s->rows);
    pool(s, V);
    const signal_view all = {.x = (const beam_net_real *)(s->pool + L * V),
                             .at = zero,
                             .step = 1,
                             .inputs = W,
                             .weight = layer + at.all2,
                             .apart = V,
                             .from = layer + at.b2,
                             .from_row = zero,
                             .y = s->term + L * V};
    run(false, &all, 1);
    station = (signal_view){.x = (const beam_net_real *)s->pool,
                            .at = s->hidden_at,
                            .step = 1,
                            .inputs = W,
                            .weight = layer + at.station2,
                            .apart = V,
                            .from = s->term + L * V,
                            .from_row = zero,
                            .y = s->term};
    run(false, &station, L);
    const signal_view second = {.x = (const beam_net_real *)s->hidden1,
                                .at = s->hidden_at,
                                .step = 1,
                                .inputs = W,
                                .weight = layer + at.w2,
                                .apart = V,
                                .from = s->term,
                                .from_row = s->row_share,
                                .y = s->hidden2};
    run(true, &second, s->rows);
    const signal_view last = {.x = (const beam_net_real *)s->hidden2,
                              .at = s->hidden_at,
                              .step = 1,
                              .inputs = W,
                              .weight = layer + at.w3,
                              .apart = 1,
                              .from = layer + at.b3,
                              .from_row = s->no_row,
                              .y = s->answer};
    run(false, &last, s->rows);
    scatter(s);
}
