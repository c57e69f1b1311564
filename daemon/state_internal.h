/* Shared by state*.c. */
#ifndef BEAMD_STATE_INTERNAL_H
#define BEAMD_STATE_INTERNAL_H

#include "state.h"
#include "state_file.h"
#include "state_store.h"

/* What is kept of a cluster outside of it. */
typedef struct state_entry {
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    uint64_t due_ns;   /* not written again before */
    unsigned failures; /* in a row */
    bool too_large;    /* said and counted */
    bool left; /* not restored: its memory stays until a cluster of this id comes and goes */
    beamd_state_memory memory;
} state_entry;

typedef enum state_task { STATE_WRITE = 0, STATE_REMOVE = 1 } state_task;

typedef struct state_job {
    beamd_job job; /* first */
    bool under_way;
    state_task task;
    int dir_fd;
    char file[BEAMD_STATE_NAME_BYTES];
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1]; /* empty: the daemon's own record */
    unsigned char *record;
    size_t bytes;
    const beamd_notify *notify;
    beamd_state_memory memory;             /* in and out */
    size_t memory_bytes;                   /* wanted for one record, 0: none */
    char memory_name[BEAMD_FD_NAME_BYTES]; /* of a new one */
    /* out */
    int status;       /* errno */
    bool memory_good; /* or not wanted */
    uint64_t start_ns, end_ns;
} state_job;

/* A cluster being copied, a piece a turn. */
typedef struct state_stage {
    bool active, ready; /* ready: the record is whole and waits for a thread */
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    uint64_t incarnation, changed;
    int next; /* problem */
    beamd_record_writer writer;
    size_t bytes, bytes_max;
} state_stage;

struct beamd_state {
    beamd_state_world world;
    beamd_state_store store;
    const beamd_notify *notify;
    unsigned clusters_max;
    size_t bytes_max;
    state_entry *entries; /* [entries_max], sorted by id */
    unsigned count, entries_max;
    unsigned visit, visit_gone; /* where looking goes on */
    uint64_t serial;            /* of the last record */
    uint64_t memory_number;     /* of the last name */
    beamd_state_buffer buffer;
    state_stage stage;
    state_job job;
    /* the default preference as it is on disk */
    beamd_record_daemon saved_daemon, writing_daemon;
    uint64_t daemon_due_ns;
    unsigned daemon_failures;
    beamd_state_counters counters;
};

/* state.c */
state_entry *beamd_state_find_entry(beamd_state *self, const char *id);
/* NULL: there are too many. */
state_entry *beamd_state_add_entry(beamd_state *self, const char *id);
void beamd_state_erase_entry(beamd_state *self, const state_entry *entry);
uint64_t beamd_state_unix_ns(void);

/* state_stage.c */
/* False: it cannot be saved; entry->due_ns is set. */
bool beamd_state_stage_begin(beamd_state *self, beamd_cluster *cluster, state_entry *entry,
                             uint64_t now_ns, uint64_t every_ns);
/* Copies what one turn may. The cluster is gone: nothing is staged any more. */
void beamd_state_stage_more(beamd_state *self);

/* state_restore.c */
/* Makes a cluster of a record. NULL: *why is one word for the file's name, err the reason; *limit:
 * it is good, but beyond a limit. */
beamd_cluster *beamd_state_restore(const beamd_record_view *view,
                                   const beamd_cluster_limits *limits, beam_wire_arena *arena,
                                   beamd_state_counters *counters, const char **why, bool *limit,
                                   beam_wire_error *err);

#define BEAMD_STATE_DAEMON_FILE "daemon.state"
#define BEAMD_STATE_FD_PREFIX "beamd-state."

#endif
