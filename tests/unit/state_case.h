/* Clusters with last beams, a directory, a world that holds them: for tests of the state. */
#ifndef STATE_CASE_H
#define STATE_CASE_H

#include "state.h"

enum { CASE_CLUSTERS = 64 };

typedef struct case_sizes {
    int stations, antennas, users, targets, subbands, named;
} case_sizes;

/* A directory of its own; removed with all that is in it. */
void case_directory_make(char *path, size_t size);
void case_directory_remove(const char *path);

/* A frame of RegisterCluster and of TargetUpdate (`shift_m` moves the targets); returns its bytes.
 */
size_t case_registration(const char *id, const case_sizes *sizes, unsigned char *out, size_t size);
size_t case_targets(const char *id, const case_sizes *sizes, double shift_m, uint64_t sequence,
                    unsigned char *out, size_t size);

/* As the core makes it: created, noted, with targets. Without last beams. */
beamd_cluster *case_cluster(const char *id, const case_sizes *sizes);
/* Last beams, best rates and sequences as after an answer, other ones for every seed. */
void case_answer(beamd_cluster *cluster, unsigned seed);
/* Fails the test where the two differ in what is to survive. */
void case_assert_same(const beamd_cluster *a, const beamd_cluster *b);

/* Clusters in the order in which they were added; a job runs at once, or when it is told to. */
typedef struct case_world {
    beamd_cluster *clusters[CASE_CLUSTERS];
    unsigned count, most;
    bool has_preference;
    double preference;
    beamd_cluster_limits limits;
    beamd_job *waiting;
    bool no_thread;
    uint64_t now_ns; /* 0: the real clock */
    beamd_notify notify;
} case_world;

void case_world_init(case_world *self);
void case_world_clear(case_world *self);
beamd_cluster *case_world_find(case_world *self, const char *id);
void case_world_add(case_world *self, beamd_cluster *cluster);
void case_world_remove(case_world *self, const char *id);
/* Fails the test where it does not open. */
beamd_state *case_open(case_world *self, const char *dir);
/* Ticks and runs jobs until nothing is left to do; returns how many jobs ran. */
unsigned case_settle(case_world *self, beamd_state *state);

#endif
