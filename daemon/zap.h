/* Who may connect, and what each peer may do. Every connection, over ipc too, is asked about here
 * before its first message (ZeroMQ's authentication protocol, RFC 27); zsock.c has the socket of
 * it. Loop thread only.
 *
 * ipc: whoever the mode of the socket file lets in may do everything; the peer is named by its user
 * id. Loopback tcp without keys: everything. tcp with keys: the roles of the key. */
#ifndef BEAMD_ZAP_H
#define BEAMD_ZAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "roles.h"

typedef struct beamd_zap beamd_zap;

enum { BEAMD_USER_BYTES = 96, BEAMD_DOMAINS_MAX = 8 };

/* Of subscriptions: libzmq keeps a tree of every byte of them, 32 bytes for each. A topic is the id
 * of a cluster and a zero, or shorter. */
enum {
    BEAMD_TOPIC_BYTES_MAX = 64,
    BEAMD_TOPICS_MAX = 4096, /* of one connection, those that it took back included */
    BEAMD_TOPICS_ALL_MAX = 65536
};

typedef struct beamd_zap_options {
    const char *curve_dir;      /* NULL or "": no keys, and so no tcp beyond loopback */
    long long connections_max;  /* of all sockets together */
    long long descriptors_kept; /* which connections must leave to the rest of the daemon */
} beamd_zap_options;

/* All but the first four only grow. */
typedef struct beamd_zap_counters {
    uint64_t connections;     /* open now, those still in their handshake included */
    uint64_t connections_max; /* after the clamp to the limit of descriptors */
    uint64_t clients;         /* keys known */
    uint64_t topics;          /* subscribed to by the connections that are open */
    uint64_t accepted;
    uint64_t refused_keys;        /* no such key, or not one for this socket */
    uint64_t refused_limit;       /* connections_max was reached */
    uint64_t refused_descriptors; /* closed at accept, before a word: descriptors run out */
    uint64_t handshake_failures;  /* another protocol or mechanism, a wrong server key, silence */
    uint64_t revoked;             /* connections cut because a reload took their role away */
    uint64_t oversubscribed;      /* connections cut because of what they subscribed to */
} beamd_zap_counters;

/* Reads the keys. Clamps connections_max to what RLIMIT_NOFILE leaves, and says so in the log; sets
 * the ceiling of accept_guard.h. NULL: `why` says why not. */
beamd_zap *beamd_zap_create(const beamd_zap_options *options, char *why, size_t size);
/* After all sockets. */
void beamd_zap_destroy(beamd_zap **self);

/* Reads the keys again and takes all or nothing: false, `why` says why, and the old ones stay. What
 * needs a restart is refused too: another key of the server, keys where there were none. A client
 * whose role is gone is cut off from what it subscribed to; its requests carry no role. */
bool beamd_zap_reload(beamd_zap *self, const char *curve_dir, char *why, size_t size);
/* Whether that would be taken; changes nothing. */
bool beamd_zap_check(const beamd_zap *self, const char *curve_dir, char *why, size_t size);

/* Z85; NULL without keys. */
const char *beamd_zap_server_secret(const beamd_zap *self);
const char *beamd_zap_server_public(const beamd_zap *self);

const beamd_zap_counters *beamd_zap_count(const beamd_zap *self);

/* --- For zsock.c --- */

/* Registers a socket under its domain: csi, control, beams or telemetry. False: unknown, or there
 * already. */
bool beamd_zap_open(beamd_zap *self, const char *domain, bool ipc, bool curve);
void beamd_zap_close(beamd_zap *self, const char *domain);

typedef struct beamd_zap_text {
    const void *data;
    size_t bytes;
} beamd_zap_text;

typedef struct beamd_zap_request {
    beamd_zap_text version, domain, address, mechanism, credentials;
} beamd_zap_request;

typedef struct beamd_zap_reply {
    const char *status; /* 200, 400: no such key, 500: too many connections */
    const char *text;
    char user[BEAMD_USER_BYTES]; /* with 200 */
} beamd_zap_reply;

void beamd_zap_decide(beamd_zap *self, const beamd_zap_request *request, beamd_zap_reply *reply);

/* Of a user that was let in; 0 when its key is gone. Called per message: no allocation. */
unsigned beamd_zap_roles(const beamd_zap *self, const char *user);

typedef enum beamd_zap_event {
    BEAMD_ZAP_ACCEPTED,
    BEAMD_ZAP_DISCONNECTED,
    BEAMD_ZAP_FAILED_PROTOCOL,
    BEAMD_ZAP_FAILED
} beamd_zap_event;

/* What a socket's monitor saw. value: the descriptor, or the protocol error. */
void beamd_zap_monitor(beamd_zap *self, const char *domain, beamd_zap_event event, uint32_t value);

/* `user` subscribed to a topic of `domain` over the connection `fd`. False: it was one too many, or
 * too long, and the connection is cut. */
bool beamd_zap_subscribed(beamd_zap *self, const char *domain, int fd, const char *user,
                          size_t topic_bytes);

#endif
