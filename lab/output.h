/* Files that appear whole or not at all: written beside `path` and renamed on commit, so that no
 * reader meets half a file and a failed run leaves the old one. "-" and paths that exist but are no
 * regular file are written directly. */
#ifndef LAB_OUTPUT_H
#define LAB_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "beam/error.h"

typedef struct lab_output {
    FILE *file; /* write here */
    char path[4096];
    char temporary[4096 + 32]; /* empty: written directly */
} lab_output;

beam_code lab_output_open(lab_output *self, const char *path, beam_error *err);
/* Closes; the file then stands under its name, or the error says why not. */
beam_code lab_output_commit(lab_output *self, beam_error *err);
/* Closes and removes what was written. */
void lab_output_abandon(lab_output *self);

#endif
