/* ZeroMQ on the event loop. zsock.c is the one file of the daemon that includes its header. */
#ifndef BEAMD_ZSOCK_H
#define BEAMD_ZSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

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
} beamd_message;

typedef void beamd_message_callback(void *arg, const beamd_message *message);

typedef struct beamd_zsock_options {
    const char *endpoint;
    int queue_messages;    /* high-water mark, both directions, per peer */
    int64_t message_bytes; /* beyond it ZeroMQ disconnects the peer */
    int linger_ms;
    const long long *per_turn; /* messages taken per turn of the loop; read at every turn */
    beamd_message_callback *callback;
    void *arg;
} beamd_zsock_options;

beamd_zmq *beamd_zmq_create(void);
/* After all its sockets. Blocks for at most their linger time. */
void beamd_zmq_destroy(beamd_zmq **self);

/* ROUTER with ROUTER_MANDATORY: a message to a peer that is gone or full is refused, not lost
 * unseen. NULL: `text` (of `size` bytes) says why. */
beamd_zsock *beamd_zsock_router(beamd_zmq *zmq, beamd_loop *loop,
                                const beamd_zsock_options *options, char *text, size_t size);
/* XPUB with XPUB_VERBOSE: every subscription is passed up, also a repeated one. */
beamd_zsock *beamd_zsock_xpub(beamd_zmq *zmq, beamd_loop *loop, const beamd_zsock_options *options,
                              char *text, size_t size);
void beamd_zsock_destroy(beamd_zsock **self);

/* Never blocks. False when the peer is gone or its queue full. */
bool beamd_zsock_send(beamd_zsock *self, const beamd_frame *frames, unsigned count);

#endif
