#include "network/dense.h"

enum { TILE_OUTPUTS = 4, TILE_COLUMNS = 3 };

/* One tile of y, its sums in registers. The counts are constants where it is called, so that the
 * loops unroll. */
static inline void tile(int outputs, int width, int inputs, int columns,
                        const beam_net_real *weight, const beam_lane *x, bool add, beam_lane *y)
{
    beam_lane sum[TILE_OUTPUTS][TILE_COLUMNS];
    for (int o = 0; o < outputs; o++) {
        for (int c = 0; c < width; c++) {
            sum[o][c] = add ? y[o * columns + c] : (beam_lane){0};
        }
    }
    for (int k = 0; k < inputs; k++) {
        for (int o = 0; o < outputs; o++) {
            const beam_net_real w = weight[o * inputs + k];
            for (int c = 0; c < width; c++) {
                sum[o][c] += w * x[k * columns + c];
            }
        }
    }
    for (int o = 0; o < outputs; o++) {
        for (int c = 0; c < width; c++) {
            y[o * columns + c] = sum[o][c];
        }
    }
}

static inline void tiles_of_row(int outputs, int inputs, int columns, const beam_net_real *weight,
                                const beam_lane *x, bool add, beam_lane *y)
{
    int c = 0;
    for (; c + TILE_COLUMNS <= columns; c += TILE_COLUMNS) {
        tile(outputs, TILE_COLUMNS, inputs, columns, weight, x + c, add, y + c);
    }
    for (; c < columns; c++) {
        tile(outputs, 1, inputs, columns, weight, x + c, add, y + c);
    }
}

void NET(dense)(int outputs, int inputs, int columns, const beam_net_real *weight,
                const beam_lane *x, bool add, beam_lane *y)
{
    int o = 0;
    for (; o + TILE_OUTPUTS <= outputs; o += TILE_OUTPUTS) {
        tiles_of_row(TILE_OUTPUTS, inputs, columns, weight + o * inputs, x, add, y + o * columns);
    }
    for (; o < outputs; o++) {
        tiles_of_row(1, inputs, columns, weight + o * inputs, x, add, y + o * columns);
    }
}

/* x_bar of four inputs at a time. */
static void towards_input(int outputs, int inputs, int columns, const beam_net_real *weight,
                          const beam_lane *y_bar, beam_lane *x_bar)
{
    for (int k = 0; k < inputs; k++) {
        for (int c = 0; c < columns; c++) {
            beam_lane even = x_bar[k * columns + c], odd = {0};
            int o = 0;
            for (; o + 2 <= outputs; o += 2) {
                even += weight[o * inputs + k] * y_bar[o * columns + c];
                odd += weight[(o + 1) * inputs + k] * y_bar[(o + 1) * columns + c];
            }
            if (o < outputs) {
                even += weight[o * inputs + k] * y_bar[o * columns + c];
            }
            x_bar[k * columns + c] = even + odd;
        }
    }
}

void NET(dense_adjoint)(int outputs, int inputs, int columns, const beam_net_real *weight,
                        const beam_lane *x, const beam_lane *y_bar, beam_lane *x_bar,
                        beam_net_real *weight_bar)
{
    if (x_bar) {
        towards_input(outputs, inputs, columns, weight, y_bar, x_bar);
    }
    for (int o = 0; o < outputs; o++) {
        for (int k = 0; k < inputs; k++) {
            beam_lane sum = {0};
            for (int c = 0; c < columns; c++) {
                sum += y_bar[o * columns + c] * x[k * columns + c];
            }
            weight_bar[o * inputs + k] += beam_lane_sum(sum);
        }
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
