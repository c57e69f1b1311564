/* The device behind the worker's seam, over libbeamgpu. Batches are spread over the rooms that
 * their problems are of; every room has several parts of batches on the device at once, so that the
 * copies of one overlap with the kernel of another. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker/cuda.h"

#ifndef BEAMG_CUDA_NAME
#define BEAMG_CUDA_NAME "cuda"
#endif

enum { NO_ROOM = 255 };

/* Rooms and the weights that they were made with. */
typedef struct cuda_rooms {
    beamg_cuda_room room[BEAMG_ROOMS_MAX];
    unsigned rooms;
    beamg_room asked[BEAMG_ROOMS_MAX]; /* what the setup said, an mlp has a room for some only */
    unsigned asks;
    beam_model_kind kind;
    int layers, width;
} cuda_rooms;

/* A batch of which not everything is on the device yet. */
typedef struct cuda_wait {
    beamg_job *job;
    uint32_t next[BEAMG_ROOMS_MAX]; /* problem to go on with, of each room */
} cuda_wait;

typedef struct cuda {
    int device, done_fd;
    cuda_rooms now;
    uint8_t *room[BEAMG_SLOTS_MAX]; /* by slot: the room of each problem, NO_ROOM */
    cuda_wait wait[BEAMG_SLOTS_MAX];
    unsigned waits;
    beamg_job *inside[BEAMG_SLOTS_MAX]; /* by slot: NULL or a batch that is not done */
    beamg_done done;
    bool broken;
    char why[BEAMG_TEXT_BYTES];
} cuda;

/* What prepare hands to adopt. */
typedef struct cuda_next {
    bool rooms_stay;   /* a model of the same shape for the rooms there are */
    beamg_model model; /* until it is on the device */
    cuda_rooms rooms;
} cuda_next;

static int name_device(int device, char *text, size_t size)
{
    const beam_gpu_options options = {.clusters_max = 1, .slots = 1};
    beam_gpu *gpu = NULL;
    beam_gpu_info info;
    beam_gpu_error err = {.code = BEAM_GPU_OK};
    beam_gpu_code code = beam_gpu_create(&gpu, device, &options, &err);
    code = code ? code : beam_gpu_info_of(gpu, &info, &err);
    beam_gpu_destroy(gpu);
    if (code != BEAM_GPU_OK) {
        return beamg_refuse(beamg_cuda_exit(code), text, size, "%s", err.text);
    }
    return beamg_refuse(0, text, size, "%s (sm_%d%d)", info.device, info.compute_major,
                        info.compute_minor);
}

static int cuda_probe(char *text, size_t size)
{
    beam_gpu_error err = {.code = BEAM_GPU_OK};
    const int count = beam_gpu_devices(&err);
    int usable = 0;
    if (count == 0) {
        return beamg_refuse(BEAMG_EXIT_ABSENT, text, size, "%s", err.text);
    }
    int used = snprintf(text, size, "%d device%s", count, count == 1 ? "" : "s");
    for (int i = 0; i < count; i++) {
        char name[BEAMG_TEXT_BYTES];
        usable += name_device(i, name, sizeof name) == 0;
        if (used > 0 && (size_t)used < size) {
            used += snprintf(text + used, size - (size_t)used, "%s %d: %s", i == 0 ? ":" : ",", i,
                             name);
        }
    }
    return usable > 0 ? 0 : BEAMG_EXIT_ABSENT;
}

static void cuda_close(void *object)
{
    cuda *self = object;
    for (unsigned i = 0; i < self->now.rooms; i++) {
        beamg_cuda_room_free(&self->now.room[i]);
    }
    for (int i = 0; i < BEAMG_SLOTS_MAX; i++) {
        free(self->room[i]);
    }
    if (self->done_fd >= 0) {
        (void)close(self->done_fd);
    }
    free(self);
}

static int cuda_open(void **out, const beamg_setup *setup, char *device, char *why, size_t size)
{
    beam_gpu_error err = {.code = BEAM_GPU_OK};
    const int count = beam_gpu_devices(&err);
    if (count == 0) {
        return beamg_refuse(BEAMG_EXIT_ABSENT, why, size, "%s", err.text);
    }
    if (setup->device < 0 || setup->device >= count) {
        return beamg_refuse(BEAMG_EXIT_ABSENT, why, size, "no CUDA device %d: there %s %d",
                            setup->device, count == 1 ? "is" : "are", count);
    }
    const int code = name_device(setup->device, device, BEAMG_TEXT_BYTES);
    if (code != 0) {
        return beamg_refuse(code, why, size, "%s", device);
    }
    cuda *self = calloc(1, sizeof *self);
    if (!self) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "no memory");
    }
    self->device = setup->device;
    self->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool made = self->done_fd > 0;
    for (int i = 0; i < BEAMG_SLOTS_MAX; i++) {
        self->room[i] = malloc(BEAMG_PROBLEMS_MAX);
        made = made && self->room[i];
    }
    if (!made) {
        beamg_refuse(0, why, size, "no memory or descriptor: %s", strerror(errno));
        cuda_close(self);
        return BEAMG_EXIT_CONFIG;
    }
    *out = self;
    return 0;
}

/* --- Setups --- */

static void free_rooms(cuda_rooms *rooms)
{
    for (unsigned i = 0; i < rooms->rooms; i++) {
        beamg_cuda_room_free(&rooms->room[i]);
    }
    rooms->rooms = 0;
}

static bool same_rooms(const cuda_rooms *a, const cuda_rooms *b)
{
    return a->kind == b->kind && a->layers == b->layers && a->width == b->width &&
           a->asks == b->asks && memcmp(a->asked, b->asked, a->asks * sizeof a->asked[0]) == 0;
}

/* An mlp is of one size. */
static bool room_wanted(const beamg_room *room, const beam_model_info *info)
{
    const beamg_dims *d = &room->dims;
    return info->kind != BEAM_MODEL_MLP ||
           (d->stations == info->stations && d->antennas == info->antennas &&
            d->users == info->users && d->targets == info->targets);
}

static int make_rooms(const cuda *self, cuda_rooms *rooms, const beam_model *model, char *why,
                      size_t size)
{
    const beam_model_info *info = beam_model_info_of(model);
    for (unsigned i = 0; i < rooms->asks; i++) {
        if (!room_wanted(&rooms->asked[i], info)) {
            continue;
        }
        const int code = beamg_cuda_room_make(&rooms->room[rooms->rooms], &rooms->asked[i],
                                              self->device, self->done_fd, model, why, size);
        if (code != 0) {
            free_rooms(rooms);
            return code;
        }
        rooms->rooms++;
    }
    return 0;
}

static int cuda_prepare(void *object, const beamg_setup *setup, void **out, char *why, size_t size)
{
    const cuda *self = object;
    cuda_next *next = calloc(1, sizeof *next);
    if (!next) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "no memory");
    }
    int code = beamg_model_read(setup, &next->model, why, size);
    if (code == 0) {
        const beam_model_info *info = beam_model_info_of(next->model.model);
        cuda_rooms *rooms = &next->rooms;
        rooms->kind = info->kind;
        rooms->layers = info->layers;
        rooms->width = info->width;
        rooms->asks = setup->rooms < BEAMG_ROOMS_MAX ? setup->rooms : BEAMG_ROOMS_MAX;
        memcpy(rooms->asked, setup->room, sizeof rooms->asked);
        next->rooms_stay = self->now.rooms > 0 && same_rooms(&self->now, rooms);
        if (!next->rooms_stay) {
            code = make_rooms(self, rooms, next->model.model, why, size);
        }
    }
    if (code != 0) {
        beamg_model_free(&next->model);
        free(next);
        return code;
    }
    *out = next;
    return 0;
}

/* --- Batches --- */

static void leave(cuda *self, beamg_job *job, beamg_status status)
{
    self->inside[job->slot] = NULL;
    job->status = status;
    beamg_done_put(&self->done, job);
}

/* The device is lost, and everything on it. */
static void break_down(cuda *self, const beam_gpu_error *err)
{
    if (!self->broken) {
        self->broken = true;
        beamg_refuse(0, self->why, sizeof self->why, "%s", err->text);
    }
    self->waits = 0;
    for (int i = 0; i < BEAMG_SLOTS_MAX; i++) {
        if (self->inside[i]) {
            memcpy(self->inside[i]->why, self->why, sizeof self->why);
            leave(self, self->inside[i], BEAMG_BROKEN);
        }
    }
}

static void leave_if_done(cuda *self, beamg_job *job)
{
    if (job->open == 0 && self->inside[job->slot] == job) {
        leave(self, job, BEAMG_OK);
    }
}

/* Starts what can be of waiting batches, the older one first; *full: rooms without a place. False:
 * the device is lost. */
static bool start_waiting(cuda *self, cuda_wait *w, bool *full, beam_gpu_error *err)
{
    for (unsigned k = 0; k < self->now.rooms; k++) {
        while (!full[k] && w->next[k] < w->job->request.head.problems) {
            const beam_gpu_code code = beamg_cuda_room_start(
                &self->now.room[k], w->job, self->room[w->job->slot], (uint8_t)k, &w->next[k], err);
            if (code != BEAM_GPU_OK && code != BEAM_GPU_E_BUSY) {
                return false;
            }
            full[k] = code == BEAM_GPU_E_BUSY;
        }
    }
    return true;
}

static bool all_started(const cuda *self, const cuda_wait *w)
{
    for (unsigned k = 0; k < self->now.rooms; k++) {
        if (w->next[k] < w->job->request.head.problems) {
            return false;
        }
    }
    return true;
}

static void pump(cuda *self)
{
    bool full[BEAMG_ROOMS_MAX] = {false};
    beam_gpu_error err = {.code = BEAM_GPU_OK};
    unsigned kept = 0;
    for (unsigned i = 0; i < self->waits; i++) {
        if (!start_waiting(self, &self->wait[i], full, &err)) {
            break_down(self, &err);
            return;
        }
        if (all_started(self, &self->wait[i])) {
            leave_if_done(self, self->wait[i].job); /* nothing of it had to be computed */
        } else {
            self->wait[kept++] = self->wait[i];
        }
    }
    self->waits = kept;
}

/* The room of every problem; those without one are answered. */
static void assign_rooms(cuda *self, beamg_job *job)
{
    const beamg_request *request = &job->request;
    const beam_result none = {.status = BEAM_STATUS_NUMERIC};
    uint32_t scene = UINT32_MAX;
    uint8_t room = NO_ROOM;
    job->open = request->head.problems;
    job->served = 0;
    for (uint32_t p = 0; p < request->head.problems; p++) {
        if (request->problem[p].scene != scene) {
            scene = request->problem[p].scene;
            room = NO_ROOM;
            for (unsigned k = 0; room == NO_ROOM && k < self->now.rooms; k++) {
                room =
                    beamg_cuda_room_fits(&self->now.room[k], request, scene) ? (uint8_t)k : NO_ROOM;
            }
        }
        self->room[job->slot][p] = room;
        job->served += room != NO_ROOM;
        if (room == NO_ROOM) {
            beamg_answer_put(&job->answer, p, BEAM_E_LIMIT, NULL, &none, INFINITY);
            job->open--;
        }
    }
}

static void cuda_submit(void *object, beamg_job *job)
{
    cuda *self = object;
    self->inside[job->slot] = job;
    if (self->broken) {
        memcpy(job->why, self->why, sizeof job->why);
        leave(self, job, BEAMG_BROKEN);
        return;
    }
    assign_rooms(self, job);
    if (job->served == 0) {
        beam_scene view;
        beamg_request_scene(&job->request, job->request.problem[0].scene, &view);
        beamg_refuse(0, job->why, sizeof job->why,
                     "no room for %d stations, %d antennas, %d users, %d targets",
                     view.dims.stations, view.dims.antennas, view.dims.users, view.dims.targets);
        leave(self, job, BEAMG_UNPREPARED);
        return;
    }
    self->wait[self->waits++] = (cuda_wait){.job = job};
    pump(self);
}

/* Takes what is done; wait: at least one part where there is any. False: there was none. */
static bool finish_parts(cuda *self, bool wait)
{
    bool any = false;
    for (unsigned k = 0; k < self->now.rooms && !self->broken; k++) {
        beam_gpu_error err = {.code = BEAM_GPU_OK};
        beam_gpu_code code = BEAM_GPU_OK;
        while (code == BEAM_GPU_OK) {
            beamg_job *job = NULL;
            code = beamg_cuda_room_finish(&self->now.room[k], wait && !any, &job, &err);
            if (code == BEAM_GPU_OK) {
                any = true;
                leave_if_done(self, job);
            }
        }
        if (code != BEAM_GPU_E_BUSY) {
            break_down(self, &err);
        }
    }
    return any;
}

static beamg_job *cuda_collect(void *object)
{
    cuda *self = object;
    if (!self->done.first) {
        eventfd_t count;
        (void)eventfd_read(self->done_fd, &count);
        if (finish_parts(self, false)) {
            pump(self);
        }
    }
    return beamg_done_take(&self->done);
}

static int cuda_done_fd(const void *object)
{
    return ((const cuda *)object)->done_fd;
}

/* Until nothing waits (only_waiting) or nothing is on the device either. */
static void drain(cuda *self, bool only_waiting)
{
    while (!self->broken && (self->waits > 0 || !only_waiting)) {
        if (!finish_parts(self, true)) {
            return;
        }
        pump(self);
    }
}

static int cuda_adopt(void *object, void *from, char *why, size_t size)
{
    cuda *self = object;
    cuda_next *next = from;
    beam_gpu_error err = {.code = BEAM_GPU_OK};
    beam_gpu_code code = BEAM_GPU_OK;
    drain(self, next->rooms_stay);
    if (next->rooms_stay) {
        for (unsigned i = 0; code == BEAM_GPU_OK && i < self->now.rooms && !self->broken; i++) {
            code = beamg_cuda_room_model(&self->now.room[i], next->model.model, &err);
        }
    } else {
        free_rooms(&self->now);
        self->now = next->rooms;
    }
    beamg_model_free(&next->model);
    free(next);
    if (code != BEAM_GPU_OK) { /* some rooms have the new weights and some the old */
        break_down(self, &err);
    }
    return self->broken ? beamg_refuse(BEAMG_EXIT_DEVICE, why, size, "%s", self->why) : 0;
}

const beamg_backend beamg_backend_cuda = {
    .name = BEAMG_CUDA_NAME,
    .probe = cuda_probe,
    .open = cuda_open,
    .prepare = cuda_prepare,
    .adopt = cuda_adopt,
    .submit = cuda_submit,
    .collect = cuda_collect,
    .done_fd = cuda_done_fd,
    .close = cuda_close,
};
