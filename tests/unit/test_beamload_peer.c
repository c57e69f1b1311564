/* beamload before a peer that errs on purpose: what is not answered, answered twice, unasked for or
 * wrong must be counted, and end in exit status 1. The peer is a thread that speaks the wire and
 * answers with real designs. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "beam/beam.h"
#include "load/commands.h"
#include "load/session.h"
#include "wire.h"

enum { L = 3, N = 5, U = 3, J = 2, COLUMNS = 2, FRAME_BYTES = 1 << 14 };

typedef enum fault {
    FAULT_NONE,
    FAULT_SILENT,     /* one CSI update is not answered */
    FAULT_TWICE,      /* one is answered twice */
    FAULT_UNASKED,    /* an answer to a sequence that was not sent */
    FAULT_UNREADABLE, /* an answer that is no message */
    FAULT_REFUSED,    /* one is refused */
    FAULT_TARGETS,    /* target updates are refused from the second on */
    FAULT_LATE,       /* answers take 30 ms */
    FAULT_RATE,       /* claims a worst-case rate 1e-4 too high */
    FAULT_CRLB,       /* claims a CRLB 1e-4 too low */
    FAULT_POWER,      /* beams 1 % over the budget, honest about everything else */
    FAULT_HELD_LIE,   /* beams of earlier CSI that are said to be of this */
    FAULT_STALE,      /* beams of earlier CSI, named rightly, that are said to be full service */
    FAULT_HELD        /* beams of earlier CSI, and said so: no fault */
} fault;

typedef struct peer {
    fault kind;
    char dir[64], endpoint[128];
    pthread_t thread;
    load_context *context;
    load_socket *socket;
    atomic_bool stop;
    uint64_t csi_count, target_sequence;
    /* the scene as it was sent */
    beam_scene scene;
    beam_design design;
    beam_evaluator *evaluator;
    beam_quality quality;
    uint64_t held_csi, held_targets; /* what quality and design are of */
    void *memory[3];
    beam_wire_arena arena;
    void *arena_memory;
    unsigned char frame[FRAME_BYTES];
} peer;

static void send_message(peer *self, const load_identity *to, unsigned type, const char *cluster,
                         uint64_t sequence, const ProtobufCMessage *message)
{
    beam_wire_error err;
    size_t bytes;
    if (beam_wire_pack(type, cluster, sequence, message, self->frame, sizeof self->frame, &bytes,
                       &err) < 0 ||
        load_socket_send(self->socket, to, self->frame, bytes) != 1) {
        abort(); /* the peer's own fault, not one of its faults */
    }
}

static void set_up(peer *self)
{
    const beam_dims dims = {L, N, U, J};
    const size_t size[3] = {beam_scene_memsize(&dims), beam_design_memsize(&dims, COLUMNS),
                            beam_evaluator_memsize(&dims, COLUMNS)};
    for (int k = 0; k < 3; k++) {
        self->memory[k] = aligned_alloc(64, (size[k] + 63u) & ~(size_t)63u);
        assert_non_null(self->memory[k]);
    }
    assert_int_equal(beam_scene_init(&self->scene, &dims, self->memory[0], size[0], NULL), 0);
    assert_int_equal(
        beam_design_init(&self->design, &dims, COLUMNS, self->memory[1], size[1], NULL), 0);
    assert_int_equal(
        beam_evaluator_init(&self->evaluator, &dims, COLUMNS, self->memory[2], size[2], NULL), 0);
    self->arena_memory = aligned_alloc(64, beam_wire_arena_bytes(1 << 20));
    beam_wire_arena_init(&self->arena, self->arena_memory, beam_wire_arena_bytes(1 << 20));
}

static void take_registration(peer *self, const Beamd__RegisterCluster *m)
{
    self->scene.snapshots = m->snapshots;
    for (int l = 0; l < L; l++) {
        self->scene.station_position_m[2 * l] = m->stations[l]->x_m;
        self->scene.station_position_m[2 * l + 1] = m->stations[l]->y_m;
        self->scene.station_axis_rad[l] = m->stations[l]->axis_rad;
        self->scene.station_power_w[l] = m->stations[l]->power_w;
        self->scene.station_echo_noise_w[l] = m->stations[l]->echo_noise_w;
    }
}

static void take_targets(peer *self, const Beamd__TargetUpdate *m, uint64_t sequence)
{
    self->target_sequence = sequence;
    for (int j = 0; j < J; j++) {
        double d[L];
        self->scene.target_position_m[2 * j] = m->targets[j]->x_m;
        self->scene.target_position_m[2 * j + 1] = m->targets[j]->y_m;
        for (int l = 0; l < L; l++) {
            d[l] = __builtin_hypot(m->targets[j]->x_m - self->scene.station_position_m[2 * l],
                                   m->targets[j]->y_m - self->scene.station_position_m[2 * l + 1]);
        }
        for (int l = 0; l < L; l++) {
            for (int r = 0; r < L; r++) {
                beam_complex *a = &self->scene.reflection[(l * J + j) * L + r];
                beam_wire_reflection(3.5e9, m->targets[j]->rcs_m2, d[l], d[r], &a->re, &a->im);
            }
        }
    }
}

/* Matched filters at half the budget, sensing on two antennas with a quarter. */
static void make_design(peer *self, const Beamd__CsiUpdate *m, uint64_t sequence, double over)
{
    const uint32_t shape[3] = {L, U, N};
    beam_wire_error err;
    assert_int_equal(beam_wire_array_decode(m->subbands[0]->channels, "channels", shape, 3,
                                            &self->scene.channel[0].re, &err),
                     0);
    memcpy(self->scene.error_radius, m->subbands[0]->error_radius, L * U * sizeof(double));
    for (int u = 0; u < U; u++) {
        const int c = (int)m->users[u]->station;
        self->scene.user_station[u] = c;
        self->scene.user_noise_w[u] = m->users[u]->noise_w;
        double power = 0;
        for (int n = 0; n < N; n++) {
            const beam_complex h = self->scene.channel[(c * U + u) * N + n];
            power += h.re * h.re + h.im * h.im;
        }
        for (int n = 0; n < N; n++) { /* rounded as it goes out */
            const beam_complex h = self->scene.channel[(c * U + u) * N + n];
            const double scale = __builtin_sqrt(over * 5 / power);
            self->design.beams[u * N + n] =
                (beam_complex){(double)(float)(scale * h.re), (double)(float)(scale * h.im)};
        }
    }
    for (int l = 0; l < L; l++) {
        self->design.sensing_count[l] = COLUMNS;
        for (int k = 0; k < COLUMNS; k++) {
            self->design.sensing[(l * COLUMNS + k) * N + 2 * k] =
                (beam_complex){(double)(float)__builtin_sqrt(over * 2.4), 0};
        }
    }
    assert_int_equal(beam_evaluator_load(self->evaluator, &self->scene, NULL), 0);
    assert_int_equal(beam_evaluator_run(self->evaluator, &self->design, &self->quality, NULL), 0);
    self->held_csi = sequence;
    self->held_targets = self->target_sequence;
}

static void put_array(Beamd__ComplexArray *a, const beam_complex *values, uint32_t *shape,
                      size_t dims, size_t count, unsigned char *data)
{
    beamd__complex_array__init(a);
    a->element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
    a->order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    a->shape = shape;
    a->n_shape = dims;
    a->data.data = data;
    a->data.len = beam_wire_complex_encode(a->element, BEAM_WIRE_ROUND_NEAREST, &values[0].re,
                                           count, data, 8 * count);
}

static void send_solution(peer *self, const load_identity *to, const char *cluster,
                          uint64_t sequence, uint64_t named, bool held)
{
    Beamd__Solution s = BEAMD__SOLUTION__INIT;
    Beamd__Latency latency = BEAMD__LATENCY__INIT;
    Beamd__ComplexArray beams, sensing;
    Beamd__UserAnswer user[U], *users[U];
    Beamd__StationAnswer station[L], *stations[L];
    unsigned char data[2][8 * L * COLUMNS * N];
    uint32_t shapes[2][3] = {{U, N, 0}, {L, COLUMNS, N}};
    const beam_quality *q = &self->quality;
    put_array(&beams, self->design.beams, shapes[0], 2, U * N, data[0]);
    put_array(&sensing, self->design.sensing, shapes[1], 3, L * COLUMNS * N, data[1]);
    for (int u = 0; u < U; u++) {
        beamd__user_answer__init(&user[u]);
        user[u].user_id = (uint64_t)u + 1;
        user[u].rate_worst_case_bps_hz = q->user_rate_worst_case_bps_hz[u];
        users[u] = &user[u];
    }
    for (int l = 0; l < L; l++) {
        beamd__station_answer__init(&station[l]);
        station[l].power_w = q->station_power_w[l];
        station[l].sensing_columns = COLUMNS;
        stations[l] = &station[l];
    }
    s.beams = &beams;
    s.sensing = &sensing;
    s.users = users;
    s.n_users = U;
    s.stations = stations;
    s.n_stations = L;
    s.latency = &latency;
    s.csi_sequence = named;
    s.target_sequence = self->held_targets;
    s.wsr_nominal_bps_hz = q->wsr_nominal_bps_hz;
    s.wsr_worst_case_bps_hz = q->wsr_worst_case_bps_hz * (self->kind == FAULT_RATE ? 1.0001 : 1.0);
    s.crlb_valid = q->crlb_valid;
    s.crlb_m2 = q->crlb_m2 * (self->kind == FAULT_CRLB ? 0.9999 : 1.0);
    s.service = held ? BEAMD__SERVICE__SERVICE_HELD : BEAMD__SERVICE__SERVICE_FULL;
    send_message(self, to, BEAM_WIRE_SOLUTION, cluster, sequence, &s.base);
}

static void refuse(peer *self, const load_identity *to, const beam_wire_header *h)
{
    Beamd__Error e = BEAMD__ERROR__INIT;
    char field[] = "subbands", text[] = "refused on purpose";
    e.code = BEAMD__ERROR_CODE__ERROR_INVALID;
    e.field = field;
    e.text = text;
    e.request_type = h->type;
    e.request_sequence = h->sequence;
    send_message(self, to, BEAM_WIRE_ERROR, h->cluster, h->sequence, &e.base);
}

static void take_csi(peer *self, const load_identity *from, const beam_wire_header *h,
                     const Beamd__CsiUpdate *m)
{
    const bool special = ++self->csi_count == 10;
    const bool honest = self->kind == FAULT_HELD || self->kind == FAULT_STALE;
    const bool held = honest || self->kind == FAULT_HELD_LIE;
    if (!held || self->held_csi == 0) {
        make_design(self, m, h->sequence, self->kind == FAULT_POWER ? 1.05 : 1.0);
    }
    if (special && self->kind == FAULT_SILENT) {
        return;
    }
    if (special && self->kind == FAULT_REFUSED) {
        refuse(self, from, h);
        return;
    }
    if (self->kind == FAULT_LATE) {
        usleep(30000);
    }
    send_solution(self, from, h->cluster, h->sequence, honest ? self->held_csi : h->sequence,
                  held && self->kind != FAULT_STALE && self->held_csi != h->sequence);
    if (special && self->kind == FAULT_TWICE) {
        send_solution(self, from, h->cluster, h->sequence, h->sequence, false);
    } else if (special && self->kind == FAULT_UNASKED) {
        send_solution(self, from, h->cluster, h->sequence + 1000000, h->sequence, false);
    } else if (special && self->kind == FAULT_UNREADABLE) {
        load_socket_send(self->socket, from, "BEAMx", 5);
    }
}

static void handle(peer *self, const load_identity *from, const unsigned char *frame, size_t bytes)
{
    beam_wire_header h;
    beam_wire_error err;
    ProtobufCMessage *m;
    Beamd__Ack ack = BEAMD__ACK__INIT;
    beam_wire_arena_reset(&self->arena);
    if (beam_wire_unpack(&h, &m, &self->arena, frame, bytes, &err) < 0) {
        abort(); /* beamload sends what is no message */
    }
    if (h.type == BEAM_WIRE_CSI_UPDATE) {
        take_csi(self, from, &h, (const Beamd__CsiUpdate *)m);
        return;
    }
    if (h.type == BEAM_WIRE_REGISTER_CLUSTER) {
        take_registration(self, (const Beamd__RegisterCluster *)m);
    } else if (h.type == BEAM_WIRE_TARGET_UPDATE) {
        if (self->kind == FAULT_TARGETS && h.sequence > 1) {
            refuse(self, from, &h);
            return;
        }
        take_targets(self, (const Beamd__TargetUpdate *)m, h.sequence);
    }
    ack.request_type = h.type;
    send_message(self, from, BEAM_WIRE_ACK, h.cluster, h.sequence, &ack.base);
}

static void *serve(void *arg)
{
    peer *self = arg;
    while (!atomic_load(&self->stop)) {
        load_identity from;
        const unsigned char *frame;
        size_t bytes;
        if (load_socket_receive(self->socket, &from, &frame, &bytes) == 1) {
            handle(self, &from, frame, bytes);
        } else {
            const int fd = load_socket_fd(self->socket);
            load_wait(&fd, 1, load_now_ns() + 5000000);
        }
    }
    return NULL;
}

static peer *peer_start(fault kind)
{
    load_error err;
    peer *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->kind = kind;
    strcpy(self->dir, "/tmp/beamload-test-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    snprintf(self->endpoint, sizeof self->endpoint, "ipc://%s/csi.sock", self->dir);
    set_up(self);
    self->context = load_context_create(&err);
    self->socket = load_socket_router(self->context, self->endpoint, NULL, &err);
    assert_non_null(self->socket);
    assert_int_equal(pthread_create(&self->thread, NULL, serve, self), 0);
    return self;
}

static void peer_stop(peer *self)
{
    char path[128];
    atomic_store(&self->stop, true);
    pthread_join(self->thread, NULL);
    load_socket_destroy(&self->socket);
    load_context_destroy(&self->context);
    snprintf(path, sizeof path, "%s/csi.sock", self->dir);
    unlink(path);
    rmdir(self->dir);
    for (int k = 0; k < 3; k++) {
        free(self->memory[k]);
    }
    free(self->arena_memory);
    free(self);
}

static load_options options_for(const peer *self)
{
    static char command[] = "run", json[] = "--json";
    char *argv[] = {command, command, json, NULL};
    load_options o;
    load_error err;
    assert_int_equal(load_options_parse(&o, 3, argv, &err), 0);
    o.endpoint = self->endpoint;
    o.rate_hz = 200;
    o.step_s = 1e-3;
    o.seconds = 0.3;
    o.warmup_s = 0;
    o.wait_s = 0.5;
    o.deadline_s = 0.5; /* a loaded machine is not the subject */
    o.verify_share = 1;
    return o;
}

/* Runs against the peer, result and verdict out; what the command would end with. */
static bool run_against(fault kind, load_result *result, load_verdict *verdict, load_error *err,
                        double deadline_s)
{
    peer *p = peer_start(kind);
    load_options o = options_for(p);
    load_session session;
    o.deadline_s = deadline_s > 0 ? deadline_s : o.deadline_s;
    const load_spec spec = load_spec_from(&o);
    if (load_session_open(&session, &o, true, err) < 0 ||
        load_session_run(&session, &spec, result, err) < 0) {
        fail_msg("%s", err->text);
    }
    const int verified = load_session_verify(&session, err);
    *verdict = session.verdict;
    load_session_close(&session);
    peer_stop(p);
    return verified == 0 && load_result_whole(result, err);
}

static void every_fault_of_a_peer_is_counted(void **state)
{
    static const struct {
        fault kind;
        bool good;
        const char *says;
    } cases[] = {
        {FAULT_NONE, true, NULL},
        {FAULT_SILENT, false, "1 requests stayed without an answer"},
        {FAULT_TWICE, false, "1 answers came to requests that were answered already"},
        {FAULT_UNASKED, false, "1 answers came to requests that were not sent"},
        {FAULT_UNREADABLE, false, "1 answers could not be read"},
        {FAULT_REFUSED, true, NULL},
        {FAULT_TARGETS, false, "target updates were refused"},
        {FAULT_RATE, false, "are not those of its beams"},
        {FAULT_CRLB, false, "are not those of its beams"},
        {FAULT_POWER, false, "exceeds a station's budget by"},
        {FAULT_HELD_LIE, false, "are not those of its beams"},
        {FAULT_STALE, false, "that is not held is made from CSI 1"},
        {FAULT_HELD, true, NULL},
    };
    load_result *r = calloc(1, sizeof *r);
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        load_verdict v;
        load_error err = {""};
        const fault kind = cases[k].kind;
        const bool good = run_against(kind, r, &v, &err, 0);
        if (good != cases[k].good || (!good && !strstr(err.text, cases[k].says))) {
            fail_msg("fault %d: %s: \"%s\"", (int)kind, good ? "good" : "bad", err.text);
        }
        assert_true(r->requests > 20);
        assert_int_equal(r->unanswered, kind == FAULT_SILENT);
        assert_int_equal(r->duplicates, kind == FAULT_TWICE);
        assert_int_equal(r->unexpected, kind == FAULT_UNASKED);
        assert_int_equal(r->errors[BEAMD__ERROR_CODE__ERROR_INVALID], kind == FAULT_REFUSED);
        assert_int_equal(r->answers,
                         r->requests - (kind == FAULT_SILENT) - (kind == FAULT_REFUSED));
        assert_int_equal(v.answers, r->answers);
        assert_true(kind != FAULT_HELD || r->service[3] == r->requests - 1);
    }
    free(r);
}

/* 200 requests a second, each answered 30 ms after the last: an open loop sees the queue grow. A
 * generator that waited for answers would see 30 ms each. */
static void latency_counts_from_the_intended_time(void **state)
{
    load_result *r = calloc(1, sizeof *r);
    load_verdict v;
    load_error err;
    (void)state;
    peer *p = peer_start(FAULT_LATE);
    load_options o = options_for(p);
    load_session session;
    o.deadline_s = 0.1;
    o.wait_s = 20;
    o.target_rate_hz = 0;
    const load_spec spec = load_spec_from(&o);
    assert_int_equal(load_session_open(&session, &o, true, &err), 0);
    assert_int_equal(load_session_run(&session, &spec, r, &err), 0);
    assert_int_equal(load_session_verify(&session, &err), 0);
    v = session.verdict;
    load_session_close(&session);
    peer_stop(p);
    assert_true(load_result_whole(r, &err));
    assert_true(v.answers == r->answers);
    assert_true(r->requests >= 55 && r->requests <= 61);
    /* the last of 60 waits about 60 x 25 ms */
    assert_true(r->stage[LOAD_STAGE_END_TO_END].max_ns > UINT64_C(1300000000));
    assert_true(load_result_on_time(r, 3) < 0.2);
    assert_true(load_result_on_time(r, 3) > 0);
    free(r);
}

/* The program's own exit status. */
static void the_command_fails_when_a_request_stays_unanswered(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        peer *p = peer_start(silent ? FAULT_SILENT : FAULT_NONE);
        const load_options o = options_for(p);
        assert_int_equal(load_command_run(&o), silent ? LOAD_EXIT_BROKEN : LOAD_EXIT_OK);
        peer_stop(p);
    }
}

static void nobody_there_is_an_error_with_a_sentence(void **state)
{
    load_session session;
    load_error err;
    peer nobody = {.endpoint = "ipc:///tmp/beamload-test-nobody.sock"};
    load_options o = options_for(&nobody);
    (void)state;
    o.wait_s = 0.05;
    assert_int_equal(load_session_open(&session, &o, true, &err), -1);
    assert_non_null(strstr(err.text, "is the daemon there?"));
    load_session_close(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_of_a_peer_is_counted),
        cmocka_unit_test(latency_counts_from_the_intended_time),
        cmocka_unit_test(the_command_fails_when_a_request_stays_unanswered),
        cmocka_unit_test(nobody_there_is_an_error_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
