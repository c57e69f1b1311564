/* Reproducible random scenes and designs of random sizes. The seed of a failing case is printed by
 * the tests. */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stdint.h>

#include "common/owned.h"

typedef struct test_random {
    uint64_t state;
} test_random;

test_random test_random_new(uint64_t seed);
uint64_t test_random_bits(test_random *random);
double test_random_uniform(test_random *random); /* [0, 1) */
double test_random_between(test_random *random, double low, double high);
int test_random_int(test_random *random, int low, int high); /* both included */
double test_random_normal(test_random *random);
beam_complex test_random_complex(test_random *random); /* E|z|^2 = 1 */

/* Sizes: L 1..4 (at least 2 when `locatable`), N 1..8 (2..8), U 0..7, J 1..4. */
beam_dims test_random_dims(test_random *random, bool locatable);

/* A scene in the paper's range of values: stations about 80 m around the origin with random axes,
 * targets near the origin, Rayleigh channels with path loss, error radii eps_rel * |typical
 * channel| (0 for a few links), powers, noises and weights over a decade. */
beam_scene *test_random_scene(test_random *random, const beam_dims *dims, double eps_rel);

/* Gaussian beams and sensing columns at a random share of each budget (never above it). columns <
 * 0: as many as suffice. */
beam_design *test_random_design(test_random *random, const beam_scene *scene, int columns);

/* Zero-forcing beams (each channel less its projection on those of all other users) with half of
 * the budget, and isotropic sensing, N columns: the points where worst cases tie and the hard case
 * is met. */
beam_design *test_zero_forcing_design(const beam_scene *scene);

/* Channels [L][U][N] = estimates + errors inside the balls; half of the draws lie on the spheres.
 */
void test_random_channels(test_random *random, const beam_scene *scene, beam_complex *channels);

#endif
