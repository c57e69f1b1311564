/* Time of one answer of the network on one core, new CSI for every one: loading, the layers, the
 * check. */
#ifndef LAB_NETWORK_TIMING_H
#define LAB_NETWORK_TIMING_H

#include <stdbool.h>
#include <stdint.h>

#include "lab/model_file.h"

typedef struct lab_network_timing {
    int batch;
    bool warm;
    int rounds;
    double *total_us; /* [rounds] per answer, sorted: load and run */
    /* means per answer, measured apart from the totals */
    double load_us; /* beam_solver_load: reading and reducing the scene */
    double stage_us[BEAM_STAGE_COUNT];
    double measured_classical; /* share of answers in which the classical design was searched */
} lab_network_timing;

/* `family`: lab/evaluate_families.h. Trade-offs spread over [0,1]. layers: 0 the default. Warm:
 * from the answer to the scene's last channels, which differ by a tenth of the error radius. */
beam_code lab_network_time(lab_network_timing *self, const lab_model *model, int family,
                           uint64_t seed, int batch, int rounds, bool warm, beam_error *err);
void lab_network_timing_clear(lab_network_timing *self);
const char *lab_stage_text(beam_stage stage);

#endif
