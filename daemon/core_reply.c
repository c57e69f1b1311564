/* What goes out: replies and refusals. */
#include <string.h>

#include "core_internal.h"
#include "log.h"

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
    if (!self->act.reply(self->act.arg, channel, identity, identity_bytes, self->out, bytes)) {
        self->metrics.replies_dropped++;
        BEAMD_LOG(BEAMD_LOG_INFO, "event=reply_dropped type=%s cluster=%s",
                  beam_wire_type_name(type), cluster);
    }
}

void beamd_core_reply(beamd_core *self, const beamd_call *call, unsigned type,
                      const ProtobufCMessage *message)
{
    beamd_core_send(self, call->channel, call->peer.identity, call->peer.identity_bytes, type,
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

beamd_request beamd_core_request(const beamd_core *self, const beamd_call *call)
{
    beamd_request request = {.present = true,
                             .identity_bytes = call->peer.identity_bytes,
                             .type = call->header.type,
                             .sequence = call->header.sequence,
                             .sender_time_ns = call->sender_time_ns,
                             .received_ns = call->now_ns,
                             .queued_ns = self->act.clock_ns(self->act.arg)};
    memcpy(request.identity, call->peer.identity, call->peer.identity_bytes);
    const uint64_t most_us = (uint64_t)self->config->deadline_max_ms * 1000u;
    uint64_t us = call->deadline_us ? call->deadline_us : (uint64_t)self->config->deadline_us;
    us = us > most_us ? most_us : us;
    request.deadline_ns = call->now_ns + us * 1000u;
    return request;
}
