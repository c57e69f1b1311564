/* How good a model is on fresh scenes, how often the check had to step in, and how fast it is. */
#ifndef LAB_EVALUATE_MODEL_H
#define LAB_EVALUATE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "lab/model_file.h"

enum { LAB_TRACK_FRAMES_MOST = 10000 };

typedef struct lab_evaluate_options {
    int scenes, points, refine; /* refine 0: the column is left out */
    int reference_points;       /* of the reference fronts */
    int threads;
    int family; /* -1: all, one after the other */
    uint64_t seed;
    bool json;
    bool timing; /* also the times */
    int frames;  /* of a track, at most LAB_TRACK_FRAMES_MOST */
} lab_evaluate_options;

/* Prints tables, or one JSON object. */
beam_code lab_evaluate_model(const lab_model *model, const lab_evaluate_options *options,
                             beam_error *err);
/* Warm starts on 1 kHz tracks: quality against layers used. */
beam_code lab_evaluate_track(const lab_model *model, const lab_evaluate_options *options,
                             beam_error *err);

#endif
