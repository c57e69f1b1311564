/* Training: the loss has the gradient that it says, Adam is Adam, a training is a function of its
 * settings whatever the threads and interruptions, scenes are a function of their seed, and damaged
 * checkpoints are refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/owned.h"
#include "common/random.h"
#include "lab/generate.h"
#include "lab/train.h"
#include "lab/train_checkpoint.h"
#include "model/row.h"
#include "solver/classical.h"

static lab_scenes *make_scenes(const char *families, uint64_t seed, int groups)
{
    beam_error err;
    const lab_scenes_options options = {.seed = seed, .groups = groups, .families = families};
    lab_scenes *scenes = lab_scenes_create(&options, &err);
    if (!scenes) {
        fail_msg("%s: %s", err.field, err.text);
    }
    return scenes;
}

static lab_group *get_group(lab_scenes *scenes, int index)
{
    beam_error err;
    lab_group *group = lab_scenes_group(scenes, index, &err);
    if (!group) {
        fail_msg("%s: %s", err.field, err.text);
    }
    return group;
}

static size_t point_size(const beam_problem *p)
{
    return (size_t)p->rows * (size_t)p->stride;
}

/* --- Loss ------------------------------------------------------------------------------------- */

typedef struct loss_case {
    lab_scenes *scenes;
    void *memory;
    beam_net_loss loss;
    lab_frame *frame;
    double *x, *direction, *gradient, *moved;
} loss_case;

static void open_case(loss_case *c, const char *families, uint64_t seed, double tradeoff)
{
    c->scenes = make_scenes(families, seed, 1);
    c->frame = &get_group(c->scenes, 0)->samples[0].frames[0];
    const beam_problem *p = &c->frame->problem;
    const beam_dims dims = {p->L, p->N, p->U, p->J};
    beam_arena count = {NULL, 0};
    beam_net_loss_carve(&c->loss, &count, &dims);
    c->memory = test_memory(count.used);
    beam_arena arena = {c->memory, 0};
    beam_net_loss_carve(&c->loss, &arena, &dims);
    beam_net_loss_load(&c->loss, &c->frame->problem, &c->frame->ideal,
                       beam_preference_from_tradeoff(tradeoff));
    c->x = test_memory(4 * point_size(p) * sizeof *c->x);
    c->direction = c->x + point_size(p);
    c->gradient = c->direction + point_size(p);
    c->moved = c->gradient + point_size(p);
    test_random random = test_random_new(seed);
    beam_classical_compose(p, c->frame->unit, 0.6, c->x);
    memset(c->direction, 0, point_size(p) * sizeof *c->direction);
    for (int row = 0; row < p->rows; row++) {
        for (int i = 0; i < 2 * p->D; i++) {
            const size_t at = (size_t)(row * p->stride + (i < p->D ? i : p->Dp + i - p->D));
            c->direction[at] = test_random_normal(&random);
            c->x[at] += 0.05 * test_random_normal(&random);
        }
    }
}

static void close_case(loss_case *c)
{
    free(c->x);
    free(c->memory);
    lab_scenes_destroy(&c->scenes);
}

static double loss_along(loss_case *c, double t)
{
    const size_t n = point_size(&c->frame->problem);
    double *ignored = test_memory(n * sizeof *ignored);
    for (size_t i = 0; i < n; i++) {
        c->moved[i] = c->x[i] + t * c->direction[i];
    }
    const beam_net_loss_result r = beam_net_loss_value(&c->loss, c->moved, ignored);
    assert_false(r.dark);
    assert_false(r.exact);
    free(ignored);
    return r.loss;
}

static void check_gradient(loss_case *c)
{
    c->loss.options.clip = 1e9;
    const beam_net_loss_result r = beam_net_loss_value(&c->loss, c->x, c->gradient);
    assert_false(r.dark || r.exact || r.clipped);
    const double h = 1e-6;
    const double differences = (loss_along(c, h) - loss_along(c, -h)) / (2 * h);
    const double exact =
        beam_row_inner((int)point_size(&c->frame->problem), c->gradient, c->direction);
    const double size =
        sqrt(beam_row_norm2((int)point_size(&c->frame->problem), c->gradient)) + 1e-3;
    if (fabs(exact - differences) > 2e-5 * size) {
        fail_msg("gradient %.9g, differences %.9g, size %g", exact, differences, size);
    }
}

static void loss_gradient_is_that_of_differences(void **state)
{
    (void)state;
    static const double tradeoffs[] = {0, 0.2, 0.5, 0.9, 1};
    for (uint64_t seed = 0; seed < 10; seed++) {
        loss_case c;
        open_case(&c, seed % 2 ? "sizes" : "paper", seed, tradeoffs[seed % 5]);
        check_gradient(&c);
        c.loss.options.kind = BEAM_NET_LOSS_PENALTY;
        check_gradient(&c);
        /* beyond the budgets the power term joins */
        beam_row_scale((int)point_size(&c.frame->problem), 1.3, c.x);
        c.loss.options.power_penalty = 0;
        const double without = beam_net_loss_value(&c.loss, c.x, c.gradient).loss;
        c.loss.options.power_penalty = 5;
        assert_true(beam_net_loss_value(&c.loss, c.x, c.gradient).loss > without + 0.1);
        check_gradient(&c);
        close_case(&c);
    }
}

static void loss_prefers_what_the_preference_says(void **state)
{
    (void)state;
    double shares[2];
    for (int end = 0; end < 2; end++) {
        loss_case c;
        open_case(&c, "paper", 5, end);
        double least = INFINITY;
        for (int k = 1; k < 20; k++) {
            beam_classical_compose(&c.frame->problem, c.frame->unit, 0.05 * k, c.x);
            const double loss = beam_net_loss_value(&c.loss, c.x, c.gradient).loss;
            if (loss < least) {
                least = loss;
                shares[end] = 0.05 * k;
            }
        }
        close_case(&c);
    }
    assert_true(shares[0] > 0.9 && shares[1] < 0.1);
}

static void hostile_points_give_a_finite_loss_and_no_gradient(void **state)
{
    (void)state;
    loss_case c;
    open_case(&c, "paper", 3, 0.5);
    const int n = (int)point_size(&c.frame->problem);
    c.loss.options.clip = 1e-3;
    beam_net_loss_result r = beam_net_loss_value(&c.loss, c.x, c.gradient);
    assert_true(r.clipped && fabs(sqrt(beam_row_norm2(n, c.gradient)) - 1e-3) < 1e-12);
    memset(c.x, 0, (size_t)n * sizeof *c.x); /* lights nothing */
    for (int k = 0; k < 2; k++) {
        c.gradient[0] = 1;
        r = beam_net_loss_value(&c.loss, c.x, c.gradient);
        assert_true(r.dark && r.loss == BEAM_NET_LOSS_DARK);
        assert_true(beam_row_norm2(n, c.gradient) == 0.0);
        c.x[0] = NAN;
    }
    close_case(&c);
}

/* --- Adam ------------------------------------------------------------------------------------- */

static void adam_takes_the_steps_of_its_formulas(void **state)
{
    (void)state;
    const beam_adam_options o = {.first = 0.9, .second = 0.999, .epsilon = 1e-8};
    float theta[2] = {1, -1}, m[2] = {0}, v[2] = {0};
    const float g1[2] = {0.5f, -2}, g2[2] = {-0.5f, -1};
    assert_true(fabs(beam_adam_step(&o, 2, 1, 0.1, g1, theta, m, v) - hypot(0.5, 2)) < 1e-6);
    /* the first step is `rate` long whatever the size: m' = g, v' = g^2 */
    assert_true(fabs(theta[0] - 0.9) < 1e-6 && fabs(theta[1] + 0.9) < 1e-6);
    (void)beam_adam_step(&o, 2, 2, 0.1, g2, theta, m, v);
    /* m' = (0.09 g1 + 0.1 g2)/0.19, v' = (0.000999 g1^2 + 0.001 g2^2)/0.001999 */
    const double m0 = (0.09 * 0.5 - 0.1 * 0.5) / 0.19, m1 = (0.09 * -2 - 0.1) / 0.19;
    const double v1 = (0.000999 * 4 + 0.001) / 0.001999;
    assert_true(fabs(theta[0] - (0.9 - 0.1 * m0 / 0.5)) < 1e-6);
    assert_true(fabs(theta[1] - (-0.9 - 0.1 * m1 / sqrt(v1))) < 1e-6);
}

static void adam_shortens_long_gradients_and_leaves_out_bad_ones(void **state)
{
    (void)state;
    beam_adam_options o = beam_adam_options_default();
    o.clip = 1;
    float theta[2] = {0}, m[2] = {0}, v[2] = {0};
    const float g[2] = {3, 4}, bad[2] = {NAN, 1};
    assert_true(beam_adam_step(&o, 2, 1, 1e-3, g, theta, m, v) == 5.0);
    assert_true(fabs(m[0] - 0.06) < 1e-7 && fabs(m[1] - 0.08) < 1e-7);
    const float kept[2] = {theta[0], theta[1]}, moment = v[1];
    assert_true(isnan(beam_adam_step(&o, 2, 2, 1e-3, bad, theta, m, v)) != 0);
    assert_true(theta[0] == kept[0] && theta[1] == kept[1] && v[1] == moment);
}

static void rate_warms_up_and_cools_down(void **state)
{
    (void)state;
    assert_true(fabs(beam_adam_rate(1, 0.01, 10, 110, 1) - 0.1) < 1e-12);
    assert_true(fabs(beam_adam_rate(1, 0.01, 10, 110, 10) - 1) < 1e-12);
    assert_true(fabs(beam_adam_rate(1, 0.01, 10, 110, 60) - 0.505) < 1e-12);
    assert_true(fabs(beam_adam_rate(1, 0.01, 10, 110, 110) - 0.01) < 1e-12);
    assert_true(fabs(beam_adam_rate(1, 0.01, 10, 110, 500) - 0.01) < 1e-12);
    /* the mean forgets the start soon, then decays slowly */
    float theta = 1, mean = 0;
    beam_adam_average(1, 1, 0.999, &theta, &mean);
    assert_true(fabs(mean - 9.0 / 11) < 1e-6);
    mean = 0;
    beam_adam_average(1, 1000000, 0.999, &theta, &mean);
    assert_true(fabs(mean - 0.001) < 1e-6);
}

/* --- Scenes ----------------------------------------------------------------------------------- */

static void assert_same_frame(const lab_frame *a, const lab_frame *b)
{
    const beam_problem *p = &a->problem, *q = &b->problem;
    const size_t links = (size_t)p->L * (size_t)p->U;
    assert_int_equal(p->rows, q->rows);
    assert_memory_equal(p->h, q->h, links * (size_t)p->stride * sizeof(double));
    assert_memory_equal(p->eps, q->eps, links * sizeof(double));
    assert_memory_equal(a->unit, b->unit, point_size(p) * sizeof(double));
    assert_memory_equal(&a->ideal, &b->ideal, sizeof a->ideal);
}

static void scenes_depend_on_seed_and_index_alone(void **state)
{
    (void)state;
    lab_scenes *a = make_scenes("paper:1,sizes:1", 9, 6), *b = make_scenes("paper:1,sizes:1", 9, 6),
               *c = make_scenes("paper:1,sizes:1", 10, 6);
    (void)get_group(a, 0);
    const lab_group *late = get_group(a, 4), *direct = get_group(b, 4), *other = get_group(c, 4);
    assert_true(beam_net_shape_equal(&late->shape, &direct->shape));
    for (int k = 0; k < BEAM_LANES; k++) {
        assert_same_frame(&late->samples[k].frames[0], &direct->samples[k].frames[0]);
        assert_same_frame(&late->samples[k].frames[1], &direct->samples[k].frames[1]);
        assert_true(late->samples[k].frames[0].ideal.wsr_ideal_bps_hz !=
                    other->samples[k].frames[0].ideal.wsr_ideal_bps_hz);
    }
    assert_ptr_equal(get_group(a, 4), late);
    lab_scenes_destroy(&a);
    lab_scenes_destroy(&b);
    lab_scenes_destroy(&c);
}

static void groups_have_one_shape_and_useful_scenes(void **state)
{
    (void)state;
    lab_scenes *scenes = make_scenes("sizes", 2, 5);
    const beam_dims most = lab_scenes_most(scenes);
    for (int i = 0; i < 5; i++) {
        const lab_group *group = get_group(scenes, i);
        for (int k = 0; k < BEAM_LANES; k++) {
            for (int f = 0; f < 2; f++) {
                const lab_frame *frame = &group->samples[k].frames[f];
                const beam_net_shape shape = beam_net_shape_of(&frame->problem);
                assert_true(beam_net_shape_equal(&shape, &group->shape));
                assert_true(frame->ideal.wsr_ideal_bps_hz > 0 && frame->ideal.crlb_min_m2 > 0);
                assert_true(shape.L <= most.stations && shape.U <= most.users &&
                            shape.J <= most.targets && frame->problem.N <= most.antennas);
                for (int l = 0; l < shape.L; l++) {
                    assert_true(beam_problem_power(&frame->problem, frame->unit, l) < 2 + 1e-9);
                }
            }
            assert_true(group->samples[k].frames[0].ideal.wsr_ideal_bps_hz ==
                        group->samples[k].frames[1].ideal.wsr_ideal_bps_hz);
        }
    }
    lab_scenes_destroy(&scenes);
}

static void families_that_are_not_known_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const texts[] = {"papr:1", "paper:0", "paper:-1", "paper:x", "", "paper,,"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        beam_error err;
        const lab_scenes_options options = {.groups = 1, .families = texts[i]};
        assert_null(lab_scenes_create(&options, &err));
        assert_string_equal(err.field, "families");
    }
}

/* Ten scenes of two shapes in a new folder. */
static void record(char *folder)
{
    strcpy(folder, "train-scenes-XXXXXX");
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 10; i++) {
        char path[96];
        beam_error err;
        lab_generate_options o = lab_generate_options_default();
        o.seed = (uint64_t)i;
        o.antennas = i % 2 ? 5 : 32;
        lab_scene *scene = lab_generate_scene(&o, &err);
        snprintf(path, sizeof path, "%s/%d.json", folder, i);
        test_must(lab_scene_write(scene, path, &err), &err, path);
        lab_scene_destroy(&scene);
    }
}

static void forget(const char *folder)
{
    for (int i = 0; i < 10; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/%d.json", folder, i);
        unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void recorded_scenes_are_grouped_by_shape_and_some_held_out(void **state)
{
    (void)state;
    char folder[64];
    record(folder);
    beam_error err;
    lab_scenes_options options = {.groups = 99, .folder = folder, .held_out = true};
    lab_scenes *scenes = lab_scenes_create(&options, &err);
    assert_non_null(scenes);
    assert_int_equal(lab_scenes_groups(scenes), 2);
    assert_int_equal(lab_scenes_held_out(scenes, 0), 1);
    lab_scene *held = lab_scenes_held_out_scene(scenes, 0, 0, &err);
    assert_int_equal(held->scene.dims.antennas, 5); /* 7.json */
    const lab_group *a = get_group(scenes, 0), *b = get_group(scenes, 1);
    assert_int_equal(a->samples[0].frames[0].problem.N + b->samples[0].frames[0].problem.N, 37);
    lab_scene_destroy(&held);
    lab_scenes_destroy(&scenes);
    forget(folder);
    options.folder = "no-such-folder";
    assert_null(lab_scenes_create(&options, &err));
}

/* The steering vectors lie in both spans, and the targets of recorded scenes stay. */
static void turning_changes_coordinates_not_beams(void **state)
{
    (void)state;
    char folder[64];
    record(folder);
    beam_error err;
    const lab_scenes_options options = {.groups = 99, .folder = folder};
    lab_scenes *scenes = lab_scenes_create(&options, &err);
    assert_non_null(scenes);
    int turned = 0;
    for (int i = 0; i < lab_scenes_groups(scenes); i++) {
        const lab_sample *s = &get_group(scenes, i)->samples[1];
        const beam_problem *p = &s->frames[0].problem, *q = &s->frames[1].problem;
        const size_t stride = (size_t)p->stride, bytes = point_size(p) * sizeof(double);
        double *x = test_memory(bytes), *y = test_memory(bytes);
        for (int l = 0; l < p->L; l++) {
            for (int row = p->first[l]; row < p->first[l + 1]; row++) {
                const size_t from = (size_t)(l * 2 * p->J + (row - p->first[l])) * stride;
                memcpy(x + (size_t)row * stride, p->tx + from, stride * sizeof *x);
            }
        }
        lab_sample_turn(s, x, y);
        for (int l = 0; l < p->L; l++) {
            for (int row = p->first[l]; row < p->first[l + 1]; row++) {
                const size_t to = (size_t)(l * 2 * p->J + (row - p->first[l])) * stride;
                for (size_t k = 0; k < stride; k++) {
                    assert_true(fabs(y[(size_t)row * stride + k] - q->tx[to + k]) < 1e-9);
                }
            }
        }
        turned += s->turn != NULL;
        free(x);
        free(y);
    }
    assert_int_equal(turned, 1);
    lab_scenes_destroy(&scenes);
    forget(folder);
}

/* --- Training --------------------------------------------------------------------------------- */

static lab_train_settings tiny(void)
{
    lab_train_settings o = lab_train_settings_default();
    o.arch.layers = 3;
    o.arch.width = 8;
    o.steps = 40;
    o.warm_up = 5;
    o.batch = 5;
    o.groups = 3;
    strcpy(o.families, "paper:2,sizes:1");
    return o;
}

/* Steps until `to`; returns the mean loss. */
static double train(const lab_train_settings *o, lab_train_state *state, int64_t to, int threads)
{
    beam_error err;
    lab_scenes *scenes = make_scenes(o->families, o->data_seed, o->groups);
    lab_train *self = lab_train_create(o, scenes, state, threads, &err);
    assert_non_null(self);
    double loss = 0;
    const int64_t first = state->step;
    while (state->step < to) {
        lab_train_report report;
        test_must(lab_train_step(self, &report, &err), &err, "step");
        assert_true(isfinite(report.loss) && isfinite(report.gradient));
        assert_int_equal(report.samples, o->batch * BEAM_LANES);
        loss += report.loss;
    }
    lab_train_destroy(&self);
    lab_scenes_destroy(&scenes);
    return loss / (double)(to - first);
}

static void fresh(const lab_train_settings *o, lab_train_state *state)
{
    beam_error err;
    test_must(lab_train_state_create(state, &o->arch, &err), &err, "state");
    lab_train_initialise(o, state);
}

static void assert_same_state(const lab_train_state *a, const lab_train_state *b)
{
    const size_t size = a->parameters * sizeof *a->theta;
    assert_true(a->step == b->step && a->samples == b->samples);
    assert_memory_equal(a->theta, b->theta, size);
    assert_memory_equal(a->m, b->m, size);
    assert_memory_equal(a->v, b->v, size);
    assert_memory_equal(a->mean, b->mean, size);
}

static const char checkpoint_path[] = "test_train.checkpoint";

static void threads_and_interruptions_do_not_change_a_bit(void **state)
{
    (void)state;
    const lab_train_settings o = tiny();
    lab_train_settings stored;
    lab_train_state straight, stopped, resumed;
    beam_error err;
    fresh(&o, &straight);
    (void)train(&o, &straight, 40, 1);
    fresh(&o, &stopped);
    (void)train(&o, &stopped, 20, 2);
    test_must(lab_checkpoint_write(checkpoint_path, &o, &stopped, &err), &err, "write");
    test_must(lab_checkpoint_read(checkpoint_path, &stored, &resumed, &err), &err, "read");
    assert_memory_equal(&o, &stored, sizeof o);
    assert_same_state(&stopped, &resumed);
    (void)train(&stored, &resumed, 40, 2);
    assert_same_state(&straight, &resumed);
    /* and the weights did move */
    assert_true(memcmp(straight.theta, stopped.theta, straight.parameters * sizeof(float)) != 0);
    lab_train_state_clear(&straight);
    lab_train_state_clear(&stopped);
    lab_train_state_clear(&resumed);
    unlink(checkpoint_path);
}

static void training_lowers_the_loss(void **state)
{
    (void)state;
    lab_train_settings o = tiny();
    o.rate = 1e-2;
    o.steps = 200;
    o.groups = 2;
    strcpy(o.families, "paper");
    lab_train_state s;
    fresh(&o, &s);
    const double before = train(&o, &s, 10, 2);
    (void)train(&o, &s, 190, 2);
    const double after = train(&o, &s, 200, 2);
    if (!(after < 0.6 * before)) {
        fail_msg("loss %g at the start, %g at the end", before, after);
    }
    lab_train_state_clear(&s);
}

/* A scene that is no numbers costs the blocks that hold it, not the batches. */
static void a_bad_scene_costs_its_blocks_only(void **state)
{
    (void)state;
    const lab_train_settings o = tiny();
    beam_error err;
    lab_train_state s;
    fresh(&o, &s);
    lab_scenes *scenes = make_scenes("paper", o.data_seed, o.groups);
    lab_sample *bad = &get_group(scenes, 0)->samples[3];
    bad->frames[0].problem.h[0] = bad->frames[1].problem.h[0] = NAN;
    lab_train *self = lab_train_create(&o, scenes, &s, 2, &err);
    assert_non_null(self);
    int lost = 0, blocks = 0;
    for (int step = 0; step < 20; step++) {
        lab_train_report report;
        test_must(lab_train_step(self, &report, &err), &err, "step");
        assert_true(isfinite(report.gradient));
        lost += report.lost;
        blocks += o.batch;
    }
    assert_true(lost > 0 && lost < blocks);
    for (size_t i = 0; i < s.parameters; i++) {
        assert_true(isfinite(s.theta[i]));
    }
    lab_train_destroy(&self);
    lab_scenes_destroy(&scenes);
    lab_train_state_clear(&s);
}

static void damage(long at, int cut, const char *field)
{
    const lab_train_settings o = tiny();
    lab_train_settings stored;
    lab_train_state s;
    beam_error err;
    fresh(&o, &s);
    test_must(lab_checkpoint_write(checkpoint_path, &o, &s, &err), &err, "write");
    lab_train_state_clear(&s);
    FILE *file = fopen(checkpoint_path, "r+b");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    at = at < 0 ? size + at : at;
    fseek(file, at, SEEK_SET);
    const int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 0x10, file);
    fclose(file);
    if (cut > 0) {
        assert_int_equal(truncate(checkpoint_path, size - cut), 0);
    }
    assert_int_not_equal(lab_checkpoint_read(checkpoint_path, &stored, &s, &err), BEAM_OK);
    assert_string_equal(err.field, field);
    assert_true(err.text[0] != '\0');
    assert_null(s.memory);
    unlink(checkpoint_path);
}

/* With a sum that fits: settings that nobody could have given. */
static void forge(const lab_train_settings *forged)
{
    const lab_train_settings o = tiny();
    lab_train_settings stored;
    lab_train_state s;
    beam_error err;
    fresh(&o, &s);
    test_must(lab_checkpoint_write(checkpoint_path, forged, &s, &err), &err, "write");
    lab_train_state_clear(&s);
    assert_int_equal(lab_checkpoint_read(checkpoint_path, &stored, &s, &err), BEAM_E_INVALID);
    assert_string_equal(err.field, "settings");
    assert_null(s.memory);
    unlink(checkpoint_path);
}

static void forged_checkpoints_are_refused(void **state)
{
    (void)state;
    lab_train_settings o = tiny();
    memset(o.folder, 'x', sizeof o.folder); /* no end */
    forge(&o);
    o = tiny();
    o.batch = 0;
    forge(&o);
    o = tiny();
    o.loss.lower_steps = 1 << 20;
    forge(&o);
    beam_error err;
    lab_train_state s;
    assert_int_equal(lab_checkpoint_read(".", &o, &s, &err), BEAM_E_INVALID);
    assert_string_equal(err.text, "is no regular file");
}

static void damaged_checkpoints_are_refused_with_the_reason(void **state)
{
    (void)state;
    damage(0, 0, "magic");
    damage(8, 0, "version");
    damage(12, 0, "version"); /* another layout of the settings */
    damage(16, 0, "size");
    damage(100, 0, "checksum");   /* settings */
    damage(-1000, 0, "checksum"); /* weights */
    damage(-1, 0, "checksum");    /* the checksum itself */
    damage(100, 1, "size");       /* cut */
    lab_train_settings stored;
    lab_train_state s;
    beam_error err;
    assert_int_not_equal(lab_checkpoint_read("no-such-checkpoint", &stored, &s, &err), BEAM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_gradient_is_that_of_differences),
        cmocka_unit_test(loss_prefers_what_the_preference_says),
        cmocka_unit_test(hostile_points_give_a_finite_loss_and_no_gradient),
        cmocka_unit_test(adam_takes_the_steps_of_its_formulas),
        cmocka_unit_test(adam_shortens_long_gradients_and_leaves_out_bad_ones),
        cmocka_unit_test(rate_warms_up_and_cools_down),
        cmocka_unit_test(scenes_depend_on_seed_and_index_alone),
        cmocka_unit_test(groups_have_one_shape_and_useful_scenes),
        cmocka_unit_test(families_that_are_not_known_are_refused_by_name),
        cmocka_unit_test(recorded_scenes_are_grouped_by_shape_and_some_held_out),
        cmocka_unit_test(turning_changes_coordinates_not_beams),
        cmocka_unit_test(threads_and_interruptions_do_not_change_a_bit),
        cmocka_unit_test(training_lowers_the_loss),
        cmocka_unit_test(a_bad_scene_costs_its_blocks_only),
        cmocka_unit_test(damaged_checkpoints_are_refused_with_the_reason),
        cmocka_unit_test(forged_checkpoints_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
