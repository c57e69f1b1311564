/* Benchmarks: one report, text while it runs and JSON at the end. */
#ifndef LAB_BENCH_H
#define LAB_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "beam/error.h"

typedef struct lab_bench_row {
    char section[32], name[96], unit[24];
    int count; /* samples */
    double median, p10, p90, p99;
    double target; /* the median must not exceed it (at_least: must reach it); NAN: none */
    bool at_least;
} lab_bench_row;

typedef struct lab_bench {
    int scenes; /* random scenes per measurement */
    int frames; /* of the moving track */
    int points; /* per front */
    uint64_t first_seed;
    const char *golden; /* folder of NAME.json and NAME.reference.json; NULL: none */
    const char *model;  /* file of the network's; NULL: the model built in */
    bool quiet;         /* no text */
    lab_bench_row *rows;
    int row_count, row_room;
} lab_bench;

/* Adds a row of samples (sorted in place) and prints it. */
beam_code lab_bench_add(lab_bench *self, const char *section, const char *name, const char *unit,
                        double *samples, int count, double target, beam_error *err);
/* One number. */
beam_code lab_bench_value(lab_bench *self, const char *section, const char *name, const char *unit,
                          double value, double target, beam_error *err);
/* One number that must reach `target`. */
beam_code lab_bench_least(lab_bench *self, const char *section, const char *name, const char *unit,
                          double value, double target, beam_error *err);
void lab_bench_title(const lab_bench *self, const char *section, const char *about);
beam_code lab_bench_write(const lab_bench *self, const char *command, const char *path,
                          beam_error *err);
void lab_bench_clear(lab_bench *self);
/* Processor and compiler. */
void lab_bench_machine(char *out, int size);

/* The sections. */
beam_code lab_bench_evaluate(lab_bench *self,
                             beam_error *err); /* exact numbers and gradients of a design */
beam_code lab_bench_solve(lab_bench *self, beam_error *err); /* one cold preference */
beam_code lab_bench_track(lab_bench *self, beam_error *err); /* warm, moving at 1 kHz */
beam_code lab_bench_front(lab_bench *self, beam_error *err); /* whole fronts */
beam_code lab_bench_sizes(lab_bench *self, beam_error *err); /* antennas and users */
beam_code lab_bench_golden(lab_bench *self,
                           beam_error *err); /* time and hypervolume on golden scenes */
beam_code lab_bench_repairs(lab_bench *self,
                            beam_error *err); /* mode paper with repairs on and off */
beam_code lab_bench_network(lab_bench *self, beam_error *err); /* the network's answers */
beam_code lab_bench_evidence(lab_bench *self,
                             beam_error *err); /* designs under the worst admissible error */

#endif
