/* The perceptron of a layer: per row features -> hidden 1 -> hidden 2, which also sees the means of
 * hidden 1 over the row's station and over all rows, -> coefficients. */
#include <string.h>

#include "network/block_internal.h"
#include "network/dense.h"

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

static inline beam_net_real over(int count)
{
    return 1 / (beam_net_real)count;
}

static void pool(NET(block) * b)
{
    const int L = b->shape.L;
    for (int k = 0; k < b->arch.width; k++) {
        const beam_lane *h = b->hidden1 + k * b->rows;
        beam_lane total = {0};
        for (int l = 0; l < L; l++) {
            beam_lane sum = {0};
            for (int i = b->first[l]; i < b->first[l + 1]; i++) {
                sum += h[i];
            }
            b->pool_station[k * L + l] = sum * over(b->n[l]);
            total += sum;
        }
        b->pool_all[k] = total * over(b->rows);
    }
}

void NET(perceptron)(NET(block) * b, const beam_net_real *theta)
{
    const int W = b->arch.width, rows = b->rows, L = b->shape.L;
    const beam_net_layout p = beam_net_layer_layout(W);
    NET(dense)(W, BEAM_NET_FEATURES, rows, theta + p.w1, b->x, false, b->hidden1);
    add_bias(W, rows, theta + p.b1, b->hidden1);
    NET(ramp)(W * rows, b->hidden1);
    pool(b);
    NET(dense)(W, W, L, theta + p.station2, b->pool_station, false, b->term_station);
    NET(dense)(W, W, 1, theta + p.all2, b->pool_all, false, b->term_all);
    add_bias(W, 1, theta + p.b2, b->term_all);
    NET(dense)(W, W, rows, theta + p.w2, b->hidden1, false, b->hidden2);
    for (int k = 0; k < W; k++) {
        for (int l = 0; l < L; l++) {
            const beam_lane term = b->term_station[k * L + l] + b->term_all[k];
            for (int i = b->first[l]; i < b->first[l + 1]; i++) {
                b->hidden2[k * rows + i] += term;
            }
        }
    }
    NET(ramp)(W * rows, b->hidden2);
    NET(dense)(BEAM_NET_COEFFICIENTS, W, rows, theta + p.w3, b->hidden2, false, b->out);
    add_bias(BEAM_NET_COEFFICIENTS, rows, theta + p.b3, b->out);
}

/* Adjoint of hidden 2 before its activation, summed over the rows that share a term. */
static void terms_adjoint(NET(block) * b)
{
    const int W = b->arch.width, rows = b->rows, L = b->shape.L;
    for (int k = 0; k < W; k++) {
        beam_lane total = {0};
        for (int l = 0; l < L; l++) {
            beam_lane sum = {0};
            for (int i = b->first[l]; i < b->first[l + 1]; i++) {
                sum += b->hidden2_bar[k * rows + i];
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
    for (int k = 0; k < b->arch.width; k++) {
        for (int l = 0; l < L; l++) {
            const beam_lane bar =
                b->pool_station_bar[k * L + l] * over(b->n[l]) + b->pool_all_bar[k] * over(b->rows);
            for (int i = b->first[l]; i < b->first[l + 1]; i++) {
                b->hidden1_bar[k * b->rows + i] += bar;
            }
        }
    }
}

void NET(perceptron_adjoint)(NET(block) * b, const beam_net_real *theta, beam_net_real *theta_bar)
{
    const int W = b->arch.width, rows = b->rows, L = b->shape.L;
    const beam_net_layout p = beam_net_layer_layout(W);
    const size_t size = sizeof(beam_lane) * (size_t)W;
    memset(b->hidden1_bar, 0, size * (size_t)rows);
    memset(b->hidden2_bar, 0, size * (size_t)rows);
    memset(b->pool_station_bar, 0, size * (size_t)L);
    memset(b->pool_all_bar, 0, size);
    memset(b->x_bar, 0, sizeof(beam_lane) * (size_t)(BEAM_NET_FEATURES * rows));
    add_bias_adjoint(BEAM_NET_COEFFICIENTS, rows, b->out_bar, theta_bar + p.b3);
    NET(dense_adjoint)
    (BEAM_NET_COEFFICIENTS, W, rows, theta + p.w3, b->hidden2, b->out_bar, b->hidden2_bar,
     theta_bar + p.w3);
    NET(ramp_adjoint)(W * rows, b->hidden2, b->hidden2_bar);
    terms_adjoint(b);
    add_bias_adjoint(W, 1, b->term_all, theta_bar + p.b2);
    NET(dense_adjoint)
    (W, W, 1, theta + p.all2, b->pool_all, b->term_all, b->pool_all_bar, theta_bar + p.all2);
    NET(dense_adjoint)
    (W, W, L, theta + p.station2, b->pool_station, b->term_station, b->pool_station_bar,
     theta_bar + p.station2);
    NET(dense_adjoint)
    (W, W, rows, theta + p.w2, b->hidden1, b->hidden2_bar, b->hidden1_bar, theta_bar + p.w2);
    pool_adjoint(b);
    NET(ramp_adjoint)(W * rows, b->hidden1, b->hidden1_bar);
    add_bias_adjoint(W, rows, b->hidden1_bar, theta_bar + p.b1);
    NET(dense_adjoint)
    (W, BEAM_NET_FEATURES, rows, theta + p.w1, b->x, b->hidden1_bar, b->x_bar, theta_bar + p.w1);
}
