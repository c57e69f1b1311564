/* What a network is made of: sizes and the places of its parameters in one flat array, so that the
 * optimiser, checkpoints and the model file need not know the layers. Internal to libbeam. */
#ifndef BEAM_NET_ARCH_H
#define BEAM_NET_ARCH_H

#include <stddef.h>

#include "network/lanes.h"

typedef enum beam_net_kind { BEAM_NET_EQUIVARIANT = 0, BEAM_NET_MLP = 1 } beam_net_kind;

enum {
    BEAM_NET_LAYERS_MAX = 64,
    BEAM_NET_WIDTH_MAX = 1024, /* mlp */
    BEAM_NET_EQUIVARIANT_WIDTH_MAX = 256,
    BEAM_NET_MLP_SIZE_MAX = 4096, /* mlp: rows and errors, complex entries */
};

typedef struct beam_net_arch {
    beam_net_kind kind;
    int layers; /* Y */
    int width;  /* of the hidden layers of every W^y */
    /* mlp only: the one size it is made for (users spread evenly: U/L per station) */
    int stations, antennas, users, targets, sensing_rows;
} beam_net_arch;

/* Parameters of the whole network; 0: an architecture outside the limits. An mlp needs antennas <=
 * users + 2 targets, so that the reduced coordinates of MATH 4 are the antennas, and as many users
 * in every station. */
size_t beam_net_parameters(const beam_net_arch *arch);

/* Share of the beams in the composed start (beam_classical_compose) of a cold solve. */
double beam_net_start_share(double tradeoff);

#endif
