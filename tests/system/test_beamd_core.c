/* The core in a simulated world: time, peers and threads are this test's. No socket, no thread, no
 * waiting. */
#include <math.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/golden.h"
#include "core.h"

enum { FRAME_BYTES = 1 << 16, LOG_MAX = 256, L = 3, N = 5, U = 3, J = 2 };

/* What went out. */
typedef struct sent {
    bool published;
    char peer; /* first byte of the identity */
    unsigned type;
    uint64_t sequence, csi_sequence;
    char cluster[64];
    Beamd__ErrorCode code;
    bool repeat;
    double tradeoff;
} sent;

typedef struct world {
    beamd_config config;
    beamd_core *core;
    uint64_t now_ns;
    unsigned threads;
    beamd_job *under_way[8];
    unsigned jobs;
    beamd_job *refresh;
    sent log[LOG_MAX];
    unsigned count;
    bool peer_gone;
    alignas(16) unsigned char arena_memory[FRAME_BYTES * 8];
    beam_wire_arena arena;
} world;

static uint64_t world_clock(void *arg)
{
    return ((world *)arg)->now_ns;
}

static void note(world *w, bool published, char peer, const unsigned char *frame, size_t bytes)
{
    beam_wire_header header;
    ProtobufCMessage *message = NULL;
    beam_wire_error err;
    assert_true(w->count < LOG_MAX);
    beam_wire_arena_reset(&w->arena);
    if (beam_wire_unpack(&header, &message, &w->arena, frame, bytes, &err) < 0) {
        fail_msg("the core sent nonsense: %s %s", err.field, err.text);
    }
    sent *s = &w->log[w->count++];
    *s = (sent){
        .published = published, .peer = peer, .type = header.type, .sequence = header.sequence};
    snprintf(s->cluster, sizeof s->cluster, "%s", header.cluster);
    if (header.type == BEAM_WIRE_ERROR) {
        s->code = ((Beamd__Error *)message)->code;
    } else if (header.type == BEAM_WIRE_SOLUTION) {
        const Beamd__Solution *solution = (Beamd__Solution *)message;
        s->csi_sequence = solution->csi_sequence;
        s->repeat = solution->repeat;
        s->tradeoff = beam_tradeoff_from_preference(
            (beam_preference){solution->preference->u1, solution->preference->u2});
    }
}

static bool world_reply(void *arg, beamd_channel channel, const void *identity,
                        size_t identity_bytes, const unsigned char *frame, size_t bytes)
{
    world *w = arg;
    (void)channel;
    assert_true(identity_bytes > 0);
    if (!w->peer_gone) {
        note(w, false, *(const char *)identity, frame, bytes);
    }
    return !w->peer_gone;
}

static bool world_publish(void *arg, const void *topic, size_t topic_bytes,
                          const unsigned char *frame, size_t bytes)
{
    assert_int_equal(((const char *)topic)[topic_bytes - 1], 0);
    note(arg, true, 0, frame, bytes);
    return true;
}

static bool world_can_solve(void *arg)
{
    const world *w = arg;
    return w->jobs < w->threads;
}

static bool world_solve(void *arg, beamd_job *job)
{
    world *w = arg;
    w->under_way[w->jobs++] = job;
    return true;
}

static bool world_can_refresh(void *arg)
{
    return ((world *)arg)->refresh == NULL;
}

static bool world_refresh(void *arg, beamd_job *job)
{
    ((world *)arg)->refresh = job;
    return true;
}

static world *world_new(unsigned threads)
{
    world *w = test_memory(sizeof *w);
    memset(w, 0, sizeof *w);
    beamd_config_default(&w->config);
    w->config.deadline_us = 30000000; /* jobs run in this thread, on the real clock */
    w->config.deadline_max_ms = 60000;
    w->threads = threads;
    beam_wire_arena_init(&w->arena, w->arena_memory, sizeof w->arena_memory);
    const beamd_core_io io = {
        w,           world_clock,       world_reply,  world_publish, world_can_solve,
        world_solve, world_can_refresh, world_refresh};
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    w->now_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    w->core = beamd_core_create(&w->config, &io, w->now_ns);
    assert_non_null(w->core);
    return w;
}

/* Runs and returns the oldest job. */
static void finish_one(world *w)
{
    assert_true(w->jobs > 0);
    beamd_job *job = w->under_way[0];
    memmove(w->under_way, w->under_way + 1, --w->jobs * sizeof w->under_way[0]);
    job->run(job);
    beamd_core_done(w->core, w->now_ns, job);
}

static void world_free(world *w)
{
    beamd_core_abandon(w->core, w->now_ns);
    while (w->jobs > 0) {
        finish_one(w);
    }
    if (w->refresh) {
        w->refresh->run(w->refresh);
        beamd_core_done(w->core, w->now_ns, w->refresh);
    }
    beamd_core_destroy(&w->core);
    free(w);
}

static const sent *last(const world *w)
{
    assert_true(w->count > 0);
    return &w->log[w->count - 1];
}

static void deliver(world *w, char peer, unsigned type, const char *cluster, uint64_t sequence,
                    const ProtobufCMessage *message)
{
    static unsigned char frame[FRAME_BYTES];
    size_t bytes = 0;
    beam_wire_error err;
    const bool control = type == BEAM_WIRE_PREFERENCE_SET || type == BEAM_WIRE_STATUS_REQUEST;
    assert_int_equal(
        beam_wire_pack(type, cluster, sequence, message, frame, sizeof frame, &bytes, &err), 0);
    beamd_core_message(w->core, w->now_ns, control ? BEAMD_CHANNEL_CONTROL : BEAMD_CHANNEL_CSI,
                       &peer, 1, frame, bytes, 1);
}

static void deliver_registration(world *w, const char *cluster, const beam_scene *scene)
{
    Beamd__RegisterCluster m = BEAMD__REGISTER_CLUSTER__INIT;
    Beamd__Station station[L], *at[L];
    for (int l = 0; l < L; l++) {
        beamd__station__init(&station[l]);
        station[l].x_m = scene->station_position_m[2 * l];
        station[l].y_m = scene->station_position_m[2 * l + 1];
        station[l].axis_rad = scene->station_axis_rad[l];
        station[l].antennas = N;
        station[l].power_w = scene->station_power_w[l];
        station[l].echo_noise_w = scene->station_echo_noise_w[l];
        at[l] = &station[l];
    }
    m.array = BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR;
    m.user_antennas = 1;
    m.sensing = BEAMD__SENSING_MODEL__SENSING_RESOLVED;
    m.snapshots = scene->snapshots;
    m.carrier_hz = 3.5e9;
    m.max_users = U;
    m.targets = J;
    m.n_stations = L;
    m.stations = at;
    deliver(w, 'r', BEAM_WIRE_REGISTER_CLUSTER, cluster, 1, &m.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_ACK);
}

static void deliver_targets(world *w, const char *cluster, const beam_scene *scene,
                            uint64_t sequence)
{
    Beamd__TargetUpdate m = BEAMD__TARGET_UPDATE__INIT;
    Beamd__Target target[J], *at[J];
    for (int j = 0; j < J; j++) {
        beamd__target__init(&target[j]);
        target[j].x_m = scene->target_position_m[2 * j];
        target[j].y_m = scene->target_position_m[2 * j + 1];
        target[j].rcs_m2 = 1;
        at[j] = &target[j];
    }
    m.n_targets = J;
    m.targets = at;
    deliver(w, 't', BEAM_WIRE_TARGET_UPDATE, cluster, sequence, &m.base);
}

static void deliver_csi(world *w, char peer, const char *cluster, const beam_scene *scene,
                        uint64_t sequence, uint32_t deadline_us)
{
    Beamd__CsiUpdate m = BEAMD__CSI_UPDATE__INIT;
    Beamd__User user[U], *at[U];
    Beamd__Subband band = BEAMD__SUBBAND__INIT, *bands[] = {&band};
    Beamd__ComplexArray channels = BEAMD__COMPLEX_ARRAY__INIT;
    uint32_t shape[] = {L, U, N};
    for (int u = 0; u < U; u++) {
        beamd__user__init(&user[u]);
        user[u].user_id = (uint64_t)u;
        user[u].station = (uint32_t)scene->user_station[u];
        user[u].weight = 1;
        user[u].noise_w = scene->user_noise_w[u];
        at[u] = &user[u];
    }
    channels.element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
    channels.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    channels.n_shape = 3;
    channels.shape = shape;
    channels.data = (ProtobufCBinaryData){(size_t)L * U * N * 16, (uint8_t *)scene->channel};
    band.channels = &channels;
    band.n_error_radius = (size_t)L * U;
    band.error_radius = scene->error_radius;
    m.deadline_us = deadline_us;
    m.n_users = U;
    m.users = at;
    m.n_subbands = 1;
    m.subbands = bands;
    deliver(w, peer, BEAM_WIRE_CSI_UPDATE, cluster, sequence, &m.base);
}

static void ready_cluster(world *w, const char *cluster, const beam_scene *scene)
{
    deliver_registration(w, cluster, scene);
    deliver_targets(w, cluster, scene, 1);
    w->count = 0;
}

static void the_newest_waits_and_the_replaced_is_told(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0); /* starts */
    deliver_csi(w, 'b', "c", scene, 2, 0); /* waits */
    assert_int_equal(w->count, 0);
    deliver_csi(w, 'c', "c", scene, 3, 0); /* replaces 2 */
    assert_int_equal(w->count, 1);
    assert_true(last(w)->peer == 'b' && last(w)->sequence == 2);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
    finish_one(w); /* 1: to a and to the subscribers; 3 starts */
    assert_int_equal(w->count, 3);
    assert_true(w->log[1].peer == 'a' && w->log[1].sequence == 1 && !w->log[1].published);
    assert_true(w->log[2].published && w->log[2].csi_sequence == 1);
    assert_int_equal(w->jobs, 1);
    finish_one(w);
    assert_true(w->log[3].peer == 'c' && w->log[3].csi_sequence == 3);
    assert_int_equal(w->count, 5);
    assert_true(beamd_core_idle(w->core));
    deliver_csi(w, 'd', "c", scene, 3, 0); /* not above the last */
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_STALE);
    world_free(w);
    test_scene_free(scene);
}

static void the_earliest_deadline_goes_first(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    static const char *const ids[] = {"first", "late", "soon", "middle"};
    static const uint32_t deadline_us[] = {50000000, 40000000, 10000000, 20000000};
    for (int k = 0; k < 4; k++) {
        ready_cluster(w, ids[k], scene);
    }
    for (int k = 0; k < 4; k++) {
        deliver_csi(w, 'x', ids[k], scene, 1, deadline_us[k]);
    }
    assert_int_equal(beamd_core_ready(w->core), 3);
    static const char *const order[] = {"first", "soon", "middle", "late"};
    for (int k = 0; k < 4; k++) {
        w->count = 0;
        finish_one(w);
        assert_string_equal(w->log[0].cluster, order[k]);
    }
    world_free(w);
    test_scene_free(scene);
}

static void one_job_per_cluster_and_thread(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(2);
    ready_cluster(w, "a", scene);
    ready_cluster(w, "b", scene);
    deliver_csi(w, 'x', "a", scene, 1, 0);
    deliver_csi(w, 'x', "a", scene, 2, 0);
    assert_int_equal(w->jobs, 1); /* a second thread is free, but a's job is under way */
    deliver_csi(w, 'x', "b", scene, 1, 0);
    assert_int_equal(w->jobs, 2);
    finish_one(w);
    assert_int_equal(w->jobs, 2);
    world_free(w);
    test_scene_free(scene);
}

/* Targets or a preference without CSI: solved after resolve_after_ms, for the subscribers only. */
static void a_change_without_csi_is_solved_when_due(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    finish_one(w);
    deliver_targets(w, "c", scene, 2);
    w->count = 0;
    beamd_core_tick(w->core, w->now_ns);
    assert_int_equal(w->jobs, 0);
    w->now_ns += (uint64_t)w->config.resolve_after_ms * 1000000u;
    beamd_core_tick(w->core, w->now_ns);
    assert_int_equal(w->jobs, 1);
    finish_one(w);
    assert_int_equal(w->count, 1);
    assert_true(w->log[0].published);
    deliver_targets(w, "c", scene, 3);
    deliver_csi(w, 'a', "c", scene, 2, 0); /* follows in time: nothing more is due */
    finish_one(w);
    w->now_ns += 10000000000u;
    w->refresh = (beamd_job *)w; /* the background is busy */
    beamd_core_tick(w->core, w->now_ns);
    w->refresh = NULL;
    assert_int_equal(w->jobs, 0);
    world_free(w);
    test_scene_free(scene);
}

static void the_default_preference_moves_those_without_their_own(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    Beamd__PreferenceSet m = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference u = BEAMD__PREFERENCE__INIT;
    m.preference = &u;
    ready_cluster(w, "own", scene);
    ready_cluster(w, "default", scene);
    u.u1 = 3; /* any length */
    u.u2 = 3 * tan(0.25 * 3.14159265358979323846 / 2);
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, "own", 2, &m.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_PREFERENCE_REPLY);
    u.u1 = 0;
    u.u2 = 2;
    deliver(w, 'o', BEAM_WIRE_PREFERENCE_SET, "", 3, &m.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_PREFERENCE_REPLY);
    deliver_csi(w, 'a', "own", scene, 1, 0);
    finish_one(w);
    assert_true(fabs(last(w)->tradeoff - 0.75) < 1e-9);
    deliver_csi(w, 'a', "default", scene, 1, 0);
    finish_one(w);
    assert_true(fabs(last(w)->tradeoff - 0) < 1e-9);
    world_free(w);
    test_scene_free(scene);
}

static void a_cluster_may_go_while_its_job_is_under_way(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    deliver_csi(w, 'b', "c", scene, 2, 0);
    deliver_registration(w, "c", scene); /* anew: sequences too */
    assert_int_equal(w->log[0].peer, 'b');
    assert_int_equal(w->log[0].code, BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
    deliver_targets(w, "c", scene, 1);
    deliver_csi(w, 'd', "c", scene, 1, 0);
    w->count = 0;
    finish_one(w); /* the old one's: told so, nothing published */
    assert_int_equal(w->count, 1);
    assert_int_equal(w->log[0].peer, 'a');
    assert_int_equal(w->log[0].code, BEAMD__ERROR_CODE__ERROR_SUPERSEDED);
    finish_one(w);
    assert_true(w->log[1].peer == 'd' && w->log[1].type == BEAM_WIRE_SOLUTION);
    Beamd__UnregisterCluster m = BEAMD__UNREGISTER_CLUSTER__INIT;
    deliver_csi(w, 'd', "c", scene, 2, 0);
    deliver(w, 'd', BEAM_WIRE_UNREGISTER_CLUSTER, "c", 9, &m.base);
    assert_int_equal(last(w)->type, BEAM_WIRE_ACK);
    assert_int_equal(beamd_core_clusters(w->core), 0);
    beamd_gauges g;
    finish_one(w);
    beamd_core_gauges(w->core, w->now_ns, &g);
    assert_int_equal(g.cluster_bytes, 0); /* given back */
    world_free(w);
    test_scene_free(scene);
}

static void a_vanished_peer_costs_only_its_answer(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    w->peer_gone = true;
    finish_one(w);
    assert_int_equal(w->count, 1); /* published all the same */
    assert_true(w->log[0].published);
    assert_int_equal(beamd_core_metrics(w->core)->replies_dropped, 1);
    w->peer_gone = false;
    deliver_csi(w, 'b', "c", scene, 2, 0);
    finish_one(w);
    assert_true(w->log[1].peer == 'b');
    world_free(w);
    test_scene_free(scene);
}

static void a_subscription_repeats_what_matches(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    static const char *const ids[] = {"c1", "c10", "d"};
    for (int k = 0; k < 3; k++) {
        ready_cluster(w, ids[k], scene);
        if (k < 2) { /* d has no answer yet */
            deliver_csi(w, 'a', ids[k], scene, 5, 0);
            finish_one(w);
        }
    }
    w->count = 0;
    beamd_core_subscribed(w->core, "c1", 3); /* with the zero byte */
    assert_int_equal(w->count, 1);
    assert_true(w->log[0].repeat && w->log[0].csi_sequence == 5 && w->log[0].sequence == 5);
    assert_string_equal(w->log[0].cluster, "c1");
    beamd_core_subscribed(w->core, "c1", 2);
    assert_int_equal(w->count, 3);
    beamd_core_subscribed(w->core, "", 0);
    assert_int_equal(w->count, 5);
    beamd_core_subscribed(w->core, "d", 2);
    beamd_core_subscribed(w->core,
                          "no-such-cluster-with-a-name-as-long-as-a-name-may-be-and-more-x", 64);
    assert_int_equal(w->count, 5);
    world_free(w);
    test_scene_free(scene);
}

static void draining_answers_what_was_accepted(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    deliver_csi(w, 'b', "c", scene, 2, 0);
    beamd_core_drain(w->core);
    assert_false(beamd_core_idle(w->core));
    deliver_csi(w, 'c', "c", scene, 3, 0);
    assert_int_equal(last(w)->code, BEAMD__ERROR_CODE__ERROR_DRAINING);
    finish_one(w);
    assert_false(beamd_core_idle(w->core));
    finish_one(w);
    assert_true(w->log[3].peer == 'b' && w->log[3].type == BEAM_WIRE_SOLUTION);
    assert_true(beamd_core_idle(w->core));
    world_free(w);
    test_scene_free(scene);
}

static void the_best_rate_is_refreshed_by_age(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    const uint64_t age_ns = (uint64_t)w->config.ideal_refresh_ms * 1000000u;
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    finish_one(w);
    w->now_ns += age_ns;
    beamd_core_tick(w->core, w->now_ns);
    assert_null(w->refresh); /* no newer CSI: nothing to gain */
    deliver_csi(w, 'a', "c", scene, 2, 0);
    finish_one(w);
    beamd_core_tick(w->core, w->now_ns);
    assert_non_null(w->refresh);
    beamd_job *job = w->refresh;
    job->run(job);
    w->refresh = NULL;
    beamd_core_done(w->core, w->now_ns, job);
    assert_int_equal(beamd_core_metrics(w->core)->refreshes, 1);
    assert_int_equal(beamd_core_metrics(w->core)->refreshes_failed, 0);
    beamd_core_tick(w->core, w->now_ns + age_ns);
    assert_null(w->refresh);
    world_free(w);
    test_scene_free(scene);
}

/* CSI that came while the job computed the best rate is newer than that rate. */
static void csi_during_the_first_solve_makes_the_best_rate_old(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    world *w = world_new(1);
    ready_cluster(w, "c", scene);
    deliver_csi(w, 'a', "c", scene, 1, 0);
    deliver_csi(w, 'a', "c", scene, 2, 0); /* the first is under way */
    finish_one(w);
    finish_one(w);
    w->now_ns += (uint64_t)w->config.ideal_refresh_ms * 1000000u;
    beamd_core_tick(w->core, w->now_ns);
    assert_non_null(w->refresh);
    world_free(w);
    test_scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_waits_and_the_replaced_is_told),
        cmocka_unit_test(the_earliest_deadline_goes_first),
        cmocka_unit_test(one_job_per_cluster_and_thread),
        cmocka_unit_test(a_change_without_csi_is_solved_when_due),
        cmocka_unit_test(the_default_preference_moves_those_without_their_own),
        cmocka_unit_test(a_cluster_may_go_while_its_job_is_under_way),
        cmocka_unit_test(a_vanished_peer_costs_only_its_answer),
        cmocka_unit_test(a_subscription_repeats_what_matches),
        cmocka_unit_test(draining_answers_what_was_accepted),
        cmocka_unit_test(the_best_rate_is_refreshed_by_age),
        cmocka_unit_test(csi_during_the_first_solve_makes_the_best_rate_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
