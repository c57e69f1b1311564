#include "system/raw_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

static void fill_registration(request *r, const beam_scene *scene)
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

static void fill_csi(request *r, const beam_scene *scene)
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

static void fill_targets(request *r, const beam_scene *scene)
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

request *request_new(const beam_scene *scene)
{
    request *r = test_memory(sizeof *r);
    fill_registration(r, scene);
    fill_csi(r, scene);
    fill_targets(r, scene);
    return r;
}

peer *peer_new(void *context, const char *dir, const char *file)
{
    char endpoint[128];
    const int linger = 0, timeout = ANSWER_MS;
    peer *p = test_memory(sizeof *p);
    memset(p, 0, sizeof *p);
    p->socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(p->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(p->socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/%s", dir, file);
    assert_int_equal(zmq_connect(p->socket, endpoint), 0);
    beam_wire_arena_init(&p->arena, p->arena_memory, sizeof p->arena_memory);
    return p;
}

void peer_free(peer *p)
{
    zmq_close(p->socket);
    free(p);
}

void peer_await(peer *p)
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

size_t peer_pack(peer *p, unsigned type, const char *cluster, const ProtobufCMessage *message,
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

void peer_send(peer *p, unsigned type, const char *cluster, const ProtobufCMessage *message)
{
    static unsigned char frame[FRAME_BYTES];
    const size_t bytes = peer_pack(p, type, cluster, message, frame);
    assert_int_equal(zmq_send(p->socket, frame, bytes, 0), bytes);
    peer_await(p);
}

void peer_send_raw(peer *p, const void *frame, size_t bytes)
{
    assert_int_equal(zmq_send(p->socket, frame, bytes, 0), bytes);
    peer_await(p);
}

void peer_expect(const peer *p, Beamd__ErrorCode code, const char *field)
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
