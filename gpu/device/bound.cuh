/* A lower bound of the merit of every classical design, whatever its share: engine/solver/curve.c
 * and rate_cut.c for a team, in float32 and yet a bound of what float32 sends.
 *
 * Along the share s of the power that goes to the beams, the rate at fixed admissible errors is
 * above the worst case and rises with s, and the CRLB is convex: on [a, b] no classical design is
 * better than the merit of the rate bound at b with the least value of the tangents at a and b.
 * Shares whose bound is not below the best candidate's merit need no evaluation.
 *
 * Everything is kept in products with the rows, e_i = x^H w_i of a channel x, and in their Gram
 * matrix: a step of the adversary x <- h + size d/|d|, d = sum_i a_i w_i w_i^H x, is
 * e <- y + size/|d| G (a e). Whatever rounding does to a direction, an error of the ball's length
 * is admissible; what it does to lengths and products is bounded by `slack` and taken off on the
 * side that keeps the bound one. */
#ifndef BEAM_GPU_BOUND_CUH
#define BEAM_GPU_BOUND_CUH

#include "load.cuh"
#include "merit.cuh"

enum { BEAM_GPU_BOUND_ROUNDS = 3 };

/* Relative to lengths: what reduction, rounding to float32 and the scaling into the budgets may
 * change in a product of what is sent. tests/gpu bounds the parts (2e-6 and below). */
#define BEAM_GPU_SENT_SLACK 4e-6f
/* The ball's radius is shortened by as much as the basis may lengthen. */
#define BEAM_GPU_BALL 0.99999f
/* Of values, after the slack above: sums and logarithms in float32. */
#define BEAM_GPU_VALUE_SLACK 3e-5

/* Shares and steps of the cuts (engine: cut_share, cut_steps). */
BEAM_HD float beam_gpu_cut_share(int c)
{
    return c == 0 ? 0.6f : c == 1 ? 0.35f : 0.95f;
}
BEAM_HD int beam_gpu_cut_steps(int c)
{
    return c == 0 ? 1 : 2;
}

/* Row i of station l of the classical design at full power on both sides. */
BEAM_HD const beam_c32 *beam_gpu_classical_row(const beam_gpu_problem *p, int l, int i)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *user = BEAM_CLUSTER(p, int, user_first);
    const int K = user[l + 1] - user[l];
    return i < K ? BEAM_WORK(p, beam_c32, unit) + (user[l] + i) * s->D
                 : BEAM_WORK(p, beam_c32, vectors) + (l * s->Q + s->U + 2 * s->J + i - K) * s->D;
}

/* y[row][q] = vector_q^H w for channels and target directions, G[row][k] = w_k^H w_row. */
BEAM_HD_PART void beam_gpu_bound_products(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first);
    const int q_count = s->U + 2 * s->J, each = q_count + s->n_max;
    const unsigned by_each = beam_gpu_by(each);
    beam_c32 *y = BEAM_WORK(p, beam_c32, bound_y), *G = BEAM_WORK(p, beam_c32, bound_gram);
    BEAM_EACH(t, k, s->rows * each)
    {
        const int row = beam_gpu_over(k, by_each), q = k - row * each;
        const int l = beam_gpu_row_station(p, row);
        const beam_c32 *w = beam_gpu_classical_row(p, l, row - first[l]);
        if (q < q_count) {
            y[row * q_count + q] =
                beam_gpu32_dot(s->D, BEAM_WORK(p, beam_c32, vectors) + (l * s->Q + q) * s->D, w);
        } else if (q - q_count < first[l + 1] - first[l]) {
            G[row * s->n_max + q - q_count] =
                beam_gpu32_dot(s->D, beam_gpu_classical_row(p, l, q - q_count), w);
        }
    }
    beam_team_sync(t);
}

/* --- Cuts: SINR at errors that are nearly the worst (rate_cut.c) ---------------------------------
 */

/* One channel: of user u at station l. */
typedef struct beam_gpu_cut {
    int n, K, mine; /* rows, those that are beams, row of the user's own beam or -1 */
    int n_max, q_count;
    const beam_c32 *y, *G;
    beam_c32 *e, *z;
    float eps, h; /* lengths of the ball and of the channel */
    float slack;  /* of products, relative to lengths */
    float moved;  /* what the last step adds to it, over the row's length */
    float signal, beams, sensing;
} beam_gpu_cut;

BEAM_HD float beam_gpu_cut_weight(const beam_gpu_cut *v, const float *weight, int i)
{
    return i == v->mine ? weight[2] : i < v->K ? weight[0] : weight[1];
}
BEAM_HD float beam_gpu_cut_length(const beam_gpu_cut *v, int i)
{
    const float norm2 = v->G[i * v->n_max + i].re;
    return sqrtf(norm2 > 0 ? norm2 : 0);
}

/* A step to the end of `size` along sum_i weight_i w_i w_i^H x; where that has no length x stays.
 */
BEAM_HD void beam_gpu_cut_move(beam_gpu_cut *v, const float *weight, float size)
{
    float t = 0, all = 0;
    for (int i = 0; i < v->n; i++) {
        const float a = beam_gpu_cut_weight(v, weight, i);
        all += fabsf(a) * sqrtf(beam_gpu32_norm2(v->e[i])) * beam_gpu_cut_length(v, i);
    }
    for (int i = 0; i < v->n; i++) {
        beam_c32 z = {0, 0};
        for (int k = 0; k < v->n; k++) {
            const float a = beam_gpu_cut_weight(v, weight, k);
            beam_gpu32_add_mul(&z, beam_gpu32_scale(a, v->e[k]), v->G[i * v->n_max + k]);
        }
        v->z[i] = z;
        t += beam_gpu_cut_weight(v, weight, i) * (v->e[i].re * z.re + v->e[i].im * z.im);
    }
    t += v->slack * all * all; /* no shorter than the true length: the error stays in the ball */
    if (!(t > 1e-30f && t < 1e30f)) {
        return;
    }
    const float step = size / sqrtf(t);
    for (int i = 0; i < v->n; i++) {
        beam_c32 e = v->y[i * v->q_count];
        beam_gpu32_add_scaled(&e, step, v->z[i]);
        v->e[i] = e;
    }
    v->moved = step * v->slack * all;
}

/* Signal from above, the others from below. */
BEAM_HD void beam_gpu_cut_powers(beam_gpu_cut *v, float *signal, float *beams, float *sensing)
{
    *signal = *beams = *sensing = 0;
    for (int i = 0; i < v->n; i++) {
        const float off = beam_gpu_cut_length(v, i) * (v->slack * (v->h + v->eps) + v->moved);
        const float size = sqrtf(beam_gpu32_norm2(v->e[i]));
        const float least = size > off ? size - off : 0;
        if (i == v->mine) {
            *signal = (size + off) * (size + off);
        } else if (i < v->K) {
            *beams += least * least;
        } else {
            *sensing += least * least;
        }
    }
}

/* The adversary. rest: interference of other cells and noise, at the cut's share. */
BEAM_HD void beam_gpu_cut_run(beam_gpu_cut *v, float share, int steps, float rest)
{
    float weight[3] = {share, 1 - share, 0}, best = INFINITY, size = v->eps;
    if (v->mine >= 0) { /* first what takes most from the signal, no further than to zero */
        const float length = beam_gpu_cut_length(v, v->mine);
        const float most = sqrtf(beam_gpu32_norm2(v->y[v->mine * v->q_count])) / length;
        size = most < v->eps ? most : v->eps; /* length 0: no number, and then no step */
        weight[0] = weight[1] = 0;
        weight[2] = -1;
    }
    for (int k = 0; k < steps; k++) {
        float signal, beams, sensing;
        if (v->eps > 0) {
            beam_gpu_cut_move(v, weight, size);
        }
        beam_gpu_cut_powers(v, &signal, &beams, &sensing);
        const float ratio = share * signal / (share * beams + (1 - share) * sensing + rest);
        if (v->mine >= 0 && !(ratio < best)) {
            break;
        }
        best = ratio;
        v->signal = signal;
        v->beams = beams;
        v->sensing = sensing;
        if (v->mine >= 0) { /* -(1 + eta) v v^H x + eta R x */
            weight[0] = ratio * share;
            weight[1] = ratio * (1 - share);
            weight[2] = -share;
            size = v->eps;
        }
    }
}

BEAM_HD beam_gpu_cut beam_gpu_cut_at(const beam_gpu_problem *p, int c, int l, int u)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *user = BEAM_CLUSTER(p, int, user_first);
    const int at = ((c * s->L + l) * s->U + u) * s->n_max;
    beam_gpu_cut v;
    v.n = first[l + 1] - first[l];
    v.K = user[l + 1] - user[l];
    v.mine = BEAM_CLUSTER(p, int, own)[u] == l ? BEAM_CLUSTER(p, int, row)[u] : -1;
    v.n_max = s->n_max;
    v.q_count = s->U + 2 * s->J;
    v.y = BEAM_WORK(p, beam_c32, bound_y) + first[l] * v.q_count + u;
    v.G = BEAM_WORK(p, beam_c32, bound_gram) + first[l] * s->n_max;
    v.e = BEAM_WORK(p, beam_c32, bound_e) + at;
    v.z = BEAM_WORK(p, beam_c32, bound_z) + at;
    v.eps = BEAM_GPU_BALL * (float)BEAM_WORK(p, double, radius)[l * s->U + u];
    v.h =
        sqrtf(beam_gpu32_row_norm2(s->D, BEAM_WORK(p, beam_c32, vectors) + (l * s->Q + u) * s->D));
    v.slack = BEAM_GPU_SENT_SLACK + 1.2e-7f * (float)(s->n_max + s->D + 4);
    v.moved = v.signal = v.beams = v.sensing = 0;
    for (int i = 0; i < v.n; i++) {
        v.e[i] = v.y[i * v.q_count];
    }
    return v;
}

/* work.bound_cut [c][U][3]: signal, other beams, sensing. Other cells first, then the own one. */
BEAM_HD_PART void beam_gpu_cuts(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *own = BEAM_CLUSTER(p, int, own);
    float *cross = BEAM_WORK(p, float, bound_cross), *cut = BEAM_WORK(p, float, bound_cut);
    for (int pass = 0; pass < 2; pass++) {
        const int stations = pass == 0 ? s->L : 1;
        BEAM_EACH(t, k, BEAM_GPU_CUTS * stations * s->U)
        {
            const int link = beam_gpu_over(k, s->by_U), u = k - link * s->U;
            const int c = pass == 0 ? link / s->L : link;
            const int l = pass == 0 ? link - c * s->L : own[u];
            const float share = beam_gpu_cut_share(c);
            float beams = 0, sensing = 0;
            if (pass == 0 && l == own[u]) {
                continue;
            }
            for (int m = 0; pass == 1 && m < s->L; m++) {
                const float *from = cross + 2 * ((c * s->L + m) * s->U + u);
                beams += m == l ? 0 : from[0];
                sensing += m == l ? 0 : from[1];
            }
            beam_gpu_cut v = beam_gpu_cut_at(p, c, l, u);
            beam_gpu_cut_run(&v, share, beam_gpu_cut_steps(c),
                             share * beams + (1 - share) * sensing + 1);
            if (pass == 0) {
                cross[2 * k] = v.beams;
                cross[2 * k + 1] = v.sensing;
            } else {
                cut[3 * k] = v.signal;
                cut[3 * k + 1] = beams + v.beams;
                cut[3 * k + 2] = sensing + v.sensing;
            }
        }
        beam_team_sync(t);
    }
}

/* --- Points of the curve (curve.c) ---------------------------------------------------------------
 */

/* Bounds at one share, and of the interval from here to the next node. */
typedef struct beam_gpu_node {
    double share, wsr, shortfall; /* rate from above, missed minimum rates from below */
    double crlb, slope;           /* a supporting line from below; slope NAN: none, crlb 0 */
    double merit;
} beam_gpu_node;

/* What a share asks of one echo: X0 and S and their slopes. S is the least over c of
 * sum_i s_i |b_i - c a_i|^2, so that any c gives a line above it. */
typedef struct beam_gpu_echo_line {
    float X0, X0_slope, S, S_slope;
} beam_gpu_echo_line;

BEAM_HD beam_gpu_echo_line beam_gpu_echo_at(const beam_gpu_problem *p, int l, int j, float share)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *user = BEAM_CLUSTER(p, int, user_first);
    const int n = first[l + 1] - first[l], K = user[l + 1] - user[l], q_count = s->U + 2 * s->J;
    const beam_c32 *y = BEAM_WORK(p, beam_c32, bound_y) + first[l] * q_count + s->U + 2 * j,
                   *G = BEAM_WORK(p, beam_c32, bound_gram) + first[l] * s->n_max;
    const float slack = BEAM_GPU_SENT_SLACK + 1.2e-7f * (float)(s->n_max + s->D + 4);
    const float weight[2] = {share, 1 - share};
    beam_c32 x1 = {0, 0}, c = {0, 0};
    float x0 = 0, X0[2] = {0, 0}, S[2] = {0, 0};
    for (int i = 0; i < n; i++) {
        const float part = weight[i >= K];
        x0 += part * beam_gpu32_norm2(y[i * q_count]);
        beam_gpu32_add_conj_mul(&x1, y[i * q_count + 1], beam_gpu32_scale(part, y[i * q_count]));
    }
    if (x0 > 1e-30f) {
        c = beam_gpu32_scale(1 / x0, x1);
    }
    const float size = 1 + sqrtf(beam_gpu32_norm2(c));
    for (int i = 0; i < n; i++) {
        const float norm2 = G[i * s->n_max + i].re;
        const float off = 1.01f * slack * sqrtf(norm2 > 0 ? norm2 : 0); /* a, D a: norm about 1 */
        beam_c32 b = y[i * q_count + 1];
        beam_gpu32_add_conj_mul(&b, c, beam_gpu32_scale(-1, y[i * q_count]));
        const float a_size = sqrtf(beam_gpu32_norm2(y[i * q_count])) + off,
                    b_size = sqrtf(beam_gpu32_norm2(b)) + off * size;
        X0[i >= K] += a_size * a_size;
        S[i >= K] += b_size * b_size;
    }
    beam_gpu_echo_line line;
    line.X0 = share * X0[0] + (1 - share) * X0[1];
    line.X0_slope = X0[0] - X0[1];
    line.S = share * S[0] + (1 - share) * S[1];
    line.S_slope = S[0] - S[1];
    return line;
}

/* CRLB at a share and its slope, added up over the targets. A matrix that float64 does not tell
 * from a singular one supports no line. */
BEAM_HD void beam_gpu_crlb_line(const beam_gpu_problem *p, beam_gpu_node *node)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *geometry = BEAM_CLUSTER(p, int, geometry);
    const double V = ((double)s->N * s->N - 1) / 12, f0 = s->N, f2 = s->N * (V > 0 ? V : 1);
    node->crlb = node->slope = 0;
    for (int j = 0; j < s->J; j++) {
        double xx = 0, xy = 0, yy = 0, dx = 0, dxy = 0, dy = 0;
        for (int l = 0; geometry[j] && l < s->L; l++) {
            const double *P0 = BEAM_CLUSTER(p, double, P0) + 3 * (l * s->J + j),
                         *P2 = BEAM_CLUSTER(p, double, P2) + 3 * (l * s->J + j);
            const beam_gpu_echo_line line = beam_gpu_echo_at(p, l, j, (float)node->share);
            const double w0 = f0 * (double)line.X0, w2 = f2 * (double)line.S,
                         d0 = f0 * (double)line.X0_slope, d2 = f2 * (double)line.S_slope;
            xx += w0 * P0[0] + w2 * P2[0];
            xy += w0 * P0[1] + w2 * P2[1];
            yy += w0 * P0[2] + w2 * P2[2];
            dx += d0 * P0[0] + d2 * P2[0];
            dxy += d0 * P0[1] + d2 * P2[1];
            dy += d0 * P0[2] + d2 * P2[2];
        }
        const double trace = xx + yy, det = xx * yy - xy * xy, one = 1 / det;
        if (!geometry[j]) {
            continue;
        }
        if (!(det > 1e-6 * trace * trace) || !(one < 1e300)) {
            node->slope = (double)NAN;
            continue;
        }
        const double a = yy * one, b = -xy * one, c = xx * one;
        node->crlb += a + c;
        node->slope -= (a * a + b * b) * dx + 2 * b * (a + c) * dxy + (c * c + b * b) * dy;
    }
    node->crlb *= 1 - BEAM_GPU_VALUE_SLACK;
    node->slope *= 1 - BEAM_GPU_VALUE_SLACK;
    if (!(node->slope == node->slope)) {
        node->crlb = 0;
    }
}

BEAM_HD_PART beam_gpu_node beam_gpu_node_at(const beam_gpu_problem *p, double share)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const double *weight = BEAM_CLUSTER(p, double, weight),
                 *least = BEAM_CLUSTER(p, double, min_rate);
    const float *cut = BEAM_WORK(p, float, bound_cut), beams = (float)share,
                sensing = (float)(1 - share);
    beam_gpu_node node;
    node.share = share;
    node.wsr = node.shortfall = node.merit = 0;
    for (int u = 0; u < s->U; u++) {
        float sinr = INFINITY;
        for (int c = 0; c < BEAM_GPU_CUTS; c++) {
            const float *v = cut + 3 * (c * s->U + u);
            const float here = beams * v[0] / (beams * v[1] + sensing * v[2] + 1);
            sinr = here < sinr ? here : sinr;
        }
        const double rate =
            (double)log1pf(sinr) * (1.4426950408889634074 * (1 + BEAM_GPU_VALUE_SLACK));
        node.wsr += weight[u] * rate;
        node.shortfall += rate < least[u] ? least[u] - rate : 0;
    }
    beam_gpu_crlb_line(p, &node);
    return node;
}

/* Least CRLB that the lines allow between two nodes (engine: beam_curve_least). */
BEAM_HD double beam_gpu_least_crlb(const beam_gpu_node *a, const beam_gpu_node *b)
{
    const double width = b->share - a->share;
    if (a->slope >= 0) {
        return a->crlb;
    }
    if (b->slope <= 0) {
        return b->crlb;
    }
    if (a->slope < 0 && b->slope > 0) {
        double t = (b->crlb - a->crlb - b->slope * width) / (a->slope - b->slope);
        t = t > 0 ? t : 0;
        return a->crlb + a->slope * (t < width ? t : width);
    }
    const double far = a->slope < 0   ? a->crlb + a->slope * width
                       : b->slope > 0 ? b->crlb - b->slope * width
                                      : 0;
    return far > 0 ? far : 0;
}

/* Of the classical designs between a and b. */
BEAM_HD double beam_gpu_interval_merit(const beam_gpu_problem *p, const beam_gpu_node *a,
                                       const beam_gpu_node *b)
{
    beam_gpu_numbers v;
    v.wsr = b->wsr;
    v.shortfall = b->shortfall;
    v.crlb = beam_gpu_least_crlb(a, b);
    v.merit = 0;
    if (!(v.wsr < (double)INFINITY) || !(v.crlb >= 0) ||
        (v.crlb <= 0 && beam_gpu_head(p)->crlb_min_m2 != 0)) {
        return -(double)INFINITY;
    }
    const double merit = beam_gpu_merit(p, &v);
    return merit - 1e-9 * (1 + fabs(merit));
}

/* --- Shares that can still win -------------------------------------------------------------------
 */

typedef struct beam_gpu_alive {
    double low, high; /* shares outside cannot reach the target; low > high: none can */
    double bound;     /* of the merits outside */
} beam_gpu_alive;

/* Tighter and tighter grids around what is left, while that shrinks. The same in every lane.
 * Destroys the memory of the layers and of the check. */
BEAM_HD_PART beam_gpu_alive beam_gpu_alive_shares(const beam_team *t, const beam_gpu_problem *p,
                                                  double target)
{
    beam_gpu_node *node = BEAM_WORK(p, beam_gpu_node, bound_node);
    beam_gpu_alive alive = {0, 1, (double)INFINITY};
    beam_gpu_bound_products(t, p);
    beam_gpu_cuts(t, p);
    for (int round = 0; round < BEAM_GPU_BOUND_ROUNDS; round++) {
        const double width = alive.high - alive.low;
        BEAM_EACH(t, k, BEAM_GPU_BOUND_NODES) /* denser towards the ends, which are exact */
        {
            const double x = (double)k / (BEAM_GPU_BOUND_NODES - 1);
            node[k] = beam_gpu_node_at(p, k == BEAM_GPU_BOUND_NODES - 1
                                              ? alive.high
                                              : alive.low + width * (x * x * (3 - 2 * x)));
        }
        beam_team_sync(t);
        BEAM_EACH(t, k, BEAM_GPU_BOUND_NODES - 1)
        {
            node[k].merit = beam_gpu_interval_merit(p, &node[k], &node[k + 1]);
        }
        beam_team_sync(t);
        alive.low = 2;
        alive.high = -1;
        for (int k = 0; k + 1 < BEAM_GPU_BOUND_NODES; k++) {
            if (node[k].merit >= target) {
                alive.bound = node[k].merit < alive.bound ? node[k].merit : alive.bound;
            } else {
                alive.low = node[k].share < alive.low ? node[k].share : alive.low;
                alive.high = node[k + 1].share;
            }
        }
        beam_team_sync(t);
        if (alive.low > alive.high || alive.high - alive.low > 0.5 * width) {
            break;
        }
    }
    return alive;
}

#endif
