/* Whatever arrives, the sender is told which field is wrong, and another cluster does not notice.
 * Raw frames on a raw DEALER: a client library would not send these. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "common/golden.h"
#include "system/daemon.h"
#include "wire.h"

enum { L = 3, N = 5, U = 3, J = 2, FRAME_BYTES = 1 << 16, ANSWER_MS = 20000 };

static test_daemon daemon_;
static void *context;
static beamc_client *bystander; /* a cluster that goes on through everything */
static beam_scene *scene;

/* A request under construction: valid until a test spoils it. */
typedef struct request {
    Beamd__RegisterCluster registration;
    Beamd__Station station[L], *station_at[L];
    Beamd__CsiUpdate csi;
    Beamd__User user[U], *user_at[U];
    Beamd__Subband band, *band_at[2];
    Beamd__ComplexArray channels, reflection;
    uint32_t shape[3], reflection_shape[3];
    unsigned char data[L * U * N * 16], reflection_data[L * J * L * 16];
    double radius[L * U];
    Beamd__TargetUpdate targets;
    Beamd__Target target[J], *target_at[J];
    Beamd__PreferenceSet preference_set;
    Beamd__Preference preference;
} request;

static void fill_registration(request *r)
{
    beamd__register_cluster__init(&r->registration);
    r->registration.array = BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR;
    r->registration.user_antennas = 1;
    r->registration.sensing = BEAMD__SENSING_MODEL__SENSING_RESOLVED;
    r->registration.snapshots = 256;
    r->registration.carrier_hz = 3.5e9;
    r->registration.max_users = U;
    r->registration.targets = J;
    r->registration.n_stations = L;
    r->registration.stations = r->station_at;
    for (int l = 0; l < L; l++) {
        beamd__station__init(&r->station[l]);
        r->station[l].x_m = scene->station_position_m[2 * l];
        r->station[l].y_m = scene->station_position_m[2 * l + 1];
        r->station[l].axis_rad = scene->station_axis_rad[l];
        r->station[l].antennas = N;
        r->station[l].power_w = scene->station_power_w[l];
        r->station[l].echo_noise_w = scene->station_echo_noise_w[l];
        r->station_at[l] = &r->station[l];
    }
    beamd__preference_set__init(&r->preference_set);
    beamd__preference__init(&r->preference);
    r->preference.u1 = r->preference.u2 = 0.5;
    r->preference_set.preference = &r->preference;
}

static void fill_csi(request *r)
{
    beamd__csi_update__init(&r->csi);
    beamd__subband__init(&r->band);
    beamd__complex_array__init(&r->channels);
    r->csi.n_users = U;
    r->csi.users = r->user_at;
    for (int u = 0; u < U; u++) {
        beamd__user__init(&r->user[u]);
        r->user[u].user_id = (uint64_t)u;
        r->user[u].station = (uint32_t)scene->user_station[u];
        r->user[u].weight = 1;
        r->user[u].noise_w = scene->user_noise_w[u];
        r->user_at[u] = &r->user[u];
    }
    r->csi.n_subbands = 1;
    r->csi.subbands = r->band_at;
    r->band_at[0] = r->band_at[1] = &r->band;
    r->band.channels = &r->channels;
    r->band.n_error_radius = L * U;
    r->band.error_radius = r->radius;
    memcpy(r->radius, scene->error_radius, sizeof r->radius);
    r->shape[0] = L;
    r->shape[1] = U;
    r->shape[2] = N;
    r->channels.element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
    r->channels.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    r->channels.n_shape = 3;
    r->channels.shape = r->shape;
    r->channels.data = (ProtobufCBinaryData){sizeof r->data, r->data};
    memcpy(r->data, scene->channel, sizeof r->data);
}

static void fill_targets(request *r)
{
    beamd__target_update__init(&r->targets);
    beamd__complex_array__init(&r->reflection);
    r->targets.n_targets = J;
    r->targets.targets = r->target_at;
    for (int j = 0; j < J; j++) {
        beamd__target__init(&r->target[j]);
        r->target[j].x_m = scene->target_position_m[2 * j];
        r->target[j].y_m = scene->target_position_m[2 * j + 1];
        r->target[j].rcs_m2 = 1;
        r->target_at[j] = &r->target[j];
    }
    r->reflection_shape[0] = L;
    r->reflection_shape[1] = J;
    r->reflection_shape[2] = L;
    r->reflection.element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
    r->reflection.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    r->reflection.n_shape = 3;
    r->reflection.shape = r->reflection_shape;
    r->reflection.data = (ProtobufCBinaryData){sizeof r->reflection_data, r->reflection_data};
    memcpy(r->reflection_data, scene->reflection, sizeof r->reflection_data);
    r->targets.reflection = &r->reflection;
}

static request *request_new(void)
{
    request *r = test_memory(sizeof *r);
    fill_registration(r);
    fill_csi(r);
    fill_targets(r);
    return r;
}

/* One peer and what it got back. */
typedef struct peer {
    void *socket;
    uint64_t sequence;
    unsigned char arena_memory[FRAME_BYTES * 8];
    beam_wire_arena arena;
    beam_wire_header header;
    const Beamd__Error *error; /* NULL: the answer was another message */
} peer;

static peer *peer_new(const char *file)
{
    char endpoint[128];
    const int linger = 0, timeout = ANSWER_MS;
    peer *p = test_memory(sizeof *p);
    memset(p, 0, sizeof *p);
    p->socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(p->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(p->socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/%s", daemon_.dir, file);
    assert_int_equal(zmq_connect(p->socket, endpoint), 0);
    beam_wire_arena_init(&p->arena, p->arena_memory, sizeof p->arena_memory);
    return p;
}

static void peer_free(peer *p)
{
    zmq_close(p->socket);
    free(p);
}

static void await_answer(peer *p)
{
    static unsigned char frame[FRAME_BYTES];
    ProtobufCMessage *message = NULL;
    beam_wire_error err;
    const int bytes = zmq_recv(p->socket, frame, sizeof frame, 0);
    assert_true(bytes > 0 && bytes <= FRAME_BYTES);
    beam_wire_arena_reset(&p->arena);
    if (beam_wire_unpack(&p->header, &message, &p->arena, frame, (size_t)bytes, &err) < 0) {
        fail_msg("answer: %s %s", err.field, err.text);
    }
    p->error = p->header.type == BEAM_WIRE_ERROR ? (const Beamd__Error *)message : NULL;
}

static size_t pack(peer *p, unsigned type, const char *cluster, const ProtobufCMessage *message,
                   unsigned char *frame)
{
    size_t bytes = 0;
    beam_wire_error err;
    if (beam_wire_pack(type, cluster, ++p->sequence, message, frame, FRAME_BYTES, &bytes, &err) <
        0) {
        fail_msg("pack: %s %s", err.field, err.text);
    }
    return bytes;
}

static void send(peer *p, unsigned type, const char *cluster, const ProtobufCMessage *message)
{
    static unsigned char frame[FRAME_BYTES];
    const size_t bytes = pack(p, type, cluster, message, frame);
    assert_int_equal(zmq_send(p->socket, frame, bytes, 0), bytes);
    await_answer(p);
}

static void send_raw(peer *p, const void *frame, size_t bytes)
{
    assert_int_equal(zmq_send(p->socket, frame, bytes, 0), bytes);
    await_answer(p);
}

static void expect(const peer *p, Beamd__ErrorCode code, const char *field)
{
    if (!p->error) {
        fail_msg("%s came, an error about %s was due", beam_wire_type_name(p->header.type), field);
        return;
    }
    if (p->error->code != code || strcmp(p->error->field, field) != 0) {
        fail_msg("code %d field \"%s\" (%s), code %d field \"%s\" was due", (int)p->error->code,
                 p->error->field, p->error->text, (int)code, field);
    }
    assert_true(strlen(p->error->text) > 5);
    assert_int_equal(p->error->request_sequence, p->sequence);
    assert_int_equal(p->header.sequence, p->sequence);
}

static int set_up(void **state)
{
    (void)state;
    scene = test_golden_scene("paper_eps010");
    test_daemon_start(&daemon_, NULL, 0);
    context = zmq_ctx_new();
    bystander = test_client(&daemon_);
    test_set_up(bystander, "bystander", scene, 0.5);
    test_check_solution(scene, test_solve(bystander, "bystander", scene));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    beamc_close(&bystander);
    zmq_ctx_term(context);
    test_scene_free(scene);
    return test_daemon_stop(&daemon_) == 0 ? 0 : -1;
}

/* After every test: the daemon lives, and the other cluster is served. */
static int others_go_on(void **state)
{
    (void)state;
    test_check_solution(scene, test_solve(bystander, "bystander", scene));
    return 0;
}

static peer *registered_peer(request *r, const char *cluster)
{
    peer *p = peer_new("csi.sock");
    send(p, BEAM_WIRE_REGISTER_CLUSTER, cluster, &r->registration.base);
    assert_int_equal(p->header.type, BEAM_WIRE_ACK);
    send(p, BEAM_WIRE_TARGET_UPDATE, cluster, &r->targets.base);
    assert_int_equal(p->header.type, BEAM_WIRE_ACK);
    return p;
}

static void broken_frames_are_answered(void **state)
{
    (void)state;
    unsigned char frame[FRAME_BYTES];
    request *r = request_new();
    peer *p = peer_new("csi.sock");
    send_raw(p, "BEA", 3); /* header cut short */
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_MALFORMED);
    send_raw(p, "", 0);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_MALFORMED);
    memset(frame, 0xa5, sizeof frame);
    send_raw(p, frame, sizeof frame);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_MALFORMED);
    const size_t bytes = pack(p, BEAM_WIRE_REGISTER_CLUSTER, "x", &r->registration.base, frame);
    frame[4] = 9;
    send_raw(p, frame, bytes);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_VERSION);
    frame[4] = 1;
    frame[6] = 50;
    send_raw(p, frame, bytes);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_TYPE);
    frame[6] = BEAM_WIRE_SOLUTION; /* an answer is no request */
    send_raw(p, frame, bytes);
    assert_non_null(p->error);
    frame[6] = BEAM_WIRE_REGISTER_CLUSTER;
    for (size_t cut = 1; cut < bytes; cut += 7) {
        send_raw(p, frame, bytes - cut);
        assert_non_null(p->error);
    }
    for (size_t k = BEAM_WIRE_HEADER_BYTES; k < bytes; k++) { /* garbage in the payload */
        frame[k] = (unsigned char)(k * 37 + 11);
    }
    send_raw(p, frame, bytes);
    assert_non_null(p->error);
    peer_free(p);
    free(r);
}

static void several_frames_are_refused(void **state)
{
    (void)state;
    peer *p = peer_new("csi.sock");
    zmq_send(p->socket, "a", 1, ZMQ_SNDMORE);
    zmq_send(p->socket, "b", 1, ZMQ_SNDMORE);
    zmq_send(p->socket, "c", 1, ZMQ_SNDMORE);
    zmq_send(p->socket, "d", 1, 0);
    await_answer(p);
    expect(p, BEAMD__ERROR_CODE__ERROR_MALFORMED, "frame");
    zmq_send(p->socket, "", 0, ZMQ_SNDMORE); /* the empty delimiter of a REQ socket */
    zmq_send(p->socket, "b", 1, 0);
    await_answer(p);
    expect(p, BEAMD__ERROR_CODE__ERROR_MALFORMED, "frame");
    peer_free(p);
}

static void too_large_messages_are_answered(void **state)
{
    (void)state;
    const size_t bytes = (size_t)BEAM_WIRE_MAX_MESSAGE_BYTES + 4096;
    unsigned char *frame = calloc(1, bytes);
    request *r = request_new();
    peer *p = peer_new("csi.sock");
    pack(p, BEAM_WIRE_REGISTER_CLUSTER, "x", &r->registration.base, frame);
    send_raw(p, frame, bytes);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_TOO_LARGE);
    send(p, BEAM_WIRE_REGISTER_CLUSTER, "large", &r->registration.base); /* the session lives */
    assert_int_equal(p->header.type, BEAM_WIRE_ACK);
    peer_free(p);
    free(frame);
    free(r);
}

/* Every field of a registration, spoilt in turn. */
static void a_registration_names_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        Beamd__ErrorCode code;
    } cases[] = {
        {"array", BEAMD__ERROR_CODE__ERROR_UNSUPPORTED},
        {"user_antennas", BEAMD__ERROR_CODE__ERROR_UNSUPPORTED},
        {"stations", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[1].antennas", BEAMD__ERROR_CODE__ERROR_UNSUPPORTED},
        {"max_users", BEAMD__ERROR_CODE__ERROR_LIMIT},
        {"sensing", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"bandwidth_hz", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"snapshots", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"carrier_hz", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"preference", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[2].power_w", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[0].axis_rad", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[1].position_m", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[0].echo_noise_w", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"antennas", BEAMD__ERROR_CODE__ERROR_LIMIT},
    };
    peer *p = peer_new("csi.sock");
    for (int k = 0; k < (int)(sizeof cases / sizeof cases[0]); k++) {
        request *r = request_new();
        Beamd__RegisterCluster *m = &r->registration;
        switch (k) {
        case 0:
            m->array = BEAMD__ARRAY_KIND__ARRAY_UNIFORM_PLANAR;
            break;
        case 1:
            m->user_antennas = 2;
            break;
        case 2:
            m->n_stations = 0;
            break;
        case 3:
            r->station[1].antennas = 6;
            break;
        case 4:
            m->max_users = 4000000000u;
            break;
        case 5:
            m->sensing = (Beamd__SensingModel)9;
            break;
        case 6:
            m->sensing = BEAMD__SENSING_MODEL__SENSING_BAND;
            break;
        case 7:
            m->snapshots = NAN;
            break;
        case 8:
            m->carrier_hz = INFINITY;
            break;
        case 9:
            m->preference = &r->preference;
            r->preference.u1 = NAN;
            break;
        case 10:
            m->targets = 0;
            break;
        case 11:
            r->station[2].power_w = -1;
            break;
        case 12:
            r->station[0].axis_rad = NAN;
            break;
        case 13:
            r->station[1].x_m = r->station[0].x_m;
            r->station[1].y_m = r->station[0].y_m;
            break;
        case 14:
            r->station[0].echo_noise_w = 0;
            break;
        default:
            for (int l = 0; l < L; l++) {
                r->station[l].antennas = 4000000000u;
            }
        }
        send(p, BEAM_WIRE_REGISTER_CLUSTER, "spoilt", &m->base);
        expect(p, cases[k].code, cases[k].field);
        free(r);
    }
    request *r = request_new();
    send(p, BEAM_WIRE_CSI_UPDATE, "spoilt", &r->csi.base); /* none of them registered anything */
    expect(p, BEAMD__ERROR_CODE__ERROR_UNKNOWN_CLUSTER, "cluster");
    free(r);
    peer_free(p);
}

static void put_double(unsigned char *at, double value)
{
    memcpy(at, &value, sizeof value);
}

static void a_csi_update_names_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        Beamd__ErrorCode code;
    } cases[] = {
        {"users", BEAMD__ERROR_CODE__ERROR_LIMIT},
        {"users[2].user_id", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[1].station", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[0].weight", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[2].noise_w", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[1].min_rate_bps_hz", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].channels", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].channels.shape[2]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].channels.data", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].channels.element", BEAMD__ERROR_CODE__ERROR_UNSUPPORTED},
        {"subbands[0].channels[1][2][3]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].error_radius", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[1].error_radius[2]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[0].error_radius[0]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[0].channels[0][0]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"sequence", BEAMD__ERROR_CODE__ERROR_STALE},
    };
    request *good = request_new();
    peer *p = registered_peer(good, "csi");
    send(p, BEAM_WIRE_CSI_UPDATE, "csi", &good->csi.base);
    assert_int_equal(p->header.type, BEAM_WIRE_SOLUTION);
    Beamd__User extra = good->user[0];
    extra.user_id = 77;
    Beamd__User *four[U + 1];
    for (int k = 0; k < (int)(sizeof cases / sizeof cases[0]); k++) {
        request *r = request_new();
        switch (k) {
        case 0:
            memcpy(four, r->user_at, sizeof r->user_at);
            four[U] = &extra;
            r->csi.users = four;
            r->csi.n_users = U + 1;
            break;
        case 1:
            r->user[2].user_id = r->user[0].user_id;
            break;
        case 2:
            r->user[1].station = 4000000000u;
            break;
        case 3:
            r->user[0].weight = NAN;
            break;
        case 4:
            r->user[2].noise_w = 0;
            break;
        case 5:
            r->user[1].min_rate_bps_hz = -1;
            break;
        case 6:
            r->csi.n_subbands = 0;
            break;
        case 7:
            r->band.channels = NULL;
            break;
        case 8:
            r->shape[2] = 4;
            break;
        case 9:
            r->channels.data.len -= 16;
            break;
        case 10:
            r->channels.element = BEAMD__ELEMENT_TYPE__ELEMENT_UNSPECIFIED;
            break;
        case 11:
            put_double(r->data + 16 * ((1 * U + 2) * N + 3), NAN);
            break;
        case 12:
            r->band.n_error_radius--;
            break;
        case 13:
            r->radius[2 * U + 1] = -1e-9;
            break;
        case 14:
            r->radius[0] = INFINITY;
            break;
        case 15:
            put_double(r->data, 1e300);
            break;
        default:
            p->sequence = 1;
            break; /* was used by the registration */
        }
        send(p, BEAM_WIRE_CSI_UPDATE, "csi", &r->csi.base);
        expect(p, cases[k].code, cases[k].field);
        free(r);
    }
    p->sequence = 1000;
    send(p, BEAM_WIRE_CSI_UPDATE, "csi", &good->csi.base); /* nothing was spoilt for good */
    assert_int_equal(p->header.type, BEAM_WIRE_SOLUTION);
    peer_free(p);
    free(good);
}

static void a_target_update_names_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        Beamd__ErrorCode code;
    } cases[] = {
        {"targets", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets[1].position_m", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets[0].position_m", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"reflection.shape[0]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"reflection[0][0][0]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets[1].rcs_m2", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets[0].x_m", BEAMD__ERROR_CODE__ERROR_INVALID},
    };
    request *good = request_new();
    peer *p = registered_peer(good, "targets");
    for (int k = 0; k < (int)(sizeof cases / sizeof cases[0]); k++) {
        request *r = request_new();
        switch (k) {
        case 0:
            r->targets.n_targets = 1;
            break;
        case 1:
            r->target[1].y_m = NAN;
            break;
        case 2:
            r->target[0].x_m = r->station[0].x_m;
            r->target[0].y_m = r->station[0].y_m;
            break;
        case 3:
            r->reflection_shape[0] = 2;
            break;
        case 4:
            put_double(r->reflection_data, INFINITY);
            break;
        case 5:
            r->targets.reflection = NULL;
            r->target[1].rcs_m2 = 0;
            break;
        default:
            r->targets.reflection = NULL;
            r->target[0].x_m = r->station[0].x_m;
            r->target[0].y_m = r->station[0].y_m;
        }
        send(p, BEAM_WIRE_TARGET_UPDATE, "targets", &r->targets.base);
        expect(p, cases[k].code, cases[k].field);
        free(r);
    }
    send(p, BEAM_WIRE_CSI_UPDATE, "targets", &good->csi.base); /* the good ones are still there */
    assert_int_equal(p->header.type, BEAM_WIRE_SOLUTION);
    peer_free(p);
    free(good);
}

static void preferences_and_sockets_are_checked(void **state)
{
    (void)state;
    static const double bad[][2] = {{NAN, 1}, {1, INFINITY}, {-0.1, 1}, {0, 0}};
    request *r = request_new();
    peer *control = peer_new("control.sock"), *csi = peer_new("csi.sock");
    for (int k = 0; k < 4; k++) {
        r->preference.u1 = bad[k][0];
        r->preference.u2 = bad[k][1];
        send(control, BEAM_WIRE_PREFERENCE_SET, "bystander", &r->preference_set.base);
        expect(control, BEAMD__ERROR_CODE__ERROR_INVALID, "preference");
    }
    r->preference_set.preference = NULL;
    send(control, BEAM_WIRE_PREFERENCE_SET, "bystander", &r->preference_set.base);
    expect(control, BEAMD__ERROR_CODE__ERROR_INVALID, "preference");
    send(control, BEAM_WIRE_CSI_UPDATE, "bystander", &r->csi.base);
    expect(control, BEAMD__ERROR_CODE__ERROR_TYPE, "type");
    send(csi, BEAM_WIRE_PREFERENCE_SET, "bystander", &r->preference_set.base);
    expect(csi, BEAMD__ERROR_CODE__ERROR_TYPE, "type");
    send(csi, BEAM_WIRE_REGISTER_CLUSTER, "", &r->registration.base);
    expect(csi, BEAMD__ERROR_CODE__ERROR_INVALID, "cluster");
    peer_free(control);
    peer_free(csi);
    free(r);
}

/* More of everything than the daemon was told to take. */
static void limits_hold(void **state)
{
    (void)state;
    static const char *const settings[] = {"clusters_max = 2", "users_max = 4",
                                           "cluster_memory_mib = 8", NULL};
    test_daemon small;
    test_daemon_start(&small, settings, 0);
    const test_daemon all = daemon_;
    daemon_ = small; /* peers of this test go there */
    request *r = request_new();
    peer *p = peer_new("csi.sock");
    r->registration.max_users = 5;
    send(p, BEAM_WIRE_REGISTER_CLUSTER, "a", &r->registration.base);
    expect(p, BEAMD__ERROR_CODE__ERROR_LIMIT, "max_users");
    r->registration.max_users = 4;
    for (int l = 0; l < L; l++) {
        r->station[l].antennas = 256;
    }
    r->registration.targets = 16;
    send(p, BEAM_WIRE_REGISTER_CLUSTER, "a", &r->registration.base);
    expect(p, BEAMD__ERROR_CODE__ERROR_LIMIT, "stations");
    for (int l = 0; l < L; l++) {
        r->station[l].antennas = N;
    }
    r->registration.targets = J;
    for (int k = 0; k < 3; k++) {
        const char id[2] = {(char)('a' + k), 0};
        send(p, BEAM_WIRE_REGISTER_CLUSTER, id, &r->registration.base);
        if (k < 2) {
            assert_int_equal(p->header.type, BEAM_WIRE_ACK);
        }
    }
    expect(p, BEAMD__ERROR_CODE__ERROR_LIMIT, "cluster");
    send(p, BEAM_WIRE_REGISTER_CLUSTER, "b", &r->registration.base); /* replacing is no growth */
    assert_int_equal(p->header.type, BEAM_WIRE_ACK);
    peer_free(p);
    free(r);
    daemon_ = all;
    assert_int_equal(test_daemon_stop(&small), 0);
}

/* Bytes of a good message flipped one by one: any answer will do, as long as there is one. */
static void flipped_bytes_never_go_unanswered(void **state)
{
    (void)state;
    unsigned char frame[FRAME_BYTES], spoilt[FRAME_BYTES];
    request *r = request_new();
    peer *p = registered_peer(r, "flip");
    int refused = 0;
    for (int k = 0; k < 600; k++) {
        const size_t bytes = pack(p, BEAM_WIRE_CSI_UPDATE, "flip", &r->csi.base, frame);
        const size_t at = (size_t)(k * 7919) % bytes;
        memcpy(spoilt, frame, bytes);
        spoilt[at] ^= (unsigned char)(1u << (k % 8));
        send_raw(p, spoilt, bytes);
        refused += p->error != NULL;
    }
    assert_true(refused > 20);
    peer_free(p);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(broken_frames_are_answered, others_go_on),
        cmocka_unit_test_teardown(several_frames_are_refused, others_go_on),
        cmocka_unit_test_teardown(too_large_messages_are_answered, others_go_on),
        cmocka_unit_test_teardown(a_registration_names_its_field, others_go_on),
        cmocka_unit_test_teardown(a_csi_update_names_its_field, others_go_on),
        cmocka_unit_test_teardown(a_target_update_names_its_field, others_go_on),
        cmocka_unit_test_teardown(preferences_and_sockets_are_checked, others_go_on),
        cmocka_unit_test_teardown(limits_hold, others_go_on),
        cmocka_unit_test_teardown(flipped_bytes_never_go_unanswered, others_go_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
