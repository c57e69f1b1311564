/* ZeroMQ on the event loop. zsock.c is the one file of the daemon that includes its header. */
#ifndef BEAMD_ZSOCK_H
#define BEAMD_ZSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "zap.h"

typedef struct beamd_zmq beamd_zmq;     /* context */
typedef struct beamd_zsock beamd_zsock; /* one bound socket */

enum { BEAMD_FRAMES_MAX = 3 };

typedef struct beamd_frame {
    const void *data;
    size_t bytes;
} beamd_frame;

/* One received message; the frames are valid during the callback. `count` is the number that came,
 * of which the first BEAMD_FRAMES_MAX are kept. */
typedef struct beamd_message {
    beamd_frame frame[BEAMD_FRAMES_MAX];
    unsigned count;
    unsigned roles; /* BEAMD_ROLE_*, as they are now: a reload may have taken some away */
    /* "uid:1000(name)" over ipc, "tcp:127.0.0.1" without keys, else "NAME#KEY" (keys.h). Valid
     * during the callback, never NULL. */
    const char *user;
} beamd_message;

typedef void beamd_message_callback(void *arg, const beamd_message *message);

typedef struct beamd_zsock_options {
    const char *endpoint;
    const char *domain;    /* csi, control, beams or telemetry: what zap.h asks of a peer */
    int queue_messages;    /* high-water mark, both directions, per peer */
    int64_t message_bytes; /* beyond it, and 1024, ZeroMQ disconnects the peer */
    int linger_ms;
    const long long *per_turn; /* messages taken per turn of the loop; read at every turn */
    beamd_message_callback *callback;
    void *arg;
} beamd_zsock_options;

typedef struct beamd_zmq_options {
    beamd_loop *loop;
    beamd_zap *zap;        /* must outlive the context */
    int io_cpu;            /* of ZeroMQ's I/O thread; -1: any */
    int realtime_priority; /* SCHED_FIFO of that thread; 0: the ordinary scheduler */
} beamd_zmq_options;

/* Starts ZeroMQ's threads, which inherit the affinity of the caller where io_cpu is -1: pin the
 * loop's own thread after this. libzmq aborts where a priority or a core is refused to it, so both
 * are tried first in a thread of ours. NULL: `text` (of `size` bytes) says why. */
beamd_zmq *beamd_zmq_create(const beamd_zmq_options *options, char *text, size_t size);
/* After all its sockets. Blocks for at most their linger time. */
void beamd_zmq_destroy(beamd_zmq **self);

/* ROUTER with ROUTER_MANDATORY: a message to a peer that is gone or full is refused, not lost
 * unseen. NULL: `text` (of `size` bytes) says why. tcp uses CURVE where the daemon has keys, and
 * must be loopback where it has none. */
beamd_zsock *beamd_zsock_router(beamd_zmq *zmq, beamd_loop *loop,
                                const beamd_zsock_options *options, char *text, size_t size);
/* XPUB with XPUB_VERBOSE: every subscription is passed up, also a repeated one. */
beamd_zsock *beamd_zsock_xpub(beamd_zmq *zmq, beamd_loop *loop, const beamd_zsock_options *options,
                              char *text, size_t size);
/* Removes the socket file of an ipc endpoint, if it is still ours. */
void beamd_zsock_destroy(beamd_zsock **self);

/* Whether a message is there that the callback has not seen. */
bool beamd_zsock_waiting(beamd_zsock *self);
/* Never blocks. False when the peer is gone or its queue full. */
bool beamd_zsock_send(beamd_zsock *self, const beamd_frame *frames, unsigned count);

/* The endpoint as bound, with its port where 0 or * was asked for. */
const char *beamd_zsock_endpoint(const beamd_zsock *self);

/* A key of 40 characters Z85 as 32 bytes; false: it is none. */
bool beamd_curve_decode(unsigned char key[32], const char *text);
/* The public key of a secret one, both Z85. */
bool beamd_curve_public(char public_key[41], const char *secret_key);

#endif
