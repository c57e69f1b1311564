/* Solver steps for one problem by one team, after its answer: the engine's refinement
 * (engine/solver/refine.c) in float32 in the subspace, then the beams as they are sent, certified
 * in float64, taken only where their exact merit is better than the answer's. Include
 * device.cuh first; BEAM_GPU_REFINE_BOTH: the steps in float64 too (tests). */
#ifndef BEAM_GPU_REFINE_CUH
#define BEAM_GPU_REFINE_CUH

#include "batch.cuh"
#include "choice.cuh"
#include "refine_place.cuh"

/* From so many iterations on: to convergence, through more stages. */
enum { BEAM_GPU_REFINE_LONG = 40, BEAM_GPU_REFINE_FLOOR_ROUNDS = 20 };
/* Decrease per iteration at which a stage ends (engine: beam_solver_options). */
#define BEAM_GPU_REFINE_TOLERANCE 1e-5

/* How steps ended: tolerance met or no descent left; iterations used up; no finite value. */
enum { BEAM_GPU_REFINE_CONVERGED = 0, BEAM_GPU_REFINE_LIMIT = 1, BEAM_GPU_REFINE_NUMERIC = 2 };
enum { BEAM_GPU_REFINE_TRIALS = 25 }; /* of a line search */

typedef struct beam_gpu_refined {
    int iterations, evaluations, end;
} beam_gpu_refined;

/* Bracket of a weak-Wolfe step. */
typedef struct beam_gpu_bracket {
    double low, high, value, slope; /* at low */
} beam_gpu_bracket;

/* The objective of a request before its first stage. */
BEAM_HD beam_gpu_objective beam_gpu_objective_of(const beam_gpu_problem *p)
{
    const beam_gpu_request_head *head = beam_gpu_head(p);
    const double *floor = BEAM_CLUSTER(p, double, min_rate);
    const double u1 = head->u1 > 1e-3 ? head->u1 : 1e-3, u2 = head->u2 > 1e-3 ? head->u2 : 1e-3;
    beam_gpu_objective f;
    f.w1 = u2 / (u1 + u2);
    f.w2 = u1 / (u1 + u2);
    f.tie = 1e-3 * u1 * u2 / (u1 + u2);
    f.temperature = 0.01;
    f.smoothing = 0;
    f.p1 = f.p2 = 0.5;
    f.rate_scale = head->wsr_ideal_bps_hz > 0 ? 2 / head->wsr_ideal_bps_hz : 0.1;
    f.penalty = 0;
    for (int u = 0; u < p->plan->s.U; u++) {
        f.penalty = floor[u] > 0 ? 1e3 : f.penalty;
    }
    f.warm = 0;
    f.wsr = f.crlb = f.a1 = f.a2 = f.missed = 0;
    return f;
}

/* Stage k of a refinement of so many iterations: its smoothing and up to which iteration it goes;
 * 0: there is none. Few iterations as the engine's refinement, many as its descents; then rounds on
 * the last stage until every minimum rate is met to 1e-3 bit/s/Hz, the penalty doubled each time.
 */
BEAM_HD int beam_gpu_refine_stage(beam_gpu_objective *f, int iterations, int k, int *most)
{
    *most = iterations;
    if (iterations < BEAM_GPU_REFINE_LONG) {
        f->smoothing = k == 0 ? 0.1 : 0.03;
        *most = k == 0 ? (4 * iterations + 2) / 5 : iterations;
        return k < 2;
    }
    f->temperature = 0.02;
    if (k < 4) {
        f->smoothing = k == 0 ? 0.3 : k == 1 ? 0.1 : k == 2 ? 0.03 : 0.01;
        *most = (k + 1) * iterations / 4;
        return 1;
    }
    f->penalty *= 2;
    return f->penalty > 0 && f->missed > 1e-3 && k < 4 + BEAM_GPU_REFINE_FLOOR_ROUNDS;
}

#define BEAM_GPU_BITS 32
#include "real.cuh"
#include "refine_real.cuh"
#include "refine_worst.cuh"
#include "refine_objective.cuh"
#include "refine_steps.cuh"
#include "refine_run.cuh"
#undef BEAM_GPU_BITS

#ifdef BEAM_GPU_REFINE_BOTH
#define BEAM_GPU_BITS 64
#include "real.cuh"
#include "refine_real.cuh"
#include "refine_worst.cuh"
#include "refine_objective.cuh"
#include "refine_steps.cuh"
#include "refine_run.cuh"
#undef BEAM_GPU_BITS
#endif

/* Row `row` of the problem in an answer. */
BEAM_HD int beam_gpu_answer_row(const beam_gpu_problem *p, int row)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *user = BEAM_CLUSTER(p, int, user_first);
    const int l = beam_gpu_row_station(p, row);
    const int u = user[l] + row - first[l];
    return u < user[l + 1] ? BEAM_CLUSTER(p, int, order)[u] : s->U + l * s->r + u - user[l + 1];
}

/* The answer's beams into work.candidate. */
BEAM_HD void beam_gpu_answer_candidate(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const beam_c32 *from = (const beam_c32 *)(const void *)(p->answer + p->plan->answer.beams);
    beam_c32 *to = BEAM_WORK(p, beam_c32, candidate);
    BEAM_EACH(t, k, s->rows * s->N)
    {
        const int row = beam_gpu_over(k, s->by_N);
        to[k] = from[beam_gpu_answer_row(p, row) * s->N + k - row * s->N];
    }
    beam_team_sync(t);
}

/* work.candidate, just certified, becomes the answer. */
BEAM_HD void beam_gpu_take_refined(const beam_team *t, const beam_gpu_problem *p,
                                   const beam_gpu_numbers *v)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *order = BEAM_CLUSTER(p, int, order);
    beam_gpu_answer_head *head = (beam_gpu_answer_head *)(void *)p->answer;
    double *rate = (double *)(void *)(p->answer + p->plan->answer.rate);
    beam_c32 *to = (beam_c32 *)(void *)(p->answer + p->plan->answer.beams);
    if (t->lane == 0) {
        head->wsr_bps_hz = v->wsr;
        head->crlb_m2 = v->crlb;
        head->shortfall_bps_hz = v->shortfall;
        head->merit = v->merit;
    }
    BEAM_EACH(t, k, s->rows * s->N)
    {
        const int row = beam_gpu_over(k, s->by_N);
        to[beam_gpu_answer_row(p, row) * s->N + k - row * s->N] =
            BEAM_WORK(p, beam_c32, candidate)[k];
    }
    BEAM_EACH(t, u, s->U)
    {
        rate[order[u]] = BEAM_WORK(p, double, rate)[u];
    }
}

/* One problem, after its answer: at most `iterations` steps. An answer without beams stays. */
BEAM_HD void beam_gpu_refine_answer(const beam_team *t, const beam_gpu_refiner *r, int iterations)
{
    beam_gpu_answer_head *head = (beam_gpu_answer_head *)(void *)r->search.answer;
    if (iterations <= 0 || head->chosen < 0) {
        return;
    }
    beam_gpu_reduce(t, &r->search);
    beam_gpu_answer_candidate(t, &r->search);
    beam_gpu_warm_start(t, &r->search);
    const beam_gpu_refined done = beam_gpu32_refine(t, r, iterations, BEAM_GPU_REFINE_TOLERANCE);
    beam_gpu_candidate_of_rows(t, &r->certify, BEAM_WORK(&r->certify, beam_c32, w));
    const beam_gpu_numbers v = beam_gpu_certify(t, &r->certify);
    const int better = v.merit < head->merit; /* of a merit that is not a number: no */
    beam_team_sync(t);                        /* every lane has read the head */
    if (better) {
        beam_gpu_take_refined(t, &r->certify, &v);
    }
    if (t->lane == 0) {
        head->refined = done.iterations;
        head->evaluations = done.evaluations;
    }
    beam_team_sync(t);
}

/* What a team keeps near: the plan of a problem and that of its refinement. */
typedef struct beam_gpu_near_refine {
    beam_gpu_near_plan base;
    beam_gpu_refine_plan *plan;
    size_t held; /* the plan of the batch that `plan` is made for; 0: none */
} beam_gpu_near_refine;

/* Request i of a batch, if it asks for steps; p has the team's memory, fast_bytes of the fast one.
 */
BEAM_HD void beam_gpu_refine_request(const beam_team *t, const beam_gpu_batch_memory *m, int i,
                                     beam_gpu_near_refine *near, int fast_bytes,
                                     beam_gpu_problem *p)
{
    const beam_gpu_request_head *head =
        (const beam_gpu_request_head *)(const void *)(m->in +
                                                      beam_gpu_batch_entry_of(m, i)->request);
    if (head->refine <= 0) {
        return;
    }
    beam_gpu_batch_problem(t, m, i, &near->base, p);
    if (near->held != near->base.held) {
        beam_team_sync(t);
        if (t->lane == 0) {
            beam_gpu_refine_place(near->plan, near->base.plan, 32, BEAM_GPU_REFINE_PAIRS,
                                  fast_bytes);
        }
        beam_team_sync(t);
        near->held = near->base.held;
    }
    beam_gpu_refiner r = {near->plan, *p, *p};
    r.search.plan = &near->plan->search;
    r.certify.plan = &near->plan->certify;
    beam_gpu_refine_answer(t, &r, head->refine);
}

/* Every `apart`-th request of a batch from `first` on, by one team; base, plan: where it keeps its
 * plans; slow: at least beam_gpu_refine_slow_bytes of the largest sizes. */
BEAM_HD void beam_gpu_refine_batch(const beam_team *t, const beam_gpu_batch_memory *m, int first,
                                   int apart, beam_gpu_plan *base, beam_gpu_refine_plan *plan,
                                   unsigned char *fast, int fast_bytes, unsigned char *slow)
{
    const int count = beam_gpu_batch_head_of(m)->count;
    beam_gpu_near_refine near = {{base, 0}, plan, 0};
    beam_gpu_problem p;
    p.fast = fast;
    p.slow = slow;
    for (int i = first; i < count; i += apart) {
        beam_gpu_refine_request(t, m, i, &near, fast_bytes, &p);
        beam_team_sync(t);
    }
}

#endif
