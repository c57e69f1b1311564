#include "lab/random.h"

#include <math.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

lab_random lab_random_seed(uint64_t seed)
{
    lab_random self;
    for (int i = 0; i < 4; i++) {
        self.state[i] = splitmix(&seed);
    }
    return self;
}

uint64_t lab_random_bits(lab_random *self)
{
    uint64_t *s = self->state;
    const uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double lab_random_uniform(lab_random *self)
{
    return (double)(lab_random_bits(self) >> 11) * 0x1p-53;
}

beam_complex lab_random_gaussian(lab_random *self)
{
    const double radius = sqrt(-2 * log(1 - lab_random_uniform(self)));
    const double angle = 2 * M_PI * lab_random_uniform(self);
    return (beam_complex){radius * cos(angle), radius * sin(angle)};
}
