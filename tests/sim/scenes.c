/* Clusters of several kinds, and the channels that their controllers measure. */
#include <math.h>
#include <stdlib.h>

#include "sim/sim.h"

const char *const sim_names[SIM_NAMES] = {"", "balanced", "locate", "rates", "night.shift"};

#define F32 BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32
#define F64 BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64
#define I16 BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_INT16
#define BFP BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_BFP

const sim_kind_info sim_kinds[SIM_KINDS] = {
    [SIM_SMALL] = {"small", {2, 3, 2, 1}, 1, 0, F32, 0, 0, BEAM_SENSING_RESOLVED},
    [SIM_PAPER] = {"paper", {3, 5, 3, 2}, 1, 0, F32, 0, 0, BEAM_SENSING_RESOLVED},
    [SIM_NAMED] = {"named", {2, 3, 2, 1}, 1, 2, F64, 0, 0, BEAM_SENSING_RESOLVED},
    [SIM_WIDE] = {"wide", {2, 3, 2, 1}, 20, 0, F32, 0, 0, BEAM_SENSING_RESOLVED},
    [SIM_WIDE_NAMED] = {"wide-named", {2, 3, 2, 1}, 10, 2, BFP, 0, 0, BEAM_SENSING_RESOLVED},
    [SIM_SINGLE] = {"single", {2, 2, 1, 1}, 1, 0, I16, 0, 0, BEAM_SENSING_RESOLVED},
    [SIM_FLOORS] = {"floors", {2, 3, 2, 1}, 1, 0, F32, 0.05, 0, BEAM_SENSING_RESOLVED},
    [SIM_COUPLED] = {"coupled", {2, 3, 2, 1}, 1, 0, F32, 0, 0, BEAM_SENSING_COHERENT},
    [SIM_AGEING] = {"ageing", {2, 3, 2, 1}, 1, 0, F32, 0, 0.1, BEAM_SENSING_RESOLVED},
};

static beam_scene *scenes[SIM_KINDS][SIM_VARIANTS][SIM_PHASES];
static double places[SIM_KINDS][SIM_PLACES][2 * BEAM_MAX_TARGETS];

/* Phases turn along the array from variant to variant and from subband to subband. */
static void turn(beam_scene *scene, double angle)
{
    const beam_dims *d = &scene->dims;
    for (int l = 0; l < d->stations; l++) {
        for (int u = 0; u < d->users; u++) {
            beam_complex *h = test_channel(scene, l, u);
            for (int n = 0; n < d->antennas; n++) {
                const double c = cos(angle * (n + 1) + 0.3 * l), s = sin(angle * (n + 1) + 0.3 * l);
                h[n] = (beam_complex){h[n].re * c - h[n].im * s, h[n].re * s + h[n].im * c};
            }
        }
    }
}

static void make_kind(sim_kind kind)
{
    const sim_kind_info *info = &sim_kinds[kind];
    test_random random = test_random_new(7001 + (uint64_t)kind);
    for (int v = 0; v < SIM_VARIANTS; v++) {
        for (int b = 0; b < SIM_PHASES; b++) {
            scenes[kind][v][b] = v + b == 0 ? test_random_scene(&random, &info->dims, 0.05)
                                            : test_scene_clone(scenes[kind][0][0]);
            if (v + b > 0) {
                turn(scenes[kind][v][b], 0.4 * v + 0.15 * b);
            }
        }
    }
    beam_scene *first = scenes[kind][0][0];
    for (int p = 0; p < SIM_PLACES; p++) {
        for (int k = 0; k < 2 * info->dims.targets; k++) {
            places[kind][p][k] = first->target_position_m[k] + 1.5 * p;
        }
    }
}

void sim_scenes_make(void)
{
    for (int k = 0; k < SIM_KINDS; k++) {
        make_kind((sim_kind)k);
    }
}

void sim_scenes_free(void)
{
    for (int k = 0; k < SIM_KINDS; k++) {
        for (int v = 0; v < SIM_VARIANTS; v++) {
            for (int b = 0; b < SIM_PHASES; b++) {
                test_scene_free(scenes[k][v][b]);
            }
        }
    }
}

const beam_scene *sim_scene(sim_kind kind, int variant, int band)
{
    return scenes[kind][variant][band % SIM_PHASES];
}

const double *sim_target_position(sim_kind kind, int place)
{
    return places[kind][place];
}
