#include "load/replay.h"

#include <stdlib.h>
#include <string.h>

int load_book_create(load_book *self, uint64_t requests)
{
    size_t size = 64;
    memset(self, 0, sizeof *self);
    while (size < 2 * requests) {
        size *= 2;
    }
    self->entries = calloc(size, sizeof *self->entries);
    self->mask = size - 1;
    return self->entries ? 0 : -1;
}

void load_book_destroy(load_book *self)
{
    free(self->entries);
    self->entries = NULL;
}

unsigned load_book_kind(unsigned type)
{
    switch (type) {
    case BEAM_WIRE_USERS_JOIN:
    case BEAM_WIRE_USERS_LEAVE:
    case BEAM_WIRE_SOLUTION:
    case BEAM_WIRE_SOLUTION_SET:
        return BEAM_WIRE_CSI_UPDATE;
    case BEAM_WIRE_PREFERENCE_GET:
    case BEAM_WIRE_PREFERENCE_REPLY:
        return BEAM_WIRE_PREFERENCE_SET;
    case BEAM_WIRE_STATUS_REPLY:
        return BEAM_WIRE_STATUS_REQUEST;
    case BEAM_WIRE_CLUSTER_LIST_REPLY:
        return BEAM_WIRE_CLUSTER_LIST_REQUEST;
    case BEAM_WIRE_MODEL_RELOAD:
    case BEAM_WIRE_MODEL_REPLY:
        return BEAM_WIRE_MODEL_GET;
    case BEAM_WIRE_FRONT_REPLY:
        return BEAM_WIRE_FRONT_REQUEST;
    case BEAM_WIRE_CONFIG_RELOAD:
    case BEAM_WIRE_CONFIG_REPLY:
        return BEAM_WIRE_CONFIG_GET;
    default:
        return type;
    }
}

/* FNV-1a over what names a request. */
static size_t place(unsigned peer, unsigned kind, const char *cluster, uint64_t sequence)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ sequence * UINT64_C(0x9e3779b97f4a7c15);
    for (const char *c = cluster; *c; c++) {
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    }
    hash = (hash ^ (peer << 16 | kind)) * UINT64_C(0x100000001b3);
    return (size_t)(hash ^ hash >> 29);
}

static bool same(const load_pending *p, unsigned peer, unsigned kind, const char *cluster,
                 uint64_t sequence)
{
    return p->sequence == sequence && p->peer == peer && p->kind == kind &&
           strcmp(p->cluster, cluster) == 0;
}

load_pending *load_book_add(load_book *self, unsigned peer, unsigned kind, const char *cluster,
                            uint64_t sequence)
{
    size_t at = place(peer, kind, cluster, sequence) & self->mask;
    while (self->entries[at].slot.sequence) {
        at = (at + 1) & self->mask;
    }
    load_pending *p = &self->entries[at];
    /* slot.sequence marks the place as used, whatever the request's own is */
    *p = (load_pending){.slot = {.sequence = ++self->used, .open = true, .measured = true},
                        .sequence = sequence,
                        .peer = peer,
                        .kind = kind};
    memcpy(p->cluster, cluster, strlen(cluster) + 1);
    self->open++;
    return p;
}

load_pending *load_book_close(load_book *self, unsigned peer, unsigned kind, const char *cluster,
                              uint64_t sequence)
{
    for (size_t at = place(peer, kind, cluster, sequence) & self->mask;
         self->entries[at].slot.sequence; at = (at + 1) & self->mask) {
        load_pending *p = &self->entries[at];
        if (p->slot.open && same(p, peer, kind, cluster, sequence)) {
            p->slot.open = false;
            self->open--;
            return p;
        }
    }
    return NULL;
}

void load_book_patch_time(unsigned char *frame, size_t bytes, uint64_t sender_time_ns)
{
    enum { DEADLINE_TAG = 1 << 3 | 0, TIME_TAG = 2 << 3 | 1, VARINT_MAX = 10 };
    size_t at = BEAM_WIRE_HEADER_BYTES;
    if (at < bytes && frame[at] == DEADLINE_TAG) {
        at++;
        for (int k = 0; k < VARINT_MAX && at < bytes && (frame[at] & 0x80); k++) {
            at++;
        }
        at++;
    }
    if (at + 9 <= bytes && frame[at] == TIME_TAG) {
        for (int k = 0; k < 8; k++) {
            frame[at + 1 + (size_t)k] = (unsigned char)(sender_time_ns >> (8 * k));
        }
    }
}
