#include "plan.h"

#include <string.h>

#include "device/layer.cuh"

enum { ALIGNMENT = 16, OWN_SCRATCH_BYTES = 7 * 16 + 8 };

static int pad(int bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* The next `bytes` of a block. */
static int take(int *used, int bytes)
{
    const int at = *used;
    *used += pad(bytes);
    return at;
}

/* As the engine has them for the resolved model (solver.c: a bound on the rank of the best Q_l). */
int beam_gpu_sensing_rows(const beam_dims *d)
{
    const int most = beam_design_sensing_max(d);
    int bound = 0;
    while ((bound + 1) * (bound + 1) <= 4 * d->targets + d->users + 1) {
        bound++;
    }
    return smaller(bound, most);
}

static void place_cluster(beam_gpu_plan *plan)
{
    const beam_gpu_sizes *s = &plan->s;
    beam_gpu_cluster_at *c = &plan->cluster;
    const int integer = (int)sizeof(int), real = (int)sizeof(double);
    c->bytes = 0;
    c->order = take(&c->bytes, s->U * integer);
    c->own = take(&c->bytes, s->U * integer);
    c->row = take(&c->bytes, s->U * integer);
    c->K = take(&c->bytes, s->L * integer);
    c->first = take(&c->bytes, (s->L + 1) * integer);
    c->user_first = take(&c->bytes, (s->L + 1) * integer);
    c->geometry = take(&c->bytes, s->J * integer);
    c->skip = take(&c->bytes, integer);
    c->weight = take(&c->bytes, s->U * real);
    c->min_rate = take(&c->bytes, s->U * real);
    c->rzf_weight = take(&c->bytes, s->U * real);
    c->root_power = take(&c->bytes, s->L * real);
    c->scale = take(&c->bytes, s->L * s->U * real);
    c->P0 = take(&c->bytes, 3 * s->L * s->J * real);
    c->P2 = take(&c->bytes, 3 * s->L * s->J * real);
    c->tx = take(&c->bytes, s->L * 2 * s->J * s->N * 2 * real);
    c->fixed = take(&c->bytes, s->L * (2 * s->J + s->r) * s->N * real);
}

static void place_traffic(beam_gpu_plan *plan)
{
    const beam_gpu_sizes *s = &plan->s;
    const int complex32 = (int)sizeof(beam_c32), real = (int)sizeof(double);
    beam_gpu_request_at *in = &plan->request;
    beam_gpu_answer_at *out = &plan->answer;
    in->bytes = pad((int)sizeof(beam_gpu_request_head));
    in->channel = take(&in->bytes, s->L * s->U * s->N * complex32);
    in->radius = take(&in->bytes, s->L * s->U * real);
    in->warm = take(&in->bytes, s->rows * s->N * complex32);
    out->bytes = pad((int)sizeof(beam_gpu_answer_head));
    out->rate = take(&out->bytes, s->U * real);
    out->beams = take(&out->bytes, s->rows * s->N * complex32);
}

static void place_weights(beam_gpu_plan *plan)
{
    const int W = plan->s.width;
    beam_gpu_layer_at *w = &plan->layer;
    w->scalars = 0;
    w->w1 = (BEAM_GPU_SCALARS + 3) / 4 * 4;
    w->station1 = w->w1 + W * BEAM_GPU_ROW_INPUTS;
    w->b1 = w->station1 + W * BEAM_GPU_STATION_INPUTS;
    w->w2 = w->b1 + W;
    w->station2 = w->w2 + W * W;
    w->all2 = w->station2 + W * W;
    w->b2 = w->all2 + W * W;
    w->w3 = w->b2 + W;
    w->b3 = w->w3 + W * BEAM_GPU_COEFFICIENTS;
    w->fragments = (w->b3 + BEAM_GPU_COEFFICIENTS + 3) / 4 * 4; /* of halves, of rests */
    w->count = w->fragments + (W == BEAM_GPU_TENSOR_WIDTH ? 2 * BEAM_GPU_FRAGMENT_WORDS : 0);
}

/* Memory of two kinds: what no longer fits the first goes to the second. */
typedef struct space {
    int fast, slow, limit;
} space;

static int place(space *m, int bytes)
{
    const int size = pad(bytes);
    if (m->fast + size <= m->limit) {
        m->fast += size;
        return m->fast - size;
    }
    m->slow += size;
    return ~(m->slow - size);
}

static void place_start(beam_gpu_work_at *w, const beam_gpu_sizes *s, space *m)
{
    const int complex64 = (int)sizeof(beam_c64);
    w->bad = place(m, s->L * (int)sizeof(int));
    w->gram = place(m, s->L * s->U * s->U * complex64);
    w->column = place(m, s->U * s->U * complex64);
}

static void place_layers(beam_gpu_work_at *w, const beam_gpu_sizes *s, space *m)
{
    const int real = (int)sizeof(float), complex32 = (int)sizeof(beam_c32);
    w->user = place(m, BEAM_GPU_USER_NUMBERS * s->U * real);
    w->station = place(m, BEAM_GPU_STATION_NUMBERS * s->L * real);
    w->information = place(m, 4 * s->L * s->J * real);
    w->inverse = place(m, 4 * s->J * real);
    w->pair_weight = place(m, 2 * s->L * s->U * real);
    w->x = place(m, s->rows * BEAM_GPU_ROW_STRIDE * real);
    w->x_station = place(m, s->L * BEAM_GPU_STATION_STRIDE * real);
    w->hidden1 = place(m, s->rows * s->width * real);
    w->hidden2 = place(m, s->rows * s->width * real);
    w->out = place(m, s->rows * BEAM_GPU_COEFFICIENTS * real);
    w->pool = place(m, (s->L + 1) * larger(s->width, BEAM_GPU_ROW_STRIDE) * real);
    w->term = place(m, s->L * s->width * real);
    w->G = place(m, s->rows * s->n_max * complex32);
    w->e = place(m, s->L * s->U * s->n_max * complex32);
    w->scaled = place(m, s->L * s->U * s->n_max * complex32);
    w->y = place(m, s->rows * s->Q * complex32);
    w->e_out = place(m, s->rows * s->U * complex32);
    w->f = place(m, s->rows * s->n_max * complex32);
    w->echo_B = place(m, s->rows * s->J * complex32);
    w->sensing_out = place(m, 2 * s->rows * s->J * complex32);
    w->factor = place(m, s->L * s->D * s->D * complex32);
    w->gradient = place(m, s->rows * s->D * complex32);
    w->direction = place(m, BEAM_GPU_DIRECTIONS * s->rows * s->D * complex32);
}

static void place_check(beam_gpu_work_at *w, const beam_gpu_sizes *s, space *m)
{
    const int real = (int)sizeof(double), complex64 = (int)sizeof(beam_c64);
    w->sinr = place(m, s->U * real);
    w->rate = place(m, s->U * real);
    w->rank = place(m, s->L * (int)sizeof(int));
    w->rho = place(m, s->L * s->n_max * real);
    w->cross = place(m, s->L * s->U * real);
    w->turn = place(m, s->L * s->n_max * s->n_max * complex64);
    w->vector = place(m, s->rows * s->N * complex64);
    w->g = place(m, s->L * s->U * s->n_max * complex64);
    w->scratch = place(m, s->U * pad(s->n_max * OWN_SCRATCH_BYTES));
    w->projection = place(m, s->rows * 2 * s->J * complex64);
}

static void place_bound(beam_gpu_work_at *w, const beam_gpu_sizes *s, space *m)
{
    const int real = (int)sizeof(float), complex32 = (int)sizeof(beam_c32);
    w->bound_node = place(m, BEAM_GPU_BOUND_NODES * BEAM_GPU_BOUND_NODE_BYTES);
    w->bound_cut = place(m, BEAM_GPU_CUTS * s->U * 3 * real);
    w->bound_cross = place(m, BEAM_GPU_CUTS * s->L * s->U * 2 * real);
    w->bound_gram = place(m, s->rows * s->n_max * complex32);
    w->bound_e = place(m, BEAM_GPU_CUTS * s->L * s->U * s->n_max * complex32);
    w->bound_z = place(m, BEAM_GPU_CUTS * s->L * s->U * s->n_max * complex32);
    w->bound_y = place(m, s->rows * (s->U + 2 * s->J) * complex32);
}

/* The phases share their memory; what is read once per problem comes last. */
static void place_work(beam_gpu_plan *plan, int fast_limit)
{
    const beam_gpu_sizes *s = &plan->s;
    beam_gpu_work_at *w = &plan->work;
    const int complex32 = (int)sizeof(beam_c32);
    space m = {.limit = fast_limit}, most;
    w->radius = place(&m, s->L * s->U * (int)sizeof(double));
    w->vectors = place(&m, s->L * s->Q * s->D * complex32);
    w->w = place(&m, s->rows * s->D * complex32);
    w->unit = place(&m, s->U * s->D * complex32);
    most = m;
    for (int phase = 0; phase < 4; phase++) {
        space here = m;
        if (phase == 0) {
            place_start(w, s, &here);
        } else if (phase == 1) {
            place_layers(w, s, &here);
        } else if (phase == 2) {
            place_check(w, s, &here);
        } else {
            place_bound(w, s, &here);
        }
        most.fast = here.fast > most.fast ? here.fast : most.fast;
        most.slow = here.slow > most.slow ? here.slow : most.slow;
    }
    w->candidate = place(&most, s->rows * s->N * complex32);
    w->share = place(&most, s->L * s->D * complex32);
    w->basis = place(&most, s->D < s->N ? s->L * s->D * s->N * complex32 : 0);
    w->fast_bytes = most.fast;
    w->slow_bytes = most.slow;
}

beam_code beam_gpu_plan_make(beam_gpu_plan *plan, const beam_dims *dims, int users_per_station,
                             int layers, int width, int fast_limit, beam_error *err)
{
    const beam_code code = beam_dims_check(dims, err);
    if (code) {
        return code;
    }
    if (layers < 0 || width < 0 || width > 256 || users_per_station < 0) {
        return beam_fail(err, BEAM_E_LIMIT, "plan", "layers, width or users out of range");
    }
    memset(plan, 0, sizeof *plan);
    beam_gpu_sizes *s = &plan->s;
    s->L = dims->stations;
    s->N = dims->antennas;
    s->U = dims->users;
    s->J = dims->targets;
    s->K_max = users_per_station > 0 ? smaller(users_per_station, s->U) : s->U;
    s->D = smaller(s->N, s->U + 2 * s->J);
    s->r = beam_gpu_sensing_rows(dims);
    s->rows = s->U + s->L * s->r;
    s->n_max = s->K_max + s->r;
    s->Q = s->U + 2 * s->J + s->r;
    s->layers = layers;
    s->width = width;
    place_cluster(plan);
    place_traffic(plan);
    place_weights(plan);
    place_work(plan, fast_limit);
    return BEAM_OK;
}
