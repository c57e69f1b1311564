/* The perceptron of a layer: per row features -> hidden 1 -> hidden 2, which also sees the means of
 * hidden 1 over the row's station and over all rows, -> coefficients. The features that a station's
 * rows share enter hidden 1 once per station.
 *
 * A column is one row of one problem. With all lanes in use a vector holds a row of 8 problems.
 * With few, their columns are packed: column `row used + lane`, 8 of them in a vector. Sums run in
 * the same order both ways, so that results have the same bits. */
#include <string.h>

#include "network/block_internal.h"
#include "network/dense.h"

enum {
    STATION_INPUTS = BEAM_NET_STATION_FEATURES + BEAM_NET_GLOBAL_FEATURES,
    ROW_INPUTS = BEAM_NET_FEATURES - STATION_INPUTS
};

/* More lanes are not worth the packing. */
enum { PACKED_MOST = 4 };

static void add_bias(int outputs, int columns, const beam_net_real *bias, beam_lane *y)
{
    for (int o = 0; o < outputs; o++) {
        for (int c = 0; c < columns; c++) {
            y[o * columns + c] += bias[o];
        }
    }
}

static void add_bias_adjoint(int outputs, int columns, const beam_lane *y_bar,
                             beam_net_real *bias_bar)
{
    for (int o = 0; o < outputs; o++) {
        beam_lane sum = {0};
        for (int c = 0; c < columns; c++) {
            sum += y_bar[o * columns + c];
        }
        bias_bar[o] += beam_lane_sum(sum);
    }
}

/* Where the rows of the stations begin, in an array that no store to a signal can change: the
 * compiler would read the block's again after each. */
static void row_ranges(const NET(block) * b, int first[])
{
    memcpy(first, b->first, ((size_t)b->shape.L + 1) * sizeof *first);
}

/* 1/rows of every station; returns that of all. */
static beam_net_real shares(const NET(block) * b, beam_net_real station[])
{
    for (int l = 0; l < b->shape.L; l++) {
        station[l] = 1 / (beam_net_real)b->n[l];
    }
    return 1 / (beam_net_real)b->rows;
}

/* Vectors that hold `count` rows or stations of `used` problems. */
static inline int packed(int count, int used)
{
    return (count * used + BEAM_LANES - 1) / BEAM_LANES;
}

/* Signals [n][count] of vectors to [n][packed] in place: nothing is written before it is read. */
static inline void pack(int n, int count, int used, beam_lane *signal)
{
    beam_net_real *to = (beam_net_real *)signal;
    const beam_net_real *from = to;
    const int columns = packed(count, used) * BEAM_LANES;
    for (int k = 0; k < n; k++, to += columns, from += count * BEAM_LANES) {
        for (int i = 0; i < count; i++) {
            for (int lane = 0; lane < used; lane++) {
                to[i * used + lane] = from[i * BEAM_LANES + lane];
            }
        }
    }
}

/* And back, from the end; the other lanes are as the first. */
static inline void unpack(int n, int count, int used, beam_lane *signal)
{
    const int columns = packed(count, used) * BEAM_LANES;
    for (int k = n - 1; k >= 0; k--) {
        const beam_net_real *from = (const beam_net_real *)signal + k * columns;
        for (int i = count - 1; i >= 0; i--) {
            beam_lane x = beam_lane_all(from[i * used]);
            for (int lane = 1; lane < used; lane++) {
                x[lane] = from[i * used + lane];
            }
            signal[k * count + i] = x;
        }
    }
}

/* Means over the rows of every station and over all. */
static void pool(NET(block) * b)
{
    const int L = b->shape.L;
    beam_net_real one[BEAM_MAX_STATIONS];
    const beam_net_real all = shares(b, one);
    int first[BEAM_MAX_STATIONS + 1];
    row_ranges(b, first);
    for (int k = 0; k < b->arch.width; k++) {
        const beam_lane *h = b->hidden1 + k * b->rows;
        beam_lane total = {0};
        for (int l = 0; l < L; l++) {
            beam_lane sum = {0};
            for (int i = first[l]; i < first[l + 1]; i++) {
                sum += h[i];
            }
            b->pool_station[k * L + l] = sum * one[l];
            total += sum;
        }
        b->pool_all[k] = total * all;
    }
}

/* The same of packed columns. The loops over k are inside: the others are short, and their ends
 * hard to foresee. */
static void pool_packed(NET(block) * b, int used)
{
    const int L = b->shape.L, W = b->arch.width, columns = packed(b->rows, used) * BEAM_LANES,
              stations = packed(L, used) * BEAM_LANES;
    const beam_net_real *h = (const beam_net_real *)b->hidden1;
    beam_net_real *total = (beam_net_real *)b->pool_all;
    beam_net_real one[BEAM_MAX_STATIONS];
    const beam_net_real all = shares(b, one);
    int first[BEAM_MAX_STATIONS + 1];
    row_ranges(b, first);
    memset(b->pool_station, 0, sizeof(beam_net_real) * (size_t)(W * stations));
    memset(b->pool_all, 0, sizeof(beam_lane) * (size_t)W);
    for (int l = 0; l < L; l++) {
        for (int lane = 0; lane < used; lane++) {
            beam_net_real *mean = (beam_net_real *)b->pool_station + l * used + lane;
            for (int i = first[l]; i < first[l + 1]; i++) {
                for (int k = 0; k < W; k++) {
                    mean[k * stations] += h[k * columns + i * used + lane];
                }
            }
            for (int k = 0; k < W; k++) {
                total[k * BEAM_LANES + lane] += mean[k * stations];
                mean[k * stations] *= one[l];
            }
        }
    }
    for (int k = 0; k < W; k++) {
        b->pool_all[k] *= all;
    }
}

/* y of a row = the term of its station, plus that of all if there is one. */
static void spread(const NET(block) * b, const beam_lane *term, const beam_lane *all, beam_lane *y)
{
    const int L = b->shape.L, rows = b->rows, W = b->arch.width;
    int first[BEAM_MAX_STATIONS + 1];
    row_ranges(b, first);
    for (int k = 0; k < W; k++) {
        for (int l = 0; l < L; l++) {
            beam_lane value = term[k * L + l];
            if (all) {
                value += all[k];
            }
            for (int i = first[l]; i < first[l + 1]; i++) {
                y[k * rows + i] = value;
            }
        }
    }
}

static void spread_packed(const NET(block) * b, int used, const beam_lane *term,
                          const beam_lane *all, beam_lane *y)
{
    const int L = b->shape.L, W = b->arch.width, columns = packed(b->rows, used) * BEAM_LANES,
              stations = packed(L, used) * BEAM_LANES;
    int first[BEAM_MAX_STATIONS + 1];
    row_ranges(b, first);
    for (int l = 0; l < L; l++) {
        for (int i = first[l]; i < first[l + 1]; i++) {
            for (int lane = 0; lane < used; lane++) {
                const beam_net_real *from = (const beam_net_real *)term + l * used + lane;
                beam_net_real *to = (beam_net_real *)y + i * used + lane;
                for (int k = 0; k < W; k++) {
                    to[k * columns] = from[k * stations];
                }
            }
        }
    }
    for (int lane = 0; all && lane < used; lane++) {
        const beam_net_real *from = (const beam_net_real *)all + lane;
        for (int i = 0; i < b->rows; i++) {
            beam_net_real *to = (beam_net_real *)y + i * used + lane;
            for (int k = 0; k < W; k++) {
                to[k * columns] += from[k * BEAM_LANES];
            }
        }
    }
}

void NET(perceptron)(NET(block) * b, const beam_net_real *theta)
{
    /* backward wants the signals as they are */
    const int used = b->training || b->used > PACKED_MOST ? BEAM_LANES : b->used;
    const int W = b->arch.width, F = BEAM_NET_FEATURES, columns = packed(b->rows, used),
              stations = packed(b->shape.L, used);
    const beam_net_layout p = beam_net_layer_layout(W);
    if (used < BEAM_LANES) {
        pack(ROW_INPUTS, b->rows, used, b->x);
        pack(STATION_INPUTS, b->shape.L, used, b->x_station);
    }
    NET(dense)
    (W, STATION_INPUTS, F, stations, theta + p.w1 + ROW_INPUTS, b->x_station, b->term_station);
    add_bias(W, stations, theta + p.b1, b->term_station);
    if (used < BEAM_LANES) {
        spread_packed(b, used, b->term_station, NULL, b->hidden1);
    } else {
        spread(b, b->term_station, NULL, b->hidden1);
    }
    NET(dense_add)(W, ROW_INPUTS, F, columns, theta + p.w1, b->x, b->hidden1);
    NET(ramp)(W * columns, b->hidden1);
    if (used < BEAM_LANES) {
        pool_packed(b, used);
    } else {
        pool(b);
    }
    NET(dense)(W, W, W, stations, theta + p.station2, b->pool_station, b->term_station);
    NET(dense)(W, W, W, 1, theta + p.all2, b->pool_all, b->term_all);
    add_bias(W, 1, theta + p.b2, b->term_all);
    if (used < BEAM_LANES) {
        spread_packed(b, used, b->term_station, b->term_all, b->hidden2);
    } else {
        spread(b, b->term_station, b->term_all, b->hidden2);
    }
    NET(dense_add)(W, W, W, columns, theta + p.w2, b->hidden1, b->hidden2);
    NET(ramp)(W * columns, b->hidden2);
    NET(dense)(BEAM_NET_COEFFICIENTS, W, W, columns, theta + p.w3, b->hidden2, b->out);
    add_bias(BEAM_NET_COEFFICIENTS, columns, theta + p.b3, b->out);
    if (used < BEAM_LANES) {
        unpack(BEAM_NET_COEFFICIENTS, b->rows, used, b->out);
    }
}

/* Adjoint of a hidden signal before its activation, summed over the rows that share a term. */
static void terms_adjoint(NET(block) * b, const beam_lane *bar)
{
    const int W = b->arch.width, rows = b->rows, L = b->shape.L;
    int first[BEAM_MAX_STATIONS + 1];
    row_ranges(b, first);
    for (int k = 0; k < W; k++) {
        beam_lane total = {0};
        for (int l = 0; l < L; l++) {
            beam_lane sum = {0};
            for (int i = first[l]; i < first[l + 1]; i++) {
                sum += bar[k * rows + i];
            }
            b->term_station[k * L + l] = sum;
            total += sum;
        }
        b->term_all[k] = total;
    }
}

static void pool_adjoint(NET(block) * b)
{
    const int L = b->shape.L;
    beam_net_real one[BEAM_MAX_STATIONS];
    const beam_net_real all = shares(b, one);
    int first[BEAM_MAX_STATIONS + 1];
    row_ranges(b, first);
    for (int k = 0; k < b->arch.width; k++) {
        for (int l = 0; l < L; l++) {
            const beam_lane bar =
                b->pool_station_bar[k * L + l] * one[l] + b->pool_all_bar[k] * all;
            for (int i = first[l]; i < first[l + 1]; i++) {
                b->hidden1_bar[k * b->rows + i] += bar;
            }
        }
    }
}

void NET(perceptron_adjoint)(NET(block) * b, const beam_net_real *theta, beam_net_real *theta_bar)
{
    const int W = b->arch.width, F = BEAM_NET_FEATURES, rows = b->rows, L = b->shape.L;
    const beam_net_layout p = beam_net_layer_layout(W);
    const size_t size = sizeof(beam_lane) * (size_t)W;
    memset(b->hidden1_bar, 0, size * (size_t)rows);
    memset(b->hidden2_bar, 0, size * (size_t)rows);
    memset(b->pool_station_bar, 0, size * (size_t)L);
    memset(b->pool_all_bar, 0, size);
    memset(b->x_bar, 0, sizeof(beam_lane) * (size_t)(ROW_INPUTS * rows));
    memset(b->x_station_bar, 0, sizeof(beam_lane) * (size_t)(STATION_INPUTS * L));
    add_bias_adjoint(BEAM_NET_COEFFICIENTS, rows, b->out_bar, theta_bar + p.b3);
    NET(dense_adjoint)
    (BEAM_NET_COEFFICIENTS, W, W, rows, theta + p.w3, b->hidden2, b->out_bar, b->hidden2_bar,
     theta_bar + p.w3);
    NET(ramp_adjoint)(W * rows, b->hidden2, b->hidden2_bar);
    terms_adjoint(b, b->hidden2_bar);
    add_bias_adjoint(W, 1, b->term_all, theta_bar + p.b2);
    NET(dense_adjoint)
    (W, W, W, 1, theta + p.all2, b->pool_all, b->term_all, b->pool_all_bar, theta_bar + p.all2);
    NET(dense_adjoint)
    (W, W, W, L, theta + p.station2, b->pool_station, b->term_station, b->pool_station_bar,
     theta_bar + p.station2);
    NET(dense_adjoint)
    (W, W, W, rows, theta + p.w2, b->hidden1, b->hidden2_bar, b->hidden1_bar, theta_bar + p.w2);
    pool_adjoint(b);
    NET(ramp_adjoint)(W * rows, b->hidden1, b->hidden1_bar);
    terms_adjoint(b, b->hidden1_bar);
    add_bias_adjoint(W, 1, b->term_all, theta_bar + p.b1);
    NET(dense_adjoint)
    (W, STATION_INPUTS, F, L, theta + p.w1 + ROW_INPUTS, b->x_station, b->term_station,
     b->x_station_bar, theta_bar + p.w1 + ROW_INPUTS);
    NET(dense_adjoint)
    (W, ROW_INPUTS, F, rows, theta + p.w1, b->x, b->hidden1_bar, b->x_bar, theta_bar + p.w1);
}
