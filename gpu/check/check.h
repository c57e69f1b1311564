/* What the parts of beam_gpu_check share: sizes, the scenes of a size with the engine's objects for
 * them, and lines of JSON. Needs nothing but the engine and beam/gpu.h, so that the same program
 * runs on a device and on the emulation. */
#ifndef BEAM_GPU_CHECK_H
#define BEAM_GPU_CHECK_H

#include <stdbool.h>

#include "beam/gpu.h"
#include "beam/network.h"
#include "common/random.h"

enum { CHECK_AGREED = 0, CHECK_DISAGREED = 1, CHECK_FAILED = 2, CHECK_SKIPPED = 77 };
enum { CHECK_BATCHES = 6 };

typedef struct check_size {
    const char *name;
    beam_dims dims;        /* of every scene; mixed: the largest */
    int users_per_station; /* even; 0: anywhere */
    bool mixed;            /* users and targets drawn up to the largest, all in the same batches */
    bool hostile;          /* minimum rates, silent channels and exact ones among the scenes */
    bool small;            /* for tools that make everything a hundred times slower */
    /* per problem, counted in docs/gpu.md; 0: not counted */
    double operations_float32, operations_float64;
    int batches[CHECK_BATCHES]; /* to time; 0 ends */
    double target_us;           /* for the last of them; 0: none */
    int mlp_layers, mlp_width;  /* the paper's network (mlp.c); 0: the model built in */
} check_size;

extern const check_size check_sizes[];
extern const int check_size_count;

typedef struct check_options {
    int cases, scenes, threads, device;
    double seconds;    /* of each measured rate */
    const char *size;  /* NULL: all */
    bool small, bench; /* only small sizes; times instead of agreement */
    bool cpu;          /* times of the engine on the CPU beside the device's */
    int batch_most;    /* no larger batches are timed */
    beam_gpu_precision perceptron;
    const char *perceptron_name;
} check_options;

/* One random scene, rounded to float32 channels, and the engine's objects for it. */
typedef struct check_scene {
    beam_scene *scene;
    beam_solver *solver;       /* loaded, prepared, ideal values set */
    beam_evaluator *evaluator; /* loaded */
    beam_design *sensing;
    beam_ideal ideal;
} check_scene;

/* What one thread needs. */
enum { CHECK_CPU_BATCH = 64 };
typedef struct check_thread {
    beam_inference *inference; /* batches of CHECK_CPU_BATCH */
} check_thread;

typedef struct check_work {
    const check_size *size;
    const check_options *options;
    const beam_model *model;
    beam_gpu *gpu;
    int batch; /* that the device is prepared for */
    int scenes, threads;
    check_scene *scene;   /* [scenes] */
    check_thread *thread; /* [threads] */
} check_work;

/* The model built into the program; ends it without one. */
const beam_model *check_model(void);
/* Of a size with mlp_layers. Does the library have such models? If not, a line that says why. */
const beam_model *check_mlp_model(const check_size *size);
bool check_mlp_available(const check_size *size, const check_options *options,
                         const beam_model *model);
/* Scenes on all threads, then the device: clusters, graphs. Ends the program when a call fails. */
check_work *check_work_new(const check_size *size, const check_options *options,
                           const beam_model *model, int batch, int slots);
void check_work_free(check_work *self);

/* Trade-off of case i: both ends, and all between. */
double check_tradeoff(int i);
/* As check_work_new has them; ends the program when a call fails. */
void check_run(check_work *self, int count, const beam_gpu_request *requests,
               beam_gpu_answer *answers);
/* Names the call; ends the program: CHECK_SKIPPED without a device, else CHECK_FAILED. */
void check_give_up(const char *what, const beam_gpu_error *err) __attribute__((noreturn));

/* work(arg, thread, index) for every index < count, in any order, on `threads` threads. */
typedef void check_job(void *arg, int thread, int index);
void check_parallel(int threads, int count, check_job *work, void *arg);

double check_now_s(void);
/* Sorted in place; q in [0, 1]. */
double check_quantile(double *values, int count, double q);

/* --- Parts ------------------------------------------------------------------------------------ */

bool check_agreement(check_work *self); /* agreement.c */
void check_bench(check_work *self);     /* bench.c */
/* Ways to reduce 137 problems of a size, where the library has them (reduction.c). */
void check_reduction(const check_size *size, const check_options *options);

#endif
