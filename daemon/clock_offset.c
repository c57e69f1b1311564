#include "clock_offset.h"

#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

enum {
    IDENTITY_BYTES = 255,
    NONE = UINT32_MAX >> 1, /* no peer */
    FIRST_WINDOW_MS = 625,  /* doubled until BEAMD_CLOCK_WINDOW_MS, so that drift is known soon */
    STEP_RUN_MS = 1000, /* how long every request must seem late before the clock was set back */
    STEP_RUN_SAMPLES = 8,
    STEP_CERTAIN_MS = 10000 /* so late that no way takes as long */
};

/* A request that was fast: when, and received - sent. */
typedef struct point {
    bool present;
    uint64_t at_ns;
    uint64_t difference_ns; /* modulo 2^64 */
} point;

typedef struct peer {
    unsigned char identity[IDENTITY_BYTES];
    uint8_t identity_bytes;
    uint32_t next_in_bucket;
    uint32_t older, newer;
    unsigned samples; /* since the start or a step, up to BEAMD_CLOCK_SAMPLES_MIN */
    uint64_t window_start_ns, window_ns;
    point least, last_least; /* of this window, of the one before */
    bool has_drift;
    double drift;
    /* requests in a row that all seem late by more than a step */
    unsigned late;
    uint64_t late_since_ns;
    point late_least;
} peer;

struct beamd_clock_offset {
    uint64_t seed;
    unsigned limit, used;
    uint32_t newest, oldest;
    uint32_t *bucket; /* [buckets], a power of two */
    uint32_t buckets;
    peer *peer; /* [limit] */
    uint64_t steps, forgotten;
};

beamd_clock_offset *beamd_clock_offset_create(unsigned peers, uint64_t seed)
{
    beamd_clock_offset *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->seed = seed;
    self->limit = peers;
    self->newest = self->oldest = NONE;
    self->buckets = 1;
    while (self->buckets < peers) {
        self->buckets *= 2;
    }
    self->bucket = malloc(self->buckets * sizeof *self->bucket);
    self->peer = calloc(peers, sizeof *self->peer);
    if (!self->bucket || !self->peer) {
        beamd_clock_offset_destroy(&self);
        return NULL;
    }
    for (uint32_t b = 0; b < self->buckets; b++) {
        self->bucket[b] = NONE;
    }
    return self;
}

void beamd_clock_offset_destroy(beamd_clock_offset **self)
{
    if (!*self) {
        return;
    }
    free((*self)->bucket);
    free((*self)->peer);
    free(*self);
    *self = NULL;
}

beamd_clock_counts beamd_clock_offset_counts(const beamd_clock_offset *self)
{
    return (beamd_clock_counts){self->used, self->steps, self->forgotten};
}

/* --- the table --- */

static uint32_t *bucket_of(beamd_clock_offset *self, const void *identity, size_t bytes)
{
    const unsigned char *at = identity;
    uint64_t hash = self->seed ^ bytes;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return &self->bucket[(hash >> 32) & (self->buckets - 1)];
}

static void unlink_age(beamd_clock_offset *self, uint32_t i)
{
    const peer *p = &self->peer[i];
    *(p->newer == NONE ? &self->newest : &self->peer[p->newer].older) = p->older;
    *(p->older == NONE ? &self->oldest : &self->peer[p->older].newer) = p->newer;
}

static void link_newest(beamd_clock_offset *self, uint32_t i)
{
    peer *p = &self->peer[i];
    p->newer = NONE;
    p->older = self->newest;
    *(self->newest == NONE ? &self->oldest : &self->peer[self->newest].newer) = i;
    self->newest = i;
}

static uint32_t forget_oldest(beamd_clock_offset *self)
{
    const uint32_t i = self->oldest;
    const peer *p = &self->peer[i];
    uint32_t *at = bucket_of(self, p->identity, p->identity_bytes);
    while (*at != i) {
        at = &self->peer[*at].next_in_bucket;
    }
    *at = p->next_in_bucket;
    unlink_age(self, i);
    self->forgotten++;
    return i;
}

static peer *find_or_add(beamd_clock_offset *self, const void *identity, size_t bytes)
{
    uint32_t i = *bucket_of(self, identity, bytes);
    while (i != NONE && (self->peer[i].identity_bytes != bytes ||
                         memcmp(self->peer[i].identity, identity, bytes) != 0)) {
        i = self->peer[i].next_in_bucket;
    }
    if (i != NONE) {
        if (i != self->newest) {
            unlink_age(self, i);
            link_newest(self, i);
        }
        return &self->peer[i];
    }
    i = self->used < self->limit ? self->used++ : forget_oldest(self);
    peer *p = &self->peer[i];
    *p = (peer){.identity_bytes = (uint8_t)bytes};
    memcpy(p->identity, identity, bytes);
    uint32_t *bucket = bucket_of(self, identity, bytes);
    p->next_in_bucket = *bucket;
    *bucket = i;
    link_newest(self, i);
    return p;
}

/* --- one sender --- */

/* What the difference of the fastest way would be at `now`, going by an earlier fast request. */
static uint64_t carried(const peer *p, const point *from, uint64_t now_ns)
{
    return from->difference_ns + (uint64_t)(int64_t)(p->drift * (double)(now_ns - from->at_ns));
}

/* a - b of two differences, which are near each other unless a clock was set. */
static int64_t less(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b);
}

static uint64_t least_at(const peer *p, uint64_t now_ns)
{
    const uint64_t least = carried(p, &p->least, now_ns);
    if (!p->last_least.present) {
        return least;
    }
    const uint64_t last = carried(p, &p->last_least, now_ns);
    return less(last, least) < 0 ? last : least;
}

static void begin(peer *p, const point *first, unsigned samples)
{
    p->samples = samples;
    p->window_start_ns = first->at_ns;
    p->window_ns = FIRST_WINDOW_MS * MS;
    p->least = *first;
    p->last_least.present = false;
    p->late = 0;
}

/* A window ends: its least and that of the one before show how the clocks drift apart. */
static void turn_window(peer *p, const point *first)
{
    if (p->last_least.present && p->least.at_ns - p->last_least.at_ns >= p->window_ns / 4) {
        const double drift = (double)less(p->least.difference_ns, p->last_least.difference_ns) /
                             (double)(p->least.at_ns - p->last_least.at_ns);
        if (drift < 1e-6 * BEAMD_CLOCK_DRIFT_PPM && drift > -1e-6 * BEAMD_CLOCK_DRIFT_PPM) {
            /* short windows at the start are all there is; later ones are averaged */
            const bool first_ones = p->window_ns < BEAMD_CLOCK_WINDOW_MS * MS || !p->has_drift;
            p->drift = first_ones ? drift : p->drift + (drift - p->drift) / 4;
            p->has_drift = true;
        }
    }
    p->last_least = p->least;
    p->least = *first;
    p->window_start_ns = first->at_ns;
    p->window_ns *= 2;
    if (p->window_ns > BEAMD_CLOCK_WINDOW_MS * MS) {
        p->window_ns = BEAMD_CLOCK_WINDOW_MS * MS;
    }
}

/* The sender's clock was set: at once where it went forward, for nothing arrives before it was
 * sent; backward once everything seems late for a while, for a crowded way looks the same at first.
 */
static bool stepped(peer *p, const point *now, int64_t beyond_ns)
{
    if (beyond_ns < -(int64_t)(BEAMD_CLOCK_STEP_MS * MS) ||
        beyond_ns > (int64_t)(STEP_CERTAIN_MS * MS)) {
        begin(p, now, 1);
        return true;
    }
    if (beyond_ns < (int64_t)(BEAMD_CLOCK_STEP_MS * MS)) {
        p->late = 0;
        return false;
    }
    if (p->late == 0) {
        p->late_since_ns = now->at_ns;
        p->late_least = *now;
    } else if (less(now->difference_ns, p->late_least.difference_ns) < 0) {
        p->late_least = *now;
    }
    p->late++;
    if (p->late < STEP_RUN_SAMPLES || now->at_ns - p->late_since_ns < STEP_RUN_MS * MS) {
        return false;
    }
    const point least = p->late_least;
    begin(p, &least, BEAMD_CLOCK_SAMPLES_MIN);
    return true;
}

beamd_clock_estimate beamd_clock_offset_take(beamd_clock_offset *self, const void *identity,
                                             size_t identity_bytes, uint64_t received_ns,
                                             uint64_t sender_time_ns)
{
    beamd_clock_estimate out = {0};
    if (sender_time_ns == 0 || identity_bytes == 0 || identity_bytes > IDENTITY_BYTES) {
        return out;
    }
    peer *p = find_or_add(self, identity, identity_bytes);
    const point now = {true, received_ns, received_ns - sender_time_ns};
    /* what is known of a sender silent for long has drifted away */
    const uint64_t silent_ns = 3 * BEAMD_CLOCK_WINDOW_MS * MS;
    if (p->samples == 0 || received_ns - p->window_start_ns > silent_ns) {
        begin(p, &now, 1);
        return out;
    }
    if (p->last_least.present && received_ns - p->last_least.at_ns > silent_ns) {
        p->last_least.present = false;
    }
    if (stepped(p, &now, less(now.difference_ns, least_at(p, received_ns)))) {
        self->steps++;
    } else {
        p->samples += p->samples < BEAMD_CLOCK_SAMPLES_MIN;
        if (received_ns - p->window_start_ns >= p->window_ns) {
            turn_window(p, &now);
        } else if (less(now.difference_ns, carried(p, &p->least, received_ns)) < 0) {
            p->least = now;
        }
    }
    if (p->samples < BEAMD_CLOCK_SAMPLES_MIN) {
        return out;
    }
    const uint64_t least = least_at(p, received_ns);
    const int64_t beyond_ns = less(now.difference_ns, least);
    out.known = true;
    out.transit_ns = beyond_ns > 0 ? (uint64_t)beyond_ns : 0;
    out.offset_ns = (int64_t)(beyond_ns > 0 ? least : now.difference_ns);
    out.drift = p->drift;
    return out;
}
