#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "client_fake.h"

static void *fake_socket(fake *f, int type, const char *file)
{
    char endpoint[128];
    const int zero = 0, patience = FAKE_PATIENCE_MS, verbose = 1;
    void *socket = zmq_socket(f->context, type);
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof patience);
    if (type == ZMQ_XPUB) {
        zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &verbose, sizeof verbose);
    }
    snprintf(endpoint, sizeof endpoint, "ipc://%s/%s", f->dir, file);
    assert_int_equal(zmq_bind(socket, endpoint), 0);
    return socket;
}

int fake_setup(void **state)
{
    fake *f = calloc(1, sizeof *f);
    beamc_error err;
    strcpy(f->dir, "/tmp/beamc-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->context = zmq_ctx_new();
    f->csi = fake_socket(f, ZMQ_ROUTER, "csi.sock");
    f->control = fake_socket(f, ZMQ_ROUTER, "control.sock");
    f->beams = fake_socket(f, ZMQ_XPUB, "beams.sock");
    f->telemetry = fake_socket(f, ZMQ_XPUB, "telemetry.sock");
    beam_wire_arena_init(&f->arena, f->memory, sizeof f->memory);
    beamc_options options = beamc_options_default();
    options.runtime_dir = f->dir;
    options.first_sequence = 100;
    assert_int_equal(beamc_connect(&f->client, &options, &err), BEAMC_OK);
    *state = f;
    return 0;
}

int fake_teardown(void **state)
{
    fake *f = *state;
    const char *const files[] = {"csi.sock", "control.sock", "beams.sock", "telemetry.sock"};
    beamc_close(&f->client);
    assert_null(f->client);
    zmq_close(f->csi);
    zmq_close(f->control);
    zmq_close(f->beams);
    zmq_close(f->telemetry);
    zmq_ctx_term(f->context);
    for (int k = 0; k < 4; k++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", f->dir, files[k]);
        unlink(path);
    }
    rmdir(f->dir);
    free(f);
    return 0;
}

/* The next request on `socket`, decoded. */
void fake_take(fake *f, void *socket, unsigned type)
{
    const int peer = zmq_recv(socket, f->peer, sizeof f->peer, 0);
    assert_true(peer > 0);
    f->peer_bytes = (size_t)peer;
    const int n = zmq_recv(socket, f->frame, sizeof f->frame, 0);
    assert_true(n > 0 && n <= FAKE_BYTES);
    f->frame_bytes = (size_t)n;
    beam_wire_arena_reset(&f->arena);
    assert_int_equal(
        beam_wire_unpack(&f->header, &f->message, &f->arena, f->frame, f->frame_bytes, NULL), 0);
    assert_int_equal(f->header.type, type);
}

void fake_send_bytes(fake *f, void *socket, const void *bytes, size_t size)
{
    assert_true(zmq_send(socket, f->peer, f->peer_bytes, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(socket, bytes, size, 0) >= 0);
}

void fake_answer(fake *f, void *socket, unsigned type, const char *cluster, uint64_t sequence,
                 const ProtobufCMessage *message)
{
    unsigned char frame[FAKE_BYTES];
    size_t bytes;
    assert_int_equal(
        beam_wire_pack(type, cluster, sequence, message, frame, sizeof frame, &bytes, NULL), 0);
    fake_send_bytes(f, socket, frame, bytes);
}

void fake_ack(fake *f, uint64_t sequence)
{
    Beamd__Ack ack = BEAMD__ACK__INIT;
    fake_answer(f, f->csi, BEAM_WIRE_ACK, "c1", sequence, &ack.base);
}

void fake_refuse(fake *f, void *socket, uint64_t sequence, Beamd__ErrorCode code)
{
    Beamd__Error error = BEAMD__ERROR__INIT;
    char field[] = "users[1].noise_w", text[] = "must be above zero";
    error.code = code;
    error.field = field;
    error.text = text;
    error.request_sequence = sequence;
    fake_answer(f, socket, BEAM_WIRE_ERROR, "c1", sequence, &error.base);
}

size_t fake_golden_frame(unsigned char *out, const char *name, unsigned type, const char *cluster,
                         uint64_t sequence)
{
    char path[512];
    snprintf(path, sizeof path, "%s/wire/%s.bin", BEAM_TEST_GOLDEN, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t size = fread(out, 1, FAKE_BYTES, file);
    fclose(file);
    assert_int_equal(
        beam_wire_header_encode(out, type, cluster, sequence, size - BEAM_WIRE_HEADER_BYTES, NULL),
        0);
    return size;
}

const double FAKE_CHANNELS[2][2][3][2] = {
    {{{1, 2}, {3, 4}, {5, 6}}, {{7, 8}, {9, 10}, {11, 12}}},
    {{{-1, -2}, {-3, -4}, {-5, -6}}, {{-7, -8}, {-9, -10}, {-11, -12}}}};
const double FAKE_RADII[2][2] = {{0.1, 0.2}, {0.3, 0.4}};
static const beamc_user USERS[2] = {
    {.id = 7, .station = 1, .weight = 1, .noise_w = 1e-11},
    {.id = 1ull << 40, .station = 0, .weight = 2, .noise_w = 2e-11, .min_rate_bps_hz = 0.5}};

beamc_csi fake_example_csi(void)
{
    return (beamc_csi){.cluster = "c1",
                       .station_count = 2,
                       .antennas = 3,
                       .users = USERS,
                       .user_count = 2,
                       .channels = &FAKE_CHANNELS[0][0][0][0],
                       .error_radius = &FAKE_RADII[0][0],
                       .deadline_us = 4000};
}

uint64_t fake_send_example(fake *f)
{
    const beamc_csi csi = fake_example_csi();
    uint64_t sequence = 0;
    beamc_error err;
    assert_int_equal(beamc_send_csi(f->client, &csi, &sequence, &err), BEAMC_OK);
    fake_take(f, f->csi, BEAM_WIRE_CSI_UPDATE);
    assert_true(f->header.sequence == sequence);
    return sequence;
}
