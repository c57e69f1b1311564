/* Independent tasks on threads. */
#ifndef LAB_PARALLEL_H
#define LAB_PARALLEL_H

#include "beam/error.h"

/* worker: 0..threads-1, for what each thread owns. */
typedef beam_code lab_task(void *arg, int worker, int task, beam_error *err);

/* Runs tasks 0..count-1 on up to `threads` threads, the calling one among them, and waits for all.
 * After a failure no further task starts; returned is the failure of the lowest-numbered task that
 * failed. */
beam_code lab_parallel_run(int threads, int count, lab_task *run, void *arg, beam_error *err);

/* One core from here on, so that times do not include migrations; without leave to do so the spread
 * is wider, no more. */
void lab_stay_on_this_core(void);

#endif
