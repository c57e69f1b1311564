/* Inference: requests of one shape side by side through the layers in float32, few of them one
 * after the other (single.h), then each one alone through the check in float64. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/row.h"
#include "network/block.h"
#include "network/check.h"
#include "network/model.h"
#include "network/single.h"

/* Provisional ideal values over the best rate known, pass by pass: with one that is too low the
 * network would turn to the targets before the rate is at its end. */
static const double above_best[] = {1.5, 1.2, 1.1, 1.05};
enum { IDEAL_PASSES = 4 };

struct beam_inference {
    beam_dims max;
    int max_batch;
    beam_net_arch arch; /* of the layers as they are laid out now */
    void *layer_memory;
    size_t layer_bytes;
    NET(block) * block;
    NET(single) * single;    /* NULL for an mlp */
    bool *done;              /* [max_batch] */
    double *warm, *point;    /* [BEAM_LANES] points, one point */
    size_t point_size;       /* doubles of a point of the largest sizes */
    bool usable[BEAM_LANES]; /* the warm point of a lane is finite */
    int request[BEAM_LANES]; /* of a lane */
    beam_check check;
};

static size_t point_size(const beam_dims *d)
{
    const int reduced = d->users + 2 * d->targets,
              D = reduced < d->antennas ? reduced : d->antennas;
    const int rows = d->users + d->stations * beam_design_sensing_max(d);
    return (size_t)rows * 2u * (size_t)beam_pad4(D);
}

/* The block, then the single problem at a multiple of 64. */
static size_t block_bytes(const beam_net_arch *arch, const beam_dims *max)
{
    return (NET(block_memsize)(arch, max, false) + 63u) & ~(size_t)63u;
}

static size_t layer_bytes(const beam_net_arch *arch, const beam_dims *max)
{
    return block_bytes(arch, max) + NET(single_memsize)(arch, max);
}

static void lay_out(beam_inference *self, const beam_net_arch *arch)
{
    unsigned char *memory = self->layer_memory;
    self->arch = *arch;
    self->block = NET(block_init)(arch, &self->max, false, memory);
    self->single = NULL;
    if (arch->kind == BEAM_NET_EQUIVARIANT) {
        self->single = NET(single_init)(arch, &self->max, memory + block_bytes(arch, &self->max));
    }
}

static void carve(beam_inference *self, beam_arena *arena, size_t bytes)
{
    self->layer_memory = BEAM_TAKE(arena, unsigned char, bytes);
    self->layer_bytes = bytes;
    self->done = BEAM_TAKE(arena, bool, self->max_batch);
    self->point_size = point_size(&self->max);
    self->warm = BEAM_TAKE(arena, double, BEAM_LANES * self->point_size);
    self->point = BEAM_TAKE(arena, double, self->point_size);
    beam_check_carve(&self->check, arena, self->max.users);
}

size_t beam_inference_memsize(const beam_model_info *model, const beam_dims *dims, int max_batch)
{
    const beam_net_arch arch = beam_model_arch(model);
    beam_inference probe = {.max = *dims, .max_batch = max_batch};
    beam_arena arena = {NULL, 0};
    if (beam_dims_check(dims, NULL) || max_batch < 1 || beam_net_parameters(&arch) == 0) {
        return 0;
    }
    (void)BEAM_TAKE(&arena, beam_inference, 1);
    carve(&probe, &arena, layer_bytes(&arch, dims));
    return arena.used;
}

beam_code beam_inference_init(beam_inference **out, const beam_model_info *model,
                              const beam_dims *dims, int max_batch, void *memory, size_t size,
                              beam_error *err)
{
    const size_t needed = beam_inference_memsize(model, dims, max_batch);
    if (needed == 0) {
        return beam_fail(err, BEAM_E_LIMIT, "model", "sizes outside the limits");
    }
    if (!memory || size < needed) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "%zu bytes given, %zu needed", size,
                         needed);
    }
    beam_arena arena = {memory, 0};
    memset(memory, 0, size);
    beam_inference *self = BEAM_TAKE(&arena, beam_inference, 1);
    self->max = *dims;
    self->max_batch = max_batch;
    const beam_net_arch arch = beam_model_arch(model);
    carve(self, &arena, layer_bytes(&arch, dims));
    lay_out(self, &arch);
    *out = self;
    return BEAM_OK;
}

void beam_inference_set_mark(beam_inference *self, beam_stage_mark *stage_mark, void *arg)
{
    self->check.mark = stage_mark;
    self->check.mark_arg = arg;
}

int beam_inference_warm_layers(const beam_model_info *model)
{
    return (model->layers + 1) / 2;
}

static void mark(const beam_inference *self, beam_stage stage)
{
    if (self->check.mark) {
        self->check.mark(self->check.mark_arg, stage);
    }
}

/* The member at fault gets the name of its request: "requests[3].out". */
static beam_code refuse(int index, beam_code code, beam_error *err)
{
    if (!err) {
        return code;
    }
    const beam_error inner = *err;
    char field[sizeof inner.field];
    (void)snprintf(field, sizeof field, "requests[%d].%.64s", index, inner.field);
    return beam_fail(err, code, field, "%s", inner.text);
}

static bool within(const beam_dims *max, const beam_problem *p)
{
    return p->L <= max->stations && p->N <= max->antennas && p->U <= max->users &&
           p->J <= max->targets;
}

static beam_code check_request(const beam_inference *self, const beam_model *model,
                               const beam_network_request *r, beam_error *err)
{
    beam_solver *s = r->solver;
    beam_code code = beam_solver_check_call(s, r->tradeoff, r->out, err);
    if (!code && r->warm) {
        code = beam_solver_check_warm(s, r->warm, err);
    }
    if (code) {
        return code;
    }
    if (!within(&self->max, &s->problem)) {
        return beam_fail(err, BEAM_E_LIMIT, "solver",
                         "the scene is larger than the inference object was made for");
    }
    if (!beam_net_serves(&model->arch, &s->problem)) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, "solver",
                         "the model is an mlp for %d stations, %d antennas, %d users, %d targets",
                         model->info.stations, model->info.antennas, model->info.users,
                         model->info.targets);
    }
    if (r->layers < 0 || r->layers > model->info.layers) {
        return beam_fail(err, BEAM_E_INVALID, "layers", "%d; the model has %d", r->layers,
                         model->info.layers);
    }
    return r->refine < 0 ? beam_fail(err, BEAM_E_INVALID, "refine", "%d iterations", r->refine)
                         : beam_solver_prepare(s, err);
}

/* Takes the model's architecture; a model of another one gets the layers laid out anew. */
static beam_code take_model(beam_inference *self, const beam_model *model, beam_error *err)
{
    if (memcmp(&self->arch, &model->arch, sizeof self->arch) == 0) {
        return BEAM_OK;
    }
    const size_t needed = layer_bytes(&model->arch, &self->max);
    if (needed > self->layer_bytes) {
        return beam_fail(err, BEAM_E_LIMIT, "model",
                         "%zu bytes are needed, the inference object has %zu", needed,
                         self->layer_bytes);
    }
    lay_out(self, &model->arch);
    return BEAM_OK;
}

/* The rate, minimum rates first. */
static double rate_score(const beam_point *p)
{
    return p->wsr - 1e3 * p->shortfall;
}

/* What the lanes of one block have in common. */
typedef struct block_key {
    beam_net_shape shape;
    int from, to;
} block_key;

static block_key key_of(const beam_model_info *model, const beam_network_request *r)
{
    const int Y = model->layers;
    const int run = r->layers > 0 ? r->layers : r->warm ? beam_inference_warm_layers(model) : Y;
    return (block_key){.shape = beam_net_shape_of(&r->solver->problem),
                       .from = r->warm ? Y - run : 0,
                       .to = r->warm ? Y : run};
}

static bool key_equal(const block_key *a, const block_key *b)
{
    return a->from == b->from && a->to == b->to && beam_net_shape_equal(&a->shape, &b->shape);
}

/* Up to BEAM_LANES open requests alike to number `first`; returns how many. */
static int gather(beam_inference *self, const beam_model_info *model,
                  const beam_network_request *requests, int count, int first, block_key *key)
{
    int lanes = 0;
    *key = key_of(model, &requests[first]);
    for (int i = first; i < count && lanes < BEAM_LANES; i++) {
        if (self->done[i]) {
            continue;
        }
        const block_key other = key_of(model, &requests[i]);
        if (key_equal(key, &other)) {
            self->request[lanes++] = i;
            self->done[i] = true;
        }
    }
    return lanes;
}

static double *warm_of(const beam_inference *self, int lane)
{
    return self->warm + (size_t)lane * self->point_size;
}

/* Where the layers of one request start: the warm beams, or what a cold one starts from when there
 * are none or they are not finite. */
static const double *start_of(beam_inference *self, const beam_network_request *r, int lane)
{
    beam_solver *s = r->solver;
    self->usable[lane] = r->warm && beam_solver_import_warm(s, r->warm, warm_of(self, lane));
    if (self->usable[lane]) {
        return warm_of(self, lane);
    }
    beam_classical_compose(&s->problem, s->unit, beam_net_start_share(r->tradeoff), self->point);
    return self->point;
}

static void fill_lane(beam_inference *self, const beam_network_request *r, int lane)
{
    beam_solver *s = r->solver;
    NET(block_scene)(self->block, lane, &s->problem, s->sensing, &s->ideal);
    NET(block_preference)(self->block, lane, beam_preference_from_tradeoff(r->tradeoff));
    NET(block_start)(self->block, lane, start_of(self, r, lane));
}

/* The check of the network's point, and the answer. */
static beam_code finish(beam_inference *self, const beam_network_request *requests, int lane,
                        beam_error *err)
{
    const beam_network_request *r = &requests[self->request[lane]];
    beam_error inner = {.code = BEAM_OK};
    const beam_code failed = beam_check_run(
        &self->check, r->solver, beam_preference_from_tradeoff(r->tradeoff), self->point,
        self->usable[lane] ? warm_of(self, lane) : NULL, r->refine, r->result, r->detail, &inner);
    if (failed) { /* the others are served all the same */
        r->result->status = BEAM_STATUS_NUMERIC;
        if (err) {
            *err = inner;
        }
        (void)refuse(self->request[lane], failed, err);
    } else {
        beam_problem_export(&r->solver->problem, r->solver->answer.x, r->out);
    }
    mark(self, BEAM_STAGE_EXPORT);
    return failed;
}

static beam_code run_block(beam_inference *self, const beam_model *model,
                           const beam_network_request *requests, const block_key *key, int lanes,
                           beam_error *err)
{
    beam_code code = BEAM_OK;
    NET(block_begin)(self->block, &key->shape);
    for (int i = 0; i < lanes; i++) {
        fill_lane(self, &requests[self->request[i]], i);
    }
    NET(block_fill)(self->block, lanes);
    mark(self, BEAM_STAGE_LOAD);
    NET(block_forward)(self->block, model->theta, key->from, key->to);
    mark(self, BEAM_STAGE_NETWORK);
    for (int i = 0; i < lanes; i++) {
        NET(block_point)(self->block, i, self->point);
        const beam_code failed = finish(self, requests, i, err);
        code = failed ? failed : code;
    }
    return code;
}

/* One after the other. */
static beam_code run_singly(beam_inference *self, const beam_model *model,
                            const beam_network_request *requests, const block_key *key, int count,
                            beam_error *err)
{
    beam_code code = BEAM_OK;
    for (int i = 0; i < count; i++) {
        const beam_network_request *r = &requests[self->request[i]];
        beam_solver *s = r->solver;
        NET(single_scene)(self->single, &s->problem, s->sensing, &s->ideal);
        NET(single_preference)(self->single, beam_preference_from_tradeoff(r->tradeoff));
        NET(single_start)(self->single, start_of(self, r, i));
        mark(self, BEAM_STAGE_LOAD);
        NET(single_forward)(self->single, model->columns, key->from, key->to);
        mark(self, BEAM_STAGE_NETWORK);
        NET(single_point)(self->single, self->point);
        const beam_code failed = finish(self, requests, i, err);
        code = failed ? failed : code;
    }
    return code;
}

/* A block goes over all of its stations once for 8 problems, a single problem over its stations all
 * at once: below about as many problems as stations, the latter is faster. */
static bool few(const beam_inference *self, const block_key *key, int count)
{
    return self->single && key->shape.L <= BEAM_LANES && count <= key->shape.L + 1;
}

beam_code beam_inference_run(beam_inference *self, const beam_model *model, int count,
                             const beam_network_request *requests, beam_error *err)
{
    if (count < 0 || count > self->max_batch) {
        return beam_fail(err, BEAM_E_LIMIT, "count", "%d requests; at most %d", count,
                         self->max_batch);
    }
    beam_code code = take_model(self, model, err);
    for (int i = 0; !code && i < count; i++) {
        self->done[i] = false;
        code = check_request(self, model, &requests[i], err);
        if (code) {
            return refuse(i, code, err);
        }
    }
    mark(self, BEAM_STAGE_PREPARE);
    beam_code numeric = BEAM_OK;
    for (int i = 0; !code && i < count; i++) {
        if (!self->done[i]) {
            block_key key;
            const int lanes = gather(self, &model->info, requests, count, i, &key);
            const beam_code failed = few(self, &key, lanes)
                                         ? run_singly(self, model, requests, &key, lanes, err)
                                         : run_block(self, model, requests, &key, lanes, err);
            numeric = failed ? failed : numeric;
        }
    }
    return code ? code : numeric;
}

static double nominal_rate(const beam_solver *s, const double *x)
{
    double sinr[BEAM_MAX_USERS], sum = 0.0;
    beam_robust_nominal(&s->robust, x, sinr);
    for (int u = 0; u < s->problem.U; u++) {
        sum += s->problem.weight[u] * log1p(sinr[u]) * M_LOG2E;
    }
    return sum;
}

beam_code beam_inference_compute_ideal(beam_inference *self, const beam_model *model,
                                       beam_solver *solver, beam_design *scratch, beam_error *err)
{
    beam_code code = beam_solver_compute_sensing_end(solver, err);
    if (code) {
        return code;
    }
    beam_problem *p = &solver->problem;
    solver->ideal.wsr_ideal_bps_hz = 0.0;
    solver->have_ideal_rate = true;
    if (p->U == 0) {
        return BEAM_OK;
    }
    /* provisional: the classical beams alone, at full power */
    beam_classical_compose(p, solver->unit, 1.0, solver->candidate.x);
    (void)beam_solver_measure(solver, &solver->candidate);
    beam_point best = solver->candidate;
    double provisional = best.wsr > 0.0 ? best.wsr : nominal_rate(solver, solver->candidate.x);
    for (int pass = 0; !code && pass < IDEAL_PASSES && provisional > 0.0; pass++) {
        beam_result result;
        beam_inference_detail detail;
        const beam_network_request request = {
            .solver = solver, .out = scratch, .result = &result, .detail = &detail};
        solver->ideal.wsr_ideal_bps_hz = above_best[pass] * provisional;
        code = beam_inference_run(self, model, 1, &request, err);
        if (!code && rate_score(&solver->answer) > rate_score(&best)) {
            best = solver->answer;
            provisional = best.wsr > 0.0 ? best.wsr : provisional;
        }
    }
    solver->ideal.wsr_ideal_bps_hz = isfinite(best.wsr) ? best.wsr : 0.0;
    return code;
}
