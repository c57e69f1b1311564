/* A daemon of three sockets and a thread, for clients that ask for more than a real one answers at
 * will: fronts without bounds, infinities, texts of all kinds, telemetry that stops. */
#ifndef TESTS_SYSTEM_FAKE_DAEMON_H
#define TESTS_SYSTEM_FAKE_DAEMON_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "wire.h"

enum { FAKE_MESSAGE_BYTES = 1 << 18, FAKE_NAMED_MAX = 4 };

typedef struct fake_daemon {
    char dir[64]; /* the runtime directory */
    atomic_bool stop;
    atomic_bool telemetry;   /* is published */
    atomic_bool answers;     /* requests are answered */
    atomic_bool restarted;   /* the next telemetry begins again from zero */
    atomic_uint busy;        /* so many fronts are refused first */
    atomic_uint empty_lists; /* so many lists of clusters have none yet */
    atomic_uint drains, reloads, checks;
    char log_level[32]; /* set last; read it when the request is answered */
    /* inside */
    pthread_t thread;
    void *context, *control, *beams, *published;
    char names[FAKE_NAMED_MAX][32];
    double tradeoffs[FAKE_NAMED_MAX], unnamed;
    size_t named;
    uint64_t sequence; /* of telemetry */
    unsigned char frame[FAKE_MESSAGE_BYTES], memory[4 * FAKE_MESSAGE_BYTES];
} fake_daemon;

/* Clusters it knows: "north" (a front of 9 points, a published SolutionSet of subbands 0 and 274),
 * "blind" (a front where nothing is located, nothing published), "odd" (a front of infinities).
 * Fails the test where it cannot start. */
void fake_daemon_start(fake_daemon *self);
void fake_daemon_stop(fake_daemon *self);

#endif
