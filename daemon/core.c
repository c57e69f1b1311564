/* The core's life, its table of clusters, and what goes out. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

#define HOUSEKEEPING_NS UINT64_C(20000000)
#define REPEAT_NS UINT64_C(20000000)

static bool take_memory(beamd_core *self)
{
    const beamd_config *config = self->config;
    const size_t clusters = (size_t)config->clusters_max;
    const size_t arena_bytes = beam_wire_arena_bytes((size_t)config->message_kib << 10);
    self->clusters = calloc(clusters, sizeof(beamd_cluster *));
    self->open = calloc(clusters, sizeof(beamd_cluster *));
    self->status = calloc(clusters, sizeof *self->status);
    self->status_room = calloc(clusters, sizeof *self->status_room);
    self->status_at = calloc(clusters, sizeof(Beamd__ClusterStatus *));
    self->arena_memory = aligned_alloc(64, (arena_bytes + 63u) & ~(size_t)63u);
    self->out_capacity = BEAM_WIRE_HEADER_BYTES + (size_t)BEAM_WIRE_MAX_MESSAGE_BYTES;
    self->out = malloc(self->out_capacity);
    self->rescue_batch = beamd_core_new_batch();
    self->offsets = beamd_clock_offset_create(BEAMD_SENDERS_MAX, self->started_ns);
    if (!self->clusters || !self->open || !self->status || !self->status_room || !self->status_at ||
        !self->arena_memory || !self->out || !self->rescue_batch || !self->offsets) {
        return false;
    }
    for (long long k = 0; k < config->workers; k++) {
        self->idle[self->idle_count] = beamd_core_new_batch();
        if (!self->idle[self->idle_count]) {
            return false;
        }
        self->idle_count++;
    }
    beam_wire_arena_init(&self->arena, self->arena_memory, arena_bytes);
    return true;
}

beamd_core *beamd_core_create(const beamd_config *config, const beamd_actions *actions,
                              uint64_t now_ns)
{
    beamd_core *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->config = config;
    self->act = *actions;
    self->started_ns = self->now_ns = now_ns;
    atomic_init(&self->abandon, false);
    char why[256];
    if (!beamd_faults_parse(config->fault, &self->faults, why, sizeof why) || !take_memory(self) ||
        !beamd_core_gpu_begin(self)) {
        beamd_core_destroy(&self);
    }
    return self;
}

static void free_batch(beamd_batch *batch)
{
    if (batch) {
        beamd_batch_free_rooms(batch);
        free(batch);
    }
}

static void config_changed(beamd_core *self)
{
    beamd_faults fresh;
    char why[256];
    if (beamd_faults_parse(self->config->fault, &fresh, why, sizeof why)) {
        self->faults = fresh; /* else: cannot be, the configuration was checked */
    }
    beamd_core_reread_model(self);
}

void beamd_core_destroy(beamd_core **core)
{
    beamd_core *self = *core;
    if (!self) {
        return;
    }
    beamd_core_gpu_end(self);
    for (unsigned i = 0; i < self->count; i++) {
        beamd_cluster_destroy(&self->clusters[i]);
    }
    for (unsigned k = 0; k < self->idle_count; k++) {
        free_batch(self->idle[k]);
    }
    free_batch(self->rescue_batch);
    beamd_clock_offset_destroy(&self->offsets);
    beamd_front_destroy(&self->front);
    beamd_model_release(&self->model);
    free(self->clusters);
    free(self->open);
    free(self->status);
    free(self->status_room);
    free(self->status_at);
    free(self->arena_memory);
    free(self->out);
    free(self->scratch);
    free(self);
    *core = NULL;
}

beamd_metrics *beamd_core_metrics(beamd_core *self)
{
    return &self->metrics;
}

/* Index of the id, or ~index where it would stand. */
static int table_search(const beamd_core *self, const char *id)
{
    int low = 0, high = (int)self->count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        const int order = strcmp(self->clusters[middle]->id, id);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return ~low;
}

beamd_cluster *beamd_core_find(const beamd_core *self, const char *id)
{
    const int at = table_search(self, id);
    return at >= 0 ? self->clusters[at] : NULL;
}

void beamd_core_insert(beamd_core *self, beamd_cluster *cluster)
{
    const unsigned at = (unsigned)~table_search(self, cluster->id);
    memmove(self->clusters + at + 1, self->clusters + at,
            (self->count - at) * sizeof(beamd_cluster *));
    self->clusters[at] = cluster;
    self->count++;
    self->bytes += cluster->bytes;
}

void beamd_core_erase(beamd_core *self, const beamd_cluster *cluster)
{
    const unsigned at = (unsigned)table_search(self, cluster->id);
    self->count--;
    memmove(self->clusters + at, self->clusters + at + 1,
            (self->count - at) * sizeof(beamd_cluster *));
}

double beamd_core_default_tradeoff(const beamd_core *self)
{
    return self->has_default_tradeoff ? self->default_tradeoff : self->config->tradeoff;
}

double beamd_core_tradeoff(const beamd_core *self, const beamd_cluster *cluster)
{
    return cluster && cluster->has_preference ? cluster->tradeoff
                                              : beamd_core_default_tradeoff(self);
}

char *beamd_core_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

bool beamd_core_restore(beamd_core *self, beamd_cluster *cluster)
{
    if (beamd_core_find(self, cluster->id) || self->count >= (unsigned)self->config->clusters_max) {
        return false;
    }
    if (!beamd_core_grow_scratch(self, cluster)) {
        return false;
    }
    beamd_core_insert(self, cluster);
    beamd_core_make_rooms(self, &cluster->max);
    beamd_core_gpu_prepare(self);
    return true;
}

beamd_cluster *beamd_core_cluster_at(beamd_core *self, unsigned i)
{
    return i < self->count ? self->clusters[i] : NULL;
}

/* False: refused already. */
static bool message_readable(beamd_core *self, beamd_call *call, const beamd_event *event)
{
    beam_wire_error err;
    if (event->frames != 1) {
        self->metrics.frames_refused++;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_MALFORMED, "frame",
                       "a message is one frame, %u came", event->frames);
        beamd_core_refuse(self, call, &err);
        return false;
    }
    if (event->bytes > (size_t)self->config->message_kib << 10) {
        beam_wire_header_decode(&call->header, event->frame, event->bytes, &err);
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "frame",
                       "%zu bytes, this daemon takes at most %lld KiB", event->bytes,
                       self->config->message_kib);
        beamd_core_refuse(self, call, &err);
        return false;
    }
    return true;
}

static void take_message(beamd_core *self, const beamd_event *event)
{
    beamd_call call = {.channel = event->channel,
                       .peer = event->peer,
                       .frame = event->frame,
                       .frame_bytes = event->bytes,
                       .now_ns = self->now_ns};
    beam_wire_error err;
    ProtobufCMessage *message = NULL;
    self->messages_received++;
    if (event->peer.identity_bytes == 0 || event->peer.identity_bytes > BEAMD_IDENTITY_BYTES) {
        self->metrics.frames_refused++;
        return; /* no ROUTER delivers such a message */
    }
    if (!message_readable(self, &call, event)) {
        return;
    }
    beam_wire_arena_reset(&self->arena);
    const int unpacked =
        beam_wire_unpack(&call.header, &message, &self->arena, event->frame, event->bytes, &err);
    self->metrics.requests[call.header.type < BEAMD_REQUEST_TYPES ? call.header.type : 0]++;
    if (unpacked < 0) {
        beamd_core_refuse(self, &call, &err);
        beamd_cluster *cluster = beamd_core_find(self, call.header.cluster);
        if (cluster) {
            cluster->refused++;
        }
        return;
    }
    beamd_core_handle(self, &call, message);
}

/* Solution.repeat and SolutionSet.repeat are field 5, absent in the frame because false: two more
 * bytes say true. */
static void repeat(beamd_core *self, beamd_cluster *c)
{
    unsigned char topic[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    const size_t topic_bytes = beam_wire_topic(c->id, topic);
    c->repeat_due = false;
    c->repeat_at_ns = self->now_ns;
    const size_t repeated = c->frame_bytes + 2;
    beam_wire_header header;
    if (beam_wire_header_decode(&header, c->frame, c->frame_bytes, NULL) < 0 ||
        beam_wire_header_encode(self->out, header.type, header.cluster, header.sequence,
                                repeated - BEAM_WIRE_HEADER_BYTES, NULL) < 0) {
        return;
    }
    memcpy(self->out + BEAM_WIRE_HEADER_BYTES, c->frame + BEAM_WIRE_HEADER_BYTES,
           c->frame_bytes - BEAM_WIRE_HEADER_BYTES);
    self->out[c->frame_bytes] = 5u << 3;
    self->out[c->frame_bytes + 1] = 1;
    if (self->act.publish(self->act.arg, topic, topic_bytes, self->out, repeated)) {
        self->metrics.repeats++;
    } else {
        self->metrics.publications_dropped++;
    }
}

/* The last solutions that match are published again. All subscribers get to see that: of one
 * cluster there is one in REPEAT_NS for everybody who came meanwhile. */
static void take_subscription(beamd_core *self, const void *prefix, size_t bytes)
{
    for (unsigned i = 0; i < self->count; i++) {
        beamd_cluster *c = self->clusters[i];
        unsigned char topic[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
        const size_t topic_bytes = beam_wire_topic(c->id, topic);
        if (c->frame_bytes > 0 && bytes <= topic_bytes &&
            (bytes == 0 || memcmp(topic, prefix, bytes) == 0)) {
            c->repeat_due = true;
            if (self->now_ns - c->repeat_at_ns >= REPEAT_NS) {
                repeat(self, c);
            }
        }
    }
}

static void repeat_due(beamd_core *self)
{
    for (unsigned i = 0; i < self->count; i++) {
        if (self->clusters[i]->repeat_due) {
            repeat(self, self->clusters[i]);
        }
    }
}

static void abandon(beamd_core *self)
{
    beam_wire_error err;
    beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_DRAINING, NULL,
                   "the daemon is stopping and the time for it is over");
    const bool again = atomic_exchange_explicit(&self->abandon, true, memory_order_relaxed);
    for (unsigned i = 0; i < self->count; i++) {
        if (again) {
            beamd_core_refuse_all(self, self->clusters[i], &err);
        } else {
            beamd_core_refuse_waiting(self, self->clusters[i], &err);
        }
    }
    beamd_core_front_refuse(self, &err);
}

static void take_job(beamd_core *self, beamd_job *job)
{
    if (job->run == beamd_batch_run) {
        beamd_core_batch_done(self, (beamd_batch *)job);
    } else if (job->run == beamd_gpu_pack_run) {
        beamd_core_gpu_packed(self, (beamd_batch *)job);
    } else if (job->run == beamd_gpu_take_run) {
        beamd_core_gpu_taken(self, (beamd_batch *)job);
    } else if (job->run == beamd_refresh_run) {
        beamd_core_refresh_done(self, (beamd_refresh_job *)job);
    } else if (job->run == beamd_front_run) {
        beamd_core_front_done(self);
    } else {
        beamd_core_model_done(self);
    }
}

static void take_event(beamd_core *self, const beamd_event *event)
{
    switch (event->kind) {
    case BEAMD_EVENT_MESSAGE:
        take_message(self, event);
        break;
    case BEAMD_EVENT_SUBSCRIBED:
        take_subscription(self, event->frame, event->bytes);
        break;
    case BEAMD_EVENT_DONE:
        take_job(self, event->job);
        break;
    case BEAMD_EVENT_DRAIN:
        self->draining = true;
        break;
    case BEAMD_EVENT_ABANDON:
        abandon(self);
        break;
    case BEAMD_EVENT_CONFIG:
        config_changed(self);
        break;
    case BEAMD_EVENT_GPU:
        beamd_core_gpu_event(self, event);
        break;
    case BEAMD_EVENT_TIME:
        break;
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* In this order: what came is taken; what is at its last moment is answered; threads get work. */
uint64_t beamd_core_step(beamd_core *self, uint64_t now_ns, const beamd_event *event)
{
    self->now_ns = now_ns > self->now_ns ? now_ns : self->now_ns; /* a clock that stepped back */
    take_event(self, event);
    beamd_core_queue_time(self);
    if (self->now_ns >= self->housekeeping_ns) {
        self->housekeeping_ns = self->now_ns + HOUSEKEEPING_NS;
        beamd_core_queue_due(self);
        beamd_core_background(self);
        beamd_core_reread_due(self);
        repeat_due(self);
    }
    beamd_core_schedule_time(self);
    beamd_core_dispatch(self);
    const uint64_t next_ns =
        earlier(beamd_core_queue_next_ns(self), beamd_core_schedule_next_ns(self));
    return self->count > 0 ? earlier(next_ns, self->housekeeping_ns) : next_ns;
}

bool beamd_core_idle(const beamd_core *self)
{
    return self->open_count == 0 && !self->is_reading && !self->front;
}

unsigned beamd_core_clusters(const beamd_core *self)
{
    return self->count;
}

unsigned beamd_core_jobs(const beamd_core *self)
{
    unsigned jobs = 0;
    for (int k = 0; k < BEAMD_CREWS; k++) {
        jobs += self->jobs[k];
    }
    return jobs;
}

unsigned beamd_core_waiting(const beamd_core *self)
{
    unsigned waiting = 0;
    for (unsigned k = 0; k < self->open_count; k++) {
        waiting += self->open[k]->under_way == 0;
    }
    return waiting;
}
