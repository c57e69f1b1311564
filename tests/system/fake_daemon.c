#include "system/fake_daemon.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

enum { TURN_MS = 20, POINTS = 9, PEER_BYTES = 256 };

static void *open_socket(const fake_daemon *self, int type, const char *file)
{
    char endpoint[128];
    const int zero = 0, verbose = 1;
    void *socket = zmq_socket(self->context, type);
    assert_non_null(socket);
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    if (type == ZMQ_XPUB) {
        zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &verbose, sizeof verbose);
    }
    snprintf(endpoint, sizeof endpoint, "ipc://%s/%s", self->dir, file);
    assert_int_equal(zmq_bind(socket, endpoint), 0);
    return socket;
}

typedef struct reply {
    fake_daemon *self;
    unsigned char peer[PEER_BYTES];
    size_t peer_bytes;
    beam_wire_header header;
} reply;

/* Runs on the thread: a failure there ends the program, since cmocka's belongs to the other one. */
static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fake daemon: %s\n", what);
        abort();
    }
}

static void send_reply(reply *r, unsigned type, const ProtobufCMessage *message)
{
    size_t bytes;
    must(beam_wire_pack(type, r->header.cluster, r->header.sequence, message, r->self->frame,
                        sizeof r->self->frame, &bytes, NULL) == 0,
         "an answer does not fit the wire");
    zmq_send(r->self->control, r->peer, r->peer_bytes, ZMQ_SNDMORE);
    zmq_send(r->self->control, r->self->frame, bytes, 0);
}

static void refuse(reply *r, Beamd__ErrorCode code, const char *field, const char *text)
{
    Beamd__Error e = BEAMD__ERROR__INIT;
    e.code = code;
    e.field = (char *)(uintptr_t)field; /* packed, not changed */
    e.text = (char *)(uintptr_t)text;
    e.request_sequence = r->header.sequence;
    e.request_type = r->header.type;
    send_reply(r, BEAM_WIRE_ERROR, &e.base);
}

static void acknowledge(reply *r)
{
    Beamd__Ack ack = BEAMD__ACK__INIT;
    ack.request_type = r->header.type;
    send_reply(r, BEAM_WIRE_ACK, &ack.base);
}

static void answer_front(reply *r, const Beamd__FrontRequest *request)
{
    const bool blind = strcmp(r->header.cluster, "blind") == 0,
               odd = strcmp(r->header.cluster, "odd") == 0;
    if (!blind && !odd && strcmp(r->header.cluster, "north") != 0) {
        refuse(r, BEAMD__ERROR_CODE__ERROR_UNKNOWN_CLUSTER, "", "no such cluster");
        return;
    }
    if (atomic_load(&r->self->busy) > 0) {
        atomic_fetch_sub(&r->self->busy, 1);
        refuse(r, BEAMD__ERROR_CODE__ERROR_BUSY, "", "another front is being computed");
        return;
    }
    Beamd__FrontPoint points[BEAM_WIRE_MAX_FRONT_POINTS], *list[BEAM_WIRE_MAX_FRONT_POINTS];
    const size_t count = request->points ? request->points : POINTS;
    for (size_t k = 0; k < count; k++) {
        const double tau = (double)k / (double)(count - 1);
        beamd__front_point__init(&points[k]);
        points[k].tradeoff = tau;
        points[k].wsr_worst_case_bps_hz = odd && k == 1 ? (double)INFINITY : 18 - 12 * tau * tau;
        points[k].crlb_valid = !blind && k != 0; /* rate only lights no target */
        points[k].crlb_m2 = odd && k == 2 ? (double)NAN : 0.01 + pow(1 - tau, 2);
        points[k].f1 = odd ? (double)-INFINITY : tau;
        points[k].f2 = 1 - tau;
        list[k] = &points[k];
    }
    Beamd__FrontReply message = BEAMD__FRONT_REPLY__INIT;
    message.csi_sequence = 41;
    message.target_sequence = UINT64_MAX;
    message.subband = request->subband;
    message.wsr_ideal_bps_hz = 18;
    message.crlb_min_m2 = 0.01;
    message.solve_ns = 98765432;
    message.n_points = count;
    message.points = list;
    send_reply(r, BEAM_WIRE_FRONT_REPLY, &message.base);
}

static void set_key(Beamd__ConfigKey *key, char *name, char *value, char *fallback, char *unit,
                    bool reloadable)
{
    beamd__config_key__init(key);
    key->name = name;
    key->value = value;
    key->fallback = fallback;
    key->unit = unit;
    key->reloadable = reloadable;
}

static void answer_config(reply *r, bool reload, bool check)
{
    static char telemetry[] = "telemetry_ms", thousand[] = "1000", half[] = "500", ms[] = "ms",
                workers[] = "workers", zero[] = "0", four[] = "4", threads[] = "threads",
                level[] = "log_level", info[] = "info", none[] = "", dir[] = "state_dir",
                file[] = "/etc/beamd/beamd.conf";
    Beamd__ConfigKey keys[4], changed[2], *key_list[4], *changed_list[2];
    set_key(&keys[0], telemetry, reload && !check ? half : thousand, thousand, ms, true);
    set_key(&keys[1], workers, zero, zero, threads, false);
    set_key(&keys[2], level, info, info, none, true);
    set_key(&keys[3], dir, none, none, none, false);
    set_key(&changed[0], telemetry, half, thousand, ms, true);
    set_key(&changed[1], workers, four, zero, threads, false);
    Beamd__ConfigReply message = BEAMD__CONFIG_REPLY__INIT;
    char *restart[] = {workers};
    for (int k = 0; k < 4; k++) {
        key_list[k] = &keys[k];
    }
    changed_list[0] = &changed[0];
    changed_list[1] = &changed[1];
    message.file = file;
    message.n_keys = 4;
    message.keys = key_list;
    if (reload) {
        message.n_changed = 2;
        message.changed = changed_list;
        message.n_need_restart = 1;
        message.need_restart = restart;
        atomic_fetch_add(check ? &r->self->checks : &r->self->reloads, 1);
    }
    send_reply(r, BEAM_WIRE_CONFIG_REPLY, &message.base);
}

static void preference_of(Beamd__Preference *p, double tradeoff)
{
    beamd__preference__init(p);
    p->u1 = sin(acos(-1) / 2 * tradeoff);
    p->u2 = cos(acos(-1) / 2 * tradeoff);
}

static void answer_preferences(reply *r)
{
    fake_daemon *f = r->self;
    Beamd__Preference unnamed, of[FAKE_NAMED_MAX];
    Beamd__NamedPreference named[FAKE_NAMED_MAX], *list[FAKE_NAMED_MAX];
    Beamd__PreferenceReply message = BEAMD__PREFERENCE_REPLY__INIT;
    preference_of(&unnamed, f->unnamed);
    for (size_t k = 0; k < f->named; k++) {
        beamd__named_preference__init(&named[k]);
        preference_of(&of[k], f->tradeoffs[k]);
        named[k].name = f->names[k];
        named[k].preference = &of[k];
        list[k] = &named[k];
    }
    message.preference = &unnamed;
    message.n_named = f->named;
    message.named = list;
    send_reply(r, BEAM_WIRE_PREFERENCE_REPLY, &message.base);
}

static void set_preference(reply *r, const Beamd__PreferenceSet *request)
{
    fake_daemon *f = r->self;
    size_t k = 0;
    while (k < f->named && strcmp(f->names[k], request->name) != 0) {
        k++;
    }
    if (request->remove && k == f->named) {
        refuse(r, BEAMD__ERROR_CODE__ERROR_INVALID, "name", "the cluster has no such preference");
        return;
    }
    if (request->remove) {
        f->named--;
        memcpy(f->names[k], f->names[f->named], sizeof f->names[k]);
        f->tradeoffs[k] = f->tradeoffs[f->named];
    } else {
        const double tradeoff =
            atan2(request->preference->u1, request->preference->u2) / acos(-1) * 2;
        if (!request->name[0]) {
            f->unnamed = tradeoff;
        } else {
            must(k < FAKE_NAMED_MAX, "more named preferences than the wire has");
            f->named += k == f->named;
            snprintf(f->names[k], sizeof f->names[k], "%s", request->name);
            f->tradeoffs[k] = tradeoff;
        }
    }
    answer_preferences(r);
}

static void cluster_of(Beamd__ClusterStatus *c, Beamd__Preference *p, char *id)
{
    beamd__cluster_status__init(c);
    preference_of(p, 0.5);
    c->cluster = id;
    c->stations = 3;
    c->antennas = 5;
    c->users = 2;
    c->max_users = 4;
    c->targets = 2;
    c->preference = p;
    c->latency_p50_us = 200;
    c->latency_p99_us = 900;
}

static void answer_status(reply *r, bool list)
{
    static char north[] = "north", version[] = "0.0-fake", name[] = "caf\xe9", sum[] = "00";
    Beamd__Preference preference;
    Beamd__ClusterStatus cluster, *clusters[] = {&cluster};
    cluster_of(&cluster, &preference, north);
    if (list) {
        Beamd__ClusterListReply message = BEAMD__CLUSTER_LIST_REPLY__INIT;
        const bool empty = atomic_load(&r->self->empty_lists) > 0;
        if (empty) {
            atomic_fetch_sub(&r->self->empty_lists, 1);
        }
        message.n_clusters = empty ? 0 : 1;
        message.clusters = clusters;
        send_reply(r, BEAM_WIRE_CLUSTER_LIST_REPLY, &message.base);
        return;
    }
    Beamd__StatusReply message = BEAMD__STATUS_REPLY__INIT;
    message.version = version;
    message.uptime_s = (double)INFINITY;
    message.n_clusters = 1;
    message.clusters = clusters;
    message.method = BEAMD__METHOD__METHOD_NETWORK;
    message.model_name = name; /* no UTF-8 */
    message.model_sha256 = sum;
    send_reply(r, BEAM_WIRE_STATUS_REPLY, &message.base);
}

static void answer(fake_daemon *self)
{
    beam_wire_arena arena;
    ProtobufCMessage *message;
    reply r = {.self = self};
    const int peer = zmq_recv(self->control, r.peer, sizeof r.peer, 0);
    const int bytes = zmq_recv(self->control, self->frame, sizeof self->frame, 0);
    must(peer > 0 && bytes > 0, "no request where one was told");
    r.peer_bytes = (size_t)peer;
    beam_wire_arena_init(&arena, self->memory, sizeof self->memory);
    must(beam_wire_unpack(&r.header, &message, &arena, self->frame, (size_t)bytes, NULL) == 0,
         "a request that is none");
    if (!atomic_load(&self->answers)) {
        return;
    }
    switch (r.header.type) {
    case BEAM_WIRE_FRONT_REQUEST:
        answer_front(&r, (const Beamd__FrontRequest *)message);
        break;
    case BEAM_WIRE_CONFIG_GET:
        answer_config(&r, false, false);
        break;
    case BEAM_WIRE_CONFIG_RELOAD:
        answer_config(&r, true, ((const Beamd__ConfigReload *)message)->check_only);
        break;
    case BEAM_WIRE_PREFERENCE_GET:
        answer_preferences(&r);
        break;
    case BEAM_WIRE_PREFERENCE_SET:
        set_preference(&r, (const Beamd__PreferenceSet *)message);
        break;
    case BEAM_WIRE_LOG_LEVEL_SET:
        snprintf(self->log_level, sizeof self->log_level, "%s",
                 ((const Beamd__LogLevelSet *)message)->level);
        acknowledge(&r);
        break;
    case BEAM_WIRE_DRAIN:
        atomic_fetch_add(&self->drains, 1);
        acknowledge(&r);
        break;
    case BEAM_WIRE_STATUS_REQUEST:
    case BEAM_WIRE_CLUSTER_LIST_REQUEST:
        answer_status(&r, r.header.type == BEAM_WIRE_CLUSTER_LIST_REQUEST);
        break;
    default:
        refuse(&r, BEAMD__ERROR_CODE__ERROR_TYPE, "", "not known here");
    }
}

/* The golden set of answers to a new subscriber of north. */
static void greet(fake_daemon *self)
{
    unsigned char topic[PEER_BYTES];
    const int n = zmq_recv(self->beams, topic, sizeof topic, 0);
    if (n != 7 || topic[0] != 1 || memcmp(topic + 1, "north", 6) != 0) {
        return;
    }
    FILE *file = fopen(BEAM_TEST_GOLDEN "/wire/solution_set.bin", "rb");
    must(file != NULL, "no golden set of solutions");
    const size_t size = fread(self->frame, 1, sizeof self->frame, file);
    fclose(file);
    must(beam_wire_header_encode(self->frame, BEAM_WIRE_SOLUTION_SET, "north", 42,
                                 size - BEAM_WIRE_HEADER_BYTES, NULL) == 0,
         "no header");
    zmq_send(self->beams, topic + 1, (size_t)n - 1, ZMQ_SNDMORE);
    zmq_send(self->beams, self->frame, size, 0);
}

/* Counters grow by 10 a message; the clock by 0.1 s: 100 a second, exactly. */
static void publish(fake_daemon *self)
{
    static char names[3][8] = {"alpha", "beta", "gamma"}, total[] = "total", decode[] = "decode",
                good[] = "good", failing[] = "failing";
    Beamd__Telemetry t = BEAMD__TELEMETRY__INIT;
    Beamd__Distribution stages[2], *stage_list[2];
    Beamd__BackendStatus backends[2], *backend_list[2];
    Beamd__ClusterStatus clusters[3], *cluster_list[3];
    Beamd__Preference preferences[3];
    if (atomic_exchange(&self->restarted, false)) {
        self->sequence = 0;
    }
    const uint64_t n = ++self->sequence;
    t.monotonic_ns = n * 100000000U;
    t.interval_s = 0.02;
    t.uptime_s = 3725;
    t.sequence = n;
    t.workers = 2;
    t.csi_received = 20 * n;
    t.solutions = 10 * n;
    t.reduced = 3 * n;
    t.checked = 2 * n;
    t.held = n;
    t.late = n;
    for (int k = 0; k < 2; k++) {
        beamd__distribution__init(&stages[k]);
        beamd__backend_status__init(&backends[k]);
        stages[k].stage = k ? total : decode;
        stages[k].count = k ? 10 : 0;
        stages[k].p50_us = 250.5;
        stages[k].p99_us = 900;
        stages[k].p999_us = 1234.5;
        stages[k].max_us = k ? (double)INFINITY : 0;
        backends[k].backend = k ? BEAMD__BACKEND__BACKEND_SOLVER : BEAMD__BACKEND__BACKEND_NETWORK;
        backends[k].health = k ? failing : good;
        backends[k].problems = 10 * n;
        backends[k].service_us = k ? (double)NAN : 180.25;
        backends[k].retry_s = k ? 0.4 : 0;
        stage_list[k] = &stages[k];
        backend_list[k] = &backends[k];
    }
    for (int k = 0; k < 3; k++) {
        cluster_of(&clusters[k], &preferences[k], names[k]);
        clusters[k].solutions = (uint64_t)(k + 1) * n; /* gamma answers most */
        clusters[k].latency_p99_us = 900 - 100 * k;    /* alpha is slowest */
        clusters[k].deadlines_missed = k == 1 ? 7 : 0; /* beta misses */
        clusters[k].solved = k != 2;
        clusters[k].wsr_worst_case_bps_hz = 12.5 + k;
        clusters[k].crlb_valid = k == 0;
        clusters[k].crlb_m2 = 0.0625;
        clusters[k].age_s = 0.5;
        cluster_list[k] = &clusters[k];
    }
    t.n_stages = t.n_backends = 2;
    t.stages = stage_list;
    t.backends = backend_list;
    t.n_clusters = 3;
    t.clusters = cluster_list;
    size_t bytes;
    must(beam_wire_pack(BEAM_WIRE_TELEMETRY, "", n, &t.base, self->frame, sizeof self->frame,
                        &bytes, NULL) == 0,
         "telemetry does not fit the wire");
    zmq_send(self->published, "telemetry", 9, ZMQ_SNDMORE);
    zmq_send(self->published, self->frame, bytes, 0);
}

static void *turn(void *argument)
{
    fake_daemon *self = argument;
    while (!atomic_load(&self->stop)) {
        zmq_pollitem_t items[] = {{self->control, 0, ZMQ_POLLIN, 0},
                                  {self->beams, 0, ZMQ_POLLIN, 0},
                                  {self->published, 0, ZMQ_POLLIN, 0}};
        unsigned char subscription[64];
        zmq_poll(items, 3, TURN_MS);
        if (items[0].revents & ZMQ_POLLIN) {
            answer(self);
        }
        if (items[1].revents & ZMQ_POLLIN) {
            greet(self);
        }
        if (items[2].revents & ZMQ_POLLIN) {
            zmq_recv(self->published, subscription, sizeof subscription, 0);
        }
        if (atomic_load(&self->telemetry)) {
            publish(self);
        }
    }
    return NULL;
}

void fake_daemon_start(fake_daemon *self)
{
    memset(self, 0, sizeof *self);
    self->unnamed = 0.5;
    atomic_store(&self->telemetry, true);
    atomic_store(&self->answers, true);
    strcpy(self->dir, "/tmp/beamctl-fake-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    self->context = zmq_ctx_new();
    assert_non_null(self->context);
    self->control = open_socket(self, ZMQ_ROUTER, "control.sock");
    self->beams = open_socket(self, ZMQ_XPUB, "beams.sock");
    self->published = open_socket(self, ZMQ_XPUB, "telemetry.sock");
    assert_int_equal(pthread_create(&self->thread, NULL, turn, self), 0);
}

void fake_daemon_stop(fake_daemon *self)
{
    static const char *const files[] = {"control.sock", "beams.sock", "telemetry.sock"};
    atomic_store(&self->stop, true);
    pthread_join(self->thread, NULL);
    zmq_close(self->control);
    zmq_close(self->beams);
    zmq_close(self->published);
    zmq_ctx_term(self->context);
    for (int k = 0; k < 3; k++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", self->dir, files[k]);
        unlink(path);
    }
    rmdir(self->dir);
}
