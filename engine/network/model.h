/* The model as inference and training see it. Internal to libbeam. */
#ifndef BEAM_NET_MODEL_H
#define BEAM_NET_MODEL_H

#include "beam/network.h"
#include "network/arch.h"

/* Of the layers' arithmetic: to be raised with every change after which the same weights mean
 * something else. A file of another revision is refused, for its answers would be nonsense. */
enum { BEAM_MODEL_REVISION = 1 };

struct beam_model {
    beam_model_info info;
    beam_net_arch arch;
    const float *theta;   /* [info.parameters], 64-byte aligned */
    const float *columns; /* equivariant: the same for single.h; otherwise NULL */
};

beam_net_arch beam_model_arch(const beam_model_info *info);

#endif
