/* What the tables of scenarios are written with. */
#ifndef SIM_SCENARIOS_H
#define SIM_SCENARIOS_H

#include "sim/sim.h"

#define ONE(kind) (1u << (kind))
#define ALL_KINDS ((1u << SIM_KINDS) - 1u)
#define STEADY                                                                                     \
    {                                                                                              \
        .full_us = 400, .sigma = 0.3                                                               \
    }
#define SLOW                                                                                       \
    {                                                                                              \
        .full_us = 4000, .sigma = 0.1                                                              \
    }

#endif
