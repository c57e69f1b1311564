/* Invariants of the rows and the perceptron on them: engine/network/{features,perceptron}.c for a
 * team. */
#ifndef BEAM_GPU_FEATURES_CUH
#define BEAM_GPU_FEATURES_CUH

#include "net.cuh"
#include "tensor.cuh"

/* --- Features (features.c) ---------------------------------------------------------------------
 */

BEAM_HD float beam_gpu_squash(float x)
{
    return x * beam_gpu_over_root(1 + x * x);
}

/* Squared lengths and products of every direction of every row, into their places in x. */
BEAM_HD_PART void beam_gpu_row_products(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const beam_c32 *w = BEAM_NET_WORK(net, beam_c32, w),
                   *gradient = BEAM_NET_WORK(net, beam_c32, gradient);
    float *x = BEAM_NET_WORK(net, float, x);
    BEAM_EACH(t, at, s->rows * BEAM_GPU_DIRECTIONS)
    {
        const int row = at / BEAM_GPU_DIRECTIONS, k = at % BEAM_GPU_DIRECTIONS;
        const beam_c32 *d = beam_gpu_direction(net, k) + row * s->D;
        float length2 = 0, with_w = 0, with_g = 0;
        for (int i = 0; i < s->D; i++) {
            const beam_c32 a = w[row * s->D + i], g = gradient[row * s->D + i];
            length2 += beam_gpu32_norm2(d[i]);
            with_w += a.re * d[i].re + a.im * d[i].im;
            with_g += g.re * d[i].re + g.im * d[i].im;
        }
        float *out = x + row * BEAM_GPU_ROW_STRIDE + BEAM_GPU_ROW_FEATURES + 3 * k;
        out[0] = length2;
        out[1] = with_w;
        out[2] = with_g;
    }
    beam_team_sync(t);
    BEAM_EACH(t, at, s->L * (BEAM_GPU_NORMALISED + 1))
    {
        const int l = at % s->L, k = at / s->L;
        float sum = BEAM_GPU_TINY, inner = 0;
        for (int row = net->first[l]; row < net->first[l + 1]; row++) {
            const float *in = x + row * BEAM_GPU_ROW_STRIDE + BEAM_GPU_ROW_FEATURES + 3 * k;
            sum +=
                k < BEAM_GPU_NORMALISED ? in[0] : beam_gpu32_row_norm2(s->D, gradient + row * s->D);
            inner += k < 2 ? in[1] : 0;
        }
        beam_gpu_station(net, BEAM_GPU_STATION_UNIT + k)[l] = beam_gpu_over_root(sum);
        if (k < 2) {
            beam_gpu_station(net, BEAM_GPU_STATION_INNER + k)[l] = inner;
        }
    }
    beam_team_sync(t);
}

BEAM_HD void beam_gpu_row_features(const beam_gpu_net *net, int row)
{
    const beam_gpu_sizes *s = net->s;
    const int l = beam_gpu_station_of_row(net, row), i = row - net->first[l];
    const int *user = BEAM_CLUSTER(net->p, int, user_first), u = user[l] + i;
    const double *weight = BEAM_CLUSTER(net->p, double, weight);
    float *x = BEAM_NET_WORK(net, float, x) + row * BEAM_GPU_ROW_STRIDE;
    const float p = BEAM_NET_WORK(net, beam_c32, G)[row * s->n_max + i].re;
    x[0] = u < user[l + 1] ? 0 : 1;
    x[1] = 0.2f * logf(p + 1e-4f);
    for (int f = 2; f < BEAM_GPU_ROW_FEATURES; f++) {
        x[f] = 0;
    }
    if (u >= user[l + 1]) {
        return;
    }
    const float h2 = beam_gpu32_row_norm2(s->D, beam_gpu_vector(net, l, u)),
                eps2 = beam_gpu_eps2(net, l, u),
                nominal = beam_gpu_user(net, BEAM_GPU_USER_NOMINAL)[u];
    double total = 0;
    for (int k = 0; k < s->U; k++) {
        total += weight[k];
    }
    x[2] = 0.2f * beam_gpu_user(net, BEAM_GPU_USER_RATE)[u];
    x[3] = total > 0 ? (float)(weight[u] * s->U / total) / 2 : 0;
    x[4] = 0.1f * log1pf(h2);
    x[5] = 4 * beam_gpu_root(eps2 / (eps2 + h2 + 1e-12f));
    x[6] = nominal / (h2 * p + BEAM_GPU_TINY);
    x[7] = 0.2f * logf(beam_gpu_user(net, BEAM_GPU_USER_NOISE)[u]);
    x[8] = beam_gpu_user(net, BEAM_GPU_USER_SIGNAL)[u] / (nominal + 1e-3f);
}

BEAM_HD void beam_gpu_station_features(const beam_gpu_net *net, int l)
{
    const beam_gpu_sizes *s = net->s;
    float *x = BEAM_NET_WORK(net, float, x_station) + l * BEAM_GPU_STATION_STRIDE;
    x[0] = beam_gpu_station(net, BEAM_GPU_STATION_POWER)[l];
    x[1] = beam_gpu_squash(beam_gpu_station(net, BEAM_GPU_STATION_INNER)[l]);
    x[2] = beam_gpu_squash(beam_gpu_station(net, BEAM_GPU_STATION_INNER + 1)[l]);
    x[3] = (float)(net->first[l + 1] - net->first[l]) / 8;
    for (int k = 0; k < BEAM_GPU_NORMALISED; k++) {
        x[4 + k] = -0.14f * logf(beam_gpu_station(net, BEAM_GPU_STATION_UNIT + k)[l]);
    }
    x += BEAM_GPU_STATION_FEATURES;
    x[0] = net->w1;
    x[1] = net->balance;
    x[2] = net->f1 / 2;
    x[3] = beam_gpu_squash(net->loss / 2);
    x[4] = beam_gpu_squash(5 * (net->w1 * net->f1 - net->w2 * net->loss));
    x[5] = (float)s->U / 8;
    x[6] = (float)s->U / (float)s->D;
    x[7] = (float)s->L / 4;
    x[8] = 0; /* the pair's other half */
}

BEAM_HD_PART void beam_gpu_features(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    float *x = BEAM_NET_WORK(net, float, x);
    beam_gpu_row_products(t, net);
    BEAM_EACH(t, at, s->rows * BEAM_GPU_DIRECTIONS)
    {
        const int row = at / BEAM_GPU_DIRECTIONS, k = at % BEAM_GPU_DIRECTIONS;
        const int l = beam_gpu_station_of_row(net, row);
        const float unit =
            k < BEAM_GPU_NORMALISED ? beam_gpu_station(net, BEAM_GPU_STATION_UNIT + k)[l] : 1;
        float *out = x + row * BEAM_GPU_ROW_STRIDE + BEAM_GPU_ROW_FEATURES + 3 * k;
        out[0] = beam_gpu_root(out[0] * (unit * unit) + 1e-6f);
        out[1] *= unit;
        out[2] *= unit * beam_gpu_station(net, BEAM_GPU_STATION_UNIT + BEAM_GPU_NORMALISED)[l];
    }
    BEAM_EACH(t, row, s->rows)
    {
        beam_gpu_row_features(net, row);
    }
    BEAM_EACH(t, l, s->L)
    {
        beam_gpu_station_features(net, l);
    }
    beam_team_sync(t);
}

/* --- Perceptron (perceptron.c) -----------------------------------------------------------------
 */

BEAM_HD float beam_gpu_ramp(float x)
{
    return (x + beam_gpu_root(x * x + 1) - 1) / 2;
}

enum { BEAM_GPU_TILE = 4 };

/* y[row][o] = sum_k x[row][k] W[k][o] + term[term_of_row][o], through the ramp: one output a lane,
 * BEAM_GPU_TILE rows at a time, so that a weight is read once for them. x_stride: of its rows. */
BEAM_HD void beam_gpu_dense(const beam_team *t, const beam_gpu_net *net, int outputs, int inputs,
                            const float *weight, const float *x, int x_stride, const float *term,
                            float *y)
{
    const int rows = net->s->rows, tiles = (rows + BEAM_GPU_TILE - 1) / BEAM_GPU_TILE;
    BEAM_EACH(t, at, tiles * outputs)
    {
        const int o = at % outputs, begin = at / outputs * BEAM_GPU_TILE;
        float sum[BEAM_GPU_TILE];
        int row[BEAM_GPU_TILE];
        for (int a = 0; a < BEAM_GPU_TILE; a++) { /* the last one again where there are none */
            row[a] = begin + a < rows ? begin + a : rows - 1;
            sum[a] = term[beam_gpu_station_of_row(net, row[a]) * outputs + o];
        }
        for (int k = 0; k < inputs; k++) {
            const float w = weight[k * outputs + o];
            for (int a = 0; a < BEAM_GPU_TILE; a++) {
                sum[a] += w * x[row[a] * x_stride + k];
            }
        }
        for (int a = 0; a < BEAM_GPU_TILE; a++) {
            if (begin + a < rows) {
                y[row[a] * outputs + o] = beam_gpu_ramp(sum[a]);
            }
        }
    }
    beam_team_sync(t);
}

/* Means of h's rows over every station, then over all: [L + 1][pool_stride]. */
BEAM_HD void beam_gpu_pool(const beam_team *t, const beam_gpu_net *net, const float *h,
                           int h_stride, int pool_stride)
{
    const beam_gpu_sizes *s = net->s;
    const int W = s->width;
    float *pool = BEAM_NET_WORK(net, float, pool);
    BEAM_EACH(t, o, W)
    {
        float all = 0;
        for (int l = 0; l < s->L; l++) {
            float sum = 0;
            for (int row = net->first[l]; row < net->first[l + 1]; row++) {
                sum += h[row * h_stride + o];
            }
            pool[l * pool_stride + o] = sum / (float)(net->first[l + 1] - net->first[l]);
            all += sum;
        }
        pool[s->L * pool_stride + o] = all / (float)s->rows;
    }
    beam_team_sync(t);
}

BEAM_HD_PART void beam_gpu_perceptron_plain(const beam_team *t, const beam_gpu_net *net)
{
    const beam_gpu_sizes *s = net->s;
    const beam_gpu_layer_at *at = &net->p->plan->layer;
    const float *theta = net->layer, *pool = BEAM_NET_WORK(net, float, pool),
                *station = BEAM_NET_WORK(net, float, x_station);
    const int W = s->width;
    float *term = BEAM_NET_WORK(net, float, term), *h1 = BEAM_NET_WORK(net, float, hidden1),
          *h2 = BEAM_NET_WORK(net, float, hidden2), *out = BEAM_NET_WORK(net, float, out);
    BEAM_EACH(t, i, s->L * W)
    {
        const int l = i / W, o = i % W;
        float sum = theta[at->b1 + o];
        for (int k = 0; k < BEAM_GPU_STATION_INPUTS; k++) {
            sum += theta[at->station1 + k * W + o] * station[l * BEAM_GPU_STATION_STRIDE + k];
        }
        term[i] = sum;
    }
    beam_team_sync(t);
    beam_gpu_dense(t, net, W, BEAM_GPU_ROW_INPUTS, theta + at->w1, BEAM_NET_WORK(net, float, x),
                   BEAM_GPU_ROW_STRIDE, term, h1);
    beam_gpu_pool(t, net, h1, W, W);
    BEAM_EACH(t, i, s->L * W)
    {
        const int l = i / W, o = i % W;
        float sum = theta[at->b2 + o];
        for (int k = 0; k < W; k++) {
            sum += theta[at->station2 + k * W + o] * pool[l * W + k];
            sum += theta[at->all2 + k * W + o] * pool[s->L * W + k];
        }
        term[i] = sum;
    }
    beam_team_sync(t);
    beam_gpu_dense(t, net, W, W, theta + at->w2, h1, W, term, h2);
    BEAM_EACH(t, i, s->rows * BEAM_GPU_COEFFICIENTS)
    {
        const int row = i / BEAM_GPU_COEFFICIENTS, o = i % BEAM_GPU_COEFFICIENTS;
        float sum = theta[at->b3 + o];
        for (int k = 0; k < W; k++) {
            sum += theta[at->w3 + k * BEAM_GPU_COEFFICIENTS + o] * h2[row * W + k];
        }
        out[i] = sum;
    }
    beam_team_sync(t);
}

/* --- Perceptron on tensor cores ------------------------------------------------------------------
 * Sixteen rows a warp. What a lane has of the sums of two tiles of outputs is what it needs as
 * inputs of the next matrix: hidden 2 stays in registers. Hidden 1 takes the place of the inputs.
 */

enum { BEAM_GPU_POOL_STRIDE = BEAM_GPU_ROW_STRIDE };

/* Sums of 16 rows and 32 outputs as a lane has them. */
typedef struct beam_gpu_tensor_sums {
    float sum[BEAM_GPU_TENSOR_TILES][4], rest[BEAM_GPU_TENSOR_TILES][4];
} beam_gpu_tensor_sums;

BEAM_HD void beam_gpu_sums_begin(beam_gpu_tensor_sums *v, int lane, const float *bias)
{
    BEAM_UNROLL
    for (int n = 0; n < BEAM_GPU_TENSOR_TILES; n++) {
        BEAM_UNROLL
        for (int i = 0; i < 4; i++) {
            v->sum[n][i] = bias[n * BEAM_GPU_MMA_N + beam_gpu_c_column(lane, i)];
            v->rest[n][i] = 0;
        }
    }
}

/* All tiles of outputs for one step of inputs. */
BEAM_HD void beam_gpu_sums_add(const beam_team *t, beam_gpu_tensor_sums *v,
                               const beam_gpu_a_fragment *a, const float *fragments, int at,
                               int products)
{
    BEAM_UNROLL
    for (int n = 0; n < BEAM_GPU_TENSOR_TILES; n += 2) {
        beam_gpu_mma_pair(t, a, fragments, at + n, BEAM_GPU_FRAGMENT_WORDS, products, v->sum + n,
                          v->rest + n);
    }
}

BEAM_HD float beam_gpu_sums_ramp(const beam_gpu_tensor_sums *v, int n, int i)
{
    const float x = v->sum[n][i] + v->rest[n][i] * (1 / BEAM_GPU_REST_SCALE);
    return beam_gpu_ramp(x);
}

/* Where a lane's two rows of inputs begin: up to `split` at near, beyond at far. */
typedef struct beam_gpu_tensor_rows {
    int row[2]; /* beyond the last one: the last one again */
    const float *near[2], *far[2];
} beam_gpu_tensor_rows;

/* A step's fragment; element pairs (row, column), (row + 8, column), then columns 8 further. */
BEAM_HD void beam_gpu_tensor_inputs(const beam_gpu_tensor_rows *in, int lane, int step, int split,
                                    int products, beam_gpu_a_fragment *a)
{
    BEAM_UNROLL
    for (int r = 0; r < 4; r++) {
        const int k = step * BEAM_GPU_MMA_K + beam_gpu_a_column(lane, 2 * r);
        const float *from = k < split ? in->near[r & 1] + k : in->far[r & 1] + (k - split);
#ifdef __CUDA_ARCH__
        const float2 pair = *(const float2 *)(const void *)from;
        beam_gpu_a_set(a, r, pair.x, pair.y, products);
#else
        beam_gpu_a_set(a, r, from[0], from[1], products);
#endif
    }
}

/* Hidden 1 of the rows from `begin`, in place of their inputs. */
BEAM_HD_PART void beam_gpu_tensor_first(const beam_team *t, const beam_gpu_net *net, int begin,
                                        int products)
{
    const beam_gpu_sizes *s = net->s;
    const beam_gpu_layer_at *at = &net->p->plan->layer;
    const int lane = t->lane % BEAM_GPU_MMA_LANES;
    float *x = BEAM_NET_WORK(net, float, x);
    const float *station = BEAM_NET_WORK(net, float, x_station);
    beam_gpu_tensor_rows in;
    beam_gpu_tensor_sums v;
    for (int i = 0; i < 2; i++) {
        const int row = begin + beam_gpu_a_row(lane, 2 * i);
        in.row[i] = row < s->rows ? row : s->rows - 1;
        in.near[i] = x + in.row[i] * BEAM_GPU_ROW_STRIDE;
        in.far[i] = station + beam_gpu_station_of_row(net, in.row[i]) * BEAM_GPU_STATION_STRIDE;
    }
    beam_gpu_sums_begin(&v, lane, net->layer + at->b1);
    BEAM_UNROLL
    for (int k = 0; k < BEAM_GPU_STEPS1; k++) {
        beam_gpu_a_fragment a;
        beam_gpu_tensor_inputs(&in, lane, k, BEAM_GPU_ROW_INPUTS, products, &a);
        beam_gpu_sums_add(t, &v, &a, net->layer + at->fragments, k * BEAM_GPU_TENSOR_TILES,
                          products);
    }
    beam_gpu_warp_sync(t); /* all lanes have read their inputs */
    BEAM_UNROLL
    for (int n = 0; n < BEAM_GPU_TENSOR_TILES; n++) {
        BEAM_UNROLL
        for (int i = 0; i < 4; i++) {
            const int row = begin + beam_gpu_c_row(lane, i);
            const float h = beam_gpu_sums_ramp(&v, n, i);
            if (row < s->rows) {
                x[row * BEAM_GPU_ROW_STRIDE + n * BEAM_GPU_MMA_N + beam_gpu_c_column(lane, i)] = h;
            }
        }
    }
}

/* From hidden 1 and its means to the coefficients of the rows from `begin`. */
BEAM_HD_PART void beam_gpu_tensor_second(const beam_team *t, const beam_gpu_net *net, int begin,
                                         int products)
{
    const beam_gpu_sizes *s = net->s;
    const beam_gpu_layer_at *at = &net->p->plan->layer;
    const int lane = t->lane % BEAM_GPU_MMA_LANES, W = BEAM_GPU_TENSOR_WIDTH;
    const float *x = BEAM_NET_WORK(net, float, x), *pool = BEAM_NET_WORK(net, float, pool),
                *fragments = net->layer + at->fragments;
    float *out = BEAM_NET_WORK(net, float, out);
    beam_gpu_tensor_rows in, mean;
    beam_gpu_tensor_sums v;
    beam_gpu_a_fragment a;
    for (int i = 0; i < 2; i++) {
        const int row = begin + beam_gpu_a_row(lane, 2 * i);
        in.row[i] = row < s->rows ? row : s->rows - 1;
        in.near[i] = x + in.row[i] * BEAM_GPU_ROW_STRIDE;
        in.far[i] = mean.near[i] =
            pool + beam_gpu_station_of_row(net, in.row[i]) * BEAM_GPU_POOL_STRIDE;
        mean.far[i] = pool + s->L * BEAM_GPU_POOL_STRIDE;
        mean.row[i] = in.row[i];
    }
    beam_gpu_sums_begin(&v, lane, net->layer + at->b2);
    BEAM_UNROLL
    for (int k = 0; k < BEAM_GPU_STEPS2; k++) {
        const int means = k >= W / BEAM_GPU_MMA_K;
        beam_gpu_tensor_inputs(means ? &mean : &in, lane, means ? k - W / BEAM_GPU_MMA_K : k, W,
                               products, &a);
        beam_gpu_sums_add(t, &v, &a, fragments, BEAM_GPU_FRAGMENTS2 + k * BEAM_GPU_TENSOR_TILES,
                          products);
    }
    float c[2][4], rest[2][4];
    BEAM_UNROLL
    for (int i = 0; i < 4; i++) {
        c[0][i] = net->layer[at->b3 + beam_gpu_c_column(lane, i)];
        c[1][i] = rest[0][i] = rest[1][i] = 0;
    }
    BEAM_UNROLL
    for (int k = 0; k < BEAM_GPU_STEPS3; k++) { /* a pair of fragments: one tile, two steps */
        BEAM_UNROLL
        for (int r = 0; r < 4; r++) {
            const int n = 2 * k + r / 2, i = r % 2 * 2;
            beam_gpu_a_set(&a, r, beam_gpu_sums_ramp(&v, n, i), beam_gpu_sums_ramp(&v, n, i + 1),
                           products);
        }
        beam_gpu_mma_one(t, &a, fragments, BEAM_GPU_FRAGMENTS3 + k, BEAM_GPU_FRAGMENT_WORDS,
                         products, c[0], rest[0]);
    }
    BEAM_UNROLL
    for (int i = 0; i < 4; i++) {
        const int row = begin + beam_gpu_c_row(lane, i);
        if (row < s->rows) {
            out[row * BEAM_GPU_COEFFICIENTS + beam_gpu_c_column(lane, i)] =
                c[0][i] + rest[0][i] * (1 / BEAM_GPU_REST_SCALE);
        }
    }
}

BEAM_HD_PART void beam_gpu_perceptron_tensor(const beam_team *t, const beam_gpu_net *net,
                                             int products)
{
    const int warps = t->lanes / BEAM_GPU_MMA_LANES, mine = t->lane / BEAM_GPU_MMA_LANES;
    const int apart = warps * BEAM_GPU_MMA_M;
    /* all warps as often: on the host they meet in every product */
    for (int begin = 0; begin < net->s->rows; begin += apart) {
        beam_gpu_tensor_first(t, net, begin + mine * BEAM_GPU_MMA_M, products);
    }
    beam_team_sync(t);
    beam_gpu_pool(t, net, BEAM_NET_WORK(net, float, x), BEAM_GPU_ROW_STRIDE, BEAM_GPU_POOL_STRIDE);
    for (int begin = 0; begin < net->s->rows; begin += apart) {
        beam_gpu_tensor_second(t, net, begin + mine * BEAM_GPU_MMA_M, products);
    }
    beam_team_sync(t);
}

/* As the plan says, where the team and the width allow it. */
BEAM_HD_PART void beam_gpu_perceptron(const beam_team *t, const beam_gpu_net *net)
{
    const int how = net->s->perceptron;
    if (how != BEAM_GPU_PERCEPTRON_PLAIN && beam_gpu_tensor_team(t)) {
        beam_gpu_perceptron_tensor(t, net, how == BEAM_GPU_PERCEPTRON_SPLIT ? 3 : 1);
    } else {
        beam_gpu_perceptron_plain(t, net);
    }
}

#endif
