/* The whole public API of the GPU library on the CPU, for tests: the same checks and packing, and
 * the very functions of gpu/device with teams of one lane, in a thread per object, so that batches
 * are in flight as they are on a device. Never installed. Beside the library itself in one program:
 * its names are others (rename.h). */
#ifndef BEAM_GPU_EMULATE_H
#define BEAM_GPU_EMULATE_H

#include <stdbool.h>
#include <stddef.h>

/* How many devices there are; 1 at the start. */
void beam_gpu_emulate_devices(int count);
/* From now on the device is lost, as after an illegal access: every call says so. */
void beam_gpu_emulate_break(void);
void beam_gpu_emulate_mend(void);
/* Batches are started and none is done until this is called with false. */
void beam_gpu_emulate_hold(bool hold);
/* So many bytes of device memory can be had; SIZE_MAX at the start. */
void beam_gpu_emulate_memory(size_t bytes);

#endif
