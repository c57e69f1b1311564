/* Where records lie: files in a directory of the daemon's own, and memory that the service manager
 * keeps. Blocking calls: for the start, the end, and a thread beside the loop. */
#ifndef BEAMD_STATE_STORE_H
#define BEAMD_STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "notify.h"
#include "state_file.h"

enum {
    BEAMD_STATE_NAME_BYTES = 160,   /* of a file */
    BEAMD_STATE_ASIDE_MAX = 32,     /* damaged files that are kept */
    BEAMD_STATE_ENTRIES_MAX = 16384 /* of the directory that are looked at */
};

typedef struct beamd_state_store {
    int dir_fd; /* state_dir/clusters; -1: not open */
    int top_fd; /* state_dir */
    int lock_fd;
} beamd_state_store;

/* Makes the directories (0700) where they are missing, and locks them against a second daemon.
 * False: `why` says why, and nothing is open. A directory of another user, a link or one that
 * others may write to is refused. */
bool beamd_state_store_open(beamd_state_store *self, const char *dir, char *why, size_t size);
void beamd_state_store_close(beamd_state_store *self);

/* Writes a new file, waits until it is on the disk, and puts it in the place of the old one: after
 * a crash there is the one or the other, whole. 0, or an errno: the old one is still there. */
int beamd_state_store_write(int dir_fd, const char *name, const void *bytes, size_t size);
/* 0 also where there is none. */
int beamd_state_store_remove(int dir_fd, const char *name);

/* The names of records ("ID.state", each with an admissible id) in order, and takes away what a
 * crash left of unfinished ones. Returns how many were written to `out`; *left: how many more there
 * were. -1: errno. */
int beamd_state_store_list(int dir_fd, char (*out)[BEAMD_STATE_NAME_BYTES], unsigned most,
                           unsigned *left);

/* Memory that is used again. */
typedef struct beamd_state_buffer {
    unsigned char *bytes;
    size_t capacity;
} beamd_state_buffer;
/* False without memory; what was there is lost then. */
bool beamd_state_buffer_grow(beamd_state_buffer *self, size_t bytes);
void beamd_state_buffer_free(beamd_state_buffer *self);

/* Reads a whole file. NULL, or one word: "missing", "link", "kind" (no ordinary file), "owner",
 * "mode" (others may write it), "huge" (above `most`), "unreadable", "memory". */
const char *beamd_state_store_read(int dir_fd, const char *name, size_t most,
                                   beamd_state_buffer *buffer, size_t *size);
/* Renames to NAME.damaged-WHY, in the place of an earlier one of that name. 0 or an errno. */
int beamd_state_store_set_aside(int dir_fd, const char *name, const char *why);
/* Removes the oldest files set aside beyond BEAMD_STATE_ASIDE_MAX; returns how many. */
unsigned beamd_state_store_thin(int dir_fd);

/* Memory behind a descriptor that the manager keeps: two halves, each holds a record; the newer one
 * is never written over, so that a crash leaves at least one whole. */
typedef struct beamd_state_memory {
    int fd;            /* -1: none */
    size_t half_bytes; /* room for one record */
    int newest;        /* half, 0 or 1 */
    bool kept;         /* the manager was given it */
    char name[BEAMD_FD_NAME_BYTES];
} beamd_state_memory;

/* -1 in fd: refused, errno. */
void beamd_state_memory_create(beamd_state_memory *self, const char *name, size_t record_bytes);
/* A descriptor that was given: false: no memory of this kind. Takes it over if true. */
bool beamd_state_memory_adopt(beamd_state_memory *self, const beamd_given_fd *given);
void beamd_state_memory_close(beamd_state_memory *self);
/* 0 or an errno; EFBIG: the record does not fit. */
int beamd_state_memory_write(beamd_state_memory *self, const void *record, size_t bytes);
/* The newest whole record of at most `most` bytes, in the buffer; false: there is none. */
bool beamd_state_memory_read(beamd_state_memory *self, size_t most, beamd_state_buffer *buffer,
                             beamd_record_view *view);

#endif
