/* What all parts of beamload share: the error, the clock, durations for people. */
#ifndef BEAMLOAD_LOAD_H
#define BEAMLOAD_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAD_EXIT_OK = 0, LOAD_EXIT_BROKEN = 1, LOAD_EXIT_USAGE = 2 };

typedef struct load_error {
    char text[384]; /* one sentence, no newline */
} load_error;

/* Fills *err and returns -1. */
__attribute__((format(printf, 2, 3))) int load_fail(load_error *err, const char *format, ...);

/* CLOCK_MONOTONIC, the clock of the daemon's instants too when it is on this machine. */
uint64_t load_now_ns(void);
void load_sleep_until(uint64_t at_ns);

/* splitmix64: every seed is a good one, streams of different seeds are independent. */
uint64_t load_random_bits(uint64_t *state);
double load_random_uniform(uint64_t *state); /* in (0, 1) */

/* A resident size in KiB from /proc/PID/status, 0 where it cannot be read. */
uint64_t load_resident_kib(long pid);

/* SIGINT or SIGTERM came. */
void load_catch_signals(void);
bool load_stop_asked(void);

#endif
