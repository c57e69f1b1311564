/* Parameters of a fresh network. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "network/block_internal.h"

typedef struct generator {
    uint64_t state;
} generator;

/* splitmix64 */
static double uniform(generator *g)
{
    uint64_t z = g->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void fill(generator *g, size_t count, double deviation, beam_net_real *to)
{
    for (size_t i = 0; i < count; i++) {
        const double radius = sqrt(-2 * log(1 - uniform(g)));
        to[i] = (beam_net_real)(deviation * radius * cos(2 * M_PI * uniform(g)));
    }
}

static void fill_layer(generator *g, int width, beam_net_real *theta)
{
    static const double scalar[BEAM_NET_SCALARS] = {
        [BEAM_NET_CROSS] = 0.1,        [BEAM_NET_CROSS_ISOTROPIC] = 0.7,
        [BEAM_NET_OWN] = 0.1,          [BEAM_NET_OWN_ISOTROPIC] = 0.3,
        [BEAM_NET_RIDGE_TRACE] = 0.05, [BEAM_NET_RIDGE_POWER] = 1.0,
        [BEAM_NET_TEMPERATURE] = 0.1};
    const beam_net_layout p = beam_net_layer_layout(width);
    const size_t w = (size_t)width;
    for (int k = 0; k < BEAM_NET_SCALARS; k++) {
        theta[k] = (beam_net_real)log(scalar[k]);
    }
    fill(g, w * BEAM_NET_FEATURES, 1.4 / sqrt(BEAM_NET_FEATURES), theta + p.w1);
    fill(g, w, 0.3, theta + p.b1);
    fill(g, 3 * w * w, 0.8 / sqrt((double)width), theta + p.w2); /* w2, station2, all2 */
    memset(theta + p.b2, 0, w * sizeof *theta);
    fill(g, w * BEAM_NET_COEFFICIENTS, 0.05 / sqrt((double)width), theta + p.w3);
    memset(theta + p.b3, 0, BEAM_NET_COEFFICIENTS * sizeof *theta);
    theta[p.b3 + BEAM_NET_RATE_SOLVED] = (beam_net_real)0.05;
    theta[p.b3 + BEAM_NET_SENSING_SOLVED] = (beam_net_real)0.05;
}

static void fill_mlp_layer(generator *g, const beam_net_arch *arch, beam_net_real *theta)
{
    const beam_net_mlp_layout p = beam_net_mlp_layer_layout(arch);
    const beam_net_mlp_inputs at = beam_net_mlp_input_layout(arch);
    const size_t w = (size_t)arch->width, inputs = (size_t)at.count, outputs = (size_t)at.states;
    memset(theta, 0, p.count * sizeof *theta);
    theta[p.eta] = (beam_net_real)log(0.3);
    fill(g, w * inputs, 1.4 / sqrt((double)inputs), theta + p.w1);
    fill(g, w, 0.3, theta + p.b1);
    fill(g, w * w, 1.4 / sqrt((double)w), theta + p.w2);
    fill(g, outputs * w, 0.01 / sqrt((double)w), theta + p.w3);
}

void NET(block_initialise)(const beam_net_arch *arch, unsigned long long seed, beam_net_real *theta)
{
    const bool mlp = arch->kind == BEAM_NET_MLP;
    const size_t per_layer = beam_net_parameters(arch) / (size_t)arch->layers;
    generator g = {.state = seed};
    for (int y = 0; y < arch->layers; y++) {
        beam_net_real *layer = theta + (size_t)y * per_layer;
        if (mlp) {
            fill_mlp_layer(&g, arch, layer);
        } else {
            fill_layer(&g, arch->width, layer);
        }
    }
}
