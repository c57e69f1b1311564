/* The installed program has no faults on purpose. */
#include "worker/worker.h"

bool beamg_fault_known(const char *text)
{
    (void)text;
    return false;
}

int beamg_fault_start(beamg_worker *self)
{
    (void)self;
    return 0;
}

bool beamg_fault_batch(beamg_worker *self, uint64_t batch)
{
    (void)self;
    (void)batch;
    return true;
}

void beamg_fault_answer(beamg_worker *self, uint64_t batch, beamg_descriptor *answer)
{
    (void)self;
    (void)batch;
    (void)answer;
}
