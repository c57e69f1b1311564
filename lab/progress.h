/* How far long work has come, on stderr: a line that rewrites itself on a terminal, a line every
 * ten seconds elsewhere. Safe to step from several threads. */
#ifndef LAB_PROGRESS_H
#define LAB_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct lab_progress {
    const char *label;
    int total;
    _Atomic int done;
    _Atomic int64_t next_ns; /* earliest time of the next line */
    int64_t start_ns;
    int terminal;
} lab_progress;

void lab_progress_start(lab_progress *self, const char *label, int total);
void lab_progress_step(lab_progress *self);
void lab_progress_set(lab_progress *self, int done);
void lab_progress_end(lab_progress *self);

/* CLOCK_MONOTONIC, or after lab_clock_use_cpu the processor time of this process: for measuring on
 * a machine that others use as well. */
int64_t lab_clock_ns(void);
void lab_clock_use_cpu(void);

#endif
