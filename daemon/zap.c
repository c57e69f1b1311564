#include "zap.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "accept_guard.h"
#include "keys.h"
#include "log.h"

enum { UIDS = 16, CONNECTIONS_MIN = 8, SUBSCRIBERS_MAX = 1 << 20 };

typedef struct domain {
    const char *name;
    unsigned roles; /* any one of them lets in */
    bool open, ipc, curve;
    unsigned failing; /* refused peers whose hanging up will look like a failed handshake */
} domain;

typedef struct subscriber {
    char user[BEAMD_CLIENT_USER_BYTES]; /* "": none that could be revoked */
    uint32_t topics;
    bool cut; /* what is still on its way from it counts no more */
    unsigned char domain;
} subscriber;

typedef struct uid_name {
    unsigned long uid;
    char text[BEAMD_USER_BYTES]; /* "": free */
} uid_name;

struct beamd_zap {
    beamd_keys *keys; /* NULL: none */
    beamd_zap_counters counters;
    domain domains[BEAMD_DOMAINS_MAX];
    subscriber *subscribers; /* [subscribers_made], by descriptor */
    size_t subscribers_made;
    uid_name uids[UIDS];
    unsigned next_uid;
};

static const domain DOMAINS[] = {
    {.name = "csi", .roles = BEAMD_ROLE_CSI},
    {.name = "control", .roles = BEAMD_ROLE_OBSERVER | BEAMD_ROLE_OPERATOR},
    {.name = "beams", .roles = BEAMD_ROLE_CSI | BEAMD_ROLE_OBSERVER},
    {.name = "telemetry", .roles = BEAMD_ROLE_CSI | BEAMD_ROLE_OBSERVER},
};

/* A quarter of what is free stays for those who are refused or still in their handshake: they have
 * a descriptor too, and are to hear why. */
static bool limit_connections(beamd_zap *self, const beamd_zap_options *options, char *why,
                              size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        snprintf(why, size, "RLIMIT_NOFILE: %s", strerror(errno));
        return false;
    }
    const long long descriptors = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > 0x7fffffff
                                      ? 0x7fffffff
                                      : (long long)limit.rlim_cur;
    const long long ceiling = descriptors - options->descriptors_kept, most = ceiling / 4 * 3;
    if (most < CONNECTIONS_MIN) {
        snprintf(why, size,
                 "connections_max: the limit of %lld descriptors (LimitNOFILE, ulimit -n) leaves "
                 "room for %lld connections beside the %lld of the daemon; at least %d are needed",
                 descriptors, most > 0 ? most : 0, options->descriptors_kept, CONNECTIONS_MIN);
        return false;
    }
    self->counters.connections_max = (uint64_t)options->connections_max;
    if (options->connections_max > most) {
        self->counters.connections_max = (uint64_t)most;
        BEAMD_LOG(BEAMD_LOG_WARNING,
                  "event=connections_clamped connections_max=%lld to=%lld descriptors=%lld",
                  options->connections_max, most, descriptors);
    }
    beamd_accept_ceiling((int)ceiling);
    return true;
}

beamd_zap *beamd_zap_create(const beamd_zap_options *options, char *why, size_t size)
{
    beamd_zap *self = calloc(1, sizeof *self);
    if (!self) {
        snprintf(why, size, "out of memory");
        return NULL;
    }
    memcpy(self->domains, DOMAINS, sizeof DOMAINS);
    if (options->curve_dir && options->curve_dir[0]) {
        self->keys = beamd_keys_read(options->curve_dir, why, size);
        if (!self->keys) {
            beamd_zap_destroy(&self);
            return NULL;
        }
        self->counters.clients = self->keys->count;
        BEAMD_LOG(BEAMD_LOG_NOTICE, "event=keys dir=\"%s\" clients=%zu ignored_files=%zu",
                  options->curve_dir, self->keys->count, self->keys->ignored);
    }
    if (!limit_connections(self, options, why, size)) {
        beamd_zap_destroy(&self);
    }
    return self;
}

void beamd_zap_destroy(beamd_zap **self)
{
    if (*self) {
        beamd_accept_ceiling(0);
        beamd_keys_destroy(&(*self)->keys);
        free((*self)->subscribers);
        free(*self);
        *self = NULL;
    }
}

const char *beamd_zap_server_secret(const beamd_zap *self)
{
    return self->keys ? self->keys->server_secret : NULL;
}

const char *beamd_zap_server_public(const beamd_zap *self)
{
    return self->keys ? self->keys->server_public : NULL;
}

const beamd_zap_counters *beamd_zap_count(const beamd_zap *self)
{
    beamd_zap_counters *counters = &((beamd_zap *)self)->counters;
    counters->refused_descriptors = beamd_accept_refused();
    return counters;
}

static domain *find(beamd_zap *self, const void *name, size_t bytes)
{
    for (size_t k = 0; k < BEAMD_DOMAINS_MAX && self->domains[k].name; k++) {
        if (strlen(self->domains[k].name) == bytes &&
            memcmp(self->domains[k].name, name, bytes) == 0) {
            return &self->domains[k];
        }
    }
    return NULL;
}

bool beamd_zap_open(beamd_zap *self, const char *name, bool ipc, bool curve)
{
    domain *d = find(self, name, strlen(name));
    if (!d || d->open) {
        return false;
    }
    d->open = true;
    d->failing = 0;
    d->ipc = ipc;
    d->curve = curve;
    return true;
}

void beamd_zap_close(beamd_zap *self, const char *name)
{
    domain *d = find(self, name, strlen(name));
    if (d) {
        d->open = false;
    }
}

/* "uid:1000(name)" from /etc/passwd alone: the name service may ask the network, and the loop must
 * not wait for it. */
static void name_uid(beamd_zap *self, unsigned long uid, char *out, size_t size)
{
    for (unsigned k = 0; k < UIDS; k++) {
        if (self->uids[k].text[0] && self->uids[k].uid == uid) {
            snprintf(out, size, "%s", self->uids[k].text);
            return;
        }
    }
    snprintf(out, size, "uid:%lu", uid);
    FILE *file = fopen("/etc/passwd", "re");
    if (file) {
        struct passwd entry, *found = NULL;
        char text[2048];
        while (fgetpwent_r(file, &entry, text, sizeof text, &found) == 0 && found->pw_uid != uid) {
            found = NULL;
        }
        if (found) {
            snprintf(out, size, "uid:%lu(%.64s)", uid, found->pw_name);
        }
        fclose(file);
    }
    uid_name *slot = &self->uids[self->next_uid];
    self->next_uid = (self->next_uid + 1) % UIDS;
    slot->uid = uid;
    snprintf(slot->text, sizeof slot->text, "%s", out);
}

/* libzmq gives the credentials of the other end of a Unix socket as "localhost:UID:GID:PID". */
static bool name_ipc_peer(beamd_zap *self, const char *address, char *out, size_t size)
{
    const char *at = strchr(address, ':');
    char *end;
    if (!at || at[1] < '0' || at[1] > '9') {
        return false;
    }
    const unsigned long uid = strtoul(at + 1, &end, 10);
    if (*end != ':') {
        return false;
    }
    name_uid(self, uid, out, size);
    return true;
}

static void refuse(beamd_zap *self, domain *d, beamd_zap_reply *reply, const char *status,
                   const char *text, const char *address, const char *user)
{
    reply->status = status;
    reply->text = text;
    reply->user[0] = 0;
    if (status[0] == '5') {
        self->counters.refused_limit++;
    } else {
        self->counters.refused_keys++;
    }
    if (d && !d->curve) {
        d->failing++;
    }
    BEAMD_LOG(BEAMD_LOG_WARNING, "event=peer_refused domain=%s address=%s user=\"%s\" why=\"%s\"",
              d ? d->name : "unknown", address, user, text);
}

/* Printable, zero-terminated, cut: it goes into the log. */
static void copy_text(char *out, size_t size, beamd_zap_text text)
{
    size_t n = 0;
    for (; n < text.bytes && n + 1 < size; n++) {
        const unsigned char c = ((const unsigned char *)text.data)[n];
        out[n] = c > ' ' && c < 127 && c != '"' ? (char)c : '?';
    }
    out[n] = 0;
}

static bool is(beamd_zap_text text, const char *word)
{
    return text.bytes == strlen(word) && memcmp(text.data, word, text.bytes) == 0;
}

/* NULL, or why this key may not come in here. */
static const char *check_key(beamd_zap *self, const domain *d, const beamd_zap_request *request,
                             char *user, size_t size)
{
    if (!self->keys || !is(request->mechanism, "CURVE") ||
        request->credentials.bytes != BEAMD_KEY_BYTES) {
        return "no CURVE key";
    }
    const beamd_client_key *client = beamd_keys_of(self->keys, request->credentials.data);
    if (!client) {
        return "unknown key";
    }
    snprintf(user, size, "%s", client->user);
    return client->roles & d->roles ? NULL : "its roles do not open this socket";
}

void beamd_zap_decide(beamd_zap *self, const beamd_zap_request *request, beamd_zap_reply *reply)
{
    static const char mapped[] = "::ffff:"; /* how an IPv6 socket writes an IPv4 address */
    char text[80];
    copy_text(text, sizeof text, request->address);
    const char *address =
        text + (strncmp(text, mapped, sizeof mapped - 1) == 0 ? sizeof mapped - 1 : 0);
    memset(reply, 0, sizeof *reply);
    domain *d = find(self, request->domain.data, request->domain.bytes);
    if (!d || !d->open || !is(request->version, "1.0")) {
        refuse(self, d, reply, "400", "not a socket of this daemon", address, "");
        return;
    }
    const char *why = NULL;
    if (d->curve) {
        why = check_key(self, d, request, reply->user, sizeof reply->user);
    } else if (!is(request->mechanism, "NULL")) {
        why = "another mechanism than that of the socket";
    } else if (!d->ipc) {
        snprintf(reply->user, sizeof reply->user, "tcp:%s", address);
    } else if (!name_ipc_peer(self, address, reply->user, sizeof reply->user)) {
        why = "the peer's credentials are not known";
    }
    char user[BEAMD_USER_BYTES]; /* a refusal empties the reply's */
    memcpy(user, reply->user, sizeof user);
    if (why) {
        refuse(self, d, reply, "400", why, address, user);
    } else if (self->counters.connections > self->counters.connections_max) {
        refuse(self, d, reply, "500", "connections_max reached", address, user);
    } else {
        reply->status = "200";
        reply->text = "";
        self->counters.accepted++;
        BEAMD_LOG(d->curve ? BEAMD_LOG_INFO : BEAMD_LOG_DEBUG,
                  "event=peer domain=%s address=%s user=\"%s\"", d->name, address, user);
    }
}

/* A connection begins or ends. */
static void forget_subscriber(beamd_zap *self, uint32_t fd)
{
    if (fd < self->subscribers_made) {
        self->counters.topics -= self->subscribers[fd].topics;
        self->subscribers[fd] = (subscriber){.topics = 0};
    }
}

unsigned beamd_zap_roles(const beamd_zap *self, const char *user)
{
    if (!user) {
        return 0;
    }
    if (strchr(user, ':')) { /* no client's name has one */
        return BEAMD_ROLE_ALL;
    }
    const beamd_client_key *client = self->keys ? beamd_keys_user(self->keys, user) : NULL;
    return client ? client->roles : 0;
}

void beamd_zap_monitor(beamd_zap *self, const char *name, beamd_zap_event event, uint32_t value)
{
    domain *d = find(self, name, strlen(name));
    switch (event) {
    case BEAMD_ZAP_ACCEPTED:
        self->counters.connections++;
        forget_subscriber(self, value);
        return;
    case BEAMD_ZAP_DISCONNECTED:
        if (self->counters.connections > 0) {
            self->counters.connections--;
        }
        forget_subscriber(self, value);
        return;
    case BEAMD_ZAP_FAILED:
        if (d && d->failing > 0) {
            d->failing--;
            return;
        }
        self->counters.handshake_failures++;
        BEAMD_LOG(BEAMD_LOG_INFO, "event=handshake_failed domain=%s why=\"%s\"", name,
                  strerror((int)value));
        return;
    case BEAMD_ZAP_FAILED_PROTOCOL:
        self->counters.handshake_failures++;
        BEAMD_LOG(BEAMD_LOG_INFO, "event=handshake_failed domain=%s why=\"%s\" code=%#x", name,
                  value == 0x11000001   ? "it does not decrypt: the client has another server key"
                  : value == 0x11000002 ? "another mechanism: the client uses no CURVE, or needs it"
                                        : "not this protocol",
                  value);
        return;
    }
}

/* NULL: no memory. */
static subscriber *subscriber_of(beamd_zap *self, size_t fd)
{
    if (fd >= self->subscribers_made) {
        const size_t made = fd < 64 ? 128 : 2 * fd;
        subscriber *more = realloc(self->subscribers, made * sizeof *more);
        if (!more) {
            return NULL;
        }
        memset(more + self->subscribers_made, 0, (made - self->subscribers_made) * sizeof *more);
        self->subscribers = more;
        self->subscribers_made = made;
    }
    return &self->subscribers[fd];
}

/* NULL, or why a connection may not have this topic beside those that it has. */
static const char *topic_refused(const beamd_zap *self, const subscriber *s, size_t topic_bytes)
{
    return topic_bytes > BEAMD_TOPIC_BYTES_MAX             ? "a topic is too long"
           : s->topics >= BEAMD_TOPICS_MAX                 ? "too many topics"
           : self->counters.topics >= BEAMD_TOPICS_ALL_MAX ? "too many topics of all peers"
                                                           : NULL;
}

bool beamd_zap_subscribed(beamd_zap *self, const char *name, int fd, const char *user,
                          size_t topic_bytes)
{
    const domain *d = find(self, name, strlen(name));
    if (!d || fd < 0 || fd >= SUBSCRIBERS_MAX) {
        return true;
    }
    subscriber *s = subscriber_of(self, (size_t)fd);
    const char *why = s ? topic_refused(self, s, topic_bytes) : "out of memory";
    if (s && s->cut) {
        return false;
    }
    if (why) {
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=peer_oversubscribed domain=%s user=\"%s\" why=\"%s\"",
                  name, user, why);
        /* libzmq has it already: with the connection all of them go */
        shutdown(fd, SHUT_RDWR);
        self->counters.oversubscribed++;
        if (s) {
            s->cut = true;
        }
        return false;
    }
    s->topics++;
    self->counters.topics++;
    if (d->curve) {
        snprintf(s->user, sizeof s->user, "%.*s", BEAMD_CLIENT_USER_BYTES - 1, user);
        s->domain = (unsigned char)(d - self->domains);
    }
    return true;
}

/* A subscriber needs to ask for nothing more, so his connection itself must end. The descriptor may
 * have gone to another peer in the instant since its monitor was read: that one connects again. */
static void cut_revoked(beamd_zap *self)
{
    for (size_t fd = 0; fd < self->subscribers_made; fd++) {
        subscriber *s = &self->subscribers[fd];
        if (s->user[0] && !(beamd_zap_roles(self, s->user) & self->domains[s->domain].roles)) {
            BEAMD_LOG(BEAMD_LOG_NOTICE, "event=peer_revoked domain=%s user=\"%s\"",
                      self->domains[s->domain].name, s->user);
            shutdown((int)fd, SHUT_RDWR);
            s->user[0] = 0;
            self->counters.revoked++;
        }
    }
}

/* The keys that a reload would take, in *fresh; NULL there: none, as before. */
static bool read_fresh(const beamd_zap *self, const char *curve_dir, beamd_keys **fresh, char *why,
                       size_t size)
{
    const bool wanted = curve_dir && curve_dir[0];
    *fresh = NULL;
    if (wanted != (self->keys != NULL)) {
        snprintf(why, size, "curve_dir: keys %s; that needs a restart",
                 wanted ? "where there were none" : "are taken away");
        return false;
    }
    if (!wanted) {
        return true;
    }
    *fresh = beamd_keys_read(curve_dir, why, size);
    if (*fresh && strcmp((*fresh)->server_secret, self->keys->server_secret) != 0) {
        snprintf(why, size, "%s/server.key_secret: another key of the server needs a restart",
                 curve_dir);
        beamd_keys_destroy(fresh);
    }
    return *fresh != NULL;
}

bool beamd_zap_check(const beamd_zap *self, const char *curve_dir, char *why, size_t size)
{
    beamd_keys *fresh;
    const bool good = read_fresh(self, curve_dir, &fresh, why, size);
    beamd_keys_destroy(&fresh);
    return good;
}

bool beamd_zap_reload(beamd_zap *self, const char *curve_dir, char *why, size_t size)
{
    beamd_keys *fresh;
    if (!read_fresh(self, curve_dir, &fresh, why, size)) {
        return false;
    }
    memset(self->uids, 0, sizeof self->uids);
    if (fresh) {
        beamd_keys_destroy(&self->keys);
        self->keys = fresh;
        self->counters.clients = fresh->count;
        BEAMD_LOG(BEAMD_LOG_NOTICE, "event=keys_reloaded dir=\"%s\" clients=%zu ignored_files=%zu",
                  curve_dir, fresh->count, fresh->ignored);
        cut_revoked(self);
    }
    return true;
}
