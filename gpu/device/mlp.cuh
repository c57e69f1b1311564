/* The paper's network on the device: what a team does on one problem between the matrix products,
 * which take whole batches (gpu/mlp.cu). A problem is one column of reals (mlp_at.cuh). */
#ifndef BEAM_GPU_MLP_CUH
#define BEAM_GPU_MLP_CUH

#include "choice.cuh"
#include "mlp_at.cuh"

/* Is it the size that the model is made for? Memory is laid out for no other. */
BEAM_HD int beam_gpu_mlp_serves(const beam_gpu_problem *p, const beam_gpu_mlp_plan *m)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *K = BEAM_CLUSTER(p, int, K);
    if (s->L != m->L || s->N != m->N || s->U != m->U || s->J != m->J || s->r != m->r) {
        return 0;
    }
    for (int l = 0; l < m->L; l++) {
        if (K[l] != m->U / m->L) {
            return 0;
        }
    }
    return 1;
}

/* --- Into the column ---------------------------------------------------------------------------
 */

/* Unit channels, lengths and radii. Needs work.radius. */
BEAM_HD void beam_gpu_mlp_links(const beam_team *t, const beam_gpu_problem *p,
                                const beam_gpu_mlp_plan *m, float *x)
{
    const double *radius = BEAM_WORK(p, double, radius), *scale = BEAM_CLUSTER(p, double, scale);
    const int N = m->N;
    BEAM_EACH(t, i, m->L * m->U)
    {
        const beam_c32 *h = beam_gpu_channel(p, i / m->U, i % m->U);
        float *to = x + m->channel + 2 * N * i;
        const double eps = radius[i];
        double h2 = 0;
        for (int n = 0; n < N; n++) {
            const double re = scale[i] * (double)h[n].re, im = scale[i] * (double)h[n].im;
            h2 += re * re + im * im;
        }
        const double unit = h2 > 0 ? scale[i] * sqrt(N / h2) : 0;
        for (int n = 0; n < N; n++) {
            to[n] = (float)(unit * (double)h[n].re);
            to[N + n] = (float)(unit * (double)h[n].im);
        }
        x[m->norm + i] = (float)((log1p(h2) - 4) / 3);
        x[m->radius + i] = eps > 0 ? (float)(4 * eps / sqrt(eps * eps + h2)) : 0;
    }
}

/* a and D a of every target at every station, and what its echo tells. */
BEAM_HD void beam_gpu_mlp_targets(const beam_team *t, const beam_gpu_problem *p,
                                  const beam_gpu_mlp_plan *m, float *x)
{
    const beam_c64 *tx = BEAM_CLUSTER(p, beam_c64, tx);
    const double *P[2] = {BEAM_CLUSTER(p, double, P0), BEAM_CLUSTER(p, double, P2)};
    const int N = m->N, *geometry = BEAM_CLUSTER(p, int, geometry);
    const double minimum = beam_gpu_head(p)->crlb_min_m2, V = N > 1 ? (N * N - 1) / 12.0 : 1,
                 unit[2] = {minimum * N, minimum * N * V};
    BEAM_EACH(t, k, m->L * m->J * 2 * N)
    {
        const int q = k / N, n = k % N;
        const double scale = q % 2 ? 1 / sqrt(V) : 1;
        float *to = x + m->steering + 2 * N * q;
        to[n] = (float)(scale * tx[k].re);
        to[N + n] = (float)(scale * tx[k].im);
    }
    BEAM_EACH(t, k, m->L * m->J * 6)
    {
        const int i = k / 6, which = k / 3 % 2;
        x[m->information + k] = (float)asinh(unit[which] * P[which][3 * i + k % 3]);
    }
    BEAM_EACH(t, j, m->J)
    {
        x[m->counted + j] = minimum > 0 && geometry[j] ? 1 : 0;
    }
}

/* Everything that is constant over the layers, and zeros in the padding. Needs work.radius. */
BEAM_HD void beam_gpu_mlp_features(const beam_team *t, const beam_gpu_problem *p,
                                   const beam_gpu_mlp_plan *m, float *x)
{
    const beam_gpu_request_head *head = beam_gpu_head(p);
    const double *weight = BEAM_CLUSTER(p, double, weight);
    const double least = 1e-3, wsr = head->wsr_ideal_bps_hz,
                 ratio = (head->u2 > least ? head->u2 : least) /
                         (head->u1 > least ? head->u1 : least); /* w1/w2 */
    double total = 0;
    for (int u = 0; u < m->U; u++) {
        total += weight[u];
    }
    beam_gpu_mlp_links(t, p, m, x);
    beam_gpu_mlp_targets(t, p, m, x);
    BEAM_EACH(t, u, m->U)
    {
        x[m->weight + u] = total > 0 ? (float)(weight[u] * m->U / total - 1) : 0;
    }
    BEAM_EACH(t, i, m->inputs - m->ideal)
    {
        const int at = m->ideal + i;
        x[at] = at == m->ideal            ? (wsr > 0 ? (float)(log(wsr) - 2.5) : 0)
                : at == m->preference     ? (float)((ratio - 1) / (ratio + 1))
                : at == m->preference + 1 ? (float)(log(ratio) / 4)
                                          : 0;
    }
}

/* The states at the start: the rows of work.w, no errors. */
BEAM_HD void beam_gpu_mlp_start(const beam_team *t, const beam_gpu_problem *p,
                                const beam_gpu_mlp_plan *m, float *x)
{
    const beam_c32 *w = BEAM_WORK(p, beam_c32, w);
    BEAM_EACH(t, k, p->plan->s.rows * m->N)
    {
        x[m->rows + 2 * k] = m->row_scale * w[k].re;
        x[m->rows + 2 * k + 1] = m->row_scale * w[k].im;
    }
    BEAM_EACH(t, k, m->states - m->errors)
    {
        x[m->errors + k] = 0;
    }
}

/* A problem's column before its first layer. The subspace is the antennas' (N <= U + 2J). */
BEAM_HD void beam_gpu_mlp_begin(const beam_team *t, const beam_gpu_problem *p,
                                const beam_gpu_mlp_plan *m, float *x)
{
    const beam_gpu_request_head *head = beam_gpu_head(p);
    beam_gpu_reduce(t, p);
    beam_gpu_rzf(t, p);
    if (head->warm && beam_gpu_given_candidate(t, p, beam_gpu_warm_beams(p))) {
        beam_gpu_warm_start(t, p);
    } else {
        beam_gpu_compose(t, p, head->start_share, BEAM_WORK(p, beam_c32, w));
    }
    beam_gpu_mlp_start(t, p, m, x);
    beam_gpu_mlp_features(t, p, m, x);
    beam_team_sync(t);
}

/* --- Layers ------------------------------------------------------------------------------------
 */

/* What follows the product of a hidden layer: bias and activation. */
BEAM_HD void beam_gpu_mlp_hidden(const beam_team *t, const beam_gpu_mlp_plan *m, const float *bias,
                                 float *h)
{
    BEAM_EACH(t, i, m->hidden)
    {
        h[i] = beam_gpu_ramp(h[i] + bias[i]);
    }
}

/* Power of the rows of a station, its share of the budget. */
BEAM_HD float beam_gpu_mlp_power(const beam_team *t, const beam_gpu_mlp_plan *m, int from,
                                 int count, const float *x)
{
    float power = 0;
    BEAM_EACH(t, k, count)
    {
        const float v = x[m->rows + from + k] / m->row_scale;
        power += v * v;
    }
    return (float)beam_team_sum(t, (double)power);
}

/* Stations into their budgets and errors into their balls. */
BEAM_HD void beam_gpu_mlp_bound(const beam_team *t, const beam_gpu_mlp_plan *m, float *x)
{
    const int N = m->N, count = 2 * N * (m->U / m->L + m->r);
    for (int l = 0; l < m->L; l++) {
        const float power = beam_gpu_mlp_power(t, m, l * count, count, x);
        const float fit = power > 1 ? 1 / sqrtf(power) : 1;
        BEAM_EACH(t, k, power > 1 ? count : 0)
        {
            x[m->rows + l * count + k] *= fit;
        }
    }
    BEAM_EACH(t, i, m->L * m->U)
    {
        float *d = x + m->errors + 2 * N * i, length2 = 0;
        for (int k = 0; k < 2 * N; k++) {
            const float v = d[k] / m->error_scale;
            length2 += v * v;
        }
        const float fit = length2 > 1 ? 1 / sqrtf(length2) : 1;
        for (int k = 0; k < 2 * N && length2 > 1; k++) {
            d[k] *= fit;
        }
    }
}

/* What follows the last product of layer y: the step of (26), where the request runs this layer.
 * out: without its bias. */
BEAM_HD void beam_gpu_mlp_step(const beam_team *t, const beam_gpu_request_head *head,
                               const beam_gpu_mlp_plan *m, int y, const float *weights,
                               const float *out, float *x)
{
    const float *bias = weights + m->b3, eta = weights[m->eta];
    if (y < head->from || y >= head->to) {
        return;
    }
    BEAM_EACH(t, k, m->states)
    {
        x[k] += eta * (out[k] + bias[k]);
    }
    beam_team_sync(t);
    beam_gpu_mlp_bound(t, m, x);
}

/* --- Out of the column -------------------------------------------------------------------------
 */

/* The rows at the antennas, sqrt(W), in an answer's order: [U + L r][N]. */
BEAM_HD void beam_gpu_mlp_beams(const beam_team *t, const beam_gpu_problem *p,
                                const beam_gpu_mlp_plan *m, const float *x, beam_c32 *to)
{
    const int *order = BEAM_CLUSTER(p, int, order), K = m->U / m->L, n_rows = K + m->r;
    BEAM_EACH(t, k, m->L * n_rows * m->N)
    {
        const int row = k / m->N, l = row / n_rows, i = row % n_rows;
        const int at = i < K ? order[l * K + i] : m->U + l * m->r + i - K;
        const float root = (float)BEAM_CLUSTER(p, double, root_power)[l];
        to[at * m->N + k % m->N].re = root * (x[m->rows + 2 * k] / m->row_scale);
        to[at * m->N + k % m->N].im = root * (x[m->rows + 2 * k + 1] / m->row_scale);
    }
}

/* Beams of a problem that the model is not made for: not finite, so that they are no candidate. */
BEAM_HD void beam_gpu_mlp_no_beams(const beam_team *t, const beam_gpu_mlp_plan *m, beam_c32 *to)
{
    BEAM_EACH(t, k, (m->U + m->L * m->r) * m->N)
    {
        to[k].re = to[k].im = (float)INFINITY;
    }
}

#endif
