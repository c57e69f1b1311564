/* The engine on the CPU behind the worker's seam: real beams for tests of everything around them.
 * Scene after scene, all problems of one together. */
#include <stdlib.h>
#include <string.h>

#include "worker/backend.h"

enum { SCENE_PROBLEMS = 64 }; /* of one scene at a time */

typedef struct host_room {
    beam_dims dims;
    void *block[4];
    beam_solver *solver;
    beam_inference *inference;
    size_t design_bytes;
} host_room;

/* Model and rooms of a setup. */
typedef struct host_next {
    beamg_model model;
    host_room room[BEAMG_ROOMS_MAX];
    unsigned rooms;
} host_next;

typedef struct host {
    beamg_model model;
    host_room room[BEAMG_ROOMS_MAX];
    unsigned rooms;
    beamg_done done;
    beam_network_request request[SCENE_PROBLEMS];
    beam_inference_detail detail[SCENE_PROBLEMS];
    beam_result result[SCENE_PROBLEMS];
    beam_design warm[SCENE_PROBLEMS], out[SCENE_PROBLEMS];
    uint32_t asked[SCENE_PROBLEMS];
} host;

static int host_open(void **self, const beamg_setup *setup, char *device, char *why, size_t size)
{
    (void)setup;
    *self = calloc(1, sizeof(host));
    if (!*self) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "no memory");
    }
    memcpy(device, "the engine on the CPU", sizeof "the engine on the CPU");
    return 0;
}

static void free_room(host_room *room)
{
    for (size_t i = 0; i < sizeof room->block / sizeof room->block[0]; i++) {
        free(room->block[i]);
    }
    *room = (host_room){.solver = NULL};
}

static void *block(size_t bytes)
{
    const size_t rounded = (bytes + 63u) & ~(size_t)63u;
    void *memory = aligned_alloc(64, rounded > 0 ? rounded : 64);
    if (memory) {
        memset(memory, 0, rounded);
    }
    return memory;
}

static int make_room(host_room *room, const beamg_dims *of, const beam_model *model, char *why,
                     size_t size)
{
    const beam_model_info *info = beam_model_info_of(model);
    room->dims = (beam_dims){of->stations, of->antennas, of->users, of->targets};
    beam_error err;
    if (beam_dims_check(&room->dims, &err) != BEAM_OK) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "%s: %s", err.field, err.text);
    }
    const size_t solver = beam_solver_memsize(&room->dims);
    const size_t inference = beam_inference_memsize(info, &room->dims, SCENE_PROBLEMS);
    room->design_bytes = beam_design_memsize(&room->dims, beam_design_sensing_max(&room->dims));
    room->design_bytes = (room->design_bytes + 63u) & ~(size_t)63u;
    room->block[0] = block(solver);
    room->block[1] = block(inference);
    room->block[2] = block(room->design_bytes * SCENE_PROBLEMS);
    if (!room->block[0] || !room->block[1] || !room->block[2] ||
        beam_solver_init(&room->solver, &room->dims, room->block[0], solver, &err) != BEAM_OK ||
        beam_inference_init(&room->inference, info, &room->dims, SCENE_PROBLEMS, room->block[1],
                            inference, &err) != BEAM_OK) {
        free_room(room);
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size,
                            "no room for %d stations, %d antennas, %d users", of->stations,
                            of->antennas, of->users);
    }
    const beam_solver_options options = beam_solver_options_default();
    beam_solver_set_options(room->solver, &options);
    return 0;
}

static void free_next(host_next *next)
{
    for (unsigned i = 0; i < next->rooms; i++) {
        free_room(&next->room[i]);
    }
    beamg_model_free(&next->model);
    free(next);
}

/* All of it anew beside what serves. */
static int host_prepare(void *object, const beamg_setup *setup, void **out, char *why, size_t size)
{
    (void)object;
    host_next *next = calloc(1, sizeof *next);
    if (!next) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "no memory");
    }
    int code = beamg_model_read(setup, &next->model, why, size);
    next->rooms = setup->rooms < BEAMG_ROOMS_MAX ? setup->rooms : BEAMG_ROOMS_MAX;
    for (unsigned i = 0; code == 0 && i < next->rooms; i++) {
        code = make_room(&next->room[i], &setup->room[i].dims, next->model.model, why, size);
    }
    if (code != 0) {
        free_next(next);
        return code;
    }
    *out = next;
    return 0;
}

/* The exchange; no batch is ever in flight here. */
static int host_adopt(void *object, void *from, char *why, size_t size)
{
    (void)why;
    (void)size;
    host *self = object;
    host_next *next = from;
    for (unsigned i = 0; i < self->rooms; i++) {
        free_room(&self->room[i]);
    }
    beamg_model_free(&self->model);
    self->model = next->model;
    self->rooms = next->rooms;
    memcpy(self->room, next->room, sizeof self->room);
    free(next);
    return 0;
}

static host_room *room_of(host *self, const beam_dims *dims)
{
    for (unsigned i = 0; i < self->rooms; i++) {
        const beam_dims *d = &self->room[i].dims;
        if (d->stations >= dims->stations && d->antennas >= dims->antennas &&
            d->users >= dims->users && d->targets >= dims->targets) {
            return &self->room[i];
        }
    }
    return NULL;
}

/* Problems [first, ...) of this scene, as many as fit; returns where to go on. */
static uint32_t gather(host *self, host_room *room, const beamg_request *request, uint32_t scene,
                       uint32_t first, const beam_dims *dims, int *count)
{
    uint32_t p = first;
    *count = 0;
    for (; p < request->head.problems && *count < SCENE_PROBLEMS; p++) {
        const beamg_problem *problem = &request->problem[p];
        if (problem->scene != scene) {
            continue;
        }
        const int i = (*count)++;
        unsigned char *memory = (unsigned char *)room->block[2] + (size_t)i * room->design_bytes;
        (void)beam_design_init(&self->out[i], dims, beam_design_sensing_max(dims), memory,
                               room->design_bytes, NULL);
        self->asked[i] = p;
        self->request[i] = (beam_network_request){
            .solver = room->solver,
            .tradeoff = problem->tradeoff,
            .warm = beamg_request_warm(request, p, &self->warm[i]) ? &self->warm[i] : NULL,
            .layers = problem->layers,
            .refine = problem->refine,
            .out = &self->out[i],
            .result = &self->result[i],
            .detail = &self->detail[i]};
    }
    return p;
}

static void answer(host *self, beamg_answer_out *out, int count, beam_code all)
{
    for (int i = 0; i < count; i++) {
        const bool served = all == BEAM_OK || (all == BEAM_E_NUMERIC &&
                                               self->result[i].status != BEAM_STATUS_NUMERIC);
        if (served && self->detail[i].chosen == BEAM_METHOD_NETWORK &&
            self->result[i].method == BEAM_METHOD_BOBLRBF) {
            self->result[i].method = BEAM_METHOD_NETWORK; /* refined or not, it is the network's */
        }
        beamg_answer_put(out, self->asked[i], served ? BEAM_OK : all, served ? &self->out[i] : NULL,
                         &self->result[i], served ? self->detail[i].network_merit : 0);
    }
}

static beam_code load_scene(const beamg_request *request, uint32_t scene, beam_solver *solver,
                            const beam_scene *view)
{
    bool moved;
    const double *rows = beamg_request_rows(request, request->scene[scene].frame, &moved);
    const beam_ideal ideal = beamg_request_ideal(request, scene);
    beam_code code = beam_solver_load(solver, view, NULL);
    if (code == BEAM_OK && rows) {
        (void)beam_solver_import_sensing(solver, rows, moved);
    }
    if (code == BEAM_OK) {
        code = beam_solver_set_ideal(solver, &ideal, NULL);
    }
    return code;
}

static void run_scene(host *self, host_room *room, const beamg_request *request, uint32_t scene,
                      const beam_scene *view, beamg_answer_out *out)
{
    const beam_code loaded = load_scene(request, scene, room->solver, view);
    for (uint32_t p = 0; p < request->head.problems;) {
        int count;
        p = gather(self, room, request, scene, p, &view->dims, &count);
        if (count > 0) {
            answer(self, out, count,
                   loaded == BEAM_OK ? beam_inference_run(room->inference, self->model.model, count,
                                                          self->request, NULL)
                                     : loaded);
        }
    }
}

static beamg_status run(host *self, const beamg_request *request, beamg_answer_out *out, char *why,
                        size_t size)
{
    for (uint32_t s = 0; s < request->head.scenes; s++) {
        beam_scene view;
        beamg_request_scene(request, s, &view);
        host_room *room = room_of(self, &view.dims);
        if (!room) {
            beamg_refuse(0, why, size, "no room for %d stations, %d antennas, %d users, %d targets",
                         view.dims.stations, view.dims.antennas, view.dims.users,
                         view.dims.targets);
            return BEAMG_UNPREPARED;
        }
        run_scene(self, room, request, s, &view, out);
    }
    return BEAMG_OK;
}

static void host_submit(void *object, beamg_job *job)
{
    host *self = object;
    job->status = run(self, &job->request, &job->answer, job->why, sizeof job->why);
    beamg_done_put(&self->done, job);
}

static beamg_job *host_collect(void *object)
{
    return beamg_done_take(&((host *)object)->done);
}

static int host_done_fd(const void *object)
{
    (void)object;
    return -1;
}

static int host_probe(char *text, size_t size)
{
    return beamg_refuse(0, text, size, "the engine on the CPU");
}

static void host_close(void *object)
{
    host *self = object;
    for (unsigned i = 0; i < self->rooms; i++) {
        free_room(&self->room[i]);
    }
    beamg_model_free(&self->model);
    free(self);
}

const beamg_backend beamg_backend_host = {
    .name = "host",
    .open = host_open,
    .probe = host_probe,
    .prepare = host_prepare,
    .adopt = host_adopt,
    .submit = host_submit,
    .collect = host_collect,
    .done_fd = host_done_fd,
    .close = host_close,
};
