/* A steady open-loop stream of CSI and targets with a say in every answer, for commands that do
 * something to the daemon meanwhile. */
#ifndef BEAMLOAD_STREAM_H
#define BEAMLOAD_STREAM_H

#include "load/fleet.h"
#include "load/link.h"
#include "load/schedule.h"

typedef struct load_stream load_stream;

/* slot: of the request, NULL for answers to targets and to what was not asked. */
typedef void load_answer_callback(void *arg, const load_slot *slot, const beam_wire_header *header,
                                  const ProtobufCMessage *message, uint64_t now_ns);

struct load_stream {
    load_fleet *fleet;
    load_socket *csi, *control; /* control: NULL, or its answers are handed on too */
    load_schedule schedule;
    load_answer_callback *callback;
    void *arg;
    bool stop; /* set by the callback: return at once */
    uint64_t sent, answered;
    beam_wire_arena arena;
    void *memory;
};

/* Sockets, fleet, callback and arg are set by the caller before. -1: no memory. */
int load_stream_create(load_stream *self, const load_traffic *traffic);
void load_stream_destroy(load_stream *self);
/* Sends what is due and reads answers until the time, `stop` or a signal. sending false: reads
 * only. -1: the transport failed. */
int load_stream_until(load_stream *self, uint64_t until_ns, bool sending, load_error *err);

#endif
