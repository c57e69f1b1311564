/* Random scenes: the paper's scenario (MATH 7) and variations of its sizes, errors and powers. Same
 * conventions as `oracle.py gen`, but another random generator: equal seeds give other scenes
 * there. */
#ifndef LAB_GENERATE_H
#define LAB_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lab/format.h"

/* One draw of positions, phases and fading does not depend on error, power, weights or sensing
 * model: scenes of one seed that differ in those alone have the same users, channels and targets.
 */
typedef struct lab_generate_options {
    const char *name;
    int stations, antennas, targets;
    int users[BEAM_MAX_STATIONS]; /* per station */
    double error_relative;        /* eps = error_relative * sqrt(path loss * N) */
    double power_dbm;             /* per station */
    double bandwidth_hz;          /* > 0 for the band model */
    uint64_t seed;
    bool random_targets; /* false: (2,5) and (-5,1) m, which needs two targets */
    bool random_weights; /* 0.5 to 2 in steps of 0.01, users in random order; false: 1, users by
                            station */
    beam_sensing_model sensing;
} lab_generate_options;

/* L = 3, N = 5, one user per station, J = 2, relative error 0.1, 40 dBm, seed 0. */
lab_generate_options lab_generate_options_default(void);

/* A valid scene, every number rounded to the digits of a file; NULL on error (err->field is the
 * option at fault). */
lab_scene *lab_generate_scene(const lab_generate_options *options, beam_error *err);

/* The constants of the scenario, for what moves (lab/track.h). */
#define LAB_CARRIER_HZ 3.5e9
#define LAB_LIGHT_M_PER_S 299792458.0
double lab_path_loss(double distance_m); /* power; 1 m at least */
/* |alpha| of a target of 1 m^2: sqrt(lambda^2 RCS / (4 pi)^3) / (d_l d_m) */
double lab_reflection_size(double transmitter_m, double receiver_m);

#endif
