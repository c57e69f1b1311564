/* Clusters made from golden scenes through messages, and batches run in this thread. */
#ifndef TEST_BATCH_CASE_H
#define TEST_BATCH_CASE_H

#include "common/golden.h"
#include "cluster.h"

enum { CASE_USERS_MAX = 16 };

extern const beamd_cluster_limits case_limits;

/* A registration of the scene's sizes; free with case_registration_free. names: NULL-ended, or
 * NULL; their trade-offs are 0.5, 0.9, 0.1, 0.7. */
Beamd__RegisterCluster *case_registration(const beam_scene *scene, int subbands,
                                          const char *const *names);
void case_registration_free(Beamd__RegisterCluster *message);
/* Registered, nothing more. Ends the test on failure. */
beamd_cluster *case_cluster(const beam_scene *scene, int subbands, const char *const *names);

int case_targets(beamd_cluster *cluster, const beam_scene *scene, uint64_t sequence,
                 beam_wire_error *err);

/* Channels of subband `band`: those of the scene, turned by an angle that grows along the array. */
beam_complex case_channel(const beam_scene *scene, int band, int l, int u, int n);

/* A CsiUpdate, or the lists of a UsersJoin; free with case_csi_free. first, users: of the scene. */
typedef struct case_csi {
    Beamd__CsiUpdate message;
    Beamd__User user[CASE_USERS_MAX], *user_at[CASE_USERS_MAX];
    Beamd__Subband *band, **band_at;
    Beamd__ComplexArray *array;
    uint32_t shape[3];
    double *radius;
} case_csi;
case_csi *case_csi_new(const beam_scene *scene, int first, int users, const int *bands, int count);
void case_csi_free(case_csi *self);
/* bands NULL: 0 .. count-1. */
int case_send_csi(beamd_cluster *cluster, const beam_scene *scene, uint64_t now_ns,
                  uint64_t sequence, const int *bands, int count, beamd_bands *changed,
                  beam_wire_error *err);

/* Registered, with targets (sequence 1) and CSI of all subbands (sequence 1). */
beamd_cluster *case_ready(const beam_scene *scene, int subbands, const char *const *names);

/* Subbands [first, first + count) into the task. */
void case_snapshot(beamd_cluster *cluster, beamd_task *task, int first, int count, uint64_t now_ns);

#endif
