#include "lab/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/parallel.h"
#include "lab/random.h"
#include "network/block.h"
#include "network/loss_paper.h"
#include "solver/classical.h"

/* The blocks of a step are spread over this many sums of gradients, which are then added in order:
 * the threads may change, this number not. */
enum { SLOTS = 16 };
/* Groups in use at the first step; so many more every so many steps: the first numbers come early,
 * and scenes are prepared many at a time, so that no thread waits long for another. */
enum { FIRST_GROUPS = 64, MORE_GROUPS = 16, MORE_EVERY = 64 };

static const double only_rate = 0.1, only_sensing = 0.05, near_ends = 0.15; /* shares of tau */
static const double end_width = 0.1;

/* One sum of gradients. */
typedef struct slot {
    beam_net_real *gradient;
    lab_train_report report; /* sums */
} slot;

typedef struct worker {
    void *memory;
    beam_net_block *block;
    beam_net_loss loss;
    beam_net_loss_paper paper; /* mlp */
    double *delta, *delta_bar; /* mlp: its errors */
    double *x, *y, *x_bar;     /* points */
    double *points;            /* [BEAM_LANES] */
    beam_net_real *gradient;   /* of one block */
} worker;

struct lab_train {
    lab_train_settings settings;
    lab_scenes *scenes;
    lab_train_state *state;
    int threads;
    worker *workers;
    slot slots[SLOTS];
    void *gradients;
    int available, fresh; /* groups in use; groups to prepare for the next step */
};

lab_train_settings lab_train_settings_default(void)
{
    lab_train_settings o;
    memset(&o, 0, sizeof o);
    o.arch.kind = BEAM_NET_EQUIVARIANT;
    o.arch.layers = 10;
    o.arch.width = 32;
    o.seed = o.data_seed = 1;
    o.steps = 20000;
    o.batch = 32;
    o.groups = 2048;
    o.rate = 2e-3;
    o.last_rate = 1e-5;
    o.warm_up = 500;
    o.warm = 0.4;
    o.early = 0.3;
    o.average = 0.999;
    o.ideal_spread = 0.03;
    o.power_penalty = 0.3;
    o.loss = beam_net_loss_options_default();
    o.adam = beam_adam_options_default();
    strcpy(o.families, "paper:60,sizes:40");
    return o;
}

/* --- State ------------------------------------------------------------------------------------ */

beam_code lab_train_state_create(lab_train_state *state, const beam_net_arch *arch, beam_error *err)
{
    const size_t n = beam_net_parameters(arch), row = (n + 15) & ~(size_t)15;
    *state = (lab_train_state){.parameters = n};
    if (n == 0) {
        return beam_fail(err, BEAM_E_LIMIT, "layers", "no network has %d layers of width %d",
                         arch->layers, arch->width);
    }
    state->memory = aligned_alloc(64, 4 * row * sizeof(beam_net_real));
    if (!state->memory) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    memset(state->memory, 0, 4 * row * sizeof(beam_net_real));
    state->theta = state->memory;
    state->m = state->theta + row;
    state->v = state->m + row;
    state->mean = state->v + row;
    return BEAM_OK;
}

void lab_train_state_clear(lab_train_state *state)
{
    free(state->memory);
    *state = (lab_train_state){.parameters = 0};
}

void lab_train_initialise(const lab_train_settings *settings, lab_train_state *state)
{
    beam_net_block_initialise(&settings->arch, settings->seed, state->theta);
    memcpy(state->mean, state->theta, state->parameters * sizeof *state->mean);
}

/* --- Life ------------------------------------------------------------------------------------- */

static size_t carve_worker(worker *w, const lab_train_settings *settings, const beam_dims *most,
                           void *memory)
{
    const beam_net_arch *arch = &settings->arch;
    const int r = beam_design_sensing_max(most), columns = most->users + 2 * most->targets;
    const int D = columns < most->antennas ? columns : most->antennas;
    const size_t point = (size_t)(most->users + most->stations * r) * 2u * (size_t)((D + 3) & ~3);
    beam_arena arena = {memory, 0};
    w->x = BEAM_TAKE(&arena, double, point);
    w->y = BEAM_TAKE(&arena, double, point);
    w->x_bar = BEAM_TAKE(&arena, double, point);
    w->points = BEAM_TAKE(&arena, double, BEAM_LANES *point);
    w->gradient = BEAM_TAKE(&arena, beam_net_real, beam_net_parameters(arch));
    beam_net_loss_carve(&w->loss, &arena, most);
    if (arch->kind == BEAM_NET_MLP) {
        const beam_dims dims = {arch->stations, arch->antennas, arch->users, arch->targets};
        const size_t errors =
            (size_t)(arch->stations * arch->users) * 2u * (size_t)((arch->antennas + 3) & ~3);
        beam_net_loss_paper_carve(&w->paper, &arena, &dims, arch->sensing_rows,
                                  settings->loss.lower_steps);
        w->delta = BEAM_TAKE(&arena, double, errors);
        w->delta_bar = BEAM_TAKE(&arena, double, errors);
    }
    void *block = BEAM_TAKE(&arena, unsigned char, beam_net_block_memsize(arch, most, true));
    if (memory) {
        w->block = beam_net_block_init(arch, most, true, block);
    }
    return arena.used;
}

static beam_code create_workers(lab_train *self, beam_error *err)
{
    const beam_dims most = lab_scenes_most(self->scenes);
    worker probe;
    const size_t size = (carve_worker(&probe, &self->settings, &most, NULL) + 63) & ~(size_t)63;
    self->workers = calloc((size_t)self->threads, sizeof *self->workers);
    for (int i = 0; self->workers && i < self->threads; i++) {
        worker *w = &self->workers[i];
        void *memory = aligned_alloc(64, size);
        if (!memory) {
            return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        }
        memset(memory, 0, size);
        (void)carve_worker(w, &self->settings, &most, memory);
        w->memory = memory;
        w->loss.options = self->settings.loss;
    }
    return self->workers ? BEAM_OK : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
}

lab_train *lab_train_create(const lab_train_settings *settings, lab_scenes *scenes,
                            lab_train_state *state, int threads, beam_error *err)
{
    lab_train *self = calloc(1, sizeof *self);
    if (!self) {
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        return NULL;
    }
    self->settings = *settings;
    self->scenes = scenes;
    self->state = state;
    self->threads = threads;
    const size_t row = (state->parameters + 15) & ~(size_t)15;
    self->gradients = aligned_alloc(64, SLOTS * row * sizeof(beam_net_real));
    beam_code code = self->gradients ? create_workers(self, err)
                                     : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    for (int i = 0; !code && i < SLOTS; i++) {
        self->slots[i].gradient = (beam_net_real *)self->gradients + (size_t)i * row;
    }
    if (code) {
        lab_train_destroy(&self);
    }
    return self;
}

void lab_train_destroy(lab_train **self)
{
    if (*self) {
        for (int i = 0; (*self)->workers && i < (*self)->threads; i++) {
            free((*self)->workers[i].memory);
        }
        free((*self)->workers);
        free((*self)->gradients);
        free(*self);
        *self = NULL;
    }
}

/* --- One block -------------------------------------------------------------------------------- */

static lab_random block_stream(uint64_t seed, int64_t step, int block)
{
    lab_random a = lab_random_seed(seed ^ 0x626c6f636b73u);
    lab_random b = lab_random_seed(lab_random_bits(&a) + (uint64_t)step);
    return lab_random_seed(lab_random_bits(&b) + (uint64_t)block);
}

static double draw_tradeoff(lab_random *random)
{
    const double which = lab_random_uniform(random), value = lab_random_uniform(random);
    if (which < only_rate) {
        return 0.0;
    }
    if (which < only_rate + only_sensing) {
        return 1.0;
    }
    if (which < only_rate + only_sensing + near_ends) {
        const double near = end_width * (value < 0.5 ? 2 * value : 2 * value - 1);
        return value < 0.5 ? near : 1.0 - near;
    }
    return value;
}

typedef struct block_draw {
    lab_group *group;
    int from, early; /* first layer; layer with a loss of its own, 0: none */
    bool warm;
    double tradeoff[BEAM_LANES], ideal_factor[BEAM_LANES];
} block_draw;

static beam_code draw_block(lab_train *self, int block, block_draw *d, beam_error *err)
{
    const lab_train_settings *o = &self->settings;
    lab_random random = block_stream(o->seed, self->state->step, block);
    const int Y = o->arch.layers, index = (int)(lab_random_uniform(&random) * self->available);
    d->group = lab_scenes_group(self->scenes, index, err);
    d->warm = lab_random_uniform(&random) < o->warm && Y > 1;
    /* the last k layers, k = 1..Y-1 */
    const int first = 1 + (int)(lab_random_uniform(&random) * (Y - 1));
    d->from = d->warm ? first : 0;
    const int inside = Y - 1 - d->from;
    const double where = lab_random_uniform(&random);
    d->early = inside > 0 ? d->from + 1 + (int)(where * inside) : 0;
    for (int k = 0; k < BEAM_LANES; k++) {
        d->tradeoff[k] = draw_tradeoff(&random);
        d->ideal_factor[k] = 1 + o->ideal_spread * (2 * lab_random_uniform(&random) - 1);
    }
    if (!d->group) {
        return err->code;
    }
    if (!beam_net_serves(&o->arch, &d->group->samples[0].frames[0].problem)) {
        return beam_fail(err, BEAM_E_INVALID, "families",
                         "an mlp is made for one size; these scenes have several");
    }
    return BEAM_OK;
}

static beam_ideal lane_ideal(const block_draw *d, int frame, int lane)
{
    beam_ideal ideal = d->group->samples[lane].frames[frame].ideal;
    ideal.wsr_ideal_bps_hz *= d->ideal_factor[lane];
    return ideal;
}

static void set_frame(worker *w, const block_draw *d, int frame)
{
    beam_net_block_begin(w->block, &d->group->shape);
    for (int k = 0; k < BEAM_LANES; k++) {
        const lab_frame *f = &d->group->samples[k].frames[frame];
        const beam_ideal ideal = lane_ideal(d, frame, k);
        beam_net_block_scene(w->block, k, &f->problem, f->unit, &ideal);
        beam_net_block_preference(w->block, k, beam_preference_from_tradeoff(d->tradeoff[k]));
    }
}

static void start_cold(worker *w, const block_draw *d, int frame)
{
    for (int k = 0; k < BEAM_LANES; k++) {
        const lab_frame *f = &d->group->samples[k].frames[frame];
        beam_classical_compose(&f->problem, f->unit, beam_net_start_share(d->tradeoff[k]), w->x);
        beam_net_block_start(w->block, k, w->x);
    }
}

/* The answers to frame 0, in the coordinates of frame 1. All are read before the block is begun
 * anew. */
static void start_warm(worker *w, const block_draw *d)
{
    const beam_problem *p = &d->group->samples[0].frames[0].problem;
    const size_t size = (size_t)p->rows * (size_t)p->stride;
    for (int k = 0; k < BEAM_LANES; k++) {
        beam_net_block_point(w->block, k, w->y);
        lab_sample_turn(&d->group->samples[k], w->y, w->points + (size_t)k * size);
    }
    set_frame(w, d, 1);
    for (int k = 0; k < BEAM_LANES; k++) {
        beam_net_block_start(w->block, k, w->points + (size_t)k * size);
    }
}

/* Loss at a layer; its gradient times `weight` goes to the block. */
static beam_net_loss_result layer_loss(worker *w, int lane, int layer, double weight)
{
    beam_net_block_state(w->block, lane, layer, w->x);
    const beam_net_loss_result r = beam_net_loss_value(&w->loss, w->x, w->x_bar);
    const int n = w->loss.p->rows * w->loss.p->stride;
    for (int i = 0; i < n && weight != 1.0; i++) {
        w->x_bar[i] *= weight;
    }
    beam_net_block_adjoint(w->block, lane, layer, w->x_bar);
    return r;
}

/* Tchebycheff: leads the errors of an mlp to the worst ones; x is still in w->x. */
static void lead_errors(worker *w, int lane, int layer)
{
    beam_net_block_delta(w->block, lane, layer, w->delta);
    (void)beam_net_loss_errors(&w->loss, w->x, w->delta, w->loss.options.errors, w->delta_bar);
    beam_net_block_delta_adjoint(w->block, lane, layer, w->delta_bar);
}

/* (27) as printed, for an mlp: its own errors, the plane of this pair, the penalties. */
static beam_net_loss_result printed_loss(worker *w, int lane, int layer)
{
    const beam_net_loss_options *o = &w->loss.options;
    beam_net_block_state(w->block, lane, layer, w->x);
    beam_net_block_delta(w->block, lane, layer, w->delta);
    const double gap = beam_net_loss_paper_cut(&w->paper, w->x, w->delta);
    beam_net_loss_result r =
        beam_net_loss_paper_value(&w->paper, o, w->x, w->delta, w->x_bar, w->delta_bar);
    r.exact = !isfinite(gap); /* counted: the lower level diverged */
    r.loss += beam_net_block_penalty(w->block, lane, o->power_penalty);
    beam_net_block_adjoint(w->block, lane, layer, w->x_bar);
    beam_net_block_delta_adjoint(w->block, lane, layer, w->delta_bar);
    return r;
}

/* All losses of a lane; the last layer's is returned. */
static beam_net_loss_result lane_loss(worker *w, const lab_train_settings *o, const block_draw *d,
                                      int lane)
{
    const int Y = o->arch.layers;
    beam_problem *p = &d->group->samples[lane].frames[d->warm].problem;
    const beam_ideal ideal = lane_ideal(d, d->warm, lane);
    const beam_preference u = beam_preference_from_tradeoff(d->tradeoff[lane]);
    const bool mlp = o->arch.kind == BEAM_NET_MLP;
    if (mlp && o->loss.kind == BEAM_NET_LOSS_PENALTY) {
        beam_net_loss_paper_load(&w->paper, p, &ideal, u);
        return printed_loss(w, lane, Y);
    }
    beam_net_loss_load(&w->loss, p, &ideal, u);
    const beam_net_loss_result r = layer_loss(w, lane, Y, 1.0);
    if (mlp) {
        lead_errors(w, lane, Y);
    }
    if (d->early > 0 && o->early > 0.0) {
        (void)layer_loss(w, lane, d->early, o->early);
    }
    return r;
}

static void count(lab_train_report *sum, const beam_net_loss_result *r)
{
    sum->loss += r->loss;
    sum->f1 += r->f1;
    sum->f2 += r->f2;
    sum->exact += r->exact;
    sum->dark += r->dark;
    sum->clipped += r->clipped;
    sum->samples++;
}

/* Adds the gradient of a block; one that is not finite would spoil the whole batch and is left out.
 */
static void collect(slot *s, const beam_net_real *gradient, size_t n)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        bad |= !(gradient[i] - gradient[i] == 0);
    }
    if (bad) {
        s->report.lost++;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        s->gradient[i] += gradient[i];
    }
}

static beam_code run_block(lab_train *self, worker *w, slot *s, int block, beam_error *err)
{
    const lab_train_settings *o = &self->settings;
    const int Y = o->arch.layers;
    block_draw d;
    const beam_code code = draw_block(self, block, &d, err);
    if (code) {
        return code;
    }
    set_frame(w, &d, 0);
    start_cold(w, &d, 0);
    if (d.warm) {
        beam_net_block_forward(w->block, self->state->theta, 0, Y);
        start_warm(w, &d);
    }
    beam_net_block_forward(w->block, self->state->theta, d.from, Y);
    for (int k = 0; k < BEAM_LANES; k++) {
        const beam_net_loss_result r = lane_loss(w, o, &d, k);
        count(&s->report, &r);
    }
    if (o->arch.kind == BEAM_NET_MLP) { /* bounded states; passes over its many weights cost */
        beam_net_block_backward(w->block, self->state->theta, d.from, Y, s->gradient);
        return BEAM_OK;
    }
    memset(w->gradient, 0, self->state->parameters * sizeof *w->gradient);
    beam_net_block_backward(w->block, self->state->theta, d.from, Y, w->gradient);
    collect(s, w->gradient, self->state->parameters);
    return BEAM_OK;
}

/* --- One step --------------------------------------------------------------------------------- */

/* Tasks: the groups of the next step first, for they take longest, then the slots. */
static beam_code run_task(void *arg, int index, int task, beam_error *err)
{
    lab_train *self = arg;
    worker *w = &self->workers[index];
    if (task < self->fresh) {
        return lab_scenes_group(self->scenes, self->available + task, err) ? BEAM_OK : err->code;
    }
    const int which = task - self->fresh;
    slot *s = &self->slots[which];
    s->report = (lab_train_report){.samples = 0};
    memset(s->gradient, 0, self->state->parameters * sizeof *s->gradient);
    for (int block = which; block < self->settings.batch; block += SLOTS) {
        const beam_code code = run_block(self, w, s, block, err);
        if (code) {
            return code;
        }
    }
    return BEAM_OK;
}

static int available_at(const lab_train *self, int64_t step)
{
    const int64_t groups = FIRST_GROUPS + step / MORE_EVERY * MORE_GROUPS;
    const int all = lab_scenes_groups(self->scenes);
    return groups < all ? (int)groups : all;
}

/* Adds the slots in order into the first; the mean over the samples. */
static void reduce(lab_train *self, lab_train_report *sum)
{
    beam_net_real *total = self->slots[0].gradient;
    const size_t n = self->state->parameters;
    *sum = self->slots[0].report;
    for (int k = 1; k < SLOTS; k++) {
        const slot *s = &self->slots[k];
        for (size_t i = 0; i < n; i++) {
            total[i] += s->gradient[i];
        }
        sum->loss += s->report.loss;
        sum->f1 += s->report.f1;
        sum->f2 += s->report.f2;
        sum->exact += s->report.exact;
        sum->dark += s->report.dark;
        sum->clipped += s->report.clipped;
        sum->lost += s->report.lost;
        sum->samples += s->report.samples;
    }
    const double share = 1.0 / (double)sum->samples;
    for (size_t i = 0; i < n; i++) {
        total[i] *= (beam_net_real)share;
    }
    sum->loss *= share;
    sum->f1 *= share;
    sum->f2 *= share;
}

beam_code lab_train_step(lab_train *self, lab_train_report *report, beam_error *err)
{
    const lab_train_settings *o = &self->settings;
    lab_train_state *state = self->state;
    self->available = available_at(self, state->step);
    self->fresh = available_at(self, state->step + 1) - self->available;
    const double done = (double)state->step / (double)o->steps;
    for (int i = 0; i < self->threads; i++) {
        self->workers[i].loss.options.power_penalty =
            o->loss.kind == BEAM_NET_LOSS_PENALTY ? o->power_penalty * (0.01 + 0.99 * fmin(done, 1))
                                                  : 0.0;
    }
    const beam_code code =
        lab_parallel_run(self->threads, self->fresh + SLOTS, run_task, self, err);
    if (code) {
        return code;
    }
    reduce(self, report);
    state->step++;
    state->samples += report->samples;
    report->gradient = beam_adam_step(
        &o->adam, state->parameters, (long)state->step,
        beam_adam_rate(o->rate, o->last_rate, (long)o->warm_up, (long)o->steps, (long)state->step),
        self->slots[0].gradient, state->theta, state->m, state->v);
    beam_adam_average(state->parameters, (long)state->step, o->average, state->theta, state->mean);
    return BEAM_OK;
}
