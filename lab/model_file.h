/* Model files of the tools. */
#ifndef LAB_MODEL_FILE_H
#define LAB_MODEL_FILE_H

#include "beam/network.h"

typedef struct lab_model {
    beam_model *model; /* read only */
    void *memory;
    char source[4096]; /* the file, or "built in" */
} lab_model;

/* Reads and checks a file. NULL: *err says why. */
lab_model *lab_model_read(const char *path, beam_error *err);
/* `path`, or without one (NULL) the model built into the program. */
lab_model *lab_model_default(const char *path, beam_error *err);
void lab_model_destroy(lab_model **self);

/* Writes a model beside `path` and renames it, so that the old one stays until the new one is
 * whole. Sets info->checksum. */
beam_code lab_model_write(const char *path, beam_model_info *info, const float *weights,
                          beam_error *err);

#endif
