#define _GNU_SOURCE
#include "system/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { READY_MS = 20000, STOP_MS = 20000, SETTINGS_MAX = 16 };

static int bind_notify(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void run_child(const test_daemon *self, const char *const *settings, const char *notify,
                      unsigned watchdog_us)
{
    prctl(PR_SET_PDEATHSIG,
          SIGKILL); /* a failed test must not leave a daemon that holds its pipes */
    const char *args[6 + 2 * SETTINGS_MAX] = {BEAMD_BINARY, "--runtime-dir", self->dir};
    int n = 3;
    if (self->config[0]) {
        args[n++] = "--config";
        args[n++] = self->config;
    }
    for (int k = 0; settings && settings[k] && k < SETTINGS_MAX; k++) {
        args[n++] = "--set";
        args[n++] = settings[k];
    }
    char watchdog[32];
    snprintf(watchdog, sizeof watchdog, "%u", watchdog_us);
    setenv("NOTIFY_SOCKET", notify, 1);
    unsetenv("WATCHDOG_PID");
    if (watchdog_us) {
        setenv("WATCHDOG_USEC", watchdog, 1);
    } else {
        unsetenv("WATCHDOG_USEC");
    }
    dup2(self->log_fd, STDERR_FILENO);
    execv(BEAMD_BINARY, (char *const *)args);
    _exit(127);
}

/* The process, in the directory that is there. */
static void spawn(test_daemon *self, const char *const *settings, unsigned watchdog_us)
{
    char path[80];
    snprintf(path, sizeof path, "%s/notify", self->dir);
    self->pid = fork();
    assert_true(self->pid >= 0);
    if (self->pid == 0) {
        run_child(self, settings, path, watchdog_us);
    }
    if (!test_daemon_notified(self, "READY=1", READY_MS)) {
        char *log = test_daemon_log(self);
        kill(self->pid, SIGKILL);
        fail_msg("beamd did not become ready: %s", log);
    }
}

void test_daemon_configure(const test_daemon *self, const char *text)
{
    FILE *f = fopen(self->config, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

void test_daemon_start_configured(test_daemon *self, const char *config,
                                  const char *const *settings, unsigned watchdog_us)
{
    memset(self, 0, sizeof *self);
    snprintf(self->dir, sizeof self->dir, "/tmp/beamd-test-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    char path[80];
    snprintf(path, sizeof path, "%s/notify", self->dir);
    self->notify_fd = bind_notify(path);
    self->log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(self->log_fd >= 0);
    if (config) {
        snprintf(self->config, sizeof self->config, "%s/beamd.conf", self->dir);
        test_daemon_configure(self, config);
    }
    spawn(self, settings, watchdog_us);
}

void test_daemon_start(test_daemon *self, const char *const *settings, unsigned watchdog_us)
{
    test_daemon_start_configured(self, NULL, settings, watchdog_us);
}

void test_daemon_kill(test_daemon *self)
{
    int status;
    kill(self->pid, SIGKILL);
    assert_int_equal(waitpid(self->pid, &status, 0), self->pid);
}

void test_daemon_again(test_daemon *self, const char *const *settings, unsigned watchdog_us)
{
    spawn(self, settings, watchdog_us);
}

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

int test_daemon_wait(test_daemon *self, int timeout_ms)
{
    const long long until = now_ms() + timeout_ms;
    int status;
    pid_t ended;
    while ((ended = waitpid(self->pid, &status, WNOHANG)) == 0 && now_ms() < until) {
        poll(NULL, 0, 5);
    }
    if (ended == 0) {
        kill(self->pid, SIGKILL);
        waitpid(self->pid, &status, 0);
        char *log = test_daemon_log(self);
        fail_msg("beamd did not end within %d ms: %s", timeout_ms, log);
    }
    (void)nftw(self->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    close(self->notify_fd);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) { /* a sanitizer's report, for instance */
        char *log = test_daemon_log(self);
        print_message("%s\n", log);
        free(log);
    }
    close(self->log_fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int test_daemon_stop(test_daemon *self)
{
    kill(self->pid, SIGTERM);
    return test_daemon_wait(self, STOP_MS);
}

bool test_daemon_notified(test_daemon *self, const char *text, int timeout_ms)
{
    const long long until = now_ms() + timeout_ms;
    for (long long left = timeout_ms; left >= 0; left = until - now_ms()) {
        struct pollfd p = {.fd = self->notify_fd, .events = POLLIN};
        if (poll(&p, 1, (int)left) <= 0) {
            return false;
        }
        char message[1024];
        const ssize_t n = recv(self->notify_fd, message, sizeof message - 1, 0);
        if (n < 0) {
            continue;
        }
        message[n] = 0;
        if (strstr(message, text)) {
            return true;
        }
    }
    return false;
}

char *test_daemon_log(test_daemon *self)
{
    struct stat st;
    assert_int_equal(fstat(self->log_fd, &st), 0);
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(text);
    assert_true(pread(self->log_fd, text, (size_t)st.st_size, 0) >= 0);
    return text;
}

char *test_daemon_metrics(const test_daemon *self)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/metrics.sock", self->dir);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
    char *text = calloc(1, 1 << 20);
    size_t used = 0;
    ssize_t n;
    assert_non_null(text);
    while ((n = read(fd, text + used, (1 << 20) - 1 - used)) > 0) {
        used += (size_t)n;
    }
    close(fd);
    assert_int_equal(strncmp(text, "HTTP/1.1 200 OK\r\n", 17), 0);
    char *body = strstr(text, "\r\n\r\n");
    char *length = strstr(text, "Content-Length: ");
    assert_non_null(body);
    assert_non_null(length);
    assert_int_equal(atol(length + 16), (long)strlen(body + 4));
    memmove(text, body + 4, strlen(body + 4) + 1);
    return text;
}

double test_metric(const char *metrics, const char *sample)
{
    const size_t n = strlen(sample);
    for (const char *line = metrics; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, sample, n) == 0 && line[n] == ' ') {
            return strtod(line + n, NULL);
        }
    }
    fail_msg("no sample %s in:\n%s", sample, metrics);
    return 0;
}
