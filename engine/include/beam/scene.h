/* What a controller knows: stations, users with channel estimates and error radii, targets.
 *
 * A beam_scene is a plain view of arrays. beam_scene_init() carves them out of one block of memory
 * that the caller owns; the caller then fills them. Every index order is written beside the array,
 * the last index runs fastest. Units are in the names. Nothing is recomputed from geometry except
 * steering vectors, their derivatives and delays (MATH.md 1 and 7; format beamd-scene/1). */
#ifndef BEAM_SCENE_H
#define BEAM_SCENE_H

#include <stdbool.h>
#include <stddef.h>

#include "beam/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Limits on every size. A scene beyond one of them is refused with BEAM_E_LIMIT. */
enum {
    BEAM_MAX_STATIONS = 16,
    BEAM_MAX_ANTENNAS = 256,
    BEAM_MAX_USERS = 128, /* of all stations together */
    BEAM_MAX_TARGETS = 16
};

typedef struct beam_complex {
    double re, im;
} beam_complex;

typedef struct beam_dims {
    int stations; /* L, 1..BEAM_MAX_STATIONS */
    int antennas; /* N per station, 1..BEAM_MAX_ANTENNAS */
    int users;    /* U over all stations, 0..BEAM_MAX_USERS */
    int targets;  /* J, 1..BEAM_MAX_TARGETS */
} beam_dims;

/* Only half-wavelength uniform linear arrays in the plane are built; anything else is refused by
 * name. */
typedef enum beam_array { BEAM_ARRAY_UNIFORM_LINEAR = 0, BEAM_ARRAY_OTHER = 1 } beam_array;

typedef enum beam_sensing_model {
    BEAM_SENSING_RESOLVED = 0, /* echoes of different targets uncorrelated, angles only (MATH 3) */
    BEAM_SENSING_COHERENT = 1, /* all targets in one delay cell, angles only */
    BEAM_SENSING_BAND = 2      /* a flat band of bandwidth_hz, angles and delays together */
} beam_sensing_model;

typedef struct beam_scene {
    beam_dims dims;
    beam_array array;
    int user_antennas; /* 1; anything else is refused */
    beam_sensing_model sensing;
    double bandwidth_hz;        /* > 0 for BEAM_SENSING_BAND, otherwise ignored */
    double snapshots;           /* T > 0 */
    bool skip_unidentifiable;   /* true: leave targets that cannot be located out of the CRLB sum */
    double *station_position_m; /* [L][2] */
    double *station_axis_rad;   /* [L] direction of the array axis, e = (cos, sin) */
    double *station_power_w;    /* [L] P_l > 0 */
    double *station_echo_noise_w; /* [L] sigma_r^2 > 0 at receiver l */
    int *user_station;            /* [U] serving station c, 0..L-1; any order */
    double *user_weight;          /* [U] alpha_u >= 0 */
    double *user_noise_w;         /* [U] sigma_u^2 > 0 */
    double *user_min_rate_bps_hz; /* [U] minimum worst-case rate >= 0; 0: none */
    beam_complex *channel;        /* [L][U][N] estimate of h; the user receives h^H x_l */
    double *error_radius;      /* [L][U] eps >= 0, ball |h - estimate| <= eps; 0: exact knowledge */
    double *target_position_m; /* [J][2] */
    beam_complex *reflection;  /* [L][J][L] alpha_{l,j,m}: transmitter l, target j, receiver m */
} beam_scene;

/* BEAM_OK when every size is within its limit. */
beam_code beam_dims_check(const beam_dims *dims, beam_error *err);

/* Bytes for the arrays of a scene of these sizes (0 if the sizes are not admissible). */
size_t beam_scene_memsize(const beam_dims *dims);

/* Lays a zeroed scene of these sizes over `memory` (at least beam_scene_memsize bytes, 64-byte
 * aligned, owned by the caller and outliving the scene). Defaults: uniform linear array, one user
 * antenna, resolved sensing, 256 snapshots, unit weights. */
beam_code beam_scene_init(beam_scene *scene, const beam_dims *dims, void *memory, size_t size,
                          beam_error *err);

/* Copies `from` into `to`, whose arrays must have been laid out for the same sizes. */
beam_code beam_scene_copy(beam_scene *to, const beam_scene *from, beam_error *err);

/* Checks sizes, finiteness, signs, ranges and coincident positions; err->field names the culprit,
 * e.g. "users[2].error_radius[0]". Everything that takes a scene calls this first. */
beam_code beam_scene_validate(const beam_scene *scene, beam_error *err);

#ifdef __cplusplus
}
#endif
#endif
