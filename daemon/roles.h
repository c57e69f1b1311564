/* What a peer may do: by its key (CURVE), or everything where the file mode of an ipc socket or the
 * loopback is the guard. */
#ifndef BEAMD_ROLES_H
#define BEAMD_ROLES_H

enum {
    BEAMD_ROLE_CSI = 1,      /* register clusters, send CSI, targets, users */
    BEAMD_ROLE_OBSERVER = 2, /* read: status, clusters, preferences, configuration, fronts */
    BEAMD_ROLE_OPERATOR = 4, /* and change: preferences, models, configuration, drain */
    BEAMD_ROLE_ALL = 7
};

#endif
