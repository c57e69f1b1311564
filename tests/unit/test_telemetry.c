/* Telemetry: counts since the start, distributions of the interval alone, and a frame that every
 * reader of the wire takes, however full the daemon is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "telemetry.h"

enum { CLUSTERS = 1024 };

static beamd_metrics metrics;
static beamd_gauges gauges;
static Beamd__ClusterStatus status[CLUSTERS], *status_at[CLUSTERS];
static Beamd__Preference preference = BEAMD__PREFERENCE__INIT;
static Beamd__NamedPreference named = BEAMD__NAMED_PREFERENCE__INIT;
static Beamd__NamedPreference *named_at[BEAM_WIRE_MAX_PREFERENCES];
static char id[CLUSTERS][BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
static char name[BEAM_WIRE_MAX_PREFERENCE_NAME_BYTES + 1];

/* Every cluster as large on the wire as one can be. */
static int fill(void **state)
{
    (void)state;
    memset(&metrics, 0, sizeof metrics);
    memset(&gauges, 0, sizeof gauges);
    memset(name, 'n', sizeof name - 1);
    preference.u1 = preference.u2 = sqrt(0.5);
    named.name = name;
    named.preference = &preference;
    for (int p = 0; p < BEAM_WIRE_MAX_PREFERENCES; p++) {
        named_at[p] = &named;
    }
    for (size_t k = 0; k < CLUSTERS; k++) {
        Beamd__ClusterStatus *s = &status[k];
        memset(id[k], 'c', BEAM_WIRE_MAX_CLUSTER_BYTES);
        snprintf(id[k] + BEAM_WIRE_MAX_CLUSTER_BYTES - 4, 5, "%04u", (unsigned)k);
        beamd__cluster_status__init(s);
        s->cluster = id[k];
        s->preference = &preference;
        s->stations = s->antennas = s->users = s->max_users = s->targets = UINT32_MAX;
        s->subbands = UINT32_MAX;
        s->csi_sequence = s->target_sequence = s->csi_received = s->solutions = UINT64_MAX;
        s->superseded = s->refused = s->deadlines_missed = UINT64_MAX;
        s->reduced = s->checked = s->held = UINT64_MAX;
        s->latency_p50_us = s->latency_p99_us = s->wsr_worst_case_bps_hz = M_PI;
        s->crlb_m2 = s->age_s = M_PI;
        s->solved = s->crlb_valid = true;
        s->method = BEAMD__METHOD__METHOD_NETWORK;
        s->n_preferences = BEAM_WIRE_MAX_PREFERENCES;
        s->preferences = named_at;
        status_at[k] = s;
    }
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        gauges.backend[b] = (beamd_backend_gauge){true, b % BEAMD_HEALTHS, 0.001 * (b + 1), 0.5};
    }
    return 0;
}

static beamd_telemetry_facts facts_at(double seconds)
{
    return (beamd_telemetry_facts){
        .now_ns = (uint64_t)(seconds * 1e9), .unix_ns = 42, .metrics = &metrics, .gauges = &gauges};
}

static void answer(uint64_t each_ns, bool late)
{
    const beamd_counted_answer a = {.stage_ns = {each_ns, each_ns, each_ns, each_ns, each_ns},
                                    .service = late ? BEAMD__SERVICE__SERVICE_HELD : 0,
                                    .late = late,
                                    .has_transit = true,
                                    .transit_estimate_ns = each_ns / 10};
    beamd_metrics_count_answer(&metrics, &a);
}

static bool about(double got, double want)
{
    return fabs(got - want) <= 1e-3 * want;
}

static void counts_are_of_all_distributions_of_the_interval(void **state)
{
    (void)state;
    beamd_telemetry *self = beamd_telemetry_create(8, 5000000000);
    assert_non_null(self);
    metrics.requests[BEAM_WIRE_CSI_UPDATE] = 100;
    metrics.requests[BEAM_WIRE_USERS_JOIN] = 10;
    metrics.requests[BEAM_WIRE_USERS_LEAVE] = 1;
    metrics.errors[3] = 4;
    metrics.errors[7] = 5;
    metrics.superseded = 6;
    for (int k = 1; k <= 1000; k++) {
        answer((uint64_t)k * 1000, false);
    }
    beamd_telemetry_facts facts = facts_at(6);
    const Beamd__Telemetry *t = beamd_telemetry_fill(self, &facts);
    assert_int_equal(t->sequence, 1);
    assert_true(about(t->interval_s, 1));
    assert_int_equal(t->unix_ns, 42);
    assert_int_equal(t->csi_received, 111);
    assert_int_equal(t->errors, 9);
    assert_int_equal(t->superseded, 6);
    assert_int_equal(t->solutions, 1000);
    assert_int_equal(t->n_stages, BEAMD_STAGES + 1);
    assert_string_equal(t->stages[BEAMD_STAGE_CHECK]->stage, "check");
    assert_int_equal(t->stages[BEAMD_STAGE_CHECK]->count, 1000);
    assert_true(about(t->stages[BEAMD_STAGE_CHECK]->p50_us, 500));
    assert_true(about(t->stages[BEAMD_STAGE_TOTAL]->p99_us, 4950));
    assert_true(about(t->stages[BEAMD_STAGE_TOTAL]->p999_us, 4995));
    assert_true(about(t->stages[BEAMD_STAGE_TOTAL]->max_us, 5000));
    assert_string_equal(t->stages[BEAMD_STAGES]->stage, "transit_estimate");
    assert_true(about(t->stages[BEAMD_STAGES]->p50_us, 50));

    for (int k = 0; k < 50; k++) { /* the next interval is another world */
        answer(20000, k == 7);
    }
    facts = facts_at(6.25);
    t = beamd_telemetry_fill(self, &facts);
    assert_int_equal(t->sequence, 2);
    assert_true(about(t->interval_s, 0.25));
    assert_int_equal(t->solutions, 1050);
    assert_int_equal(t->late, 1);
    assert_int_equal(t->held, 1);
    assert_int_equal(t->stages[BEAMD_STAGE_TOTAL]->count, 50);
    assert_true(about(t->stages[BEAMD_STAGE_TOTAL]->p50_us, 100));
    assert_true(about(t->stages[BEAMD_STAGE_TOTAL]->max_us, 100));

    facts = facts_at(7); /* and one in which nothing happened */
    t = beamd_telemetry_fill(self, &facts);
    assert_int_equal(t->solutions, 1050);
    for (size_t s = 0; s < t->n_stages; s++) {
        assert_int_equal(t->stages[s]->count, 0);
        assert_true(t->stages[s]->p50_us == 0 && t->stages[s]->max_us == 0);
    }
    beamd_telemetry_destroy(&self);
    assert_null(self);
    beamd_telemetry_destroy(&self);
}

static void backends_are_those_that_are_present(void **state)
{
    (void)state;
    beamd_telemetry *self = beamd_telemetry_create(0, 0);
    gauges.backend[BEAMD__BACKEND__BACKEND_NONE].present = false;
    gauges.backend[BEAMD__BACKEND__BACKEND_GPU].present = false;
    beamd_metrics_count_batch(&metrics, BEAMD__BACKEND__BACKEND_SOLVER, 7, 1000, true);
    const beamd_telemetry_facts facts = facts_at(1);
    const Beamd__Telemetry *t = beamd_telemetry_fill(self, &facts);
    assert_int_equal(t->n_backends, 3);
    assert_int_equal(t->backends[1]->backend, BEAMD__BACKEND__BACKEND_SOLVER);
    assert_string_equal(t->backends[1]->health, "probing");
    assert_string_equal(t->backends[0]->health, "failing");
    assert_int_equal(t->backends[1]->batches, 1);
    assert_int_equal(t->backends[1]->problems, 7);
    assert_int_equal(t->backends[1]->failures, 1);
    assert_true(about(t->backends[1]->service_us, 3000));
    beamd_telemetry_destroy(&self);
}

/* The largest message there is fits the frame, passes the check of the wire and comes out as it
 * went in. */
static void the_fullest_message_goes_through_the_wire(void **state)
{
    (void)state;
    memset(&metrics, 0xff, offsetof(beamd_metrics, stage)); /* the largest counts */
    gauges.ready = gauges.solving = gauges.workers = UINT32_MAX;
    gauges.uptime_s = M_PI;
    gauges.draining = true;
    for (size_t s = 0; s < BEAMD_STAGES; s++) {
        beamd_histogram_add(&metrics.stage[s], UINT64_MAX);
        metrics.stage[s].head.count = metrics.stage[s].head.row[27] = UINT64_MAX;
    }
    const size_t most[] = {0, 1, 64, CLUSTERS};
    for (size_t k = 0; k < sizeof most / sizeof most[0]; k++) {
        beamd_telemetry *self = beamd_telemetry_create(most[k], 0);
        beamd_telemetry_facts facts = facts_at(1);
        facts.now_ns = facts.unix_ns = UINT64_MAX;
        facts.clusters = status_at;
        facts.cluster_count = CLUSTERS;
        const unsigned char *frame;
        size_t bytes;
        beam_wire_error err = {0};
        if (beamd_telemetry_pack(self, &facts, &frame, &bytes, &err) < 0) {
            fail_msg("%s", err.text);
        }
        beam_wire_header header;
        beam_wire_arena arena;
        ProtobufCMessage *message;
        const size_t size = beam_wire_arena_bytes(bytes);
        void *memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
        beam_wire_arena_init(&arena, memory, size);
        if (beam_wire_unpack(&header, &message, &arena, frame, bytes, &err) < 0) {
            fail_msg("%s: %s", err.field, err.text);
        }
        assert_int_equal(header.type, BEAM_WIRE_TELEMETRY);
        assert_int_equal(header.sequence, 1);
        const Beamd__Telemetry *t = (const Beamd__Telemetry *)message;
        assert_int_equal(t->n_clusters, most[k]);
        assert_int_equal(t->n_backends, BEAMD_BACKEND_KINDS);
        assert_int_equal(t->late, UINT64_MAX);
        if (most[k] > 0) {
            assert_string_equal(t->clusters[most[k] - 1]->cluster, id[most[k] - 1]);
        }
        print_message("%zu clusters: %zu bytes\n", most[k], bytes);
        free(memory);
        beamd_telemetry_destroy(&self);
    }
}

static void filling_is_quick(void **state)
{
    (void)state;
    beamd_telemetry *self = beamd_telemetry_create(64, 0);
    double best_us = INFINITY;
    for (int round = 1; round <= 20; round++) {
        for (int k = 0; k < 2000; k++) {
            answer(50000 + (uint64_t)(k * 7919 % 500) * 2000, false);
        }
        beamd_telemetry_facts facts = facts_at(round);
        facts.clusters = status_at;
        facts.cluster_count = 64;
        const unsigned char *frame;
        size_t bytes;
        struct timespec a, b;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        assert_int_equal(beamd_telemetry_pack(self, &facts, &frame, &bytes, NULL), 0);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        best_us = fmin(best_us, 1e6 * (double)(b.tv_sec - a.tv_sec) +
                                    1e-3 * (double)(b.tv_nsec - a.tv_nsec));
    }
    print_message("a message of 64 clusters: %.0f us\n", best_us);
    assert_true(best_us < 50000);
    beamd_telemetry_destroy(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counts_are_of_all_distributions_of_the_interval, fill),
        cmocka_unit_test_setup(backends_are_those_that_are_present, fill),
        cmocka_unit_test_setup(the_fullest_message_goes_through_the_wire, fill),
        cmocka_unit_test_setup(filling_is_quick, fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
