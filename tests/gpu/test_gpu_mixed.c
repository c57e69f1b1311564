/* Batches of problems of different sizes, as kernels run them, on emulated teams: the same bits as
 * each problem alone. Memory is as large as the library says and no larger, for the sanitizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "batch.h"
#include "common/untrained.h"
#include "device/device.cuh"
#include "device/answers.cuh"
#include "device/refine.cuh"
#include "gpu/case.h"
#include "network/model.h"

enum { EVERYTHING_FAST = 1 << 30, MIXED_MAX = 16, TEAMS = 3, LAYERS = 4, WIDTH = 16 };

/* A batch and the same problems alone. */
typedef struct mixture {
    int count, lanes, team;
    test_lane_order order;
    test_gpu_case *alone[MIXED_MAX];
    beam_design *warm[MIXED_MAX]; /* NULL: cold */
    beam_gpu_request request[MIXED_MAX];
    beam_gpu_batches batches;
    beam_gpu_batch_memory memory;
    beam_gpu_batch_size size;
    unsigned char *clusters, *in, *out, *fast, *slow;
    beam_gpu_plan near[TEAMS];
    beam_gpu_refine_plan near_steps[TEAMS];
} mixture;

static void *poisoned(size_t bytes)
{
    return memset(test_memory(bytes > 0 ? bytes : 1), 0xff, bytes);
}

static void must(beam_gpu_code code, const beam_gpu_error *err)
{
    if (code) {
        fail_msg("%d: %s", (int)code, err->text);
    }
}

/* --- One after another -------------------------------------------------------------------------
 */

static void set_cluster(mixture *m, int i)
{
    beam_gpu_error err = {0};
    beam_gpu_cluster_note note;
    size_t bytes = 0;
    const test_gpu_case *c = m->alone[i];
    beam_design *sensing = test_design_new(&c->scene->dims, -1);
    beam_problem_export(&c->solver->problem, c->solver->sensing, sensing);
    unsigned char *to = m->clusters + (size_t)i * m->batches.cluster_bytes;
    must(beam_gpu_batches_pack_cluster(&m->batches, i, c->scene, sensing, to, &bytes, &note, &err),
         &err);
    assert_true(bytes <= m->batches.cluster_bytes);
    beam_gpu_batches_know(&m->batches, i, &note);
    test_design_free(sensing);
}

/* Room for problems of `most`, with so many bytes of fast memory for a team. */
static void make_room(mixture *m, const beam_dims *most, const beam_model *model, int fast_limit)
{
    beam_gpu_error err = {0};
    beam_gpu_batches *b = &m->batches;
    must(beam_gpu_batches_init(b, most, 0, model->info.layers, model->info.width, m->count,
                               m->count, fast_limit, &err),
         &err);
    m->clusters = poisoned(b->cluster_bytes * (size_t)m->count);
    m->in = poisoned(beam_gpu_batches_in_bytes(b, m->count));
    m->out = poisoned(beam_gpu_batches_out_bytes(b, m->count));
    m->fast = poisoned((size_t)b->fast_bytes);
    m->slow = poisoned(b->slow_bytes * TEAMS);
    m->memory = (beam_gpu_batch_memory){.clusters = m->clusters,
                                        .cluster_apart = b->cluster_bytes,
                                        .weights = m->alone[0]->weights,
                                        .in = m->in,
                                        .out = m->out,
                                        .slow = m->slow,
                                        .slow_apart = b->slow_bytes};
    for (int i = 0; i < m->count; i++) {
        set_cluster(m, i);
    }
}

static void free_room(mixture *m)
{
    beam_gpu_batches_free(&m->batches);
    free(m->clusters);
    free(m->in);
    free(m->out);
    free(m->fast);
    free(m->slow);
}

static void free_problems(mixture *m)
{
    for (int i = 0; i < m->count; i++) {
        test_gpu_case_free(m->alone[i]);
        if (m->warm[i]) {
            test_design_free(m->warm[i]);
        }
    }
}

static void add(mixture *m, test_random *random, beam_scene *scene, const beam_model *model)
{
    const int i = m->count++;
    const bool small = scene->dims.stations * scene->dims.antennas <= 32; /* sanitizers take long */
    m->alone[i] = test_gpu_case_new(scene, NULL, model, EVERYTHING_FAST);
    m->warm[i] = test_random_int(random, 0, 2) == 0
                     ? test_random_design(random, scene, m->alone[i]->plan.s.r)
                     : NULL;
    m->request[i] = (beam_gpu_request){.cluster = i,
                                       .scene = scene,
                                       .ideal = m->alone[i]->ideal,
                                       .tradeoff = test_random_uniform(random),
                                       .warm = m->warm[i],
                                       .layers = test_random_int(random, 0, LAYERS),
                                       .refine = small ? 4 * test_random_int(random, 0, 1) : 0};
}

static void work_team(const beam_team *t, void *arg)
{
    mixture *m = arg;
    unsigned char *slow = m->slow + (size_t)m->team * m->batches.slow_bytes;
    beam_gpu_answer_batch(t, &m->memory, m->team, TEAMS, &m->near[m->team], m->fast, slow);
    beam_gpu_refine_batch(t, &m->memory, m->team, TEAMS, &m->near[m->team], &m->near_steps[m->team],
                          m->fast, m->batches.fast_bytes, slow);
}

static void run(const mixture *m, test_team_work *work, void *arg)
{
    if (m->lanes == 1) {
        test_team_single(work, arg);
    } else {
        test_team_run(m->lanes, m->order, work, arg);
    }
}

static void run_batch(mixture *m)
{
    beam_gpu_error err = {0};
    must(beam_gpu_batches_check(&m->batches, m->count, m->request, &err), &err);
    m->size = beam_gpu_batches_pack(&m->batches, m->count, 0, m->request, m->in);
    assert_true(m->size.in_bytes <= beam_gpu_batches_in_bytes(&m->batches, m->count));
    assert_true(m->size.out_bytes <= beam_gpu_batches_out_bytes(&m->batches, m->count));
    memset(m->out, 0xff, m->size.out_bytes);
    for (m->team = 0; m->team < TEAMS; m->team++) {
        memset(m->near, 0xff, sizeof m->near);
        memset(m->near_steps, 0xff, sizeof m->near_steps);
        memset(m->fast, 0xff, (size_t)m->batches.fast_bytes);
        run(m, work_team, m);
    }
}

/* Request i in a batch of its own, in room for exactly its size, all of it fast. Through the same
 * function: a compiler may round another copy of the same source otherwise. */
static void run_alone(const mixture *of, int i, mixture *m, const beam_model *model)
{
    *m = (mixture){.count = 1, .lanes = of->lanes, .order = of->order};
    m->alone[0] = of->alone[i];
    m->request[0] = of->request[i];
    m->request[0].cluster = 0;
    make_room(m, &of->alone[i]->scene->dims, model, EVERYTHING_FAST);
    assert_false(m->batches.slow);
    run_batch(m);
}

/* Every answer of the batch against the problem alone, bit for bit. */
static void compare(mixture *m, const beam_model *model)
{
    beam_gpu_answer answers[MIXED_MAX];
    memset(answers, 0, sizeof answers);
    for (int i = 0; i < m->count; i++) {
        answers[i].out = test_design_new(&m->alone[i]->scene->dims, -1);
    }
    beam_gpu_batches_unpack(m->in, m->out, answers);
    for (int i = 0; i < m->count; i++) {
        const beam_dims *d = &m->alone[i]->scene->dims;
        const beam_gpu_batch_entry *entry = beam_gpu_batch_entry_of(&m->memory, i);
        beam_gpu_answer want = {.out = test_design_new(d, -1)};
        mixture alone;
        run_alone(m, i, &alone, model);
        assert_memory_equal(m->out + entry->answer, alone.out, alone.size.out_bytes);
        beam_gpu_batches_unpack(alone.in, alone.out, &want);
        assert_int_equal(answers[i].choice, want.choice);
        assert_true((answers[i].evaluations > 0) ==
                    (m->request[i].refine > 0 && want.choice != BEAM_GPU_CHOICE_NONE));
        assert_true(answers[i].wsr_worst_case_bps_hz == want.wsr_worst_case_bps_hz);
        assert_memory_equal(answers[i].out->beams, want.out->beams,
                            (size_t)(d->users * d->antennas) * sizeof *want.out->beams);
        free_room(&alone);
        test_design_free(want.out);
        test_design_free(answers[i].out);
    }
    beam_gpu_batches_end(&m->batches, m->in);
    for (int i = 0; i < m->count; i++) {
        assert_int_equal(m->batches.cluster[i].busy, 0);
    }
}

/* --- Mixtures ----------------------------------------------------------------------------------
 */

static beam_scene *random_scene(test_random *random, const beam_dims *most, int kind)
{
    beam_dims d = *most;
    d.users = kind == 0 ? 0 : kind == 1 ? most->users : test_random_int(random, 0, most->users);
    d.targets = kind == 1 ? most->targets : test_random_int(random, 1, most->targets);
    beam_scene *s = test_random_scene(random, &d, 0.1 * test_random_int(random, 0, 2));
    for (int u = 0; u < d.users; u++) {
        if (kind == 2) { /* all of them at one station */
            s->user_station[u] = d.stations - 1;
        }
    }
    return s;
}

/* Problems of many sizes; teams of one lane, 32 and 64; fast memory for all, for some, for none. */
static void mixed_sizes(void **state)
{
    static const int fast[] = {EVERYTHING_FAST, 24 << 10, 4 << 10, 0}, lanes[] = {1, 32, 64};
    const beam_dims most = {.stations = 3, .antennas = 5, .users = 7, .targets = 3};
    const beam_model *model = *state;
    for (int round = 0; round < 12; round++) {
        test_random random = test_random_new((uint64_t)(100 + round));
        mixture m = {.lanes = lanes[round % 3], .order = (test_lane_order)(round / 3 % 3)};
        while (m.count < 12) {
            add(&m, &random, random_scene(&random, &most, m.count), model);
        }
        make_room(&m, &most, model, fast[round % 4]);
        run_batch(&m);
        compare(&m, model);
        run_batch(&m); /* and again in the same memory */
        compare(&m, model);
        free_room(&m);
        free_problems(&m);
    }
}

/* Channels that are reduced (N = 64), a block of a device. */
static void wide(void **state)
{
    const beam_dims most = {.stations = 2, .antennas = 64, .users = 10, .targets = 2};
    const beam_model *model = *state;
    test_random random = test_random_new(5);
    mixture m = {.lanes = 64, .order = TEST_LANES_SHUFFLED};
    while (m.count < 4) {
        add(&m, &random, random_scene(&random, &most, m.count), model);
    }
    make_room(&m, &most, model, 100 << 10);
    run_batch(&m);
    compare(&m, model);
    free_room(&m);
    free_problems(&m);
}

/* As large as problems can be: beams given, their certificate. */
static void largest(void **state)
{
    const beam_dims most = {BEAM_MAX_STATIONS, BEAM_MAX_ANTENNAS, BEAM_MAX_USERS, BEAM_MAX_TARGETS};
    const beam_model *model = *state;
    test_random random = test_random_new(6);
    mixture m = {.lanes = 1};
    add(&m, &random, random_scene(&random, &most, 1), model);
    if (!m.warm[0]) {
        m.warm[0] = test_random_design(&random, m.alone[0]->scene, m.alone[0]->plan.s.r);
    }
    m.request[0].warm = m.warm[0];
    m.request[0].candidates = 1 << BEAM_GPU_CHOICE_WARM;
    make_room(&m, &most, model, 200 << 10);
    run_batch(&m);
    compare(&m, model);
    free_room(&m);
    free_problems(&m);
}

/* --- Room --------------------------------------------------------------------------------------
 */

/* Every smaller problem fits what was made for the largest. */
static void every_size_fits(void **state)
{
    static const beam_dims sizes[] = {
        {3, 5, 3, 2}, {2, 32, 30, 2}, {BEAM_MAX_STATIONS, 16, 40, BEAM_MAX_TARGETS}};
    static const int limits[] = {EVERYTHING_FAST, 225 << 10, 64 << 10, 30000, 0};
    (void)state;
    for (int k = 0; k < 15; k++) {
        const beam_dims *most = &sizes[k % 3];
        beam_gpu_batches b;
        beam_gpu_error err = {0};
        beam_error inner = {0};
        must(beam_gpu_batches_init(&b, most, 0, 16, 32, 1, 1, limits[k / 3], &err), &err);
        assert_true(b.fast_bytes <= limits[k / 3]);
        beam_dims d = *most;
        for (d.users = 0; d.users <= most->users; d.users++) {
            for (d.targets = 1; d.targets <= most->targets; d.targets++) {
                for (int each = 0; each <= d.users; each++) {
                    beam_gpu_plan p;
                    test_must(beam_gpu_plan_make(&p, &d, each, 16, 32, b.fast_bytes, &inner),
                              &inner, "plan");
                    assert_true(p.work.fast_bytes <= b.fast_bytes);
                    assert_true(b.slow || p.work.slow_bytes == 0);
                    assert_true((size_t)p.work.slow_bytes <= b.slow_bytes);
                    assert_true((size_t)p.cluster.bytes <= b.cluster_bytes);
                    assert_true(p.request.bytes <= b.largest.request.bytes);
                    assert_true(p.answer.bytes <= b.largest.answer.bytes);
                }
            }
        }
        beam_gpu_batches_free(&b);
    }
}

/* --- Refusals ----------------------------------------------------------------------------------
 */

static beam_gpu_code try_cluster(mixture *m, int index, const beam_dims *dims, int station)
{
    beam_gpu_error err = {0};
    beam_gpu_cluster_note note;
    size_t bytes = 0;
    test_random random = test_random_new(1);
    beam_scene *s = test_random_scene(&random, dims, 0.1);
    beam_design *sensing = test_design_new(dims, -1);
    unsigned char *to = poisoned(m->batches.cluster_bytes);
    for (int u = 0; u < dims->users; u++) {
        s->user_station[u] = station < 0 ? u % dims->stations : station;
    }
    const beam_gpu_code code =
        beam_gpu_batches_pack_cluster(&m->batches, index, s, sensing, to, &bytes, &note, &err);
    assert_true(code == BEAM_GPU_OK || (err.code == code && err.text[0]));
    free(to);
    test_design_free(sensing);
    test_scene_free(s);
    return code;
}

static void refused_clusters(void **state)
{
    const beam_dims most = {.stations = 3, .antennas = 4, .users = 6, .targets = 2};
    beam_gpu_error err = {0};
    mixture m = {.count = 2};
    (void)state;
    must(beam_gpu_batches_init(&m.batches, &most, 2, 4, 16, 2, 4, 0, &err), &err);
    assert_int_equal(try_cluster(&m, 0, &most, -1), BEAM_GPU_OK);
    assert_int_equal(try_cluster(&m, 0, &most, 0), BEAM_GPU_E_LIMIT);
    assert_int_equal(try_cluster(&m, 0, &(beam_dims){3, 4, 7, 2}, -1), BEAM_GPU_E_LIMIT);
    assert_int_equal(try_cluster(&m, 0, &(beam_dims){3, 4, 6, 3}, -1), BEAM_GPU_E_LIMIT);
    assert_int_equal(try_cluster(&m, 0, &(beam_dims){2, 4, 4, 2}, -1), BEAM_GPU_E_LIMIT);
    assert_int_equal(try_cluster(&m, 0, &(beam_dims){3, 5, 6, 2}, -1), BEAM_GPU_E_LIMIT);
    assert_int_equal(try_cluster(&m, -1, &most, -1), BEAM_GPU_E_INVALID);
    assert_int_equal(try_cluster(&m, 2, &most, -1), BEAM_GPU_E_INVALID);
    m.batches.cluster[1].busy = 1;
    assert_int_equal(try_cluster(&m, 1, &most, -1), BEAM_GPU_E_BUSY);
    assert_int_equal(try_cluster(&m, 0, &most, -1), BEAM_GPU_OK);
    beam_gpu_batches_free(&m.batches);
}

static void assert_refused(const mixture *m, const beam_gpu_request *r, const char *what)
{
    beam_gpu_error err = {0};
    const beam_gpu_request two[] = {m->request[0], *r};
    assert_int_equal(beam_gpu_batches_check(&m->batches, 2, two, &err), BEAM_GPU_E_INVALID);
    assert_non_null(strstr(err.text, what));
}

static void refused_requests(void **state)
{
    const beam_dims most = {.stations = 2, .antennas = 4, .users = 4, .targets = 2};
    const beam_dims sizes[] = {{2, 4, 2, 1}, {2, 4, 3, 1}, {2, 4, 2, 2}};
    test_random random = test_random_new(9);
    beam_gpu_error err = {0};
    mixture m = {.lanes = 1};
    for (int i = 0; i < 3; i++) {
        add(&m, &random, test_random_scene(&random, &sizes[i], 0.1), *state);
    }
    make_room(&m, &most, *state, 0);
    beam_design *warm = test_random_design(&random, m.alone[1]->scene, 1);
    beam_gpu_request r = m.request[0];
    r.cluster = 1;
    assert_refused(&m, &r, "requests[1].scene"); /* users */
    r.cluster = 2;
    assert_refused(&m, &r, "requests[1].scene"); /* targets */
    r.cluster = 3;
    assert_refused(&m, &r, "requests[1].cluster");
    m.batches.cluster[0].known = false;
    r = m.request[1];
    assert_int_equal(beam_gpu_batches_check(&m.batches, 1, &m.request[0], &err),
                     BEAM_GPU_E_INVALID);
    m.batches.cluster[0].known = true;
    r = m.request[0];
    r.warm = warm;
    assert_refused(&m, &r, "requests[1].warm");
    r = m.request[0];
    r.tradeoff = (double)NAN;
    assert_refused(&m, &r, "tradeoff");
    r = m.request[0];
    r.layers = LAYERS + 1;
    assert_refused(&m, &r, "layers");
    r = m.request[0];
    r.candidates = 2 * BEAM_GPU_SEARCH_CLASSICAL;
    assert_refused(&m, &r, "candidates");
    r = m.request[0];
    r.refine = BEAM_GPU_REFINE_MAX + 1;
    assert_refused(&m, &r, "refine");
    assert_int_equal(beam_gpu_batches_check(&m.batches, 4, m.request, &err), BEAM_GPU_E_LIMIT);
    assert_int_equal(beam_gpu_batches_check(&m.batches, 0, m.request, &err), BEAM_GPU_E_LIMIT);
    must(beam_gpu_batches_check(&m.batches, 3, m.request, &err), &err);
    test_design_free(warm);
    free_room(&m);
    free_problems(&m);
}

/* Requests that share a cluster: busy until the last of their batches has ended. */
static void busy_clusters(void **state)
{
    const beam_dims dims = {.stations = 2, .antennas = 4, .users = 2, .targets = 1};
    test_random random = test_random_new(10);
    mixture m = {.lanes = 1};
    for (int i = 0; i < 2; i++) {
        add(&m, &random, test_random_scene(&random, &dims, 0.1), *state);
    }
    make_room(&m, &dims, *state, 0);
    unsigned char *other = poisoned(beam_gpu_batches_in_bytes(&m.batches, 2));
    m.request[1].cluster = 0;
    (void)beam_gpu_batches_pack(&m.batches, 2, 0, m.request, m.in);
    (void)beam_gpu_batches_pack(&m.batches, 1, 0, m.request, other);
    assert_int_equal(m.batches.cluster[0].busy, 3);
    assert_int_equal(m.batches.cluster[1].busy, 0);
    beam_gpu_batches_end(&m.batches, m.in);
    assert_int_equal(m.batches.cluster[0].busy, 1);
    beam_gpu_batches_end(&m.batches, other);
    assert_int_equal(m.batches.cluster[0].busy, 0);
    free(other);
    free_room(&m);
    free_problems(&m);
}

int main(void)
{
    beam_model *model = test_model_new(LAYERS, WIDTH, TEST_WEIGHTS_FRESH, 3);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(mixed_sizes, model),
        cmocka_unit_test_prestate(wide, model),
        cmocka_unit_test_prestate(largest, model),
        cmocka_unit_test(every_size_fits),
        cmocka_unit_test(refused_clusters),
        cmocka_unit_test_prestate(refused_requests, model),
        cmocka_unit_test_prestate(busy_clusters, model),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_model_free(model);
    return failed;
}
