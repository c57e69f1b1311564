/* Batches and their answers into and out of the shared memory, in the engine's types.
 *
 * The sender (daemon): beamg_write_begin -> frames, scenes, problems in any order of their own kind
 * -> beamg_write_end; then beamg_answer_open, beamg_answer_take for every problem. The worker:
 * beamg_request_open -> views of scenes and warm beams, no copy -> beamg_answer_begin, _put. All of
 * it in the caller's thread, no allocation. */
#ifndef BEAMG_PACK_H
#define BEAMG_PACK_H

#include "beam/design.h"
#include "beam/network.h"
#include "ring/message.h"

/* Where the answer of a problem lies: the sender's private record. */
typedef struct beamg_place {
    uint64_t at;
    beam_dims dims;
    int sensing_max;
} beamg_place;

typedef struct beamg_writer {
    unsigned char *base;
    uint64_t size, used;               /* of the request */
    uint64_t answer_size, answer_used; /* of its answer */
    beamg_request_head head;           /* as asked for */
    uint32_t frames, scenes, problems; /* written */
} beamg_writer;

/* A batch of exactly so many. BEAM_E_LIMIT: it does not fit (*err names which). */
beam_code beamg_write_begin(beamg_writer *self, void *request, size_t request_bytes,
                            size_t answer_bytes, uint32_t frames, uint32_t scenes,
                            uint32_t problems, beam_error *err);
/* Everything but channels and radii. rows: least-CRLB rows of beam_solver_sensing_bytes, or NULL;
 * key: the same for the same content, 0: none. */
beam_code beamg_write_frame(beamg_writer *self, const beam_scene *scene, uint64_t key,
                            const double *rows, bool rows_moved, beam_error *err);
/* Channels and radii of a scene of the sizes of `frame`. */
beam_code beamg_write_scene(beamg_writer *self, uint32_t frame, const beam_scene *scene,
                            const beam_ideal *ideal, beam_error *err);
/* warm: or NULL. layers, refine: as beam_network_request. */
beam_code beamg_write_problem(beamg_writer *self, uint32_t scene, double tradeoff,
                              const beam_design *warm, int layers, int refine, beamg_place *place,
                              beam_error *err);
/* Bytes of the request; 0: not as many were written as were announced. */
uint64_t beamg_write_end(beamg_writer *self, uint64_t deadline_ns);

/* --- The worker ------------------------------------------------------------------------------- */

/* Over memory that only the sender writes; checked whole, so that what follows cannot fail. */
typedef struct beamg_request {
    const unsigned char *base;
    beamg_request_head head;
    const beamg_frame *frame;
    const beamg_scene *scene;
    const beamg_problem *problem;
} beamg_request;

beam_code beamg_request_open(beamg_request *self, const void *request, size_t bytes,
                             size_t answer_bytes, beam_error *err);
/* A view of the shared memory, not to be written to. */
void beamg_request_scene(const beamg_request *self, uint32_t scene, beam_scene *out);
beam_ideal beamg_request_ideal(const beamg_request *self, uint32_t scene);
/* What is the same for all scenes of a frame, without its rows: *bytes of it. */
const void *beamg_request_frame(const beamg_request *self, uint32_t frame, size_t *bytes);
/* NULL: none. */
const double *beamg_request_rows(const beamg_request *self, uint32_t frame, bool *moved);
/* False: no warm beams. */
bool beamg_request_warm(const beamg_request *self, uint32_t problem, beam_design *out);

/* counts: room for the columns in use of this design, as it has none of its own in an answer. */
typedef struct beamg_answer_out {
    unsigned char *base;
    const beamg_request *request;
} beamg_answer_out;

void beamg_answer_begin(beamg_answer_out *self, const beamg_request *request, void *answer);
/* A view of where the beams of a problem go, for those who write them there themselves; put with
 * this very design copies nothing. counts: of its columns, [BEAM_MAX_STATIONS], the caller's. */
void beamg_answer_design(const beamg_answer_out *self, uint32_t problem, int *counts,
                         beam_design *out);
/* design: sizes of the scene, or NULL where code is not BEAM_OK; more columns in use than the
 * problem asked for are BEAM_E_LIMIT for the problem. */
void beamg_answer_put(beamg_answer_out *self, uint32_t problem, beam_code code,
                      const beam_design *design, const beam_result *result, double network_merit);
void beamg_answer_end(beamg_answer_out *self, uint64_t ticket, uint32_t generation,
                      uint64_t start_ns, uint64_t end_ns);

/* --- The sender again: nothing of this is believed ---------------------------------------------
 */

/* Copies the head. BEAM_E_INVALID: not the answer of this ticket. */
beam_code beamg_answer_open(beamg_answer_head *head, const void *answer, uint64_t ticket,
                            uint32_t problems, beam_error *err);
/* The beams of problem `problem` of those that were written, into `out` (sizes of place->dims);
 * result and network_merit as the worker says, in range but to be measured again. BEAM_E_INVALID:
 * no worker in its right mind wrote this (codes, counts, numbers that are not finite); what the
 * worker's own code says otherwise. Memory that changes meanwhile does no harm. */
beam_code beamg_answer_take(const void *answer, uint32_t problem, const beamg_place *place,
                            beam_design *out, beam_result *result, double *network_merit,
                            beam_error *err);

#endif
