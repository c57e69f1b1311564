#include "common/reduced.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/row.h"

static void carve(test_reduced *t, beam_arena *arena, const beam_dims *dims, int columns,
                  bool reduce)
{
    const int J2 = 2 * dims->targets, stride = 2 * beam_pad4(dims->antennas);
    const int rows = dims->users + dims->stations * columns;
    const int blocks = dims->stations * J2 * J2;
    t->point = rows * stride;
    beam_problem_carve(&t->problem, arena, dims, columns, reduce);
    beam_robust_carve(&t->robust, arena, dims, dims->antennas, columns);
    t->x = BEAM_TAKE(arena, double, t->point);
    t->grad_wsr = BEAM_TAKE(arena, double, t->point);
    t->grad_crlb = BEAM_TAKE(arena, double, t->point);
    t->scratch = BEAM_TAKE(arena, double, t->point);
    t->row = BEAM_TAKE(arena, double, stride);
    t->proj = BEAM_TAKE(arena, beam_complex, rows * J2);
    t->gram = BEAM_TAKE(arena, beam_complex, blocks);
    t->pull = BEAM_TAKE(arena, beam_complex, blocks);
}

test_reduced *test_reduced_new(const beam_scene *scene, int columns, bool reduce)
{
    beam_error err = {0};
    test_reduced *t = test_memory(sizeof *t);
    memset(t, 0, sizeof *t);
    beam_arena count = {NULL, 0};
    carve(t, &count, &scene->dims, columns, reduce);
    void *memory = test_memory(count.used);
    memset(memory, 0xa5, count.used);
    beam_arena arena = {memory, 0};
    carve(t, &arena, &scene->dims, columns, reduce);
    t->memory = memory;
    test_must(beam_problem_load(&t->problem, scene, reduce, &err), &err, "problem");
    t->point = t->problem.rows * t->problem.stride;
    beam_robust_reset(&t->robust, &t->problem);
    return t;
}

void test_reduced_free(test_reduced *t)
{
    if (t) {
        free(t->memory);
        free(t);
    }
}

test_reduced_numbers test_reduced_run(test_reduced *t, const beam_scene *scene,
                                      const beam_design *design)
{
    beam_problem *p = &t->problem;
    test_reduced_numbers out = {0};
    double sinr[BEAM_MAX_USERS];
    beam_problem_import(p, design, t->x);
    beam_robust_reset(&t->robust, p);
    out.wsr_worst_case = beam_robust_exact(&t->robust, t->x);
    for (int k = 0; k < p->U; k++) {
        out.sinr_worst_case[p->order[k]] = t->robust.sinr[k];
    }
    memset(t->grad_wsr, 0, (size_t)t->point * sizeof(double));
    beam_robust_exact_gradient(&t->robust, t->x, p->weight, t->grad_wsr);
    beam_robust_nominal(&t->robust, t->x, sinr);
    for (int k = 0; k < p->U; k++) {
        out.sinr_nominal[p->order[k]] = sinr[k];
        out.wsr_nominal += p->weight[k] * log2(1 + sinr[k]);
    }
    memset(t->grad_crlb, 0, (size_t)t->point * sizeof(double));
    beam_problem_sensing_gram(p, t->x, t->proj, t->gram);
    out.crlb = beam_crlb_value(&p->crlb, t->gram, t->pull, NULL);
    if (isfinite(out.crlb)) {
        beam_problem_sensing_pull(p, t->proj, t->pull, 1, t->grad_crlb);
    }
    for (int l = 0; l < p->L; l++) {
        const int rows = p->first[l + 1] - p->first[l];
        out.power_w[l] = scene->station_power_w[l] *
                         beam_row_norm2(rows * p->stride, t->x + p->first[l] * p->stride);
    }
    return out;
}

double test_reduced_lost(test_reduced *t, const beam_scene *scene, const beam_design *design)
{
    double kept = 0, all = 0;
    beam_problem_import(&t->problem, design, t->x);
    for (int l = 0; l < t->problem.L; l++) {
        const int first = t->problem.first[l], rows = t->problem.first[l + 1] - first;
        const double power = beam_design_power_w(design, scene->user_station, l);
        kept += scene->station_power_w[l] *
                beam_row_norm2(rows * t->problem.stride, t->x + first * t->problem.stride);
        all += power;
    }
    return all > 0 ? sqrt(fmax(all - kept, 0) / all) : 0;
}

double test_reduced_gradient_error(test_reduced *t, const double *gradient,
                                   const beam_design *expected)
{
    const beam_problem *p = &t->problem;
    double wrong = 0, norm = 0;
    beam_problem_import(p, expected, t->scratch);
    for (int l = 0; l < p->L; l++) {
        const double power = p->sqrt_power[l] * p->sqrt_power[l];
        for (int i = p->first[l] * p->stride; i < p->first[l + 1] * p->stride; i++) {
            /* per watt again, so that both sums are those of d/dw */
            const double e = t->scratch[i] * p->sqrt_power[l];
            const double g = gradient[i] / power * p->sqrt_power[l];
            wrong += (g - e) * (g - e);
            norm += e * e;
        }
    }
    return sqrt(wrong / norm);
}
