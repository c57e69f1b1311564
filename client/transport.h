/* The only part of the client that knows ZeroMQ. Internal to libbeamclient. */
#ifndef BEAMC_TRANSPORT_H
#define BEAMC_TRANSPORT_H

#include "beamc/beamc.h"

typedef enum beamc_socket {
    BEAMC_SOCKET_CSI = 0,
    BEAMC_SOCKET_BEAMS = 1,
    BEAMC_SOCKET_CONTROL = 2,
    BEAMC_SOCKET_TELEMETRY = 3
} beamc_socket;
enum { BEAMC_SOCKETS = 4 };

typedef struct beamc_transport beamc_transport;

/* Fills *err (may be NULL) and returns code. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
beamc_code
beamc_fail(beamc_error *err, beamc_code code, const char *format, ...);

beamc_code beamc_transport_create(beamc_transport **out, const beamc_options *options,
                                  beamc_error *err);
void beamc_transport_destroy(beamc_transport **self);

/* Opens and connects the socket unless it is open.
 *
 * The special problem of a refusal: libzmq lets a message for a daemon that refused us vanish, and
 * does not try again. So every socket has a monitor; when that reports a refusal, the calls below
 * close the socket and return BEAMC_E_TRANSPORT with the reason. The next send or subscription
 * opens it anew; subscriptions have to be made again. */
beamc_code beamc_transport_open(beamc_transport *self, beamc_socket which, beamc_error *err);

/* A message of `bytes` to write into, then send. NULL when there is no memory. */
unsigned char *beamc_transport_message(beamc_transport *self, size_t bytes);
beamc_code beamc_transport_send(beamc_transport *self, beamc_socket which, beamc_error *err);

/* One whole message without waiting: the last frame in *frame (valid until the next receive) and,
 * on the beams and telemetry sockets, its topic checked against nothing yet. BEAMC_E_TIMEOUT when
 * nothing is there, BEAMC_E_PROTOCOL when the number of frames is wrong. */
beamc_code beamc_transport_receive(beamc_transport *self, beamc_socket which,
                                   const unsigned char **frame, size_t *bytes, beamc_error *err);

/* Waits until one of the sockets of `mask` (1 << beamc_socket) may be read. */
beamc_code beamc_transport_wait(beamc_transport *self, unsigned mask, int timeout_ms,
                                beamc_error *err);

/* On the beams or the telemetry socket. */
beamc_code beamc_transport_subscribe(beamc_transport *self, beamc_socket which,
                                     const unsigned char *topic, size_t bytes, bool on,
                                     beamc_error *err);

/* Whether text (may be NULL) is a key, 40 characters Z85. */
bool beamc_transport_is_key(const char *text);
/* Of a secret key; a new pair. False: libzmq has no CURVE. */
bool beamc_transport_public_key(char public_key[41], const char *secret_key);
bool beamc_transport_new_keys(char public_key[41], char secret_key[41]);

/* epoll descriptor over the csi, beams and telemetry sockets, -1 while none of them is open. */
int beamc_transport_fd(const beamc_transport *self);

#endif
