#include "lab/train_recorded.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/lanes.h"

enum { HELD_OUT_EVERY = 8, FILES_MAX = 1 << 20 };

struct lab_recorded {
    int count, capacity;
    lab_scene **scenes; /* for training, those of one shape together */
    int held_count, held_capacity;
    lab_scene **held;
    int groups, group_capacity;
    int (*ranges)[3]; /* of each group: first scene of its shape, scenes of its shape, offset */
};

static int is_scene_file(const struct dirent *entry)
{
    const size_t size = strlen(entry->d_name);
    return size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
}

/* Equal for scenes that may share a block: sizes and users per station. */
static int compare_shapes(const lab_scene *a, const lab_scene *b)
{
    const beam_scene *s = &a->scene, *t = &b->scene;
    int order = memcmp(&s->dims, &t->dims, sizeof s->dims);
    for (int l = 0; order == 0 && l < s->dims.stations; l++) {
        for (int u = 0; u < s->dims.users; u++) {
            order += (s->user_station[u] == l) - (t->user_station[u] == l);
        }
    }
    return order;
}

static int by_shape(const void *a, const void *b)
{
    const lab_scene *const *x = a, *const *y = b;
    const int order = compare_shapes(*x, *y);
    return order != 0 ? order : strcmp((*x)->name, (*y)->name);
}

static beam_code append(lab_scene ***list, int *count, int *capacity, lab_scene *scene,
                        beam_error *err)
{
    if (*count == *capacity) {
        const int more = *capacity > 0 ? 2 * *capacity : 64;
        lab_scene **grown = realloc(*list, (size_t)more * sizeof *grown);
        if (!grown) {
            return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        }
        *list = grown;
        *capacity = more;
    }
    (*list)[(*count)++] = scene;
    return BEAM_OK;
}

static beam_code read_file(lab_recorded *self, const char *folder, const char *name, bool held,
                           beam_error *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        return beam_fail(err, BEAM_E_LIMIT, "scenes", "a path is too long");
    }
    beam_error why = {.code = BEAM_OK};
    lab_scene *scene = lab_scene_read(path, &why);
    if (!scene) {
        return beam_fail(err, why.code, name, "%s: %.40s: %.150s", name, why.field, why.text);
    }
    if (scene->scene.sensing != BEAM_SENSING_RESOLVED) {
        lab_scene_destroy(&scene);
        return beam_fail(err, BEAM_E_UNSUPPORTED, name,
                         "%s: the network is trained on the resolved sensing model only", name);
    }
    snprintf(scene->name, sizeof scene->name, "%s", name);
    const beam_code code =
        held ? append(&self->held, &self->held_count, &self->held_capacity, scene, err)
             : append(&self->scenes, &self->count, &self->capacity, scene, err);
    if (code) {
        lab_scene_destroy(&scene);
    }
    return code;
}

static beam_code make_groups(lab_recorded *self, beam_error *err)
{
    qsort(self->scenes, (size_t)self->count, sizeof *self->scenes, by_shape);
    /* at most one group per scene */
    self->ranges = calloc((size_t)self->count, sizeof *self->ranges);
    if (!self->ranges) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    for (int first = 0, next; first < self->count; first = next) {
        for (next = first + 1;
             next < self->count && compare_shapes(self->scenes[first], self->scenes[next]) == 0;
             next++) {
        }
        for (int offset = 0; offset < next - first; offset += BEAM_LANES) {
            int *range = self->ranges[self->groups++];
            range[0] = first;
            range[1] = next - first;
            range[2] = offset;
        }
    }
    return BEAM_OK;
}

lab_recorded *lab_recorded_read(const char *folder, bool held_out, beam_error *err)
{
    struct dirent **names = NULL;
    lab_recorded *self = calloc(1, sizeof *self);
    const int files = self ? scandir(folder, &names, is_scene_file, alphasort) : 0;
    beam_code code = BEAM_OK;
    if (!self) {
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        return NULL;
    }
    if (files <= 0 || files > FILES_MAX) {
        code = beam_fail(err, BEAM_E_INVALID, "scenes", "%s: %s", folder,
                         files < 0    ? "cannot be read"
                         : files == 0 ? "has no file *.json"
                                      : "has too many files");
    }
    for (int i = 0; i < files; i++) {
        if (!code) {
            const bool held = held_out && i % HELD_OUT_EVERY == HELD_OUT_EVERY - 1;
            code = read_file(self, folder, names[i]->d_name, held, err);
        }
        free(names[i]);
    }
    free(names);
    code = code ? code : make_groups(self, err);
    if (code) {
        lab_recorded_destroy(&self);
    }
    return self;
}

void lab_recorded_destroy(lab_recorded **self)
{
    lab_recorded *s = *self;
    if (!s) {
        return;
    }
    for (int i = 0; i < s->count; i++) {
        lab_scene_destroy(&s->scenes[i]);
    }
    for (int i = 0; i < s->held_count; i++) {
        lab_scene_destroy(&s->held[i]);
    }
    free(s->scenes);
    free(s->held);
    free(s->ranges);
    free(s);
    *self = NULL;
}

int lab_recorded_groups(const lab_recorded *self)
{
    return self->groups;
}

static void raise(int *most, int value)
{
    *most = value > *most ? value : *most;
}

beam_dims lab_recorded_most(const lab_recorded *self)
{
    beam_dims most = {1, 1, 0, 1};
    for (int i = 0; i < self->count; i++) {
        const beam_dims *d = &self->scenes[i]->scene.dims;
        raise(&most.stations, d->stations);
        raise(&most.antennas, d->antennas);
        raise(&most.users, d->users);
        raise(&most.targets, d->targets);
    }
    return most;
}

static lab_scene *clone(const lab_scene *scene, beam_error *err)
{
    lab_scene *copy = lab_scene_create(&scene->scene.dims, err);
    if (copy && beam_scene_copy(&copy->scene, &scene->scene, err)) {
        lab_scene_destroy(&copy);
    }
    return copy;
}

/* 1 - rho log-uniform from 1e-4 to 1e-2, the same for all links. */
static void step(beam_scene *s, lab_random *random)
{
    const double rho = 1 - 1e-4 * pow(100, lab_random_uniform(random));
    const size_t N = (size_t)s->dims.antennas,
                 links = (size_t)s->dims.stations * (size_t)s->dims.users;
    for (size_t i = 0; i < links; i++) {
        beam_complex *h = s->channel + i * N;
        double sum = 0;
        for (size_t n = 0; n < N; n++) {
            sum += h[n].re * h[n].re + h[n].im * h[n].im;
        }
        const double size = sqrt((1 - rho * rho) * sum / (2 * (double)N));
        for (size_t n = 0; n < N; n++) {
            const beam_complex w = lab_random_gaussian(random);
            h[n].re = rho * h[n].re + size * w.re;
            h[n].im = rho * h[n].im + size * w.im;
        }
    }
}

beam_code lab_recorded_frames(const lab_recorded *self, int group, int lane, lab_random *random,
                              lab_scene *frames[2], beam_error *err)
{
    const int *range = self->ranges[group];
    const lab_scene *scene = self->scenes[range[0] + (range[2] + lane) % range[1]];
    frames[0] = clone(scene, err);
    frames[1] = frames[0] ? clone(scene, err) : NULL;
    if (!frames[1]) {
        lab_scene_destroy(&frames[0]);
        return err->code;
    }
    step(&frames[1]->scene, random);
    return BEAM_OK;
}

int lab_recorded_held_out(const lab_recorded *self)
{
    return self->held_count;
}

lab_scene *lab_recorded_held_out_scene(const lab_recorded *self, int index, beam_error *err)
{
    return clone(self->held[index], err);
}
