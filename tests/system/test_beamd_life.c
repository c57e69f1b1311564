/* How beamd begins and ends, and what an operator sees meanwhile. */
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/golden.h"
#include "common/random.h"
#include "common/sanitized.h"
#include "system/daemon.h"

/* So large that a cold solve of the iterative solver takes whatever time its deadline leaves. */
static beam_scene *slow_scene(void)
{
    test_random random = test_random_new(1);
    const beam_dims dims = {
        .stations = 5, .antennas = 32, .users = TEST_SLOWED ? 10 : 40, .targets = 2};
    return test_random_scene(&random, &dims, 0.1);
}

/* Until the daemon has taken as many updates. */
static void await_updates(const test_daemon *d, unsigned count)
{
    for (double seen = 0; seen < count; poll(NULL, 0, 5)) {
        char *metrics = test_daemon_metrics(d);
        seen = test_metric(metrics, "beamd_requests_total{type=\"CsiUpdate\"}");
        free(metrics);
    }
}

static void sigterm_answers_what_is_under_way_and_exits_0(void **state)
{
    (void)state;
    test_daemon d;
    beamc_error err;
    beamc_answer answer;
    /* a machine that stands still is no reason to give the thread or the drain up */
    static const char *const settings[] = {"solve_method = boblrbf", "hang_ms = 60000",
                                           "drain_ms = 20000", NULL};
    test_daemon_start(&d, settings, 0);
    beam_scene *scene = slow_scene();
    beamc_client *client = test_client(&d);
    test_set_up(client, "drain", scene, 0.5);
    const uint64_t sequence = test_send_csi(client, "drain", scene, 800000);
    await_updates(&d, 1); /* received, and if the machine does not stand still not solved */
    kill(d.pid, SIGTERM);
    assert_true(test_daemon_notified(&d, "STOPPING=1", 5000));
    const uint64_t refused = test_send_csi(client, "drain", scene, 800000);
    assert_int_equal(beamc_await(client, refused, 10000, &answer, &err), BEAMC_E_REFUSED);
    assert_int_equal(err.refusal, BEAMC_REFUSAL_DRAINING);
    /* a client that looks when the daemon is long gone */
    (void)beamc_await(client, refused, 0, &answer, &err);
    assert_int_equal(test_daemon_wait(&d, 10000), 0);
    assert_int_equal(beamc_await(client, sequence, 10000, &answer, &err), BEAMC_OK);
    test_check_solution(scene, answer.solution);
    beamc_close(&client);
    test_scene_free(scene);
}

static void a_drain_ends_in_time_even_so(void **state)
{
    (void)state;
    static const char *const settings[] = {"solve_method = boblrbf", "drain_ms = 50",
                                           "deadline_max_ms = 60000", NULL};
    test_daemon d;
    beamc_error err;
    beamc_answer answer;
    test_daemon_start(&d, settings, 0);
    beam_scene *scene = slow_scene();
    beamc_client *client = test_client(&d);
    test_set_up(client, "stuck", scene, 0.5);
    const uint64_t first = test_send_csi(client, "stuck", scene, 60000000);
    await_updates(&d, 1);
    const uint64_t second = test_send_csi(client, "stuck", scene, 60000000);
    await_updates(&d, 2);
    kill(d.pid, SIGTERM);
    /* the waiting one is refused, the one under way ends with what it has */
    assert_int_equal(beamc_await(client, second, 10000, &answer, &err), BEAMC_E_REFUSED);
    assert_int_equal(err.refusal, BEAMC_REFUSAL_DRAINING);
    assert_int_equal(beamc_await(client, first, 10000, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.solution->status, BEAMC_SOLVE_TIME_LIMIT);
    test_check_solution(scene, answer.solution);
    assert_int_equal(test_daemon_wait(&d, 10000), 0);
    beamc_close(&client);
    test_scene_free(scene);
}

static void the_watchdog_is_fed(void **state)
{
    (void)state;
    test_daemon d;
    test_daemon_start(&d, NULL, 100000);
    for (int k = 0; k < 5; k++) {
        assert_true(test_daemon_notified(&d, "WATCHDOG=1", 2000));
    }
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* A thread busy for longer than stall_ms counts as dead: then the manager must notice. */
static void the_watchdog_starves_when_a_solver_hangs(void **state)
{
    (void)state;
    static const char *const settings[] = {"solve_method = boblrbf", "stall_ms = 100",
                                           "hang_ms = 60000", "deadline_max_ms = 60000", NULL};
    test_daemon d;
    beamc_error err;
    beamc_answer answer;
    test_daemon_start(&d, settings, 60000);
    beam_scene *scene = slow_scene();
    beamc_client *client = test_client(&d);
    test_set_up(client, "hang", scene, 0.5);
    const uint64_t sequence = test_send_csi(client, "hang", scene, 2000000);
    poll(NULL, 0, 250);
    while (test_daemon_notified(&d, "WATCHDOG=1", 0)) { /* those from before */
    }
    assert_false(test_daemon_notified(&d, "WATCHDOG=1", 150));
    assert_int_equal(beamc_await(client, sequence, 60000, &answer, &err), BEAMC_OK);
    /* it was under way all the time, or (in a slow build) even longer, and another thread answered
     */
    assert_true(answer.solution->service == BEAMC_SERVICE_CHECKED ||
                answer.solution->latency.solve_ns > 400000000u);
    assert_true(test_daemon_notified(&d, "WATCHDOG=1", 5000));
    assert_int_equal(test_daemon_stop(&d), 0);
    beamc_close(&client);
    test_scene_free(scene);
}

static int run_beamd(const char *const *args)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        unsetenv("NOTIFY_SOCKET");
        (void)!freopen("/dev/null", "w", stderr);
        (void)!freopen("/dev/null", "w", stdout);
        execv(BEAMD_BINARY, (char *const *)args);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void a_second_daemon_does_not_take_over(void **state)
{
    (void)state;
    test_daemon d;
    test_daemon_start(&d, NULL, 0);
    const char *const args[] = {BEAMD_BINARY, "--runtime-dir", d.dir, NULL};
    assert_int_equal(run_beamd(args), 1);
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&d);
    test_set_up(client, "first", scene, 0.5);
    test_check_solution(scene, test_solve(client, "first", scene));
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

static void an_open_runtime_directory_is_refused(void **state)
{
    (void)state;
    char dir[] = "/tmp/beamd-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    chmod(dir, 0755);
    const char *const args[] = {BEAMD_BINARY, "--runtime-dir", dir, NULL};
    assert_int_equal(run_beamd(args), 1);
    rmdir(dir);
    const char *const remote[] = {BEAMD_BINARY, "--set", "csi_endpoint = tcp://0.0.0.0:5555", NULL};
    assert_int_equal(run_beamd(remote), 2);
    const char *const unknown[] = {BEAMD_BINARY, "--no-such-option", NULL};
    assert_int_equal(run_beamd(unknown), 2);
}

/* Binding would unlink it: a wrong path in the configuration must not cost a file or another daemon
 * its clients. */
static void what_is_in_the_way_of_a_socket_is_kept(void **state)
{
    (void)state;
    test_daemon d;
    test_daemon_start(&d, NULL, 0);
    static const char *const keys[] = {"csi_endpoint = ipc://", "beams_endpoint = ipc://",
                                       "control_endpoint = ipc://", "metrics_endpoint = unix:"};
    char dir[] = "/tmp/beamd-test-XXXXXX", path[96], setting[160];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const char *const args[] = {BEAMD_BINARY, "--runtime-dir",   dir, "--set", setting,
                                    "--set",      "state_dir = off", NULL};
        const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
        snprintf(setting, sizeof setting, "%s%s", keys[k], path);
        assert_int_equal(run_beamd(args), 1);
        assert_int_equal(unlink(path), 0);
        snprintf(setting, sizeof setting, "%s%s/control.sock", keys[k], d.dir);
        assert_int_equal(run_beamd(args), 1);
    }
    beamc_client *client = test_client(&d);
    beamc_status status;
    beamc_error err;
    assert_int_equal(beamc_status_get(client, NULL, 5000, &status, &err), BEAMC_OK);
    beamc_close(&client);
    snprintf(path, sizeof path, "%s/beamd.lock", dir);
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* libzmq aborts when accept() finds no descriptor left; the soft limit is not where that should
 * happen. */
static void more_connections_than_the_soft_limit_are_served(void **state)
{
    (void)state;
    enum { SOFT = 64, CONNECTIONS = 150 };
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = SOFT;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    test_daemon d;
    test_daemon_start(&d, NULL, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    int fd[CONNECTIONS];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/csi.sock", d.dir);
    for (int k = 0; k < CONNECTIONS; k++) {
        fd[k] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd[k], (const struct sockaddr *)&address, sizeof address), 0);
    }
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&d);
    test_set_up(client, "crowd", scene, 0.5);
    test_check_solution(scene, test_solve(client, "crowd", scene));
    for (int k = 0; k < CONNECTIONS; k++) {
        close(fd[k]);
    }
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* A restart after a kill: sockets and lock of the dead one are no obstacle. */
static void a_killed_daemon_can_be_followed(void **state)
{
    (void)state;
    test_daemon d;
    test_daemon_start(&d, NULL, 0);
    kill(d.pid, SIGKILL);
    int status;
    waitpid(d.pid, &status, 0);
    const pid_t pid = fork();
    if (pid == 0) {
        char notify[96];
        snprintf(notify, sizeof notify, "%s/notify", d.dir);
        setenv("NOTIFY_SOCKET", notify, 1);
        execl(BEAMD_BINARY, BEAMD_BINARY, "--runtime-dir", d.dir, "--set", "log_level = err",
              (char *)NULL);
        _exit(127);
    }
    d.pid = pid;
    assert_true(test_daemon_notified(&d, "READY=1", 20000));
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&d);
    test_set_up(client, "again", scene, 0.5);
    test_check_solution(scene, test_solve(client, "again", scene));
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

static void write_config(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static bool log_has(test_daemon *d, const char *text)
{
    for (int k = 0; k < 200; k++) {
        char *log = test_daemon_log(d);
        const bool found = strstr(log, text) != NULL;
        free(log);
        if (found) {
            return true;
        }
        poll(NULL, 0, 10);
    }
    return false;
}

/* The file of `test_daemon` cannot be set from outside, so the daemon is started here. */
static void sighup_reloads_what_may_change(void **state)
{
    (void)state;
    test_daemon d;
    test_daemon_start(&d, NULL, 0);
    char path[96], notify[96];
    snprintf(path, sizeof path, "%s/beamd.conf", d.dir);
    snprintf(notify, sizeof notify, "%s/notify", d.dir);
    kill(d.pid, SIGTERM);
    int status;
    waitpid(d.pid, &status, 0);
    write_config(path, "tradeoff = 0.25\nworkers = 1\n");
    d.pid = fork();
    if (d.pid == 0) {
        setenv("NOTIFY_SOCKET", notify, 1);
        dup2(d.log_fd, STDERR_FILENO);
        execl(BEAMD_BINARY, BEAMD_BINARY, "--config", path, "--runtime-dir", d.dir, (char *)NULL);
        _exit(127);
    }
    assert_true(test_daemon_notified(&d, "READY=1", 20000));
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&d);
    test_set_up(client, "taste", scene, -1);
    assert_true(fabs(test_solve(client, "taste", scene)->preference.tradeoff - 0.25) < 1e-9);
    write_config(path, "tradeoff = 0.75\nworkers = 2\n");
    kill(d.pid, SIGHUP);
    assert_true(log_has(&d, "event=reloaded need_restart=1 first=workers"));
    assert_true(fabs(test_solve(client, "taste", scene)->preference.tradeoff - 0.75) < 1e-9);
    write_config(path, "tradeoff = 7\n");
    kill(d.pid, SIGHUP);
    assert_true(log_has(&d, "event=reload_refused"));
    assert_true(fabs(test_solve(client, "taste", scene)->preference.tradeoff - 0.75) < 1e-9);
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* All of it or nothing, and a pipe in the place of the file does not hold the daemon. */
static void a_reload_that_names_no_model_changes_nothing(void **state)
{
    (void)state;
    test_daemon d;
    test_daemon_start_configured(&d, "tradeoff = 0.25\n", NULL, 0);
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&d);
    test_set_up(client, "c", scene, -1);
    test_daemon_configure(&d, "tradeoff = 0.75\nmodel_file = /absent.beamnet\n");
    kill(d.pid, SIGHUP);
    assert_true(log_has(&d, ":2: model_file: /absent.beamnet: cannot be read: No such file"));
    assert_true(fabs(test_solve(client, "c", scene)->preference.tradeoff - 0.25) < 1e-9);
    test_daemon_configure(&d, "tradeoff = 0.75\nmodel_file = " BEAMD_BINARY "\n");
    kill(d.pid, SIGHUP);
    assert_true(log_has(&d, "this is no model file"));
    assert_int_equal(unlink(d.config), 0);
    assert_int_equal(mkfifo(d.config, 0600), 0);
    kill(d.pid, SIGHUP);
    assert_true(log_has(&d, "is no regular file"));
    assert_true(fabs(test_solve(client, "c", scene)->preference.tradeoff - 0.25) < 1e-9);
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* One line of the exposition format; `type` is the last TYPE seen. */
static void check_line(const char *line, size_t n, char *metric, size_t size)
{
    char text[512], name[256];
    double value;
    assert_true(n < sizeof text);
    memcpy(text, line, n);
    text[n] = 0;
    if (strncmp(text, "# HELP ", 7) == 0) {
        assert_int_equal(sscanf(text + 7, "%255s", name), 1);
        assert_true(strlen(text) > 7 + strlen(name) + 3);
        return;
    }
    if (strncmp(text, "# TYPE ", 7) == 0) {
        char type[32];
        assert_int_equal(sscanf(text + 7, "%255s %31s", name, type), 2);
        assert_true(strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0 ||
                    strcmp(type, "histogram") == 0);
        snprintf(metric, size, "%s", name);
        return;
    }
    char *space = strrchr(text, ' ');
    assert_non_null(space);
    char *end;
    value = strtod(space + 1, &end);
    assert_true(*end == 0 && space[1] != 0);
    assert_true(isfinite(value) && value >= 0);
    assert_int_equal(strncmp(text, metric, strlen(metric)), 0); /* samples under their TYPE */
    *space = 0;
    const size_t plain = strcspn(text, "{");
    if (text[plain] == '{') {
        assert_int_equal(text[strlen(text) - 1], '}');
    }
}

static void the_metrics_parse_and_add_up(void **state)
{
    (void)state;
    test_daemon d;
    test_daemon_start(&d, NULL, 0);
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&d);
    test_set_up(client, "m", scene, 0.5);
    for (int k = 0; k < 7; k++) {
        test_solve(client, "m", scene);
    }
    const double wsr = test_solve(client, "m", scene)->wsr_worst_case_bps_hz;
    char *metrics = test_daemon_metrics(&d);
    char metric[256] = "";
    for (const char *line = metrics; *line;) {
        const size_t n = strcspn(line, "\n");
        check_line(line, n, metric, sizeof metric);
        line += n + (line[n] == '\n');
    }
    assert_true(test_metric(metrics, "beamd_requests_total{type=\"CsiUpdate\"}") == 8);
    assert_true(test_metric(metrics, "beamd_starts_total{start=\"warm\"}") == 7);
    assert_true(test_metric(metrics, "beamd_starts_total{start=\"cold\"}") == 1);
    assert_true(test_metric(metrics, "beamd_cluster_wsr_worst_case_bps_hz{cluster=\"m\"}") == wsr);
    static const char *const stages[] = {"decode", "queue", "solve", "check", "send", "total"};
    double sum = 0, total = 0;
    for (int s = 0; s < 6; s++) {
        char sample[128];
        snprintf(sample, sizeof sample, "beamd_stage_seconds_count{stage=\"%s\"}", stages[s]);
        assert_true(test_metric(metrics, sample) == 8);
        snprintf(sample, sizeof sample, "beamd_stage_seconds_bucket{stage=\"%s\",le=\"+Inf\"}",
                 stages[s]);
        assert_true(test_metric(metrics, sample) == 8);
        snprintf(sample, sizeof sample, "beamd_stage_seconds_sum{stage=\"%s\"}", stages[s]);
        sum += s < 5 ? test_metric(metrics, sample) : 0;
        total = test_metric(metrics, sample);
    }
    assert_true(fabs(sum - total) < 1e-7);
    free(metrics);
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* Sends raw bytes to the metrics socket; the first line of the answer, "" when the other side only
 * hangs up. */
static void http(const test_daemon *d, const char *bytes, size_t n, char line[64])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/metrics.sock", d->dir);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_true(send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
    const ssize_t got = recv(fd, line, 63, 0);
    line[got > 0 ? got : 0] = 0;
    line[strcspn(line, "\r\n")] = 0;
    close(fd);
}

static void strange_http_is_refused(void **state)
{
    (void)state;
    static const char *const settings[] = {"metrics_connections = 4", NULL};
    test_daemon d;
    char line[64];
    static char long_request[5000];
    test_daemon_start(&d, settings, 0);
#define HTTP(text) http(&d, text, sizeof text - 1, line)
    HTTP("GET /metrics HTTP/1.0\r\n\r\n");
    assert_string_equal(line, "HTTP/1.1 200 OK");
    HTTP("GET /metrics?x=1 HTTP/1.1\r\n\r\n");
    assert_string_equal(line, "HTTP/1.1 200 OK");
    HTTP("GET / HTTP/1.1\r\n\r\n");
    assert_string_equal(line, "HTTP/1.1 404 Not Found");
    HTTP("POST /metrics HTTP/1.1\r\n\r\n");
    assert_string_equal(line, "HTTP/1.1 405 Method Not Allowed");
    HTTP("nonsense\r\n\r\n");
    assert_string_equal(line, "HTTP/1.1 400 Bad Request");
    HTTP("GET /\0 HTTP/1.1\r\n\r\n");
    assert_string_equal(line, "HTTP/1.1 400 Bad Request");
    memset(long_request, 'x', sizeof long_request);
    http(&d, long_request, sizeof long_request, line);
    assert_string_equal(line, "HTTP/1.1 431 Request Header Fields Too Large");
    int idle[8]; /* silent connections take all places: a scrape is refused, then served again */
    for (int k = 0; k < 8; k++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof address.sun_path, "%s/metrics.sock", d.dir);
        idle[k] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(idle[k], (const struct sockaddr *)&address, sizeof address), 0);
    }
    poll(NULL, 0, 100);
    for (int k = 0; k < 8; k++) {
        close(idle[k]);
    }
    poll(NULL, 0, 100);
    char *metrics = test_daemon_metrics(&d);
    assert_true(test_metric(metrics, "beamd_http_refused_total") >= 5);
    free(metrics);
    assert_int_equal(test_daemon_stop(&d), 0);
}

static void status_tells_what_happened(void **state)
{
    (void)state;
    test_daemon d;
    test_daemon_start(&d, NULL, 0);
    beam_scene *scene = test_golden_scene("uneven_n6");
    beamc_client *client = test_client(&d);
    beamc_status status;
    beamc_error err;
    test_set_up(client, "b", scene, 0.25);
    test_set_up(client, "a", scene, -1);
    test_solve(client, "b", scene);
    assert_int_equal(beamc_status_get(client, NULL, 10000, &status, &err), BEAMC_OK);
    assert_int_equal(status.cluster_count, 2);
    assert_string_equal(status.clusters[0].id, "a"); /* sorted */
    assert_false(status.clusters[0].solved);
    assert_true(fabs(status.clusters[0].preference.tradeoff - 0.5) < 1e-9);
    assert_true(status.clusters[1].solved);
    assert_int_equal(status.clusters[1].users, scene->dims.users);
    assert_int_equal(status.clusters[1].solutions, 1);
    assert_true(status.clusters[1].latency_p99_us > 0);
    assert_int_equal(status.solutions_sent, 1);
    assert_int_equal(beamc_status_get(client, "b", 10000, &status, &err), BEAMC_OK);
    assert_int_equal(status.cluster_count, 1);
    assert_int_equal(beamc_status_get(client, "c", 10000, &status, &err), BEAMC_E_REFUSED);
    assert_int_equal(beamc_cluster_list(client, 10000, &status, &err), BEAMC_OK);
    assert_int_equal(status.cluster_count, 2);
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigterm_answers_what_is_under_way_and_exits_0),
        cmocka_unit_test(a_drain_ends_in_time_even_so),
        cmocka_unit_test(the_watchdog_is_fed),
        cmocka_unit_test(the_watchdog_starves_when_a_solver_hangs),
        cmocka_unit_test(a_second_daemon_does_not_take_over),
        cmocka_unit_test(an_open_runtime_directory_is_refused),
        cmocka_unit_test(what_is_in_the_way_of_a_socket_is_kept),
        cmocka_unit_test(more_connections_than_the_soft_limit_are_served),
        cmocka_unit_test(a_killed_daemon_can_be_followed),
        cmocka_unit_test(sighup_reloads_what_may_change),
        cmocka_unit_test(a_reload_that_names_no_model_changes_nothing),
        cmocka_unit_test(the_metrics_parse_and_add_up),
        cmocka_unit_test(strange_http_is_refused),
        cmocka_unit_test(status_tells_what_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
