/* beamd with a GPU's worker that is made to fail in every way, under load: each request is answered
 * exactly once, none is late because of it, the beams are as good as ever, and the worker is back.
 * The worker's backend is the engine on the CPU; everything around it is what a device gets. */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/model.h"
#include "common/random.h"
#include "fault/traffic.h"

enum {
    DEADLINE_US = TEST_SANITIZED ? 400000 : 150000,
    ANSWER_MS = 20000,
    PAUSE_MS = 30, /* the machine stood still for so long: what is late then is nobody's fault */
    KILLS = 10
};
static const double rate_hz = TEST_SLOWED ? 4 : 20, run_s = TEST_SLOWED ? 4 : 2;

/* --- How long this machine stood still --- */

static atomic_bool watching;
static atomic_int pause_most_ms;

static void *watch_clock(void *arg)
{
    (void)arg;
    while (atomic_load(&watching)) {
        const double before_s = test_now_s();
        poll(NULL, 0, 1);
        const int pause_ms = (int)(1e3 * (test_now_s() - before_s));
        if (pause_ms > atomic_load(&pause_most_ms)) {
            atomic_store(&pause_most_ms, pause_ms);
        }
    }
    return NULL;
}

/* --- A daemon with a worker --- */

typedef struct scene_of_test {
    test_daemon daemon;
    traffic *traffic;
    pthread_t clock;
} scene_of_test;

/* fault NULL: none. */
static void begin_devices(scene_of_test *self, const char *devices, const char *fault)
{
    char gpus[64];
    snprintf(gpus, sizeof gpus, "gpu_devices = %s", devices);
    char program[512], arguments[128];
    snprintf(program, sizeof program, "gpu_program = \"%s\"", BEAM_GPU_WORKER);
    snprintf(arguments, sizeof arguments, "gpu_arguments = \"--backend host%s%s\"",
             fault ? " --fault " : "", fault ? fault : "");
    const char *const settings[] = {"workers = 2",
                                    gpus,
                                    program,
                                    arguments,
                                    "gpu_slot_mib = 4",
                                    TEST_SANITIZED ? "gpu_hang_ms = 300" : "gpu_hang_ms = 100",
                                    "gpu_retry_ms = 5",
                                    "gpu_retry_max_ms = 50",
                                    "gpu_failures_max = 0",
                                    "deadline_max_ms = 60000",
                                    "log_level = notice",
                                    NULL};
    test_daemon_start(&self->daemon, settings, 0);
    self->traffic = traffic_new(&self->daemon, &(traffic_options){.clusters = 4,
                                                                  .rate_hz = rate_hz,
                                                                  .deadline_us = DEADLINE_US,
                                                                  .check_every = 4,
                                                                  .answer_ms = ANSWER_MS});
    traffic_run(self->traffic, 0.5); /* best rates and measured times, by the CPU at first */
    traffic_settle(self->traffic);
    traffic_clear(self->traffic);
    atomic_store(&pause_most_ms, 0);
    atomic_store(&watching, true);
    assert_int_equal(pthread_create(&self->clock, NULL, watch_clock, NULL), 0);
}

static void begin(scene_of_test *self, const char *fault)
{
    begin_devices(self, "0", fault);
}

static void end_watch(scene_of_test *self)
{
    if (atomic_exchange(&watching, false)) {
        pthread_join(self->clock, NULL);
    }
}

static void end(scene_of_test *self)
{
    end_watch(self);
    traffic_free(self->traffic);
    assert_int_equal(test_daemon_stop(&self->daemon), 0);
}

static double metric(const scene_of_test *self, const char *sample)
{
    char *text = test_daemon_metrics(&self->daemon);
    const double value = test_metric(text, sample);
    free(text);
    return value;
}

static double by_reason(const scene_of_test *self, const char *name, const char *reason)
{
    char sample[128];
    snprintf(sample, sizeof sample, "%s{device=\"0\",reason=\"%s\"}", name, reason);
    return metric(self, sample);
}

/* False: not within the time. */
static bool becomes_ready(const scene_of_test *self, double times)
{
    for (const double end_s = test_now_s() + 20; test_now_s() < end_s;) {
        if (metric(self, "beamd_gpu_ready_total{device=\"0\"}") >= times &&
            metric(self, "beamd_gpu_state{device=\"0\",state=\"ready\"}") > 0) {
            return true;
        }
        poll(NULL, 0, 5);
    }
    return false;
}

/* The promise of the whole. */
static void expect_nothing_lost(scene_of_test *self, const char *what)
{
    traffic_settle(self->traffic);
    end_watch(self);
    const traffic_count *n = traffic_counted(self->traffic);
    print_message(
        "%-12s sent %llu: gpu %llu network %llu; full %llu reduced %llu checked %llu held "
        "%llu late %llu superseded %llu; most %.0f ms; machine paused %d ms\n",
        what, (unsigned long long)n->sent, (unsigned long long)n->backend[4],
        (unsigned long long)n->backend[1], (unsigned long long)n->service[0],
        (unsigned long long)n->service[1], (unsigned long long)n->service[2],
        (unsigned long long)n->service[3], (unsigned long long)n->late,
        (unsigned long long)n->refused[BEAMC_REFUSAL_SUPERSEDED], n->round_trip_most_ms,
        atomic_load(&pause_most_ms));
    traffic_expect_refusals(self->traffic, 0);
    if (atomic_load(&pause_most_ms) < PAUSE_MS) {
        assert_int_equal(n->late, 0);
        assert_int_equal(n->service[3], 0); /* none without a solve of its own */
    }
    assert_true(metric(self, "beamd_below_classical_total") == 0);
}

/* --- Each fault --- */

typedef struct fault_case {
    const char *fault;
    const char *reason; /* of the worker's end; NULL: it goes on */
    bool lost;          /* batches are */
    bool back;          /* another worker serves afterwards */
} fault_case;

static void run_case(const fault_case *k)
{
    scene_of_test t;
    begin(&t, k->fault);
    traffic_run(t.traffic, run_s);
    expect_nothing_lost(&t, k->fault);
    const traffic_count *n = traffic_counted(t.traffic);
    if (k->reason) {
        assert_true(by_reason(&t, "beamd_gpu_ended_total", k->reason) >= 1);
    } else {
        assert_true(metric(&t, "beamd_gpu_starts_total{device=\"0\"}") == 1);
    }
    assert_true(!k->lost || metric(&t, "beamd_gpu_lost_problems_total") >= 1);
    if (k->back) {
        assert_true(becomes_ready(&t, 2));
        assert_true(n->backend[4] > 0);
        traffic_clear(t.traffic);
        traffic_run(t.traffic, 0.5);
        traffic_settle(t.traffic);
        assert_true(traffic_counted(t.traffic)->backend[4] > 0);
    }
    end(&t);
}

#define FAULT(name, ...)                                                                           \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        static const fault_case k = {__VA_ARGS__};                                                 \
        run_case(&k);                                                                              \
    }
FAULT(an_error_of_the_device_costs_nothing, "error@9", "device", true, true)
FAULT(a_hang_costs_nothing, "hang@9", "hang", true, true)
FAULT(a_silent_worker_costs_nothing, "mute@9", "hang", true, true)
FAULT(a_crash_costs_nothing, "crash@9", "death", true, true)
FAULT(garbage_costs_nothing, "garbage@9", "garbage", true, true)
FAULT(answers_nobody_asked_for_cost_nothing, "nonsense@9", "garbage", true, true)
FAULT(random_answers_cost_nothing, "spoilt@9", "garbage", false, true)
FAULT(a_slow_worker_costs_nothing, "slow@40", NULL, false, false)
FAULT(no_device_costs_nothing, "absent", "start", false, false)
FAULT(a_start_that_fails_costs_nothing, "broken", "start", false, false)
FAULT(a_start_that_never_ends_costs_nothing, "never", NULL, false, false)

/* --- Processes --- */

/* The one child of the daemon; 0: none. */
static pid_t worker_of(const scene_of_test *self)
{
    DIR *dir = opendir("/proc");
    pid_t found = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[300], line[512] = "";
        snprintf(path, sizeof path, "/proc/%.200s/stat", entry->d_name);
        FILE *file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
        if (!file) {
            continue;
        }
        const bool read = fgets(line, sizeof line, file) != NULL;
        (void)fclose(file);
        const char *after = read ? strrchr(line, ')') : NULL;
        char status;
        int parent;
        if (after && sscanf(after + 1, " %c %d", &status, &parent) == 2 &&
            parent == self->daemon.pid && status != 'Z') {
            found = (pid_t)strtol(entry->d_name, NULL, 10);
        }
    }
    closedir(dir);
    return found;
}

static bool is_gone(pid_t pid)
{
    for (const double end_s = test_now_s() + 10; test_now_s() < end_s;) {
        if (kill(pid, 0) != 0) {
            return true;
        }
        poll(NULL, 0, 5);
    }
    return false;
}

static void kill_9_costs_nothing(void **state)
{
    (void)state;
    scene_of_test t;
    begin(&t, NULL);
    double most_s = 0;
    for (int k = 0; k < KILLS; k++) {
        assert_true(becomes_ready(&t, k + 1));
        traffic_run(t.traffic, 0.05 + 0.013 * k); /* at another moment every time */
        const pid_t worker = worker_of(&t);
        assert_true(worker > 0);
        assert_int_equal(kill(worker, SIGKILL), 0);
        traffic_run(t.traffic, 0.1);
        assert_true(becomes_ready(&t, k + 2));
        const double respawn_s = metric(&t, "beamd_gpu_respawn_seconds{device=\"0\"}");
        most_s = respawn_s > most_s ? respawn_s : most_s;
    }
    traffic_run(t.traffic, 0.3);
    expect_nothing_lost(&t, "kill -9");
    print_message("longest time until the next worker was ready: %.0f ms\n", 1e3 * most_s);
    assert_true(by_reason(&t, "beamd_gpu_ended_total", "death") == KILLS);
    assert_true(traffic_counted(t.traffic)->backend[4] > 0);
    end(&t);
}

/* Clusters are not tied to a device: the other one goes on. */
static void two_devices_share_and_one_fails(void **state)
{
    (void)state;
    scene_of_test t;
    begin_devices(&t, "0,1", NULL);
    assert_true(becomes_ready(&t, 1));
    traffic_run(t.traffic, run_s);
    const pid_t worker = worker_of(&t); /* one of them */
    assert_true(worker > 0);
    assert_int_equal(kill(worker, SIGKILL), 0);
    traffic_run(t.traffic, run_s);
    expect_nothing_lost(&t, "two devices");
    const double first = metric(&t, "beamd_gpu_answered_total{device=\"0\"}"),
                 second = metric(&t, "beamd_gpu_answered_total{device=\"1\"}");
    print_message("answered: %.0f by device 0, %.0f by device 1\n", first, second);
    assert_true(first > 5 && second > 5);
    end(&t);
}

static void the_worker_ends_with_the_daemon(void **state)
{
    (void)state;
    scene_of_test t;
    begin(&t, NULL);
    assert_true(becomes_ready(&t, 1));
    const pid_t first = worker_of(&t);
    traffic_run(t.traffic, 0.2);
    end(&t); /* SIGTERM under load, exit status 0 */
    assert_true(is_gone(first));
    begin(&t, NULL);
    assert_true(becomes_ready(&t, 1));
    const pid_t second = worker_of(&t);
    end_watch(&t);
    traffic_free(t.traffic);
    test_daemon_kill(&t.daemon);
    assert_true(is_gone(second));
    test_daemon_again(&t.daemon, NULL, 0);
    assert_int_equal(test_daemon_stop(&t.daemon), 0);
}

/* A cluster of sizes that the worker is not ready for yet: the CPU's until it is. */
static void other_sizes_are_served(void **state)
{
    (void)state;
    scene_of_test t;
    begin(&t, NULL);
    assert_true(becomes_ready(&t, 1));
    test_random random = test_random_new(9);
    const beam_dims dims = {.stations = 2, .antennas = 7, .users = 4, .targets = 1};
    beam_scene *scene = test_random_scene(&random, &dims, 0.1);
    beamc_client *client = test_client(&t.daemon);
    test_set_up(client, "other", scene, 0.5);
    bool by_gpu = false;
    for (const double end_s = test_now_s() + 20; !by_gpu && test_now_s() < end_s;) {
        const beamc_solution *s = test_solve(client, "other", scene);
        test_check_solution(scene, s);
        by_gpu = s->backend == BEAMC_BACKEND_GPU;
    }
    assert_true(by_gpu);
    beamc_close(&client);
    test_scene_free(scene);
    end(&t);
}

/* Another model under load: batches of the old one until the worker has the new one, and then by
 * GPU again. */
static void a_new_model_leaves_no_gap(void **state)
{
    (void)state;
    scene_of_test t;
    begin(&t, NULL);
    assert_true(becomes_ready(&t, 1));
    char path[128];
    snprintf(path, sizeof path, "%s/other.beamnet", t.daemon.dir);
    test_model_file file = test_model_make_fresh(12, 16, "other", 5);
    test_model_save(&file, path);
    beamc_client *client = test_client(&t.daemon);
    for (int k = 0; k < 4; k++) {
        beamc_error err;
        beamc_model_state in_use;
        traffic_run(t.traffic, 0.2);
        assert_int_equal(beamc_model_reload(client, k % 2 ? NULL : path, 5000, &in_use, &err),
                         BEAMC_OK);
        traffic_run(t.traffic, 0.2);
    }
    expect_nothing_lost(&t, "model");
    traffic_clear(t.traffic);
    traffic_run(t.traffic, 0.5);
    traffic_settle(t.traffic);
    assert_true(traffic_counted(t.traffic)->backend[4] > 0);
    assert_true(metric(&t, "beamd_gpu_starts_total{device=\"0\"}") == 1);
    assert_true(by_reason(&t, "beamd_gpu_lost_total", "unprepared") == 0);
    beamc_close(&client);
    test_model_file_free(&file);
    end(&t);
}

static void a_missing_program_is_said_once(void **state)
{
    (void)state;
    static const char *const settings[] = {"gpu_devices = 0,1",
                                           "gpu_program = \"/nowhere/beamd-gpu\"", NULL};
    test_daemon d;
    test_daemon_start(&d, settings, 0);
    test_random random = test_random_new(3);
    const beam_dims dims = {.stations = 3, .antennas = 5, .users = 3, .targets = 2};
    beam_scene *scene = test_random_scene(&random, &dims, 0.1);
    beamc_client *client = test_client(&d);
    test_set_up(client, "cpu", scene, 0.5);
    for (int k = 0; k < 5; k++) {
        const beamc_solution *s = test_solve(client, "cpu", scene);
        assert_int_equal(s->backend, BEAMC_BACKEND_NETWORK);
    }
    char *log = test_daemon_log(&d);
    unsigned lines = 0;
    for (const char *at = log; (at = strstr(at, "/nowhere/beamd-gpu")) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, 2); /* one for each device */
    free(log);
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_of_the_device_costs_nothing),
        cmocka_unit_test(a_hang_costs_nothing),
        cmocka_unit_test(a_silent_worker_costs_nothing),
        cmocka_unit_test(a_crash_costs_nothing),
        cmocka_unit_test(garbage_costs_nothing),
        cmocka_unit_test(answers_nobody_asked_for_cost_nothing),
        cmocka_unit_test(random_answers_cost_nothing),
        cmocka_unit_test(a_slow_worker_costs_nothing),
        cmocka_unit_test(no_device_costs_nothing),
        cmocka_unit_test(a_start_that_fails_costs_nothing),
        cmocka_unit_test(a_start_that_never_ends_costs_nothing),
        cmocka_unit_test(kill_9_costs_nothing),
        cmocka_unit_test(two_devices_share_and_one_fails),
        cmocka_unit_test(the_worker_ends_with_the_daemon),
        cmocka_unit_test(other_sizes_are_served),
        cmocka_unit_test(a_new_model_leaves_no_gap),
        cmocka_unit_test(a_missing_program_is_said_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
