/* Makes the plan of a refinement, on the host and, at the start of a problem of another size, on
 * the device: whole numbers only. */
#ifndef BEAM_GPU_REFINE_PLACE_CUH
#define BEAM_GPU_REFINE_PLACE_CUH

#include "refine_plan.cuh"

enum { BEAM_GPU_NOWHERE = 0x7ffffff0 };

/* Memory of two kinds: what no longer fits the first goes to the second. */
typedef struct beam_gpu_space {
    int fast, slow, limit;
} beam_gpu_space;

BEAM_HD int beam_gpu_place(beam_gpu_space *m, int bytes)
{
    const int size = (bytes + 15) / 16 * 16;
    if (m->fast + size <= m->limit) {
        m->fast += size;
        return m->fast - size;
    }
    m->slow += size;
    return ~(m->slow - size);
}

/* The arrays of measure.cuh in a precision of `real` bytes and rows of `dim` entries. */
BEAM_HD void beam_gpu_place_measure(beam_gpu_work_at *w, const beam_gpu_sizes *s, int real, int dim,
                                    beam_gpu_space *m)
{
    const int complex = 2 * real;
    w->rank = beam_gpu_place(m, s->L * (int)sizeof(int));
    w->rho = beam_gpu_place(m, s->L * s->n_max * real);
    w->cross = beam_gpu_place(m, s->L * s->U * real);
    w->turn = beam_gpu_place(m, s->L * s->n_max * s->n_max * complex);
    w->vector = beam_gpu_place(m, s->rows * dim * complex);
    w->g = beam_gpu_place(m, s->L * s->U * s->n_max * complex);
    w->projection = beam_gpu_place(m, s->rows * 2 * s->J * complex);
}

/* Of the certificate alone: 7 complex numbers and a real one per entry, of each user. */
BEAM_HD void beam_gpu_place_certificate(beam_gpu_work_at *w, const beam_gpu_sizes *s,
                                        beam_gpu_space *m)
{
    const int real = (int)sizeof(double);
    w->sinr = beam_gpu_place(m, s->U * real);
    w->rate = beam_gpu_place(m, s->U * real);
    w->scratch = beam_gpu_place(m, s->U * ((s->n_max * 15 * real + 15) / 16 * 16));
}

/* What the steps have of their own: what one evaluation needs first, the memory of past steps, read
 * once an iteration, last. */
BEAM_HD void beam_gpu_place_steps(beam_gpu_refine_plan *plan, const beam_gpu_sizes *s, int real,
                                  beam_gpu_space *m)
{
    beam_gpu_refine_at *at = &plan->at;
    const int complex = 2 * real, dim = plan->dim, variables = plan->n * real;
    at->row_sum = beam_gpu_place(m, s->rows * real);
    at->place = beam_gpu_place(m, s->L * real);
    at->user = beam_gpu_place(m, BEAM_GPU_REFINE_USER_NUMBERS * s->U * real);
    at->multiplier = beam_gpu_place(m, s->U * (int)sizeof(double));
    at->eps = beam_gpu_place(m, s->L * s->U * real);
    at->shift = beam_gpu_place(m, s->L * s->U * real);
    at->echo = beam_gpu_place(m, 4 * s->L * s->J * real);
    at->information = beam_gpu_place(m, 4 * s->J * (int)sizeof(double));
    at->spread = beam_gpu_place(m, s->L * s->n_max * real);
    at->inverse = beam_gpu_place(m, s->U * s->n_max * real);
    at->smooth = beam_gpu_place(m, 3 * s->U * s->n_max * complex);
    at->turned = beam_gpu_place(m, s->rows * s->n_max * complex);
    at->correction = beam_gpu_place(m, s->L * s->U * s->n_max * complex);
    at->pull = beam_gpu_place(m, s->L * s->U * s->n_max * complex);
    at->x = beam_gpu_place(m, s->rows * dim * complex);
    at->trial = beam_gpu_place(m, variables);
    at->trial_gradient = beam_gpu_place(m, variables);
    at->y = beam_gpu_place(m, variables);
    at->along = beam_gpu_place(m, variables);
    at->gradient = beam_gpu_place(m, variables);
    at->metric_slack = beam_gpu_place(m, s->L * real);
    at->column = beam_gpu_place(m, s->L * dim * complex);
    at->metric = beam_gpu_place(m, s->L * dim * dim * complex);
    at->step = beam_gpu_place(m, plan->pairs * variables);
    at->change = beam_gpu_place(m, plan->pairs * variables);
}

/* For problems of the sizes of `base`; steps in float32 in the subspace (bits 32) or in float64 in
 * the space of the antennas (64). The first `used` bytes of fast memory are the caller's, arrays
 * lie in those up to fast_limit. */
BEAM_HD void beam_gpu_refine_place(beam_gpu_refine_plan *plan, const beam_gpu_plan *base, int bits,
                                   int pairs, int fast_limit)
{
    const beam_gpu_sizes *s = &base->s;
    const int real = bits / 8, complex32 = (int)sizeof(beam_c32);
    beam_gpu_space m = {0, 0, fast_limit};
    plan->bits = bits;
    plan->pairs = pairs < BEAM_GPU_REFINE_PAIRS_MAX ? pairs : BEAM_GPU_REFINE_PAIRS_MAX;
    plan->dim = bits == 64 ? s->N : s->D;
    plan->by_dim = beam_gpu_by(plan->dim);
    plan->n = 2 * s->rows * plan->dim + s->L;
    plan->search = *base;
    beam_gpu_work_at *w = &plan->search.work;
    for (int k = 0; k < (int)(sizeof *w / sizeof(int)); k++) { /* what is not placed faults */
        ((int *)(void *)w)[k] = BEAM_GPU_NOWHERE;
    }
    w->radius = beam_gpu_place(&m, s->L * s->U * (int)sizeof(double));
    w->vectors = beam_gpu_place(&m, s->L * s->Q * s->D * complex32);
    w->w = beam_gpu_place(&m, s->rows * s->D * complex32);
    beam_gpu_space steps = m, certificate = m;
    beam_gpu_place_measure(w, s, real, plan->dim, &steps);
    beam_gpu_place_steps(plan, s, real, &steps);
    plan->certify = plan->search;
    beam_gpu_place_measure(&plan->certify.work, s, (int)sizeof(double), s->N, &certificate);
    beam_gpu_place_certificate(&plan->certify.work, s, &certificate);
    m.fast = steps.fast > certificate.fast ? steps.fast : certificate.fast;
    m.slow = steps.slow > certificate.slow ? steps.slow : certificate.slow;
    w->candidate = beam_gpu_place(&m, s->rows * s->N * complex32);
    w->share = beam_gpu_place(&m, s->L * s->D * complex32);
    w->basis = beam_gpu_place(&m, s->D < s->N ? s->L * s->D * s->N * complex32 : 0);
    plan->certify.work.candidate = w->candidate;
    plan->certify.work.share = w->share;
    plan->certify.work.basis = w->basis;
    plan->fast_bytes = w->fast_bytes = plan->certify.work.fast_bytes = m.fast;
    plan->slow_bytes = w->slow_bytes = plan->certify.work.slow_bytes = m.slow;
}

#endif
