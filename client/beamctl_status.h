/* A cluster's status, as status, clusters and top show it. */
#ifndef BEAMCTL_STATUS_H
#define BEAMCTL_STATUS_H

#include "beamctl_json.h"

json_t *beamctl_json_cluster(const beamc_cluster_status *cluster);
json_t *beamctl_json_named(const beamc_named_preference *named, size_t count);

#endif
