/* What beamctl prints. Everything goes to stdout, as words or as one JSON object a line. */
#ifndef BEAMCTL_H
#define BEAMCTL_H

#include "beamc/beamc.h"

void beamctl_print_status(const beamc_status *status, bool json);
void beamctl_print_clusters(const beamc_status *status, bool json);
void beamctl_print_preference(const char *cluster, const beamc_preference *preference, bool json);
void beamctl_print_model(const beamc_model_state *state, bool json);
/* One published solution; `lines` counts those printed, for the heading. */
void beamctl_print_solution(const beamc_answer *answer, bool json, unsigned long *lines);

#endif
