#include "common/owned.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *test_memory(size_t size)
{
    void *memory = aligned_alloc(64, (size + 64u) & ~(size_t)63u);
    if (!memory) {
        fprintf(stderr, "no memory for %zu bytes\n", size);
        exit(1);
    }
    return memory;
}

void test_must(beam_code code, const beam_error *err, const char *what)
{
    if (code != BEAM_OK) {
        fprintf(stderr, "%s: error %d: %s: %s\n", what, (int)code, err->field, err->text);
        exit(1);
    }
}

/* The object and its memory side by side, so that one free() ends both. */
typedef struct owned_scene {
    beam_scene scene;
    void *memory;
} owned_scene;

typedef struct owned_design {
    beam_design design;
    void *memory;
} owned_design;

beam_scene *test_scene_new(const beam_dims *dims)
{
    beam_error err = {0};
    test_must(beam_dims_check(dims, &err), &err, "scene sizes");
    owned_scene *owned = test_memory(sizeof *owned);
    const size_t size = beam_scene_memsize(dims);
    owned->memory = test_memory(size);
    test_must(beam_scene_init(&owned->scene, dims, owned->memory, size, &err), &err, "scene");
    return &owned->scene;
}

beam_scene *test_scene_clone(const beam_scene *scene)
{
    beam_error err = {0};
    beam_scene *copy = test_scene_new(&scene->dims);
    test_must(beam_scene_copy(copy, scene, &err), &err, "copy of a scene");
    return copy;
}

void test_scene_free(beam_scene *scene)
{
    if (scene) {
        free(((owned_scene *)scene)->memory);
        free(scene);
    }
}

beam_design *test_design_new(const beam_dims *dims, int sensing_max)
{
    beam_error err = {0};
    const int columns = sensing_max < 0 ? beam_design_sensing_max(dims) : sensing_max;
    const size_t size = beam_design_memsize(dims, columns);
    owned_design *owned = test_memory(sizeof *owned);
    owned->memory = test_memory(size);
    test_must(beam_design_init(&owned->design, dims, columns, owned->memory, size, &err), &err,
              "design");
    return &owned->design;
}

beam_design *test_design_clone(const beam_design *design)
{
    beam_error err = {0};
    beam_design *copy = test_design_new(&design->dims, design->sensing_max);
    test_must(beam_design_copy(copy, design, &err), &err, "copy of a design");
    return copy;
}

void test_design_free(beam_design *design)
{
    if (design) {
        free(((owned_design *)design)->memory);
        free(design);
    }
}

/* Evaluators and solvers lie at the start of the block they were given? Not promised: the block is
 * kept beside. */
typedef struct owned_object {
    void *object, *memory;
    struct owned_object *next;
} owned_object;
static owned_object *objects;

void test_object_keep(void *object, void *memory)
{
    owned_object *entry = test_memory(sizeof *entry);
    *entry = (owned_object){object, memory, objects};
    objects = entry;
}

void test_object_free(void *object)
{
    for (owned_object **at = &objects; *at; at = &(*at)->next) {
        if ((*at)->object == object) {
            owned_object *entry = *at;
            *at = entry->next;
            free(entry->memory);
            free(entry);
            return;
        }
    }
}

static double rows_inner(const beam_complex *a, const beam_complex *b, size_t count)
{
    double sum = 0;
    for (size_t n = 0; n < count; n++) {
        sum += a[n].re * b[n].re + a[n].im * b[n].im;
    }
    return sum;
}

double test_design_inner(const beam_design *a, const beam_design *b)
{
    const size_t N = (size_t)a->dims.antennas;
    double sum = rows_inner(a->beams, b->beams, (size_t)a->dims.users * N);
    for (int l = 0; l < a->dims.stations; l++) {
        for (int k = 0; k < a->sensing_count[l]; k++) {
            sum += rows_inner(test_sensing(a, l, k), test_sensing(b, l, k), N);
        }
    }
    return sum;
}

double test_design_norm(const beam_design *a)
{
    return sqrt(test_design_inner(a, a));
}

static void rows_step(beam_complex *to, const beam_complex *a, double t, const beam_complex *b,
                      size_t count)
{
    for (size_t n = 0; n < count; n++) {
        to[n] = (beam_complex){a[n].re + t * b[n].re, a[n].im + t * b[n].im};
    }
}

void test_design_step(beam_design *to, const beam_design *a, double t, const beam_design *b)
{
    const size_t N = (size_t)a->dims.antennas;
    rows_step(to->beams, a->beams, t, b->beams, (size_t)a->dims.users * N);
    for (int l = 0; l < a->dims.stations; l++) {
        to->sensing_count[l] = a->sensing_count[l];
        for (int k = 0; k < a->sensing_count[l]; k++) {
            rows_step(test_sensing(to, l, k), test_sensing(a, l, k), t, test_sensing(b, l, k), N);
        }
    }
}
