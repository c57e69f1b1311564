/* Real time: lists of cores, and that what is asked for is had or refused with what to grant. Each
 * start is tried in a process of its own, as it changes the whole process. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "realtime.h"

static void lists_of_cores_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned count;
        int cpu[8];
    } cases[] = {
        {"", 0, {0}},
        {"0", 1, {0}},
        {"2,3,6-9", 6, {2, 3, 6, 7, 8, 9}},
        {"5,1-2", 3, {5, 1, 2}},
        {"7-7", 1, {7}},
        {"1023", 1, {1023}},
    };
    static beamd_cpu_list list;
    const char *why;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        assert_true(beamd_cpus_parse(cases[k].text, &list, &why));
        assert_int_equal(list.count, cases[k].count);
        assert_memory_equal(list.cpu, cases[k].cpu, cases[k].count * sizeof(int));
    }
    assert_true(beamd_cpus_parse("0-1023", &list, &why));
    assert_int_equal(list.count, 1024);
}

static void what_is_no_list_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {",",           "1,",  ",1",    "1,,2", "-1",
                                        "3-2",         "1-",  "a",     "1 ,2", "1024",
                                        "99999999999", "0x1", "1-2-3", "+1",   " 1"};
    static const char *const twice[] = {"1,1", "0-3,2", "2,0-3", "0-1023,5"};
    static beamd_cpu_list list;
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        const char *why = NULL;
        assert_false(beamd_cpus_parse(wrong[k], &list, &why));
        assert_string_equal(why, "not a list of cores as 2,3,6-9, each below 1024");
    }
    for (size_t k = 0; k < sizeof twice / sizeof twice[0]; k++) {
        const char *why = NULL;
        assert_false(beamd_cpus_parse(twice[k], &list, &why));
        assert_string_equal(why, "names a core twice");
    }
}

typedef struct outcome {
    bool started, entered;
    char why[512];
    int policy, priority, after_policy;
    unsigned cores; /* that the process may use after the start */
    unsigned long locked_kib;
    beamd_realtime realtime;
} outcome;

static unsigned long locked_kib(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmLck: %lu", &kib) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return kib;
}

/* Without the right to anything special: no capability, no limit above zero. */
static void give_rights_up(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_RTPRIO, &none);
    setrlimit(RLIMIT_MEMLOCK, &none);
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) {
        _exit(2);
    }
}

static void in_child(const char *settings, bool with_rights, outcome *out)
{
    static beamd_realtime realtime;
    beamd_config config;
    beamd_config_error err;
    if (!with_rights) {
        give_rights_up();
    }
    beamd_config_default(&config);
    if (!beamd_config_parse(&config, "test", settings, strlen(settings), &err)) {
        snprintf(out->why, sizeof out->why, "%s", err.text);
        return;
    }
    out->started = beamd_realtime_start(&realtime, &config, out->why, sizeof out->why);
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    out->cores = (unsigned)CPU_COUNT(&set);
    out->locked_kib = locked_kib();
    out->realtime = realtime;
    if (out->started) {
        struct sched_param param;
        out->entered = beamd_realtime_enter(&realtime, out->why, sizeof out->why);
        out->policy = sched_getscheduler(0);
        sched_getparam(0, &param);
        out->priority = param.sched_priority;
    }
    beamd_realtime_stop(&realtime);
    out->after_policy = sched_getscheduler(0);
}

static const outcome *try_start(const char *settings, bool with_rights)
{
    static outcome out;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        memset(&out, 0, sizeof out);
        in_child(settings, with_rights, &out);
        _exit(write(ends[1], &out, sizeof out) == (ssize_t)sizeof out ? 0 : 1);
    }
    close(ends[1]);
    size_t got = 0;
    ssize_t n;
    while (got < sizeof out && (n = read(ends[0], (char *)&out + got, sizeof out - got)) > 0) {
        got += (size_t)n;
    }
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(got, sizeof out);
    return &out;
}

static void nothing_asked_for_changes_nothing(void **state)
{
    (void)state;
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    const outcome *it = try_start("", false);
    assert_true(it->started && it->entered);
    assert_int_equal(it->policy, SCHED_OTHER);
    assert_int_equal(it->cores, CPU_COUNT(&set));
    beamd_pool_options options = {.name = "x"};
    beamd_realtime_place(&it->realtime, BEAMD_CREW_KIND_SOLVER, &options);
    assert_int_equal(options.cpu_count, 0);
    assert_int_equal(options.priority, 0);
    assert_int_equal(beamd_realtime_io_cpu(&it->realtime), -1);
}

static void a_core_that_is_not_there_is_named(void **state)
{
    (void)state;
    static const char *const keys[] = {"worker_cpus", "loop_cpu", "io_cpu"};
    for (int k = 0; k < 3; k++) {
        char settings[64], start[64];
        snprintf(settings, sizeof settings, "%s = 1023", keys[k]);
        snprintf(start, sizeof start, "%s: core 1023 is not one that this process may use (",
                 keys[k]);
        const outcome *it = try_start(settings, true);
        assert_false(it->started);
        assert_int_equal(strncmp(it->why, start, strlen(start)), 0);
    }
}

static void rights_that_are_missing_are_named(void **state)
{
    (void)state;
    const outcome *it = try_start("realtime_priority = 10", false);
    assert_false(it->started);
    assert_string_equal(it->why,
                        "realtime_priority: SCHED_FIFO 11 is refused (Operation not permitted): "
                        "grant LimitRTPRIO=11 (systemd, with RestrictRealtime=no; ulimit -r 11 in "
                        "a shell) or CAP_SYS_NICE, or set it to 0");
    it = try_start("lock_memory = yes", false);
    assert_false(it->started);
    assert_non_null(strstr(it->why, "lock_memory: 0 MiB may be locked, 1600 are needed"));
    assert_non_null(strstr(it->why, "LimitMEMLOCK=infinity"));
    assert_int_equal(it->locked_kib, 0);
}

/* As root of a whole machine these are had, in a container they are refused: never neither. */
static void what_is_asked_for_is_had_or_refused(void **state)
{
    (void)state;
    const outcome *it = try_start("realtime_priority = 10", true);
    if (it->started) {
        assert_true(it->entered);
        assert_int_equal(it->policy, SCHED_FIFO);
        assert_int_equal(it->priority, 11);
        assert_int_equal(it->realtime.worker_priority, 10);
    } else {
        assert_non_null(strstr(it->why, "realtime_priority: SCHED_FIFO 11 is refused"));
    }
    assert_int_equal(it->after_policy, SCHED_OTHER);
    it = try_start("lock_memory = yes\nmemory_mib = 1\nprefault_mib = 16", true);
    if (it->started) {
        assert_true(it->locked_kib >= 16 * 1024);
    } else {
        assert_non_null(strstr(it->why, "lock_memory: "));
    }
}

static void cores_are_given_away_once(void **state)
{
    (void)state;
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    int cpu[2], count = 0;
    for (int c = 0; c < CPU_SETSIZE && count < 2; c++) {
        if (CPU_ISSET((size_t)c, &set)) {
            cpu[count++] = c;
        }
    }
    if (count < 2) {
        skip(); /* one core: there is nothing to share out */
    }
    char settings[128];
    snprintf(settings, sizeof settings, "worker_cpus = %d", cpu[1]);
    const outcome *it = try_start(settings, true);
    assert_true(it->started);
    assert_int_equal(it->cores, CPU_COUNT(&set) - 1);
    beamd_pool_options options = {.name = "x"};
    beamd_realtime_place(&it->realtime, BEAMD_CREW_KIND_SOLVER, &options);
    assert_int_equal(options.cpu_count, 1);
    assert_int_equal(options.cpus[0], cpu[1]);
    assert_false(options.cpus_shared);
    beamd_realtime_place(&it->realtime, BEAMD_CREW_KIND_BACKGROUND, &options);
    assert_int_equal(options.cpu_count, it->cores);
    assert_true(options.cpus_shared);
    for (unsigned c = 0; c < options.cpu_count; c++) {
        assert_int_not_equal(options.cpus[c], cpu[1]);
    }
    snprintf(settings, sizeof settings, "loop_cpu = %d\nio_cpu = %d", cpu[0], cpu[1]);
    it = try_start(settings, true);
    assert_true(it->started && it->entered);
    assert_int_equal(beamd_realtime_io_cpu(&it->realtime), cpu[1]);
    assert_int_equal(it->cores, CPU_COUNT(&set) == 2 ? 2 : CPU_COUNT(&set) - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_cores_are_read),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(nothing_asked_for_changes_nothing),
        cmocka_unit_test(a_core_that_is_not_there_is_named),
        cmocka_unit_test(rights_that_are_missing_are_named),
        cmocka_unit_test(what_is_asked_for_is_had_or_refused),
        cmocka_unit_test(cores_are_given_away_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
