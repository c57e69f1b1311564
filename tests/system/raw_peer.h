/* Raw frames on a raw DEALER, for messages that a client library would not send: requests as
 * protobuf-c structs, valid until a test spoils them. */
#ifndef TEST_RAW_PEER_H
#define TEST_RAW_PEER_H

#include <stdalign.h>

#include "system/daemon.h"
#include "wire.h"

/* The sizes of the scene that they are made from (paper_eps010). */
enum { L = 3, N = 5, U = 3, J = 2, FRAME_BYTES = 1 << 16, ANSWER_MS = 20000 };

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

request *request_new(const beam_scene *scene);

/* One peer and what it got back. */
typedef struct peer {
    void *socket;
    uint64_t sequence;
    alignas(16) unsigned char arena_memory[FRAME_BYTES * 8];
    beam_wire_arena arena;
    beam_wire_header header;
    const Beamd__Error *error; /* NULL: the answer was another message */
} peer;

/* A DEALER on ipc://dir/file in a ZeroMQ context. */
peer *peer_new(void *context, const char *dir, const char *file);
void peer_free(peer *self);

/* The next answer, into `header` and `error`. Fails the test when none comes. */
void peer_await(peer *self);
/* Packs with the next sequence; bytes of the frame. */
size_t peer_pack(peer *self, unsigned type, const char *cluster, const ProtobufCMessage *message,
                 unsigned char *frame);
/* Sends and awaits the answer. */
void peer_send(peer *self, unsigned type, const char *cluster, const ProtobufCMessage *message);
void peer_send_raw(peer *self, const void *frame, size_t bytes);

/* The last answer was this error about this field, of this request. */
void peer_expect(const peer *self, Beamd__ErrorCode code, const char *field);

#endif
