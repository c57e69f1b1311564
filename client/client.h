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
    uint64_t sequence; /* of the next request */
    beam_wire_arena in, out;
    void *memory;
    beamc_stashed stash[BEAMC_STASH]; /* oldest first */
    size_t stashed;
    unsigned char *popped; /* frame taken from the stash last, alive while its answer is */
    uint64_t dropped;
    beamc_solution solution;
};

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

/* Frame -> answer. `client->in` is reset first. */
beamc_code beamc_decode_answer(beamc_client *client, const unsigned char *frame, size_t bytes,
                               beamc_socket from, beamc_answer *answer, beamc_error *err);
void beamc_decode_refusal(const Beamd__Error *refusal, beamc_error *out);
beamc_preference beamc_decode_preference(const Beamd__Preference *preference);

#endif
