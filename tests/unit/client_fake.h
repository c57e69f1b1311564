/* A daemon made of two ROUTER and two XPUB sockets, so that every answer, good or bad, in any
 * order, can be given to the client library. */
#ifndef BEAM_TEST_CLIENT_FAKE_H
#define BEAM_TEST_CLIENT_FAKE_H

#include "beamc/beamc.h"
#include "wire.h"

enum { FAKE_BYTES = 65536, FAKE_PATIENCE_MS = 5000 };

typedef struct fake {
    char dir[64];
    void *context, *csi, *beams, *control, *telemetry;
    unsigned char peer[256];
    size_t peer_bytes;
    unsigned char frame[FAKE_BYTES]; /* the last request */
    size_t frame_bytes;
    beam_wire_header header;
    ProtobufCMessage *message;
    beam_wire_arena arena;
    unsigned char memory[4 * FAKE_BYTES];
    beamc_client *client;
} fake;

/* For cmocka: a fake with a client connected to it, whose first sequence is 100. */
int fake_setup(void **state);
int fake_teardown(void **state);
#define WITH_DAEMON(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)

/* The next request on `socket`, decoded. */
void fake_take(fake *f, void *socket, unsigned type);
/* To the peer of the last request. */
void fake_send_bytes(fake *f, void *socket, const void *bytes, size_t size);
void fake_answer(fake *f, void *socket, unsigned type, const char *cluster, uint64_t sequence,
                 const ProtobufCMessage *message);
void fake_ack(fake *f, uint64_t sequence);
void fake_refuse(fake *f, void *socket, uint64_t sequence, Beamd__ErrorCode code);
/* A golden message under another header; returns its bytes, at most FAKE_BYTES. */
size_t fake_golden_frame(unsigned char *out, const char *name, unsigned type, const char *cluster,
                         uint64_t sequence);

/* Two stations of three antennas, two users. */
extern const double FAKE_CHANNELS[2][2][3][2];
extern const double FAKE_RADII[2][2];
beamc_csi fake_example_csi(void);
/* Sends and takes it; returns its sequence. */
uint64_t fake_send_example(fake *f);

#endif
