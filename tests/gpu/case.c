#include "gpu/case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.cuh"
#include "network/model.h"

/* Through memory: gcc 12.2 at -O3 left the last number of such an array in double. */
static void round_channels(beam_scene *s)
{
    const size_t n = (size_t)s->dims.stations * (size_t)s->dims.users * (size_t)s->dims.antennas;
    for (size_t i = 0; i < n; i++) {
        volatile float re = (float)s->channel[i].re, im = (float)s->channel[i].im;
        s->channel[i].re = re;
        s->channel[i].im = im;
    }
}

/* About right: the classical end's rate and half as much again. */
static beam_ideal guess_ideal(beam_solver *s)
{
    beam_ideal ideal = {.crlb_min_m2 = s->ideal.crlb_min_m2};
    if (s->problem.U > 0) {
        beam_classical_compose(&s->problem, s->unit, 1.0, s->candidate.x);
        (void)beam_solver_measure(s, &s->candidate);
        ideal.wsr_ideal_bps_hz = 1.5 * s->candidate.wsr;
    }
    return ideal;
}

static void load_solver(test_gpu_case *c, const beam_ideal *ideal)
{
    beam_error err = {0};
    c->solver = test_solver_new(&c->scene->dims);
    test_must(beam_solver_load(c->solver, c->scene, &err), &err, "load");
    test_must(beam_solver_compute_sensing_end(c->solver, &err), &err, "sensing end");
    test_must(beam_solver_prepare(c->solver, &err), &err, "prepare");
    c->ideal = ideal ? *ideal : guess_ideal(c->solver);
    test_must(beam_solver_set_ideal(c->solver, &c->ideal, &err), &err, "ideal");
    c->evaluator = test_evaluator_new(&c->scene->dims, beam_design_sensing_max(&c->scene->dims));
    test_must(beam_evaluator_load(c->evaluator, c->scene, &err), &err, "evaluator");
}

static void carve(test_gpu_case *c)
{
    const beam_gpu_plan *p = &c->plan;
    const size_t cluster = (size_t)p->cluster.bytes, request = (size_t)p->request.bytes,
                 answer = (size_t)p->answer.bytes, fast = (size_t)p->work.fast_bytes,
                 slow = (size_t)p->work.slow_bytes;
    c->memory = test_memory(cluster + request + answer + fast + slow + 16);
    c->problem = (beam_gpu_problem){
        .plan = p,
        .cluster = c->memory,
        .request = c->memory + cluster,
        .answer = c->memory + cluster + request,
        .fast = c->memory + cluster + request + answer,
        .slow = c->memory + cluster + request + answer + fast,
        .weights = c->weights,
    };
}

test_gpu_case *test_gpu_case_new(beam_scene *scene, const beam_ideal *ideal,
                                 const beam_model *model, int fast_limit)
{
    beam_error err = {0};
    test_gpu_case *c = test_memory(sizeof *c);
    memset(c, 0, sizeof *c);
    c->scene = scene;
    round_channels(scene);
    load_solver(c, ideal);
    test_must(beam_gpu_plan_make(&c->plan, &scene->dims, 0, model ? model->info.layers : 0,
                                 model ? model->info.width : 0, fast_limit, &err),
              &err, "plan");
    if (model) {
        c->weights =
            test_memory((size_t)(c->plan.layer.count * model->info.layers) * sizeof(float));
        beam_gpu_pack_weights(&c->plan, model->theta, c->weights);
    }
    carve(c);
    if (c->plan.s.r != c->solver->problem.r) {
        fprintf(stderr, "%d sensing rows, the engine has %d\n", c->plan.s.r, c->solver->problem.r);
        exit(2);
    }
    beam_design *sensing = test_design_new(&scene->dims, -1);
    beam_problem_export(&c->solver->problem, c->solver->sensing, sensing);
    test_must(beam_gpu_pack_cluster(&c->plan, scene, sensing, c->memory, &err), &err, "cluster");
    test_design_free(sensing);
    return c;
}

void test_gpu_case_free(test_gpu_case *c)
{
    test_scene_free(c->scene);
    test_solver_free(c->solver);
    test_evaluator_free(c->evaluator);
    free(c->memory);
    free(c->weights);
    free(c);
}

void test_gpu_case_request(test_gpu_case *c, double tradeoff, const beam_design *warm, int from,
                           int to)
{
    beam_gpu_pack_request(&c->plan, 0, c->scene, &c->ideal, tradeoff, warm, from, to, 7,
                          c->memory + c->plan.cluster.bytes);
    memset(c->problem.answer, 0xff, (size_t)c->plan.answer.bytes);
    memset(c->problem.fast, 0xff, (size_t)c->plan.work.fast_bytes);
    memset(c->problem.slow, 0xff, (size_t)c->plan.work.slow_bytes);
}

/* Where row `i` of the problem is in a design. */
static beam_complex *row_of(const beam_problem *p, const beam_design *d, int i)
{
    int l = 0;
    while (i >= p->first[l + 1]) {
        l++;
    }
    const int k = i - p->first[l];
    return k < p->K[l] ? test_beam(d, p->order[p->user_first[l] + k])
                       : test_sensing(d, l, k - p->K[l]);
}

void test_gpu_case_candidate(test_gpu_case *c, const beam_design *design)
{
    const beam_problem *p = &c->solver->problem;
    beam_c32 *to = BEAM_WORK(&c->problem, beam_c32, candidate);
    for (int i = 0; i < p->rows; i++) {
        const beam_complex *from = row_of(p, design, i);
        for (int n = 0; n < p->N; n++) {
            to[i * p->N + n] = (beam_c32){(float)from[n].re, (float)from[n].im};
        }
    }
}

beam_design *test_gpu_case_design(const test_gpu_case *c)
{
    const beam_problem *p = &c->solver->problem;
    const beam_c32 *from = BEAM_WORK(&c->problem, beam_c32, candidate);
    beam_design *d = test_design_new(&c->scene->dims, -1);
    for (int l = 0; l < p->L; l++) {
        d->sensing_count[l] = p->r;
    }
    for (int i = 0; i < p->rows; i++) {
        beam_complex *to = row_of(p, d, i);
        for (int n = 0; n < p->N; n++) {
            to[n] = (beam_complex){from[i * p->N + n].re, from[i * p->N + n].im};
        }
    }
    return d;
}

static void silence(test_random *random, beam_scene *s)
{
    for (int l = 0; l < s->dims.stations; l++) {
        for (int u = 0; u < s->dims.users; u++) {
            const bool off = test_random_int(random, 0, 2) == 0;
            for (int n = 0; off && n < s->dims.antennas; n++) {
                test_channel(s, l, u)[n] = (beam_complex){0, 0};
            }
        }
    }
}

beam_scene *test_gpu_scene(test_random *random, int kind)
{
    static const double radii[] = {0, 0.05, 0.1, 0.3};
    const double radius = kind == 1 ? 0 : radii[test_random_int(random, kind == 2, 3)];
    beam_dims d = {.stations = 3, .antennas = 5, .users = 3, .targets = 2}; /* the paper's */
    if (kind == 2) {
        d = (beam_dims){.stations = 2, .antennas = 16, .users = 4, .targets = 2}; /* reduced */
    } else if (kind == 3) {
        d.users = 0;
    } else if (kind == 4) {
        d = (beam_dims){.stations = 3, .antennas = 1, .users = 2, .targets = 1};
    } else if (kind >= 6) {
        d = test_random_dims(random, false);
    }
    beam_scene *s = test_random_scene(random, &d, radius);
    s->skip_unidentifiable = d.stations == 1 || d.antennas == 1 || s->skip_unidentifiable;
    if (kind == 5) {
        silence(random, s);
    }
    for (int u = 0; u < d.users; u++) {
        if (kind == 7) {
            s->user_station[u] = 0;
        }
        s->user_min_rate_bps_hz[u] = kind == 8 ? 3 * test_random_uniform(random) : 0;
    }
    return s;
}
