/* A bare ZeroMQ echo in a process of its own: what the transport takes by itself. It answers every
 * request with as many bytes as the daemon would, and computes nothing. Direct: the thread that
 * reads answers. Worker: as in the daemon, one thread has the socket, hands each request to another
 * over a ring, is woken by an eventfd and sends what comes back. */
#ifndef BEAMLOAD_ECHO_H
#define BEAMLOAD_ECHO_H

#include "load/link.h"

typedef struct load_echo load_echo;

typedef struct load_echo_options {
    bool worker; /* two threads */
    bool spin;   /* the worker looks for work 100 ms long before it sleeps */
    bool tcp;    /* loopback tcp, else ipc */
} load_echo_options;

/* Forks: call before any ZeroMQ context is made. NULL: *err says why. */
load_echo *load_echo_start(const load_echo_options *options, load_error *err);
/* Ends the process; removes its socket. */
void load_echo_stop(load_echo **self);
const char *load_echo_endpoint(const load_echo *self);
/* Over a DEALER on that endpoint: answers to CSI are this long from now on. */
int load_echo_set_bytes(load_socket *socket, size_t answer_bytes, load_error *err);

#endif
