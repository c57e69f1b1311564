#include "load/samples.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLES_MAX = 1 << 20 };
static const size_t SAMPLE_BYTES_MAX = (size_t)256 << 20;

int load_samples_create(load_samples *self, double share, uint64_t seed)
{
    *self = (load_samples){.share = share, .random = seed ^ 0x73616d706cu};
    if (share > 0) {
        self->kept = calloc(SAMPLES_MAX, sizeof *self->kept);
        self->capacity = SAMPLES_MAX;
    }
    return share > 0 && !self->kept ? -1 : 0;
}

void load_samples_destroy(load_samples *self)
{
    for (size_t k = 0; k < self->count; k++) {
        free(self->kept[k].frame);
    }
    free(self->kept);
    memset(self, 0, sizeof *self);
}

void load_samples_offer(load_samples *self, const load_cluster *cluster, const unsigned char *frame,
                        size_t bytes)
{
    if (!(self->share > 0) || load_random_uniform(&self->random) >= self->share) {
        return;
    }
    unsigned char *copy = NULL;
    if (self->count < self->capacity && bytes <= SAMPLE_BYTES_MAX - self->bytes) {
        copy = malloc(bytes);
    }
    if (!copy) {
        self->left_out++;
        return;
    }
    memcpy(copy, frame, bytes);
    self->kept[self->count++] = (load_sample){copy, bytes, cluster};
    self->bytes += bytes;
}
