/* The core's life, its table of clusters, and what goes out. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

beamd_core *beamd_core_create(const beamd_config *config, const beamd_core_io *io, uint64_t now_ns)
{
    beamd_core *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->config = config;
    self->io = *io;
    self->started_ns = now_ns;
    atomic_init(&self->abandon, false);
    const size_t clusters = (size_t)config->clusters_max;
    const size_t arena_bytes = beam_wire_arena_bytes((size_t)config->message_kib << 10);
    self->clusters = calloc(clusters, sizeof(beamd_cluster *));
    self->ready = calloc(clusters, sizeof(beamd_cluster *));
    self->status = calloc(clusters, sizeof *self->status);
    self->status_preference = calloc(clusters, sizeof *self->status_preference);
    self->status_at = calloc(clusters, sizeof(Beamd__ClusterStatus *));
    self->arena_memory = aligned_alloc(64, (arena_bytes + 63u) & ~(size_t)63u);
    self->out_capacity = BEAM_WIRE_HEADER_BYTES + (size_t)BEAM_WIRE_MAX_MESSAGE_BYTES;
    self->out = malloc(self->out_capacity);
    if (!self->clusters || !self->ready || !self->status || !self->status_preference ||
        !self->status_at || !self->arena_memory || !self->out) {
        beamd_core_destroy(&self);
        return NULL;
    }
    beam_wire_arena_init(&self->arena, self->arena_memory, arena_bytes);
    return self;
}

void beamd_core_destroy(beamd_core **core)
{
    beamd_core *self = *core;
    if (!self) {
        return;
    }
    for (unsigned i = 0; i < self->count; i++) {
        beamd_cluster_destroy(&self->clusters[i]);
    }
    beamd_model_release(&self->model);
    free(self->clusters);
    free(self->ready);
    free(self->status);
    free(self->status_preference);
    free(self->status_at);
    free(self->arena_memory);
    free(self->out);
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

double beamd_core_tradeoff(const beamd_core *self, const beamd_cluster *cluster)
{
    if (cluster && cluster->has_preference) {
        return cluster->tradeoff;
    }
    return self->has_default_tradeoff ? self->default_tradeoff : self->config->tradeoff;
}

void beamd_core_send(beamd_core *self, beamd_channel channel, const void *identity,
                     size_t identity_bytes, unsigned type, const char *cluster, uint64_t sequence,
                     const ProtobufCMessage *message)
{
    size_t bytes = 0;
    beam_wire_error err;
    if (beam_wire_pack(type, cluster, sequence, message, self->out, self->out_capacity, &bytes,
                       &err) < 0) {
        self->metrics.replies_dropped++;
        BEAMD_LOG(BEAMD_LOG_ERR, "event=pack_failed type=%s why=\"%s\"", beam_wire_type_name(type),
                  err.text);
        return;
    }
    if (!self->io.reply(self->io.arg, channel, identity, identity_bytes, self->out, bytes)) {
        self->metrics.replies_dropped++;
        BEAMD_LOG(BEAMD_LOG_INFO, "event=reply_dropped type=%s cluster=%s",
                  beam_wire_type_name(type), cluster);
    }
}

void beamd_core_reply(beamd_core *self, const beamd_call *call, unsigned type,
                      const ProtobufCMessage *message)
{
    beamd_core_send(self, call->channel, call->identity, call->identity_bytes, type,
                    call->header.cluster, call->header.sequence, message);
}

static void fill_error(beamd_core *self, Beamd__Error *error, const beam_wire_error *err)
{
    beamd__error__init(error);
    error->code = err->code;
    error->field = (char *)(uintptr_t)err->field; /* packed, not changed */
    error->text = (char *)(uintptr_t)err->text;
    self->errors_sent++;
    if ((unsigned)err->code < BEAMD_ERROR_CODES) {
        self->metrics.errors[err->code]++;
    }
}

void beamd_core_refuse(beamd_core *self, const beamd_call *call, const beam_wire_error *err)
{
    Beamd__Error error;
    fill_error(self, &error, err);
    error.sender_time_ns = call->sender_time_ns;
    error.request_sequence = call->header.sequence;
    error.request_type = call->header.type;
    BEAMD_LOG(BEAMD_LOG_INFO,
              "event=refused type=%s cluster=%s sequence=%llu code=%d field=\"%s\" why=\"%s\"",
              beam_wire_type_name(call->header.type), call->header.cluster,
              (unsigned long long)call->header.sequence, (int)err->code, err->field, err->text);
    beamd_core_reply(self, call, BEAM_WIRE_ERROR, &error.base);
}

void beamd_core_refuse_request(beamd_core *self, const beamd_cluster *cluster,
                               const beamd_request *request, const beam_wire_error *err)
{
    beamd_core_refuse_on(self, BEAMD_CHANNEL_CSI, cluster->id, request, err);
}

void beamd_core_refuse_on(beamd_core *self, beamd_channel channel, const char *cluster,
                          const beamd_request *request, const beam_wire_error *err)
{
    if (request->identity_bytes == 0) {
        return;
    }
    Beamd__Error error;
    fill_error(self, &error, err);
    error.sender_time_ns = request->sender_time_ns;
    error.request_sequence = request->sequence;
    error.request_type = request->type;
    beamd_core_send(self, channel, request->identity, request->identity_bytes, BEAM_WIRE_ERROR,
                    cluster, request->sequence, &error.base);
}

void beamd_core_message(beamd_core *self, uint64_t now_ns, beamd_channel channel,
                        const void *identity, size_t identity_bytes, const void *frame,
                        size_t bytes, unsigned frames)
{
    beamd_call call = {.channel = channel,
                       .identity = identity,
                       .identity_bytes = identity_bytes,
                       .now_ns = now_ns};
    beam_wire_error err;
    ProtobufCMessage *message = NULL;
    self->messages_received++;
    if (identity_bytes == 0 || identity_bytes > BEAMD_IDENTITY_BYTES) {
        self->metrics.frames_refused++;
        return; /* no ROUTER delivers such a message */
    }
    if (frames != 1) {
        self->metrics.frames_refused++;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_MALFORMED, "frame",
                       "a message is one frame, %u came", frames);
        beamd_core_refuse(self, &call, &err);
        return;
    }
    if (bytes > (size_t)self->config->message_kib << 10) {
        beam_wire_header_decode(&call.header, frame, bytes, &err);
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_TOO_LARGE, "frame",
                       "%zu bytes, this daemon takes at most %lld KiB", bytes,
                       self->config->message_kib);
        beamd_core_refuse(self, &call, &err);
        return;
    }
    beam_wire_arena_reset(&self->arena);
    const int unpacked = beam_wire_unpack(&call.header, &message, &self->arena, frame, bytes, &err);
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

void beamd_core_subscribed(beamd_core *self, const void *prefix, size_t bytes)
{
    for (unsigned i = 0; i < self->count; i++) {
        beamd_cluster *c = self->clusters[i];
        unsigned char topic[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
        const size_t topic_bytes = beam_wire_topic(c->id, topic);
        if (c->frame_bytes == 0 || bytes > topic_bytes ||
            (bytes > 0 && memcmp(topic, prefix, bytes) != 0)) {
            continue;
        }
        /* Solution.repeat is field 5, absent in the frame because false: two more bytes say true.
         */
        const size_t repeated = c->frame_bytes + 2;
        beam_wire_header header;
        if (beam_wire_header_decode(&header, c->frame, c->frame_bytes, NULL) < 0 ||
            beam_wire_header_encode(self->out, header.type, header.cluster, header.sequence,
                                    repeated - BEAM_WIRE_HEADER_BYTES, NULL) < 0) {
            continue;
        }
        memcpy(self->out + BEAM_WIRE_HEADER_BYTES, c->frame + BEAM_WIRE_HEADER_BYTES,
               c->frame_bytes - BEAM_WIRE_HEADER_BYTES);
        self->out[c->frame_bytes] = 5u << 3;
        self->out[c->frame_bytes + 1] = 1;
        if (self->io.publish(self->io.arg, topic, topic_bytes, self->out, repeated)) {
            self->metrics.repeats++;
        } else {
            self->metrics.publications_dropped++;
        }
    }
}

void beamd_core_drain(beamd_core *self)
{
    self->draining = true;
}

bool beamd_core_idle(const beamd_core *self)
{
    return self->ready_count == 0 && self->jobs_solving == 0 && !self->is_reading;
}

void beamd_core_abandon(beamd_core *self, uint64_t now_ns)
{
    (void)now_ns;
    beam_wire_error err;
    beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_DRAINING, NULL,
                   "the daemon is stopping and the time for it is over");
    atomic_store_explicit(&self->abandon, true, memory_order_relaxed);
    while (self->ready_count > 0) {
        beamd_cluster *c = self->ready[0];
        beamd_core_unqueue(self, c);
        beamd_core_refuse_request(self, c, &c->pending, &err);
        c->pending.present = false;
    }
    for (unsigned i = 0; i < self->count; i++) { /* waiting behind a job under way */
        beamd_cluster *c = self->clusters[i];
        if (c->pending.present) {
            beamd_core_refuse_request(self, c, &c->pending, &err);
            c->pending.present = false;
        }
    }
}

unsigned beamd_core_clusters(const beamd_core *self)
{
    return self->count;
}

unsigned beamd_core_jobs(const beamd_core *self)
{
    return self->jobs_solving + self->jobs_refreshing + self->is_reading;
}

unsigned beamd_core_ready(const beamd_core *self)
{
    return self->ready_count;
}
