#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "system/core_world.h"

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
        s->service = solution->service;
        s->late = solution->late;
        s->stale = solution->csi_stale;
        s->valid_until_ns = solution->valid_until_monotonic_ns;
        s->backend = solution->backend;
        s->tradeoff = beam_tradeoff_from_preference(
            (beam_preference){solution->preference->u1, solution->preference->u2});
    } else if (header.type == BEAM_WIRE_SOLUTION_SET) {
        const Beamd__SolutionSet *set = (Beamd__SolutionSet *)message;
        s->csi_sequence = set->csi_sequence;
        s->repeat = set->repeat;
        s->service = set->service;
        s->late = set->late;
        s->solutions = set->n_solutions;
        if (set->n_solutions > 0) {
            s->solution_csi_sequence = set->solutions[0]->csi_sequence;
            snprintf(s->preference_name, sizeof s->preference_name, "%s",
                     set->solutions[0]->preference_name);
        }
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

static unsigned world_free_threads(void *arg, beamd_crew crew)
{
    const world *w = arg;
    switch (crew) {
    case BEAMD_CREW_SOLVE:
        return w->threads - w->jobs;
    case BEAMD_CREW_RESCUE:
        return w->rescue == NULL;
    case BEAMD_CREW_BACKGROUND:
        return w->refresh == NULL;
    case BEAMD_CREW_GPU:
        return w->gpu_threads - w->gpu_jobs;
    case BEAMD_CREW_READ:
    case BEAMD_CREWS:
        break;
    }
    return w->reading == NULL && !w->readers_busy;
}

static bool world_submit(void *arg, beamd_crew crew, beamd_job *job)
{
    world *w = arg;
    assert_true(world_free_threads(w, crew) > 0);
    if (crew == BEAMD_CREW_SOLVE) {
        w->under_way[w->jobs++] = job;
        return true;
    }
    if (crew == BEAMD_CREW_GPU) {
        w->gpu_job[w->gpu_jobs++] = job;
        return true;
    }
    beamd_job **at = crew == BEAMD_CREW_RESCUE       ? &w->rescue
                     : crew == BEAMD_CREW_BACKGROUND ? &w->refresh
                                                     : &w->reading;
    *at = job;
    return true;
}

static bool world_replace_thread(void *arg, beamd_crew crew, const beamd_job *job)
{
    world *w = arg;
    if (crew == BEAMD_CREW_RESCUE) {
        assert_ptr_equal(w->rescue, job);
        w->lost[w->lost_count++] = w->rescue;
        w->rescue = NULL;
        return true;
    }
    const bool gpu = crew == BEAMD_CREW_GPU;
    beamd_job **of = gpu ? w->gpu_job : w->under_way;
    unsigned *count = gpu ? &w->gpu_jobs : &w->jobs;
    for (unsigned k = 0; k < *count; k++) {
        if (of[k] == job) {
            w->lost[w->lost_count++] = of[k];
            of[k] = of[--*count];
            return true;
        }
    }
    return false;
}

static int world_config(void *arg, bool reload, bool check_only, Beamd__ConfigReply *reply,
                        beam_wire_error *err)
{
    (void)arg;
    (void)reload;
    (void)check_only;
    (void)reply;
    return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, NULL, "there is no file here");
}

static int world_log_level(void *arg, const char *level, beam_wire_error *err)
{
    (void)arg;
    (void)level;
    (void)err;
    return 0;
}

static void world_drain(void *arg)
{
    ((world *)arg)->drain_asked = true;
}

world *world_make(unsigned threads, const beamd_actions *gpu)
{
    world *w = test_memory(sizeof *w);
    memset(w, 0, sizeof *w);
    beamd_config_default(&w->config);
    w->config.deadline_us = 30000000; /* jobs run in this thread, on the real clock */
    w->config.deadline_max_ms = 60000;
    w->config.batch_max = 1;
    w->config.workers = threads;
    w->roles = BEAMD_ROLE_ALL;
    w->threads = threads;
    beam_wire_arena_init(&w->arena, w->arena_memory, sizeof w->arena_memory);
    beamd_actions actions = *gpu;
    actions.arg = w;
    actions.clock_ns = world_clock;
    actions.reply = world_reply;
    actions.publish = world_publish;
    actions.free_threads = world_free_threads;
    actions.submit = world_submit;
    actions.replace_thread = world_replace_thread;
    actions.config = world_config;
    actions.log_level = world_log_level;
    actions.drain = world_drain;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    w->now_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    w->core = beamd_core_create(&w->config, &actions, w->now_ns);
    assert_non_null(w->core);
    return w;
}

world *world_new(unsigned threads)
{
    const beamd_actions none = {.arg = NULL};
    return world_make(threads, &none);
}

void step(world *w, beamd_event_kind kind)
{
    const beamd_event event = {.kind = kind};
    w->wake_ns = beamd_core_step(w->core, w->now_ns, &event);
}

void pass(world *w, uint64_t ns)
{
    w->now_ns += ns;
    step(w, BEAMD_EVENT_TIME);
}

void subscribe(world *w, const char *prefix, size_t bytes)
{
    const beamd_event event = {.kind = BEAMD_EVENT_SUBSCRIBED, .frame = prefix, .bytes = bytes};
    w->wake_ns = beamd_core_step(w->core, w->now_ns, &event);
}

void give_back(world *w, beamd_job *job)
{
    const beamd_event event = {.kind = BEAMD_EVENT_DONE, .job = job};
    w->wake_ns = beamd_core_step(w->core, w->now_ns, &event);
}

void finish_one(world *w)
{
    assert_true(w->jobs > 0);
    beamd_job *job = w->under_way[0];
    memmove(w->under_way, w->under_way + 1, --w->jobs * sizeof w->under_way[0]);
    job->run(job);
    give_back(w, job);
}

void finish_at(world *w, beamd_job **at)
{
    beamd_job *job = *at;
    assert_non_null(job);
    *at = NULL;
    job->run(job);
    give_back(w, job);
}

void finish_reading(world *w)
{
    finish_at(w, &w->reading);
}

void world_free(world *w)
{
    step(w, BEAMD_EVENT_ABANDON);
    while (w->jobs + w->gpu_jobs > 0) {
        if (w->gpu_jobs > 0) {
            beamd_job *job = w->gpu_job[--w->gpu_jobs];
            job->run(job);
            give_back(w, job);
        } else {
            finish_one(w);
        }
    }
    while (w->lost_count > 0) {
        finish_at(w, &w->lost[--w->lost_count]);
    }
    if (w->rescue) {
        finish_at(w, &w->rescue);
    }
    if (w->refresh) {
        finish_at(w, &w->refresh);
    }
    if (w->reading) {
        finish_reading(w);
    }
    beamd_core_destroy(&w->core);
    for (unsigned k = 0; k < WORLD_SLOTS; k++) {
        free(w->gpu.request[k]);
        free(w->gpu.answer[k]);
    }
    free(w);
}

const sent *last(const world *w)
{
    assert_true(w->count > 0);
    return &w->log[w->count - 1];
}

void deliver(world *w, char peer, unsigned type, const char *cluster, uint64_t sequence,
             const ProtobufCMessage *message)
{
    static unsigned char frame[FRAME_BYTES];
    size_t bytes = 0;
    beam_wire_error err;
    const bool control = type == BEAM_WIRE_PREFERENCE_SET || type == BEAM_WIRE_PREFERENCE_GET ||
                         type == BEAM_WIRE_STATUS_REQUEST ||
                         (type >= BEAM_WIRE_MODEL_GET && type < BEAM_WIRE_ACK);
    assert_int_equal(
        beam_wire_pack(type, cluster, sequence, message, frame, sizeof frame, &bytes, &err), 0);
    const beamd_event event = {
        .kind = BEAMD_EVENT_MESSAGE,
        .channel = control ? BEAMD_CHANNEL_CONTROL : BEAMD_CHANNEL_CSI,
        .peer = {.identity = &peer, .identity_bytes = 1, .roles = w->roles, .user = "test"},
        .frame = frame,
        .bytes = bytes,
        .frames = 1};
    w->wake_ns = beamd_core_step(w->core, w->now_ns, &event);
}

void deliver_wide_registration(world *w, const char *cluster, const beam_scene *scene,
                               uint32_t bands)
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
    m.subbands = bands;
    m.n_stations = L;
    m.stations = at;
    const unsigned before = w->count;
    deliver(w, 'r', BEAM_WIRE_REGISTER_CLUSTER, cluster, 1, &m.base);
    bool good = false;
    for (unsigned k = before; k < w->count; k++) { /* others may be answered in the same step */
        good = good || (w->log[k].type == BEAM_WIRE_ACK && w->log[k].peer == 'r');
    }
    assert_true(good);
}

void deliver_registration(world *w, const char *cluster, const beam_scene *scene)
{
    deliver_wide_registration(w, cluster, scene, 1);
}

void deliver_targets(world *w, const char *cluster, const beam_scene *scene, uint64_t sequence)
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

void deliver_wide_csi(world *w, char peer, const char *cluster, const beam_scene *scene,
                      uint64_t sequence, uint32_t deadline_us, uint32_t first, uint32_t count)
{
    Beamd__CsiUpdate m = BEAMD__CSI_UPDATE__INIT;
    Beamd__User user[U], *at[U];
    Beamd__Subband band[WIDE_BANDS], *bands[WIDE_BANDS];
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
    for (uint32_t b = 0; b < count; b++) {
        beamd__subband__init(&band[b]);
        band[b].index = first + b;
        band[b].channels = &channels;
        band[b].n_error_radius = (size_t)L * U;
        band[b].error_radius = scene->error_radius;
        bands[b] = &band[b];
    }
    m.deadline_us = deadline_us;
    m.n_users = U;
    m.users = at;
    m.n_subbands = count;
    m.subbands = bands;
    deliver(w, peer, BEAM_WIRE_CSI_UPDATE, cluster, sequence, &m.base);
}

void deliver_csi(world *w, char peer, const char *cluster, const beam_scene *scene,
                 uint64_t sequence, uint32_t deadline_us)
{
    deliver_wide_csi(w, peer, cluster, scene, sequence, deadline_us, 0, 1);
}

void ready_cluster(world *w, const char *cluster, const beam_scene *scene)
{
    deliver_registration(w, cluster, scene);
    deliver_targets(w, cluster, scene, 1);
    w->count = 0;
}
