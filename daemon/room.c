/* The network's memory of one thread. */
#include <stdlib.h>

#include "work.h"

static bool holds(const beam_dims *room, const beam_dims *dims)
{
    return room->stations >= dims->stations && room->antennas >= dims->antennas &&
           room->users >= dims->users && room->targets >= dims->targets;
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static beam_dims both(const beam_dims *a, const beam_dims *b)
{
    return (beam_dims){.stations = larger(a->stations, b->stations),
                       .antennas = larger(a->antennas, b->antennas),
                       .users = larger(a->users, b->users),
                       .targets = larger(a->targets, b->targets)};
}

size_t beamd_batch_room_bytes(const beamd_batch *self)
{
    size_t sum = 0;
    for (int k = 0; k < BEAMD_ROOMS; k++) {
        sum += self->room[k].bytes;
    }
    return sum;
}

/* A room that is large enough, else a free one, else the one used longest ago. */
static beamd_room *find(beamd_batch *self, const beam_dims *dims)
{
    beamd_room *best = &self->room[0];
    for (int k = 0; k < BEAMD_ROOMS; k++) {
        beamd_room *room = &self->room[k];
        if (room->memory && holds(&room->dims, dims)) {
            return room;
        }
        if (best->memory && (!room->memory || room->used < best->used)) {
            best = room;
        }
    }
    return best;
}

bool beamd_batch_make_room(beamd_batch *self, const beam_model_info *model, const beam_dims *dims,
                           size_t bytes_max)
{
    beamd_room *room = find(self, dims);
    const beam_dims wanted = room->memory ? both(&room->dims, dims) : *dims;
    const size_t need = beam_inference_memsize(model, &wanted, BEAMD_BATCH_PROBLEMS);
    if (room->memory && holds(&room->dims, dims) && need > 0 && need <= room->bytes) {
        return true; /* inference lays itself out for another model by itself */
    }
    const size_t others = beamd_batch_room_bytes(self) - room->bytes;
    if (need == 0 || others > bytes_max || need > bytes_max - others) {
        return false;
    }
    const size_t bytes = (need + 63u) & ~(size_t)63u;
    void *memory = aligned_alloc(64, bytes);
    beam_inference *inference = NULL;
    if (!memory || beam_inference_init(&inference, model, &wanted, BEAMD_BATCH_PROBLEMS, memory,
                                       bytes, NULL) != BEAM_OK) {
        free(memory);
        return false;
    }
    free(room->memory);
    *room = (beamd_room){.dims = wanted,
                         .memory = memory,
                         .bytes = bytes,
                         .inference = inference,
                         .used = ++self->batches};
    self->inference = NULL; /* may have been the one that went */
    return true;
}

void beamd_batch_choose_room(beamd_batch *self, const beam_dims *dims)
{
    beamd_room *best = NULL;
    for (int k = 0; k < BEAMD_ROOMS; k++) {
        beamd_room *room = &self->room[k];
        if (room->memory && holds(&room->dims, dims) && (!best || room->bytes < best->bytes)) {
            best = room;
        }
    }
    self->inference = best ? best->inference : NULL;
    if (best) {
        best->used = ++self->batches;
    }
}

void beamd_batch_free_rooms(beamd_batch *self)
{
    for (int k = 0; k < BEAMD_ROOMS; k++) {
        free(self->room[k].memory);
        self->room[k] = (beamd_room){.memory = NULL};
    }
    self->inference = NULL;
}
