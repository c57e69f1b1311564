/* Sizes and places of a layer's quantities. */
#ifndef BEAM_GPU_LAYER_CUH
#define BEAM_GPU_LAYER_CUH

/* As engine/network/block_internal.h; tests/gpu compares them. */
enum {
    BEAM_GPU_RATE,
    BEAM_GPU_SENSING,
    BEAM_GPU_RATE_SOLVED,
    BEAM_GPU_SENSING_SOLVED,
    BEAM_GPU_CHANNEL_SOLVED,
    BEAM_GPU_NORMALISED,
    BEAM_GPU_LEAST = BEAM_GPU_NORMALISED,
    BEAM_GPU_MOMENTUM,
    BEAM_GPU_DIRECTIONS,
    BEAM_GPU_COEFFICIENTS = BEAM_GPU_DIRECTIONS + 1,
    BEAM_GPU_ROW_FEATURES = 9,
    BEAM_GPU_ROW_INPUTS = BEAM_GPU_ROW_FEATURES + 3 * BEAM_GPU_DIRECTIONS,
    BEAM_GPU_STATION_FEATURES = 4 + BEAM_GPU_NORMALISED,
    BEAM_GPU_GLOBAL_FEATURES = 8,
    BEAM_GPU_STATION_INPUTS = BEAM_GPU_STATION_FEATURES + BEAM_GPU_GLOBAL_FEATURES
};
/* Scalars of a layer, exponentials taken. */
enum {
    BEAM_GPU_CROSS,
    BEAM_GPU_CROSS_ISOTROPIC,
    BEAM_GPU_OWN,
    BEAM_GPU_OWN_ISOTROPIC,
    BEAM_GPU_RIDGE_TRACE,
    BEAM_GPU_RIDGE_POWER,
    BEAM_GPU_TEMPERATURE,
    BEAM_GPU_SCALARS
};
/* Numbers of a user in work.user, [.][U]. */
enum {
    BEAM_GPU_USER_CROSS,
    BEAM_GPU_USER_NOMINAL,
    BEAM_GPU_USER_SIGNAL,
    BEAM_GPU_USER_NOISE,
    BEAM_GPU_USER_RATE,
    BEAM_GPU_USER_GAIN,
    BEAM_GPU_USER_CURVATURE,
    BEAM_GPU_USER_OMEGA,
    BEAM_GPU_USER_NUMBERS
};
/* Numbers of a station in work.station, [.][L]. */
enum {
    BEAM_GPU_STATION_POWER,
    BEAM_GPU_STATION_FROBENIUS2,
    BEAM_GPU_STATION_MULTIPLIER,
    BEAM_GPU_STATION_RIDGE,
    BEAM_GPU_STATION_INNER,                             /* two: with the raw directions */
    BEAM_GPU_STATION_UNIT = BEAM_GPU_STATION_INNER + 2, /* [NORMALISED + 1] 1/norm */
    BEAM_GPU_STATION_NUMBERS = BEAM_GPU_STATION_UNIT + BEAM_GPU_NORMALISED + 1
};

/* Inputs of a row lie apart by this many floats: a warp that reads fragments of eight rows meets
 * every bank once. Those of a station: with one float that is zero, so that pairs are aligned. */
enum { BEAM_GPU_ROW_STRIDE = 40, BEAM_GPU_STATION_STRIDE = BEAM_GPU_STATION_INPUTS + 1 };

/* How the perceptron's products are made. */
enum {
    BEAM_GPU_PERCEPTRON_PLAIN, /* float32 */
    BEAM_GPU_PERCEPTRON_HALF,  /* tensor cores, halves */
    BEAM_GPU_PERCEPTRON_SPLIT  /* tensor cores, float32 from three products of halves */
};
/* On tensor cores (tensor.cuh): three matrices of 16 inputs a step, fragments of the halves, then
 * those of the rests. The first has the inputs of the row, then of its station; the second hidden
 * 1, its mean over the station, and over all rows. */
enum {
    BEAM_GPU_TENSOR_WIDTH = 32,
    BEAM_GPU_TENSOR_TILES = BEAM_GPU_TENSOR_WIDTH / 8,
    BEAM_GPU_STEPS1 = (BEAM_GPU_ROW_INPUTS + BEAM_GPU_STATION_STRIDE) / 16,
    BEAM_GPU_STEPS2 = 3 * BEAM_GPU_TENSOR_WIDTH / 16,
    BEAM_GPU_STEPS3 = BEAM_GPU_TENSOR_WIDTH / 16,
    BEAM_GPU_FRAGMENTS2 = BEAM_GPU_STEPS1 * BEAM_GPU_TENSOR_TILES,
    BEAM_GPU_FRAGMENTS3 = BEAM_GPU_FRAGMENTS2 + BEAM_GPU_STEPS2 * BEAM_GPU_TENSOR_TILES,
    BEAM_GPU_FRAGMENTS = BEAM_GPU_FRAGMENTS3 + BEAM_GPU_STEPS3,
    BEAM_GPU_FRAGMENT_WORDS = 64 * BEAM_GPU_FRAGMENTS
};

#endif
