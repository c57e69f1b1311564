/* In the place of `cuda` in a build without it. */
#include "worker/backend.h"

static int none_open(void **self, const beamg_setup *setup, char *device, char *why, size_t size)
{
    (void)self;
    (void)setup;
    (void)device;
    return beamg_refuse(BEAMG_EXIT_ABSENT, why, size, "no device: built without CUDA");
}

static int none_probe(char *text, size_t size)
{
    return none_open(NULL, NULL, NULL, text, size);
}

const beamg_backend beamg_backend_cuda = {.name = "cuda", .probe = none_probe, .open = none_open};
