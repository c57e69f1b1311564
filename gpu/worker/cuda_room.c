/* One size on the device: an object of the library, its clusters, the parts of batches that it
 * has. Problems go in without a copy in between and their beams straight into the answer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "network/model.h"
#include "plan.h"
#include "worker/cuda.h"

int beamg_cuda_exit(beam_gpu_code code)
{
    return code == BEAM_GPU_OK            ? 0
           : code == BEAM_GPU_E_NO_DEVICE ? BEAMG_EXIT_ABSENT
           : code == BEAM_GPU_E_DEVICE    ? BEAMG_EXIT_DEVICE
                                          : BEAMG_EXIT_CONFIG;
}

/* --- Making one --- */

static bool make_arrays(beamg_cuda_room *self)
{
    const size_t n = self->of.problems;
    self->request = calloc(n, sizeof *self->request);
    self->scene = calloc(n, sizeof *self->scene);
    self->warm = calloc(n, sizeof *self->warm);
    self->out = calloc(n, sizeof *self->out);
    self->answer = calloc(n, sizeof *self->answer);
    self->count = calloc(n, sizeof *self->count);
    bool made =
        self->request && self->scene && self->warm && self->out && self->answer && self->count;
    for (int i = 0; i < BEAMG_PARTS; i++) {
        self->part[i].problem = calloc(n, sizeof *self->part[i].problem);
        made = made && self->part[i].problem;
    }
    return made;
}

void beamg_cuda_room_free(beamg_cuda_room *self)
{
    beam_gpu_destroy(self->gpu);
    beamg_clusters_free(&self->clusters);
    free(self->request);
    free(self->scene);
    free(self->warm);
    free(self->out);
    free(self->answer);
    free(self->count);
    for (int i = 0; i < BEAMG_PARTS; i++) {
        free(self->part[i].problem);
    }
    *self = (beamg_cuda_room){.gpu = NULL};
}

beam_gpu_code beamg_cuda_room_model(beamg_cuda_room *self, const beam_model *model,
                                    beam_gpu_error *err)
{
    const beam_model_info *info = beam_model_info_of(model);
    return info->kind == BEAM_MODEL_MLP
               ? beam_gpu_load_mlp(self->gpu, info, model->theta, err)
               : beam_gpu_load_model(self->gpu, info->layers, info->width, model->theta, err);
}

static beam_gpu_code make_object(beamg_cuda_room *self, int device, int done_fd, int clusters,
                                 const beam_model *model, beam_gpu_error *err)
{
    const beam_gpu_options options = {
        .clusters_max = clusters, .slots = BEAMG_PARTS, .done_fd = done_fd};
    beam_gpu_code code = beam_gpu_create(&self->gpu, device, &options, err);
    code = code ? code : beamg_cuda_room_model(self, model, err);
    return code ? code
                : beam_gpu_prepare(self->gpu, &self->dims, (int)self->of.users_per_station,
                                   (int)self->of.problems, err);
}

int beamg_cuda_room_make(beamg_cuda_room *self, const beamg_room *of, int device, int done_fd,
                         const beam_model *model, char *why, size_t size)
{
    const beamg_dims *d = &of->dims;
    const beam_model_info *info = beam_model_info_of(model);
    beam_error inner;
    beam_gpu_error err = {.code = BEAM_GPU_OK};
    *self = (beamg_cuda_room){.of = *of,
                              .dims = {d->stations, d->antennas, d->users, d->targets},
                              .exact = info->kind == BEAM_MODEL_MLP,
                              .layers = info->layers};
    if (of->problems < 1 || of->problems > BEAMG_PROBLEMS_MAX ||
        of->users_per_station > BEAM_MAX_USERS || beam_dims_check(&self->dims, &inner)) {
        return beamg_refuse(BEAMG_EXIT_CONFIG, why, size,
                            "%d stations, %d antennas, %d users, %d targets, batches of %u: no "
                            "such room",
                            d->stations, d->antennas, d->users, d->targets, of->problems);
    }
    const int clusters = beamg_clusters_count(&self->dims);
    int code = beamg_cuda_exit(make_object(self, device, done_fd, clusters, model, &err));
    if (code != 0) {
        beamg_refuse(0, why, size, "%s", err.text);
    } else if (!make_arrays(self) ||
               beamg_clusters_init(&self->clusters, self->gpu, &self->dims, clusters) != 0) {
        code =
            beamg_refuse(BEAMG_EXIT_CONFIG, why, size, "no memory for batches of %u", of->problems);
    }
    if (code != 0) {
        beamg_cuda_room_free(self);
    }
    return code;
}

bool beamg_cuda_room_fits(const beamg_cuda_room *self, const beamg_request *request, uint32_t scene)
{
    beam_scene view;
    beamg_request_scene(request, scene, &view);
    const beam_dims *d = &view.dims;
    if (d->stations != self->dims.stations || d->antennas != self->dims.antennas ||
        d->users > self->dims.users || d->targets > self->dims.targets ||
        (self->exact && (d->users < self->dims.users || d->targets < self->dims.targets))) {
        return false;
    }
    int users[BEAM_MAX_STATIONS] = {0};
    for (int u = 0; u < d->users && self->of.users_per_station > 0; u++) {
        const int l = view.user_station[u];
        if (l < 0 || l >= d->stations || ++users[l] > (int)self->of.users_per_station) {
            return false;
        }
    }
    return true;
}

/* --- Submitting --- */

/* Without beams. */
static void refuse_problem(beamg_job *job, uint32_t problem, beam_code code)
{
    const beam_result none = {.status = BEAM_STATUS_NUMERIC};
    beamg_answer_put(&job->answer, problem, code, NULL, &none, INFINITY);
    job->open--;
}

/* BEAM_OK, or what the problem is answered with: what the library would refuse the part for. */
static beam_code check_problem(const beamg_cuda_room *self, const beamg_problem *p,
                               const beam_dims *dims)
{
    if (p->layers < 0 || p->layers > self->layers || p->refine < 0) {
        return BEAM_E_UNSUPPORTED;
    }
    return (int)p->sensing_max < beam_design_sensing_max(dims) ? BEAM_E_LIMIT : BEAM_OK;
}

/* The device takes the first columns of warm beams only; the engine finds the strongest directions
 * where there are more than a solver uses. */
static bool warm_fits(const beam_design *warm, const beam_dims *dims)
{
    const int rows = beam_gpu_sensing_rows(dims);
    for (int l = 0; l < dims->stations; l++) {
        if (warm->sensing_count[l] > rows) {
            return false;
        }
    }
    return true;
}

static void fill(beamg_cuda_room *self, int i, const beamg_request *request, uint32_t problem,
                 int cluster)
{
    const beamg_problem *p = &request->problem[problem];
    const int refine = p->refine < BEAM_GPU_REFINE_MAX ? p->refine : BEAM_GPU_REFINE_MAX;
    self->request[i] = (beam_gpu_request){
        .cluster = cluster,
        .scene = &self->scene[i],
        .ideal = beamg_request_ideal(request, p->scene),
        .tradeoff = p->tradeoff,
        .warm = beamg_request_warm(request, problem, &self->warm[i]) ? &self->warm[i] : NULL,
        .layers = p->layers,
        .refine = refine};
}

/* Requests of this room from *next on, until they fill a part or there is no place for a cluster.
 * Negative: BEAMG_CLUSTER_BROKEN. */
static int gather(beamg_cuda_room *self, beamg_job *job, const uint8_t *room, uint8_t index,
                  uint64_t number, uint32_t *problems, uint32_t *next, beam_gpu_error *err)
{
    const beamg_request *request = &job->request;
    int count = 0, cluster = BEAMG_CLUSTER_NONE;
    uint32_t frame = UINT32_MAX; /* whose cluster that is */
    beam_code refused = BEAM_OK;
    for (; *next < request->head.problems && count < (int)self->of.problems; ++*next) {
        const uint32_t scene = request->problem[*next].scene;
        if (room[*next] != index) {
            continue;
        }
        if (request->scene[scene].frame != frame) {
            frame = request->scene[scene].frame;
            cluster = beamg_cluster_of(&self->clusters, request, scene, number, &refused, err);
        }
        if (cluster == BEAMG_CLUSTER_BROKEN) {
            return cluster;
        }
        if (cluster == BEAMG_CLUSTER_NONE) {
            break;
        }
        beamg_request_scene(request, scene, &self->scene[count]);
        beam_code code =
            cluster == BEAMG_CLUSTER_REFUSED
                ? refused
                : check_problem(self, &request->problem[*next], &self->scene[count].dims);
        if (code == BEAM_OK && beamg_request_warm(request, *next, &self->warm[count]) &&
            !warm_fits(&self->warm[count], &self->scene[count].dims)) {
            code = BEAM_E_UNSUPPORTED;
        }
        if (code != BEAM_OK) {
            refuse_problem(job, *next, code);
            continue;
        }
        problems[count] = *next;
        fill(self, count++, request, *next, cluster);
    }
    return count;
}

/* The library names its slots itself, and they are as many as there are parts. */
static beamg_part *free_part(beamg_cuda_room *self)
{
    for (int i = 0; i < BEAMG_PARTS; i++) {
        if (!self->part[i].job) {
            return &self->part[i];
        }
    }
    return NULL;
}

beam_gpu_code beamg_cuda_room_start(beamg_cuda_room *self, beamg_job *job, const uint8_t *room,
                                    uint8_t index, uint32_t *next, beam_gpu_error *err)
{
    beamg_part *part = free_part(self);
    if (!part) {
        return BEAM_GPU_E_BUSY;
    }
    const uint64_t number = ++self->parts;
    const int count = gather(self, job, room, index, number, part->problem, next, err);
    if (count == BEAMG_CLUSTER_BROKEN) {
        return BEAM_GPU_E_DEVICE;
    }
    if (count == 0) { /* nothing to compute, or no cluster has a place */
        return *next < job->request.head.problems ? BEAM_GPU_E_BUSY : BEAM_GPU_OK;
    }
    int slot = 0;
    part->count = count;
    const beam_gpu_code code = beam_gpu_submit(self->gpu, count, self->request, &slot, err);
    if (code == BEAM_GPU_E_DEVICE) {
        return code;
    }
    if (code != BEAM_GPU_OK) {
        for (int i = 0; i < count; i++) {
            refuse_problem(job, part->problem[i], BEAM_E_UNSUPPORTED);
        }
        return BEAM_GPU_OK;
    }
    uint32_t *spare = self->part[slot].problem; /* that of the slot it became */
    self->part[slot].problem = part->problem;
    part->problem = spare;
    self->part[slot].count = count;
    self->part[slot].number = number;
    self->part[slot].job = job;
    return BEAM_GPU_OK;
}

/* --- Answers --- */

static void put_answer(beamg_job *job, uint32_t problem, const beam_gpu_answer *a)
{
    static const beam_method methods[] = {BEAM_METHOD_NETWORK, BEAM_METHOD_WARM,
                                          BEAM_METHOD_CLASSICAL};
    const beamg_problem *p = &job->request.problem[problem];
    const beam_ideal ideal = beamg_request_ideal(&job->request, p->scene);
    const beam_preference u = beam_preference_from_tradeoff(p->tradeoff);
    const bool located = isfinite(a->crlb_m2);
    const double best = fmin(fmin(a->network_merit, a->warm_merit), a->classical_merit);
    beam_result r = {.status = BEAM_STATUS_CONVERGED,
                     .warm = isfinite(a->warm_merit),
                     .iterations = a->refined,
                     .evaluations = a->evaluations,
                     .wsr_worst_case_bps_hz = a->wsr_worst_case_bps_hz,
                     .crlb_valid = located && a->crlb_m2 > 0,
                     .crlb_m2 = located ? a->crlb_m2 : 0,
                     .classical_merit = a->classical_merit,
                     .classical_is_bound = a->classical_is_bound != 0};
    r.f1 = beam_loss_rate(&ideal, r.wsr_worst_case_bps_hz);
    r.f2 = beam_loss_sensing(&ideal, located, r.crlb_m2);
    r.merit = beam_merit(&ideal, u, r.f1, r.f2);
    if (a->choice == BEAM_GPU_CHOICE_NONE || !isfinite(r.merit) || !isfinite(a->merit)) {
        refuse_problem(job, problem, BEAM_E_NUMERIC);
        return;
    }
    /* refined or not, the network's beams are the network's */
    const bool refined = a->refined > 0 && a->merit < best;
    r.method =
        refined && a->choice != BEAM_GPU_CHOICE_NETWORK ? BEAM_METHOD_BOBLRBF : methods[a->choice];
    if (p->refine > 0 && a->refined == 0 && a->evaluations == 0) {
        r.status = BEAM_STATUS_TIME_LIMIT; /* asked for and not done: reduced service */
    }
    beamg_answer_put(&job->answer, problem, BEAM_OK, a->out, &r, a->network_merit);
    job->open--;
}

static int oldest(const beamg_cuda_room *self, uint64_t after)
{
    int found = -1;
    for (int i = 0; i < BEAMG_PARTS; i++) {
        const beamg_part *p = &self->part[i];
        if (p->job && p->number > after && (found < 0 || p->number < self->part[found].number)) {
            found = i;
        }
    }
    return found;
}

/* The answers of a part go where its batch has them. */
static void aim(beamg_cuda_room *self, const beamg_part *part)
{
    if (self->aimed == part->number) {
        return;
    }
    self->aimed = part->number;
    for (int i = 0; i < part->count; i++) {
        beamg_answer_design(&part->job->answer, part->problem[i], self->count[i], &self->out[i]);
        self->answer[i] = (beam_gpu_answer){.out = &self->out[i]};
    }
}

beam_gpu_code beamg_cuda_room_finish(beamg_cuda_room *self, bool wait, beamg_job **job,
                                     beam_gpu_error *err)
{
    uint64_t after = 0;
    for (int slot; (slot = oldest(self, after)) >= 0; after = self->part[slot].number) {
        beamg_part *part = &self->part[slot];
        aim(self, part);
        const beam_gpu_code code = beam_gpu_collect(self->gpu, slot, wait, self->answer, err);
        if (code == BEAM_GPU_E_BUSY) {
            continue;
        }
        if (code != BEAM_GPU_OK) {
            return code;
        }
        *job = part->job;
        part->job = NULL;
        for (int i = 0; i < part->count; i++) {
            put_answer(*job, part->problem[i], &self->answer[i]);
        }
        return BEAM_GPU_OK;
    }
    return BEAM_GPU_E_BUSY;
}
