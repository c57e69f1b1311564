/* beam_gpu_figure5: how long paper mode, the default solver and the network take to come near the
 * best known merit, on the CPU and on the device, in one run (lab/figure5.h). Exit status: 0, 2 a
 * call failed, 77 no device. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beam/gpu.h"
#include "lab/figure5.h"
#include "lab/parallel.h"
#include "network/model.h"

enum { FAILED = 2, SKIPPED = 77 };

static const char usage[] =
    "usage: beam_gpu_figure5 [--golden DIR] [--scenes N] [--preferences N] [--repeats N]\n"
    "                        [--paper-iterations N] [--seed N] [--lines FILE] [--device D]\n"
    "                        [--no-refine]\n"
    "As `beamlab figure 5` (docs/beamlab.md), with the network on the device as two more methods.\n"
    "--no-refine: without refinement on the device.\n";

typedef struct words {
    lab_figure5_options figure;
    const char *lines;
    int device;
    bool refine;
} words;

/* --- The device behind lab_figure5_device ----------------------------------------------------- */

typedef struct gpu {
    const words *words;
    beam_gpu *gpu;
    int most;
    const beam_scene **scene;
    beam_ideal *ideal;
    beam_gpu_request *requests;
    beam_gpu_answer *answers;
} gpu;

static beam_code fail(const beam_gpu_error *from, beam_error *err)
{
    return beam_fail(err, BEAM_E_NUMERIC, "device", "%s", from->text);
}

static beam_code gpu_open(void *arg, int scenes, const beam_scene *const *scene,
                          const beam_ideal *ideal, const beam_design *const *sensing, int most,
                          beam_error *err)
{
    gpu *self = arg;
    const beam_model *model = self->words->figure.network->model;
    beam_gpu_error e = {0};
    const beam_gpu_options options = {.clusters_max = scenes, .slots = 1, .spin = 1};
    self->most = most;
    self->scene = calloc((size_t)scenes, sizeof *self->scene);
    self->ideal = calloc((size_t)scenes, sizeof *self->ideal);
    self->requests = calloc((size_t)most, sizeof *self->requests);
    self->answers = calloc((size_t)most, sizeof *self->answers);
    if (!self->scene || !self->ideal || !self->requests || !self->answers) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    if (beam_gpu_create(&self->gpu, self->words->device, &options, &e) ||
        beam_gpu_load_model(self->gpu, model->info.layers, model->info.width, model->theta, &e) ||
        beam_gpu_prepare(self->gpu, &scene[0]->dims, 0, most, &e)) {
        return fail(&e, err);
    }
    for (int i = 0; i < scenes; i++) {
        self->scene[i] = scene[i];
        self->ideal[i] = ideal[i];
        if (beam_gpu_set_cluster(self->gpu, i, scene[i], sensing[i], &e)) {
            return fail(&e, err);
        }
    }
    return BEAM_OK;
}

static beam_code gpu_run(void *arg, int count, const lab_figure5_request *requests, beam_error *err)
{
    gpu *self = arg;
    beam_gpu_error e = {0};
    int slot;
    for (int i = 0; i < count; i++) {
        const lab_figure5_request *r = &requests[i];
        self->requests[i] = (beam_gpu_request){.cluster = r->scene,
                                               .scene = self->scene[r->scene],
                                               .ideal = self->ideal[r->scene],
                                               .tradeoff = r->tradeoff,
                                               .layers = r->layers,
                                               .refine = r->refine};
        self->answers[i] = (beam_gpu_answer){.out = r->out};
    }
    if (beam_gpu_submit(self->gpu, count, self->requests, &slot, &e) ||
        beam_gpu_collect(self->gpu, slot, 1, self->answers, &e)) {
        return fail(&e, err);
    }
    for (int i = 0; i < count; i++) {
        if (self->answers[i].choice == BEAM_GPU_CHOICE_NONE) {
            return beam_fail(err, BEAM_E_NUMERIC, "device", "request %d has no answer", i);
        }
    }
    return BEAM_OK;
}

static void gpu_close(gpu *self)
{
    beam_gpu_destroy(self->gpu);
    free(self->scene);
    free(self->ideal);
    free(self->requests);
    free(self->answers);
}

/* --- Words ------------------------------------------------------------------------------------ */

static bool number(const char *text, long low, long high, int *out)
{
    char *end;
    const long value = strtol(text, &end, 10);
    *out = (int)value;
    return end != text && *end == 0 && value >= low && value <= high;
}

static bool set_option(words *w, int key, const char *text)
{
    lab_figure5_options *o = &w->figure;
    int seed;
    switch (key) {
    case 'g':
        o->golden = text;
        return true;
    case 's':
        return number(text, 1, 1000, &o->scenes);
    case 'p':
        return number(text, 1, 1000, &o->preferences);
    case 'r':
        return number(text, 1, 1000, &o->repeats);
    case 'i':
        return number(text, 1, 1000000, &o->paper_iterations);
    case 'e':
        return number(text, 0, 1 << 30, &seed) && ((o->seed = (uint64_t)seed), true);
    case 'l':
        w->lines = text;
        return true;
    case 'd':
        return number(text, 0, 64, &w->device);
    case 'n':
        w->refine = false;
        return true;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, words *w)
{
    static const struct option known[] = {{"golden", required_argument, NULL, 'g'},
                                          {"scenes", required_argument, NULL, 's'},
                                          {"preferences", required_argument, NULL, 'p'},
                                          {"repeats", required_argument, NULL, 'r'},
                                          {"paper-iterations", required_argument, NULL, 'i'},
                                          {"seed", required_argument, NULL, 'e'},
                                          {"lines", required_argument, NULL, 'l'},
                                          {"device", required_argument, NULL, 'd'},
                                          {"no-refine", no_argument, NULL, 'n'},
                                          {NULL, 0, NULL, 0}};
    int key;
    while ((key = getopt_long(argc, argv, "", known, NULL)) >= 0) {
        if (!set_option(w, key, optarg)) {
            return false;
        }
    }
    return optind == argc;
}

/* --- All -------------------------------------------------------------------------------------- */

static int write_lines(const lab_figure5 *figure, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        perror(path);
        return FAILED;
    }
    lab_figure5_write_lines(figure, file);
    if (fclose(file)) {
        perror(path);
        return FAILED;
    }
    return 0;
}

static int run(words *w)
{
    beam_error err = {0};
    gpu device = {.words = w};
    const lab_figure5_device seam = {
        .self = &device, .refines = w->refine, .open = gpu_open, .run = gpu_run};
    lab_model *model = lab_model_default(NULL, &err);
    if (!model) {
        fprintf(stderr, "beam_gpu_figure5: %s\n", err.text);
        return FAILED;
    }
    w->figure.network = model;
    w->figure.device = &seam;
    w->figure.command = "beam_gpu_figure5";
    lab_stay_on_this_core();
    int rc = 0;
    lab_figure5 *figure = lab_figure5_compute(&w->figure, &err);
    if (!figure) {
        fprintf(stderr, "beam_gpu_figure5: %s: %s\n", err.field, err.text);
        rc = FAILED;
    } else {
        lab_figure5_report(figure);
        rc = w->lines ? write_lines(figure, w->lines) : 0;
    }
    lab_figure5_destroy(&figure);
    gpu_close(&device);
    lab_model_destroy(&model);
    return rc;
}

int main(int argc, char **argv)
{
    beam_gpu_error err = {0};
    words w = {.figure = lab_figure5_options_default(), .refine = true};
    if (!parse(argc, argv, &w)) {
        fputs(usage, stderr);
        return FAILED;
    }
    if (beam_gpu_devices(&err) == 0) {
        printf("skipped: %s\n", err.text);
        return SKIPPED;
    }
    return run(&w);
}
