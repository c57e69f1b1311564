#include "network/column.h"

enum { TILE_FORWARD = 8, TILE_BACK = 4 };

/* BEAM_LANES neighbours in a row of weights, wherever they lie. */
typedef beam_net_real loose_lane
    __attribute__((vector_size(sizeof(beam_lane)), aligned(sizeof(beam_net_real)), may_alias));

/* `outputs` is a constant where it is called, so that the sums stay in registers. */
static inline void rows_of_y(int outputs, int inputs, const beam_net_real *weight,
                             const beam_net_real *bias, const beam_lane *x, beam_lane *y)
{
    beam_lane sum[TILE_FORWARD];
    for (int o = 0; o < outputs; o++) {
        sum[o] = beam_lane_all(bias[o]);
    }
    for (int k = 0; k < inputs; k++) {
        for (int o = 0; o < outputs; o++) {
            sum[o] += weight[o * inputs + k] * x[k];
        }
    }
    for (int o = 0; o < outputs; o++) {
        y[o] = sum[o];
    }
}

void NET(column)(int outputs, int inputs, const beam_net_real *weight, const beam_net_real *bias,
                 const beam_lane *x, beam_lane *y)
{
    int o = 0;
    for (; o + TILE_FORWARD <= outputs; o += TILE_FORWARD) {
        rows_of_y(TILE_FORWARD, inputs, weight + o * inputs, bias + o, x, y + o);
    }
    for (; o < outputs; o++) {
        rows_of_y(1, inputs, weight + o * inputs, bias + o, x, y + o);
    }
}

static inline void rows_towards_x(int outputs, int inputs, const beam_net_real *weight,
                                  const beam_lane *y_bar, int wanted, beam_lane *x_bar)
{
    for (int k = 0; k < wanted; k++) {
        beam_lane sum = x_bar[k];
        for (int o = 0; o < outputs; o++) {
            sum += weight[o * inputs + k] * y_bar[o];
        }
        x_bar[k] = sum;
    }
}

/* Lanes of x one after the other, so that neighbours in a row of weights are neighbours here. */
static inline void rows_towards_weight(int outputs, int inputs, const beam_net_real *turned,
                                       const beam_lane *y_bar, beam_net_real *weight_bar)
{
    int k = 0;
    for (; k + BEAM_LANES <= inputs; k += BEAM_LANES) {
        beam_lane sum[TILE_BACK];
        for (int o = 0; o < outputs; o++) {
            sum[o] = *(const loose_lane *)(weight_bar + o * inputs + k);
        }
        for (int lane = 0; lane < BEAM_LANES; lane++) {
            const beam_lane x = *(const loose_lane *)(turned + lane * inputs + k);
            for (int o = 0; o < outputs; o++) {
                sum[o] += y_bar[o][lane] * x;
            }
        }
        for (int o = 0; o < outputs; o++) {
            *(loose_lane *)(weight_bar + o * inputs + k) = sum[o];
        }
    }
    for (; k < inputs; k++) {
        for (int o = 0; o < outputs; o++) {
            for (int lane = 0; lane < BEAM_LANES; lane++) {
                weight_bar[o * inputs + k] += y_bar[o][lane] * turned[lane * inputs + k];
            }
        }
    }
}

void NET(column_adjoint)(int outputs, int inputs, const beam_net_real *weight, const beam_lane *x,
                         const beam_lane *y_bar, int wanted, beam_lane *x_bar,
                         beam_net_real *weight_bar, beam_net_real *bias_bar, beam_net_real *turned)
{
    for (int k = 0; k < inputs; k++) {
        for (int lane = 0; lane < BEAM_LANES; lane++) {
            turned[lane * inputs + k] = x[k][lane];
        }
    }
    int o = 0;
    for (; o + TILE_BACK <= outputs; o += TILE_BACK) {
        const int at = o * inputs;
        rows_towards_x(TILE_BACK, inputs, weight + at, y_bar + o, wanted, x_bar);
        rows_towards_weight(TILE_BACK, inputs, turned, y_bar + o, weight_bar + at);
    }
    for (; o < outputs; o++) {
        const int at = o * inputs;
        rows_towards_x(1, inputs, weight + at, y_bar + o, wanted, x_bar);
        rows_towards_weight(1, inputs, turned, y_bar + o, weight_bar + at);
    }
    for (o = 0; o < outputs; o++) {
        bias_bar[o] += beam_lane_sum(y_bar[o]);
    }
}
