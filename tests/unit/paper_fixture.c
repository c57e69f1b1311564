#include "unit/paper_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/golden.h"

beam_paper_options paper_fixture_options(unsigned repairs, int lower_steps)
{
    beam_paper_options options = beam_paper_options_default();
    options.repairs = repairs;
    options.lower_steps = lower_steps;
    return options;
}

static beam_ideal made_up_ideal(const beam_scene *scene)
{
    beam_error err;
    test_random random = test_random_new(99);
    beam_evaluator *evaluator =
        test_evaluator_new(&scene->dims, beam_design_sensing_max(&scene->dims));
    test_must(beam_evaluator_load(evaluator, scene, &err), &err, "load the evaluator");
    beam_design *design = test_random_design(&random, scene, -1);
    beam_quality quality;
    test_must(beam_evaluator_run(evaluator, design, &quality, &err), &err, "evaluate");
    const beam_ideal ideal = {.wsr_ideal_bps_hz = 2 * quality.wsr_nominal_bps_hz,
                              .crlb_min_m2 = quality.crlb_valid ? 0.5 * quality.crlb_m2 : 0};
    test_design_free(design);
    test_evaluator_free(evaluator);
    return ideal;
}

paper_fixture paper_fixture_of(beam_scene *scene, const beam_paper_options *options)
{
    beam_error err;
    paper_fixture f = {.scene = scene, .options = *options, .ideal = made_up_ideal(scene)};
    const size_t size = beam_paper_memsize(&scene->dims, options);
    f.memory = test_memory(size);
    test_must(beam_paper_init(&f.paper, &scene->dims, options, f.memory, size, &err), &err, "init");
    test_must(beam_paper_load(f.paper, scene, &f.ideal, &err), &err, "load");
    return f;
}

paper_fixture paper_fixture_random(test_random *random, const beam_paper_options *options,
                                   double eps_rel)
{
    beam_dims dims = test_random_dims(random, true);
    dims.users = test_random_int(random, 1, 5);
    return paper_fixture_of(test_random_scene(random, &dims, eps_rel), options);
}

void paper_fixture_free(paper_fixture *f)
{
    free(f->memory);
    test_scene_free(f->scene);
}

static void random_row(const beam_problem *p, test_random *random, double scale, double *row)
{
    memset(row, 0, (size_t)p->stride * sizeof *row);
    for (int i = 0; i < p->D; i++) {
        row[i] = scale * test_random_normal(random);
        row[p->Dp + i] = scale * test_random_normal(random);
    }
}

void paper_fixture_direction(const paper_fixture *f, test_random *random, double scale, double *x)
{
    const beam_problem *p = &f->paper->problem;
    const beam_paper_space *s = &f->paper->space;
    for (int i = 0; i < s->n / p->stride; i++) {
        random_row(p, random, scale, x + i * p->stride);
    }
    for (int l = 0; l < p->L && !s->psd; l++) {
        double *q = x + (s->first[l] + p->K[l]) * p->stride;
        for (int i = 0; i < p->D; i++) {
            q[i * p->stride + p->Dp + i] = 0;
            for (int j = 0; j < i;
                 j++) { /* row i is column i: Q_ji at [i][j], Q_ij = conj at [j][i] */
                q[j * p->stride + i] = q[i * p->stride + j];
                q[j * p->stride + p->Dp + i] = -q[i * p->stride + p->Dp + j];
            }
        }
    }
}

beam_scene *paper_fixture_plain_scene(int stations, int antennas, int users)
{
    const beam_dims dims = {
        .stations = stations, .antennas = antennas, .users = users, .targets = 1};
    beam_scene *s = test_scene_new(&dims);
    test_random random = test_random_new(5);
    for (int l = 0; l < stations; l++) {
        const double angle = 6.283185307179586 * (l + 0.2) / (stations + 0.5);
        s->station_position_m[2 * l] = 80 * cos(angle);
        s->station_position_m[2 * l + 1] = 80 * sin(angle);
        s->station_axis_rad[l] = angle + 1.6;
        s->station_power_w[l] = 10;
        s->station_echo_noise_w[l] = 1e-12;
        for (int m = 0; m < stations; m++) {
            *test_reflection(s, l, 0, m) = (beam_complex){2e-7, 1e-7};
        }
    }
    s->target_position_m[0] = 3;
    s->target_position_m[1] = -4;
    for (int u = 0; u < users; u++) {
        s->user_station[u] = u % stations;
        s->user_weight[u] = 1;
        s->user_noise_w[u] = 1e-11;
        for (int l = 0; l < stations; l++) {
            for (int n = 0; n < antennas; n++) {
                const beam_complex h = test_random_complex(&random);
                const double gain = l == u % stations ? 2e-5 : 4e-6;
                test_channel(s, l, u)[n] = (beam_complex){gain * h.re, gain * h.im};
            }
        }
    }
    return s;
}

/* Is some cone function from low to high a row of the direction problem? */
static bool has_row(const beam_paper *p, int low, int high)
{
    const beam_preference u = beam_paper_preference(p->k, p->options.preferences);
    for (int j = low; j <= high; j++) {
        const beam_preference v = beam_paper_preference(j, p->options.preferences);
        for (int i = 0; i < p->direction.rows && j != p->k; i++) {
            if (p->direction.row[i][0] == v.u1 - u.u1 && p->direction.row[i][1] == v.u2 - u.u2) {
                return true;
            }
        }
    }
    return false;
}

static void record(void *arg, const beam_paper_iterate *iterate)
{
    paper_trace *t = arg;
    beam_paper *p = t->paper;
    const int i = t->count;
    assert_true(i < PAPER_TRACE_MAX);
    assert_int_equal(iterate->iteration, i);
    t->at[i] = *iterate;
    t->phi[i] = p->direction.phi;
    t->norm2[i] = p->direction.norm2;
    const beam_paper_loss loss = beam_paper_loss_at(p, p->x);
    int first, last;
    t->cone[i] = beam_paper_cone(p->k, p->options.preferences, loss.q, 0, &first, &last);
    if (t->cone[i] > 1e-6 && p->counts[0] && p->counts[1]) {
        /* the extreme ones; with feasible-step those almost active may lie beyond them */
        assert_true(has_row(p, 0, first) && has_row(p, last, p->options.preferences - 1));
    }
    t->steepest_cone[i] = -INFINITY; /* over all active cone functions, of which two are rows */
    for (int j = 0; j < p->options.preferences && p->counts[0] && p->counts[1]; j++) {
        const beam_preference u = beam_paper_preference(p->k, p->options.preferences);
        const beam_preference v = beam_paper_preference(j, p->options.preferences);
        if (j != p->k && (v.u1 - u.u1) * loss.q[0] + (v.u2 - u.u2) * loss.q[1] >= 0) {
            const double slope =
                (v.u1 - u.u1) * p->direction.slope[0] + (v.u2 - u.u2) * p->direction.slope[1];
            t->steepest_cone[i] =
                fmax(t->steepest_cone[i], slope / hypot(v.u1 - u.u1, v.u2 - u.u2));
        }
    }
    t->loss[i][0] = loss.f[0];
    t->loss[i][1] = loss.f[1];
    t->power[i] = 0;
    for (int l = 0; l < p->problem.L; l++) {
        t->power[i] = fmax(t->power[i], beam_paper_power(&p->space, p->x, l));
    }
    t->count++;
}

paper_outcome paper_fixture_run(paper_fixture *f, int k, const beam_design *start, paper_trace *t)
{
    paper_outcome o = {.design = test_design_new(&f->scene->dims, -1)};
    beam_error err;
    if (t) {
        *t = (paper_trace){.paper = f->paper};
    }
    test_must(beam_paper_solve(f->paper, k, 5, start, o.design, &o.result, &o.status,
                               t ? record : NULL, t, &err),
              &err, "solve");
    beam_evaluator *evaluator = test_evaluator_new(&f->scene->dims, o.design->sensing_max);
    test_must(beam_evaluator_load(evaluator, f->scene, &err), &err, "load");
    test_must(beam_evaluator_run(evaluator, o.design, &o.quality, &err), &err, "run");
    test_evaluator_free(evaluator);
    assert_true(o.quality.power_excess <= 1e-9);
    return o;
}

paper_fixture paper_fixture_golden(const char *name, const beam_paper_options *options)
{
    beam_error err;
    paper_fixture f = paper_fixture_of(test_golden_scene(name), options);
    f.ideal = test_golden_ideal(name);
    test_must(beam_paper_load(f.paper, f.scene, &f.ideal, &err), &err, "load");
    return f;
}

void paper_fixture_finish(paper_fixture *f, paper_outcome *o)
{
    test_design_free(o->design);
    paper_fixture_free(f);
}

paper_trace *paper_fixture_trace(void)
{
    return test_memory(sizeof(paper_trace));
}
