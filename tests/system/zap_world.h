/* The daemon's sockets without its core: every message is answered with who sent it, and clients
 * that speak plain ZeroMQ. One thread: waiting means letting the loop turn. */
#ifndef BEAM_TEST_ZAP_WORLD_H
#define BEAM_TEST_ZAP_WORLD_H

#include <stdbool.h>

#include "common/keys.h"
#include "zsock.h"

typedef struct zap_world {
    char dir[64];
    beamd_loop *loop;
    beamd_zap *zap;
    beamd_zmq *zmq;
    beamd_zsock *csi, *control, *beams;
    long long per_turn;
    unsigned subscriptions;
    char subscriber[BEAMD_USER_BYTES];
    unsigned subscriber_roles;
    void *clients; /* a context of their own */
} zap_world;

/* curve_dir may be NULL. ipc: sockets are files, else tcp on 127.0.0.1. */
void zap_world_start(zap_world *self, const char *curve_dir, bool ipc, long long connections_max);
void zap_world_stop(zap_world *self);

/* Lets the loop turn for about this long. */
void zap_world_turn(zap_world *self, unsigned ms);

typedef struct zap_client {
    void *socket, *monitor;
    int failed;      /* the last HANDSHAKE_FAILED_* event; 0: none */
    unsigned reason; /* its value */
} zap_client;

/* type: ZMQ_DEALER or ZMQ_SUB, subscribed to everything. keys NULL: no CURVE. */
void zap_client_connect(zap_world *self, zap_client *client, int type, const beamd_zsock *to,
                        const test_pair *keys, const char *server_key);
void zap_client_close(zap_client *client);
/* Reads the monitor. */
void zap_client_look(zap_client *client);

/* Asks who it is: "USER ROLES" within `ms`, or NULL. Static. */
const char *zap_client_ask(zap_world *self, zap_client *client, unsigned ms);
/* Turns until the handshake has failed; false after `ms`. */
bool zap_client_fails(zap_world *self, zap_client *client, unsigned ms);

#endif
