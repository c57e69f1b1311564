/* ZeroMQ as beamload uses it. Only link.c includes its header. One thread per socket. */
#ifndef BEAMLOAD_LINK_H
#define BEAMLOAD_LINK_H

#include "load/load.h"

enum { LOAD_IDENTITY_BYTES = 64, LOAD_ENDPOINT_BYTES = 256 };

typedef struct load_context load_context;
typedef struct load_socket load_socket;

typedef struct load_identity {
    unsigned char bytes[LOAD_IDENTITY_BYTES];
    size_t size;
} load_identity;

/* NULL: *err says why. */
load_context *load_context_create(load_error *err);
/* For the tcp endpoints that DEALERs connect to from now on: keys as text or file:PATH, both NULL
 * for none. */
int load_context_set_keys(load_context *self, const char *server_key, const char *secret_key,
                          load_error *err);
/* After its sockets. */
void load_context_destroy(load_context **self);

/* Connected; keeps what it sends while nobody listens yet. */
load_socket *load_socket_dealer(load_context *context, const char *endpoint, load_error *err);
/* Bound. bound: LOAD_ENDPOINT_BYTES, where it is (tcp://127.0.0.1:* takes a free port); or NULL. */
load_socket *load_socket_router(load_context *context, const char *endpoint, char *bound,
                                load_error *err);
void load_socket_destroy(load_socket **self);

/* 1: sent (copied); 0: no room now; -1: never. to: of a ROUTER, else NULL. A ROUTER's peer that is
 * gone counts as sent. */
int load_socket_send(load_socket *self, const load_identity *to, const void *frame, size_t bytes);
/* 1: a frame, valid until the next call; 0: none now; -1: never. from: of a ROUTER, else NULL.
 * Messages of several frames are dropped and counted. */
int load_socket_receive(load_socket *self, load_identity *from, const unsigned char **frame,
                        size_t *bytes);
uint64_t load_socket_dropped(const load_socket *self);
/* Edge-triggered: becomes readable after load_socket_receive returned 0 and something changed. A
 * send may take the edge: receive until 0 before waiting for it. */
int load_socket_fd(const load_socket *self);

/* Waits for any of the descriptors until the time (UINT64_MAX: without end) or a signal. */
void load_wait(const int *fds, int count, uint64_t until_ns);

#endif
