/* Times: batches on the device, and the engine on the CPU in the same run, in turn. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"

enum { REPEATS_MOST = 4000, REPEATS_LEAST = 5 };

/* --- The device ------------------------------------------------------------------------------- */

typedef struct load {
    int count;
    beam_gpu_request *requests;
    beam_gpu_answer *answers;
} load;

static load load_new(const check_work *work, int count)
{
    load l = {.count = count,
              .requests = test_memory((size_t)count * sizeof *l.requests),
              .answers = test_memory((size_t)count * sizeof *l.answers)};
    for (int i = 0; i < count; i++) {
        const int k = i % work->scenes;
        const check_scene *c = &work->scene[k];
        l.requests[i] = (beam_gpu_request){
            .cluster = k, .scene = c->scene, .ideal = c->ideal, .tradeoff = check_tradeoff(i)};
        l.answers[i] = (beam_gpu_answer){.out = test_design_new(&c->scene->dims, -1)};
    }
    return l;
}

static void load_free(load *l)
{
    for (int i = 0; i < l->count; i++) {
        test_design_free(l->answers[i].out);
    }
    free(l->requests);
    free(l->answers);
}

/* Other trade-offs every time: nothing is answered from a cache that a real stream would not hit.
 */
static void turn(load *l, int round)
{
    for (int i = 0; i < l->count; i++) {
        l->requests[i].tradeoff = check_tradeoff(i + 13 * round);
    }
}

/* target_us: of the whole batch; 0: none. */
static void time_batch(check_work *work, load *l, double target_us)
{
    double *device_ms = test_memory(REPEATS_MOST * sizeof *device_ms),
           *wall_ms = test_memory(REPEATS_MOST * sizeof *wall_ms);
    beam_gpu_info info = {0};
    beam_gpu_error err = {0};
    int rounds = 0;
    check_run(work, l->count, l->requests, l->answers);
    const double end = check_now_s() + work->options->seconds;
    while (rounds < REPEATS_LEAST || (rounds < REPEATS_MOST && check_now_s() < end)) {
        turn(l, rounds);
        const double start = check_now_s();
        check_run(work, l->count, l->requests, l->answers);
        wall_ms[rounds] = 1e3 * (check_now_s() - start);
        if (beam_gpu_info_of(work->gpu, &info, &err)) {
            check_give_up("info", &err);
        }
        device_ms[rounds++] = info.last_batch_ms;
    }
    const double device = check_quantile(device_ms, rounds, 0.5);
    printf("{\"stage\":\"bench\",\"where\":\"device\",\"size\":\"%s\",\"perceptron\":\"%s\","
           "\"batch\":%d,\"rounds\":%d,"
           "\"device_ms\":%.5f,\"device_ms_p99\":%.5f,\"end_to_end_ms\":%.5f,"
           "\"end_to_end_ms_p99\":%.5f,\"solutions_per_s\":%.5g,\"target_us\":%g}\n",
           work->size->name, work->options->perceptron_name, l->count, rounds, device,
           check_quantile(device_ms, rounds, 0.99), check_quantile(wall_ms, rounds, 0.5),
           check_quantile(wall_ms, rounds, 0.99), 1e3 * l->count / device, target_us);
    (void)fflush(stdout);
    free(device_ms);
    free(wall_ms);
}

/* As many batches in flight as there are slots: packing, transfers and kernels beside each other,
 * one thread of the host. */
static void time_stream(check_work *work, load *l)
{
    int slots[BEAM_GPU_SLOTS_MAX], in_flight = 0, rounds = 0, taken = 0;
    beam_gpu_error err = {0};
    const double start = check_now_s(), end = start + work->options->seconds;
    while (in_flight > 0 || check_now_s() < end) {
        if (in_flight < BEAM_GPU_SLOTS_MAX && check_now_s() < end) {
            turn(l, rounds);
            if (beam_gpu_submit(work->gpu, l->count, l->requests,
                                &slots[rounds % BEAM_GPU_SLOTS_MAX], &err)) {
                check_give_up("submit", &err);
            }
            rounds++;
            in_flight++;
        } else if (beam_gpu_collect(work->gpu, slots[taken % BEAM_GPU_SLOTS_MAX], 1, l->answers,
                                    &err)) {
            check_give_up("collect", &err);
        } else {
            taken++;
            in_flight--;
        }
    }
    const double took = check_now_s() - start;
    printf("{\"stage\":\"bench\",\"where\":\"stream\",\"size\":\"%s\",\"perceptron\":\"%s\","
           "\"batch\":%d,\"rounds\":%d,"
           "\"slots\":%d,\"solutions_per_s\":%.5g}\n",
           work->size->name, work->options->perceptron_name, l->count, taken, BEAM_GPU_SLOTS_MAX,
           (double)taken * l->count / took);
    (void)fflush(stdout);
}

/* --- The CPU ---------------------------------------------------------------------------------- */

typedef struct cpu {
    check_work *work;
    int threads, batch;
    double end_s;
    atomic_long solutions;
    beam_design **out; /* [scenes] */
} cpu;

/* A thread has its share of the scenes: load, then the network and its check, as the device does.
 */
static void run_share(void *arg, int thread, int share)
{
    cpu *c = arg;
    check_work *work = c->work;
    beam_network_request requests[CHECK_CPU_BATCH];
    beam_result results[CHECK_CPU_BATCH];
    beam_error err = {0};
    const int own = work->scenes / c->threads, first = share * own;
    const int batch = own < c->batch ? own : c->batch;
    (void)thread; /* of the crew; a share's objects are its own */
    for (int round = 0; check_now_s() < c->end_s; round++) {
        for (int i = 0; i < batch; i++) {
            const int k = first + (round * batch + i) % own;
            const check_scene *s = &work->scene[k];
            test_must(beam_solver_load(s->solver, s->scene, &err), &err, "load");
            requests[i] = (beam_network_request){.solver = s->solver,
                                                 .tradeoff = check_tradeoff(i + 13 * round),
                                                 .out = c->out[k],
                                                 .result = &results[i]};
        }
        const beam_code code =
            beam_inference_run(work->thread[share].inference, work->model, batch, requests, &err);
        if (code != BEAM_E_NUMERIC) {
            test_must(code, &err, "inference");
        }
        atomic_fetch_add(&c->solutions, batch);
    }
}

static void time_cpu(check_work *work, int threads, beam_design **out)
{
    cpu c = {.work = work, .threads = threads, .batch = CHECK_CPU_BATCH, .out = out};
    const double start = check_now_s();
    c.end_s = start + work->options->seconds;
    check_parallel(threads, threads, run_share, &c);
    const double took = check_now_s() - start;
    printf("{\"stage\":\"bench\",\"where\":\"cpu\",\"size\":\"%s\",\"threads\":%d,\"batch\":%d,"
           "\"solutions_per_s\":%.5g}\n",
           work->size->name, threads, CHECK_CPU_BATCH, (double)atomic_load(&c.solutions) / took);
    (void)fflush(stdout);
}

/* --- All -------------------------------------------------------------------------------------- */

static void time_cpus(check_work *work, beam_design **out)
{
    time_cpu(work, 1, out);
    if (work->threads > 1) {
        time_cpu(work, work->threads, out);
    }
}

void check_bench(check_work *work)
{
    beam_design **out = test_memory((size_t)work->scenes * sizeof *out);
    for (int k = 0; k < work->scenes; k++) {
        out[k] = test_design_new(&work->size->dims, -1);
    }
    if (work->options->cpu) {
        time_cpus(work, out);
    }
    for (int b = 0; b < CHECK_BATCHES && work->size->batches[b] > 0; b++) {
        const int count = work->size->batches[b];
        if (count > work->batch) {
            continue;
        }
        load l = load_new(work, count);
        const bool last = b + 1 == CHECK_BATCHES || work->size->batches[b + 1] == 0;
        time_batch(work, &l, last ? work->size->target_us : 0);
        if (count >= 1024) {
            time_stream(work, &l);
        }
        load_free(&l);
    }
    if (work->options->cpu) { /* before and after: what else the machine did shows */
        time_cpus(work, out);
    }
    for (int k = 0; k < work->scenes; k++) {
        test_design_free(out[k]);
    }
    free(out);
}
