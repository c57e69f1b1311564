/* gpu/mlp.cu itself, compiled for the host: whole batches through its kernels and products, in
 * chunks, with both sets of weights and slots, against the same functions called one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cublas_v2.h"
#include "device/device.cuh"
#include "device/mlp.cuh"
#include "gpu/case.h"
#include "mlp_host.h"
#include "mlp_plan.h"
#include "network/model.h"

enum { CASES = 24, LAYERS = 3, MOST = 5000, COUNT = 4219, CHUNK = 4096, FAST = 6 << 10 };
/* Neighbours of the CASES: not the model's size, and all users at one station. */
enum { OTHER_SIZE = CASES, UNEVEN = CASES + 1, ALL = CASES + 2 };

typedef struct fixture {
    test_gpu_case *c[ALL];
    beam_model_info info;
    beam_gpu_mlp_plan plan;
    float *theta[2];
    beam_c32 *want[2][CASES]; /* beams with either set of weights */
    unsigned char *in, *clusters;
    size_t cluster_apart;
    test_mlp_host *host;
} fixture;

/* --- What each problem should give -------------------------------------------------------------
 */

static void product(int outputs, int inputs, const float *weight, const float *x, float *y)
{
    for (int o = 0; o < outputs; o++) {
        y[o] = 0;
        for (int k = 0; k < inputs; k++) {
            y[o] += weight[(size_t)(o * inputs + k)] * x[k];
        }
    }
}

static beam_c32 *expected(const fixture *f, const float *weights, test_gpu_case *c)
{
    const beam_team t = {.lane = 0, .lanes = 1, .shared = NULL};
    const beam_gpu_mlp_plan *m = &f->plan;
    const size_t real = sizeof(float);
    float *x = test_memory((size_t)m->inputs * real), *h1 = test_memory((size_t)m->hidden * real),
          *h2 = test_memory((size_t)m->hidden * real),
          *out = test_memory((size_t)m->outputs * real);
    beam_c32 *beams = test_memory((size_t)(c->plan.s.rows * m->N) * sizeof *beams);
    beam_gpu_mlp_begin(&t, &c->problem, m, x);
    for (int y = 0; y < m->layers; y++, weights += m->layer) {
        product(m->hidden, m->inputs, weights + m->w1, x, h1);
        beam_gpu_mlp_hidden(&t, m, weights + m->b1, h1);
        product(m->hidden, m->hidden, weights + m->w2, h1, h2);
        beam_gpu_mlp_hidden(&t, m, weights + m->b2, h2);
        product(m->outputs, m->hidden, weights + m->w3, h2, out);
        beam_gpu_mlp_step(&t, beam_gpu_head(&c->problem), m, y, weights, out, x);
    }
    beam_gpu_mlp_beams(&t, &c->problem, m, x, beams);
    free(x);
    free(h1);
    free(h2);
    free(out);
    return beams;
}

/* --- The batch ---------------------------------------------------------------------------------
 */

static const beam_dims paper = {.stations = 3, .antennas = 5, .users = 3, .targets = 2};

static void add_case(fixture *f, test_random *random, int i)
{
    beam_dims d = paper;
    d.targets += i == OTHER_SIZE;
    beam_scene *s = test_random_scene(random, &d, 0.1);
    for (int u = 0; u < d.users; u++) {
        s->user_station[u] = i == UNEVEN ? 0 : (u + i) % d.stations;
    }
    test_gpu_case *c = f->c[i] = test_gpu_case_new(s, NULL, NULL, FAST);
    beam_design *warm = i % 3 == 2 ? test_random_design(random, s, c->plan.s.r) : NULL;
    test_gpu_case_request(c, test_random_uniform(random), warm, warm ? 1 : 0,
                          i % 3 == 1 ? 2 : LAYERS);
    test_design_free(warm);
}

static size_t pad(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

/* Which case request i of the batch is of. */
static int case_of(int i)
{
    return i % 97 == 50 ? OTHER_SIZE : i % 97 == 51 ? UNEVEN : i % CASES;
}

/* Head, entries, a plan and a request per case, which many entries name. */
static void pack_batch(fixture *f, int count)
{
    size_t at = pad(sizeof(beam_gpu_batch_head) + MOST * sizeof(beam_gpu_batch_entry));
    size_t plan_at[ALL], request_at[ALL];
    for (int i = 0; i < ALL; i++) {
        plan_at[i] = at;
        request_at[i] = at + pad(sizeof(beam_gpu_plan));
        at = request_at[i] + pad((size_t)f->c[i]->plan.request.bytes);
        const size_t bytes = (size_t)f->c[i]->plan.cluster.bytes;
        f->cluster_apart = bytes > f->cluster_apart ? bytes : f->cluster_apart;
    }
    f->in = test_memory(at);
    f->clusters = test_memory(ALL * f->cluster_apart);
    memset(f->in, 0xff, at);
    *(beam_gpu_batch_head *)(void *)f->in = (beam_gpu_batch_head){.count = count};
    beam_gpu_batch_entry *entry =
        (beam_gpu_batch_entry *)(void *)(f->in + sizeof(beam_gpu_batch_head));
    for (int i = 0; i < count; i++) {
        const int k = case_of(i);
        entry[i] =
            (beam_gpu_batch_entry){.plan = plan_at[k], .request = request_at[k], .cluster = k};
    }
    for (int i = 0; i < ALL; i++) {
        memcpy(f->in + plan_at[i], &f->c[i]->plan, sizeof(beam_gpu_plan));
        memcpy(f->in + request_at[i], f->c[i]->problem.request,
               (size_t)f->c[i]->plan.request.bytes);
        memcpy(f->clusters + (size_t)i * f->cluster_apart, f->c[i]->problem.cluster,
               (size_t)f->c[i]->plan.cluster.bytes);
    }
}

static int set_up(void **state)
{
    fixture *f = test_memory(sizeof *f);
    test_random random = test_random_new(11);
    beam_error err = {0};
    char trouble[512] = "";
    memset(f, 0, sizeof *f);
    for (int i = 0; i < ALL; i++) {
        add_case(f, &random, i);
    }
    f->info = (beam_model_info){.kind = BEAM_MODEL_MLP,
                                .layers = LAYERS,
                                .width = 9,
                                .stations = paper.stations,
                                .antennas = paper.antennas,
                                .users = paper.users,
                                .targets = paper.targets,
                                .sensing_rows = f->c[0]->plan.s.r};
    const beam_net_arch arch = beam_model_arch(&f->info);
    f->info.parameters = beam_net_parameters(&arch);
    test_must(beam_gpu_mlp_plan_make(&f->plan, &f->info, &err), &err, "plan");
    float *weights = test_memory((size_t)(f->plan.layer * LAYERS) * sizeof *weights);
    for (int set = 0; set < 2; set++) {
        f->theta[set] = test_memory(f->info.parameters * sizeof(float));
        for (size_t i = 0; i < f->info.parameters; i++) {
            f->theta[set][i] = (float)(0.1 * test_random_normal(&random));
        }
        beam_gpu_mlp_pack(&f->plan, f->theta[set], weights);
        for (int i = 0; i < CASES; i++) {
            f->want[set][i] = expected(f, weights, f->c[i]);
        }
    }
    free(weights);
    pack_batch(f, COUNT);
    f->host = test_mlp_host_new(&f->info, MOST, 2, trouble, sizeof trouble);
    assert_string_equal(trouble, "");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < ALL; i++) {
        test_gpu_case_free(f->c[i]);
    }
    for (int set = 0; set < 2; set++) {
        for (int i = 0; i < CASES; i++) {
            free(f->want[set][i]);
        }
        free(f->theta[set]);
    }
    test_mlp_host_free(f->host);
    assert_int_equal(test_cublas.handles, 0);
    free(f->in);
    free(f->clusters);
    free(f);
    return 0;
}

/* --- Tests -------------------------------------------------------------------------------------
 */

static const beam_c32 *run(const fixture *f, int slot, int set, int most, size_t *apart)
{
    char trouble[512] = "";
    const beam_gpu_plan *plan = &f->c[OTHER_SIZE]->plan; /* the largest */
    const beam_gpu_batch_memory memory = {
        .clusters = f->clusters, .cluster_apart = f->cluster_apart, .in = f->in};
    const beam_c32 *beams =
        test_mlp_host_run(f->host, slot, set, FAST, (size_t)plan->work.slow_bytes, &memory, most,
                          apart, trouble, sizeof trouble);
    assert_string_equal(trouble, "");
    return beams;
}

/* The largest distance to what is expected, over the length. */
static double apart_from(const fixture *f, int set, int count, const beam_c32 *beams, size_t apart)
{
    const int entries = f->c[0]->plan.s.rows * f->plan.N;
    double worst = 0;
    assert_true(apart >= (size_t)entries);
    for (int i = 0; i < count; i++, beams += apart) {
        double gap = 0, size = 0;
        for (int k = 0; k < entries; k++) {
            if (case_of(i) >= CASES) {
                assert_true(isinf(beams[k].re) && isinf(beams[k].im));
                continue;
            }
            const beam_c32 want = f->want[set][case_of(i)][k];
            gap += hypot((double)(beams[k].re - want.re), (double)(beams[k].im - want.im));
            size += hypot((double)want.re, (double)want.im);
        }
        const double distance = size > 0 ? gap / size : gap;
        worst = distance <= worst ? worst : distance;
    }
    return worst;
}

static void batches(void **state)
{
    fixture *f = *state;
    size_t apart = 0;
    test_mlp_host_weights(f->host, 0, f->theta[0]);
    test_mlp_host_weights(f->host, 1, f->theta[1]);
    for (int i = 0; i < 4; i++) {
        const int slot = i % 2, set = i / 2;
        const int before = test_cublas.products;
        const beam_c32 *beams = run(f, slot, set, MOST, &apart);
        const double worst = apart_from(f, set, COUNT, beams, apart);
        print_message("slot %d, weights %d: %d problems within %.1e\n", slot, set, COUNT, worst);
        assert_true(worst <= 1e-5);
        assert_int_equal(test_cublas.products - before, 2 * 3 * LAYERS); /* two chunks */
    }
    assert_int_equal(test_cublas.columns_most, CHUNK);
    assert_true(apart_from(f, 1, COUNT, run(f, 0, 0, MOST, &apart), apart) > 1e-3);
}

/* Every bucket, full and with one problem in it. */
static void buckets(void **state)
{
    fixture *f = *state;
    beam_gpu_batch_head *head = (beam_gpu_batch_head *)(void *)f->in;
    size_t apart = 0;
    test_mlp_host_weights(f->host, 0, f->theta[0]);
    for (int most = 1; most <= 64; most *= 2) {
        for (head->count = 1; head->count <= most; head->count += most > 1 ? most - 1 : 1) {
            const beam_c32 *beams = run(f, 0, 0, most, &apart);
            assert_true(apart_from(f, 0, head->count, beams, apart) <= 1e-5);
        }
    }
    head->count = 0; /* a warm-up */
    (void)run(f, 1, 0, 8, &apart);
    head->count = COUNT;
}

static void refusals(void **state)
{
    fixture *f = *state;
    char trouble[512] = "";
    beam_model_info info = f->info;
    info.sensing_rows--;
    const beam_net_arch arch = beam_model_arch(&info);
    info.parameters = beam_net_parameters(&arch);
    assert_null(test_mlp_host_new(&info, 8, 1, trouble, sizeof trouble));
    assert_non_null(strstr(trouble, "sensing rows"));
    info = f->info;
    info.parameters--;
    assert_null(test_mlp_host_new(&info, 8, 1, trouble, sizeof trouble));
    assert_non_null(strstr(trouble, "parameters"));

    test_cublas.fail_create = 1;
    assert_null(test_mlp_host_new(&f->info, 8, 1, trouble, sizeof trouble));
    assert_string_equal(trouble, "cublasCreate: the library was not initialized");
    test_cublas.fail_create = 0;
    test_cublas.fail_at = test_cublas.products + 1;
    assert_null(test_mlp_host_new(&f->info, 8, 1, trouble, sizeof trouble));
    assert_string_equal(trouble, "cublasSgemm: the program failed to execute");

    size_t apart = 0;
    const beam_gpu_batch_memory memory = {
        .clusters = f->clusters, .cluster_apart = f->cluster_apart, .in = f->in};
    test_cublas.fail_at = test_cublas.products + 5;
    trouble[0] = '\0';
    assert_null(test_mlp_host_run(f->host, 0, 0, FAST,
                                  (size_t)f->c[OTHER_SIZE]->plan.work.slow_bytes, &memory, 64,
                                  &apart, trouble, sizeof trouble));
    assert_string_equal(trouble, "cublasSgemm: the program failed to execute");
    test_cublas.fail_at = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches),
        cmocka_unit_test(buckets),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
