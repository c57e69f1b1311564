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
    c->station = take(&c->bytes, s->rows * integer);
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

/* When an array is needed: stages of a problem in their order, those of a layer again and again.
 * Arrays that are never needed together lie over each other. */
typedef enum stage {
    REDUCE,
    ZERO_FORCING,
    PRODUCTS, /* a layer from here */
    RATES,
    ECHOES,
    GRADIENTS,
    METRIC,
    FEATURES,
    HIDDEN_1,
    HIDDEN_2,
    UPDATE, /* to here */
    CRLB,   /* a check from here */
    SPECTRA,
    COORDINATES,
    WORST_CASE, /* to here */
    BOUND,
    LAST
} stage;

enum { ARRAYS_MAX = 64 };

/* Memory of two kinds: what no longer fits the first goes to the second, where everything has a
 * place of its own: of smaller problems other arrays may be there, but never more bytes of them. */
typedef struct space {
    int fast, slow, limit, count;
    struct {
        int begin, end;
        stage from, to;
    } placed[ARRAYS_MAX];
} space;

/* At the lowest place that is free from stage `from` to stage `to`. */
static int place(space *m, stage from, stage to, int bytes)
{
    const int size = pad(bytes);
    int at = 0;
    for (int k = 0; k < m->count; k++) {
        if (m->placed[k].from <= to && from <= m->placed[k].to && at < m->placed[k].end &&
            m->placed[k].begin < at + size) {
            at = m->placed[k].end;
            k = -1; /* and again from the first one */
        }
    }
    if (at + size > m->limit || m->count == ARRAYS_MAX) {
        m->slow += size;
        return ~(m->slow - size);
    }
    m->placed[m->count].begin = at;
    m->placed[m->count].end = at + size;
    m->placed[m->count].from = from;
    m->placed[m->count++].to = to;
    m->fast = larger(m->fast, at + size);
    return at;
}

static void place_start(beam_gpu_work_at *w, const beam_gpu_sizes *s, space *m)
{
    const int complex64 = (int)sizeof(beam_c64);
    w->bad = place(m, ZERO_FORCING, ZERO_FORCING, s->L * (int)sizeof(int));
    w->gram = place(m, ZERO_FORCING, ZERO_FORCING, s->L * s->U * s->U * complex64);
    w->column = place(m, ZERO_FORCING, ZERO_FORCING, s->U * s->U * complex64);
}

/* Hidden 2 takes the inputs' place. */
static void place_perceptron(beam_gpu_work_at *w, const beam_gpu_sizes *s, space *m)
{
    const int real = (int)sizeof(float), stride = larger(s->width, BEAM_GPU_ROW_STRIDE);
    w->x = w->hidden2 = place(m, FEATURES, HIDDEN_2, s->rows * stride * real);
    w->x_station = place(m, FEATURES, HIDDEN_1, s->L * BEAM_GPU_STATION_STRIDE * real);
    w->hidden1 = place(m, HIDDEN_1, HIDDEN_2, s->rows * s->width * real);
    w->term = place(m, HIDDEN_1, HIDDEN_2, s->L * s->width * real);
    w->pool = place(m, HIDDEN_2, HIDDEN_2, (s->L + 1) * stride * real);
    w->out = place(m, HIDDEN_2, UPDATE, s->rows * BEAM_GPU_COEFFICIENTS * real);
}

static void place_layers(beam_gpu_work_at *w, const beam_gpu_sizes *s, space *m)
{
    const int real = (int)sizeof(float), complex32 = (int)sizeof(beam_c32);
    const int rows = s->rows * complex32, pairs = s->L * s->U * s->n_max * complex32;
    w->user = place(m, RATES, FEATURES, BEAM_GPU_USER_NUMBERS * s->U * real);
    w->station = place(m, PRODUCTS, UPDATE, BEAM_GPU_STATION_NUMBERS * s->L * real);
    w->gradient = place(m, GRADIENTS, UPDATE, rows * s->D);
    w->direction = place(m, PRODUCTS, UPDATE, BEAM_GPU_DIRECTIONS * rows * s->D);
    place_perceptron(w, s, m);
    w->y = place(m, PRODUCTS, METRIC, rows * s->Q);
    w->G = place(m, PRODUCTS, FEATURES, rows * s->n_max);
    w->pair_weight = place(m, RATES, RATES, 2 * s->L * s->U * real);
    w->e = place(m, RATES, RATES, pairs);
    w->scaled = place(m, RATES, RATES, pairs);
    w->e_out = place(m, RATES, GRADIENTS, rows * s->U);
    w->f = place(m, RATES, GRADIENTS, rows * s->n_max);
    w->information = place(m, ECHOES, ECHOES, 4 * s->L * s->J * real);
    w->inverse = place(m, ECHOES, ECHOES, 4 * s->J * real);
    w->echo_B = place(m, ECHOES, ECHOES, rows * s->J);
    w->sensing_out = place(m, ECHOES, GRADIENTS, rows * 2 * s->J);
    w->factor = place(m, METRIC, METRIC, s->L * s->D * s->D * complex32);
}

/* Rates are read until the next check begins. */
static void place_check(beam_gpu_work_at *w, const beam_gpu_sizes *s, space *m)
{
    const int real = (int)sizeof(double), complex64 = (int)sizeof(beam_c64);
    w->sinr = place(m, CRLB, WORST_CASE, s->U * real);
    w->rate = place(m, CRLB, WORST_CASE, s->U * real);
    w->rank = place(m, SPECTRA, WORST_CASE, s->L * (int)sizeof(int));
    w->rho = place(m, SPECTRA, WORST_CASE, s->L * s->n_max * real);
    w->cross = place(m, WORST_CASE, WORST_CASE, s->L * s->U * real);
    w->turn = place(m, SPECTRA, WORST_CASE, s->L * s->n_max * s->n_max * complex64);
    w->g = place(m, COORDINATES, WORST_CASE, s->L * s->U * s->n_max * complex64);
    w->vector = place(m, CRLB, COORDINATES, s->rows * s->N * complex64);
    w->scratch = place(m, WORST_CASE, WORST_CASE, s->U * pad(s->n_max * OWN_SCRATCH_BYTES));
    w->projection = place(m, CRLB, CRLB, s->rows * 2 * s->J * complex64);
}

static void place_bound(beam_gpu_work_at *w, const beam_gpu_sizes *s, space *m)
{
    const int real = (int)sizeof(float), complex32 = (int)sizeof(beam_c32);
    const int pairs = BEAM_GPU_CUTS * s->L * s->U;
    w->bound_node = place(m, BOUND, BOUND, BEAM_GPU_BOUND_NODES * BEAM_GPU_BOUND_NODE_BYTES);
    w->bound_cut = place(m, BOUND, BOUND, BEAM_GPU_CUTS * s->U * 3 * real);
    w->bound_cross = place(m, BOUND, BOUND, pairs * 2 * real);
    w->bound_gram = place(m, BOUND, BOUND, s->rows * s->n_max * complex32);
    w->bound_e = place(m, BOUND, BOUND, pairs * s->n_max * complex32);
    w->bound_z = place(m, BOUND, BOUND, pairs * s->n_max * complex32);
    w->bound_y = place(m, BOUND, BOUND, s->rows * (s->U + 2 * s->J) * complex32);
}

/* What is needed most comes first, what is read once per problem last. A warm candidate is there
 * before the layers as well, when nothing of them or of zero-forcing is. */
static void place_work(beam_gpu_plan *plan, int fast_limit)
{
    const beam_gpu_sizes *s = &plan->s;
    beam_gpu_work_at *w = &plan->work;
    const int complex32 = (int)sizeof(beam_c32);
    space m = {.limit = fast_limit};
    w->radius = place(&m, REDUCE, LAST, s->L * s->U * (int)sizeof(double));
    w->vectors = place(&m, REDUCE, LAST, s->L * s->Q * s->D * complex32);
    w->w = place(&m, REDUCE, LAST, s->rows * s->D * complex32);
    w->unit = place(&m, REDUCE, LAST, s->U * s->D * complex32);
    place_start(w, s, &m);
    place_layers(w, s, &m);
    place_check(w, s, &m);
    place_bound(w, s, &m);
    w->candidate = place(&m, CRLB, WORST_CASE, s->rows * s->N * complex32);
    w->share = place(&m, REDUCE, REDUCE, s->L * s->D * complex32);
    w->basis = place(&m, REDUCE, LAST, s->D < s->N ? s->L * s->D * s->N * complex32 : 0);
    w->fast_bytes = m.fast;
    w->slow_bytes = m.slow;
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
    s->by_N = beam_gpu_by(s->N);
    s->by_D = beam_gpu_by(s->D);
    s->by_U = beam_gpu_by(s->U);
    s->by_J = beam_gpu_by(s->J);
    s->by_Q = beam_gpu_by(s->Q);
    s->by_n_max = beam_gpu_by(s->n_max);
    place_cluster(plan);
    place_traffic(plan);
    place_weights(plan);
    place_work(plan, fast_limit);
    return BEAM_OK;
}
