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

beam_net_mlp_inputs beam_net_mlp_input_layout(const beam_net_arch *arch)
{
    const int L = arch->stations, U = arch->users, J = arch->targets, D = arch->antennas;
    beam_net_mlp_inputs at = {.rows = 0};
    at.errors = at.rows + 2 * D * (U + L * arch->sensing_rows);
    at.states = at.errors + 2 * D * L * U;
    at.channel = at.states;
    at.norm = at.channel + 2 * D * L * U;
    at.radius = at.norm + L * U;
    at.steering = at.radius + L * U;
    at.information = at.steering + 4 * D * L * J;
    at.counted = at.information + 6 * L * J;
    at.weight = at.counted + J;
    at.ideal = at.weight + U;
    at.preference = at.ideal + 1;
    at.count = at.preference + 2;
    return at;
}

beam_net_mlp_layout beam_net_mlp_layer_layout(const beam_net_arch *arch)
{
    const beam_net_mlp_inputs at = beam_net_mlp_input_layout(arch);
    const size_t w = (size_t)arch->width, inputs = (size_t)at.count, outputs = (size_t)at.states;
    beam_net_mlp_layout p = {.eta = 0};
    p.w1 = 1;
    p.b1 = p.w1 + w * inputs;
    p.w2 = p.b1 + w;
    p.b2 = p.w2 + w * w;
    p.w3 = p.b2 + w;
    p.b3 = p.w3 + outputs * w;
    p.count = p.b3 + outputs;
    return p;
}

/* Sizes come from files: nothing may overflow. */
static bool mlp_sizes_are_sound(const beam_net_arch *a)
{
    const beam_dims dims = {
        .stations = a->stations, .antennas = a->antennas, .users = a->users, .targets = a->targets};
    if (beam_dims_check(&dims, NULL) || a->users % a->stations != 0 ||
        a->antennas > a->users + 2 * a->targets || a->sensing_rows < 1 ||
        a->sensing_rows > beam_design_sensing_max(&dims)) {
        return false;
    }
    const int rows = a->users + a->stations * a->sensing_rows, links = a->stations * a->users;
    return (rows + links) * a->antennas <= BEAM_NET_MLP_SIZE_MAX;
}

bool beam_net_serves(const beam_net_arch *arch, const beam_problem *p)
{
    if (arch->kind == BEAM_NET_EQUIVARIANT) {
        return true;
    }
    bool same = p->L == arch->stations && p->N == arch->antennas && p->U == arch->users &&
                p->J == arch->targets && p->r == arch->sensing_rows;
    for (int l = 0; same && l < p->L; l++) {
        same = p->K[l] == p->U / p->L;
    }
    return same;
}

size_t beam_net_parameters(const beam_net_arch *arch)
{
    const bool mlp = arch->kind == BEAM_NET_MLP;
    const int widest = mlp ? BEAM_NET_WIDTH_MAX : BEAM_NET_EQUIVARIANT_WIDTH_MAX;
    if (arch->layers < 1 || arch->layers > BEAM_NET_LAYERS_MAX || arch->width < 1 ||
        arch->width > widest || (mlp && !mlp_sizes_are_sound(arch))) {
        return 0;
    }
    return (size_t)arch->layers *
           (mlp ? beam_net_mlp_layer_layout(arch).count : beam_net_layer_layout(arch->width).count);
}
