/* The configuration: defaults, the documented file, errors that say file, line, key and why. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"

static bool parse(beamd_config *config, const char *text, beamd_config_error *err)
{
    beamd_config_default(config);
    return beamd_config_parse(config, "x.conf", text, strlen(text), err);
}

static void the_documented_file_is_the_table(void **state)
{
    (void)state;
    static char tree[65536], dump[65536];
    FILE *file = fopen(BEAMD_CONF, "r");
    assert_non_null(file);
    const size_t n = fread(tree, 1, sizeof tree, file);
    fclose(file);
    assert_int_equal(beamd_config_dump(dump, sizeof dump), n);
    assert_memory_equal(tree, dump, n); /* else: beamd --dump-config > config/beamd.conf */
    beamd_config config, defaults;
    beamd_config_error err;
    beamd_config_default(&defaults);
    beamd_config_default(&config);
    assert_true(beamd_config_read(&config, BEAMD_CONF, &err));
    assert_int_equal(beamd_config_changes(&defaults, &config, NULL, NULL), 0);
}

static void every_error_says_where_and_why(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"no_such_key = 1\n", "x.conf:1: no_such_key: unknown key"},
        {"# c\n\nworkers = 1\nworkers = 2\n", "x.conf:4: workers: already set in line 3"},
        {"workers 1\n", "x.conf:1: workers 1: expected 'key = value'"},
        {"workers =\n", "x.conf:1: workers: value missing"},
        {"workers = one\n", "x.conf:1: workers: not a whole number (allowed: 0 to 64 threads)"},
        {"workers = 1 2\n", "x.conf:1: workers: not a whole number (allowed: 0 to 64 threads)"},
        {"workers = 65\n", "x.conf:1: workers: outside its range (allowed: 0 to 64 threads)"},
        {"workers = 99999999999999999999\n",
         "x.conf:1: workers: not a whole number (allowed: 0 to 64 threads)"},
        {"tradeoff = nan\n", "x.conf:1: tradeoff: not a number (allowed: 0 to 1)"},
        {"tradeoff = 1.5\n", "x.conf:1: tradeoff: outside its range (allowed: 0 to 1)"},
        {"log_level = loud\n", "x.conf:1: log_level: not one of the words allowed (allowed: "
                               "err|warning|notice|info|debug)"},
        {"runtime_dir = \"/a\n", "x.conf:1: runtime_dir: stray quote (at most 79 bytes)"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        beamd_config config, defaults;
        beamd_config_error err;
        beamd_config_default(&defaults);
        assert_false(parse(&config, cases[k].text, &err));
        assert_string_equal(err.text, cases[k].error);
        assert_memory_equal(&config, &defaults, sizeof config); /* all or nothing */
    }
}

static void nothing_is_cut_short_silently(void **state)
{
    (void)state;
    beamd_config config;
    beamd_config_error err;
    char text[2048];
    snprintf(text, sizeof text, "runtime_dir = /%0100d\n", 1);
    assert_false(parse(&config, text, &err));
    assert_non_null(strstr(err.text, "value too long"));
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    assert_false(parse(&config, text, &err));
    assert_string_equal(err.text, "x.conf:1: line longer than 1023 bytes");
    beamd_config_default(&config);
    assert_false(beamd_config_parse(&config, "x.conf", "workers = 1\0 2\n", 15, &err));
    assert_string_equal(err.text, "x.conf:1: NUL byte in the line");
    assert_false(beamd_config_read(&config, "/nonexistent/beamd.conf", &err));
    assert_string_equal(err.text, "/nonexistent/beamd.conf: No such file or directory");
}

static void values_arrive(void **state)
{
    (void)state;
    beamd_config config;
    beamd_config_error err;
    assert_true(parse(&config,
                      "  workers=3  \r\n# comment\n\truntime_dir = \"/run/x y\"\ntradeoff = 1e-1\n"
                      "log_level = debug",
                      &err));
    assert_int_equal(config.workers, 3);
    assert_string_equal(config.runtime_dir, "/run/x y");
    assert_true(config.tradeoff == 0.1);
    assert_string_equal(config.log_level, "debug");
}

static void only_guarded_endpoints_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool good;
    } cases[] = {
        {"csi_endpoint = tcp://127.0.0.1:5555", true},
        {"csi_endpoint = tcp://[::1]:5555", true},
        {"csi_endpoint = tcp://localhost:5555", true},
        {"csi_endpoint = ipc:///run/beamd/x", true},
        {"csi_endpoint = tcp://0.0.0.0:5555", false},
        {"csi_endpoint = tcp://*:5555", false},
        {"csi_endpoint = tcp://127.0.0.1.example.org:5555", false},
        {"csi_endpoint = tcp://127.0.0.1:99999", false},
        {"csi_endpoint = tcp://10.0.0.1:5555", false},
        {"csi_endpoint = ipc://relative", false},
        {"csi_endpoint = inproc://x", false},
        {"metrics_endpoint = tcp://127.0.0.1:9100", true},
        {"metrics_endpoint = off", true},
        {"metrics_endpoint = tcp://0.0.0.0:9100", false},
        {"metrics_endpoint = unix:relative", false},
        {"runtime_dir = relative", false},
        {"csi_endpoint = ipc:///run/beamd/x\nbeams_endpoint = ipc:///run/beamd/x", false},
        {"csi_endpoint = ipc:///run/beamd/x\nmetrics_endpoint = unix:/run/beamd/x", false},
        {"beams_endpoint = tcp://127.0.0.1:5\ncontrol_endpoint = tcp://127.0.0.1:5", false},
        {"beams_endpoint = tcp://127.0.0.1:5\ncontrol_endpoint = tcp://127.0.0.1:6", true},
        {"telemetry_endpoint = off", true},
        {"telemetry_endpoint = tcp://0.0.0.0:5", false},
        {"telemetry_endpoint = tcp://127.0.0.1:5\ncontrol_endpoint = tcp://127.0.0.1:5", false},
        {"curve_dir = keys", false},
        /* with keys (whose files are read later) anything may be bound, if it is a place */
        {"curve_dir = /k\ncsi_endpoint = tcp://0.0.0.0:5555", true},
        {"curve_dir = /k\ncsi_endpoint = tcp://*:5555", true},
        {"curve_dir = /k\nbeams_endpoint = tcp://[::]:5555", true},
        {"curve_dir = /k\ncontrol_endpoint = tcp://eth0:5555", true},
        {"curve_dir = /k\ntelemetry_endpoint = tcp://10.0.0.1:5555", true},
        {"curve_dir = /k\ncsi_endpoint = tcp://0.0.0.0", false},
        {"curve_dir = /k\ncsi_endpoint = tcp://0.0.0.0:99999", false},
        {"curve_dir = /k\ncsi_endpoint = tcp://:5555", false},
        {"curve_dir = /k\nmetrics_endpoint = tcp://0.0.0.0:9100", false}, /* HTTP has no keys */
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        beamd_config config;
        beamd_config_error err;
        assert_true(parse(&config, cases[k].line, &err));
        if (beamd_config_resolve(&config, &err) != cases[k].good) {
            fail_msg("%s: %s", cases[k].line, cases[k].good ? err.text : "accepted");
        }
    }
}

static void reload_takes_only_what_may_change(void **state)
{
    (void)state;
    beamd_config config, fresh;
    beamd_config_error err;
    const char *first = NULL;
    beamd_config_default(&config);
    assert_true(parse(&fresh, "tradeoff = 0.9\nworkers = 7\nclusters_max = 9\n", &err));
    assert_int_equal(beamd_config_reload(&config, &fresh, &first), 2);
    assert_string_equal(first, "workers");
    assert_true(config.tradeoff == 0.9);
    assert_int_equal(config.workers, 0);
}

/* Threads that spin under SCHED_FIFO need cores of their own: a file that gives both is good, but
 * the cores wait for a restart, and spinning would not. */
static void a_reload_is_judged_by_what_holds_afterwards(void **state)
{
    (void)state;
    beamd_config config, fresh;
    beamd_config_error err;
    assert_true(parse(&config, "realtime_priority = 40\n", &err));
    assert_true(beamd_config_resolve(&config, &err));
    assert_true(parse(&fresh, "realtime_priority = 40\nspin_us = 100\nworker_cpus = 0\n", &err));
    assert_true(beamd_config_resolve(&fresh, &err));
    assert_false(beamd_config_mixture_good(&config, &fresh, &err));
    assert_non_null(strstr(err.text, "x.conf:2: spin_us: with realtime_priority, threads that spin "
                                     "need cores of their own"));
    assert_non_null(strstr(err.text, "(worker_cpus of the file waits for a restart)"));
    assert_true(parse(&fresh, "realtime_priority = 40\nworker_cpus = 0\ntradeoff = 0.9\n", &err));
    assert_true(beamd_config_resolve(&fresh, &err));
    assert_true(beamd_config_mixture_good(&config, &fresh, &err));
}

typedef struct seen_change {
    int count;
    char text[512];
} seen_change;

static void see_change(void *arg, const char *name, const char *old_value, const char *new_value,
                       bool reloadable)
{
    seen_change *self = arg;
    const size_t used = strlen(self->text);
    snprintf(self->text + used, sizeof self->text - used, "%s %s -> %s%s\n", name, old_value,
             new_value, reloadable ? "" : " (restart)");
    self->count++;
}

static void changes_are_told_one_by_one(void **state)
{
    (void)state;
    beamd_config config, fresh;
    beamd_config_error err;
    seen_change seen = {0};
    beamd_config_default(&config);
    assert_true(parse(&fresh,
                      "tradeoff = 0.1\nworkers = 7\nlog_level = err\nmodel_file = \"/m x\"\n"
                      "drain_ms = 2000\n",
                      &err));
    assert_int_equal(beamd_config_changes(&config, &fresh, see_change, &seen), 4);
    assert_int_equal(seen.count, 4);
    assert_string_equal(seen.text, "model_file  -> /m x\nworkers 0 -> 7 (restart)\n"
                                   "tradeoff 0.5 -> 0.1\nlog_level info -> err\n");
    assert_int_equal(beamd_config_changes(&fresh, &fresh, see_change, &seen), 0);
}

/* Every value as text, read back, is the same configuration. */
static void values_go_out_as_they_came_in(void **state)
{
    (void)state;
    static char text[65536];
    beamd_config config, again;
    beamd_config_error err;
    beamd_config_setting it;
    assert_true(parse(&config,
                      "\ntradeoff = 0.30000000000000004\nworkers = 7\nruntime_dir = /run/x\n"
                      "solver_tolerance = 1e-7\n",
                      &err));
    size_t used = 0;
    int index = 0;
    for (; beamd_config_value(&config, index, &it); index++) {
        if (it.value[0]) {
            used +=
                (size_t)snprintf(text + used, sizeof text - used, "%s = %s\n", it.name, it.value);
        }
        if (strcmp(it.name, "workers") == 0) {
            assert_string_equal(it.value, "7");
            assert_string_equal(it.fallback, "0");
            assert_string_equal(it.unit, "threads");
            assert_string_equal(it.source, "x.conf");
            assert_int_equal(it.line, 3);
            assert_false(it.reloadable);
        }
        if (strcmp(it.name, "drain_ms") == 0) {
            assert_string_equal(it.source, "");
            assert_true(it.reloadable);
        }
    }
    assert_true(index > 50);
    assert_false(beamd_config_value(&config, -1, &it));
    assert_true(used < sizeof text);
    if (!parse(&again, text, &err)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(beamd_config_changes(&config, &again, NULL, NULL), 0);
}

/* What only the whole configuration shows is reported with its place, too. */
static void later_errors_say_where_as_well(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"\nruntime_dir = here\n", "x.conf:2: runtime_dir: not an absolute path"},
        {"csi_endpoint = inproc://x\n", "x.conf:1: csi_endpoint: must begin with ipc:// or tcp://"},
        {"\n\nworker_cpus = 3-2\n",
         "x.conf:3: worker_cpus: not a list of cores as 2,3,6-9, each below 1024"},
        {"worker_cpus = 1,2,1\n", "x.conf:1: worker_cpus: names a core twice"},
        {"loop_cpu = 1-2\n", "x.conf:1: loop_cpu: one core only"},
        {"io_cpu = x\n", "x.conf:1: io_cpu: not a list of cores as 2,3,6-9, each below 1024"},
        {"realtime_priority = 5\nspin_us = 10\n",
         "x.conf:2: spin_us: with realtime_priority, threads that spin need cores of their own: "
         "set worker_cpus"},
        {"backend_retry_ms = 20000\n",
         "x.conf:1: backend_retry_ms: longer than backend_retry_max_ms"},
        {"deadline_max_ms = 10\n", "config: deadline_us: longer than deadline_max_ms"},
        {"model_file = m\n", "x.conf:1: model_file: must be an absolute path"},
#ifndef BEAMD_FAULTS
        {"fault = network=nan\n", "x.conf:1: fault: this program was built without BEAMD_FAULTS"},
#endif
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        beamd_config config;
        beamd_config_error err;
        assert_true(parse(&config, cases[k].text, &err));
        assert_false(beamd_config_resolve(&config, &err));
        assert_string_equal(err.text, cases[k].error);
    }
}

/* A setting of the command line is reported as such, though the file has the key as well. */
static void the_last_source_is_named(void **state)
{
    (void)state;
    beamd_config config;
    beamd_config_error err;
    assert_true(parse(&config, "\nruntime_dir = /a\nworkers = 1\n", &err));
    static const char settings[] = "log_level = err\nruntime_dir = b\n";
    assert_true(beamd_config_parse(&config, "command line", settings, sizeof settings - 1, &err));
    assert_false(beamd_config_resolve(&config, &err));
    assert_string_equal(err.text, "command line:2: runtime_dir: not an absolute path");
    beamd_config_refuse(&config, &err, "workers", "too %s", "many");
    assert_string_equal(err.text, "x.conf:3: workers: too many");
    beamd_config_refuse(&config, &err, "no_such_key", "unknown");
    assert_string_equal(err.text, "config: no_such_key: unknown");
}

static void cores_decide_the_number_of_threads(void **state)
{
    (void)state;
    beamd_config config;
    beamd_config_error err;
    assert_true(parse(&config, "worker_cpus = 4-6,9\n", &err));
    assert_true(beamd_config_resolve(&config, &err));
    assert_int_equal(config.workers, 4);
    assert_true(parse(&config, "worker_cpus = 4-6,9\nworkers = 2\n", &err));
    assert_true(beamd_config_resolve(&config, &err));
    assert_int_equal(config.workers, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_file_is_the_table),
        cmocka_unit_test(every_error_says_where_and_why),
        cmocka_unit_test(nothing_is_cut_short_silently),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(only_guarded_endpoints_are_taken),
        cmocka_unit_test(reload_takes_only_what_may_change),
        cmocka_unit_test(a_reload_is_judged_by_what_holds_afterwards),
        cmocka_unit_test(changes_are_told_one_by_one),
        cmocka_unit_test(values_go_out_as_they_came_in),
        cmocka_unit_test(later_errors_say_where_as_well),
        cmocka_unit_test(the_last_source_is_named),
        cmocka_unit_test(cores_decide_the_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
