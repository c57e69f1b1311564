/* An answer read: matched with its request, counted, timed. */
#ifndef BEAMLOAD_TALLY_H
#define BEAMLOAD_TALLY_H

#include "load/run.h"

typedef struct load_tally {
    load_fleet *fleet;
    const load_spec *spec;
    load_result *result;
    uint64_t open; /* requests without an answer */
    beam_wire_arena arena;
    void *memory;
} load_tally;

/* -1 without memory. */
int load_tally_create(load_tally *self, load_fleet *fleet, const load_spec *spec,
                      load_result *result);
void load_tally_destroy(load_tally *self);
/* Counts and times a Solution or a SolutionSet (header->type says which) that answers `slot`. */
void load_tally_beams(load_result *result, uint64_t deadline_ns, const load_slot *slot,
                      const beam_wire_header *header, const ProtobufCMessage *message, size_t bytes,
                      uint64_t now_ns);
void load_tally_answer(load_tally *self, const unsigned char *frame, size_t bytes, uint64_t now_ns);

#endif
