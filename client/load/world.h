/* One cluster in motion: users circle their station, targets circle their first place, fading is a
 * sum of plane waves (Jakes) whose phases turn with the users' speed and, over subbands, with the
 * delay of each wave. A function of time: frames are as correlated as the Doppler allows, and any
 * can be asked for in any order. Geometry, path loss and noise are those of MATH 7. */
#ifndef BEAMLOAD_WORLD_H
#define BEAMLOAD_WORLD_H

#include "load/options.h"

typedef struct load_world load_world;

typedef struct load_site {
    double x_m, y_m, axis_rad;
} load_site;

/* What is the same in every cluster. */
enum { LOAD_SNAPSHOTS = 256 };
extern const double LOAD_POWER_W, LOAD_USER_NOISE_W, LOAD_ECHO_NOISE_W, LOAD_RCS_M2;

/* NULL without memory. */
load_world *load_world_create(const load_options *options, const load_shape *shape, uint64_t seed);
void load_world_destroy(load_world **self);

load_site load_world_station(const load_world *self, int station);
int load_world_user_station(const load_world *self, int user);

/* channels: [L][U][N] pairs re, im; radius: [L][U] */
void load_world_channels(const load_world *self, double time_s, int subband, double *channels,
                         double *radius);
/* positions: [J][2] */
void load_world_targets(const load_world *self, double time_s, double *positions);

#endif
