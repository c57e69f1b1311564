/* xoshiro256** seeded by splitmix64: small, fast, the same numbers everywhere. */
#ifndef LAB_RANDOM_H
#define LAB_RANDOM_H

#include <stdint.h>

#include "beam/scene.h"

typedef struct lab_random {
    uint64_t state[4];
} lab_random;

lab_random lab_random_seed(uint64_t seed);
uint64_t lab_random_bits(lab_random *self);
double lab_random_uniform(lab_random *self); /* [0, 1) */
beam_complex
lab_random_gaussian(lab_random *self); /* real and imaginary part standard normal (Box-Muller) */

#endif
