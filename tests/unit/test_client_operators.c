/* libbeamclient for operators: telemetry, named preferences, fronts, configuration. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "client_fake.h"

/* What is in the golden cluster of telemetry and cluster_list_wideband. */
static void assert_wide_cluster(const beamc_cluster_status *c)
{
    assert_string_equal(c->id, "north-7");
    assert_true(c->subbands == 275 && c->reduced == 5 && c->checked == 3 && c->held == 1);
    assert_int_equal(c->preference_count, 1);
    assert_string_equal(c->preferences[0].name, "balanced");
    assert_true(fabs(c->preferences[0].tradeoff - 2 / acos(-1.0) * atan(0.75)) < 1e-12);
}

static void telemetry_comes_to_who_subscribed(void **state)
{
    fake *f = *state;
    unsigned char frame[FAKE_BYTES], topic[64];
    beamc_answer answer;
    beamc_error err;
    assert_int_equal(beamc_subscribe_telemetry(f->client, &err), BEAMC_OK);
    assert_true(beamc_fd(f->client) >= 0);
    assert_int_equal(zmq_recv(f->telemetry, topic, sizeof topic, 0), 10);
    assert_memory_equal(topic, "\1telemetry", 10);
    const size_t size = fake_golden_frame(frame, "telemetry", BEAM_WIRE_TELEMETRY, "", 3600);
    zmq_send(f->telemetry, BEAM_WIRE_TELEMETRY_TOPIC, 9, ZMQ_SNDMORE);
    zmq_send(f->telemetry, frame, size, 0);
    assert_int_equal(beamc_receive(f->client, FAKE_PATIENCE_MS, &answer, &err), BEAMC_OK);
    assert_int_equal(answer.kind, BEAMC_ANSWER_TELEMETRY);
    assert_true(answer.sequence == 3600 && answer.solution == NULL);
    const beamc_telemetry *t = answer.telemetry;
    assert_true(t->monotonic_ns == 1000000000000000u && t->sequence == 3600 && t->draining);
    assert_true(t->interval_s == 1 && t->uptime_s == 3600.5 && t->queue_depth == 3);
    assert_true(t->workers == 2 && t->csi_received == 40 && t->late == 2 && t->errors == 4);
    assert_int_equal(t->stage_count, 7);
    assert_string_equal(t->stages[6].stage, "transit_estimate");
    assert_true(t->stages[6].count == 100 && t->stages[6].p999_us == 2500.5);
    assert_int_equal(t->backend_count, 1);
    assert_int_equal(t->backends[0].backend, BEAMC_BACKEND_NETWORK);
    assert_string_equal(t->backends[0].health, "failing");
    assert_true(t->backends[0].failures == 2 && t->backends[0].retry_s == 1.5);
    assert_int_equal(t->cluster_count, 1);
    assert_wide_cluster(&t->clusters[0]);
    assert_int_equal(beamc_unsubscribe_telemetry(f->client, &err), BEAMC_OK);
    assert_int_equal(zmq_recv(f->telemetry, topic, sizeof topic, 0), 10);
    assert_memory_equal(topic, "\0telemetry", 10);
}

/* The peer's identity is known from a request that is given up; answers may then be sent before
 * their requests, whose sequences are known. */
static uint64_t control_ready(fake *f)
{
    beamc_preference preference;
    assert_int_equal(beamc_preference_get(f->client, NULL, 20, &preference, NULL), BEAMC_E_TIMEOUT);
    fake_take(f, f->control, BEAM_WIRE_PREFERENCE_GET);
    assert_string_equal(f->header.cluster, "");
    return f->header.sequence + 1;
}

static void give_golden(fake *f, const char *name, unsigned type, uint64_t sequence)
{
    unsigned char frame[FAKE_BYTES];
    const size_t size = fake_golden_frame(frame, name, type, "", sequence);
    fake_send_bytes(f, f->control, frame, size);
}

static void named_preferences_are_set_listed_and_removed(void **state)
{
    fake *f = *state;
    beamc_error err;
    beamc_preferences all;
    uint64_t sequence = control_ready(f);
    give_golden(f, "preference_reply_named", BEAM_WIRE_PREFERENCE_REPLY, sequence++);
    assert_int_equal(beamc_preferences_get(f->client, "c1", FAKE_PATIENCE_MS, &all, &err),
                     BEAMC_OK);
    fake_take(f, f->control, BEAM_WIRE_PREFERENCE_GET);
    assert_string_equal(f->header.cluster, "c1");
    assert_true(fabs(all.unnamed.u1 - 0.6) < 1e-12);
    assert_int_equal(all.named_count, 2);
    assert_string_equal(all.named[1].name, "locate-2.b");
    assert_true(fabs(all.named[1].tradeoff - 2 / acos(-1.0) * atan2(0.96, 0.28)) < 1e-12);

    give_golden(f, "preference_reply_named", BEAM_WIRE_PREFERENCE_REPLY, sequence++);
    assert_int_equal(
        beamc_preference_set_named(f->client, "c1", "locate", 1.0, FAKE_PATIENCE_MS, &all, &err),
        BEAMC_OK);
    fake_take(f, f->control, BEAM_WIRE_PREFERENCE_SET);
    const Beamd__PreferenceSet *m = (const Beamd__PreferenceSet *)f->message;
    assert_string_equal(m->name, "locate");
    assert_true(m->preference->u1 == 1 && m->preference->u2 == 0 && !m->remove);

    give_golden(f, "preference_reply", BEAM_WIRE_PREFERENCE_REPLY, sequence++);
    assert_int_equal(
        beamc_preference_remove(f->client, "c1", "locate", FAKE_PATIENCE_MS, &all, &err), BEAMC_OK);
    assert_true(all.named_count == 0 && all.named == NULL);
    fake_take(f, f->control, BEAM_WIRE_PREFERENCE_SET);
    m = (const Beamd__PreferenceSet *)f->message;
    assert_string_equal(m->name, "locate");
    assert_true(m->remove && !m->preference);

    give_golden(f, "cluster_list_wideband", BEAM_WIRE_CLUSTER_LIST_REPLY, sequence++);
    beamc_status status;
    assert_int_equal(beamc_cluster_list(f->client, FAKE_PATIENCE_MS, &status, &err), BEAMC_OK);
    assert_int_equal(status.cluster_count, 1);
    assert_wide_cluster(&status.clusters[0]);
}

static void a_front_comes_back_as_plain_numbers(void **state)
{
    fake *f = *state;
    beamc_error err;
    beamc_front front;
    const uint64_t sequence = control_ready(f);
    give_golden(f, "front_reply", BEAM_WIRE_FRONT_REPLY, sequence);
    assert_int_equal(beamc_front_get(f->client, "c1", 17, 3, FAKE_PATIENCE_MS, &front, &err),
                     BEAMC_OK);
    fake_take(f, f->control, BEAM_WIRE_FRONT_REQUEST);
    const Beamd__FrontRequest *m = (const Beamd__FrontRequest *)f->message;
    assert_true(m->points == 17 && m->subband == 3);
    assert_int_equal(m->deadline_us, FAKE_PATIENCE_MS * 875);
    assert_true(front.csi_sequence == 41 && front.target_sequence == 17 && front.subband == 3);
    assert_true(front.wsr_ideal_bps_hz == 20 && front.solve_ns == 98765432);
    assert_int_equal(front.point_count, 3);
    assert_true(front.points[2].tradeoff == 0.375 && front.points[2].crlb_m2 == 0.25 / 3 &&
                front.points[2].f2 == 1.5 && front.points[2].crlb_valid);
}

static void the_configuration_is_read_checked_and_reloaded(void **state)
{
    fake *f = *state;
    beamc_error err;
    beamc_config config;
    uint64_t sequence = control_ready(f);
    give_golden(f, "config_reply", BEAM_WIRE_CONFIG_REPLY, sequence++);
    assert_int_equal(beamc_config_get(f->client, FAKE_PATIENCE_MS, &config, &err), BEAMC_OK);
    fake_take(f, f->control, BEAM_WIRE_CONFIG_GET);
    assert_string_equal(config.file, "/etc/beamd/beamd.conf");
    assert_int_equal(config.key_count, 2);
    assert_string_equal(config.keys[0].name, "telemetry_ms");
    assert_string_equal(config.keys[0].value, "500");
    assert_string_equal(config.keys[0].fallback, "1000");
    assert_string_equal(config.keys[0].unit, "ms");
    assert_true(config.keys[0].reloadable && !config.keys[1].reloadable);
    assert_int_equal(config.changed_count, 2);
    assert_int_equal(config.need_restart_count, 2);
    assert_string_equal(config.need_restart[1], "loop_cpu");

    for (int check = 0; check < 2; check++) {
        give_golden(f, "config_reply", BEAM_WIRE_CONFIG_REPLY, sequence++);
        assert_int_equal(
            beamc_config_reload(f->client, check, FAKE_PATIENCE_MS, check ? &config : NULL, &err),
            BEAMC_OK);
        fake_take(f, f->control, BEAM_WIRE_CONFIG_RELOAD);
        assert_int_equal(((const Beamd__ConfigReload *)f->message)->check_only, check);
    }
    fake_refuse(f, f->control, sequence++, BEAMD__ERROR_CODE__ERROR_INVALID);
    assert_int_equal(beamc_config_reload(f->client, false, FAKE_PATIENCE_MS, NULL, &err),
                     BEAMC_E_REFUSED);
    assert_int_equal(err.refusal, BEAMC_REFUSAL_INVALID);
    fake_take(f, f->control, BEAM_WIRE_CONFIG_RELOAD);

    Beamd__Ack ack = BEAMD__ACK__INIT;
    fake_answer(f, f->control, BEAM_WIRE_ACK, "", sequence++, &ack.base);
    assert_int_equal(beamc_log_level_set(f->client, "debug", FAKE_PATIENCE_MS, &err), BEAMC_OK);
    fake_take(f, f->control, BEAM_WIRE_LOG_LEVEL_SET);
    assert_string_equal(((const Beamd__LogLevelSet *)f->message)->level, "debug");
    fake_answer(f, f->control, BEAM_WIRE_ACK, "", sequence++, &ack.base);
    assert_int_equal(beamc_drain(f->client, FAKE_PATIENCE_MS, &err), BEAMC_OK);
    fake_take(f, f->control, BEAM_WIRE_DRAIN);
    /* answered with something else */
    give_golden(f, "config_reply", BEAM_WIRE_CONFIG_REPLY, sequence);
    assert_int_equal(beamc_drain(f->client, FAKE_PATIENCE_MS, &err), BEAMC_E_PROTOCOL);
}

static void wrong_calls_are_refused_before_they_are_sent(void **state)
{
    fake *f = *state;
    beamc_error err;
    beamc_front front;
    beamc_client *c = f->client;
    assert_int_equal(beamc_front_get(c, "c1", 1, 0, 10, &front, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_front_get(c, "c1", 66, 0, 10, &front, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_front_get(c, "c1", 0, 275, 10, &front, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_front_get(c, NULL, 0, 0, 10, &front, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_front_get(c, "c1", 0, 0, 10, NULL, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_preference_remove(c, NULL, "a", 10, NULL, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_preference_remove(c, "c1", "", 10, NULL, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_preference_set_named(c, "c1", "a name of more than 31 characters", 0.5,
                                                10, NULL, &err),
                     BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_preference_set_named(c, "c1", "a", 1.1, 10, NULL, &err),
                     BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_preferences_get(c, "no id", 10, NULL, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_preference_get(c, "c1", 10, NULL, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_config_get(c, 10, NULL, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_config_reload(NULL, true, 10, NULL, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_log_level_set(c, "", 10, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_drain(NULL, 10, &err), BEAMC_E_ARGUMENT);
    assert_int_equal(beamc_subscribe_telemetry(NULL, &err), BEAMC_E_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DAEMON(telemetry_comes_to_who_subscribed),
        WITH_DAEMON(named_preferences_are_set_listed_and_removed),
        WITH_DAEMON(a_front_comes_back_as_plain_numbers),
        WITH_DAEMON(the_configuration_is_read_checked_and_reloaded),
        WITH_DAEMON(wrong_calls_are_refused_before_they_are_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
