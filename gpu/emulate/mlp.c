#include "emulate/mlp.h"

#include <stdlib.h>

#include "device/device.cuh"
#include "device/mlp.cuh"
#include "mlp_plan.h"

struct beam_gpu_emulated_mlp {
    beam_gpu_mlp_plan plan;
    float *weights;                     /* two sets */
    float *x, *hidden1, *hidden2, *out; /* columns of one problem */
    beam_c32 *beams;                    /* [most][rows N] */
};

static size_t set_floats(const beam_gpu_emulated_mlp *self)
{
    return (size_t)self->plan.layer * (size_t)self->plan.layers;
}
static size_t beams_apart(const beam_gpu_mlp_plan *m)
{
    return (size_t)((m->U + m->L * m->r) * m->N);
}

beam_gpu_emulated_mlp *beam_gpu_emulated_mlp_new(const beam_model_info *info, beam_gpu_error *err)
{
    beam_error inner = {0};
    beam_gpu_emulated_mlp *self = calloc(1, sizeof *self);
    if (self && beam_gpu_mlp_plan_make(&self->plan, info, &inner)) {
        (void)beam_gpu_fail(err, BEAM_GPU_E_INVALID, "model: %s", inner.text);
        free(self);
        return NULL;
    }
    if (self) {
        const size_t real = sizeof(float);
        self->weights = calloc(2 * set_floats(self), real);
        self->x = calloc((size_t)self->plan.inputs, real);
        self->hidden1 = calloc((size_t)self->plan.hidden, real);
        self->hidden2 = calloc((size_t)self->plan.hidden, real);
        self->out = calloc((size_t)self->plan.outputs, real);
    }
    if (!self || !self->weights || !self->x || !self->hidden1 || !self->hidden2 || !self->out) {
        (void)beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "no host memory");
        beam_gpu_emulated_mlp_free(self);
        return NULL;
    }
    return self;
}

void beam_gpu_emulated_mlp_free(beam_gpu_emulated_mlp *self)
{
    if (self) {
        free(self->weights);
        free(self->x);
        free(self->hidden1);
        free(self->hidden2);
        free(self->out);
        free(self->beams);
        free(self);
    }
}

bool beam_gpu_emulated_mlp_same(const beam_gpu_emulated_mlp *self, const beam_model_info *info)
{
    const beam_gpu_mlp_plan *m = &self->plan;
    return info->layers == m->layers && info->width == m->width && info->stations == m->L &&
           info->antennas == m->N && info->users == m->U && info->targets == m->J &&
           info->sensing_rows == m->r;
}

void beam_gpu_emulated_mlp_weights(beam_gpu_emulated_mlp *self, int set, const float *theta)
{
    beam_gpu_mlp_pack(&self->plan, theta, self->weights + (size_t)set * set_floats(self));
}

beam_gpu_code beam_gpu_emulated_mlp_prepare(beam_gpu_emulated_mlp *self, const beam_dims *dims,
                                            int most, beam_gpu_error *err)
{
    beam_error inner = {0};
    beam_gpu_plan problem;
    if (beam_gpu_plan_make(&problem, dims, self->plan.U / self->plan.L, 0, 0, 0, &inner) ||
        beam_gpu_mlp_plan_check(&self->plan, &problem.s, &inner)) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT, "%s", inner.text);
    }
    self->beams = calloc((size_t)most * beams_apart(&self->plan), sizeof *self->beams);
    return self->beams ? BEAM_GPU_OK : beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "no host memory");
}

bool beam_gpu_emulated_mlp_serves(const beam_gpu_emulated_mlp *self,
                                  const beam_gpu_cluster_note *note)
{
    const beam_gpu_mlp_plan *m = &self->plan;
    return note->users == m->U && note->targets == m->J && note->users_per_station * m->L == m->U;
}

static void product(int outputs, int inputs, const float *weight, const float *x, float *y)
{
    for (int o = 0; o < outputs; o++, weight += inputs) {
        float sum = 0;
        for (int k = 0; k < inputs; k++) {
            sum += weight[k] * x[k];
        }
        y[o] = sum;
    }
}

static void run_problem(beam_gpu_emulated_mlp *self, const beam_team *t, const float *weights,
                        const beam_gpu_problem *p, beam_c32 *to)
{
    const beam_gpu_mlp_plan *m = &self->plan;
    if (!beam_gpu_mlp_serves(p, m)) {
        beam_gpu_mlp_no_beams(t, m, to);
        return;
    }
    beam_gpu_mlp_begin(t, p, m, self->x);
    for (int y = 0; y < m->layers; y++, weights += m->layer) {
        product(m->hidden, m->inputs, weights + m->w1, self->x, self->hidden1);
        beam_gpu_mlp_hidden(t, m, weights + m->b1, self->hidden1);
        product(m->hidden, m->hidden, weights + m->w2, self->hidden1, self->hidden2);
        beam_gpu_mlp_hidden(t, m, weights + m->b2, self->hidden2);
        product(m->outputs, m->hidden, weights + m->w3, self->hidden2, self->out);
        beam_gpu_mlp_step(t, beam_gpu_head(p), m, y, weights, self->out, self->x);
    }
    beam_gpu_mlp_beams(t, p, m, self->x, to);
}

void beam_gpu_emulated_mlp_run(beam_gpu_emulated_mlp *self, int set, beam_gpu_batch_memory *memory,
                               unsigned char *fast)
{
    const beam_team t = {.lane = 0, .lanes = 1};
    const int count = beam_gpu_batch_head_of(memory)->count;
    const size_t apart = beams_apart(&self->plan);
    beam_gpu_plan plan;
    beam_gpu_near_plan near = {&plan, 0};
    beam_gpu_problem p = {.fast = fast, .slow = memory->slow};
    for (int i = 0; i < count; i++) {
        beam_gpu_batch_problem(&t, memory, i, &near, &p);
        run_problem(self, &t, self->weights + (size_t)set * set_floats(self), &p,
                    self->beams + (size_t)i * apart);
    }
    memory->network_beams = self->beams;
    memory->network_apart = apart;
}
