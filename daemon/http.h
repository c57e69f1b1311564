/* GET /metrics over HTTP/1.0 and 1.1: one request a connection, then it is closed. Enough for
 * Prometheus, curl and a probe; anything else is answered 400, 404 or 405. */
#ifndef BEAMD_HTTP_H
#define BEAMD_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "loop.h"

typedef struct beamd_http beamd_http;

typedef struct beamd_http_options {
    const char *endpoint; /* unix:PATH or tcp://ADDRESS:PORT */
    unsigned connections; /* at a time */
    unsigned timeout_ms;  /* of one connection */
    /* Writes the page into out (at most size bytes) and returns its length, which may be more than
     * size: it is then called again with enough. */
    size_t (*page)(void *arg, char *out, size_t size);
    void *arg;
    uint64_t *requests, *refused; /* counters */
} beamd_http_options;

/* NULL: `text` (of `size` bytes) says why. */
beamd_http *beamd_http_create(beamd_loop *loop, const beamd_http_options *options, char *text,
                              size_t size);
void beamd_http_destroy(beamd_http **self);

#endif
