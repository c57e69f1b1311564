/* Inside libbeamclient. */
#ifndef BEAMC_CLIENT_H
#define BEAMC_CLIENT_H

#include "beamc/beamc.h"
#include "transport.h"
#include "wire.h"

enum { BEAMC_STASH = 64 };

/* An answer that came while another one was awaited. */
typedef struct beamc_stashed {
    unsigned char *frame;
    size_t bytes;
    beamc_socket socket;
} beamc_stashed;

struct beamc_client {
    beamc_transport *transport;
    uint64_t sequence;  /* of the next request */
    beam_wire_arena in; /* the answer last decoded; grows with the messages that come */
    beam_wire_arena out;
    beamc_stashed stash[BEAMC_STASH]; /* oldest first */
    size_t stashed;
    unsigned char *popped; /* frame taken from the stash last, alive while its answer is */
    uint64_t dropped;
};

/* Room in an arena of the client for `count` objects, NULL when there is none. */
#define BEAMC_TAKE(arena, type, count)                                                             \
    ((type *)beam_wire_arena_take((arena), sizeof(type) * (count)))

uint64_t beamc_now_ns(void);

/* err gets the sentence of a wire error as a wrong argument (ours) or a protocol error (theirs). */
beamc_code beamc_fail_wire(beamc_error *err, beamc_code code, const beam_wire_error *wire);

/* Packs and sends under the next sequence. */
beamc_code beamc_send_message(beamc_client *client, beamc_socket which, unsigned type,
                              const char *cluster, const ProtobufCMessage *message,
                              uint64_t *sequence, beamc_error *err);

/* Sends on the control socket and waits for the answer of `reply_type`; *reply lives in the
 * client's arena. */
beamc_code beamc_control(beamc_client *client, unsigned type, const char *cluster,
                         const ProtobufCMessage *message, int timeout_ms, unsigned reply_type,
                         const ProtobufCMessage **reply, beamc_error *err);

/* Empties client->in and makes it large enough for what a frame of so many bytes unfolds to. */
beamc_code beamc_make_room(beamc_client *client, size_t bytes, beamc_error *err);

/* Frame -> answer, in client->in. */
beamc_code beamc_decode_answer(beamc_client *client, const unsigned char *frame, size_t bytes,
                               beamc_socket from, beamc_answer *answer, beamc_error *err);
void beamc_decode_refusal(const Beamd__Error *refusal, beamc_error *out);
beamc_preference beamc_decode_preference(const Beamd__Preference *preference);
/* Into client->in; *out NULL when count is 0. BEAMC_E_PROTOCOL: no room. */
beamc_code beamc_decode_named(beamc_client *client, Beamd__NamedPreference *const *list,
                              size_t count, const beamc_named_preference **out, beamc_error *err);
beamc_code beamc_decode_clusters(beamc_client *client, Beamd__ClusterStatus *const *list,
                                 size_t count, const beamc_cluster_status **out, beamc_error *err);
beamc_code beamc_decode_telemetry(beamc_client *client, const Beamd__Telemetry *message,
                                  const beamc_telemetry **out, beamc_error *err);

#endif
