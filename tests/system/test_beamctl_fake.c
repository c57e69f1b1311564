/* beamctl against a daemon of the test's own: fronts, configuration, live numbers, odd values. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "system/beamctl_child.h"
#include "system/fake_daemon.h"

enum { SCREEN_BYTES = 1 << 24, PATIENCE_MS = 20000 };

static fake_daemon daemon_;

static int set_up(void **state)
{
    (void)state;
    fake_daemon_start(&daemon_);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_daemon_stop(&daemon_);
    return 0;
}

static const json_t *at(const json_t *object, const char *key, size_t index)
{
    const json_t *entry = json_array_get(json_object_get(object, key), index);
    assert_non_null(entry);
    return entry;
}

static void a_front_is_drawn_with_the_present_answers(void **state)
{
    (void)state;
    ctl_outcome o = ctl_run(daemon_.dir, "front", "north", NULL);
    static const char *const parts[] = {
        "front of north, subband 0: CSI 41, targets 18446744073709551615, 9 trade-offs in 98.8 ms",
        "rms position bound, m (less is better)",
        "worst-case weighted sum rate, bit/s/Hz (more is better)",
        "C  tau 0.000, communication only     18.0000 bit/s/Hz  a target cannot be located",
        "S  tau 1.000, sensing only            6.0000 bit/s/Hz  rms 0.1 m",
        "1 now balanced: tau",
        "2 now locate-2.b: tau",
    };
    assert_int_equal(o.status, 0);
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        if (!strstr(o.out, parts[k])) {
            fail_msg("\"%s\" is not in:\n%s", parts[k], o.out);
        }
    }
    for (const char *byte = o.out; *byte; byte++) { /* plain characters only */
        assert_true((*byte >= 32 && *byte < 127) || *byte == '\n');
    }
    ctl_outcome_free(&o);
    ctl_expect(ctl_run(daemon_.dir, "front", "blind", "--points", "2", NULL), 0, "^", "");
    ctl_expect(ctl_run(daemon_.dir, "--timeout", "300", "front", "blind", NULL), 0,
               "no answer yet: the present point is not marked", "");
    ctl_expect(ctl_run(daemon_.dir, "front", "south", NULL), 1, "", "refused (unknown cluster)");
    ctl_expect(ctl_run(daemon_.dir, "front", "north", "--table", NULL), 0, "   4 tau 0.500", "");
}

static void a_busy_daemon_is_asked_again(void **state)
{
    (void)state;
    atomic_store(&daemon_.busy, 3);
    ctl_expect(ctl_run(daemon_.dir, "front", "north", NULL), 0, "front of north", "");
    assert_int_equal(atomic_load(&daemon_.busy), 0);
    atomic_store(&daemon_.busy, 1000000);
    ctl_expect(ctl_run(daemon_.dir, "--timeout", "300", "front", "north", NULL), 1, "",
               "refused (busy)");
}

static void a_front_is_valid_json_whatever_it_holds(void **state)
{
    (void)state;
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "front", "north", "--points", "5",
                                   "--subband", "274", NULL));
    assert_int_equal(ctl_whole(o, "subband"), 274);
    assert_string_equal(ctl_word(o, "target_sequence"), "18446744073709551615");
    assert_int_equal(json_array_size(json_object_get(o, "points")), 5);
    const json_t *p = at(o, "points", 2);
    assert_true(fabs(ctl_real(p, "tradeoff") - 0.5) < 1e-12);
    assert_true(fabs(ctl_real(p, "wsr_worst_case_bps_hz") - 15) < 1e-12);
    assert_true(fabs(ctl_real(p, "crlb_m2") - 0.26) < 1e-12);
    assert_true(fabs(ctl_real(p, "rms_m") - sqrt(0.26)) < 1e-9);
    assert_true(json_is_null(json_object_get(at(o, "points", 0), "crlb_m2")));
    assert_int_equal(json_array_size(json_object_get(o, "present")), 2);
    assert_string_equal(ctl_word(at(o, "present", 1), "name"), "locate-2.b");
    assert_true(fabs(ctl_real(at(o, "present", 0), "wsr_worst_case_bps_hz") - 12.5) < 1e-12);
    json_decref(o);
    o = ctl_object(ctl_run(daemon_.dir, "--json", "--timeout", "300", "front", "odd", NULL));
    assert_true(json_is_null(json_object_get(at(o, "points", 1), "wsr_worst_case_bps_hz")));
    assert_true(json_is_null(json_object_get(at(o, "points", 2), "crlb_m2")));
    assert_true(json_is_null(json_object_get(at(o, "points", 2), "f1")));
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "--timeout", "300", "front", "odd", NULL), 0, "front of odd",
               "");
}

static void a_front_is_drawn_as_svg(void **state)
{
    (void)state;
    char file[96];
    snprintf(file, sizeof file, "%s/front.svg", daemon_.dir);
    ctl_expect(ctl_run(daemon_.dir, "front", "north", "--svg", file, NULL), 0, "front of north",
               "");
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    char text[32768];
    const size_t n = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    unlink(file);
    text[n] = 0;
    ctl_outcome o = ctl_run(daemon_.dir, "front", "north", "--svg", "-", NULL);
    assert_int_equal(o.status, 0);
    assert_string_equal(o.out, text);
    ctl_outcome_free(&o);
    assert_non_null(strstr(text, "bit/s/Hz"));
    assert_non_null(strstr(text, "</svg>\n"));
    ctl_expect(ctl_run(daemon_.dir, "front", "north", "--svg", "/nonexistent/f.svg", NULL), 1, "",
               "beamctl: /nonexistent/f.svg: No such file or directory\n");
    if (access("/dev/full", W_OK) == 0) {
        ctl_expect(ctl_run(daemon_.dir, "front", "north", "--svg", "/dev/full", NULL), 1, "",
                   "No space left");
        assert_int_equal(access("/dev/full", F_OK), 0);
    }
}

static void named_preferences_come_and_go(void **state)
{
    (void)state;
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "preference", "set", "north", "0.75",
                                   "--name", "locate", NULL));
    const json_t *p = at(o, "preferences", 0);
    assert_string_equal(ctl_word(p, "name"), "locate");
    assert_true(fabs(ctl_real(p, "tradeoff") - 0.75) < 1e-9);
    assert_string_equal(ctl_word(p, "words"), "mostly sensing");
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "preference", "set", "north", "0.5", "--name", "even", NULL), 0,
               "north even: tau 0.500, balanced\n", "");
    ctl_expect(ctl_run(daemon_.dir, "preference", "get", "north", NULL), 0,
               "not in use beside the named ones\nnorth locate: tau 0.750", "");
    o = ctl_object(
        ctl_run(daemon_.dir, "--json", "preference", "get", "north", "--name", "even", NULL));
    assert_int_equal(json_array_size(json_object_get(o, "preferences")), 1);
    assert_string_equal(ctl_word(at(o, "preferences", 0), "name"), "even");
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "preference", "remove", "north", "--name", "locate", NULL), 0,
               "north even: ", "");
    ctl_expect(ctl_run(daemon_.dir, "preference", "remove", "north", "--name", "even", NULL), 0,
               "north: tau 0.500", "");
    ctl_expect(ctl_run(daemon_.dir, "preference", "remove", "north", "--name", "even", NULL), 1, "",
               "refused (invalid): name: the cluster has no such preference");
    ctl_expect(ctl_run(daemon_.dir, "preference", "get", "north", "--name", "even", NULL), 1, "",
               "refused (invalid): name: north has no preference even");
    ctl_expect(ctl_run(daemon_.dir, "preference", "set", "north", "0.5", "--name", "a b", NULL), 2,
               "", "wrong argument");
}

static void the_configuration_is_shown_checked_and_reloaded(void **state)
{
    (void)state;
    ctl_expect(ctl_run(daemon_.dir, "config", NULL), 0, "file: /etc/beamd/beamd.conf\n", "");
    ctl_expect(ctl_run(daemon_.dir, "config", "get", "telemetry_ms", NULL), 0,
               "telemetry_ms           = 1000 ms\n", "");
    ctl_expect(ctl_run(daemon_.dir, "config", "get", "state_dir", NULL), 0, "= \"\"\n", "");
    ctl_expect(ctl_run(daemon_.dir, "config", "get", "colour", NULL), 1, "", "no key colour");
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "config", "get", "workers", NULL));
    const json_t *key = at(o, "keys", 0);
    assert_string_equal(ctl_word(key, "key"), "workers");
    assert_string_equal(ctl_word(key, "unit"), "threads");
    assert_false(json_is_true(json_object_get(key, "reloadable")));
    json_decref(o);
    ctl_expect(ctl_run(daemon_.dir, "config", "check", NULL), 0,
               "2 keys would change\n  telemetry_ms = 500 ms   (now 1000)\n  workers = 4 threads   "
               "(now 0)   with the next start only\n",
               "");
    assert_int_equal(atomic_load(&daemon_.reloads), 0);
    assert_int_equal(atomic_load(&daemon_.checks), 1);
    ctl_expect(ctl_run(daemon_.dir, "config", "reload", NULL), 0,
               "2 keys changed\n  telemetry_ms = 500 ms\n", "");
    o = ctl_object(ctl_run(daemon_.dir, "--json", "config", "check", NULL));
    assert_false(json_is_true(json_object_get(o, "applied")));
    assert_string_equal(ctl_word(at(o, "changed", 0), "before"), "1000");
    assert_true(json_is_true(json_object_get(at(o, "changed", 1), "needs_restart")));
    json_decref(o);
    o = ctl_object(ctl_run(daemon_.dir, "--json", "config", "reload", NULL));
    assert_true(json_is_true(json_object_get(o, "applied")));
    assert_string_equal(ctl_word(at(o, "changed", 0), "value"), "500");
    json_decref(o);
}

static void the_log_and_the_end_are_ruled(void **state)
{
    (void)state;
    ctl_expect(ctl_run(daemon_.dir, "log-level", "debug", NULL), 0, "log level debug", "");
    assert_string_equal(daemon_.log_level, "debug");
    ctl_expect(ctl_run(daemon_.dir, "drain", NULL), 0, "draining", "");
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "drain", NULL));
    assert_true(json_is_true(json_object_get(o, "draining")));
    json_decref(o);
    assert_int_equal(atomic_load(&daemon_.drains), 2);
}

static void a_set_of_solutions_is_watched_line_by_line(void **state)
{
    (void)state;
    ctl_outcome o = ctl_run(daemon_.dir, "--json", "--count", "4", "watch", "north", NULL);
    assert_int_equal(o.status, 0);
    const char *line = o.out;
    for (int k = 0; k < 4; k++) {
        json_t *s = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(s);
        assert_string_equal(ctl_word(s, "cluster"), "north");
        assert_int_equal(ctl_whole(s, "subband"), k < 2 ? 0 : 274);
        assert_string_equal(ctl_word(s, "preference_name"), k % 2 ? "locate-2.b" : "balanced");
        assert_string_equal(ctl_word(s, "service"), k < 2 ? "reduced" : "held");
        assert_true(json_is_true(json_object_get(s, "csi_stale")));
        assert_int_equal(ctl_whole(json_object_get(s, "latency_ns"), "transit_estimate"), 54321);
        json_decref(s);
        line = strchr(line, '\n') + 1;
    }
    assert_int_equal(*line, 0);
    ctl_outcome_free(&o);
    ctl_expect(ctl_run(daemon_.dir, "--count", "3", "watch", NULL), 0, "274 balanced", "");
}

static void clusters_that_come_later_are_watched_too(void **state)
{
    (void)state;
    atomic_store(&daemon_.empty_lists, 2);
    ctl_expect(ctl_run(daemon_.dir, "--count", "1", "watch", NULL), 0, "0 balanced",
               "no solution of any cluster yet");
    assert_int_equal(atomic_load(&daemon_.empty_lists), 0);
}

static void odd_texts_and_numbers_stay_json(void **state)
{
    (void)state;
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "status", NULL));
    assert_true(json_is_null(json_object_get(o, "uptime_s")));
    assert_string_equal(ctl_word(json_object_get(o, "model"), "name"), "caf?");
    json_decref(o);
}

static void a_frame_of_top_has_rates(void **state)
{
    (void)state;
    json_t *o = ctl_object(ctl_run(daemon_.dir, "--json", "--once", "top", NULL));
    const json_t *rates = json_object_get(o, "rates");
    assert_true(fabs(ctl_real(rates, "solutions") - 100) < 1e-6);
    assert_true(fabs(ctl_real(rates, "csi_received") - 200) < 1e-6);
    assert_true(fabs(ctl_real(rates, "held") - 10) < 1e-6);
    assert_true(json_is_null(json_object_get(at(o, "stages", 1), "max_us"))); /* infinite */
    assert_true(fabs(ctl_real(at(o, "stages", 1), "p999_us") - 1234.5) < 1e-9);
    assert_string_equal(ctl_word(at(o, "backends", 1), "health"), "failing");
    assert_true(fabs(ctl_real(at(o, "backends", 0), "problems_per_s") - 100) < 1e-6);
    assert_true(json_is_null(json_object_get(at(o, "backends", 1), "service_us")));
    assert_true(fabs(ctl_real(at(o, "clusters", 2), "solutions_per_s") - 30) < 1e-6);
    json_decref(o);
    static const struct {
        const char *sort, *order[3];
    } sorts[] = {{"id", {"alpha", "beta", "gamma"}},      {"rate", {"gamma", "beta", "alpha"}},
                 {"latency", {"alpha", "beta", "gamma"}}, {"missed", {"beta", "alpha", "gamma"}},
                 {"wsr", {"alpha", "beta", "gamma"}},     {"rms", {"beta", "alpha", "gamma"}},
                 {"age", {"alpha", "beta", "gamma"}}};
    for (size_t k = 0; k < sizeof sorts / sizeof sorts[0]; k++) {
        o = ctl_object(
            ctl_run(daemon_.dir, "--json", "--once", "top", "--sort", sorts[k].sort, NULL));
        for (size_t c = 0; c < 3; c++) {
            assert_string_equal(ctl_word(at(o, "clusters", c), "cluster"), sorts[k].order[c]);
        }
        json_decref(o);
    }
    ctl_outcome words = ctl_run(daemon_.dir, "top", "--batch", "2", NULL);
    assert_int_equal(words.status, 0);
    assert_null(strchr(words.out, '\033')); /* a file gets no control characters */
    const char *head = "beamd serving, up 1:02:05, 2 workers";
    const char *first = strstr(words.out, head), *second = strstr(first ? first + 1 : "", head);
    assert_non_null(second);
    assert_null(strstr(second + 1, head));
    assert_non_null(
        strstr(words.out, "per s   200.0   100.0    40.0    30.0    20.0    10.0    10.0"));
    ctl_outcome_free(&words);
}

static void silence_is_told(void **state)
{
    (void)state;
    atomic_store(&daemon_.telemetry, false);
    ctl_expect(ctl_run(daemon_.dir, "--timeout", "300", "top", "--once", NULL), 1, "",
               "beamd answers and sends no telemetry");
    atomic_store(&daemon_.answers, false);
    ctl_expect(ctl_run(daemon_.dir, "--timeout", "300", "top", "--once", NULL), 3, "", "timed out");
    ctl_expect(ctl_run(daemon_.dir, "--timeout", "300", "status", NULL), 3, "", "timed out");
}

/* --- top on a terminal --- */

typedef struct screen {
    int fd;
    pid_t pid;
    char *text; /* all that came */
    size_t used;
} screen;

static screen screen_open(const char *dir, unsigned short columns, unsigned short rows)
{
    screen s = {.text = calloc(1, SCREEN_BYTES)};
    const struct winsize size = {.ws_col = columns, .ws_row = rows};
    assert_non_null(s.text);
    s.pid = forkpty(&s.fd, NULL, NULL, &size);
    assert_true(s.pid >= 0);
    if (s.pid == 0) {
        execl(BEAMCTL_BINARY, BEAMCTL_BINARY, "--runtime-dir", dir, "top", (char *)NULL);
        _exit(127);
    }
    return s;
}

static void screen_read(screen *s, int timeout_ms)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    if (poll(&p, 1, timeout_ms) > 0) {
        assert_true(s->used < SCREEN_BYTES - 1);
        const ssize_t n = read(s->fd, s->text + s->used, SCREEN_BYTES - 1 - s->used);
        if (n <= 0) { /* the other side is closed, its process not yet ended */
            poll(NULL, 0, timeout_ms);
        }
        s->used += n > 0 ? (size_t)n : 0;
        s->text[s->used] = 0;
    }
}

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for `text` behind `from`; the place behind it. */
static size_t screen_await(screen *s, size_t from, const char *text)
{
    for (const long long until = now_ms() + PATIENCE_MS; now_ms() < until;) {
        const char *found = strstr(s->text + from, text);
        if (found) {
            return (size_t)(found - s->text) + strlen(text);
        }
        screen_read(s, 50);
    }
    fail_msg("\"%s\" did not come; the screen had: %s", text, s->text + from);
    return 0;
}

static bool echoes(const screen *s)
{
    struct termios t;
    assert_int_equal(tcgetattr(s->fd, &t), 0);
    return (t.c_lflag & ECHO) != 0 && (t.c_lflag & ICANON) != 0;
}

static int screen_close(screen *s)
{
    int status;
    const long long until = now_ms() + PATIENCE_MS;
    while (waitpid(s->pid, &status, WNOHANG) == 0) {
        screen_read(s, 20); /* a full terminal would hold it up */
        assert_true(now_ms() < until);
    }
    screen_read(s, 0);
    return status;
}

static void a_screen_is_live_and_leaves_the_terminal_as_it_was(void **state)
{
    (void)state;
    screen s = screen_open(daemon_.dir, 60, 22);
    size_t at_byte = screen_await(&s, 0, "\033[2J\033[H");
    assert_false(echoes(&s));
    at_byte = screen_await(&s, at_byte, "alpha");
    assert_int_equal(write(s.fd, "r", 1), 1);
    at_byte = screen_await(&s, at_byte, "gamma"); /* sorted by rate, it comes before the others */
    /* Sorting takes effect with the next message: then gamma is the first cluster of a frame. */
    for (int frame = 0;; frame++) {
        assert_true(frame < 200);
        const size_t home = screen_await(&s, at_byte, "\033[H");
        at_byte = screen_await(&s, home, "\033[J");
        const char *gamma = strstr(s.text + home, "gamma"), *alpha = strstr(s.text + home, "alpha");
        if (gamma && gamma < s.text + at_byte && (!alpha || gamma < alpha)) {
            break;
        }
    }
    /* No line is longer than the terminal is wide. */
    const char *frame = strstr(s.text, "\033[H");
    for (const char *line = frame + 3; line < s.text + at_byte; line = strstr(line, "\r\n") + 2) {
        const char *end = strstr(line, "\033[K");
        if (!end || end > s.text + at_byte || line[0] == '\033') {
            break;
        }
        assert_true(end - line <= 60);
    }
    assert_int_equal(kill(s.pid, SIGINT), 0);
    const int status = screen_close(&s);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(echoes(&s));
    screen_await(&s, 0, "\033[?25l"); /* the cursor went ... */
    screen_await(&s, 0, "\033[?25h"); /* ... and is back */
    close(s.fd);
    free(s.text);
}

static void a_stopped_screen_gives_the_terminal_back(void **state)
{
    (void)state;
    screen s = screen_open(daemon_.dir, 120, 40);
    size_t place = screen_await(&s, 0, "alpha");
    int status;
    assert_int_equal(kill(s.pid, SIGTSTP), 0);
    const long long until = now_ms() + PATIENCE_MS;
    while (waitpid(s.pid, &status, WUNTRACED | WNOHANG) == 0) {
        screen_read(&s, 20);
        assert_true(now_ms() < until);
    }
    assert_true(WIFSTOPPED(status));
    assert_true(echoes(&s));
    screen_read(&s, 0);
    place = s.used;
    assert_int_equal(kill(s.pid, SIGCONT), 0);
    place = screen_await(&s, place, "\033[?25l");
    assert_false(echoes(&s));
    atomic_store(&daemon_.restarted, true);
    place = screen_await(&s, place, "; restarted");
    screen_await(&s, place, "alpha");
    assert_int_equal(write(s.fd, "q", 1), 1);
    status = screen_close(&s);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(echoes(&s));
    close(s.fd);
    free(s.text);
}

/* The quit key, and a terminal that is closed while something else still has it. */
static void no_signal_of_a_terminal_leaves_it_raw(void **state)
{
    (void)state;
    static const int signals[] = {SIGQUIT, SIGHUP};
    for (size_t k = 0; k < sizeof signals / sizeof signals[0]; k++) {
        screen s = screen_open(daemon_.dir, 120, 40);
        screen_await(&s, 0, "alpha");
        assert_int_equal(kill(s.pid, signals[k]), 0);
        const int status = screen_close(&s);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_true(echoes(&s));
        screen_await(&s, 0, "\033[?25h");
        close(s.fd);
        free(s.text);
    }
}

static void a_daemon_that_is_gone_is_told_on_the_screen(void **state)
{
    (void)state;
    screen s = screen_open(daemon_.dir, 120, 40);
    size_t place = screen_await(&s, 0, "alpha");
    atomic_store(&daemon_.telemetry, false);
    place = screen_await(&s, place, "no telemetry: is beamd still there?");
    atomic_store(&daemon_.telemetry, true);
    screen_await(&s, place, "alpha");
    assert_int_equal(kill(s.pid, SIGTERM), 0);
    const int status = screen_close(&s);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(echoes(&s));
    close(s.fd);
    free(s.text);
}

static void a_full_disk_is_no_success(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        skip();
    }
    static const char *const words[] = {"status", "watch", "--json watch"};
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
        char command[512];
        snprintf(command, sizeof command,
                 "timeout 20 %s --runtime-dir %s %s > /dev/full 2> /dev/null", BEAMCTL_BINARY,
                 daemon_.dir, words[k]);
        const int status = system(command);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_front_is_drawn_with_the_present_answers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_busy_daemon_is_asked_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_front_is_valid_json_whatever_it_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_front_is_drawn_as_svg, set_up, tear_down),
        cmocka_unit_test_setup_teardown(named_preferences_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_configuration_is_shown_checked_and_reloaded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_log_and_the_end_are_ruled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_set_of_solutions_is_watched_line_by_line, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(clusters_that_come_later_are_watched_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(odd_texts_and_numbers_stay_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_frame_of_top_has_rates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_screen_is_live_and_leaves_the_terminal_as_it_was, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_signal_of_a_terminal_leaves_it_raw, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stopped_screen_gives_the_terminal_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_daemon_that_is_gone_is_told_on_the_screen, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_no_success, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("beamctl, fake daemon", tests, NULL, NULL);
}
