/* Every backend made to fail in every way, under load of several clusters: each request is answered
 * exactly once, late ones say so, none is worse than the classical design; the backend is left
 * alone and taken back; threads that hang are replaced; the process lives and ends in time. */
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault/traffic.h"

enum {
    DEADLINE_US = 60000,
    HANG_MS = 200,
    ANSWER_MS = 20000, /* a loaded machine; the promise in the daemon's own numbers is exact */
    REFUSED_NUMERIC = 1 << BEAMC_REFUSAL_NUMERIC,
    REFUSED_BUSY = 1 << BEAMC_REFUSAL_BUSY,
    REFUSED_DRAINING = 1 << BEAMC_REFUSAL_DRAINING
};

static test_daemon daemon_;
static traffic *traffic_;

static void reload(const char *method, const char *fault)
{
    char text[512];
    char *metrics = test_daemon_metrics(&daemon_);
    const double before = test_metric(metrics, "beamd_config_reloads_total");
    free(metrics);
    snprintf(text, sizeof text, "solve_method = %s\nfault = \"%s\"\n", method, fault);
    test_daemon_configure(&daemon_, text);
    kill(daemon_.pid, SIGHUP);
    for (const double end_s = test_now_s() + 20;;) {
        metrics = test_daemon_metrics(&daemon_);
        const bool taken = test_metric(metrics, "beamd_config_reloads_total") > before;
        free(metrics);
        if (taken) {
            return;
        }
        if (test_now_s() > end_s) {
            fail_msg("the configuration was not read again: %s", test_daemon_log(&daemon_));
        }
        poll(NULL, 0, 10);
    }
}

static const char *const settings[] = {"workers = 2",
                                       "deadline_max_ms = 60000",
                                       "hang_ms = 200",
                                       "backend_retry_ms = 50",
                                       "backend_retry_max_ms = 400",
                                       "drain_ms = 1000",
                                       "log_level = notice",
                                       NULL};

static int set_up(void **state)
{
    (void)state;
    test_daemon_start_configured(&daemon_, "fault = \"\"\n", settings, 0);
    traffic_ = traffic_new(&daemon_, &(traffic_options){.clusters = 4,
                                                        .rate_hz = 25,
                                                        .deadline_us = DEADLINE_US,
                                                        .check_every = 2,
                                                        .answer_ms = ANSWER_MS});
    traffic_run(traffic_, 1);
    traffic_settle(traffic_);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    traffic_free(traffic_);
    return test_daemon_stop(&daemon_) == 0 ? 0 : -1;
}

/* --- metrics of one backend --- */

static double of_backend(const char *metrics, const char *name, const char *backend,
                         const char *health)
{
    char sample[128];
    if (health) {
        snprintf(sample, sizeof sample, "%s{backend=\"%s\",health=\"%s\"}", name, backend, health);
    } else {
        snprintf(sample, sizeof sample, "%s{backend=\"%s\"}", name, backend);
    }
    return test_metric(metrics, sample);
}

typedef struct seen {
    double failures, failing, good, retries, lost, replaced, lost_now, healthy, below, problems;
} seen;

static seen look(const char *backend)
{
    char *m = test_daemon_metrics(&daemon_);
    const seen out = {.failures = of_backend(m, "beamd_batch_failures_total", backend, NULL),
                      .problems = of_backend(m, "beamd_problems_total", backend, NULL),
                      .failing =
                          of_backend(m, "beamd_backend_transitions_total", backend, "failing"),
                      .good = of_backend(m, "beamd_backend_transitions_total", backend, "good"),
                      .healthy = of_backend(m, "beamd_backend_health", backend, "good"),
                      .retries = of_backend(m, "beamd_backend_retries_total", backend, NULL),
                      .lost = test_metric(m, "beamd_threads_lost_total"),
                      .replaced = test_metric(m, "beamd_threads_replaced_total"),
                      .lost_now = test_metric(m, "beamd_threads_lost"),
                      .below = test_metric(m, "beamd_below_classical_total")};
    free(m);
    return out;
}

/* --- the cases --- */

typedef struct fault_case {
    const char *method, *fault, *backend;
    const char *after; /* the fault that stays while the backend comes back */
    bool fails;        /* often enough that the backend is left alone */
    bool hangs;        /* threads are lost */
    unsigned refusals;
} fault_case;

static void print_count(const fault_case *k, const traffic_count *n, const seen *from,
                        const seen *to)
{
    print_message("%-9s %-32s sent %llu full %llu reduced %llu checked %llu held %llu late %llu "
                  "superseded %llu numeric %llu busy %llu; most %.0f ms; failing %.0f good %.0f "
                  "lost %.0f\n",
                  k->method, k->fault, (unsigned long long)n->sent,
                  (unsigned long long)n->service[0], (unsigned long long)n->service[1],
                  (unsigned long long)n->service[2], (unsigned long long)n->service[3],
                  (unsigned long long)n->late,
                  (unsigned long long)n->refused[BEAMC_REFUSAL_SUPERSEDED],
                  (unsigned long long)n->refused[BEAMC_REFUSAL_NUMERIC],
                  (unsigned long long)n->refused[BEAMC_REFUSAL_BUSY], n->round_trip_most_ms,
                  to->failing - from->failing, to->good - from->good, to->lost - from->lost);
}

/* Under traffic, until the backend is good again, no thread is lost and answers are whole. */
static void recover(const fault_case *k, const char *fault, unsigned service)
{
    reload(k->method, fault);
    for (const double end_s = test_now_s() + 30;;) {
        traffic_settle(traffic_);
        traffic_clear(traffic_);
        traffic_run(traffic_, 0.3);
        traffic_settle(traffic_);
        const traffic_count *n = traffic_counted(traffic_);
        const seen now = look(k->backend);
        const bool whole = TEST_SLOWED ? n->answered > 0 : 2 * n->service[service] > n->answered;
        if (now.healthy == 1 && now.lost_now == 0 && whole) {
            traffic_expect_refusals(traffic_, 0);
            return;
        }
        if (test_now_s() > end_s) {
            print_count(k, n, &now, &now);
            fail_msg("%s: not good again (healthy %g, lost %g): %s", k->fault, now.healthy,
                     now.lost_now, test_daemon_log(&daemon_));
        }
    }
}

static void run_case(const fault_case *k)
{
    reload(k->method, "");
    traffic_run(traffic_, 0.3);
    traffic_settle(traffic_);
    traffic_clear(traffic_);
    const seen from = look(k->backend);
    reload(k->method, k->fault);
    traffic_run(traffic_, 1.2);
    traffic_settle(traffic_);
    const seen during = look(k->backend);
    print_count(k, traffic_counted(traffic_), &from, &during);
    traffic_expect_refusals(traffic_, k->refusals);
    assert_true(during.problems > from.problems || k->hangs);
    if (k->fails) {
        assert_true(during.failures > from.failures || k->hangs);
        assert_true(during.failing > from.failing);
        assert_true(during.retries > from.retries);
    }
    if (k->hangs) {
        assert_true(during.lost > from.lost);
        assert_true(during.replaced - from.replaced == during.lost - from.lost);
    }
    if (k->after[0]) {
        recover(k, k->after, BEAMC_SERVICE_CHECKED);
    }
    recover(k, "", BEAMC_SERVICE_FULL);
    const seen to = look(k->backend);
    assert_true(!k->fails || to.good > from.good);
    assert_true(to.below == 0);
    assert_int_equal(kill(daemon_.pid, 0), 0);
}

static void run_cases(const fault_case *cases, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        run_case(&cases[k]);
    }
}

static void the_network_fails(void **state)
{
    (void)state;
    static const fault_case cases[] = {
        {"network", "network=fail", "network", "", true, false, 0},
        {"network", "network=nan", "network", "", true, false, 0},
        {"network", "network=slow:150ms", "network", "", false, false, 0},
        {"network", "network=fail@0.3", "network", "", false, false, 0},
        {"network", "network=hang:100ms@0.2", "network", "", false, false, 0},
        {"network", "network=hang", "network", "", true, true, 0},
        {"network", "network=hang@0.1", "network", "", false, false, 0},
    };
    run_cases(cases, sizeof cases / sizeof cases[0]);
}

static void the_solver_fails(void **state)
{
    (void)state;
    static const fault_case cases[] = {
        {"boblrbf", "solver=fail", "solver", "", true, false, 0},
        {"boblrbf", "solver=nan", "solver", "", true, false, 0},
        {"boblrbf", "solver=slow:150ms", "solver", "", false, false, 0},
        {"boblrbf", "solver=nan@0.3", "solver", "", false, false, 0},
        {"boblrbf", "solver=hang:100ms@0.2", "solver", "", false, false, 0},
        {"boblrbf", "solver=hang", "solver", "", true, true, 0},
        {"network", "network=fail,solver=fail", "network", "", true, false, 0},
    };
    run_cases(cases, sizeof cases / sizeof cases[0]);
}

/* The solver is made to fail too, so that the check is asked. Nothing is left then but to say so:
 * an Error, or the beams of before. */
static void the_check_fails(void **state)
{
    (void)state;
    static const fault_case cases[] = {
        {"boblrbf", "solver=fail,check=fail", "check", "solver=fail", true, false, REFUSED_NUMERIC},
        {"boblrbf", "solver=fail,check=nan", "check", "solver=fail", true, false, REFUSED_NUMERIC},
        {"boblrbf", "solver=fail,check=slow:150ms", "check", "solver=fail", false, false,
         REFUSED_BUSY},
        {"boblrbf", "solver=fail,check=fail@0.3", "check", "solver=fail", false, false,
         REFUSED_NUMERIC},
        {"boblrbf", "solver=fail,check=hang:100ms@0.2", "check", "solver=fail", false, false, 0},
        {"boblrbf", "solver=fail,check=hang", "check", "solver=fail", true, true, REFUSED_BUSY},
    };
    run_cases(cases, sizeof cases / sizeof cases[0]);
}

/* What threads, tasks and batches took when others were lost is given back: after a warm-up the
 * resident memory of many rounds of lost threads stays where it was. */
static void memory_stays_flat(void **state)
{
    (void)state;
    enum { ROUNDS = 14, WARM = 4 };
    const fault_case hang = {"network", "network=hang", "network", "", true, true, 0};
    double warm_kib = 0, last_kib = 0;
    reload(hang.method, "");
    const seen from = look("network");
    for (int round = 0; round < ROUNDS; round++) {
        reload(hang.method, hang.fault);
        traffic_run(traffic_, 0.8);
        recover(&hang, "", BEAMC_SERVICE_FULL);
        last_kib = test_daemon_resident_kib(&daemon_);
        warm_kib = round < WARM ? fmax(warm_kib, last_kib) : warm_kib;
    }
    const seen to = look("network");
    print_message("%.0f threads lost; resident %.0f KiB after %d rounds, %.0f KiB after %d\n",
                  to.lost - from.lost, warm_kib, (int)WARM, last_kib, (int)ROUNDS);
    assert_true(to.lost - from.lost >= ROUNDS);
    if (!TEST_SANITIZED) { /* whose allocators keep what is freed */
        assert_true(last_kib <= 1.05 * warm_kib);
    }
}

/* SIGTERM with threads that hang without end: what was accepted is answered, and the process ends
 * with status 0 within drain_ms and what is granted to threads told to give up. */
static void drain_works_while_threads_hang(void **state)
{
    (void)state;
    enum { DRAIN_MS = 1000, GIVE_UP_MS = 2000, LOADED_MS = 5000 };
    static const char *const faults[] = {"network=hang", "network=hang,check=hang"};
    for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++) {
        char config[128];
        test_daemon d;
        snprintf(config, sizeof config, "fault = \"%s\"\n", faults[k]);
        test_daemon_start_configured(&d, config, settings, 0);
        traffic *t = traffic_new(
            &d, &(traffic_options){
                    .clusters = 3, .rate_hz = 25, .deadline_us = 500000, .answer_ms = ANSWER_MS});
        traffic_run(t, 0.3);
        kill(d.pid, SIGTERM);
        const double begin_s = test_now_s();
        traffic_run(t, 0.3);
        traffic_settle(t);
        const double answered_s = test_now_s() - begin_s;
        traffic_expect_refusals(t, REFUSED_DRAINING | REFUSED_BUSY | REFUSED_NUMERIC);
        assert_int_equal(test_daemon_wait(&d, DRAIN_MS + GIVE_UP_MS + LOADED_MS), 0);
        print_message("%s: all answered after %.2f s, ended after %.2f s\n", faults[k], answered_s,
                      test_now_s() - begin_s);
        assert_true(traffic_counted(t)->refused[BEAMC_REFUSAL_DRAINING] > 0);
        traffic_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_network_fails),
        cmocka_unit_test(the_solver_fails),
        cmocka_unit_test(the_check_fails),
        cmocka_unit_test(memory_stays_flat),
        cmocka_unit_test(drain_works_while_threads_hang),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
