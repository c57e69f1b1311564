/* What survives a restart, kill -9 included: registrations, targets, preferences, sequences, the
 * normalising values, and the last beams as starts of the next solve. One file a cluster, and the
 * same record in memory that the service manager keeps, where there is one (docs/state.md).
 *
 * Loop side: beamd_state_tick copies a cluster that changed into a buffer, a piece a turn, and
 * hands that to a thread, which computes the checksum, writes, waits for the disk and renames. One
 * such job is under way at a time, so that a slow disk costs freshness and nothing else. */
#ifndef BEAMD_STATE_H
#define BEAMD_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster.h"
#include "config.h"
#include "notify.h"
#include "pool.h"

enum {
    BEAMD_STATE_TURN_BYTES = 32 << 10,      /* copied in one turn of the loop, and one design */
    BEAMD_STATE_KEPT_BYTES_MAX = 256 << 20, /* of all memory that the manager keeps */
    BEAMD_STATE_VISITS = 16                 /* clusters looked at in one turn */
};

typedef struct beamd_state beamd_state;

/* Where the clusters are. */
typedef struct beamd_state_world {
    void *arg;
    uint64_t (*clock_ns)(void *arg);
    /* The i-th cluster in any order that changes only with registrations, NULL beyond the last; and
     * by its id, NULL: none. */
    beamd_cluster *(*at)(void *arg, unsigned i);
    beamd_cluster *(*find)(void *arg, const char *id);
    /* The default preference; false: no message has set it. */
    bool (*preference)(void *arg, double *tradeoff);
    /* Gives the job to a thread that may block. False: none is free. */
    bool (*submit)(void *arg, beamd_job *job);
    /* At the start: what a registration may ask for now; takes a cluster over (false: it is not
     * wanted, and is destroyed here); sets the default preference. */
    void (*limits)(void *arg, beamd_cluster_limits *limits);
    bool (*restore)(void *arg, beamd_cluster *cluster);
    void (*set_preference)(void *arg, double tradeoff);
} beamd_state_world;

/* Written by the loop's thread alone. */
typedef struct beamd_state_counters {
    uint64_t restored;        /* clusters at the start ... */
    uint64_t restored_kept;   /* ... of them from the manager's memory, being newer than the file */
    uint64_t designs;         /* starts restored */
    uint64_t designs_refused; /* that did not fit their cluster */
    uint64_t damaged;         /* files and memories that were no good */
    uint64_t left;            /* good or not looked at, but beyond a limit: left where they are */
    uint64_t written, removed, failed;  /* jobs */
    uint64_t kept_failed;               /* the manager's memory could not be had or handed over */
    uint64_t designs_left;              /* beyond the record's limit */
    uint64_t unsaved;                   /* clusters whose messages are too large to be kept */
    size_t record_bytes;                /* of the last record */
    size_t kept_bytes;                  /* of all memory that the manager keeps */
    uint64_t turn_last_ns, turn_max_ns; /* of the loop's time, in one turn */
    uint64_t write_last_ns, write_max_ns;
    uint64_t written_at_ns; /* the last one, daemon's clock; 0: none yet */
    uint64_t load_ns;
} beamd_state_counters;

/* state_dir of the configuration, where it is empty: $STATE_DIRECTORY (systemd) or
 * RUNTIME_DIR/state. False: too long, or not absolute. "off" stays. */
bool beamd_state_choose_dir(beamd_config *config);

/* dir: is made where it is missing. clusters_max, bytes_max (of one record): of the configuration.
 * notify must outlive the state. NULL: `why` says why. */
beamd_state *beamd_state_open(const char *dir, unsigned clusters_max, size_t bytes_max,
                              const beamd_notify *notify, const beamd_state_world *world, char *why,
                              size_t size);
/* Where no state is kept: gives back what the service manager kept of an earlier life, which would
 * else return whenever the state is switched on again. Returns how many. */
unsigned beamd_state_give_back(const beamd_notify *notify);
/* No job under way. */
void beamd_state_close(beamd_state **self);

/* Once, before anybody is served, from the loop's thread: takes what the manager kept
 * (beamd_notify_given_fds) and reads the files, by id, for at most budget_ns; logs and counts.
 * Damaged files are set aside; those beyond a limit stay. */
void beamd_state_load(beamd_state *self, uint64_t budget_ns);

/* every_ns: between two records of one cluster. True: there is more to copy, call again in the next
 * turn; else 20 ms later is soon enough. */
bool beamd_state_tick(beamd_state *self, uint64_t now_ns, uint64_t every_ns);
/* A job came back. False: it is none of the state's. */
bool beamd_state_done(beamd_state *self, const beamd_job *job, uint64_t now_ns, uint64_t every_ns);
/* At the end, the threads joined and their jobs taken back: writes what changed, here and now, for
 * at most about budget_ns. */
void beamd_state_flush(beamd_state *self, uint64_t budget_ns);

const beamd_state_counters *beamd_state_counters_of(const beamd_state *self);

/* core_requests.c, of a request that was taken: the frame as it was received. Room for targets is
 * taken with the registration. Without memory the cluster is not saved. */
void beamd_state_note_registration(beamd_cluster *cluster, const void *frame, size_t bytes);
void beamd_state_note_targets(beamd_cluster *cluster, const void *frame, size_t bytes);

/* An answer that was restored is a start for the next and nothing to send: its numbers are gone. */
static inline bool beamd_answer_of_this_life(const beamd_answer *answer)
{
    return answer->band_generation > 0;
}

#endif
