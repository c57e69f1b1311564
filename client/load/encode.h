/* Requests of a cluster as frames. */
#ifndef BEAMLOAD_ENCODE_H
#define BEAMLOAD_ENCODE_H

#include "load/fleet.h"

/* Scratch for the largest message of a shape. */
typedef struct load_encoder load_encoder;
load_encoder *load_encoder_create(const load_options *options, const load_shape *shape);
void load_encoder_destroy(load_encoder **self);

/* Each allocates frame->bytes. 0, or -1 and *err. */
int load_encode_register(load_encoder *self, const load_world *world, const char *id,
                         load_frame *frame, load_error *err);
int load_encode_unregister(load_encoder *self, const char *id, load_frame *frame, load_error *err);
int load_encode_csi(load_encoder *self, const load_world *world, const char *id, double time_s,
                    load_frame *frame, load_error *err);
int load_encode_targets(load_encoder *self, const load_world *world, const char *id, double time_s,
                        load_frame *frame, load_error *err);
/* Bytes of an answer to CSI of this shape, every field other than its default. */
size_t load_encode_answer_bytes(load_encoder *self);

#endif
