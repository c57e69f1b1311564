#include "network/dense.h"

/* Sums in registers: 12 of them hide the latency of the fused multiply-add and leave room in 16
 * registers for the inputs. */
enum { TILE_OUTPUTS = 4, TILE_COLUMNS = 3, TALL_OUTPUTS = 8 };

/* Holds x in a register: gcc would otherwise read it from memory for every product, and two reads a
 * cycle are fewer than the multiply-adds need. */
static inline beam_lane held(beam_lane x)
{
#if defined(__AVX__) && !defined(BEAM_NET_F64)
    __asm__("" : "+v"(x));
#endif
    return x;
}

/* One tile of y. The counts are constants where it is called, so that the loops unroll. */
static inline __attribute__((always_inline)) void tile(int outputs, int width, int inputs,
                                                       int stride, int columns,
                                                       const beam_net_real *weight,
                                                       const beam_lane *x, bool add, beam_lane *y)
{
    beam_lane sum[TALL_OUTPUTS][TILE_COLUMNS];
#pragma GCC unroll 8
    for (int o = 0; o < outputs; o++) {
#pragma GCC unroll 3
        for (int c = 0; c < width; c++) {
            sum[o][c] = add ? y[o * columns + c] : (beam_lane){0};
        }
    }
    for (int k = 0; k < inputs; k++) {
        beam_lane in[TILE_COLUMNS];
#pragma GCC unroll 3
        for (int c = 0; c < width; c++) {
            in[c] = held(x[k * columns + c]);
        }
#pragma GCC unroll 8
        for (int o = 0; o < outputs; o++) {
            const beam_net_real w = weight[o * stride + k];
#pragma GCC unroll 3
            for (int c = 0; c < width; c++) {
                sum[o][c] += w * in[c];
            }
        }
    }
#pragma GCC unroll 8
    for (int o = 0; o < outputs; o++) {
#pragma GCC unroll 3
        for (int c = 0; c < width; c++) {
            y[o * columns + c] = sum[o][c];
        }
    }
}

/* All outputs of `width` columns. */
static inline __attribute__((always_inline)) void tiles(int tall, int width, int outputs,
                                                        int inputs, int stride, int columns,
                                                        const beam_net_real *weight,
                                                        const beam_lane *x, bool add, beam_lane *y)
{
    int o = 0;
    for (; o + tall <= outputs; o += tall) {
        tile(tall, width, inputs, stride, columns, weight + o * stride, x, add, y + o * columns);
    }
    for (; o < outputs; o++) {
        tile(1, width, inputs, stride, columns, weight + o * stride, x, add, y + o * columns);
    }
}

static inline __attribute__((always_inline)) void dense(int outputs, int inputs, int stride,
                                                        int columns, const beam_net_real *weight,
                                                        const beam_lane *x, bool add, beam_lane *y)
{
    int c = 0;
    for (; c + 3 <= columns; c += 3) {
        tiles(TILE_OUTPUTS, 3, outputs, inputs, stride, columns, weight, x + c, add, y + c);
    }
    if (columns - c == 2) {
        tiles(TILE_OUTPUTS, 2, outputs, inputs, stride, columns, weight, x + c, add, y + c);
    } else if (columns - c == 1) {
        tiles(TALL_OUTPUTS, 1, outputs, inputs, stride, columns, weight, x + c, add, y + c);
    }
}

void NET(dense)(int outputs, int inputs, int stride, int columns, const beam_net_real *weight,
                const beam_lane *x, beam_lane *y)
{
    dense(outputs, inputs, stride, columns, weight, x, false, y);
}

void NET(dense_add)(int outputs, int inputs, int stride, int columns, const beam_net_real *weight,
                    const beam_lane *x, beam_lane *y)
{
    dense(outputs, inputs, stride, columns, weight, x, true, y);
}

/* x_bar of `tall` inputs and `width` columns. */
static inline __attribute__((always_inline)) void
input_tile(int tall, int width, int outputs, int stride, int columns, const beam_net_real *weight,
           const beam_lane *y_bar, beam_lane *x_bar)
{
    beam_lane sum[TILE_OUTPUTS][TILE_COLUMNS];
#pragma GCC unroll 4
    for (int k = 0; k < tall; k++) {
#pragma GCC unroll 3
        for (int c = 0; c < width; c++) {
            sum[k][c] = x_bar[k * columns + c];
        }
    }
    for (int o = 0; o < outputs; o++) {
        beam_lane in[TILE_COLUMNS];
#pragma GCC unroll 3
        for (int c = 0; c < width; c++) {
            in[c] = held(y_bar[o * columns + c]);
        }
#pragma GCC unroll 4
        for (int k = 0; k < tall; k++) {
            const beam_net_real w = weight[o * stride + k];
#pragma GCC unroll 3
            for (int c = 0; c < width; c++) {
                sum[k][c] += w * in[c];
            }
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < tall; k++) {
#pragma GCC unroll 3
        for (int c = 0; c < width; c++) {
            x_bar[k * columns + c] = sum[k][c];
        }
    }
}

static inline __attribute__((always_inline)) void
input_tiles(int width, int outputs, int inputs, int stride, int columns,
            const beam_net_real *weight, const beam_lane *y_bar, beam_lane *x_bar)
{
    int k = 0;
    for (; k + TILE_OUTPUTS <= inputs; k += TILE_OUTPUTS) {
        input_tile(TILE_OUTPUTS, width, outputs, stride, columns, weight + k, y_bar,
                   x_bar + k * columns);
    }
    for (; k < inputs; k++) {
        input_tile(1, width, outputs, stride, columns, weight + k, y_bar, x_bar + k * columns);
    }
}

/* weight_bar of `tall` outputs and `width` inputs. */
static inline __attribute__((always_inline)) void weight_tile(int tall, int width, int stride,
                                                              int columns, const beam_lane *x,
                                                              const beam_lane *y_bar,
                                                              beam_net_real *weight_bar)
{
    beam_lane sum[TILE_OUTPUTS][TILE_COLUMNS] = {{{0}}};
    for (int c = 0; c < columns; c++) {
        beam_lane in[TILE_COLUMNS];
#pragma GCC unroll 3
        for (int k = 0; k < width; k++) {
            in[k] = held(x[k * columns + c]);
        }
#pragma GCC unroll 4
        for (int o = 0; o < tall; o++) {
            const beam_lane bar = held(y_bar[o * columns + c]);
#pragma GCC unroll 3
            for (int k = 0; k < width; k++) {
                sum[o][k] += bar * in[k];
            }
        }
    }
#pragma GCC unroll 4
    for (int o = 0; o < tall; o++) {
#pragma GCC unroll 3
        for (int k = 0; k < width; k++) {
            weight_bar[o * stride + k] += beam_lane_sum(sum[o][k]);
        }
    }
}

static inline __attribute__((always_inline)) void weight_tiles(int tall, int inputs, int stride,
                                                               int columns, const beam_lane *x,
                                                               const beam_lane *y_bar,
                                                               beam_net_real *weight_bar)
{
    int k = 0;
    for (; k + TILE_COLUMNS <= inputs; k += TILE_COLUMNS) {
        weight_tile(tall, TILE_COLUMNS, stride, columns, x + k * columns, y_bar, weight_bar + k);
    }
    for (; k < inputs; k++) {
        weight_tile(tall, 1, stride, columns, x + k * columns, y_bar, weight_bar + k);
    }
}

void NET(dense_adjoint)(int outputs, int inputs, int stride, int columns,
                        const beam_net_real *weight, const beam_lane *x, const beam_lane *y_bar,
                        beam_lane *x_bar, beam_net_real *weight_bar)
{
    int c = 0, o = 0;
    for (; c + TILE_COLUMNS <= columns; c += TILE_COLUMNS) {
        input_tiles(TILE_COLUMNS, outputs, inputs, stride, columns, weight, y_bar + c, x_bar + c);
    }
    for (; c < columns; c++) {
        input_tiles(1, outputs, inputs, stride, columns, weight, y_bar + c, x_bar + c);
    }
    for (; o + TILE_OUTPUTS <= outputs; o += TILE_OUTPUTS) {
        weight_tiles(TILE_OUTPUTS, inputs, stride, columns, x, y_bar + o * columns,
                     weight_bar + o * stride);
    }
    for (; o < outputs; o++) {
        weight_tiles(1, inputs, stride, columns, x, y_bar + o * columns, weight_bar + o * stride);
    }
}

void NET(ramp)(int n, beam_lane *x)
{
    for (int i = 0; i < n; i++) {
        x[i] = (x[i] + beam_lane_sqrt(x[i] * x[i] + 1) - 1) / 2;
    }
}

void NET(ramp_adjoint)(int n, const beam_lane *y, beam_lane *y_bar)
{
    for (int i = 0; i < n; i++) {
        const beam_lane t = 2 * y[i] + 1, t2 = t * t;
        y_bar[i] *= t2 / (t2 + 1);
    }
}
