#include "network/arch.h"

#include <math.h>

#include "network/block_internal.h"

double beam_net_start_share(double tradeoff)
{
    return fmin(fmax(1.0 - tradeoff, 0.03), 0.97);
}

beam_net_layout beam_net_layer_layout(int width)
{
    const size_t w = (size_t)width, F = BEAM_NET_FEATURES, O = BEAM_NET_COEFFICIENTS;
    beam_net_layout p = {0};
    p.scalars = 0;
    p.w1 = BEAM_NET_SCALARS;
    p.b1 = p.w1 + w * F;
    p.w2 = p.b1 + w;
    p.station2 = p.w2 + w * w;
    p.all2 = p.station2 + w * w;
    p.b2 = p.all2 + w * w;
    p.w3 = p.b2 + w;
    p.b3 = p.w3 + O * w;
    p.count = p.b3 + O;
    return p;
}

size_t beam_net_parameters(const beam_net_arch *arch)
{
    if (arch->layers < 1 || arch->layers > BEAM_NET_LAYERS_MAX || arch->width < 1 ||
        arch->width > BEAM_NET_WIDTH_MAX) {
        return 0;
    }
    return arch->kind == BEAM_NET_EQUIVARIANT
               ? (size_t)arch->layers * beam_net_layer_layout(arch->width).count
               : 0;
}
