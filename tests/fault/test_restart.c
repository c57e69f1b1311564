/* kill -9 under load: the next process answers at once and warm, without being told anything. And a
 * change of preference holds from the next CSI on. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fault/traffic.h"

static const char *const settings[] = {"workers = 1", "state_ms = 100", "log_level = warning",
                                       NULL};

static const traffic_options options = {
    .clusters = 4, .rate_hz = 50, .deadline_us = 100000, .check_every = 3, .answer_ms = 20000};

static void the_first_answer_after_a_kill_is_warm(void **state)
{
    (void)state;
    enum { KILLS = 5, LIMIT_MS = 5000 };
    test_daemon d;
    double most_ms = 0;
    test_daemon_start(&d, settings, 0);
    traffic *t = traffic_new(&d, &options);
    for (int k = 0; k < KILLS; k++) {
        traffic_run(t, 1);
        test_daemon_kill(&d);
        traffic_reconnect(t);
        const double begin_s = test_now_s();
        bool warm = false;
        test_daemon_again(&d, settings, 0);
        const double ready_ms = 1e3 * (test_now_s() - begin_s);
        assert_true(traffic_first(t, 20, &warm));
        const double first_ms = 1e3 * (test_now_s() - begin_s);
        print_message("from the start of the process: ready after %.1f ms, first answer after "
                      "%.1f ms, %s\n",
                      ready_ms, first_ms, warm ? "warm" : "cold");
        assert_true(warm);
        most_ms = fmax(most_ms, first_ms);
        traffic_clear(t);
        traffic_run(t, 0.3);
        traffic_settle(t);
        traffic_expect_refusals(t, 0); /* every cluster, its users and targets are known */
        assert_int_equal(traffic_counted(t)->cold, 0);
        char *metrics = test_daemon_metrics(&d);
        assert_true(test_metric(metrics, "beamd_state_restored_total") == options.clusters);
        assert_true(test_metric(metrics, "beamd_requests_total{type=\"RegisterCluster\"}") == 0);
        assert_true(test_metric(metrics, "beamd_requests_total{type=\"TargetUpdate\"}") == 0);
        free(metrics);
    }
    assert_true(most_ms < LIMIT_MS); /* 500 ms on a machine of one's own */
    traffic_free(t);
    assert_int_equal(test_daemon_stop(&d), 0);
}

static void a_preference_holds_from_the_next_answer_on(void **state)
{
    (void)state;
    enum { CHANGES = 20 };
    test_daemon d;
    test_daemon_start(&d, settings, 0);
    traffic *t = traffic_new(&d, &options);
    for (int k = 0; k < CHANGES; k++) {
        traffic_run(t, 0.05); /* with updates under way when it comes */
        traffic_prefer(t, (unsigned)k % options.clusters, 0.05 + 0.9 * k / CHANGES);
    }
    /* and it survives the daemon */
    traffic_run(t, 0.5);
    test_daemon_kill(&d);
    traffic_reconnect(t);
    test_daemon_again(&d, settings, 0);
    traffic_expect_preference(t, (CHANGES - 1) % options.clusters,
                              0.05 + 0.9 * (CHANGES - 1) / CHANGES);
    traffic_free(t);
    assert_int_equal(test_daemon_stop(&d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_answer_after_a_kill_is_warm),
        cmocka_unit_test(a_preference_holds_from_the_next_answer_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
