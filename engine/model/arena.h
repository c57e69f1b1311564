/* Carving one block of memory into arrays. With a NULL base the same carve function only counts
 * bytes, so that memsize and init cannot disagree. */
#ifndef BEAM_ARENA_H
#define BEAM_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct beam_arena {
    unsigned char *base; /* NULL: count only */
    size_t used;
} beam_arena;

static inline void *beam_arena_take(beam_arena *arena, size_t count, size_t size)
{
    const size_t at = (arena->used + 63u) & ~(size_t)63u;
    arena->used = at + count * size;
    return arena->base ? arena->base + at : NULL;
}

#define BEAM_TAKE(arena, type, count)                                                              \
    ((type *)beam_arena_take((arena), (size_t)(count), sizeof(type)))

#endif
