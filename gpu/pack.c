/* Scenes and models into the device's layouts, answers back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/layer.cuh"
#include "device/tensor.cuh"
#include "model/problem.h"
#include "network/arch.h"
#include "plan.h"

/* Row `i` of the problem (real parts, then imaginary ones), times `scale`. */
static void put_row(int N, int Np, double scale, const double *row, beam_c32 *to)
{
    for (int n = 0; n < N; n++) {
        to[n].re = (float)(scale * row[n]);
        to[n].im = (float)(scale * row[Np + n]);
    }
}

static void pack_users(const beam_gpu_plan *plan, const beam_problem *p, unsigned char *to)
{
    const beam_gpu_sizes *s = &plan->s;
    int *order = (int *)(void *)(to + plan->cluster.order),
        *own = (int *)(void *)(to + plan->cluster.own),
        *row = (int *)(void *)(to + plan->cluster.row);
    double *weight = (double *)(void *)(to + plan->cluster.weight),
           *rzf = (double *)(void *)(to + plan->cluster.rzf_weight),
           *min_rate = (double *)(void *)(to + plan->cluster.min_rate),
           *scale = (double *)(void *)(to + plan->cluster.scale), mean = 0;
    for (int u = 0; u < s->U; u++) {
        mean += p->weight[u] / s->U;
    }
    for (int u = 0; u < s->U; u++) {
        order[u] = p->order[u];
        own[u] = p->own[u];
        row[u] = p->row_of[u] - p->first[p->own[u]];
        weight[u] = p->weight[u];
        min_rate[u] = p->min_rate[u];
        rzf[u] = mean > 0 ? fmax(p->weight[u] / mean, 1e-3) : 1;
        for (int l = 0; l < s->L; l++) {
            scale[l * s->U + u] = p->sqrt_power[l] / p->sigma[u];
        }
    }
}

static void pack_stations(const beam_gpu_plan *plan, const beam_problem *p, unsigned char *to)
{
    const beam_gpu_sizes *s = &plan->s;
    int *K = (int *)(void *)(to + plan->cluster.K),
        *first = (int *)(void *)(to + plan->cluster.first),
        *user_first = (int *)(void *)(to + plan->cluster.user_first),
        *station = (int *)(void *)(to + plan->cluster.station);
    double *root = (double *)(void *)(to + plan->cluster.root_power);
    for (int l = 0; l <= s->L; l++) {
        first[l] = p->first[l];
        user_first[l] = p->user_first[l];
    }
    for (int l = 0; l < s->L; l++) {
        K[l] = p->K[l];
        root[l] = p->sqrt_power[l];
        for (int row = first[l]; row < first[l + 1]; row++) {
            station[row] = l;
        }
    }
}

static void pack_targets(const beam_gpu_plan *plan, const beam_problem *p, unsigned char *to)
{
    const beam_gpu_sizes *s = &plan->s;
    const beam_crlb *c = &p->crlb;
    int *geometry = (int *)(void *)(to + plan->cluster.geometry);
    double *P0 = (double *)(void *)(to + plan->cluster.P0),
           *P2 = (double *)(void *)(to + plan->cluster.P2);
    beam_c64 *tx = (beam_c64 *)(void *)(to + plan->cluster.tx);
    beam_c32 *fixed = (beam_c32 *)(void *)(to + plan->cluster.fixed);
    const double V = c->V > 0 ? c->V : 1;
    *(int *)(void *)(to + plan->cluster.skip) = c->skip_unidentifiable;
    for (int j = 0; j < s->J; j++) {
        geometry[j] = c->geometry[j] == BEAM_TARGET_OK;
    }
    for (int k = 0; k < s->L * s->J; k++) {
        for (int i = 0; i < 3; i++) {
            P0[3 * k + i] = c->P0[4 * k + i + (i == 2)];
            P2[3 * k + i] = c->P2[4 * k + i + (i == 2)];
        }
    }
    for (int l = 0; l < s->L; l++) {
        for (int q = 0; q < 2 * s->J; q++) {
            const double *row = p->tx + (size_t)((l * 2 * s->J + q) * p->stride);
            const double unit = 1 / sqrt(q % 2 ? s->N * V : (double)s->N);
            for (int n = 0; n < s->N; n++) {
                tx[(l * 2 * s->J + q) * s->N + n] = (beam_c64){row[n], row[p->Dp + n]};
            }
            put_row(s->N, p->Dp, unit, row, fixed + (l * (2 * s->J + s->r) + q) * s->N);
        }
    }
}

static void pack_sensing(const beam_gpu_plan *plan, const beam_problem *p, const beam_design *d,
                         unsigned char *to)
{
    const beam_gpu_sizes *s = &plan->s;
    beam_c32 *fixed = (beam_c32 *)(void *)(to + plan->cluster.fixed);
    for (int l = 0; l < s->L; l++) {
        beam_c32 *rows = fixed + (l * (2 * s->J + s->r) + 2 * s->J) * s->N;
        memset(rows, 0, (size_t)(s->r * s->N) * sizeof *rows);
        for (int k = 0; k < s->r && k < d->sensing_count[l]; k++) {
            const beam_complex *from =
                d->sensing + ((size_t)l * (size_t)d->sensing_max + (size_t)k) * (size_t)s->N;
            for (int n = 0; n < s->N; n++) {
                rows[k * s->N + n] = (beam_c32){(float)(from[n].re / p->sqrt_power[l]),
                                                (float)(from[n].im / p->sqrt_power[l])};
            }
        }
    }
}

static beam_code check_sizes(const beam_gpu_plan *plan, const beam_scene *scene,
                             const beam_design *sensing, beam_error *err)
{
    const beam_gpu_sizes *s = &plan->s;
    const beam_dims *d = &scene->dims;
    if (d->stations != s->L || d->antennas != s->N || d->users != s->U || d->targets != s->J ||
        sensing->dims.stations != s->L || sensing->dims.antennas != s->N) {
        return beam_fail(err, BEAM_E_INVALID, "dims", "other sizes than were prepared");
    }
    if (scene->sensing != BEAM_SENSING_RESOLVED) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, "sensing",
                         "only the resolved sensing model is built for the device");
    }
    return BEAM_OK;
}

static size_t carve(beam_problem *p, const beam_dims *d, void *memory)
{
    beam_arena arena = {memory, 0};
    beam_problem_carve(p, &arena, d, beam_gpu_sensing_rows(d), false);
    return (arena.used + 63u) & ~(size_t)63u;
}

size_t beam_gpu_pack_scratch(const beam_dims *dims)
{
    beam_problem p;
    return carve(&p, dims, NULL);
}

beam_code beam_gpu_pack_cluster_in(const beam_gpu_plan *plan, const beam_scene *scene,
                                   const beam_design *sensing, void *scratch, size_t size, void *to,
                                   beam_error *err)
{
    const beam_gpu_sizes *s = &plan->s;
    beam_problem p;
    beam_code code = check_sizes(plan, scene, sensing, err);
    if (!code && beam_gpu_pack_scratch(&scene->dims) > size) {
        code = beam_fail(err, BEAM_E_LIMIT, "memory", "%zu bytes of scratch are not enough", size);
    }
    if (code) {
        return code;
    }
    (void)carve(&p, &scene->dims, scratch);
    code = beam_problem_load(&p, scene, false, err);
    if (!code && p.cols_max > s->n_max) {
        code = beam_fail(err, BEAM_E_LIMIT, "user_station",
                         "%d users at one station; prepared for %d", p.cols_max - s->r, s->K_max);
    }
    if (!code) {
        memset(to, 0, (size_t)plan->cluster.bytes);
        pack_users(plan, &p, (unsigned char *)to);
        pack_stations(plan, &p, (unsigned char *)to);
        pack_targets(plan, &p, (unsigned char *)to);
        pack_sensing(plan, &p, sensing, (unsigned char *)to);
    }
    return code;
}

beam_code beam_gpu_pack_cluster(const beam_gpu_plan *plan, const beam_scene *scene,
                                const beam_design *sensing, void *to, beam_error *err)
{
    const size_t size = beam_gpu_pack_scratch(&scene->dims);
    void *scratch = aligned_alloc(64, size);
    if (!scratch) {
        return beam_fail(err, BEAM_E_LIMIT, "memory", "%zu bytes are not to be had", size);
    }
    const beam_code code = beam_gpu_pack_cluster_in(plan, scene, sensing, scratch, size, to, err);
    free(scratch);
    return code;
}

static void put_complex(size_t n, const beam_complex *from, beam_c32 *to)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (beam_c32){(float)from[i].re, (float)from[i].im};
    }
}

void beam_gpu_pack_request(const beam_gpu_plan *plan, int cluster, const beam_scene *scene,
                           const beam_ideal *ideal, double tradeoff, const beam_design *warm,
                           int from, int to_layer, int candidates, void *to)
{
    const beam_gpu_sizes *s = &plan->s;
    unsigned char *bytes = (unsigned char *)to;
    const beam_preference u = beam_preference_from_tradeoff(tradeoff);
    const size_t N = (size_t)s->N, links = (size_t)(s->L * s->U);
    beam_c32 *rows = (beam_c32 *)(void *)(bytes + plan->request.warm);
    memset(bytes, 0, (size_t)plan->request.bytes);
    *(beam_gpu_request_head *)to = (beam_gpu_request_head){
        .wsr_ideal_bps_hz = ideal->wsr_ideal_bps_hz,
        .crlb_min_m2 = ideal->crlb_min_m2,
        .u1 = u.u1,
        .u2 = u.u2,
        .start_share = beam_net_start_share(tradeoff),
        .cluster = cluster,
        .warm = warm != NULL,
        .from = from,
        .to = to_layer,
        .candidates = candidates,
    };
    put_complex(links * N, scene->channel, (beam_c32 *)(void *)(bytes + plan->request.channel));
    memcpy(bytes + plan->request.radius, scene->error_radius, links * sizeof(double));
    if (!warm) {
        return;
    }
    put_complex((size_t)s->U * N, warm->beams, rows);
    for (int l = 0; l < s->L; l++) {
        const int count = warm->sensing_count[l] < s->r ? warm->sensing_count[l] : s->r;
        put_complex((size_t)count * N, warm->sensing + (size_t)l * (size_t)warm->sensing_max * N,
                    rows + (size_t)(s->U + l * s->r) * N);
    }
}

static void get_complex(size_t n, const beam_c32 *from, beam_complex *to)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (beam_complex){(double)from[i].re, (double)from[i].im};
    }
}

void beam_gpu_unpack_design(const beam_gpu_plan *plan, const void *answer, beam_design *out)
{
    const beam_gpu_sizes *s = &plan->s;
    const beam_c32 *rows =
        (const beam_c32 *)(const void *)((const unsigned char *)answer + plan->answer.beams);
    const size_t N = (size_t)s->N;
    get_complex((size_t)s->U * N, rows, out->beams);
    for (int l = 0; l < s->L; l++) {
        out->sensing_count[l] = s->r;
        get_complex((size_t)s->r * N, rows + (size_t)(s->U + l * s->r) * N,
                    out->sensing + (size_t)l * (size_t)out->sensing_max * N);
    }
}

/* [outputs][stride] from column `first` to [inputs][outputs]. */
static void turn(int outputs, int stride, int first, int inputs, const float *from, float *to)
{
    for (int k = 0; k < inputs; k++) {
        for (int o = 0; o < outputs; o++) {
            to[k * outputs + o] = from[o * stride + first + k];
        }
    }
}

/* The matrices once more, as tensor cores read them: `theta` from the first one's. */
static void pack_tensor(const float *theta, float *to)
{
    enum { W = BEAM_GPU_TENSOR_WIDTH, F = BEAM_GPU_ROW_INPUTS + BEAM_GPU_STATION_INPUTS };
    enum { INPUTS1 = 16 * BEAM_GPU_STEPS1, INPUTS2 = 16 * BEAM_GPU_STEPS2 };
    float first[W * INPUTS1] = {0}, second[W * INPUTS2];
    const float *w2 = theta + W * F + W, *w3 = w2 + 3 * W * W + W;
    for (int o = 0; o < W; o++) {
        memcpy(first + o * INPUTS1, theta + o * F, F * sizeof *first);
        for (int part = 0; part < 3; part++) {
            memcpy(second + o * INPUTS2 + part * W, w2 + (part * W + o) * W, W * sizeof *second);
        }
    }
    beam_gpu_pack_fragments(INPUTS1, W, first, INPUTS1, BEAM_GPU_FRAGMENT_WORDS, to);
    beam_gpu_pack_fragments(INPUTS2, W, second, INPUTS2, BEAM_GPU_FRAGMENT_WORDS,
                            to + 64 * BEAM_GPU_FRAGMENTS2);
    beam_gpu_pack_fragments(W, BEAM_GPU_COEFFICIENTS, w3, W, BEAM_GPU_FRAGMENT_WORDS,
                            to + 64 * BEAM_GPU_FRAGMENTS3);
}

void beam_gpu_pack_weights(const beam_gpu_plan *plan, const float *theta, float *to)
{
    const int W = plan->s.width, F = BEAM_GPU_ROW_INPUTS + BEAM_GPU_STATION_INPUTS;
    const beam_gpu_layer_at *at = &plan->layer;
    const size_t row = sizeof(float) * (size_t)W;
    for (int y = 0; y < plan->s.layers; y++, to += at->count) {
        memset(to, 0, (size_t)at->count * sizeof *to);
        for (int k = 0; k < BEAM_GPU_SCALARS; k++) { /* clamped as the engine's */
            to[at->scalars + k] = expf(fminf(fmaxf(theta[k], -80), 80));
        }
        theta += BEAM_GPU_SCALARS;
        if (W == BEAM_GPU_TENSOR_WIDTH) {
            pack_tensor(theta, to + at->fragments);
        }
        turn(W, F, 0, BEAM_GPU_ROW_INPUTS, theta, to + at->w1);
        turn(W, F, BEAM_GPU_ROW_INPUTS, BEAM_GPU_STATION_INPUTS, theta, to + at->station1);
        theta += W * F;
        memcpy(to + at->b1, theta, row);
        theta += W;
        turn(W, W, 0, W, theta, to + at->w2);
        turn(W, W, 0, W, theta + W * W, to + at->station2);
        turn(W, W, 0, W, theta + 2 * W * W, to + at->all2);
        theta += 3 * W * W;
        memcpy(to + at->b2, theta, row);
        theta += W;
        turn(BEAM_GPU_COEFFICIENTS, W, 0, W, theta, to + at->w3);
        theta += W * BEAM_GPU_COEFFICIENTS;
        memcpy(to + at->b3, theta, BEAM_GPU_COEFFICIENTS * sizeof *to);
        theta += BEAM_GPU_COEFFICIENTS;
    }
}
